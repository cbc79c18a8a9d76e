/* The command line that the simulations have in common: worlds are run until there are crash points enough. */
#ifndef SIM_COMMAND_H
#define SIM_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

struct sim_total {
    uint64_t points, points_wanted;
    uint64_t violations;      /* the first one ends the run */
    const char *const *kinds; /* of requests, ended by NULL; NULL: there are none to choose from */
    int kind;                 /* --only or --mostly: which; -1: all are alike */
    bool alone;               /* --only */
};

typedef void sim_run_world(uint64_t seed, bool ignore_sync);

/* Run worlds from --seed on, which count into `total`; --each-kind: for each kind alone and then above
 * others. Returns the exit code. */
int sim_command(const char *name, char **argv, struct sim_total *total, sim_run_world *run_world);

#endif
