/*
 * OffsetFetch: what a group has committed. The answer waits until everything that was appended about
 * the group before the request is committed. No offset is -1 without an error. Version 8 asks for
 * several groups (KIP-709); require_stable (v7, KIP-447) makes no difference, because there are no
 * transactions. Version 10 was not stable in 4.1.
 */
#include "broker/offsets.h"
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { SEVERAL_GROUPS_SINCE = 8, ERROR_CODE_SINCE = 2, ALL_BY_NULL_SINCE = 2, NO_OFFSET = -1 };

/* The request as version 8 has it, and the answer likewise. */
struct offset_fetch {
    struct request *request;
    struct kafka_offset_fetch_request_group *asked;
    int32_t count;
    struct kafka_offset_fetch_response_group *out;
};

/* ---- the older form ---- */

static bool take_old_request(struct offset_fetch *f)
{
    const struct kafka_offset_fetch_request *in = f->request->body;
    f->asked = request_new(f->request, &kafka_offset_fetch_request_group_schema, 1);
    if (!f->asked)
        return false;
    f->count = 1;
    f->asked->group_id = in->group_id;
    f->asked->topics.count = in->topics.count;
    if (!in->topics.items)
        return true;
    struct kafka_offset_fetch_request_group_topic *topics = request_new(
        f->request, &kafka_offset_fetch_request_group_topic_schema, (size_t)in->topics.count);
    f->asked->topics.items = topics;
    for (int32_t i = 0; topics && i < in->topics.count; i++) {
        topics[i].name = in->topics.items[i].name;
        topics[i].partition_indexes.items = in->topics.items[i].partition_indexes.items;
        topics[i].partition_indexes.count = in->topics.items[i].partition_indexes.count;
    }
    return topics != NULL;
}

