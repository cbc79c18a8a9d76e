#include "broker/queue_priorities.h"

#include "tests/test.h"

enum { COUNT = 100000, MAX = 9 };

/* Take and settle what comes first, and expect it to be the oldest one of the highest priority. */
static void take_all_of(struct queue_priorities *p, struct subscription *s, int priority)
{
    for (int64_t offset = MAX - priority; offset < COUNT; offset += MAX + 1) {
        expect_int(queue_priorities_head(p, s), offset);
        struct taking taking = subscription_take(s, offset);
        expect_true(subscription_settle(s, offset, taking.number));
    }
}

TEST(what_is_done_of_one_priority_is_not_looked_at_for_the_next)
{
    struct queue_priorities *p = queue_priorities_new(MAX);
    struct subscription *s = subscription_new();
    subscription_start(s, 0, COUNT, false);
    for (int64_t offset = 0; offset < COUNT; offset++)
        queue_priorities_add(p, offset, (uint8_t)(MAX - offset % (MAX + 1)));
    for (int priority = MAX; priority > 0; priority--) {
        take_all_of(p, s, priority);
        (void)queue_priorities_head(p, s);
        expect_int(p->from[priority], COUNT);
    }
    take_all_of(p, s, 0);
    expect_int(queue_priorities_head(p, s), -1);
    expect_true(COUNT - p->swept < 4096);
    for (int priority = 0; priority <= MAX; priority++)
        expect_true(offset_set_next(&p->members[priority], 0) >= p->swept);
    subscription_free(s);
    queue_priorities_free(p);
}

TEST(what_is_learned_when_it_is_done_already_is_not_kept)
{
    struct queue_priorities *p = queue_priorities_new(MAX);
    struct subscription *s = subscription_new();
    subscription_start(s, 0, COUNT, false);
    expect_int(subscription_settle_ready(s, 0, COUNT / 2), COUNT / 2);
    expect_int(queue_priorities_head(p, s), -1);
    queue_priorities_add(p, COUNT / 2 - 1, 5);
    expect_true(offset_set_is_empty(&p->members[5]));
    queue_priorities_add(p, COUNT / 2, 4); /* below what was looked through */
    expect_int(queue_priorities_head(p, s), COUNT / 2);
    subscription_free(s);
    queue_priorities_free(p);
}
