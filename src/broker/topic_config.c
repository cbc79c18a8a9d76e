#include "broker/topic_config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/nearest.h"
#include "base/number.h"
#include "broker/broker_config_internal.h"
#include "broker/core_internal.h"

#define NUMBER_BOUNDS_NONE 0, 0

static const struct topic_config_row rows[] = {
    {"cleanup.policy", "log.cleanup.policy", CONFIG_LIST, "delete", NUMBER_BOUNDS_NONE,
     "compact|delete", NULL, "what happens to old records: delete, compact, or both"},
    {"compression.gzip.level", "compression.gzip.level", CONFIG_INT, "-1", -1, 9, NULL, NULL,
     "level when compression.type is gzip"},
    {"compression.lz4.level", "compression.lz4.level", CONFIG_INT, "9", 1, 17, NULL, NULL,
     "level when compression.type is lz4"},
    {"compression.type", "compression.type", CONFIG_STRING, "producer", NUMBER_BOUNDS_NONE,
     "uncompressed|zstd|lz4|snappy|gzip|producer", NULL,
     "codec of stored batches; producer: as they came"},
    {"compression.zstd.level", "compression.zstd.level", CONFIG_INT, "3", -131072, 22, NULL, NULL,
     "level when compression.type is zstd"},
    {"delete.retention.ms", "log.cleaner.delete.retention.ms", CONFIG_LONG, "86400000", 0,
     INT64_MAX, NULL, NULL, "how long a compacted topic keeps the mark of a deleted key"},
    {"durability", "durability", CONFIG_STRING, NULL, NUMBER_BOUNDS_NONE, "fsync|os|memory", NULL,
     "committed means: synced to disk, given to the operating system, or kept in memory only"},
    {"file.delete.delay.ms", "log.segment.delete.delay.ms", CONFIG_LONG, "60000", 0, INT64_MAX,
     NULL, NULL, "without effect: files are removed when nothing needs them"},
    {"flush.messages", "log.flush.interval.messages", CONFIG_LONG, "9223372036854775807", 1,
     INT64_MAX, NULL, NULL, "without effect: see durability"},
    {"flush.ms", "log.flush.interval.ms", CONFIG_LONG, "9223372036854775807", 0, INT64_MAX, NULL,
     NULL, "without effect: see durability"},
    {"follower.replication.throttled.replicas", NULL, CONFIG_LIST, "", NUMBER_BOUNDS_NONE, NULL,
     NULL, "without effect: nothing is replicated"},
    {"index.interval.bytes", "log.index.interval.bytes", CONFIG_INT, "4096", 0, INT32_MAX, NULL,
     NULL, "without effect: the index has its own interval"},
    {"leader.replication.throttled.replicas", NULL, CONFIG_LIST, "", NUMBER_BOUNDS_NONE, NULL, NULL,
     "without effect: nothing is replicated"},
    {"local.retention.bytes", "log.local.retention.bytes", CONFIG_LONG, "-2", -2, INT64_MAX, NULL,
     "-2", "bytes kept locally with remote storage"},
    {"local.retention.ms", "log.local.retention.ms", CONFIG_LONG, "-2", -2, INT64_MAX, NULL, "-2",
     "time kept locally with remote storage"},
    {"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", CONFIG_LONG,
     "9223372036854775807", 1, INT64_MAX, NULL, NULL,
     "the longest that a record stays uncompacted"},
    {"max.message.bytes", "message.max.bytes", CONFIG_INT, NULL, 0, INT32_MAX, NULL, NULL,
     "the largest record batch, after compression"},
    {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", CONFIG_LONG, "3600000",
     0, INT64_MAX, NULL, NULL, "how far a record's timestamp may lie ahead of the broker's clock"},
    {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", CONFIG_LONG,
     "9223372036854775807", 0, INT64_MAX, NULL, NULL,
     "how far a record's timestamp may lie behind the broker's clock"},
    {"message.timestamp.type", "log.message.timestamp.type", CONFIG_STRING, "CreateTime",
     NUMBER_BOUNDS_NONE, "CreateTime|LogAppendTime", NULL,
     "whose clock a record's timestamp is from"},
    {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", CONFIG_DOUBLE, "0.5", 0, 1,
     NULL, NULL, "share of uncompacted bytes at which compaction starts"},
    {"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", CONFIG_LONG, "0", 0, INT64_MAX,
     NULL, NULL, "the shortest that a record stays uncompacted"},
    {"min.insync.replicas", "min.insync.replicas", CONFIG_INT, "1", 1, INT32_MAX, NULL, NULL,
     "replicas that must hold a record before acks=all is answered"},
    {"preallocate", "log.preallocate", CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, NULL,
     "without effect: space is always allocated ahead"},
    {"remote.log.copy.disable", NULL, CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, "false",
     "stop copying to remote storage"},
    {"remote.log.delete.on.disable", NULL, CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, "false",
     "delete from remote storage when that is switched off"},
    {"remote.storage.enable", NULL, CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, "false",
     "keep old segments in remote storage"},
    {"retention.bytes", "log.retention.bytes", CONFIG_LONG, "-1", -1, INT64_MAX, NULL, NULL,
     "bytes that a partition keeps; -1: all"},
    {"retention.ms", "log.retention.ms", CONFIG_LONG, "604800000", -1, INT64_MAX, NULL, NULL,
     "how long records are kept; -1: for ever"},
    {"segment.bytes", "log.segment.bytes", CONFIG_INT, NULL, 1 << 20, INT32_MAX, NULL, NULL,
     "size at which a new segment file begins; at most what the configuration file says counts"},
    {"segment.index.bytes", "log.index.size.max.bytes", CONFIG_INT, "10485760", 4, INT32_MAX, NULL,
     NULL, "without effect: an index is as large as its segment needs"},
    {"segment.jitter.ms", "log.roll.jitter.ms", CONFIG_LONG, "0", 0, INT64_MAX, NULL, NULL,
     "without effect: segments of many partitions do not end together"},
    {"segment.ms", "log.roll.ms", CONFIG_LONG, "604800000", 1, INT64_MAX, NULL, NULL,
     "time after which a new segment file begins"},
    {"unclean.leader.election.enable", "unclean.leader.election.enable", CONFIG_BOOL, "false",
     NUMBER_BOUNDS_NONE, NULL, NULL, "without effect: every partition has one replica"},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

const struct topic_config_row *topic_config_rows(size_t *count)
{
    *count = ROW_COUNT;
    return rows;
}

static int compare_name(const void *name, const void *row)
{
    return strcmp(name, ((const struct topic_config_row *)row)->name);
}

const struct topic_config_row *topic_config_find(const char *name)
{
    return bsearch(name, rows, ROW_COUNT, sizeof *rows, compare_name);
}

const struct topic_config_row *topic_config_of_broker(const char *broker_name)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].broker_name && strcmp(rows[i].broker_name, broker_name) == 0)
            return &rows[i];
    return NULL;
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LEVEL_FSYNC: return "fsync";
    case LEVEL_OS: return "os";
    case LEVEL_MEMORY: return "memory";
    }
    check(false);
    return NULL;
}

