/* The journal's files and records: what recovery makes of each kind of damage. */
#include "tests/test.h"

#include "base/crc32c.h"
#include "base/say.h"
#include "log/store_internal.h"
#include "log/test_store.h"

#include <stdio.h>

static const char *const first_path = "journal/000001.journal";

static void open_small(struct test_store *t)
{
    test_store_init(t);
    t->config.journal_first_bytes = t->config.journal_file_bytes = 64 * KIB;
    t->config.journal_max_bytes = 1 * MIB;
    t->config.carry_bytes = 4 * KIB;
    expect_ok(test_store_open(t));
    test_store_settle(t);
}

/* One record of the journal for each of the values. */
static void append_each(struct test_store *t, struct log *log, const char *values)
{
    for (const char *v = values; *v; v++) {
        expect_ok(test_append(log, (char[]){*v, 0}));
        test_store_settle(t);
    }
}

/* The position of record number `n` (0: the first) in a journal file; 0: there are not so many. */
static uint64_t record_position(const struct text *file, int n)
{
    struct record_header h;
    uint64_t at = JOURNAL_HEADER_BYTES;
    while (at + RECORD_HEADER_BYTES <= file->size && record_header_get(file->data + at, &h)) {
        if (n-- == 0)
            return at;
        at += h.size;
    }
    return 0;
}

static int record_count(const struct text *file)
{
    int n = 0;
    while (record_position(file, n))
        n++;
    return n;
}

static void damage_record(struct test_store *t, const char *path, int n)
{
    struct text file = test_file_get(t, path);
    uint64_t at = record_position(&file, n);
    expect_true(at > 0);
    text_reset(&file);
    expect_ok(sim_disk_flip(t->disk, path, at + RECORD_HEADER_BYTES + 20));
}

/* ---- rot and torn tails ---- */

TEST(damage_below_a_synced_record_refuses_to_open)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abc");
    test_store_kill(&t);
    damage_record(&t, first_path, 2); /* RUN, a, b, c */
    expect_err(test_store_open(&t), E_CORRUPT);
    expect_err_text("000001");
    test_store_reset(&t);
}

TEST(damage_in_any_record_but_the_last_refuses_to_open)
{
    for (int n = 0;; n++) {
        struct test_store t;
        open_small(&t);
        append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abcdef");
        test_store_kill(&t);
        struct text file = test_file_get(&t, first_path);
        int count = record_count(&file);
        text_reset(&file);
        if (n == count - 1) {
            expect_true(n >= 6);
            test_store_reset(&t);
            return;
        }
        damage_record(&t, first_path, n);
        expect_err(test_store_open(&t), E_CORRUPT);
        test_store_reset(&t);
    }
}

static int warnings;

static void count_warnings(const char *line, uint32_t size)
{
    (void)size;
    warnings += strstr(line, "WARN log") != NULL;
}

TEST(damage_in_the_last_record_is_told_of_since_it_may_be_more_than_a_torn_write)
{
    for (uint64_t at = 0; at < RECORD_HEADER_BYTES + 8; at++) {
        struct test_store t;
        open_small(&t);
        append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abc");
        test_store_kill(&t);
        warnings = 0;
        say_set_sink(count_warnings);
        expect_ok(test_store_open(&t));
        expect_int(warnings, 0);
        test_store_kill(&t);
        say_set_sink(count_warnings);
        struct text file = test_file_get(&t, first_path);
        uint64_t last = record_position(&file, record_count(&file) - 1);
        text_reset(&file);
        expect_ok(sim_disk_flip(t.disk, first_path, last + at));
        expect_ok(test_store_open(&t));
        say_set_sink(NULL);
        expect_int(warnings, 1);
        test_store_reset(&t);
    }
}

TEST(with_accept_loss_a_damaged_journal_is_read_up_to_the_damage_and_goes_on)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abcd");
    test_store_kill(&t);
    damage_record(&t, first_path, 2);
    t.config.accept_loss = true;
    expect_ok(test_store_open(&t));
    struct log *log = store_find(t.store, 7);
    expect_string(test_store_values(&t, log, 0), "a");
    append_each(&t, log, "x");
    expect_string(test_store_values(&t, log, 0), "a x");
    t.config.accept_loss = false; /* the loss was accepted once and is over */
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a x");
    test_store_reset(&t);
}

