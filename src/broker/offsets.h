/*
 * Committed offsets: how far a group has read each partition. They are kept in the groups' topic; in
 * memory an offset changes when its record is committed, never before, so what is read here is what
 * would be found after a crash. A reader waits for groups_barrier() first.
 *
 * A commit comes from a member of the current generation, or, with generation -1, from a program
 * that shares nothing out while the group has no members. Offsets expire when the group has had no
 * members for the retention time, those of "consumer" groups also while nobody subscribes to their
 * topic; they go with their topic.
 */
#ifndef BROKER_OFFSETS_H
#define BROKER_OFFSETS_H

#include "broker/group.h"

struct offset_value {
    int64_t offset;
    int32_t leader_epoch; /* of the record before it; -1: unknown */
    struct bytes metadata;
    int64_t commit_ms, expire_ms; /* Unix time; expire_ms -1: by the retention time */
};

/* ---- committing: begin, add each, end; within one turn and nothing else in between ---- */

struct offset_change;

struct offset_commit {
    struct bytes group_id, member_id, instance_id; /* empty and null: not a member */
    int32_t generation;                            /* -1: not a member */
    int64_t retention_ms;                          /* -1: the broker's */
    /* ours */
    struct group *group;
    struct list changes;
    bool is_new_group;
};

/* GROUP_OK: go on with offsets_add() and offsets_end(). */
enum group_error offsets_begin(struct groups *groups, struct offset_commit *commit);
/* The topic's partition must exist. GROUP_OFFSET_TEXT_TOO_LONG, GROUP_NOT_AVAILABLE: this one is
 * not in it. */
enum group_error offsets_add(struct offset_commit *commit, struct bytes topic, int32_t partition,
                             const struct offset_value *value);
/* All that were added, or none. */
enum group_error offsets_end(struct offset_commit *commit, struct ticket *out);

/* ---- reading ---- */

/* What is committed; NULL when there is none. */
const struct offset_value *offsets_find(const struct group *group, struct bytes topic,
                                        int32_t partition);
/* By topic, partitions ascending. */
void offsets_each(const struct group *group,
                  void (*each)(void *ctx, struct bytes topic, int32_t partition,
                               const struct offset_value *value),
                  void *ctx);
/* How many topics and partitions offsets_each() will give. */
void offsets_count(const struct group *group, size_t *out_topics, size_t *out_partitions);

/* ---- forgetting: begin, take each, end ---- */

struct offset_removal {
    struct group *group;
    struct list changes; /* ours */
};

enum group_error offsets_remove_begin(struct groups *groups, struct bytes group_id,
                                      struct offset_removal *removal);
/* GROUP_SUBSCRIBED. What is not there is no error. */
enum group_error offsets_remove(struct offset_removal *removal, struct bytes topic,
                                int32_t partition);
enum group_error offsets_remove_end(struct offset_removal *removal, struct ticket *out);

/* The topic is being deleted: its offsets go in the same commit. */
void offsets_topic_deleted(struct core *core, struct bytes topic);

#endif
