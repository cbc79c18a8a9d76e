#include "broker/exchange.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/exchange_internal.h"
#include "broker/queue_internal.h"

static const struct exchange_kind_row {
    const char *name;
    bool built;
} kinds[] = {
    [EXCHANGE_DIRECT] = {"direct", true},
    [EXCHANGE_FANOUT] = {"fanout", false},
    [EXCHANGE_TOPIC] = {"topic", false},
    [EXCHANGE_HEADERS] = {"headers", false},
};

/* What every vhost has from its beginning; those of kinds that are not built come with the kind. */
static const struct {
    const char *name;
    enum exchange_kind kind;
    bool internal;
} predeclared[] = {
    {"", EXCHANGE_DIRECT, false},
    {"amq.direct", EXCHANGE_DIRECT, false},
    {"amq.fanout", EXCHANGE_FANOUT, false},
    {"amq.topic", EXCHANGE_TOPIC, false},
    {"amq.headers", EXCHANGE_HEADERS, false},
    {"amq.match", EXCHANGE_HEADERS, false},
    {"amq.rabbitmq.trace", EXCHANGE_TOPIC, true},
};

const char *exchange_kind_name(enum exchange_kind kind)
{
    return kinds[kind].name;
}

bool exchange_kind_parse(struct bytes name, enum exchange_kind *out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!kinds[i].built || !bytes_equal_string(name, kinds[i].name))
            continue;
        *out = (enum exchange_kind)i;
        return true;
    }
    return false;
}

static struct bytes copy(struct bytes b)
{
    return b.size ? bytes_of(xmemdup(b.data, b.size), b.size) : bytes_of("", 0);
}

static void free_copy(struct bytes b)
{
    if (b.size)
        free((void *)b.data);
}

/* ---- exchanges ---- */

struct exchange *exchange_find(struct vhost *vhost, struct bytes name)
{
    return map_get(&vhost->exchanges, name);
}

/* In memory only. */
static struct exchange *exchange_new(struct vhost *vhost, const struct exchange_spec *spec)
{
    check(!exchange_find(vhost, spec->name));
    struct exchange *x = xzalloc(sizeof *x);
    x->internal_state = xzalloc(sizeof *x->internal_state);
    x->internal_state->exchange = x;
    list_init(&x->internal_state->bindings);
    x->name = copy(spec->name);
    x->vhost = vhost;
    x->kind = spec->kind;
    x->durable = spec->durable;
    x->auto_delete = spec->auto_delete;
    x->internal = spec->internal;
    x->arguments = copy(spec->arguments);
    map_put(&vhost->exchanges, x->name, x);
    return x;
}

static void exchange_free(struct exchange *x)
{
    map_reset(&x->internal_state->buckets);
    map_reset(&x->internal_state->by_identity);
    free_copy(x->name);
    free_copy(x->arguments);
    free(x->internal_state);
    free(x);
}

struct exchange *exchange_restore(struct vhost *vhost, const struct exchange_spec *spec)
{
    return exchange_new(vhost, spec);
}

struct exchange *exchange_create(struct vhost *vhost, const struct exchange_spec *spec)
{
    struct exchange *x = exchange_new(vhost, spec);
    if (x->durable)
        catalog_put(vhost->core, &x->internal_state->entry, CATALOG_EXCHANGE);
    return x;
}

bool exchange_has_bindings(const struct exchange *x)
{
    return !list_is_empty(&x->internal_state->bindings);
}

/* ---- bindings ---- */

/* Free with its key and identity in the same block. */
static struct binding *binding_new(struct exchange *x, struct queue *queue, struct bytes key,
                                   struct bytes arguments)
{
    struct binding *b = xzalloc(sizeof *b + sizeof queue + key.size + arguments.size);
    uint8_t *bytes = (uint8_t *)(b + 1);
    memcpy(bytes, &queue, sizeof queue);
    if (key.size)
        memcpy(bytes + sizeof queue, key.data, key.size);
    if (arguments.size)
        memcpy(bytes + sizeof queue + key.size, arguments.data, arguments.size);
    b->exchange = x;
    b->queue = queue;
    b->identity = bytes_of(bytes, sizeof queue + key.size);
    b->key = bytes_of(bytes + sizeof queue, key.size);
    b->arguments = bytes_of(bytes + sizeof queue + key.size, arguments.size);
    return b;
}

