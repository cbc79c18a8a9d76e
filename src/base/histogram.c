/*
 * Bucket of a value v: below 64 it is v itself. Above, with 2^e <= v < 2^(e+1), the row e - 5 holds
 * 64 steps of 2^(e-6) each.
 */
#include "base/histogram.h"

#include <assert.h>
#include <stddef.h>

#include "base/check.h"

enum { STEPS = 64, STEPS_BITS = 6, ROWS = 63 - STEPS_BITS + 1 };

static_assert(HISTOGRAM_BUCKETS == STEPS * ROWS, "a row for each power of two from 64 to 2^62");

static size_t bucket_of(int64_t value)
{
    uint64_t v = value < 0 ? 0 : (uint64_t)value;

    if (v < STEPS)
        return (size_t)v;
    int exponent = 63 - __builtin_clzll(v);
    int shift = exponent - STEPS_BITS;
    return (size_t)(shift + 1) * STEPS + (size_t)(v >> shift) % STEPS;
}

/* The highest value of a bucket. */
static int64_t bucket_top(size_t bucket)
{
    if (bucket < STEPS)
        return (int64_t)bucket;
    size_t shift = bucket / STEPS - 1;
    uint64_t above = (uint64_t)(STEPS + bucket % STEPS + 1) << shift;
    return (int64_t)(above - 1);
}

void histogram_init(struct histogram *h)
{
    *h = (struct histogram){.min = INT64_MAX};
}

void histogram_add(struct histogram *h, int64_t value)
{
    if (value < 0)
        value = 0;
    h->counts[bucket_of(value)]++;
    h->total++;
    h->sum += (double)value;
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t seen = 0;

    check(q >= 0 && q <= 1);
    if (h->total == 0)
        return 0;
    /* 0.07 * 100 is a little above 7: without the allowance the eighth value would be taken. */
    double wanted = q * (double)h->total * (1 - 1e-12);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen && (double)seen >= wanted)
            return bucket_top(i) < h->max ? bucket_top(i) : h->max;
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->total ? h->sum / (double)h->total : 0;
}
