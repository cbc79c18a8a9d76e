#include "tests/sim/broker_asks.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/subscription.h"

#include <stdlib.h>

enum {
    MS = 1000000,
    MARK_MS = 101,   /* a delivered-up-to mark is logged after this, or with the settles */
    SETTLE_MS = 6,   /* that came meanwhile, after this */
    DEPTH_MAX = 120, /* messages in a queue, so that comparing stays quick */
    OUTS_MAX = 100,
};

uint64_t draw(struct world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

/* ---- waiting ---- */

static void wait_is_ready(struct wait *wait)
{
    struct ask *a = container_of(wait, struct ask, wait);
    a->answered(a);
}

struct ask *ask_new(struct world *w, void (*answered)(struct ask *))
{
    struct ask *a = xzalloc(sizeof *a);
    a->world = w;
    a->answered = answered;
    a->wait.ready = wait_is_ready;
    list_push_back(&w->asks, &a->node);
    return a;
}

void ask_wait(struct ask *a, struct ticket ticket, enum stage stage)
{
    core_wait(a->world->core, &a->wait, ticket, stage);
}

void ask_free(struct ask *a)
{
    core_wait_cancel(&a->wait);
    list_remove(&a->node);
    if (a->queue)
        queue_unref(a->queue);
    vec_reset(&a->returned);
    vec_reset(&a->purged);
    free(a);
}

static struct ask *ask_of_queue(struct world *w, uint32_t id, void (*answered)(struct ask *))
{
    struct ask *a = ask_new(w, answered);
    a->id = id;
    a->queue = w->queues.items[id];
    queue_ref(a->queue);
    return a;
}

/* ---- what must be ready ---- */

static struct model_queue *model_of(struct world *w, uint32_t id)
{
    return w->model->queues.items[id];
}

/* What is in memory alone is committed at once; whoever published it is told with the others. */
static bool is_committed(struct world *w, const struct model_queue *q, const struct model_entry *e)
{
    return !q->kept || store_is_done(w->core->store, e->ticket, STAGE_COMMITTED);
}

static bool is_ready(struct world *w, const struct model_queue *q, const struct model_entry *e)
{
    return !e->out && !e->settled && is_committed(w, q, e);
}

/* A queue in memory shows what was published in this turn now or at the end of the turn: both are
 * right, so the count is `least` or up to `most`. */
struct ready {
    uint64_t least, most;
};

static struct ready count_ready(struct world *w, const struct model_queue *q)
{
    struct ready r = {0, 0};
    for (size_t i = q->first_live; i < q->entries.count; i++) {
        const struct model_entry *e = &q->entries.items[i];
        if (!is_ready(w, q, e))
            continue;
        r.most++;
        r.least += q->kept || e->publish_turn != w->model->turn;
    }
    return r;
}

/* Behind a barrier the core knows what the model knows. */
static void compare_count(struct world *w, uint64_t is, const struct model_queue *q,
                          const char *when)
{
    struct ready want = count_ready(w, q);
    if (is < want.least || is > want.most)
        world_complain(w, "queue %u counts %llu ready, not %llu to %llu, %s", q->name,
                       (unsigned long long)is, (unsigned long long)want.least,
                       (unsigned long long)want.most, when);
}

/* ---- deliveries ---- */

static void check_delivery(struct world *w, const struct model_queue *q,
                           const struct model_entry *e, const struct delivery *d)
{
    unsigned long long number = e->number;
    if (!model_is_message(q, e, &d->message))
        world_complain(w, "queue %u: message %llu is not what was published", q->name, number);
    if (!is_committed(w, q, e))
        world_complain(w, "queue %u: message %llu is shown before it is committed", q->name,
                       number);
    if (e->out || e->settled)
        world_complain(w, "queue %u: message %llu is delivered although it is %s", q->name, number,
                       e->settled ? "settled" : "out");
    if (d->number != e->returns + 1)
        world_complain(w, "queue %u: message %llu has delivery number %u after %u returns", q->name,
                       number, d->number, e->returns);
    if (d->redelivered != (e->redelivered || e->returns > 0))
        world_complain(w, "queue %u: message %llu redelivered=%d", q->name, number, d->redelivered);
    for (const struct model_entry *f = &q->entries.items[q->first_live]; f < e; f++)
        if (!f->out && !f->settled)
            world_complain(w, "queue %u: message %llu is delivered before %llu", q->name, number,
                           (unsigned long long)f->number);
}

static void note_delivery(struct world *w, uint32_t id, const struct delivery *d, bool no_ack)
{
    struct model_queue *q = model_of(w, id);
    struct model_entry *e = model_find_entry(q, model_body_number(d->message.body));
    if (!e) {
        world_complain(w, "queue %u: a message that was never published", q->name);
        return;
    }
    check_delivery(w, q, e, d);
    e->confirmed = e->written = e->taken = true;
    e->offset = d->offset;
    if (q->kept && w->model->level == LEVEL_FSYNC)
        model_confirm_life(w->model, q->life);
    if (d->offset >= q->delivered)
        q->delivered = d->offset + 1;
    q->changed = true;
    if (no_ack) {
        queue_finish(d->queue, d->offset, d->number);
        if (!e->settled)
            model_settle(w->model, q, e);
        return;
    }
    e->out = true;
    queue_ref(d->queue);
    vec_push(&w->outs, ((struct out){d->queue, id, e->number, d->offset, d->number, false}));
}

/* ---- consumers ---- */

static uint32_t credit(struct consumer *consumer)
{
    return container_of(consumer, struct sim_consumer, consumer)->credit;
}

static void deliver(struct consumer *consumer, const struct delivery *d)
{
    struct sim_consumer *c = container_of(consumer, struct sim_consumer, consumer);
    c->credit--;
    note_delivery(c->world, c->id, d, consumer->no_ack);
}

static void cancelled(struct consumer *consumer)
{
    container_of(consumer, struct sim_consumer, consumer)->gone = true;
}

static void do_consume(struct world *w)
{
    int id = asks_pick_queue(w);
    if (id < 0 || w->queues.items[id]->consumer_count >= 2)
        return;
    struct sim_consumer *c = xzalloc(sizeof *c);
    c->world = w;
    c->id = (uint32_t)id;
    c->credit = 1 + (uint32_t)draw(w, 20);
    c->consumer = (struct consumer){.credit = credit,
                                    .deliver = deliver,
                                    .cancelled = cancelled,
                                    .no_ack = draw(w, 5) == 0,
                                    .exclusive = draw(w, 20) == 0};
    if (queue_consume(w->queues.items[id], &c->consumer) == OK)
        vec_push(&w->consumers, c);
    else
        free(c);
}

static void cancel(struct world *w, struct sim_consumer *c)
{
    struct queue *queue = w->queues.items[c->id];
    queue_ref(queue);
    queue_cancel(&c->consumer);
    c->gone = true;
    if (queue->deleted) {
        model_delete_queue(w->model, c->id);
        w->queues.items[c->id] = NULL;
    }
    queue_unref(queue);
}

static void do_credit(struct world *w)
{
    if (w->consumers.count == 0)
        return;
    struct sim_consumer *c = w->consumers.items[draw(w, w->consumers.count)];
    if (c->gone)
        return;
    if (draw(w, 6) == 0) {
        cancel(w, c);
        return;
    }
    c->credit += 1 + (uint32_t)draw(w, 30);
    queue_consumer_ready(&c->consumer);
}

static void sweep_consumers(struct world *w)
{
    size_t left = 0;
    for (size_t i = 0; i < w->consumers.count; i++) {
        struct sim_consumer *c = w->consumers.items[i];
        if (c->gone)
            free(c);
        else
            w->consumers.items[left++] = c;
    }
    w->consumers.count = left;
}

/* ---- settling ---- */

/* End the delivery with this index. A queue that is gone does not mind. */
static void end_out(struct world *w, size_t i, bool settle)
{
    struct out o = w->outs.items[i];
    struct model_queue *q = model_of(w, o.id);
    struct model_entry *e = model_find_entry(q, o.number);
    w->outs.items[i] = vec_last(&w->outs);
    w->outs.count--;
    if (settle)
        queue_settle(o.queue, o.offset, o.delivery);
    else
        queue_return(o.queue, o.offset, o.delivery);
    if (draw(w, 8) == 0) /* once more: too late */
        queue_settle(o.queue, o.offset, o.delivery);
    if (!o.queue->deleted && settle)
        model_settle(w->model, q, e);
    else if (!o.queue->deleted)
        model_return(q, e);
    queue_unref(o.queue);
}

static void do_settle(struct world *w)
{
    uint64_t returned_of_8 = w->outs.count > OUTS_MAX ? 0 : 2;
    for (uint64_t n = draw(w, 4 + w->outs.count / 2); n > 0 && w->outs.count > 0; n--)
        end_out(w, draw(w, w->outs.count), draw(w, 8) >= returned_of_8);
}

void asks_end_session(struct world *w)
{
    for (size_t i = 0; i < w->consumers.count; i++)
        if (!w->consumers.items[i]->gone)
            cancel(w, w->consumers.items[i]);
    while (w->outs.count > 0)
        end_out(w, w->outs.count - 1, false);
    for (uint32_t i = 0; i < w->model->queues.count; i++) {
        struct model_queue *q = model_of(w, i);
        if (!q->exclusive || !model_lives(q->life))
            continue;
        model_delete_queue(w->model, i);
        w->queues.items[i] = NULL;
    }
    queue_delete_exclusive(w->core, &w->session);
}

/* ---- gets, purges, counts: behind a barrier ---- */

static void get_answered(struct ask *a)
{
    struct world *w = a->world;
    struct model_queue *q = model_of(w, a->id);
    struct delivery d;
    if (a->queue->deleted) {
        ask_free(a);
        return;
    }
    enum err err = queue_get(a->queue, a->no_ack, &a->wait, &d);
    if (err == E_COLD)
        return; /* called again when it has been read */
    if (err == OK)
        note_delivery(w, a->id, &d, a->no_ack);
    else if (err != E_NOT_FOUND && !w->may_fail)
        world_complain(w, "get from queue %u: %s", q->name, err_text());
    if (err == OK || err == E_NOT_FOUND)
        compare_count(w, queue_ready_count(a->queue), q, err ? "when get says empty" : "after get");
    ask_free(a);
}

static void count_answered(struct ask *a)
{
    if (!a->queue->deleted)
        compare_count(a->world, queue_ready_count(a->queue), model_of(a->world, a->id),
                      "when asked");
    ask_free(a);
}

static void purged_durably(struct ask *a)
{
    for (size_t i = 0; i < a->purged.count; i++)
        model_find_entry(model_of(a->world, a->id), a->purged.items[i])->settle_durable = true;
    ask_free(a);
}

static void purge_answered(struct ask *a)
{
    struct world *w = a->world;
    struct model_queue *q = model_of(w, a->id);
    struct ticket ticket;
    if (a->queue->deleted) {
        ask_free(a);
        return;
    }
    uint64_t ready = queue_ready_count(a->queue);
    compare_count(w, ready, q, "before a purge");
    uint64_t count = queue_purge(a->queue, &ticket), left = count;
    if (count != ready)
        world_complain(w, "purge of queue %u settles %llu, not %llu", q->name,
                       (unsigned long long)count, (unsigned long long)ready);
    for (size_t i = q->first_live; i < q->entries.count && left > 0; i++) {
        if (!is_ready(w, q, &q->entries.items[i]))
            continue;
        left--;
        vec_push(&a->purged, q->entries.items[i].number);
        model_settle(w->model, q, &q->entries.items[i]);
    }
    a->answered = purged_durably;
    ask_wait(a, ticket, STAGE_COMMITTED);
}

static void is_due(struct ask *a)
{
    a->due = true;
}

static void do_behind_barrier(struct world *w, void (*answered)(struct ask *))
{
    int id = asks_pick_queue(w);
    if (id < 0)
        return;
    struct ask *a = ask_of_queue(w, (uint32_t)id, answered);
    a->no_ack = draw(w, 3) == 0;
    ask_wait(a, queue_barrier(a->queue), STAGE_COMMITTED);
}

void asks_delete_queue(struct world *w, uint32_t id)
{
    queue_delete(w->queues.items[id]);
    w->queues.items[id] = NULL;
    model_delete_queue(w->model, id);
}

/* ---- publishing ---- */

uint32_t asks_draw_size(struct world *w)
{
    uint64_t n = draw(w, 150);
    if (n == 0)
        return 66000 + (uint32_t)draw(w, 20000); /* a batch of its own */
    if (n < 6)
        return 20000 + (uint32_t)draw(w, 30000); /* asks for direct mode */
    if (n < 16)
        return 3000 + (uint32_t)draw(w, 9000);
    return MODEL_BODY_MIN + (uint32_t)draw(w, 600);
}

static int id_of(struct world *w, const struct queue *queue)
{
    for (size_t i = 0; i < w->queues.count; i++)
        if (w->queues.items[i] == queue)
            return (int)i;
    return -1;
}

static bool is_bound(const struct model *m, uint8_t exchange, uint8_t key, uint32_t queue)
{
    int x = model_find_exchange(m, exchange);
    for (size_t i = 0; i < m->bindings.count; i++) {
        const struct model_binding *b = &m->bindings.items[i];
        if (model_lives(b->life) && (int)b->exchange == x && b->queue == queue && b->key == key)
            return true;
    }
    return false;
}

/* Fill `ids` with the queues of the route, and compare it with the bindings. */
static size_t compare_route(struct world *w, struct route route, uint8_t exchange, uint8_t key,
                            uint32_t *ids)
{
    size_t bound = 0;
    for (uint32_t i = 0; i < w->queues.count; i++)
        bound += w->queues.items[i] && is_bound(w->model, exchange, key, i);
    if (bound != route.count)
        world_complain(w, "exchange %u routes key %u to %zu queues, not %zu", exchange, key,
                       route.count, bound);
    for (size_t i = 0; i < route.count && !w->wrong[0]; i++) {
        int id = id_of(w, route.queues[i]);
        if (id < 0 || !is_bound(w->model, exchange, key, (uint32_t)id))
            world_complain(w, "exchange %u routes key %u wrongly", exchange, key);
        ids[i] = (uint32_t)id;
    }
    return w->wrong[0] ? 0 : route.count;
}

static void message_answered(struct ask *a)
{
    model_confirm(a->world->model, a->number, a->route, a->route_count, a->wait.stage);
    ask_free(a);
}

static void wait_for_message(struct world *w, uint64_t number, const uint32_t *ids, size_t count,
                             struct ticket ticket, enum stage stage)
{
    struct ask *a = ask_new(w, message_answered);
    a->number = number;
    memcpy(a->route, ids, count * sizeof *ids);
    a->route_count = count;
    ask_wait(a, ticket, stage);
}

static void note_publish(struct world *w, const struct model_entry *e, const uint32_t *ids,
                         size_t count)
{
    struct model_publish together = {.number = e->number};
    for (size_t i = 0; i < count; i++) {
        struct model_queue *q = model_of(w, ids[i]);
        vec_push(&q->entries, *e);
        if (q->kept && log_next_ticket(w->queues.items[ids[i]]->log).direct == 0)
            together.queues[together.count++] = ids[i];
    }
    if (together.count > 1)
        vec_push(&w->model->publishes, together);
    wait_for_message(w, e->number, ids, count, e->ticket, STAGE_COMMITTED);
    if (draw(w, 3) == 0)
        wait_for_message(w, e->number, ids, count, e->ticket, STAGE_WRITTEN);
}

static bool is_deep(struct world *w, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct model_queue *q = model_of(w, ids[i]);
        if (q->entries.count - q->first_live > DEPTH_MAX)
            return true;
    }
    return false;
}

