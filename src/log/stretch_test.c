/* History as places in files: the same batches as reads give, only what was found intact, and never
 * of a file that has gone. */
#include "tests/test.h"

#include "log/read_internal.h"
#include "log/test_store.h"

#include <stdio.h>
#include <stdlib.h>

static const char segment_0[] = "logs/7/00000000000000000000.log";

/* Some hundred batches of all sizes, nearly all of them in segments. */
static struct log *fill(struct test_store *t, size_t most)
{
    struct log *log = store_log(t->store, 7, LEVEL_FSYNC);
    for (int i = 0; i < 300; i++) {
        int count = 1 + (int)random_below(&t->random, 3);
        test_append_records(t, log, 10 + random_below(&t->random, most), count, 1);
    }
    expect_true(log_state(log)->stored_to > 200);
    return log;
}

static enum err read_with(struct test_store *t, struct log *log, struct log_read *r,
                          struct text *out, int64_t *end)
{
    test_store_read(t, log, r);
    for (size_t i = 0; i < r->count; i++) {
        text_append(out, r->batches[i].raw);
        *end = log_batch_end(&r->batches[i]);
    }
    enum err err = r->err;
    log_read_end(r);
    return err;
}

/* What a reader gets by bytes: batches appended to `out` and the offset behind them. */
static enum err read_bytes(struct test_store *t, struct log *log, int64_t from, int64_t limit,
                           size_t max_bytes, struct text *out, int64_t *end)
{
    struct log_read r = {.kind = READ_FROM,
                         .from = from,
                         .limit = limit,
                         .max_bytes = max_bytes,
                         .may_come_again = true};
    return read_with(t, log, &r, out, end);
}

/* All of the log's segments, as a first reader does. */
static void read_all(struct test_store *t, struct log *log)
{
    struct text out = {0};
    for (int64_t at = log->start; at < log_state(log)->stored_to;)
        expect_ok(read_bytes(t, log, at, log->hw, 30000, &out, &at));
    text_reset(&out);
}

static bool is_known(struct log *log, int64_t from)
{
    struct log_stretch s;
    bool known = log_stretch(log, from, log->hw, 1 << 20, &s) == OK;
    if (known)
        log_stretch_end(s.holder);
    return known;
}

static void expect_same(struct test_store *t, struct log *log, int64_t from, int64_t limit,
                        size_t max_bytes)
{
    struct log_stretch s;
    struct text wanted = {0}, got = {0};
    int64_t end = from;
    if (log_stretch(log, from, limit, max_bytes, &s))
        return; /* the end of a run */
    expect_ok(read_bytes(t, log, from, limit, max_bytes, &wanted, &end));
    expect_ok(file_read(s.file, s.position, text_reserve(&got, s.size), s.size));
    got.size = s.size;
    expect_bytes(text_bytes(&got), text_bytes(&wanted));
    expect_int(s.end, end);
    log_stretch_end(s.holder);
    text_reset(&wanted);
    text_reset(&got);
}

/* ---- what it gives ---- */

TEST(a_stretch_is_what_a_read_gives_at_every_offset_and_limit)
{
    static const size_t mosts[] = {100, 3000, 20000};
    for (int i = 0; i < 3; i++) {
        struct test_store t;
        test_store_open_uncached(&t);
        struct log *log = fill(&t, mosts[i]);
        expect_false(is_known(log, 0)); /* nobody has checked it yet */
        read_all(&t, log);
        for (int64_t from = 0; from < log_state(log)->stored_to; from++)
            expect_true(is_known(log, from));
        expect_false(is_known(log, log->hw));
        for (int round = 0; round < 3000; round++) {
            int64_t from = (int64_t)random_below(&t.random, (uint64_t)log_state(log)->stored_to);
            int64_t limit = from + 1 + (int64_t)random_below(&t.random, 100);
            size_t max_bytes = 1 + random_below(&t.random, 1 << random_below(&t.random, 17));
            expect_same(&t, log, from, limit < log->hw ? limit : log->hw, max_bytes);
        }
        test_store_reset(&t);
    }
}

TEST(a_stretch_needs_neither_a_job_nor_the_disk)
{
    struct test_store t;
    struct log_stretch s;
    test_store_open_uncached(&t);
    struct log *log = fill(&t, 3000);
    read_all(&t, log);
    sim_disk_set_cold(t.disk, true);
    expect_err(log_stretch(log, 0, log->hw, 10000, &s), E_COLD);
    sim_disk_set_cold(t.disk, false);
    uint64_t opens = sim_disk_stats(t.disk)->calls[SIM_OPEN];
    expect_ok(log_stretch(log, 0, log->hw, 10000, &s));
    log_stretch_end(s.holder);
    expect_int(sim_disk_stats(t.disk)->calls[SIM_OPEN], opens);
    expect_int(sim_jobs_waiting_count(t.jobs), 0);
    test_store_reset(&t);
}

