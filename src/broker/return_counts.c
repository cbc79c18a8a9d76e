#include "broker/return_counts.h"

void return_counts_reset(struct return_counts *c)
{
    for (size_t i = 0; i < c->digits.count; i++)
        offset_set_reset(&c->digits.items[i]);
    vec_reset(&c->digits);
}

static bool has(const struct return_counts *c, size_t digit, int64_t offset)
{
    const struct offset_set *set = &c->digits.items[digit];
    return !offset_set_is_empty(set) && offset_set_has(set, offset);
}

uint32_t return_counts_get(const struct return_counts *c, int64_t offset)
{
    uint32_t number = 0;
    for (size_t i = 0; i < c->digits.count; i++)
        number |= (uint32_t)has(c, i, offset) << i;
    return number;
}

void return_counts_put(struct return_counts *c, int64_t from, int64_t to, uint32_t number)
{
    for (size_t i = 0; i < c->digits.count || number >> i; i++) {
        if (i == c->digits.count)
            vec_push(&c->digits, ((struct offset_set){0}));
        struct offset_set *set = &c->digits.items[i];
        if (number >> i & 1)
            offset_set_add_range(set, from, to);
        else
            offset_set_remove_range(set, from, to);
    }
}

void return_counts_remove(struct return_counts *c, int64_t from, int64_t to)
{
    return_counts_put(c, from, to, 0);
}

bool return_counts_next(const struct return_counts *c, int64_t from, int64_t to,
                        struct return_run *out)
{
    struct offset_range r;
    int64_t start = to, end = to;
    for (size_t i = 0; i < c->digits.count; i++)
        if (offset_set_next_range(&c->digits.items[i], from, start, &r))
            start = r.from;
    for (size_t i = 0; i < c->digits.count; i++)
        if (offset_set_next_range(&c->digits.items[i], start, end, &r))
            end = r.from > start ? r.from : r.to;
    *out = (struct return_run){start, end, start < to ? return_counts_get(c, start) : 0};
    return start < to;
}

void return_counts_raise(struct return_counts *c, int64_t from, int64_t to, uint32_t number)
{
    struct return_run run;
    for (int64_t at = from; at < to; at = run.to) {
        bool any = return_counts_next(c, at, to, &run);
        if (number > 0 && run.from > at)
            return_counts_put(c, at, run.from, number);
        if (any && run.number < number)
            return_counts_put(c, run.from, run.to, number);
    }
}
