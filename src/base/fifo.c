#include "base/fifo.h"

#include <string.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 4, KEPT_CAPACITY = 64 };

/* What was dropped from the front is used again before the array grows. */
void *fifo_make_room(void *items, size_t item_size, uint32_t *first, uint32_t count,
                     uint32_t *capacity)
{
    if (*first > 0 && *first >= *capacity / 2) {
        memmove(items, (char *)items + *first * item_size, count * item_size);
        *first = 0;
        return items;
    }
    check(*capacity <= UINT32_MAX / 2);
    *capacity = *capacity ? *capacity * 2 : FIRST_CAPACITY;
    return xrealloc(items, *capacity * item_size);
}

void *fifo_empty(void *items, uint32_t *first, uint32_t *capacity)
{
    *first = 0;
    if (*capacity <= KEPT_CAPACITY)
        return items;
    *capacity = 0;
    free(items);
    return NULL;
}
