/*
 * HTTP: the management API's transport, over libmicrohttpd. The library is loaded when the first
 * client connects (library.h). A thread of its own (io/attendant.h) drives it when a socket has
 * something; what it has received whole is handed to the core by a mailbox, while its connection is
 * suspended; the core resumes it with the answer.
 *
 *   socket -> HTTP thread: manage_call_new() -> mailbox -> core: manage_call_start() ...
 *   socket <- HTTP thread: manage_answer_body()  <- MHD_resume_connection() <- done()
 *
 * Text and JSON are taken apart and written on the HTTP thread, so a large answer costs the core no
 * more than its rows. A connection has one request under way; there are at most so many connections.
 * What comes from a client that has not logged in is kept up to BODY_UNKNOWN_BYTES only.
 *
 * Who is slow does not keep others out: one address has half of the connections at most, and each
 * step of a request has a time. Headers have to be there `idle_timeout_s` after the connection came,
 * or after the answer before; a body or an answer has as long, and a second for each
 * LEAST_BYTES_PER_S of it.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct http;
struct hub;
struct manage;

struct http_config {
    struct manage *manage;
    struct hub *hub; /* woken for each request */
    uint32_t max_connections;
    size_t body_max_bytes;
    uint32_t idle_timeout_s; /* says nothing, or is slower than above */
    bool metrics_only;       /* nothing but /metrics is there */
};

/* "HOST:PORT", as hub_listen(). Several may be open: each has its thread. */
must_use enum err http_open(const struct http_config *config, const char *address,
                            struct http **out, uint16_t *out_port);
/* Start what has come in; in each turn of the core. */
void http_dispatch(struct http *http);
/* Accept nothing more; what is under way goes on. */
void http_stop_listening(struct http *http);
bool http_is_idle(const struct http *http); /* nothing is under way in the core */
void http_close(struct http *http);         /* cuts off what is under way; accepts NULL */

#endif
