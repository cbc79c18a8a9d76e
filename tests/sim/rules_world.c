#include "tests/sim/rules_world.h"

#include "broker/queue_internal.h"
#include "tests/sim/rules_asks.h"
#include "tests/sim/rules_catalog.h"
#include "tests/sim/sim_settings.h"

#include <stdarg.h>
#include <stdio.h>

enum { MS = 1000000, REQUESTS = 6, STEPS_MAX = 14 };

void rules_complain(struct rules_world *w, const char *format, ...)
{
    if (w->wrong[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->wrong, sizeof w->wrong, format, args);
    va_end(args);
}

/* ---- life ---- */

static void configure(struct rules_world *w)
{
    sim_settings_draw(&w->config.store, &w->random);
    /* Queues stay in the journal, however much they would rather not. */
    w->config.store.direct_append_bytes = w->config.store.direct_commit_bytes =
        rules_draw(w, 2) ? 1 : 2048;
    w->config.durability = LEVEL_FSYNC;
    w->config.default_partitions = 1;
    w->config.topic_message_max_bytes = w->config.message_max_bytes = 1 << 20;
    w->config.node_id = 1;
}

void rules_init(struct rules_world *w, uint64_t seed, struct disk *disk)
{
    memset(w, 0, sizeof *w);
    random_init(&w->random, seed);
    configure(w);
    w->kind = -1;
    w->disk = disk;
    w->now_ns = 1000000000;
    w->wall_ms = 1700000000000;
    list_init(&w->asks);
}

enum err rules_open(struct rules_world *w)
{
    w->config.random_seed = random_u64(&w->random);
    w->sim = sim_jobs_new();
    sim_stepper_init(&w->stepper, w->sim, &w->random);
    enum err err = core_open(&w->config, w->disk, &w->stepper.jobs, &w->core);
    if (err) {
        sim_jobs_drop(w->sim, NULL);
        sim_jobs_free(w->sim);
        w->sim = NULL;
        w->core = NULL;
        return err;
    }
    memset(w->last_new, 0, sizeof w->last_new);
    rules_find_places(w);
    return OK;
}

static void let_guest_go(struct rules_world *w)
{
    if (w->guest.core)
        session_remove(&w->guest);
    w->guest = (struct session){0};
    w->guest_is_out = false;
}

static void forget(struct rules_world *w)
{
    rules_forget_asks(w);
    removals_forget(w);
    for (size_t i = 0; i < w->outs.count; i++)
        queue_unref(w->outs.items[i].queue);
    vec_clear(&w->outs);
    rules_drop_consumers(w);
    let_guest_go(w);
}

static void gone(struct rules_world *w)
{
    sim_jobs_free(w->sim);
    w->core = NULL;
    w->sim = NULL;
    w->vhost = w->guests = NULL;
    memset(w->places, 0, sizeof w->places);
}

void rules_drop(struct rules_world *w)
{
    if (!w->core)
        return;
    forget(w);
    sim_jobs_drain(w->sim);
    core_abandon(w->core);
    gone(w);
}

void rules_leave(struct rules_world *w)
{
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    removals_forget(w);
    rules_drop_consumers(w);
    for (size_t i = 0; i < w->outs.count; i++) {
        queue_return(w->outs.items[i].queue, w->outs.items[i].offset, w->outs.items[i].number);
        queue_unref(w->outs.items[i].queue);
    }
    vec_clear(&w->outs);
    core_turn_end(w->core);
}

void rules_close(struct rules_world *w)
{
    rules_leave(w);
    forget(w);
    core_close(w->core);
    gone(w);
}

void rules_reset(struct rules_world *w)
{
    rules_drop(w);
    ledger_reset(&w->ledger);
    vec_reset(&w->outs);
    vec_reset(&w->consumers);
}

/* ---- turns ---- */

bool rules_is_frozen(const struct rules_world *w)
{
    return store_is_frozen(w->core->store);
}

static void begin_turn(struct rules_world *w, int64_t ms)
{
    w->now_ns += ms * MS;
    w->wall_ms += ms;
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    if (w->guest_is_out)
        let_guest_go(w);
}

void rules_turn(struct rules_world *w)
{
    begin_turn(w, (int64_t)rules_draw(w, 12));
    for (uint64_t n = rules_draw(w, STEPS_MAX); n > 0; n--)
        if (!sim_jobs_step(w->sim, &w->random))
            break;
    if (!rules_is_frozen(w)) {
        removals_go_on(w);
        for (uint64_t n = rules_draw(w, REQUESTS + 1); n > 0; n--)
            rules_ask(w);
    }
    core_turn_end(w->core);
}

bool rules_idle_turn(struct rules_world *w, int64_t ms)
{
    bool any = false;
    begin_turn(w, ms);
    while (sim_jobs_step(w->sim, &w->random))
        any = true;
    core_turn_end(w->core);
    return any;
}

void rules_rest(struct rules_world *w)
{
    enum { TURNS_MAX = 5000 };
    for (int quiet = 0, turns = 0; quiet < 3 && turns < TURNS_MAX; turns++)
        quiet = rules_idle_turn(w, 1) ? 0 : quiet + 1;
}
