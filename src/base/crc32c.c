/*
 * The polynomial is 0x1EDC6F41, reflected 0x82F63B78. Inside, the register is not inverted; the two
 * public functions invert at the start and the end.
 *
 * The x86 instruction takes 8 bytes a cycle but gives its result three cycles later, so three
 * neighbouring blocks are summed at a time. Their sums are joined by moving the first two over the
 * bytes behind them: a register a moved over n bytes is a * x^8n mod P. The carry-less product of
 * two reflected 32-bit values is one bit short, and the crc instruction multiplies by x^32 more, so
 * the constant for n bytes is x^(8n - 33) mod P.
 *
 * Newer CPUs multiply four pairs at a time: from FOLD_LEAST bytes on, 256 bytes are folded into the
 * next 256, a 128-bit piece by two products with constants as above, until 16 bytes are left that
 * have the same remainder as everything before them.
 */
#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#include "base/crc32c_internal.h"

/* The register's change by each value of its low four bits. */
static const uint32_t nibbles[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c_portable(uint32_t crc, const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { SHORT_BLOCK = 256, LONG_BLOCK = 2048 };

/* x^(8n - 33) mod P, reflected, for one and for two blocks; the test computes them again. */
const struct crc32c_shift crc32c_short_shift = {SHORT_BLOCK, 0xb9e02b86, 0xdd7e3b0c};
const struct crc32c_shift crc32c_long_shift = {LONG_BLOCK, 0xa51b6135, 0x82f89c77};

#define TARGET __attribute__((target("sse4.2,pclmul")))

static inline uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

TARGET static uint64_t crc_move(uint64_t crc, uint32_t constant)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128(constant), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Three blocks at `p`. */
TARGET static uint64_t crc_blocks(uint64_t crc, const uint8_t *p, const struct crc32c_shift *shift)
{
    size_t block = shift->block_size;
    uint64_t second = 0, third = 0;

    for (const uint8_t *end = p + block; p < end; p += 8) {
        crc = _mm_crc32_u64(crc, load_u64(p));
        second = _mm_crc32_u64(second, load_u64(p + block));
        third = _mm_crc32_u64(third, load_u64(p + 2 * block));
    }
    return crc_move(crc, shift->two) ^ crc_move(second, shift->one) ^ third;
}

TARGET static uint32_t crc_sse42(uint32_t start, const uint8_t *p, size_t size)
{
    uint64_t crc = start;

    for (; size >= 3 * LONG_BLOCK; p += 3 * LONG_BLOCK, size -= 3 * LONG_BLOCK)
        crc = crc_blocks(crc, p, &crc32c_long_shift);
    for (; size >= 3 * SHORT_BLOCK; p += 3 * SHORT_BLOCK, size -= 3 * SHORT_BLOCK)
        crc = crc_blocks(crc, p, &crc32c_short_shift);
    for (; size >= 8; p += 8, size -= 8)
        crc = _mm_crc32_u64(crc, load_u64(p));
    for (; size; p++, size--)
        crc = _mm_crc32_u8((uint32_t)crc, *p);
    return (uint32_t)crc;
}

/* ---- folding ---- */

enum { FOLD_BYTES = 256, FOLD_LEAST = 1024 };

/* x^(bits + 31) for the low half of 128 bits, x^(bits - 33) for the high one. */
const struct crc32c_fold crc32c_folds[CRC32C_FOLD_COUNT] = {
    {2048, 0xdcb17aa4, 0xb9e02b86}, {512, 0x740eef02, 0x9e4addf8}, {384, 0x1c291d04, 0xddc0152b},
    {256, 0x3da6d0cb, 0xba4fc28e},  {128, 0xf20c0dfe, 0x493c7d27},
};

#define FOLD_TARGET __attribute__((target("avx512f,vpclmulqdq,sse4.2,pclmul")))

FOLD_TARGET static __m512i fold(__m512i x, const struct crc32c_fold *by, __m512i onto)
{
    const __m512i k =
        _mm512_set_epi64((int64_t)by->high, (int64_t)by->low, (int64_t)by->high, (int64_t)by->low,
                         (int64_t)by->high, (int64_t)by->low, (int64_t)by->high, (int64_t)by->low);

    x = _mm512_xor_si512(_mm512_clmulepi64_epi128(x, k, 0x00),
                         _mm512_clmulepi64_epi128(x, k, 0x11));
    return _mm512_xor_si512(x, onto);
}

FOLD_TARGET static __m128i fold_128(__m128i x, const struct crc32c_fold *by, __m128i onto)
{
    const __m128i k = _mm_set_epi64x((int64_t)by->high, (int64_t)by->low);

    x = _mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11));
    return _mm_xor_si128(x, onto);
}

/* `size` is a multiple of FOLD_BYTES. */
FOLD_TARGET static uint32_t crc_fold(uint32_t crc, const uint8_t *p, size_t size)
{
    const struct crc32c_fold *by = crc32c_folds;
    __m512i x[4];

    for (int i = 0; i < 4; i++)
        x[i] = _mm512_loadu_si512(p + 64 * i);
    x[0] = _mm512_xor_si512(x[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)crc)));
    for (size_t at = FOLD_BYTES; at < size; at += FOLD_BYTES)
        for (int i = 0; i < 4; i++)
            x[i] = fold(x[i], &by[0], _mm512_loadu_si512(p + at + 64 * (size_t)i));
    for (int i = 1; i < 4; i++)
        x[i] = fold(x[i - 1], &by[1], x[i]);
    __m128i last = _mm512_extracti32x4_epi32(x[3], 3);
    last = fold_128(_mm512_extracti32x4_epi32(x[3], 0), &by[2], last);
    last = fold_128(_mm512_extracti32x4_epi32(x[3], 1), &by[3], last);
    last = fold_128(_mm512_extracti32x4_epi32(x[3], 2), &by[4], last);
    uint64_t rest = _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(last));
    return (uint32_t)_mm_crc32_u64(rest, (uint64_t)_mm_extract_epi64(last, 1));
}

static bool can_fold(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
}

static uint32_t crc_update(uint32_t crc, const uint8_t *p, size_t size)
{
    if (size >= FOLD_LEAST && can_fold()) {
        size_t folded = size - size % FOLD_BYTES;
        crc = crc_fold(crc, p, folded);
        p += folded;
        size -= folded;
    }
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return crc_sse42(crc, p, size);
    return crc32c_portable(crc, p, size);
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#define TARGET __attribute__((target("+crc")))

TARGET static uint32_t crc_armv8(uint32_t crc, const uint8_t *p, size_t size)
{
    uint64_t v;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&v, p, sizeof v);
        crc = __builtin_aarch64_crc32cx(crc, v);
    }
    for (; size; p++, size--)
        crc = __builtin_aarch64_crc32cb(crc, *p);
    return crc;
}

static uint32_t crc_update(uint32_t crc, const uint8_t *p, size_t size)
{
    enum { HAS_CRC32 = 1 << 7 }; /* HWCAP_CRC32 */

    if (getauxval(AT_HWCAP) & HAS_CRC32)
        return crc_armv8(crc, p, size);
    return crc32c_portable(crc, p, size);
}

#else

static uint32_t crc_update(uint32_t crc, const uint8_t *p, size_t size)
{
    return crc32c_portable(crc, p, size);
}

#endif

uint32_t crc32c(const void *data, size_t size)
{
    return crc32c_extend(0, data, size);
}

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size)
{
    return ~crc_update(~crc, data, size);
}
