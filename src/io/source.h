/* A file or the standard input, read in pieces as they come: for client commands. Reading blocks.
 */
#ifndef IO_SOURCE_H
#define IO_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct source;

/* `path` NULL: the standard input. */
must_use enum err source_open(const char *path, struct source **out);
void source_close(struct source *); /* accepts NULL */
/* At least one byte; *out_size 0 at the end. */
must_use enum err source_read(struct source *, void *out, size_t capacity, size_t *out_size);
/* Would source_read() return at once? */
bool source_is_ready(struct source *);

#endif
