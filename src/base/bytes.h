/*
 * Bytes: a borrowed view of memory, and the big-endian and varint readings that the protocols
 * share. `struct text` is the growable counterpart: owned, always followed by a NUL.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* NULL means null, where the protocol knows the difference to empty */
    size_t size;
};

#define BYTES_NULL ((struct bytes){NULL, 0})
#define BYTES_LITERAL(s) ((struct bytes){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

static inline struct bytes bytes_from_string(const char *s)
{
    return (struct bytes){(const uint8_t *)s, s ? strlen(s) : 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Below, at or above 0, as memcmp(); a prefix comes before what it begins. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static inline bool bytes_equal_string(struct bytes a, const char *s)
{
    return bytes_equal(a, bytes_from_string(s));
}

static inline bool bytes_has_prefix(struct bytes b, const char *prefix)
{
    size_t n = strlen(prefix);
    return b.size >= n && (n == 0 || memcmp(b.data, prefix, n) == 0);
}

/* Keyed at random once a process, because peers choose what is hashed: not for disk or wire. */
uint64_t bytes_hash(struct bytes b);
uint64_t bytes_hash_u64(uint64_t key);
/* Make hashes, and so the order of maps, repeatable: for simulations, before any map is filled. */
void bytes_hash_set_seed(uint64_t seed);
bool bytes_are_utf8(struct bytes b);
/* A copy, never null, to be given to bytes_free(). */
struct bytes bytes_dup(struct bytes b);
void bytes_free(struct bytes b);

/* printf("%.*s", BYTES_FORMAT(b)) */
#define BYTES_FORMAT(b) (int)(b).size, (const char *)(b).data

/* Big-endian, at any alignment. */
static inline uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void put_u16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static inline int64_t zigzag_decode(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static inline uint64_t zigzag_encode(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

enum { VARINT_MAX_BYTES = 10 };

/* Protobuf-style unsigned varint. Returns the bytes read, 0 when `size` bytes do not hold one. */
size_t varint_get(const uint8_t *p, size_t size, uint64_t *out);
/* Writes at most VARINT_MAX_BYTES; returns how many. */
size_t varint_put(uint8_t *p, uint64_t v);
size_t varint_size(uint64_t v);

/* Growable, owned. Zero it to start; text_reset() frees. */
struct text {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void text_reset(struct text *t);
void text_append(struct text *t, struct bytes b);
void text_append_string(struct text *t, const char *s);
void text_append_zeros(struct text *t, size_t count);
/* Make room for `more` bytes behind the end and return where they start; size is not changed. */
uint8_t *text_reserve(struct text *t, size_t more);
/* Take `count` bytes that were written into reserved room into the text. */
void text_advance(struct text *t, size_t count);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_put_u8(struct text *t, uint8_t v);
void text_put_u16(struct text *t, uint16_t v);
void text_put_u32(struct text *t, uint32_t v);
void text_put_u64(struct text *t, uint64_t v);
void text_put_varint(struct text *t, uint64_t v);

static inline struct bytes text_bytes(const struct text *t)
{
    return (struct bytes){t->data, t->size};
}

/* "" when nothing was appended. */
static inline const char *text_string(const struct text *t)
{
    return t->data ? (const char *)t->data : "";
}

#endif
