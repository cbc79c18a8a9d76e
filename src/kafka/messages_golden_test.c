/* Bytes written by Kafka's own serialiser: our decoder must see in them what the file says, and our
 * encoder write them again. */
#include "wire/golden.h"

#include <stdlib.h>

#include "base/mem.h"
#include "kafka/kafka_messages.h"
#include "tests/test.h"

static const struct wire_schema *find_schema(const char *name)
{
    for (int i = 0; i < KAFKA_API_COUNT; i++) {
        if (strcmp(kafka_apis[i].request->name, name) == 0)
            return kafka_apis[i].request;
        if (strcmp(kafka_apis[i].response->name, name) == 0)
            return kafka_apis[i].response;
    }
    return strcmp(name, "request_header") == 0 ? &kafka_request_header_schema
                                               : &kafka_response_header_schema;
}

static void expect_golden(const struct golden *g)
{
    const struct wire_schema *schema = find_schema(g->name);
    struct reader r = reader_of(text_bytes(&g->bytes));
    struct arena arena;
    struct text dump = {0}, encoded = {0};
    void *message = xmalloc(schema->size);
    arena_init(&arena, 1 << 20);

    expect_string(schema->name, g->name);
    expect_ok(wire_decode(schema, g->version, &r, &arena, message));
    expect_int(reader_left(&r), 0);
    wire_dump(schema, g->version, message, &dump);
    expect_string((char *)dump.data, (char *)g->dump.data);
    expect_ok(wire_encode(schema, g->version, message, &encoded));
    expect_bytes(text_bytes(&encoded), text_bytes(&g->bytes));

    text_reset(&dump);
    text_reset(&encoded);
    free(message);
    arena_reset(&arena);
}

TEST(kafka_messages_equal_those_of_kafkas_own_serialiser)
{
    golden_each(GOLDEN_DIR "/kafka", 43, expect_golden);
}
