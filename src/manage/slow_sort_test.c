#include "manage/slow_sort.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "tests/test.h"

static int compare(const void *ctx, uint32_t a, uint32_t b)
{
    const int *values = ctx;
    return (values[a] > values[b]) - (values[a] < values[b]);
}

TEST(a_slow_sort_is_stable_for_every_count_and_step)
{
    struct random random;
    random_init(&random, test_seed());
    for (size_t count = 0; count < 300; count++) {
        struct slow_sort sort = {0};
        int *values = xmalloc((count + 1) * sizeof *values);
        for (size_t i = 0; i < count; i++)
            values[i] = (int)random_below(&random, 20);
        size_t steps = 1 + random_below(&random, 50);
        slow_sort_start(&sort, count, compare, values);
        while (!slow_sort_step(&sort, steps))
            continue;
        for (size_t i = 1; i < count; i++) {
            uint32_t before = sort.order[i - 1], at = sort.order[i];
            expect_true(values[before] < values[at] ||
                        (values[before] == values[at] && before < at));
        }
        slow_sort_reset(&sort);
        free(values);
    }
}

TEST(what_is_sorted_already_stays_as_it_is)
{
    struct slow_sort sort = {0};
    slow_sort_start(&sort, 3, NULL, NULL);
    expect_true(slow_sort_step(&sort, 1));
    expect_int(sort.order[2], 2);
    slow_sort_reset(&sort);
}