/* To the exchange with this key, or to the default exchange and a queue. */
static void publish(struct world *w, uint8_t exchange, uint8_t key, int queue)
{
    char names[2][MODEL_NAME_MAX];
    uint32_t ids[MODEL_ROUTE_MAX] = {(uint32_t)queue};
    size_t count = 1;
    struct model_entry e = {.number = ++w->model->next_number, /* also when it is refused */
                            .size = asks_draw_size(w),
                            .exchange = exchange,
                            .key = key,
                            .publish_turn = w->model->turn,
                            .offset = -1};
    struct message m = model_message(&e);
    m.exchange = model_exchange_name(exchange, names[0]);
    m.routing_key = queue >= 0 ? model_queue_name(model_of(w, ids[0])->name, names[1])
                               : model_key(key, names[1]);
    struct route route = exchange_route(exchange_find(w->vhost, m.exchange), &m);
    if (queue < 0)
        count = compare_route(w, route, exchange, key, ids);
    else if (route.count != 1 || route.queues[0] != w->queues.items[queue])
        world_complain(w, "the default exchange does not find queue %d", queue);
    if (count == 0 || w->wrong[0] || is_deep(w, ids, count))
        return;
    if (queue_publish(w->core, route, &m, &e.ticket) == OK)
        note_publish(w, &e, ids, count);
}

