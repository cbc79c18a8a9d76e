/* Questions about administration: partitions, configs, the cluster. */
#include <stdlib.h>

#include "kafka/golden_internal.h"

enum { TOPIC = 2, BROKER = 4 };

/* ---- what may differ ---- */

static int compare_configs(const void *left, const void *right)
{
    const struct kafka_describe_configs_response_config *a = left, *b = right;
    return bytes_compare(a->name, b->name);
}

static void hide_in_configs(struct kafka_describe_configs_response *reply)
{
    for (int32_t i = 0; i < reply->results.count; i++) {
        struct kafka_describe_configs_response_resource *r = &reply->results.items[i];
        if (r->configs.count > 1)
            qsort(r->configs.items, (size_t)r->configs.count, sizeof *r->configs.items,
                  compare_configs);
        for (int32_t j = 0; j < r->configs.count; j++)
            if (r->configs.items[j].documentation.data)
                r->configs.items[j].documentation = BYTES_LITERAL("something");
    }
}

static void hide_in_quorum(struct kafka_describe_quorum_response *reply)
{
    for (int32_t i = 0; i < reply->topics.count; i++)
        for (int32_t j = 0; j < reply->topics.items[i].partitions.count; j++) {
            struct kafka_describe_quorum_response_partition *p =
                &reply->topics.items[i].partitions.items[j];
            p->high_watermark = 0;
            for (int32_t k = 0; k < p->current_voters.count; k++) {
                struct kafka_describe_quorum_response_replica *v = &p->current_voters.items[k];
                v->log_end_offset = 0;
                v->last_fetch_timestamp = v->last_fetch_timestamp >= 0;
                v->last_caught_up_timestamp = v->last_caught_up_timestamp >= 0;
                memset(&v->replica_directory_id, 0, sizeof v->replica_directory_id);
            }
        }
    for (int32_t i = 0; i < reply->nodes.count; i++)
        for (int32_t j = 0; j < reply->nodes.items[i].listeners.count; j++)
            reply->nodes.items[i].listeners.items[j].name = BYTES_LITERAL("LISTENER");
}

static void hide_in_log_dirs(struct kafka_describe_log_dirs_response *reply)
{
    for (int32_t i = 0; i < reply->results.count; i++) {
        struct kafka_describe_log_dirs_response_dir *dir = &reply->results.items[i];
        dir->log_dir = BYTES_LITERAL("somewhere");
        dir->total_bytes = dir->total_bytes > 0;
        dir->usable_bytes = dir->usable_bytes > 0;
        for (int32_t j = 0; j < dir->topics.count; j++)
            for (int32_t k = 0; k < dir->topics.items[j].partitions.count; k++) {
                struct kafka_describe_log_dirs_response_partition *p =
                    &dir->topics.items[j].partitions.items[k];
                p->partition_size = 0;
            }
    }
}

static int compare_deleted(const void *left, const void *right)
{
    const struct kafka_delete_topics_response_topic *a = left, *b = right;
    return bytes_compare(a->name, b->name);
}

/* Their order is that of a hash map. */
static void sort_deleted(struct kafka_delete_topics_response *reply)
{
    if (reply->responses.count > 1)
        qsort(reply->responses.items, (size_t)reply->responses.count,
              sizeof *reply->responses.items, compare_deleted);
}

void golden_hide_admin(int key, void *reply)
{
    if (key == KAFKA_DELETE_TOPICS)
        sort_deleted(reply);
    if (key == KAFKA_DESCRIBE_CONFIGS)
        hide_in_configs(reply);
    if (key == KAFKA_DESCRIBE_QUORUM)
        hide_in_quorum(reply);
    if (key == KAFKA_DESCRIBE_LOG_DIRS)
        hide_in_log_dirs(reply);
}

/* ---- partitions ---- */

static struct kafka_create_partitions_request *grow(struct golden *g, const char *topic,
                                                    int32_t count)
{
    struct kafka_create_partitions_request *in =
        wire_new(&kafka_create_partitions_request_schema, &g->arena, 1);
    in->timeout_ms = 5000;
    in->topics.items = wire_new(&kafka_create_partitions_request_topic_schema, &g->arena, 2);
    in->topics.count = 1;
    for (int i = 0; i < 2; i++) {
        in->topics.items[i].name = bytes_from_string(topic);
        in->topics.items[i].count = count;
    }
    return in;
}

