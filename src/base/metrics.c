/* Rows are never freed, so that the counts of a thread that ended stay in the sums. */
#include "base/metrics.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "base/mem.h"

struct metrics_node {
    struct metrics_row row;
    struct metrics_node *next;
};

_Thread_local struct metrics_row *metrics_own;

static struct metrics_node *metrics_all; /* pushed to by any thread, read by any */

static const struct {
    const char *name, *kind, *unit, *help;
} metrics_table[METRIC_COUNT] = {
#define METRIC_INFO(name, kind, unit, help) {#name, #kind, unit, help},
    METRICS_TABLE(METRIC_INFO)
#undef METRIC_INFO
};

void metrics_join(void)
{
    if (metrics_own)
        return;
    struct metrics_node *node = xzalloc(round_up(sizeof *node, 64));
    node->next = __atomic_load_n(&metrics_all, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&metrics_all, &node->next, node, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        continue;
    metrics_own = &node->row;
}

uint64_t metrics_sum(enum metric m)
{
    uint64_t sum = 0;

    check(m < METRIC_COUNT);
    for (struct metrics_node *node = __atomic_load_n(&metrics_all, __ATOMIC_ACQUIRE); node;
         node = node->next)
        sum += __atomic_load_n(&node->row.cells[m], __ATOMIC_RELAXED);
    return sum;
}

const char *metrics_name(enum metric m)
{
    check(m < METRIC_COUNT);
    return metrics_table[m].name;
}

const char *metrics_kind(enum metric m)
{
    check(m < METRIC_COUNT);
    return metrics_table[m].kind;
}

const char *metrics_unit(enum metric m)
{
    check(m < METRIC_COUNT);
    return metrics_table[m].unit;
}

const char *metrics_help(enum metric m)
{
    check(m < METRIC_COUNT);
    return metrics_table[m].help;
}
