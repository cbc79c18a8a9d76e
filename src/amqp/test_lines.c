#include "amqp/test_lines.h"

#include <stdlib.h>
#include <string.h>

#include "amqp/amqp_messages.h"
#include "amqp/frame.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

/* ---- saying ---- */

static const struct wire_method *method_by_name(const char *name)
{
    for (size_t i = 0; i < AMQP_METHOD_COUNT; i++)
        if (strcmp(amqp_methods[i].name, name) == 0)
            return &amqp_methods[i];
    check_failed(name, __FILE__, __LINE__);
}

static const struct wire_field *field_by_name(const struct wire_schema *schema, const char *name)
{
    for (uint16_t i = 0; i < schema->field_count; i++)
        if (strcmp(schema->fields[i].name, name) == 0)
            return &schema->fields[i];
    check_failed(name, __FILE__, __LINE__);
}

static void put_hex(struct text *out, const char *hex)
{
    for (; hex[0] && hex[1]; hex += 2) {
        char digits[3] = {hex[0], hex[1], 0};
        text_put_u8(out, (uint8_t)strtoul(digits, NULL, 16));
    }
}

/* One entry: key:tag:value. Of a nested table the value is names of true bits, of an array it is
 * strings, with '/' between. */
static void put_entry(struct text *out, char *entry)
{
    char *save, *key = strtok_r(entry, ":", &save), *tag = strtok_r(NULL, ":", &save);
    char *value = save ? save : "";
    struct amqp_value v = {.tag = tag[0]};

    if (tag[0] == 'S' || tag[0] == 'x') {
        v.bytes = bytes_from_string(value);
    } else if (tag[0] == 'F') {
        struct text nested = {0};
        for (char *name = strtok_r(value, "/", &save); name; name = strtok_r(NULL, "/", &save))
            amqp_table_put_bool(&nested, name, true);
        amqp_table_put_table(out, key, text_bytes(&nested));
        text_reset(&nested);
        return;
    } else if (tag[0] == 'A') {
        struct text items = {0};
        for (char *item = strtok_r(value, "/", &save); item; item = strtok_r(NULL, "/", &save))
            amqp_array_put(&items,
                           &(struct amqp_value){.tag = 'S', .bytes = bytes_from_string(item)});
        v.bytes = text_bytes(&items);
        amqp_table_put(out, key, &v);
        text_reset(&items);
        return;
    } else {
        v.number = strcmp(value, "true") == 0 ? 1 : strtoll(value, NULL, 10);
        v.real = strtod(value, NULL);
    }
    amqp_table_put(out, key, &v);
}

static void put_table(struct text *out, char *value)
{
    char *save;

    if (*value == '#') {
        put_hex(out, value + 1);
        return;
    }
    for (char *e = strtok_r(value, ",", &save); e; e = strtok_r(NULL, ",", &save))
        put_entry(out, e);
}

/* Strings and tables live in `memory` until the line is encoded. */
static void set_field(const struct wire_schema *schema, void *in, char *word, struct arena *memory)
{
    char *value = strchr(word, '=');
    struct text table = {0};

    if (value)
        *value++ = '\0';
    const struct wire_field *f = field_by_name(schema, word);
    char *at = (char *)in + f->offset;
    unsigned long long number = value ? strtoull(value, NULL, 10) : 1;
    size_t size = value ? strlen(value) : 0;
    for (size_t i = 0; i < size; i++)
        if (value[i] == '^')
            value[i] = '\0'; /* how a line says NUL */
    switch (f->type) {
    case WIRE_BIT: *(bool *)at = number; break;
    case WIRE_OCTET: *(uint8_t *)at = (uint8_t)number; break;
    case WIRE_SHORT: *(uint16_t *)at = (uint16_t)number; break;
    case WIRE_LONG: *(uint32_t *)at = (uint32_t)number; break;
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP: *(uint64_t *)at = number; break;
    case WIRE_SHORTSTR:
    case WIRE_LONGSTR:
        *(struct bytes *)(void *)at = arena_copy(memory, bytes_of(value, size));
        break;
    case WIRE_TABLE:
        put_table(&table, value);
        *(struct bytes *)(void *)at = arena_copy(memory, text_bytes(&table));
        text_reset(&table);
        break;
    default: check(false); /* a type that no method has */
    }
    if (schema->has_flags)
        *(uint16_t *)in |= (uint16_t)(1u << f->tag);
}

static void put_frame(struct text *out, uint8_t type, uint16_t channel, struct bytes payload)
{
    uint8_t *p = text_reserve(out, payload.size + FRAME_EMPTY_BYTES);
    uint8_t *at = frame_put_head(p, type, channel, payload.size);
    if (payload.size)
        memcpy(at, payload.data, payload.size);
    frame_put_end(at + payload.size);
    text_advance(out, payload.size + FRAME_EMPTY_BYTES);
}

static void put_header(struct text *out, uint16_t channel, uint64_t body_size, char *properties,
                       struct arena *memory)
{
    struct amqp_basic_properties in = {0};
    struct text header = {0};
    char *save;

