/* Time to live, length, dead letters, delivery limits, single active consumers, unused queues. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/exchange.h"
#include "broker/queue_rules.h"
#include "broker/test_queues.h"
#include "wire/amqp_table.h"

/* ---- time to live ---- */

TEST(messages_expire_after_the_queue_s_time_to_live)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        test_core_init(&t);
        test_with_number("x-message-ttl", 100);
        struct queue *q = test_make_queue(&t, "q", durable);
        test_publish_each(&t, "q", "abc");
        test_pass_ms(&t, 50);
        test_publish_each(&t, "q", "d");
        test_pass_ms(&t, 49);
        expect_int(queue_ready_count(q), 4);
        test_pass_ms(&t, 1);
        expect_int(queue_ready_count(q), 1);
        expect_string(test_drain(&t, "q"), "d");
        test_core_end(&t);
    }
}

TEST(a_time_to_live_of_zero_means_now_or_never)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    test_with_number("x-message-ttl", 0);
    struct queue *q = test_make_queue(&t, "q", true);
    test_publish_each(&t, "q", "a");
    test_pass_ms(&t, 1);
    expect_int(queue_ready_count(q), 0);
    test_consume(q, &c, 2, false);
    test_publish_each(&t, "q", "bcd");
    test_pass_ms(&t, 1);
    expect_string((const char *)c.got.data, "b c");
    expect_int(queue_ready_count(q), 0);
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(what_is_due_is_asked_for_again_when_the_disk_fails_to_give_it)
{
    struct test_core t;
    test_core_init_cold(&t);
    test_with_number("x-message-ttl", 500);
    test_make_queue(&t, "q", true);
    test_publish_each(&t, "q", "abc");
    test_core_settle(&t);
    test_fill_journal_file(&t);
    test_core_crash(&t);
    struct queue *q = test_queue(&t, "q");
    sim_disk_fail(t.disk, SIM_READ, 1, E_IO);
    test_pass_ms(&t, 600);
    expect_int(queue_ready_count(q), 3);
    test_pass_ms(&t, 1000);
    expect_int(queue_ready_count(q), 0);
    test_core_end(&t);
}

TEST(a_message_s_own_time_counts_when_it_is_less)
{
    struct test_core t;
    test_core_init(&t);
    test_with_number("x-message-ttl", 100);
    test_make_queue(&t, "q", true);
    test_make_queue(&t, "plain", true);
    expect_ok(test_publish_with_ttl(&t, "q", "a", "10"));
    expect_ok(test_publish_with_ttl(&t, "q", "b", "1000"));
    expect_ok(test_publish_with_ttl(&t, "plain", "c", "20"));
    test_publish_each(&t, "plain", "d");
    expect_ok(test_publish_with_ttl(&t, "plain", "e", "20"));
    test_pass_ms(&t, 15);
    expect_int(queue_ready_count(test_queue(&t, "q")), 1);
    expect_int(queue_ready_count(test_queue(&t, "plain")), 3);
    test_pass_ms(&t, 10);
    expect_int(queue_ready_count(test_queue(&t, "plain")), 1);
    expect_string(test_drain(&t, "plain"), "d");
    test_pass_ms(&t, 80);
    expect_string(test_drain(&t, "q"), "");
    test_core_end(&t);
}

TEST(expired_messages_are_never_delivered_after_a_restart)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    expect_ok(test_publish_with_ttl(&t, "q", "a", "50"));
    test_publish_each(&t, "q", "b");
    test_core_settle(&t);
    test_core_crash(&t);
    test_pass_ms(&t, 60);
    expect_string(test_drain(&t, "q"), "b");
    test_core_end(&t);
}

TEST(what_came_back_keeps_its_age)
{
    struct test_core t;
    struct wait again;
    struct delivery d;
    test_core_init(&t);
    test_with_number("x-message-ttl", 100);
    struct queue *q = test_make_queue(&t, "q", true);
    test_publish_each(&t, "q", "ab");
    test_pass_ms(&t, 90);
    expect_ok(queue_get(q, false, &again, &d));
    test_pass_ms(&t, 20);
    expect_int(queue_ready_count(q), 0); /* b has expired; a is with its consumer */
    expect_int(queue_unacked_count(q), 1);
    queue_return(q, d.offset, d.number);
    test_pass_ms(&t, 1);
    expect_int(queue_ready_count(q), 0);
    expect_int(queue_unacked_count(q), 0);
    test_core_end(&t);
}

/* ---- delivery counts ---- */

static void get_and_return(struct test_core *t, const char *name)
{
    struct queue *q = test_queue(t, name);
    struct wait again;
    struct delivery d;
    test_core_settle(t);
    expect_ok(queue_get(q, false, &again, &d));
    queue_return(q, d.offset, d.number);
}