static struct kafka_create_partitions_request *grow_assigned(struct golden *g, int32_t count,
                                                             int32_t assignments, int32_t node)
{
    struct kafka_create_partitions_request *in = grow(g, "grown", count);
    struct kafka_create_partitions_request_topic *topic = &in->topics.items[0];
    topic->assignments.items = wire_new(&kafka_create_partitions_request_assignment_schema,
                                        &g->arena, (size_t)assignments);
    topic->assignments.count = assignments;
    for (int32_t i = 0; i < assignments; i++) {
        topic->assignments.items[i].broker_ids.items = arena_alloc(&g->arena, sizeof node);
        topic->assignments.items[i].broker_ids.items[0] = node;
        topic->assignments.items[i].broker_ids.count = 1;
    }
    return in;
}

static void run_partitions(struct golden *g)
{
    enum { KEY = KAFKA_CREATE_PARTITIONS };
    golden_step(g, KAFKA_CREATE_TOPICS, 5, "to grow", golden_create(g, "grown", 2, 1));
    golden_step(g, KEY, 3, "unknown topic", grow(g, "nobody", 3));
    golden_step(g, KEY, 3, "illegal topic", grow(g, "no spaces", 3));
    golden_step(g, KEY, 3, "fewer", grow(g, "grown", 1));
    golden_step(g, KEY, 3, "as many", grow(g, "grown", 2));
    golden_step(g, KEY, 3, "none", grow(g, "grown", 0));
    golden_step(g, KEY, 3, "less than none", grow(g, "grown", -1));
    golden_step(g, KEY, 3, "too few assigned", grow_assigned(g, 4, 1, 1));
    golden_step(g, KEY, 3, "assigned to another node", grow_assigned(g, 3, 1, 9));
    struct kafka_create_partitions_request *in = grow(g, "grown", 3);
    in->topics.count = 2;
    golden_step(g, KEY, 3, "twice", in);
    in->topics.count = 1;
    in->validate_only = true;
    golden_step(g, KEY, 3, "only to validate", in);
    for (int version = 0; version <= 3; version++)
        golden_step(g, KEY, version, "one more", grow(g, "grown", 3 + version));
    golden_step(g, KEY, 3, "assigned", grow_assigned(g, 8, 2, 1));
}

/* ---- describing configs ---- */

static struct kafka_describe_configs_request *
describe(struct golden *g, int8_t type, const char *name, const char *first, const char *second)
{
    struct kafka_describe_configs_request *in =
        wire_new(&kafka_describe_configs_request_schema, &g->arena, 1);
    in->resources.items = wire_new(&kafka_describe_configs_request_resource_schema, &g->arena, 2);
    in->resources.count = 1;
    for (int i = 0; i < 2; i++) {
        struct kafka_describe_configs_request_resource *r = &in->resources.items[i];
        r->resource_type = type;
        r->resource_name = bytes_from_string(name);
        r->configuration_keys.items = arena_zalloc(&g->arena, 2, sizeof(struct bytes));
        r->configuration_keys.items[0] = bytes_from_string(first);
        if (second)
            r->configuration_keys.items[1] = bytes_from_string(second);
        r->configuration_keys.count = second ? 2 : 1;
    }
    return in;
}

static void run_describe(struct golden *g, const char *what)
{
    enum { KEY = KAFKA_DESCRIBE_CONFIGS };
    struct kafka_describe_configs_request *in =
        describe(g, TOPIC, "grown", "retention.bytes", "cleanup.policy");
    in->include_synonyms = true;
    golden_step(g, KEY, 4, arena_printf(&g->arena, "topic %s", what), in);
    in = describe(g, BROKER, "1", "log.retention.bytes", "log.cleanup.policy");
    in->include_synonyms = true;
    golden_step(g, KEY, 4, arena_printf(&g->arena, "broker %s", what), in);
    in = describe(g, BROKER, "", "log.retention.bytes", "log.cleanup.policy");
    in->include_synonyms = true;
    golden_step(g, KEY, 4, arena_printf(&g->arena, "all brokers %s", what), in);
}

