#include "amqp/channel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "amqp/consume.h"
#include "amqp/deliveries.h"
#include "amqp/holding.h"
#include "amqp/method.h"
#include "amqp/publish.h"
#include "amqp/send.h"
#include "amqp/tx.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "broker/hold.h"

void channel_yield(struct channel *ch, channel_step *next)
{
    channel_wait_again(ch, next);
    core_wait(ch->conn->core, &ch->wait, (struct ticket){0}, STAGE_COMMITTED);
}

static void wait_is_over(struct wait *wait);

struct channel *channel_new(struct connection *c, uint16_t id)
{
    struct channel *ch = xzalloc(sizeof *ch);

    ch->conn = c;
    ch->id = id;
    ch->wait.ready = wait_is_over;
    list_init(&ch->consumers_by_turn);
    publish_init(ch);
    deliveries_init(ch);
    metrics_add(METRIC_channels_opened, 1);
    c->session.account->channel_count++;
    return ch;
}

/* What it has counted goes on counting for its vhost. */
static void leave_counters(struct channel *ch)
{
    if (!ch->counters)
        return;
    counters_add_all(&ch->conn->vhost->counters, ch->counters);
    counters_free(ch->counters);
    ch->counters = NULL;
}

void channel_tear_down(struct channel *ch)
{
    if (ch->waiting) {
        core_wait_cancel(&ch->wait);
        ch->waiting = false;
        command_done(ch->current);
        ch->current = NULL;
    }
    parked_drop(&ch->parked);
    holding_let_go(ch);
    deliveries_forget_timeouts(ch);
    consume_stop_all(ch);
    settle_return_all(ch);
    publish_forget(ch);
    ch->confirming = false;
    leave_counters(ch);
}

void channel_free(struct channel *ch)
{
    channel_tear_down(ch);
    check(!ch->current);
    unacked_reset(&ch->unacked);
    confirms_reset(&ch->confirms);
    map_reset(&ch->consumers);
    tx_free(ch->tx);
    ch->conn->session.account->channel_count--;
    free((void *)ch->last_queue.data);
    metrics_add(METRIC_channels_closed, 1);
    free(ch);
}

/* ---- errors ---- */

static void send_close(struct channel *ch, enum reply_code code, uint32_t method_id,
                       const char *text)
{
    send_method(ch->conn, ch->id, AMQP_CHANNEL_CLOSE,
                &(struct amqp_channel_close){
                    .reply_code = (uint16_t)code,
                    .reply_text = bytes_from_string(text),
                    .failing_class_id = (uint16_t)(method_id >> 16),
                    .failing_method_id = (uint16_t)method_id,
                });
}

void channel_fail(struct channel *ch, enum reply_code code, const char *format, ...)
{
    char explanation[512], text[REPLY_TEXT_MAX + 1];
    uint32_t method_id = ch->current && !ch->waiting ? ch->current->method_id : 0;
    va_list args;

    va_start(args, format);
    vsnprintf(explanation, sizeof explanation, format, args);
    va_end(args);
    if (reply_closes_connection(code)) {
        connection_fail(ch->conn, code, method_id, "%s", explanation);
        return;
    }
    reply_text(code, explanation, text);
    say_info("amqp", "channel closed for an error: %s channel=%u peer=%s:%u user=%s", text, ch->id,
             ch->conn->link->peer.host, ch->conn->link->peer.port, ch->conn->session.user);
    metrics_add(METRIC_amqp_errors, 1);
    ch->state = CHANNEL_CLOSING;
    channel_tear_down(ch);
    send_close(ch, code, method_id, text);
}

void channel_fail_err(struct channel *ch, enum err err, const char *what)
{
    channel_fail(ch, reply_from_err(err), "%s: %s", what, err_message(err));
}

void channel_fail_as(struct channel *ch, enum err err)
{
    channel_fail(ch, reply_from_err(err), "%s", err_text());
}

struct declarer channel_declarer(const struct channel *ch)
{
    return (struct declarer){.session = &ch->conn->session, .user = ch->conn->session.account};
}

bool channel_may(struct channel *ch, enum access_right right, enum access_kind kind,
                 struct bytes name)
{
    enum err err = access_ask(&ch->conn->access, right, kind, name);

    if (err)
        channel_fail_as(ch, err);
    return !err;
}

/* ---- execution ---- */

static void run_method(struct channel *ch, const struct command *command)
{
    const struct method *method = method_find(command->method_id);

    if (method && method->on_channel)
        method->on_channel(ch, command->arguments);
    else
        channel_fail(ch, REPLY_COMMAND_INVALID, "unimplemented method");
}

