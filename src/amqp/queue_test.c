/* Class queue and class exchange: declares, equivalence, bindings, purge, delete. */
#include <stdio.h>
#include <string.h>

#include "amqp/test_peer.h"

static struct test_broker b;

static struct peer *connected(void)
{
    broker_open(&b);
    return peer_connect(&b);
}

/* Each line closes channel 1 with this; it is opened again. */
static void expect_refused(struct peer *p, const char *line, const char *close)
{
    char wanted[512];

    say(p, "%s", line);
    commit(&b);
    snprintf(wanted, sizeof wanted, "1 channel.close %s\n", close);
    expect_heard(p, wanted);
    say(p, "1 channel.close_ok");
    say(p, "1 channel.open");
    expect_heard(p, "1 channel.open_ok\n");
}

static void expect_answer(struct peer *p, const char *line, const char *answer)
{
    char wanted[512];

    say(p, "%s", line);
    commit(&b);
    snprintf(wanted, sizeof wanted, "%s\n", answer);
    expect_heard(p, *answer ? wanted : "");
}

TEST(a_declare_is_answered_when_it_is_durable)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable");
    expect_heard(p, "");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
    broker_crash(&b);
    p = peer_connect(&b);
    expect_answer(p, "1 queue.declare queue=q passive",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    broker_close(&b);
}

TEST(a_channel_waits_for_its_declare_and_others_go_on)
{
    struct peer *p = connected();
    say(p, "2 channel.open");
    expect_heard(p, "2 channel.open_ok\n");
    say(p, "1 queue.declare queue=q durable");
    say(p, "1 basic.qos prefetch_count=1");
    say(p, "2 basic.qos prefetch_count=1");
    expect_heard(p, "2 basic.qos_ok\n");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n"
                    "1 basic.qos_ok\n");
    expect_int(sim_link_unfreed_count(p->link), 0);
    broker_close(&b);
}

TEST(declare_bind_and_publish_without_waiting_arrive)
{
    struct peer *p = connected();
    say(p, "1 exchange.declare exchange=x type=direct durable nowait");
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "1 queue.bind queue=q exchange=x routing_key=k nowait");
    say(p, "1 basic.publish exchange=x routing_key=k | | a");
    say(p, "1 basic.get queue=q");
    commit(&b);
    expect_heard(p, "1 basic.get_ok delivery_tag=1 redelivered=false exchange=x routing_key=k "
                    "message_count=0 | | a\n");
    broker_close(&b);
}

TEST(counts_wait_for_what_was_published_before)
{
    struct peer *p = connected();
    expect_answer(p, "1 queue.declare queue=q durable",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    for (int i = 0; i < 3; i++)
        say(p, "1 basic.publish routing_key=q | | %d", i);
    expect_answer(p, "1 queue.declare queue=q passive",
                  "1 queue.declare_ok queue=q message_count=3 consumer_count=0");
    say(p, "1 basic.publish routing_key=q | | 3");
    expect_answer(p, "1 queue.purge queue=q", "1 queue.purge_ok message_count=4");
    expect_answer(p, "1 basic.get queue=q", "1 basic.get_empty");
    say(p, "1 basic.publish routing_key=q | | 4");
    expect_refused(p, "1 queue.delete queue=q if_empty",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - queue 'q' in vhost '/' not "
                   "empty failing_class_id=50 failing_method_id=40");
    say(p, "1 basic.publish routing_key=q | | 5");
    expect_answer(p, "1 queue.delete queue=q", "1 queue.delete_ok message_count=2");
    broker_close(&b);
}

TEST(a_purge_leaves_unacked_messages_and_survives_a_crash)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | held");
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | purged");
    say(p, "1 basic.get queue=q");
    commit(&b);
    heard(p);
    expect_answer(p, "1 queue.purge queue=q", "1 queue.purge_ok message_count=1");
    broker_crash(&b);
    p = peer_connect(&b);
    say(p, "1 basic.get queue=q");
    say(p, "1 basic.get queue=q");
    commit(&b);
    expect_heard(p, "1 basic.get_ok delivery_tag=1 redelivered=true exchange= routing_key=q "
                    "message_count=0 | delivery_mode=2 | held\n"
                    "1 basic.get_empty\n");
    broker_close(&b);
}

