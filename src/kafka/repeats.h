/* Which keys a request names more than once: CreateTopics and DeleteTopics refuse those, once each.
 * The keys are borrowed. */
#ifndef KAFKA_REPEATS_H
#define KAFKA_REPEATS_H

#include <stdbool.h>

#include "base/map.h"

struct repeats { /* zeroed is empty */
    struct map left, twice;
};

static inline void repeats_note(struct repeats *r, struct bytes key)
{
    if (map_put(&r->left, key, r))
        map_put(&r->twice, key, r);
}

/* True for the first call with a noted key. */
static inline bool repeats_take(struct repeats *r, struct bytes key)
{
    return map_remove(&r->left, key) != NULL;
}

static inline bool repeats_has(const struct repeats *r, struct bytes key)
{
    return map_get(&r->twice, key) != NULL;
}

static inline void repeats_reset(struct repeats *r)
{
    map_reset(&r->left);
    map_reset(&r->twice);
}

#endif
