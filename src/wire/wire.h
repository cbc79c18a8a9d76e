/*
 * The codec: schema tables and the walkers over them.
 *
 * tools/wiregen.py reads schema text (src/kafka, src/amqp and src/broker hold the .schema files)
 * and writes plain structs and constant tables of `struct wire_schema`. The functions here walk
 * such a table to decode bytes into its struct, encode, measure, print it, or fill it at random; no
 * other code touches message bytes. wire_*() speak Kafka's types (records of the catalog use them
 * too); amqp_wire_*() in wire/amqp_wire.h speak AMQP's over the same tables.
 *
 * In the structs: strings and bytes are `struct bytes`, borrowed from the input; data NULL is null
 * where the version knows null, else the same as empty. Arrays are `{ T *items; int32_t count; }`,
 * items NULL being null. A nullable struct is a pointer. A field that the version does not carry
 * holds its default (zero, null, or what the schema says) after decoding and is left out when
 * encoding. A struct to be encoded starts from wire_init() or wire_new(), or zeroed where all
 * defaults are.
 *
 * Pure functions over memory: they may run on any thread, as long as the arena is the caller's.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/random.h"
#include "wire/reader.h"
#include "wire/uuid.h"

enum wire_type {
    WIRE_BOOL,
    WIRE_I8,
    WIRE_I16,
    WIRE_U16,
    WIRE_I32,
    WIRE_U32,
    WIRE_I64,
    WIRE_F64,
    WIRE_UUID,
    WIRE_STRING,
    WIRE_CLASSIC_STRING, /* 16-bit length also in flexible versions: the request header's client id
                          */
    WIRE_BYTES,
    WIRE_RECORDS, /* as bytes; wire_encode_cut() leaves them out */
    WIRE_STRUCT,
    WIRE_ARRAY,
    WIRE_OCTET, /* AMQP from here on */
    WIRE_SHORT,
    WIRE_LONG,
    WIRE_LONGLONG,
    WIRE_TIMESTAMP,
    WIRE_SHORTSTR,
    WIRE_LONGSTR,
    WIRE_TABLE, /* verbatim, without its length; see amqp_table_validate() */
    WIRE_BIT,
};

enum { WIRE_VERSION_MAX = INT16_MAX, WIRE_FLEXIBLE_NEVER = INT16_MAX, WIRE_TAG_NONE = -1 };

/* One field. Version ranges are inclusive; a range without versions has min > max. */
struct wire_field {
    const char *name;
    const struct wire_schema *schema; /* of a struct, or of an array's items */
    int64_t default_number;           /* for numbers and bool */
    uint16_t offset;                  /* in the C struct */
    int16_t min, max;                 /* versions that carry the field */
    int16_t null_min, null_max;       /* versions in which it may be null */
    int16_t tag;                      /* or WIRE_TAG_NONE; AMQP properties: their flag */
    uint8_t type;                     /* enum wire_type */
    uint8_t item_type;                /* enum wire_type of an array's items */
    bool has_default;                 /* not all zero: a number, or a struct that holds one */
};

struct wire_schema {
    const char *name;
    const struct wire_field *fields; /* plain ones in wire order, then tagged ones by tag */
    uint16_t plain_count;
    uint16_t field_count;
    uint32_t size; /* sizeof the C struct */
    int16_t min, max;
    int16_t flexible_since; /* of top-level messages; a struct inside follows its message */
    bool has_flags;         /* AMQP properties: a uint16_t leads and says which fields follow */
};

/* A request with its response. Versions min to max can be decoded; `advertise_min` is what
 * ApiVersions must say (KAFKA-18659: Produce), and above `stable_max` Kafka 4.1 hides them. */
struct wire_api {
    const char *name;
    const struct wire_schema *request;
    const struct wire_schema *response;
    int16_t key;
    int16_t min, max;
    int16_t advertise_min;
    int16_t stable_max;
    int16_t flexible_since;
    bool plain_response_header; /* ApiVersions: version 0 whatever the response's version (KIP-511)
                                 */
};

/* A record of our own logs: its id and versions lead the stored bytes. */
struct wire_record {
    const char *name;
    const struct wire_schema *schema;
    int16_t id;
    int16_t min, max;
};

/* Binary search in a generated table, which is sorted; NULL when there is none. */
const struct wire_api *wire_api_find(const struct wire_api *apis, size_t count, int key);
const struct wire_record *wire_record_find(const struct wire_record *records, size_t count, int id);

static inline int wire_request_header_version(const struct wire_api *api, int version)
{
    return version >= api->flexible_since ? 2 : 1;
}

static inline int wire_response_header_version(const struct wire_api *api, int version)
{
    return version >= api->flexible_since && !api->plain_response_header ? 1 : 0;
}

/* Set all fields of one struct to their defaults. */
void wire_init(const struct wire_schema *schema, void *out);

/* `count` structs in one block, each as by wire_init(); NULL when over the arena's limit. */
void *wire_new(const struct wire_schema *schema, struct arena *arena, size_t count);

/*
 * Decode one message from `r`, which is left behind its last byte: whether more may follow is the
 * caller's business. Strings, bytes and records borrow the input; arrays and nullable structs come
 * from `arena`. Every count is bounded by the bytes left and by the arena's limit; nesting is that
 * of the schema, which cannot recurse. Unknown tagged fields are skipped. E_UNSUPPORTED: not a
 * version of this message. E_MALFORMED: does not parse. E_TOO_LARGE: over the arena's limit. On
 * failure `out` holds nothing usable.
 */
must_use enum err wire_decode(const struct wire_schema *schema, int version, struct reader *r,
                              struct arena *arena, void *out);

/* The exact size of the encoded message. E_TOO_LARGE: a string or array that the version's length
 * cannot say. E_UNSUPPORTED as above. */
must_use enum err wire_size(const struct wire_schema *schema, int version, const void *in,
                            size_t *out);

/* Append the encoded message to `out`; errors as wire_size(), and then nothing was appended. */
must_use enum err wire_encode(const struct wire_schema *schema, int version, const void *in,
                              struct text *out);

/* Encode to `at`, which has at least wire_size() bytes; returns the end. */
uint8_t *wire_put(const struct wire_schema *schema, int version, const void *in, uint8_t *at);

/* Where a records field belongs that wire_encode_cut() left out. */
struct wire_cut {
    size_t position; /* in the text: the records go in front of this byte */
    const struct bytes
        *records; /* the field itself, so that the caller can find what it stands for */
};

struct wire_cuts {
    struct wire_cut *items; /* from the arena */
    size_t count;
};

/* As wire_encode(), but the contents of records fields are left out and listed, so that large data
 * goes from its chunk to the socket uncopied. Only the size of a records field is used and whether
 * data is NULL. Also E_TOO_LARGE when the list is over the arena's limit. */
must_use enum err wire_encode_cut(const struct wire_schema *schema, int version, const void *in,
                                  struct text *out, struct arena *arena,
                                  struct wire_cuts *out_cuts);

/* Append the message as text, one field a line, in a format that golden tests may rely on. */
void wire_dump(const struct wire_schema *schema, int version, const void *in, struct text *out);

/* Fill `out` with a random valid message: nulls, empty and longer values, all fields of the
 * version; what the version does not carry has its default. False when over the arena's limit. */
bool wire_random(const struct wire_schema *schema, int version, struct random *random,
                 struct arena *arena, void *out);

#endif
