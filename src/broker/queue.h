/*
 * Queues: a private log and a subscription on it. The subscription (broker/subscription.h) knows
 * which records are ready, taken and settled; the queue adds name, arguments, consumers, life
 * cycle.
 *
 * A record becomes ready when the log's high watermark passes it; then it is offered to consumers
 * with credit, in log order, round robin among them. What a consumer takes is settled, or comes
 * back to its original place with redelivered set. Settles of a queue in one turn are one control
 * batch in the queue's own log (settle ranges, returns, delivered-up-to mark); they are logged, not
 * awaited.
 */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H

#include "broker/core.h"
#include "broker/exchange.h"
#include "broker/message.h"

struct counters;
struct subscription;
struct session;
struct consumer;
struct consumer_description;

struct queue {
    struct bytes name;
    struct vhost *vhost;
    bool durable, auto_delete, exclusive;
    bool deleted; /* still referred to, no longer in the catalog */
    uint32_t consumer_count;
    struct session *owner;  /* of an exclusive queue */
    struct bytes arguments; /* field table verbatim, without its size */
    struct log *log;
    struct subscription *subscription;
    struct list consumers; /* those that are not parked, whose turn is next in front */
    struct consumer *exclusive_consumer;
    struct queue_internal *internal;
};

struct queue *queue_find(struct vhost *, struct bytes name);

struct queue_spec {
    struct bytes name;
    bool durable, auto_delete;
    struct session *exclusive_owner; /* or NULL; session_add() comes before */
    struct bytes arguments;
};
/* E_INVALID: *out_argument is the name of an argument that is wrong, err_text() how. */
must_use enum err queue_check(const struct queue_spec *, const char **out_argument);
/* The name must be free and the spec checked. Durable and not exclusive: in the catalog, log at the configured
 * durability; otherwise in memory only. */
struct queue *queue_create(struct vhost *, const struct queue_spec *);
/* Cancels its consumers (consumer->cancelled), drops bindings, log and name. Unsettled deliveries
 * may still be settled: no effect. The struct lives while deliveries or consumers refer to it. */
void queue_delete(struct queue *);
/* Delete the exclusive queues of a session that ends. */
void queue_delete_exclusive(struct core *, struct session *owner);

/* Done when all that was published to the queue before this call is committed: what counts, gets,
 * purges and deletes wait for this first (the barrier of rule 1). Done at once when nothing of the
 * queue is in flight. Flushes the queue's open pack. */
struct ticket queue_barrier(struct queue *);
uint64_t queue_ready_count(const struct queue *); /* committed and not taken */
uint64_t queue_unacked_count(const struct queue *);
/* About how many bytes its messages' bodies have: as many for each as those on average that were
 * published in this run; when there were none, what the log takes. */
uint64_t queue_message_bytes(const struct queue *);
/* Settle what is ready; returns how many. Ticket: durable then. */
uint64_t queue_purge(struct queue *, struct ticket *out);

/* Publish one message to the queues of a route (count >= 1): packed with others for the same
 * set of queues in this turn into one batch, stored once. The ticket is done when all of them have
 * committed it. E_NO_SPACE, E_FROZEN, E_NO_MEMORY: into none of them. E_FULL: at least one queue
 * has refused it; the others have it. */
must_use enum err queue_publish(struct core *, struct route, const struct message *,
                                struct ticket *out);

/* Would all of these queues take another `size_bytes`? E_FULL, E_NO_SPACE, E_NO_MEMORY, E_FROZEN. */
must_use enum err queue_can_publish(struct core *, struct route, size_t size_bytes);
/* Settles and returns so far are durable when the ticket is done: they are logged in this turn. */
void queue_log_changes(struct queue *, struct ticket *out);

/* ---- delivering ---- */

struct delivery {
    struct queue *queue;
    int64_t offset;
    uint32_t number; /* of this delivery of this record: a late settle of an older one is ignored */
    bool redelivered;
    int64_t due_ms; /* when it expires, Unix; INT64_MAX: never */
    /* Borrowed for the call; its properties may lie in memory that the next delivery uses again. */
    struct message message;
    struct chunk *chunk; /* holds its bytes, chunk_ref() keeps them; NULL: copy them */
};

