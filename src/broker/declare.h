/*
 * Declaring, deleting, binding: what every way to change a vhost's queues, exchanges and bindings
 * goes through, so that AMQP, the management API and imported definitions have one set of rules:
 * reserved names, exclusive queues, arguments, whether a second declare says the same as the first.
 *
 * All functions apply at once or fail with RabbitMQ's text in err_text(). The caller translates the
 * error (AMQP 0-9-1 s.1.7):
 *
 *   E_NOT_FOUND     404
 *   E_REFUSED       403: reserved name, default exchange
 *   E_LOCKED        405: another session's exclusive queue
 *   E_INVALID       406: arguments, unknown exchange type
 *   E_PRECONDITION  406: inequivalent to what is there
 *   E_IN_USE, E_NOT_EMPTY   406: deleting if unused, if empty
 *   E_UNSUPPORTED   540: an argument that would change what a queue does and is not built
 *   E_FROZEN, E_NO_SPACE    the catalog takes no change now
 *   E_AGAIN         deleting what has very many bindings: some are gone, ask again in a later turn
 *
 * An answer that it is done waits for core_catalog_ticket().
 */
#ifndef BROKER_DECLARE_H
#define BROKER_DECLARE_H

#include "broker/exchange.h"
#include "broker/queue.h"

struct session;
struct user;

/* On whose behalf. A zeroed one is the broker itself or its operator. */
struct declarer {
    struct session *session; /* that exclusive queues belong to; NULL: it has none */
    const struct user *user; /* NULL: may do everything */
};

/* ---- names ---- */

struct declare_name {
    uint8_t bytes[UINT8_MAX];
};
/* A name as it counts: without CR and LF (RabbitMQ). The functions that declare, delete and bind see
 * to it themselves. It points into `room` or is `name`; a name over 255 bytes is none, and stays. */
struct bytes declare_name(struct bytes name, struct declare_name *room);

/* ---- queues ---- */

struct queue_declaration {
    struct bytes name;
    bool durable, auto_delete;
    bool exclusive;       /* to the declarer's session */
    bool may_be_reserved; /* a name that the broker has made, or that comes from an export */
    struct bytes arguments;
};
/* The queue may be there already, when it is the same. */
must_use enum err declare_queue(struct vhost *, const struct queue_declaration *,
                                const struct declarer *, struct queue **out);
/* The queue, if it is there and within reach of the declarer's session. E_NOT_FOUND, E_LOCKED. */
must_use enum err declare_find_queue(struct vhost *, struct bytes name, const struct declarer *,
                                     struct queue **out);
/* One that is not there is as good as deleted (RabbitMQ). The caller waits for queue_barrier()
 * first, so that what it counts is all; *out_count is how many messages were ready. */
must_use enum err declare_delete_queue(struct vhost *, struct bytes name, const struct declarer *,
                                       bool if_unused, bool if_empty, uint64_t *out_count);

/* ---- exchanges ---- */

struct exchange_declaration {
    struct bytes name;
    struct bytes type;
    bool durable, auto_delete, internal;
    bool may_be_reserved; /* as above */
    struct bytes arguments;
};
must_use enum err declare_exchange(struct vhost *, const struct exchange_declaration *,
                                   const struct declarer *, struct exchange **out);
must_use enum err declare_find_exchange(struct vhost *, struct bytes name, struct exchange **out);
/* E_REFUSED: it is the default exchange, which nobody declares, deletes or binds. */
must_use enum err declare_not_default(struct bytes exchange_name);
must_use enum err declare_delete_exchange(struct vhost *, struct bytes name,
                                          const struct declarer *, bool if_unused);

/* ---- bindings ---- */

struct binding_declaration {
    struct bytes source;
    struct bytes destination;
    bool to_exchange; /* the destination is one; otherwise a queue */
    struct bytes key;
    struct bytes arguments;
};
must_use enum err declare_binding(struct vhost *, const struct binding_declaration *,
                                  const struct declarer *);
/* What is not there is not bound: no error (RabbitMQ). */
must_use enum err declare_unbinding(struct vhost *, const struct binding_declaration *,
                                    const struct declarer *);

#endif
