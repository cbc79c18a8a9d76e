#include "tests/sim/broker_check.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/exchange_internal.h"

#include <stdlib.h>

enum { MS = 1000000, TURNS_MAX = 60 };

/* Takes all messages of a queue, as a consumer or by get. */
struct drain {
    struct consumer consumer;
    struct wait again;
    struct world *world;
    const struct model_queue *model;
    struct queue *queue; /* NULL: not there */
    bool by_get;
    uint64_t want;
    VEC(struct out) outs;
};

/* ---- the catalog ---- */

static bool has_arguments(struct bytes arguments, uint64_t tag)
{
    uint8_t want[MODEL_TAG_BYTES];
    return bytes_equal(arguments, model_arguments(tag, want));
}

static struct queue *find_queue(struct world *w, const struct model_queue *q)
{
    char name[MODEL_NAME_MAX];
    return queue_find(w->vhost, model_queue_name(q->name, name));
}

static bool queues_match(struct world *w, const struct model *m, uint64_t version)
{
    size_t count = 0;
    for (size_t i = 0; i < m->queues.count; i++) {
        const struct model_queue *q = m->queues.items[i];
        if (!q->kept || !model_lived_at(q->life, version))
            continue;
        count++;
        struct queue *queue = find_queue(w, q);
        if (!queue || !queue->durable || queue->exclusive || queue->auto_delete != q->auto_delete ||
            !has_arguments(queue->arguments, q->tag))
            return false;
    }
    return count == w->vhost->queues.count;
}

static struct exchange *find_exchange(struct world *w, const struct model_exchange *x)
{
    char name[MODEL_NAME_MAX];
    return exchange_find(w->vhost, model_exchange_name(x->name, name));
}

/* The predefined ones are always there. */
static size_t count_declared_exchanges(struct world *w)
{
    size_t count = 0, position = 0;
    struct exchange *x;
    while ((x = map_next(&w->vhost->exchanges, &position)))
        count += x->name.size > 9 && memcmp(x->name.data, "exchange-", 9) == 0;
    return count;
}

static bool exchanges_match(struct world *w, const struct model *m, uint64_t version)
{
    size_t count = 0;
    for (size_t i = 0; i < m->exchanges.count; i++) {
        const struct model_exchange *x = &m->exchanges.items[i];
        if (!x->durable || !model_lived_at(x->life, version))
            continue;
        count += x->name != MODEL_AMQ_DIRECT;
        struct exchange *exchange = find_exchange(w, x);
        if (!exchange || !exchange->durable || exchange->auto_delete != x->auto_delete ||
            (x->tag && !has_arguments(exchange->arguments, x->tag)))
            return false;
    }
    return count == count_declared_exchanges(w);
}

static bool is_there(struct world *w, const struct model *m, const struct model_binding *b)
{
    char key[MODEL_NAME_MAX];
    struct exchange *x = find_exchange(w, &m->exchanges.items[b->exchange]);
    struct queue *queue = find_queue(w, m->queues.items[b->queue]);
    if (!x || !queue)
        return false;
    list_each (node, &x->internal_state->bindings) {
        const struct binding *is = container_of(node, struct binding, of_exchange);
        if (is->queue == queue && bytes_equal(is->key, model_key(b->key, key)) &&
            has_arguments(is->arguments, b->tag))
            return true;
    }
    return false;
}

static bool bindings_match(struct world *w, const struct model *m, uint64_t version)
{
    size_t want = 0, is = 0, position = 0;
    for (size_t i = 0; i < m->bindings.count; i++) {
        const struct model_binding *b = &m->bindings.items[i];
        if (!b->kept || !model_lived_at(b->life, version))
            continue;
        want++;
        if (!is_there(w, m, b))
            return false;
    }
    struct exchange *x;
    while ((x = map_next(&w->vhost->exchanges, &position)))
        list_each (node, &x->internal_state->bindings)
            is++;
    return want == is;
}

static size_t count_declared_topics(struct world *w)
{
    size_t count = 0, position = 0;
    struct topic *t;
    while ((t = map_next(&w->core->internal->topics, &position)))
        count += t->name.size > 6 && memcmp(t->name.data, "topic-", 6) == 0;
    return count;
}

