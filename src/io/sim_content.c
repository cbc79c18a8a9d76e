/* Pages, shared and copied on write. */
#include "io/sim_content.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>

struct page {
    uint32_t refs;
    uint8_t bytes[SIM_PAGE_BYTES];
};

struct content {
    uint32_t refs;
    uint64_t size;
    uint64_t allocated_pages;
    struct page **pages; /* NULL: a hole */
    size_t page_count;
};

static struct page zero_page; /* never counted, never written */

static struct page *page_ref(struct page *p)
{
    if (p && p != &zero_page)
        p->refs++;
    return p;
}

static void page_unref(struct page *p)
{
    if (p && p != &zero_page && --p->refs == 0)
        free(p);
}

struct content *content_new(void)
{
    struct content *c = xzalloc(sizeof *c);
    c->refs = 1;
    return c;
}

struct content *content_ref(struct content *c)
{
    c->refs++;
    return c;
}

void content_unref(struct content *c)
{
    if (!c || --c->refs > 0)
        return;
    for (size_t i = 0; i < c->page_count; i++)
        page_unref(c->pages[i]);
    free(c->pages);
    free(c);
}

uint64_t content_size(const struct content *c)
{
    return c->size;
}

uint64_t content_allocated_pages(const struct content *c)
{
    return c->allocated_pages;
}

static const struct page *page_at(const struct content *c, uint64_t i)
{
    return i < c->page_count ? c->pages[i] : NULL;
}

size_t content_room(const struct content *c, uint64_t position, size_t size, uint64_t free_pages)
{
    uint64_t at = position, end = position + size;
    while (at < end) {
        if (!page_at(c, at / SIM_PAGE_BYTES) && free_pages-- == 0)
            break;
        at = (at / SIM_PAGE_BYTES + 1) * SIM_PAGE_BYTES;
    }
    return at < end ? (size_t)(at - position) : size;
}

/* The part of [at, end) that lies in the page of `at`. */
static size_t part_in_page(uint64_t at, uint64_t end)
{
    size_t left = SIM_PAGE_BYTES - at % SIM_PAGE_BYTES;
    return left < end - at ? left : (size_t)(end - at);
}

void content_read(const struct content *c, uint64_t position, void *out, size_t size)
{
    check(position + size <= c->size);
    uint8_t *to = out;
    for (uint64_t at = position, end = position + size; at < end;) {
        size_t n = part_in_page(at, end);
        const struct page *p = page_at(c, at / SIM_PAGE_BYTES);
        if (p)
            memcpy(to, p->bytes + at % SIM_PAGE_BYTES, n);
        else
            memset(to, 0, n);
        at += n;
        to += n;
    }
}

static struct content *own(struct content **c)
{
    struct content *old = *c;
    if (old->refs == 1)
        return old;
    struct content *copy = content_new();
    copy->size = old->size;
    copy->allocated_pages = old->allocated_pages;
    copy->page_count = old->page_count;
    copy->pages = xmalloc(old->page_count * sizeof(struct page *));
    for (size_t i = 0; i < old->page_count; i++)
        copy->pages[i] = page_ref(old->pages[i]);
    old->refs--;
    *c = copy;
    return copy;
}

static struct page **slot(struct content *c, uint64_t i)
{
    if (i >= c->page_count) {
        size_t count = i + 1 > c->page_count * 2 ? i + 1 : c->page_count * 2;
        c->pages = xrealloc(c->pages, count * sizeof(struct page *));
        memset(c->pages + c->page_count, 0, (count - c->page_count) * sizeof(struct page *));
        c->page_count = count;
    }
    if (!c->pages[i]) {
        c->pages[i] = &zero_page;
        c->allocated_pages++;
    }
    return &c->pages[i];
}

static uint8_t *writable(struct content *c, uint64_t i)
{
    struct page **p = slot(c, i);
    if (*p == &zero_page || (*p)->refs > 1) {
        struct page *copy = xmemdup(*p, sizeof **p);
        copy->refs = 1;
        page_unref(*p);
        *p = copy;
    }
    return (*p)->bytes;
}

void content_write(struct content **c, uint64_t position, struct bytes b)
{
    if (b.size == 0)
        return;
    struct content *o = own(c);
    uint64_t end = position + b.size;
    const uint8_t *from = b.data;
    for (uint64_t at = position; at < end;) {
        size_t n = part_in_page(at, end);
        memcpy(writable(o, at / SIM_PAGE_BYTES) + at % SIM_PAGE_BYTES, from, n);
        at += n;
        from += n;
    }
    if (end > o->size)
        o->size = end;
}

void content_zero(struct content **c, uint64_t from, uint64_t to)
{
    struct content *o = own(c);
    for (uint64_t at = from; at < to;) {
        size_t n = part_in_page(at, to);
        struct page **p = slot(o, at / SIM_PAGE_BYTES);
        if (n == SIM_PAGE_BYTES) {
            page_unref(*p);
            *p = &zero_page;
        } else if (*p != &zero_page) {
            memset(writable(o, at / SIM_PAGE_BYTES) + at % SIM_PAGE_BYTES, 0, n);
        }
        at += n;
    }
    if (to > o->size)
        o->size = to;
}

void content_set_size(struct content **c, uint64_t size)
{
    struct content *o = own(c);
    /* What lies behind the end must read as zeros when the file grows again. */
    if (size < o->size && size % SIM_PAGE_BYTES && page_at(o, size / SIM_PAGE_BYTES)) {
        size_t from = size % SIM_PAGE_BYTES;
        memset(writable(o, size / SIM_PAGE_BYTES) + from, 0, SIM_PAGE_BYTES - from);
    }
    for (uint64_t i = (size + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES; i < o->page_count; i++) {
        o->allocated_pages -= o->pages[i] != NULL;
        page_unref(o->pages[i]);
        o->pages[i] = NULL;
    }
    o->size = size;
}

void content_flip_bit(struct content **c, uint64_t position)
{
    check(position < (*c)->size);
    writable(own(c), position / SIM_PAGE_BYTES)[position % SIM_PAGE_BYTES] ^= 0x10;
}
