/*
 * What the sources of src/log share. Everything here lives in the core unless it says "job".
 *
 * store.c     open, close, logs, trim, truncate, delete
 * chunk.c     memory that mirrors newly written bytes
 * tail.c      where the batches lie that are not in segments yet, or still cached
 * append.c    staging: entries into the record that the next commit writes
 * commit.c    commits of the journal, rounds of the direct lane, hw
 * direct.c    which log goes straight to its segments
 * journal.c   journal files and the format of their records
 * table.c     rows: the durable summary of each log
 * recycle.c   making journal files free again: carry forward, rows
 * materialise.c  tails into segments
 * segment.c   segment files: writing, sparse index, finding
 * read.c      peeks and read jobs
 * stretch.c   history as places in files
 * recover.c   from files to logs
 */
#ifndef LOG_STORE_INTERNAL_H
#define LOG_STORE_INTERNAL_H

#include "base/check.h"
#include "base/fifo.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/say.h"
#include "base/timers.h"
#include "log/store.h"

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    CHUNK_BYTES = 1 * MIB,      /* usual size of a chunk */
    RECORD_MAX_BYTES = 4 * MIB, /* a commit record is closed when it has reached this */
    RECORD_ALIGN_BYTES =
        64, /* records begin at multiples of it, those of synced commits mostly at blocks */
    DIRECT_LOGS_MAX = 128,
    INDEX_EVERY_BYTES = 16 * KIB,
    INDEX_ENTRY_BYTES = 32,
    ROW_DELETED = 1, /* row flags */
    ROW_GONE = 2,
};

/* What the disk has to read for so many bytes somewhere in a file, about: whole blocks. */
static inline uint64_t ahead_bytes(uint64_t size)
{
    return size + 4 * KIB;
}

/* Mutants: builds with one rule broken on purpose, which the simulation must notice. */
enum mutant {
    MUTANT_NONE,
    MUTANT_IGNORE_REDO,
    MUTANT_RENEW_EARLY,
    MUTANT_OMIT_LOG,
    MUTANT_UNLINK_EARLY,
    MUTANT_HALF_COMMIT,
    MUTANT_LEAVE_OPEN,
};
#ifndef LOG_MUTANT
#define LOG_MUTANT MUTANT_NONE
#endif

/* ---- chunks ---- */

/* Memory that mirrors a stretch of the journal, of the stream of direct bytes, or of what a read
 * brought. Immutable below `used`. */
struct chunk {
    struct list node;               /* its window, oldest first; or the pool */
    uint64_t address;               /* of data[0] in the window's address space */
    uint32_t first, used, capacity; /* what is below `first` belongs to the chunk before */
    uint32_t refs;
    bool strayed; /* it has left its window, and somebody still holds it */
    uint8_t *data;
    void *block; /* what is to be freed: data lies in it */
    struct store *store;
};

struct chunk *chunk_new(struct store *s, size_t capacity); /* one reference */

/* The newest bytes of an address space. */
struct window {
    struct list chunks; /* oldest first; the last is being filled */
    uint64_t bytes;     /* capacity of all */
    struct chunk
        *found; /* the last time: who goes through old ones finds the next there or close behind */
};

void window_init(struct window *w);
void window_push(struct window *w, struct chunk *c, uint64_t address);
/* The chunk that holds [address, address + size), or NULL when it was evicted. */
struct chunk *window_find(struct window *w, uint64_t address);
void window_clear(struct window *w);

/* ---- tails ---- */

/* One batch that is not (only) in a segment. */
struct tail_entry {
    int64_t base_offset;
    uint64_t
        address; /* of the batch in its window's address space; a struct chunk * for memory logs */
    uint32_t size;
    uint32_t span; /* offsets covered; top bit: control batch */
    int64_t max_timestamp;
    int32_t epoch;
};
enum { TAIL_CONTROL = 1u << 31 };

struct tail_entry tail_entry_of(const struct batch *b, int64_t base, uint64_t address,
                                int32_t epoch);
static inline int64_t tail_entry_end(const struct tail_entry *e)
{
    return e->base_offset + (e->span & ~TAIL_CONTROL);
}

struct tail { /* base/fifo.h, ascending by offset */
    struct tail_entry *items;
    uint32_t first, count, capacity;
    uint64_t bytes;
};

