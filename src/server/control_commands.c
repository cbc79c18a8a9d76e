#include <string.h>

#include "base/check.h"
#include "base/metrics.h"
#include "base/vec.h"
#include "broker/exchange.h"
#include "broker/queue.h"
#include "broker/topic.h"
#include "io/clock.h"
#include "io/hub.h"
#include "io/process.h"
#include "log/store.h"
#include "server/control_internal.h"

/* ---- arguments ---- */

static enum err get_string(const struct control_call *call, const char *key, struct bytes *out)
{
    const json_t *value = json_object_get(call->request, key);

    if (!json_is_string(value))
        return err_set(E_INVALID, "%s: \"%s\" is missing",
                       json_string_value(json_object_get(call->request, "command")), key);
    *out = bytes_of(json_string_value(value), json_string_length(value));
    return OK;
}

static int64_t get_number(const struct control_call *call, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(call->request, key);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static bool get_bool(const struct control_call *call, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(call->request, key);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static json_t *json_of(struct bytes b)
{
    json_t *value = json_stringn((const char *)b.data, b.size);

    return value ? value : json_string("(not UTF-8)");
}

static json_t *json_count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* ---- the server ---- */

static enum err health_run(struct control_call *call)
{
    struct core *core = call->server->core;
    struct store_stats stats;

    store_stats(core->store, &stats);
    call->result = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "status",
        store_is_frozen(core->store) ? "storage failed, read only" : "ok", "version", PABAL_VERSION,
        "pid", (json_int_t)process_id(), "uptime_s",
        (json_int_t)((core->wall_ms - call->server->started_wall_ms) / 1000), "connections",
        (json_int_t)hub_connection_count(call->server->hub), "logs", (json_int_t)stats.logs,
        "memory_bytes", (json_int_t)process_rss_bytes(), "journal_bytes",
        (json_int_t)stats.journal_bytes, "cached_bytes", (json_int_t)stats.cached_bytes);
    json_object_set_new(call->result, "listeners",
                        json_string(call->server->listeners ? call->server->listeners : ""));
    return OK;
}

static enum err metrics_run(struct control_call *call)
{
    call->result = json_array();
    for (int m = 0; m < METRIC_COUNT; m++) {
        enum metric metric = (enum metric)m;
        json_array_append_new(call->result,
                              json_pack("{s:s, s:I, s:s, s:s, s:s}", "name", metrics_name(metric),
                                        "value", (json_int_t)metrics_sum(metric), "kind",
                                        metrics_kind(metric), "unit", metrics_unit(metric), "help",
                                        metrics_help(metric)));
    }
    return OK;
}

static enum err config_show_run(struct control_call *call)
{
    call->result = config_json(call->server->config);
    return OK;
}

static void add_session(void *ctx, struct session *session)
{
    char peer[96];
    int size = session->link->peer.port
                   ? snprintf(peer, sizeof peer, "%s:%u", session->link->peer.host,
                              (unsigned)session->link->peer.port)
                   : snprintf(peer, sizeof peer, "%s", session->link->peer.host);

    check(size > 0);
    json_array_append_new(ctx, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "protocol",
                                         session->protocol, "peer", peer, "user",
                                         session->user ? session->user : "", "vhost",
                                         session->vhost ? session->vhost : "", "client",
                                         session->client ? session->client : "", "bytes_in",
                                         (json_int_t)session->link->bytes_in, "bytes_out",
                                         (json_int_t)session->link->bytes_out));
}

static enum err connection_list_run(struct control_call *call)
{
    call->result = json_array();
    session_each(call->server->core, add_session, call->result);
    return OK;
}

/* ---- the management API ---- */

/* {"command": "api", "method": "PUT", "path": "/api/vhosts/v", "body": {...}}; also "reason", which
 * is the header X-Reason. */
static enum err api_run(struct control_call *call)
{
    struct manage_request request = {.is_trusted = true,
                                     .json = json_object_get(call->request, "body")};

    enum err err = get_string(call, "method", &request.method);
    if (!err)
        err = get_string(call, "path", &request.target);
    if (!err && json_object_get(call->request, "reason"))
        err = get_string(call, "reason", &request.cause);
    if (err)
        return err;
    if (json_is_null(request.json))
        request.json = NULL;
    call->api = manage_call_new(&request);
    return OK;
}

/* ---- topics ---- */

