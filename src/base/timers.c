#include "base/timers.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { TIMERS_CAPACITY_MIN = 16 };

static void timers_place(struct timers *t, size_t slot, struct timer *timer)
{
    t->heap[slot] = timer;
    timer->slot = slot;
}

/* Put `timer` at the free `slot`, or where it belongs above or below it. */
static void timers_sift(struct timers *t, size_t slot, struct timer *timer)
{
    while (slot > 1 && timer->due_ns < t->heap[slot / 2]->due_ns) {
        timers_place(t, slot, t->heap[slot / 2]);
        slot /= 2;
    }
    for (size_t child; (child = slot * 2) <= t->count; slot = child) {
        if (child < t->count && t->heap[child + 1]->due_ns < t->heap[child]->due_ns)
            child++;
        if (timer->due_ns <= t->heap[child]->due_ns)
            break;
        timers_place(t, slot, t->heap[child]);
    }
    timers_place(t, slot, timer);
}

void timers_reset(struct timers *t)
{
    for (size_t i = 1; i <= t->count; i++)
        t->heap[i]->slot = 0;
    free(t->heap);
    *t = (struct timers){0};
}

void timer_start(struct timers *t, struct timer *timer, int64_t due_ns)
{
    check(timer->fire);
    if (timer->slot == 0) {
        if (t->count + 2 > t->capacity) {
            t->capacity = t->capacity ? t->capacity * 2 : TIMERS_CAPACITY_MIN;
            t->heap = xrealloc(t->heap, t->capacity * sizeof(struct timer *));
        }
        t->heap[++t->count] = timer;
        timer->slot = t->count;
    }
    check(timer->slot <= t->count);
    check(t->heap[timer->slot] == timer);
    timer->due_ns = due_ns;
    timers_sift(t, timer->slot, timer);
}

void timer_stop(struct timers *t, struct timer *timer)
{
    size_t slot = timer->slot;

    if (slot == 0)
        return;
    check(slot <= t->count);
    check(t->heap[slot] == timer);
    struct timer *last = t->heap[t->count--];
    timer->slot = 0;
    if (last != timer)
        timers_sift(t, slot, last);
}

size_t timers_run(struct timers *t, int64_t now_ns, size_t limit)
{
    size_t fired = 0;

    while (fired < limit && t->count && t->heap[1]->due_ns <= now_ns) {
        struct timer *timer = t->heap[1];
        timer_stop(t, timer);
        timer->fire(timer, now_ns); /* may free the timer */
        fired++;
    }
    return fired;
}

int64_t timers_next(const struct timers *t)
{
    return t->count ? t->heap[1]->due_ns : INT64_MAX;
}
