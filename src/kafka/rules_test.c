/* Rules of docs/rules.md that concern more than one kind of request. Each test is named after its
 * rule. */
#include "kafka/errors.h"
#include "kafka/test_broker.h"

#define ONE(b, type) wire_new(&type##_schema, &(b)->arena, 1)

enum { PRODUCE_VERSION = 9, OFFSETS_VERSION = 7, RECORDS_VERSION = 2, EPOCH_VERSION = 4 };

static int32_t send_produce(struct test_client *c, int16_t acks)
{
    struct test_broker *b = c->broker;
    struct bytes batch = make_batch(&b->arena, b->wall_ms, "value", NULL);
    return client_send(c, KAFKA_PRODUCE, PRODUCE_VERSION,
                       make_produce(&b->arena, "orders", 0, acks, batch));
}

static void turn_without_disk(struct test_broker *b)
{
    for (int i = 0; i < 5; i++)
        broker_turn(b);
}

static int32_t send_list_latest(struct test_client *c)
{
    struct kafka_list_offsets_request *in = ONE(c->broker, kafka_list_offsets_request);
    in->topics.items = ONE(c->broker, kafka_list_offsets_request_topic);
    in->topics.count = 1;
    in->topics.items[0].name = BYTES_LITERAL("orders");
    in->topics.items[0].partitions.items = ONE(c->broker, kafka_list_offsets_request_partition);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].timestamp = -1;
    return client_send(c, KAFKA_LIST_OFFSETS, OFFSETS_VERSION, in);
}

static int32_t send_delete_all_records(struct test_client *c)
{
    struct kafka_delete_records_request *in = ONE(c->broker, kafka_delete_records_request);
    in->timeout_ms = 30000;
    in->topics.items = ONE(c->broker, kafka_delete_records_request_topic);
    in->topics.count = 1;
    in->topics.items[0].name = BYTES_LITERAL("orders");
    in->topics.items[0].partitions.items = ONE(c->broker, kafka_delete_records_request_partition);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].offset = 1;
    return client_send(c, KAFKA_DELETE_RECORDS, RECORDS_VERSION, in);
}

static int32_t send_epoch_end(struct test_client *c)
{
    struct test_broker *b = c->broker;
    struct kafka_offset_for_leader_epoch_request *in =
        ONE(b, kafka_offset_for_leader_epoch_request);
    in->topics.items = ONE(b, kafka_offset_for_leader_epoch_request_topic);
    in->topics.count = 1;
    in->topics.items[0].topic = BYTES_LITERAL("orders");
    in->topics.items[0].partitions.items = ONE(b, kafka_offset_for_leader_epoch_request_partition);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].leader_epoch = store_epoch(b->core->store);
    return client_send(c, KAFKA_OFFSET_FOR_LEADER_EPOCH, EPOCH_VERSION, in);
}

static int32_t send_commit(struct test_client *c, int64_t offset)
{
    struct kafka_offset_commit_request *in = ONE(c->broker, kafka_offset_commit_request);
    in->group_id = BYTES_LITERAL("work");
    in->topics.items = ONE(c->broker, kafka_offset_commit_request_topic);
    in->topics.count = 1;
    in->topics.items[0].name = BYTES_LITERAL("orders");
    in->topics.items[0].partitions.items = ONE(c->broker, kafka_offset_commit_request_partition);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].committed_offset = offset;
    return client_send(c, KAFKA_OFFSET_COMMIT, 7, in);
}

static int32_t send_offset_fetch(struct test_client *c)
{
    struct kafka_offset_fetch_request *in = ONE(c->broker, kafka_offset_fetch_request);
    in->group_id = BYTES_LITERAL("work");
    in->topics.items = NULL;
    return client_send(c, KAFKA_OFFSET_FETCH, 5, in);
}

static int64_t committed_offset(const struct kafka_offset_fetch_response *reply)
{
    expect_not_null(reply);
    expect_int(reply->topics.count, 1);
    return reply->topics.items[0].partitions.items[0].committed_offset;
}

