/*
 * ListOffsets: where a log begins and ends, and the first record at or after a time. KIP-79,
 * KIP-734
 * (-3, the record with the largest timestamp), KIP-405 and KIP-1005 (-4 and -5, answered as for a
 * log that is not tiered).
 *
 * Barrier: a client that was answered for acks=1, or has pipelined its produces, must find its
 * records counted. So the answer waits until everything appended before the request is committed.
 *
 * Times are looked up one partition after the other: the log finds the batch, then its records are
 * walked, inflated if need be up to a limit.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum {
    LATEST = -1,
    EARLIEST = -2,
    MAX_TIMESTAMP = -3,
    EARLIEST_LOCAL = -4,
    LATEST_TIERED = -5,
    INFLATE_MAX_BYTES = 128 << 20,
    TIMEOUT_SINCE = 10,
    TIMEOUT_DEFAULT_MS = 30000,
};

struct lookup {
    struct log_read read;
    struct list_offsets *owner; /* NULL: nobody waits any more */
};

struct list_offsets {
    struct request *request;
    struct lookup *lookup;    /* under way */
    bool is_late;             /* the barrier was not passed in time */
    int32_t topic, partition; /* where the walk over the request is */
};

static struct ticket barrier(struct list_offsets *l);
static void walk(struct list_offsets *l);
static void barrier_passed(struct request *r, bool in_time);
static bool put_partition(struct list_offsets *l);
static void start_lookup(struct list_offsets *l, struct partition *partition, int64_t timestamp);
static void lookup_done(struct log_read *read);

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
    if (!reply->topics.items)
        return;
    request_wait(r, barrier(l), STAGE_COMMITTED,
                 r->version >= TIMEOUT_SINCE ? in->timeout_ms : TIMEOUT_DEFAULT_MS, barrier_passed);
}

void list_offsets_release(struct request *r)
{
    struct list_offsets *l = r->work;
    if (l && l->lookup)
        l->lookup->owner = NULL;
}

static void barrier_passed(struct request *r, bool in_time)
{
    struct list_offsets *l = r->work;
    /* When the disk has failed, what is committed is all that there will ever be. */
    l->is_late = !in_time && !store_is_frozen(request_core(r)->store);
    walk(l);
}

static struct ticket barrier(struct list_offsets *l)
{
    const struct kafka_list_offsets_request *in = l->request->body;
    struct ticket all = {0};
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_list_offsets_request_topic *asked = &in->topics.items[i];
        struct topic *topic = topic_find(request_core(l->request), asked->name);
        for (int32_t j = 0; topic && j < asked->partitions.count; j++) {
            struct partition *p =
                topic_partition(topic, asked->partitions.items[j].partition_index);
            if (p)
                ticket_join(&all, log_last_ticket(p->log));
        }
    }
    return all;
}

/* Goes on where a lookup interrupted it. */
static void walk(struct list_offsets *l)
{
    struct request *r = l->request;
    const struct kafka_list_offsets_request *in = r->body;
    struct kafka_list_offsets_response *reply = r->reply;
    for (; l->topic < in->topics.count; l->topic++, l->partition = 0) {
        const struct kafka_list_offsets_request_topic *asked = &in->topics.items[l->topic];
        struct kafka_list_offsets_response_topic *out = &reply->topics.items[l->topic];
        if (l->partition == 0) {
            reply->topics.count = l->topic + 1;
            out->name = asked->name;
            out->partitions.items = request_new(r, &kafka_list_offsets_response_partition_schema,
                                                (size_t)asked->partitions.count);
            if (!out->partitions.items)
                return;
        }
        while (l->partition < asked->partitions.count) {
            out->partitions.count = l->partition + 1;
            if (!put_partition(l))
                return;
            l->partition++;
        }
    }
    request_answer(r, reply);
}

