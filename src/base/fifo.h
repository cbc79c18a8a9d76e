/*
 * Growable arrays that are added to at the back and dropped from the front, of any element type, by
 * macro: `FIFO(struct range) ranges = {0};`. Any struct with these four fields will do.
 *
 * The elements are contiguous from fifo_at(f, 0) on. They move when something is added, and the array
 * of one that has become empty goes back if it is large.
 */
#ifndef BASE_FIFO_H
#define BASE_FIFO_H

#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"

#define FIFO(type)                                                                                 \
    struct {                                                                                       \
        type *items;                                                                               \
        uint32_t first, count, capacity;                                                           \
    }

/* The element that has `i` in front of it. */
#define fifo_at(f, i) (&(f)->items[(f)->first + (i)])

/* Make room for one more behind the last. */
#define fifo_reserve(f)                                                                            \
    ((f)->first + (f)->count == (f)->capacity                                                      \
         ? (void)((f)->items = fifo_make_room((f)->items, sizeof *(f)->items, &(f)->first,         \
                                              (f)->count, &(f)->capacity))                         \
         : (void)0)

#define fifo_push(f, ...)                                                                          \
    (fifo_reserve(f), *fifo_at(f, (f)->count) = (__VA_ARGS__), (f)->count++, (void)0)

/* Drop the first one. */
#define fifo_drop(f)                                                                               \
    (check((f)->count > 0), (f)->first++,                                                          \
     --(f)->count == 0 ? (void)((f)->items = fifo_empty((f)->items, &(f)->first, &(f)->capacity))  \
                       : (void)0)

#define fifo_reset(f)                                                                              \
    (free((f)->items), (f)->items = NULL, (f)->first = (f)->count = (f)->capacity = 0, (void)0)

void *fifo_make_room(void *items, size_t item_size, uint32_t *first, uint32_t count,
                     uint32_t *capacity);
void *fifo_empty(void *items, uint32_t *first, uint32_t *capacity);

#endif
