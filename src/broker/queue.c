#include "broker/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/catalog_internal.h"
#include "broker/exchange_internal.h"
#include "broker/mutant.h"
#include "broker/packer.h"
#include "broker/policy_internal.h"
#include "broker/queue_expiry.h"
#include "broker/queue_internal.h"
#include "broker/queue_retries.h"
#include "broker/queue_rules.h"

enum { TRANSIENT_ID = 63 }; /* the bit that logs in memory have set in their ids */

struct queue *queue_find(struct vhost *vhost, struct bytes name)
{
    return map_get(&vhost->queues, name);
}

struct queue *queue_walk_next(struct core *core, struct queue_walk *walk)
{
    size_t at_vhost = walk->at_vhost;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &at_vhost))) {
        struct queue *queue = map_next(&vhost->queues, &walk->at_queue);
        if (queue)
            return queue;
        *walk = (struct queue_walk){.at_vhost = at_vhost};
    }
    return NULL;
}

/* ---- making ---- */

struct whole_queue {    /* as it is allocated */
    struct queue queue; /* first */
    struct queue_internal internal;
    uint8_t text[]; /* the name and the arguments */
};

static struct bytes put(uint8_t **at, struct bytes b)
{
    struct bytes copy = bytes_of(*at, b.size);
    if (b.size)
        memcpy(*at, b.data, b.size);
    *at += b.size;
    return copy;
}

static struct queue *queue_make(struct vhost *vhost, const struct queue_spec *spec)
{
    struct whole_queue *whole = xzalloc(sizeof *whole + spec->name.size + spec->arguments.size);
    struct queue *queue = &whole->queue;
    struct queue_internal *in = queue->internal = &whole->internal;
    uint8_t *text = whole->text;
    queue->name = put(&text, spec->name);
    queue->arguments = put(&text, spec->arguments);
    queue->vhost = vhost;
    queue->durable = spec->durable;
    queue->auto_delete = spec->auto_delete;
    queue->exclusive = spec->exclusive_owner;
    queue->owner = spec->exclusive_owner;
    list_init(&queue->consumers);
    in->self = queue;
    in->core = vhost->core;
    in->references = 1;
    in->owner.kind = OWNER_QUEUE;
    list_init(&in->bindings);
    queue_dispatch_init(queue);
    return queue;
}

/* In memory and in the vhost's map; the log comes by queue_attach(). */
static struct queue *queue_new(struct vhost *vhost, const struct queue_spec *spec)
{
    struct queue *queue = queue_make(vhost, spec);
    policies_add_queue(queue);
    queue_rules_init(queue);
    struct queue *other = map_put(&vhost->queues, queue->name, queue);
    check(!other);
    if (queue->owner)
        list_push_back(&queue->owner->exclusive_queues, &queue->internal->of_session);
    return queue;
}

struct queue *queue_new_delays(struct exchange *x, uint64_t log_id)
{
    struct queue *queue =
        queue_make(x->vhost, &(struct queue_spec){.name = x->name, .durable = x->durable});
    queue->internal->log_id = log_id;
    queue->internal->is_timed = true;
    queue->internal->delays_of = x;
    queue_rules_need(queue);
    return queue;
}

uint64_t queue_new_log_id(struct core *core, bool is_kept)
{
    return is_kept ? catalog_new_log_id(core)
                   : (uint64_t)1 << TRANSIENT_ID | ++core->internal->last_transient_id;
}

static void queue_free(struct queue *queue)
{
    list_remove(&queue->internal->owner.moved);
    core_defer_cancel(&queue->internal->dispatch);
    subscription_free(queue->subscription);
    feed_free(queue->internal->feed);
    queue_rules_free(queue->internal->rules);
    counters_free(queue->internal->counters);
    policies_remove_queue(queue);
    free(queue);
}

static bool is_kept(const struct queue *queue)
{
    return queue->durable && !queue->exclusive;
}

