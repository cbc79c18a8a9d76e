#include "broker/queue_rules.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "broker/delays.h"
#include "broker/mutant.h"
#include "broker/packer.h"
#include "broker/queue_expiry.h"
#include "broker/queue_internal.h"
#include "broker/queue_retries.h"

enum { RETRY_MS = 100 };

static void head_is_due(struct timer *timer, int64_t now_ns);
static void is_unused(struct timer *timer, int64_t now_ns);
static void run_moves(struct deferred *work);
static void retry_moves(struct timer *timer, int64_t now_ns);

static void read_settings(struct queue *queue, struct queue_settings *out)
{
    const char *argument;
    enum err err = queue_settings_read(queue->arguments, out, &argument);
    check(!err); /* of a queue that was declared by a release which checked less: see catalog */
    queue_settings_apply(out, queue->arguments, &queue->internal->policies);
}

struct queue_rules *queue_rules_need(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    if (in->rules)
        return in->rules;
    struct queue_rules *r = in->rules = xzalloc(sizeof *r);
    r->queue = queue;
    read_settings(queue, &r->settings);
    r->may_expire = r->settings.message_ttl_ms >= 0;
    r->fresh_from = INT64_MAX;
    r->head_timer.fire = head_is_due;
    r->unused_timer.fire = is_unused;
    r->retry_timer.fire = retry_moves;
    r->run_moves.run = run_moves;
    list_init(&r->standby);
    if (r->settings.max_priority > 0)
        r->priorities = queue_priorities_new((uint8_t)r->settings.max_priority);
    return r;
}

static bool has_policy(const struct queue *queue)
{
    const struct policy_pair *policies = &queue->internal->policies;
    return policies->of[POLICY_USER] || policies->of[POLICY_OPERATOR];
}

void queue_rules_init(struct queue *queue)
{
    if (queue->arguments.size > 0 || has_policy(queue))
        queue_rules_need(queue);
}

/* The bytes of what is there are learnt as after a start; what comes is counted when it comes. */
static void count_bytes_from_now(struct queue *queue, struct queue_rules *r)
{
    queue_sizes_reset(&r->sizes);
    r->learn_at = queue->subscription->floor;
    r->learn_end = queue->log->end;
}

static void stop_counting_bytes(struct queue_rules *r)
{
    queue_sizes_reset(&r->sizes);
    if (!r->priorities)
        r->learn_at = r->learn_end = 0;
}

static void change_settings(struct queue *queue, struct queue_rules *r)
{
    bool counted = queue_counts_bytes(r);
    int64_t expires_ms = r->settings.expires_ms;
    read_settings(queue, &r->settings);
    r->may_expire = r->may_expire || r->settings.message_ttl_ms >= 0;
    if (counted && !queue_counts_bytes(r))
        stop_counting_bytes(r);
    if (!counted && queue_counts_bytes(r))
        count_bytes_from_now(queue, r);
    if (r->settings.expires_ms == expires_ms)
        return;
    timer_stop(&queue->internal->core->timers, &r->unused_timer);
    if (queue->consumer_count == 0)
        queue_used(queue);
}

void queue_rules_changed(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    if (queue->deleted)
        return;
    if (!in->rules && !has_policy(queue))
        return;
    if (!queue->log) { /* not attached yet: nothing is there to be changed */
        queue_rules_free(in->rules);
        in->rules = NULL;
        queue_rules_init(queue);
        return;
    }
    if (!in->rules) {
        struct queue_rules *r = queue_rules_need(queue);
        if (queue_counts_bytes(r))
            count_bytes_from_now(queue, r);
    } else {
        change_settings(queue, in->rules);
    }
    queue_run_later(queue);
}

void queue_rules_free(struct queue_rules *r)
{
    if (!r)
        return;
    struct core *core = r->queue->internal->core;
    list_remove(&r->starting);
    timer_stop(&core->timers, &r->head_timer);
    timer_stop(&core->timers, &r->unused_timer);
    timer_stop(&core->timers, &r->retry_timer);
    core_defer_cancel(&r->run_moves);
    feed_free(r->feed);
    queue_expiry_free(r->expiry);
    queue_retries_free(r->retries);
    queue_priorities_free(r->priorities);
    queue_sizes_reset(&r->sizes);
    vec_reset(&r->moves);
    idmap_reset(&r->moving);
    free(r);
}

static int64_t after_ms(const struct core *core, int64_t ms)
{
    return core->now_ns + ms * 1000000;
}

/* ---- expiry and length ---- */

int64_t queue_message_own_due(const struct queue *queue, int64_t arrival_ms,
                              const struct message *m)
{
    int64_t own_ms = message_ttl_ms(m);
    if (queue->internal->delays_of)
        own_ms = delays_of_message(m);
    return own_ms < 0 || own_ms > INT64_MAX - arrival_ms ? INT64_MAX : arrival_ms + own_ms;
}

