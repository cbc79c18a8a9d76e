/* What management sees of connections, and how it ends one. */
#include "amqp/test_peer.h"
#include "broker/counters.h"
#include "broker/session.h"

static struct test_broker b;

static void remember(void *ctx, struct session *session)
{
    *(struct session **)ctx = session;
}

static struct session *only_session(void)
{
    struct session *session = NULL;
    session_each(b.core, remember, &session);
    return session;
}

static struct text seen;

static const char *yes(bool is, const char *word)
{
    return is ? word : "";
}

static void put_channel(void *ctx, const struct channel_description *d)
{
    (void)ctx;
    text_printf(&seen,
                "%u %s%s%s prefetch=%u global=%u consumers=%zu unacked=%llu unconfirmed=%llu ",
                d->number, session_state_name(d->state), yes(d->confirms, " confirms"),
                yes(d->is_transactional, " tx"), d->prefetch, d->global_prefetch, d->consumer_count,
                (unsigned long long)d->unacked, (unsigned long long)d->unconfirmed);
    text_printf(&seen, "uncommitted=%llu,%llu\n", (unsigned long long)d->uncommitted,
                (unsigned long long)d->acks_uncommitted);
}

static void put_consumer(void *ctx, const struct consumer_description *d)
{
    (void)ctx;
    text_printf(&seen, "%.*s of %.*s on %u prefetch=%u%s%s%s ", BYTES_FORMAT(d->tag),
                BYTES_FORMAT(d->queue->name), d->channel, d->prefetch, yes(d->acks, " acks"),
                yes(d->is_exclusive, " exclusive"), yes(d->is_active, " active"));
    amqp_table_dump(d->arguments, &seen);
    text_append_string(&seen, "\n");
}

static void expect_seen(const char *wanted)
{
    expect_string(text_string(&seen), wanted);
    text_reset(&seen);
}

TEST(a_connection_is_described_by_what_was_agreed_on)
{
    struct session_description d;
    char name[SESSION_NAME_MAX];
    broker_open(&b);
    struct peer *p = peer_new(&b);
    struct session *session = only_session();
    session_describe(session, &d);
    expect_string(session_state_name(d.state), "starting");
    expect_null(d.mechanism);

    p = peer_connect_with(&b, 8192, 7);
    turn(&b);
    session = only_session();
    session_describe(session, &d);
    expect_string(d.protocol, "AMQP 0-9-1");
    expect_string(d.mechanism, "PLAIN");
    expect_string(session_state_name(d.state), "running");
    expect_int(d.frame_max_bytes, 8192);
    expect_int(d.heartbeat_s, 7);
    expect_int(d.channel_count, 1);
    expect_true(d.client_properties.size > 0);
    session_put_name(session, name);
    expect_true(session_find_name(b.core, bytes_from_string(name)) != NULL);
    expect_null(session_find_name(b.core, BYTES_LITERAL("127.0.0.1:1 -> nowhere:1")));
    expect_true(session_find(b.core, session->link->id) == session);
    struct session *first = session_after(b.core, 0);
    expect_true(first != session && session_after(b.core, first->link->id) == session);
    expect_null(session_after(b.core, session->link->id));
    expect_true(session_after(b.core, session->link->id - 1) == session);
    uint64_t id = session->link->id;
    peer_close(p);
    expect_null(session_find(b.core, id));
    broker_close(&b);
}

TEST(channels_are_described_with_what_is_open_on_them)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    struct session *session = only_session();
    session_each_channel(session, put_channel, NULL);
    expect_seen(
        "1 running prefetch=0 global=0 consumers=0 unacked=0 unconfirmed=0 uncommitted=0,0\n");
    say(p, "1 queue.declare queue=q");
    say(p, "1 confirm.select");
    say(p, "1 basic.qos prefetch_count=5");
    say(p, "1 basic.consume queue=q consumer_tag=c");
    heard(p);
    say(p, "1 basic.publish routing_key=q | | one");
    turn(&b);
    turn(&b);
    session_each_channel(session, put_channel, NULL);
    struct channel_description d;
    expect_true(session_describe_channel(session, 1, &d));
    expect_int(d.unacked, 1);
    expect_false(session_describe_channel(session, 2, &d));
    expect_seen("1 running confirms prefetch=5 global=0 consumers=1 unacked=1 unconfirmed=0 "
                "uncommitted=0,0\n");
    peer_close(p);
    broker_close(&b);
}

