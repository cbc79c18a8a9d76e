/* What level os has written and nobody has synced, in several files of the journal. */
#include "tests/test.h"

#include "log/store_internal.h"
#include "log/test_store.h"

enum { LOGS = 12, SMALL = 3, FIRST = 100, STREAM = 7 };

/* A batch of level os in each of twelve logs, in two files of the journal; nobody has synced them. The first ones
 * end within a block. */
static void write_unsynced(struct test_store *t)
{
    test_store_init_small(t, 256 * KIB, 96 * KIB);
    expect_ok(test_store_open(t));
    test_store_settle(t);
    struct journal_file *first = journal_newest_file(t->store);
    for (uint64_t i = 0; i < LOGS; i++) {
        struct ticket ticket;
        struct log *log = store_log(t->store, FIRST + i, LEVEL_OS);
        expect_ok(log_append(log, test_batch_sized(i, i < SMALL ? 20 : 9000), &ticket));
        store_flush(t->store);
        sim_jobs_drain(t->jobs);
        expect_int(log->hw, 1);
        expect_int(log->durable, 0);
    }
    expect_true(journal_newest_file(t->store) != first);
}

/* How many of the logs have their batch: no one without all that were written before it. */
static uint64_t count_whole(struct test_store *t)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < LOGS; i++) {
        const struct log *log = store_find(t->store, FIRST + i);
        if (!log || log->hw == 0)
            continue;
        expect_int(count, i);
        count++;
    }
    return count;
}

static void append_synced(struct test_store *t, const char *value)
{
    expect_ok(test_append(store_log(t->store, STREAM, LEVEL_FSYNC), value));
    test_store_settle(t);
}

TEST(what_lies_unsynced_in_two_files_is_made_durable_by_who_syncs)
{
    enum { CLIENT, HELPER, RECOVERY, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct test_store t;
        write_unsynced(&t);
        if (way == CLIENT)
            append_synced(&t, "x");
        if (way == HELPER)
            test_store_wait(&t, 1500);
        if (way == RECOVERY) {
            test_store_kill(&t);
            expect_ok(test_store_open(&t));
        }
        expect_ok(test_store_crash(&t, SIM_LOSE, 1));
        expect_int(count_whole(&t), LOGS);
        test_store_reset(&t);
    }
}

TEST(the_journal_goes_on_behind_the_first_gap_that_a_power_cut_leaves)
{
    uint64_t least = LOGS, most = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct test_store t;
        write_unsynced(&t);
        expect_ok(test_store_crash(&t, SIM_SUBSET, seed));
        uint64_t left = count_whole(&t);
        least = left < least ? left : least;
        most = left > most ? left : most;
        append_synced(&t, "x");
        append_synced(&t, "y");
        expect_ok(test_store_crash(&t, SIM_SUBSET, seed));
        expect_int(count_whole(&t), left);
        expect_string(test_store_values(&t, store_find(t.store, STREAM), 0), "x y");
        test_store_reset(&t);
    }
    expect_true(least < most);
}

static uint64_t oldest_generation(const struct test_store *t)
{
    return container_of(t->store->journal.files.next, struct journal_file, node)->generation;
}

/* A file behind the gap begins with a record that the chain does not have. It has to be made anew before it
 * can be the oldest one, or it would be taken for the journal's beginning. */
TEST(a_file_behind_a_gap_is_never_taken_for_the_journal_s_beginning)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct test_store t;
        write_unsynced(&t);
        random_init(&t.random, seed);                      /* of what the lanes come to */
        expect_ok(test_store_crash(&t, SIM_SUBSET, seed)); /* once, */
        expect_ok(test_append(store_log(t.store, STREAM, LEVEL_FSYNC), "x"));
        for (uint64_t i = 0; i < seed % 12; i++)
            test_store_turn(&t, 1);
        expect_ok(test_store_crash(&t, SIM_SUBSET, seed)); /* and again soon after */
        uint64_t left = count_whole(&t);
        append_synced(&t, "y");
        struct log *filler = store_log(t.store, STREAM + 1, LEVEL_FSYNC);
        uint64_t generation = oldest_generation(&t);
        for (uint64_t i = 0; oldest_generation(&t) == generation; i++) {
            struct ticket ticket;
            if (i % 16 == 0)
                expect_ok(log_append(filler, test_batch_sized(i, 9000), &ticket));
            test_store_turn(&t, 1);
            log_trim(filler, filler->hw, NULL);
        }
        expect_ok(test_store_crash(&t, SIM_LOSE, seed));
        expect_int(count_whole(&t), left);
        const char *values = test_store_values(&t, store_find(t.store, STREAM), 0);
        expect_true(strcmp(values, "x y") == 0 || strcmp(values, "y") == 0);
        test_store_reset(&t);
    }
}

TEST(damage_below_what_a_helper_has_synced_refuses_to_open)
{
    struct test_store t;
    write_unsynced(&t);
    test_store_wait(&t, 1500);
    expect_ok(test_append(store_find(t.store, FIRST), "y")); /* its record says so */
    test_store_settle(&t);
    test_store_kill(&t);
    expect_ok(sim_disk_flip(t.disk, "journal/000001.journal", 32 * KIB));
    expect_err(test_store_open(&t), E_CORRUPT);
    test_store_reset(&t);
}
