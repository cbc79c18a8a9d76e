#include <string.h>

#include "base/check.h"
#include "base/metrics.h"
#include "base/say.h"
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
        (json_int_t)(call->server->hub ? hub_connection_count(call->server->hub) : 0), "logs",
        (json_int_t)stats.logs, "memory_bytes", (json_int_t)process_rss_bytes(), "journal_bytes",
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

/* ---- limits and the end ---- */

/* `bytes` or, of the machine's memory, `fraction`: one of them is there. */
static enum err get_limit(const struct control_call *call, uint64_t *out)
{
    const json_t *bytes = json_object_get(call->request, "bytes");
    const json_t *fraction = json_object_get(call->request, "fraction");

    if (json_is_integer(bytes) && json_integer_value(bytes) >= 0)
        *out = (uint64_t)json_integer_value(bytes);
    else if (json_is_number(fraction) && json_number_value(fraction) >= 0 &&
             json_number_value(fraction) <= 1000)
        *out = (uint64_t)(json_number_value(fraction) * (double)process_total_memory_bytes());
    else
        return err_set(E_INVALID, "bytes or fraction is missing, or no such number");
    return OK;
}

static enum err set_limit(struct control_call *call, const char *name,
                          void (*set)(struct store *s, uint64_t bytes))
{
    uint64_t bytes = 0;

    enum err err = get_limit(call, &bytes);
    if (err)
        return err;
    set(call->server->core->store, bytes);
    say_info("server", "%s was set bytes=%llu", name, (unsigned long long)bytes);
    call->result = json_pack("{s:I}", "bytes", (json_int_t)bytes);
    return OK;
}

/* RabbitMQ: a watermark of 0 is an alarm, and so is here, where the store takes 0 for none. */
static void set_watermark(struct store *s, uint64_t bytes)
{
    store_set_watermark(s, bytes ? bytes : 1, process_rss_bytes());
}

static enum err set_watermark_run(struct control_call *call)
{
    return set_limit(call, "memory.watermark", set_watermark);
}

static enum err set_reserve_run(struct control_call *call)
{
    return set_limit(call, "disk.reserve.bytes", store_set_reserve);
}

/* The answer leaves with what else is still to be sent. */
static enum err stop_run(struct control_call *call)
{
    say_info("server", "stopping, as asked over the control socket");
    call->result = json_pack("{s:I}", "pid", (json_int_t)process_id());
    process_ask_to_stop();
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

/* ---- the table ---- */

static const struct control_command commands[] = {
    {"health", health_run},
    {"metrics", metrics_run},
    {"api", api_run},
    {"config.show", config_show_run},
    {"memory.watermark.set", set_watermark_run},
    {"disk.reserve.set", set_reserve_run},
    {"stop", stop_run},
};

const struct control_command *control_command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}
