#include "broker/offset_set.h"

#include <roaring/roaring.h>

#include "base/check.h"

static uint32_t high_of(int64_t offset)
{
    return (uint32_t)((uint64_t)offset >> 32);
}

static uint32_t low_of(int64_t offset)
{
    return (uint32_t)(uint64_t)offset;
}

static int64_t offset_of(uint32_t high, uint64_t low)
{
    return (int64_t)(((uint64_t)high << 32) + low);
}

/* The index of the first part whose high half is not below. */
static size_t find_part(const struct offset_set *s, uint32_t high)
{
    size_t i = 0;
    while (i < s->parts.count && s->parts.items[i].high < high)
        i++;
    return i;
}

static roaring_bitmap_t *part_of(const struct offset_set *s, int64_t offset)
{
    uint32_t high = high_of(offset);
    size_t i = find_part(s, high);
    return i < s->parts.count && s->parts.items[i].high == high ? s->parts.items[i].low : NULL;
}

static roaring_bitmap_t *make_part(struct offset_set *s, uint32_t high)
{
    size_t i = find_part(s, high);
    if (i < s->parts.count && s->parts.items[i].high == high)
        return s->parts.items[i].low;
    roaring_bitmap_t *low = roaring_bitmap_create();
    check(low);
    vec_insert(&s->parts, i, ((struct offset_part){high, low}));
    return low;
}

static void drop_part(struct offset_set *s, size_t i)
{
    roaring_bitmap_free(s->parts.items[i].low);
    vec_remove(&s->parts, i);
    if (s->parts.count == 0)
        vec_reset(&s->parts);
}

void offset_set_reset(struct offset_set *s)
{
    for (size_t i = 0; i < s->parts.count; i++)
        roaring_bitmap_free(s->parts.items[i].low);
    vec_reset(&s->parts);
}

bool offset_set_add(struct offset_set *s, int64_t offset)
{
    check(offset >= 0);
    return roaring_bitmap_add_checked(make_part(s, high_of(offset)), low_of(offset));
}

bool offset_set_remove(struct offset_set *s, int64_t offset)
{
    roaring_bitmap_t *low = part_of(s, offset);
    if (!low || !roaring_bitmap_remove_checked(low, low_of(offset)))
        return false;
    if (roaring_bitmap_is_empty(low))
        drop_part(s, find_part(s, high_of(offset)));
    return true;
}

bool offset_set_has(const struct offset_set *s, int64_t offset)
{
    const roaring_bitmap_t *low = part_of(s, offset);
    return low && roaring_bitmap_contains(low, low_of(offset));
}

/* [from, to) cut to what lies in the part with the given high half, as low halves. */
static struct offset_range cut(uint32_t high, int64_t from, int64_t to)
{
    int64_t base = offset_of(high, 0), limit = base + ((int64_t)1 << 32);
    int64_t low = from > base ? from : base, end = to < limit ? to : limit;
    return (struct offset_range){low - base, end - base};
}

void offset_set_add_range(struct offset_set *s, int64_t from, int64_t to)
{
    if (from >= to)
        return;
    check(from >= 0);
    for (uint32_t high = high_of(from); high <= high_of(to - 1); high++) {
        struct offset_range r = cut(high, from, to);
        roaring_bitmap_add_range_closed(make_part(s, high), (uint32_t)r.from, (uint32_t)(r.to - 1));
    }
}

void offset_set_remove_range(struct offset_set *s, int64_t from, int64_t to)
{
    if (from >= to)
        return;
    check(from >= 0);
    size_t i = find_part(s, high_of(from));
    while (i < s->parts.count && s->parts.items[i].high <= high_of(to - 1)) {
        struct offset_part *part = &s->parts.items[i];
        struct offset_range r = cut(part->high, from, to);
        roaring_bitmap_remove_range_closed(part->low, (uint32_t)r.from, (uint32_t)(r.to - 1));
        if (roaring_bitmap_is_empty(part->low))
            drop_part(s, i);
        else
            i++;
    }
}

uint64_t offset_set_count(const struct offset_set *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < s->parts.count; i++)
        count += roaring_bitmap_get_cardinality(s->parts.items[i].low);
    return count;
}

uint64_t offset_set_count_range(const struct offset_set *s, int64_t from, int64_t to)
{
    uint64_t count = 0;
    if (from >= to)
        return 0;
    size_t i = find_part(s, high_of(from));
    for (; i < s->parts.count && s->parts.items[i].high <= high_of(to - 1); i++) {
        struct offset_range r = cut(s->parts.items[i].high, from, to);
        count += roaring_bitmap_range_cardinality(s->parts.items[i].low, (uint64_t)r.from,
                                                  (uint64_t)r.to);
    }
    return count;
}