TEST(a_loss_below_what_rows_speak_of_does_not_swallow_later_appends)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append_each(&t, log, "abcd");
    log_trim(log, 4, NULL);
    test_store_settle(&t);
    test_store_stop(&t); /* writes the row: nothing before the journal's end counts */
    damage_record(&t, first_path, 1);
    t.config.accept_loss = true;
    expect_ok(test_store_open(&t));
    log = store_find(t.store, 7);
    expect_int(log->end, 4);
    append_each(&t, log, "xy");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    expect_int(log->end, 6);
    expect_string(test_store_values(&t, log, 4), "x y");
    test_store_reset(&t);
}

TEST(a_run_after_an_accepted_loss_has_a_higher_epoch_than_every_run_before)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "a");
    for (uint64_t i = 0; i < 5; i++)
        expect_ok(test_store_crash(&t, SIM_LOSE, i));
    test_store_settle(&t);
    int32_t epoch = store_epoch(t.store);
    test_store_kill(&t);
    damage_record(&t, first_path, 0);
    t.config.accept_loss = true;
    expect_ok(test_store_open(&t));
    expect_true(store_epoch(t.store) > epoch);
    test_store_reset(&t);
}

TEST(damage_in_the_last_record_of_a_file_is_rot_when_the_next_file_has_one_record)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct text second = {0};
    for (uint64_t i = 0; record_count(&second) == 0; i++) {
        struct ticket ticket;
        expect_ok(log_append(log, test_batch_sized(i, 9000), &ticket));
        test_store_settle(&t);
        text_reset(&second);
        second = test_file_get(&t, "journal/000002.journal");
    }
    expect_int(record_count(&second), 1);
    text_reset(&second);
    test_store_kill(&t);
    struct text first = test_file_get(&t, first_path);
    damage_record(&t, first_path, record_count(&first) - 1);
    text_reset(&first);
    expect_err(test_store_open(&t), E_CORRUPT);
    test_store_reset(&t);
}

/* Damage as wide as a record's header, which leaves nothing there that looks like a record. */
static void blank_record(struct test_store *t, const char *path)
{
    static const uint8_t blank[RECORD_HEADER_BYTES];
    struct text file = test_file_get(t, path);
    memcpy(file.data + JOURNAL_HEADER_BYTES, blank, sizeof blank);
    test_file_put(t, path, text_bytes(&file));
    text_reset(&file);
}

TEST(a_file_that_holds_records_and_does_not_begin_with_one_is_rot_in_every_place_of_the_chain)
{
    for (int place = 0; place < 3; place++) {
        struct test_store t;
        open_small(&t);
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        struct ticket ticket;
        for (uint64_t i = 0; journal_newest_file(t.store)->generation < 3; i++) {
            expect_ok(log_append(log, test_batch_sized(i, 9000), &ticket));
            test_store_settle(&t);
        }
        expect_ok(log_append(log, test_batch_sized(0, 9000), &ticket));
        test_store_settle(&t);
        struct list *n = t.store->journal.files.next;
        for (int i = 0; i < place; i++)
            n = n->next;
        char path[32];
        journal_path(container_of(n, struct journal_file, node)->slot, path);
        test_store_kill(&t);
        blank_record(&t, path);
        expect_err(test_store_open(&t), E_CORRUPT);
        test_store_reset(&t);
    }
}

/* What the first file's header says of where its records are. */
static void set_records_below(struct test_store *t, uint32_t version, uint64_t position)
{
    struct text file = test_file_get(t, first_path);
    put_u32(file.data + 8, version);
    put_u64(file.data + 40, position);
    put_u32(file.data + 12, crc32c(file.data + 16, 32));
    test_file_put(t, first_path, text_bytes(&file));
    text_reset(&file);
}

