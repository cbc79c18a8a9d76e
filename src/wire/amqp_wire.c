#include "wire/amqp_wire.h"

#include "wire/amqp_table.h"
#include "wire/wire_internal.h"

const struct wire_method *wire_method_find(const struct wire_method *methods, size_t count,
                                           uint32_t id)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (methods[middle].id == id)
            return &methods[middle];
        if (methods[middle].id < id)
            low = middle + 1;
        else
            count = middle;
    }
    return NULL;
}

/* Property lists: the flags word is the struct's first member, a field's tag its bit. */
static uint16_t load_flags(const void *in)
{
    uint16_t flags;
    memcpy(&flags, in, sizeof flags);
    return flags;
}

static bool is_present(const struct wire_schema *schema, const struct wire_field *f, uint16_t flags)
{
    return !schema->has_flags || (flags >> f->tag & 1);
}

static uint16_t known_flags(const struct wire_schema *schema)
{
    return (uint16_t)(0xffffu << (16 - schema->field_count));
}

/* Where in its octet a bit goes: neighbouring bits share one, lowest first (s.4.2.5.2). */
static int next_bit(const struct wire_field *f, int bit)
{
    if (f->type != WIRE_BIT)
        return -1;
    return bit == 7 ? 0 : bit + 1;
}

#define STORE(type, value)                                                                         \
    do {                                                                                           \
        type value_ = (value);                                                                     \
        memcpy(out, &value_, sizeof value_);                                                       \
    } while (0)

static void decode_value(struct reader *r, int type, char *out)
{
    switch (type) {
    case WIRE_OCTET: STORE(uint8_t, reader_u8(r)); return;
    case WIRE_SHORT: STORE(uint16_t, reader_u16(r)); return;
    case WIRE_LONG: STORE(uint32_t, reader_u32(r)); return;
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP: STORE(uint64_t, reader_u64(r)); return;
    case WIRE_SHORTSTR: wire_store_bytes(out, reader_bytes(r, reader_u8(r))); return;
    case WIRE_LONGSTR:
    case WIRE_TABLE: wire_store_bytes(out, reader_bytes(r, reader_u32(r))); return;
    default: check(false);
    }
}

static void decode_fields(const struct wire_schema *schema, struct reader *r, uint16_t flags,
                          char *base)
{
    uint8_t octet = 0;
    int bit = -1;
    for (int i = 0; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        char *out = base + f->offset;
        bit = next_bit(f, bit);
        if (bit == 0)
            octet = reader_u8(r);
        if (bit >= 0)
            STORE(bool, octet >> bit & 1);
        else if (is_present(schema, f, flags))
            decode_value(r, f->type, out);
    }
}

enum err amqp_wire_decode(const struct wire_schema *schema, struct reader *r, void *out)
{
    const uint8_t *start = r->at;
    size_t size = reader_left(r);
    uint16_t flags = 0;
    memset(out, 0, schema->size);
    if (schema->has_flags) {
        flags = reader_u16(r);
        if (flags & (uint16_t)~known_flags(schema))
            reader_fail(r);
        memcpy(out, &flags, sizeof flags);
    }
    decode_fields(schema, r, flags, out);
    if (!r->bad)
        return OK;
    return err_set(E_MALFORMED, "%s of %zu bytes is malformed at byte %zu", schema->name, size,
                   start ? (size_t)(r->at - start) : 0);
}

static size_t value_size(int type, const char *in, bool *too_large)
{
    switch (type) {
    case WIRE_OCTET: return 1;
    case WIRE_SHORT: return 2;
    case WIRE_LONG: return 4;
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP: return 8;
    case WIRE_SHORTSTR: {
        size_t size = wire_load_bytes(in).size;
        *too_large |= size > UINT8_MAX;
        return 1 + size;
    }
    case WIRE_LONGSTR:
    case WIRE_TABLE: {
        size_t size = wire_load_bytes(in).size;
        *too_large |= size > UINT32_MAX;
        return 4 + size;
    }
    default: check(false);
    }
    return 0;
}

enum err amqp_wire_size(const struct wire_schema *schema, const void *in, size_t *out)
{
    uint16_t flags = schema->has_flags ? load_flags(in) : 0;
    size_t size = schema->has_flags ? 2 : 0;
    bool too_large = false;
    int bit = -1;
    for (int i = 0; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        bit = next_bit(f, bit);
        if (bit == 0)
            size++;
        else if (bit < 0 && is_present(schema, f, flags))
            size += value_size(f->type, (const char *)in + f->offset, &too_large);
    }
    if (too_large || size > INT32_MAX)
        return err_set(E_TOO_LARGE, "%s holds a string that is too long", schema->name);
    *out = size;
    return OK;
}

