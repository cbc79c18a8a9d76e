/*
 * ListOffsets: where a log begins and ends, and the first record at or after a time. KIP-79,
 * KIP-734 (-3, the record with the largest timestamp), KIP-405 and KIP-1005 (-4 and -5, answered as
 * for a log that is not tiered).
 *
 * Barrier: a client that was answered for acks=1, or has pipelined its produces, must find its
 * records counted. So the answer waits until everything appended before the request is committed.
 *
 * Times are looked up one partition after the other. The log finds the batch; its records are walked
 * here when that is little work, else a helper inflates and walks a copy of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/say.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"
#include "kafka/repeats.h"

enum {
    LATEST = -1,
    EARLIEST = -2,
    MAX_TIMESTAMP = -3,
    EARLIEST_LOCAL = -4,
    LATEST_TIERED = -5,
    INFLATE_MAX_BYTES = 128 << 20,
    INLINE_MAX_BYTES = 16 << 10, /* of an uncompressed batch that is walked in the core */
    TIMEOUT_SINCE = 10,
    TIMEOUT_DEFAULT_MS = 30000,
};

/* The search for one partition's answer; outlives a request that goes away. */
struct lookup {
    struct list_offsets *owner; /* NULL: nobody waits any more */
    struct log_read read;
    struct job job;
    struct log_batch batch; /* found by the read */
    struct text copy;       /* its bytes, for the helper */
    int64_t from, timestamp;
    int64_t found_offset, found_timestamp; /* -1: no record of the batch */
    int64_t batch_end;
    enum err err;
    char error[256];
};

struct list_offsets {
    struct request *request;
    struct repeats repeats;
    struct lookup *lookup;    /* under way */
    struct log *log;          /* that it is for */
    bool is_late;             /* the barrier was not passed in time */
    int32_t topic, partition; /* where the walk over the request is */
};

static bool note_repeats(struct list_offsets *l);
static struct ticket barrier(struct list_offsets *l);
static void walk(struct list_offsets *l);
static void barrier_passed(struct request *r, bool in_time);
static bool put_partition(struct list_offsets *l,
                          const struct kafka_list_offsets_request_partition *asked,
                          struct kafka_list_offsets_response_topic *topic);
static void start_lookup(struct list_offsets *l, struct partition *p, int64_t from,
                         int64_t timestamp);

void list_offsets_start(struct request *r)
{
    const struct kafka_list_offsets_request *in = r->body;
    struct kafka_list_offsets_response *reply =
        request_new(r, &kafka_list_offsets_response_schema, 1);
    struct list_offsets *l = request_alloc(r, 1, sizeof *l);
    if (!reply || !l)
        return;
    l->request = r;
    r->work = l;
    r->reply = reply;
    reply->topics.items =
        request_new(r, &kafka_list_offsets_response_topic_schema, (size_t)in->topics.count);
    if (!reply->topics.items || !note_repeats(l))
        return;
    request_wait(r, barrier(l), STAGE_COMMITTED,
                 r->version >= TIMEOUT_SINCE ? in->timeout_ms : TIMEOUT_DEFAULT_MS, barrier_passed);
}

void list_offsets_release(struct request *r)
{
    struct list_offsets *l = r->work;
    if (!l)
        return;
    repeats_reset(&l->repeats);
    if (l->lookup)
        l->lookup->owner = NULL;
}

static void barrier_passed(struct request *r, bool in_time)
{
    struct list_offsets *l = r->work;
    /* When the disk has failed, what is committed is all that there will ever be. */
    l->is_late = !in_time && !store_is_frozen(request_core(r)->store);
    walk(l);
}

static struct partition *find_partition(const struct list_offsets *l, struct bytes name,
                                        int32_t index)
{
    struct topic *topic = topic_find(request_core(l->request), name);
    return topic ? topic_partition(topic, index) : NULL;
}

/* ---- the request ---- */

/* What a partition is known by in l->repeats: its index, then its topic's name. */
static struct bytes key_of(struct list_offsets *l, struct bytes name, int32_t index)
{
    uint8_t *key = request_alloc(l->request, 1, 4 + name.size);
    if (!key)
        return BYTES_NULL;
    put_u32(key, (uint32_t)index);
    if (name.size > 0)
        memcpy(key + 4, name.data, name.size);
    return bytes_of(key, 4 + name.size);
}

/* A partition that is named twice is answered once, and refused. */
static bool note_repeats(struct list_offsets *l)
{
    const struct kafka_list_offsets_request *in = l->request->body;
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_list_offsets_request_topic *asked = &in->topics.items[i];
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            struct bytes key = key_of(l, asked->name, asked->partitions.items[j].partition_index);
            if (!key.data)
                return false;
            repeats_note(&l->repeats, key);
        }
    }
    return true;
}

