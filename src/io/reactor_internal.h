/*
 * The I/O side of connections: one reactor owns the sockets given to it, reads and parses what they
 * receive, and sends what the core wrote. It runs in a thread of its own, or inside the core's
 * loop.
 *
 * It meets the core (hub.c) only at two rings. A connection's struct lies in one piece, but each
 * field belongs to one side, and what is new on one side waits there until there is room in the
 * ring:
 *
 *   reactor -> core  struct report: opened, inputs, bytes sent and their blocks, broken, ended,
 *                    gone, freed
 *   core -> reactor  struct order: adopt, blocks, bytes of freed inputs, pause, close, forget
 *
 * Life of a connection (the reactor's state; what it reports is behind the slash):
 *
 *   accept / opened ...adopt... OPEN --close--> DRAINING --all sent / gone--> LINGERING --+
 *                                |                 |                                       v
 *                                +---- socket error, grace over / gone ----------------> CLOSED
 *
 * After `gone` the core sends no order but `forget`, its last; a connection that is CLOSED and
 * forgotten is reported `freed`, and then the core frees the struct. So neither side ever holds a
 * connection that the other has freed.
 */
#ifndef IO_REACTOR_INTERNAL_H
#define IO_REACTOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "io/link_internal.h"
#include "io/rbuf.h"
#include "io/ring.h"
#include "io/waker.h"

enum {
    REACTOR_RING_SLOTS = 512,
    REACTOR_READ_BYTES = 256 * 1024,      /* of one connection in one turn */
    REACTOR_TURN_READ_BYTES = 256 * 1024, /* of all */
    REACTOR_SEND_BYTES = 64 * 1024,       /* to one connection before the next one's turn */
    REACTOR_TURN_SEND_BYTES = 256 * 1024, /* to all, with as much as was read */
    REACTOR_ACCEPT_COUNT = 64,            /* in one turn */
};

#define REACTOR_GRACE_NS (3 * INT64_C(1000000000))

struct hub;
struct conn;

enum report_flags {
    REPORT_OPENED = 1,
    REPORT_BROKEN = 2,  /* conn->broken_code and _text are set */
    REPORT_ENDED = 4,   /* the peer sends nothing more */
    REPORT_DRAINED = 8, /* as ORDER_TELL_DRAINED asked */
    REPORT_GONE = 16,
    REPORT_FREED = 32,
};

struct report {
    struct conn *conn;
    struct input *inputs;
    struct block *blocks; /* given back */
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t dropped_bytes; /* written, and never sent */
    unsigned flags;
};

/* The state of pause, gate and close is told with each order; the others are events. */
enum order_flags {
    ORDER_ADOPT = 1,
    ORDER_PAUSE = 2,
    ORDER_CLOSE = 4,
    ORDER_TELL_DRAINED = 8, /* report when no more than the low-water mark is left */
    ORDER_FORGET = 16,
    ORDER_GATED = 32,
};

struct order {
    struct conn *conn;
    struct block_list blocks;
    size_t bytes;       /* of blocks */
    size_t freed_bytes; /* of inputs */
    unsigned flags;
};

enum watch_kind { WATCH_WAKER, WATCH_LISTENER, WATCH_CONN };

struct watch { /* what an epoll event points to; first in its struct */
    enum watch_kind kind;
};

enum conn_state { CONN_NEW, CONN_OPEN, CONN_DRAINING, CONN_LINGERING, CONN_CLOSED };

struct conn {
    /* the core's */
    struct link_base base;
    struct hub *hub; /* NULL: it outlived the hub, held by inputs */
    struct list all, changed;
    struct reactor *reactor;
    size_t freed_bytes; /* of inputs, not told yet */
    bool must_adopt, must_forget, is_freed;

    /* the reactor's */
    struct watch watch;
    int fd;
    enum conn_state state;
    uint32_t watched; /* epoll events asked for */
    void *framing;
    struct rbuf *partial; /* the front of a frame, or NULL */
    size_t need;          /* bytes that must be there before parsing again */
    size_t inflight_bytes;
    bool is_ended, is_broken, is_paused, is_gated, is_forgotten, tells_drained;
    bool is_blocked;     /* the socket takes nothing more */
    bool expects_large;  /* the frame before was large */
    struct list starved; /* in reactor->starved while the gate is shut or there is no memory to read
                            * into */
    struct list ending;  /* in reactor->ending, by deadline */
    int64_t end_deadline_ns;
    struct list sending; /* in reactor->sending: there is something that the socket may take */
    struct block_list queue;
    size_t queue_bytes;
    size_t first_sent_bytes; /* of queue.first */

    /* the next report, filled by the reactor; `broken_*` is the core's once reported */
    struct list reporting;
    struct report report;
    struct input **last_input;
    enum err broken_code;
    char *broken_text;
};

struct listener {
    struct watch watch;
    struct listener *next;
    const struct protocol *protocol;
    int fd;
};

struct reactor {
    struct hub *hub;
    pthread_t thread;
    bool is_started;   /* the core's */
    bool orders_given; /* the core's: in this turn */
    bool is_inline;
    int epoll;
    struct watch waker_watch;
    struct waker waker;
    struct ring orders;  /* from the core */
    struct ring reports; /* to the core */
    atomic_bool stop;
    atomic_bool stop_listening;

    struct rbuf_pool *rbufs; /* the hub's */
    atomic_size_t *send_bytes;
    const atomic_bool *gate;             /* while set, nothing is read of those it is for */
    size_t memory_bytes, inflight_bytes; /* limits */
    void (*wake_core)(void *hub);

    /* the thread's own */
    struct rbuf *shared; /* what all connections read into */
    struct listener *listeners;
    int reserve_fd; /* given up for a moment when no other is left */
    int64_t now_ns;
    int64_t slept_ns; /* in all, waiting for events */
    size_t send_left; /* bytes that may be sent in this turn */
    struct list reporting, sending, starved, ending;
    bool reports_urgent; /* the core must look at what was published */
};

must_use enum err reactor_init(struct reactor *r);
void reactor_reset(struct reactor *r);
void *reactor_run(void *reactor); /* the thread */

/* The steps of a turn; an inline reactor is driven by the hub. */
void reactor_poll(struct reactor *r, int64_t deadline_ns);
void reactor_take_orders(struct reactor *r);
/* Publish what is to be reported; false when the ring had no room for all. */
bool reactor_report(struct reactor *r);

void reactor_close_listeners(struct reactor *r);

/* conn.c */
struct conn *conn_new(struct hub *hub, int fd, const struct protocol *protocol,
                      const struct endpoint *local, const struct endpoint *peer);
void conn_event(struct reactor *r, struct conn *c, uint32_t events, size_t *budget);
void conn_order(struct reactor *r, struct conn *c, struct order *order);
void conn_send(struct reactor *r, struct conn *c);
void conn_watch(struct reactor *r, struct conn *c);
void conn_end(struct reactor *r, struct conn *c);
void conn_note_report(struct reactor *r, struct conn *c, unsigned flags);

#endif
