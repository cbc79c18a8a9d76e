#include "broker/policy.h"

#include <limits.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/exchange_internal.h"
#include "broker/policy_internal.h"
#include "broker/queue_internal.h"
#include "broker/queue_rules.h"

/* ---- one policy ---- */

static void policy_unref(struct policy *policy)
{
    if (!policy)
        return;
    check(policy->references > 0);
    if (--policy->references > 0)
        return;
    bytes_free(policy->name);
    bytes_free(policy->apply_to);
    bytes_free(policy->definition);
    pattern_reset(&policy->pattern);
    free(policy);
}

static enum err parse_apply_to(struct bytes text, unsigned *out)
{
    enum { QUEUES = POLICY_CLASSIC_QUEUE | POLICY_QUORUM_QUEUE | POLICY_STREAM };
    static const struct {
        const char *name;
        unsigned kinds;
    } names[] = {
        {"queues", QUEUES},
        {"classic_queues", POLICY_CLASSIC_QUEUE},
        {"quorum_queues", POLICY_QUORUM_QUEUE},
        {"streams", POLICY_STREAM},
        {"exchanges", POLICY_EXCHANGE},
        {"all", QUEUES | POLICY_EXCHANGE},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!bytes_equal_string(text, names[i].name))
            continue;
        *out = names[i].kinds;
        return OK;
    }
    return err_set(E_INVALID,
                   "Validation failed\n\napply-to '%.*s' unrecognised; should be one of: 'queues', "
                   "'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'\n",
                   BYTES_FORMAT(text));
}

static enum err policy_new(enum policy_author author, const struct policy_spec *spec,
                           struct policy **out)
{
    struct pattern pattern = {0};
    unsigned kinds = 0;
    if (spec->name.size == 0 || spec->name.size > UINT8_MAX)
        return err_set(E_INVALID, "a policy name of %zu bytes", spec->name.size);
    enum err err = parse_apply_to(spec->apply_to, &kinds);
    if (!err)
        err = policy_definition_check(spec->definition, author);
    if (err)
        return err;
    err = pattern_init(&pattern, spec->pattern);
    if (err)
        return err_set(err,
                       "Validation failed\n\npattern should be regular expression but is invalid: "
                       "%s\n",
                       err_text());
    struct policy *policy = xzalloc(sizeof *policy);
    *policy = (struct policy){
        .name = bytes_dup(spec->name),
        .apply_to = bytes_dup(spec->apply_to),
        .pattern = pattern,
        .definition = bytes_dup(spec->definition),
        .priority = spec->priority,
        .kinds = kinds & policy_definition_kinds(spec->definition),
        .references = 1,
    };
    *out = policy;
    return OK;
}

/* ---- those of a vhost ---- */

static void sweep(struct deferred *work);

static struct policies *policies_of(struct vhost *vhost)
{
    if (vhost->policies)
        return vhost->policies;
    struct policies *all = vhost->policies = xzalloc(sizeof *all);
    all->vhost = vhost;
    all->sweep.run = sweep;
    for (int author = 0; author < POLICY_AUTHORS; author++)
        list_init(&all->slots[author]);
    list_init(&all->queues);
    list_init(&all->stale_queues);
    list_init(&all->exchanges);
    list_init(&all->stale_exchanges);
    return all;
}

/* Everything is looked at again. */
static void policies_changed(struct policies *all)
{
    list_splice(&all->stale_queues, &all->queues);
    list_splice(&all->stale_exchanges, &all->exchanges);
    core_defer(all->vhost->core, &all->sweep);
}

bool policies_are_applied(const struct vhost *vhost)
{
    const struct policies *all = vhost->policies;
    return !all || (list_is_empty(&all->stale_queues) && list_is_empty(&all->stale_exchanges));
}

static bool is_before(const struct policy *a, const struct policy *b)
{
    return a->priority != b->priority ? a->priority > b->priority
                                      : bytes_compare(a->name, b->name) < 0;
}

static void slot_line_up(struct policies *all, struct policy_slot *slot)
{
    struct list *slots = &all->slots[slot->author], *at = slots->next;
    while (at != slots &&
           is_before(container_of(at, struct policy_slot, node)->policy, slot->policy))
        at = at->next;
    list_push_back(at, &slot->node);
}

static struct policy_slot *slot_find(const struct vhost *vhost, enum policy_author author,
                                     struct bytes name)
{
    if (!vhost->policies)
        return NULL;
    list_each (node, &vhost->policies->slots[author]) {
        struct policy_slot *slot = container_of(node, struct policy_slot, node);
        if (bytes_equal(slot->policy->name, name))
            return slot;
    }
    return NULL;
}

