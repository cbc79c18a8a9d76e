#include "broker/offset_set.h"

#include <roaring/roaring.h>

#include "base/check.h"

enum { SHORT = 32 }; /* so many offsets are asked for one by one before anything cleverer is done */

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

void offset_set_add_steps(struct offset_set *s, int64_t first, int64_t stride, uint32_t count)
{
    uint32_t lows[256];
    check(first >= 0);
    check(stride >= 1);
    while (count > 0) {
        size_t n = 0;
        uint32_t high = high_of(first);
        for (; n < count && n < sizeof lows / sizeof *lows && high_of(first) == high;
             first += stride)
            lows[n++] = low_of(first);
        roaring_bitmap_add_many(make_part(s, high), n, lows);
        count -= (uint32_t)n;
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
 * part's end. Runs may hold millions, so that the stride doubles and is halved then; most are short, and
 * to count the members of a range costs as much as to ask for hundreds of them. */
static uint64_t run_end(const roaring_bitmap_t *low, uint64_t from)
{
    const uint64_t limit = (uint64_t)1 << 32;
    uint64_t in = from, stride = SHORT; /* [from, in) are members */
    while (in < limit && in - from < SHORT && roaring_bitmap_contains(low, (uint32_t)in))
        in++;
    if (in - from < SHORT)
        return in;
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

/* The lowest member in [from, to), or -1. An iterator may look through much of a container before it gives
 * its first member, so a few offsets are asked for one by one. */
static int64_t next_below(const struct offset_set *s, int64_t from, int64_t to)
{
    if (to - from <= SHORT) {
        while (from < to && !offset_set_has(s, from))
            from++;
        return from < to ? from : -1;
    }
    for (size_t i = find_part(s, high_of(from)); i < s->parts.count; i++) {
        const struct offset_part *part = &s->parts.items[i];
        roaring_uint32_iterator_t at;
        roaring_init_iterator(part->low, &at);
        if (part->high == high_of(from))
            roaring_move_uint32_iterator_equalorlarger(&at, low_of(from));
        if (at.has_value) {
            int64_t found = offset_of(part->high, at.current_value);
            return found < to ? found : -1;
        }
    }
    return -1;
}

int64_t offset_set_next(const struct offset_set *s, int64_t from)
{
    return next_below(s, from, INT64_MAX);
}

bool offset_set_next_range(const struct offset_set *s, int64_t from, int64_t to,
                           struct offset_range *out)
{
    int64_t first = next_below(s, from, to);
    if (first < 0)
        return false;
    int64_t end = offset_set_next_absent(s, first);
    *out = (struct offset_range){first, end < to ? end : to};
    return true;
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

/* ---- is a serialised bitmap what it must be? ----
 *
 * CRoaring checks that nothing lies outside the bytes and believes the rest, so that damage would give
 * sets that count wrong. Little-endian, as the Roaring format specification says: a cookie, with
 * container count and run flags; for each container u16 key and u16 cardinality - 1; their places
 * (not needed); the containers: runs {u16 first, u16 size - 1}, a sorted array, or 65536 bits.
 */
enum { COOKIE_RUNS = 12347, COOKIE_PLAIN = 12346, PLACES_FROM = 4, ARRAY_MAX = 4096 };

struct bitmap_reader {
    struct bytes in;
    bool bad;
};

static struct bytes take_bytes(struct bitmap_reader *r, size_t size)
{
    if (r->bad || size > r->in.size) {
        r->bad = true;
        return BYTES_NULL;
    }
    struct bytes taken = bytes_of(r->in.data, size);
    r->in = bytes_of(r->in.data + size, r->in.size - size);
    return taken;
}

static uint32_t low_end_u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t take_u16(struct bitmap_reader *r)
{
    struct bytes taken = take_bytes(r, 2);
    return taken.data ? low_end_u16(taken.data) : 0;
}

static void check_runs(struct bitmap_reader *r)
{
    uint32_t count = take_u16(r), least = 0;
    struct bytes runs = take_bytes(r, (size_t)count * 4);
    r->bad = r->bad || count == 0;
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        uint32_t first = low_end_u16(runs.data + (size_t)i * 4);
        uint32_t last = first + low_end_u16(runs.data + (size_t)i * 4 + 2);
        r->bad = first < least || last > UINT16_MAX;
        least = last + 1;
    }
}

static void check_array(struct bitmap_reader *r, uint32_t count)
{
    struct bytes members = take_bytes(r, (size_t)count * 2);
    for (uint32_t i = 1; i < count && !r->bad; i++)
        r->bad = low_end_u16(members.data + (size_t)i * 2) <=
                 low_end_u16(members.data + (size_t)i * 2 - 2);
}

static void check_bits(struct bitmap_reader *r, uint32_t count)
{
    struct bytes bits = take_bytes(r, (UINT16_MAX + 1) / 8);
    uint32_t set = 0;
    for (size_t i = 0; i < bits.size; i++)
        set += (uint32_t)__builtin_popcount(bits.data[i]);
    r->bad = r->bad || set != count;
}

static bool is_bitmap(struct bytes in)
{
    struct bitmap_reader r = {in, false};
    uint32_t cookie = take_u16(&r), more = take_u16(&r);
    struct bytes flags = BYTES_NULL;
    uint32_t count = cookie == COOKIE_RUNS ? more + 1 : take_u16(&r);
    if (cookie == COOKIE_RUNS)
        flags = take_bytes(&r, (count + 7) / 8);
    else if (cookie != COOKIE_PLAIN || more != 0 || take_u16(&r) != 0)
        return false;
    struct bytes heads = take_bytes(&r, (size_t)count * 4);
    if (!flags.data || count >= PLACES_FROM)
        take_bytes(&r, (size_t)count * 4);
    for (uint32_t i = 0; i < count && !r.bad; i++) {
        const uint8_t *head = heads.data + (size_t)i * 4;
        uint32_t members = low_end_u16(head + 2) + 1;
        if (i > 0 && low_end_u16(head) <= low_end_u16(head - 4))
            return false;
        if (flags.data && flags.data[i / 8] & 1 << i % 8)
            check_runs(&r);
        else if (members <= ARRAY_MAX)
            check_array(&r, members);
        else
            check_bits(&r, members);
    }
    return !r.bad && r.in.size == 0;
}

static enum err get_part(struct offset_set *s, struct bytes *in)
{
    if (in->size < 8)
        return err_set(E_MALFORMED, "offset set ends in a part's head");
    uint32_t high = get_u32(in->data), size = get_u32(in->data + 4);
    in->data += 8, in->size -= 8;
    if (size > in->size)
        return err_set(E_MALFORMED, "offset set ends in a part of %u bytes", size);
    if (high >= INT32_MAX || (s->parts.count > 0 && vec_last(&s->parts).high >= high))
        return err_set(E_MALFORMED, "offset set has its parts out of order");
    roaring_bitmap_t *low = NULL;
    if (is_bitmap(bytes_of(in->data, size)))
        low = roaring_bitmap_portable_deserialize_safe((const char *)in->data, size);
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