TEST(a_quorum_queue_tells_how_often_a_message_was_delivered_before)
{
    for (int is_quorum = 0; is_quorum < 2; is_quorum++) {
        struct test_core t;
        test_core_init(&t);
        test_with_string("x-queue-type", is_quorum ? "quorum" : "classic");
        test_make_queue(&t, "q", true);
        test_publish_each(&t, "q", "ab");
        get_and_return(&t, "q");
        get_and_return(&t, "q");
        expect_string(test_headers_in(&t, "q"), is_quorum ? "{x-delivery-count: l 2}" : "{}");
        expect_string(test_headers_in(&t, "q"), "{}");
        test_core_end(&t);
    }
}

TEST(the_delivery_count_takes_the_place_of_a_header_of_that_name)
{
    struct test_core t;
    struct text headers = {0}, properties = {0};
    struct ticket ticket;
    test_core_init(&t);
    test_with_string("x-queue-type", "quorum");
    test_make_queue(&t, "q", true);
    amqp_table_put(&headers, "a", &(struct amqp_value){.tag = 'I', .number = 1});
    amqp_table_put(&headers, "x-delivery-count", &(struct amqp_value){.tag = 'I', .number = 77});
    amqp_table_put(&headers, "z", &(struct amqp_value){.tag = 'I', .number = 2});
    message_put_properties(&(struct message){.properties = B("")}, PROPERTY_HEADERS,
                           text_bytes(&headers), 0, &properties);
    struct message m = {.routing_key = B("q"), .properties = text_bytes(&properties)};
    expect_ok(queue_publish(t.core, exchange_route(exchange_find(test_vhost(&t), B("")), &m), &m,
                            &ticket));
    get_and_return(&t, "q");
    expect_string(test_headers_in(&t, "q"), "{a: I 1, x-delivery-count: l 1, z: I 2}");
    text_reset(&headers);
    text_reset(&properties);
    test_core_end(&t);
}

TEST(after_a_crash_the_delivery_count_is_one_at_least)
{
    struct test_core t;
    struct wait again;
    struct delivery d;
    test_core_init(&t);
    test_with_string("x-queue-type", "quorum");
    struct queue *q = test_make_queue(&t, "q", true);
    test_publish_each(&t, "q", "a");
    test_core_settle(&t);
    expect_ok(queue_get(q, false, &again, &d));
    test_pass_ms(&t, 200); /* the mark is logged */
    test_core_crash(&t);
    expect_string(test_headers_in(&t, "q"), "{x-delivery-count: l 1}");
    test_core_end(&t);
}

/* ---- delayed retries ---- */

static struct queue *make_retrying(struct test_core *t, const char *type)
{
    test_with_string("x-queue-type", "quorum");
    test_with_number("x-delivery-limit", 5);
    test_with_string("x-delayed-retry-type", type);
    test_with_number("x-delayed-retry-min", 10);
    test_with_number("x-delayed-retry-max", 25);
    return test_make_queue(t, "q", true);
}

static struct delivery take(struct test_core *t, struct queue *q)
{
    struct wait again;
    struct delivery d;
    test_core_settle(t);
    expect_ok(queue_get(q, false, &again, &d));
    return d;
}

TEST(what_comes_back_waits_longer_each_time_up_to_a_limit)
{
    static const int64_t delays_ms[] = {10, 20, 25, 25, 25};
    struct test_core t;
    test_core_init(&t);
    struct queue *q = make_retrying(&t, "all");
    test_publish_each(&t, "q", "ab");
    for (size_t i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
        struct delivery d = take(&t, q);
        expect_int(d.offset, 0); /* it keeps its place */
        expect_int(d.number, i + 1);
        i % 2 ? queue_return(q, d.offset, d.number) : queue_return_failed(q, d.offset, d.number);
        test_pass_ms(&t, delays_ms[i] - 1);
        expect_int(queue_ready_count(q), 1);
        expect_int(queue_unacked_count(q), 0);
        test_pass_ms(&t, 1);
        expect_int(queue_ready_count(q), 2);
    }
    struct delivery d = take(&t, q);
    queue_return(q, d.offset, d.number); /* once too often */
    test_pass_ms(&t, 1000);
    expect_string(test_drain(&t, "q"), "b");
    test_core_end(&t);
}