TEST(a_journal_file_whose_records_would_lie_behind_its_end_is_refused)
{
    struct test_store t;
    open_small(&t);
    struct journal_file *first =
        container_of(t.store->journal.files.next, struct journal_file, node);
    uint64_t size = first->size;
    test_store_kill(&t);
    set_records_below(&t, 2, size + 1);
    expect_err(test_store_open(&t), E_CORRUPT);
    set_records_below(&t, 3, size);
    expect_err(test_store_open(&t), E_UNSUPPORTED);
    test_store_reset(&t);
}

TEST(a_journal_file_of_version_1_is_read_whole_whatever_lies_in_the_place_of_what_came_later)
{
    for (uint64_t said = 0; said < 3; said++) {
        struct test_store t;
        open_small(&t);
        append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abc");
        test_store_kill(&t);
        set_records_below(&t, 1, said);
        expect_ok(test_store_open(&t));
        expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b c");
        expect_ok(test_append(store_find(t.store, 7), "d"));
        test_store_settle(&t);
        expect_ok(test_store_crash(&t, SIM_LOSE, 1));
        expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b c d");
        test_store_reset(&t);
    }
}

TEST(a_start_reads_a_journal_file_as_far_as_its_header_says)
{
    struct test_store t;
    test_store_init(&t);
    t.config.journal_first_bytes = t.config.journal_file_bytes = 8 * MIB;
    t.config.journal_max_bytes = 64 * MIB;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    for (uint64_t i = 0; i < 120; i++) { /* beyond one step of what the header says */
        expect_ok(log_append(log, test_batch_sized(i, 10000), &ticket));
        test_store_settle(&t);
        uint64_t said = journal_newest_file(t.store)->records_below;
        expect_true(journal_newest_file(t.store)->used <= said);
        expect_true(said <= journal_newest_file(t.store)->used + 256 * KIB + 4 * KIB);
    }
    int64_t end = log->end;
    test_store_kill(&t);
    uint64_t read_bytes = sim_disk_stats(t.disk)->read_bytes;
    expect_ok(test_store_open(&t));
    expect_true(sim_disk_stats(t.disk)->read_bytes - read_bytes < 2 * MIB);
    expect_int(store_find(t.store, 7)->end, end);
    test_store_reset(&t);
}

TEST(damage_in_the_only_record_of_the_oldest_file_is_rot)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    test_store_kill(&t);
    /* A run whose first record fills a file of its own. */
    expect_ok(test_store_open(&t));
    log = store_log(t.store, 7, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 200; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 45000), &ticket));
        test_store_settle(&t);
    }
    struct journal_file *oldest =
        container_of(t.store->journal.files.next, struct journal_file, node);
    char path[32];
    journal_path(oldest->slot, path);
    test_store_kill(&t);
    struct text file = test_file_get(&t, path);
    expect_int(record_count(&file), 1);
    text_reset(&file);
    damage_record(&t, path, 0);
    expect_err(test_store_open(&t), E_CORRUPT);
    test_store_reset(&t);
}

/* A write that stops at any byte was told to nobody. */
TEST(a_torn_tail_is_dropped_silently_at_every_sector)
{
    for (size_t cut = 0;; cut += 500) {
        struct test_store t;
        test_store_init(&t);
        t.disk->block_bytes = 512;
        expect_ok(test_store_open(&t));
        test_store_settle(&t);
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        append_each(&t, log, "a");
        struct ticket ticket;
        expect_ok(log_append(log, test_batch_sized(1, 3000), &ticket));
        expect_ok(test_append(log, "tail"));
        sim_disk_crash_at(t.disk, sim_disk_stats(t.disk)->operations + 1, cut);
        store_flush(t.store);
        sim_jobs_drain(t.jobs);
        expect_true(sim_disk_has_crashed(t.disk));
        expect_ok(test_store_crash(&t, SIM_KEEP, 1));
        log = store_find(t.store, 7);
        bool whole = log->end == 3;
        expect_true(whole || log->end == 1);
        append_each(&t, log, "b");
        expect_ok(test_store_crash(&t, SIM_LOSE, 1));
        log = store_find(t.store, 7);
        expect_int(log->end, whole ? 4 : 2);
        expect_string(test_store_values(&t, log, log->end - 1), "b");
        test_store_reset(&t);
        if (whole)
            break;
        expect_true(cut < 8192);
    }
}

