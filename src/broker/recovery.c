/*
 * Opening: from the store to the broker's objects, in this order.
 *
 * - store_open() hands over, by log id, checkpoints and batches: each becomes the state of a
 *   subscription or of producers in a map, because nobody knows yet which log is whose.
 * - catalog_open() makes users, vhosts, topics, exchanges, queues and bindings.
 * - Topics and queues get their logs; queues claim their subscriptions, partitions their producers.
 * - Logs that no object names are deleted: what a crash left of a deletion.
 *
 * And what the store tells the owner of its logs while it runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/catalog_internal.h"
#include "broker/core_internal.h"
#include "broker/group_internal.h"
#include "broker/mutant.h"
#include "broker/policy_internal.h"
#include "broker/producer.h"
#include "broker/producer_expiry.h"
#include "broker/queue_internal.h"
#include "broker/subscription.h"
#include "broker/topic_internal.h"

/* ---- recovered state, by log id ---- */

static struct subscription *recovered(struct core *core, uint64_t log_id)
{
    struct subscription *s = idmap_get(&core->internal->recovered, log_id);
    if (!s) {
        s = subscription_new();
        idmap_put(&core->internal->recovered, log_id, s);
    }
    return s;
}

struct subscription *core_claim_recovered(struct core *core, uint64_t log_id)
{
    return idmap_remove(&core->internal->recovered, log_id);
}

static struct producers *recovered_producers(struct core *core, uint64_t log_id)
{
    struct idmap *all = &core->internal->recovered_producers;
    struct producers *p = idmap_get(all, log_id);
    if (!p) {
        p = producers_new(producer_expiry_pool(core));
        idmap_put(all, log_id, p);
    }
    return p;
}

struct producers *core_claim_producers(struct core *core, const struct log *log)
{
    struct producers *p = idmap_remove(&core->internal->recovered_producers, log->id);
    if (p)
        producers_cut(p, log->end);
    return p;
}

void recovered_free(struct core *core)
{
    size_t position = 0;
    struct producers *p;
    while ((p = idmap_next(&core->internal->recovered_producers, &position)))
        producers_free(p);
    idmap_reset(&core->internal->recovered_producers);
    position = 0;
    struct subscription *s;
    while ((s = idmap_next(&core->internal->recovered, &position)))
        subscription_free(s);
    idmap_reset(&core->internal->recovered);
}

/* Callbacks cannot fail: keep the first error for core_recover(). */
static void keep_error(struct core *core, enum err err, uint64_t log_id)
{
    struct core_internal *in = core->internal;
    if (!err || in->recovery_err)
        return;
    in->recovery_err = err;
    snprintf(in->recovery_text, sizeof in->recovery_text, "log %llu: %s",
             (unsigned long long)log_id, err_text());
}

static void restore(void *ctx, uint64_t log_id, struct bytes state)
{
    if (state.size == 0 || log_id == CATALOG_LOG_ID)
        return;
    enum err err = producers_is_checkpoint(state)
                       ? producers_restore(recovered_producers(ctx, log_id), state)
                       : subscription_restore(recovered(ctx, log_id), state);
    keep_error(ctx, err, log_id);
}

static void replay(void *ctx, uint64_t log_id, const struct batch *batch)
{
    if (log_id == CATALOG_LOG_ID)
        return; /* read by catalog_open() */
    if (batch_is_control(batch))
        keep_error(ctx, subscription_replay(recovered(ctx, log_id), batch), log_id);
    else
        producers_replay(recovered_producers(ctx, log_id), batch);
}

/* ---- while it runs ---- */

static void committed(void *ctx, struct log *log, int64_t old_hw)
{
    (void)old_hw;
    core_log_moved(ctx, log);
}

static void progressed(void *ctx)
{
    struct core *core = ctx;
    core->internal->progressed = true;
    core->internal->waits_changed = true;
}

/* While the core opens, logs have no owner yet: what recovery gathered about them stands for it. */
static const struct subscription *subscription_of(struct core *core, const struct log *log)
{
    struct log_owner *owner = log->owner;
    if (!owner)
        return idmap_get(&core->internal->recovered, log->id);
    return owner->kind == OWNER_QUEUE ? queue_of_owner(owner)->subscription : NULL;
}

