#include "broker/queue_expiry.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "broker/mutant.h"
#include "broker/queue_rules.h"

enum {
    LOOKS = 8192,      /* entries and records that one turn looks at */
    SWEEP_ENTRIES = 2, /* for each one that comes */
    RETRY_MS = 100,
};

static void is_due(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    queue_run_later(container_of(timer, struct queue_expiry, timer)->queue);
}

static struct queue_expiry *expiry_of(struct queue *queue)
{
    struct queue_rules *r = queue_rules_need(queue);
    if (!r->expiry) {
        r->expiry = xzalloc(sizeof *r->expiry);
        r->expiry->queue = queue;
        r->expiry->timer.fire = is_due;
        due_index_init(&r->expiry->index, &queue->internal->core->internal->due);
    }
    return r->expiry;
}

void queue_expiry_free(struct queue_expiry *x)
{
    if (!x)
        return;
    timer_stop(&x->queue->internal->core->timers, &x->timer);
    due_index_reset(&x->index);
    vec_reset(&x->early);
    offset_set_reset(&x->late);
    feed_free(x->feed);
    feed_free(x->scan_feed);
    free(x);
}

/* ---- what is known ---- */

void queue_expiry_expect(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    queue_rules_need(queue)->may_expire = true;
    if (in->is_timed)
        return;
    in->is_timed = true;
    if (queue->durable && !queue->exclusive)
        catalog_put(in->core, &in->entry, CATALOG_QUEUE);
}

static bool is_done(const void *ctx, int64_t offset)
{
    return subscription_is_done(ctx, offset);
}

void queue_expiry_note(struct queue *queue, int64_t offset, int64_t due_ms)
{
    struct queue_expiry *x = expiry_of(queue);
    due_index_add(&x->index, offset, due_ms);
    due_index_sweep(&x->index, SWEEP_ENTRIES, is_done, queue->subscription);
}

void queue_expiry_learn(struct queue *queue)
{
    const struct subscription *s = queue->subscription;
    queue_rules_need(queue)->may_expire = true;
    due_index_unknown(&expiry_of(queue)->index, s->floor, s->visible);
}

void queue_expiry_returned(struct queue *queue, int64_t offset)
{
    struct queue_expiry *x = queue->internal->rules->expiry;
    if (x && offset_set_remove(&x->late, offset))
        due_index_again(&x->index, offset, queue->internal->core->wall_ms);
}

/* ---- what is due ---- */

static void feed_arrived(void *ctx)
{
    queue_run_later(ctx);
}

static struct feed *feed_for(struct queue *queue, struct feed **at)
{
    if (!*at)
        *at = feed_new(queue->internal->core->internal->feeds, queue->log, feed_arrived, queue);
    return *at;
}

/* Give the message to whom it goes now. Errors: later. */
static enum err expire_message(struct queue *queue, struct queue_expiry *x, int64_t offset)
{
    struct record record;
    struct delivery d = {.queue = queue, .offset = offset};
    enum err err = feed_at(feed_for(queue, &x->feed), offset, offset + 1, &record);
    bool is_lost = err == E_CORRUPT || err == E_NOT_FOUND ||
                   (!err && message_from_record(record.key, record.value, &d.message) != OK);
    if (is_lost) {
        queue_skip_damage(queue, offset, offset + 1);
        return OK;
    }
    if (err)
        return err;
    return queue_drop(queue, &d, DEATH_EXPIRED);
}

static enum err expire_one(struct queue *queue, struct queue_expiry *x, int64_t offset)
{
    struct subscription *s = queue->subscription;
    if (subscription_is_done(s, offset))
        return OK;
    if (!subscription_is_ready(s, offset)) {
        if (BROKER_MUTANT != MUTANT_FORGET_LATE)
            offset_set_add(&x->late, offset);
        return OK;
    }
    queue->internal->core->internal->deliveries_left--;
    if (queue_reads_what_expires(queue))
        return expire_message(queue, x, offset);
    subscription_settle_ready(s, offset, offset + 1);
    queue_changed(queue);
    return OK;
}

/* Due before it was offered to anybody: it waits for that. */
static bool is_early(const struct queue *queue, struct queue_expiry *x, const struct due_entry *e)
{
    if (e->from + (int64_t)e->count <= queue->internal->rules->offered_to)
        return false;
    vec_push(&x->early, *e);
    return true;
}

static void take_batch(struct queue *queue, struct queue_expiry *x)
{
    enum { BATCH_MAX = sizeof x->batch / sizeof *x->batch };
    x->batch_at = 0;
    x->batch_count = due_index_take(&x->index, queue->internal->core->wall_ms, x->batch, BATCH_MAX);
}

