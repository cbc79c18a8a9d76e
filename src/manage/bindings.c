/*
 * Bindings: lists of many kinds, make, delete. A binding has no name; what leads to it is its ends,
 * and its `properties_key`: the routing key, "~" when that is empty, and with arguments a hash of
 * them behind (RabbitMQ: "key~hash"). A list's key for one is its source, and a text of its
 * destination and routing key, and the hash of its arguments.
 */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "manage/list.h"
#include "manage/objects.h"
#include "manage/routes.h"

/* ---- one binding ---- */

static uint32_t hash_of(struct bytes arguments)
{
    return crc32c(arguments.data, arguments.size);
}

/* As a form quotes a byte; what stands as it is besides letters and digits is in `safe`. */
static size_t quote(uint8_t c, const char *safe, char out[4])
{
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    (c && strchr(safe, c));

    out[0] = c == ' ' ? '+' : (char)c;
    if (!is_plain && c != ' ')
        snprintf(out, 4, "%%%02X", c);
    return is_plain || c == ' ' ? 1 : 3;
}

static void put_quoted(struct text *out, struct bytes key, const char *safe)
{
    char quoted[4];

    for (size_t i = 0; i < key.size; i++)
        text_append(out, bytes_of(quoted, quote(key.data[i], safe, quoted)));
}

#define PLAIN_IN_KEYS ".-_"

static void put_properties_key(struct text *out, struct bytes key, struct bytes arguments)
{
    put_quoted(out, key, PLAIN_IN_KEYS);
    if (arguments.size)
        text_printf(out, "~%08x", (unsigned)hash_of(arguments));
    else if (!key.size)
        text_put_u8(out, '~');
}

/* Does it begin with the key, quoted? Most do not, which is seen at once. */
static bool begins_with_key(struct bytes wanted, struct bytes key)
{
    char quoted[4];
    size_t at = 0;

    for (size_t i = 0; i < key.size; i++) {
        size_t size = quote(key.data[i], PLAIN_IN_KEYS, quoted);
        if (size > wanted.size - at || memcmp(wanted.data + at, quoted, size) != 0)
            return false;
        at += size;
    }
    return true;
}

static bool has_properties_key(const struct binding_description *b, struct bytes wanted)
{
    struct text own = {0};

    if (!begins_with_key(wanted, b->key))
        return false;
    put_properties_key(&own, b->key, b->arguments);
    bool is_same = bytes_equal(text_bytes(&own), wanted);
    text_reset(&own);
    return is_same;
}

static json_t *object(struct bytes vhost, struct bytes source, struct bytes destination,
                      bool to_exchange, struct bytes key, struct bytes arguments)
{
    struct text properties_key = {0};
    json_t *json = json_object();

    put_properties_key(&properties_key, key, arguments);
    objects_put(json, "source", source);
    objects_put(json, "vhost", vhost);
    objects_put(json, "destination", destination);
    json_object_set_new(json, "destination_type", json_string(to_exchange ? "exchange" : "queue"));
    objects_put(json, "routing_key", key);
    json_object_set_new(json, "arguments", manage_json_table(arguments));
    objects_put(json, "properties_key", text_bytes(&properties_key));
    text_reset(&properties_key);
    return json;
}

static struct bytes destination_of(const struct binding_description *b)
{
    return b->queue ? b->queue->name : b->target->name;
}

static json_t *describe(const struct binding_description *b)
{
    return object(b->source->vhost->name, b->source->name, destination_of(b), !b->queue, b->key,
                  b->arguments);
}

/* Every queue is bound to the default exchange by its name. */
static json_t *default_binding(const struct queue *queue)
{
    return object(queue->vhost->name, bytes_of("", 0), queue->name, false, queue->name,
                  bytes_of("", 0));
}

/* ---- lists ---- */

struct collecting {
    struct manage_list *list;
    struct text more; /* scratch */
};

