/* CRC-32C (Castagnoli), as Kafka's record batch v2 and our own formats use it. Uses SSE4.2 or the
 * ARMv8 CRC instructions where the CPU has them, three streams at a time from 768 bytes on, AVX-512's
 * carry-less multiplication from 1 KiB on, and tables elsewhere. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `size` bytes; crc32c_extend() goes on from an earlier one. */
uint32_t crc32c(const void *data, size_t size);
uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size);

#endif
