/*
 * The coordinator's records: Kafka's public schemas (group.schema) in the partitions of
 * __consumer_offsets. What is written: keys of version 1 and 2, values of version 3; what is read:
 * all that Kafka has written since 0.11. The newest record of a key counts.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "broker/coordinator_messages.h"
#include "broker/group_internal.h"
#include "broker/mutant.h"

enum {
    OFFSET_KEY_VERSION = 1,
    GROUP_KEY_VERSION = 2,
    VALUE_VERSION = 3,
    VALUE_VERSION_EXPIRING = 1, /* the only one that says when an offset expires */
    DECODE_LIMIT_BYTES = 256 << 20,
};

enum group_error group_error_of(enum err err)
{
    if (err == OK)
        return GROUP_OK;
    return err == E_TOO_LARGE ? GROUP_TOO_LARGE : GROUP_NOT_AVAILABLE;
}

/* ---- writing ---- */

static struct batch_builder *builder(struct groups *groups)
{
    return &groups->core->internal->builder;
}

static enum err put(const struct wire_schema *schema, int version, const void *in, struct text *out)
{
    out->size = 0;
    text_put_u16(out, (uint16_t)version);
    return wire_encode(schema, version, in, out);
}

static void add_record(struct groups *groups, bool has_value)
{
    batch_builder_add(builder(groups), groups->core->wall_ms, text_bytes(&groups->key),
                      has_value ? text_bytes(&groups->value) : BYTES_NULL, BYTES_NULL, 0);
}

void group_log_begin(struct groups *groups)
{
    batch_builder_begin(builder(groups), 0);
}

void group_log_add_offset(struct groups *groups, const struct group *group, struct bytes topic,
                          int32_t partition, const struct offset_value *v)
{
    struct coordinator_offset_commit_key key = {group->id, topic, partition};
    enum err err =
        put(&coordinator_offset_commit_key_schema, OFFSET_KEY_VERSION, &key, &groups->key);
    check(!err); /* ids and names were bounded when they came in */
    if (v) {
        struct coordinator_offset_commit_value value = {
            .offset = v->offset,
            .leader_epoch = v->leader_epoch,
            .metadata = v->metadata,
            .commit_timestamp = v->commit_ms,
            .expire_timestamp = v->expire_ms,
        };
        int version = v->expire_ms >= 0 ? VALUE_VERSION_EXPIRING : VALUE_VERSION;
        err = put(&coordinator_offset_commit_value_schema, version, &value, &groups->value);
        check(!err);
    }
    add_record(groups, v != NULL);
}

static void put_group_key(struct groups *groups, const struct group *group)
{
    struct coordinator_group_metadata_key key = {group->id};
    enum err err =
        put(&coordinator_group_metadata_key_schema, GROUP_KEY_VERSION, &key, &groups->key);
    check(!err);
}

void group_log_add_tombstone(struct groups *groups, const struct group *group)
{
    put_group_key(groups, group);
    add_record(groups, false);
}

enum err group_log_end(struct group *group, int64_t *out_offset)
{
    struct core *core = group->groups->core;
    struct log *log = group->groups->shards[group->shard].partition->log;
    struct bytes batch = batch_builder_end(builder(group->groups));
    int64_t offset = log->end;
    if (batch.size > GROUP_RECORD_MAX_BYTES)
        return err_set(E_TOO_LARGE, "a batch of %zu bytes", batch.size);
    enum err err = log_append(log, batch, &group->ticket);
    if (err)
        return err;
    core->internal->committing = true;
    *out_offset = offset;
    return OK;
}

static void fill_member(const struct group *group, const struct group_member *m,
                        struct coordinator_group_member *out)
{
    *out = (struct coordinator_group_member){
        .member_id = m->id,
        .group_instance_id = m->instance_id,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .rebalance_timeout = m->rebalance_timeout_ms,
        .session_timeout = m->session_timeout_ms,
        .subscription = group_member_metadata(m, group->protocol),
        .assignment = m->assignment,
    };
}

enum err group_log_write(struct group *group)
{
    struct groups *groups = group->groups;
    struct coordinator_group_metadata_value value = {
        .protocol_type = group->protocol_type,
        .generation = group->generation,
        .protocol = group->protocol,
        .leader = group->leader ? group->leader->id : BYTES_NULL,
        .current_state_timestamp = group->state_wall_ms,
    };
    value.members.items = xmalloc((group->joined_count + 1) * sizeof *value.members.items);
    list_each (node, &group->joined)
        fill_member(group, container_of(node, struct group_member, node),
                    &value.members.items[value.members.count++]);
    put_group_key(groups, group);
    enum err err =
        put(&coordinator_group_metadata_value_schema, VALUE_VERSION, &value, &groups->value);
    free(value.members.items);
    int64_t offset;
    if (err)
        return err;
    group_log_begin(groups);
    add_record(groups, true);
    return group_log_end(group, &offset);
}

/* ---- reading back ---- */

static enum err decode(const struct wire_schema *schema, int version, struct bytes in,
                       struct arena *arena, void *out)
{
    struct reader r = reader_of(in);
    enum err err = wire_decode(schema, version, &r, arena, out);
    if (!err && reader_left(&r) > 0)
        err = err_set(E_MALFORMED, "%zu bytes behind the record", reader_left(&r));
    return err;
}

