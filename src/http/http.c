#include "http/http.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/say.h"
#include "base/timers.h"
#include "http/library.h"
#include "io/attendant.h"
#include "io/hub.h"
#include "io/listener.h"
#include "io/mailbox.h"
#include "manage/manage.h"

enum {
    HEADERS_MAX_BYTES = 32 * 1024, /* request line and headers of a connection */
    BODY_UNKNOWN_BYTES = 4 * 1024, /* longer: only of who has logged in */
    LEAST_BYTES_PER_S = 16 * 1024, /* of a body, and of an answer */
    TIMERS_A_TURN = 1024,
    SECOND_NS = 1000000000,
};

struct http {
    struct http_config config;
    uint16_t port;
    int fd; /* listens; the library's once it has started; -1: closed */
    bool is_listening;
    /* Its thread owns these, others look at them from the library or when they have stopped it. */
    struct attendant *attendant;
    struct http_library mhd;
    struct MHD_Daemon *daemon; /* NULL: nobody has connected yet */
    struct timers timers;      /* of clients */
    int64_t now_ns;
    struct mailbox mailbox;
    struct list running; /* the core's: struct request */
};

/* A connection of the library's. */
struct client {
    struct timer deadline; /* of what it is at; first. Not while the core is. */
    struct http *http;
    int fd;
};

/* One request, from its first line to its last byte sent. It belongs to the HTTP thread, but from
 * hand_over() to resume() to the core. */
struct request {
    struct mail mail; /* first */
    struct list running;
    struct http *http;
    struct MHD_Connection *conn;
    int64_t begun_ns;  /* its headers were there */
    size_t came_bytes; /* of its body, kept or not */
    char *target;      /* with the query, as it came */
    struct text body;
    struct manage_call *call;
    bool has_begun;    /* headers are there */
    bool is_login;     /* `call` only asks whether the log-in is good, before a large body */
    bool is_refused;   /* it is not: what comes is thrown away, `call` has the answer */
    bool is_too_large; /* likewise, the body is */
    bool is_cut;       /* the server stops */
};

/* ---- the core's side ---- */

static void resume(struct request *r)
{
    struct http *http = r->http;

    http->mhd.resume_connection(r->conn); /* r may be gone at once */
    attendant_wake(http->attendant);      /* the library does not say so to who drives it */
}

static void call_is_done(struct manage_call *call, void *ctx)
{
    struct request *r = ctx;

    (void)call;
    list_remove(&r->running);
    resume(r);
}

void http_dispatch(struct http *http)
{
    struct mail *next;

    for (struct mail *mail = mailbox_take(&http->mailbox); mail; mail = next) {
        struct request *r = (struct request *)mail;
        next = mail->next;
        list_push_back(&http->running, &r->running);
        manage_call_start(http->config.manage, r->call, call_is_done, r);
    }
}

bool http_is_idle(const struct http *http)
{
    return list_is_empty(&http->running);
}

/* ---- the HTTP thread's side: deadlines ---- */

static struct client *client_of(const struct http *http, struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        http->mhd.get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info->socket_context;
}

static void hang_up(struct timer *timer, int64_t now_ns)
{
    const struct client *client = (const struct client *)timer;

    (void)now_ns;
    listener_hang_up(client->fd);
}

/* From `since_ns` it has the time that nothing takes, and that of so many bytes. */
static void expect_by(struct client *client, int64_t since_ns, size_t bytes)
{
    struct http *http = client->http;
    int64_t grace_ns = (int64_t)(bytes / LEAST_BYTES_PER_S) * SECOND_NS;

    timer_start(&http->timers, &client->deadline,
                since_ns + http->config.idle_timeout_s * (int64_t)SECOND_NS + grace_ns);
}

static void expect_body(const struct request *r)
{
    expect_by(client_of(r->http, r->conn), r->begun_ns, r->came_bytes);
}

static struct client *client_new(struct http *http, struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        http->mhd.get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct client *client = xzalloc(sizeof *client);

    *client = (struct client){.deadline.fire = hang_up, .http = http, .fd = (int)info->connect_fd};
    expect_by(client, http->now_ns, 0);
    return client;
}

