#include "kafka/test_broker.h"

#include "kafka/errors.h"

static struct kafka_offset_for_leader_epoch_request *
ask(struct test_broker *b, const char *name, int32_t partition, int32_t current, int32_t epoch)
{
    struct kafka_offset_for_leader_epoch_request *in =
        wire_new(&kafka_offset_for_leader_epoch_request_schema, &b->arena, 1);
    in->topics.items = wire_new(&kafka_offset_for_leader_epoch_request_topic_schema, &b->arena, 1);
    in->topics.count = 1;
    in->topics.items[0].topic = bytes_from_string(name);
    in->topics.items[0].partitions.items =
        wire_new(&kafka_offset_for_leader_epoch_request_partition_schema, &b->arena, 1);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0] =
        (struct kafka_offset_for_leader_epoch_request_partition){
            .partition = partition, .current_leader_epoch = current, .leader_epoch = epoch};
    return in;
}

static const struct kafka_offset_for_leader_epoch_response_partition *
only_partition(const struct kafka_offset_for_leader_epoch_response *reply)
{
    expect_not_null(reply);
    expect_int(reply->topics.count, 1);
    expect_int(reply->topics.items[0].partitions.count, 1);
    return &reply->topics.items[0].partitions.items[0];
}

static void expect_end(struct test_client *c, int version, int32_t epoch, int32_t out_epoch,
                       int64_t end)
{
    const struct kafka_offset_for_leader_epoch_response_partition *out = only_partition(client_call(
        c, KAFKA_OFFSET_FOR_LEADER_EPOCH, version, ask(c->broker, "orders", 1, -1, epoch)));
    expect_int(out->error_code, KAFKA_NONE);
    expect_int(out->partition, 1);
    expect_int(out->leader_epoch, out_epoch);
    expect_int(out->end_offset, end);
}

/* While the core opens, it waits for its reads. */
static bool run_and_poll(struct jobs *jobs)
{
    bool any = sim_jobs_waiting_count(jobs) + sim_jobs_ended_count(jobs) > 0;
    sim_jobs_drain(jobs);
    return any;
}

/* Stop, start, and connect again. */
static struct test_client *restart(struct test_broker *b)
{
    struct core_config config;
    broker_config(&config);
    sim_link_free(b->clients[--b->client_count].link);
    core_turn_end(b->core);
    sim_jobs_drain(b->jobs);
    core_abandon(b->core);
    sim_jobs_free(b->jobs);
    b->jobs = sim_jobs_new();
    bool (*poll)(struct jobs *) = b->jobs->poll;
    b->jobs->poll = run_and_poll;
    expect_ok(core_open(&config, b->disk, b->jobs, &b->core));
    b->jobs->poll = poll;
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    broker_commit(b);
    return broker_client(b);
}

static struct partition *partition_of(struct test_broker *b)
{
    return topic_partition(topic_find(b->core, BYTES_LITERAL("orders")), 1);
}

TEST(an_epoch_ends_where_the_next_one_begins)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    int32_t first = store_epoch(b.core->store);
    for (int version = 2; version <= 4; version++)
        expect_end(c, version, first, first, 0);
    broker_append(&b, partition_of(&b), "a");
    broker_append(&b, partition_of(&b), "b");
    expect_end(c, 4, first, first, 2);
    expect_end(c, 4, first - 1, first - 1, 0); /* before all: where the log begins */
    expect_end(c, 4, first + 1, -1, -1);
    expect_end(c, 4, -1, -1, -1);

    c = restart(&b);
    c = restart(&b);
    int32_t newest = store_epoch(b.core->store);
    expect_int(newest, first + 2);
    expect_end(c, 4, first, first, 2);
    expect_end(c, 4, first + 1, first, 2); /* nothing was written in it */
    expect_end(c, 4, newest, newest, 2);
    broker_append(&b, partition_of(&b), "c");
    expect_end(c, 4, first, first, 2);
    expect_end(c, 4, newest, newest, 3);

    struct ticket trimmed;
    log_trim(partition_of(&b)->log, 3, &trimmed);
    broker_commit(&b);
    expect_end(c, 4, first, first, 3); /* gone: go on where the log begins */
    expect_end(c, 4, newest, newest, 3);
    broker_close(&b);
}

TEST(the_end_of_the_newest_epoch_waits_for_what_is_under_way)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    struct bytes batch = make_batch(&b.arena, b.wall_ms, "late", NULL);
    client_send(c, KAFKA_PRODUCE, 9, make_produce(&b.arena, "orders", 1, 0, batch));
    int32_t id = client_send(c, KAFKA_OFFSET_FOR_LEADER_EPOCH, 4,
                             ask(&b, "orders", 1, -1, store_epoch(b.core->store)));
    for (int i = 0; i < 5; i++)
        broker_turn(&b);
    expect_null(client_receive(c, KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, id));
    broker_commit(&b);
    expect_int(only_partition(client_receive(c, KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, id))->end_offset,
               1);
    broker_close(&b);
}

static void expect_error(struct test_client *c, const char *name, int32_t partition,
                         int32_t current, enum kafka_error error)
{
    const struct kafka_offset_for_leader_epoch_response_partition *out = only_partition(client_call(
        c, KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, ask(c->broker, name, partition, current, 0)));
    expect_int(out->error_code, error);
    expect_int(out->leader_epoch, -1);
    expect_int(out->end_offset, -1);
}

TEST(other_leaders_and_unknown_partitions_have_no_epochs)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    int32_t newest = store_epoch(b.core->store);
    expect_error(c, "nobody", 0, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_error(c, "orders", 2, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_error(c, "orders", 1, newest - 1, KAFKA_FENCED_LEADER_EPOCH);
    expect_error(c, "orders", 1, newest + 1, KAFKA_UNKNOWN_LEADER_EPOCH);
    broker_close(&b);
}
