#include "tests/sim/rules_asks.h"

#include "base/check.h"
#include "broker/policy.h"
#include "broker/queue_internal.h"
#include "tests/sim/rules_catalog.h"
#include "wire/amqp_table.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 64 << 10 };

struct sim_consumer {
    struct consumer consumer;
    struct rules_world *world;
    uint32_t credit;
};

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

/* ---- waiting ---- */

struct ask {
    struct list node;
    struct wait wait;
    struct rules_world *world;
    enum answer kind;
    uint32_t number;
    uint32_t index; /* of a fact's value */
};

static void fact_is_answered(struct rules_world *w, uint32_t fact, uint32_t index)
{
    struct fact *f = &w->ledger.facts[fact];
    fact_answered(f, index);
    if (fact >= FACT_POLICY && policies_are_applied(w->vhost)) /* else one of this turn is not */
        rules_check_limits(w);
}

static void answered(struct wait *wait)
{
    struct ask *a = container_of(wait, struct ask, wait);
    struct ledger *ledger = &a->world->ledger;
    switch (a->kind) {
    case ANSWER_PUBLISH: ledger->letters.items[a->number].confirmed = true; break;
    case ANSWER_SETTLE: ledger->letters.items[a->number].acked_durably++; break;
    case ANSWER_REMOVAL: ledger_removal_answered(ledger, a->number); break;
    case ANSWER_FACT: fact_is_answered(a->world, a->number, a->index); break;
    }
    list_remove(&a->node);
    free(a);
}

struct wait *rules_new_wait(struct rules_world *w, enum answer kind, uint32_t number)
{
    struct ask *a = xzalloc(sizeof *a);
    *a = (struct ask){.wait.ready = answered, .world = w, .kind = kind, .number = number};
    if (kind == ANSWER_FACT)
        a->index = fact_newest_index(&w->ledger.facts[number]);
    list_push_back(&w->asks, &a->node);
    return &a->wait;
}

void rules_wait(struct rules_world *w, struct ticket ticket, enum answer kind, uint32_t number)
{
    core_wait(w->core, rules_new_wait(w, kind, number), ticket, STAGE_COMMITTED);
}

void rules_forget_asks(struct rules_world *w)
{
    struct list *node;
    while ((node = list_pop_front(&w->asks))) {
        struct ask *a = container_of(node, struct ask, node);
        core_wait_cancel(&a->wait);
        free(a);
    }
}

/* ---- letters ---- */

bool letter_read(struct bytes body, struct letter_text *out)
{
    if (body.size < 12)
        return false;
    out->letter = get_u32(body.data);
    out->not_before_ms = (int64_t)get_u64(body.data + 4);
    return true;
}

static struct bytes letter_write(uint32_t letter, int64_t not_before_ms, size_t size)
{
    static uint8_t body[BODY_MAX];
    put_u32(body, letter);
    put_u64(body + 4, (uint64_t)not_before_ms);
    return bytes_of(body, size);
}

static size_t draw_size(struct rules_world *w)
{
    return rules_draw(w, 12) == 0 ? 4000 + rules_draw(w, 20000) : 12 + rules_draw(w, 300);
}

/* ---- publishing ---- */

struct posting {
    struct vhost *vhost; /* NULL: "/" */
    const char *exchange, *key;
    int ttl_ms, delay_ms; /* 0: none */
    uint8_t priority;
    uint32_t to; /* bits of the places it goes to at once */
};

static void put_properties(const struct posting *p, struct text *out)
{
    char ttl[16];
    struct text headers = {0};
    snprintf(ttl, sizeof ttl, "%d", p->ttl_ms);
    if (p->delay_ms)
        amqp_table_put(&headers, "x-delay",
                       &(struct amqp_value){.tag = 'I', .number = p->delay_ms});
    text_put_u16(out, (uint16_t)(PROPERTY_HEADERS | PROPERTY_PRIORITY |
                                 (p->ttl_ms ? PROPERTY_EXPIRATION : 0)));
    amqp_property_put(out, PROPERTY_HEADERS, text_bytes(&headers));
    amqp_property_put(out, PROPERTY_PRIORITY, bytes_of(&p->priority, 1));
    if (p->ttl_ms)
        amqp_property_put(out, PROPERTY_EXPIRATION, B(ttl));
    text_reset(&headers);
}