static void run_describe_oddly(struct golden *g)
{
    enum { KEY = KAFKA_DESCRIBE_CONFIGS };
    struct kafka_describe_configs_request *in;
    for (int version = 1; version <= 4; version++) {
        in = describe(g, TOPIC, "grown", "max.compaction.lag.ms", "message.timestamp.type");
        in->include_synonyms = version != 3;
        in->include_documentation = version >= 3;
        golden_step(g, KEY, version, "two configs", in);
    }
    golden_step(g, KEY, 4, "unknown config", describe(g, TOPIC, "grown", "no.such", NULL));
    golden_step(g, KEY, 4, "unknown topic", describe(g, TOPIC, "nobody", "retention.ms", NULL));
    golden_step(g, KEY, 4, "illegal topic", describe(g, TOPIC, "no spaces", "retention.ms", NULL));
    golden_step(g, KEY, 4, "no topic", describe(g, TOPIC, "", "retention.ms", NULL));
    golden_step(g, KEY, 4, "unknown broker", describe(g, BROKER, "9", "node.id", NULL));
    golden_step(g, KEY, 4, "broker by name", describe(g, BROKER, "one", "node.id", NULL));
    golden_step(g, KEY, 4, "unknown logger", describe(g, 8, "9", "node.id", NULL));
    golden_step(g, KEY, 4, "all loggers", describe(g, 8, "", "node.id", NULL));
    golden_step(g, KEY, 4, "type 0", describe(g, 0, "x", "node.id", NULL));
    golden_step(g, KEY, 4, "type 64", describe(g, 64, "x", "node.id", NULL));
    in = describe(g, BROKER, "1", "node.id", "num.partitions");
    in->include_synonyms = true;
    golden_step(g, KEY, 4, "read-only", in);
    in = describe(g, TOPIC, "grown", "retention.bytes", NULL);
    in->resources.count = 2;
    golden_step(g, KEY, 4, "topic twice", in);
}

/* ---- altering ---- */

static struct kafka_incremental_alter_configs_request *change(struct golden *g, int8_t type,
                                                              const char *name, const char *config,
                                                              int8_t operation, const char *value)
{
    struct kafka_incremental_alter_configs_request *in =
        wire_new(&kafka_incremental_alter_configs_request_schema, &g->arena, 1);
    in->resources.items =
        wire_new(&kafka_incremental_alter_configs_request_resource_schema, &g->arena, 2);
    in->resources.count = 1;
    for (int i = 0; i < 2; i++) {
        struct kafka_incremental_alter_configs_request_resource *r = &in->resources.items[i];
        r->resource_type = type;
        r->resource_name = bytes_from_string(name);
        r->configs.items =
            wire_new(&kafka_incremental_alter_configs_request_config_schema, &g->arena, 2);
        r->configs.count = 1;
        for (int j = 0; j < 2; j++) {
            r->configs.items[j].name = bytes_from_string(config);
            r->configs.items[j].config_operation = operation;
            r->configs.items[j].value = value ? bytes_from_string(value) : BYTES_NULL;
        }
    }
    return in;
}

enum { SET, DELETE, APPEND, SUBTRACT };