/* ---- where a value comes from ---- */

/* What the table leaves to the configuration. */
static const char *core_default(const struct core *core, const struct topic_config_row *row,
                                char scratch[24])
{
    long long number;
    if (row->standard)
        return row->standard;
    if (strcmp(row->name, "durability") == 0)
        return level_name(core->config.durability);
    if (strcmp(row->name, "max.message.bytes") == 0)
        number = core->config.topic_message_max_bytes;
    else
        number = (long long)core->config.store.segment_bytes;
    snprintf(scratch, 24, "%lld", number);
    return scratch;
}

static void add_value(struct config_values *out, const char *name, const char *value,
                      enum config_source source)
{
    if (value)
        out->items[out->count++] = (struct config_value){name, value, source};
}

void topic_config_values(const struct core *core, const struct config_set *topic_configs,
                         const struct topic_config_row *row, struct config_values *out)
{
    const char *name = row->broker_name;
    const struct broker_setting *setting = name ? broker_setting_find(core, name) : NULL;
    out->count = 0;
    if (topic_configs)
        add_value(out, row->name, config_set_get(topic_configs, row->name), CONFIG_OF_TOPIC);
    if (name) {
        const struct config_set *node = broker_configs(core, BROKER_SCOPE_NODE);
        const struct config_set *cluster = broker_configs(core, BROKER_SCOPE_CLUSTER);
        add_value(out, name, config_set_get(node, name), CONFIG_OF_NODE);
        add_value(out, name, config_set_get(cluster, name), CONFIG_OF_CLUSTER);
    }
    if (setting)
        add_value(out, name, setting->value,
                  setting->is_given ? CONFIG_OF_FILE : CONFIG_OF_DEFAULT);
    else
        add_value(out, name ? name : row->name, core_default(core, row, out->scratch),
                  CONFIG_OF_DEFAULT);
}

