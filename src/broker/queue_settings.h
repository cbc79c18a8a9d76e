/*
 * What a queue's declared arguments and policies ask of it. The arguments themselves are kept as they
 * came and are what redeclares compare (design rule 15); these are the effective values.
 */
#ifndef BROKER_QUEUE_SETTINGS_H
#define BROKER_QUEUE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct policy_pair;

enum queue_overflow { OVERFLOW_DROP_HEAD, OVERFLOW_REJECT, OVERFLOW_REJECT_DLX };

enum queue_retry_type { RETRY_AT_ONCE, RETRY_ALL_LATER, RETRY_FAILED_LATER, RETRY_RETURNED_LATER };

struct queue_settings {
    int64_t message_ttl_ms; /* -1: none; also below */
    int64_t expires_ms;
    int64_t max_length;       /* ready messages */
    int64_t max_length_bytes; /* of their bodies */
    int64_t delivery_limit;
    int64_t max_priority;        /* -1: messages are all alike */
    int64_t consumer_timeout_ms; /* -1: the broker's */
    enum queue_retry_type retry_type;
    int64_t retry_min_ms, retry_max_ms; /* for each delivery so far, and at most */
    enum queue_overflow overflow;
    struct bytes dead_letter_exchange; /* NULL data: none; borrowed from the arguments */
    struct bytes dead_letter_key;      /* NULL data: the message's own */
    bool single_active;
    bool is_quorum;
};

/* Read a field table. E_INVALID: *out_argument is the name of the one that is wrong, err_text() what
 * is wrong as RabbitMQ words it ("{value_negative,-1}"). */
must_use enum err queue_settings_read(struct bytes arguments, struct queue_settings *out,
                                      const char **out_argument);
/* What the policies add to what these arguments asked for. Times and lengths: the least of both.
 * Otherwise the argument wins where there is one; but of a quorum queue's overflow and delivery
 * limit as RabbitMQ has it. Strings are borrowed from the policies. */
void queue_settings_apply(struct queue_settings *, struct bytes arguments,
                          const struct policy_pair *);

#endif
