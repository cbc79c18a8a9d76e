#include "broker/vhost.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/access_internal.h"
#include "broker/core_internal.h"
#include "broker/counters.h"
#include "broker/exchange_internal.h"
#include "broker/mutant.h"
#include "broker/parameter.h"
#include "broker/policy_internal.h"
#include "broker/queue_internal.h"

/* What one turn deletes of a vhost: well below a millisecond. */
enum {
    SESSION_SLICE = 16,
    QUEUE_SLICE = 64,
    EXCHANGE_SLICE = 64,
    UNBIND_SLICE = 256, /* of the bindings of one of them */
    PERMISSION_SLICE = 128,
};

struct vhost *vhost_lookup(struct core *core, struct bytes name)
{
    return map_get(&core->internal->vhosts, name);
}

struct vhost *vhost_find(struct core *core, struct bytes name)
{
    struct vhost *vhost = vhost_lookup(core, name);
    return vhost && !vhost->doomed ? vhost : NULL;
}

void vhost_each(struct core *core, void (*each)(void *ctx, struct vhost *), void *ctx)
{
    size_t position = 0;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &position)))
        if (!vhost->doomed)
            each(ctx, vhost);
}

/* ---- life ---- */

static void delete_slice(struct deferred *);
static void doom_is_durable(struct wait *);
static void doom_is_frozen(struct wait *);

static struct vhost *vhost_new(struct core *core, struct bytes name)
{
    check(!vhost_lookup(core, name));
    struct vhost *vhost = xzalloc(sizeof *vhost);
    vhost->name = bytes_dup(name);
    vhost->core = core;
    vhost->max_connections = vhost->max_queues = LIMIT_NONE;
    vhost->references = 1;
    vhost->doom.ready = doom_is_durable;
    vhost->doom.frozen = doom_is_frozen;
    vhost->deletion.run = delete_slice;
    list_init(&vhost->sessions);
    list_init(&vhost->permissions);
    list_init(&vhost->topic_permissions);
    list_init(&vhost->gone);
    map_put(&core->internal->vhosts, vhost->name, vhost);
    exchanges_predeclare(vhost);
    return vhost;
}

static void vhost_free(struct vhost *vhost)
{
    core_wait_cancel(&vhost->doom);
    core_defer_cancel(&vhost->deletion);
    exchanges_free(vhost);
    queues_free(vhost);
    policies_free(vhost);
    counters_free(vhost->counters);
    bytes_free(vhost->name);
    bytes_free(vhost->description);
    bytes_free(vhost->default_queue_type);
    tag_list_reset(&vhost->tags);
    free(vhost);
}

struct vhost *vhost_ref(struct vhost *vhost)
{
    vhost->references++;
    return vhost;
}

void vhost_unref(struct vhost *vhost)
{
    if (!vhost)
        return;
    check(vhost->references > 0);
    if (--vhost->references == 0)
        vhost_free(vhost);
}

void vhosts_free(struct core *core)
{
    size_t position = 0;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &position)))
        vhost_unref(vhost);
    map_reset(&core->internal->vhosts);
    route_cache_free(core->internal->routes);
}

/* ---- what it is ---- */

static enum err check_name(struct bytes name)
{
    if (name.size == 0 || name.size > VHOST_NAME_MAX_BYTES)
        return err_set(E_INVALID, "a vhost name of %zu bytes", name.size);
    if (!bytes_are_utf8(name))
        return err_set(E_INVALID, "a vhost name that is not UTF-8");
    return OK;
}

static enum err check_spec(const struct vhost_spec *spec)
{
    struct bytes type = spec->default_queue_type;
    if (type.size && !bytes_equal_string(type, "classic") && !bytes_equal_string(type, "quorum") &&
        !bytes_equal_string(type, "stream"))
        return err_set(E_INVALID, "Unsupported default queue type: '%.*s'", BYTES_FORMAT(type));
    if (spec->description.size > UINT16_MAX)
        return err_set(E_INVALID, "a description of %zu bytes", spec->description.size);
    return OK;
}

static void replace(struct bytes *owned, struct bytes by)
{
    struct bytes copy = bytes_dup(by); /* which may be what is owned */
    bytes_free(*owned);
    *owned = copy;
}

/* Takes over the tags. */
static void take_spec(struct vhost *vhost, const struct vhost_spec *spec, struct tag_list *tags)
{
    replace(&vhost->description, spec->description);
    replace(&vhost->default_queue_type, spec->default_queue_type);
    tag_list_reset(&vhost->tags);
    vhost->tags = *tags;
    vhost->is_protected = spec->is_protected;
}

