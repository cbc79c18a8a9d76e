/*
 * The table of APIs: what is not in it is not advertised, and closes the connection. The versions
 * and their bytes come from the schemas; a row says what is done. Adding an API: its schema file, a
 * row in api.c, a file with its handler, tests.
 */
#ifndef KAFKA_API_H
#define KAFKA_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct request;
struct wire_api;

struct api {
    /* Starts only when everything before it on its connection has been answered. For what holds
     * much memory until it is sent, so that a pipelining client cannot collect it. */
    bool in_turn;
    /* Look at the decoded body on the I/O side, before the core sees it; may be NULL. */
    enum err (*prepare)(struct request *);
    /* Execute. Ends, now or later, with request_answer(), request_drop() or request_fail(). */
    void (*start)(struct request *);
    /* The request is about to be freed, answered or not: undo what waits, give back what it holds.
     * It may have failed halfway through start(). NULL when there is nothing to do. */
    void (*release)(struct request *);
    /* It is the oldest, and somebody waits behind it: if it only waits for more to tell, it may end now. NULL:
     * nothing does. */
    void (*give_way)(struct request *);
    /* Write the answer; NULL: the walker does it. */
    void (*write)(struct request *);
    /* A large answer is encoded off the core: it refers to nothing but the request's arena and what
     * lives as long as the process. */
    bool owns_answer;
};

/* NULL: not served. *out_wire is the schema's row, which has the versions. */
const struct api *api_find(int16_t key, const struct wire_api **out_wire);

#endif
