/* The core's side of a link: writing gathers blocks, which io takes at the end of the turn. */
#include "io/link.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/link_internal.h"

#include <stdlib.h>

/* ---- blocks ---- */

/* Kept for reuse: enough for the turns of a busy server, little for an idle one. */
enum { FREE_SMALL_MAX = 256, FREE_LARGE_MAX = 64 };

static void block_list_push(struct block_list *list, struct block *block)
{
    block->next = NULL;
    if (list->last)
        list->last->next = block;
    else
        list->first = block;
    list->last = block;
}

struct block *block_list_pop(struct block_list *list)
{
    struct block *block = list->first;
    if (!block)
        return NULL;
    list->first = block->next;
    if (!list->first)
        list->last = NULL;
    return block;
}

void block_list_move(struct block_list *to, struct block_list *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    *from = (struct block_list){0};
}

static int class_of(size_t capacity)
{
    if (capacity == BLOCK_SMALL_BYTES)
        return 0;
    return capacity == BLOCK_LARGE_BYTES ? 1 : -1;
}

static struct block *block_new(struct block_pool *pool, size_t capacity)
{
    int class = class_of(capacity);
    struct block *block = class >= 0 ? block_list_pop(&pool->free[class]) : NULL;
    if (block)
        pool->free_count[class]--;
    else
        block = xmalloc(sizeof *block + capacity);
    *block = (struct block){.capacity = capacity, .data = block->bytes};
    return block;
}

static void take_back_one(struct block_pool *pool, struct block *block)
{
    static const size_t free_max[BLOCK_CLASS_COUNT] = {FREE_SMALL_MAX, FREE_LARGE_MAX};
    int class = class_of(block->capacity);
    if (block->release)
        block->release(block->ctx);
    if (class < 0 || pool->free_count[class] >= free_max[class]) {
        free(block);
        return;
    }
    /* The one used last is the one that the caches still hold. */
    struct block_list *list = &pool->free[class];
    block->next = list->first;
    list->first = block;
    if (!list->last)
        list->last = block;
    pool->free_count[class]++;
}

void block_pool_take_back(struct block_pool *pool, struct block *first)
{
    while (first) {
        struct block *next = first->next;
        take_back_one(pool, first);
        first = next;
    }
}

void block_pool_reset(struct block_pool *pool)
{
    for (int i = 0; i < BLOCK_CLASS_COUNT; i++) {
        struct block *block;
        while ((block = block_list_pop(&pool->free[i])))
            free(block);
        pool->free_count[i] = 0;
    }
}

/* ---- writing ---- */

void link_base_note_change(struct link_base *base)
{
    if (base->is_changed)
        return;
    base->is_changed = true;
    base->changed(base);
}

static void add_block(struct link_base *base, struct block *block)
{
    block_list_push(base->link.closing ? &base->discarded : &base->out, block);
    link_base_note_change(base);
}

static void count_out(struct link_base *base, size_t size)
{
    if (base->link.closing)
        return;
    base->out_bytes += size;
    base->link.bytes_written += size;
}

/* The block that the next bytes go to when `size` more fit into it. */
static struct block *block_with_room(struct link_base *base, size_t size)
{
    struct block *last = base->link.closing ? base->discarded.last : base->out.last;
    if (last && last->capacity - last->size >= size && last->capacity > 0)
        return last;
    size_t usual = last ? BLOCK_LARGE_BYTES : BLOCK_SMALL_BYTES;
    if (size > usual)
        usual = size > BLOCK_LARGE_BYTES ? size : BLOCK_LARGE_BYTES;
    struct block *block = block_new(base->pool, usual);
    add_block(base, block);
    return block;
}

uint8_t *link_reserve(struct link *link, size_t size)
{
    struct link_base *base = link_base_of(link);
    struct block *block = block_with_room(base, size);
    uint8_t *at = block->bytes + block->size;
    block->size += size;
    base->reserved = block;
    count_out(base, size);
    return at;
}

void link_shrink(struct link *link, size_t unused)
{
    struct link_base *base = link_base_of(link);
    check(base->reserved);
    check(unused <= base->reserved->size);
    base->reserved->size -= unused;
    if (link->closing)
        return;
    base->out_bytes -= unused;
    link->bytes_written -= unused;
}

void link_write(struct link *link, struct bytes b)
{
    if (b.size > 0 && !link->closing)
        memcpy(link_reserve(link, b.size), b.data, b.size);
}

static struct block *add_borrowed(struct link *link, size_t size, void (*release)(void *ctx),
                                  void *ctx)
{
    struct link_base *base = link_base_of(link);
    struct block *block = block_new(base->pool, 0);
    block->size = size;
    block->release = release;
    block->ctx = ctx;
    add_block(base, block);
    count_out(base, size);
    return block;
}

void link_write_ref(struct link *link, struct bytes b, void (*release)(void *ctx), void *ctx)
{
    add_borrowed(link, b.size, release, ctx)->data = b.data;
}

void link_write_file(struct link *link, struct file *file, uint64_t position, size_t size,
                     void (*release)(void *ctx), void *ctx)
{
    struct block *block = add_borrowed(link, size, release, ctx);
    block->data = NULL;
    block->file = file;
    block->position = position;
}

void link_gate_input(struct link *link)
{
    struct link_base *base = link_base_of(link);
    if (base->gated)
        return;
    base->gated = true;
    link_base_note_change(base);
}

void link_pause_input(struct link *link, bool pause)
{
    struct link_base *base = link_base_of(link);
    if (base->paused == pause)
        return;
    base->paused = pause;
    link_base_note_change(base);
}

void link_close(struct link *link)
{
    if (link->closing)
        return;
    link->closing = true;
    link_base_note_change(link_base_of(link));
}

void link_base_discard(struct link_base *base)
{
    struct block_list all = base->out;
    block_list_move(&all, &base->discarded);
    base->out = (struct block_list){0};
    base->reserved = NULL;
    base->out_bytes = 0;
    block_pool_take_back(base->pool, all.first);
}

/* ---- inputs ---- */

void *input_new(size_t size, size_t arena_limit_bytes)
{
    check(size >= sizeof(struct input));
    struct arena arena;
    arena_init(&arena, arena_limit_bytes);
    struct input *input = arena_zalloc(&arena, 1, size);
    if (input)
        input->arena = arena;
    return input;
}

void input_free(struct input *input)
{
    if (!input)
        return;
    struct input_owner *owner = input->owner;
    size_t bytes = input->size_bytes;
    struct arena arena = input->arena; /* which holds the input */
    rbuf_unref(input->rbuf);
    arena_reset(&arena);
    if (!owner)
        return;
    check(owner->count > 0);
    owner->count--;
    owner->bytes -= bytes;
    owner->freed(owner, bytes);
}

void input_owner_add(struct input_owner *owner, struct input *input)
{
    input->owner = owner;
    owner->count++;
    owner->bytes += input->size_bytes;
}

void input_free_all(struct input *first)
{
    while (first) {
        struct input *next = first->next;
        first->owner = NULL;
        input_free(first);
        first = next;
    }
}
