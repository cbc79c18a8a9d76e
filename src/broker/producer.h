/*
 * What partitions know about idempotent producers: for each producer id its epoch and its last five
 * batches, so that a batch that is sent again is answered as the first time and nothing is appended
 * twice or out of order. KIP-98, KIP-360; the rules are Kafka's.
 *
 * The state is derived from the log and from nothing else: a batch that was appended is noted, and
 * after a restart the same state is made of what the log's row keeps and of the batches behind it.
 * Losing the start of the log (retention, DeleteRecords) does not touch it, a cut of the end does.
 * A producer without state may begin with any sequence: it may have been forgotten.
 *
 * All producers of all partitions are in one pool, in the order of their last use: those not heard of
 * for a day are forgotten, and the oldest ones also when there are more than the budget. Lives in the
 * core.
 */
#ifndef BROKER_PRODUCER_H
#define BROKER_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "log/batch.h"

enum {
    PRODUCER_BATCHES = 5, /* as many as a client may have in flight */
    PRODUCER_NO_EPOCH = -1,
};

struct producer_batch {
    int64_t last_offset;
    int64_t timestamp; /* the largest of its records, ms */
    int32_t last_sequence;
    int32_t offset_delta; /* last offset - first offset */
};

/* One producer's state in one partition. */
struct producer {
    struct list node; /* the pool's, by last use */
    struct producers *owner;
    int64_t id;
    int64_t used_ms; /* Unix time of the last append; 0: recovered, and not dated yet */
    int16_t epoch;
    uint8_t count;
    struct producer_batch batches[PRODUCER_BATCHES]; /* oldest first */
};

struct producer_pool {
    struct list used; /* of struct producer, longest unused first */
    size_t count, max;
    bool has_undated; /* recovery has left some whose last use it does not know */
};

/* A partition's. */
struct producers {
    struct producer_pool *pool;
    struct idmap by_id;
    int64_t covered; /* every batch below this offset is contained */
};

void producer_pool_init(struct producer_pool *pool, size_t max);
/* After recovery: order by last use, and keep to the budget. */
void producer_pool_sort(struct producer_pool *pool);
/* Forget whoever was not heard of since `before_ms`, at most `limit` of them; date those that
 * recovery could not. Returns how many are gone. */
size_t producer_pool_expire(struct producer_pool *pool, int64_t before_ms, int64_t now_ms,
                            size_t limit);
/* When the one that has not been heard of for longest was; INT64_MAX: there is none. */
int64_t producer_pool_oldest(const struct producer_pool *pool);

struct producers *producers_new(struct producer_pool *pool);
void producers_free(struct producers *p);

/* May this batch of a producer with an id be appended? `p` NULL: nothing is known. E_EXISTS: it is a
 * duplicate, and *out is the first one. E_STALE: a newer epoch was seen. E_PRECONDITION: its
 * sequence does not follow. */
must_use enum err producers_check(const struct producers *p, const struct batch *b,
                                  struct producer_batch *out);
/* It was appended at `base_offset`, with this largest timestamp. */
void producers_note(struct producers *p, const struct batch *b, int64_t base_offset,
                    int64_t timestamp, int64_t now_ms);
/* The log ends at `end` now. */
void producers_cut(struct producers *p, int64_t end);

/* ---- recovery ---- */

/* A batch read back from the log; nothing if it is contained already. */
void producers_replay(struct producers *p, const struct batch *b);
/* Does this derived state of a log begin as producers_put_checkpoint() writes it? */
bool producers_is_checkpoint(struct bytes state);
void producers_put_checkpoint(const struct producers *p, struct text *out);
/* Into an empty one. E_MALFORMED, E_UNSUPPORTED. */
must_use enum err producers_restore(struct producers *p, struct bytes state);

static inline const struct producer_batch *producer_last(const struct producer *producer)
{
    return &producer->batches[producer->count - 1];
}

#endif
