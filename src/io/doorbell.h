/*
 * A doorbell: a thread that sleeps until somebody connects to a listening socket for the first time,
 * tells so once, and ends. For what is too dear to be started for a listener that may never be used.
 */
#ifndef IO_DOORBELL_H
#define IO_DOORBELL_H

#include "base/err.h"

struct doorbell;

/* `rung` runs on the doorbell's thread; the connection still waits to be accepted. */
must_use enum err doorbell_new(int fd, void (*rung)(void *ctx), void *ctx, struct doorbell **out);
/* When it returns, rung() has either returned or is never called. Accepts NULL. */
void doorbell_free(struct doorbell *d);

#endif
