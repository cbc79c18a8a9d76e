/* Reads from files: by offset and by time, with indexes that are damaged, beside trims and deletions. */
#include "tests/test.h"

#include "log/read_internal.h"
#include "log/test_store.h"

#include <stdio.h>

static const char segment_0[] = "logs/7/00000000000000000000.log";
static const char index_0[] = "logs/7/00000000000000000000.index";

static void append_sized(struct test_store *t, struct log *log, size_t size, int64_t timestamp_ms)
{
    test_append_records(t, log, size, 1, timestamp_ms);
}

/* The offset of the answer; -1 nothing, -2 an error (in *err). */
static int64_t read_offset(struct test_store *t, struct log *log, enum log_read_kind kind,
                           int64_t from, int64_t timestamp, enum err *err)
{
    struct log_read r = {
        .kind = kind, .from = from, .limit = log->hw, .timestamp = timestamp, .max_bytes = 1};
    test_store_read(t, log, &r);
    int64_t offset = r.err ? -2 : r.count ? r.batches[0].base_offset : -1;
    *err = r.err;
    log_read_end(&r);
    return offset;
}

static int64_t at_time(struct test_store *t, struct log *log, int64_t timestamp)
{
    enum err err;
    return read_offset(t, log, READ_AT_TIME, log->start, timestamp, &err);
}

/* Append until much of the log is in its segment; the time of a batch is its offset, but `high` has
 * a time far above. */
static void fill(struct test_store *t, struct log *log, int64_t high, int64_t high_time)
{
    for (int64_t i = log->end; i < 120; i++)
        append_sized(t, log, 5000, i == high ? high_time : i);
    expect_true(log_state(log)->stored_to > 60);
}

TEST(a_read_by_time_finds_the_first_batch_although_its_segment_grew_in_parts)
{
    struct test_store t;
    test_store_open_uncached(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, 3, 100000);
    expect_int(at_time(&t, log, 50), 3); /* later parts of the segment begin with smaller times */
    expect_int(at_time(&t, log, 100000), 3);
    expect_int(at_time(&t, log, 2), 2);
    expect_int(at_time(&t, log, 100001), -1);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    fill(&t, log, -1, 0);
    expect_int(at_time(&t, log, 50), 3);
    test_store_reset(&t);
}

TEST(the_largest_time_may_be_the_largest_number)
{
    struct test_store t;
    enum err err;
    test_store_open_uncached(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, 3, INT64_MAX);
    expect_int(read_offset(&t, log, READ_MAX_TIME, 0, 0, &err), 3);
    expect_int(at_time(&t, log, INT64_MAX), 3);
    log_trim(log, 5, NULL);
    expect_int(read_offset(&t, log, READ_MAX_TIME, 5, 0, &err), 119);
    test_store_reset(&t);
}

