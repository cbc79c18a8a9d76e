/*
 * libmicrohttpd, opened when the first client connects: it brings a TLS library along that would
 * cost an idle server 2.5 MB and 5 ms. Types and prototypes are its header's; only these functions
 * are used (docs/decisions/0015).
 */
#ifndef HTTP_LIBRARY_H
#define HTTP_LIBRARY_H

#include <microhttpd.h>

#include "base/err.h"

#define HTTP_LIBRARY_TABLE(X)                                                                      \
    X(start_daemon)                                                                                \
    X(stop_daemon)                                                                                 \
    X(quiesce_daemon)                                                                              \
    X(suspend_connection)                                                                          \
    X(resume_connection)                                                                           \
    X(run)                                                                                         \
    X(get_timeout)                                                                                 \
    X(get_daemon_info)                                                                             \
    X(get_connection_info)                                                                         \
    X(lookup_connection_value)                                                                     \
    X(basic_auth_get_username_password)                                                            \
    X(free)                                                                                        \
    X(create_response_from_buffer)                                                                 \
    X(add_response_header)                                                                         \
    X(queue_response)                                                                              \
    X(destroy_response)

struct http_library {
#define LIBRARY_MEMBER(name) __typeof__(MHD_##name) *name;
    HTTP_LIBRARY_TABLE(LIBRARY_MEMBER)
#undef LIBRARY_MEMBER
};

/* It stays open. E_NOT_FOUND: it is not on this machine, or is another one. */
must_use enum err http_library_open(struct http_library *out);

#endif
