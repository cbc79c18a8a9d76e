#include "tests/test.h"

#include "base/say.h"
#include "log/store_internal.h"
#include "log/test_store.h"

#include <stdio.h>
#include <stdlib.h>

static struct ticket append(struct log *log, const char *value)
{
    struct ticket t;
    expect_ok(log_append(log, test_batch_one(value), &t));
    return t;
}

static void open_new(struct test_store *t)
{
    test_store_init(t);
    expect_ok(test_store_open(t));
    test_store_settle(t);
}

TEST(an_append_is_committed_only_after_the_disk_has_synced_it)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket = append(log, "a");
    expect_int(log->end, 1);
    expect_false(store_is_done(t.store, ticket, STAGE_COMMITTED));
    store_flush(t.store);
    expect_false(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_int(log->hw, 0);
    sim_jobs_drain(t.jobs);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_int(log->hw, 1);
    expect_int(t.committed_calls, 1);
    expect_string(test_store_values(&t, log, 0), "a");
    test_store_reset(&t);
}

TEST(what_was_committed_is_there_after_a_crash_that_loses_every_unsynced_write)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append(log, "a");
    append(log, "b");
    test_store_settle(&t);
    append(log, "c"); /* staged, never flushed */
    int32_t epoch = store_epoch(t.store);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    expect_not_null(log);
    expect_int(log->end, 2);
    expect_int(log->hw, 2);
    expect_true(store_epoch(t.store) > epoch);
    expect_string(test_store_values(&t, log, 0), "a b");
    append(log, "d");
    test_store_settle(&t);
    expect_string(test_store_values(&t, log, 1), "b d");
    expect_int(log_last_epoch(log), store_epoch(t.store));
    test_store_reset(&t);
}

TEST(a_batch_for_many_logs_is_stored_once_and_read_with_each_logs_offsets)
{
    struct test_store t;
    open_new(&t);
    struct log *a = store_log(t.store, 1, LEVEL_FSYNC), *b = store_log(t.store, 2, LEVEL_FSYNC);
    struct log *both[] = {a, b};
    append(a, "x");
    struct ticket ticket;
    const char *values[] = {"m", "n"};
    expect_ok(log_append_many(both, 2, batch_whole(test_batch(values, 2, 0)), &ticket));
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_string(test_store_values(&t, a, 0), "x m n");
    expect_string(test_store_values(&t, b, 0), "m n");
    expect_string(test_store_values(&t, b, 1), "n");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 1), 0), "x m n");
    expect_string(test_store_values(&t, store_find(t.store, 2), 0), "m n");
    test_store_reset(&t);
}

TEST(a_batch_in_parts_is_whole_in_the_journal_in_a_segment_and_in_memory)
{
    struct test_store t;
    test_store_init(&t);
    t.config.direct_append_bytes = 1;
    expect_ok(test_store_open(&t));
    struct log *logs[] = {store_log(t.store, 1, LEVEL_FSYNC), store_log(t.store, 2, LEVEL_FSYNC),
                          store_log(t.store, 3, LEVEL_MEMORY)};
    log_stay_in_journal(logs[0]);
    append(logs[1], "x");
    test_store_settle(&t);
    expect_not_null(log_state(logs[1])->direct);
    const char *values[] = {"m", "n"};
    struct bytes whole = test_batch(values, 2, 0);
    size_t front = BATCH_HEADER_BYTES + 5, lent = 3;
    struct batch_parts parts = {bytes_of(whole.data, front), bytes_of(whole.data + front, lent),
                                bytes_of(whole.data + front + lent, whole.size - front - lent)};
    struct ticket ticket;
    expect_ok(log_append_many(logs, 3, parts, &ticket));
    test_store_settle(&t);
    expect_string(test_store_values(&t, logs[2], 0), "m n");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 1), 0), "m n");
    expect_string(test_store_values(&t, store_find(t.store, 2), 0), "x m n");
    test_store_reset(&t);
}

