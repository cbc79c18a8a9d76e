/* rabbitmqctl and rabbitmq-diagnostics: how the server is, and what it is asked to be. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "cli/control_client.h"
#include "cli/ctl.h"
#include "cli/url.h"
#include "io/clock.h"
#include "io/stream.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { POLL_MS = 200, STARTUP_TIMEOUT_S = 300, CONNECT_TIMEOUT_S = 5 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(output_find(object, key));

    return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(output_find(object, key));
}

static double gigabytes(const json_t *object, const char *key)
{
    return (double)number_of(object, key) / 1e9;
}

/* ---- is it there? ---- */

static enum err ask_whether_there(const struct ctl *c)
{
    return manage_ask(&c->common, NULL, NULL, "GET overview");
}

/* The name of a server that may not run. */
static const char *node_or_default(const struct ctl *c)
{
    const char *node = ctl_node(c);

    err_clear();
    return node;
}

static int tell(const struct ctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A result that is one sentence; a JSON object for machines. */
static int tell(const struct ctl *c, const char *format, ...)
{
    struct text text = {0};
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_append_string(&text, line);
    if (ctl_is_json(c)) {
        json_t *object = json_pack("{s:s}", "message", text_string(&text));
        char *json = json_dumps(object, JSON_COMPACT);
        puts(json);
        free(json);
        json_decref(object);
    } else {
        puts(text_string(&text));
    }
    text_reset(&text);
    return CTL_OK;
}

static int ping(struct ctl *c)
{
    if (!ctl_begin(c,
                   "Will ping %s. This only checks if the OS process is running and registered "
                   "with epmd. Timeout: %lld ms.",
                   node_or_default(c), (long long)(c->common.timeout_ns / 1000000)))
        return CTL_OK;
    enum err err = ask_whether_there(c);
    return err ? ctl_failed(c, err) : tell(c, "Ping succeeded");
}

static int check_running(struct ctl *c)
{
    const char *node = node_or_default(c);

    if (!ctl_begin(c, "Checking if RabbitMQ is running on node %s ...", node))
        return CTL_OK;
    enum err err = ask_whether_there(c);
    return err ? ctl_failed(c, err)
               : tell(c, "RabbitMQ on node %s is fully booted and running", node);
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
                   node_or_default(c)))
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
                   (long long)wanted, node_or_default(c),
                   (long long)ctl_timeout_s(c, STARTUP_TIMEOUT_S)))
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
        if (!err || strcmp(text_of(row, "protocol"), protocol) != 0)
            continue;
        const char *host = url.base ? strstr(url.base, "://") + 3 : text_of(row, "ip_address");
        size_t host_size = url.base ? url_host_size(host) : strlen(host);
        bool is_v6 = !url.base && strchr(host, ':');
        snprintf(out, size, "%s%.*s%s:%lld", is_v6 ? "[" : "", (int)host_size, host,
                 is_v6 ? "]" : "", number_of(row, "port"));
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

static void print_listeners(const json_t *overview, const char *prefix)
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        const char *protocol = text_of(row, "protocol");
        printf("%snterface: %s, port: %lld, protocol: %s, purpose: %s\n", prefix,
               text_of(row, "ip_address"), number_of(row, "port"), protocol, purpose_of(protocol));
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
                   node_or_default(c)))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        bool is_public = strcmp(text_of(row, "protocol"), "clustering") != 0;
        if (!err && is_public)
            err = try_listener(c, text_of(row, "protocol"));
    }
    char *ports = join_listeners(overview, "port");
    int exit_code = err ? ctl_error(CTL_UNAVAILABLE, "%s", err_text())
                        : tell(c,
                               "Successfully connected to ports %s on node %s (using node "
                               "hostname resolution)",
                               ports, text_of(overview, "node"));
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
    if (!ctl_begin(c, "Asking node %s if there's an active listener on port %lld ...",
                   node_or_default(c), (long long)port))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        is_there |= number_of(row, "port") == port;
    }
    char *ports = join_listeners(overview, "port");
    const char *node = text_of(overview, "node");
    if (is_there)
        tell(c, "A listener for port %lld is running on node %s.", (long long)port, node);
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
                   node_or_default(c), wanted))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        is_there |= strcmp(text_of(row, "protocol"), wanted) == 0;
    }
    char *protocols = join_listeners(overview, "protocol");
    const char *node = text_of(overview, "node");
    exit_code = is_there
                    ? tell(c, "A listener for protocol %s is running on node %s.", wanted, node)
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

    if (!ctl_begin(c, "Asking node %s to report its protocol listeners ...", node_or_default(c)))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    print_listeners(overview, "I");
    json_decref(overview);
    return CTL_OK;
}

