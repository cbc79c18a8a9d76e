/* What the requests about groups share. */
#ifndef KAFKA_GROUP_REQUESTS_H
#define KAFKA_GROUP_REQUESTS_H

#include "broker/group.h"
#include "kafka/connection.h"
#include "kafka/errors.h"
#include "kafka/request.h"

enum {
    GROUP_TIMEOUT_MS = 5000, /* Kafka's offsets.commit.timeout.ms: how long a commit may take */
    /* Bits of Kafka's AclOperation (READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS):
     * without access control a client may do everything. */
    GROUP_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11,
};

static inline struct groups *request_groups(const struct request *r)
{
    return core_groups(request_core(r));
}

static inline int16_t group_code(enum group_error error)
{
    return (int16_t)kafka_error_of_group(error);
}

/* The barrier before state is told: when the disk has failed, what is committed is all that there
 * will ever be. */
static inline bool barrier_was_passed(const struct request *r, bool in_time)
{
    return in_time || store_is_frozen(request_core(r)->store);
}

#endif
