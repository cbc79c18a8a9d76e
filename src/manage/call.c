/* A call's way through the core: log-in, route, right, handler, and what it waits for. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/user.h"
#include "manage/call_internal.h"

struct manage *manage_new(const struct manage_config *config)
{
    struct manage *m = xzalloc(sizeof *m);

    m->config = *config;
    return m;
}

void manage_free(struct manage *m)
{
    if (!m)
        return;
    facts_forget(m->facts_job);
    rates_free(m->rates);
    rates_free(m->node_rates);
    free(m);
}

const struct manage_config *manage_config(const struct manage *m)
{
    return &m->config;
}

/* ---- running handlers ---- */

/* Call a handler; tell the transport if that was the last one. The call may be gone then. */
static void run(struct manage_call *call, manage_handler *handler)
{
    struct manage_call_internal *c = call->internal;

    c->is_waiting = false;
    err_clear();
    handler(call);
    check(c->is_answered || c->is_waiting); /* a handler that forgets its call */
    if (c->is_answered && !c->is_waiting)
        c->done(call, c->ctx);
}

static void answer_nothing_more(struct manage_call *call)
{
    (void)call;
}

static void go_on(struct manage_call *call)
{
    struct manage_call_internal *c = call->internal;

    c->is_waiting = false;
    run(call, c->is_answered || manage_check_right(call) ? c->next : answer_nothing_more);
}

static void wait_is_over(struct wait *wait)
{
    go_on(container_of(wait, struct manage_call_internal, wait)->call);
}

static void fail_frozen(struct manage_call *call)
{
    manage_fail(call, err_set(E_FROZEN, "the disk has failed: nothing can be changed any more"));
}

static void wait_is_frozen(struct wait *wait)
{
    struct manage_call *call = container_of(wait, struct manage_call_internal, wait)->call;

    manage_answer_drop(call);
    run(call, fail_frozen);
}

static void turn_has_ended(struct deferred *deferred)
{
    go_on(container_of(deferred, struct manage_call_internal, deferred)->call);
}

struct wait *manage_again(struct manage_call *call, manage_handler *next)
{
    struct manage_call_internal *c = call->internal;

    check(!c->is_waiting);
    c->is_waiting = true;
    c->next = next;
    c->wait.ready = wait_is_over;
    c->wait.frozen = wait_is_frozen;
    return &c->wait;
}

void manage_wait(struct manage_call *call, struct ticket ticket, manage_handler *next)
{
    core_wait(call->core, manage_again(call, next), ticket, STAGE_COMMITTED);
}

void manage_yield(struct manage_call *call, manage_handler *next)
{
    struct manage_call_internal *c = call->internal;

    check(!c->is_waiting);
    c->is_waiting = true;
    c->next = next;
    c->deferred.run = turn_has_ended;
    core_defer(call->core, &c->deferred);
}

void manage_answer_durable(struct manage_call *call, int status, json_t *json)
{
    manage_answer(call, status, json);
    manage_wait(call, core_catalog_ticket(call->core), answer_nothing_more);
}

/* ---- the first step ---- */

const struct user *manage_log_in(struct manage_call *call, struct bytes name, struct bytes password)
{
    struct user *user;

    if (user_authenticate(call->core, name, password, call->internal->peer_is_loopback, &user) ==
        OK)
        return user;
    say_warn("manage", "HTTP access denied: %s", err_text());
    manage_fail_as(call, 401, "not_authorized", "Not_Authorized");
    return NULL;
}

static bool log_in(struct manage_call *call)
{
    struct manage_call_internal *c = call->internal;

    if (c->is_trusted)
        return true;
    if (c->has_login)
        return manage_log_in(call, c->user, c->password);
    manage_answer(call, 401, NULL);
    return false;
}

static void answer_methods(struct manage_call *call, unsigned methods, int status)
{
    static const char *const names[MANAGE_METHODS] = {"HEAD, GET", "PUT", "POST", "DELETE"};
    struct text allow = {0};

    for (int m = 0; m < MANAGE_METHODS; m++)
        if (methods & 1u << m)
            text_printf(&allow, "%s%s", allow.size ? ", " : "", names[m]);
    text_append_string(&allow, ", OPTIONS");
    manage_answer(call, status, NULL);
    manage_add_header(call, "Allow", text_bytes(&allow));
    text_reset(&allow);
}

static void first_step(struct manage_call *call)
{
    struct manage_call_internal *c = call->internal;
    unsigned methods;
    const struct manage_route *route = manage_find_route(call, &methods);

    c->route = route;
    if (!methods)
        manage_not_found(call);
    else if (c->is_options)
        answer_methods(call, methods, 200);
    else if (!route)
        answer_methods(call, methods, 405);
    else if ((route->right != MANAGE_PUBLIC && !log_in(call)) || !manage_check_right(call))
        return;
    else if (c->broken)
        manage_fail_as(call, 400, "bad_request", c->broken);
    else if (c->is_not_json && !(route->method & MANAGE_ANY_BODY))
        manage_fail_as(call, 400, "bad_request", "not_json");
    else
        route->handler(call);
}

void manage_call_start(struct manage *m, struct manage_call *call,
                       void (*done)(struct manage_call *call, void *ctx), void *ctx)
{
    call->manage = m;
    call->core = m->config.core;
    call->internal->call = call;
    call->internal->done = done;
    call->internal->ctx = ctx;
    run(call, first_step);
}

void manage_call_cancel(struct manage_call *call)
{
    core_wait_cancel(&call->internal->wait);
    core_defer_cancel(&call->internal->deferred);
}

void manage_call_free(struct manage_call *call)
{
    if (!call)
        return;
    if (call->free_state)
        call->free_state(call->state);
    manage_answer_drop(call);
    json_decref(call->query);
    json_decref(call->body);
    bytes_free(call->raw_body);
    arena_reset(&call->arena);
    free(call->internal);
    free(call);
}
