/*
 * Deliveries that need no acknowledgement, on their way to the socket: each is done with when the
 * socket has taken all of its bytes, and comes back to its queue when the connection is lost before.
 *
 * A link counts the bytes that it has been given and those that the socket has taken, so a delivery is
 * a position: where it ends. What follows one another from one queue, with even steps of offsets and
 * bytes, is one run, as most is: no delivery costs memory of its own, and a run is settled in one go.
 * One for each connection, in the core.
 */
#ifndef AMQP_ON_WAY_H
#define AMQP_ON_WAY_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/queue.h"

struct on_way_run {
    struct queue *queue; /* a reference */
    int64_t first_offset, stride;
    uint64_t first_end; /* the link's position behind the first delivery */
    uint32_t size;      /* bytes of each; both steps are known from the second on */
    uint32_t count;
    uint32_t number; /* of the delivery, as the queue counts */
};

struct on_way {               /* zeroed: empty */
    struct on_way_run *items; /* base/fifo.h */
    uint32_t first, count, capacity;
};

/* It has been written: `end` is the link's position behind it, higher than all before. */
void on_way_add(struct on_way *, const struct delivery *, uint64_t end);
/* The socket has taken everything below `position`. */
void on_way_settle(struct on_way *, uint64_t position);
/* The connection is lost: the rest comes back, and nothing is left. */
void on_way_return(struct on_way *);
static inline bool on_way_is_empty(const struct on_way *w)
{
    return w->count == 0;
}

#endif
