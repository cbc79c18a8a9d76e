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

/* ---- reading ahead ---- */

enum { BATCH_RECORDS = 200, BACKLOG = 12 * BATCH_RECORDS };

static struct feed *backlog_feed(struct test_core *t, bool *arrived)
{
    return feed_new(t->core->internal->feeds, test_queue(t, "q")->log, has_arrived, arrived);
}

/* The records from `from` on, up to `to`; how often they had to be waited for. All else that is being read has
 * time enough between two of them. */
static int waits_of_pass(struct test_core *t, struct feed *feed, int64_t from, int64_t to)
{
    struct record record;
    int waits = 0;
    for (int64_t at = from; at < to; at++) {
        enum err err = feed_at(feed, at, BACKLOG, &record);
        if (err == E_COLD) {
            waits++;
            test_core_settle(t);
            err = feed_at(feed, at, BACKLOG, &record);
        }
        expect_ok(err);
        expect_int(record.offset, at);
        feed_rest(feed);
        if (at % BATCH_RECORDS == 0)
            test_core_settle(t);
    }
    return waits;
}

TEST(who_goes_on_waits_for_the_first_read_alone)
{
    struct test_core t;
    bool arrived = false;
    test_core_init_backlog(&t, BACKLOG);
    struct feed *feed = backlog_feed(&t, &arrived);
    expect_int(waits_of_pass(&t, feed, 0, BACKLOG), 1);
    feed_free(feed);
    test_core_end(&t);
}

/* The first read has one batch, and what is next has not arrived yet. */
static struct feed *feed_that_reads_ahead(struct test_core *t, int64_t from, bool *arrived)
{
    struct feed *feed = backlog_feed(t, arrived);
    expect_int(waits_of_pass(t, feed, from, from + 1), 1);
    expect_false(feed_is_reading(feed));
    return feed;
}

TEST(who_goes_back_does_not_wait_for_what_is_read_ahead)
{
    struct test_core t;
    bool arrived = false;
    test_core_init_backlog(&t, BACKLOG);
    struct feed *feed = feed_that_reads_ahead(&t, 2 * BATCH_RECORDS + 1, &arrived);
    expect_int(waits_of_pass(&t, feed, 1, BACKLOG), 1);
    expect_int(waits_of_pass(&t, feed, BACKLOG - 1, BACKLOG), 0);
    feed_free(feed);
    test_core_end(&t);
}

TEST(what_is_read_ahead_by_all_feeds_is_limited)
{
    enum {
        FEEDS = 2 * FEED_AHEAD_BYTES / FEED_READ_MAX_BYTES
    }; /* what came is less than was asked for */
    struct test_core t;
    struct feed *feeds[FEEDS];
    bool arrived = false;
    test_core_init_backlog(&t, BACKLOG);
    for (int i = 0; i < FEEDS; i++)
        feeds[i] = feed_that_reads_ahead(&t, 1, &arrived);

    struct feed *late = backlog_feed(&t, &arrived);
    expect_true(waits_of_pass(&t, late, 0, BACKLOG) > 1);
    test_core_settle(&t);
    for (int i = 0; i < FEEDS; i++)
        feed_free(feeds[i]);
    expect_int(waits_of_pass(&t, late, 0, BACKLOG), 1);
    feed_free(late);
    test_core_end(&t);
}

/* Three messages, each as large as all that feeds may have ahead. */
static void publish_large(struct test_core *t)
{
    static char body[FEED_AHEAD_BYTES + 1];
    memset(body, 'x', FEED_AHEAD_BYTES);
    test_durable_queue(t, "large");
    for (int i = 0; i < 3; i++) {
        expect_ok(test_publish(t, "large", body, NULL));
        test_core_settle(t);
    }
}

TEST(what_is_read_ahead_counts_as_large_as_it_is)
{
    struct test_core t;
    struct record record;
    bool arrived = false;
    test_core_init_backlog(&t, BACKLOG);
    publish_large(&t);
    test_core_reopen(&t);
    struct queue *large = test_queue(&t, "large");
    struct feed *feed = feed_new(t.core->internal->feeds, large->log, has_arrived, &arrived);
    expect_err(feed_at(feed, 0, 3, &record), E_COLD);
    test_core_settle(&t);
    expect_ok(feed_at(feed, 0, 3, &record));
    feed_rest(feed);
    test_core_settle(&t);

    struct feed *small = backlog_feed(&t, &arrived);
    expect_true(waits_of_pass(&t, small, 0, BACKLOG) > 1);
    expect_ok(feed_at(feed, 1, 2, &record)); /* it was taken, and nothing of it is ahead */
    feed_rest(feed);
    expect_int(waits_of_pass(&t, small, 0, BACKLOG), 1);
    feed_free(small);
    feed_free(feed);
    test_core_end(&t);
}

TEST(a_feed_may_go_while_it_reads_ahead)
{
    struct test_core t;
    bool arrived = false;
    test_core_init_backlog(&t, BACKLOG);
    for (int i = 0; i < 2 * FEED_AHEAD_BYTES / FEED_READ_MAX_BYTES; i++)
        feed_free(feed_that_reads_ahead(&t, 1, &arrived));
    test_core_settle(&t);
    struct feed *feed = backlog_feed(&t, &arrived);
    expect_int(waits_of_pass(&t, feed, 0, BACKLOG), 1);
    feed_free(feed);
    test_core_end(&t);
}