TEST(a_transaction_says_what_it_keeps)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q");
    say(p, "1 basic.publish routing_key=q | | one");
    say(p, "1 tx.select");
    say(p, "1 basic.get queue=q");
    heard(p);
    say(p, "1 basic.publish routing_key=q | | two");
    say(p, "1 basic.publish routing_key=q | | three");
    say(p, "1 basic.ack delivery_tag=1");
    session_each_channel(only_session(), put_channel, NULL);
    expect_seen("1 running tx prefetch=0 global=0 consumers=0 unacked=1 unconfirmed=0 "
                "uncommitted=2,1\n");
    peer_close(p);
    broker_close(&b);
}

TEST(consumers_are_found_from_their_channel_and_from_their_queue)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q arguments=x-single-active-consumer:t:1");
    say(p, "1 basic.qos prefetch_count=3");
    say(p, "1 basic.consume queue=q consumer_tag=a arguments=x-priority:I:1");
    say(p, "1 basic.consume queue=q consumer_tag=b no_ack");
    heard(p);
    const char *wanted = "a of q on 1 prefetch=3 acks active {x-priority: I 1}\n"
                         "b of q on 1 prefetch=3 {}\n";
    session_each_consumer(only_session(), 1, put_consumer, NULL);
    expect_seen(wanted);
    session_each_consumer(only_session(), 2, put_consumer, NULL);
    expect_seen("");
    queue_each_consumer(queue_find(vhost_find(b.core, BYTES_LITERAL("/")), BYTES_LITERAL("q")),
                        put_consumer, NULL);
    expect_seen(wanted);
    peer_close(p);
    broker_close(&b);
}

TEST(what_a_channel_has_counted_stays_with_its_vhost)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    struct vhost *vhost = vhost_find(b.core, BYTES_LITERAL("/"));
    say(p, "1 queue.declare queue=q");
    say(p, "1 confirm.select");
    say(p, "1 basic.publish routing_key=q | | one");
    say(p, "1 basic.publish routing_key=nowhere | | two");
    say(p, "1 basic.publish routing_key=nowhere mandatory | | three");
    say(p, "1 basic.get queue=q");
    heard(p);
    say(p, "1 basic.nack delivery_tag=1 requeue");
    say(p, "1 basic.get queue=q no_ack");
    say(p, "1 basic.get queue=q");
    heard(p);
    expect_null(vhost->counters);
    peer_close(p);
    expect_int(vhost->counters->count[COUNTER_publish], 3);
    expect_int(vhost->counters->count[COUNTER_confirm], 3);
    expect_int(vhost->counters->count[COUNTER_drop_unroutable], 1);
    expect_int(vhost->counters->count[COUNTER_return_unroutable], 1);
    expect_int(vhost->counters->count[COUNTER_get], 1);
    expect_int(vhost->counters->count[COUNTER_get_no_ack], 1);
    expect_int(vhost->counters->count[COUNTER_get_empty], 1);
    expect_int(vhost->counters->count[COUNTER_redeliver], 1);
    broker_close(&b);
}

TEST(a_connection_that_is_closed_from_outside_is_told_why)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    session_close(only_session(), "Closed via management plugin");
    expect_heard(p, "0 connection.close reply_code=320 "
                    "reply_text=CONNECTION_FORCED - Closed via management plugin "
                    "failing_class_id=0 failing_method_id=0\n");
    struct session_description d;
    session_describe(only_session(), &d);
    expect_string(session_state_name(d.state), "closing");
    session_close(only_session(), "again");
    expect_heard(p, "");
    peer_close(p);
    broker_close(&b);
}
