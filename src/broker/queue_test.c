#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/queue_internal.h"
#include "broker/test_queues.h"

static void publish_many(struct test_core *t, const char *queue, int from, int to)
{
    char body[32];
    for (int i = from; i < to; i++) {
        snprintf(body, sizeof body, "%d", i);
        expect_ok(test_publish(t, queue, body, NULL));
    }
}

#define expect_got(c, wanted) expect_string(text_string(&(c)->got), wanted)

/* ---- delivering ---- */

TEST(a_message_is_delivered_when_it_is_committed_and_not_before)
{
    struct test_core t;
    struct test_consumer c = {0};
    struct test_wait published;
    struct ticket ticket;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_consume(q, &c, 10, false);
    expect_ok(test_publish(&t, "q", "hello", &ticket));
    test_wait(&t, &published, ticket);
    test_core_turn(&t);
    test_core_turn(&t);
    expect_int(c.count, 0);
    expect_int(queue_ready_count(q), 0);
    test_core_settle(&t);
    expect_got(&c, "hello");
    expect_true(published.is_done);
    expect_int(queue_unacked_count(q), 1);
    queue_settle(q, c.last.offset, c.last.number);
    expect_int(queue_unacked_count(q), 0);
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(consumers_take_turns_in_order_and_those_without_credit_are_passed_over)
{
    struct test_core t;
    struct test_consumer a = {0}, b = {0}, c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_consume(q, &a, 10, false);
    test_consume(q, &b, 1, false);
    test_consume(q, &c, 10, false);
    publish_many(&t, "q", 0, 8);
    test_core_settle(&t);
    expect_got(&a, "0 3 5 7");
    expect_got(&b, "1");
    expect_got(&c, "2 4 6");
    expect_true(b.consumer.parked);

    publish_many(&t, "q", 8, 11);
    b.credit = 5;
    queue_consumer_ready(&b.consumer);
    test_core_settle(&t);
    expect_int(a.count + b.count + c.count, 11);
    expect_int(b.count, 2);
    test_consumer_reset(&a), test_consumer_reset(&b), test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(what_is_returned_comes_back_to_its_place_and_is_redelivered)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 4);
    test_core_settle(&t);
    test_consume(q, &c, 2, false);
    test_core_settle(&t);
    expect_got(&c, "0 1");
    queue_return(q, 1, 1);
    queue_return(q, 0, 1);
    expect_int(queue_ready_count(q), 4);
    c.credit = 4;
    queue_consumer_ready(&c.consumer);
    test_core_settle(&t);
    expect_got(&c, "0 1 0! 1! 2 3");
    queue_settle(q, 0, 1); /* late: of the first delivery */
    expect_int(queue_unacked_count(q), 4);
    queue_settle(q, 0, 2);
    expect_int(queue_unacked_count(q), 3);
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(a_consumer_with_credit_gets_what_another_one_returns)
{
    struct test_core t;
    struct test_consumer c = {0};
    struct delivery d;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 1);
    test_core_settle(&t);
    expect_ok(queue_get(q, false, NULL, &d));
    test_consume(q, &c, 5, false);
    test_core_settle(&t);
    expect_int(c.count, 0);
    queue_return(q, d.offset, d.number);
    test_core_settle(&t);
    expect_got(&c, "0!");
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(a_turn_hands_out_a_bounded_number_and_the_next_goes_on)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 10000);
    test_core_settle(&t);
    expect_int(queue_ready_count(q), 10000);
    test_consume(q, &c, 100000, true);
    test_core_turn(&t);
    expect_int(c.count, TURN_DELIVERIES);
    expect_int(core_next_due(t.core), t.now_ns);
    test_core_turn(&t);
    expect_int(c.count, 2 * TURN_DELIVERIES);
    test_core_settle(&t);
    expect_int(c.count, 10000);
    expect_int(q->log->start, q->log->hw); /* all settled */
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(a_transient_message_needs_one_turn_and_no_disk)
{
    struct test_core t;
    struct test_consumer c = {0};
    struct store_stats stats;
    test_core_init(&t);
    test_core_settle(&t);
    struct queue *q = test_transient_queue(&t, "q");
    test_consume(q, &c, 10, true);
    expect_ok(test_publish(&t, "q", "hello", NULL));
    test_core_turn(&t);
    expect_got(&c, "hello");
    expect_int(q->log->end, 1); /* no control batch */
    test_core_turn(&t);
    store_stats(t.core->store, &stats);
    expect_int(stats.memory_level_bytes, 0); /* freed */
    test_consumer_reset(&c);
    test_core_end(&t);
}