TEST(only_what_failed_or_was_returned_waits_when_the_queue_says_so)
{
    static const struct {
        const char *type;
        bool failed_waits, returned_waits;
    } cases[] = {{"all", true, true},
                 {"failed", true, false},
                 {"returned", false, true},
                 {"disabled", false, false},
                 {"nonsense", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_core t;
        test_core_init(&t);
        struct queue *q = make_retrying(&t, cases[i].type);
        test_publish_each(&t, "q", "a");
        struct delivery d = take(&t, q);
        queue_return_failed(q, d.offset, d.number);
        expect_int(queue_ready_count(q), !cases[i].failed_waits);
        test_pass_ms(&t, 50);
        d = take(&t, q);
        queue_return(q, d.offset, d.number);
        expect_int(queue_ready_count(q), !cases[i].returned_waits);
        test_core_end(&t);
    }
}

TEST(a_restart_ends_the_delays_of_what_came_back)
{
    struct test_core t;
    test_core_init(&t);
    struct queue *q = make_retrying(&t, "all");
    test_publish_each(&t, "q", "a");
    struct delivery d = take(&t, q);
    queue_return(q, d.offset, d.number);
    test_pass_ms(&t, 5);
    test_core_crash(&t);
    expect_string(test_drain(&t, "q"), "a");
    test_core_end(&t);
}

TEST(what_waits_for_its_next_delivery_goes_with_its_queue_and_expires_when_it_is_back)
{
    struct test_core t;
    test_core_init(&t);
    struct queue *q = make_retrying(&t, "all");
    expect_ok(test_publish_with_ttl(&t, "q", "a", "5"));
    struct delivery d = take(&t, q);
    queue_return(q, d.offset, d.number);
    test_pass_ms(&t, 9);
    expect_int(queue_ready_count(q), 0);
    test_pass_ms(&t, 2);
    test_pass_ms(&t, 1);
    expect_string(test_drain(&t, "q"), "");
    test_publish_each(&t, "q", "b");
    d = take(&t, q);
    queue_return(q, d.offset, d.number);
    queue_delete(q);
    test_pass_ms(&t, 100);
    test_core_end(&t);
}

/* ---- dead letters ---- */

static void with_dead_letters(const char *exchange, const char *key)
{
    test_with_string("x-dead-letter-exchange", exchange);
    if (key)
        test_with_string("x-dead-letter-routing-key", key);
}

TEST(expired_messages_tell_of_their_deaths)
{
    struct test_core t;
    test_core_init(&t);
    t.wall_ms = 1700000000000;
    with_dead_letters("", "dead");
    test_with_number("x-message-ttl", 10);
    test_make_queue(&t, "q", true);
    test_make_queue(&t, "dead", true);
    expect_ok(test_publish_with_ttl(&t, "q", "a", "5"));
    test_pass_ms(&t, 5);
    expect_string(
        test_headers_in(&t, "dead"),
        "{x-death: A [F {original-expiration: S \"5\", count: l 1, reason: S \"expired\", "
        "queue: S \"q\", time: T 1700000000, exchange: S \"\", routing-keys: A [S \"q\"]}], "
        "x-first-death-exchange: S \"\", x-first-death-queue: S \"q\", "
        "x-first-death-reason: S \"expired\", x-last-death-exchange: S \"\", "
        "x-last-death-queue: S \"q\", x-last-death-reason: S \"expired\"}");
    test_core_end(&t);
}

TEST(deaths_are_counted_for_each_queue_and_reason_the_newest_first)
{
    struct test_core t;
    struct wait again;
    struct delivery d;
    test_core_init(&t);
    with_dead_letters("", "two");
    struct queue *one = test_make_queue(&t, "one", true);
    with_dead_letters("", "one");
    struct queue *two = test_make_queue(&t, "two", true);
    test_publish_each(&t, "one", "a");
    for (int i = 0; i < 3; i++) {
        struct queue *q = i % 2 ? two : one;
        test_core_settle(&t);
        expect_ok(queue_get(q, false, &again, &d));
        queue_reject(q, d.offset, d.number);
    }
    const char *text = test_headers_in(&t, "two");
    const char *first = strstr(text, "count: l 2, reason: S \"rejected\", queue: S \"one\"");
    const char *second = strstr(text, "count: l 1, reason: S \"rejected\", queue: S \"two\"");
    expect_true(first && second && first < second);
    expect_not_null(strstr(text, "x-first-death-queue: S \"one\""));
    expect_not_null(strstr(text, "x-last-death-queue: S \"one\""));
    test_core_end(&t);
}

TEST(rejected_messages_move_and_are_counted_nowhere_twice)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    with_dead_letters("amq.fanout", NULL);
    struct queue *q = test_make_queue(&t, "q", true), *dead = test_make_queue(&t, "dead", true);
    exchange_bind(exchange_find(test_vhost(&t), B("amq.fanout")), dead, B(""), B(""));
    test_publish_each(&t, "q", "abc");
    test_core_settle(&t);
    test_consume(q, &c, 10, false);
    test_core_settle(&t);
    queue_reject(q, 2, 1);
    queue_reject(q, 0, 1);
    queue_reject(q, 0, 1); /* late: nothing */
    expect_int(queue_unacked_count(q), 1);
    test_core_settle(&t);
    queue_reject(q, 0, 1);
    test_core_settle(&t);
    expect_int(queue_unacked_count(q), 1);
    expect_string(test_drain(&t, "dead"), "ca");
    test_core_settle(&t);
    test_consumer_reset(&c);
    test_core_crash(&t);
    expect_string(test_drain(&t, "q"), "b!");
    expect_string(test_drain(&t, "dead"), "");
    test_core_end(&t);
}

