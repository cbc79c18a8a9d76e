#include "tests/sim/rules_world.h"

#include "base/check.h"
#include "broker/exchange_internal.h"
#include "broker/policy.h"
#include "broker/queue_internal.h"
#include "wire/amqp_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MS = 1000000, REQUESTS = 6, STEPS_MAX = 14, BODY_MAX = 64 << 10 };

static const char *const place_names[NAMED_PLACES] = {"work", "timed", "short",
                                                      "wait", "plain", "dead"};

struct sim_consumer {
    struct consumer consumer;
    struct rules_world *world;
    uint32_t credit;
};

/* A request that waits for a ticket: a confirmed publish, or a settle that is durable. */
struct ask {
    struct list node;
    struct wait wait;
    struct rules_world *world;
    uint32_t letter;
    bool is_settle;
    bool is_transaction;
};

void rules_complain(struct rules_world *w, const char *format, ...)
{
    if (w->wrong[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->wrong, sizeof w->wrong, format, args);
    va_end(args);
}

static uint64_t draw(struct rules_world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

/* ---- life ---- */

void rules_init(struct rules_world *w, uint64_t seed, struct disk *disk)
{
    memset(w, 0, sizeof *w);
    random_init(&w->random, seed);
    struct store_config *store = &w->config.store;
    store_config_default(store);
    store->journal_first_bytes = 64 * 1024;
    store->journal_file_bytes = 128 * 1024;
    store->journal_max_bytes = 448 * 1024;
    store->carry_bytes = draw(w, 2) ? 4096 : 16384;
    store->direct_append_bytes = store->direct_commit_bytes = draw(w, 2) ? 1 : 2048;
    store->allocate_bytes = 64 * 1024;
    store->unmarked_max_bytes = 128 * 1024;
    store->segment_bytes = 96 * 1024;
    store->cache_bytes = draw(w, 2) ? 1 << 20 : 32 << 20;
    store->reserve_bytes = 0;
    w->config.durability = LEVEL_FSYNC;
    w->config.default_partitions = 1;
    w->config.topic_message_max_bytes = w->config.message_max_bytes = 1 << 20;
    w->config.node_id = 1;
    w->disk = disk;
    w->now_ns = 1000000000;
    w->wall_ms = 1700000000000;
    list_init(&w->asks);
}

static void find_places(struct rules_world *w)
{
    for (int i = 0; i < NAMED_PLACES; i++)
        w->places[i] = queue_find(w->vhost, B(place_names[i]));
    struct exchange *later = exchange_find(w->vhost, B("later"));
    w->places[DELAYED] = later ? later->internal_state->delays : NULL;
}

bool rules_are_declared(const struct rules_world *w)
{
    for (int i = 0; i < PLACES; i++)
        if (!w->places[i])
            return false;
    return true;
}

enum err rules_open(struct rules_world *w)
{
    w->config.random_seed = random_u64(&w->random);
    w->sim = sim_jobs_new();
    sim_stepper_init(&w->stepper, w->sim, &w->random);
    enum err err = core_open(&w->config, w->disk, &w->stepper.jobs, &w->core);
    if (err) {
        sim_jobs_drop(w->sim, NULL);
        sim_jobs_free(w->sim);
        w->sim = NULL;
        w->core = NULL;
        return err;
    }
    w->vhost = vhost_find(w->core, B("/"));
    find_places(w);
    return OK;
}

static void declare_queue_with(struct rules_world *w, enum place place, const char *dead_to,
                               const char *name, int64_t value)
{
    struct text arguments = {0};
    if (dead_to) {
        amqp_table_put_string(&arguments, "x-dead-letter-exchange", B(""));
        amqp_table_put_string(&arguments, "x-dead-letter-routing-key", B(dead_to));
    }
    if (place == WORK)
        amqp_table_put_string(&arguments, "x-queue-type", B("quorum"));
    if (name)
        amqp_table_put(&arguments, name, &(struct amqp_value){.tag = 'l', .number = value});
    queue_create(w->vhost, &(struct queue_spec){.name = B(place_names[place]),
                                                .durable = true,
                                                .arguments = text_bytes(&arguments)});
    text_reset(&arguments);
}

static struct exchange *declare_exchange_of(struct rules_world *w, const char *name,
                                            enum exchange_kind kind)
{
    struct text arguments = {0};
    amqp_table_put_string(&arguments, "x-delayed-type", B("direct"));
    struct exchange *x = exchange_create(
        w->vhost,
        &(struct exchange_spec){
            .name = B(name), .kind = kind, .durable = true, .arguments = text_bytes(&arguments)});
    text_reset(&arguments);
    return x;
}

void rules_declare(struct rules_world *w)
{
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    declare_queue_with(w, DEAD, NULL, NULL, 0);
    declare_queue_with(w, PLAIN, NULL, NULL, 0);
    declare_queue_with(w, WORK, "dead", "x-delivery-limit", 6);
    declare_queue_with(w, TIMED, "dead", "x-message-ttl", TTL_MS);
    declare_queue_with(w, SHORT, "work", "x-max-length", 4);
    declare_queue_with(w, WAIT, "work", "x-message-ttl", WAIT_MS);
    struct exchange *all = declare_exchange_of(w, "all", EXCHANGE_FANOUT);
    struct exchange *inner = declare_exchange_of(w, "inner", EXCHANGE_DIRECT);
    struct exchange *later = declare_exchange_of(w, "later", EXCHANGE_DELAYED);
    find_places(w);
    exchange_bind_exchange(all, inner, B(""), B(""));
    exchange_bind(inner, w->places[WORK], B("k"), B(""));
    exchange_bind(inner, w->places[TIMED], B("k"), B(""));
    exchange_bind(later, w->places[WORK], B("work"), B(""));
    exchange_bind(later, w->places[PLAIN], B("plain"), B(""));
    core_turn_end(w->core);
}

static void drop_consumers(struct rules_world *w)
{
    for (size_t i = 0; i < w->consumers.count; i++) {
        queue_cancel(&w->consumers.items[i]->consumer);
        free(w->consumers.items[i]);
    }
    vec_clear(&w->consumers);
}

static void forget(struct rules_world *w)
{
    struct list *node;
    while ((node = list_pop_front(&w->asks))) {
        struct ask *a = container_of(node, struct ask, node);
        core_wait_cancel(&a->wait);
        free(a);
    }
    for (size_t i = 0; i < w->outs.count; i++)
        queue_unref(w->outs.items[i].queue);
    vec_clear(&w->outs);
    drop_consumers(w);
}

static void gone(struct rules_world *w)
{
    sim_jobs_free(w->sim);
    w->core = NULL;
    w->sim = NULL;
    memset(w->places, 0, sizeof w->places);
}

void rules_drop(struct rules_world *w)
{
    if (!w->core)
        return;
    forget(w);
    sim_jobs_drop(w->sim, NULL);
    core_abandon(w->core);
    gone(w);
}

void rules_leave(struct rules_world *w)
{
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    drop_consumers(w);
    for (size_t i = 0; i < w->outs.count; i++) {
        queue_return(w->outs.items[i].queue, w->outs.items[i].offset, w->outs.items[i].number);
        queue_unref(w->outs.items[i].queue);
    }
    vec_clear(&w->outs);
    core_turn_end(w->core);
}

void rules_close(struct rules_world *w)
{
    rules_leave(w);
    forget(w);
    core_close(w->core);
    gone(w);
}

void rules_reset(struct rules_world *w)
{
    rules_drop(w);
    vec_reset(&w->letters);
    vec_reset(&w->transactions);
    vec_reset(&w->outs);
    vec_reset(&w->consumers);
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
    return bytes_of(body, size < 12 ? 12 : size);
}

static size_t draw_size(struct rules_world *w)
{
    return draw(w, 12) == 0 ? 4000 + draw(w, 20000) : 12 + draw(w, 300);
}

/* ---- waiting ---- */

static void answered(struct wait *wait)
{
    struct ask *a = container_of(wait, struct ask, wait);
    struct letter *letter = &a->world->letters.items[a->letter];
    if (a->is_settle)
        letter->acked_durably++;
    else
        letter->confirmed = true;
    if (a->is_transaction)
        letter->in_transaction = false;
    list_remove(&a->node);
    free(a);
}

static void wait_for(struct rules_world *w, struct ticket ticket, struct ask what)
{
    struct ask *a = xzalloc(sizeof *a);
    *a = what;
    a->world = w;
    a->wait.ready = answered;
    list_push_back(&w->asks, &a->node);
    core_wait(w->core, &a->wait, ticket, STAGE_COMMITTED);
}

/* ---- publishing ---- */

struct posting {
    const char *exchange, *key;
    int ttl_ms, delay_ms; /* 0: none */
    uint32_t copies;
};

/* False: it was refused, and is nowhere. */
static bool post(struct rules_world *w, const struct posting *p, struct ticket *out)
{
    struct text headers = {0}, properties = {0};
    char ttl[16];
    uint32_t letter = (uint32_t)w->letters.count;
    if (p->delay_ms)
        amqp_table_put(&headers, "x-delay",
                       &(struct amqp_value){.tag = 'I', .number = p->delay_ms});
    text_put_u16(&properties, (uint16_t)(PROPERTY_HEADERS | (p->ttl_ms ? PROPERTY_EXPIRATION : 0)));
    amqp_property_put(&properties, PROPERTY_HEADERS, text_bytes(&headers));
    snprintf(ttl, sizeof ttl, "%d", p->ttl_ms);
    if (p->ttl_ms)
        amqp_property_put(&properties, PROPERTY_EXPIRATION, B(ttl));
    struct message m = {.exchange = B(p->exchange),
                        .routing_key = B(p->key),
                        .properties = text_bytes(&properties),
                        .body = letter_write(letter, w->wall_ms + p->delay_ms, draw_size(w))};
    struct route route = exchange_route(exchange_find(w->vhost, m.exchange), &m);
    check(route.count == p->copies);
    enum err err = queue_publish(w->core, route, &m, out);
    text_reset(&headers);
    text_reset(&properties);
    if (err)
        return false;
    vec_push(&w->letters, ((struct letter){.copies = p->copies}));
    return true;
}

static void publish(struct rules_world *w, const struct posting *p)
{
    struct ticket ticket;
    if (post(w, p, &ticket))
        wait_for(w, ticket, (struct ask){.letter = (uint32_t)w->letters.count - 1});
}

static void ask_publish(struct rules_world *w)
{
    /* a time of its own only where what expires goes on */
    static const enum place passing[] = {WORK, TIMED, SHORT, WAIT};
    enum place place = draw(w, 4) ? passing[draw(w, 4)] : PLAIN;
    struct posting p = {.exchange = "", .key = place_names[place], .copies = 1};
    if (place != PLAIN && draw(w, 2))
        p.ttl_ms = 1 + (int)draw(w, OWN_TTL_MAX_MS);
    publish(w, &p);
}

static void ask_fan_out(struct rules_world *w)
{
    struct posting p = {.exchange = "all", .key = "k", .copies = 2};
    if (draw(w, 2))
        p.ttl_ms = 1 + (int)draw(w, OWN_TTL_MAX_MS);
    publish(w, &p);
}

static void ask_delay(struct rules_world *w)
{
    struct posting p = {.exchange = "later",
                        .key = draw(w, 2) ? "work" : "plain",
                        .delay_ms = 1 + (int)draw(w, DELAY_MAX_MS),
                        .copies = 1};
    publish(w, &p);
}

/* ---- consuming ---- */

static uint32_t credit(struct consumer *base)
{
    return container_of(base, struct sim_consumer, consumer)->credit;
}

static void take_out(struct rules_world *w, const struct delivery *d)
{
    struct letter_text text;
    if (!letter_read(d->message.body, &text) || text.letter >= w->letters.count) {
        rules_complain(w, "a delivery that nobody has sent");
        return;
    }
    if (w->wall_ms < text.not_before_ms)
        rules_complain(w, "letter %u is delivered %lld ms too early", text.letter,
                       (long long)(text.not_before_ms - w->wall_ms));
    queue_ref(d->queue);
    vec_push(&w->outs, ((struct out){d->queue, text.letter, d->offset, d->number}));
}

static void deliver(struct consumer *base, const struct delivery *d)
{
    struct sim_consumer *c = container_of(base, struct sim_consumer, consumer);
    c->credit--;
    take_out(c->world, d);
}

static void cancelled(struct consumer *base)
{
    (void)base; /* no queue is deleted here */
}

static void ask_consume(struct rules_world *w)
{
    enum { CONSUMERS_MAX = 5 };
    if (w->consumers.count == CONSUMERS_MAX || (w->consumers.count > 0 && draw(w, 3) == 0)) {
        size_t i = (size_t)draw(w, w->consumers.count);
        struct sim_consumer *c = w->consumers.items[i];
        w->consumers.items[i] = vec_pop(&w->consumers);
        queue_cancel(&c->consumer);
        free(c);
        return;
    }
    struct sim_consumer *c = xzalloc(sizeof *c);
    c->consumer = (struct consumer){.credit = credit, .deliver = deliver, .cancelled = cancelled};
    c->world = w;
    c->credit = 1 + (uint32_t)draw(w, 6);
    vec_push(&w->consumers, c);
    enum err err = queue_consume(w->places[draw(w, NAMED_PLACES)], &c->consumer);
    check(!err);
}

static void ask_credit(struct rules_world *w)
{
    if (w->consumers.count == 0)
        return;
    struct sim_consumer *c = w->consumers.items[draw(w, w->consumers.count)];
    c->credit += (uint32_t)draw(w, 8);
    queue_consumer_ready(&c->consumer);
}

/* Take one of the deliveries out of the list; its queue's reference is the caller's. */
static bool pick_out(struct rules_world *w, struct out *o)
{
    if (w->outs.count == 0)
        return false;
    size_t i = (size_t)draw(w, w->outs.count);
    *o = w->outs.items[i];
    w->outs.items[i] = vec_pop(&w->outs);
    return true;
}

static void settle(struct rules_world *w, const struct out *o)
{
    struct ticket ticket;
    queue_settle(o->queue, o->offset, o->number);
    w->letters.items[o->letter].acked++;
    if (draw(w, 3))
        return;
    queue_log_changes(o->queue, &ticket);
    wait_for(w, ticket, (struct ask){.letter = o->letter, .is_settle = true});
}

static void ask_settle(struct rules_world *w)
{
    struct out o;
    if (!pick_out(w, &o))
        return;
    bool passes_on = o.queue != w->places[PLAIN] && o.queue != w->places[DEAD];
    uint64_t how = draw(w, 4);
    if (how == 0 || (how == 1 && !passes_on))
        settle(w, &o);
    else if (how == 1)
        queue_reject(o.queue, o.offset, o.number);
    else
        queue_return(o.queue, o.offset, o.number);
    queue_unref(o.queue);
}

/* As AMQP's tx.commit: publish and settle in one turn, and wait for all of it. */
static void ask_transaction(struct rules_world *w)
{
    struct out o;
    struct ticket ticket, settled;
    if (!pick_out(w, &o))
        return;
    const struct posting p = {.exchange = "", .key = draw(w, 2) ? "plain" : "timed", .copies = 1};
    if (w->letters.items[o.letter].copies == 1 && post(w, &p, &ticket)) {
        uint32_t sent = (uint32_t)w->letters.count - 1;
        w->letters.items[sent].in_transaction = true;
        queue_settle(o.queue, o.offset, o.number);
        w->letters.items[o.letter].acked++;
        queue_log_changes(o.queue, &settled);
        ticket_join(&ticket, settled);
        vec_push(&w->transactions, ((struct transaction){sent, o.letter}));
        wait_for(w, ticket, (struct ask){.letter = sent, .is_transaction = true});
        wait_for(w, ticket, (struct ask){.letter = o.letter, .is_settle = true});
    } else {
        queue_return(o.queue, o.offset, o.number);
    }
    queue_unref(o.queue);
}

/* A queue is to be shorter or longer, or to keep for a shorter time. */
static void ask_policy(struct rules_world *w)
{
    struct text definition = {0};
    bool of_length = draw(w, 2), is_new;
    amqp_table_put(&definition, of_length ? "max-length" : "message-ttl",
                   &(struct amqp_value){.tag = 'l',
                                        .number = of_length ? 1 + (int64_t)draw(w, 4)
                                                            : 20 + (int64_t)draw(w, 200)});
    struct policy_spec spec = {.name = of_length ? B("length") : B("time"),
                               .pattern = of_length ? B("^short$") : B("^(timed|wait)$"),
                               .apply_to = B("queues"),
                               .definition = text_bytes(&definition)};
    if (core_catalog_can_change(w->core) == OK) {
        enum err err = draw(w, 4) ? policy_set(w->vhost, POLICY_USER, &spec, &is_new) : E_NOT_FOUND;
        if (err)
            err = policy_delete(w->vhost, POLICY_USER, spec.name);
    }
    text_reset(&definition);
}

/* ---- turns ---- */

static void ask(struct rules_world *w)
{
    static void (*const kinds[])(struct rules_world *) = {
        ask_publish, ask_publish, ask_publish, ask_fan_out, ask_delay,  ask_delay,
        ask_consume, ask_credit,  ask_settle,  ask_settle,  ask_settle, ask_transaction,
    };
    if (draw(w, 60) == 0)
        ask_policy(w);
    else
        kinds[draw(w, sizeof kinds / sizeof *kinds)](w);
}

void rules_turn(struct rules_world *w)
{
    int64_t ms = (int64_t)draw(w, 12);
    w->now_ns += ms * MS;
    w->wall_ms += ms;
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    for (uint64_t n = draw(w, STEPS_MAX); n > 0; n--)
        if (!sim_jobs_step(w->sim, &w->random))
            break;
    for (uint64_t n = draw(w, REQUESTS + 1); n > 0; n--)
        ask(w);
    core_turn_end(w->core);
}

void rules_idle_turn(struct rules_world *w, int64_t ms)
{
    w->now_ns += ms * MS;
    w->wall_ms += ms;
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    sim_jobs_drain(w->sim);
    core_turn_end(w->core);
}
