/* Committed offsets: committing, taking effect, reading, removing. */
#include "broker/offsets.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/group_internal.h"

/* ---- entries ---- */

/* Where the partition is among the topic's entries, or belongs. */
static size_t place_of(const struct offset_topic *topic, int32_t partition)
{
    size_t low = 0, high = topic->entries.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (topic->entries.items[middle]->partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct offset_entry *entry_at(const struct offset_topic *topic, size_t place,
                                     int32_t partition)
{
    return place < topic->entries.count && topic->entries.items[place]->partition == partition
               ? topic->entries.items[place]
               : NULL;
}

struct offset_entry *offsets_entry(const struct group *group, struct bytes name, int32_t partition)
{
    const struct offset_topic *topic = map_get(&group->topics, name);
    return topic ? entry_at(topic, place_of(topic, partition), partition) : NULL;
}

static struct offset_name *shared_name(struct groups *groups, struct bytes name)
{
    struct offset_name *shared = map_get(&groups->offset_names, name);
    if (shared)
        return shared;
    shared = xzalloc(sizeof *shared);
    shared->name = group_copy(name);
    list_init(&shared->by_group);
    map_put(&groups->offset_names, shared->name, shared);
    return shared;
}

static struct offset_topic *make_topic(struct group *group, struct bytes name)
{
    struct offset_topic *topic = xzalloc(sizeof *topic);
    topic->group = group;
    topic->shared = shared_name(group->groups, name);
    topic->name = topic->shared->name;
    list_push_back(&topic->shared->by_group, &topic->node);
    map_put(&group->topics, topic->name, topic);
    return topic;
}

static void free_topic(struct offset_topic *topic)
{
    struct group *group = topic->group;
    struct offset_name *shared = topic->shared;
    map_remove(&group->topics, topic->name);
    list_remove(&topic->node);
    vec_reset(&topic->entries);
    free(topic);
    if (!list_is_empty(&shared->by_group))
        return;
    map_remove(&group->groups->offset_names, shared->name);
    group_drop(&shared->name);
    free(shared);
}

struct offset_entry *offsets_make_entry(struct group *group, struct bytes name, int32_t partition)
{
    struct offset_topic *topic = map_get(&group->topics, name);
    if (!topic)
        topic = make_topic(group, name);
    size_t place = place_of(topic, partition);
    struct offset_entry *entry = entry_at(topic, place, partition);
    if (entry)
        return entry;
    entry = xzalloc(sizeof *entry);
    entry->topic = topic;
    entry->partition = partition;
    vec_insert(&topic->entries, place, entry);
    group->groups->bytes += OFFSET_FIXED_BYTES;
    return entry;
}

static void clear_value(struct group *group, struct offset_entry *entry)
{
    group->groups->bytes -= entry->value.metadata.size;
    group_drop(&entry->value.metadata);
    entry->has_value = false;
}

/* An entry stays while something is committed or on its way. */
static void free_entry_if_unused(struct group *group, struct offset_entry *entry)
{
    struct offset_topic *topic = entry->topic;
    if (entry->has_value || entry->change_count > 0)
        return;
    size_t place = place_of(topic, entry->partition);
    check(entry_at(topic, place, entry->partition) == entry);
    vec_remove(&topic->entries, place);
    group->groups->bytes -= OFFSET_FIXED_BYTES;
    free(entry);
    if (topic->entries.count == 0)
        free_topic(topic);
}

void offsets_set(struct group *group, struct offset_entry *entry, const struct offset_value *value)
{
    clear_value(group, entry);
    entry->value = *value;
    entry->value.metadata = value->metadata.size > 0 ? group_copy(value->metadata) : BYTES_NULL;
    entry->has_value = true;
    group->groups->bytes += entry->value.metadata.size;
}

void offsets_unset(struct group *group, struct offset_entry *entry)
{
    clear_value(group, entry);
    free_entry_if_unused(group, entry);
}

/* Any entry; NULL: there is none. */
static struct offset_entry *first_entry(struct group *group)
{
    size_t position = 0;
    struct offset_topic *topic = map_next(&group->topics, &position);
    return topic ? vec_last(&topic->entries) : NULL;
}

void offsets_free_all(struct group *group)
{
    struct offset_entry *entry;
    while ((entry = first_entry(group)))
        offsets_unset(group, entry);
    map_reset(&group->topics);
}

/* ---- changes: from the append to the commit ---- */

static struct offset_change *note_change(struct list *changes, struct group *group,
                                         struct offset_entry *entry)
{
    struct offset_change *change = xzalloc(sizeof *change);
    change->group = group;
    change->entry = entry;
    group->change_count++;
    if (entry)
        entry->change_count++;
    list_push_back(changes, &change->node);
    return change;
}

struct offset_change *offsets_note_removal(struct list *changes, struct group *group,
                                           struct offset_entry *entry)
{
    struct offset_change *change = note_change(changes, group, entry);
    change->is_removal = true;
    return change;
}

/* Forget the change; with its entry, if that is for nothing now. */
static void end_change(struct offset_change *change)
{
    struct group *group = change->group;
    list_remove(&change->node);
    group->change_count--;
    if (change->entry) {
        change->entry->change_count--;
        free_entry_if_unused(group, change->entry);
    }
    group_drop(&change->value.metadata);
    free(change);
}

void offsets_drop_changes(struct list *changes)
{
    while (!list_is_empty(changes))
        end_change(container_of(changes->next, struct offset_change, node));
}

static void add_change_record(struct groups *groups, const struct offset_change *change)
{
    const struct offset_entry *entry = change->entry;
    if (entry)
        group_log_add_offset(groups, change->group, entry->topic->name, entry->partition,
                             change->is_removal ? NULL : &change->value);
    else
        group_log_add_tombstone(groups, change->group);
}

/* One batch with all changes; they are dropped if it is refused. */
enum err offsets_append(struct group *group, struct list *changes)
{
    int64_t offset;
    if (list_is_empty(changes))
        return OK;
    group_log_begin(group->groups);
    list_each (node, changes)
        add_change_record(group->groups, container_of(node, struct offset_change, node));
    enum err err = group_log_end(group, &offset);
    if (err) {
        offsets_drop_changes(changes);
        return err;
    }
    list_each (node, changes)
        container_of(node, struct offset_change, node)->offset = offset++;
    list_splice(&group->groups->shards[group->shard].changes, changes);
    return OK;
}

static void apply_change(struct offset_change *change)
{
    struct group *group = change->group;
    if (!change->entry) {
        end_change(change);
        group_remove(group);
        return;
    }
    if (change->is_removal)
        clear_value(group, change->entry);
    else
        offsets_set(group, change->entry, &change->value);
    end_change(change);
}

/* The shard's high watermark has moved. */
void offsets_apply_committed(struct group_shard *shard)
{
    if (!shard->partition->log)
        return;
    while (!list_is_empty(&shard->changes)) {
        struct offset_change *change =
            container_of(shard->changes.next, struct offset_change, node);
        if (change->offset >= shard->partition->log->hw)
            break;
        apply_change(change);
    }
}

/* ---- committing ---- */

static bool is_member_commit(const struct offset_commit *c)
{
    return c->generation >= 0 || c->member_id.size > 0 || c->instance_id.data;
}

static enum group_error check_commit(struct group *group, const struct offset_commit *c)
{
    if (group->is_deleting)
        return GROUP_NOT_AVAILABLE;
    if (c->generation < 0 && group->state == GROUP_EMPTY)
        return GROUP_OK;
    if (!is_member_commit(c))
        return GROUP_UNKNOWN_MEMBER;
    enum group_error error = group_check_member(group, c->member_id, c->instance_id);
    if (error)
        return error;
    if (c->generation != group->generation)
        return GROUP_ILLEGAL_GENERATION;
    return group->state == GROUP_COMPLETING ? GROUP_REBALANCING : GROUP_OK;
}

static enum group_error find_for_commit(struct groups *groups, struct offset_commit *c)
{
    c->group = group_get(groups, c->group_id);
    if (c->group)
        return check_commit(c->group, c);
    if (c->generation >= 0)
        return GROUP_ILLEGAL_GENERATION;
    if (!groups_have_room(groups, GROUP_FIXED_BYTES + c->group_id.size))
        return GROUP_NOT_AVAILABLE;
    c->group = group_make(groups, c->group_id);
    c->is_new_group = true;
    return GROUP_OK;
}

enum group_error offsets_begin(struct groups *groups, struct offset_commit *c)
{
    c->is_new_group = false;
    list_init(&c->changes);
    if (!group_id_is_legal(c->group_id) && c->group_id.size > 0)
        return GROUP_INVALID_ID;
    enum group_error error = groups_make_topic(groups) ? GROUP_NOT_AVAILABLE : GROUP_OK;
    if (!error)
        error = groups_look(groups, c->group_id);
    if (!error)
        error = find_for_commit(groups, c);
    if (error || !is_member_commit(c))
        return error;
    struct group_member *m = group_member_get(c->group, c->member_id);
    if (m && !m->is_pending) /* a commit is a sign of life */
        group_member_touch(m, m->session_timeout_ms);
    return GROUP_OK;
}

enum group_error offsets_add(struct offset_commit *c, struct bytes topic, int32_t partition,
                             const struct offset_value *value)
{
    struct groups *groups = c->group->groups;
    if ((int64_t)value->metadata.size > groups->config.offset_metadata_max_bytes)
        return GROUP_OFFSET_TEXT_TOO_LONG;
    if (!groups_have_room(groups, OFFSET_FIXED_BYTES + value->metadata.size))
        return GROUP_NOT_AVAILABLE;
    struct offset_change *change =
        note_change(&c->changes, c->group, offsets_make_entry(c->group, topic, partition));
    change->value = *value;
    change->value.metadata = group_copy(value->metadata.data ? value->metadata : BYTES_LITERAL(""));
    change->value.commit_ms = groups->core->wall_ms;
    change->value.expire_ms = -1;
    if (c->retention_ms >= 0 &&
        __builtin_add_overflow(groups->core->wall_ms, c->retention_ms, &change->value.expire_ms))
        change->value.expire_ms = INT64_MAX;
    return GROUP_OK;
}

enum group_error offsets_end(struct offset_commit *c, struct ticket *out)
{
    enum err err = offsets_append(c->group, &c->changes);
    *out = c->group->ticket;
    if (c->is_new_group)
        group_remove_if_blank(c->group);
    return group_error_of(err);
}

/* ---- reading ---- */

const struct offset_value *offsets_find(const struct group *group, struct bytes topic,
                                        int32_t partition)
{
    const struct offset_entry *entry = offsets_entry(group, topic, partition);
    return entry && entry->has_value ? &entry->value : NULL;
}

void offsets_each(const struct group *group,
                  void (*each)(void *ctx, struct bytes topic, int32_t partition,
                               const struct offset_value *value),
                  void *ctx)
{
    size_t position = 0;
    const struct offset_topic *topic;
    while ((topic = map_next(&group->topics, &position)))
        for (size_t i = 0; i < topic->entries.count; i++)
            if (topic->entries.items[i]->has_value)
                each(ctx, topic->name, topic->entries.items[i]->partition,
                     &topic->entries.items[i]->value);
}

void offsets_count(const struct group *group, size_t *out_topics, size_t *out_partitions)
{
    size_t position = 0;
    const struct offset_topic *topic;
    *out_topics = group->topics.count;
    *out_partitions = 0;
    while ((topic = map_next(&group->topics, &position)))
        *out_partitions += topic->entries.count;
}

/* ---- removing ---- */

enum group_error offsets_remove_begin(struct groups *groups, struct bytes group_id,
                                      struct offset_removal *removal)
{
    list_init(&removal->changes);
    if (!group_id_is_legal(group_id))
        return GROUP_INVALID_ID;
    enum group_error error = groups_look(groups, group_id);
    if (error)
        return error;
    removal->group = group_get(groups, group_id);
    if (!removal->group || removal->group->is_deleting)
        return GROUP_NOT_FOUND;
    bool has_members = removal->group->state != GROUP_EMPTY;
    return has_members && !group_is_consumer(removal->group) ? GROUP_NOT_EMPTY : GROUP_OK;
}

enum group_error offsets_remove(struct offset_removal *removal, struct bytes topic,
                                int32_t partition)
{
    struct group *group = removal->group;
    if (group->state != GROUP_EMPTY && group_is_subscribed(group, topic))
        return GROUP_SUBSCRIBED;
    struct offset_entry *entry = offsets_entry(group, topic, partition);
    if (entry)
        offsets_note_removal(&removal->changes, group, entry);
    return GROUP_OK;
}

enum group_error offsets_remove_end(struct offset_removal *removal, struct ticket *out)
{
    enum err err = offsets_append(removal->group, &removal->changes);
    *out = removal->group->ticket;
    return group_error_of(err);
}
