/* Between catalog.c (the log of changes) and catalog_records.c (what a record says). */
#ifndef BROKER_CATALOG_INTERNAL_H
#define BROKER_CATALOG_INTERNAL_H

#include "base/map.h"
#include "base/vec.h"
#include "broker/catalog.h"
#include "broker/core.h"

struct catalog {
    struct log *log;
    struct log_owner owner;
    struct list entries; /* all that is journalled, by offset */
    size_t count;        /* of them, those pending too */
    struct list pending; /* to be written at the end of this turn */
    struct text removed; /* u32 size and key of each record to be written without a value */
    size_t removed_count;
    struct catalog_entry meta;
    uint64_t next_log_id, reserved_log_id;
    int64_t next_producer_id, reserved_producer_id;
    struct idmap claimed;        /* while it is read: log ids that records name */
    bool is_without_permissions; /* a record of a user was read that is older than permissions */
    struct text key, value;      /* scratch */
};

/* A record as read back. The bytes lie behind the struct. */
struct catalog_loaded {
    struct list node;    /* in order of the log */
    struct list of_kind; /* those of its kind, likewise */
    struct bytes key, value;
    int64_t offset;
    int kind;
    struct catalog_entry *entry; /* of the object that was made of it */
};

/* Replace the scratch texts by the entry's object. */
void catalog_encode_key(const struct catalog_entry *entry, struct text *out);
void catalog_encode_value(struct core *core, const struct catalog_entry *entry, struct text *out);

/* Which kind a record key names; *out_ignored: unknown, and may be. E_UNSUPPORTED, E_MALFORMED. */
must_use enum err catalog_key_kind(struct bytes key, int *out_kind, bool *out_ignored);
/* Make the object. Sets loaded->entry. E_MALFORMED, E_UNSUPPORTED. */
must_use enum err catalog_apply(struct core *core, struct catalog_loaded *loaded);

#endif
