/*
 * What some queues do by themselves, as their arguments, policies or messages ask: let messages expire,
 * keep no more than so many, give dead letters to an exchange, serve one consumer at a time, go away
 * when unused. A queue without any of that has no rules and pays nothing.
 *
 *   expiry      due = arrival + the least of the queue's and the message's own time to live. The
 *               oldest is looked at when records become ready, after they were offered to waiting
 *               consumers (so a time of 0 means "now or never"), and by a timer. Messages with
 *               a time of their own: see queue_expiry.h
 *   priority    which ready record is the head, see queue_priorities.h
 *   length      counted in ready messages or the bytes of their bodies; drop-head, or refusal when it is published
 *   moves       rejected messages with a dead letter exchange stay taken until they are read
 *               again and published: neither ready nor counted
 */
#ifndef BROKER_QUEUE_RULES_H
#define BROKER_QUEUE_RULES_H

#include "broker/core_internal.h"
#include "broker/dead_letter.h"
#include "broker/queue_priorities.h"
#include "broker/queue_settings.h"
#include "broker/queue_sizes.h"

struct queue_expiry;
struct queue_retries;

struct move {
    int64_t offset;
    uint32_t number; /* of the delivery that ended */
    enum death reason;
};

struct queue_rules {
    struct queue *queue;
    struct list starting; /* in the core's list: to be looked at for the first time */
    struct queue_settings settings;
    bool may_expire;               /* a time to live, the queue's or some message's */
    int64_t fresh_from;            /* records from here on were never offered to anybody */
    int64_t offered_to;            /* all below were */
    struct queue_retries *retries; /* NULL: nothing ever waited for its next delivery */
    struct queue_expiry *expiry;   /* NULL: no message has a time of its own */
    struct timer head_timer;       /* the head is due */
    struct timer unused_timer;
    struct queue_priorities *priorities; /* NULL: messages are all alike */
    struct queue_sizes sizes;            /* with a limit of bytes */
    int64_t learn_at, learn_end; /* messages of an earlier run that were not looked at yet */
    struct list standby;         /* consumers that wait to become the single active one */
    /* moves */
    VEC(struct move) moves; /* from `moved` on, in order */
    size_t moved;
    struct idmap moving; /* the offsets of moves that have not ended */
    struct feed *feed;
    struct deferred run_moves;
    struct timer retry_timer;
};

/* The queue's rules; made when it has none. */
struct queue_rules *queue_rules_need(struct queue *queue);
/* From the arguments, which were checked, and policies; none when there is nothing to ask for. */
void queue_rules_init(struct queue *queue);
/* The queue's policies have changed: what is there already follows. */
void queue_rules_changed(struct queue *queue);
void queue_rules_free(struct queue_rules *rules); /* accepts NULL */

/* ---- expiry and length ---- */

/* When the message is due by itself, Unix ms; INT64_MAX: never. */
int64_t queue_message_own_due(const struct queue *queue, int64_t arrival_ms,
                              const struct message *m);
/* The same, by its own time or the queue's. */
int64_t queue_message_due(const struct queue *queue, int64_t arrival_ms, const struct message *m);
/* Drop the ready record `d`. An error: its dead letter cannot be stored now. */
must_use enum err queue_drop(struct queue *queue, const struct delivery *d, enum death reason);
/* Does what expires have to be read first? */
bool queue_reads_what_expires(const struct queue *queue);
/* Look at the head: drop what has expired or is too much, within this turn's budget. */
void queue_trim(struct queue *queue);
/* Does anything have to be done when nobody consumes? */
bool queue_trims(const struct queue *queue);
/* Is it so full that it refuses what is published? */
bool queue_is_full(const struct queue *queue);

/* It was published and the queue is full: with reject-publish-dlx it becomes a dead letter. */
void queue_refuse(struct queue *queue, const struct message *m);

static inline bool queue_counts_bytes(const struct queue_rules *r)
{
    return r && r->settings.max_length_bytes >= 0;
}

/* ---- unused queues ---- */

/* Somebody declared it, got from it, or stopped consuming. */
void queue_used(struct queue *queue);

/* ---- moves ---- */

/* Nothing if it is moving already. */
void queue_move_later(struct queue *queue, int64_t offset, uint32_t number, enum death reason);

#endif
