#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kafka/connection.h"
#include "kafka/fetch_internal.h"

enum { PEEK_BATCHES = 64 };

struct cold_read {
    struct log_read read;
    struct fetch *fetch; /* NULL: nobody waits any more */
};

static struct fetch_verdict judge_history(const struct fetch_part *p);
static bool begin(struct fetch *f);
static struct fetch_part *next_part(struct fetch *f);
static bool gather_part(struct fetch *f, struct fetch_part *p);
static void end_part(struct fetch *f, struct fetch_part *p);
static void answer(struct fetch *f);

/* ---- judging ---- */

int64_t fetch_visible_end(const struct fetch *f, const struct fetch_part *p)
{
    (void)f;
    return p->partition->log->hw;
}

static struct fetch_verdict verdict_of(enum kafka_error error)
{
    return (struct fetch_verdict){.error = error, .diverging_epoch = -1};
}

static bool is_from_replica(const struct kafka_fetch_request *in)
{
    return in->replica_id >= 0 || in->replica_state.replica_id >= 0;
}

/* Is the client's idea of the leader ours (KIP-320), and did it read from the same history as ours
 * (KIP-595)? */
struct fetch_verdict fetch_judge(const struct fetch *f, const struct fetch_part *p)
{
    const struct log *log = p->partition->log;
    int32_t epoch = store_epoch(request_core(f->request)->store);
    if (p->leader_epoch >= 0 && p->leader_epoch < epoch)
        return verdict_of(KAFKA_FENCED_LEADER_EPOCH);
    if (p->leader_epoch > epoch)
        return verdict_of(KAFKA_UNKNOWN_LEADER_EPOCH);
    if (is_from_replica(f->request->body))
        return verdict_of(KAFKA_NOT_LEADER_OR_FOLLOWER); /* there are no other replicas */
    if (p->last_epoch > epoch || p->offset < log->start)
        return verdict_of(KAFKA_OFFSET_OUT_OF_RANGE);
    if (p->last_epoch >= 0) {
        struct fetch_verdict verdict = judge_history(p);
        if (fetch_verdict_is_bad(&verdict))
            return verdict;
    }
    return verdict_of(p->offset > log->end ? KAFKA_OFFSET_OUT_OF_RANGE : KAFKA_NONE);
}

/* A fork is answered with the point where it began, and without records. */
static struct fetch_verdict judge_history(const struct fetch_part *p)
{
    struct log *log = p->partition->log;
    int32_t epoch = p->last_epoch;
    int64_t end = log->end; /* of an epoch in which nothing was appended */
    if (p->last_epoch <= log_last_epoch(log))
        end = log_epoch_end(log, p->last_epoch, &epoch);
    if (end < 0) { /* older than all that is kept */
        epoch = p->last_epoch;
        end = log->start;
    }
    struct fetch_verdict verdict = verdict_of(KAFKA_NONE);
    if (epoch < p->last_epoch || end < p->offset) {
        verdict.diverging_epoch = epoch;
        verdict.diverging_end = end;
    }
    return verdict;
}

/* Nobody has the partition. */
static enum kafka_error missing(const struct fetch *f, const struct fetch_part *p)
{
    struct core *core = request_core(f->request);
    if (!f->set->by_id || topic_find_id(core, p->topic->id.data))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!p->topic->name.data)
        return KAFKA_UNKNOWN_TOPIC_ID;
    struct topic *successor = topic_find(core, p->topic->name);
    return successor && topic_partition(successor, p->index) ? KAFKA_INCONSISTENT_TOPIC_ID
                                                             : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* ---- gathering ---- */

void fetch_gather(struct fetch *f)
{
    if (!f->is_gathering && !begin(f))
        return;
    struct fetch_part *p;
    while ((p = f->current ? f->current : next_part(f))) {
        if (!gather_part(f, p))
            return;
        end_part(f, p);
    }
    answer(f);
}

static bool begin(struct fetch *f)
{
    struct request *r = f->request;
    size_t count = 0;
    struct list *node;
    while ((node = list_pop_front(&f->set->lively))) {
        list_push_back(&f->todo, node);
        count++;
    }
    f->is_gathering = true;
    f->answers = request_new(r, &kafka_fetch_response_partition_schema, count);
    f->answer_topics = request_alloc(r, count, sizeof(struct fetch_topic *));
    f->piece_counts = request_alloc(r, count, sizeof *f->piece_counts);
    return f->answers && f->answer_topics && f->piece_counts;
}