/* After our channel.close only its answer counts, or a close that crossed it. */
static void run_while_closing(struct channel *ch, const struct command *command)
{
    if (command->method_id == AMQP_CHANNEL_CLOSE_OK)
        ch->state = CHANNEL_CLOSED;
    else if (command->method_id == AMQP_CHANNEL_CLOSE)
        send_simple(ch->conn, ch->id, AMQP_CHANNEL_CLOSE_OK);
}

static void run(struct channel *ch, struct command *command)
{
    if (ch->state == CHANNEL_CLOSING) {
        run_while_closing(ch, command);
        return;
    }
    switch (command->kind) {
    case COMMAND_PUBLISH: channel_publish(ch, &command->publish); return;
    case COMMAND_SETTLE: channel_settle(ch, &command->settle); return;
    case COMMAND_METHOD: run_method(ch, command); return;
    case COMMAND_HEADER:
    case COMMAND_BROKEN:
    case COMMAND_FOREIGN: break;
    }
    check(false); /* those have no channel */
}

/* The next command that may run; NULL: there is none, or it is held. */
static struct command *next_command(struct channel *ch)
{
    struct command *first = ch->parked.first;

    if (first && holding_must_hold(ch, first)) {
        holding_hold(ch);
        first = ch->parked.first; /* a settle may have passed */
        if (holding_must_hold(ch, first))
            return NULL;
    } else if (first && ch->is_held && first->kind == COMMAND_PUBLISH) {
        holding_let_go(ch);
    }
    return parked_pop(&ch->parked);
}

/* The current command has run; end it unless it waits, and go on with those behind it. */
static void finish_and_go_on(struct channel *ch)
{
    struct connection *c = ch->conn;

    while (!ch->waiting) {
        if (ch->current)
            command_done(ch->current);
        ch->current = NULL;
        if (ch->state == CHANNEL_CLOSED) {
            connection_drop_channel(c, ch);
            connection_channel_idle(c);
            return;
        }
        ch->current = next_command(ch);
        if (!ch->current) {
            holding_count(ch);
            connection_channel_idle(c);
            return;
        }
        run(ch, ch->current);
    }
}

/* A close under an alarm gives up what is held before it. */
static bool gives_up(const struct channel *ch, const struct command *command)
{
    return ch->is_held && command->method_id == AMQP_CHANNEL_CLOSE &&
           core_holds(ch->conn->core) & HOLD_ALARMS;
}

void channel_take(struct channel *ch, struct command *command)
{
    bool is_free = !ch->current && !ch->parked.first && !holding_must_hold(ch, command);

    if (gives_up(ch, command)) {
        parked_drop(&ch->parked);
        holding_let_go(ch);
        is_free = !ch->current;
    }
    if (!is_free && (ch->current || !holding_may_pass(ch, command))) {
        parked_push(&ch->parked, command);
        if (!ch->current)
            holding_hold(ch);
        return;
    }
    ch->current = command;
    run(ch, command);
    finish_and_go_on(ch);
}

void channel_go_on(struct channel *ch)
{
    holding_let_go(ch);
    if (!ch->current)
        finish_and_go_on(ch);
}

static void fail_frozen(struct channel *ch)
{
    channel_fail(ch, REPLY_INTERNAL_ERROR, "the disk failed: this cannot be made durable");
}

void channel_wait(struct channel *ch, struct ticket ticket, channel_step *next)
{
    struct core *core = ch->conn->core;

    if (store_is_done(core->store, ticket, STAGE_COMMITTED)) {
        next(ch);
        return;
    }
    if (store_is_frozen(core->store)) {
        fail_frozen(ch);
        return;
    }
    ch->next_step = next;
    ch->waiting = true;
    core_wait(core, &ch->wait, ticket, STAGE_COMMITTED);
    core_watch_progress(core, &ch->watch); /* which tells a failed disk */
}

void channel_fail_frozen(struct channel *ch)
{
    if (!ch->waiting || !store_is_frozen(ch->conn->core->store))
        return;
    core_wait_cancel(&ch->wait);
    ch->waiting = false;
    fail_frozen(ch);
    finish_and_go_on(ch);
}

void channel_wait_again(struct channel *ch, channel_step *next)
{
    ch->next_step = next;
    ch->waiting = true;
}

static void wait_is_over(struct wait *wait)
{
    struct channel *ch = container_of(wait, struct channel, wait);

    check(ch->waiting);
    ch->waiting = false;
    ch->next_step(ch);
    finish_and_go_on(ch);
}
