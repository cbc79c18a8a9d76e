/*
 * Simulated crashes of the broker core. Seeded clients publish, consume, declare and delete over a
 * simulated disk; after every single change to the disk, copies of it are crashed in several ways (all
 * unsynced writes kept, as after a kill; all lost; a drawn subset, torn at sectors), recovered, consumed
 * to the end and held against the model. Some recovered brokers go on working and crash again, also in
 * the middle of recovery.
 *
 *   broker_sim [--points N] [--seed N] [--ignore-sync] [--expect-violation]
 *
 * Prints the number of crash points. A violation prints seed and change, and the run ends with 1; with
 * --expect-violation (for mutants) the other way round.
 */
#include "tests/sim/broker_check.h"
#include "tests/sim/broker_world.h"
#include "tests/sim/hook_disk.h"
#include "tests/sim/sim_command.h"
#include "tests/sim/sim_settings.h"

#include "base/check.h"

#include <stdio.h>

enum { LIVES = 5, TURNS = 70, REQUESTS = 7 };

struct sim {
    uint64_t seed;
    struct random random; /* of the crashes: the main world does not depend on them */
    struct world world;
    struct disk *disk; /* below the hook */
    uint64_t changes;
    bool power_was_cut; /* and what that left is not the model yet */
};

static struct sim_total total;

static void violation(struct sim *s, const char *where, const char *what)
{
    total.violations++;
    printf("violation: seed %llu change %llu %s: %s\n", (unsigned long long)s->seed,
           (unsigned long long)s->changes, where, what);
}

static const char *const mode_names[] = {"kept", "lost", "subset"};

static enum sim_restart draw_mode(struct sim *s)
{
    return (enum sim_restart)random_below(&s->random, 3);
}

static void restart(struct sim *s, struct world *w, enum sim_restart mode)
{
    sim_disk_crash(w->disk);
    world_drop(w);
    sim_disk_restart(w->disk, mode, random_u64(&s->random));
    total.points++;
}

/* A write that is hit leaves whole sectors: what a kernel or a disk does. */
static void plan_crash(struct sim *s, struct world *w, uint64_t operations_max)
{
    w->may_fail = true;
    uint64_t operation =
        sim_disk_stats(w->disk)->operations + 1 + random_below(&s->random, operations_max);
    sim_disk_crash_at(w->disk, operation, (size_t)random_below(&s->random, 7) * SIM_SECTOR_BYTES);
}

/* Open what the crash left and compare it with `m`. */
static bool recover(struct world *w, const struct model *m, bool power_cut, struct found *found)
{
    *found = (struct found){0};
    if (world_open(w) != OK)
        world_complain(w, "does not open: %s", err_text());
    else
        check_recovered(w, m, power_cut, found);
    return !w->wrong[0];
}

/* Once more after a crash at a drawn place inside the recovery. */
static void crash_recovery(struct sim *s, struct world *w, enum sim_restart mode)
{
    plan_crash(s, w, 12);
    if (world_open(w) == OK)
        sim_jobs_drain(w->sim);
    restart(s, w, mode);
}

/* What was recovered takes requests, and crashes in the middle of them. */
static void go_on(struct sim *s, struct world *w, const struct model *m, struct found *found)
{
    enum sim_restart mode = draw_mode(s);
    w->model = model_clone(m);
    check_adopt(w, found);
    check_end(w, found);
    plan_crash(s, w, 80);
    for (int i = 0; i < 30 && !sim_disk_has_crashed(w->disk) && !w->wrong[0]; i++)
        world_turn(w, REQUESTS);
    restart(s, w, mode);
    if (random_below(&s->random, 4) == 0) {
        mode = mode == SIM_KEEP ? SIM_LOSE : mode;
        crash_recovery(s, w, mode);
    }
    if (!w->wrong[0])
        recover(w, w->model, mode != SIM_KEEP, found);
}