static void cancel_itself(struct test_consumer *c, const struct delivery *d)
{
    (void)d;
    queue_cancel(&c->consumer);
}

static void delete_queue(struct test_consumer *c, const struct delivery *d)
{
    (void)c;
    queue_delete(d->queue);
}

TEST(a_consumer_may_cancel_itself_or_delete_the_queue_while_it_is_given_a_message)
{
    struct test_core t;
    struct test_consumer a = {.then = cancel_itself}, b = {.then = delete_queue};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_consume(q, &a, 10, true);
    test_consume(q, &b, 10, false);
    publish_many(&t, "q", 0, 5);
    test_core_settle(&t);
    expect_got(&a, "0");
    expect_got(&b, "1");
    expect_true(b.was_cancelled);
    expect_false(a.was_cancelled);
    expect_null(test_queue(&t, "q"));
    test_consumer_reset(&a), test_consumer_reset(&b);
    test_core_end(&t);
}

/* ---- get ---- */

static struct test_wait again;

/* Get, and wait for the file if it is in one. */
static enum err get(struct test_core *t, struct queue *q, struct delivery *out)
{
    enum err err = queue_get(q, false, &again.wait, out);
    while (err == E_COLD) {
        core_wait_cancel(&again.wait);
        test_core_settle(t);
        err = queue_get(q, false, &again.wait, out);
    }
    return err;
}

TEST(get_takes_the_head_of_what_is_committed)
{
    struct test_core t;
    struct delivery d;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    expect_err(queue_get(q, false, &again.wait, &d), E_NOT_FOUND);
    publish_many(&t, "q", 0, 3);
    expect_err(queue_get(q, false, &again.wait, &d), E_NOT_FOUND);

    struct test_wait barrier;
    test_wait(&t, &barrier, queue_barrier(q));
    test_core_settle(&t);
    expect_true(barrier.is_done);
    expect_ok(queue_get(q, false, &again.wait, &d));
    expect_bytes(d.message.body, B("0"));
    expect_bytes(d.message.routing_key, B("q"));
    expect_false(d.redelivered);
    queue_return(q, d.offset, d.number);
    expect_ok(queue_get(q, true, &again.wait, &d));
    queue_finish(q, d.offset, d.number);
    expect_true(d.redelivered);
    expect_ok(queue_get(q, true, &again.wait, &d));
    queue_finish(q, d.offset, d.number);
    expect_bytes(d.message.body, B("1"));
    expect_int(queue_ready_count(q), 1);
    expect_int(queue_unacked_count(q), 0);
    test_core_end(&t);
}

TEST(a_barrier_with_nothing_in_flight_is_done_at_once)
{
    struct test_core t;
    struct test_wait barrier;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_core_settle(&t);
    test_wait(&t, &barrier, queue_barrier(q));
    test_core_turn(&t);
    expect_true(barrier.is_done);
    test_core_end(&t);
}

/* The commit ends with a job, the turn in which that is heard of tells the queue at its end only. */
TEST(what_is_committed_is_counted_as_soon_as_the_barrier_is_done)
{
    struct test_core t;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_core_settle(&t);
    publish_many(&t, "q", 0, 3);
    int turns = 0;
    while (!store_is_done(t.core->store, queue_barrier(q), STAGE_COMMITTED)) {
        test_core_turn(&t);
        while (sim_jobs_step(t.sim, &t.random))
            jobs_poll(core_jobs(t.core));
        expect_true(++turns < 100);
    }
    expect_int(queue_ready_count(q), 3);
    test_core_end(&t);
}

/* ---- restarts ---- */

