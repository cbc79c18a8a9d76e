/*
 * Jobs on threads: one for each lane.
 *
 * The core puts a job on the lane's stack and posts its semaphore; the thread takes the whole stack in
 * one exchange, and puts each job that has ended on another one, which the core empties likewise.
 * With the thread busy, neither side makes a system call; with the thread asleep, one wakes it.
 */
#include "io/jobs.h"

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "io/thread.h"
#include "io/uring.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct worker {
    struct real_jobs *owner;
    pthread_t thread;
    bool started; /* the core's */
    atomic_bool stop;
    sem_t work;                                 /* posted for each job, and to stop */
    _Alignas(64) _Atomic(struct job *) waiting; /* newest first */
    _Alignas(64) _Atomic(struct job *) ended;   /* newest first */
};

struct real_jobs {
    struct jobs jobs;
    void (*wake)(void *ctx);
    void *wake_ctx;
    struct uring *uring; /* NULL: there is none */
    bool by_threads;     /* all writes */
    struct worker workers[LANE_COUNT];
};

static const char *const lane_names[LANE_COUNT] = {
    [LANE_JOURNAL] = "journal", [LANE_DIRECT] = "direct", [LANE_READ] = "read",
    [LANE_PREPARE] = "prepare", [LANE_HELPER] = "helper", [LANE_SPACE] = "space",
    [LANE_COMPUTE] = "compute",
};

static struct real_jobs *real_of(struct jobs *jobs)
{
    return container_of(jobs, struct real_jobs, jobs);
}

/* ---- stacks of jobs ---- */

static void push(_Atomic(struct job *) *stack, struct job *job)
{
    job->next = atomic_load_explicit(stack, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(stack, &job->next, job, memory_order_release,
                                                  memory_order_relaxed))
        continue;
}

/* All of them, oldest first. */
static struct job *take_all(_Atomic(struct job *) *stack)
{
    if (!atomic_load_explicit(stack, memory_order_relaxed))
        return NULL;
    struct job *newest = atomic_exchange_explicit(stack, NULL, memory_order_acquire);
    struct job *oldest = NULL;
    while (newest) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* ---- the lane's thread ---- */

/* All jobs that wait, oldest first, or NULL when the thread is to end. */
static struct job *take_waiting(struct worker *w)
{
    struct job *first;
    do {
        while (sem_wait(&w->work) && errno == EINTR)
            continue;
        first = take_all(&w->waiting);
    } while (!first && !atomic_load(&w->stop));
    return first;
}

static void *work(void *ctx)
{
    struct worker *w = ctx;
    metrics_join();
    for (struct job *job; (job = take_waiting(w));) {
        while (job) {
            struct job *next = job->next;
            bool awaited = job->done;
            job->run(job);
            if (awaited) {
                push(&w->ended, job);
                w->owner->wake(w->owner->wake_ctx);
            }
            job = next;
        }
    }
    return NULL;
}

/* ---- the core's side ---- */

static void real_submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    struct worker *w = &real_of(jobs)->workers[lane];
    if (!w->started) {
        w->started = true;
        thread_start(&w->thread, lane_names[lane], work, w);
    }
    push(&w->waiting, job);
    int failed = sem_post(&w->work);
    check(!failed);
}

static bool real_write(struct jobs *jobs, struct write_job *w)
{
    const struct real_jobs *all = real_of(jobs);
    return all->uring && !all->by_threads && uring_write(all->uring, w);
}

static void write_by_thread(void *ctx, struct write_job *w)
{
    real_submit(ctx, w->lane, &w->job);
}

static bool poll_lane(struct worker *w)
{
    struct job *job = take_all(&w->ended);
    bool any = job != NULL;
    while (job) {
        struct job *next = job->next; /* done() may free the job or submit it again */
        job->done(job);
        job = next;
    }
    return any;
}

static bool real_poll(struct jobs *jobs)
{
    struct real_jobs *all = real_of(jobs);
    bool any = all->uring && uring_poll(all->uring, write_by_thread, jobs);
    for (int i = 0; i < LANE_COUNT; i++)
        any |= poll_lane(&all->workers[i]);
    return any;
}

static void stop_worker(struct worker *w)
{
    if (!w->started)
        return;
    atomic_store(&w->stop, true);
    sem_post(&w->work);
    pthread_join(w->thread, NULL);
    w->started = false;
    atomic_store(&w->stop, false);
}

/* A done() may submit again, also to a lane that has stopped: it starts once more. */
static void real_free(struct jobs *jobs)
{
    struct real_jobs *all = real_of(jobs);
    do {
        if (all->uring)
            uring_wait(all->uring);
        for (int i = 0; i < LANE_COUNT; i++)
            stop_worker(&all->workers[i]);
    } while (real_poll(jobs));
    uring_free(all->uring);
    for (int i = 0; i < LANE_COUNT; i++)
        sem_destroy(&all->workers[i].work);
    free(all);
}

struct jobs *jobs_real_new(void (*wake)(void *ctx), void *ctx)
{
    struct real_jobs *all = aligned_alloc(64, round_up(sizeof *all, 64));
    check(all);
    memset(all, 0, sizeof *all);
    all->jobs = (struct jobs){
        .submit = real_submit, .poll = real_poll, .write = real_write, .free = real_free};
    all->wake = wake;
    all->wake_ctx = ctx;
    for (int i = 0; i < LANE_COUNT; i++) {
        all->workers[i].owner = all;
        int failed = sem_init(&all->workers[i].work, 0, 0);
        check(!failed);
    }
    return &all->jobs;
}

int jobs_real_use_uring(struct jobs *jobs)
{
    struct real_jobs *all = real_of(jobs);
    check(!all->uring);
    all->uring = uring_new();
    return all->uring ? uring_descriptor(all->uring) : -1;
}

void jobs_real_relieve(struct jobs *jobs, bool on)
{
    real_of(jobs)->by_threads = on;
}
