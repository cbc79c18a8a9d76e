/* CreateTopics and DeleteTopics. */
#include "kafka/test_broker.h"

#include "kafka/errors.h"

static struct kafka_create_topics_request *create(struct test_broker *b, const char *name,
                                                  int32_t partitions, int16_t replicas)
{
    struct kafka_create_topics_request *in =
        wire_new(&kafka_create_topics_request_schema, &b->arena, 1);
    in->timeout_ms = 5000;
    in->topics.items = wire_new(&kafka_create_topics_request_topic_schema, &b->arena, 2);
    in->topics.count = 1;
    in->topics.items[0].name = bytes_from_string(name);
    in->topics.items[0].num_partitions = partitions;
    in->topics.items[0].replication_factor = replicas;
    return in;
}

static void add_config(struct test_broker *b, struct kafka_create_topics_request *in,
                       const char *name, const char *value)
{
    struct kafka_create_topics_request_topic *topic = &in->topics.items[0];
    if (!topic->configs.items)
        topic->configs.items = wire_new(&kafka_create_topics_request_config_schema, &b->arena, 8);
    topic->configs.items[topic->configs.count++] = (struct kafka_create_topics_request_config){
        bytes_from_string(name), value ? bytes_from_string(value) : BYTES_NULL};
}

static const struct kafka_create_topics_response_topic *
only_created(const struct kafka_create_topics_response *reply)
{
    expect_not_null(reply);
    expect_int(reply->topics.count, 1);
    return &reply->topics.items[0];
}

static const struct kafka_create_topics_response_topic *
call_create(struct test_client *c, int version, const struct kafka_create_topics_request *in)
{
    return only_created(client_call(c, KAFKA_CREATE_TOPICS, version, in));
}

static const char *config_value(struct test_broker *b,
                                const struct kafka_create_topics_response_topic *out,
                                const char *name, int source)
{
    for (int32_t i = 0; i < out->configs.count; i++) {
        const struct kafka_create_topics_response_config *config = &out->configs.items[i];
        if (!bytes_equal_string(config->name, name))
            continue;
        expect_int(config->config_source, source);
        return (const char *)arena_copy(&b->arena, config->value).data;
    }
    return NULL;
}

TEST(create_topics_creates_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (int version = 2; version <= 7; version++) {
        const char *name = arena_printf(&b.arena, "topic-%d", version);
        struct kafka_create_topics_request *in = create(&b, name, 3, 1);
        add_config(&b, in, "max.message.bytes", "2000000");
        const struct kafka_create_topics_response_topic *out = call_create(c, version, in);
        struct topic *topic = topic_find(b.core, bytes_from_string(name));
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(topic->partition_count, 3);
        expect_int(topic->message_max_bytes, 2000000);
        if (version < 5)
            continue;
        expect_int(out->num_partitions, 3);
        expect_int(out->replication_factor, 1);
        expect_string(config_value(&b, out, "max.message.bytes", 1), "2000000");
        expect_string(config_value(&b, out, "cleanup.policy", 5), "delete");
        if (version >= 7)
            expect_true(memcmp(&out->topic_id, topic->id, sizeof topic->id) == 0);
    }
    broker_close(&b);
}

TEST(create_topics_is_answered_when_it_is_durable)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_CREATE_TOPICS, 5, create(&b, "orders", 1, 1));
    broker_turn(&b);
    expect_null(client_receive(c, KAFKA_CREATE_TOPICS, 5, id));
    broker_commit(&b);
    expect_int(only_created(client_receive(c, KAFKA_CREATE_TOPICS, 5, id))->error_code, KAFKA_NONE);
    broker_close(&b);
}

