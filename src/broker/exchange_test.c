#include "tests/test.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/exchange_internal.h"
#include "broker/test_core.h"
#include "wire/amqp_table.h"

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

static struct route
route(struct exchange *x, const char *key)
{
    struct message m = {.routing_key = B(key)};
    return exchange_route(x, &m);
}

static struct exchange *make(struct test_core *t, const char *name, bool auto_delete)
{
    struct exchange_spec spec = {.name = B(name), .durable = true, .auto_delete = auto_delete};
    return exchange_create(test_vhost(t), &spec);
}

TEST(the_default_exchange_routes_to_the_queue_with_the_key_s_name)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = exchange_find(test_vhost(&t), B(""));
    struct queue *q = test_durable_queue(&t, "q");
    expect_int(route(x, "q").count, 1);
    expect_true(route(x, "q").queues[0] == q);
    expect_int(route(x, "r").count, 0);
    queue_delete(q);
    expect_int(route(x, "q").count, 0);
    test_core_end(&t);
}

TEST(a_vhost_has_the_exchanges_that_rabbitmq_declares)
{
    static const char *const names[] = {"amq.direct",  "amq.fanout", "amq.topic",
                                        "amq.headers", "amq.match",  "amq.rabbitmq.trace"};
    struct test_core t;
    enum exchange_kind kind;
    test_core_init(&t);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_not_null(exchange_find(test_vhost(&t), B(names[i])));
    expect_true(exchange_find(test_vhost(&t), B("amq.rabbitmq.trace"))->internal);
    expect_true(exchange_kind_parse(B("x-consistent-hash"), &kind));
    expect_int(kind, EXCHANGE_CONSISTENT_HASH);
    expect_false(exchange_kind_parse(B("zz"), &kind));
    test_core_end(&t);
}

TEST(a_direct_exchange_routes_once_to_each_queue_bound_with_the_key)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make(&t, "x", false);
    struct queue *a = test_durable_queue(&t, "a"), *b = test_transient_queue(&t, "b");
    exchange_bind(x, a, B("k"), B(""));
    exchange_bind(x, a, B("k"), B(""));   /* again: nothing */
    exchange_bind(x, a, B("k"), B("\1")); /* other arguments: a binding of its own */
    exchange_bind(x, a, B("l"), B(""));
    exchange_bind(x, b, B("k"), B(""));
    expect_int(route(x, "k").count, 2);
    expect_int(route(x, "l").count, 1);
    expect_int(route(x, "m").count, 0);

    exchange_unbind(x, a, B("k"), B(""));
    expect_int(route(x, "k").count, 2); /* the other binding is left */
    exchange_unbind(x, a, B("k"), B("\1"));
    expect_int(route(x, "k").count, 1);
    expect_true(route(x, "k").queues[0] == b);
    exchange_unbind(x, a, B("k"), B("\1")); /* not there: nothing */
    exchange_unbind(x, b, B("k"), B(""));
    expect_int(route(x, "k").count, 0);
    expect_true(exchange_has_bindings(x));
    test_core_end(&t);
}

TEST(deleting_a_queue_or_an_exchange_takes_its_bindings_along)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make(&t, "x", false), *y = make(&t, "y", false);
    struct queue *a = test_durable_queue(&t, "a"), *b = test_durable_queue(&t, "b");
    exchange_bind(x, a, B("k"), B(""));
    exchange_bind(x, b, B("k"), B(""));
    exchange_bind(y, a, B("k"), B(""));
    queue_delete(a);
    expect_int(route(x, "k").count, 1);
    expect_false(exchange_has_bindings(y));
    exchange_delete(x);
    expect_null(exchange_find(test_vhost(&t), B("x")));
    test_core_settle(&t);
    test_core_crash(&t); /* bindings of what is gone would refuse the start */
    expect_int(route(exchange_find(test_vhost(&t), B("y")), "k").count, 0);
    test_core_end(&t);
}

TEST(an_auto_delete_exchange_goes_with_its_last_binding)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make(&t, "x", true);
    struct queue *a = test_durable_queue(&t, "a");
    exchange_bind(x, a, B("k"), B(""));
    exchange_bind(x, a, B("l"), B(""));
    exchange_unbind(x, a, B("k"), B(""));
    expect_not_null(exchange_find(test_vhost(&t), B("x")));
    exchange_unbind(x, a, B("l"), B(""));
    expect_null(exchange_find(test_vhost(&t), B("x")));
    exchange_bind(make(&t, "y", true), a, B("k"), B(""));
    queue_delete(a);
    expect_null(exchange_find(test_vhost(&t), B("y")));
    test_core_end(&t);
}

