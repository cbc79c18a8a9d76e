#include "io/doorbell.h"

#include "base/mem.h"
#include "io/io_internal.h"
#include "io/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct doorbell {
    pthread_t thread;
    int fd, stop_fd;
    void (*rung)(void *ctx);
    void *ctx;
};

static void *listen_for_it(void *ctx)
{
    struct doorbell *d = ctx;
    struct pollfd fds[2] = {{.fd = d->fd, .events = POLLIN}, {.fd = d->stop_fd, .events = POLLIN}};

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    if (fds[0].revents && !fds[1].revents)
        d->rung(d->ctx);
    return NULL;
}

enum err doorbell_new(int fd, void (*rung)(void *ctx), void *ctx, struct doorbell **out)
{
    struct doorbell *d = xzalloc(sizeof *d);

    *d = (struct doorbell){.fd = fd, .rung = rung, .ctx = ctx};
    d->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (d->stop_fd < 0) {
        free(d);
        return io_error("eventfd");
    }
    thread_start(&d->thread, "doorbell", listen_for_it, d);
    *out = d;
    return OK;
}

void doorbell_free(struct doorbell *d)
{
    if (!d)
        return;
    uint64_t one = 1;
    ssize_t written = write(d->stop_fd, &one, sizeof one); /* never full */
    (void)written;
    pthread_join(d->thread, NULL);
    close(d->stop_fd);
    free(d);
}
