#include "kafka/test_broker.h"

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

TEST(list_offsets_walks_many_partitions_in_order)
{
    struct test_broker b;
    open_with_records(&b);
    struct kafka_list_offsets_request *in = ask(&b, "orders", 0, -1);
    static const int64_t times[] = {1, -1, 3000, -2, 5001, -3, 0};
    enum { COUNT = sizeof times / sizeof times[0] };
    in->topics.items[0].partitions.items =
        wire_new(&kafka_list_offsets_request_partition_schema, &b.arena, COUNT);
    in->topics.items[0].partitions.count = COUNT;
    for (int i = 0; i < COUNT; i++)
        in->topics.items[0].partitions.items[i].timestamp = times[i];
    struct kafka_list_offsets_response *reply =
        client_call(broker_client(&b), KAFKA_LIST_OFFSETS, 7, in);
    static const int64_t offsets[] = {1, 5, 2, 1, -1, 3, 1};
    expect_int(reply->topics.items[0].partitions.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        expect_int(reply->topics.items[0].partitions.items[i].offset, offsets[i]);
    broker_close(&b);
}