/* OK: all that is due has been looked at, or the turn is over. */
static enum err expire_due(struct queue *queue, struct queue_expiry *x)
{
    struct core_internal *in = queue->internal->core->internal;
    enum err err = OK;
    for (int looks = 0; looks < LOOKS && in->deliveries_left > 0 && !err; looks++) {
        if (x->batch_at == x->batch_count)
            take_batch(queue, x);
        if (x->batch_count == 0)
            return OK;
        struct due_entry *e = &x->batch[x->batch_at];
        if (is_early(queue, x, e)) {
            x->batch_at++;
            continue;
        }
        err = expire_one(queue, x, e->from);
        if (err)
            break;
        e->from++;
        e->count--;
        x->batch_at += e->count == 0;
    }
    return err;
}

/* What was early is due again once it was offered. */
static void offer_early(struct queue *queue, struct queue_expiry *x)
{
    due_list early = x->early;
    if (early.count == 0)
        return;
    x->early = (due_list){0};
    for (size_t i = 0; i < early.count; i++) {
        struct due_entry e = early.items[i];
        if (is_early(queue, x, &e))
            continue;
        for (uint64_t k = 0; k < e.count; k++)
            due_index_again(&x->index, e.from + (int64_t)k, queue->internal->core->wall_ms);
    }
    vec_reset(&early);
}

/* ---- scanning the log ---- */

static void look_at(struct queue *queue, struct queue_expiry *x, const struct record *record)
{
    struct message m;
    if (subscription_is_done(queue->subscription, record->offset) ||
        message_from_record(record->key, record->value, &m) != OK)
        return;
    int64_t due_ms = queue_message_own_due(queue, record->timestamp, &m);
    if (due_ms < INT64_MAX)
        due_index_found(&x->index, record->offset, due_ms);
}

/* Read some of [from, to). E_COLD: later. */
static enum err scan_some(struct queue *queue, struct queue_expiry *x, int64_t from, int64_t to)
{
    struct record record;
    while (from < to && subscription_is_done(queue->subscription, from))
        from++;
    enum err err =
        from == to ? E_NOT_FOUND : feed_at(feed_for(queue, &x->scan_feed), from, to, &record);
    if (!err)
        look_at(queue, x, &record);
    else if (err == E_NOT_FOUND)
        record.offset = to - 1;
    else if (err == E_CORRUPT)
        record.offset = (record.offset < to ? record.offset : to) - 1;
    else
        return err;
    due_index_scanned(&x->index, record.offset + 1);
    return OK;
}

static enum err scan(struct queue *queue, struct queue_expiry *x)
{
    const struct subscription *s = queue->subscription;
    int64_t from, to;
    for (int looks = 0; looks < LOOKS; looks++) {
        if (!due_index_scan(&x->index, queue->internal->core->wall_ms, s->floor, queue->log->end,
                            &from, &to)) {
            feed_free(x->scan_feed);
            x->scan_feed = NULL;
            return OK;
        }
        to = to < s->visible ? to : s->visible;
        if (from >= to)
            return E_COLD; /* when it is committed */
        enum err err = scan_some(queue, x, from, to);
        if (err)
            return err;
    }
    queue_run_later(queue); /* the next turn goes on */
    return OK;
}

/* ---- the turn ---- */

static void rest(struct queue_expiry *x)
{
    if (x->scan_feed)
        feed_rest(x->scan_feed);
    if (!x->feed)
        return;
    feed_rest(x->feed);
    if (feed_is_idle(x->feed) && x->batch_at == x->batch_count) {
        feed_free(x->feed);
        x->feed = NULL;
    }
}

static void wake_again(struct queue *queue, struct queue_expiry *x, enum err err)
{
    struct core *core = queue->internal->core;
    int64_t next_ms = due_index_next(&x->index, core->wall_ms);
    bool is_error = err && err != E_COLD;
    if (!err && (x->batch_at < x->batch_count || next_ms <= core->wall_ms))
        queue_run_later(queue);
    else if (is_error)
        timer_start(&core->timers, &x->timer, core->now_ns + RETRY_MS * INT64_C(1000000));
    else if (next_ms < INT64_MAX && next_ms > core->wall_ms)
        timer_start(&core->timers, &x->timer, core_timer_ns(core, next_ms));
}

void queue_expire(struct queue *queue)
{
    struct queue_expiry *x = queue->internal->rules->expiry;
    const struct subscription *s = queue->subscription;
    if (!x)
        return;
    if (s->floor == queue->log->end && !x->index.is_scanning) { /* there is nothing */
        due_index_reset(&x->index);
        vec_reset(&x->early);
        offset_set_reset(&x->late);
        x->batch_at = x->batch_count = 0;
    }
    offset_set_remove_range(&x->late, 0, s->floor);
    offer_early(queue, x);
    enum err err = expire_due(queue, x);
    enum err scan_err = scan(queue, x);
    rest(x);
    due_index_check(&x->index);
    wake_again(queue, x, err ? err : scan_err);
}
