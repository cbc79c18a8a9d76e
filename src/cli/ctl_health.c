/* rabbitmqctl and rabbitmq-diagnostics: is the server there, does it listen, is it well? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "cli/ctl.h"
#include "cli/url.h"
#include "io/clock.h"
#include "io/stream.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { POLL_MS = 200, STARTUP_TIMEOUT_S = 300, CONNECT_TIMEOUT_S = 5 };

/* ---- is it there? ---- */

static enum err ask_whether_there(const struct ctl *c)
{
    return manage_ask(&c->common, NULL, NULL, "GET overview");
}

static int ping(struct ctl *c)
{
    if (!ctl_begin(c,
                   "Will ping %s. This only checks if the OS process is running and registered "
                   "with epmd. Timeout: %lld ms.",
                   ctl_node(c), (long long)(c->common.timeout_ns / 1000000)))
        return CTL_OK;
    enum err err = ask_whether_there(c);
    return err ? ctl_failed(c, err) : ctl_tell(c, "Ping succeeded");
}

static int check_running(struct ctl *c)
{
    const char *node = ctl_node(c);

    if (!ctl_begin(c, "Checking if RabbitMQ is running on node %s ...", node))
        return CTL_OK;
    enum err err = ask_whether_there(c);
    return err ? ctl_failed(c, err)
               : ctl_tell(c, "RabbitMQ on node %s is fully booted and running", node);
}

static int await_startup(struct ctl *c)
{
    struct stream_set *sleeper = stream_set_new();
    struct stream_event event;
    int64_t deadline_ns =
        clock_now_ns() + ctl_timeout_s(c, STARTUP_TIMEOUT_S) * INT64_C(1000000000);

    enum err err = c->o.dry_run ? OK : ask_whether_there(c);
    while (err == E_CLOSED && clock_now_ns() < deadline_ns) {
        (void)stream_set_wait(sleeper, clock_now_ns() + POLL_MS * INT64_C(1000000), &event, 1);
        err = ask_whether_there(c);
    }
    stream_set_free(sleeper);
    if (err == E_CLOSED)
        err = err_set(E_TIMEOUT, "the server does not run");
    return ctl_end(c, err);
}

/* `wait` has a file or a number of a process there, which must run; here the server must. */
static int wait_for(struct ctl *c)
{
    if (!c->count && !c->o.pid)
        return ctl_usage(c, CTL_USAGE, "\"No pid or pidfile specified\"");
    if (!ctl_begin(c, "Waiting for applications 'rabbit_and_plugins' to start on node '%s'",
                   ctl_node(c)))
        return CTL_OK;
    int exit_code = await_startup(c);
    if (exit_code == CTL_OK && !c->o.quiet)
        printf("Applications 'rabbit_and_plugins' are running on node '%s'\n", ctl_node(c));
    return exit_code;
}

static int await_online_nodes(struct ctl *c)
{
    int64_t wanted = 0;

    if (!number_parse_i64(bytes_from_string(c->arguments[0]), &wanted))
        return ctl_usage(c, CTL_DATA, "Bad argument.");
    if (!ctl_begin(c,
                   "Will wait for at least %lld nodes to join the cluster of %s. Timeout: %lld "
                   "seconds.",
                   (long long)wanted, ctl_node(c), (long long)ctl_timeout_s(c, STARTUP_TIMEOUT_S)))
        return CTL_OK;
    if (wanted > 1)
        return ctl_error(CTL_SOFTWARE, "Error: the server is one node; there will be no others.");
    return await_startup(c);
}

static int node_health_check(struct ctl *c)
{
    (void)c;
    puts("This command is DEPRECATED and is a no-op. It will be removed in a future version. ");
    puts("Use one of the options covered in https://www.rabbitmq.com/monitoring.html#health-checks "
         "instead.");
    return CTL_OK;
}

/* ---- listeners ---- */

enum err ctl_listener(const struct ctl *c, const char *protocol, char *out, size_t size)
{
    json_t *overview, *row;
    struct url url = {0};
    size_t i;

    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (!err && c->common.url)
        err = url_parse(c->common.url, &url);
    if (err)
        return err;
    err = err_set(E_NOT_FOUND, "the server has no listener for %s", protocol);
    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        if (!err || strcmp(ctl_text(row, "protocol"), protocol) != 0)
            continue;
        const char *host = url.base ? strstr(url.base, "://") + 3 : ctl_text(row, "ip_address");
        size_t host_size = url.base ? url_host_size(host) : strlen(host);
        bool is_v6 = !url.base && strchr(host, ':');
        snprintf(out, size, "%s%.*s%s:%lld", is_v6 ? "[" : "", (int)host_size, host,
                 is_v6 ? "]" : "", ctl_number(row, "port"));
        err = OK;
    }
    url_reset(&url);
    json_decref(overview);
    return err;
}

