/*
 * Dead lettering: a message that a queue has no use for is published again, to the exchange that the
 * queue names, with the story of its deaths in its headers (RabbitMQ, "Dead Letter Exchanges").
 *
 * The caller settles the message in the same turn. A commit is all or nothing, so a crash finds the
 * message in one place.
 */
#ifndef BROKER_DEAD_LETTER_H
#define BROKER_DEAD_LETTER_H

#include "broker/message.h"
#include "broker/queue.h"

enum death { DEATH_REJECTED, DEATH_EXPIRED, DEATH_MAXLEN, DEATH_DELIVERY_LIMIT };

/* OK also when nobody takes it: there is no such exchange, nothing matches, or it would go round in
 * a circle in which nobody rejects. Errors as of queue_publish(): it was published nowhere. */
must_use enum err dead_letter(struct queue *from, const struct message *m, enum death reason);

#endif