TEST(of_equal_largest_times_the_first_counts_also_over_segments_and_journal)
{
    struct test_store t;
    enum err err;
    test_store_open_uncached(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (int64_t i = 0; i < 120; i++)
        append_sized(&t, log, 5000, i == 7 || i == 60 || i == 119 ? 500 : 5);
    expect_int(read_offset(&t, log, READ_MAX_TIME, 0, 0, &err), 7);
    expect_int(read_offset(&t, log, READ_MAX_TIME, 8, 0, &err), 60);
    expect_int(read_offset(&t, log, READ_MAX_TIME, 61, 0, &err), 119);
    test_store_reset(&t);
}

/* ---- damaged indexes ---- */

static void expect_all_found(struct test_store *t, struct log *log)
{
    enum err err;
    for (int64_t i = 0; i < log->end; i++) {
        expect_int(read_offset(t, log, READ_FROM, i, 0, &err), i);
        expect_int(at_time(t, log, i), i);
    }
}

TEST(an_index_with_any_byte_changed_misleads_nobody)
{
    struct test_store t;
    test_store_open_uncached(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, -1, 0);
    struct text index = test_file_get(&t, index_0);
    expect_true(index.size >= 3 * INDEX_ENTRY_BYTES);
    for (size_t i = 0; i < index.size; i += 5) {
        index.data[i] ^= 0x55;
        test_file_put(&t, index_0, text_bytes(&index));
        index.data[i] ^= 0x55;
        expect_all_found(&t, log);
    }
    test_file_put(&t, index_0, bytes_of(index.data, index.size - 7)); /* torn */
    expect_all_found(&t, log);
    memset(index.data + INDEX_ENTRY_BYTES, 0, INDEX_ENTRY_BYTES); /* a hole */
    test_file_put(&t, index_0, text_bytes(&index));
    expect_all_found(&t, log);
    expect_ok(disk_remove(t.disk, index_0));
    expect_all_found(&t, log);
    text_reset(&index);
    test_store_reset(&t);
}

TEST(index_entries_that_a_crash_left_behind_the_segments_end_are_replaced)
{
    struct test_store t;
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 8 * MIB;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, -1, 0);
    struct text index = test_file_get(&t, index_0);
    struct index_entry e;
    expect_true(index_entry_get(index.data + index.size - INDEX_ENTRY_BYTES, &e));
    index_entries more = {0}; /* what lies behind every position that a row knows */
    for (uint32_t i = 1; i < 4; i++)
        vec_push(&more, ((struct index_entry){e.offset + 1000,
                                              (uint32_t)log_state(log)->parts->position + i * 9999,
                                              1, 99999}));
    expect_ok(index_append(t.disk, 7, 0, &more, false));
    vec_reset(&more);
    text_reset(&index);
    for (int64_t i = log->end; i < 150; i++)
        append_sized(&t, log, 5000, i);
    expect_all_found(&t, log);
    index = test_file_get(&t, index_0);
    int64_t before = -1;
    for (size_t at = 0; at < index.size; at += INDEX_ENTRY_BYTES) {
        expect_true(index_entry_get(index.data + at, &e));
        expect_true(e.offset > before && e.offset < 150);
        before = e.offset;
    }
    text_reset(&index);
    test_store_reset(&t);
}

/* ---- damage ---- */

/* Its newest batches are in the journal, and nothing is cached. */
static struct log *open_with_cold_journal(struct test_store *t)
{
    test_store_open_uncached(t);
    struct log *log = store_log(t->store, 7, LEVEL_FSYNC);
    for (int i = 0; i < 10; i++)
        append_sized(t, log, 3000, i);
    expect_ok(test_store_crash(t, SIM_KEEP, 1));
    return store_find(t->store, 7);
}

TEST(a_damaged_batch_of_the_journal_is_not_given_out)
{
    struct test_store t;
    enum err err;
    struct log *log = open_with_cold_journal(&t);
    struct tail *tail = &log_state(log)->tail;
    expect_true(tail->count > 1);
    const struct tail_entry *e = tail_at(tail, 0);
    const struct journal_file *f = journal_file_at(t.store, e->address);
    char path[32];
    journal_path(f->slot, path);
    int64_t offset = e->base_offset;
    expect_ok(sim_disk_flip(t.disk, path, e->address - f->base + 1000));
    expect_int(read_offset(&t, log, READ_FROM, offset, 0, &err), -2);
    expect_int(err, E_CORRUPT);
    expect_int(read_offset(&t, log, READ_FROM, offset + 1, 0, &err), offset + 1);
    test_store_reset(&t);
}

/* Who asks would take it for their offset that is out of range, and begin anew elsewhere. */
TEST(a_file_that_ends_too_early_does_not_make_the_offset_out_of_range)
{
    struct test_store t;
    enum err err;
    struct log *log = open_with_cold_journal(&t);
    int64_t offset = tail_at(&log_state(log)->tail, 0)->base_offset;
    sim_disk_fail(t.disk, SIM_READ, 1, E_OUT_OF_RANGE);
    expect_int(read_offset(&t, log, READ_FROM, offset, 0, &err), -2);
    expect_int(err, E_IO);
    expect_int(read_offset(&t, log, READ_FROM, offset, 0, &err), offset);
    test_store_reset(&t);
}

/* All but the first two of its 13 batches are written straight into a segment. */
static void open_with_direct_log(struct test_store *t)
{
    t->config.direct_append_bytes = 20 * KIB;
    expect_ok(test_store_open(t));
    struct log *log = store_log(t->store, 7, LEVEL_FSYNC);
    append_sized(t, log, 100, 1);
    for (int i = 0; i < 12; i++)
        append_sized(t, log, 25000, i);
}

