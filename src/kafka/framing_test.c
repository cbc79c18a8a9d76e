#include "kafka/framing.h"

#include <stdlib.h>

#include "io/rbuf.h"
#include "kafka/request.h"
#include "kafka/test_messages.h"

/* Inputs that were parsed from bytes, and what became of the bytes. */
struct parsed {
    struct input_list list;
    size_t consumed, need;
    enum err err;
};

static struct parsed parse(struct rbuf *rbuf, struct bytes in)
{
    struct parsed p = {0};
    input_list_init(&p.list);
    p.err = kafka_framing.parse(NULL, rbuf, in, &p.list, &p.consumed, &p.need);
    return p;
}

static struct request *parsed_request(const struct parsed *p, int n)
{
    struct input *input = p->list.first;
    for (; n > 0 && input; n--)
        input = input->next;
    return input ? container_of(input, struct request, input) : NULL;
}

static void parsed_free(struct parsed *p)
{
    for (struct input *input = p->list.first, *next; input; input = next) {
        next = input->next;
        input_free(input);
    }
}

static void expect_refused(struct bytes in, enum err code, const char *text)
{
    struct parsed p = parse(NULL, in);
    expect_err(p.err, code);
    expect_err_text(text);
    expect_null(p.list.first);
}

TEST(framing_decodes_pipelined_requests_in_order)
{
    struct kafka_metadata_request metadata = {.allow_auto_topic_creation = true};
    struct kafka_api_versions_request versions = {0};
    struct text in = {0};
    put_request(&in, KAFKA_METADATA, 1, 7, &metadata);
    put_request(&in, KAFKA_API_VERSIONS, 0, 8, &versions);
    struct parsed p = parse(NULL, text_bytes(&in));
    expect_ok(p.err);
    expect_int(p.consumed, in.size);
    expect_int(parsed_request(&p, 0)->correlation_id, 7);
    expect_int(parsed_request(&p, 0)->wire->key, KAFKA_METADATA);
    expect_true(bytes_equal_string(parsed_request(&p, 0)->client_id, "test"));
    expect_int(parsed_request(&p, 1)->correlation_id, 8);
    expect_null(parsed_request(&p, 2));
    parsed_free(&p);
    text_reset(&in);
}

TEST(framing_waits_for_the_rest_of_a_frame_at_every_byte)
{
    struct kafka_metadata_request metadata = {.allow_auto_topic_creation = true};
    struct text in = {0};
    put_request(&in, KAFKA_METADATA, 12, 7, &metadata);
    for (size_t cut = 0; cut < in.size; cut++) {
        struct parsed p = parse(NULL, bytes_of(in.data, cut));
        expect_ok(p.err);
        expect_int(p.consumed, 0);
        expect_int(p.need, cut < 4 ? 0 : in.size);
        expect_null(p.list.first);
    }
    text_reset(&in);
}

TEST(framing_keeps_what_came_before_a_broken_frame)
{
    struct kafka_metadata_request metadata = {.allow_auto_topic_creation = true};
    struct text in = {0};
    put_request(&in, KAFKA_METADATA, 1, 7, &metadata);
    text_put_u32(&in, 3); /* too short for a header */
    struct parsed p = parse(NULL, text_bytes(&in));
    expect_err(p.err, E_MALFORMED);
    expect_int(parsed_request(&p, 0)->correlation_id, 7);
    parsed_free(&p);
    text_reset(&in);
}

TEST(framing_refuses_sizes_that_cannot_be)
{
    expect_refused(BYTES_LITERAL("\xff\xff\xff\xff"), E_MALFORMED, "request of -1 bytes");
    expect_refused(BYTES_LITERAL("\x00\x00\x00\x00"), E_MALFORMED, "request of 0 bytes");
    expect_refused(BYTES_LITERAL("\x06\x40\x00\x01"), E_TOO_LARGE, "the limit is 104857600");
}

TEST(framing_names_the_protocol_of_strangers)
{
    expect_refused(BYTES_LITERAL("\x16\x03\x01\x02\x00\x01"), E_MALFORMED, "TLS");
    expect_refused(BYTES_LITERAL("GET /metrics HTTP/1.1\r\n"), E_MALFORMED, "HTTP");
    expect_refused(BYTES_LITERAL("POST / HTTP/1.1\r\n"), E_MALFORMED, "HTTP");
    expect_refused(BYTES_LITERAL("AMQP\x00\x00\x09\x01"), E_MALFORMED, "AMQP");
}

