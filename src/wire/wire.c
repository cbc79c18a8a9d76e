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

void wire_store_default(const struct wire_field *f, void *p)
{
    if (!f->has_default)
        return;
    if (f->type == WIRE_STRUCT)
        wire_init(f->schema, p);
    else
        wire_store_number((enum wire_type)f->type, p, f->default_number);
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
    switch ((enum wire_type)f->type) {
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
    case WIRE_BYTES:
    case WIRE_RECORDS:
    case WIRE_SHORTSTR:
    case WIRE_LONGSTR:
    case WIRE_TABLE: {
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
    case WIRE_BOOL:
    case WIRE_I8:
    case WIRE_I16:
    case WIRE_U16:
    case WIRE_I32:
    case WIRE_U32:
    case WIRE_I64:
    case WIRE_F64:
    case WIRE_OCTET:
    case WIRE_SHORT:
    case WIRE_LONG:
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP:
    case WIRE_BIT: return wire_load_number((enum wire_type)f->type, p) == f->default_number;
    }
    check(false);
    return false;
}

static size_t type_size(enum wire_type type)
{
    switch (type) {
    case WIRE_BOOL:
    case WIRE_BIT: return sizeof(bool);
    case WIRE_I8:
    case WIRE_OCTET: return 1;
    case WIRE_I16:
    case WIRE_U16:
    case WIRE_SHORT: return 2;
    case WIRE_I32:
    case WIRE_U32:
    case WIRE_LONG: return 4;
    case WIRE_I64:
    case WIRE_F64:
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP: return 8;
    case WIRE_UUID: return sizeof(struct uuid);
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
    case WIRE_BYTES:
    case WIRE_RECORDS:
    case WIRE_SHORTSTR:
    case WIRE_LONGSTR:
    case WIRE_TABLE: return sizeof(struct bytes);
    case WIRE_STRUCT:
    case WIRE_ARRAY:
        break; /* wiregen allows neither: structs have their schema, arrays do not nest */
    }
    check(false);
    return 0;
}

size_t wire_item_size(const struct wire_field *f)
{
    return f->item_type == WIRE_STRUCT ? f->schema->size : type_size((enum wire_type)f->item_type);
}

int64_t wire_load_number(enum wire_type type, const void *p)
{
    int64_t wide = 0;
    int32_t word = 0;
    int16_t half = 0;
    int8_t byte = 0;
    switch (type_size(type)) {
    case 1: memcpy(&byte, p, 1); return type == WIRE_OCTET ? (uint8_t)byte : byte;
    case 2: memcpy(&half, p, 2); return type == WIRE_I16 ? half : (uint16_t)half;
    case 4: memcpy(&word, p, 4); return type == WIRE_I32 ? word : (int64_t)(uint32_t)word;
    default: /* a double is compared and copied as its bits */ memcpy(&wide, p, 8); return wide;
    }
}

void wire_store_number(enum wire_type type, void *p, int64_t value)
{
    int32_t word = (int32_t)value;
    int16_t half = (int16_t)value;
    int8_t byte = (int8_t)value;
    switch (type_size(type)) {
    case 1: memcpy(p, &byte, 1); return;
    case 2: memcpy(p, &half, 2); return;
    case 4: memcpy(p, &word, 4); return;
    default: memcpy(p, &value, 8); return;
    }
}
