/*
 * Rates of what only counts up, from samples that are taken when somebody asks: no timer runs over
 * objects that nobody looks at. Two old samples are kept, some seconds apart, so that a rate is that
 * of the last seconds for who asks often, and that since the last question for who asks seldom.
 */
#ifndef BROKER_RATES_H
#define BROKER_RATES_H

#include <stddef.h>
#include <stdint.h>

struct rates;

enum { RATES_INTERVAL_MS = 5000 };

/* How much each of `count` values has grown a second. *at is NULL at first and made here; the first
 * answer is 0. The count is the same each time; a value may also have become less. */
void rates_ask(struct rates **at, const uint64_t *values, size_t count, int64_t now_ms,
               double *out);
void rates_free(struct rates *r); /* accepts NULL */

#endif
