/* A journal that those who write fill faster than helpers make its files free: new files wait. */
#include "tests/test.h"

#include "log/store_internal.h"
#include "log/test_store.h"

static void open_outrun(struct test_store *t)
{
    test_store_init_small(t, 256 * KIB, 1 * MIB);
    t->config.direct_append_bytes = t->config.direct_commit_bytes = 64 * MIB;
    t->config.part_bytes = 32 * KIB;
    t->config.backlog_bytes = 64 * KIB;
    expect_ok(test_store_open(t));
    test_store_settle(t);
}

/* The journal is full, and what makes its files free is under way. True when a commit waits for it. */
static bool outrun_helpers(struct test_store *t, struct log *log)
{
    for (int i = 0; i < 3000; i++) {
        struct ticket ticket;
        if (!store_is_behind(t->store))
            expect_ok(log_append(log, test_batch_sized((uint64_t)log->end, 9000), &ticket));
        test_store_turn(t, 2);
        list_each (n, &t->store->journal.files)
            if (container_of(n, struct journal_file, node)->state == JOURNAL_WAITING)
                return true;
    }
    return false;
}

TEST(who_writes_does_not_outrun_what_makes_journal_files_free)
{
    struct test_store t;
    open_outrun(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (int round = 0; round < 5; round++)
        expect_true(outrun_helpers(&t, log));
    expect_true(t.store->journal.total_bytes <= 256 * KIB + 8 * 64 * KIB);
    int64_t end = log->end;
    test_store_stop(&t); /* while a commit waits */
    expect_ok(test_store_open(&t));
    expect_int(store_find(t.store, 7)->hw, end);
    test_store_reset(&t);
}

/* Outrun, and helpers are done again. */
static struct log *open_rested(struct test_store *t, uint64_t seed)
{
    open_outrun(t);
    random_init(&t->random, seed);
    struct log *log = store_log(t->store, 7, LEVEL_FSYNC);
    expect_true(outrun_helpers(t, log));
    for (int i = 0; i < 300 && t->store->recycle.materialising > 0; i++)
        test_store_turn(t, 1);
    return log;
}

/* One that waits and that nothing was staged into. */
static bool has_unused_waiting_file(const struct store *s)
{
    list_each (n, &s->journal.files) {
        const struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->state == JOURNAL_WAITING && f->used == 0)
            return true;
    }
    return false;
}

/* Were it passed meanwhile, and never made, nothing behind it would become free. */
TEST(a_journal_file_that_waits_is_made_when_helpers_are_done)
{
    int unused = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct test_store t;
        (void)open_rested(&t, seed);
        unused += has_unused_waiting_file(t.store);
        test_store_wait(&t, 200);
        expect_false(has_unused_waiting_file(t.store));
        test_store_reset(&t);
    }
    expect_true(unused > 0);
}

/* It is passed, and the one behind it is made first: there is nothing in it that could be synced. */
TEST(a_record_too_large_for_a_file_that_is_not_made_yet_goes_into_the_next)
{
    int passed = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct test_store t;
        struct ticket ticket;
        struct log *log = open_rested(&t, seed);
        passed += has_unused_waiting_file(t.store);
        /* Before the store looks at its files again; two records, each of which has a file to be synced. */
        expect_ok(log_append(log, test_batch_sized((uint64_t)log->end, 100), &ticket));
        expect_ok(log_append(log, test_batch_sized((uint64_t)log->end, 100 * KIB), &ticket));
        for (int i = 0; i < 100; i++)
            test_store_turn(&t, 1);
        test_store_settle(&t);
        int64_t acked = log->hw;
        expect_ok(test_store_crash(&t, SIM_LOSE, seed));
        expect_true(store_find(t.store, 7)->hw >= acked);
        test_store_reset(&t);
    }
    expect_true(passed > 0);
}
