#include "base/random.h"

#include <string.h>

#include "base/check.h"

static uint64_t rotate_left(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

/* The state is filled by splitmix64, as the authors of xoshiro advise: never all zero. */
void random_init(struct random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        r->state[i] = z ^ z >> 31;
    }
}

uint64_t random_u64(struct random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Multiply and take the high half; draws whose low half falls into the part that would favour small
 * results are thrown away (Lemire 2019). */
uint64_t random_below(struct random *r, uint64_t bound)
{
    unsigned __int128 product;

    check(bound > 0);
    do {
        product = (unsigned __int128)random_u64(r) * bound;
    } while ((uint64_t)product < -bound % bound);
    return (uint64_t)(product >> 64);
}

void random_fill(struct random *r, void *out, size_t size)
{
    uint8_t *p = out;

    while (size) {
        uint64_t v = random_u64(r);
        size_t part = size < sizeof v ? size : sizeof v;
        memcpy(p, &v, part);
        p += part;
        size -= part;
    }
}