void tail_reset(struct tail *t);
void tail_push(struct tail *t, struct tail_entry e);
void tail_insert(struct tail *t, uint32_t i, struct tail_entry e); /* in front of index i */
void tail_pop_front(struct tail *t);
static inline struct tail_entry *tail_at(const struct tail *t, uint32_t i)
{
    return fifo_at(t, i);
}
/* Something will be pushed soon: among thousands of logs, their last entries are in no cache. */
static inline void tail_prefetch(const struct tail *t)
{
    size_t behind = ((size_t)t->first + t->count) * sizeof *t->items;
    __builtin_prefetch((const void *)((uintptr_t)t->items + behind), 1);
}
/* The first entry that ends above `offset`; t->count if none. */
uint32_t tail_find(const struct tail *t, int64_t offset);
void tail_drop_below(struct tail *t, int64_t offset); /* whole entries */
void tail_cut_above(struct tail *t, int64_t offset);  /* entries that end above it */

/* So many entries of a long tail, up to the offset `end`; those in front may be gone. */
enum { TAIL_BLOCK_ENTRIES = 64 };
struct tail_block {
    int64_t end;
    uint64_t lowest; /* none of its entries has an address below */
};
typedef FIFO(struct tail_block) tail_blocks;

/* What segments have taken over of a log's tail, and memory may still have. */
struct recent {
    struct tail tail;
    struct log_state *log;
    struct list node; /* store->recents */
};

/* ---- segments ---- */

struct index_entry {
    int64_t offset;        /* base offset of a batch */
    uint32_t position;     /* its place in the segment */
    uint32_t crc;          /* its checksum: what lies there must have it */
    int64_t max_timestamp; /* the largest from the start of the segment up to and with it */
};
typedef VEC(struct index_entry) index_entries;

/* A segment's file, open for stretches. */
struct segment_file {
    struct job job; /* closes it */
    struct store *store;
    struct log_state *log; /* stays as long as one of its stretches has not ended */
    struct file *file;
    uint32_t refs;
};

/* ---- logs ---- */

/* A stretch of appended offsets and the write that makes it durable. */
struct piece {
    int64_t end;
    uint64_t number;
    bool direct;
};

struct epoch_start {
    int32_t epoch;
    int64_t offset;
};

/* A log that writes straight to its segments. */
struct direct {
    struct list node; /* store->direct_logs */
    struct log_state *log;
    struct file *open_file; /* what rounds have opened, of segment file_segment */
    int64_t file_segment;   /* -1: none */
    int64_t segment;        /* base offset of the active segment */
    uint64_t position;      /* where the next append goes */
    uint64_t allocated;     /* the file is preallocated up to here */
    int64_t synced_offset; /* what ended rounds have made durable: next offset, segment, position */
    int64_t synced_segment;
    uint64_t synced_position;
    uint64_t really_synced; /* position up to which a sync was asked for and has ended (level os) */
    uint32_t seals;         /* sealed segments that helpers still sync */
    struct tail recent;     /* batches that may still be cached */
    index_entries index;    /* of the active segment */
    uint64_t indexed;       /* position of the newest index entry */
    int64_t max_timestamp;
    int64_t quiet_since_ns;
    int64_t segment_since_ms; /* wall time at which the active segment was begun */
};

/* What a policy needs to know of a log that has data: when to look at it again. */
struct upkeep {
    struct timer look; /* in store->looks; by wall time */
    struct log_state *log;
    bool is_looking;          /* a job does */
    uint64_t appended_bytes;  /* since the last look; from look_at_bytes on, one is due */
    uint64_t look_at_bytes;   /* UINT64_MAX: never */
    int64_t aged_ms;          /* nothing goes by its age before this moment */
    int64_t oldest_file_ms;   /* no segment before it expires; INT64_MIN: not known */
    int64_t active_since_ms;  /* when the first batch behind the last rolled segment came */
    int64_t dirty_due_ms;     /* segments that were not compacted may be by then */
    struct list compact_node; /* store->compact_queue */
    bool compact_failed;      /* until the next restart */
    int64_t planned_to;       /* sealed_to of the newest plan: nothing new, no new plan */
};

