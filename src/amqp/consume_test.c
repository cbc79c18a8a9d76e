/* Consumers, windows, acks, returns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/test_peer.h"
#include "base/mem.h"

static struct test_broker b;

static struct peer *connected(void)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q");
    heard(p);
    return p;
}

static void publish(struct peer *p, int from, int to)
{
    for (int i = from; i <= to; i++)
        say(p, "1 basic.publish routing_key=q | | %d", i);
}

/* The value behind " name=" in a line. */
static struct bytes field(const char *line, const char *name)
{
    const char *at = strstr(line, name);

    expect_not_null(at);
    at += strlen(name);
    return bytes_of(at, strcspn(at, " "));
}

/* What was delivered, shortened to "consumer.tag:body" with ! for redelivered; others as they are. */
static const char *heard_short(struct peer *p)
{
    static struct text out;
    char *copy = xstrdup(heard(p)), *save;

    out.size = 0;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        bool is_deliver = strstr(line, " basic.deliver "), is_get = strstr(line, " basic.get_ok ");
        if (!is_deliver && !is_get) {
            text_printf(&out, "[%s] ", line);
            continue;
        }
        struct bytes consumer = is_get ? BYTES_LITERAL("get") : field(line, " consumer_tag=");
        text_printf(&out, "%.*s.%.*s:%s%s ", BYTES_FORMAT(consumer),
                    BYTES_FORMAT(field(line, " delivery_tag=")), strrchr(line, '|') + 2,
                    bytes_equal_string(field(line, " redelivered="), "true") ? "!" : "");
    }
    free(copy);
    text_put_u8(&out, 0);
    return text_string(&out);
}

#define expect_short(peer, wanted) expect_string(heard_short(peer), wanted)

TEST(a_consumer_without_limit_gets_everything_in_order)
{
    struct peer *p = connected();
    publish(p, 1, 3);
    say(p, "1 basic.consume queue=q consumer_tag=c");
    expect_short(p, "[1 basic.consume_ok consumer_tag=c] c.1:1 c.2:2 c.3:3 ");
    publish(p, 4, 5);
    expect_short(p, "c.4:4 c.5:5 ");
    broker_close(&b);
}

TEST(a_prefetch_window_is_of_each_consumer_and_moves_with_its_acks)
{
    struct peer *p = connected();
    say(p, "1 basic.qos prefetch_count=2");
    say(p, "1 basic.consume queue=q consumer_tag=a nowait");
    say(p, "1 basic.qos prefetch_count=1");
    say(p, "1 basic.consume queue=q consumer_tag=b nowait");
    publish(p, 1, 6);
    expect_short(p, "[1 basic.qos_ok] [1 basic.qos_ok] a.1:1 b.2:2 a.3:3 ");
    say(p, "1 basic.ack delivery_tag=2");
    expect_short(p, "b.4:4 ");
    say(p, "1 basic.ack delivery_tag=3 multiple");
    expect_short(p, "a.5:5 a.6:6 ");
    say(p, "1 basic.ack multiple");
    say(p, "1 queue.delete queue=q if_empty");
    expect_short(p, "[1 queue.delete_ok message_count=0] "
                    "[1 basic.cancel consumer_tag=a nowait=true] "
                    "[1 basic.cancel consumer_tag=b nowait=true] ");
    broker_close(&b);
}

TEST(a_channel_window_is_shared_and_can_be_changed)
{
    struct peer *p = connected();
    say(p, "1 basic.qos prefetch_count=3 global");
    say(p, "1 basic.consume queue=q consumer_tag=a nowait");
    say(p, "1 basic.consume queue=q consumer_tag=b nowait");
    publish(p, 1, 9);
    expect_short(p, "[1 basic.qos_ok] a.1:1 b.2:2 a.3:3 ");
    say(p, "1 basic.ack delivery_tag=1");
    expect_short(p, "b.4:4 ");
    say(p, "1 basic.qos prefetch_count=5 global");
    expect_short(p, "[1 basic.qos_ok] a.5:5 b.6:6 ");
    say(p, "1 basic.qos prefetch_count=1 global");
    say(p, "1 basic.ack delivery_tag=5 multiple");
    expect_short(p, "[1 basic.qos_ok] ");
    say(p, "1 basic.ack delivery_tag=6");
    expect_short(p, "a.7:7 ");
    say(p, "1 basic.qos prefetch_count=0 global");
    expect_short(p, "[1 basic.qos_ok] b.8:8 a.9:9 ");
    broker_close(&b);
}

