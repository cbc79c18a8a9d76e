/*
 * Transactions of a channel (AMQP 0-9-1 class tx). What is published and settled is kept and takes
 * place at the commit, all of it in one turn and so in one commit of the store: all or nothing, also
 * over many queues and after a crash (RabbitMQ promises that for one queue only). Unsettled
 * deliveries keep filling their windows until then. A transaction that would not fit everywhere, or
 * meets a queue that refuses, changes nothing: 406, "partial tx completion".
 */
#ifndef AMQP_TX_H
#define AMQP_TX_H

#include "amqp/channel.h"

enum { TX_MAX_BYTES = 256 << 20 };

struct tx {
    struct arena memory; /* of what was published */
    VEC(struct command_publish) publishes;
    VEC(struct command_settle) settles;
    VEC(struct queue *) settled; /* referenced, during the commit */
    struct ticket ticket;
    bool committing;
};

void tx_free(struct tx *); /* accepts NULL; what is not committed is rolled back */

/* Both copy what they keep; they may fail the channel. */
void tx_keep_publish(struct channel *, const struct command_publish *);
void tx_keep_settle(struct channel *, const struct command_settle *);

#endif
