/*
 * Durable writes by io_uring: the core hands the system a write past the page cache that is to be on the
 * disk when it ends (RWF_DSYNC), and the system tells of its end. No thread is woken to wait for the
 * disk, and none to wake the core.
 */
#ifndef IO_URING_H
#define IO_URING_H

#include <stdbool.h>

#include "io/jobs.h"

struct uring;

/* NULL: the system does not have it, or does not allow it. One thread makes it and uses it. */
struct uring *uring_new(void);
/* Waits for what is under way. Accepts NULL; uring_poll() first. */
void uring_free(struct uring *);

/* Can be read when uring_poll() would find something. */
int uring_descriptor(const struct uring *);

/* False: this write is not for it, or there is no room; do it on a thread. */
bool uring_write(struct uring *, struct write_job *);
/* Call `done` for what has ended. What the system has not done whole, or cannot do in this way, goes to
 * `again` instead. True when there was any. */
bool uring_poll(struct uring *, void (*again)(void *ctx, struct write_job *), void *ctx);
void uring_wait(struct uring *); /* until nothing is under way, or uring_poll() has work */

#endif