static void client_free(struct client *client)
{
    timer_stop(&client->http->timers, &client->deadline);
    free(client);
}

/* A connection has come or gone. */
static void note_connection(void *cls, struct MHD_Connection *conn, void **client,
                            enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *client = client_new(cls, conn);
    else
        client_free(*client);
}

/* ---- answers ---- */

static const char *content_type_of(const struct manage_answer *answer)
{
    return answer->content_type ? answer->content_type : "application/json";
}

static const char *header(const struct request *r, const char *name)
{
    return r->http->mhd.lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

static void add_headers(const struct request *r, struct MHD_Response *response,
                        const struct manage_answer *answer)
{
    const struct http_library *mhd = &r->http->mhd;

    for (size_t i = 0; i < answer->header_count; i++)
        mhd->add_response_header(response, answer->headers[i].name,
                                 (const char *)answer->headers[i].value.data);
    if (answer->json || answer->content_type)
        mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type_of(answer));
    mhd->add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    mhd->add_response_header(response, MHD_HTTP_HEADER_VARY, "origin");
    mhd->add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (answer->status == MHD_HTTP_UNAUTHORIZED && !header(r, MHD_HTTP_HEADER_AUTHORIZATION))
        mhd->add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                 "Basic realm=\"RabbitMQ Management\"");
}

/* Takes what `body` holds. */
static enum MHD_Result send_answer(const struct request *r, const struct manage_answer *answer,
                                   struct text *body)
{
    const struct http_library *mhd = &r->http->mhd;
    struct MHD_Response *response =
        body->size ? mhd->create_response_from_buffer(body->size, body->data, MHD_RESPMEM_MUST_FREE)
                   : mhd->create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (!response || !body->size)
        text_reset(body);
    if (!response)
        return MHD_NO;
    add_headers(r, response, answer);
    expect_by(client_of(r->http, r->conn), r->http->now_ns, body->size);
    enum MHD_Result result = mhd->queue_response(r->conn, (unsigned)answer->status, response);
    mhd->destroy_response(response);
    return result;
}

static enum MHD_Result send_answer_of(struct request *r)
{
    struct text body = {0};

    manage_answer_body(r->call, &body);
    return send_answer(r, &r->call->answer, &body);
}

static enum MHD_Result send_error(struct request *r, int status, const char *error,
                                  const char *reason)
{
    struct manage_answer answer = {.status = status, .content_type = "application/json"};
    struct text body = {0};

    text_printf(&body, "{\"error\":\"%s\",\"reason\":\"%s\"}", error, reason);
    return send_answer(r, &answer, &body);
}

/* ---- requests ---- */

static bool is_from_loopback(const struct request *r)
{
    const union MHD_ConnectionInfo *info =
        r->http->mhd.get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct endpoint peer;

    if (!info || !info->client_addr)
        return false;
    listener_describe(info->client_addr, &peer);
    return peer.loopback;
}

static struct manage_call *make_call(struct request *r, const char *method, const char *target)
{
    char *password = NULL;
    const struct http_library *mhd = &r->http->mhd;
    char *user = mhd->basic_auth_get_username_password(r->conn, &password);
    struct manage_request request = {.method = bytes_from_string(method),
                                     .target = bytes_from_string(target),
                                     .body = text_bytes(&r->body),
                                     .content_type =
                                         bytes_from_string(header(r, MHD_HTTP_HEADER_CONTENT_TYPE)),
                                     .cause = bytes_from_string(header(r, "X-Reason")),
                                     .user = bytes_from_string(user),
                                     .password = bytes_from_string(password),
                                     .has_login = user != NULL,
                                     .peer_is_loopback = is_from_loopback(r)};
    struct manage_call *call = manage_call_new(&request);

    mhd->free(user);
    mhd->free(password);
    return call;
}

/* Suspended first: the answer may come before this returns. */
static void hand_over(struct request *r)
{
    timer_stop(&r->http->timers, &client_of(r->http, r->conn)->deadline);
    r->http->mhd.suspend_connection(r->conn);
    if (mailbox_post(&r->http->mailbox, &r->mail))
        return;
    r->is_cut = true;
    resume(r);
}

