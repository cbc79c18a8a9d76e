/* Quantiles against a sorted array. */
#include "base/histogram.h"

#include <stdlib.h>

#include "base/random.h"
#include "tests/test.h"

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void expect_close(int64_t got, int64_t exact)
{
    expect_true(got >= exact);
    expect_true((double)got <= (double)exact * (1 + 1.0 / 64));
}

static struct histogram h;

TEST(quantiles_are_within_a_sixty_fourth_of_the_exact_ones)
{
    enum { COUNT = 20000 };
    static int64_t values[COUNT];
    struct random r;

    random_init(&r, test_seed());
    histogram_init(&h);
    for (int i = 0; i < COUNT; i++) {
        values[i] = (int64_t)(random_u64(&r) >> (1 + random_below(&r, 63)));
        histogram_add(&h, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    for (int permille = 1; permille <= 1000; permille++) {
        /* The least value at or below which the share lies: rank = ceil(q * COUNT). */
        int rank = permille * (COUNT / 1000);
        expect_close(histogram_quantile(&h, permille / 1000.0), values[rank - 1]);
    }
    expect_int(h.min, values[0]);
    expect_int(h.max, values[COUNT - 1]);
    expect_int(histogram_quantile(&h, 1), values[COUNT - 1]);
    expect_close(histogram_quantile(&h, 0), values[0]);
}

TEST(every_power_of_two_and_its_neighbours_have_a_bucket)
{
    for (int bit = 0; bit < 63; bit++)
        for (int64_t step = -1; step <= 1; step++) {
            int64_t v = (int64_t)((UINT64_C(1) << bit) + (uint64_t)step);
            histogram_init(&h);
            histogram_add(&h, v);
            histogram_add(&h, INT64_MAX);
            expect_close(histogram_quantile(&h, 0.5), v);
        }
    expect_int(histogram_quantile(&h, 1), INT64_MAX);
}

TEST(small_values_are_exact)
{
    histogram_init(&h);
    for (int64_t v = 0; v < 100; v++)
        histogram_add(&h, v);
    for (int v = 1; v <= 100; v++)
        expect_int(histogram_quantile(&h, v / 100.0), v - 1);
    expect_true(histogram_mean(&h) == 49.5);
}

TEST(empty_histograms_answer_zero)
{
    histogram_init(&h);
    expect_int(histogram_quantile(&h, 0.99), 0);
    expect_true(histogram_mean(&h) == 0);
}

TEST(negative_values_count_as_zero)
{
    histogram_init(&h);
    histogram_add(&h, -5);
    expect_int(h.min, 0);
    expect_int(h.max, 0);
    expect_int(h.counts[0], 1);
}

TEST(quantiles_outside_zero_to_one_are_a_bug)
{
    expect_check_fails(histogram_quantile(&h, 1.1));
    expect_check_fails(histogram_quantile(&h, -0.1));
}
