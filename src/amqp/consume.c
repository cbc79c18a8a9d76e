#include "amqp/consume.h"

#include <stdlib.h>
#include <string.h>

#include "amqp/amqp_messages.h"
#include "amqp/deliveries.h"
#include "amqp/describe.h"
#include "amqp/method.h"
#include "amqp/reply_to.h"
#include "amqp/send.h"
#include "amqp/tracing.h"
#include "base/check.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

enum {
    PENDING_MAX_BYTES = 1 << 20, /* waiting for the socket: no more is given to its consumers */
    CREDIT_MAX = 64,             /* at once, so that PENDING_MAX_BYTES is looked at in between */
};

/* ---- what the queue asks ---- */

static uint32_t room_in(uint32_t window, uint64_t used)
{
    if (window == 0)
        return CREDIT_MAX;
    return used < window ? window - (uint32_t)used : 0;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t consumer_credit(struct consumer *base)
{
    struct amqp_consumer *consumer = (struct amqp_consumer *)base;
    struct channel *ch = consumer->channel;
    uint32_t credit = CREDIT_MAX;

    if (link_pending_bytes(ch->conn->link) >= PENDING_MAX_BYTES || ch->conn->link->closing)
        credit = 0;
    else if (!base->no_ack)
        credit = least(CREDIT_MAX, least(room_in(consumer->window, consumer->in_window),
                                         room_in(ch->window, ch->unacked.open_count)));
    consumer->hungry = credit == 0;
    return credit;
}

static void consumer_deliver(struct consumer *base, const struct delivery *d)
{
    struct amqp_consumer *consumer = (struct amqp_consumer *)base;
    struct channel *ch = consumer->channel;
    uint64_t tag = ++ch->last_delivery_tag;

    if (!base->no_ack) {
        deliveries_keep(ch, tag, d, consumer);
        consumer->in_window++;
    }
    channel_count_delivery(ch, d, base->no_ack ? COUNTER_deliver_no_ack : COUNTER_deliver);
    list_remove(&consumer->node);
    list_push_back(&ch->consumers_by_turn, &consumer->node);
    send_deliver(ch->conn, ch->id, consumer->tag, tag, d);
    if (base->no_ack)
        connection_note_sent(ch->conn, d);
    if (channel_is_traced(ch))
        tracing_delivered(ch, d);
}

static void consumer_free(struct amqp_consumer *consumer)
{
    struct channel *ch = consumer->channel;

    core_defer_cancel(&consumer->notice);
    core_wait_cancel(&consumer->deletion);
    map_remove(&ch->consumers, consumer->tag);
    list_remove(&consumer->node);
    unacked_forget_consumer(&ch->unacked, consumer);
    free((void *)consumer->tag.data);
    bytes_free(consumer->arguments);
    free(consumer);
}

/* RabbitMQ ext: consumer_cancel_notify. */
static void deletion_is_durable(struct wait *wait)
{
    struct amqp_consumer *consumer = container_of(wait, struct amqp_consumer, deletion);
    struct connection *c = consumer->channel->conn;

    if (c->client_takes_cancel)
        send_method(c, consumer->channel->id, AMQP_BASIC_CANCEL,
                    &(struct amqp_basic_cancel){.consumer_tag = consumer->tag, .nowait = true});
    consumer_free(consumer);
}

static void wait_for_deletion(struct deferred *deferred)
{
    struct amqp_consumer *consumer = container_of(deferred, struct amqp_consumer, notice);
    struct core *core = consumer->channel->conn->core;

    consumer->deletion.ready = deletion_is_durable;
    core_wait(core, &consumer->deletion, core_catalog_ticket(core), STAGE_COMMITTED);
}

/* The queue is gone. That is told when a crash cannot bring it back, and behind the delete-ok, which a
 * client that ends with its consumer wants to have seen. What it was given can still be settled. */
static void consumer_cancelled(struct consumer *base)
{
    struct amqp_consumer *consumer = (struct amqp_consumer *)base;

    consumer->is_orphan = true;
    consumer->notice.run = wait_for_deletion;
    core_defer(consumer->channel->conn->core, &consumer->notice);
}

/* ---- windows move ---- */

static void wake(struct amqp_consumer *consumer)
{
    if (!consumer->hungry || consumer->is_orphan)
        return;
    consumer->hungry = false;
    queue_consumer_ready(&consumer->base);
}

void channel_wake_consumers(struct channel *ch)
{
    list_each (node, &ch->consumers_by_turn)
        wake(container_of(node, struct amqp_consumer, node));
}

void consume_settled(struct amqp_consumer *consumer)
{
    if (!consumer)
        return;
    check(consumer->in_window > 0);
    consumer->in_window--;
    if (!consumer->channel->window)
        wake(consumer);
}

/* ---- basic.qos ---- */

void method_basic_qos(struct channel *ch, const void *arguments)
{
    const struct amqp_basic_qos *in = arguments;

    if (in->prefetch_size) {
        channel_fail(ch, REPLY_NOT_IMPLEMENTED, "prefetch_size!=0 (%u)", in->prefetch_size);
        return;
    }
    if (in->global) {
        ch->window = in->prefetch_count;
    } else {
        ch->prefetch = in->prefetch_count;
        ch->window = 0; /* as RabbitMQ: the last kind asked for counts */
    }
    channel_wake_consumers(ch);
    send_simple(ch->conn, ch->id, AMQP_BASIC_QOS_OK);
}

/* ---- basic.consume ---- */

char *consume_make_name(struct core *core, const char *prefix)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char name[23];

    for (int i = 0; i < 22; i++)
        name[i] = letters[random_below(&core->random, 64)];
    name[22] = '\0';
    return xasprintf("%s-%s", prefix, name);
}

