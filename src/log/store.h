/*
 * The store: all logs of one disk, their journal and their commits. Lives in the core; blocking
 * work is done by jobs. It knows logs by number and batches by their header, no topic and no queue.
 *
 * A log is a sequence of record batches. Its offsets; start <= hw <= durable <= written <= end for a
 * log of level fsync:
 *
 *   start    the first offset that is kept
 *   hw       high watermark: committed, may be shown
 *   durable  synced (of a log of level os that is direct: written)
 *   written  handed to the operating system
 *   end      appended: the next offset
 *
 * Appends of one turn are staged; store_flush() at the end of the turn hands them to the disk as one
 * commit when none is running, else they gather for the next one. When a commit ends, hw moves and
 * owner->committed() is called once for each log in it, then owner->progressed() once.
 *
 * Where a record lies, oldest first: segments (below `stored_to`), the journal (to `direct_from`),
 * direct segments. Memory holds no truth: the newest bytes are cached in chunks within a budget.
 * docs/formats.md and the heads of journal.c, table.c and segment.c say what is on disk.
 */
#ifndef LOG_STORE_H
#define LOG_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/vec.h"
#include "io/disk.h"
#include "io/jobs.h"
#include "log/batch.h"

struct store;
struct chunk;
struct log;
struct segment_file;

enum log_level { LEVEL_FSYNC, LEVEL_OS, LEVEL_MEMORY };

/* When a commit counts as done for somebody who waits. */
enum stage { STAGE_WRITTEN, STAGE_COMMITTED };

/* Names a point in the stream of commits: store_is_done() says whether it has passed. A zeroed
 * ticket is done. */
struct ticket {
    uint64_t journal; /* commit number of the journal, 0: none */
    uint64_t direct;  /* round number of the direct lane, 0: none */
    uint8_t level;    /* of the log: what STAGE_COMMITTED means */
};

typedef VEC(struct offset_range) offset_ranges;

/* What the store asks of whoever owns the logs. All in the core. */
struct store_owner {
    void *ctx;
    /* Recovery, before store_open() returns: the derived state saved with a log's row, then every
     * batch that derived state can come from (with the control bit, or of a producer with an id)
     * and that the row does not cover, in order. A batch may be one that the state already contains,
     * also one of long ago: applying it again must change nothing. */
    void (*restore)(void *ctx, uint64_t log_id, struct bytes state);
    void (*replay)(void *ctx, uint64_t log_id, const struct batch *batch);
    /* hw moved (from `old_hw`). Once for each log and commit. */
    void (*committed)(void *ctx, struct log *log, int64_t old_hw);
    /* A commit ended: tickets may be done. */
    void (*progressed)(void *ctx);
    /* Write the log's derived state, everything appended so far included, to `out`; nothing if
     * none. */
    void (*checkpoint)(void *ctx, struct log *log, struct text *out);
    /* Append to `out` the ranges within [from, to) whose records are still needed, ascending. */
    void (*live)(void *ctx, struct log *log, int64_t from, int64_t to, offset_ranges *out);
    /* The disk failed: every append is refused from now on (E_FROZEN). */
    void (*frozen)(void *ctx, const char *why);
    /* The log was cut back to `end`, by log_truncate() or its replay: whatever was derived from
     * batches at or above it is void. NULL: no log of this owner is ever cut. */
    void (*cut)(void *ctx, uint64_t log_id, int64_t end);
    /* The log's policy dropped what lies in [old_start, log->start). May be NULL. */
    void (*trimmed)(void *ctx, struct log *log, int64_t old_start);
};

struct log {
    uint64_t id;
    enum log_level level;
    int64_t start, hw, durable, written, end;
    void *owner; /* the owner's own */
};

