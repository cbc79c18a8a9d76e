/* The broker as a whole, and who is asking. */
#include "base/metrics.h"
#include "broker/exchange.h"
#include "broker/rates.h"
#include "broker/user.h"
#include "io/process.h"
#include "manage/call_internal.h"
#include "manage/definitions.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/node.h"
#include "manage/objects.h"
#include "manage/routes.h"

/* ---- who is asking ---- */

/* The operator on the control socket is as good as an administrator. */
static json_t *json_of_tags(const struct user *user)
{
    json_t *out = json_array();

    if (!user)
        json_array_append_new(out, json_string("administrator"));
    for (size_t i = 0; user && i < user->tags.count; i++)
        json_array_append_new(out, manage_json(user->tags.items[i]));
    return out;
}

static void whoami(struct manage_call *call)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", manage_json(manage_user_name(call)));
    json_object_set_new(out, "tags", json_of_tags(call->user));
    json_object_set_new(out, "is_internal_user", json_true());
    manage_answer(call, 200, out);
}

static void version(struct manage_call *call)
{
    manage_answer(call, 200, json_string(manage_config(call->manage)->rabbitmq_version));
}

/* ---- numbers with their rates ---- */

enum { SUM_MAX = 4 };

/* A number of RabbitMQ's as a sum of ours. */
struct figure {
    const char *group, *name;
    enum metric metrics[SUM_MAX];
    int metric_count;
};

#define SUM(...) {__VA_ARGS__}, sizeof((enum metric[]){__VA_ARGS__}) / sizeof(enum metric)

static const struct figure figures[] = {
    {"message_stats", "publish", SUM(METRIC_messages_received)},
    {"message_stats", "confirm", SUM(METRIC_messages_confirmed)},
    {"message_stats", "return_unroutable", SUM(METRIC_messages_returned)},
    {"message_stats", "drop_unroutable", SUM(METRIC_messages_dropped)},
    {"message_stats", "deliver", SUM(METRIC_messages_delivered)},
    {"message_stats", "deliver_no_ack", SUM(METRIC_messages_delivered_no_ack)},
    {"message_stats", "get", SUM(METRIC_messages_got)},
    {"message_stats", "get_no_ack", SUM(METRIC_messages_got_no_ack)},
    {"message_stats", "get_empty", SUM(METRIC_messages_get_empty)},
    {"message_stats", "deliver_get",
     SUM(METRIC_messages_delivered, METRIC_messages_delivered_no_ack, METRIC_messages_got,
         METRIC_messages_got_no_ack)},
    {"message_stats", "ack", SUM(METRIC_messages_acknowledged)},
    {"message_stats", "redeliver", SUM(METRIC_messages_redelivered)},
    {"message_stats", "disk_reads", SUM(METRIC_read_jobs)},
    {"message_stats", "disk_writes", SUM(METRIC_commits)},
    {"churn_rates", "connection_created", SUM(METRIC_connections_opened)},
    {"churn_rates", "connection_closed", SUM(METRIC_connections_closed)},
    {"churn_rates", "channel_created", SUM(METRIC_channels_opened)},
    {"churn_rates", "channel_closed", SUM(METRIC_channels_closed)},
    {"churn_rates", "queue_declared", SUM(METRIC_queues_declared)},
    {"churn_rates", "queue_created", SUM(METRIC_queues_created)},
    {"churn_rates", "queue_deleted", SUM(METRIC_queues_deleted)},
};

enum { FIGURES = sizeof figures / sizeof figures[0], LENGTHS = 3 };

static json_t *group(json_t *out, const char *name)
{
    json_t *found = json_object_get(out, name);

    if (!found) {
        found = json_object();
        json_object_set_new(out, name, found);
    }
    return found;
}

/* The figures and the lengths of queues, with how fast they grow: of the whole broker. */
static void add_figures(struct manage_call *call, json_t *out)
{
    const struct totals *totals = manage_totals(call);
    uint64_t values[FIGURES + LENGTHS];
    double rates[FIGURES + LENGTHS];
    int64_t sample_ms = stats_sample_ms(call, "msg_rates");
    int64_t lengths_ms = stats_sample_ms(call, "lengths");

    for (int i = 0; i < FIGURES; i++) {
        values[i] = 0;
        for (int m = 0; m < figures[i].metric_count; m++)
            values[i] += metrics_sum(figures[i].metrics[m]);
    }
    values[FIGURES] = totals->ready + totals->unacked;
    values[FIGURES + 1] = totals->ready;
    values[FIGURES + 2] = totals->unacked;
    rates_ask(&call->manage->rates, values, FIGURES + LENGTHS, call->core->wall_ms, rates);
    for (int i = 0; i < FIGURES; i++)
        stats_put_one(group(out, figures[i].group), figures[i].name, values[i], rates[i],
                      sample_ms);
    json_t *lengths = group(out, "queue_totals");
    stats_put_one(lengths, "messages", values[FIGURES], rates[FIGURES], lengths_ms);
    stats_put_one(lengths, "messages_ready", values[FIGURES + 1], rates[FIGURES + 1], lengths_ms);
    stats_put_one(lengths, "messages_unacknowledged", values[FIGURES + 2], rates[FIGURES + 2],
                  lengths_ms);
}

