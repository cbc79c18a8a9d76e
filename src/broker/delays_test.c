/* Exchanges that delay, and those that remember. */
#include "broker/delays.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/exchange_internal.h"
#include "broker/queue_internal.h"
#include "broker/test_queues.h"
#include "tests/test.h"
#include "wire/amqp_table.h"

static struct exchange *make_exchange(struct test_core *t, const char *name,
                                      enum exchange_kind kind, bool durable, const char *argument,
                                      const char *value)
{
    struct text arguments = {0};
    if (argument)
        amqp_table_put_string(&arguments, argument, B(value));
    struct exchange_spec spec = {
        .name = B(name), .kind = kind, .durable = durable, .arguments = text_bytes(&arguments)};
    expect_ok(exchange_check(&spec));
    struct exchange *x = exchange_create(test_vhost(t), &spec);
    text_reset(&arguments);
    return x;
}

static struct exchange *delaying(struct test_core *t, bool durable)
{
    return make_exchange(t, "x", EXCHANGE_DELAYED, durable, "x-delayed-type", "direct");
}

/* With a header, to the exchange; NULL: without. */
static enum err publish_with(struct test_core *t, const char *exchange, const char *key,
                             const char *body, const char *header, struct amqp_value *value)
{
    struct text headers = {0}, properties = {0};
    struct ticket ticket;
    if (header)
        amqp_table_put(&headers, header, value);
    message_put_properties(&(struct message){.properties = B("")}, PROPERTY_HEADERS,
                           text_bytes(&headers), 0, &properties);
    struct message m = {.exchange = B(exchange),
                        .routing_key = B(key),
                        .body = B(body),
                        .properties = text_bytes(&properties)};
    struct route route = exchange_route(exchange_find(test_vhost(t), B(exchange)), &m);
    enum err err = route.count > 0 ? queue_publish(t->core, route, &m, &ticket) : E_NOT_FOUND;
    text_reset(&headers);
    text_reset(&properties);
    return err;
}

static void publish(struct test_core *t, const char *body, int64_t delay_ms)
{
    struct amqp_value delay = {.tag = 'I', .number = delay_ms};
    expect_ok(publish_with(t, "x", "k", body, "x-delay", &delay));
}

static void bind(struct test_core *t, const char *exchange, const char *queue)
{
    exchange_bind(exchange_find(test_vhost(t), B(exchange)), test_queue(t, queue), B("k"), B(""));
}

static struct exchange *find(struct test_core *t)
{
    return exchange_find(test_vhost(t), B("x"));
}

/* ---- delays ---- */

TEST(messages_come_after_their_delays_in_order_of_time)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        test_core_init(&t);
        struct exchange *x = delaying(&t, durable);
        test_make_queue(&t, "q", durable);
        bind(&t, "x", "q");
        publish(&t, "a", 30);
        publish(&t, "b", 10);
        publish(&t, "c", 20);
        publish(&t, "d", 10);
        publish(&t, "e", 0);
        test_pass_ms(&t, 9);
        expect_int(exchange_delayed_count(x), 4);
        expect_string(test_drain(&t, "q"), "e");
        test_pass_ms(&t, 1);
        expect_string(test_drain(&t, "q"), "bd");
        test_pass_ms(&t, 20);
        expect_string(test_drain(&t, "q"), "ca");
        expect_int(exchange_delayed_count(x), 0);
        test_core_end(&t);
    }
}

TEST(the_header_comes_with_the_opposite_sign_and_is_not_delayed_again)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = delaying(&t, true);
    make_exchange(&t, "y", EXCHANGE_DELAYED, true, "x-delayed-type", "fanout");
    exchange_bind_exchange(x, exchange_find(test_vhost(&t), B("y")), B("k"), B(""));
    test_make_queue(&t, "q", true);
    bind(&t, "y", "q");
    publish(&t, "a", 50);
    test_pass_ms(&t, 50);
    struct delivery d;
    test_core_settle(&t);
    expect_ok(test_get(&t, "q", &d));
    expect_bytes(d.message.exchange, B("x"));
    expect_bytes(d.message.routing_key, B("k"));
    struct text text = {0};
    amqp_table_dump(message_headers(&d.message), &text);
    expect_bytes(text_bytes(&text), B("{x-delay: I -50}"));
    text_reset(&text);
    test_core_end(&t);
}

