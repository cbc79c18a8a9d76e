/*
 * Output of the client commands: one set of rows (a JSON array of objects), printed as an aligned
 * table or as JSON. Results go to stdout, progress and errors to stderr.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILED = 1,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_NOT_FOUND = 3,
    EXIT_CODE_REFUSED = 4,
    EXIT_CODE_TIMEOUT = 5,
};

enum exit_code exit_code_of(enum err err);
/* "pabal: <the thread's error text>" on stderr; returns the exit code of `err`. */
enum exit_code output_error(enum err err);

/* The rows as text: a header line in capitals and one line for each, numbers to the right.
 * `columns` are keys separated by spaces: "name queue.vhost messages_ready:ready" also looks into an
 * object, and gives a column another title. A key that a row lacks is an empty field. */
void output_render(const json_t *rows, const char *columns, struct text *out);

/* The value at "key" or "key.inner", borrowed; NULL. */
const json_t *output_find(const json_t *row, const char *key);

/* Print rows, or one object as "key: value" lines; takes the reference. */
void output_rows(json_t *rows, const char *columns, bool as_json);
void output_object(json_t *object, bool as_json);

#endif
