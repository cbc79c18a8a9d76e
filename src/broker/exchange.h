/*
 * Exchanges and bindings. Names are unique within a vhost and kind. All changes go through
 * the catalog (durable objects) or stay in memory (transient and exclusive ones).
 */
#ifndef BROKER_EXCHANGE_H
#define BROKER_EXCHANGE_H

#include "broker/catalog.h"
#include "broker/core.h"
#include "broker/message.h"
#include "broker/vhost.h"

struct counters;
struct queue;
struct exchange;

enum exchange_kind {
    EXCHANGE_DIRECT,
    EXCHANGE_FANOUT,
    EXCHANGE_TOPIC,
    EXCHANGE_HEADERS,
    EXCHANGE_CONSISTENT_HASH,
    EXCHANGE_RANDOM,
    EXCHANGE_MODULUS_HASH,
    EXCHANGE_RECENT_HISTORY,
    EXCHANGE_DELAYED,
    EXCHANGE_KINDS
};

struct exchange {
    struct bytes name;
    struct vhost *vhost;
    enum exchange_kind kind;
    enum exchange_kind matching; /* how it matches: its kind, or what a delayed one delays for */
    bool durable, auto_delete, internal;
    struct bytes arguments; /* field table verbatim, without its size */
    struct exchange_internal *internal_state;
};

struct exchange *exchange_find(struct vhost *, struct bytes name); /* "" is the default exchange */
const char *exchange_kind_name(enum exchange_kind);
bool exchange_kind_parse(struct bytes name, enum exchange_kind *out); /* false: unknown */

struct exchange_spec {
    struct bytes name;
    enum exchange_kind kind;
    bool durable, auto_delete, internal;
    struct bytes arguments;
};
/* E_INVALID: arguments that this kind of exchange does not take. */
must_use enum err exchange_check(const struct exchange_spec *);
/* The name must be free (the protocol checks equivalence first) and the spec checked. */
struct exchange *exchange_create(struct vhost *, const struct exchange_spec *);
void exchange_delete(struct exchange *); /* with its bindings, in both directions */
/* Very many bindings are dropped in slices, before what they hang on is deleted: at most `count` of
 * them go, and true says that there are more. */
bool exchange_unbind_some(struct exchange *, int count);
bool exchange_unbind_some_of(struct queue *, int count);
/* How many messages wait for their time. */
uint64_t exchange_delayed_count(const struct exchange *);
bool exchange_has_bindings(const struct exchange *);

/* E_INVALID: a key or arguments that mean nothing to this kind of exchange. */
must_use enum err exchange_check_binding(const struct exchange *, struct bytes key,
                                         struct bytes arguments);
/* What reaches the exchange and matches goes to the queue, or on to `target`. Idempotent all. A
 * binding is durable when both its ends are. */
void exchange_bind(struct exchange *, struct queue *, struct bytes key, struct bytes arguments);
void exchange_bind_exchange(struct exchange *, struct exchange *target, struct bytes key,
                            struct bytes arguments);
/* Deletes an auto-delete exchange with its last binding, and those that had this as their last. */
void exchange_unbind(struct exchange *, struct queue *, struct bytes key, struct bytes arguments);
void exchange_unbind_exchange(struct exchange *, struct exchange *target, struct bytes key,
                              struct bytes arguments);

/* All exchanges, some in each turn, as queue_walk_next(). */
struct exchange_walk {
    size_t at_vhost, at_exchange;
};
struct exchange *exchange_walk_next(struct core *, struct exchange_walk *); /* NULL: the last was */
/* A binding as lists show it; borrowed. The default exchange has none, although it routes. */
struct binding_description {
    const struct exchange *source;
    const struct queue *queue; /* to one of these two */
    const struct exchange *target;
    struct bytes key, arguments;
};
typedef void binding_fn(void *ctx, const struct binding_description *binding);
void exchange_each_binding(const struct exchange *, binding_fn *each, void *ctx); /* from it */
void exchange_each_incoming(const struct exchange *, binding_fn *each, void *ctx);
void queue_each_binding(const struct queue *, binding_fn *each, void *ctx);
/* Those with these ends and key, whatever their arguments; one of the destinations is NULL. */
void exchange_each_with_key(struct exchange *, struct queue *, struct exchange *target,
                            struct bytes key, binding_fn *each, void *ctx);

/* The queues a message goes to, each once, by way of bindings between exchanges, and of alternate
 * exchanges where nothing matched. Valid until the next routing or change of the catalog, at most
 * this turn. Where only the routing key decides, repeats are found in a cache. */
struct route {
    struct queue *const *queues;
    size_t count;
};
struct route exchange_route(struct exchange *, const struct message *);
/* The message will wait for its time, and be routed again then. */
bool route_is_delayed(struct route);
/* The same for a message that is not published yet: nothing remembers it. */
struct route exchange_ask_route(struct exchange *, const struct message *);
/* A message that came to the exchange went to so many queues. */
void exchange_count(struct exchange *, size_t queue_count);
struct counters *exchange_counters(const struct exchange *); /* NULL: nothing has come */
/* As if the message had been published with each of these keys too (CC, BCC), but once. */
struct route exchange_route_keys(struct exchange *, const struct message *,
                                 const struct bytes *more_keys, size_t count);

#endif
