/* What happens around a method that waits for the disk, and when the disk has failed. */
#include <stdio.h>
#include <string.h>

#include "amqp/connection.h"
#include "amqp/test_peer.h"

static struct test_broker b;

static struct peer *connected(void)
{
    broker_open(&b);
    return peer_connect(&b);
}

TEST(a_connection_closes_when_its_channels_have_done_what_came_before)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable");
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | parked");
    say(p, "2 channel.open");
    say(p, "0 connection.close");
    say(p, "2 queue.declare queue=ignored");
    expect_heard(p, "2 channel.open_ok\n");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n"
                    "0 connection.close_ok\n");
    p = peer_connect(&b);
    say(p, "1 basic.get queue=q no_ack");
    commit(&b);
    expect_heard(p, "1 basic.get_ok delivery_tag=1 redelivered=false exchange= routing_key=q "
                    "message_count=0 | delivery_mode=2 | parked\n");
    broker_close(&b);
}

TEST(a_second_close_while_the_first_waits_is_one)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable");
    say(p, "0 connection.close");
    say(p, "0 connection.close");
    expect_heard(p, "");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n"
                    "0 connection.close_ok\n");
    broker_close(&b);
}

TEST(a_connection_that_breaks_while_a_channel_waits_leaves_nothing_behind)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable");
    say(p, "1 basic.publish routing_key=q | | parked");
    say(p, "1 basic.get queue=q");
    expect_int(sim_link_unfreed_count(p->link), 3);
    peer_close(p);
    expect_int(sim_link_unfreed_count(p->link), 0);
    commit(&b);
    broker_close(&b);
}

TEST(an_error_of_one_channel_ends_the_waiting_of_another_when_it_is_hard)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable");
    say(p, "1 basic.publish routing_key=q | | parked");
    say(p, "2 channel.open");
    say(p, "2 basic.recover");
    expect_heard(p,
                 "2 channel.open_ok\n0 connection.close reply_code=540 reply_text=NOT_IMPLEMENTED "
                 "- requeue=false failing_class_id=60 failing_method_id=110\n");
    expect_int(sim_link_unfreed_count(p->link), 0);
    commit(&b);
    expect_heard(p, "");
    broker_close(&b);
}

TEST(silence_counts_only_when_the_client_is_listened_to)
{
    broker_open(&b);
    struct peer *p = peer_connect_with(&b, AMQP_FRAME_MAX_BYTES, 1);
    say(p, "1 queue.declare queue=q durable");
    for (int i = 0; i < 20; i++)
        advance(&b, 500); /* the disk hangs */
    expect_false(sim_link_is_gone(p->link));
    commit(&b);
    for (int i = 0; i < 3; i++)
        advance(&b, 500);
    expect_true(sim_link_is_gone(p->link));
    broker_close(&b);
}

TEST(a_queue_that_is_deleted_while_its_declare_waits_is_told)
{
    struct peer *p = connected(), *other = peer_connect(&b);
    say(p, "1 queue.declare queue=q durable");
    say(other, "1 queue.delete queue=q nowait");
    commit(&b);
    expect_heard(p,
                 "1 channel.close reply_code=404 reply_text=NOT_FOUND - no queue 'q' in vhost '/' "
                 "failing_class_id=50 failing_method_id=10\n");
    broker_close(&b);
}

TEST(a_queue_that_is_deleted_while_a_get_waits_is_told)
{
    struct peer *p = connected(), *other = peer_connect(&b);
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "1 basic.publish routing_key=q | | a");
    say(p, "1 basic.get queue=q");
    commit(&b);
    heard(p);
    say(p, "1 basic.publish routing_key=q | | b");
    say(p, "1 basic.get queue=q");
    expect_heard(p, "");
    commit(&b);
    heard(p);
    say(p, "1 basic.publish routing_key=q | | c");
    say(p, "1 queue.purge queue=q");
    say(other, "1 queue.delete queue=q nowait");
    turn(&b);
    commit(&b);
    expect_not_null(strstr(heard(p), "1 queue.purge_ok message_count=1"));
    broker_close(&b);
}

TEST(more_commands_than_a_batch_holds_keep_their_order)
{
    enum { COUNT = 12000 };
    struct peer *p = connected();
    struct text out = {0};

    say(p, "1 queue.declare queue=t");
    say(p, "1 confirm.select");
    heard(p);
    for (int i = 0; i < COUNT; i++)
        put_line(&out, "1 basic.publish routing_key=t | | x", AMQP_FRAME_MAX_BYTES);
    put_line(&out, "1 queue.purge queue=t", AMQP_FRAME_MAX_BYTES);
    say_bytes(p, text_bytes(&out));
    commit(&b);
    char wanted[128];
    snprintf(wanted, sizeof wanted,
             "1 queue.purge_ok message_count=%d\n1 basic.ack delivery_tag=%d multiple=true\n",
             COUNT, COUNT);
    expect_heard(p, wanted);
    expect_int(sim_link_unfreed_count(p->link), 0);
    text_reset(&out);
    broker_close(&b);
}

TEST(a_header_that_arrives_byte_by_byte_is_understood)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    for (int i = 0; i < 8; i++)
        say_bytes(p, bytes_of("AMQP\0\0\x09\x01" + i, 1));
    expect_not_null(strstr(heard(p), "0 connection.start"));
    broker_close(&b);
}

TEST(what_io_cannot_take_is_an_error_of_framing)
{
    struct peer *p = connected();
    amqp_core_half.broken(sim_link_link(p->link)->session, E_TOO_LARGE, "too much");
    expect_heard(p, "0 connection.close reply_code=501 reply_text=FRAME_ERROR - too much "
                    "failing_class_id=0 failing_method_id=0\n");
    expect_true(sim_link_is_gone(p->link));
    broker_close(&b);
}

TEST(a_client_calls_itself_by_its_connection_name)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    say_bytes(p, bytes_of("AMQP\0\0\x09\x01", 8));
    say(p, "0 connection.start_ok mechanism=PLAIN response=^guest^guest "
           "client_properties=connection_name:S:me,product:S:pika");
    struct session *session = sim_link_link(p->link)->session;
    expect_string(session->client, "me");
    expect_string(session->protocol, "amqp");
    broker_close(&b);
}

TEST(when_the_disk_has_failed_everything_that_needs_it_is_refused)
{
    static const char *const lines[] = {
        "1 queue.declare queue=r durable",
        "1 exchange.declare exchange=x type=direct durable",
        "1 queue.bind queue=q exchange=amq.direct routing_key=k",
        "1 basic.publish routing_key=q | delivery_mode=2 | a",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct peer *p = connected();
        say(p, "1 queue.declare queue=q durable");
        commit(&b);
        heard(p);
        say(p, "1 basic.publish routing_key=q | | a");
        sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
        commit(&b);
        say(p, "%s", lines[i]);
        expect_not_null(strstr(
            heard(p), "0 connection.close reply_code=506 reply_text=RESOURCE_ERROR - cannot "));
        broker_close(&b);
    }
}