static uint8_t *put_string(uint8_t *at, struct bytes b)
{
    if (b.size > 0)
        memcpy(at, b.data, b.size);
    return at + b.size;
}

static uint8_t *put_value(uint8_t *at, int type, const char *in)
{
    switch (type) {
    case WIRE_OCTET: *at = (uint8_t)wire_load_number(type, in); return at + 1;
    case WIRE_SHORT: put_u16(at, (uint16_t)wire_load_number(type, in)); return at + 2;
    case WIRE_LONG: put_u32(at, (uint32_t)wire_load_number(type, in)); return at + 4;
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP: put_u64(at, (uint64_t)wire_load_number(type, in)); return at + 8;
    case WIRE_SHORTSTR:
        *at = (uint8_t)wire_load_bytes(in).size;
        return put_string(at + 1, wire_load_bytes(in));
    case WIRE_LONGSTR:
    case WIRE_TABLE:
        put_u32(at, (uint32_t)wire_load_bytes(in).size);
        return put_string(at + 4, wire_load_bytes(in));
    default: check(false);
    }
    return at;
}

uint8_t *amqp_wire_put(const struct wire_schema *schema, const void *in, uint8_t *at)
{
    uint16_t flags = 0;
    int bit = -1;
    if (schema->has_flags) {
        flags = load_flags(in);
        check(!(flags & (uint16_t)~known_flags(schema)));
        put_u16(at, flags);
        at += 2;
    }
    for (int i = 0; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        const char *p = (const char *)in + f->offset;
        bit = next_bit(f, bit);
        if (bit == 0)
            *at++ = 0;
        if (bit >= 0)
            at[-1] = (uint8_t)(at[-1] | (wire_load_number(WIRE_BIT, p) != 0) << bit);
        else if (is_present(schema, f, flags))
            at = put_value(at, f->type, p);
    }
    return at;
}

enum err amqp_wire_encode(const struct wire_schema *schema, const void *in, struct text *out)
{
    size_t size;
    enum err err = amqp_wire_size(schema, in, &size);
    if (err)
        return err;
    uint8_t *at = text_reserve(out, size);
    uint8_t *end = amqp_wire_put(schema, in, at);
    check((size_t)(end - at) == size);
    out->size += size;
    return OK;
}

void amqp_wire_dump(const struct wire_schema *schema, const void *in, struct text *out)
{
    uint16_t flags = schema->has_flags ? load_flags(in) : 0;
    text_printf(out, "%s\n", schema->name);
    for (int i = 0; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        const char *p = (const char *)in + f->offset;
        int type = f->type;
        if (!is_present(schema, f, flags))
            continue;
        text_printf(out, "  %s: ", f->name);
        if (type == WIRE_BIT)
            text_append_string(out, wire_load_number(type, p) ? "true" : "false");
        else if (type == WIRE_TABLE)
            amqp_table_dump(wire_load_bytes(p), out);
        else if (type == WIRE_SHORTSTR || type == WIRE_LONGSTR)
            wire_dump_string(out, wire_load_bytes(p));
        else
            text_printf(out, "%llu", (unsigned long long)wire_load_number(type, p));
        text_append_string(out, "\n");
    }
}

static struct bytes random_string(int type, struct random *random, struct arena *arena)
{
    if (type == WIRE_TABLE)
        return amqp_table_random(random, arena, 3);
    return wire_random_bytes(random, arena, type == WIRE_SHORTSTR ? UINT8_MAX : SIZE_MAX, true);
}

bool amqp_wire_random(const struct wire_schema *schema, struct random *random, struct arena *arena,
                      void *out)
{
    uint16_t flags = (uint16_t)random_u64(random) & known_flags(schema);
    memset(out, 0, schema->size);
    if (schema->has_flags)
        memcpy(out, &flags, sizeof flags);
    for (int i = 0; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        char *p = (char *)out + f->offset;
        int type = f->type;
        if (!is_present(schema, f, flags))
            continue;
        if (type == WIRE_BIT) {
            wire_store_number(type, p, (int64_t)random_below(random, 2));
        } else if (type == WIRE_SHORTSTR || type == WIRE_LONGSTR || type == WIRE_TABLE) {
            struct bytes b = random_string(type, random, arena);
            if (!b.data)
                return false;
            wire_store_bytes(p, b);
        } else {
            wire_store_number(type, p, (int64_t)wire_random_number(random));
        }
    }
    return true;
}
