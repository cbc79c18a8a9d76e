/*
 * Sets of log offsets: CRoaring bitmaps of 2^32 offsets each, ordered by their high half, so that
 * an offset of any size fits and nothing is ever moved. Runs, clusters and scattered members are
 * all small. An empty set holds no memory.
 */
#ifndef BROKER_OFFSET_SET_H
#define BROKER_OFFSET_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/vec.h"
#include "log/store.h"

struct roaring_bitmap_s;

struct offset_part {
    uint32_t high; /* the offsets' upper half */
    struct roaring_bitmap_s *low;
};

struct offset_set {                /* zeroed: empty */
    VEC(struct offset_part) parts; /* ascending; none is empty */
};

void offset_set_reset(struct offset_set *s);

static inline bool offset_set_is_empty(const struct offset_set *s)
{
    return s->parts.count == 0;
}

/* true: it was not in the set. */
bool offset_set_add(struct offset_set *s, int64_t offset);
/* true: it was in the set. */
bool offset_set_remove(struct offset_set *s, int64_t offset);
bool offset_set_has(const struct offset_set *s, int64_t offset);
/* [from, to); nothing when from >= to. */
void offset_set_add_range(struct offset_set *s, int64_t from, int64_t to);
/* first, first + stride, ...: `count` of them; stride >= 1. */
void offset_set_add_steps(struct offset_set *s, int64_t first, int64_t stride, uint32_t count);
void offset_set_remove_range(struct offset_set *s, int64_t from, int64_t to);

uint64_t offset_set_count(const struct offset_set *s);
uint64_t offset_set_count_range(const struct offset_set *s, int64_t from, int64_t to);
int64_t offset_set_first(const struct offset_set *s); /* the set is not empty */
/* The lowest member >= `from`, or -1. */
int64_t offset_set_next(const struct offset_set *s, int64_t from);
/* The lowest offset >= `from` that is not in the set. */
int64_t offset_set_next_absent(const struct offset_set *s, int64_t from);
/* The first run of members in [from, to); false when there is none. */
bool offset_set_next_range(const struct offset_set *s, int64_t from, int64_t to,
                           struct offset_range *out);

/*
 * Serialised: varint count of parts, then for each u32 high, u32 size, and the bitmap in the
 * portable format of the Roaring format specification.
 */
void offset_set_put(const struct offset_set *s, struct text *out);
/* Read what offset_set_put() wrote into an empty set and step over it. E_MALFORMED. */
must_use enum err offset_set_get(struct offset_set *s, struct bytes *in);

#endif
