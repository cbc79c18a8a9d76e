/*
 * The client's end of the management API, which is RabbitMQ's HTTP API: the same requests go over
 * the control socket of the server on this machine (command "api" of server/control.h) or, with
 * --url, by HTTP to any server that has the API.
 *
 * An answer of 400 and above is an error with the server's reason as its text: 404 E_NOT_FOUND, 401
 * and 403 E_REFUSED, 408 E_TIMEOUT, 501 E_UNSUPPORTED, other 4xx E_PRECONDITION, 5xx E_IO.
 */
#ifndef CLI_MANAGE_CLIENT_H
#define CLI_MANAGE_CLIENT_H

#include <jansson.h>

#include "cli/cli.h"

struct manage_answer {
    int status;
    json_t *body; /* a reference of the caller's, or NULL where there was none */
};

/* Ask "METHOD path": each %s of the path is percent-encoded. `body` may be NULL; its reference is
 * taken. `out` is not touched on failure, and may be NULL.
 *
 *     manage_ask(&common, NULL, &answer, "GET queues/%s/%s", vhost, name)
 */
must_use enum err manage_ask(const struct common *common, json_t *body, struct manage_answer *out,
                             const char *request, ...) __attribute__((format(printf, 4, 5)));

/* The same with a path that is encoded already. */
must_use enum err manage_ask_text(const struct common *common, json_t *body,
                                  struct manage_answer *out, const char *request);

/* Close a client's connection; it and the server's log are told why. */
must_use enum err manage_close_connection(const struct common *common, const char *name,
                                          const char *reason);

/* For callers that want the body alone: *out is never NULL, a JSON null if need be. */
must_use enum err manage_get(const struct common *common, json_t **out, const char *request, ...)
    __attribute__((format(printf, 3, 4)));

#endif
