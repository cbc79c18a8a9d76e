/* basic.get: one message by request, behind everything that was published before it was asked. */
#include "amqp/amqp_messages.h"
#include "amqp/deliveries.h"
#include "amqp/method.h"
#include "amqp/send.h"
#include "amqp/tracing.h"

static void send_got(struct channel *ch, const struct delivery *d, bool no_ack)
{
    uint64_t tag = ++ch->last_delivery_tag;
    uint64_t left = queue_ready_count(d->queue);

    if (!no_ack)
        deliveries_keep(ch, tag, d, NULL);
    channel_count_delivery(ch, d, no_ack ? COUNTER_get_no_ack : COUNTER_get);
    send_get_ok(ch->conn, ch->id, tag, left > UINT32_MAX ? UINT32_MAX : (uint32_t)left, d);
    if (no_ack)
        connection_note_sent(ch->conn, d);
    if (channel_is_traced(ch))
        tracing_delivered(ch, d);
}

static void send_got_nothing(struct channel *ch)
{
    counters_add(&ch->counters, COUNTER_get_empty, 1);
    send_simple(ch->conn, ch->id, AMQP_BASIC_GET_EMPTY);
}

static void get_head(struct channel *ch)
{
    const struct amqp_basic_get *in = ch->current->arguments;
    struct queue *queue = channel_find_queue(ch, in->queue);
    struct delivery d;

    if (!queue)
        return;
    enum err err = queue_get(queue, in->no_ack, &ch->wait, &d);
    if (err == E_COLD) {
        channel_wait_again(ch, get_head);
        return;
    }
    if (err == E_NOT_FOUND)
        send_got_nothing(ch);
    else if (err)
        channel_fail_err(ch, err, "cannot read the message");
    else
        send_got(ch, &d, in->no_ack);
}

void method_basic_get(struct channel *ch, const void *arguments)
{
    const struct amqp_basic_get *in = arguments;
    struct queue *queue = channel_find_readable_queue(ch, in->queue);

    if (queue && queue_is_single_active(queue) && queue_is_quorum(queue))
        channel_fail(ch, REPLY_RESOURCE_LOCKED,
                     "cannot obtain access to locked queue '%.*s' in vhost '%.*s'. basic.get "
                     "operations are not supported by quorum queues with single active consumer",
                     BYTES_FORMAT(queue->name), BYTES_FORMAT(queue->vhost->name));
    else if (queue)
        channel_wait(ch, queue_barrier(queue), get_head);
}
