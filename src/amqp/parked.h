/*
 * Commands of a channel that wait for their turn, in order. What each holds of the connection's
 * memory is counted, so that it stays bounded.
 */
#ifndef AMQP_PARKED_H
#define AMQP_PARKED_H

#include "amqp/command.h"

struct parked {
    struct command *first, *last;
    uint32_t fence_count;     /* that are neither publishes nor settles */
    uint64_t publishes_bytes; /* what the publishes hold */
};

void parked_push(struct parked *, struct command *);
struct command *parked_pop(struct parked *); /* NULL: there is none */
/* They are never executed. */
void parked_drop(struct parked *);
/* The settles before the first fence go to the front: publishes and settles commute. */
void parked_let_settles_pass(struct parked *);
/* If there is a channel.close, drop what is before it. */
void parked_drop_before_close(struct parked *);

#endif
