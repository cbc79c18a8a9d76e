#include "manage/slow_sort.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Merge the two runs that begin at `from`. */
static void begin_pair(struct slow_sort *s, size_t from)
{
    s->out = s->left = from;
    s->left_end = s->right = least(from + s->width, s->count);
    s->right_end = least(from + 2 * s->width, s->count);
}

void slow_sort_start(struct slow_sort *s, size_t count,
                     int (*compare)(const void *ctx, uint32_t a, uint32_t b), const void *ctx)
{
    check(count <= UINT32_MAX);
    slow_sort_reset(s);
    s->count = count;
    s->compare = compare;
    s->ctx = ctx;
    s->order = xmalloc((count + 1) * sizeof *s->order);
    s->other = xmalloc((count + 1) * sizeof *s->other);
    for (size_t i = 0; i < count; i++)
        s->order[i] = (uint32_t)i;
    s->width = 1;
    begin_pair(s, 0);
}

void slow_sort_reset(struct slow_sort *s)
{
    free(s->order);
    free(s->other);
    *s = (struct slow_sort){0};
}

static void take_next(struct slow_sort *s)
{
    bool takes_left =
        s->right == s->right_end ||
        (s->left < s->left_end && s->compare(s->ctx, s->order[s->left], s->order[s->right]) <= 0);

    s->other[s->out++] = takes_left ? s->order[s->left++] : s->order[s->right++];
}

/* All runs of this width are merged. */
static void begin_pass(struct slow_sort *s)
{
    uint32_t *sorted = s->other;

    s->other = s->order;
    s->order = sorted;
    s->width *= 2;
    begin_pair(s, 0);
}

bool slow_sort_step(struct slow_sort *s, size_t comparisons)
{
    if (!s->compare)
        return true;
    for (; s->width < s->count && comparisons > 0; comparisons--) {
        take_next(s);
        if (s->out == s->count)
            begin_pass(s);
        else if (s->out == s->right_end)
            begin_pair(s, s->out);
    }
    return s->width >= s->count;
}
