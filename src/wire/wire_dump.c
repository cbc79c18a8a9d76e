/*
 * Messages as text, for golden tests and traces:
 *
 *   produce_request v9
 *     transactional_id: null
 *     acks: -1
 *     topic_data: 1 item
 *       - name: "orders"
 *         partition_data: 1 item
 *           - index: 0
 *             records: 61 bytes 0000000000000000...
 *
 * What is not on the wire is not shown: fields of other versions, tagged fields with their default.
 */
#include "base/check.h"
#include "wire/wire_internal.h"

enum { DUMP_BYTES_MAX = 32 };

struct dumper {
    struct text *out;
    int version;
    int depth;
    bool in_item; /* the next line begins an array item */
};

static void dump_struct(struct dumper *d, const struct wire_schema *schema, const char *in);

void wire_dump_string(struct text *out, struct bytes b)
{
    text_append_string(out, "\"");
    for (size_t i = 0; i < b.size; i++) {
        uint8_t c = b.data[i];
        if (c == '"' || c == '\\')
            text_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            text_printf(out, "\\x%02x", c);
        else
            text_put_u8(out, c);
    }
    text_append_string(out, "\"");
}

void wire_dump_bytes(struct text *out, struct bytes b)
{
    text_printf(out, "%zu byte%s", b.size, b.size == 1 ? "" : "s");
    if (b.size > 0)
        text_append_string(out, " ");
    for (size_t i = 0; i < b.size && i < DUMP_BYTES_MAX; i++)
        text_printf(out, "%02x", b.data[i]);
    if (b.size > DUMP_BYTES_MAX)
        text_append_string(out, "...");
}

static void dump_uuid(struct text *out, const char *in)
{
    for (int i = 0; i < 16; i++)
        text_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                    (uint8_t)in[i]);
}

static void dump_double(struct text *out, const char *in)
{
    double v;
    memcpy(&v, in, sizeof v);
    text_printf(out, "%.17g", v);
}

static void dump_scalar(struct text *out, int type, bool nullable, const char *in)
{
    switch (type) {
    case WIRE_BOOL: text_append_string(out, wire_load_number(type, in) ? "true" : "false"); return;
    case WIRE_I8:
    case WIRE_I16:
    case WIRE_U16:
    case WIRE_I32:
    case WIRE_U32:
    case WIRE_I64: text_printf(out, "%lld", (long long)wire_load_number(type, in)); return;
    case WIRE_F64: dump_double(out, in); return;
    case WIRE_UUID: dump_uuid(out, in); return;
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
    case WIRE_BYTES:
    case WIRE_RECORDS: {
        struct bytes b = wire_load_bytes(in);
        if (nullable && !b.data)
            text_append_string(out, "null");
        else if (type == WIRE_STRING || type == WIRE_CLASSIC_STRING)
            wire_dump_string(out, b);
        else
            wire_dump_bytes(out, b);
        return;
    }
    default: check(false);
    }
}

/* Two spaces for each level; the first line of an item has its dash in the last two. */
static void dump_indent(struct dumper *d)
{
    for (int i = d->in_item ? 1 : 0; i < d->depth; i++)
        text_append_string(d->out, "  ");
    if (d->in_item)
        text_append_string(d->out, "- ");
    d->in_item = false;
}

static void dump_items(struct dumper *d, const struct wire_field *f, struct wire_array array)
{
    const char *item = array.items;
    text_printf(d->out, " %d item%s\n", array.count, array.count == 1 ? "" : "s");
    d->depth += 2;
    for (int32_t i = 0; i < array.count; i++, item += wire_item_size(f)) {
        d->in_item = true;
        dump_struct(d, f->schema, item);
        if (d->in_item) { /* nothing of it is on the wire */
            dump_indent(d);
            text_append_string(d->out, "\n");
        }
    }
    d->depth -= 2;
}

static void dump_array(struct dumper *d, const struct wire_field *f, const char *in)
{
    struct wire_array array = wire_load_array(in);
    if (!array.items && wire_is_nullable(f, d->version)) {
        text_append_string(d->out, " null\n");
        return;
    }
    if (f->item_type == WIRE_STRUCT) {
        dump_items(d, f, array);
        return;
    }
    const char *item = array.items;
    text_append_string(d->out, " [");
    for (int32_t i = 0; i < array.count; i++, item += wire_item_size(f)) {
        text_append_string(d->out, i ? ", " : "");
        dump_scalar(d->out, f->item_type, false, item);
    }
    text_append_string(d->out, "]\n");
}

static void dump_nested(struct dumper *d, const struct wire_field *f, const char *in)
{
    const char *p = wire_struct_of(f, in);
    if (!p) {
        text_append_string(d->out, " null\n");
        return;
    }
    text_append_string(d->out, "\n");
    d->depth++;
    dump_struct(d, f->schema, p);
    d->depth--;
}

static void dump_field(struct dumper *d, const struct wire_field *f, const char *in)
{
    dump_indent(d);
    text_printf(d->out, "%s:", f->name);
    if (f->type == WIRE_ARRAY) {
        dump_array(d, f, in);
    } else if (f->type == WIRE_STRUCT) {
        dump_nested(d, f, in);
    } else {
        text_append_string(d->out, " ");
        dump_scalar(d->out, f->type, wire_is_nullable(f, d->version), in);
        text_append_string(d->out, "\n");
    }
}

static void dump_struct(struct dumper *d, const struct wire_schema *schema, const char *in)
{
    for (int i = 0; i < schema->field_count; i++) {
        const struct wire_field *f = &schema->fields[i];
        bool tagged = i >= schema->plain_count;
        if (!wire_has_version(f, d->version))
            continue;
        if (!tagged || !wire_is_default(f, d->version, in + f->offset))
            dump_field(d, f, in + f->offset);
    }
}

void wire_dump(const struct wire_schema *schema, int version, const void *in, struct text *out)
{
    struct dumper d = {.out = out, .version = version, .depth = 1};
    text_printf(out, "%s v%d\n", schema->name, version);
    dump_struct(&d, schema, in);
}