TEST(records_of_an_older_generation_are_not_read_again)
{
    struct test_store t;
    open_small(&t);
    t.config.journal_max_bytes = 256 * KIB;
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    for (uint64_t i = 0; i < 60; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 9000), &ticket));
        test_store_settle(&t);
    }
    int64_t end = log->end;
    uint64_t generation = t.store->journal.generation;
    expect_true(generation > t.store->journal.file_count); /* some were renewed */
    /* Empty files still hold the records of their generation before. */
    struct journal_file *newest =
        container_of(t.store->journal.files.prev, struct journal_file, node);
    expect_int(newest->used, 0);
    char path[32];
    journal_path(newest->slot, path);
    struct text file = test_file_get(&t, path);
    struct record_header h;
    expect_true(record_header_get(file.data + JOURNAL_HEADER_BYTES, &h));
    expect_true(h.generation < newest->generation);
    text_reset(&file);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, 7)->end, end);
    test_store_reset(&t);
}

/* ---- file headers ---- */

TEST(a_damaged_file_header_in_front_of_records_is_rot)
{
    for (uint64_t at = 0; at < 48; at += 3) {
        struct test_store t;
        open_small(&t);
        append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abc");
        test_store_kill(&t);
        expect_ok(sim_disk_flip(t.disk, first_path, at));
        enum err err = test_store_open(&t);
        if (at < 8 || at >= 12)
            expect_err(err, E_CORRUPT);
        else
            expect_err(err, E_UNSUPPORTED);
        struct text file = test_file_get(&t, first_path);
        expect_true(file.size > 0);
        text_reset(&file);
        test_store_reset(&t);
    }
}

TEST(a_file_of_a_newer_format_is_refused_and_stays)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abc");
    test_store_kill(&t);
    struct text file = test_file_get(&t, first_path);
    put_u32(file.data + 8, 3);
    test_file_put(&t, first_path, text_bytes(&file));
    text_reset(&file);
    expect_err(test_store_open(&t), E_UNSUPPORTED);
    file = test_file_get(&t, first_path);
    expect_true(file.size > 0);
    text_reset(&file);
    test_store_reset(&t);
}

TEST(a_file_that_was_never_finished_is_made_anew)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abc");
    test_store_kill(&t);
    test_file_put(&t, "journal/000009.journal", BYTES_LITERAL("short"));
    struct text zeros = {0};
    text_append_zeros(&zeros, 8192);
    test_file_put(&t, "journal/000010.journal", text_bytes(&zeros));
    test_file_put(&t, "journal/notes.txt", BYTES_LITERAL("not ours"));
    text_reset(&zeros);
    expect_ok(test_store_open(&t));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b c");
    struct text file = test_file_get(&t, "journal/000009.journal");
    expect_int(file.size, 0);
    file = test_file_get(&t, "journal/notes.txt");
    expect_true(file.size > 0);
    text_reset(&file);
    test_store_reset(&t);
}

/* A copy of the data directory on a device with larger blocks. */
TEST(records_go_on_when_the_devices_blocks_have_become_larger)
{
    struct test_store t;
    test_store_init(&t);
    t.disk->block_bytes = 512;
    expect_ok(test_store_open(&t));
    test_store_settle(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "abc");
    test_store_kill(&t);
    t.disk->block_bytes = 4096;
    expect_ok(test_store_open(&t));
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "de");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "f");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b c d e f");
    test_store_reset(&t);
}

/* ---- what is durable after a recovery ---- */

TEST(what_a_killed_process_wrote_is_synced_before_it_is_shown)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_OS);
    append_each(&t, log, "a");
    test_store_wait(&t, 2000);
    expect_ok(test_append(log, "b"));
    store_flush(t.store);
    sim_jobs_drain(t.jobs); /* written, not synced */
    expect_int(log->hw, 2);
    expect_int(log->durable, 1);
    test_store_kill(&t);
    expect_ok(test_store_open(&t));
    log = store_find(t.store, 7);
    expect_int(log->hw, 2);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1)); /* before anything else was written */
    expect_int(store_find(t.store, 7)->hw, 2);
    test_store_reset(&t);
}

