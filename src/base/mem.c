#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must_have(void *p, size_t size)
{
    if (p)
        return p;
    fprintf(stderr, "out of memory: %zu bytes wanted\n", size);
    abort();
}

void *xmalloc(size_t size)
{
    return must_have(malloc(size ? size : 1), size);
}

void *xzalloc(size_t size)
{
    return must_have(calloc(1, size ? size : 1), size);
}

void *xrealloc(void *old, size_t size)
{
    return must_have(realloc(old, size ? size : 1), size);
}

void *xmemdup(const void *from, size_t size)
{
    void *p = xmalloc(size);

    if (size)
        memcpy(p, from, size);
    return p;
}

char *xstrdup(const char *from)
{
    return xmemdup(from, strlen(from) + 1);
}

char *xasprintf(const char *format, ...)
{
    char *made = NULL;
    va_list args;

    va_start(args, format);
    int size = vasprintf(&made, format, args);
    va_end(args);
    return must_have(size < 0 ? NULL : made, strlen(format));
}
