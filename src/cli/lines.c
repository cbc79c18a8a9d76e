#include "cli/lines.h"

#include <string.h>

#include "io/source.h"

enum { READ_BYTES = 64 * 1024, LINE_MAX_BYTES = 64 * 1024 * 1024 };

enum err lines_open(struct lines *l, const char *path)
{
    *l = (struct lines){0};
    return source_open(path, &l->source);
}

void lines_close(struct lines *l)
{
    source_close(l->source);
    text_reset(&l->buffer);
}

static struct bytes rest_of(const struct lines *l)
{
    return bytes_of(l->buffer.data + l->at, l->buffer.size - l->at);
}

static const uint8_t *find_end(const struct lines *l)
{
    struct bytes rest = rest_of(l);

    return rest.size ? memchr(rest.data, '\n', rest.size) : NULL;
}

static enum err read_more(struct lines *l)
{
    size_t size;

    if (l->at) {
        memmove(l->buffer.data, l->buffer.data + l->at, l->buffer.size - l->at);
        l->buffer.size -= l->at;
        l->at = 0;
    }
    if (l->buffer.size > LINE_MAX_BYTES)
        return err_set(E_TOO_LARGE, "a line has more than %d bytes", LINE_MAX_BYTES);
    uint8_t *room = text_reserve(&l->buffer, READ_BYTES);
    enum err err = source_read(l->source, room, READ_BYTES, &size);
    if (err)
        return err;
    l->has_ended = size == 0;
    text_advance(&l->buffer, size);
    return OK;
}

enum err lines_next(struct lines *l, struct bytes *out)
{
    const uint8_t *end;

    while (!(end = find_end(l)) && !l->has_ended) {
        enum err err = read_more(l);
        if (err)
            return err;
    }
    struct bytes line = rest_of(l);
    if (!end && line.size == 0)
        return E_NOT_FOUND;
    if (end)
        line.size = (size_t)(end - line.data);
    l->at += line.size + (end != NULL);
    *out = line;
    return OK;
}

bool lines_must_wait(struct lines *l)
{
    return !find_end(l) && !l->has_ended && !source_is_ready(l->source);
}