static void add_topic(void *ctx, struct topic *topic)
{
    int64_t messages = 0;
    uint64_t bytes = 0;
    json_t *row = json_object();

    for (int32_t p = 0; p < topic->partition_count; p++) {
        messages += topic->partitions[p]->log->hw - topic->partitions[p]->log->start;
        bytes += log_size_bytes(topic->partitions[p]->log);
    }
    json_object_set_new(row, "name", json_of(topic->name));
    json_object_set_new(row, "partitions", json_integer(topic->partition_count));
    json_object_set_new(row, "messages", json_integer(messages));
    json_object_set_new(row, "bytes", json_count(bytes));
    json_array_append_new(ctx, row);
}

static enum err topic_list_run(struct control_call *call)
{
    call->result = json_array();
    topic_each(call->server->core, add_topic, call->result);
    return OK;
}

static enum err find_topic(struct control_call *call, struct topic **out)
{
    struct bytes name;

    enum err err = get_string(call, "name", &name);
    if (err)
        return err;
    *out = topic_find(call->server->core, name);
    return *out ? OK : err_set(E_NOT_FOUND, "there is no topic %.*s", BYTES_FORMAT(name));
}

static enum err topic_show_run(struct control_call *call)
{
    struct topic *topic;

    enum err err = find_topic(call, &topic);
    if (err)
        return err;
    call->result = json_array();
    for (int32_t p = 0; p < topic->partition_count; p++) {
        const struct log *log = topic->partitions[p]->log;
        json_array_append_new(call->result,
                              json_pack("{s:i, s:I, s:I, s:I}", "partition", (int)p, "start",
                                        (json_int_t)log->start, "end", (json_int_t)log->hw, "bytes",
                                        (json_int_t)log_size_bytes(log)));
    }
    return OK;
}

typedef VEC(struct topic_config) topic_configs;

/* The request's {"configs": {"name": "value"}}; strings are borrowed from it. */
static enum err get_configs(const struct control_call *call, topic_configs *out)
{
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(call->request, "configs"), name, value)
    {
        if (!json_is_string(value))
            return err_set(E_INVALID, "config %s: the value must be a string", name);
        struct topic_config config = {(char *)(uintptr_t)name,
                                      (char *)(uintptr_t)json_string_value(value)};
        vec_push(out, config);
    }
    return OK;
}

static enum err topic_create_run(struct control_call *call)
{
    struct topic_spec spec = {.partition_count = (int32_t)get_number(call, "partitions", -1)};
    struct topic *topic;
    topic_configs configs = {0};

    enum err err = get_string(call, "name", &spec.name);
    if (!err)
        err = get_configs(call, &configs);
    spec.configs = configs.items;
    spec.config_count = configs.count;
    if (!err)
        err = topic_create(call->server->core, &spec, &topic);
    vec_reset(&configs);
    if (err)
        return err;
    call->ticket = core_catalog_ticket(call->server->core);
    call->result = json_object();
    json_object_set_new(call->result, "name", json_of(topic->name));
    json_object_set_new(call->result, "partitions", json_integer(topic->partition_count));
    return OK;
}

static enum err topic_delete_run(struct control_call *call)
{
    struct topic *topic;

    enum err err = find_topic(call, &topic);
    if (!err)
        err = core_catalog_can_change(call->server->core);
    if (err)
        return err;
    topic_delete(call->server->core, topic);
    call->ticket = core_catalog_ticket(call->server->core);
    call->result = json_object();
    return OK;
}

/* ---- queues ---- */

static json_t *json_queue(const struct queue *q)
{
    json_t *row = json_object();

    json_object_set_new(row, "name", json_of(q->name));
    json_object_set_new(row, "vhost", json_of(q->vhost->name));
    json_object_set_new(row, "ready", json_count(queue_ready_count(q)));
    json_object_set_new(row, "unacked", json_count(queue_unacked_count(q)));
    json_object_set_new(row, "consumers", json_count(q->consumer_count));
    json_object_set_new(row, "durable", json_boolean(q->durable));
    json_object_set_new(row, "exclusive", json_boolean(q->exclusive));
    json_object_set_new(row, "auto_delete", json_boolean(q->auto_delete));
    json_object_set_new(row, "bytes", json_count(log_size_bytes(q->log)));
    return row;
}

static void add_queue(void *ctx, struct queue *queue)
{
    json_array_append_new(ctx, json_queue(queue));
}

static enum err queue_list_run(struct control_call *call)
{
    call->result = json_array();
    queue_each(call->server->core, add_queue, call->result);
    return OK;
}

