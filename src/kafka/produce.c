/*
 * Produce: append batches. Each partition has its own answer, and the request is answered when the
 * slowest of them is done: acks=1 when written, acks=-1 when committed, acks=0 never. What is
 * stored and shown does not depend on acks. After timeout_ms the partitions that are not done are
 * answered REQUEST_TIMED_OUT; their records stay. KIP-98 (v3), KIP-467 (v8 messages), KIP-516 (v13
 * ids).
 *
 * Batches of idempotent producers are looked after by the partition (broker/producer.h); one that is
 * sent again is answered as the first time. Transactions are not built: a transactional id, and a
 * transactional batch, are refused with INVALID_REQUEST and a message.
 */
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"
#include "kafka/produce_internal.h"

enum { ACKS_ALL = -1, ACKS_NONE = 0, ACKS_LEADER = 1, ZSTD_SINCE = 7, TOPIC_IDS_SINCE = 13 };

struct produce {
    struct request *request;
    int16_t acks;
    enum stage stage;
    struct ticket all;
    struct ticket *tickets;    /* one for each partition, in order; zeroed is done */
    struct uuid *topic_ids;    /* one for each topic, in order; zero: it was not there */
    struct recoding *recoding; /* its batches are being looked into, or have been */
    enum kafka_error error;    /* of all partitions */
    bool has_errors;
};

/* ---- on the I/O side ---- */

static void refuse(struct request *r, struct produced *out, enum kafka_error error,
                   const char *text)
{
    out->error = error;
    out->error_message = arena_copy(&r->input.arena, bytes_from_string(text));
}

/* As the log would. */
static void refuse_batch(struct request *r, struct produced *out, const char *text)
{
    refuse(r, out, KAFKA_INVALID_RECORD, text);
    out->tells_start = true;
}

/* What the log must be able to rely on: exactly one whole batch, of a kind that clients may write,
 * with the right checksum. */
static void check_records(struct request *r, struct bytes records, struct produced *out)
{
    if (records.size == 0) {
        refuse(r, out, KAFKA_INVALID_RECORD,
               "a produce request must have a record batch for each "
               "partition");
        return;
    }
    enum err err = batch_parse(records, &out->batch);
    if (!err)
        err = batch_check_produced(&out->batch);
    out->tells_start = err == E_MALFORMED && out->batch.raw.data;
    if (err)
        refuse(r, out, err == E_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_INVALID_RECORD, err_text());
    else if (out->batch.raw.size != records.size)
        refuse(r, out, KAFKA_INVALID_RECORD, "more than one record batch for a partition");
    else if (out->batch.base_offset != 0)
        refuse_batch(r, out, "the base offset of a produced batch must be 0");
    else if (out->batch.attributes & BATCH_TRANSACTIONAL)
        refuse(r, out, KAFKA_INVALID_REQUEST, "transactions are not available on this broker");
    else if (out->batch.producer_id >= 0 && out->batch.base_sequence < 0)
        refuse_batch(r, out, "a batch with a producer id has no sequence number");
    else if ((out->batch.attributes & BATCH_CODEC_MASK) == CODEC_ZSTD && r->version < ZSTD_SINCE)
        refuse(r, out, KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "zstd needs produce version 7 or later");
}

enum err produce_prepare(struct request *r)
{
    const struct kafka_produce_request *in = r->body;
    size_t count = 0;
    for (int32_t i = 0; i < in->topic_data.count; i++)
        count += (size_t)in->topic_data.items[i].partition_data.count;
    r->produced = arena_zalloc(&r->input.arena, count, sizeof *r->produced);
    if (!r->produced)
        return err_set(E_TOO_LARGE, "too many partitions");
    struct produced *out = r->produced;
    for (int32_t i = 0; i < in->topic_data.count; i++) {
        const struct kafka_produce_request_topic *topic = &in->topic_data.items[i];
        for (int32_t j = 0; j < topic->partition_data.count; j++)
            check_records(r, topic->partition_data.items[j].records, out++);
    }
    return OK;
}

/* ---- in the core ---- */