TEST(a_dead_letter_without_an_exchange_or_a_queue_is_gone)
{
    struct test_core t;
    test_core_init(&t);
    with_dead_letters("missing", NULL);
    test_with_number("x-message-ttl", 1);
    struct queue *q = test_make_queue(&t, "q", true);
    with_dead_letters("amq.direct", "nowhere");
    test_with_number("x-message-ttl", 1);
    struct queue *r = test_make_queue(&t, "r", true);
    test_publish_each(&t, "q", "a");
    test_publish_each(&t, "r", "a");
    test_pass_ms(&t, 2);
    expect_int(queue_ready_count(q), 0);
    expect_int(queue_ready_count(r), 0);
    test_core_end(&t);
}

TEST(messages_do_not_go_round_for_ever_unless_somebody_rejects)
{
    struct test_core t;
    struct wait again;
    struct delivery d;
    test_core_init(&t);
    with_dead_letters("", "r");
    test_with_number("x-message-ttl", 10);
    struct queue *q = test_make_queue(&t, "q", true);
    with_dead_letters("", "q");
    test_with_number("x-message-ttl", 10);
    struct queue *r = test_make_queue(&t, "r", true);
    test_publish_each(&t, "q", "a");
    test_pass_ms(&t, 10);
    expect_int(queue_ready_count(r), 1);
    test_pass_ms(&t, 10);
    expect_int(queue_ready_count(q) + queue_ready_count(r), 0); /* q has seen it */

    test_publish_each(&t, "q", "b");
    test_pass_ms(&t, 10);
    expect_ok(queue_get(r, false, &again, &d));
    queue_reject(r, d.offset, d.number);
    test_core_settle(&t);
    expect_int(queue_ready_count(q), 1);
    test_core_end(&t);
}

TEST(a_crash_finds_each_message_in_one_queue)
{
    enum { MESSAGES = 60 };
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct test_core t;
        struct test_consumer c = {0};
        int found[MESSAGES] = {0};
        char body[8];
        test_core_init(&t);
        if (seed % 2) { /* a log that takes large batches straight to its file would do so now */
            t.config.store.direct_append_bytes = t.config.store.direct_commit_bytes = 1;
            test_core_reopen(&t);
        }
        random_init(&t.random, seed);
        with_dead_letters("", "dead");
        struct queue *q = test_make_queue(&t, "q", true);
        test_make_queue(&t, "dead", true);
        for (int i = 0; i < MESSAGES; i++) {
            snprintf(body, sizeof body, "%d ", i);
            expect_ok(test_publish(&t, "q", body, NULL));
        }
        test_core_settle(&t);
        test_consume(q, &c, MESSAGES, false);
        test_core_settle(&t);
        for (int i = 0; i < MESSAGES; i++) {
            queue_reject(q, i, 1);
            if (random_below(&t.random, 4) == 0)
                test_core_turn(&t);
            while (random_below(&t.random, 3) == 0)
                sim_jobs_step(t.sim, &t.random);
        }
        for (uint64_t turns = random_below(&t.random, 5); turns > 0; turns--) {
            test_core_turn(&t);
            sim_jobs_step(t.sim, &t.random);
        }
        test_consumer_reset(&c);
        test_core_crash(&t);
        for (int queue = 0; queue < 2; queue++) {
            const char *at = test_drain(&t, queue ? "dead" : "q");
            for (char *end; *at; at = *end == '!' ? end + 1 : end) {
                found[strtol(at, &end, 10)]++;
                end++; /* the blank */
            }
        }
        for (int i = 0; i < MESSAGES; i++)
            expect_int(found[i], 1);
        test_core_end(&t);
    }
}

/* ---- length ---- */

