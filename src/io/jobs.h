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

#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "io/disk.h"

enum lane {
    LANE_JOURNAL, /* journal writes and syncs: nothing else, so that commits never wait for other
                     work */
    LANE_DIRECT,  /* direct segment writes and syncs */
    LANE_READ,    /* reads of what is not in memory */
    LANE_PREPARE, /* the journal's next file: commits may wait for it */
    LANE_HELPER,  /* create, materialise, compact, seal, unlink */
    LANE_SPACE,   /* space of files without a name, given back slowly */
    LANE_COMPUTE, /* what takes long and touches no file: inflating */
    LANE_COUNT,
};

struct job {
    void (*run)(struct job *); /* on the lane's thread */
    void (*done)(
        struct job *); /* in the core; may free the job. NULL: nobody waits, run() frees it */
    struct job *next;  /* the lane's */
};

/* A write of whole blocks to a file of its own (DISK_DIRECT), durable when `done` is called. The caller sets
 * what comes before `lane`, but not job.run; the parts and the file stay until then. */
struct write_job {
    struct job job;
    struct file *file;
    uint64_t position;
    const struct iovec *parts;
    int count;
    enum lane lane;
    enum err err; /* as file_write() and file_sync() would have it */
    char error[256];
};

struct jobs {
    void (*submit)(struct jobs *, enum lane lane, struct job *job);
    bool (*poll)(struct jobs *); /* call `done` for what has ended; true when there was any */
    /* False: submit it. NULL: always. */
    bool (*write)(struct jobs *, struct write_job *w);
    void (*free)(struct jobs *); /* waits for what was submitted, then polls once more */
};

/* `wake` is called on a lane's thread when a job has ended and the core may be asleep. */
struct jobs *jobs_real_new(void (*wake)(void *ctx), void *ctx);
/* Let jobs_write() use io_uring. To be called by the thread that submits, once. Returns a descriptor that can be
 * read when a write has ended, since nobody wakes the core for it; -1: the system has or allows none. */
int jobs_real_use_uring(struct jobs *);
/* While on, jobs_write() takes the lane's thread: a core that has little time to spare is spared the system's
 * part of the write. */
void jobs_real_relieve(struct jobs *, bool on);

static inline void jobs_submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    jobs->submit(jobs, lane, job);
}

/* The fastest way there is: io_uring, or the lane's thread. In no order with the lane's other jobs. */
void jobs_write(struct jobs *, enum lane lane, struct write_job *w);

static inline bool jobs_poll(struct jobs *jobs)
{
    return jobs->poll(jobs);
}

#endif