TEST(auto_ack_ignores_windows_and_settles)
{
    struct peer *p = connected();
    say(p, "1 basic.qos prefetch_count=1");
    say(p, "1 basic.consume queue=q consumer_tag=c no_ack nowait");
    publish(p, 1, 3);
    expect_short(p, "[1 basic.qos_ok] c.1:1 c.2:2 c.3:3 ");
    say(p, "1 basic.ack delivery_tag=1");
    expect_short(p, "[1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - unknown "
                    "delivery tag 1 failing_class_id=60 failing_method_id=80] ");
    say(p, "1 channel.close_ok");
    say(p, "1 channel.open");
    say(p, "1 basic.get queue=q");
    expect_short(p, "[1 channel.open_ok] [1 basic.get_empty] ");
    broker_close(&b);
}

TEST(nack_and_reject_requeue_to_the_old_place_or_drop)
{
    struct peer *p = connected();
    publish(p, 1, 5);
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    expect_short(p, "c.1:1 c.2:2 c.3:3 c.4:4 c.5:5 ");
    say(p, "1 basic.cancel consumer_tag=c");
    say(p, "1 basic.nack delivery_tag=3 multiple requeue");
    say(p, "1 basic.reject delivery_tag=4");
    say(p, "1 basic.reject delivery_tag=5 requeue");
    say(p, "1 basic.consume queue=q consumer_tag=d nowait");
    expect_short(p, "[1 basic.cancel_ok consumer_tag=c] d.6:1! d.7:2! d.8:3! d.9:5! ");
    say(p, "1 basic.nack delivery_tag=7");
    say(p, "1 basic.nack delivery_tag=9 multiple requeue");
    expect_short(p, "d.10:1! d.11:3! d.12:5! ");
    broker_close(&b);
}

TEST(unknown_tags_close_the_channel)
{
    static const char *const lines[] = {
        "1 basic.ack delivery_tag=2",    "1 basic.ack delivery_tag=2 multiple",
        "1 basic.ack delivery_tag=0",    "1 basic.nack delivery_tag=9 requeue",
        "1 basic.reject delivery_tag=9",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct peer *p = connected();
        publish(p, 1, 1);
        say(p, "1 basic.get queue=q");
        say(p, "%s", lines[i]);
        const char *text = heard(p);
        expect_not_null(strstr(text,
                               "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED "
                               "- unknown delivery tag "));
        broker_close(&b);
    }
    struct peer *p = connected();
    say(p, "1 basic.ack multiple"); /* all of nothing */
    expect_heard(p, "");
    publish(p, 1, 1);
    say(p, "1 basic.get queue=q");
    say(p, "1 basic.ack delivery_tag=1");
    say(p, "1 basic.ack delivery_tag=1");
    expect_not_null(strstr(heard(p), "unknown delivery tag 1 "));
    broker_close(&b);
}

TEST(closing_gives_back_before_it_is_answered)
{
    struct peer *p = connected(), *other = peer_connect(&b);
    publish(p, 1, 2);
    say(p, "2 channel.open");
    say(p, "2 basic.consume queue=q consumer_tag=c nowait");
    expect_short(p, "[2 channel.open_ok] c.1:1 c.2:2 ");
    say(p, "2 channel.close");
    say(other, "1 basic.get queue=q");
    expect_short(p, "[2 channel.close_ok] ");
    expect_short(other, "get.1:1! ");
    say(other, "0 connection.close");
    say(p, "1 basic.get queue=q");
    expect_short(p, "get.1:1! ");
    peer_close(p);
    p = peer_connect(&b);
    say(p, "1 basic.consume queue=q consumer_tag=d nowait");
    expect_short(p, "d.1:1! d.2:2! ");
    broker_close(&b);
}

