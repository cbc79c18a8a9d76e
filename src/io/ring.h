/*
 * A bounded ring between two threads: one puts, one gets. Slots are values of one size. Both sides
 * work in batches: what was put becomes visible by ring_publish(), the room of what was got returns
 * by ring_release(), so a batch costs one store for each side. Neither side ever waits; a full ring
 * says so, and the putting side keeps what it has for its next turn.
 *
 * Each side keeps a copy of the other's position, in a cache line of its own, and looks at the real
 * one only when the copy says that there is nothing to do.
 */
#ifndef IO_RING_H
#define IO_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { CACHE_LINE_BYTES = 64 };

struct ring {
    uint8_t *slots;
    size_t slot_bytes;
    uint64_t mask;

    _Alignas(CACHE_LINE_BYTES) uint64_t put_at; /* the putting side's */
    uint64_t seen_released;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t published;

    _Alignas(CACHE_LINE_BYTES) uint64_t get_at; /* the getting side's */
    uint64_t seen_published;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t released;
};

/* `slot_count` is a power of two. */
void ring_init(struct ring *r, size_t slot_count, size_t slot_bytes);
void ring_reset(struct ring *r);

/* The next free slot, or NULL when the ring is full. The caller fills it before ring_publish(). */
static inline void *ring_put(struct ring *r)
{
    if (r->put_at - r->seen_released > r->mask) {
        r->seen_released = atomic_load_explicit(&r->released, memory_order_acquire);
        if (r->put_at - r->seen_released > r->mask)
            return NULL;
    }
    return r->slots + (r->put_at++ & r->mask) * r->slot_bytes;
}

static inline void ring_publish(struct ring *r)
{
    atomic_store_explicit(&r->published, r->put_at, memory_order_release);
}

/* The next slot that was published, or NULL. It stays valid until ring_release(). */
static inline void *ring_get(struct ring *r)
{
    if (r->get_at == r->seen_published) {
        r->seen_published = atomic_load_explicit(&r->published, memory_order_acquire);
        if (r->get_at == r->seen_published)
            return NULL;
    }
    return r->slots + (r->get_at++ & r->mask) * r->slot_bytes;
}

/* Give back every slot got so far. */
static inline void ring_release(struct ring *r)
{
    atomic_store_explicit(&r->released, r->get_at, memory_order_release);
}

#endif
