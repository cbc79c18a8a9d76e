/* Exchanges: list, declare, delete. */
#include "broker/exchange.h"
#include "broker/policy.h"
#include "manage/list.h"
#include "manage/objects.h"
#include "manage/routes.h"

static struct exchange *find(struct manage_call *call)
{
    struct exchange *x = exchange_find(call->vhost, objects_exchange_name(call, "name"));

    if (!x)
        manage_not_found(call);
    return x;
}

static void put_stats(const struct manage_call *call, json_t *json, const struct exchange *x)
{
    struct stats stats;
    json_t *of = json_object();

    stats_take(exchange_counters(x), 0, 0, call->core->wall_ms, &stats);
    stats.sample_ms = stats_sample_ms(call, "msg_rates");
    stats_put(&stats, COUNTER_publish_in, COUNTERS, true, of);
    json_object_set_new(json, "message_stats", of);
}

static json_t *object(const struct manage_call *call, const struct exchange *x)
{
    json_t *json = json_object();
    bool is_ours = x->name.size == 0 || bytes_has_prefix(x->name, "amq.");

    objects_put(json, "name", x->name);
    objects_put(json, "vhost", x->vhost->name);
    json_object_set_new(json, "type", json_string(exchange_kind_name(x->kind)));
    json_object_set_new(json, "durable", json_boolean(x->durable));
    json_object_set_new(json, "auto_delete", json_boolean(x->auto_delete));
    json_object_set_new(json, "internal", json_boolean(x->internal));
    json_object_set_new(json, "arguments", manage_json_table(x->arguments));
    json_object_set_new(json, "user_who_performed_action",
                        json_string(is_ours ? "rmq-internal" : ""));
    if (exchange_policies(x)->of[POLICY_USER])
        objects_put(json, "policy", exchange_policies(x)->of[POLICY_USER]->name);
    if (x->kind == EXCHANGE_DELAYED) /* as the plugin's */
        json_object_set_new(json, "messages_delayed",
                            json_integer((json_int_t)exchange_delayed_count(x)));
    if (exchange_counters(x))
        put_stats(call, json, x);
    return json;
}

/* ---- lists ---- */

static void add(struct manage_list *list, const struct exchange *x)
{
    manage_list_add(list, &(struct manage_key){.vhost = x->vhost->name, .name = x->name});
}

static json_t *row(struct manage_call *call, const struct manage_key *key)
{
    struct vhost *vhost = vhost_find(call->core, key->vhost);
    const struct exchange *x = vhost ? exchange_find(vhost, key->name) : NULL;

    return x ? object(call, x) : NULL;
}

static void list_exchanges(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.add_exchange = add, .row = row};
    manage_list(call, &kind);
}

/* ---- one ---- */

static void show(struct manage_call *call)
{
    const struct exchange *x = find(call);

    if (!x)
        return;
    json_t *json = object(call, x);
    json_object_set_new(json, "incoming", json_array());
    json_object_set_new(json, "outgoing", json_array());
    manage_answer(call, 200, manage_columns(call, json));
}

static void get_exchange(struct manage_call *call)
{
    if (find(call))
        manage_wait(call, core_catalog_ticket(call->core), show);
}

static enum err read_declaration(const struct manage_call *call, struct exchange_declaration *out,
                                 struct text *arguments)
{
    enum err err = manage_body_string(call, "type", &out->type);
    if (!err)
        err = manage_body_bool(call, "durable", &out->durable);
    if (!err)
        err = manage_body_bool(call, "auto_delete", &out->auto_delete);
    if (!err)
        err = manage_body_bool(call, "internal", &out->internal);
    if (!err)
        err = objects_body_arguments(call, arguments);
    out->arguments = text_bytes(arguments);
    return err;
}

static void put_exchange(struct manage_call *call)
{
    struct exchange_declaration in = {.name = objects_exchange_name(call, "name"),
                                      .type = BYTES_LITERAL("direct")};
    struct declarer by = objects_declarer(call);
    struct text arguments = {0};
    bool was_there = exchange_find(call->vhost, in.name);
    struct exchange *x;

    enum err err = read_declaration(call, &in, &arguments);
    if (!err)
        err = declare_not_default(in.name);
    if (!err)
        err = declare_exchange(call->vhost, &in, &by, &x);
    text_reset(&arguments);
    if (err)
        objects_fail(call, err);
    else
        manage_answer_durable(call, was_there ? 204 : 201, NULL);
}

static void delete_exchange(struct manage_call *call)
{
    struct declarer by = objects_declarer(call);
    const struct exchange *x = find(call);

    if (!x)
        return;
    enum err err = declare_not_default(x->name);
    if (!err)
        err = declare_delete_exchange(call->vhost, x->name, &by,
                                      manage_query_is_true(call, "if-unused"));
    if (err == E_AGAIN)
        manage_yield(call, delete_exchange);
    else if (err)
        objects_fail(call, err);
    else
        manage_answer_durable(call, 204, NULL);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "exchanges", MANAGE_LOGIN, list_exchanges},
    {MANAGE_GET, "exchanges/:vhost", MANAGE_LOGIN, list_exchanges},
    {MANAGE_GET, "exchanges/:vhost/:name", MANAGE_LOGIN, get_exchange},
    {MANAGE_PUT, "exchanges/:vhost/:name", MANAGE_LOGIN, put_exchange},
    {MANAGE_DELETE, "exchanges/:vhost/:name", MANAGE_LOGIN, delete_exchange},
};

const struct manage_routes manage_exchange_routes = {routes, sizeof routes / sizeof routes[0]};