    for (char *w = strtok_r(properties, " ", &save); w; w = strtok_r(NULL, " ", &save))
        set_field(&amqp_basic_properties_schema, &in, w, memory);
    text_put_u16(&header, CLASS_BASIC);
    text_put_u16(&header, 0);
    text_put_u64(&header, body_size);
    check(amqp_wire_encode(&amqp_basic_properties_schema, &in, &header) == OK);
    put_frame(out, FRAME_HEADER, channel, text_bytes(&header));
    text_reset(&header);
}

static void put_body(struct text *out, uint16_t channel, struct bytes body, uint32_t frame_max)
{
    while (body.size) {
        size_t size = body.size < frame_max - 8 ? body.size : frame_max - 8;
        put_frame(out, FRAME_BODY, channel, bytes_of(body.data, size));
        body = bytes_of(body.data + size, body.size - size);
    }
}

/* A body as a line says it. */
static struct bytes body_of(const char *said, struct arena *memory)
{
    if (*said != '*')
        return bytes_from_string(said);
    size_t size = strtoul(said + 1, NULL, 10);
    uint8_t *body = arena_alloc(memory, size);
    for (size_t i = 0; i < size; i++)
        body[i] = (uint8_t)(i * 31 + i / 251);
    return bytes_of(body, size);
}

void put_method(struct text *out, uint16_t channel, uint32_t method_id, const void *arguments)
{
    const struct wire_method *method = wire_method_find(amqp_methods, AMQP_METHOD_COUNT, method_id);
    struct text payload = {0};

    text_put_u32(&payload, method_id);
    check(amqp_wire_encode(method->schema, arguments, &payload) == OK);
    put_frame(out, FRAME_METHOD, channel, text_bytes(&payload));
    text_reset(&payload);
}

static const struct wire_method *put_method_line(struct text *out, uint16_t channel,
                                                 const char *name, char *words,
                                                 struct arena *memory)
{
    const struct wire_method *method = method_by_name(name);
    void *in = arena_zalloc(memory, 1, method->schema->size);
    char *save;

    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        set_field(method->schema, in, w, memory);
    put_method(out, channel, method->id, in);
    return method;
}

/* What is no method: a piece of one, or of nothing at all. */
static bool put_piece(struct text *out, uint16_t channel, const char *name, char *rest,
                      uint32_t frame_max, struct arena *memory)
{
    struct text payload = {0};
    char *save = NULL;

    if (strcmp(name, "only") == 0) {
        const char *method = strtok_r(rest, " ", &save);
        put_method_line(out, channel, method, save, memory);
    } else if (strcmp(name, "header") == 0) {
        uint64_t size = strtoull(rest, &save, 10);
        put_header(out, channel, size, save, memory);
    } else if (strcmp(name, "body") == 0) {
        put_body(out, channel, body_of(rest, memory), frame_max);
    } else if (strcmp(name, "frame") == 0) {
        uint8_t type = (uint8_t)strtoul(rest, &save, 10);
        put_hex(&payload, save + (*save == ' '));
        put_frame(out, type, channel, text_bytes(&payload));
    } else if (strcmp(name, "bytes") == 0) {
        put_hex(out, rest);
    } else if (strcmp(name, "again") == 0) {
        put_method_line(out, channel, "channel.close_ok", rest, memory);
        put_method_line(out, channel, "channel.open", rest, memory);
    } else {
        return false;
    }
    text_reset(&payload);
    return true;
}

/* Cut `line` at the next " |", and return what is behind, or an empty string. */
static char *next_part(char *line)
{
    static char nothing[1];
    char *mark = strstr(line, " |");

    if (!mark)
        return nothing;
    *mark = '\0';
    return mark + 2;
}

void put_line(struct text *out, const char *line, uint32_t frame_max)
{
    struct arena memory;
    char *copy = xstrdup(line), *properties = next_part(copy), *body = next_part(properties), *name;

    arena_init(&memory, 64 << 20);
    uint16_t channel = (uint16_t)strtoul(copy, &name, 10);
    name += *name == ' ';
    body += *body == ' ';
    char *space = strchr(name, ' ');
    char *rest = space ? space + 1 : name + strlen(name);
    if (space)
        *space = '\0';
    if (!put_piece(out, channel, name, rest, frame_max, &memory) &&
        put_method_line(out, channel, name, rest, &memory)->has_content) {
        struct bytes content = body_of(body, &memory);
        put_header(out, channel, content.size, properties, &memory);
        put_body(out, channel, content, frame_max);
    }
    arena_reset(&memory);
    free(copy);
}

/* ---- hearing ---- */

void hearing_reset(struct hearing *h)
{
    text_reset(&h->lines);
    text_reset(&h->content);
    text_reset(&h->body);
}

static void hear_table(const struct hearing *h, struct bytes table, struct text *out)
{
    if (!h->shows_bytes) {
        amqp_table_dump(table, out);
        return;
    }
    text_append_string(out, "#");
    for (size_t i = 0; i < table.size; i++)
        text_printf(out, "%02x", table.data[i]);
}

