/* Decoding of Kafka's types: the hot walker, one pass over the fields for each struct. */
#include "base/check.h"
#include "wire/wire_internal.h"

struct decoder {
    struct reader r;
    struct arena *arena;
    int version;
    bool flexible;
};

static void decode_struct(struct decoder *d, const struct wire_schema *schema, char *out);

/* The length of a string (2 bytes) or of bytes and arrays (4 bytes), or compact; -1 is null. */
static int64_t decode_length(struct decoder *d, bool compact, bool is_short)
{
    if (compact)
        return (int64_t)reader_varint(&d->r) - 1;
    int64_t length = is_short ? (int16_t)reader_u16(&d->r) : (int32_t)reader_u32(&d->r);
    return length < 0 ? -1 : length;
}

static struct bytes decode_bytes(struct decoder *d, const struct wire_field *f, bool compact,
                                 bool is_short)
{
    int64_t length = decode_length(d, compact, is_short);
    if (__builtin_expect(length >= 0, 1))
        return reader_bytes(&d->r, (size_t)length);
    if (!wire_is_nullable(f, d->version))
        reader_fail(&d->r);
    return BYTES_NULL;
}

#define STORE(type, value)                                                                         \
    do {                                                                                           \
        type value_ = (type)(value);                                                               \
        memcpy(out, &value_, sizeof value_);                                                       \
    } while (0)

/* The types of fixed size, in the loop of decode_struct() itself: most fields are one, and a call
 * for each would double the time. False: not one of them. */
static inline __attribute__((always_inline)) bool decode_fixed(struct reader *r, int type,
                                                               char *out)
{
    switch (type) {
    case WIRE_BOOL: STORE(bool, reader_u8(r) != 0); return true;
    case WIRE_I8: STORE(uint8_t, reader_u8(r)); return true;
    case WIRE_I16:
    case WIRE_U16: STORE(uint16_t, reader_u16(r)); return true;
    case WIRE_I32:
    case WIRE_U32: STORE(uint32_t, reader_u32(r)); return true;
    case WIRE_I64:
    case WIRE_F64: STORE(uint64_t, reader_u64(r)); return true;
    default: return false;
    }
}

static void decode_uuid(struct decoder *d, char *out)
{
    const uint8_t *p = reader_take(&d->r, sizeof(struct uuid));
    if (p)
        memcpy(out, p, sizeof(struct uuid));
}

/* One value that is no array and no nullable struct. */
static void decode_value(struct decoder *d, const struct wire_field *f, int type, char *out)
{
    if (decode_fixed(&d->r, type, out))
        return;
    switch (type) {
    case WIRE_UUID: decode_uuid(d, out); return;
    case WIRE_STRING: wire_store_bytes(out, decode_bytes(d, f, d->flexible, true)); return;
    case WIRE_CLASSIC_STRING: wire_store_bytes(out, decode_bytes(d, f, false, true)); return;
    case WIRE_BYTES:
    case WIRE_RECORDS: wire_store_bytes(out, decode_bytes(d, f, d->flexible, false)); return;
    case WIRE_STRUCT: decode_struct(d, f->schema, out); return;
    default: check(false);
    }
}

static void decode_array(struct decoder *d, const struct wire_field *f, char *out)
{
    int64_t count = decode_length(d, d->flexible, false);
    if (count < 0) {
        if (!wire_is_nullable(f, d->version))
            reader_fail(&d->r);
        wire_store_array(out, (struct wire_array){NULL, 0});
        return;
    }
    if ((uint64_t)count > reader_left(&d->r)) { /* an item takes a byte or more */
        reader_fail(&d->r);
        return;
    }

    size_t item_size = wire_item_size(f);
    char *items = arena_zalloc(d->arena, (size_t)count, item_size);
    if (!items) {
        reader_fail(&d->r);
        return;
    }
    wire_store_array(out, (struct wire_array){items, (int32_t)count});
    for (int64_t i = 0; i < count && !d->r.bad; i++, items += item_size)
        decode_value(d, f, f->item_type, items);
}

static void decode_pointer(struct decoder *d, const struct wire_field *f, char *out)
{
    if ((int8_t)reader_u8(&d->r) < 0) {
        wire_store_pointer(out, NULL);
        return;
    }
    void *p = arena_zalloc(d->arena, 1, f->schema->size);
    if (!p) {
        reader_fail(&d->r);
        return;
    }
    wire_store_pointer(out, p);
    decode_struct(d, f->schema, p);
}

static void decode_field(struct decoder *d, const struct wire_field *f, char *out)
{
    if (f->type == WIRE_ARRAY)
        decode_array(d, f, out);
    else if (wire_is_pointer(f))
        decode_pointer(d, f, out);
    else
        decode_value(d, f, f->type, out);
}

static const struct wire_field *find_tag(const struct wire_schema *schema, int version,
                                         uint32_t tag)
{
    for (int i = schema->plain_count; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        if (f->tag == (int64_t)tag)
            return wire_has_version(f, version) ? f : NULL;
    }
    return NULL;
}

/* KIP-482: count, then {tag, size, value} each. Known values must fill their size; unknown ones are
 * stepped over. */
static void decode_tags(struct decoder *d, const struct wire_schema *schema, char *out)
{
    uint32_t count = reader_varint(&d->r);
    while (count-- > 0 && !d->r.bad) {
        uint32_t tag = reader_varint(&d->r);
        uint32_t size = reader_varint(&d->r);
        struct reader value = reader_sub(&d->r, size);
        const struct wire_field *f = find_tag(schema, d->version, tag);
        if (!f || d->r.bad)
            continue;

        struct reader rest = d->r;
        d->r = value;
        decode_field(d, f, out + f->offset);
        if (d->r.bad || reader_left(&d->r) > 0)
            reader_fail(&d->r);
        else
            d->r = rest;
    }
}

static void decode_struct(struct decoder *d, const struct wire_schema *schema, char *out)
{
    static const struct wire_field none;
    const struct wire_field *f = schema->fields ? schema->fields : &none;
    const struct wire_field *tagged = f + schema->plain_count;
    const struct wire_field *end = f + schema->field_count;
    for (; f < tagged; f++) {
        if (!wire_has_version(f, d->version))
            wire_store_default(f, out + f->offset);
        else if (!decode_fixed(&d->r, f->type, out + f->offset))
            decode_field(d, f, out + f->offset);
    }
    for (; f < end; f++)
        wire_store_default(f, out + f->offset);
    if (d->flexible)
        decode_tags(d, schema, out);
}

enum err wire_decode(const struct wire_schema *schema, int version, struct reader *r,
                     struct arena *arena, void *out)
{
    enum err err = wire_check_version(schema, version);
    if (err)
        return err;

    const uint8_t *start = r->at;
    size_t size = reader_left(r);
    struct decoder d = {*r, arena, version, version >= schema->flexible_since};
    memset(out, 0, schema->size);
    decode_struct(&d, schema, out);
    *r = d.r;
    if (!d.r.bad)
        return OK;
    if (arena->exhausted)
        return err_set(E_TOO_LARGE, "%s v%d of %zu bytes needs more than %zu bytes of memory",
                       schema->name, version, size, arena->limit_bytes);
    return err_set(E_MALFORMED, "%s v%d of %zu bytes is malformed at byte %zu", schema->name,
                   version, size, start ? (size_t)(d.r.at - start) : 0);
}
