/*
 * DeleteRecords: move the start of logs forward. KIP-107. First everything appended before the request
 * must be committed, since nothing above the high watermark can be deleted and a client may name what
 * it has just produced; then the logs are trimmed, and the answer waits until that is durable.
 */
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { TO_HIGH_WATERMARK = -1, NO_LOW_WATERMARK = -1 };

struct delete_records {
    int64_t deadline_ns;
    struct ticket *tickets; /* one for each partition, in order */
    struct ticket all;
};

static void barrier_passed(struct request *r, bool in_time);
static void answer(struct request *r, bool in_time);

static struct partition *find(struct request *r, struct bytes name, int32_t index)
{
    struct topic *topic = topic_find(request_core(r), name);
    return topic ? topic_partition(topic, index) : NULL;
}

/* What everything appended so far waits for. */
static struct ticket barrier(struct request *r)
{
    const struct kafka_delete_records_request *in = r->body;
    struct ticket all = {0};
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_delete_records_request_topic *asked = &in->topics.items[i];
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            struct partition *p = find(r, asked->name, asked->partitions.items[j].partition_index);
            if (p)
                ticket_join(&all, log_last_ticket(p->log));
        }
    }
    return all;
}

static bool make_reply(struct request *r)
{
    const struct kafka_delete_records_request *in = r->body;
    struct kafka_delete_records_response *reply =
        request_new(r, &kafka_delete_records_response_schema, 1);
    if (!reply)
        return false;
    r->reply = reply;
    reply->topics.items =
        request_new(r, &kafka_delete_records_response_topic_schema, (size_t)in->topics.count);
    if (!reply->topics.items)
        return false;
    reply->topics.count = in->topics.count;
    for (int32_t i = 0; i < in->topics.count; i++) {
        struct kafka_delete_records_response_topic *out = &reply->topics.items[i];
        int32_t count = in->topics.items[i].partitions.count;
        out->name = in->topics.items[i].name;
        out->partitions.items =
            request_new(r, &kafka_delete_records_response_partition_schema, (size_t)count);
        if (!out->partitions.items)
            return false;
        out->partitions.count = count;
    }
    return true;
}

static size_t count_partitions(const struct kafka_delete_records_request *in)
{
    size_t count = 0;
    for (int32_t i = 0; i < in->topics.count; i++)
        count += (size_t)in->topics.items[i].partitions.count;
    return count;
}

void delete_records_start(struct request *r)
{
    const struct kafka_delete_records_request *in = r->body;
    struct delete_records *d = request_alloc(r, 1, sizeof *d);
    if (!d)
        return;
    d->tickets = request_alloc(r, count_partitions(in), sizeof *d->tickets);
    if (!d->tickets || !make_reply(r))
        return;
    r->work = d;
    d->deadline_ns = request_core(r)->now_ns + (int64_t)in->timeout_ms * 1000000;
    request_wait(r, barrier(r), STAGE_COMMITTED, in->timeout_ms, barrier_passed);
}

/* ---- trimming ---- */

static enum kafka_error check_asked(struct partition *p, int64_t offset)
{
    if (!p)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic_name_is_internal(p->topic->name))
        return KAFKA_INVALID_TOPIC;
    if (!p->topic->policy.drop)
        return KAFKA_POLICY_VIOLATION; /* compaction alone decides what goes */
    return offset < 0 || offset > p->log->hw ? KAFKA_OFFSET_OUT_OF_RANGE : KAFKA_NONE;
}

static void trim(struct request *r, struct bytes name,
                 const struct kafka_delete_records_request_partition *asked, struct ticket *ticket,
                 struct kafka_delete_records_response_partition *out)
{
    struct partition *p = find(r, name, asked->partition_index);
    int64_t offset = asked->offset;
    out->partition_index = asked->partition_index;
    out->low_watermark = NO_LOW_WATERMARK;
    if (p && offset == TO_HIGH_WATERMARK)
        offset = p->log->hw;
    out->error_code = (int16_t)check_asked(p, offset);
    if (out->error_code)
        return;
    bool moves = offset > p->log->start;
    log_trim(p->log, offset, ticket); /* also of what was dropped a moment ago */
    if (moves)
        partition_moved(p); /* fetch sessions tell of the new start */
    out->low_watermark = p->log->start;
}

static void barrier_passed(struct request *r, bool in_time)
{
    const struct kafka_delete_records_request *in = r->body;
    struct kafka_delete_records_response *reply = r->reply;
    struct delete_records *d = r->work;
    struct core *core = request_core(r);
    size_t n = 0;
    if (!in_time) {
        d->tickets = NULL;
        answer(r, false);
        return;
    }
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_delete_records_request_topic *asked = &in->topics.items[i];
        for (int32_t j = 0; j < asked->partitions.count; j++, n++) {
            trim(r, asked->name, &asked->partitions.items[j], &d->tickets[n],
                 &reply->topics.items[i].partitions.items[j]);
            ticket_join(&d->all, d->tickets[n]);
        }
    }
    request_wait(r, d->all, STAGE_COMMITTED, (d->deadline_ns - core->now_ns) / 1000000, answer);
}

/* What is not done in time, or was not even begun, is told so. */
static void answer(struct request *r, bool in_time)
{
    const struct kafka_delete_records_request *in = r->body;
    struct kafka_delete_records_response *reply = r->reply;
    struct delete_records *d = r->work;
    struct store *store = request_core(r)->store;
    enum kafka_error error = store_is_frozen(store) ? KAFKA_STORAGE_ERROR : KAFKA_REQUEST_TIMED_OUT;
    size_t n = 0;
    for (int32_t i = 0; i < reply->topics.count && !in_time; i++) {
        for (int32_t j = 0; j < reply->topics.items[i].partitions.count; j++, n++) {
            struct kafka_delete_records_response_partition *out =
                &reply->topics.items[i].partitions.items[j];
            out->partition_index = in->topics.items[i].partitions.items[j].partition_index;
            bool done = d->tickets && store_is_done(store, d->tickets[n], STAGE_COMMITTED);
            if (out->error_code || done)
                continue;
            out->error_code = (int16_t)error;
            out->low_watermark = NO_LOW_WATERMARK;
        }
    }
    request_answer(r, reply);
}
