#include "amqp/framing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "amqp/amqp.h"
#include "amqp/amqp_messages.h"
#include "base/check.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

enum {
    INITIAL_FRAME_MAX = 8192,
    FRAME_TOLERANCE_BYTES = 8, /* clients that count the frame's head or end wrong are common */
    HEADER_BYTES = 8,
    BATCH_ARENA_BYTES = 1 << 20,
    COMMAND_ROOM_BYTES = 8192, /* what one command needs at most: its struct, arguments, a text */
    SNIPPET_BYTES = 16,
};

/* ---- commands ---- */

struct command_batch *command_batch_new(size_t size)
{
    return input_new(sizeof(struct command_batch),
                     sizeof(struct command_batch) + COMMAND_ROOM_BYTES + size);
}

struct command *command_batch_add(struct command_batch *batch, enum command_kind kind,
                                  uint16_t channel, uint32_t method_id)
{
    struct command *command = arena_alloc(&batch->input.arena, sizeof *command);

    check(command != NULL); /* the callers leave room */
    command->next = NULL;
    command->batch = batch;
    command->kind = kind;
    command->channel = channel;
    command->method_id = method_id;
    if (batch->last)
        batch->last->next = command;
    else
        batch->first = command;
    batch->last = command;
    batch->open_count++;
    return command;
}

void command_done(struct command *command)
{
    struct command_batch *batch = command->batch;

    check(batch->open_count > 0);
    if (--batch->open_count == 0)
        input_free(&batch->input);
}

void parse_push(struct parse *p, struct command_batch *batch)
{
    input_push(p->out, &batch->input);
}

void parse_flush(struct parse *p)
{
    if (p->batch)
        parse_push(p, p->batch);
    p->batch = NULL;
}

struct command *parse_add(struct parse *p, enum command_kind kind, uint16_t channel,
                          uint32_t method_id)
{
    struct arena *arena = p->batch ? &p->batch->input.arena : NULL;

    if (arena && arena->limit_bytes - arena->used_bytes < COMMAND_ROOM_BYTES)
        parse_flush(p);
    if (!p->batch) {
        p->batch = command_batch_new(BATCH_ARENA_BYTES);
        p->batch->input.rbuf = p->rbuf;
        rbuf_ref(p->rbuf);
    }
    p->batch->input.size_bytes += (uint32_t)p->frame_bytes;
    p->frame_bytes = 0;
    return command_batch_add(p->batch, kind, channel, method_id);
}

void parse_break(struct parse *p, enum reply_code code, uint32_t method_id, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct command *command = parse_add(p, COMMAND_BROKEN, 0, method_id);
    command->broken.code = code;
    command->broken.text =
        (const char *)arena_copy(&command->batch->input.arena, bytes_from_string(text)).data;
    p->half->state = FRAMING_DEAF;
}

/* ---- errors about whole frames, worded as RabbitMQ does ---- */

/* "all octets = <<1,2>>" or "first 16 octets = <<...>>", as Erlang would print them. */
static void describe_octets(struct bytes payload, char *out, size_t size)
{
    struct bytes part = bytes_of(payload.data, payload.size);
    bool printable = payload.size > 0;

    if (part.size > SNIPPET_BYTES)
        part.size = SNIPPET_BYTES;
    for (size_t i = 0; i < part.size; i++)
        printable &= part.data[i] >= ' ' && part.data[i] < 0x7F;
    int at =
        snprintf(out, size, "%s octets = <<", payload.size > SNIPPET_BYTES ? "first 16" : "all");
    if (printable)
        at += snprintf(out + at, size - (size_t)at, "\"%.*s\"", BYTES_FORMAT(part));
    for (size_t i = 0; !printable && i < part.size; i++)
        at += snprintf(out + at, size - (size_t)at, i ? ",%u" : "%u", part.data[i]);
    snprintf(out + at, size - (size_t)at, ">>");
}

