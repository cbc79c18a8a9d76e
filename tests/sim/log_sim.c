/*
 * Simulated crashes of the store. A seeded workload runs on a simulated disk; after every single change
 * that it makes to the disk, copies of the disk are crashed in several ways (all unsynced writes kept,
 * all lost, a drawn subset, torn at sectors), recovered, and held against the model. Some recovered
 * stores go on working and crash again, also in the middle of recovery.
 *
 *   log_sim [--points N] [--seed N] [--ignore-sync] [--expect-violation]
 *
 * Prints the number of crash points. A violation prints seed and change, and the run ends with 1; with
 * --expect-violation (for mutants) the other way round.
 */
#include "tests/sim/hook_disk.h"
#include "tests/sim/log_model.h"
#include "tests/sim/log_reads.h"
#include "tests/sim/sim_command.h"
#include "tests/sim/sim_settings.h"

#include "base/map.h"
#include "io/sim_jobs.h"

#include <stdio.h>

enum { LOGS = 6, TURNS = 220, STEPS_MAX = 12 };

struct pending { /* an acknowledgement to come */
    struct ticket ticket;
    struct model_log *log;
    enum { ACK_APPEND, ACK_TRIM, ACK_DELETE, ACK_CUT } what;
    int64_t offset;
};

struct world {
    uint64_t seed;
    struct random random, crash_random;
    struct disk *inner, *disk;
    struct jobs *jobs;
    struct store *store;
    struct store_config config;
    struct sim_owner owner;
    struct log_policy compact, retain;
    struct model model;
    struct log_reads reads;
    VEC(struct pending) pending;
    uint64_t next_id, changes;
    int64_t now_ns;
    bool ignore_sync, in_recovery;
};

static struct sim_total total;

static int64_t wall_ms(int64_t now_ns)
{
    return 1000000 + now_ns / 1000000;
}