/* False: it was refused, and is nowhere. */
static bool post(struct rules_world *w, const struct posting *p, struct ticket *out)
{
    struct text properties = {0};
    uint32_t letter = (uint32_t)w->ledger.letters.count;
    uint32_t copies = p->delay_ms ? 1 : (uint32_t)__builtin_popcount(p->to);
    put_properties(p, &properties);
    struct message m = {.exchange = B(p->exchange),
                        .routing_key = B(p->key),
                        .properties = text_bytes(&properties),
                        .body = letter_write(letter, w->wall_ms + p->delay_ms, draw_size(w))};
    struct vhost *vhost = p->vhost ? p->vhost : w->vhost;
    struct route route = exchange_route(exchange_find(vhost, m.exchange), &m);
    enum err err = E_NOT_FOUND;
    if (route.count != copies)
        rules_complain(w, "letter %u goes to %zu queues, not to %u", letter, (size_t)route.count,
                       copies);
    else
        err = queue_publish(w->core, route, &m, out);
    text_reset(&properties);
    if (err)
        return false;
    vec_push(&w->ledger.letters, ((struct letter){.copies = copies,
                                                  .to = p->to,
                                                  .size = (uint32_t)m.body.size,
                                                  .priority = p->priority}));
    return true;
}

static void publish(struct rules_world *w, const struct posting *p)
{
    struct ticket ticket;
    if (post(w, p, &ticket))
        rules_wait(w, ticket, ANSWER_PUBLISH, (uint32_t)w->ledger.letters.count - 1);
}

static int draw_ttl(struct rules_world *w)
{
    return 1 + (int)rules_draw(w, OWN_TTL_MAX_MS);
}

/* To a queue by its name, if it is there. */
static void publish_to(struct rules_world *w, enum place place, int ttl_ms)
{
    struct posting p = {.exchange = "",
                        .key = place_name(place),
                        .ttl_ms = ttl_ms,
                        .priority = (uint8_t)rules_draw(w, RANKS + 1),
                        .to = 1u << place};
    if (w->places[place])
        publish(w, &p);
}

static void ask_publish(struct rules_world *w)
{
    static const enum place places[] = {PLAIN, WORK, BOX, RULED};
    publish_to(w, places[rules_draw(w, 4)], 0);
}

static void ask_publish_to_short(struct rules_world *w)
{
    publish_to(w, SHORT, 0);
}

static void ask_publish_to_ruled(struct rules_world *w)
{
    publish_to(w, RULED, 0);
}

static void ask_publish_ranked(struct rules_world *w)
{
    publish_to(w, RANKED, rules_draw(w, 6) ? 0 : draw_ttl(w));
}

/* A time of its own only where what expires goes on. */
static void ask_publish_for_a_time(struct rules_world *w)
{
    static const enum place places[] = {TIMED, WAIT, WORK, SHORT, RULED};
    enum place place = places[rules_draw(w, 5)];
    bool has_time = place == TIMED || place == WAIT;
    publish_to(w, place, has_time && rules_draw(w, 2) ? 0 : draw_ttl(w));
}

static void ask_fan_out(struct rules_world *w)
{
    struct posting p = {.exchange = "all", .key = "k", .to = 1u << WORK};
    for (int place = 0; place < NAMED_PLACES; place++)
        if (place_is_bound(w, (enum place)place))
            p.to |= 1u << place;
    if (!(p.to >> BOX & 1) && rules_draw(w, 2))
        p.ttl_ms = draw_ttl(w);
    publish(w, &p);
}

static void ask_delay(struct rules_world *w)
{
    struct posting p = {.exchange = "later",
                        .key = rules_draw(w, 2) ? "work" : "plain",
                        .delay_ms = 1 + (int)rules_draw(w, DELAY_MAX_MS)};
    publish(w, &p);
}

static void ask_guest(struct rules_world *w)
{
    struct posting p = {.vhost = w->guests, .exchange = "", .key = "guest", .to = 1u << GUEST};
    if (!w->guests)
        return;
    if (rules_draw(w, 2)) {
        p.exchange = "guests";
        p.delay_ms = 1 + (int)rules_draw(w, DELAY_MAX_MS);
        p.to = 0;
    }
    publish(w, &p);
}

/* ---- consuming ---- */

static uint32_t credit(struct consumer *base)
{
    return container_of(base, struct sim_consumer, consumer)->credit;
}

