/*
 * Any bytes as any Kafka message. Input: which schema, which version, then the message. What
 * decodes must encode, and from then on nothing may change: the encoded bytes decode and encode to
 * themselves.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kafka/kafka_messages.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_LIMIT_BYTES = 1 << 20, SCHEMA_COUNT = 2 * KAFKA_API_COUNT + 2 };

static const struct wire_schema *pick_schema(size_t i)
{
    i %= SCHEMA_COUNT;
    if (i == 2 * KAFKA_API_COUNT)
        return &kafka_request_header_schema;
    if (i > 2 * KAFKA_API_COUNT)
        return &kafka_response_header_schema;
    return i % 2 ? kafka_apis[i / 2].response : kafka_apis[i / 2].request;
}

/* The message encoded again; data NULL when it does not decode. */
static struct text travel(const struct wire_schema *schema, int version, struct bytes b)
{
    struct text encoded = {0}, dump = {0};
    struct reader r = reader_of(b);
    struct arena arena;
    void *message = xmalloc(schema->size);
    arena_init(&arena, ARENA_LIMIT_BYTES);
    if (wire_decode(schema, version, &r, &arena, message) == OK) {
        wire_dump(schema, version, message, &dump);
        text_reserve(&encoded, 1);
        check(wire_encode(schema, version, message, &encoded) == OK);
    }
    text_reset(&dump);
    free(message);
    arena_reset(&arena);
    return encoded;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct wire_schema *schema = pick_schema(data[0]);
    int version = schema->min + data[1] % (schema->max - schema->min + 1);
    struct text once = travel(schema, version, bytes_of(data + 2, size - 2));
    if (once.data) {
        struct text twice = travel(schema, version, text_bytes(&once));
        check(twice.data);
        check(bytes_equal(text_bytes(&once), text_bytes(&twice)));
        text_reset(&twice);
    }
    text_reset(&once);
    return 0;
}