/* The first binding of queue and key, whatever its arguments. */
static struct binding *find_first(const struct exchange *x, const struct queue *queue,
                                  struct bytes key)
{
    uint8_t identity[sizeof queue + UINT8_MAX];
    check(key.size <= UINT8_MAX);
    memcpy(identity, &queue, sizeof queue);
    if (key.size)
        memcpy(identity + sizeof queue, key.data, key.size);
    return map_get(&x->internal_state->by_identity, bytes_of(identity, sizeof queue + key.size));
}

static void add_to_bucket(struct binding *b)
{
    struct exchange_internal *in = b->exchange->internal_state;
    struct bucket *bucket = map_get(&in->buckets, b->key);
    if (!bucket) {
        bucket = xzalloc(sizeof *bucket);
        bucket->key = copy(b->key);
        map_put(&in->buckets, bucket->key, bucket);
    }
    b->slot = bucket->queues.count;
    vec_push(&bucket->queues, b->queue);
    vec_push(&bucket->bindings, b);
}

static void remove_from_bucket(struct binding *b)
{
    struct exchange_internal *in = b->exchange->internal_state;
    struct bucket *bucket = map_get(&in->buckets, b->key);
    struct binding *last = vec_pop(&bucket->bindings);
    struct queue *last_queue = vec_pop(&bucket->queues);
    if (last != b) { /* it takes the place */
        bucket->bindings.items[b->slot] = last;
        bucket->queues.items[b->slot] = last_queue;
        last->slot = b->slot;
    }
    if (bucket->queues.count > 0)
        return;
    map_remove(&in->buckets, bucket->key);
    vec_reset(&bucket->queues);
    vec_reset(&bucket->bindings);
    free_copy(bucket->key);
    free(bucket);
}

static void link_binding(struct binding *b, struct binding *first)
{
    if (first) {
        b->next = first->next;
        first->next = b;
    } else {
        map_put(&b->exchange->internal_state->by_identity, b->identity, b);
        add_to_bucket(b);
    }
    list_push_back(&b->exchange->internal_state->bindings, &b->of_exchange);
    list_push_back(&b->queue->internal->bindings, &b->of_queue);
}

static void unlink_binding(struct binding *b)
{
    struct exchange_internal *in = b->exchange->internal_state;
    list_remove(&b->of_exchange);
    list_remove(&b->of_queue);
    struct binding *first = map_get(&in->by_identity, b->identity);
    if (first != b) {
        while (first->next != b)
            first = first->next;
        first->next = b->next;
        return;
    }
    map_remove(&in->by_identity, b->identity);
    remove_from_bucket(b);
    if (b->next) {
        map_put(&in->by_identity, b->next->identity, b->next);
        add_to_bucket(b->next);
    }
}

static void binding_drop(struct binding *b)
{
    unlink_binding(b);
    catalog_remove(b->exchange->vhost->core, &b->entry);
    free(b);
}

struct binding *binding_restore(struct exchange *x, struct queue *queue, struct bytes key,
                                struct bytes arguments)
{
    struct binding *b = binding_new(x, queue, key, arguments);
    link_binding(b, find_first(x, queue, key));
    return b;
}

void exchange_bind(struct exchange *x, struct queue *queue, struct bytes key,
                   struct bytes arguments)
{
    struct binding *first = find_first(x, queue, key);
    for (struct binding *b = first; b; b = b->next)
        if (bytes_equal(b->arguments, arguments))
            return;
    struct binding *b = binding_new(x, queue, key, arguments);
    link_binding(b, first);
    if (x->durable && queue->durable && !queue->exclusive)
        catalog_put(x->vhost->core, &b->entry, CATALOG_BINDING);
}

