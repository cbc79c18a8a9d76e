/*
 * Holding publishes back (broker/hold.h): a channel whose next command publishes keeps it, and what
 * comes behind, until there is room. Settles and cancels pass, other channels go on, and heartbeats
 * and the end of the connection know nothing of it. What is kept is bounded: for a moment by the
 * connection's in-flight budget, under an alarm by less, and then the connection is not read.
 *
 * Under an alarm the client is told, once one of its publishes is held (connection.blocked, as
 * RabbitMQ does), and whoever closes a channel gives up what is held on it.
 */
#ifndef AMQP_HOLDING_H
#define AMQP_HOLDING_H

#include "amqp/channel.h"

void holding_init(struct connection *);
/* The connection ends: its channels are torn down. */
void holding_stop(struct connection *);

/* Must the command wait until there is room? */
bool holding_must_hold(const struct channel *, const struct command *);
/* May it pass what is held on its channel? */
bool holding_may_pass(const struct channel *, const struct command *);
/* The front of what is parked is held from now on, or more has been parked behind it. */
void holding_hold(struct channel *);
/* It goes on, or ends. */
void holding_let_go(struct channel *);
/* What is parked has another size. */
void holding_count(struct channel *);
/* The client closes the connection: under an alarm what is held is given up. */
void holding_give_up(struct connection *);

#endif
