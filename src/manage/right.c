/* Who may do what: by the tags of the user and by the vhost in the path. */
#include <string.h>

#include "broker/access.h"
#include "manage/call_internal.h"

bool manage_has_right(const struct manage_call *call, enum manage_right right)
{
    const struct user *user = call->user;

    if (call->internal->is_trusted || right == MANAGE_PUBLIC)
        return true;
    if (call->internal->sees_all && right == MANAGE_MONITORING)
        return true;
    if (!user)
        return false;
    switch (right) {
    case MANAGE_PUBLIC:
    case MANAGE_LOGIN: return user_may(user, USER_MANAGEMENT);
    case MANAGE_POLICYMAKER: return user_may(user, USER_POLICYMAKER);
    case MANAGE_MONITORING: return user_may(user, USER_MONITORING);
    case MANAGE_ADMINISTRATOR: return user_may(user, USER_ADMINISTRATOR);
    }
    return false;
}

/* Has the user permissions in the vhost? */
static bool may_use(const struct manage_call *call, const struct vhost *vhost)
{
    return call->internal->is_trusted || (call->user && permission_find(call->user, vhost));
}

bool manage_may_see(const struct manage_call *call, const struct vhost *vhost)
{
    return manage_has_right(call, MANAGE_MONITORING) || may_use(call, vhost);
}

struct bytes manage_user_name(const struct manage_call *call)
{
    return call->user ? call->user->name : BYTES_LITERAL("");
}

static const char *const lacking[] = {
    [MANAGE_PUBLIC] = "",
    [MANAGE_LOGIN] = "Not management user",
    [MANAGE_POLICYMAKER] = "Not policymaker user",
    [MANAGE_MONITORING] = "Not monitor user",
    [MANAGE_ADMINISTRATOR] = "Not administrator user",
};

static bool route_has_vhost(const struct manage_route *route)
{
    const char *at = strstr(route->path, ":vhost");

    return at && (at[6] == 0 || at[6] == '/');
}

static bool check_vhost(struct manage_call *call)
{
    if (!route_has_vhost(call->internal->route))
        return true;
    call->vhost = vhost_find(call->core, manage_param(call, "vhost"));
    if (!call->vhost) {
        manage_not_found(call);
        return false;
    }
    bool allowed =
        call->method == MANAGE_GET ? manage_may_see(call, call->vhost) : may_use(call, call->vhost);
    if (!allowed)
        manage_fail_as(call, 401, "not_authorised", "User not authorised to access virtual host");
    return allowed;
}

bool manage_check_right(struct manage_call *call)
{
    const struct manage_route *route = call->internal->route;

    if (route->right == MANAGE_PUBLIC)
        return check_vhost(call);
    call->user = call->internal->is_trusted ? NULL : user_find(call->core, call->internal->user);
    if (!manage_has_right(call, route->right)) {
        manage_fail_as(call, 401, "not_authorised", lacking[route->right]);
        return false;
    }
    return check_vhost(call);
}
