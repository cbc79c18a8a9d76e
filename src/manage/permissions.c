/* Permissions and topic permissions. For administrators. */
#include "broker/access.h"
#include "manage/access_json.h"
#include "manage/json.h"
#include "manage/list.h"
#include "manage/routes.h"

/* Of a path that names both. False: one of them is not there. */
static bool find(const struct manage_call *call, struct user **out_user, struct vhost **out_vhost)
{
    *out_vhost = vhost_find(call->core, manage_param(call, "in"));
    *out_user = user_find(call->core, manage_param(call, "user"));
    return *out_vhost && *out_user;
}

static void end_change(struct manage_call *call, enum err err, int status)
{
    if (err)
        manage_fail(call, err);
    else
        manage_answer_durable(call, status, NULL);
}

static void fail_not_both(struct manage_call *call)
{
    manage_fail_as(call, 400, "bad_request", "vhost_or_user_not_found");
}

/* ---- lists: all, of a user, of a vhost ---- */

static void add_permission(struct manage_list *list, const struct permission *p)
{
    manage_list_add(list, &(struct manage_key){.vhost = p->vhost->name, .name = p->user->name});
}

static void add_topic_permission(struct manage_list *list, const struct topic_permission *p)
{
    manage_list_add(list, &(struct manage_key){
                              .vhost = p->vhost->name, .name = p->user->name, .more = p->exchange});
}

static void add_of_vhost(void *ctx, struct vhost *vhost)
{
    list_each (node, &vhost->permissions)
        add_permission(ctx, container_of(node, struct permission, of_vhost));
}

static void add_topics_of_vhost(void *ctx, struct vhost *vhost)
{
    list_each (node, &vhost->topic_permissions)
        add_topic_permission(ctx, container_of(node, struct topic_permission, of_vhost));
}

static void collect_all(struct manage_call *call, struct manage_list *list)
{
    vhost_each(call->core, add_of_vhost, list);
}

static void collect_all_topics(struct manage_call *call, struct manage_list *list)
{
    vhost_each(call->core, add_topics_of_vhost, list);
}

static void collect_of_vhost(struct manage_call *call, struct manage_list *list)
{
    add_of_vhost(list, vhost_find(call->core, manage_param(call, "in")));
}

static void collect_topics_of_vhost(struct manage_call *call, struct manage_list *list)
{
    add_topics_of_vhost(list, vhost_find(call->core, manage_param(call, "in")));
}

static void collect_of_user(struct manage_call *call, struct manage_list *list)
{
    const struct user *user = user_find(call->core, manage_param(call, "user"));
    const struct permission *p;
    size_t position = 0;

    while ((p = map_next(&user->permissions, &position)))
        add_permission(list, p);
}

static void collect_topics_of_user(struct manage_call *call, struct manage_list *list)
{
    const struct user *user = user_find(call->core, manage_param(call, "user"));
    const struct topic_permission *p;
    size_t position = 0;

    while ((p = map_next(&user->topic_permissions, &position)))
        add_topic_permission(list, p);
}

static void collect_topics_of_both(struct manage_call *call, struct manage_list *list)
{
    const struct user *user = user_find(call->core, manage_param(call, "user"));
    const struct vhost *vhost = vhost_find(call->core, manage_param(call, "in"));
    const struct topic_permission *p;
    size_t position = 0;

    while ((p = map_next(&user->topic_permissions, &position)))
        if (p->vhost == vhost)
            add_topic_permission(list, p);
}

static json_t *permission_row(struct manage_call *call, const struct manage_key *key)
{
    const struct user *user = user_find(call->core, key->name);
    const struct vhost *vhost = vhost_find(call->core, key->vhost);
    const struct permission *p = user && vhost ? permission_find(user, vhost) : NULL;

    return p ? access_json_permission(p) : NULL;
}

static json_t *topic_permission_row(struct manage_call *call, const struct manage_key *key)
{
    const struct user *user = user_find(call->core, key->name);
    const struct vhost *vhost = vhost_find(call->core, key->vhost);
    const struct topic_permission *p =
        user && vhost ? topic_permission_find(user, vhost, key->more) : NULL;

    return p ? access_json_topic_permission(p) : NULL;
}

static void list_all(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_all, .row = permission_row};
    manage_list(call, &kind);
}

static void list_all_topics(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_all_topics,
                                                 .row = topic_permission_row};
    manage_list(call, &kind);
}

static void list_if(struct manage_call *call, bool there, const struct manage_list_kind *kind)
{
    if (there)
        manage_list(call, kind);
    else
        manage_not_found(call);
}

static void list_of_vhost(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_of_vhost,
                                                 .row = permission_row};
    list_if(call, vhost_find(call->core, manage_param(call, "in")), &kind);
}

static void list_topics_of_vhost(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_topics_of_vhost,
                                                 .row = topic_permission_row};
    list_if(call, vhost_find(call->core, manage_param(call, "in")), &kind);
}

static void list_of_user(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_of_user, .row = permission_row};
    list_if(call, user_find(call->core, manage_param(call, "user")), &kind);
}

