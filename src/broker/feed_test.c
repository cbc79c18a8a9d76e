/* A feed of a queue's log, whose beginning is in a segment. */
#include "broker/feed.h"

#include <string.h>

#include "broker/queue_internal.h"
#include "broker/test_queues.h"
#include "tests/test.h"

static void has_arrived(void *ctx)
{
    *(bool *)ctx = true;
}

/* So much that the journal's first file is needed again: what other queues have in it goes to segments. */
static void use_journal_up(struct test_core *t)
{
    enum { BODY_BYTES = 400 << 10, BODIES = 12 };
    static char body[BODY_BYTES];
    struct ticket ticket;
    memset(body, 'x', sizeof body - 1);
    for (int i = 0; i < BODIES; i++) {
        expect_ok(test_publish(t, "other", body, &ticket));
        test_core_settle(t);
    }
}

/* Its second message is settled, so that nothing is between the first one and the log's end. */
static struct queue *queue_that_ends_in_a_hole(struct test_core *t, struct test_consumer *c)
{
    struct queue *q = test_durable_queue(t, "q");
    test_publish_each(t, "q", "a");
    test_core_settle(t); /* in a batch of its own */
    test_publish_each(t, "q", "b");
    test_consume(q, c, 2, false);
    test_core_settle(t);
    queue_settle(q, 1, 1);
    test_core_settle(t);
    use_journal_up(t);
    return q;
}

TEST(nothing_found_says_nothing_of_what_came_behind_the_limit)
{
    struct test_core t;
    struct test_consumer c = {0};
    struct ticket ticket;
    struct record record;
    bool arrived = false;
    test_core_init(&t);
    test_core_close(&t);
    t.config.store.carry_bytes = t.config.store.cache_bytes = 1;
    t.config.store.journal_max_bytes = 2 << 20;
    expect_ok(test_core_open(&t));
    test_durable_queue(&t, "other");
    struct queue *q = queue_that_ends_in_a_hole(&t, &c);
    int64_t end = q->log->end;
    struct feed *feed = feed_new(t.core->internal->feeds, q->log, has_arrived, &arrived);

    expect_int(feed_at(feed, 1, end, &record), E_COLD);
    test_core_settle(&t);
    expect_true(arrived);
    expect_int(feed_at(feed, 1, end, &record), E_NOT_FOUND);

    expect_int(feed_at(feed, 1, end, &record), E_COLD);
    expect_ok(test_publish(&t, "q", "c", &ticket));
    test_core_settle(&t);
    enum err err = feed_at(feed, 1, q->log->end, &record);
    for (int reads = 0; err == E_COLD && reads < 10; reads++) {
        test_core_settle(&t);
        err = feed_at(feed, record.offset, q->log->end, &record);
    }
    expect_ok(err);
    expect_int(record.offset, end);
    feed_free(feed);
    test_consumer_reset(&c);
    test_core_end(&t);
}
