/*
 * Contents: a basic.publish method, its header and its body frames become one command.
 *
 * The quick way borrows everything from the receive buffer. Whatever comes in pieces is copied into
 * a batch of its own: names and properties at once, the body as it arrives, into room that grows
 * fourfold, so that a header which announces much costs nothing until the bytes are there. A body
 * that comes in one frame is borrowed here too.
 */
#include <stdlib.h>

#include "amqp/amqp.h"
#include "amqp/amqp_messages.h"
#include "amqp/framing.h"
#include "amqp/properties.h"
#include "base/check.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

enum {
    FIRST_ROOM_BYTES = 256 * 1024,
    GROWTH = 4,
    NAMES_BYTES = 2 * 256 + 64,
};

struct assembly {
    uint16_t channel;
    bool has_header;
    struct command *command; /* in a batch of its own */
    uint64_t left;           /* of the body */
    uint8_t *room;           /* in the batch's arena */
    size_t filled, room_bytes;
};

struct publish_method {
    struct bytes exchange, routing_key;
    uint8_t bits;
};

struct content_header {
    uint64_t body_size;
    struct bytes properties;
};

/* ticket, exchange, routing key, bits (mandatory, immediate) */
static bool read_publish(struct bytes payload, struct publish_method *out)
{
    struct reader r = reader_of(payload);

    reader_take(&r, FRAME_METHOD_HEAD_BYTES + 2);
    out->exchange = reader_bytes(&r, reader_u8(&r));
    out->routing_key = reader_bytes(&r, reader_u8(&r));
    out->bits = reader_u8(&r);
    return !r.bad && reader_left(&r) == 0;
}

static bool read_content_header(struct bytes payload, struct content_header *out)
{
    if (payload.size < FRAME_CONTENT_HEAD_BYTES + 2 || get_u16(payload.data) != CLASS_BASIC ||
        get_u16(payload.data + 2) != 0)
        return false;
    out->body_size = get_u64(payload.data + 4);
    out->properties =
        bytes_of(payload.data + FRAME_CONTENT_HEAD_BYTES, payload.size - FRAME_CONTENT_HEAD_BYTES);
    return true;
}

/* RabbitMQ's sender-selected distribution: more routing keys in a header. */
static bool has_extra_keys(struct bytes headers)
{
    struct amqp_value value;

    return amqp_table_find(headers, "CC", &value) || amqp_table_find(headers, "BCC", &value);
}

/* What the core half needs to know of the property list. */
static uint32_t note_properties(struct command_publish *publish)
{
    struct properties properties;
    uint32_t flags = 0;

    if (!properties_read(publish->message.properties, &properties) ||
        amqp_table_validate(properties.headers, AMQP_TABLE_DEPTH_MAX))
        return PUBLISH_BAD_PROPERTIES;
    publish->message.persistent = properties.delivery_mode == 2;
    if (properties.flags & PROPERTY_EXPIRATION)
        flags |= PUBLISH_HAS_EXPIRATION;
    if (properties.flags & PROPERTY_USER_ID)
        flags |= PUBLISH_HAS_USER_ID;
    if (bytes_equal_string(properties.reply_to, "amq.rabbitmq.reply-to"))
        flags |= PUBLISH_HAS_FAST_REPLY_TO;
    if (properties.headers.size && has_extra_keys(properties.headers))
        flags |= PUBLISH_HAS_EXTRA_KEYS;
    return flags;
}

static void set_header(const struct framing_half *half, struct command_publish *publish,
                       const struct content_header *header)
{
    publish->body_size = header->body_size;
    publish->message.properties = header->properties;
    publish->flags |= note_properties(publish);
    if (header->body_size > half->message_max_bytes)
        publish->flags |= PUBLISH_TOO_LARGE;
}

static void set_method(struct command_publish *publish, const struct publish_method *method)
{
    *publish = (struct command_publish){
        .message = {.exchange = method->exchange, .routing_key = method->routing_key},
        .flags = (method->bits & 1 ? PUBLISH_MANDATORY : 0u) |
                 (method->bits & 2 ? PUBLISH_IMMEDIATE : 0u),
    };
}

