#include "broker/topic.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/broker_config_internal.h"
#include "broker/core_internal.h"
#include "broker/offsets.h"
#include "broker/producer.h"
#include "broker/topic_config.h"
#include "broker/topic_internal.h"

enum { NAME_MAX_BYTES = 249 };

/* ---- finding ---- */

bool topic_name_is_legal(struct bytes name)
{
    if (name.size == 0 || name.size > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '_' || c == '-';
        if (!legal)
            return false;
    }
    return !bytes_equal_string(name, ".") && !bytes_equal_string(name, "..");
}

bool topic_name_is_internal(struct bytes name)
{
    return bytes_equal_string(name, "__consumer_offsets") ||
           bytes_equal_string(name, "__transaction_state");
}

struct topic *topic_find(struct core *core, struct bytes name)
{
    return map_get(&core->internal->topics, name);
}

struct topic *topic_find_id(struct core *core, const uint8_t id[16])
{
    return map_get(&core->internal->topic_ids, bytes_of(id, 16));
}

void topic_each(struct core *core, void (*each)(void *ctx, struct topic *), void *ctx)
{
    size_t position = 0;
    struct topic *topic;
    while ((topic = map_next(&core->internal->topics, &position)))
        each(ctx, topic);
}

struct partition *topic_partition(struct topic *topic, int32_t index)
{
    return index >= 0 && index < topic->partition_count ? topic->partitions[index] : NULL;
}

/* ---- making ---- */

/* The name with '_' for each '.': what two topics must not share, since names of metrics make no
 * difference between them. Null when there is neither. */
static struct bytes shape_of(struct bytes name)
{
    if (!memchr(name.data, '.', name.size) && !memchr(name.data, '_', name.size))
        return BYTES_NULL;
    uint8_t *shape = xzalloc(name.size);
    for (size_t i = 0; i < name.size; i++)
        shape[i] = name.data[i] == '.' ? '_' : name.data[i];
    return bytes_of(shape, name.size);
}

static struct topic *find_near(struct core *core, struct bytes name)
{
    struct bytes shape = shape_of(name);
    struct topic *topic = shape.data ? map_get(&core->internal->topic_shapes, shape) : NULL;
    free((void *)(uintptr_t)shape.data);
    return topic;
}

/* Two that were made before this was looked at may have the same. */
static void note_shape(struct core *core, struct topic *topic)
{
    if (find_near(core, topic->name))
        return;
    topic->shape = shape_of(topic->name);
    if (topic->shape.data)
        map_put(&core->internal->topic_shapes, topic->shape, topic);
}

/* Partitions without logs, behind those that are there. */
static void add_partitions(struct topic *topic, int32_t count)
{
    int32_t old_count = topic->partition_count;
    struct partition *row = xzalloc((size_t)(count - old_count) * sizeof *row);
    vec_push(&topic->partition_rows, row);
    topic->partitions = xrealloc(topic->partitions, (size_t)count * sizeof *topic->partitions);
    topic->partition_count = count;
    for (int32_t i = old_count; i < count; i++) {
        struct partition *p = topic->partitions[i] = &row[i - old_count];
        p->topic = topic;
        p->index = i;
        p->owner.kind = OWNER_PARTITION;
        list_init(&p->watchers);
    }
}

/* In memory and in the maps; logs come by attach(). */
static struct topic *topic_new(struct core *core, struct bytes name, const uint8_t id[16],
                               int32_t partition_count)
{
    struct topic *topic = xzalloc(sizeof *topic);
    uint8_t *copy = xzalloc(name.size + 1);
    memcpy(copy, name.data, name.size);
    topic->name = bytes_of(copy, name.size);
    memcpy(topic->id, id, sizeof topic->id);
    add_partitions(topic, partition_count);
    map_put(&core->internal->topics, topic->name, topic);
    map_put(&core->internal->topic_ids, bytes_of(topic->id, 16), topic);
    note_shape(core, topic);
    core->internal->partition_count += partition_count;
    return topic;
}

