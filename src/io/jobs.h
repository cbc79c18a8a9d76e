/*
 * Jobs: what may block, off the core. The core submits a job to a lane; the lane's thread runs jobs
 * one after the other in the order of submission; jobs_poll() then calls `done` in the core, in the
 * order in which the jobs of that lane ended. While run() works, the job's memory belongs to it: it
 * touches nothing that the core may change, and sets nothing but fields of its own.
 *
 * jobs_real_new() has one thread for each lane, started with the lane's first job. The simulator
 * (io/sim_jobs.h) runs them in seeded order inside the test's own thread.
 */
#ifndef IO_JOBS_H
#define IO_JOBS_H

#include <stdbool.h>

#include "base/err.h"

enum lane {
    LANE_JOURNAL, /* journal writes and syncs: nothing else, so that commits never wait for other
                     work */
    LANE_DIRECT,  /* direct segment writes and syncs */
    LANE_READ,    /* reads of what is not in memory */
    LANE_HELPER,  /* create, allocate, materialise, compact, seal, unlink */
    LANE_COMPUTE, /* what takes long and touches no file: inflating */
    LANE_COUNT,
};

struct job {
    void (*run)(struct job *); /* on the lane's thread */
    void (*done)(
        struct job *); /* in the core; may free the job. NULL: nobody waits, run() frees it */
    struct job *next;  /* the lane's */
};

struct jobs {
    void (*submit)(struct jobs *, enum lane lane, struct job *job);
    bool (*poll)(struct jobs *); /* call `done` for what has ended; true when there was any */
    void (*free)(struct jobs *); /* waits for what was submitted, then polls once more */
};

/* `wake` is called on a lane's thread when a job has ended and the core may be asleep. */
struct jobs *jobs_real_new(void (*wake)(void *ctx), void *ctx);

static inline void jobs_submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    jobs->submit(jobs, lane, job);
}

static inline bool jobs_poll(struct jobs *jobs)
{
    return jobs->poll(jobs);
}

#endif
