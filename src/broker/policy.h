/*
 * Policies: settings for all queues and exchanges of a vhost whose names match a pattern.
 *
 * Of the policies that match an object the one with the highest priority counts, whole; beside it,
 * likewise, one operator policy, which limits what the other one and the declared arguments ask
 * for. Policies are in the catalog. They change nothing in the arguments (design rule 15): what an
 * object does follows from its arguments and the two policies that count, by the rules in
 * policy_value() and queue_settings.h.
 *
 * A policy that is set, changed or deleted counts for what is declared from now on at once, and for
 * what is there already some objects a turn later: whoever answers a client waits until
 * policies_are_applied(). At a start everything is applied before anybody is served.
 *
 * A struct policy never changes; a changed policy is a new one, and the old one lives as long as
 * some object has it. Lives in the core.
 */
#ifndef BROKER_POLICY_H
#define BROKER_POLICY_H

#include "broker/exchange.h"
#include "broker/pattern.h"
#include "wire/amqp_table.h"

enum policy_author { POLICY_USER, POLICY_OPERATOR, POLICY_AUTHORS };

/* What policies tell apart: bits of policy->kinds. */
enum policy_kind {
    POLICY_CLASSIC_QUEUE = 1 << 0,
    POLICY_QUORUM_QUEUE = 1 << 1,
    POLICY_STREAM = 1 << 2,
    POLICY_EXCHANGE = 1 << 3,
};

struct policy {
    struct bytes name; /* owned, as all bytes here */
    struct bytes apply_to;
    struct pattern pattern;
    struct bytes definition; /* field table */
    int64_t priority;
    unsigned kinds; /* what it may be for: apply_to, without kinds that a key of it does not suit */
    uint32_t references;
};

struct policy_spec {
    struct bytes name;
    struct bytes pattern;
    struct bytes apply_to; /* queues, classic_queues, quorum_queues, streams, exchanges, all */
    struct bytes definition;
    int64_t priority;
};

/* ---- setting ---- */

/* Creates or changes. E_INVALID with RabbitMQ's text; E_FROZEN, E_NO_SPACE. */
must_use enum err policy_set(struct vhost *, enum policy_author, const struct policy_spec *,
                             bool *out_created);
/* E_NOT_FOUND; E_FROZEN, E_NO_SPACE. */
must_use enum err policy_delete(struct vhost *, enum policy_author, struct bytes name);
bool policies_are_applied(const struct vhost *);

/* ---- asking ---- */

const struct policy *policy_find(const struct vhost *, enum policy_author, struct bytes name);
/* By priority, the highest first. */
void policy_each(const struct vhost *, enum policy_author,
                 void (*each)(void *ctx, const struct policy *), void *ctx);

/* The policies that count for one object; NULL: none. */
struct policy_pair {
    struct policy *of[POLICY_AUTHORS];
};
const struct policy_pair *queue_policies(const struct queue *);
const struct policy_pair *exchange_policies(const struct exchange *);
/* What both policies say about a key ("max-length"), merged. False: nothing. */
bool policy_value(const struct policy_pair *, const char *key, struct amqp_value *out);
/* Append all that both say, merged, as a field table. */
void policy_put_effective(const struct policy_pair *, struct text *out);

#endif
