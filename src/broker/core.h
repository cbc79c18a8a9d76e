/*
 * The core: one thread owns all broker state. It is a state machine: a turn begins with the time,
 * takes inputs (by the protocols' core halves), ended jobs and due timers, and ends by staging what
 * must become durable. It makes no system call and reads no clock.
 *
 *   core_turn_begin(core, now)     time for everything in this turn
 *   jobs_poll()                    before the handlers: what has ended, and what waited for it
 *   ... core halves ...            handlers change state, append, write to links
 *   core_turn_end(core)            due timers, deferred work, packed publishes, store_flush()
 *
 * No handler re-enters a module that is on the stack: work caused by work is deferred to the end of
 * the turn or the next one (core_defer). An answer that must not leave before something is durable
 * waits with core_wait().
 */
#ifndef BROKER_CORE_H
#define BROKER_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "base/timers.h"
#include "broker/group_config.h"
#include "log/store.h"

struct broker_setting;
struct rates;
struct session_view;
struct catalog;
struct link;
struct user;
struct vhost;

struct core_config {
    struct store_config store;
    enum log_level durability; /* of topics and durable queues that do not say */
    bool auto_create_topics;
    int32_t default_partitions;
    int64_t topic_message_max_bytes; /* batch limit of topics that do not say: 1048588 */
    int64_t message_max_bytes;       /* an AMQP message's body */
    int64_t consumer_timeout_ms; /* of deliveries that nobody settles; 0: they may take forever */
    int64_t producer_expiration_ms; /* of idempotent producers not heard of; 0: a day */
    int64_t held_max_bytes;         /* of messages that wait to be published; 0: 32 MiB */
    int64_t producers_max;          /* of all partitions together; 0: 100,000 */
    struct group_config groups;     /* zeroed: the defaults */
    /* Of a first start; they and the next outlive the core. NULL: guest, guest, "/". */
    const char *default_user, *default_password, *default_vhost;
    const char *loopback_users; /* separated by commas, or "none"; NULL: guest */
    uint64_t random_seed;
    uint8_t secret[32];  /* for names that nobody may guess: secret.h */
    char cluster_id[32]; /* 22 characters base64url; stored in the data directory */
    int32_t node_id;
    const struct broker_setting *settings; /* to be told to who asks; they outlive the core */
    size_t setting_count;
};

struct core {
    struct core_config config;
    struct store *store;
    struct catalog *catalog;
    struct timers timers;
    struct random random;
    int64_t now_ns;  /* monotonic, of this turn */
    int64_t wall_ms; /* Unix time, of this turn; never goes back within a run */
    struct core_internal *internal;
};

/* Open the store, recover logs, catalog and queues. Blocks. */
must_use enum err core_open(const struct core_config *, struct disk *, struct jobs *,
                            struct core **out);
void core_close(struct core *);   /* commits and writes rows; links must be gone */
void core_abandon(struct core *); /* as a crash would leave things; for tests */

void core_turn_begin(struct core *, int64_t now_ns, int64_t wall_ms);
void core_turn_end(struct core *);
/* When the next turn is needed at the latest. */
int64_t core_next_due(const struct core *);

/* A continuation: ready() is called once, in a later turn or at the end of this one, when the
 * ticket is done at the stage. Embedded in whoever waits; core_wait_cancel() when that goes away
 * first. */
struct wait {
    struct list node;
    struct ticket ticket;
    enum stage stage;
    void (*ready)(struct wait *);
    /* Called instead, if not NULL, when the disk fails: nothing will be committed any more. */
    void (*frozen)(struct wait *);
};
void core_wait(struct core *, struct wait *, struct ticket, enum stage);
void core_wait_cancel(struct wait *);
static inline bool wait_is_pending(const struct wait *w)
{
    return list_is_linked(&w->node);
}

/* Work at the end of this turn (or of the next, when already in that phase); once if called twice.
 */
struct deferred {
    struct list node;
    void (*run)(struct deferred *);
};
void core_defer(struct core *, struct deferred *);
void core_defer_cancel(struct deferred *);

/* Told after every commit (tickets may be done), for those who hold many tickets in order. */
struct progress_watch {
    struct list node;
    void (*progressed)(struct progress_watch *);
};
void core_watch_progress(struct core *, struct progress_watch *); /* once if called twice */
void core_unwatch_progress(struct progress_watch *);

/* The ticket that stands for every change of the catalog made so far: answers about names wait for
 * it, so that nothing is told that a crash could take back. */
struct ticket core_catalog_ticket(const struct core *);

/* What a change of the catalog would be refused with now (E_FROZEN, E_NO_SPACE), or OK. To be asked
 * before queue_create(), exchange_create() and exchange_bind(), which cannot refuse. */
must_use enum err core_catalog_can_change(const struct core *);

/* What a log belongs to: log->owner points at one of these, inside a partition or a queue. */
enum log_owner_kind { OWNER_CATALOG, OWNER_PARTITION, OWNER_QUEUE };
struct log_owner {
    struct list moved; /* in the core's list of logs whose high watermark moved in this turn */
    enum log_owner_kind kind;
};

/* For what takes long. A job that is under way when the core is closed is done later: it must not
 * touch the core then. */
struct jobs *core_jobs(const struct core *);
struct disk *core_disk(const struct core *); /* in jobs only: its calls block */

/* ---- what a protocol keeps for all of its connections ---- */

struct attachment {
    struct list node;
    void (*free)(struct attachment *);
};
/* It is freed with the core, when links are gone and topics are still there. */
void core_attach(struct core *, struct attachment *);
/* The one that is freed by this function; NULL when there is none. */
struct attachment *core_attachment(const struct core *, void (*free)(struct attachment *));

/* ---- sessions: every connection of every protocol ---- */

struct session {
    struct list node;
    struct link *link;    /* NULL only in tests */
    const char *protocol; /* "kafka", "amqp" */
    char *user, *vhost;   /* names; NULL before log-in */
    struct user *account; /* NULL before log-in; may be deleted meanwhile */
    struct list of_user;  /* while it counts as one of the user's */
    struct vhost *place;  /* NULL before it is on a vhost; may be deleted meanwhile */
    struct list of_vhost; /* likewise */
    char *client;         /* what the client calls itself */
    int64_t opened_wall_ms;
    struct core *core;               /* the broker's; also below */
    struct list exclusive_queues;    /* those that die with the session */
    struct rates *rates;             /* of its link; NULL: nobody has asked */
    const struct session_view *view; /* broker/session.h; NULL: there is nothing more to see */
    void (*close)(struct session *, const char *reason); /* asked by management */
};
void session_add(struct core *, struct session *);
void session_log_in(struct session *, struct user *);
/* It counts for the limits of its user and of the vhost from here on. */
void session_enter(struct session *, struct vhost *);
/* Close it, because its user or its vhost goes away: it counts no more. */
void session_evict(struct session *, const char *reason);
/* Frees user, vhost, client. Its exclusive queues are gone before (queue_delete_exclusive()). */
void session_remove(struct session *);
void session_each(struct core *, void (*each)(void *ctx, struct session *), void *ctx);

#endif
