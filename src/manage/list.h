/*
 * Lists: every answer that is an array of objects. Filters, sorts, cuts out the page and the
 * columns that the query asks for, as RabbitMQ does:
 *
 *   page, page_size      {"items": [...], "page": 1, "page_count": ..., "page_size": 100,
 *                         "item_count": ..., "filtered_count": ..., "total_count": ...}; a page
 *                        has at most 500 rows; one behind the last is an error
 *   name, use_regex      only rows whose name contains it in any case (or matches it, PCRE); only
 *                        with `page`
 *   sort, sort_reverse   by a column; "message_stats.publish" goes into objects
 *   columns              only these, separated by commas
 *
 * Rows are in the order of vhost and name where the query does not say. A list can be long and a
 * turn must be short, so it is made in steps: collect() names the objects (cheap), the names are
 * sorted over some turns, then row() makes some objects in each turn, which become text at once; with
 * a page and no column to sort by, only that page's rows are made at all. To sort by a column every
 * row is made, looked at and forgotten; then those of the answer are made again.
 */
#ifndef MANAGE_LIST_H
#define MANAGE_LIST_H

#include "manage/manage.h"

struct exchange;
struct manage_list;
struct queue;
struct session;

/* What leads to an object again in a later turn. Bytes are copied by manage_list_add(). */
struct manage_key {
    struct bytes vhost; /* or null */
    struct bytes name;  /* what `name` filters and rows are ordered by at first */
    struct bytes more;  /* or null: whatever else it takes */
    uint64_t id;
};

struct manage_list_kind {
    /* manage_list_add() for each object that the user may see (manage_may_see(), call->vhost). For
     * what is never many; NULL otherwise: */
    void (*collect)(struct manage_call *call, struct manage_list *list);
    /* The object, a new reference; an array: several rows; NULL: it is gone since. */
    json_t *(*row)(struct manage_call *call, const struct manage_key *key);
    bool rows_are_many; /* row() may return arrays */
    /* As collect(), for one queue, one exchange: called for those of call->vhost, or of every vhost that
     * the user may see, some in each turn. Either may be NULL. */
    void (*add_queue)(struct manage_list *list, const struct queue *queue);
    void (*add_exchange)(struct manage_list *list, const struct exchange *x);
    /* The same for one session, of all that there are; instead of the two above. */
    void (*add_session)(struct manage_call *call, struct manage_list *list,
                        struct session *session);
};

/* End the handler with a list. */
void manage_list(struct manage_call *call, const struct manage_list_kind *kind);
void manage_list_add(struct manage_list *list, const struct manage_key *key);
/* The same of rows that are few and there already; takes the reference. */
void manage_answer_list(struct manage_call *call, json_t *rows);

/* Only the columns that the query asks for; for a single object too. Takes and returns a reference. */
json_t *manage_columns(const struct manage_call *call, json_t *row);

#endif
