/* Vhosts and their limits. Who may not administrate sees those where there is something for him. */
#include "broker/access.h"
#include "broker/queue.h"
#include "manage/access_json.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/objects.h"
#include "manage/routes.h"

/* The vhost that ":name" names: an administrator needs no permission there. NULL: it has failed. */
static struct vhost *find(struct manage_call *call)
{
    struct vhost *vhost = vhost_find(call->core, manage_param(call, "name"));

    if (!vhost)
        manage_not_found(call);
    return vhost;
}

static void end_change(struct manage_call *call, enum err err, int status)
{
    if (err)
        manage_fail(call, err);
    else
        manage_answer_durable(call, status, NULL);
}

/* How many messages are in its queues. Those of very many are not counted: a turn is short. */
static void put_messages(json_t *out, const struct vhost *vhost)
{
    enum { COUNTED_QUEUES_MAX = 20000 };
    uint64_t ready = 0, unacked = 0;
    const struct queue *queue;
    size_t position = 0;

    if (vhost->queues.count > COUNTED_QUEUES_MAX)
        return;
    while ((queue = map_next(&vhost->queues, &position))) {
        ready += queue_ready_count(queue);
        unacked += queue_unacked_count(queue);
    }
    json_object_set_new(out, "messages", manage_json_count(ready + unacked));
    json_object_set_new(out, "messages_ready", manage_json_count(ready));
    json_object_set_new(out, "messages_unacknowledged", manage_json_count(unacked));
}

static json_t *json_of(struct manage_call *call, const struct vhost *vhost)
{
    json_t *out = access_json_vhost(vhost), *states = json_object();

    if (!manage_query_is_true(call, "disable_stats"))
        put_messages(out, vhost);
    json_object_set_new(states, manage_config(call->manage)->node, json_string("running"));
    json_object_set_new(out, "cluster_state", states);
    return out;
}

/* ---- lists ---- */

struct collecting {
    struct manage_call *call;
    struct manage_list *list;
    bool with_limits;
};

static void collect_one(void *ctx, struct vhost *vhost)
{
    const struct collecting *c = ctx;

    if (c->with_limits && vhost->max_connections == LIMIT_NONE && vhost->max_queues == LIMIT_NONE)
        return;
    if (manage_may_see(c->call, vhost))
        manage_list_add(c->list, &(struct manage_key){.name = vhost->name});
}

static void collect_all(struct manage_call *call, struct manage_list *list)
{
    vhost_each(call->core, collect_one, &(struct collecting){call, list, false});
}

static void collect_limited(struct manage_call *call, struct manage_list *list)
{
    vhost_each(call->core, collect_one, &(struct collecting){call, list, true});
}

static json_t *vhost_row(struct manage_call *call, const struct manage_key *key)
{
    const struct vhost *vhost = vhost_find(call->core, key->name);

    return vhost ? json_of(call, vhost) : NULL;
}

static json_t *limits_of(const struct vhost *vhost)
{
    json_t *out = json_object();

    json_object_set_new(out, "vhost", manage_json(vhost->name));
    json_object_set_new(out, "value", access_json_vhost_limits(vhost));
    return out;
}

static json_t *limits_row(struct manage_call *call, const struct manage_key *key)
{
    const struct vhost *vhost = vhost_find(call->core, key->name);

    return vhost ? limits_of(vhost) : NULL;
}

static void list_vhosts(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_all, .row = vhost_row};
    manage_list(call, &kind);
}

/* ---- one vhost ---- */

static void get_vhost(struct manage_call *call)
{
    struct vhost *vhost = find(call);

    if (!vhost)
        return;
    json_t *out = json_of(call, vhost), *stats = stats_of_vhost(call, vhost);
    if (stats)
        json_object_set_new(out, "message_stats", stats);
    manage_answer(call, 200, manage_columns(call, out));
}

static void put_vhost(struct manage_call *call)
{
    struct user *creator = call->user ? user_find(call->core, call->user->name) : NULL;
    struct bytes name = manage_param(call, "name");
    bool created = false;

    if (vhost_is_doomed(call->core, name)) { /* the name is free when that one is gone */
        vhost_wait_gone(call->core, name, manage_again(call, put_vhost));
        return;
    }
    enum err err = access_put_vhost(call->core, name, call->body, creator, &created);

    end_change(call, err, created ? 201 : 204);
}

static void deleted(struct manage_call *call)
{
    manage_answer(call, 204, NULL);
}

