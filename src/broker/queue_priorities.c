#include "broker/queue_priorities.h"

#include <stdlib.h>

#include "base/mem.h"

struct queue_priorities *queue_priorities_new(uint8_t max)
{
    struct queue_priorities *p = xzalloc(sizeof *p);
    p->max = max;
    p->members = xzalloc(((size_t)max + 1) * sizeof *p->members);
    p->from = xzalloc(((size_t)max + 1) * sizeof *p->from);
    return p;
}

void queue_priorities_free(struct queue_priorities *p)
{
    if (!p)
        return;
    for (int i = 0; i <= p->max; i++)
        offset_set_reset(&p->members[i]);
    free(p->members);
    free(p->from);
    free(p);
}

void queue_priorities_add(struct queue_priorities *p, int64_t offset, uint8_t priority)
{
    uint8_t i = priority < p->max ? priority : p->max;
    if (offset < p->swept)
        return; /* what is learned slowly may be done by then */
    offset_set_add(&p->members[i], offset);
    if (p->from[i] > offset)
        p->from[i] = offset;
}

void queue_priorities_returned(struct queue_priorities *p, int64_t offset)
{
    for (int i = 0; i <= p->max; i++) {
        if (p->from[i] > offset && offset_set_has(&p->members[i], offset)) {
            p->from[i] = offset;
            return;
        }
    }
}

/* The first member of one priority that is ready, or -1. Those passed over are taken or done, and not
 * looked at again: until the floor comes by there may be millions. */
static int64_t first_ready(struct queue_priorities *p, int i, const struct subscription *s)
{
    int64_t at = p->from[i] > s->floor ? p->from[i] : s->floor;
    while (at < s->visible) {
        at = offset_set_next(&p->members[i], at);
        if (at < 0 || at >= s->visible)
            break;
        if (subscription_is_ready(s, at)) {
            p->from[i] = at;
            return at;
        }
        at++;
    }
    p->from[i] = s->visible;
    return -1;
}

/* Forget what lies below the floor: all of it is done. */
static void sweep(struct queue_priorities *p, int64_t floor)
{
    enum { SWEEP_OFFSETS = 4096 };
    if (floor - p->swept < SWEEP_OFFSETS)
        return;
    for (int i = 0; i <= p->max; i++)
        offset_set_remove_range(&p->members[i], p->swept, floor);
    p->swept = floor;
}

int64_t queue_priorities_head(struct queue_priorities *p, const struct subscription *s)
{
    sweep(p, s->floor);
    for (int i = p->max; i >= 0; i--) {
        if (offset_set_is_empty(&p->members[i]))
            continue;
        int64_t offset = first_ready(p, i, s);
        if (offset >= 0)
            return offset;
    }
    return -1;
}
