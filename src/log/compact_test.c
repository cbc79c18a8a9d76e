/* Compaction of logs: what is kept, when it runs, what it survives. */
#include "tests/test.h"

#include "base/number.h"
#include "log/compact_internal.h"
#include "log/test_store.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECOND_MS = 1000, HOUR_MS = 3600 * 1000, KEYS = 40 };
static struct log_policy policy;

static void open_small(struct test_store *t)
{
    test_store_init_small(t, 256 * KIB, 32 * KIB);
    t->wall_base_ms = 1700000000000;
    t->config.allocate_bytes = 32 * KIB;
    expect_ok(test_store_open(t));
    test_store_settle(t);
    policy = test_policy();
    policy.compact = true;
    policy.segment_ms = 60 * SECOND_MS;
    policy.min_dirty_ratio = 0;
}

/* One batch of one record; value NULL: a tombstone. */
static struct bytes keyed(struct batch_builder *builder, const char *key, const char *value,
                          int64_t timestamp_ms, uint16_t attributes)
{
    batch_builder_begin(builder, attributes);
    batch_builder_add(builder, timestamp_ms, key ? bytes_from_string(key) : BYTES_NULL,
                      value ? bytes_from_string(value) : BYTES_NULL, BYTES_NULL, 0);
    return batch_builder_end(builder);
}

static void put(struct test_store *t, struct log *log, const char *key, const char *value)
{
    struct batch_builder builder = {0};
    struct ticket ticket;
    expect_ok(log_append(log, keyed(&builder, key, value, test_store_wall_ms(t), 0), &ticket));
    batch_builder_reset(&builder);
    test_store_turn(t, 100);
}

/* Everything in the log as "<offset><key>=<value> ", "-" for a tombstone, "!" for an empty batch. */
static const char *content(struct test_store *t, struct log *log)
{
    static struct text out;
    out.size = 0;
    text_reserve(&out, 1);
    for (int64_t at = log->start; at < log->hw;) {
        struct log_read read = {.from = at, .limit = log->hw, .max_bytes = 1 << 20};
        test_store_read(t, log, &read);
        expect_ok(read.err);
        for (size_t i = 0; i < read.count; i++) {
            struct batch b;
            struct text scratch = {0};
            struct bytes records;
            struct record_reader reader;
            struct record r;
            expect_ok(batch_parse(read.batches[i].raw, &b));
            expect_true(batch_is_intact(&b));
            expect_ok(batch_inflate(&b, 1 << 20, &scratch, &records));
            record_reader_init(&reader, &b, read.batches[i].base_offset, records);
            if (b.record_count == 0)
                text_printf(&out, "! ");
            while (record_reader_next(&reader, &r))
                if (r.value.size < 20)
                    text_printf(&out, "%lld%.*s=%.*s ", (long long)r.offset, BYTES_FORMAT(r.key),
                                BYTES_FORMAT(r.value.data ? r.value : bytes_from_string("-")));
            expect_true(read.batches[i].base_offset + b.last_offset_delta >= at);
            at = read.batches[i].base_offset + b.last_offset_delta + 1;
            text_reset(&scratch);
        }
        if (read.count == 0)
            at = log->hw;
        log_read_end(&read);
    }
    text_append_zeros(&out, 1);
    return (const char *)out.data;
}

static void pass(struct test_store *t, int64_t ms)
{
    t->wall_base_ms += ms;
    test_store_wait(t, 3000);
}

TEST(a_small_log_is_compacted_when_its_active_part_is_old_enough)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    put(&t, log, "a", "1");
    put(&t, log, "b", "2");
    put(&t, log, "a", "3");
    put(&t, log, NULL, "x");
    put(&t, log, "b", NULL);
    put(&t, log, "c", "4");
    pass(&t, 30 * SECOND_MS);
    expect_string(content(&t, log), "0a=1 1b=2 2a=3 3=x 4b=- 5c=4 ");
    pass(&t, 31 * SECOND_MS);
    expect_string(content(&t, log), "2a=3 3=x 4b=- 5c=4 ");
    expect_int(log_state(log)->parts->cleaned_to, 6);
    put(&t, log, "c", "5"); /* the active part is left alone */
    expect_string(content(&t, log), "2a=3 3=x 4b=- 5c=4 6c=5 ");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    expect_string(content(&t, log), "2a=3 3=x 4b=- 5c=4 6c=5 ");
    log_set_policy(log, &policy);
    pass(&t, 61 * SECOND_MS);
    expect_string(content(&t, log), "2a=3 3=x 4b=- 6c=5 ");
    test_store_reset(&t);
}

