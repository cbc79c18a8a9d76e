/*
 * Disks that fail and disks that are full. The sweep makes every single call of a busy store fail,
 * one run for each; the tests behind it look at what is promised for one kind of failure.
 */
#include "tests/test.h"

#include "base/say.h"
#include "log/store_internal.h"
#include "log/test_store.h"

#include <stdio.h>
#include <stdlib.h>

static void be_silent(const char *line, uint32_t size)
{
    (void)line, (void)size;
}

/* ---- a workload that uses every kind of job ---- */

enum { SMALL = 1, BULK, DIRECT, OS, OS_DIRECT, DOOMED, LOGS };

struct work {
    struct test_store t;
    uint64_t next[LOGS];
    int64_t acked[LOGS]; /* what a producer was told: records below are committed */
    int64_t trimmed[LOGS];
    struct ticket deletion;
    bool is_deleted, deletion_acked;
};

static void work_init(struct work *w)
{
    memset(w, 0, sizeof *w);
    test_store_init(&w->t);
    struct store_config *c = &w->t.config;
    c->journal_first_bytes = 64 * KIB;
    c->journal_file_bytes = 64 * KIB;
    c->journal_max_bytes = 256 * KIB;
    c->carry_bytes = 8 * KIB;
    c->piece_bytes = 4 * KIB;
    c->direct_append_bytes = 20 * KIB;
    c->direct_commit_bytes = 1 * MIB;
    c->allocate_bytes = 64 * KIB;
    c->segment_bytes = 96 * KIB;
    c->unmarked_max_bytes = 128 * KIB;
}

static enum log_level level_of(int id)
{
    return id == OS || id == OS_DIRECT ? LEVEL_OS : LEVEL_FSYNC;
}

static void put(struct work *w, int id, size_t size)
{
    struct ticket ticket;
    struct log *log = store_log(w->t.store, (uint64_t)id, level_of(id));
    if (log_append(log, test_batch_sized(w->next[id], size), &ticket) == OK)
        w->next[id]++;
}

static void note_acks(struct work *w)
{
    for (int id = SMALL; id < LOGS; id++) {
        const struct log *log = store_find(w->t.store, (uint64_t)id);
        if (log && id != OS_DIRECT)
            w->acked[id] = level_of(id) == LEVEL_FSYNC ? log->hw : log->durable;
    }
    if (w->is_deleted && store_is_done(w->t.store, w->deletion, STAGE_COMMITTED))
        w->deletion_acked = true;
}

static void one_turn(struct work *w, int i)
{
    put(w, SMALL, 200);
    put(w, BULK, 4000);
    put(w, DIRECT, i < 3 ? 100 : 21000);
    put(w, OS, 900);
    put(w, OS_DIRECT, i < 2 ? 100 : 21000);
    if (!w->is_deleted)
        put(w, DOOMED, i < 6 ? 3000 : 22000);
    if (i == 20 && store_find(w->t.store, DOOMED)) {
        log_delete(store_find(w->t.store, DOOMED), &w->deletion);
        w->is_deleted = true;
    }
    struct log *bulk = store_find(w->t.store, BULK), *direct = store_find(w->t.store, DIRECT);
    if (i % 10 == 9 && bulk->hw > bulk->start)
        log_trim(bulk, w->trimmed[BULK] = bulk->hw - 5 > bulk->start ? bulk->hw - 5 : bulk->hw,
                 NULL);
    if (i % 10 == 8 && direct->hw > direct->start + 4)
        log_trim(direct, w->trimmed[DIRECT] = direct->hw - 4, NULL);
    test_store_turn(&w->t, 12);
    if (i % 4 == 0 && !w->t.store->in_flight && w->t.store->staging->records.count == 0)
        window_clear(&w->t.store->journal_window); /* memory holds no truth */
    note_acks(w);
}

static void work_run(struct work *w)
{
    for (int i = 0; i < 40; i++)
        one_turn(w, i);
    test_store_wait(&w->t, 3500); /* direct logs become quiet and leave */
    for (int i = 0; i < 6; i++)
        one_turn(w, i);
    test_store_wait(&w->t, 1200);
    note_acks(w);
}

/* ---- what must be true of it ---- */

