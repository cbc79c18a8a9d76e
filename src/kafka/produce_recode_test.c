/* Produce to topics that have their batches looked into. */
#include "kafka/test_broker.h"

#include "broker/recode.h"
#include "kafka/errors.h"

static struct topic *topic_with(struct test_broker *b, const char *config, const char *value)
{
    struct topic_config configs[] = {{(char *)(uintptr_t)config, (char *)(uintptr_t)value}};
    struct topic_spec spec = {.name = BYTES_LITERAL("orders"),
                              .partition_count = 1,
                              .configs = configs,
                              .config_count = 1};
    struct topic *topic = NULL;
    expect_ok(topic_create(b->core, &spec, &topic));
    broker_commit(b);
    return topic;
}

static struct kafka_produce_request *request_of(struct test_broker *b, struct bytes batch,
                                                int16_t acks)
{
    return make_produce(&b->arena, "orders", 0, acks, batch);
}

static const struct kafka_produce_response_partition *
only_partition(const struct kafka_produce_response *reply)
{
    expect_not_null(reply);
    return &reply->responses.items[0].partition_responses.items[0];
}

/* The codec of the batch at `offset`. */
static int codec_at(struct topic *topic, int64_t offset)
{
    struct log_batch found;
    struct batch batch;
    size_t count = 0;
    struct log *log = topic->partitions[0]->log;
    expect_ok(log_peek(log, offset, log->hw, 1 << 20, &found, 1, &count));
    expect_int(count, 1);
    expect_int(found.base_offset, offset);
    expect_ok(batch_parse(found.raw, &batch));
    expect_true(batch_is_intact(&batch));
    return batch.attributes & BATCH_CODEC_MASK;
}

TEST(batches_are_stored_with_the_codec_of_their_topic)
{
    static const char *const types[] = {"uncompressed", "gzip", "snappy", "lz4", "zstd"};
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct test_broker b;
        broker_open(&b);
        struct topic *topic = topic_with(&b, "compression.type", types[codec]);
        struct test_client *c = broker_client(&b);
        struct bytes plain = make_batch(&b.arena, b.wall_ms, "one", "two", NULL);
        const struct kafka_produce_response_partition *out =
            only_partition(client_call(c, KAFKA_PRODUCE, 9, request_of(&b, plain, -1)));
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->base_offset, 0);
        expect_int(codec_at(topic, 0), codec);
        expect_int(topic->partitions[0]->log->hw, 2);
        broker_close(&b);
    }
}

/* A batch in this codec. */
static struct bytes compressed(struct test_broker *b, enum batch_codec codec, const char *value)
{
    struct recode_rules rules = {.codec = codec, .level = BATCH_LEVEL_STANDARD};
    struct recoded out = {0};
    struct batch batch;
    expect_ok(batch_parse(make_batch(&b->arena, b->wall_ms, value, NULL), &batch));
    expect_ok(recode_batch(&batch, &rules, &out));
    struct bytes made = arena_copy(&b->arena, text_bytes(&out.raw));
    recoded_reset(&out);
    return made;
}

TEST(requests_do_not_overtake_one_that_is_being_compressed)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = topic_with(&b, "compression.type", "zstd");
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    struct bytes plain = make_batch(&b.arena, b.wall_ms, "first", NULL);
    struct bytes ready = compressed(&b, CODEC_ZSTD, "second"); /* could be appended at once */
    int32_t ids[4];
    ids[0] = client_send(c, KAFKA_PRODUCE, 9, request_of(&b, plain, -1));
    ids[1] = client_send(c, KAFKA_PRODUCE, 9, request_of(&b, ready, -1));
    ids[2] = client_send(c, KAFKA_PRODUCE, 9, request_of(&b, plain, 1));
    ids[3] = client_send(c, KAFKA_API_VERSIONS, 3, &versions);
    expect_int(topic->partitions[0]->log->end, 0);
    broker_commit(&b);
    for (int i = 0; i < 3; i++)
        expect_int(only_partition(client_receive(c, KAFKA_PRODUCE, 9, ids[i]))->base_offset, i);
    expect_not_null(client_receive(c, KAFKA_API_VERSIONS, 3, ids[3]));
    for (int i = 0; i < 3; i++)
        expect_int(codec_at(topic, i), CODEC_ZSTD);
    broker_close(&b);
}