TEST(a_barrier_with_nothing_staged_is_done_at_the_end_of_the_turn)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket barrier = log_next_ticket(log);
    expect_false(store_is_done(t.store, barrier, STAGE_COMMITTED));
    store_flush(t.store);
    expect_true(store_is_done(t.store, barrier, STAGE_COMMITTED));
    append(log, "a");
    store_flush(t.store);
    barrier = log_next_ticket(log); /* a commit is under way, nothing behind it */
    store_flush(t.store);
    expect_false(store_is_done(t.store, barrier, STAGE_COMMITTED));
    sim_jobs_drain(t.jobs);
    store_flush(t.store);
    expect_true(store_is_done(t.store, barrier, STAGE_COMMITTED));
    test_store_reset(&t);
}

TEST(what_turns_bring_while_a_commit_is_under_way_is_one_write)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append(log, "a");
    test_store_settle(&t);
    append(log, "b");
    store_flush(t.store);
    for (int i = 0; i < 5; i++) {
        append(log, "c");
        store_flush(t.store);
    }
    expect_true(stage_bytes(t.store) >
                5 * test_batch_one("c").size); /* what store_is_behind() sees */
    const struct sim_disk_stats *stats = sim_disk_stats(t.disk);
    uint64_t writes = stats->calls[SIM_WRITE], syncs = stats->calls[SIM_SYNC];
    test_store_settle(&t);
    expect_int(log->hw, 7);
    expect_int(stats->calls[SIM_WRITE] - writes, 2);
    expect_int(stats->calls[SIM_SYNC] - syncs, 2);
    expect_int(stage_bytes(t.store), 0);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b c c c c c");
    test_store_reset(&t);
}

TEST(a_log_of_level_os_commits_without_a_sync_and_is_synced_within_a_second)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_OS);
    for (int i = 0; i < 3; i++) { /* journal files that are made ahead are synced too */
        append(log, "warm");
        test_store_settle(&t);
    }
    uint64_t syncs = sim_disk_stats(t.disk)->calls[SIM_SYNC];
    append(log, "a");
    store_flush(t.store);
    sim_jobs_drain(t.jobs);
    expect_int(log->hw, 4);
    expect_true(log->durable < 4);
    expect_int(sim_disk_stats(t.disk)->calls[SIM_SYNC], syncs);
    expect_true(store_next_due(t.store) <= t.now_ns + 1100000000);
    t.now_ns += 1100000000;
    test_store_settle(&t);
    expect_int(log->durable, 4);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 7), 3), "a");
    test_store_reset(&t);
}

/* A record of level os is written, and the sync of it is due. */
static struct log *open_with_unsynced(struct test_store *t)
{
    open_new(t);
    struct log *log = store_log(t->store, 7, LEVEL_OS);
    append(log, "a");
    test_store_turn(t, 0);
    sim_jobs_drain(t->jobs);
    expect_true(log->hw == 1 && log->durable == 0);
    t->now_ns += 1100000000;
    return log;
}

TEST(a_commit_of_level_os_does_not_wait_for_the_sync_of_what_is_before_it)
{
    struct test_store t;
    struct log *log = open_with_unsynced(&t);
    append(log, "b");
    test_store_turn(&t, 0);
    expect_not_null(t.store->late_sync);
    expect_false(t.store->in_flight->sync);
    sim_jobs_drain(t.jobs);
    expect_int(log->hw, 2);
    expect_true(log->durable >= 1);
    test_store_wait(&t, 2500);
    expect_int(log->durable, 2);
    expect_true(store_next_due(t.store) > t.now_ns + 1000000000); /* and nothing more is to do */
    test_store_reset(&t);
}

TEST(what_was_written_while_others_were_synced_is_synced_by_the_next)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_store t;
        struct log *log = open_with_unsynced(&t);
        random_init(&t.random, seed);
        for (int i = 0; i < 8; i++) {
            append(log, "b");
            test_store_turn(&t, 2);
        }
        test_store_wait(&t, 2500);
        expect_int(log->durable, 9);
        expect_ok(test_store_crash(&t, SIM_LOSE, seed));
        expect_int(store_find(t.store, 7)->hw, 9);
        test_store_reset(&t);
    }
}

