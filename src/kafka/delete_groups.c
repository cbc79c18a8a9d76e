/* DeleteGroups: forget groups that have no members, with their offsets. Each succeeds or fails
 * alone; answered when that is committed. */
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

static void answer(struct request *r, bool in_time)
{
    struct kafka_delete_groups_response *reply = r->reply;
    for (int32_t i = 0; i < reply->results.count && !in_time; i++)
        if (!reply->results.items[i].error_code)
            reply->results.items[i].error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
    request_answer(r, reply);
}

void delete_groups_start(struct request *r)
{
    const struct kafka_delete_groups_request *in = r->body;
    struct groups *groups = request_groups(r);
    struct kafka_delete_groups_response *reply =
        request_new(r, &kafka_delete_groups_response_schema, 1);
    struct ticket all = {0}, ignored;
    if (!reply)
        return;
    r->reply = reply;
    reply->results.items =
        request_new(r, &kafka_delete_groups_response_group_schema, (size_t)in->groups_names.count);
    if (!reply->results.items)
        return;
    reply->results.count = in->groups_names.count;
    for (int32_t i = 0; i < in->groups_names.count; i++) {
        struct bytes id = in->groups_names.items[i];
        reply->results.items[i].group_id = id;
        reply->results.items[i].error_code = group_code(group_delete(groups, id, &ignored));
        ticket_join(&all, groups_barrier(groups, id));
    }
    request_wait(r, all, STAGE_COMMITTED, GROUP_TIMEOUT_MS, answer);
}