static uint64_t opens(const struct test_store *t)
{
    return sim_disk_stats(t->disk)->calls[SIM_OPEN];
}

/* The same by a reader that is not expected again: it finds its way by the segments' names and index. */
static void expect_same_read(struct test_store *t, struct log *log, int64_t from, size_t max_bytes)
{
    struct text wanted = {0}, got = {0};
    struct log_read once = {
        .kind = READ_FROM, .from = from, .limit = log->hw, .max_bytes = max_bytes};
    int64_t wanted_end = from, end = from;
    uint64_t before = opens(t);
    expect_ok(read_with(t, log, &once, &wanted, &wanted_end));
    expect_true(opens(t) > before);
    before = opens(t);
    expect_ok(read_bytes(t, log, from, log->hw, max_bytes, &got, &end));
    expect_int(opens(t), before);
    expect_bytes(text_bytes(&got), text_bytes(&wanted));
    expect_int(end, wanted_end);
    text_reset(&wanted);
    text_reset(&got);
}

TEST(a_read_of_what_was_read_before_opens_no_file)
{
    struct test_store t;
    test_store_open_uncached(&t);
    struct log *log = fill(&t, 3000);
    read_all(&t, log);
    for (int64_t from = 0; from < log_state(log)->stored_to; from++)
        expect_same_read(&t, log, from,
                         1 + random_below(&t.random, 1 << random_below(&t.random, 17)));
    test_store_reset(&t);
}

TEST(who_goes_on_reading_opens_each_segment_once)
{
    struct test_store t;
    struct text out = {0};
    segment_bases bases = {0};
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 64 << 10;
    struct log *log = fill(&t, 3000);
    expect_ok(segment_list(t.disk, log->id, &bases));
    expect_true(bases.count > 2);
    uint64_t before = opens(&t), jobs = 0;
    for (int64_t at = 0; at < log_state(log)->stored_to; jobs++)
        expect_ok(read_bytes(&t, log, at, log->hw, 1, &out, &at));
    expect_true(jobs > 200);
    expect_int(opens(&t) - before, 2 * bases.count); /* and its index */
    vec_reset(&bases);
    text_reset(&out);
    test_store_reset(&t);
}

TEST(what_grows_later_is_not_in_a_stretch_before_it_was_read)
{
    struct test_store t;
    struct text out = {0};
    struct log_stretch s;
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 8 * MIB;
    struct log *log = fill(&t, 1000);
    read_all(&t, log);
    int64_t known = log_state(log)->stored_to, end = 0;
    for (int i = 0; i < 100; i++)
        test_append_records(&t, log, 3000, 1, 1);
    expect_true(log_state(log)->stored_to > known);
    expect_ok(log_stretch(log, 0, log->hw, 8 * MIB, &s));
    expect_int(s.end, known);
    log_stretch_end(s.holder);
    expect_false(is_known(log, known));
    expect_ok(read_bytes(&t, log, known, log->hw, 9000, &out, &end));
    expect_ok(log_stretch(log, 0, log->hw, 8 * MIB, &s)); /* it has grown with its reader */
    expect_int(s.end, end);
    log_stretch_end(s.holder);
    expect_int(t.store->run_count, 1);
    text_reset(&out);
    test_store_reset(&t);
}

TEST(readers_at_different_places_each_have_their_run)
{
    struct test_store t;
    struct text out = {0};
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 8 * MIB;
    struct log *log = fill(&t, 3000);
    int64_t a = 0, b = 200;
    for (int i = 0; i < 5; i++) {
        expect_ok(read_bytes(&t, log, a, log->hw, 9000, &out, &a));
        expect_ok(read_bytes(&t, log, b, log->hw, 9000, &out, &b));
    }
    expect_int(t.store->run_count, 2);
    expect_true(is_known(log, a - 1));
    expect_true(is_known(log, b - 1));
    expect_true(is_known(log, 200));
    expect_false(is_known(log, 190));
    text_reset(&out);
    test_store_reset(&t);
}

TEST(no_more_than_a_few_runs_are_kept)
{
    struct test_store t;
    struct text out = {0};
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 8 * MIB;
    struct log *log = fill(&t, 100);
    int64_t to = log_state(log)->stored_to;
    for (int64_t at = 0, end; at < to; at += 5) /* with holes between */
        expect_ok(read_bytes(&t, log, at, at + 1, 1, &out, &end));
    expect_int(t.store->run_count, 64);
    expect_true(is_known(log, (to - 1) / 5 * 5));
    expect_false(is_known(log, 0));
    text_reset(&out);
    test_store_reset(&t);
}

/* ---- what it must not give ---- */