/*
 * What is kept of a log, as its owner wants it; the names are Kafka's (retention.ms and so on).
 *
 * Retention drops from the front: batches whose largest timestamp is more than retention_ms ago, and
 * the oldest ones as long as retention_bytes are left without them. What is in segments goes by whole
 * segments, what is only in the journal by batches. The start is moved by a logged entry before any
 * file goes; files go as soon as no read needs them (there is no delay as by file.delete.delay.ms).
 *
 * Compaction keeps of each key the newest record, with its offset; a record without a value only for
 * delete_retention_ms after it was first compacted (KIP-534); records without a key always. It leaves
 * alone what was appended less than min_compaction_lag_ms ago, and the active segment: what came
 * since a segment was last ended because it had segment_bytes, or its first batch was segment_ms or
 * max_compaction_lag_ms old. It runs when more than min_dirty_ratio of the other bytes was never
 * compacted, or some of it for longer than max_compaction_lag_ms.
 *
 * Neither for logs of level memory, but retention.
 */
struct log_policy {
    bool drop, compact;      /* cleanup.policy: delete, compact; neither: all is kept */
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* -1: all */
    int64_t segment_bytes;   /* at most the store's own limit counts */
    int64_t segment_ms;
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms; /* INT64_MAX: none */
    int64_t delete_retention_ms;
    double min_dirty_ratio; /* 0 to 1 */
};

struct store_config {
    uint64_t journal_max_bytes;   /* of all journal files together; they grow to it by load */
    uint64_t journal_first_bytes; /* size of the first file; each further one doubles, up to: */
    uint64_t journal_file_bytes;
    uint64_t carry_bytes;       /* a log's tail up to this is carried forward, above materialised */
    uint64_t materialise_bytes; /* a tail of this size is, before its journal file is needed */
    uint64_t part_bytes;        /* by one job; the rest of a longer tail follows */
    uint64_t piece_bytes;       /* the disk is given at once of that: commits wait behind it */
    uint64_t direct_append_bytes; /* one append of this size makes a log direct */
    uint64_t direct_commit_bytes; /* so does this average for each commit, */
    uint64_t direct_os_bytes;     /* or this one at level os */
    uint64_t allocate_bytes;      /* direct segments are preallocated in steps of this */
    uint64_t unmarked_max_bytes;  /* direct bytes that no row covers: recovery reads them */
    uint64_t segment_bytes;       /* roll a segment at this size */
    uint64_t cache_bytes;         /* chunks of newest bytes kept in memory */
    uint64_t memory_level_bytes;  /* all logs of level memory together; beyond: E_NO_MEMORY */
    uint64_t backlog_bytes;       /* staged and not yet written: beyond, store_is_behind() */
    uint64_t reserve_bytes;       /* appends are refused when the disk has less free than this */
    uint64_t watermark_bytes;     /* of the process's memory, see below; 0: none */
    uint64_t compact_map_bytes;   /* keys of one pass of compaction */
    uint64_t compact_bytes_per_s; /* what it reads and writes */
    bool accept_loss;             /* open although the journal is damaged below a synced point */
};

void store_config_default(struct store_config *c);

/* Open or create the store in `disk`'s root and recover. Blocks; before the loop. E_CORRUPT: damage
 * below what is known to have been synced. E_LOCKED comes from the disk. */
must_use enum err store_open(const struct store_config *, struct disk *, struct jobs *,
                             const struct store_owner *, struct store **out);
/* Wait for the jobs, write rows, close. Nothing staged is lost: it is committed first. */
void store_close(struct store *);
/* Free memory only, as a crash would leave things; for tests. */
void store_abandon(struct store *);

int32_t store_epoch(const struct store *); /* of this run: the leader epoch of what it appends */

/* The log with this id, made (empty, at offset 0) if there is none; ids are never reused by the
 * owner. The level of a log that has ever been on disk cannot change to or from memory. */
struct log *store_log(struct store *, uint64_t id, enum log_level level);
/* NULL if there is none. */
struct log *store_find(struct store *, uint64_t id);
/* Every log that recovery found. */
void store_each(struct store *, void (*each)(void *ctx, struct log *log), void *ctx);