TEST(a_segment_that_is_sealed_while_it_is_read_is_read_to_its_end)
{
    struct test_store t;
    enum err err;
    test_store_init(&t);
    t.config.cache_bytes = 0;
    open_with_direct_log(&t);
    test_store_stop(&t);
    expect_ok(test_store_open(&t));
    struct log *log = store_find(t.store, 7);
    const struct sim_disk_stats *stats = sim_disk_stats(t.disk);
    uint64_t reads = stats->calls[SIM_READ];
    expect_int(read_offset(&t, log, READ_FROM, 4, 0, &err), 4);
    reads = stats->calls[SIM_READ] - reads;
    expect_true(reads > 0);
    sim_disk_fail(t.disk, SIM_READ, reads,
                  E_OUT_OF_RANGE); /* as when room behind it has just gone */
    expect_int(read_offset(&t, log, READ_FROM, 4, 0, &err), 4);
    test_store_reset(&t);
}

TEST(a_segment_that_lost_its_end_is_reported)
{
    struct test_store t;
    test_store_init(&t);
    t.config.unmarked_max_bytes = 100 * KIB;
    open_with_direct_log(&t);
    test_store_settle(&t);
    test_store_kill(&t);
    struct text segment = test_file_get(&t, "logs/7/00000000000000000002.log");
    expect_true(segment.size > 200000);
    for (int way = 0; way < 2; way++) {
        if (way == 0)
            test_file_put(&t, "logs/7/00000000000000000002.log", bytes_of(segment.data, 30000));
        else
            expect_ok(disk_remove(t.disk, "logs/7/00000000000000000002.log"));
        t.config.accept_loss = false;
        expect_err(test_store_open(&t), E_CORRUPT);
        expect_true(strstr(err_text(), "missing") != NULL);
        t.config.accept_loss = true;
        expect_ok(test_store_open(&t));
        test_store_kill(&t);
    }
    text_reset(&segment);
    test_store_reset(&t);
}

/* Segments of 64 KiB with batches of 5,000 bytes, of which the tenth is in the first. */
static struct log *open_with_segments(struct test_store *t)
{
    test_store_open_uncached(t);
    t->store->config.segment_bytes = 64 * KIB;
    struct log *log = store_log(t->store, 7, LEVEL_FSYNC);
    fill(t, log, -1, 0);
    return log;
}

TEST(a_read_that_fails_never_goes_on_behind_what_it_could_not_read)
{
    struct test_store t;
    enum err err;
    struct log *log = open_with_segments(&t);
    const uint64_t *reads = &sim_disk_stats(t.disk)->calls[SIM_READ];
    uint64_t before = *reads, failed = 0;
    expect_int(read_offset(&t, log, READ_FROM, 10, 0, &err), 10);
    uint64_t all = *reads - before;
    expect_true(all > 2);
    for (uint64_t nth = 1; nth <= all; nth++) {
        sim_disk_fail(t.disk, SIM_READ, nth, E_IO);
        int64_t offset = read_offset(&t, log, READ_FROM, 10, 0, &err);
        expect_true(offset == 10 ||
                    (offset == -2 && err == E_IO)); /* without an index it is slower */
        failed += offset < 0;
    }
    expect_true(failed >= 2);
    expect_int(read_offset(&t, log, READ_FROM, 10, 0, &err), 10);
    test_store_reset(&t);
}

TEST(a_read_never_goes_on_behind_a_batch_header_that_is_damaged)
{
    struct test_store t;
    enum err err;
    struct log *log = open_with_segments(&t);
    struct text segment = test_file_get(&t, segment_0);
    uint64_t at = 0;
    for (int i = 0; i < 10; i++)
        at += BATCH_PREFIX_BYTES + get_u32(segment.data + at + 8);
    expect_true(at + BATCH_HEADER_BYTES < segment.size);
    for (uint64_t i = 8; i < 17; i++) { /* size, epoch, magic */
        if (i >= 12 && i < 16)
            continue; /* the epoch may be any, and no checksum has it */
        expect_ok(sim_disk_flip(t.disk, segment_0, at + i));
        expect_int(read_offset(&t, log, READ_FROM, 10, 0, &err), -2);
        expect_int(err, E_CORRUPT);
        expect_int(read_offset(&t, log, READ_FROM, 20, 0, &err), 20);
        test_file_put(&t, segment_0, text_bytes(&segment));
    }
    expect_int(read_offset(&t, log, READ_FROM, 10, 0, &err), 10);
    text_reset(&segment);
    test_store_reset(&t);
}

/* ---- beside trims and deletions ---- */

static bool slow_done;
static void on_slow(struct log_read *r)
{
    (void)r;
    slow_done = true;
}

