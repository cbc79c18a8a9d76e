/* Lines of a file or of the standard input, one after the other. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

struct source;

struct lines {
    struct source *source;
    struct text buffer; /* [at, size) is not given out yet */
    size_t at;
    bool has_ended;
};

/* `path` NULL: the standard input. */
must_use enum err lines_open(struct lines *l, const char *path);
void lines_close(struct lines *l);
/* The next line without its end, valid until the next call; E_NOT_FOUND at the end. */
must_use enum err lines_next(struct lines *l, struct bytes *out);
/* Would lines_next() have to wait for somebody to write? */
bool lines_must_wait(struct lines *l);

#endif
