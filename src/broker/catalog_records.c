/* What the catalog's records say about the broker's objects: schema structs filled from objects,
 * and objects made of them. */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "broker/access_internal.h"
#include "broker/broker_config_internal.h"
#include "broker/catalog_internal.h"
#include "broker/catalog_messages.h"
#include "broker/core_internal.h"
#include "broker/exchange_internal.h"
#include "broker/parameter.h"
#include "broker/policy_internal.h"
#include "broker/queue_internal.h"
#include "broker/topic_internal.h"

enum {
    HEAD_BYTES = 4, /* u16 id, u16 version */
    PARTS_MAX = 5,
    DECODE_LIMIT_BYTES = 256 << 20, /* a topic with very many partitions */
};

static_assert((int)CATALOG_META == (int)CATALOG_RECORD_META, "one numbering");
static_assert((int)CATALOG_VHOST == (int)CATALOG_RECORD_VHOST, "one numbering");
static_assert((int)CATALOG_USER == (int)CATALOG_RECORD_USER, "one numbering");
static_assert((int)CATALOG_TOPIC == (int)CATALOG_RECORD_TOPIC, "one numbering");
static_assert((int)CATALOG_EXCHANGE == (int)CATALOG_RECORD_EXCHANGE, "one numbering");
static_assert((int)CATALOG_QUEUE == (int)CATALOG_RECORD_QUEUE, "one numbering");
static_assert((int)CATALOG_BINDING == (int)CATALOG_RECORD_BINDING, "one numbering");
static_assert((int)CATALOG_EXCHANGE_BINDING == (int)CATALOG_RECORD_EXCHANGE_BINDING,
              "one numbering");

static_assert((int)CATALOG_BROKER_CONFIG == (int)CATALOG_RECORD_BROKER_CONFIG, "one numbering");
static_assert((int)CATALOG_POLICY == (int)CATALOG_RECORD_POLICY, "one numbering");
static_assert((int)CATALOG_PARAMETER == (int)CATALOG_RECORD_PARAMETER, "one numbering");
static_assert((int)CATALOG_PERMISSION == (int)CATALOG_RECORD_PERMISSION, "one numbering");
static_assert((int)CATALOG_TOPIC_PERMISSION == (int)CATALOG_RECORD_TOPIC_PERMISSION,
              "one numbering");

#define ENTRY_OF(pointer, type) container_of(pointer, type, entry)

/* ---- encoding ---- */

static void put_record(int id, const void *in, struct text *out)
{
    const struct wire_record *record = wire_record_find(catalog_records, CATALOG_RECORD_COUNT, id);
    check(record);
    text_put_u16(out, (uint16_t)id);
    text_put_u16(out, (uint16_t)record->max);
    enum err err = wire_encode(record->schema, record->max, in, out);
    check(!err); /* names and arguments were bounded when they came in */
}

static int topic_parts(const struct catalog_entry *e, struct bytes *parts)
{
    parts[0] = bytes_of(ENTRY_OF(e, struct topic)->id, 16);
    return 1;
}

static int exchange_parts(const struct catalog_entry *e, struct bytes *parts)
{
    const struct exchange *x = ENTRY_OF(e, struct exchange_internal)->exchange;
    parts[0] = x->vhost->name;
    parts[1] = x->name;
    return 2;
}

static int queue_parts(const struct catalog_entry *e, struct bytes *parts)
{
    const struct queue *q = ENTRY_OF(e, struct queue_internal)->self;
    parts[0] = q->vhost->name;
    parts[1] = q->name;
    return 2;
}

static int binding_parts(const struct catalog_entry *e, struct bytes *parts)
{
    const struct binding *b = ENTRY_OF(e, struct binding);
    parts[0] = b->exchange->vhost->name;
    parts[1] = b->exchange->name;
    parts[2] = b->queue ? b->queue->name : b->target->name;
    parts[3] = b->key;
    parts[4] = b->arguments;
    return 5;
}

static int permission_parts(const struct catalog_entry *e, struct bytes *parts)
{
    const struct permission *p = ENTRY_OF(e, struct permission);
    parts[0] = p->vhost->name;
    parts[1] = p->user->name;
    return 2;
}

static int topic_permission_parts(const struct catalog_entry *e, struct bytes *parts)
{
    const struct topic_permission *p = ENTRY_OF(e, struct topic_permission);
    parts[0] = p->vhost->name;
    parts[1] = p->user->name;
    parts[2] = p->exchange;
    return 3;
}