TEST(a_read_of_files_ends_in_front_of_what_is_not_written_yet)
{
    struct test_store t;
    test_store_open_uncached(&t);
    expect_ok(test_append(store_log(t.store, 7, LEVEL_FSYNC), "a"));
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1)); /* nothing is in memory */
    test_store_settle(&t);
    struct log *log = store_find(t.store, 7);
    expect_ok(test_append(log, "b"));
    expect_true(journal_file_at(t.store, tail_at(&log_state(log)->tail, 0)->address) ==
                journal_file_at(t.store, tail_at(&log_state(log)->tail, 1)->address));
    struct log_read r = {.kind = READ_FROM, .limit = log->end, .max_bytes = 10000, .done = on_slow};
    log_read(log, &r);
    expect_int(r.internal->entries.count, 1); /* what is asked of the file */
    test_store_settle(&t);
    expect_int(r.err, OK);
    expect_int(r.count, 1);
    log_read_end(&r);
    test_store_reset(&t);
}

/* Files go between the plan of a read and its job. */
TEST(a_read_by_time_that_a_trim_overtakes_answers_from_what_is_left)
{
    struct test_store t;
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 64 * KIB;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, -1, 0);
    expect_true(test_store_files(&t, "logs/7") >= 8);
    for (int kind = 0; kind < 3; kind++) {
        struct log_read r = {
            .kind = (enum log_read_kind)kind, .limit = log->hw, .max_bytes = 1, .done = on_slow};
        slow_done = false;
        int64_t start = log->start + 20;
        log_read(log, &r);
        log_trim(log, start, NULL);
        segment_bases bases = {0};
        expect_ok(segment_list(t.disk, 7, &bases));
        for (size_t i = 0; i + 1 < bases.count; i++)
            if (bases.items[i + 1] <= start)
                expect_ok(segment_remove(t.disk, 7, bases.items[i]));
        vec_reset(&bases);
        test_store_settle(&t);
        expect_true(slow_done);
        expect_int(r.err, OK);
        expect_int(r.count, 1);
        expect_true(r.batches[0].base_offset >= start - 20);
        log_read_end(&r);
    }
    test_store_reset(&t);
}

TEST(a_read_of_a_log_that_is_deleted_meanwhile_ends_closed_whatever_it_met)
{
    struct test_store t;
    test_store_open_uncached(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, -1, 0);
    for (int way = 0; way < 2; way++) {
        struct log_read r = {.kind = READ_FROM, .limit = log->hw, .max_bytes = 1, .done = on_slow};
        struct log_read more = r;
        slow_done = false;
        if (way == 1)
            expect_ok(disk_remove(t.disk, segment_0)); /* as a removal would */
        log_read(log, &r);
        if (way == 0) {
            test_store_settle(&t);
            expect_int(r.err, OK);
            log_read_end(&r);
            continue;
        }
        log_read(log, &more);
        log_delete(log, NULL);
        test_store_settle(&t);
        expect_int(r.err, E_CLOSED);
        expect_int(more.err, E_CLOSED);
        expect_int(r.count, 0);
        log_read_end(&r);
        log_read_end(&more);
    }
    test_store_reset(&t);
}

TEST(small_batches_are_found_and_read_without_a_call_for_each_and_without_much_that_is_not_given)
{
    enum { COUNT = 2000 };
    struct test_store t;
    test_store_open_uncached(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (int i = 0; i < COUNT; i++)
        expect_ok(test_append(log, "small"));
    test_store_settle(&t);
    fill(&t, log, -1, 0);
    for (int i = 0; i < 60; i++)
        append_sized(&t, log, 5000, COUNT + i);
    expect_true(log_state(log)->stored_to > COUNT);
    const struct sim_disk_stats *stats = sim_disk_stats(t.disk);
    uint64_t calls = stats->calls[SIM_READ], bytes = stats->read_bytes;
    struct log_read r = {.from = COUNT / 2, .limit = COUNT, .max_bytes = 1 * MIB};
    test_store_read(&t, log, &r);
    expect_ok(r.err);
    expect_int(r.count, LOG_READ_BATCHES);
    expect_int(r.batches[0].base_offset, COUNT / 2);
    log_read_end(&r);
    expect_true(stats->calls[SIM_READ] - calls <
                30); /* the index, headers by the window, the batches */
    expect_true(stats->read_bytes - bytes < 128 * KIB);
    test_store_reset(&t);
}
