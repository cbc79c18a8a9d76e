/* Health checks: 200 {"status": "ok"} or 503 {"status": "failed", "reason": ...}. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "io/hub.h"
#include "manage/facts.h"
#include "manage/json.h"
#include "manage/node.h"
#include "manage/routes.h"

static void pass(struct manage_call *call)
{
    manage_answer(call, 200, json_pack("{s:s}", "status", "ok"));
}

/* Takes the reference to `more`, what there is to say besides. */
static void fail(struct manage_call *call, const char *reason, json_t *more)
{
    json_t *out = json_pack("{s:s, s:s}", "status", "failed", "reason", reason);

    json_object_update(out, more);
    json_decref(more);
    manage_answer(call, 503, out);
}

/* ---- alarms ---- */

static void add_alarm(const struct manage_call *call, json_t *alarms, const char *resource)
{
    json_array_append_new(alarms, json_pack("{s:s, s:s}", "node", manage_config(call->manage)->node,
                                            "resource", resource));
}

static void check_alarms(struct manage_call *call, const char *reason)
{
    json_t *alarms = json_array();

    if (node_disk_alarm(call))
        add_alarm(call, alarms, "disk");
    if (node_memory_alarm(call))
        add_alarm(call, alarms, "memory");
    if (json_array_size(alarms)) {
        fail(call, reason, json_pack("{s:o}", "alarms", alarms));
        return;
    }
    json_decref(alarms);
    pass(call);
}

static void check_cluster(struct manage_call *call)
{
    check_alarms(call, "There are alarms in effect in the cluster");
}

static void get_alarms(struct manage_call *call)
{
    facts_gather(call, check_cluster);
}

static void check_node(struct manage_call *call)
{
    check_alarms(call, "There are alarms in effect on the node");
}

static void get_local_alarms(struct manage_call *call)
{
    facts_gather(call, check_node);
}

static void get_node_health(struct manage_call *call)
{
    if (bytes_equal_string(manage_param(call, "node"), manage_config(call->manage)->node))
        get_local_alarms(call);
    else
        manage_not_found(call);
}

/* ---- listeners ---- */

static void get_port(struct manage_call *call)
{
    const struct manage_config *config = manage_config(call->manage);
    json_t *ports = json_array();
    int64_t port;
    bool found = false;

    if (!number_parse_i64(manage_param(call, "port"), &port)) {
        json_decref(ports);
        manage_fail_as(call, 400, "bad_request", "Invalid port");
        return;
    }
    for (size_t i = 0; i < *config->listener_count; i++) {
        json_array_append_new(ports, json_integer(config->listeners[i].port));
        found |= config->listeners[i].port == port;
    }
    if (found) {
        json_decref(ports);
        manage_answer(call, 200, json_pack("{s:s, s:I}", "status", "ok", "port", (json_int_t)port));
        return;
    }
    fail(call, "No active listener",
         json_pack("{s:I, s:o}", "missing", (json_int_t)port, "ports", ports));
}

/* RabbitMQ's other names of the protocol whose listener is called amqp. */
static const char *listener_name(const char *protocol)
{
    static const char *const amqp[] = {"amqp091", "amqp0.9.1", "amqp0-9-1", "amqp0_9_1"};

    for (size_t i = 0; i < sizeof amqp / sizeof amqp[0]; i++)
        if (strcasecmp(protocol, amqp[i]) == 0)
            return "amqp";
    return protocol;
}

static bool is_open(const struct manage_config *config, const char *protocol)
{
    for (size_t i = 0; i < *config->listener_count; i++)
        if (strcasecmp(config->listeners[i].protocol, protocol) == 0)
            return true;
    return false;
}

static json_t *missing_protocols(struct manage_call *call, const char *wanted)
{
    json_t *missing = json_array();

    while (*wanted) {
        const char *end = strchrnul(wanted, ',');
        const char *name = arena_printf(&call->arena, "%.*s", (int)(end - wanted), wanted);
        if (name && !is_open(manage_config(call->manage), listener_name(name)))
            json_array_append_new(missing, manage_json(bytes_from_string(listener_name(name))));
        wanted = *end ? end + 1 : end;
    }
    return missing;
}

