/*
 * Metadata: the nodes and the topics. There is one node: us, at the address that the client has
 * reached, unless its listener advertises another. A topic that is missing is created when the
 * client and the broker allow it, and the answer waits until it is durable: no LEADER_NOT_AVAILABLE
 * and no second try. KIP-78 (cluster id), KIP-204 (v4 auto-creation), KIP-516 (topic ids).
 *
 * There may be very many topics: the answer is put together in slices, and tells the topics that there
 * were at the first one.
 */
#include "base/map.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "broker/topic_walk.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum {
    ALL_BY_EMPTY_UNTIL = 0, /* later versions say it by null */
    AUTO_CREATION_FLAG_SINCE = 4,
    TIMEOUT_MS = 30000,
    /* What is done in one turn: partitions, and what finding or making a topic costs besides. */
    SLICE_PARTITIONS = 8192,
    TOPIC_COST = 16,
    /* Bits of Kafka's AclOperation: without access control a client may do everything. */
    TOPIC_OPERATIONS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11,
    CLUSTER_OPERATIONS = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
};

struct metadata {
    struct slice slice;
    struct topic_walk all; /* when all topics are asked for */
    struct map seen;       /* what was asked for by name or id, each once */
    int32_t next;          /* topic of the request */
    int32_t *nodes;        /* the one array of replicas that all partitions share */
    int32_t left;          /* of the slice */
};

static bool asks_for_all(const struct request *r);
static bool begin_reply(struct request *r, size_t topic_count);
static void go_on(struct request *r);

void metadata_start(struct request *r)
{
    const struct kafka_metadata_request *in = r->body;
    struct core *core = request_core(r);
    struct metadata *m = request_alloc(r, 1, sizeof *m);
    if (!m)
        return;
    r->work = m;
    m->nodes = request_alloc(r, 1, sizeof *m->nodes);
    if (!m->nodes)
        return;
    m->nodes[0] = core->config.node_id;
    if (asks_for_all(r))
        topic_walk_begin(&m->all, core);
    if (begin_reply(r, asks_for_all(r) ? m->all.count : (size_t)in->topics.count))
        go_on(r);
}

void metadata_release(struct request *r)
{
    struct metadata *m = r->work;
    if (!m)
        return;
    core_defer_cancel(&m->slice.deferred);
    topic_walk_end(&m->all);
    map_reset(&m->seen);
}

static bool asks_for_all(const struct request *r)
{
    const struct kafka_metadata_request *in = r->body;
    return r->version <= ALL_BY_EMPTY_UNTIL ? in->topics.count == 0 : !in->topics.items;
}

/* ---- the answer but its topics ---- */

static bool put_node(struct request *r, struct kafka_metadata_response *reply)
{
    struct bytes host;
    reply->brokers.items = request_new(r, &kafka_metadata_response_broker_schema, 1);
    if (!reply->brokers.items)
        return false;
    reply->brokers.count = 1;
    struct kafka_metadata_response_broker *out = &reply->brokers.items[0];
    out->node_id = request_core(r)->config.node_id;
    connection_address(r->connection, &host, &out->port);
    out->host = request_copy(r, host);
    return out->host.data != NULL;
}

static bool begin_reply(struct request *r, size_t topic_count)
{
    const struct kafka_metadata_request *in = r->body;
    const struct core_config *config = &request_core(r)->config;
    struct kafka_metadata_response *reply = request_new(r, &kafka_metadata_response_schema, 1);
    if (!reply || !put_node(r, reply))
        return false;
    r->reply = reply;
    reply->cluster_id = request_copy(r, bytes_from_string(config->cluster_id));
    reply->controller_id = config->node_id;
    if (in->include_cluster_authorized_operations)
        reply->cluster_authorized_operations = CLUSTER_OPERATIONS;
    reply->topics.items = request_room(r, topic_count, sizeof *reply->topics.items);
    return reply->topics.items && reply->cluster_id.data;
}

static void answer(struct request *r, bool in_time)
{
    if (in_time || store_is_frozen(request_core(r)->store))
        request_answer(r, r->reply);
    else
        request_fail(r, "the catalog was not durable within %d ms", TIMEOUT_MS);
}

/* ---- one topic ---- */

