/*
 * Deliveries that a channel keeps until they are settled, and what happens to a client that does not
 * (RabbitMQ ext: consumer_timeout): its channel fails, and its deliveries go back. The argument
 * x-consumer-timeout of the consumer counts before the queue's, and that before the broker's option.
 * Deliveries are told apart by the second.
 */
#ifndef AMQP_DELIVERIES_H
#define AMQP_DELIVERIES_H

#include "amqp/channel.h"

void deliveries_init(struct channel *);
/* `consumer` is NULL for what was got. */
void deliveries_keep(struct channel *, uint64_t tag, const struct delivery *,
                     struct amqp_consumer *consumer);
void deliveries_forget_timeouts(struct channel *);

#endif
