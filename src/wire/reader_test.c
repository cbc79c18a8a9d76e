#include "wire/reader.h"

#include "tests/test.h"

TEST(reader_reads_big_endian_and_ends_exactly)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct reader r = reader_of(bytes_of(data, sizeof data));
    expect_int(reader_u8(&r), 1);
    expect_int(reader_u16(&r), 0x0203);
    expect_int(reader_u32(&r), 0x04050607);
    expect_true(reader_u64(&r) == 0x08090a0b0c0d0e0f);
    expect_int(reader_left(&r), 0);
    expect_false(r.bad);
}

TEST(reader_stays_bad_and_keeps_the_position_of_the_failure)
{
    static const uint8_t data[] = {1, 2, 3};
    struct reader r = reader_of(bytes_of(data, sizeof data));
    reader_u8(&r);
    expect_int(reader_u32(&r), 0);
    expect_true(r.bad);
    expect_int(reader_u8(&r), 0); /* although two bytes were left */
    expect_true(r.at == data + 1);
}

TEST(reader_over_nothing_gives_empty_bytes_and_refuses_more)
{
    struct reader r = reader_of(BYTES_NULL);
    struct bytes b = reader_bytes(&r, 0);
    expect_not_null(b.data);
    expect_int(b.size, 0);
    expect_false(r.bad);
    expect_int(reader_varint(&r), 0);
    expect_true(r.bad);
}

TEST(reader_sub_cannot_see_past_its_size)
{
    static const uint8_t data[] = {1, 2, 3, 4};
    struct reader r = reader_of(bytes_of(data, sizeof data));
    struct reader sub = reader_sub(&r, 2);
    expect_int(reader_u32(&sub), 0);
    expect_true(sub.bad);
    expect_false(r.bad);
    expect_int(reader_u16(&r), 0x0304);
    sub = reader_sub(&r, 1);
    expect_true(sub.bad && r.bad);
}

TEST(reader_varint_takes_32_bits_in_at_most_five_bytes)
{
    static const struct {
        uint8_t data[6];
        size_t size;
        uint32_t value;
        bool bad;
    } cases[] = {
        {{0x00}, 1, 0, false},
        {{0x7f}, 1, 127, false},
        {{0x80, 0x01}, 2, 128, false},
        {{0xff, 0xff, 0xff, 0xff, 0x0f}, 5, UINT32_MAX, false},
        {{0xff, 0xff, 0xff, 0xff, 0x1f}, 5, 0, true}, /* 33 bits */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 6, 0, true},
        {{0x80}, 1, 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reader r = reader_of(bytes_of(cases[i].data, cases[i].size));
        expect_int(reader_varint(&r), cases[i].value);
        expect_int(r.bad, cases[i].bad);
        expect_true(r.bad || reader_left(&r) == 0);
    }
}
