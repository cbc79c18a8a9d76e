#include "io/uring.h"

#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "io/io_internal.h"

enum { ENTRIES = 8 };

struct uring {
    struct io_uring ring;
    unsigned under_way;
    bool broken; /* the system would not take a write: no further one is given to it */
};

struct uring *uring_new(void)
{
    /* The core makes system calls all the time, which see what has ended: it need not be interrupted. */
    struct io_uring_params p = {.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                                         IORING_SETUP_SINGLE_ISSUER};
    struct uring *u = xzalloc(sizeof *u);
    if (io_uring_queue_init_params(ENTRIES, &u->ring, &p) == 0)
        return u;
    free(u);
    return NULL;
}

void uring_free(struct uring *u)
{
    if (!u)
        return;
    io_uring_queue_exit(&u->ring);
    free(u);
}

int uring_descriptor(const struct uring *u)
{
    return u->ring.ring_fd;
}

bool uring_write(struct uring *u, struct write_job *w)
{
    int fd = disk_real_direct_descriptor(w->file);
    if (fd < 0 || u->broken || u->under_way == ENTRIES || w->count > IOV_MAX)
        return false;
    struct io_uring_sqe *entry = io_uring_get_sqe(&u->ring);
    io_uring_prep_writev2(entry, fd, w->parts, (unsigned)w->count, w->position, RWF_DSYNC);
    io_uring_sqe_set_data(entry, w);
    if (io_uring_submit(&u->ring) != 1) {
        u->broken = true; /* the entry stays, and must never be taken */
        return false;
    }
    u->under_way++;
    return true;
}

static size_t size_of(const struct write_job *w)
{
    size_t size = 0;
    for (int i = 0; i < w->count; i++)
        size += w->parts[i].iov_len;
    return size;
}

/* Nothing is wrong with the disk: the write is only not for io_uring, or was interrupted. */
static bool is_only_refused(int result)
{
    return result >= 0 || result == -EINTR || result == -EAGAIN || result == -EINVAL ||
           result == -EOPNOTSUPP;
}

static void end(struct write_job *w, int result)
{
    metrics_add(METRIC_syncs, 1);
    if (result < 0) {
        errno = -result;
        w->err = io_error("io_uring write");
        snprintf(w->error, sizeof w->error, "%s", err_text());
        disk_real_sync_failed(w->file);
    }
    w->job.done(&w->job);
}

bool uring_poll(struct uring *u, void (*again)(void *ctx, struct write_job *), void *ctx)
{
    bool any = false;
    struct io_uring_cqe *ended;
    while (u->under_way > 0 && io_uring_peek_cqe(&u->ring, &ended) == 0) {
        struct write_job *w = io_uring_cqe_get_data(ended);
        int result = ended->res;
        io_uring_cqe_seen(&u->ring, ended);
        u->under_way--;
        any = true;
        if (is_only_refused(result) && (size_t)result != size_of(w))
            again(ctx, w);
        else
            end(w, result);
    }
    return any;
}

void uring_wait(struct uring *u)
{
    struct io_uring_cqe *ended;
    while (u->under_way > 0 && io_uring_wait_cqe(&u->ring, &ended) == -EINTR)
        continue;
}