static int policy_parts(const struct catalog_entry *e, struct bytes *parts)
{
    const struct policy_slot *slot = ENTRY_OF(e, struct policy_slot);
    parts[0] = slot->vhost->name;
    parts[1] = bytes_from_string(policy_author_name(slot->author));
    parts[2] = slot->policy->name;
    return 3;
}

static int parameter_parts(const struct catalog_entry *e, struct bytes *parts)
{
    const struct parameter *p = ENTRY_OF(e, struct parameter);
    parts[0] = p->vhost ? p->vhost->name : bytes_of("", 0);
    parts[1] = p->component;
    parts[2] = p->name;
    return 3;
}

static int entry_parts(const struct catalog_entry *e, struct bytes *parts)
{
    switch ((enum catalog_kind)e->kind) {
    case CATALOG_META: return 0;
    case CATALOG_VHOST: parts[0] = ENTRY_OF(e, struct vhost)->name; return 1;
    case CATALOG_USER: parts[0] = ENTRY_OF(e, struct user)->name; return 1;
    case CATALOG_TOPIC: return topic_parts(e, parts);
    case CATALOG_EXCHANGE: return exchange_parts(e, parts);
    case CATALOG_QUEUE: return queue_parts(e, parts);
    case CATALOG_BINDING:
    case CATALOG_EXCHANGE_BINDING: return binding_parts(e, parts);
    case CATALOG_PERMISSION: return permission_parts(e, parts);
    case CATALOG_TOPIC_PERMISSION: return topic_permission_parts(e, parts);
    case CATALOG_BROKER_CONFIG:
        parts[0] = bytes_from_string(ENTRY_OF(e, struct broker_config_scope)->node);
        return 1;
    case CATALOG_POLICY: return policy_parts(e, parts);
    case CATALOG_PARAMETER: return parameter_parts(e, parts);
    case CATALOG_KIND_END: break;
    }
    check(false);
    return 0;
}

void catalog_encode_key(const struct catalog_entry *entry, struct text *out)
{
    struct bytes parts[PARTS_MAX];
    struct catalog_key key = {.kind = entry->kind};
    key.parts.items = parts;
    key.parts.count = entry_parts(entry, parts);
    put_record(CATALOG_RECORD_KEY, &key, out);
}

static void put_meta(struct core *core, struct text *out)
{
    struct catalog_meta meta = {
        .cluster_id = bytes_from_string(core->config.cluster_id),
        .node_id = core->config.node_id,
        .next_log_id = (int64_t)core->catalog->reserved_log_id,
        .next_producer_id = core->catalog->reserved_producer_id,
    };
    put_record(CATALOG_RECORD_META, &meta, out);
}

static void put_vhost(const struct vhost *vhost, struct text *out)
{
    struct catalog_vhost record = {
        .description = vhost->description,
        .default_queue_type = vhost->default_queue_type,
        .is_protected = vhost->is_protected,
        .max_connections = vhost->max_connections,
        .max_queues = vhost->max_queues,
        .doomed = vhost->doomed,
    };
    record.tags.items = vhost->tags.items;
    record.tags.count = (int32_t)vhost->tags.count;
    put_record(CATALOG_RECORD_VHOST, &record, out);
}

static void put_user(const struct user *user, struct text *out)
{
    struct catalog_user record = {
        .password_hash = bytes_of(user->password.bytes, user->password.size),
        .hashing = (int8_t)user->password.hashing,
        .max_connections = user->max_connections,
        .max_channels = user->max_channels,
    };
    record.tags.items = user->tags.items;
    record.tags.count = (int32_t)user->tags.count;
    put_record(CATALOG_RECORD_USER, &record, out);
}

static void put_permission(const struct permission *p, struct text *out)
{
    struct catalog_permission record = {
        .configure = p->patterns[ACCESS_CONFIGURE].text,
        .write = p->patterns[ACCESS_WRITE].text,
        .read = p->patterns[ACCESS_READ].text,
    };
    put_record(CATALOG_RECORD_PERMISSION, &record, out);
}

static void put_topic_permission(const struct topic_permission *p, struct text *out)
{
    struct catalog_topic_permission record = {.write = p->write, .read = p->read};
    put_record(CATALOG_RECORD_TOPIC_PERMISSION, &record, out);
}

