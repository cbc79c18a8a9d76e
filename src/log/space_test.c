/* Space: full disks, the reserve, and giving segments back. */
#include "tests/test.h"

#include "io/process.h"
#include "log/store_internal.h"
#include "log/test_store.h"

#include <stdio.h>
#include <stdlib.h>

static void open_small(struct test_store *t)
{
    test_store_init_small(t, 512 * KIB, 128 * KIB);
    expect_ok(test_store_open(t));
    test_store_settle(t);
}

/* From now on there is room for `free` more bytes. */
static void leave_free(struct test_store *t, uint64_t bytes)
{
    uint64_t free_bytes;
    uint64_t large = 1ull << 40;
    sim_disk_set_capacity(t->disk, large);
    expect_ok(disk_free_bytes(t->disk, &free_bytes));
    sim_disk_set_capacity(t->disk, large - free_bytes + bytes);
}

static void give_space(struct test_store *t)
{
    sim_disk_set_capacity(t->disk, 1ull << 40);
    test_store_wait(t, 3000);
}

static enum err append_control(struct log *log, struct ticket *ticket)
{
    const char *value[] = {"settle"};
    return log_append(log, test_batch(value, 1, BATCH_CONTROL), ticket);
}

/* Append until it is refused, one commit each. */
static enum err fill(struct test_store *t, struct log *log, size_t size)
{
    struct ticket ticket;
    enum err err = OK;
    for (uint64_t i = 0; i < 10000 && !err; i++) {
        err = log_append(log, test_batch_sized(i, size), &ticket);
        test_store_settle(t);
    }
    return err;
}

/* ---- full disks ---- */

TEST(on_a_full_disk_data_is_refused_and_what_frees_space_is_still_written)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    leave_free(&t, 100 * KIB);
    expect_err(fill(&t, log, 3000), E_NO_SPACE);
    expect_int(log->hw, log->end); /* what was taken is committed */
    struct ticket ticket;
    for (int i = 0; i < 3; i++) {
        expect_ok(append_control(log, &ticket));
        test_store_settle(&t);
        expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    }
    log_trim(log, log->hw, &ticket);
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_false(t.was_frozen);
    give_space(&t);
    expect_ok(log_append(log, test_batch_sized(1, 3000), &ticket));
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    test_store_reset(&t);
}

TEST(a_journal_file_that_could_not_be_made_leaves_nothing_behind)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    leave_free(&t, 10 * KIB);
    expect_err(fill(&t, log, 3000), E_NO_SPACE);
    size_t files = test_store_files(&t, "journal");
    test_store_wait(&t, 5000);
    expect_int(test_store_files(&t, "journal"), files);
    expect_int(files, t.store->journal.file_count);
    test_store_reset(&t);
}

/* The store's work at any amount of space, then space again: nothing waits for ever. */
TEST(whatever_stalled_on_a_full_disk_goes_on_when_there_is_space)
{
    for (uint64_t room = 0; room < 900 * KIB; room += 12 * KIB) {
        struct test_store t;
        open_small(&t);
        leave_free(&t, room);
        struct log *small = store_log(t.store, 1, LEVEL_FSYNC),
                   *bulk = store_log(t.store, 2, LEVEL_FSYNC),
                   *direct = store_log(t.store, 3, LEVEL_FSYNC),
                   *os = store_log(t.store, 4, LEVEL_OS);
        struct ticket ticket[4], last;
        for (uint64_t i = 0; i < 60; i++) {
            enum err ignored = log_append(small, test_batch_sized(i, 300), &last);
            ignored = log_append(bulk, test_batch_sized(i, 7000), &last);
            ignored = log_append(direct, test_batch_sized(i, 21000), &last);
            ignored = log_append(os, test_batch_sized(i, 2000), &last);
            for (int n = 0; n < 3 && !ignored; n++)
                ignored = append_control(small, &last);
            if (i == 30)
                log_trim(bulk, bulk->hw, NULL);
            test_store_turn(&t, (int)i % 7);
        }
        test_store_wait(&t, 300);
        expect_false(t.was_frozen);
        give_space(&t);
        expect_ok(log_append(small, test_batch_sized(1, 300), &ticket[0]));
        expect_ok(log_append(bulk, test_batch_sized(1, 7000), &ticket[1]));
        expect_ok(log_append(direct, test_batch_sized(1, 21000), &ticket[2]));
        expect_ok(log_append(os, test_batch_sized(1, 2000), &ticket[3]));
        test_store_wait(&t, 200);
        for (int i = 0; i < 4; i++)
            expect_true(store_is_done(t.store, ticket[i], STAGE_COMMITTED));
        int64_t ends[] = {small->end, bulk->end, direct->end};
        expect_ok(test_store_crash(&t, SIM_LOSE, room));
        for (uint64_t i = 0; i < 3; i++)
            expect_int(store_find(t.store, i + 1)->end, ends[i]);
        test_store_reset(&t);
    }
}