void broker_configs_resolve(struct core *core)
{
    struct broker_configs *b = core->internal->broker_configs;
    static_assert((int)ROW_COUNT <= (int)BROKER_DEFAULTS_MAX, "a default for each topic config");
    for (size_t i = 0; i < ROW_COUNT; i++)
        topic_config_values(core, NULL, &rows[i], &b->defaults[i]);
}

/* The value in force: the topic's own, else the broker's as resolved last. */
static const char *value_of(const struct core *core, const struct config_set *configs,
                            const struct topic_config_row *row)
{
    const char *value = configs->count > 0 ? config_set_get(configs, row->name) : NULL;
    return value ? value : core->internal->broker_configs->defaults[row - rows].items[0].value;
}

/* ---- values ---- */

static bool is_choice(struct bytes value, const char *choices)
{
    for (const char *at = choices; at;) {
        const char *end = strchr(at, '|');
        size_t size = end ? (size_t)(end - at) : strlen(at);
        if (bytes_equal(value, bytes_of(at, size)))
            return true;
        at = end ? end + 1 : NULL;
    }
    return false;
}

static struct bytes trim(struct bytes b)
{
    while (b.size > 0 && b.data[0] == ' ')
        b.data++, b.size--;
    while (b.size > 0 && b.data[b.size - 1] == ' ')
        b.size--;
    return b;
}

/* Every item of a list separated by commas is one of the choices. An empty list is legal. */
static bool all_are_choices(const char *value, const char *choices)
{
    while (choices && *value) {
        const char *end = strchr(value, ',');
        size_t size = end ? (size_t)(end - value) : strlen(value);
        if (!is_choice(trim(bytes_of(value, size)), choices))
            return false;
        value = end ? end + 1 : value + size;
    }
    return true;
}

static bool number_is_legal(const struct topic_config_row *row, const char *value)
{
    int64_t number;
    return number_parse_i64(trim(bytes_from_string(value)), &number) && number >= row->min &&
           number <= row->max;
}

static bool double_is_legal(const struct topic_config_row *row, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    return end != value && trim(bytes_from_string(end)).size == 0 && number >= (double)row->min &&
           number <= (double)row->max;
}

static bool value_is_legal(const struct topic_config_row *row, const char *value)
{
    struct bytes text = trim(bytes_from_string(value));
    switch (row->type) {
    case CONFIG_BOOL: return is_choice(text, "true|false");
    case CONFIG_INT:
    case CONFIG_LONG: return number_is_legal(row, value);
    case CONFIG_DOUBLE: return double_is_legal(row, value);
    case CONFIG_STRING: return is_choice(text, row->choices);
    case CONFIG_LIST: return all_are_choices(value, row->choices);
    }
    check(false);
    return false;
}

static enum err unknown_name(const char *name)
{
    struct nearest nearest = {0};
    for (size_t i = 0; i < ROW_COUNT; i++)
        nearest_consider(&nearest, bytes_from_string(name), bytes_from_string(rows[i].name));
    if (nearest.name[0])
        return err_set(E_INVALID, "Unknown topic config name: %s (did you mean %s?)", name,
                       nearest.name);
    return err_set(E_INVALID, "Unknown topic config name: %s", name);
}

enum err topic_config_check_value(const struct topic_config_row *row, const char *name,
                                  const char *value)
{
    if (!value_is_legal(row, value))
        return err_set(E_INVALID, "Invalid value %s for configuration %s", value, name);
    if (row->built && !all_are_choices(value, row->built))
        return err_set(E_UNSUPPORTED, "%s=%s is not supported yet", name, value);
    return OK;
}

enum err topic_config_check(const char *name, const char *value)
{
    const struct topic_config_row *row = topic_config_find(name);
    if (!row)
        return unknown_name(name);
    if (!value)
        return err_set(E_INVALID, "Null value not supported for topic configs: %s", name);
    return topic_config_check_value(row, name, value);
}