TEST(what_is_written_and_not_synced_is_remembered_by_what_one_sync_makes_durable)
{
    struct test_store t;
    open_small(&t);
    struct log *os = store_log(t.store, 7, LEVEL_OS);
    for (int i = 0; i < 100; i++) {
        expect_ok(test_append(os, "x"));
        store_flush(t.store);
        sim_jobs_drain(t.jobs);
    }
    expect_int(os->durable, 0);
    expect_int(log_state(os)->pieces.count, 1);
    t.now_ns += 2000000000;
    store_set_time(t.store, t.now_ns);
    expect_ok(test_append(os, "y"));
    store_flush(t.store);   /* begins the commit of y and the sync of what was before it */
    sim_jobs_drain(t.jobs); /* which end in this order */
    expect_int(os->hw, 101);
    expect_int(os->durable, 100);
    expect_int(log_state(os)->pieces.count, 1);
    test_store_wait(&t, 2000);
    expect_int(os->durable, 101);
    expect_int(log_state(os)->pieces.count, 0);
    test_store_reset(&t);
}

TEST(a_stop_in_good_order_keeps_logs_of_level_os_over_a_power_cut)
{
    struct test_store t;
    open_small(&t);
    struct log *os = store_log(t.store, 7, LEVEL_OS);
    append_each(&t, os, "a");
    test_store_wait(&t, 2000);
    expect_ok(test_append(os, "b"));
    store_flush(t.store);
    sim_jobs_drain(t.jobs);
    log_trim(os, 2, NULL);
    test_store_stop(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    os = store_log(t.store, 7, LEVEL_FSYNC);
    expect_int(os->end, 2);
    append_each(&t, os, "cd");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    os = store_find(t.store, 7);
    expect_int(os->end, 4);
    expect_string(test_store_values(&t, os, 2), "c d");
    test_store_reset(&t);
}

/* ---- records that end within a block ---- */

static uint64_t journal_used(struct test_store *t)
{
    return journal_end_address(t->store);
}

TEST(small_commits_of_level_os_take_no_blocks_and_synced_ones_end_with_one)
{
    struct test_store t;
    open_small(&t);
    uint64_t block = t.disk->block_bytes, before = journal_used(&t);
    struct log *os = store_log(t.store, 7, LEVEL_OS);
    append_each(&t, os, "abcdefgh");
    expect_true(journal_used(&t) < before + block);
    expect_true(journal_used(&t) % block != 0);
    append_each(&t, store_log(t.store, 8, LEVEL_FSYNC), "x");
    expect_int(journal_used(&t) % block, 0);
    expect_true(journal_used(&t) <= before + 2 * block);
    append_each(&t, os, "i");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 8), 0), "x");
    os = store_find(t.store, 7);
    expect_true(os->hw >= 8);
    append_each(&t, os, "j");
    test_store_kill(&t);
    expect_ok(test_store_open(&t));
    test_store_kill(&t);
    expect_ok(test_store_open(&t));
    os = store_find(t.store, 7);
    append_each(&t, os, "k");
    expect_int(test_store_values(&t, os, os->hw - 1)[0], 'k');
    test_store_reset(&t);
}

TEST(records_within_blocks_are_read_from_memory_across_chunks)
{
    enum { COUNT = 1500, SIZE = 3000 };
    struct test_store t;
    open_small(&t);
    struct log *os = store_log(t.store, 7, LEVEL_OS);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct ticket ticket;
        expect_ok(log_append(os, test_batch_sized(i, SIZE), &ticket));
        test_store_turn(&t, 0);
        sim_jobs_drain(t.jobs);
    }
    for (int64_t at = os->hw - 1; at > os->hw - 300; at--) {
        struct log_batch b;
        size_t count;
        if (log_peek(os, at, os->hw, 1, &b, 1, &count) != OK)
            break;
        struct batch parsed;
        expect_ok(batch_parse(b.raw, &parsed));
        check(batch_is_intact(&parsed) && b.base_offset == at);
    }
    test_store_reset(&t);
}

