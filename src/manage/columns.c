#include "manage/columns.h"

#include <string.h>

#include "manage/json.h"
#include "manage/list.h"

/* ---- columns ---- */

json_t *columns_find(const json_t *row, struct bytes path)
{
    while (path.size) {
        const uint8_t *dot = memchr(path.data, '.', path.size);
        size_t size = dot ? (size_t)(dot - path.data) : path.size;
        row = json_object_getn(row, (const char *)path.data, size);
        size += dot ? 1 : 0;
        path = bytes_of(path.data + size, path.size - size);
    }
    return (json_t *)(uintptr_t)row;
}

/* Copy "a.b" of `row` to the same place in `out`. */
static void copy_column(json_t *out, const json_t *row, struct bytes path)
{
    const uint8_t *dot = memchr(path.data, '.', path.size);
    size_t size = dot ? (size_t)(dot - path.data) : path.size;
    json_t *value = json_object_getn(row, (const char *)path.data, size);

    if (!value)
        return;
    if (!dot || !json_is_object(value)) {
        json_object_setn(out, (const char *)path.data, size, value);
        return;
    }
    json_t *inner = json_object_getn(out, (const char *)path.data, size);
    if (!inner) {
        inner = json_object();
        json_object_setn_new(out, (const char *)path.data, size, inner);
    }
    copy_column(inner, value, bytes_of(dot + 1, path.size - size - 1));
}

json_t *manage_columns(const struct manage_call *call, json_t *row)
{
    const char *columns = manage_query(call, "columns");

    if (!columns || !json_is_object(row))
        return row;
    json_t *out = json_object();
    for (const char *at = columns; *at;) {
        const char *end = strchrnul(at, ',');
        if (end > at)
            copy_column(out, row, bytes_of(at, (size_t)(end - at)));
        at = *end ? end + 1 : end;
    }
    json_decref(row);
    return out;
}

/* ---- order ---- */

/* As Erlang orders what is of different types: numbers, words, objects, lists, texts. */
static int rank(const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_INTEGER) {
    case JSON_INTEGER:
    case JSON_REAL: return 0;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: return 1;
    case JSON_OBJECT: return 2;
    case JSON_ARRAY: return 3;
    case JSON_STRING: return 4;
    }
    return 5;
}

/* false, null, true: in the order of their letters. */
static int word_rank(const json_t *v)
{
    return json_is_true(v) ? 2 : json_is_null(v) ? 1 : 0;
}

int columns_compare(const json_t *a, const json_t *b)
{
    if (rank(a) != rank(b))
        return rank(a) - rank(b);
    switch (rank(a)) {
    case 0: {
        double of_a = a ? json_number_value(a) : 0, of_b = b ? json_number_value(b) : 0;
        return (of_a > of_b) - (of_a < of_b);
    }
    case 1: return word_rank(a) - word_rank(b);
    case 4: return bytes_compare(manage_bytes_of(a), manage_bytes_of(b));
    default: return 0;
    }
}
