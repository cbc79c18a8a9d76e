/*
 * Timers of one thread: a binary heap of embedded nodes ordered by due time. Pure: time is an
 * argument. A timer fires once; its function may start it again. Starting a running timer moves it.
 */
#ifndef BASE_TIMERS_H
#define BASE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t due_ns;
    size_t slot; /* 0: not running; otherwise its place in the heap */
    void (*fire)(struct timer *timer, int64_t now_ns);
};

struct timers {
    struct timer **heap; /* heap[0] unused */
    size_t count;
    size_t capacity;
};

void timers_reset(struct timers *t);
/* `timer->fire` must be set. */
void timer_start(struct timers *t, struct timer *timer, int64_t due_ns);
void timer_stop(struct timers *t, struct timer *timer);
static inline bool timer_is_running(const struct timer *timer)
{
    return timer->slot != 0;
}
/* Fire what is due at `now_ns`, at most `limit` of them; returns how many fired. */
size_t timers_run(struct timers *t, int64_t now_ns, size_t limit);
/* When the next is due, or INT64_MAX. */
int64_t timers_next(const struct timers *t);

#endif
