/*
 * Routing: from an exchange and a message to queues. One walk visits exchanges, each once: what a
 * visit matches are queues, and exchanges to visit; an exchange where nothing matched sends to its
 * alternate. When only the routing key decided on the whole way, the result is kept for the next
 * message with the same exchange and key, until any binding changes.
 *
 * The cache is a fixed number of slots, each taken by the newest comer: its memory is bounded, and
 * a miss costs no more than no cache.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/delays.h"
#include "broker/exchange_internal.h"
#include "broker/queue_internal.h"

typedef VEC(struct queue *) queue_list;

enum { CACHE_SLOTS = 1024 };

struct route_slot {
    const struct exchange *exchange;
    uint64_t topology; /* when it was filled */
    queue_list queues;
    uint8_t key_size;
    uint8_t key[UINT8_MAX];
};

struct route_cache {
    struct route_slot *slots[CACHE_SLOTS];
    queue_list queues; /* of what is not kept */
    VEC(struct exchange *) to_visit;
    binding_list matched;
    uint64_t stamp;
};

void route_cache_free(struct route_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (c->slots[i])
            vec_reset(&c->slots[i]->queues);
        free(c->slots[i]);
    }
    vec_reset(&c->queues);
    vec_reset(&c->to_visit);
    vec_reset(&c->matched);
    free(c);
}

/* ---- the walk ---- */

struct walk {
    struct route_cache *cache;
    const struct message *message;
    const struct bytes *more_keys;
    size_t more_count;
    bool by_key;    /* nothing but the key has decided so far */
    bool is_asking; /* nothing is published */
    queue_list *out;
};

static void take_queue(struct walk *w, struct queue *queue)
{
    if (queue->internal->routed == w->cache->stamp)
        return;
    queue->internal->routed = w->cache->stamp;
    vec_push(w->out, queue);
}

static void follow(struct walk *w, const struct binding *b)
{
    if (b->queue)
        take_queue(w, b->queue);
    else
        vec_push(&w->cache->to_visit, b->target);
}

static void visit_alternate(struct walk *w, struct exchange *x)
{
    struct exchange *alternate = NULL;
    if (x->internal_state->alternate.data)
        alternate = exchange_find(x->vhost, x->internal_state->alternate);
    if (alternate)
        vec_push(&w->cache->to_visit, alternate);
}

static void match_key(struct walk *w, struct exchange *x, struct bytes key)
{
    if (x->name.size > 0) {
        exchange_type(x->matching)->match(x->internal_state, w->message, key, &w->cache->matched);
        return;
    }
    struct queue *queue = queue_find(x->vhost, key);
    w->by_key = false; /* queues come and go without a binding */
    if (queue)
        take_queue(w, queue);
}

static void visit(struct walk *w, struct exchange *x)
{
    struct exchange_internal *in = x->internal_state;
    binding_list *matched = &w->cache->matched;
    if (in->visited == w->cache->stamp)
        return;
    in->visited = w->cache->stamp;
    const struct exchange_type *type = exchange_type(x->matching);
    w->by_key = w->by_key && !in->delays && type->by_key;
    if (in->delays && delays_of_message(w->message) > 0) {
        take_queue(w, in->delays);
        return;
    }
    if (type->note && !w->is_asking)
        type->note(in, w->message);
    size_t before = w->out->count;
    vec_clear(matched);
    match_key(w, x, w->message->routing_key);
    for (size_t i = 0; i < w->more_count; i++)
        match_key(w, x, w->more_keys[i]);
    for (size_t i = 0; i < matched->count; i++)
        follow(w, matched->items[i]);
    if (matched->count == 0 && w->out->count == before)
        visit_alternate(w, x);
}

static void walk_from(struct walk *w, struct exchange *x)
{
    w->cache->stamp++;
    vec_clear(w->out);
    vec_clear(&w->cache->to_visit);
    for (; x; x = w->cache->to_visit.count ? vec_pop(&w->cache->to_visit) : NULL)
        visit(w, x);
}

/* ---- the cache ---- */

static struct route_cache *cache_of(struct core *core)
{
    if (!core->internal->routes)
        core->internal->routes = xzalloc(sizeof *core->internal->routes);
    return core->internal->routes;
}

static struct route_slot **slot_for(struct route_cache *c, const struct exchange *x,
                                    struct bytes key)
{
    uint64_t hash = bytes_hash(key) ^ bytes_hash_u64((uintptr_t)x);
    return &c->slots[hash % CACHE_SLOTS];
}

static bool slot_has(const struct route_slot *s, const struct exchange *x, struct bytes key)
{
    return s && s->exchange == x && s->topology == x->vhost->core->internal->topology &&
           bytes_equal(bytes_of(s->key, s->key_size), key);
}

/* The route just found is kept: it changes places with what the slot had. */
static struct route keep(struct walk *w, struct route_slot **at, const struct exchange *x)
{
    if (!*at)
        *at = xzalloc(sizeof **at);
    struct route_slot *s = *at;
    queue_list had = s->queues;
    s->queues = w->cache->queues;
    w->cache->queues = had;
    s->exchange = x;
    s->topology = x->vhost->core->internal->topology;
    s->key_size = (uint8_t)w->message->routing_key.size;
    if (s->key_size)
        memcpy(s->key, w->message->routing_key.data, s->key_size);
    return (struct route){s->queues.items, s->queues.count};
}

static struct route default_route(struct vhost *vhost, struct bytes key)
{
    struct queue *queue = queue_find(vhost, key);
    return queue ? (struct route){&queue->internal->self, 1} : (struct route){NULL, 0};
}

static struct route find_route(struct exchange *x, const struct message *m, bool is_asking)
{
    if (x->name.size == 0)
        return default_route(x->vhost, m->routing_key);
    struct route_cache *c = cache_of(x->vhost->core);
    struct route_slot **slot = slot_for(c, x, m->routing_key);
    if (slot_has(*slot, x, m->routing_key))
        return (struct route){(*slot)->queues.items, (*slot)->queues.count};
    struct walk w = {
        .cache = c, .message = m, .by_key = true, .is_asking = is_asking, .out = &c->queues};
    walk_from(&w, x);
    if (w.by_key)
        return keep(&w, slot, x);
    return (struct route){c->queues.items, c->queues.count};
}

struct route exchange_route(struct exchange *x, const struct message *m)
{
    return find_route(x, m, false);
}

bool route_is_delayed(struct route route)
{
    return route.count == 1 && route.queues[0]->internal->delays_of;
}

struct route exchange_ask_route(struct exchange *x, const struct message *m)
{
    return find_route(x, m, true);
}

struct route exchange_route_keys(struct exchange *x, const struct message *m,
                                 const struct bytes *more_keys, size_t count)
{
    struct route_cache *c = cache_of(x->vhost->core);
    struct walk w = {
        .cache = c, .message = m, .more_keys = more_keys, .more_count = count, .out = &c->queues};
    walk_from(&w, x);
    return (struct route){c->queues.items, c->queues.count};
}
