#include "broker/user.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/access_internal.h"
#include "broker/core_internal.h"

enum { CLOSE_SLICE = 64 }; /* sessions of a deleted user closed in one turn */

struct user *user_find(struct core *core, struct bytes name)
{
    return map_get(&core->internal->users, name);
}

void user_each(struct core *core, void (*each)(void *ctx, struct user *), void *ctx)
{
    size_t position = 0;
    struct user *user;
    while ((user = map_next(&core->internal->users, &position)))
        each(ctx, user);
}

/* ---- life ---- */

static void close_some(struct deferred *);
static void deletion_is_durable(struct wait *);

static struct user *user_new(struct core *core, struct bytes name)
{
    check(!user_find(core, name));
    struct user *user = xzalloc(sizeof *user);
    user->core = core;
    user->name = bytes_dup(name);
    user->max_connections = user->max_channels = LIMIT_NONE;
    user->references = 1;
    user->deletion.ready = deletion_is_durable;
    user->closing.run = close_some;
    list_init(&user->sessions);
    map_put(&core->internal->users, user->name, user);
    return user;
}

static void user_free(struct user *user)
{
    core_wait_cancel(&user->deletion);
    core_defer_cancel(&user->closing);
    map_reset(&user->permissions);
    map_reset(&user->topic_permissions);
    tag_list_reset(&user->tags);
    bytes_free(user->name);
    free(user);
}

struct user *user_ref(struct user *user)
{
    user->references++;
    return user;
}

void user_unref(struct user *user)
{
    if (!user)
        return;
    check(user->references > 0);
    if (--user->references == 0)
        user_free(user);
}

void users_free(struct core *core)
{
    size_t position = 0;
    struct user *user;
    while ((user = map_next(&core->internal->users, &position)))
        user_unref(user);
    map_reset(&core->internal->users);
}

/* ---- what it is ---- */

static const struct {
    const char *name;
    enum user_tag tag;
} known_tags[] = {
    {"administrator", USER_ADMINISTRATOR}, {"monitoring", USER_MONITORING},
    {"policymaker", USER_POLICYMAKER},     {"management", USER_MANAGEMENT},
    {"impersonator", USER_IMPERSONATOR},
};

/* Takes over the tags. */
static void replace_tags(struct user *user, struct tag_list *tags)
{
    tag_list_reset(&user->tags);
    user->tags = *tags;
    user->known_tags = 0;
    for (size_t i = 0; i < sizeof known_tags / sizeof *known_tags; i++)
        if (tag_list_has(tags, known_tags[i].name))
            user->known_tags |= known_tags[i].tag;
}

bool user_may(const struct user *user, enum user_tag tag)
{
    uint32_t enough = tag;
    if (tag != USER_IMPERSONATOR)
        enough |= USER_ADMINISTRATOR;
    if (tag == USER_MANAGEMENT)
        enough |= USER_MONITORING | USER_POLICYMAKER;
    return !user->deleted && (user->known_tags & enough);
}

static enum err check_name(struct bytes name)
{
    if (name.size == 0 || name.size > USER_NAME_MAX_BYTES)
        return err_set(E_INVALID, "a user name of %zu bytes", name.size);
    if (!bytes_are_utf8(name))
        return err_set(E_INVALID, "a user name that is not UTF-8");
    return OK;
}

enum err user_put(struct core *core, struct bytes name, const struct user_spec *spec,
                  struct user **out, bool *out_created)
{
    struct tag_list tags;
    struct user *user = user_find(core, name);
    enum err err = check_name(name);
    if (!err)
        err = core_catalog_can_change(core);
    if (!err)
        err = tag_list_init(&tags, spec->tags, spec->tag_count);
    if (err)
        return err;
    *out_created = !user;
    if (!user)
        user = user_new(core, name);
    replace_tags(user, &tags);
    user->password = spec->password;
    catalog_put(core, &user->entry, CATALOG_USER);
    *out = user;
    return OK;
}

enum err user_set_limits(struct user *user, int64_t max_connections, int64_t max_channels)
{
    enum err err = core_catalog_can_change(user->core);
    if (err)
        return err;
    user->max_connections = max_connections;
    user->max_channels = max_channels;
    catalog_put(user->core, &user->entry, CATALOG_USER);
    return OK;
}

