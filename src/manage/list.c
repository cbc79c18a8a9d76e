#include "manage/list.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/vec.h"
#include "broker/exchange.h"
#include "broker/pattern.h"
#include "broker/session.h"
#include "broker/vhost.h"
#include "io/link.h"
#include "manage/columns.h"
#include "manage/json.h"
#include "manage/slow_sort.h"

enum {
    PAGE_SIZE_DEFAULT = 100,
    PAGE_SIZE_MAX = 500,
    FILTER_MAX_BYTES = 1000, /* of a regex */
    SLICE_ROWS = 40,         /* made in one turn */
    SLICE_COMPARISONS = 8192,
    SLICE_OBJECTS = 1500, /* named in one turn */
    SLICE_SEARCHES = 50,  /* by a regex, which may take a millisecond for a name */
    KEYS_MAX_BYTES = 1 << 30,
};

/* What the query asks for. */
struct list_query {
    bool has_page;
    int64_t page, page_size;
    const char *name, *sort, *columns;
    bool is_regex, is_reverse;
};

/* One row of the answer: where it comes from, and what it is sorted by. */
struct list_entry {
    uint32_t source; /* index of the key, or of the given row */
    uint32_t part;   /* of the array that the key's row() makes */
    json_t *value;   /* of the column to sort by; NULL: it has none */
};

/* Where the walk through the vhosts' maps is. */
struct list_walk {
    VEC(struct bytes) vhosts; /* names, in the list's arena */
    size_t vhost;
    bool in_exchanges;         /* behind the queues */
    bool has_restarted;        /* a map has grown or shrunk: some of it may be there twice */
    size_t position, capacity; /* in the map, and its */
    uint64_t session;          /* link id of the last one */
};

struct manage_list {
    const struct manage_list_kind *kind;
    struct pattern pattern; /* of the names that are wanted, if it is a regex */
    struct list_query query;
    struct arena arena; /* of the keys */
    VEC(struct manage_key) keys;
    json_t *given;          /* rows that are there already, instead of keys */
    size_t total;           /* before the filter */
    size_t searched, found; /* of the names, by the regex */
    struct list_walk walk;
    struct slow_sort sort;
    VEC(struct list_entry) entries; /* what was looked at, before it is sorted by a column */
    size_t next, first, end;        /* in the order that was sorted: the next one, and the page */
    json_t *made;                   /* what row() made last, for the parts to come */
    uint32_t made_of;
    struct text text; /* the rows of the answer, with commas between */
    size_t row_count;
};

