#include "log/store_internal.h"

#include "io/process.h"

#include <stdlib.h>

enum {
    POOL_MAX = 4,
    ALIGN_BYTES = 4096,
    NEAR_CHUNKS = 4, /* looked at behind the one that was found last */
};

/* Page faults are half the cost of bodies of 10 MB. A broker of small messages keeps nothing for them. */
static void expect_large(struct store *s)
{
    if (!s->keeps_memory)
        process_keep_memory();
    s->keeps_memory = true;
}

struct chunk *chunk_new(struct store *s, size_t capacity)
{
    capacity = round_up(capacity, ALIGN_BYTES);
    struct list *spare = capacity == CHUNK_BYTES ? list_pop_front(&s->pool) : NULL;
    struct chunk *c;
    if (spare) { /* its pages are there already: no faults, no zeroing */
        c = container_of(spare, struct chunk, node);
        s->pool_count--;
    } else {
        if (capacity > CHUNK_BYTES)
            expect_large(s);
        c = xzalloc(sizeof *c);
        c->capacity = (uint32_t)capacity;
        /* Not aligned_alloc(): what that gives is never large enough for what it gives next. */
        c->block = xmalloc(capacity + ALIGN_BYTES);
        c->data = (uint8_t *)round_up((uintptr_t)c->block, ALIGN_BYTES);
        c->store = s;
    }
    c->first = c->used = 0;
    c->refs = 1;
    return c;
}

void chunk_ref(struct chunk *c)
{
    c->refs++;
}

static void chunk_free(struct chunk *c)
{
    free(c->block);
    free(c);
}

void chunk_unref(struct chunk *c)
{
    if (!c || --c->refs > 0)
        return;
    struct store *s = c->store;
    if (c->strayed)
        s->strayed_bytes -= c->capacity;
    c->strayed = false;
    if (c->capacity == CHUNK_BYTES && s->pool_count < POOL_MAX && !s->closing) {
        list_push_front(&s->pool, &c->node);
        s->pool_count++;
    } else {
        chunk_free(c);
    }
}

void pool_free(struct store *s)
{
    struct list *node;
    while ((node = list_pop_front(&s->pool)) != NULL)
        chunk_free(container_of(node, struct chunk, node));
    s->pool_count = 0;
}

void window_init(struct window *w)
{
    list_init(&w->chunks);
    w->bytes = 0;
    w->found = NULL;
}

void window_push(struct window *w, struct chunk *c, uint64_t address)
{
    c->address = address;
    list_push_back(&w->chunks, &c->node);
    w->bytes += c->capacity;
}

static bool chunk_begins_below(const struct chunk *c, uint64_t address)
{
    return address >= c->address + c->first;
}

static struct chunk *find_near(const struct window *w, uint64_t address)
{
    struct list *node = w->found ? &w->found->node : w->chunks.prev;
    for (int i = 0; i < NEAR_CHUNKS && node != &w->chunks; i++, node = node->next) {
        struct chunk *c = container_of(node, struct chunk, node);
        if (!chunk_begins_below(c, address))
            return NULL;
        if (address < c->address + c->used)
            return c;
    }
    return NULL;
}

/* Readers mostly want the newest bytes. */
static struct chunk *find_from_end(const struct window *w, uint64_t address)
{
    for (struct list *node = w->chunks.prev; node != &w->chunks; node = node->prev) {
        struct chunk *c = container_of(node, struct chunk, node);
        if (chunk_begins_below(c, address))
            return address < c->address + c->used ? c : NULL;
    }
    return NULL;
}

struct chunk *window_find(struct window *w, uint64_t address)
{
    const struct list *first = w->chunks.next;
    if (first == &w->chunks || address < container_of(first, struct chunk, node)->address)
        return NULL; /* what is carried is older than all that is cached, mostly */
    struct chunk *c = find_near(w, address);
    if (!c)
        c = find_from_end(w, address);
    if (c)
        w->found = c;
    return c;
}

static void drop_oldest(struct window *w)
{
    struct chunk *c = container_of(list_pop_front(&w->chunks), struct chunk, node);
    w->bytes -= c->capacity;
    if (w->found == c)
        w->found = NULL;
    c->strayed = c->refs > 1;
    if (c->strayed)
        c->store->strayed_bytes += c->capacity;
    chunk_unref(c);
}

void window_clear(struct window *w)
{
    while (!list_is_empty(&w->chunks))
        drop_oldest(w);
}

/* Readers find nowhere else what is not written yet. What is carried forward is read all the time. */
static bool is_unwritten(const struct store *s, const struct window *w)
{
    const struct chunk *oldest = container_of(w->chunks.next, struct chunk, node);
    return w == &s->journal_window && oldest->address + oldest->used > s->journal.written_to;
}

/* What is left of the budget when the chunks that readers and helpers still hold are counted too. Half
 * of it is the windows' in any case, or one slow reader would make all others slow. */
static uint64_t windows_share(const struct store *s, uint64_t bytes)
{
    return s->strayed_bytes < bytes / 2 ? bytes - s->strayed_bytes : bytes / 2;
}

/* Give back the oldest cached bytes until the budget holds. The newest chunk of a window stays: it
 * is being filled. Chunks that a reader still needs live on by their references. */
void store_evict_to(struct store *s, uint64_t bytes)
{
    while (s->journal_window.bytes + s->direct_window.bytes > windows_share(s, bytes)) {
        struct window *larger = s->journal_window.bytes >= s->direct_window.bytes
                                    ? &s->journal_window
                                    : &s->direct_window;
        if (list_is_empty(&larger->chunks) || larger->chunks.next == larger->chunks.prev ||
            is_unwritten(s, larger))
            return;
        drop_oldest(larger);
    }
}