static struct amqp_consumer *consumer_new(struct channel *ch, const struct amqp_basic_consume *in)
{
    struct amqp_consumer *consumer = xzalloc(sizeof *consumer);
    struct amqp_value argument;

    if (in->consumer_tag.size)
        consumer->tag =
            bytes_of(xmemdup(in->consumer_tag.data, in->consumer_tag.size), in->consumer_tag.size);
    else
        consumer->tag = bytes_from_string(consume_make_name(ch->conn->core, "amq.ctag"));
    int64_t priority = 0;
    if (amqp_table_find(in->arguments, "x-priority", &argument))
        (void)amqp_value_integer(&argument, &priority);
    consumer->channel = ch;
    consumer->arguments = bytes_dup(in->arguments);
    consumer->window = ch->prefetch;
    consumer->timeout_ms = -1;
    if (amqp_table_find(in->arguments, "x-consumer-timeout", &argument))
        (void)amqp_value_integer(&argument, &consumer->timeout_ms);
    consumer->base = (struct consumer){.no_ack = in->no_ack,
                                       .exclusive = in->exclusive,
                                       .priority = (int32_t)priority,
                                       .credit = consumer_credit,
                                       .deliver = consumer_deliver,
                                       .cancelled = consumer_cancelled,
                                       .describe = describe_consumer};
    map_put(&ch->consumers, consumer->tag, consumer);
    list_push_back(&ch->consumers_by_turn, &consumer->node);
    return consumer;
}

static void start_consumer(struct channel *ch)
{
    const struct amqp_basic_consume *in = ch->current->arguments;
    struct queue *queue = channel_find_queue(ch, in->queue);

    if (!queue)
        return;
    struct amqp_consumer *consumer = consumer_new(ch, in);
    enum err err = queue_consume(queue, &consumer->base);
    if (err) {
        consumer_free(consumer);
        channel_fail(ch, REPLY_ACCESS_REFUSED, "queue '%.*s' in vhost '%.*s' in exclusive use",
                     BYTES_FORMAT(queue->name), BYTES_FORMAT(ch->conn->vhost->name));
        return;
    }
    if (!in->nowait)
        send_method(ch->conn, ch->id, AMQP_BASIC_CONSUME_OK,
                    &(struct amqp_basic_consume_ok){.consumer_tag = consumer->tag});
}

/* What would change how messages come and is not built is refused by name. */
static bool arguments_are_built(struct channel *ch, const struct queue *queue,
                                struct bytes arguments)
{
    static const char *const others[] = {
        "x-stream-offset",
        "x-stream-filter",
        "x-credit",
        "x-stream-match-unfiltered",
    };
    struct amqp_value value;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!amqp_table_find(arguments, others[i], &value))
            continue;
        channel_fail(ch, REPLY_NOT_IMPLEMENTED,
                     "argument '%s' is not built yet, for a consumer of queue '%.*s' in vhost "
                     "'%.*s'",
                     others[i], BYTES_FORMAT(queue->name), BYTES_FORMAT(queue->vhost->name));
        return false;
    }
    return true;
}

static bool priority_is_good(struct channel *ch, const struct queue *queue, struct bytes arguments)
{
    struct amqp_value v;
    int64_t priority;

    if (!amqp_table_find(arguments, "x-priority", &v) ||
        (amqp_value_integer(&v, &priority) && priority >= INT32_MIN && priority <= INT32_MAX))
        return true;
    channel_fail(ch, REPLY_PRECONDITION_FAILED,
                 "invalid arg 'x-priority' for queue '%.*s' in vhost '%.*s': \"expected integer, "
                 "got %s\"",
                 BYTES_FORMAT(queue->name), BYTES_FORMAT(queue->vhost->name),
                 amqp_type_name(v.tag));
    return false;
}

void method_basic_consume(struct channel *ch, const void *arguments)
{
    const struct amqp_basic_consume *in = arguments;

    if (map_get(&ch->consumers, in->consumer_tag)) {
        channel_fail(ch, REPLY_NOT_ALLOWED, "attempt to reuse consumer tag '%.*s'",
                     BYTES_FORMAT(in->consumer_tag));
        return;
    }
    if (reply_to_is_pseudo_queue(in->queue)) {
        reply_to_consume(ch, in);
        return;
    }
    struct queue *queue = channel_find_readable_queue(ch, in->queue);
    if (!queue || !arguments_are_built(ch, queue, in->arguments) ||
        !priority_is_good(ch, queue, in->arguments))
        return;
    channel_wait(ch, core_catalog_ticket(ch->conn->core), start_consumer);
}

/* ---- basic.cancel ---- */

static void stop_consumer(struct amqp_consumer *consumer)
{
    if (!consumer->is_orphan)
        queue_cancel(&consumer->base);
    consumer_free(consumer);
}

void consume_stop_all(struct channel *ch)
{
    while (!list_is_empty(&ch->consumers_by_turn))
        stop_consumer(container_of(ch->consumers_by_turn.next, struct amqp_consumer, node));
    reply_to_free(ch->reply_consumer);
    ch->reply_consumer = NULL;
}

void method_basic_cancel(struct channel *ch, const void *arguments)
{
    const struct amqp_basic_cancel *in = arguments;
    struct amqp_consumer *consumer = map_get(&ch->consumers, in->consumer_tag);

    if (consumer)
        stop_consumer(consumer);
    else
        reply_to_cancel(ch, in->consumer_tag);
    if (!in->nowait)
        send_method(ch->conn, ch->id, AMQP_BASIC_CANCEL_OK,
                    &(struct amqp_basic_cancel_ok){.consumer_tag = in->consumer_tag});
}