TEST(tombstones_stay_for_their_time_and_go_with_the_next_pass)
{
    struct test_store t;
    open_small(&t);
    policy.delete_retention_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    put(&t, log, "a", "1");
    put(&t, log, "a", NULL);
    put(&t, log, "b", "1");
    pass(&t, 61 * SECOND_MS);
    expect_string(content(&t, log), "1a=- 2b=1 ");
    pass(&t, 30 * 60 * SECOND_MS);
    put(&t, log, "b", "2");
    pass(&t, 61 * SECOND_MS);
    expect_string(content(&t, log), "1a=- 3b=2 ");
    pass(&t, HOUR_MS);
    put(&t, log, "b", "3");
    pass(&t, 61 * SECOND_MS);
    expect_string(content(&t, log), "4b=3 ");
    test_store_reset(&t);
}

TEST(only_enough_dirt_or_its_age_starts_a_pass)
{
    struct test_store t;
    open_small(&t);
    policy.min_dirty_ratio = 0.5;
    policy.max_compaction_lag_ms = 2 * HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    for (int i = 0; i < 8; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        put(&t, log, key, "1");
    }
    pass(&t, 61 * SECOND_MS);
    expect_int(log_state(log)->parts->cleaned_to, 8);
    put(&t, log, "k0", "2");
    pass(&t, 61 * SECOND_MS);
    expect_int(log_state(log)->parts->cleaned_to, 8); /* one of nine */
    pass(&t, HOUR_MS);
    expect_int(log_state(log)->parts->cleaned_to, 8);
    pass(&t, HOUR_MS);
    expect_int(log_state(log)->parts->cleaned_to, 9);
    expect_string(content(&t, log), "1k1=1 2k2=1 3k3=1 4k4=1 5k5=1 6k6=1 7k7=1 8k0=2 ");
    test_store_reset(&t);
}

TEST(what_is_younger_than_the_lag_is_left_alone)
{
    struct test_store t;
    open_small(&t);
    policy.min_compaction_lag_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    put(&t, log, "a", "1");
    put(&t, log, "a", "2");
    pass(&t, 61 * SECOND_MS);
    put(&t, log, "b", "1");
    put(&t, log, "b", "2");
    pass(&t, 61 * SECOND_MS);
    expect_string(content(&t, log), "0a=1 1a=2 2b=1 3b=2 ");
    pass(&t, HOUR_MS - 121 * SECOND_MS);
    expect_string(content(&t, log), "1a=2 2b=1 3b=2 ");
    pass(&t, 60 * SECOND_MS);
    expect_string(content(&t, log), "1a=2 3b=2 ");
    test_store_reset(&t);
}

TEST(transactions_and_their_marks_stay_and_a_producers_newest_batch_does_too)
{
    struct test_store t;
    struct batch_builder builder = {0};
    struct ticket ticket;
    struct text raw = {0};
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    put(&t, log, "a", "1");
    expect_ok(log_append(log, keyed(&builder, "a", "2", 1, BATCH_TRANSACTIONAL), &ticket));
    expect_ok(log_append(log, keyed(&builder, "a", "3", 1, BATCH_CONTROL), &ticket));
    for (int i = 0; i < 2; i++) {
        struct batch b;
        raw.size = 0;
        text_append(&raw, keyed(&builder, "p", "1", 1, 0));
        expect_ok(batch_parse(text_bytes(&raw), &b));
        b.producer_id = 9;
        b.producer_epoch = 1;
        b.base_sequence = i;
        batch_header_put(raw.data, &b);
        expect_ok(log_append(log, text_bytes(&raw), &ticket));
    }
    put(&t, log, "p", "2");
    pass(&t, 61 * SECOND_MS);
    expect_string(content(&t, log), "0a=1 1a=2 2a=3 ! 5p=2 ");
    text_reset(&raw);
    batch_builder_reset(&builder);
    test_store_reset(&t);
}

/* ---- much ---- */

