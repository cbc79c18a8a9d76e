/* Messages with a time of their own expire wherever they are, also after a restart. */
#include "broker/queue_expiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy.h"
#include "broker/queue_rules.h"
#include "broker/test_queues.h"
#include "tests/test.h"

static void publish(struct test_core *t, const char *body, int ttl_ms)
{
    char ttl[16];
    snprintf(ttl, sizeof ttl, "%d", ttl_ms);
    if (ttl_ms < 0)
        test_publish_each(t, "q", body);
    else
        expect_ok(test_publish_with_ttl(t, "q", body, ttl));
}

static uint64_t ready(struct test_core *t, const char *name)
{
    return queue_ready_count(test_queue(t, name));
}

TEST(a_message_expires_on_time_wherever_it_lies_in_the_queue)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        test_core_init(&t);
        test_make_queue(&t, "q", durable);
        publish(&t, "a", -1);
        publish(&t, "b", 30);
        publish(&t, "c", 10);
        publish(&t, "d", -1);
        publish(&t, "e", 20);
        test_pass_ms(&t, 9);
        expect_int(ready(&t, "q"), 5);
        test_pass_ms(&t, 1);
        expect_int(ready(&t, "q"), 4);
        test_pass_ms(&t, 10);
        expect_int(ready(&t, "q"), 3);
        expect_string(test_drain(&t, "q"), "abd");
        test_pass_ms(&t, 20);
        expect_int(t.core->internal->due.count, 0);
        test_core_end(&t);
    }
}

TEST(dead_letters_come_in_the_order_of_their_times)
{
    struct test_core t;
    test_core_init(&t);
    test_with_string("x-dead-letter-exchange", "");
    test_with_string("x-dead-letter-routing-key", "dead");
    test_make_queue(&t, "q", true);
    test_make_queue(&t, "dead", true);
    publish(&t, "a", -1);
    publish(&t, "b", 30);
    publish(&t, "c", 10);
    publish(&t, "d", 20);
    publish(&t, "e", 20);
    test_pass_ms(&t, 10);
    test_pass_ms(&t, 100);
    expect_int(ready(&t, "q"), 1);
    expect_string(test_drain(&t, "dead"), "cdeb");
    publish(&t, "f", 5);
    test_pass_ms(&t, 5);
    const char *headers = test_headers_in(&t, "dead");
    expect_not_null(strstr(headers, "original-expiration: S \"5\", count: l 1, reason: S "
                                    "\"expired\", queue: S \"q\""));
    test_core_end(&t);
}

TEST(what_somebody_has_expires_when_it_comes_back)
{
    struct test_core t;
    struct wait again;
    struct delivery d;
    test_core_init(&t);
    struct queue *q = test_make_queue(&t, "q", true);
    publish(&t, "a", 10);
    publish(&t, "b", 10);
    publish(&t, "c", -1);
    test_core_settle(&t);
    expect_ok(queue_get(q, false, &again, &d));
    struct delivery first = d;
    expect_ok(queue_get(q, false, &again, &d));
    test_pass_ms(&t, 20);
    expect_int(queue_unacked_count(q), 2);
    queue_settle(q, first.offset, first.number);
    queue_return(q, d.offset, d.number);
    test_pass_ms(&t, 1);
    expect_int(ready(&t, "q"), 1);
    expect_int(queue_unacked_count(q), 0);
    expect_string(test_drain(&t, "q"), "c");
    test_core_end(&t);
}

TEST(a_time_of_zero_is_now_or_never_also_behind_others)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_make_queue(&t, "q", true);
    test_consume(q, &c, 2, false);
    publish(&t, "a", -1);
    publish(&t, "b", 0);
    publish(&t, "c", -1);
    publish(&t, "d", 0);
    test_pass_ms(&t, 1);
    test_pass_ms(&t, 1);
    expect_string((const char *)c.got.data, "a b");
    expect_int(ready(&t, "q"), 1);
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(after_a_restart_messages_expire_on_time_although_nobody_looks)
{
    for (int crash = 0; crash < 2; crash++) {
        struct test_core t;
        test_core_init(&t);
        test_make_queue(&t, "q", true);
        publish(&t, "a", -1);
        publish(&t, "b", 50);
        publish(&t, "c", 500);
        test_core_settle(&t);
        crash ? test_core_crash(&t) : test_core_reopen(&t);
        test_pass_ms(&t, 60);
        expect_int(ready(&t, "q"), 2);
        publish(&t, "d", 10);
        test_pass_ms(&t, 400);
        expect_int(ready(&t, "q"), 2);
        test_pass_ms(&t, 50);
        expect_string(test_drain(&t, "q"), "a");
        test_pass_ms(&t, 10); /* the settle is logged */
        crash ? test_core_crash(&t) : test_core_reopen(&t);
        expect_string(test_drain(&t, "q"), "");
        test_core_end(&t);
    }
}

