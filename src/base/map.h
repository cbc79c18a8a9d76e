/*
 * Hash maps to pointers: `struct map` by bytes (the map borrows the key, which must live in the
 * value), `struct idmap` by 64-bit integer. Open addressing, backward-shift deletion, at most 3/4
 * full, shrinks when emptied. Order of iteration is unspecified; changing a map while iterating is
 * a bug.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct map_slot {
    const uint8_t *key;
    uint32_t key_size; /* keys of 4 GiB are refused */
    uint32_t hash;
    void *value; /* NULL: the slot is free */
};

struct map {
    struct map_slot *slots;
    size_t count;
    size_t capacity; /* 0 or a power of two */
};

/* A zeroed map is empty. map_reset() frees the table, not the values. */
void map_reset(struct map *m);
void *map_get(const struct map *m, struct bytes key);
/* `key` must stay valid while it is in the map; value not NULL. Returns the value replaced, or
 * NULL. */
void *map_put(struct map *m, struct bytes key, void *value);
/* Returns the value removed, or NULL. */
void *map_remove(struct map *m, struct bytes key);
/* Iterate: start with *position 0; returns NULL at the end. */
void *map_next(const struct map *m, size_t *position);

struct idmap_slot {
    uint64_t key;
    void *value;
};

struct idmap {
    struct idmap_slot *slots;
    size_t count;
    size_t capacity;
};

void idmap_reset(struct idmap *m);
void *idmap_get(const struct idmap *m, uint64_t key);
/* Begin to bring the key's slot into the processor's cache, for a look at many keys in turn. */
void idmap_prefetch(const struct idmap *m, uint64_t key);
void *idmap_put(struct idmap *m, uint64_t key, void *value);
void *idmap_remove(struct idmap *m, uint64_t key);
void *idmap_next(const struct idmap *m, size_t *position);

#endif