/* What a log has that was ever more than batches in the journal: made when the first of it is there. */
struct log_parts {
    struct log_state *log; /* whose they are */
    struct list marking;   /* store->unmarked_logs: a row is wanted soon */
    int64_t row_start;     /* of the newest durable row since there are parts, else 0 */
    int64_t row_sealed_to; /* log_sealed_to() as it has it */
    int64_t
        direct_from;   /* INT64_MAX, or where the direct part begins: segments hold what lies in */
    int64_t direct_to; /* [direct_from, direct_to); INT64_MAX: it is still growing, or none */
    uint64_t direct_address; /* of the DIRECT entry that began the newest one */
    int64_t cut_offset;      /* of the newest TRUNCATE, */
    uint64_t cut_address; /* and where it lies: older entries that reach above the cut are void */
    int64_t segment;      /* base offset of the segment that materialise appends to; -1 none */
    uint64_t position;    /* its valid bytes */
    int64_t segment_max_timestamp; /* the largest in it */
    int64_t segment_since_ms;      /* wall time at which it was begun */
    int64_t first_segment;         /* base offset of the oldest; -1 when there are no files */
    int64_t cleaned_to;            /* compaction has been over everything below */
    uint64_t stored_bytes;         /* of all segments, roughly: for size reports */
    uint64_t unmarked;             /* bytes of its direct part that no row covers */
    struct list *swapping;  /* not NULL: no job may work on its segments; reads that wait for it */
    uint32_t segment_reads; /* reads whose jobs work on its segments */
    int64_t recovered_segment,
        recovered_offset; /* of the row: where direct bytes are known up to */
    uint64_t recovered_position;
    int64_t missing_at;   /* replay met a gap in front of this offset; -1 none */
    int64_t trimmed_to;   /* segments below it were asked to go */
    int64_t read_late_ns; /* somebody last read what memory has no more; 0: nobody */
    uint32_t lent;        /* stretches that were given out and have not ended */
    tail_blocks *blocks;  /* of its tail, as far as somebody searched it; NULL: it was never long */
    struct materialise *materialising;
    struct recent *recent; /* NULL: none */
};

struct log_state {
    struct log log; /* first: a struct log * is a struct log_state * */
    struct store *store;
    const struct log_policy *policy; /* its owner's; NULL: everything is kept */
    struct upkeep *upkeep;           /* when the policy may ever want something of it */
    struct tail tail;                /* batches in the journal, or in memory */
    int64_t stored_to;               /* segments hold what lies below (and is kept) */
    const struct log_parts *parts;   /* those that all share that have none; never NULL */
    VEC_SMALL(struct epoch_start) epochs;
    VEC_SMALL(struct piece) pieces; /* in flight, ascending */
    struct direct *direct;
    uint64_t dirty_from;   /* journal address of the oldest change that no row covers; 0: clean */
    uint64_t redo;         /* replay ignores this log's entries below this journal address */
    struct list dirty;     /* store->dirty, by dirty_from */
    struct list tailed;    /* store->tailed, when the tail is not empty */
    uint64_t touched;      /* commit number that lists it already */
    uint32_t pins;         /* commits, reads and jobs that refer to it */
    bool row_has_part : 1; /* the newest durable row, or the journal, may speak of a direct part */
    bool wants_direct : 1;
    bool stays_in_journal : 1; /* asked by the owner */
    bool moved : 1;            /* of level memory: in store->memory_moved */
    bool deleted : 1, has_row : 1, trimming : 1, unlinked : 1, unsynced : 1;
    uint32_t rate_commits; /* in the current second */
    uint32_t rate_commit;  /* the newest of them, its last digits */
    uint64_t rate_bytes;   /* appended in it */
    int64_t rate_since_ns;
};

/* Of a log's tail, in its order, the entries that lie below an address: what was carried lies above, so they are
 * not its first. Blocks of others are passed over as a whole. Between two calls of tail_search_next() only the
 * entry it gave may be changed. */
struct tail_search {
    const struct tail *tail;
    tail_blocks *blocks; /* the front of the tail; NULL: too short to have any */
    uint64_t below;      /* may be lowered on the way */
    uint64_t others;     /* the lowest address of those passed over, about; never more */
    uint32_t next;       /* index of an entry */
    uint32_t block, block_end;
};
void tail_search_begin(struct tail_search *f, struct log_state *l, uint64_t below);
struct tail_entry *tail_search_next(struct tail_search *f); /* NULL: no more */

/* Its own, to be changed. */
struct log_parts *log_parts(struct log_state *l);
bool log_has_parts(const struct log_state *l);
/* Nothing is appended any more to segments that begin below it. */
int64_t log_sealed_to(const struct log_state *l);
/* The size at which its segments roll. */
uint64_t log_segment_bytes(const struct log_state *l);
/* What is materialised from now on goes into a new segment; the old one is below the start. */
void log_roll(struct log_state *l);
/* Materialise the durable tail, and roll the segment behind it. false: materialising already. */
bool log_seal(struct log_state *l);
/* And by the age that its policy says. */
bool log_segment_is_old(const struct log_state *l, int64_t since_ms);

static inline struct log_state *log_state(struct log *log)
{
    return (struct log_state *)log;
}

/* ---- the journal ---- */

