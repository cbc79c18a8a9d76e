/* Log-linear histogram of non-negative integers: 64 linear steps for each power of two, so any
 * quantile is exact to 1.6 %. Fixed size (30 KiB), merges by addition. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 64 * 58 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    int64_t min, max; /* when total > 0 */
    double sum;
};

void histogram_init(struct histogram *h);
/* Values below 0 count as 0. */
void histogram_add(struct histogram *h, int64_t value);
/* The value below or at which the share `q` (0 to 1) of all values lies; 0 when empty. */
int64_t histogram_quantile(const struct histogram *h, double q);
double histogram_mean(const struct histogram *h);

#endif
