/*
 * Reply codes of AMQP 0-9-1 (s.1.7): their names, which of them close the channel and which the
 * connection, and the translation of our own errors into them.
 */
#ifndef AMQP_REPLY_H
#define AMQP_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* code, number, closes the connection? */
#define REPLY_TABLE(X)                                                                             \
    X(CONTENT_TOO_LARGE, 311, false)                                                               \
    X(NO_ROUTE, 312, false)                                                                        \
    X(NO_CONSUMERS, 313, false)                                                                    \
    X(CONNECTION_FORCED, 320, true)                                                                \
    X(INVALID_PATH, 402, true)                                                                     \
    X(ACCESS_REFUSED, 403, false)                                                                  \
    X(NOT_FOUND, 404, false)                                                                       \
    X(RESOURCE_LOCKED, 405, false)                                                                 \
    X(PRECONDITION_FAILED, 406, false)                                                             \
    X(FRAME_ERROR, 501, true)                                                                      \
    X(SYNTAX_ERROR, 502, true)                                                                     \
    X(COMMAND_INVALID, 503, true)                                                                  \
    X(CHANNEL_ERROR, 504, true)                                                                    \
    X(UNEXPECTED_FRAME, 505, true)                                                                 \
    X(RESOURCE_ERROR, 506, true)                                                                   \
    X(NOT_ALLOWED, 530, true)                                                                      \
    X(NOT_IMPLEMENTED, 540, true)                                                                  \
    X(INTERNAL_ERROR, 541, true)

enum reply_code {
    REPLY_SUCCESS = 200,
#define REPLY_ENUM(name, number, hard) REPLY_##name = number,
    REPLY_TABLE(REPLY_ENUM)
#undef REPLY_ENUM
};

const char *reply_name(enum reply_code);
bool reply_closes_connection(enum reply_code);
/* The code for an error of the broker that the caller has no better word for. */
enum reply_code reply_from_err(enum err);

enum { REPLY_TEXT_MAX = 255 };

/* "NAME - text" into `out`, cut to what a shortstr holds, never inside a character. */
void reply_text(enum reply_code, const char *text, char out[REPLY_TEXT_MAX + 1]);

#endif
