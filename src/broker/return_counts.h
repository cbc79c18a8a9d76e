/*
 * How often each record came back. Whole stretches of a queue come back at once when a consumer is lost,
 * so the numbers are kept by their binary digits, a set of offsets for each digit: a stretch costs some
 * bytes in each, and no record costs more than its digits.
 */
#ifndef BROKER_RETURN_COUNTS_H
#define BROKER_RETURN_COUNTS_H

#include "broker/offset_set.h"

struct return_counts {             /* zeroed: 0 for all */
    VEC(struct offset_set) digits; /* the lowest first */
};

struct return_run { /* records [from, to) came back for the `number`th time */
    int64_t from, to;
    uint32_t number;
};

void return_counts_reset(struct return_counts *c);
uint32_t return_counts_get(const struct return_counts *c, int64_t offset);
void return_counts_put(struct return_counts *c, int64_t from, int64_t to, uint32_t number);
/* Those in [from, to) that are smaller become `number`. */
void return_counts_raise(struct return_counts *c, int64_t from, int64_t to, uint32_t number);
/* They are 0 again. */
void return_counts_remove(struct return_counts *c, int64_t from, int64_t to);
/* The first run of equal numbers other than 0 in [from, to); false when there is none. */
bool return_counts_next(const struct return_counts *c, int64_t from, int64_t to,
                        struct return_run *out);

#endif
