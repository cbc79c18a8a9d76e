/*
 * Publisher confirms of a channel: which sequence numbers wait for what.
 *
 * Publishes of one turn to one log share a ticket, so consecutive numbers that wait for the same
 * ticket and stage are one group: the ring grows with commits in flight, not with messages. Only
 * the resolved prefix is answered, so an ack may always say multiple (RabbitMQ ext:
 * confirm.select); a refused publish is a group of its own and answered by a nack in its place.
 * Lives in the core.
 */
#ifndef AMQP_CONFIRMS_H
#define AMQP_CONFIRMS_H

#include <stdbool.h>
#include <stdint.h>

#include "log/store.h"

struct confirm_group {
    uint64_t last; /* the first is the number behind the group in front */
    struct ticket ticket;
    enum stage stage;
    bool refused;
};

struct confirms {
    struct confirm_group *groups; /* a ring; capacity is a power of two */
    uint32_t head, count, capacity;
    uint64_t answered; /* all numbers up to this one have been answered */
    uint64_t last;     /* the newest number given; counting starts with 1 */
};

/* The next number, which waits for the ticket at the stage. A zeroed ticket is done. */
void confirms_add(struct confirms *c, struct ticket ticket, enum stage stage);
/* The next number, to be nacked. */
void confirms_refuse(struct confirms *c);
static inline bool confirms_is_empty(const struct confirms *c)
{
    return c->count == 0;
}
/* Take a resolved piece off the front: [first, last] are all acked or all refused. Nothing will
 * ever be done again when the store is frozen: then what is not done counts as refused. */
bool confirms_next(struct confirms *c, const struct store *store, uint64_t *out_first,
                   uint64_t *out_last, bool *out_refused);
void confirms_reset(struct confirms *c);

#endif