/* A file that commits wait for is missing, and an older one has been made free behind it. */
TEST(a_missing_journal_file_is_made_later_although_it_is_not_the_last)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    for (uint64_t i = 0; t.store->recycle.rows_phase != ROWS_WRITE; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 9000), &ticket));
        test_store_turn(&t, (int)i % 3);
        expect_true(i < 1000);
    }
    static char large[50 * KIB];
    memset(large, 'c', sizeof large - 1);
    const char *value[] = {large};
    leave_free(&t, 0);
    for (int i = 0; i < 6; i++)
        expect_ok(log_append(log, test_batch(value, 1, BATCH_CONTROL), &ticket));
    test_store_settle(&t);
    expect_false(t.was_frozen);
    bool missing = false;
    list_each (n, &t.store->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        missing = missing || (f->state == JOURNAL_MISSING && n->next != &t.store->journal.files);
    }
    expect_true(missing);
    int64_t acked = log->hw;
    struct test_store copy = t; /* a power cut now: the generation of the missing file is a gap */
    copy.disk = sim_disk_clone(t.disk);
    copy.store = NULL;
    copy.jobs = NULL;
    sim_disk_crash(copy.disk);
    sim_disk_restart(copy.disk, SIM_LOSE, 1);
    sim_disk_set_capacity(copy.disk, 1ull << 40);
    memset(&copy.replayed, 0, sizeof copy.replayed);
    expect_ok(test_store_open(&copy));
    expect_true(store_find(copy.store, 7)->hw >= acked);
    test_store_reset(&copy);
    give_space(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_true(store_find(t.store, 7)->hw > acked);
    test_store_reset(&t);
}

/* The same, but the machine stops while the disk is full, or the store is stopped. */
TEST(a_store_that_stops_on_a_full_disk_keeps_what_it_acknowledged)
{
    for (uint64_t room = 0; room < 600 * KIB; room += 20 * KIB) {
        for (int way = 0; way < 4; way++) {
            struct test_store t;
            open_small(&t);
            leave_free(&t, room);
            struct log *log = store_log(t.store, 1, LEVEL_FSYNC);
            struct log *direct = store_log(t.store, 3, LEVEL_FSYNC);
            struct ticket ticket;
            for (uint64_t i = 0; i < 40; i++) {
                enum err ignored = log_append(log, test_batch_sized(i, 7000), &ticket);
                ignored = log_append(direct, test_batch_sized(i, 21000), &ticket);
                ignored = append_control(log, &ticket);
                (void)ignored;
                test_store_turn(&t, (int)i % 9);
            }
            int64_t acked[] = {log->hw, direct->hw};
            if (way == 3)
                test_store_stop(&t);
            sim_disk_crash(t.disk);
            test_store_kill(&t);
            sim_disk_set_capacity(t.disk, 1ull << 40);
            sim_disk_restart(t.disk, way == 3 ? SIM_LOSE : (enum sim_restart)way, room);
            expect_ok(test_store_open(&t));
            if (acked[0] > 0)
                expect_true(store_find(t.store, 1)->hw >= acked[0]);
            if (acked[1] > 0)
                expect_true(store_find(t.store, 3)->hw >= acked[1]);
            test_store_reset(&t);
        }
    }
}

TEST(a_direct_round_without_space_waits_and_is_written_later)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    expect_ok(log_append(log, test_batch_sized(0, 21000), &ticket));
    test_store_settle(&t);
    expect_ok(log_append(log, test_batch_sized(1, 21000), &ticket));
    test_store_settle(&t);
    expect_not_null(log_state(log)->direct);
    leave_free(&t, 10 * KIB);
    uint64_t i = 2;
    while (!t.store->direct_stalled && i < 20) {
        expect_ok(log_append(log, test_batch_sized(i++, 21000), &ticket));
        test_store_turn(&t, 100);
    }
    expect_not_null(t.store->direct_stalled);
    expect_false(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_err(log_append(log, test_batch_sized(99, 21000), &ticket), E_NO_SPACE);
    test_store_wait(&t, 2500); /* tried again and again, in vain */
    expect_false(t.was_frozen);
    expect_true(log->hw < log->end);
    give_space(&t);
    expect_null(t.store->direct_stalled);
    expect_int(log->hw, log->end);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, 7)->hw, (int64_t)i);
    test_store_reset(&t);
}

