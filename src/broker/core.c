#include "broker/core_internal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/access_internal.h"
#include "broker/broker_config_internal.h"
#include "broker/feed.h"
#include "broker/group_internal.h"
#include "broker/hold.h"
#include "broker/mutant.h"
#include "broker/packer.h"
#include "broker/producer_expiry.h"
#include "broker/queue_internal.h"
#include "broker/topic_internal.h"

static void run_moved(struct core *core);
static void run_waits(struct core *core);
static void run_watches(struct core *core);
static void run_deferred(struct core *core);
static void flush_staged(struct core *core);
static void release_pinned(struct core *core);

/* ---- life ---- */

static struct core *core_new(const struct core_config *config, struct disk *disk, struct jobs *jobs)
{
    struct core *core = xzalloc(sizeof *core);
    struct core_internal *in = xzalloc(sizeof *in);
    core->config = *config;
    core->internal = in;
    in->disk = disk;
    in->jobs = jobs;
    in->access_version = 1; /* no session has seen it */
    random_init(&core->random, config->random_seed);
    for (int i = 0; i < WAIT_LISTS; i++)
        list_init(&in->waits[i]);
    list_init(&in->deferred);
    list_init(&in->deferred_next);
    list_init(&in->watches);
    list_init(&in->hold_watches);
    list_init(&in->moved);
    list_init(&in->sessions);
    list_init(&in->attachments);
    list_init(&in->graveyard);
    in->due.max = DUE_NEAR_MAX;
    in->packer = packer_new(core);
    in->feeds = feeds_new();
    in->broker_configs = broker_configs_new(core);
    in->producers = producer_expiry_new(core);
    in->groups = groups_new(core, &config->groups);
    queue_logging_init(core);
    queues_starting_init(core);
    return core;
}

static void core_free(struct core *core)
{
    struct core_internal *in = core->internal;
    permissions_free(core);
    vhosts_free(core);
    groups_free(in->groups);
    topics_free(core);
    check(list_is_empty(&in->moved)); /* whoever was listed took itself off */
    users_free(core);
    parameters_free(core);
    catalog_free(core->catalog);
    packer_free(in->packer);
    feeds_free(in->feeds);
    broker_configs_free(in->broker_configs);
    recovered_free(core);
    producer_expiry_free(in->producers);
    timers_reset(&core->timers);
    batch_builder_reset(&in->builder);
    text_reset(&in->scratch);
    text_reset(&in->delivered_properties);
    vec_reset(&in->condemned);
    vec_reset(&in->pinned);
    idmap_reset(&in->session_ids);
    free(in);
    free(core);
}

enum err core_open(const struct core_config *config, struct disk *disk, struct jobs *jobs,
                   struct core **out)
{
    struct core *core = core_new(config, disk, jobs);
    struct store_owner owner = recovery_owner;
    owner.ctx = core;

    enum err err = store_open(&config->store, disk, jobs, &owner, &core->store);
    if (err) {
        core_free(core);
        return err_wrap(err, "open the store");
    }
    err = core_recover(core);
    if (err) {
        core_abandon(core);
        return err;
    }
    *out = core;
    return OK;
}

static void free_attachments(struct core *core)
{
    struct list *node;
    while ((node = list_pop_front(&core->internal->attachments))) {
        struct attachment *a = container_of(node, struct attachment, node);
        a->free(a);
    }
}

struct jobs *core_jobs(const struct core *core)
{
    return core->internal->jobs;
}

struct disk *core_disk(const struct core *core)
{
    return core->internal->disk;
}

void core_attach(struct core *core, struct attachment *a)
{
    list_push_back(&core->internal->attachments, &a->node);
}

struct attachment *core_attachment(const struct core *core, void (*free)(struct attachment *))
{
    list_each (node, &core->internal->attachments) {
        struct attachment *a = container_of(node, struct attachment, node);
        if (a->free == free)
            return a;
    }
    return NULL;
}