static bool topics_match(struct world *w, const struct model *m, uint64_t version)
{
    size_t count = 0;
    for (size_t i = 0; i < m->topics.count; i++) {
        const struct model_topic *t = m->topics.items[i];
        if (!model_lived_at(t->life, version))
            continue;
        count++;
        struct topic *topic = check_find_topic(w, t);
        if (!topic || topic->partition_count != model_partition_count(t, version) ||
            topic->level != t->level || topic->message_max_bytes != (int64_t)t->tag ||
            topic->log_append_time != t->append_time)
            return false;
    }
    return count == count_declared_topics(w);
}

static bool version_matches(struct world *w, const struct model *m, uint64_t v)
{
    return queues_match(w, m, v) && exchanges_match(w, m, v) && bindings_match(w, m, v) &&
           topics_match(w, m, v);
}

/* The catalog is exactly one version, and not older than what was answered. */
static bool find_version(struct world *w, const struct model *m, uint64_t *out)
{
    unsigned long long answered = m->acked_version, newest = m->version;
    for (uint64_t v = newest + 1; v-- > answered;)
        if (version_matches(w, m, v)) {
            *out = v;
            return true;
        }
    for (uint64_t v = answered; v-- > 0;)
        if (version_matches(w, m, v)) {
            world_complain(w, "the catalog is version %llu, answered was %llu",
                           (unsigned long long)v, answered);
            return false;
        }
    world_complain(w,
                   "the catalog is of no version (answered %llu, newest %llu, whose queues %d, "
                   "exchanges %d, bindings %d, topics %d are there)",
                   answered, newest, queues_match(w, m, newest), exchanges_match(w, m, newest),
                   bindings_match(w, m, newest), topics_match(w, m, newest));
    return false;
}

/* ---- taking all messages ---- */

static void take(struct drain *t, const struct delivery *d)
{
    uint64_t number = model_body_number(d->message.body);
    const struct model_entry *e = model_find_entry(t->model, number);
    if (!e)
        world_complain(t->world, "queue %u: message %llu was never published, or is back",
                       t->model->name, (unsigned long long)number);
    else if (!model_is_message(t->model, e, &d->message))
        world_complain(t->world, "queue %u: message %llu is not what was published", t->model->name,
                       (unsigned long long)number);
    queue_ref(t->queue);
    vec_push(&t->outs, ((struct out){t->queue, 0, number, d->offset, d->number, d->redelivered}));
}

static uint32_t credit(struct consumer *consumer)
{
    (void)consumer;
    return UINT32_MAX;
}

static void deliver(struct consumer *consumer, const struct delivery *d)
{
    take(container_of(consumer, struct drain, consumer), d);
}

static void cancelled(struct consumer *consumer)
{
    (void)consumer;
}

static void is_again(struct wait *wait)
{
    (void)wait;
}

static void get_all(struct drain *t)
{
    struct delivery d;
    enum err err;
    core_wait_cancel(&t->again);
    while ((err = queue_get(t->queue, false, &t->again, &d)) == OK)
        take(t, &d);
    if (err != E_COLD && err != E_NOT_FOUND)
        world_complain(t->world, "get from queue %u: %s", t->model->name, err_text());
}

static void drain_begin(struct drain *t)
{
    t->queue = find_queue(t->world, t->model);
    check(t->queue);
    t->want = queue_ready_count(t->queue);
    if (queue_unacked_count(t->queue) > 0)
        world_complain(t->world, "queue %u begins with unacked messages", t->model->name);
    t->consumer = (struct consumer){.credit = credit, .deliver = deliver, .cancelled = cancelled};
    t->again.ready = is_again;
    /* an auto-delete queue does not outlive its last consumer */
    t->by_get = t->model->auto_delete || random_below(&t->world->random, 3) == 0;
    if (!t->by_get && queue_consume(t->queue, &t->consumer) != OK)
        world_complain(t->world, "consume from queue %u: %s", t->model->name, err_text());
}

static bool turn(struct world *w, struct found *found)
{
    bool any = false;
    w->now_ns += MS;
    w->wall_ms++;
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    while (sim_jobs_step(w->sim, &w->random))
        any = true;
    for (size_t i = 0; i < found->count; i++)
        if (found->drains[i].queue && found->drains[i].by_get)
            get_all(&found->drains[i]);
    core_turn_end(w->core);
    return any;
}

