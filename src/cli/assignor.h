/*
 * Who of a consumer group gets which partitions: Kafka's "range" assignor, which every client has, and
 * the bytes that members exchange (ConsumerProtocolSubscription and -Assignment, version 0). Pure.
 */
#ifndef CLI_ASSIGNOR_H
#define CLI_ASSIGNOR_H

#include <stdint.h>

#include "base/bytes.h"

struct assignor_member {
    const char *id;
    const char *const *topics; /* that it asks for */
    size_t topic_count;
    struct text assignment; /* what it gets */
};

/* Append `topic`'s partitions to the assignments of those that ask for it; `members` are sorted. */
void assignor_range(struct assignor_member *members, size_t count, const char *topic,
                    int32_t partition_count);
/* Complete an assignment, which may have got nothing. */
void assignor_end(struct assignor_member *member);

/* Asks for one topic. */
void assignor_put_subscription(const char *topic, struct text *out);

#endif
