/*
 * Sender-selected distribution (a RabbitMQ extension): the headers CC and BCC hold arrays of more
 * routing keys. Consumers see CC, and never BCC.
 */
#ifndef BROKER_EXTRA_KEYS_H
#define BROKER_EXTRA_KEYS_H

#include "base/err.h"
#include "base/vec.h"
#include "broker/message.h"

struct extra_keys {
    VEC(struct bytes) keys; /* borrowed from the message */
    struct text properties; /* without BCC; empty when there was none */
};

/* `out` is zeroed before and reset in any case. E_INVALID: not an array of strings. */
must_use enum err extra_keys_read(const struct message *, struct extra_keys *out);
void extra_keys_reset(struct extra_keys *);

#endif
