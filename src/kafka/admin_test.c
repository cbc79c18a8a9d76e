/* Configs, partitions, the cluster: what the golden conversation cannot show. */
#include "kafka/test_broker.h"

#include "base/say.h"
#include "broker/broker_config.h"
#include "kafka/errors.h"

enum { TOPIC = 2, BROKER = 4, LOGGER = 8 };
enum { SET, DELETE, APPEND, SUBTRACT };

/* ---- altering ---- */

static struct kafka_incremental_alter_configs_request *change(struct test_broker *b, int8_t type,
                                                              const char *name, const char *config,
                                                              int8_t operation, const char *value)
{
    struct kafka_incremental_alter_configs_request *in =
        wire_new(&kafka_incremental_alter_configs_request_schema, &b->arena, 1);
    in->resources.items =
        wire_new(&kafka_incremental_alter_configs_request_resource_schema, &b->arena, 1);
    in->resources.count = 1;
    struct kafka_incremental_alter_configs_request_resource *r = in->resources.items;
    r->resource_type = type;
    r->resource_name = bytes_from_string(name);
    r->configs.items =
        wire_new(&kafka_incremental_alter_configs_request_config_schema, &b->arena, 1);
    r->configs.count = 1;
    r->configs.items[0].name = bytes_from_string(config);
    r->configs.items[0].config_operation = operation;
    r->configs.items[0].value = value ? bytes_from_string(value) : BYTES_NULL;
    return in;
}

static int call_change(struct test_client *c, int8_t type, const char *name, const char *config,
                       int8_t operation, const char *value)
{
    struct kafka_incremental_alter_configs_response *reply =
        client_call(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1,
                    change(c->broker, type, name, config, operation, value));
    expect_int(reply->responses.count, 1);
    expect_true(!reply->responses.items[0].error_code ==
                !reply->responses.items[0].error_message.data);
    return reply->responses.items[0].error_code;
}

TEST(an_altered_config_is_in_force_at_once_and_told_when_it_is_durable)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    int32_t id = client_send(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1,
                             change(&b, TOPIC, "orders", "retention.ms", SET, "5"));
    broker_turn(&b);
    expect_int(topic->policy.retention_ms, 5);
    expect_null(client_receive(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, id));
    broker_commit(&b);
    struct kafka_incremental_alter_configs_response *reply =
        client_receive(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, id);
    expect_int(reply->responses.items[0].error_code, KAFKA_NONE);
    broker_close(&b);
}

TEST(lists_are_appended_to_and_subtracted_from)
{
    static const char name[] = "leader.replication.throttled.replicas";
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    expect_int(call_change(c, TOPIC, "orders", name, APPEND, "0:1, 1:1"), KAFKA_NONE);
    expect_string(config_set_get(&topic->configs, name), "0:1,1:1");
    expect_int(call_change(c, TOPIC, "orders", name, APPEND, "1:1,2:1"), KAFKA_NONE);
    expect_string(config_set_get(&topic->configs, name), "0:1,1:1,2:1");
    expect_int(call_change(c, TOPIC, "orders", name, SUBTRACT, "1:1,7:7"), KAFKA_NONE);
    expect_string(config_set_get(&topic->configs, name), "0:1,2:1");
    expect_int(call_change(c, TOPIC, "orders", name, DELETE, NULL), KAFKA_NONE);
    expect_null(config_set_get(&topic->configs, name));
    expect_int(call_change(c, TOPIC, "orders", name, DELETE, NULL), KAFKA_NONE);
    broker_close(&b);
}