/* Read from files, with few entries in memory. */
TEST(a_deep_queue_expires_on_time_with_few_entries_in_memory)
{
    enum { MESSAGES = 30000, SPREAD_MS = 100000 };
    struct test_core t;
    test_core_init(&t);
    t.config.store.cache_bytes = 1 << 20;
    t.config.store.journal_max_bytes = 8 << 20;
    test_core_reopen(&t);
    t.core->internal->due.max = 8192;
    struct queue *q = test_make_queue(&t, "q", true);
    static int due_ms[MESSAGES];
    for (int i = 0; i < MESSAGES; i++) {
        due_ms[i] = 1000 + (int)random_below(&t.random, SPREAD_MS);
        publish(&t, "some bytes, so that it does not fit into memory", due_ms[i]);
        if (i % 1000 == 0)
            test_core_settle(&t);
    }
    test_core_settle(&t);
    expect_true(t.core->internal->due.count <= 8192 + 1);
    int64_t begin_ms = t.wall_ms;
    for (int step = 0; step < 52; step++) {
        test_pass_ms(&t, 2000);
        for (int i = 0; i < 40; i++)
            test_core_settle(&t);
        uint64_t living = 0;
        for (int i = 0; i < MESSAGES; i++)
            living += begin_ms + due_ms[i] > t.wall_ms;
        expect_int(queue_ready_count(q), living);
    }
    expect_int(queue_ready_count(q), 0);
    expect_int(t.core->internal->due.count, 0);
    test_core_end(&t);
}

TEST(many_that_expire_at_once_take_many_turns)
{
    enum { MESSAGES = 50000 };
    for (int dead_letters = 0; dead_letters < 2; dead_letters++) {
        struct test_core t;
        test_core_init(&t);
        if (dead_letters) {
            test_with_string("x-dead-letter-exchange", "");
            test_with_string("x-dead-letter-routing-key", "dead");
        }
        struct queue *q = test_make_queue(&t, "q", true);
        test_make_queue(&t, "dead", true);
        publish(&t, "-", -1);
        for (int i = 0; i < MESSAGES; i++)
            publish(&t, "a", 1000);
        test_core_settle(&t);
        t.now_ns += 1000000000;
        t.wall_ms += 1000;
        core_turn_begin(t.core, t.now_ns, t.wall_ms);
        uint64_t before = queue_ready_count(q);
        int turns = 0;
        for (; queue_ready_count(q) > 1 && turns < 100; turns++) {
            test_core_turn(&t);
            expect_true(before - queue_ready_count(q) <= TURN_DELIVERIES);
            before = queue_ready_count(q);
            sim_jobs_drain(t.sim);
        }
        expect_true(turns >= MESSAGES / TURN_DELIVERIES && turns < 40);
        test_core_settle(&t);
        expect_int(ready(&t, "dead"), dead_letters ? MESSAGES : 0);
        test_core_end(&t);
    }
}

TEST(a_crash_while_many_expire_finds_each_message_in_one_queue)
{
    enum { MESSAGES = 3000 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_core t;
        test_core_init(&t);
        random_init(&t.random, seed);
        test_with_string("x-dead-letter-exchange", "");
        test_with_string("x-dead-letter-routing-key", "dead");
        test_make_queue(&t, "q", true);
        test_make_queue(&t, "dead", true);
        for (int i = 0; i < MESSAGES; i++)
            publish(&t, "a", 100 + (int)random_below(&t.random, 40));
        test_core_settle(&t);
        for (int i = 0; i < 4; i++) {
            int64_t ms = 95 + (int64_t)random_below(&t.random, 5);
            for (; ms > 0 && i == 0; ms -= 10) {
                t.now_ns += 10000000;
                t.wall_ms += 10;
            }
            t.now_ns += 7000000;
            t.wall_ms += 7;
            core_turn_begin(t.core, t.now_ns, t.wall_ms);
            test_core_turn(&t);
            for (uint64_t n = random_below(&t.random, 4); n > 0; n--)
                sim_jobs_step(t.sim, &t.random);
        }
        int64_t wall_ms = t.wall_ms;
        t.wall_ms -= 1000; /* look at what is there, as if nothing were due */
        test_core_crash(&t);
        uint64_t left = ready(&t, "q"), dead = ready(&t, "dead");
        expect_int(left + dead, MESSAGES);
        t.wall_ms = wall_ms;
        test_pass_ms(&t, 1000);
        expect_int(ready(&t, "q"), 0);
        expect_int(ready(&t, "dead"), MESSAGES);
        test_core_end(&t);
    }
}