TEST(what_was_settled_stays_settled_and_the_rest_is_redelivered_after_a_crash)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 6);
    test_core_settle(&t);
    test_consume(q, &c, 4, false);
    test_core_settle(&t);
    queue_settle(q, 0, 1);
    queue_settle(q, 2, 1);
    test_core_settle(&t);

    test_core_crash(&t);
    test_consumer_reset(&c);
    q = test_queue(&t, "q");
    expect_int(queue_ready_count(q), 4);
    struct test_consumer again_c = {0};
    test_consume(q, &again_c, 10, false);
    test_core_settle(&t);
    expect_got(&again_c, "1! 3! 4 5");
    test_consumer_reset(&again_c);
    test_core_end(&t);
}

TEST(a_mark_alone_is_logged_a_little_later_and_with_the_next_commit_of_anybody)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_durable_queue(&t, "other");
    publish_many(&t, "q", 0, 3);
    test_core_settle(&t);
    test_consume(q, &c, 1, false);
    test_core_settle(&t);
    int64_t end = q->log->end;
    test_core_settle(&t);
    expect_int(q->log->end, end); /* worth no commit of its own */
    expect_true(core_next_due(t.core) <= t.now_ns + (int64_t)MARK_DELAY_MS * 1000000);

    t.now_ns += (int64_t)MARK_DELAY_MS * 1000000;
    core_turn_begin(t.core, t.now_ns, t.wall_ms);
    test_core_settle(&t);
    expect_int(q->log->end, end + 1);

    c.credit = 1;
    queue_consumer_ready(&c.consumer);
    test_core_settle(&t);
    expect_int(q->log->end, end + 1);
    expect_ok(test_publish(&t, "other", "x", NULL));
    test_core_settle(&t);
    expect_int(q->log->end, end + 2);
    expect_ok(test_publish(&t, "other", "x", NULL));
    test_core_settle(&t);
    expect_int(q->log->end, end + 2); /* once is enough */
    test_consumer_reset(&c);

    test_core_crash(&t);
    struct test_consumer after = {0};
    test_consume(test_queue(&t, "q"), &after, 9, false);
    test_core_settle(&t);
    expect_got(&after, "0! 1! 2");
    test_consumer_reset(&after);
    test_core_end(&t);
}

TEST(a_settle_rides_on_the_next_commit_of_anybody_or_is_logged_a_moment_later)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_durable_queue(&t, "other");
    test_consume(q, &c, 10, false);
    publish_many(&t, "q", 0, 3);
    test_core_settle(&t);
    int64_t end = q->log->end;
    queue_settle(q, 0, 1);
    test_core_turn(&t);
    test_core_turn(&t);
    expect_int(q->log->end, end); /* worth no commit of its own */
    expect_int(q->log->start, 0);
    expect_true(core_next_due(t.core) <= t.now_ns + (int64_t)SETTLE_DELAY_MS * 1000000);
    expect_ok(test_publish(&t, "other", "x", NULL));
    test_core_turn(&t);
    expect_int(q->log->end, end + 1);
    expect_int(q->log->start, 1);

    queue_settle(q, 1, 1);
    test_core_turn(&t);
    expect_int(q->log->end, end + 1);
    t.now_ns += (int64_t)SETTLE_DELAY_MS * 1000000;
    core_turn_begin(t.core, t.now_ns, t.wall_ms);
    test_core_turn(&t);
    expect_int(q->log->end, end + 2);

    queue_settle(q, 2, 1);
    test_core_turn(&t);
    test_consumer_reset(&c);
    test_core_reopen(&t); /* a stop waits for nothing, and forgets nothing */
    expect_int(queue_ready_count(test_queue(&t, "q")), 0);
    test_core_end(&t);
}

TEST(an_idle_queue_writes_nothing)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_consume(q, &c, 10, false);
    publish_many(&t, "q", 0, 3);
    test_core_settle(&t);
    for (int64_t i = 0; i < 3; i++)
        queue_settle(q, i, 1);
    test_core_settle(&t);
    int64_t end = q->log->end;
    for (int i = 0; i < 5; i++) {
        t.now_ns += 1000000000;
        core_turn_begin(t.core, t.now_ns, t.wall_ms);
        test_core_settle(&t);
    }
    expect_int(q->log->end, end);
    expect_int(q->log->start, end);
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(settles_survive_many_orderly_restarts)
{
    struct test_core t;
    test_core_init(&t);
    test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 20);
    for (int i = 0; i < 10; i++) {
        struct delivery first, second;
        test_core_settle(&t);
        struct queue *q = test_queue(&t, "q");
        expect_int(queue_ready_count(q), 20 - i);
        expect_ok(get(&t, q, &first));
        expect_ok(get(&t, q, &second));
        queue_settle(q, second.offset, second.number);
        test_core_reopen(&t);
    }
    test_core_end(&t);
}

