/* Exchanges and bindings, for the modules of this folder. */
#ifndef BROKER_EXCHANGE_INTERNAL_H
#define BROKER_EXCHANGE_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "broker/counters.h"
#include "broker/exchange.h"
#include "broker/history.h"
#include "broker/pattern_trie.h"
#include "broker/policy.h"

struct binding {
    struct exchange *exchange; /* from here */
    struct queue *queue;       /* to one of these two */
    struct exchange *target;
    struct bytes key, arguments;
    struct bytes identity; /* destination and key: what `by_identity` is keyed by */
    struct binding *next;  /* same identity, other arguments */
    size_t slot;           /* in its bucket */
    struct list of_exchange, of_destination;
    struct catalog_entry entry;
};

/* All bindings of a direct exchange with one routing key. */
struct bucket {
    struct bytes key;
    VEC(struct binding *) bindings;
};

struct exchange_internal {
    struct exchange *exchange;
    struct bytes alternate; /* name of the alternate exchange, borrowed; NULL data: none */
    struct list of_vhost;   /* struct policies: the vhost's exchanges */
    struct policy_pair policies;
    struct map by_identity;       /* of struct binding */
    struct list bindings;         /* from it, in the order of their making */
    struct list incoming;         /* to it: of_destination */
    struct map buckets;           /* direct: by routing key */
    struct pattern_trie patterns; /* topic */
    struct queue *delays;         /* x-delayed-message: see delays.h */
    struct history history;       /* x-recent-history */
    uint64_t visited;             /* stamp of the last routing that came here */
    bool doomed;
    struct catalog_entry entry;
    struct counters *counters; /* NULL: nothing has come */
};

/* ---- types of exchanges ---- */

typedef VEC(struct binding *) binding_list;

struct exchange_type {
    const char *name;
    bool by_key; /* messages with one key go one way, until a binding changes */
    /* Keep an index of the bindings beside the list; NULL: the list is enough. */
    void (*add)(struct exchange_internal *, struct binding *);
    void (*remove)(struct exchange_internal *, struct binding *);
    /* Append the bindings that match; the same destination may come more than once. */
    void (*match)(struct exchange_internal *, const struct message *, struct bytes key,
                  binding_list *out);
    /* A message came; something was bound. NULL: nothing happens. */
    void (*note)(struct exchange_internal *, const struct message *);
    void (*bound)(struct exchange_internal *, const struct binding *);
    /* NULL: every binding is good. E_INVALID. */
    enum err (*check_binding)(const struct exchange *, struct bytes key, struct bytes arguments);
    enum err (*check_arguments)(struct bytes arguments);
};

const struct exchange_type *exchange_type(enum exchange_kind kind);

/* ---- bindings ---- */

struct route_cache;
void route_cache_free(struct route_cache *cache); /* accepts NULL */

/* Those that every vhost has, in a new one. */
void exchanges_predeclare(struct vhost *vhost);
/* All of them with their bindings, from memory. */
void exchanges_free(struct vhost *vhost);
struct exchange *exchange_restore(struct vhost *, const struct exchange_spec *,
                                  uint64_t delays_log_id);
/* Attach the delayed messages of all exchanges to their logs; let them go before the store closes. */
void exchanges_attach(struct core *core);
void exchanges_let_go(struct core *core);
struct binding *binding_restore(struct exchange *, struct queue *, struct exchange *target,
                                struct bytes key, struct bytes arguments);
/* Remove from memory and catalog. Returns where it came from. */
struct exchange *binding_drop(struct binding *binding);
/* Its policies, which may name an alternate exchange. */
void exchange_policies_changed(struct exchange *x);
/* Auto-delete, and nothing is bound any more. */
bool exchange_is_unwanted(const struct exchange *x);
/* When the queue goes away: no auto-delete exchange survives its last one. */
void bindings_drop_queue(struct queue *queue);
/* All bindings of the exchange, in both directions, without a word to the catalog. */
void bindings_free(struct exchange *x);

#endif
