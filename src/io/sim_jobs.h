/*
 * Jobs without threads, for tests: submitted jobs wait in their lanes until the test takes a step.
 * A step is drawn by the test's seeded random: it runs the oldest waiting job of a lane, or calls
 * the oldest done() of a lane, so runs and dones of different lanes interleave in every order that
 * threads could produce, and a seed repeats it.
 */
#ifndef IO_SIM_JOBS_H
#define IO_SIM_JOBS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/random.h"
#include "io/jobs.h"

struct jobs *sim_jobs_new(void);
void sim_jobs_free(struct jobs *); /* accepts NULL; drains */

/* One run() or one done(). False when there was nothing to do. */
bool sim_jobs_step(struct jobs *, struct random *random);
/* Steps in a fixed order until nothing waits, also of what done() submitted. */
void sim_jobs_drain(struct jobs *);
/* Throw away what waits without running it, as a crash does. `drop` frees a job; it may be NULL. */
void sim_jobs_drop(struct jobs *, void (*drop)(struct job *));

/* The same jobs for who does nothing but poll, as a core that opens: each poll() is a step. It lives in
 * the one who uses it, and frees nothing. */
struct sim_stepper {
    struct jobs jobs;
    struct jobs *sim;
    struct random *random;
};
void sim_stepper_init(struct sim_stepper *, struct jobs *sim, struct random *random);

size_t sim_jobs_waiting_count(const struct jobs *); /* submitted, not run */
size_t sim_jobs_ended_count(const struct jobs *);   /* run, done() not called */

#endif
