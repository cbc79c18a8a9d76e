/* When messages are due, against an array of their times. */
#include "broker/due_index.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "tests/test.h"

/* A log: the due time of each offset, -1 when it has none; and the index. */
struct timed_log {
    struct random random;
    struct due_budget budget;
    struct due_index ix;
    VEC(int64_t) due;
    VEC(bool) taken;
    int64_t now_ms;
    size_t left; /* that are due some time */
    size_t scanned;
};

static void begin(struct timed_log *l, uint64_t seed, size_t entries_max)
{
    *l = (struct timed_log){.now_ms = 1700000000000, .budget.max = entries_max};
    random_init(&l->random, seed);
    due_index_init(&l->ix, &l->budget);
}

static void end(struct timed_log *l)
{
    due_index_reset(&l->ix);
    expect_int(l->budget.count, 0);
    vec_reset(&l->due);
    vec_reset(&l->taken);
}

static void append(struct timed_log *l, int64_t due_ms)
{
    int64_t offset = (int64_t)l->due.count;
    vec_push(&l->due, due_ms);
    vec_push(&l->taken, false);
    if (due_ms < 0)
        return;
    l->left++;
    due_index_add(&l->ix, offset, due_ms);
}

static void take_entry(struct timed_log *l, struct due_entry e)
{
    for (int64_t offset = e.from; offset < e.from + (int64_t)e.count; offset++) {
        expect_int(l->due.items[offset], e.due_ms);
        expect_true(l->due.items[offset] <= l->now_ms);
        expect_false(l->taken.items[offset]);
        l->taken.items[offset] = true;
        l->left--;
    }
}

/* Take all that is due and scan what wants to be scanned, as an owner does. */
static void work(struct timed_log *l)
{
    struct due_entry entries[100];
    int64_t from, to;
    size_t count;
    bool busy = true;
    while (busy) {
        busy = false;
        while ((count = due_index_take(&l->ix, l->now_ms, entries, 100)) > 0) {
            for (size_t i = 0; i < count; i++)
                take_entry(l, entries[i]);
            busy = true;
        }
        if (due_index_scan(&l->ix, l->now_ms, 0, (int64_t)l->due.count, &from, &to)) {
            int64_t middle = from + 1 + (int64_t)random_below(&l->random, (uint64_t)(to - from));
            for (int64_t offset = from; offset < middle; offset++)
                if (l->due.items[offset] >= 0 && !l->taken.items[offset])
                    due_index_found(&l->ix, offset, l->due.items[offset]);
            due_index_scanned(&l->ix, middle);
            l->scanned += (size_t)(middle - from);
            busy = true;
        }
        due_index_check(&l->ix);
    }
}

static void expect_nothing_late(struct timed_log *l)
{
    for (size_t i = 0; i < l->due.count; i++)
        expect_true(l->due.items[i] < 0 || l->taken.items[i] || l->due.items[i] > l->now_ms);
}

TEST(everything_is_taken_when_it_is_due_once_and_never_before)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct timed_log l;
        begin(&l, seed, seed % 2 ? DUE_NEAR_MAX : 6000);
        int64_t spread = (int64_t)1 << (4 + random_below(&l.random, 30));
        for (int round = 0; round < 40; round++) {
            for (uint64_t n = random_below(&l.random, 800); n > 0; n--)
                append(&l, random_below(&l.random, 5) == 0
                               ? -1
                               : l.now_ms + (int64_t)random_below(&l.random, (uint64_t)spread));
            l.now_ms += (int64_t)random_below(&l.random, (uint64_t)spread / 20 + 2);
            work(&l);
            expect_nothing_late(&l);
        }
        l.now_ms += spread;
        work(&l);
        expect_int(l.left, 0);
        expect_int(l.ix.count, 0);
        end(&l);
    }
}

TEST(entries_beyond_the_limit_are_left_to_the_log_and_found_again)
{
    enum { MESSAGES = 400000, LIMIT = 20000, SPREAD_MS = 3600000 };
    struct timed_log l;
    begin(&l, 7, LIMIT);
    for (int i = 0; i < MESSAGES; i++) {
        append(&l, l.now_ms + 1 + (int64_t)random_below(&l.random, SPREAD_MS));
        expect_true(l.ix.count <= LIMIT);
    }
    for (int64_t end_ms = l.now_ms + SPREAD_MS; l.now_ms < end_ms;) {
        int64_t next_ms = due_index_next(&l.ix, l.now_ms);
        expect_true(next_ms < INT64_MAX);
        l.now_ms = next_ms > l.now_ms + 10000 ? next_ms : l.now_ms + 10000;
        work(&l);
        expect_true(l.ix.count <= LIMIT);
    }
    expect_nothing_late(&l);
    expect_int(l.left, 0);
    expect_true(l.scanned < (size_t)MESSAGES * (MESSAGES / (LIMIT / 4)));
    end(&l);
}

TEST(what_is_unknown_after_a_start_is_found_by_a_scan)
{
    struct timed_log l;
    begin(&l, 3, DUE_NEAR_MAX);
    for (int i = 0; i < 200000; i++) {
        vec_push(&l.due, i % 3 ? -1 : l.now_ms + 1000 + i);
        vec_push(&l.taken, false);
        l.left += i % 3 == 0;
    }
    due_index_unknown(&l.ix, 0, 200000);
    append(&l, l.now_ms + 10); /* while nothing is known of the others */
    l.now_ms += 1500;
    work(&l);
    expect_nothing_late(&l);
    expect_int(l.scanned, 200001);
    expect_int(due_index_next(&l.ix, l.now_ms), l.now_ms + 1 + (3 - 501 % 3) % 3);
    l.now_ms += 1000000;
    work(&l);
    expect_int(l.left, 0);
    expect_int(l.scanned, 200001);
    end(&l);
}

TEST(neighbours_with_one_due_time_are_one_entry)
{
    struct timed_log l;
    begin(&l, 3, DUE_NEAR_MAX);
    for (int i = 0; i < 100000; i++)
        append(&l, l.now_ms + 60000 + i / 1000);
    expect_int(l.ix.count, 100);
    l.now_ms += 70000;
    work(&l);
    expect_int(l.left, 0);
    end(&l);
}

static bool is_even(const void *ctx, int64_t offset)
{
    (void)ctx;
    return offset % 2 == 0;
}

TEST(entries_of_records_that_are_done_are_swept_out)
{
    struct timed_log l;
    begin(&l, 3, DUE_NEAR_MAX);
    for (int i = 0; i < 10000; i++)
        append(&l, l.now_ms + (int64_t)random_below(&l.random, 1000000));
    due_index_sweep(&l.ix, 20000, is_even, NULL);
    expect_int(l.ix.count, 5000);
    due_index_check(&l.ix);
    end(&l);
}

TEST(a_time_beyond_all_limits_is_never)
{
    struct timed_log l;
    begin(&l, 3, DUE_NEAR_MAX);
    due_index_add(&l.ix, 0, INT64_MAX);
    due_index_add(&l.ix, 1, -5);
    struct due_entry e[3];
    expect_int(due_index_take(&l.ix, l.now_ms, e, 3), 1);
    expect_int(e[0].from, 1);
    expect_int(l.ix.count, 1);
    end(&l);
}
