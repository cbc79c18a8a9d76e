#include "base/bytes.h"

#include <stdio.h>

#include "base/random.h"
#include "tests/test.h"

TEST(bytes_are_ordered_as_words_in_a_dictionary)
{
    static const char *const words[] = {"", "a", "a-b", "aa", "ab", "b", "ba"};
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++) {
            int order = bytes_compare(bytes_from_string(words[i]), bytes_from_string(words[j]));
            expect_int((order > 0) - (order < 0), (i > j) - (i < j));
        }
    expect_true(bytes_compare(BYTES_NULL, BYTES_LITERAL("a")) < 0);
}

TEST(bytes_know_their_prefixes)
{
    expect_true(bytes_has_prefix(BYTES_LITERAL("amq.direct"), "amq."));
    expect_true(bytes_has_prefix(BYTES_NULL, ""));
    expect_false(bytes_has_prefix(BYTES_LITERAL("amq"), "amq."));
    expect_false(bytes_has_prefix(BYTES_LITERAL("xamq."), "amq."));
}

TEST(bytes_from_a_null_string_are_null)
{
    expect_null(bytes_from_string(NULL).data);
    expect_int(bytes_from_string(NULL).size, 0);
}

TEST(big_endian_numbers_survive_at_any_alignment)
{
    uint8_t b[16];

    for (size_t at = 0; at < 8; at++) {
        put_u64(b + at, 0x0102030405060708);
        expect_int(b[at], 1);
        expect_int(b[at + 7], 8);
        expect_true(get_u64(b + at) == 0x0102030405060708);
        expect_int(get_u32(b + at), 0x01020304);
        expect_int(get_u16(b + at), 0x0102);
        put_u32(b + at, 0xfffefdfc);
        expect_true(get_u32(b + at) == 0xfffefdfc);
        put_u16(b + at, 0xabcd);
        expect_int(get_u16(b + at), 0xabcd);
    }
}

TEST(zigzag_maps_small_numbers_to_small_numbers)
{
    expect_int(zigzag_encode(0), 0);
    expect_int(zigzag_encode(-1), 1);
    expect_int(zigzag_encode(1), 2);
    expect_true(zigzag_encode(INT64_MAX) == UINT64_MAX - 1);
    expect_true(zigzag_encode(INT64_MIN) == UINT64_MAX);
    for (int64_t v = -1000; v <= 1000; v++)
        expect_int(zigzag_decode(zigzag_encode(v)), v);
    expect_true(zigzag_decode(UINT64_MAX) == INT64_MIN);
}

/* Any number of bits is as likely as any other. */
static uint64_t random_bits(struct random *r)
{
    return random_u64(r) >> random_below(r, 64);
}

static void expect_varint(uint64_t v)
{
    uint8_t b[VARINT_MAX_BYTES + 1];
    uint64_t read = 0;
    size_t naive = 1;

    for (uint64_t rest = v >> 7; rest; rest >>= 7)
        naive++;
    memset(b, 0xee, sizeof b);
    expect_int(varint_size(v), naive);
    expect_int(varint_put(b, v), naive);
    expect_int(b[naive], 0xee);
    expect_int(varint_get(b, sizeof b, &read), naive);
    expect_true(read == v);
    for (size_t size = 0; size < naive; size++)
        expect_int(varint_get(b, size, &read), 0);
}

TEST(varints_survive_a_round_trip_and_need_all_their_bytes)
{
    struct random r;

    random_init(&r, test_seed());
    for (int bit = 0; bit < 64; bit++) {
        expect_varint(UINT64_C(1) << bit);
        expect_varint((UINT64_C(1) << bit) - 1);
    }
    expect_varint(UINT64_MAX);
    for (int i = 0; i < 100000; i++)
        expect_varint(random_bits(&r));
}

TEST(varints_beyond_64_bits_are_refused)
{
    uint8_t b[11];
    uint64_t v = 5;

    memset(b, 0x80, sizeof b);
    b[10] = 0;
    expect_int(varint_get(b, sizeof b, &v), 0);
    b[9] = 2;
    expect_int(varint_get(b, sizeof b, &v), 0);
    b[9] = 0x81;
    expect_int(varint_get(b, sizeof b, &v), 0);
    expect_int(v, 5);
    b[9] = 1;
    expect_int(varint_get(b, sizeof b, &v), 10);
    expect_true(v == UINT64_C(1) << 63);
}

/* Encode one code point without looking whether it may be. */
static size_t utf8_put(uint8_t *p, uint32_t c, size_t size)
{
    if (size == 1) {
        p[0] = (uint8_t)c;
        return 1;
    }
    for (size_t i = size; i-- > 1; c >>= 6)
        p[i] = (uint8_t)(0x80 | (c & 0x3f));
    p[0] = (uint8_t)((0xff00 >> size & 0xff) | c);
    return size;
}

