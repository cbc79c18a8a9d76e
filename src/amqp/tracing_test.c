/* The firehose: what is copied, and what the copies say. */
#include "amqp/test_peer.h"
#include "broker/vhost.h"

static struct test_broker b;

/* A peer, and a queue "fire" that gets each copy. */
static struct peer *traced(void)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=fire nowait");
    say(p, "1 queue.bind queue=fire exchange=amq.rabbitmq.trace routing_key=# nowait");
    say(p, "1 queue.declare queue=q nowait");
    heard(p);
    vhost_find(b.core, BYTES_LITERAL("/"))->is_traced = true;
    return p;
}

/* The next copy, as basic.get has it. */
static const char *next_copy(struct peer *p)
{
    say(p, "1 basic.get queue=fire no_ack");
    return heard(p);
}

static void expect_copy(struct peer *p, int left, const char *key, const char *particular,
                        const char *properties, const char *keys, const char *body)
{
    struct text wanted = {0};

    text_printf(&wanted,
                "1 basic.get_ok delivery_tag=%d exchange=amq.rabbitmq.trace routing_key=%s "
                "message_count=%d | headers={channel: I 1, connection: S \"127.0.0.1:1 -> "
                "127.0.0.1:1\", exchange_name: S \"%s\", node: S \"%s\", properties: F %s, %s, "
                "routing_keys: A [%s], user: S \"guest\", vhost: S \"/\"} | %s\n",
                0, key, left, "", b.core->config.cluster_id, properties, particular, keys, body);
    const char *copy = next_copy(p);
    const char *from = strstr(copy, " exchange=amq");
    expect_not_null(from);
    expect_string(from, strstr(text_string(&wanted), " exchange=amq"));
    text_reset(&wanted);
}

TEST(a_traced_vhost_copies_what_is_published_and_what_is_delivered)
{
    struct peer *p = traced();
    say(p, "1 basic.publish routing_key=q | content_type=a/b delivery_mode=2 headers=x:I:1 "
           "timestamp=4294967298 | hello");
    expect_copy(
        p, 0, "publish.", "routed_queues: A [S \"q\"]",
        "{timestamp: I 2, delivery_mode: I 2, headers: F {x: I 1}, content_type: S \"a/b\"}",
        "S \"q\"", "hello");
    say(p, "1 basic.consume queue=q consumer_tag=c no_ack nowait");
    heard(p);
    expect_copy(
        p, 0, "deliver.q", "redelivered: I 0",
        "{timestamp: I 2, delivery_mode: I 2, headers: F {x: I 1}, content_type: S \"a/b\"}",
        "S \"q\"", "hello");
    expect_heard(p, "");
    broker_close(&b);
}

TEST(what_goes_nowhere_and_what_is_got_is_traced_too)
{
    struct peer *p = traced();
    say(p, "1 basic.publish routing_key=nobody | | a");
    expect_copy(p, 0, "publish.", "routed_queues: A []", "{}", "S \"nobody\"", "a");
    say(p, "1 basic.publish routing_key=q | headers=CC:A:fire/z,BCC:A:y | b");
    say(p, "1 basic.get queue=q no_ack");
    heard(p);
    say(p, "1 queue.purge queue=fire nowait");
    heard(p);
    say(p, "1 basic.publish routing_key=q | headers=BCC:A:y | b");
    expect_copy(p, 0, "publish.", "routed_queues: A [S \"q\"]", "{headers: F {}}",
                "S \"q\", S \"y\"", "b");
    say(p, "1 basic.get queue=q");
    say(p, "1 basic.nack delivery_tag=0 multiple requeue");
    say(p, "1 basic.get queue=q no_ack");
    heard(p);
    expect_copy(p, 1, "deliver.q", "redelivered: I 0", "{headers: F {}}", "S \"q\"", "b");
    expect_copy(p, 0, "deliver.q", "redelivered: I 1", "{headers: F {}}", "S \"q\"", "b");
    broker_close(&b);
}

TEST(copies_are_not_traced_themselves)
{
    struct peer *p = traced();
    say(p, "1 basic.consume queue=fire consumer_tag=f no_ack nowait");
    say(p, "1 basic.publish routing_key=q | | a");
    const char *first = strstr(heard(p), "routing_key=publish. ");
    expect_not_null(first);
    expect_null(strstr(first, "deliver.fire"));
    expect_heard(p, "");
    broker_close(&b);
}

TEST(nothing_is_copied_when_tracing_is_off_or_nobody_is_bound)
{
    struct peer *p = traced();
    vhost_find(b.core, BYTES_LITERAL("/"))->is_traced = false;
    say(p, "1 basic.publish routing_key=q | | a");
    expect_string(next_copy(p), "1 basic.get_empty\n");
    vhost_find(b.core, BYTES_LITERAL("/"))->is_traced = true;
    say(p, "1 queue.unbind queue=fire exchange=amq.rabbitmq.trace routing_key=#");
    say(p, "1 basic.publish routing_key=q | | b");
    say(p, "1 basic.get queue=q no_ack");
    heard(p);
    expect_string(next_copy(p), "1 basic.get_empty\n");
    broker_close(&b);
}

TEST(a_traced_message_reaches_the_queues_that_it_would_reach_untraced)
{
    struct peer *p = traced();
    say(p, "1 queue.declare queue=r nowait");
    say(p, "1 exchange.declare exchange=h type=headers nowait");
    say(p, "1 queue.bind queue=q exchange=h arguments=x:I:1 nowait");
    say(p, "1 queue.bind queue=r exchange=h arguments=x:I:1 nowait");
    say(p, "1 basic.publish exchange=h routing_key=k | headers=x:I:1 | m");
    say(p, "1 queue.declare queue=q passive");
    say(p, "1 queue.declare queue=r passive");
    expect_heard(p, "1 queue.declare_ok queue=q message_count=1 consumer_count=0\n"
                    "1 queue.declare_ok queue=r message_count=1 consumer_count=0\n");
    expect_not_null(strstr(next_copy(p), "routed_queues: A [S \"q\", S \"r\"]"));
    broker_close(&b);
}

TEST(a_long_name_does_not_make_a_key_too_long)
{
    struct peer *p = traced();
    char name[256];
    memset(name, 'n', sizeof name - 1);
    name[255] = '\0';
    say(p, "1 queue.declare queue=%s nowait", name);
    say(p, "1 basic.publish routing_key=%s | | a", name);
    say(p, "1 basic.get queue=%s no_ack", name);
    say(p, "1 basic.get queue=fire no_ack");
    heard(p);
    expect_not_null(strstr(next_copy(p), "routing_key=deliver.nnnn"));
    broker_close(&b);
}