/* Another client has produced, and committed an offset; none of that is on the disk yet. */
TEST(an_answer_about_a_log_s_end_waits_until_the_end_that_it_saw_is_committed)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *writer = broker_client(&b), *list = broker_client(&b),
                       *delete = broker_client(&b), *other = broker_client(&b);
    broker_append(&b, topic_find(b.core, BYTES_LITERAL("orders"))->partitions[0], "first");
    send_commit(writer, 0);
    broker_commit(&b);
    send_produce(writer, 0);
    send_commit(writer, 1);
    int32_t listed = send_list_latest(list), deleted = send_delete_all_records(delete);
    int32_t epoch = send_epoch_end(other), fetched = send_offset_fetch(other);
    turn_without_disk(&b);
    expect_null(client_receive(list, KAFKA_LIST_OFFSETS, OFFSETS_VERSION, listed));
    expect_null(client_receive(delete, KAFKA_DELETE_RECORDS, RECORDS_VERSION, deleted));
    expect_null(client_receive(other, KAFKA_OFFSET_FOR_LEADER_EPOCH, EPOCH_VERSION, epoch));
    broker_commit(&b);
    struct kafka_list_offsets_response *ends =
        client_receive(list, KAFKA_LIST_OFFSETS, OFFSETS_VERSION, listed);
    expect_int(ends->topics.items[0].partitions.items[0].offset, 2);
    struct kafka_delete_records_response *low =
        client_receive(delete, KAFKA_DELETE_RECORDS, RECORDS_VERSION, deleted);
    expect_int(low->topics.items[0].partitions.items[0].low_watermark, 1);
    struct kafka_offset_for_leader_epoch_response *end =
        client_receive(other, KAFKA_OFFSET_FOR_LEADER_EPOCH, EPOCH_VERSION, epoch);
    expect_int(end->topics.items[0].partitions.items[0].end_offset, 2);
    expect_int(committed_offset(client_receive(other, KAFKA_OFFSET_FETCH, 5, fetched)), 1);
    broker_close(&b);
}

/* ---- the catalog ---- */

static int32_t send_create(struct test_client *c, const char *name)
{
    struct kafka_create_topics_request *in = ONE(c->broker, kafka_create_topics_request);
    in->timeout_ms = 30000;
    in->topics.items = ONE(c->broker, kafka_create_topics_request_topic);
    in->topics.count = 1;
    in->topics.items[0].name = bytes_from_string(name);
    in->topics.items[0].num_partitions = 1;
    in->topics.items[0].replication_factor = 1;
    return client_send(c, KAFKA_CREATE_TOPICS, 5, in);
}

static int32_t send_grow(struct test_client *c, const char *name)
{
    struct kafka_create_partitions_request *in = ONE(c->broker, kafka_create_partitions_request);
    in->timeout_ms = 30000;
    in->topics.items = ONE(c->broker, kafka_create_partitions_request_topic);
    in->topics.count = 1;
    in->topics.items[0].name = bytes_from_string(name);
    in->topics.items[0].count = 2;
    return client_send(c, KAFKA_CREATE_PARTITIONS, 3, in);
}

static int32_t send_alter(struct test_client *c, const char *name)
{
    enum { TOPIC = 2 };
    struct kafka_incremental_alter_configs_request *in =
        ONE(c->broker, kafka_incremental_alter_configs_request);
    in->resources.items = ONE(c->broker, kafka_incremental_alter_configs_request_resource);
    in->resources.count = 1;
    in->resources.items[0].resource_type = TOPIC;
    in->resources.items[0].resource_name = bytes_from_string(name);
    in->resources.items[0].configs.items =
        ONE(c->broker, kafka_incremental_alter_configs_request_config);
    in->resources.items[0].configs.count = 1;
    in->resources.items[0].configs.items[0].name = BYTES_LITERAL("retention.ms");
    in->resources.items[0].configs.items[0].value = BYTES_LITERAL("12345");
    return client_send(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, in);
}