/* ---- health ---- */

static int check_alarms(struct ctl *c)
{
    const char *node = node_or_default(c);

    if (!ctl_begin(c, "Asking node %s to report any local resource alarms ...", node))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "GET health/checks/local-alarms");
    if (err == E_IO)
        return ctl_error(CTL_UNAVAILABLE, "%s", err_text());
    return err ? ctl_failed(c, err)
               : tell(c, "Node %s reported no alarms, local or clusterwide", node);
}

static int check_vhosts(struct ctl *c)
{
    const char *node = node_or_default(c);

    if (!ctl_begin(c, "Checking if all vhosts are running on node %s ...", node))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "GET health/checks/virtual-hosts");
    return err ? ctl_failed(c, err) : tell(c, "Node %s reported all vhosts as running", node);
}

static int check_quorum(struct ctl *c)
{
    const char *node = node_or_default(c);

    if (!ctl_begin(c, "Checking if node %s is critical for quorum of any queues/streams ...", node))
        return CTL_OK;
    enum err err = ask_whether_there(c);
    return err ? ctl_failed(c, err)
               : tell(c,
                      "Node %s seems to be the only one in a single node cluster, the check does "
                      "not apply",
                      node);
}

/* ---- what it is ---- */

/* Of RabbitMQ whose commands these are: scripts compare it. */
static int version(struct ctl *c)
{
    (void)c;
    puts("4.2.0");
    return CTL_OK;
}

static int server_version(struct ctl *c)
{
    json_t *overview;

    if (!ctl_begin(c, "Asking node %s for its RabbitMQ version...", node_or_default(c)))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    int exit_code = tell(c, "%s", text_of(overview, "rabbitmq_version"));
    json_decref(overview);
    return exit_code;
}

/* The overview and its node; both are new references. */
static enum err ask_status(const struct ctl *c, json_t **out_overview, json_t **out_node)
{
    enum err err = manage_get(&c->common, out_overview, "GET overview");

    if (err)
        return err;
    err = manage_get(&c->common, out_node, "GET nodes/%s", text_of(*out_overview, "node"));
    if (err)
        json_decref(*out_overview);
    return err;
}

static void print_title(const char *title)
{
    printf("\n%s\n\n", title);
}

static void print_alarms(const json_t *node)
{
    bool has_memory = json_is_true(json_object_get(node, "mem_alarm"));
    bool has_disk = json_is_true(json_object_get(node, "disk_free_alarm"));

    print_title("Alarms");
    if (has_memory)
        printf("Memory alarm on node %s\n", text_of(node, "name"));
    if (has_disk)
        printf("Free disk space alarm on node %s\n", text_of(node, "name"));
    if (!has_memory && !has_disk)
        puts("(none)");
}

static void print_status(const json_t *overview, const json_t *node)
{
    printf("Runtime\n\nOS PID: %s\nOS: Linux\nUptime (seconds): %lld\n", text_of(node, "os_pid"),
           number_of(node, "uptime") / 1000);
    printf("Is under maintenance?: false\nRabbitMQ version: %s\n",
           text_of(overview, "rabbitmq_version"));
    if (json_object_get(overview, "pabal_version"))
        printf("Pabal version: %s\n", text_of(overview, "pabal_version"));
    printf("Node name: %s\n", text_of(overview, "node"));
    print_title("Data directory");
    printf("Node data directory: %s\n", text_of(node, "db_dir"));
    print_alarms(node);
    print_title("Memory");
    printf("Total memory used: %.4f gb\nMemory high watermark setting: %.4f gb\n",
           gigabytes(node, "mem_used"), gigabytes(node, "mem_limit"));
    print_title("File Descriptors");
    printf("Total: %lld, limit: %lld\n", number_of(node, "fd_used"), number_of(node, "fd_total"));
    print_title("Free Disk Space");
    printf("Low free disk space watermark: %.4f gb\nFree disk space: %.4f gb\n",
           gigabytes(node, "disk_free_limit"), gigabytes(node, "disk_free"));
    print_title("Totals");
    printf("Connection count: %lld\nQueue count: %lld\n",
           number_of(overview, "object_totals.connections"),
           number_of(overview, "object_totals.queues"));
    print_title("Listeners");
    print_listeners(overview, "I");
}

