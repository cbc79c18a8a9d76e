/* Jobs on threads and jobs in seeded order. */
#include "io/jobs.h"

#include "base/mem.h"
#include "io/clock.h"
#include "io/sim_jobs.h"
#include "tests/test.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { COUNT = 2000 };

struct test_job {
    struct job job;
    struct recorder *recorder;
    int number;
    enum lane lane;
};

struct recorder { /* run_at is the lane's thread's, done_at the core's */
    int run_next[LANE_COUNT];
    int done_next[LANE_COUNT];
    int done_count;
    bool in_order;
    atomic_int wakes;
};

static void record_run(struct job *job)
{
    struct test_job *t = (struct test_job *)job;
    if (t->recorder->run_next[t->lane]++ != t->number)
        abort();
}

static void record_done(struct job *job)
{
    struct test_job *t = (struct test_job *)job;
    t->recorder->in_order &= t->recorder->done_next[t->lane]++ == t->number;
    t->recorder->done_count++;
    free(t);
}

static void count_wake(void *ctx)
{
    atomic_fetch_add(&((struct recorder *)ctx)->wakes, 1);
}

static struct test_job *new_job(struct recorder *r, enum lane lane, int number)
{
    struct test_job *t = xzalloc(sizeof *t);
    t->job = (struct job){.run = record_run, .done = record_done};
    t->recorder = r;
    t->lane = lane;
    t->number = number;
    return t;
}

static void submit_all(struct jobs *jobs, struct recorder *r)
{
    for (int i = 0; i < COUNT; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++)
            jobs_submit(jobs, lane, &new_job(r, lane, i)->job);
}

TEST(a_lane_runs_and_ends_its_jobs_in_order)
{
    struct recorder r = {.in_order = true};
    struct jobs *jobs = jobs_real_new(count_wake, &r);
    expect_false(jobs_poll(jobs));
    submit_all(jobs, &r);
    while (r.done_count < COUNT * LANE_COUNT)
        if (!jobs_poll(jobs))
            sched_yield();
    expect_true(r.in_order);
    expect_true(atomic_load(&r.wakes) > 0);
    expect_false(jobs_poll(jobs));
    jobs->free(jobs);
}

TEST(freeing_jobs_finishes_what_was_submitted)
{
    struct recorder r = {.in_order = true};
    struct jobs *jobs = jobs_real_new(count_wake, &r);
    submit_all(jobs, &r);
    jobs->free(jobs);
    expect_int(r.done_count, COUNT * LANE_COUNT);
    expect_true(r.in_order);
}

TEST(jobs_that_were_never_used_start_no_thread)
{
    struct recorder r = {0};
    struct jobs *jobs = jobs_real_new(count_wake, &r);
    jobs->free(jobs);
}

static struct jobs *resubmit_to;

static void done_and_submit_once_more(struct job *job)
{
    struct test_job *t = (struct test_job *)job;
    struct jobs *jobs = resubmit_to;
    if (t->number == 0)
        jobs_submit(jobs, LANE_HELPER, &new_job(t->recorder, LANE_HELPER, 0)->job);
    free(t);
}

TEST(a_done_may_submit_while_everything_ends)
{
    struct recorder r = {.in_order = true};
    struct jobs *jobs = resubmit_to = jobs_real_new(count_wake, &r);
    struct test_job *t = new_job(&r, LANE_JOURNAL, 0);
    t->job.done = done_and_submit_once_more;
    jobs_submit(jobs, LANE_JOURNAL, &t->job);
    jobs->free(jobs);
    expect_int(r.done_count, 1);
}

static atomic_int unawaited;

static void run_and_free(struct job *job)
{
    atomic_fetch_add(&unawaited, 1);
    free(job);
}

static struct job *new_unawaited_job(void)
{
    struct job *job = xzalloc(sizeof *job);
    job->run = run_and_free;
    return job;
}

TEST(a_job_that_nobody_awaits_frees_itself)
{
    struct recorder r = {0};
    atomic_store(&unawaited, 0);
    struct jobs *jobs = jobs_real_new(count_wake, &r);
    for (int i = 0; i < 100; i++)
        jobs_submit(jobs, LANE_HELPER, new_unawaited_job());
    jobs->free(jobs);
    expect_int(atomic_load(&unawaited), 100);
    expect_int(atomic_load(&r.wakes), 0);
}

/* ---- simulated ---- */

TEST(simulated_jobs_keep_the_order_of_each_lane)
{
    struct recorder r = {.in_order = true};
    struct random random;
    random_init(&random, test_seed());
    struct jobs *jobs = sim_jobs_new();
    submit_all(jobs, &r);
    expect_int(sim_jobs_waiting_count(jobs), COUNT * LANE_COUNT);
    size_t steps = 0;
    while (sim_jobs_step(jobs, &random))
        steps++;
    expect_int(steps, 2 * COUNT * LANE_COUNT);
    expect_int(r.done_count, COUNT * LANE_COUNT);
    expect_true(r.in_order);
    sim_jobs_free(jobs);
}

/* The order in which a seed lets the dones of two lanes happen. */
static uint64_t order_of(uint64_t seed)
{
    struct recorder r = {.in_order = true};
    struct random random;
    random_init(&random, seed);
    struct jobs *jobs = sim_jobs_new();
    for (int i = 0; i < 16; i++) {
        jobs_submit(jobs, LANE_JOURNAL, &new_job(&r, LANE_JOURNAL, i)->job);
        jobs_submit(jobs, LANE_READ, &new_job(&r, LANE_READ, i)->job);
    }
    uint64_t order = 1;
    for (int before = 0; sim_jobs_step(jobs, &random);) {
        order = order * 31 + (uint64_t)r.run_next[LANE_READ] * 7;
        order = order * 31 + (uint64_t)(r.done_next[LANE_JOURNAL] - before);
        before = r.done_next[LANE_JOURNAL];
    }
    sim_jobs_free(jobs);
    return order;
}

TEST(a_seed_repeats_the_order_and_another_changes_it)
{
    expect_true(order_of(1) == order_of(1));
    expect_true(order_of(1) != order_of(2));
}

TEST(draining_runs_also_what_a_done_submits)
{
    struct recorder r = {.in_order = true};
    struct jobs *jobs = resubmit_to = sim_jobs_new();
    struct test_job *t = new_job(&r, LANE_JOURNAL, 0);
    t->job.done = done_and_submit_once_more;
    jobs_submit(jobs, LANE_JOURNAL, &t->job);
    jobs_submit(jobs, LANE_JOURNAL, new_unawaited_job());
    sim_jobs_drain(jobs);
    expect_int(r.done_count, 1);
    expect_int(sim_jobs_waiting_count(jobs), 0);
    sim_jobs_free(jobs);
}

static void drop_job(struct job *job)
{
    free(job);
}

TEST(dropped_jobs_neither_run_nor_end)
{
    struct recorder r = {.in_order = true};
    struct random random;
    random_init(&random, 7);
    struct jobs *jobs = sim_jobs_new();
    submit_all(jobs, &r);
    for (int i = 0; i < 100; i++)
        expect_true(sim_jobs_step(jobs, &random));
    int done = r.done_count;
    expect_true(sim_jobs_ended_count(jobs) > 0);
    expect_true(jobs_poll(jobs));
    expect_int(sim_jobs_ended_count(jobs), 0);
    expect_true(r.done_count > done);
    done = r.done_count;
    sim_jobs_drop(jobs, drop_job);
    expect_false(sim_jobs_step(jobs, &random));
    expect_int(r.done_count, done);
    sim_jobs_free(jobs);
    sim_jobs_free(NULL);
}
