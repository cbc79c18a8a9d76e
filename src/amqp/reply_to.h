/*
 * Direct reply-to (a RabbitMQ extension): a client consumes from a queue that does not exist and
 * publishes requests whose `reply_to` names it; the broker writes an address of this channel there,
 * and what is published to the default exchange with that address as key is delivered to the channel
 * at once, never stored. At most once: an answer to a channel that is gone, or that does not read, is
 * dropped. An address means something in its channel's vhost only.
 */
#ifndef AMQP_REPLY_TO_H
#define AMQP_REPLY_TO_H

#include "amqp/amqp_messages.h"
#include "amqp/channel.h"

/* "amq.rabbitmq.reply-to", the queue that does not exist */
bool reply_to_is_pseudo_queue(struct bytes name);
bool reply_to_is_address(struct bytes routing_key);

struct reply_consumer;

/* basic.consume from it; may fail the channel. */
void reply_to_consume(struct channel *, const struct amqp_basic_consume *);
void reply_to_free(struct reply_consumer *); /* accepts NULL */
/* basic.cancel; false: it is another consumer's tag. */
bool reply_to_cancel(struct channel *, struct bytes tag);
/* Append the properties with this channel's address; false: it has no reply consumer. */
bool reply_to_put_properties(const struct channel *, const struct message *, struct text *out);
/* Is there a channel with this address in the vhost? */
bool reply_to_is_there(const struct vhost *, struct bytes address);
/* Deliver what was published in the vhost to the address, if there is such a channel. */
void reply_to_deliver(const struct vhost *, const struct message *);

#endif