/* What nobody was given before comes in the order in which it was published. */
static void check_order(struct rules_world *w, enum place place, uint32_t letter)
{
    if (place == PLACES || place == RANKED || !(w->ledger.letters.items[letter].to >> place & 1))
        return;
    if (letter < w->last_new[place])
        rules_complain(w, "letter %u is delivered behind letter %u", letter, w->last_new[place]);
    w->last_new[place] = letter;
}

static void take_out(struct rules_world *w, const struct delivery *d)
{
    struct letter_text text;
    if (!letter_read(d->message.body, &text) || text.letter >= w->ledger.letters.count) {
        rules_complain(w, "a delivery that nobody has sent");
        return;
    }
    if (w->wall_ms < text.not_before_ms)
        rules_complain(w, "letter %u is delivered %lld ms too early", text.letter,
                       (long long)(text.not_before_ms - w->wall_ms));
    if (!d->redelivered)
        check_order(w, rules_place_of(w, d->queue), text.letter);
    queue_ref(d->queue);
    vec_push(&w->outs, ((struct out){d->queue, text.letter, d->offset, d->number}));
}

static void deliver(struct consumer *base, const struct delivery *d)
{
    struct sim_consumer *c = container_of(base, struct sim_consumer, consumer);
    c->credit--;
    take_out(c->world, d);
}

static void remove_consumer(struct rules_world *w, size_t i)
{
    free(w->consumers.items[i]);
    w->consumers.items[i] = w->consumers.items[w->consumers.count - 1];
    w->consumers.count--;
}

/* Its queue is deleted. */
static void cancelled(struct consumer *base)
{
    struct sim_consumer *c = container_of(base, struct sim_consumer, consumer);
    struct rules_world *w = c->world;
    size_t i = 0;
    while (w->consumers.items[i] != c)
        i++;
    remove_consumer(w, i);
}

void rules_drop_consumers(struct rules_world *w)
{
    while (w->consumers.count > 0) {
        queue_cancel(&w->consumers.items[0]->consumer);
        remove_consumer(w, 0);
    }
}

static void ask_consume(struct rules_world *w)
{
    enum { CONSUMERS_MAX = 6 };
    struct queue *queue = w->places[rules_draw(w, NAMED_PLACES)];
    if (w->consumers.count == CONSUMERS_MAX || (w->consumers.count > 0 && rules_draw(w, 3) == 0)) {
        size_t i = (size_t)rules_draw(w, w->consumers.count);
        queue_cancel(&w->consumers.items[i]->consumer);
        remove_consumer(w, i);
        return;
    }
    if (!queue)
        return;
    struct sim_consumer *c = xzalloc(sizeof *c);
    c->consumer = (struct consumer){.credit = credit, .deliver = deliver, .cancelled = cancelled};
    c->world = w;
    c->credit = 1 + (uint32_t)rules_draw(w, 6);
    vec_push(&w->consumers, c);
    enum err err = queue_consume(queue, &c->consumer);
    check(!err);
}

static void ask_credit(struct rules_world *w)
{
    if (w->consumers.count == 0)
        return;
    struct sim_consumer *c = w->consumers.items[rules_draw(w, w->consumers.count)];
    c->credit += (uint32_t)rules_draw(w, 8);
    queue_consumer_ready(&c->consumer);
}

/* ---- ending deliveries ---- */

/* Take one of the deliveries out of the list; its queue's reference is the caller's. */
static bool pick_out(struct rules_world *w, struct out *o)
{
    if (w->outs.count == 0)
        return false;
    size_t i = (size_t)rules_draw(w, w->outs.count);
    *o = w->outs.items[i];
    w->outs.items[i] = vec_pop(&w->outs);
    return true;
}

/* A letter of a queue that is being deleted counts as gone already. */
static bool counts(const struct rules_world *w, const struct out *o)
{
    return rules_place_of(w, o->queue) != PLACES;
}

static void ask_ack(struct rules_world *w)
{
    struct out o;
    struct ticket ticket;
    if (!pick_out(w, &o))
        return;
    queue_settle(o.queue, o.offset, o.number);
    if (counts(w, &o)) {
        w->ledger.letters.items[o.letter].acked++;
        if (rules_draw(w, 3) == 0) {
            queue_log_changes(o.queue, &ticket);
            rules_wait(w, ticket, ANSWER_SETTLE, o.letter);
        }
    }
    queue_unref(o.queue);
}