struct consumer {
    struct list node; /* the queue's */
    int32_t priority; /* the higher ones are served first, while they have credit */
    struct queue *queue;
    bool no_ack;
    bool exclusive;
    /* How many more deliveries it can take now; 0 parks it until queue_consumer_ready(). */
    uint32_t (*credit)(struct consumer *);
    /* Takes one. With no_ack nobody will settle it: queue_finish() or queue_finish_all() when it has
     * left, in this call or later. May cancel any consumer, this one too. */
    void (*deliver)(struct consumer *, const struct delivery *);
    /* The queue is gone; the consumer is detached already. Called from within queue_delete(). */
    void (*cancelled)(struct consumer *);
    void (*describe)(const struct consumer *, struct consumer_description *out); /* session.h */
    bool parked, standby;                                                        /* the engine's */
};
/* E_LOCKED: an exclusive consumer is there, or this one wants to be and others are. Deliveries
 * start at the end of the turn or later, after all appended before this call is committed
 * (barrier). */
must_use enum err queue_consume(struct queue *, struct consumer *);
/* No delivery after it returns. Deletes an auto-delete queue that has lost its last consumer. */
void queue_cancel(struct consumer *);
/* Its credit may have grown. */
void queue_consumer_ready(struct consumer *);

/* How long a delivery may stay unsettled, ms; 0: forever. */
int64_t queue_consumer_timeout_ms(const struct queue *);

/* Declared again: it is in use. */
void queue_redeclared(struct queue *);
/* Its messages go to one consumer at a time. */
bool queue_is_single_active(const struct queue *);
bool queue_is_quorum(const struct queue *); /* declared as one: RabbitMQ's differ in details */

/* Take the head, if any is ready and in memory. OK with *out valid until the end of the turn (the
 * message's bytes), E_NOT_FOUND when empty, E_COLD: being read, `again` is called when to retry.
 * The caller waits for queue_barrier() first. `no_ack` as of consumers. */
must_use enum err queue_get(struct queue *, bool no_ack, struct wait *again, struct delivery *out);
/* Rejected messages that wait to be read on their way to the dead letter exchange. Until there are none
 * a crash can bring such messages back. */
size_t queue_moving_count(const struct queue *);
/* `again` is called when some of what the queue waits for has been read: when to ask queue_get(), that
 * said E_COLD without an `again` of its own, or queue_moving_count() once more. */
void queue_wait_read(struct queue *, struct wait *again);

/* Done with it (ack). */
void queue_settle(struct queue *, int64_t offset, uint32_t number);
/* Done with it, without a client's word. */
void queue_finish(struct queue *, int64_t offset, uint32_t number);
/* The same of `count` deliveries of this number: `first`, `first` + `stride`, ... */
void queue_finish_all(struct queue *, int64_t first, int64_t stride, uint32_t count,
                      uint32_t number);
/* Done with it (reject without requeue): to the dead letter exchange if the queue has one. */
void queue_reject(struct queue *, int64_t offset, uint32_t number);
/* Back to its place, redelivered; rejected once it has come back too often. */
void queue_return(struct queue *, int64_t offset, uint32_t number);
/* The same, because whoever had it could not handle it, or is lost. */
void queue_return_failed(struct queue *, int64_t offset, uint32_t number);
/* The same of `count` deliveries of this number: `first`, `first` + `stride`, ... */
void queue_return_failed_all(struct queue *, int64_t first, int64_t stride, uint32_t count,
                             uint32_t number);
/* Count of references that keep a deleted queue's struct alive: held by unsettled deliveries. */
void queue_ref(struct queue *);
void queue_unref(struct queue *);

/* What has happened to it; NULL: nothing. */
struct counters *queue_counters(const struct queue *);

/* All queues, some in each turn: zeroed to begin with. While queues come and go meanwhile, one may be
 * left out or come twice: for what only counts. */
struct queue_walk {
    size_t at_vhost, at_queue;
};
struct queue *queue_walk_next(struct core *, struct queue_walk *); /* NULL: that was the last */

#endif