TEST(utf8_holds_for_exactly_the_shortest_forms_of_all_characters)
{
    uint8_t b[4];

    for (uint32_t c = 0; c < 0x200000; c++) {
        size_t shortest = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        bool is_character = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
        for (size_t size = shortest; size <= 4; size++) {
            utf8_put(b, c, size);
            expect_int(bytes_are_utf8(bytes_of(b, size)), size == shortest && is_character);
            expect_int(bytes_are_utf8(bytes_of(b, size - 1)), size == 1);
        }
    }
}

TEST(utf8_refuses_bytes_that_never_occur_or_stand_alone)
{
    uint8_t b[24];

    for (int v = 0x80; v < 0x100; v++)
        for (size_t at = 0; at < sizeof b; at++) { /* in the fast and in the slow part */
            memset(b, 'a', sizeof b);
            b[at] = (uint8_t)v;
            expect_false(bytes_are_utf8(bytes_of(b, sizeof b)));
        }
    expect_true(bytes_are_utf8(BYTES_NULL));
    expect_true(bytes_are_utf8(BYTES_LITERAL("Gr\xc3\xbc\xc3\x9f"
                                             "e, \xe2\x82\xac \xf0\x9f\x90\x87 a")));
    expect_false(bytes_are_utf8(BYTES_LITERAL("\xc3\xc3\xbc")));
    expect_false(bytes_are_utf8(BYTES_LITERAL("\xe2\x82"
                                              "a")));
}

/* The wanted values come from a second implementation that agrees with the published vectors. */
TEST(hashes_with_a_fixed_seed_are_those_of_siphash_1_3)
{
    uint8_t b[16];

    for (uint8_t i = 0; i < sizeof b; i++)
        b[i] = i;
    bytes_hash_set_seed(0x0706050403020100);
    expect_true(bytes_hash(BYTES_NULL) == 0x7a39a0a3602cd672);
    expect_true(bytes_hash(bytes_of(b, 7)) == 0xddb8794e0272d354);
    expect_true(bytes_hash(bytes_of(b, 8)) == 0x9366216f206d91bd);
    expect_true(bytes_hash(bytes_of(b, 15)) == 0xd2856ec5a925f6d5);
    bytes_hash_set_seed(test_seed());
    expect_true(bytes_hash(BYTES_NULL) != 0x7a39a0a3602cd672);
}

TEST(hashes_of_neighbours_differ_in_half_of_their_bits)
{
    struct random r;
    int64_t flipped = 0, flipped_u64 = 0;

    random_init(&r, test_seed());
    for (int i = 0; i < 64 * 200; i++) {
        uint64_t key = random_u64(&r), other = key ^ UINT64_C(1) << (i % 64);
        uint64_t change = bytes_hash(bytes_of(&key, 8)) ^ bytes_hash(bytes_of(&other, 8));
        flipped += __builtin_popcountll(change);
        flipped_u64 += bytes_hash_u64(key) != bytes_hash_u64(other);
    }
    expect_true(flipped > 64 * 200 * 31 && flipped < 64 * 200 * 33);
    expect_int(flipped_u64, 64 * 200);
}

TEST(text_is_always_followed_by_a_nul)
{
    struct text t = {0};
    char wanted[4000] = "";
    size_t size = 0;

    expect_string(text_string(&t), "");
    for (int i = 0; i < 300; i++) {
        text_printf(&t, "%d,", i);
        size += (size_t)snprintf(wanted + size, sizeof wanted - size, "%d,", i);
        expect_int(t.size, size);
        expect_string(text_string(&t), wanted);
    }
    text_append(&t, BYTES_NULL);
    text_append_string(&t, "");
    expect_bytes(text_bytes(&t), bytes_of(wanted, size));
    text_reset(&t);
    expect_null(t.data);
}

TEST(text_appends_numbers_in_network_order)
{
    struct text t = {0};

    text_put_u8(&t, 1);
    text_put_u16(&t, 0x0203);
    text_put_u32(&t, 0x04050607);
    text_put_u64(&t, 0x08090a0b0c0d0e0f);
    text_put_varint(&t, 300);
    text_append_zeros(&t, 2);
    text_append_string(&t, "z");
    expect_bytes(text_bytes(&t), BYTES_LITERAL("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"
                                               "\x0d\x0e\x0f\xac\x02\x00\x00z"));
    text_reset(&t);
}

TEST(text_takes_what_was_written_into_reserved_room)
{
    struct text t = {0};

    memcpy(text_reserve(&t, 100), "abcdef", 6);
    expect_int(t.size, 0);
    text_advance(&t, 3);
    expect_string(text_string(&t), "abc");
    expect_check_fails(text_advance(&t, t.capacity));
    expect_check_fails(text_reserve(&t, SIZE_MAX));
    expect_check_fails(text_reserve(&t, SIZE_MAX / 2));
    text_reset(&t);
}