TEST(a_redeclare_must_say_the_same)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait");
    expect_answer(p, "1 queue.declare queue=q durable arguments=x-queue-type:S:classic",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    expect_refused(p, "1 queue.declare queue=q",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg 'durable' for "
                   "queue 'q' in vhost '/': received 'false' but current is 'true' "
                   "failing_class_id=50 failing_method_id=10");
    expect_refused(p, "1 queue.declare queue=q durable auto_delete",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg 'auto_delete' "
                   "for queue 'q' in vhost '/': received 'true' but current is 'false' "
                   "failing_class_id=50 failing_method_id=10");
    expect_refused(
        p, "1 queue.declare queue=q durable arguments=x-max-length:I:2",
        "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg 'x-max-length' "
        "for queue 'q' in vhost '/': received the value '2' of type 'signedint' but "
        "current is none failing_class_id=50 failing_method_id=10");
    say(p, "1 queue.declare queue=m arguments=x-queue-mode:S:lazy,x-queue-version:l:2 nowait");
    expect_answer(p, "1 queue.declare queue=m arguments=x-queue-version:b:2,x-queue-mode:S:lazy",
                  "1 queue.declare_ok queue=m message_count=0 consumer_count=0");
    expect_refused(p, "1 queue.declare queue=m arguments=x-queue-mode:S:lazy",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg "
                   "'x-queue-version' for queue 'm' in vhost '/': received none but current is the "
                   "value '2' of type 'long' failing_class_id=50 failing_method_id=10");
    expect_refused(
        p, "1 queue.declare queue=m arguments=x-queue-mode:S:eager,x-queue-version:I:2",
        "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg 'x-queue-mode' "
        "for queue 'm' in vhost '/': received 'eager' but current is 'lazy' "
        "failing_class_id=50 failing_method_id=10");
    broker_close(&b);
}

TEST(arguments_that_are_not_built_are_refused_by_name)
{
    static const char *const arguments[] = {
        "x-max-age:S:1D",
        "x-source-topic:S:t",
    };
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        char wanted[300];
        struct peer *p = connected();
        say(p, "1 queue.declare queue=q arguments=%s", arguments[i]);
        snprintf(
            wanted, sizeof wanted,
            "0 connection.close reply_code=540 reply_text=NOT_IMPLEMENTED - argument '%.*s' is "
            "not built yet, for queue 'q' in vhost '/' failing_class_id=50 "
            "failing_method_id=10\n",
            (int)(strchr(arguments[i], ':') - arguments[i]), arguments[i]);
        expect_heard(p, wanted);
        broker_close(&b);
    }
    struct peer *p;
    p = connected();
    expect_refused(p, "1 queue.declare queue=q arguments=x-queue-type:I:3",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - invalid arg 'x-queue-type' for "
                   "queue 'q' in vhost '/': {unacceptable_type,signedint} failing_class_id=50 "
                   "failing_method_id=10");
    expect_answer(p, "1 queue.declare queue=q arguments=x-mine:I:3",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    broker_close(&b);
}

TEST(queue_types_are_known_or_refused)
{
    struct peer *p = connected();
    expect_refused(p, "1 queue.declare queue=q arguments=x-queue-type:S:nonsense",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - invalid arg 'x-queue-type' for "
                   "queue 'q' in vhost '/': \"unsupported queue type 'nonsense'\" "
                   "failing_class_id=50 failing_method_id=10");
    say(p, "1 queue.declare queue=q arguments=x-queue-type:S:classic nowait");
    expect_refused(
        p, "1 queue.declare queue=q arguments=x-queue-type:S:quorum",
        "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg 'x-queue-type' "
        "for queue 'q' in vhost '/': received 'quorum' but current is 'classic' "
        "failing_class_id=50 failing_method_id=10");
    say(p, "1 queue.declare queue=q arguments=x-queue-type:S:classic passive");
    say(p, "1 queue.declare queue=r arguments=x-queue-type:S:stream");
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n"
                    "0 connection.close reply_code=540 reply_text=NOT_IMPLEMENTED - x-queue-type "
                    "'stream' is not built yet, for queue 'r' in vhost '/' failing_class_id=50 "
                    "failing_method_id=10\n");
    broker_close(&b);
}

