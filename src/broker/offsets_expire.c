/* Offsets that nobody needs any more: past the retention time, or of topics that are gone. */
#include "base/check.h"
#include "base/say.h"
#include "broker/group_internal.h"

enum { SLICE_GROUPS = 256 };

/* ---- topics that go ---- */

static void note_topic_removal(struct list *changes, struct group *group,
                               const struct offset_topic *topic)
{
    for (size_t i = 0; i < topic->entries.count; i++)
        offsets_note_removal(changes, group, topic->entries.items[i]);
}

static void append_removals(struct group *group, struct list *changes)
{
    if (offsets_append(group, changes))
        say_warn("group", "offsets are not removed: %s group=%.*s", err_text(),
                 BYTES_FORMAT(group->id));
}

/* Those of a group that is still being read go when that has ended. No topic of a group is freed here:
 * an entry that is to be removed stays until that is committed, or stays. */
void offsets_topic_deleted(struct core *core, struct bytes name)
{
    struct groups *groups = core_groups(core);
    if (!groups->topic)
        return;
    if (!groups_are_loaded(groups))
        vec_push(&groups->load_deleted, group_copy(name));
    const struct offset_name *shared = map_get(&groups->offset_names, name);
    if (!shared)
        return;
    list_each (node, &shared->by_group) {
        const struct offset_topic *topic = container_of(node, struct offset_topic, node);
        struct group *group = topic->group;
        struct list changes;
        if (group->is_deleting || !groups->shards[group->shard].is_loaded)
            continue;
        list_init(&changes);
        note_topic_removal(&changes, group, topic);
        append_removals(group, &changes);
    }
}

void offsets_drop_orphans(struct group *group)
{
    struct groups *groups = group->groups;
    struct list changes;
    size_t position = 0;
    const struct offset_topic *topic;
    list_init(&changes);
    while ((topic = map_next(&group->topics, &position)))
        if (!topic_find(groups->core, topic->name) || group_load_has_deleted(groups, topic->name))
            note_topic_removal(&changes, group, topic);
    append_removals(group, &changes);
}

/* ---- retention ---- */

/* From when on the retention time counts; -1: these offsets do not expire now. */
static int64_t expiry_base_ms(const struct group *group, const struct offset_value *value)
{
    if (!group->protocol_type.data)
        return value->commit_ms;
    if (group->state == GROUP_EMPTY)
        return group->state_wall_ms >= 0 ? group->state_wall_ms : value->commit_ms;
    return group->state == GROUP_STABLE && group_is_consumer(group) ? value->commit_ms : -1;
}

static bool is_expired(const struct group *group, const struct offset_value *value)
{
    const struct groups *groups = group->groups;
    int64_t now_ms = groups->core->wall_ms, base_ms = expiry_base_ms(group, value);
    if (base_ms < 0)
        return false;
    return value->expire_ms >= 0 ? now_ms >= value->expire_ms
                                 : now_ms - base_ms >= groups->config.retention_ms;
}

/* True: nothing is left of the topic. */
static bool expire_topic(struct group *group, const struct offset_topic *topic,
                         struct list *changes)
{
    size_t expired = 0;
    for (size_t i = 0; i < topic->entries.count; i++) {
        struct offset_entry *entry = topic->entries.items[i];
        if (entry->change_count > 0 || !entry->has_value || !is_expired(group, &entry->value))
            continue;
        if (group->state != GROUP_EMPTY && group_is_subscribed(group, topic->name))
            return false;
        offsets_note_removal(changes, group, entry);
        expired++;
    }
    return expired == topic->entries.count;
}

static void expire(struct group *group)
{
    struct list changes;
    size_t position = 0;
    bool is_unused =
        group->state == GROUP_EMPTY && group->pending_count == 0 && group->change_count == 0;
    const struct offset_topic *topic;
    if (group->is_deleting)
        return;
    list_init(&changes);
    while ((topic = map_next(&group->topics, &position)))
        is_unused &= expire_topic(group, topic, &changes);
    if (is_unused) {
        offsets_note_removal(&changes, group, NULL);
        say_info("group", "group is removed: its offsets have expired group=%.*s",
                 BYTES_FORMAT(group->id));
    }
    enum err err = offsets_append(group, &changes);
    group->is_deleting = is_unused && !err;
}

void offsets_sweep_run(struct deferred *work)
{
    struct groups *groups = container_of(work, struct groups, sweep);
    for (int i = 0; i < SLICE_GROUPS && groups->sweep_at != &groups->all; i++) {
        struct group *group = container_of(groups->sweep_at, struct group, node);
        groups->sweep_at = groups->sweep_at->next;
        expire(group);
    }
    if (groups->sweep_at != &groups->all)
        core_defer(groups->core, work);
    else
        groups->sweep_at = NULL;
}

void offsets_sweep_fired(struct timer *timer, int64_t now_ns)
{
    struct groups *groups = container_of(timer, struct groups, sweep_timer);
    if (!groups->sweep_at && !store_is_frozen(groups->core->store)) {
        groups->sweep_at = groups->all.next;
        core_defer(groups->core, &groups->sweep);
    }
    timer_start(&groups->core->timers, timer, now_ns + groups->config.retention_check_ms * 1000000);
}
