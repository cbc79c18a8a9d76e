/* Encoding of Kafka's types: a pass that measures, then a pass that writes into exact space. */
#include "base/check.h"
#include "wire/wire_internal.h"

struct sizer {
    size_t size;
    size_t records_size; /* how much of `size` is contents of records fields */
    size_t records_count;
    int version;
    bool flexible;
    bool too_large;
};

static void size_struct(struct sizer *s, const struct wire_schema *schema, const char *in);
static void size_field(struct sizer *s, const struct wire_field *f, const char *in);

static void size_length(struct sizer *s, size_t length, bool is_null, bool compact, bool is_short)
{
    if (length > (is_short && !compact ? INT16_MAX : INT32_MAX - 1))
        s->too_large = true;
    if (compact)
        s->size += is_null ? 1 : varint_size(length + 1);
    else
        s->size += is_short ? 2 : 4;
}

/* Null where the version has no null goes out as empty. */
static bool goes_as_null(const struct wire_field *f, int version, const void *data)
{
    return data == NULL && wire_is_nullable(f, version);
}

static void size_bytes(struct sizer *s, const struct wire_field *f, struct bytes b, bool compact,
                       bool is_short)
{
    size_length(s, b.size, goes_as_null(f, s->version, b.data), compact, is_short);
    s->size += b.size;
}

/* How long the types of fixed size are on the wire; 0 for the others. */
static inline __attribute__((always_inline)) size_t fixed_size(int type)
{
    switch (type) {
    case WIRE_BOOL:
    case WIRE_I8: return 1;
    case WIRE_I16:
    case WIRE_U16: return 2;
    case WIRE_I32:
    case WIRE_U32: return 4;
    case WIRE_I64:
    case WIRE_F64: return 8;
    case WIRE_UUID: return sizeof(struct uuid);
    default: return 0;
    }
}

/* One value that is no array and no nullable struct. */
static void size_value(struct sizer *s, const struct wire_field *f, int type, const char *in)
{
    size_t size = fixed_size(type);
    if (size > 0) {
        s->size += size;
        return;
    }
    switch (type) {
    case WIRE_STRING: size_bytes(s, f, wire_load_bytes(in), s->flexible, true); return;
    case WIRE_CLASSIC_STRING: size_bytes(s, f, wire_load_bytes(in), false, true); return;
    case WIRE_RECORDS:
        s->records_size += wire_load_bytes(in).size;
        s->records_count++;
        size_bytes(s, f, wire_load_bytes(in), s->flexible, false);
        return;
    case WIRE_BYTES: size_bytes(s, f, wire_load_bytes(in), s->flexible, false); return;
    case WIRE_STRUCT: size_struct(s, f->schema, in); return;
    default: check(false);
    }
}

static void size_array(struct sizer *s, const struct wire_field *f, const char *in)
{
    struct wire_array array = wire_load_array(in);
    check(array.count >= 0);
    check(array.count == 0 || array.items);
    size_length(s, (size_t)array.count, goes_as_null(f, s->version, array.items), s->flexible,
                false);
    size_t item_size = wire_item_size(f);
    const char *item = array.items;
    for (int32_t i = 0; i < array.count; i++, item += item_size)
        size_value(s, f, f->item_type, item);
}

static void size_field(struct sizer *s, const struct wire_field *f, const char *in)
{
    if (f->type == WIRE_ARRAY) {
        size_array(s, f, in);
    } else if (wire_is_pointer(f)) {
        s->size += 1;
        if (wire_load_pointer(in))
            size_struct(s, f->schema, wire_load_pointer(in));
    } else {
        size_value(s, f, f->type, in);
    }
}

static bool tag_is_sent(const struct wire_field *f, int version, const char *in)
{
    return wire_has_version(f, version) && !wire_is_default(f, version, in);
}

static void size_tags(struct sizer *s, const struct wire_schema *schema, const char *in)
{
    size_t count = 0;
    for (int i = schema->plain_count; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        if (!tag_is_sent(f, s->version, in + f->offset))
            continue;
        size_t before = s->size;
        size_field(s, f, in + f->offset);
        s->size += varint_size((uint64_t)f->tag) + varint_size(s->size - before);
        count++;
    }
    s->size += varint_size(count);
}

