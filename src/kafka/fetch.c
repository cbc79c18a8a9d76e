#include "kafka/fetch.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"

enum { PEEK_BATCHES = 64, SESSION_NEW = 0, SESSION_NONE = -1 };

struct cold_read {
    struct log_read read;
    struct fetch *fetch; /* NULL: nobody waits any more */
};

static bool build(struct fetch *f, const struct kafka_fetch_request *in);
static void check_part(struct fetch_part *p, struct topic *topic);
static enum kafka_error check_epochs(struct fetch_part *p);
static enum kafka_error check_history(struct fetch_part *p);
static void count_part(struct fetch_part *p);
static void wait_for_more(struct fetch *f);
static void watch_all(struct fetch *f);
static void unwatch_all(struct fetch *f);
static void gather(struct fetch *f);
static bool gather_part(struct fetch *f, struct fetch_part *p);
static void part_fails(struct fetch_part *p, enum kafka_error error);
static bool part_is_alive(struct fetch_part *p);
static int64_t batch_end(const struct log_batch *b);

void fetch_start(struct request *r)
{
    const struct kafka_fetch_request *in = r->body;
    struct fetch *f = request_alloc(r, 1, sizeof *f);
    struct kafka_fetch_response *reply = request_new(r, &kafka_fetch_response_schema, 1);
    if (!f || !reply)
        return;
    f->request = r;
    list_init(&f->moved);
    r->work = f;
    r->reply = reply;

    /* Sessions are never opened, so only requests without one, or for a new or last one, make
     * sense. */
    if (in->session_epoch != SESSION_NEW && in->session_epoch != SESSION_NONE) {
        reply->error_code = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
        request_answer(r, reply);
        return;
    }
    if (!build(f, in))
        return;
    if (f->is_ready || f->part_count == 0 || in->max_wait_ms <= 0 ||
        f->counted_bytes >= in->min_bytes)
        gather(f);
    else
        wait_for_more(f);
}

void fetch_release(struct request *r)
{
    struct fetch *f = r->work;
    if (!f)
        return;
    unwatch_all(f);
    timer_stop(&request_core(r)->timers, &f->timer);
    core_defer_cancel(&f->recount);
    if (f->read)
        f->read->fetch = NULL;
    for (size_t i = 0; i < f->batches.count; i++)
        chunk_unref(f->batches.items[i].chunk);
    vec_reset(&f->batches);
}

/* ---- check ---- */