/* The version in front; -1: there is none. */
static int take_version(struct bytes *b)
{
    if (b->size < 2)
        return -1;
    int version = (int16_t)get_u16(b->data);
    *b = bytes_of(b->data + 2, b->size - 2);
    return version;
}

static struct group *group_to_fill(struct groups *groups, struct bytes id)
{
    struct group *group = group_get(groups, id);
    if (!group) {
        group = group_make(groups, id);
        list_remove(&group->node);
        list_push_back(&groups->recovering, &group->node);
    }
    return group;
}

static enum err apply_offset(struct groups *groups, const struct coordinator_offset_commit_key *key,
                             struct bytes in, struct arena *arena)
{
    if (BROKER_MUTANT == MUTANT_FORGET_OFFSETS)
        return OK;
    if (!in.data) {
        struct group *group = group_get(groups, key->group);
        struct offset_entry *entry =
            group ? offsets_entry(group, key->topic, key->partition) : NULL;
        if (entry)
            offsets_unset(group, entry);
        return OK;
    }
    struct coordinator_offset_commit_value v;
    wire_init(&coordinator_offset_commit_value_schema, &v);
    int version = take_version(&in);
    enum err err = decode(&coordinator_offset_commit_value_schema, version, in, arena, &v);
    if (err)
        return err;
    struct offset_value value = {
        .offset = v.offset + (BROKER_MUTANT == MUTANT_WRONG_OFFSETS ? 1000 : 0),
        .leader_epoch = v.leader_epoch,
        .metadata = v.metadata,
        .commit_ms = v.commit_timestamp,
        .expire_ms = v.expire_timestamp,
    };
    struct group *group = group_to_fill(groups, key->group);
    offsets_set(group, offsets_make_entry(group, key->topic, key->partition), &value);
    return OK;
}

static void recover_member(struct group *group, struct bytes protocol,
                           const struct coordinator_group_member *in)
{
    struct group_protocol only = {protocol, in->subscription};
    struct group_member *m = group_member_make(
        group, in->member_id, in->group_instance_id.data ? in->group_instance_id : BYTES_NULL);
    group_member_enter(m);
    group_member_set_protocols(m, &only, 1);
    group_member_set_assignment(m, in->assignment);
    m->client_id = group_copy(in->client_id);
    m->client_host = group_copy(in->client_host);
    m->session_timeout_ms = in->session_timeout;
    m->rebalance_timeout_ms =
        in->rebalance_timeout < 0 ? in->session_timeout : in->rebalance_timeout;
}

/* Two members under one name would be two entries of a map under one key. */
static bool names_are_unique(const struct group *group, const struct coordinator_group_member *in)
{
    return in->member_id.size > 0 && !group_member_get(group, in->member_id) &&
           !(in->group_instance_id.data && map_get(&group->instances, in->group_instance_id));
}

static void fill_group(struct group *group, const struct coordinator_group_metadata_value *v)
{
    while (!list_is_empty(&group->joined))
        group_member_remove(container_of(group->joined.next, struct group_member, node));
    group_drop(&group->protocol_type);
    group_drop(&group->protocol);
    group->protocol_type = v->protocol_type.size > 0 ? group_copy(v->protocol_type) : BYTES_NULL;
    group->protocol = group_copy(v->protocol);
    group->generation = v->generation;
    group->state_wall_ms = v->current_state_timestamp;
    for (int32_t i = 0; i < v->members.count && group->protocol.data; i++)
        if (names_are_unique(group, &v->members.items[i]))
            recover_member(group, group->protocol, &v->members.items[i]);
    if (group->joined_count > 0 && v->leader.data && group_member_get(group, v->leader))
        group->leader = group_member_get(group, v->leader);
}

static enum err apply_group(struct groups *groups, struct bytes id, struct bytes in,
                            struct arena *arena)
{
    if (!in.data) {
        struct group *group = group_get(groups, id);
        if (group)
            group_remove(group);
        return OK;
    }
    struct coordinator_group_metadata_value v;
    wire_init(&coordinator_group_metadata_value_schema, &v);
    int version = take_version(&in);
    enum err err = decode(&coordinator_group_metadata_value_schema, version, in, arena, &v);
    if (!err)
        fill_group(group_to_fill(groups, id), &v);
    return err;
}

static enum err apply(struct groups *groups, const struct record *record, struct arena *arena)
{
    struct bytes in = record->key;
    struct coordinator_offset_commit_key offset_key;
    struct coordinator_group_metadata_key group_key;
    int version = take_version(&in);
    enum err err;
    switch (version) {
    case 0:
    case OFFSET_KEY_VERSION:
        err = decode(&coordinator_offset_commit_key_schema, version, in, arena, &offset_key);
        return err ? err : apply_offset(groups, &offset_key, record->value, arena);
    case GROUP_KEY_VERSION:
        err = decode(&coordinator_group_metadata_key_schema, version, in, arena, &group_key);
        return err ? err : apply_group(groups, group_key.group, record->value, arena);
    default: return err_set(E_UNSUPPORTED, "a key of version %d", version);
    }
}

enum err group_log_apply(struct groups *groups, const struct record *record)
{
    struct arena arena;
    arena_init(&arena, DECODE_LIMIT_BYTES);
    enum err err = apply(groups, record, &arena);
    arena_reset(&arena);
    return err;
}