/* ---- all at once ---- */

/* The next frame of the same channel, whole and well formed, or false. */
static bool next_frame(const struct parse *p, uint16_t channel, enum frame_type type,
                       struct bytes *rest, struct frame *out)
{
    if (rest->size < FRAME_EMPTY_BYTES)
        return false;
    *out = frame_read_head(rest->data);
    if (out->type != type || out->channel != channel || out->payload.size > p->half->frame_max ||
        out->payload.size > rest->size - FRAME_EMPTY_BYTES)
        return false;
    size_t size = out->payload.size + FRAME_EMPTY_BYTES;
    if (rest->data[size - 1] != FRAME_END)
        return false;
    *rest = bytes_of(rest->data + size, rest->size - size);
    return true;
}

/* The content behind a publish when it lies in `rest` with its body in one frame or none. Returns
 * the bytes taken, 0 when it has to be assembled: that way also words the errors. */
static size_t take_content(struct parse *p, uint16_t channel, const struct publish_method *method,
                           struct bytes rest)
{
    struct frame header_frame, body_frame = {.payload = BYTES_LITERAL("")};
    struct content_header header;
    size_t before = rest.size;

    if (!next_frame(p, channel, FRAME_HEADER, &rest, &header_frame) ||
        !read_content_header(header_frame.payload, &header))
        return 0;
    if (header.body_size > 0 && (!next_frame(p, channel, FRAME_BODY, &rest, &body_frame) ||
                                 body_frame.payload.size != header.body_size))
        return 0;
    p->frame_bytes += before - rest.size;
    struct command *command = parse_add(p, COMMAND_PUBLISH, channel, AMQP_BASIC_PUBLISH);
    set_method(&command->publish, method);
    set_header(p->half, &command->publish, &header);
    command->publish.message.body = body_frame.payload;
    return before - rest.size;
}

/* ---- in pieces ---- */

void assembly_free(struct assembly *a)
{
    if (a->command)
        input_free(&a->command->batch->input);
    free(a);
}

static void assembly_begin(struct parse *p, uint16_t channel, const struct publish_method *method)
{
    struct assembly *a = xzalloc(sizeof *a);
    struct command_batch *batch = command_batch_new(NAMES_BYTES);
    struct arena *arena = &batch->input.arena;

    a->channel = channel;
    a->command = command_batch_add(batch, COMMAND_PUBLISH, channel, AMQP_BASIC_PUBLISH);
    set_method(&a->command->publish, method);
    struct message *message = &a->command->publish.message;
    message->exchange = arena_copy(arena, method->exchange);
    message->routing_key = arena_copy(arena, method->routing_key);
    check(!arena->exhausted);
    batch->input.size_bytes = (uint32_t)p->frame_bytes;
    p->frame_bytes = 0;
    idmap_put(&p->half->assemblies, channel, a);
}

static void assembly_drop(struct parse *p, struct assembly *a)
{
    idmap_remove(&p->half->assemblies, a->channel);
    assembly_free(a);
}

/* The content is whole: what was gathered in this call before it goes first. */
static void assembly_finish(struct parse *p, struct assembly *a)
{
    if (a->room)
        a->command->publish.message.body = bytes_of(a->room, a->filled);
    parse_flush(p);
    parse_push(p, a->command->batch);
    a->command = NULL;
    assembly_drop(p, a);
}

