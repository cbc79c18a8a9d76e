/* Strict conversions between text and numbers, for configuration, command lines and protocol
 * fields: the whole text must be the number. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

bool number_parse_i64(struct bytes text, int64_t *out); /* decimal, optional '-' */
/* "64k", "4MiB", "1g", "123": powers of 1024, in any case. */
bool number_parse_size(struct bytes text, int64_t *out_bytes);
/* "30s", "5m", "100ms", "1h", "7d"; a bare number is in `unit_ns`. */
bool number_parse_duration(struct bytes text, int64_t unit_ns, int64_t *out_ns);
enum { NUMBER_SIZE_TEXT_BYTES = 32 };

/* "1.2 MiB" into `out` (NUMBER_SIZE_TEXT_BYTES); returns `out`. */
char *number_format_size(int64_t size_bytes, char *out);

#endif
