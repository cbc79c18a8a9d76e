#include "broker/rates.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct rates {
    size_t count;
    int64_t older_ms, newer_ms; /* older is not there yet: the same as newer */
    uint64_t values[];          /* of the older sample, then of the newer one */
};

void rates_free(struct rates *r)
{
    free(r);
}

static void remember(struct rates *r, const uint64_t *values, int64_t now_ms)
{
    memcpy(r->values, r->values + r->count, r->count * sizeof *values);
    memcpy(r->values + r->count, values, r->count * sizeof *values);
    r->older_ms = r->newer_ms;
    r->newer_ms = now_ms;
}

static struct rates *rates_new(const uint64_t *values, size_t count, int64_t now_ms)
{
    struct rates *r = xzalloc(sizeof *r + 2 * count * sizeof *values);
    r->count = count;
    remember(r, values, now_ms);
    remember(r, values, now_ms);
    return r;
}

void rates_ask(struct rates **at, const uint64_t *values, size_t count, int64_t now_ms, double *out)
{
    if (!*at)
        *at = rates_new(values, count, now_ms);
    struct rates *r = *at;
    check(r->count == count);
    if (now_ms - r->newer_ms >= RATES_INTERVAL_MS)
        remember(r, values, now_ms);
    int64_t span_ms = now_ms - r->older_ms;
    for (size_t i = 0; i < count; i++)
        out[i] = span_ms > 0
                     ? (double)(int64_t)(values[i] - r->values[i]) * 1000.0 / (double)span_ms
                     : 0.0;
}
