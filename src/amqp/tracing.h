/* What a channel has to tell of the messages of a vhost that is traced (broker/trace.h). Asked only
 * then: channel_is_traced(). */
#ifndef AMQP_TRACING_H
#define AMQP_TRACING_H

#include "amqp/channel.h"
#include "broker/vhost.h"

static inline bool channel_is_traced(const struct channel *ch)
{
    return ch->conn->vhost->is_traced;
}

/* Of an answer that goes straight to who waits for it, `queues` is its address. */
void tracing_published(const struct channel *, const struct message *, const struct bytes *queues,
                       size_t count);
void tracing_delivered(const struct channel *, const struct delivery *);

#endif