static void crash_once(struct sim *s, enum sim_restart mode)
{
    struct world w;
    struct found found = {0};
    const struct model *m = s->world.model;
    bool power_cut = s->power_was_cut || mode != SIM_KEEP;
    world_init(&w, random_u64(&s->random), sim_disk_clone(s->disk));
    model_free(w.model);
    w.model = NULL;
    w.config = s->world.config;
    w.now_ns = s->world.now_ns / 2; /* a machine that has booted again */
    w.wall_ms = s->world.wall_ms;
    restart(s, &w, mode);
    if (random_below(&s->random, 8) == 0) {
        crash_recovery(s, &w, random_below(&s->random, 2) ? SIM_SUBSET : SIM_LOSE);
        power_cut = true;
    }
    if (recover(&w, m, power_cut, &found) && random_below(&s->random, 6) == 0)
        go_on(s, &w, m, &found);
    check_end(&w, &found);
    if (w.wrong[0])
        violation(s, mode_names[mode], w.wrong);
    sim_disk_crash(w.disk);
    world_reset(&w);
    disk_free(w.disk);
}

static bool is_over(const struct sim *s)
{
    return total.violations > 0 || total.points >= total.points_wanted || s->world.wrong[0];
}

static void on_change(void *ctx)
{
    struct sim *s = ctx;
    s->changes++;
    if (is_over(s) || sim_disk_has_crashed(s->disk))
        return;
    crash_once(s, SIM_LOSE);
    if (!is_over(s))
        crash_once(s, s->changes % 2 ? SIM_KEEP : SIM_SUBSET);
}

/* ---- the main world ---- */

/* The end of a run of the main world: an orderly close, or a crash. */
static void end_run(struct sim *s)
{
    struct world *w = &s->world;
    bool is_frozen = world_is_frozen(w);
    hook_disk_fail_reads(w->disk, 0, 0);
    if (!is_frozen && random_below(&s->random, 3) == 0)
        world_rest(w);
    if (!is_frozen && random_below(&s->random, 2) &&
        !w->is_tight) { /* a full disk takes not all of the rest */
        world_close(w);
        return;
    }
    sim_disk_crash(s->disk);
    world_drop(w);
}

static void reopen(struct sim *s, enum sim_restart mode)
{
    struct world *w = &s->world;
    struct found found = {0};
    sim_disk_crash(s->disk);
    sim_disk_restart(s->disk, mode, random_u64(&s->random));
    total.points++;
    s->power_was_cut = mode != SIM_KEEP;
    w->model->comparing = true;
    if (recover(w, w->model, mode != SIM_KEEP, &found))
        check_adopt(w, &found);
    s->power_was_cut = false;
    check_end(w, &found);
}

static void run_world(uint64_t seed, bool ignore_sync)
{
    struct sim s = {.seed = seed};
    struct world *w = &s.world;
    random_init(&s.random, seed ^ 0x5eed);
    s.disk = sim_disk_new();
    sim_disk_ignore_sync(s.disk, ignore_sync);
    s.disk->block_bytes = random_below(&s.random, 2) ? 512 : 4096;
    world_init(w, seed, hook_disk_new(s.disk, on_change, &s));
    w->is_tight = random_below(&s.random, 5) == 0;
    if (w->is_tight)
        sim_disk_set_capacity(s.disk, 500000 + random_below(&s.random, 1000000));
    uint64_t failing_one_in = sim_settings_draw_failing(&s.random);
    w->may_fail = failing_one_in > 0;
    for (int life = 0; life < LIVES && !is_over(&s); life++) {
        if (life > 0)
            reopen(&s, draw_mode(&s));
        else if (world_open(w) != OK)
            world_complain(w, "does not open: %s", err_text());
        hook_disk_fail_reads(w->disk, failing_one_in, seed + (uint64_t)life);
        for (int i = 0; i < TURNS && !is_over(&s) && !world_is_frozen(w); i++)
            world_turn(w, REQUESTS);
        if (!is_over(&s))
            end_run(&s);
    }
    if (w->wrong[0])
        violation(&s, "running", w->wrong);
    struct disk *hook = w->disk;
    sim_disk_crash(s.disk);
    world_reset(w);
    disk_free(hook);
    disk_free(s.disk);
}

int main(int argc, char **argv)
{
    (void)argc;
    bytes_hash_set_seed(1);
    return sim_command("broker_sim", argv, &total, run_world);
}
