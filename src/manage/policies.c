/* Policies and operator policies. */
#include "base/check.h"
#include "broker/policy.h"
#include "manage/definitions.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/routes.h"

json_t *manage_policy_json(const struct vhost *vhost, const struct policy *policy)
{
    json_t *out = json_object();

    if (vhost)
        json_object_set_new(out, "vhost", manage_json(vhost->name));
    json_object_set_new(out, "name", manage_json(policy->name));
    json_object_set_new(out, "pattern", manage_json(policy->pattern.text));
    json_object_set_new(out, "apply-to", manage_json(policy->apply_to));
    json_object_set_new(out, "definition", manage_json_table(policy->definition));
    json_object_set_new(out, "priority", json_integer(policy->priority));
    return out;
}

/* ---- reading ---- */

struct listing {
    const struct manage_call *call;
    const struct vhost *vhost;
    enum policy_author author;
    json_t *rows;
};

/* They come with the highest priority first, and are listed the other way round (RabbitMQ). */
static void list_policy(void *ctx, const struct policy *policy)
{
    struct listing *l = ctx;

    json_array_insert_new(l->rows, 0, manage_policy_json(l->vhost, policy));
}

static void list_vhost(void *ctx, struct vhost *vhost)
{
    struct listing *l = ctx;

    l->vhost = vhost;
    if (manage_may_see(l->call, vhost))
        policy_each(vhost, l->author, list_policy, l);
}

static void list(struct manage_call *call, enum policy_author author)
{
    struct listing l = {.call = call, .author = author, .rows = json_array()};

    if (call->vhost)
        list_vhost(&l, call->vhost);
    else
        vhost_each(call->core, list_vhost, &l);
    manage_answer_list(call, l.rows);
}

static void get(struct manage_call *call, enum policy_author author)
{
    const struct policy *policy = policy_find(call->vhost, author, manage_param(call, "name"));

    if (policy)
        manage_answer(call, 200, manage_policy_json(call->vhost, policy));
    else
        manage_not_found(call);
}

/* ---- setting ---- */

static enum err read_priority(const json_t *json, int64_t *out)
{
    const json_t *value = json_object_get(json, "priority");

    *out = json_is_integer(value) ? json_integer_value(value) : 0;
    return !value || json_is_integer(value) || json_is_null(value)
               ? OK
               : err_set(E_INVALID, "Validation failed\n\npriority should be a whole number\n");
}

static enum err read_string(const json_t *json, const char *name, struct bytes *out)
{
    const json_t *value = json_object_get(json, name);

    if (!value || json_is_null(value))
        return OK;
    if (!json_is_string(value))
        return err_set(E_INVALID, "Validation failed\n\n%s should be a binary\n", name);
    *out = manage_bytes_of(value);
    return OK;
}

static enum err check_keys(const json_t *json)
{
    bool has_pattern = json_object_get(json, "pattern");
    bool has_definition = json_object_get(json, "definition");

    return has_pattern && has_definition
               ? OK
               : err_set(E_INVALID, "[%s%s%s]", has_pattern ? "" : "{key_missing,pattern}",
                         has_pattern || has_definition ? "" : ",",
                         has_definition ? "" : "{key_missing,definition}");
}

enum err manage_policy_set(struct vhost *vhost, enum policy_author author, struct bytes name,
                           const json_t *json, bool *out_created)
{
    struct text definition = {0};
    struct policy_spec spec = {.name = name, .apply_to = BYTES_LITERAL("all")};
    enum err err = check_keys(json);

    if (!err)
        err = read_string(json, "pattern", &spec.pattern);
    if (!err)
        err = read_string(json, "apply-to", &spec.apply_to);
    if (!err)
        err = read_priority(json, &spec.priority);
    if (!err)
        err = manage_table_from_json(json_object_get(json, "definition"), &definition);
    spec.definition = text_bytes(&definition);
    if (!err)
        err = policy_set(vhost, author, &spec, out_created);
    text_reset(&definition);
    return err;
}

/* Once all that is there already has been looked at. */
static void answer_created(struct manage_call *call)
{
    if (policies_are_applied(call->vhost))
        manage_answer_durable(call, 201, NULL);
    else
        manage_yield(call, answer_created);
}

static void answer_changed(struct manage_call *call)
{
    if (policies_are_applied(call->vhost))
        manage_answer_durable(call, 204, NULL);
    else
        manage_yield(call, answer_changed);
}

static void put(struct manage_call *call, enum policy_author author)
{
    bool created;
    enum err err =
        manage_policy_set(call->vhost, author, manage_param(call, "name"), call->body, &created);

    if (err)
        manage_fail(call, err);
    else if (created)
        answer_created(call);
    else
        answer_changed(call);
}

static void remove_policy(struct manage_call *call, enum policy_author author)
{
    enum err err = policy_delete(call->vhost, author, manage_param(call, "name"));

    if (err)
        manage_fail(call, err);
    else
        answer_changed(call);
}

/* ---- routes ---- */

static void list_policies(struct manage_call *call)
{
    list(call, POLICY_USER);
}

static void get_policy(struct manage_call *call)
{
    get(call, POLICY_USER);
}

static void put_policy(struct manage_call *call)
{
    put(call, POLICY_USER);
}

static void delete_policy(struct manage_call *call)
{
    remove_policy(call, POLICY_USER);
}

static void list_operator_policies(struct manage_call *call)
{
    list(call, POLICY_OPERATOR);
}

static void get_operator_policy(struct manage_call *call)
{
    get(call, POLICY_OPERATOR);
}

static void put_operator_policy(struct manage_call *call)
{
    put(call, POLICY_OPERATOR);
}

static void delete_operator_policy(struct manage_call *call)
{
    remove_policy(call, POLICY_OPERATOR);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "policies", MANAGE_LOGIN, list_policies},
    {MANAGE_GET, "policies/:vhost", MANAGE_LOGIN, list_policies},
    {MANAGE_GET, "policies/:vhost/:name", MANAGE_POLICYMAKER, get_policy},
    {MANAGE_PUT, "policies/:vhost/:name", MANAGE_POLICYMAKER, put_policy},
    {MANAGE_DELETE, "policies/:vhost/:name", MANAGE_POLICYMAKER, delete_policy},
    {MANAGE_GET, "operator-policies", MANAGE_LOGIN, list_operator_policies},
    {MANAGE_GET, "operator-policies/:vhost", MANAGE_LOGIN, list_operator_policies},
    {MANAGE_GET, "operator-policies/:vhost/:name", MANAGE_ADMINISTRATOR, get_operator_policy},
    {MANAGE_PUT, "operator-policies/:vhost/:name", MANAGE_ADMINISTRATOR, put_operator_policy},
    {MANAGE_DELETE, "operator-policies/:vhost/:name", MANAGE_ADMINISTRATOR, delete_operator_policy},
};

const struct manage_routes manage_policy_routes = {routes, sizeof routes / sizeof routes[0]};
