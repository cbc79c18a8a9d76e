#include "tests/sim/rules_catalog.h"

#include "base/check.h"
#include "base/number.h"
#include "broker/exchange_internal.h"
#include "broker/policy.h"
#include "broker/queue_internal.h"
#include "broker/queue_rules.h"
#include "broker/user.h"
#include "tests/sim/rules_asks.h"
#include "wire/amqp_table.h"

#include <stdio.h>
#include <stdlib.h>

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

/* ---- places ---- */

static const struct place_spec {
    const char *name;
    bool comes_and_goes, may_be_bound;
    struct limits limits; /* as its arguments say */
    const char *argument; /* another one */
    int64_t value;
} specs[NAMED_PLACES] = {
    [WORK] = {"work", .limits.dead_to = "dead", .argument = "x-delivery-limit", .value = 6},
    [TIMED] = {"timed", true, true, .limits = {.ttl_ms = TTL_MS, .dead_to = "dead"}},
    [SHORT] = {"short", true, .limits = {.length = 4, .dead_to = "work"}},
    [WAIT] = {"wait", true, .limits = {.ttl_ms = WAIT_MS, .dead_to = "work"}},
    [PLAIN] = {"plain"},
    [DEAD] = {"dead"},
    [BOX] = {"box", true, true},
    [RULED] = {"ruled", true},
    [RANKED] = {"ranked", true, .limits.dead_to = "dead", .argument = "x-max-priority",
                .value = RANKS},
    [GUEST] = {"guest"},
};

const char *place_name(enum place place)
{
    check(place < NAMED_PLACES);
    return specs[place].name;
}

bool place_comes_and_goes(enum place place)
{
    return place < NAMED_PLACES && specs[place].comes_and_goes;
}

bool place_is_bound(const struct rules_world *w, enum place place)
{
    return fact_newest(&w->ledger.facts[FACT_BINDING + place]) != 0;
}

bool place_passes_on(enum place place)
{
    return place == RULED || (place < NAMED_PLACES && specs[place].limits.dead_to);
}

/* ---- policies ---- */

enum { TTL = 1, LENGTH = 2, BYTES = 4, TARGET = 8 };

static const struct policy_text {
    const char *name;
    enum policy_author author;
    const char *pattern;
    unsigned places;       /* that the pattern matches */
    unsigned always, some; /* what it says */
} policies[POLICIES] = {
    [SHORTER] = {"shorter", POLICY_USER, "^short$", 1 << SHORT, LENGTH, 0},
    [SOONER] = {"sooner", POLICY_USER, "^(timed|wait)$", 1 << TIMED | 1 << WAIT, TTL, 0},
    [ELSEWHERE] = {"elsewhere", POLICY_USER, "^ruled$", 1 << RULED, TARGET, TTL | LENGTH},
    [SMALLER] = {"smaller", POLICY_USER, "^ranked$", 1 << RANKED, BYTES, 0},
    [AT_MOST] = {"at-most", POLICY_OPERATOR, "^(short|ruled)$", 1 << SHORT | 1 << RULED, LENGTH,
                 TTL},
    [NO_LATER] = {"no-later", POLICY_OPERATOR, "^(timed|wait)$", 1 << TIMED | 1 << WAIT, TTL, 0},
};

/* What the policy says when its fact has this value. */
static struct limits policy_limits(enum rules_policy policy, uint32_t value)
{
    static const char *const targets[] = {"dead", "work", "plain"};
    const struct policy_text *p = &policies[policy];
    uint64_t bits = (uint64_t)value * 0x9e3779b97f4a7c15;
    unsigned keys = p->always | (p->some & (unsigned)(bits >> 60));
    return (struct limits){
        .ttl_ms = keys & TTL ? 20 + (int64_t)(bits >> 16 & 127) : 0,
        .length = keys & LENGTH ? 1 + (int64_t)(bits >> 24 & 3) : 0,
        .bytes = keys & BYTES ? 500 + (int64_t)(bits >> 32 & 8191) : 0,
        .dead_to = keys & TARGET ? targets[(bits >> 48) % 3] : NULL,
    };
}

static void put_number(struct text *out, const char *key, int64_t number)
{
    if (number)
        amqp_table_put(out, key, &(struct amqp_value){.tag = 'l', .number = number});
}

/* As arguments ("x-") or as a policy (""). */
static void put_limits(struct text *out, const char *prefix, const struct limits *limits)
{
    char key[40];
    snprintf(key, sizeof key, "%smessage-ttl", prefix);
    put_number(out, key, limits->ttl_ms);
    snprintf(key, sizeof key, "%smax-length", prefix);
    put_number(out, key, limits->length);
    snprintf(key, sizeof key, "%smax-length-bytes", prefix);
    put_number(out, key, limits->bytes);
    if (!limits->dead_to)
        return;
    snprintf(key, sizeof key, "%sdead-letter-exchange", prefix);
    amqp_table_put_string(out, key, B(""));
    snprintf(key, sizeof key, "%sdead-letter-routing-key", prefix);
    amqp_table_put_string(out, key, B(limits->dead_to));
}