enum journal_file_state {
    JOURNAL_MISSING,   /* the disk had no room for it */
    JOURNAL_WAITING,   /* not made: helpers are about to make older ones free */
    JOURNAL_PREPARING, /* a job makes or renews it */
    JOURNAL_READY,     /* empty, waits for its turn */
    JOURNAL_ACTIVE,    /* the newest record goes here */
    JOURNAL_FULL,      /* holds entries that may still be needed */
};

struct journal_file {
    struct list node; /* store->journal.files, by generation */
    enum journal_file_state state;
    uint32_t slot;       /* names the file */
    uint64_t generation; /* 1, 2, ... over all files */
    uint64_t base;       /* journal address of byte 0 */
    uint64_t size;
    uint64_t used; /* bytes staged into it, header block included */
    uint64_t last_commit;
    struct file *file;   /* by the page cache: made, renewed and read, and written at level os */
    struct file *writer; /* past the page cache, which would dirty more than a commit writes */
    uint32_t readers;
    bool passed;            /* the journal has gone on to the next file */
    bool is_read_ahead;     /* as a whole, in this turn of a file */
    uint64_t records_below; /* (jobs, recovery) as its header says; 0: not said */
};

typedef VEC(struct journal_file *) journal_files;

/* The record that is being staged, or waits for its commit. */
struct staged {
    struct journal_file *file;
    uint64_t address; /* of its header */
    uint64_t size;    /* so far, header included */
    uint32_t entries;
    VEC(struct iovec) parts; /* one for each chunk; the last grows */
    VEC(struct chunk *) chunks;
};

struct commit {
    struct job job;
    struct write_job write; /* instead of `job`: is_one_write() */
    struct store *store;
    uint64_t number;
    VEC(struct staged) records;
    VEC(struct log_state *) logs; /* touched, pinned */
    bool sync;
    journal_files unsynced; /* to be synced behind it; they count as read meanwhile */
    uint64_t known_synced;  /* sequence of a record, by a late sync */
    enum err err;
    char error[256];
    int64_t wrote_bytes;
    uint64_t carried_bytes; /* of what was staged */
};

/* A helper's sync of what no client waits for, of the commits up to `number`. */
struct late_sync {
    struct job job;
    struct store *store;
    journal_files files; /* that they were written to; they count as read meanwhile */
    uint64_t number;
    uint64_t sequence; /* of the newest record of those commits */
    enum err err;
    char error[256];
};

/* One segment's share of a direct round. */
struct direct_write {
    struct log_state *log;
    int64_t segment;
    struct file *file; /* NULL: the job creates the segment and leaves it here */
    uint64_t position, end_position;
    uint64_t allocate_from, allocate_to; /* 0: nothing to allocate */
    int64_t end;                         /* offset behind it */
    bool sync, opened;
    bool seal;           /* the last write of this segment */
    index_entries index; /* with seal: the segment's */
    VEC(struct iovec) parts;
};

struct round {
    struct job job;
    struct store *store;
    uint64_t number;
    VEC(struct direct_write) writes;
    VEC(struct chunk *) chunks;
    enum err err;
    bool stalled; /* for want of space, before anything was written */
    char error[256];
};

struct lane_progress {
    uint64_t staging;      /* number that what is appended now will get */
    uint64_t done;         /* the newest number that has ended: written */
    uint64_t synced;       /* the newest number that is synced */
    uint64_t staged_bytes; /* but for the record that is still open */
    bool promised;         /* `staging` was given out by log_next_ticket() */
    bool promised_sync;    /* to somebody who waits for a sync */
};

struct journal {
    struct list files;
    uint32_t file_count, slot_count;
    uint32_t preparing, missing;         /* files in these states */
    uint64_t generation;                 /* newest given out */
    uint64_t floor;                      /* no new file begins at an address below it */
    uint64_t sequence;                   /* of the newest record (job) */
    uint32_t crc;                        /* of the newest record (job) */
    uint64_t synced_sequence;            /* (job) */
    uint64_t done_sequence;              /* of the newest record of a commit that has ended */
    uint64_t known_synced;               /* sequence of a record, by a late sync */
    uint64_t written_to;                 /* what lies above this address is in memory only */
    struct journal_file *newest_written; /* with the newest commit that has ended */
    uint64_t total_bytes;
    uint64_t max_bytes; /* beyond, files are made free before new ones are made */
};

/* A file's turn. */
enum recycle_phase {
    RECYCLE_IDLE,
    RECYCLE_MOVE,
    RECYCLE_LOAD, /* within MOVE: the file is being read */
    RECYCLE_WAIT,
    RECYCLE_ROWS, /* its rows are due, or on their way */
};