TEST(a_binding_is_kept_when_both_its_ends_are)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make(&t, "x", false);
    struct exchange_spec spec = {.name = B("transient")};
    struct exchange *y = exchange_create(test_vhost(&t), &spec);
    struct queue *a = test_durable_queue(&t, "a"), *b = test_transient_queue(&t, "b");
    exchange_bind(x, a, B("k"), B(""));
    exchange_bind(x, b, B("k"), B(""));
    exchange_bind(y, a, B("k"), B(""));
    test_core_settle(&t);
    test_core_reopen(&t);
    expect_int(route(exchange_find(test_vhost(&t), B("x")), "k").count, 1);
    expect_null(exchange_find(test_vhost(&t), B("transient")));
    expect_null(test_queue(&t, "b"));
    test_core_end(&t);
}

TEST(a_direct_exchange_equals_a_matrix_of_bindings)
{
    enum { QUEUES = 8, KEYS = 6 };
    struct test_core t;
    bool bound[QUEUES][KEYS] = {0};
    struct queue *queues[QUEUES];
    char name[16];
    test_core_init(&t);
    struct exchange *x = make(&t, "x", false);
    for (int q = 0; q < QUEUES; q++) {
        snprintf(name, sizeof name, "q%d", q);
        queues[q] = test_transient_queue(&t, name);
    }
    for (int i = 0; i < 5000; i++) {
        int q = (int)random_below(&t.random, QUEUES), k = (int)random_below(&t.random, KEYS);
        snprintf(name, sizeof name, "k%d", k);
        bound[q][k] = random_below(&t.random, 2);
        if (bound[q][k])
            exchange_bind(x, queues[q], B(name), B(""));
        else
            exchange_unbind(x, queues[q], B(name), B(""));
        struct route r = route(x, name);
        size_t wanted = 0;
        for (int j = 0; j < QUEUES; j++)
            wanted += bound[j][k];
        expect_int(r.count, wanted);
        for (size_t j = 0; j < r.count; j++)
            for (int n = 0; n < QUEUES; n++)
                if (r.queues[j] == queues[n])
                    expect_true(bound[n][k]);
    }
    test_core_end(&t);
}

/* ---- the other kinds ---- */

static struct exchange *make_kind(struct test_core *t, const char *name, enum exchange_kind kind,
                                  struct bytes arguments)
{
    struct exchange_spec spec = {
        .name = B(name), .kind = kind, .durable = true, .arguments = arguments};
    expect_ok(exchange_check(&spec));
    return exchange_create(test_vhost(t), &spec);
}

/* The names of the queues, sorted, with a blank between. */
static const char *names_of(struct route r)
{
    static char text[256];
    const char *names[16];
    size_t count = 0;
    text[0] = 0;
    for (size_t i = 0; i < r.count; i++) {
        const char *name = (const char *)r.queues[i]->name.data;
        size_t at = count++;
        for (; at > 0 && name[0] < names[at - 1][0]; at--)
            names[at] = names[at - 1];
        names[at] = name;
    }
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%c", i ? " " : "",
                 names[i][0]);
    return text;
}

static struct text table;

/* A table of one entry. */
static struct bytes entry(const char *name, const char *value)
{
    table.size = 0;
    amqp_table_put_string(&table, name, B(value));
    return text_bytes(&table);
}

TEST(a_fanout_exchange_routes_to_all_whatever_the_key)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make_kind(&t, "x", EXCHANGE_FANOUT, B(""));
    struct queue *a = test_durable_queue(&t, "a"), *b = test_transient_queue(&t, "b");
    exchange_bind(x, a, B("k"), B(""));
    exchange_bind(x, a, B("l"), B(""));
    exchange_bind(x, b, B(""), B(""));
    expect_string(names_of(route(x, "any")), "a b");
    expect_string(names_of(route(x, "any")), "a b"); /* from the cache */
    queue_delete(b);
    expect_string(names_of(route(x, "any")), "a");
    test_core_end(&t);
}

TEST(a_topic_exchange_routes_by_patterns)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = exchange_find(test_vhost(&t), B("amq.topic"));
    struct queue *a = test_durable_queue(&t, "a"), *b = test_durable_queue(&t, "b");
    exchange_bind(x, a, B("stock.*.nyse"), B(""));
    exchange_bind(x, a, B("stock.#"), B(""));
    exchange_bind(x, b, B("#.nyse"), B(""));
    expect_string(names_of(route(x, "stock.usd.nyse")), "a b");
    expect_string(names_of(route(x, "stock")), "a");
    expect_string(names_of(route(x, "nyse")), "b");
    expect_string(names_of(route(x, "other")), "");
    exchange_unbind(x, a, B("stock.#"), B(""));
    expect_string(names_of(route(x, "stock")), "");
    test_core_end(&t);
}

