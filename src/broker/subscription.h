/*
 * The delivery-state engine: which records of a log are ready, taken or done. It knows offsets
 * only, no protocol and no log; a queue feeds it the high watermark and writes what it has to log.
 *
 *   floor <= next <= visible
 *   below floor       done
 *   [floor, next)     done, or returned (ready again), or taken: whatever is neither is taken
 *   [next, visible)   done, or ready and not yet taken in this run
 *   from visible on   not committed; the own control batches there are holes, done already
 *
 * So there is no structure for a ready record, and none for a record that is taken for the first
 * time; memory grows with what is settled out of order, returned.
 * Ready records are taken in offset order; a returned record takes its old place. The number of a
 * delivery is 1 + how often the record came back, which tells a late settle from a current one. All
 * costs are O(1) or logarithmic in the number of runs.
 *
 * What changes is gathered as ranges and written by subscription_put_changes() into one control
 * batch a commit; settles are logged, not awaited. Recovery applies a checkpoint and the control
 * batches behind it; applying one twice changes nothing. After recovery everything not done is
 * ready, with redelivered set below the logged delivered-up-to mark.
 *
 * Formats: at the head of subscription_record.c.
 */
#ifndef BROKER_SUBSCRIPTION_H
#define BROKER_SUBSCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "broker/return_counts.h"
#include "log/batch.h"

enum {
    DELIVERY_NUMBER_MAX = INT32_MAX, /* further deliveries of the same record share it */
};

/* What was settled out of order, came back, or is to be logged: made when the first of it is there. */
struct subscription_sets {
    uint64_t done_ahead;        /* done offsets in [next, visible) */
    struct offset_set done;     /* from floor on; lower members are left over and mean nothing */
    int64_t swept;              /* `done` has no member below */
    struct offset_set returned; /* ready again, all below next */
    uint64_t returned_count;
    struct return_counts returns; /* how often each came back that is not done */
    offset_ranges settled_changes;
    offset_ranges settled_spans; /* of what is done in these some was settled */
    VEC(struct return_run) returned_changes;
};

struct subscription {
    int64_t floor, next, visible;
    int64_t delivered;         /* mark: below it every record was taken once or is done */
    int64_t redelivered_below; /* the mark that the last run left */
    uint64_t taken;
    int64_t logged_mark;
    const struct subscription_sets *sets; /* those that all share that have none; never NULL */
    bool keeps_log;                       /* false: in memory only, nothing is gathered */
};

struct subscription *subscription_new(void);
void subscription_free(struct subscription *s); /* accepts NULL */

/* ---- following the log ---- */

/* Begin a run: the log holds [start, end), all of it committed. What recovery put in is cut to
 * that. keeps_log: changes are gathered for the log. */
void subscription_start(struct subscription *s, int64_t start, int64_t end, bool keeps_log);
/* The high watermark moved: what lies below it may be taken. */
void subscription_extend(struct subscription *s, int64_t visible);
/* [from, to) holds no message (a control batch); at or above `visible`. */
void subscription_hole(struct subscription *s, int64_t from, int64_t to);

/* ---- taking and settling ---- */

static inline uint64_t subscription_ready_count(const struct subscription *s)
{
    return (uint64_t)(s->visible - s->next) - s->sets->done_ahead + s->sets->returned_count;
}

bool subscription_is_ready(const struct subscription *s, int64_t offset);
bool subscription_is_out(const struct subscription *s, int64_t offset); /* taken */
bool subscription_is_done(const struct subscription *s, int64_t offset);
/* The lowest ready offset, or -1. */
int64_t subscription_head(const struct subscription *s);
struct taking {
    uint32_t number;
    bool redelivered;
};
/* Take a ready record. One that is not the head leaves those before it as if they had come back, so
 * after a crash they are marked as redelivered. */
struct taking subscription_take(struct subscription *s, int64_t offset);
/* Is this delivery out? */
bool subscription_is_taken(const struct subscription *s, int64_t offset, uint32_t number);
/* false: this delivery is not out (any more): nothing changed. */
bool subscription_settle(struct subscription *s, int64_t offset, uint32_t number);
/* The same of `count` at once: first, first + stride, ..., all of them out as the delivery of this
 * number. false: that cannot be done in one go, and nothing changed. */
bool subscription_settle_all(struct subscription *s, int64_t first, int64_t stride, uint32_t count,
                             uint32_t number);
bool subscription_return(struct subscription *s, int64_t offset, uint32_t number);
/* The same of [from, to) at once. false: not all of them are out as the delivery of this number, and
 * nothing changed. */
bool subscription_return_all(struct subscription *s, int64_t from, int64_t to, uint32_t number);
/* Settle what is ready in [from, to); what is taken stays with its holder. Returns how many. */
uint64_t subscription_settle_ready(struct subscription *s, int64_t from, int64_t to);
/* Append the ranges within [from, to) that are not done. */
void subscription_live(const struct subscription *s, int64_t from, int64_t to, offset_ranges *out);

/* ---- what is logged ---- */

/* Settles or returns that no control batch holds yet. */
static inline bool subscription_has_changes(const struct subscription *s)
{
    return s->sets->settled_changes.count > 0 || s->sets->settled_spans.count > 0 ||
           s->sets->returned_changes.count > 0;
}

/* The mark is ahead of the logged one and tells about records that are not done. */
static inline bool subscription_mark_is_behind(const struct subscription *s)
{
    return s->keeps_log && s->delivered > s->logged_mark && s->delivered > s->floor;
}

/* Start `b` and put a control batch's record with all changes into it. */
void subscription_put_changes(struct subscription *s, struct batch_builder *b, struct text *scratch,
                              int64_t now_ms);
/* They are in the log now. */
void subscription_changes_logged(struct subscription *s);

/* ---- recovery ---- */

/* A control batch of the log; others than a subscription's are ignored, but leave a hole.
 * E_MALFORMED, E_UNSUPPORTED (a newer version). */
must_use enum err subscription_replay(struct subscription *s, const struct batch *control);
void subscription_put_checkpoint(const struct subscription *s, struct text *out);
/* Into a new subscription. */
must_use enum err subscription_restore(struct subscription *s, struct bytes checkpoint);

/* For subscription_record.c: settle during recovery; note that records came back. */
struct subscription_sets *subscription_sets(struct subscription *s); /* its own, to be changed */
void subscription_recover_done(struct subscription *s, int64_t from, int64_t to);
void subscription_recover_return(struct subscription *s, int64_t from, int64_t to, uint32_t number);

#endif