int64_t queue_message_due(const struct queue *queue, int64_t arrival_ms, const struct message *m)
{
    const struct queue_rules *r = queue->internal->rules;
    int64_t own_ms = queue_message_own_due(queue, arrival_ms, m), of_queue_ms = INT64_MAX;
    if (r && r->settings.message_ttl_ms >= 0)
        of_queue_ms = arrival_ms + r->settings.message_ttl_ms;
    return own_ms < of_queue_ms ? own_ms : of_queue_ms;
}

static bool has_dead_letters(const struct queue_rules *r)
{
    return r->settings.dead_letter_exchange.data;
}

static void end_move(struct queue *queue, int64_t offset, uint32_t number)
{
    if (queue->internal->rules)
        idmap_remove(&queue->internal->rules->moving, (uint64_t)offset);
    queue_finish(queue, offset, number);
}

/* Its bytes are among the ready ones; otherwise they will be learned, if it is still there then. */
static bool is_counted(const struct queue_rules *r, int64_t offset)
{
    if (!queue_counts_bytes(r))
        return false;
    return offset < r->learn_at || offset >= r->learn_end || BROKER_MUTANT == MUTANT_TAKE_UNKNOWN;
}

enum err queue_drop(struct queue *queue, const struct delivery *d, enum death reason)
{
    const struct queue_rules *r = queue->internal->rules;
    struct subscription *s = queue->subscription;
    enum err err = OK;
    if (queue->internal->delays_of)
        err = delays_release(queue->internal->delays_of, &d->message);
    else if (has_dead_letters(r))
        err = dead_letter(queue, &d->message, reason);
    if (err)
        return err;
    subscription_settle_ready(s, d->offset, d->offset + 1);
    if (is_counted(r, d->offset))
        queue->internal->rules->sizes.ready_bytes -= (int64_t)d->message.body.size;
    queue_changed(queue);
    return OK;
}

bool queue_reads_what_expires(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    return queue->internal->delays_of || has_dead_letters(r) || queue_counts_bytes(r);
}

static bool is_too_long(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    const struct queue_settings *settings = &r->settings;
    if (settings->overflow != OVERFLOW_DROP_HEAD)
        return false;
    return (settings->max_length >= 0 &&
            queue_ready_count(queue) > (uint64_t)settings->max_length) ||
           (settings->max_length_bytes >= 0 && r->sizes.ready_bytes > settings->max_length_bytes);
}

static bool has_limit(const struct queue_rules *r)
{
    return r->settings.max_length >= 0 || r->settings.max_length_bytes >= 0;
}

bool queue_trims(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    return r && (r->may_expire || has_limit(r));
}

bool queue_is_full(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    if (!r || !has_limit(r) || r->settings.overflow == OVERFLOW_DROP_HEAD)
        return false;
    const struct queue_settings *settings = &r->settings;
    uint64_t count = queue_ready_count(queue) + queue_coming_count(queue);
    int64_t bytes = r->sizes.ready_bytes + r->sizes.coming_bytes + packer_open_bytes(queue);
    return (settings->max_length >= 0 && count >= (uint64_t)settings->max_length) ||
           (settings->max_length_bytes >= 0 && bytes >= settings->max_length_bytes);
}

void queue_refuse(struct queue *queue, const struct message *m)
{
    const struct queue_rules *r = queue->internal->rules;
    if (r->settings.overflow == OVERFLOW_REJECT_DLX && has_dead_letters(r) &&
        dead_letter(queue, m, DEATH_MAXLEN))
        say_warn("queue", "a dead letter cannot be stored: %s queue=%.*s", err_text(),
                 BYTES_FORMAT(queue->name));
}

/* It could not be stored elsewhere now. */
static void try_again_later(struct queue *queue)
{
    struct queue_rules *r = queue->internal->rules;
    struct core *core = queue->internal->core;
    timer_start(&core->timers, &r->head_timer, after_ms(core, RETRY_MS));
}

static bool drop(struct queue *queue, const struct delivery *d, enum death reason)
{
    if (queue_drop(queue, d, reason) == OK)
        return true;
    try_again_later(queue);
    return false;
}

/* The oldest message is due first by the queue's own time to live. */
static bool expire_oldest(struct queue *queue)
{
    struct queue_rules *r = queue->internal->rules;
    struct core *core = queue->internal->core;
    struct delivery d;
    if (r->settings.message_ttl_ms < 0 ||
        queue_oldest_message(queue, &d)) /* or it is being read, and wakes us */
        return false;
    if (d.due_ms <= core->wall_ms)
        return drop(queue, &d, DEATH_EXPIRED);
    if (d.due_ms < INT64_MAX)
        timer_start(&core->timers, &r->head_timer, core_timer_ns(core, d.due_ms));
    return false;
}

