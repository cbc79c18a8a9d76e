/* Queues whose messages have to be read from files. */
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "base/say.h"
#include "broker/policy.h"
#include "broker/queue_internal.h"
#include "broker/test_queues.h"

static struct test_wait again;

static int next_number;
static void expect_next_number(struct test_consumer *c, const struct delivery *d)
{
    text_reset(&c->got);
    expect_int(test_number_of(d->message.body), next_number);
    expect_int(d->message.body.size, 1024);
    next_number++;
}

TEST(a_backlog_is_read_from_files_in_order)
{
    struct test_core t;
    struct test_consumer c = {.then = expect_next_number};
    next_number = 0;
    test_core_init_backlog(&t, 6000);
    struct queue *q = test_queue(&t, "q");
    test_consume(q, &c, 10, true); /* in small windows */
    for (int i = 0; i < 300; i++) {
        test_core_settle(&t);
        expect_int(c.count, 10 * (i + 1));
        c.credit = 10;
        queue_consumer_ready(&c.consumer);
    }
    c.credit = 100000;
    queue_consumer_ready(&c.consumer);
    test_core_settle(&t);
    expect_int(c.count, 6000);
    expect_null(q->internal->feed); /* nor what it has read ahead */
    test_core_end(&t);
}

/* A read has 201 messages, since these are the batches; the next one is done before anybody can take more. */
TEST(what_comes_next_is_read_while_consumers_are_busy)
{
    struct test_core t;
    struct test_consumer c = {.then = expect_next_number};
    next_number = 0;
    test_core_init_backlog(&t, 600);
    test_consume(test_queue(&t, "q"), &c, 201, true);
    test_core_settle(&t);
    expect_int(c.count, 201);
    c.credit = 100;
    queue_consumer_ready(&c.consumer);
    test_core_turn(&t);
    expect_int(c.count, 301);
    test_core_end(&t);
}

TEST(get_of_a_message_in_a_file_says_when_to_try_again)
{
    struct test_core t;
    struct delivery d;
    test_core_init_backlog(&t, 500);
    struct queue *q = test_queue(&t, "q");
    expect_err(queue_get(q, true, &again.wait, &d), E_COLD);
    core_wait_cancel(&again.wait);
    test_core_settle(&t);

    for (int i = 0; i < 500; i++) {
        enum err err = queue_get(q, true, &again.wait, &d);
        while (err == E_COLD) {
            again.is_done = false;
            core_wait_cancel(&again.wait);
            test_wait(&t, &again, (struct ticket){0}); /* sets ready() */
            core_wait_cancel(&again.wait);
            expect_err(queue_get(q, true, &again.wait, &d), E_COLD);
            test_core_settle(&t);
            expect_true(again.is_done);
            err = queue_get(q, true, &again.wait, &d);
        }
        expect_ok(err);
        expect_int(test_number_of(d.message.body), i);
        queue_finish(q, d.offset, d.number);
    }
    expect_err(queue_get(q, true, &again.wait, &d), E_NOT_FOUND);
    test_core_end(&t);
}

/* Of the next message, and of the oldest. */
static int warned[2], cleared[2];

static void count_unread(const char *line, uint32_t size)
{
    (void)size;
    warned[0] += strstr(line, "WARN queue the next message cannot be read") != NULL;
    cleared[0] += strstr(line, "INFO queue the next message can be read again") != NULL;
    warned[1] += strstr(line, "WARN queue the oldest message cannot be read") != NULL;
    cleared[1] += strstr(line, "INFO queue the oldest message can be read again") != NULL;
}

/* Ten messages, of which the next read fails; what the log says is counted. */
static void init_unread(struct test_core *t)
{
    next_number = 0;
    memset(warned, 0, sizeof warned);
    memset(cleared, 0, sizeof cleared);
    test_core_init_backlog(t, 10);
    say_set_sink(count_unread);
    sim_disk_fail(t->disk, SIM_READ, 1, E_IO);
}

/* Three seconds, in each of which a read fails, and one in which all is well. */
static void expect_told_once(struct test_core *t, const struct test_consumer *c, bool oldest)
{
    for (int second = 0; second < 3; second++) {
        test_core_settle(t);
        expect_int(c->count, 0);
        expect_int(warned[oldest], 1);
        sim_disk_fail(t->disk, SIM_READ, 1, E_IO);
        t->now_ns += 1000000000;
    }
    sim_disk_fail(t->disk, SIM_READ, 0, E_IO);
    expect_int(cleared[oldest], 0);
    test_core_settle(t);
    say_set_sink(NULL);
    expect_int(warned[oldest], 1);
    expect_int(cleared[oldest], 1);
}

