/*
 * When messages of a log are due: those that expire, and those that wait for their time. Pure: times and
 * offsets only. What is due soon is in memory; of the rest the log is the index.
 *
 *   near    entries {due, offsets} due before the horizon, in buckets by the highest bit in which their
 *           time differs from now (a radix heap): to add one costs a push, time that passes moves each
 *           entry down some buckets. Neighbours with one due time are one entry.
 *   blocks  for each 65,536 offsets the earliest time from the horizon on; such messages are found by
 *           reading the block again. 16 bytes a block.
 *
 * As long as all indexes together have no more than DUE_NEAR_MAX entries there is no horizon. Then the
 * later half of an index goes, which sets its horizon; when the earlier half has become few, the blocks
 * are scanned for the next half (due_index_scan()). So memory is bounded, and a message is read again
 * at most once for each half-million that are due before it. After a start all blocks are unknown: the
 * same scan finds what is due.
 *
 * An entry is a hint where to look: who takes it asks whether the record is still there. Entries of
 * records that are done are swept out by and by.
 */
#ifndef BROKER_DUE_INDEX_H
#define BROKER_DUE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"

enum {
    DUE_BUCKETS = 45,
    DUE_COUNT_MAX = (1 << 20) - 1,
    DUE_BLOCK_OFFSETS = 1 << 16,
    DUE_NEAR_MAX = 1 << 19, /* entries, of all indexes of the broker */
    DUE_NEAR_MIN = 4096,    /* what an index may have in any case */
};

#define DUE_MS_MAX ((INT64_C(1) << 44) - 1) /* in the year 2527 */

struct due_entry {
    uint64_t due_ms : 44;
    uint64_t count : 20; /* offsets, from `from` on */
    int64_t from;
};
typedef VEC(struct due_entry) due_list;

struct due_block {
    int64_t due_ms;    /* the earliest beyond the horizon; INT64_MAX: none */
    int64_t before_ms; /* the same, of what a scan has still to look at */
};

struct due_budget {    /* of all indexes that share it */
    size_t count, max; /* entries */
};

struct due_index {
    struct due_budget *budget;
    size_t count;
    size_t spill_at; /* do not look again for what to leave to the blocks, below this count */
    int64_t last_ms; /* the time that the buckets are sorted by */
    due_list buckets[DUE_BUCKETS];
    due_list opening; /* a bucket that is being sorted into lower ones, from `opened` on */
    size_t opened;
    due_list ripe; /* due, from `taken` on */
    size_t taken;
    int64_t horizon_ms; /* near has all that is due before; INT64_MAX: all */
    int64_t first_block;
    VEC(struct due_block) blocks;
    bool is_scanning;
    int64_t scan_at, scan_end; /* offsets */
    int64_t scan_from_ms;      /* what is due before is in `near` */
    size_t kept;               /* entries when the last scan ended, or the last spill */
    int sweep_bucket;
    size_t sweep_at;
};

void due_index_init(struct due_index *ix, struct due_budget *budget);
void due_index_reset(struct due_index *ix);

/* The record will be due. Offsets of calls ascend, but for those of due_index_again(). */
void due_index_add(struct due_index *ix, int64_t offset, int64_t due_ms);
/* A record that came back when its entry was gone already. */
void due_index_again(struct due_index *ix, int64_t offset, int64_t due_ms);
/* Take up to `max` entries that are due, in order of time and offset; how many there were. */
size_t due_index_take(struct due_index *ix, int64_t now_ms, struct due_entry *out, size_t max);
/* When there is something to take or a scan to begin, Unix ms; INT64_MAX: never. */
int64_t due_index_next(const struct due_index *ix, int64_t now_ms);
/* Drop some entries of which is_done() says so. */
void due_index_sweep(struct due_index *ix, size_t entries,
                     bool (*is_done)(const void *ctx, int64_t offset), const void *ctx);

/* ---- scanning the log ---- */

/* Nothing is known of the records in [from, to). */
void due_index_unknown(struct due_index *ix, int64_t from, int64_t to);
/* What is to be read next, if anything: report what is found in [*out_from, *out_to), then how far it
 * was looked at. All that the log has lies in [floor, end), and what lies below `end` was added. */
bool due_index_scan(struct due_index *ix, int64_t now_ms, int64_t floor, int64_t end,
                    int64_t *out_from, int64_t *out_to);
void due_index_found(struct due_index *ix, int64_t offset, int64_t due_ms);
void due_index_scanned(struct due_index *ix, int64_t to);

void due_index_check(const struct due_index *ix);

#endif
