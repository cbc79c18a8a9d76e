/*
 * Topics: a name, an id and partitions; each partition is a log that holds client batches and
 * nothing else. In the catalog; changes are durable when core_catalog_ticket() is done.
 */
#ifndef BROKER_TOPIC_H
#define BROKER_TOPIC_H

#include "base/vec.h"
#include "broker/catalog.h"
#include "broker/config_set.h"
#include "broker/core.h"

struct producers;
struct topic;

struct partition {
    struct topic *topic;
    int32_t index;
    struct log *log;      /* NULL when the topic is deleted */
    struct list watchers; /* of struct partition_watch */
    struct log_owner owner;
    uint64_t log_id;
    struct producers *producers; /* NULL: no idempotent producer is known */
};

struct topic {
    struct bytes name;  /* owned, with a NUL behind */
    struct bytes shape; /* owned: the name with '_' for each '.'; null when there is neither */
    uint8_t id[16];     /* never all zero */
    int32_t partition_count;
    struct partition **partitions;          /* each stays where it is when more are added */
    VEC(struct partition *) partition_rows; /* memory of the partitions, as they were added */
    struct config_set configs;              /* set on the topic */
    /* effective values, derived from configs and the broker's */
    enum log_level level;
    int64_t message_max_bytes;
    bool log_append_time;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    int codec;                /* that batches are stored with, or CODEC_OF_PRODUCER */
    int codec_level;          /* of it, or BATCH_LEVEL_STANDARD */
    struct log_policy policy; /* of all its logs */
    bool
        deleted; /* no longer in the catalog; lives until the turn has ended and no watch is left */
    struct catalog_entry entry;
    struct list graveyard; /* the core's deleted topics that are still referred to */
};

enum { CODEC_OF_PRODUCER = -1 };

/* Kafka's rule: 1-249 of [a-zA-Z0-9._-], not "." or "..". */
bool topic_name_is_legal(struct bytes name);

/* Is it one that the broker keeps for itself: clients may read it, not write or delete it? */
bool topic_name_is_internal(struct bytes name);

struct topic *topic_find(struct core *, struct bytes name);
struct topic *topic_find_id(struct core *, const uint8_t id[16]);
void topic_each(struct core *, void (*each)(void *ctx, struct topic *), void *ctx);
struct partition *topic_partition(struct topic *, int32_t index); /* NULL when out of range */

enum { TOPIC_PARTITIONS_MAX = 10000, TOPICS_PARTITIONS_MAX = 1000000 };

/* Create. Applied at once, answered when core_catalog_ticket() is done. E_EXISTS, E_INVALID (a
 * config: err_text() says which), E_REFUSED (the name: not legal, or too near to another one: '.'
 * and '_' count as the same, KAFKA-2937), E_OUT_OF_RANGE (partitions: less than 1), E_TOO_LARGE
 * (partitions: more than one topic or the broker may have), E_UNSUPPORTED for a known config value
 * that is not built. `validate_only`: check everything, change nothing, *out untouched. */
struct topic_spec {
    struct bytes name;
    int32_t partition_count; /* -1: the broker's default */
    const struct topic_config *configs;
    size_t config_count;
    bool validate_only;
};
must_use enum err topic_create(struct core *, const struct topic_spec *, struct topic **out);
void topic_delete(struct core *, struct topic *);

/* Give the topic `count` partitions in all. As topic_create(); E_OUT_OF_RANGE: not more than there
 * are. E_REFUSED: an internal one. */
must_use enum err topic_grow(struct core *, struct topic *, int32_t count, bool validate_only);

/* The topic's configs are these from now on, in force at once, durable when core_catalog_ticket() is
 * done; `configs` is empty then. With `validate_only`, or on an error, nothing changes. Errors of
 * configs as topic_create(); E_UNSUPPORTED also for another durability. */
must_use enum err topic_alter(struct core *, struct topic *, struct config_set *configs,
                              bool validate_only);

/* Append a producer's batch (already through batch_check_produced() in the framing half, which also
 * verified the checksum). Applies the topic's rules: size, control bit, timestamps, LogAppendTime;
 * and, with a producer id, those of idempotence (broker/producer.h): a batch that is there already is
 * not appended again, and answered as the first time. E_TOO_LARGE, E_MALFORMED, E_OUT_OF_RANGE
 * (timestamp), E_STALE (producer epoch), E_PRECONDITION (sequence), E_FROZEN, E_NO_SPACE. */
must_use enum err partition_append(struct core *, struct partition *, const struct batch *,
                                   int64_t *out_base_offset, int64_t *out_append_time,
                                   struct ticket *out_ticket);

/* Told (in the core, after a commit) when the partition's high watermark moved, or it was deleted
 * (topic->deleted), or its start moved. Stays until removed; may remove itself. */
struct partition_watch {
    struct list node;
    void (*moved)(struct partition_watch *, struct partition *);
};
void partition_watch(struct partition *, struct partition_watch *);
void partition_unwatch(struct partition_watch *);
/* Tell the watches. Whoever moves its start calls it; the rest is told by the core. */
void partition_moved(struct partition *);

#endif
