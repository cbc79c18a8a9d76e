/*
 * Rules that the simulated crashes (tests/sim/broker_sim.c) break on purpose, one at a time, to see
 * that they would notice: a file is compiled again with BROKER_MUTANT defined as one of these.
 */
#ifndef BROKER_MUTANT_H
#define BROKER_MUTANT_H

enum broker_mutant {
    MUTANT_OF_NOTHING,
    MUTANT_FORGET_SETTLES, /* settles are taken for logged, and are not */
    MUTANT_ANSWER_EARLY,   /* the catalog's ticket is done at once */
    MUTANT_FORGET_MARK,    /* the delivered-up-to mark is not written */
};
#ifndef BROKER_MUTANT
#define BROKER_MUTANT MUTANT_OF_NOTHING
#endif

#endif
