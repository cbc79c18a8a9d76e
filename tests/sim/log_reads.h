/* Readers of a simulated store while it works: log_read() and log_stretch() beside appends, trims,
 * compactions and removals. */
#ifndef TESTS_SIM_LOG_READS_H
#define TESTS_SIM_LOG_READS_H

#include "base/random.h"
#include "log/store.h"
#include "tests/sim/log_model.h"

/* A stretch that somebody is still sending. */
struct log_reads {
    struct log_stretch held; /* if it has a holder */
    struct text bytes;       /* of it, when it was given out */
    const char *wrong;       /* with an answer */
};

/* Read somewhere in the log, which has something to read. NULL, or what is wrong, also with an answer that came
 * meanwhile. `model` stays where it is until all have come. */
const char *log_reads_step(struct log_reads *r, const struct model_log *model, struct log *log,
                           struct random *random);
/* Look at what is held, and let it go; also what was wrong with an answer. */
const char *log_reads_end(struct log_reads *r);

#endif