static struct ticket barrier(struct list_offsets *l)
{
    const struct kafka_list_offsets_request *in = l->request->body;
    struct ticket all = {0};
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_list_offsets_request_topic *asked = &in->topics.items[i];
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            struct partition *p =
                find_partition(l, asked->name, asked->partitions.items[j].partition_index);
            if (p)
                ticket_join(&all, log_last_ticket(p->log));
        }
    }
    return all;
}

/* ---- the answer ---- */

/* False: a lookup is under way, or the request has failed. */
static bool put_topic(struct list_offsets *l, const struct kafka_list_offsets_request_topic *asked,
                      struct kafka_list_offsets_response_topic *out)
{
    struct kafka_list_offsets_response *reply = l->request->reply;
    if (l->partition == 0) {
        out->name = asked->name;
        out->partitions.items =
            request_new(l->request, &kafka_list_offsets_response_partition_schema,
                        (size_t)asked->partitions.count);
        if (!out->partitions.items)
            return false;
        reply->topics.count = l->topic + 1;
    }
    while (l->partition < asked->partitions.count)
        if (!put_partition(l, &asked->partitions.items[l->partition++], out))
            return false;
    return true;
}

/* Goes on where a lookup interrupted it. */
static void walk(struct list_offsets *l)
{
    struct request *r = l->request;
    const struct kafka_list_offsets_request *in = r->body;
    struct kafka_list_offsets_response *reply = r->reply;
    for (; l->topic < in->topics.count; l->topic++, l->partition = 0)
        if (!put_topic(l, &in->topics.items[l->topic], &reply->topics.items[l->topic]))
            return;
    request_answer(r, reply);
}

/* Where a lookup's result goes: the newest answer. */
static struct kafka_list_offsets_response_partition *answer_of(struct list_offsets *l)
{
    struct kafka_list_offsets_response *reply = l->request->reply;
    struct kafka_list_offsets_response_topic *topic = &reply->topics.items[l->topic];
    return &topic->partitions.items[topic->partitions.count - 1];
}

static enum kafka_error check_epoch(const struct core *core, int32_t asked)
{
    int32_t epoch = store_epoch(core->store);
    if (asked >= 0 && asked < epoch)
        return KAFKA_FENCED_LEADER_EPOCH;
    return asked > epoch ? KAFKA_UNKNOWN_LEADER_EPOCH : KAFKA_NONE;
}

/* The first version that may ask for it. */
static int version_of_timestamp(int64_t timestamp)
{
    switch (timestamp) {
    case LATEST:
    case EARLIEST: return 0;
    case MAX_TIMESTAMP: return 7;
    case EARLIEST_LOCAL: return 8;
    case LATEST_TIERED: return 9;
    default: return timestamp < 0 ? INT16_MAX : 0;
    }
}

static enum kafka_error check_partition(struct list_offsets *l,
                                        const struct kafka_list_offsets_request_partition *asked,
                                        struct bytes key, const struct partition *p)
{
    if (repeats_has(&l->repeats, key))
        return KAFKA_INVALID_REQUEST;
    if (!p)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    enum kafka_error error = check_epoch(request_core(l->request), asked->current_leader_epoch);
    if (error)
        return error;
    if (l->request->version < version_of_timestamp(asked->timestamp))
        return KAFKA_UNSUPPORTED_VERSION;
    return l->is_late ? KAFKA_REQUEST_TIMED_OUT : KAFKA_NONE;
}

/* False: a lookup is under way, or the request has failed. */
static bool put_partition(struct list_offsets *l,
                          const struct kafka_list_offsets_request_partition *asked,
                          struct kafka_list_offsets_response_topic *topic)
{
    struct bytes key = key_of(l, topic->name, asked->partition_index);
    struct partition *p = find_partition(l, topic->name, asked->partition_index);
    if (!key.data)
        return false;
    if (!repeats_take(&l->repeats, key))
        return true; /* answered already */
    struct kafka_list_offsets_response_partition *out =
        &topic->partitions.items[topic->partitions.count++];
    out->partition_index = asked->partition_index;
    out->error_code = (int16_t)check_partition(l, asked, key, p);
    if (out->error_code)
        return true;

    switch (asked->timestamp) {
    case LATEST:
        out->offset = p->log->hw;
        out->leader_epoch = store_epoch(request_core(l->request)->store);
        return true;
    case EARLIEST:
    case EARLIEST_LOCAL:
        out->offset = p->log->start;
        out->leader_epoch = log_epoch_at(p->log, p->log->start);
        return true;
    case LATEST_TIERED: return true; /* nothing is tiered: offset -1 */
    default:
        if (p->log->start == p->log->hw)
            return true;
        start_lookup(l, p, p->log->start, asked->timestamp);
        return false;
    }
}

/* ---- by time ---- */

static void lookup_free(struct lookup *lookup)
{
    text_reset(&lookup->copy);
    free(lookup);
}

