/*
 * What happened to messages, counted for each queue, exchange, channel and vhost. Names and meanings
 * are those of `message_stats` in RabbitMQ's management API.
 *
 * An object that nothing has happened to has no counters, so that a hundred thousand idle queues
 * cost nothing; they are made by the first event. Adding is one test and one addition.
 */
#ifndef BROKER_COUNTERS_H
#define BROKER_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "broker/rates.h"

#define COUNTERS_TABLE(X)                                                                          \
    X(publish)                                                                                     \
    X(confirm)                                                                                     \
    X(return_unroutable)                                                                           \
    X(drop_unroutable)                                                                             \
    X(deliver)        /* to consumers that ack */                                                  \
    X(deliver_no_ack) /* to those that do not */                                                   \
    X(get)                                                                                         \
    X(get_no_ack)                                                                                  \
    X(get_empty)                                                                                   \
    X(ack)                                                                                         \
    X(redeliver)                                                                                   \
    X(publish_in)  /* of an exchange: came to it */                                                \
    X(publish_out) /* and went to so many queues */

enum counter {
#define COUNTER_ENUM(name) COUNTER_##name,
    COUNTERS_TABLE(COUNTER_ENUM)
#undef COUNTER_ENUM
        COUNTERS
};

struct counters {
    uint64_t count[COUNTERS];
    uint64_t bytes;      /* of the bodies that were published, where the owner counts them */
    int64_t active_ms;   /* when something last happened, as far as the owner notes it */
    struct rates *rates; /* the owner's, of whatever it likes */
};

struct counters *counters_new(void);
void counters_free(struct counters *c); /* accepts NULL */
const char *counter_name(enum counter c);

static inline void counters_add(struct counters **at, enum counter c, uint64_t n)
{
    if (!*at)
        *at = counters_new();
    (*at)->count[c] += n;
}

/* A publisher has sent a message with a body of so many bytes: for the histogram of their sizes. */
enum { COUNTERS_SIZES = 9 };
void counters_add_message(size_t body_bytes);
/* The histogram's rows: up to `*out_limit` bytes (0: no limit) there were so many. */
uint64_t counters_messages_of_size(int row, uint64_t *out_limit);

/* Add all of `from`, which may be NULL. */
void counters_add_all(struct counters **at, const struct counters *from);

#endif
