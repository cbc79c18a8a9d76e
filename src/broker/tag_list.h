/* Lists of tags: short words that users and vhosts carry. Their own strings. */
#ifndef BROKER_TAG_LIST_H
#define BROKER_TAG_LIST_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

enum { TAGS_MAX = 32, TAG_MAX_BYTES = 255 };

struct tag_list {
    struct bytes *items;
    size_t count;
};

/* Copies. The same tag twice is one. E_INVALID: too many, or too long. */
must_use enum err tag_list_init(struct tag_list *out, const struct bytes *tags, size_t count);
/* From text that separates them by commas, with or without spaces. */
must_use enum err tag_list_parse(struct tag_list *out, struct bytes text);
void tag_list_reset(struct tag_list *); /* accepts a zeroed one */
bool tag_list_has(const struct tag_list *, const char *tag);
bool tag_list_holds(const struct tag_list *, struct bytes tag);

#endif