static void part_fails(struct produce *p, struct kafka_produce_response_partition *out,
                       enum kafka_error error, struct bytes message)
{
    out->error_code = (int16_t)error;
    out->error_message = message;
    out->base_offset = -1;
    p->has_errors = true;
}

/* Errors that mean something of their own for a produced batch. */
static enum kafka_error error_of_append(enum err err)
{
    if (err == E_OUT_OF_RANGE)
        return KAFKA_INVALID_TIMESTAMP;
    if (err == E_STALE)
        return KAFKA_INVALID_PRODUCER_EPOCH;
    return err == E_PRECONDITION ? KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER : kafka_error_of(err);
}

static void append(struct produce *p, struct partition *partition, const struct produced *in,
                   struct ticket *ticket, struct kafka_produce_response_partition *out)
{
    struct request *r = p->request;
    enum err err = partition_append(request_core(r), partition, &in->batch, &out->base_offset,
                                    &out->log_append_time_ms, ticket);
    if (err)
        part_fails(p, out, error_of_append(err),
                   arena_copy(&r->arena, bytes_from_string(err_text())));
    if (!err || err == E_OUT_OF_RANGE || err == E_STALE || err == E_PRECONDITION)
        out->log_start_offset = partition->log->start; /* so clients see what was trimmed */
    if (err)
        return;
    ticket_join(&p->all, *ticket);
}

