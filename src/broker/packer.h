/*
 * The packer gathers what is published to queues in a turn: messages for the same set of queues
 * become one batch, appended once to all of their logs. An open pack is appended when the turn
 * ends, when it is full, or when a message for another set that has a queue in common comes: so
 * each queue gets its messages in the order in which they were published. No allocation for a
 * message: packs and their memory are used again.
 */
#ifndef BROKER_PACKER_H
#define BROKER_PACKER_H

#include "broker/core.h"
#include "broker/queue.h"

enum {
    PACK_MAX_BYTES = 256 << 10,
    PACK_ALONE_BYTES = 64 << 10, /* with a body of this size a batch ends; it is copied once */
    PACKS_KEPT = 64,             /* free ones that keep their memory */
};

struct packer *packer_new(struct core *core);
void packer_free(struct packer *packer); /* what is open is lost */

/* queue_publish() is the way in. */
void packer_flush(struct packer *packer);
/* Append what is open for this queue. */
void packer_flush_queue(struct queue *queue);
/* How many messages that is. */
uint64_t packer_open_count(const struct queue *queue);
int64_t packer_open_bytes(const struct queue *queue); /* of their bodies */

#endif