TEST(create_topics_says_already_exists_only_when_that_is_durable)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *first = broker_client(&b), *second = broker_client(&b);
    client_send(first, KAFKA_CREATE_TOPICS, 5, create(&b, "orders", 1, 1));
    int32_t id = client_send(second, KAFKA_CREATE_TOPICS, 5, create(&b, "orders", 1, 1));
    broker_turn(&b);
    expect_null(client_receive(second, KAFKA_CREATE_TOPICS, 5, id));
    broker_commit(&b);
    const struct kafka_create_topics_response_topic *out =
        only_created(client_receive(second, KAFKA_CREATE_TOPICS, 5, id));
    expect_int(out->error_code, KAFKA_TOPIC_ALREADY_EXISTS);
    expect_true(bytes_equal_string(out->error_message, "Topic 'orders' already exists."));
    broker_close(&b);
}

TEST(create_topics_takes_defaults_for_minus_1)
{
    struct test_broker b;
    broker_open(&b);
    b.core->config.default_partitions = 4;
    const struct kafka_create_topics_response_topic *out =
        call_create(broker_client(&b), 5, create(&b, "orders", -1, -1));
    expect_int(out->error_code, KAFKA_NONE);
    expect_int(out->num_partitions, 4);
    expect_int(out->replication_factor, 1);
    broker_close(&b);
}

TEST(create_topics_lowers_a_replication_factor_to_the_nodes_there_are)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    const struct kafka_create_topics_response_topic *out =
        call_create(c, 7, create(&b, "orders", 2, 3));
    expect_int(out->error_code, KAFKA_NONE);
    expect_int(out->replication_factor, 1);
    expect_not_null(topic_find(b.core, BYTES_LITERAL("orders")));
    broker_close(&b);
}

TEST(create_topics_only_validates_when_asked)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_create_topics_request *in = create(&b, "orders", 3, 1);
    in->validate_only = true;
    const struct kafka_create_topics_response_topic *out = call_create(c, 7, in);
    expect_int(out->error_code, KAFKA_NONE);
    expect_int(out->num_partitions, 3);
    expect_true(uuid_is_zero(out->topic_id));
    expect_null(topic_find(b.core, BYTES_LITERAL("orders")));
    add_config(&b, in, "max.message.bytes", "many");
    expect_int(call_create(c, 7, in)->error_code, KAFKA_INVALID_CONFIG);
    broker_close(&b);
}

TEST(create_topics_tells_what_is_wrong)
{
    static const struct {
        const char *name, *config, *value;
        int32_t partitions;
        int16_t replicas;
        enum kafka_error error;
    } cases[] = {
        {"no spaces", NULL, NULL, 1, 1, KAFKA_INVALID_TOPIC},
        {"", NULL, NULL, 1, 1, KAFKA_INVALID_TOPIC},
        {"..", NULL, NULL, 1, 1, KAFKA_INVALID_TOPIC},
        {"t", NULL, NULL, 0, 1, KAFKA_INVALID_PARTITIONS},
        {"t", NULL, NULL, -2, 1, KAFKA_INVALID_PARTITIONS},
        {"t", NULL, NULL, 1, 0, KAFKA_INVALID_REPLICATION_FACTOR},
        {"t", NULL, NULL, 1, -2, KAFKA_INVALID_REPLICATION_FACTOR},
        {"t", NULL, NULL, 10001, 1, KAFKA_POLICY_VIOLATION},
        {"near_by", NULL, NULL, 1, 1, KAFKA_INVALID_TOPIC},
        {"t", "no.such.config", "1", 1, 1, KAFKA_INVALID_CONFIG},
        {"t", "retention.ms", "soon", 1, 1, KAFKA_INVALID_CONFIG},
        {"t", "retention.ms", NULL, 1, 1, KAFKA_INVALID_CONFIG},
        {"t", "remote.storage.enable", "true", 1, 1, KAFKA_INVALID_CONFIG}, /* not built */
    };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    broker_topic(&b, "near.by", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kafka_create_topics_request *in =
            create(&b, cases[i].name, cases[i].partitions, cases[i].replicas);
        if (cases[i].config)
            add_config(&b, in, cases[i].config, cases[i].value);
        const struct kafka_create_topics_response_topic *out = call_create(c, 5, in);
        expect_int(out->error_code, cases[i].error);
        expect_true(out->error_message.size > 0);
        expect_not_null(out->configs.items);
    }
    struct kafka_create_topics_request *in = create(&b, "t", 1, 1);
    add_config(&b, in, "retention.ms", "1000");
    add_config(&b, in, "retention.ms", "2000");
    expect_int(call_create(c, 5, in)->error_code, KAFKA_INVALID_CONFIG);
    expect_null(topic_find(b.core, BYTES_LITERAL("t")));
    broker_close(&b);
}

