#include "kafka/test_broker.h"

#include "kafka/errors.h"

static struct kafka_delete_records_request *ask(struct test_broker *b, const char *name,
                                                int32_t partition, int64_t offset)
{
    struct kafka_delete_records_request *in =
        wire_new(&kafka_delete_records_request_schema, &b->arena, 1);
    in->timeout_ms = 1000;
    in->topics.items = wire_new(&kafka_delete_records_request_topic_schema, &b->arena, 1);
    in->topics.count = 1;
    in->topics.items[0].name = bytes_from_string(name);
    in->topics.items[0].partitions.items =
        wire_new(&kafka_delete_records_request_partition_schema, &b->arena, 1);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].partition_index = partition;
    in->topics.items[0].partitions.items[0].offset = offset;
    return in;
}

static const struct kafka_delete_records_response_partition *
only_partition(const struct kafka_delete_records_response *reply)
{
    expect_not_null(reply);
    expect_int(reply->topics.count, 1);
    expect_int(reply->topics.items[0].partitions.count, 1);
    return &reply->topics.items[0].partitions.items[0];
}

static void expect_deleted(struct test_client *c, int version, const char *name, int32_t partition,
                           int64_t offset, enum kafka_error error, int64_t low)
{
    const struct kafka_delete_records_response_partition *out = only_partition(
        client_call(c, KAFKA_DELETE_RECORDS, version, ask(c->broker, name, partition, offset)));
    expect_int(out->partition_index, partition);
    expect_int(out->error_code, error);
    expect_int(out->low_watermark, low);
}

static struct log *log_of(struct test_broker *b, int records)
{
    struct partition *p = topic_partition(broker_topic(b, "orders", 2), 1);
    for (int i = 0; i < records; i++)
        broker_append(b, p, "value");
    return p->log;
}

TEST(records_below_an_offset_are_deleted_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct log *log = log_of(&b, 6);
    struct test_client *c = broker_client(&b);
    for (int version = 0; version <= 2; version++) {
        expect_deleted(c, version, "orders", 1, version + 1, KAFKA_NONE, version + 1);
        expect_int(log->start, version + 1);
    }
    expect_deleted(c, 2, "orders", 1, 2, KAFKA_NONE, 3); /* they are gone already */
    expect_deleted(c, 2, "orders", 1, -1, KAFKA_NONE, 6);
    expect_int(log->start, 6);
    expect_deleted(c, 2, "orders", 1, 6, KAFKA_NONE, 6);
    expect_deleted(c, 2, "orders", 0, -1, KAFKA_NONE, 0); /* nothing was ever there */
    broker_close(&b);
}

TEST(what_cannot_be_deleted_is_refused)
{
    struct test_broker b;
    broker_open(&b);
    struct log *log = log_of(&b, 2);
    broker_topic(&b, "__consumer_offsets", 1);
    struct test_client *c = broker_client(&b);
    expect_deleted(c, 2, "orders", 1, 3, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    expect_deleted(c, 2, "orders", 1, -2, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    expect_deleted(c, 2, "orders", 2, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    expect_deleted(c, 2, "nobody", 0, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    expect_deleted(c, 2, "__consumer_offsets", 0, 0, KAFKA_INVALID_TOPIC, -1);
    expect_int(log->start, 0);
    broker_close(&b);
}

TEST(what_was_produced_before_the_request_is_committed_first)
{
    struct test_broker b;
    broker_open(&b);
    struct log *log = log_of(&b, 1);
    struct test_client *c = broker_client(&b);
    struct bytes batch = make_batch(&b.arena, b.wall_ms, "late", NULL);
    int32_t first = client_send(c, KAFKA_PRODUCE, 9, make_produce(&b.arena, "orders", 1, 1, batch));
    int32_t second = client_send(c, KAFKA_DELETE_RECORDS, 2, ask(&b, "orders", 1, 2));
    for (int i = 0; i < 5; i++)
        broker_turn(&b);
    expect_int(log->start, 0);
    broker_commit(&b);
    expect_not_null(client_receive(c, KAFKA_PRODUCE, 9, first));
    expect_int(only_partition(client_receive(c, KAFKA_DELETE_RECORDS, 2, second))->low_watermark,
               2);
    broker_close(&b);
}

TEST(the_answer_waits_until_the_deletion_is_durable_and_no_longer_than_asked)
{
    struct test_broker b;
    broker_open(&b);
    struct log *log = log_of(&b, 3);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_DELETE_RECORDS, 2, ask(&b, "orders", 1, 2));
    int32_t same = client_send(c, KAFKA_DELETE_RECORDS, 2, ask(&b, "orders", 1, 2));
    expect_int(log->start, 2);
    for (int i = 0; i < 5; i++)
        broker_turn(&b);
    expect_null(client_receive(c, KAFKA_DELETE_RECORDS, 2, id));
    broker_advance(&b, 1001);
    expect_int(only_partition(client_receive(c, KAFKA_DELETE_RECORDS, 2, id))->error_code,
               KAFKA_REQUEST_TIMED_OUT);
    const struct kafka_delete_records_response_partition *out =
        only_partition(client_receive(c, KAFKA_DELETE_RECORDS, 2, same));
    expect_int(out->error_code, KAFKA_REQUEST_TIMED_OUT);
    expect_int(out->low_watermark, -1);
    broker_commit(&b);
    expect_deleted(c, 2, "orders", 1, 2, KAFKA_NONE, 2);
    broker_close(&b);
}

TEST(a_deletion_that_the_disk_refuses_is_told_so)
{
    struct test_broker b;
    broker_open(&b);
    log_of(&b, 3);
    struct test_client *c = broker_client(&b);
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    expect_deleted(c, 2, "orders", 1, 2, KAFKA_STORAGE_ERROR, -1);
    broker_close(&b);
}
