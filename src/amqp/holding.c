#include "amqp/holding.h"

#include "amqp/amqp_messages.h"
#include "amqp/send.h"
#include "base/metrics.h"
#include "base/say.h"
#include "broker/hold.h"

/* What a connection may keep under an alarm, which can last. */
enum { ALARM_HELD_BYTES = 1 << 20 };

bool holding_must_hold(const struct channel *ch, const struct command *command)
{
    bool publishes =
        command->kind == COMMAND_PUBLISH || (ch->tx && command->method_id == AMQP_TX_COMMIT);

    return publishes && ch->state == CHANNEL_OPEN && core_holds(ch->conn->core);
}

bool holding_may_pass(const struct channel *ch, const struct command *command)
{
    bool passes = command->kind == COMMAND_SETTLE || command->method_id == AMQP_BASIC_CANCEL;

    return ch->is_held && passes && ch->parked.fence_count == 0;
}

/* ---- what the client is told ---- */

static struct bytes reason_of(unsigned holds)
{
    if (holds & HOLD_DISK && holds & HOLD_MEMORY)
        return BYTES_LITERAL("low on memory & low on disk");
    return holds & HOLD_DISK ? BYTES_LITERAL("low on disk") : BYTES_LITERAL("low on memory");
}

static void tell(struct connection *c, unsigned holds)
{
    bool is_alarm = holds & HOLD_ALARMS;

    if (is_alarm == c->is_blocked)
        return;
    c->is_blocked = is_alarm;
    if (is_alarm)
        say_info("amqp", "connection blocked: %.*s peer=%s:%u", BYTES_FORMAT(reason_of(holds)),
                 c->link->peer.host, c->link->peer.port);
    if (!c->client_takes_blocked || c->state != CONNECTION_RUNNING)
        return;
    if (is_alarm)
        send_method(c, 0, AMQP_CONNECTION_BLOCKED,
                    &(struct amqp_connection_blocked){.reason = reason_of(holds)});
    else
        send_simple(c, 0, AMQP_CONNECTION_UNBLOCKED);
}

/* ---- memory ---- */

/* Beyond what it may keep the connection is not read; its peer waits, as its socket does. */
static void review_reading(struct connection *c)
{
    bool is_over = c->held_bytes > ALARM_HELD_BYTES && c->is_blocked;
    bool must_pause = !list_is_empty(&c->held) && (is_over || core_holds_too_much(c->core));

    if (must_pause != c->is_paused)
        link_pause_input(c->link, must_pause);
    c->is_paused = must_pause;
}

void holding_count(struct channel *ch)
{
    struct connection *c = ch->conn;
    int64_t more = (int64_t)ch->parked.publishes_bytes - (int64_t)ch->counted_bytes;

    if (more == 0)
        return;
    ch->counted_bytes = ch->parked.publishes_bytes;
    c->held_bytes += more;
    core_hold_bytes(c->core, more);
}

/* ---- holding ---- */

void holding_hold(struct channel *ch)
{
    struct connection *c = ch->conn;

    if (!ch->is_held) {
        ch->is_held = true;
        parked_let_settles_pass(&ch->parked);
        list_push_back(&c->held, &ch->held);
    }
    holding_count(ch);
    core_watch_holds(c->core, &c->hold_watch);
    unsigned holds = core_holds(c->core);
    if (holds & HOLD_ALARMS)
        tell(c, holds);
    review_reading(c);
}

void holding_let_go(struct channel *ch)
{
    ch->is_held = false;
    list_remove(&ch->held);
    holding_count(ch);
    if (ch->conn->is_paused)
        review_reading(ch->conn);
}

/* Channels that are held again come to the end of another list, so this ends. */
static void go_on(struct connection *c, bool only_closing)
{
    struct list held;
    struct list *node;

    list_init(&held);
    while ((node = list_pop_front(&c->held)))
        list_push_back(&held, node);
    while ((node = list_pop_front(&held))) {
        struct channel *ch = container_of(node, struct channel, held);
        if (only_closing)
            parked_drop_before_close(&ch->parked);
        channel_go_on(ch);
    }
}

static void holds_changed(struct hold_watch *watch)
{
    struct connection *c = container_of(watch, struct connection, hold_watch);
    unsigned holds = core_holds(c->core);

    if (holds == 0 || holds & HOLD_ALARMS)
        go_on(c, holds & HOLD_ALARMS);
    if (c->is_blocked)
        tell(c, holds);
    if (!list_is_empty(&c->held) || c->is_blocked)
        core_watch_holds(c->core, &c->hold_watch);
    review_reading(c);
}

void holding_give_up(struct connection *c)
{
    struct list *node;

    if (!(core_holds(c->core) & HOLD_ALARMS))
        return;
    while ((node = list_pop_front(&c->held))) {
        struct channel *ch = container_of(node, struct channel, held);
        parked_drop(&ch->parked);
        holding_let_go(ch);
    }
}

void holding_init(struct connection *c)
{
    list_init(&c->held);
    c->hold_watch.changed = holds_changed;
}

void holding_stop(struct connection *c)
{
    core_unwatch_holds(&c->hold_watch);
}