TEST(damage_in_a_synced_record_between_records_within_blocks_refuses_to_open)
{
    struct test_store t;
    open_small(&t);
    struct log *os = store_log(t.store, 7, LEVEL_OS), *log = store_log(t.store, 8, LEVEL_FSYNC);
    append_each(&t, os, "ab");
    uint64_t synced_at = journal_used(&t) - JOURNAL_FIRST_ADDRESS;
    append_each(&t, log, "x");
    uint64_t next_at = journal_used(&t) - JOURNAL_FIRST_ADDRESS;
    append_each(&t, os, "cd"); /* d begins within a block, and tells that x was synced */
    test_store_kill(&t);
    expect_ok(sim_disk_flip(t.disk, first_path, synced_at + RECORD_HEADER_BYTES + 20));
    expect_ok(sim_disk_flip(t.disk, first_path, next_at + RECORD_HEADER_BYTES + 20));
    expect_err(test_store_open(&t), E_CORRUPT);
    test_store_reset(&t);
}

/* Killed between the sync of a new file and that of its directory. */
TEST(a_journal_file_whose_directory_was_not_synced_is_not_lost_later)
{
    struct test_store t;
    test_store_init(&t);
    t.config.journal_first_bytes = t.config.journal_file_bytes = 64 * KIB;
    t.config.journal_max_bytes = 1 * MIB;
    expect_ok(test_store_open(&t));
    sim_disk_fail(t.disk, SIM_SYNC_DIR, 1, E_IO); /* of the file that is made ahead */
    test_store_settle(&t);
    expect_true(t.was_frozen);
    test_store_kill(&t);
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    for (uint64_t i = 0; i < 12; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 9000), &ticket));
        test_store_settle(&t);
    }
    expect_int(log->hw, 12);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, 7)->hw, 12);
    test_store_reset(&t);
}

/* ---- entries that no writer writes ---- */

/* Change bytes of a record and make its checksum right again. */
static void patch_record(struct test_store *t, int n, size_t at, const void *bytes, size_t size)
{
    struct text file = test_file_get(t, first_path);
    uint64_t start = record_position(&file, n);
    struct record_header h;
    expect_true(start && record_header_get(file.data + start, &h));
    memcpy(file.data + start + at, bytes, size);
    put_u32(file.data + start + 4, crc32c(file.data + start + 8, h.size - 8));
    test_file_put(t, first_path, text_bytes(&file));
    text_reset(&file);
}

static void expect_refused(size_t at, const void *bytes, size_t size)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "a");
    test_store_kill(&t);
    patch_record(&t, 1, at, bytes, size);
    expect_err(test_store_open(&t), E_CORRUPT);
    test_store_reset(&t);
}

TEST(entries_that_do_not_fit_their_record_are_refused)
{
    static const uint8_t huge[4] = {0xff, 0xff, 0xff, 0xf8}, odd[4] = {0, 0, 0, 9}, zero[4] = {0},
                         small[4] = {0, 0, 0, 16}, type = 99;
    enum { ENTRY = RECORD_HEADER_BYTES, SIZE = ENTRY + 4, LOGS = ENTRY + 2 };
    expect_refused(SIZE, huge, 4);
    expect_refused(SIZE, odd, 4);
    expect_refused(SIZE, zero, 4);
    expect_refused(SIZE, small, 4); /* a DATA entry that cannot hold its log */
    expect_refused(ENTRY, &type, 1);
    expect_refused(LOGS, zero, 2);
    expect_refused(LOGS, huge, 2);
    expect_refused(48, zero, 4); /* the number of entries */
}

TEST(a_batch_that_starts_behind_the_end_of_its_log_is_rot)
{
    uint8_t base[8];
    put_u64(base, 5);
    expect_refused(RECORD_HEADER_BYTES + ENTRY_HEADER_BYTES + 8, base, 8);
    put_u64(base, UINT64_MAX); /* and a negative offset */
    expect_refused(RECORD_HEADER_BYTES + ENTRY_HEADER_BYTES + 8, base, 8);
}

