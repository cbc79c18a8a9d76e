/*
 * /metrics: what Prometheus scrapes, with RabbitMQ's names, so that its dashboards and alerts work;
 * and our own counters behind "pabal_". Nobody has to log in. Counters of the whole broker never go
 * back while it runs, whatever is deleted.
 */
#include "base/metrics.h"
#include "broker/counters.h"
#include "manage/call_internal.h"
#include "manage/exposition.h"
#include "manage/json.h"
#include "manage/node.h"
#include "manage/routes.h"
#include "manage/scrape.h"

static const char prefix[] = "rabbitmq_";

/* ---- counters of the whole broker ---- */

struct counted {
    const char *name;
    enum metric metric, and_metric; /* the sum, when they differ */
    const char *labels, *help;
};

#define ONE(metric) METRIC_##metric, METRIC_##metric
#define AMQP "protocol=\"amqp091\""

static const struct counted counters[] = {
    {"connections_opened_total", ONE(connections_opened), "", "Connections that were opened"},
    {"connections_closed_total", ONE(connections_closed), "", "Connections that have ended"},
    {"channels_opened_total", ONE(channels_opened), "", "Channels that were opened"},
    {"channels_closed_total", ONE(channels_closed), "", "Channels that have ended"},
    {"queues_declared_total", ONE(queues_declared), "", "Declarations of queues, new or not"},
    {"queues_created_total", ONE(queues_created), "", "Queues that were made"},
    {"queues_deleted_total", ONE(queues_deleted), "", "Queues that were deleted"},
    {"global_messages_received_total", ONE(messages_received), AMQP,
     "Messages that publishers have sent"},
    {"global_messages_received_confirm_total", ONE(messages_received_confirm), AMQP,
     "Messages that publishers who want confirms have sent"},
    {"global_messages_confirmed_total", ONE(messages_confirmed), AMQP,
     "Messages confirmed to publishers"},
    {"global_messages_routed_total", ONE(messages_routed), AMQP,
     "Messages given to queues, once for each queue"},
    {"global_messages_unroutable_returned_total", ONE(messages_returned), AMQP,
     "Messages that no queue wanted, returned to their publishers"},
    {"global_messages_unroutable_dropped_total", ONE(messages_dropped), AMQP,
     "Messages that no queue wanted, thrown away"},
    {"global_messages_delivered_total", METRIC_messages_delivered, METRIC_messages_delivered_no_ack,
     AMQP, "Messages delivered to consumers"},
    {"global_messages_delivered_consume_manual_ack_total", ONE(messages_delivered), AMQP,
     "Messages delivered to consumers that ack"},
    {"global_messages_delivered_consume_auto_ack_total", ONE(messages_delivered_no_ack), AMQP,
     "Messages delivered to consumers that do not ack"},
    {"global_messages_delivered_get_manual_ack_total", ONE(messages_got), AMQP,
     "Messages fetched with basic.get, to be acked"},
    {"global_messages_delivered_get_auto_ack_total", ONE(messages_got_no_ack), AMQP,
     "Messages fetched with basic.get, not to be acked"},
    {"global_messages_get_empty_total", ONE(messages_get_empty), AMQP,
     "Calls of basic.get that found nothing"},
    {"global_messages_redelivered_total", ONE(messages_redelivered), AMQP,
     "Messages delivered again"},
    {"global_messages_acknowledged_total", ONE(messages_acknowledged), AMQP,
     "Messages that consumers have acked"},
    {"global_messages_dead_lettered_expired_total", ONE(dead_lettered_expired),
     "queue_type=\"rabbit_classic_queue\",dead_letter_strategy=\"at_most_once\"",
     "Dead letters whose time was over"},
    {"global_messages_dead_lettered_rejected_total", ONE(dead_lettered_rejected),
     "queue_type=\"rabbit_classic_queue\",dead_letter_strategy=\"at_most_once\"",
     "Dead letters that a consumer has rejected"},
    {"global_messages_dead_lettered_maxlen_total", ONE(dead_lettered_maxlen),
     "queue_type=\"rabbit_classic_queue\",dead_letter_strategy=\"at_most_once\"",
     "Dead letters of queues that were full"},
    {"global_messages_dead_lettered_delivery_limit_total", ONE(dead_lettered_delivery_limit),
     "queue_type=\"rabbit_quorum_queue\",dead_letter_strategy=\"at_most_once\"",
     "Dead letters that have come back too often"},
    {"channel_messages_published_total", ONE(messages_received), "",
     "Messages published on channels"},
    {"channel_messages_confirmed_total", ONE(messages_confirmed), "",
     "Messages confirmed on channels"},
    {"channel_messages_unroutable_returned_total", ONE(messages_returned), "",
     "Messages returned on channels"},
    {"channel_messages_unroutable_dropped_total", ONE(messages_dropped), "",
     "Messages of channels that were thrown away"},
    {"channel_messages_delivered_ack_total", ONE(messages_delivered), "",
     "Messages delivered on channels, to be acked"},
    {"channel_messages_delivered_total", ONE(messages_delivered_no_ack), "",
     "Messages delivered on channels, not to be acked"},
    {"channel_messages_redelivered_total", ONE(messages_redelivered), "",
     "Messages delivered on channels again"},
    {"channel_messages_acked_total", ONE(messages_acknowledged), "", "Messages acked on channels"},
    {"channel_get_ack_total", ONE(messages_got), "", "Messages fetched on channels, to be acked"},
    {"channel_get_total", ONE(messages_got_no_ack), "",
     "Messages fetched on channels, not to be acked"},
    {"channel_get_empty_total", ONE(messages_get_empty), "",
     "Calls of basic.get on channels that found nothing"},
};