static void put_configs(const struct config_set *set, struct catalog_config *out)
{
    for (size_t i = 0; i < set->count; i++) {
        out[i].name = bytes_from_string(set->items[i].name);
        out[i].value = bytes_from_string(set->items[i].value);
    }
}

static void put_broker_config(const struct broker_config_scope *scope, struct text *out)
{
    struct arena arena;
    arena_init(&arena, DECODE_LIMIT_BYTES);
    struct catalog_broker_config record = {0};
    record.configs.items = wire_new(&catalog_config_schema, &arena, scope->set.count);
    record.configs.count = (int32_t)scope->set.count;
    check(record.configs.items);
    put_configs(&scope->set, record.configs.items);
    put_record(CATALOG_RECORD_BROKER_CONFIG, &record, out);
    arena_reset(&arena);
}

static void put_topic(struct core *core, const struct topic *topic, struct text *out)
{
    struct arena arena;
    arena_init(&arena, DECODE_LIMIT_BYTES);
    struct catalog_topic record = {.name = topic->name};
    size_t partitions = (size_t)topic->partition_count;
    record.partitions.items = wire_new(&catalog_partition_schema, &arena, partitions);
    record.partitions.count = topic->partition_count;
    record.configs.items = wire_new(&catalog_config_schema, &arena, topic->configs.count);
    record.configs.count = (int32_t)topic->configs.count;
    check(!arena.exhausted);
    for (size_t i = 0; i < partitions; i++) {
        struct catalog_partition *p = &record.partitions.items[i];
        p->log_id = (int64_t)topic->partitions[i]->log_id;
        p->leader = core->config.node_id;
        p->replicas.items = p->isr.items = &core->config.node_id;
        p->replicas.count = p->isr.count = 1;
    }
    put_configs(&topic->configs, record.configs.items);
    put_record(CATALOG_RECORD_TOPIC, &record, out);
    arena_reset(&arena);
}

static void put_exchange(const struct exchange *x, struct text *out)
{
    struct catalog_exchange record = {
        .type = bytes_from_string(exchange_kind_name(x->kind)),
        .durable = x->durable,
        .auto_delete = x->auto_delete,
        .internal = x->internal,
        .arguments = x->arguments,
    };
    if (x->internal_state->delays)
        record.delays_log_id = (int64_t)x->internal_state->delays->internal->log_id;
    put_record(CATALOG_RECORD_EXCHANGE, &record, out);
}

static void put_queue(struct core *core, const struct queue *q, struct text *out)
{
    struct catalog_queue record = {
        .log_id = (int64_t)q->internal->log_id,
        .auto_delete = q->auto_delete,
        .arguments = q->arguments,
        .is_timed = q->internal->is_timed,
        .leader = core->config.node_id,
    };
    record.replicas.items = record.isr.items = &core->config.node_id;
    record.replicas.count = record.isr.count = 1;
    put_record(CATALOG_RECORD_QUEUE, &record, out);
}

static void put_policy(const struct policy *policy, struct text *out)
{
    struct catalog_policy record = {
        .pattern = policy->pattern.text,
        .apply_to = policy->apply_to,
        .definition = policy->definition,
        .priority = policy->priority,
    };
    put_record(CATALOG_RECORD_POLICY, &record, out);
}

static void put_parameter(const struct parameter *parameter, struct text *out)
{
    struct catalog_parameter record = {.value = parameter->value};
    put_record(CATALOG_RECORD_PARAMETER, &record, out);
}

void catalog_encode_value(struct core *core, const struct catalog_entry *entry, struct text *out)
{
    static const char nothing[1];
    switch ((enum catalog_kind)entry->kind) {
    case CATALOG_META: put_meta(core, out); return;
    case CATALOG_VHOST: put_vhost(ENTRY_OF(entry, struct vhost), out); return;
    case CATALOG_USER: put_user(ENTRY_OF(entry, struct user), out); return;
    case CATALOG_TOPIC: put_topic(core, ENTRY_OF(entry, struct topic), out); return;
    case CATALOG_EXCHANGE:
        put_exchange(ENTRY_OF(entry, struct exchange_internal)->exchange, out);
        return;
    case CATALOG_QUEUE: put_queue(core, ENTRY_OF(entry, struct queue_internal)->self, out); return;
    case CATALOG_BROKER_CONFIG:
        put_broker_config(ENTRY_OF(entry, struct broker_config_scope), out);
        return;
    case CATALOG_PERMISSION: put_permission(ENTRY_OF(entry, struct permission), out); return;
    case CATALOG_TOPIC_PERMISSION:
        put_topic_permission(ENTRY_OF(entry, struct topic_permission), out);
        return;
    case CATALOG_POLICY: put_policy(ENTRY_OF(entry, struct policy_slot)->policy, out); return;
    case CATALOG_PARAMETER: put_parameter(ENTRY_OF(entry, struct parameter), out); return;
    case CATALOG_BINDING:
    case CATALOG_EXCHANGE_BINDING: put_record(entry->kind, nothing, out); return;
    case CATALOG_KIND_END: break;
    }
    check(false);
}

