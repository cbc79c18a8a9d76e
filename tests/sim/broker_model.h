/*
 * What a simulated broker must hold: everything that was asked of it, and which of that was answered
 * as durable. broker_check.h compares a recovered broker with it.
 *
 * Time in the catalog is counted in versions: all changes of a turn make one. An object lives from the
 * version that made it to the one that removed it, and a recovered catalog must be exactly one version,
 * not older than the newest that was answered. Messages are numbers that are never used twice.
 */
#ifndef TESTS_SIM_BROKER_MODEL_H
#define TESTS_SIM_BROKER_MODEL_H

#include "base/vec.h"
#include "broker/message.h"
#include "log/store.h"

enum {
    MODEL_QUEUE_NAMES = 9,
    MODEL_EXCHANGE_NAMES = 5, /* the default one, amq.direct, and those that come and go */
    MODEL_KEYS = 4,
    MODEL_TOPIC_NAMES = 3,
    MODEL_ROUTE_MAX = MODEL_QUEUE_NAMES,
    MODEL_NAME_MAX = 32,
    MODEL_TAG_BYTES = 15,
    MODEL_BODY_MIN = 8,
};

struct model_life {
    uint64_t born, died; /* versions of the catalog; died 0: it lives */
};

/* A message in a queue. */
struct model_entry {
    uint64_t number;
    uint32_t size;            /* of the body */
    uint8_t exchange;         /* index of its name */
    uint8_t key;              /* index; without meaning for the default exchange */
    struct ticket ticket;     /* of the publish, in this run */
    int64_t offset;           /* known when it has been delivered, else -1 */
    uint32_t returns;         /* how often it was given back */
    uint32_t returns_durable; /* of that, what is durable */
    uint64_t publish_turn;
    uint64_t settle_turn;    /* when it was settled */
    bool written, confirmed; /* answered at this stage */
    bool synced;             /* a recovery has found it: durable at any level */
    bool taken, out;         /* ever delivered; held by somebody now */
    bool redelivered;        /* whoever gets it next must be told so */
    bool settled, settle_durable;
};

struct model_returned { /* a message that came back for the `times`th time */
    uint64_t number;
    uint32_t times;
};

struct model_queue {
    struct model_life life;
    uint8_t name;
    bool kept; /* in the catalog: durable and not exclusive */
    bool durable, auto_delete, exclusive;
    uint64_t tag; /* in its arguments */
    VEC(struct model_entry) entries;
    size_t first_live;    /* what lies in front is settled */
    int64_t delivered;    /* above the highest offset delivered in this run */
    int64_t mark_durable; /* what was delivered below it comes back as redelivered */
    bool changed;         /* deliveries, settles or returns that are not known to be logged */
    int64_t unlogged_since_ns, overdue_since_ns;
    VEC(struct model_returned) returned; /* of those */
};

struct model_exchange {
    struct model_life life;
    uint8_t name;
    bool durable, auto_delete;
    uint64_t tag;
};

struct model_binding {
    struct model_life life;
    uint32_t exchange, queue; /* indices of objects */
    uint8_t key;
    uint64_t tag;
    bool kept;
};

/* A producer's batch in a partition. */
struct model_batch {
    uint64_t number;
    int64_t base;
    int64_t time_ms;
    int64_t producer; /* -1: none */
    int32_t sequence; /* of the first record */
    int32_t span;
    uint32_t size;
    int16_t epoch;
    bool written, confirmed, synced;
};

struct model_partition {
    uint64_t born; /* the version that added it */
    VEC(struct model_batch) batches;
    int64_t trim_asked, trim_acked; /* DeleteRecords */
    bool vague; /* what is below the start may be lost: nobody knows which producers there were */
};

struct model_topic {
    struct model_life life;
    uint8_t name;
    bool append_time;
    enum log_level level;
    uint64_t tag; /* as a config */
    VEC(struct model_partition) partitions;
};

enum { MODEL_COMMIT_PARTS = 3, MODEL_GROUPS = 3 };

/* A group's commit of offsets: its number is the offset of all its parts. A removal has none. */
struct model_commit {
    uint64_t number;
    uint32_t count;
    struct model_place {
        uint32_t topic;
        int32_t partition;
    } parts[MODEL_COMMIT_PARTS];
    bool removal;
    bool written, confirmed, synced;
};

struct model_group {
    VEC(struct model_commit) commits;
};

/* A publish to several queues in the journal that is not confirmed: all of them have it, or none. */
struct model_publish {
    uint64_t number;
    uint32_t count;
    uint32_t queues[MODEL_ROUTE_MAX];
};