static struct policy_slot *slot_new(struct vhost *vhost, enum policy_author author,
                                    struct policy *policy)
{
    struct policy_slot *slot = xzalloc(sizeof *slot);
    slot->vhost = vhost;
    slot->author = author;
    slot->policy = policy;
    slot_line_up(policies_of(vhost), slot);
    return slot;
}

static void slot_free(struct policy_slot *slot)
{
    list_remove(&slot->node);
    policy_unref(slot->policy);
    free(slot);
}

enum err policy_set(struct vhost *vhost, enum policy_author author, const struct policy_spec *spec,
                    bool *out_created)
{
    struct policy *policy;
    struct policy_slot *slot = slot_find(vhost, author, spec->name);
    enum err err = core_catalog_can_change(vhost->core);
    if (!err)
        err = policy_new(author, spec, &policy);
    if (err)
        return err;
    *out_created = !slot;
    if (slot) {
        policy_unref(slot->policy);
        slot->policy = policy;
        list_remove(&slot->node);
        slot_line_up(policies_of(vhost), slot);
    } else {
        slot = slot_new(vhost, author, policy);
    }
    catalog_put(vhost->core, &slot->entry, CATALOG_POLICY);
    policies_changed(vhost->policies);
    return OK;
}

enum err policy_delete(struct vhost *vhost, enum policy_author author, struct bytes name)
{
    struct policy_slot *slot = slot_find(vhost, author, name);
    enum err err = slot ? core_catalog_can_change(vhost->core) : E_NOT_FOUND;
    if (err)
        return slot ? err : err_set(err, "policy not found");
    catalog_remove(vhost->core, &slot->entry);
    slot_free(slot);
    policies_changed(vhost->policies);
    return OK;
}

const char *policy_author_name(enum policy_author author)
{
    return author == POLICY_USER ? "policy" : "operator_policy";
}

enum err policy_restore(struct vhost *vhost, struct bytes class_name,
                        const struct policy_spec *spec, struct catalog_entry **out)
{
    struct policy *policy;
    enum policy_author author = bytes_equal_string(class_name, policy_author_name(POLICY_OPERATOR))
                                    ? POLICY_OPERATOR
                                    : POLICY_USER;
    if (!bytes_equal_string(class_name, policy_author_name(author)))
        return err_set(E_MALFORMED, "a policy of the author '%.*s'", BYTES_FORMAT(class_name));
    enum err err = policy_new(author, spec, &policy);
    if (err)
        return err_wrap(E_MALFORMED, "policy '%.*s'", BYTES_FORMAT(spec->name));
    *out = &slot_new(vhost, author, policy)->entry;
    policies_changed(vhost->policies);
    return OK;
}

void policies_drop(struct vhost *vhost)
{
    struct policies *all = vhost->policies;
    for (int author = 0; all && author < POLICY_AUTHORS; author++) {
        while (!list_is_empty(&all->slots[author])) {
            struct policy_slot *slot =
                container_of(all->slots[author].next, struct policy_slot, node);
            catalog_remove(vhost->core, &slot->entry);
            slot_free(slot);
        }
    }
}

void policies_free(struct vhost *vhost)
{
    struct policies *all = vhost->policies;
    if (!all)
        return;
    for (int author = 0; author < POLICY_AUTHORS; author++)
        while (!list_is_empty(&all->slots[author]))
            slot_free(container_of(all->slots[author].next, struct policy_slot, node));
    check(list_is_empty(&all->queues) && list_is_empty(&all->stale_queues));
    check(list_is_empty(&all->exchanges) && list_is_empty(&all->stale_exchanges));
    core_defer_cancel(&all->sweep);
    free(all);
    vhost->policies = NULL;
}

/* ---- asking ---- */

const struct policy *policy_find(const struct vhost *vhost, enum policy_author author,
                                 struct bytes name)
{
    const struct policy_slot *slot = slot_find(vhost, author, name);
    return slot ? slot->policy : NULL;
}

void policy_each(const struct vhost *vhost, enum policy_author author,
                 void (*each)(void *ctx, const struct policy *), void *ctx)
{
    if (!vhost->policies)
        return;
    list_each (node, &vhost->policies->slots[author])
        each(ctx, container_of(node, struct policy_slot, node)->policy);
}

const struct policy_pair *queue_policies(const struct queue *queue)
{
    return &queue->internal->policies;
}

const struct policy_pair *exchange_policies(const struct exchange *x)
{
    return &x->internal_state->policies;
}

/* ---- applying ---- */

