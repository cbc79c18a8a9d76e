#include "base/vec.h"

enum { VEC_CAPACITY_MIN = 8 };

void *vec_grow(void *items, size_t want, size_t *capacity, size_t item_size)
{
    size_t grown = *capacity < VEC_CAPACITY_MIN ? VEC_CAPACITY_MIN : *capacity;
    size_t size;

    while (grown < want) {
        check(grown <= SIZE_MAX / 2);
        grown *= 2;
    }
    check(!__builtin_mul_overflow(grown, item_size, &size));
    *capacity = grown;
    return xrealloc(items, size);
}
