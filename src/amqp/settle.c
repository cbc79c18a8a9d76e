/* basic.ack, nack, reject and recover: what was delivered is done with, or comes back. */
#include "amqp/amqp_messages.h"
#include "amqp/consume.h"
#include "amqp/method.h"
#include "amqp/send.h"
#include "amqp/tx.h"

/* A delivery of this channel has ended. */
static void note(struct channel *ch, const struct unacked_delivery *d)
{
    if (ch->tx) {
        queue_ref(d->queue);
        vec_push(&ch->tx->settled, d->queue);
    }
    consume_settled(d->consumer);
}

static void settle_one(void *ctx, const struct unacked_delivery *d)
{
    struct channel *ch = ctx;

    queue_settle(d->queue, d->offset, d->number);
    counters_add(&ch->counters, COUNTER_ack, 1);
    note(ch, d);
}

static void reject_one(void *ctx, const struct unacked_delivery *d)
{
    queue_reject(d->queue, d->offset, d->number);
    note(ctx, d);
}

static void return_one(void *ctx, const struct unacked_delivery *d)
{
    (void)ctx;
    queue_return(d->queue, d->offset, d->number);
    consume_settled(d->consumer);
}

static void return_failed_one(void *ctx, const struct unacked_delivery *d)
{
    (void)ctx;
    queue_return_failed(d->queue, d->offset, d->number);
    consume_settled(d->consumer);
}

/* Tag 0 with multiple means all that there is; an unknown tag is an error (s.1.8.3.13). */
static bool take(struct channel *ch, const struct command_settle *in, unacked_fn *each)
{
    if (!in->multiple)
        return unacked_take(&ch->unacked, in->delivery_tag, each, ch);
    if (in->delivery_tag != 0)
        return unacked_take_through(&ch->unacked, in->delivery_tag, each, ch);
    unacked_take_all(&ch->unacked, each, ch);
    return true;
}

void settle_now(struct channel *ch, const struct command_settle *in)
{
    unacked_fn *each = in->is_ack      ? settle_one
                       : !in->requeue  ? reject_one
                       : in->is_reject ? return_failed_one
                                       : return_one;

    if (!take(ch, in, each))
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "unknown delivery tag %llu",
                     (unsigned long long)in->delivery_tag);
    else if (ch->window)
        channel_wake_consumers(ch);
}

void channel_settle(struct channel *ch, const struct command_settle *in)
{
    if (ch->tx)
        tx_keep_settle(ch, in);
    else
        settle_now(ch, in);
}

static void return_run(void *ctx, const struct unacked_run *run)
{
    (void)ctx;
    check(!run->consumer);
    if (run->open == UINT64_MAX >> (64 - run->span)) {
        queue_return_failed_all(run->queue, run->first_offset, run->stride, run->span, run->number);
        return;
    }
    for (uint64_t left = run->open; left; left &= left - 1)
        queue_return_failed(run->queue, run->first_offset + run->stride * __builtin_ctzll(left),
                            run->number);
}

/* The consumers are gone. A million deliveries come back in a turn, so they do it by runs. */
void settle_return_all(struct channel *ch)
{
    unacked_each_run(&ch->unacked, return_run, NULL);
    unacked_reset(&ch->unacked);
}

static bool recover(struct channel *ch, bool requeue)
{
    if (!requeue) {
        channel_fail(ch, REPLY_NOT_IMPLEMENTED, "requeue=false");
        return false;
    }
    unacked_take_all(&ch->unacked, return_one, ch);
    channel_wake_consumers(ch);
    return true;
}

void method_basic_recover(struct channel *ch, const void *arguments)
{
    const struct amqp_basic_recover *in = arguments;

    if (recover(ch, in->requeue))
        send_simple(ch->conn, ch->id, AMQP_BASIC_RECOVER_OK);
}

void method_basic_recover_async(struct channel *ch, const void *arguments)
{
    const struct amqp_basic_recover_async *in = arguments;

    recover(ch, in->requeue);
}