static void get_protocols(struct manage_call *call)
{
    const struct manage_config *config = manage_config(call->manage);
    json_t *missing = missing_protocols(call, (const char *)manage_param(call, "protocols").data);
    json_t *open = json_array();

    for (size_t i = 0; i < *config->listener_count; i++)
        json_array_append_new(open, json_string(config->listeners[i].protocol));
    if (json_array_size(missing)) {
        fail(call, "No active listener",
             json_pack("{s:o, s:o}", "missing", missing, "protocols", open));
        return;
    }
    json_decref(missing);
    manage_answer(call, 200, json_pack("{s:s, s:o}", "status", "ok", "protocols", open));
}

/* ---- the rest ---- */

static void get_quorum_critical(struct manage_call *call)
{
    manage_answer(call, 200,
                  json_pack("{s:s, s:s}", "status", "ok", "reason", "single node cluster"));
}

/* No listener has a certificate. */
static void get_certificates(struct manage_call *call)
{
    static const char *const units[] = {"days", "weeks", "months", "years"};
    const char *unit = (const char *)manage_param(call, "unit").data;
    int64_t within;
    bool known = false;

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        known |= strcasecmp(unit, units[i]) == 0;
    if (!number_parse_i64(manage_param(call, "within"), &within))
        manage_fail_as(call, 400, "bad_request", "Invalid expiration value.");
    else if (!known)
        manage_fail_as(call, 400, "bad_request",
                       "Time unit not recognised. Supported units: days, weeks, months, years.");
    else
        pass(call);
}

static void get_connection_limit(struct manage_call *call)
{
    const struct manage_config *config = manage_config(call->manage);
    uint32_t count = config->hub ? hub_connection_count(config->hub) : 0;

    if (count < config->max_connections)
        pass(call);
    else
        fail(call, "node connection limit is reached",
             json_pack("{s:I, s:I}", "current", (json_int_t)count, "limit",
                       (json_int_t)config->max_connections));
}

/* Whoever is answered here is answered by a broker that serves: it listens when all is recovered. */
static void get_service(struct manage_call *call)
{
    if (store_is_frozen(call->core->store))
        fail(call, "storage failed, read only", json_object());
    else
        pass(call);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "aliveness-test/:vhost", MANAGE_LOGIN, get_service},
    {MANAGE_GET, "healthchecks/node", MANAGE_LOGIN, get_local_alarms},
    {MANAGE_GET, "healthchecks/node/:node", MANAGE_LOGIN, get_node_health},
    {MANAGE_GET, "health/checks/alarms", MANAGE_LOGIN, get_alarms},
    {MANAGE_GET, "health/checks/local-alarms", MANAGE_LOGIN, get_local_alarms},
    {MANAGE_GET, "health/checks/port-listener/:port", MANAGE_LOGIN, get_port},
    {MANAGE_GET, "health/checks/protocol-listener/:protocols", MANAGE_LOGIN, get_protocols},
    {MANAGE_GET, "health/checks/virtual-hosts", MANAGE_LOGIN, pass},
    {MANAGE_GET, "health/checks/node-is-quorum-critical", MANAGE_LOGIN, get_quorum_critical},
    {MANAGE_GET, "health/checks/node-is-mirror-sync-critical", MANAGE_LOGIN, get_quorum_critical},
    {MANAGE_GET, "health/checks/certificate-expiration/:within/:unit", MANAGE_LOGIN,
     get_certificates},
    {MANAGE_GET, "health/checks/is-in-service", MANAGE_LOGIN, get_service},
    {MANAGE_GET, "health/checks/ready-to-serve-clients", MANAGE_LOGIN, get_service},
    {MANAGE_GET, "health/checks/below-node-connection-limit", MANAGE_LOGIN, get_connection_limit},
    {MANAGE_GET, "health/checks/reached-target-cluster-size", MANAGE_LOGIN, pass},
    {MANAGE_GET, "health/checks/metadata-store/initialized", MANAGE_LOGIN, pass},
    {MANAGE_GET, "health/checks/metadata-store/initialized/with-data", MANAGE_LOGIN, pass},
    {MANAGE_GET, "health/checks/quorum-queues-without-elected-leaders/all-vhosts", MANAGE_LOGIN,
     pass},
    {MANAGE_GET, "health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/:pattern",
     MANAGE_LOGIN, pass},
    {MANAGE_GET, "health/checks/quorum-queues-without-elected-leaders/vhost/:vhost", MANAGE_LOGIN,
     pass},
    {MANAGE_GET,
     "health/checks/quorum-queues-without-elected-leaders/vhost/:vhost/pattern/:pattern",
     MANAGE_LOGIN, pass},
};

const struct manage_routes manage_health_routes = {routes, sizeof routes / sizeof routes[0]};