enum err vhost_create(struct core *core, struct bytes name, const struct vhost_spec *spec,
                      struct vhost **out)
{
    struct tag_list tags;
    struct vhost *there = vhost_lookup(core, name);
    if (there && there->doomed)
        return err_set(E_LOCKED, "vhost '%.*s' is being deleted", BYTES_FORMAT(name));
    if (there)
        return err_set(E_EXISTS, "vhost '%.*s' already exists", BYTES_FORMAT(name));
    enum err err = check_name(name);
    if (!err)
        err = check_spec(spec);
    if (!err)
        err = core_catalog_can_change(core);
    if (!err)
        err = tag_list_init(&tags, spec->tags, spec->tag_count);
    if (err)
        return err;
    struct vhost *vhost = vhost_new(core, name);
    take_spec(vhost, spec, &tags);
    catalog_put(core, &vhost->entry, CATALOG_VHOST);
    *out = vhost;
    return OK;
}

enum err vhost_update(struct vhost *vhost, const struct vhost_spec *spec)
{
    struct tag_list tags;
    enum err err = check_spec(spec);
    if (!err)
        err = core_catalog_can_change(vhost->core);
    if (!err)
        err = tag_list_init(&tags, spec->tags, spec->tag_count);
    if (err)
        return err;
    take_spec(vhost, spec, &tags);
    catalog_put(vhost->core, &vhost->entry, CATALOG_VHOST);
    return OK;
}

enum err vhost_set_limits(struct vhost *vhost, int64_t max_connections, int64_t max_queues)
{
    enum err err = core_catalog_can_change(vhost->core);
    if (err)
        return err;
    vhost->max_connections = max_connections;
    vhost->max_queues = max_queues;
    catalog_put(vhost->core, &vhost->entry, CATALOG_VHOST);
    return OK;
}

enum err vhost_restore(struct core *core, struct bytes name, const struct vhost_saved *saved,
                       struct vhost **out)
{
    struct tag_list tags;
    enum err err = check_name(name);
    if (!err)
        err = check_spec(&saved->spec);
    if (!err)
        err = tag_list_init(&tags, saved->spec.tags, saved->spec.tag_count);
    if (err)
        return err;
    struct vhost *vhost = vhost_new(core, name);
    take_spec(vhost, &saved->spec, &tags);
    vhost->max_connections = saved->max_connections;
    vhost->max_queues = saved->max_queues;
    vhost->doomed = saved->doomed && BROKER_MUTANT != MUTANT_FORGET_DOOM;
    if (vhost->doomed)
        core_defer(core, &vhost->deletion);
    *out = vhost;
    return OK;
}

/* ---- deletion ---- */

static bool sessions_are_gone(struct vhost *vhost)
{
    char reason[VHOST_NAME_MAX_BYTES + 32];
    snprintf(reason, sizeof reason, "vhost '%.*s' is deleted", BYTES_FORMAT(vhost->name));
    for (int i = 0; i < SESSION_SLICE && !list_is_empty(&vhost->sessions); i++)
        session_evict(container_of(vhost->sessions.next, struct session, of_vhost), reason);
    return list_is_empty(&vhost->sessions);
}

/* The next of a map that loses some while it is walked: what the walk leaves out it meets when it
 * begins anew. */
static void *next_of(struct vhost *vhost, const struct map *map)
{
    void *next = map_next(map, &vhost->deletion_position);
    if (next)
        return next;
    vhost->deletion_position = 0;
    return map_next(map, &vhost->deletion_position);
}

static bool queues_are_gone(struct vhost *vhost)
{
    struct queue *queue;
    for (int i = 0; i < QUEUE_SLICE && (queue = next_of(vhost, &vhost->queues)); i++) {
        if (exchange_unbind_some_of(queue, UNBIND_SLICE))
            return false;
        queue_delete(queue);
    }
    return vhost->queues.count == 0;
}

static bool exchanges_are_gone(struct vhost *vhost)
{
    struct exchange *x;
    for (int i = 0; i < EXCHANGE_SLICE && (x = next_of(vhost, &vhost->exchanges)); i++) {
        if (exchange_unbind_some(x, UNBIND_SLICE))
            return false;
        exchange_delete(x);
    }
    return vhost->exchanges.count == 0;
}