static bool body_is_large(const struct request *r)
{
    const char *size = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t bytes;

    if (!size)
        return header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
    return !number_parse_i64(bytes_from_string(size), &bytes) || bytes > BODY_UNKNOWN_BYTES;
}

static bool body_is_too_large(const struct request *r)
{
    const char *size = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t bytes;

    return size && (!number_parse_i64(bytes_from_string(size), &bytes) || bytes < 0 ||
                    (uint64_t)bytes > r->http->config.body_max_bytes);
}

static enum MHD_Result send_too_large(struct request *r)
{
    return send_error(r, MHD_HTTP_BAD_REQUEST, "bad_request",
                      "Exceeded HTTP request body size limit");
}

/* The headers are there. Who sends much has to be somebody. */
static enum MHD_Result begin(struct request *r)
{
    r->has_begun = true;
    r->begun_ns = r->http->now_ns;
    if (body_is_too_large(r))
        return send_too_large(r);
    expect_body(r);
    if (body_is_large(r)) {
        r->is_login = true;
        r->call = make_call(r, "GET", "/api/whoami");
        hand_over(r);
    }
    return MHD_YES;
}

static void end_login(struct request *r)
{
    r->is_login = false;
    r->begun_ns = r->http->now_ns;
    expect_body(r);
    if (r->is_cut)
        return;
    r->is_refused = r->call->answer.status != MHD_HTTP_OK;
    if (r->is_refused)
        return;
    manage_call_free(r->call);
    r->call = NULL;
}

static void take_body(struct request *r, struct bytes piece)
{
    r->came_bytes += piece.size;
    expect_body(r);
    r->is_too_large |= piece.size > r->http->config.body_max_bytes - r->body.size;
    if (r->is_too_large || r->is_refused || r->is_cut)
        text_reset(&r->body);
    else
        text_append(&r->body, piece);
}

static bool is_of_metrics(const char *target)
{
    return bytes_has_prefix(bytes_from_string(target), "/metrics");
}

/* libmicrohttpd calls it with the headers, with each piece of the body, at the end of the body, and
 * once more when the answer is there. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *conn, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **request)
{
    struct request *r = *request;

    (void)cls, (void)url, (void)version;
    r->conn = conn;
    if (!r->has_begun)
        return begin(r);
    if (r->is_login) {
        end_login(r);
        if (!*size)
            return MHD_YES; /* the body comes now */
    }
    if (*size) {
        take_body(r, bytes_of(data, *size));
        *size = 0;
        return MHD_YES;
    }
    if (r->is_cut)
        return send_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "service_unavailable",
                          "the server is shutting down");
    if (r->is_too_large)
        return send_too_large(r);
    if (r->call)
        return send_answer_of(r);
    if (r->http->config.metrics_only && !is_of_metrics(r->target))
        return send_error(r, MHD_HTTP_NOT_FOUND, "Object Not Found", "Not Found");
    r->call = make_call(r, method, r->target);
    text_reset(&r->body);
    hand_over(r);
    return MHD_YES;
}

/* The first that is heard of a request. */
static void *request_new(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct request *r = xzalloc(sizeof *r);

    r->http = cls;
    r->conn = conn;
    r->target = xstrdup(uri);
    return r;
}

static void request_free(void *cls, struct MHD_Connection *conn, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct request *r = *request;

    (void)code;
    expect_by(client_of(cls, conn), ((struct http *)cls)->now_ns, 0); /* for the next one */
    if (!r)
        return;
    manage_call_free(r->call);
    text_reset(&r->body);
    free(r->target);
    free(r);
    *request = NULL;
}

/* The path is decoded by segment, later. */
static size_t leave_escaped(void *cls, struct MHD_Connection *conn, char *text)
{
    (void)cls, (void)conn;
    return strlen(text);
}

static void log_line(void *cls, const char *format, va_list arguments)
{
    char text[256];

    (void)cls;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = 0;
    say_debug("http", "%s", text);
}

/* ---- open, close ---- */

static struct MHD_Daemon *start_daemon(struct http *http)
{
    unsigned most = http->config.max_connections;

