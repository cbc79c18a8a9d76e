#include "io/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io_internal.h"

struct source {
    int fd;
};

enum err source_open(const char *path, struct source **out)
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;

    if (fd < 0)
        return io_error(path);
    *out = xzalloc(sizeof **out);
    (*out)->fd = fd;
    return OK;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    if (s->fd != STDIN_FILENO)
        close(s->fd);
    free(s);
}

enum err source_read(struct source *s, void *out, size_t capacity, size_t *out_size)
{
    ssize_t size;

    do
        size = read(s->fd, out, capacity);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return io_error("read");
    *out_size = (size_t)size;
    return OK;
}

bool source_is_ready(struct source *s)
{
    struct pollfd poll_in = {.fd = s->fd, .events = POLLIN};

    return poll(&poll_in, 1, 0) > 0;
}
