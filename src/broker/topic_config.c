#include "broker/topic_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"

#define NUMBER_BOUNDS_NONE 0, 0

static const struct topic_config_row rows[] = {
    {"cleanup.policy", TOPIC_CONFIG_LIST, "delete", NUMBER_BOUNDS_NONE, "compact|delete", "delete",
     "what happens to old records: delete, compact, or both"},
    {"compression.gzip.level", TOPIC_CONFIG_INT, "-1", -1, 9, NULL, NULL,
     "level when compression.type is gzip"},
    {"compression.lz4.level", TOPIC_CONFIG_INT, "9", 1, 17, NULL, NULL,
     "level when compression.type is lz4"},
    {"compression.type", TOPIC_CONFIG_STRING, "producer", NUMBER_BOUNDS_NONE,
     "uncompressed|zstd|lz4|snappy|gzip|producer", "producer",
     "codec of stored batches; producer: as they came"},
    {"compression.zstd.level", TOPIC_CONFIG_INT, "3", -131072, 22, NULL, NULL,
     "level when compression.type is zstd"},
    {"delete.retention.ms", TOPIC_CONFIG_LONG, "86400000", 0, INT64_MAX, NULL, NULL,
     "how long a compacted topic keeps the mark of a deleted key"},
    {"durability", TOPIC_CONFIG_STRING, NULL, NUMBER_BOUNDS_NONE, "fsync|os|memory", NULL,
     "committed means: synced to disk, given to the operating system, or kept in memory only"},
    {"file.delete.delay.ms", TOPIC_CONFIG_LONG, "60000", 0, INT64_MAX, NULL, NULL,
     "without effect: files are removed when nothing needs them"},
    {"flush.messages", TOPIC_CONFIG_LONG, "9223372036854775807", 1, INT64_MAX, NULL, NULL,
     "without effect: see durability"},
    {"flush.ms", TOPIC_CONFIG_LONG, "9223372036854775807", 0, INT64_MAX, NULL, NULL,
     "without effect: see durability"},
    {"follower.replication.throttled.replicas", TOPIC_CONFIG_LIST, "", NUMBER_BOUNDS_NONE, NULL,
     NULL, "replicas whose followers are throttled"},
    {"index.interval.bytes", TOPIC_CONFIG_INT, "4096", 0, INT32_MAX, NULL, NULL,
     "without effect: the index has its own interval"},
    {"leader.replication.throttled.replicas", TOPIC_CONFIG_LIST, "", NUMBER_BOUNDS_NONE, NULL, NULL,
     "replicas whose leaders are throttled"},
    {"local.retention.bytes", TOPIC_CONFIG_LONG, "-2", -2, INT64_MAX, NULL, NULL,
     "bytes kept locally with remote storage"},
    {"local.retention.ms", TOPIC_CONFIG_LONG, "-2", -2, INT64_MAX, NULL, NULL,
     "time kept locally with remote storage"},
    {"max.compaction.lag.ms", TOPIC_CONFIG_LONG, "9223372036854775807", 1, INT64_MAX, NULL, NULL,
     "the longest that a record stays uncompacted"},
    {"max.message.bytes", TOPIC_CONFIG_INT, NULL, 0, INT32_MAX, NULL, NULL,
     "the largest record batch, after compression"},
    {"message.timestamp.after.max.ms", TOPIC_CONFIG_LONG, "3600000", 0, INT64_MAX, NULL, NULL,
     "how far a record's timestamp may lie ahead of the broker's clock"},
    {"message.timestamp.before.max.ms", TOPIC_CONFIG_LONG, "9223372036854775807", 0, INT64_MAX,
     NULL, NULL, "how far a record's timestamp may lie behind the broker's clock"},
    {"message.timestamp.type", TOPIC_CONFIG_STRING, "CreateTime", NUMBER_BOUNDS_NONE,
     "CreateTime|LogAppendTime", NULL, "whose clock a record's timestamp is from"},
    {"min.cleanable.dirty.ratio", TOPIC_CONFIG_DOUBLE, "0.5", 0, 1, NULL, NULL,
     "share of uncompacted bytes at which compaction starts"},
    {"min.compaction.lag.ms", TOPIC_CONFIG_LONG, "0", 0, INT64_MAX, NULL, NULL,
     "the shortest that a record stays uncompacted"},
    {"min.insync.replicas", TOPIC_CONFIG_INT, "1", 1, INT32_MAX, NULL, "1",
     "replicas that must hold a record before acks=all is answered"},
    {"preallocate", TOPIC_CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, NULL,
     "without effect: space is always allocated ahead"},
    {"remote.log.copy.disable", TOPIC_CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, "false",
     "stop copying to remote storage"},
    {"remote.log.delete.on.disable", TOPIC_CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, "false",
     "delete from remote storage when that is switched off"},
    {"remote.storage.enable", TOPIC_CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, "false",
     "keep old segments in remote storage"},
    {"retention.bytes", TOPIC_CONFIG_LONG, "-1", -1, INT64_MAX, NULL, NULL,
     "bytes that a partition keeps; -1: all"},
    {"retention.ms", TOPIC_CONFIG_LONG, "604800000", -1, INT64_MAX, NULL, NULL,
     "how long records are kept; -1: for ever"},
    {"segment.bytes", TOPIC_CONFIG_INT, "1073741824", 1 << 20, INT32_MAX, NULL, NULL,
     "size at which a new segment file begins"},
    {"segment.index.bytes", TOPIC_CONFIG_INT, "10485760", 4, INT32_MAX, NULL, NULL,
     "without effect: an index is as large as its segment needs"},
    {"segment.jitter.ms", TOPIC_CONFIG_LONG, "0", 0, INT64_MAX, NULL, NULL,
     "spreads segment.ms of many partitions"},
    {"segment.ms", TOPIC_CONFIG_LONG, "604800000", 1, INT64_MAX, NULL, NULL,
     "time after which a new segment file begins"},
    {"unclean.leader.election.enable", TOPIC_CONFIG_BOOL, "false", NUMBER_BOUNDS_NONE, NULL, NULL,
     "prefer availability over committed records when all in-sync replicas are gone"},
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

static const struct topic_config_row *find_row(const char *name)
{
    return bsearch(name, rows, ROW_COUNT, sizeof *rows, compare_name);
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

static enum log_level level_of(const char *name)
{
    if (strcmp(name, "fsync") == 0)
        return LEVEL_FSYNC;
    return strcmp(name, "os") == 0 ? LEVEL_OS : LEVEL_MEMORY;
}

/* ---- values ---- */

const char *topic_config_default(const struct core *core, const struct topic_config_row *row,
                                 char scratch[32])
{
    if (row->standard)
        return row->standard;
    if (strcmp(row->name, "durability") == 0)
        return level_name(core->config.durability);
    check(strcmp(row->name, "max.message.bytes") == 0);
    snprintf(scratch, 32, "%lld", (long long)core->config.topic_message_max_bytes);
    return scratch;
}

static const char *value_of(const struct core *core, const struct topic *topic,
                            const struct topic_config_row *row, char scratch[32])
{
    for (size_t i = 0; i < topic->configs.count; i++)
        if (strcmp(topic->configs.items[i].name, row->name) == 0)
            return topic->configs.items[i].value;
    return topic_config_default(core, row, scratch);
}

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
    return number_parse_i64(bytes_from_string(value), &number) && number >= row->min &&
           number <= row->max;
}

static bool double_is_legal(const struct topic_config_row *row, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    return end != value && *end == 0 && number >= (double)row->min && number <= (double)row->max;
}

static bool value_is_legal(const struct topic_config_row *row, const char *value)
{
    switch (row->type) {
    case TOPIC_CONFIG_BOOL: return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    case TOPIC_CONFIG_INT:
    case TOPIC_CONFIG_LONG: return number_is_legal(row, value);
    case TOPIC_CONFIG_DOUBLE: return double_is_legal(row, value);
    case TOPIC_CONFIG_STRING: return is_choice(bytes_from_string(value), row->choices);
    case TOPIC_CONFIG_LIST: return all_are_choices(value, row->choices);
    }
    check(false);
    return false;
}

static enum err unknown_name(const char *name)
{
    size_t best = 0, best_distance = SIZE_MAX;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        size_t distance = number_edit_distance(name, rows[i].name);
        if (distance < best_distance)
            best = i, best_distance = distance;
    }
    if (best_distance <= 4)
        return err_set(E_INVALID, "Unknown topic config name: %s (did you mean %s?)", name,
                       rows[best].name);
    return err_set(E_INVALID, "Unknown topic config name: %s", name);
}

