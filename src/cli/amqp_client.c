#include "cli/amqp_client.h"

#include <stdlib.h>
#include <string.h>

#include "amqp/amqp.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/clock.h"

enum {
    FRAME_LIMIT_BYTES = 16 * 1024 * 1024,
    RECEIVE_BYTES = 64 * 1024,
    PERSISTENT = 2,
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

int64_t amqp_client_frame(struct bytes in, struct frame *out)
{
    if (in.size < FRAME_HEAD_BYTES)
        return 0;
    struct frame frame = frame_read_head(in.data);
    if (frame.type == 'A' || frame.payload.size > FRAME_LIMIT_BYTES)
        return -1; /* a protocol header: the server speaks another version */
    size_t whole = frame.payload.size + FRAME_EMPTY_BYTES;
    if (in.size < whole)
        return 0;
    if (in.data[whole - 1] != FRAME_END)
        return -1;
    *out = frame;
    return (int64_t)whole;
}

/* Room for a frame; the caller fills the payload, whose place is returned. */
static uint8_t *put_frame(struct text *out, enum frame_type type, uint16_t channel, size_t size)
{
    uint8_t *start = text_reserve(out, size + FRAME_EMPTY_BYTES);
    uint8_t *payload = frame_put_head(start, type, channel, size);

    frame_put_end(payload + size);
    text_advance(out, size + FRAME_EMPTY_BYTES);
    return payload;
}

static const struct wire_schema *schema_of(enum amqp_method_id id)
{
    const struct wire_method *method = wire_method_find(amqp_methods, AMQP_METHOD_COUNT, id);

    check(method);
    return method->schema;
}

void amqp_client_put(struct text *out, uint16_t channel, enum amqp_method_id method,
                     const void *arguments)
{
    const struct wire_schema *schema = schema_of(method);
    size_t size;

    enum err err = amqp_wire_size(schema, arguments, &size);
    check(err == OK); /* the commands check the length of what the user types */
    uint8_t *at = put_frame(out, FRAME_METHOD, channel, size + FRAME_METHOD_HEAD_BYTES);
    put_u32(at, method);
    amqp_wire_put(schema, arguments, at + FRAME_METHOD_HEAD_BYTES);
}

static void put_content_header(struct text *out, uint16_t channel, const struct amqp_publish *p)
{
    struct amqp_basic_properties properties = {0};
    size_t size;

    if (p->properties)
        properties = *p->properties;
    if (p->persistent) {
        properties.flags |= AMQP_BASIC_HAS_DELIVERY_MODE;
        properties.delivery_mode = PERSISTENT;
    }
    enum err err = amqp_wire_size(&amqp_basic_properties_schema, &properties, &size);
    check(err == OK);
    uint8_t *at = put_frame(out, FRAME_HEADER, channel, FRAME_CONTENT_HEAD_BYTES + size);
    put_u16(at, CLASS_BASIC);
    put_u16(at + 2, 0); /* weight */
    put_u64(at + 4, p->body.size);
    amqp_wire_put(&amqp_basic_properties_schema, &properties, at + FRAME_CONTENT_HEAD_BYTES);
}

void amqp_client_put_publish(struct text *out, uint16_t channel, const struct amqp_publish *p,
                             uint32_t frame_max)
{
    struct amqp_basic_publish publish = {.exchange = bytes_from_string(p->exchange),
                                         .routing_key = bytes_from_string(p->routing_key),
                                         .mandatory = p->mandatory};
    struct bytes rest = p->body;

    amqp_client_put(out, channel, AMQP_BASIC_PUBLISH, &publish);
    put_content_header(out, channel, p);
    while (rest.size) {
        size_t most = frame_max - FRAME_EMPTY_BYTES;
        size_t size = rest.size < most ? rest.size : most;
        memcpy(put_frame(out, FRAME_BODY, channel, size), rest.data, size);
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

static enum err next_frame(struct amqp_client *c, int64_t deadline_ns, struct frame *out)
{
    for (;;) {
        struct bytes rest = bytes_of(c->in.data + c->in_at, c->in.size - c->in_at);
        int64_t size = c->in.data ? amqp_client_frame(rest, out) : 0;
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
    case 405:
    case 530: return E_REFUSED;
    case 406: return E_PRECONDITION;
    default: return E_INVALID;
    }
}

/* channel.close and connection.close have the same arguments. */
static enum err closed_by_server(struct reader arguments)
{
    struct amqp_connection_close close;

    enum err err = amqp_wire_decode(&amqp_connection_close_schema, &arguments, &close);
    if (err)
        return err;
    return err_set(code_of_reply(close.reply_code), "%u %.*s", (unsigned)close.reply_code,
                   BYTES_FORMAT(close.reply_text));
}

enum err amqp_client_next(struct amqp_client *c, int64_t timeout_ns,
                          enum amqp_method_id *out_method, struct reader *arguments)
{
    int64_t deadline_ns = clock_now_ns() + timeout_ns;
    struct frame frame;

    do { /* heartbeats come on channel 0 */
        enum err err = next_frame(c, deadline_ns, &frame);
        if (err)
            return err;
    } while (frame.type != FRAME_METHOD);
    struct reader r = reader_of(frame.payload);
    uint32_t method = reader_u32(&r);
    if (r.bad)
        return err_set(E_MALFORMED, "method frame of %zu bytes", frame.payload.size);
    if (method == AMQP_CONNECTION_CLOSE || method == AMQP_CHANNEL_CLOSE)
        return closed_by_server(r);
    *out_method = (enum amqp_method_id)method;
    *arguments = r;
    return OK;
}

enum err amqp_client_content(struct amqp_client *c, struct bytes *out_properties,
                             struct bytes *out_body)
{
    int64_t deadline_ns = clock_now_ns() + c->timeout_ns;
    struct frame frame;

    enum err err = next_frame(c, deadline_ns, &frame);
    if (err)
        return err;
    if (frame.type != FRAME_HEADER || frame.payload.size < FRAME_CONTENT_HEAD_BYTES + 2)
        return err_set(E_MALFORMED, "a content header is missing");
    uint64_t left = get_u64(frame.payload.data + 4);
    c->properties.size = c->body.size = 0;
    text_append(&c->properties, bytes_of(frame.payload.data + FRAME_CONTENT_HEAD_BYTES,
                                         frame.payload.size - FRAME_CONTENT_HEAD_BYTES));
    while (left) {
        err = next_frame(c, deadline_ns, &frame);
        if (err)
            return err;
        if (frame.type != FRAME_BODY || frame.payload.size > left)
            return err_set(E_MALFORMED, "a body frame is missing");
        text_append(&c->body, frame.payload);
        left -= frame.payload.size;
    }
    *out_properties = text_bytes(&c->properties);
    *out_body = text_bytes(&c->body);
    return OK;
}

/* ---- calls ---- */

enum err amqp_client_flush(struct amqp_client *c)
{
    enum err err = stream_send(c->stream, text_bytes(&c->out), clock_now_ns() + c->timeout_ns);

    c->out.size = 0;
    return err;
}

static enum err wait_for(struct amqp_client *c, enum amqp_method_id wanted, void *reply)
{
    enum amqp_method_id method;
    struct reader r;

    enum err err = amqp_client_next(c, c->timeout_ns, &method, &r);
    if (err)
        return err;
    if (method != wanted)
        return err_set(E_MALFORMED, "got method %08x instead of %08x", (unsigned)method,
                       (unsigned)wanted);
    return amqp_wire_decode(schema_of(wanted), &r, reply);
}

enum err amqp_client_send(struct amqp_client *c, enum amqp_method_id method, const void *arguments)
{
    amqp_client_put(&c->out, AMQP_CLIENT_CHANNEL, method, arguments);
    return amqp_client_flush(c);
}

enum err amqp_client_call(struct amqp_client *c, enum amqp_method_id method, const void *arguments,
                          enum amqp_method_id wanted, void *reply)
{
    enum err err = amqp_client_send(c, method, arguments);

    return err ? err : wait_for(c, wanted, reply);
}

size_t amqp_client_publish(struct amqp_client *c, const struct amqp_publish *p)
{
    amqp_client_put_publish(&c->out, AMQP_CLIENT_CHANNEL, p, c->frame_max);
    return c->out.size;
}

/* ---- logging in ---- */

static enum err log_in(struct amqp_client *c, const struct amqp_login *login)
{
    struct text response = {0};
    struct amqp_connection_start_ok start_ok = {.mechanism = BYTES_LITERAL("PLAIN"),
                                                .locale = BYTES_LITERAL("en_US")};
    struct amqp_connection_start start;
    struct amqp_connection_tune tune;

    text_append(&c->out, BYTES_LITERAL("AMQP\0\0\x09\x01"));
    enum err err = amqp_client_flush(c);
    if (!err)
        err = wait_for(c, AMQP_CONNECTION_START, &start);
    if (err)
        return err;
    text_put_u8(&response, 0);
    text_append_string(&response, login->user);
    text_put_u8(&response, 0);
    text_append_string(&response, login->password);
    start_ok.response = text_bytes(&response);
    amqp_client_put(&c->out, 0, AMQP_CONNECTION_START_OK, &start_ok);
    text_reset(&response);
    err = amqp_client_flush(c);
    if (!err)
        err = wait_for(c, AMQP_CONNECTION_TUNE, &tune);
    if (err == E_CLOSED) /* a server may hang up instead of telling why */
        return err_set(E_REFUSED, "user %s: access refused", login->user);
    if (err)
        return err;
    c->frame_max = tune.frame_max;
    if (c->frame_max == 0 || c->frame_max > FRAME_LIMIT_BYTES)
        c->frame_max = AMQP_FRAME_MAX_BYTES;
    return OK;
}

static enum err open_channel(struct amqp_client *c, const char *vhost)
{
    struct amqp_connection_tune_ok tune_ok = {.channel_max = AMQP_CLIENT_CHANNEL,
                                              .frame_max = c->frame_max};
    struct amqp_connection_open open = {.virtual_host = bytes_from_string(vhost)};
    struct amqp_connection_open_ok open_ok;
    struct amqp_channel_open channel_open = {0};
    struct amqp_channel_open_ok channel_open_ok;

    amqp_client_put(&c->out, 0, AMQP_CONNECTION_TUNE_OK, &tune_ok);
    amqp_client_put(&c->out, 0, AMQP_CONNECTION_OPEN, &open);
    enum err err = amqp_client_flush(c);
    if (!err)
        err = wait_for(c, AMQP_CONNECTION_OPEN_OK, &open_ok);
    if (err)
        return err;
    return amqp_client_call(c, AMQP_CHANNEL_OPEN, &channel_open, AMQP_CHANNEL_OPEN_OK,
                            &channel_open_ok);
}

static enum err check_login(const struct amqp_login *login)
{
    if (strlen(login->vhost) > UINT8_MAX)
        return err_set(E_INVALID, "the vhost's name is too long");
    return OK;
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
    enum err err = check_login(login);
    if (!err)
        err = stream_dial(server, timeout_ns, &c->stream);
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
    struct amqp_connection_close close = {.reply_code = 200};
    enum amqp_method_id method = AMQP_CONNECTION_CLOSE;
    struct reader r;

    if (!c)
        return;
    c->out.size = 0;
    amqp_client_put(&c->out, 0, AMQP_CONNECTION_CLOSE, &close);
    enum err err = amqp_client_flush(c);
    while (!err && method != AMQP_CONNECTION_CLOSE_OK) /* what is on its way comes first */
        err = amqp_client_next(c, INT64_C(1000000000), &method, &r);
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

enum err amqp_client_confirm_select(struct amqp_client *c)
{
    struct amqp_confirm_select select = {0};
    struct amqp_confirm_select_ok ok;

    return amqp_client_call(c, AMQP_CONFIRM_SELECT, &select, AMQP_CONFIRM_SELECT_OK, &ok);
}

enum err amqp_client_qos(struct amqp_client *c, uint16_t prefetch)
{
    struct amqp_basic_qos qos = {.prefetch_count = prefetch};
    struct amqp_basic_qos_ok ok;

    return amqp_client_call(c, AMQP_BASIC_QOS, &qos, AMQP_BASIC_QOS_OK, &ok);
}

enum err amqp_client_consume(struct amqp_client *c, const char *queue, bool no_ack)
{
    struct amqp_basic_consume consume = {.queue = bytes_from_string(queue), .no_ack = no_ack};

    return amqp_client_send(c, AMQP_BASIC_CONSUME, &consume);
}
