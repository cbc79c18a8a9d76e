/* What compact.c (core: when and in what order) and compact_file.c (jobs: files) share. */
#ifndef LOG_COMPACT_INTERNAL_H
#define LOG_COMPACT_INTERNAL_H

#include "log/batch_compact.h"
#include "log/key_map.h"
#include "log/store_internal.h"

enum compact_phase {
    COMPACT_PLAN,    /* how much is dirty, and is it time? */
    COMPACT_MAP,     /* read what is dirty: the newest offset of each key */
    COMPACT_REWRITE, /* copy a group of segments into one new file, without what is superseded */
    COMPACT_WAIT,    /* for reads that work on the log's segments */
    COMPACT_SWAP,    /* the new file takes the place of the group */
    COMPACT_END,
};

/* One segment after the other, batch by batch, from a window that is read ahead. */
struct walker {
    struct file *file;
    uint64_t position, size;
    struct text window; /* of the file, from window_at on */
    uint64_t window_at;
};

/* One pass over one log. While its job runs, all but `phase` belongs to the job. */
struct compaction {
    struct job job;
    struct store *store;
    struct log_state *log; /* pinned */
    enum compact_phase phase;
    bool is_running;  /* the job of a slice */
    bool holds_files; /* no segment of the log may be removed meanwhile */
    struct list waiting_reads;
    /* what it is to do */
    struct log_policy policy; /* as it was at the start: the owner's may go */
    int64_t now_ms, start;
    int64_t sealed_to; /* a durable row says that nothing grows below it */
    int64_t cleaned_to;
    uint64_t segment_bytes, stored_bytes;
    /* the plan */
    bool is_wanted;
    int64_t to;     /* the pass reads no further */
    int64_t due_ms; /* not wanted: but by then it may be */
    /* the map */
    struct key_map keys;
    struct idmap producers; /* id to base offset of its newest batch, plus 1 */
    int64_t map_to;         /* keys below it are in the map */
    bool is_mapped;
    /* walking */
    segment_bases bases; /* of the phase, or of the group */
    size_t next_base;    /* index in bases */
    struct walker walker;
    int64_t next_offset; /* batches that end below it were met already */
    struct batch_compactor compactor;
    /* the group */
    int64_t group_from; /* the next group begins with the first segment at or above it */
    int64_t group_base, group_end;
    uint64_t group_bytes;
    struct file *out;
    uint64_t out_bytes; /* written and to be written */
    struct text pending;
    index_entries index;
    uint64_t indexed;
    int64_t max_timestamp;
    bool is_changed;
    struct batch last; /* the newest that was met, without its bytes; */
    bool last_is_dropped;
    unnamed_files old; /* of the group, once they are replaced */
    /* of the slice */
    uint64_t slice_bytes;
    bool is_done; /* the phase is over */
    enum err err;
    char error[256];
};

/* (job) One slice of the phase. */
void compact_run(struct job *job);
void compaction_free(struct compaction *c);

#endif
