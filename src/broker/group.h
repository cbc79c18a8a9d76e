/*
 * Classic groups (the coordinator behind JoinGroup, SyncGroup, Heartbeat and LeaveGroup): members
 * come together in a generation, one of them, the leader, tells what each is to do, and everybody
 * joins again when somebody comes, goes or falls silent. What they share out is theirs: the
 * protocol type and the metadata are bytes that nobody here looks into, except for the topics of
 * "consumer" groups, which protect their offsets.
 *
 *            first member joins                all have joined, or time is up
 *   EMPTY ------------------------> PREPARING ------------------------------> COMPLETING
 *     ^                               ^    |  nobody is left                       |
 *     +-------------------------------|----+                 the leader has synced |
 *                                     |                                            v
 *                                     +--- a member joins, leaves, dies -------- STABLE
 *
 * PREPARING waits for JoinGroup of every member, COMPLETING for SyncGroup. A group that is deleted
 * is no longer found (Kafka: Dead).
 *
 * Each function is an event: it changes the state at once, appends what must be remembered to the
 * group's partition of __consumer_offsets, and answers through the caller's done() or its result.
 * An answer comes with the ticket that it has to wait for: nobody hears of a generation, an
 * assignment or an offset that a crash could take back. done() may be called within the event; it
 * must not call back into this module.
 *
 * After a start the state is read back from the topic in the background; until a partition is
 * loaded its groups answer GROUP_LOADING. Everything lives in the core.
 */
#ifndef BROKER_GROUP_H
#define BROKER_GROUP_H

#include "base/map.h"
#include "broker/core.h"

struct groups;
struct group;
struct group_member;

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING, GROUP_STABLE };

enum group_error {
    GROUP_OK,
    GROUP_INVALID_ID,
    GROUP_INVALID_REQUEST,
    GROUP_INVALID_SESSION_TIMEOUT,
    GROUP_LOADING,
    GROUP_NOT_AVAILABLE, /* nothing can be written, or no memory is left: try again later */
    GROUP_NOT_FOUND,
    GROUP_NOT_EMPTY,
    GROUP_FULL,
    GROUP_TOO_LARGE, /* its state does not fit into a record */
    GROUP_MEMBER_ID_REQUIRED,
    GROUP_UNKNOWN_MEMBER,
    GROUP_FENCED_INSTANCE,
    GROUP_ILLEGAL_GENERATION,
    GROUP_REBALANCING,
    GROUP_INCONSISTENT_PROTOCOL,
    GROUP_SUBSCRIBED,          /* the topic's offsets are in use */
    GROUP_OFFSET_TEXT_TOO_LONG /* an offset's metadata */
};

struct groups *core_groups(struct core *core);

/* The topic with the groups' state; made if it is missing, durable when core_catalog_ticket() is
 * done. E_FROZEN, E_NO_SPACE. */
must_use enum err groups_make_topic(struct groups *groups);

/* When it is done, all that was appended about the group (NULL: about any) before is committed:
 * answers that read state wait for it. */
struct ticket groups_barrier(struct groups *groups, struct bytes group_id);

/* ---- joining ---- */

struct group_protocol { /* a way to share out, and what the member has to say about it */
    struct bytes name, metadata;
};

struct group_joined;

/* A member wants in. Filled by the caller, whose memory it is until done() or group_join_cancel().
 */
struct group_join {
    struct bytes group_id, member_id; /* empty member id: a new one */
    struct bytes instance_id;         /* null: dynamic (KIP-345) */
    struct bytes client_id, client_host, reason;
    struct bytes protocol_type;
    const struct group_protocol *protocols; /* most preferred first */
    size_t protocol_count;
    int32_t session_timeout_ms, rebalance_timeout_ms; /* negative rebalance timeout: the other */
    bool can_return_with_id;  /* a new member is first told its id (KIP-394) */
    bool can_skip_assignment; /* a static leader that comes back need not assign (KIP-814) */
    void (*done)(struct group_join *, const struct group_joined *);
    struct group_member *member; /* ours: who waits */
};

struct group_joined {
    enum group_error error;
    struct bytes member_id;    /* empty: none */
    const struct group *group; /* with GROUP_OK */
    struct bytes leader;       /* with GROUP_OK: its member id */
    bool has_members;          /* the leader is told them: group_each_member() */
    bool skip_assignment;
    struct ticket ticket;
};

void group_join(struct groups *groups, struct group_join *join);
/* Nobody wants the answer any more. The member stays: its client may come back. */
void group_join_cancel(struct group_join *join);

/* ---- syncing ---- */

struct group_assignment {
    struct bytes member_id, assignment;
};

struct group_synced;

struct group_sync {
    struct bytes group_id, member_id, instance_id;
    int32_t generation;
    struct bytes protocol_type, protocol_name; /* null: not said */
    const struct group_assignment *assignments;
    size_t assignment_count;
    void (*done)(struct group_sync *, const struct group_synced *);
    struct group_member *member; /* ours: who waits */
};

struct group_synced {
    enum group_error error;
    const struct group *group; /* with GROUP_OK */
    struct bytes assignment;
    struct ticket ticket;
};

void group_sync(struct groups *groups, struct group_sync *sync);
void group_sync_cancel(struct group_sync *sync);

/* ---- living and leaving ---- */

struct group_identity {
    struct bytes group_id, member_id, instance_id; /* null instance id: dynamic */
};

enum group_error group_heartbeat(struct groups *groups, const struct group_identity *who,
                                 int32_t generation);

struct group_leaver {
    struct bytes member_id, instance_id, reason; /* empty member id: whoever has the instance id */
    enum group_error error;                      /* the answer */
};
/* Several at once; an error of its own means that none of them was looked at. */
enum group_error group_leave(struct groups *groups, struct bytes group_id,
                             struct group_leaver *leavers, size_t count, struct ticket *out);

/* ---- looking ---- */

/* NULL when there is none; check groups_look() first. */
const struct group *group_find(struct groups *groups, struct bytes id);
/* GROUP_LOADING while the group's partition is. */
enum group_error groups_look(struct groups *groups, struct bytes id);
/* False while some partition is loading. */
bool groups_are_loaded(const struct groups *groups);
void group_each(struct groups *groups, void (*each)(void *ctx, const struct group *), void *ctx);
size_t group_count(const struct groups *groups);

struct group_view {
    struct bytes id, protocol_type, protocol; /* null: none */
    enum group_state state;
    int32_t generation;
    size_t member_count; /* those that group_each_member() gives */
};
struct group_view group_view(const struct group *group);
const char *group_state_name(enum group_state state); /* as Kafka spells it */

struct group_member_view {
    struct bytes id, instance_id, client_id, client_host;
    struct bytes metadata; /* of the protocol in use */
    struct bytes assignment;
};
void group_each_member(const struct group *group,
                       void (*each)(void *ctx, const struct group_member_view *), void *ctx);

/* Forget a group without members and its offsets. GROUP_NOT_FOUND, GROUP_NOT_EMPTY. */
enum group_error group_delete(struct groups *groups, struct bytes id, struct ticket *out);

#endif
