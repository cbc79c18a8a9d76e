/*
 * A connection's session in the core.
 *
 *   AWAIT_HEADER -header-> STARTING -start-ok-> TUNING -tune-ok-> OPENING -open-> RUNNING
 *   RUNNING -close from the client-> DRAINING -every channel has done its work, close-ok-> CLOSED
 *   any, by connection_fail() -> CLOSING -close-ok, close or 10 s-> CLOSED
 *   any, a peer that is silent or foreign -> CLOSED
 *
 * DRAINING: what arrived before connection.close is executed before close-ok leaves, and with it
 * the requeue of what is unacked and the end of exclusive queues. CLOSING: the server has said
 * connection.close; its channels are gone, and everything but close and close-ok is ignored.
 * CLOSED: link_close() was called; gone() will come. One timer serves each state: the time to log
 * in, the heartbeats, the time to answer our close.
 */
#ifndef AMQP_CONNECTION_H
#define AMQP_CONNECTION_H

#include "amqp/command.h"
#include "amqp/on_way.h"
#include "amqp/reply.h"
#include "broker/access.h"
#include "broker/core.h"
#include "broker/exchange.h"
#include "broker/hold.h"

struct channel;

enum connection_state {
    CONNECTION_AWAIT_HEADER,
    CONNECTION_STARTING,
    CONNECTION_TUNING,
    CONNECTION_OPENING,
    CONNECTION_RUNNING,
    CONNECTION_DRAINING,
    CONNECTION_CLOSING,
    CONNECTION_CLOSED,
};

struct connection {
    struct session session; /* first */
    struct core *core;
    struct link *link;
    enum connection_state state;
    struct vhost *vhost;
    struct access access;           /* what the user may do in it */
    const char *mechanism;          /* of the log-in; NULL before */
    struct bytes client_properties; /* field table without its size; owned */
    uint32_t frame_max;
    uint16_t channel_max;
    uint16_t heartbeat_s;           /* 0: none */
    bool client_takes_auth_failure; /* capabilities of the client */
    bool client_takes_cancel, client_takes_blocked;
    struct idmap channels;          /* id -> struct channel */
    struct channel *recent_channel; /* the one that was looked up last */
    struct list at_door;            /* among those who have not logged in (door.h) */
    struct hold_watch hold_watch;   /* while something of it is held, or it is blocked */
    struct list held;               /* channels with publishes that are held */
    int64_t held_bytes;             /* of all that is parked */
    bool is_blocked;                /* by an alarm, and told so if the client takes it */
    bool is_paused;                 /* it keeps so much that it is not read */
    struct on_way on_way;           /* deliveries that nobody acknowledges */
    struct timer on_way_timer;      /* a turn is due to see what has left */
    struct timer timer;
    int64_t opened_ns;
};

extern const struct core_half amqp_core_half;

/* End the connection with an error: channels are torn down, connection.close is sent. `method_id`
 * is whose fault it is, or 0. Does nothing when it is ending already. */
void connection_fail(struct connection *, enum reply_code, uint32_t method_id, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
/* A delivery that needs no acknowledgement has been written. */
void connection_note_sent(struct connection *, const struct delivery *);
/* The method does not belong here now. */
void connection_fail_misplaced(struct connection *, const struct command *);
/* From connection.open on: nothing to do when the client wants none. */
void connection_start_heartbeats(struct connection *);
/* A channel has nothing left to do, which a connection that is draining may wait for. */
void connection_channel_idle(struct connection *);
/* Forget the channel and free it. */
void connection_drop_channel(struct connection *, struct channel *);

#endif
