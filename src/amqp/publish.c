#include "amqp/publish.h"

#include <stdio.h>

#include "amqp/amqp.h"
#include "amqp/amqp_messages.h"
#include "amqp/method.h"
#include "amqp/properties.h"
#include "amqp/reply_to.h"
#include "amqp/send.h"
#include "amqp/tracing.h"
#include "amqp/tx.h"
#include "base/metrics.h"
#include "broker/extra_keys.h"

/* ---- confirms ---- */

static void send_ack(struct channel *ch, uint64_t tag, bool multiple)
{
    send_method(ch->conn, ch->id, AMQP_BASIC_ACK,
                &(struct amqp_basic_ack){.delivery_tag = tag, .multiple = multiple});
}

static void send_nack(struct channel *ch, uint64_t tag)
{
    send_method(ch->conn, ch->id, AMQP_BASIC_NACK, &(struct amqp_basic_nack){.delivery_tag = tag});
}

/* Answer the resolved front of the ring. */
static void flush_confirms(struct channel *ch)
{
    uint64_t first, last;
    bool refused;

    while (confirms_next(&ch->confirms, ch->conn->core->store, &first, &last, &refused)) {
        if (!refused) {
            send_ack(ch, last, last > first);
            counters_add(&ch->counters, COUNTER_confirm, last - first + 1);
            metrics_add(METRIC_messages_confirmed, last - first + 1);
        }
        for (uint64_t tag = first; refused && tag <= last; tag++)
            send_nack(ch, tag);
    }
    if (confirms_is_empty(&ch->confirms) && !ch->waiting)
        core_unwatch_progress(&ch->watch);
    else
        core_watch_progress(ch->conn->core, &ch->watch);
}

static void progressed(struct progress_watch *watch)
{
    struct channel *ch = container_of(watch, struct channel, watch);

    flush_confirms(ch);
    channel_fail_frozen(ch);
}

static void turn_ends(struct deferred *deferred)
{
    flush_confirms(container_of(deferred, struct channel, confirm_flush));
}

void publish_init(struct channel *ch)
{
    ch->watch.progressed = progressed;
    ch->confirm_flush.run = turn_ends;
}

void publish_forget(struct channel *ch)
{
    core_unwatch_progress(&ch->watch);
    core_defer_cancel(&ch->confirm_flush);
    confirms_reset(&ch->confirms);
}

void publish_start_confirms(struct channel *ch)
{
    ch->confirming = true;
}

static void confirm_later(struct channel *ch, struct ticket ticket, enum stage stage)
{
    if (!ch->confirming)
        return;
    confirms_add(&ch->confirms, ticket, stage);
    core_defer(ch->conn->core, &ch->confirm_flush);
}

/* ---- publishing ---- */

/* What is refused whatever exchange it is for. */
static bool is_possible(struct channel *ch, const struct command_publish *publish)
{
    if (publish->flags & PUBLISH_IMMEDIATE) {
        channel_fail(ch, REPLY_NOT_IMPLEMENTED, "immediate=true");
        return false;
    }
    if (publish->flags & PUBLISH_TOO_LARGE) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED,
                     "message size %llu is larger than configured max size %llu",
                     (unsigned long long)publish->body_size,
                     (unsigned long long)amqp_configuration()->message_max_bytes);
        return false;
    }
    return true;
}

/* Properties that are rare, and must be refused where they are wrong, not ignored. */
static bool is_acceptable(struct channel *ch, const struct command_publish *publish)
{
    const struct message *m = &publish->message;
    const struct user *user = ch->conn->session.account;
    struct properties properties;
    char why[300];

    if (publish->flags & PUBLISH_BAD_PROPERTIES || !properties_read(m->properties, &properties)) {
        channel_fail(ch, REPLY_SYNTAX_ERROR, "malformed properties of a message");
        return false;
    }
    if (publish->flags & PUBLISH_HAS_FAST_REPLY_TO && !ch->reply_consumer) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "fast reply consumer does not exist");
        return false;
    }
    if (publish->flags & PUBLISH_HAS_EXPIRATION &&
        message_expiration_is_wrong(properties.expiration, why, sizeof why)) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "invalid expiration '%.*s': %s",
                     BYTES_FORMAT(properties.expiration), why);
        return false;
    }
    if (publish->flags & PUBLISH_HAS_USER_ID && !bytes_equal(properties.user_id, user->name) &&
        !user_may(user, USER_IMPERSONATOR)) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED,
                     "user_id property set to '%.*s' but authenticated user was '%.*s'",
                     BYTES_FORMAT(properties.user_id), BYTES_FORMAT(user->name));
        return false;
    }
    return true;
}

