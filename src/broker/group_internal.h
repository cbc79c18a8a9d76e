/* What the files of the coordinator share. group.h tells the idea. */
#ifndef BROKER_GROUP_INTERNAL_H
#define BROKER_GROUP_INTERNAL_H

#include "base/vec.h"
#include "broker/core_internal.h"
#include "broker/group.h"
#include "broker/offsets.h"
#include "broker/topic.h"

struct feed;

enum {
    GROUP_ID_MAX_BYTES = INT16_MAX,     /* what the records' strings can say */
    GROUP_PROTOCOLS_MAX = 256,          /* of one member */
    GROUP_METADATA_MAX_BYTES = 1 << 20, /* of one member, all protocols together */
    GROUP_RECORD_MAX_BYTES = 32 << 20,
    GROUP_NEW_MEMBER_JOIN_MS = 300000, /* a new member that waits longer for its generation goes */
    GROUP_FIXED_BYTES = 1024, /* what a group, a member or an offset costs besides its texts: */
    MEMBER_FIXED_BYTES = 512, /* counted against the memory that all may take */
    OFFSET_FIXED_BYTES = 192,
};

#define GROUPS_TOPIC BYTES_LITERAL("__consumer_offsets")

struct group_member {
    struct list node; /* group->joined or group->pending */
    struct group *group;
    struct bytes id, instance_id, client_id, client_host; /* owned */
    bool is_pending;                                      /* knows its id, has not joined with it */
    bool is_new;                                          /* has never been in a generation */
    bool is_joining;                                      /* has asked to be in the next one */
    bool is_unsynced;                                     /* of this generation, has not synced */
    int32_t session_timeout_ms, rebalance_timeout_ms;
    struct group_protocol *protocols; /* one block with what they point at */
    size_t protocol_count, protocol_bytes;
    struct bytes assignment; /* owned */
    struct timer session;
    int64_t session_due_ns;  /* the timer may be earlier, and looks again then */
    struct group_join *join; /* who waits for the answer, or NULL: its connection has gone */
    struct group_sync *sync;
};

struct group_support { /* how many members can do a protocol */
    struct bytes name; /* owned */
    uint32_t count;
};

struct group {
    struct groups *groups;
    struct list node; /* groups->all or ->recovering */
    struct bytes id;  /* owned */
    int32_t shard;
    enum group_state state, previous_state;
    int32_t generation;
    struct bytes protocol_type, protocol; /* owned, or null */
    struct group_member *leader;
    struct map members;          /* by id, the pending ones too */
    struct map instances;        /* static members by instance id */
    struct list joined, pending; /* of struct group_member, in order of coming */
    uint32_t joined_count, pending_count, joining_count, unsynced_count;
    VEC(struct group_support) supported;
    bool new_member_added;                 /* while the first rebalance gathers */
    struct timer phase;                    /* ends PREPARING, or drops who does not sync */
    int64_t phase_delay_ms, phase_left_ms; /* of the first rebalance */
    int64_t state_wall_ms;                 /* when the state was entered */
    struct ticket ticket;                  /* of the newest record about it */
    struct map topics;                     /* struct offset_topic by name */
    uint32_t change_count;                 /* uncommitted changes of its offsets */
    bool is_deleting;                      /* until that is committed */
};

/* A topic that some groups have offsets of: who they are, for when it is deleted. */
struct offset_name {
    struct bytes name;    /* owned */
    struct list by_group; /* struct offset_topic */
};

struct offset_topic {
    struct list node; /* the name's */
    struct group *group;
    struct offset_name *shared;
    struct bytes name;                  /* the shared one */
    VEC(struct offset_entry *) entries; /* by partition */
};

struct offset_entry {
    struct offset_topic *topic;
    int32_t partition;
    bool has_value;            /* something is committed */
    uint32_t change_count;     /* uncommitted ones */
    struct offset_value value; /* the metadata is owned */
};

/* A change that takes effect when its record, at `offset` of the shard's log, is committed. */
struct offset_change {
    struct list node;
    int64_t offset;
    struct group *group;
    struct offset_entry *entry; /* NULL: the group itself goes */
    bool is_removal;
    struct offset_value value;
};

/* One partition of the topic with the groups that belong there. */
struct group_shard {
    struct groups *groups;
    struct partition *partition;
    bool is_loaded;
    struct list changes; /* struct offset_change, by offset */
    struct partition_watch watch;
};

struct groups {
    struct core *core;
    struct group_config config;
    struct topic *topic; /* NULL until the first group */
    struct group_shard *shards;
    int32_t shard_count, loaded_count;
    struct map by_id;
    struct map offset_names; /* struct offset_name by name */
    struct list all;         /* struct group */
    struct list recovering;  /* those whose shard is being read */
    size_t bytes;            /* against config.memory_max_bytes */

    struct text key, value; /* scratch for a record */

    struct deferred load; /* the next slice of loading */
    int32_t load_shard;
    int64_t load_offset, load_limit;
    uint64_t load_skipped;
    struct feed *feed;
    VEC(struct bytes) load_deleted; /* topics that went meanwhile; owned */

