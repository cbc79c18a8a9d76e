#include "wire/amqp_table.h"

#include "base/check.h"
#include "wire/wire_internal.h"

static double read_float(struct reader *r)
{
    uint32_t word = reader_u32(r);
    float v;
    memcpy(&v, &word, sizeof v);
    return (double)v;
}

static double read_double(struct reader *r)
{
    uint64_t wide = reader_u64(r);
    double v;
    memcpy(&v, &wide, sizeof v);
    return v;
}

static void read_value(struct reader *r, struct amqp_value *out)
{
    *out = (struct amqp_value){.tag = (char)reader_u8(r)};
    switch (out->tag) {
    case 't': out->number = reader_u8(r) != 0; return;
    case 'b': out->number = (int8_t)reader_u8(r); return;
    case 'B': out->number = reader_u8(r); return;
    case 's': out->number = (int16_t)reader_u16(r); return;
    case 'u': out->number = reader_u16(r); return;
    case 'I': out->number = (int32_t)reader_u32(r); return;
    case 'i': out->number = reader_u32(r); return;
    case 'l':
    case 'L':
    case 'T': out->number = (int64_t)reader_u64(r); return;
    case 'f': out->real = read_float(r); return;
    case 'd': out->real = read_double(r); return;
    case 'D':
        out->scale = reader_u8(r);
        out->number = (int32_t)reader_u32(r);
        return;
    case 'S':
    case 'x':
    case 'F':
    case 'A': out->bytes = reader_bytes(r, reader_u32(r)); return;
    case 'V': return;
    default: reader_fail(r); return;
    }
}

bool amqp_array_next(struct reader *r, struct amqp_value *out)
{
    if (r->at == r->end)
        return false;
    struct amqp_value v;
    read_value(r, &v);
    if (r->bad)
        return false;
    *out = v;
    return true;
}

bool amqp_table_next(struct reader *r, struct amqp_entry *out)
{
    if (r->at == r->end)
        return false;
    struct amqp_entry e;
    e.name = reader_bytes(r, reader_u8(r));
    read_value(r, &e.value);
    if (r->bad)
        return false;
    *out = e;
    return true;
}

/* False with r->bad set when malformed. */
static bool walk(struct bytes b, bool is_table, int depth_left)
{
    struct reader r = reader_of(b);
    struct amqp_entry e;
    if (depth_left == 0)
        return false;
    while (is_table ? amqp_table_next(&r, &e) : amqp_array_next(&r, &e.value)) {
        bool is_nested = e.value.tag == 'F' || e.value.tag == 'A';
        if (is_nested && !walk(e.value.bytes, e.value.tag == 'F', depth_left - 1))
            return false;
    }
    return !r.bad;
}

enum err amqp_table_validate(struct bytes table, int depth_max)
{
    if (walk(table, true, depth_max))
        return OK;
    return err_set(E_MALFORMED, "field table of %zu bytes is malformed or deeper than %d",
                   table.size, depth_max);
}

bool amqp_table_find(struct bytes table, const char *name, struct amqp_value *out)
{
    struct reader r = reader_of(table);
    struct bytes wanted = bytes_from_string(name);
    struct amqp_entry e;
    while (amqp_table_next(&r, &e)) {
        if (bytes_equal(e.name, wanted)) {
            *out = e.value;
            return true;
        }
    }
    return false;
}

bool amqp_value_integer(const struct amqp_value *v, int64_t *out)
{
    switch (v->tag) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
    case 'l':
    case 'L': *out = v->number; return true;
    default: return false;
    }
}

const char *amqp_type_name(char tag)
{
    static const struct {
        char tag;
        const char *name;
    } names[] = {
        {'t', "bool"},          {'b', "byte"},      {'B', "unsignedbyte"}, {'s', "short"},
        {'u', "unsignedshort"}, {'I', "signedint"}, {'i', "unsignedint"},  {'l', "long"},
        {'L', "long"},          {'f', "float"},     {'d', "double"},       {'D', "decimal"},
        {'S', "longstr"},       {'x', "binary"},    {'T', "timestamp"},    {'F', "table"},
        {'A', "array"},         {'V', "void"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].tag == tag)
            return names[i].name;
    return "unknown";
}

static void put_real(struct text *t, const struct amqp_value *v)
{
    float narrow = (float)v->real;
    uint32_t word;
    uint64_t wide;
    memcpy(&word, &narrow, sizeof word);
    memcpy(&wide, &v->real, sizeof wide);
    if (v->tag == 'f')
        text_put_u32(t, word);
    else
        text_put_u64(t, wide);
}

