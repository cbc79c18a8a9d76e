#include "broker/tag_list.h"

#include <stdlib.h>

#include "base/mem.h"

static bool is_listed(const struct bytes *tags, size_t count, struct bytes tag)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(tags[i], tag))
            return true;
    return false;
}

enum err tag_list_init(struct tag_list *out, const struct bytes *tags, size_t count)
{
    if (count > TAGS_MAX)
        return err_set(E_INVALID, "%zu tags, the limit is %d", count, TAGS_MAX);
    for (size_t i = 0; i < count; i++)
        if (tags[i].size > TAG_MAX_BYTES)
            return err_set(E_INVALID, "a tag of %zu bytes", tags[i].size);
    struct tag_list list = {.items = xzalloc((count ? count : 1) * sizeof *list.items)};
    for (size_t i = 0; i < count; i++)
        if (tags[i].size && !is_listed(list.items, list.count, tags[i]))
            list.items[list.count++] = bytes_dup(tags[i]);
    *out = list;
    return OK;
}

static struct bytes without_spaces(struct bytes b)
{
    while (b.size && b.data[0] == ' ')
        b = bytes_of(b.data + 1, b.size - 1);
    while (b.size && b.data[b.size - 1] == ' ')
        b.size--;
    return b;
}

enum err tag_list_parse(struct tag_list *out, struct bytes text)
{
    struct bytes tags[TAGS_MAX + 1]; /* one more, so that too many are seen */
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= text.size && count <= TAGS_MAX; i++) {
        if (i < text.size && text.data[i] != ',')
            continue;
        struct bytes tag = without_spaces(bytes_of(text.data + start, i - start));
        if (tag.size)
            tags[count++] = tag;
        start = i + 1;
    }
    return tag_list_init(out, tags, count);
}

void tag_list_reset(struct tag_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        bytes_free(list->items[i]);
    free(list->items);
    *list = (struct tag_list){0};
}

bool tag_list_holds(const struct tag_list *list, struct bytes tag)
{
    return is_listed(list->items, list->count, tag);
}

bool tag_list_has(const struct tag_list *list, const char *tag)
{
    return tag_list_holds(list, bytes_from_string(tag));
}
