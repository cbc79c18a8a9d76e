/*
 * Any bytes as a record batch. Input: a mode, then the batch. An odd mode makes length, magic and
 * checksum right, so that damage goes deeper than they do; bit 1 of it also leaves out the codec.
 * What is read lies within the batch or what it inflates to, and is no more than the limit; what is
 * built of the records that were read gives the same records again, also when some are left out.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/vec.h"
#include "log/batch.h"
#include "tests/fuzz/fuzz.h"

enum { INFLATED_MAX_BYTES = 1 << 18, MODE_REPAIR = 1, MODE_PLAIN = 2 };

static void repair(uint8_t *p, size_t size, uint8_t mode)
{
    if (!(mode & MODE_REPAIR) || size < BATCH_HEADER_BYTES)
        return;
    put_u32(p + 8, (uint32_t)(size - BATCH_PREFIX_BYTES));
    p[16] = 2;
    if (mode & MODE_PLAIN)
        p[22] &= (uint8_t)~BATCH_CODEC_MASK;
    put_u32(p + 17, crc32c(p + BATCH_CRC_FROM, size - BATCH_CRC_FROM));
}

static bool lies_within(struct bytes part, struct bytes whole)
{
    return !part.data || (part.data >= whole.data && part.size <= whole.size &&
                          part.data + part.size <= whole.data + whole.size);
}

static bool records_equal(const struct record *a, const struct record *b)
{
    return a->offset == b->offset && a->timestamp == b->timestamp && bytes_equal(a->key, b->key) &&
           bytes_equal(a->value, b->value) && bytes_equal(a->headers, b->headers) &&
           a->header_count == b->header_count && !a->key.data == !b->key.data &&
           !a->value.data == !b->value.data;
}

/* Records as builders make them: offsets one by one, times that do not overflow. */
static bool is_plain(const struct batch *b, const struct record *r, int32_t i)
{
    return r->offset - b->base_offset == i && r->timestamp >= 0;
}

/* Every other record is kept. */
static void filter(const struct batch *b, struct bytes records)
{
    struct batch_builder builder = {0};
    VEC(struct offset_range) keep = {0};
    struct bytes out;
    struct batch left;
    struct record_reader all, some;
    struct record r, s;

    if (b->base_offset < 0 || b->base_offset > INT64_MAX - INT32_MAX)
        return;
    for (int32_t i = 0; i < b->record_count && i < 1000; i += 2)
        vec_push(&keep, ((struct offset_range){b->base_offset + i, b->base_offset + i + 1}));
    enum err err = batch_filter(b, b->base_offset, keep.items, keep.count, &builder, &out);
    if (!err) {
        check(batch_parse(out, &left) == OK && batch_is_intact(&left));
        check(left.last_offset_delta == b->last_offset_delta);
        record_reader_init(&all, b, b->base_offset, records);
        record_reader_init(&some, &left, b->base_offset,
                           bytes_of(out.data + BATCH_HEADER_BYTES, out.size - BATCH_HEADER_BYTES));
        while (record_reader_next(&all, &r)) {
            int64_t i = r.offset - b->base_offset;
            if (i < 0 || i >= 1000 || i % 2 || i >= b->record_count)
                continue;
            check(record_reader_next(&some, &s));
            check(records_equal(&r, &s));
        }
        check(!record_reader_next(&some, &s));
    }
    batch_builder_reset(&builder);
    vec_reset(&keep);
}

static void rebuild(const struct batch *b, struct bytes records)
{
    struct batch_builder builder = {0};
    struct record_reader reader, again;
    struct record r, s;
    struct batch built;
    int32_t count = 0;

    batch_builder_begin(&builder, 0);
    record_reader_init(&reader, b, b->base_offset, records);
    for (; record_reader_next(&reader, &r) && is_plain(b, &r, count); count++)
        batch_builder_add(&builder, r.timestamp, r.key, r.value, r.headers, r.header_count);
    if (count > 0) {
        struct bytes raw = batch_builder_end(&builder);
        check(batch_parse(raw, &built) == OK && batch_check_produced(&built) == OK);
        record_reader_init(&reader, b, b->base_offset, records);
        record_reader_init(&again, &built, b->base_offset,
                           bytes_of(raw.data + BATCH_HEADER_BYTES, raw.size - BATCH_HEADER_BYTES));
        for (int32_t i = 0; i < count; i++)
            check(record_reader_next(&reader, &r) && record_reader_next(&again, &s) &&
                  records_equal(&r, &s));
        check(again.left == 0);
    }
    batch_builder_reset(&builder);
}

static void read_records(const struct batch *b, struct bytes records)
{
    struct record_reader reader;
    struct record r;

    record_reader_init(&reader, b, b->base_offset, records);
    while (record_reader_next(&reader, &r)) {
        check(lies_within(r.key, records) && lies_within(r.value, records) &&
              lies_within(r.headers, records));
        check(reader.left >= 0);
    }
    rebuild(b, records);
    filter(b, records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text scratch = {0};
    struct bytes records;
    struct batch b;

    if (size < 1)
        return 0;
    uint8_t *copy = xmalloc(size);
    memcpy(copy, data + 1, size - 1);
    repair(copy, size - 1, data[0]);
    if (batch_parse(bytes_of(copy, size - 1), &b) == OK) {
        check(b.raw.size <= size - 1 && b.raw.size >= BATCH_HEADER_BYTES);
        enum err produced = batch_check_produced(&b);
        check(!(data[0] & MODE_REPAIR) || b.raw.size < size - 1 || produced != E_CORRUPT);
        if (batch_inflate(&b, INFLATED_MAX_BYTES, &scratch, &records) == OK) {
            check(records.size <= size || records.size <= INFLATED_MAX_BYTES);
            read_records(&b, records);
        }
    }
    text_reset(&scratch);
    free(copy);
    return 0;
}
