#include "cli/amqp_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/clock.h"

enum {
    FRAME_HEADER_BYTES = 7,
    FRAME_LIMIT_BYTES = 16 * 1024 * 1024,
    RECEIVE_BYTES = 64 * 1024,
    PROPERTY_DELIVERY_MODE = 0x1000,
};

struct amqp_client {
    struct stream *stream;
    struct text out;
    struct text in; /* received, from in_at on not yet looked at */
    size_t in_at;
    struct text body, properties; /* the last content's */
    int64_t timeout_ns;
    uint32_t frame_max;
};

/* ---- frames ---- */

int64_t amqp_frame_parse(struct bytes in, struct amqp_frame *out)
{
    if (in.size < FRAME_HEADER_BYTES)
        return 0;
    uint32_t size = get_u32(in.data + 3);
    if (in.data[0] == 'A' || size > FRAME_LIMIT_BYTES)
        return -1; /* a protocol header: the server speaks another version */
    size_t whole = (size_t)size + AMQP_FRAME_AROUND_BYTES;
    if (in.size < whole)
        return 0;
    if (in.data[whole - 1] != AMQP_FRAME_END)
        return -1;
    out->type = in.data[0];
    out->channel = get_u16(in.data + 1);
    out->payload = bytes_of(in.data + FRAME_HEADER_BYTES, size);
    return (int64_t)whole;
}

static size_t frame_begin(struct text *out, enum amqp_frame_type type, uint16_t channel)
{
    size_t start = out->size;

    text_put_u8(out, (uint8_t)type);
    text_put_u16(out, channel);
    text_put_u32(out, 0); /* set by amqp_frame_end() */
    return start;
}

void amqp_frame_end(struct text *out, size_t start)
{
    put_u32(out->data + start + 3, (uint32_t)(out->size - start - FRAME_HEADER_BYTES));
    text_put_u8(out, AMQP_FRAME_END);
}

size_t amqp_method_begin(struct text *out, uint16_t channel, enum amqp_client_method method)
{
    size_t start = frame_begin(out, AMQP_FRAME_METHOD, channel);

    text_put_u32(out, (uint32_t)method);
    return start;
}

void amqp_put_shortstr(struct text *out, const char *s)
{
    size_t size = strlen(s);

    check(size <= UINT8_MAX);
    text_put_u8(out, (uint8_t)size);
    text_append(out, bytes_of(s, size));
}

struct bytes amqp_read_shortstr(struct reader *r)
{
    return reader_bytes(r, reader_u8(r));
}

static void put_header(struct text *out, uint16_t channel, const struct amqp_publish *p)
{
    size_t start = frame_begin(out, AMQP_FRAME_HEADER, channel);

    text_put_u16(out, AMQP_M_BASIC_PUBLISH >> 16);
    text_put_u16(out, 0); /* weight */
    text_put_u64(out, p->body.size);
    text_put_u16(out, p->persistent ? PROPERTY_DELIVERY_MODE : 0);
    if (p->persistent)
        text_put_u8(out, 2);
    amqp_frame_end(out, start);
}

void amqp_put_publish(struct text *out, uint16_t channel, const struct amqp_publish *p,
                      uint32_t frame_max)
{
    size_t start = amqp_method_begin(out, channel, AMQP_M_BASIC_PUBLISH);
    struct bytes rest = p->body;

    text_put_u16(out, 0);
    amqp_put_shortstr(out, p->exchange);
    amqp_put_shortstr(out, p->routing_key);
    text_put_u8(out, p->mandatory);
    amqp_frame_end(out, start);
    put_header(out, channel, p);
    while (rest.size) {
        size_t most = frame_max - AMQP_FRAME_AROUND_BYTES;
        size_t size = rest.size < most ? rest.size : most;
        start = frame_begin(out, AMQP_FRAME_BODY, channel);
        text_append(out, bytes_of(rest.data, size));
        amqp_frame_end(out, start);
        rest = bytes_of(rest.data + size, rest.size - size);
    }
}