/* Its value is its priority too. */
static void set_policy(struct rules_world *w, enum rules_policy policy, uint32_t value)
{
    bool is_new;
    struct text definition = {0};
    struct limits limits = policy_limits(policy, value);
    put_limits(&definition, "", &limits);
    enum err err = policy_set(w->vhost, policies[policy].author,
                              &(struct policy_spec){.name = B(policies[policy].name),
                                                    .pattern = B(policies[policy].pattern),
                                                    .apply_to = B("queues"),
                                                    .definition = text_bytes(&definition),
                                                    .priority = value},
                              &is_new);
    text_reset(&definition);
    if (err)
        rules_complain(w, "policy %s: %s", policies[policy].name, err_text());
    else
        rules_change(w, FACT_POLICY + (int)policy, value);
}

void ask_policy(struct rules_world *w)
{
    enum rules_policy policy = (enum rules_policy)rules_draw(w, POLICIES);
    struct fact *f = &w->ledger.facts[FACT_POLICY + policy];
    if (fact_is_full(f) || core_catalog_can_change(w->core) != OK)
        return;
    if (fact_newest(f) == 0 || rules_draw(w, 4)) {
        set_policy(w, policy, rules_new_value(w));
        return;
    }
    enum err err = policy_delete(w->vhost, policies[policy].author, B(policies[policy].name));
    if (err)
        rules_complain(w, "policy %s: %s", policies[policy].name, err_text());
    else
        rules_change(w, FACT_POLICY + (int)policy, 0);
}

/* What the queue without a target of its own passes on goes somewhere, whatever other policies come. */
static void set_base_policy(struct rules_world *w)
{
    bool is_new;
    struct text definition = {0};
    put_limits(&definition, "", &(struct limits){.dead_to = "dead"});
    enum err err = policy_set(w->vhost, POLICY_USER,
                              &(struct policy_spec){.name = B("base"),
                                                    .pattern = B("^ruled$"),
                                                    .apply_to = B("queues"),
                                                    .definition = text_bytes(&definition)},
                              &is_new);
    text_reset(&definition);
    check(!err);
}

static void take_least(int64_t *least, int64_t limit)
{
    if (limit && (*least == 0 || limit < *least))
        *least = limit;
}

struct limits place_limits(const struct rules_world *w, enum place place)
{
    struct limits l = specs[place].limits;
    if (place == RULED)
        l.dead_to = "dead";
    for (int policy = 0; policy < POLICIES; policy++) {
        uint32_t value = fact_newest(&w->ledger.facts[FACT_POLICY + policy]);
        if (!(policies[policy].places >> place & 1) || value == 0)
            continue;
        struct limits more = policy_limits((enum rules_policy)policy, value);
        take_least(&l.ttl_ms, more.ttl_ms);
        take_least(&l.length, more.length);
        take_least(&l.bytes, more.bytes);
        if (more.dead_to)
            l.dead_to = more.dead_to;
    }
    return l;
}

/* ---- declaring ---- */

uint32_t rules_new_value(struct rules_world *w)
{
    return ++w->ledger.last_value;
}

void rules_change(struct rules_world *w, int fact, uint32_t value)
{
    fact_change(&w->ledger.facts[fact], value);
    rules_wait(w, core_catalog_ticket(w->core), ANSWER_FACT, (uint32_t)fact);
}

static void put_tag(struct text *arguments, uint32_t value)
{
    amqp_table_put(arguments, "x-tag", &(struct amqp_value){.tag = 'l', .number = value});
}

static uint32_t tag_of(struct bytes arguments)
{
    struct amqp_value value;
    return amqp_table_find(arguments, "x-tag", &value) ? (uint32_t)value.number : 0;
}

static void create_queue(struct rules_world *w, struct vhost *vhost, enum place place, uint32_t tag)
{
    struct text arguments = {0};
    put_limits(&arguments, "x-", &specs[place].limits);
    if (place == WORK)
        amqp_table_put_string(&arguments, "x-queue-type", B("quorum"));
    if (specs[place].argument)
        put_number(&arguments, specs[place].argument, specs[place].value);
    put_tag(&arguments, tag);
    w->places[place] =
        queue_create(vhost, &(struct queue_spec){.name = B(specs[place].name),
                                                 .durable = true,
                                                 .arguments = text_bytes(&arguments)});
    text_reset(&arguments);
    rules_change(w, FACT_PLACE + (int)place, tag);
}

