/* Users and their limits. For administrators, except that everybody may see limits. */
#include "broker/access.h"
#include "manage/access_json.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/routes.h"

enum { DELETE_SLICE = 100 };

/* The user that ":user" names; NULL: it has failed (404). */
static struct user *find(struct manage_call *call)
{
    struct user *user = user_find(call->core, manage_param(call, "user"));

    if (!user)
        manage_not_found(call);
    return user;
}

/* An object was made or changed, or that failed. */
static void end_put(struct manage_call *call, enum err err, bool created)
{
    if (err)
        manage_fail(call, err);
    else
        manage_answer_durable(call, created ? 201 : 204, NULL);
}

/* ---- lists ---- */

struct collecting {
    struct manage_list *list;
    bool without_permissions, with_limits;
};

static void collect_one(void *ctx, struct user *user)
{
    const struct collecting *c = ctx;

    if (c->without_permissions && user->permissions.count > 0)
        return;
    if (c->with_limits && user->max_connections == LIMIT_NONE && user->max_channels == LIMIT_NONE)
        return;
    manage_list_add(c->list, &(struct manage_key){.name = user->name});
}

static void collect_all(struct manage_call *call, struct manage_list *list)
{
    user_each(call->core, collect_one, &(struct collecting){.list = list});
}

static void collect_without_permissions(struct manage_call *call, struct manage_list *list)
{
    user_each(call->core, collect_one,
              &(struct collecting){.list = list, .without_permissions = true});
}

static void collect_limited(struct manage_call *call, struct manage_list *list)
{
    user_each(call->core, collect_one, &(struct collecting){.list = list, .with_limits = true});
}

static json_t *user_row(struct manage_call *call, const struct manage_key *key)
{
    const struct user *user = user_find(call->core, key->name);

    return user ? access_json_user(user) : NULL;
}

static json_t *limits_of(const struct user *user)
{
    json_t *out = json_object();

    json_object_set_new(out, "user", manage_json(user->name));
    json_object_set_new(out, "value", access_json_user_limits(user));
    return out;
}

static json_t *limits_row(struct manage_call *call, const struct manage_key *key)
{
    const struct user *user = user_find(call->core, key->name);

    return user ? limits_of(user) : NULL;
}

static void list_users(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_all, .row = user_row};
    manage_list(call, &kind);
}

static void list_without_permissions(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_without_permissions,
                                                 .row = user_row};
    manage_list(call, &kind);
}

/* ---- one user ---- */

static void get_user(struct manage_call *call)
{
    const struct user *user = find(call);

    if (user)
        manage_answer(call, 200, manage_columns(call, access_json_user(user)));
}

static void put_user(struct manage_call *call)
{
    bool created = false;
    enum err err = access_put_user(call->core, manage_param(call, "user"), call->body, &created);

    end_put(call, err, created);
}

static void delete_user(struct manage_call *call)
{
    struct user *user = find(call);

    if (user)
        end_put(call, user_delete(user), false);
}

/* Those that are not there are as good as deleted (RabbitMQ). */
static enum err delete_some(struct manage_call *call, json_t *names)
{
    for (int i = 0; i < DELETE_SLICE && json_array_size(names) > 0; i++) {
        size_t last = json_array_size(names) - 1;
        const json_t *name = json_array_get(names, last);
        struct user *user =
            json_is_string(name) ? user_find(call->core, manage_bytes_of(name)) : NULL;
        enum err err = user ? user_delete(user) : OK;
        if (err)
            return err;
        json_array_remove(names, last);
    }
    return OK;
}

/* What is done is taken off the list. */
static void delete_users(struct manage_call *call)
{
    json_t *names = json_object_get(call->body, "users");
    enum err err = delete_some(call, names);

    if (err || json_array_size(names) == 0)
        end_put(call, err, false);
    else
        manage_yield(call, delete_users);
}

static void bulk_delete(struct manage_call *call)
{
    const json_t *names = json_object_get(call->body, "users");

    if (!names)
        end_put(call, err_set(E_INVALID, "[{key_missing,users}]"), false);
    else if (!json_is_array(names))
        end_put(call, err_set(E_INVALID, "users must be an array"), false);
    else
        delete_users(call);
}

/* ---- limits ---- */

static void list_limits(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_limited, .row = limits_row};
    manage_list(call, &kind);
}

static void get_limits(struct manage_call *call)
{
    const struct user *user = find(call);

    if (!user)
        return;
    json_t *rows = json_array();
    if (user->max_connections != LIMIT_NONE || user->max_channels != LIMIT_NONE)
        json_array_append_new(rows, limits_of(user));
    manage_answer(call, 200, rows);
}

static void put_limit(struct manage_call *call)
{
    const json_t *value = json_object_get(call->body, "value");
    struct user *user = user_find(call->core, manage_param(call, "user"));
    enum err err;

    if (!user)
        err = err_set(E_INVALID, "no_such_user");
    else if (!value)
        err = err_set(E_INVALID, "[{key_missing,value}]");
    else
        err = access_put_user_limit(user, manage_param(call, "limit"), value);
    end_put(call, err, false);
}

/* One that is not set, or is none, is as good as deleted (RabbitMQ). */
static void delete_limit(struct manage_call *call)
{
    struct user *user = find(call);
    struct bytes limit = manage_param(call, "limit");

    if (!user)
        return;
    if (bytes_equal_string(limit, "all"))
        end_put(call, user_set_limits(user, LIMIT_NONE, LIMIT_NONE), false);
    else if (access_put_user_limit(user, limit, NULL) == E_INVALID)
        end_put(call, OK, false);
    else
        end_put(call, core_catalog_can_change(call->core), false);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "users", MANAGE_ADMINISTRATOR, list_users},
    {MANAGE_GET, "users/without-permissions", MANAGE_ADMINISTRATOR, list_without_permissions},
    {MANAGE_POST, "users/bulk-delete", MANAGE_ADMINISTRATOR, bulk_delete},
    {MANAGE_GET, "users/:user", MANAGE_ADMINISTRATOR, get_user},
    {MANAGE_PUT, "users/:user", MANAGE_ADMINISTRATOR, put_user},
    {MANAGE_DELETE, "users/:user", MANAGE_ADMINISTRATOR, delete_user},
    {MANAGE_GET, "user-limits", MANAGE_LOGIN, list_limits},
    {MANAGE_GET, "user-limits/:user", MANAGE_LOGIN, get_limits},
    {MANAGE_PUT, "user-limits/:user/:limit", MANAGE_ADMINISTRATOR, put_limit},
    {MANAGE_DELETE, "user-limits/:user/:limit", MANAGE_ADMINISTRATOR, delete_limit},
};

const struct manage_routes manage_user_routes = {routes, sizeof routes / sizeof routes[0]};
