/*
 * Delayed messages, as RabbitMQ's plugin has them: an exchange of type `x-delayed-message` keeps what has
 * a header `x-delay` (ms) for so long, then routes it as the type that its argument `x-delayed-type` names.
 *
 * Such an exchange has a queue of its own that has no name: routing finds it as the destination of a
 * message with a delay, so the message is stored, confirmed and recovered like any other. In that queue the
 * message is due after its delay (queue_expiry.h), wherever it lies, whatever restarts there are; what
 * "expires" there is published to whom the exchange's bindings say at that time and settled in the same
 * commit, so it is delivered once.
 *
 * A header `x-delay` of a message on its way has the opposite sign, so that it is not delayed again by the
 * next such exchange. Whether anybody will get it is not known when it is published: a mandatory message with
 * a delay is not returned.
 */
#ifndef BROKER_DELAYS_H
#define BROKER_DELAYS_H

#include "broker/exchange.h"
#include "broker/message.h"

struct queue;

/* E_INVALID: the arguments name no type, or not one that can be delayed. */
must_use enum err delays_check_arguments(struct bytes arguments);
/* The type that such an exchange matches as. The arguments were checked. */
enum exchange_kind delays_matching(struct bytes arguments);

/* How long the message is to be delayed; 0: not at all. */
int64_t delays_of_message(const struct message *m);
/* Publish what was due in the exchange's queue. OK also when nobody takes it; errors as of
 * queue_publish(): later. */
must_use enum err delays_release(struct exchange *x, const struct message *m);

#endif
