/*
 * Waking a thread that sleeps in epoll, without a system call while it is busy.
 *
 *            waker_sleep()             waker_wake()
 *   AWAKE ------------------> ASLEEP ---------------> NOTIFIED   (and one write to the eventfd)
 *     |                                                  |
 *     +---- waker_wake() --> NOTIFIED (no write)         |
 *     ^                                                  |
 *     +----------------- waker_awake() ------------------+
 *
 * Who has something for the thread publishes it first and calls waker_wake() then. The thread calls
 * waker_awake() before it looks for work, so what is published after its look leaves the state
 * NOTIFIED, and the next waker_sleep() refuses. No wake-up is lost, and a busy thread is notified
 * by one atomic exchange.
 */
#ifndef IO_WAKER_H
#define IO_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"

struct waker {
    int fd; /* watch it edge-triggered: it is never read */
    atomic_int state;
};

must_use enum err waker_init(struct waker *w);
void waker_reset(struct waker *w);

/* From any thread and from signal handlers. */
void waker_wake(struct waker *w);
/* False: something was published since waker_awake(); do not sleep. */
bool waker_sleep(struct waker *w);
void waker_awake(struct waker *w);

#endif