static void list_free(void *state)
{
    struct manage_list *list = state;

    for (size_t i = 0; i < list->entries.count; i++)
        json_decref(list->entries.items[i].value);
    vec_reset(&list->entries);
    slow_sort_reset(&list->sort);
    json_decref(list->given);
    json_decref(list->made);
    text_reset(&list->text);
    pattern_reset(&list->pattern);
    arena_reset(&list->arena);
    vec_reset(&list->keys);
    vec_reset(&list->walk.vhosts);
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

/* ---- order ---- */

static int compare_entries(const void *ctx, uint32_t a, uint32_t b)
{
    const struct list_entry *entries = ctx;
    return columns_compare(entries[a].value, entries[b].value);
}

static int compare_keys(const void *ctx, uint32_t a, uint32_t b)
{
    const struct manage_key *of_a = (const struct manage_key *)ctx + a;
    const struct manage_key *of_b = (const struct manage_key *)ctx + b;
    int order = bytes_compare(of_a->vhost, of_b->vhost);

    if (!order)
        order = bytes_compare(of_a->name, of_b->name);
    if (!order)
        order = bytes_compare(of_a->more, of_b->more);
    return order ? order : (of_a->id > of_b->id) - (of_a->id < of_b->id);
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

/* By a part of the name, at once; a regex comes when all names are there. */
static bool is_wanted(const struct manage_list *list, struct bytes name)
{
    const struct list_query *q = &list->query;

    return !q->has_page || !q->name || q->is_regex || contains(name, q->name);
}

static size_t name_count(const struct manage_list *list)
{
    return list->given ? json_array_size(list->given) : list->keys.count;
}

static struct bytes name_at(const struct manage_list *list, size_t i)
{
    return list->given ? manage_bytes_of(json_object_get(json_array_get(list->given, i), "name"))
                       : list->keys.items[i].name;
}

/* Moves to the end of those that were found. */
static void keep(struct manage_list *list, size_t i)
{
    if (list->given)
        json_array_set(list->given, list->found, json_array_get(list->given, i));
    else
        list->keys.items[list->found] = list->keys.items[i];
    list->found++;
}

static void drop_the_rest(struct manage_list *list)
{
    list->keys.count = list->given ? 0 : list->found;
    while (json_array_size(list->given) > list->found)
        json_array_remove(list->given, json_array_size(list->given) - 1);
}

static void start_sorting(struct manage_call *call);

static void search_slice(struct manage_call *call)
{
    struct manage_list *list = call->state;
    size_t count = name_count(list);
    enum err err = OK;
    bool found;

    for (int i = 0; i < SLICE_SEARCHES && list->searched < count && !err; i++) {
        err = pattern_search(&list->pattern, name_at(list, list->searched), &found);
        if (!err && found)
            keep(list, list->searched);
        list->searched++;
    }
    if (err) {
        manage_fail(call, err);
    } else if (list->searched < count) {
        manage_yield(call, search_slice);
    } else {
        drop_the_rest(list);
        start_sorting(call);
    }
}

/* All names are there. */
static void end_collecting(struct manage_call *call)
{
    const struct manage_list *list = call->state;

    if (list->pattern.kind != PATTERN_NOTHING)
        search_slice(call);
    else
        start_sorting(call);
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

/* ---- the rows, some in each turn ---- */

static int append_json(const char *piece, size_t size, void *ctx)
{
    text_append(ctx, bytes_of(piece, size));
    return 0;
}

/* Takes the reference. */
static void put_row(struct manage_call *call, json_t *row)
{
    struct manage_list *list = call->state;

    row = manage_columns(call, row);
    if (list->row_count++)
        text_put_u8(&list->text, ',');
    if (json_dump_callback(row, append_json, &list->text, JSON_COMPACT | JSON_ENCODE_ANY))
        check(false); /* all strings were checked when they were made */
    json_decref(row);
}

static void put_rows(struct manage_call *call, json_t *rows)
{
    json_t *row;
    size_t i;

    if (!json_is_array(rows)) {
        if (rows)
            put_row(call, rows);
        return;
    }
    json_array_foreach(rows, i, row) put_row(call, json_incref(row));
    json_decref(rows);
}

/* A row, or an array of them; a new reference, NULL: it is gone since. */
static json_t *make_row(struct manage_call *call, uint32_t source)
{
    const struct manage_list *list = call->state;

    return list->given ? json_incref(json_array_get(list->given, source))
                       : list->kind->row(call, &list->keys.items[source]);
}

/* The part that an entry is of what its source makes. */
static void put_entry(struct manage_call *call, const struct list_entry *entry)
{
    struct manage_list *list = call->state;

    if (!list->made || list->made_of != entry->source) {
        json_decref(list->made);
        list->made = make_row(call, entry->source);
        list->made_of = entry->source;
    }
    json_t *row = json_is_array(list->made) ? json_array_get(list->made, entry->part) : list->made;
    if (row)
        put_row(call, json_incref(row));
}

static void answer(struct manage_call *call)
{
    struct manage_list *list = call->state;
    const struct list_query *q = &list->query;
    struct text out = {0};

    if (q->has_page) {
        int64_t filtered = (int64_t)list->sort.count;
        text_printf(&out,
                    "{\"total_count\":%zu,\"item_count\":%zu,\"filtered_count\":%lld,\"page\":%lld,"
                    "\"page_size\":%lld,\"page_count\":%lld,\"items\":",
                    list->total, list->row_count, (long long)filtered, (long long)q->page,
                    (long long)q->page_size,
                    (long long)((filtered + q->page_size - 1) / q->page_size));
    }
    text_put_u8(&out, '[');
    if (out.size == 1 && list->text.size) { /* it may be large: not copied */
        text_put_u8(&list->text, ']');
        list->text.data[0] = '[';
        text_reset(&out);
        manage_answer_json_text(call, 200, &list->text);
        return;
    }
    text_append(&out, bytes_of(list->text.data + 1, list->text.size ? list->text.size - 1 : 0));
    text_append_string(&out, q->has_page ? "]}" : "]");
    manage_answer_json_text(call, 200, &out);
}

static void put_slice(struct manage_call *call)
{
    struct manage_list *list = call->state;

    for (int made = 0; made < SLICE_ROWS && list->next < list->end; made++, list->next++) {
        size_t at = list->query.is_reverse ? list->sort.count - 1 - list->next : list->next;
        uint32_t index = list->sort.order[at];
        if (list->entries.count)
            put_entry(call, &list->entries.items[index]);
        else
            put_rows(call, make_row(call, index));
    }
    if (list->next < list->end)
        manage_yield(call, put_slice);
    else
        answer(call);
}

static void begin_rows(struct manage_call *call)
{
    struct manage_list *list = call->state;

    if (!cut_page(&list->query, list->sort.count, &list->first, &list->end)) {
        fail_out_of_range(call, &list->query, list->sort.count);
        return;
    }
    list->next = list->first;
    text_put_u8(&list->text, ' '); /* room for the bracket */
    put_slice(call);
}

/* ---- by a column: look at every row, then sort ---- */

static void sort_entries(struct manage_call *call)
{
    struct manage_list *list = call->state;

    if (slow_sort_step(&list->sort, SLICE_COMPARISONS))
        begin_rows(call);
    else
        manage_yield(call, sort_entries);
}

static void note_entry(struct manage_list *list, uint32_t source, uint32_t part, const json_t *row)
{
    json_t *value =
        list->query.sort ? columns_find(row, bytes_from_string(list->query.sort)) : NULL;

    vec_push(&list->entries, ((struct list_entry){source, part, json_incref(value)}));
}

static void look_at(struct manage_call *call, uint32_t source)
{
    struct manage_list *list = call->state;
    json_t *rows = make_row(call, source), *row;
    size_t i;

    if (json_is_array(rows)) {
        json_array_foreach(rows, i, row) note_entry(list, source, (uint32_t)i, row);
    } else if (rows) {
        note_entry(list, source, 0, rows);
    }
    json_decref(rows);
}

static void look_at_slice(struct manage_call *call)
{
    struct manage_list *list = call->state;

    for (int made = 0; made < SLICE_ROWS && list->next < list->sort.count; made++)
        look_at(call, list->sort.order[list->next++]);
    if (list->next < list->sort.count) {
        manage_yield(call, look_at_slice);
        return;
    }
    slow_sort_start(&list->sort, list->entries.count, compare_entries, list->entries.items);
    sort_entries(call);
}

/* Neighbours that are the same, after a walk that began anew. */
static void drop_doubles(struct manage_list *list)
{
    struct slow_sort *s = &list->sort;
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++)
        if (i == 0 || compare_keys(list->keys.items, s->order[kept - 1], s->order[i]) != 0)
            s->order[kept++] = s->order[i];
    s->count = kept;
}

/* In the order of names by now. What the answer says of counts, and the order by a column, can only
 * be known when every row was looked at. */
static void names_are_sorted(struct manage_call *call)
{
    struct manage_list *list = call->state;
    bool parts_count = list->kind && list->kind->rows_are_many && list->query.has_page;

    if (list->walk.has_restarted)
        drop_doubles(list);
    if (list->query.sort || parts_count)
        look_at_slice(call);
    else
        begin_rows(call);
}

static void sort_names(struct manage_call *call)
{
    struct manage_list *list = call->state;

    if (slow_sort_step(&list->sort, SLICE_COMPARISONS))
        names_are_sorted(call);
    else
        manage_yield(call, sort_names);
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

/* ---- the walk through vhosts ---- */

/* Rows that are there already are in their order. */
static void start_sorting(struct manage_call *call)
{
    struct manage_list *list = call->state;

    slow_sort_start(&list->sort, name_count(list), list->given ? NULL : compare_keys,
                    list->keys.items);
    sort_names(call);
}

static void note_vhost(void *ctx, struct vhost *vhost)
{
    struct manage_call *call = ctx;
    struct manage_list *list = call->state;

    if (call->vhost ? vhost == call->vhost : manage_may_see(call, vhost))
        vec_push(&list->walk.vhosts, arena_copy(&list->arena, vhost->name));
}

static const struct map *map_of(const struct list_walk *w, const struct vhost *vhost)
{
    return w->in_exchanges ? &vhost->exchanges : &vhost->queues;
}

static void add_object(struct manage_list *list, const void *object)
{
    const struct manage_list_kind *kind = list->kind;

    if (list->walk.in_exchanges && kind->add_exchange)
        kind->add_exchange(list, object);
    else if (!list->walk.in_exchanges && kind->add_queue)
        kind->add_queue(list, object);
}

/* Where nothing that is deleted meanwhile moves anything from behind to before: a free slot. */
static bool may_pause(const struct map *map, size_t position)
{
    return position >= map->capacity || !map->slots[position].value;
}

/* Some more objects of one map; true: that were all. */
static bool walk_map(struct manage_list *list, const struct map *map, int *budget)
{
    struct list_walk *w = &list->walk;
    const void *object;

    if (w->position && w->capacity != map->capacity) {
        w->position = 0;
        w->has_restarted = true;
    }
    w->capacity = map->capacity;
    while ((object = map_next(map, &w->position))) {
        add_object(list, object);
        if (--*budget <= 0 && may_pause(map, w->position))
            return false;
    }
    w->position = 0;
    return true;
}

static void walk_slice(struct manage_call *call)
{
    struct manage_list *list = call->state;
    struct list_walk *w = &list->walk;
    int budget = SLICE_OBJECTS;

    while (w->vhost < w->vhosts.count) {
        const struct vhost *vhost = vhost_find(call->core, w->vhosts.items[w->vhost]);
        if (vhost && !walk_map(list, map_of(w, vhost), &budget)) {
            manage_yield(call, walk_slice);
            return;
        }
        w->position = 0;
        if (w->in_exchanges)
            w->vhost++;
        w->in_exchanges = !w->in_exchanges;
    }
    end_collecting(call);
}

static void walk_sessions(struct manage_call *call)
{
    struct manage_list *list = call->state;
    size_t before = list->keys.count, visited = 0;
    struct session *session;

    while ((session = session_after(call->core, list->walk.session))) {
        list->walk.session = session->link->id;
        list->kind->add_session(call, list, session);
        visited++;
        if (list->keys.count - before + visited >= SLICE_OBJECTS) {
            manage_yield(call, walk_sessions);
            return;
        }
    }
    end_collecting(call);
}

/* ---- the handlers' side ---- */

void manage_list(struct manage_call *call, const struct manage_list_kind *kind)
{
    struct manage_list *list = list_new(call);

    if (!list)
        return;
    list->kind = kind;
    if (kind->collect) {
        kind->collect(call, list);
        end_collecting(call);
    } else if (kind->add_session) {
        walk_sessions(call);
    } else {
        vhost_each(call->core, note_vhost, call);
        walk_slice(call);
    }
}

void manage_list_add(struct manage_list *list, const struct manage_key *key)
{
    list->total++;
    if (!is_wanted(list, key->name))
        return;
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
    list->given = json_array();
    json_array_foreach(rows, i, row)
    {
        struct bytes name = manage_bytes_of(json_object_get(row, "name"));
        if (is_wanted(list, name))
            json_array_append(list->given, row);
    }
    json_decref(rows);
    end_collecting(call);
}