/* ---- a commit of several records ---- */

TEST(a_commit_of_several_records_is_all_or_nothing)
{
    for (int written = 0; written < 3; written++) {
        struct test_store t;
        open_small(&t);
        expect_ok(test_append(store_log(t.store, 1, LEVEL_FSYNC), "before"));
        test_store_settle(&t);
        if (written < 2)
            sim_disk_fail(t.disk, SIM_WRITE, (uint64_t)written + 1, E_IO);
        test_append_across_files(&t);
        test_store_settle(&t);
        expect_int(t.was_frozen, written < 2);
        expect_ok(test_store_crash(&t, SIM_KEEP, 1));
        bool all = written == 2;
        expect_int(store_find(t.store, 1)->end, all ? 2 : 1);
        struct log *second = store_find(t.store, 2);
        expect_int(second ? second->end : 0, all ? 1 : 0);

        /* What comes behind a commit without its end counts, whatever lies before it. */
        expect_ok(test_append(store_log(t.store, 1, LEVEL_FSYNC), "behind"));
        test_store_settle(&t);
        expect_ok(test_store_crash(&t, SIM_LOSE, 1));
        expect_int(store_find(t.store, 1)->end, all ? 3 : 2);
        second = store_find(t.store, 2);
        expect_int(second ? second->end : 0, all ? 1 : 0);
        test_store_reset(&t);
    }
}

static struct journal_file *file_in_slot(struct test_store *t, uint32_t slot)
{
    list_each (n, &t->store->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->slot == slot)
            return f;
    }
    return NULL;
}

/* A torn commit begins the second file. */
static void kill_in_commit_across_files(struct test_store *t)
{
    open_small(t);
    t->config.journal_max_bytes = 384 * KIB;
    expect_ok(test_store_crash(t, SIM_KEEP, 1));
    expect_ok(test_append(store_log(t->store, 1, LEVEL_FSYNC), "before"));
    test_store_settle(t);
    test_append_across_files(t);
    sim_jobs_drain(t->jobs);
    test_store_kill(t);
    struct text first = test_file_get(t, first_path);
    damage_record(t, first_path, record_count(&first) - 1);
    damage_record(t, "journal/000002.journal", 0);
    text_reset(&first);
}

/* The file is then too small for what comes, and becomes the oldest one when the first is used again. */
TEST(what_a_torn_commit_left_is_never_taken_for_the_journal_s_beginning)
{
    struct test_store t;
    struct ticket ticket;
    kill_in_commit_across_files(&t);
    expect_ok(test_store_open(&t));
    expect_int(store_find(t.store, 1)->end, 1);
    uint64_t generation = file_in_slot(&t, 1)->generation;
    for (int64_t appended = 0; appended < 20;) {
        struct log *log = store_log(t.store, 3, LEVEL_FSYNC);
        expect_ok(log_append(log, test_batch_sized((uint64_t)appended, 70000), &ticket));
        test_store_settle(&t);
        expect_int(log->hw, ++appended);
        expect_ok(test_store_crash(&t, SIM_KEEP, 1));
        expect_int(store_find(t.store, 3)->hw, appended);
    }
    expect_true(file_in_slot(&t, 1)->generation > generation);
    expect_null(store_find(t.store, 2)); /* it was only in the torn commit */
    test_store_reset(&t);
}

TEST(a_recovery_that_fails_leaves_no_job_behind)
{
    struct test_store t;
    kill_in_commit_across_files(&t);
    uint64_t operations = sim_disk_stats(t.disk)->calls[SIM_WRITE];
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO); /* of the journal's newest file */
    expect_err(test_store_open(&t), E_IO);
    expect_int(sim_disk_stats(t.disk)->calls[SIM_WRITE], operations);
    test_store_reset(&t);
}

