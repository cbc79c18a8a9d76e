/*
 * The catalog: every declared thing (users, vhosts, topics, exchanges, queues, bindings), kept as
 * an event-sourced log with the id 1 and level fsync. Lives in the core.
 *
 * A declared object embeds a catalog_entry. A change is applied in memory at once and noted here;
 * all changes of one turn are one batch, appended at the end of the turn, and whoever answers a
 * client waits for core_catalog_ticket(). The journal has one order, so nothing that was appended
 * later can be durable without it. Transient and exclusive objects are never noted.
 *
 * On disk a change is a record (catalog.schema): the key says which object (Key), the value
 * what it is now, with the id and the version of its own schema in front; no value: it is gone. The
 * newest record of a key wins. A record of an unknown kind or a newer version refuses the start,
 * unless its key says that it may be ignored.
 *
 * The log cleans itself: entries are linked in the order of their newest records. While the log
 * holds more than twice as many records as there are objects, the entries in front are appended
 * again, some each turn, and the log is trimmed to the first record that is still the newest of its
 * key. A deletion needs no such care: the records that it hides lie in front of it.
 */
#ifndef BROKER_CATALOG_H
#define BROKER_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"

struct core;

/* On disk: never renumber. */
enum catalog_kind {
    CATALOG_META = 1,
    CATALOG_VHOST = 2,
    CATALOG_USER = 3,
    CATALOG_TOPIC = 4,
    CATALOG_EXCHANGE = 5,
    CATALOG_QUEUE = 6,
    CATALOG_BINDING = 7,
    CATALOG_EXCHANGE_BINDING = 8,
    CATALOG_BROKER_CONFIG = 9,
    CATALOG_PERMISSION = 10,
    CATALOG_TOPIC_PERMISSION = 11,
    CATALOG_POLICY = 12,
    CATALOG_PARAMETER = 13,
    CATALOG_KIND_END,
};

enum {
    CATALOG_LOG_ID = 1,
    CATALOG_LOG_IDS_RESERVED = 1000,
    CATALOG_PRODUCER_IDS_RESERVED = 1000,
};

struct catalog_entry {
    struct list node; /* in order of the newest record; or among this turn's changes */
    int64_t offset;   /* of the newest record; CATALOG_NEVER: not journalled */
    uint8_t kind;     /* enum catalog_kind */
    bool pending;     /* to be written at the end of this turn */
};

enum { CATALOG_NEVER = -1 };

/* The object is new or has changed. Its state at the end of the turn is what is written. */
void catalog_put(struct core *core, struct catalog_entry *entry, enum catalog_kind kind);
/* The object is going away: call while it can still be encoded. Nothing if it was never noted. */
void catalog_remove(struct core *core, struct catalog_entry *entry);

/* A log id that was never used before. */
uint64_t catalog_new_log_id(struct core *core);
/* A producer id that was never used before; to be told when core_catalog_ticket() is done. -1: there
 * is none left. */
int64_t catalog_new_producer_id(struct core *core);

#endif
