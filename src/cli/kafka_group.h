/*
 * Consumer groups, asked by their public protocol: what is committed, who is a member and of what.
 * Membership itself is kafka_member.h.
 */
#ifndef CLI_KAFKA_GROUP_H
#define CLI_KAFKA_GROUP_H

#include "cli/kafka_admin.h"

struct group_part {
    char *topic;
    int32_t partition;
    int64_t committed;   /* -1: nothing */
    char *client, *host; /* of the member that has it; NULL: nobody */
};

struct kafka_group {
    char *state;
    size_t member_count;
    VEC(struct group_part) parts; /* by topic and partition: committed, assigned, or both */
};

/* Wait until the group has a coordinator: a server's first question about groups makes one. */
must_use enum err kafka_group_ready(struct kafka_client *c, const char *group);
/* E_NOT_FOUND, with the nearest name that there is. */
must_use enum err kafka_group_read(struct kafka_client *c, const char *group,
                                   struct kafka_group *out);
void kafka_group_reset(struct kafka_group *g);
/* What is committed, -1: nothing. Adds to `out->parts`. */
must_use enum err kafka_group_read_offsets(struct kafka_client *c, const char *group,
                                           struct kafka_group *out);
struct group_part *kafka_group_part(struct kafka_group *g, struct bytes topic, int32_t partition);

/* Commit as one who is no member: the group must have none. `generation` -1, `member` "". */
struct group_commit {
    const char *group, *member;
    int32_t generation;
    const struct kafka_place *places; /* whose offsets are committed */
    size_t count;
};
must_use enum err kafka_group_commit(struct kafka_client *c, const struct group_commit *commit);

#endif