TEST(a_queue_that_is_too_long_drops_its_head)
{
    struct test_core t;
    test_core_init(&t);
    test_with_number("x-max-length", 3);
    with_dead_letters("", "dead");
    test_make_queue(&t, "q", true);
    test_make_queue(&t, "dead", true);
    test_publish_each(&t, "q", "abcdefg");
    test_core_settle(&t);
    expect_string(test_drain(&t, "q"), "efg");
    expect_string(test_drain(&t, "dead"), "abcd");
    test_core_end(&t);
}

TEST(a_queue_with_too_many_bytes_drops_its_head_also_after_a_restart)
{
    struct test_core t;
    struct wait again = {.ready = test_nothing_more};
    struct delivery d;
    test_core_init(&t);
    test_with_number("x-max-length-bytes", 10);
    struct queue *q = test_make_queue(&t, "q", true);
    expect_ok(test_publish(&t, "q", "aaaa", NULL));
    expect_ok(test_publish(&t, "q", "bbbb", NULL));
    test_core_settle(&t);
    expect_ok(queue_get(q, false, &again, &d)); /* a is out and does not count */
    expect_ok(test_publish(&t, "q", "cccc", NULL));
    test_core_settle(&t);
    expect_int(queue_ready_count(q), 2);
    queue_return(q, d.offset, d.number); /* it does again, and is the head */
    test_core_settle(&t);
    expect_int(queue_ready_count(q), 2);
    test_core_crash(&t);
    expect_ok(test_publish(&t, "q", "dd", NULL));
    test_core_settle(&t);
    expect_int(queue_ready_count(test_queue(&t, "q")), 3);
    expect_ok(test_publish(&t, "q", "e", NULL));
    expect_string(test_drain(&t, "q"), "ccccdde");
    expect_ok(test_publish(&t, "q", "ffffffffff", NULL));
    expect_string(test_drain(&t, "q"), "ffffffffff");
    struct ticket ticket;
    expect_ok(test_publish(&t, "q", "gggg", NULL));
    test_core_settle(&t);
    queue_purge(test_queue(&t, "q"), &ticket);
    expect_ok(test_publish(&t, "q", "hhhhhhhhhh", NULL));
    expect_string(test_drain(&t, "q"), "hhhhhhhhhh");
    test_core_end(&t);
}

TEST(a_queue_with_too_many_bytes_may_refuse)
{
    struct test_core t;
    test_core_init(&t);
    test_with_number("x-max-length-bytes", 10);
    test_with_string("x-overflow", "reject-publish");
    test_make_queue(&t, "q", true);
    expect_ok(test_publish(&t, "q", "aaaaaaaa", NULL));
    expect_ok(test_publish(&t, "q", "bbbb", NULL)); /* it was not full before */
    expect_err(test_publish(&t, "q", "c", NULL), E_FULL);
    test_core_turn(&t);
    expect_err(test_publish(&t, "q", "c", NULL), E_FULL);
    test_core_settle(&t);
    expect_err(test_publish(&t, "q", "c", NULL), E_FULL);
    expect_string(test_drain(&t, "q"), "aaaaaaaabbbb");
    expect_ok(test_publish(&t, "q", "d", NULL));
    test_core_end(&t);
}

TEST(messages_with_a_consumer_do_not_count)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    test_with_number("x-max-length", 1);
    struct queue *q = test_make_queue(&t, "q", false);
    test_consume(q, &c, 3, false);
    test_publish_each(&t, "q", "abcde");
    test_core_settle(&t);
    expect_string((const char *)c.got.data, "a b c");
    expect_string(test_drain(&t, "q"), "e");
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(a_full_queue_refuses_and_the_others_get_it)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        struct ticket ticket;
        test_core_init(&t);
        test_with_number("x-max-length", 2);
        test_with_string("x-overflow", "reject-publish");
        struct queue *q = test_make_queue(&t, "q", durable),
                     *other = test_make_queue(&t, "other", durable);
        struct exchange *x = exchange_find(test_vhost(&t), B("amq.fanout"));
        exchange_bind(x, q, B(""), B(""));
        exchange_bind(x, other, B(""), B(""));
        for (int i = 0; i < 4; i++) {
            struct message m = {.body = B((char[]){(char)('a' + i), 0})};
            expect_int(queue_publish(t.core, exchange_route(x, &m), &m, &ticket),
                       i < 2 ? OK : E_FULL);
            if (i % 2)
                test_core_settle(&t);
        }
        expect_string(test_drain(&t, "q"), "ab");
        expect_string(test_drain(&t, "other"), "abcd");
        expect_ok(test_publish(&t, "q", "e", NULL));
        expect_string(test_drain(&t, "q"), "e");
        test_core_end(&t);
    }
}

