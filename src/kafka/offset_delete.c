/* OffsetDelete: forget offsets of topics that the group's members do not subscribe to (KIP-496). */
#include "broker/offsets.h"
#include "broker/topic.h"
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

static void answer(struct request *r, bool in_time)
{
    struct kafka_offset_delete_response *reply = r->reply;
    if (!in_time) {
        reply->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
        reply->topics.count = 0;
    }
    request_answer(r, reply);
}

static bool remove_topic(struct request *r, struct offset_removal *removal,
                         const struct kafka_offset_delete_request_topic *in,
                         struct kafka_offset_delete_response_topic *out)
{
    struct topic *topic = topic_find(request_core(r), in->name);
    out->name = in->name;
    out->partitions.items = request_new(r, &kafka_offset_delete_response_partition_schema,
                                        (size_t)in->partitions.count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = in->partitions.count;
    for (int32_t i = 0; i < in->partitions.count; i++) {
        int32_t partition = in->partitions.items[i].partition_index;
        bool is_there = topic && topic_partition(topic, partition);
        out->partitions.items[i].partition_index = partition;
        out->partitions.items[i].error_code =
            is_there ? group_code(offsets_remove(removal, in->name, partition))
                     : (int16_t)KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return true;
}

/* False: the request has failed. */
static bool remove_all(struct request *r, struct offset_removal *removal,
                       struct kafka_offset_delete_response *reply)
{
    const struct kafka_offset_delete_request *in = r->body;
    reply->topics.items =
        request_new(r, &kafka_offset_delete_response_topic_schema, (size_t)in->topics.count);
    bool good = reply->topics.items != NULL;
    for (int32_t i = 0; good && i < in->topics.count; i++, reply->topics.count++)
        good = remove_topic(r, removal, &in->topics.items[i], &reply->topics.items[i]);
    return good;
}

void offset_delete_start(struct request *r)
{
    const struct kafka_offset_delete_request *in = r->body;
    struct kafka_offset_delete_response *reply =
        request_new(r, &kafka_offset_delete_response_schema, 1);
    struct offset_removal removal;
    struct ticket ticket;
    if (!reply)
        return;
    r->reply = reply;
    enum group_error error = offsets_remove_begin(request_groups(r), in->group_id, &removal);
    if (error) {
        reply->error_code = group_code(error);
        request_wait(r, groups_barrier(request_groups(r), in->group_id), STAGE_COMMITTED,
                     GROUP_TIMEOUT_MS, answer);
        return;
    }
    bool good = remove_all(r, &removal, reply);
    error = offsets_remove_end(&removal, &ticket);
    if (!good)
        return;
    if (error) {
        reply->error_code = group_code(error);
        reply->topics.count = 0;
    }
    request_wait(r, ticket, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}
