#include "kafka/test_broker.h"

#include <zlib.h>

#include "kafka/errors.h"

static struct kafka_list_offsets_request *ask(struct test_broker *b, const char *topic,
                                              int32_t partition, int64_t timestamp)
{
    struct kafka_list_offsets_request *in =
        wire_new(&kafka_list_offsets_request_schema, &b->arena, 1);
    in->replica_id = -1;
    in->timeout_ms = 30000;
    in->topics.items = wire_new(&kafka_list_offsets_request_topic_schema, &b->arena, 1);
    in->topics.count = 1;
    in->topics.items[0].name = bytes_from_string(topic);
    in->topics.items[0].partitions.items =
        wire_new(&kafka_list_offsets_request_partition_schema, &b->arena, 1);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].partition_index = partition;
    in->topics.items[0].partitions.items[0].timestamp = timestamp;
    return in;
}

static const struct kafka_list_offsets_response_partition *
only_partition(const struct kafka_list_offsets_response *reply)
{
    expect_not_null(reply);
    expect_int(reply->topics.count, 1);
    expect_int(reply->topics.items[0].partitions.count, 1);
    return &reply->topics.items[0].partitions.items[0];
}

static const struct kafka_list_offsets_response_partition *call(struct test_client *c, int version,
                                                                int64_t timestamp)
{
    return only_partition(
        client_call(c, KAFKA_LIST_OFFSETS, version, ask(c->broker, "orders", 0, timestamp)));
}

/* Offsets 0-2 at 1000, 2000, 3000; 3-4 at 5000, 4000 in one batch; then trimmed to start at 1. */
static void open_with_records(struct test_broker *b)
{
    broker_open(b);
    struct partition *p = broker_topic(b, "orders", 1)->partitions[0];
    struct batch_builder builder = {0};
    static const int64_t times[][3] = {{1000}, {2000}, {3000}, {5000, 4000}};
    for (size_t i = 0; i < 4; i++) {
        batch_builder_begin(&builder, 0);
        for (size_t j = 0; times[i][j]; j++)
            batch_builder_add(&builder, times[i][j], BYTES_NULL, BYTES_LITERAL("v"), BYTES_NULL, 0);
        struct batch batch;
        int64_t base_offset, append_time;
        struct ticket ticket;
        expect_ok(batch_parse(batch_builder_end(&builder), &batch));
        expect_ok(partition_append(b->core, p, &batch, &base_offset, &append_time, &ticket));
    }
    batch_builder_reset(&builder);
    broker_commit(b);
    struct ticket ticket;
    log_trim(p->log, 1, &ticket);
    broker_commit(b);
}

TEST(list_offsets_tells_begin_and_end_in_every_version)
{
    struct test_broker b;
    open_with_records(&b);
    struct test_client *c = broker_client(&b);
    for (int version = 1; version <= 10; version++) {
        const struct kafka_list_offsets_response_partition *out = call(c, version, -1);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->offset, 5);
        expect_int(out->timestamp, -1);
        if (version >= 4)
            expect_int(out->leader_epoch, store_epoch(b.core->store));
        out = call(c, version, -2);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->offset, 1);
        expect_int(out->timestamp, -1);
        if (version >= 4) /* the epoch of the first record that is kept */
            expect_int(out->leader_epoch, store_epoch(b.core->store));
    }
    broker_close(&b);
}

TEST(list_offsets_finds_the_first_record_at_or_after_a_time)
{
    static const int64_t cases[][3] = {/* asked, offset, timestamp */
                                       {0, 1, 2000},    {1000, 1, 2000}, {2000, 1, 2000},
                                       {2001, 2, 3000}, {3001, 3, 5000}, {4001, 3, 5000},
                                       {5000, 3, 5000}, {5001, -1, -1}};
    struct test_broker b;
    open_with_records(&b);
    struct test_client *c = broker_client(&b);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct kafka_list_offsets_response_partition *out = call(c, 1, cases[i][0]);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->offset, cases[i][1]);
        expect_int(out->timestamp, cases[i][2]);
    }
    broker_close(&b);
}

TEST(list_offsets_finds_the_record_with_the_largest_timestamp)
{
    struct test_broker b;
    open_with_records(&b);
    const struct kafka_list_offsets_response_partition *out = call(broker_client(&b), 7, -3);
    expect_int(out->error_code, KAFKA_NONE);
    expect_int(out->offset, 3);
    expect_int(out->timestamp, 5000);
    broker_close(&b);
}