static void put_counters(struct text *out)
{
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        const struct counted *c = &counters[i];
        uint64_t value = metrics_sum(c->metric);
        if (c->and_metric != c->metric)
            value += metrics_sum(c->and_metric);
        exposition_one(out, prefix, c->name, true, c->help, c->labels, (double)value);
    }
}

static void put_sizes(struct text *out)
{
    uint64_t count = 0, limit;
    char labels[64];

    text_append_string(out, "# HELP rabbitmq_message_size_bytes Bodies of received messages\n"
                            "# TYPE rabbitmq_message_size_bytes histogram\n");
    for (int row = 0; row < COUNTERS_SIZES; row++) {
        count += counters_messages_of_size(row, &limit);
        if (limit)
            snprintf(labels, sizeof labels, AMQP ",le=\"%llu\"", (unsigned long long)limit);
        else
            snprintf(labels, sizeof labels, AMQP ",le=\"+Inf\"");
        exposition_line(out, prefix, "message_size_bytes_bucket", labels, (double)count);
    }
    exposition_line(out, prefix, "message_size_bytes_sum", AMQP,
                    (double)metrics_sum(METRIC_message_bytes));
    exposition_line(out, prefix, "message_size_bytes_count", AMQP, (double)count);
}

/* ---- what there is now ---- */

static void put_gauge(struct text *out, const char *name, const char *help, const char *labels,
                      double value)
{
    exposition_one(out, prefix, name, false, help, labels, value);
}

static void put_totals(const struct manage_call *call, struct text *out)
{
    const struct totals *t = manage_totals(call);

    put_gauge(out, "connections", "Open connections", "", (double)t->connections);
    put_gauge(out, "channels", "Open channels", "", (double)t->channels);
    put_gauge(out, "consumers", "Consumers of queues", "", (double)t->consumers);
    put_gauge(out, "queues", "Queues", "", (double)t->queues);
    put_gauge(out, "exchanges", "Exchanges", "", (double)t->exchanges);
    put_gauge(out, "global_publishers", "Channels that have published", AMQP,
              (double)t->publishers);
    put_gauge(out, "global_consumers", "Consumers", AMQP, (double)t->consumers);
}

static void put_queue_totals(const struct manage_call *call, struct text *out)
{
    const struct totals *t = manage_totals(call);

    put_gauge(out, "queue_messages_ready", "Messages that may be delivered", "", (double)t->ready);
    put_gauge(out, "queue_messages_unacked", "Messages delivered and not acked yet", "",
              (double)t->unacked);
    put_gauge(out, "queue_messages", "Messages, ready and not acked yet", "",
              (double)(t->ready + t->unacked));
    put_gauge(out, "queue_consumers", "Consumers of all queues", "", (double)t->consumers);
    exposition_one(out, prefix, "queue_messages_published_total", true, "Messages given to queues",
                   "", (double)metrics_sum(METRIC_messages_routed));
}

static void put_node(const struct manage_call *call, struct text *out)
{
    const struct manage_config *config = manage_config(call->manage);
    const struct facts *facts = manage_facts(call);

    put_gauge(out, "process_open_fds", "Open files and sockets", "", (double)facts->open_files);
    put_gauge(out, "process_max_fds", "How many there may be", "", (double)config->file_limit);
    put_gauge(out, "process_resident_memory_bytes", "Memory in use", "", (double)facts->rss_bytes);
    put_gauge(out, "resident_memory_limit_bytes", "Memory beyond which publishers are blocked", "",
              (double)store_watermark_bytes(call->core->store));
    put_gauge(out, "disk_space_available_bytes", "Free on the disk of the data directory", "",
              (double)facts->disk_free_bytes);
    put_gauge(out, "disk_space_available_limit_bytes", "Below this nothing more is accepted", "",
              (double)store_reserve_bytes(call->core->store));
    put_gauge(out, "erlang_uptime_seconds", "Time since the start", "",
              (double)(call->core->wall_ms - config->started_wall_ms) / 1000);
    put_gauge(out, "alarms_memory_used_watermark", "1 while too much memory is used", "",
              node_memory_alarm(call));
    put_gauge(out, "alarms_free_disk_space_watermark", "1 while the disk takes nothing more", "",
              node_disk_alarm(call));
    put_gauge(out, "alarms_file_descriptor_limit", "1 when no file can be opened any more", "",
              facts->open_files >= config->file_limit);
    exposition_one(out, "", "process_start_time_seconds", false, "When it started, Unix time", "",
                   (double)config->started_wall_ms / 1000);
}

