/* Groups: finding, making, forgetting, looking at. */
#include "broker/group.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/feed.h"
#include "broker/group_internal.h"
#include "broker/topic_config.h"

/* ---- configuration ---- */

void group_config_default(struct group_config *c)
{
    *c = (struct group_config){
        .topic_partitions = 50,
        .session_min_ms = 6000,
        .session_max_ms = 1800000,
        .initial_delay_ms = 100,
        .size_max = INT32_MAX,
        .offset_metadata_max_bytes = 4096,
        .retention_ms = INT64_C(10080) * 60000,
        .retention_check_ms = 600000,
        .memory_max_bytes = (size_t)256 << 20,
    };
}

bool groups_have_room(const struct groups *groups, size_t bytes)
{
    return groups->bytes + bytes <= groups->config.memory_max_bytes;
}

/* ---- life of them all ---- */

struct groups *core_groups(struct core *core)
{
    return core->internal->groups;
}

struct groups *groups_new(struct core *core, const struct group_config *config)
{
    struct groups *groups = xzalloc(sizeof *groups);
    groups->core = core;
    groups->config = *config;
    if (config->session_max_ms == 0)
        group_config_default(&groups->config);
    list_init(&groups->all);
    list_init(&groups->recovering);
    groups->load.run = group_load_run;
    groups->sweep.run = offsets_sweep_run;
    groups->sweep_timer.fire = offsets_sweep_fired;
    return groups;
}

static void shard_moved(struct partition_watch *watch, struct partition *partition)
{
    (void)partition;
    offsets_apply_committed(container_of(watch, struct group_shard, watch));
}

static void adopt_topic(struct groups *groups, struct topic *topic)
{
    groups->topic = topic;
    groups->shard_count = topic->partition_count;
    groups->shards = xzalloc((size_t)topic->partition_count * sizeof *groups->shards);
    for (int32_t i = 0; i < groups->shard_count; i++) {
        struct group_shard *shard = &groups->shards[i];
        shard->groups = groups;
        shard->partition = topic->partitions[i];
        list_init(&shard->changes);
        shard->watch.moved = shard_moved;
        partition_watch(shard->partition, &shard->watch);
        /* A topic and its offsets go in one commit. */
        log_stay_in_journal(shard->partition->log);
    }
    group_load_start(groups);
    timer_start(&groups->core->timers, &groups->sweep_timer,
                groups->core->now_ns + groups->config.retention_check_ms * 1000000);
}

void groups_open(struct groups *groups)
{
    struct topic *topic = topic_find(groups->core, GROUPS_TOPIC);
    if (topic)
        adopt_topic(groups, topic);
}

enum err groups_make_topic(struct groups *groups)
{
    if (groups->topic)
        return OK;
    struct topic_config compacted[] = {{"cleanup.policy", "compact"},
                                       {"segment.bytes", "104857600"}};
    struct topic_config kept[] = {{"retention.ms", "-1"}};
    bool can_compact = topic_config_check("cleanup.policy", "compact") == OK;
    struct topic_spec spec = {
        .name = GROUPS_TOPIC,
        .partition_count = groups->config.topic_partitions,
        .configs = can_compact ? compacted : kept,
        .config_count = can_compact ? 2 : 1,
    };
    struct topic *topic;
    enum err err = topic_create(groups->core, &spec, &topic);
    if (err)
        return err_wrap(err, "create __consumer_offsets");
    adopt_topic(groups, topic);
    return OK;
}

void groups_let_go(struct groups *groups)
{
    feed_free(groups->feed);
    groups->feed = NULL;
}

