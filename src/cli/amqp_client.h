/*
 * A small blocking AMQP 0-9-1 client: one connection, channel 1, one synchronous method at a time.
 * The commands use it whole; the load generator uses it to log in and declare, then takes the
 * stream over. Heartbeats are switched off.
 *
 * Errors: what the server says when it closes the channel or the connection becomes the error text,
 * and its reply code the error: 404 E_NOT_FOUND, 403, 405 and 530 E_REFUSED, 406 E_PRECONDITION, others
 * E_INVALID.
 */
#ifndef CLI_AMQP_CLIENT_H
#define CLI_AMQP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/amqp_messages.h"
#include "amqp/frame.h"
#include "base/bytes.h"
#include "base/err.h"
#include "io/stream.h"

enum { AMQP_CLIENT_CHANNEL = 1 };

/* ---- frames ---- */

/* The frame at the front of `in`. Returns its whole size; 0: more bytes are needed; -1: no frame.
 */
int64_t amqp_client_frame(struct bytes in, struct frame *out);

/* Append the frame of a method; `arguments` is its generated struct. */
void amqp_client_put(struct text *out, uint16_t channel, enum amqp_method_id method,
                     const void *arguments);

struct amqp_publish {
    const char *exchange, *routing_key;
    bool mandatory, persistent;
    const struct amqp_basic_properties *properties; /* NULL: those of `persistent` alone */
    struct bytes body;
};
/* Method, header and body frames. */
void amqp_client_put_publish(struct text *out, uint16_t channel, const struct amqp_publish *p,
                             uint32_t frame_max);

/* ---- a connection ---- */

struct amqp_login {
    const char *user, *password, *vhost;
};

struct amqp_client;

must_use enum err amqp_client_open(const char *server, const struct amqp_login *login,
                                   int64_t timeout_ns, struct amqp_client **out);
/* Close politely. Accepts NULL. */
void amqp_client_close(struct amqp_client *c);
/* Give up the client and keep its stream: nothing that was received is left in the client. */
struct stream *amqp_client_detach(struct amqp_client *c);
uint32_t amqp_client_frame_max(const struct amqp_client *c);

/* Send a method on the channel; `arguments` is its generated struct. */
must_use enum err amqp_client_send(struct amqp_client *c, enum amqp_method_id method,
                                   const void *arguments);
/* Send a method and wait for `wanted`, whose arguments are in `reply` until the next call. */
must_use enum err amqp_client_call(struct amqp_client *c, enum amqp_method_id method,
                                   const void *arguments, enum amqp_method_id wanted, void *reply);
/* Append a message to what the next call or amqp_client_flush() sends; returns how much that is. */
size_t amqp_client_publish(struct amqp_client *c, const struct amqp_publish *p);
must_use enum err amqp_client_flush(struct amqp_client *c);
/* The next method of any kind within the timeout; its arguments are undecoded. E_TIMEOUT is no
 * failure of the connection. */
must_use enum err amqp_client_next(struct amqp_client *c, int64_t timeout_ns,
                                   enum amqp_method_id *out_method, struct reader *arguments);
/* The content behind a deliver, get-ok or return. Valid until the next call. */
must_use enum err amqp_client_content(struct amqp_client *c, struct bytes *out_properties,
                                      struct bytes *out_body);

must_use enum err amqp_client_confirm_select(struct amqp_client *c);
must_use enum err amqp_client_qos(struct amqp_client *c, uint16_t prefetch);
/* Sends only: deliveries may overtake consume-ok, which is one more method to the caller. */
must_use enum err amqp_client_consume(struct amqp_client *c, const char *queue, bool no_ack);

#endif