/* The first control entry of a log, its numbers changed. */
static void expect_entry_refused(size_t field, uint64_t value)
{
    struct test_store t;
    struct ticket ticket;
    uint8_t bytes[8];
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append_each(&t, log, "abc");
    if (field == 24)
        expect_ok(log_truncate(log, 2, 3, &ticket));
    else
        log_trim(log, 2, &ticket);
    test_store_settle(&t);
    test_store_kill(&t);
    put_u64(bytes, value);
    patch_record(&t, 4, RECORD_HEADER_BYTES + field, bytes, 8);
    expect_err(test_store_open(&t), E_CORRUPT);
    test_store_reset(&t);
}

TEST(control_entries_with_impossible_numbers_are_refused)
{
    expect_entry_refused(16, 9);             /* a start above the end */
    expect_entry_refused(16, UINT64_MAX);    /* a negative one */
    expect_entry_refused(16, INT64_MAX - 5); /* one that leaves no room */
    expect_entry_refused(24, INT32_MAX);     /* a cut into an epoch that no run can have */
    expect_entry_refused(24, UINT64_MAX);
}

TEST(a_batch_of_an_epoch_that_no_run_can_have_is_refused)
{
    enum { EPOCH = RECORD_HEADER_BYTES + ENTRY_HEADER_BYTES + ENTRY_LOG_BYTES + 12 };
    expect_refused(EPOCH, "\x7f\xff\xff\xff", 4);
    expect_refused(EPOCH, "\xff\xff\xff\xff", 4);
    expect_refused(EPOCH - 12 + 8, "\0\0\7\xff", 4); /* nor may the batch exceed its entry */
}

TEST(a_direct_batch_of_an_epoch_that_never_was_is_rot)
{
    struct test_store t;
    struct ticket ticket;
    char path[64];
    test_store_init(&t);
    t.config.direct_append_bytes = 1000;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 3; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 2000), &ticket));
        test_store_settle(&t);
    }
    segment_path(7, log_state(log)->direct->segment, "log", path);
    test_store_kill(&t);
    expect_ok(sim_disk_flip(t.disk, path, 12)); /* the upper half of the first batch's epoch */
    expect_err(test_store_open(&t), E_CORRUPT);
    expect_err_text("epoch that never was");
    t.config.accept_loss = true;
    expect_ok(test_store_open(&t));
    expect_int(store_find(t.store, 7)->end, 2); /* what follows is of an older epoch */
    test_store_reset(&t);
}

TEST(a_journal_whose_epochs_are_used_up_is_refused)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "a");
    test_store_kill(&t);
    patch_record(&t, 1, 12, "\x7f\xff\xff\xfe", 4);
    expect_err(test_store_open(&t), E_CORRUPT);
    expect_err_text("epochs are used up");
    test_store_reset(&t);
}

/* A copy of the first file with another number and place, its checksum right. */
static enum err open_with_second_file(uint64_t generation, uint64_t base)
{
    struct test_store t;
    open_small(&t);
    append_each(&t, store_log(t.store, 7, LEVEL_FSYNC), "a");
    test_store_kill(&t);
    struct text file = test_file_get(&t, first_path);
    put_u64(file.data + 16, generation);
    put_u64(file.data + 24, base);
    put_u32(file.data + 12, crc32c(file.data + 16, 32));
    memset(file.data + JOURNAL_HEADER_BYTES, 0, file.size - JOURNAL_HEADER_BYTES);
    test_file_put(&t, "journal/000099.journal", text_bytes(&file));
    text_reset(&file);
    enum err err = test_store_open(&t);
    test_store_reset(&t);
    return err;
}

TEST(journal_files_that_share_a_generation_or_addresses_are_refused)
{
    expect_ok(open_with_second_file(100, 1 << 30));
    expect_err(open_with_second_file(1, 1 << 30), E_CORRUPT);
    expect_err(open_with_second_file(100, JOURNAL_FIRST_ADDRESS), E_CORRUPT);
    expect_err(open_with_second_file(100, INT64_MAX), E_CORRUPT);
    expect_ok(open_with_second_file(0, 1 << 30)); /* none has it: the file was never finished */
}
