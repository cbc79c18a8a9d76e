/*
 * JoinGroup: waits for the group's next generation; broker/group.h tells the rest. The leader's
 * answer lists the members. KIP-345 (v5: static members), KIP-394 (v4: a new member is first told
 * its id), KIP-559 (v7: protocol type), KIP-800 (v8: reason), KIP-814 (v9: a leader that comes back
 * need not assign).
 */
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum {
    REBALANCE_TIMEOUT_SINCE = 1,
    MEMBER_ID_FIRST_SINCE = 4,
    NULL_PROTOCOL_SINCE = 7,
    SKIP_ASSIGNMENT_SINCE = 9,
};

struct join {
    struct group_join join;
    struct request *request;
    struct kafka_join_group_response *reply;
};

static void put_error(struct join *j, enum kafka_error error)
{
    struct kafka_join_group_response *reply = j->reply;
    wire_init(&kafka_join_group_response_schema, reply);
    reply->error_code = (int16_t)error;
    reply->generation_id = -1;
    if (j->request->version < NULL_PROTOCOL_SINCE)
        reply->protocol_name = BYTES_LITERAL("");
}

static void answer(struct request *r, bool in_time)
{
    struct join *j = r->work;
    if (!in_time)
        put_error(j, KAFKA_COORDINATOR_NOT_AVAILABLE);
    request_answer(r, j->reply);
}

static void add_member(void *ctx, const struct group_member_view *view)
{
    struct join *j = ctx;
    struct arena *arena = &j->request->arena;
    if (!j->reply->members.items)
        return;
    j->reply->members.items[j->reply->members.count++] = (struct kafka_join_group_response_member){
        .member_id = arena_copy(arena, view->id),
        .group_instance_id =
            view->instance_id.data ? arena_copy(arena, view->instance_id) : BYTES_NULL,
        .metadata = arena_copy(arena, view->metadata),
    };
}

static void put_generation(struct join *j, const struct group_joined *joined)
{
    struct group_view view = group_view(joined->group);
    struct arena *arena = &j->request->arena;
    struct kafka_join_group_response *reply = j->reply;
    reply->generation_id = view.generation;
    reply->protocol_type = arena_copy(arena, view.protocol_type);
    reply->protocol_name = arena_copy(arena, view.protocol);
    reply->leader = arena_copy(arena, joined->leader);
    reply->skip_assignment = joined->skip_assignment;
    if (!joined->has_members)
        return;
    reply->members.items =
        request_new(j->request, &kafka_join_group_response_member_schema, view.member_count);
    group_each_member(joined->group, add_member, j);
}

static void done(struct group_join *join, const struct group_joined *joined)
{
    struct join *j = container_of(join, struct join, join);
    struct request *r = j->request;
    put_error(j, kafka_error_of_group(joined->error));
    j->reply->member_id =
        arena_copy(&r->arena, joined->member_id.data ? joined->member_id : BYTES_LITERAL(""));
    if (!joined->error)
        put_generation(j, joined);
    if (r->arena.exhausted)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    else
        request_wait_later(r, joined->ticket, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}

static bool fill_protocols(struct request *r, struct group_join *join)
{
    const struct kafka_join_group_request *in = r->body;
    struct group_protocol *protocols =
        request_alloc(r, (size_t)in->protocols.count, sizeof *protocols);
    for (int32_t i = 0; protocols && i < in->protocols.count; i++)
        protocols[i] =
            (struct group_protocol){in->protocols.items[i].name, in->protocols.items[i].metadata};
    join->protocols = protocols;
    join->protocol_count = (size_t)in->protocols.count;
    return protocols != NULL;
}

void join_group_start(struct request *r)
{
    const struct kafka_join_group_request *in = r->body;
    struct join *j = request_alloc(r, 1, sizeof *j);
    if (!j)
        return;
    j->reply = request_new(r, &kafka_join_group_response_schema, 1);
    if (!j->reply || !fill_protocols(r, &j->join))
        return;
    j->request = r;
    j->join.group_id = in->group_id;
    j->join.member_id = in->member_id;
    j->join.instance_id = in->group_instance_id;
    j->join.client_id = r->client_id;
    j->join.client_host =
        bytes_from_string(arena_printf(&r->arena, "/%s", r->connection->link->peer.host));
    j->join.reason = in->reason;
    j->join.protocol_type = in->protocol_type;
    j->join.session_timeout_ms = in->session_timeout_ms;
    j->join.rebalance_timeout_ms =
        r->version >= REBALANCE_TIMEOUT_SINCE ? in->rebalance_timeout_ms : -1;
    j->join.can_return_with_id = r->version >= MEMBER_ID_FIRST_SINCE;
    j->join.can_skip_assignment = r->version >= SKIP_ASSIGNMENT_SINCE;
    j->join.done = done;
    r->work = j;
    group_join(request_groups(r), &j->join);
}

void join_group_release(struct request *r)
{
    struct join *j = r->work;
    if (j)
        group_join_cancel(&j->join);
}