static struct kafka_metadata_response_topic *add_topic(struct request *r)
{
    struct kafka_metadata_response *reply = r->reply;
    struct kafka_metadata_response_topic *out = &reply->topics.items[reply->topics.count++];
    wire_init(&kafka_metadata_response_topic_schema, out);
    return out;
}

static bool put_topic(struct request *r, const struct topic *topic)
{
    const struct kafka_metadata_request *in = r->body;
    struct metadata *m = r->work;
    struct kafka_metadata_response_topic *out = add_topic(r);
    size_t count = (size_t)topic->partition_count;
    out->name = request_copy(r, topic->name);
    memcpy(out->topic_id.data, topic->id, sizeof topic->id);
    out->is_internal = topic_name_is_internal(topic->name);
    if (in->include_topic_authorized_operations)
        out->topic_authorized_operations = TOPIC_OPERATIONS;
    out->partitions.items = request_new(r, &kafka_metadata_response_partition_schema, count);
    if (!out->partitions.items || !out->name.data)
        return false;
    out->partitions.count = topic->partition_count;
    m->left -= topic->partition_count;
    int32_t epoch = store_epoch(request_core(r)->store);
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

static enum kafka_error create_topic(struct core *core, struct bytes name, struct topic **out)
{
    if (!topic_name_is_legal(name))
        return KAFKA_INVALID_TOPIC;
    if (topic_name_is_internal(name)) /* they come with the first group */
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct topic_spec spec = {.name = name, .partition_count = -1};
    enum err err = topic_create(core, &spec, out);
    return err == E_INVALID || err == E_REFUSED ? KAFKA_INVALID_TOPIC : kafka_error_of(err);
}

static enum kafka_error
find_topic(struct request *r, const struct kafka_metadata_request_topic *asked, struct topic **out)
{
    const struct kafka_metadata_request *in = r->body;
    struct core *core = request_core(r);
    bool by_id = !uuid_is_zero(asked->topic_id);
    *out = by_id ? topic_find_id(core, asked->topic_id.data) : topic_find(core, asked->name);
    if (*out)
        return KAFKA_NONE;
    if (by_id)
        return KAFKA_UNKNOWN_TOPIC_ID;
    if (!asked->name.data)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (core->config.auto_create_topics &&
        (r->version < AUTO_CREATION_FLAG_SINCE || in->allow_auto_topic_creation))
        return create_topic(core, asked->name, out);
    return topic_name_is_legal(asked->name) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                            : KAFKA_INVALID_TOPIC;
}

static bool put_asked_topic(struct request *r, const struct kafka_metadata_request_topic *asked)
{
    struct topic *topic = NULL;
    enum kafka_error error = find_topic(r, asked, &topic);
    if (topic)
        return put_topic(r, topic);
    struct kafka_metadata_response_topic *out = add_topic(r);
    out->topic_id = asked->topic_id;
    out->error_code = (int16_t)error;
    out->name = asked->name.data ? request_copy(r, asked->name) : BYTES_NULL;
    return !request_has_failed(r);
}

/* ---- slices ---- */

/* Each name once, as Kafka does: repeating a large topic in a small request must not make a huge
 * answer. */
static bool is_seen(struct metadata *m, const struct kafka_metadata_request_topic *asked)
{
    struct bytes key = uuid_is_zero(asked->topic_id)
                           ? asked->name
                           : bytes_of(asked->topic_id.data, sizeof asked->topic_id);
    return map_put(&m->seen, key, m) != NULL;
}

/* The next topic; false when there is none, or the request has failed. */
static bool put_next(struct request *r)
{
    const struct kafka_metadata_request *in = r->body;
    struct metadata *m = r->work;
    if (m->all.core) {
        const struct topic *topic = topic_walk_next(&m->all);
        return topic && put_topic(r, topic);
    }
    if (m->next == in->topics.count)
        return false;
    const struct kafka_metadata_request_topic *asked = &in->topics.items[m->next++];
    return is_seen(m, asked) || put_asked_topic(r, asked);
}

static void go_on(struct request *r)
{
    struct metadata *m = r->work;
    bool has_more = true;
    for (m->left = SLICE_PARTITIONS; m->left > 0 && has_more; m->left -= TOPIC_COST)
        has_more = put_next(r);
    if (request_has_failed(r))
        return;
    if (has_more)
        request_slice(r, &m->slice, go_on);
    else
        request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, TIMEOUT_MS, answer);
}