static void print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);

    puts(text ? text : "{}");
    free(text);
}

static int status(struct ctl *c)
{
    json_t *overview, *node;

    if (!ctl_begin(c, "Status of node %s ...", node_or_default(c)))
        return CTL_OK;
    enum err err = ask_status(c, &overview, &node);
    if (err)
        return ctl_failed(c, err);
    if (ctl_is_json(c)) {
        json_object_set(node, "listeners", json_object_get(overview, "listeners"));
        json_object_set(node, "totals", json_object_get(overview, "object_totals"));
        print_json(node);
    } else {
        print_status(overview, node);
    }
    json_decref(overview);
    json_decref(node);
    return CTL_OK;
}

static void print_cluster(const json_t *overview, const json_t *node)
{
    const char *name = text_of(overview, "node");
    char prefix[300];

    printf("Basics\n\nCluster name: %s\nTotal CPU cores available cluster-wide: %lld\n",
           text_of(overview, "cluster_name"), number_of(node, "processors"));
    printf("\nDisk Nodes\n\n%s\n\nRunning Nodes\n\n%s\n\nVersions\n\n%s: %s %s\n", name, name, name,
           text_of(overview, "product_name"), text_of(overview, "product_version"));
    printf("\nMaintenance status\n\nNode: %s, status: not under maintenance\n", name);
    print_alarms(node);
    print_title("Network Partitions");
    puts("(none)");
    print_title("Listeners");
    snprintf(prefix, sizeof prefix, "Node: %s, i", name);
    print_listeners(overview, prefix);
}

static int cluster_status(struct ctl *c)
{
    json_t *overview, *node;

    if (!ctl_begin(c, "Cluster status of node %s ...", node_or_default(c)))
        return CTL_OK;
    enum err err = ask_status(c, &overview, &node);
    if (err)
        return ctl_failed(c, err);
    const char *name = text_of(overview, "node");
    if (ctl_is_json(c)) {
        json_t *object = json_pack("{s:s, s:[s], s:[s], s:{}, s:[], s:{s:O}}", "cluster_name",
                                   text_of(overview, "cluster_name"), "disk_nodes", name,
                                   "running_nodes", name, "partitions", "alarms", "listeners", name,
                                   json_object_get(overview, "listeners"));
        print_json(object);
        json_decref(object);
    } else {
        print_cluster(overview, node);
    }
    json_decref(overview);
    json_decref(node);
    return CTL_OK;
}

/* The configuration of a server on this machine; one that is elsewhere does not tell it. */
static int environment(struct ctl *c)
{
    json_t *answer, *option;
    const char *name;

    if (!ctl_begin(c, "Application environment of node %s ...", node_or_default(c)))
        return CTL_OK;
    if (c->common.url)
        return ctl_error(CTL_UNAVAILABLE, "the configuration is told over the control socket only");
    enum err err = control_ask(&c->common, json_pack("{s:s}", "command", "config.show"), &answer);
    if (err)
        return ctl_failed(c, err);
    if (ctl_is_json(c))
        print_json(answer);
    else
        json_object_foreach(answer, name, option)
            printf("%s = %s\n", name, text_of(option, "value"));
    json_decref(answer);
    return CTL_OK;
}

