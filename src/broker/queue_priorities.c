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
    offset_set_add(&p->members[priority < p->max ? priority : p->max], offset);
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

/* The first member of one priority that is ready, or -1. Those passed over are taken or done. */
static int64_t first_ready(struct queue_priorities *p, int i, const struct subscription *s)
{
    struct offset_range run;
    int64_t from = p->from[i] > s->floor ? p->from[i] : s->floor;
    while (offset_set_next_range(&p->members[i], from, s->visible, &run)) {
        for (from = run.from; from < run.to; from++) {
            if (subscription_is_ready(s, from)) {
                p->from[i] = from;
                return from;
            }
        }
    }
    p->from[i] = from;
    return -1;
}

/* Forget what lies below the floor: all of it is done. */
static void sweep(struct queue_priorities *p, int i, int64_t floor)
{
    enum { SWEEP_OFFSETS = 4096 };
    if (offset_set_is_empty(&p->members[i]))
        return;
    if (floor - offset_set_first(&p->members[i]) >= SWEEP_OFFSETS)
        offset_set_remove_range(&p->members[i], 0, floor);
}

int64_t queue_priorities_head(struct queue_priorities *p, const struct subscription *s)
{
    for (int i = p->max; i >= 0; i--) {
        if (offset_set_is_empty(&p->members[i]))
            continue;
        sweep(p, i, s->floor);
        int64_t offset = first_ready(p, i, s);
        if (offset >= 0)
            return offset;
    }
    return -1;
}
