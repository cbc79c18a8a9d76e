/*
 * A recovered broker against its model: broker_check.c has the catalog and queues,
 * broker_check_streams.c topics and groups. To compare, every message is consumed, so a broker that goes
 * on afterwards has all of them out.
 */
#ifndef TESTS_SIM_BROKER_CHECK_H
#define TESTS_SIM_BROKER_CHECK_H

#include "tests/sim/broker_world.h"

struct drain;

/* What comparing found. */
struct found {
    uint64_t version;     /* of the catalog */
    struct drain *drains; /* one for each queue of the model */
    size_t count;
    size_t commits[MODEL_GROUPS]; /* how many of a group's commits there are */
};

/* Compare what `w` has recovered with `m`. `power_cut`: unsynced bytes may be gone. The first
 * difference is w->wrong. check_end() afterwards. */
void check_recovered(struct world *w, const struct model *m, bool power_cut, struct found *out);
/* Make what was found the truth of w->model, which is what was compared with, or a clone of it. */
void check_adopt(struct world *w, struct found *found);
void check_end(struct world *w, struct found *found);

/* ---- between the two files ---- */

struct topic *check_find_topic(struct world *w, const struct model_topic *t); /* or NULL */
/* Topics, and the offsets of groups. */
void check_streams(struct world *w, const struct model *m, bool power_cut, struct found *found);
void check_adopt_streams(struct world *w, const struct found *found);
/* An object that was in the found version lives, another one is over. */
void check_adopt_life(struct model_life *life, bool kept, uint64_t version);

#endif
