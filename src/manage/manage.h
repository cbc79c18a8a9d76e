/*
 * The management API: RabbitMQ's HTTP API as functions in the core. A transport (the HTTP listener,
 * the control socket) makes a call from a request, starts it in the core, and is told when it has
 * an answer. Nothing here knows of sockets.
 *
 *   manage_call_new()     any thread: path, query and body taken apart; no broker state is touched
 *   manage_call_start()   core: log-in, route, right, vhost, handler
 *     handler             core: manage_answer() ... or manage_wait() and go on later
 *   done()                core: call->answer is complete
 *   manage_answer_body()  any thread: the answer's bytes
 *   manage_call_free()    any thread, once done or never started
 *
 * A handler is a function in a table of routes; there is one file for each kind of object, with its
 * table. A handler ends with exactly one manage_answer...(), manage_fail...() or manage_wait().
 *
 *   static const struct manage_route routes[] = {
 *       {MANAGE_GET, "queues/:vhost/:name", MANAGE_LOGIN, get_queue},
 *       ...
 *   };
 *   const struct manage_routes manage_queue_routes = {routes, sizeof routes / sizeof routes[0]};
 *
 * What the router has done before a handler runs, so that no handler does it:
 * - the user is known and has a tag that the route asks for (401 otherwise);
 * - `:vhost` in the path names a vhost (404) that the user may use (401): call->vhost;
 * - the body, if there is one, is JSON (400): call->body;
 * - HEAD is answered as GET, OPTIONS by the router, an unknown path by 404, a method that no route
 *   of the path has by 405.
 * After each manage_wait() user and vhost are looked up again, because either may be gone.
 *
 * Rules: GET changes nothing. What changed something answers with manage_answer_durable(). What
 * tells of an object's content waits for its barrier first (queue_barrier()).
 */
#ifndef MANAGE_MANAGE_H
#define MANAGE_MANAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "broker/core.h"

struct disk;
struct hub;
struct manage;
struct user;
struct vhost;

/* ---- the API of one core ---- */

struct manage_listener {
    const char *protocol; /* "amqp", "http", "kafka" */
    char host[64];
    uint16_t port;
};

/* What only the server knows. Strings outlive the API. */
struct manage_config {
    struct core *core;
    struct hub *hub;              /* NULL in tests */
    struct disk *disk;            /* likewise */
    const char *product;          /* as AMQP clients are told: "Pabal" */
    const char *version;          /* our own */
    const char *rabbitmq_version; /* whose behaviour clients may expect */
    const char *node;             /* "rabbit@host" */
    const char *data_dir;
    const char *config_file; /* NULL: none */
    int64_t started_wall_ms;
    uint64_t file_limit;
    uint32_t max_connections;
    const struct manage_listener *listeners; /* those that are open */
    const size_t *listener_count;            /* the API's own may open later */
};

struct manage *manage_new(const struct manage_config *config); /* copies the struct */
void manage_free(struct manage *m); /* no call is under way; accepts NULL */
const struct manage_config *manage_config(const struct manage *m);

/* ---- calls: the transport's side ---- */

enum manage_method { MANAGE_GET, MANAGE_PUT, MANAGE_POST, MANAGE_DELETE, MANAGE_METHODS };

/* One request as it came. Everything is copied. */
struct manage_request {
    struct bytes method;       /* "GET", "HEAD", ... */
    struct bytes target;       /* "/api/queues/%2F?page=1" */
    struct bytes body;         /* null or empty: none */
    json_t *json;              /* the body instead, when it was JSON already; borrowed */
    struct bytes content_type; /* null: JSON */
    struct bytes cause;        /* X-Reason, or null */
    struct bytes user, password;
    bool has_login;        /* user and password were given */
    bool peer_is_loopback; /* for guest */
    bool is_trusted;       /* the control socket: may do everything, no log-in */
};

struct manage_header {
    const char *name;
    struct bytes value; /* in the call's arena */
};
enum { MANAGE_HEADERS_MAX = 4, MANAGE_SEGMENTS_MAX = 12 };

struct manage_answer {
    int status;
    json_t *json;     /* or NULL: `text`, or nothing */
    struct text text; /* what is no JSON: metrics; or JSON that is text already */
    bool text_is_json;
    const char *content_type; /* of `text`; of JSON NULL */
    struct manage_header headers[MANAGE_HEADERS_MAX];
    size_t header_count;
};

struct manage_call {
    struct core *core;
    struct manage *manage;
    enum manage_method method;
    const struct user *user; /* NULL: the control socket, may do everything */
    struct vhost *vhost;     /* that `:vhost` names, or NULL */
    json_t *query;           /* object of strings, decoded */
    json_t *body;            /* NULL: none, or not JSON */
    struct bytes raw_body, content_type;
    struct bytes cause; /* why somebody is closed: X-Reason; null when not given */
    void *state;        /* a handler's, from one manage_wait() to the next; lies in `arena` or... */
    void (*free_state)(void *state); /* ... is freed by this at the end, if not NULL */
    struct arena arena;
    struct manage_answer answer;
    struct manage_call_internal *internal;
};

