#include "amqp/connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/amqp.h"
#include "amqp/amqp_messages.h"
#include "amqp/channel.h"
#include "amqp/consume.h"
#include "amqp/describe.h"
#include "amqp/door.h"
#include "amqp/frame.h"
#include "amqp/framing.h"
#include "amqp/handshake.h"
#include "amqp/holding.h"
#include "amqp/method.h"
#include "amqp/send.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "broker/queue.h"

enum { CLOSE_WAIT_S = 10, CLOSED_WAIT_S = 3 };

static struct channel *find_channel(struct connection *c, uint16_t id)
{
    if (!c->recent_channel || c->recent_channel->id != id)
        c->recent_channel = idmap_get(&c->channels, id);
    return c->recent_channel;
}

/* ---- ends ---- */

static void close_link(struct connection *c)
{
    c->state = CONNECTION_CLOSED;
    timer_stop(&c->core->timers, &c->timer);
    link_close(c->link);
}

static bool has_busy_channel(const struct connection *c)
{
    size_t position = 0;
    const struct channel *ch;

    while ((ch = idmap_next(&c->channels, &position)) != NULL)
        if (!channel_is_idle(ch))
            return true;
    return false;
}

/* What the end of a connection does, however it came: nothing is left taken, exclusive queues go.
 */
static void tear_down(struct connection *c)
{
    size_t position = 0;
    struct channel *ch;

    while ((ch = idmap_next(&c->channels, &position)) != NULL)
        channel_tear_down(ch);
    queue_delete_exclusive(c->core, &c->session);
}

static void send_close(struct connection *c, enum reply_code code, uint32_t method_id,
                       const char *text)
{
    send_method(c, 0, AMQP_CONNECTION_CLOSE,
                &(struct amqp_connection_close){
                    .reply_code = (uint16_t)code,
                    .reply_text = bytes_from_string(text),
                    .failing_class_id = (uint16_t)(method_id >> 16),
                    .failing_method_id = (uint16_t)method_id,
                });
}

void connection_fail(struct connection *c, enum reply_code code, uint32_t method_id,
                     const char *format, ...)
{
    char explanation[512], text[REPLY_TEXT_MAX + 1];
    va_list args;

    if (c->state == CONNECTION_CLOSING || c->state == CONNECTION_CLOSED)
        return;
    va_start(args, format);
    vsnprintf(explanation, sizeof explanation, format, args);
    va_end(args);
    reply_text(code, explanation, text);
    say_info("amqp", "connection closed for an error: %s peer=%s:%u user=%s", text,
             c->link->peer.host, c->link->peer.port, c->session.user ? c->session.user : "");
    metrics_add(METRIC_amqp_errors, 1);
    c->state = CONNECTION_CLOSING;
    tear_down(c);
    send_close(c, code, method_id, text);
    timer_start(&c->core->timers, &c->timer, c->core->now_ns + CLOSE_WAIT_S * 1000000000LL);
}

static const char *state_name(enum connection_state state)
{
    switch (state) {
    case CONNECTION_AWAIT_HEADER: return "pre_init";
    case CONNECTION_STARTING: return "starting";
    case CONNECTION_TUNING: return "tuning";
    case CONNECTION_OPENING: return "opening";
    case CONNECTION_RUNNING: return "running";
    case CONNECTION_DRAINING:
    case CONNECTION_CLOSING: return "closing";
    case CONNECTION_CLOSED: return "closed";
    }
    check(false);
}

void connection_fail_misplaced(struct connection *c, const struct command *command)
{
    connection_fail(c, REPLY_CHANNEL_ERROR, command->method_id,
                    "unexpected method in connection state %s", state_name(c->state));
}

/* The client has its close-ok and closes; should it not, we do. Closing first could cost it the
 * close-ok, if it has sent something meanwhile. */
static void let_client_close(struct connection *c)
{
    c->state = CONNECTION_CLOSED;
    timer_start(&c->core->timers, &c->timer, c->core->now_ns + CLOSED_WAIT_S * 1000000000LL);
}

/* Close-ok leaves when every channel has executed what came before the close (rule 24). */
static void finish_draining(struct connection *c)
{
    if (has_busy_channel(c))
        return;
    tear_down(c);
    send_simple(c, 0, AMQP_CONNECTION_CLOSE_OK);
    let_client_close(c);
}

void connection_channel_idle(struct connection *c)
{
    if (c->state == CONNECTION_DRAINING)
        finish_draining(c);
}

void connection_drop_channel(struct connection *c, struct channel *ch)
{
    idmap_remove(&c->channels, ch->id);
    c->recent_channel = NULL;
    channel_free(ch);
}

void method_connection_close(struct connection *c, const struct command *command)
{
    (void)command;
    if (c->state == CONNECTION_CLOSING) { /* both sides at once */
        send_simple(c, 0, AMQP_CONNECTION_CLOSE_OK);
        let_client_close(c);
        return;
    }
    if (c->state == CONNECTION_DRAINING || c->state == CONNECTION_CLOSED)
        return;
    c->state = CONNECTION_DRAINING;
    holding_give_up(c);
    finish_draining(c);
}