TEST(behind_a_sync_that_failed_no_commit_is_acknowledged)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_store t;
        open_with_unsynced(&t);
        random_init(&t.random, seed);
        struct log *synced = store_log(t.store, 8, LEVEL_FSYNC);
        append(synced, "x");
        sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO); /* the commit's or the helper's */
        test_store_turn(&t, 100);
        expect_true(t.was_frozen);
        expect_int(synced->hw, 0);
        test_store_reset(&t);
    }
}

TEST(a_memory_log_commits_at_once_and_is_gone_after_a_crash)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_MEMORY);
    struct ticket ticket = append(log, "a");
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    store_flush(t.store);
    expect_int(log->hw, 1);
    expect_string(test_store_values(&t, log, 0), "a");
    log_trim(log, 1, NULL);
    expect_int(t.store->memory_bytes, 0);
    expect_ok(test_store_crash(&t, SIM_KEEP, 1));
    expect_null(store_find(t.store, 7));
    test_store_reset(&t);
}

TEST(a_memory_log_refuses_what_is_over_its_budget)
{
    struct test_store t;
    test_store_init(&t);
    t.config.memory_level_bytes = 100;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_MEMORY);
    struct ticket ticket;
    expect_ok(log_append(log, test_batch_one("a"), &ticket));
    expect_err(log_append(log, test_batch_one("b"), &ticket), E_NO_MEMORY);
    expect_int(log->end, 1);
    test_store_reset(&t);
}

TEST(a_trim_that_is_asked_for_again_is_not_done_before_the_first_one)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    for (uint64_t i = 0; i < 6; i++) { /* direct: its own appends go another way than the trim */
        expect_ok(log_append(log, test_batch_sized(i, 600 * KIB), &ticket));
        test_store_settle(&t);
    }
    expect_not_null(log_state(log)->direct);
    log_trim(log, 3, &ticket);
    log_trim(log, 2, &ticket);
    expect_false(store_is_done(t.store, ticket, STAGE_COMMITTED));
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, 7)->start, 3);
    test_store_reset(&t);
}

TEST(a_trim_with_a_ticket_stays_after_a_crash)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append(log, "a");
    append(log, "b");
    test_store_settle(&t);
    struct ticket ticket;
    log_trim(log, 1, &ticket);
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    expect_int(log->start, 1);
    expect_string(test_store_values(&t, log, 1), "b");
    size_t count;
    struct log_batch b;
    expect_err(log_peek(log, 0, 2, 100, &b, 1, &count), E_OUT_OF_RANGE);
    test_store_reset(&t);
}

TEST(a_deleted_log_does_not_come_back)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append(log, "a");
    append(store_log(t.store, 8, LEVEL_FSYNC), "x");
    test_store_settle(&t);
    struct ticket ticket;
    log_delete(log, &ticket);
    expect_null(store_find(t.store, 7));
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_null(store_find(t.store, 7));
    expect_string(test_store_values(&t, store_find(t.store, 8), 0), "x");
    test_store_reset(&t);
}

TEST(a_truncated_tail_does_not_come_back)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append(log, "a");
    append(log, "b");
    append(log, "c");
    test_store_settle(&t);
    struct ticket ticket;
    expect_ok(log_truncate(log, 1, store_epoch(t.store), &ticket));
    append(log, "d");
    test_store_settle(&t);
    expect_string(test_store_values(&t, log, 0), "a d");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a d");
    test_store_reset(&t);
}

TEST(a_failed_sync_freezes_the_store_at_its_durable_offsets)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append(log, "a");
    test_store_settle(&t);
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO);
    struct ticket ticket = append(log, "b");
    test_store_settle(&t);
    expect_true(t.was_frozen);
    expect_false(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_int(log->hw, 1);
    expect_string(test_store_values(&t, log, 0), "a");
    expect_err(log_append(log, test_batch_one("c"), &ticket), E_FROZEN);
    uint64_t syncs = sim_disk_stats(t.disk)->calls[SIM_SYNC];
    test_store_settle(&t);
    expect_int(sim_disk_stats(t.disk)->calls[SIM_SYNC], syncs);
    test_store_reset(&t);
}

