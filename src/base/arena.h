/*
 * A request's memory: allocated by moving a pointer, freed all at once. Every arena has a limit,
 * because decoded arrays amplify what a peer sent; over the limit an allocation returns NULL and
 * `exhausted` stays set, which the codec turns into a protocol error. An arena belongs to one
 * thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used_bytes;          /* of all blocks, alignment included */
    size_t limit_bytes;
    bool exhausted;
};

/* No memory is taken before the first allocation. */
void arena_init(struct arena *a, size_t limit_bytes);

/* Free everything; the arena can be used again. */
void arena_reset(struct arena *a);

/* Aligned to 16 bytes; NULL when over the limit. A size of 0 counts as 1. */
void *arena_alloc(struct arena *a, size_t size);

/* count * size zeroed bytes; NULL on overflow or over the limit. */
void *arena_zalloc(struct arena *a, size_t count, size_t size);

/* A copy with a NUL behind it (not counted in .size). `.data` is NULL when over the limit. */
struct bytes arena_copy(struct arena *a, struct bytes b);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