TEST(a_damaged_batch_is_in_no_stretch_and_its_neighbours_are)
{
    struct test_store t;
    struct text out = {0};
    int64_t end = 0;
    test_store_open_uncached(&t);
    struct log *log = fill(&t, 3000);
    test_store_kill(&t);
    expect_ok(sim_disk_flip(t.disk, segment_0, 20000));
    expect_ok(test_store_open(&t));
    log = store_find(t.store, 7);
    expect_ok(read_bytes(&t, log, 0, log->hw, 60000, &out, &end));
    expect_true(out.size <= 20000);
    int64_t damaged = end;
    expect_err(read_bytes(&t, log, damaged, log->hw, 60000, &out, &end), E_CORRUPT);
    expect_err(read_bytes(&t, log, damaged, log->hw, 60000, &out, &end), E_CORRUPT);
    struct log_stretch s;
    expect_ok(log_stretch(log, 0, log->hw, 60000, &s));
    expect_int(s.end, damaged);
    expect_int(s.size, out.size);
    log_stretch_end(s.holder);
    expect_err(log_stretch(log, damaged, log->hw, 60000, &s), E_COLD);
    expect_false(is_known(log, damaged));
    expect_ok(read_bytes(&t, log, damaged + 5, log->hw, 9000, &out, &end));
    expect_true(is_known(log, damaged + 5));
    expect_false(is_known(log, damaged));
    text_reset(&out);
    test_store_reset(&t);
}

/* ---- files that go ---- */

TEST(a_file_that_is_removed_is_forgotten_and_finishes_what_was_given_out)
{
    struct test_store t;
    struct log_stretch s;
    struct text wanted = {0}, got = {0};
    int64_t end;
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 64 * KIB;
    struct log *log = fill(&t, 3000);
    read_all(&t, log);
    expect_ok(log_stretch(log, 0, log->hw, 50000, &s));
    expect_ok(read_bytes(&t, log, 0, log->hw, 50000, &wanted, &end));
    struct ticket ticket;
    log_trim(log, log_state(log)->stored_to - 5, &ticket);
    expect_false(is_known(log, 0));
    for (int i = 0; i < 200; i++)
        test_append_records(&t, log, 3000, 1, 1);
    expect_null(test_file_get(&t, segment_0).data);
    expect_ok(file_read(s.file, s.position, text_reserve(&got, s.size), s.size));
    expect_bytes(bytes_of(got.data, s.size), bytes_of(wanted.data, s.size));
    log_stretch_end(s.holder);
    test_store_settle(&t);
    text_reset(&wanted);
    text_reset(&got);
    test_store_reset(&t);
}

static void wait_some_seconds(struct test_store *t)
{
    for (int i = 0; i < 20; i++) {
        test_store_wait(t, 200);
        test_store_settle(t);
    }
}

TEST(a_large_segment_that_somebody_still_reads_is_not_made_shorter)
{
    struct test_store t;
    struct log_stretch s;
    struct text got = {0}, wanted = {0};
    int64_t end = 0, from = 25;
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 4 * MIB;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (int i = 0; i < 120; i++)
        test_append_records(&t, log, 100 * KIB, 1, 1);
    expect_ok(read_bytes(&t, log, from, log->hw, 300 * KIB, &wanted, &end));
    expect_ok(log_stretch(log, from, log->hw, 300 * KIB, &s));
    expect_true(s.position > 2 * MIB);
    size_t files = test_store_files(&t, "logs/7");
    log_trim(log, 80, NULL);
    wait_some_seconds(&t);
    expect_true(test_store_files(&t, "logs/7") < files);
    expect_ok(file_read(s.file, s.position, text_reserve(&got, s.size), s.size));
    expect_bytes(bytes_of(got.data, s.size), text_bytes(&wanted));
    log_stretch_end(s.holder);
    test_store_settle(&t);
    text_reset(&got);
    text_reset(&wanted);
    test_store_reset(&t);
}

TEST(a_deleted_logs_files_stay_until_what_was_given_out_has_ended_and_then_go_in_steps)
{
    struct test_store t;
    struct log_stretch s;
    struct text got = {0}, wanted = {0};
    int64_t end = 0;
    test_store_open_uncached(&t);
    t.store->config.segment_bytes = 16 * MIB;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (int i = 0; i < 90; i++)
        test_append_records(&t, log, 100 * KIB, 1, 1);
    int64_t from = 80;
    expect_ok(read_bytes(&t, log, from, log->hw, 300 * KIB, &wanted, &end));
    expect_ok(log_stretch(log, from, log->hw, 300 * KIB, &s));
    expect_true(s.position > 6 * MIB);
    uint64_t truncates = sim_disk_stats(t.disk)->calls[SIM_TRUNCATE];
    log_delete(log, NULL);
    wait_some_seconds(&t);
    expect_true(test_store_files(&t, "logs/7") > 0);
    expect_ok(file_read(s.file, s.position, text_reserve(&got, s.size), s.size));
    expect_bytes(bytes_of(got.data, s.size), text_bytes(&wanted));
    expect_int(sim_disk_stats(t.disk)->calls[SIM_TRUNCATE], truncates);
    log_stretch_end(s.holder);
    wait_some_seconds(&t);
    expect_int(test_store_files(&t, "logs/7"), 0);
    expect_int(sim_disk_stats(t.disk)->calls[SIM_TRUNCATE], truncates + 4);
    text_reset(&got);
    text_reset(&wanted);
    test_store_reset(&t);
}