static void ask_requeue(struct rules_world *w)
{
    struct out o;
    if (!pick_out(w, &o))
        return;
    queue_return(o.queue, o.offset, o.number);
    queue_unref(o.queue);
}

static void ask_reject(struct rules_world *w)
{
    struct out o;
    if (!pick_out(w, &o))
        return;
    if (place_passes_on(rules_place_of(w, o.queue)))
        queue_reject(o.queue, o.offset, o.number);
    else
        queue_return(o.queue, o.offset, o.number);
    queue_unref(o.queue);
}

/* As AMQP's tx.commit: publish and settle in one turn, and wait for all of it. */
static void commit(struct rules_world *w, const struct out *o)
{
    struct ticket ticket, settled;
    enum place place = rules_draw(w, 2) ? TIMED : PLAIN;
    const struct posting p = {.exchange = "", .key = place_name(place), .to = 1u << place};
    if (!w->places[place] || !post(w, &p, &ticket)) {
        queue_return(o->queue, o->offset, o->number);
        return;
    }
    uint32_t sent = (uint32_t)w->ledger.letters.count - 1;
    queue_settle(o->queue, o->offset, o->number);
    w->ledger.letters.items[o->letter].acked++;
    queue_log_changes(o->queue, &settled);
    ticket_join(&ticket, settled);
    vec_push(&w->ledger.transactions, ((struct transaction){sent, o->letter}));
    rules_wait(w, ticket, ANSWER_PUBLISH, sent);
    rules_wait(w, ticket, ANSWER_SETTLE, o->letter);
}

static void ask_transaction(struct rules_world *w)
{
    struct out o;
    if (!pick_out(w, &o))
        return;
    if (counts(w, &o) && w->ledger.letters.items[o.letter].copies == 1)
        commit(w, &o);
    else
        queue_return(o.queue, o.offset, o.number);
    queue_unref(o.queue);
}

/* ---- kinds ---- */

typedef void ask_fn(struct rules_world *w);

/* What a kind needs to happen alone, itself among it. */
enum { ASKS_MAX = 8, KINDS = 13 };

static const struct kind {
    uint32_t weight; /* among all, when the world is about no kind */
    ask_fn *asks[ASKS_MAX];
} kinds[KINDS] = {
    {10, {ask_publish}},
    {10, {ask_fan_out}},
    {20, {ask_ack, ask_ack, ask_ack, ask_publish, ask_consume, ask_credit}},
    {20, {ask_requeue, ask_requeue, ask_publish, ask_consume, ask_credit, ask_ack}},
    {16, {ask_reject, ask_reject, ask_publish, ask_publish_to_short, ask_consume, ask_credit}},
    {14, {ask_publish_for_a_time}},
    {16, {ask_delay}},
    {10, {ask_transaction, ask_transaction, ask_publish, ask_consume, ask_credit}},
    {14, {ask_publish_ranked, ask_publish_ranked, ask_consume, ask_credit, ask_ack, ask_requeue}},
    {3, {ask_purge, ask_publish, ask_publish, ask_publish_ranked, ask_delay}},
    {4, {ask_delete, ask_declare, ask_publish, ask_publish, ask_fan_out, ask_publish_for_a_time}},
    {4, {ask_vhost, ask_guest, ask_guest, ask_guest, ask_guest}},
    {4,
     {ask_policy, ask_publish_to_ruled, ask_publish_to_ruled, ask_publish_to_short,
      ask_publish_for_a_time, ask_publish_ranked}},
};

const char *const rules_kinds[KINDS + 1] = {
    "publish",     "fan-out",  "ack",   "requeue", "dead-letter", "expiry", "delay",
    "transaction", "priority", "purge", "delete",  "vhost",       "policy", NULL,
};

static const struct kind *draw_kind(struct rules_world *w)
{
    uint32_t sum = 0;
    for (int i = 0; i < KINDS; i++)
        sum += kinds[i].weight;
    uint32_t left = (uint32_t)rules_draw(w, sum);
    const struct kind *kind = kinds;
    for (; left >= kind->weight; kind++)
        left -= kind->weight;
    return kind;
}

void rules_ask(struct rules_world *w)
{
    bool is_own = w->kind >= 0 && (w->alone || rules_draw(w, 2));
    const struct kind *kind = is_own ? &kinds[w->kind] : draw_kind(w);
    size_t count = 0;
    while (count < ASKS_MAX && kind->asks[count])
        count++;
    kind->asks[rules_draw(w, count)](w);
}