static struct kafka_fetch_response_partition *answer_of(struct fetch *f)
{
    return &f->answers[f->answer_count];
}

static void fail_part(struct kafka_fetch_response_partition *out, enum kafka_error error)
{
    out->error_code = (int16_t)error;
    out->high_watermark = -1;
    out->last_stable_offset = -1;
    out->log_start_offset = -1;
    out->aborted_transactions.items = NULL;
}

/* The same struct is filled again when its last part was left out of the answer. */
static void begin_part(struct fetch *f, struct fetch_part *p)
{
    static const uint8_t nothing;
    static struct kafka_fetch_response_aborted_transaction no_aborted;
    const struct kafka_fetch_request *in = f->request->body;
    const struct log *log = p->partition->log;
    struct core *core = request_core(f->request);
    struct kafka_fetch_response_partition *out = answer_of(f);
    struct fetch_verdict verdict = fetch_judge(f, p);
    out->partition_index = p->index;
    out->error_code = KAFKA_NONE;
    out->high_watermark = log->hw;
    out->last_stable_offset = log->hw;
    out->log_start_offset = log->start;
    out->records = bytes_of(&nothing, 0);
    /* an empty list, where read_uncommitted gets null */
    out->aborted_transactions.items = in->isolation_level == 1 ? &no_aborted : NULL;
    out->diverging_epoch.epoch = verdict.diverging_epoch;
    out->diverging_epoch.end_offset = verdict.diverging_epoch >= 0 ? verdict.diverging_end : -1;
    bool is_told_leader =
        verdict.error == KAFKA_FENCED_LEADER_EPOCH && f->request->version >= FETCH_ENDPOINTS_SINCE;
    out->current_leader.leader_id = is_told_leader ? core->config.node_id : -1;
    out->current_leader.leader_epoch = is_told_leader ? store_epoch(core->store) : -1;
    if (verdict.error)
        fail_part(out, verdict.error);
    f->piece_counts[f->answer_count] = 0;
    f->next_offset = fetch_verdict_is_bad(&verdict) ? INT64_MAX : p->offset;
    f->part_room = p->max_bytes < f->room ? p->max_bytes : f->room;
    f->current = p;
}

static struct fetch_part *next_part(struct fetch *f)
{
    struct list *node;
    while ((node = list_pop_front(&f->todo))) {
        struct fetch_part *p = container_of(node, struct fetch_part, node);
        if (fetch_part_resolve(p, request_core(f->request))) {
            begin_part(f, p);
            return p;
        }
        list_push_back(&f->unknown, node);
    }
    return NULL;
}

/* Batches that lie in a row become one piece with one reference. */
static void take_batch(struct fetch *f, const struct log_batch *b)
{
    bool is_stamped = get_u64(b->raw.data) == (uint64_t)b->base_offset &&
                      get_u32(b->raw.data + 12) == (uint32_t)b->epoch;
    uint32_t *piece_count = &f->piece_counts[f->answer_count];
    if (is_stamped && *piece_count > 0) {
        struct fetch_piece *last = &vec_last(&f->pieces);
        if (last->is_stamped && last->chunk == b->chunk &&
            last->raw.data + last->raw.size == b->raw.data) {
            last->raw.size += b->raw.size;
            return;
        }
    }
    chunk_ref(b->chunk);
    vec_push(&f->pieces, ((struct fetch_piece){.raw = b->raw,
                                               .chunk = b->chunk,
                                               .base_offset = b->base_offset,
                                               .epoch = b->epoch,
                                               .is_stamped = is_stamped}));
    ++*piece_count;
}

static void count_taken(struct fetch *f, size_t size, int64_t end)
{
    f->has_records = true;
    f->part_room -= (int64_t)size;
    f->room -= (int64_t)size;
    f->next_offset = end;
    answer_of(f)->records.size += size;
}

/* Take batches as far as the limits go. The first batch of the answer is taken whatever its size,
 * or a consumer could never pass it (KIP-74). False when a limit was met. */