static void do_publish(struct world *w)
{
    int queue = -1;
    uint8_t exchange = MODEL_DEFAULT_EXCHANGE, key = (uint8_t)draw(w, MODEL_KEYS);
    if (draw(w, 2)) {
        queue = asks_pick_queue(w);
        if (queue < 0)
            return;
    } else {
        exchange = (uint8_t)(1 + draw(w, MODEL_EXCHANGE_NAMES - 1));
        if (model_find_exchange(w->model, exchange) < 0)
            return;
    }
    for (uint64_t n = 1 + draw(w, 4); n > 0; n--)
        publish(w, exchange, key, queue);
}

/* ---- turns ---- */

int asks_pick_queue(struct world *w)
{
    int found = -1;
    uint64_t seen = 0;
    for (size_t i = 0; i < w->queues.count; i++)
        if (w->queues.items[i] && draw(w, ++seen) == 0)
            found = (int)i;
    return found;
}

void asks_random(struct world *w)
{
    uint64_t n = draw(w, 100);
    if (n < 34)
        do_publish(w);
    else if (n < 48)
        asks_stream(w);
    else if (n < 60)
        do_settle(w);
    else if (n < 66)
        do_consume(w);
    else if (n < 74)
        do_credit(w);
    else if (n < 81)
        do_behind_barrier(w, get_answered);
    else if (n < 84)
        do_behind_barrier(w, count_answered);
    else if (n < 86)
        do_behind_barrier(w, purge_answered);
    else if (n < 88)
        do_behind_barrier(w, is_due); /* a delete */
    else
        asks_declare(w);
}