/* The policy of a author that counts. */
static struct policy *match(const struct list *slots, enum policy_kind kind, struct bytes name,
                            int *cost)
{
    list_each (node, slots) {
        struct policy *policy = container_of(node, struct policy_slot, node)->policy;
        if (!(policy->kinds & kind))
            continue;
        *cost += pattern_is_slow(&policy->pattern) ? 100 : 1;
        if (pattern_matches(&policy->pattern, name))
            return policy;
    }
    return NULL;
}

/* False: they are the ones that it has. */
static bool find_policies(const struct policies *all, enum policy_kind kind, struct bytes name,
                          const struct policy_pair *has, struct policy_pair *out, int *cost)
{
    bool differs = false;
    for (int author = 0; author < POLICY_AUTHORS; author++) {
        out->of[author] = match(&all->slots[author], kind, name, cost);
        differs = differs || out->of[author] != has->of[author];
    }
    return differs;
}

static void pair_ref(const struct policy_pair *pair)
{
    for (int author = 0; author < POLICY_AUTHORS; author++)
        if (pair->of[author])
            pair->of[author]->references++;
}

static void pair_unref(struct policy_pair *pair)
{
    for (int author = 0; author < POLICY_AUTHORS; author++) {
        policy_unref(pair->of[author]);
        pair->of[author] = NULL;
    }
}

static enum policy_kind kind_of(const struct queue *queue)
{
    struct amqp_value type;
    if (!amqp_table_find(queue->arguments, "x-queue-type", &type))
        return POLICY_CLASSIC_QUEUE;
    if (bytes_equal_string(type.bytes, "quorum"))
        return POLICY_QUORUM_QUEUE;
    return bytes_equal_string(type.bytes, "stream") ? POLICY_STREAM : POLICY_CLASSIC_QUEUE;
}

/* The settings may lie in the policies, so the old ones go last. */
static int apply_to_queue(const struct policies *all, struct queue_internal *in)
{
    struct policy_pair next, old = in->policies;
    int cost = 1;
    if (!find_policies(all, kind_of(in->self), in->self->name, &in->policies, &next, &cost))
        return cost;
    pair_ref(&next);
    in->policies = next;
    queue_rules_changed(in->self);
    pair_unref(&old);
    return cost;
}

static int apply_to_exchange(const struct policies *all, struct exchange_internal *in)
{
    struct policy_pair next, old = in->policies;
    int cost = 1;
    if (!find_policies(all, POLICY_EXCHANGE, in->exchange->name, &in->policies, &next, &cost))
        return cost;
    pair_ref(&next);
    in->policies = next;
    exchange_policies_changed(in->exchange);
    pair_unref(&old);
    return cost;
}

/* Look at stale objects for about so many searches; false: there are more. */
static bool apply_some(struct policies *all, int budget)
{
    struct list *node;
    while (budget > 0 && (node = list_pop_front(&all->stale_exchanges))) {
        struct exchange_internal *in = container_of(node, struct exchange_internal, of_vhost);
        list_push_back(&all->exchanges, node);
        budget -= apply_to_exchange(all, in);
    }
    while (budget > 0 && (node = list_pop_front(&all->stale_queues))) {
        struct queue_internal *in = container_of(node, struct queue_internal, of_vhost);
        list_push_back(&all->queues, node);
        budget -= apply_to_queue(all, in);
    }
    return policies_are_applied(all->vhost);
}

static void sweep(struct deferred *work)
{
    enum { SLICE = 1000 };
    struct policies *all = container_of(work, struct policies, sweep);
    if (!apply_some(all, SLICE))
        core_defer(all->vhost->core, &all->sweep);
}

void policies_apply(struct core *core)
{
    size_t position = 0;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &position)))
        if (vhost->policies)
            while (!apply_some(vhost->policies, INT_MAX))
                ;
}

void policies_add_queue(struct queue *queue)
{
    struct policies *all = policies_of(queue->vhost);
    list_push_back(&all->queues, &queue->internal->of_vhost);
    apply_to_queue(all, queue->internal);
}

void policies_add_exchange(struct exchange *x)
{
    struct policies *all = policies_of(x->vhost);
    list_push_back(&all->exchanges, &x->internal_state->of_vhost);
    apply_to_exchange(all, x->internal_state);
}

void policies_remove_queue(struct queue *queue)
{
    list_remove(&queue->internal->of_vhost);
    pair_unref(&queue->internal->policies);
}

void policies_remove_exchange(struct exchange *x)
{
    list_remove(&x->internal_state->of_vhost);
    pair_unref(&x->internal_state->policies);
}