TEST(list_offsets_of_an_empty_log_finds_nothing)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    static const int64_t cases[][2] = {{-1, 0}, {-2, 0}, {-3, -1}, {-4, 0}, {-5, -1}, {0, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct kafka_list_offsets_response_partition *out = call(c, 10, cases[i][0]);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->offset, cases[i][1]);
        expect_int(out->timestamp, -1);
    }
    broker_close(&b);
}

TEST(list_offsets_refuses_special_times_that_the_version_does_not_know)
{
    static const int64_t cases[][2] = {{-3, 7}, {-4, 8}, {-5, 9}, {-6, 99}, {INT64_MIN, 99}};
    struct test_broker b;
    open_with_records(&b);
    struct test_client *c = broker_client(&b);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int version = 1; version <= 10; version++)
            expect_int(call(c, version, cases[i][0])->error_code,
                       version < cases[i][1] ? KAFKA_UNSUPPORTED_VERSION : KAFKA_NONE);
    broker_close(&b);
}

TEST(list_offsets_counts_what_was_appended_before_it)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    client_send(c, KAFKA_PRODUCE, 9,
                make_produce(&b.arena, "orders", 0, 0, make_batch(&b.arena, b.wall_ms, "a", NULL)));
    int32_t id = client_send(c, KAFKA_LIST_OFFSETS, 7, ask(&b, "orders", 0, -1));
    broker_turn(&b);
    expect_null(client_receive(c, KAFKA_LIST_OFFSETS, 7, id));
    broker_commit(&b);
    expect_int(only_partition(client_receive(c, KAFKA_LIST_OFFSETS, 7, id))->offset, 1);
    broker_close(&b);
}

TEST(list_offsets_answers_at_once_when_nothing_is_in_flight)
{
    struct test_broker b;
    open_with_records(&b);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_LIST_OFFSETS, 7, ask(&b, "orders", 0, -1));
    broker_turn(&b);
    expect_not_null(client_receive(c, KAFKA_LIST_OFFSETS, 7, id));
    broker_close(&b);
}

TEST(list_offsets_gives_up_when_the_disk_is_too_slow)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    client_send(c, KAFKA_PRODUCE, 9,
                make_produce(&b.arena, "orders", 0, 0, make_batch(&b.arena, b.wall_ms, "a", NULL)));
    struct kafka_list_offsets_request *in = ask(&b, "orders", 0, -1);
    in->timeout_ms = 100;
    int32_t id = client_send(c, KAFKA_LIST_OFFSETS, 10, in);
    broker_advance(&b, 100);
    expect_int(only_partition(client_receive(c, KAFKA_LIST_OFFSETS, 10, id))->error_code,
               KAFKA_REQUEST_TIMED_OUT);
    broker_commit(&b);
    broker_close(&b);
}

