#include "broker/return_counts.h"

#include "base/random.h"
#include "tests/test.h"

enum { OFFSETS = 200 };

TEST(a_stretch_of_equal_numbers_is_one_run)
{
    struct return_counts c = {0};
    struct return_run run;
    return_counts_put(&c, 10, 10000000, 1);
    return_counts_put(&c, 20, 30, 6);
    expect_int(return_counts_get(&c, 9), 0);
    expect_int(return_counts_get(&c, 10), 1);
    expect_int(return_counts_get(&c, 25), 6);
    expect_true(return_counts_next(&c, 0, INT64_MAX, &run));
    expect_true(run.from == 10 && run.to == 20 && run.number == 1);
    expect_true(return_counts_next(&c, 20, INT64_MAX, &run));
    expect_true(run.from == 20 && run.to == 30 && run.number == 6);
    expect_true(return_counts_next(&c, 30, 9000000, &run));
    expect_true(run.from == 30 && run.to == 9000000 && run.number == 1);
    return_counts_remove(&c, 0, INT64_MAX);
    expect_false(return_counts_next(&c, 0, INT64_MAX, &run));
    return_counts_reset(&c);
}

static void compare(const struct return_counts *c, const uint32_t *model)
{
    struct return_run run;
    int64_t at = 0;
    while (return_counts_next(c, at, OFFSETS, &run)) {
        for (; at < run.from; at++)
            expect_int(model[at], 0);
        expect_true(run.to > run.from);
        for (; at < run.to; at++) {
            expect_int(model[at], run.number);
            expect_int(return_counts_get(c, at), run.number);
        }
    }
    for (; at < OFFSETS; at++)
        expect_int(model[at], 0);
}

TEST(numbers_are_those_of_a_plain_array)
{
    struct random random;
    struct return_counts c = {0};
    uint32_t model[OFFSETS] = {0};
    random_init(&random, test_seed());
    for (int i = 0; i < 5000; i++) {
        int64_t from = (int64_t)random_below(&random, OFFSETS);
        int64_t to = from + (int64_t)random_below(&random, (uint64_t)(OFFSETS - from) + 1);
        uint32_t number = (uint32_t)random_below(&random, 10);
        enum { PUT, RAISE, REMOVE } how = (unsigned)random_below(&random, 3);
        for (int64_t at = from; at < to; at++)
            if (how != RAISE || model[at] < number)
                model[at] = how == REMOVE ? 0 : number;
        if (how == PUT)
            return_counts_put(&c, from, to, number);
        else if (how == RAISE)
            return_counts_raise(&c, from, to, number);
        else
            return_counts_remove(&c, from, to);
        compare(&c, model);
    }
    return_counts_reset(&c);
}