static void size_struct(struct sizer *s, const struct wire_schema *schema, const char *in)
{
    for (int i = 0; i < schema->plain_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        if (!wire_has_version(f, s->version))
            continue;
        size_t size = fixed_size(f->type);
        s->size += size;
        if (size == 0)
            size_field(s, f, in + f->offset);
    }
    if (s->flexible)
        size_tags(s, schema, in);
}

struct writer {
    uint8_t *at;
    uint8_t *start;
    struct wire_cuts *cuts; /* NULL: records are copied */
    int version;
    bool flexible;
};

static void put_struct(struct writer *w, const struct wire_schema *schema, const char *in);

static void put_length(struct writer *w, size_t length, bool is_null, bool compact, bool is_short)
{
    if (compact) {
        w->at += varint_put(w->at, is_null ? 0 : length + 1);
    } else if (is_short) {
        put_u16(w->at, is_null ? UINT16_MAX : (uint16_t)length);
        w->at += 2;
    } else {
        put_u32(w->at, is_null ? UINT32_MAX : (uint32_t)length);
        w->at += 4;
    }
}

static void put_bytes(struct writer *w, const struct wire_field *f, struct bytes b, bool compact,
                      bool is_short)
{
    put_length(w, b.size, goes_as_null(f, w->version, b.data), compact, is_short);
    if (b.size > 0)
        memcpy(w->at, b.data, b.size);
    w->at += b.size;
}

static void put_records(struct writer *w, const struct wire_field *f, const char *in)
{
    struct bytes b = wire_load_bytes(in);
    if (!w->cuts) {
        put_bytes(w, f, b, w->flexible, false);
        return;
    }
    put_length(w, b.size, goes_as_null(f, w->version, b.data), w->flexible, false);
    size_t position = (size_t)(w->at - w->start);
    w->cuts->items[w->cuts->count++] =
        (struct wire_cut){position, (const struct bytes *)(const void *)in};
}

static inline __attribute__((always_inline)) bool put_fixed(struct writer *w, int type,
                                                            const char *in)
{
    uint16_t half;
    uint32_t word;
    uint64_t wide;
    size_t size = fixed_size(type);
    switch (size) {
    case 1: memcpy(w->at, in, 1); break;
    case 2:
        memcpy(&half, in, 2);
        put_u16(w->at, half);
        break;
    case 4:
        memcpy(&word, in, 4);
        put_u32(w->at, word);
        break;
    case 8:
        memcpy(&wide, in, 8);
        put_u64(w->at, wide);
        break;
    case sizeof(struct uuid): memcpy(w->at, in, sizeof(struct uuid)); break;
    default: return false;
    }
    w->at += size;
    return true;
}

/* One value that is no array and no nullable struct. */
static void put_value(struct writer *w, const struct wire_field *f, int type, const char *in)
{
    if (put_fixed(w, type, in))
        return;
    switch (type) {
    case WIRE_STRING: put_bytes(w, f, wire_load_bytes(in), w->flexible, true); return;
    case WIRE_CLASSIC_STRING: put_bytes(w, f, wire_load_bytes(in), false, true); return;
    case WIRE_BYTES: put_bytes(w, f, wire_load_bytes(in), w->flexible, false); return;
    case WIRE_RECORDS: put_records(w, f, in); return;
    case WIRE_STRUCT: put_struct(w, f->schema, in); return;
    default: check(false);
    }
}

static void put_array(struct writer *w, const struct wire_field *f, const char *in)
{
    struct wire_array array = wire_load_array(in);
    put_length(w, (size_t)array.count, goes_as_null(f, w->version, array.items), w->flexible,
               false);
    size_t item_size = wire_item_size(f);
    const char *item = array.items;
    for (int32_t i = 0; i < array.count; i++, item += item_size)
        put_value(w, f, f->item_type, item);
}