static void put_number(struct test_store *t, struct log *log, int key, uint64_t number, size_t size)
{
    struct batch_builder builder = {0};
    struct ticket ticket;
    char name[16];
    uint8_t *value = xzalloc(size);
    put_u64(value, number);
    snprintf(name, sizeof name, "k%d", key);
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, test_store_wall_ms(t), bytes_from_string(name),
                      bytes_of(value, size), BYTES_NULL, 0);
    expect_ok(log_append(log, batch_builder_end(&builder), &ticket));
    free(value);
    batch_builder_reset(&builder);
}

/* The newest number of each key, 0: none; the count of records found. */
static size_t newest(struct test_store *t, struct log *log, uint64_t numbers[KEYS])
{
    size_t count = 0;
    memset(numbers, 0, KEYS * sizeof *numbers);
    for (int64_t at = log->start; at < log->hw;) {
        struct log_read read = {.from = at, .limit = log->hw, .max_bytes = 1 << 16};
        test_store_read(t, log, &read);
        expect_ok(read.err);
        for (size_t i = 0; i < read.count; i++) {
            struct batch b;
            struct record_reader reader;
            struct record r;
            expect_ok(batch_parse(read.batches[i].raw, &b));
            record_reader_init(
                &reader, &b, read.batches[i].base_offset,
                bytes_of(b.raw.data + BATCH_HEADER_BYTES, b.raw.size - BATCH_HEADER_BYTES));
            while (record_reader_next(&reader, &r)) {
                int64_t key;
                if (r.key.data[0] != 'k' ||
                    !number_parse_i64(bytes_of(r.key.data + 1, r.key.size - 1), &key))
                    continue;
                numbers[key] = get_u64(r.value.data);
                count++;
            }
            at = read.batches[i].base_offset + b.last_offset_delta + 1;
        }
        if (read.count == 0)
            at = log->hw;
        log_read_end(&read);
    }
    return count;
}

static void fill(struct test_store *t, struct log *log, uint64_t numbers[KEYS], int count,
                 size_t size)
{
    for (int i = 0; i < count; i++) {
        int key = (int)random_below(&t->random, KEYS);
        numbers[key] = (uint64_t)log->end + 1;
        put_number(t, log, key, numbers[key], size);
        if (i % 3 == 0)
            test_store_turn(t, 50);
    }
    test_store_settle(t);
}

static void expect_newest(struct test_store *t, struct log *log, const uint64_t numbers[KEYS])
{
    uint64_t found[KEYS];
    newest(t, log, found);
    for (int i = 0; i < KEYS; i++)
        expect_int(found[i], numbers[i]);
}

static size_t count_known(const uint64_t numbers[KEYS])
{
    size_t count = 0;
    for (int i = 0; i < KEYS; i++)
        count += numbers[i] != 0;
    return count;
}

/* Of the log's segments. */
static uint64_t bytes_of_files(const struct test_store *t, uint64_t id)
{
    segment_bases bases = {0};
    uint64_t bytes = 0;
    expect_ok(segment_list(t->disk, id, &bases));
    for (size_t i = 0; i < bases.count; i++) {
        char path[64];
        segment_path(id, bases.items[i], "log", path);
        struct text content = test_file_get(t, path);
        bytes += content.size;
        text_reset(&content);
    }
    vec_reset(&bases);
    return bytes;
}

TEST(many_segments_become_few_and_each_key_keeps_its_newest_value)
{
    for (size_t size = 600; size <= 24000; size += 23400) { /* journalled, and direct */
        struct test_store t;
        uint64_t numbers[KEYS] = {0}, found[KEYS];
        open_small(&t);
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        log_set_policy(log, &policy);
        for (int round = 0; round < 3; round++) {
            fill(&t, log, numbers, size < 1000 ? 600 : 60, size);
            expect_newest(&t, log, numbers);
            pass(&t, 61 * SECOND_MS);
            pass(&t, 61 * SECOND_MS);
            expect_newest(&t, log, numbers);
        }
        expect_int(log_state(log)->parts->cleaned_to, log->end);
        expect_int(log_size_bytes(log), bytes_of_files(&t, 7));
        expect_int(newest(&t, log, found), count_known(numbers));
        expect_true(log_size_bytes(log) < 2 * KEYS * (size + 200));
        expect_true(test_store_files(&t, "logs/7") < 2 * (4 + KEYS * size / (16 * KIB)));
        expect_ok(test_store_crash(&t, SIM_LOSE, 1));
        log = store_find(t.store, 7);
        expect_newest(&t, log, numbers);
        test_store_stop(&t);
        expect_ok(test_store_open(&t));
        expect_newest(&t, store_find(t.store, 7), numbers);
        test_store_reset(&t);
    }
}