static int32_t send_delete(struct test_client *c, const char *name)
{
    struct kafka_delete_topics_request *in = ONE(c->broker, kafka_delete_topics_request);
    struct bytes *names = arena_zalloc(&c->broker->arena, 1, sizeof *names);
    names[0] = bytes_from_string(name);
    in->timeout_ms = 30000;
    in->topic_names.items = names;
    in->topic_names.count = 1;
    return client_send(c, KAFKA_DELETE_TOPICS, 5, in);
}

TEST(a_catalog_answer_leaves_after_its_record_is_durable_and_in_force)
{
    static const struct {
        int key, version;
        int32_t (*send)(struct test_client *c, const char *name);
        const char *topic;
    } rows[] = {
        {KAFKA_CREATE_TOPICS, 5, send_create, "new"},
        {KAFKA_CREATE_PARTITIONS, 3, send_grow, "grown"},
        {KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, send_alter, "altered"},
        {KAFKA_DELETE_TOPICS, 5, send_delete, "deleted"},
    };
    enum { COUNT = 4 };
    struct test_broker b;
    int32_t ids[COUNT];
    broker_open(&b);
    for (int i = 1; i < COUNT; i++)
        broker_topic(&b, rows[i].topic, 1);
    for (int i = 0; i < COUNT; i++)
        ids[i] = rows[i].send(broker_client(&b), rows[i].topic);
    turn_without_disk(&b);
    for (int i = 0; i < COUNT; i++)
        expect_null(client_receive(&b.clients[i], rows[i].key, rows[i].version, ids[i]));
    broker_commit(&b);
    for (int i = 0; i < COUNT; i++)
        expect_not_null(client_receive(&b.clients[i], rows[i].key, rows[i].version, ids[i]));
    expect_not_null(topic_find(b.core, BYTES_LITERAL("new")));
    expect_int(topic_find(b.core, BYTES_LITERAL("grown"))->partition_count, 2);
    expect_int(topic_find(b.core, BYTES_LITERAL("altered"))->policy.retention_ms, 12345);
    expect_null(topic_find(b.core, BYTES_LITERAL("deleted")));
    broker_close(&b);
}

/* ---- retention ---- */

TEST(a_topic_s_retention_wins_over_who_has_not_read_it_yet)
{
    enum { RETENTION_MS = 1000, FETCH_VERSION = 11 };
    struct topic_config config = {(char *)"retention.ms", (char *)"1000"};
    struct topic_spec spec = {.name = BYTES_LITERAL("orders"),
                              .partition_count = 1,
                              .configs = &config,
                              .config_count = 1};
    struct test_broker b;
    struct topic *topic;
    broker_open(&b);
    expect_ok(topic_create(b.core, &spec, &topic));
    struct test_client *c = broker_client(&b);
    broker_append(&b, topic->partitions[0], "value");
    send_commit(c, 0); /* it has read nothing */
    broker_commit(&b);
    for (int i = 0; i < 20; i++) {
        broker_advance(&b, 30 * RETENTION_MS);
        broker_commit(&b);
    }
    expect_int(topic->partitions[0]->log->start, 1);
    c = broker_client(&b); /* the other one was idle for too long */
    int32_t fetched = send_offset_fetch(c);
    broker_commit(&b);
    expect_int(committed_offset(client_receive(c, KAFKA_OFFSET_FETCH, 5, fetched)), 0);

    struct kafka_fetch_request *in = ONE(&b, kafka_fetch_request);
    in->max_bytes = 1 << 20;
    in->session_epoch = -1;
    in->topics.items = ONE(&b, kafka_fetch_request_topic);
    in->topics.count = 1;
    in->topics.items[0].topic = BYTES_LITERAL("orders");
    in->topics.items[0].partitions.items = ONE(&b, kafka_fetch_request_partition);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].partition_max_bytes = 1 << 20;
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, FETCH_VERSION, in);
    expect_int(reply->responses.items[0].partitions.items[0].error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    broker_close(&b);
}