TEST(a_low_priority_does_not_keep_a_message_of_a_queue_with_a_time_to_live)
{
    struct test_core t;
    test_core_init(&t);
    test_with_number("x-message-ttl", 100);
    test_with_number("x-max-priority", 5);
    struct queue *q = test_make_queue(&t, "q", true);
    struct text properties = {0};
    publish(&t, "a", -1);
    test_pass_ms(&t, 50);
    message_put_properties(&(struct message){.properties = B("")}, PROPERTY_PRIORITY, B("\x05"), 0,
                           &properties);
    struct message m = {
        .routing_key = B("q"), .body = B("b"), .properties = text_bytes(&properties)};
    struct ticket ticket;
    expect_ok(queue_publish(t.core, exchange_route(exchange_find(test_vhost(&t), B("")), &m), &m,
                            &ticket));
    test_pass_ms(&t, 60);
    expect_int(queue_ready_count(q), 1);
    expect_string(test_drain(&t, "q"), "b");
    text_reset(&properties);
    test_core_end(&t);
}

/* By a policy. */
static void limit_bytes(struct test_core *t, int64_t bytes)
{
    bool created;
    struct text definition = {0};
    amqp_table_put(&definition, "max-length-bytes",
                   &(struct amqp_value){.tag = 'l', .number = bytes});
    expect_ok(policy_set(test_vhost(t), POLICY_USER,
                         &(struct policy_spec){.name = B("bytes"),
                                               .pattern = B("^q$"),
                                               .apply_to = B("queues"),
                                               .definition = text_bytes(&definition)},
                         &created));
    text_reset(&definition);
}

/* A policy asks for the bytes of what is there. The journal's first file is read first; meanwhile what is in
 * the second one expires. */
TEST(what_expires_before_its_bytes_were_counted_is_not_taken_from_them)
{
    struct test_core t;
    struct ticket ticket;
    test_core_init_cold(&t);
    test_make_queue(&t, "q", true);
    expect_ok(test_publish(&t, "q", "stays", &ticket));
    test_fill_journal_file(&t);
    expect_ok(test_publish_with_ttl(&t, "q", "expires", "1000"));
    test_core_settle(&t);
    t.now_ns += 1000000000;
    t.wall_ms += 1000;
    limit_bytes(&t, 7);
    test_core_settle(&t);
    expect_ok(test_publish(&t, "q", "comes", &ticket));
    test_core_settle(&t);
    expect_string(test_drain(&t, "q"), "comes");
    test_core_end(&t);
}

TEST(the_catalog_is_told_once_that_messages_have_times)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    test_core_settle(&t);
    publish(&t, "a", 10);
    test_core_settle(&t);
    struct ticket ticket = core_catalog_ticket(t.core);
    for (int i = 0; i < 10; i++) {
        publish(&t, "a", 10);
        test_core_settle(&t);
    }
    expect_int(core_catalog_ticket(t.core).journal, ticket.journal);
    test_core_end(&t);
}

TEST(after_a_start_queues_are_looked_at_some_a_turn)
{
    enum { QUEUES = 2000 };
    struct test_core t;
    char name[16];
    test_core_init(&t);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "q%d", i);
        test_with_number("x-message-ttl", 10);
        test_make_queue(&t, name, true);
        test_publish_each(&t, name, "a");
        if (i % 200 == 0)
            test_core_settle(&t);
    }
    test_core_settle(&t);
    test_core_crash(&t);
    t.now_ns += 10000000;
    t.wall_ms += 10;
    core_turn_begin(t.core, t.now_ns, t.wall_ms);
    int left = QUEUES, turns = 0;
    while (left > 0 && turns < 100) {
        int before = left;
        test_core_turn(&t);
        left = 0;
        for (int i = 0; i < QUEUES; i++) {
            snprintf(name, sizeof name, "q%d", i);
            left += ready(&t, name) > 0;
        }
        expect_true(before - left <= 256);
        sim_jobs_drain(t.sim);
        turns++;
    }
    expect_true(turns >= QUEUES / 256 && turns < 20);
    test_core_end(&t);
}

TEST(a_time_beyond_all_clocks_is_no_trouble)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    expect_ok(test_publish_with_ttl(&t, "q", "a", "9223372036854775807"));
    expect_ok(test_publish_with_ttl(&t, "q", "b", "9000000000000000000"));
    test_pass_ms(&t, 10 * 86400000);
    test_core_crash(&t);
    test_pass_ms(&t, 86400000);
    expect_string(test_drain(&t, "q"), "ab");
    test_core_end(&t);
}