TEST(below_the_reserve_data_is_refused_until_there_is_room_again)
{
    struct test_store t;
    test_store_init(&t);
    t.config.reserve_bytes = 8 * MIB;
    expect_ok(test_store_open(&t));
    test_store_settle(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    expect_ok(test_append(log, "a"));
    leave_free(&t, 6 * MIB);
    test_store_wait(&t, 1500); /* it is looked at once a second while there is work */
    expect_err(test_append(log, "b"), E_NO_SPACE);
    expect_err(log_can_append(log, 100), E_NO_SPACE);
    struct ticket ticket;
    expect_ok(append_control(log, &ticket));
    test_store_settle(&t);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    give_space(&t);
    expect_ok(test_append(log, "b"));
    test_store_reset(&t);
}

TEST(the_reserve_is_not_used_up_between_two_looks)
{
    struct test_store t;
    test_store_init(&t);
    t.config.reserve_bytes = 8 * MIB;
    t.config.journal_file_bytes = 4 * MIB;
    t.config.segment_bytes = 2 * MIB;
    expect_ok(test_store_open(&t));
    test_store_settle(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    expect_ok(test_append(log, "a"));
    leave_free(&t, 24 * MIB);
    test_store_wait(&t, 1500);
    struct ticket ticket;
    enum err err = OK;
    for (uint64_t i = 0; i < 400 && !err; i++) { /* 40 MiB in less than a second */
        do {
            test_store_turn(&t, 0);
            sim_jobs_drain(t.jobs);
        } while (store_is_behind(t.store));
        err = log_append(log, test_batch_sized(i, 100000), &ticket);
    }
    uint64_t free_bytes;
    expect_err(err, E_NO_SPACE);
    expect_ok(disk_free_bytes(t.disk, &free_bytes));
    expect_true(free_bytes > 8 * MIB - 512 * KIB);
    test_store_reset(&t);
}

/* ---- giving back ---- */

/* A log of several sealed segments, direct. */
static struct log *write_segments(struct test_store *t, enum log_level level)
{
    struct log *log = store_log(t->store, 7, level);
    struct ticket ticket;
    for (uint64_t i = 0; i < 40; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 21000), &ticket));
        test_store_settle(t);
    }
    expect_true(test_store_files(t, "logs/7") > 8);
    return log;
}

static void write_rows(struct test_store *t)
{
    recycle_start_mark(t->store);
    test_store_wait(t, 300);
}

/* A large batch made the log direct, and nothing came after it: its direct part is empty, and the batch is still the
 * journal's. While a helper writes it into a segment the log is trimmed right behind it, so a row may say that nothing
 * grows below that, and the segment goes. */
TEST(a_segment_that_a_trim_has_passed_while_it_was_written_is_not_gone_on_with)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct test_store t;
        struct ticket ticket;
        test_store_init_small(&t, 256 * KIB, 1 * MIB);
        expect_ok(test_store_open(&t));
        random_init(&t.random, seed);
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        expect_ok(log_append(log, test_batch_sized(0, 30 * KIB), &ticket));
        test_store_wait(&t, 3500);
        expect_int(log_parts(log_state(log))->direct_to, 1);
        materialise_log(t.store, log_state(log), false, UINT64_MAX);
        log_trim(log, 1, &ticket);
        recycle_start_mark(t.store);
        for (int turns = 0; turns < 20; turns++) {
            t.now_ns += 100000000;
            test_store_turn(&t, 1 + turns / 10);
        }
        test_store_settle(&t);
        expect_ok(test_append(log, "b"));
        test_store_settle(&t);
        materialise_log(t.store, log_state(log), false, UINT64_MAX);
        write_rows(&t);
        expect_false(t.was_frozen);
        expect_ok(test_store_crash(&t, SIM_LOSE, seed));
        expect_string(test_store_values(&t, store_find(t.store, 7), 1), "b");
        test_store_reset(&t);
    }
}

