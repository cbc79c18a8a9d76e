/* Channels and consumers: lists, and one channel. Users without the tag monitoring see the channels of
 * their own connections. */
#include <stdio.h>

#include "base/number.h"
#include "io/link.h"
#include "manage/list.h"
#include "manage/objects.h"
#include "manage/routes.h"

/* ---- the object ---- */

static void put_stats(const struct manage_call *call, json_t *json,
                      const struct channel_description *d)
{
    struct stats stats;
    json_t *of;

    if (!d->counters)
        return;
    of = json_object();
    stats_take(d->counters, 0, d->unacked, call->core->wall_ms, &stats);
    stats.sample_ms = stats_sample_ms(call, "msg_rates");
    stats_put(&stats, COUNTER_publish, COUNTER_publish_in, false, of);
    json_object_set_new(json, "message_stats", of);
}

static json_t *object(const struct manage_call *call, const struct channel_description *d)
{
    const struct session *session = d->session;
    char connection[SESSION_NAME_MAX], name[SESSION_NAME_MAX + 16];
    json_t *json = json_object();

    session_put_name(session, connection);
    snprintf(name, sizeof name, "%s (%u)", connection, (unsigned)d->number);
    json_object_set_new(json, "name", json_string(name));
    objects_put_count(json, "number", d->number);
    json_object_set_new(json, "connection_details", objects_connection(session));
    json_object_set_new(json, "node", json_string(manage_config(call->manage)->node));
    objects_put(json, "user", objects_user(session));
    objects_put(json, "user_who_performed_action", objects_user(session));
    objects_put(json, "vhost", bytes_from_string(session->vhost ? session->vhost : ""));
    json_object_set_new(json, "state", json_string(session_state_name(d->state)));
    json_object_set_new(json, "confirm", json_boolean(d->confirms));
    json_object_set_new(json, "transactional", json_boolean(d->is_transactional));
    objects_put_count(json, "prefetch_count", d->prefetch);
    objects_put_count(json, "global_prefetch_count", d->global_prefetch);
    objects_put_count(json, "consumer_count", d->consumer_count);
    objects_put_count(json, "messages_unacknowledged", d->unacked);
    objects_put_count(json, "messages_unconfirmed", d->unconfirmed);
    objects_put_count(json, "messages_uncommitted", d->uncommitted);
    objects_put_count(json, "acks_uncommitted", d->acks_uncommitted);
    objects_put_count(json, "pending_raft_commands", 0);
    put_stats(call, json, d);
    objects_put_process(json);
    return json;
}

/* ---- lists ---- */

static bool is_in_scope(const struct manage_call *call, const struct session *session)
{
    if (!manage_has_right(call, MANAGE_MONITORING) &&
        !bytes_equal(objects_user(session), manage_user_name(call)))
        return false;
    return !call->vhost ||
           (session->vhost && bytes_equal_string(call->vhost->name, session->vhost));
}

/* A key: the connection's name, the channel's number in two bytes, the link's id. */
static void add_channel(void *ctx, const struct channel_description *d)
{
    char name[SESSION_NAME_MAX];
    uint8_t number[2];

    put_u16(number, d->number);
    session_put_name(d->session, name);
    manage_list_add(ctx, &(struct manage_key){.name = bytes_from_string(name),
                                              .more = bytes_of(number, sizeof number),
                                              .id = d->session->link->id});
}

static void add(struct manage_call *call, struct manage_list *list, struct session *session)
{
    if (is_in_scope(call, session))
        session_each_channel(session, add_channel, list);
}

static void collect_of_connection(struct manage_call *call, struct manage_list *list)
{
    struct session *session = session_find_name(call->core, manage_param(call, "name"));

    if (session)
        add(call, list, session);
}

static json_t *row(struct manage_call *call, const struct manage_key *key)
{
    struct session *session = session_find(call->core, key->id);
    struct channel_description d;

    return session && session_describe_channel(session, get_u16(key->more.data), &d)
               ? object(call, &d)
               : NULL;
}

static void list_channels(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.add_session = add, .row = row};
    manage_list(call, &kind);
}

static void list_of_connection(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_of_connection, .row = row};

    if (session_find_name(call->core, manage_param(call, "name")))
        manage_list(call, &kind);
    else
        manage_not_found(call);
}

/* ---- consumers ---- */

struct describing {
    struct manage_call *call;
    json_t *rows;
};

static void add_consumer(void *ctx, const struct consumer_description *d)
{
    const struct describing *to = ctx;
    json_array_append_new(to->rows, objects_consumer(to->call, d));
}

static json_t *consumers_of(struct manage_call *call, struct session *session, uint16_t channel)
{
    struct describing to = {call, json_array()};

    session_each_consumer(session, channel, add_consumer, &to);
    return to.rows;
}

static json_t *consumer_rows(struct manage_call *call, const struct manage_key *key)
{
    struct session *session = session_find(call->core, key->id);

    return session ? consumers_of(call, session, get_u16(key->more.data)) : NULL;
}

static void list_consumers(struct manage_call *call)
{
    static const struct manage_list_kind kind = {
        .add_session = add, .row = consumer_rows, .rows_are_many = true};
    manage_list(call, &kind);
}

/* ---- one ---- */

/* "127.0.0.1:50000 -> 127.0.0.1:5672 (1)": false when there is none of that name. */
static bool find(const struct manage_call *call, struct channel_description *out)
{
    struct bytes name = manage_param(call, "name"), digits;
    const uint8_t *open = name.size ? memrchr(name.data, '(', name.size) : NULL;
    int64_t number;

    if (!open || open < name.data + 2 || name.data[name.size - 1] != ')')
        return false;
    digits = bytes_of(open + 1, (size_t)(name.data + name.size - open) - 2);
    struct session *session =
        session_find_name(call->core, bytes_of(name.data, (size_t)(open - name.data) - 1));
    return session && number_parse_i64(digits, &number) && number > 0 && number <= UINT16_MAX &&
           is_in_scope(call, session) && session_describe_channel(session, (uint16_t)number, out);
}

static void get_channel(struct manage_call *call)
{
    struct channel_description d;

    if (!find(call, &d)) {
        manage_not_found(call);
        return;
    }
    json_t *json = object(call, &d);
    json_object_set_new(json, "consumer_details", consumers_of(call, d.session, d.number));
    json_object_set_new(json, "publishes", json_array());
    json_object_set_new(json, "deliveries", json_array());
    manage_answer(call, 200, manage_columns(call, json));
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "channels", MANAGE_LOGIN, list_channels},
    {MANAGE_GET, "channels/:name", MANAGE_LOGIN, get_channel},
    {MANAGE_GET, "vhosts/:vhost/channels", MANAGE_LOGIN, list_channels},
    {MANAGE_GET, "connections/:name/channels", MANAGE_LOGIN, list_of_connection},
    {MANAGE_GET, "consumers", MANAGE_LOGIN, list_consumers},
    {MANAGE_GET, "consumers/:vhost", MANAGE_LOGIN, list_consumers},
};

const struct manage_routes manage_channel_routes = {routes, sizeof routes / sizeof routes[0]};