TEST(the_level_of_the_logger_can_be_set)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    expect_int(call_change(c, LOGGER, "7", "root", SET, "DEBUG"), KAFKA_NONE);
    expect_true(say_is_on(SAY_DEBUG));
    expect_int(call_change(c, LOGGER, "7", "root", SET, "INFO"), KAFKA_NONE);
    expect_false(say_is_on(SAY_DEBUG));
    expect_int(call_change(c, LOGGER, "7", "root", SET, "LOUD"), KAFKA_INVALID_CONFIG);
    expect_int(call_change(c, LOGGER, "7", "kafka.log", SET, "INFO"), KAFKA_INVALID_CONFIG);
    expect_int(call_change(c, LOGGER, "7", "root", DELETE, NULL), KAFKA_INVALID_REQUEST);
    struct kafka_describe_configs_request in = {0};
    struct kafka_describe_configs_request_resource logger = {.resource_type = LOGGER,
                                                             .resource_name = BYTES_LITERAL("7")};
    in.resources.items = &logger;
    in.resources.count = 1;
    struct kafka_describe_configs_response *reply = client_call(c, KAFKA_DESCRIBE_CONFIGS, 4, &in);
    expect_int(reply->results.items[0].configs.count, 1);
    expect_bytes(reply->results.items[0].configs.items[0].value, BYTES_LITERAL("INFO"));
    expect_int(reply->results.items[0].configs.items[0].config_source, CONFIG_OF_LOGGER);
    broker_close(&b);
}

TEST(a_resource_with_too_many_changes_is_refused)
{
    enum { COUNT = 300 };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    broker_topic(&b, "orders", 1);
    struct kafka_incremental_alter_configs_request *in =
        change(&b, TOPIC, "orders", "x", DELETE, NULL);
    struct kafka_incremental_alter_configs_request_resource *r = in->resources.items;
    r->configs.items =
        wire_new(&kafka_incremental_alter_configs_request_config_schema, &b.arena, COUNT);
    r->configs.count = COUNT;
    for (int i = 0; i < COUNT; i++) {
        r->configs.items[i].name = bytes_from_string(arena_printf(&b.arena, "x%d", i));
        r->configs.items[i].config_operation = DELETE;
    }
    struct kafka_incremental_alter_configs_response *reply =
        client_call(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, in);
    expect_int(reply->responses.items[0].error_code, KAFKA_INVALID_REQUEST);
    broker_close(&b);
}

TEST(many_resources_are_altered_in_slices_and_none_is_left_out)
{
    enum { COUNT = 100 };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_alter_configs_request in = {0};
    in.resources.items = wire_new(&kafka_alter_configs_request_resource_schema, &b.arena, COUNT);
    in.resources.count = COUNT;
    struct kafka_alter_configs_request_config config = {BYTES_LITERAL("retention.ms"),
                                                        BYTES_LITERAL("9")};
    for (int i = 0; i < COUNT; i++) {
        const char *name = arena_printf(&b.arena, "topic-%d", i);
        broker_topic(&b, name, 1);
        in.resources.items[i].resource_type = TOPIC;
        in.resources.items[i].resource_name = bytes_from_string(name);
        in.resources.items[i].configs.items = &config;
        in.resources.items[i].configs.count = 1;
    }
    struct kafka_alter_configs_response *reply = client_call(c, KAFKA_ALTER_CONFIGS, 2, &in);
    expect_int(reply->responses.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        struct topic *topic = topic_find(b.core, in.resources.items[i].resource_name);
        expect_int(reply->responses.items[i].error_code, KAFKA_NONE);
        expect_int(topic->policy.retention_ms, 9);
    }
    broker_close(&b);
}