/* ---- receiving ---- */

static enum err receive_more(struct amqp_client *c, int64_t deadline_ns)
{
    size_t size;

    if (c->in_at == c->in.size)
        c->in_at = c->in.size = 0;
    uint8_t *room = text_reserve(&c->in, RECEIVE_BYTES);
    enum err err = stream_receive(c->stream, room, RECEIVE_BYTES, deadline_ns, &size);
    if (!err)
        text_advance(&c->in, size);
    return err;
}

static enum err next_frame(struct amqp_client *c, int64_t deadline_ns, struct amqp_frame *out)
{
    for (;;) {
        struct bytes rest = bytes_of(c->in.data + c->in_at, c->in.size - c->in_at);
        int64_t size = c->in.data ? amqp_frame_parse(rest, out) : 0;
        if (size < 0)
            return err_set(E_MALFORMED, "the server does not answer in AMQP 0-9-1");
        c->in_at += (size_t)size;
        if (size > 0)
            return OK;
        enum err err = receive_more(c, deadline_ns);
        if (err)
            return err;
    }
}

static enum err code_of_reply(uint16_t code)
{
    switch (code) {
    case 404: return E_NOT_FOUND;
    case 403:
    case 405: return E_REFUSED;
    case 406: return E_PRECONDITION;
    default: return E_INVALID;
    }
}

static enum err closed_by_server(struct reader arguments)
{
    uint16_t code = reader_u16(&arguments);
    struct bytes text = amqp_read_shortstr(&arguments);

    return err_set(code_of_reply(code), "%u %.*s", (unsigned)code, BYTES_FORMAT(text));
}

enum err amqp_client_next(struct amqp_client *c, int64_t timeout_ns,
                          enum amqp_client_method *out_method, struct reader *arguments)
{
    int64_t deadline_ns = clock_now_ns() + timeout_ns;
    struct amqp_frame frame;

    do { /* heartbeats come on channel 0 */
        enum err err = next_frame(c, deadline_ns, &frame);
        if (err)
            return err;
    } while (frame.type != AMQP_FRAME_METHOD);
    struct reader r = reader_of(frame.payload);
    uint32_t method = reader_u32(&r);
    if (r.bad)
        return err_set(E_MALFORMED, "method frame of %zu bytes", frame.payload.size);
    if (method == AMQP_M_CONNECTION_CLOSE || method == AMQP_M_CHANNEL_CLOSE)
        return closed_by_server(r);
    *out_method = (enum amqp_client_method)method;
    *arguments = r;
    return OK;
}

enum err amqp_client_content(struct amqp_client *c, struct bytes *out_properties,
                             struct bytes *out_body)
{
    int64_t deadline_ns = clock_now_ns() + c->timeout_ns;
    struct amqp_frame frame;

    enum err err = next_frame(c, deadline_ns, &frame);
    if (err)
        return err;
    if (frame.type != AMQP_FRAME_HEADER || frame.payload.size < 14)
        return err_set(E_MALFORMED, "a content header is missing");
    uint64_t left = get_u64(frame.payload.data + 4);
    c->properties.size = c->body.size = 0;
    text_append(&c->properties, bytes_of(frame.payload.data + 12, frame.payload.size - 12));
    while (left) {
        err = next_frame(c, deadline_ns, &frame);
        if (err)
            return err;
        if (frame.type != AMQP_FRAME_BODY || frame.payload.size > left)
            return err_set(E_MALFORMED, "a body frame is missing");
        text_append(&c->body, frame.payload);
        left -= frame.payload.size;
    }
    *out_properties = text_bytes(&c->properties);
    *out_body = text_bytes(&c->body);
    return OK;
}

/* ---- calls ---- */

struct text *amqp_client_out(struct amqp_client *c)
{
    return &c->out;
}