/* Of a message's own keys, CC and BCC. */
static enum err ask_extra_keys(struct channel *ch, const struct message *m)
{
    struct extra_keys extra = {0};
    enum err err = extra_keys_read(m, &extra);

    if (err)
        err = err_set(E_PRECONDITION, "invalid message: %s", err_text());
    for (size_t i = 0; i < extra.keys.count && !err; i++)
        err = access_ask_topic(&ch->conn->access, ACCESS_WRITE, m->exchange, extra.keys.items[i]);
    extra_keys_reset(&extra);
    return err;
}

/* May the user publish with these keys to a topic exchange? */
static bool may_use_keys(struct channel *ch, const struct command_publish *publish)
{
    const struct message *m = &publish->message;
    enum err err = access_ask_topic(&ch->conn->access, ACCESS_WRITE, m->exchange, m->routing_key);

    if (!err && publish->flags & PUBLISH_HAS_EXTRA_KEYS && ch->conn->access.has_topic_permissions)
        err = ask_extra_keys(ch, m);
    if (err)
        channel_fail_as(ch, err);
    return !err;
}

/* The exchange a message is for; NULL: it failed. */
static struct exchange *find_exchange(struct channel *ch, struct bytes name)
{
    struct exchange *exchange = channel_may(ch, ACCESS_WRITE, ACCESS_EXCHANGE, name)
                                    ? channel_find_exchange(ch, name)
                                    : NULL;

    if (exchange && exchange->internal) {
        channel_fail(ch, REPLY_ACCESS_REFUSED,
                     "cannot publish to internal exchange '%.*s' in vhost '%.*s'",
                     BYTES_FORMAT(name), BYTES_FORMAT(ch->conn->vhost->name));
        return NULL;
    }
    return exchange;
}

/* Nobody took it: that is an answer of its own, not a failure. */
static void publish_nowhere(struct channel *ch, const struct command_publish *publish)
{
    if (publish->flags & PUBLISH_MANDATORY) {
        send_return(ch->conn, ch->id, REPLY_NO_ROUTE, &publish->message);
        counters_add(&ch->counters, COUNTER_return_unroutable, 1);
        metrics_add(METRIC_messages_returned, 1);
    } else {
        counters_add(&ch->counters, COUNTER_drop_unroutable, 1);
        metrics_add(METRIC_messages_dropped, 1);
    }
    confirm_later(ch, (struct ticket){0}, STAGE_WRITTEN);
}

/* Without confirms nobody is told of a queue that is full (RabbitMQ). */
static void refuse_publish(struct channel *ch, enum err err)
{
    if (!ch->confirming) {
        if (err != E_FULL)
            channel_fail_err(ch, err, "cannot store the message");
        return;
    }
    confirms_refuse(&ch->confirms);
    core_defer(ch->conn->core, &ch->confirm_flush);
}

static void count_publish(struct channel *ch, struct exchange *exchange, size_t queue_count,
                          size_t body_bytes)
{
    exchange_count(exchange, queue_count);
    counters_add_message(body_bytes);
    counters_add(&ch->counters, COUNTER_publish, 1);
    if (ch->confirming)
        metrics_add(METRIC_messages_received_confirm, 1);
}

static void store(struct channel *ch, const struct command_publish *publish,
                  struct exchange *exchange, struct route route)
{
    const struct message *m = &publish->message;
    struct ticket ticket;

    count_publish(ch, exchange, route.count, m->body.size);
    if (route.count == 0) {
        publish_nowhere(ch, publish);
        return;
    }
    enum err err = queue_publish(ch->conn->core, route, m, &ticket);
    if (err)
        refuse_publish(ch, err);
    else if (ch->tx)
        ticket_join(&ch->tx->ticket, ticket);
    else
        confirm_later(ch, ticket, m->persistent ? STAGE_COMMITTED : STAGE_WRITTEN);
}

typedef VEC(struct queue *) queue_list;