static const char *purpose_of(const char *protocol)
{
    static const char *const purposes[][2] = {
        {"amqp", "AMQP 0-9-1"},
        {"amqps", "AMQP 0-9-1 over TLS"},
        {"amqp/ssl", "AMQP 0-9-1 over TLS"},
        {"http", "HTTP API"},
        {"https", "HTTP API over TLS"},
        {"kafka", "Kafka"},
    };

    for (size_t i = 0; i < COUNT(purposes); i++)
        if (strcmp(purposes[i][0], protocol) == 0)
            return purposes[i][1];
    return protocol;
}

void ctl_print_listeners(const json_t *overview, const char *prefix)
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        const char *protocol = ctl_text(row, "protocol");
        printf("%snterface: %s, port: %lld, protocol: %s, purpose: %s\n", prefix,
               ctl_text(row, "ip_address"), ctl_number(row, "port"), protocol,
               purpose_of(protocol));
    }
}

/* Of all listeners, in the order of the server: "1, 2". */
static char *join_listeners(const json_t *overview, const char *key)
{
    struct text text = {0};
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        const json_t *value = json_object_get(row, key);
        text_append_string(&text, i ? ", " : "");
        if (json_is_string(value))
            text_append_string(&text, json_string_value(value));
        else
            text_printf(&text, "%lld", (long long)json_integer_value(value));
    }
    char *joined = xstrdup(text_string(&text));
    text_reset(&text);
    return joined;
}

static enum err try_listener(const struct ctl *c, const char *protocol)
{
    char address[300];
    struct stream *stream = NULL;

    enum err err = ctl_listener(c, protocol, address, sizeof address);
    if (err)
        return err;
    if (!c->o.silent)
        printf("Will connect to %s\n", address);
    err = stream_dial(address, CONNECT_TIMEOUT_S * INT64_C(1000000000), &stream);
    stream_close(stream);
    return err;
}

static int check_port_connectivity(struct ctl *c)
{
    json_t *overview, *row;
    size_t i;

    if (!ctl_begin(c,
                   "Testing TCP connections to all active listeners on node %s using hostname "
                   "resolution ...",
                   ctl_node(c)))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        bool is_public = strcmp(ctl_text(row, "protocol"), "clustering") != 0;
        if (!err && is_public)
            err = try_listener(c, ctl_text(row, "protocol"));
    }
    char *ports = join_listeners(overview, "port");
    int exit_code = err ? ctl_error(CTL_UNAVAILABLE, "%s", err_text())
                        : ctl_tell(c,
                                   "Successfully connected to ports %s on node %s (using node "
                                   "hostname resolution)",
                                   ports, ctl_text(overview, "node"));
    free(ports);
    json_decref(overview);
    return exit_code;
}

static int check_port_listener(struct ctl *c)
{
    json_t *overview, *row;
    int64_t port = 0;
    bool is_there = false;
    size_t i;

    if (!number_parse_i64(bytes_from_string(c->arguments[0]), &port))
        return ctl_usage(c, CTL_DATA, "Bad argument.");
    if (!ctl_begin(c, "Asking node %s if there's an active listener on port %lld ...", ctl_node(c),
                   (long long)port))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        is_there |= ctl_number(row, "port") == port;
    }
    char *ports = join_listeners(overview, "port");
    const char *node = ctl_text(overview, "node");
    if (is_there)
        ctl_tell(c, "A listener for port %lld is running on node %s.", (long long)port, node);
    else
        fprintf(stderr,
                "No listener for port %lld is active on node %s. Found listeners that use the "
                "following ports: %s\n",
                (long long)port, node, ports);
    free(ports);
    json_decref(overview);
    return is_there ? CTL_OK : CTL_UNAVAILABLE;
}

