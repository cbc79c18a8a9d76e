#include "broker/queue_retries.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/queue_rules.h"

static void are_due(struct timer *timer, int64_t now_ns);

static struct queue_retries *retries_of(struct queue *queue)
{
    struct queue_rules *r = queue->internal->rules;
    if (!r->retries) {
        r->retries = xzalloc(sizeof *r->retries);
        r->retries->queue = queue;
        r->retries->timer.fire = are_due;
        due_index_init(&r->retries->index, &queue->internal->core->internal->due);
    }
    return r->retries;
}

void queue_retries_free(struct queue_retries *x)
{
    if (!x)
        return;
    timer_stop(&x->queue->internal->core->timers, &x->timer);
    due_index_reset(&x->index);
    idmap_reset(&x->numbers);
    free(x);
}

size_t queue_retries_count(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    return r && r->retries ? r->retries->numbers.count : 0;
}

static bool is_delayed(const struct queue_settings *s, bool failed)
{
    switch (s->retry_type) {
    case RETRY_AT_ONCE: return false;
    case RETRY_ALL_LATER: return true;
    case RETRY_FAILED_LATER: return failed;
    case RETRY_RETURNED_LATER: return !failed;
    }
    return false;
}

static int64_t delay_of(const struct queue_settings *s, uint32_t number)
{
    int64_t most_ms = s->retry_max_ms > 0 ? s->retry_max_ms : s->retry_min_ms;
    return s->retry_min_ms < most_ms / (int64_t)number ? s->retry_min_ms * (int64_t)number
                                                       : most_ms;
}

static void start_timer(struct queue_retries *x)
{
    struct core *core = x->queue->internal->core;
    int64_t next_ms = due_index_next(&x->index, core->wall_ms);
    if (next_ms < INT64_MAX)
        timer_start(&core->timers, &x->timer, core_timer_ns(core, next_ms));
}

bool queue_retry_later(struct queue *queue, int64_t offset, uint32_t number, bool failed)
{
    const struct queue_rules *r = queue->internal->rules;
    if (!r || r->settings.retry_min_ms <= 0 || !is_delayed(&r->settings, failed) ||
        !subscription_is_taken(queue->subscription, offset, number))
        return false;
    struct queue_retries *x = retries_of(queue);
    if (idmap_get(&x->numbers, (uint64_t)offset))
        return true;
    idmap_put(&x->numbers, (uint64_t)offset, (void *)(uintptr_t)number);
    due_index_again(&x->index, offset,
                    queue->internal->core->wall_ms + delay_of(&r->settings, number));
    start_timer(x);
    return true;
}

static void are_due(struct timer *timer, int64_t now_ns)
{
    enum { AT_ONCE = 64 };
    struct queue_retries *x = container_of(timer, struct queue_retries, timer);
    struct due_entry entries[AT_ONCE];
    (void)now_ns;
    size_t count = due_index_take(&x->index, x->queue->internal->core->wall_ms, entries, AT_ONCE);
    for (size_t i = 0; i < count; i++) {
        for (int64_t offset = entries[i].from; entries[i].count > 0; offset++, entries[i].count--) {
            void *number = idmap_remove(&x->numbers, (uint64_t)offset);
            queue_return_now(x->queue, offset, (uint32_t)(uintptr_t)number);
        }
    }
    start_timer(x);
}