static bool shorten(struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    struct delivery d;
    if (!is_too_long(queue) && r->learn_at == r->learn_end)
        return false;
    if (queue_next_message(queue, &d) || !is_too_long(queue))
        return false;
    return drop(queue, &d, DEATH_MAXLEN);
}

/* One step; false: nothing more to do now. */
static bool trim_head(struct queue *queue)
{
    return expire_oldest(queue) || shorten(queue);
}

void queue_trim(struct queue *queue)
{
    struct core_internal *in = queue->internal->core->internal;
    struct queue_rules *r = queue->internal->rules;
    if (r && !timer_is_running(&r->unused_timer) && queue->consumer_count == 0)
        queue_used(queue); /* the first look after a start */
    if (!queue_trims(queue))
        return;
    r->fresh_from = INT64_MAX;
    r->offered_to = queue->subscription->visible;
    bool more = true;
    while (in->deliveries_left > 0 && (more = trim_head(queue)))
        in->deliveries_left--;
    queue_expire(queue);
    if (more)
        queue_run_later(queue); /* the next turn goes on */
}

static void head_is_due(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    queue_run_later(container_of(timer, struct queue_rules, head_timer)->queue);
}

/* ---- unused queues ---- */

void queue_used(struct queue *queue)
{
    struct queue_rules *r = queue->internal->rules;
    struct core *core = queue->internal->core;
    if (r && r->settings.expires_ms > 0 && !queue->deleted)
        timer_start(&core->timers, &r->unused_timer, after_ms(core, r->settings.expires_ms));
}

static void is_unused(struct timer *timer, int64_t now_ns)
{
    struct queue *queue = container_of(timer, struct queue_rules, unused_timer)->queue;
    (void)now_ns;
    if (queue->consumer_count == 0)
        queue_delete(queue);
}

/* ---- moves ---- */

size_t queue_moving_count(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    return r ? r->moving.count : 0;
}

void queue_move_later(struct queue *queue, int64_t offset, uint32_t number, enum death reason)
{
    struct queue_rules *r = queue->internal->rules;
    if (idmap_get(&r->moving, (uint64_t)offset))
        return;
    idmap_put(&r->moving, (uint64_t)offset, r);
    vec_push(&r->moves, ((struct move){offset, number, reason}));
    if (BROKER_MUTANT == MUTANT_SETTLE_FIRST)
        queue_settle(queue, offset, number);
    core_defer(queue->internal->core, &r->run_moves);
}

static void moves_arrived(void *ctx)
{
    struct queue *queue = ctx;
    core_defer(queue->internal->core, &queue->internal->rules->run_moves);
}

/* Read the record, publish it, settle it. OK: done with it. */
static enum err move(struct queue *queue, const struct move *move)
{
    struct queue_rules *r = queue->internal->rules;
    struct record record;
    struct message m;
    if (!r->feed)
        r->feed =
            feed_new(queue->internal->core->internal->feeds, queue->log, moves_arrived, queue);
    enum err err = feed_at(r->feed, move->offset, move->offset + 1, &record);
    bool is_lost = err == E_CORRUPT || err == E_NOT_FOUND ||
                   (!err && message_from_record(record.key, record.value, &m) != OK);
    if (is_lost)
        metrics_add(METRIC_records_undecodable, 1);
    else if (!err)
        err = dead_letter(queue, &m, move->reason);
    if (err && !is_lost)
        return err;
    end_move(queue, move->offset, move->number);
    return OK;
}

static void run_moves(struct deferred *work)
{
    struct queue_rules *r = container_of(work, struct queue_rules, run_moves);
    struct queue *queue = r->queue;
    struct core *core = queue->internal->core;
    enum err err = OK;
    while (!err && r->moved < r->moves.count && core->internal->deliveries_left > 0) {
        core->internal->deliveries_left--;
        err = move(queue, &r->moves.items[r->moved]);
        if (!err)
            r->moved++;
    }
    if (r->feed)
        feed_rest(r->feed);
    if (r->moved == r->moves.count) {
        vec_reset(&r->moves);
        r->moved = 0;
        feed_free(r->feed);
        r->feed = NULL;
        queue_wake_getters(queue);
    } else if (!err) {
        core_defer(core, &r->run_moves); /* the next turn goes on */
    } else if (err != E_COLD) {
        timer_start(&core->timers, &r->retry_timer, after_ms(core, RETRY_MS));
        queue_wake_getters(queue); /* who waits for moves may want to know why */
    }
}

static void retry_moves(struct timer *timer, int64_t now_ns)
{
    struct queue_rules *r = container_of(timer, struct queue_rules, retry_timer);
    (void)now_ns;
    core_defer(r->queue->internal->core, &r->run_moves);
}