static bool put_old_topic(struct request *r,
                          const struct kafka_offset_fetch_response_group_topic *in,
                          struct kafka_offset_fetch_response_topic *out)
{
    out->name = in->name;
    out->partitions.items =
        request_new(r, &kafka_offset_fetch_response_partition_schema, (size_t)in->partitions.count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = in->partitions.count;
    for (int32_t i = 0; i < in->partitions.count; i++)
        out->partitions.items[i] = (struct kafka_offset_fetch_response_partition){
            .partition_index = in->partitions.items[i].partition_index,
            .committed_offset = in->partitions.items[i].committed_offset,
            .committed_leader_epoch = in->partitions.items[i].committed_leader_epoch,
            .metadata = in->partitions.items[i].metadata,
            .error_code = in->partitions.items[i].error_code,
        };
    return true;
}

static bool put_old_answer(struct offset_fetch *f, struct kafka_offset_fetch_response *reply)
{
    const struct kafka_offset_fetch_response_group *only = f->out;
    reply->error_code = only->error_code;
    reply->topics.items = request_new(f->request, &kafka_offset_fetch_response_topic_schema,
                                      (size_t)only->topics.count);
    if (!reply->topics.items)
        return false;
    reply->topics.count = only->topics.count;
    for (int32_t i = 0; i < only->topics.count; i++)
        if (!put_old_topic(f->request, &only->topics.items[i], &reply->topics.items[i]))
            return false;
    return true;
}

/* ---- one group ---- */

static void put_value(struct request *r, int32_t partition, const struct offset_value *value,
                      struct kafka_offset_fetch_response_group_partition *out)
{
    out->partition_index = partition;
    out->committed_offset = value ? value->offset : NO_OFFSET;
    out->committed_leader_epoch = value ? value->leader_epoch : -1;
    out->metadata = value && value->metadata.size > 0 ? arena_copy(&r->arena, value->metadata)
                                                      : BYTES_LITERAL("");
}

static bool put_asked_topic(struct request *r, const struct group *group,
                            const struct kafka_offset_fetch_request_group_topic *in, int16_t error,
                            struct kafka_offset_fetch_response_group_topic *out)
{
    out->name = in->name;
    out->partitions.items = request_new(r, &kafka_offset_fetch_response_group_partition_schema,
                                        (size_t)in->partition_indexes.count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = in->partition_indexes.count;
    for (int32_t i = 0; i < in->partition_indexes.count; i++) {
        int32_t partition = in->partition_indexes.items[i];
        put_value(r, partition, group ? offsets_find(group, in->name, partition) : NULL,
                  &out->partitions.items[i]);
        out->partitions.items[i].error_code = error;
    }
    return true;
}

/* With an error each partition says it where the version has no other place for it. */
static bool put_asked_topics(struct request *r, const struct group *group,
                             const struct kafka_offset_fetch_request_group *in, int16_t error,
                             struct kafka_offset_fetch_response_group *out)
{
    out->topics.items =
        request_new(r, &kafka_offset_fetch_response_group_topic_schema, (size_t)in->topics.count);
    if (!out->topics.items)
        return false;
    out->topics.count = in->topics.count;
    for (int32_t i = 0; i < in->topics.count; i++)
        if (!put_asked_topic(r, group, &in->topics.items[i], error, &out->topics.items[i]))
            return false;
    return true;
}

struct all_offsets {
    struct request *request;
    struct kafka_offset_fetch_response_group *out;
    struct kafka_offset_fetch_response_group_partition *next; /* of one array for all topics */
};

static void add_offset(void *ctx, struct bytes topic, int32_t partition,
                       const struct offset_value *value)
{
    struct all_offsets *all = ctx;
    int32_t count = all->out->topics.count;
    struct kafka_offset_fetch_response_group_topic *last =
        count > 0 ? &all->out->topics.items[count - 1] : NULL;
    if (!last || !bytes_equal(last->name, topic)) {
        last = &all->out->topics.items[all->out->topics.count++];
        last->name = arena_copy(&all->request->arena, topic);
        last->partitions.items = all->next;
    }
    put_value(all->request, partition, value, all->next++);
    last->partitions.count++;
}

static bool put_all_topics(struct request *r, const struct group *group,
                           struct kafka_offset_fetch_response_group *out)
{
    struct all_offsets all = {.request = r, .out = out};
    size_t topics = 0, partitions = 0;
    if (group)
        offsets_count(group, &topics, &partitions);
    out->topics.items = request_new(r, &kafka_offset_fetch_response_group_topic_schema, topics);
    all.next = request_new(r, &kafka_offset_fetch_response_group_partition_schema, partitions);
    if (!out->topics.items || !all.next)
        return false;
    if (group)
        offsets_each(group, add_offset, &all);
    return true;
}

static bool put_group(struct request *r, const struct kafka_offset_fetch_request_group *in,
                      bool in_time, struct kafka_offset_fetch_response_group *out)
{
    struct groups *groups = request_groups(r);
    enum group_error error = in_time ? groups_look(groups, in->group_id) : GROUP_NOT_AVAILABLE;
    const struct group *group = error ? NULL : group_find(groups, in->group_id);
    static struct kafka_offset_fetch_response_group_topic none;
    out->group_id = in->group_id;
    out->error_code = group_code(error);
    out->topics.items = &none;
    bool all = !in->topics.items && r->version >= ALL_BY_NULL_SINCE;
    if (error && r->version >= ERROR_CODE_SINCE)
        return true;
    return all ? put_all_topics(r, group, out)
               : put_asked_topics(r, group, in, out->error_code, out);
}

/* ---- the request ---- */

static void answer(struct request *r, bool in_time)
{
    struct offset_fetch *f = r->work;
    struct kafka_offset_fetch_response *reply = r->reply;
    bool passed = barrier_was_passed(r, in_time);
    for (int32_t i = 0; i < f->count; i++)
        if (!put_group(r, &f->asked[i], passed, &f->out[i]))
            return;
    if (r->arena.exhausted) {
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
        return;
    }
    if (r->version < SEVERAL_GROUPS_SINCE && !put_old_answer(f, reply))
        return;
    reply->groups.items = f->out;
    reply->groups.count = f->count;
    request_answer(r, reply);
}

static bool take_request(struct offset_fetch *f)
{
    const struct kafka_offset_fetch_request *in = f->request->body;
    if (f->request->version < SEVERAL_GROUPS_SINCE)
        return take_old_request(f);
    f->asked = in->groups.items;
    f->count = in->groups.count;
    return true;
}

void offset_fetch_start(struct request *r)
{
    struct offset_fetch *f = request_alloc(r, 1, sizeof *f);
    struct ticket barrier = {0};
    if (!f)
        return;
    f->request = r;
    r->work = f;
    r->reply = request_new(r, &kafka_offset_fetch_response_schema, 1);
    if (!r->reply || !take_request(f))
        return;
    f->out = request_new(r, &kafka_offset_fetch_response_group_schema, (size_t)f->count);
    if (!f->out)
        return;
    for (int32_t i = 0; i < f->count; i++)
        ticket_join(&barrier, groups_barrier(request_groups(r), f->asked[i].group_id));
    request_wait(r, barrier, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}