/* What comes behind the source in a list's key: 'q' or 'e', destination, routing key, and in the last
 * byte the size of the destination. */
static void put_more(struct text *out, bool to_exchange, struct bytes destination, struct bytes key)
{
    out->size = 0;
    text_put_u8(out, to_exchange ? 'e' : 'q');
    text_append(out, destination);
    text_append(out, key);
    text_put_u8(out, (uint8_t)destination.size);
}

static void add_binding(void *ctx, const struct binding_description *b)
{
    struct collecting *c = ctx;

    put_more(&c->more, !b->queue, destination_of(b), b->key);
    manage_list_add(c->list, &(struct manage_key){.vhost = b->source->vhost->name,
                                                  .name = b->source->name,
                                                  .more = text_bytes(&c->more),
                                                  .id = hash_of(b->arguments)});
}

static void add_default(struct collecting *c, const struct queue *queue)
{
    put_more(&c->more, false, queue->name, queue->name);
    manage_list_add(c->list, &(struct manage_key){.vhost = queue->vhost->name,
                                                  .name = bytes_of("", 0),
                                                  .more = text_bytes(&c->more)});
}

/* From the side of the destinations, which have few bindings each. */
static void add_of_queue(struct manage_list *list, const struct queue *queue)
{
    struct collecting c = {.list = list};

    add_default(&c, queue);
    queue_each_binding(queue, add_binding, &c);
    text_reset(&c.more);
}

static void add_to_exchange(struct manage_list *list, const struct exchange *x)
{
    struct collecting c = {.list = list};

    exchange_each_incoming(x, add_binding, &c);
    text_reset(&c.more);
}

static void add_default_of(struct manage_list *list, const struct queue *queue)
{
    struct collecting c = {.list = list};

    add_default(&c, queue);
    text_reset(&c.more);
}

static void collect_of_queue(struct manage_call *call, struct manage_list *list)
{
    const struct queue *queue = queue_find(call->vhost, manage_param(call, "name"));

    if (queue)
        add_of_queue(list, queue);
}

static const struct exchange *exchange_of(const struct manage_call *call)
{
    return exchange_find(call->vhost, objects_exchange_name(call, "name"));
}

static void collect_from_exchange(struct manage_call *call, struct manage_list *list)
{
    struct collecting c = {.list = list};
    const struct exchange *x = exchange_of(call);

    if (x)
        exchange_each_binding(x, add_binding, &c);
    text_reset(&c.more);
}

static void collect_to_exchange(struct manage_call *call, struct manage_list *list)
{
    const struct exchange *x = exchange_of(call);

    if (x)
        add_to_exchange(list, x);
}

struct finding {
    uint64_t hash;
    json_t *found;
};

static void find_by_hash(void *ctx, const struct binding_description *b)
{
    struct finding *f = ctx;

    if (!f->found && hash_of(b->arguments) == f->hash)
        f->found = describe(b);
}

static json_t *row(struct manage_call *call, const struct manage_key *key)
{
    struct bytes to = bytes_of(key->more.data + 1, key->more.data[key->more.size - 1]);
    struct bytes routing_key = bytes_of(to.data + to.size, key->more.size - to.size - 2);
    struct vhost *vhost = vhost_find(call->core, key->vhost);
    struct exchange *x = vhost ? exchange_find(vhost, key->name) : NULL;
    struct finding f = {.hash = key->id};

    if (!x)
        return NULL;
    struct queue *queue = key->more.data[0] == 'q' ? queue_find(vhost, to) : NULL;
    struct exchange *target = key->more.data[0] == 'e' ? exchange_find(vhost, to) : NULL;
    if (queue && !x->name.size)
        return default_binding(queue);
    if (queue || target)
        exchange_each_with_key(x, queue, target, routing_key, find_by_hash, &f);
    return f.found;
}

