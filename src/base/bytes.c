#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/sip.h"

enum { TEXT_CAPACITY_MIN = 64 };

/* SipHash-1-3 (Aumasson, Bernstein): peers choose the names that we hash, so the hash is keyed. */
static uint64_t hash_seed[2];

__attribute__((constructor)) static void hash_seed_from_kernel(void)
{
    const void *random = (const void *)getauxval(AT_RANDOM); /* 16 bytes that exec put there */

    if (random)
        memcpy(hash_seed, random, sizeof hash_seed);
}

void bytes_hash_set_seed(uint64_t seed)
{
    hash_seed[0] = seed;
    hash_seed[1] = ~seed;
}

static inline void sip_take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The last size % 8 bytes as a little-endian number. */
static uint64_t sip_tail(struct bytes b)
{
    size_t count = b.size % 8;
    uint64_t v = 0;

    if (count && b.size > 8)
        return load_u64(b.data + b.size - 8) >> (64 - 8 * count);
    for (size_t i = count; i-- > 0;)
        v = v << 8 | b.data[b.size - count + i];
    return v;
}

uint64_t bytes_hash(struct bytes b)
{
    uint64_t v[4] = {
        hash_seed[0] ^ 0x736f6d6570736575,
        hash_seed[1] ^ 0x646f72616e646f6d,
        hash_seed[0] ^ 0x6c7967656e657261,
        hash_seed[1] ^ 0x7465646279746573,
    };
    size_t i = 0;

    for (; b.size - i >= 8; i += 8)
        sip_take(v, load_u64(b.data + i));
    sip_take(v, (uint64_t)b.size << 56 | sip_tail(b));
    v[2] ^= 0xff;
    for (int i_round = 0; i_round < 3; i_round++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The multiplication spreads the key upwards, the fold brings the high half down again. */
uint64_t bytes_hash_u64(uint64_t key)
{
    unsigned __int128 product = (unsigned __int128)(key ^ hash_seed[0]) * 0x9e3779b97f4a7c15;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The size of the UTF-8 sequence at `p` with `left` bytes, 0 when it is none (RFC 3629 s.4). */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t low = 0x80, high = 0xbf; /* of the second byte */
    size_t size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] < 0xc2 || p[0] > 0xf4 || left < size)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0; /* shorter forms exist */
    else if (p[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f; /* above U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

struct bytes bytes_dup(struct bytes b)
{
    return b.size ? bytes_of(xmemdup(b.data, b.size), b.size) : bytes_of("", 0);
}

void bytes_free(struct bytes b)
{
    if (b.size)
        free((void *)b.data);
}

bool bytes_are_utf8(struct bytes b)
{
    size_t i = 0;

    while (i < b.size) {
        uint64_t word;
        if (b.size - i >= 8 && (memcpy(&word, b.data + i, 8), !(word & 0x8080808080808080))) {
            i += 8;
            continue;
        }
        size_t size = b.data[i] < 0x80 ? 1 : utf8_sequence(b.data + i, b.size - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

size_t varint_get(const uint8_t *p, size_t size, uint64_t *out)
{
    uint64_t v = 0;

    for (size_t i = 0; i < size && i < VARINT_MAX_BYTES; i++) {
        if (i == VARINT_MAX_BYTES - 1 && p[i] > 1)
            return 0; /* beyond 64 bits */
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80) {
            *out = v;
            return i + 1;
        }
    }
    return 0;
}

size_t varint_put(uint8_t *p, uint64_t v)
{
    size_t i = 0;

    for (; v >= 0x80; v >>= 7)
        p[i++] = (uint8_t)(v | 0x80);
    p[i++] = (uint8_t)v;
    return i;
}

size_t varint_size(uint64_t v)
{
    return ((size_t)(63 - __builtin_clzll(v | 1)) * 9 + 73) / 64;
}

void text_reset(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

uint8_t *text_reserve(struct text *t, size_t more)
{
    size_t want;

    check(!__builtin_add_overflow(t->size, more, &want));
    check(want < SIZE_MAX / 2);
    if (want >= t->capacity) { /* one byte is kept for the NUL */
        size_t grown = t->capacity * 2 < TEXT_CAPACITY_MIN ? TEXT_CAPACITY_MIN : t->capacity * 2;
        t->capacity = grown > want ? grown : want + 1;
        t->data = xrealloc(t->data, t->capacity);
        t->data[t->size] = '\0';
    }
    return t->data + t->size;
}

void text_advance(struct text *t, size_t count)
{
    check(count < t->capacity - t->size);
    t->size += count;
    t->data[t->size] = '\0';
}

void text_append(struct text *t, struct bytes b)
{
    uint8_t *end = text_reserve(t, b.size);

    if (b.size)
        memcpy(end, b.data, b.size);
    text_advance(t, b.size);
}

void text_append_string(struct text *t, const char *s)
{
    text_append(t, bytes_from_string(s));
}

void text_append_zeros(struct text *t, size_t count)
{
    memset(text_reserve(t, count), 0, count);
    text_advance(t, count);
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(size >= 0);
    uint8_t *end = text_reserve(t, (size_t)size);
    va_start(args, format);
    vsnprintf((char *)end, (size_t)size + 1, format, args);
    va_end(args);
    text_advance(t, (size_t)size);
}

void text_put_u8(struct text *t, uint8_t v)
{
    *text_reserve(t, sizeof v) = v;
    text_advance(t, sizeof v);
}

void text_put_u16(struct text *t, uint16_t v)
{
    put_u16(text_reserve(t, sizeof v), v);
    text_advance(t, sizeof v);
}

void text_put_u32(struct text *t, uint32_t v)
{
    put_u32(text_reserve(t, sizeof v), v);
    text_advance(t, sizeof v);
}

void text_put_u64(struct text *t, uint64_t v)
{
    put_u64(text_reserve(t, sizeof v), v);
    text_advance(t, sizeof v);
}

void text_put_varint(struct text *t, uint64_t v)
{
    text_advance(t, varint_put(text_reserve(t, VARINT_MAX_BYTES), v));
}