void amqp_array_put(struct text *t, const struct amqp_value *v)
{
    text_put_u8(t, (uint8_t)v->tag);
    switch (v->tag) {
    case 't':
    case 'b':
    case 'B': text_put_u8(t, (uint8_t)v->number); return;
    case 's':
    case 'u': text_put_u16(t, (uint16_t)v->number); return;
    case 'I':
    case 'i': text_put_u32(t, (uint32_t)v->number); return;
    case 'l':
    case 'L':
    case 'T': text_put_u64(t, (uint64_t)v->number); return;
    case 'f':
    case 'd': put_real(t, v); return;
    case 'D':
        text_put_u8(t, v->scale);
        text_put_u32(t, (uint32_t)v->number);
        return;
    case 'S':
    case 'x':
    case 'F':
    case 'A':
        check(v->bytes.size <= UINT32_MAX);
        text_put_u32(t, (uint32_t)v->bytes.size);
        text_append(t, v->bytes);
        return;
    case 'V': return;
    default: check(false);
    }
}

void amqp_table_put_named(struct text *t, struct bytes name, const struct amqp_value *v)
{
    check(name.size <= UINT8_MAX);
    text_put_u8(t, (uint8_t)name.size);
    text_append(t, name);
    amqp_array_put(t, v);
}

void amqp_table_put(struct text *t, const char *name, const struct amqp_value *v)
{
    amqp_table_put_named(t, bytes_from_string(name), v);
}

void amqp_table_put_bool(struct text *t, const char *name, bool v)
{
    amqp_table_put(t, name, &(struct amqp_value){.tag = 't', .number = v});
}

void amqp_table_put_string(struct text *t, const char *name, struct bytes v)
{
    amqp_table_put(t, name, &(struct amqp_value){.tag = 'S', .bytes = v});
}

void amqp_table_put_table(struct text *t, const char *name, struct bytes v)
{
    amqp_table_put(t, name, &(struct amqp_value){.tag = 'F', .bytes = v});
}

static void dump_entries(struct bytes b, bool is_table, int depth_left, struct text *out);

static void dump_value(const struct amqp_value *v, int depth_left, struct text *out)
{
    text_printf(out, "%c", v->tag);
    switch (v->tag) {
    case 't': text_append_string(out, v->number ? " true" : " false"); return;
    case 'f':
    case 'd': text_printf(out, " %.17g", v->real); return;
    case 'D': text_printf(out, " %lldE-%u", (long long)v->number, v->scale); return;
    case 'S':
        text_append_string(out, " ");
        wire_dump_string(out, v->bytes);
        return;
    case 'x':
        text_append_string(out, " ");
        wire_dump_bytes(out, v->bytes);
        return;
    case 'F':
    case 'A':
        text_append_string(out, " ");
        dump_entries(v->bytes, v->tag == 'F', depth_left, out);
        return;
    case 'V': return;
    default: text_printf(out, " %lld", (long long)v->number); return;
    }
}

static void dump_entries(struct bytes b, bool is_table, int depth_left, struct text *out)
{
    struct reader r = reader_of(b);
    struct amqp_entry e;
    const char *between = "";
    if (depth_left == 0) {
        text_append_string(out, "!too deep");
        return;
    }
    text_append_string(out, is_table ? "{" : "[");
    while (is_table ? amqp_table_next(&r, &e) : amqp_array_next(&r, &e.value)) {
        text_append_string(out, between);
        between = ", ";
        if (is_table)
            text_printf(out, "%.*s: ", BYTES_FORMAT(e.name));
        dump_value(&e.value, depth_left - 1, out);
    }
    if (r.bad)
        text_printf(out, "%s!malformed", between);
    text_append_string(out, is_table ? "}" : "]");
}

void amqp_table_dump(struct bytes table, struct text *out)
{
    dump_entries(table, true, AMQP_TABLE_DEPTH_MAX, out);
}

static void random_entries(struct random *random, struct arena *arena, int depth, bool is_table,
                           struct text *out);

static struct amqp_value random_value(struct random *random, struct arena *arena, int depth,
                                      struct text *nested)
{
    static const char tags[] = "tbBsuIilLTfdDSxVFA";
    struct amqp_value v = {.tag = tags[random_below(random, depth > 1 ? 18 : 16)]};
    v.number = (int64_t)wire_random_number(random);
    v.scale = (uint8_t)random_below(random, 10);
    v.real = (double)random_below(random, 1000) / 8; /* the same as float and double */
    v.bytes = wire_random_bytes(random, arena, SIZE_MAX, v.tag == 'S');
    if (v.tag == 't')
        v.number &= 1;
    if (v.tag == 'F' || v.tag == 'A') {
        random_entries(random, arena, depth - 1, v.tag == 'F', nested);
        v.bytes = text_bytes(nested);
    }
    return v;
}

static void random_entries(struct random *random, struct arena *arena, int depth, bool is_table,
                           struct text *out)
{
    for (uint64_t i = random_below(random, 4); i > 0; i--) {
        struct text nested = {0};
        struct amqp_value v = random_value(random, arena, depth, &nested);
        if (is_table)
            amqp_table_put_named(out, wire_random_bytes(random, arena, UINT8_MAX, true), &v);
        else
            amqp_array_put(out, &v);
        text_reset(&nested);
    }
}

struct bytes amqp_table_random(struct random *random, struct arena *arena, int depth)
{
    struct text t = {0};
    random_entries(random, arena, depth, true, &t);
    struct bytes copy = arena_copy(arena, text_bytes(&t));
    text_reset(&t);
    return copy;
}
