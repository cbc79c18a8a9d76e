/* What the core keeps for the modules of this folder. */
#ifndef BROKER_CORE_INTERNAL_H
#define BROKER_CORE_INTERNAL_H

#include "base/map.h"
#include "base/vec.h"
#include "broker/catalog.h"
#include "broker/core.h"
#include "broker/due_index.h"
#include "broker/rates.h"
#include "log/batch.h"

struct broker_configs;
struct feeds;
struct groups;
struct packer;
struct route_cache;
struct producer_expiry;
struct producers;
struct topic;
struct queue;
struct subscription;

enum {
    /* What one turn may hand to consumers, so that it stays under a millisecond. */
    TURN_DELIVERIES = 4096,
    TURN_DELIVERY_BYTES = 4 << 20,
    /* A delivered-up-to mark that rides on no other commit is logged this much later. */
    MARK_DELAY_MS = 100,
    /* Settles and returns likewise. */
    SETTLE_DELAY_MS = 5,
};

/* One list for each way in which tickets are ordered: within a list, done is a prefix. */
enum { WAIT_LISTS = 2 * 3 * 4 };

struct core_internal {
    struct list waits[WAIT_LISTS];
    bool waits_changed; /* something was added, or a commit ended */
    bool progressed;    /* a commit ended since the watches were last told */
    bool ending;        /* core_turn_end() is on the stack: what is deferred now is for the next */
    struct list deferred, deferred_next;
    struct list watches;
    struct list hold_watches;
    unsigned told_holds; /* what the hold watches were told last */
    int64_t held_bytes;
    struct list moved; /* struct log_owner: high watermark moved, not told yet */
    struct list sessions, attachments;
    struct idmap session_ids; /* by the link's id */

    struct map vhosts, users, topics; /* by name */
    uint64_t access_version;          /* counts changes of what users may do */
    struct map parameters;            /* struct parameter, by vhost, component and name */
    struct map topic_ids;             /* by the 16 bytes */
    struct map topic_shapes;          /* those with '.' or '_', by the name with only '_' */
    int64_t partition_count;          /* of all topics */
    struct broker_configs *broker_configs;
    struct list graveyard;       /* deleted topics that somebody may still refer to */
    uint32_t topic_walks;        /* under way: they may refer to any */
    VEC(struct log *) condemned; /* to be deleted behind the catalog's record */

    struct route_cache *routes;
    int dying; /* dead letters on the stack */
    struct due_budget due;
    uint64_t topology; /* counts changes to what routes depend on */
    struct packer *packer;
    struct feeds *feeds;
    struct groups *groups;
    struct producer_expiry *producers;
    uint64_t last_transient_id; /* of logs in memory, which have their own numbers */
    struct list starting;       /* queues with rules that were not looked at yet */
    struct deferred start_queues;
    struct list unlogged; /* queues with settles to log */
    struct list unmarked; /* queues with only a delivered-up-to mark to log, when convenient */
    struct timer settle_timer, mark_timer; /* log what nothing else took along */
    bool settles_due, marks_due;           /* they have fired */
    VEC(struct queue *) unread; /* references: the disk has failed to give their messages */
    struct timer unread_timer;  /* they are asked for again */
    bool committing;            /* this turn has appended something: settles and marks ride along */
    uint32_t deliveries_left;   /* of this turn */
    int64_t delivery_bytes_left;
    VEC(struct chunk *) pinned;   /* released when the turn has ended */
    struct batch_builder builder; /* scratch for one batch at a time: catalog, control */
    struct text scratch;
    struct text
        delivered_properties; /* of the newest delivery, when they are not the stored ones */

    struct idmap recovered;           /* log id -> struct subscription, until its queue claims it */
    struct idmap recovered_producers; /* log id -> struct producers, until its partition does */
    enum err recovery_err; /* the first thing in recovered state that this version cannot read */
    char recovery_text[256];
    struct disk *disk;
    struct jobs
        *jobs; /* the store's; also for reads before the loop starts, and for the protocols */
};

/* Move all of `from` behind the last of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

/* When a timer has to fire for what is due at a Unix time; at most a day away, then it looks again. */
static inline int64_t core_timer_ns(const struct core *core, int64_t due_ms)
{
    const int64_t day_ms = 86400000;
    int64_t left_ms = due_ms - core->wall_ms;
    return core->now_ns + (left_ms < day_ms ? left_ms : day_ms) * 1000000;
}

/* store_owner's functions, in recovery.c. */
extern const struct store_owner recovery_owner;

/* Read the catalog, build its objects, attach them to their logs, drop what nobody owns. */
must_use enum err core_recover(struct core *core);

/* The log with this id at this level, owned. A log that is on disk stays there whatever is asked.
 */
struct log *core_attach_log(struct core *core, uint64_t id, enum log_level level,
                            struct log_owner *owner);
/* What recovery gathered about the log, now the caller's; NULL when there is nothing. */
struct subscription *core_claim_recovered(struct core *core, uint64_t log_id);
/* As above, of a partition's producers, no further than the log goes. */
struct producers *core_claim_producers(struct core *core, const struct log *log);
void recovered_free(struct core *core);

void core_pin(struct core *core, struct chunk *chunk); /* until the turn has ended; references */
/* Delete a log behind this turn's catalog batch. */
void core_condemn_log(struct core *core, struct log *log);
/* The log's high watermark moved: its owner is told at the end of the turn. */
void core_log_moved(struct core *core, struct log *log);

struct ticket catalog_ticket(const struct core *core);
must_use enum err catalog_can_change(const struct core *core);
/* Append this turn's changes; clean a slice. */
void catalog_flush(struct core *core);
must_use enum err catalog_open(struct core *core);
void catalog_free(struct catalog *catalog);

/* Free everything in memory; the store is gone already. */
void topics_free(struct core *core);
void vhosts_free(struct core *core);
void users_free(struct core *core);
void parameters_free(struct core *core);

#endif