int64_t offset_set_first(const struct offset_set *s)
{
    check(s->parts.count > 0);
    return offset_of(s->parts.items[0].high, roaring_bitmap_minimum(s->parts.items[0].low));
}

/* Not roaring_bitmap_contains_range(): in CRoaring 0.2 that fails for a range up to 2^32. */
static bool has_range(const roaring_bitmap_t *low, uint64_t from, uint64_t to)
{
    return roaring_bitmap_range_cardinality(low, from, to) == to - from;
}

/* The end of the run of members that starts at `from`, within one part; 2^32 when it reaches the
 * part's end. Doubles its stride, then halves it: runs may hold millions. */
static uint64_t run_end(const roaring_bitmap_t *low, uint64_t from)
{
    const uint64_t limit = (uint64_t)1 << 32;
    uint64_t in = from, stride = 1; /* [from, in) are members */
    while (in < limit && roaring_bitmap_contains(low, (uint32_t)in)) {
        uint64_t to = in + stride < limit ? in + stride : limit;
        if (!has_range(low, in, to))
            break;
        in = to;
        stride *= 2;
    }
    for (; stride > 0; stride /= 2) {
        if (in + stride <= limit && has_range(low, in, in + stride))
            in += stride;
    }
    return in;
}

int64_t offset_set_next_absent(const struct offset_set *s, int64_t from)
{
    for (;;) {
        const roaring_bitmap_t *low = part_of(s, from);
        if (!low || !roaring_bitmap_contains(low, low_of(from)))
            return from;
        uint64_t end = run_end(low, low_of(from));
        from = offset_of(high_of(from), end);
        if (end < (uint64_t)1 << 32)
            return from;
    }
}

bool offset_set_next_range(const struct offset_set *s, int64_t from, int64_t to,
                           struct offset_range *out)
{
    if (from >= to)
        return false;
    for (size_t i = find_part(s, high_of(from)); i < s->parts.count; i++) {
        const struct offset_part *part = &s->parts.items[i];
        roaring_uint32_iterator_t at;
        roaring_init_iterator(part->low, &at);
        if (part->high == high_of(from))
            roaring_move_uint32_iterator_equalorlarger(&at, low_of(from));
        if (!at.has_value)
            continue;
        int64_t first = offset_of(part->high, at.current_value);
        if (first >= to)
            return false;
        int64_t end = offset_set_next_absent(s, first);
        *out = (struct offset_range){first, end < to ? end : to};
        return true;
    }
    return false;
}

void offset_set_put(const struct offset_set *s, struct text *out)
{
    text_put_varint(out, s->parts.count);
    for (size_t i = 0; i < s->parts.count; i++) {
        const struct offset_part *part = &s->parts.items[i];
        roaring_bitmap_run_optimize(part->low); /* another form of the same set */
        size_t size = roaring_bitmap_portable_size_in_bytes(part->low);
        text_put_u32(out, part->high);
        text_put_u32(out, (uint32_t)size);
        roaring_bitmap_portable_serialize(part->low, (char *)text_reserve(out, size));
        text_advance(out, size);
    }
}

static enum err get_part(struct offset_set *s, struct bytes *in)
{
    if (in->size < 8)
        return err_set(E_MALFORMED, "offset set ends in a part's head");
    uint32_t high = get_u32(in->data), size = get_u32(in->data + 4);
    in->data += 8, in->size -= 8;
    if (size > in->size)
        return err_set(E_MALFORMED, "offset set ends in a part of %u bytes", size);
    if (s->parts.count > 0 && vec_last(&s->parts).high >= high)
        return err_set(E_MALFORMED, "offset set has its parts out of order");
    roaring_bitmap_t *low = roaring_bitmap_portable_deserialize_safe((const char *)in->data, size);
    if (!low || roaring_bitmap_is_empty(low)) {
        if (low)
            roaring_bitmap_free(low);
        return err_set(E_MALFORMED, "offset set has a part that is no bitmap");
    }
    vec_push(&s->parts, ((struct offset_part){high, low}));
    in->data += size, in->size -= size;
    return OK;
}

enum err offset_set_get(struct offset_set *s, struct bytes *in)
{
    check(offset_set_is_empty(s));
    uint64_t parts;
    size_t size = varint_get(in->data, in->size, &parts);
    if (size == 0 || parts > in->size)
        return err_set(E_MALFORMED, "offset set without a count");
    in->data += size, in->size -= size;

    enum err err = OK;
    for (uint64_t i = 0; i < parts && !err; i++)
        err = get_part(s, in);
    if (err)
        offset_set_reset(s);
    return err;
}