void groups_free(struct groups *groups)
{
    if (!groups)
        return;
    for (int32_t i = 0; i < groups->shard_count; i++) {
        offsets_drop_changes(&groups->shards[i].changes);
        partition_unwatch(&groups->shards[i].watch);
    }
    list_splice(&groups->all, &groups->recovering);
    while (!list_is_empty(&groups->all))
        group_remove(container_of(groups->all.next, struct group, node));
    check(groups->bytes == 0);
    for (size_t i = 0; i < groups->load_deleted.count; i++)
        group_drop(&groups->load_deleted.items[i]);
    vec_reset(&groups->load_deleted);
    timer_stop(&groups->core->timers, &groups->sweep_timer);
    core_defer_cancel(&groups->load);
    core_defer_cancel(&groups->sweep);
    map_reset(&groups->by_id);
    check(groups->offset_names.count == 0);
    map_reset(&groups->offset_names);
    text_reset(&groups->key);
    text_reset(&groups->value);
    free(groups->shards);
    free(groups);
}

struct bytes group_copy(struct bytes b)
{
    return b.data ? bytes_of(xmemdup(b.data, b.size ? b.size : 1), b.size) : BYTES_NULL;
}

void group_drop(struct bytes *b)
{
    free((void *)(uintptr_t)b->data);
    *b = BYTES_NULL;
}

/* ---- which partition ---- */

/* Java's String.hashCode() goes over UTF-16 units. What is not UTF-8 counts as U+FFFD, as Java
 * decodes it. */
static uint32_t java_hash(struct bytes s)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < s.size;) {
        uint32_t c = s.data[i];
        size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        bool good = more == 0 || (c >= 0xc2 && c < 0xf5 && i + more < s.size);
        uint32_t code = more == 0 ? c : c & (0x3fu >> more);
        for (size_t k = 1; good && k <= more; k++) {
            good = (s.data[i + k] & 0xc0) == 0x80;
            code = code << 6 | (s.data[i + k] & 0x3fu);
        }
        i += good ? more + 1 : 1;
        if (!good)
            code = 0xfffd;
        if (code > 0xffff) {
            hash = 31 * hash + (0xd7c0 + (code >> 10));
            code = 0xdc00 | (code & 0x3ff);
        }
        hash = 31 * hash + code;
    }
    return hash;
}

int32_t group_shard_of(struct bytes id, int32_t count)
{
    int32_t hash = (int32_t)java_hash(id);
    return hash == INT32_MIN ? 0 : (hash < 0 ? -hash : hash) % count;
}

bool group_id_is_legal(struct bytes id)
{
    return id.size > 0 && id.size <= GROUP_ID_MAX_BYTES;
}

/* ---- one group ---- */

struct group *group_get(struct groups *groups, struct bytes id)
{
    return map_get(&groups->by_id, id);
}

struct group *group_make(struct groups *groups, struct bytes id)
{
    check(groups->topic);
    struct group *group = xzalloc(sizeof *group);
    group->groups = groups;
    group->id = group_copy(id);
    group->shard = group_shard_of(id, groups->shard_count);
    list_init(&group->joined);
    list_init(&group->pending);
    group->phase.fire = group_phase_fired;
    group->state_wall_ms = groups->core->wall_ms;
    groups->bytes += GROUP_FIXED_BYTES + id.size;
    map_put(&groups->by_id, group->id, group);
    list_push_back(&groups->all, &group->node);
    return group;
}

void group_remove(struct group *group)
{
    struct groups *groups = group->groups;
    timer_stop(&groups->core->timers, &group->phase);
    while (!list_is_empty(&group->joined))
        group_member_remove(container_of(group->joined.next, struct group_member, node));
    while (!list_is_empty(&group->pending))
        group_member_remove(container_of(group->pending.next, struct group_member, node));
    offsets_free_all(group);
    check(group->change_count == 0);
    if (groups->sweep_at == &group->node)
        groups->sweep_at = group->node.next;
    list_remove(&group->node);
    map_remove(&groups->by_id, group->id);
    groups->bytes -= GROUP_FIXED_BYTES + group->id.size;
    for (size_t i = 0; i < group->supported.count; i++)
        group_drop(&group->supported.items[i].name);
    vec_reset(&group->supported);
    map_reset(&group->members);
    map_reset(&group->instances);
    group_drop(&group->protocol_type);
    group_drop(&group->protocol);
    group_drop(&group->id);
    free(group);
}

