/* Queues, for the modules of this folder. */
#ifndef BROKER_QUEUE_INTERNAL_H
#define BROKER_QUEUE_INTERNAL_H

#include "base/list.h"
#include "broker/core_internal.h"
#include "broker/counters.h"
#include "broker/feed.h"
#include "broker/policy.h"
#include "broker/queue.h"
#include "broker/subscription.h"

struct pack;
struct queue_rules;

struct queue_internal {
    struct queue *self; /* also a route to this queue alone */
    struct core *core;
    uint64_t log_id;
    struct log_owner owner;
    struct catalog_entry entry;
    struct list bindings; /* of struct binding: of_destination */
    struct list of_vhost; /* struct policies: the vhost's queues */
    struct policy_pair policies;
    struct list parked;        /* consumers without credit */
    struct list getters;       /* of struct wait: to be called when what they want has been read */
    struct list of_session;    /* exclusive: the owner's list */
    struct deferred dispatch;  /* at the end of the turn */
    struct list unlogged;      /* in core->unlogged: changes to log, or a floor that moved */
    uint64_t routed;           /* stamp of the last routing that found it */
    struct queue_rules *rules; /* NULL: a plain queue */
    struct exchange
        *delays_of; /* what is due in this queue is routed by it; NULL: an ordinary one */
    uint32_t references;
    bool unmarked : 1;   /* what is to be logged is only a mark: `unlogged` is in core->unmarked */
    bool is_timed : 1;   /* there was ever a message with a time of its own; in the catalog */
    bool is_unread : 1;  /* in core->unread: its next message is asked for again */
    bool told_unread[2]; /* the log has it that the next and the oldest message cannot be read */
    uint64_t coming;     /* messages appended and not committed yet */
    struct pack *pack;   /* what is published to it and not appended yet */
    struct feed *feed;   /* while it is read */
    struct counters *counters; /* NULL: nothing has happened */
};

static inline struct queue *queue_of_owner(struct log_owner *owner)
{
    return container_of(owner, struct queue_internal, owner)->self;
}

/* Something happens to the queue that makes it no longer idle. */
static inline void queue_count(struct queue *queue, enum counter c, uint64_t n)
{
    struct queue_internal *in = queue->internal;
    counters_add(&in->counters, c, n);
    in->counters->active_ms = in->core->wall_ms;
}

/* queue.c */
/* The queue without a name of an exchange of type x-delayed-message. */
struct queue *queue_new_delays(struct exchange *x, uint64_t log_id);
void queue_delete_delays(struct queue *queue);
void queues_starting_init(struct core *core);
/* It is ready again, whatever rules there are. */
void queue_return_now(struct queue *queue, int64_t offset, uint32_t number);
uint64_t queue_new_log_id(struct core *core, bool is_kept);
/* Begin to use its log. */
void queue_attach(struct queue *queue);
void queue_let_go(struct queue *queue); /* of the store, before it closes */
struct queue *queue_restore(struct vhost *vhost, const struct queue_spec *spec, uint64_t log_id,
                            bool is_timed);
void queues_attach(struct core *core);
/* Free what refers to the store, before it closes. */
void queues_let_go(struct core *core);
void queues_free(struct vhost *vhost);

/* queue_dispatch.c */
void queue_dispatch_init(struct queue *queue);
void queue_moved(struct log_owner *owner);
/* What is committed by now is visible, and within the queue's limits: before its content is told. In
 * memory that is all that was published, otherwise what the end of the turn would show. */
void queue_catch_up(struct queue *queue);
/* Hand out what is ready, at the end of the turn. */
void queue_wake(struct queue *queue);
/* Likewise, also when there is no consumer. */
void queue_run_later(struct queue *queue);
/* Forget the queues that are to be read again. */
void queues_unread_free(struct core *core);
/* Read the record at the head. E_NOT_FOUND: nothing is ready. E_COLD and other errors: not now; the
 * queue runs when it has been read. */
must_use enum err queue_next_message(struct queue *queue, struct delivery *out);
/* Likewise, of the one that is ready for the longest time. */
must_use enum err queue_oldest_message(struct queue *queue, struct delivery *out);
/* Messages that were published and are not committed yet. */
uint64_t queue_coming_count(const struct queue *queue);
void queue_wake_getters(struct queue *queue);
/* Records that nobody can be given, because they cannot be decoded or are not there: settled, counted,
 * told once in a while. */
void queue_skip_damage(struct queue *queue, int64_t from, int64_t to);
/* Stop handing out: detach the consumers and tell them. */
void queue_drop_consumers(struct queue *queue);

/* queue_log.c */
void queue_logging_init(struct core *core);
/* The subscription changed: log it with the next commit, or a moment later. */
void queue_changed(struct queue *queue);
/* Only the delivered-up-to mark moved: log it with the next commit, or a little later. */
void queue_marked(struct queue *queue);
void queue_unlog(struct queue *queue); /* it goes away */
/* Log now what has changed; *out is the ticket. */
void queue_log_now(struct queue *queue, struct ticket *out);
/* At the end of a turn: log what is due. */
void queue_log_due(struct core *core);
void queue_log_all(struct core *core); /* also what is not due yet */

#endif