TEST(framing_refuses_what_is_not_served)
{
    expect_refused(BYTES_LITERAL("\0\0\0\x0a\0\x58\0\0\0\0\0\1\xff\xff"), E_UNSUPPORTED, "key 88");
    expect_refused(BYTES_LITERAL("\0\0\0\x0a\x7f\xff\0\0\0\0\0\1\xff\xff"), E_UNSUPPORTED,
                   "key 32767");
    expect_refused(BYTES_LITERAL("\0\0\0\x0a\xff\xff\0\0\0\0\0\1\xff\xff"), E_UNSUPPORTED,
                   "key -1");
    expect_refused(BYTES_LITERAL("\0\0\0\x0a\0\0\0\2\0\0\0\1\xff\xff"), E_UNSUPPORTED,
                   "Produce version 2");
    expect_refused(BYTES_LITERAL("\0\0\0\x0a\0\1\0\x13\0\0\0\1\xff\xff"), E_UNSUPPORTED,
                   "Fetch version 19");
}

TEST(framing_passes_on_api_versions_of_an_unknown_version)
{
    struct parsed p = parse(NULL, BYTES_LITERAL("\0\0\0\x0a\0\x12\0\x63\0\0\0\5\xff\xff"));
    expect_ok(p.err);
    expect_int(parsed_request(&p, 0)->correlation_id, 5);
    expect_int(parsed_request(&p, 0)->version, 99);
    expect_null(parsed_request(&p, 0)->body);
    parsed_free(&p);
}

TEST(framing_refuses_a_body_that_does_not_parse)
{
    /* Metadata version 1: a count of topics that are not there. */
    expect_refused(BYTES_LITERAL("\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\x7f\xff\xff\xff"), E_MALFORMED,
                   "Metadata version 1");
    /* A client id that goes on behind the frame. */
    expect_refused(BYTES_LITERAL("\0\0\0\x0a\0\x12\0\0\0\0\0\1\0\5"), E_MALFORMED,
                   "ApiVersions version 0");
}

TEST(framing_bounds_what_a_frame_may_decode_to)
{
    enum { COUNT = 12 << 20 };
    struct text in = {0}, content = {0};
    text_append(&content, BYTES_LITERAL("\0\3\0\1\0\0\0\1\xff\xff"));
    text_put_u32(&content, COUNT); /* topics of two bytes each that take 32 in memory */
    text_append_zeros(&content, COUNT * 2);
    put_frame(&in, text_bytes(&content));
    expect_refused(text_bytes(&in), E_TOO_LARGE, "Metadata");
    text_reset(&content);
    text_reset(&in);
}

TEST(framing_borrows_large_produces_and_copies_the_rest)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    char value[5000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = 0;
    struct text in = {0};
    struct bytes large = make_batch(&arena, 0, value, NULL);
    put_request(&in, KAFKA_PRODUCE, 9, 1, make_produce(&arena, "t", 0, -1, large));
    struct bytes small = make_batch(&arena, 0, "a", NULL);
    put_request(&in, KAFKA_PRODUCE, 9, 2, make_produce(&arena, "t", 0, -1, small));

    struct rbuf_pool *pool = rbuf_pool_new();
    struct rbuf *rbuf = rbuf_new(pool, in.size);
    memcpy(rbuf->bytes, in.data, in.size);
    struct parsed p = parse(rbuf, bytes_of(rbuf->bytes, in.size));
    expect_ok(p.err);
    struct request *first = parsed_request(&p, 0), *second = parsed_request(&p, 1);
    expect_true(first->input.rbuf == rbuf);
    expect_true(first->produced[0].batch.raw.data > rbuf->bytes);
    expect_true(first->produced[0].batch.raw.data < rbuf->bytes + in.size);
    expect_null(second->input.rbuf);
    memset(rbuf->bytes, 0, in.size); /* what was copied must not mind */
    expect_bytes(second->produced[0].batch.raw, small);
    parsed_free(&p);
    rbuf_unref(rbuf);
    rbuf_pool_free(pool);
    text_reset(&in);
    arena_reset(&arena);
}

/* ---- what a Produce's records must be ---- */