void core_close(struct core *core)
{
    if (!core)
        return;
    free_attachments(core);
    queue_log_all(core);
    flush_staged(core);
    store_flush(core->store);
    release_pinned(core);
    queues_let_go(core); /* references to the store's memory */
    groups_let_go(core->internal->groups);
    store_close(core->store);
    core_free(core);
}

void core_abandon(struct core *core)
{
    free_attachments(core);
    release_pinned(core);
    queues_let_go(core);
    groups_let_go(core->internal->groups);
    store_abandon(core->store);
    core_free(core);
}

/* ---- turns ---- */

void core_turn_begin(struct core *core, int64_t now_ns, int64_t wall_ms)
{
    struct core_internal *in = core->internal;
    check(!in->ending);
    core->now_ns = now_ns;
    store_set_time(core->store, now_ns);
    if (wall_ms > core->wall_ms)
        core->wall_ms = wall_ms;
    store_set_wall_time(core->store, core->wall_ms);
    in->deliveries_left = TURN_DELIVERIES;
    in->delivery_bytes_left = TURN_DELIVERY_BYTES;
}

/* What is staged may be committed at once (logs in memory): that is told in a second pass, so that
 * a message through such logs needs one turn. */
void core_turn_end(struct core *core)
{
    struct core_internal *in = core->internal;
    in->ending = true;
    timers_run(&core->timers, core->now_ns, 1024);
    run_moved(core);
    run_waits(core);
    run_watches(core);
    holds_run(core);
    run_deferred(core);
    flush_staged(core);
    if (core->now_ns >= store_next_due(core->store))
        store_tick(core->store, core->now_ns);
    store_flush(core->store);

    if (!list_is_empty(&in->moved) || in->waits_changed) {
        run_moved(core);
        run_waits(core);
        run_watches(core);
        flush_staged(core);
        store_flush(core->store);
    }
    release_pinned(core);
    topics_bury(core);
    in->committing = false;
    in->ending = false;
    list_splice(&in->deferred, &in->deferred_next);
}

static void delete_condemned(struct core *core)
{
    struct core_internal *in = core->internal;
    for (size_t i = 0; i < in->condemned.count; i++) {
        struct ticket ignored;
        log_delete(in->condemned.items[i], &ignored);
    }
    vec_clear(&in->condemned);
}

/* Everything that this turn has to say to the disk, in the order in which it must be known: what
 * the catalog says comes before the deletion of logs. */
static void flush_staged(struct core *core)
{
    packer_flush(core->internal->packer);
    queue_log_due(core);
    if (BROKER_MUTANT == MUTANT_LOG_GOES_FIRST) {
        delete_condemned(core);
        store_flush(core->store);
    }
    catalog_flush(core);
    delete_condemned(core);
}

int64_t core_next_due(const struct core *core)
{
    const struct core_internal *in = core->internal;
    if (in->waits_changed || !list_is_empty(&in->deferred) || !list_is_empty(&in->moved))
        return core->now_ns;
    int64_t timer = timers_next(&core->timers);
    int64_t store = store_next_due(core->store);
    return timer < store ? timer : store;
}

void core_pin(struct core *core, struct chunk *chunk)
{
    chunk_ref(chunk);
    vec_push(&core->internal->pinned, chunk);
}

static void release_pinned(struct core *core)
{
    struct core_internal *in = core->internal;
    for (size_t i = 0; i < in->pinned.count; i++)
        chunk_unref(in->pinned.items[i]);
    vec_clear(&in->pinned);
}

void core_condemn_log(struct core *core, struct log *log)
{
    log->owner = NULL;
    vec_push(&core->internal->condemned, log);
}

struct ticket core_catalog_ticket(const struct core *core)
{
    return catalog_ticket(core);
}

enum err core_catalog_can_change(const struct core *core)
{
    return catalog_can_change(core);
}

/* ---- logs that moved ---- */

void core_log_moved(struct core *core, struct log *log)
{
    struct log_owner *owner = log->owner;
    if (owner && owner->kind != OWNER_CATALOG && !list_is_linked(&owner->moved))
        list_push_back(&core->internal->moved, &owner->moved);
}

