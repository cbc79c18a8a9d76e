/*
 * Rules that the simulated crashes (tests/sim) and the fault campaigns (tests/faults) break on purpose, one at a
 * time, to see that they would notice: a file is compiled again with BROKER_MUTANT defined as one of these.
 */
#ifndef BROKER_MUTANT_H
#define BROKER_MUTANT_H

enum broker_mutant {
    MUTANT_OF_NOTHING,
    MUTANT_FORGET_SETTLES, /* settles are taken for logged, and are not */
    MUTANT_ANSWER_EARLY,   /* the catalog's ticket is done at once */
    MUTANT_FORGET_MARK,    /* the delivered-up-to mark is not written */
    MUTANT_SETTLE_LATER,   /* settles are not in the commit of what was published in their turn */
    MUTANT_SETTLE_FIRST,   /* a rejected message is settled before it is a dead letter */
    MUTANT_DIRECT_QUEUES,  /* queues take large batches straight to their files */
    MUTANT_FORGET_TIMES,   /* after a start nothing is known of when messages are due */
    MUTANT_FORGET_LATE,    /* what is due while somebody has it never expires */
    MUTANT_RELEASE_EARLY,  /* delayed messages come before their time */
    MUTANT_PURGE_EARLY,    /* a purge is done at once */
    MUTANT_HALF_PURGE,     /* a purge is two commits */
    MUTANT_LOG_GOES_FIRST, /* a deleted queue's messages go a commit before itself */
    MUTANT_KEEP_BINDINGS,  /* the bindings of a deleted queue stay in the catalog */
    MUTANT_FORGET_REMOVAL, /* what is removed from the catalog is there again after a start */
    MUTANT_FORGET_DOOM,    /* after a start a vhost that was being deleted is as others are */
    MUTANT_APPLY_LATER,    /* policies are not in force when a start is over */
    MUTANT_TAKE_UNKNOWN,   /* bytes go off a count that they were never in */
    MUTANT_LEARN_AGAIN,    /* what lies behind a hole is never learned from files */
    MUTANT_READ_ONCE,      /* what could not be read is not asked for again */
    MUTANT_APPEND_TWICE,   /* some batches are there twice */
    MUTANT_TELL_BEHIND,    /* a producer is told of the offset behind */
    MUTANT_NEXT_PARTITION, /* batches go to the partition behind */
    MUTANT_ANY_SEQUENCE,   /* sequences of producers are not looked at */
    MUTANT_FORGET_OFFSETS, /* after a start nothing is known of some groups' offsets */
    MUTANT_WRONG_OFFSETS,  /* after a start groups are further than they were */
    MUTANT_DELIVER_TWICE,  /* some messages are delivered twice */
    MUTANT_FRESH_FIRST,    /* what was given back comes behind what is new */
    MUTANT_LEAK_MEMORY,    /* a copy of each batch is never freed */
};
#ifndef BROKER_MUTANT
#define BROKER_MUTANT MUTANT_OF_NOTHING
#endif

#endif