TEST(create_topics_refuses_a_name_given_twice_and_creates_the_others)
{
    struct test_broker b;
    broker_open(&b);
    struct kafka_create_topics_request *in = create(&b, "orders", 1, 1);
    in->topics.items = wire_new(&kafka_create_topics_request_topic_schema, &b.arena, 3);
    in->topics.count = 3;
    for (int i = 0; i < 3; i++) {
        in->topics.items[i].name = i == 1 ? BYTES_LITERAL("other") : BYTES_LITERAL("orders");
        in->topics.items[i].num_partitions = 1;
        in->topics.items[i].replication_factor = 1;
    }
    struct kafka_create_topics_response *reply =
        client_call(broker_client(&b), KAFKA_CREATE_TOPICS, 5, in);
    expect_int(reply->topics.count, 2);
    expect_int(reply->topics.items[0].error_code, KAFKA_INVALID_REQUEST);
    expect_int(reply->topics.items[1].error_code, KAFKA_NONE);
    expect_null(topic_find(b.core, BYTES_LITERAL("orders")));
    expect_not_null(topic_find(b.core, BYTES_LITERAL("other")));
    broker_close(&b);
}

/* Assign partition `first` and `second` to these nodes. */
static struct kafka_create_topics_request *assign(struct test_broker *b, int32_t first,
                                                  int32_t first_node, int32_t second,
                                                  int32_t second_node)
{
    struct kafka_create_topics_request *in = create(b, "orders", -1, -1);
    struct kafka_create_topics_request_topic *topic = &in->topics.items[0];
    topic->assignments.items =
        wire_new(&kafka_create_topics_request_assignment_schema, &b->arena, 2);
    topic->assignments.count = 2;
    const int32_t values[][2] = {{first, first_node}, {second, second_node}};
    for (int i = 0; i < 2; i++) {
        struct kafka_create_topics_request_assignment *a = &topic->assignments.items[i];
        a->partition_index = values[i][0];
        a->broker_ids.items = arena_zalloc(&b->arena, 1, sizeof(int32_t));
        a->broker_ids.items[0] = values[i][1];
        a->broker_ids.count = 1;
    }
    return in;
}

TEST(create_topics_takes_assignments_to_this_node_alone)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    expect_int(call_create(c, 5, assign(&b, 0, 7, 0, 7))->error_code,
               KAFKA_INVALID_REPLICA_ASSIGNMENT);
    expect_int(call_create(c, 5, assign(&b, 0, 7, 2, 7))->error_code,
               KAFKA_INVALID_REPLICA_ASSIGNMENT);
    expect_int(call_create(c, 5, assign(&b, 0, 7, -1, 7))->error_code,
               KAFKA_INVALID_REPLICA_ASSIGNMENT);
    expect_int(call_create(c, 5, assign(&b, 0, 7, 1, 8))->error_code,
               KAFKA_INVALID_REPLICA_ASSIGNMENT);
    struct kafka_create_topics_request *in = assign(&b, 1, 7, 0, 7);
    in->topics.items[0].num_partitions = 2;
    expect_int(call_create(c, 5, in)->error_code, KAFKA_INVALID_REQUEST);
    in->topics.items[0].num_partitions = -1;
    expect_int(call_create(c, 5, in)->num_partitions, 2);
    broker_close(&b);
}

