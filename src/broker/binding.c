/* Bindings: from an exchange to a queue or to another exchange. */
#include <limits.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/exchange_internal.h"
#include "broker/mutant.h"
#include "broker/queue_internal.h"

struct ends {
    struct exchange *exchange;
    struct queue *queue;
    struct exchange *target;
};

static const void *destination(const struct ends *e)
{
    return e->queue ? (const void *)e->queue : e->target;
}

/* Free with its key and identity in the same block. */
static struct binding *binding_new(const struct ends *e, struct bytes key, struct bytes arguments)
{
    const void *to = destination(e);
    struct binding *b = xzalloc(sizeof *b + sizeof to + key.size + arguments.size);
    uint8_t *bytes = (uint8_t *)(b + 1);
    memcpy(bytes, &to, sizeof to);
    if (key.size)
        memcpy(bytes + sizeof to, key.data, key.size);
    if (arguments.size)
        memcpy(bytes + sizeof to + key.size, arguments.data, arguments.size);
    b->exchange = e->exchange;
    b->queue = e->queue;
    b->target = e->target;
    b->identity = bytes_of(bytes, sizeof to + key.size);
    b->key = bytes_of(bytes + sizeof to, key.size);
    b->arguments = bytes_of(bytes + sizeof to + key.size, arguments.size);
    return b;
}

/* The first binding of these ends and key, whatever its arguments. */
static struct binding *find_first(const struct ends *e, struct bytes key)
{
    const void *to = destination(e);
    uint8_t identity[sizeof to + UINT8_MAX];
    check(key.size <= UINT8_MAX);
    memcpy(identity, &to, sizeof to);
    if (key.size)
        memcpy(identity + sizeof to, key.data, key.size);
    return map_get(&e->exchange->internal_state->by_identity,
                   bytes_of(identity, sizeof to + key.size));
}

static struct binding *find(const struct ends *e, struct bytes key, struct bytes arguments)
{
    struct binding *b = find_first(e, key);
    while (b && !bytes_equal(b->arguments, arguments))
        b = b->next;
    return b;
}

static struct core *core_of(const struct binding *b)
{
    return b->exchange->vhost->core;
}

static void link_binding(struct binding *b, struct binding *first)
{
    struct exchange_internal *in = b->exchange->internal_state;
    const struct exchange_type *type = exchange_type(b->exchange->matching);
    if (first) {
        b->next = first->next;
        first->next = b;
    } else {
        map_put(&in->by_identity, b->identity, b);
    }
    if (type->add)
        type->add(in, b);
    list_push_back(&in->bindings, &b->of_exchange);
    list_push_back(b->queue ? &b->queue->internal->bindings : &b->target->internal_state->incoming,
                   &b->of_destination);
    core_of(b)->internal->topology++;
}

static void unlink_identity(struct exchange_internal *in, struct binding *b)
{
    struct binding *first = map_get(&in->by_identity, b->identity);
    if (first != b) {
        while (first->next != b)
            first = first->next;
        first->next = b->next;
        return;
    }
    map_remove(&in->by_identity, b->identity);
    if (b->next)
        map_put(&in->by_identity, b->next->identity, b->next);
}

static void unlink_binding(struct binding *b)
{
    struct exchange_internal *in = b->exchange->internal_state;
    const struct exchange_type *type = exchange_type(b->exchange->matching);
    list_remove(&b->of_exchange);
    list_remove(&b->of_destination);
    unlink_identity(in, b);
    if (type->remove)
        type->remove(in, b);
    core_of(b)->internal->topology++;
}

struct exchange *binding_drop(struct binding *b)
{
    struct exchange *x = b->exchange;
    unlink_binding(b);
    if (BROKER_MUTANT == MUTANT_KEEP_BINDINGS)
        b->entry.offset = CATALOG_NEVER;
    catalog_remove(x->vhost->core, &b->entry);
    free(b);
    return x;
}

void bindings_free(struct exchange *x)
{
    struct exchange_internal *in = x->internal_state;
    while (!list_is_empty(&in->bindings)) {
        struct binding *b = container_of(in->bindings.next, struct binding, of_exchange);
        unlink_binding(b);
        free(b);
    }
}