static enum kafka_error not_found(const struct request *r)
{
    return r->version >= TOPIC_IDS_SINCE ? KAFKA_UNKNOWN_TOPIC_ID
                                         : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static void part_is_refused(struct produce *p, struct kafka_produce_response_partition *out,
                            const struct produced *produced, const struct log *log)
{
    if (produced->tells_start)
        out->log_start_offset = log->start;
    part_fails(p, out, produced->error, produced->error_message);
    out->record_errors.items = produced->record_errors;
    out->record_errors.count = produced->record_error_count;
}

static void produce_part(struct produce *p, struct topic *topic,
                         const struct kafka_produce_request_partition *in, size_t n,
                         struct kafka_produce_response_partition *out)
{
    const struct produced *produced = &p->request->produced[n];
    out->index = in->index;
    if (p->error) {
        part_fails(p, out, p->error,
                   p->error == KAFKA_INVALID_REQUEST
                       ? BYTES_LITERAL("transactions are not available on this broker")
                       : BYTES_NULL);
        return;
    }
    struct partition *partition = topic ? topic_partition(topic, in->index) : NULL;
    if (!topic)
        part_fails(p, out, not_found(p->request), BYTES_NULL);
    else if (!partition)
        part_fails(p, out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, BYTES_NULL);
    else if (topic_name_is_internal(topic->name))
        part_fails(p, out, KAFKA_INVALID_TOPIC,
                   BYTES_LITERAL("the broker keeps this topic for itself"));
    else if (produced->error)
        part_is_refused(p, out, produced, partition->log);
    else
        append(p, partition, produced, &p->tickets[n], out);
}

static struct topic *find_topic(const struct request *r,
                                const struct kafka_produce_request_topic *data)
{
    return r->version >= TOPIC_IDS_SINCE ? topic_find_id(request_core(r), data->topic_id.data)
                                         : topic_find(request_core(r), data->name);
}

static bool produce_topics(struct produce *p, struct kafka_produce_response *reply)
{
    struct request *r = p->request;
    const struct kafka_produce_request *in = r->body;
    size_t n = 0;
    reply->responses.count = in->topic_data.count;
    for (int32_t i = 0; i < in->topic_data.count; i++) {
        const struct kafka_produce_request_topic *data = &in->topic_data.items[i];
        struct kafka_produce_response_topic *out = &reply->responses.items[i];
        struct topic *topic = find_topic(r, data);
        if (topic)
            memcpy(&p->topic_ids[i], topic->id, sizeof topic->id);
        out->name = data->name;
        out->topic_id = data->topic_id;
        out->partition_responses.items = request_new(r, &kafka_produce_response_partition_schema,
                                                     (size_t)data->partition_data.count);
        if (!out->partition_responses.items)
            return false;
        out->partition_responses.count = data->partition_data.count;
        for (int32_t j = 0; j < data->partition_data.count; j++, n++)
            produce_part(p, topic, &data->partition_data.items[j], n,
                         &out->partition_responses.items[j]);
    }
    return true;
}

/* The topic was deleted while the request waited for the commit: its records are gone with it, also
 * when there is another topic of the same name by now. */
static bool was_deleted(struct request *r, struct uuid id)
{
    return !uuid_is_zero(id) && !topic_find_id(request_core(r), id.data);
}

/* What did not make it in time is told so, and stays in the log. */
static void answer(struct request *r, bool in_time)
{
    struct produce *p = r->work;
    struct kafka_produce_response *reply = r->reply;
    struct store *store = request_core(r)->store;
    enum kafka_error error = store_is_frozen(store) ? KAFKA_STORAGE_ERROR : KAFKA_REQUEST_TIMED_OUT;
    size_t n = 0;
    for (int32_t i = 0; i < reply->responses.count; i++) {
        const struct kafka_produce_response_topic *topic = &reply->responses.items[i];
        bool is_gone = was_deleted(r, p->topic_ids[i]);
        for (int32_t j = 0; j < topic->partition_responses.count; j++, n++) {
            struct kafka_produce_response_partition *out = &topic->partition_responses.items[j];
            if (is_gone && !out->error_code)
                part_fails(p, out, not_found(r), BYTES_NULL);
            else if (!in_time && !store_is_done(store, p->tickets[n], p->stage))
                part_fails(p, out, error, BYTES_NULL);
        }
    }
    request_answer(r, reply);
}

/* Append, and wait as long as the acks say. */
static void append_all(struct request *r)
{
    const struct kafka_produce_request *in = r->body;
    struct produce *p = r->work;
    if (!produce_topics(p, r->reply))
        return;
    if (p->acks != ACKS_NONE)
        request_wait(r, p->all, p->stage, in->timeout_ms, answer);
    else if (p->has_errors)
        request_fail(r, "a produce request without acks failed"); /* the only sign there is */
    else
        request_drop(r);
}

/* False: the request has failed. */
static bool prepare_work(struct request *r)
{
    const struct kafka_produce_request *in = r->body;
    size_t part_count = 0, topic_count = (size_t)in->topic_data.count;
    for (int32_t i = 0; i < in->topic_data.count; i++)
        part_count += (size_t)in->topic_data.items[i].partition_data.count;
    struct kafka_produce_response *reply = request_new(r, &kafka_produce_response_schema, 1);
    struct produce *p = request_alloc(r, 1, sizeof *p);
    if (!reply || !p)
        return false;
    r->reply = reply;
    r->work = p;
    p->request = r;
    p->acks = in->acks;
    p->stage = in->acks == ACKS_LEADER ? STAGE_WRITTEN : STAGE_COMMITTED;
    p->tickets = request_alloc(r, part_count, sizeof *p->tickets);
    p->topic_ids = request_alloc(r, topic_count, sizeof *p->topic_ids);
    reply->responses.items = request_new(r, &kafka_produce_response_topic_schema, topic_count);
    return p->tickets && p->topic_ids && reply->responses.items;
}

void produce_start(struct request *r)
{
    const struct kafka_produce_request *in = r->body;
    struct topic **topics = request_alloc(r, (size_t)in->topic_data.count, sizeof *topics);
    if (!topics || !prepare_work(r))
        return;
    struct produce *p = r->work;
    link_gate_input(r->connection->link); /* it writes, so it waits for the disk */
    if (in->acks < ACKS_ALL || in->acks > ACKS_LEADER)
        p->error = KAFKA_INVALID_REQUIRED_ACKS;
    else if (in->transactional_id.data)
        p->error = KAFKA_INVALID_REQUEST;
    for (int32_t i = 0; i < in->topic_data.count && !p->error; i++)
        topics[i] = find_topic(r, &in->topic_data.items[i]);
    p->recoding = recoding_start(r, topics, append_all);
    if (!p->recoding)
        append_all(r);
}

void produce_release(struct request *r)
{
    struct produce *p = r->work;
    if (p)
        recoding_free(p->recoding);
}
