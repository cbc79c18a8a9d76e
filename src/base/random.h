/* Seeded random numbers (xoshiro256**): deterministic, for routing draws, names and simulation. Not
 * for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_init(struct random *r, uint64_t seed);
uint64_t random_u64(struct random *r);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *r, uint64_t bound);
void random_fill(struct random *r, void *out, size_t size);

#endif
