/*
 * The newest messages of an exchange of type `x-recent-history` (a RabbitMQ plugin): who is bound to it
 * gets them at once. In memory only, as there; copies, at most HISTORY_MAX_BYTES of them.
 */
#ifndef BROKER_HISTORY_H
#define BROKER_HISTORY_H

#include "base/fifo.h"
#include "broker/message.h"

enum { HISTORY_LENGTH = 20, HISTORY_MAX_BYTES = 16 << 20 };

struct history {
    FIFO(struct message) messages; /* the oldest first; each in one block of memory */
    size_t size_bytes;
};

/* Keep the message, and no more than `length`; its header x-recent-history-no-store is respected. */
void history_add(struct history *h, const struct message *m, int64_t length);
void history_reset(struct history *h);

#endif
