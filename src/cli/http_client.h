/*
 * One HTTP request, by libcurl. The library is opened when the first request is made: linked, it
 * and the twenty libraries that it brings would cost every start of the program 6 ms and the server
 * 4 MiB that it never uses (docs/decisions/0014-libcurl-is-opened-when-needed.md).
 */
#ifndef CLI_HTTP_CLIENT_H
#define CLI_HTTP_CLIENT_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct http_request {
    const char *method; /* "GET" */
    const char *url;
    const char *user, *password; /* HTTP Basic; NULL: neither */
    const char *reason;          /* header X-Reason, or NULL */
    struct bytes body;           /* JSON; BYTES_NULL: none */
    int64_t timeout_ns;
};

/* The answer's status, whatever it is, and its body appended to `out_body`. E_CLOSED when nobody
 * answers, E_TIMEOUT, E_UNSUPPORTED where libcurl is not installed. */
must_use enum err http_ask(const struct http_request *request, long *out_status,
                           struct text *out_body);

#endif