void asks_turn_begins(struct world *w)
{
    list_each_safe (node, &w->asks) {
        struct ask *a = container_of(node, struct ask, node);
        if (!a->due)
            continue;
        if (!a->queue->deleted && core_catalog_can_change(w->core) == OK)
            asks_delete_queue(w, a->id);
        ask_free(a);
    }
}

static void version_answered(struct ask *a)
{
    if (a->world->model->acked_version < a->number)
        a->world->model->acked_version = a->number;
    ask_free(a);
}

void asks_turn_ends(struct world *w)
{
    bool again = draw(w, 40) == 0; /* somebody declares what is there already */
    if (!w->model->dirty && !again)
        return;
    struct ask *a = ask_new(w, version_answered);
    a->number = w->model->version + w->model->dirty;
    ask_wait(a, core_catalog_ticket(w->core), STAGE_COMMITTED);
}

static void changes_answered(struct ask *a)
{
    struct model_queue *q = model_of(a->world, a->id);
    for (size_t i = 0; i < q->entries.count; i++) {
        struct model_entry *e = &q->entries.items[i];
        if (e->settled && e->settle_turn <= a->number)
            e->settle_durable = true;
    }
    for (size_t i = 0; i < a->returned.count; i++) {
        struct model_entry *e = model_find_entry(q, a->returned.items[i].number);
        if (e->returns_durable < a->returned.items[i].times)
            e->returns_durable = a->returned.items[i].times;
    }
    if (q->mark_durable < a->mark)
        q->mark_durable = a->mark;
    ask_free(a);
}