void method_connection_close_ok(struct connection *c, const struct command *command)
{
    if (c->state == CONNECTION_CLOSING)
        close_link(c);
    else if (c->state != CONNECTION_CLOSED)
        connection_fail_misplaced(c, command);
}

/* Passwords are checked when a connection opens; a new one changes nothing for this one. */
void method_connection_update_secret(struct connection *c, const struct command *command)
{
    (void)command;
    send_simple(c, 0, AMQP_CONNECTION_UPDATE_SECRET_OK);
}

/* ---- commands ---- */

/* Methods on channel 0. */
static void take_method(struct connection *c, const struct command *command)
{
    const struct method *method = method_find(command->method_id);

    if (!command->method)
        return; /* could not be decoded: the next command says so */
    if (method && method->on_connection)
        method->on_connection(c, command);
    else if (c->state != CONNECTION_CLOSING && c->state != CONNECTION_CLOSED)
        connection_fail_misplaced(c, command);
}

/* The channel of a command, opened if that is what it asks. NULL: it failed. */
static struct channel *channel_of(struct connection *c, const struct command *command)
{
    struct channel *ch = find_channel(c, command->channel);

    if (ch)
        return ch;
    if (command->method_id != AMQP_CHANNEL_OPEN) {
        connection_fail(c, REPLY_CHANNEL_ERROR, command->method_id, "expected 'channel.open'");
        return NULL;
    }
    if (c->channels.count >= c->channel_max) {
        connection_fail(
            c, REPLY_NOT_ALLOWED, 0, /* RabbitMQ names no method */
            "number of channels opened (%zu) has reached the negotiated channel_max (%u)",
            c->channels.count, c->channel_max);
        return NULL;
    }
    if (user_can_open_channel(c->session.account)) {
        connection_fail(c, REPLY_NOT_ALLOWED, command->method_id, "%s", err_text());
        return NULL;
    }
    ch = channel_new(c, command->channel);
    idmap_put(&c->channels, command->channel, ch);
    return ch;
}

static void take_channel_command(struct connection *c, struct command *command)
{
    struct channel *ch = NULL;

    if (c->state < CONNECTION_RUNNING)
        connection_fail(c, REPLY_UNEXPECTED_FRAME, command->method_id,
                        "a method on channel %u before connection.open", command->channel);
    else if (c->state == CONNECTION_RUNNING && (command->kind != COMMAND_METHOD || command->method))
        ch = channel_of(c, command);
    if (ch)
        channel_take(ch, command);
    else
        command_done(command);
}

