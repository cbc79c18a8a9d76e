/* Methods and properties as a client library writes them: our decoder must see in them what the
 * file says, and our encoder write them again. */
#include "wire/golden.h"

#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "base/mem.h"
#include "tests/test.h"
#include "wire/amqp_table.h"

static const struct wire_schema *find_schema(const char *name)
{
    for (int i = 0; i < AMQP_METHOD_COUNT; i++) {
        if (strcmp(amqp_methods[i].name, name) == 0)
            return amqp_methods[i].schema;
    }
    return &amqp_basic_properties_schema;
}

static void expect_golden(const struct golden *g)
{
    const struct wire_schema *schema = find_schema(g->name);
    struct reader r = reader_of(text_bytes(&g->bytes));
    struct text dump = {0}, encoded = {0};
    void *message = xmalloc(schema->size);

    expect_string(schema->name, g->name);
    expect_ok(amqp_wire_decode(schema, &r, message));
    expect_int(reader_left(&r), 0);
    amqp_wire_dump(schema, message, &dump);
    expect_string((char *)dump.data, (char *)g->dump.data);
    expect_ok(amqp_wire_encode(schema, message, &encoded));
    expect_bytes(text_bytes(&encoded), text_bytes(&g->bytes));

    text_reset(&dump);
    text_reset(&encoded);
    free(message);
}

TEST(amqp_methods_equal_those_of_a_client_library)
{
    golden_each(GOLDEN_DIR "/amqp", 13, expect_golden);
}
