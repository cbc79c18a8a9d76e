#include "manage/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

/* What is no JSON may be told too shallow: reading it ends where it is wrong. */
static bool is_too_deep(struct bytes text)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < text.size && depth <= JSON_NESTING_MAX; i++) {
        uint8_t c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{'))
            depth++;
        else if (!in_string && (c == ']' || c == '}'))
            depth--;
    }
    return depth > JSON_NESTING_MAX;
}

enum err manage_json_parse(struct bytes text, size_t flags, json_t **out)
{
    json_error_t error;

    if (is_too_deep(text))
        return err_set(E_MALFORMED, "more than %d objects and lists inside one another",
                       JSON_NESTING_MAX);
    json_t *json = json_loadb(text.data ? (const char *)text.data : "", text.size, flags, &error);
    if (!json)
        return err_set(E_MALFORMED, "line %d: %s", error.line, error.text);
    *out = json;
    return OK;
}

/* How many bytes at `p` are one whole character of UTF-8; 0: they are none. */
static size_t character_size(const uint8_t *p, size_t size)
{
    for (size_t n = 1; n <= 4 && n <= size; n++)
        if (bytes_are_utf8(bytes_of(p, n)))
            return n;
    return 0;
}

static json_t *repaired(struct bytes b)
{
    struct text text = {0};

    for (size_t i = 0; i < b.size;) {
        size_t n = character_size(b.data + i, b.size - i);
        text_append(&text, n ? bytes_of(b.data + i, n) : BYTES_LITERAL("\xef\xbf\xbd"));
        i += n ? n : 1;
    }
    json_t *json = json_stringn(text_string(&text), text.size);
    text_reset(&text);
    return json;
}

json_t *manage_json(struct bytes b)
{
    json_t *json = json_stringn(b.data ? (const char *)b.data : "", b.size);

    if (!json)
        json = repaired(b);
    check(json);
    return json;
}

json_t *manage_json_count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

json_t *manage_json_rate(double per_second)
{
    json_t *json = json_object();

    json_object_set_new(json, "rate", json_real(isfinite(per_second) ? per_second : 0));
    return json;
}

/* ---- tables ---- */

static json_t *json_of_value(const struct amqp_value *v);

static json_t *json_of_array(struct bytes array)
{
    struct reader r = reader_of(array);
    struct amqp_value value;
    json_t *json = json_array();

    while (amqp_array_next(&r, &value))
        json_array_append_new(json, json_of_value(&value));
    return json;
}

static json_t *json_of_decimal(const struct amqp_value *v)
{
    return json_real((double)v->number / pow(10, v->scale));
}

static json_t *json_of_value(const struct amqp_value *v)
{
    switch (v->tag) {
    case 't': return json_boolean(v->number);
    case 'd':
    case 'f': return isfinite(v->real) ? json_real(v->real) : json_null();
    case 'D': return json_of_decimal(v);
    case 'S':
    case 'x': return manage_json(v->bytes);
    case 'F': return manage_json_table(v->bytes);
    case 'A': return json_of_array(v->bytes);
    case 'V': return json_null();
    default: return json_integer(v->number);
    }
}

json_t *manage_json_table(struct bytes table)
{
    struct reader r = reader_of(table);
    struct amqp_entry entry;
    json_t *json = json_object();

    while (amqp_table_next(&r, &entry)) {
        json_t *name = manage_json(entry.name);
        json_object_set_new(json, json_string_value(name), json_of_value(&entry.value));
        json_decref(name);
    }
    return json;
}

static enum err put_value(const json_t *json, struct amqp_value *out, struct text *inner,
                          int depth);

static enum err put_array(const json_t *array, struct text *out, int depth)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        struct amqp_value value = {0};
        struct text inner = {0};
        enum err err = put_value(item, &value, &inner, depth);
        if (!err)
            amqp_array_put(out, &value);
        text_reset(&inner);
        if (err)
            return err;
    }
    return OK;
}

static enum err put_table(const json_t *object, struct text *out, int depth)
{
    const char *name;
    json_t *item;

    json_object_foreach((json_t *)(uintptr_t)object, name, item)
    {
        struct amqp_value value = {0};
        struct text inner = {0};
        if (strlen(name) > UINT8_MAX)
            return err_set(E_INVALID, "a name has more than %d bytes", UINT8_MAX);
        enum err err = put_value(item, &value, &inner, depth);
        if (!err)
            amqp_table_put(out, name, &value);
        text_reset(&inner);
        if (err)
            return err;
    }
    return OK;
}

/* `inner` holds what *out refers to. */
static enum err put_value(const json_t *json, struct amqp_value *out, struct text *inner, int depth)
{
    enum err err = OK;

    if (depth == AMQP_TABLE_DEPTH_MAX)
        return err_set(E_INVALID, "more than %d objects inside one another", AMQP_TABLE_DEPTH_MAX);
    switch (json_typeof(json)) {
    case JSON_TRUE:
    case JSON_FALSE: *out = (struct amqp_value){.tag = 't', .number = json_is_true(json)}; break;
    case JSON_NULL: *out = (struct amqp_value){.tag = 'V'}; break;
    case JSON_INTEGER:
        *out = (struct amqp_value){.tag = 'l', .number = json_integer_value(json)};
        break;
    case JSON_REAL: *out = (struct amqp_value){.tag = 'd', .real = json_real_value(json)}; break;
    case JSON_STRING: *out = (struct amqp_value){.tag = 'S', .bytes = manage_bytes_of(json)}; break;
    case JSON_ARRAY:
        err = put_array(json, inner, depth + 1);
        *out = (struct amqp_value){.tag = 'A', .bytes = text_bytes(inner)};
        break;
    case JSON_OBJECT:
        err = put_table(json, inner, depth + 1);
        *out = (struct amqp_value){.tag = 'F', .bytes = text_bytes(inner)};
        break;
    }
    return err;
}

enum err manage_table_from_json(const json_t *object, struct text *out)
{
    if (!json_is_object(object))
        return err_set(E_INVALID, "not an object");
    return put_table(object, out, 1);
}
