/*
 * Messages of a queue with a time of their own: each expires when it is due, wherever it lies in the
 * queue. An index (due_index.h) says when to look where; the subscription says whether the record is
 * still ready; then it is settled, as a dead letter if the queue wants that. That is logged like any
 * settle, so a replay asks no clock.
 *
 *   the index says it is due ──> not offered to consumers yet: waits for that
 *                            ──> somebody has it: when it comes back
 *                            ──> ready: it expires
 *                            ──> done: nothing
 *
 * All runs within queue_trim() and the turn's budget. A queue's own time to live needs no index: there
 * the oldest message is due first.
 *
 * After a start nothing is known: the log is scanned once, in slices, if the catalog says that there
 * were ever such messages. Until then they expire at the head, and nobody is given an expired one.
 */
#ifndef BROKER_QUEUE_EXPIRY_H
#define BROKER_QUEUE_EXPIRY_H

#include "broker/due_index.h"
#include "broker/offset_set.h"
#include "broker/queue_internal.h"

struct queue_expiry {
    struct queue *queue;
    struct due_index index;
    struct due_entry batch[64]; /* due, from `batch_at` on */
    size_t batch_count, batch_at;
    due_list early;         /* due, and not offered yet */
    struct offset_set late; /* were due while somebody had them */
    struct feed *feed;      /* of what is due; while it is used */
    struct feed *scan_feed;
    struct timer timer;
};

/* A message with a time of its own will come: remember that for ever. */
void queue_expiry_expect(struct queue *queue);
/* It is in the log. */
void queue_expiry_note(struct queue *queue, int64_t offset, int64_t due_ms);
/* After a start: what the log holds is not known. */
void queue_expiry_learn(struct queue *queue);
/* It came back. */
void queue_expiry_returned(struct queue *queue, int64_t offset);
/* Let expire what is due, within this turn's budget. */
void queue_expire(struct queue *queue);
void queue_expiry_free(struct queue_expiry *x); /* accepts NULL */

#endif
