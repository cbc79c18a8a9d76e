/* The node: there is one. */
#include "manage/node.h"

#include <stdio.h>
#include <string.h>

#include "base/metrics.h"
#include "broker/exchange.h"
#include "broker/hold.h"
#include "broker/parameter.h"
#include "io/hub.h"
#include "io/process.h"
#include "manage/call_internal.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/objects.h"
#include "manage/routes.h"

json_t *node_exchange_types(void)
{
    json_t *out = json_array();

    for (int kind = 0; kind < EXCHANGE_KINDS; kind++) {
        const char *name = exchange_kind_name((enum exchange_kind)kind);
        char description[128];
        snprintf(description, sizeof description, "%s exchange", name);
        json_array_append_new(out, json_pack("{s:s, s:s, s:b}", "name", name, "description",
                                             description, "enabled", 1));
    }
    return out;
}

json_t *node_contexts(const struct manage_config *config, bool with_node)
{
    json_t *out = json_array();

    for (size_t i = 0; i < *config->listener_count; i++) {
        const struct manage_listener *l = &config->listeners[i];
        bool is_metrics = strcmp(l->protocol, "http/prometheus") == 0;
        char port[8];
        if (!is_metrics && strcmp(l->protocol, "http") != 0)
            continue;
        snprintf(port, sizeof port, "%u", (unsigned)l->port);
        json_t *context = json_pack("{s:s, s:s, s:s, s:s}", "description",
                                    is_metrics ? "RabbitMQ Prometheus" : "RabbitMQ Management",
                                    "path", "/", "ip", l->host, "port", port);
        if (with_node)
            json_object_set_new(context, "node", json_string(config->node));
        json_array_append_new(out, context);
    }
    return out;
}

/* RabbitMQ keeps it as a global parameter too. */
json_t *node_cluster_name(const struct manage_call *call)
{
    const struct parameter *p =
        parameter_find(call->core, NULL, BYTES_NULL, BYTES_LITERAL("cluster_name"));
    json_t *name =
        p ? json_loadb((const char *)p->value.data, p->value.size, JSON_DECODE_ANY, NULL) : NULL;

    if (json_is_string(name))
        return name;
    json_decref(name);
    return json_string(manage_config(call->manage)->node);
}

bool node_disk_alarm(const struct manage_call *call)
{
    return store_is_frozen(call->core->store) || (core_holds(call->core) & HOLD_DISK) ||
           manage_facts(call)->disk_free_bytes < store_reserve_bytes(call->core->store);
}

bool node_memory_alarm(const struct manage_call *call)
{
    return core_holds(call->core) & HOLD_MEMORY;
}

static void set_count(json_t *out, const char *name, uint64_t value)
{
    json_object_set_new(out, name, manage_json_count(value));
}

/* What grows and shrinks, with how fast it does. */
static void add_used(const struct manage_call *call, json_t *out)
{
    const struct manage_config *config = manage_config(call->manage);
    const struct facts *facts = manage_facts(call);
    static const char *const names[] = {"mem_used", "disk_free", "fd_used", "sockets_used",
                                        "proc_used"};
    enum { COUNT = sizeof names / sizeof names[0] };
    uint64_t values[COUNT] = {facts->rss_bytes, facts->disk_free_bytes, facts->open_files,
                              config->hub ? hub_connection_count(config->hub) : 0, 0};
    double rates[COUNT];

    rates_ask(&call->manage->node_rates, values, COUNT, call->core->wall_ms, rates);
    for (int i = 0; i < COUNT; i++)
        stats_put_one(out, names[i], values[i], rates[i], stats_sample_ms(call, "node_stats"));
}

static void add_limits(const struct manage_call *call, json_t *out)
{
    const struct manage_config *config = manage_config(call->manage);
    const struct facts *facts = manage_facts(call);

    set_count(out, "mem_limit", store_watermark_bytes(call->core->store));
    json_object_set_new(out, "mem_alarm", json_boolean(node_memory_alarm(call)));
    set_count(out, "disk_free_limit", store_reserve_bytes(call->core->store));
    json_object_set_new(out, "disk_free_alarm", json_boolean(node_disk_alarm(call)));
    set_count(out, "fd_total", config->file_limit);
    set_count(out, "sockets_total", config->max_connections);
    set_count(out, "proc_total", 0);
    set_count(out, "processors", (uint64_t)facts->cpu_count);
    set_count(out, "run_queue", 0);
}

