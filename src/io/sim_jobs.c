/* Two queues for each lane: what waits for run(), and what waits for done(). */
#include "io/sim_jobs.h"

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

#include <stdlib.h>

struct queue {
    struct job *first, *last;
    size_t count;
};

struct sim_jobs {
    struct jobs jobs;
    struct queue waiting[LANE_COUNT];
    struct queue ended[LANE_COUNT];
};

static struct sim_jobs *sim_of(const struct jobs *jobs)
{
    return container_of(jobs, struct sim_jobs, jobs);
}

static void push(struct queue *q, struct job *job)
{
    job->next = NULL;
    if (q->last)
        q->last->next = job;
    else
        q->first = job;
    q->last = job;
    q->count++;
}

static struct job *pop(struct queue *q)
{
    struct job *job = q->first;
    if (!job)
        return NULL;
    q->first = job->next;
    if (!q->first)
        q->last = NULL;
    q->count--;
    return job;
}

static void sim_submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    push(&sim_of(jobs)->waiting[lane], job);
}

static bool run_one(struct sim_jobs *s, size_t lane)
{
    struct job *job = pop(&s->waiting[lane]);
    if (!job)
        return false;
    bool awaited = job->done;
    job->run(job);
    if (awaited)
        push(&s->ended[lane], job);
    return true;
}

static bool end_one(struct sim_jobs *s, size_t lane)
{
    struct job *job = pop(&s->ended[lane]);
    if (job)
        job->done(job);
    return job;
}

/* Only what has ended before: a done() that submits does not see its own job run. */
static bool sim_poll(struct jobs *jobs)
{
    bool any = false;
    for (size_t lane = 0; lane < LANE_COUNT; lane++)
        while (end_one(sim_of(jobs), lane))
            any = true;
    return any;
}

bool sim_jobs_step(struct jobs *jobs, struct random *random)
{
    struct sim_jobs *s = sim_of(jobs);
    struct { /* what could happen next */
        bool run;
        size_t lane;
    } choices[2 * LANE_COUNT];
    size_t count = 0;
    for (size_t lane = 0; lane < LANE_COUNT; lane++) {
        if (s->waiting[lane].count > 0) {
            choices[count].run = true;
            choices[count++].lane = lane;
        }
        if (s->ended[lane].count > 0) {
            choices[count].run = false;
            choices[count++].lane = lane;
        }
    }
    if (count == 0)
        return false;
    size_t i = random_below(random, count);
    return choices[i].run ? run_one(s, choices[i].lane) : end_one(s, choices[i].lane);
}

void sim_jobs_drain(struct jobs *jobs)
{
    bool any;
    do {
        any = false;
        for (size_t lane = 0; lane < LANE_COUNT; lane++)
            while (run_one(sim_of(jobs), lane) || end_one(sim_of(jobs), lane))
                any = true;
    } while (any);
}

void sim_jobs_drop(struct jobs *jobs, void (*drop)(struct job *))
{
    struct sim_jobs *s = sim_of(jobs);
    for (size_t lane = 0; lane < LANE_COUNT; lane++) {
        struct job *job;
        while ((job = pop(&s->waiting[lane])) || (job = pop(&s->ended[lane])))
            if (drop)
                drop(job);
    }
}

static size_t count_all(const struct queue *queues)
{
    size_t count = 0;
    for (size_t lane = 0; lane < LANE_COUNT; lane++)
        count += queues[lane].count;
    return count;
}

size_t sim_jobs_waiting_count(const struct jobs *jobs)
{
    return count_all(sim_of(jobs)->waiting);
}

size_t sim_jobs_ended_count(const struct jobs *jobs)
{
    return count_all(sim_of(jobs)->ended);
}

void sim_jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    sim_jobs_drain(jobs);
    free(sim_of(jobs));
}

struct jobs *sim_jobs_new(void)
{
    struct sim_jobs *s = xzalloc(sizeof *s);
    s->jobs = (struct jobs){.submit = sim_submit, .poll = sim_poll, .free = sim_jobs_free};
    return &s->jobs;
}

/* ---- stepping by polls ---- */

static void stepper_submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    jobs_submit(container_of(jobs, struct sim_stepper, jobs)->sim, lane, job);
}

static bool stepper_poll(struct jobs *jobs)
{
    struct sim_stepper *s = container_of(jobs, struct sim_stepper, jobs);
    return sim_jobs_step(s->sim, s->random);
}

static void stepper_free(struct jobs *jobs)
{
    (void)jobs;
}

void sim_stepper_init(struct sim_stepper *s, struct jobs *sim, struct random *random)
{
    *s = (struct sim_stepper){
        .jobs = {.submit = stepper_submit, .poll = stepper_poll, .free = stepper_free},
        .sim = sim,
        .random = random,
    };
}