static uint64_t draw(struct world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

/* ---- crash points ---- */

struct copy { /* a crashed world that recovers */
    struct disk *disk;
    struct jobs *jobs;
    struct store *store;
    struct sim_owner owner;
};

static enum err copy_open(struct world *w, struct copy *c)
{
    struct store_owner calls = sim_owner_calls(&c->owner);
    c->jobs = sim_jobs_new();
    return store_open(&w->config, c->disk, c->jobs, &calls, &c->store);
}

static void copy_close(struct copy *c)
{
    if (c->store) {
        sim_disk_crash(c->disk); /* what is under way fails */
        sim_jobs_drain(c->jobs);
        store_abandon(c->store);
    }
    sim_jobs_free(c->jobs);
    sim_owner_reset(&c->owner);
    c->store = NULL;
    c->jobs = NULL;
}

static void violation(struct world *w, const char *mode, const char *what)
{
    total.violations++;
    printf("violation: seed %llu change %llu %s: %s\n", (unsigned long long)w->seed,
           (unsigned long long)w->changes, mode, what);
}

static const char *const mode_names[] = {"kept", "lost", "subset"};

/* Recover once more after a crash at a drawn place inside the recovery. A write that is hit leaves whole sectors:
 * what a kernel or a disk does. */
static void crash_recovery(struct world *w, struct copy *c, enum sim_restart mode)
{
    sim_disk_crash_at(c->disk,
                      sim_disk_stats(c->disk)->operations + 1 + random_below(&w->crash_random, 6),
                      (size_t)random_below(&w->crash_random, 7) * SIM_SECTOR_BYTES);
    if (copy_open(w, c) != OK)
        c->store = NULL;
    else
        store_flush(c->store), sim_jobs_drain(c->jobs);
    sim_disk_crash(c->disk);
    copy_close(c);
    sim_disk_restart(c->disk, mode, random_u64(&w->crash_random));
    total.points++;
}

/* Policies go on where they were cut. */
static void compact_on(struct world *w, struct copy *c)
{
    int64_t now_ns = w->now_ns;
    for (size_t i = 0; i < w->model.logs.count; i++) {
        struct log *log = store_find(c->store, w->model.logs.items[i]->id);
        if (log && w->model.logs.items[i]->compacted)
            log_set_policy(log, &w->compact);
    }
    for (int i = 0; i < 40; i++) {
        now_ns += 500000000;
        store_set_time(c->store, now_ns);
        store_set_wall_time(c->store, wall_ms(now_ns));
        store_tick(c->store, now_ns);
        store_flush(c->store);
        sim_jobs_drain(c->jobs);
    }
}

/* What was recovered takes appends, and keeps them over another power cut. */
static const char *go_on(struct world *w, struct copy *c)
{
    struct ticket t;
    if (random_below(&w->crash_random, 2))
        compact_on(w, c);
    struct log *log = store_log(c->store, 1000000, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 3; i++) {
        if (log_append(log, model_make_batch(7 + i, 1, 100, false), &t) != OK)
            return err_text();
        store_flush(c->store);
        sim_jobs_drain(c->jobs);
    }
    store_flush(c->store);
    sim_jobs_drain(c->jobs);
    if (!store_is_done(c->store, t, STAGE_COMMITTED))
        return "appends after recovery are not committed";
    int64_t end = log->end;
    sim_disk_crash(c->disk);
    copy_close(c);
    sim_disk_restart(c->disk, SIM_LOSE, 1);
    total.points++;
    if (copy_open(w, c) != OK)
        return err_text();
    log = store_find(c->store, 1000000);
    if (!log || log->end != end)
        return "appends after recovery are lost";
    return NULL;
}

static void crash_once(struct world *w, enum sim_restart mode)
{
    struct copy c = {.disk = sim_disk_clone(w->inner)};
    bool cut = mode != SIM_KEEP;
    total.points++;
    sim_disk_crash(c.disk);
    sim_disk_restart(c.disk, mode, random_u64(&w->crash_random));
    if (random_below(&w->crash_random, 8) == 0) {
        crash_recovery(w, &c, random_below(&w->crash_random, 2) ? SIM_SUBSET : SIM_LOSE);
        cut = true;
    }
    const char *wrong = NULL;
    if (copy_open(w, &c) != OK) {
        c.store = NULL;
        wrong = err_text();
    }
    if (!wrong)
        wrong = model_verify(&w->model, c.store, c.jobs, &c.owner, cut);
    if (!wrong && random_below(&w->crash_random, 4) == 0)
        wrong = go_on(w, &c);
    if (!wrong && random_below(&w->crash_random, 4) == 0)
        wrong = model_verify(&w->model, c.store, c.jobs, &c.owner, true);
    if (wrong)
        violation(w, mode_names[mode], wrong);
    copy_close(&c);
    disk_free(c.disk);
}

/* Where policies have moved starts to. */
static void note_starts(struct world *w)
{
    for (size_t i = 0; w->store && i < w->model.logs.count; i++) {
        struct model_log *l = w->model.logs.items[i];
        const struct log *log = l->retained ? store_find(w->store, l->id) : NULL;
        if (log && log->start > l->trim_asked)
            l->trim_asked = log->start;
    }
}

static void on_change(void *ctx)
{
    struct world *w = ctx;
    w->changes++;
    note_starts(w);
    if (total.violations > 0 || total.points >= total.points_wanted ||
        sim_disk_has_crashed(w->inner))
        return;
    crash_once(w, SIM_LOSE);
    crash_once(w, SIM_SUBSET);
    if (w->changes % 2)
        crash_once(w, SIM_KEEP);
    else
        crash_once(w, SIM_SUBSET);
}

/* ---- the workload ---- */

static void acknowledge(struct world *w)
{
    size_t left = 0;
    for (size_t i = 0; i < w->pending.count; i++) {
        struct pending p = w->pending.items[i];
        if (!store_is_done(w->store, p.ticket, STAGE_COMMITTED)) {
            w->pending.items[left++] = p;
            continue;
        }
        if (p.what == ACK_APPEND && p.offset > p.log->acked)
            p.log->acked = p.offset;
        if (p.what == ACK_TRIM && p.offset > p.log->trim_acked)
            p.log->trim_acked = p.offset;
        if (p.what == ACK_DELETE)
            p.log->delete_acked = true;
        if (p.what == ACK_CUT) {
            p.log->cutting = false;
            p.log->before_cut.count = 0;
        }
    }
    w->pending.count = left;
}

static void expect_ack(struct world *w, struct model_log *l, int what, struct ticket t,
                       int64_t offset)
{
    struct pending p = {t, l, what, offset};
    vec_push(&w->pending, p);
}

static struct model_log *new_log(struct world *w)
{
    struct model_log *l = xzalloc(sizeof *l);
    l->id = w->next_id++;
    l->level = draw(w, 5) == 0 ? LEVEL_OS : LEVEL_FSYNC;
    l->compacted = draw(w, 3) == 0;
    l->retained = !l->compacted && draw(w, 4) == 0;
    vec_push(&w->model.logs, l);
    return l;
}

/* A log that is not deleted. */
static struct model_log *pick(struct world *w)
{
    for (;;) {
        struct model_log *l = w->model.logs.items[draw(w, w->model.logs.count)];
        if (!l->delete_asked)
            return l;
    }
}

static struct log *log_of(struct world *w, struct model_log *l)
{
    bool is_new = !store_find(w->store, l->id);
    struct log *log = store_log(w->store, l->id, l->level);
    if (is_new && (l->compacted || l->retained))
        log_set_policy(log, l->compacted ? &w->compact : &w->retain);
    return log;
}

static void note_append(struct world *w, struct model_log *l, int64_t base, int32_t span,
                        uint64_t number, bool control)
{
    vec_push(&l->batches, ((struct model_batch){base, span, number, control, -1}));
    if (control)
        sim_owner_note(&w->owner, l->id, number);
}

static size_t draw_size(struct world *w)
{
    switch (draw(w, 12)) {
    case 0: return 20000 + draw(w, 30000); /* asks for direct mode */
    case 1: return 3000 + draw(w, 9000);
    default: return draw(w, 600);
    }
}

static void do_append(struct world *w)
{
    struct model_log *l = pick(w);
    struct log *log = log_of(w, l);
    struct ticket t;
    uint64_t number = ++w->model.next_number;
    int32_t span = 1 + (int32_t)draw(w, 3);
    bool control = draw(w, 6) == 0;
    int64_t base = log->end;
    bool keyed = l->compacted && !control && draw(w, 8) > 0;
    int key = keyed ? (int)draw(w, 6) : -1;
    if (control || keyed)
        span = 1;
    struct bytes batch = keyed
                             ? model_make_keyed(number, key, draw_size(w))
                             : model_make_batch(number, span, control ? 10 : draw_size(w), control);
    if (log_append(log, batch, &t) != OK)
        return;
    note_append(w, l, base, span, number, control);
    vec_last(&l->batches).key = key;
    expect_ack(w, l, ACK_APPEND, t, log->end);
}

/* As if a value of it, of any length, had been lent. */
static struct batch_parts in_parts(struct bytes raw, uint64_t number)
{
    size_t behind = raw.size - BATCH_HEADER_BYTES;
    size_t front = BATCH_HEADER_BYTES + number % behind;
    size_t lent = number * 7 % (raw.size - front);
    return (struct batch_parts){
        .front = bytes_of(raw.data, front),
        .lent = bytes_of(raw.data + front, lent),
        .rest = bytes_of(raw.data + front + lent, raw.size - front - lent),
    };
}

static void do_append_many(struct world *w)
{
    struct log *logs[LOGS];
    struct model_log *models[LOGS];
    int64_t bases[LOGS];
    size_t count = 0;
    for (size_t i = 0; i < w->model.logs.count && count < LOGS; i++) {
        struct model_log *l = w->model.logs.items[i];
        if (l->delete_asked || draw(w, 2))
            continue;
        models[count] = l;
        logs[count] = log_of(w, l);
        bases[count] = logs[count]->end;
        count++;
    }
    struct ticket t;
    uint64_t number = ++w->model.next_number;
    if (count == 0)
        return;
    struct bytes batch = model_make_batch(number, 2, draw(w, 900), false);
    if (log_append_many(logs, count, in_parts(batch, number), &t) != OK)
        return;
    for (size_t i = 0; i < count; i++) {
        note_append(w, models[i], bases[i], 2, number, false);
        expect_ack(w, models[i], ACK_APPEND, t, logs[i]->end);
    }
}

static void do_trim(struct world *w)
{
    struct model_log *l = pick(w);
    struct log *log = log_of(w, l);
    if (log->hw <= log->start || l->retained)
        return;
    int64_t to = log->start + 1 + (int64_t)draw(w, (uint64_t)(log->hw - log->start));
    struct ticket t;
    l->trim_asked = to;
    if (draw(w, 2)) {
        log_trim(log, to, &t);
        expect_ack(w, l, ACK_TRIM, t, to);
    } else {
        log_trim(log, to, NULL);
    }
}

static void do_delete(struct world *w)
{
    struct model_log *l = pick(w);
    if (!store_find(w->store, l->id))
        return;
    struct ticket t;
    note_starts(w); /* the last time that its start can be seen */
    l->delete_asked = true;
    log_delete(log_of(w, l), &t);
    expect_ack(w, l, ACK_DELETE, t, 0);
    new_log(w);
}

static void do_read(struct world *w)
{
    struct model_log *l = pick(w);
    struct log *log = log_of(w, l);
    if (log->hw <= log->start)
        return;
    const char *wrong = log_reads_step(&w->reads, l, log, &w->random);
    if (wrong)
        violation(w, "running", wrong);
}

static void run_disk(struct world *w, int steps)
{
    for (int i = 0; i < steps && sim_jobs_step(w->jobs, &w->random); i++)
        acknowledge(w);
}

static void turn(struct world *w)
{
    enum { IDLE_ONE_IN = 40 };
    int64_t idle_ns = 3500000000;
    w->now_ns += draw(w, IDLE_ONE_IN) == 0 ? idle_ns : (int64_t)draw(w, 100) * 10000000;
    store_set_time(w->store, w->now_ns);
    store_set_wall_time(w->store, wall_ms(w->now_ns));
    if (store_next_due(w->store) <= w->now_ns)
        store_tick(w->store, w->now_ns);
    store_flush(w->store);
    acknowledge(w);
    run_disk(w, (int)draw(w, STEPS_MAX));
}

static void settle(struct world *w)
{
    for (int i = 0; i < 12; i++) {
        w->now_ns += 200000000;
        store_set_wall_time(w->store, wall_ms(w->now_ns));
        store_tick(w->store, w->now_ns);
        store_flush(w->store);
        run_disk(w, 1000);
    }
    store_flush(w->store);
    acknowledge(w);
}

static void do_truncate(struct world *w)
{
    struct model_log *l = pick(w);
    settle(w);
    struct log *log = log_of(w, l);
    size_t n = l->batches.count;
    if (n < 2 || l->batches.items[n - 1].base < log->start || l->level == LEVEL_OS)
        return;
    int64_t to = l->batches.items[n - 1].base;
    struct ticket t;
    if (l->batches.items[n - 1].control || log_truncate(log, to, store_epoch(w->store), &t) != OK)
        return;
    l->before_cut.count = 0;
    for (size_t i = 0; i < n; i++)
        vec_push(&l->before_cut, l->batches.items[i]);
    l->batches.count--;
    l->cutting = true;
    if (l->acked > to)
        l->acked = to;
    expect_ack(w, l, ACK_CUT, t, 0);
    do_append(w);
    settle(w);
}

static void act(struct world *w)
{
    uint64_t n = draw(w, 100);
    if (n < 60)
        do_append(w);
    else if (n < 75)
        do_append_many(w);
    else if (n < 88)
        do_trim(w);
    else if (n < 90)
        do_delete(w);
    else if (n < 92)
        do_truncate(w);
}

static void configure(struct world *w)
{
    sim_settings_draw(&w->config, &w->random);
    w->retain = (struct log_policy){.drop = true,
                                    .retention_ms = -1,
                                    .retention_bytes = 40 * 1024,
                                    .segment_bytes = 16 * 1024,
                                    .segment_ms = INT64_MAX};
    w->compact = (struct log_policy){.compact = true,
                                     .segment_bytes = 24 * 1024,
                                     .segment_ms = 2000,
                                     .max_compaction_lag_ms = INT64_MAX,
                                     .delete_retention_ms = INT64_MAX / 2};
    w->compact.min_dirty_ratio = draw(w, 2) ? 0 : 0.3;
}

static void run_world(uint64_t seed, bool ignore_sync)
{
    struct world w = {.seed = seed, .next_id = 10, .now_ns = 1000000000};
    random_init(&w.random, seed);
    random_init(&w.crash_random, seed ^ 0x5eed);
    configure(&w);
    w.inner = sim_disk_new();
    sim_disk_ignore_sync(w.inner, ignore_sync);
    w.inner->block_bytes = draw(&w, 2) ? 512 : 4096;
    w.disk = hook_disk_new(w.inner, on_change, &w);
    w.jobs = sim_jobs_new();
    struct store_owner calls = sim_owner_calls(&w.owner);
    enum err err = store_open(&w.config, w.disk, w.jobs, &calls, &w.store);
    check(!err);
    for (int i = 0; i < LOGS; i++)
        new_log(&w);
    uint64_t failing_one_in = sim_settings_draw_failing(&w.crash_random);
    for (int i = 0; i < TURNS && total.points < total.points_wanted && total.violations == 0 &&
                    !store_is_frozen(w.store);
         i++) {
        for (uint64_t n = draw(&w, 5); n > 0; n--)
            act(&w);
        for (uint64_t n = draw(&w, 2 * LOGS); n > 0; n--)
            do_read(&w);
        hook_disk_fail_reads(w.disk, failing_one_in, seed + (uint64_t)i);
        turn(&w);
        hook_disk_fail_reads(w.disk, 0, 0);
    }
    const char *wrong = log_reads_end(&w.reads);
    if (wrong)
        violation(&w, "running", wrong);
    sim_disk_crash(w.inner);
    sim_jobs_drain(w.jobs);
    store_abandon(w.store);
    sim_jobs_free(w.jobs);
    sim_owner_reset(&w.owner);
    model_reset(&w.model);
    vec_reset(&w.pending);
    disk_free(w.disk);
    disk_free(w.inner);
}

int main(int argc, char **argv)
{
    (void)argc;
    return sim_command("log_sim", argv, &total, run_world);
}
