#include "io/unix_address.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/io_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum err open_by_directory(const char *path, struct unix_address *out)
{
    const char *name = strrchr(path, '/') + 1;
    char *directory = xasprintf("%.*s", (int)(name - path), path);

    out->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    enum err err = out->directory < 0 ? io_error(directory) : OK;
    free(directory);
    if (err)
        return err;
    int size = snprintf(out->socket.sun_path, sizeof out->socket.sun_path, "/proc/self/fd/%d/%s",
                        out->directory, name);
    if ((size_t)size < sizeof out->socket.sun_path)
        return OK;
    unix_address_close(out);
    return err_set(E_TOO_LARGE, "%s: the name of a socket is too long", path);
}

enum err unix_address_open(const char *path, struct unix_address *out)
{
    check(strchr(path, '/'));
    *out = (struct unix_address){.socket.sun_family = AF_UNIX, .directory = -1};
    if (strlen(path) >= sizeof out->socket.sun_path)
        return open_by_directory(path, out);
    memcpy(out->socket.sun_path, path, strlen(path) + 1);
    return OK;
}

void unix_address_close(struct unix_address *a)
{
    if (a->directory >= 0)
        close(a->directory);
    a->directory = -1;
}
