/* Declaring in other ways than AMQP's, whose tests have the rest. */
#include "broker/declare.h"

#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "broker/test_queues.h"

static const struct declarer nobody;
static char long_name[301];

static struct queue_declaration named(const char *name)
{
    return (struct queue_declaration){.name = B(name), .durable = true};
}

static void default_type(struct test_core *t, const char *type)
{
    struct vhost_spec spec = {.default_queue_type = B(type)};
    expect_ok(vhost_update(test_vhost(t), &spec));
}

static void expect_type(const struct queue *queue, const char *type)
{
    struct amqp_value v;
    bool is_there = amqp_table_find(queue->arguments, "x-queue-type", &v);
    expect_int(is_there, type != NULL);
    if (type)
        expect_bytes(v.bytes, B(type));
}

TEST(names_and_keys_over_255_bytes_are_refused)
{
    struct test_core t;
    struct queue *queue;
    struct exchange *x;
    memset(long_name, 'n', sizeof long_name - 1);
    test_core_init(&t);
    struct queue_declaration q = named(long_name);
    expect_err(declare_queue(test_vhost(&t), &q, &nobody, &queue), E_INVALID);
    struct exchange_declaration e = {.name = B(long_name), .type = B("fanout")};
    expect_err(declare_exchange(test_vhost(&t), &e, &nobody, &x), E_INVALID);
    q = named("q");
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue));
    struct binding_declaration b = {
        .source = B("amq.direct"), .destination = B("q"), .key = B(long_name)};
    expect_err(declare_binding(test_vhost(&t), &b, &nobody), E_INVALID);
    expect_err(declare_unbinding(test_vhost(&t), &b, &nobody), E_INVALID);
    test_core_end(&t);
}

TEST(names_count_without_cr_and_lf_wherever_they_come_from)
{
    struct test_core t;
    struct queue *queue;
    struct exchange *x;
    uint64_t count;
    test_core_init(&t);
    struct vhost *vhost = test_vhost(&t);
    struct queue_declaration q = named("\rthe\nq\r\n");
    expect_ok(declare_queue(vhost, &q, &nobody, &queue));
    expect_bytes(queue->name, B("theq"));
    default_type(&t, "quorum");
    q.name = B("other\n");
    expect_ok(declare_queue(vhost, &q, &nobody, &queue));
    expect_bytes(queue->name, B("other"));
    struct exchange_declaration e = {.name = B("x\n"), .type = B("fanout")};
    expect_ok(declare_exchange(vhost, &e, &nobody, &x));
    expect_bytes(x->name, B("x"));
    struct binding_declaration b = {
        .source = B("x\r"), .destination = B("the\nq"), .key = B("key\n")};
    expect_ok(declare_binding(vhost, &b, &nobody));
    expect_true(exchange_has_bindings(x));
    expect_ok(declare_unbinding(vhost, &b, &nobody));
    expect_false(exchange_has_bindings(x));
    expect_ok(declare_delete_exchange(vhost, B("\nx"), &nobody, false));
    expect_ok(declare_delete_queue(vhost, B("theq\n"), &nobody, false, false, &count));
    expect_true(!exchange_find(vhost, B("x")) && !queue_find(vhost, B("theq")));
    e.name = B("\r\n"); /* as the empty one is */
    expect_err(declare_exchange(vhost, &e, &nobody, &x), E_REFUSED);
    test_core_end(&t);
}

enum { VERY_MANY = 2000 };

static void bind_very_often(struct vhost *vhost)
{
    char key[16];
    for (int i = 0; i < VERY_MANY; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        struct binding_declaration b = {
            .source = B("amq.direct"), .destination = B("q"), .key = B(key)};
        expect_ok(declare_binding(vhost, &b, &nobody));
        b.source = B("x");
        expect_ok(declare_binding(vhost, &b, &nobody));
    }
}

TEST(what_has_very_many_bindings_is_deleted_in_slices)
{
    struct test_core t;
    struct queue *queue;
    struct exchange *x;
    uint64_t count;
    int asked = 1;
    test_core_init(&t);
    struct vhost *vhost = test_vhost(&t);
    struct queue_declaration q = named("q");
    struct exchange_declaration e = {.name = B("x"), .type = B("direct")};
    expect_ok(declare_queue(vhost, &q, &nobody, &queue));
    expect_ok(declare_exchange(vhost, &e, &nobody, &x));
    bind_very_often(vhost);
    while (declare_delete_exchange(vhost, B("x"), &nobody, false) == E_AGAIN)
        asked++;
    expect_int(asked, VERY_MANY / 500);
    expect_null(exchange_find(vhost, B("x")));
    expect_true(queue_find(vhost, B("q")) == queue);
    asked = 1;
    while (declare_delete_queue(vhost, B("q"), &nobody, false, false, &count) == E_AGAIN)
        asked++;
    expect_int(asked, VERY_MANY / 500);
    expect_null(queue_find(vhost, B("q")));
    expect_false(exchange_has_bindings(exchange_find(vhost, B("amq.direct"))));
    test_core_end(&t);
}

TEST(only_names_that_the_broker_made_may_be_reserved)
{
    struct test_core t;
    struct queue *queue;
    test_core_init(&t);
    struct queue_declaration q = named("amq.gen-1");
    expect_err(declare_queue(test_vhost(&t), &q, &nobody, &queue), E_REFUSED);
    expect_err_text("queue name 'amq.gen-1' contains reserved prefix 'amq.*'");
    q.may_be_reserved = true;
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue));
    q.may_be_reserved = false;
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue)); /* it is there now */
    test_core_end(&t);
}

TEST(a_vhost_says_of_which_type_a_queue_is_that_does_not_say)
{
    struct test_core t;
    struct queue *queue;
    test_core_init(&t);
    default_type(&t, "quorum");
    struct queue_declaration q = named("a");
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue));
    expect_type(queue, "quorum");
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue)); /* the same again */
    q = named("b");
    q.auto_delete = true;
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue));
    expect_type(queue, NULL);
    q = named("c");
    q.durable = false;
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue));
    expect_type(queue, NULL);
    struct text arguments = {0};
    amqp_table_put_string(&arguments, "x-queue-type", B("classic"));
    q = named("d");
    q.arguments = text_bytes(&arguments);
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue));
    expect_type(queue, "classic");
    text_reset(&arguments);
    default_type(&t, "classic");
    q = named("e");
    expect_ok(declare_queue(test_vhost(&t), &q, &nobody, &queue));
    expect_type(queue, NULL);
    q = named("a");
    expect_err(declare_queue(test_vhost(&t), &q, &nobody, &queue), E_PRECONDITION);
    expect_err_text(
        "inequivalent arg 'x-queue-type' for queue 'a' in vhost '/': received 'classic' "
        "but current is 'quorum'");
    test_core_end(&t);
}