static void bind(struct rules_world *w, enum place place)
{
    struct text arguments = {0};
    uint32_t tag = rules_new_value(w);
    put_tag(&arguments, tag);
    exchange_bind(exchange_find(w->vhost, B("inner")), w->places[place], B("k"),
                  text_bytes(&arguments));
    text_reset(&arguments);
    rules_change(w, FACT_BINDING + (int)place, tag);
}

void rules_declare_place(struct rules_world *w, enum place place)
{
    create_queue(w, w->vhost, place, rules_new_value(w));
    if (specs[place].may_be_bound && rules_draw(w, 2))
        bind(w, place);
}

void ask_declare(struct rules_world *w)
{
    enum place place = (enum place)rules_draw(w, NAMED_PLACES);
    if (!specs[place].comes_and_goes || core_catalog_can_change(w->core) != OK ||
        fact_is_full(&w->ledger.facts[FACT_PLACE + place]) ||
        fact_is_full(&w->ledger.facts[FACT_BINDING + place]))
        return;
    if (!w->places[place])
        rules_declare_place(w, place);
    else if (specs[place].may_be_bound && !place_is_bound(w, place))
        bind(w, place);
}

static struct exchange *declare_exchange(struct vhost *vhost, const char *name,
                                         enum exchange_kind kind)
{
    struct text arguments = {0};
    amqp_table_put_string(&arguments, "x-delayed-type", B("direct"));
    struct exchange *x = exchange_create(
        vhost,
        &(struct exchange_spec){
            .name = B(name), .kind = kind, .durable = true, .arguments = text_bytes(&arguments)});
    text_reset(&arguments);
    return x;
}

/* A client of the guests', whose connection is closed when their vhost is deleted. */
static void guest_is_closed(struct session *session, const char *reason)
{
    struct rules_world *w = container_of(session, struct rules_world, guest);
    struct fact *f = &w->ledger.facts[FACT_PLACE + GUEST];
    (void)reason;
    w->guest_is_out = true;
    fact_answered(f, fact_newest_index(f));
}

static void let_guest_in(struct rules_world *w)
{
    w->guest = (struct session){.protocol = "sim", .close = guest_is_closed};
    session_add(w->core, &w->guest);
    session_log_in(&w->guest, user_find(w->core, B("guest")));
    session_enter(&w->guest, w->guests);
    w->guest_is_out = false;
}

void rules_make_guests(struct rules_world *w)
{
    char tag[16];
    uint32_t value = rules_new_value(w);
    snprintf(tag, sizeof tag, "%u", value);
    enum err err =
        vhost_create(w->core, B("guests"), &(struct vhost_spec){.description = B(tag)}, &w->guests);
    check(!err);
    create_queue(w, w->guests, GUEST, value);
    struct exchange *x = declare_exchange(w->guests, "guests", EXCHANGE_DELAYED);
    exchange_bind(x, w->places[GUEST], B("guest"), B(""));
    w->places[GUESTS_DELAYED] = x->internal_state->delays;
    let_guest_in(w);
}

void rules_declare(struct rules_world *w)
{
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    for (int fact = 0; fact < FACTS; fact++)
        fact_set(&w->ledger.facts[fact], 0);
    set_base_policy(w);
    for (int place = 0; place < NAMED_PLACES; place++)
        if (place != GUEST)
            create_queue(w, w->vhost, (enum place)place, rules_new_value(w));
    struct exchange *all = declare_exchange(w->vhost, "all", EXCHANGE_FANOUT);
    struct exchange *inner = declare_exchange(w->vhost, "inner", EXCHANGE_DIRECT);
    struct exchange *later = declare_exchange(w->vhost, "later", EXCHANGE_DELAYED);
    exchange_bind_exchange(all, inner, B(""), B(""));
    exchange_bind(inner, w->places[WORK], B("k"), B(""));
    exchange_bind(later, w->places[WORK], B("work"), B(""));
    exchange_bind(later, w->places[PLAIN], B("plain"), B(""));
    w->places[DELAYED] = later->internal_state->delays;
    bind(w, TIMED);
    bind(w, BOX);
    rules_make_guests(w);
    core_turn_end(w->core);
}

/* ---- after a start ---- */

static struct queue *delays_of(struct vhost *vhost, const char *name)
{
    struct exchange *x = exchange_find(vhost, B(name));
    return x ? x->internal_state->delays : NULL;
}

void rules_find_places(struct rules_world *w)
{
    w->vhost = vhost_find(w->core, B("/"));
    w->guests = vhost_find(w->core, B("guests"));
    for (int place = 0; place < NAMED_PLACES; place++)
        if (place != GUEST)
            w->places[place] = queue_find(w->vhost, B(specs[place].name));
    w->places[DELAYED] = delays_of(w->vhost, "later");
    if (!w->guests)
        return;
    w->places[GUEST] = queue_find(w->guests, B(specs[GUEST].name));
    w->places[GUESTS_DELAYED] = delays_of(w->guests, "guests");
    let_guest_in(w);
}

