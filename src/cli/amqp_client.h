/*
 * A small blocking AMQP 0-9-1 client: one connection, channel 1, one synchronous method at a time.
 * The commands use it whole; the load generator uses it to log in and declare, then takes the
 * stream over. Heartbeats are switched off.
 *
 * Errors: what the server says when it closes the channel or the connection becomes the error text,
 * and its reply code the error: 404 E_NOT_FOUND, 403 and 405 E_REFUSED, 406 E_PRECONDITION, others
 * E_INVALID.
 */
#ifndef CLI_AMQP_CLIENT_H
#define CLI_AMQP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "io/stream.h"
#include "wire/reader.h"

enum amqp_frame_type { AMQP_FRAME_METHOD = 1, AMQP_FRAME_HEADER = 2, AMQP_FRAME_BODY = 3 };
enum { AMQP_FRAME_END = 0xCE, AMQP_FRAME_AROUND_BYTES = 8, AMQP_CLIENT_CHANNEL = 1 };

/* class << 16 | method, as the first four bytes of a method frame */
enum amqp_client_method {
    AMQP_M_CONNECTION_START = 0x000A000A,
    AMQP_M_CONNECTION_START_OK = 0x000A000B,
    AMQP_M_CONNECTION_TUNE = 0x000A001E,
    AMQP_M_CONNECTION_TUNE_OK = 0x000A001F,
    AMQP_M_CONNECTION_OPEN = 0x000A0028,
    AMQP_M_CONNECTION_OPEN_OK = 0x000A0029,
    AMQP_M_CONNECTION_CLOSE = 0x000A0032,
    AMQP_M_CONNECTION_CLOSE_OK = 0x000A0033,
    AMQP_M_CHANNEL_OPEN = 0x0014000A,
    AMQP_M_CHANNEL_OPEN_OK = 0x0014000B,
    AMQP_M_CHANNEL_CLOSE = 0x00140028,
    AMQP_M_CHANNEL_CLOSE_OK = 0x00140029,
    AMQP_M_QUEUE_DECLARE = 0x0032000A,
    AMQP_M_QUEUE_DECLARE_OK = 0x0032000B,
    AMQP_M_QUEUE_PURGE = 0x0032001E,
    AMQP_M_QUEUE_PURGE_OK = 0x0032001F,
    AMQP_M_QUEUE_DELETE = 0x00320028,
    AMQP_M_QUEUE_DELETE_OK = 0x00320029,
    AMQP_M_BASIC_QOS = 0x003C000A,
    AMQP_M_BASIC_QOS_OK = 0x003C000B,
    AMQP_M_BASIC_CONSUME = 0x003C0014,
    AMQP_M_BASIC_CONSUME_OK = 0x003C0015,
    AMQP_M_BASIC_CANCEL = 0x003C001E,
    AMQP_M_BASIC_PUBLISH = 0x003C0028,
    AMQP_M_BASIC_RETURN = 0x003C0032,
    AMQP_M_BASIC_DELIVER = 0x003C003C,
    AMQP_M_BASIC_GET = 0x003C0046,
    AMQP_M_BASIC_GET_OK = 0x003C0047,
    AMQP_M_BASIC_GET_EMPTY = 0x003C0048,
    AMQP_M_BASIC_ACK = 0x003C0050,
    AMQP_M_BASIC_REJECT = 0x003C005A,
    AMQP_M_BASIC_NACK = 0x003C0078,
    AMQP_M_CONFIRM_SELECT = 0x0055000A,
    AMQP_M_CONFIRM_SELECT_OK = 0x0055000B,
};

struct amqp_frame {
    uint8_t type;
    uint16_t channel;
    struct bytes payload;
};

/* The frame at the front of `in`. Returns its whole size; 0: more bytes are needed; -1: no frame.
 */
int64_t amqp_frame_parse(struct bytes in, struct amqp_frame *out);

/* ---- frames to send ---- */

/* Open a method frame and return where it starts; its arguments are appended next. */
size_t amqp_method_begin(struct text *out, uint16_t channel, enum amqp_client_method method);
void amqp_frame_end(struct text *out, size_t start);
/* Strings beyond 255 bytes are a bug of the caller. */
void amqp_put_shortstr(struct text *out, const char *s);
struct bytes amqp_read_shortstr(struct reader *r);

struct amqp_publish {
    const char *exchange, *routing_key;
    bool mandatory, persistent;
    struct bytes body;
};
/* Method, header and body frames. */
void amqp_put_publish(struct text *out, uint16_t channel, const struct amqp_publish *p,
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

/* Send what was built in amqp_client_out(). */
struct text *amqp_client_out(struct amqp_client *c);
must_use enum err amqp_client_send(struct amqp_client *c);
/* Send the method in `out`, then wait for the method `wanted`; its arguments are in *reply until
 * the next call. */
must_use enum err amqp_client_call(struct amqp_client *c, enum amqp_client_method wanted,
                                   struct reader *reply);
/* The next method of any kind within the timeout; E_TIMEOUT is no failure of the connection. */
must_use enum err amqp_client_next(struct amqp_client *c, int64_t timeout_ns,
                                   enum amqp_client_method *out_method, struct reader *arguments);
/* The content behind a deliver, get-ok or return. Valid until the next call. */
must_use enum err amqp_client_content(struct amqp_client *c, struct bytes *out_properties,
                                      struct bytes *out_body);

struct amqp_queue_counts {
    uint32_t messages, consumers;
};
must_use enum err amqp_client_declare(struct amqp_client *c, const char *queue, bool passive,
                                      bool durable, struct amqp_queue_counts *out);
must_use enum err amqp_client_confirm_select(struct amqp_client *c);
must_use enum err amqp_client_qos(struct amqp_client *c, uint16_t prefetch);
must_use enum err amqp_client_consume(struct amqp_client *c, const char *queue, bool no_ack);

#endif