/* Take a request apart. Never fails: what is wrong with it is the answer. */
struct manage_call *manage_call_new(const struct manage_request *request);
/* Run it. done() is called once, from here or in a later turn; not after manage_call_cancel(). */
void manage_call_start(struct manage *m, struct manage_call *call,
                       void (*done)(struct manage_call *call, void *ctx), void *ctx);
/* Nobody waits for it any more: in the core, between turns' work; then free it. */
void manage_call_cancel(struct manage_call *call);
void manage_call_free(struct manage_call *call); /* accepts NULL */
/* The answer's bytes, as they are sent. Appends. */
void manage_answer_body(const struct manage_call *call, struct text *out);

/* ---- handlers ---- */

/* Who may: any tag that lets in (management, policymaker, monitoring, administrator); the tag that
 * is named or a higher one. MANAGE_PUBLIC needs no log-in. */
enum manage_right {
    MANAGE_PUBLIC,
    MANAGE_LOGIN,
    MANAGE_POLICYMAKER,
    MANAGE_MONITORING,
    MANAGE_ADMINISTRATOR
};

typedef void manage_handler(struct manage_call *call);

enum { MANAGE_ANY_BODY = 8 }; /* it need not be JSON: call->raw_body */

/* `path` is below "/api/", without a '/' in front ("/metrics": from the root). A segment ":x" takes
 * any text, manage_param(call, "x"). Of two routes that fit, the one with the earlier fixed
 * segment wins. */
struct manage_route {
    unsigned method; /* enum manage_method, maybe with MANAGE_ANY_BODY */
    const char *path;
    enum manage_right right;
    manage_handler *handler;
};

struct manage_routes {
    const struct manage_route *items;
    size_t count;
};

/* ---- what a handler reads ---- */

/* The segment that ":name" stands for, decoded, with a NUL behind. It is a bug if there is none. */
struct bytes manage_param(const struct manage_call *call, const char *name);
/* Of the query, or NULL. What is given several times is joined by commas. */
const char *manage_query(const struct manage_call *call, const char *name);
bool manage_query_is_true(const struct manage_call *call, const char *name); /* "true" */

/* A member of the body. Absent or null: *out is not touched, OK. E_INVALID with a text otherwise. */
must_use enum err manage_body_string(const struct manage_call *call, const char *name,
                                     struct bytes *out);
must_use enum err manage_body_bool(const struct manage_call *call, const char *name, bool *out);
must_use enum err manage_body_int(const struct manage_call *call, const char *name, int64_t *out);
bool manage_body_has(const struct manage_call *call, const char *name);

/* Does the user have this tag or a higher one? */
bool manage_has_right(const struct manage_call *call, enum manage_right right);
/* May the user see what is in the vhost: monitoring and administrator all, others where they have
 * permissions. For lists over all vhosts. */
bool manage_may_see(const struct manage_call *call, const struct vhost *vhost);
/* The user's name for what is asked by access rules and told in answers; "" from the control
 * socket. */
struct bytes manage_user_name(const struct manage_call *call);

/* ---- how a handler ends ---- */

/* Takes the reference. NULL: no content (an object that is made or changed: 201, 204). */
void manage_answer(struct manage_call *call, int status, json_t *json);
/* As above, once every change of the catalog made so far is durable. */
void manage_answer_durable(struct manage_call *call, int status, json_t *json);
/* Takes what `text` holds. */
void manage_answer_text(struct manage_call *call, int status, const char *content_type,
                        struct text *text);
/* The same for JSON that is text already, as long lists are. */
void manage_answer_json_text(struct manage_call *call, int status, struct text *text);
/* err_text() is the reason. E_NOT_FOUND 404; E_REFUSED 401; E_INVALID, E_MALFORMED, E_EXISTS,
 * E_PRECONDITION, E_LOCKED, E_IN_USE, E_NOT_EMPTY ... 400; E_FROZEN, E_NO_SPACE, E_NO_MEMORY 503. */
void manage_fail(struct manage_call *call, enum err err);
/* {"error": error, "reason": reason} */
void manage_fail_as(struct manage_call *call, int status, const char *error, const char *reason);
void manage_not_found(struct manage_call *call); /* RabbitMQ's 404 */

/* Go on with `next` when the ticket is done. */
void manage_wait(struct manage_call *call, struct ticket ticket, manage_handler *next);
/* Go on with `next` at the end of this turn or in the next one: for work in slices. */
void manage_yield(struct manage_call *call, manage_handler *next);
/* For whom a struct wait is asked (queue_get()): it goes on with `next`. */
struct wait *manage_again(struct manage_call *call, manage_handler *next);

/* A header of the answer, besides the usual ones: Location. */
void manage_add_header(struct manage_call *call, const char *name, struct bytes value);

#endif
