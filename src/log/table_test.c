/* The log table: what rows keep, and what recovery makes of each kind of damage. */
#include "tests/test.h"

#include "base/crc32c.h"
#include "log/store_internal.h"
#include "log/test_store.h"

#include <stdlib.h>

static const char *const first_table = "table/0000000001.table";
enum { BLOCK_HEADER = 16, ROW_FIXED = 172 };

static void open_with_log(struct test_store *t)
{
    test_store_init(t);
    t->config.journal_first_bytes = t->config.journal_file_bytes = 64 * KIB;
    expect_ok(test_store_open(t));
    expect_ok(test_append(store_log(t->store, 7, LEVEL_FSYNC), "a"));
    test_store_settle(t);
}

/* One more block of rows, by a stop in good order. */
static void write_rows(struct test_store *t, const char *value)
{
    expect_ok(test_append(store_log(t->store, 7, LEVEL_FSYNC), value));
    test_store_settle(t);
    test_store_stop(t);
    expect_ok(test_store_open(t));
}

static size_t block_size(const struct text *file, size_t at)
{
    return (size_t)get_u64(file->data + at + 8);
}

/* The position of the table's block number `n`. */
static size_t block_position(const struct text *file, int n)
{
    size_t at = 0;
    while (n-- > 0)
        at += block_size(file, at);
    expect_true(at < file->size);
    return at;
}

