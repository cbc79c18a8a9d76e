/* What the walkers share: loads and stores by memcpy, so that the generated structs may be reached
 * through tables without breaking the aliasing rules, also under link-time optimisation. */
#ifndef WIRE_WIRE_INTERNAL_H
#define WIRE_WIRE_INTERNAL_H

#include "base/check.h"
#include "wire/wire.h"

/* The shape of every generated array. */
struct wire_array {
    void *items;
    int32_t count;
};

static inline bool wire_has_version(const struct wire_field *f, int version)
{
    return version >= f->min && version <= f->max;
}

static inline bool wire_is_nullable(const struct wire_field *f, int version)
{
    return version >= f->null_min && version <= f->null_max;
}

/* A nullable struct is a pointer in C, whatever the version. */
static inline bool wire_is_pointer(const struct wire_field *f)
{
    return f->type == WIRE_STRUCT && f->null_min <= f->null_max;
}

static inline struct bytes wire_load_bytes(const void *p)
{
    struct bytes b;
    memcpy(&b, p, sizeof b);
    return b;
}

static inline void wire_store_bytes(void *p, struct bytes b)
{
    memcpy(p, &b, sizeof b);
}

static inline struct wire_array wire_load_array(const void *p)
{
    struct wire_array a;
    memcpy(&a, p, sizeof a);
    return a;
}

static inline void wire_store_array(void *p, struct wire_array a)
{
    memcpy(p, &a, sizeof a);
}

static inline void *wire_load_pointer(const void *p)
{
    void *q;
    memcpy(&q, p, sizeof q);
    return q;
}

static inline void wire_store_pointer(void *p, void *q)
{
    memcpy(p, &q, sizeof q);
}

/* The embedded struct of a field, or what its pointer points to; NULL when it is null. */
static inline const void *wire_struct_of(const struct wire_field *f, const void *p)
{
    return wire_is_pointer(f) ? wire_load_pointer(p) : p;
}

/* sizeof the C value of one array item. */
size_t wire_item_size(const struct wire_field *f);

/* Any integer type and bool, widened; unsigned ones are positive up to 32 bits. */
int64_t wire_load_number(int type, const void *p);
void wire_store_number(int type, void *p, int64_t value);

/* Give one field its default; `p` must be zeroed already, which is the default of most. */
void wire_store_nonzero_default(const struct wire_field *f, void *p);

static inline void wire_store_default(const struct wire_field *f, void *p)
{
    if (f->has_default)
        wire_store_nonzero_default(f, p);
}

/* Does a field hold its default, so that a tagged one is left out? */
bool wire_is_default(const struct wire_field *f, int version, const void *p);

/* Parts of dumps and random messages that both walkers use. */
void wire_dump_string(struct text *out, struct bytes b);
void wire_dump_bytes(struct text *out, struct bytes b);
uint64_t wire_random_number(struct random *random);
struct bytes wire_random_bytes(struct random *random, struct arena *arena, size_t size_max,
                               bool printable);

/* OK, or E_UNSUPPORTED with a text. */
must_use enum err wire_check_version(const struct wire_schema *schema, int version);

#endif
