/* Random valid messages, for property tests and as seeds of fuzzing. */
#include "base/check.h"
#include "wire/wire_internal.h"

struct filler {
    struct random *random;
    struct arena *arena;
    int version;
    bool failed;
};

static void fill_struct(struct filler *fill, const struct wire_schema *schema, char *out);

/* Mostly small, sometimes the extremes, sometimes any bits. */
uint64_t wire_random_number(struct random *random)
{
    switch (random_below(random, 6)) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return (uint64_t)INT64_MAX >> (random_below(random, 4) * 16);
    case 3: return random_u64(random);
    default: return random_below(random, 1000);
    }
}

/* Empty, short, or long enough for a compact length of two bytes; NULL data when out of memory. */
struct bytes wire_random_bytes(struct random *random, struct arena *arena, size_t size_max,
                               bool printable)
{
    static const uint16_t limits[] = {1, 12, 12, 200};
    size_t size = random_below(random, limits[random_below(random, 4)]);
    size = size < size_max ? size : size_max;
    uint8_t *data = arena_alloc(arena, size);
    for (size_t i = 0; data && i < size; i++)
        data[i] = printable ? (uint8_t)('a' + random_below(random, 26))
                            : (uint8_t)random_below(random, 256);
    return data ? (struct bytes){data, size} : BYTES_NULL;
}

static void fill_bytes(struct filler *fill, int type, char *out)
{
    bool printable = type == WIRE_STRING || type == WIRE_CLASSIC_STRING;
    struct bytes b = wire_random_bytes(fill->random, fill->arena, SIZE_MAX, printable);
    fill->failed |= !b.data;
    wire_store_bytes(out, b);
}

static void fill_value(struct filler *fill, const struct wire_field *f, int type, char *out)
{
    switch (type) {
    case WIRE_BOOL: wire_store_number(type, out, (int64_t)random_below(fill->random, 2)); return;
    case WIRE_I8:
    case WIRE_I16:
    case WIRE_U16:
    case WIRE_I32:
    case WIRE_U32:
    case WIRE_I64:
    case WIRE_F64: wire_store_number(type, out, (int64_t)wire_random_number(fill->random)); return;
    case WIRE_UUID: random_fill(fill->random, out, sizeof(struct uuid)); return;
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
    case WIRE_BYTES:
    case WIRE_RECORDS: fill_bytes(fill, type, out); return;
    case WIRE_STRUCT: fill_struct(fill, f->schema, out); return;
    default: check(false);
    }
}

static void fill_array(struct filler *fill, const struct wire_field *f, char *out)
{
    bool is_long = random_below(fill->random, 50) == 0 && f->item_type != WIRE_STRUCT;
    size_t count = random_below(fill->random, is_long ? 300 : 4);
    size_t item_size = wire_item_size(f);
    char *items = arena_zalloc(fill->arena, count, item_size);
    if (!items) {
        fill->failed = true;
        return;
    }
    wire_store_array(out, (struct wire_array){items, (int32_t)count});
    for (size_t i = 0; i < count && !fill->failed; i++)
        fill_value(fill, f, f->item_type, items + i * item_size);
}

static void fill_pointer(struct filler *fill, const struct wire_field *f, char *out)
{
    char *p = arena_zalloc(fill->arena, 1, f->schema->size);
    if (!p) {
        fill->failed = true;
        return;
    }
    wire_store_pointer(out, p);
    fill_struct(fill, f->schema, p);
}

static void fill_field(struct filler *fill, const struct wire_field *f, char *out)
{
    if (wire_is_nullable(f, fill->version) && random_below(fill->random, 3) == 0)
        return; /* zeroed memory is null */
    if (f->type == WIRE_ARRAY)
        fill_array(fill, f, out);
    else if (wire_is_pointer(f))
        fill_pointer(fill, f, out);
    else
        fill_value(fill, f, f->type, out);
}

static void fill_struct(struct filler *fill, const struct wire_schema *schema, char *out)
{
    for (int i = 0; i < schema->field_count && !fill->failed; i++) {
        const struct wire_field *f = &schema->fields[i];
        bool keep_default = i >= schema->plain_count && random_below(fill->random, 2) == 0;
        if (wire_has_version(f, fill->version) && !keep_default)
            fill_field(fill, f, out + f->offset);
        else
            wire_store_default(f, out + f->offset);
    }
}

bool wire_random(const struct wire_schema *schema, int version, struct random *random,
                 struct arena *arena, void *out)
{
    struct filler fill = {random, arena, version, false};
    memset(out, 0, schema->size);
    fill_struct(&fill, schema, out);
    return !fill.failed;
}
