/* Definitions written: what is never much at once; users, permissions, exchanges and queues with their
 * bindings some a turn, in the order of their names. */
#include "manage/definitions_export.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"
#include "broker/access.h"
#include "broker/exchange.h"
#include "broker/queue.h"
#include "manage/access_json.h"
#include "manage/definitions.h"
#include "manage/json.h"
#include "manage/slow_sort.h"

enum {
    SLICE_ROWS = 300,
    SLICE_COMPARISONS = 8192,
    RESTARTS_MAX = 8, /* then all of an object's bindings in one turn */
};

/* Of what there may be many, in the order in which they are written. */
enum kind { USER, PERMISSION, TOPIC_PERMISSION, EXCHANGE, QUEUE, KINDS };

/* What leads to one again in a later turn; bytes in the export's arena. */
struct key {
    enum kind kind;
    struct bytes vhost;    /* null: a user has none */
    struct bytes name;     /* of permissions the user's */
    struct bytes exchange; /* of a topic permission, or null */
};

struct definitions_export {
    struct core *core;
    struct vhost *only; /* of this turn; NULL: all vhosts */
    json_t *json, *lists[KINDS], *bindings;
    struct arena arena;
    VEC(struct key) keys;
    struct slow_sort sort;
    size_t next; /* in the order that was sorted */
    int rows;    /* of this turn */

    /* Of the next key, whose bindings may take several turns. */
    size_t first_row;         /* of its bindings */
    size_t written, position; /* bindings: so many in all, and of the walk that goes on */
    const uint8_t *last;      /* the key of the one written last, by which it is known again */
    bool is_begun, is_cut, has_changed;
    int restarts;
};

/* ---- order ---- */

static int compare_members(const json_t *a, const json_t *b, const char *name)
{
    const json_t *of_a = json_object_get(a, name), *of_b = json_object_get(b, name);

    return json_is_string(of_a) && json_is_string(of_b)
               ? bytes_compare(manage_bytes_of(of_a), manage_bytes_of(of_b))
               : 0;
}

static int compare_rows(const void *a, const void *b)
{
    static const char *const names[] = {"vhost", "user", "component", "name", "exchange"};
    int order = 0;

    for (size_t i = 0; !order && i < sizeof names / sizeof *names; i++)
        order = compare_members(*(json_t *const *)a, *(json_t *const *)b, names[i]);
    return order;
}

/* Takes and returns a reference. */
static json_t *sorted(json_t *rows)
{
    size_t count = json_array_size(rows), i;
    json_t **items = xmalloc((count + 1) * sizeof *items), *row, *out = json_array();

    json_array_foreach(rows, i, row) items[i] = row;
    qsort(items, count, sizeof *items, compare_rows);
    for (i = 0; i < count; i++)
        json_array_append(out, items[i]);
    free(items);
    json_decref(rows);
    return out;
}

static int compare_keys(const void *keys, uint32_t a, uint32_t b)
{
    const struct key *of_a = (const struct key *)keys + a, *of_b = (const struct key *)keys + b;
    int order = (int)of_a->kind - (int)of_b->kind;

    if (!order)
        order = bytes_compare(of_a->vhost, of_b->vhost);
    if (!order)
        order = bytes_compare(of_a->name, of_b->name);
    return order ? order : bytes_compare(of_a->exchange, of_b->exchange);
}

/* ---- vhosts ---- */

static json_t *metadata_json(const struct vhost *vhost)
{
    json_t *out = json_object();

    json_object_set_new(out, "description", manage_json(vhost->description));
    json_object_set_new(out, "tags", access_json_tags(&vhost->tags));
    if (vhost->default_queue_type.size)
        json_object_set_new(out, "default_queue_type", manage_json(vhost->default_queue_type));
    if (vhost->is_protected)
        json_object_set_new(out, "protected_from_deletion", json_true());
    return out;
}

/* What RabbitMQ 4.0 and 4.2 tell of a vhost, beside its name. */
static void put_vhost_members(const struct vhost *vhost, json_t *out)
{
    json_object_set_new(out, "description", manage_json(vhost->description));
    json_object_set_new(out, "metadata", metadata_json(vhost));
    json_object_set_new(out, "tags", access_json_tags(&vhost->tags));
    if (vhost->default_queue_type.size)
        json_object_set_new(out, "default_queue_type", manage_json(vhost->default_queue_type));
}

