#include "cli/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- paths ---- */

static void put_encoded(struct text *out, const char *segment)
{
    for (const char *c = segment; *c; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c))
            text_append(out, bytes_of(c, 1));
        else
            text_printf(out, "%%%02X", (unsigned char)*c);
    }
}

void url_put_path_list(struct text *out, const char *format, va_list segments)
{
    while (*format) {
        size_t plain = strcspn(format, "%");
        text_append(out, bytes_of(format, plain));
        format += plain;
        if (!*format)
            break;
        check(format[1] == 's');
        put_encoded(out, va_arg(segments, const char *));
        format += 2;
    }
}

void url_put_path(struct text *out, const char *format, ...)
{
    va_list segments;

    va_start(segments, format);
    url_put_path_list(out, format, segments);
    va_end(segments);
}

/* ---- URLs ---- */

static int hex_of(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static char *decoded(const char *text, size_t size)
{
    struct text out = {0};

    for (size_t i = 0; i < size; i++) {
        bool is_escape = text[i] == '%' && i + 2 < size && isxdigit((unsigned char)text[i + 1]) &&
                         isxdigit((unsigned char)text[i + 2]);
        text_put_u8(&out, is_escape ? (uint8_t)(hex_of(text[i + 1]) << 4 | hex_of(text[i + 2]))
                                    : (uint8_t)text[i]);
        i += is_escape ? 2 : 0;
    }
    char *string = xstrdup(text_string(&out));
    text_reset(&out);
    return string;
}

enum err url_parse(const char *url, struct url *out)
{
    const char *host = strstr(url, "://");
    bool is_known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;

    if (!is_known || !host[3])
        return err_set(E_INVALID, "--url %s: must be http://USER:PASSWORD@HOST:15672", url);
    host += 3;
    *out = (struct url){0};
    size_t authority = strcspn(host, "/");
    const char *at = memrchr(host, '@', authority);
    if (at) {
        size_t user = strcspn(host, ":@");
        out->user = decoded(host, user);
        if (host[user] == ':')
            out->password = decoded(host + user + 1, (size_t)(at - host) - user - 1);
        at++;
    } else {
        at = host;
    }
    size_t rest = strlen(at);
    while (rest && at[rest - 1] == '/')
        rest--;
    out->base = xasprintf("%.*s%.*s", (int)(host - url), url, (int)rest, at);
    return OK;
}

void url_reset(struct url *u)
{
    free(u->base);
    free(u->user);
    free(u->password);
    *u = (struct url){0};
}

size_t url_host_size(const char *host)
{
    if (*host == '[') {
        const char *end = strchr(host, ']');
        return end ? (size_t)(end - host) + 1 : strlen(host);
    }
    return strcspn(host, ":/");
}
