/* What is published waits for room, and everything else goes on. */
#include "amqp/test_peer.h"

#include <stdio.h>

#include "broker/hold.h"

enum { RESERVE_BYTES = 8 << 20 };

static struct test_broker b;

/* From now on there is room for `free_bytes` more. */
static void leave_free(uint64_t free_bytes)
{
    uint64_t has, large = UINT64_C(1) << 40;

    sim_disk_set_capacity(b.disk, large);
    expect_ok(disk_free_bytes(b.disk, &has));
    sim_disk_set_capacity(b.disk, large - has + free_bytes);
}

static void look(void)
{
    for (int i = 0; i < 16; i++) {
        advance(&b, 100);
        commit(&b);
    }
}

/* The disk has less than its reserve, and the broker has seen it. */
static void make_disk_low(void)
{
    leave_free(RESERVE_BYTES / 2);
    look();
    expect_int(core_holds(b.core), HOLD_DISK);
}

static void make_room(void)
{
    leave_free(UINT64_C(1) << 30);
    look();
    expect_int(core_holds(b.core), 0);
}

static struct peer *connected(void)
{
    broker_open_with_reserve(&b, RESERVE_BYTES);
    look();
    return peer_connect(&b);
}

TEST(a_publisher_is_told_that_it_is_blocked_and_that_it_is_not_any_more)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "1 confirm.select nowait");
    commit(&b);
    make_disk_low();
    expect_heard(p, ""); /* who does not publish is not told */
    say(p, "1 basic.publish routing_key=q | | one");
    say(p, "1 basic.publish routing_key=q | | two");
    expect_heard(p, "0 connection.blocked reason=low on disk\n");
    look();
    expect_heard(p, "");
    make_room();
    const char *said = heard(p);
    expect_not_null(strstr(said, "0 connection.unblocked\n"));
    expect_not_null(strstr(said, "1 basic.ack delivery_tag=2 multiple=true\n"));
    say(p, "1 basic.get queue=q no_ack");
    commit(&b);
    expect_not_null(strstr(heard(p), "| | one"));
    broker_close(&b);
}

TEST(a_client_without_the_capability_is_held_and_told_nothing)
{
    struct peer *p = connected();
    p = peer_connect_bare(&b);
    say(p, "1 queue.declare queue=q durable nowait");
    commit(&b);
    make_disk_low();
    say(p, "1 basic.publish routing_key=q | | one");
    say(p, "2 channel.open");
    expect_heard(p, "2 channel.open_ok\n");
    make_room();
    say(p, "2 basic.get queue=q no_ack");
    commit(&b);
    expect_not_null(strstr(heard(p), "| | one"));
    broker_close(&b);
}

TEST(settles_and_cancels_pass_a_publish_that_is_held)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "1 basic.qos prefetch_count=1");
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    for (int i = 0; i < 4; i++)
        say(p, "1 basic.publish routing_key=q | | %d", i);
    commit(&b);
    expect_not_null(strstr(heard(p), "| | 0"));
    make_disk_low();
    say(p, "1 basic.publish routing_key=q | | 4");
    say(p, "1 basic.ack delivery_tag=1");
    commit(&b);
    expect_not_null(strstr(heard(p), "| | 1"));
    say(p, "1 basic.nack delivery_tag=2 requeue");
    commit(&b);
    expect_not_null(strstr(heard(p), "redelivered=true exchange= routing_key=q | | 1"));
    say(p, "1 basic.cancel consumer_tag=c");
    say(p, "1 basic.ack delivery_tag=3");
    commit(&b);
    expect_heard(p, "1 basic.cancel_ok consumer_tag=c\n");
    say(p, "1 queue.declare queue=q passive"); /* waits behind the publish, as it must see it */
    commit(&b);
    expect_heard(p, "");
    say(p, "1 basic.ack multiple"); /* nor may this pass the declare */
    make_room();
    const char *said = heard(p);
    expect_not_null(strstr(said, "message_count=3"));
    broker_close(&b);
}

