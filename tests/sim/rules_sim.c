/*
 * Simulated crashes of what queues do by themselves (rules_world.h). As in broker_sim, after every single
 * change to the disk copies of it are crashed, recovered, and held against the ledger:
 *
 *   - no copy of a letter is lost, and none is there twice, wherever rules have moved it
 *   - a letter that was not confirmed is there whole or not at all
 *   - a transaction has happened or not, and so has a purge and a deletion, if it was not answered; one
 *     that was answered has happened, also when a queue of that name is there again
 *   - queues, bindings, policies and vhosts are what was answered or asked for later, and policies are in force
 *   - nothing is there before its delay is over
 *   - in some worlds reads fail now and then: what waits for them comes later
 *   - what has not moved is in the order in which it was published, of each priority
 *   - some time later nothing waits any more, no queue is too long, and what had a time to live is a dead
 *     letter
 *
 *   rules_sim [--points N] [--seed N] [--only KIND | --mostly KIND | --each-kind] [--ignore-sync]
 *             [--expect-violation]
 *
 * A kind of request (rules_kinds) alone, or as half of all, under the load of the others.
 */
#include "tests/sim/hook_disk.h"
#include "tests/sim/rules_asks.h"
#include "tests/sim/rules_catalog.h"
#include "tests/sim/sim_command.h"
#include "tests/sim/sim_settings.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/queue_internal.h"
#include "broker/queue_rules.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIVES = 4, TURNS = 90 };

struct sim {
    uint64_t seed;
    struct random random; /* of the crashes */
    struct rules_world world;
    struct disk *disk; /* below the hook */
    uint64_t changes;
    bool is_quiet; /* or counting: the ledger does not say what there should be */
};

static struct sim_total total;

static void violation(const struct sim *s, const char *where, const char *what)
{
    total.violations++;
    printf("violation: seed %llu change %llu %s: %s\n", (unsigned long long)s->seed,
           (unsigned long long)s->changes, where, what);
}

/* ---- counting ---- */

struct count {
    uint32_t *found; /* of each letter */
    VEC(struct delivery) taken;
    int64_t last[PLACES][RANKS + 1]; /* the letter that came last of those that have not moved */
    uint64_t ready_bytes[PLACES];
    bool is_late; /* enough time has passed for everything */
};

static void never(struct wait *wait)
{
    (void)wait;
}

/* What has not moved is in its place. */
static void look_at_order(struct rules_world *w, struct count *c, enum place place, uint32_t number)
{
    const struct letter *l = &w->ledger.letters.items[number];
    int64_t *last = &c->last[place][place == RANKED ? l->priority : 0];
    if (!(l->to >> place & 1))
        return;
    if (number < *last)
        rules_complain(w, "letter %u is behind letter %lld", number, (long long)*last);
    *last = number;
}

static void look_at(struct rules_world *w, struct count *c, const struct delivery *d)
{
    struct letter_text text;
    enum place place = rules_place_of(w, d->queue);
    if (!letter_read(d->message.body, &text) || text.letter >= w->ledger.letters.count) {
        rules_complain(w, "a letter that nobody has sent");
        return;
    }
    c->found[text.letter]++;
    c->ready_bytes[place] += d->message.body.size;
    look_at_order(w, c, place, text.letter);
    if (place != DELAYED && place != GUESTS_DELAYED && w->wall_ms < text.not_before_ms)
        rules_complain(w, "letter %u came %lld ms too early", text.letter,
                       (long long)(text.not_before_ms - w->wall_ms));
}

/* Before anybody looks: who gets the head lets it expire. */
static void expect_nothing_waits(struct rules_world *w, const uint64_t *ready)
{
    for (int place = 0; place < PLACES; place++) {
        if (!w->places[place])
            continue;
        struct limits limits = place < NAMED_PLACES ? place_limits(w, (enum place)place)
                                                    : (struct limits){.ttl_ms = DELAY_MAX_MS};
        if (limits.ttl_ms && ready[place] > 0)
            rules_complain(w, "%llu letters have not moved on from place %d",
                           (unsigned long long)ready[place], place);
        if (limits.length && ready[place] > (uint64_t)limits.length)
            rules_complain(w, "%llu letters are in place %d, %lld at most",
                           (unsigned long long)ready[place], place, (long long)limits.length);
    }
}