TEST(a_map_that_is_too_small_takes_several_passes)
{
    struct test_store t;
    uint64_t numbers[KEYS] = {0}, found[KEYS];
    open_small(&t);
    t.store->config.compact_map_bytes = 0; /* as small as it gets: 224 keys */
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    policy.segment_ms = 60 * SECOND_MS;
    for (int i = 0; i < 500; i++) { /* keys that nobody needs: each fills the map a bit */
        struct batch_builder builder = {0};
        struct ticket ticket;
        char key[32];
        snprintf(key, sizeof key, "9%d", i);
        expect_ok(log_append(log, keyed(&builder, key, NULL, test_store_wall_ms(&t), 0), &ticket));
        batch_builder_reset(&builder);
    }
    test_store_settle(&t);
    fill(&t, log, numbers, 300, 100);
    policy.delete_retention_ms = 0;
    log_set_policy(log, &policy);
    pass(&t, 61 * SECOND_MS);
    test_store_wait(&t, 5000);
    expect_int(log_state(log)->parts->cleaned_to, log->end);
    put_number(&t, log, 0, numbers[0] = 100000, 100);
    policy.min_dirty_ratio = 0;
    test_store_settle(&t);
    pass(&t, 61 * SECOND_MS);
    expect_newest(&t, log, numbers);
    expect_int(newest(&t, log, found), KEYS);
    test_store_reset(&t);
}

TEST(retention_and_compaction_go_together)
{
    struct test_store t;
    uint64_t numbers[KEYS] = {0};
    open_small(&t);
    policy.drop = true;
    policy.retention_ms = 3 * HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    for (int hour = 0; hour < 6; hour++) {
        fill(&t, log, numbers, 200, 600);
        pass(&t, HOUR_MS);
        expect_newest(&t, log, numbers);
    }
    pass(&t, 4 * HOUR_MS);
    expect_int(log->start, log->end);
    test_store_wait(&t, 3000);
    expect_int(test_store_files(&t, "logs/7"), 0);
    expect_true(log_size_bytes(log) < 10000);
    test_store_reset(&t);
}

/* ---- beside others ---- */

TEST(a_log_can_be_deleted_in_the_middle_of_a_pass)
{
    for (int at = 0; at < 40; at++) {
        struct test_store t;
        uint64_t numbers[KEYS] = {0};
        open_small(&t);
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        fill(&t, log, numbers, 300, 600);
        log_set_policy(log, &policy);
        t.wall_base_ms += 61 * SECOND_MS;
        for (int i = 0; i < 100000 && !t.store->compaction; i++)
            test_store_turn(&t, 1);
        expect_true(t.store->compaction != NULL);
        for (int i = 0; i < at; i++)
            test_store_turn(&t, 2);
        log_delete(log, NULL);
        test_store_wait(&t, 2000);
        expect_true(t.store->compaction == NULL);
        expect_int(test_store_files(&t, "logs"), 0);
        test_store_reset(&t);
    }
}

static int reads_under_way;

static void read_ended(struct log_read *r)
{
    expect_ok(r->err);
    expect_true(r->count > 0);
    expect_true(r->batches[r->count - 1].base_offset >= r->from ||
                r->batches[0].base_offset <= r->from + 400);
    log_read_end(r);
    reads_under_way--;
    free(r);
}

/* At every moment a read finds the first record from its offset on that is kept. */
TEST(reads_go_on_during_every_step_of_a_pass)
{
    struct test_store t;
    uint64_t numbers[KEYS] = {0};
    open_small(&t);
    t.config.cache_bytes = 0;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, numbers, 400, 600);
    log_set_policy(log, &policy);
    t.wall_base_ms += 61 * SECOND_MS;
    int steps = 0;
    bool began = false;
    for (; steps < 20000 && (!began || t.store->compaction); steps++) {
        began = began || t.store->compaction;
        struct log_read *r = xzalloc(sizeof *r);
        *r = (struct log_read){.kind = steps % 3 ? READ_FROM : READ_AT_TIME,
                               .from = (int64_t)random_below(&t.random, (uint64_t)log->hw - 50),
                               .limit = log->hw,
                               .max_bytes = 5000,
                               .done = read_ended};
        reads_under_way++;
        log_read(log, r);
        test_store_turn(&t, 1 + steps % 5);
    }
    expect_true(began && steps < 20000);
    test_store_settle(&t);
    expect_int(reads_under_way, 0);
    expect_newest(&t, log, numbers);
    test_store_reset(&t);
}