TEST(transient_queues_are_gone_after_a_restart)
{
    struct test_core t;
    test_core_init(&t);
    test_transient_queue(&t, "q");
    expect_ok(test_publish(&t, "q", "x", NULL));
    test_core_settle(&t);
    test_core_reopen(&t);
    expect_null(test_queue(&t, "q"));
    test_core_end(&t);
}

/* ---- purge and delete ---- */

TEST(a_purged_message_does_not_come_back_once_the_ticket_is_done)
{
    struct test_core t;
    struct test_wait w;
    struct ticket ticket;
    struct delivery d;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 5);
    test_core_settle(&t);
    expect_ok(queue_get(q, false, &again.wait, &d));
    expect_int(queue_purge(q, &ticket), 4);
    test_wait(&t, &w, ticket);
    test_core_turn(&t);
    expect_false(w.is_done);
    test_core_settle(&t);
    expect_true(w.is_done);
    expect_int(queue_unacked_count(q), 1);
    test_core_crash(&t);
    expect_int(queue_ready_count(test_queue(&t, "q")), 1); /* the one that was out */
    test_core_end(&t);
}

TEST(a_purge_is_never_done_when_the_disk_has_failed)
{
    struct test_core t;
    struct test_wait w;
    struct ticket ticket;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 5);
    test_core_settle(&t);
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO);
    expect_ok(test_publish(&t, "q", "lost", &ticket));
    test_core_settle(&t);
    expect_true(store_is_frozen(t.core->store));
    expect_int(queue_purge(q, &ticket), 5);
    test_wait(&t, &w, ticket);
    test_core_settle(&t);
    expect_false(w.is_done);
    core_wait_cancel(&w.wait);
    test_core_end(&t);
}

TEST(a_deleted_queue_cancels_its_consumers_and_ignores_late_settles)
{
    struct test_core t;
    struct test_consumer a = {0}, b = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_consume(q, &a, 1, false);
    test_consume(q, &b, 0, false);
    publish_many(&t, "q", 0, 3);
    test_core_settle(&t);
    expect_int(a.count, 1);
    queue_ref(q); /* for the delivery that is out */
    queue_delete(q);
    expect_true(a.was_cancelled && b.was_cancelled);
    expect_true(q->deleted);
    queue_settle(q, a.last.offset, a.last.number);
    queue_return(q, a.last.offset, a.last.number);
    queue_cancel(&a.consumer);
    queue_consumer_ready(&b.consumer);
    test_core_settle(&t);
    queue_unref(q);
    test_consumer_reset(&a), test_consumer_reset(&b);
    test_core_end(&t);
}

TEST(publishes_of_the_turn_in_which_a_queue_is_deleted_count_as_done)
{
    struct test_core t;
    struct test_wait w;
    struct ticket ticket;
    test_core_init(&t);
    test_durable_queue(&t, "q");
    test_core_settle(&t);
    expect_ok(test_publish(&t, "q", "x", &ticket));
    test_wait(&t, &w, ticket);
    queue_delete(test_queue(&t, "q"));
    test_core_settle(&t);
    expect_true(w.is_done);
    test_core_crash(&t);
    expect_null(test_queue(&t, "q"));
    test_core_end(&t);
}

