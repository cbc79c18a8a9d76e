/*
 * ElectLeaders and ListPartitionReassignments: with one node every partition is led by its preferred
 * leader, and none is being moved.
 */
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { ELECT_PREFERRED, ELECT_UNCLEAN };

static bool type_is_known(const struct kafka_elect_leaders_request *in)
{
    return in->election_type == ELECT_PREFERRED || in->election_type == ELECT_UNCLEAN;
}

static void elect_one(struct request *r, const struct topic *topic, int32_t index,
                      struct kafka_elect_leaders_response_partition *out)
{
    const struct kafka_elect_leaders_request *in = r->body;
    out->partition_id = index;
    if (!type_is_known(in)) {
        out->error_code = KAFKA_INVALID_REQUEST;
        out->error_message = request_text(r, "Unknown election type %d", (int)in->election_type);
        return;
    }
    if (!topic || index < 0 || index >= topic->partition_count) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        out->error_message = topic ? request_text(r, "No such partition as %.*s-%d",
                                                  BYTES_FORMAT(topic->name), index)
                                   : BYTES_LITERAL("this topic does not exist");
        return;
    }
    out->error_code = KAFKA_ELECTION_NOT_NEEDED;
    out->error_message = BYTES_LITERAL("Leader election not needed for topic partition.");
}

static bool elect_topic(struct request *r, const struct kafka_elect_leaders_request_topic *in,
                        struct kafka_elect_leaders_response_topic *out)
{
    const struct topic *topic = topic_find(request_core(r), in->topic);
    out->topic = in->topic;
    out->partition_result.items = request_new(r, &kafka_elect_leaders_response_partition_schema,
                                              (size_t)in->partitions.count);
    if (!out->partition_result.items)
        return false;
    out->partition_result.count = in->partitions.count;
    for (int32_t i = 0; i < in->partitions.count; i++)
        elect_one(r, topic, in->partitions.items[i], &out->partition_result.items[i]);
    return true;
}

/* Of all partitions only those are told whose leader has changed: none. */
void elect_leaders_start(struct request *r)
{
    const struct kafka_elect_leaders_request *in = r->body;
    struct kafka_elect_leaders_response *reply =
        request_new(r, &kafka_elect_leaders_response_schema, 1);
    if (!reply)
        return;
    int32_t count = in->topic_partitions.count;
    if (!type_is_known(in))
        reply->error_code = KAFKA_INVALID_REQUEST;
    reply->replica_election_results.items =
        request_new(r, &kafka_elect_leaders_response_topic_schema, (size_t)count);
    if (!reply->replica_election_results.items)
        return;
    reply->replica_election_results.count = count;
    for (int32_t i = 0; i < count; i++)
        if (!elect_topic(r, &in->topic_partitions.items[i],
                         &reply->replica_election_results.items[i]))
            return;
    request_answer(r, reply);
}

void list_partition_reassignments_start(struct request *r)
{
    struct kafka_list_partition_reassignments_response *reply =
        request_new(r, &kafka_list_partition_reassignments_response_schema, 1);
    if (reply)
        request_answer(r, reply);
}
