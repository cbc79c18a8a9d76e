#include "base/metrics.h"
#include "broker/counters.h"
#include "broker/exchange.h"
#include "broker/test_core.h"
#include "tests/test.h"

/* ---- rates ---- */

static double ask(struct rates **r, uint64_t value, int64_t now_ms)
{
    double out;
    rates_ask(r, &value, 1, now_ms, &out);
    return out;
}

#define expect_rate(actual, wanted) expect_int((int64_t)((actual)*1000), (int64_t)((wanted)*1000))

TEST(a_rate_is_that_since_the_question_before_last)
{
    struct rates *r = NULL;
    expect_rate(ask(&r, 100, 1000), 0);
    expect_rate(ask(&r, 110, 2000), 10);
    expect_rate(ask(&r, 150, 6000), 10);
    expect_rate(ask(&r, 150, 7000), 50.0 / 6);
    expect_rate(ask(&r, 150, 11000), 0);
    rates_free(r);
}

TEST(a_rate_that_is_asked_for_seldom_is_that_since_the_last_question)
{
    struct rates *r = NULL;
    expect_rate(ask(&r, 0, 0), 0);
    expect_rate(ask(&r, 600, 60000), 10);
    expect_rate(ask(&r, 1800, 120000), 20);
    rates_free(r);
}

TEST(what_becomes_less_has_a_negative_rate)
{
    struct rates *r = NULL;
    expect_rate(ask(&r, 50, 0), 0);
    expect_rate(ask(&r, 40, 2000), -5);
    rates_free(r);
}

/* ---- counters ---- */

TEST(an_object_without_events_has_no_counters)
{
    struct counters *all = NULL;
    struct counters *one = NULL;
    counters_add_all(&all, one);
    expect_null(all);
    counters_add(&one, COUNTER_ack, 3);
    counters_add_all(&all, one);
    counters_add_all(&all, one);
    expect_int(all->count[COUNTER_ack], 6);
    expect_int(all->count[COUNTER_publish], 0);
    expect_string(counter_name(COUNTER_return_unroutable), "return_unroutable");
    counters_free(all);
    counters_free(one);
}

static int64_t counted(const struct queue *queue, enum counter c)
{
    return (int64_t)queue_counters(queue)->count[c];
}

TEST(a_queue_counts_what_comes_and_goes)
{
    struct test_core t;
    struct test_consumer c = {0};
    struct delivery d;
    struct wait again = {0};
    metrics_join();
    uint64_t acked = metrics_sum(METRIC_messages_acknowledged);
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    expect_null(queue_counters(q));
    for (int i = 0; i < 5; i++)
        expect_ok(test_publish(&t, "q", "x", NULL));
    test_core_settle(&t);
    expect_int(counted(q, COUNTER_publish), 5);
    expect_int(queue_counters(q)->bytes, 5);
    expect_int(queue_message_bytes(q), 5);
    expect_int(queue_counters(q)->active_ms, t.wall_ms);

    expect_ok(queue_get(q, false, &again, &d));
    queue_return(q, d.offset, d.number);
    expect_ok(queue_get(q, true, &again, &d));
    queue_finish(q, d.offset, d.number);
    expect_true(d.redelivered);
    expect_int(counted(q, COUNTER_get), 1);
    expect_int(counted(q, COUNTER_get_no_ack), 1);
    expect_int(counted(q, COUNTER_redeliver), 1);

    test_consume(q, &c, 2, false);
    test_core_settle(&t);
    queue_settle(q, c.last.offset, c.last.number);
    queue_settle(q, c.last.offset, c.last.number);
    expect_int(counted(q, COUNTER_deliver), 2);
    expect_int(counted(q, COUNTER_ack), 1);
    queue_cancel(&c.consumer);
    test_consumer_reset(&c);
    struct test_consumer quick = {0};
    test_consume(q, &quick, 10, true);
    test_core_settle(&t);
    expect_int(counted(q, COUNTER_deliver_no_ack), 2);
    queue_cancel(&quick.consumer);
    test_consumer_reset(&quick);
    expect_err(queue_get(q, true, &again, &d), E_NOT_FOUND);
    expect_int(counted(q, COUNTER_get_empty), 1);
    expect_int(counted(q, COUNTER_ack), 1);
    expect_true(metrics_sum(METRIC_messages_acknowledged) > acked);
    test_core_end(&t);
}

TEST(an_exchange_counts_what_comes_and_where_it_goes)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = exchange_find(test_vhost(&t), BYTES_LITERAL("amq.fanout"));
    expect_null(exchange_counters(x));
    exchange_count(x, 3);
    exchange_count(x, 0);
    expect_int(exchange_counters(x)->count[COUNTER_publish_in], 2);
    expect_int(exchange_counters(x)->count[COUNTER_publish_out], 3);
    test_core_end(&t);
}
