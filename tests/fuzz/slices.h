/*
 * How a target cuts its input: slices of a u8 kind, a u16 size and that many bytes; the last may be
 * shorter. A seed is written the same way.
 */
#ifndef TESTS_FUZZ_SLICES_H
#define TESTS_FUZZ_SLICES_H

#include "wire/reader.h"

struct slice {
    uint8_t kind;
    struct reader in;
};

/* false at the end of the input. */
static inline bool slice_next(struct reader *input, struct slice *out)
{
    if (reader_left(input) == 0)
        return false;
    out->kind = reader_u8(input);
    size_t size = reader_u16(input);
    out->in = reader_sub(input, size < reader_left(input) ? size : reader_left(input));
    return true;
}

/* Everything that is left of it. */
static inline struct bytes slice_rest(struct slice *p)
{
    return reader_bytes(&p->in, reader_left(&p->in));
}

#endif
