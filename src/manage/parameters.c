/*
 * Parameters of vhosts and global ones. Operator policies and a vhost's limits are parameters too,
 * of components of their own (RabbitMQ); what others have is stored and told, and means nothing
 * here.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "manage/access_json.h"
#include "manage/definitions.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/routes.h"

#define LIMITS "vhost-limits"
#define OPERATOR_POLICY "operator_policy"

/* Of plugins that definitions come from. */
static bool is_stored(struct bytes component)
{
    static const char *const names[] = {"shovel", "federation-upstream", "federation-upstream-set",
                                        "federation"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bytes_equal_string(component, names[i]))
            return true;
    return false;
}

/* ---- JSON ---- */

/* Takes the value's reference. */
static json_t *row_of(const struct vhost *vhost, const char *component, struct bytes name,
                      json_t *value)
{
    json_t *out = json_object();

    json_object_set_new(out, "value", value);
    if (vhost)
        json_object_set_new(out, "vhost", manage_json(vhost->name));
    json_object_set_new(out, "component", json_string(component));
    json_object_set_new(out, "name", manage_json(name));
    return out;
}

static json_t *value_of(const struct parameter *p)
{
    json_t *value = json_loadb((const char *)p->value.data, p->value.size, JSON_DECODE_ANY, NULL);

    return value ? value : json_null();
}

static bool has_limits(const struct vhost *vhost)
{
    return vhost->max_connections != LIMIT_NONE || vhost->max_queues != LIMIT_NONE;
}

static json_t *operator_policy_json(const struct policy *policy)
{
    json_t *out = manage_policy_json(NULL, policy);

    json_object_del(out, "name");
    return out;
}

struct listing {
    const struct vhost *vhost, *shown_vhost;
    struct bytes component;
    json_t *rows;
};

static bool asks_for(const struct listing *l, const char *component)
{
    return !l->component.data || bytes_equal_string(l->component, component);
}

static void put_stored(void *ctx, const struct parameter *p)
{
    struct listing *l = ctx;
    char component[256];

    snprintf(component, sizeof component, "%.*s", BYTES_FORMAT(p->component));
    if (p->vhost == l->vhost && asks_for(l, component))
        json_array_append_new(l->rows, row_of(l->shown_vhost, component, p->name, value_of(p)));
}

static void put_operator_policy(void *ctx, const struct policy *policy)
{
    struct listing *l = ctx;

    json_array_append_new(l->rows, row_of(l->shown_vhost, OPERATOR_POLICY, policy->name,
                                          operator_policy_json(policy)));
}

void manage_parameters_put(struct vhost *vhost, struct bytes component, bool with_vhost,
                           json_t *rows)
{
    struct listing l = {vhost, with_vhost ? vhost : NULL, component, rows};

    if (asks_for(&l, LIMITS) && has_limits(vhost))
        json_array_append_new(rows, row_of(l.shown_vhost, LIMITS, BYTES_LITERAL("limits"),
                                           access_json_vhost_limits(vhost)));
    if (asks_for(&l, OPERATOR_POLICY))
        policy_each(vhost, POLICY_OPERATOR, put_operator_policy, &l);
    parameter_each(vhost->core, put_stored, &l);
}

/* ---- setting ---- */

static enum err take_limit(const json_t *value, const char *name, int64_t *out)
{
    const json_t *limit = json_object_get(value, name);

    *out = limit ? json_integer_value(limit) : LIMIT_NONE;
    return !limit || json_is_integer(limit)
               ? OK
               : err_set(E_INVALID, "Validation failed\n\n%s should be a number\n", name);
}

static enum err set_limits(struct vhost *vhost, const json_t *value, bool *out_created)
{
    int64_t connections, queues;
    enum err err = json_is_object(value)
                       ? OK
                       : err_set(E_INVALID, "Validation failed\n\nlimits should be an object\n");

    if (!err)
        err = take_limit(value, "max-connections", &connections);
    if (!err)
        err = take_limit(value, "max-queues", &queues);
    *out_created = !has_limits(vhost);
    return err ? err : vhost_set_limits(vhost, connections, queues);
}