TEST(a_request_without_acks_is_compressed_too_and_the_next_one_is_answered)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = topic_with(&b, "compression.type", "gzip");
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    struct bytes plain = make_batch(&b.arena, b.wall_ms, "first", NULL);
    client_send(c, KAFKA_PRODUCE, 9, request_of(&b, plain, 0));
    int32_t id = client_send(c, KAFKA_API_VERSIONS, 3, &versions);
    broker_commit(&b);
    expect_not_null(client_receive(c, KAFKA_API_VERSIONS, 3, id));
    expect_int(topic->partitions[0]->log->hw, 1);
    expect_int(codec_at(topic, 0), CODEC_GZIP);
    broker_close(&b);
}

TEST(a_connection_may_go_while_its_batch_is_compressed)
{
    for (int turns = 0; turns < 3; turns++) {
        struct test_broker b;
        broker_open(&b);
        topic_with(&b, "compression.type", "gzip");
        struct test_client *c = broker_client(&b);
        struct bytes plain = make_batch(&b.arena, b.wall_ms, "first", NULL);
        client_send(c, KAFKA_PRODUCE, 9, request_of(&b, plain, -1));
        if (turns > 0)
            broker_step(&b); /* the job has ended */
        sim_link_free(c->link);
        b.client_count = 0;
        if (turns > 1)
            broker_commit(&b);
        broker_close(&b);
    }
}

TEST(idempotent_batches_in_flight_stay_in_order_when_compressed)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = topic_with(&b, "compression.type", "lz4");
    struct test_client *c = broker_client(&b);
    int32_t ids[6];
    for (int i = 0; i < 6; i++) {
        struct bytes batch = make_batch(&b.arena, b.wall_ms, "value", NULL);
        batch_of_producer(batch, 5, 0, i % 5); /* the last is the first again */
        ids[i] = client_send(c, KAFKA_PRODUCE, 9, request_of(&b, batch, -1));
    }
    for (int i = 0; i < 20; i++)
        broker_commit(&b);
    for (int i = 0; i < 6; i++) {
        const struct kafka_produce_response_partition *out =
            only_partition(client_receive(c, KAFKA_PRODUCE, 9, ids[i]));
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->base_offset, i % 5);
    }
    expect_int(topic->partitions[0]->log->end, 5);
    broker_close(&b);
}

TEST(the_size_counts_before_and_after_compression)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = topic_with(&b, "compression.type", "uncompressed");
    topic->message_max_bytes = 500;
    struct test_client *c = broker_client(&b);
    char large[2000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    struct bytes small = compressed(&b, CODEC_GZIP, large);
    expect_true(small.size < 500);
    expect_int(
        only_partition(client_call(c, KAFKA_PRODUCE, 9, request_of(&b, small, -1)))->error_code,
        KAFKA_MESSAGE_TOO_LARGE);
    struct bytes plain = make_batch(&b.arena, b.wall_ms, large, NULL);
    topic->codec = CODEC_GZIP;
    expect_int(
        only_partition(client_call(c, KAFKA_PRODUCE, 9, request_of(&b, plain, -1)))->error_code,
        KAFKA_MESSAGE_TOO_LARGE);
    topic->message_max_bytes = 3000;
    expect_int(
        only_partition(client_call(c, KAFKA_PRODUCE, 9, request_of(&b, plain, -1)))->error_code,
        KAFKA_NONE);
    expect_int(codec_at(topic, 0), CODEC_GZIP);
    broker_close(&b);
}

TEST(records_without_a_key_are_refused_by_a_compacted_topic_and_named)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    topic->policy.compact = true;
    struct test_client *c = broker_client(&b);
    for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec += CODEC_ZSTD) {
        struct bytes batch = compressed(&b, (enum batch_codec)codec, "value");
        const struct kafka_produce_response_partition *out =
            only_partition(client_call(c, KAFKA_PRODUCE, 9, request_of(&b, batch, -1)));
        expect_int(out->error_code, KAFKA_INVALID_RECORD);
        expect_int(out->record_errors.count, 1);
        expect_int(out->record_errors.items[0].batch_index, 0);
        expect_not_null(out->record_errors.items[0].batch_index_error_message.data);
        expect_int(out->base_offset, -1);
    }
    expect_int(topic->partitions[0]->log->end, 0);
    broker_close(&b);
}

TEST(records_from_the_future_are_named)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct bytes batch = make_batch(&b.arena, b.wall_ms + 3600001, "a", "b", NULL);
    const struct kafka_produce_response_partition *out =
        only_partition(client_call(c, KAFKA_PRODUCE, 9, request_of(&b, batch, -1)));
    expect_int(out->error_code, KAFKA_INVALID_TIMESTAMP);
    expect_int(out->record_errors.count, 2);
    broker_close(&b);
}