/* The first look of queues with rules at what they hold: after a start there may be very many. */
static void start_some(struct deferred *work)
{
    enum { AT_ONCE = 256 };
    struct core_internal *core = container_of(work, struct core_internal, start_queues);
    struct list *node = NULL;
    for (int i = 0; i < AT_ONCE && (node = list_pop_front(&core->starting)); i++)
        queue_run_later(container_of(node, struct queue_rules, starting)->queue);
    if (!list_is_empty(&core->starting)) {
        const struct queue_rules *next =
            container_of(core->starting.next, struct queue_rules, starting);
        core_defer(next->queue->internal->core, work);
    }
}

void queues_starting_init(struct core *core)
{
    list_init(&core->internal->starting);
    core->internal->start_queues.run = start_some;
}

static void start_later(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    list_push_back(&in->core->internal->starting, &in->rules->starting);
    core_defer(in->core, &in->core->internal->start_queues);
}

void queue_attach(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    struct core *core = in->core;
    enum log_level level = is_kept(queue) ? core->config.durability : LEVEL_MEMORY;
    queue->log = core_attach_log(core, in->log_id, level, &in->owner);
    if (BROKER_MUTANT != MUTANT_DIRECT_QUEUES)
        log_stay_in_journal(
            queue->log); /* a move or a transaction is one commit over several queues */
    queue->subscription = core_claim_recovered(core, in->log_id);
    if (!queue->subscription)
        queue->subscription = subscription_new();
    subscription_start(queue->subscription, queue->log->start, queue->log->hw,
                       queue->log->level != LEVEL_MEMORY);
    if (in->rules && (in->rules->priorities || queue_counts_bytes(in->rules))) {
        in->rules->learn_at = queue->subscription->floor;
        in->rules->learn_end = queue->log->hw;
    }
    if (in->is_timed && BROKER_MUTANT != MUTANT_FORGET_TIMES)
        queue_expiry_learn(queue);
    if (in->rules)
        start_later(queue);
}

enum err queue_check(const struct queue_spec *spec, const char **out_argument)
{
    struct queue_settings settings;
    return queue_settings_read(spec->arguments, &settings, out_argument);
}

struct queue *queue_create(struct vhost *vhost, const struct queue_spec *spec)
{
    struct core *core = vhost->core;
    struct queue *queue = queue_new(vhost, spec);
    queue->internal->log_id = queue_new_log_id(core, is_kept(queue));
    if (is_kept(queue))
        catalog_put(core, &queue->internal->entry, CATALOG_QUEUE);
    metrics_add(METRIC_queues_declared, 1);
    metrics_add(METRIC_queues_created, 1);
    queue_attach(queue);
    return queue;
}

struct queue *queue_restore(struct vhost *vhost, const struct queue_spec *spec, uint64_t log_id,
                            bool is_timed)
{
    struct queue *queue = queue_new(vhost, spec);
    queue->internal->log_id = log_id;
    queue->internal->is_timed = is_timed;
    return queue;
}

/* In the order in which they were made, and lie in memory. */
void queues_attach(struct core *core)
{
    list_each (node, &core->catalog->entries) {
        struct catalog_entry *entry = container_of(node, struct catalog_entry, node);
        if (entry->kind == CATALOG_QUEUE)
            queue_attach(container_of(entry, struct queue_internal, entry)->self);
    }
    exchanges_attach(core);
}

/* ---- going away ---- */

void queue_ref(struct queue *queue)
{
    queue->internal->references++;
}

void queue_unref(struct queue *queue)
{
    check(queue->internal->references > 0);
    if (--queue->internal->references == 0)
        queue_free(queue);
}

/* Let go of the log and of all that is in it. */
static void drop_log(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    struct core *core = in->core;
    queue->deleted = true;
    list_remove(&in->owner.moved);
    core_defer_cancel(&in->dispatch);
    queue_unlog(queue);
    feed_free(in->feed);
    in->feed = NULL;
    core_condemn_log(core, queue->log);
    queue->log = NULL;
    queue_wake_getters(queue);
    queue_drop_consumers(queue);
    queue_rules_free(in->rules);
    in->rules = NULL;
}

