/*
 * Any bytes as any AMQP method, as basic's properties, or as a field table. Input: which, then the
 * bytes. What decodes must encode to the same bytes, but for bits that mean nothing; a table that
 * was found valid must be readable to its end.
 */
#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "base/check.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"
#include "wire/amqp_table.h"

static struct text travel(const struct wire_schema *schema, struct bytes b)
{
    struct text encoded = {0}, dump = {0};
    struct reader r = reader_of(b);
    void *message = xmalloc(schema->size);
    if (amqp_wire_decode(schema, &r, message) == OK) {
        amqp_wire_dump(schema, message, &dump);
        text_reserve(&encoded, 1);
        check(amqp_wire_encode(schema, message, &encoded) == OK);
        check(encoded.size == b.size - reader_left(&r));
    }
    text_reset(&dump);
    free(message);
    return encoded;
}

static void try_message(const struct wire_schema *schema, struct bytes b)
{
    struct text once = travel(schema, b);
    if (once.data) {
        struct text twice = travel(schema, text_bytes(&once));
        check(bytes_equal(text_bytes(&once), text_bytes(&twice)));
        text_reset(&twice);
    }
    text_reset(&once);
}

static void try_table(struct bytes table)
{
    struct text dump = {0}, copy = {0};
    bool valid = amqp_table_validate(table, AMQP_TABLE_DEPTH_MAX) == OK;
    amqp_table_dump(table, &dump);
    struct reader r = reader_of(table);
    struct amqp_entry e;
    while (amqp_table_next(&r, &e))
        amqp_table_put_named(&copy, e.name, &e.value);
    check(!valid || !r.bad);
    check(!valid || copy.size == table.size);
    text_reset(&dump);
    text_reset(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t which = data[0] % (AMQP_METHOD_COUNT + 2);
    struct bytes b = bytes_of(data + 1, size - 1);
    if (which < AMQP_METHOD_COUNT)
        try_message(amqp_methods[which].schema, b);
    else if (which == AMQP_METHOD_COUNT)
        try_message(&amqp_basic_properties_schema, b);
    else
        try_table(b);
    return 0;
}