/* The rows of a file's turn, or of a mark beside it. */
enum rows_phase {
    ROWS_IDLE,
    ROWS_CAPTURE,
    ROWS_SYNC,
    ROWS_WRITE,
};

struct recycle {
    enum recycle_phase phase;
    struct journal_file *file; /* the newest of those that will be free */
    struct list *cursor;       /* position in store->tailed during MOVE */
    uint64_t kept_from;        /* address: below it no batch is left where it lies */
    uint64_t free_to;          /* address: durable rows say that nothing below it is needed */
    bool is_releasing;         /* a file below it is being renewed or removed */
    uint32_t materialising;
    uint64_t wait_for;      /* commit number, in WAIT */
    uint64_t carried_bytes; /* of this file, so far */
    uint32_t step_entries;  /* about so many were looked at in this step */
    uint32_t moved;         /* logs whose tails were to leave in this file's turn, so far */
    uint32_t moved_out; /* logs of this file that went to segments although they were small in it */
    uint64_t moved_bytes; /* of this file's turn: of all tails that were to leave */
    uint64_t free_below;  /* address: files below it are made free whether short or not; or 0 */
    struct load *loaded;  /* batches that had to be read */
    enum rows_phase rows_phase;
    bool rows_of_file;            /* else they are a mark */
    uint64_t rows_wait_for;       /* commit number */
    uint64_t rows_wait_for_round; /* the rows' derived state may be ahead of their positions */
    struct write_rows *rows;
    bool mark_wanted;
    bool again;  /* another MOVE is needed */
    bool failed; /* for want of space: given up until there is some */
};

struct doomed {
    struct log_state *log;
    uint64_t number; /* of the commit with its DELETE */
};

struct store {
    struct store_config config;
    struct disk *disk;
    struct jobs *jobs;
    struct store_owner owner;
    struct idmap logs;
    int32_t epoch;
    int64_t now_ns;
    int64_t wall_ms;     /* 0: not told yet */
    struct timers looks; /* of struct upkeep: due_ns is wall time */
    uint32_t surveys;    /* jobs that look at segments for a policy */
    struct list compact_queue;
    struct compaction *compaction; /* under way; one at a time */
    int64_t compact_due_ns;        /* its next slice may run */
    bool stopping;                 /* nothing new is begun */

    struct window journal_window, direct_window;
    uint64_t strayed_bytes; /* of chunks that have left them and are still held */
    struct list pool;       /* spare chunks */
    uint32_t pool_count;
    bool keeps_memory; /* there was a large chunk: process_keep_memory() */

    struct journal journal;
    struct lane_progress journal_lane, direct_lane;
    struct commit *staging;   /* never NULL while open */
    struct commit *in_flight; /* at most one */
    struct round *direct_staging, *direct_in_flight, *direct_stalled;
    uint64_t direct_needs_commit; /* rounds wait until this commit is synced */
    uint64_t direct_address;      /* of the next direct byte in the direct window */

    struct list dirty, tailed, direct_logs, recents;
    uint32_t direct_count;
    uint64_t unmarked_bytes;
    struct list unmarked_logs;
    struct recycle recycle;
    uint64_t carry_bytes; /* config's, or less: the journal is full of small tails */
    uint32_t helpers;     /* helper jobs under way */
    uint32_t reads;       /* log_read()s that are not answered */

    struct list runs; /* of batches found intact: stretch.c */
    size_t run_count, mark_count;

    struct file *table;
    uint32_t table_number;
    uint64_t table_size, table_live_bytes;
    enum err seal_err; /* (helper jobs) a sealed segment could not be synced */

    uint64_t memory_bytes; /* of logs of level memory */
    bool low_memory;       /* and they use nearly all that they get */
    bool over_watermark;   /* the whole process uses more than it should */
    bool frozen, closing;
    char frozen_why[256];
    bool no_space;                    /* a journal file could not be made */
    bool low_space;                   /* less than the reserve is free */
    VEC(struct log_state *) unsynced; /* pinned: written by commits that no sync has followed */
    int64_t unsynced_since_ns;
    uint64_t sync_wanted; /* commits up to this number are synced as soon as they are written */
    struct late_sync *late_sync;          /* by a helper; NULL: none is under way */
    VEC(struct log_state *) wants_direct; /* pinned */
    VEC(struct log_state *) memory_moved; /* logs of level memory that got something this turn */
    int64_t due_ns;
    int64_t space_checked_ns;
    int64_t trimmed_ns;        /* memory, by a look; INT64_MIN: no look has been */
    uint64_t trimmed_bytes;    /* the least that the process was seen to have since */
    bool looking, look_now;    /* at the room on the disk: a job does, or is wanted */
    uint64_t free_bytes;       /* as seen last; UINT64_MAX: not yet */
    uint64_t unseen_bytes;     /* of room that was taken, or will be, since */
    uint64_t preparing_bytes;  /* of journal files that are being made */
    int64_t appended_ns;       /* when something was appended last; 0: nothing yet */
    bool is_settled;           /* the journal is tidied and the cache given back since */
    VEC(struct doomed) doomed; /* deleted logs whose directories still have to go */
};

