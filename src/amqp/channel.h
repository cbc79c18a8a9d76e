/*
 * A channel: executes its commands in order.
 *
 * Publishes and settles run at once and one behind the other. Every other method is a fence: it
 * runs when all before it have run, and what comes behind it stays parked until it is answered,
 * which may take until its effect is durable or the queue's content is known (channel_wait()).
 * Other channels go on meanwhile. While there is no room for what is published (holding.h) a publish is
 * parked too, and settles and cancels pass it. Parked commands hold their inputs, so the connection's
 * in-flight budget bounds them.
 *
 *   OPEN --channel_fail()--> CLOSING --close-ok--> (freed)
 *   OPEN --channel.close--> CLOSED --> (freed)
 *
 * CLOSING: we have sent channel.close and ignore everything else. Both torn-down states have no
 * consumer, no unacked delivery, no confirm and nothing parked: nothing is sent for them.
 */
#ifndef AMQP_CHANNEL_H
#define AMQP_CHANNEL_H

#include "amqp/command.h"
#include "amqp/confirms.h"
#include "amqp/connection.h"
#include "amqp/parked.h"
#include "amqp/unacked.h"
#include "base/map.h"
#include "broker/counters.h"
#include "broker/declare.h"

struct tx;
struct reply_consumer;

enum channel_state { CHANNEL_OPEN, CHANNEL_CLOSING, CHANNEL_CLOSED };

/* The answer that a waiting method will give; one for all, as a channel waits for one at a time. */
typedef void channel_step(struct channel *);

struct channel {
    struct connection *conn;
    uint16_t id;
    enum channel_state state;
    bool opened; /* channel.open was seen */

    /* execution */
    struct command *current; /* runs or waits */
    struct parked parked;
    bool is_held;           /* the first of them publishes, and there is no room (holding.h) */
    struct list held;       /* in conn->held then */
    uint64_t counted_bytes; /* of what is parked, in conn->held_bytes */
    struct wait wait;
    channel_step *next_step; /* when `wait` is over */
    bool waiting;
    uint64_t step_count; /* what the first step found out, for the last one to answer */

    /* publishing */
    bool confirming;
    struct confirms confirms;
    struct progress_watch watch;
    struct deferred confirm_flush;

    struct tx *tx; /* NULL: not transactional */

    /* delivering */
    uint64_t last_delivery_tag;
    struct unacked unacked;
    struct timer settle_timer; /* runs while deliveries may stay unsettled for too long */
    struct map consumers;      /* by tag */
    struct reply_consumer *reply_consumer; /* or NULL */
    struct list consumers_by_turn;
    uint32_t prefetch; /* of consumers to come; 0: no limit */
    uint32_t window;   /* of the channel as a whole, deliveries by get included; 0: no limit */

    struct bytes last_queue;   /* the name declared last, owned */
    struct counters *counters; /* NULL: nothing has happened */
};

struct channel *channel_new(struct connection *, uint16_t id);
/* Tears down if that has not happened. Only for one that runs no command. */
void channel_free(struct channel *);

/* Execute the command or park it. May free the channel. Takes over the command. */
void channel_take(struct channel *, struct command *);

/* There is room again for what it holds. May free the channel. */
void channel_go_on(struct channel *);

/* ---- for the methods ---- */

/* Go on with `next` when the ticket is committed: in this call if it is. To be called last. */
void channel_wait(struct channel *, struct ticket, channel_step *next);
/* The disk has failed: what waits for it never ends well. May free the channel. */
void channel_fail_frozen(struct channel *);
/* Go on with `next` when somebody else calls wait->ready, to whom &channel->wait was given. */
void channel_wait_again(struct channel *, channel_step *next);
/* Go on with `next` at the end of this turn or in the next one: for work in slices. */
void channel_yield(struct channel *, channel_step *next);
/* Fail the current command: closes the channel or, for a hard error, the connection. Without a
 * command, it is the channel that fails. */
void channel_fail(struct channel *, enum reply_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void channel_fail_err(struct channel *, enum err, const char *what);
/* Likewise, in the words of err_text() alone. */
void channel_fail_as(struct channel *, enum err);
/* On whose behalf this channel declares. */
struct declarer channel_declarer(const struct channel *);
/* False: it failed (403), because the user has no such right. */
bool channel_may(struct channel *, enum access_right, enum access_kind, struct bytes name);
/* A name as it counts: without CR and LF (RabbitMQ). Valid as long as the current command. */
struct bytes channel_name(struct channel *, struct bytes name);
/* The queue a method names, empty meaning the last one declared; NULL: it failed (404, or 405 when
 * it is another connection's own). */
struct queue *channel_find_queue(struct channel *, struct bytes name);
/* The same, if its messages may be taken (403). */
struct queue *channel_find_readable_queue(struct channel *, struct bytes name);
/* NULL: it failed (404). */
struct exchange *channel_find_exchange(struct channel *, struct bytes name);
/* Stop consumers, give back what is unacked, forget confirms and parked commands. */
void channel_tear_down(struct channel *);
static inline void channel_count_delivery(struct channel *ch, const struct delivery *d,
                                          enum counter how)
{
    counters_add(&ch->counters, how, 1);
    if (d->redelivered)
        counters_add(&ch->counters, COUNTER_redeliver, 1);
}
static inline bool channel_is_idle(const struct channel *ch)
{
    return !ch->current && !ch->parked.first;
}

#endif
