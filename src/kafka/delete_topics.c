/*
 * DeleteTopics, by name or (v6, KIP-516) by id. Answered when the deletion is durable; files are
 * freed later.
 */
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"
#include "kafka/repeats.h"

enum { TOPIC_STRUCTS_SINCE = 6 };

static void fails(struct kafka_delete_topics_response_topic *out, enum kafka_error error,
                  struct bytes message)
{
    out->error_code = (int16_t)error;
    out->error_message = message;
}

static bool is_by_id(const struct kafka_delete_topics_request_topic *asked)
{
    return !uuid_is_zero(asked->topic_id);
}

static struct bytes key_of(const struct kafka_delete_topics_request_topic *asked)
{
    return is_by_id(asked) ? bytes_of(asked->topic_id.data, sizeof asked->topic_id) : asked->name;
}

static void delete_one(struct request *r, const struct repeats *repeats,
                       const struct kafka_delete_topics_request_topic *asked,
                       struct kafka_delete_topics_response_topic *out)
{
    struct core *core = request_core(r);
    bool by_id = is_by_id(asked);
    out->name = asked->name;
    out->topic_id = asked->topic_id;
    if (by_id == (asked->name.data != NULL)) {
        fails(out, KAFKA_INVALID_REQUEST, BYTES_LITERAL("name a topic by its name or by its id"));
        return;
    }
    if (repeats_has(repeats, key_of(asked))) {
        fails(out, KAFKA_INVALID_REQUEST, BYTES_LITERAL("the request names this topic twice"));
        return;
    }
    struct topic *topic =
        by_id ? topic_find_id(core, asked->topic_id.data) : topic_find(core, asked->name);
    if (!topic) {
        fails(out, by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
              BYTES_LITERAL("this topic does not exist"));
        return;
    }
    out->name = arena_copy(&r->arena, topic->name);
    memcpy(out->topic_id.data, topic->id, sizeof topic->id);
    if (topic_name_is_internal(topic->name)) {
        fails(out, KAFKA_INVALID_TOPIC, BYTES_LITERAL("the broker keeps this topic for itself"));
        return;
    }
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

/* Versions before 6 have a list of names. */
static const struct kafka_delete_topics_request_topic *
asked_topics(struct request *r, const struct kafka_delete_topics_request *in, int32_t *count)
{
    if (r->version >= TOPIC_STRUCTS_SINCE) {
        *count = in->topics.count;
        return in->topics.items;
    }
    *count = in->topic_names.count;
    struct kafka_delete_topics_request_topic *asked =
        request_new(r, &kafka_delete_topics_request_topic_schema, (size_t)*count);
    for (int32_t i = 0; asked && i < *count; i++)
        asked[i].name = in->topic_names.items[i];
    return asked;
}

/* Many topics are deleted in slices: at most so many in a turn. */
enum { SLICE_TOPICS = 16 };

struct deleting {
    struct slice slice;
    struct repeats repeats;
    const struct kafka_delete_topics_request_topic *asked;
    int32_t count, next;
};

static void go_on(struct request *r)
{
    const struct kafka_delete_topics_request *in = r->body;
    struct kafka_delete_topics_response *reply = r->reply;
    struct deleting *work = r->work;
    for (int i = 0; i < SLICE_TOPICS && work->next < work->count; i++, work->next++)
        if (repeats_take(&work->repeats, key_of(&work->asked[work->next])))
            delete_one(r, &work->repeats, &work->asked[work->next],
                       &reply->responses.items[reply->responses.count++]);
    if (work->next < work->count)
        request_slice(r, &work->slice, go_on);
    else
        request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, in->timeout_ms,
                     answer);
}

void delete_topics_release(struct request *r)
{
    struct deleting *work = r->work;
    if (!work)
        return;
    core_defer_cancel(&work->slice.deferred);
    repeats_reset(&work->repeats);
}

void delete_topics_start(struct request *r)
{
    const struct kafka_delete_topics_request *in = r->body;
    int32_t count;
    const struct kafka_delete_topics_request_topic *asked = asked_topics(r, in, &count);
    struct deleting *work = request_alloc(r, 1, sizeof *work);
    struct kafka_delete_topics_response *reply =
        request_new(r, &kafka_delete_topics_response_schema, 1);
    if (!reply || !work || (count > 0 && !asked))
        return;
    r->work = work;
    r->reply = reply;
    work->asked = asked;
    work->count = count;
    reply->responses.items =
        request_new(r, &kafka_delete_topics_response_topic_schema, (size_t)count);
    if (!reply->responses.items)
        return;
    for (int32_t i = 0; i < count; i++)
        repeats_note(&work->repeats, key_of(&asked[i]));
    go_on(r);
}