TEST(recover_gives_everything_again)
{
    struct peer *p = connected();
    publish(p, 1, 3);
    say(p, "1 basic.qos prefetch_count=2");
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    say(p, "1 basic.recover requeue");
    expect_short(p, "[1 basic.qos_ok] [1 basic.recover_ok] c.1:1 c.2:2 ");
    say(p, "1 basic.recover requeue");
    expect_short(p, "[1 basic.recover_ok] c.3:1! c.4:2! ");
    say(p, "1 basic.recover_async requeue");
    expect_short(p, "c.5:1! c.6:2! ");
    say(p, "1 basic.recover");
    expect_short(p, "[0 connection.close reply_code=540 reply_text=NOT_IMPLEMENTED - requeue=false "
                    "failing_class_id=60 failing_method_id=110] ");
    broker_close(&b);
}

TEST(cancelled_consumers_keep_what_they_hold)
{
    struct peer *p = connected();
    publish(p, 1, 2);
    say(p, "1 basic.consume queue=q consumer_tag=c");
    expect_short(p, "[1 basic.consume_ok consumer_tag=c] c.1:1 c.2:2 ");
    say(p, "1 basic.cancel consumer_tag=c");
    say(p, "1 basic.cancel consumer_tag=never");
    say(p, "1 basic.cancel consumer_tag=c nowait");
    say(p, "1 basic.get queue=q");
    expect_short(p, "[1 basic.cancel_ok consumer_tag=c] [1 basic.cancel_ok consumer_tag=never] "
                    "[1 basic.get_empty] ");
    say(p, "1 basic.ack delivery_tag=2 multiple");
    say(p, "1 queue.delete queue=q if_unused if_empty");
    expect_short(p, "[1 queue.delete_ok message_count=0] ");
    broker_close(&b);
}

TEST(a_deleted_queue_cancels_its_consumers_and_its_tags_stay_good)
{
    struct peer *p = connected(), *other = peer_connect(&b);
    publish(p, 1, 2);
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    expect_short(p, "c.1:1 c.2:2 ");
    say(other, "1 queue.delete queue=q");
    expect_heard(other, "1 queue.delete_ok message_count=0\n");
    expect_short(p, "[1 basic.cancel consumer_tag=c nowait=true] ");
    say(p, "1 basic.ack delivery_tag=1");
    say(p, "1 basic.nack delivery_tag=2 requeue");
    say(p, "1 basic.qos prefetch_count=1");
    expect_short(p, "[1 basic.qos_ok] ");
    broker_close(&b);
}

/* A client may end with its consumer: then it has its answer already (RabbitMQ's order). */
TEST(who_deletes_a_queue_is_answered_before_its_consumer_is_cancelled)
{
    struct peer *p = connected();
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    say(p, "1 queue.delete queue=q");
    expect_short(
        p, "[1 queue.delete_ok message_count=0] [1 basic.cancel consumer_tag=c nowait=true] ");
    say(p, "1 queue.declare queue=passing exclusive");
    say(p, "1 basic.consume queue=passing consumer_tag=d nowait");
    say(p, "1 queue.delete queue=passing");
    expect_short(
        p, "[1 queue.declare_ok queue=passing message_count=0 consumer_count=0] "
           "[1 queue.delete_ok message_count=0] [1 basic.cancel consumer_tag=d nowait=true] ");
    broker_close(&b);
}

