/* Class tx: nothing before the commit, everything at it, all or nothing after a crash. */
#include "amqp/test_peer.h"

#include <stdio.h>
#include <string.h>

static struct test_broker b;

static struct peer *transactional(void)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q durable nowait");
    say(p, "1 queue.declare queue=r durable nowait");
    say(p, "1 tx.select");
    commit(&b);
    expect_heard(p, "1 tx.select_ok\n");
    return p;
}

/* The same where each log would take every batch straight to its file, if it were asked. */
static struct peer *transactional_with_large_ones(void)
{
    transactional();
    b.config.store.direct_append_bytes = b.config.store.direct_commit_bytes = 1;
    broker_crash(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 tx.select");
    expect_heard(p, "1 tx.select_ok\n");
    return p;
}

static uint64_t ready(const char *name)
{
    return queue_ready_count(
        queue_find(vhost_find(b.core, BYTES_LITERAL("/")), bytes_from_string(name)));
}

TEST(what_is_published_is_there_at_the_commit_and_not_before)
{
    struct peer *p = transactional();
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | a");
    say(p, "1 basic.publish routing_key=nowhere mandatory | | b");
    commit(&b);
    expect_heard(p, "");
    expect_int(ready("q"), 0);
    say(p, "1 tx.commit");
    const char *early = heard(p);
    expect_not_null(strstr(early, "basic.return"));
    expect_null(strstr(early, "commit_ok")); /* not durable yet */
    commit(&b);
    expect_heard(p, "1 tx.commit_ok\n");
    expect_int(ready("q"), 1);
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | c");
    say(p, "1 tx.rollback");
    say(p, "1 tx.commit");
    commit(&b);
    expect_heard(p, "1 tx.rollback_ok\n1 tx.commit_ok\n");
    expect_int(ready("q"), 1);
    broker_close(&b);
}

TEST(settles_count_at_the_commit_and_a_rollback_leaves_them_open)
{
    struct peer *p = transactional();
    for (int i = 0; i < 3; i++)
        say(p, "1 basic.publish routing_key=q | delivery_mode=2 | %d", i);
    say(p, "1 tx.commit");
    commit(&b);
    for (int i = 0; i < 3; i++)
        say(p, "1 basic.get queue=q");
    commit(&b);
    heard(p);
    say(p, "1 basic.ack delivery_tag=2 multiple");
    say(p, "1 tx.rollback");
    say(p, "1 basic.ack delivery_tag=1");
    say(p, "1 basic.nack delivery_tag=3 requeue");
    say(p, "1 tx.commit");
    commit(&b);
    expect_heard(p, "1 tx.rollback_ok\n1 tx.commit_ok\n");
    expect_int(ready("q"), 1);
    broker_crash(&b);
    expect_int(ready("q"), 2); /* 1 was never settled */
    p = peer_connect(&b);
    say(p, "1 tx.select");
    heard(p);
    say(p, "1 basic.ack delivery_tag=7");
    expect_heard(p, "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - unknown "
                    "delivery tag 7 failing_class_id=60 failing_method_id=80\n");
    broker_close(&b);
}

/* One message is taken from q and two are sent on, in one transaction, and the disk fails at any
 * write of it. */
TEST(a_crash_finds_all_of_a_transaction_or_nothing)
{
    int before = 0, after = 0;
    for (int i = 0; i < 24; i++) {
        int steps = i / 2;
        struct peer *p = i % 2 ? transactional_with_large_ones() : transactional();
        say(p, "1 basic.publish routing_key=q | delivery_mode=2 | a");
        say(p, "1 tx.commit");
        say(p, "1 basic.get queue=q");
        commit(&b);
        heard(p);
        say(p, "1 basic.publish routing_key=r | delivery_mode=2 | b");
        say(p, "1 basic.publish routing_key=r | delivery_mode=2 | c");
        say(p, "1 basic.ack delivery_tag=1");
        say(p, "1 tx.commit");
        turn(&b);
        for (int step = 0; step < steps; step++)
            sim_jobs_step(b.sim, &b.core->random);
        broker_crash(&b);
        bool is_done = ready("r") == 2;
        expect_int(ready("r"), is_done ? 2 : 0);
        expect_int(ready("q"), is_done ? 0 : 1);
        is_done ? after++ : before++;
        broker_close(&b);
    }
    expect_true(before > 0 && after > 0);
}

TEST(a_transaction_that_a_queue_refuses_changes_nothing)
{
    struct peer *p = transactional();
    say(p, "1 queue.declare queue=full nowait arguments=x-max-length:I:0,x-overflow:S:"
           "reject-publish");
    say(p, "1 basic.publish routing_key=q | | a");
    say(p, "1 basic.publish routing_key=full | | b");
    say(p, "1 tx.commit");
    commit(&b);
    expect_heard(p, "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - partial tx "
                    "completion: queue 'full' is full failing_class_id=90 failing_method_id=20\n");
    expect_int(ready("q"), 0);
    broker_close(&b);
}

TEST(modes_do_not_mix_and_a_channel_without_transactions_says_so)
{
    static const char *const cases[][2] = {
        {"1 tx.select\n1 confirm.select", "cannot switch from tx to confirm mode"},
        {"1 confirm.select\n1 tx.select", "cannot switch from confirm to tx mode"},
        {"1 access.request\n1 tx.commit", "channel is not transactional"},
        {"1 access.request\n1 tx.rollback", "channel is not transactional"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char first[64];
        broker_open(&b);
        struct peer *p = peer_connect(&b);
        const char *second = strchr(cases[i][0], '\n');
        snprintf(first, sizeof first, "%.*s", (int)(second - cases[i][0]), cases[i][0]);
        say(p, "%s", first);
        say(p, "%s", second + 1);
        const char *text = heard(p);
        expect_not_null(strstr(text, "reply_code=406"));
        expect_not_null(strstr(text, cases[i][1]));
        broker_close(&b);
    }
}

TEST(a_transaction_ends_with_its_channel)
{
    struct peer *p = transactional();
    say(p, "1 basic.publish routing_key=q | | a");
    say(p, "1 channel.close");
    commit(&b);
    expect_int(ready("q"), 0);
    broker_close(&b);
}
