/*
 * Blocks form a list, the newest first; allocations are cut from the newest block only. What a
 * finished block has left over is lost, which the growing block size keeps below half. First blocks,
 * which are all that most requests need, are kept by the thread that frees them for its next arenas:
 * hundreds of requests may be under way at once, more than malloc has ready for a thread.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_SANITIZED 1
#endif
#endif

enum {
    ARENA_ALIGNMENT = 16,
#ifdef ARENA_SANITIZED
    BLOCK_MIN_BYTES = 0, /* a block of its own for each allocation, so that any overrun is seen */
    BLOCK_MAX_BYTES = 0,
    SPARE_MAX = 0,
#else
    BLOCK_MIN_BYTES = 976, /* 1 KiB with its header and malloc's */
    BLOCK_MAX_BYTES = 65536,
    SPARE_MAX = 1024, /* blocks kept by a thread: 1 MiB */
#endif
};

struct arena_block {
    alignas(ARENA_ALIGNMENT) struct arena_block *next;
    size_t size; /* of data */
    size_t used;
    alignas(ARENA_ALIGNMENT) uint8_t data[];
};

static _Thread_local struct {
    struct arena_block *first;
    unsigned count;
} spare;

void arena_init(struct arena *a, size_t limit_bytes)
{
    /* Half of the address space is no limit either, and sums with it do not overflow. */
    *a = (struct arena){.limit_bytes = limit_bytes < SIZE_MAX / 2 ? limit_bytes : SIZE_MAX / 2};
}

static void give_back(struct arena_block *block)
{
    if (block->size != BLOCK_MIN_BYTES || spare.count == SPARE_MAX) {
        free(block);
        return;
    }
    block->next = spare.first;
    spare.first = block;
    spare.count++;
}

void arena_reset(struct arena *a)
{
    struct arena_block *next;

    for (struct arena_block *block = a->blocks; block; block = next) {
        next = block->next;
        give_back(block);
    }
    arena_init(a, a->limit_bytes);
}

static struct arena_block *new_block(size_t size)
{
    struct arena_block *block = spare.first;

    if (size != BLOCK_MIN_BYTES || !block)
        return xmalloc(sizeof *block + size);
    spare.first = block->next;
    spare.count--;
    return block;
}

static void *arena_exhaust(struct arena *a)
{
    a->exhausted = true;
    return NULL;
}

static struct arena_block *arena_add_block(struct arena *a, size_t size)
{
    size_t usual = a->blocks ? a->blocks->size * 2 : BLOCK_MIN_BYTES;

    if (usual > BLOCK_MAX_BYTES)
        usual = BLOCK_MAX_BYTES;
    if (size < usual)
        size = usual;
    struct arena_block *block = new_block(size);
    *block = (struct arena_block){.next = a->blocks, .size = size};
    a->blocks = block;
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *block = a->blocks;

    if (size == 0)
        size = 1; /* its address must be one of ours, and aligned */
    if (size > a->limit_bytes || round_up(size, ARENA_ALIGNMENT) > a->limit_bytes - a->used_bytes)
        return arena_exhaust(a);
    if (!block || size > block->size - block->used)
        block = arena_add_block(a, size);
    void *p = block->data + block->used;
    size_t taken = round_up(size, ARENA_ALIGNMENT), left = block->size - block->used;
    block->used += taken < left ? taken : left;
    a->used_bytes += taken;
    return p;
}

void *arena_zalloc(struct arena *a, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return arena_exhaust(a);
    void *p = arena_alloc(a, total);
    return p ? memset(p, 0, total) : NULL;
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
    check(b.size < SIZE_MAX);
    uint8_t *p = arena_alloc(a, b.size + 1);
    if (!p)
        return BYTES_NULL;
    if (b.size)
        memcpy(p, b.data, b.size);
    p[b.size] = '\0';
    return bytes_of(p, b.size);
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(size >= 0);
    char *p = arena_alloc(a, (size_t)size + 1);
    if (!p)
        return NULL;
    va_start(args, format);
    vsnprintf(p, (size_t)size + 1, format, args);
    va_end(args);
    return p;
}