enum err amqp_client_send(struct amqp_client *c)
{
    enum err err = stream_send(c->stream, text_bytes(&c->out), clock_now_ns() + c->timeout_ns);

    c->out.size = 0;
    return err;
}

enum err amqp_client_call(struct amqp_client *c, enum amqp_client_method wanted,
                          struct reader *reply)
{
    enum amqp_client_method method;

    enum err err = amqp_client_send(c);
    if (!err)
        err = amqp_client_next(c, c->timeout_ns, &method, reply);
    if (!err && method != wanted)
        err = err_set(E_MALFORMED, "got method %08x instead of %08x", (unsigned)method,
                      (unsigned)wanted);
    return err;
}

/* ---- logging in ---- */

static enum err log_in(struct amqp_client *c, const struct amqp_login *login)
{
    static const char header[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
    struct reader r;
    size_t user_size = strlen(login->user), password_size = strlen(login->password);

    text_append(&c->out, bytes_of(header, sizeof header));
    enum err err = amqp_client_call(c, AMQP_M_CONNECTION_START, &r);
    if (err)
        return err;
    size_t start = amqp_method_begin(&c->out, 0, AMQP_M_CONNECTION_START_OK);
    text_put_u32(&c->out, 0); /* no client properties */
    amqp_put_shortstr(&c->out, "PLAIN");
    text_put_u32(&c->out, (uint32_t)(2 + user_size + password_size));
    text_put_u8(&c->out, 0);
    text_append(&c->out, bytes_of(login->user, user_size));
    text_put_u8(&c->out, 0);
    text_append(&c->out, bytes_of(login->password, password_size));
    amqp_put_shortstr(&c->out, "en_US");
    amqp_frame_end(&c->out, start);
    err = amqp_client_call(c, AMQP_M_CONNECTION_TUNE, &r);
    if (err == E_CLOSED) /* a server may hang up instead of telling why */
        return err_set(E_REFUSED, "user %s: access refused", login->user);
    if (err)
        return err;
    (void)reader_u16(&r);
    c->frame_max = reader_u32(&r);
    if (r.bad || c->frame_max == 0 || c->frame_max > FRAME_LIMIT_BYTES)
        c->frame_max = 131072;
    return OK;
}

static enum err open_channel(struct amqp_client *c, const char *vhost)
{
    struct reader r;

    size_t start = amqp_method_begin(&c->out, 0, AMQP_M_CONNECTION_TUNE_OK);
    text_put_u16(&c->out, AMQP_CLIENT_CHANNEL);
    text_put_u32(&c->out, c->frame_max);
    text_put_u16(&c->out, 0); /* no heartbeats */
    amqp_frame_end(&c->out, start);
    start = amqp_method_begin(&c->out, 0, AMQP_M_CONNECTION_OPEN);
    amqp_put_shortstr(&c->out, vhost);
    text_put_u16(&c->out, 0);
    amqp_frame_end(&c->out, start);
    enum err err = amqp_client_call(c, AMQP_M_CONNECTION_OPEN_OK, &r);
    if (err)
        return err;
    start = amqp_method_begin(&c->out, AMQP_CLIENT_CHANNEL, AMQP_M_CHANNEL_OPEN);
    text_put_u8(&c->out, 0);
    amqp_frame_end(&c->out, start);
    return amqp_client_call(c, AMQP_M_CHANNEL_OPEN_OK, &r);
}

static void client_free(struct amqp_client *c)
{
    text_reset(&c->out);
    text_reset(&c->in);
    text_reset(&c->body);
    text_reset(&c->properties);
    free(c);
}

enum err amqp_client_open(const char *server, const struct amqp_login *login, int64_t timeout_ns,
                          struct amqp_client **out)
{
    struct amqp_client *c = xzalloc(sizeof *c);