static void list_all(struct manage_call *call)
{
    static const struct manage_list_kind kind = {
        .add_queue = add_of_queue, .add_exchange = add_to_exchange, .row = row};
    manage_list(call, &kind);
}

static void list_of_queue(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_of_queue, .row = row};

    if (queue_find(call->vhost, manage_param(call, "name")))
        manage_list(call, &kind);
    else
        manage_not_found(call);
}

static void list_from_exchange(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_from_exchange, .row = row};
    static const struct manage_list_kind by_default = {.add_queue = add_default_of, .row = row};

    manage_list(call, objects_exchange_name(call, "name").size ? &kind : &by_default);
}

static void list_to_exchange(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_to_exchange, .row = row};
    manage_list(call, &kind);
}

/* ---- between two ends ---- */

/* The ends that the path names; both are there, or one of the last two is NULL. */
struct ends {
    struct exchange *source;
    struct queue *queue;
    struct exchange *target;
};

static bool is_to_exchange(const struct manage_call *call)
{
    return bytes_equal_string(manage_param(call, "kind"), "e");
}

/* The path says "q" or "e"; false: something else, the call has ended. */
static bool kind_is_known(struct manage_call *call)
{
    if (is_to_exchange(call) || bytes_equal_string(manage_param(call, "kind"), "q"))
        return true;
    manage_not_found(call);
    return false;
}

static struct ends ends_of(const struct manage_call *call)
{
    struct ends e = {.source = exchange_find(call->vhost, objects_exchange_name(call, "source"))};

    if (is_to_exchange(call))
        e.target = exchange_find(call->vhost, objects_exchange_name(call, "destination"));
    else
        e.queue = queue_find(call->vhost, manage_param(call, "destination"));
    return e;
}

static bool is_between(const struct ends *e, const struct binding_description *b)
{
    return b->source == e->source && b->queue == e->queue && b->target == e->target;
}

/* From the side of the destination, which has few. */
static void each_incoming(const struct ends *e, binding_fn *each, void *ctx)
{
    if (e->source && e->queue)
        queue_each_binding(e->queue, each, ctx);
    else if (e->source && e->target)
        exchange_each_incoming(e->target, each, ctx);
}

static bool is_default(const struct ends *e)
{
    return e->queue && e->source && !e->source->name.size;
}

/* ---- all between them ---- */

struct collecting_between {
    struct collecting to;
    struct ends ends;
};

static void add_if_between(void *ctx, const struct binding_description *b)
{
    struct collecting_between *c = ctx;

    if (is_between(&c->ends, b))
        add_binding(&c->to, b);
}

static void collect_between(struct manage_call *call, struct manage_list *list)
{
    struct collecting_between c = {.to = {.list = list}, .ends = ends_of(call)};

    if (is_default(&c.ends))
        add_default(&c.to, c.ends.queue);
    else
        each_incoming(&c.ends, add_if_between, &c);
    text_reset(&c.to.more);
}

static void list_between(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_between, .row = row};

    if (kind_is_known(call))
        manage_list(call, &kind);
}

/* ---- one of them ---- */

struct between {
    struct ends ends;
    struct bytes properties_key;
    json_t *rows;
    struct bytes key, arguments; /* of the last row */
};

static void take_between(void *ctx, const struct binding_description *b)
{
    struct between *w = ctx;

    if (!is_between(&w->ends, b) || !has_properties_key(b, w->properties_key))
        return;
    json_array_append_new(w->rows, describe(b));
    w->key = b->key;
    w->arguments = b->arguments;
}

/* False: the call has ended; otherwise w->rows has one. */
static bool find_one(struct manage_call *call, struct between *w)
{
    if (!kind_is_known(call))
        return false;
    *w = (struct between){
        .ends = ends_of(call), .properties_key = manage_param(call, "props"), .rows = json_array()};
    if (is_default(&w->ends))
        json_array_append_new(w->rows, default_binding(w->ends.queue));
    else
        each_incoming(&w->ends, take_between, w);
    if (json_array_size(w->rows))
        return true;
    json_decref(w->rows);
    manage_not_found(call);
    return false;
}

