/*
 * The core half of a Kafka connection: a queue of requests in the order of arrival. Most start at
 * once, so that pipelined produces share a commit; answers leave strictly in order (clients match
 * them by order as much as by correlation id). A Fetch starts when it is the oldest, and not while
 * the peer has more than CONNECTION_PENDING_MAX bytes still to read, so that a slow reader holds
 * that and one answer's memory, and not as many as it asked for.
 *
 * Lives in the core.
 */
#ifndef KAFKA_CONNECTION_H
#define KAFKA_CONNECTION_H

#include "base/list.h"
#include "base/timers.h"
#include "broker/core.h"
#include "io/link.h"
#include "kafka/kafka.h"

enum {
    /* Ten that never read cost 31 MiB; with 64 KiB instead, who reads fast gets half as much. */
    CONNECTION_PENDING_MAX = 2 << 20,
    CONNECTION_IDLE_MS =
        600000, /* Kafka's connections.max.idle.ms: clients expect it, and reconnect */
};

struct request;

struct connection {
    struct session session;
    struct core *core;
    struct link *link;
    const struct kafka_config *config;
    struct list requests;       /* oldest first */
    struct list fetch_sessions; /* that it used last */
    struct timer idle;
    struct request *holder; /* nothing behind it starts; NULL: no one */
    bool is_flushing;
    bool is_failed; /* link_close() was called: nothing starts any more */
};

extern const struct core_half connection_core_half;

/* The configuration of the listener that a link came in by. */
const struct kafka_config *kafka_config_of(const struct protocol *);

/* Where the client is told that this node is: what its listener advertises, else the address that
 * the client has reached. Lives as long as the connection. */
void connection_address(const struct connection *, struct bytes *out_host, int32_t *out_port);

/* What the client calls itself, for tables of sessions; the first name given stays. */
void connection_set_client(struct connection *, struct bytes name, struct bytes version);

/* Close it, with a log line; what was written before still leaves. */
void connection_break(struct connection *, const char *why);

/* Write the answers whose turn has come and start what now may start. */
void connection_flush(struct connection *);

/* A request that has started, and takes its effect in later turns, keeps those behind it from
 * overtaking: nothing starts until it lets go, or is answered or dropped. */
void connection_hold(struct connection *, struct request *holder);
/* No effect when it holds nobody back, as one that has ended: its memory is not looked at. */
void connection_let_go(struct connection *, struct request *holder);

#endif
