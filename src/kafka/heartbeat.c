/* Heartbeat: a member lives; it is told when it has to join again. */
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

void heartbeat_start(struct request *r)
{
    const struct kafka_heartbeat_request *in = r->body;
    struct kafka_heartbeat_response *reply = request_new(r, &kafka_heartbeat_response_schema, 1);
    struct group_identity who = {in->group_id, in->member_id, in->group_instance_id};
    if (!reply)
        return;
    reply->error_code = group_code(group_heartbeat(request_groups(r), &who, in->generation_id));
    request_answer(r, reply);
}
