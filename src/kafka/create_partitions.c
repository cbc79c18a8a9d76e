/*
 * CreatePartitions: topics get more partitions, never fewer. Each topic alone succeeds or fails;
 * all are answered when the catalog has them durably. An assignment names this node for each new
 * partition.
 */
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"
#include "kafka/repeats.h"

static void answer(struct request *r, bool in_time)
{
    struct kafka_create_partitions_response *reply = r->reply;
    for (int32_t i = 0; i < reply->results.count && !in_time; i++)
        if (!reply->results.items[i].error_code)
            reply->results.items[i].error_code = KAFKA_REQUEST_TIMED_OUT;
    request_answer(r, reply);
}

static void fails(struct kafka_create_partitions_response_topic *out, enum kafka_error error,
                  struct bytes message)
{
    out->error_code = (int16_t)error;
    out->error_message = message;
}

static enum kafka_error grow_error(enum err err)
{
    switch ((int)err) {
    case E_OUT_OF_RANGE: return KAFKA_INVALID_PARTITIONS;
    case E_TOO_LARGE: return KAFKA_POLICY_VIOLATION;
    default: return kafka_error_of(err);
    }
}

/* One list of nodes for each new partition, and this node alone in it. */
static bool assignment_is_possible(const struct request *r,
                                   const struct kafka_create_partitions_request_topic *in,
                                   const struct topic *topic)
{
    if (!in->assignments.items)
        return true;
    if (in->assignments.count != in->count - topic->partition_count)
        return false;
    for (int32_t i = 0; i < in->assignments.count; i++) {
        const struct kafka_create_partitions_request_assignment *a = &in->assignments.items[i];
        if (a->broker_ids.count != 1 || a->broker_ids.items[0] != request_core(r)->config.node_id)
            return false;
    }
    return true;
}

static void grow_one(struct request *r, const struct kafka_create_partitions_request_topic *in,
                     struct kafka_create_partitions_response_topic *out)
{
    const struct kafka_create_partitions_request *request = r->body;
    struct core *core = request_core(r);
    struct topic *topic = topic_find(core, in->name);
    if (!topic) {
        fails(out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, BYTES_LITERAL("this topic does not exist"));
        return;
    }
    if (in->count > topic->partition_count && !assignment_is_possible(r, in, topic)) {
        fails(out, KAFKA_INVALID_REPLICA_ASSIGNMENT,
              BYTES_LITERAL("an assignment must name this node, and no other, for each new "
                            "partition"));
        return;
    }
    enum err err = topic_grow(core, topic, in->count, request->validate_only);
    if (err)
        fails(out, grow_error(err), request_text(r, "%s", err_text()));
}

void create_partitions_start(struct request *r)
{
    const struct kafka_create_partitions_request *in = r->body;
    struct kafka_create_partitions_response *reply =
        request_new(r, &kafka_create_partitions_response_schema, 1);
    if (!reply)
        return;
    r->reply = reply;
    reply->results.items =
        request_new(r, &kafka_create_partitions_response_topic_schema, (size_t)in->topics.count);
    if (!reply->results.items)
        return;
    struct repeats repeats = {0};
    for (int32_t i = 0; i < in->topics.count; i++)
        repeats_note(&repeats, in->topics.items[i].name);
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_create_partitions_request_topic *asked = &in->topics.items[i];
        if (!repeats_take(&repeats, asked->name))
            continue;
        struct kafka_create_partitions_response_topic *out =
            &reply->results.items[reply->results.count++];
        out->name = asked->name;
        if (repeats_has(&repeats, asked->name))
            fails(out, KAFKA_INVALID_REQUEST, BYTES_LITERAL("Duplicate topic name."));
        else
            grow_one(r, asked, out);
    }
    repeats_reset(&repeats);
    request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, in->timeout_ms, answer);
}