void exchange_unbind(struct exchange *x, struct queue *queue, struct bytes key,
                     struct bytes arguments)
{
    struct binding *b = find_first(x, queue, key);
    while (b && !bytes_equal(b->arguments, arguments))
        b = b->next;
    if (!b)
        return;
    binding_drop(b);
    if (x->auto_delete && !exchange_has_bindings(x))
        exchange_delete(x);
}

void bindings_drop_queue(struct queue *queue)
{
    while (!list_is_empty(&queue->internal->bindings)) {
        struct binding *b = container_of(queue->internal->bindings.next, struct binding, of_queue);
        struct exchange *x = b->exchange;
        binding_drop(b);
        if (x->auto_delete && !exchange_has_bindings(x))
            exchange_delete(x);
    }
}

void exchange_delete(struct exchange *x)
{
    while (exchange_has_bindings(x))
        binding_drop(container_of(x->internal_state->bindings.next, struct binding, of_exchange));
    catalog_remove(x->vhost->core, &x->internal_state->entry);
    map_remove(&x->vhost->exchanges, x->name);
    exchange_free(x);
}

/* ---- routing ---- */

static struct route default_route(struct vhost *vhost, struct bytes key)
{
    struct queue *queue = queue_find(vhost, key);
    return queue ? (struct route){&queue->internal->self, 1} : (struct route){NULL, 0};
}

static struct route direct_route(const struct exchange *x, struct bytes key)
{
    const struct bucket *bucket = map_get(&x->internal_state->buckets, key);
    return bucket ? (struct route){bucket->queues.items, bucket->queues.count}
                  : (struct route){NULL, 0};
}

struct route exchange_route(struct exchange *x, const struct message *m)
{
    switch (x->kind) {
    case EXCHANGE_DIRECT:
        return x->name.size == 0 ? default_route(x->vhost, m->routing_key)
                                 : direct_route(x, m->routing_key);
    case EXCHANGE_FANOUT:
    case EXCHANGE_TOPIC:
    case EXCHANGE_HEADERS: break; /* not built: never made */
    }
    check(false);
    return (struct route){NULL, 0};
}

/* ---- vhosts ---- */

struct vhost *vhost_find(struct core *core, struct bytes name)
{
    return map_get(&core->internal->vhosts, name);
}

struct vhost *vhost_restore(struct core *core, struct bytes name)
{
    check(!vhost_find(core, name));
    struct vhost *vhost = xzalloc(sizeof *vhost);
    vhost->name = copy(name);
    vhost->core = core;
    map_put(&core->internal->vhosts, vhost->name, vhost);
    for (size_t i = 0; i < sizeof predeclared / sizeof *predeclared; i++) {
        struct exchange_spec spec = {
            .name = bytes_from_string(predeclared[i].name),
            .kind = predeclared[i].kind,
            .durable = true,
            .internal = predeclared[i].internal,
        };
        if (kinds[spec.kind].built)
            exchange_new(vhost, &spec);
    }
    return vhost;
}

struct vhost *vhost_create(struct core *core, struct bytes name)
{
    struct vhost *vhost = vhost_restore(core, name);
    catalog_put(core, &vhost->entry, CATALOG_VHOST);
    return vhost;
}

static void vhost_free(struct vhost *vhost)
{
    size_t position = 0;
    struct exchange *x;
    while ((x = map_next(&vhost->exchanges, &position))) {
        while (exchange_has_bindings(x)) {
            struct binding *b =
                container_of(x->internal_state->bindings.next, struct binding, of_exchange);
            unlink_binding(b);
            free(b);
        }
        exchange_free(x);
    }
    map_reset(&vhost->exchanges);
    queues_free(vhost);
    free_copy(vhost->name);
    free(vhost);
}

void vhosts_free(struct core *core)
{
    size_t position = 0;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &position)))
        vhost_free(vhost);
    map_reset(&core->internal->vhosts);
}
