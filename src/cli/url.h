/* URLs: taken apart, and paths put together from names that may have any characters. */
#ifndef CLI_URL_H
#define CLI_URL_H

#include <stdarg.h>

#include "base/bytes.h"
#include "base/err.h"

struct url {
    char *base; /* "http://host:15672", without the user and without a slash at the end */
    char *user, *password; /* decoded; NULL: not given */
};
/* E_INVALID for what is not http or https. */
must_use enum err url_parse(const char *url, struct url *out);
void url_reset(struct url *u);
/* Of what begins with a host: its size, without a port and a path. */
size_t url_host_size(const char *host);

/* "queues/%2F/a%20b": `format` with each %s percent-encoded. */
void url_put_path(struct text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void url_put_path_list(struct text *out, const char *format, va_list segments)
    __attribute__((format(printf, 2, 0)));

#endif