/* Answered when everything in it is gone, which takes its time. */
static void delete_vhost(struct manage_call *call)
{
    struct vhost *vhost = find(call);

    if (!vhost)
        return;
    enum err err = vhost_delete(vhost);
    if (err == E_PRECONDITION)
        manage_fail_as(call, 412, "precondition_failed", err_text());
    else if (err)
        manage_fail(call, err);
    else
        vhost_wait_gone(call->core, manage_param(call, "name"), manage_again(call, deleted));
}

static void protect(struct manage_call *call, bool is_protected)
{
    struct vhost *vhost = find(call);

    if (vhost)
        end_change(call, vhost_protect(vhost, is_protected), 204);
}

static void add_protection(struct manage_call *call)
{
    protect(call, true);
}

static void remove_protection(struct manage_call *call)
{
    protect(call, false);
}

/* As `rabbitmqctl trace_on` and trace_off do: alone, PUT would set all the rest as well. */
static void trace(struct manage_call *call, bool is_traced)
{
    struct vhost *vhost = find(call);

    if (!vhost)
        return;
    vhost->is_traced = is_traced;
    manage_answer(call, 204, NULL);
}

static void start_trace(struct manage_call *call)
{
    trace(call, true);
}

static void stop_trace(struct manage_call *call)
{
    trace(call, false);
}

/* It runs already. */
static void start_vhost(struct manage_call *call)
{
    if (find(call))
        manage_answer(call, 204, NULL);
}

/* ---- limits ---- */

static void list_limits(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_limited, .row = limits_row};
    manage_list(call, &kind);
}

static void get_limits(struct manage_call *call)
{
    const struct vhost *vhost = call->vhost;
    json_t *rows = json_array();

    if (vhost->max_connections != LIMIT_NONE || vhost->max_queues != LIMIT_NONE)
        json_array_append_new(rows, limits_of(vhost));
    manage_answer(call, 200, rows);
}

static void fail_no_vhost(struct manage_call *call)
{
    manage_fail_as(call, 404, "not_found", "vhost_not_found");
}

static void put_limit(struct manage_call *call)
{
    const json_t *value = json_object_get(call->body, "value");
    struct vhost *vhost = vhost_find(call->core, manage_param(call, "name"));

    if (!vhost)
        fail_no_vhost(call);
    else if (!value)
        end_change(call, err_set(E_INVALID, "[{key_missing,value}]"), 204);
    else
        end_change(call, access_put_vhost_limit(vhost, manage_param(call, "limit"), value), 204);
}

/* One that is not set, or is none, is as good as deleted (RabbitMQ). */
static void delete_limit(struct manage_call *call)
{
    struct vhost *vhost = vhost_find(call->core, manage_param(call, "name"));

    if (!vhost)
        fail_no_vhost(call);
    else if (access_put_vhost_limit(vhost, manage_param(call, "limit"), NULL) == E_INVALID)
        end_change(call, OK, 204);
    else
        end_change(call, core_catalog_can_change(call->core), 204);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "vhosts", MANAGE_LOGIN, list_vhosts},
    {MANAGE_GET, "vhosts/:name", MANAGE_ADMINISTRATOR, get_vhost},
    {MANAGE_PUT, "vhosts/:name", MANAGE_ADMINISTRATOR, put_vhost},
    {MANAGE_DELETE, "vhosts/:name", MANAGE_ADMINISTRATOR, delete_vhost},
    {MANAGE_POST, "vhosts/:name/deletion/protection", MANAGE_ADMINISTRATOR, add_protection},
    {MANAGE_DELETE, "vhosts/:name/deletion/protection", MANAGE_ADMINISTRATOR, remove_protection},
    {MANAGE_POST, "vhosts/:name/tracing", MANAGE_ADMINISTRATOR, start_trace},
    {MANAGE_DELETE, "vhosts/:name/tracing", MANAGE_ADMINISTRATOR, stop_trace},
    {MANAGE_POST, "vhosts/:name/start/:node", MANAGE_ADMINISTRATOR, start_vhost},
    {MANAGE_GET, "vhost-limits", MANAGE_LOGIN, list_limits},
    {MANAGE_GET, "vhost-limits/:vhost", MANAGE_LOGIN, get_limits},
    {MANAGE_PUT, "vhost-limits/:name/:limit", MANAGE_ADMINISTRATOR, put_limit},
    {MANAGE_DELETE, "vhost-limits/:name/:limit", MANAGE_ADMINISTRATOR, delete_limit},
};

const struct manage_routes manage_vhost_routes = {routes, sizeof routes / sizeof routes[0]};