TEST(what_is_refused_may_be_a_dead_letter)
{
    struct test_core t;
    test_core_init(&t);
    test_with_number("x-max-length", 1);
    test_with_string("x-overflow", "reject-publish-dlx");
    with_dead_letters("", "dead");
    test_make_queue(&t, "q", true);
    test_make_queue(&t, "dead", true);
    test_publish_each(&t, "q", "a");
    expect_err(test_publish(&t, "q", "b", NULL), E_FULL);
    expect_string(test_drain(&t, "q"), "a");
    expect_string(test_drain(&t, "dead"), "b");
    test_core_end(&t);
}

TEST(a_chain_of_full_queues_ends)
{
    enum { QUEUES = 400 };
    struct test_core t;
    char name[16], next[16];
    test_core_init(&t);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "q%d", i);
        snprintf(next, sizeof next, "q%d", i + 1);
        test_with_number("x-max-length", 0);
        test_with_string("x-overflow", "reject-publish-dlx");
        with_dead_letters("", next);
        test_make_queue(&t, name, false);
    }
    expect_err(test_publish(&t, "q0", "a", NULL), E_FULL);
    test_core_end(&t);
}

/* ---- deliveries, consumers, use ---- */

TEST(a_message_that_came_back_too_often_is_a_dead_letter)
{
    struct test_core t;
    struct wait again;
    struct delivery d;
    test_core_init(&t);
    test_with_number("x-delivery-limit", 2);
    with_dead_letters("", "dead");
    struct queue *q = test_make_queue(&t, "q", true);
    test_make_queue(&t, "dead", true);
    test_publish_each(&t, "q", "a");
    for (int i = 0; i < 3; i++) {
        test_core_settle(&t);
        expect_ok(queue_get(q, false, &again, &d));
        queue_return(q, d.offset, d.number);
    }
    test_core_settle(&t);
    expect_string(test_drain(&t, "q"), "");
    expect_not_null(strstr(test_headers_in(&t, "dead"), "reason: S \"delivery_limit\""));
    test_core_end(&t);
}

TEST(consumers_of_a_higher_priority_are_served_first_while_they_have_credit)
{
    struct test_core t;
    struct test_consumer low = {0}, high = {.consumer.priority = 5}, twin = {0};
    test_core_init(&t);
    struct queue *q = test_make_queue(&t, "q", false);
    test_consume(q, &low, 2, true);
    test_consume(q, &high, 3, true);
    test_consume(q, &twin, 2, true);
    test_publish_each(&t, "q", "abcdefg");
    test_core_settle(&t);
    expect_string((const char *)high.got.data, "a b c");
    expect_string((const char *)low.got.data, "d f");
    expect_string((const char *)twin.got.data, "e g");
    test_consumer_reset(&low);
    test_consumer_reset(&high);
    test_consumer_reset(&twin);
    test_core_end(&t);
}

TEST(a_single_active_consumer_gets_all_until_it_goes)
{
    struct test_core t;
    struct test_consumer one = {0}, two = {0}, three = {.consumer.priority = 1};
    test_core_init(&t);
    test_with_value("x-single-active-consumer", &(struct amqp_value){.tag = 't', .number = true});
    struct queue *q = test_make_queue(&t, "q", true);
    test_consume(q, &one, 2, false);
    test_consume(q, &two, 10, false);
    test_consume(q, &three, 10, false);
    test_publish_each(&t, "q", "abcd");
    test_core_settle(&t);
    expect_string((const char *)one.got.data, "a b"); /* the others wait, although it is full */
    expect_int(two.count + three.count, 0);
    queue_consumer_ready(&two.consumer);
    test_core_settle(&t);
    expect_int(two.count, 0);
    queue_cancel(&one.consumer);
    test_core_settle(&t);
    expect_string((const char *)three.got.data, "c d");
    queue_cancel(&three.consumer);
    test_publish_each(&t, "q", "e");
    test_core_settle(&t);
    expect_string((const char *)two.got.data, "e");
    expect_int(q->consumer_count, 1);
    queue_delete(q);
    expect_true(two.was_cancelled);
    test_consumer_reset(&one);
    test_consumer_reset(&two);
    test_consumer_reset(&three);
    test_core_end(&t);
}