TEST(a_delay_may_be_of_any_type_and_is_none_when_it_makes_no_sense)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = delaying(&t, false);
    test_make_queue(&t, "q", false);
    bind(&t, "x", "q");
    const struct {
        struct amqp_value v;
        bool is_delayed;
    } cases[] = {
        {{.tag = 'l', .number = 4294967295}, true},
        {{.tag = 'l', .number = 4294967296}, false},
        {{.tag = 'I', .number = -5}, false},
        {{.tag = 's', .number = 5}, true},
        {{.tag = 'S', .bytes = B("17")}, true},
        {{.tag = 'S', .bytes = B("soon")}, false},
        {{.tag = 'd', .real = 3.9}, true},
        {{.tag = 'd', .real = 1e300}, false},
        {{.tag = 'f', .real = 0.5}, false},
        {{.tag = 't', .number = 1}, false},
        {{.tag = 'V'}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct amqp_value v = cases[i].v;
        expect_ok(publish_with(&t, "x", "k", "m", "x-delay", &v));
        test_core_settle(&t);
        expect_int(exchange_delayed_count(x), cases[i].is_delayed);
        expect_int(queue_ready_count(test_queue(&t, "q")), !cases[i].is_delayed);
        test_drain(&t, "q");
        struct ticket ignored;
        queue_purge(x->internal_state->delays, &ignored);
    }
    test_core_end(&t);
}

TEST(where_a_delayed_message_goes_is_decided_when_its_time_has_come)
{
    struct test_core t;
    test_core_init(&t);
    delaying(&t, true);
    publish(&t, "a", 20);
    publish(&t, "b", 40);
    test_pass_ms(&t, 20); /* nobody is bound: a is lost */
    test_make_queue(&t, "q", true);
    bind(&t, "x", "q");
    test_pass_ms(&t, 20);
    expect_string(test_drain(&t, "q"), "b");
    expect_int(exchange_delayed_count(find(&t)), 0);
    test_core_end(&t);
}

TEST(delayed_messages_survive_restarts_and_come_once)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct test_core t;
        test_core_init(&t);
        random_init(&t.random, seed);
        delaying(&t, true);
        test_make_queue(&t, "q", true);
        bind(&t, "x", "q");
        int got[26] = {0};
        for (int i = 0; i < 26; i++)
            publish(&t, (char[]){(char)('a' + i), 0}, 1 + (int64_t)random_below(&t.random, 100));
        test_core_settle(&t);
        for (int step = 0; step < 12; step++) {
            t.now_ns += 10000000;
            t.wall_ms += 10;
            core_turn_begin(t.core, t.now_ns, t.wall_ms);
            test_core_turn(&t);
            for (uint64_t n = random_below(&t.random, 5); n > 0; n--) {
                sim_jobs_step(t.sim, &t.random);
                test_core_turn(&t);
            }
            if (random_below(&t.random, 2))
                test_core_crash(&t);
        }
        test_pass_ms(&t, 1);
        for (const char *c = test_drain(&t, "q"); *c; c++)
            got[*c - 'a']++;
        for (int i = 0; i < 26; i++)
            expect_int(got[i], 1);
        test_core_end(&t);
    }
}

TEST(a_delayed_message_is_confirmed_when_it_is_stored_and_not_before)
{
    struct test_core t;
    test_core_init(&t);
    delaying(&t, true);
    publish(&t, "a", 1000);
    test_core_turn(&t); /* the disk does nothing */
    test_core_crash(&t);
    expect_true(!find(&t) || exchange_delayed_count(find(&t)) == 0);
    test_core_end(&t);
}

TEST(with_its_exchange_delayed_messages_go)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        test_core_init(&t);
        struct exchange *x = delaying(&t, durable);
        test_make_queue(&t, "x", true); /* of the same name, which stays */
        test_make_queue(&t, "q", true);
        bind(&t, "x", "q");
        publish(&t, "a", 10);
        test_core_settle(&t);
        exchange_delete(x);
        test_pass_ms(&t, 100);
        expect_string(test_drain(&t, "q"), "");
        test_core_crash(&t);
        expect_null(find(&t));
        expect_not_null(test_queue(&t, "x"));
        test_core_end(&t);
    }
}

TEST(an_exchange_that_delays_names_what_it_delays_for)
{
    static const char *const cases[][2] = {
        {"", "Invalid argument, 'x-delayed-type' must be an existing exchange type"},
        {"nothing", "unknown exchange type 'nothing'"},
        {"x-delayed-message",
         "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text arguments = {0};
        if (*cases[i][0])
            amqp_table_put_string(&arguments, "x-delayed-type", B(cases[i][0]));
        expect_err(exchange_check(&(struct exchange_spec){.kind = EXCHANGE_DELAYED,
                                                          .arguments = text_bytes(&arguments)}),
                   E_INVALID);
        expect_string(err_text(), cases[i][1]);
        text_reset(&arguments);
    }
}

TEST(bindings_mean_what_they_mean_to_the_delayed_type)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make_exchange(&t, "x", EXCHANGE_DELAYED, true, "x-delayed-type", "topic");
    test_make_queue(&t, "q", true);
    exchange_bind(x, test_queue(&t, "q"), B("*.b.#"), B(""));
    struct amqp_value delay = {.tag = 'I', .number = 5};
    expect_ok(publish_with(&t, "x", "a.b.c", "1", "x-delay", &delay));
    expect_ok(publish_with(&t, "x", "a.c", "2", "x-delay", &delay));
    expect_ok(publish_with(&t, "x", "b.b", "3", NULL, NULL));
    test_core_settle(&t);
    test_core_crash(&t);
    test_pass_ms(&t, 5);
    expect_string(test_drain(&t, "q"), "31");
    test_core_end(&t);
}