static int report(struct ctl *c)
{
    static const char *const parts[] = {
        "list_connections", "list_channels",    "list_queues",   "list_exchanges",
        "list_bindings",    "list_permissions", "list_policies", "list_global_parameters"};

    if (!ctl_begin(c, "Reporting server status of node %s ...\n", node_or_default(c)))
        return CTL_OK;
    int exit_code = status(c);
    putchar('\n');
    exit_code = exit_code ? exit_code : cluster_status(c);
    for (size_t i = 0; !exit_code && i < COUNT(parts); i++) {
        struct ctl part = *c;
        putchar('\n');
        exit_code = ctl_run(&part, parts[i]);
    }
    return exit_code;
}

/* ---- what there is no use for ---- */

static int erlang_version(struct ctl *c)
{
    (void)c;
    return ctl_error(CTL_UNAVAILABLE, "the server does not run on Erlang");
}

static int not_here(struct ctl *c)
{
    return ctl_error(CTL_UNAVAILABLE, "%s: %s", c->command->name, c->command->about);
}

static const struct ctl_command commands[] = {
    {"ping", "", "Checks that the server answers", "", 0, 0, ping, NULL, false},
    {"status", "[--timeout <timeout>]", "Displays status of a node", "", 0, 0, status, NULL, false},
    {"cluster_status", "", "Displays the nodes in the cluster", "", 0, 0, cluster_status, NULL,
     false},
    {"await_startup", "", "Waits for the server to start", "", 0, 0, await_startup, NULL, false},
    {"await_online_nodes", "<count> [--timeout <timeout>]",
     "Waits for <count> nodes to join the cluster", "", 1, 1, await_online_nodes, NULL, false},
    {"wait", "[<pidfile>] [--pid|-P <pid>] [--timeout <timeout>]", "Waits for the server to start",
     "pid", 0, 1, wait_for, NULL, false},
    {"node_health_check", "", "DEPRECATED. This command is a no-op", "", 0, -1, node_health_check,
     NULL, false},
    {"version", "", "Displays the version of RabbitMQ that the commands stand for", "", 0, -1,
     version, NULL, false},
    {"environment", "", "Displays the server's configuration", "", 0, 0, environment, NULL, false},
    {"report", "", "Generates a report of all that there is to list", "", 0, 0, report, NULL,
     false},
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
    {"server_version", "", "Displays the version of RabbitMQ that the server stands for", "", 0, 0,
     server_version, NULL, true},
    {"erlang_version", "", "Displays Erlang's version", "", 0, 0, erlang_version, NULL, true},
};

const struct ctl_commands ctl_node_commands = {commands, COUNT(commands)};

#define REFUSED(name, why)                                                                         \
    {                                                                                              \
        name, "", why, "", 0, -1, not_here, NULL, false                                            \
    }

static const struct ctl_command refused[] = {
    REFUSED("eval", "the server does not run on Erlang"),
    REFUSED("eval_file", "the server does not run on Erlang"),
    REFUSED("exec", "the server does not run on Elixir"),
    REFUSED("trace_on", "messages cannot be traced yet"),
    REFUSED("trace_off", "messages cannot be traced yet"),
    REFUSED("set_vm_memory_high_watermark", "set the option memory.limit and restart"),
    REFUSED("set_disk_free_limit", "set the option disk.reserve.bytes and restart"),
    REFUSED("set_log_level", "set the option log.level and restart"),
    REFUSED("rotate_logs", "the server logs to its standard error"),
    REFUSED("stop", "end the server's process: SIGTERM"),
    REFUSED("shutdown", "end the server's process: SIGTERM"),
    REFUSED("stop_app", "the server has no application apart from its process"),
    REFUSED("start_app", "the server has no application apart from its process"),
    REFUSED("reset", "stop the server and delete its data.dir"),
    REFUSED("force_reset", "stop the server and delete its data.dir"),
    REFUSED("join_cluster", "the server is one node"),
    REFUSED("forget_cluster_node", "the server is one node"),
    REFUSED("change_cluster_node_type", "the server is one node"),
    REFUSED("list_feature_flags", "the server has no feature flags"),
    REFUSED("enable_feature_flag", "the server has no feature flags"),
};

const struct ctl_commands ctl_refused_commands = {refused, COUNT(refused)};
