/* Vhosts, exchanges and bindings, for the modules of this folder. */
#ifndef BROKER_EXCHANGE_INTERNAL_H
#define BROKER_EXCHANGE_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "broker/exchange.h"

struct binding {
    struct exchange *exchange;
    struct queue *queue;
    struct bytes key, arguments;
    struct bytes identity; /* queue and key: what `by_identity` is keyed by */
    struct binding *next;  /* same identity, other arguments */
    size_t slot;           /* in its bucket, for the first of an identity */
    struct list of_exchange, of_queue;
    struct catalog_entry entry;
};

/* All queues that a direct exchange has for one routing key. */
struct bucket {
    struct bytes key;
    VEC(struct queue *) queues;     /* what a route shows */
    VEC(struct binding *) bindings; /* beside `queues`: the first of each identity */
};

struct exchange_internal {
    struct exchange *exchange;
    struct map buckets;     /* by routing key */
    struct map by_identity; /* of struct binding */
    struct list bindings;
    struct catalog_entry entry;
};

/* With the exchanges that every vhost has. `name` must be free. */
struct vhost *vhost_create(struct core *core, struct bytes name);
struct vhost *vhost_restore(struct core *core, struct bytes name);
struct exchange *exchange_restore(struct vhost *, const struct exchange_spec *);
struct binding *binding_restore(struct exchange *, struct queue *, struct bytes key,
                                struct bytes arguments);
/* When the queue goes away: no auto-delete exchange survives its last one. */
void bindings_drop_queue(struct queue *queue);

#endif
