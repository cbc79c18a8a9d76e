#include "server/broker_settings.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "broker/topic_config.h"

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS };

/* Options whose name Kafka does not know, but their meaning. All others are told by their own. */
static const struct {
    enum option_id id;
    const char *name;
} kafka_names[] = {
    {OPT_DATA_DIR, "log.dirs"},
    {OPT_LISTENER_KAFKA, "listeners"},
    {OPT_ADVERTISED_KAFKA, "advertised.listeners"},
    {OPT_SEGMENT_BYTES, "log.segment.bytes"},
};

/* What is not configurable and tools look for. */
static const struct broker_setting constants[] = {
    {"connections.max.idle.ms", "600000", "a silent connection is closed after this", CONFIG_LONG,
     false},
    {"default.replication.factor", "1", "there is one node", CONFIG_INT, false},
    {"delete.topic.enable", "true", "topics can be deleted", CONFIG_BOOL, false},
    {"max.request.partition.size.limit", "2000",
     "partitions in an answer of DescribeTopicPartitions", CONFIG_INT, false},
    {"offsets.topic.replication.factor", "1", "there is one node", CONFIG_INT, false},
    {"process.roles", "broker,controller", "what this node is", CONFIG_LIST, false},
    {"socket.request.max.bytes", "104857600", "the largest request", CONFIG_INT, false},
};

static bool is_given(const struct config *c, enum option_id id)
{
    return strcmp(c->items[id].origin, "default") != 0;
}

static const char *kafka_name(enum option_id id)
{
    for (size_t i = 0; i < sizeof kafka_names / sizeof kafka_names[0]; i++)
        if (kafka_names[i].id == id)
            return kafka_names[i].name;
    return option_get(id)->name;
}

static enum config_type type_of(const struct config *c, enum option_id id)
{
    switch (option_get(id)->type) {
    case OPTION_BOOL: return CONFIG_BOOL;
    case OPTION_INT: return config_is_word(c, id) ? CONFIG_STRING : CONFIG_INT;
    case OPTION_SIZE: return config_is_word(c, id) ? CONFIG_STRING : CONFIG_LONG;
    case OPTION_TOPIC: return topic_config_of_broker(option_get(id)->name)->type;
    case OPTION_TEXT:
    case OPTION_SECRET:
    case OPTION_DURATION:
    case OPTION_ENUM:
    case OPTION_ADDRESS: return CONFIG_STRING;
    }
    check(false);
}

/* The value as Kafka would write it. */
static const char *value_of(const struct config *c, enum option_id id, char text[280])
{
    enum option_type type = option_get(id)->type;
    if (type == OPTION_SIZE && !config_is_word(c, id))
        snprintf(text, 280, "%lld", (long long)config_number(c, id));
    else if (type == OPTION_ADDRESS && !config_is_word(c, id) && id != OPT_LISTENER_AMQP &&
             id != OPT_LISTENER_HTTP)
        snprintf(text, 280, "PLAINTEXT://%s", config_text(c, id));
    else
        return config_text(c, id);
    return text;
}

static struct broker_setting *add(struct broker_settings *out, const char *name, const char *value)
{
    check(out->count < BROKER_SETTINGS_MAX);
    struct broker_setting *s = &out->items[out->count++];
    *s = (struct broker_setting){.name = name, .value = value};
    return s;
}

static void add_option(const struct config *c, enum option_id id, struct broker_settings *out)
{
    const char *value = value_of(c, id, out->texts[out->count]);
    struct broker_setting *s = add(out, kafka_name(id), value);
    s->help = option_get(id)->help;
    s->type = type_of(c, id);
    s->is_given = is_given(c, id);
}

/* By its text: -1 is a number here. */
static bool is_auto(const struct config *c, enum option_id id)
{
    return strcmp(config_text(c, id), "auto") == 0;
}

/* Kafka has three names for one time; the finer unit wins. The option of milliseconds tells it. */
static void merge_time(const struct config *c, enum option_id ms, enum option_id minutes,
                       enum option_id hours, struct broker_settings *out)
{
    for (size_t i = 0; i < out->count && !is_given(c, ms); i++) {
        if (strcmp(out->items[i].name, option_get(ms)->name) != 0)
            continue;
        enum option_id id = is_auto(c, minutes) ? hours : minutes;
        if (is_auto(c, id))
            return;
        int64_t number = config_number(c, id);
        int64_t unit_ms = id == hours ? HOUR_MS : MINUTE_MS;
        snprintf(out->texts[i], sizeof out->texts[i], "%lld",
                 (long long)(number < 0 ? number : number * unit_ms));
        out->items[i].value = out->texts[i];
        out->items[i].is_given = true;
    }
}

void broker_settings_make(const struct config *config, struct broker_settings *out)
{
    out->count = 0;
    for (int id = 0; id < OPTION_COUNT; id++)
        if (option_get((enum option_id)id)->type != OPTION_SECRET)
            add_option(config, (enum option_id)id, out);
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
        *add(out, constants[i].name, constants[i].value) = constants[i];
    struct broker_setting *alias = add(out, "broker.id", config_text(config, OPT_NODE_ID));
    alias->help = option_get(OPT_NODE_ID)->help;
    alias->type = CONFIG_INT;
    alias->is_given = is_given(config, OPT_NODE_ID);
    merge_time(config, OPT_LOG_RETENTION_MS, OPT_LOG_RETENTION_MINUTES, OPT_LOG_RETENTION_HOURS,
               out);
    merge_time(config, OPT_LOG_ROLL_MS, OPT_LOG_ROLL_HOURS, OPT_LOG_ROLL_HOURS, out);
}