TEST(a_log_that_is_deleted_takes_its_runs_along)
{
    struct test_store t;
    struct log_stretch s;
    struct text got = {0};
    test_store_open_uncached(&t);
    struct log *log = fill(&t, 3000);
    read_all(&t, log);
    expect_ok(log_stretch(log, 0, log->hw, 50000, &s));
    expect_true(t.store->run_count > 0);
    log_delete(log, NULL);
    expect_int(t.store->run_count, 0);
    expect_int(t.store->mark_count, 0);
    wait_some_seconds(&t);
    expect_ok(file_read(s.file, s.position, text_reserve(&got, s.size), s.size));
    expect_int(get_u64(got.data), 0); /* of the first batch, whole as it was */
    log_stretch_end(s.holder);
    wait_some_seconds(&t);
    expect_int(test_store_files(&t, "logs/7"), 0);
    text_reset(&got);
    test_store_reset(&t);
}

static bool read_ended;

static void on_end(struct log_read *r)
{
    (void)r;
    read_ended = true;
}

TEST(a_read_that_ends_when_its_batches_are_gone_leaves_no_run_behind)
{
    for (int way = 0; way < 2; way++) {
        struct test_store t;
        test_store_open_uncached(&t);
        struct log *log = fill(&t, 3000);
        struct log_read r = {.kind = READ_FROM,
                             .limit = log->hw,
                             .max_bytes = 9000,
                             .may_come_again = true,
                             .done = on_end};
        log_read(log, &r);
        read_ended = false;
        if (way == 0)
            log_delete(log, NULL);
        else
            log_trim(log, log_state(log)->stored_to, NULL);
        test_store_settle(&t);
        expect_true(read_ended);
        expect_int(r.err, way == 0 ? E_CLOSED : OK);
        expect_int(t.store->run_count, 0);
        log_read_end(&r);
        test_store_reset(&t);
    }
}

/* ---- compaction ---- */

static void append_keyed(struct test_store *t, struct log *log, const char *key)
{
    struct batch_builder builder = {0};
    struct ticket ticket;
    static const uint8_t value[1000];
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, test_store_wall_ms(t), bytes_from_string(key),
                      bytes_of(value, sizeof value), BYTES_NULL, 0);
    expect_ok(log_append(log, batch_builder_end(&builder), &ticket));
    batch_builder_reset(&builder);
    test_store_settle(t);
}

TEST(behind_a_compaction_the_new_file_is_read_and_the_old_one_stays_as_it_was)
{
    struct test_store t;
    struct log_stretch s;
    struct text before = {0}, after = {0}, got = {0};
    static struct log_policy policy;
    test_store_open_uncached(&t);
    t.wall_base_ms = 1700000000000;
    t.store->config.segment_bytes = 32 * KIB;
    policy = test_policy();
    policy.compact = true;
    policy.segment_ms = 60000;
    policy.min_dirty_ratio = 0;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    for (int i = 0; i < 150; i++)
        append_keyed(&t, log, i % 10 == 3 ? "rare" : "often");
    read_all(&t, log);
    int64_t end = 0;
    expect_ok(read_bytes(&t, log, 0, log->hw, 20000, &before, &end));
    expect_ok(log_stretch(log, 0, log->hw, 20000, &s));
    t.wall_base_ms += 3600 * 1000;
    for (int i = 0; i < 40; i++)
        append_keyed(&t, log, "later");
    test_store_wait(&t, 10000);
    expect_true(log_state(log)->parts->cleaned_to > 20);
    expect_false(is_known(log, 0));
    expect_ok(read_bytes(&t, log, 0, log->hw, 20000, &after, &end));
    expect_false(bytes_equal(text_bytes(&after), text_bytes(&before)));
    expect_ok(file_read(s.file, s.position, text_reserve(&got, s.size), s.size));
    expect_bytes(bytes_of(got.data, s.size), text_bytes(&before));
    log_stretch_end(s.holder);
    for (int round = 0; round < 300; round++)
        expect_same(&t, log, (int64_t)random_below(&t.random, 100), log->hw,
                    1 + random_below(&t.random, 20000));
    test_store_settle(&t);
    text_reset(&before);
    text_reset(&after);
    text_reset(&got);
    test_store_reset(&t);
}
