#include "tests/test.h"

#include "log/batch.h"
#include "log/test_store.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

TEST(a_built_batch_parses_back_with_all_its_records)
{
    struct batch_builder b = {0};
    batch_builder_begin(&b, 0);
    batch_builder_add(&b, 100, BYTES_LITERAL("k"), BYTES_LITERAL("v"), BYTES_NULL, 0);
    batch_builder_add(&b, 90, BYTES_NULL, BYTES_LITERAL(""), BYTES_NULL, 0);
    batch_builder_add(&b, 300, BYTES_LITERAL(""), BYTES_NULL, BYTES_NULL, 0);
    struct batch batch;
    expect_ok(batch_parse(batch_builder_end(&b), &batch));
    expect_ok(batch_check_produced(&batch));
    expect_int(batch.record_count, 3);
    expect_int(batch.max_timestamp, 300);
    struct record_reader reader;
    struct record r;
    struct text scratch = {0};
    struct bytes records;
    expect_ok(batch_inflate(&batch, 1000, &scratch, &records));
    record_reader_init(&reader, &batch, 50, records);
    expect_true(record_reader_next(&reader, &r));
    expect_int(r.offset, 50);
    expect_bytes(r.key, BYTES_LITERAL("k"));
    expect_bytes(r.value, BYTES_LITERAL("v"));
    expect_true(record_reader_next(&reader, &r));
    expect_null(r.key.data);
    expect_int(r.value.size, 0);
    expect_not_null(r.value.data);
    expect_int(r.timestamp, 90);
    expect_true(record_reader_next(&reader, &r));
    expect_null(r.value.data);
    expect_not_null(r.key.data);
    expect_false(record_reader_next(&reader, &r));
    expect_int(reader.left, 0);
    batch_builder_reset(&b);
}

/* A record before, one with `value`, and one behind it if nothing was lent. */
static struct text build_with(struct bytes value, bool lend, bool one_behind)
{
    struct batch_builder b = {0};
    struct bytes key[2] = {BYTES_LITERAL("front"), BYTES_LITERAL("back")};
    batch_builder_begin(&b, 0);
    batch_builder_add(&b, 100, BYTES_LITERAL("k"), BYTES_LITERAL("v"), BYTES_NULL, 0);
    batch_builder_add_parts(&b, 101, key, 2, value, lend);
    if (one_behind)
        batch_builder_add(&b, 102, BYTES_NULL, BYTES_LITERAL("w"), BYTES_NULL, 0);
    struct batch_parts parts = batch_builder_end_parts(&b);
    expect_int(parts.lent.size, lend ? value.size : 0);
    struct text all = {0};
    batch_parts_put(text_reserve(&all, batch_parts_size(&parts)), &parts);
    text_advance(&all, batch_parts_size(&parts));
    batch_builder_begin(&b, 0); /* what was lent is forgotten */
    batch_builder_add(&b, 100, BYTES_NULL, BYTES_LITERAL("x"), BYTES_NULL, 0);
    expect_int(batch_builder_end_parts(&b).lent.size, 0);
    batch_builder_reset(&b);
    return all;
}

TEST(a_lent_value_makes_the_same_batch_as_one_that_was_copied)
{
    static uint8_t value[100000];
    const size_t sizes[] = {1, 63, 64, 8191, sizeof value};
    memset(value, 'a', sizeof value);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        struct bytes v = bytes_of(value, sizes[i / 2]);
        struct text copied = build_with(v, false, i % 2), lent = build_with(v, true, i % 2);
        struct batch b;
        expect_bytes(text_bytes(&lent), text_bytes(&copied));
        expect_ok(batch_parse(text_bytes(&lent), &b));
        expect_ok(batch_check_produced(&b));
        text_reset(&copied);
        text_reset(&lent);
    }
}

