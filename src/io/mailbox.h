/*
 * A mailbox: whatever any thread hands to the core's loop, in the order in which it was posted. The
 * poster owns a mail until it posts it, the core from mailbox_take() on. It takes as many as are
 * posted: posters bound themselves (a connection has one request under way).
 *
 * The answer goes back the way that the poster's own loop knows: what it waits on is not ours.
 */
#ifndef IO_MAILBOX_H
#define IO_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

struct mail { /* inside of what is handed over */
    struct mail *next;
};

struct mailbox {
    _Atomic(struct mail *) newest;
    void (*wake)(void *ctx); /* the loop: hub_wake() */
    void *ctx;
};

void mailbox_init(struct mailbox *m, void (*wake)(void *ctx), void *ctx);
/* Any thread. False when it is closed: the mail is still the poster's. */
bool mailbox_post(struct mailbox *m, struct mail *mail);
/* What was posted since the last call, the oldest first; NULL: nothing. */
struct mail *mailbox_take(struct mailbox *m);
/* Take the last; nothing can be posted any more. */
struct mail *mailbox_close(struct mailbox *m);

#endif