/* The numbers of the records from `start` to hw are their offsets. */
static void expect_numbers(struct test_store *t, struct log *log)
{
    int64_t at = log->start;
    while (at < log->hw) {
        struct log_read r = {.from = at, .limit = log->hw, .max_bytes = 50000};
        test_store_read(t, log, &r);
        expect_ok(r.err);
        expect_true(r.count > 0);
        for (size_t i = 0; i < r.count; i++) {
            struct batch b;
            struct record_reader reader;
            struct record record;
            expect_ok(batch_parse(r.batches[i].raw, &b));
            expect_int(r.batches[i].base_offset, at);
            record_reader_init(
                &reader, &b, at,
                bytes_of(b.raw.data + BATCH_HEADER_BYTES, b.raw.size - BATCH_HEADER_BYTES));
            expect_true(record_reader_next(&reader, &record));
            expect_int(get_u64(record.value.data), at);
            at++;
        }
        log_read_end(&r);
    }
}

static void expect_kept(struct work *w, enum sim_restart mode)
{
    expect_ok(test_store_crash(&w->t, mode, 7));
    for (int id = SMALL; id < LOGS; id++) {
        struct log *log = store_find(w->t.store, (uint64_t)id);
        if (id == DOOMED && w->is_deleted) {
            expect_true(!log || !w->deletion_acked);
            w->is_deleted = w->deletion_acked = !log;
            continue;
        }
        if (w->acked[id] > 0)
            expect_not_null(log);
        w->next[id] = log ? (uint64_t)log->end : 0;
        if (!log)
            continue;
        expect_true(log->hw >= w->acked[id]);
        expect_true(log->start <= w->trimmed[id]);
        expect_numbers(&w->t, log);
    }
}

/* Run with the nth call of one kind failing. false: there were not so many. */
static bool run_failing(enum sim_call call, uint64_t nth, enum err code, uint64_t *frozen)
{
    struct work w;
    work_init(&w);
    uint64_t before = sim_disk_stats(w.t.disk)->calls[call];
    sim_disk_fail(w.t.disk, call, nth, code);
    enum err err = test_store_open(&w.t);
    if (err)
        expect_err(err, code);
    else
        work_run(&w);
    bool reached = sim_disk_stats(w.t.disk)->calls[call] - before >= nth;
    sim_disk_fail(w.t.disk, call, UINT64_MAX, code); /* no more */
    if (w.t.was_frozen)
        ++*frozen;
    expect_kept(&w, SIM_LOSE);
    work_run(&w);
    expect_kept(&w, SIM_SUBSET);
    test_store_reset(&w.t);
    return reached;
}

static void sweep(enum sim_call call, enum err code, uint64_t step)
{
    uint64_t n = 1, frozen = 0;
    say_set_sink(be_silent);
    while (run_failing(call, n, code, &frozen))
        n += step;
    say_set_sink(NULL);
    expect_true(n > 3 * step); /* the workload makes such calls */
    if (code == E_IO && (call == SIM_WRITE || call == SIM_SYNC || call == SIM_WRITE_OUT))
        expect_true(frozen > 0);
}

TEST(no_failed_sync_loses_what_was_acknowledged)
{
    sweep(SIM_SYNC, E_IO, 1);
}

TEST(no_failed_writing_out_loses_what_was_acknowledged)
{
    sweep(SIM_WRITE_OUT, E_IO, 1);
}

TEST(no_failed_write_loses_what_was_acknowledged)
{
    sweep(SIM_WRITE, E_IO, 1);
}

TEST(no_failed_read_loses_what_was_acknowledged)
{
    sweep(SIM_READ, E_IO, 1);
}

TEST(no_failed_open_loses_what_was_acknowledged)
{
    sweep(SIM_OPEN, E_IO, 1);
}

TEST(no_failed_change_of_space_or_names_loses_what_was_acknowledged)
{
    sweep(SIM_ALLOCATE, E_IO, 1);
    sweep(SIM_TRUNCATE, E_IO, 1);
    sweep(SIM_REMOVE, E_IO, 1);
    sweep(SIM_MAKE_DIR, E_IO, 1);
    sweep(SIM_SYNC_DIR, E_IO, 1);
}

TEST(no_moment_of_a_full_disk_loses_what_was_acknowledged)
{
    sweep(SIM_WRITE, E_NO_SPACE, 1);
    sweep(SIM_ALLOCATE, E_NO_SPACE, 1);
    sweep(SIM_OPEN, E_NO_SPACE, 1);
    sweep(SIM_MAKE_DIR, E_NO_SPACE, 1);
}