/* chunk.c */
/* Give back the oldest cached bytes until no more than `bytes` are left. */
void store_evict_to(struct store *s, uint64_t bytes);
void pool_free(struct store *s);

/* append.c */
struct commit *commit_new(struct store *s);
void commit_free(struct commit *c);
/* Write and sync what is staged, in the calling thread: at a start, when no commit is under way. */
must_use enum err commit_at_once(struct store *s);
void stage_close_record(struct store *s);
uint64_t stage_bytes(const struct store *s); /* appended, and with no commit or round yet */
void log_mark_dirty(struct log_state *l, uint64_t address);
/* The newest row speaks of journal bytes that nothing keeps any more: among the first to get a new one,
 * before any journal file is renewed. */
void log_needs_row(struct log_state *l);
void log_note_epoch(struct log_state *l, int32_t epoch, int64_t offset);
void log_drop_epochs(struct log_state *l); /* those that end at or below the start */
void log_tail_changed(struct log_state *l);
/* Journal a small control entry about one log: two numbers, whose meaning is the type's. */
/* Returns its address. */
uint64_t stage_control(struct store *s, uint8_t type, struct log_state *l, int64_t a, uint64_t b);
void stage_data_carried(struct store *s, struct log_state *l, struct bytes batch,
                        struct tail_entry *e);

/* commit.c */
void log_pin(struct log_state *l);
void log_unpin(struct log_state *l);
void store_freeze(struct store *s, enum err err, const char *why);
void log_free(struct log_state *l);
void round_free(struct round *r);
/* Try a round again that had stalled for want of space. */
void round_resume(struct store *s);
/* Everything appended so far shall be synced soon; returns the commit number that it will be with. */
uint64_t store_want_sync(struct store *s);

/* direct.c */
/* Stage a batch whose offsets the log has already taken (they end at log.end). */
void direct_append(struct log_state *l, const struct batch *b, const struct batch_parts *parts);
/* After an append of `size` bytes: should the log become direct? */
void direct_review(struct store *s, struct log_state *l, size_t size);
/* At the end of the turn, so that what log_next_ticket() said in it stays true. */
void direct_enter_wanted(struct store *s);
void direct_prepare_write(struct direct_write *w);
void direct_wrote(struct store *s, struct direct_write *w);
void direct_free(struct direct *d);
/* The direct part ends at `to`. */
void log_close_direct_part(struct log_state *l, int64_t to);
/* When nothing in the journal lies below the direct part any more: segments are whole up to it. */
void log_join_direct_part(struct log_state *l);
/* Bring back logs that have become quiet. */
void direct_tick(struct store *s);

/* journal.c */
enum entry_type {
    ENTRY_PAD = 0,       /* fills up to a block */
    ENTRY_DATA = 1,      /* a batch and the logs that it belongs to */
    ENTRY_START = 2,     /* a: new start offset */
    ENTRY_DIRECT = 3,    /* a: offset from which direct segments go on */
    ENTRY_JOURNALED = 4, /* a: offset from which the journal goes on; b: position in the segment */
    ENTRY_TRUNCATE = 5,  /* a: new end offset; b: epoch */
    ENTRY_DELETE = 6,
    ENTRY_RUN = 7, /* a: epoch of the run that begins, or goes on */
};
enum { ENTRY_CARRIED = 1 }; /* flag of DATA: written before, moved forward */
enum {
    JOURNAL_HEADER_BYTES = 4096,
    JOURNAL_FIRST_ADDRESS = 65536, /* of the very first file: 0 and 1 mean other things */
    RECORD_HEADER_BYTES = 64,
    ENTRY_HEADER_BYTES = 8,
    ENTRY_LOG_BYTES = 16,
    ENTRY_CONTROL_BYTES = ENTRY_HEADER_BYTES + 24,
};
/* Ask for another journal file when few are free; `need`: bytes that it must hold. */
struct journal_file *journal_next_file(struct store *s, uint64_t need);
/* What is staged from now on lies at or above `address`, in new files. */
void journal_skip_to(struct store *s, uint64_t address);
/* So much of a file that is made free had to be carried forward. When it is more than half, small logs
 * hold more than the journal was meant for: it may grow, or every commit pays for the same bytes again.
 * When it may grow no more, the larger ones of them go to segments. */