struct binding *binding_restore(struct exchange *x, struct queue *queue, struct exchange *target,
                                struct bytes key, struct bytes arguments)
{
    struct ends e = {x, queue, target};
    struct binding *b = binding_new(&e, key, arguments);
    link_binding(b, find_first(&e, key));
    return b;
}

/* ---- lists ---- */

static void describe(const struct binding *b, binding_fn *each, void *ctx)
{
    each(ctx,
         &(struct binding_description){b->exchange, b->queue, b->target, b->key, b->arguments});
}

void exchange_each_binding(const struct exchange *x, binding_fn *each, void *ctx)
{
    list_each (node, &x->internal_state->bindings)
        describe(container_of(node, struct binding, of_exchange), each, ctx);
}

void exchange_each_incoming(const struct exchange *x, binding_fn *each, void *ctx)
{
    list_each (node, &x->internal_state->incoming)
        describe(container_of(node, struct binding, of_destination), each, ctx);
}

void queue_each_binding(const struct queue *queue, binding_fn *each, void *ctx)
{
    list_each (node, &queue->internal->bindings)
        describe(container_of(node, struct binding, of_destination), each, ctx);
}

void exchange_each_with_key(struct exchange *x, struct queue *queue, struct exchange *target,
                            struct bytes key, binding_fn *each, void *ctx)
{
    const struct ends e = {x, queue, target};
    const struct binding *b = key.size <= UINT8_MAX ? find_first(&e, key) : NULL;
    for (; b; b = b->next)
        describe(b, each, ctx);
}

/* ---- binding and unbinding ---- */

enum err exchange_check_binding(const struct exchange *x, struct bytes key, struct bytes arguments)
{
    const struct exchange_type *type = exchange_type(x->matching);
    return type->check_binding ? type->check_binding(x, key, arguments) : OK;
}

static void add(const struct ends *e, bool durable, struct bytes key, struct bytes arguments)
{
    if (find(e, key, arguments))
        return;
    struct binding *b = binding_restore(e->exchange, e->queue, e->target, key, arguments);
    if (durable)
        catalog_put(core_of(b), &b->entry, b->queue ? CATALOG_BINDING : CATALOG_EXCHANGE_BINDING);
    const struct exchange_type *type = exchange_type(b->exchange->matching);
    if (type->bound)
        type->bound(b->exchange->internal_state, b);
}

void exchange_bind(struct exchange *x, struct queue *queue, struct bytes key,
                   struct bytes arguments)
{
    add(&(struct ends){x, queue, NULL}, x->durable && queue->durable && !queue->exclusive, key,
        arguments);
}

void exchange_bind_exchange(struct exchange *x, struct exchange *target, struct bytes key,
                            struct bytes arguments)
{
    add(&(struct ends){x, NULL, target}, x->durable && target->durable, key, arguments);
}

static void drop(const struct ends *e, struct bytes key, struct bytes arguments)
{
    struct binding *b = find(e, key, arguments);
    if (b && exchange_is_unwanted(binding_drop(b)))
        exchange_delete(e->exchange);
}

void exchange_unbind(struct exchange *x, struct queue *queue, struct bytes key,
                     struct bytes arguments)
{
    drop(&(struct ends){x, queue, NULL}, key, arguments);
}

void exchange_unbind_exchange(struct exchange *x, struct exchange *target, struct bytes key,
                              struct bytes arguments)
{
    drop(&(struct ends){x, NULL, target}, key, arguments);
}

bool exchange_unbind_some(struct exchange *x, int count)
{
    struct list *bindings = &x->internal_state->bindings;
    for (; count > 0 && !list_is_empty(bindings); count--)
        binding_drop(container_of(bindings->next, struct binding, of_exchange));
    return !list_is_empty(bindings);
}

bool exchange_unbind_some_of(struct queue *queue, int count)
{
    struct list *bindings = &queue->internal->bindings;
    for (; count > 0 && !list_is_empty(bindings); count--) {
        struct exchange *x =
            binding_drop(container_of(bindings->next, struct binding, of_destination));
        if (exchange_is_unwanted(x))
            exchange_delete(x);
    }
    return !list_is_empty(bindings);
}

void bindings_drop_queue(struct queue *queue)
{
    exchange_unbind_some_of(queue, INT_MAX);
}