TEST(a_connection_may_go_before_its_consumers_are_told_that_their_queue_is_gone)
{
    struct peer *p = connected();
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    say(p, "1 queue.delete queue=q nowait");
    say(p, "1 basic.cancel consumer_tag=c");
    expect_short(p, "[1 basic.cancel_ok consumer_tag=c] ");
    say(p, "1 queue.declare queue=q durable");
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    say(p, "1 queue.delete queue=q nowait");
    say(p, "0 connection.close reply_code=200");
    broker_close(&b);
}

TEST(exclusive_consumers_are_alone)
{
    struct peer *p = connected();
    say(p, "1 basic.consume queue=q consumer_tag=a exclusive");
    say(p, "2 channel.open");
    say(p, "2 basic.consume queue=q consumer_tag=b");
    expect_short(p,
                 "[1 basic.consume_ok consumer_tag=a] [2 channel.open_ok] [2 channel.close "
                 "reply_code=403 reply_text=ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive "
                 "use failing_class_id=60 failing_method_id=20] ");
    say(p, "2 channel.close_ok");
    say(p, "1 basic.cancel consumer_tag=a nowait");
    say(p, "1 basic.consume queue=q consumer_tag=b");
    say(p, "2 channel.open");
    say(p, "2 basic.consume queue=q exclusive");
    expect_short(p,
                 "[1 basic.consume_ok consumer_tag=b] [2 channel.open_ok] [2 channel.close "
                 "reply_code=403 reply_text=ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive "
                 "use failing_class_id=60 failing_method_id=20] ");
    broker_close(&b);
}

TEST(consumer_tags_are_made_and_not_reused)
{
    struct peer *p = connected();
    say(p, "1 basic.consume queue=q");
    const char *text = heard(p);
    expect_true(strncmp(text, "1 basic.consume_ok consumer_tag=amq.ctag-", 41) == 0);
    expect_int(strcspn(text + 41, "\n"), 22);
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    say(p, "1 basic.consume queue=q consumer_tag=c");
    expect_short(p, "[0 connection.close reply_code=530 reply_text=NOT_ALLOWED - attempt to reuse "
                    "consumer tag 'c' failing_class_id=60 failing_method_id=20] ");
    broker_close(&b);
}