static void drain_all(struct world *w, const struct model *m, struct found *found)
{
    found->count = m->queues.count;
    found->drains = xzalloc((found->count + 1) * sizeof *found->drains);
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    for (size_t i = 0; i < found->count; i++) {
        const struct model_queue *q = m->queues.items[i];
        found->drains[i].world = w;
        found->drains[i].model = q;
        if (q->kept && model_lived_at(q->life, found->version))
            drain_begin(&found->drains[i]);
    }
    core_turn_end(w->core);
    for (int turns = 0, quiet = 0; turns < TURNS_MAX && quiet < 2 && !w->wrong[0]; turns++)
        quiet = turn(w, found) ? 0 : quiet + 1;
}

/* ---- queues ---- */

/* How the messages of a queue are compared. */
struct rules {
    bool strong; /* what was answered is there: a kill, or a log that is synced */
    bool killed; /* what was written is there */
    bool comparing;
};

static bool must_be(const struct rules *r, const struct model_entry *e)
{
    return e->synced || (e->confirmed && r->strong) || (e->written && r->killed);
}

static void check_present(struct world *w, const struct model_queue *q, const struct rules *r,
                          const struct model_entry *e, const struct out *o)
{
    unsigned long long number = e->number;
    if (e->settle_durable && r->strong)
        world_complain(w, "queue %u: message %llu is back after its settle was durable", q->name,
                       number);
    if (o->redelivered && !e->taken && !r->comparing)
        world_complain(w, "queue %u: message %llu is redelivered, but was never delivered", q->name,
                       number);
    bool marked =
        e->redelivered || e->returns_durable > 0 || (e->taken && e->offset < q->mark_durable);
    if (!o->redelivered && marked && r->strong)
        world_complain(w, "queue %u: message %llu was delivered and is not redelivered", q->name,
                       number);
    uint32_t least = r->strong ? e->returns_durable : 0;
    if (o->delivery < least + 1 || o->delivery > e->returns + 1)
        world_complain(w, "queue %u: message %llu has delivery number %u, returned %u to %u times",
                       q->name, number, o->delivery, least, e->returns);
}

/* The control batches of a log are a prefix too: no settle without those of the turns before it. */
struct settles {
    uint64_t newest_kept, oldest_lost;
};

static void check_settles(struct world *w, const struct model_queue *q, const struct settles *s)
{
    if (s->newest_kept > s->oldest_lost)
        world_complain(w, "queue %u: a settle of turn %llu is there, one of turn %llu is not",
                       q->name, (unsigned long long)s->newest_kept,
                       (unsigned long long)s->oldest_lost);
}

static void check_messages(struct world *w, const struct drain *t, const struct rules *r)
{
    const struct model_queue *q = t->model;
    struct settles settles = {0, UINT64_MAX};
    uint64_t lost = 0, absent_settle = 0; /* settled, and nothing behind it has been seen yet */
    size_t next = 0;
    for (size_t i = 0; i < q->entries.count && !w->wrong[0]; i++) {
        const struct model_entry *e = &q->entries.items[i];
        if (next < t->outs.count && t->outs.items[next].number == e->number) {
            if (lost)
                world_complain(w, "queue %u: message %llu is there, %llu before it is not", q->name,
                               (unsigned long long)e->number, (unsigned long long)lost);
            check_present(w, q, r, e, &t->outs.items[next++]);
            if (e->settled && e->settle_turn < settles.oldest_lost)
                settles.oldest_lost = e->settle_turn;
            if (absent_settle > settles.newest_kept)
                settles.newest_kept = absent_settle;
        } else if (!e->settled) {
            lost = e->number;
            if (must_be(r, e))
                world_complain(w, "queue %u: message %llu is lost", q->name,
                               (unsigned long long)e->number);
        } else {
            if (e->settle_turn > absent_settle)
                absent_settle = e->settle_turn;
            if (must_be(r, e) && e->settle_turn > settles.newest_kept)
                settles.newest_kept = e->settle_turn;
        }
    }
    if (next < t->outs.count)
        world_complain(w, "queue %u: message %llu comes twice or out of order", q->name,
                       (unsigned long long)t->outs.items[next].number);
    check_settles(w, q, &settles);
}

static void check_queues(struct world *w, const struct model *m, struct found *found,
                         const struct rules *r)
{
    drain_all(w, m, found);
    for (size_t i = 0; i < found->count && !w->wrong[0]; i++) {
        const struct drain *t = &found->drains[i];
        if (!t->queue)
            continue;
        check_messages(w, t, r);
        if (t->want != t->outs.count)
            world_complain(w, "queue %u counts %llu ready and gives %zu", t->model->name,
                           (unsigned long long)t->want, t->outs.count);
    }
}

/* ---- publishes to several queues ---- */