    struct timer sweep_timer;
    struct deferred sweep; /* the next slice of expiring */
    struct list *sweep_at; /* in `all`; NULL: none under way */
};

/* ---- group.c ---- */

struct groups *groups_new(struct core *core, const struct group_config *config);
void groups_open(struct groups *groups);   /* after the catalog: find the topic, begin to load */
void groups_let_go(struct groups *groups); /* what refers to the store's memory */
void groups_free(struct groups *groups);

bool groups_have_room(const struct groups *groups, size_t bytes);
struct bytes group_copy(struct bytes b); /* owned; null stays null */
void group_drop(struct bytes *b);        /* frees, makes it null */

int32_t group_shard_of(struct bytes id, int32_t count); /* Java's hash, as clients compute it */
bool group_id_is_legal(struct bytes id);
struct group *group_get(struct groups *groups, struct bytes id);
struct group *group_make(struct groups *groups, struct bytes id);
void group_remove(struct group *group); /* from memory, with all that it has */
/* Remove it if it is nothing: no members, no offsets, never written down. */
void group_remove_if_blank(struct group *group);
void group_set_state(struct group *group, enum group_state state);

/* ---- group_member.c ---- */

struct group_member *group_member_get(const struct group *group, struct bytes id);
struct group_member *group_member_make(struct group *group, struct bytes id,
                                       struct bytes instance_id);
struct bytes group_member_new_id(struct group *group, struct bytes client_id, struct bytes instance,
                                 char *scratch, size_t scratch_size);
void group_member_enter(struct group_member *m);  /* make it one of the joined */
void group_member_remove(struct group_member *m); /* frees; a join is answered UNKNOWN_MEMBER */
void group_member_rename(struct group_member *m, struct bytes id);
void group_member_set_protocols(struct group_member *m, const struct group_protocol *protocols,
                                size_t count);
void group_member_set_assignment(struct group_member *m, struct bytes assignment);
struct bytes group_member_metadata(const struct group_member *m, struct bytes protocol);
void group_member_set_joining(struct group_member *m, bool is_joining);
void group_member_set_unsynced(struct group_member *m, bool is_unsynced);
void group_member_touch(struct group_member *m, int64_t timeout_ms);
void group_member_answer_join(struct group_member *m, const struct group_joined *joined);
void group_member_answer_sync(struct group_member *m, const struct group_synced *synced);
/* Does the member exist under these names? (KIP-345) */
enum group_error group_check_member(const struct group *group, struct bytes member_id,
                                    struct bytes instance_id);

/* ---- group_join.c: the phases ---- */

bool group_has_all_joined(const struct group *group);
void group_complete_join(struct group *group);
/* Start over when the state allows it, else see whether the join phase is complete. */
void group_rebalance_or_complete(struct group *group, const char *why);
void group_complete_join_if_all(struct group *group);
void group_phase_fired(struct timer *timer, int64_t now_ns);
/* A group that was read back goes on where it was. */
void group_resume(struct group *group);

/* ---- group_log.c: records ---- */

/* Append the group as it is. */
must_use enum err group_log_write(struct group *group);
enum group_error group_error_of(enum err err);
void group_log_begin(struct groups *groups);
void group_log_add_offset(struct groups *groups, const struct group *group, struct bytes topic,
                          int32_t partition, const struct offset_value *value);
void group_log_add_tombstone(struct groups *groups, const struct group *group);
/* Append what was added; *out_offset is the first one's. */
must_use enum err group_log_end(struct group *group, int64_t *out_offset);
/* What a record says becomes state. E_MALFORMED, E_UNSUPPORTED: it does not. */
must_use enum err group_log_apply(struct groups *groups, const struct record *record);

/* ---- group_load.c ---- */

void group_load_start(struct groups *groups);
void group_load_run(struct deferred *work);
/* Was the topic deleted since the loading began? */
bool group_load_has_deleted(const struct groups *groups, struct bytes topic);

/* ---- group_subscription.c ---- */

/* Does a member of a "consumer" group want the topic? Also true when nobody can tell. */
bool group_is_subscribed(const struct group *group, struct bytes topic);
bool group_is_consumer(const struct group *group);

/* ---- offsets.c ---- */

struct offset_entry *offsets_entry(const struct group *group, struct bytes topic,
                                   int32_t partition);
struct offset_entry *offsets_make_entry(struct group *group, struct bytes topic, int32_t partition);
void offsets_set(struct group *group, struct offset_entry *entry, const struct offset_value *value);
void offsets_unset(struct group *group, struct offset_entry *entry);
void offsets_apply_committed(struct group_shard *shard);
void offsets_free_all(struct group *group);
void offsets_drop_changes(struct list *changes);
/* Append records that remove these entries, and the group itself with `and_group`. */
struct offset_change *offsets_note_removal(struct list *changes, struct group *group,
                                           struct offset_entry *entry);
must_use enum err offsets_append(struct group *group, struct list *changes);

/* ---- offsets_expire.c ---- */

void offsets_sweep_fired(struct timer *timer, int64_t now_ns);
void offsets_sweep_run(struct deferred *work);
/* Offsets of topics that do not exist any more; when a shard has been loaded. */
void offsets_drop_orphans(struct group *group);

#endif
