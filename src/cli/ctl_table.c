/* Rows as rabbitmqctl prints them: a field by its kind, a table by its formatter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ctl.h"

/* ---- fields ---- */

static void put_erlang(struct text *out, const json_t *value);

/* [{"x-max-length",100},...], as rabbitmqctl prints an AMQP table. */
static void put_table(struct text *out, const json_t *object)
{
    const char *key, *separator = "";
    json_t *value;

    text_append_string(out, "[");
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        text_printf(out, "%s{\"%s\",", separator, key);
        put_erlang(out, value);
        text_append_string(out, "}");
        separator = ",";
    }
    text_append_string(out, "]");
}

static void put_erlang(struct text *out, const json_t *value)
{
    size_t i;
    json_t *item;

    if (json_is_object(value)) {
        put_table(out, value);
    } else if (json_is_array(value)) {
        text_append_string(out, "[");
        json_array_foreach(value, i, item)
        {
            text_append_string(out, i ? "," : "");
            put_erlang(out, item);
        }
        text_append_string(out, "]");
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        text_append_string(out, text ? text : "?");
        free(text);
    }
}

/* [a, b] */
static void put_list(struct text *out, const json_t *array)
{
    size_t i;
    json_t *item;

    text_append_string(out, "[");
    json_array_foreach(array, i, item)
    {
        text_append_string(out, i ? ", " : "");
        if (json_is_string(item))
            text_append_string(out, json_string_value(item));
        else
            put_erlang(out, item);
    }
    text_append_string(out, "]");
}

static void put_field(struct text *out, const struct ctl_column *column, const json_t *value)
{
    if (column->kind == CTL_EXCHANGE)
        text_append_string(out, "exchange");
    else if (!value || json_is_null(value))
        text_append_string(out, column->kind == CTL_ARGUMENTS ? "[]" : "");
    else if (json_is_string(value) && column->kind != CTL_JSON)
        text_append_string(out, json_string_value(value));
    else if (column->kind == CTL_JSON) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        text_append_string(out, text ? text : "?");
        free(text);
    } else if (column->kind == CTL_ARGUMENTS && json_is_array(value))
        text_append_string(out, "[]"); /* an empty object of the API */
    else if (json_is_array(value))
        put_list(out, value);
    else
        put_erlang(out, value);
}

static const char *amqp_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING: return "longstr";
    case JSON_INTEGER:
        return json_integer_value(value) == (int32_t)json_integer_value(value) ? "signedint"
                                                                               : "long";
    case JSON_REAL: return "double";
    case JSON_TRUE:
    case JSON_FALSE: return "bool";
    case JSON_OBJECT: return "table";
    case JSON_ARRAY: return "array";
    case JSON_NULL: return "void";
    }
    return "void";
}

/* [["x-max-length","signedint",100]], as rabbitmqctl's JSON has an AMQP table. */
static json_t *typed_table(const json_t *object)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        json_t *typed = json_is_object(value) ? typed_table(value) : json_incref(value);
        json_array_append_new(list, json_pack("[s, s, o]", key, amqp_type(value), typed));
    }
    return list;
}

static json_t *json_field(const struct ctl_column *column, const json_t *value)
{
    if (column->kind == CTL_EXCHANGE)
        return json_string("exchange");
    if (column->kind == CTL_ARGUMENTS)
        return typed_table(value);
    if (column->kind == CTL_JSON) {
        struct text text = {0};
        put_field(&text, column, value);
        json_t *string = json_string(text_string(&text));
        text_reset(&text);
        return string;
    }
    if (!value || json_is_null(value))
        return json_string("");
    return json_incref((json_t *)(uintptr_t)value);
}

/* ---- formatters ---- */

static const json_t *find_value(const struct ctl_column *column, const json_t *row)
{
    return output_find(row, column->key ? column->key : column->name);
}

static void print_line(const struct ctl_chosen *chosen, const json_t *row)
{
    struct text line = {0};

    for (size_t i = 0; i < chosen->count; i++) {
        text_append_string(&line, i ? "\t" : "");
        put_field(&line, chosen->columns[i], find_value(chosen->columns[i], row));
    }
    puts(text_string(&line));
    text_reset(&line);
}

