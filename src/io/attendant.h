/*
 * An attendant: a thread that sleeps until a descriptor has something or a time has come, calls a
 * function, and is told by it what to wait for next. For a library with a loop of its own that is to
 * be driven, and for what is too dear to be started before somebody comes.
 */
#ifndef IO_ATTENDANT_H
#define IO_ATTENDANT_H

#include <stdint.h>

#include "base/err.h"

struct attendant;

struct attendant_wait {
    int fd;           /* until it can be read; -1: for nothing more, the thread ends */
    int64_t until_ns; /* or until then; INT64_MAX: for ever */
};

/* `attend` runs on the attendant's thread. */
must_use enum err attendant_new(struct attendant_wait first,
                                struct attendant_wait (*attend)(void *ctx, int64_t now_ns),
                                void *ctx, struct attendant **out);
/* Call `attend` soon, whatever it waits for. From the thread that has made it; accepts NULL. */
void attendant_wake(struct attendant *a);
/* When it returns, `attend` is not running and is never called again. Accepts NULL. */
void attendant_free(struct attendant *a);

#endif