TEST(other_queues_keep_what_was_published_to_them_and_to_a_deleted_one)
{
    struct test_core t;
    struct test_consumer c = {0};
    struct ticket ticket;
    struct message m = {.properties = BYTES_LITERAL("\0\0"), .body = BYTES_LITERAL("both")};
    test_core_init(&t);
    struct queue *set[] = {test_durable_queue(&t, "a"), test_durable_queue(&t, "b")};
    expect_ok(queue_publish(t.core, (struct route){set, 2}, &m, &ticket));
    queue_delete(set[0]);
    test_consume(set[1], &c, 5, true);
    test_core_settle(&t);
    expect_got(&c, "both");
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(an_auto_delete_queue_goes_with_its_last_consumer_and_not_before_it_had_one)
{
    struct test_core t;
    struct test_consumer a = {0}, b = {0};
    test_core_init(&t);
    struct queue_spec spec = {.name = B("q"), .durable = true, .auto_delete = true};
    struct queue *q = queue_create(test_vhost(&t), &spec);
    test_core_settle(&t);
    expect_not_null(test_queue(&t, "q"));
    test_consume(q, &a, 1, false);
    test_consume(q, &b, 1, false);
    queue_cancel(&a.consumer);
    expect_not_null(test_queue(&t, "q"));
    queue_cancel(&b.consumer);
    expect_null(test_queue(&t, "q"));
    test_core_end(&t);
}

TEST(an_exclusive_consumer_is_alone)
{
    struct test_core t;
    struct test_consumer a = {.consumer = {.exclusive = true}}, b = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    test_consume(q, &a, 1, false);
    expect_err(queue_consume(q, &b.consumer), E_LOCKED);
    queue_cancel(&a.consumer);
    test_consume(q, &b, 1, false);
    expect_err(queue_consume(q, &a.consumer), E_LOCKED);
    test_core_end(&t);
}

TEST(exclusive_queues_die_with_their_session_and_are_never_written)
{
    struct test_core t;
    struct session session = {.protocol = "amqp"}, other = {.protocol = "amqp"};
    test_core_init(&t);
    session_add(t.core, &session);
    session_add(t.core, &other);
    struct queue_spec spec = {.name = B("mine"), .durable = true, .exclusive_owner = &session};
    expect_int(queue_create(test_vhost(&t), &spec)->log->level, LEVEL_MEMORY);
    spec.name = B("too");
    queue_create(test_vhost(&t), &spec);
    spec.name = B("yours");
    spec.exclusive_owner = &other;
    queue_create(test_vhost(&t), &spec);
    queue_delete_exclusive(t.core, &session);
    expect_null(test_queue(&t, "mine"));
    expect_null(test_queue(&t, "too"));
    expect_not_null(test_queue(&t, "yours"));
    session_remove(&session);
    test_core_settle(&t);
    queue_delete_exclusive(t.core, &other);
    session_remove(&other);
    test_core_end(&t);
}

/* ---- what cannot be decoded ---- */

static void append_raw(struct queue *q, uint16_t attributes, const char *key)
{
    struct batch_builder b = {0};
    struct ticket ticket;
    batch_builder_begin(&b, attributes);
    for (int i = 0; i < 3; i++)
        batch_builder_add(&b, 0, B(key), B("value"), BYTES_NULL, 0);
    expect_ok(log_append(q->log, batch_builder_end(&b), &ticket));
    batch_builder_reset(&b);
}

TEST(batches_and_records_that_cannot_be_decoded_are_settled_and_the_rest_delivered)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    publish_many(&t, "q", 0, 1);
    test_core_settle(&t);
    append_raw(q, CODEC_ZSTD, "\1"); /* compressed: not ours */
    append_raw(q, 0, "\x09 no envelope");
    test_core_settle(&t);
    publish_many(&t, "q", 1, 2);
    test_core_settle(&t);
    expect_int(queue_ready_count(q), 8);
    test_consume(q, &c, 100, true);
    test_core_settle(&t);
    expect_got(&c, "0 1");
    expect_int(queue_ready_count(q), 0);
    test_core_crash(&t);
    expect_int(queue_ready_count(test_queue(&t, "q")), 0);
    test_consumer_reset(&c);
    test_core_end(&t);
}

/* ---- all together, against what must be ---- */

enum { MESSAGES = 1500 };

struct run {
    struct test_core t;
    struct test_consumer consumer;
    /* MAYBE: nobody can know whether it, or its settle, is durable */
    enum { UNKNOWN, ACCEPTED, SETTLED, MAYBE } state[MESSAGES];
    struct ticket ticket[MESSAGES];
    int64_t out_offset[MESSAGES];
    uint32_t out_number[MESSAGES];
    bool out[MESSAGES], delivered[MESSAGES];
    int published, newest;
};