static void put_vhost(void *ctx, struct vhost *vhost)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", manage_json(vhost->name));
    put_vhost_members(vhost, out);
    json_array_append_new(ctx, out);
}

/* ---- policies and parameters ---- */

struct policies_export {
    const struct vhost *vhost; /* NULL: not to be told */
    json_t *rows;
};

static void put_policy(void *ctx, const struct policy *policy)
{
    struct policies_export *p = ctx;

    json_array_append_new(p->rows, manage_policy_json(p->vhost, policy));
}

static void put_policies(void *ctx, struct vhost *vhost)
{
    policy_each(vhost, POLICY_USER, put_policy, &(struct policies_export){vhost, ctx});
}

static void put_parameters(void *ctx, struct vhost *vhost)
{
    manage_parameters_put(vhost, BYTES_NULL, true, ctx);
}

/* ---- exchanges, queues, bindings ---- */

static void put_vhost_name(const struct definitions_export *e, json_t *out,
                           const struct vhost *vhost)
{
    if (!e->only)
        json_object_set_new(out, "vhost", manage_json(vhost->name));
}

/* Those of the turns before are passed over; what does not fit into this one waits. */
static bool is_next(struct definitions_export *e, const struct binding_description *b)
{
    size_t at = e->position++;

    if (at + 1 == e->written && b->key.data != e->last)
        e->has_changed = true;
    if (at < e->written)
        return false;
    e->is_cut = e->is_cut || (e->rows >= SLICE_ROWS && e->restarts < RESTARTS_MAX);
    if (e->is_cut)
        return false;
    e->written = at + 1;
    e->last = b->key.data;
    return true;
}

static void put_binding(void *ctx, const struct binding_description *b)
{
    struct definitions_export *e = ctx;

    if (!is_next(e, b))
        return;
    json_t *out = json_object();
    json_object_set_new(out, "source", manage_json(b->source->name));
    put_vhost_name(e, out, b->source->vhost);
    json_object_set_new(out, "destination",
                        manage_json(b->queue ? b->queue->name : b->target->name));
    json_object_set_new(out, "destination_type", json_string(b->queue ? "queue" : "exchange"));
    json_object_set_new(out, "routing_key", manage_json(b->key));
    json_object_set_new(out, "arguments", manage_json_table(b->arguments));
    json_array_append_new(e->bindings, out);
    e->rows++;
}

static void put_exchange(struct definitions_export *e, const struct exchange *x)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", manage_json(x->name));
    put_vhost_name(e, out, x->vhost);
    json_object_set_new(out, "type", json_string(exchange_kind_name(x->kind)));
    json_object_set_new(out, "durable", json_boolean(x->durable));
    json_object_set_new(out, "auto_delete", json_boolean(x->auto_delete));
    json_object_set_new(out, "internal", json_boolean(x->internal));
    json_object_set_new(out, "arguments", manage_json_table(x->arguments));
    json_array_append_new(e->lists[EXCHANGE], out);
}

static void put_queue(struct definitions_export *e, const struct queue *queue)
{
    json_t *out = json_object(), *arguments = manage_json_table(queue->arguments);
    json_t *type = json_object_get(arguments, "x-queue-type");

    json_object_set_new(out, "name", manage_json(queue->name));
    put_vhost_name(e, out, queue->vhost);
    json_object_set_new(out, "type", type ? json_incref(type) : json_string("classic"));
    json_object_set_new(out, "durable", json_boolean(queue->durable));
    json_object_set_new(out, "auto_delete", json_boolean(queue->auto_delete));
    json_object_set_new(out, "arguments", arguments);
    json_array_append_new(e->lists[QUEUE], out);
}

/* The object itself comes once, its bindings as far as they fit into the turn. */
static void put_queue_of(struct definitions_export *e, struct vhost *vhost, struct bytes name)
{
    struct queue *queue = queue_find(vhost, name);

    if (!queue || queue->exclusive)
        return;
    if (!e->is_begun)
        put_queue(e, queue);
    queue_each_binding(queue, put_binding, e);
}

