/*
 * A walk over all topics that takes more than one turn: those that there were when it began, in no
 * order. One that is made meanwhile is not among them; one that is deleted is (topic->deleted, its
 * partitions have no logs), and keeps its memory until the walk has ended. Lives in the core.
 */
#ifndef BROKER_TOPIC_WALK_H
#define BROKER_TOPIC_WALK_H

#include <stdbool.h>
#include <stddef.h>

struct core;
struct topic;

struct topic_walk {
    struct core *core; /* NULL: not begun, or ended */
    struct topic **topics;
    size_t count, next;
};

void topic_walk_begin(struct topic_walk *walk, struct core *core);
void topic_walk_end(struct topic_walk *walk); /* also of one that has not begun */

/* NULL: that was the last one. */
static inline struct topic *topic_walk_next(struct topic_walk *walk)
{
    return walk->next < walk->count ? walk->topics[walk->next++] : NULL;
}

static inline bool topic_walk_is_over(const struct topic_walk *walk)
{
    return walk->next == walk->count;
}

#endif
