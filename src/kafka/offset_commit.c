/*
 * OffsetCommit: answered when the offsets are committed. Each partition has its own answer; what is
 * wrong with the group is told of all of them. KIP-345 (v7: static members). Version 9 differs only
 * for groups of the consumer protocol, which are not built; version 10 was not stable in 4.1.
 */
#include "broker/offsets.h"
#include "broker/topic.h"
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { GROUP_NOT_FOUND_SINCE = 9 };

static void set_all(struct kafka_offset_commit_response *reply, enum kafka_error error)
{
    for (int32_t i = 0; i < reply->topics.count; i++)
        for (int32_t j = 0; j < reply->topics.items[i].partitions.count; j++)
            if (!reply->topics.items[i].partitions.items[j].error_code)
                reply->topics.items[i].partitions.items[j].error_code = (int16_t)error;
}

static void answer(struct request *r, bool in_time)
{
    if (!in_time)
        set_all(r->reply, KAFKA_COORDINATOR_NOT_AVAILABLE);
    request_answer(r, r->reply);
}

/* True: at least one partition exists. */
static bool put_partitions(struct request *r, const struct kafka_offset_commit_request_topic *in,
                           struct kafka_offset_commit_response_topic *out, bool *any)
{
    struct topic *topic = topic_find(request_core(r), in->name);
    out->name = in->name;
    out->partitions.items = request_new(r, &kafka_offset_commit_response_partition_schema,
                                        (size_t)in->partitions.count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = in->partitions.count;
    for (int32_t i = 0; i < in->partitions.count; i++) {
        int32_t index = in->partitions.items[i].partition_index;
        bool is_there = topic && topic_partition(topic, index);
        out->partitions.items[i].partition_index = index;
        if (!is_there)
            out->partitions.items[i].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        *any |= is_there;
    }
    return true;
}

static struct kafka_offset_commit_response *make_reply(struct request *r, bool *any)
{
    const struct kafka_offset_commit_request *in = r->body;
    struct kafka_offset_commit_response *reply =
        request_new(r, &kafka_offset_commit_response_schema, 1);
    if (!reply)
        return NULL;
    reply->topics.items =
        request_new(r, &kafka_offset_commit_response_topic_schema, (size_t)in->topics.count);
    if (!reply->topics.items)
        return NULL;
    reply->topics.count = in->topics.count;
    for (int32_t i = 0; i < in->topics.count; i++)
        if (!put_partitions(r, &in->topics.items[i], &reply->topics.items[i], any))
            return NULL;
    return reply;
}

static void add_topic(struct offset_commit *commit,
                      const struct kafka_offset_commit_request_topic *in,
                      struct kafka_offset_commit_response_topic *out)
{
    for (int32_t i = 0; i < in->partitions.count; i++) {
        const struct kafka_offset_commit_request_partition *p = &in->partitions.items[i];
        struct offset_value value = {
            .offset = p->committed_offset,
            .leader_epoch = p->committed_leader_epoch,
            .metadata = p->committed_metadata,
        };
        if (!out->partitions.items[i].error_code)
            out->partitions.items[i].error_code =
                group_code(offsets_add(commit, in->name, p->partition_index, &value));
    }
}

static enum kafka_error begin_error(const struct request *r, enum group_error error,
                                    const struct offset_commit *commit)
{
    /* KIP-848: from version 9 on a member of a group that is gone is told so. */
    if (error == GROUP_ILLEGAL_GENERATION && !commit->group && r->version >= GROUP_NOT_FOUND_SINCE)
        return KAFKA_GROUP_ID_NOT_FOUND;
    return kafka_error_of_group(error);
}

static struct ticket commit(struct request *r, struct kafka_offset_commit_response *reply)
{
    const struct kafka_offset_commit_request *in = r->body;
    struct ticket ticket = {0};
    struct offset_commit c = {
        .group_id = in->group_id,
        .member_id = in->member_id,
        .instance_id = in->group_instance_id,
        .generation = in->generation_id_or_member_epoch,
        .retention_ms = in->retention_time_ms,
    };
    enum group_error error = offsets_begin(request_groups(r), &c);
    if (error) {
        set_all(reply, begin_error(r, error, &c));
        return ticket;
    }
    for (int32_t i = 0; i < in->topics.count; i++)
        add_topic(&c, &in->topics.items[i], &reply->topics.items[i]);
    error = offsets_end(&c, &ticket);
    if (error)
        set_all(reply, kafka_error_of_group(error));
    return ticket;
}

void offset_commit_start(struct request *r)
{
    bool any = false;
    struct kafka_offset_commit_response *reply = make_reply(r, &any);
    struct ticket ticket = {0};
    if (!reply)
        return;
    r->reply = reply;
    if (any)
        ticket = commit(r, reply);
    request_wait(r, ticket, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}