TEST(what_a_consumer_may_not_ask_is_refused)
{
    static const char *const cases[][2] = {
        {"1 basic.consume queue=q arguments=x-credit:I:1",
         "reply_code=540 reply_text=NOT_IMPLEMENTED - argument 'x-credit' is not built yet, for "
         "a "
         "consumer of queue 'q' in vhost '/'"},
        {"1 basic.consume queue=q arguments=x-priority:S:high",
         "reply_code=406 reply_text=PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' "
         "in vhost '/': \"expected integer, got longstr\""},
        {"1 basic.consume queue=nope", "reply_code=404 reply_text=NOT_FOUND - no queue 'nope'"},
        {"1 basic.qos prefetch_size=1",
         "reply_code=540 reply_text=NOT_IMPLEMENTED - prefetch_size!=0 (1)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer *p = connected();
        say(p, "%s", cases[i][0]);
        expect_not_null(strstr(heard(p), cases[i][1]));
        broker_close(&b);
    }
}

TEST(a_slow_reader_is_given_no_more_than_it_can_hold)
{
    struct peer *p = connected();
    char *body = xmalloc(60001);
    memset(body, 'x', 60000);
    body[60000] = '\0';
    say(p, "1 basic.consume queue=q consumer_tag=c no_ack nowait");
    heard(p);
    sim_link_block(p->link, true);
    for (int i = 0; i < 100; i++) {
        say(p, "1 basic.publish routing_key=q | | %s", body);
        turn(&b);
    }
    size_t pending = link_pending_bytes(sim_link_link(p->link));
    expect_true(pending >= 1 << 20);
    expect_true(pending < (1 << 20) + 70000);
    struct queue *q = queue_find(vhost_find(b.core, BYTES_LITERAL("/")), BYTES_LITERAL("q"));
    expect_true(queue_ready_count(q) > 70);
    sim_link_block(p->link, false);
    for (int i = 0; i < 20; i++)
        turn(&b);
    expect_int(queue_ready_count(q), 0);
    const char *text = heard(p);
    int count = 0;
    for (const char *at = text; (at = strstr(at, "basic.deliver")) != NULL; at++)
        count++;
    expect_int(count, 100);
    free(body);
    broker_close(&b);
}

static struct queue *queue_q(void)
{
    return queue_find(vhost_find(b.core, BYTES_LITERAL("/")), BYTES_LITERAL("q"));
}

TEST(an_auto_ack_delivery_is_done_when_the_socket_took_it_and_comes_back_when_it_never_did)
{
    struct peer *p = connected();
    say(p, "1 basic.consume queue=q consumer_tag=c no_ack nowait");
    publish(p, 1, 20);
    heard(p);
    turn(&b);
    expect_int(queue_unacked_count(queue_q()), 0);
    sim_link_block(p->link, true);
    publish(p, 21, 40);
    turn(&b);
    turn(&b);
    expect_int(queue_ready_count(queue_q()), 0);
    expect_int(queue_unacked_count(queue_q()), 20);
    sim_link_block(p->link, false);
    turn(&b);
    turn(&b);
    expect_int(queue_unacked_count(queue_q()), 0);
    sim_link_block(p->link, true);
    publish(p, 41, 42);
    turn(&b);
    turn(&b);
    sim_link_break(p->link);
    p = peer_connect(&b);
    expect_int(queue_unacked_count(queue_q()), 0);
    say(p, "1 basic.consume queue=q consumer_tag=d no_ack nowait");
    expect_short(p, "d.1:41! d.2:42! ");
    broker_close(&b);
}

TEST(what_get_gave_to_a_socket_that_never_took_it_comes_back)
{
    struct peer *p = connected();
    publish(p, 1, 2);
    turn(&b);
    sim_link_block(p->link, true);
    say(p, "1 basic.get queue=q no_ack");
    turn(&b);
    turn(&b);
    expect_int(queue_ready_count(queue_q()), 1);
    expect_int(queue_unacked_count(queue_q()), 1);
    sim_link_break(p->link);
    expect_int(queue_ready_count(queue_q()), 2);
    p = peer_connect(&b);
    say(p, "1 basic.get queue=q no_ack");
    expect_short(p, "get.1:1! ");
    turn(&b);
    expect_int(queue_unacked_count(queue_q()), 0);
    broker_close(&b);
}

TEST(what_is_on_its_way_outlives_the_consumer_the_channel_and_the_queue)
{
    struct peer *p = connected();
    publish(p, 1, 3);
    sim_link_block(p->link, true);
    say(p, "1 basic.consume queue=q consumer_tag=c no_ack nowait");
    turn(&b);
    turn(&b);
    say(p, "1 basic.cancel consumer_tag=c nowait");
    say(p, "1 channel.close");
    turn(&b);
    expect_int(queue_unacked_count(queue_q()), 3);
    struct peer *other = peer_connect(&b);
    say(other, "1 queue.delete queue=q nowait");
    turn(&b);
    sim_link_block(p->link, false);
    expect_not_null(strstr(heard(p), "channel.close_ok"));
    turn(&b);
    broker_close(&b);
}

TEST(settled_messages_do_not_come_back_after_a_crash_and_unsettled_ones_do)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=d durable");
    for (int i = 1; i <= 4; i++)
        say(p, "1 basic.publish routing_key=d | delivery_mode=2 | %d", i);
    say(p, "1 basic.consume queue=d consumer_tag=c nowait");
    commit(&b);
    say(p, "1 basic.ack delivery_tag=1");
    say(p, "1 basic.ack delivery_tag=3");
    commit(&b);
    broker_crash(&b);
    p = peer_connect(&b);
    say(p, "1 basic.consume queue=d consumer_tag=c nowait");
    commit(&b);
    expect_short(p, "c.1:2! c.2:4! ");
    broker_close(&b);
}
