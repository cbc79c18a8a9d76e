/*
 * Streams: outgoing connections, for the client commands and the load generator. One thread uses a
 * stream; sockets never block, the blocking calls wait for them with poll(2).
 *
 * A stream set waits for many streams at once, for a client that drives them as state machines.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct stream;

/* "HOST:PORT", "[v6]:PORT", or the path of a Unix socket (it has a '/'). Tries every address of the
 * host. E_INVALID for what is no address, E_NOT_FOUND for an unknown host or path, E_CLOSED when
 * nobody listens, E_TIMEOUT. */
must_use enum err stream_dial(const char *address, int64_t timeout_ns, struct stream **out);
void stream_close(struct stream *); /* accepts NULL */

/* All of it. E_CLOSED; E_TIMEOUT at `deadline_ns` (clock_now_ns). */
must_use enum err stream_send(struct stream *, struct bytes b, int64_t deadline_ns);
/* At least one byte. E_CLOSED at the peer's end. */
must_use enum err stream_receive(struct stream *, void *out, size_t capacity, int64_t deadline_ns,
                                 size_t *out_size);
/* What goes at once, maybe 0 bytes. */
must_use enum err stream_try_send(struct stream *, struct bytes b, size_t *out_size);
must_use enum err stream_try_receive(struct stream *, void *out, size_t capacity, size_t *out_size);

struct stream_set;

struct stream_event {
    void *ctx;
    bool readable, writable; /* an ended stream is readable */
};

struct stream_set *stream_set_new(void);
void stream_set_free(struct stream_set *); /* before its streams are closed; accepts NULL */
/* Events name `ctx`. Level triggered; at first only reading is watched. */
void stream_set_add(struct stream_set *, struct stream *, void *ctx);
void stream_set_watch(struct stream_set *, struct stream *, bool read, bool write);
/* Wait until an event or the deadline (INT64_MAX: none); returns how many events. */
size_t stream_set_wait(struct stream_set *, int64_t deadline_ns, struct stream_event *out,
                       size_t capacity);

#endif