TEST(a_store_stops_in_the_middle_of_a_pass_and_goes_on_with_it_later)
{
    for (int at = 0; at < 30; at++) {
        struct test_store t;
        uint64_t numbers[KEYS] = {0}, found[KEYS];
        open_small(&t);
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        fill(&t, log, numbers, 300, 600);
        log_set_policy(log, &policy);
        t.wall_base_ms += 61 * SECOND_MS;
        for (int i = 0; i < 100000 && !t.store->compaction; i++)
            test_store_turn(&t, 1);
        for (int i = 0; i < at; i++)
            test_store_turn(&t, 2);
        test_store_stop(&t);
        expect_ok(test_store_open(&t));
        log = store_find(t.store, 7);
        expect_newest(&t, log, numbers);
        log_set_policy(log, &policy);
        put_number(&t, log, 0, numbers[0] = 99999, 600);
        pass(&t, 61 * SECOND_MS);
        pass(&t, 61 * SECOND_MS);
        expect_newest(&t, log, numbers);
        expect_true(newest(&t, log, found) <= KEYS + 1);
        test_store_reset(&t);
    }
}

/* ---- crashes and failures ---- */

/* Fill, then compact up to the end. */
static void compact_all(struct test_store *t, struct log *log)
{
    log_set_policy(log, &policy);
    t->wall_base_ms += 61 * SECOND_MS;
    for (int i = 0;
         i < 3000 && !sim_disk_has_crashed(t->disk) && log_state(log)->parts->cleaned_to < log->end;
         i++) {
        test_store_turn(t, 100);
        t->now_ns += 20000000;
    }
}

static void crash_in_compaction(enum sim_restart mode, uint64_t step)
{
    struct test_store filled;
    uint64_t numbers[KEYS] = {0}, found[KEYS];
    open_small(&filled);
    struct log *log = store_log(filled.store, 7, LEVEL_FSYNC);
    fill(&filled, log, numbers, 400, 600);
    uint64_t first = sim_disk_stats(filled.disk)->operations;
    struct disk *before = sim_disk_clone(filled.disk);
    compact_all(&filled, log);
    expect_int(log_state(log)->parts->cleaned_to, log->end);
    uint64_t last = sim_disk_stats(filled.disk)->operations;
    test_store_reset(&filled);
    expect_true(last > first + 40);
    for (uint64_t at = first + 1; at <= last; at += step) {
        struct test_store t;
        test_store_init(&t);
        struct store_config config = t.config;
        disk_free(t.disk);
        open_small(&t);
        config = t.config;
        test_store_reset(&t);
        test_store_init(&t);
        t.config = config;
        t.wall_base_ms = 1700000000000;
        disk_free(t.disk);
        t.disk = sim_disk_clone(before);
        sim_disk_crash(t.disk);
        sim_disk_restart(t.disk, SIM_KEEP, 1);
        uint64_t offset = sim_disk_stats(t.disk)->operations;
        expect_ok(test_store_open(&t));
        log = store_find(t.store, 7);
        sim_disk_crash_at(t.disk, offset + (at - first), 700);
        compact_all(&t, log);
        expect_ok(test_store_crash(&t, mode, at));
        log = store_find(t.store, 7);
        expect_newest(&t, log, numbers);
        compact_all(&t, log);
        expect_newest(&t, log, numbers);
        expect_int(newest(&t, log, found), KEYS);
        test_store_reset(&t);
    }
    sim_disk_crash(before);
    disk_free(before);
}

TEST(a_crash_anywhere_in_a_compaction_loses_no_newest_value)
{
    crash_in_compaction(SIM_LOSE, 1);
    crash_in_compaction(SIM_SUBSET, 1);
    crash_in_compaction(SIM_KEEP, 3);
}

/* ---- failures ---- */

/* The nth call of this kind fails during a compaction. Nothing that was kept may be lost, and the
 * store goes on (unless a write of its own failed). */