TEST(a_batch_cut_at_any_byte_or_with_any_bit_turned_is_refused)
{
    const char *values[] = {"alpha", "beta"};
    struct bytes whole = test_batch(values, 2, 0);
    uint8_t *copy = xmemdup(whole.data, whole.size);
    struct batch b;
    for (size_t n = 0; n < whole.size; n++)
        expect_err(batch_parse(bytes_of(copy, n), &b), E_OUT_OF_RANGE);
    for (size_t bit = BATCH_CRC_FROM * 8; bit < whole.size * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (batch_parse(bytes_of(copy, whole.size), &b) == OK)
            expect_err(batch_check_produced(&b), E_CORRUPT);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(copy);
}

TEST(records_that_lie_about_their_length_end_the_walk)
{
    const char *values[] = {"alpha", "beta"};
    struct bytes whole = test_batch(values, 2, 0);
    uint8_t *copy = xmemdup(whole.data, whole.size);
    struct batch b;
    struct record r;
    for (size_t at = BATCH_HEADER_BYTES; at < whole.size; at++) {
        for (int v = 0; v < 256; v++) {
            uint8_t old = copy[at];
            copy[at] = (uint8_t)v;
            expect_ok(batch_parse(bytes_of(copy, whole.size), &b));
            struct record_reader reader;
            record_reader_init(
                &reader, &b, 0,
                bytes_of(copy + BATCH_HEADER_BYTES, whole.size - BATCH_HEADER_BYTES));
            int n = 0;
            while (record_reader_next(&reader, &r))
                n++;
            expect_true(n <= 2);
            copy[at] = old;
        }
    }
    free(copy);
}

static void expect_inflates(int codec, const void *packed, size_t size, struct bytes wanted)
{
    uint8_t *raw = xzalloc(BATCH_HEADER_BYTES + size);
    memcpy(raw + BATCH_HEADER_BYTES, packed, size);
    struct batch b = {.raw = bytes_of(raw, BATCH_HEADER_BYTES + size),
                      .attributes = (uint16_t)codec};
    struct text scratch = {0};
    struct bytes out;
    expect_ok(batch_inflate(&b, 1 << 20, &scratch, &out));
    expect_bytes(out, wanted);
    expect_err(batch_inflate(&b, wanted.size - 1, &scratch, &out), E_TOO_LARGE);
    b.raw.size -= 5;
    expect_err(batch_inflate(&b, 1 << 20, &scratch, &out), E_CORRUPT);
    text_reset(&scratch);
    free(raw);
}

TEST(every_codec_inflates_within_its_limit_and_refuses_cut_data)
{
    static uint8_t plain[200000], packed[300000];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * i / 1000);
    struct bytes wanted = bytes_of(plain, sizeof plain);

    uLongf gzip_size = sizeof packed;
    z_stream z = {
        .next_in = plain, .avail_in = sizeof plain, .next_out = packed, .avail_out = sizeof packed};
    expect_int(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    expect_int(deflate(&z, Z_FINISH), Z_STREAM_END);
    gzip_size = z.total_out;
    deflateEnd(&z);
    expect_inflates(CODEC_GZIP, packed, gzip_size, wanted);

    size_t size = LZ4F_compressFrame(packed, sizeof packed, plain, sizeof plain, NULL);
    expect_false(LZ4F_isError(size));
    expect_inflates(CODEC_LZ4, packed, size, wanted);

    size = ZSTD_compress(packed, sizeof packed, plain, sizeof plain, 3);
    expect_false(ZSTD_isError(size));
    expect_inflates(CODEC_ZSTD, packed, size, wanted);

    size = sizeof packed;
    expect_int(snappy_compress((const char *)plain, sizeof plain, (char *)packed, &size),
               SNAPPY_OK);
    expect_inflates(CODEC_SNAPPY, packed, size, wanted);
}

TEST(xerial_snappy_of_several_blocks_inflates)
{
    uint8_t packed[1000] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    size_t at = 16;
    for (int i = 0; i < 2; i++) {
        size_t size = sizeof packed - at - 4;
        expect_int(snappy_compress("hello world", 11, (char *)packed + at + 4, &size), SNAPPY_OK);
        put_u32(packed + at, (uint32_t)size);
        at += 4 + size;
    }
    expect_inflates(CODEC_SNAPPY, packed, at, BYTES_LITERAL("hello worldhello world"));
}

TEST(a_filtered_batch_keeps_offsets_and_leaves_holes)
{
    const char *values[] = {"a", "b", "c", "d"};
    struct batch b;
    expect_ok(batch_parse(test_batch(values, 4, 0), &b));
    uint8_t *copy = xmemdup(b.raw.data, b.raw.size);
    expect_ok(batch_parse(bytes_of(copy, b.raw.size), &b));
    struct offset_range keep[] = {{101, 102}, {103, 104}};
    struct batch_builder builder = {0};
    struct bytes kept;
    expect_ok(batch_filter(&b, 100, keep, 2, &builder, &kept));
    struct batch f;
    expect_ok(batch_parse(kept, &f));
    expect_true(batch_is_intact(&f));
    expect_int(f.record_count, 2);
    expect_int(f.last_offset_delta, 3);
    struct record_reader reader;
    struct record r;
    record_reader_init(&reader, &f, 100,
                       bytes_of(kept.data + BATCH_HEADER_BYTES, kept.size - BATCH_HEADER_BYTES));
    expect_true(record_reader_next(&reader, &r));
    expect_int(r.offset, 101);
    expect_true(record_reader_next(&reader, &r));
    expect_int(r.offset, 103);
    expect_bytes(r.value, BYTES_LITERAL("d"));
    expect_false(record_reader_next(&reader, &r));
    batch_builder_reset(&builder);
    free(copy);
}

/* ---- what fuzzing found ---- */

static int count_records(const uint8_t *raw, size_t size)
{
    struct record_reader reader;
    struct record r;
    struct batch b;
    int n = 0;
    expect_ok(batch_parse(bytes_of(raw, size), &b));
    record_reader_init(&reader, &b, 0,
                       bytes_of(raw + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES));
    while (record_reader_next(&reader, &r))
        n++;
    expect_true(n == 2 || reader.left > 0);
    return n;
}

TEST(records_out_of_order_or_behind_the_last_offset_are_damage)
{
    const char *values[] = {"a", "b"};
    struct bytes whole = test_batch(values, 2, 0);
    uint8_t *copy = xmemdup(whole.data, whole.size);
    size_t second = BATCH_HEADER_BYTES + (whole.size - BATCH_HEADER_BYTES) / 2;
    expect_int(count_records(copy, whole.size), 2);
    expect_int(copy[second + 3], zigzag_encode(1)); /* its offset delta */
    copy[second + 3] = (uint8_t)zigzag_encode(2);
    expect_int(count_records(copy, whole.size), 1);
    copy[second + 3] = (uint8_t)zigzag_encode(0);
    expect_int(count_records(copy, whole.size), 1);
    copy[second + 3] = (uint8_t)zigzag_encode(-1);
    expect_int(count_records(copy, whole.size), 1);
    free(copy);
}

TEST(a_base_offset_that_leaves_no_room_for_the_records_is_refused)
{
    struct bytes whole = test_batch_one("a");
    uint8_t *copy = xmemdup(whole.data, whole.size);
    struct batch b;
    batch_stamp(copy, INT64_MAX, 0);
    expect_err(batch_parse(bytes_of(copy, whole.size), &b), E_MALFORMED);
    batch_stamp(copy, INT64_MAX - INT32_MAX - 1, 0);
    expect_ok(batch_parse(bytes_of(copy, whole.size), &b));
    free(copy);
}

TEST(records_from_before_1970_keep_their_times)
{
    struct batch_builder builder = {0};
    struct record_reader reader;
    struct record r;
    struct batch b;
    const int64_t times[] = {-1, 5, INT64_MIN, INT64_MAX};
    batch_builder_begin(&builder, 0);
    for (int i = 0; i < 4; i++)
        batch_builder_add(&builder, times[i], BYTES_NULL, BYTES_NULL, BYTES_NULL, 0);
    expect_ok(batch_parse(batch_builder_end(&builder), &b));
    expect_int(b.max_timestamp, INT64_MAX);
    record_reader_init(&reader, &b, 0,
                       bytes_of(b.raw.data + BATCH_HEADER_BYTES, b.raw.size - BATCH_HEADER_BYTES));
    for (int i = 0; i < 4; i++) {
        expect_true(record_reader_next(&reader, &r));
        expect_int(r.timestamp, times[i]);
    }
    batch_builder_reset(&builder);
}
