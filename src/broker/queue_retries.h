/*
 * Delayed retries (RabbitMQ 4.3, queues of type quorum): what comes back to its queue is ready again after a
 * delay that grows with the number of deliveries, at most to a limit. `x-delayed-retry-type` says for what:
 * messages that were returned (basic.nack, recover), that failed (basic.reject, a lost channel), or all.
 *
 * Until then a message is neither ready nor with anybody; it keeps its place. Nothing is logged of it: a
 * restart ends all delays.
 */
#ifndef BROKER_QUEUE_RETRIES_H
#define BROKER_QUEUE_RETRIES_H

#include "broker/due_index.h"
#include "broker/queue_internal.h"

struct queue_retries {
    struct queue *queue;
    struct due_index index;
    struct idmap numbers; /* offset -> number of the delivery that ended, as a pointer */
    struct timer timer;
};

/* Is what came back to wait? Then it does, and true is returned. */
bool queue_retry_later(struct queue *queue, int64_t offset, uint32_t number, bool failed);
size_t queue_retries_count(const struct queue *queue); /* that wait */
void queue_retries_free(struct queue_retries *x);      /* accepts NULL */

#endif
