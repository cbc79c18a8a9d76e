#include "wire/wire.h"

#include "wire/wire_internal.h"

const struct wire_api *wire_api_find(const struct wire_api *apis, size_t count, int key)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (apis[middle].key == key)
            return &apis[middle];
        if (apis[middle].key < key)
            low = middle + 1;
        else
            count = middle;
    }
    return NULL;
}

const struct wire_record *wire_record_find(const struct wire_record *records, size_t count, int id)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (records[middle].id == id)
            return &records[middle];
        if (records[middle].id < id)
            low = middle + 1;
        else
            count = middle;
    }
    return NULL;
}

enum err wire_check_version(const struct wire_schema *schema, int version)
{
    if (version >= schema->min && version <= schema->max)
        return OK;
    return err_set(E_UNSUPPORTED, "%s has versions %d to %d, not %d", schema->name, schema->min,
                   schema->max, version);
}

void wire_init(const struct wire_schema *schema, void *out)
{
    memset(out, 0, schema->size);
    for (int i = 0; i < schema->field_count; i++)
        wire_store_default(&schema->fields[i], (char *)out + schema->fields[i].offset);
}

void *wire_new(const struct wire_schema *schema, struct arena *arena, size_t count)
{
    char *items = arena_zalloc(arena, count, schema->size);
    for (size_t i = 0; items && i < count; i++)
        wire_init(schema, items + i * schema->size);
    return items;
}

void wire_store_nonzero_default(const struct wire_field *f, void *p)
{
    if (f->type == WIRE_STRUCT)
        wire_init(f->schema, p);
    else
        wire_store_number(f->type, p, f->default_number);
}

static bool struct_is_default(const struct wire_schema *schema, int version, const char *in)
{
    for (int i = 0; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        if (wire_has_version(f, version) && !wire_is_default(f, version, in + f->offset))
            return false;
    }
    return true;
}

bool wire_is_default(const struct wire_field *f, int version, const void *p)
{
    switch (f->type) {
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
    case WIRE_BYTES:
    case WIRE_RECORDS: {
        struct bytes b = wire_load_bytes(p);
        return wire_is_nullable(f, version) ? b.data == NULL : b.size == 0;
    }
    case WIRE_ARRAY: {
        struct wire_array a = wire_load_array(p);
        return wire_is_nullable(f, version) ? a.items == NULL : a.count == 0;
    }
    case WIRE_STRUCT:
        if (wire_is_pointer(f))
            return wire_load_pointer(p) == NULL;
        return struct_is_default(f->schema, version, p);
    case WIRE_UUID: {
        struct uuid id;
        memcpy(&id, p, sizeof id);
        return uuid_is_zero(id);
    }
    default: return wire_load_number(f->type, p) == f->default_number;
    }
}

/* sizeof the C value; structs have their schema, and arrays do not nest. */
static const uint8_t type_sizes[] = {
    [WIRE_BOOL] = sizeof(bool),
    [WIRE_I8] = 1,
    [WIRE_I16] = 2,
    [WIRE_U16] = 2,
    [WIRE_I32] = 4,
    [WIRE_U32] = 4,
    [WIRE_I64] = 8,
    [WIRE_F64] = 8,
    [WIRE_UUID] = sizeof(struct uuid),
    [WIRE_STRING] = sizeof(struct bytes),
    [WIRE_CLASSIC_STRING] = sizeof(struct bytes),
    [WIRE_BYTES] = sizeof(struct bytes),
    [WIRE_RECORDS] = sizeof(struct bytes),
    [WIRE_OCTET] = 1,
    [WIRE_SHORT] = 2,
    [WIRE_LONG] = 4,
    [WIRE_LONGLONG] = 8,
    [WIRE_TIMESTAMP] = 8,
    [WIRE_SHORTSTR] = sizeof(struct bytes),
    [WIRE_LONGSTR] = sizeof(struct bytes),
    [WIRE_TABLE] = sizeof(struct bytes),
    [WIRE_BIT] = sizeof(bool),
};

size_t wire_item_size(const struct wire_field *f)
{
    return f->item_type == WIRE_STRUCT ? f->schema->size : type_sizes[f->item_type];
}

int64_t wire_load_number(int type, const void *p)
{
    int64_t wide = 0;
    int32_t word = 0;
    int16_t half = 0;
    int8_t byte = 0;
    switch (type_sizes[type]) {
    case 1: memcpy(&byte, p, 1); return type == WIRE_OCTET ? (uint8_t)byte : byte;
    case 2: memcpy(&half, p, 2); return type == WIRE_I16 ? half : (uint16_t)half;
    case 4: memcpy(&word, p, 4); return type == WIRE_I32 ? word : (int64_t)(uint32_t)word;
    default: /* a double is compared and copied as its bits */ memcpy(&wide, p, 8); return wide;
    }
}

void wire_store_number(int type, void *p, int64_t value)
{
    int32_t word = (int32_t)value;
    int16_t half = (int16_t)value;
    int8_t byte = (int8_t)value;
    switch (type_sizes[type]) {
    case 1: memcpy(p, &byte, 1); return;
    case 2: memcpy(p, &half, 2); return;
    case 4: memcpy(p, &word, 4); return;
    default: memcpy(p, &value, 8); return;
    }
}
