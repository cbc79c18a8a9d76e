/*
 * What a channel has delivered and its client has not settled, by delivery tag.
 *
 * Tags of a channel only grow, and most neighbours come from one queue with evenly spaced offsets.
 * So they are kept as runs: up to 64 consecutive tags whose offsets are first_offset + i * stride,
 * and a mask of those still open. Adding touches the last run only, a settle clears a bit, finding
 * a run by tag is a binary search, and no settle ever splits or moves anything: runs that are empty
 * are dropped from the front at once and from the middle when they outnumber the living ones.
 *
 * Each run holds a reference to its queue. Lives in the core.
 */
#ifndef AMQP_UNACKED_H
#define AMQP_UNACKED_H

#include <stdbool.h>
#include <stdint.h>

struct amqp_consumer;
struct queue;

struct unacked_run {
    uint64_t first_tag;
    uint64_t open; /* bit i: first_tag + i is not settled */
    int64_t first_offset, stride;
    struct queue *queue;
    struct amqp_consumer
        *consumer;    /* whose window it fills; NULL for basic.get and after a cancel */
    uint32_t number;  /* of the delivery, as the queue counts */
    uint32_t since_s; /* when it was delivered, of those that must be settled in time; else 0 */
    uint8_t span;     /* tags covered, settled ones included */
};

struct unacked {
    struct unacked_run *items; /* base/fifo.h, ascending by tag */
    uint32_t first, count, capacity;
    uint32_t empty_count; /* runs with no open bit, between the others */
    uint64_t open_count;  /* deliveries */
};

/* One delivery, as it is taken out. */
struct unacked_delivery {
    struct queue *queue;
    struct amqp_consumer *consumer;
    int64_t offset;
    uint32_t number;
    uint32_t since_s;
};
/* The queue is valid during the call. */
typedef void unacked_fn(void *ctx, const struct unacked_delivery *d);

/* `tag` is larger than every tag before. */
void unacked_add(struct unacked *u, uint64_t tag, const struct unacked_delivery *d);
bool unacked_has(const struct unacked *u, uint64_t tag);
/* Take `tag` out and hand it to `each`; false when it is not there. */
bool unacked_take(struct unacked *u, uint64_t tag, unacked_fn *each, void *ctx);
/* Take out all up to and including `tag`, which must be there itself (as RabbitMQ has it), in order
 * of tags; false, and nothing is taken, when it is not. */
bool unacked_take_through(struct unacked *u, uint64_t tag, unacked_fn *each, void *ctx);
/* Look at each run that has open deliveries. */
void unacked_each_run(const struct unacked *u, void (*each)(void *ctx, const struct unacked_run *),
                      void *ctx);
void unacked_take_all(struct unacked *u, unacked_fn *each, void *ctx);
/* The consumer goes away; its deliveries stay. */
void unacked_forget_consumer(struct unacked *u, const struct amqp_consumer *consumer);
/* Free; what is still in it is dropped, not settled. */
void unacked_reset(struct unacked *u);

#endif