/* Never write this log's batches straight to a segment, however large: what is appended to it in a
 * turn is then in the same commit as, and in order with, all that other logs get in the journal. */
void log_stay_in_journal(struct log *);

/* Append one whole batch (v2, checksum right): copied, stamped with offset and epoch. Its offsets
 * are [log->end before, log->end after). E_FROZEN, E_NO_SPACE, E_NO_MEMORY: nothing was appended.
 */
must_use enum err log_append(struct log *, struct bytes batch, struct ticket *out);
/* One batch into several logs, stored once and atomic: all or none. Logs of level memory may be
 * among them. */
must_use enum err log_append_many(struct log *const *logs, size_t count, struct batch_parts batch,
                                  struct ticket *out);
/* The ticket that an append to the log would get now, in this turn. Also the barrier ticket: when
 * it is done, all that was appended to the log before this call is committed. */
struct ticket log_next_ticket(struct log *);
/* The ticket of what was appended last: done at once when nothing of the log is in flight. */
struct ticket log_last_ticket(const struct log *);
/* What an append of this size would be refused with now, or OK. */
must_use enum err log_can_append(const struct log *, size_t size_bytes);
/* Drop what lies below `offset` (at most the end). With `out`: by a journal entry, so that it stays
 * dropped when the ticket is done, also if it was dropped a moment ago. Without: derived from the owner's own state (a queue's
 * settles); memory and files are freed when the next row says so. */
void log_trim(struct log *, int64_t offset, struct ticket *out);
/* Cut the end back to `offset` (start <= offset < end) under a new leader epoch. */
must_use enum err log_truncate(struct log *, int64_t offset, int32_t epoch, struct ticket *out);
/* Forget the log and free its space; `log` is invalid after the call. Reads under way end with
 * E_CLOSED. */
void log_delete(struct log *, struct ticket *out);

/* The log follows this policy from now on; NULL: everything is kept. Borrowed: one for all logs of a
 * topic, alive until they are deleted or have another. After changing what it says, call this again
 * for each of them. */
void log_set_policy(struct log *, const struct log_policy *);

/* The time of this turn, monotonic: for rates and for what is paced. */
void store_set_time(struct store *, int64_t now_ns);
/* Unix time of this turn, ms: for what policies say. Until it was told once, no policy has effect. */
void store_set_wall_time(struct store *, int64_t now_ms);
/* End of the turn: start the next commit if the disk is free. */
void store_flush(struct store *);
/* Paced work: freeing, recycling, reviewing modes. Call when `store_next_due()` has passed. */
void store_tick(struct store *, int64_t now_ns);
int64_t store_next_due(const struct store *);

bool store_is_done(const struct store *, struct ticket t, enum stage stage);
/* More is staged than the disk takes: stop reading sockets. */
bool store_is_behind(const struct store *);
/* Less than the reserve is left on the disk: appends are refused, as a publisher should be told. */
bool store_is_low_on_disk(const struct store *);
/* Logs of level memory have used nearly all that they get, or the process uses more memory than the
 * watermark says. Nothing is refused for the latter: who publishes should be held back. */
bool store_is_low_on_memory(const struct store *);
/* Other limits, in force at once. `used_bytes`: what the process uses now. */
void store_set_reserve(struct store *, uint64_t bytes);
void store_set_watermark(struct store *, uint64_t bytes, uint64_t used_bytes);
uint64_t store_reserve_bytes(const struct store *);
uint64_t store_watermark_bytes(const struct store *);
bool store_is_frozen(const struct store *);
/* Add the need of `b` to `a`: done when both are. */
void ticket_join(struct ticket *a, struct ticket b);

/* ---- reading ---- */

/* One batch as it lies in memory. Its own base offset and epoch fields may be another log's: these
 * two count. */
struct log_batch {
    int64_t base_offset;
    int32_t epoch;
    struct bytes raw;
    struct chunk *chunk; /* holds raw; chunk_ref() to keep it beyond this turn */
};