static void get_binding(struct manage_call *call)
{
    struct between w;

    if (!find_one(call, &w))
        return;
    manage_answer(call, 200, manage_columns(call, json_incref(json_array_get(w.rows, 0))));
    json_decref(w.rows);
}

static struct binding_declaration declaration_of(const struct manage_call *call)
{
    bool to_exchange = is_to_exchange(call);

    return (struct binding_declaration){.source = objects_exchange_name(call, "source"),
                                        .destination =
                                            to_exchange ? objects_exchange_name(call, "destination")
                                                        : manage_param(call, "destination"),
                                        .to_exchange = to_exchange};
}

/* Where the new binding is, relative to the path: "queue/key". */
static void add_location(struct manage_call *call, const struct binding_declaration *in)
{
    struct text location = {0}, properties_key = {0};

    put_properties_key(&properties_key, in->key, in->arguments);
    put_quoted(&location, in->destination, ".-_~");
    text_put_u8(&location, '/');
    put_quoted(&location, text_bytes(&properties_key), ".-_~");
    manage_add_header(call, "Location", text_bytes(&location));
    text_reset(&properties_key);
    text_reset(&location);
}

static void post_binding(struct manage_call *call)
{
    struct binding_declaration in = declaration_of(call);
    struct declarer by = objects_declarer(call);
    struct text arguments = {0};

    if (!kind_is_known(call))
        return;
    in.key = bytes_of("", 0);
    enum err err = manage_body_string(call, "routing_key", &in.key);
    if (!err)
        err = objects_body_arguments(call, &arguments);
    in.arguments = text_bytes(&arguments);
    if (!err)
        err = declare_not_default(in.source);
    if (!err)
        err = declare_binding(call->vhost, &in, &by);
    if (err) {
        objects_fail(call, err);
    } else {
        add_location(call, &in);
        manage_answer_durable(call, 201, NULL);
    }
    text_reset(&arguments);
}

static void delete_binding(struct manage_call *call)
{
    struct binding_declaration in = declaration_of(call);
    struct declarer by = objects_declarer(call);
    struct between w;

    if (!find_one(call, &w))
        return;
    json_decref(w.rows);
    in.key = bytes_dup(w.key); /* they go with the binding */
    in.arguments = bytes_dup(w.arguments);
    enum err err = declare_not_default(in.source);
    if (!err)
        err = declare_unbinding(call->vhost, &in, &by);
    bytes_free(in.key);
    bytes_free(in.arguments);
    if (err)
        objects_fail(call, err);
    else
        manage_answer_durable(call, 204, NULL);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "bindings", MANAGE_LOGIN, list_all},
    {MANAGE_GET, "bindings/:vhost", MANAGE_LOGIN, list_all},
    {MANAGE_GET, "queues/:vhost/:name/bindings", MANAGE_LOGIN, list_of_queue},
    {MANAGE_GET, "exchanges/:vhost/:name/bindings/source", MANAGE_LOGIN, list_from_exchange},
    {MANAGE_GET, "exchanges/:vhost/:name/bindings/destination", MANAGE_LOGIN, list_to_exchange},
    {MANAGE_GET, "bindings/:vhost/e/:source/:kind/:destination", MANAGE_LOGIN, list_between},
    {MANAGE_POST, "bindings/:vhost/e/:source/:kind/:destination", MANAGE_LOGIN, post_binding},
    {MANAGE_GET, "bindings/:vhost/e/:source/:kind/:destination/:props", MANAGE_LOGIN, get_binding},
    {MANAGE_DELETE, "bindings/:vhost/e/:source/:kind/:destination/:props", MANAGE_LOGIN,
     delete_binding},
};

const struct manage_routes manage_binding_routes = {routes, sizeof routes / sizeof routes[0]};