TEST(settles_that_came_with_a_held_publish_pass_it)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    for (int i = 0; i < 3; i++)
        say(p, "1 basic.publish routing_key=q | | %d", i);
    say(p, "1 basic.get queue=q");
    commit(&b);
    heard(p);
    make_disk_low();
    say(p, "1 basic.get queue=q"); /* a fence: what follows is parked behind it at first */
    say(p, "1 basic.publish routing_key=q | | 3");
    say(p, "1 basic.ack delivery_tag=1");
    commit(&b);
    heard(p);
    say(p, "1 basic.ack delivery_tag=1");
    commit(&b);
    expect_not_null(strstr(heard(p), "unknown delivery tag 1"));
    broker_close(&b);
}

TEST(consumers_on_other_connections_go_on_while_publishers_are_held)
{
    struct peer *p = connected(), *consumer = peer_connect(&b);
    say(p, "1 queue.declare queue=q durable nowait");
    for (int i = 0; i < 5; i++)
        say(p, "1 basic.publish routing_key=q | | %d", i);
    commit(&b);
    heard(p);
    make_disk_low();
    say(p, "1 basic.publish routing_key=q | | held");
    say(consumer, "1 basic.qos prefetch_count=1");
    say(consumer, "1 basic.consume queue=q consumer_tag=c nowait");
    for (int i = 0; i < 5; i++) {
        char wanted[16];
        commit(&b);
        snprintf(wanted, sizeof wanted, "| | %d", i);
        expect_not_null(strstr(heard(consumer), wanted));
        say(consumer, "1 basic.ack delivery_tag=%d", i + 1);
    }
    make_room();
    expect_not_null(strstr(heard(consumer), "| | held"));
    broker_close(&b);
}

TEST(under_an_alarm_closes_give_up_what_is_held)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "2 channel.open");
    commit(&b);
    heard(p);
    make_disk_low();
    say(p, "1 basic.publish routing_key=q | | one");
    say(p, "2 basic.publish routing_key=q | | two");
    say(p, "1 channel.close");
    expect_heard(p, "0 connection.blocked reason=low on disk\n1 channel.close_ok\n");
    say(p, "0 connection.close");
    expect_heard(p, "0 connection.close_ok\n");
    make_room();
    p = peer_connect(&b);
    say(p, "1 queue.declare queue=q passive");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
    broker_close(&b);
}

TEST(a_connection_that_breaks_while_it_is_blocked_leaves_nothing_behind)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    commit(&b);
    make_disk_low();
    for (int i = 0; i < 100; i++)
        say(p, "1 basic.publish routing_key=q | | %d", i);
    expect_heard(p, "0 connection.blocked reason=low on disk\n");
    peer_close(p);
    make_room();
    expect_false(core_holds_too_much(b.core));
    expect_int(sim_link_unfreed_count(p->link), 0);
    broker_close(&b);
}

TEST(a_blocked_connection_that_goes_on_publishing_is_not_read_any_more)
{
    struct peer *p = connected();
    char *body = xmalloc(100001);
    memset(body, 'x', 100000);
    body[100000] = '\0';
    say(p, "1 queue.declare queue=q durable nowait");
    commit(&b);
    make_disk_low();
    int taken = 0;
    struct text out = {0};
    char *line = xasprintf("1 basic.publish routing_key=q | | %s", body);
    put_line(&out, line, AMQP_FRAME_MAX_BYTES);
    while (taken < 100 && sim_link_feed(p->link, text_bytes(&out)))
        taken++;
    expect_true(taken > 5);
    expect_true(taken < 20);
    make_room();
    expect_true(sim_link_feed(p->link, text_bytes(&out)));
    commit(&b);
    say(p, "1 queue.declare queue=q passive");
    commit(&b);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "message_count=%d", taken + 1);
    expect_not_null(strstr(heard(p), wanted));
    text_reset(&out);
    free(line);
    free(body);
    broker_close(&b);
}

TEST(a_transaction_is_not_committed_before_there_is_room)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "1 tx.select");
    say(p, "1 basic.publish routing_key=q | | one");
    commit(&b);
    heard(p);
    make_disk_low();
    say(p, "1 tx.commit");
    look();
    expect_heard(p, "0 connection.blocked reason=low on disk\n");
    make_room();
    expect_not_null(strstr(heard(p), "1 tx.commit_ok\n"));
    broker_close(&b);
}