TEST(a_queue_goes_away_when_nobody_uses_it)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    test_with_number("x-expires", 1000);
    struct queue *q = test_make_queue(&t, "q", true);
    test_pass_ms(&t, 900);
    queue_redeclared(q);
    test_pass_ms(&t, 900);
    expect_not_null(test_queue(&t, "q"));
    expect_string(test_drain(&t, "q"), ""); /* get is use */
    test_pass_ms(&t, 900);
    test_consume(q, &c, 1, true);
    test_pass_ms(&t, 5000);
    expect_not_null(test_queue(&t, "q"));
    queue_cancel(&c.consumer);
    test_pass_ms(&t, 999);
    test_core_reopen(&t); /* the time begins anew */
    test_pass_ms(&t, 999);
    expect_not_null(test_queue(&t, "q"));
    test_pass_ms(&t, 1);
    expect_null(test_queue(&t, "q"));
    test_core_crash(&t);
    expect_null(test_queue(&t, "q"));
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(arguments_that_make_no_sense_are_told_as_rabbitmq_tells_them)
{
    static const struct {
        const char *name;
        char tag;
        int64_t number;
        const char *string, *text;
    } cases[] = {
        {"x-message-ttl", 'I', -1, NULL, "{value_negative,-1}"},
        {"x-message-ttl", 'S', 0, "5", "\"expected integer, got longstr\""},
        {"x-expires", 'I', 0, NULL, "{value_zero,0}"},
        {"x-max-length", 'l', -7, NULL, "{value_negative,-7}"},
        {"x-overflow", 'S', 0, "zz", "invalid_overflow"},
        {"x-dead-letter-exchange", 'I', 1, NULL, "{unacceptable_type,signedint}"},
        {"x-dead-letter-routing-key", 'S', 0, "k", "routing_key_but_no_dlx_defined"},
        {"x-single-active-consumer", 'S', 0, "yes", "{unacceptable_type,longstr}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct queue_settings settings;
        const char *argument;
        struct amqp_value v = {.tag = cases[i].tag, .number = cases[i].number};
        if (cases[i].string)
            v.bytes = B(cases[i].string);
        struct text arguments = {0};
        amqp_table_put(&arguments, cases[i].name, &v);
        expect_err(queue_settings_read(text_bytes(&arguments), &settings, &argument), E_INVALID);
        expect_string(argument, cases[i].name);
        expect_string(err_text(), cases[i].text);
        text_reset(&arguments);
    }
}

/* ---- priorities ---- */

static void publish_at(struct test_core *t, const char *queue, const char *body, uint8_t priority)
{
    struct text properties = {0};
    struct ticket ticket;
    text_put_u16(&properties, 0x0800);
    text_put_u8(&properties, priority);
    struct message m = {
        .routing_key = B(queue), .body = B(body), .properties = text_bytes(&properties)};
    struct exchange *x = exchange_find(test_vhost(t), B(""));
    expect_ok(queue_publish(t->core, exchange_route(x, &m), &m, &ticket));
    text_reset(&properties);
}

TEST(higher_priorities_come_first_and_the_oldest_of_each)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        test_core_init(&t);
        test_with_number("x-max-priority", 5);
        test_make_queue(&t, "q", durable);
        publish_at(&t, "q", "a", 0);
        publish_at(&t, "q", "b", 3);
        test_publish_each(&t, "q", "c"); /* says nothing: 0 */
        publish_at(&t, "q", "d", 200);
        publish_at(&t, "q", "e", 3);
        publish_at(&t, "q", "f", 5);
        expect_string(test_drain(&t, "q"), "dfbeac");
        test_core_end(&t);
    }
}

TEST(what_comes_back_takes_its_place_by_priority)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    test_with_number("x-max-priority", 2);
    struct queue *q = test_make_queue(&t, "q", true);
    publish_at(&t, "q", "a", 0);
    publish_at(&t, "q", "b", 2);
    publish_at(&t, "q", "c", 1);
    test_core_settle(&t);
    test_consume(q, &c, 2, false);
    test_core_settle(&t);
    expect_string((const char *)c.got.data, "b c");
    queue_return(q, 1, 1);
    publish_at(&t, "q", "d", 2);
    expect_string(test_drain(&t, "q"), "b!da");
    queue_return(q, 2, 1);
    expect_string(test_drain(&t, "q"), "c!");
    test_core_settle(&t);
    expect_int(queue_ready_count(q), 0);
    expect_int(q->log->start, q->log->end);
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(priorities_are_known_again_after_a_crash)
{
    enum { MESSAGES = 9000 };
    struct test_core t;
    struct delivery d;
    char body[16];
    long last[4] = {-1, -1, -1, -1};
    int count = 0;
    test_core_init(&t);
    test_with_number("x-max-priority", 3);
    test_make_queue(&t, "q", true);
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(body, sizeof body, "%d", i);
        publish_at(&t, "q", body, (uint8_t)(i * 7 % 4));
    }
    test_core_settle(&t);
    for (int i = 0; i < 100; i++)
        expect_ok(test_get(&t, "q", &d));
    test_core_settle(&t);
    test_core_crash(&t);
    uint8_t before = 3;
    while (test_get(&t, "q", &d) == OK) {
        uint8_t priority = message_priority(&d.message);
        snprintf(body, sizeof body, "%.*s", BYTES_FORMAT(d.message.body));
        long number = strtol(body, NULL, 10);
        expect_true(priority <= before && number > last[priority]);
        before = priority;
        last[priority] = number;
        count++;
    }
    expect_int(count, MESSAGES - 100);
    test_core_end(&t);
}

