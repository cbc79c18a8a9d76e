/* Connections: list, close. Users without the tag monitoring see their own ones. */
#include <stdio.h>

#include "io/link.h"
#include "manage/list.h"
#include "manage/objects.h"
#include "manage/routes.h"
#include "wire/amqp_table.h"

static bool is_own(const struct manage_call *call, const struct session *session)
{
    return bytes_equal(objects_user(session), manage_user_name(call));
}

static bool may_see(const struct manage_call *call, const struct session *session)
{
    return manage_has_right(call, MANAGE_MONITORING) || is_own(call, session);
}

/* ---- the object ---- */

static void put_socket(json_t *json, const struct session *session)
{
    const struct link *link = session->link;

    json_object_set_new(json, "type", json_string("network"));
    json_object_set_new(json, "peer_host", json_string(link->peer.host));
    objects_put_count(json, "peer_port", link->peer.port);
    json_object_set_new(json, "host", json_string(link->local.host));
    objects_put_count(json, "port", link->local.port);
    json_object_set_new(json, "ssl", json_false());
    static const char *const of_tls[] = {
        "ssl_protocol",     "ssl_key_exchange",  "ssl_cipher",        "ssl_hash",
        "peer_cert_issuer", "peer_cert_subject", "peer_cert_validity"};
    for (size_t i = 0; i < sizeof of_tls / sizeof *of_tls; i++)
        json_object_set_new(json, of_tls[i], json_null());
}

static void put_traffic(const struct manage_call *call, json_t *json, struct session *session)
{
    const struct link *link = session->link;
    uint64_t values[2] = {link->bytes_in, link->bytes_out};
    double rates[2];

    rates_ask(&session->rates, values, 2, call->core->wall_ms, rates);
    int64_t sample_ms = stats_sample_ms(call, "data_rates");
    stats_put_one(json, "recv_oct", values[0], rates[0], sample_ms);
    stats_put_one(json, "send_oct", values[1], rates[1], sample_ms);
    objects_put_count(json, "recv_cnt", link->receives);
    objects_put_count(json, "send_cnt", link->sends);
    objects_put_count(json, "send_pend", link_pending_bytes(link));
}

/* Clients that are no AMQP clients have a name at most. */
static void put_client(json_t *json, const struct session *session,
                       const struct session_description *d)
{
    json_t *properties = manage_json_table(d->client_properties);
    struct amqp_value name;

    if (!d->client_properties.size && session->client)
        json_object_set_new(properties, "product", manage_json(bytes_from_string(session->client)));
    json_object_set_new(json, "client_properties", properties);
    if (amqp_table_find(d->client_properties, "connection_name", &name) && name.tag == 'S')
        objects_put(json, "user_provided_name", name.bytes);
}

static json_t *object(const struct manage_call *call, struct session *session)
{
    struct session_description d;
    char name[SESSION_NAME_MAX];
    json_t *json = json_object();

    session_describe(session, &d);
    session_put_name(session, name);
    json_object_set_new(json, "name", json_string(name));
    json_object_set_new(json, "node", json_string(manage_config(call->manage)->node));
    json_object_set_new(json, "state", json_string(session_state_name(d.state)));
    objects_put(json, "user", objects_user(session));
    objects_put(json, "user_who_performed_action", objects_user(session));
    objects_put(json, "vhost", bytes_from_string(session->vhost ? session->vhost : ""));
    json_object_set_new(json, "protocol", json_string(d.protocol));
    json_object_set_new(json, "auth_mechanism", json_string(d.mechanism ? d.mechanism : ""));
    objects_put_count(json, "channels", d.channel_count);
    objects_put_count(json, "channel_max", d.channel_max);
    objects_put_count(json, "frame_max", d.frame_max_bytes);
    objects_put_count(json, "timeout", d.heartbeat_s);
    json_object_set_new(json, "connected_at", json_integer(session->opened_wall_ms));
    put_socket(json, session);
    put_client(json, session, &d);
    put_traffic(call, json, session);
    objects_put_process(json);
    return json;
}

/* ---- lists ---- */

static void add(struct manage_call *call, struct manage_list *list, struct session *session)
{
    char name[SESSION_NAME_MAX];

    if (!may_see(call, session) ||
        (call->vhost &&
         (!session->vhost || !bytes_equal_string(call->vhost->name, session->vhost))))
        return;
    session_put_name(session, name);
    manage_list_add(list,
                    &(struct manage_key){.name = bytes_from_string(name), .id = session->link->id});
}

static void add_of_user(struct manage_call *call, struct manage_list *list, struct session *session)
{
    if (bytes_equal(objects_user(session), manage_param(call, "user")))
        add(call, list, session);
}

static json_t *row(struct manage_call *call, const struct manage_key *key)
{
    struct session *session = session_find(call->core, key->id);

    return session ? object(call, session) : NULL;
}

static void list_connections(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.add_session = add, .row = row};
    manage_list(call, &kind);
}

static void list_of_user(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.add_session = add_of_user, .row = row};
    manage_list(call, &kind);
}

/* ---- one ---- */

/* NULL: it is not there or somebody else's, and the call has ended. */
static struct session *find(struct manage_call *call, enum manage_right right)
{
    struct session *session = session_find_name(call->core, manage_param(call, "name"));

    if (!session) {
        manage_not_found(call);
        return NULL;
    }
    if (manage_has_right(call, right) || is_own(call, session))
        return session;
    manage_fail_as(call, 401, "not_authorised", "User not authorised to access object");
    return NULL;
}

static void get_connection(struct manage_call *call)
{
    struct session *session = find(call, MANAGE_MONITORING);

    if (session)
        manage_answer(call, 200, manage_columns(call, object(call, session)));
}

/* The header X-Reason says why, to the client and in its log. */
static void close_for(const struct manage_call *call, struct session *session)
{
    char reason[200];

    snprintf(reason, sizeof reason, "%.*s", BYTES_FORMAT(call->cause));
    session_close(session, call->cause.size ? reason : "Closed via management plugin");
}

static void close_connection(struct manage_call *call)
{
    struct session *session = find(call, MANAGE_ADMINISTRATOR);

    if (!session)
        return;
    close_for(call, session);
    manage_answer(call, 204, NULL);
}

static void close_if_of_user(void *ctx, struct session *session)
{
    const struct manage_call *call = ctx;

    if (bytes_equal(objects_user(session), manage_param(call, "user")))
        close_for(call, session);
}

static void close_of_user(struct manage_call *call)
{
    session_each(call->core, close_if_of_user, call);
    manage_answer(call, 204, NULL);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "connections", MANAGE_LOGIN, list_connections},
    {MANAGE_GET, "connections/:name", MANAGE_LOGIN, get_connection},
    {MANAGE_DELETE, "connections/:name", MANAGE_LOGIN, close_connection},
    {MANAGE_GET, "connections/username/:user", MANAGE_ADMINISTRATOR, list_of_user},
    {MANAGE_DELETE, "connections/username/:user", MANAGE_ADMINISTRATOR, close_of_user},
    {MANAGE_GET, "vhosts/:vhost/connections", MANAGE_LOGIN, list_connections},
};

const struct manage_routes manage_connection_routes = {routes, sizeof routes / sizeof routes[0]};
