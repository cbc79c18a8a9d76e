/* SyncGroup: the leader brings the assignments, everybody takes its own. KIP-345 (v3), KIP-559 (v5:
 * protocol type and name). */
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { PROTOCOL_SINCE = 5 };

struct sync {
    struct group_sync sync;
    struct request *request;
    struct kafka_sync_group_response *reply;
};

static void answer(struct request *r, bool in_time)
{
    struct sync *s = r->work;
    if (!in_time) {
        wire_init(&kafka_sync_group_response_schema, s->reply);
        s->reply->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    request_answer(r, s->reply);
}

static void done(struct group_sync *sync, const struct group_synced *synced)
{
    struct sync *s = container_of(sync, struct sync, sync);
    struct request *r = s->request;
    s->reply->error_code = group_code(synced->error);
    if (!synced->error) {
        struct group_view view = group_view(synced->group);
        s->reply->protocol_type = arena_copy(&r->arena, view.protocol_type);
        s->reply->protocol_name = arena_copy(&r->arena, view.protocol);
        s->reply->assignment = arena_copy(&r->arena, synced->assignment);
    }
    if (r->arena.exhausted)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    else
        request_wait_later(r, synced->ticket, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}

void sync_group_start(struct request *r)
{
    const struct kafka_sync_group_request *in = r->body;
    size_t count = (size_t)in->assignments.count;
    struct sync *s = request_alloc(r, 1, sizeof *s);
    struct group_assignment *assignments = request_alloc(r, count, sizeof *assignments);
    if (!s || !assignments)
        return;
    s->reply = request_new(r, &kafka_sync_group_response_schema, 1);
    if (!s->reply)
        return;
    for (size_t i = 0; i < count; i++)
        assignments[i] = (struct group_assignment){in->assignments.items[i].member_id,
                                                   in->assignments.items[i].assignment};
    s->request = r;
    s->sync = (struct group_sync){
        .group_id = in->group_id,
        .member_id = in->member_id,
        .instance_id = in->group_instance_id,
        .generation = in->generation_id,
        .protocol_type = in->protocol_type,
        .protocol_name = in->protocol_name,
        .assignments = assignments,
        .assignment_count = count,
        .done = done,
    };
    r->work = s;
    if (r->version >= PROTOCOL_SINCE && (!in->protocol_type.data || !in->protocol_name.data))
        done(&s->sync, &(struct group_synced){.error = GROUP_INCONSISTENT_PROTOCOL});
    else
        group_sync(request_groups(r), &s->sync);
}

void sync_group_release(struct request *r)
{
    struct sync *s = r->work;
    if (s)
        group_sync_cancel(&s->sync);
}