/* Of the vhosts that the user may see: how much, not how fast. */
static void add_lengths(struct manage_call *call, json_t *out)
{
    const struct totals *totals = manage_totals(call);
    json_t *lengths = group(out, "queue_totals");

    group(out, "message_stats");
    json_object_set_new(lengths, "messages", manage_json_count(totals->ready + totals->unacked));
    json_object_set_new(lengths, "messages_ready", manage_json_count(totals->ready));
    json_object_set_new(lengths, "messages_unacknowledged", manage_json_count(totals->unacked));
}

/* ---- the overview ---- */

static json_t *json_of_objects(const struct totals *totals)
{
    json_t *out = json_object();

    json_object_set_new(out, "channels", manage_json_count(totals->channels));
    json_object_set_new(out, "connections", manage_json_count(totals->connections));
    json_object_set_new(out, "consumers", manage_json_count(totals->consumers));
    json_object_set_new(out, "exchanges", manage_json_count(totals->exchanges));
    json_object_set_new(out, "queues", manage_json_count(totals->queues));
    return out;
}

static json_t *json_of_listeners(const struct manage_config *config)
{
    json_t *out = json_array();

    for (size_t i = 0; i < *config->listener_count; i++) {
        const struct manage_listener *l = &config->listeners[i];
        json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:i, s:{}}", "node", config->node,
                                             "protocol", l->protocol, "ip_address", l->host, "port",
                                             (int)l->port, "socket_opts"));
    }
    return out;
}

/* What has not changed since the start. */
static void add_constants(const struct manage_config *config, json_t *out)
{
    const char *version = config->rabbitmq_version;
    json_t *constants = json_pack(
        "{s:s, s:s, s:{s:[i,i,i,i], s:[i,i], s:[i]}, s:s, s:s, s:s, s:{}, s:{}, s:s, "
        "s:s, s:b, s:s, s:b, s:b, s:i, s:s, s:s}",
        "management_version", version, "rates_mode", "basic", "sample_retention_policies", "global",
        600, 3600, 28800, 86400, "basic", 600, 3600, "detailed", 600, "product_name",
        config->product, "product_version", version, "rabbitmq_version", version, "cluster_tags",
        "node_tags", "erlang_version", "", "erlang_full_version", "", "disable_stats", 0,
        "default_queue_type", "classic", "is_op_policy_updating_enabled", 1, "enable_queue_totals",
        0, "statistics_db_event_queue", 0, "node", config->node, "pabal_version", config->version);

    json_object_update(out, constants);
    json_decref(constants);
}

static void answer_overview(struct manage_call *call)
{
    const struct manage_config *config = manage_config(call->manage);
    json_t *out = json_object();

    add_constants(config, out);
    json_object_set_new(out, "cluster_name", node_cluster_name(call));
    json_object_set_new(out, "exchange_types", node_exchange_types());
    if (manage_has_right(call, MANAGE_MONITORING)) {
        add_figures(call, out);
        json_object_set_new(out, "listeners", json_of_listeners(config));
        json_object_set_new(out, "contexts", node_contexts(config, true));
    } else {
        add_lengths(call, out);
    }
    json_object_set_new(out, "object_totals", json_of_objects(manage_totals(call)));
    manage_answer(call, 200, manage_columns(call, out));
}

static void overview(struct manage_call *call)
{
    totals_gather(call, answer_overview);
}

static void cluster_name(struct manage_call *call)
{
    manage_answer(call, 200, json_pack("{s:o}", "name", node_cluster_name(call)));
}

static void put_cluster_name(struct manage_call *call)
{
    json_t *name = json_object_get(call->body, "name");
    bool created;

    if (!json_is_string(name)) {
        manage_fail_as(call, 400, "bad_request", "[{key_missing,name}]");
        return;
    }
    enum err err =
        manage_global_parameter_set(call->core, BYTES_LITERAL("cluster_name"), name, &created);
    if (err)
        manage_fail(call, err);
    else
        manage_answer_durable(call, 204, NULL);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "overview", MANAGE_LOGIN, overview},
    {MANAGE_GET, "whoami", MANAGE_LOGIN, whoami},
    {MANAGE_GET, "version", MANAGE_LOGIN, version},
    {MANAGE_GET, "cluster-name", MANAGE_LOGIN, cluster_name},
    {MANAGE_PUT, "cluster-name", MANAGE_ADMINISTRATOR, put_cluster_name},
};

const struct manage_routes manage_overview_routes = {routes, sizeof routes / sizeof routes[0]};
