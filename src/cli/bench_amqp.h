/*
 * What the two halves of `pabal bench amqp` share: the options and a connection with one channel,
 * which publishes (bench_amqp_publish.c) or consumes (bench_amqp_consume.c).
 */
#ifndef CLI_BENCH_AMQP_H
#define CLI_BENCH_AMQP_H

#include "cli/amqp_client.h"
#include "cli/bench.h"

enum {
    BENCH_QUEUE_DIGITS = 5, /* of a queue's number, when there are many */
    BENCH_QUEUE_NAME_MAX = 256,
};

struct amqp_bench_options {
    struct common common;
    struct bench_plan plan;
    struct amqp_login login;
    const char *queue, *exchange, *key, *queue_type;
    int64_t queues, publishers, consumers;
    int64_t confirm_window, transaction, prefetch, ack_batch;
    bool persistent, transient, fanout, requeue, purge, remove;
};

struct amqp_conn {
    struct bench_conn base;
    const struct amqp_bench_options *options;
    int64_t first_queue, queue_step; /* which of the queues are this connection's */
    /* a publisher's */
    struct text template;
    size_t stamp_at, key_at; /* positions in the template; key_at 0: one queue only */
    int64_t next_queue;
    int64_t
        *stamps; /* of unconfirmed tags, by tag & stamps_mask; 0: confirmed. NULL: no confirms */
    uint64_t stamps_mask, next_tag, oldest_tag, unconfirmed_count;
    bool is_committing;
    /* a consumer's */
    uint64_t delivery_tag, body_left, unacked_count;
    uint64_t complete_tag; /* of the newest message that is here with its body */
    int64_t stamp_ns;
    bool is_first_body, is_redelivered;
};

static inline struct amqp_conn *amqp_conn_of(const struct bench_conn *c)
{
    return (struct amqp_conn *)c;
}

/* The queue of that number. */
void bench_queue_name(const struct amqp_bench_options *o, int64_t number, char *out, size_t size);

/* Ask with `client` for what the connection needs, before its stream is taken over. */
must_use enum err amqp_publisher_prepare(struct amqp_conn *c, struct amqp_client *client);
must_use enum err amqp_consumer_prepare(struct amqp_conn *c, struct amqp_client *client);

void amqp_publisher_fill(struct bench_conn *base);
/* basic.ack or basic.nack; tx.commit-ok. */
must_use enum err amqp_publisher_confirm(struct amqp_conn *c, struct reader r, bool is_ack);
must_use enum err amqp_publisher_committed(struct amqp_conn *c);

void amqp_consumer_fill(struct bench_conn *base);
/* basic.deliver, then its content. */
void amqp_consumer_deliver(struct amqp_conn *c, struct reader r);
must_use enum err amqp_consumer_header(struct amqp_conn *c, struct bytes payload);
must_use enum err amqp_consumer_body(struct amqp_conn *c, struct bytes payload);

#endif
