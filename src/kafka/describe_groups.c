/*
 * DescribeGroups: state and members of classic groups. What is told is committed: the answer waits
 * for what is on its way. KIP-345 (v4: instance ids), KIP-430 (v3: authorized operations), KIP-1043
 * (v6: an unknown group is an error).
 */
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { NOT_FOUND_SINCE = 6 };

struct describe {
    struct request *request;
    struct kafka_describe_groups_response_group *out;
    bool is_stable; /* only then is it told what the members brought and got */
};

static void add_member(void *ctx, const struct group_member_view *view)
{
    struct describe *d = ctx;
    struct arena *arena = &d->request->arena;
    struct kafka_describe_groups_response_member *out =
        &d->out->members.items[d->out->members.count++];
    out->member_id = arena_copy(arena, view->id);
    out->group_instance_id =
        view->instance_id.data ? arena_copy(arena, view->instance_id) : BYTES_NULL;
    out->client_id = arena_copy(arena, view->client_id);
    out->client_host = arena_copy(arena, view->client_host);
    if (!d->is_stable)
        return;
    out->member_metadata = arena_copy(arena, view->metadata);
    out->member_assignment = arena_copy(arena, view->assignment);
}

static bool put_group(struct request *r, const struct group *group,
                      struct kafka_describe_groups_response_group *out)
{
    struct group_view view = group_view(group);
    struct describe d = {
        .request = r,
        .out = out,
        .is_stable = view.state == GROUP_STABLE,
    };
    out->group_state = bytes_from_string(group_state_name(view.state));
    out->protocol_type = arena_copy(&r->arena, view.protocol_type);
    if (d.is_stable)
        out->protocol_data = arena_copy(&r->arena, view.protocol);
    out->members.items =
        request_new(r, &kafka_describe_groups_response_member_schema, view.member_count);
    if (!out->members.items)
        return false;
    group_each_member(group, add_member, &d);
    return true;
}

static void put_missing(struct request *r, struct kafka_describe_groups_response_group *out)
{
    out->group_state = BYTES_LITERAL("Dead");
    if (r->version < NOT_FOUND_SINCE)
        return;
    out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    out->error_message = bytes_from_string(
        arena_printf(&r->arena, "Group %.*s not found.", BYTES_FORMAT(out->group_id)));
}

static bool describe_one(struct request *r, struct bytes id, bool in_time,
                         struct kafka_describe_groups_response_group *out)
{
    const struct kafka_describe_groups_request *in = r->body;
    static struct kafka_describe_groups_response_member none;
    struct groups *groups = request_groups(r);
    enum group_error error = in_time ? groups_look(groups, id) : GROUP_NOT_AVAILABLE;
    const struct group *group = error ? NULL : group_find(groups, id);
    out->group_id = id;
    out->members.items = &none;
    if (group && !put_group(r, group, out))
        return false;
    if (error)
        out->error_code = group_code(error);
    else if (!group)
        put_missing(r, out);
    if (in->include_authorized_operations && !out->error_code)
        out->authorized_operations = GROUP_OPERATIONS;
    return true;
}

static void answer(struct request *r, bool in_time)
{
    const struct kafka_describe_groups_request *in = r->body;
    struct kafka_describe_groups_response *reply = r->reply;
    bool passed = barrier_was_passed(r, in_time);
    for (int32_t i = 0; i < in->groups.count; i++)
        if (!describe_one(r, in->groups.items[i], passed, &reply->groups.items[i]))
            return;
    reply->groups.count = in->groups.count;
    if (r->arena.exhausted)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    else
        request_answer(r, reply);
}

void describe_groups_start(struct request *r)
{
    const struct kafka_describe_groups_request *in = r->body;
    struct kafka_describe_groups_response *reply =
        request_new(r, &kafka_describe_groups_response_schema, 1);
    struct ticket barrier = {0};
    if (!reply)
        return;
    r->reply = reply;
    reply->groups.items =
        request_new(r, &kafka_describe_groups_response_group_schema, (size_t)in->groups.count);
    if (!reply->groups.items)
        return;
    for (int32_t i = 0; i < in->groups.count; i++)
        ticket_join(&barrier, groups_barrier(request_groups(r), in->groups.items[i]));
    request_wait(r, barrier, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}