void queue_delete(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    if (queue->deleted)
        return;
    packer_flush_queue(queue); /* it may have other queues' messages too */
    metrics_add(METRIC_queues_deleted, 1);
    queue->deleted = true;
    bindings_drop_queue(queue);
    catalog_remove(in->core, &in->entry);
    map_remove(&queue->vhost->queues, queue->name);
    list_remove(&in->of_session);
    drop_log(queue);
    policies_remove_queue(queue);
    queue_unref(queue);
}

void queue_delete_delays(struct queue *queue)
{
    packer_flush_queue(queue);
    drop_log(queue);
    queue_unref(queue);
}

void queue_delete_exclusive(struct core *core, struct session *owner)
{
    (void)core;
    while (!list_is_empty(&owner->exclusive_queues))
        queue_delete(
            container_of(owner->exclusive_queues.next, struct queue_internal, of_session)->self);
}

void queue_let_go(struct queue *queue)
{
    feed_free(queue->internal->feed);
    queue->internal->feed = NULL;
    queue_rules_free(queue->internal->rules);
    queue->internal->rules = NULL;
}

void queues_let_go(struct core *core)
{
    struct queue_walk walk = {0};
    struct queue *queue;
    while ((queue = queue_walk_next(core, &walk)))
        queue_let_go(queue);
    queues_unread_free(core);
    exchanges_let_go(core);
}

void queues_free(struct vhost *vhost)
{
    size_t position = 0;
    struct queue *queue;
    while ((queue = map_next(&vhost->queues, &position))) {
        list_remove(&queue->internal->of_session);
        queue_free(queue);
    }
    map_reset(&vhost->queues);
}

/* ---- counting, settling ---- */

struct ticket queue_barrier(struct queue *queue)
{
    if (queue->deleted)
        return (struct ticket){0};
    packer_flush_queue(queue);
    queue_catch_up(queue);
    return log_last_ticket(queue->log);
}

uint64_t queue_ready_count(const struct queue *queue)
{
    return subscription_ready_count(queue->subscription);
}

uint64_t queue_unacked_count(const struct queue *queue)
{
    return queue->subscription->taken - queue_moving_count(queue) - queue_retries_count(queue);
}

uint64_t queue_message_bytes(const struct queue *queue)
{
    const struct counters *counters = queue->internal->counters;
    uint64_t messages = queue_ready_count(queue) + queue_unacked_count(queue);
    if (messages == 0)
        return 0;
    if (!counters || counters->count[COUNTER_publish] == 0)
        return log_size_bytes(queue->log);
    double each = (double)counters->bytes / (double)counters->count[COUNTER_publish];
    return (uint64_t)(each * (double)messages + 0.5);
}

uint64_t queue_purge(struct queue *queue, struct ticket *out)
{
    *out = (struct ticket){0};
    if (queue->deleted)
        return 0;
    struct subscription *s = queue->subscription;
    uint64_t count = 0;
    if (BROKER_MUTANT == MUTANT_HALF_PURGE) {
        count = subscription_settle_ready(s, s->floor, s->floor + (s->visible - s->floor) / 2);
        queue_log_now(queue, out);
        packer_flush(queue->internal->core->internal->packer);
        store_flush(queue->internal->core->store);
    }
    count += subscription_settle_ready(s, s->floor, s->visible);
    if (queue_counts_bytes(queue->internal->rules))
        queue->internal->rules->sizes.ready_bytes = 0;
    queue_log_now(queue, out);
    if (BROKER_MUTANT == MUTANT_PURGE_EARLY)
        *out = (struct ticket){0};
    return count;
}

/* False: it is not out (any more). */
static bool settle(struct queue *queue, int64_t offset, uint32_t number)
{
    if (queue->deleted || !subscription_settle(queue->subscription, offset, number))
        return false;
    if (queue_counts_bytes(queue->internal->rules))
        queue_sizes_settle(&queue->internal->rules->sizes, offset);
    queue_changed(queue);
    return true;
}