static void topic_free(struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        list_remove(&topic->partitions[i]->owner.moved);
        producers_free(topic->partitions[i]->producers);
    }
    config_set_reset(&topic->configs);
    for (size_t i = 0; i < topic->partition_rows.count; i++)
        free(topic->partition_rows.items[i]);
    vec_reset(&topic->partition_rows);
    free(topic->partitions);
    free((void *)topic->name.data);
    free((void *)topic->shape.data);
    free(topic);
}

/* Those that have no logs yet. */
static void attach(struct core *core, struct topic *topic)
{
    topic_config_apply(core, topic);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct partition *p = topic->partitions[i];
        if (p->log)
            continue;
        p->log = core_attach_log(core, p->log_id, topic->level, &p->owner);
        p->producers = core_claim_producers(core, p->log);
        log_set_policy(p->log, &topic->policy);
    }
}

static void random_id(struct core *core, uint8_t id[16])
{
    random_fill(&core->random, id, 16);
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 9562 version 4: never all zero */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

static enum err check_name(struct core *core, struct bytes name)
{
    if (!topic_name_is_legal(name))
        return err_set(E_REFUSED, "Topic name is invalid: '%.*s' is not 1 to 249 of [a-zA-Z0-9._-]",
                       BYTES_FORMAT(name));
    if (topic_find(core, name))
        return err_set(E_EXISTS, "Topic '%.*s' already exists.", BYTES_FORMAT(name));
    const struct topic *near = find_near(core, name);
    if (near)
        return err_set(E_REFUSED, "Topic '%.*s' collides with existing topic: %.*s",
                       BYTES_FORMAT(name), BYTES_FORMAT(near->name));
    return OK;
}

static enum err check_count(const struct core *core, int32_t partitions, int32_t more)
{
    if (partitions > TOPIC_PARTITIONS_MAX)
        return err_set(E_TOO_LARGE, "%d partitions: a topic has at most %d", partitions,
                       TOPIC_PARTITIONS_MAX);
    if (core->internal->partition_count + more > TOPICS_PARTITIONS_MAX)
        return err_set(E_TOO_LARGE, "%d more partitions: a broker has at most %d, and has %lld",
                       more, TOPICS_PARTITIONS_MAX, (long long)core->internal->partition_count);
    return OK;
}

static enum err check_spec(struct core *core, const struct topic_spec *spec, int32_t partitions,
                           const struct config_set *configs)
{
    enum err err = check_name(core, spec->name);
    if (err)
        return err;
    if (partitions < 1)
        return err_set(E_OUT_OF_RANGE, "Number of partitions was set to an invalid value: %d",
                       partitions);
    err = check_count(core, partitions, partitions);
    if (!err)
        err = topic_config_check_all(core, configs);
    return err ? err : catalog_can_change(core);
}

/* A null value, or one that is there twice, is not kept: it was checked one by one before. */
static enum err make_set(const struct topic_spec *spec, struct config_set *out)
{
    for (size_t i = 0; i < spec->config_count; i++) {
        enum err err = topic_config_check(spec->configs[i].name, spec->configs[i].value);
        if (err)
            return err;
        config_set_put(out, spec->configs[i].name, spec->configs[i].value);
    }
    return OK;
}

enum err topic_create(struct core *core, const struct topic_spec *spec, struct topic **out)
{
    int32_t partitions =
        spec->partition_count == -1 ? core->config.default_partitions : spec->partition_count;
    struct config_set configs = {0};
    enum err err = make_set(spec, &configs);
    if (!err)
        err = check_spec(core, spec, partitions, &configs);
    if (err || spec->validate_only) {
        config_set_reset(&configs);
        return err;
    }
    uint8_t id[16];
    random_id(core, id);
    struct topic *topic = topic_new(core, spec->name, id, partitions);
    config_set_move(&topic->configs, &configs);
    for (int32_t i = 0; i < partitions; i++)
        topic->partitions[i]->log_id = catalog_new_log_id(core);
    attach(core, topic);
    catalog_put(core, &topic->entry, CATALOG_TOPIC);
    *out = topic;
    return OK;
}

/* ---- changing ---- */

enum err topic_grow(struct core *core, struct topic *topic, int32_t count, bool validate_only)
{
    int32_t old_count = topic->partition_count;
    check(!topic->deleted);
    if (topic_name_is_internal(topic->name)) /* a group's partition is found by their number */
        return err_set(E_REFUSED, "the number of partitions of %.*s never changes",
                       BYTES_FORMAT(topic->name));
    if (count <= old_count)
        return err_set(E_OUT_OF_RANGE,
                       "The topic %.*s currently has %d partition(s); %d would not be an increase.",
                       BYTES_FORMAT(topic->name), old_count, count);
    enum err err = check_count(core, count, count - old_count);
    if (!err)
        err = catalog_can_change(core);
    if (err || validate_only)
        return err;
    add_partitions(topic, count);
    core->internal->partition_count += count - old_count;
    for (int32_t i = old_count; i < count; i++)
        topic->partitions[i]->log_id = catalog_new_log_id(core);
    attach(core, topic);
    catalog_put(core, &topic->entry, CATALOG_TOPIC);
    return OK;
}

enum err topic_alter(struct core *core, struct topic *topic, struct config_set *configs,
                     bool validate_only)
{
    check(!topic->deleted);
    enum err err = topic_config_check_all(core, configs);
    if (!err && topic_config_level(core, configs) != topic->level)
        err = err_set(E_UNSUPPORTED, "the durability of a topic cannot be changed");
    if (!err)
        err = catalog_can_change(core);
    if (err || validate_only)
        return err;
    config_set_move(&topic->configs, configs);
    topic_config_apply(core, topic);
    catalog_put(core, &topic->entry, CATALOG_TOPIC);
    return OK;
}

enum err topic_restore(struct core *core, struct bytes name, const uint8_t id[16],
                       int32_t partition_count, const struct topic_config *configs,
                       size_t config_count, struct topic **out)
{
    if (topic_find(core, name))
        return err_set(E_MALFORMED, "two topics are called '%.*s'", BYTES_FORMAT(name));
    for (size_t i = 0; i < config_count; i++) {
        enum err err = topic_config_check(configs[i].name, configs[i].value);
        if (err)
            return err_wrap(err, "topic '%.*s'", BYTES_FORMAT(name));
    }
    struct topic *topic = topic_new(core, name, id, partition_count);
    config_set_put_all(&topic->configs, configs, config_count);
    *out = topic;
    return OK;
}

static void attach_one(void *ctx, struct topic *topic)
{
    attach(ctx, topic);
}

void topics_attach(struct core *core)
{
    broker_configs_resolve(core);
    topic_each(core, attach_one, core);
}

/* ---- deleting ---- */

void topic_delete(struct core *core, struct topic *topic)
{
    if (topic->deleted)
        return;
    offsets_topic_deleted(core, topic->name);
    catalog_remove(core, &topic->entry);
    map_remove(&core->internal->topics, topic->name);
    map_remove(&core->internal->topic_ids, bytes_of(topic->id, 16));
    if (topic->shape.data)
        map_remove(&core->internal->topic_shapes, topic->shape);
    core->internal->partition_count -= topic->partition_count;
    topic->deleted = true;
    list_push_back(&core->internal->graveyard, &topic->graveyard);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct partition *p = topic->partitions[i];
        core_condemn_log(core, p->log);
        p->log = NULL;
        producers_free(p->producers);
        p->producers = NULL;
        if (!list_is_empty(&p->watchers) && !list_is_linked(&p->owner.moved))
            list_push_back(&core->internal->moved, &p->owner.moved);
    }
}

static bool is_watched(const struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (!list_is_empty(&topic->partitions[i]->watchers))
            return true;
    return false;
}

void topics_bury(struct core *core)
{
    if (core->internal->topic_walks > 0)
        return;
    list_each_safe (node, &core->internal->graveyard) {
        struct topic *topic = container_of(node, struct topic, graveyard);
        if (is_watched(topic))
            continue;
        list_remove(node);
        topic_free(topic);
    }
}

void topics_free(struct core *core)
{
    struct core_internal *in = core->internal;
    size_t position = 0;
    struct topic *topic;
    while ((topic = map_next(&in->topics, &position)))
        topic_free(topic);
    map_reset(&in->topics);
    map_reset(&in->topic_ids);
    map_reset(&in->topic_shapes);
    struct list *node;
    while ((node = list_pop_front(&in->graveyard)))
        topic_free(container_of(node, struct topic, graveyard));
}