static struct kafka_list_offsets_response_partition *answer_of(struct list_offsets *l)
{
    struct kafka_list_offsets_response *reply = l->request->reply;
    return &reply->topics.items[l->topic].partitions.items[l->partition];
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

/* Of the oldest batch, if it is in memory: clients can do without. */
static int32_t first_epoch(struct log *log)
{
    struct log_batch batch;
    size_t count = 0;
    enum err err = log_peek(log, log->start, log->hw, 1, &batch, 1, &count);
    return !err && count > 0 ? batch.epoch : -1;
}

/* False: a lookup is under way. */
static bool put_partition(struct list_offsets *l)
{
    struct request *r = l->request;
    struct core *core = request_core(r);
    const struct kafka_list_offsets_request *in = r->body;
    const struct kafka_list_offsets_request_topic *asked_topic = &in->topics.items[l->topic];
    const struct kafka_list_offsets_request_partition *asked =
        &asked_topic->partitions.items[l->partition];
    struct kafka_list_offsets_response_partition *out = answer_of(l);
    struct topic *topic = topic_find(core, asked_topic->name);
    struct partition *p = topic ? topic_partition(topic, asked->partition_index) : NULL;
    out->partition_index = asked->partition_index;
    if (!p) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return true;
    }
    out->error_code = (int16_t)check_epoch(core, asked->current_leader_epoch);
    if (!out->error_code && r->version < version_of_timestamp(asked->timestamp))
        out->error_code = KAFKA_UNSUPPORTED_VERSION;
    else if (!out->error_code && l->is_late)
        out->error_code = KAFKA_REQUEST_TIMED_OUT;
    if (out->error_code)
        return true;

    switch (asked->timestamp) {
    case LATEST:
        out->offset = p->log->hw;
        out->leader_epoch = log_last_epoch(p->log);
        return true;
    case EARLIEST:
    case EARLIEST_LOCAL:
        out->offset = p->log->start;
        out->leader_epoch = first_epoch(p->log);
        return true;
    case LATEST_TIERED: return true; /* nothing is tiered: offset -1 */
    default:
        if (p->log->start == p->log->hw)
            return true;
        start_lookup(l, p, asked->timestamp);
        return false;
    }
}

/* ---- by time ---- */

static void start_lookup(struct list_offsets *l, struct partition *partition, int64_t timestamp)
{
    struct lookup *lookup = xzalloc(sizeof *lookup);
    lookup->owner = l;
    lookup->read.kind = timestamp == MAX_TIMESTAMP ? READ_MAX_TIME : READ_AT_TIME;
    lookup->read.from = partition->log->start;
    lookup->read.limit = partition->log->hw;
    lookup->read.timestamp = timestamp;
    lookup->read.max_bytes = 1; /* one batch */
    lookup->read.done = lookup_done;
    l->lookup = lookup;
    log_read(partition->log, &lookup->read);
}

/* The first record of the batch with a timestamp of at least `timestamp`. */
static enum err find_record(const struct log_batch *found, int64_t timestamp,
                            struct kafka_list_offsets_response_partition *out)
{
    struct batch batch;
    struct bytes records;
    struct text scratch = {0};
    enum err err = batch_parse(found->raw, &batch);
    if (!err && timestamp == MAX_TIMESTAMP)
        timestamp = batch.max_timestamp;
    if (!err)
        err = batch_inflate(&batch, INFLATE_MAX_BYTES, &scratch, &records);
    if (!err) {
        struct record_reader reader;
        struct record record;
        record_reader_init(&reader, &batch, found->base_offset, records);
        while (record_reader_next(&reader, &record)) {
            if (record.timestamp < timestamp)
                continue;
            out->offset = record.offset;
            out->timestamp = record.timestamp;
            out->leader_epoch = found->epoch;
            break;
        }
    }
    text_reset(&scratch);
    return err;
}

static void lookup_done(struct log_read *read)
{
    struct lookup *lookup = container_of(read, struct lookup, read);
    struct list_offsets *l = lookup->owner;
    if (l) {
        int64_t timestamp = read->kind == READ_MAX_TIME ? MAX_TIMESTAMP : read->timestamp;
        enum err err = read->err;
        if (!err && read->count > 0)
            err = find_record(&read->batches[0], timestamp, answer_of(l));
        if (err)
            answer_of(l)->error_code = (int16_t)kafka_error_of(err);
        l->lookup = NULL;
        l->partition++;
    }
    log_read_end(read);
    free(lookup);
    if (l)
        walk(l);
}