static struct run *run;

static void run_deliver(struct test_consumer *c, const struct delivery *d)
{
    int i = test_number_of(d->message.body);
    text_reset(&c->got);
    expect_false(run->out[i]);             /* never twice at once */
    expect_true(run->state[i] != SETTLED); /* never after a settle in this run */
    if (run->delivered[i])
        expect_true(d->redelivered);
    else if (!d->redelivered) {
        expect_true(i > run->newest); /* first deliveries come in order */
        run->newest = i;
    }
    run->delivered[i] = true;
    run->out[i] = true;
    run->out_offset[i] = d->offset;
    run->out_number[i] = d->number;
}

static void run_publish(int count)
{
    char body[32];
    while (count-- > 0 && run->published < MESSAGES) {
        snprintf(body, sizeof body, "%d", run->published);
        expect_ok(test_publish(&run->t, "q", body, &run->ticket[run->published]));
        run->published++;
    }
}

static void run_end_some(struct queue *q)
{
    for (int i = 0; i < MESSAGES; i++) {
        if (!run->out[i] || random_below(&run->t.random, 3) == 0)
            continue;
        run->out[i] = false;
        if (random_below(&run->t.random, 4) > 0) {
            queue_settle(q, run->out_offset[i], run->out_number[i]);
            run->state[i] = SETTLED;
        } else {
            queue_return(q, run->out_offset[i], run->out_number[i]);
        }
    }
}

static void run_note_accepted(void)
{
    for (int i = 0; i < run->published; i++)
        if (run->state[i] == UNKNOWN &&
            store_is_done(run->t.core->store, run->ticket[i], STAGE_COMMITTED))
            run->state[i] = ACCEPTED;
}

static void run_consume(void)
{
    run->consumer = (struct test_consumer){.then = run_deliver};
    test_consume(test_queue(&run->t, "q"), &run->consumer, 20, false);
}

/* After a crash with the disk at work, what was settled may come again; what was accepted must. */
static void run_crash(void)
{
    run_note_accepted();
    if (random_below(&run->t.random, 2)) {
        test_core_settle(&run->t); /* everything is durable */
        run_note_accepted();
        test_core_crash(&run->t);
    } else {
        test_core_crash(&run->t);
        for (int i = 0; i < run->published; i++)
            if (run->state[i] != ACCEPTED)
                run->state[i] = MAYBE;
    }
    memset(run->out, 0, sizeof run->out);
    memset(run->delivered, 0, sizeof run->delivered);
    run->newest = -1;
    run_consume();
}

static void run_step(void)
{
    struct queue *q = test_queue(&run->t, "q");
    switch (random_below(&run->t.random, 12)) {
    case 0:
    case 1: run_publish((int)random_below(&run->t.random, 20)); break;
    case 2: run_end_some(q); break;
    case 3:
        run->consumer.credit = 20;
        queue_consumer_ready(&run->consumer.consumer);
        break;
    case 4:
        if (random_below(&run->t.random, 20) == 0)
            run_crash();
        break;
    case 5: test_core_turn(&run->t); break;
    default: sim_jobs_step(run->t.sim, &run->t.random); break;
    }
}

/* In the end everything that was accepted is settled or comes. */
static void run_drain(void)
{
    struct queue *q = test_queue(&run->t, "q");
    test_core_settle(&run->t);
    run_note_accepted();
    while (queue_ready_count(q) + queue_unacked_count(q) > 0) {
        run->consumer.credit = 1000;
        queue_consumer_ready(&run->consumer.consumer);
        test_core_settle(&run->t);
        run_end_some(q);
    }
    for (int i = 0; i < run->published; i++)
        expect_true(run->state[i] != ACCEPTED);
}

TEST(no_accepted_message_is_lost_and_none_comes_after_its_settle_was_durable)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        run = xzalloc(sizeof *run);
        test_core_init(&run->t);
        random_init(&run->t.random, test_seed() + seed);
        run->newest = -1;
        test_durable_queue(&run->t, "q");
        test_core_settle(&run->t);
        run_consume();
        for (int i = 0; i < 3000; i++)
            run_step();
        run_drain();
        test_core_end(&run->t);
        free(run);
    }
}