static uint32_t binding_value(struct rules_world *w, const struct queue *queue)
{
    uint32_t value = 0;
    struct exchange *inner = exchange_find(w->vhost, B("inner"));
    list_each (node, &inner->internal_state->bindings) {
        const struct binding *b = container_of(node, struct binding, of_exchange);
        if (b->queue != queue)
            continue;
        if (value)
            rules_complain(w, "two bindings of one queue");
        value = tag_of(b->arguments);
    }
    return value;
}

static uint32_t policy_value_of(struct rules_world *w, enum rules_policy number)
{
    const struct policy *policy =
        policy_find(w->vhost, policies[number].author, B(policies[number].name));
    if (!policy)
        return 0;
    struct text definition = {0};
    struct limits limits = policy_limits(number, (uint32_t)policy->priority);
    put_limits(&definition, "", &limits);
    if (!bytes_equal(text_bytes(&definition), policy->definition))
        rules_complain(w, "policy %s says something else", policies[number].name);
    text_reset(&definition);
    return (uint32_t)policy->priority;
}

static uint32_t value_of(struct rules_world *w, int fact)
{
    if (fact >= FACT_POLICY)
        return policy_value_of(w, (enum rules_policy)(fact - FACT_POLICY));
    enum place place = (enum place)(fact % PLACES);
    struct queue *queue = place < NAMED_PLACES ? w->places[place] : NULL;
    if (!queue)
        return 0;
    return fact >= FACT_BINDING ? binding_value(w, queue) : tag_of(queue->arguments);
}

static const char *fact_name(int fact)
{
    return fact >= FACT_POLICY ? policies[fact - FACT_POLICY].name : specs[fact % PLACES].name;
}

static void check_fact(struct rules_world *w, int fact)
{
    struct fact *f = &w->ledger.facts[fact];
    uint32_t value = value_of(w, fact);
    if (!fact_may_be(f, value))
        rules_complain(w, "%s %s is %u, answered was %u, newest is %u",
                       fact >= FACT_POLICY    ? "policy"
                       : fact >= FACT_BINDING ? "binding"
                                              : "queue",
                       fact_name(fact), value, f->values[0], fact_newest(f));
    fact_set(f, value);
}

/* A vhost is there whole or not at all. */
static void check_guests(struct rules_world *w)
{
    int64_t tag;
    if (!w->guests)
        return;
    if (!w->places[GUEST] || !w->places[GUESTS_DELAYED])
        rules_complain(w, "half of a vhost");
    else if (!number_parse_i64(w->guests->description, &tag) ||
             tag != tag_of(w->places[GUEST]->arguments))
        rules_complain(w, "a queue of another vhost");
}

void rules_check_catalog(struct rules_world *w)
{
    if (!w->places[DELAYED])
        rules_complain(w, "the exchange that delays is missing");
    else
        for (int fact = 0; fact < FACTS; fact++)
            check_fact(w, fact);
    check_guests(w);
    if (!w->wrong[0])
        rules_check_limits(w);
}

static int64_t none_is_zero(int64_t setting)
{
    return setting < 0 ? 0 : setting;
}

static void check_place(struct rules_world *w, enum place place)
{
    struct limits want = place_limits(w, place);
    struct limits is = {0};
    const struct queue_rules *r = w->places[place]->internal->rules;
    struct bytes key = r ? r->settings.dead_letter_key : BYTES_NULL;
    if (r)
        is = (struct limits){.ttl_ms = none_is_zero(r->settings.message_ttl_ms),
                             .length = none_is_zero(r->settings.max_length),
                             .bytes = none_is_zero(r->settings.max_length_bytes)};
    if (is.ttl_ms != want.ttl_ms || is.length != want.length || is.bytes != want.bytes)
        rules_complain(w,
                       "in force for %s: %lld ms, %lld messages, %lld bytes; asked for: %lld ms, "
                       "%lld messages, %lld bytes",
                       specs[place].name, (long long)is.ttl_ms, (long long)is.length,
                       (long long)is.bytes, (long long)want.ttl_ms, (long long)want.length,
                       (long long)want.bytes);
    if (!bytes_equal(key, want.dead_to ? B(want.dead_to) : BYTES_NULL))
        rules_complain(w, "dead letters of %s go to '%.*s' and not to %s", specs[place].name,
                       BYTES_FORMAT(key), want.dead_to ? want.dead_to : "nowhere");
}

void rules_check_limits(struct rules_world *w)
{
    for (int place = 0; place < NAMED_PLACES; place++)
        if (w->places[place])
            check_place(w, (enum place)place);
}