/* A read gives what one file of the journal has. Behind a message that nobody was given there is only
 * what was settled, then the file ends: what is asked for lies in that hole, what is to be read next
 * behind it. */
TEST(priorities_are_learned_past_a_hole_at_the_end_of_a_file)
{
    struct test_core t;
    struct delivery d;
    test_core_init_cold(&t);
    test_with_number("x-max-priority", 3);
    test_make_queue(&t, "q", true);
    publish_at(&t, "q", "a", 0);
    publish_at(&t, "q", "settled", 2);
    test_core_settle(&t);
    expect_ok(test_get(&t, "q", &d));
    test_core_settle(&t);
    test_fill_journal_file(&t);
    publish_at(&t, "q", "b", 1);
    test_core_settle(&t);
    test_core_crash(&t);
    expect_string(test_drain(&t, "q"), "ba!");
    test_core_end(&t);
}

/* What is there is read file by file; while the first read is under way all of it goes, and the front of the log
 * with it, before or after what is read next. */
static void purge_while_it_is_learned(const char *argument, uint64_t seed)
{
    struct test_core t;
    struct delivery d;
    struct ticket ticket;
    struct wait again = {.ready = test_nothing_more};
    test_core_init_cold(&t);
    test_with_number(argument, 100);
    test_make_queue(&t, "q", true);
    for (const char *c = "abc"; *c; c++) {
        test_publish_each(&t, "q", (char[]){*c, 0});
        test_core_settle(&t);
        test_fill_journal_file(&t);
    }
    test_core_crash(&t);
    struct queue *q = test_queue(&t, "q");
    random_init(&t.random, seed);
    expect_err(queue_get(q, true, &again, &d), E_COLD);
    core_wait_cancel(&again);
    expect_int(queue_purge(q, &ticket), 3);
    do {
        test_core_turn(&t);
    } while (sim_jobs_step(t.sim, &t.random));
    test_core_settle(&t);
    expect_int(q->log->start, q->log->end);
    test_publish_each(&t, "q", "de");
    expect_string(test_drain(&t, "q"), "de");
    test_core_end(&t);
}

TEST(what_goes_while_it_is_learned_holds_nothing_up)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        purge_while_it_is_learned("x-max-priority", seed);
        purge_while_it_is_learned("x-max-length-bytes", seed);
    }
}

/* Against a list that is searched. */
TEST(a_queue_by_priority_equals_a_sorted_list)
{
    enum { MESSAGES = 2000, PRIORITIES = 4 };
    struct test_core t;
    struct delivery d;
    struct wait again = {.ready = test_nothing_more};
    static int priority[MESSAGES], state[MESSAGES]; /* 0 ready, 1 taken, 2 done */
    static struct delivery taken[MESSAGES];
    int published = 0;
    char body[16];
    test_core_init(&t);
    memset(state, 0, sizeof state);
    test_with_number("x-max-priority", PRIORITIES - 1);
    struct queue *q = test_make_queue(&t, "q", false);
    for (int step = 0; step < 20000; step++) {
        int i = published ? (int)random_below(&t.random, (uint32_t)published) : 0;
        switch (random_below(&t.random, 5)) {
        case 0:
            if (published == MESSAGES)
                break;
            priority[published] = (int)random_below(&t.random, PRIORITIES);
            snprintf(body, sizeof body, "%d", published);
            publish_at(&t, "q", body, (uint8_t)priority[published++]);
            test_core_turn(&t);
            break;
        case 1:
        case 2: {
            int best = -1;
            for (int k = 0; k < published; k++)
                if (state[k] == 0 && (best < 0 || priority[k] > priority[best]))
                    best = k;
            enum err err = queue_get(q, false, &again, &d);
            expect_int(err, best < 0 ? E_NOT_FOUND : OK);
            if (err)
                break;
            snprintf(body, sizeof body, "%.*s", BYTES_FORMAT(d.message.body));
            expect_int(strtol(body, NULL, 10), best);
            state[best] = 1;
            taken[best] = d;
            break;
        }
        case 3:
            if (state[i] == 1) {
                queue_settle(q, taken[i].offset, taken[i].number);
                state[i] = 2;
            }
            break;
        default:
            if (state[i] == 1) {
                queue_return(q, taken[i].offset, taken[i].number);
                state[i] = 0;
            }
        }
    }
    test_core_end(&t);
}