void group_remove_if_blank(struct group *group)
{
    bool is_written = group->ticket.journal || group->ticket.direct || group->generation > 0;
    if (group->joined_count + group->pending_count + group->change_count == 0 && !is_written &&
        group->topics.count == 0)
        group_remove(group);
}

void group_set_state(struct group *group, enum group_state state)
{
    group->previous_state = group->state;
    group->state = state;
    group->state_wall_ms = group->groups->core->wall_ms;
}

enum group_error group_delete(struct groups *groups, struct bytes id, struct ticket *out)
{
    enum group_error error = groups_look(groups, id);
    if (error)
        return error;
    struct group *group = group_get(groups, id);
    if (!group || group->is_deleting)
        return GROUP_NOT_FOUND;
    if (group->state != GROUP_EMPTY)
        return GROUP_NOT_EMPTY;
    struct list changes;
    list_init(&changes);
    size_t position = 0;
    struct offset_topic *topic;
    while ((topic = map_next(&group->topics, &position)))
        for (size_t i = 0; i < topic->entries.count; i++)
            offsets_note_removal(&changes, group, topic->entries.items[i]);
    offsets_note_removal(&changes, group, NULL);
    error = group_error_of(offsets_append(group, &changes));
    if (error)
        return error;
    group->is_deleting = true;
    *out = group->ticket;
    return GROUP_OK;
}

/* ---- looking ---- */

enum group_error groups_look(struct groups *groups, struct bytes id)
{
    if (!groups->topic || groups->loaded_count == groups->shard_count)
        return GROUP_OK;
    return groups->shards[group_shard_of(id, groups->shard_count)].is_loaded ? GROUP_OK
                                                                             : GROUP_LOADING;
}

bool groups_are_loaded(const struct groups *groups)
{
    return groups->loaded_count == groups->shard_count;
}

struct ticket groups_barrier(struct groups *groups, struct bytes group_id)
{
    struct ticket all = {0};
    if (!groups->topic)
        return all;
    if (group_id.data)
        return log_last_ticket(
            groups->shards[group_shard_of(group_id, groups->shard_count)].partition->log);
    for (int32_t i = 0; i < groups->shard_count; i++)
        ticket_join(&all, log_last_ticket(groups->shards[i].partition->log));
    return all;
}

const struct group *group_find(struct groups *groups, struct bytes id)
{
    return group_get(groups, id);
}

void group_each(struct groups *groups, void (*each)(void *ctx, const struct group *), void *ctx)
{
    list_each (node, &groups->all)
        each(ctx, container_of(node, struct group, node));
}

size_t group_count(const struct groups *groups)
{
    return groups->by_id.count;
}

struct group_view group_view(const struct group *group)
{
    return (struct group_view){
        .id = group->id,
        .protocol_type = group->protocol_type,
        .protocol = group->protocol,
        .state = group->state,
        .generation = group->generation,
        .member_count = group->joined_count,
    };
}

const char *group_state_name(enum group_state state)
{
    switch (state) {
    case GROUP_EMPTY: return "Empty";
    case GROUP_PREPARING: return "PreparingRebalance";
    case GROUP_COMPLETING: return "CompletingRebalance";
    case GROUP_STABLE: return "Stable";
    }
    check(false);
    return NULL;
}

void group_each_member(const struct group *group,
                       void (*each)(void *ctx, const struct group_member_view *), void *ctx)
{
    list_each (node, &group->joined) {
        const struct group_member *m = container_of(node, struct group_member, node);
        struct group_member_view view = {
            .id = m->id,
            .instance_id = m->instance_id,
            .client_id = m->client_id,
            .client_host = m->client_host,
            .metadata = group_member_metadata(m, group->protocol),
            .assignment = m->assignment,
        };
        each(ctx, &view);
    }
}