static int check_protocol_listener(struct ctl *c)
{
    const char *wanted = c->arguments[0];
    json_t *overview, *row;
    bool is_there = false;
    int exit_code;
    size_t i;

    if (!ctl_begin(c, "Asking node %s if there's an active listener for protocol %s ...",
                   ctl_node(c), wanted))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        is_there |= strcmp(ctl_text(row, "protocol"), wanted) == 0;
    }
    char *protocols = join_listeners(overview, "protocol");
    const char *node = ctl_text(overview, "node");
    exit_code = is_there
                    ? ctl_tell(c, "A listener for protocol %s is running on node %s.", wanted, node)
                    : ctl_error(CTL_UNAVAILABLE,
                                "No listener for protocol %s is active on node %s. Found listeners "
                                "for the following protocols: %s",
                                wanted, node, protocols);
    free(protocols);
    json_decref(overview);
    return exit_code;
}

static int listeners(struct ctl *c)
{
    json_t *overview;

    if (!ctl_begin(c, "Asking node %s to report its protocol listeners ...", ctl_node(c)))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    ctl_print_listeners(overview, "I");
    json_decref(overview);
    return CTL_OK;
}

/* ---- health ---- */

static int check_alarms(struct ctl *c)
{
    const char *node = ctl_node(c);

    if (!ctl_begin(c, "Asking node %s to report any local resource alarms ...", node))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "GET health/checks/local-alarms");
    if (err == E_IO)
        return ctl_error(CTL_UNAVAILABLE, "%s", err_text());
    return err ? ctl_failed(c, err)
               : ctl_tell(c, "Node %s reported no alarms, local or clusterwide", node);
}

static int check_vhosts(struct ctl *c)
{
    const char *node = ctl_node(c);

    if (!ctl_begin(c, "Checking if all vhosts are running on node %s ...", node))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "GET health/checks/virtual-hosts");
    return err ? ctl_failed(c, err) : ctl_tell(c, "Node %s reported all vhosts as running", node);
}

static int check_quorum(struct ctl *c)
{
    const char *node = ctl_node(c);

    if (!ctl_begin(c, "Checking if node %s is critical for quorum of any queues/streams ...", node))
        return CTL_OK;
    enum err err = ask_whether_there(c);
    return err ? ctl_failed(c, err)
               : ctl_tell(
                     c,
                     "Node %s seems to be the only one in a single node cluster, the check does "
                     "not apply",
                     node);
}

static const struct ctl_command commands[] = {
    {"ping", "", "Checks that the server answers", "", 0, 0, ping, NULL, false},
    {"await_startup", "", "Waits for the server to start", "", 0, 0, await_startup, NULL, false},
    {"await_online_nodes", "<count> [--timeout <timeout>]",
     "Waits for <count> nodes to join the cluster", "", 1, 1, await_online_nodes, NULL, false},
    {"wait", "[<pidfile>] [--pid|-P <pid>] [--timeout <timeout>]", "Waits for the server to start",
     "pid", 0, 1, wait_for, NULL, false},
    {"node_health_check", "", "DEPRECATED. This command is a no-op", "", 0, -1, node_health_check,
     NULL, false},
    {"check_running", "", "Checks if the server runs", "", 0, 0, check_running, NULL, true},
    {"is_running", "", "Checks if the server runs", "", 0, 0, check_running, NULL, true},
    {"check_alarms", "", "Checks if there are resource alarms", "", 0, 0, check_alarms, NULL, true},
    {"check_local_alarms", "", "Checks if there are resource alarms", "", 0, 0, check_alarms, NULL,
     true},
    {"alarms", "", "Lists resource alarms", "", 0, 0, check_alarms, NULL, true},
    {"check_virtual_hosts", "", "Checks if all vhosts are running", "", 0, 0, check_vhosts, NULL,
     true},
    {"check_if_node_is_quorum_critical", "", "Checks if the node may be stopped", "", 0, 0,
     check_quorum, NULL, true},
    {"check_port_connectivity", "", "Connects to every listener", "", 0, 0, check_port_connectivity,
     NULL, true},
    {"check_port_listener", "<port>", "Checks for a listener on the port", "", 1, 1,
     check_port_listener, NULL, true},
    {"check_protocol_listener", "<protocol>", "Checks for a listener of the protocol", "", 1, 1,
     check_protocol_listener, NULL, true},
    {"listeners", "", "Lists the listeners", "", 0, 0, listeners, NULL, true},
};

const struct ctl_commands ctl_health_commands = {commands, COUNT(commands)};