static bool build_topic(struct fetch *f, const struct kafka_fetch_request_topic *in,
                        struct kafka_fetch_response_topic *out)
{
    struct request *r = f->request;
    bool by_id = r->version >= 13;
    struct topic *topic = by_id ? topic_find_id(request_core(r), in->topic_id.data)
                                : topic_find(request_core(r), in->topic);
    size_t count = (size_t)in->partitions.count;
    out->topic = in->topic;
    out->topic_id = in->topic_id;
    out->partitions.items = request_new(r, &kafka_fetch_response_partition_schema, count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = in->partitions.count;
    for (size_t i = 0; i < count; i++) {
        struct fetch_part *p = &f->parts[f->part_count++];
        p->fetch = f;
        p->asked = &in->partitions.items[i];
        p->answer = &out->partitions.items[i];
        check_part(p, topic);
    }
    return true;
}

/* The answer's structs, and a part for each partition; false when the request has failed. */
static bool build(struct fetch *f, const struct kafka_fetch_request *in)
{
    struct request *r = f->request;
    struct kafka_fetch_response *reply = r->reply;
    size_t part_count = 0;
    for (int32_t i = 0; i < in->topics.count; i++)
        part_count += (size_t)in->topics.items[i].partitions.count;
    f->parts = request_alloc(r, part_count, sizeof *f->parts);
    reply->responses.items =
        request_new(r, &kafka_fetch_response_topic_schema, (size_t)in->topics.count);
    if (!f->parts || !reply->responses.items)
        return false;
    reply->responses.count = in->topics.count;
    for (int32_t i = 0; i < in->topics.count; i++)
        if (!build_topic(f, &in->topics.items[i], &reply->responses.items[i]))
            return false;
    return true;
}

static enum kafka_error missing_topic(const struct request *r)
{
    return r->version >= 13 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static void check_part(struct fetch_part *p, struct topic *topic)
{
    static const uint8_t nothing;
    static struct kafka_fetch_response_aborted_transaction no_aborted;
    struct request *r = p->fetch->request;
    const struct kafka_fetch_request *in = r->body;
    p->answer->partition_index = p->asked->partition;
    p->answer->high_watermark = -1;
    p->answer->records = bytes_of(&nothing, 0);
    if (!topic) {
        part_fails(p, missing_topic(r));
        return;
    }
    p->partition = topic_partition(topic, p->asked->partition);
    if (!p->partition) {
        part_fails(p, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        return;
    }
    if (in->isolation_level == 1) /* an empty list, where read_uncommitted gets null */
        p->answer->aborted_transactions.items = &no_aborted;
    enum kafka_error error = check_epochs(p);
    if (error)
        part_fails(p, error);
    if (!p->partition)
        return;
    p->counted_to = p->asked->fetch_offset;
    const struct log *log = p->partition->log;
    if (p->counted_to < log->start || p->counted_to > log->end)
        part_fails(p, KAFKA_OFFSET_OUT_OF_RANGE);
    else
        count_part(p);
}

/* Is the client's idea of the leader ours (KIP-320), and did it read from the same history as ours
 * (KIP-595)? A fork is answered with the point where it began, and without records. */
static enum kafka_error check_epochs(struct fetch_part *p)
{
    struct core *core = request_core(p->fetch->request);
    int32_t epoch = store_epoch(core->store);
    if (p->asked->current_leader_epoch >= 0 && p->asked->current_leader_epoch < epoch) {
        p->answer->current_leader.leader_id = core->config.node_id;
        p->answer->current_leader.leader_epoch = epoch;
        return KAFKA_FENCED_LEADER_EPOCH;
    }
    if (p->asked->current_leader_epoch > epoch)
        return KAFKA_UNKNOWN_LEADER_EPOCH;
    if (p->asked->last_fetched_epoch < 0)
        return KAFKA_NONE;

    return check_history(p);
}

static enum kafka_error check_history(struct fetch_part *p)
{
    struct log *log = p->partition->log;
    int32_t asked = p->asked->last_fetched_epoch;
    if (asked > log_last_epoch(log))
        return KAFKA_OFFSET_OUT_OF_RANGE;
    int32_t epoch = -1;
    int64_t end = log_epoch_end(log, asked, &epoch);
    if (end < 0) { /* older than all that is kept */
        epoch = asked;
        end = log->start;
    }
    if (epoch == asked && end >= p->asked->fetch_offset)
        return KAFKA_NONE;
    p->answer->diverging_epoch.epoch = epoch;
    p->answer->diverging_epoch.end_offset = end;
    p->answer->high_watermark = log->hw;
    p->answer->last_stable_offset = log->hw;
    p->answer->log_start_offset = log->start;
    p->partition = NULL;
    p->fetch->is_ready = true;
    return KAFKA_NONE;
}

static void part_fails(struct fetch_part *p, enum kafka_error error)
{
    p->answer->error_code = (int16_t)error;
    if (list_is_linked(&p->watch.node))
        partition_unwatch(&p->watch);
    p->partition = NULL;
    p->fetch->is_ready = true;
}

/* Add what is new below the high watermark, up to what this partition may contribute. What is not
 * in memory is old: there is plenty of it. */
static void count_part(struct fetch_part *p)
{
    struct log_batch batches[PEEK_BATCHES];
    struct log *log = p->partition->log;
    int64_t limit_bytes = p->asked->partition_max_bytes > 0 ? p->asked->partition_max_bytes : 0;
    int64_t before = p->counted_bytes;
    while (p->counted_bytes < limit_bytes && p->counted_to < log->hw) {
        size_t count = 0;
        enum err err =
            log_peek(log, p->counted_to, log->hw, (size_t)(limit_bytes - p->counted_bytes), batches,
                     PEEK_BATCHES, &count);
        if (err)
            p->counted_bytes = limit_bytes; /* cold, or an error that gathering will find */
        if (err || count == 0) {
            p->counted_to = log->hw;
            break;
        }
        for (size_t i = 0; i < count; i++)
            p->counted_bytes += (int64_t)batches[i].raw.size;
        p->counted_to = batch_end(&batches[count - 1]);
    }
    if (p->counted_bytes > limit_bytes)
        p->counted_bytes = limit_bytes;
    p->fetch->counted_bytes += p->counted_bytes - before;
}

/* ---- wait ---- */

static bool has_enough(const struct fetch *f)
{
    const struct kafka_fetch_request *in = f->request->body;
    return f->is_ready || f->counted_bytes >= in->min_bytes;
}

static void stop_waiting(struct fetch *f)
{
    timer_stop(&request_core(f->request)->timers, &f->timer);
    core_defer_cancel(&f->recount);
    gather(f);
}

static void time_is_up(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    stop_waiting(container_of(timer, struct fetch, timer));
}

static void recount_moved(struct deferred *d)
{
    struct fetch *f = container_of(d, struct fetch, recount);
    struct list *node;
    while ((node = list_pop_front(&f->moved))) {
        struct fetch_part *p = container_of(node, struct fetch_part, moved);
        if (part_is_alive(p))
            count_part(p);
    }
    if (has_enough(f))
        stop_waiting(f);
}

static void part_moved(struct partition_watch *watch, struct partition *partition)
{
    struct fetch_part *p = container_of(watch, struct fetch_part, watch);
    struct fetch *f = p->fetch;
    if (partition->topic->deleted)
        part_fails(p, missing_topic(f->request));
    if (f->is_gathering)
        return;
    if (!list_is_linked(&p->moved))
        list_push_back(&f->moved, &p->moved);
    core_defer(request_core(f->request), &f->recount); /* not now: the store is on the stack */
}

static void wait_for_more(struct fetch *f)
{
    const struct kafka_fetch_request *in = f->request->body;
    struct core *core = request_core(f->request);
    watch_all(f);
    f->recount.run = recount_moved;
    f->timer.fire = time_is_up;
    timer_start(&core->timers, &f->timer, core->now_ns + (int64_t)in->max_wait_ms * 1000000);
}

static void watch_all(struct fetch *f)
{
    for (size_t i = 0; i < f->part_count; i++) {
        struct fetch_part *p = &f->parts[i];
        if (!p->partition || p->watch.moved)
            continue;
        p->watch.moved = part_moved;
        partition_watch(p->partition, &p->watch);
    }
}

static void unwatch_all(struct fetch *f)
{
    for (size_t i = 0; i < f->part_count; i++)
        if (list_is_linked(&f->parts[i].watch.node))
            partition_unwatch(&f->parts[i].watch);
}

/* ---- gather ---- */

static void begin_part(struct fetch *f, struct fetch_part *p)
{
    const struct log *log = p->partition->log;
    p->answer->high_watermark = log->hw;
    p->answer->last_stable_offset = log->hw;
    p->answer->log_start_offset = log->start;
    f->next_offset = p->asked->fetch_offset;
    f->part_room =
        p->asked->partition_max_bytes < f->room ? p->asked->partition_max_bytes : f->room;
}

/* Goes on with the part that a read was for when it is called again. */
static void gather(struct fetch *f)
{
    const struct kafka_fetch_request *in = f->request->body;
    if (!f->is_gathering) {
        f->is_gathering = true;
        f->room = in->max_bytes < FETCH_MAX_BYTES ? in->max_bytes : FETCH_MAX_BYTES;
        f->next_offset = -1;
    }
    while (f->gathered_count < f->part_count) {
        struct fetch_part *p = &f->parts[f->gathered_count];
        if (part_is_alive(p) && f->next_offset < 0)
            begin_part(f, p);
        if (p->partition && !gather_part(f, p))
            return;
        f->next_offset = -1;
        f->gathered_count++;
    }
    unwatch_all(f);
    request_answer(f->request, f->request->reply);
}

/* Take batches as far as the limits go. The first batch of the answer is taken whatever its size,
 * or a consumer could never pass it (KIP-74). False when a limit was met. */
static bool take(struct fetch *f, struct fetch_part *p, const struct log_batch *batches,
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t size = (int64_t)batches[i].raw.size;
        if (size > f->part_room && f->has_records)
            return false;
        chunk_ref(batches[i].chunk);
        vec_push(&f->batches, batches[i]);
        f->has_records = true;
        f->part_room -= size;
        f->room -= size;
        f->next_offset = batch_end(&batches[i]);
        p->span_count++;
        p->answer->records.size += (size_t)size;
    }
    return true;
}

static void read_done(struct log_read *read)
{
    struct cold_read *cold = container_of(read, struct cold_read, read);
    struct fetch *f = cold->fetch;
    bool more = false;
    if (f) {
        struct fetch_part *p = &f->parts[f->gathered_count];
        f->read = NULL;
        if (read->err && p->partition && p->span_count == 0)
            part_fails(p, kafka_error_of(read->err));
        else if (!read->err && p->partition)
            more = take(f, p, read->batches, read->count) && read->count > 0;
        if (!more)
            f->next_offset = INT64_MAX; /* this part is complete */
    }
    log_read_end(read);
    free(cold);
    if (f)
        gather(f);
}

static void start_read(struct fetch *f, struct fetch_part *p)
{
    watch_all(f); /* a topic may be deleted meanwhile */
    struct cold_read *cold = xzalloc(sizeof *cold);
    cold->fetch = f;
    cold->read.kind = READ_FROM;
    cold->read.from = f->next_offset;
    cold->read.limit = p->answer->high_watermark;
    cold->read.max_bytes = f->part_room > 0 ? (size_t)f->part_room : 1;
    cold->read.done = read_done;
    f->read = cold;
    log_read(p->partition->log, &cold->read);
}

/* False: a read is under way, read_done() goes on. */
static bool gather_part(struct fetch *f, struct fetch_part *p)
{
    struct log_batch batches[PEEK_BATCHES];
    while (f->next_offset < p->answer->high_watermark && (f->part_room > 0 || !f->has_records)) {
        size_t count = 0;
        enum err err =
            log_peek(p->partition->log, f->next_offset, p->answer->high_watermark,
                     f->part_room > 0 ? (size_t)f->part_room : 1, batches, PEEK_BATCHES, &count);
        if (err == E_COLD) {
            start_read(f, p);
            return false;
        }
        if (err && p->span_count == 0)
            part_fails(p, kafka_error_of(err));
        if (err || count == 0 || !take(f, p, batches, count))
            return true;
    }
    return true;
}

/* A deleted topic loses its logs at once; its watches are told a little later. */
static bool part_is_alive(struct fetch_part *p)
{
    if (p->partition && p->partition->topic->deleted)
        part_fails(p, missing_topic(p->fetch->request));
    return p->partition != NULL;
}

/* The offset behind a batch. */
static int64_t batch_end(const struct log_batch *b)
{
    enum { LAST_OFFSET_DELTA = 23 };
    return b->base_offset + (int32_t)get_u32(b->raw.data + LAST_OFFSET_DELTA) + 1;
}
