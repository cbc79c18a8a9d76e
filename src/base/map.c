/*
 * Linear probing: a key lies at its home slot or in the run of full slots behind it. A removal
 * shifts the rest of the run back over the hole, so there are no tombstones and a search ends at
 * the first free slot.
 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { CAPACITY_MIN = 16 };

/* The capacity to have before `count` keys lie in a table of `capacity`. */
static size_t capacity_for(size_t count, size_t capacity)
{
    if (count > capacity - capacity / 4)
        return capacity ? capacity * 2 : CAPACITY_MIN;
    if (capacity > CAPACITY_MIN && count < capacity / 8)
        return capacity / 2;
    return capacity;
}

/* Zeroed here rather than by calloc(): what is put next is written all over the table behind a look at
 * each slot, and new memory costs one page fault to be read and another one to be written. */
static void *new_slots(size_t capacity, size_t slot_bytes)
{
    return memset(xmalloc(capacity * slot_bytes), 0, capacity * slot_bytes);
}

/* Whether a key with home slot `home`, found at `at`, may move back to the hole: it may when the
 * hole is not in front of its home. Distances go round the end of the table. */
static bool may_fill(size_t hole, size_t home, size_t at, size_t mask)
{
    return ((at - home) & mask) >= ((at - hole) & mask);
}

static struct bytes slot_key(const struct map_slot *slot)
{
    return bytes_of(slot->key, slot->key_size);
}

/* Slots keep half of it: enough for tables of 2^32. */
static uint32_t map_hash(struct bytes key)
{
    return (uint32_t)bytes_hash(key);
}

/* The key's slot, or the free slot where it belongs. */
static struct map_slot *map_find(const struct map *m, struct bytes key, uint32_t hash)
{
    size_t i = hash & (m->capacity - 1);

    while (m->slots[i].value &&
           (m->slots[i].hash != hash || !bytes_equal(slot_key(&m->slots[i]), key)))
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

static void map_resize(struct map *m, size_t capacity)
{
    struct map old = *m;

    if (capacity == old.capacity)
        return;
    m->capacity = capacity;
    m->slots = new_slots(capacity, sizeof *m->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value)
            *map_find(m, slot_key(&old.slots[i]), old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void map_reset(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

void *map_get(const struct map *m, struct bytes key)
{
    return m->count ? map_find(m, key, map_hash(key))->value : NULL;
}

void *map_put(struct map *m, struct bytes key, void *value)
{
    uint32_t hash = map_hash(key);

    check(value && key.size <= UINT32_MAX);
    map_resize(m, capacity_for(m->count + 1, m->capacity));
    struct map_slot *slot = map_find(m, key, hash);
    void *old = slot->value;
    *slot = (struct map_slot){key.data, (uint32_t)key.size, hash, value};
    m->count += !old;
    return old;
}

void *map_remove(struct map *m, struct bytes key)
{
    size_t mask = m->capacity - 1;

    if (m->count == 0)
        return NULL;
    struct map_slot *hole = map_find(m, key, map_hash(key));
    void *removed = hole->value;
    if (!removed)
        return NULL;
    for (size_t i = (size_t)(hole - m->slots + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        if (!may_fill((size_t)(hole - m->slots), m->slots[i].hash & mask, i, mask))
            continue;
        *hole = m->slots[i];
        hole = &m->slots[i];
    }
    *hole = (struct map_slot){0};
    m->count--;
    map_resize(m, capacity_for(m->count, m->capacity));
    return removed;
}

void *map_next(const struct map *m, size_t *position)
{
    while (*position < m->capacity) {
        void *value = m->slots[(*position)++].value;
        if (value)
            return value;
    }
    return NULL;
}

static size_t idmap_home(const struct idmap *m, uint64_t key)
{
    return bytes_hash_u64(key) & (m->capacity - 1);
}

static struct idmap_slot *idmap_find(const struct idmap *m, uint64_t key)
{
    size_t i = idmap_home(m, key);

    while (m->slots[i].value && m->slots[i].key != key)
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

static void idmap_resize(struct idmap *m, size_t capacity)
{
    struct idmap old = *m;

    if (capacity == old.capacity)
        return;
    m->capacity = capacity;
    m->slots = new_slots(capacity, sizeof *m->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value)
            *idmap_find(m, old.slots[i].key) = old.slots[i];
    free(old.slots);
}

void idmap_reset(struct idmap *m)
{
    free(m->slots);
    *m = (struct idmap){0};
}

void *idmap_get(const struct idmap *m, uint64_t key)
{
    return m->count ? idmap_find(m, key)->value : NULL;
}

void idmap_prefetch(const struct idmap *m, uint64_t key)
{
    if (m->count)
        __builtin_prefetch(&m->slots[idmap_home(m, key)]);
}

void *idmap_put(struct idmap *m, uint64_t key, void *value)
{
    check(value);
    idmap_resize(m, capacity_for(m->count + 1, m->capacity));
    struct idmap_slot *slot = idmap_find(m, key);
    void *old = slot->value;
    *slot = (struct idmap_slot){.key = key, .value = value};
    m->count += !old;
    return old;
}

void *idmap_remove(struct idmap *m, uint64_t key)
{
    size_t mask = m->capacity - 1;

    if (m->count == 0)
        return NULL;
    struct idmap_slot *hole = idmap_find(m, key);
    void *removed = hole->value;
    if (!removed)
        return NULL;
    for (size_t i = (size_t)(hole - m->slots + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = idmap_home(m, m->slots[i].key);
        if (!may_fill((size_t)(hole - m->slots), home, i, mask))
            continue;
        *hole = m->slots[i];
        hole = &m->slots[i];
    }
    *hole = (struct idmap_slot){0};
    m->count--;
    idmap_resize(m, capacity_for(m->count, m->capacity));
    return removed;
}

void *idmap_next(const struct idmap *m, size_t *position)
{
    while (*position < m->capacity) {
        void *value = m->slots[(*position)++].value;
        if (value)
            return value;
    }
    return NULL;
}
