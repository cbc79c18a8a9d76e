#include "base/vec.h"

#include <stdbool.h>

enum { VEC_CAPACITY_MIN = 8 };

void *vec_grow(void *items, size_t want, void *capacity, size_t capacity_size, size_t item_size)
{
    bool is_small = capacity_size == sizeof(uint32_t);
    size_t grown = is_small ? *(uint32_t *)capacity : *(size_t *)capacity;
    size_t size;

    if (grown == 0)
        grown = is_small ? 1 : VEC_CAPACITY_MIN;
    while (grown < want) {
        check(grown <= SIZE_MAX / 2);
        grown *= 2;
    }
    check(!__builtin_mul_overflow(grown, item_size, &size));
    if (is_small) {
        check(grown <= UINT32_MAX);
        *(uint32_t *)capacity = (uint32_t)grown;
    } else {
        *(size_t *)capacity = grown;
    }
    return xrealloc(items, size);
}