static bool take(struct fetch *f, const struct log_batch *batches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t size = (int64_t)batches[i].raw.size;
        if (size > f->part_room && f->has_records)
            return false;
        take_batch(f, &batches[i]);
        count_taken(f, batches[i].raw.size, log_batch_end(&batches[i]));
    }
    return true;
}

/* What is not in memory may be sent from its file. E_COLD: it must be read. */
static enum err take_stretch(struct fetch *f, struct fetch_part *p, bool *goes_on)
{
    struct log_stretch stretch;
    size_t room = f->part_room > 0 ? (size_t)f->part_room : 1;
    enum err err = log_stretch(p->partition->log, f->next_offset, answer_of(f)->high_watermark,
                               room, &stretch);
    if (err)
        return err;
    *goes_on = stretch.size <= room || !f->has_records; /* as in take() */
    if (!*goes_on) {
        log_stretch_end(stretch.holder);
        return OK;
    }
    vec_push(&f->pieces, ((struct fetch_piece){.stretch = stretch}));
    ++f->piece_counts[f->answer_count];
    count_taken(f, stretch.size, stretch.end);
    return OK;
}

/* What was found before an error is worth more than the error, which comes again. */
static void read_fails(struct fetch *f, enum err err)
{
    if (answer_of(f)->records.size == 0)
        fail_part(answer_of(f), kafka_error_of(err));
    f->next_offset = INT64_MAX;
}

static void read_done(struct log_read *read)
{
    struct cold_read *cold = container_of(read, struct cold_read, read);
    struct fetch *f = cold->fetch;
    if (f) {
        f->read = NULL;
        if (read->err)
            read_fails(f, read->err);
        else if (!take(f, read->batches, read->count) || read->count == 0)
            f->next_offset = INT64_MAX;
    }
    log_read_end(read);
    free(cold);
    if (f)
        fetch_gather(f);
}

static void start_read(struct fetch *f, struct fetch_part *p)
{
    list_each (node, &f->todo) { /* a topic may be deleted meanwhile */
        struct fetch_part *later = container_of(node, struct fetch_part, node);
        if (later->partition)
            fetch_part_arm(later);
    }
    fetch_part_arm(p);
    struct cold_read *cold = xzalloc(sizeof *cold);
    cold->fetch = f;
    cold->read.kind = READ_FROM;
    cold->read.from = f->next_offset;
    cold->read.limit = answer_of(f)->high_watermark;
    cold->read.max_bytes = f->part_room > 0 ? (size_t)f->part_room : 1;
    cold->read.may_come_again = true;
    cold->read.done = read_done;
    f->read = cold;
    log_read(p->partition->log, &cold->read);
}

void fetch_read_cancel(struct fetch *f)
{
    if (f->read)
        f->read->fetch = NULL;
    f->read = NULL;
}

/* What is there without a read: E_COLD, nothing. *goes_on: no limit was met. */
static enum err take_next(struct fetch *f, struct fetch_part *p, bool *goes_on)
{
    struct log_batch batches[PEEK_BATCHES];
    size_t count = 0;
    enum err err =
        log_peek(p->partition->log, f->next_offset, answer_of(f)->high_watermark,
                 f->part_room > 0 ? (size_t)f->part_room : 1, batches, PEEK_BATCHES, &count);
    if (err == E_COLD)
        return take_stretch(f, p, goes_on);
    if (err)
        read_fails(f, err);
    *goes_on = !err && count > 0 && take(f, batches, count);
    return OK;
}

/* False: a read is under way, read_done() goes on. */
static bool gather_part(struct fetch *f, struct fetch_part *p)
{
    if (!fetch_part_resolve(p, request_core(f->request))) { /* it was deleted during a read */
        f->next_offset = INT64_MAX;
        if (answer_of(f)->records.size == 0)
            fail_part(answer_of(f), missing(f, p));
    }
    bool goes_on = true;
    while (goes_on && f->next_offset < answer_of(f)->high_watermark &&
           (f->part_room > 0 || !f->has_records)) {
        if (take_next(f, p, &goes_on) == E_COLD) {
            start_read(f, p);
            return false;
        }
    }
    return true;
}

