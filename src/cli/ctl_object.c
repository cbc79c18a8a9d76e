/* rabbitmqctl: queues and connections. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "cli/ctl.h"
#include "io/clock.h"
#include "io/stream.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- queues ---- */

static int purge_queue(struct ctl *c)
{
    if (!ctl_begin(c, "Purging queue '%s' in vhost '%s' ...", c->arguments[0], c->o.vhost))
        return CTL_OK;
    return ctl_end(c, manage_ask(&c->common, NULL, NULL, "DELETE queues/%s/%s/contents", c->o.vhost,
                                 c->arguments[0]));
}

/* How many messages are ready; 0 where that is not known. */
static long long ready_count(const struct ctl *c)
{
    json_t *queue;
    long long count;

    if (manage_get(&c->common, &queue, "GET queues/%s/%s", c->o.vhost, c->arguments[0]) != OK)
        return 0;
    count = json_integer_value(json_object_get(queue, "messages_ready"));
    json_decref(queue);
    return count;
}

static int delete_queue(struct ctl *c)
{
    const char *condition = c->o.if_empty && c->o.if_unused
                                ? " if queue is empty and if queue is unused"
                            : c->o.if_empty  ? " if queue is empty"
                            : c->o.if_unused ? " if queue is unused"
                                             : "";
    const char *name = c->arguments[0];

    if (!ctl_begin(c, "Deleting queue '%s' on vhost '%s'%s ...", name, c->o.vhost, condition))
        return CTL_OK;
    long long ready = ready_count(c);
    const char *request = "DELETE queues/%s/%s?if-empty=%s&if-unused=%s";
    enum err err = manage_ask(&c->common, NULL, NULL, request, c->o.vhost, name,
                              c->o.if_empty ? "true" : "false", c->o.if_unused ? "true" : "false");
    if (err == E_NOT_FOUND)
        return ctl_error(CTL_USAGE, "Queue not found");
    if (err)
        return ctl_failed(c, err);
    if (!c->o.quiet && !c->o.silent)
        printf("Queue was successfully deleted with %lld ready messages\n", ready);
    return CTL_OK;
}

/* ---- connections ---- */

/* Connections have no process ids here: the name is what list_connections prints as pid. */
static int close_connection(struct ctl *c)
{
    if (!ctl_begin(c, "Closing connection %s, reason: %s...", c->arguments[0], c->arguments[1]))
        return CTL_OK;
    enum err err = manage_close_connection(&c->common, c->arguments[0], c->arguments[1]);
    if (err == E_NOT_FOUND)
        return ctl_error(CTL_UNAVAILABLE, "there is no connection %s", c->arguments[0]);
    return ctl_end(c, err);
}

struct closing {
    const char *vhost, *user; /* NULL: any */
    const char *reason;
    int64_t limit; /* 0: none */
};

static bool is_meant(const struct closing *closing, const json_t *connection)
{
    const char *vhost = json_string_value(json_object_get(connection, "vhost"));
    const char *user = json_string_value(json_object_get(connection, "user"));

    return (!closing->vhost || (vhost && strcmp(vhost, closing->vhost) == 0)) &&
           (!closing->user || (user && strcmp(user, closing->user) == 0));
}

static enum err close_all(const struct ctl *c, const struct closing *closing, long long *out_count)
{
    struct stream_set *sleeper = stream_set_new();
    struct stream_event event;
    json_t *rows, *row;
    int64_t delay_ms = 0;
    size_t i;

    *out_count = 0;
    if (c->o.delay)
        (void)number_parse_i64(bytes_from_string(c->o.delay), &delay_ms);
    enum err err = manage_get(&c->common, &rows, "GET connections");
    json_array_foreach(err ? NULL : rows, i, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        if (err || !name || !is_meant(closing, row) ||
            (closing->limit && *out_count >= closing->limit))
            continue;
        err = manage_close_connection(&c->common, name, closing->reason);
        *out_count += !err;
        err = err == E_NOT_FOUND ? OK : err; /* gone by itself */
        if (delay_ms > 0)
            (void)stream_set_wait(sleeper, clock_now_ns() + delay_ms * 1000000, &event, 1);
    }
    if (!err)
        json_decref(rows);
    stream_set_free(sleeper);
    return err;
}

static int close_all_connections(struct ctl *c)
{
    struct closing closing = {.vhost = c->o.global ? NULL : c->o.vhost, .reason = c->arguments[0]};
    long long count;

    if (c->o.limit)
        (void)number_parse_i64(bytes_from_string(c->o.limit), &closing.limit);
    bool goes_on =
        c->o.global
            ? ctl_begin(c, "Closing all connections to node %s (across all vhosts), reason: %s...",
                        ctl_node(c), closing.reason)
            : ctl_begin(c, "Closing all connections in vhost %s, reason: %s...", closing.vhost,
                        closing.reason);
    if (!goes_on)
        return CTL_OK;
    enum err err = close_all(c, &closing, &count);
    if (!err)
        printf("Closed %lld connections\n", count);
    return ctl_end(c, err);
}

static int close_all_user_connections(struct ctl *c)
{
    struct closing closing = {.user = c->arguments[0], .reason = c->arguments[1]};
    long long count;

    if (!ctl_begin(c, "Closing connections of user %s, reason: %s...", closing.user,
                   closing.reason))
        return CTL_OK;
    return ctl_end(c, close_all(c, &closing, &count));
}

static const struct ctl_command commands[] = {
    {"purge_queue", "<queue> [--vhost <vhost>]", "Purges a queue (removes all messages in it)", "",
     1, 1, purge_queue, NULL, false},
    {"delete_queue", "[--vhost <vhost>] <queue_name> [--if-empty|-e] [--if-unused|-u]",
     "Deletes a queue", "if-empty if-unused", 1, 1, delete_queue, NULL, false},
    {"close_connection", "<connectionpid> <explanation>",
     "Instructs the broker to close a connection", "", 2, 2, close_connection, NULL, false},
    {"close_all_connections",
     "[--vhost <vhost> --limit <limit>] [-n <node> --global] [--per-connection-delay <delay>] "
     "<explanation>",
     "Instructs the broker to close all connections for the specified vhost or entire node",
     "limit global per-connection-delay", 1, 1, close_all_connections, NULL, false},
    {"close_all_user_connections", "[--per-connection-delay <delay>] <username> <explanation>",
     "Instructs the broker to close all connections of the specified user", "per-connection-delay",
     2, 2, close_all_user_connections, NULL, false},
};

const struct ctl_commands ctl_object_commands = {commands, COUNT(commands)};