TEST(segments_go_only_when_a_durable_row_says_where_the_log_starts)
{
    struct test_store t;
    open_small(&t);
    struct log *log = write_segments(&t, LEVEL_FSYNC);
    write_rows(&t);
    size_t files = test_store_files(&t, "logs/7");
    sim_disk_fail(t.disk, SIM_WRITE, 2, E_IO); /* the row; the first is the START entry */
    struct ticket ticket;
    log_trim(log, 30, &ticket);
    store_flush(t.store);
    recycle_start_mark(t.store);
    test_store_wait(&t, 300);
    expect_true(t.was_frozen);
    expect_int(test_store_files(&t, "logs/7"), files);
    test_store_reset(&t);

    open_small(&t);
    log = write_segments(&t, LEVEL_FSYNC);
    files = test_store_files(&t, "logs/7");
    log_trim(log, 30, &ticket);
    test_store_settle(&t);
    write_rows(&t);
    expect_ok(log_append(log, test_batch_sized(40, 21000), &ticket));
    test_store_settle(&t);
    write_rows(&t);
    expect_true(test_store_files(&t, "logs/7") < files - 6);
    struct log_read r = {.from = 30, .limit = log->hw, .max_bytes = 1};
    test_store_read(&t, log, &r);
    expect_ok(r.err);
    expect_int(r.batches[0].base_offset, 30);
    log_read_end(&r);
    test_store_reset(&t);
}

static struct job helper_job;
static bool helper_job_ran;

static void note_ran(struct job *job)
{
    (void)job;
    helper_job_ran = true;
}

/* A large segment is trimmed: its name has gone when this returns, its space has not. How often files were
 * truncated until then. */
static uint64_t trim_a_large_segment(struct test_store *t, uint64_t seed)
{
    test_store_init(t);
    random_init(&t->random, seed);
    t->config.segment_bytes = 13 * MIB;
    t->config.direct_append_bytes = 100 * KIB;
    t->config.allocate_bytes = 1 * MIB;
    expect_ok(test_store_open(t));
    struct log *log = store_log(t->store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    for (uint64_t i = 0; i < 30; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 1 * MIB), &ticket));
        test_store_settle(t);
    }
    write_rows(t);
    uint64_t truncates = sim_disk_stats(t->disk)->calls[SIM_TRUNCATE];
    size_t files = test_store_files(t, "logs/7");
    log_trim(log, 20, NULL);
    expect_ok(test_append(log, "x"));
    test_store_settle(t);
    recycle_start_mark(t->store);
    for (int i = 0; i < 1000; i++) {
        test_store_turn(t, 1);
        if (test_store_files(t, "logs/7") < files && !log_state(log)->trimming)
            break;
    }
    expect_true(test_store_files(t, "logs/7") < files);
    expect_int(sim_disk_stats(t->disk)->calls[SIM_TRUNCATE], truncates);
    return truncates;
}

/* True when a helper's job that came later ran before its space went. */
static bool space_is_overtaken(uint64_t seed)
{
    struct test_store t;
    uint64_t truncates = trim_a_large_segment(&t, seed);
    const struct sim_disk_stats *stats = sim_disk_stats(t.disk);
    bool overtaken = false;
    helper_job = (struct job){.run = note_ran};
    helper_job_ran = false;
    jobs_submit(t.jobs, LANE_HELPER, &helper_job);
    for (int i = 0; i < 1000 && stats->calls[SIM_TRUNCATE] < truncates + 3; i++) {
        test_store_turn(&t, 1);
        overtaken |= helper_job_ran && stats->calls[SIM_TRUNCATE] == truncates;
    }
    expect_true(stats->calls[SIM_TRUNCATE] >= truncates + 3);
    test_store_reset(&t);
    return overtaken;
}

/* Its name goes and the log is told; its space goes in steps, which takes long. */
TEST(others_files_are_made_while_the_space_of_a_large_segment_goes_in_steps)
{
    int overtaken = 0;
    for (uint64_t seed = 1; seed <= 8; seed++)
        overtaken += space_is_overtaken(seed);
    expect_true(overtaken > 0 && overtaken < 8);
}

TEST(a_stop_does_not_wait_for_steps)
{
    struct test_store t;
    uint64_t truncates = trim_a_large_segment(&t, 1);
    test_store_stop(&t);
    expect_int(sim_disk_stats(t.disk)->calls[SIM_TRUNCATE], truncates);
    test_store_reset(&t);
}

TEST(a_deleted_logs_folder_goes_when_the_deletion_is_durable)
{
    struct test_store t;
    open_small(&t);
    struct log *log = write_segments(&t, LEVEL_FSYNC);
    size_t files = test_store_files(&t, "logs/7");
    struct ticket ticket;
    log_delete(log, &ticket);
    store_tick(t.store, t.now_ns); /* not flushed: nothing is durable */
    sim_jobs_drain(t.jobs);
    expect_int(test_store_files(&t, "logs/7"), files);
    test_store_wait(&t, 500);
    expect_int(test_store_files(&t, "logs"), 0);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    test_store_wait(&t, 500);
    expect_null(store_find(t.store, 7));
    expect_int(test_store_files(&t, "logs"), 0);
    test_store_reset(&t);
}