TEST(a_large_append_makes_the_log_direct_and_everything_survives)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    append(log, "small");
    for (uint64_t i = 0; i < 6; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 600 * KIB), &ticket));
        test_store_settle(&t);
    }
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_not_null(log_state(log)->direct);
    expect_int(log->hw, 7);
    append(log, "end");
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    expect_int(log->hw, 8);
    expect_string(test_store_values(&t, log, 7), "end");
    append(log, "more");
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 2));
    log = store_find(t.store, 7);
    expect_int(log->hw, 9);
    expect_string(test_store_values(&t, log, 7), "end more");
    test_store_reset(&t);
}

TEST(a_log_that_waits_for_no_sync_becomes_direct_sooner)
{
    struct test_store t;
    open_new(&t);
    struct log *synced = store_log(t.store, 7, LEVEL_FSYNC), *os = store_log(t.store, 8, LEVEL_OS);
    struct ticket ticket;
    for (uint64_t i = 0; i < 10; i++) {
        expect_ok(log_append(synced, test_batch_sized(i, 16 * KIB), &ticket));
        expect_ok(log_append(os, test_batch_sized(i, 16 * KIB), &ticket));
        test_store_settle(&t);
    }
    expect_null(log_state(synced)->direct);
    expect_not_null(log_state(os)->direct);
    expect_int(os->hw, 10);
    test_store_stop(&t);
    expect_ok(test_store_open(&t));
    expect_int(store_find(t.store, 8)->hw, 10);
    test_store_reset(&t);
}

TEST(a_stop_syncs_also_logs_whose_rows_were_about_to_be_written)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 8, LEVEL_OS);
    struct ticket ticket;
    for (uint64_t i = 0; i < 3; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 2 * MIB), &ticket));
        test_store_turn(&t, 0);
        sim_jobs_drain(t.jobs);
    }
    expect_not_null(log_state(log)->direct);
    expect_int(log->hw, 3);
    recycle_start_mark(t.store);
    store_want_sync(t.store);
    test_store_stop(&t);
    sim_disk_restart(t.disk, SIM_LOSE, 1);
    expect_ok(test_store_open(&t));
    expect_int(store_find(t.store, 8)->hw, 3);
    test_store_reset(&t);
}

/* Turns drawn from the seed, as many; the log's tail is sealed as soon as it is durable. True: it is. */
static bool seal_in_turns(struct test_store *t, struct log *log, int turns)
{
    int64_t end = log->end;
    random_init(&t->random, (uint64_t)turns);
    for (int i = 0; i < turns; i++) {
        test_store_turn(t, 1);
        if (log->durable == end && log_state(log)->tail.count > 0)
            (void)log_seal(log_state(log));
    }
    return log->durable == end;
}

/* What the journal held behind it is then in a segment that begins where the part would have. */
TEST(a_direct_part_that_a_power_cut_left_empty_is_followed_by_segments_of_later_runs)
{
    for (int turns = 0; turns < 30; turns++) {
        struct test_store t;
        test_store_init_small(&t, 256 * KIB, 96 * KIB);
        expect_ok(test_store_open(&t));
        struct log *log = store_log(t.store, 8, LEVEL_OS);
        struct ticket ticket;
        expect_ok(log_append(log, test_batch_sized(0, 30 * KIB), &ticket));
        test_store_wait(&t, 1500);
        append(log, "a");
        test_store_turn(&t, 0);
        sim_jobs_drain(t.jobs);
        expect_true(log_state(log)->direct && log->hw == 2);
        expect_ok(test_store_crash(&t, SIM_LOSE, 1));
        log = store_find(t.store, 8);
        expect_int(log->end, 1);
        test_store_turn(&t, 0);
        sim_jobs_drain(t.jobs); /* that the part is over is written in this run */
        expect_ok(test_store_crash(&t, SIM_KEEP, 1));
        log = store_find(t.store, 8);
        append(log, "b"); /* and this in the next */
        expect_int(log->end, 2);
        bool is_there = seal_in_turns(&t, log, turns);
        expect_ok(test_store_crash(&t, SIM_KEEP, 1));
        if (is_there)
            expect_string(test_store_values(&t, store_find(t.store, 8), 1), "b");
        test_store_reset(&t);
    }
}

