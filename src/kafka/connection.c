#include "kafka/connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "kafka/api.h"
#include "kafka/request.h"
#include "wire/wire.h"

static void request_free(struct request *r);
static void request_write(struct request *r);
static bool start_if_allowed(struct connection *c, struct request *r);
static void fail(struct connection *c, const char *why);
static void close_by_management(struct session *s, const char *reason);

/* ---- life of a connection ---- */

static void *connection_open(void *core, struct link *link)
{
    struct connection *c = xzalloc(sizeof *c);
    c->core = core;
    c->link = link;
    c->config = kafka_config_of(link->protocol);
    list_init(&c->requests);
    c->session.link = link;
    c->session.protocol = "kafka";
    c->session.opened_wall_ms = c->core->wall_ms;
    c->session.close = close_by_management;
    session_add(c->core, &c->session);
    return c;
}

static void connection_gone(void *session)
{
    struct connection *c = session;
    struct list *node;
    c->is_failed = true;
    while ((node = list_pop_front(&c->requests)))
        request_free(container_of(node, struct request, node));
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
    if (!r->api->in_turn)
        start_if_allowed(c, r);
    connection_flush(c);
}

static void connection_broken(void *session, enum err code, const char *text)
{
    struct connection *c = session;
    fail(c, text[0] ? text : err_name(code));
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

static void fail(struct connection *c, const char *why)
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
    fail(container_of(s, struct connection, session), reason);
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
    if (c->is_failed)
        return false;
    if (r->api->in_turn && link_pending_bytes(c->link) > CONNECTION_PENDING_MAX)
        return false; /* drained() comes back */
    r->is_started = true;
    r->api->start(r); /* may drop the request */
    return true;
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
        if (!oldest->is_answered)
            break;
        request_write(oldest);
        list_remove(&oldest->node);
        request_free(oldest);
    }
    c->is_flushing = false;
}

/* ---- requests ---- */

struct core *request_core(const struct request *r)
{
    return r->connection->core;
}

void *request_alloc(struct request *r, size_t count, size_t size)
{
    void *memory = arena_zalloc(&r->arena, count, size);
    if (!memory)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    return memory;
}

void *request_new(struct request *r, const struct wire_schema *schema, size_t count)
{
    void *items = wire_new(schema, &r->arena, count);
    if (!items)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    return items;
}

void request_answer(struct request *r, void *reply)
{
    check(!r->is_answered);
    r->reply = reply;
    r->is_answered = true;
    connection_flush(r->connection);
}

void request_drop(struct request *r)
{
    check(!r->is_answered);
    struct connection *c = r->connection;
    r->is_answered = true;
    list_remove(&r->node);
    request_free(r);
    connection_flush(c);
}

void request_fail(struct request *r, const char *format, ...)
{
    char why[SAY_LINE_MAX_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    fail(r->connection, why);
}

static void request_free(struct request *r)
{
    if (r->is_started && r->api->release)
        r->api->release(r);
    arena_reset(&r->arena);
    input_free(&r->input);
}

/* Size, correlation id and, in flexible versions, an empty tag buffer, then the body. */
static void request_write(struct request *r)
{
    metrics_add(METRIC_kafka_requests, 1);
    if (r->api->write) {
        r->api->write(r);
        return;
    }
    size_t body_size;
    size_t head_size = 4u + (size_t)wire_response_header_version(r->wire, r->version);
    if (wire_size(r->wire->response, r->version, r->reply, &body_size) != OK) {
        request_fail(r, "answer of %s: %s", r->wire->name, err_text());
        return;
    }
    uint8_t *at = link_reserve(r->connection->link, 4 + head_size + body_size);
    put_u32(at, (uint32_t)(head_size + body_size));
    put_u32(at + 4, (uint32_t)r->correlation_id);
    if (head_size > 4)
        at[8] = 0;
    wire_put(r->wire->response, r->version, r->reply, at + 4 + head_size);
}
