/* What the clients write and read as bytes; conversations are tested against the server. */
#include "tests/test.h"

#include <stdlib.h>

#include "cli/amqp_client.h"
#include "cli/assignor.h"
#include "cli/codec.h"
#include "cli/kafka_client.h"

TEST(a_publish_is_a_method_a_header_and_bodies_of_at_most_a_frame)
{
    struct text out = {0};
    struct amqp_publish publish = {
        .exchange = "x", .routing_key = "key", .persistent = true, .body = BYTES_LITERAL("abcde")};
    static const uint8_t wanted[] = {
        1, 0, 1,   0, 0,   0,   13,  0,    60,   0,   40,   0,
        0, 1, 'x', 3, 'k', 'e', 'y', 0,    0xCE, /* method */
        2, 0, 1,   0, 0,   0,   15,  0,    60,   0,   0,    0,
        0, 0, 0,   0, 0,   0,   5,   0x10, 0x00, 2,   0xCE,       /* header */
        3, 0, 1,   0, 0,   0,   4,   'a',  'b',  'c', 'd',  0xCE, /* bodies */
        3, 0, 1,   0, 0,   0,   1,   'e',  0xCE,
    };

    amqp_client_put_publish(&out, 1, &publish, 12);
    expect_bytes(text_bytes(&out), bytes_of(wanted, sizeof wanted));
    text_reset(&out);
}

TEST(a_frame_is_read_when_it_is_whole)
{
    struct text out = {0};
    struct amqp_basic_ack ack = {.delivery_tag = 7, .multiple = true};
    struct frame frame;

    amqp_client_put(&out, 3, AMQP_BASIC_ACK, &ack);
    for (size_t size = 0; size < out.size; size++)
        expect_int(amqp_client_frame(bytes_of(out.data, size), &frame), 0);
    expect_int(amqp_client_frame(text_bytes(&out), &frame), out.size);
    expect_int(frame.type, FRAME_METHOD);
    expect_int(frame.channel, 3);
    expect_int(get_u32(frame.payload.data), AMQP_BASIC_ACK);
    out.data[out.size - 1] = 0;
    expect_int(amqp_client_frame(text_bytes(&out), &frame), -1);
    text_reset(&out);
    expect_int(amqp_client_frame(BYTES_LITERAL("AMQP\0\0\x09\x01"), &frame), -1);
}

TEST(a_produce_request_counts_records_that_are_appended_behind)
{
    struct text whole = {0}, part = {0};
    struct bytes records = BYTES_LITERAL("0123456789");
    struct kafka_produce_request_partition partition = {.index = 3, .records = records};
    struct kafka_produce_request_topic topic = {.name = BYTES_LITERAL("t"),
                                                .partition_data = {&partition, 1}};
    struct kafka_produce_request request = {.acks = -1, .topic_data = {&topic, 1}};

    expect_ok(
        kafka_client_put(&whole, KAFKA_PRODUCE, KAFKA_CLIENT_PRODUCE_VERSION, 9, &request, true));
    expect_ok(
        kafka_client_put(&part, KAFKA_PRODUCE, KAFKA_CLIENT_PRODUCE_VERSION, 9, &request, false));
    text_append(&part, records);
    expect_bytes(text_bytes(&part), text_bytes(&whole));
    expect_int(get_u32(whole.data), whole.size - 4);
    text_reset(&whole);
    text_reset(&part);
}

TEST(an_answer_is_taken_when_it_is_whole)
{
    static const uint8_t answer[] = {0, 0, 0, 6, 0, 0, 0, 9, 'h', 'i', 'x'};
    struct bytes body;
    int32_t id;

    for (size_t size = 0; size < 10; size++)
        expect_int(kafka_client_take(bytes_of(answer, size), &id, &body), 0);
    expect_int(kafka_client_take(bytes_of(answer, sizeof answer), &id, &body), 10);
    expect_int(id, 9);
    expect_bytes(body, BYTES_LITERAL("hi"));
    expect_int(kafka_client_take(BYTES_LITERAL("HTTP/1.1"), &id, &body), -1);
    expect_int(kafka_client_take(BYTES_LITERAL("\0\0\0\1abcd"), &id, &body), -1);
}

/* The expected numbers are those of the test of Kafka's own client, for the same keys. */
TEST(keys_go_where_kafkas_producers_put_them)
{
    static const struct {
        const char *key;
        int32_t hash;
    } cases[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_int(kafka_client_partition_of(bytes_from_string(cases[i].key), INT32_MAX),
                   (cases[i].hash & 0x7fffffff) % INT32_MAX);
}

TEST(kafkas_codes_become_errors_with_a_text)
{
    expect_ok(kafka_client_error(0, BYTES_NULL, "t"));
    expect_err(kafka_client_error(3, BYTES_NULL, "t"), E_NOT_FOUND);
    expect_err_text("t: unknown topic or partition (Kafka error 3)");
    expect_err(kafka_client_error(36, BYTES_LITERAL("it is there"), "t"), E_EXISTS);
    expect_err_text("t: it is there (Kafka error 36)");
    expect_err(kafka_client_error(99, BYTES_NULL, "t"), E_INVALID);
}

/* ---- groups ---- */

static void is_assigned(const struct assignor_member *m, const char *hex)
{
    struct text text = {0};

    for (size_t i = 0; i < m->assignment.size; i++)
        text_printf(&text, "%02x", m->assignment.data[i]);
    expect_string(text_string(&text), hex);
    text_reset(&text);
}

TEST(a_leader_gives_ranges_to_those_that_ask_for_a_topic)
{
    static const char *const both[] = {"a", "b"}, *const one[] = {"a"};
    struct assignor_member members[] = {
        {.id = "m1", .topics = both, .topic_count = 2},
        {.id = "m2", .topics = one, .topic_count = 1},
    };

    assignor_range(members, 2, "a", 3);
    assignor_range(members, 2, "b", 1);
    assignor_range(members, 2, "c", 5);
    is_assigned(&members[0], "000000000002"
                             "000161000000020000000000000001"
                             "00016200000001"
                             "00000000");
    is_assigned(&members[1], "000000000001"
                             "0001610000000100000002");
    text_reset(&members[0].assignment);
    text_reset(&members[1].assignment);
}

/* ---- codecs ---- */

TEST(a_batch_is_compressed_with_every_codec)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    struct batch_builder builder = {0};

    batch_builder_begin(&builder, 0);
    for (int i = 0; i < 100; i++)
        batch_builder_add(&builder, 1000 + i, BYTES_NULL, BYTES_LITERAL("value"), BYTES_NULL, 0);
    struct bytes plain = batch_builder_end(&builder);
    for (int i = 0; i < CODEC_COUNT; i++) {
        struct text scratch = {0}, inflated = {0};
        struct bytes compressed, records;
        enum batch_codec codec;
        struct batch batch;
        expect_ok(codec_parse(names[i], &codec));
        expect_ok(codec_apply(codec, plain, &scratch, &compressed));
        expect_ok(batch_parse(compressed, &batch));
        expect_ok(batch_check_produced(&batch));
        expect_int(batch.attributes & BATCH_CODEC_MASK, i);
        expect_ok(batch_inflate(&batch, 1 << 20, &inflated, &records));
        expect_bytes(records,
                     bytes_of(plain.data + BATCH_HEADER_BYTES, plain.size - BATCH_HEADER_BYTES));
        text_reset(&scratch);
        text_reset(&inflated);
    }
    enum batch_codec codec;
    expect_err(codec_parse("brotli", &codec), E_INVALID);
    batch_builder_reset(&builder);
}