/* What was ready, and was not given to us, has expired only then. */
static void expect_nothing_was_late(struct rules_world *w, const struct count *c,
                                    const uint64_t *ready)
{
    uint64_t given[PLACES] = {0};
    for (size_t i = 0; i < c->taken.count; i++)
        given[rules_place_of(w, c->taken.items[i].queue)]++;
    for (int place = 0; place < PLACES; place++) {
        if (given[place] != ready[place])
            rules_complain(w, "%lld letters of place %d have not expired in time",
                           (long long)(ready[place] - given[place]), place);
        int64_t bytes = place < NAMED_PLACES ? place_limits(w, (enum place)place).bytes : 0;
        if (bytes && c->ready_bytes[place] > (uint64_t)bytes)
            rules_complain(w, "%llu bytes are in place %d, %lld at most",
                           (unsigned long long)c->ready_bytes[place], place, (long long)bytes);
    }
}

/* Take what there is; true: there was something. */
static bool take_some(struct rules_world *w, struct count *c)
{
    bool any = false;
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    for (int i = 0; i < PLACES; i++) {
        struct wait again = {.ready = never};
        struct delivery d;
        enum err err = E_NOT_FOUND;
        while (w->places[i] && !(err = queue_get(w->places[i], false, &again, &d))) {
            any = true;
            look_at(w, c, &d);
            queue_ref(d.queue);
            vec_push(&c->taken, d);
        }
        core_wait_cancel(&again);
        any = any || err == E_COLD;
    }
    core_turn_end(w->core);
    sim_jobs_drain(w->sim);
    return any;
}

/* Everything that was taken is ready again. */
static void expect_bytes_are_known(struct rules_world *w, const struct count *c)
{
    for (int place = 0; place < NAMED_PLACES; place++) {
        const struct queue_rules *r = w->places[place] ? w->places[place]->internal->rules : NULL;
        if (!queue_counts_bytes(r) || r->learn_at < r->learn_end)
            continue;
        if (r->sizes.ready_bytes != (int64_t)c->ready_bytes[place])
            rules_complain(w, "%lld bytes are known of %llu in place %d",
                           (long long)r->sizes.ready_bytes,
                           (unsigned long long)c->ready_bytes[place], place);
    }
}

/* What was taken cannot move, and what has moved is found where it is: so each copy is found once. */
static void count(struct rules_world *w, struct count *c)
{
    uint64_t ready[PLACES];
    c->found = xzalloc((w->ledger.letters.count + 1) * sizeof *c->found);
    for (int i = 0; i < PLACES; i++)
        ready[i] = w->places[i] ? queue_ready_count(w->places[i]) : 0;
    if (c->is_late)
        expect_nothing_waits(w, ready);
    for (int quiet = 0, turns = 0; quiet < 4 && turns < 400; turns++)
        quiet = take_some(w, c) ? 0 : quiet + 1;
    if (c->is_late)
        expect_nothing_was_late(w, c, ready);
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    for (size_t i = 0; i < c->taken.count; i++) {
        const struct delivery *d = &c->taken.items[i];
        queue_return(d->queue, d->offset, d->number);
        queue_unref(d->queue);
    }
    expect_bytes_are_known(w, c);
    core_turn_end(w->core);
    vec_reset(&c->taken);
}

/* ---- comparing ---- */

static void compare(struct rules_world *w, const uint32_t *found)
{
    char wrong[256];
    if (!ledger_compare(&w->ledger, found, wrong, sizeof wrong))
        rules_complain(w, "%s", wrong);
}

static void pass(struct rules_world *w, int64_t ms)
{
    enum { STEP_MS = 20 };
    for (int64_t passed = 0; passed < ms; passed += STEP_MS)
        rules_idle_turn(w, STEP_MS);
}

/* Enough time for everything that is due some time. */
static void pass_late(struct rules_world *w)
{
    pass(w, 2 * (OWN_TTL_MAX_MS + DELAY_MAX_MS));
    rules_rest(w); /* what is read from files is read one after the other */
}

/* Nobody asks for anything, and one read fails: what waits for it comes nevertheless. */
static void fail_a_read(struct rules_world *w)
{
    sim_disk_fail(w->disk, SIM_READ, 1 + rules_draw(w, 12), E_IO);
    pass(w, OWN_TTL_MAX_MS);
    sim_disk_fail(w->disk, SIM_READ, 0, OK);
}

/* Open what the crash left. */
static void recover(struct rules_world *w, bool wait, bool keep)
{
    struct count c = {.is_late = wait};
    if (rules_open(w) != OK) {
        rules_complain(w, "does not open: %s", err_text());
        return;
    }
    rules_check_catalog(w);
    if (w->wrong[0])
        return;
    if (wait && !keep && rules_draw(w, 2))
        fail_a_read(w);
    if (rules_is_frozen(w))
        return; /* it was a read that the store cannot do without */
    rules_idle_turn(w, 1);
    if (wait)
        pass_late(w);
    for (int i = 0; i < 3; i++)
        rules_idle_turn(w, 1);
    count(w, &c);
    compare(w, c.found);
    if (keep)
        ledger_adopt(&w->ledger, c.found);
    free(c.found);
}