/* ---- decoding ---- */

/* Decode `in`, which must be one record with this id (0: any that is known). */
static enum err get_record(struct bytes in, int want_id, struct arena *arena, void *out)
{
    struct reader r = reader_of(in);
    int id = reader_u16(&r), version = reader_u16(&r);
    if (r.bad)
        return err_set(E_MALFORMED, "record of %zu bytes", in.size);
    if (id != want_id)
        return err_set(E_MALFORMED, "record id %d where %d was expected", id, want_id);
    const struct wire_record *record = wire_record_find(catalog_records, CATALOG_RECORD_COUNT, id);
    check(record);
    if (version > record->max)
        return err_set(E_UNSUPPORTED, "%s record of version %d is from a newer release: start that",
                       record->name, version);
    return wire_decode(record->schema, version, &r, arena, out);
}

/* Of a record that get_record() takes. */
static int record_version(struct bytes record)
{
    return get_u16(record.data + 2);
}

/* Keys that mean the same are the same bytes, or one object would have two records. */
static bool is_canonical(struct bytes in, const struct catalog_key *key)
{
    struct text again = {0};
    put_record(CATALOG_RECORD_KEY, key, &again);
    bool is_same = bytes_equal(in, text_bytes(&again));
    text_reset(&again);
    return is_same;
}

enum err catalog_key_kind(struct bytes in, int *out_kind, bool *out_ignored)
{
    struct arena arena;
    struct catalog_key key;
    arena_init(&arena, DECODE_LIMIT_BYTES);
    enum err err = get_record(in, CATALOG_RECORD_KEY, &arena, &key);
    if (!err && !is_canonical(in, &key))
        err = err_set(E_MALFORMED, "a key that no release writes");
    arena_reset(&arena);
    if (err)
        return err;
    bool known = key.kind >= CATALOG_META && key.kind < CATALOG_KIND_END;
    if (!known && !key.may_be_ignored)
        return err_set(E_UNSUPPORTED, "record of kind %d is from a newer release: start that",
                       key.kind);
    *out_kind = key.kind;
    *out_ignored = !known;
    return OK;
}

/* A record with the parts of its key. */
struct reading {
    struct core *core;
    struct catalog_loaded *loaded;
    struct arena arena;
    struct bytes *parts;
};

static enum err read_value(struct reading *r, void *out)
{
    return get_record(r->loaded->value, r->loaded->kind, &r->arena, out);
}

static enum err apply_meta(struct reading *r)
{
    struct catalog_meta meta;
    struct core *core = r->core;
    enum err err = read_value(r, &meta);
    if (err)
        return err;
    struct core_config *config = &core->config;
    if (meta.cluster_id.size >= sizeof config->cluster_id)
        return err_set(E_MALFORMED, "cluster id of %zu bytes", meta.cluster_id.size);
    if (config->cluster_id[0] && !bytes_equal_string(meta.cluster_id, config->cluster_id))
        return err_set(E_INVALID, "the data directory belongs to cluster %.*s, not to %s",
                       BYTES_FORMAT(meta.cluster_id), config->cluster_id);
    if (config->node_id != meta.node_id)
        return err_set(E_INVALID, "the data directory belongs to node %d, not to %d", meta.node_id,
                       config->node_id);
    if (meta.next_producer_id < 0)
        return err_set(E_MALFORMED, "the next producer id is %lld",
                       (long long)meta.next_producer_id);
    if (meta.next_log_id <= CATALOG_LOG_ID || meta.next_log_id > INT64_MAX / 2)
        return err_set(E_MALFORMED, "the next log id is %lld", (long long)meta.next_log_id);
    memset(config->cluster_id, 0, sizeof config->cluster_id);
    memcpy(config->cluster_id, meta.cluster_id.data, meta.cluster_id.size);
    core->catalog->next_log_id = core->catalog->reserved_log_id = (uint64_t)meta.next_log_id;
    core->catalog->next_producer_id = core->catalog->reserved_producer_id = meta.next_producer_id;
    r->loaded->entry = &core->catalog->meta;
    return OK;
}

