#include "broker/producer_expiry.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/producer.h"

enum {
    EXPIRATION_DEFAULT_MS = 86400000,
    PRODUCERS_DEFAULT_MAX = 100000,
    SLICE = 1000,       /* forgotten in one turn: some 100 us */
    LOOK_MS_MIN = 1000, /* between two looks */
    LOOK_MS_MAX = 600000,
};

struct producer_expiry {
    struct producer_pool pool;
    struct timer timer;
    struct core *core;
};

static int64_t expiration_ms(const struct core *core)
{
    int64_t configured = core->config.producer_expiration_ms;
    return configured > 0 ? configured : EXPIRATION_DEFAULT_MS;
}

static void look(struct timer *timer, int64_t now_ns)
{
    struct producer_expiry *e = container_of(timer, struct producer_expiry, timer);
    int64_t now_ms = e->core->wall_ms, before_ms = now_ms - expiration_ms(e->core);
    size_t gone = producer_pool_expire(&e->pool, before_ms, now_ms, SLICE);
    if (e->pool.count == 0)
        return;
    int64_t wait_ms = producer_pool_oldest(&e->pool) - before_ms;
    wait_ms = wait_ms < LOOK_MS_MIN ? LOOK_MS_MIN : wait_ms;
    wait_ms = wait_ms > LOOK_MS_MAX ? LOOK_MS_MAX : wait_ms;
    timer_start(&e->core->timers, timer, gone == SLICE ? now_ns : now_ns + wait_ms * 1000000);
}

struct producer_expiry *producer_expiry_new(struct core *core)
{
    struct producer_expiry *e = xzalloc(sizeof *e);
    int64_t max = core->config.producers_max;
    producer_pool_init(&e->pool, max > 0 ? (size_t)max : PRODUCERS_DEFAULT_MAX);
    e->core = core;
    e->timer.fire = look;
    return e;
}

void producer_expiry_free(struct producer_expiry *e)
{
    if (!e)
        return;
    timer_stop(&e->core->timers, &e->timer);
    free(e);
}

struct producer_pool *producer_expiry_pool(const struct core *core)
{
    return &core->internal->producers->pool;
}

void producer_expiry_start(struct core *core)
{
    producer_pool_sort(producer_expiry_pool(core));
    producer_expiry_wake(core);
}

/* The first look is in this turn: it finds out when the next one is needed. */
void producer_expiry_wake(struct core *core)
{
    struct producer_expiry *e = core->internal->producers;
    if (e->pool.count > 0 && !timer_is_running(&e->timer))
        timer_start(&core->timers, &e->timer, core->now_ns);
}