TEST(a_stop_in_good_order_keeps_everything_that_was_appended)
{
    struct test_store t;
    open_with_log(&t);
    struct log *os = store_log(t.store, 8, LEVEL_OS);
    expect_ok(test_append(store_log(t.store, 7, LEVEL_FSYNC), "b"));
    test_store_settle(&t);
    expect_ok(test_append(os, "written"));
    store_flush(t.store);
    sim_jobs_drain(t.jobs);
    expect_ok(test_append(os, "staged"));
    test_store_stop(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b");
    expect_string(test_store_values(&t, store_find(t.store, 8), 0), "written staged");
    test_store_reset(&t);
}

TEST(derived_state_saved_with_a_row_comes_back_with_the_log)
{
    struct test_store t;
    open_with_log(&t);
    t.state = "seen it";
    test_store_stop(&t);
    expect_ok(test_store_open(&t));
    expect_bytes(text_bytes(&t.restored), BYTES_LITERAL("7:seen it "));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_bytes(text_bytes(&t.restored), BYTES_LITERAL("7:seen it "));
    test_store_reset(&t);
}

TEST(control_batches_behind_the_row_are_replayed_and_earlier_ones_are_not_lost)
{
    struct test_store t;
    open_with_log(&t);
    const char *one[] = {"1"}, *two[] = {"2"};
    struct ticket ticket;
    struct log *log = store_find(t.store, 7);
    expect_ok(log_append(log, test_batch(one, 1, BATCH_CONTROL), &ticket));
    t.state = "1";
    test_store_settle(&t);
    test_store_stop(&t);
    expect_ok(test_store_open(&t));
    log = store_find(t.store, 7);
    expect_ok(log_append(log, test_batch(two, 1, BATCH_CONTROL), &ticket));
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_bytes(text_bytes(&t.restored), BYTES_LITERAL("7:1 "));
    expect_true(t.replayed.count >= 1);
    expect_int(vec_last(&t.replayed), '2');
    test_store_reset(&t);
}

static void append_of_producer(struct test_store *t, struct bytes batch)
{
    struct ticket ticket;
    expect_ok(log_append(store_find(t->store, 7), test_batch_of_producer(batch, 5), &ticket));
    test_store_settle(t);
}

TEST(batches_of_producers_with_an_id_are_replayed_from_the_journal_and_from_segments)
{
    struct test_store t;
    open_with_log(&t);
    append_of_producer(&t, test_batch_one("1"));
    expect_ok(test_append(store_find(t.store, 7), "no id"));
    append_of_producer(&t, test_batch_one("2"));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_bytes(bytes_of(t.replayed.items, t.replayed.count), BYTES_LITERAL("12"));

    for (uint64_t i = 0; i < 3; i++) /* the first makes it direct */
        append_of_producer(&t, test_batch_sized((uint64_t)('3' + i) << 56, 600 * KIB));
    expect_not_null(log_state(store_find(t.store, 7))->direct);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_true(t.replayed.count >= 4); /* the first ones' row may have been written */
    expect_bytes(bytes_of(&t.replayed.items[t.replayed.count - 3], 3), BYTES_LITERAL("345"));
    test_store_reset(&t);
}

TEST(a_cut_is_told_when_it_is_made_and_when_it_is_replayed)
{
    struct test_store t;
    open_with_log(&t);
    append_of_producer(&t, test_batch_one("1"));
    struct ticket ticket;
    expect_ok(log_truncate(store_find(t.store, 7), 1, store_epoch(t.store), &ticket));
    expect_bytes(text_bytes(&t.restored), BYTES_LITERAL("7<1 "));
    append_of_producer(&t, test_batch_one("2"));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_bytes(text_bytes(&t.restored), BYTES_LITERAL("7<1 "));
    expect_bytes(bytes_of(t.replayed.items, t.replayed.count), BYTES_LITERAL("12"));
    test_store_reset(&t);
}

/* ---- damage ---- */

TEST(damage_in_any_block_but_the_last_is_rot)
{
    for (int n = 0; n < 3; n++) {
        struct test_store t;
        open_with_log(&t);
        write_rows(&t, "b");
        write_rows(&t, "c");
        write_rows(&t, "d");
        test_store_kill(&t);
        struct text file = test_file_get(&t, first_table);
        size_t at = block_position(&file, n);
        bool last = at + block_size(&file, at) == file.size;
        text_reset(&file);
        expect_ok(sim_disk_flip(t.disk, first_table, at + BLOCK_HEADER + 20));
        if (last && n > 0) {
            expect_ok(test_store_open(&t));
        } else {
            expect_err(test_store_open(&t), E_CORRUPT);
            expect_err_text("table");
            t.config.accept_loss = true;
            expect_ok(test_store_open(&t));
        }
        test_store_reset(&t);
    }
}

TEST(a_torn_last_block_is_dropped_and_written_over)
{
    for (size_t cut = 1;; cut += 7) {
        struct test_store t;
        open_with_log(&t);
        write_rows(&t, "b");
        write_rows(&t, "c");
        test_store_kill(&t);
        struct text file = test_file_get(&t, first_table);
        if (cut >= block_size(&file, block_position(&file, 1))) {
            expect_true(cut > ROW_FIXED);
            text_reset(&file);
            test_store_reset(&t);
            break;
        }
        file.size -= cut;
        test_file_put(&t, first_table, text_bytes(&file));
        text_reset(&file);
        expect_ok(test_store_open(&t));
        expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b c");
        write_rows(&t, "d");
        expect_ok(test_store_crash(&t, SIM_LOSE, 1));
        expect_string(test_store_values(&t, store_find(t.store, 7), 0), "a b c d");
        test_store_reset(&t);
    }
}

/* Change bytes of the first row and make the block's checksum right again. */
static void patch_row(struct test_store *t, size_t at, const void *bytes, size_t size)
{
    struct text file = test_file_get(t, first_table);
    memcpy(file.data + BLOCK_HEADER + at, bytes, size);
    put_u32(file.data + 4, crc32c(file.data + 8, block_size(&file, 0) - 8));
    test_file_put(t, first_table, text_bytes(&file));
    text_reset(&file);
}

static void expect_row_refused(size_t at, const void *bytes, size_t size, enum err wanted)
{
    struct test_store t;
    open_with_log(&t);
    test_store_stop(&t);
    patch_row(&t, at, bytes, size);
    expect_err(test_store_open(&t), wanted);
    test_store_reset(&t);
}

TEST(rows_that_do_not_fit_their_block_or_themselves_are_refused)
{
    static const uint8_t huge[4] = {0xff, 0xff, 0xff, 0xff}, small[4] = {0, 0, 0, 20},
                         newer[] = {3}, level[] = {77}, memory[] = {LEVEL_MEMORY};
    static const uint8_t negative[8] = {0xff};
    expect_row_refused(0, huge, 4, E_CORRUPT);              /* size */
    expect_row_refused(0, small, 4, E_CORRUPT);             /* size */
    expect_row_refused(168, huge, 4, E_CORRUPT);            /* epochs */
    expect_row_refused(144, negative, 8, E_CORRUPT);        /* cleaned_to */
    expect_row_refused(ROW_FIXED + 12, huge, 4, E_CORRUPT); /* derived state */
    expect_row_refused(5, level, 1, E_CORRUPT);
    expect_row_refused(5, memory, 1, E_CORRUPT);
    expect_row_refused(16, negative, 8, E_CORRUPT); /* start */
    expect_row_refused(24, negative, 8, E_CORRUPT); /* end */
    expect_row_refused(32, negative, 8, E_CORRUPT); /* stored_to */
    expect_row_refused(4, newer, 1, E_UNSUPPORTED); /* version */
}

TEST(rows_whose_numbers_contradict_each_other_are_refused)
{
    uint8_t far[8], two[8];
    put_u64(far, 1000);
    put_u64(two, 2);
    expect_row_refused(16, far, 8, E_CORRUPT);  /* start above end */
    expect_row_refused(32, far, 8, E_CORRUPT);  /* stored_to */
    expect_row_refused(40, far, 8, E_CORRUPT);  /* the segment that grows */
    expect_row_refused(56, far, 8, E_CORRUPT);  /* the oldest segment */
    expect_row_refused(72, two, 8, E_CORRUPT);  /* a direct part without its segment */
    expect_row_refused(104, two, 8, E_CORRUPT); /* the end of a direct part that is none */
    expect_row_refused(ROW_FIXED, (uint8_t[]){0xff, 0xff, 0xff, 0xff}, 4, E_CORRUPT); /* epoch */
    put_u64(far, INT64_MAX - 5);
    expect_row_refused(24, far, 8, E_CORRUPT); /* no room for another record */
}

TEST(a_store_whose_journal_is_gone_does_not_open_as_an_empty_one)
{
    struct test_store t;
    open_with_log(&t);
    test_store_stop(&t);
    for (uint32_t i = 1; i < 10; i++) {
        char path[32];
        journal_path(i, path);
        expect_ok(disk_remove(t.disk, path));
    }
    expect_err(test_store_open(&t), E_CORRUPT);
    t.config.accept_loss = true;
    expect_ok(test_store_open(&t));
    struct log *log = store_find(t.store, 7);
    expect_int(log->end, 1); /* the offset is never given out again */
    expect_ok(test_append(log, "b"));
    test_store_settle(&t);
    t.config.accept_loss = false;
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 7), 0), "b");
    test_store_reset(&t);
}

