/* Deliveries that are not settled in time. */
#include <stdio.h>

#include "amqp/test_peer.h"

static struct test_broker b;

#define LATE                                                                                       \
    "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - delivery acknowledgement on " \
    "channel 1 timed out. Timeout value used: %d ms. This timeout value can be configured, see "   \
    "consumers doc guide to learn more failing_class_id=0 failing_method_id=0\n"

static const char *late_after(int timeout_ms)
{
    static char text[300];

    snprintf(text, sizeof text, LATE, timeout_ms);
    return text;
}

/* A peer that holds one delivery, by get or as a consumer. */
static struct peer *holder(const char *queue_arguments, const char *consumer_arguments)
{
    broker_open(&b);
    b.core->config.consumer_timeout_ms = 30000;
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q %s", queue_arguments);
    say(p, "1 basic.publish routing_key=q | | m");
    if (consumer_arguments)
        say(p, "1 basic.consume queue=q consumer_tag=c %s", consumer_arguments);
    else
        say(p, "1 basic.get queue=q");
    heard(p);
    return p;
}

TEST(a_client_that_does_not_settle_in_time_loses_its_channel_and_the_delivery)
{
    for (int by_get = 0; by_get < 2; by_get++) {
        struct peer *p = holder("", by_get ? NULL : "");
        advance(&b, 30000);
        expect_heard(p, ""); /* never too early */
        advance(&b, 1000);
        expect_heard(p, late_after(30000));
        say(p, "1 channel.close_ok");
        say(p, "1 channel.open");
        say(p, "1 basic.get queue=q");
        expect_heard(p,
                     "1 channel.open_ok\n1 basic.get_ok delivery_tag=1 redelivered=true exchange= "
                     "routing_key=q message_count=0 | | m\n");
        broker_close(&b);
    }
}

TEST(the_consumer_s_timeout_counts_before_the_queue_s_and_that_before_the_broker_s)
{
    struct peer *p = holder("arguments=x-consumer-timeout:I:5000", "");
    advance(&b, 6000);
    expect_heard(p, late_after(5000));
    broker_close(&b);
    p = holder("arguments=x-consumer-timeout:I:5000", "arguments=x-consumer-timeout:I:2000");
    advance(&b, 3000);
    expect_heard(p, late_after(2000));
    broker_close(&b);
    p = holder("arguments=x-consumer-timeout:I:0", "");
    advance(&b, 60000);
    expect_heard(p, "");
    broker_close(&b);
}

TEST(what_is_settled_in_time_is_not_late_whatever_comes_after_it)
{
    struct peer *p = holder("", "");
    for (int i = 1; i < 5; i++) {
        advance(&b, 20000);
        say(p, "1 basic.publish routing_key=q | | m");
        say(p, "1 basic.ack delivery_tag=%d", i);
        heard(p);
    }
    advance(&b, 20000);
    expect_heard(p, "");
    advance(&b, 20000);
    expect_heard(p, late_after(30000));
    broker_close(&b);
}

TEST(a_waiting_method_does_not_keep_a_late_delivery)
{
    struct peer *p = holder("", "");
    say(p, "1 queue.declare queue=durable durable");
    heard(p);
    advance(&b, 31000);
    expect_heard(p, late_after(30000));
    commit(&b);
    expect_heard(p, "");
    broker_close(&b);
}

TEST(a_reject_and_a_lost_channel_say_that_a_delivery_failed_and_a_nack_does_not)
{
    static const char got[] =
        "1 basic.get_ok delivery_tag=%d redelivered=true exchange= "
        "routing_key=q message_count=0 | headers={x-delivery-count: l %d} | m\n";
    char text[200];
    struct peer *p = holder("durable arguments=x-queue-type:S:quorum,x-delayed-retry-type:S:failed,"
                            "x-delayed-retry-min:I:1000",
                            NULL);
    commit(&b);
    heard(p);
    say(p, "1 basic.get queue=q");
    commit(&b);
    heard(p);
    say(p, "1 basic.nack delivery_tag=1 requeue");
    say(p, "1 basic.get queue=q");
    commit(&b);
    snprintf(text, sizeof text, got, 2, 1);
    expect_heard(p, text);
    say(p, "1 basic.reject delivery_tag=2 requeue");
    say(p, "1 basic.get queue=q");
    commit(&b);
    expect_heard(p, "1 basic.get_empty\n");
    advance(&b, 2000);
    commit(&b);
    say(p, "1 basic.get queue=q");
    commit(&b);
    snprintf(text, sizeof text, got, 3, 2);
    expect_heard(p, text);
    say(p, "1 channel.close");
    say(p, "1 channel.open");
    say(p, "1 basic.get queue=q");
    commit(&b);
    expect_heard(p, "1 channel.close_ok\n1 channel.open_ok\n1 basic.get_empty\n");
    broker_close(&b);
}