struct model {
    enum log_level level; /* of durable queues */
    uint64_t version, acked_version;
    bool dirty;     /* this turn makes a new version */
    bool comparing; /* everything may have been delivered once more, to compare it */
    uint64_t next_number, next_tag, turn;
    VEC(struct model_queue *) queues;
    VEC(struct model_exchange) exchanges;
    VEC(struct model_binding) bindings;
    VEC(struct model_topic *) topics;
    VEC(struct model_publish) publishes;
    struct model_group groups[MODEL_GROUPS];
    VEC(int64_t) producers; /* ids that clients use */
    int64_t told_producer;  /* the highest producer id that anybody was told; -1 */
};

struct model *model_new(enum log_level level);
struct model *model_clone(const struct model *m);
void model_free(struct model *m); /* accepts NULL */

/* ---- names and contents, all derived from numbers ---- */

/* NUL-terminated into `out`; returned as bytes. */
struct bytes model_queue_name(uint8_t i, char out[MODEL_NAME_MAX]);
struct bytes model_exchange_name(uint8_t i, char out[MODEL_NAME_MAX]);
struct bytes model_topic_name(uint8_t i, char out[MODEL_NAME_MAX]);
struct bytes model_key(uint8_t i, char out[MODEL_NAME_MAX]);
/* A field table {x-tag: tag}, without its size. */
struct bytes model_arguments(uint64_t tag, uint8_t out[MODEL_TAG_BYTES]);

/* Body and properties of a message; valid until the next call. */
struct message model_message(const struct model_entry *e);
/* The number that a body starts with; 0 when it is none. */
uint64_t model_body_number(struct bytes body);
/* Is `m` this message, with all that was published? */
bool model_is_message(const struct model_queue *q, const struct model_entry *e,
                      const struct message *m);
/* The batch of its records, which carry the number; valid until the next call. */
struct bytes model_batch_bytes(const struct model_batch *b);
struct bytes model_group_id(uint8_t i, char out[MODEL_NAME_MAX]);

/* ---- lives ---- */

static inline bool model_lives(struct model_life l)
{
    return l.died == 0;
}

static inline bool model_lived_at(struct model_life l, uint64_t version)
{
    return l.born <= version && (l.died == 0 || version < l.died);
}

/* A life that begins or ends in this turn. `kept`: the catalog changes. */
struct model_life model_born(struct model *m, bool kept);
void model_died(struct model *m, struct model_life *life, bool kept);

/* How many partitions the topic had. */
int32_t model_partition_count(const struct model_topic *t, uint64_t version);

/* The living object with this name, or -1. */
int model_find_queue(const struct model *m, uint8_t name);
int model_find_exchange(const struct model *m, uint8_t name);
int model_find_topic(const struct model *m, uint8_t name);
/* amq.direct is an exchange of the model that lives for ever. */
enum { MODEL_DEFAULT_EXCHANGE = 0, MODEL_AMQ_DIRECT = 1 };

void model_delete_queue(struct model *m, uint32_t queue); /* with its bindings */
void model_delete_exchange(struct model *m, uint32_t exchange);
void model_unbind(struct model *m, uint32_t binding);

/* ---- messages ---- */

struct model_entry *model_find_entry(const struct model_queue *q, uint64_t number); /* or NULL */
/* A publish to these queues was answered at this stage. */
void model_confirm(struct model *m, uint64_t number, const uint32_t *queues, size_t count,
                   enum stage stage);
void model_confirm_batch(struct model *m, uint32_t topic, int32_t partition, uint64_t number,
                         enum stage stage);
/* Sequence numbers begin again behind 2^31 - 1. */
int32_t model_sequence(int32_t sequence, int32_t delta);
/* The producer's newest batch in the partition; NULL: it has none. */
const struct model_batch *model_last_batch(const struct model_partition *p, int64_t producer);
/* What Kafka's rules say to a batch. E_EXISTS: it is a duplicate, of *out. */
enum err model_judge(const struct model_partition *p, const struct model_batch *b,
                     const struct model_batch **out);
/* All that the group committed up to this one was answered, or shown. */
void model_confirm_commits(struct model_group *g, uint64_t number);
/* What the group has committed there when only its first `count` commits count; NULL: nothing. */
const struct model_commit *model_find_commit(const struct model_group *g, size_t count,
                                             struct model_place place);
/* An answer that needs the object to be durable, whatever its own ticket was. */
void model_confirm_life(struct model *m, struct model_life life);
void model_settle(struct model *m, struct model_queue *q, struct model_entry *e);
void model_return(struct model_queue *q, struct model_entry *e);
/* Everything asked is durable: after an orderly close. */
void model_all_durable(struct model *m);

#endif
