/* rabbitmqctl: what the server is, and what it is asked to be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control_client.h"
#include "cli/ctl.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static double gigabytes(const json_t *object, const char *key)
{
    return (double)ctl_number(object, key) / 1e9;
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

    if (!ctl_begin(c, "Asking node %s for its RabbitMQ version...", ctl_node(c)))
        return CTL_OK;
    enum err err = manage_get(&c->common, &overview, "GET overview");
    if (err)
        return ctl_failed(c, err);
    int exit_code = ctl_tell(c, "%s", ctl_text(overview, "rabbitmq_version"));
    json_decref(overview);
    return exit_code;
}

/* The overview and its node; both are new references. */
static enum err ask_status(const struct ctl *c, json_t **out_overview, json_t **out_node)
{
    enum err err = manage_get(&c->common, out_overview, "GET overview");

    if (err)
        return err;
    err = manage_get(&c->common, out_node, "GET nodes/%s", ctl_text(*out_overview, "node"));
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
        printf("Memory alarm on node %s\n", ctl_text(node, "name"));
    if (has_disk)
        printf("Free disk space alarm on node %s\n", ctl_text(node, "name"));
    if (!has_memory && !has_disk)
        puts("(none)");
}

static void print_status(const json_t *overview, const json_t *node)
{
    printf("Runtime\n\nOS PID: %s\nOS: Linux\nUptime (seconds): %lld\n", ctl_text(node, "os_pid"),
           ctl_number(node, "uptime") / 1000);
    printf("Is under maintenance?: false\nRabbitMQ version: %s\n",
           ctl_text(overview, "rabbitmq_version"));
    if (json_object_get(overview, "pabal_version"))
        printf("Pabal version: %s\n", ctl_text(overview, "pabal_version"));
    printf("Node name: %s\n", ctl_text(overview, "node"));
    print_title("Data directory");
    printf("Node data directory: %s\n", ctl_text(node, "db_dir"));
    print_alarms(node);
    print_title("Memory");
    printf("Total memory used: %.4f gb\nMemory high watermark setting: %.4f gb\n",
           gigabytes(node, "mem_used"), gigabytes(node, "mem_limit"));
    print_title("File Descriptors");
    printf("Total: %lld, limit: %lld\n", ctl_number(node, "fd_used"), ctl_number(node, "fd_total"));
    print_title("Free Disk Space");
    printf("Low free disk space watermark: %.4f gb\nFree disk space: %.4f gb\n",
           gigabytes(node, "disk_free_limit"), gigabytes(node, "disk_free"));
    print_title("Totals");
    printf("Connection count: %lld\nQueue count: %lld\n",
           ctl_number(overview, "object_totals.connections"),
           ctl_number(overview, "object_totals.queues"));
    print_title("Listeners");
    ctl_print_listeners(overview, "I");
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

    if (!ctl_begin(c, "Status of node %s ...", ctl_node(c)))
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
    const char *name = ctl_text(overview, "node");
    char prefix[300];

    printf("Basics\n\nCluster name: %s\nTotal CPU cores available cluster-wide: %lld\n",
           ctl_text(overview, "cluster_name"), ctl_number(node, "processors"));
    printf("\nDisk Nodes\n\n%s\n\nRunning Nodes\n\n%s\n\nVersions\n\n%s: %s %s\n", name, name, name,
           ctl_text(overview, "product_name"), ctl_text(overview, "product_version"));
    printf("\nMaintenance status\n\nNode: %s, status: not under maintenance\n", name);
    print_alarms(node);
    print_title("Network Partitions");
    puts("(none)");
    print_title("Listeners");
    snprintf(prefix, sizeof prefix, "Node: %s, i", name);
    ctl_print_listeners(overview, prefix);
}

static int cluster_status(struct ctl *c)
{
    json_t *overview, *node;

    if (!ctl_begin(c, "Cluster status of node %s ...", ctl_node(c)))
        return CTL_OK;
    enum err err = ask_status(c, &overview, &node);
    if (err)
        return ctl_failed(c, err);
    const char *name = ctl_text(overview, "node");
    if (ctl_is_json(c)) {
        json_t *object = json_pack("{s:s, s:[s], s:[s], s:{}, s:[], s:{s:O}}", "cluster_name",
                                   ctl_text(overview, "cluster_name"), "disk_nodes", name,
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

    if (!ctl_begin(c, "Application environment of node %s ...", ctl_node(c)))
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
            printf("%s = %s\n", name, ctl_text(option, "value"));
    json_decref(answer);
    return CTL_OK;
}

static int report(struct ctl *c)
{
    static const char *const parts[] = {
        "list_connections", "list_channels",    "list_queues",   "list_exchanges",
        "list_bindings",    "list_permissions", "list_policies", "list_global_parameters"};

    if (!ctl_begin(c, "Reporting server status of node %s ...\n", ctl_node(c)))
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

/* The API knows "all" as well. */
static int enable_feature_flag(struct ctl *c)
{
    const char *name = c->arguments[0];
    bool goes_on = strcmp(name, "all") == 0
                       ? ctl_begin(c, "Enabling all feature flags ...")
                       : ctl_begin(c, "Enabling feature flag \"%s\" ...", name);

    if (!goes_on)
        return CTL_OK;
    enum err err = manage_ask(&c->common, json_object(), NULL, "PUT feature-flags/%s/enable", name);
    if (err == E_NOT_FOUND || err == E_PRECONDITION)
        return ctl_error(CTL_USAGE, "This feature flag is not supported by node %s", ctl_node(c));
    return ctl_end(c, err);
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
    {"status", "[--timeout <timeout>]", "Displays status of a node", "", 0, 0, status, NULL, false},
    {"cluster_status", "", "Displays the nodes in the cluster", "", 0, 0, cluster_status, NULL,
     false},
    {"version", "", "Displays the version of RabbitMQ that the commands stand for", "", 0, -1,
     version, NULL, false},
    {"enable_feature_flag", "<all | feature_flag>", "Enables a feature flag or all of them", "", 1,
     1, enable_feature_flag, NULL, false},
    {"environment", "", "Displays the server's configuration", "", 0, 0, environment, NULL, false},
    {"report", "", "Generates a report of all that there is to list", "", 0, 0, report, NULL,
     false},
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
    REFUSED("set_log_level", "set the option log.level and restart"),
    REFUSED("rotate_logs", "the server logs to its standard error"),
    REFUSED("stop_app", "the server has no application apart from its process"),
    REFUSED("start_app", "the server has no application apart from its process"),
    REFUSED("reset", "stop the server and delete its data.dir"),
    REFUSED("force_reset", "stop the server and delete its data.dir"),
    REFUSED("join_cluster", "the server is one node"),
    REFUSED("forget_cluster_node", "the server is one node"),
    REFUSED("change_cluster_node_type", "the server is one node"),
};

const struct ctl_commands ctl_refused_commands = {refused, COUNT(refused)};