/* ---- crashing ---- */

static const char *const mode_names[] = {"kept", "lost", "subset"};

static void restart(struct sim *s, struct rules_world *w, enum sim_restart mode)
{
    sim_disk_crash(w->disk);
    rules_drop(w);
    sim_disk_restart(w->disk, mode, random_u64(&s->random));
    total.points++;
}

static void crash_once(struct sim *s, enum sim_restart mode)
{
    struct rules_world w;
    rules_init(&w, random_u64(&s->random), sim_disk_clone(s->disk));
    w.config = s->world.config;
    w.now_ns = s->world.now_ns / 2; /* a machine that has booted again */
    w.wall_ms = s->world.wall_ms;
    ledger_copy(&w.ledger, &s->world.ledger);
    restart(s, &w, mode);
    recover(&w, random_below(&s->random, 3) == 0, false);
    if (w.wrong[0])
        violation(s, mode_names[mode], w.wrong);
    sim_disk_crash(w.disk);
    rules_reset(&w);
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
    if (is_over(s) || s->is_quiet || sim_disk_has_crashed(s->disk))
        return;
    crash_once(s, SIM_LOSE);
    if (!is_over(s))
        crash_once(s, s->changes % 2 ? SIM_KEEP : SIM_SUBSET);
}

/* ---- the main world ---- */

static void begin(struct sim *s)
{
    struct rules_world *w = &s->world;
    s->is_quiet = true;
    if (rules_open(w) != OK) {
        rules_complain(w, "does not open: %s", err_text());
        return;
    }
    rules_declare(w);
    for (int i = 0; i < 5; i++)
        rules_idle_turn(w, 10);
    s->is_quiet = false;
}

/* Nobody asks for anything for a while: all that is due happens. */
static void rest(struct sim *s)
{
    struct rules_world *w = &s->world;
    struct count c = {.is_late = true};
    if (random_below(&s->random, 2))
        pass(w, OWN_TTL_MAX_MS); /* what somebody has becomes due */
    rules_leave(w);
    pass_late(w);
    s->is_quiet = true; /* counting is no request of the ledger */
    count(w, &c);
    compare(w, c.found);
    s->is_quiet = false;
    free(c.found);
}

static void end_life(struct sim *s)
{
    struct rules_world *w = &s->world;
    bool is_frozen = rules_is_frozen(w);
    hook_disk_fail_reads(w->disk, 0, 0);
    if (!is_frozen && random_below(&s->random, 2))
        rest(s);
    if (!is_frozen && random_below(&s->random, 2)) {
        rules_close(w);
        return;
    }
    sim_disk_crash(s->disk);
    rules_drop(w);
}

static void begin_again(struct sim *s)
{
    enum sim_restart mode = (enum sim_restart)random_below(&s->random, 3);
    sim_disk_crash(s->disk);
    sim_disk_restart(s->disk, mode, random_u64(&s->random));
    total.points++;
    s->is_quiet = true; /* what the crash left is not in the ledger yet */
    recover(&s->world, random_below(&s->random, 4) == 0, true);
    s->is_quiet = false;
}

static void run_world(uint64_t seed, bool ignore_sync)
{
    struct sim s = {.seed = seed};
    struct rules_world *w = &s.world;
    random_init(&s.random, seed ^ 0x5eed);
    s.disk = sim_disk_new();
    sim_disk_ignore_sync(s.disk, ignore_sync);
    s.disk->block_bytes = random_below(&s.random, 2) ? 512 : 4096;
    rules_init(w, seed, hook_disk_new(s.disk, on_change, &s));
    w->kind = total.kind;
    w->alone = total.alone;
    uint64_t failing_one_in = sim_settings_draw_failing(&s.random);
    w->may_fail = failing_one_in > 0;
    for (int life = 0; life < LIVES && !is_over(&s); life++) {
        life == 0 ? begin(&s) : begin_again(&s);
        hook_disk_fail_reads(w->disk, failing_one_in, seed + (uint64_t)life);
        for (int i = 0; i < TURNS && !is_over(&s) && !rules_is_frozen(w); i++)
            rules_turn(w);
        if (!is_over(&s))
            end_life(&s);
    }
    if (w->wrong[0])
        violation(&s, "running", w->wrong);
    struct disk *hook = w->disk;
    sim_disk_crash(s.disk);
    rules_reset(w);
    disk_free(hook);
    disk_free(s.disk);
}

int main(int argc, char **argv)
{
    (void)argc;
    bytes_hash_set_seed(1);
    total.kinds = rules_kinds;
    return sim_command("rules_sim", argv, &total, run_world);
}
