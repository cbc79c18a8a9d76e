/* Encoding what goes to the client, straight into the link. */
#ifndef AMQP_SEND_H
#define AMQP_SEND_H

#include "amqp/connection.h"
#include "broker/queue.h"

/* One method frame; `arguments` is the method's struct. */
void send_method(struct connection *, uint16_t channel, uint32_t method_id, const void *arguments);
/* A method without arguments that matter. */
void send_simple(struct connection *, uint16_t channel, uint32_t method_id);
void send_heartbeat(struct connection *);

/* Contents: method, header, bodies, in one go. Properties and body are sent as they are. */
void send_deliver(struct connection *, uint16_t channel, struct bytes consumer_tag,
                  uint64_t delivery_tag, const struct delivery *);
void send_get_ok(struct connection *, uint16_t channel, uint64_t delivery_tag,
                 uint32_t message_count, const struct delivery *);
void send_return(struct connection *, uint16_t channel, enum reply_code, const struct message *);

#endif