static struct bytes two(const char *first, int64_t number, const char *mode)
{
    table.size = 0;
    amqp_table_put(&table, first, &(struct amqp_value){.tag = 'I', .number = number});
    amqp_table_put(&table, "x-other", &(struct amqp_value){.tag = 'V'});
    if (mode)
        amqp_table_put_string(&table, "x-match", B(mode));
    return text_bytes(&table);
}

static const char *route_headers(struct exchange *x, struct bytes headers)
{
    struct text properties = {0};
    text_put_u16(&properties, 0x2000);
    text_put_u32(&properties, (uint32_t)headers.size);
    text_append(&properties, headers);
    struct message m = {.properties = text_bytes(&properties)};
    const char *names = names_of(exchange_route(x, &m));
    text_reset(&properties);
    return names;
}

TEST(a_headers_exchange_compares_values_by_x_match)
{
    struct test_core t;
    struct text headers = {0};
    test_core_init(&t);
    struct exchange *x = make_kind(&t, "x", EXCHANGE_HEADERS, B(""));
    exchange_bind(x, test_durable_queue(&t, "a"), B(""), two("n", 5, "all"));
    exchange_bind(x, test_durable_queue(&t, "b"), B(""), two("n", 5, "any"));
    exchange_bind(x, test_durable_queue(&t, "c"), B(""), two("n", 5, "all-with-x"));
    exchange_bind(x, test_durable_queue(&t, "d"), B(""), two("n", 7, "any-with-x"));
    exchange_bind(x, test_durable_queue(&t, "e"), B(""), B(""));
    exchange_bind(x, test_durable_queue(&t, "f"), B(""), entry("x-match", "any"));
    expect_string(route_headers(x, B("")), "e");
    amqp_table_put(&headers, "n", &(struct amqp_value){.tag = 'l', .number = 5});
    expect_string(route_headers(x, text_bytes(&headers)), "a b e");
    amqp_table_put_string(&headers, "x-other", B("anything"));
    expect_string(route_headers(x, text_bytes(&headers)), "a b c d e");
    headers.size = 0;
    amqp_table_put_string(&headers, "n", B("5"));
    expect_string(route_headers(x, text_bytes(&headers)), "e");
    struct message none = {0};
    expect_string(names_of(exchange_route(x, &none)), "e");

    expect_err(exchange_check_binding(x, B(""), entry("x-match", "some")), E_INVALID);
    table.size = 0;
    amqp_table_put_bool(&table, "x-match", true);
    expect_err(exchange_check_binding(x, B(""), text_bytes(&table)), E_INVALID);
    text_reset(&headers);
    test_core_end(&t);
}

TEST(a_consistent_hash_moves_only_what_a_new_binding_takes)
{
    enum { KEYS = 4000 };
    struct test_core t;
    char key[16];
    static struct queue *before[KEYS];
    int count[3] = {0}, moved = 0;
    test_core_init(&t);
    struct exchange *x = make_kind(&t, "x", EXCHANGE_CONSISTENT_HASH, B(""));
    struct queue *a = test_durable_queue(&t, "a"), *b = test_durable_queue(&t, "b"),
                 *c = test_durable_queue(&t, "c");
    exchange_bind(x, a, B("1"), B(""));
    exchange_bind(x, b, B("3"), B(""));
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key%d", i);
        struct route r = route(x, key);
        expect_int(r.count, 1);
        before[i] = r.queues[0];
        count[r.queues[0] == b]++;
    }
    expect_true(count[1] > KEYS * 70 / 100 && count[1] < KEYS * 80 / 100);
    exchange_bind(x, c, B("4"), B(""));
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key%d", i);
        struct route r = route(x, key);
        if (r.queues[0] == before[i])
            continue;
        expect_true(r.queues[0] == c);
        moved++;
    }
    expect_true(moved > KEYS * 45 / 100 && moved < KEYS * 55 / 100);

    expect_err(exchange_check_binding(x, B("zz"), B("")), E_INVALID);
    expect_err(exchange_check_binding(x, B("0"), B("")), E_INVALID);
    expect_ok(exchange_check_binding(x, B("7"), B("")));
    struct exchange_spec spec = {.name = B("y"), .kind = EXCHANGE_CONSISTENT_HASH};
    spec.arguments = entry("hash-property", "zz");
    expect_err(exchange_check(&spec), E_INVALID);
    amqp_table_put_string(&table, "hash-header", B("h"));
    spec.arguments = text_bytes(&table);
    expect_err(exchange_check(&spec), E_INVALID);
    test_core_end(&t);
}

