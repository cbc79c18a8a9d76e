/*
 * The order of a queue with `x-max-priority`: the highest priority first, and the oldest first
 * within one. Which offsets have which priority is kept as sets, about two bytes for a message
 * whatever the depth; the subscription still says which of them are ready.
 *
 * Messages come in by their publish; after a restart the log is read once (queue_dispatch.c).
 */
#ifndef BROKER_QUEUE_PRIORITIES_H
#define BROKER_QUEUE_PRIORITIES_H

#include "broker/message.h"
#include "broker/offset_set.h"
#include "broker/subscription.h"

enum { PRIORITY_MAX = 255 };

struct queue_priorities {
    uint8_t max;                /* higher ones count as this */
    struct offset_set *members; /* [max + 1]; those that are done leave when the head goes past */
    int64_t *from;              /* [max + 1]: no member below is ready */
    int64_t swept;              /* no member lies below */
};

struct queue_priorities *queue_priorities_new(uint8_t max);
void queue_priorities_free(struct queue_priorities *p); /* accepts NULL */

void queue_priorities_add(struct queue_priorities *p, int64_t offset, uint8_t priority);
/* The record came back: it may be the head again. */
void queue_priorities_returned(struct queue_priorities *p, int64_t offset);
/* The ready offset that comes first, or -1. */
int64_t queue_priorities_head(struct queue_priorities *p, const struct subscription *s);

#endif
