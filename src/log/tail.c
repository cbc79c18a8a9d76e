#include "log/store_internal.h"

struct tail_entry tail_entry_of(const struct batch *b, int64_t base, uint64_t address,
                                int32_t epoch)
{
    return (struct tail_entry){
        .base_offset = base,
        .address = address,
        .size = (uint32_t)b->raw.size,
        .span = ((uint32_t)b->last_offset_delta + 1) | (batch_is_control(b) ? TAIL_CONTROL : 0),
        .max_timestamp = b->max_timestamp,
        .epoch = epoch,
    };
}

void tail_reset(struct tail *t)
{
    fifo_reset(t);
    t->bytes = 0;
}

void tail_push(struct tail *t, struct tail_entry e)
{
    check(t->count == 0 || e.base_offset >= tail_entry_end(tail_at(t, t->count - 1)));
    fifo_push(t, e);
    t->bytes += e.size;
}

void tail_insert(struct tail *t, uint32_t i, struct tail_entry e)
{
    check(i <= t->count);
    fifo_reserve(t);
    struct tail_entry *at = tail_at(t, i);
    memmove(at + 1, at, (t->count - i) * sizeof *at);
    *at = e;
    t->count++;
    t->bytes += e.size;
}

void tail_pop_front(struct tail *t)
{
    t->bytes -= tail_at(t, 0)->size;
    fifo_drop(t);
}

uint32_t tail_find(const struct tail *t, int64_t offset)
{
    uint32_t low = 0, high = t->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tail_entry_end(tail_at(t, middle)) > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void tail_drop_below(struct tail *t, int64_t offset)
{
    while (t->count > 0 && tail_entry_end(tail_at(t, 0)) <= offset)
        tail_pop_front(t);
}

void tail_cut_above(struct tail *t, int64_t offset)
{
    while (t->count > 0 && tail_entry_end(tail_at(t, t->count - 1)) > offset) {
        t->bytes -= tail_at(t, t->count - 1)->size;
        t->count--;
    }
}

/* ---- searching by address ---- */

static uint64_t lowest_address(const struct tail *t, uint32_t from, uint32_t to)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = from; i < to; i++)
        if (tail_at(t, i)->address < lowest)
            lowest = tail_at(t, i)->address;
    return lowest;
}

/* Entries of the first block are still there up to this index. */
static uint32_t first_block_end(const struct tail *t, const tail_blocks *b)
{
    return tail_find(t, fifo_at(b, 0)->end);
}

/* Blocks for what the tail has now. The rest, less than a block, has none. */
static void bring_blocks_up(const struct tail *t, tail_blocks *b)
{
    while (b->count > 0 && (t->count == 0 || fifo_at(b, 0)->end <= tail_at(t, 0)->base_offset))
        fifo_drop(b);
    uint32_t covered = 0;
    if (b->count > 0)
        covered = first_block_end(t, b) + (b->count - 1) * TAIL_BLOCK_ENTRIES;
    for (; t->count - covered >= TAIL_BLOCK_ENTRIES; covered += TAIL_BLOCK_ENTRIES) {
        uint32_t end = covered + TAIL_BLOCK_ENTRIES;
        fifo_push(b, ((struct tail_block){tail_entry_end(tail_at(t, end - 1)),
                                          lowest_address(t, covered, end)}));
    }
}

void tail_search_begin(struct tail_search *f, struct log_state *l, uint64_t below)
{
    *f = (struct tail_search){.tail = &l->tail, .below = below, .others = UINT64_MAX};
    bool is_long = l->tail.count >= 2 * TAIL_BLOCK_ENTRIES;
    if (is_long && !l->parts->blocks)
        log_parts(l)->blocks = xzalloc(sizeof *l->parts->blocks);
    f->blocks = l->parts->blocks;
    if (!f->blocks)
        return;
    bring_blocks_up(f->tail, f->blocks);
}

static void note_other(struct tail_search *f, uint64_t address)
{
    if (address < f->others)
        f->others = address;
}

/* The block that begins with the entry `next`: pass over it, or look at its entries. */
static void enter_block(struct tail_search *f)
{
    const struct tail *t = f->tail;
    if (!f->blocks || f->block == f->blocks->count) {
        f->block_end = t->count;
        return;
    }
    struct tail_block *b = fifo_at(f->blocks, f->block);
    f->block_end = f->block == 0 ? first_block_end(t, f->blocks) : f->next + TAIL_BLOCK_ENTRIES;
    check(tail_entry_end(tail_at(t, f->block_end - 1)) == b->end);
    f->block++;
    if (b->lowest < f->below) /* its lowest may have been dropped or carried since */
        b->lowest = lowest_address(t, f->next, f->block_end);
    if (b->lowest >= f->below) {
        note_other(f, b->lowest);
        f->next = f->block_end;
    }
}

struct tail_entry *tail_search_next(struct tail_search *f)
{
    while (f->next < f->tail->count) {
        if (f->next == f->block_end)
            enter_block(f);
        for (; f->next < f->block_end; f->next++) {
            struct tail_entry *e = tail_at(f->tail, f->next);
            if (e->address < f->below) {
                f->next++;
                return e;
            }
            note_other(f, e->address);
        }
    }
    return NULL;
}
