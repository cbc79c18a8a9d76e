#include "broker/counters.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"

struct counters *counters_new(void)
{
    return xzalloc(sizeof(struct counters));
}

void counters_free(struct counters *c)
{
    if (!c)
        return;
    rates_free(c->rates);
    free(c);
}

const char *counter_name(enum counter c)
{
    static const char *const names[COUNTERS] = {
#define COUNTER_NAME(name) #name,
        COUNTERS_TABLE(COUNTER_NAME)
#undef COUNTER_NAME
    };
    check(c < COUNTERS);
    return names[c];
}

void counters_add_all(struct counters **at, const struct counters *from)
{
    for (int c = 0; from && c < COUNTERS; c++)
        if (from->count[c])
            counters_add(at, (enum counter)c, from->count[c]);
}

/* ---- sizes ---- */

/* RabbitMQ's rows. */
static const struct {
    uint64_t limit;
    enum metric metric;
} sizes[COUNTERS_SIZES] = {
    {100, METRIC_messages_to_100},
    {1000, METRIC_messages_to_1000},
    {10000, METRIC_messages_to_10000},
    {100000, METRIC_messages_to_100000},
    {1000000, METRIC_messages_to_1000000},
    {10000000, METRIC_messages_to_10000000},
    {50000000, METRIC_messages_to_50000000},
    {100000000, METRIC_messages_to_100000000},
    {0, METRIC_messages_larger},
};

void counters_add_message(size_t body_bytes)
{
    int row = 0;

    while (sizes[row].limit && body_bytes > sizes[row].limit)
        row++;
    metrics_add(sizes[row].metric, 1);
    metrics_add(METRIC_message_bytes, body_bytes);
}

uint64_t counters_messages_of_size(int row, uint64_t *out_limit)
{
    check(row >= 0 && row < COUNTERS_SIZES);
    *out_limit = sizes[row].limit;
    return metrics_sum(sizes[row].metric);
}