static enum err store(struct core *core, struct vhost *vhost, struct bytes component,
                      struct bytes name, const json_t *value, bool *out_created)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    check(text);
    enum err err =
        parameter_set(core, vhost, component, name, bytes_from_string(text), out_created);
    free(text);
    return err;
}

enum err manage_parameter_set(struct vhost *vhost, struct bytes component, struct bytes name,
                              const json_t *value, bool *out_created)
{
    if (bytes_equal_string(component, LIMITS))
        return set_limits(vhost, value, out_created);
    if (bytes_equal_string(component, OPERATOR_POLICY))
        return manage_policy_set(vhost, POLICY_OPERATOR, name, value, out_created);
    if (bytes_equal_string(component, "policy"))
        return err_set(E_INVALID, "policies may not be set using this method");
    if (!is_stored(component))
        return err_set(E_INVALID, "Validation failed\n\ncomponent %.*s not found\n",
                       BYTES_FORMAT(component));
    return store(vhost->core, vhost, component, name, value, out_created);
}

enum err manage_global_parameter_set(struct core *core, struct bytes name, const json_t *value,
                                     bool *out_created)
{
    return store(core, NULL, BYTES_NULL, name, value, out_created);
}

/* ---- of vhosts ---- */

static struct bytes component_of(const struct manage_call *call)
{
    return manage_param(call, "component");
}

struct listing_all {
    const struct manage_call *call;
    struct bytes component;
    json_t *rows;
};

static void list_vhost(void *ctx, struct vhost *vhost)
{
    struct listing_all *l = ctx;

    if (manage_may_see(l->call, vhost))
        manage_parameters_put(vhost, l->component, true, l->rows);
}

static void list_all(struct manage_call *call)
{
    struct listing_all l = {call, BYTES_NULL, json_array()};

    vhost_each(call->core, list_vhost, &l);
    manage_answer_list(call, l.rows);
}

static void list_component(struct manage_call *call)
{
    struct listing_all l = {call, component_of(call), json_array()};

    if (call->vhost)
        list_vhost(&l, call->vhost);
    else
        vhost_each(call->core, list_vhost, &l);
    manage_answer_list(call, l.rows);
}

/* The one row that the path names; NULL: it is not there. */
static json_t *find_row(const struct manage_call *call)
{
    json_t *rows = json_array(), *row, *found = NULL;
    size_t i;

    manage_parameters_put(call->vhost, component_of(call), true, rows);
    json_array_foreach(rows, i, row)
    {
        const json_t *name = json_object_get(row, "name");
        if (!found && bytes_equal(manage_bytes_of(name), manage_param(call, "name")))
            found = json_incref(row);
    }
    json_decref(rows);
    return found;
}

static void get_one(struct manage_call *call)
{
    json_t *row = find_row(call);

    if (row)
        manage_answer(call, 200, row);
    else
        manage_not_found(call);
}

static void answer_set(struct manage_call *call, enum err err, bool created)
{
    if (err)
        manage_fail(call, err);
    else
        manage_answer_durable(call, created ? 201 : 204, NULL);
}

/* NULL: it failed. */
static const json_t *value_in(struct manage_call *call)
{
    const json_t *value = json_object_get(call->body, "value");

    if (!value)
        manage_fail_as(call, 400, "bad_request", "[{key_missing,value}]");
    return value;
}

/* False: it failed. What limits a vhost is not for those who make its policies. */
static bool may_set(struct manage_call *call)
{
    struct bytes component = component_of(call);

    if (manage_has_right(call, MANAGE_ADMINISTRATOR) ||
        (!bytes_equal_string(component, LIMITS) && !bytes_equal_string(component, OPERATOR_POLICY)))
        return true;
    manage_fail_as(call, 401, "not_authorized", "Not administrator user");
    return false;
}

static void put_one(struct manage_call *call)
{
    const json_t *value = may_set(call) ? value_in(call) : NULL;
    bool created = false;

    if (!value)
        return;
    enum err err = manage_parameter_set(call->vhost, component_of(call), manage_param(call, "name"),
                                        value, &created);
    answer_set(call, err, created);
}