static bool fail_in_compaction(enum sim_call call, uint64_t nth, enum err code)
{
    struct test_store t;
    uint64_t numbers[KEYS] = {0};
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, numbers, 300, 600);
    uint64_t before = sim_disk_stats(t.disk)->calls[call];
    sim_disk_fail(t.disk, call, nth, code);
    log_set_policy(log, &policy);
    pass(&t, 61 * SECOND_MS);
    bool met = sim_disk_stats(t.disk)->calls[call] - before >= nth;
    sim_disk_fail(t.disk, call, 1ull << 40, code); /* no more */
    expect_newest(&t, log, numbers);
    expect_true(t.store->compaction == NULL || !met);
    expect_ok(test_store_crash(&t, SIM_LOSE, nth));
    t.was_frozen = false;
    log = store_find(t.store, 7);
    expect_newest(&t, log, numbers);
    log_set_policy(log, &policy);
    pass(&t, 61 * SECOND_MS);
    pass(&t, 61 * SECOND_MS);
    expect_newest(&t, log, numbers);
    expect_int(log_state(log)->parts->cleaned_to, log->end);
    test_store_reset(&t);
    return met;
}

TEST(no_failed_call_to_the_disk_in_a_compaction_loses_anything)
{
    static const enum sim_call calls[] = {SIM_OPEN,     SIM_READ,   SIM_WRITE,  SIM_SYNC,
                                          SIM_TRUNCATE, SIM_REMOVE, SIM_RENAME, SIM_SYNC_DIR};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (uint64_t nth = 1; nth < 200 && fail_in_compaction(calls[i], nth, E_IO); nth++)
            continue;
}

TEST(a_compaction_without_room_is_given_up_and_tried_again)
{
    struct test_store t;
    uint64_t numbers[KEYS] = {0}, free_bytes;
    open_small(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    fill(&t, log, numbers, 400, 600);
    const uint64_t large = 1ull << 40;
    sim_disk_set_capacity(t.disk, large);
    expect_ok(disk_free_bytes(t.disk, &free_bytes));
    expect_true(log_seal(log_state(log)));
    test_store_settle(&t);
    sim_disk_set_capacity(t.disk, large - free_bytes + 4 * KIB);
    log_set_policy(log, &policy);
    pass(&t, 61 * SECOND_MS);
    expect_true(log_state(log)->parts->cleaned_to < log->end);
    expect_newest(&t, log, numbers);
    expect_false(log_state(log)->upkeep->compact_failed);
    expect_true(test_file_get(&t, "logs/7/00000000000000000000.cleaned").data == NULL);
    sim_disk_set_capacity(t.disk, large);
    pass(&t, 61 * SECOND_MS);
    pass(&t, 61 * SECOND_MS);
    expect_int(log_state(log)->parts->cleaned_to, log->end);
    expect_newest(&t, log, numbers);
    test_store_reset(&t);
}

TEST(damage_ends_the_compaction_of_that_log_with_one_complaint)
{
    struct test_store t;
    uint64_t numbers[KEYS] = {0}, found[KEYS];
    open_small(&t);
    struct log *bad = store_log(t.store, 7, LEVEL_FSYNC),
               *good = store_log(t.store, 8, LEVEL_FSYNC);
    fill(&t, bad, numbers, 200, 600);
    memset(numbers, 0, sizeof numbers);
    fill(&t, good, numbers, 200, 600);
    expect_true(log_seal(log_state(bad)));
    test_store_settle(&t);
    expect_ok(sim_disk_flip(t.disk, "logs/7/00000000000000000000.log", 5000));
    log_set_policy(bad, &policy);
    log_set_policy(good, &policy);
    uint64_t reads = 0;
    for (int i = 0; i < 4; i++) {
        pass(&t, 61 * SECOND_MS);
        expect_true(log_state(bad)->upkeep->compact_failed);
        expect_int(log_state(bad)->parts->cleaned_to, 0);
        expect_true(i < 2 || sim_disk_stats(t.disk)->calls[SIM_READ] == reads); /* no loop */
        reads = sim_disk_stats(t.disk)->calls[SIM_READ];
    }
    expect_newest(&t, good, numbers);
    reads = newest(&t, good, found);
    expect_int(reads, count_known(numbers));
    test_store_reset(&t);
}