static void run_moved(struct core *core)
{
    struct list *node;
    while ((node = list_pop_front(&core->internal->moved))) {
        struct log_owner *owner = container_of(node, struct log_owner, moved);
        switch (owner->kind) {
        case OWNER_CATALOG: break;
        case OWNER_PARTITION: partition_moved(container_of(owner, struct partition, owner)); break;
        case OWNER_QUEUE: queue_moved(owner); break;
        }
    }
}

/* ---- waiting for tickets ---- */

static struct list *wait_list(struct core *core, const struct wait *w)
{
    unsigned lanes = (w->ticket.journal ? 1u : 0u) + (w->ticket.direct ? 2u : 0u);
    check(w->ticket.level <= LEVEL_MEMORY);
    return &core->internal->waits[((unsigned)w->stage * 3 + w->ticket.level) * 4 + lanes];
}

void core_wait(struct core *core, struct wait *w, struct ticket ticket, enum stage stage)
{
    check(!list_is_linked(&w->node));
    check(w->ready);
    w->ticket = ticket;
    w->stage = stage;
    list_push_back(wait_list(core, w), &w->node);
    core->internal->waits_changed = true;
}

void core_wait_cancel(struct wait *w)
{
    list_remove(&w->node);
}

/* The disk has failed: those who want to know it stop waiting. */
static void run_frozen_waits(struct core *core)
{
    struct core_internal *in = core->internal;
    struct list told, *node;
    list_init(&told);
    for (int i = 0; i < WAIT_LISTS; i++) {
        list_each_safe (n, &in->waits[i]) {
            if (!container_of(n, struct wait, node)->frozen)
                continue;
            list_remove(n);
            list_push_back(&told, n);
        }
    }
    while ((node = list_pop_front(&told))) {
        struct wait *w = container_of(node, struct wait, node);
        w->frozen(w);
    }
}

/* Move what is done out first: ready() may add waits that are done at once, and they get their turn
 * in the next turn, not in an endless loop here. */
static void run_waits(struct core *core)
{
    struct core_internal *in = core->internal;
    if (!in->waits_changed)
        return;
    in->waits_changed = false;
    struct list done;
    list_init(&done);
    for (int i = 0; i < WAIT_LISTS; i++) {
        struct list *waits = &in->waits[i];
        while (!list_is_empty(waits)) {
            struct wait *w = container_of(waits->next, struct wait, node);
            if (!store_is_done(core->store, w->ticket, w->stage))
                break;
            list_remove(&w->node);
            list_push_back(&done, &w->node);
        }
    }
    struct list *node;
    while ((node = list_pop_front(&done))) {
        struct wait *w = container_of(node, struct wait, node);
        w->ready(w);
    }
    if (store_is_frozen(core->store))
        run_frozen_waits(core);
}

void core_watch_progress(struct core *core, struct progress_watch *watch)
{
    if (!list_is_linked(&watch->node))
        list_push_back(&core->internal->watches, &watch->node);
}

void core_unwatch_progress(struct progress_watch *watch)
{
    list_remove(&watch->node);
}

/* A watch may remove itself or others, or come back, while it is told: each is told once. */
static void run_watches(struct core *core)
{
    struct core_internal *in = core->internal;
    if (!in->progressed)
        return;
    in->progressed = false;
    struct list untold, *node;
    list_init(&untold);
    list_splice(&untold, &in->watches);
    while ((node = list_pop_front(&untold))) {
        list_push_back(&in->watches, node);
        struct progress_watch *watch = container_of(node, struct progress_watch, node);
        watch->progressed(watch);
    }
}

/* ---- deferred work ---- */

void core_defer(struct core *core, struct deferred *work)
{
    struct core_internal *in = core->internal;
    if (!list_is_linked(&work->node))
        list_push_back(in->ending ? &in->deferred_next : &in->deferred, &work->node);
}

void core_defer_cancel(struct deferred *work)
{
    list_remove(&work->node);
}

static void run_deferred(struct core *core)
{
    struct list *node;
    while ((node = list_pop_front(&core->internal->deferred))) {
        struct deferred *work = container_of(node, struct deferred, node);
        work->run(work);
    }
}