static struct producers *producers_of(struct core *core, const struct log *log)
{
    const struct log_owner *owner = log->owner;
    if (!owner)
        return idmap_get(&core->internal->recovered_producers, log->id);
    return owner->kind == OWNER_PARTITION ? container_of(owner, struct partition, owner)->producers
                                          : NULL;
}

static void checkpoint(void *ctx, struct log *log, struct text *out)
{
    const struct subscription *s = subscription_of(ctx, log);
    const struct producers *p = s ? NULL : producers_of(ctx, log);
    if (s)
        subscription_put_checkpoint(s, out);
    else if (p)
        producers_put_checkpoint(p, out);
}

static void cut(void *ctx, uint64_t log_id, int64_t end)
{
    struct core *core = ctx;
    const struct log *log = core->store ? store_find(core->store, log_id) : NULL;
    struct producers *p =
        log ? producers_of(core, log) : idmap_get(&core->internal->recovered_producers, log_id);
    if (p)
        producers_cut(p, end);
}

static bool touches(const offset_ranges *ranges, int64_t from, int64_t to)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (ranges->items[i].from < to && ranges->items[i].to > from)
            return true;
    return false;
}

/* A settle that no control batch holds yet may be taken back by a crash: its record stays. */
static bool has_unlogged_settle(const struct subscription *s, int64_t from, int64_t to)
{
    return touches(&s->sets->settled_changes, from, to) ||
           touches(&s->sets->settled_spans, from, to);
}

static void live(void *ctx, struct log *log, int64_t from, int64_t to, offset_ranges *out)
{
    const struct subscription *s = subscription_of(ctx, log);
    if (s && !has_unlogged_settle(s, from, to))
        subscription_live(s, from, to, out);
    else
        vec_push(out, ((struct offset_range){from, to}));
}

static void frozen(void *ctx, const char *why)
{
    struct core *core = ctx;
    core->internal->waits_changed = true;
    core->internal->progressed = true; /* whoever watches looks, and finds the store frozen */
    say_error("store", "the disk failed, nothing is accepted any more until a restart: %s", why);
}

/* Retention: who watches the log is told of its new start. */
static void trimmed(void *ctx, struct log *log, int64_t old_start)
{
    (void)old_start;
    core_log_moved(ctx, log);
}

const struct store_owner recovery_owner = {
    .restore = restore,
    .replay = replay,
    .committed = committed,
    .progressed = progressed,
    .checkpoint = checkpoint,
    .live = live,
    .frozen = frozen,
    .cut = cut,
    .trimmed = trimmed,
};

/* ---- opening ---- */

struct log *core_attach_log(struct core *core, uint64_t id, enum log_level level,
                            struct log_owner *owner)
{
    struct log *log = store_find(core->store, id);
    if (log && level == LEVEL_MEMORY)
        level = log->level;
    log = store_log(core->store, id, level);
    check(!log->owner);
    log->owner = owner;
    return log;
}

struct sweep {
    struct core *core;
    VEC(struct log *) orphans;
    enum err err;
};

static void sweep_log(void *ctx, struct log *log)
{
    struct sweep *sweep = ctx;
    if (log->owner)
        return;
    if (log->id >= sweep->core->catalog->next_log_id)
        sweep->err = err_set(
            E_CORRUPT, "log %llu was never given out by the catalog (next is %llu)",
            (unsigned long long)log->id, (unsigned long long)sweep->core->catalog->next_log_id);
    vec_push(&sweep->orphans, log);
}

static enum err sweep_orphans(struct core *core)
{
    struct sweep sweep = {.core = core};
    store_each(core->store, sweep_log, &sweep);
    for (size_t i = 0; i < sweep.orphans.count && !sweep.err; i++)
        core_condemn_log(core, sweep.orphans.items[i]);
    if (sweep.orphans.count > 0 && !sweep.err)
        say_info("store", "%zu logs of deleted objects are removed", sweep.orphans.count);
    vec_reset(&sweep.orphans);
    return sweep.err;
}

enum err core_recover(struct core *core)
{
    struct core_internal *in = core->internal;
    if (in->recovery_err)
        return err_set(in->recovery_err, "%s", in->recovery_text);
    enum err err = catalog_open(core);
    if (err)
        return err;
    if (BROKER_MUTANT != MUTANT_APPLY_LATER)
        policies_apply(core);
    topics_attach(core);
    producer_expiry_start(core);
    queues_attach(core);
    recovered_free(core);
    groups_open(core->internal->groups);
    return sweep_orphans(core);
}
