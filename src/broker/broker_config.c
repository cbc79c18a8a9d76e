#include "broker/broker_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/broker_config_internal.h"
#include "broker/core_internal.h"
#include "broker/topic_config.h"
#include "broker/topic_internal.h"

static void follow(struct deferred *work);

struct broker_configs *broker_configs_new(struct core *core)
{
    struct broker_configs *b = xzalloc(sizeof *b);
    struct broker_config_scope *own = &b->scopes[BROKER_SCOPE_NODE];
    snprintf(own->node, sizeof own->node, "%d", core->config.node_id);
    b->core = core;
    b->follow.run = follow;
    return b;
}

void broker_configs_free(struct broker_configs *b)
{
    if (!b)
        return;
    core_defer_cancel(&b->follow);
    topic_walk_end(&b->following);
    for (int i = 0; i < BROKER_SCOPES; i++)
        config_set_reset(&b->scopes[i].set);
    free(b);
}

static struct broker_config_scope *scope_of(const struct core *core, enum broker_scope scope)
{
    return &core->internal->broker_configs->scopes[scope];
}

const struct config_set *broker_configs(const struct core *core, enum broker_scope scope)
{
    return &scope_of(core, scope)->set;
}

const struct broker_setting *broker_setting_find(const struct core *core, const char *name)
{
    for (size_t i = 0; i < core->config.setting_count; i++)
        if (strcmp(core->config.settings[i].name, name) == 0)
            return &core->config.settings[i];
    return NULL;
}

enum err broker_config_check(const struct core *core, const char *name, const char *value)
{
    const struct topic_config_row *row = topic_config_of_broker(name);
    if (row)
        return topic_config_check_value(row, name, value);
    if (broker_setting_find(core, name))
        return err_set(E_REFUSED,
                       "Cannot update these configs dynamically: %s is set in the "
                       "configuration and read at start",
                       name);
    return err_set(E_INVALID, "Unknown broker config name: %s", name);
}

static enum err check_all(const struct core *core, const struct topic_config *configs, size_t count)
{
    enum err err = OK;
    for (size_t i = 0; i < count && !err; i++)
        err = broker_config_check(core, configs[i].name, configs[i].value);
    return err;
}

/* ---- changing ---- */

enum { FOLLOW_SLICE_PARTITIONS = 1024 }; /* in one turn */

/* A slice of the topics takes the new defaults. */
static void follow(struct deferred *work)
{
    struct broker_configs *b = container_of(work, struct broker_configs, follow);
    int32_t left = FOLLOW_SLICE_PARTITIONS;
    struct topic *topic;
    while (left > 0 && (topic = topic_walk_next(&b->following))) {
        if (topic->deleted)
            continue;
        topic_config_apply(b->core, topic);
        left -= topic->partition_count;
    }
    if (topic_walk_is_over(&b->following))
        topic_walk_end(&b->following);
    else
        core_defer(b->core, work);
}

static void change_topics(struct broker_configs *b)
{
    topic_walk_end(&b->following);
    topic_walk_begin(&b->following, b->core);
    follow(&b->follow);
}

bool broker_config_is_in_force(const struct core *core)
{
    return !core->internal->broker_configs->following.core;
}

enum err broker_config_alter(struct core *core, enum broker_scope which, struct config_set *configs,
                             bool validate_only)
{
    struct broker_config_scope *scope = scope_of(core, which);
    enum err err = check_all(core, configs->items, configs->count);
    if (!err)
        err = core_catalog_can_change(core);
    if (err || validate_only)
        return err;
    config_set_move(&scope->set, configs);
    catalog_put(core, &scope->entry, CATALOG_BROKER_CONFIG);
    broker_configs_resolve(core);
    change_topics(core->internal->broker_configs);
    return OK;
}

enum err broker_configs_restore(struct core *core, struct bytes node,
                                const struct topic_config *configs, size_t count,
                                struct catalog_entry **out)
{
    struct broker_config_scope *scope =
        scope_of(core, node.size > 0 ? BROKER_SCOPE_NODE : BROKER_SCOPE_CLUSTER);
    if (!bytes_equal_string(node, scope->node))
        return err_set(E_MALFORMED, "configs of node %.*s", BYTES_FORMAT(node));
    enum err err = check_all(core, configs, count);
    if (err)
        return err_wrap(err, "broker config");
    config_set_put_all(&scope->set, configs, count);
    *out = &scope->entry;
    return OK;
}
