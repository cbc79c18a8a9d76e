/*
 * Sorting in steps, so that a turn stays short however much there is to sort. It is stable: a merge
 * sort of indices, from runs of one upwards.
 */
#ifndef MANAGE_SLOW_SORT_H
#define MANAGE_SLOW_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slow_sort {
    uint32_t *order; /* indices; in order when it has ended */
    size_t count;
    /* inside */
    uint32_t *other;
    size_t width; /* of the runs that are merged */
    size_t left, left_end, right, right_end, out;
    int (*compare)(const void *ctx, uint32_t a, uint32_t b);
    const void *ctx;
};

/* Of the indices below `count`; what was sorted before is forgotten. compare NULL: they are in order
 * already. */
void slow_sort_start(struct slow_sort *s, size_t count,
                     int (*compare)(const void *ctx, uint32_t a, uint32_t b), const void *ctx);
/* Go on for so many comparisons. True: it has ended. */
bool slow_sort_step(struct slow_sort *s, size_t comparisons);
void slow_sort_reset(struct slow_sort *s);

#endif
