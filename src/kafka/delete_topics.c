/*
 * DeleteTopics, by name or (v6, KIP-516) by id. Answered when the deletion is durable; files are
 * freed later.
 */
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { TOPIC_STRUCTS_SINCE = 6 };

static void delete_one(struct request *r, struct bytes name, struct uuid id,
                       struct kafka_delete_topics_response_topic *out)
{
    struct core *core = request_core(r);
    bool by_id = !uuid_is_zero(id);
    out->name = name;
    out->topic_id = id;
    if (by_id == (name.data != NULL)) {
        out->error_code = KAFKA_INVALID_REQUEST;
        out->error_message = BYTES_LITERAL("a topic is named by its name or by its id");
        return;
    }
    struct topic *topic = by_id ? topic_find_id(core, id.data) : topic_find(core, name);
    if (!topic) {
        out->error_code = by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        out->error_message = BYTES_LITERAL("this topic does not exist");
        return;
    }
    out->name = arena_copy(&r->arena, topic->name);
    memcpy(out->topic_id.data, topic->id, sizeof topic->id);
    topic_delete(core, topic);
}

static void answer(struct request *r, bool in_time)
{
    struct kafka_delete_topics_response *reply = r->reply;
    for (int32_t i = 0; i < reply->responses.count && !in_time; i++)
        if (!reply->responses.items[i].error_code)
            reply->responses.items[i].error_code = KAFKA_REQUEST_TIMED_OUT;
    request_answer(r, reply);
}

void delete_topics_start(struct request *r)
{
    const struct kafka_delete_topics_request *in = r->body;
    struct core *core = request_core(r);
    struct kafka_delete_topics_response *reply =
        request_new(r, &kafka_delete_topics_response_schema, 1);
    if (!reply)
        return;
    bool by_struct = r->version >= TOPIC_STRUCTS_SINCE;
    int32_t count = by_struct ? in->topics.count : in->topic_names.count;
    r->reply = reply;
    reply->responses.items =
        request_new(r, &kafka_delete_topics_response_topic_schema, (size_t)count);
    if (!reply->responses.items)
        return;
    reply->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        struct bytes name = by_struct ? in->topics.items[i].name : in->topic_names.items[i];
        struct uuid id = by_struct ? in->topics.items[i].topic_id : (struct uuid){{0}};
        delete_one(r, name, id, &reply->responses.items[i]);
    }
    request_wait(r, core_catalog_ticket(core), STAGE_COMMITTED, in->timeout_ms, answer);
}