static void break_frame(struct parse *p, const struct frame *frame, const char *why)
{
    char octets[128];

    describe_octets(frame->payload, octets, sizeof octets);
    parse_break(p, REPLY_FRAME_ERROR, 0, "type %u, %s: %s", frame->type, octets, why);
}

static void break_unexpected(struct parse *p, const struct frame *frame)
{
    char octets[128];

    describe_octets(frame->payload, octets, sizeof octets);
    parse_break(p, REPLY_UNEXPECTED_FRAME, 0, "type %u, %s", frame->type, octets);
}

static void break_undecodable(struct parse *p, const struct frame *frame, uint32_t method_id)
{
    char octets[REPLY_TEXT_MAX + 1] = "";
    int at = 0;

    for (size_t i = FRAME_METHOD_HEAD_BYTES; i < frame->payload.size && at < REPLY_TEXT_MAX; i++)
        at += snprintf(octets + at, sizeof octets - (size_t)at, at ? ",%u" : "%u",
                       frame->payload.data[i]);
    parse_break(p, REPLY_FRAME_ERROR, method_id, "cannot decode <<%s>>", octets);
}

/* ---- methods ---- */

/* Acks are as many as messages, so they do not take the way of the tables. */
static bool parse_settle(struct parse *p, const struct frame *frame, uint32_t id)
{
    struct bytes payload = frame->payload;

    if (payload.size != FRAME_METHOD_HEAD_BYTES + 9)
        return false;
    struct command *command = parse_add(p, COMMAND_SETTLE, frame->channel, id);
    uint8_t bits = payload.data[12];
    command->settle = (struct command_settle){.delivery_tag = get_u64(payload.data + 4),
                                              .is_ack = id == AMQP_BASIC_ACK,
                                              .is_reject = id == AMQP_BASIC_REJECT};
    if (id == AMQP_BASIC_REJECT) {
        command->settle.requeue = bits & 1;
    } else {
        command->settle.multiple = bits & 1;
        command->settle.requeue = bits & 2;
    }
    return true;
}

static const struct wire_method *find_method(uint32_t id)
{
    return wire_method_find(amqp_methods, AMQP_METHOD_COUNT, id);
}

/* From tune-ok on frames may be as large as it says; 0 means no limit of the client's. */
static void note_tune_ok(struct framing_half *half, const struct amqp_connection_tune_ok *tune)
{
    bool is_smaller = tune->frame_max && tune->frame_max < AMQP_FRAME_MAX_BYTES;

    half->frame_max = is_smaller ? tune->frame_max : AMQP_FRAME_MAX_BYTES;
    if (half->frame_max < AMQP_FRAME_MIN_BYTES)
        half->frame_max = AMQP_FRAME_MIN_BYTES; /* the core half refuses it anyway */
}

void parse_break_utf8(struct parse *p)
{
    parse_break(p, REPLY_FRAME_ERROR, 0, "Malformed UTF-8 in shortstr");
}

/* Tables are kept as received and looked into later, which then cannot fail. */
static bool tables_are_valid(const struct wire_schema *schema, const void *arguments)
{
    for (uint16_t i = 0; i < schema->field_count; i++) {
        const struct wire_field *field = &schema->fields[i];
        const struct bytes *table = (const void *)((const char *)arguments + field->offset);
        if (field->type == WIRE_TABLE && amqp_table_validate(*table, AMQP_TABLE_DEPTH_MAX))
            return false;
    }
    return true;
}

/* Names go into texts, lists and other protocols. */
static bool strings_are_utf8(const struct wire_schema *schema, const void *arguments)
{
    for (uint16_t i = 0; i < schema->field_count; i++) {
        const struct wire_field *field = &schema->fields[i];
        const struct bytes *string = (const void *)((const char *)arguments + field->offset);
        if (field->type == WIRE_SHORTSTR && !bytes_are_utf8(*string))
            return false;
    }
    return true;
}

