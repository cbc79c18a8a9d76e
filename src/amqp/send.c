#include "amqp/send.h"

#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "amqp/frame.h"
#include "base/check.h"

enum {
    BY_REFERENCE_MIN_BYTES = 8192, /* below, a copy costs less than a piece of its own to send */
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

static void release_chunk(void *chunk)
{
    chunk_unref(chunk);
}

/* A body frame of bytes that the chunk holds, which leave from where they are. */
static void send_body_by_reference(struct connection *c, uint16_t channel, struct bytes piece,
                                   struct chunk *chunk)
{
    uint8_t *p = link_reserve(c->link, FRAME_HEAD_BYTES);
    frame_put_head(p, FRAME_BODY, channel, piece.size);
    chunk_ref(chunk);
    link_write_ref(c->link, piece, release_chunk, chunk);
    frame_put_end(link_reserve(c->link, 1));
}

/* Body frames behind the method and the header, none for an empty body. */
static void send_bodies(struct connection *c, uint16_t channel, struct bytes body,
                        struct chunk *chunk)
{
    size_t piece_max = c->frame_max - FRAME_EMPTY_BYTES;

    while (body.size) {
        struct bytes piece = bytes_of(body.data, body.size < piece_max ? body.size : piece_max);
        if (chunk)
            send_body_by_reference(c, channel, piece, chunk);
        else
            put_body(link_reserve(c->link, piece.size + FRAME_EMPTY_BYTES), channel, piece);
        body = bytes_of(body.data + piece.size, body.size - piece.size);
    }
}

/* A content on its way out: begin reserves room, the caller puts the method's payload, end completes
 * it. A small body shares the reservation. */
struct content {
    uint8_t *reserved;
    size_t reserved_size;
    const struct message *message;
    struct chunk *chunk; /* of a body that is sent by reference, or NULL */
    uint16_t channel;
    bool has_body; /* in the reservation */
};

/* Returns where the method's payload goes. */
static uint8_t *content_begin(struct connection *c, uint16_t channel, const struct message *m,
                              struct chunk *chunk, struct content *out)
{
    size_t size = FRAME_EMPTY_BYTES + CONTENT_METHOD_MAX + FRAME_EMPTY_BYTES +
                  FRAME_CONTENT_HEAD_BYTES + m->properties.size;

    out->chunk = m->body.size >= BY_REFERENCE_MIN_BYTES ? chunk : NULL;
    out->has_body =
        !out->chunk && m->body.size > 0 && m->body.size <= c->frame_max - FRAME_EMPTY_BYTES;
    if (out->has_body)
        size += FRAME_EMPTY_BYTES + m->body.size;
    out->reserved = link_reserve(c->link, size);
    out->reserved_size = size;
    out->message = m;
    out->channel = channel;
    return out->reserved + FRAME_HEAD_BYTES;
}

static void content_end(struct connection *c, const struct content *content, uint8_t *method_end)
{
    const struct message *m = content->message;

    frame_put_head(content->reserved, FRAME_METHOD, content->channel,
                   (size_t)(method_end - content->reserved) - FRAME_HEAD_BYTES);
    uint8_t *p = frame_put_end(method_end);
    p = put_content_header(p, content->channel, m);
    if (content->has_body)
        p = put_body(p, content->channel, m->body);
    link_shrink(c->link, content->reserved_size - (size_t)(p - content->reserved));
    if (!content->has_body)
        send_bodies(c, content->channel, m->body, content->chunk);
}

void send_deliver(struct connection *c, uint16_t channel, struct bytes consumer_tag,
                  uint64_t delivery_tag, const struct delivery *d)
{
    struct content content;
    uint8_t *p = content_begin(c, channel, &d->message, d->chunk, &content);

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
    uint8_t *p = content_begin(c, channel, &d->message, d->chunk, &content);

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
    uint8_t *p = content_begin(c, channel, m, NULL, &content);

    p = put_long(p, AMQP_BASIC_RETURN);
    put_u16(p, (uint16_t)code);
    p = put_shortstr(p + 2, bytes_from_string(reply_name(code)));
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    content_end(c, &content, p);
}