static enum err remove_one(struct manage_call *call)
{
    struct bytes component = component_of(call), name = manage_param(call, "name");
    struct parameter *p;

    if (bytes_equal_string(component, LIMITS))
        return vhost_set_limits(call->vhost, LIMIT_NONE, LIMIT_NONE);
    if (bytes_equal_string(component, OPERATOR_POLICY))
        return policy_delete(call->vhost, POLICY_OPERATOR, name);
    p = parameter_find(call->core, call->vhost, component, name);
    return p ? parameter_delete(call->core, p) : E_NOT_FOUND;
}

static void delete_one(struct manage_call *call)
{
    if (!may_set(call))
        return;
    json_t *row = find_row(call);
    if (row)
        answer_set(call, remove_one(call), false);
    else
        manage_not_found(call);
    json_decref(row);
}

/* ---- global ---- */

static json_t *global_json(const struct parameter *p)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", manage_json(p->name));
    json_object_set_new(out, "value", value_of(p));
    return out;
}

static void put_global(void *ctx, const struct parameter *p)
{
    if (!p->vhost)
        json_array_append_new(ctx, global_json(p));
}

static json_t *cluster_id_json(const struct core *core)
{
    char id[64];
    json_t *out = json_object();

    snprintf(id, sizeof id, "rabbitmq-cluster-id-%s", core->config.cluster_id);
    json_object_set_new(out, "name", json_string("internal_cluster_id"));
    json_object_set_new(out, "value", json_string(id));
    return out;
}

void manage_global_parameters_put(struct core *core, bool all, json_t *rows)
{
    parameter_each(core, put_global, rows);
    if (all)
        json_array_append_new(rows, cluster_id_json(core));
}

static void list_global(struct manage_call *call)
{
    json_t *rows = json_array();

    manage_global_parameters_put(call->core, true, rows);
    manage_answer_list(call, rows);
}

static struct parameter *find_global(const struct manage_call *call)
{
    return parameter_find(call->core, NULL, BYTES_NULL, manage_param(call, "name"));
}

static void get_global(struct manage_call *call)
{
    const struct parameter *p = find_global(call);

    if (p)
        manage_answer(call, 200, global_json(p));
    else if (bytes_equal_string(manage_param(call, "name"), "internal_cluster_id"))
        manage_answer(call, 200, cluster_id_json(call->core));
    else
        manage_not_found(call);
}

static void put_one_global(struct manage_call *call)
{
    const json_t *value = value_in(call);
    bool created = false;

    if (!value)
        return;
    if (bytes_equal_string(manage_param(call, "name"), "internal_cluster_id")) {
        manage_fail_as(call, 400, "bad_request", "internal_cluster_id is not to be changed");
        return;
    }
    enum err err =
        manage_global_parameter_set(call->core, manage_param(call, "name"), value, &created);
    answer_set(call, err, created);
}

static void delete_global(struct manage_call *call)
{
    struct parameter *p = find_global(call);

    if (p)
        answer_set(call, parameter_delete(call->core, p), false);
    else
        manage_not_found(call);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "parameters", MANAGE_POLICYMAKER, list_all},
    {MANAGE_GET, "parameters/:component", MANAGE_POLICYMAKER, list_component},
    {MANAGE_GET, "parameters/:component/:vhost", MANAGE_POLICYMAKER, list_component},
    {MANAGE_GET, "parameters/:component/:vhost/:name", MANAGE_POLICYMAKER, get_one},
    {MANAGE_PUT, "parameters/:component/:vhost/:name", MANAGE_POLICYMAKER, put_one},
    {MANAGE_DELETE, "parameters/:component/:vhost/:name", MANAGE_POLICYMAKER, delete_one},
    {MANAGE_GET, "global-parameters", MANAGE_POLICYMAKER, list_global},
    {MANAGE_GET, "global-parameters/:name", MANAGE_POLICYMAKER, get_global},
    {MANAGE_PUT, "global-parameters/:name", MANAGE_POLICYMAKER, put_one_global},
    {MANAGE_DELETE, "global-parameters/:name", MANAGE_POLICYMAKER, delete_global},
};

const struct manage_routes manage_parameter_routes = {routes, sizeof routes / sizeof routes[0]};