TEST(a_consistent_hash_may_go_by_a_header_or_a_property)
{
    struct test_core t;
    struct text properties = {0};
    test_core_init(&t);
    struct exchange *x = make_kind(&t, "x", EXCHANGE_CONSISTENT_HASH, entry("hash-header", "h"));
    struct exchange *y =
        make_kind(&t, "y", EXCHANGE_CONSISTENT_HASH, entry("hash-property", "message_id"));
    char name[8];
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%c", 'a' + i);
        struct queue *q = test_durable_queue(&t, name);
        exchange_bind(x, q, B("1"), B(""));
        exchange_bind(y, q, B("1"), B(""));
    }
    for (int exchange = 0; exchange < 2; exchange++) {
        struct queue *first[2] = {0};
        int differ = 0;
        for (int i = 0; i < 64; i++) { /* keys differ, what is hashed has two values */
            struct bytes headers = entry("h", i % 2 ? "one" : "another");
            snprintf(name, sizeof name, "k%d", i);
            properties.size = 0;
            text_put_u16(&properties, exchange ? 0x0080 : 0x2000);
            if (exchange)
                text_put_u8(&properties, 1);
            else
                text_put_u32(&properties, (uint32_t)headers.size);
            text_append(&properties, exchange ? B(i % 2 ? "1" : "2") : headers);
            struct message m = {.routing_key = B(name), .properties = text_bytes(&properties)};
            struct queue *q = exchange_route(exchange ? y : x, &m).queues[0];
            differ += first[i % 2] && first[i % 2] != q;
            first[i % 2] = q;
        }
        expect_int(differ, 0);
    }
    text_reset(&properties);
    test_core_end(&t);
}

TEST(a_random_exchange_takes_one_of_all)
{
    struct test_core t;
    int count = 0;
    test_core_init(&t);
    struct exchange *x = make_kind(&t, "x", EXCHANGE_RANDOM, B(""));
    expect_int(route(x, "k").count, 0);
    struct queue *a = test_durable_queue(&t, "a"), *b = test_durable_queue(&t, "b");
    exchange_bind(x, a, B(""), B(""));
    exchange_bind(x, b, B(""), B(""));
    for (int i = 0; i < 1000; i++) {
        struct route r = route(x, "k");
        expect_int(r.count, 1);
        count += r.queues[0] == a;
    }
    expect_true(count > 400 && count < 600);
    test_core_end(&t);
}

/* ---- from exchange to exchange ---- */

TEST(bindings_between_exchanges_are_followed_once_and_through_circles)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make(&t, "x", false), *y = make(&t, "y", false), *z = make(&t, "z", false);
    struct queue *a = test_durable_queue(&t, "a"), *b = test_durable_queue(&t, "b");
    exchange_bind_exchange(x, y, B("k"), B(""));
    exchange_bind_exchange(x, y, B("k"), B("")); /* again: nothing */
    exchange_bind_exchange(y, z, B("k"), B(""));
    exchange_bind_exchange(z, x, B("k"), B(""));
    exchange_bind(y, a, B("k"), B(""));
    exchange_bind(z, a, B("k"), B(""));
    exchange_bind(z, b, B("k"), B(""));
    expect_string(names_of(route(x, "k")), "a b");
    expect_string(names_of(route(x, "l")), "");
    exchange_unbind_exchange(y, z, B("k"), B(""));
    expect_string(names_of(route(x, "k")), "a");
    exchange_bind_exchange(y, z, B("k"), B(""));
    test_core_settle(&t);
    test_core_reopen(&t);
    expect_string(names_of(route(exchange_find(test_vhost(&t), B("x")), "k")), "a b");
    exchange_delete(exchange_find(test_vhost(&t), B("y")));
    test_core_settle(&t);
    test_core_crash(&t);
    expect_string(names_of(route(exchange_find(test_vhost(&t), B("x")), "k")), "");
    expect_string(names_of(route(exchange_find(test_vhost(&t), B("z")), "k")), "a b");
    test_core_end(&t);
}

