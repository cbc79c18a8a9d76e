/* Counted receive buffers and their pool. */
#include "io/rbuf.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
enum { FREE_MAX = 0 }; /* so that every use after the last release is seen */
#else
enum { FREE_MAX = 16 };
#endif

struct rbuf_pool {
    atomic_size_t refs; /* its owner's, and one for each buffer in use */
    atomic_size_t bytes;
    pthread_mutex_t lock;
    struct rbuf *free; /* under lock */
    unsigned free_count;
};

struct rbuf_pool *rbuf_pool_new(void)
{
    struct rbuf_pool *pool = xzalloc(sizeof *pool);
    atomic_init(&pool->refs, 1);
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

static void pool_unref(struct rbuf_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) > 1)
        return;
    while (pool->free) {
        struct rbuf *next = pool->free->next_free;
        free(pool->free);
        pool->free = next;
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void rbuf_pool_free(struct rbuf_pool *pool)
{
    if (pool)
        pool_unref(pool);
}

size_t rbuf_pool_bytes(const struct rbuf_pool *pool)
{
    return atomic_load_explicit(&pool->bytes, memory_order_relaxed);
}

static struct rbuf *take_free(struct rbuf_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct rbuf *b = pool->free;
    if (b) {
        pool->free = b->next_free;
        pool->free_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return b;
}

static bool keep_free(struct rbuf_pool *pool, struct rbuf *b)
{
    pthread_mutex_lock(&pool->lock);
    bool kept = pool->free_count < FREE_MAX;
    if (kept) {
        b->next_free = pool->free;
        pool->free = b;
        pool->free_count++;
    }
    pthread_mutex_unlock(&pool->lock);
    return kept;
}

struct rbuf *rbuf_new(struct rbuf_pool *pool, size_t capacity)
{
    struct rbuf *b = pool && capacity == RBUF_USUAL_BYTES ? take_free(pool) : NULL;
    if (!b)
        b = xmalloc(sizeof *b + capacity);
    atomic_init(&b->refs, 1);
    b->pool = pool;
    b->capacity = capacity;
    b->used = 0;
    b->counted = capacity == RBUF_USUAL_BYTES ? capacity : 0;
    if (pool) {
        atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&pool->bytes, b->counted, memory_order_relaxed);
    }
    return b;
}

void rbuf_add_used(struct rbuf *b, size_t size)
{
    check(size <= b->capacity - b->used);
    b->used += size;
    size_t more = b->used > b->counted ? b->used - b->counted : 0;
    b->counted += more;
    if (b->pool && more > 0)
        atomic_fetch_add_explicit(&b->pool->bytes, more, memory_order_relaxed);
}

struct rbuf *rbuf_grow(struct rbuf *b, size_t capacity)
{
    check(!rbuf_is_shared(b));
    check(capacity >= b->capacity);
    b = xrealloc(b, sizeof *b + capacity);
    b->capacity = capacity;
    return b;
}

void rbuf_ref(struct rbuf *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void rbuf_unref(struct rbuf *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    struct rbuf_pool *pool = b->pool;
    if (pool)
        atomic_fetch_sub_explicit(&pool->bytes, b->counted, memory_order_relaxed);
    if (!pool || b->capacity != RBUF_USUAL_BYTES || !keep_free(pool, b))
        free(b);
    if (pool)
        pool_unref(pool);
}