static json_t *json_of_mechanisms(void)
{
    return json_pack("[{s:s, s:s, s:b}, {s:s, s:s, s:b}]", "name", "PLAIN", "description",
                     "SASL PLAIN authentication mechanism", "enabled", 1, "name", "AMQPLAIN",
                     "description", "QPid AMQPLAIN mechanism", "enabled", 1);
}

static json_t *json_of_node(const struct manage_call *call)
{
    const struct manage_config *config = manage_config(call->manage);
    json_t *out = json_pack(
        "{s:s, s:s, s:b, s:b, s:[], s:[], s:s, s:s, s:s, s:i}", "name", config->node, "type",
        "disc", "running", 1, "being_drained", 0, "partitions", "cluster_links", "rates_mode",
        "basic", "mem_calculation_strategy", "rss", "db_dir", config->data_dir, "net_ticktime", 60);
    char pid[24];

    snprintf(pid, sizeof pid, "%llu", (unsigned long long)process_id());
    json_object_set_new(out, "os_pid", json_string(pid));
    json_object_set_new(out, "uptime", json_integer(call->core->wall_ms - config->started_wall_ms));
    add_used(call, out);
    add_limits(call, out);
    json_object_set_new(out, "exchange_types", node_exchange_types());
    json_object_set_new(out, "auth_mechanisms", json_of_mechanisms());
    json_object_set_new(out, "applications",
                        json_pack("[{s:s, s:s, s:s}]", "name", "pabal", "description",
                                  config->product, "version", config->version));
    json_object_set_new(out, "contexts", node_contexts(config, false));
    json_object_set_new(out, "enabled_plugins", json_pack("[s]", "rabbitmq_management"));
    json_object_set_new(out, "log_files", json_pack("[s]", "<stderr>"));
    json_object_set_new(out, "config_files",
                        config->config_file ? json_pack("[s]", config->config_file) : json_array());
    return out;
}

static void answer_nodes(struct manage_call *call)
{
    json_t *rows = json_array();

    json_array_append_new(rows, json_of_node(call));
    manage_answer_list(call, rows);
}

static void get_nodes(struct manage_call *call)
{
    facts_gather(call, answer_nodes);
}

static bool is_this_node(struct manage_call *call)
{
    return bytes_equal_string(manage_param(call, "node"), manage_config(call->manage)->node);
}

static void answer_node(struct manage_call *call)
{
    manage_answer(call, 200, manage_columns(call, json_of_node(call)));
}

static void get_node(struct manage_call *call)
{
    if (is_this_node(call))
        facts_gather(call, answer_node);
    else
        manage_not_found(call);
}

/* What the store counts, and the rest of what the process has. */
static void answer_memory(struct manage_call *call)
{
    uint64_t rss = manage_facts(call)->rss_bytes;
    struct store_stats stats;

    store_stats(call->core->store, &stats);
    uint64_t known = stats.cached_bytes + stats.memory_level_bytes + stats.staged_bytes;
    json_t *total = json_pack("{s:I, s:I, s:I}", "erlang", (json_int_t)0, "rss", (json_int_t)rss,
                              "allocated", (json_int_t)rss);
    json_t *memory = json_pack(
        "{s:I, s:I, s:I, s:I, s:s, s:o}", "cache", (json_int_t)stats.cached_bytes, "memory_logs",
        (json_int_t)stats.memory_level_bytes, "staged", (json_int_t)stats.staged_bytes, "other",
        (json_int_t)(rss > known ? rss - known : 0), "strategy", "rss", "total", total);
    manage_answer(call, 200, json_pack("{s:o}", "memory", memory));
}

static void get_memory(struct manage_call *call)
{
    if (is_this_node(call))
        facts_gather(call, answer_memory);
    else
        manage_not_found(call);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "nodes", MANAGE_MONITORING, get_nodes},
    {MANAGE_GET, "nodes/:node", MANAGE_MONITORING, get_node},
    {MANAGE_GET, "nodes/:node/memory", MANAGE_MONITORING, get_memory},
};

const struct manage_routes manage_node_routes = {routes, sizeof routes / sizeof routes[0]};
