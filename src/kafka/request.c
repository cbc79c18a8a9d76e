#include "kafka/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "io/jobs.h"
#include "kafka/api.h"
#include "kafka/connection.h"
#include "wire/wire.h"

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

void *request_room(struct request *r, size_t count, size_t size)
{
    size_t bytes;
    void *memory =
        __builtin_mul_overflow(count, size, &bytes) ? NULL : arena_alloc(&r->arena, bytes);
    if (!memory)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    return memory;
}

struct bytes request_copy(struct request *r, struct bytes b)
{
    struct bytes copy = arena_copy(&r->arena, b);
    if (!copy.data)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    return copy;
}

void *request_new(struct request *r, const struct wire_schema *schema, size_t count)
{
    void *items = wire_new(schema, &r->arena, count);
    if (!items)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    return items;
}

/* ---- waiting ---- */

static void stop_waiting(struct request *r)
{
    core_wait_cancel(&r->wait);
    timer_stop(&request_core(r)->timers, &r->timer);
}

static void ticket_done(struct wait *wait)
{
    struct request *r = container_of(wait, struct request, wait);
    stop_waiting(r);
    r->ready(r, true);
}

/* The disk failed: what is not committed by now never will be. */
static void disk_failed(struct wait *wait)
{
    struct request *r = container_of(wait, struct request, wait);
    stop_waiting(r);
    r->ready(r, false);
}

static void time_is_up(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    struct request *r = container_of(timer, struct request, timer);
    stop_waiting(r);
    r->ready(r, false);
}

void request_wait_later(struct request *r, struct ticket ticket, enum stage stage,
                        int64_t timeout_ms, void (*ready)(struct request *, bool in_time))
{
    struct core *core = request_core(r);
    r->ready = ready;
    r->wait.ready = ticket_done;
    r->wait.frozen = disk_failed;
    core_wait(core, &r->wait, ticket, stage);
    r->timer.fire = time_is_up;
    timer_start(&core->timers, &r->timer,
                core->now_ns + (timeout_ms > 0 ? timeout_ms : 0) * 1000000);
}

void request_wait(struct request *r, struct ticket ticket, enum stage stage, int64_t timeout_ms,
                  void (*ready)(struct request *, bool in_time))
{
    struct core *core = request_core(r);
    if (store_is_done(core->store, ticket, stage)) {
        ready(r, true);
        return;
    }
    if (store_is_frozen(core->store)) {
        ready(r, false); /* nothing will be committed any more */
        return;
    }
    request_wait_later(r, ticket, stage, timeout_ms, ready);
}

/* ---- encoding, where it would take the core long ---- */

/* It owns what it reads: the request, in its input's memory, may be gone before the job has ended. */
struct encoding {
    struct job job;
    struct request *request; /* NULL: it is gone */
    struct arena arena;      /* the request's, with the answer and the handler's work */
    const struct wire_api *wire;
    const void *reply;
    int16_t version;
    int32_t correlation_id;
    struct text text;
};

/* Size, correlation id and, in flexible versions, an empty tag buffer. */
static size_t head_size(const struct wire_api *wire, int version)
{
    return 8 + (size_t)wire_response_header_version(wire, version);
}

static void put_head(uint8_t *at, size_t size, size_t body_size, int32_t correlation_id)
{
    put_u32(at, (uint32_t)(size - 4 + body_size));
    put_u32(at + 4, (uint32_t)correlation_id);
    if (size > 8)
        at[8] = 0;
}

static void encode(struct job *job)
{
    struct encoding *e = container_of(job, struct encoding, job);
    size_t head = head_size(e->wire, e->version), body;
    if (wire_size(e->wire->response, e->version, e->reply, &body) != OK)
        return; /* seen by the empty text */
    uint8_t *at = text_reserve(&e->text, head + body);
    put_head(at, head, body, e->correlation_id);
    wire_put(e->wire->response, e->version, e->reply, at + head);
    text_advance(&e->text, head + body);
}

