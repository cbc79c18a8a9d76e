/*
 * Vhosts, exchanges and bindings. Names are unique within a vhost and kind. All changes go through
 * the catalog (durable objects) or stay in memory (transient and exclusive ones).
 */
#ifndef BROKER_EXCHANGE_H
#define BROKER_EXCHANGE_H

#include "broker/catalog.h"
#include "broker/core.h"
#include "broker/message.h"

struct queue;
struct exchange;

struct vhost {
    struct bytes name;
    struct map queues;
    struct map exchanges;
    struct core *core;
    struct catalog_entry entry;
};

struct vhost *vhost_find(struct core *, struct bytes name); /* "/" is always there */

enum exchange_kind { EXCHANGE_DIRECT, EXCHANGE_FANOUT, EXCHANGE_TOPIC, EXCHANGE_HEADERS };

struct exchange {
    struct bytes name;
    struct vhost *vhost;
    enum exchange_kind kind;
    bool durable, auto_delete, internal;
    struct bytes arguments; /* field table verbatim, without its size */
    struct exchange_internal *internal_state;
};

struct exchange *exchange_find(struct vhost *, struct bytes name); /* "" is the default exchange */
const char *exchange_kind_name(enum exchange_kind);
bool exchange_kind_parse(struct bytes name,
                         enum exchange_kind *out); /* false: unknown or not built */

struct exchange_spec {
    struct bytes name;
    enum exchange_kind kind;
    bool durable, auto_delete, internal;
    struct bytes arguments;
};
/* The name must be free (the protocol checks equivalence first). */
struct exchange *exchange_create(struct vhost *, const struct exchange_spec *);
void exchange_delete(struct exchange *); /* with its bindings */
bool exchange_has_bindings(const struct exchange *);

/* Idempotent both. A binding is durable when exchange and queue are. */
void exchange_bind(struct exchange *, struct queue *, struct bytes key, struct bytes arguments);
/* Deletes an auto-delete exchange with its last binding. */
void exchange_unbind(struct exchange *, struct queue *, struct bytes key, struct bytes arguments);

/* The queues a message goes to, each once. Valid until the next change of the catalog, at most this
 * turn. For the kinds that exist it is one lookup by routing key; a kind that has to match patterns
 * brings a cache for exact repeats of (exchange, key) with it. */
struct route {
    struct queue *const *queues;
    size_t count;
};
struct route exchange_route(struct exchange *, const struct message *);

#endif
