#include "manage/list.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/vec.h"
#include "broker/pattern.h"
#include "manage/json.h"

enum {
    PAGE_SIZE_DEFAULT = 100,
    PAGE_SIZE_MAX = 500,
    FILTER_MAX_BYTES = 1000, /* of a regex */
    SLICE_ROWS = 100,        /* made in one turn */
    KEYS_MAX_BYTES = 1 << 30,
};

/* What the query asks for. */
struct list_query {
    bool has_page;
    int64_t page, page_size;
    const char *name, *sort, *columns;
    bool is_regex, is_reverse;
};

struct manage_list {
    const struct manage_list_kind *kind;
    struct pattern pattern; /* of the names that are wanted, if it is a regex */
    struct list_query query;
    struct arena arena; /* of the keys */
    VEC(struct manage_key) keys;
    size_t total, filtered; /* rows, before the page was cut out */
    size_t next;            /* key to make a row of */
    json_t *rows;
};

static void list_free(void *state)
{
    struct manage_list *list = state;

    json_decref(list->rows);
    pattern_reset(&list->pattern);
    arena_reset(&list->arena);
    vec_reset(&list->keys);
    free(list);
}

/* ---- the query ---- */

static bool take_number(const struct manage_call *call, const char *name, int64_t *out)
{
    const char *text = manage_query(call, name);

    return !text || number_parse_i64(bytes_from_string(text), out);
}

static bool read_query(struct manage_call *call, struct list_query *q)
{
    *q = (struct list_query){.page_size = PAGE_SIZE_DEFAULT,
                             .name = manage_query(call, "name"),
                             .sort = manage_query(call, "sort"),
                             .columns = manage_query(call, "columns"),
                             .is_regex = manage_query_is_true(call, "use_regex"),
                             .is_reverse = manage_query_is_true(call, "sort_reverse")};
    q->has_page = manage_query(call, "page") != NULL;
    if (q->sort && !*q->sort)
        q->sort = NULL;
    if (!q->has_page)
        return true;
    if (!take_number(call, "page", &q->page) || !take_number(call, "page_size", &q->page_size)) {
        manage_fail_as(call, 400, "bad_request", "Pagination parameters are invalid");
        return false;
    }
    if (q->page < 1 || q->page > INT32_MAX || q->page_size < 1 || q->page_size > PAGE_SIZE_MAX) {
        char reason[128];
        snprintf(reason, sizeof reason,
                 "Invalid pagination parameters: page number %lld, page size %lld",
                 (long long)q->page, (long long)q->page_size);
        manage_fail_as(call, 400, "invalid_pagination_parameters", reason);
        return false;
    }
    if (q->name && q->is_regex && strlen(q->name) > FILTER_MAX_BYTES) {
        manage_fail_as(call, 400, "invalid_pagination_parameters", "name filter regex is too long");
        return false;
    }
    return true;
}

/* ---- columns ---- */

/* The member that "a.b" leads to, or NULL. */
static json_t *dotted(const json_t *row, struct bytes path)
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

/* What is not there counts as 0. */
static int compare_values(const json_t *a, const json_t *b)
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

struct sorted_row {
    json_t *row;
    const json_t *value; /* of the column */
    size_t index;        /* among the rows as they were */
};

static int compare_rows(const void *a, const void *b)
{
    const struct sorted_row *of_a = a, *of_b = b;
    int order = compare_values(of_a->value, of_b->value);

    return order ? order : (of_a->index > of_b->index) - (of_a->index < of_b->index);
}

/* Rows that are equal in the column stay in their order. Takes and returns a reference. */
static json_t *sort_rows(json_t *rows, const char *column, bool is_reverse)
{
    size_t count = json_array_size(rows), i;
    struct sorted_row *items = xmalloc((count + 1) * sizeof *items);
    json_t *row, *out = json_array();

    json_array_foreach(rows, i, row) items[i] =
        (struct sorted_row){row, column ? dotted(row, bytes_from_string(column)) : NULL, i};
    if (column)
        qsort(items, count, sizeof *items, compare_rows);
    for (i = 0; i < count; i++)
        json_array_append(out, items[is_reverse ? count - 1 - i : i].row);
    free(items);
    json_decref(rows);
    return out;
}

static int compare_keys(const void *a, const void *b)
{
    const struct manage_key *of_a = a, *of_b = b;
    int order = bytes_compare(of_a->vhost, of_b->vhost);

    if (!order)
        order = bytes_compare(of_a->name, of_b->name);
    if (!order)
        order = bytes_compare(of_a->more, of_b->more);
    return order ? order : (of_a->id > of_b->id) - (of_a->id < of_b->id);
}

static void reverse_keys(struct manage_list *list)
{
    for (size_t i = 0, j = list->keys.count; i + 1 < j; i++) {
        struct manage_key key = list->keys.items[i];
        list->keys.items[i] = list->keys.items[--j];
        list->keys.items[j] = key;
    }
}

/* ---- the filter ---- */

static bool contains(struct bytes name, const char *part)
{
    size_t size = strlen(part);

    for (size_t i = 0; i + size <= name.size; i++)
        if (strncasecmp((const char *)name.data + i, part, size) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct manage_list *list, struct bytes name)
{
    const struct list_query *q = &list->query;

    if (!q->has_page || !q->name || !*q->name)
        return true;
    return q->is_regex ? pattern_matches(&list->pattern, name) : contains(name, q->name);
}

static void filter_keys(struct manage_list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->keys.count; i++)
        if (is_wanted(list, list->keys.items[i].name))
            list->keys.items[kept++] = list->keys.items[i];
    list->keys.count = kept;
}

/* ---- the page ---- */

