/*
 * Metadata: the nodes and the topics. There is one node: us, at the address that the client has
 * reached, unless its listener advertises another. A topic that is missing is created when the
 * client and the broker allow it, and the answer waits until it is durable: no LEADER_NOT_AVAILABLE
 * and no second try. KIP-78 (cluster id), KIP-204 (v4 auto-creation), KIP-516 (topic ids).
 */
#include "base/map.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum {
    ALL_BY_EMPTY_UNTIL = 0, /* later versions say it by null */
    AUTO_CREATION_FLAG_SINCE = 4,
    TIMEOUT_MS = 30000,
    /* Bits of Kafka's AclOperation: without access control a client may do everything. */
    TOPIC_OPERATIONS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11,
    CLUSTER_OPERATIONS = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
};

struct metadata {
    struct request *request;
    enum kafka_error *errors; /* of creation, one for each topic asked for */
    int32_t *nodes;           /* the one array of replicas that all partitions share */
};

static void create_missing(struct metadata *m);
static void answer(struct request *r, bool in_time);
static bool put_all_topics(struct metadata *m, struct kafka_metadata_response *reply);
static bool put_asked_topics(struct metadata *m, struct kafka_metadata_response *reply);
static bool put_topic(struct metadata *m, struct topic *topic,
                      struct kafka_metadata_response_topic *out);

void metadata_start(struct request *r)
{
    const struct kafka_metadata_request *in = r->body;
    struct core *core = request_core(r);
    struct metadata *m = request_alloc(r, 1, sizeof *m);
    if (!m)
        return;
    m->request = r;
    r->work = m;
    m->nodes = request_alloc(r, 1, sizeof *m->nodes);
    m->errors = request_alloc(r, (size_t)in->topics.count, sizeof *m->errors);
    if (!m->nodes || !m->errors)
        return;
    m->nodes[0] = core->config.node_id;
    create_missing(m);
    request_wait(r, core_catalog_ticket(core), STAGE_COMMITTED, TIMEOUT_MS, answer);
}

/* ---- creating ---- */

static enum kafka_error create_topic(struct core *core, struct bytes name)
{
    if (!topic_name_is_legal(name))
        return KAFKA_INVALID_TOPIC;
    if (topic_name_is_internal(name)) /* they come with the first group */
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct topic_spec spec = {.name = name, .partition_count = -1};
    struct topic *topic;
    enum err err = topic_create(core, &spec, &topic);
    return err == E_INVALID || err == E_REFUSED ? KAFKA_INVALID_TOPIC : kafka_error_of(err);
}

static void create_missing(struct metadata *m)
{
    const struct kafka_metadata_request *in = m->request->body;
    struct core *core = request_core(m->request);
    bool allowed =
        core->config.auto_create_topics &&
        (m->request->version < AUTO_CREATION_FLAG_SINCE || in->allow_auto_topic_creation);
    for (int32_t i = 0; i < in->topics.count; i++) {
        struct bytes name = in->topics.items[i].name;
        if (!name.data || !uuid_is_zero(in->topics.items[i].topic_id) || topic_find(core, name))
            continue;
        if (allowed)
            m->errors[i] = create_topic(core, name);
        else
            m->errors[i] =
                topic_name_is_legal(name) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_TOPIC;
    }
}

/* ---- answering ---- */

static bool put_node(struct request *r, struct kafka_metadata_response *reply)
{
    reply->brokers.items = request_new(r, &kafka_metadata_response_broker_schema, 1);
    if (!reply->brokers.items)
        return false;
    reply->brokers.count = 1;
    struct kafka_metadata_response_broker *out = &reply->brokers.items[0];
    out->node_id = request_core(r)->config.node_id;
    connection_address(r->connection, &out->host, &out->port);
    return true;
}

static void answer(struct request *r, bool in_time)
{
    struct metadata *m = r->work;
    const struct kafka_metadata_request *in = r->body;
    const struct core_config *config = &request_core(r)->config;
    if (!in_time && !store_is_frozen(request_core(r)->store)) {
        request_fail(r, "the catalog was not durable within %d ms", TIMEOUT_MS);
        return;
    }
    struct kafka_metadata_response *reply = request_new(r, &kafka_metadata_response_schema, 1);
    if (!reply || !put_node(r, reply))
        return;
    reply->cluster_id = bytes_from_string(config->cluster_id);
    reply->controller_id = config->node_id;
    if (in->include_cluster_authorized_operations)
        reply->cluster_authorized_operations = CLUSTER_OPERATIONS;
    bool all = r->version <= ALL_BY_EMPTY_UNTIL ? in->topics.count == 0 : !in->topics.items;
    if (all ? put_all_topics(m, reply) : put_asked_topics(m, reply))
        request_answer(r, reply);
}