/* The first record of the batch with a timestamp of at least what is looked for. Pure; any thread. */
static void find_record(struct lookup *lookup, struct bytes raw)
{
    struct batch batch;
    struct bytes records;
    struct text scratch = {0};
    lookup->err = batch_parse(raw, &batch);
    if (!lookup->err) {
        lookup->batch_end = lookup->batch.base_offset + batch.last_offset_delta + 1;
        lookup->err = batch_inflate(&batch, INFLATE_MAX_BYTES, &scratch, &records);
    }
    if (!lookup->err) {
        int64_t wanted =
            lookup->timestamp == MAX_TIMESTAMP ? batch.max_timestamp : lookup->timestamp;
        struct record_reader reader;
        struct record record;
        record_reader_init(&reader, &batch, lookup->batch.base_offset, records);
        while (record_reader_next(&reader, &record)) {
            if (record.timestamp < wanted || record.offset < lookup->from)
                continue;
            lookup->found_offset = record.offset;
            lookup->found_timestamp = record.timestamp;
            break;
        }
    }
    if (lookup->err)
        snprintf(lookup->error, sizeof lookup->error, "%s", err_text());
    text_reset(&scratch);
}

static void put_found(const struct lookup *lookup,
                      struct kafka_list_offsets_response_partition *out)
{
    if (lookup->err) {
        say_error("kafka", "a time cannot be looked up: %s", lookup->error);
        out->error_code = (int16_t)kafka_error_of(lookup->err);
    }
    if (lookup->found_offset < 0)
        return;
    out->offset = lookup->found_offset;
    out->timestamp = lookup->found_timestamp;
    out->leader_epoch = lookup->batch.epoch;
}

/* When the records that are recent enough lie below the log's start, the next batch may have one. */
static struct partition *goes_on_with(struct lookup *lookup)
{
    struct list_offsets *l = lookup->owner;
    const struct kafka_list_offsets_response *reply = l->request->reply;
    if (lookup->err || lookup->found_offset >= 0 || lookup->timestamp < 0 ||
        lookup->batch_end <= lookup->from)
        return NULL;
    return find_partition(l, reply->topics.items[l->topic].name, answer_of(l)->partition_index);
}

/* Back in the core with what find_record() has found. */
static void found(struct lookup *lookup)
{
    struct list_offsets *l = lookup->owner;
    if (l) {
        struct partition *more = goes_on_with(lookup);
        l->lookup = NULL;
        put_found(lookup, answer_of(l));
        if (more)
            start_lookup(l, more, lookup->batch_end, lookup->timestamp);
        else
            walk(l);
    }
    lookup_free(lookup);
}

static void search_run(struct job *job)
{
    struct lookup *lookup = container_of(job, struct lookup, job);
    find_record(lookup, text_bytes(&lookup->copy));
}

static void search_done(struct job *job)
{
    found(container_of(job, struct lookup, job));
}

static void read_done(struct log_read *read)
{
    struct lookup *lookup = container_of(read, struct lookup, read);
    struct list_offsets *l = lookup->owner;
    struct bytes raw = read->count > 0 ? read->batches[0].raw : BYTES_NULL;
    struct batch batch;
    lookup->err = read->err;
    if (read->err)
        snprintf(lookup->error, sizeof lookup->error, "%s", err_name(read->err));
    lookup->batch_end = -1;
    if (read->count > 0)
        lookup->batch = read->batches[0];
    bool is_small = raw.size <= INLINE_MAX_BYTES && batch_parse(raw, &batch) == OK &&
                    (batch.attributes & BATCH_CODEC_MASK) == CODEC_NONE;
    if (raw.data && l && is_small)
        find_record(lookup, raw);
    else if (raw.data && l)
        text_append(&lookup->copy, raw);
    log_read_end(read);
    if (!lookup->copy.data) {
        found(lookup);
        return;
    }
    lookup->job.run = search_run;
    lookup->job.done = search_done;
    jobs_submit(core_jobs(request_core(l->request)), LANE_COMPUTE, &lookup->job);
}

static void start_lookup(struct list_offsets *l, struct partition *p, int64_t from,
                         int64_t timestamp)
{
    struct lookup *lookup = xzalloc(sizeof *lookup);
    lookup->owner = l;
    lookup->from = from;
    lookup->timestamp = timestamp;
    lookup->found_offset = -1;
    lookup->found_timestamp = -1;
    lookup->read.kind = timestamp == MAX_TIMESTAMP ? READ_MAX_TIME : READ_AT_TIME;
    lookup->read.from = from;
    lookup->read.limit = p->log->hw;
    lookup->read.timestamp = timestamp;
    lookup->read.max_bytes = 1; /* one batch */
    lookup->read.done = read_done;
    l->lookup = lookup;
    log_read(p->log, &lookup->read);
}
