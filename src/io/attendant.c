#include "io/attendant.h"

#include "base/mem.h"
#include "io/clock.h"
#include "io/io_internal.h"
#include "io/thread.h"

#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct attendant {
    pthread_t thread;
    int wake_fd; /* an eventfd */
    atomic_bool is_stopping;
    struct attendant_wait first;
    struct attendant_wait (*attend)(void *ctx, int64_t now_ns);
    void *ctx;
};

/* Rounded up, so that it is not too early; -1: for ever. */
static int timeout_ms(int64_t until_ns, int64_t now_ns)
{
    if (until_ns == INT64_MAX)
        return -1;
    int64_t ms = until_ns > now_ns ? (until_ns - now_ns - 1) / 1000000 + 1 : 0;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* False: it is to stop. */
static bool sleep_for(const struct attendant *a, const struct attendant_wait *wait)
{
    struct pollfd fds[2] = {{.fd = wait->fd, .events = POLLIN},
                            {.fd = a->wake_fd, .events = POLLIN}};
    uint64_t count;

    poll(fds, 2, timeout_ms(wait->until_ns, clock_now_ns()));
    if (fds[1].revents)
        (void)!read(a->wake_fd, &count, sizeof count); /* does not block: there is something */
    return !atomic_load(&a->is_stopping);
}

static void *attend_until_stopped(void *ctx)
{
    struct attendant *a = ctx;
    struct attendant_wait wait = a->first;

    while (wait.fd >= 0 && sleep_for(a, &wait))
        wait = a->attend(a->ctx, clock_now_ns());
    return NULL;
}

enum err attendant_new(struct attendant_wait first,
                       struct attendant_wait (*attend)(void *ctx, int64_t now_ns), void *ctx,
                       struct attendant **out)
{
    struct attendant *a = xzalloc(sizeof *a);

    a->first = first;
    a->attend = attend;
    a->ctx = ctx;
    a->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (a->wake_fd < 0) {
        free(a);
        return io_error("eventfd");
    }
    thread_start(&a->thread, "attendant", attend_until_stopped, a);
    *out = a;
    return OK;
}

void attendant_wake(struct attendant *a)
{
    uint64_t one = 1;

    if (a)
        (void)!write(a->wake_fd, &one, sizeof one); /* never full */
}

void attendant_free(struct attendant *a)
{
    if (!a)
        return;
    atomic_store(&a->is_stopping, true);
    attendant_wake(a);
    pthread_join(a->thread, NULL);
    close(a->wake_fd);
    free(a);
}