static bool parse_method(struct parse *p, const struct frame *frame, uint32_t id)
{
    const struct wire_method *method = find_method(id);
    struct reader r = reader_of(bytes_of(frame->payload.data + FRAME_METHOD_HEAD_BYTES,
                                         frame->payload.size - FRAME_METHOD_HEAD_BYTES));

    if (!method) {
        parse_break(p, REPLY_COMMAND_INVALID, id, "unknown method %u.%u", id >> 16, id & 0xFFFF);
        return true;
    }
    struct command *command = parse_add(p, COMMAND_METHOD, frame->channel, id);
    command->method = method;
    command->arguments = arena_zalloc(&command->batch->input.arena, 1, method->schema->size);
    if (!command->arguments || amqp_wire_decode(method->schema, &r, command->arguments) ||
        reader_left(&r) != 0 || !tables_are_valid(method->schema, command->arguments)) {
        command->method = NULL; /* the core half skips it: the next command says what is wrong */
        return false;
    }
    if (!strings_are_utf8(method->schema, command->arguments)) {
        command->method = NULL;
        parse_break_utf8(p);
    }
    if (id == AMQP_CONNECTION_TUNE_OK && frame->channel == 0)
        note_tune_ok(p->half, command->arguments);
    return true;
}

/* Returns the bytes of the following frames that went with this one. */
static size_t parse_method_frame(struct parse *p, const struct frame *frame, struct bytes rest)
{
    bool ok;
    size_t taken = 0;

    if (frame->payload.size < FRAME_METHOD_HEAD_BYTES) {
        break_frame(p, frame, "unknown_frame");
        return 0;
    }
    uint32_t id = get_u32(frame->payload.data);
    if (id == AMQP_BASIC_PUBLISH && frame->channel)
        taken = parse_publish(p, frame, rest, &ok);
    else if (id == AMQP_BASIC_ACK || id == AMQP_BASIC_NACK || id == AMQP_BASIC_REJECT)
        ok = parse_settle(p, frame, id);
    else
        ok = parse_method(p, frame, id);
    if (!ok)
        break_undecodable(p, frame, id);
    return taken;
}

/* ---- frames ---- */

static void parse_heartbeat(struct parse *p, const struct frame *frame)
{
    if (frame->payload.size)
        break_frame(p, frame, "unknown_frame");
    else if (frame->channel)
        break_unexpected(p, frame);
}

static size_t parse_frame(struct parse *p, const struct frame *frame, struct bytes rest)
{
    struct assembly *assembly =
        p->half->assemblies.count ? idmap_get(&p->half->assemblies, frame->channel) : NULL;

    switch (frame->type) {
    case FRAME_HEARTBEAT: parse_heartbeat(p, frame); return 0;
    case FRAME_METHOD:
    case FRAME_HEADER:
    case FRAME_BODY: break;
    default: break_frame(p, frame, "unknown_frame"); return 0;
    }
    if (assembly)
        parse_content(p, assembly, frame);
    else if (frame->type == FRAME_METHOD)
        return parse_method_frame(p, frame, rest);
    else if (frame->channel == 0)
        break_unexpected(p, frame);
    else
        parse_break(p, REPLY_UNEXPECTED_FRAME, 0,
                    "expected method frame, got non method frame instead");
    return 0;
}

/* The frame at the front of `in`, whole; 0 bytes when more is needed or the frame broke a rule. */
static size_t parse_one(struct parse *p, struct bytes in, size_t *need)
{
    if (in.size < FRAME_HEAD_BYTES) {
        *need = FRAME_HEAD_BYTES;
        return 0;
    }
    struct frame frame = frame_read_head(in.data);
    size_t payload_max = p->half->frame_max - FRAME_EMPTY_BYTES;
    if (frame.payload.size > payload_max + FRAME_TOLERANCE_BYTES) {
        char why[64];
        snprintf(why, sizeof why, "{frame_too_large,%zu,%zu}", frame.payload.size, payload_max);
        frame.payload.size = 0;
        break_frame(p, &frame, why);
        return 0;
    }
    size_t size = frame.payload.size + FRAME_EMPTY_BYTES;
    if (in.size < size) {
        *need = size;
        return 0;
    }
    p->frame_bytes += size;
    if (in.data[size - 1] != FRAME_END) {
        char why[64];
        snprintf(why, sizeof why, "{invalid_frame_end_marker,%u}", in.data[size - 1]);
        break_frame(p, &frame, why);
        return 0;
    }
    return size + parse_frame(p, &frame, bytes_of(in.data + size, in.size - size));
}

