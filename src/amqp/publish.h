/*
 * Publishing and its confirms. A confirm leaves when the message is where its publisher asked for:
 * persistent ones when committed, transient ones in durable queues when written, what is in memory
 * queues or went nowhere at once (AMQP 0-9-1 ext: confirm.select). Confirms of one turn are one
 * basic.ack; a basic.return is written when routing decides, so it is always in front of it.
 */
#ifndef AMQP_PUBLISH_H
#define AMQP_PUBLISH_H

#include "amqp/channel.h"

void publish_init(struct channel *);
/* Forget what waits for a confirm. */
void publish_forget(struct channel *);
void publish_start_confirms(struct channel *);

/* Route and store now, as a transaction's commit does; the exchange may be gone. */
void publish_now(struct channel *, struct command_publish *);

#endif
