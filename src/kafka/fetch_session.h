/*
 * What a fetch asks for: a set of partitions, each with an offset. The set is the request's own, or
 * it is a session (KIP-227), which the next requests change and read again, so that a consumer of
 * 10,000 partitions names and is told only what changed.
 *
 * A partition of a session is *lively* when there may be something to tell of it: records, an error,
 * a changed end, or a question not looked at yet. The others are quiet, in no list, and have a watch
 * on their partition, which makes them lively again. So a request costs time for lively partitions
 * only, and a commit costs time once for each session that has a partition in it.
 *
 * Sessions live in a cache of bounded size, of all listeners together. When it is full, a new one
 * takes the place of, in this order: one whose connection is gone; one that was not used for two
 * minutes; the smallest that is older than two minutes and smaller than the new one. Else the
 * client is told that there is no session (id 0), and goes on with full requests.
 *
 * Lives in the core.
 */
#ifndef KAFKA_FETCH_SESSION_H
#define KAFKA_FETCH_SESSION_H

#include "base/map.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/kafka_messages.h"

enum {
    FETCH_SESSION_SLOTS = 1000,   /* Kafka's max.incremental.fetch.session.cache.slots */
    FETCH_SESSION_PARTS = 262144, /* of all sessions: some 40 MB */
    FETCH_SESSION_STALE_S = 120,
};

struct fetch;
struct fetch_set;

struct fetch_topic {
    struct bytes name;  /* null: asked for by an id that was never known */
    struct uuid id;     /* zero: asked for by name */
    struct idmap parts; /* of a session, by index */
};

struct fetch_part {
    struct partition_watch watch;
    struct list node; /* set->lively, or a list of the fetch at work */
    struct fetch_set *set;
    struct fetch_topic *topic;
    struct partition *partition; /* NULL: not looked for yet, or there is none */
    int64_t offset;
    int64_t told_hw, told_start;       /* -1: to be told */
    int64_t counted_to, counted_bytes; /* by the fetch at work */
    int32_t index, max_bytes;
    int32_t leader_epoch, last_epoch; /* -1: not said */
};

struct fetch_set {
    struct list lively;
    size_t part_count;
    struct fetch *fetch; /* at work on it */
    struct arena *arena; /* a request's own set: its memory */
    bool by_id;
    /* of a session */
    int32_t id; /* 0: not in the cache, or not any more */
    int32_t epoch;
    struct map topics; /* by name or id */
    int64_t opened_ns, used_ns;
    struct list node;            /* least recently used first, or the orphans */
    struct list connection_node; /* with others that the same connection used last */
    struct fetch_sessions *sessions;
};

/* ---- a request's own set ---- */

void fetch_set_init(struct fetch_set *set, bool by_id, struct arena *arena);
/* Take the request's words for what a part of the set asks for. */
void fetch_part_ask(struct fetch_part *p, const struct kafka_fetch_request_partition *asked);
/* Find the partition; false when there is none. */
bool fetch_part_resolve(struct fetch_part *p, struct core *core);

/* ---- sessions ---- */

/* NULL when there is no room for one with `part_count` partitions. `slots` 0: as many as Kafka. */
struct fetch_set *fetch_session_open(struct core *core, bool by_id, size_t part_count,
                                     uint32_t slots);
struct fetch_set *fetch_session_find(struct core *core, int32_t id); /* NULL: there is none */
/* Out of the cache. It is freed when the fetch at work on it, if any, has let go. */
void fetch_session_close(struct fetch_set *set);
/* The fetch at work on it has ended. */
void fetch_session_let_go(struct fetch_set *set);
/* Used now, by a connection with this list of sessions. */
void fetch_session_use(struct fetch_set *set, struct list *connection_sessions, int64_t now_ns);
/* Their connection is gone. */
void fetch_sessions_orphan(struct list *connection_sessions);

/* Add or change a partition; it is lively then. False when all sessions have too many. */
bool fetch_session_put(struct fetch_set *set, const struct kafka_fetch_request_topic *topic,
                       const struct kafka_fetch_request_partition *asked);
void fetch_session_forget(struct fetch_set *set,
                          const struct kafka_fetch_request_forgotten_topic *);

size_t fetch_session_count(const struct core *core);

#endif