static enum err find_vhost(const struct control_call *call, struct vhost **out)
{
    struct bytes name = BYTES_LITERAL("/");

    if (json_object_get(call->request, "vhost")) {
        enum err err = get_string(call, "vhost", &name);
        if (err)
            return err;
    }
    *out = vhost_find(call->server->core, name);
    return *out ? OK : err_set(E_NOT_FOUND, "there is no vhost %.*s", BYTES_FORMAT(name));
}

static enum err find_queue(const struct control_call *call, struct queue **out)
{
    struct vhost *vhost;
    struct bytes name;

    enum err err = find_vhost(call, &vhost);
    if (!err)
        err = get_string(call, "name", &name);
    if (err)
        return err;
    *out = queue_find(vhost, name);
    return *out ? OK : err_set(E_NOT_FOUND, "there is no queue %.*s", BYTES_FORMAT(name));
}

/* Run again behind what was published before. True: it is that run. */
static bool has_passed_barrier(struct control_call *call, struct queue *queue)
{
    if (call->is_second)
        return true;
    call->ticket = queue_barrier(queue);
    call->is_again = true;
    return false;
}

static enum err queue_show_run(struct control_call *call)
{
    struct queue *queue;

    enum err err = find_queue(call, &queue);
    if (err || !has_passed_barrier(call, queue))
        return err;
    call->result = json_queue(queue);
    return OK;
}

enum { QUEUE_NAME_MAX_BYTES = 255 };

static enum err queue_create_run(struct control_call *call)
{
    struct queue_spec spec = {.durable = get_bool(call, "durable", true),
                              .auto_delete = get_bool(call, "auto_delete", false)};
    struct vhost *vhost;

    enum err err = find_vhost(call, &vhost);
    if (!err)
        err = get_string(call, "name", &spec.name);
    if (err)
        return err;
    if (spec.name.size == 0 || spec.name.size > QUEUE_NAME_MAX_BYTES ||
        bytes_has_prefix(spec.name, "amq."))
        return err_set(E_INVALID, "a queue's name has 1 to %d bytes and does not begin with amq.",
                       QUEUE_NAME_MAX_BYTES);
    if (queue_find(vhost, spec.name))
        return err_set(E_EXISTS, "queue %.*s exists already", BYTES_FORMAT(spec.name));
    err = core_catalog_can_change(call->server->core);
    if (err)
        return err;
    call->result = json_queue(queue_create(vhost, &spec));
    call->ticket = core_catalog_ticket(call->server->core);
    return OK;
}

static enum err queue_delete_run(struct control_call *call)
{
    struct queue *queue;

    enum err err = find_queue(call, &queue);
    if (err || !has_passed_barrier(call, queue))
        return err;
    uint64_t ready = queue_ready_count(queue), unacked = queue_unacked_count(queue);
    if (get_bool(call, "if_empty", false) && ready + unacked)
        return err_set(E_NOT_EMPTY, "queue %.*s has %llu messages", BYTES_FORMAT(queue->name),
                       (unsigned long long)(ready + unacked));
    if (get_bool(call, "if_unused", false) && queue->consumer_count)
        return err_set(E_IN_USE, "queue %.*s has %zu consumers", BYTES_FORMAT(queue->name),
                       queue->consumer_count);
    err = core_catalog_can_change(call->server->core);
    if (err)
        return err;
    queue_delete(queue);
    call->ticket = core_catalog_ticket(call->server->core);
    call->result = json_object();
    json_object_set_new(call->result, "messages", json_count(ready + unacked));
    return OK;
}

static enum err queue_purge_run(struct control_call *call)
{
    struct queue *queue;

    enum err err = find_queue(call, &queue);
    if (err || !has_passed_barrier(call, queue))
        return err;
    call->result = json_object();
    json_object_set_new(call->result, "messages", json_count(queue_purge(queue, &call->ticket)));
    return OK;
}

/* ---- the table ---- */

static const struct control_command commands[] = {
    {"health", health_run},
    {"metrics", metrics_run},
    {"api", api_run},
    {"config.show", config_show_run},
    {"connection.list", connection_list_run},
    {"topic.list", topic_list_run},
    {"topic.show", topic_show_run},
    {"topic.create", topic_create_run},
    {"topic.delete", topic_delete_run},
    {"queue.list", queue_list_run},
    {"queue.show", queue_show_run},
    {"queue.create", queue_create_run},
    {"queue.delete", queue_delete_run},
    {"queue.purge", queue_purge_run},
};

const struct control_command *control_command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}
