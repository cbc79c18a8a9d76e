#include "amqp/describe.h"

#include "amqp/consume.h"
#include "amqp/tx.h"
#include "base/check.h"

static enum session_state running_state_of(const struct connection *c)
{
    if (c->is_blocked)
        return SESSION_BLOCKED;
    if (!list_is_empty(&c->held))
        return SESSION_FLOW;
    return core_holds(c->core) & HOLD_ALARMS ? SESSION_BLOCKING : SESSION_RUNNING;
}

static enum session_state state_of(const struct connection *c)
{
    switch (c->state) {
    case CONNECTION_AWAIT_HEADER:
    case CONNECTION_STARTING:
    case CONNECTION_TUNING:
    case CONNECTION_OPENING: return SESSION_STARTING;
    case CONNECTION_RUNNING: return running_state_of(c);
    case CONNECTION_DRAINING:
    case CONNECTION_CLOSING:
    case CONNECTION_CLOSED: return SESSION_CLOSING;
    }
    check(false);
}

static void describe(const struct session *session, struct session_description *out)
{
    const struct connection *c = (const struct connection *)session;

    out->protocol = "AMQP 0-9-1";
    out->mechanism = c->mechanism;
    out->client_properties = c->client_properties;
    out->state = state_of(c);
    out->frame_max_bytes = c->frame_max;
    out->channel_max = c->channel_max;
    out->heartbeat_s = c->heartbeat_s;
    out->channel_count = c->channels.count;
}

/* False: it is about to end. */
static bool describe_channel(const struct channel *ch, struct channel_description *out)
{
    if (ch->state != CHANNEL_OPEN)
        return false;
    *out = (struct channel_description){
        .session = &ch->conn->session,
        .number = ch->id,
        .state = state_of(ch->conn),
        .confirms = ch->confirming,
        .is_transactional = ch->tx != NULL,
        .prefetch = ch->prefetch,
        .global_prefetch = ch->window,
        .consumer_count = ch->consumers.count,
        .unacked = ch->unacked.open_count,
        .unconfirmed = ch->confirms.last - ch->confirms.answered,
        .counters = ch->counters,
    };
    if (ch->tx) {
        out->uncommitted = ch->tx->publishes.count;
        out->acks_uncommitted = ch->tx->settles.count;
    }
    return true;
}

static bool find_channel(struct session *session, uint16_t number, struct channel_description *out)
{
    const struct connection *c = (const struct connection *)session;
    const struct channel *ch = idmap_get(&c->channels, number);

    return ch && describe_channel(ch, out);
}

static void each_channel(struct session *session, channel_fn *each, void *ctx)
{
    struct connection *c = (struct connection *)session;
    size_t position = 0;
    const struct channel *ch;

    while ((ch = idmap_next(&c->channels, &position)) != NULL) {
        struct channel_description d;
        if (describe_channel(ch, &d))
            each(ctx, &d);
    }
}

void describe_consumer(const struct consumer *base, struct consumer_description *out)
{
    const struct amqp_consumer *consumer = (const struct amqp_consumer *)base;

    out->session = &consumer->channel->conn->session;
    out->channel = consumer->channel->id;
    out->tag = consumer->tag;
    out->arguments = consumer->arguments;
    out->queue = base->queue;
    out->prefetch = consumer->window;
    out->timeout_ms = consumer->timeout_ms;
    out->acks = !base->no_ack;
    out->is_exclusive = base->exclusive;
    out->is_active = !base->standby;
}

static void each_consumer(struct session *session, uint16_t channel, consumer_fn *each, void *ctx)
{
    const struct connection *c = (const struct connection *)session;
    const struct channel *ch = idmap_get(&c->channels, channel);

    if (!ch)
        return;
    list_each (node, &ch->consumers_by_turn) {
        const struct amqp_consumer *consumer = container_of(node, struct amqp_consumer, node);
        struct consumer_description d;
        if (consumer->is_orphan)
            continue;
        describe_consumer(&consumer->base, &d);
        each(ctx, &d);
    }
}

const struct session_view amqp_session_view = {
    .describe = describe,
    .each_channel = each_channel,
    .describe_channel = find_channel,
    .each_consumer = each_consumer,
};
