#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { ERR_TEXT_BYTES = 512 };

static _Thread_local char err_buffer[ERR_TEXT_BYTES];

static const struct {
    const char *text;
    bool is_retriable;
} err_table[] = {
#define ERR_ROW(name, text, retriable) [name] = {text, retriable},
    ERR_TABLE(ERR_ROW)
#undef ERR_ROW
};

enum { ERR_COUNT = sizeof err_table / sizeof err_table[0] };

/* The arguments may point into the thread's text, so the new one is made beside it. */
enum err err_set(enum err code, const char *format, ...)
{
    char made[ERR_TEXT_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(made, sizeof made, format, args);
    va_end(args);
    memcpy(err_buffer, made, strlen(made) + 1);
    return code;
}

/* Append to a buffer of ERR_TEXT_BYTES what fits. */
static void append_cut(char *made, const char *more)
{
    size_t used = strlen(made);
    size_t size = strnlen(more, ERR_TEXT_BYTES - 1 - used);

    memcpy(made + used, more, size);
    made[used + size] = '\0';
}

enum err err_wrap(enum err code, const char *format, ...)
{
    char made[ERR_TEXT_BYTES];
    va_list args;

    if (code == OK)
        return OK;
    va_start(args, format);
    vsnprintf(made, sizeof made, format, args);
    va_end(args);
    append_cut(made, ": ");
    append_cut(made, *err_buffer ? err_buffer : err_name(code));
    memcpy(err_buffer, made, strlen(made) + 1);
    return code;
}

void err_clear(void)
{
    err_buffer[0] = '\0';
}

const char *err_text(void)
{
    return err_buffer;
}

const char *err_message(enum err code)
{
    return *err_buffer ? err_buffer : err_name(code);
}

const char *err_name(enum err code)
{
    check((unsigned)code < ERR_COUNT);
    return err_table[code].text;
}