/* ---- compaction ---- */

/* A store whose rows are so large that the table is written anew every few blocks. */
static void open_large_rows(struct test_store *t)
{
    static char state[200 * KIB];
    memset(state, 's', sizeof state - 1);
    open_with_log(t);
    t->state = state;
}

TEST(a_table_of_mostly_old_rows_is_written_anew)
{
    struct test_store t;
    open_large_rows(&t);
    for (int i = 0; i < 20; i++)
        write_rows(&t, "x");
    expect_true(t.store->table_number > 1);
    expect_true(t.store->table_size < 2 * MIB);
    expect_int(test_store_files(&t, "table"), 1);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, 7)->end, 21);
    expect_int(t.restored.size, 2 + strlen(t.state) + 1);
    test_store_reset(&t);
}

/* Stop a store whose next rows make the table be written anew, `operations` changes to the disk
 * further on the machine stops. false: there were not so many. */
static bool cut_compaction(uint64_t operations, enum sim_restart mode)
{
    struct test_store t;
    open_large_rows(&t);
    uint32_t before = 0;
    for (int i = 0; i < 5; i++)
        write_rows(&t, "x");
    before = t.store->table_number;
    sim_disk_crash_at(t.disk, sim_disk_stats(t.disk)->operations + operations, 5000);
    expect_ok(test_append(store_find(t.store, 7), "y"));
    test_store_stop(&t);
    bool cut = sim_disk_has_crashed(t.disk);
    expect_ok(test_store_crash(&t, mode, operations));
    if (!cut)
        expect_true(t.store->table_number > before);
    expect_true(store_find(t.store, 7)->end >= 6);
    write_rows(&t, "z");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_true(store_find(t.store, 7)->end >= 7);
    expect_int(test_store_files(&t, "table"), 1);
    test_store_reset(&t);
    return cut;
}

TEST(a_compaction_that_is_cut_anywhere_loses_nothing)
{
    for (int mode = SIM_KEEP; mode <= SIM_SUBSET; mode++)
        for (uint64_t n = 1; cut_compaction(n, (enum sim_restart)mode); n++)
            expect_true(n < 30);
}

TEST(rows_are_written_although_there_is_no_room_to_write_the_table_anew)
{
    struct test_store t;
    open_large_rows(&t);
    for (int i = 0; i < 5; i++)
        write_rows(&t, "x");
    uint32_t number = t.store->table_number;
    expect_ok(test_append(store_find(t.store, 7), "y"));
    test_store_settle(&t);
    uint64_t free_bytes;
    sim_disk_set_capacity(t.disk, 100 * MIB);
    expect_ok(disk_free_bytes(t.disk, &free_bytes));
    sim_disk_set_capacity(t.disk, 100 * MIB - free_bytes + 208 * KIB); /* for one row */
    struct text rows = {0};
    row_encode(log_state(store_find(t.store, 7)), 0, &rows);
    expect_ok(table_append(t.store, &rows));
    expect_int(t.store->table_number, number);
    expect_int(test_store_files(&t, "table"), 1);
    sim_disk_set_capacity(t.disk, 100 * MIB);
    expect_ok(table_append(t.store, &rows));
    expect_true(t.store->table_number > number);
    text_reset(&rows);
    test_store_reset(&t);
}

TEST(a_deleted_log_leaves_neither_row_nor_memory_nor_folder)
{
    struct test_store t;
    open_with_log(&t);
    write_rows(&t, "b");
    struct ticket ticket;
    log_delete(store_find(t.store, 7), &ticket);
    test_store_wait(&t, 500);
    test_store_stop(&t);
    struct text file = test_file_get(&t, first_table);
    expect_int(file.data[block_position(&file, 1) + BLOCK_HEADER + 6], ROW_GONE);
    text_reset(&file);
    expect_ok(test_store_open(&t));
    expect_null(store_find(t.store, 7));
    test_store_wait(&t, 500); /* the journal speaks of it still */
    expect_int(t.store->doomed.count, 0);
    expect_int(test_store_files(&t, "logs"), 0);
    test_store_reset(&t);
}