    c->timeout_ns = timeout_ns;
    enum err err = stream_dial(server, timeout_ns, &c->stream);
    if (!err)
        err = log_in(c, login);
    if (!err)
        err = open_channel(c, login->vhost);
    if (err) {
        stream_close(c->stream);
        client_free(c);
        return err_wrap(err, "AMQP at %s", server);
    }
    *out = c;
    return OK;
}

void amqp_client_close(struct amqp_client *c)
{
    if (!c)
        return;
    enum amqp_client_method method;
    struct reader r;
    c->out.size = 0;
    size_t start = amqp_method_begin(&c->out, 0, AMQP_M_CONNECTION_CLOSE);
    text_put_u16(&c->out, 200);
    text_put_u8(&c->out, 0);
    text_put_u32(&c->out, 0);
    amqp_frame_end(&c->out, start);
    enum err err = amqp_client_send(c);
    do /* what is still on its way comes first */
        if (!err)
            err = amqp_client_next(c, INT64_C(1000000000), &method, &r);
    while (!err && method != AMQP_M_CONNECTION_CLOSE_OK);
    stream_close(c->stream);
    client_free(c);
}

struct stream *amqp_client_detach(struct amqp_client *c)
{
    struct stream *stream = c->stream;

    check(c->in_at == c->in.size);
    client_free(c);
    return stream;
}

uint32_t amqp_client_frame_max(const struct amqp_client *c)
{
    return c->frame_max;
}

/* ---- methods ---- */

enum err amqp_client_declare(struct amqp_client *c, const char *queue, bool passive, bool durable,
                             struct amqp_queue_counts *out)
{
    struct reader r;
    size_t start = amqp_method_begin(&c->out, AMQP_CLIENT_CHANNEL, AMQP_M_QUEUE_DECLARE);

    text_put_u16(&c->out, 0);
    amqp_put_shortstr(&c->out, queue);
    text_put_u8(&c->out, (uint8_t)(passive | durable << 1));
    text_put_u32(&c->out, 0); /* no arguments */
    amqp_frame_end(&c->out, start);
    enum err err = amqp_client_call(c, AMQP_M_QUEUE_DECLARE_OK, &r);
    if (err)
        return err;
    (void)amqp_read_shortstr(&r);
    out->messages = reader_u32(&r);
    out->consumers = reader_u32(&r);
    return r.bad ? err_set(E_MALFORMED, "queue.declare-ok is too short") : OK;
}

enum err amqp_client_confirm_select(struct amqp_client *c)
{
    struct reader r;
    size_t start = amqp_method_begin(&c->out, AMQP_CLIENT_CHANNEL, AMQP_M_CONFIRM_SELECT);

    text_put_u8(&c->out, 0);
    amqp_frame_end(&c->out, start);
    return amqp_client_call(c, AMQP_M_CONFIRM_SELECT_OK, &r);
}

enum err amqp_client_qos(struct amqp_client *c, uint16_t prefetch)
{
    struct reader r;
    size_t start = amqp_method_begin(&c->out, AMQP_CLIENT_CHANNEL, AMQP_M_BASIC_QOS);

    text_put_u32(&c->out, 0);
    text_put_u16(&c->out, prefetch);
    text_put_u8(&c->out, 0);
    amqp_frame_end(&c->out, start);
    return amqp_client_call(c, AMQP_M_BASIC_QOS_OK, &r);
}

/* Deliveries may come in front of consume-ok (RabbitMQ never does that, but may); they stay in the
 * input, so the caller sees the ok as one more method and must not wait for it here. */
enum err amqp_client_consume(struct amqp_client *c, const char *queue, bool no_ack)
{
    size_t start = amqp_method_begin(&c->out, AMQP_CLIENT_CHANNEL, AMQP_M_BASIC_CONSUME);

    text_put_u16(&c->out, 0);
    amqp_put_shortstr(&c->out, queue);
    text_put_u8(&c->out, 0); /* the server names the consumer */
    text_put_u8(&c->out, (uint8_t)(no_ack << 1));
    text_put_u32(&c->out, 0);
    amqp_frame_end(&c->out, start);
    return amqp_client_send(c);
}