enum err topic_config_check(const char *name, const char *value)
{
    const struct topic_config_row *row = find_row(name);
    if (!row)
        return unknown_name(name);
    if (!value)
        return err_set(E_INVALID, "Null value not supported for topic configs: %s", name);
    if (!value_is_legal(row, value))
        return err_set(E_INVALID, "Invalid value %s for configuration %s", value, name);
    if (row->built && !all_are_choices(value, row->built))
        return err_set(E_UNSUPPORTED, "%s=%s is not supported yet", name, value);
    return OK;
}

/* ---- effects ---- */

static const char *text_of(const struct core *core, const struct topic *topic, const char *name,
                           char scratch[32])
{
    return value_of(core, topic, find_row(name), scratch);
}

static int64_t number_of(const struct core *core, const struct topic *topic, const char *name)
{
    char scratch[32];
    int64_t number = 0;
    bool legal = number_parse_i64(bytes_from_string(text_of(core, topic, name, scratch)), &number);
    check(legal);
    return number;
}

void topic_config_apply(const struct core *core, struct topic *topic)
{
    char scratch[32];
    topic->level = level_of(text_of(core, topic, "durability", scratch));
    topic->message_max_bytes = number_of(core, topic, "max.message.bytes");
    topic->log_append_time =
        strcmp(text_of(core, topic, "message.timestamp.type", scratch), "LogAppendTime") == 0;
    topic->timestamp_before_max_ms = number_of(core, topic, "message.timestamp.before.max.ms");
    topic->timestamp_after_max_ms = number_of(core, topic, "message.timestamp.after.max.ms");
}
