/* From the broker's values to JSON and back. */
#ifndef MANAGE_JSON_H
#define MANAGE_JSON_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/err.h"

/* Text that somebody sent, or that was kept of it. The library goes down a level of the stack for each
 * level of JSON, both to read it and to write it, and threads have small stacks: so what nests deeper
 * than JSON_NESTING_MAX is E_MALFORMED, as is what is no JSON. `flags` are json_loadb()'s. */
enum { JSON_NESTING_MAX = 100 };
must_use enum err manage_json_parse(struct bytes text, size_t flags, json_t **out);

/* A string; bytes that are not UTF-8 are replaced by U+FFFD. */
json_t *manage_json(struct bytes b);
json_t *manage_json_count(uint64_t n);
/* An AMQP field table (without its size) as an object. Bytes as text, a time as seconds, a decimal
 * as a number. */
json_t *manage_json_table(struct bytes table);
/* The other way: integers as 'l' (RabbitMQ: signed 64 bits), reals as 'd', strings as 'S'. E_INVALID:
 * not an object, a name over 255 bytes, or deeper than a table may be. Appends. */
must_use enum err manage_table_from_json(const json_t *object, struct text *out);
/* {"rate": x} */
json_t *manage_json_rate(double per_second);

static inline struct bytes manage_bytes_of(const json_t *string)
{
    return bytes_of(json_string_value(string), json_string_length(string));
}

#endif