TEST(what_comes_behind_a_request_in_slices_sees_all_of_it)
{
    enum { COUNT = 200 };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_create_topics_request in = {.timeout_ms = 5000};
    in.topics.items = wire_new(&kafka_create_topics_request_topic_schema, &b.arena, COUNT);
    in.topics.count = COUNT;
    for (int i = 0; i < COUNT; i++) {
        in.topics.items[i].name = bytes_from_string(arena_printf(&b.arena, "topic-%d", i));
        in.topics.items[i].num_partitions = i % 20 + 1;
        in.topics.items[i].replication_factor = 1;
    }
    struct kafka_metadata_request about = {0};
    struct kafka_metadata_request_topic last = {.name = in.topics.items[COUNT - 1].name};
    about.topics.items = &last;
    about.topics.count = 1;
    struct kafka_delete_topics_request gone = {.timeout_ms = 5000};
    gone.topic_names.items = arena_zalloc(&b.arena, COUNT, sizeof(struct bytes));
    gone.topic_names.count = COUNT;
    for (int i = 0; i < COUNT; i++)
        gone.topic_names.items[i] = in.topics.items[i].name;
    int32_t first = client_send(c, KAFKA_CREATE_TOPICS, 5, &in);
    int32_t second = client_send(c, KAFKA_METADATA, 9, &about);
    int32_t third = client_send(c, KAFKA_DELETE_TOPICS, 5, &gone);
    int32_t fourth = client_send(c, KAFKA_METADATA, 9, &about);
    for (int i = 0; i < 10; i++)
        broker_commit(&b);
    struct kafka_create_topics_response *created = client_receive(c, KAFKA_CREATE_TOPICS, 5, first);
    expect_int(created->topics.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        expect_int(created->topics.items[i].error_code, KAFKA_NONE);
    struct kafka_metadata_response *there = client_receive(c, KAFKA_METADATA, 9, second);
    expect_int(there->topics.items[0].error_code, KAFKA_NONE);
    struct kafka_delete_topics_response *deleted = client_receive(c, KAFKA_DELETE_TOPICS, 5, third);
    expect_int(deleted->responses.count, COUNT);
    struct kafka_metadata_response *away = client_receive(c, KAFKA_METADATA, 9, fourth);
    expect_int(away->topics.items[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    broker_close(&b);
}

TEST(what_comes_late_does_not_overtake_what_waits_behind_a_request_in_slices)
{
    enum { COUNT = 200 };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_create_topics_request in = {.timeout_ms = 5000};
    in.topics.items = wire_new(&kafka_create_topics_request_topic_schema, &b.arena, COUNT);
    in.topics.count = COUNT;
    for (int i = 0; i < COUNT; i++) {
        in.topics.items[i].name = bytes_from_string(arena_printf(&b.arena, "topic-%d", i));
        in.topics.items[i].num_partitions = i % 20 + 1;
        in.topics.items[i].replication_factor = 1;
    }
    struct kafka_metadata_request about = {0};
    struct kafka_metadata_request_topic last = {.name = in.topics.items[COUNT - 1].name};
    about.topics.items = &last;
    about.topics.count = 1;
    struct kafka_delete_topics_request gone = {.timeout_ms = 5000};
    gone.topic_names.items = arena_zalloc(&b.arena, COUNT, sizeof(struct bytes));
    gone.topic_names.count = COUNT;
    for (int i = 0; i < COUNT; i++)
        gone.topic_names.items[i] = in.topics.items[i].name;
    int32_t first = client_send(c, KAFKA_CREATE_TOPICS, 5, &in);
    int32_t second = client_send(c, KAFKA_METADATA, 9, &about);
    for (int i = 0; i < COUNT; i++)
        broker_turn(&b); /* all are made, and none is durable */
    expect_null(client_receive(c, KAFKA_CREATE_TOPICS, 5, first));
    int32_t third = client_send(c, KAFKA_DELETE_TOPICS, 5, &gone);
    int32_t fourth = client_send(c, KAFKA_METADATA, 9, &about);
    for (int i = 0; i < 10; i++)
        broker_commit(&b);
    struct kafka_create_topics_response *created = client_receive(c, KAFKA_CREATE_TOPICS, 5, first);
    expect_int(created->topics.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        expect_int(created->topics.items[i].error_code, KAFKA_NONE);
    struct kafka_metadata_response *there = client_receive(c, KAFKA_METADATA, 9, second);
    expect_int(there->topics.items[0].error_code, KAFKA_NONE);
    struct kafka_delete_topics_response *deleted = client_receive(c, KAFKA_DELETE_TOPICS, 5, third);
    expect_int(deleted->responses.count, COUNT);
    struct kafka_metadata_response *away = client_receive(c, KAFKA_METADATA, 9, fourth);
    expect_int(away->topics.items[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    broker_close(&b);
}

TEST(a_client_that_goes_while_its_request_is_in_slices_is_forgotten)
{
    enum { COUNT = 1000 };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_describe_configs_request in = {0};
    in.resources.items = wire_new(&kafka_describe_configs_request_resource_schema, &b.arena, COUNT);
    in.resources.count = COUNT;
    for (int i = 0; i < COUNT; i++) {
        in.resources.items[i].resource_type = BROKER;
        in.resources.items[i].resource_name = BYTES_LITERAL("7");
    }
    client_send(c, KAFKA_DESCRIBE_CONFIGS, 4, &in);
    broker_turn(&b);
    sim_link_end(c->link);
    broker_turn(&b);
    broker_commit(&b);
    broker_close(&b);
}

/* ---- configs that decide about producing ---- */

static int produce(struct test_client *c, int16_t acks)
{
    struct test_broker *b = c->broker;
    struct kafka_produce_request *in = make_produce(
        &b->arena, "orders", 0, acks, make_batch(&b->arena, b->wall_ms, "value", NULL));
    in->timeout_ms = 5000;
    struct kafka_produce_response *reply = client_call(c, KAFKA_PRODUCE, 9, in);
    return reply->responses.items[0].partition_responses.items[0].error_code;
}

/* Kafka since KIP-966: no more replicas are asked for than the topic has. */
TEST(producers_that_ask_for_more_replicas_than_there_are_are_served)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    expect_int(call_change(c, TOPIC, "orders", "min.insync.replicas", SET, "2"), KAFKA_NONE);
    expect_int(produce(c, -1), KAFKA_NONE);
    expect_int(topic->partitions[0]->log->end, 1);
    broker_close(&b);
}

TEST(a_record_without_a_key_is_refused_where_keys_are_compacted)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    expect_int(call_change(c, TOPIC, "orders", "cleanup.policy", SET, "compact"), KAFKA_NONE);
    expect_int(produce(c, -1), KAFKA_INVALID_RECORD);
    expect_int(topic->partitions[0]->log->end, 0);
    struct batch_builder builder = {0};
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, b.wall_ms, BYTES_LITERAL("key"), BYTES_LITERAL("value"), BYTES_NULL,
                      0);
    struct kafka_produce_request *in =
        make_produce(&b.arena, "orders", 0, -1, batch_builder_end(&builder));
    in->timeout_ms = 5000;
    struct kafka_produce_response *reply = client_call(c, KAFKA_PRODUCE, 9, in);
    expect_int(reply->responses.items[0].partition_responses.items[0].error_code, KAFKA_NONE);
    batch_builder_reset(&builder);
    broker_close(&b);
}

/* ---- describing ---- */

TEST(configs_of_a_broker_are_told_with_their_source_and_whether_they_can_be_set)
{
    static const struct broker_setting settings[] = {
        {"log.dirs", "/data", "where everything is", CONFIG_LIST, true},
        {"log.retention.ms", "77", "kept so long", CONFIG_LONG, true},
    };
    struct core_config config;
    struct test_broker b;
    broker_config(&config);
    config.settings = settings;
    config.setting_count = 2;
    broker_open_with(&b, &config);
    struct kafka_describe_configs_request in = {.include_documentation = true};
    struct kafka_describe_configs_request_resource broker = {.resource_type = BROKER,
                                                             .resource_name = BYTES_LITERAL("7")};
    in.resources.items = &broker;
    in.resources.count = 1;
    struct kafka_describe_configs_response *reply =
        client_call(broker_client(&b), KAFKA_DESCRIBE_CONFIGS, 4, &in);
    const struct kafka_describe_configs_response_resource *out = &reply->results.items[0];
    int found = 0;
    for (int32_t i = 0; i < out->configs.count; i++) {
        const struct kafka_describe_configs_response_config *config_out = &out->configs.items[i];
        expect_true(config_out->documentation.size > 0);
        bool is_dirs = bytes_equal_string(config_out->name, "log.dirs");
        if (!is_dirs && !bytes_equal_string(config_out->name, "log.retention.ms"))
            continue;
        expect_int(config_out->read_only, is_dirs);
        expect_int(config_out->config_source, CONFIG_OF_FILE);
        expect_bytes(config_out->value, is_dirs ? BYTES_LITERAL("/data") : BYTES_LITERAL("77"));
        found++;
    }
    expect_int(found, 2); /* each once */
    broker_close(&b);
}

TEST(log_dirs_tell_sizes_and_the_volume)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    broker_append(&b, topic->partitions[1], "value");
    sim_disk_set_capacity(b.disk, 1 << 30);
    struct kafka_describe_log_dirs_request in = {0};
    struct kafka_describe_log_dirs_response *reply =
        client_call(c, KAFKA_DESCRIBE_LOG_DIRS, 4, &in);
    const struct kafka_describe_log_dirs_response_dir *dir = &reply->results.items[0];
    expect_int(dir->total_bytes, 1 << 30);
    expect_true(dir->usable_bytes > 0 && dir->usable_bytes < dir->total_bytes);
    expect_int(dir->topics.count, 1);
    expect_int(dir->topics.items[0].partitions.items[0].partition_size, 0);
    expect_int(dir->topics.items[0].partitions.items[1].partition_size,
               log_size_bytes(topic->partitions[1]->log));
    client_send(c, KAFKA_DESCRIBE_LOG_DIRS, 4, &in); /* and goes before the volume is known */
    sim_link_end(c->link);
    broker_commit(&b);
    broker_close(&b);
}

/* ---- very many topics ---- */

enum { MANY = 3000 }; /* some slices */

static struct bytes nth_name(struct test_broker *b, int i)
{
    return bytes_from_string(arena_printf(&b->arena, "topic-%d", i));
}

static void make_topics(struct test_broker *b)
{
    for (int i = 0; i < MANY; i++) {
        struct topic_spec spec = {.name = nth_name(b, i), .partition_count = 2};
        struct topic *topic;
        expect_ok(topic_create(b->core, &spec, &topic));
    }
    broker_commit(b);
}

TEST(log_dirs_of_very_many_topics_leave_out_what_is_deleted_meanwhile)
{
    struct test_broker b;
    broker_open(&b);
    make_topics(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_describe_log_dirs_request in = {0};
    int32_t id = client_send(c, KAFKA_DESCRIBE_LOG_DIRS, 4, &in);
    broker_turn(&b);
    for (int i = 0; i < MANY / 2; i++)
        topic_delete(b.core, topic_find(b.core, nth_name(&b, i)));
    broker_commit(&b);
    struct kafka_describe_log_dirs_response *reply =
        client_receive(c, KAFKA_DESCRIBE_LOG_DIRS, 4, id);
    const struct kafka_describe_log_dirs_response_dir *dir = &reply->results.items[0];
    expect_true(dir->topics.count >= MANY / 2 && dir->topics.count < MANY);
    for (int i = 0; i < dir->topics.count; i++)
        expect_int(dir->topics.items[i].partitions.count, 2);
    broker_close(&b);
}

TEST(log_dirs_of_many_partitions_that_are_named_are_told_in_order)
{
    enum { COUNT = 20000 };
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    struct kafka_describe_log_dirs_request in = {0};
    struct kafka_describe_log_dirs_request_topic topics[3] = {
        {.topic = BYTES_LITERAL("nothing")},
        {.topic = BYTES_LITERAL("orders")},
        {.topic = BYTES_LITERAL("missing")},
    };
    int32_t *asked = arena_zalloc(&b.arena, COUNT, sizeof *asked);
    for (int i = 0; i < COUNT; i++)
        asked[i] = i % 3; /* there are 0 and 1 */
    for (int i = 1; i < 3; i++) {
        topics[i].partitions.items = asked;
        topics[i].partitions.count = COUNT;
    }
    in.topics.items = topics;
    in.topics.count = 3;
    struct kafka_describe_log_dirs_response *reply =
        client_call(c, KAFKA_DESCRIBE_LOG_DIRS, 4, &in);
    const struct kafka_describe_log_dirs_response_dir *dir = &reply->results.items[0];
    expect_int(dir->topics.count, 1);
    expect_int(dir->topics.items[0].partitions.count, COUNT - COUNT / 3);
    for (int i = 0; i < dir->topics.items[0].partitions.count; i++)
        expect_int(dir->topics.items[0].partitions.items[i].partition_index, i % 2);
    broker_close(&b);
}

static int32_t change_default(struct test_client *c, const char *value)
{
    return client_send(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1,
                       change(c->broker, BROKER, "", "log.retention.ms", SET, value));
}

TEST(a_changed_default_is_in_force_for_very_many_topics_when_it_is_answered)
{
    struct test_broker b;
    broker_open(&b);
    make_topics(&b);
    struct test_client *c = broker_client(&b), *other = broker_client(&b);
    int32_t first = change_default(c, "111111");
    broker_turn(&b);
    expect_false(broker_config_is_in_force(b.core));
    topic_delete(b.core, topic_find(b.core, nth_name(&b, MANY - 1)));
    int32_t second = change_default(other, "222222"); /* the topics begin again */
    broker_commit(&b);
    expect_true(broker_config_is_in_force(b.core));
    expect_not_null(client_receive(c, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, first));
    expect_not_null(client_receive(other, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, second));
    for (int i = 0; i < MANY - 1; i++)
        expect_int(topic_find(b.core, nth_name(&b, i))->policy.retention_ms, 222222);
    change_default(c, "333333"); /* and the broker stops in the middle of it */
    broker_turn(&b);
    broker_close(&b);
}

/* ---- pages ---- */

TEST(topics_are_described_page_by_page_each_partition_once)
{
    enum { TOPICS = 700, PARTITIONS = 7, PAGE = 2000 };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (int i = 0; i < TOPICS; i++)
        broker_topic(&b, arena_printf(&b.arena, "topic-%04d", (i * 271) % TOPICS), PARTITIONS);
    struct kafka_describe_topic_partitions_request in = {.response_partition_limit = 1000000};
    struct kafka_describe_topic_partitions_request_cursor cursor;
    int seen = 0, pages = 0;
    do {
        struct kafka_describe_topic_partitions_response *reply =
            client_call(c, KAFKA_DESCRIBE_TOPIC_PARTITIONS, 0, &in);
        int in_page = 0;
        for (int32_t i = 0; i < reply->topics.count; i++)
            for (int32_t j = 0; j < reply->topics.items[i].partitions.count; j++, in_page++) {
                const char *name = arena_printf(&b.arena, "topic-%04d", (seen + in_page) / 7);
                expect_true(bytes_equal_string(reply->topics.items[i].name, name));
                expect_int(reply->topics.items[i].partitions.items[j].partition_index,
                           (seen + in_page) % PARTITIONS);
            }
        expect_true(in_page == PAGE || !reply->next_cursor);
        seen += in_page;
        pages++;
        in.cursor = reply->next_cursor ? &cursor : NULL;
        if (reply->next_cursor)
            cursor = (struct kafka_describe_topic_partitions_request_cursor){
                reply->next_cursor->topic_name, reply->next_cursor->partition_index};
    } while (in.cursor);
    expect_int(seen, TOPICS * PARTITIONS);
    expect_int(pages, 3);
    broker_close(&b);
}

TEST(more_topics_than_a_page_takes_are_described_in_order)
{
    enum { TOPICS = 4100 };
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (int i = 0; i < TOPICS; i++) {
        struct topic_spec spec = {
            .name = bytes_from_string(arena_printf(&b.arena, "t%04d", (i * 271) % TOPICS)),
            .partition_count = 1};
        struct topic *topic;
        expect_ok(topic_create(b.core, &spec, &topic));
    }
    broker_commit(&b);
    struct kafka_describe_topic_partitions_request in = {.response_partition_limit = 2000};
    struct kafka_describe_topic_partitions_request_cursor cursor = {BYTES_LITERAL("t2000"), 0};
    for (int first = 0; first < TOPICS; first += 2000) {
        struct kafka_describe_topic_partitions_response *reply =
            client_call(c, KAFKA_DESCRIBE_TOPIC_PARTITIONS, 0, &in);
        expect_int(reply->topics.count, first < 4000 ? 2000 : 100);
        expect_true(bytes_equal_string(reply->topics.items[0].name,
                                       arena_printf(&b.arena, "t%04d", first)));
        expect_int(reply->next_cursor == NULL, first == 4000);
        if (!reply->next_cursor)
            break;
        cursor.topic_name = reply->next_cursor->topic_name;
        expect_int(reply->next_cursor->partition_index, 0);
        in.cursor = &cursor;
    }
    broker_close(&b);
}

/* ---- the rest ---- */

TEST(more_partitions_are_told_when_they_are_durable_and_too_many_are_refused)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct kafka_create_partitions_request in = {.timeout_ms = 5000};
    struct kafka_create_partitions_request_topic asked = {.name = BYTES_LITERAL("orders"),
                                                          .count = 5};
    in.topics.items = &asked;
    in.topics.count = 1;
    int32_t id = client_send(c, KAFKA_CREATE_PARTITIONS, 3, &in);
    broker_turn(&b);
    expect_int(topic->partition_count, 5);
    expect_null(client_receive(c, KAFKA_CREATE_PARTITIONS, 3, id));
    broker_commit(&b);
    struct kafka_create_partitions_response *reply =
        client_receive(c, KAFKA_CREATE_PARTITIONS, 3, id);
    expect_int(reply->results.items[0].error_code, KAFKA_NONE);
    asked.count = TOPIC_PARTITIONS_MAX + 1;
    reply = client_call(c, KAFKA_CREATE_PARTITIONS, 3, &in);
    expect_int(reply->results.items[0].error_code, KAFKA_POLICY_VIOLATION);
    expect_true(reply->results.items[0].error_message.size > 0);
    broker_close(&b);
}

TEST(resources_with_configs_are_listed)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    broker_topic(&b, "orders", 1);
    struct kafka_list_config_resources_request in = {0};
    struct kafka_list_config_resources_response *reply =
        client_call(c, KAFKA_LIST_CONFIG_RESOURCES, 1, &in);
    expect_int(reply->config_resources.count, 3);
    expect_bytes(reply->config_resources.items[0].resource_name, BYTES_LITERAL("7"));
    expect_bytes(reply->config_resources.items[2].resource_name, BYTES_LITERAL("orders"));
    reply = client_call(c, KAFKA_LIST_CONFIG_RESOURCES, 0, &in);
    expect_int(reply->config_resources.count, 0);
    broker_close(&b);
}

TEST(the_cluster_is_told_at_the_advertised_address)
{
    struct kafka_config config = {.advertised_host = "broker.example", .advertised_port = 19092};
    struct kafka_listener listener;
    struct test_broker b;
    broker_open(&b);
    kafka_listener_init(&listener, &config);
    struct test_client *c = broker_client_of(&b, &listener.protocol);
    struct kafka_describe_cluster_request in = {.endpoint_type = 1};
    struct kafka_describe_cluster_response *reply = client_call(c, KAFKA_DESCRIBE_CLUSTER, 2, &in);
    expect_int(reply->brokers.count, 1);
    expect_bytes(reply->brokers.items[0].host, BYTES_LITERAL("broker.example"));
    expect_int(reply->brokers.items[0].port, 19092);
    expect_int(reply->brokers.items[0].broker_id, reply->controller_id);
    broker_close(&b);
}