struct all_topics {
    struct metadata *metadata;
    struct kafka_metadata_response *reply;
    size_t count;
    bool failed;
};

static void count_topic(void *ctx, struct topic *topic)
{
    (void)topic;
    ((struct all_topics *)ctx)->count++;
}

static void add_topic(void *ctx, struct topic *topic)
{
    struct all_topics *all = ctx;
    if (!all->failed)
        all->failed =
            !put_topic(all->metadata, topic, &all->reply->topics.items[all->reply->topics.count++]);
}

static bool put_all_topics(struct metadata *m, struct kafka_metadata_response *reply)
{
    struct core *core = request_core(m->request);
    struct all_topics all = {.metadata = m, .reply = reply};
    topic_each(core, count_topic, &all);
    reply->topics.items = request_new(m->request, &kafka_metadata_response_topic_schema, all.count);
    if (!reply->topics.items)
        return false;
    topic_each(core, add_topic, &all);
    return !all.failed;
}

static bool put_asked_topic(struct metadata *m, int32_t i,
                            struct kafka_metadata_response_topic *out)
{
    const struct kafka_metadata_request *in = m->request->body;
    const struct kafka_metadata_request_topic *asked = &in->topics.items[i];
    struct core *core = request_core(m->request);
    bool by_id = !uuid_is_zero(asked->topic_id);
    struct topic *topic =
        by_id ? topic_find_id(core, asked->topic_id.data) : topic_find(core, asked->name);
    if (topic)
        return put_topic(m, topic, out);
    out->name = asked->name;
    out->topic_id = asked->topic_id;
    out->error_code = (int16_t)m->errors[i];
    if (by_id)
        out->error_code = KAFKA_UNKNOWN_TOPIC_ID;
    else if (!out->error_code)
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return true;
}

/* Each name once, as Kafka does: repeating a large topic in a small request must not make a huge
 * answer. */
static bool put_asked_topics(struct metadata *m, struct kafka_metadata_response *reply)
{
    const struct kafka_metadata_request *in = m->request->body;
    reply->topics.items =
        request_new(m->request, &kafka_metadata_response_topic_schema, (size_t)in->topics.count);
    if (!reply->topics.items)
        return false;
    struct map seen = {0};
    bool good = true;
    for (int32_t i = 0; i < in->topics.count && good; i++) {
        const struct kafka_metadata_request_topic *asked = &in->topics.items[i];
        struct bytes key = uuid_is_zero(asked->topic_id)
                               ? asked->name
                               : bytes_of(asked->topic_id.data, sizeof asked->topic_id);
        if (!map_put(&seen, key, m))
            good = put_asked_topic(m, i, &reply->topics.items[reply->topics.count++]);
    }
    map_reset(&seen);
    return good;
}

static bool put_topic(struct metadata *m, struct topic *topic,
                      struct kafka_metadata_response_topic *out)
{
    const struct kafka_metadata_request *in = m->request->body;
    size_t count = (size_t)topic->partition_count;
    out->name = topic->name;
    memcpy(out->topic_id.data, topic->id, sizeof topic->id);
    out->is_internal = topic_name_is_internal(topic->name);
    if (in->include_topic_authorized_operations)
        out->topic_authorized_operations = TOPIC_OPERATIONS;
    out->partitions.items =
        request_new(m->request, &kafka_metadata_response_partition_schema, count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = topic->partition_count;
    int32_t epoch = store_epoch(request_core(m->request)->store);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct kafka_metadata_response_partition *partition = &out->partitions.items[i];
        partition->partition_index = i;
        partition->leader_id = m->nodes[0];
        partition->leader_epoch = epoch;
        partition->replica_nodes.items = m->nodes;
        partition->replica_nodes.count = 1;
        partition->isr_nodes.items = m->nodes;
        partition->isr_nodes.count = 1;
    }
    return true;
}
