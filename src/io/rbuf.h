/*
 * Receive buffers as io sees them. `used` grows as bytes arrive; what is below it never changes
 * while anybody but io holds a reference. A pool counts the bytes of its buffers that are in use,
 * from whatever thread they are given back, and keeps a few of the usual size.
 */
#ifndef IO_RBUF_H
#define IO_RBUF_H

#include <pthread.h>
#include <stdatomic.h>

#include "io/link.h"

enum { RBUF_USUAL_BYTES = 128 * 1024 };

struct rbuf_pool;

struct rbuf {
    atomic_uint refs;
    struct rbuf_pool *pool; /* NULL: uncounted */
    struct rbuf *next_free;
    size_t capacity;
    size_t used;
    size_t counted;
    uint8_t bytes[];
};

struct rbuf_pool *rbuf_pool_new(void);
/* It lives on until its last buffer is given back. */
void rbuf_pool_free(struct rbuf_pool *pool);
size_t rbuf_pool_bytes(const struct rbuf_pool *pool);

struct rbuf *rbuf_new(struct rbuf_pool *pool, size_t capacity);
/* `size` more bytes have arrived. */
void rbuf_add_used(struct rbuf *b, size_t size);
/* The same buffer with more room; it may move. Nobody else may hold it. */
struct rbuf *rbuf_grow(struct rbuf *b, size_t capacity);
static inline bool rbuf_is_shared(struct rbuf *b)
{
    return atomic_load_explicit(&b->refs, memory_order_acquire) > 1;
}

#endif
