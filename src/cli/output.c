#include "cli/output.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"

enum { COLUMNS_MAX = 64, KEY_MAX_BYTES = 48 };

struct column {
    char key[KEY_MAX_BYTES];
    char title[KEY_MAX_BYTES];
    size_t width;
    bool is_number;
};

enum exit_code exit_code_of(enum err err)
{
    if (err == OK)
        return EXIT_CODE_OK;
    if (err == E_NOT_FOUND)
        return EXIT_CODE_NOT_FOUND;
    if (err == E_TIMEOUT)
        return EXIT_CODE_TIMEOUT;
    bool is_refusal = err == E_REFUSED || err == E_LOCKED || err == E_IN_USE || err == E_EXISTS ||
                      err == E_NOT_EMPTY || err == E_PRECONDITION;
    return is_refusal ? EXIT_CODE_REFUSED : EXIT_CODE_FAILED;
}

enum exit_code output_error(enum err err)
{
    fprintf(stderr, "pabal: %s\n", err_message(err));
    return exit_code_of(err);
}

/* ["a", "b"] as "a,b"; NULL when it is no array of strings. */
static char *joined(const json_t *array)
{
    char *text = xstrdup("");
    json_t *item;
    size_t i;

    json_array_foreach(array, i, item)
    {
        char *before = text;
        if (json_is_string(item))
            text = xasprintf("%s%s%s", before, i ? "," : "", json_string_value(item));
        else
            text = NULL;
        free(before);
        if (!text)
            return NULL;
    }
    return text;
}

/* A field's text, in a buffer that the caller frees. */
static char *field_text(const json_t *value)
{
    if (!value || json_is_null(value))
        return xstrdup("");
    if (json_is_string(value))
        return xstrdup(json_string_value(value));
    char *list = json_is_array(value) ? joined(value) : NULL;
    if (list)
        return list;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6) | JSON_COMPACT);
    return text ? text : xstrdup("?");
}

const json_t *output_find(const json_t *row, const char *key)
{
    char name[KEY_MAX_BYTES];
    size_t outer = strcspn(key, ".");

    check(outer < sizeof name);
    snprintf(name, sizeof name, "%.*s", (int)outer, key);
    const json_t *value = json_object_get(row, name);
    return value && key[outer] ? output_find(value, key + outer + 1) : value;
}

static void put_column(struct column *out, const char *key, size_t key_size, const char *title,
                       size_t title_size)
{
    check(key_size < KEY_MAX_BYTES && title_size < KEY_MAX_BYTES);
    *out = (struct column){.width = title_size, .is_number = true};
    memcpy(out->key, key, key_size);
    for (size_t i = 0; i < title_size; i++)
        out->title[i] = (char)toupper((unsigned char)title[i]);
}

static size_t split_columns(const char *columns, struct column *out)
{
    size_t count = 0;

    while (*columns) {
        size_t size = strcspn(columns, " "), key = strcspn(columns, " :");
        check(count < COLUMNS_MAX);
        put_column(&out[count++], columns, key, size > key ? columns + key + 1 : columns,
                   size > key ? size - key - 1 : key);
        columns += size + (columns[size] == ' ');
    }
    return count;
}

static void measure(const json_t *rows, struct column *columns, size_t count)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        for (size_t c = 0; c < count; c++) {
            const json_t *value = output_find(row, columns[c].key);
            char *text = field_text(value);
            if (strlen(text) > columns[c].width)
                columns[c].width = strlen(text);
            columns[c].is_number &= json_is_number(value);
            free(text);
        }
    }
}

/* The last column is not padded: no line ends in spaces. */
static void put_field(struct text *out, const struct column *column, const char *value,
                      bool is_last)
{
    int width = (int)column->width;

    if (column->is_number)
        text_printf(out, "%*s", width, value);
    else if (is_last)
        text_append_string(out, value);
    else
        text_printf(out, "%-*s", width, value);
    text_append_string(out, is_last ? "\n" : "  ");
}

void output_render(const json_t *rows, const char *columns, struct text *out)
{
    struct column split[COLUMNS_MAX];
    size_t count = split_columns(columns, split);
    size_t i;
    json_t *row;

    measure(rows, split, count);
    for (size_t c = 0; c < count; c++)
        put_field(out, &split[c], split[c].title, c + 1 == count);
    json_array_foreach(rows, i, row)
    {
        for (size_t c = 0; c < count; c++) {
            char *value = field_text(output_find(row, split[c].key));
            put_field(out, &split[c], value, c + 1 == count);
            free(value);
        }
    }
}

static void print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
}

void output_rows(json_t *rows, const char *columns, bool as_json)
{
    struct text text = {0};

    if (as_json) {
        print_json(rows);
    } else {
        output_render(rows, columns, &text);
        fputs(text_string(&text), stdout);
        text_reset(&text);
    }
    json_decref(rows);
}

void output_object(json_t *object, bool as_json)
{
    const char *key;
    json_t *value;

    if (as_json)
        print_json(object);
    else
        json_object_foreach(object, key, value)
        {
            char *text = field_text(value);
            printf("%s: %s\n", key, text);
            free(text);
        }
    json_decref(object);
}