static void hear_field(const struct hearing *h, const struct wire_field *f, const void *in,
                       struct text *out)
{
    const char *at = (const char *)in + f->offset;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    if (strncmp(f->name, "reserved", 8) == 0)
        return;
    text_printf(out, " %s=", f->name);
    switch (f->type) {
    case WIRE_BIT: text_append_string(out, *(const bool *)at ? "true" : "false"); break;
    case WIRE_OCTET: text_printf(out, "%u", *(const uint8_t *)at); break;
    case WIRE_SHORT:
        memcpy(&u16, at, sizeof u16);
        text_printf(out, "%u", u16);
        break;
    case WIRE_LONG:
        memcpy(&u32, at, sizeof u32);
        text_printf(out, "%u", u32);
        break;
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP:
        memcpy(&u64, at, sizeof u64);
        text_printf(out, "%llu", (unsigned long long)u64);
        break;
    case WIRE_SHORTSTR:
    case WIRE_LONGSTR: text_append(out, *(const struct bytes *)(const void *)at); break;
    case WIRE_TABLE: hear_table(h, *(const struct bytes *)(const void *)at, out); break;
    default: check(false); /* a type that no method has */
    }
}

static void hear_fields(const struct hearing *h, const struct wire_schema *schema, const void *in,
                        struct text *out)
{
    uint16_t flags = 0xFFFF;

    if (schema->has_flags)
        memcpy(&flags, in, sizeof flags);
    for (uint16_t i = 0; i < schema->field_count; i++)
        if (!schema->has_flags || (flags >> schema->fields[i].tag & 1))
            hear_field(h, &schema->fields[i], in, out);
}

static void hear_method(struct hearing *h, const struct frame *frame)
{
    uint64_t room[32] = {0};
    struct reader r = reader_of(bytes_of(frame->payload.data + 4, frame->payload.size - 4));
    const struct wire_method *method =
        wire_method_find(amqp_methods, AMQP_METHOD_COUNT, get_u32(frame->payload.data));

    check(method);
    check(method->from & WIRE_FROM_SERVER);
    check(sizeof room >= method->schema->size);
    check(amqp_wire_decode(method->schema, &r, room) == OK);
    check(reader_left(&r) == 0);
    struct text *out = method->has_content ? &h->content : &h->lines;
    text_printf(out, "%u %s", frame->channel, method->name);
    hear_fields(h, method->schema, room, out);
    if (!method->has_content)
        text_append_string(out, "\n");
}

static void hear_header(struct hearing *h, const struct frame *frame)
{
    struct amqp_basic_properties in = {0};
    struct reader r = reader_of(bytes_of(frame->payload.data + FRAME_CONTENT_HEAD_BYTES,
                                         frame->payload.size - FRAME_CONTENT_HEAD_BYTES));

    check(h->content.size > 0);
    check(get_u16(frame->payload.data) == CLASS_BASIC);
    check(get_u16(frame->payload.data + 2) == 0);
    h->content_left = get_u64(frame->payload.data + 4);
    check(amqp_wire_decode(&amqp_basic_properties_schema, &r, &in) == OK);
    text_append_string(&h->content, " |");
    hear_fields(h, &amqp_basic_properties_schema, &in, &h->content);
    text_append_string(&h->content, " | ");
}

static void hear_body(struct hearing *h, struct bytes body)
{
    check(body.size <= h->content_left);
    h->content_left -= body.size;
    h->body_frame_count++;
    text_append(&h->body, body);
}

static void end_content(struct hearing *h)
{
    if (h->body_shown_max && h->body.size > h->body_shown_max)
        text_printf(&h->content, "(%zu bytes in %zu frames, %08x)", h->body.size,
                    h->body_frame_count, crc32c(h->body.data, h->body.size));
    else
        text_append(&h->content, text_bytes(&h->body));
    text_append(&h->lines, text_bytes(&h->content));
    text_append_string(&h->lines, "\n");
    h->content.size = h->body.size = h->body_frame_count = 0;
}

static void hear_frame(struct hearing *h, const struct frame *frame)
{
    check(frame->payload.size + FRAME_EMPTY_BYTES <= h->frame_max);
    if (frame->type == FRAME_HEARTBEAT) {
        text_append_string(&h->lines, "heartbeat\n");
        return;
    }
    if (frame->type == FRAME_METHOD)
        hear_method(h, frame);
    else if (frame->type == FRAME_HEADER)
        hear_header(h, frame);
    else
        hear_body(h, frame->payload);
    if (h->content.size && frame->type != FRAME_METHOD && h->content_left == 0)
        end_content(h);
}

size_t hear_frames(struct hearing *h, struct bytes in)
{
    struct bytes rest = in;

    while (rest.size >= FRAME_EMPTY_BYTES) {
        if (bytes_has_prefix(rest, "AMQP")) {
            text_append_string(&h->lines, "header\n");
            rest = bytes_of(rest.data + 8, rest.size - 8);
            continue;
        }
        struct frame frame = frame_read_head(rest.data);
        size_t size = frame.payload.size + FRAME_EMPTY_BYTES;
        if (rest.size < size)
            break;
        check(rest.data[size - 1] == FRAME_END);
        hear_frame(h, &frame);
        rest = bytes_of(rest.data + size, rest.size - size);
    }
    return in.size - rest.size;
}