static bool is_worth_telling(const struct fetch *f, const struct fetch_part *p,
                             const struct kafka_fetch_response_partition *out)
{
    return !f->is_incremental || out->records.size > 0 || out->error_code ||
           out->diverging_epoch.epoch >= 0 || out->high_watermark != p->told_hw ||
           out->log_start_offset != p->told_start;
}

static void tell(struct fetch *f, struct fetch_part *p)
{
    const struct kafka_fetch_response_partition *out = answer_of(f);
    if (!is_worth_telling(f, p, out))
        return;
    p->told_hw = out->high_watermark;
    p->told_start = out->log_start_offset;
    f->answer_topics[f->answer_count++] = p->topic;
}

/* Where it goes in a session: with records behind the others, the next time these come first. */
static void end_part(struct fetch *f, struct fetch_part *p)
{
    const struct kafka_fetch_response_partition *out = answer_of(f);
    bool is_served = out->records.size > 0;
    bool is_quiet = !is_served && !out->error_code && out->diverging_epoch.epoch < 0 &&
                    f->set != &f->own && p->offset >= fetch_visible_end(f, p);
    f->current = NULL;
    tell(f, p);
    if (is_quiet)
        fetch_part_arm(p);
    else
        list_push_back(is_served ? &f->served : &f->kept, &p->node);
}

/* ---- the answer ---- */

static void answer_unknown(struct fetch *f)
{
    static const uint8_t nothing;
    static struct kafka_fetch_response_aborted_transaction no_aborted;
    struct list *node;
    while ((node = list_pop_front(&f->unknown))) {
        struct fetch_part *p = container_of(node, struct fetch_part, node);
        struct kafka_fetch_response_partition *out = answer_of(f);
        wire_init(&kafka_fetch_response_partition_schema, out);
        fail_part(out, missing(f, p));
        out->partition_index = p->index;
        out->aborted_transactions.items = &no_aborted; /* as Kafka says it */
        out->records = bytes_of(&nothing, 0);
        f->piece_counts[f->answer_count] = 0;
        tell(f, p);
        list_push_back(&f->kept, node);
    }
}

/* Answers of one topic that follow one another are one item. */
static bool put_topics(struct fetch *f, struct kafka_fetch_response *reply)
{
    size_t runs = 0;
    for (size_t i = 0; i < f->answer_count; i++)
        runs += i == 0 || f->answer_topics[i] != f->answer_topics[i - 1];
    reply->responses.items = request_new(f->request, &kafka_fetch_response_topic_schema, runs);
    if (!reply->responses.items)
        return false;
    struct kafka_fetch_response_topic *out = reply->responses.items - 1;
    for (size_t i = 0; i < f->answer_count; i++) {
        const struct fetch_topic *topic = f->answer_topics[i];
        if (i == 0 || topic != f->answer_topics[i - 1]) {
            out++;
            out->topic = f->set->by_id ? BYTES_NULL : topic->name;
            out->topic_id = topic->id;
            out->partitions.items = &f->answers[i];
        }
        out->partitions.count++;
    }
    reply->responses.count = (int32_t)runs;
    return true;
}

/* Where the leader is that some answer names: we are it ourselves. */
static bool put_endpoint(struct fetch *f, struct kafka_fetch_response *reply)
{
    struct request *r = f->request;
    bool is_named = false;
    for (size_t i = 0; i < f->answer_count && !is_named; i++)
        is_named = f->answers[i].current_leader.leader_id >= 0;
    if (!is_named)
        return true;
    struct kafka_fetch_response_node_endpoint *out =
        request_new(r, &kafka_fetch_response_node_endpoint_schema, 1);
    if (!out)
        return false;
    out->node_id = request_core(r)->config.node_id;
    connection_address(r->connection, &out->host, &out->port);
    out->rack = BYTES_NULL;
    reply->node_endpoints.items = out;
    reply->node_endpoints.count = 1;
    return true;
}

static void answer(struct fetch *f)
{
    struct kafka_fetch_response *reply = f->request->reply;
    answer_unknown(f);
    if (put_topics(f, reply) && put_endpoint(f, reply))
        request_answer(f->request, reply);
}