/* The offset behind it. */
static inline int64_t log_batch_end(const struct log_batch *b)
{
    enum { LAST_OFFSET_DELTA = 23 };
    return b->base_offset + (int32_t)get_u32(b->raw.data + LAST_OFFSET_DELTA) + 1;
}

void chunk_ref(struct chunk *); /* core only */
void chunk_unref(struct chunk *);

/* The batches from the one that holds `from` (or the next behind a hole), below `limit` (at most
 * log->hw for what is shown), as far as they are in memory; at least one if any is, then no more
 * than `max_bytes` in all. OK with *count 0: nothing there (from == limit, or only holes). E_COLD:
 * the first one is not in memory, use log_read(). E_OUT_OF_RANGE: below start or above end. */
must_use enum err log_peek(struct log *, int64_t from, int64_t limit, size_t max_bytes,
                           struct log_batch *out, size_t capacity, size_t *count);

enum log_read_kind {
    READ_FROM,     /* from the batch that holds `from` */
    READ_AT_TIME,  /* the first batch with max timestamp >= `timestamp`; from offset `from` on */
    READ_MAX_TIME, /* the batch with the largest max timestamp */
};

enum { LOG_READ_BATCHES = 256 };

/* A read that may have to go to a file. Allocated by the caller, zeroed; lives until done(). */
struct log_read {
    enum log_read_kind kind;
    int64_t from, limit; /* offsets, as in log_peek() */
    int64_t timestamp;   /* ms */
    size_t max_bytes;
    bool may_come_again; /* READ_FROM: log_stretch() may be asked for the same batches later */
    void (*done)(struct log_read *); /* in the core, in a later turn */
    void *ctx;
    /* the answer */
    enum err err; /* E_CLOSED: the log was deleted; E_CORRUPT, E_IO: with a log line */
    struct log_batch batches[LOG_READ_BATCHES]; /* valid until log_read_end() */
    size_t count;                               /* 0: nothing there */
    struct log_read_internal *internal;
};

void log_read(struct log *, struct log_read *);
/* Give the answer's memory back. */
void log_read_end(struct log_read *);

/* Batches as they lie in a file, one behind the other, each with the right base offset and epoch. */
struct log_stretch {
    struct segment_file *holder; /* keeps the file open: log_stretch_end() */
    struct file *file;
    uint64_t position;
    size_t size;
    int64_t end; /* offset behind them, and behind the hole that may follow */
};

/* The batches that log_peek() would give if it did not say E_COLD and had no capacity to mind, when
 * they were found intact by a read with may_come_again in this run and are in the system's cache.
 * Never waits for the disk. E_COLD: that is not so, use log_read(). */
must_use enum err log_stretch(struct log *, int64_t from, int64_t limit, size_t max_bytes,
                              struct log_stretch *out);
void log_stretch_end(struct segment_file *); /* core only; accepts NULL */

/* Bytes that the log keeps on disk and in the journal, for DescribeLogDirs and limits. */
uint64_t log_size_bytes(const struct log *);
/* The end offset of `epoch` (KIP-101): the start offset of the next epoch, or `end`; -1 unknown.
 * *out_epoch is the largest known epoch <= `epoch`; `epoch` itself when it is below all known ones:
 * the answer is where these begin then. */
int64_t log_epoch_end(const struct log *, int32_t epoch, int32_t *out_epoch);
int32_t log_last_epoch(const struct log *); /* -1 when empty */
/* The epoch in which the record at `offset` was appended, or would have been; -1 unknown. */
int32_t log_epoch_at(const struct log *log, int64_t offset);

struct store_stats {
    uint64_t logs, journal_bytes, journal_files, cached_bytes, memory_level_bytes, staged_bytes;
    uint64_t direct_logs, unmarked_direct_bytes;
};
void store_stats(const struct store *, struct store_stats *out);

#endif