TEST(behind_the_disk_publishes_wait_for_a_moment_and_nobody_is_told)
{
    broker_open(&b);
    b.config.store.backlog_bytes = 100000;
    broker_crash(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q durable nowait");
    commit(&b);
    heard(p);
    for (int i = 0; i < 3; i++) { /* the first is on its way to the disk, the others are staged */
        say(p, "1 basic.publish routing_key=q | | %050000d", i);
        turn(&b);
    }
    expect_int(core_holds(b.core), HOLD_BEHIND);
    expect_int(sim_link_unfreed_count(p->link), 0);
    say(p, "1 basic.publish routing_key=q | | held");
    expect_int(sim_link_unfreed_count(p->link), 1);
    expect_heard(p, "");
    say(p, "1 channel.close"); /* comes behind them */
    expect_heard(p, "");
    for (int i = 0; i < 8; i++)
        commit(&b);
    expect_heard(p, "1 channel.close_ok\n");
    say(p, "1 channel.open");
    say(p, "1 queue.declare queue=q passive");
    commit(&b);
    expect_not_null(strstr(heard(p), "message_count=4"));
    broker_close(&b);
}

TEST(transient_messages_that_use_all_their_memory_block_publishers_until_they_are_consumed)
{
    broker_open(&b);
    b.config.store.memory_level_bytes = 1 << 20;
    broker_crash(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q nowait");
    commit(&b);
    heard(p);
    for (int i = 0; i < 25; i++) {
        say(p, "1 basic.publish routing_key=q | | %050000d", i);
        commit(&b);
    }
    expect_heard(p, "0 connection.blocked reason=low on memory\n");
    struct peer *consumer = peer_connect(&b);
    say(consumer, "1 basic.consume queue=q consumer_tag=c no_ack nowait");
    for (int i = 0; i < 8; i++)
        commit(&b);
    expect_heard(p, "0 connection.unblocked\n");
    expect_not_null(strstr(heard(consumer), "000024\n"));
    broker_close(&b);
}

TEST(a_process_over_its_watermark_blocks_publishers_until_it_is_below)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q nowait");
    heard(p);
    store_set_watermark(b.core->store, 1000, 1001);
    expect_int(core_holds(b.core), HOLD_MEMORY);
    say(p, "1 basic.publish routing_key=q | | one");
    expect_heard(p, "0 connection.blocked reason=low on memory\n");
    leave_free(RESERVE_BYTES / 2);
    look(); /* which finds out as well that a process needs more than 1,000 bytes */
    expect_int(core_holds(b.core), HOLD_MEMORY | HOLD_DISK);
    store_set_watermark(b.core->store, UINT64_MAX, 1001);
    make_room();
    expect_heard(p, "0 connection.unblocked\n");
    say(p, "1 basic.get queue=q no_ack");
    expect_not_null(strstr(heard(p), "| one\n"));
    broker_close(&b);
}

TEST(another_reserve_counts_at_once)
{
    struct peer *p = connected();
    leave_free(RESERVE_BYTES * 2);
    look();
    store_set_reserve(b.core->store, RESERVE_BYTES * 4);
    expect_int(core_holds(b.core) & HOLD_ALARMS,
               HOLD_DISK); /* a look is due: it may be behind as well */
    look();
    expect_int(core_holds(b.core), HOLD_DISK);
    expect_int(store_reserve_bytes(b.core->store), RESERVE_BYTES * 4);
    say(p, "1 basic.publish routing_key=q | | one");
    expect_heard(p, "0 connection.blocked reason=low on disk\n");
    store_set_reserve(b.core->store, RESERVE_BYTES);
    look();
    expect_heard(p, "0 connection.unblocked\n");
    broker_close(&b);
}

TEST(who_publishes_before_the_room_is_known_waits_and_is_told_when_it_is)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    commit(&b);
    make_disk_low();
    broker_crash(&b);
    p = peer_connect(&b);
    say(p, "1 basic.publish routing_key=q | | one");
    look();
    expect_heard(p, "0 connection.blocked reason=low on disk\n");
    make_room();
    expect_heard(p, "0 connection.unblocked\n");
    broker_close(&b);
}