void journal_note_carried(struct store *s, const struct journal_file *f, uint64_t bytes);
/* Nothing more goes into this file. */
void journal_pass(struct store *s, struct journal_file *f);
struct journal_file *journal_file_at(struct store *s, uint64_t address); /* NULL: none holds it */
struct journal_file *journal_newest_file(const struct store *s); /* that anything was staged into */
void journal_prepare_more(struct store *s);
void journal_prepare_waiting(struct store *s); /* when it need not wait any longer */
/* Put an emptied file behind the newest, with a new generation; or remove it, when there is enough
 * without it. */
void journal_release(struct store *s, struct journal_file *f);
/* The same with a file that nothing was staged into. */
void journal_make_anew(struct store *s, struct journal_file *f);
/* And without a job, at a start. */
must_use enum err journal_make_anew_now(struct store *s, struct journal_file *f);
/* Is an old file to be made free: because few empty ones are left, there are too many, or nobody
 * writes? */
bool journal_wants_free_file(struct store *s);
/* Nobody writes. If little of what the journal holds is still wanted, the next start shall not have
 * to read it all: begin to make its files free. true: that is under way. */
bool journal_tidy(struct store *s);
uint64_t journal_next_bytes(struct store *s); /* of the file that would be made next */
void journal_file_free(struct journal_file *f);
/* At a start without a record: there is a file that the first one fits into. */
must_use enum err journal_make_first(struct store *s);
/* (job) A record that ends at `end` in the file is about to be written: the header says so. */
must_use enum err journal_reach(struct journal_file *f, uint64_t end);
void journal_path(uint32_t slot, char out[32]);
/* (job) Fill in the record's header and checksum chain; then it can be written. */
void journal_seal_record(struct store *s, struct staged *record, bool goes_on);
struct record_header {
    uint32_t crc, prev_crc, epoch, entries;
    uint64_t size, sequence, synced, generation;
    bool goes_on; /* the commit does, in the next record */
};
bool record_header_get(const uint8_t *p, struct record_header *out);
struct journal_file_header {
    uint64_t generation, base, size, records_below;
};
/* E_CORRUPT: no valid header. */
must_use enum err journal_file_header_get(const uint8_t *p, struct journal_file_header *out);
uint64_t journal_free_bytes(const struct store *s);
/* The address behind everything staged: no later entry lies below it. */
uint64_t journal_end_address(const struct store *s);

/* table.c */
void row_encode(struct log_state *l, uint8_t flags, struct text *out);
/* Append rows and their commit mark, sync. (job) */
must_use enum err table_append(struct store *s, struct text *rows);
must_use enum err table_load(struct store *s);

/* space.c */
/* The log's newest row is durable: free what lies below its start, or what a deleted log had. */
void space_after_row(struct store *s, struct log_state *l);
/* A job of its own gives the files' space back; the vector is emptied. */
typedef VEC(struct unnamed_file) unnamed_files;
void space_give_back(struct store *s, unnamed_files *files);
/* Free deleted logs whose DELETE is durable; look how much room the disk has. */
void space_tick(struct store *s);
/* Some seconds after the last append, tidy the journal and then give the cache's memory back. */
void space_settle_when_idle(struct store *s);
void space_note_append(struct store *s, size_t bytes);
bool space_is_uncertain(const struct store *s);
/* A file grows by so much. */
void space_note_file(struct store *s, uint64_t bytes);
/* Is there room for so much more without touching the reserve, as far as one knows? */
bool space_has_room(const struct store *s, uint64_t bytes);
/* The logs of level memory use more or less. */
void space_note_memory(struct store *s);

/* materialise.c */
/* Start writing the log's durable tail into its segments; nothing if that is under way. What lies below
 * `below` has to be; the rest only where it does not touch the reserve. With `seals` the newest segment ends
 * behind it. */
void materialise_log(struct store *s, struct log_state *l, bool seals, uint64_t below);
/* The recycling of a file waits for the log's job. */
void materialise_count_in(struct store *s, struct log_state *l);
/* The log's durable tail has become longer: segments may take it over already. */
void materialise_ahead(struct log_state *l);
/* Is any record in [from, to) still needed? */
bool log_range_is_live(struct store *s, struct log_state *l, int64_t from, int64_t to,
                       offset_ranges *scratch);
