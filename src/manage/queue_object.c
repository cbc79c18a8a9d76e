#include "manage/queue_object.h"

#include "broker/policy.h"
#include "manage/objects.h"
#include "wire/amqp_table.h"

enum { IDLE_AFTER_MS = 5000 };

static const char *type_of(const struct queue *queue)
{
    struct amqp_value type;

    return amqp_table_find(queue->arguments, "x-queue-type", &type) && type.tag == 'S' &&
                   bytes_equal_string(type.bytes, "quorum")
               ? "quorum"
               : "classic";
}

static void put_identity(const struct manage_call *call, json_t *json, const struct queue *queue)
{
    const char *node = manage_config(call->manage)->node;

    objects_put(json, "name", queue->name);
    objects_put(json, "vhost", queue->vhost->name);
    json_object_set_new(json, "type", json_string(type_of(queue)));
    json_object_set_new(json, "durable", json_boolean(queue->durable));
    json_object_set_new(json, "auto_delete", json_boolean(queue->auto_delete));
    json_object_set_new(json, "exclusive", json_boolean(queue->exclusive));
    json_object_set_new(json, "arguments", manage_json_table(queue->arguments));
    json_object_set_new(json, "node", json_string(node));
    json_object_set_new(json, "state", json_string("running"));
    if (queue->owner && queue->owner->link)
        json_object_set_new(json, "owner_pid_details", objects_connection(queue->owner));
    if (*type_of(queue) == 'c') {
        json_object_set_new(json, "storage_version", json_integer(2));
        return;
    }
    json_object_set_new(json, "leader", json_string(node));
    json_object_set_new(json, "members", json_pack("[s]", node));
    json_object_set_new(json, "online", json_pack("[s]", node));
}

/* ---- contents ---- */

static void put_lengths(json_t *json, const struct queue *queue, const struct stats *stats,
                        int64_t sample_ms)
{
    uint64_t ready = stats->value[STATS_READY], unacked = stats->value[STATS_UNACKED];
    uint64_t all = ready + unacked;

    stats_put_one(json, "messages", all, stats->rate[STATS_READY] + stats->rate[STATS_UNACKED],
                  sample_ms);
    stats_put_one(json, "messages_ready", ready, stats->rate[STATS_READY], sample_ms);
    stats_put_one(json, "messages_unacknowledged", unacked, stats->rate[STATS_UNACKED], sample_ms);
    objects_put_count(json, "messages_persistent", queue->durable ? all : 0);
    objects_put_count(json, "messages_ram", all);
    objects_put_count(json, "messages_ready_ram", ready);
    objects_put_count(json, "messages_unacknowledged_ram", unacked);
    objects_put_count(json, "messages_paged_out", 0);
}

/* The bytes are known for all messages together. */
static void put_bytes(json_t *json, const struct queue *queue, const struct stats *stats)
{
    uint64_t ready = stats->value[STATS_READY], all = ready + stats->value[STATS_UNACKED];
    uint64_t bytes = queue_message_bytes(queue);
    uint64_t of_ready = all ? (uint64_t)((double)bytes * ((double)ready / (double)all)) : 0;

    objects_put_count(json, "message_bytes", bytes);
    objects_put_count(json, "message_bytes_ready", of_ready);
    objects_put_count(json, "message_bytes_unacknowledged", bytes - of_ready);
    objects_put_count(json, "message_bytes_persistent", queue->durable ? bytes : 0);
    objects_put_count(json, "message_bytes_ram", bytes);
    objects_put_count(json, "message_bytes_paged_out", 0);
    json_object_set_new(json, "head_message_timestamp", json_null());
    objects_put_count(json, "memory", 0);
}

static void put_stats(json_t *json, const struct stats *stats)
{
    if (!stats->is_there)
        return;
    json_t *of = json_object();
    stats_put_one(of, "publish", stats->value[COUNTER_publish], stats->rate[COUNTER_publish],
                  stats->sample_ms);
    stats_put(stats, COUNTER_deliver, COUNTER_publish_in, false, of);
    json_object_set_new(json, "message_stats", of);
}