static void list_topics_of_user(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_topics_of_user,
                                                 .row = topic_permission_row};
    list_if(call, user_find(call->core, manage_param(call, "user")), &kind);
}

/* ---- one permission ---- */

static void get_permission(struct manage_call *call)
{
    struct user *user;
    struct vhost *vhost;
    const struct permission *p = find(call, &user, &vhost) ? permission_find(user, vhost) : NULL;

    if (p)
        manage_answer(call, 200, manage_columns(call, access_json_permission(p)));
    else
        manage_not_found(call);
}

static void put_permission(struct manage_call *call)
{
    struct user *user;
    struct vhost *vhost;
    bool created = false;

    if (!find(call, &user, &vhost)) {
        fail_not_both(call);
        return;
    }
    enum err err = access_put_permission(user, vhost, call->body, &created);
    end_change(call, err, created ? 201 : 204);
}

static void delete_permission(struct manage_call *call)
{
    struct user *user;
    struct vhost *vhost;
    struct permission *p = find(call, &user, &vhost) ? permission_find(user, vhost) : NULL;

    if (p)
        end_change(call, permission_delete(p), 204);
    else
        manage_not_found(call);
}

/* ---- the topic permissions of a user in a vhost ---- */

static bool has_topics(const struct user *user, const struct vhost *vhost)
{
    const struct topic_permission *p;
    size_t position = 0;

    while ((p = map_next(&user->topic_permissions, &position)))
        if (p->vhost == vhost)
            return true;
    return false;
}

/* RabbitMQ tells all of them, also where the path names an exchange. */
static void get_topics(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.collect = collect_topics_of_both,
                                                 .row = topic_permission_row};
    struct user *user;
    struct vhost *vhost;

    list_if(call, find(call, &user, &vhost) && has_topics(user, vhost), &kind);
}

static void put_topic(struct manage_call *call)
{
    struct user *user;
    struct vhost *vhost;
    bool created = false;

    if (!find(call, &user, &vhost)) {
        fail_not_both(call);
        return;
    }
    bool had = has_topics(user, vhost);
    enum err err = access_put_topic_permission(user, vhost, call->body, &created);
    end_change(call, err, had ? 204 : 201); /* the list is what is made (RabbitMQ) */
}

static enum err drop_topics(struct user *user, const struct vhost *vhost)
{
    size_t position = 0;
    struct topic_permission *p;

    while ((p = map_next(&user->topic_permissions, &position))) {
        if (p->vhost != vhost)
            continue;
        enum err err = topic_permission_delete(p);
        if (err)
            return err;
        position = 0; /* the map has changed */
    }
    return OK;
}

static void delete_topics(struct manage_call *call)
{
    struct user *user;
    struct vhost *vhost;

    if (find(call, &user, &vhost) && has_topics(user, vhost))
        end_change(call, drop_topics(user, vhost), 204);
    else
        manage_not_found(call);
}

static void delete_topic(struct manage_call *call)
{
    struct user *user;
    struct vhost *vhost;

    if (!find(call, &user, &vhost) || !has_topics(user, vhost)) {
        manage_not_found(call);
        return;
    }
    struct topic_permission *p = topic_permission_find(user, vhost, manage_param(call, "exchange"));
    end_change(call, p ? topic_permission_delete(p) : OK, 204);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "permissions", MANAGE_ADMINISTRATOR, list_all},
    {MANAGE_GET, "permissions/:in/:user", MANAGE_ADMINISTRATOR, get_permission},
    {MANAGE_PUT, "permissions/:in/:user", MANAGE_ADMINISTRATOR, put_permission},
    {MANAGE_DELETE, "permissions/:in/:user", MANAGE_ADMINISTRATOR, delete_permission},
    {MANAGE_GET, "vhosts/:in/permissions", MANAGE_ADMINISTRATOR, list_of_vhost},
    {MANAGE_GET, "users/:user/permissions", MANAGE_ADMINISTRATOR, list_of_user},
    {MANAGE_GET, "topic-permissions", MANAGE_ADMINISTRATOR, list_all_topics},
    {MANAGE_GET, "topic-permissions/:in/:user", MANAGE_ADMINISTRATOR, get_topics},
    {MANAGE_PUT, "topic-permissions/:in/:user", MANAGE_ADMINISTRATOR, put_topic},
    {MANAGE_DELETE, "topic-permissions/:in/:user", MANAGE_ADMINISTRATOR, delete_topics},
    {MANAGE_GET, "topic-permissions/:in/:user/:exchange", MANAGE_ADMINISTRATOR, get_topics},
    {MANAGE_PUT, "topic-permissions/:in/:user/:exchange", MANAGE_ADMINISTRATOR, put_topic},
    {MANAGE_DELETE, "topic-permissions/:in/:user/:exchange", MANAGE_ADMINISTRATOR, delete_topic},
    {MANAGE_GET, "vhosts/:in/topic-permissions", MANAGE_ADMINISTRATOR, list_topics_of_vhost},
    {MANAGE_GET, "users/:user/topic-permissions", MANAGE_ADMINISTRATOR, list_topics_of_user},
};

const struct manage_routes manage_permission_routes = {routes, sizeof routes / sizeof routes[0]};