static void put_exchange_of(struct definitions_export *e, struct vhost *vhost, struct bytes name)
{
    const struct exchange *x = exchange_find(vhost, name);

    if (!x)
        return;
    if (!e->is_begun && !bytes_has_prefix(x->name, "amq."))
        put_exchange(e, x);
    exchange_each_incoming(x, put_binding, e);
}

static void put_of_user(struct definitions_export *e, const struct key *key,
                        const struct vhost *vhost)
{
    const struct user *user = user_find(e->core, key->name);
    const struct permission *p = user && vhost ? permission_find(user, vhost) : NULL;
    const struct topic_permission *t =
        user && vhost ? topic_permission_find(user, vhost, key->exchange) : NULL;

    if (key->kind == USER && user)
        json_array_append_new(e->lists[USER], access_json_user(user));
    else if (key->kind == PERMISSION && p)
        json_array_append_new(e->lists[PERMISSION], access_json_permission(p));
    else if (key->kind == TOPIC_PERMISSION && t)
        json_array_append_new(e->lists[TOPIC_PERMISSION], access_json_topic_permission(t));
}

/* What is gone since is left out. */
static void put_key(struct definitions_export *e, const struct key *key)
{
    struct vhost *vhost = key->vhost.data ? vhost_find(e->core, key->vhost) : NULL;

    e->rows++;
    if (key->kind == QUEUE && vhost)
        put_queue_of(e, vhost, key->name);
    else if (key->kind == EXCHANGE && vhost)
        put_exchange_of(e, vhost, key->name);
    else
        put_of_user(e, key, vhost);
}

/* Bindings came or went between two turns: those of this object are written again. */
static void begin_bindings_again(struct definitions_export *e)
{
    while (json_array_size(e->bindings) > e->first_row)
        json_array_remove(e->bindings, json_array_size(e->bindings) - 1);
    e->written = 0;
    e->restarts++;
}

static void put_next(struct definitions_export *e)
{
    if (!e->is_begun) {
        e->first_row = json_array_size(e->bindings);
        e->written = 0;
        e->restarts = 0;
    }
    e->position = 0;
    e->is_cut = e->has_changed = false;
    put_key(e, &e->keys.items[e->sort.order[e->next]]);
    e->is_begun = true;
    if (e->has_changed || e->position < e->written) {
        begin_bindings_again(e);
    } else if (!e->is_cut) {
        e->is_begun = false;
        e->next++;
    }
}

static struct bytes copy(struct definitions_export *e, struct bytes name)
{
    return name.data ? arena_copy(&e->arena, name) : BYTES_NULL;
}

static void note_key(struct definitions_export *e, enum kind kind, struct bytes vhost,
                     struct bytes name, struct bytes exchange)
{
    struct key key = {kind, copy(e, vhost), copy(e, name), copy(e, exchange)};

    if (!e->arena.exhausted)
        vec_push(&e->keys, key);
}

static void note_user(void *ctx, struct user *user)
{
    note_key(ctx, USER, BYTES_NULL, user->name, BYTES_NULL);
}

static void note_permissions(void *ctx, struct vhost *vhost)
{
    list_each (node, &vhost->permissions) {
        const struct permission *p = container_of(node, struct permission, of_vhost);
        note_key(ctx, PERMISSION, vhost->name, p->user->name, BYTES_NULL);
    }
    list_each (node, &vhost->topic_permissions) {
        const struct topic_permission *p = container_of(node, struct topic_permission, of_vhost);
        note_key(ctx, TOPIC_PERMISSION, vhost->name, p->user->name, p->exchange);
    }
}

static void note_objects(void *ctx, struct vhost *vhost)
{
    const struct exchange *x;
    const struct queue *queue;

    for (size_t position = 0; (x = map_next(&vhost->exchanges, &position));)
        if (x->name.size)
            note_key(ctx, EXCHANGE, vhost->name, x->name, BYTES_NULL);
    for (size_t position = 0; (queue = map_next(&vhost->queues, &position));)
        note_key(ctx, QUEUE, vhost->name, queue->name, BYTES_NULL);
}

static void note_keys(struct definitions_export *e)
{
    if (e->only) {
        note_objects(e, e->only);
        return;
    }
    user_each(e->core, note_user, e);
    vhost_each(e->core, note_permissions, e);
    vhost_each(e->core, note_objects, e);
}