/* What a later run has materialised behind it is of that run, and no row knows of it: recovery reads it from the journal. */
TEST(a_direct_part_that_was_trimmed_as_a_whole_ends_where_the_journal_says)
{
    int sealed = 0;
    for (int turns = 0; turns < 30; turns++) {
        struct test_store t;
        char path[64];
        test_store_init_small(&t, 256 * KIB, 1 * MIB);
        expect_ok(test_store_open(&t));
        struct log *log = store_log(t.store, 8, LEVEL_FSYNC);
        struct ticket ticket;
        for (uint64_t i = 0; i < 3; i++) {
            expect_ok(log_append(log, test_batch_sized(i, 30 * KIB), &ticket));
            test_store_settle(&t);
        }
        expect_not_null(log_state(log)->direct);
        segment_path(8, log_state(log)->direct->segment, "log", path);
        log_trim(log, 3, &ticket);
        test_store_turn(&t, 0);
        sim_jobs_drain(t.jobs);
        test_store_kill(&t);
        expect_ok(disk_remove(t.disk, path));
        expect_ok(test_store_open(&t));
        for (int i = 0; i < 1 + turns % 3;
             i++) /* that the part is over is written, its row perhaps not */
            test_store_turn(&t, 1);
        expect_ok(test_store_crash(&t, SIM_KEEP, 1));
        log = store_find(t.store, 8);
        expect_int(log->end, 3);
        append(log, "b"); /* and this in the next */
        bool is_there = seal_in_turns(&t, log, turns);
        sealed += log_state(log)->stored_to == 4;
        expect_ok(test_store_crash(&t, SIM_KEEP, 1));
        if (is_there)
            expect_string(test_store_values(&t, store_find(t.store, 8), 3), "b");
        test_store_reset(&t);
    }
    expect_true(sealed > 0);
}

static int warnings;

static void count_warnings(const char *line, uint32_t size)
{
    (void)size;
    warnings += strstr(line, "WARN log") != NULL;
}

TEST(damage_to_direct_bytes_that_no_row_covers_is_told_of)
{
    for (int flips = 0; flips < 2; flips++) {
        struct test_store t;
        open_new(&t);
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        struct ticket ticket;
        for (uint64_t i = 0; i < 4; i++) {
            expect_ok(log_append(log, test_batch_sized(i, 600 * KIB), &ticket));
            test_store_settle(&t);
        }
        expect_not_null(log_state(log)->direct);
        int64_t from = log_state(log)->parts->direct_from;
        char path[64];
        segment_path(7, from, "log", path);
        test_store_kill(&t);
        if (flips)
            expect_ok(sim_disk_flip(t.disk, path, 700 * KIB));
        warnings = 0;
        say_set_sink(count_warnings);
        expect_ok(test_store_open(&t));
        say_set_sink(NULL);
        expect_int(warnings, flips);
        expect_int(store_find(t.store, 7)->end, flips ? from + 1 : 4);
        test_store_reset(&t);
    }
}

TEST(a_log_that_is_to_stay_in_the_journal_does_so_whatever_is_appended)
{
    struct test_store t;
    open_new(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    log_stay_in_journal(log);
    for (uint64_t i = 0; i < 6; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 600 * KIB), &ticket));
        expect_int(ticket.direct, 0);
        test_store_settle(&t);
    }
    expect_null(log_state(log)->direct);
    expect_int(log->hw, 6);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, 7)->hw, 6);
    test_store_reset(&t);
}

/* Enough to go round the journal many times: small logs are carried, a large one is materialised.
 */