static void put_pointer(struct writer *w, const struct wire_field *f, const char *in)
{
    const char *p = wire_load_pointer(in);
    *w->at++ = p ? 1 : UINT8_MAX;
    if (p)
        put_struct(w, f->schema, p);
}

static void put_field(struct writer *w, const struct wire_field *f, const char *in)
{
    if (f->type == WIRE_ARRAY)
        put_array(w, f, in);
    else if (wire_is_pointer(f))
        put_pointer(w, f, in);
    else
        put_value(w, f, f->type, in);
}

static void put_tags(struct writer *w, const struct wire_schema *schema, const char *in)
{
    size_t count = 0;
    for (int i = schema->plain_count; i < schema->field_count; i++)
        count += tag_is_sent(&schema->fields[i], w->version, in + schema->fields[i].offset);
    w->at += varint_put(w->at, count);
    for (int i = schema->plain_count; count > 0 && i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        if (!tag_is_sent(f, w->version, in + f->offset))
            continue;
        struct sizer s = {.version = w->version, .flexible = true};
        size_field(&s, f, in + f->offset);
        w->at += varint_put(w->at, (uint64_t)f->tag);
        w->at += varint_put(w->at, s.size);
        put_field(w, f, in + f->offset);
    }
}

static void put_struct(struct writer *w, const struct wire_schema *schema, const char *in)
{
    for (int i = 0; i < schema->plain_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        if (wire_has_version(f, w->version) && !put_fixed(w, f->type, in + f->offset))
            put_field(w, f, in + f->offset);
    }
    if (w->flexible)
        put_tags(w, schema, in);
}

static enum err measure(const struct wire_schema *schema, int version, const void *in,
                        struct sizer *out)
{
    enum err err = wire_check_version(schema, version);
    if (err)
        return err;
    *out = (struct sizer){.version = version, .flexible = version >= schema->flexible_since};
    size_struct(out, schema, in);
    if (out->too_large || out->size > INT32_MAX)
        return err_set(E_TOO_LARGE, "%s v%d holds a string, an array or a total that is too long",
                       schema->name, version);
    return OK;
}

enum err wire_size(const struct wire_schema *schema, int version, const void *in, size_t *out)
{
    struct sizer s;
    enum err err = measure(schema, version, in, &s);
    if (err)
        return err;
    *out = s.size;
    return OK;
}

static uint8_t *put_message(const struct wire_schema *schema, int version, const void *in,
                            uint8_t *at, struct wire_cuts *cuts)
{
    struct writer w = {.at = at, .start = at, .cuts = cuts, .version = version};
    w.flexible = version >= schema->flexible_since;
    put_struct(&w, schema, in);
    return w.at;
}

uint8_t *wire_put(const struct wire_schema *schema, int version, const void *in, uint8_t *at)
{
    return put_message(schema, version, in, at, NULL);
}

enum err wire_encode(const struct wire_schema *schema, int version, const void *in,
                     struct text *out)
{
    struct sizer s;
    enum err err = measure(schema, version, in, &s);
    if (err)
        return err;
    uint8_t *at = text_reserve(out, s.size);
    uint8_t *end = put_message(schema, version, in, at, NULL);
    check((size_t)(end - at) == s.size);
    out->size += s.size;
    return OK;
}

enum err wire_encode_cut(const struct wire_schema *schema, int version, const void *in,
                         struct text *out, struct arena *arena, struct wire_cuts *out_cuts)
{
    struct sizer s;
    enum err err = measure(schema, version, in, &s);
    if (err)
        return err;
    struct wire_cuts cuts = {arena_alloc(arena, s.records_count * sizeof *cuts.items), 0};
    if (!cuts.items)
        return err_set(E_TOO_LARGE, "%s v%d: too many records fields", schema->name, version);

    size_t size = s.size - s.records_size;
    uint8_t *at = text_reserve(out, size);
    uint8_t *end = put_message(schema, version, in, at, &cuts);
    check((size_t)(end - at) == size);
    check(cuts.count == s.records_count);
    for (size_t i = 0; i < cuts.count; i++)
        cuts.items[i].position += out->size;
    out->size += size;
    *out_cuts = cuts;
    return OK;
}