TEST(auto_delete_exchanges_go_in_a_chain_however_long)
{
    enum { LENGTH = 20000 };
    struct test_core t;
    char name[16];
    test_core_init(&t);
    struct queue *q = test_transient_queue(&t, "q");
    struct exchange *next = NULL;
    for (int i = 0; i < LENGTH; i++) {
        snprintf(name, sizeof name, "x%d", i);
        struct exchange_spec spec = {.name = B(name), .auto_delete = true};
        struct exchange *x = exchange_create(test_vhost(&t), &spec);
        if (next)
            exchange_bind_exchange(x, next, B("k"), B(""));
        else
            exchange_bind(x, q, B("k"), B(""));
        next = x;
    }
    expect_int(route(next, "k").count, 1);
    queue_delete(q);
    expect_null(exchange_find(test_vhost(&t), B("x0")));
    expect_null(exchange_find(test_vhost(&t), B("x19999")));
    test_core_end(&t);
}

TEST(what_matches_nothing_goes_to_the_alternate_exchange)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make_kind(&t, "x", EXCHANGE_DIRECT, entry("alternate-exchange", "y"));
    struct queue *a = test_durable_queue(&t, "a"), *b = test_durable_queue(&t, "b");
    exchange_bind(x, a, B("k"), B(""));
    expect_string(names_of(route(x, "other")), ""); /* it is not there yet */
    struct exchange *y = make_kind(&t, "y", EXCHANGE_FANOUT, entry("alternate-exchange", "x"));
    expect_string(names_of(route(x, "other")), ""); /* a circle ends */
    exchange_bind(y, b, B(""), B(""));
    expect_string(names_of(route(x, "k")), "a");
    expect_string(names_of(route(x, "other")), "b");
    exchange_delete(y);
    expect_string(names_of(route(x, "other")), "");
    make_kind(&t, "z", EXCHANGE_DIRECT, entry("alternate-exchange", ""));
    struct exchange *z = exchange_find(test_vhost(&t), B("z"));
    expect_string(names_of(route(z, "b")), "b"); /* the default exchange */
    expect_string(names_of(route(z, "c")), "");
    test_durable_queue(&t, "c");
    expect_string(names_of(route(z, "c")), "c");
    struct exchange_spec spec = {.name = B("w")};
    table.size = 0;
    amqp_table_put_bool(&table, "alternate-exchange", true);
    spec.arguments = text_bytes(&table);
    expect_err(exchange_check(&spec), E_INVALID);
    test_core_end(&t);
}

TEST(more_keys_route_to_the_union_each_queue_once)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = make(&t, "x", false);
    exchange_bind(x, test_durable_queue(&t, "a"), B("k"), B(""));
    exchange_bind(x, test_durable_queue(&t, "b"), B("l"), B(""));
    exchange_bind(x, test_queue(&t, "a"), B("l"), B(""));
    struct bytes more[] = {B("l"), B("m"), B("c")};
    struct message m = {.routing_key = B("k")};
    expect_string(names_of(exchange_route_keys(x, &m, more, 2)), "a b");
    test_durable_queue(&t, "c");
    m.routing_key = B("a");
    struct exchange *none = exchange_find(test_vhost(&t), B(""));
    expect_string(names_of(exchange_route_keys(none, &m, more, 3)), "a c");
    expect_string(names_of(route(x, "k")), "a"); /* that was not kept */
    test_core_end(&t);
}

TEST(cached_routes_are_those_that_would_be_found)
{
    enum { QUEUES = 6, EXCHANGES = 4 };
    struct test_core t;
    struct queue *queues[QUEUES];
    struct exchange *exchanges[EXCHANGES];
    char name[16];
    test_core_init(&t);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "%c", 'a' + i);
        queues[i] = test_transient_queue(&t, name);
    }
    for (int i = 0; i < EXCHANGES; i++) {
        snprintf(name, sizeof name, "x%d", i);
        exchanges[i] = make_kind(&t, name, (enum exchange_kind)(i % 3), B(""));
    }
    static const char *const keys[] = {"k", "l", "*", "#", "k.l", "k.#"};
    for (int i = 0; i < 20000; i++) {
        struct exchange *x = exchanges[random_below(&t.random, EXCHANGES)];
        struct exchange *y = exchanges[random_below(&t.random, EXCHANGES)];
        struct queue *q = queues[random_below(&t.random, QUEUES)];
        struct bytes key = B(keys[random_below(&t.random, 6)]);
        switch (random_below(&t.random, 20)) {
        case 0: exchange_bind(x, q, key, B("")); break;
        case 1: exchange_unbind(x, q, key, B("")); break;
        case 2: exchange_bind_exchange(x, y, key, B("")); break;
        case 3:
        case 4: exchange_unbind_exchange(x, y, key, B("")); break;
        default: break;
        }
        struct message m = {.routing_key = key};
        char found[64];
        snprintf(found, sizeof found, "%s", names_of(exchange_route(x, &m)));
        expect_string(found, names_of(exchange_route_keys(x, &m, NULL, 0)));
    }
    test_core_end(&t);
}