static void take_foreign(struct connection *c, const struct command *command)
{
    static const uint8_t header[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

    say_warn("amqp", "connection refused: it sent %s, not AMQP 0-9-1 peer=%s:%u",
             command->broken.text, c->link->peer.host, c->link->peer.port);
    link_write(c->link, bytes_of(header, sizeof header)); /* s.4.2.2: what we do speak */
    close_link(c);
}

static void take(struct connection *c, struct command *command)
{
    if (command->channel) {
        take_channel_command(c, command);
        return;
    }
    switch (command->kind) {
    case COMMAND_HEADER: handshake_start(c); break;
    case COMMAND_METHOD: take_method(c, command); break;
    case COMMAND_PUBLISH:
    case COMMAND_SETTLE: connection_fail_misplaced(c, command); break;
    case COMMAND_BROKEN:
        connection_fail(c, command->broken.code, command->method_id, "%s", command->broken.text);
        break;
    case COMMAND_FOREIGN: take_foreign(c, command); break;
    }
    command_done(command);
}

static void connection_input(void *session, struct input *input)
{
    struct command *next;

    for (struct command *command = command_batch_of(input)->first; command; command = next) {
        next = command->next; /* the command may be freed, or join another list */
        command->next = NULL;
        take(session, command);
    }
}

/* ---- the timer ---- */

static void check_heartbeats(struct connection *c, int64_t now_ns)
{
    int64_t half_ns = c->heartbeat_s * 500000000LL;
    int64_t heard_ns =
        c->link->last_input_ns > c->opened_ns ? c->link->last_input_ns : c->opened_ns;
    int64_t dead_ns = heard_ns + 5 * half_ns; /* two missed, and time to travel */
    int64_t send_ns = c->link->last_output_ns + half_ns;

    if (now_ns >= dead_ns && has_busy_channel(c))
        dead_ns = now_ns + half_ns; /* its socket may not be read while commands are parked */
    if (now_ns >= dead_ns) {
        say_info("amqp", "connection closed: missed heartbeats timeout_s=%u peer=%s:%u",
                 c->heartbeat_s, c->link->peer.host, c->link->peer.port);
        close_link(c);
        return;
    }
    if (now_ns >= send_ns) {
        send_heartbeat(c);
        send_ns = now_ns + half_ns;
    }
    timer_start(&c->core->timers, &c->timer, send_ns < dead_ns ? send_ns : dead_ns);
}

void connection_start_heartbeats(struct connection *c)
{
    if (c->heartbeat_s)
        check_heartbeats(c, c->core->now_ns);
    else
        timer_stop(&c->core->timers, &c->timer);
}

static void timer_fired(struct timer *timer, int64_t now_ns)
{
    struct connection *c = container_of(timer, struct connection, timer);

    switch (c->state) {
    case CONNECTION_AWAIT_HEADER:
    case CONNECTION_STARTING:
    case CONNECTION_TUNING:
    case CONNECTION_OPENING:
        say_info("amqp", "connection closed: handshake not finished in time peer=%s:%u",
                 c->link->peer.host, c->link->peer.port);
        close_link(c);
        return;
    case CONNECTION_RUNNING:
    case CONNECTION_DRAINING: check_heartbeats(c, now_ns); return;
    case CONNECTION_CLOSING:
    case CONNECTION_CLOSED: close_link(c); return;
    }
}

/* ---- deliveries that nobody acknowledges ---- */

/* Nobody is woken when a socket takes something, so a turn is made to see it: soon, and for a reader
 * that is slow from time to time. */
#define SEE_SENT_NS INT64_C(5000000)
#define SEE_SLOW_NS INT64_C(250000000)

void connection_note_sent(struct connection *c, const struct delivery *d)
{
    /* What is written to a link that closes never leaves. */
    on_way_add(&c->on_way, d, c->link->closing ? UINT64_MAX : c->link->bytes_written);
    if (!timer_is_running(&c->on_way_timer))
        timer_start(&c->core->timers, &c->on_way_timer, c->core->now_ns + SEE_SENT_NS);
}

static void connection_sent(void *session)
{
    struct connection *c = session;

    if (!on_way_is_empty(&c->on_way))
        on_way_settle(&c->on_way, c->link->bytes_out);
}

static void look_what_was_sent(struct timer *timer, int64_t now_ns)
{
    struct connection *c = container_of(timer, struct connection, on_way_timer);

    if (!on_way_is_empty(&c->on_way)) /* the turn's reports have been seen */
        timer_start(&c->core->timers, timer, now_ns + SEE_SLOW_NS);
}

/* ---- the link's calls ---- */

static void closed_by_management(struct session *session, const char *reason)
{
    connection_fail((struct connection *)session, REPLY_CONNECTION_FORCED, 0, "%s", reason);
}

/* Strangers have only so much room together. */
static void come_in(struct connection *c)
{
    struct connection *leaves = door_enter(c);

    if (!leaves)
        return;
    say_warn("amqp", "too many connections that have not logged in, closing the oldest: peer=%s:%u",
             leaves->link->peer.host, leaves->link->peer.port);
    close_link(leaves);
}

static void *connection_open(void *core, struct link *link)
{
    struct connection *c = xzalloc(sizeof *c);

    c->core = core;
    c->link = link;
    c->opened_ns = c->core->now_ns;
    c->frame_max = AMQP_FRAME_MAX_BYTES;
    c->timer.fire = timer_fired;
    c->on_way_timer.fire = look_what_was_sent;
    holding_init(c);
    c->session = (struct session){.link = link,
                                  .protocol = amqp_protocol.name,
                                  .opened_wall_ms = c->core->wall_ms,
                                  .close = closed_by_management,
                                  .view = &amqp_session_view};
    session_add(c->core, &c->session);
    timer_start(&c->core->timers, &c->timer, c->opened_ns + HANDSHAKE_MAX_S * 1000000000LL);
    come_in(c);
    return c;
}

static void connection_broken(void *session, enum err code, const char *text)
{
    struct connection *c = session;
    (void)code;
    connection_fail(c, REPLY_FRAME_ERROR, 0, "%s", text);
    close_link(c);
}

static void connection_gone(void *session)
{
    struct connection *c = session;
    size_t position = 0;
    struct channel *ch;

    door_leave(c);
    tear_down(c);
    on_way_return(&c->on_way);
    timer_stop(&c->core->timers, &c->on_way_timer);
    holding_stop(c);
    while ((ch = idmap_next(&c->channels, &position)) != NULL)
        channel_free(ch);
    idmap_reset(&c->channels);
    timer_stop(&c->core->timers, &c->timer);
    access_reset(&c->access);
    session_remove(&c->session);
    bytes_free(c->client_properties);
    free(c);
}

static void connection_drained(void *session)
{
    struct connection *c = session;
    size_t position = 0;
    struct channel *ch;

    while ((ch = idmap_next(&c->channels, &position)) != NULL)
        channel_wake_consumers(ch);
}

const struct core_half amqp_core_half = {
    .open = connection_open,
    .input = connection_input,
    .broken = connection_broken,
    .gone = connection_gone,
    .sent = connection_sent,
    .drained = connection_drained,
};

const struct protocol amqp_protocol = {
    .name = "amqp",
    .framing = &amqp_framing,
    .core = &amqp_core_half,
    .buffer_max_bytes = AMQP_FRAME_MAX_BYTES + FRAME_EMPTY_BYTES,
};
