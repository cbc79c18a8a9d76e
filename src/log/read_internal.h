/* What read.c (core) and read_file.c (job) share. */
#ifndef LOG_READ_INTERNAL_H
#define LOG_READ_INTERNAL_H

#include "log/store_internal.h"

/* A batch boundary in a segment that is open. */
struct open_place {
    struct segment_file *holder; /* a reference; NULL: there is none */
    int64_t segment;             /* its base offset */
    uint64_t position;
};

struct log_read_internal {
    struct job job;
    struct list waiting; /* log->waiting_reads, while its segments are being swapped */
    struct log_read *read;
    struct store *store;
    struct log_state *log;
    enum log_read_kind kind;
    int64_t from, limit, timestamp;
    uint64_t max_bytes;
    bool nothing_to_do;  /* the answer is known; the job only makes it come in a later turn */
    bool asked_segments; /* READ_MAX_TIME */
    bool found_time;     /* and `timestamp` is that of a batch in them */
    bool uses_segments;  /* the job works on segments, counted in log->segment_reads */
    /* a run of the journal */
    VEC(struct tail_entry) entries;
    struct journal_file *file;
    /* or segments, with what the core knows of the active direct one */
    int64_t active_segment; /* -1: none */
    uint64_t active_size;
    index_entries active_index;
    int64_t growing_segment; /* the one that materialise appends to; -1 none */
    uint64_t growing_size;   /* its valid bytes */
    int64_t stored_limit;    /* segments hold nothing at or above it */
    struct open_place known; /* where to begin, if a read before has been there */
    /* the result */
    uint8_t *data;
    size_t size;
    struct chunk *chunk;       /* what the answer points into */
    struct file *segment_file; /* where it was found, if not in `known`; else NULL */
    int64_t segment;           /* its base offset */
    uint64_t position;
    bool beyond; /* segments had nothing: go on with what comes behind them */
    enum err err;
    char error[256];
};

void read_file_run(struct job *job);
/* (core) Where the batch with r->from may be found, in r->known. */
void stretch_known(struct log_read_internal *r);
/* (core) Remember what the job has found intact; takes r->segment_file and r->known. */
void stretch_note(struct log_read_internal *r);

#endif