TEST(values_of_one_class_are_compared_across_their_widths)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q arguments=x-queue-version:d:2.5 nowait");
    expect_answer(p, "1 queue.declare queue=q arguments=x-queue-version:f:2.5",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    expect_refused(p, "1 queue.declare queue=q arguments=x-queue-version:t:1",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg "
                   "'x-queue-version' for queue 'q' in vhost '/': received 'true' but current is "
                   "'2.5' failing_class_id=50 failing_method_id=10");
    broker_close(&b);
}

TEST(names_follow_the_rules)
{
    struct peer *p = connected();
    expect_refused(p, "1 queue.declare queue=amq.mine",
                   "reply_code=403 reply_text=ACCESS_REFUSED - queue name 'amq.mine' contains "
                   "reserved prefix 'amq.*' failing_class_id=50 failing_method_id=10");
    expect_refused(p, "1 queue.declare queue=q passive",
                   "reply_code=404 reply_text=NOT_FOUND - no queue 'q' in vhost '/' "
                   "failing_class_id=50 failing_method_id=10");
    expect_refused(p, "1 basic.get",
                   "reply_code=404 reply_text=NOT_FOUND - no previously declared queue "
                   "failing_class_id=60 failing_method_id=70");
    expect_answer(p, "1 queue.declare queue=a\rb\n",
                  "1 queue.declare_ok queue=ab message_count=0 consumer_count=0");
    say(p, "1 queue.declare");
    const char *text = heard(p);
    expect_true(strncmp(text, "1 queue.declare_ok queue=amq.gen-", 33) == 0);
    expect_int(strcspn(text + 33, " "), 22);
    say(p, "1 basic.get"); /* the one declared last */
    expect_heard(p, "1 basic.get_empty\n");
    broker_close(&b);
}

