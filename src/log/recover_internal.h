/* What recover.c (entries, logs) and recover_journal.c (files, records) share. */
#ifndef LOG_RECOVER_INTERNAL_H
#define LOG_RECOVER_INTERNAL_H

#include "log/store_internal.h"

/* A record whose commit goes on in the next one. */
struct held_record {
    struct journal_file *file;
    uint64_t position;
    struct record_header header;
    uint8_t *bytes; /* owned */
};

/* A file of the chain, and its last record. */
struct replayed_file {
    struct journal_file *file;
    uint64_t sequence;
};

struct replay {
    struct store *s;
    struct journal_file *file; /* being read */
    struct text bytes;         /* its content */
    uint64_t position;         /* of the next record in it */
    uint64_t sequence;         /* of the last record, 0: none yet */
    uint64_t synced;           /* sequence of a record, as the last one says */
    VEC(struct replayed_file) chain;
    bool is_broken; /* there was a first record, and it is damaged */
    uint32_t crc, epoch;
    VEC(struct held_record) held; /* of a commit whose end was not met yet */
    VEC(struct journal_file *)
    leftovers;          /* they begin with a record that the chain does not have */
    uint32_t epoch_max; /* of every intact record that was met, in the chain or not */
};

/* Find the journal's files, in order. None: this is the first start. */
must_use enum err recover_find_files(struct store *s);
/* Follow the chain from the oldest file on; sync what may not be durable yet. */
must_use enum err recover_chain(struct replay *r);
/* A new generation for the leftovers. By jobs, if there is a chain, so when nothing can go wrong any more. */
must_use enum err recover_renew_leftovers(struct replay *r);

/* One record, its checksum right: what it says about logs. */
must_use enum err replay_record(struct replay *r, const uint8_t *p, const struct record_header *h);

#endif
