/*
 * AMQP field tables and arrays (AMQP 0-9-1 s.4.2.5.5, with the type letters that RabbitMQ and all
 * clients really use). Tables stay as received; whoever looks into one reads it here, entry by
 * entry, without allocation. Everywhere a table is `struct bytes` without its length prefix.
 *
 *   tag  value               in struct amqp_value       tag  value            in struct amqp_value
 *   t    bool                number                     d    double           real
 *   b B  8 bits, u8          number                     f    float            real
 *   s u  16 bits, u16        number                     D    scale, i32       number, scale
 *   I i  32 bits, u32        number                     S x  string, bytes    bytes
 *   l L  64 bits (both)      number                     F A  table, array     bytes
 *   T    seconds, 64 bits    number                     V    nothing
 */
#ifndef WIRE_AMQP_TABLE_H
#define WIRE_AMQP_TABLE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/random.h"
#include "wire/reader.h"

enum { AMQP_TABLE_DEPTH_MAX = 32 };

struct amqp_value {
    char tag;
    uint8_t scale;
    int64_t number;
    double real;
    struct bytes bytes;
};

struct amqp_entry {
    struct bytes name;
    struct amqp_value value;
};

/* Walk the whole table. E_MALFORMED: unknown tag, lengths that do not fit, or more than `depth_max`
 * tables and arrays inside one another. What passed here never makes the readers below fail. */
must_use enum err amqp_table_validate(struct bytes table, int depth_max);

/* Read the next entry. False at the end or when malformed, which sets r->bad. Nested tables and
 * arrays come as bytes, unchecked. */
bool amqp_table_next(struct reader *r, struct amqp_entry *out);

/* Likewise for the next value of an array. */
bool amqp_array_next(struct reader *r, struct amqp_value *out);

/* Find the first entry of that name. False when there is none or the table is malformed before it.
 */
bool amqp_table_find(struct bytes table, const char *name, struct amqp_value *out);

/* RabbitMQ's name of a type, as its errors have it: "longstr"; "unknown". */
const char *amqp_type_name(char tag);
/* Is it an integer of any width, and which? Arguments come in whatever width a client chose. */
bool amqp_value_integer(const struct amqp_value *v, int64_t *out);

void amqp_array_put(struct text *t, const struct amqp_value *v);
/* Append an entry. Names are at most 255 bytes. */
void amqp_table_put(struct text *t, const char *name, const struct amqp_value *v);
void amqp_table_put_named(struct text *t, struct bytes name, const struct amqp_value *v);
void amqp_table_put_bool(struct text *t, const char *name, bool v);
void amqp_table_put_string(struct text *t, const char *name, struct bytes v);
void amqp_table_put_table(struct text *t, const char *name, struct bytes v);

/* Append as text on one line: {x-max-length: l 10, inner: F {a: t true}}. A malformed rest shows as
 * "!malformed". */
void amqp_table_dump(struct bytes table, struct text *out);

/* A valid table with up to `depth` levels, for property tests; NULL data when over the limit. */
struct bytes amqp_table_random(struct random *random, struct arena *arena, int depth);

#endif