/* ---- the protocol header ---- */

/* What the peer seems to speak, for the log line. */
static const char *guess_protocol(const uint8_t *p)
{
    static const struct {
        const char *start, *guess;
    } guesses[] = {
        {"GET ", "an HTTP request"},         {"POST", "an HTTP request"},
        {"HEAD", "an HTTP request"},         {"PUT ", "an HTTP request"},
        {"PRI ", "an HTTP/2 request"},       {"CONN", "a STOMP frame"},
        {"AMQP", "another version of AMQP"}, {"\x16\x03", "a TLS hello"},
    };
    for (size_t i = 0; i < sizeof guesses / sizeof *guesses; i++)
        if (memcmp(p, guesses[i].start, strlen(guesses[i].start)) == 0)
            return guesses[i].guess;
    if (p[0] == 0 && p[1] == 0 && p[4] == 0 && p[5] < 100)
        return "a Kafka request"; /* a size below 64 KiB, then a small api key */
    if (p[0] == 0x10)
        return "an MQTT packet";
    return "no protocol known here";
}

static size_t parse_header(struct parse *p, struct bytes in, size_t *need)
{
    static const uint8_t versions[][HEADER_BYTES] = {
        {'A', 'M', 'Q', 'P', 0, 0, 9, 1}, {'A', 'M', 'Q', 'P', 1, 1, 0, 9}, /* 0-9, near enough */
    };
    if (in.size < HEADER_BYTES) {
        *need = HEADER_BYTES;
        return 0;
    }
    p->frame_bytes += HEADER_BYTES;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        if (memcmp(in.data, versions[i], HEADER_BYTES) == 0) {
            parse_add(p, COMMAND_HEADER, 0, 0);
            p->half->state = FRAMING_RUNNING;
            return HEADER_BYTES;
        }
    }
    struct command *command = parse_add(p, COMMAND_FOREIGN, 0, 0);
    command->broken.code = REPLY_NOT_IMPLEMENTED;
    command->broken.text = guess_protocol(in.data);
    p->half->state = FRAMING_DEAF;
    return HEADER_BYTES;
}

/* ---- the half ---- */

static void *framing_open(const struct endpoint *local, const struct endpoint *peer)
{
    struct framing_half *half = xzalloc(sizeof *half);

    (void)local;
    (void)peer;
    half->frame_max = INITIAL_FRAME_MAX;
    half->message_max_bytes = amqp_configuration()->message_max_bytes;
    return half;
}

static void framing_close(void *framing)
{
    struct framing_half *half = framing;
    size_t position = 0;
    struct assembly *assembly;

    while ((assembly = idmap_next(&half->assemblies, &position)) != NULL)
        assembly_free(assembly);
    idmap_reset(&half->assemblies);
    free(half);
}

static enum err framing_parse(void *framing, struct rbuf *rbuf, struct bytes in,
                              struct input_list *out, size_t *consumed, size_t *need)
{
    struct framing_half *half = framing;
    struct parse p = {.half = half, .rbuf = rbuf, .out = out};
    size_t at = 0;

    while (half->state != FRAMING_DEAF) {
        struct bytes rest = bytes_of(in.data + at, in.size - at);
        size_t taken = half->state == FRAMING_AWAIT_HEADER ? parse_header(&p, rest, need)
                                                           : parse_one(&p, rest, need);
        if (taken == 0)
            break;
        at += taken;
    }
    if (half->state == FRAMING_DEAF)
        at = in.size;
    parse_flush(&p);
    *consumed = at;
    return OK;
}

const struct framing amqp_framing = {
    .open = framing_open,
    .close = framing_close,
    .parse = framing_parse,
};