/* What of `count` rows is on the page; false: the page lies behind the last. */
static bool cut_page(const struct list_query *q, size_t count, size_t *out_first, size_t *out_end)
{
    uint64_t first = (uint64_t)(q->page - 1) * (uint64_t)q->page_size;

    *out_first = 0;
    *out_end = count;
    if (!q->has_page)
        return true;
    if (first > count)
        return false;
    *out_first = first;
    if (count - first > (uint64_t)q->page_size)
        *out_end = first + (uint64_t)q->page_size;
    return true;
}

static void fail_out_of_range(struct manage_call *call, const struct list_query *q, size_t count)
{
    char reason[128];

    snprintf(reason, sizeof reason, "Page out of range, page: %lld page size: %lld, len: %zu",
             (long long)q->page, (long long)q->page_size, count);
    manage_fail_as(call, 400, "page_out_of_range", reason);
}

static json_t *page_object(const struct manage_list *list, json_t *items)
{
    int64_t size = list->query.page_size;
    int64_t pages = ((int64_t)list->filtered + size - 1) / size;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "total_count", (json_int_t)list->total,
                     "item_count", (json_int_t)json_array_size(items), "filtered_count",
                     (json_int_t)list->filtered, "page", (json_int_t)list->query.page, "page_size",
                     (json_int_t)size, "page_count", (json_int_t)pages, "items", items);
}

static void finish(struct manage_call *call)
{
    struct manage_list *list = call->state;
    json_t *items = json_array(), *row;
    size_t i;

    json_array_foreach(list->rows, i, row)
        json_array_append_new(items, manage_columns(call, json_incref(row)));
    manage_answer(call, 200, list->query.has_page ? page_object(list, items) : items);
}

/* All rows are there: by a column, and only now the page. */
static void sort_and_cut(struct manage_call *call)
{
    struct manage_list *list = call->state;
    size_t first, end, count = json_array_size(list->rows);

    if (!cut_page(&list->query, count, &first, &end)) {
        fail_out_of_range(call, &list->query, count);
        return;
    }
    list->filtered = count;
    list->rows = sort_rows(list->rows, list->query.sort, list->query.is_reverse);
    if (list->query.has_page) {
        json_t *page = json_array();
        for (size_t i = first; i < end; i++)
            json_array_append(page, json_array_get(list->rows, i));
        json_decref(list->rows);
        list->rows = page;
    }
    finish(call);
}

/* ---- many rows, in slices ---- */

static void add_row(struct manage_list *list, json_t *row)
{
    if (json_is_array(row)) {
        json_array_extend(list->rows, row);
        json_decref(row);
    } else if (row) {
        json_array_append_new(list->rows, row);
    }
}

static void make_slice(struct manage_call *call)
{
    struct manage_list *list = call->state;

    for (int made = 0; made < SLICE_ROWS && list->next < list->keys.count; made++)
        add_row(list, list->kind->row(call, &list->keys.items[list->next++]));
    if (list->next < list->keys.count)
        manage_yield(call, make_slice);
    else if (list->query.sort || list->kind->rows_are_many)
        sort_and_cut(call);
    else
        finish(call);
}

/* Upper and lower case are the same. */
static enum err make_pattern(struct manage_list *list)
{
    struct text text = {0};

    if (!list->query.has_page || !list->query.name || !list->query.is_regex)
        return OK;
    text_printf(&text, "(?i)%s", list->query.name);
    enum err err = pattern_init(&list->pattern, text_bytes(&text));
    text_reset(&text);
    return err;
}

/* NULL: the call is answered. */
static struct manage_list *list_new(struct manage_call *call)
{
    struct list_query query;

    if (!read_query(call, &query))
        return NULL;
    check(!call->state);
    struct manage_list *list = xzalloc(sizeof *list);
    list->query = query;
    arena_init(&list->arena, KEYS_MAX_BYTES);
    call->state = list;
    call->free_state = list_free;
    enum err err = make_pattern(list);
    if (err)
        manage_fail(call, err);
    return err ? NULL : list;
}

void manage_list(struct manage_call *call, const struct manage_list_kind *kind)
{
    struct manage_list *list = list_new(call);

    if (!list)
        return;
    list->kind = kind;
    list->rows = json_array();
    kind->collect(call, list);
    list->total = list->keys.count;
    filter_keys(list);
    list->filtered = list->keys.count;
    qsort(list->keys.items, list->keys.count, sizeof *list->keys.items, compare_keys);
    if (!list->query.sort && !kind->rows_are_many) {
        size_t first, end;
        if (list->query.is_reverse)
            reverse_keys(list);
        if (!cut_page(&list->query, list->keys.count, &first, &end)) {
            fail_out_of_range(call, &list->query, list->keys.count);
            return;
        }
        list->next = first;
        list->keys.count = end;
    }
    make_slice(call);
}

void manage_list_add(struct manage_list *list, const struct manage_key *key)
{
    struct manage_key copy = {.vhost = arena_copy(&list->arena, key->vhost),
                              .name = arena_copy(&list->arena, key->name),
                              .more = arena_copy(&list->arena, key->more),
                              .id = key->id};

    if (!list->arena.exhausted)
        vec_push(&list->keys, copy);
}

void manage_answer_list(struct manage_call *call, json_t *rows)
{
    struct manage_list *list = list_new(call);
    size_t i;
    json_t *row;

    if (!list) {
        json_decref(rows);
        return;
    }
    list->total = json_array_size(rows);
    list->rows = json_array();
    json_array_foreach(rows, i, row)
    {
        struct bytes name = manage_bytes_of(json_object_get(row, "name"));
        if (is_wanted(list, name))
            json_array_append(list->rows, row);
    }
    json_decref(rows);
    sort_and_cut(call);
}
