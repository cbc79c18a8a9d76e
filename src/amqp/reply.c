#include "amqp/reply.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

const char *reply_name(enum reply_code code)
{
    switch (code) {
    case REPLY_SUCCESS: return "OK";
#define REPLY_NAME(name, number, hard)                                                             \
    case REPLY_##name: return #name;
        REPLY_TABLE(REPLY_NAME)
#undef REPLY_NAME
    }
    check(false);
}

bool reply_closes_connection(enum reply_code code)
{
    switch (code) {
    case REPLY_SUCCESS: return false;
#define REPLY_HARD(name, number, hard)                                                             \
    case REPLY_##name: return hard;
        REPLY_TABLE(REPLY_HARD)
#undef REPLY_HARD
    }
    check(false);
}

enum reply_code reply_from_err(enum err err)
{
    switch (err) {
    case OK: return REPLY_SUCCESS;
    case E_NOT_FOUND: return REPLY_NOT_FOUND;
    case E_REFUSED: return REPLY_ACCESS_REFUSED;
    case E_LOCKED: return REPLY_RESOURCE_LOCKED;
    case E_EXISTS:
    case E_INVALID:
    case E_IN_USE:
    case E_NOT_EMPTY:
    case E_PRECONDITION:
    case E_OUT_OF_RANGE:
    case E_STALE:
    case E_TOO_LARGE:
    case E_FULL: return REPLY_PRECONDITION_FAILED;
    case E_MALFORMED: return REPLY_SYNTAX_ERROR;
    case E_UNSUPPORTED: return REPLY_NOT_IMPLEMENTED;
    case E_NO_SPACE:
    case E_NO_MEMORY:
    case E_FROZEN:
    case E_AGAIN:
    case E_TIMEOUT: return REPLY_RESOURCE_ERROR;
    case E_IO:
    case E_CORRUPT:
    case E_COLD:
    case E_CLOSED:
    case E_SIMULATED_CRASH: return REPLY_INTERNAL_ERROR;
    }
    check(false);
}

/* The size of `text` cut to at most `max` bytes without cutting a UTF-8 character. */
static size_t cut_size(const char *text, size_t size, size_t max)
{
    if (size <= max)
        return size;
    while (max > 0 && ((uint8_t)text[max] & 0xC0) == 0x80)
        max--;
    return max;
}

void reply_text(enum reply_code code, const char *text, char out[REPLY_TEXT_MAX + 1])
{
    char whole[1024];

    snprintf(whole, sizeof whole, "%s - %s", reply_name(code), text);
    size_t size = cut_size(whole, strlen(whole), REPLY_TEXT_MAX);
    memcpy(out, whole, size);
    out[size] = '\0';
}
