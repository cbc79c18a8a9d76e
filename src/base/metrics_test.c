#include "base/metrics.h"

#include <pthread.h>

#include "base/mem.h"
#include "tests/test.h"

static void *count_commits(void *unused)
{
    (void)unused;
    metrics_join();
    for (int i = 0; i < 1000; i++)
        metrics_add(METRIC_commits, 1);
    metrics_add(METRIC_commit_bytes, 4096);
    return NULL;
}

TEST(metrics_sum_over_threads_that_run_and_that_ended)
{
    uint64_t commits = metrics_sum(METRIC_commits), bytes = metrics_sum(METRIC_commit_bytes);
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        expect_int(pthread_create(&threads[i], NULL, count_commits, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    expect_int(metrics_sum(METRIC_commits) - commits, 4000);
    expect_int(metrics_sum(METRIC_commit_bytes) - bytes, 4 * 4096);
    expect_int(metrics_sum(METRIC_syncs), 0);
}

static void *count_without_a_row(void *unused)
{
    (void)unused;
    metrics_add(METRIC_syncs, 1);
    return NULL;
}

TEST(metrics_of_a_thread_without_a_row_are_not_counted)
{
    pthread_t thread;

    expect_int(pthread_create(&thread, NULL, count_without_a_row, NULL), 0);
    pthread_join(thread, NULL);
    expect_int(metrics_sum(METRIC_syncs), 0);
}

TEST(metrics_joined_twice_keep_their_row)
{
    metrics_join();
    struct metrics_row *row = metrics_own;
    metrics_join();
    expect_true(metrics_own == row);
}

TEST(metrics_have_a_name_a_kind_a_unit_and_a_help)
{
    expect_string(metrics_name(METRIC_commits), "commits");
    expect_string(metrics_kind(METRIC_commits), "counter");
    expect_string(metrics_unit(METRIC_commits), "");
    expect_string(metrics_unit(METRIC_commit_bytes), "bytes");
    expect_string(metrics_help(METRIC_commits), "journal commits");
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        expect_true(strlen(metrics_help(m)) > 0);
    expect_check_fails(metrics_sum(METRIC_COUNT));
    expect_check_fails(metrics_name(METRIC_COUNT));
}
