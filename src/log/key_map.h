/*
 * The newest offset of each key, for one pass of compaction: 24 bytes a key, whatever its size. Keys
 * are known by a hash of 128 bits (SipHash), so that two different ones never meet in practice.
 * Bounded: a full map takes no new keys, and the pass ends there. One thread at a time.
 */
#ifndef LOG_KEY_MAP_H
#define LOG_KEY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct key_slot {
    uint64_t hash[2];
    int64_t offset; /* -1: free */
};

struct key_map {
    struct key_slot *slots;
    size_t count, capacity; /* capacity: 0 or a power of two */
    size_t max_bytes;
};

void key_map_init(struct key_map *m, size_t max_bytes);
void key_map_reset(struct key_map *m);
/* Offsets of a key are put in ascending order. false: the key is new and the map is full. */
bool key_map_put(struct key_map *m, struct bytes key, int64_t offset);
int64_t key_map_get(const struct key_map *m, struct bytes key); /* -1: not there */

#endif
