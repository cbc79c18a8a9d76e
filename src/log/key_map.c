#include "log/key_map.h"

#include "base/mem.h"
#include "base/sip.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 256 };

/* ---- SipHash-2-4 with 128 bits (Aumasson, Bernstein), under a fixed key: whoever may write to a log
 * can replace its keys anyway ---- */

static uint64_t get_word(const uint8_t *p)
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--)
        word = word << 8 | p[i];
    return word;
}

static void sip_add(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

static uint64_t sip_end(uint64_t v[4], uint64_t mark)
{
    v[mark == 0xee ? 2 : 1] ^= mark;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void hash_key(struct bytes key, uint64_t out[2])
{
    static const uint64_t k[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint64_t v[4] = {k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d ^ 0xee,
                     k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573};
    uint8_t last[8] = {0};
    size_t at = 0;
    for (; at + 8 <= key.size; at += 8)
        sip_add(v, get_word(key.data + at));
    if (key.size > at)
        memcpy(last, key.data + at, key.size - at);
    last[7] = (uint8_t)key.size;
    sip_add(v, get_word(last));
    out[0] = sip_end(v, 0xee);
    out[1] = sip_end(v, 0xdd);
}

/* ---- the map ---- */

void key_map_init(struct key_map *m, size_t max_bytes)
{
    *m = (struct key_map){.max_bytes = max_bytes};
}

void key_map_reset(struct key_map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->count = m->capacity = 0;
}

/* The slot of this hash, or the free one where it belongs. */
static struct key_slot *find(const struct key_map *m, const uint64_t hash[2])
{
    size_t i = hash[0] & (m->capacity - 1);
    while (m->slots[i].offset >= 0 &&
           (m->slots[i].hash[0] != hash[0] || m->slots[i].hash[1] != hash[1]))
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

static bool grow(struct key_map *m)
{
    struct key_map old = *m;
    size_t capacity = old.capacity ? old.capacity * 2 : CAPACITY_FIRST;
    if (old.capacity && capacity * sizeof *m->slots > m->max_bytes)
        return false;
    m->capacity = capacity;
    m->slots = xmalloc(capacity * sizeof *m->slots);
    for (size_t i = 0; i < capacity; i++)
        m->slots[i].offset = -1;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].offset >= 0)
            *find(m, old.slots[i].hash) = old.slots[i];
    free(old.slots);
    return true;
}

bool key_map_put(struct key_map *m, struct bytes key, int64_t offset)
{
    uint64_t hash[2];
    hash_key(key, hash);
    struct key_slot *slot = m->capacity ? find(m, hash) : NULL;
    if (!slot || slot->offset < 0) {
        bool is_full = 8 * (m->count + 1) > 7 * m->capacity;
        if (is_full && !grow(m))
            return false;
        slot = is_full ? find(m, hash) : slot;
        m->count++;
    }
    *slot = (struct key_slot){{hash[0], hash[1]}, offset};
    return true;
}

int64_t key_map_get(const struct key_map *m, struct bytes key)
{
    uint64_t hash[2];
    if (m->count == 0)
        return -1;
    hash_key(key, hash);
    return find(m, hash)->offset;
}