TEST(what_the_disk_fails_to_give_is_asked_for_each_second_and_told_of_once)
{
    struct test_core t;
    struct test_consumer c = {.then = expect_next_number};
    init_unread(&t);
    test_consume(test_queue(&t, "q"), &c, 100, true);
    expect_told_once(&t, &c, false);
    expect_int(c.count, 10);
    test_core_end(&t);
}

TEST(what_is_purged_is_not_told_to_be_read_again)
{
    struct test_core t;
    struct test_consumer c = {.then = expect_next_number};
    struct ticket ticket;
    struct delivery d;
    init_unread(&t);
    test_consume(test_queue(&t, "q"), &c, 100, true);
    test_core_settle(&t);
    expect_int(queue_purge(test_queue(&t, "q"), &ticket), 10);
    t.now_ns += 1000000000;
    expect_err(test_get(&t, "q", &d), E_NOT_FOUND);
    say_set_sink(NULL);
    expect_int(c.count, 0);
    expect_int(warned[0], 1);
    expect_int(cleared[0], 0);
    test_core_end(&t);
}

/* Nobody asks for the next message; the oldest one may have to expire. */
TEST(an_oldest_message_that_the_disk_fails_to_give_is_told_of_once)
{
    struct test_core t;
    bool created;
    struct text definition = {0};
    struct test_consumer nobody = {0};
    init_unread(&t);
    amqp_table_put(&definition, "message-ttl", &(struct amqp_value){.tag = 'l', .number = 60000});
    expect_ok(policy_set(test_vhost(&t), POLICY_USER,
                         &(struct policy_spec){.name = B("ttl"),
                                               .pattern = B("^q$"),
                                               .apply_to = B("queues"),
                                               .definition = text_bytes(&definition)},
                         &created));
    expect_told_once(&t, &nobody, true);
    text_reset(&definition);
    test_core_end(&t);
}

TEST(a_queue_may_go_while_it_waits_to_be_asked_for_again)
{
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        struct test_core t;
        struct test_consumer c = {.then = expect_next_number};
        test_core_init_backlog(&t, 10);
        struct queue *q = test_queue(&t, "q");
        sim_disk_fail(t.disk, SIM_READ, 1, E_IO);
        test_consume(q, &c, 100, true);
        test_core_settle(&t);
        if (!is_closed) {
            queue_delete(q);
            t.now_ns += 1000000000;
            test_core_settle(&t);
        }
        expect_int(c.count, 0);
        test_core_end(&t);
    }
}

TEST(what_get_gave_is_valid_until_the_turn_has_ended_also_when_the_queue_goes)
{
    struct test_core t;
    struct delivery d;
    test_core_init_backlog(&t, 10);
    struct queue *q = test_queue(&t, "q");
    expect_ok(test_get(&t, "q", &d));
    queue_delete(q);
    expect_int(test_number_of(d.message.body), 0);
    test_core_end(&t);
}

TEST(a_queue_may_be_deleted_while_it_is_read_from_a_file)
{
    struct test_core t;
    struct test_consumer c = {.then = expect_next_number};
    test_core_init_backlog(&t, 500);
    struct queue *q = test_queue(&t, "q");
    test_consume(q, &c, 10, true);
    core_turn_end(t.core); /* the read is submitted */
    core_turn_begin(t.core, t.now_ns, t.wall_ms);
    queue_delete(q);
    test_core_settle(&t);
    expect_int(c.count, 0);
    test_core_end(&t);
}

TEST(a_core_may_be_closed_while_a_queue_is_read_from_a_file)
{
    struct test_core t;
    struct test_consumer c = {.then = expect_next_number};
    test_core_init_backlog(&t, 500);
    test_consume(test_queue(&t, "q"), &c, 10, true);
    core_turn_end(t.core); /* the read is submitted */
    expect_true(sim_jobs_waiting_count(t.sim) > 0);
    core_turn_begin(t.core, t.now_ns, t.wall_ms);
    queue_cancel(&c.consumer);
    test_core_reopen(&t);
    expect_int(queue_ready_count(test_queue(&t, "q")), 500);
    test_core_end(&t);
}