void queue_settle(struct queue *queue, int64_t offset, uint32_t number)
{
    if (settle(queue, offset, number))
        queue_count(queue, COUNTER_ack, 1);
    metrics_add(METRIC_messages_acknowledged, 1);
}

void queue_finish(struct queue *queue, int64_t offset, uint32_t number)
{
    (void)settle(queue, offset, number);
}

void queue_finish_all(struct queue *queue, int64_t first, int64_t stride, uint32_t count,
                      uint32_t number)
{
    bool is_plain = !queue->deleted && !queue_counts_bytes(queue->internal->rules);
    if (is_plain && subscription_settle_all(queue->subscription, first, stride, count, number)) {
        queue_changed(queue);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        queue_finish(queue, first + stride * i, number);
}

/* Done with a delivery that failed. */
static void end_failed(struct queue *queue, int64_t offset, uint32_t number, enum death reason)
{
    const struct queue_rules *r = queue->internal->rules;
    if (r && r->settings.dead_letter_exchange.data &&
        subscription_is_taken(queue->subscription, offset, number))
        queue_move_later(queue, offset, number, reason);
    else
        queue_finish(queue, offset, number);
}

void queue_reject(struct queue *queue, int64_t offset, uint32_t number)
{
    if (!queue->deleted)
        end_failed(queue, offset, number, DEATH_REJECTED);
}

static void come_back(struct queue *queue, int64_t offset, uint32_t number, bool failed)
{
    if (queue->deleted)
        return;
    const struct queue_rules *r = queue->internal->rules;
    if (r && r->settings.delivery_limit >= 0 && number > r->settings.delivery_limit)
        end_failed(queue, offset, number, DEATH_DELIVERY_LIMIT);
    else if (!queue_retry_later(queue, offset, number, failed))
        queue_return_now(queue, offset, number);
}

void queue_return(struct queue *queue, int64_t offset, uint32_t number)
{
    come_back(queue, offset, number, false);
}

void queue_return_failed(struct queue *queue, int64_t offset, uint32_t number)
{
    come_back(queue, offset, number, true);
}

void queue_return_failed_all(struct queue *queue, int64_t first, int64_t stride, uint32_t count,
                             uint32_t number)
{
    bool is_plain = !queue->deleted && !queue->internal->rules && stride == 1;
    if (is_plain && subscription_return_all(queue->subscription, first, first + count, number)) {
        queue_changed(queue);
        queue_wake(queue);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        queue_return_failed(queue, first + stride * i, number);
}

void queue_return_now(struct queue *queue, int64_t offset, uint32_t number)
{
    const struct queue_rules *r = queue->internal->rules;
    if (!subscription_return(queue->subscription, offset, number))
        return;
    if (r && r->priorities)
        queue_priorities_returned(r->priorities, offset);
    if (queue_counts_bytes(r))
        queue_sizes_return(&queue->internal->rules->sizes, offset);
    if (r && r->expiry)
        queue_expiry_returned(queue, offset);
    queue_changed(queue);
    if (queue_trims(queue))
        queue_run_later(queue);
    queue_wake(queue);
}

int64_t queue_consumer_timeout_ms(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    return r && r->settings.consumer_timeout_ms >= 0
               ? r->settings.consumer_timeout_ms
               : queue->internal->core->config.consumer_timeout_ms;
}

void queue_redeclared(struct queue *queue)
{
    metrics_add(METRIC_queues_declared, 1);
    queue_used(queue);
}

struct counters *queue_counters(const struct queue *queue)
{
    return queue->internal->counters;
}

bool queue_is_single_active(const struct queue *queue)
{
    return queue->internal->rules && queue->internal->rules->settings.single_active;
}

bool queue_is_quorum(const struct queue *queue)
{
    return queue->internal->rules && queue->internal->rules->settings.is_quorum;
}

uint64_t queue_coming_count(const struct queue *queue)
{
    return queue->internal->coming + packer_open_count(queue);
}
