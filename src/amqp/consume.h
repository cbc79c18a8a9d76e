/*
 * Consumers of a channel. Three limits say how much one may be given: its own window and that of
 * the channel, both in unsettled deliveries (basic.qos), and the bytes that wait for the socket, so
 * that a slow reader with an endless window costs no memory. A consumer that had to stop is
 * `hungry` until the limit that stopped it has moved.
 */
#ifndef AMQP_CONSUME_H
#define AMQP_CONSUME_H

#include "amqp/channel.h"

struct amqp_consumer {
    struct consumer base; /* first: the queue sees this */
    struct channel *channel;
    struct list node;       /* the channel's: who was served longest ago is in front */
    struct bytes tag;       /* owned */
    struct bytes arguments; /* field table without its size; owned */
    uint32_t window;        /* 0: no limit */
    int64_t timeout_ms;     /* of its deliveries; below 0: the queue's */
    uint32_t in_window;     /* deliveries that are not settled */
    bool hungry;
    bool is_orphan;         /* the queue is gone, and the client is about to be told */
    struct deferred notice; /* behind the answer to whoever deleted it */
    struct wait deletion;
};

/* Stop and free all consumers of the channel. */
void consume_stop_all(struct channel *);
/* The socket can take more again. */
void channel_wake_consumers(struct channel *);
/* A delivery to `consumer` (or NULL) was settled. Where the channel has a window, its consumers are to
 * be woken afterwards, in their turn. */
void consume_settled(struct amqp_consumer *consumer);

/* settle.c: give everything unacked back to its queues. */
void settle_return_all(struct channel *);

/* A name that nobody else has: `prefix`, "-" and 22 characters; owned by the caller. Not secret. */
char *consume_make_name(struct core *, const char *prefix);

#endif
