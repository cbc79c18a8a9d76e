/*
 * DescribeCluster and DescribeQuorum: who is there. There is one node, and it is broker, controller
 * and the whole metadata quorum: what Kafka keeps in the log __cluster_metadata is the catalog here,
 * and its offsets are told as that log's.
 */
#include "broker/catalog.h"
#include "broker/core.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum {
    ENDPOINTS_BROKERS = 1,
    ENDPOINTS_CONTROLLERS = 2,
    /* Bits of Kafka's AclOperation: without access control a client may do everything. */
    CLUSTER_OPERATIONS = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
};

static bool put_node(struct request *r, struct kafka_describe_cluster_response *reply)
{
    reply->brokers.items = request_new(r, &kafka_describe_cluster_response_broker_schema, 1);
    if (!reply->brokers.items)
        return false;
    reply->brokers.count = 1;
    reply->brokers.items[0].broker_id = request_core(r)->config.node_id;
    connection_address(r->connection, &reply->brokers.items[0].host, &reply->brokers.items[0].port);
    return true;
}

void describe_cluster_start(struct request *r)
{
    const struct kafka_describe_cluster_request *in = r->body;
    const struct core_config *config = &request_core(r)->config;
    struct kafka_describe_cluster_response *reply =
        request_new(r, &kafka_describe_cluster_response_schema, 1);
    if (!reply)
        return;
    if (in->endpoint_type == ENDPOINTS_CONTROLLERS) {
        reply->error_code = KAFKA_MISMATCHED_ENDPOINT_TYPE;
        reply->error_message =
            BYTES_LITERAL("The request was sent to an endpoint of type BROKER, but we wanted an "
                          "endpoint of type CONTROLLER");
    } else if (in->endpoint_type != ENDPOINTS_BROKERS) {
        reply->error_code = KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        reply->error_message =
            request_text(r, "Unsupported endpoint type %d", (int)in->endpoint_type);
    } else {
        if (!put_node(r, reply))
            return;
        reply->cluster_id = bytes_from_string(config->cluster_id);
        reply->controller_id = config->node_id;
        if (in->include_cluster_authorized_operations)
            reply->cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    request_answer(r, reply);
}

/* ---- the quorum ---- */

static const struct bytes metadata_topic = BYTES_LITERAL("__cluster_metadata");

static bool put_voter(struct request *r, const struct log *catalog,
                      struct kafka_describe_quorum_response_partition *out)
{
    struct core *core = request_core(r);
    out->current_voters.items = request_new(r, &kafka_describe_quorum_response_replica_schema, 1);
    if (!out->current_voters.items)
        return false;
    out->current_voters.count = 1;
    struct kafka_describe_quorum_response_replica *voter = &out->current_voters.items[0];
    voter->replica_id = core->config.node_id;
    voter->log_end_offset = catalog->end;
    voter->last_fetch_timestamp = voter->last_caught_up_timestamp = core->wall_ms;
    return true;
}

static bool put_partition(struct request *r, struct bytes topic, int32_t index,
                          struct kafka_describe_quorum_response_partition *out)
{
    struct core *core = request_core(r);
    const struct log *catalog = store_find(core->store, CATALOG_LOG_ID);
    out->partition_index = index;
    if (!bytes_equal(topic, metadata_topic) || index != 0) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return true;
    }
    out->leader_id = core->config.node_id;
    out->leader_epoch = store_epoch(core->store);
    out->high_watermark = catalog->hw;
    return put_voter(r, catalog, out);
}

static bool put_topic(struct request *r, const struct kafka_describe_quorum_request_topic *in,
                      struct kafka_describe_quorum_response_topic *out)
{
    out->topic_name = in->topic_name;
    out->partitions.items = request_new(r, &kafka_describe_quorum_response_partition_schema,
                                        (size_t)in->partitions.count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = in->partitions.count;
    for (int32_t i = 0; i < in->partitions.count; i++)
        if (!put_partition(r, in->topic_name, in->partitions.items[i].partition_index,
                           &out->partitions.items[i]))
            return false;
    return true;
}

static bool put_endpoint(struct request *r, struct kafka_describe_quorum_response *reply)
{
    int32_t port;
    struct kafka_describe_quorum_response_node *node =
        request_new(r, &kafka_describe_quorum_response_node_schema, 1);
    struct kafka_describe_quorum_response_listener *listener =
        request_new(r, &kafka_describe_quorum_response_listener_schema, 1);
    if (!node || !listener)
        return false;
    listener->name = BYTES_LITERAL("PLAINTEXT");
    connection_address(r->connection, &listener->host, &port);
    listener->port = (uint16_t)port;
    node->node_id = request_core(r)->config.node_id;
    node->listeners.items = listener;
    node->listeners.count = 1;
    reply->nodes.items = node;
    reply->nodes.count = 1;
    return true;
}

static bool tells_a_voter(const struct kafka_describe_quorum_response *reply)
{
    for (int32_t i = 0; i < reply->topics.count; i++)
        for (int32_t j = 0; j < reply->topics.items[i].partitions.count; j++)
            if (reply->topics.items[i].partitions.items[j].current_voters.count > 0)
                return true;
    return false;
}

void describe_quorum_start(struct request *r)
{
    const struct kafka_describe_quorum_request *in = r->body;
    struct kafka_describe_quorum_response *reply =
        request_new(r, &kafka_describe_quorum_response_schema, 1);
    if (!reply)
        return;
    reply->topics.items =
        request_new(r, &kafka_describe_quorum_response_topic_schema, (size_t)in->topics.count);
    if (!reply->topics.items)
        return;
    reply->topics.count = in->topics.count;
    for (int32_t i = 0; i < in->topics.count; i++)
        if (!put_topic(r, &in->topics.items[i], &reply->topics.items[i]))
            return;
    if (tells_a_voter(reply) && !put_endpoint(r, reply))
        return;
    request_answer(r, reply);
}
