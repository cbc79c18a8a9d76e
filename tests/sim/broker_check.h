/*
 * A recovered broker against its model. To compare, every message is consumed, so a broker that goes
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
};

/* Compare what `w` has recovered with `m`. `power_cut`: unsynced bytes may be gone. The first
 * difference is w->wrong. check_end() afterwards. */
void check_recovered(struct world *w, const struct model *m, bool power_cut, struct found *out);
/* Make what was found the truth of w->model, which is what was compared with, or a clone of it. */
void check_adopt(struct world *w, struct found *found);
void check_end(struct world *w, struct found *found);

#endif