static void put_activity(const struct manage_call *call, json_t *json, const struct queue *queue)
{
    struct counters *counters = queue_counters(queue);
    struct stats stats;

    stats_take(counters, queue_ready_count(queue), queue_unacked_count(queue), call->core->wall_ms,
               &stats);
    stats.sample_ms = stats_sample_ms(call, "msg_rates");
    put_lengths(json, queue, &stats, stats_sample_ms(call, "lengths"));
    put_bytes(json, queue, &stats);
    put_stats(json, &stats);
    if (counters && call->core->wall_ms - counters->active_ms >= IDLE_AFTER_MS)
        json_object_set_new(json, "idle_since", objects_time(counters->active_ms));
}

/* ---- consumers ---- */

struct describing {
    const struct manage_call *call;
    json_t *out;
};

static void add_consumer(void *ctx, const struct consumer_description *d)
{
    struct describing *to = ctx;
    json_array_append_new(to->out, objects_consumer(to->call, d));
}

/* The one that has the queue for itself: by its own wish, or as the single active one. */
static void find_exclusive(void *ctx, const struct consumer_description *d)
{
    if (d->is_exclusive)
        objects_put(ctx, "exclusive_consumer_tag", d->tag);
    if (queue_is_single_active(d->queue) && d->is_active)
        objects_put(ctx, "single_active_consumer_tag", d->tag);
}

static void put_consumers(const struct manage_call *call, json_t *json, struct queue *queue)
{
    json_t *details = json_array();

    queue_each_consumer(queue, add_consumer, &(struct describing){call, details});
    json_object_set_new(json, "consumer_details", details);
    json_object_set_new(json, "exclusive_consumer_tag", json_null());
    json_object_set_new(json, "single_active_consumer_tag", json_null());
    queue_each_consumer(queue, find_exclusive, json);
    json_object_set_new(json, "incoming", json_array());
    json_object_set_new(json, "deliveries", json_array());
}

static void put_policy(json_t *json, const char *name, const struct policy *policy, bool is_whole)
{
    if (policy)
        objects_put(json, name, policy->name);
    else if (is_whole)
        json_object_set_new(json, name, json_null());
}

static void put_policies(json_t *json, const struct queue *queue, bool is_whole)
{
    const struct policy_pair *policies = queue_policies(queue);
    struct text effective = {0};

    put_policy(json, "policy", policies->of[POLICY_USER], is_whole);
    put_policy(json, "operator_policy", policies->of[POLICY_OPERATOR], is_whole);
    policy_put_effective(policies, &effective);
    json_object_set_new(json, "effective_policy_definition",
                        manage_json_table(text_bytes(&effective)));
    text_reset(&effective);
}

/* What is left with disable_stats, and with enable_queue_totals: quick, also for very many. */
static json_t *quick_object(const struct manage_call *call, const struct queue *queue)
{
    uint64_t ready = queue_ready_count(queue), unacked = queue_unacked_count(queue);
    json_t *json = json_object();

    put_identity(call, json, queue);
    if (!manage_query_is_true(call, "enable_queue_totals"))
        return json;
    objects_put_count(json, "messages", ready + unacked);
    objects_put_count(json, "messages_ready", ready);
    objects_put_count(json, "messages_unacknowledged", unacked);
    return json;
}

json_t *queue_object(const struct manage_call *call, struct queue *queue, bool is_whole)
{
    /* Somebody could take a message at once. */
    double capacity = list_is_empty(&queue->consumers) ? 0 : 1;
    if (!is_whole && manage_query_is_true(call, "disable_stats"))
        return quick_object(call, queue);
    json_t *json = json_object();

    put_identity(call, json, queue);
    put_policies(json, queue, is_whole);
    objects_put_count(json, "consumers", queue->consumer_count);
    json_object_set_new(json, "consumer_capacity", json_real(capacity));
    json_object_set_new(json, "consumer_utilisation", json_real(capacity));
    put_activity(call, json, queue);
    if (is_whole) {
        objects_put_process(json);
        put_consumers(call, json, queue);
    }
    return json;
}
