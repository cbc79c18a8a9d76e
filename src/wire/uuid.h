/* A 128-bit id as it travels: topic ids, directory ids. All zeros means "none", as in Kafka. */
#ifndef WIRE_UUID_H
#define WIRE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct uuid {
    uint8_t data[16];
};

static inline bool uuid_is_zero(struct uuid id)
{
    static const struct uuid zero;
    return memcmp(&id, &zero, sizeof id) == 0;
}

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

#endif