TEST(journal_files_are_used_again_and_nothing_is_lost)
{
    struct test_store t;
    test_store_init(&t);
    t.config.journal_max_bytes = 12 * MIB;
    t.config.cache_bytes = 2 * MIB;
    t.config.segment_bytes = 3 * MIB;
    expect_ok(test_store_open(&t));
    struct log *quiet = store_log(t.store, 1, LEVEL_FSYNC);
    append(quiet, "one");
    append(quiet, "two");
    struct log *busy = store_log(t.store, 2, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 1500; i++) {
        struct ticket ticket;
        expect_ok(log_append(busy, test_batch_sized(i, 30 * KIB), &ticket));
        test_store_turn(&t, 100);
        if (i % 100 == 99)
            test_store_settle(&t);
    }
    test_store_settle(&t);
    struct store_stats stats;
    store_stats(t.store, &stats);
    expect_true(stats.journal_bytes <= 16 * MIB);
    expect_true(log_state(busy)->stored_to > 1000);
    expect_string(test_store_values(&t, quiet, 0), "one two");
    expect_ok(test_store_crash(&t, SIM_LOSE, 3));
    expect_string(test_store_values(&t, store_find(t.store, 1), 0), "one two");
    busy = store_find(t.store, 2);
    expect_int(busy->hw, 1500);
    test_store_reset(&t);
}

/* ---- what is kept of a log besides its batches ---- */

TEST(epochs_below_the_start_are_forgotten)
{
    struct test_store t;
    int32_t epoch;
    test_store_init(&t);
    expect_ok(test_store_open(&t));
    for (int run = 0; run < 5; run++) {
        expect_ok(test_append(store_log(t.store, 7, LEVEL_FSYNC), "a"));
        test_store_settle(&t);
        test_store_stop(&t);
        expect_ok(test_store_open(&t));
    }
    struct log *log = store_find(t.store, 7);
    int32_t last = log_last_epoch(log), first = last - 4;
    expect_int(log_epoch_end(log, first, &epoch), 1);
    expect_int(log_state(log)->epochs.count, 5);
    struct ticket ticket;
    log_trim(log, 3, &ticket);
    expect_int(log_state(log)->epochs.count, 2);
    expect_int(log_epoch_end(log, last - 1, &epoch), 4);
    expect_int(epoch, last - 1);
    expect_int(log_epoch_end(log, first, &epoch), 3); /* what is left begins there */
    expect_int(epoch, first);
    expect_int(log_epoch_end(log, -1, &epoch), -1);
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(log_state(store_find(t.store, 7))->epochs.count, 2);
    test_store_reset(&t);
}

TEST(recovered_direct_bytes_count_for_the_size)
{
    struct test_store t;
    struct ticket ticket;
    test_store_init(&t);
    t.config.direct_append_bytes = 20000;
    t.config.segment_bytes = 64 * 1024;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 11; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 25000), &ticket));
        test_store_settle(&t);
    }
    uint64_t size = log_size_bytes(log);
    expect_true(size > 11 * 25000);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(log_size_bytes(store_find(t.store, 7)), size);
    test_store_reset(&t);
}

TEST(direct_bytes_that_no_row_covers_are_limited)
{
    struct test_store t;
    struct ticket ticket;
    test_store_init(&t);
    t.config.direct_append_bytes = 20000;
    t.config.unmarked_max_bytes = 200 * 1024;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    expect_ok(log_append(log, test_batch_sized(0, 25000), &ticket));
    test_store_settle(&t);
    log_parts(log_state(log))->unmarked +=
        200 * 1024; /* much was written while rows are on their way */
    t.store->unmarked_bytes += 200 * 1024;
    t.store->recycle.rows_phase = ROWS_WRITE;
    expect_ok(log_append(log, test_batch_sized(1, 25000), &ticket));
    test_store_settle(&t);
    expect_false(store_is_done(t.store, ticket, STAGE_COMMITTED));
    t.store->recycle.rows_phase = ROWS_IDLE;
    t.store->due_ns = t.now_ns;
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_true(t.store->unmarked_bytes < 100 * 1024);
    test_store_reset(&t);
}
