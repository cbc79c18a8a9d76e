/*
 * The walker for AMQP 0-9-1's types over the tables of wire/wire.h: methods (AMQP 0-9-1 s.4.2.5,
 * with neighbouring bits packed into octets) and property lists (s.4.2.6.1), whose generated struct
 * begins with the flags word that says which fields are there.
 *
 * Strings and tables are borrowed from the input; a table is kept verbatim without its length, its
 * contents unchecked: see amqp_table_validate(). NULL data encodes as empty. Nothing allocates.
 */
#ifndef WIRE_AMQP_WIRE_H
#define WIRE_AMQP_WIRE_H

#include "wire/wire.h"

enum wire_from { WIRE_FROM_CLIENT = 1, WIRE_FROM_SERVER = 2 };

struct wire_method {
    const char *name; /* "basic.publish" */
    const struct wire_schema *schema;
    uint32_t id;         /* class << 16 | method: the first four bytes of a method frame */
    uint8_t from;        /* who may send it: enum wire_from, or-ed */
    bool is_synchronous; /* the sender waits for a reply, unless its nowait is set */
    bool has_content;
};

/* NULL when there is no such method. */
const struct wire_method *wire_method_find(const struct wire_method *methods, size_t count,
                                           uint32_t id);

/* Decode the arguments of a method (behind its id) or a property list; `r` is left behind the last
 * byte. E_MALFORMED: does not parse, or a flag of no known property. On failure `out` holds nothing
 * usable. */
must_use enum err amqp_wire_decode(const struct wire_schema *schema, struct reader *r, void *out);

/* The exact size of the encoded arguments or list. E_TOO_LARGE: a shortstr over 255 bytes, or
 * anything over 32 bits. */
must_use enum err amqp_wire_size(const struct wire_schema *schema, const void *in, size_t *out);

/* Append to `out`; errors as amqp_wire_size(), and then nothing was appended. */
must_use enum err amqp_wire_encode(const struct wire_schema *schema, const void *in,
                                   struct text *out);

/* Encode to `at`, which has at least amqp_wire_size() bytes; returns the end. */
uint8_t *amqp_wire_put(const struct wire_schema *schema, const void *in, uint8_t *at);

/* Append as text, one field a line; golden tests may rely on the format. */
void amqp_wire_dump(const struct wire_schema *schema, const void *in, struct text *out);

/* Fill with random valid values, tables included. False when over the arena's limit. */
bool amqp_wire_random(const struct wire_schema *schema, struct random *random, struct arena *arena,
                      void *out);

#endif