TEST(list_offsets_tells_what_is_wrong)
{
    struct test_broker b;
    open_with_records(&b);
    struct test_client *c = broker_client(&b);
    expect_int(
        only_partition(client_call(c, KAFKA_LIST_OFFSETS, 7, ask(&b, "nobody", 0, -1)))->error_code,
        KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_int(
        only_partition(client_call(c, KAFKA_LIST_OFFSETS, 7, ask(&b, "orders", 9, -1)))->error_code,
        KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct kafka_list_offsets_request *in = ask(&b, "orders", 0, -1);
    in->topics.items[0].partitions.items[0].current_leader_epoch = 1000;
    expect_int(only_partition(client_call(c, KAFKA_LIST_OFFSETS, 7, in))->error_code,
               KAFKA_UNKNOWN_LEADER_EPOCH);
    broker_close(&b);
}

TEST(list_offsets_that_reads_is_forgotten_with_its_connection)
{
    struct test_broker b;
    open_with_records(&b);
    struct test_client *c = broker_client(&b);
    client_send(c, KAFKA_LIST_OFFSETS, 7, ask(&b, "orders", 0, 1000));
    sim_link_end(c->link);
    broker_turn(&b);
    expect_int(sim_link_unfreed_count(c->link), 0);
    broker_commit(&b);
    broker_close(&b);
}

/* A topic with a batch of two records at 1000 * (i + 1) and 100 later in each partition i. */
static struct topic *topic_of_batches(struct test_broker *b, int32_t partitions)
{
    struct topic *topic = broker_topic(b, "many", partitions);
    for (int32_t i = 0; i < partitions; i++) {
        struct batch_builder builder = {0};
        struct batch batch;
        batch_builder_begin(&builder, 0);
        for (int64_t at = 1000 * (i + 1); at <= 1000 * (i + 1) + 100; at += 100)
            batch_builder_add(&builder, at, BYTES_NULL, BYTES_LITERAL("v"), BYTES_NULL, 0);
        expect_ok(batch_parse(batch_builder_end(&builder), &batch));
        broker_append_batch(b, topic->partitions[i], &batch);
        batch_builder_reset(&builder);
    }
    return topic;
}

TEST(list_offsets_walks_many_partitions_in_order)
{
    enum { COUNT = 7 };
    static const int64_t times[COUNT] = {1001, -1, 3100, -2, 5101, -3, 0};
    static const int64_t offsets[COUNT] = {1, 2, 1, 0, -1, 1, 0};
    struct test_broker b;
    broker_open(&b);
    topic_of_batches(&b, COUNT);
    struct kafka_list_offsets_request *in = ask(&b, "many", 0, -1);
    in->topics.items[0].partitions.items =
        wire_new(&kafka_list_offsets_request_partition_schema, &b.arena, COUNT);
    in->topics.items[0].partitions.count = COUNT;
    for (int i = 0; i < COUNT; i++) {
        in->topics.items[0].partitions.items[i].partition_index = i;
        in->topics.items[0].partitions.items[i].timestamp = times[i];
    }
    struct kafka_list_offsets_response *reply =
        client_call(broker_client(&b), KAFKA_LIST_OFFSETS, 7, in);
    expect_int(reply->topics.items[0].partitions.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        expect_int(reply->topics.items[0].partitions.items[i].partition_index, i);
        expect_int(reply->topics.items[0].partitions.items[i].offset, offsets[i]);
    }
    broker_close(&b);
}

TEST(list_offsets_answers_a_partition_that_is_named_twice_once_and_refuses_it)
{
    struct test_broker b;
    broker_open(&b);
    topic_of_batches(&b, 2);
    struct kafka_list_offsets_request *in = ask(&b, "many", 0, -1);
    struct kafka_list_offsets_request_topic twice[2] = {in->topics.items[0], in->topics.items[0]};
    struct kafka_list_offsets_request_partition both[2];
    both[0] = both[1] = in->topics.items[0].partitions.items[0];
    both[0].partition_index = 1;
    twice[1].partitions.items = both;
    twice[1].partitions.count = 2;
    in->topics.items = twice;
    in->topics.count = 2;
    struct kafka_list_offsets_response *reply =
        client_call(broker_client(&b), KAFKA_LIST_OFFSETS, 7, in);
    expect_int(reply->topics.count, 2);
    expect_int(reply->topics.items[0].partitions.count, 1);
    expect_int(reply->topics.items[0].partitions.items[0].error_code, KAFKA_INVALID_REQUEST);
    expect_int(reply->topics.items[1].partitions.count, 1);
    expect_int(reply->topics.items[1].partitions.items[0].partition_index, 1);
    expect_int(reply->topics.items[1].partitions.items[0].offset, 2);
    broker_close(&b);
}

TEST(list_offsets_passes_a_batch_whose_fitting_records_are_no_longer_kept)
{
    struct test_broker b;
    broker_open(&b);
    struct partition *p = broker_topic(&b, "orders", 1)->partitions[0];
    static const int64_t times[][2] = {{9000, 1000}, {1500, 9500}};
    for (size_t i = 0; i < 2; i++) {
        struct batch_builder builder = {0};
        struct batch batch;
        batch_builder_begin(&builder, 0);
        for (size_t j = 0; j < 2; j++)
            batch_builder_add(&builder, times[i][j], BYTES_NULL, BYTES_LITERAL("v"), BYTES_NULL, 0);
        expect_ok(batch_parse(batch_builder_end(&builder), &batch));
        broker_append_batch(&b, p, &batch);
        batch_builder_reset(&builder);
    }
    struct ticket ticket;
    log_trim(p->log, 1, &ticket);
    broker_commit(&b);
    const struct kafka_list_offsets_response_partition *out = call(broker_client(&b), 7, 5000);
    expect_int(out->offset, 3);
    expect_int(out->timestamp, 9500);
    broker_close(&b);
}

/* ---- compressed batches ---- */

/* The records of `plain` in a gzip stream, as a batch of their own. */
static struct bytes compressed(struct arena *arena, struct bytes plain)
{
    struct bytes records =
        bytes_of(plain.data + BATCH_HEADER_BYTES, plain.size - BATCH_HEADER_BYTES);
    uint8_t *out = arena_alloc(arena, plain.size + 1000);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)records.data,
                  .avail_in = (uInt)records.size,
                  .next_out = out + BATCH_HEADER_BYTES,
                  .avail_out = (uInt)records.size + 900};
    memcpy(out, plain.data, BATCH_HEADER_BYTES);
    expect_int(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    expect_int(deflate(&z, Z_FINISH), Z_STREAM_END);
    struct bytes batch = bytes_of(out, BATCH_HEADER_BYTES + z.total_out);
    deflateEnd(&z);
    put_u32(out + 8, (uint32_t)(batch.size - BATCH_PREFIX_BYTES));
    put_u16(out + 21, CODEC_GZIP);
    batch_sign(batch);
    return batch;
}

static void append_compressed(struct test_broker *b, struct partition *p, bool is_damaged)
{
    struct batch_builder builder = {0};
    struct batch batch;
    batch_builder_begin(&builder, 0);
    for (int64_t i = 0; i < 1000; i++)
        batch_builder_add(&builder, 1000 + i, BYTES_NULL, BYTES_LITERAL("value"), BYTES_NULL, 0);
    struct bytes raw = compressed(&b->arena, batch_builder_end(&builder));
    if (is_damaged) {
        memset((uint8_t *)(uintptr_t)raw.data + BATCH_HEADER_BYTES + 20, 0, 20);
        batch_sign(raw);
    }
    batch_builder_reset(&builder);
    expect_ok(batch_parse(raw, &batch));
    broker_append_batch(b, p, &batch);
}

TEST(list_offsets_inflates_on_a_helper)
{
    struct test_broker b;
    broker_open(&b);
    append_compressed(&b, broker_topic(&b, "orders", 1)->partitions[0], false);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_LIST_OFFSETS, 7, ask(&b, "orders", 0, 1700));
    int steps = 0;
    struct kafka_list_offsets_response *reply = NULL;
    while (!reply && broker_step(&b)) {
        steps++;
        reply = client_receive(c, KAFKA_LIST_OFFSETS, 7, id);
    }
    expect_true(steps > 2); /* more than the read alone */
    expect_int(only_partition(reply)->offset, 700);
    expect_int(only_partition(reply)->timestamp, 1700);
    expect_int(call(c, 7, -3)->offset, 999);
    broker_close(&b);
}

TEST(stored_bytes_are_never_trusted_when_times_are_looked_up)
{
    struct test_broker b;
    broker_open(&b);
    append_compressed(&b, broker_topic(&b, "orders", 1)->partitions[0], true);
    expect_int(call(broker_client(&b), 7, 1700)->error_code, KAFKA_CORRUPT_MESSAGE);
    broker_close(&b);
}

TEST(list_offsets_that_inflates_is_forgotten_with_its_connection_and_with_the_broker)
{
    struct test_broker b;
    broker_open(&b);
    append_compressed(&b, broker_topic(&b, "orders", 1)->partitions[0], false);
    for (int i = 0; i < 2; i++) {
        struct test_client *c = broker_client(&b);
        client_send(c, KAFKA_LIST_OFFSETS, 7, ask(&b, "orders", 0, 1700));
        while (sim_jobs_waiting_count(b.jobs) == 0 || sim_jobs_ended_count(b.jobs) > 0)
            expect_true(broker_step(&b));
        expect_true(broker_step(&b)); /* the read; the helper's job waits */
        sim_link_end(c->link);
        broker_turn(&b);
        expect_int(sim_link_unfreed_count(c->link), 0);
        if (i == 0)
            broker_commit(&b);
    }
    broker_close(&b);
}