static void put_identity(const struct manage_call *call, struct text *out)
{
    const struct manage_config *config = manage_config(call->manage);
    struct text labels = {0};
    json_t *cluster = node_cluster_name(call);

    exposition_label(&labels, "rabbitmq_node", bytes_from_string(config->node));
    exposition_label(&labels, "rabbitmq_cluster", manage_bytes_of(cluster));
    exposition_label(&labels, "rabbitmq_cluster_permanent_id",
                     bytes_from_string(call->core->config.cluster_id));
    put_gauge(out, "identity_info", "Node and cluster", text_string(&labels), 1);
    text_reset(&labels);
    json_decref(cluster);
    exposition_label(&labels, "rabbitmq_version", bytes_from_string(config->rabbitmq_version));
    exposition_label(&labels, "prometheus_plugin_version",
                     bytes_from_string(config->rabbitmq_version));
    exposition_label(&labels, "erlang_version", BYTES_LITERAL(""));
    exposition_label(&labels, "product_name", bytes_from_string(config->product));
    exposition_label(&labels, "product_version", bytes_from_string(config->version));
    put_gauge(out, "build_info", "Versions", text_string(&labels), 1);
    text_reset(&labels);
}

/* ---- our own ---- */

static void put_own(const struct manage_call *call, struct text *out)
{
    struct store_stats stats;
    char name[80];

    for (int i = 0; i < METRIC_COUNT; i++) {
        enum metric m = (enum metric)i;
        bool is_counter = metrics_kind(m)[0] == 'c';
        snprintf(name, sizeof name, "%s%s", metrics_name(m), is_counter ? "_total" : "");
        exposition_one(out, "pabal_", name, is_counter, metrics_help(m), "",
                       (double)metrics_sum(m));
    }
    store_stats(call->core->store, &stats);
    exposition_one(out, "pabal_", "logs", false, "logs of partitions and queues", "",
                   (double)stats.logs);
    exposition_one(out, "pabal_", "journal_bytes", false, "size of the journal's files", "",
                   (double)stats.journal_bytes);
    exposition_one(out, "pabal_", "cached_bytes", false, "newest records in memory", "",
                   (double)stats.cached_bytes);
    exposition_one(out, "pabal_", "memory_level_bytes", false, "logs that are only in memory", "",
                   (double)stats.memory_level_bytes);
    exposition_one(out, "pabal_", "staged_bytes", false, "appended and not written yet", "",
                   (double)stats.staged_bytes);
}

static void put_broker(const struct manage_call *call, struct text *out)
{
    put_identity(call, out);
    put_node(call, out);
    put_totals(call, out);
    put_counters(out);
    put_sizes(out);
    put_own(call, out);
}

/* ---- the paths ---- */

static void answer_aggregated(struct manage_call *call)
{
    struct text out = {0};

    put_broker(call, &out);
    put_queue_totals(call, &out);
    manage_answer_text(call, 200, EXPOSITION_TYPE, &out);
}

static void aggregate(struct manage_call *call)
{
    totals_gather(call, answer_aggregated);
}

static void get_metrics(struct manage_call *call)
{
    call->internal->sees_all = true;
    facts_gather(call, aggregate);
}

static void answer_per_object(struct manage_call *call)
{
    struct text out = {0};

    put_broker(call, &out);
    scrape_objects(call, &out);
}

static void count_per_object(struct manage_call *call)
{
    totals_gather(call, answer_per_object);
}

static void get_per_object(struct manage_call *call)
{
    call->internal->sees_all = true;
    facts_gather(call, count_per_object);
}

static void get_detailed(struct manage_call *call)
{
    call->internal->sees_all = true;
    scrape_detailed(call);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "/metrics", MANAGE_PUBLIC, get_metrics},
    {MANAGE_GET, "/metrics/per-object", MANAGE_PUBLIC, get_per_object},
    {MANAGE_GET, "/metrics/detailed", MANAGE_PUBLIC, get_detailed},
};

const struct manage_routes manage_metrics_routes = {routes, sizeof routes / sizeof routes[0]};