static void encoding_free(void *ctx)
{
    struct encoding *e = ctx;
    arena_reset(&e->arena);
    text_reset(&e->text);
    free(e);
}

static void answered(struct request *r)
{
    struct connection *c = r->connection;
    r->is_answered = true;
    connection_let_go(c, r); /* may free the request */
    connection_flush(c);
}

static void encoded(struct job *job)
{
    struct encoding *e = container_of(job, struct encoding, job);
    if (e->request)
        answered(e->request);
    else
        encoding_free(e);
}

static void start_encoding(struct request *r)
{
    struct encoding *e = r->encoding = xzalloc(sizeof *e);
    e->request = r;
    e->wire = r->wire;
    e->version = r->version;
    e->correlation_id = r->correlation_id;
    e->reply = r->reply;
    e->arena = r->arena;
    arena_init(&r->arena, REPLY_MAX_BYTES);
    e->job.run = encode;
    e->job.done = encoded;
    jobs_submit(core_jobs(request_core(r)), LANE_COMPUTE, &e->job);
}

/* The request is written, or goes away: what is under way ends for nobody. */
static void let_go_of_encoding(struct request *r)
{
    struct encoding *e = r->encoding;
    r->encoding = NULL;
    if (e && !r->is_answered)
        e->request = NULL;
    else if (e)
        encoding_free(e);
}

/* ---- ends ---- */

void request_answer(struct request *r, void *reply)
{
    check(!r->is_answered && !r->encoding);
    r->reply = reply;
    if (r->api->owns_answer && r->arena.used_bytes > ENCODE_IN_CORE_MAX_BYTES)
        start_encoding(r);
    else
        answered(r);
}

void request_drop(struct request *r)
{
    check(!r->is_answered);
    struct connection *c = r->connection;
    r->is_answered = true;
    list_remove(&r->node);
    request_free(r);
    connection_let_go(c, r);
    connection_flush(c);
}

void request_fail(struct request *r, const char *format, ...)
{
    char why[SAY_LINE_MAX_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    connection_break(r->connection, why);
}

bool request_has_failed(const struct request *r)
{
    return r->connection->is_failed;
}

struct bytes request_text(struct request *r, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return arena_copy(&r->arena, bytes_from_string(text));
}

static void run_slice(struct deferred *deferred)
{
    struct slice *slice = container_of(deferred, struct slice, deferred);
    if (!request_has_failed(slice->request))
        slice->run(slice->request);
}

void request_slice(struct request *r, struct slice *slice, void (*run)(struct request *))
{
    slice->request = r;
    slice->run = run;
    slice->deferred.run = run_slice;
    if (r->connection->holder != r)
        connection_hold(r->connection, r);
    core_defer(request_core(r), &slice->deferred);
}

void request_free(struct request *r)
{
    stop_waiting(r);
    if (r->is_started && r->api->release)
        r->api->release(r);
    let_go_of_encoding(r);
    arena_reset(&r->arena);
    input_free(&r->input);
}

static void release_text(void *data)
{
    free(data);
}

static void write_encoded(struct request *r)
{
    struct encoding *e = r->encoding;
    if (e->text.size == 0) {
        request_fail(r, "answer of %s cannot be encoded", r->wire->name);
        return;
    }
    link_write_ref(r->connection->link, text_bytes(&e->text), release_text, e->text.data);
    e->text = (struct text){0};
}

void request_write(struct request *r)
{
    metrics_add(METRIC_kafka_requests, 1);
    if (r->api->write) {
        r->api->write(r);
        return;
    }
    if (r->encoding) {
        write_encoded(r);
        return;
    }
    size_t body_size;
    if (wire_size(r->wire->response, r->version, r->reply, &body_size) != OK) {
        request_fail(r, "answer of %s: %s", r->wire->name, err_text());
        return;
    }
    size_t head = head_size(r->wire, r->version);
    uint8_t *at = link_reserve(r->connection->link, head + body_size);
    put_head(at, head, body_size, r->correlation_id);
    wire_put(r->wire->response, r->version, r->reply, at + head);
}
