/*
 * A bounded reader over received bytes. The first read that does not fit sets `bad` and empties the
 * reader, so that a decoder may read on without looking: it gets zeros, and asks once at the end.
 * Positions stay where the failure was, which makes the error text useful. Nothing is copied: what
 * reader_bytes() returns lies in the buffer that was given.
 */
#ifndef WIRE_READER_H
#define WIRE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* sticky: something did not fit or was not valid */
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){b.data, b.data ? b.data + b.size : b.data, false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline void reader_fail(struct reader *r)
{
    r->bad = true;
    r->end = r->at;
}

/* Step over `size` bytes and return where they start; NULL when they are not there. */
static inline const uint8_t *reader_take(struct reader *r, size_t size)
{
    const uint8_t *at = r->at;
    if (__builtin_expect(size > reader_left(r), 0)) {
        reader_fail(r);
        return NULL;
    }
    r->at = at + size;
    return at;
}

static inline uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p ? *p : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p ? get_u16(p) : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    return p ? get_u32(p) : 0;
}

static inline uint64_t reader_u64(struct reader *r)
{
    const uint8_t *p = reader_take(r, 8);
    return p ? get_u64(p) : 0;
}

/* The next `size` bytes, borrowed; not null, also when size is 0, unless they are not there. */
static inline struct bytes reader_bytes(struct reader *r, size_t size)
{
    static const uint8_t nothing;
    const uint8_t *p = reader_take(r, size);
    if (!p) /* an empty reader over no buffer, or a bad one */
        return r->bad ? BYTES_NULL : (struct bytes){&nothing, 0};
    return (struct bytes){p, size};
}

/* A reader over the next `size` bytes alone; bad from birth when they are not there. */
static inline struct reader reader_sub(struct reader *r, size_t size)
{
    struct reader sub = reader_of(reader_bytes(r, size));
    sub.bad = r->bad;
    return sub;
}

/* Kafka's unsigned varint of 32 bits (five bytes at most), for compact lengths, counts and tags. A
 * value that does not fit in 32 bits is bad. */
static inline uint32_t reader_varint(struct reader *r)
{
    if (__builtin_expect(r->at < r->end && *r->at < 0x80, 1))
        return *r->at++;
    uint64_t value;
    size_t size = varint_get(r->at, reader_left(r), &value);
    if (size == 0 || value > UINT32_MAX) {
        reader_fail(r);
        return 0;
    }
    r->at += size;
    return (uint32_t)value;
}

#endif
