/*
 * Holding back what is published, while everything that makes room goes on. A protocol asks before
 * it publishes, keeps what it may not publish now, and is told when it may. In the core.
 *
 *   behind   more is staged than the disk takes: for milliseconds
 *   disk     less than the reserve is left: until there is room, which may take for ever
 *   memory   the logs of level memory have used what they get, or the process more than its watermark
 *
 * The last two are alarms: clients are told of them (AMQP: connection.blocked).
 */
#ifndef BROKER_HOLD_H
#define BROKER_HOLD_H

#include "broker/core.h"

enum hold {
    HOLD_BEHIND = 1,
    HOLD_DISK = 2,
    HOLD_MEMORY = 4,
    HOLD_ALARMS = HOLD_DISK | HOLD_MEMORY
};

/* Why nothing may be published now, as a set of enum hold; 0: it may. Cheap, and may change within a
 * turn. */
unsigned core_holds(const struct core *);

/* Told at the end of turns in which the reasons are others, or none is left. */
struct hold_watch {
    struct list node;
    void (*changed)(struct hold_watch *);
};
/* Behind those who wait already; once if called twice. */
void core_watch_holds(struct core *, struct hold_watch *);
void core_unwatch_holds(struct hold_watch *);

/* What is kept for later, of all connections: a protocol that keeps something says so. Beyond the
 * budget it should keep no more, but stop reading. */
void core_hold_bytes(struct core *, int64_t more);
bool core_holds_too_much(const struct core *);

/* core.c's: tell the watches. */
void holds_run(struct core *);

#endif
