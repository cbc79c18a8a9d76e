/* The eventfd behind a waker, and its three states. */
#include "io/waker.h"

#include "io/io_internal.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { AWAKE, ASLEEP, NOTIFIED };

enum err waker_init(struct waker *w)
{
    atomic_init(&w->state, AWAKE);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->fd < 0 ? io_error("eventfd") : OK;
}

void waker_reset(struct waker *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

void waker_wake(struct waker *w)
{
    if (atomic_exchange(&w->state, NOTIFIED) != ASLEEP)
        return;
    int saved = errno; /* a signal handler must not change it */
    uint64_t one = 1;
    /* It fails only when the counter is full: then the edge has long been given. */
    ssize_t n = write(w->fd, &one, sizeof one);
    (void)n;
    errno = saved;
}

bool waker_sleep(struct waker *w)
{
    int awake = AWAKE;
    return atomic_compare_exchange_strong(&w->state, &awake, ASLEEP);
}

void waker_awake(struct waker *w)
{
    atomic_exchange(&w->state, AWAKE);
}
