/* From errno to enum err: errno is not known outside io. */
#include "io/io_internal.h"

#include <errno.h>
#include <string.h>

static enum err code_of(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT: return E_NO_SPACE;
    case ENOENT:
    case ENOTDIR: return E_NOT_FOUND;
    case EEXIST: return E_EXISTS;
    case ENOTEMPTY: return E_NOT_EMPTY;
    case EACCES:
    case EPERM:
    case EROFS: return E_REFUSED;
    case EFBIG:
    case ENAMETOOLONG: return E_TOO_LARGE;
    case EADDRINUSE: return E_IN_USE;
    case EINVAL:
    case EADDRNOTAVAIL:
    case EISDIR: return E_INVALID;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return E_FULL;
    default: return E_IO;
    }
}

enum err io_error(const char *what)
{
    int number = errno;
    return err_set(code_of(number), "%s: %s", what, strerror(number));
}