static void run_change_oddly(struct golden *g)
{
    static const struct {
        const char *what, *name, *config, *value;
        int8_t type, operation;
    } cases[] = {
        {"unknown topic", "nobody", "retention.ms", "1", TOPIC, SET},
        {"illegal topic", "no spaces", "retention.ms", "1", TOPIC, SET},
        {"no topic", "", "retention.ms", "1", TOPIC, SET},
        {"unknown config", "grown", "no.such", "1", TOPIC, SET},
        {"delete of an unknown config", "grown", "no.such", NULL, TOPIC, DELETE},
        {"no config", "grown", "", "1", TOPIC, SET},
        {"value of another type", "grown", "retention.ms", "soon", TOPIC, SET},
        {"value out of range", "grown", "retention.ms", "-2", TOPIC, SET},
        {"value that is no choice", "grown", "cleanup.policy", "squash", TOPIC, SET},
        {"value in spaces", "grown", "retention.ms", " 7 ", TOPIC, SET},
        {"null value", "grown", "retention.ms", NULL, TOPIC, SET},
        {"append to a number", "grown", "retention.ms", "1", TOPIC, APPEND},
        {"append of null", "grown", "cleanup.policy", NULL, TOPIC, APPEND},
        {"operation 9", "grown", "retention.ms", "1", TOPIC, 9},
        {"lags that conflict", "grown", "max.compaction.lag.ms", "0", TOPIC, SET},
        {"unknown broker", "9", "log.retention.bytes", "1", BROKER, SET},
        {"broker by name", "one", "log.retention.bytes", "1", BROKER, SET},
        {"read-only config", "1", "num.partitions", "2", BROKER, SET},
        {"read-only config of all", "", "num.partitions", "2", BROKER, SET},
        {"broker value of another type", "1", "log.retention.bytes", "soon", BROKER, SET},
        {"broker value of another type of all", "", "log.retention.bytes", "soon", BROKER, SET},
        {"broker value that is no choice", "1", "log.cleanup.policy", "squash", BROKER, SET},
        {"type 0", "x", "retention.ms", "1", 0, SET},
        {"type 64", "x", "retention.ms", "1", 64, SET},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        golden_step(g, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, cases[i].what,
                    change(g, cases[i].type, cases[i].name, cases[i].config, cases[i].operation,
                           cases[i].value));
}

static void run_change(struct golden *g)
{
    enum { KEY = KAFKA_INCREMENTAL_ALTER_CONFIGS };
    struct kafka_incremental_alter_configs_request *in =
        change(g, TOPIC, "grown", "retention.bytes", SET, "1000");
    in->validate_only = true;
    golden_step(g, KEY, 0, "only to validate", in);
    in->resources.count = 2;
    golden_step(g, KEY, 1, "topic twice", in);
    in->resources.count = 1;
    in->resources.items[0].configs.count = 2;
    golden_step(g, KEY, 1, "config twice", in);
    run_describe(g, "as it was");
    golden_step(g, KEY, 0, "set", change(g, TOPIC, "grown", "retention.bytes", SET, "1000"));
    golden_step(g, KEY, 1, "append",
                change(g, TOPIC, "grown", "cleanup.policy", APPEND, "compact"));
    run_describe(g, "with two configs");
    golden_step(g, KEY, 1, "subtract",
                change(g, TOPIC, "grown", "cleanup.policy", SUBTRACT, "delete"));
    golden_step(g, KEY, 1, "set of a broker",
                change(g, BROKER, "1", "log.retention.bytes", SET, "2000"));
    golden_step(g, KEY, 1, "set of all brokers",
                change(g, BROKER, "", "log.retention.bytes", SET, "3000"));
    run_describe(g, "with all");
    golden_step(g, KEY, 1, "delete", change(g, TOPIC, "grown", "retention.bytes", DELETE, NULL));
    run_describe(g, "with the broker's");
    golden_step(g, KEY, 1, "delete of a broker",
                change(g, BROKER, "1", "log.retention.bytes", DELETE, NULL));
    run_describe(g, "with all brokers'");
    golden_step(g, KEY, 1, "delete of all brokers",
                change(g, BROKER, "", "log.retention.bytes", DELETE, NULL));
    golden_step(g, KEY, 1, "delete again",
                change(g, TOPIC, "grown", "retention.bytes", DELETE, NULL));
}

static void replace(struct golden *g, int version, const char *what, int8_t type, const char *name,
                    const char *config, const char *value)
{
    struct kafka_alter_configs_request *in =
        wire_new(&kafka_alter_configs_request_schema, &g->arena, 1);
    in->resources.items = wire_new(&kafka_alter_configs_request_resource_schema, &g->arena, 1);
    in->resources.count = 1;
    struct kafka_alter_configs_request_resource *r = &in->resources.items[0];
    r->resource_type = type;
    r->resource_name = bytes_from_string(name);
    r->configs.items = wire_new(&kafka_alter_configs_request_config_schema, &g->arena, 1);
    r->configs.count = config ? 1 : 0;
    if (config) {
        r->configs.items[0].name = bytes_from_string(config);
        r->configs.items[0].value = value ? bytes_from_string(value) : BYTES_NULL;
    }
    golden_step(g, KAFKA_ALTER_CONFIGS, version, what, in);
}

static void run_replace(struct golden *g)
{
    replace(g, 2, "unknown topic", TOPIC, "nobody", "retention.ms", "1");
    replace(g, 2, "unknown config", TOPIC, "grown", "no.such", "1");
    replace(g, 2, "value of another type", TOPIC, "grown", "retention.ms", "soon");
    replace(g, 2, "null value", TOPIC, "grown", "retention.ms", NULL);
    replace(g, 2, "unknown broker", BROKER, "9", "log.retention.bytes", "1");
    replace(g, 2, "read-only config", BROKER, "1", "num.partitions", "2");
    for (int version = 0; version <= 2; version++)
        replace(g, version, "one config", TOPIC, "grown", "retention.bytes", "4000");
    run_describe(g, "with one config");
    replace(g, 2, "none", TOPIC, "grown", NULL, NULL);
    run_describe(g, "with none");
}

/* ---- the cluster ---- */

static void run_cluster(struct golden *g)
{
    struct kafka_describe_cluster_request cluster = {.endpoint_type = 1};
    for (int version = 0; version <= 2; version++)
        golden_step(g, KAFKA_DESCRIBE_CLUSTER, version, "brokers", &cluster);
    cluster.include_cluster_authorized_operations = true;
    golden_step(g, KAFKA_DESCRIBE_CLUSTER, 1, "operations", &cluster);
    cluster.endpoint_type = 2;
    golden_step(g, KAFKA_DESCRIBE_CLUSTER, 1, "controllers", &cluster);
    cluster.endpoint_type = 3;
    golden_step(g, KAFKA_DESCRIBE_CLUSTER, 1, "endpoints 3", &cluster);

    struct kafka_describe_quorum_request_partition partition = {0};
    struct kafka_describe_quorum_request_topic topic = {.topic_name =
                                                            BYTES_LITERAL("__cluster_metadata")};
    struct kafka_describe_quorum_request quorum = {0};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    quorum.topics.items = &topic;
    quorum.topics.count = 1;
    for (int version = 0; version <= 2; version++)
        golden_step(g, KAFKA_DESCRIBE_QUORUM, version, "metadata", &quorum);
    partition.partition_index = 1;
    golden_step(g, KAFKA_DESCRIBE_QUORUM, 2, "partition 1", &quorum);
    partition.partition_index = 0;
    topic.topic_name = BYTES_LITERAL("grown");
    golden_step(g, KAFKA_DESCRIBE_QUORUM, 2, "another topic", &quorum);
    quorum.topics.count = 0;
    golden_step(g, KAFKA_DESCRIBE_QUORUM, 2, "no topic", &quorum);
}

static void run_elections(struct golden *g)
{
    int32_t partitions[] = {0, 50};
    struct kafka_elect_leaders_request_topic topics[] = {{.topic = BYTES_LITERAL("grown")},
                                                         {.topic = BYTES_LITERAL("nobody")}};
    struct kafka_elect_leaders_request in = {.timeout_ms = 5000};
    for (int version = 0; version <= 2; version++)
        golden_step(g, KAFKA_ELECT_LEADERS, version, "all", &in);
    in.topic_partitions.items = topics;
    in.topic_partitions.count = 1;
    topics[0].partitions.items = topics[1].partitions.items = partitions;
    topics[0].partitions.count = topics[1].partitions.count = 1;
    golden_step(g, KAFKA_ELECT_LEADERS, 2, "one", &in);
    in.election_type = 1;
    golden_step(g, KAFKA_ELECT_LEADERS, 2, "one, unclean", &in);
    in.election_type = 2;
    golden_step(g, KAFKA_ELECT_LEADERS, 2, "type 2", &in);
    in.election_type = 0;
    partitions[0] = 50;
    golden_step(g, KAFKA_ELECT_LEADERS, 2, "unknown partition", &in);
    in.topic_partitions.items = &topics[1];
    golden_step(g, KAFKA_ELECT_LEADERS, 2, "unknown topic", &in);

    struct kafka_list_partition_reassignments_request_topic moved = {BYTES_LITERAL("grown"), {0}};
    struct kafka_list_partition_reassignments_request list = {.timeout_ms = 5000};
    golden_step(g, KAFKA_LIST_PARTITION_REASSIGNMENTS, 0, "all", &list);
    list.topics.items = &moved;
    list.topics.count = 1;
    moved.partition_indexes.items = partitions;
    moved.partition_indexes.count = 1;
    golden_step(g, KAFKA_LIST_PARTITION_REASSIGNMENTS, 0, "unknown partition", &list);

    struct kafka_describe_acls_request acls = {
        .resource_type_filter = 1, .pattern_type_filter = 1, .operation = 1, .permission_type = 1};
    for (int version = 1; version <= 3; version++)
        golden_step(g, KAFKA_DESCRIBE_ACLS, version, "all", &acls);
}

static void list_resources(struct golden *g, int version, const char *what, int8_t type)
{
    struct kafka_list_config_resources_request in = {0};
    in.resource_types.items = &type;
    in.resource_types.count = 1;
    golden_step(g, KAFKA_LIST_CONFIG_RESOURCES, version, what, &in);
}

static void run_listings(struct golden *g)
{
    list_resources(g, 0, "client metrics", 16);
    list_resources(g, 1, "client metrics", 16);
    list_resources(g, 1, "brokers", 4);
    list_resources(g, 1, "loggers", 8);
    list_resources(g, 1, "groups", 32);
    list_resources(g, 1, "type 64", 64);

    int32_t partitions[] = {0, 50};
    struct kafka_describe_log_dirs_request_topic topic = {.topic = BYTES_LITERAL("orders")};
    struct kafka_describe_log_dirs_request in = {0};
    topic.partitions.items = partitions;
    topic.partitions.count = 2;
    in.topics.items = &topic;
    in.topics.count = 1;
    for (int version = 1; version <= 4; version++)
        golden_step(g, KAFKA_DESCRIBE_LOG_DIRS, version, "one partition", &in);
    topic.topic = BYTES_LITERAL("nobody");
    golden_step(g, KAFKA_DESCRIBE_LOG_DIRS, 4, "unknown topic", &in);
    in.topics.count = 0;
    golden_step(g, KAFKA_DESCRIBE_LOG_DIRS, 4, "no topic", &in);
}

static void run_pages(struct golden *g)
{
    enum { KEY = KAFKA_DESCRIBE_TOPIC_PARTITIONS };
    struct kafka_describe_topic_partitions_request_topic topics[] = {{BYTES_LITERAL("nobody")},
                                                                     {BYTES_LITERAL("grown")},
                                                                     {BYTES_LITERAL("empty")},
                                                                     {BYTES_LITERAL("grown")}};
    struct kafka_describe_topic_partitions_request in = {.response_partition_limit = 2000};
    struct kafka_describe_topic_partitions_request_cursor cursor = {BYTES_LITERAL("grown"), 3};
    in.topics.items = topics;
    in.topics.count = 4;
    golden_step(g, KEY, 0, "all", &in);
    in.response_partition_limit = 3;
    golden_step(g, KEY, 0, "the first page", &in);
    in.cursor = &cursor;
    golden_step(g, KEY, 0, "the second page", &in);
    cursor.partition_index = 7;
    golden_step(g, KEY, 0, "the last partition", &in);
    cursor.partition_index = 8;
    golden_step(g, KEY, 0, "behind the last partition", &in);
    cursor.topic_name = BYTES_LITERAL("h");
    golden_step(g, KEY, 0, "from a topic that is not there", &in);
    cursor.topic_name = BYTES_LITERAL("z");
    golden_step(g, KEY, 0, "behind all", &in);
    cursor.partition_index = -1;
    golden_step(g, KEY, 0, "a cursor below 0", &in);
    in.cursor = NULL;
    in.response_partition_limit = 0;
    golden_step(g, KEY, 0, "a limit of 0", &in);
    in.response_partition_limit = 1;
    golden_step(g, KEY, 0, "a limit of 1", &in);
}

void golden_run_admin(struct golden *g)
{
    run_partitions(g);
    run_describe_oddly(g);
    run_change_oddly(g);
    run_change(g);
    run_replace(g);
    run_cluster(g);
    run_elections(g);
    run_listings(g);
    run_pages(g);
    struct bytes name = BYTES_LITERAL("grown");
    struct kafka_delete_topics_request in = {.timeout_ms = 5000};
    in.topic_names.items = &name;
    in.topic_names.count = 1;
    golden_step(g, KAFKA_DELETE_TOPICS, 5, "that has grown", &in);
}