/* Forget where batches were cached: all of the log's, or those that no longer are. */
void recent_free(struct recent *r);
void recents_tick(struct store *s);

/* recycle.c */
void recycle_step(struct store *s);
void recycle_released(struct store *s); /* a file was renewed or removed */
void recycle_start_mark(struct store *s);
/* Write a row of this log soon, not only when a journal file is to be renewed. */
void log_wants_row(struct log_state *l);
must_use enum err recycle_everything(struct store *s); /* rows at a clean stop */
void recycle_free(struct store *s);

/* policy.c */
void upkeep_note_append(struct log_state *l, size_t size);
/* A segment was rolled, or the newest row has come: there may be something to do for the policy. */
void upkeep_look_soon(struct log_state *l);
/* Look again at `due_ms` at the latest; INT64_MAX: not for the sake of time. */
void upkeep_look_at(struct log_state *l, int64_t due_ms);
/* Look again when so much has been appended. */
void upkeep_look_after(struct log_state *l, uint64_t bytes);
void upkeep_free(struct log_state *l);
void upkeep_tick(struct store *s);
/* The monotonic time of the next look. */
int64_t upkeep_next_due(const struct store *s);

/* retain.c */
/* Drop what the policy lets go, and say when to look again (upkeep_look_at). */
/* How long at least lies between two looks by time; so long stays also what is too old when it comes,
 * as it does with Kafka, whose looks are five minutes apart. */
int64_t retain_pause_ms(const struct log_policy *p);
void retain_look(struct store *s, struct log_state *l);

/* read.c */
/* A read that waited in log->swapping. */
void read_plan_again(struct list *waiting);

/* stretch.c */
/* Forget the log's runs that end at or below an offset: their files go, or have been replaced. */
void stretch_forget(struct log_state *l, int64_t below);
void stretch_forget_all(struct store *s);

/* read_file.c */
/* (job) The size of a segment that does not grow, and the largest timestamp in it. */
must_use enum err segment_summary(struct store *s, struct log_state *l, int64_t base,
                                  uint64_t *size, int64_t *max_timestamp);

/* compact.c */
/* Look whether the log's active segment should be rolled, and whether it should be compacted. */
void compact_look(struct store *s, struct log_state *l);
void compact_tick(struct store *s);
/* A segment of the log was rolled, or a row of it has become durable. */
void compact_note_rolled(struct log_state *l);
void compact_note_row(struct log_state *l);
/* No segment of the log may be removed now. */
bool compact_holds(const struct log_state *l);
void compact_free(struct store *s);
/* The store is frozen or stops: a pass under way ends, and what waits for it goes on. */
void compact_stop(struct store *s);
/* No read works on the log's segments any more. */
void compact_go_on(struct store *s, struct log_state *l);

/* segment.c */
void log_dir(uint64_t id, char out[40]);
void segment_path(uint64_t id, int64_t base, const char *suffix, char out[64]);
/* Note the batch unless the newest entry is near enough. */
void index_note(index_entries *index, uint64_t *indexed, struct index_entry entry);
bool index_entry_get(const uint8_t *p, struct index_entry *out); /* false: damaged */
/* Instead of what is there; synced. */
must_use enum err index_write(struct disk *d, uint64_t id, int64_t base,
                              const index_entries *index);
/* Behind what is there: for segments that grow by materialising. `sealed`: these were the last. */
must_use enum err index_append(struct disk *d, uint64_t id, int64_t base,
                               const index_entries *index, bool sealed);
typedef VEC(int64_t) segment_bases;
/* Base offsets of the segments in the log's directory, ascending; none when it is missing. */
must_use enum err segment_list(struct disk *d, uint64_t id, segment_bases *out);
/* The segment and its index. */
must_use enum err segment_remove(struct disk *d, uint64_t id, int64_t base);
/* Walk the batches from `position` on; stops at the first that does not fit. Sets where and at
 * which offset it stopped. */
struct segment_scan {
    int64_t next_offset;
    int32_t min_epoch, max_epoch;
    void (*each)(void *ctx, const struct batch *b, uint64_t position);
    void *ctx;
};
must_use enum err segment_scan(struct file *f, uint64_t *position, struct segment_scan *scan);

/* store.c */
/* Take a log out of the map, to be freed with all that it has once its DELETE is durable. */
void store_forget(struct store *s, struct log_state *l);

/* recover.c */
must_use enum err store_recover(struct store *s);

#endif
