/*
 * Jobs on threads: one for each lane.
 *
 * The core appends to the lane's list under its lock and signals; the thread takes the whole list
 * in one go, and puts each job that has ended on a stack that the core empties in one exchange.
 * With the thread busy, neither side makes a system call.
 */
#include "io/jobs.h"

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "io/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct job_list {
    struct job *first, *last;
};

struct worker {
    struct real_jobs *owner;
    pthread_t thread;
    bool started; /* the core's */
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job_list waiting;                  /* under lock */
    bool stop;                                /* under lock */
    _Alignas(64) _Atomic(struct job *) ended; /* newest first */
};

struct real_jobs {
    struct jobs jobs;
    void (*wake)(void *ctx);
    void *wake_ctx;
    struct worker workers[LANE_COUNT];
};

static const char *const lane_names[LANE_COUNT] = {
    [LANE_JOURNAL] = "journal",
    [LANE_DIRECT] = "direct",
    [LANE_READ] = "read",
    [LANE_HELPER] = "helper",
    [LANE_COMPUTE] = "compute",
};

static struct real_jobs *real_of(struct jobs *jobs)
{
    return container_of(jobs, struct real_jobs, jobs);
}

/* ---- the lane's thread ---- */

/* All jobs that wait, oldest first, or NULL when the thread is to end. */
static struct job *take_waiting(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->waiting.first && !w->stop)
        pthread_cond_wait(&w->work, &w->lock);
    struct job *first = w->waiting.first;
    w->waiting = (struct job_list){0};
    pthread_mutex_unlock(&w->lock);
    return first;
}

static void push_ended(struct worker *w, struct job *job)
{
    job->next = atomic_load_explicit(&w->ended, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&w->ended, &job->next, job, memory_order_release,
                                                  memory_order_relaxed))
        continue;
    w->owner->wake(w->owner->wake_ctx);
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
            if (awaited)
                push_ended(w, job);
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
    job->next = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->waiting.last)
        w->waiting.last->next = job;
    else
        w->waiting.first = job;
    w->waiting.last = job;
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->work);
}

static struct job *reversed(struct job *newest)
{
    struct job *oldest = NULL;
    while (newest) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static bool poll_lane(struct worker *w)
{
    if (!atomic_load_explicit(&w->ended, memory_order_relaxed))
        return false;
    struct job *job = reversed(atomic_exchange_explicit(&w->ended, NULL, memory_order_acquire));
    while (job) {
        struct job *next = job->next; /* done() may free the job or submit it again */
        job->done(job);
        job = next;
    }
    return true;
}

static bool real_poll(struct jobs *jobs)
{
    bool any = false;
    for (int i = 0; i < LANE_COUNT; i++)
        any |= poll_lane(&real_of(jobs)->workers[i]);
    return any;
}

static void stop_worker(struct worker *w)
{
    if (!w->started)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->work);
    pthread_join(w->thread, NULL);
    w->started = false;
    w->stop = false;
}

/* A done() may submit again, also to a lane that has stopped: it starts once more. */
static void real_free(struct jobs *jobs)
{
    struct real_jobs *all = real_of(jobs);
    do
        for (int i = 0; i < LANE_COUNT; i++)
            stop_worker(&all->workers[i]);
    while (real_poll(jobs));
    for (int i = 0; i < LANE_COUNT; i++) {
        pthread_cond_destroy(&all->workers[i].work);
        pthread_mutex_destroy(&all->workers[i].lock);
    }
    free(all);
}

struct jobs *jobs_real_new(void (*wake)(void *ctx), void *ctx)
{
    struct real_jobs *all = aligned_alloc(64, round_up(sizeof *all, 64));
    check(all);
    memset(all, 0, sizeof *all);
    all->jobs = (struct jobs){.submit = real_submit, .poll = real_poll, .free = real_free};
    all->wake = wake;
    all->wake_ctx = ctx;
    for (int i = 0; i < LANE_COUNT; i++) {
        all->workers[i].owner = all;
        pthread_mutex_init(&all->workers[i].lock, NULL);
        pthread_cond_init(&all->workers[i].work, NULL);
    }
    return &all->jobs;
}