TEST(exclusive_queues_belong_to_their_connection_and_end_with_it)
{
    struct peer *p = connected();
    struct peer *other = peer_connect(&b);
    expect_answer(p, "1 queue.declare queue=q exclusive durable",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    expect_answer(p, "1 queue.declare queue=q exclusive",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    static const char *const lines[] = {
        "1 queue.declare queue=q exclusive",
        "1 queue.declare queue=q passive",
        "1 queue.declare queue=q",
        "1 basic.get queue=q",
        "1 basic.consume queue=q",
        "1 queue.purge queue=q",
        "1 queue.delete queue=q",
        "1 queue.bind queue=q exchange=amq.direct",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        say(other, "%s", lines[i]);
        const char *text = heard(other);
        expect_not_null(strstr(
            text, "1 channel.close reply_code=405 reply_text=RESOURCE_LOCKED - cannot obtain "
                  "exclusive access to locked queue 'q' in vhost '/'. It could be originally "
                  "declared on another connection or the exclusive property value does not "
                  "match that of the original declaration. "));
        say(other, "1 channel.close_ok");
        say(other, "1 channel.open");
        heard(other);
    }
    say(p, "1 queue.declare queue=q");
    expect_not_null(strstr(heard(p), "reply_code=405"));
    say(p, "0 connection.close");
    say(other, "1 queue.declare queue=q exclusive"); /* in the same turn */
    expect_heard(p, "0 connection.close_ok\n");
    expect_heard(other, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
    peer_close(other);
    p = peer_connect(&b);
    expect_refused(p, "1 queue.declare queue=q passive",
                   "reply_code=404 reply_text=NOT_FOUND - no queue 'q' in vhost '/' "
                   "failing_class_id=50 failing_method_id=10");
    broker_close(&b);
}

TEST(auto_delete_queues_go_with_their_last_consumer)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q auto_delete");
    say(p, "1 basic.consume queue=q consumer_tag=a");
    say(p, "1 basic.consume queue=q consumer_tag=b");
    heard(p);
    expect_answer(p, "1 basic.cancel consumer_tag=a", "1 basic.cancel_ok consumer_tag=a");
    expect_answer(p, "1 queue.declare queue=q passive",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=1");
    expect_answer(p, "1 basic.cancel consumer_tag=b", "1 basic.cancel_ok consumer_tag=b");
    expect_refused(p, "1 queue.declare queue=q passive",
                   "reply_code=404 reply_text=NOT_FOUND - no queue 'q' in vhost '/' "
                   "failing_class_id=50 failing_method_id=10");
    broker_close(&b);
}

TEST(deleting_follows_the_rules)
{
    struct peer *p = connected();
    expect_answer(p, "1 queue.delete queue=never", "1 queue.delete_ok message_count=0");
    say(p, "1 queue.declare queue=q nowait");
    say(p, "1 basic.consume queue=q consumer_tag=c nowait");
    expect_refused(p, "1 queue.delete queue=q if_unused",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - queue 'q' in vhost '/' in use "
                   "failing_class_id=50 failing_method_id=40");
    expect_answer(p, "1 queue.delete queue=q if_unused if_empty",
                  "1 queue.delete_ok message_count=0");
    expect_refused(p, "1 queue.purge queue=q",
                   "reply_code=404 reply_text=NOT_FOUND - no queue 'q' in vhost '/' "
                   "failing_class_id=50 failing_method_id=30");
    expect_answer(p, "1 queue.delete queue=q nowait", "");
    broker_close(&b);
}

/* ---- exchanges and bindings ---- */

TEST(what_has_very_many_bindings_is_deleted_before_it_is_answered)
{
    struct peer *p = connected();
    char line[96];
    expect_answer(p, "1 queue.declare queue=q",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    expect_answer(p, "1 exchange.declare exchange=x type=direct", "1 exchange.declare_ok");
    for (int i = 0; i < 1200; i++) {
        snprintf(line, sizeof line, "1 queue.bind queue=q exchange=%s routing_key=k%d nowait",
                 i % 2 ? "x" : "amq.direct", i);
        say(p, "%s", line);
    }
    expect_answer(p, "1 queue.delete queue=q", "1 queue.delete_ok message_count=0");
    expect_answer(p, "1 queue.declare queue=q",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    for (int i = 0; i < 1200; i++) {
        snprintf(line, sizeof line, "1 queue.bind queue=q exchange=x routing_key=k%d nowait", i);
        say(p, "%s", line);
    }
    expect_answer(p, "1 exchange.delete exchange=x", "1 exchange.delete_ok");
    expect_refused(p, "1 exchange.declare exchange=x passive",
                   "reply_code=404 reply_text=NOT_FOUND - no exchange 'x' in vhost '/' "
                   "failing_class_id=40 failing_method_id=10");
    broker_close(&b);
}

TEST(exchanges_are_declared_checked_and_deleted)
{
    struct peer *p = connected();
    expect_answer(p, "1 exchange.declare exchange=x type=direct durable", "1 exchange.declare_ok");
    expect_answer(p, "1 exchange.declare exchange=x type=direct durable", "1 exchange.declare_ok");
    expect_answer(p, "1 exchange.declare exchange=x passive", "1 exchange.declare_ok");
    expect_answer(p, "1 exchange.declare exchange=amq.direct type=direct durable",
                  "1 exchange.declare_ok");
    expect_refused(p, "1 exchange.declare exchange=x type=direct",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg 'durable' for "
                   "exchange 'x' in vhost '/': received 'false' but current is 'true' "
                   "failing_class_id=40 failing_method_id=10");
    expect_refused(
        p, "1 exchange.declare exchange=x type=direct durable internal",
        "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg 'internal' for "
        "exchange 'x' in vhost '/': received 'true' but current is 'false' "
        "failing_class_id=40 failing_method_id=10");
    expect_refused(p,
                   "1 exchange.declare exchange=x type=direct durable "
                   "arguments=alternate-exchange:S:y",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg "
                   "'alternate-exchange' for exchange 'x' in vhost '/': received the value 'y' of "
                   "type 'longstr' but current is none failing_class_id=40 failing_method_id=10");
    expect_refused(p, "1 exchange.declare exchange=y type=nonsense",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - unknown exchange type "
                   "'nonsense' failing_class_id=40 failing_method_id=10");
    expect_refused(p, "1 exchange.declare exchange=y passive",
                   "reply_code=404 reply_text=NOT_FOUND - no exchange 'y' in vhost '/' "
                   "failing_class_id=40 failing_method_id=10");
    expect_refused(p, "1 exchange.declare exchange=amq.y type=direct",
                   "reply_code=403 reply_text=ACCESS_REFUSED - exchange name 'amq.y' contains "
                   "reserved prefix 'amq.*' failing_class_id=40 failing_method_id=10");
    expect_refused(p, "1 exchange.declare type=direct",
                   "reply_code=403 reply_text=ACCESS_REFUSED - operation not permitted on the "
                   "default exchange failing_class_id=40 failing_method_id=10");
    expect_refused(
        p, "1 exchange.delete exchange=amq.direct",
        "reply_code=403 reply_text=ACCESS_REFUSED - deletion of system exchange "
        "'amq.direct' in vhost '/' not allowed failing_class_id=40 failing_method_id=20");
    expect_refused(p, "1 exchange.delete",
                   "reply_code=403 reply_text=ACCESS_REFUSED - operation not permitted on the "
                   "default exchange failing_class_id=40 failing_method_id=20");
    say(p, "1 queue.declare queue=q nowait");
    expect_answer(p, "1 queue.bind queue=q exchange=x", "1 queue.bind_ok");
    expect_refused(p, "1 exchange.delete exchange=x if_unused",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - exchange 'x' in vhost '/' in "
                   "use failing_class_id=40 failing_method_id=20");
    expect_answer(p, "1 exchange.delete exchange=x", "1 exchange.delete_ok");
    expect_answer(p, "1 exchange.delete exchange=x", "1 exchange.delete_ok");
    expect_answer(p, "1 exchange.delete exchange=x nowait", "");
    expect_answer(p, "1 exchange.declare exchange=y type=direct arguments=alternate-exchange:S:z",
                  "1 exchange.declare_ok");
    broker_close(&b);
}

TEST(bindings_route_each_message_once_to_each_queue)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q nowait");
    say(p, "1 queue.declare queue=r nowait");
    expect_answer(p, "1 queue.bind queue=q exchange=amq.direct routing_key=k", "1 queue.bind_ok");
    expect_answer(p, "1 queue.bind queue=q exchange=amq.direct routing_key=k", "1 queue.bind_ok");
    expect_answer(p, "1 queue.bind queue=q exchange=amq.direct routing_key=k arguments=a:I:1",
                  "1 queue.bind_ok");
    expect_answer(p, "1 queue.bind exchange=amq.direct", "1 queue.bind_ok"); /* r, by its name */
    say(p, "1 basic.publish exchange=amq.direct routing_key=k | | one");
    say(p, "1 basic.publish exchange=amq.direct routing_key=r | | two");
    say(p, "1 basic.publish exchange=amq.direct routing_key=q | | nowhere");
    expect_answer(p, "1 basic.get queue=q no_ack",
                  "1 basic.get_ok delivery_tag=1 redelivered=false exchange=amq.direct "
                  "routing_key=k message_count=0 | | one");
    expect_answer(p, "1 basic.get queue=r no_ack",
                  "1 basic.get_ok delivery_tag=2 redelivered=false exchange=amq.direct "
                  "routing_key=r message_count=0 | | two");
    expect_answer(p, "1 queue.unbind queue=q exchange=amq.direct routing_key=k",
                  "1 queue.unbind_ok");
    expect_answer(p, "1 queue.unbind queue=q exchange=amq.direct routing_key=k arguments=a:I:1",
                  "1 queue.unbind_ok");
    expect_answer(p, "1 queue.unbind queue=q exchange=amq.direct routing_key=never",
                  "1 queue.unbind_ok");
    say(p, "1 basic.publish exchange=amq.direct routing_key=k | | gone");
    expect_answer(p, "1 basic.get queue=q", "1 basic.get_empty");
    expect_refused(p, "1 queue.bind queue=q exchange=nope",
                   "reply_code=404 reply_text=NOT_FOUND - no exchange 'nope' in vhost '/' "
                   "failing_class_id=50 failing_method_id=20");
    expect_refused(p, "1 queue.bind queue=nope exchange=amq.direct",
                   "reply_code=404 reply_text=NOT_FOUND - no queue 'nope' in vhost '/' "
                   "failing_class_id=50 failing_method_id=20");
    expect_refused(p, "1 queue.bind queue=q",
                   "reply_code=403 reply_text=ACCESS_REFUSED - operation not permitted on the "
                   "default exchange failing_class_id=50 failing_method_id=20");
    broker_close(&b);
}

TEST(when_the_disk_fails_what_waits_for_it_fails_and_nothing_new_is_declared)
{
    struct peer *p = connected();
    struct peer *other = peer_connect(&b);
    say(p, "1 queue.declare queue=q durable");
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    commit(&b);
    expect_heard(p,
                 "0 connection.close reply_code=541 reply_text=INTERNAL_ERROR - the disk failed: "
                 "this cannot be made durable failing_class_id=50 failing_method_id=10\n");
    say(other, "1 queue.declare queue=r durable");
    expect_not_null(
        strstr(heard(other), "0 connection.close reply_code=506 reply_text=RESOURCE_ERROR"));
    broker_close(&b);
}

TEST(exchanges_bind_to_exchanges)
{
    struct peer *p = connected();
    say(p, "1 exchange.declare exchange=x type=topic nowait");
    say(p, "1 exchange.declare exchange=y type=fanout nowait");
    say(p, "1 queue.declare queue=q nowait");
    say(p, "1 queue.bind queue=q exchange=y nowait");
    expect_answer(p, "1 exchange.bind source=x destination=y routing_key=a.#",
                  "1 exchange.bind_ok");
    say(p, "1 basic.publish exchange=x routing_key=a.b | | 1");
    say(p, "1 basic.publish exchange=x routing_key=b | | 2");
    expect_answer(p, "1 exchange.unbind source=x destination=y routing_key=a.#",
                  "1 exchange.unbind_ok");
    expect_answer(p, "1 exchange.unbind source=x destination=none", "1 exchange.unbind_ok");
    say(p, "1 basic.publish exchange=x routing_key=a | | 3");
    expect_answer(p, "1 queue.purge queue=q", "1 queue.purge_ok message_count=1");
    expect_refused(p, "1 exchange.bind source=x destination=none",
                   "reply_code=404 reply_text=NOT_FOUND - no exchange 'none' in vhost '/' "
                   "failing_class_id=40 failing_method_id=30");
    expect_refused(p, "1 exchange.bind source=none destination=x",
                   "reply_code=404 reply_text=NOT_FOUND - no exchange 'none' in vhost '/' "
                   "failing_class_id=40 failing_method_id=30");
    expect_refused(p, "1 exchange.bind source=x",
                   "reply_code=403 reply_text=ACCESS_REFUSED - operation not permitted on the "
                   "default exchange failing_class_id=40 failing_method_id=30");
    expect_refused(p, "1 exchange.unbind destination=x",
                   "reply_code=403 reply_text=ACCESS_REFUSED - operation not permitted on the "
                   "default exchange failing_class_id=40 failing_method_id=40");
    broker_close(&b);
}

TEST(exchanges_and_bindings_that_mean_nothing_are_refused)
{
    struct peer *p = connected();
    expect_refused(p, "1 exchange.declare exchange=x type=direct arguments=alternate-exchange:I:1",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - invalid type 'signedint' for "
                   "arg 'alternate-exchange' in exchange 'x' in vhost '/' failing_class_id=40 "
                   "failing_method_id=10");
    say(p, "1 queue.declare queue=q nowait");
    expect_refused(p, "1 queue.bind queue=q exchange=amq.headers arguments=x-match:S:most",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - Invalid x-match field value "
                   "<<\"most\">>; expected all, any, all-with-x, or any-with-x failing_class_id=50 "
                   "failing_method_id=20");
    broker_close(&b);
}

TEST(arguments_that_make_no_sense_are_refused)
{
    struct peer *p = connected();
    expect_refused(
        p, "1 queue.declare queue=q arguments=x-message-ttl:I:-1",
        "reply_code=406 reply_text=PRECONDITION_FAILED - invalid arg 'x-message-ttl' for "
        "queue 'q' in vhost '/': {value_negative,-1} failing_class_id=50 "
        "failing_method_id=10");
    expect_refused(p, "1 queue.declare queue=q arguments=x-queue-type:S:quorum",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - invalid property 'non-durable' "
                   "for queue 'q' in vhost '/' failing_class_id=50 failing_method_id=10");
    expect_answer(p, "1 queue.declare queue=q durable arguments=x-queue-type:S:quorum",
                  "1 queue.declare_ok queue=q message_count=0 consumer_count=0");
    expect_refused(p, "1 queue.declare queue=q durable",
                   "reply_code=406 reply_text=PRECONDITION_FAILED - inequivalent arg "
                   "'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current "
                   "is 'quorum' failing_class_id=50 failing_method_id=10");
    broker_close(&b);
}

TEST(a_rejected_message_is_a_dead_letter_and_one_that_is_too_much_is_nacked)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=dead nowait");
    say(p, "1 queue.declare queue=q nowait arguments=x-dead-letter-exchange:S:,"
           "x-dead-letter-routing-key:S:dead,x-max-length:I:1,x-overflow:S:reject-publish");
    expect_answer(p, "1 confirm.select", "1 confirm.select_ok");
    expect_answer(p, "1 basic.publish routing_key=q | | a",
                  "1 basic.ack delivery_tag=1 multiple=false");
    expect_answer(p, "1 basic.publish routing_key=q | | b",
                  "1 basic.nack delivery_tag=2 multiple=false requeue=false");
    expect_answer(p, "1 basic.get queue=q",
                  "1 basic.get_ok delivery_tag=1 redelivered=false exchange= routing_key=q "
                  "message_count=0 | | a");
    say(p, "1 basic.reject delivery_tag=1");
    commit(&b);
    say(p, "1 basic.get queue=dead no_ack");
    expect_not_null(strstr(heard(p), "x-last-death-reason: S \"rejected\""));
    broker_close(&b);
}

/* In a queue in memory everything happens in one turn. */
TEST(a_count_is_told_when_the_limits_are_kept)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=few exclusive nowait arguments=x-max-length:I:2");
    for (int i = 0; i < 5; i++)
        say(p, "1 basic.publish routing_key=few | | m");
    say(p, "1 queue.declare queue=few passive");
    expect_heard(p, "1 queue.declare_ok queue=few message_count=2 consumer_count=0\n");
    broker_close(&b);
}

TEST(get_is_not_for_quorum_queues_with_a_single_active_consumer)
{
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q durable nowait "
           "arguments=x-queue-type:S:quorum,x-single-active-consumer:t:1");
    expect_refused(
        p, "1 basic.get queue=q",
        "reply_code=405 reply_text=RESOURCE_LOCKED - cannot obtain access to locked "
        "queue 'q' in vhost '/'. basic.get operations are not supported by quorum queues "
        "with single active consumer failing_class_id=60 failing_method_id=70");
    broker_close(&b);
}
