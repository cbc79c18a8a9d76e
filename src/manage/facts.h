/*
 * What can only be learnt of the system by asking it, and what can only be learnt of the broker by
 * going through all of its objects. Neither fits into a turn of the core, so both are gathered
 * first, and the handler goes on when they are there.
 */
#ifndef MANAGE_FACTS_H
#define MANAGE_FACTS_H

#include "manage/manage.h"

/* Read off the core, at most once a second. */
struct facts {
    uint64_t rss_bytes, open_files, disk_free_bytes, total_memory_bytes;
    int cpu_count;
};
/* Go on with `next` when they are there: manage_facts(). */
void facts_gather(struct manage_call *call, manage_handler *next);
const struct facts *manage_facts(const struct manage_call *call);

struct totals { /* of what the user may see */
    uint64_t ready, unacked;
    uint64_t queues, exchanges, consumers, channels, connections;
    uint64_t publishers; /* channels that have published */
};
/* Go on with `next` when they are counted: *out lies in the call's arena. */
void totals_gather(struct manage_call *call, manage_handler *next);
const struct totals *manage_totals(const struct manage_call *call);

struct manage_facts_job;
void facts_forget(struct manage_facts_job *job); /* the API goes away; accepts NULL */

#endif