/* Its copy is routed as well, and a route is valid until the next one: returns another one. */
static struct route trace(const struct channel *ch, const struct message *m, struct route route,
                          queue_list *queues)
{
    VEC(struct bytes) names = {0};

    for (size_t i = 0; i < route.count; i++) {
        vec_push(queues, route.queues[i]);
        if (route.queues[i]->name.size) /* not one that keeps what is delayed */
            vec_push(&names, route.queues[i]->name);
    }
    tracing_published(ch, m, names.items, names.count);
    vec_reset(&names);
    return (struct route){queues->items, queues->count};
}

/* Store it with these properties; traced it is as it came. */
static void store_with(struct channel *ch, struct command_publish *publish,
                       struct exchange *exchange, struct route route, struct bytes properties)
{
    struct message *m = &publish->message;
    struct bytes came_with = m->properties;
    queue_list queues = {0};

    if (channel_is_traced(ch))
        route = trace(ch, m, route, &queues);
    m->properties = properties;
    store(ch, publish, exchange, route);
    m->properties = came_with;
    vec_reset(&queues);
}

static void publish_with_extra_keys(struct channel *ch, struct command_publish *publish,
                                    struct exchange *exchange)
{
    struct message *m = &publish->message;
    struct extra_keys extra = {0};

    if (extra_keys_read(m, &extra)) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "invalid message: %s", err_text());
    } else {
        struct bytes properties = m->properties;
        struct route route = exchange_route_keys(exchange, m, extra.keys.items, extra.keys.count);
        if (extra.properties.size && !route_is_delayed(route))
            properties = text_bytes(&extra.properties);
        store_with(ch, publish, exchange, route, properties);
    }
    extra_keys_reset(&extra);
}

/* An answer: whoever waits for it gets it now, or nobody. It counts as routed (RabbitMQ 4.2). */
static void publish_answer(struct channel *ch, struct exchange *exchange, const struct message *m)
{
    count_publish(ch, exchange, 1, m->body.size);
    if (channel_is_traced(ch))
        tracing_published(ch, m, &m->routing_key, 1);
    reply_to_deliver(ch->conn->vhost, m);
    confirm_later(ch, (struct ticket){0}, STAGE_WRITTEN);
}

/* Route and store. */
static void publish_to(struct channel *ch, struct command_publish *publish,
                       struct exchange *exchange)
{
    if (exchange->name.size == 0 && reply_to_is_address(publish->message.routing_key))
        publish_answer(ch, exchange, &publish->message);
    else if (publish->flags & PUBLISH_HAS_EXTRA_KEYS)
        publish_with_extra_keys(ch, publish, exchange);
    else if (channel_is_traced(ch))
        store_with(ch, publish, exchange, exchange_route(exchange, &publish->message),
                   publish->message.properties);
    else
        store(ch, publish, exchange, exchange_route(exchange, &publish->message));
}

void publish_now(struct channel *ch, struct command_publish *publish)
{
    struct exchange *exchange = exchange_find(ch->conn->vhost, publish->message.exchange);

    if (exchange)
        publish_to(ch, publish, exchange);
}

void channel_publish(struct channel *ch, struct command_publish *publish)
{
    enum {
        IMPOSSIBLE = PUBLISH_IMMEDIATE | PUBLISH_TOO_LARGE,
        UNUSUAL = PUBLISH_HAS_FAST_REPLY_TO | PUBLISH_BAD_PROPERTIES | PUBLISH_HAS_EXPIRATION |
                  PUBLISH_HAS_USER_ID
    };

    if (publish->flags & IMPOSSIBLE && !is_possible(ch, publish))
        return;
    struct exchange *exchange = find_exchange(ch, publish->message.exchange);
    if (!exchange || (publish->flags & UNUSUAL && !is_acceptable(ch, publish)) ||
        (exchange->kind == EXCHANGE_TOPIC && !may_use_keys(ch, publish)))
        return;
    struct text properties = {0};
    if (publish->flags & PUBLISH_HAS_FAST_REPLY_TO) {
        reply_to_put_properties(ch, &publish->message, &properties);
        publish->message.properties = text_bytes(&properties);
    }
    if (ch->tx)
        tx_keep_publish(ch, publish);
    else
        publish_to(ch, publish, exchange);
    text_reset(&properties);
}