static bool was_given(const struct drain *t, uint64_t number)
{
    for (size_t i = 0; i < t->outs.count; i++)
        if (t->outs.items[i].number == number)
            return true;
    return false;
}

static void check_together(struct world *w, const struct model_publish *p,
                           const struct found *found)
{
    int has = -1, lacks = -1;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct drain *t = &found->drains[p->queues[i]];
        if (!t->queue)
            continue;
        if (was_given(t, p->number))
            has = t->model->name;
        else if (!model_find_entry(t->model, p->number)->settled)
            lacks = t->model->name;
    }
    if (has >= 0 && lacks >= 0)
        world_complain(w, "message %llu is in queue %d, but not in queue %d",
                       (unsigned long long)p->number, has, lacks);
}

/* ---- all ---- */

static void check_owner(void *ctx, struct log *log)
{
    if (!log->owner)
        world_complain(ctx, "log %llu belongs to nobody", (unsigned long long)log->id);
}

void check_recovered(struct world *w, const struct model *m, bool power_cut, struct found *out)
{
    struct rules rules = {m->level == LEVEL_FSYNC || !power_cut, !power_cut, m->comparing};
    *out = (struct found){0};
    if (!find_version(w, m, &out->version))
        return;
    check_queues(w, m, out, &rules);
    for (size_t i = 0; i < m->publishes.count && !w->wrong[0]; i++)
        check_together(w, &m->publishes.items[i], out);
    check_streams(w, m, power_cut, out);
    store_each(w->core->store, check_owner, w);
}

void check_end(struct world *w, struct found *found)
{
    (void)w;
    for (size_t i = 0; i < found->count; i++) {
        struct drain *t = &found->drains[i];
        core_wait_cancel(&t->again);
        if (t->queue && !t->by_get && w->core)
            queue_cancel(&t->consumer);
        for (size_t k = 0; k < t->outs.count; k++)
            queue_unref(t->outs.items[k].queue);
        vec_reset(&t->outs);
    }
    free(found->drains);
    *found = (struct found){0};
}

/* ---- what was found is true from now on ---- */

void check_adopt_life(struct model_life *life, bool kept, uint64_t version)
{
    bool lives = kept && model_lived_at(*life, version);
    *life = lives ? (struct model_life){life->born, 0} : (struct model_life){version, version};
}

static void adopt_messages(struct world *w, uint32_t id, struct drain *t)
{
    struct model_queue *q = w->model->queues.items[id];
    q->first_live = 0;
    q->delivered = q->mark_durable = 0;
    q->changed = t->outs.count > 0; /* what was just taken */
    q->unlogged_since_ns = q->overdue_since_ns = 0;
    vec_clear(&q->returned);
    for (size_t i = 0; i < t->outs.count; i++) {
        struct out *o = &t->outs.items[i];
        struct model_entry e = *model_find_entry(q, o->number);
        e.ticket = (struct ticket){0};
        e.offset = o->offset;
        e.returns = e.returns_durable = o->delivery - 1;
        e.publish_turn = e.settle_turn = 0;
        e.written = e.confirmed = e.synced = e.taken = e.out = true;
        e.redelivered = o->redelivered;
        e.settled = e.settle_durable = false;
        q->entries.items[i] = e; /* i is not above its old place */
        o->id = id;
        vec_push(&w->outs, *o);
        if (q->delivered <= o->offset)
            q->delivered = o->offset + 1;
    }
    q->entries.count = t->outs.count;
    vec_clear(&t->outs); /* the references are w->outs' now */
}

void check_adopt(struct world *w, struct found *found)
{
    struct model *m = w->model;
    uint64_t v = found->version;
    for (uint32_t i = 0; i < m->queues.count; i++) {
        struct model_queue *q = m->queues.items[i];
        check_adopt_life(&q->life, q->kept, v);
        vec_push(&w->queues, found->drains[i].queue);
        adopt_messages(w, i, &found->drains[i]);
    }
    for (size_t i = 0; i < m->exchanges.count; i++)
        check_adopt_life(&m->exchanges.items[i].life, m->exchanges.items[i].durable, v);
    for (size_t i = 0; i < m->bindings.count; i++)
        check_adopt_life(&m->bindings.items[i].life, m->bindings.items[i].kept, v);
    check_adopt_streams(w, found);
    m->version = m->acked_version = v;
    m->dirty = m->comparing = false;
    vec_clear(&m->publishes);
}
