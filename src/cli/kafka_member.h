/*
 * A member of a consumer group by Kafka's classic protocol: joins for one topic, keeps its place by
 * heartbeats, commits. As the group's leader it assigns ranges of partitions (Kafka's "range"
 * assignor, which every client has).
 */
#ifndef CLI_KAFKA_MEMBER_H
#define CLI_KAFKA_MEMBER_H

#include "base/vec.h"
#include "cli/kafka_client.h"

struct kafka_member {
    struct kafka_client *client;
    const char *group, *topic;
    char *id; /* "" before the first join */
    int32_t generation;
    int64_t next_beat_ns;
    VEC(int32_t) partitions; /* of the topic, that are this member's */
};

void kafka_member_init(struct kafka_member *m, struct kafka_client *client, const char *group,
                       const char *topic);
void kafka_member_reset(struct kafka_member *m);
/* Join, or join again; waits for the others. */
must_use enum err kafka_member_join(struct kafka_member *m);
/* A heartbeat when it is time. E_AGAIN: what was committed so far is good; join again. */
must_use enum err kafka_member_beat(struct kafka_member *m);
/* Say good-bye, so that the others need not wait for the session to time out. */
void kafka_member_leave(struct kafka_member *m);

#endif
