/* LeaveGroup: members go, and the others share out anew. KIP-345 (v3: several members), KIP-800 (v5:
 * reason). */
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { SEVERAL_SINCE = 3 };

static void answer(struct request *r, bool in_time)
{
    struct kafka_leave_group_response *reply = r->reply;
    if (!in_time) {
        reply->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
        reply->members.count = 0;
    }
    request_answer(r, reply);
}

static struct group_leaver *fill_leavers(struct request *r, size_t *count)
{
    const struct kafka_leave_group_request *in = r->body;
    *count = r->version >= SEVERAL_SINCE ? (size_t)in->members.count : 1;
    struct group_leaver *leavers = request_alloc(r, *count, sizeof *leavers);
    if (leavers && r->version < SEVERAL_SINCE)
        leavers[0].member_id = in->member_id;
    for (size_t i = 0; leavers && r->version >= SEVERAL_SINCE && i < *count; i++)
        leavers[i] = (struct group_leaver){
            .member_id = in->members.items[i].member_id,
            .instance_id = in->members.items[i].group_instance_id,
            .reason = in->members.items[i].reason,
        };
    return leavers;
}

/* Before version 3 there is one member, and its error is the answer's. */
static bool put_members(struct request *r, struct kafka_leave_group_response *reply,
                        const struct group_leaver *leavers, size_t count)
{
    if (r->version < SEVERAL_SINCE) {
        reply->error_code = group_code(leavers[0].error);
        return true;
    }
    reply->members.items = request_new(r, &kafka_leave_group_response_member_schema, count);
    if (!reply->members.items)
        return false;
    reply->members.count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        reply->members.items[i] = (struct kafka_leave_group_response_member){
            .member_id = leavers[i].member_id,
            .group_instance_id = leavers[i].instance_id,
            .error_code = group_code(leavers[i].error),
        };
    return true;
}

void leave_group_start(struct request *r)
{
    const struct kafka_leave_group_request *in = r->body;
    size_t count;
    struct kafka_leave_group_response *reply =
        request_new(r, &kafka_leave_group_response_schema, 1);
    struct group_leaver *leavers = fill_leavers(r, &count);
    struct ticket ticket;
    if (!reply || !leavers)
        return;
    r->reply = reply;
    enum group_error error = group_leave(request_groups(r), in->group_id, leavers, count, &ticket);
    reply->error_code = group_code(error);
    if (!error && !put_members(r, reply, leavers, count))
        return;
    request_wait(r, ticket, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}