static struct produced check_produced(struct arena *arena, int version, struct bytes records)
{
    struct text in = {0};
    put_request(&in, KAFKA_PRODUCE, version, 1, make_produce(arena, "t", 0, -1, records));
    struct parsed p = parse(NULL, text_bytes(&in));
    expect_ok(p.err);
    struct produced produced = parsed_request(&p, 0)->produced[0];
    produced.error_message = arena_copy(arena, produced.error_message);
    parsed_free(&p);
    text_reset(&in);
    return produced;
}

static void put_byte(struct bytes batch, size_t at, uint8_t value)
{
    ((uint8_t *)(uintptr_t)batch.data)[at] = value;
}

TEST(produce_accepts_a_sound_batch)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct produced produced = check_produced(&arena, 3, make_batch(&arena, 5, "a", "b", NULL));
    expect_int(produced.error, KAFKA_NONE);
    expect_int(produced.batch.record_count, 2);
    arena_reset(&arena);
}

TEST(produce_refuses_records_that_are_not_one_sound_batch)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct bytes batch = make_batch(&arena, 5, "a", NULL);

    expect_int(check_produced(&arena, 3, BYTES_NULL).error, KAFKA_INVALID_RECORD);
    expect_int(check_produced(&arena, 3, bytes_of("", 0)).error, KAFKA_INVALID_RECORD);
    for (size_t size = 1; size < batch.size; size++)
        expect_int(check_produced(&arena, 3, bytes_of(batch.data, size)).error,
                   KAFKA_INVALID_RECORD);

    struct text two = {0};
    text_append(&two, batch);
    text_append(&two, batch);
    expect_int(check_produced(&arena, 3, text_bytes(&two)).error, KAFKA_INVALID_RECORD);
    text_reset(&two);

    struct bytes damaged = arena_copy(&arena, batch);
    put_byte(damaged, damaged.size - 2, 'b');
    expect_int(check_produced(&arena, 3, damaged).error, KAFKA_CORRUPT_MESSAGE);

    struct bytes shifted = arena_copy(&arena, batch);
    put_byte(shifted, 7, 1); /* base offset */
    expect_int(check_produced(&arena, 3, shifted).error, KAFKA_INVALID_RECORD);

    struct bytes old = arena_copy(&arena, batch);
    put_byte(old, 16, 1); /* magic */
    expect_int(check_produced(&arena, 3, old).error, KAFKA_INVALID_RECORD);
    arena_reset(&arena);
}

TEST(produce_refuses_kinds_of_batches_that_clients_may_not_write)
{
    static const struct {
        uint8_t attributes;
        int version;
        enum kafka_error error;
    } kinds[] = {
        {BATCH_CONTROL, 9, KAFKA_INVALID_RECORD},
        {BATCH_TRANSACTIONAL, 9, KAFKA_INVALID_REQUEST},
        {5, 9, KAFKA_INVALID_RECORD}, /* a codec that does not exist */
        {CODEC_ZSTD, 6, KAFKA_UNSUPPORTED_COMPRESSION_TYPE},
        {CODEC_ZSTD, 7, KAFKA_NONE},
    };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct bytes batch = make_batch(&arena, 5, "a", NULL);
        put_byte(batch, 22, kinds[i].attributes);
        batch_sign(batch);
        expect_int(check_produced(&arena, kinds[i].version, batch).error, kinds[i].error);
    }
    arena_reset(&arena);
}

/* ---- whatever arrives ---- */

TEST(framing_survives_garbage_and_damaged_requests)
{
    struct random random;
    random_init(&random, test_seed());
    struct arena arena;
    arena_init(&arena, 4 << 20);
    for (int round = 0; round < 20000; round++) {
        const struct wire_api *api = &kafka_apis[random_below(&random, KAFKA_API_COUNT)];
        int version = api->min + (int)random_below(&random, (uint64_t)(api->max - api->min + 1));
        void *body = wire_new(api->request, &arena, 1);
        struct text in = {0};
        if (wire_random(api->request, version, &random, &arena, body))
            put_request(&in, api->key, version, round, body);
        for (uint64_t n = random_below(&random, 4); n > 0 && in.size > 4; n--)
            in.data[4 + random_below(&random, in.size - 4)] = (uint8_t)random_u64(&random);
        struct parsed p = parse(NULL, text_bytes(&in));
        if (p.err == OK && in.size > 0)
            expect_int(p.consumed, in.size);
        parsed_free(&p);
        text_reset(&in);
        arena_reset(&arena);
    }
}
