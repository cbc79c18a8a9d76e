/*
 * What can be seen of sessions, their channels and consumers from outside: for management, which
 * knows no protocol. A description is made when it is asked for; nothing is kept for it but what the
 * protocol needs anyway. What it borrows is valid until the session goes on.
 *
 * struct session itself is in core.h.
 */
#ifndef BROKER_SESSION_H
#define BROKER_SESSION_H

#include "broker/core.h"

struct consumer;
struct counters;
struct queue;

enum session_state {
    SESSION_STARTING, /* not logged in yet */
    SESSION_RUNNING,
    SESSION_FLOW,     /* its publishes are slowed down */
    SESSION_BLOCKING, /* they will be stopped when it publishes */
    SESSION_BLOCKED,
    SESSION_CLOSING,
};

const char *session_state_name(enum session_state state);

struct session_description {
    const char *protocol;           /* "AMQP 0-9-1" */
    const char *mechanism;          /* of the log-in; NULL: none */
    struct bytes client_properties; /* field table, without its size */
    enum session_state state;
    uint32_t frame_max_bytes; /* 0: the protocol has none; also below */
    uint16_t channel_max;
    uint16_t heartbeat_s;
    size_t channel_count;
};

struct channel_description {
    struct session *session;
    uint16_t number;
    enum session_state state;
    bool confirms, is_transactional;
    uint32_t prefetch;        /* of consumers to come; 0: no limit */
    uint32_t global_prefetch; /* of the channel as a whole */
    size_t consumer_count;
    uint64_t unacked;     /* deliveries that wait for an ack */
    uint64_t unconfirmed; /* publishes that wait for their confirm */
    uint64_t uncommitted, acks_uncommitted;
    struct counters *counters; /* NULL: nothing has happened */
};

struct consumer_description {
    struct session *session;
    uint16_t channel;
    struct bytes tag;
    struct bytes arguments; /* field table, without its size */
    const struct queue *queue;
    uint32_t prefetch;
    int64_t timeout_ms; /* for its acks; below 0: as its queue says */
    bool acks, is_exclusive;
    bool is_active; /* not standing by */
};

typedef void channel_fn(void *ctx, const struct channel_description *channel);
typedef void consumer_fn(void *ctx, const struct consumer_description *consumer);

/* How a protocol describes its sessions: one constant for each. */
struct session_view {
    void (*describe)(const struct session *, struct session_description *out);
    /* NULL: the protocol has no channels. */
    void (*each_channel)(struct session *, channel_fn *each, void *ctx);
    /* False: there is no such channel. */
    bool (*describe_channel)(struct session *, uint16_t number, struct channel_description *out);
    void (*each_consumer)(struct session *, uint16_t channel, consumer_fn *each, void *ctx);
};

void session_describe(const struct session *, struct session_description *out);
void session_each_channel(struct session *, channel_fn *each, void *ctx);
bool session_describe_channel(struct session *, uint16_t number, struct channel_description *out);
void session_each_consumer(struct session *, uint16_t channel, consumer_fn *each, void *ctx);
void queue_each_consumer(struct queue *, consumer_fn *each, void *ctx);

/* By link->id, which is never used again. NULL: it is gone. */
struct session *session_find(struct core *, uint64_t link_id);
/* The one after it, in the order of their coming; 0: the first. NULL: that was the last. */
struct session *session_after(struct core *, uint64_t link_id);
/* RabbitMQ's name of a connection: "127.0.0.1:50000 -> 127.0.0.1:5672". */
enum { SESSION_NAME_MAX = 160 };
void session_put_name(const struct session *, char out[SESSION_NAME_MAX]);
/* NULL: there is none. */
struct session *session_find_name(struct core *, struct bytes name);
/* End it with a reason that its client is told. */
void session_close(struct session *, const char *reason);

#endif
