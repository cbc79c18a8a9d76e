#include "broker/topic_walk.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core_internal.h"

void topic_walk_begin(struct topic_walk *walk, struct core *core)
{
    struct core_internal *in = core->internal;
    size_t position = 0;
    struct topic *topic;
    check(!walk->core);
    *walk = (struct topic_walk){.core = core};
    walk->topics = xmalloc((in->topics.count + 1) * sizeof(struct topic *));
    while ((topic = map_next(&in->topics, &position)))
        walk->topics[walk->count++] = topic;
    in->topic_walks++;
}

void topic_walk_end(struct topic_walk *walk)
{
    if (!walk->core)
        return;
    check(walk->core->internal->topic_walks > 0);
    walk->core->internal->topic_walks--;
    free(walk->topics);
    *walk = (struct topic_walk){0};
}