    return http->mhd.start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, http,
        MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, MHD_OPTION_LISTEN_SOCKET, http->fd,
        MHD_OPTION_URI_LOG_CALLBACK, request_new, http, MHD_OPTION_NOTIFY_COMPLETED, request_free,
        http, MHD_OPTION_NOTIFY_CONNECTION, note_connection, http, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_escaped, NULL, MHD_OPTION_CONNECTION_LIMIT, most, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        most - most / 2, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)http->config.idle_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX_BYTES, MHD_OPTION_END);
}

/* Somebody has connected for the first time. */
static void start_library(struct http *http)
{
    enum err err = http_library_open(&http->mhd);
    if (!err)
        http->daemon = start_daemon(http);
    if (http->daemon)
        return;
    say_error("http", "listener closed: port=%u %s", (unsigned)http->port,
              err ? err_text() : "the HTTP library does not start");
    listener_close(http->fd);
    http->fd = -1;
}

static int64_t library_due_ns(const struct http *http)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (http->mhd.get_timeout(http->daemon, &ms) != MHD_YES)
        return INT64_MAX;
    return ms < INT32_MAX ? http->now_ns + (int64_t)ms * (SECOND_NS / 1000) : INT64_MAX;
}

/* What to wait for before attend() is called (again). */
static struct attendant_wait next_wait(const struct http *http)
{
    if (!http->daemon)
        return (struct attendant_wait){http->fd, INT64_MAX};
    const union MHD_DaemonInfo *info =
        http->mhd.get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int64_t due_ns = library_due_ns(http), deadline_ns = timers_next(&http->timers);
    return (struct attendant_wait){info->epoll_fd, due_ns < deadline_ns ? due_ns : deadline_ns};
}

static struct attendant_wait attend(void *ctx, int64_t now_ns)
{
    struct http *http = ctx;

    http->now_ns = now_ns;
    if (!http->daemon)
        start_library(http);
    if (http->daemon) {
        timers_run(&http->timers, now_ns, TIMERS_A_TURN);
        http->mhd.run(http->daemon);
    }
    return next_wait(http);
}

enum err http_open(const struct http_config *config, const char *address, struct http **out,
                   uint16_t *out_port)
{
    struct http *http = xzalloc(sizeof *http);

    enum err err = listener_open(address, &http->fd, &http->port);
    if (err) {
        free(http);
        return err;
    }
    http->config = *config;
    list_init(&http->running);
    mailbox_init(&http->mailbox, hub_wake, config->hub);
    err = attendant_new(next_wait(http), attend, http, &http->attendant);
    if (err) {
        listener_close(http->fd);
        free(http);
        return err;
    }
    http->is_listening = true;
    *out = http;
    *out_port = http->port;
    return OK;
}

/* The library is stopped for a moment, so that it is not just being opened. */
void http_stop_listening(struct http *http)
{
    if (!http->is_listening)
        return;
    http->is_listening = false;
    attendant_free(http->attendant);
    http->attendant = NULL;
    int fd = http->daemon ? http->mhd.quiesce_daemon(http->daemon) : http->fd;
    if (fd >= 0)
        listener_close(fd);
    if (http->daemon && attendant_new(next_wait(http), attend, http, &http->attendant))
        say_warn("http", "what is under way is cut off: %s", err_text());
}

static void cut(struct request *r)
{
    r->is_cut = true;
    resume(r);
}

/* Whoever is suspended is resumed, and nobody can be suspended any more, when the library stops. */
void http_close(struct http *http)
{
    struct mail *next;

    if (!http)
        return;
    http_stop_listening(http);
    attendant_free(http->attendant);
    http->attendant = NULL;
    for (struct mail *mail = mailbox_close(&http->mailbox); mail; mail = next) {
        next = mail->next;
        cut((struct request *)mail);
    }
    list_each_safe (node, &http->running) {
        struct request *r = container_of(node, struct request, running);
        manage_call_cancel(r->call);
        list_remove(node);
        cut(r);
    }
    if (http->daemon) {
        http->mhd.run(http->daemon); /* says so to who was cut off */
        http->mhd.stop_daemon(http->daemon);
    }
    timers_reset(&http->timers);
    free(http);
}
