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
