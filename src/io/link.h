/*
 * Connections, seen from both sides.
 *
 * A protocol has two halves. Its *framing half* runs where the connection's socket lives (an I/O
 * thread, or the core's own loop when io.threads is 0): it turns received bytes into inputs. Its
 * *core half* runs in the core: it gets the inputs in order and answers by writing to the link.
 * What it writes during a turn leaves in one send at the end of the turn. Neither half knows of
 * sockets, so tests drive a protocol with bytes in and bytes out (io/sim_link.h).
 *
 *   socket -> framing->parse -> struct input ... ring ... core->input -> link_write -> socket
 *
 * Order: a connection is first in, first out in both directions. Its end is ordered like an input:
 * what was received whole before it is input first, and what the core half writes to that in the
 * same turn is still sent. That a peer only shut down its sending side is not told apart from its
 * end.
 */
#ifndef IO_LINK_H
#define IO_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "io/disk.h"

/* ---- receive buffers ---- */

/* Received bytes. Inputs that borrow from one hold a reference, so a large record batch is copied
 * once only: from here into the log. The count is atomic; the last release frees or recycles it.
 *
 * A buffer is shared by all small frames that arrived together, and is kept whole while one input
 * holds it. So borrow what is large (from about 1 KiB on), and copy into the arena what is small or
 * waits long. */
struct rbuf;
void rbuf_ref(struct rbuf *);
void rbuf_unref(struct rbuf *); /* accepts NULL; any thread */

/* ---- inputs: from the framing half to the core half ---- */

struct input_owner; /* io's: the connection whose budget it counts against */

/* One unit of decoded work. The framing half allocates it inside `arena` (so one reset frees it
 * all); a protocol embeds it as the first member of its own struct. The core half owns it from
 * core->input() on, keeps it as long as it needs what it borrows, also when the connection is gone,
 * and ends with input_free(), in the core.
 *
 * An input costs about 100 ns to make and free, so a protocol with small frames packs those that
 * arrived together into one input. */
struct input {
    struct input *next;
    struct input_owner *owner;
    struct rbuf *rbuf;   /* what it borrows from, or NULL */
    struct arena arena;  /* its memory, this struct included */
    uint32_t size_bytes; /* counted against the connection's in-flight budget until freed: the
                          * framing half sets what it borrows, input_push() adds the arena */
};

/* A zeroed struct of `size` bytes (>= sizeof(struct input)) in an arena of its own; NULL when that
 * is over the limit. */
void *input_new(size_t size, size_t arena_limit_bytes);
void input_free(struct input *); /* accepts NULL */

struct input_list {
    struct input *first, **last;
};

static inline void input_list_init(struct input_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static inline void input_push(struct input_list *list, struct input *input)
{
    input->size_bytes += (uint32_t)input->arena.used_bytes;
    input->next = NULL;
    *list->last = input;
    list->last = &input->next;
}

/* ---- a connection's framing half ---- */

struct endpoint {
    char host[64]; /* numeric */
    uint16_t port;
    bool loopback;
};

struct framing {
    /* State for a new connection. */
    void *(*open)(const struct endpoint *local, const struct endpoint *peer);
    void (*close)(void *framing);
    /* Parse as many whole frames from the front of `in` as there are and push their inputs.
     * Sets *consumed, and *need to how many bytes there must be from there on (what is left over
     * included) before the next call makes sense, 0 when it cannot know; both are 0 when called.
     * `rbuf` holds `in`; take a reference for each input that borrows from it (input->rbuf = rbuf,
     * rbuf_ref). An error (err_set) means the stream is broken: inputs pushed so far are still
     * delivered, then the core half is told the error by core->broken(). */
    enum err (*parse)(void *framing, struct rbuf *rbuf, struct bytes in, struct input_list *out,
                      size_t *consumed, size_t *need);
};

/* ---- the core's handle of a connection ---- */

struct link;

enum { LINK_LOW_WATER_BYTES = 64 * 1024 };

/* None of these is called from within another call of io. `drained` may be NULL. */
struct core_half {
    /* A connection was accepted. Returns the protocol's session, which is passed to the others. */
    void *(*open)(void *core, struct link *link);
    void (*input)(void *session, struct input *input);
    /* The framing half met bytes it cannot parse (`code`, `text`); nothing more will be input. The
     * session may write a last answer; it must call link_close(). */
    void (*broken)(void *session, enum err code, const char *text);
    /* The connection is gone, by either side. Free the session; the link is dead after this. */
    void (*gone)(void *session);
    /* The socket has taken some: link->bytes_out has grown. May be NULL. */
    void (*sent)(void *session);
    /* What was written has drained from above the low-water mark to it. So: stop writing while link_pending_bytes() is
     * above, go on when this is called. */
    void (*drained)(void *session);
};

struct protocol { /* one constant for each protocol */
    const char *name;
    const struct framing *framing;
    const struct core_half *core;
    size_t buffer_max_bytes; /* the largest frame: larger needs are refused as E_TOO_LARGE */
};

struct link {
    const struct protocol *protocol;
    void *session;
    uint64_t id; /* never used twice in a run */
    struct endpoint local, peer;
    uint64_t bytes_in, bytes_out; /* received, taken by the socket; updated once a turn */
    uint64_t bytes_written;       /* to it: the socket has what ended here when bytes_out is here */
    uint64_t receives, sends;     /* turns that brought some, that took some away */
    int64_t last_input_ns;        /* when something was last received */
    int64_t last_output_ns;
    bool closing;
    /* the rest belongs to io */
};

/* Append to what leaves at the end of this turn; copies. After link_close() what is written is
 * thrown away, and references are released as usual. */
void link_write(struct link *, struct bytes b);
/* Room for `size` contiguous bytes that will leave; the caller fills all of them before returning
 * from the turn. link_shrink() gives back the last `unused` of the newest reservation. */
uint8_t *link_reserve(struct link *, size_t size);
void link_shrink(struct link *, size_t unused);
/* Append bytes without copying them: they stay valid until `release(ctx)` is called, in the core,
 * in a later turn or when the hub is freed. Worth it from about 4 KiB on. */
void link_write_ref(struct link *, struct bytes b, void (*release)(void *ctx), void *ctx);
/* The same with `size` bytes of a file, which go to the socket without being copied where the system
 * can. What is asked of the caller: the file has them and nobody changes them, also not until the peer
 * has them all, which nobody is told; and they are in the system's cache, or whoever sends waits for
 * the disk. A file that ends before closes the connection. */
void link_write_file(struct link *, struct file *file, uint64_t position, size_t size,
                     void (*release)(void *ctx), void *ctx);
/* Bytes written and not yet taken by the socket. */
static inline size_t link_pending_bytes(const struct link *link)
{
    return link->bytes_written - link->bytes_out;
}
/* Stop or go on reading the socket; what was read before is still input. */
void link_pause_input(struct link *, bool pause);
/* This connection writes: it is not read while the hub's input is gated. Others are. */
void link_gate_input(struct link *);
/* Close when everything written has left (or after a grace of 3 s). No more input is delivered;
 * gone() follows in a later turn. Calling it again does nothing. */
void link_close(struct link *);

#endif
