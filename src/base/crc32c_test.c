#include "base/crc32c.h"

#include <stdlib.h>

#include "base/crc32c_internal.h"
#include "base/random.h"
#include "tests/test.h"

enum { POLYNOMIAL_REFLECTED = (int)0x82f63b78 };

/* One bit at a time, as the definition says. */
static uint32_t naive_step(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? (uint32_t)POLYNOMIAL_REFLECTED : 0);
    return crc;
}

static uint32_t naive(const uint8_t *p, size_t size)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < size; i++)
        crc = naive_step(crc, p[i]);
    return ~crc;
}

static uint8_t *random_bytes(size_t size)
{
    uint8_t *p = malloc(size);
    struct random r;

    random_init(&r, test_seed());
    random_fill(&r, p, size);
    return p;
}

TEST(crc32c_gives_the_values_of_rfc_3720)
{
    uint8_t b[32] = {0};

    expect_int(crc32c("", 0), 0);
    expect_int(crc32c(NULL, 0), 0);
    expect_true(crc32c("123456789", 9) == 0xe3069283);
    expect_true(crc32c(b, 32) == 0x8a9136aa);
    memset(b, 0xff, 32);
    expect_true(crc32c(b, 32) == 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        b[i] = i;
    expect_true(crc32c(b, 32) == 0x46dd794e);
}

TEST(crc32c_agrees_with_bits_at_all_alignments_and_sizes_to_4096)
{
    uint8_t *p = random_bytes(4096 + 16);

    for (size_t at = 0; at < 16; at++) {
        uint32_t crc = ~0u;
        for (size_t size = 0; size <= 4096; size++) {
            expect_true(crc32c(p + at, size) == ~crc);
            crc = naive_step(crc, p[at + size < 4096 + 16 ? at + size : 0]);
        }
    }
    free(p);
}

TEST(crc32c_agrees_with_bits_around_its_block_sizes)
{
    uint8_t *p = random_bytes(3 * 2048 * 3 + 1600);

    for (size_t blocks = 1; blocks <= 3; blocks++)
        for (size_t more = 0; more <= 1600; more += 53) {
            size_t size = 3 * 2048 * blocks + more;
            expect_true(crc32c(p, size) == naive(p, size));
            expect_true(crc32c(p, size - 1) == naive(p, size - 1));
        }
    free(p);
}

TEST(crc32c_can_be_extended_from_any_place)
{
    enum { SIZE = 9000 };
    uint8_t *p = random_bytes(SIZE);
    uint32_t whole = crc32c(p, SIZE);

    for (size_t split = 0; split <= SIZE; split += 7)
        expect_true(crc32c_extend(crc32c(p, split), p + split, SIZE - split) == whole);
    free(p);
}

TEST(crc32c_without_cpu_instructions_gives_the_same)
{
    uint8_t *p = random_bytes(2000);

    for (size_t size = 0; size <= 2000; size++)
        expect_true(~crc32c_portable(~0u, p, size) == crc32c(p, size));
    free(p);
}

#if defined(__x86_64__)
/* x^n mod P, reflected: 1 is the highest bit, and times x is a shift to the right. */
static uint32_t power_of_x(size_t n)
{
    uint32_t v = 0x80000000;

    while (n--)
        v = v >> 1 ^ (v & 1 ? (uint32_t)POLYNOMIAL_REFLECTED : 0);
    return v;
}

TEST(crc32c_constants_are_the_powers_that_the_comment_names)
{
    const struct crc32c_shift *shifts[] = {&crc32c_short_shift, &crc32c_long_shift};

    for (int i = 0; i < 2; i++) {
        expect_true(shifts[i]->one == power_of_x(8 * shifts[i]->block_size - 33));
        expect_true(shifts[i]->two == power_of_x(16 * shifts[i]->block_size - 33));
    }
    for (int i = 0; i < CRC32C_FOLD_COUNT; i++) {
        expect_true(crc32c_folds[i].low == power_of_x(crc32c_folds[i].bits + 31));
        expect_true(crc32c_folds[i].high == power_of_x(crc32c_folds[i].bits - 33));
    }
}
#endif
