/* A journal's beginning: the first start and the first commit, cut anywhere. */
#include "tests/test.h"

#include "log/store_internal.h"
#include "log/test_store.h"

static void append_one(struct test_store *t)
{
    expect_ok(test_append(store_log(t->store, 7, LEVEL_FSYNC), "a"));
    test_store_settle(t);
}

TEST(the_first_start_syncs_at_most_four_times_before_it_is_ready)
{
    struct test_store t;
    test_store_init(&t);
    expect_ok(test_store_open(&t));
    const struct sim_disk_stats *stats = sim_disk_stats(t.disk);
    expect_true(stats->calls[SIM_SYNC] + stats->calls[SIM_SYNC_DIR] <= 4);
    struct store_stats s;
    store_stats(t.store, &s);
    expect_int(s.journal_files, 1);
    expect_true(s.journal_bytes <= 4 * MIB);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    test_store_reset(&t);
}

/* The first start, cut at each of its changes, in each way. */
TEST(a_first_start_that_is_cut_anywhere_starts_again)
{
    for (uint64_t n = 1, done = 0; !done; n++) {
        for (int mode = SIM_KEEP; mode <= SIM_SUBSET; mode++) {
            struct test_store t;
            test_store_init(&t);
            t.config.journal_first_bytes = 64 * KIB;
            sim_disk_crash_at(t.disk, n, 100);
            if (test_store_open(&t) == OK)
                test_store_settle(&t);
            done = !sim_disk_has_crashed(t.disk);
            test_store_kill(&t);
            sim_disk_restart(t.disk, (enum sim_restart)mode, n);
            expect_ok(test_store_open(&t));
            append_one(&t);
            expect_ok(test_store_crash(&t, SIM_LOSE, n));
            expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a");
            test_store_reset(&t);
        }
    }
}

static void cut_start_at(struct test_store *t, uint64_t change, enum sim_restart mode)
{
    sim_disk_crash_at(t->disk, sim_disk_stats(t->disk)->operations + change, 100);
    if (test_store_open(t) == OK) {
        test_append_across_files(t);
        test_store_settle(t);
    }
    test_store_kill(t);
    sim_disk_restart(t->disk, mode, change);
}

/* What it leaves in the second file alone must not seem to be the journal's beginning; nor after the next start
 * was cut too. */
static bool cut_first_commit(uint64_t n, uint64_t again, enum sim_restart mode)
{
    struct test_store t;
    test_store_init(&t);
    t.config.journal_first_bytes = 64 * KIB;
    uint64_t changes = sim_disk_stats(t.disk)->operations;
    cut_start_at(&t, n, mode);
    bool is_cut = sim_disk_stats(t.disk)->operations - changes == n;
    if (again > 0)
        cut_start_at(&t, again, mode);
    expect_ok(test_store_open(&t));
    const struct log *first = store_find(t.store, 1), *second = store_find(t.store, 2);
    expect_int(first ? first->end : 0, second ? second->end : 0);
    append_one(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, n));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a");
    test_store_reset(&t);
    return is_cut;
}

TEST(a_first_commit_across_files_that_is_cut_anywhere_is_all_or_nothing)
{
    enum { AGAIN = 12 };
    for (uint64_t n = 1, is_cut = 1; is_cut; n++)
        for (uint64_t again = 0; again < AGAIN; again++)
            for (int mode = SIM_KEEP; mode <= SIM_SUBSET; mode++)
                is_cut = cut_first_commit(n, again, (enum sim_restart)mode);
}

/* The journal's first record is damaged. What lies in the second file is no beginning either, however often the
 * start is cut that makes both files anew. */
TEST(what_follows_a_damaged_beginning_does_not_come_back_when_the_start_is_cut)
{
    for (uint64_t n = 1, is_cut = 1; is_cut; n++) {
        struct test_store t;
        test_store_init(&t);
        t.config.journal_first_bytes = 64 * KIB;
        t.config.accept_loss = true;
        expect_ok(test_store_open(&t));
        test_append_across_files(&t);
        test_store_settle(&t);
        test_store_kill(&t);
        expect_ok(sim_disk_flip(t.disk, "journal/000001.journal",
                                JOURNAL_HEADER_BYTES + RECORD_HEADER_BYTES + 20));
        uint64_t changes = sim_disk_stats(t.disk)->operations;
        sim_disk_crash_at(t.disk, changes + n, 100);
        is_cut = test_store_open(&t) != OK;
        test_store_kill(&t);
        sim_disk_restart(t.disk, SIM_LOSE, n);
        expect_ok(test_store_open(&t));
        expect_null(store_find(t.store, 1));
        expect_null(store_find(t.store, 2));
        test_store_reset(&t);
    }
}