/* ---- recent history ---- */

static struct exchange *remembering(struct test_core *t, int64_t length)
{
    struct text arguments = {0};
    if (length > 0)
        amqp_table_put(&arguments, "x-recent-history-length",
                       &(struct amqp_value){.tag = 'I', .number = length});
    struct exchange_spec spec = {
        .name = B("x"), .kind = EXCHANGE_RECENT_HISTORY, .arguments = text_bytes(&arguments)};
    expect_ok(exchange_check(&spec));
    struct exchange *x = exchange_create(test_vhost(t), &spec);
    text_reset(&arguments);
    return x;
}

TEST(who_is_bound_gets_the_newest_messages)
{
    for (int64_t length = 0; length < 4; length++) {
        struct test_core t;
        test_core_init(&t);
        struct exchange *x = remembering(&t, length);
        for (const char *c = "abcdefghijklmnopqrstuvwxyz"; *c; c++)
            (void)publish_with(&t, "x", "k", (char[]){*c, 0}, NULL, NULL);
        struct amqp_value yes = {.tag = 't', .number = 1};
        (void)publish_with(&t, "x", "k", "!", "x-recent-history-no-store", &yes);
        test_make_queue(&t, "q", true);
        bind(&t, "x", "q");
        bind(&t, "x", "q"); /* is bound already */
        const char *newest = "ghijklmnopqrstuvwxyz";
        expect_string(test_drain(&t, "q"), length ? newest + 20 - length : newest);
        expect_ok(publish_with(&t, "x", "k", "1", NULL, NULL));
        expect_string(test_drain(&t, "q"), "1");
        expect_int(x->internal_state->history.messages.count, length ? length : 20);
        test_core_end(&t);
    }
}

TEST(an_exchange_that_is_bound_passes_the_newest_messages_on)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = remembering(&t, 5);
    test_make_queue(&t, "q", true);
    bind(&t, "amq.direct", "q");
    (void)publish_with(&t, "x", "k", "a", NULL, NULL);
    (void)publish_with(&t, "x", "other", "b", NULL, NULL);
    exchange_bind_exchange(x, exchange_find(test_vhost(&t), B("amq.direct")), B(""), B(""));
    expect_string(test_drain(&t, "q"), "a");
    test_core_end(&t);
}

TEST(a_length_of_recent_history_is_positive)
{
    struct text arguments = {0};
    amqp_table_put(&arguments, "x-recent-history-length",
                   &(struct amqp_value){.tag = 'I', .number = 0});
    expect_err(exchange_check(&(struct exchange_spec){.kind = EXCHANGE_RECENT_HISTORY,
                                                      .arguments = text_bytes(&arguments)}),
               E_INVALID);
    text_reset(&arguments);
}

TEST(recent_history_has_a_limit_of_bytes)
{
    struct history h = {0};
    struct text body = {0};
    text_append_zeros(&body, HISTORY_MAX_BYTES / 4);
    struct message m = {.properties = B(""), .body = text_bytes(&body)};
    for (int i = 0; i < 10; i++)
        history_add(&h, &m, 20);
    expect_int(h.messages.count, 4);
    text_append_zeros(&body, HISTORY_MAX_BYTES);
    m.body = text_bytes(&body);
    history_add(&h, &m, 20);
    expect_int(h.messages.count, 4);
    history_reset(&h);
    text_reset(&body);
}

/* ---- modulus hash ---- */

TEST(a_modulus_hash_sends_each_key_to_one_destination_always)
{
    struct test_core t;
    int got[4] = {0};
    char name[8], key[8];
    test_core_init(&t);
    struct exchange *x = make_exchange(&t, "x", EXCHANGE_MODULUS_HASH, true, NULL, NULL);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "q%d", i);
        test_make_queue(&t, name, true);
        exchange_bind(x, test_queue(&t, name), B("k"), B(""));
        exchange_bind(x, test_queue(&t, name), B("again"), B(""));
    }
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "%d", i / 2);
        struct message m = {.exchange = x->name, .routing_key = B(key), .properties = B("\0")};
        struct route route = exchange_route(x, &m);
        expect_int(route.count, 1);
        static struct queue *last;
        if (i % 2)
            expect_true(route.queues[0] == last);
        last = route.queues[0];
        got[last->name.data[1] - '0']++;
    }
    for (int i = 0; i < 4; i++)
        expect_true(got[i] > 60 && got[i] < 140);
    test_core_end(&t);
}
