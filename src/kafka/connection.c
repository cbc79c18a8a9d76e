#include "kafka/connection.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "broker/session.h"
#include "kafka/api.h"
#include "kafka/fetch_session.h"
#include "kafka/kafka_messages.h"
#include "kafka/request.h"

static bool start_if_allowed(struct connection *c, struct request *r);
static void close_by_management(struct session *s, const char *reason);
static void close_when_idle(struct timer *timer, int64_t now_ns);

static void describe(const struct session *s, struct session_description *out)
{
    (void)s;
    out->protocol = "Kafka";
}

static const struct session_view session_view = {.describe = describe};

#define IDLE_NS (CONNECTION_IDLE_MS * INT64_C(1000000))

/* ---- life of a connection ---- */

static void *connection_open(void *core, struct link *link)
{
    struct connection *c = xzalloc(sizeof *c);
    c->core = core;
    c->link = link;
    c->config = kafka_config_of(link->protocol);
    list_init(&c->requests);
    list_init(&c->fetch_sessions);
    c->session.link = link;
    c->session.protocol = "kafka";
    c->session.opened_wall_ms = c->core->wall_ms;
    c->session.close = close_by_management;
    c->session.view = &session_view;
    session_add(c->core, &c->session);
    c->idle.fire = close_when_idle;
    timer_start(&c->core->timers, &c->idle, c->core->now_ns + IDLE_NS);
    return c;
}

/* One timer that looks now and then, instead of one that each request moves. */
static void close_when_idle(struct timer *timer, int64_t now_ns)
{
    struct connection *c = container_of(timer, struct connection, idle);
    int64_t due_ns = c->link->last_input_ns + IDLE_NS;
    if (due_ns <= now_ns && list_is_empty(&c->requests)) {
        say_debug("kafka", "connection closed: idle peer=%s:%u", c->link->peer.host,
                  (unsigned)c->link->peer.port);
        c->is_failed = true;
        link_close(c->link);
        return;
    }
    timer_start(&c->core->timers, timer, due_ns > now_ns ? due_ns : now_ns + IDLE_NS);
}

static void connection_gone(void *session)
{
    struct connection *c = session;
    struct list *node;
    c->is_failed = true;
    timer_stop(&c->core->timers, &c->idle);
    while ((node = list_pop_front(&c->requests)))
        request_free(container_of(node, struct request, node));
    fetch_sessions_orphan(&c->fetch_sessions);
    session_remove(&c->session);
    free(c);
}

static void connection_input(void *session, struct input *input)
{
    struct connection *c = session;
    struct request *r = container_of(input, struct request, input);
    r->connection = c;
    arena_init(&r->arena, REPLY_MAX_BYTES);
    list_push_back(&c->requests, &r->node);
    if (r->wire->key != KAFKA_API_VERSIONS) /* which tells more */
        connection_set_client(c, r->client_id, BYTES_NULL);
    if (!r->api->in_turn)
        start_if_allowed(c, r);
    connection_flush(c);
}

static void connection_broken(void *session, enum err code, const char *text)
{
    struct connection *c = session;
    connection_break(c, text[0] ? text : err_name(code));
}

static void connection_drained(void *session)
{
    connection_flush(session);
}

const struct core_half connection_core_half = {
    .open = connection_open,
    .input = connection_input,
    .broken = connection_broken,
    .gone = connection_gone,
    .drained = connection_drained,
};

void connection_break(struct connection *c, const char *why)
{
    if (c->is_failed)
        return;
    c->is_failed = true;
    metrics_add(METRIC_kafka_errors, 1);
    say_info("kafka", "connection closed: %s peer=%s:%u client=%s", why, c->link->peer.host,
             (unsigned)c->link->peer.port, c->session.client ? c->session.client : "-");
    link_close(c->link);
}

static void close_by_management(struct session *s, const char *reason)
{
    connection_break(container_of(s, struct connection, session), reason);
}

void connection_address(const struct connection *c, struct bytes *out_host, int32_t *out_port)
{
    const struct kafka_config *config = c->config;
    *out_host =
        bytes_from_string(config->advertised_host ? config->advertised_host : c->link->local.host);
    *out_port = config->advertised_port ? config->advertised_port : c->link->local.port;
}

static bool is_printable(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++)
        if (b.data[i] < ' ' || b.data[i] > '~')
            return false;
    return true;
}

void connection_set_client(struct connection *c, struct bytes name, struct bytes version)
{
    enum { SHOWN_MAX = 64 };
    if (c->session.client || name.size == 0 || name.size > SHOWN_MAX || version.size > SHOWN_MAX ||
        !is_printable(name) || !is_printable(version))
        return;
    c->session.client =
        xasprintf("%.*s%s%.*s", BYTES_FORMAT(name), version.size ? " " : "", BYTES_FORMAT(version));
}

/* ---- the queue ---- */

/* True when the request was started by this call, or had been. */
static bool start_if_allowed(struct connection *c, struct request *r)
{
    if (r->is_started)
        return true;
    if (c->is_failed || c->holder)
        return false;
    if (r->api->in_turn && link_pending_bytes(c->link) > CONNECTION_PENDING_MAX)
        return false; /* drained() comes back */
    r->is_started = true;
    r->api->start(r); /* may drop the request */
    return true;
}

void connection_hold(struct connection *c, struct request *holder)
{
    check(!c->holder && holder->is_started);
    c->holder = holder;
}

/* The oldest that was kept from starting by a holder, and not by anything else. */
static struct request *held_back(const struct connection *c)
{
    list_each (node, &c->requests) {
        struct request *r = container_of(node, struct request, node);
        if (!r->is_started && !r->api->in_turn)
            return r;
    }
    return NULL;
}

void connection_let_go(struct connection *c, struct request *holder)
{
    struct request *r;
    if (c->holder != holder)
        return;
    c->holder = NULL;
    while (!c->holder && (r = held_back(c)) && start_if_allowed(c, r)) {
    }
    connection_flush(c);
}

/* Is there somebody whose answer is ready, or who may not even start? A fetch behind a fetch waits as it would
 * alone. */
static bool is_waited_for(const struct connection *c, const struct request *oldest)
{
    if (oldest->node.next == &c->requests)
        return false;
    const struct request *next = container_of(oldest->node.next, struct request, node);
    return next->is_answered || (!next->is_started && !next->api->give_way);
}

void connection_flush(struct connection *c)
{
    if (c->is_flushing)
        return;
    c->is_flushing = true;
    while (!c->is_failed && !list_is_empty(&c->requests)) {
        struct request *oldest = container_of(c->requests.next, struct request, node);
        if (!oldest->is_started) {
            if (!start_if_allowed(c, oldest))
                break;
            continue; /* it may have been dropped */
        }
        if (!oldest->is_answered) {
            if (oldest->api->give_way && is_waited_for(c, oldest))
                oldest->api->give_way(oldest);
            break;
        }
        request_write(oldest);
        list_remove(&oldest->node);
        request_free(oldest);
    }
    c->is_flushing = false;
}
