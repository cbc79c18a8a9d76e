/*
 * Errors: one way to report them.
 *
 * A function that can fail because of the world (a peer, a file, the operator, the machine) returns
 * `enum err`; OK is 0. Where the error is born, err_set() gives it a text; on the way up,
 * err_wrap() puts what was being done in front: "open segment d/0.log: fdatasync: I/O error". The
 * text lives in a buffer of the thread and is valid until the next err_set() or err_clear() on it.
 *
 * A bug is not an error: see base/check.h.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

/* name, text, whether the same call may succeed later without anybody changing anything */
#define ERR_TABLE(X)                                                                               \
    X(OK, "ok", false)                                                                             \
    X(E_IO, "input/output error", false)                                                           \
    X(E_NO_SPACE, "no space left", true)                                                           \
    X(E_NO_MEMORY, "memory budget used up", true)                                                  \
    X(E_FULL, "full", true)                                                                        \
    X(E_NOT_FOUND, "not found", false)                                                             \
    X(E_EXISTS, "already exists", false)                                                           \
    X(E_INVALID, "invalid argument", false)                                                        \
    X(E_MALFORMED, "malformed data", false)                                                        \
    X(E_CORRUPT, "checksum or structure damaged", false)                                           \
    X(E_TOO_LARGE, "too large", false)                                                             \
    X(E_UNSUPPORTED, "not supported", false)                                                       \
    X(E_REFUSED, "access refused", false)                                                          \
    X(E_LOCKED, "held by somebody else", false)                                                    \
    X(E_IN_USE, "in use", false)                                                                   \
    X(E_NOT_EMPTY, "not empty", false)                                                             \
    X(E_PRECONDITION, "precondition failed", false)                                                \
    X(E_OUT_OF_RANGE, "out of range", false)                                                       \
    X(E_STALE, "stale epoch", false)                                                               \
    X(E_COLD, "not in memory", true)                                                               \
    X(E_AGAIN, "try again", true)                                                                  \
    X(E_TIMEOUT, "timed out", true)                                                                \
    X(E_CLOSED, "closed", false)                                                                   \
    X(E_FROZEN, "storage failed, read only", false)                                                \
    X(E_SIMULATED_CRASH, "simulated crash", false)

enum err {
#define ERR_ENUM(name, text, retriable) name,
    ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
};

#define must_use __attribute__((warn_unused_result))

/* Set the thread's error text. Returns `code`, so that one can write `return err_set(...)`. */
enum err err_set(enum err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put "<formatted>: " in front of the thread's text. Returns `code`; does nothing when it is OK. */
enum err err_wrap(enum err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

void err_clear(void);

/* The thread's text, or "" when none was set. At most 511 bytes. */
const char *err_text(void);

/* The thread's text, or the code's own words when none was set. */
const char *err_message(enum err code);

/* The code's own words, for messages and for errors that travel between threads. */
const char *err_name(enum err code);

#endif
