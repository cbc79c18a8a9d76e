#include "broker/hold.h"

#include "base/check.h"
#include "broker/core_internal.h"

enum { HELD_MAX_BYTES = 32 << 20 }; /* where the configuration does not say */

unsigned core_holds(const struct core *core)
{
    unsigned holds = 0;
    if (store_is_frozen(core->store))
        return 0; /* waiting does not help: who publishes is told */
    if (store_is_behind(core->store))
        holds |= HOLD_BEHIND;
    if (store_is_low_on_disk(core->store))
        holds |= HOLD_DISK;
    if (store_is_low_on_memory(core->store))
        holds |= HOLD_MEMORY;
    return holds;
}

void core_watch_holds(struct core *core, struct hold_watch *watch)
{
    struct core_internal *in = core->internal;
    if (list_is_empty(&in->hold_watches))
        in->told_holds = core_holds(core); /* what who comes now has seen */
    if (!list_is_linked(&watch->node))
        list_push_back(&in->hold_watches, &watch->node);
}

void core_unwatch_holds(struct hold_watch *watch)
{
    list_remove(&watch->node);
}

void core_hold_bytes(struct core *core, int64_t more)
{
    core->internal->held_bytes += more;
    check(core->internal->held_bytes >= 0);
}

bool core_holds_too_much(const struct core *core)
{
    int64_t most = core->config.held_max_bytes ? core->config.held_max_bytes : HELD_MAX_BYTES;
    return core->internal->held_bytes > most;
}

/* A watch that comes back while it is told waits for the next turn. */
void holds_run(struct core *core)
{
    struct core_internal *in = core->internal;
    if (list_is_empty(&in->hold_watches))
        return;
    unsigned holds = core_holds(core);
    bool must_tell = holds == 0 || holds != in->told_holds;
    in->told_holds = holds;
    if (!must_tell)
        return;
    struct list untold, *node;
    list_init(&untold);
    list_splice(&untold, &in->hold_watches);
    while ((node = list_pop_front(&untold))) {
        struct hold_watch *watch = container_of(node, struct hold_watch, node);
        watch->changed(watch);
    }
}