/* ---- the document ---- */

static void put_head(struct definitions_export *e, const struct definitions_origin *origin)
{
    const char *what = e->only ? "virtual host" : "cluster";
    struct bytes name = e->only ? e->only->name : bytes_from_string(origin->cluster);
    struct text explanation = {0};
    json_t *out = e->json;

    text_printf(&explanation, "Definitions of %s '%.*s'", what, BYTES_FORMAT(name));
    json_object_set_new(out, "rabbit_version", json_string(origin->version));
    json_object_set_new(out, "rabbitmq_version", json_string(origin->version));
    json_object_set_new(out, "product_name", json_string(origin->product));
    json_object_set_new(out, "product_version", json_string(origin->product_version));
    json_object_set_new(out, "rabbitmq_definition_format",
                        json_string(e->only ? "single_virtual_host" : "cluster"));
    json_object_set_new(out, e->only ? "original_vhost_name" : "original_cluster_name",
                        manage_json(name));
    json_object_set_new(out, "explanation", manage_json(text_bytes(&explanation)));
    text_reset(&explanation);
}

static void put_category(struct definitions_export *e, const char *name,
                         void (*put)(void *ctx, struct vhost *))
{
    json_t *rows = json_array();

    if (e->only)
        put(rows, e->only);
    else
        vhost_each(e->core, put, rows);
    json_object_set_new(e->json, name, sorted(rows));
}

/* In the definitions of one vhost nothing says which it is. */
static void drop_vhost_names(json_t *rows)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row) json_object_del(row, "vhost");
}

static void put_small_of_vhost(struct definitions_export *e)
{
    put_vhost_members(e->only, e->json);
    json_object_set_new(e->json, "limits", access_json_vhost_limits(e->only));
    put_category(e, "parameters", put_parameters);
    put_category(e, "policies", put_policies);
    drop_vhost_names(json_object_get(e->json, "parameters"));
    drop_vhost_names(json_object_get(e->json, "policies"));
}

/* A list that is filled in later turns. */
static json_t *put_list(struct definitions_export *e, const char *name)
{
    json_t *list = json_array();

    json_object_set_new(e->json, name, list);
    return list;
}

static void put_small(struct definitions_export *e)
{
    json_t *globals = json_array();

    e->lists[USER] = put_list(e, "users");
    put_category(e, "vhosts", put_vhost);
    e->lists[PERMISSION] = put_list(e, "permissions");
    e->lists[TOPIC_PERMISSION] = put_list(e, "topic_permissions");
    put_category(e, "parameters", put_parameters);
    manage_global_parameters_put(e->core, false, globals);
    json_object_set_new(e->json, "global_parameters", sorted(globals));
    put_category(e, "policies", put_policies);
}

struct definitions_export *definitions_export_new(struct core *core, struct vhost *only,
                                                  const struct definitions_origin *origin)
{
    struct definitions_export *e = xzalloc(sizeof *e);

    e->core = core;
    e->only = only;
    e->json = json_object();
    arena_init(&e->arena, 1 << 30);
    put_head(e, origin);
    if (only)
        put_small_of_vhost(e);
    else
        put_small(e);
    e->lists[QUEUE] = put_list(e, "queues");
    e->lists[EXCHANGE] = put_list(e, "exchanges");
    e->bindings = put_list(e, "bindings");
    note_keys(e);
    slow_sort_start(&e->sort, e->keys.count, compare_keys, e->keys.items);
    return e;
}

void definitions_export_free(struct definitions_export *e)
{
    if (!e)
        return;
    json_decref(e->json);
    slow_sort_reset(&e->sort);
    vec_reset(&e->keys);
    arena_reset(&e->arena);
    free(e);
}

json_t *definitions_export_some(struct definitions_export *e, struct vhost *only)
{
    e->only = only;
    if (!slow_sort_step(&e->sort, SLICE_COMPARISONS))
        return NULL;
    e->rows = 0;
    while (e->rows < SLICE_ROWS && e->next < e->keys.count)
        put_next(e);
    return e->next < e->keys.count ? NULL : json_incref(e->json);
}