/* ---- effects ---- */

static const char *text_of(const struct core *core, const struct config_set *configs,
                           const char *name)
{
    return value_of(core, configs, topic_config_find(name));
}

static bool says(const struct core *core, const struct config_set *configs, const char *name,
                 const char *value)
{
    return bytes_equal_string(trim(bytes_from_string(text_of(core, configs, name))), value);
}

static int64_t number_of(const struct core *core, const struct config_set *configs,
                         const char *name)
{
    int64_t number = 0;
    bool legal = number_parse_i64(trim(bytes_from_string(text_of(core, configs, name))), &number);
    check(legal);
    return number;
}

enum log_level topic_config_level(const struct core *core, const struct config_set *configs)
{
    struct bytes name = trim(bytes_from_string(text_of(core, configs, "durability")));
    for (int level = LEVEL_FSYNC; level < LEVEL_MEMORY; level++)
        if (bytes_equal_string(name, level_name((enum log_level)level)))
            return (enum log_level)level;
    return LEVEL_MEMORY;
}

enum err topic_config_check_all(const struct core *core, const struct config_set *configs)
{
    for (size_t i = 0; i < configs->count; i++) {
        enum err err = topic_config_check(configs->items[i].name, configs->items[i].value);
        if (err)
            return err;
    }
    int64_t least = number_of(core, configs, "min.compaction.lag.ms");
    int64_t most = number_of(core, configs, "max.compaction.lag.ms");
    if (least > most)
        return err_set(E_INVALID,
                       "conflict topic config setting min.compaction.lag.ms (%lld) > "
                       "max.compaction.lag.ms (%lld)",
                       (long long)least, (long long)most);
    return OK;
}

static void apply_policy(const struct core *core, const struct config_set *configs,
                         struct log_policy *out)
{
    const char *cleanup = text_of(core, configs, "cleanup.policy");
    out->drop = strstr(cleanup, "delete") != NULL;
    out->compact = strstr(cleanup, "compact") != NULL;
    out->retention_ms = number_of(core, configs, "retention.ms");
    out->retention_bytes = number_of(core, configs, "retention.bytes");
    out->segment_bytes = number_of(core, configs, "segment.bytes");
    out->segment_ms = number_of(core, configs, "segment.ms");
    out->min_compaction_lag_ms = number_of(core, configs, "min.compaction.lag.ms");
    out->max_compaction_lag_ms = number_of(core, configs, "max.compaction.lag.ms");
    out->delete_retention_ms = number_of(core, configs, "delete.retention.ms");
    out->min_dirty_ratio = strtod(text_of(core, configs, "min.cleanable.dirty.ratio"), NULL);
}

static void apply_codec(const struct core *core, const struct config_set *configs,
                        struct topic *topic)
{
    static const struct {
        const char *type, *level;
        int codec;
    } codecs[] = {
        {"producer", NULL, CODEC_OF_PRODUCER},
        {"uncompressed", NULL, CODEC_NONE},
        {"gzip", "compression.gzip.level", CODEC_GZIP},
        {"snappy", NULL, CODEC_SNAPPY},
        {"lz4", "compression.lz4.level", CODEC_LZ4},
        {"zstd", "compression.zstd.level", CODEC_ZSTD},
    };
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        if (!says(core, configs, "compression.type", codecs[i].type))
            continue;
        topic->codec = codecs[i].codec;
        topic->codec_level =
            codecs[i].level ? (int)number_of(core, configs, codecs[i].level) : BATCH_LEVEL_STANDARD;
    }
}

void topic_config_apply(const struct core *core, struct topic *topic)
{
    const struct config_set *set = &topic->configs;
    if (!topic->partitions[0]->log) /* the level of what has a log does not change */
        topic->level = topic_config_level(core, set);
    topic->message_max_bytes = number_of(core, set, "max.message.bytes");
    topic->log_append_time = says(core, set, "message.timestamp.type", "LogAppendTime");
    topic->timestamp_before_max_ms = number_of(core, set, "message.timestamp.before.max.ms");
    topic->timestamp_after_max_ms = number_of(core, set, "message.timestamp.after.max.ms");
    apply_codec(core, set, topic);
    apply_policy(core, set, &topic->policy);
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (topic->partitions[i]->log)
            log_set_policy(topic->partitions[i]->log, &topic->policy);
}
