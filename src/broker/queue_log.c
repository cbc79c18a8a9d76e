/*
 * Logging what changes in queues' subscriptions: one control batch for each queue and commit. Nobody
 * waits for a settle, so it is worth no commit of its own: it is logged with the next one of
 * anybody, or after SETTLE_DELAY_MS; a delivered-up-to mark alone after MARK_DELAY_MS. Queues in
 * memory log nothing, but free what is settled at the same point.
 */
#include "base/check.h"
#include "base/say.h"
#include "broker/mutant.h"
#include "broker/queue_internal.h"

static void settle_timer_fired(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    container_of(timer, struct core_internal, settle_timer)->settles_due = true;
}

static void mark_timer_fired(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    container_of(timer, struct core_internal, mark_timer)->marks_due = true;
}

void queue_logging_init(struct core *core)
{
    list_init(&core->internal->unlogged);
    list_init(&core->internal->unmarked);
    core->internal->settle_timer.fire = settle_timer_fired;
    core->internal->mark_timer.fire = mark_timer_fired;
}

static void start_delay(struct core *core, struct timer *timer, int64_t delay_ms)
{
    if (!timer_is_running(timer))
        timer_start(&core->timers, timer, core->now_ns + delay_ms * 1000000);
}

void queue_changed(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    if (list_is_linked(&in->unlogged) && !in->unmarked)
        return;
    list_remove(&in->unlogged);
    in->unmarked = false;
    list_push_back(&in->core->internal->unlogged, &in->unlogged);
    start_delay(in->core, &in->core->internal->settle_timer, SETTLE_DELAY_MS);
}

void queue_marked(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    struct core *core = in->core;
    if (list_is_linked(&in->unlogged) || !subscription_mark_is_behind(queue->subscription))
        return;
    in->unmarked = true;
    list_push_back(&core->internal->unmarked, &in->unlogged);
    start_delay(core, &core->internal->mark_timer, MARK_DELAY_MS);
}

void queue_unlog(struct queue *queue)
{
    list_remove(&queue->internal->unlogged);
}

static void append_changes(struct queue *queue, struct ticket *out)
{
    struct subscription *s = queue->subscription;
    struct core *core = queue->internal->core;
    struct core_internal *in = core->internal;
    subscription_put_changes(s, &in->builder, &in->scratch, core->wall_ms);
    struct bytes batch = batch_builder_end(&in->builder);
    int64_t offset = queue->log->end;
    enum err err = log_append(queue->log, batch, out);
    if (err) { /* frozen: nothing is ever logged again, so nothing is gathered either */
        *out = log_next_ticket(queue->log); /* which is never done */
        say_error("queue", "settles cannot be stored: %s queue=%.*s", err_text(),
                  BYTES_FORMAT(queue->name));
    } else {
        subscription_hole(s, offset, offset + 1);
        in->committing = true;
    }
    subscription_changes_logged(s);
}

void queue_log_now(struct queue *queue, struct ticket *out)
{
    struct subscription *s = queue->subscription;
    *out = log_last_ticket(queue->log);
    if (BROKER_MUTANT == MUTANT_FORGET_SETTLES)
        subscription_changes_logged(s);
    if (s->keeps_log && (subscription_has_changes(s) || subscription_mark_is_behind(s)))
        append_changes(queue, out);
    queue_unlog(queue);
    if (s->floor > queue->log->start)
        log_trim(queue->log, s->floor, NULL);
}

void queue_log_changes(struct queue *queue, struct ticket *out)
{
    *out = (struct ticket){0};
    if (!queue->deleted)
        queue_log_now(queue, out);
}

static void log_list(struct list *queues)
{
    struct list *node;
    while ((node = list_pop_front(queues))) {
        struct ticket ignored;
        queue_log_now(container_of(node, struct queue_internal, unlogged)->self, &ignored);
    }
}

void queue_log_all(struct core *core)
{
    core->internal->settles_due = core->internal->marks_due = true;
    queue_log_due(core);
}

void queue_log_due(struct core *core)
{
    struct core_internal *in = core->internal;
    if ((in->committing && BROKER_MUTANT != MUTANT_SETTLE_LATER) || in->settles_due)
        log_list(&in->unlogged);
    if (in->committing || in->marks_due)
        log_list(&in->unmarked);
    in->settles_due = in->marks_due = false;
}