static void take_header(struct parse *p, struct assembly *a, const struct frame *frame)
{
    struct content_header header;
    struct command_batch *batch = a->command->batch;

    if (!read_content_header(frame->payload, &header)) {
        if (frame->payload.size >= 2 && get_u16(frame->payload.data) != CLASS_BASIC)
            parse_break(p, REPLY_UNEXPECTED_FRAME, AMQP_BASIC_PUBLISH,
                        "expected content header for class %d, got one for class %u instead",
                        CLASS_BASIC, get_u16(frame->payload.data));
        else
            parse_break(p, REPLY_UNEXPECTED_FRAME, AMQP_BASIC_PUBLISH,
                        "expected content header for class %d, got non content header frame "
                        "instead",
                        CLASS_BASIC);
        return;
    }
    if (header.body_size > AMQP_BODY_MAX_BYTES) {
        parse_break(p, REPLY_FRAME_ERROR, AMQP_BASIC_PUBLISH,
                    "content body size %llu exceeds maximum allowed size %d",
                    (unsigned long long)header.body_size, AMQP_BODY_MAX_BYTES);
        return;
    }
    /* Room for all the steps of growth; taken only as the body arrives. */
    batch->input.arena.limit_bytes +=
        header.properties.size + 2 * header.body_size + FIRST_ROOM_BYTES;
    header.properties = arena_copy(&batch->input.arena, header.properties);
    set_header(p->half, &a->command->publish, &header);
    a->command->publish.message.body = BYTES_LITERAL("");
    a->has_header = true;
    a->left = header.body_size;
}

/* Make room for `more` bytes of body, which have arrived. */
static void make_room(struct assembly *a, size_t more)
{
    uint64_t body_size = a->command->publish.body_size;
    uint64_t want = a->room_bytes ? (uint64_t)a->room_bytes * GROWTH : FIRST_ROOM_BYTES;

    if (a->room_bytes - a->filled >= more)
        return;
    if (want < a->filled + more)
        want = a->filled + more;
    if (want > body_size / 2)
        want = body_size;
    uint8_t *room = arena_alloc(&a->command->batch->input.arena, want);
    check(room != NULL); /* the limit was made for this */
    if (a->filled)
        memcpy(room, a->room, a->filled);
    a->room = room;
    a->room_bytes = want;
}

static void take_body(struct parse *p, struct assembly *a, struct bytes piece)
{
    struct command_publish *publish = &a->command->publish;
    struct input *input = &a->command->batch->input;

    if (piece.size > a->left) {
        parse_break(p, REPLY_FRAME_ERROR, AMQP_BASIC_PUBLISH,
                    "content body is longer than the %llu bytes that its header says",
                    (unsigned long long)publish->body_size);
        return;
    }
    a->left -= piece.size;
    if (publish->flags & PUBLISH_TOO_LARGE)
        return;
    if (piece.size == publish->body_size && piece.size > 0) {
        publish->message.body = piece;
        input->rbuf = p->rbuf;
        rbuf_ref(p->rbuf);
        return;
    }
    if (piece.size == 0)
        return;
    make_room(a, piece.size);
    memcpy(a->room + a->filled, piece.data, piece.size);
    a->filled += piece.size;
}

void parse_content(struct parse *p, struct assembly *a, const struct frame *frame)
{
    if (!a->has_header && frame->type == FRAME_HEADER)
        take_header(p, a, frame);
    else if (!a->has_header)
        parse_break(p, REPLY_UNEXPECTED_FRAME, AMQP_BASIC_PUBLISH,
                    "expected content header for class %d, got non content header frame instead",
                    CLASS_BASIC);
    else if (frame->type == FRAME_BODY)
        take_body(p, a, frame->payload);
    else
        parse_break(p, REPLY_UNEXPECTED_FRAME, AMQP_BASIC_PUBLISH,
                    "expected content body, got non content body frame instead");
    if (p->half->state == FRAMING_DEAF) {
        assembly_drop(p, a);
        return;
    }
    a->command->batch->input.size_bytes += (uint32_t)p->frame_bytes;
    p->frame_bytes = 0;
    if (a->left == 0)
        assembly_finish(p, a);
}

size_t parse_publish(struct parse *p, const struct frame *frame, struct bytes rest, bool *ok)
{
    struct publish_method method;

    *ok = read_publish(frame->payload, &method);
    if (!*ok)
        return 0;
    if (!bytes_are_utf8(method.routing_key) || !bytes_are_utf8(method.exchange)) {
        parse_break_utf8(p);
        return 0;
    }
    size_t taken = take_content(p, frame->channel, &method, rest);
    if (taken == 0)
        assembly_begin(p, frame->channel, &method);
    return taken;
}
