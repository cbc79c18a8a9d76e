/*
 * Growable arrays of any element type, by macro: `VEC(struct range) ranges = {0};`. Growth doubles.
 * The elements are contiguous at .items and move when the array grows.
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count;                                                                              \
        size_t capacity;                                                                           \
    }

/* The same for fields of what there are very many of: fewer than 2^32 elements, and room for one at first. */
#define VEC_SMALL(type)                                                                            \
    struct {                                                                                       \
        type *items;                                                                               \
        uint32_t count;                                                                            \
        uint32_t capacity;                                                                         \
    }

/* Make room for `more` elements behind the last. */
#define vec_reserve(v, more)                                                                       \
    ((size_t)(v)->count + (more) > (v)->capacity                                                   \
         ? (void)((v)->items = vec_grow((v)->items, (size_t)(v)->count + (more), &(v)->capacity,   \
                                        sizeof(v)->capacity, sizeof *(v)->items))                  \
         : (void)0)

#define vec_push(v, item) (vec_reserve(v, 1), (v)->items[(v)->count++] = (item), (void)0)
#define vec_pop(v) (check((v)->count > 0), (v)->items[--(v)->count])
#define vec_last(v) (*(check((v)->count > 0), &(v)->items[(v)->count - 1]))
#define vec_clear(v) ((void)((v)->count = 0))
#define vec_reset(v) (free((v)->items), memset((v), 0, sizeof *(v)), (void)0)

/* Remove the element at `i`, keeping the order of the others. */
#define vec_remove(v, i)                                                                           \
    (check((i) < (v)->count),                                                                      \
     memmove((v)->items + (i), (v)->items + (i) + 1, ((v)->count - (i)-1) * sizeof *(v)->items),   \
     (v)->count--, (void)0)

/* Insert `item` in front of the element at `i`. */
#define vec_insert(v, i, item)                                                                     \
    (check((i) <= (v)->count), vec_reserve(v, 1),                                                  \
     memmove((v)->items + (i) + 1, (v)->items + (i), ((v)->count - (i)) * sizeof *(v)->items),     \
     (v)->items[(i)] = (item), (v)->count++, (void)0)

/* For the macros: `capacity` is that of a VEC or, of four bytes, of a VEC_SMALL. */
void *vec_grow(void *items, size_t want, void *capacity, size_t capacity_size, size_t item_size);

#endif
