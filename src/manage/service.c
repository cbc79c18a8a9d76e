/* What tools ask of a management API itself: features, extensions, ways to log in. */
#include <string.h>

#include "base/base64.h"
#include "broker/user.h"
#include "manage/call_internal.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/routes.h"

/* ---- features ---- */

/* Those of RabbitMQ 4.2 that a client may look for. All are there and none can be switched off. */
static const char *const features[] = {"classic_mirrored_queue_version",
                                       "classic_queue_type_delivery_support",
                                       "detailed_queues_endpoint",
                                       "direct_exchange_routing_v2",
                                       "drop_unroutable_metric",
                                       "empty_basic_get_metric",
                                       "feature_flags_v2",
                                       "implicit_default_bindings",
                                       "khepri_db",
                                       "listener_records_in_ets",
                                       "maintenance_mode_status",
                                       "message_containers",
                                       "message_containers_deaths_v2",
                                       "quorum_queue",
                                       "quorum_queue_non_voters",
                                       "rabbitmq_4.0.0",
                                       "rabbitmq_4.1.0",
                                       "rabbitmq_4.2.0",
                                       "restart_streams",
                                       "stream_filtering",
                                       "stream_queue",
                                       "stream_sac_coordinator_unblock_group",
                                       "stream_single_active_consumer",
                                       "stream_update_config_command",
                                       "tracking_records_in_ets",
                                       "user_limits",
                                       "virtual_host_metadata"};

enum { FEATURES = sizeof features / sizeof features[0] };

static void get_features(struct manage_call *call)
{
    json_t *rows = json_array();

    for (int i = 0; i < FEATURES; i++)
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", features[i],
                                              "desc", "", "doc_url", "", "state", "enabled",
                                              "stability", "required", "provided_by", "rabbit"));
    manage_answer_list(call, rows);
}

static void enable_feature(struct manage_call *call)
{
    struct bytes name = manage_param(call, "name");

    for (int i = 0; i < FEATURES; i++)
        if (bytes_equal_string(name, features[i]) || bytes_equal_string(name, "all")) {
            manage_answer(call, 204, NULL);
            return;
        }
    manage_fail_as(call, 400, "bad_request", "unsupported");
}

static json_t *deprecated(const char *name, const char *phase)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "desc", "", "deprecation_phase",
                     phase, "doc_url", "", "provided_by", "rabbit");
}

static void get_deprecated(struct manage_call *call)
{
    json_t *rows = json_array();

    json_array_append_new(rows, deprecated("global_qos", "permitted_by_default"));
    json_array_append_new(rows, deprecated("transient_nonexcl_queues", "permitted_by_default"));
    json_array_append_new(rows, deprecated("classic_queue_mirroring", "removed"));
    manage_answer_list(call, rows);
}

static void get_nothing(struct manage_call *call)
{
    manage_answer_list(call, json_array());
}

/* ---- logging in ---- */

static void get_auth(struct manage_call *call)
{
    manage_answer(call, 200, json_pack("{s:b}", "oauth_enabled", 0));
}

static void get_hash(struct manage_call *call)
{
    struct password_hash hash =
        password_hash_of(&call->core->random, manage_param(call, "password"));
    struct text text = {0};

    base64_encode(&text, bytes_of(hash.bytes, hash.size));
    manage_answer(call, 200, json_pack("{s:s}", "ok", text_string(&text)));
    text_reset(&text);
}

/* A form: username=...&password=... */
static void log_in(struct manage_call *call)
{
    json_t *form = json_object();
    const struct user *user = NULL;

    if (manage_parse_form(call, call->raw_body, form))
        user = manage_log_in(call, manage_bytes_of(json_object_get(form, "username")),
                             manage_bytes_of(json_object_get(form, "password")));
    else
        manage_fail_as(call, 400, "bad_request", "not a form");
    if (user && user_may(user, USER_MANAGEMENT))
        manage_answer(call, 200, json_string("ok"));
    else if (user)
        manage_fail_as(call, 401, "not_authorised", "Not management user");
    json_decref(form);
}

/* ---- what there is nothing to do for ---- */

/* With one node nothing can be balanced, and no samples are kept that could be thrown away. */
static void do_nothing(struct manage_call *call)
{
    manage_answer(call, 204, NULL);
}

static void do_nothing_on_node(struct manage_call *call)
{
    if (bytes_equal_string(manage_param(call, "node"), manage_config(call->manage)->node))
        manage_answer(call, 204, NULL);
    else
        manage_not_found(call);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "feature-flags", MANAGE_ADMINISTRATOR, get_features},
    {MANAGE_PUT, "feature-flags/:name/enable", MANAGE_ADMINISTRATOR, enable_feature},
    {MANAGE_GET, "deprecated-features", MANAGE_ADMINISTRATOR, get_deprecated},
    {MANAGE_GET, "deprecated-features/used", MANAGE_ADMINISTRATOR, get_nothing},
    {MANAGE_GET, "extensions", MANAGE_LOGIN, get_nothing},
    {MANAGE_GET, "auth", MANAGE_PUBLIC, get_auth},
    {MANAGE_GET, "auth/hash_password/:password", MANAGE_ADMINISTRATOR, get_hash},
    {MANAGE_POST | MANAGE_ANY_BODY, "login", MANAGE_PUBLIC, log_in},
    {MANAGE_POST | MANAGE_ANY_BODY, "rebalance/queues", MANAGE_ADMINISTRATOR, do_nothing},
    {MANAGE_DELETE, "reset", MANAGE_ADMINISTRATOR, do_nothing},
    {MANAGE_DELETE, "reset/:node", MANAGE_ADMINISTRATOR, do_nothing_on_node},
};

const struct manage_routes manage_service_routes = {routes, sizeof routes / sizeof routes[0]};