TEST(a_deletion_that_was_cut_before_its_files_went_is_finished_by_the_next_run)
{
    struct test_store t;
    open_small(&t);
    struct log *log = write_segments(&t, LEVEL_FSYNC);
    write_rows(&t);
    struct ticket ticket;
    log_delete(log, &ticket);
    store_flush(t.store);
    sim_jobs_drain(t.jobs);
    expect_true(store_is_done(t.store, ticket, STAGE_COMMITTED));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_true(test_store_files(&t, "logs/7") > 0);
    test_store_wait(&t, 500);
    expect_int(test_store_files(&t, "logs"), 0);
    test_store_reset(&t);
}

TEST(memory_of_a_burst_is_given_back_some_seconds_later)
{
    struct test_store t;
    test_store_init(&t);
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    for (uint64_t i = 0; i < 60; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 200 * KIB), &ticket));
        test_store_turn(&t, 100);
    }
    struct store_stats s;
    store_stats(t.store, &s);
    expect_true(s.cached_bytes > 4 * MIB);
    test_store_wait(&t, 8000);
    store_stats(t.store, &s);
    expect_true(s.cached_bytes <= 2 * MIB);
    expect_int(t.store->pool_count, 0);
    expect_int(store_next_due(t.store), INT64_MAX); /* an idle store sleeps */
    test_store_reset(&t);
}

TEST(a_log_deleted_before_its_first_row_leaves_no_folder_after_a_crash)
{
    struct test_store t;
    struct ticket ticket;
    test_store_init(&t);
    t.config.direct_append_bytes = 20000;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 5; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 25000), &ticket));
        test_store_settle(&t);
    }
    expect_int(test_store_files(&t, "logs"), 1);
    expect_false(log_state(log)->has_row);
    log_delete(log, &ticket);
    for (int i = 0; i < 100 && !store_is_done(t.store, ticket, STAGE_COMMITTED); i++) {
        store_flush(t.store); /* no tick: nothing is removed yet */
        sim_jobs_drain(t.jobs);
    }
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_true(store_find(t.store, 7) == NULL);
    test_store_wait(&t, 3000);
    expect_int(test_store_files(&t, "logs"), 0);
    test_store_reset(&t);
}

TEST(deleted_logs_leave_memory_soon_although_no_journal_file_is_renewed)
{
    struct test_store t;
    test_store_init(&t);
    expect_ok(test_store_open(&t));
    for (uint64_t i = 1; i <= 50; i++)
        expect_ok(test_append(store_log(t.store, i, LEVEL_FSYNC), "a"));
    test_store_settle(&t);
    test_store_stop(&t); /* gives them rows */
    expect_ok(test_store_open(&t));
    for (uint64_t i = 1; i <= 50; i++)
        log_delete(store_find(t.store, i), NULL);
    test_store_wait(&t, 3000);
    expect_true(list_is_empty(&t.store->dirty));
    expect_int(t.store->doomed.count, 0);
    test_store_reset(&t);
}

/* ---- memory ---- */

static void wait_with_appends(struct test_store *t, struct log *log, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        expect_ok(test_append(log, "a"));
        test_store_wait(t, 1000);
    }
}

TEST(a_process_that_grows_gives_back_what_it_has_freed_now_and_then)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    wait_with_appends(&t, log, 2);
    expect_true(t.store->trimmed_ns != INT64_MIN);
    volatile uint8_t *held = xmalloc(64 * MIB);
    for (size_t i = 0; i < 64 * MIB; i += 4 * KIB)
        held[i] = 1;
    int64_t first = t.store->trimmed_ns;
    wait_with_appends(&t, log, 40);
    expect_int(t.store->trimmed_ns, first); /* so soon it would cost more than it brings */
    wait_with_appends(&t, log, 25);
    int64_t second = t.store->trimmed_ns;
    expect_true(second > first);
    expect_true(t.store->trimmed_bytes > 64 * MIB);
    wait_with_appends(&t, log, 70);
    expect_int(t.store->trimmed_ns, second); /* it has not grown */
    free((void *)held);
    wait_with_appends(&t, log, 2);
    expect_true(t.store->trimmed_bytes < process_rss_bytes() + 32 * MIB);
    test_store_reset(&t);
}
