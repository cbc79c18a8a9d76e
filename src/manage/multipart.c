/*
 * Forms (RFC 7578), as far as an upload needs them:
 *
 *   --BOUNDARY CRLF
 *   Content-Disposition: form-data; name="file"; filename="x.json" CRLF
 *   ... CRLF
 *   CRLF
 *   content CRLF
 *   --BOUNDARY ... "--" at the end
 */
#include <string.h>

#include "manage/definitions.h"

/* What follows `what`, up to the end; NULL data: it is not there. */
static struct bytes behind(struct bytes text, struct bytes what)
{
    const uint8_t *at = text.size ? memmem(text.data, text.size, what.data, what.size) : NULL;

    return at ? bytes_of(at + what.size, (size_t)(text.data + text.size - at) - what.size)
              : BYTES_NULL;
}

static struct bytes until(struct bytes text, struct bytes what)
{
    const uint8_t *at = text.size ? memmem(text.data, text.size, what.data, what.size) : NULL;

    return at ? bytes_of(text.data, (size_t)(at - text.data)) : BYTES_NULL;
}

/* "--BOUNDARY" into `out`. */
static bool read_boundary(struct bytes content_type, struct text *out)
{
    struct bytes value = behind(content_type, BYTES_LITERAL("boundary="));
    bool is_quoted = value.size > 0 && value.data[0] == '"';
    size_t size = 0;

    if (is_quoted)
        value = bytes_of(value.data + 1, value.size - 1);
    while (size < value.size &&
           !memchr(is_quoted ? "\"" : "; \t", value.data[size], is_quoted ? 1 : 3))
        size++;
    text_append_string(out, "--");
    text_append(out, bytes_of(value.data, size));
    return size > 0 && size <= 70;
}

/* Is it the part that holds a file? */
static bool is_file(struct bytes head)
{
    return behind(head, BYTES_LITERAL("name=\"file\"")).data ||
           behind(head, BYTES_LITERAL("filename=")).data;
}

static struct bytes find_file(struct bytes boundary, struct bytes rest)
{
    struct text end = {0};
    struct bytes found = BYTES_NULL;

    text_append_string(&end, "\r\n");
    text_append(&end, boundary);
    rest = behind(rest, boundary);
    while (rest.data && !found.data) {
        struct bytes head = until(rest, BYTES_LITERAL("\r\n\r\n"));
        struct bytes content = behind(rest, BYTES_LITERAL("\r\n\r\n"));
        if (!head.data || !content.data)
            break;
        if (is_file(head))
            found = until(content, text_bytes(&end));
        rest = behind(content, text_bytes(&end));
    }
    text_reset(&end);
    return found;
}

struct bytes multipart_file(struct bytes content_type, struct bytes body)
{
    struct text boundary = {0};
    struct bytes found = BYTES_NULL;

    if (bytes_has_prefix(content_type, "multipart/") && read_boundary(content_type, &boundary))
        found = find_file(text_bytes(&boundary), body);
    text_reset(&boundary);
    return found;
}
