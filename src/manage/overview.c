/* The broker as a whole, and who is asking. */
#include "broker/user.h"
#include "manage/json.h"
#include "manage/routes.h"

/* The operator on the control socket is as good as an administrator. */
static json_t *json_of_tags(const struct user *user)
{
    json_t *out = json_array();

    if (!user)
        json_array_append_new(out, json_string("administrator"));
    for (size_t i = 0; user && i < user->tags.count; i++)
        json_array_append_new(out, manage_json(user->tags.items[i]));
    return out;
}

static void whoami(struct manage_call *call)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", manage_json(manage_user_name(call)));
    json_object_set_new(out, "tags", json_of_tags(call->user));
    json_object_set_new(out, "is_internal_user", json_true());
    manage_answer(call, 200, out);
}

static void version(struct manage_call *call)
{
    manage_answer(call, 200, json_string(manage_config(call->manage)->rabbitmq_version));
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "whoami", MANAGE_LOGIN, whoami},
    {MANAGE_GET, "version", MANAGE_LOGIN, version},
};

const struct manage_routes manage_overview_routes = {routes, sizeof routes / sizeof routes[0]};