TEST(create_topics_fails_when_the_disk_has_failed)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    int32_t id = client_send(c, KAFKA_CREATE_TOPICS, 5, create(&b, "orders", 1, 1));
    broker_commit(&b);
    broker_advance(&b, 5000);
    expect_int(only_created(client_receive(c, KAFKA_CREATE_TOPICS, 5, id))->error_code,
               KAFKA_REQUEST_TIMED_OUT);
    expect_int(call_create(c, 5, create(&b, "other", 1, 1))->error_code, KAFKA_STORAGE_ERROR);
    broker_close(&b);
}

/* ---- deleting ---- */

TEST(delete_topics_deletes_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (int version = 1; version <= 6; version++) {
        broker_topic(&b, "orders", 2);
        struct kafka_delete_topics_request in = {.timeout_ms = 5000};
        struct bytes name = BYTES_LITERAL("orders");
        struct kafka_delete_topics_request_topic by_name = {.name = name};
        in.topic_names.items = &name;
        in.topics.items = &by_name;
        in.topic_names.count = in.topics.count = 1;
        int32_t id = client_send(c, KAFKA_DELETE_TOPICS, version, &in);
        broker_turn(&b);
        expect_null(client_receive(c, KAFKA_DELETE_TOPICS, version, id));
        broker_commit(&b);
        struct kafka_delete_topics_response *reply =
            client_receive(c, KAFKA_DELETE_TOPICS, version, id);
        expect_int(reply->responses.count, 1);
        expect_int(reply->responses.items[0].error_code, KAFKA_NONE);
        expect_true(bytes_equal_string(reply->responses.items[0].name, "orders"));
        expect_null(topic_find(b.core, name));

        reply = client_call(c, KAFKA_DELETE_TOPICS, version, &in);
        expect_int(reply->responses.items[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    broker_close(&b);
}

static const struct kafka_delete_topics_response_topic *
delete_struct(struct test_client *c, struct kafka_delete_topics_request_topic topic)
{
    struct kafka_delete_topics_request in = {.timeout_ms = 5000};
    in.topics.items = &topic;
    in.topics.count = 1;
    struct kafka_delete_topics_response *reply = client_call(c, KAFKA_DELETE_TOPICS, 6, &in);
    expect_int(reply->responses.count, 1);
    return &reply->responses.items[0];
}

TEST(delete_topics_refuses_a_name_given_twice_once)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "a", 1);
    broker_topic(&b, "b", 1);
    struct bytes names[] = {BYTES_LITERAL("a"), BYTES_LITERAL("b"), BYTES_LITERAL("a")};
    struct kafka_delete_topics_request in = {.timeout_ms = 5000};
    in.topic_names.items = names;
    in.topic_names.count = 3;
    struct kafka_delete_topics_response *reply =
        client_call(broker_client(&b), KAFKA_DELETE_TOPICS, 5, &in);
    expect_int(reply->responses.count, 2);
    expect_int(reply->responses.items[0].error_code, KAFKA_INVALID_REQUEST);
    expect_int(reply->responses.items[1].error_code, KAFKA_NONE);
    expect_not_null(topic_find(b.core, names[0]));
    expect_null(topic_find(b.core, names[1]));
    broker_close(&b);
}

TEST(delete_topics_deletes_by_id)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    struct kafka_delete_topics_request_topic asked = {0};
    expect_int(delete_struct(c, asked)->error_code, KAFKA_INVALID_REQUEST);
    memcpy(&asked.topic_id, topic->id, sizeof topic->id);
    asked.name = BYTES_LITERAL("orders");
    expect_int(delete_struct(c, asked)->error_code, KAFKA_INVALID_REQUEST);
    asked.name = BYTES_NULL;
    const struct kafka_delete_topics_response_topic *out = delete_struct(c, asked);
    expect_int(out->error_code, KAFKA_NONE);
    expect_true(bytes_equal_string(out->name, "orders"));
    expect_int(delete_struct(c, asked)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    broker_close(&b);
}