static void tell_when_durable(struct core *core, struct wait *wait)
{
    core_wait(core, wait, core_catalog_ticket(core), STAGE_COMMITTED);
}

static void tell_waiting(struct vhost *vhost)
{
    struct list *node;
    while ((node = list_pop_front(&vhost->gone)))
        tell_when_durable(vhost->core, container_of(node, struct wait, node));
}

/* Tell those who wait, and end. */
static void finish(struct vhost *vhost)
{
    struct core *core = vhost->core;
    say_info("access", "vhost is deleted: '%.*s'", BYTES_FORMAT(vhost->name));
    policies_drop(vhost);
    parameters_drop(vhost);
    catalog_remove(core, &vhost->entry);
    map_remove(&core->internal->vhosts, vhost->name);
    tell_waiting(vhost);
    vhost_unref(vhost);
}

/* One turn's part. Bindings go with the queues and exchanges at their ends. */
static void delete_slice(struct deferred *deferred)
{
    struct vhost *vhost = container_of(deferred, struct vhost, deletion);
    if (sessions_are_gone(vhost) && queues_are_gone(vhost) && exchanges_are_gone(vhost) &&
        !permissions_drop_some(vhost, PERMISSION_SLICE))
        finish(vhost);
    else
        core_defer(vhost->core, &vhost->deletion);
}

/* Nobody is told of a deletion that a crash could take back: sessions are closed from now on. */
static void doom_is_durable(struct wait *wait)
{
    struct vhost *vhost = container_of(wait, struct vhost, doom);
    core_defer(vhost->core, &vhost->deletion);
}

/* It stays as it is until the restart; who waits is told what has failed. */
static void doom_is_frozen(struct wait *wait)
{
    tell_waiting(container_of(wait, struct vhost, doom));
}

enum err vhost_protect(struct vhost *vhost, bool is_protected)
{
    enum err err = core_catalog_can_change(vhost->core);
    if (err)
        return err;
    vhost->is_protected = is_protected;
    catalog_put(vhost->core, &vhost->entry, CATALOG_VHOST);
    return OK;
}

enum err vhost_delete(struct vhost *vhost)
{
    struct core *core = vhost->core;
    if (vhost->is_protected)
        return err_set(E_PRECONDITION,
                       "Refusing to delete virtual host '%.*s' because it is protected from "
                       "deletion",
                       BYTES_FORMAT(vhost->name));
    enum err err = core_catalog_can_change(core);
    if (err)
        return err;
    check(!vhost->doomed);
    say_info("access", "vhost is being deleted: '%.*s' queues=%zu sessions=%u",
             BYTES_FORMAT(vhost->name), vhost->queues.count, vhost->session_count);
    vhost->doomed = true;
    catalog_put(core, &vhost->entry, CATALOG_VHOST);
    core_wait(core, &vhost->doom, core_catalog_ticket(core), STAGE_COMMITTED);
    return OK;
}

bool vhost_is_doomed(struct core *core, struct bytes name)
{
    const struct vhost *vhost = vhost_lookup(core, name);
    return vhost && vhost->doomed;
}

void vhost_wait_gone(struct core *core, struct bytes name, struct wait *wait)
{
    check(vhost_is_doomed(core, name));
    if (store_is_frozen(core->store))
        tell_when_durable(core, wait);
    else
        list_push_back(&vhost_lookup(core, name)->gone, &wait->node);
}

/* ---- limits ---- */

enum err vhost_can_connect(const struct vhost *vhost, struct bytes user_name)
{
    if (vhost->max_connections < 0 || vhost->session_count < vhost->max_connections)
        return OK;
    return err_set(E_REFUSED,
                   "access to vhost '%.*s' refused for user '%.*s': connection limit (%lld) is "
                   "reached",
                   BYTES_FORMAT(vhost->name), BYTES_FORMAT(user_name),
                   (long long)vhost->max_connections);
}

enum err vhost_can_declare_queue(const struct vhost *vhost, struct bytes queue_name)
{
    if (vhost->max_queues < 0 || (int64_t)vhost->queues.count < vhost->max_queues)
        return OK;
    return err_set(E_PRECONDITION,
                   "cannot declare queue '%.*s': queue limit in vhost '%.*s' (%lld) is reached",
                   BYTES_FORMAT(queue_name), BYTES_FORMAT(vhost->name),
                   (long long)vhost->max_queues);
}
