/*
 * What compaction makes of one batch: the same batch without the records that are not kept. Offsets,
 * producer, sequence, epoch and codec stay as they are, and so does a batch of which everything stays.
 *
 * A batch with records without a value ("tombstones") that is compacted for the first time gets a
 * delete horizon (KIP-534): attribute bit 6, and the time from which on they may go in the place of
 * the base timestamp, which the records' times are relative to. Pure; any thread.
 */
#ifndef LOG_BATCH_COMPACT_H
#define LOG_BATCH_COMPACT_H

#include "log/batch.h"

struct batch_rules {
    /* Shall the record stay? `may_go`: the horizon of its batch has passed, if it is a tombstone. */
    bool (*keep)(void *ctx, const struct record *r, bool may_go);
    void *ctx;
    int64_t now_ms;
    int64_t delete_retention_ms;
    bool keep_empty;      /* the header stays when no record does: it holds the newest sequence of a
                             producer, or the end of what was compacted */
    size_t inflate_limit; /* bytes of its records */
};

struct batch_compactor { /* memory that is used again; zero it to start */
    struct text inflated, kept, out;
};

void batch_compactor_reset(struct batch_compactor *c);
/* `*out`: b->raw itself when all stays, null when nothing does, else valid until the next call.
 * E_CORRUPT, E_MALFORMED, E_TOO_LARGE, E_UNSUPPORTED: the batch cannot be decoded. */
must_use enum err batch_compact(const struct batch *b, const struct batch_rules *rules,
                                struct batch_compactor *c, struct bytes *out);
/* Only the header of `b`: no records, no codec, no horizon. The bytes lie in `out`. */
struct bytes batch_make_empty(const struct batch *b, struct text *out);

#endif
