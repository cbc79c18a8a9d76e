#include "amqp/send.h"

#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "amqp/frame.h"
#include "base/check.h"

enum {
    /* id, tag, delivery tag, redelivered, exchange, routing key */
    CONTENT_METHOD_MAX = FRAME_METHOD_HEAD_BYTES + 256 + 8 + 1 + 256 + 256 + 8,
};

void send_method(struct connection *c, uint16_t channel, uint32_t method_id, const void *arguments)
{
    const struct wire_method *method = wire_method_find(amqp_methods, AMQP_METHOD_COUNT, method_id);
    size_t size;

    check(method != NULL);
    enum err err = amqp_wire_size(method->schema, arguments, &size);
    check(!err); /* our strings are short */
    size += FRAME_METHOD_HEAD_BYTES;
    uint8_t *p = link_reserve(c->link, size + FRAME_EMPTY_BYTES);
    p = frame_put_head(p, FRAME_METHOD, channel, size);
    put_u32(p, method_id);
    p = amqp_wire_put(method->schema, arguments, p + FRAME_METHOD_HEAD_BYTES);
    frame_put_end(p);
}

void send_simple(struct connection *c, uint16_t channel, uint32_t method_id)
{
    static const union {
        struct amqp_channel_open_ok open_ok;
        struct amqp_connection_open_ok connection_open_ok;
        struct amqp_basic_get_empty get_empty;
        struct amqp_queue_bind_ok nothing;
    } zeros;

    send_method(c, channel, method_id, &zeros);
}

void send_heartbeat(struct connection *c)
{
    uint8_t *p = link_reserve(c->link, FRAME_EMPTY_BYTES);
    frame_put_end(frame_put_head(p, FRAME_HEARTBEAT, 0, 0));
}

/* ---- contents ---- */

static uint8_t *put_shortstr(uint8_t *p, struct bytes s)
{
    *p++ = (uint8_t)s.size;
    if (s.size)
        memcpy(p, s.data, s.size);
    return p + s.size;
}

static uint8_t *put_long(uint8_t *p, uint32_t v)
{
    put_u32(p, v);
    return p + 4;
}

static uint8_t *put_longlong(uint8_t *p, uint64_t v)
{
    put_u64(p, v);
    return p + 8;
}

static uint8_t *put_content_header(uint8_t *p, uint16_t channel, const struct message *m)
{
    p = frame_put_head(p, FRAME_HEADER, channel, FRAME_CONTENT_HEAD_BYTES + m->properties.size);
    put_u16(p, CLASS_BASIC);
    put_u16(p + 2, 0);
    put_u64(p + 4, m->body.size);
    memcpy(p + FRAME_CONTENT_HEAD_BYTES, m->properties.data, m->properties.size);
    return frame_put_end(p + FRAME_CONTENT_HEAD_BYTES + m->properties.size);
}

static uint8_t *put_body(uint8_t *p, uint16_t channel, struct bytes piece)
{
    p = frame_put_head(p, FRAME_BODY, channel, piece.size);
    memcpy(p, piece.data, piece.size);
    return frame_put_end(p + piece.size);
}

/* Body frames behind the method and the header, none for an empty body. */
static void send_bodies(struct connection *c, uint16_t channel, struct bytes body)
{
    size_t piece_max = c->frame_max - FRAME_EMPTY_BYTES;

    while (body.size) {
        size_t size = body.size < piece_max ? body.size : piece_max;
        uint8_t *p = link_reserve(c->link, size + FRAME_EMPTY_BYTES);
        put_body(p, channel, bytes_of(body.data, size));
        body = bytes_of(body.data + size, body.size - size);
    }
}

/* The method's payload is put by the caller; this returns where, and content_end() does the rest. A
 * body that fits in one frame shares the reservation. */
struct content {
    uint8_t *reserved, *method;
    size_t reserved_size;
    const struct message *message;
    uint16_t channel;
    bool has_body; /* in the reservation */
};

static uint8_t *content_begin(struct connection *c, uint16_t channel, const struct message *m,
                              struct content *out)
{
    size_t piece_max = c->frame_max - FRAME_EMPTY_BYTES;
    size_t size = FRAME_EMPTY_BYTES + CONTENT_METHOD_MAX + FRAME_EMPTY_BYTES +
                  FRAME_CONTENT_HEAD_BYTES + m->properties.size;

    out->has_body = m->body.size > 0 && m->body.size <= piece_max;
    if (out->has_body)
        size += FRAME_EMPTY_BYTES + m->body.size;
    out->reserved = link_reserve(c->link, size);
    out->reserved_size = size;
    out->method = out->reserved + FRAME_HEAD_BYTES;
    out->message = m;
    out->channel = channel;
    return out->method;
}

static void content_end(struct connection *c, const struct content *content, uint8_t *method_end)
{
    const struct message *m = content->message;

    frame_put_head(content->reserved, FRAME_METHOD, content->channel,
                   (size_t)(method_end - content->method));
    uint8_t *p = frame_put_end(method_end);
    p = put_content_header(p, content->channel, m);
    if (content->has_body)
        p = put_body(p, content->channel, m->body);
    link_shrink(c->link, content->reserved_size - (size_t)(p - content->reserved));
    if (!content->has_body)
        send_bodies(c, content->channel, m->body);
}

void send_deliver(struct connection *c, uint16_t channel, struct bytes consumer_tag,
                  uint64_t delivery_tag, const struct delivery *d)
{
    struct content content;
    uint8_t *p = content_begin(c, channel, &d->message, &content);

    p = put_long(p, AMQP_BASIC_DELIVER);
    p = put_shortstr(p, consumer_tag);
    p = put_longlong(p, delivery_tag);
    *p++ = d->redelivered;
    p = put_shortstr(p, d->message.exchange);
    p = put_shortstr(p, d->message.routing_key);
    content_end(c, &content, p);
}

void send_get_ok(struct connection *c, uint16_t channel, uint64_t delivery_tag,
                 uint32_t message_count, const struct delivery *d)
{
    struct content content;
    uint8_t *p = content_begin(c, channel, &d->message, &content);

    p = put_long(p, AMQP_BASIC_GET_OK);
    p = put_longlong(p, delivery_tag);
    *p++ = d->redelivered;
    p = put_shortstr(p, d->message.exchange);
    p = put_shortstr(p, d->message.routing_key);
    p = put_long(p, message_count);
    content_end(c, &content, p);
}

void send_return(struct connection *c, uint16_t channel, enum reply_code code,
                 const struct message *m)
{
    struct content content;
    uint8_t *p = content_begin(c, channel, m, &content);

    p = put_long(p, AMQP_BASIC_RETURN);
    put_u16(p, (uint16_t)code);
    p = put_shortstr(p + 2, bytes_from_string(reply_name(code)));
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    content_end(c, &content, p);
}
