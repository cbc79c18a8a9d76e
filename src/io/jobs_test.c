/* Jobs on threads and jobs in seeded order. */
#include "io/jobs.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/sim_jobs.h"
#include "io/test_dir.h"
#include "tests/test.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

/* ---- writes ---- */

enum { WRITES = 40, BLOCK = 4096 }; /* more than io_uring is given at once */

struct test_write {
    struct write_job write;
    struct iovec parts[2];
    int *ended;
};

struct test_writes {
    char *dir;
    struct disk *disk;
    struct file *file;
    struct jobs *jobs;
    struct recorder recorder;
    uint8_t *blocks; /* each with a content of its own */
    struct test_write write[WRITES];
    int ended;
};

static void count_end(struct job *job)
{
    ++*container_of(job, struct test_write, write.job)->ended;
}

/* false: the system has no io_uring, or allows none. */
static bool start_writes(struct test_writes *w, bool use_uring, unsigned flags)
{
    *w = (struct test_writes){.dir = test_dir_new()};
    expect_ok(disk_real_new(w->dir, &w->disk));
    expect_ok(disk_open(w->disk, "file", DISK_CREATE, &w->file));
    expect_ok(file_allocate(w->file, 0, 2 * WRITES * BLOCK, true));
    expect_ok(file_sync(w->file));
    file_close(w->file);
    expect_ok(disk_open(w->disk, "file", flags, &w->file));
    w->jobs = jobs_real_new(count_wake, &w->recorder);
    w->blocks = aligned_alloc(BLOCK, 2 * WRITES * BLOCK);
    for (size_t i = 0; i < 2 * WRITES; i++)
        memset(w->blocks + i * BLOCK, (int)i + 1, BLOCK);
    return !use_uring || jobs_real_use_uring(w->jobs) >= 0;
}

/* Two blocks each. */
static void write_one(struct test_writes *w, size_t i)
{
    struct test_write *one = &w->write[i];
    uint8_t *at = w->blocks + 2 * i * BLOCK;
    one->parts[0] = (struct iovec){at, BLOCK};
    one->parts[1] = (struct iovec){at + BLOCK, BLOCK};
    one->ended = &w->ended;
    one->write = (struct write_job){.job.done = count_end,
                                    .file = w->file,
                                    .position = 2 * i * BLOCK,
                                    .parts = one->parts,
                                    .count = 2};
    jobs_write(w->jobs, LANE_JOURNAL, &one->write);
}

static void await_writes(struct test_writes *w, int count)
{
    while (w->ended < count)
        if (!jobs_poll(w->jobs))
            sched_yield();
}

/* A thread wakes the core behind what it has put there. */
static int wakes_in_the_end(struct test_writes *w)
{
    w->jobs->free(w->jobs);
    w->jobs = NULL;
    return atomic_load(&w->recorder.wakes);
}

static void expect_written(struct test_writes *w)
{
    uint8_t *read = aligned_alloc(BLOCK, 2 * WRITES * BLOCK);
    expect_ok(file_read(w->file, 0, read, 2 * WRITES * BLOCK));
    expect_true(memcmp(read, w->blocks, 2 * WRITES * BLOCK) == 0);
    free(read);
}

static void end_writes(struct test_writes *w)
{
    if (w->jobs)
        w->jobs->free(w->jobs);
    file_close(w->file);
    disk_free(w->disk);
    test_dir_remove(w->dir);
    free(w->blocks);
}

static void write_all(struct test_writes *w)
{
    for (size_t i = 0; i < WRITES; i++)
        write_one(w, i);
    await_writes(w, WRITES);
    for (size_t i = 0; i < WRITES; i++)
        expect_ok(w->write[i].write.err);
    expect_written(w);
}

TEST(writes_end_durable_by_threads_and_by_io_uring)
{
    metrics_join();
    for (int use_uring = 0; use_uring < 2; use_uring++) {
        struct test_writes w;
        bool is_there = start_writes(&w, use_uring, DISK_DIRECT);
        uint64_t syncs = metrics_sum(METRIC_syncs);
        if (is_there)
            write_all(&w);
        expect_int(metrics_sum(METRIC_syncs) - syncs, w.ended);
        end_writes(&w);
    }
}

/* The lane's thread wakes the core for each, io_uring never. */
TEST(a_core_that_is_relieved_lets_threads_write)
{
    struct test_writes w;
    if (start_writes(&w, true, DISK_DIRECT)) {
        write_one(&w, 0);
        await_writes(&w, 1);
        expect_int(atomic_load(&w.recorder.wakes), 0);
        jobs_real_relieve(w.jobs, true);
        write_one(&w, 1);
        await_writes(&w, 2);
        expect_int(wakes_in_the_end(&w), 1);
    }
    end_writes(&w);
}

TEST(a_file_that_does_not_bypass_the_page_cache_is_written_by_a_thread)
{
    struct test_writes w;
    if (start_writes(&w, true, 0)) {
        write_all(&w);
        expect_int(wakes_in_the_end(&w), WRITES);
    }
    end_writes(&w);
}

TEST(a_write_that_fails_says_so_and_leaves_the_file_in_doubt)
{
    for (int use_uring = 0; use_uring < 2; use_uring++) {
        struct test_writes w;
        if (start_writes(&w, use_uring, DISK_DIRECT | DISK_READ_ONLY)) {
            write_one(&w, 0);
            while (w.ended < 1)
                jobs_poll(w.jobs);
            expect_true(w.write[0].write.err != OK);
            expect_true(strstr(w.write[0].write.error, "Bad file descriptor") != NULL);
            if (use_uring)
                expect_err(file_sync(w.file), E_IO);
        }
        end_writes(&w);
    }
}

/* The system writes what the limit of a file's size allows, and the thread is told why it is not more. */
TEST(what_io_uring_has_written_in_part_a_thread_writes_whole)
{
    struct test_writes w;
    struct rlimit old, low;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    low = (struct rlimit){BLOCK, old.rlim_max};
    if (start_writes(&w, true, DISK_DIRECT)) {
        setrlimit(RLIMIT_FSIZE, &low);
        write_one(&w, 0);
        await_writes(&w, 1);
        setrlimit(RLIMIT_FSIZE, &old);
        expect_int(wakes_in_the_end(&w), 1);
        expect_true(strstr(w.write[0].write.error, "pwritev2") != NULL);
    }
    signal(SIGXFSZ, handler);
    end_writes(&w);
}

TEST(freeing_jobs_finishes_writes)
{
    for (int use_uring = 0; use_uring < 2; use_uring++) {
        struct test_writes w;
        if (start_writes(&w, use_uring, DISK_DIRECT)) {
            for (size_t i = 0; i < WRITES; i++)
                write_one(&w, i);
            w.jobs->free(w.jobs);
            w.jobs = NULL;
            expect_int(w.ended, WRITES);
            expect_written(&w);
        }
        end_writes(&w);
    }
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
