/* For crc32c_test.c: what only shows on another CPU, and the constants to compute again. */
#ifndef BASE_CRC32C_INTERNAL_H
#define BASE_CRC32C_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/* The fallback without CPU instructions; the register is not inverted. */
uint32_t crc32c_portable(uint32_t crc, const uint8_t *p, size_t size);

struct crc32c_shift {
    size_t block_size;
    uint32_t one, two; /* constants that move a register over one or two blocks */
};

struct crc32c_fold {
    size_t bits;
    uint32_t low, high; /* constants that move 128 bits over so many bits */
};

#if defined(__x86_64__)
enum { CRC32C_FOLD_COUNT = 5 };
extern const struct crc32c_shift crc32c_short_shift, crc32c_long_shift;
extern const struct crc32c_fold crc32c_folds[CRC32C_FOLD_COUNT];
#endif

#endif