/* Tags are bounded as limits of the objects that they are made into. */
static enum err apply_vhost(struct reading *r)
{
    struct catalog_vhost record;
    struct vhost *vhost;
    enum err err = read_value(r, &record);
    if (err)
        return err;
    struct vhost_saved saved = {
        .spec = {.description = record.description,
                 .tags = record.tags.items,
                 .tag_count = (size_t)record.tags.count,
                 .default_queue_type = record.default_queue_type,
                 .is_protected = record.is_protected},
        .max_connections = record.max_connections,
        .max_queues = record.max_queues,
        .doomed = record.doomed,
    };
    err = vhost_restore(r->core, r->parts[0], &saved, &vhost);
    if (!err)
        r->loaded->entry = &vhost->entry;
    return err;
}

static enum err apply_user(struct reading *r)
{
    struct catalog_user record;
    struct user *user;
    enum err err = read_value(r, &record);
    if (err)
        return err;
    if (record.hashing < 0 || record.hashing >= PASSWORD_HASHINGS)
        return err_set(E_MALFORMED, "password hashing %d", record.hashing);
    bool is_old = record_version(r->loaded->value) == 0;
    struct user_saved saved = {
        .hashing = (enum password_hashing)record.hashing,
        .password_hash = record.password_hash,
        .tags = is_old ? NULL : record.tags.items,
        .tag_count = (size_t)record.tags.count,
        .tag_text = record.tag_text,
        .max_connections = record.max_connections,
        .max_channels = record.max_channels,
    };
    err = user_restore(r->core, r->parts[0], &saved, &user);
    if (err)
        return err;
    r->core->catalog->is_without_permissions |= is_old;
    r->loaded->entry = &user->entry;
    return OK;
}

static struct topic_config *read_configs(struct reading *r, const struct catalog_config *in,
                                         int32_t count)
{
    struct topic_config *configs = arena_zalloc(&r->arena, (size_t)count, sizeof *configs);
    check(configs);
    for (int32_t i = 0; i < count; i++) {
        const struct catalog_config *c = &in[i];
        configs[i].name = arena_printf(&r->arena, "%.*s", BYTES_FORMAT(c->name));
        configs[i].value = arena_printf(&r->arena, "%.*s", BYTES_FORMAT(c->value));
    }
    return configs;
}

/* Every log belongs to one object, which got its id from the catalog. */
static enum err claim_log(struct reading *r, int64_t id)
{
    struct catalog *c = r->core->catalog;
    if (id <= CATALOG_LOG_ID || (uint64_t)id >= c->next_log_id)
        return err_set(E_MALFORMED, "log %lld was never given out (next is %llu)", (long long)id,
                       (unsigned long long)c->next_log_id);
    if (idmap_put(&c->claimed, (uint64_t)id, r->loaded))
        return err_set(E_MALFORMED, "log %lld belongs to two objects", (long long)id);
    return OK;
}

/* AMQP's names and keys are short strings. */
static enum err check_short(const struct reading *r, int first, int count)
{
    for (int i = first; i < first + count; i++)
        if (r->parts[i].size > UINT8_MAX)
            return err_set(E_MALFORMED, "a name of %zu bytes", r->parts[i].size);
    return OK;
}

static enum err apply_topic(struct reading *r)
{
    struct catalog_topic record;
    struct topic *topic;
    enum err err = read_value(r, &record);
    if (err)
        return err;
    if (r->parts[0].size != 16 || record.partitions.count < 1)
        return err_set(E_MALFORMED, "topic '%.*s' without id or partitions",
                       BYTES_FORMAT(record.name));
    err = topic_restore(r->core, record.name, r->parts[0].data, record.partitions.count,
                        read_configs(r, record.configs.items, record.configs.count),
                        (size_t)record.configs.count, &topic);
    if (err)
        return err;
    for (int32_t i = 0; i < record.partitions.count; i++) {
        err = claim_log(r, record.partitions.items[i].log_id);
        if (err)
            return err;
        topic->partitions[i]->log_id = (uint64_t)record.partitions.items[i].log_id;
    }
    r->loaded->entry = &topic->entry;
    return OK;
}

