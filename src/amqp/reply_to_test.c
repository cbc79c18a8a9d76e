/* Direct reply-to: questions carry an address, answers come back to the channel at once. */
#include "amqp/test_peer.h"

#include <stdio.h>
#include <string.h>

static struct test_broker b;

/* What a question's reply_to was made into. Valid until the next call. */
static const char *ask(struct peer *p)
{
    static char address[64];
    say(p, "1 basic.publish routing_key=q | correlation_id=7 "
           "reply_to=amq.rabbitmq.reply-to type=t | question");
    say(p, "1 basic.get queue=q no_ack");
    commit(&b);
    const char *at = strstr(heard(p), "reply_to=");
    expect_not_null(at);
    at += strlen("reply_to=");
    snprintf(address, sizeof address, "%.*s", (int)strcspn(at, " "), at);
    return address;
}

TEST(an_answer_comes_back_to_the_channel_that_asked)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b), *other = peer_connect(&b);
    char wanted[300];
    say(p, "1 queue.declare queue=q nowait");
    say(p, "1 basic.consume queue=amq.rabbitmq.reply-to no_ack consumer_tag=c");
    commit(&b);
    expect_heard(p, "1 basic.consume_ok consumer_tag=c\n");
    const char *address = ask(p);
    expect_int(strlen(address), strlen("amq.rabbitmq.reply-to.") + 22);
    say(other, "1 queue.declare queue=%s passive", address);
    expect_not_null(strstr(heard(other), "message_count=0 consumer_count=1"));
    say(other, "1 confirm.select nowait");
    say(other, "1 basic.publish routing_key=%s mandatory | correlation_id=7 | answer", address);
    expect_heard(other, "1 basic.ack delivery_tag=1 multiple=false\n");
    snprintf(wanted, sizeof wanted,
             "1 basic.deliver consumer_tag=c delivery_tag=2 redelivered=false exchange= "
             "routing_key=%s | correlation_id=7 | answer\n",
             address);
    expect_heard(p, wanted);

    say(p, "1 basic.cancel consumer_tag=c");
    expect_heard(p, "1 basic.cancel_ok consumer_tag=c\n");
    say(other, "1 basic.publish routing_key=%s | | too late", address);
    expect_heard(other, "1 basic.ack delivery_tag=2 multiple=false\n");
    expect_heard(p, "");
    say(other, "1 queue.declare queue=%s passive", address);
    expect_not_null(strstr(heard(other), "reply_code=404"));
    broker_close(&b);
}

TEST(a_reply_consumer_goes_with_its_channel_and_its_connection)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b), *other = peer_connect(&b);
    say(p, "1 queue.declare queue=q nowait");
    for (int i = 0; i < 2; i++) {
        say(p, "1 basic.consume queue=amq.rabbitmq.reply-to no_ack consumer_tag=c nowait");
        const char *address = ask(p);
        say(p, i ? "0 connection.close" : "1 channel.close");
        heard(p);
        say(other, "1 basic.publish routing_key=%s | | answer", address);
        expect_heard(other, "");
        if (i == 0) {
            say(p, "1 channel.open");
            heard(p);
        }
    }
    broker_close(&b);
}

TEST(a_reply_consumer_does_not_acknowledge_and_is_alone)
{
    static const char *const cases[][2] = {
        {"1 basic.consume queue=amq.rabbitmq.reply-to", "reply consumer cannot acknowledge"},
        {"1 basic.consume queue=amq.rabbitmq.reply-to no_ack", "reply consumer already set"},
    };
    for (int i = 0; i < 2; i++) {
        broker_open(&b);
        struct peer *p = peer_connect(&b);
        say(p, "1 basic.consume queue=amq.rabbitmq.reply-to no_ack nowait");
        say(p, "%s", cases[i][0]);
        const char *text = heard(p);
        expect_not_null(strstr(text, "reply_code=406"));
        expect_not_null(strstr(text, cases[i][1]));
        broker_close(&b);
    }
}
