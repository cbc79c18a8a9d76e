/*
 * How `pabal consume` writes a record: a format as kcat's, or JSON.
 *
 *   %t topic   %p partition   %o offset   %T time (ms)   %h headers as NAME=VALUE,...
 *   %k key     %K its size    %s value    %S its size    %% a percent sign
 *   \n \t \r \\ and \xHH, as in C
 *
 * The size of a key or value that is null is -1.
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <jansson.h>

#include "log/batch.h"

struct format_record {
    const char *topic;
    int32_t partition;
    const struct record *record;
};

/* E_INVALID says what is wrong with the format. */
must_use enum err format_check(const char *format);
/* Append the record; the format has been checked. */
void format_put(const char *format, const struct format_record *r, struct text *out);
/* All there is to know of it; what is no UTF-8 is in hexadecimal, under another key. */
json_t *format_json(const struct format_record *r);
/* As text, or in hexadecimal under `hex_key`. */
void format_set_bytes(json_t *object, const char *key, const char *hex_key, struct bytes b);

#endif