enum err user_restore(struct core *core, struct bytes name, const struct user_saved *saved,
                      struct user **out)
{
    struct tag_list tags;
    enum err err = check_name(name);
    if (!err)
        err = saved->tags ? tag_list_init(&tags, saved->tags, saved->tag_count)
                          : tag_list_parse(&tags, saved->tag_text);
    if (err)
        return err;
    struct user *user = user_new(core, name);
    replace_tags(user, &tags);
    user->max_connections = saved->max_connections;
    user->max_channels = saved->max_channels;
    *out = user;
    return password_hash_take(saved->hashing, saved->password_hash, &user->password);
}

/* ---- deletion ---- */

static void close_some(struct deferred *deferred)
{
    struct user *user = container_of(deferred, struct user, closing);
    char reason[USER_NAME_MAX_BYTES + 32];
    snprintf(reason, sizeof reason, "user '%.*s' is deleted", BYTES_FORMAT(user->name));
    user_ref(user); /* its last session may go with this */
    for (int i = 0; i < CLOSE_SLICE && !list_is_empty(&user->sessions); i++)
        session_evict(container_of(user->sessions.next, struct session, of_user), reason);
    if (!list_is_empty(&user->sessions))
        core_defer(user->core, &user->closing);
    user_unref(user);
}

/* Nobody is told of a deletion that a crash could take back. */
static void deletion_is_durable(struct wait *wait)
{
    struct user *user = container_of(wait, struct user, deletion);
    core_defer(user->core, &user->closing);
}

enum err user_delete(struct user *user)
{
    struct core *core = user->core;
    enum err err = core_catalog_can_change(core);
    if (err)
        return err;
    say_info("access", "user deleted: '%.*s'", BYTES_FORMAT(user->name));
    permissions_drop_user(user);
    catalog_remove(core, &user->entry);
    map_remove(&core->internal->users, user->name);
    user->deleted = true;
    if (!list_is_empty(&user->sessions))
        core_wait(core, &user->deletion, core_catalog_ticket(core), STAGE_COMMITTED);
    user_unref(user);
    return OK;
}

/* ---- logging in ---- */

/* Whoever cannot be looked up in the list is in it. */
static bool is_loopback_only(const struct user *user)
{
    const char *configured = user->core->config.loopback_users;
    struct bytes list = bytes_from_string(configured ? configured : "guest");
    struct tag_list names;
    if (bytes_equal_string(list, "none"))
        return false;
    if (tag_list_parse(&names, list))
        return true;
    bool found = tag_list_holds(&names, user->name);
    tag_list_reset(&names);
    return found;
}

/* An unknown name costs the same hash, so that the time tells nothing about which names exist. */
enum err user_authenticate(struct core *core, struct bytes name, struct bytes password,
                           bool peer_is_loopback, struct user **out)
{
    static const struct password_hash nobodys;
    struct user *user = user_find(core, name);
    bool matches = password_matches(user ? &user->password : &nobodys, password);
    if (password.size == 0)
        return err_set(E_REFUSED, "user '%.*s' attempted to log in with a blank password",
                       BYTES_FORMAT(name));
    if (!user || !matches)
        return err_set(E_REFUSED, "user '%.*s' - invalid credentials", BYTES_FORMAT(name));
    if (!peer_is_loopback && is_loopback_only(user))
        return err_set(E_REFUSED, "user '%.*s' can only connect via localhost", BYTES_FORMAT(name));
    *out = user;
    return OK;
}

enum err user_can_connect(const struct user *user)
{
    if (user->max_connections < 0 || user->session_count < user->max_connections)
        return OK;
    return err_set(E_REFUSED,
                   "connection refused for user '%.*s': user connection limit (%lld) is reached",
                   BYTES_FORMAT(user->name), (long long)user->max_connections);
}

enum err user_can_open_channel(const struct user *user)
{
    if (user->max_channels < 0 || user->channel_count < user->max_channels)
        return OK;
    return err_set(E_REFUSED,
                   "number of channels opened for user '%.*s' has reached the maximum allowed user "
                   "limit of (%lld)",
                   BYTES_FORMAT(user->name), (long long)user->max_channels);
}