/* All that the queue's subscription went through so far is in its log now. */
static void wait_for_changes(struct world *w, uint32_t id)
{
    struct model_queue *q = model_of(w, id);
    struct ask *a = ask_of_queue(w, id, changes_answered);
    a->number = w->model->turn;
    a->mark = q->delivered;
    for (size_t i = 0; i < q->returned.count; i++)
        vec_push(&a->returned, q->returned.items[i]);
    q->changed = false;
    q->unlogged_since_ns = q->overdue_since_ns = 0;
    vec_clear(&q->returned);
    ask_wait(a, log_last_ticket(a->queue->log), STAGE_COMMITTED);
}

/* Settles, returns and marks are logged with the next commit or a moment later: the subscription
 * says whether they are, and they must be before long. A mark waits longer than settles, and leaves
 * with those that come meanwhile. */
static void follow_changes(struct world *w, uint32_t id)
{
    struct model_queue *q = model_of(w, id);
    const struct queue *queue = w->queues.items[id];
    if (!queue || !q->kept || !q->changed || store_is_frozen(w->core->store))
        return;
    if (!subscription_has_changes(queue->subscription) &&
        !subscription_mark_is_behind(queue->subscription)) {
        wait_for_changes(w, id);
        return;
    }
    if (!q->unlogged_since_ns)
        q->unlogged_since_ns = w->now_ns;
    if (!q->overdue_since_ns && w->now_ns - q->unlogged_since_ns >= MARK_MS * (int64_t)MS)
        q->overdue_since_ns = w->now_ns;
    if (q->overdue_since_ns && w->now_ns - q->overdue_since_ns >= SETTLE_MS * (int64_t)MS)
        world_complain(w, "queue %u: changes are not logged in time", q->name);
}

void asks_turn_ended(struct world *w)
{
    struct model *m = w->model;
    for (uint32_t i = 0; i < m->queues.count; i++)
        follow_changes(w, i);
    m->turn++;
    m->version += m->dirty;
    m->dirty = false;
    sweep_consumers(w);
    asks_compare_names(w);
}

void asks_forget(struct world *w)
{
    while (!list_is_empty(&w->asks))
        ask_free(container_of(w->asks.next, struct ask, node));
    for (size_t i = 0; i < w->consumers.count; i++)
        free(w->consumers.items[i]);
    vec_clear(&w->consumers);
}