static enum err find_vhost(struct reading *r, struct vhost **out)
{
    *out = vhost_lookup(r->core, r->parts[0]);
    return *out ? OK : err_set(E_MALFORMED, "vhost '%.*s' is missing", BYTES_FORMAT(r->parts[0]));
}

static enum err apply_exchange(struct reading *r)
{
    struct catalog_exchange record;
    struct vhost *vhost;
    enum exchange_kind kind;
    enum err err = read_value(r, &record);
    if (!err)
        err = find_vhost(r, &vhost);
    if (!err)
        err = check_short(r, 1, 1);
    if (err)
        return err;
    if (exchange_find(vhost, r->parts[1]))
        return err_set(E_MALFORMED, "exchange '%.*s' is one of those that every vhost has",
                       BYTES_FORMAT(r->parts[1]));
    if (!exchange_kind_parse(record.type, &kind))
        return err_set(E_UNSUPPORTED, "exchange '%.*s' has the unknown type '%.*s'",
                       BYTES_FORMAT(r->parts[1]), BYTES_FORMAT(record.type));
    struct exchange_spec spec = {
        .name = r->parts[1],
        .kind = kind,
        .durable = record.durable,
        .auto_delete = record.auto_delete,
        .internal = record.internal,
        .arguments = record.arguments,
    };
    if (kind == EXCHANGE_DELAYED && !err)
        err = claim_log(r, record.delays_log_id);
    if (!err)
        err = exchange_check(&spec);
    if (err)
        return err_wrap(err, "exchange '%.*s'", BYTES_FORMAT(spec.name));
    struct exchange *x = exchange_restore(vhost, &spec, (uint64_t)record.delays_log_id);
    r->loaded->entry = &x->internal_state->entry;
    return OK;
}

static enum err apply_queue(struct reading *r)
{
    struct catalog_queue record;
    struct vhost *vhost;
    enum err err = read_value(r, &record);
    if (!err)
        err = find_vhost(r, &vhost);
    if (!err)
        err = check_short(r, 1, 1);
    if (!err)
        err = claim_log(r, record.log_id);
    if (err)
        return err;
    struct queue_spec spec = {
        .name = r->parts[1],
        .durable = true,
        .auto_delete = record.auto_delete,
        .arguments = record.arguments,
    };
    const char *argument;
    err = queue_check(&spec, &argument);
    if (err)
        return err_wrap(err, "argument %s of queue '%.*s'", argument, BYTES_FORMAT(spec.name));
    struct queue *queue = queue_restore(vhost, &spec, (uint64_t)record.log_id, record.is_timed);
    r->loaded->entry = &queue->internal->entry;
    return OK;
}

static enum err restore_binding(struct reading *r, bool to_exchange)
{
    struct vhost *vhost;
    enum err err = find_vhost(r, &vhost);
    if (!err)
        err = check_short(r, 1, 3);
    if (err)
        return err;
    struct exchange *exchange = exchange_find(vhost, r->parts[1]);
    struct exchange *target = to_exchange ? exchange_find(vhost, r->parts[2]) : NULL;
    struct queue *queue = to_exchange ? NULL : queue_find(vhost, r->parts[2]);
    if (!exchange || (!queue && !target))
        return err_set(E_MALFORMED, "binding of exchange '%.*s' and %s '%.*s': one is missing",
                       BYTES_FORMAT(r->parts[1]), to_exchange ? "exchange" : "queue",
                       BYTES_FORMAT(r->parts[2]));
    struct binding *binding = binding_restore(exchange, queue, target, r->parts[3], r->parts[4]);
    r->loaded->entry = &binding->entry;
    return OK;
}

static enum err apply_binding(struct reading *r)
{
    struct catalog_binding record;
    enum err err = read_value(r, &record);
    return err ? err : restore_binding(r, false);
}

static enum err apply_exchange_binding(struct reading *r)
{
    struct catalog_exchange_binding record;
    enum err err = read_value(r, &record);
    return err ? err : restore_binding(r, true);
}

static enum err apply_broker_config(struct reading *r)
{
    struct catalog_broker_config record;
    enum err err = read_value(r, &record);
    if (err)
        return err;
    return broker_configs_restore(r->core, r->parts[0],
                                  read_configs(r, record.configs.items, record.configs.count),
                                  (size_t)record.configs.count, &r->loaded->entry);
}

