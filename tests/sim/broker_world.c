#include "tests/sim/broker_world.h"

#include "base/check.h"
#include "tests/sim/broker_asks.h"
#include "tests/sim/sim_settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MS = 1000000, STEPS_MAX = 14 };

void world_complain(struct world *w, const char *format, ...)
{
    if (w->wrong[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->wrong, sizeof w->wrong, format, args);
    va_end(args);
}

/* ---- life ---- */

static void configure(struct core_config *c, struct random *random)
{
    sim_settings_draw(&c->store, random);
    if (random_below(random, 3) == 0)
        c->store.memory_level_bytes = 64 * 1024; /* transient messages are refused */
    c->durability = random_below(random, 5) ? LEVEL_FSYNC : LEVEL_OS;
    c->default_partitions = 1;
    c->topic_message_max_bytes = 1 << 20;
    c->message_max_bytes = 1 << 20;
    c->node_id = 1;
    group_config_default(&c->groups);
    c->groups.topic_partitions = 2;
}

void world_init(struct world *w, uint64_t seed, struct disk *disk)
{
    memset(w, 0, sizeof *w);
    random_init(&w->random, seed);
    configure(&w->config, &w->random);
    w->disk = disk;
    w->now_ns = 1000000000;
    w->wall_ms = 1700000000000;
    w->model = model_new(w->config.durability);
    w->stormy = random_below(&w->random, 4) == 0;
    list_init(&w->asks);
}

enum err world_open(struct world *w)
{
    w->config.random_seed = random_u64(&w->random); /* a topic's id is never drawn twice */
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
    w->vhost = vhost_find(w->core, BYTES_LITERAL("/"));
    check(w->vhost);
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    w->session = (struct session){.protocol = "sim"};
    session_add(w->core, &w->session);
    core_turn_end(w->core);
    return OK;
}

/* Give up what refers to the core. */
static void forget(struct world *w)
{
    asks_forget(w);
    for (size_t i = 0; i < w->outs.count; i++)
        queue_unref(w->outs.items[i].queue);
    vec_clear(&w->outs);
    vec_clear(&w->queues);
    vec_clear(&w->topics);
}

void world_drop(struct world *w)
{
    if (!w->core)
        return;
    forget(w);
    sim_jobs_drain(w->sim);
    core_abandon(w->core);
    sim_jobs_free(w->sim);
    w->core = NULL;
    w->sim = NULL;
}

/* A server ends its connections first: consumers go, and with them what lives only for them. */
void world_close(struct world *w)
{
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    asks_end_session(w);
    asks_turn_ends(w);
    core_turn_end(w->core);
    asks_turn_ended(w);
    forget(w);
    core_close(w->core);
    sim_jobs_free(w->sim);
    w->core = NULL;
    w->sim = NULL;
    model_all_durable(w->model);
}

void world_reset(struct world *w)
{
    world_drop(w);
    model_free(w->model);
    vec_reset(&w->queues);
    vec_reset(&w->topics);
    vec_reset(&w->outs);
    vec_reset(&w->consumers);
}

/* ---- turns ---- */

bool world_is_frozen(const struct world *w)
{
    return store_is_frozen(w->core->store);
}

static void pass_time(struct world *w)
{
    int64_t ns = (int64_t)random_below(&w->random, 40) * MS;
    uint64_t jump = random_below(&w->random, 200);
    if (jump == 0)
        ns += 3600000 * (int64_t)MS; /* a laptop that slept */
    w->now_ns += ns;
    w->wall_ms += ns / MS;
    if (jump == 1)
        w->wall_ms -= 1800000; /* somebody set the clock */
}

static void end_turn(struct world *w)
{
    asks_turn_ends(w);
    core_turn_end(w->core);
    asks_turn_ended(w);
}

void world_turn(struct world *w, int requests_max)
{
    pass_time(w);
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    for (uint64_t n = random_below(&w->random, STEPS_MAX); n > 0; n--)
        if (!sim_jobs_step(w->sim, &w->random))
            break;
    asks_turn_begins(w);
    for (uint64_t n = random_below(&w->random, (uint64_t)requests_max + 1); n > 0; n--)
        asks_random(w);
    end_turn(w);
}

/* A turn without requests. True when the disk had something to do. */
static bool idle_turn(struct world *w, int64_t ns)
{
    bool any = false;
    w->now_ns += ns;
    w->wall_ms += ns / MS;
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    while (sim_jobs_step(w->sim, &w->random))
        any = true;
    asks_turn_begins(w);
    end_turn(w);
    return any;
}

void world_rest(struct world *w)
{
    for (int quiet = 0, turns = 0; quiet < 3 && turns < 60; turns++)
        quiet = idle_turn(w, 40 * MS) || !list_is_empty(&w->asks) ? 0 : quiet + 1;
    if (!list_is_empty(&w->asks) && !w->is_tight &&
        !world_is_frozen(w)) /* by a read that failed before */
        world_complain(w, "requests are never answered");
}
