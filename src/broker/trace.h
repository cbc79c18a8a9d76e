/*
 * The firehose (RabbitMQ ext): while a vhost is traced (vhost->is_traced), a copy of every message
 * that is published in it, and of every one that a consumer is given, goes to its topic exchange
 * amq.rabbitmq.trace. The copy's key is "publish.EXCHANGE" or "deliver.QUEUE", its body the
 * message's, its headers say what the message was and which way it went.
 *
 * Copies are for looking: nobody waits for them, there are none while an alarm holds publishers back,
 * and what has come to that exchange itself is not traced. Who publishes and delivers asks the flag
 * first, so a vhost that is not traced pays for one test. In the core.
 */
#ifndef BROKER_TRACE_H
#define BROKER_TRACE_H

#include "broker/queue.h"

struct trace_source { /* on whose way the message is */
    struct vhost *vhost;
    const char *node, *connection; /* names */
    struct bytes user;
    uint16_t channel;
};

/* `queues` are the names of those it goes to. Before the message is stored, and with a copy of its
 * route: routing the copy uses the memory that routes lie in. */
void trace_published(const struct trace_source *, const struct message *,
                     const struct bytes *queues, size_t count);
void trace_delivered(const struct trace_source *, const struct delivery *);

#endif
