#include "broker/test_queues.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "tests/test.h"
#include "wire/amqp_table.h"

static struct text arguments;

static void no_arguments(void)
{
    arguments.size = 0;
}

enum { JOURNAL_FILE_BYTES = 1 << 20 };

void test_core_init_backlog(struct test_core *t, int count)
{
    char body[1025];
    test_core_init(t);
    test_core_close(t);
    t->config.store.cache_bytes = 1;
    expect_ok(test_core_open(t));
    test_durable_queue(t, "q");
    for (int i = 0; i < count; i++) {
        snprintf(body, sizeof body, "%-1024d", i);
        expect_ok(test_publish(t, "q", body, NULL));
        if (i % 200 == 0)
            test_core_settle(t);
    }
    test_core_settle(t);
    test_core_reopen(t); /* nothing is in memory now */
}

void test_core_init_cold(struct test_core *t)
{
    test_core_init(t);
    test_core_close(t);
    t->config.store.cache_bytes = 1;
    t->config.store.journal_file_bytes = JOURNAL_FILE_BYTES;
    expect_ok(test_core_open(t));
    test_make_queue(t, "other", true);
}

void test_fill_journal_file(struct test_core *t)
{
    static char body[JOURNAL_FILE_BYTES];
    struct ticket ticket;
    memset(body, 'x', sizeof body - 1);
    expect_ok(test_publish(t, "other", body, &ticket));
    test_core_settle(t);
}

void test_with_value(const char *name, const struct amqp_value *value)
{
    amqp_table_put(&arguments, name, value);
}

void test_with_number(const char *name, int64_t value)
{
    amqp_table_put(&arguments, name, &(struct amqp_value){.tag = 'l', .number = value});
}

void test_with_string(const char *name, const char *value)
{
    amqp_table_put_string(&arguments, name, B(value));
}

struct queue *test_make_queue(struct test_core *t, const char *name, bool durable)
{
    struct queue_spec spec = {
        .name = B(name), .durable = durable, .arguments = text_bytes(&arguments)};
    const char *argument;
    expect_ok(queue_check(&spec, &argument));
    struct queue *queue = queue_create(test_vhost(t), &spec);
    no_arguments();
    return queue;
}

void test_pass_ms(struct test_core *t, int64_t ms)
{
    test_core_settle(t);
    t->now_ns += ms * 1000000;
    t->wall_ms += ms;
    core_turn_begin(t->core, t->now_ns, t->wall_ms);
    test_core_settle(t);
}

enum err test_publish_with_ttl(struct test_core *t, const char *queue, const char *body,
                               const char *ttl)
{
    struct text properties = {0};
    struct ticket ticket;
    text_put_u16(&properties, PROPERTY_EXPIRATION);
    text_put_u8(&properties, (uint8_t)strlen(ttl));
    text_append_string(&properties, ttl);
    struct message m = {
        .routing_key = B(queue), .body = B(body), .properties = text_bytes(&properties)};
    struct exchange *x = exchange_find(test_vhost(t), B(""));
    enum err err = queue_publish(t->core, exchange_route(x, &m), &m, &ticket);
    text_reset(&properties);
    return err;
}

int test_number_of(struct bytes body)
{
    int64_t number;
    while (body.size > 0 && body.data[body.size - 1] == ' ')
        body.size--;
    expect_true(number_parse_i64(body, &number));
    return (int)number;
}

void test_publish_each(struct test_core *t, const char *queue, const char *bodies)
{
    struct ticket ticket;
    for (const char *b = bodies; *b; b++)
        expect_ok(test_publish(t, queue, (char[]){*b, 0}, &ticket));
}

void test_nothing_more(struct wait *wait)
{
    (void)wait;
}

enum err test_get(struct test_core *t, const char *name, struct delivery *d)
{
    enum { READS_MAX = 10000 }; /* what is never read ends as E_COLD */
    struct wait again = {.ready = test_nothing_more};
    enum err err = queue_get(test_queue(t, name), true, &again, d);
    for (int reads = 0; err == E_COLD && reads < READS_MAX; reads++) {
        test_core_settle(t);
        core_wait_cancel(&again);
        err = queue_get(test_queue(t, name), true, &again, d);
    }
    if (!err)
        queue_finish(d->queue, d->offset, d->number);
    return err;
}

/* What get would give, one after the other; "!" behind redelivered ones. */
const char *test_drain(struct test_core *t, const char *name)
{
    static char text[4096];
    struct delivery d;
    text[0] = 0;
    test_core_settle(t);
    while (test_get(t, name, &d) == OK)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s%s",
                 BYTES_FORMAT(d.message.body), d.redelivered ? "!" : "");
    return text;
}

/* The headers of the one message in the queue, as text. */
const char *test_headers_in(struct test_core *t, const char *name)
{
    static struct text text;
    struct delivery d;
    text.size = 0;
    test_core_settle(t);
    expect_ok(test_get(t, name, &d));
    amqp_table_dump(message_headers(&d.message), &text);
    text_put_u8(&text, 0);
    return (const char *)text.data;
}