static enum err find_user(struct reading *r, struct user **out)
{
    *out = user_find(r->core, r->parts[1]);
    return *out ? OK : err_set(E_MALFORMED, "user '%.*s' is missing", BYTES_FORMAT(r->parts[1]));
}

static enum err apply_permission(struct reading *r)
{
    struct catalog_permission record;
    struct vhost *vhost;
    struct user *user;
    struct permission *permission;
    enum err err = read_value(r, &record);
    if (!err)
        err = find_vhost(r, &vhost);
    if (!err)
        err = find_user(r, &user);
    if (err)
        return err;
    const struct bytes texts[ACCESS_RIGHTS] = {[ACCESS_CONFIGURE] = record.configure,
                                               [ACCESS_WRITE] = record.write,
                                               [ACCESS_READ] = record.read};
    err = permission_restore(user, vhost, texts, &permission);
    if (!err)
        r->loaded->entry = &permission->entry;
    return err;
}

static enum err apply_topic_permission(struct reading *r)
{
    struct catalog_topic_permission record;
    struct vhost *vhost;
    struct user *user;
    struct topic_permission *permission;
    enum err err = read_value(r, &record);
    if (!err)
        err = find_vhost(r, &vhost);
    if (!err)
        err = find_user(r, &user);
    if (!err)
        err = check_short(r, 2, 1);
    if (!err)
        err = topic_permission_restore(user, vhost, r->parts[2], record.write, record.read,
                                       &permission);
    if (!err)
        r->loaded->entry = &permission->entry;
    return err;
}

static enum err apply_policy(struct reading *r)
{
    struct catalog_policy record;
    struct vhost *vhost;
    enum err err = read_value(r, &record);
    if (!err)
        err = find_vhost(r, &vhost);
    if (!err)
        err = amqp_table_validate(record.definition, AMQP_TABLE_DEPTH_MAX);
    if (err)
        return err;
    struct policy_spec spec = {
        .name = r->parts[2],
        .pattern = record.pattern,
        .apply_to = record.apply_to,
        .definition = record.definition,
        .priority = record.priority,
    };
    return policy_restore(vhost, r->parts[1], &spec, &r->loaded->entry);
}

static enum err apply_parameter(struct reading *r)
{
    struct catalog_parameter record;
    struct vhost *vhost = NULL;
    enum err err = read_value(r, &record);
    if (!err && r->parts[0].size > 0)
        err = find_vhost(r, &vhost);
    if (err)
        return err;
    r->loaded->entry =
        &parameter_restore(r->core, vhost, r->parts[1], r->parts[2], record.value)->entry;
    return OK;
}

static const struct {
    enum err (*apply)(struct reading *);
    int parts;
} kinds[CATALOG_KIND_END] = {
    [CATALOG_META] = {apply_meta, 0},
    [CATALOG_VHOST] = {apply_vhost, 1},
    [CATALOG_USER] = {apply_user, 1},
    [CATALOG_TOPIC] = {apply_topic, 1},
    [CATALOG_EXCHANGE] = {apply_exchange, 2},
    [CATALOG_QUEUE] = {apply_queue, 2},
    [CATALOG_BINDING] = {apply_binding, 5},
    [CATALOG_EXCHANGE_BINDING] = {apply_exchange_binding, 5},
    [CATALOG_BROKER_CONFIG] = {apply_broker_config, 1},
    [CATALOG_POLICY] = {apply_policy, 3},
    [CATALOG_PARAMETER] = {apply_parameter, 3},
    [CATALOG_PERMISSION] = {apply_permission, 2},
    [CATALOG_TOPIC_PERMISSION] = {apply_topic_permission, 3},
};

enum err catalog_apply(struct core *core, struct catalog_loaded *loaded)
{
    struct catalog_key key;
    struct reading r = {.core = core, .loaded = loaded};
    arena_init(&r.arena, DECODE_LIMIT_BYTES);
    enum err err = get_record(loaded->key, CATALOG_RECORD_KEY, &r.arena, &key);
    if (!err && key.parts.count != kinds[loaded->kind].parts)
        err = err_set(E_MALFORMED, "key of kind %d with %d parts", loaded->kind, key.parts.count);
    if (!err) {
        r.parts = key.parts.items;
        err = kinds[loaded->kind].apply(&r);
    }
    arena_reset(&r.arena);
    return err;
}
