/*
 * The hub: listeners, I/O threads, connections, and the core's loop turn around them.
 *
 *   hub_wait()      sleep until a socket, a ring, a wake or the deadline asks for a turn
 *   hub_dispatch()  hand accepted links, inputs, drains and ends to the core halves
 *   hub_flush()     send what the core halves wrote
 *
 * With 0 threads the sockets are read and written by these calls themselves. With N threads,
 * connections are spread over them by accept order, and inputs and outputs cross in batches over
 * bounded single-producer rings, one exchange a turn.
 *
 * Overload: a connection whose unfreed inputs exceed `inflight_bytes` is not read. Over
 * `memory_bytes` in all only those are read that are in the middle of a frame, since their memory
 * comes back when the frame is whole; at twice as much these are broken with E_NO_MEMORY.
 */
#ifndef IO_HUB_H
#define IO_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/link.h"

struct hub_config {
    int threads;              /* 0: inline */
    uint32_t max_connections; /* further ones are closed at once, with a log line */
    size_t inflight_bytes;    /* for each connection */
    size_t memory_bytes;      /* receive and send buffers of all connections */
};

struct hub;

must_use enum err hub_new(const struct hub_config *config, void *core, struct hub **out);
/* For a core that is made after the hub, because its jobs wake the hub: before hub_listen(). */
void hub_set_core(struct hub *, void *core);
/* Close everything and stop the threads: sessions get gone(), and what was written by reference is
 * released. To be called before what those refer to goes away; hub_free() may come later. */
void hub_stop(struct hub *);
/* Close everything, at once. Sessions get gone(); inputs that the core keeps are freed as ever.
 * Accepts NULL. */
void hub_free(struct hub *);

/* "HOST:PORT", "[v6]:PORT"; port 0 takes a free one. The port taken is stored in *out_port. What
 * has a '/' is the path of a Unix socket, with mode 0600 and port 0. */
must_use enum err hub_listen(struct hub *, const char *address, const struct protocol *,
                             uint16_t *out_port);

/* hub_wait() returns also when `fd` can be read. Once, before anything else; the caller closes it. */
must_use enum err hub_watch(struct hub *, int fd);

void hub_wait(struct hub *, int64_t deadline_ns);
/* Over the last 20 ms or so, hub_wait() has slept for less than 40 % of the time. */
bool hub_is_busy(const struct hub *);
void hub_dispatch(struct hub *, int64_t now_ns);
void hub_flush(struct hub *);

/* Wake a sleeping hub_wait(); any thread and signal handlers. `ctx` is the hub. */
void hub_wake(void *hub);

/* While on, no socket of a connection that writes is read (link_gate_input(): the disk is behind);
 * what was read before is still dispatched, and receive-side heartbeat checks must pause: link->last_input_ns is moved along. */
void hub_gate_input(struct hub *, bool on);

/* Stop accepting, soon and for good; existing connections live on. */
void hub_stop_listening(struct hub *);
uint32_t hub_connection_count(const struct hub *);
/* Call each for every open link (in the core). */
void hub_each_link(struct hub *, void (*each)(void *ctx, struct link *), void *ctx);

#endif