static void print_table(const struct ctl *c, const struct ctl_listing *l,
                        const struct ctl_chosen *chosen, const json_t *rows)
{
    size_t i;
    json_t *row;

    if (json_array_size(rows) && !c->o.silent && !c->o.no_table_headers && !l->has_no_header) {
        for (i = 0; i < chosen->count; i++)
            printf("%s%s", i ? "\t" : "", chosen->columns[i]->name);
        putchar('\n');
    }
    json_array_foreach(rows, i, row) print_line(chosen, row);
}

static void print_json(const struct ctl_chosen *chosen, const json_t *rows)
{
    size_t i;
    json_t *row;

    puts("[");
    json_array_foreach(rows, i, row)
    {
        json_t *object = json_object();
        for (size_t k = 0; k < chosen->count; k++)
            json_object_set_new(
                object, chosen->columns[k]->name,
                json_field(chosen->columns[k], find_value(chosen->columns[k], row)));
        char *text = json_dumps(object, JSON_COMPACT);
        printf("%s%s\n", i ? "," : "", text);
        free(text);
        json_decref(object);
    }
    puts("]");
}

/* A quotation mark inside is doubled. */
static void print_csv_field(const char *text, bool is_first)
{
    printf("%s\"", is_first ? "" : ",");
    for (; *text; text++)
        printf("%s%c", *text == '"' ? "\"" : "", *text);
    putchar('"');
}

static void print_csv(const struct ctl_chosen *chosen, const json_t *rows)
{
    size_t i;
    json_t *row;

    for (i = 0; json_array_size(rows) && i < chosen->count; i++)
        print_csv_field(chosen->columns[i]->name, i == 0);
    if (json_array_size(rows))
        putchar('\n');
    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < chosen->count; k++) {
            struct text field = {0};
            put_field(&field, chosen->columns[k], find_value(chosen->columns[k], row));
            print_csv_field(text_string(&field), k == 0);
            text_reset(&field);
        }
        putchar('\n');
    }
}

/* A table drawn with lines, by output.h. */
static void print_pretty(const struct ctl_chosen *chosen, const json_t *rows)
{
    json_t *list = json_array(), *row;
    struct text columns = {0};
    size_t i;

    for (i = 0; i < chosen->count; i++)
        text_printf(&columns, "%s%s", i ? " " : "", chosen->columns[i]->name);
    json_array_foreach(rows, i, row)
    {
        json_t *object = json_object();
        for (size_t k = 0; k < chosen->count; k++) {
            struct text field = {0};
            put_field(&field, chosen->columns[k], find_value(chosen->columns[k], row));
            json_object_set_new(object, chosen->columns[k]->name, json_string(text_string(&field)));
            text_reset(&field);
        }
        json_array_append_new(list, object);
    }
    output_rows(list, text_string(&columns), false);
    text_reset(&columns);
}

int ctl_print_chosen(const struct ctl *c, const struct ctl_listing *l,
                     const struct ctl_chosen *chosen, const json_t *rows)
{
    bool is_empty = json_array_size(rows) == 0;

    if (is_empty && !l->is_stream)
        puts(ctl_is_json(c) ? "[]" : "");
    else if (ctl_is_json(c))
        print_json(chosen, rows);
    else if (strcmp(c->o.formatter, "csv") == 0)
        print_csv(chosen, rows);
    else if (strcmp(c->o.formatter, "pretty_table") == 0)
        print_pretty(chosen, rows);
    else
        print_table(c, l, chosen, rows);
    return CTL_OK;
}

int ctl_print_rows(const struct ctl *c, const struct ctl_listing *l, const json_t *rows)
{
    struct ctl_chosen chosen = {0};

    ctl_choose_all(l, &chosen);
    return ctl_print_chosen(c, l, &chosen, rows);
}

void ctl_choose_all(const struct ctl_listing *l, struct ctl_chosen *out)
{
    for (size_t i = 0; i < l->column_count; i++)
        out->columns[out->count++] = &l->columns[i];
}
