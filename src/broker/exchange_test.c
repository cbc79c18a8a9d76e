#include "tests/test.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/exchange_internal.h"
#include "broker/test_core.h"

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

TEST(a_vhost_has_the_exchanges_of_the_kinds_that_are_built)
{
    struct test_core t;
    enum exchange_kind kind;
    test_core_init(&t);
    expect_not_null(exchange_find(test_vhost(&t), B("amq.direct")));
    expect_null(exchange_find(test_vhost(&t), B("amq.rabbitmq.trace")));
    expect_true(exchange_kind_parse(B("direct"), &kind));
    expect_false(exchange_kind_parse(B("headers"), &kind));
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
