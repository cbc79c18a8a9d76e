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

#if defined(__x86_64__)
extern const struct crc32c_shift crc32c_short_shift, crc32c_long_shift;
#endif

#endif
