/*
 * Topic configs: one table of all that Kafka 4.1 knows for a topic, and our own. Name, type,
 * default, bounds, and the broker's config that is its default; what a topic sets is kept as text
 * and checked here.
 */
#ifndef BROKER_TOPIC_CONFIG_H
#define BROKER_TOPIC_CONFIG_H

#include "broker/broker_config.h"
#include "broker/topic.h"

struct topic_config_row {
    const char *name;
    const char *broker_name; /* the broker's config that is its default; NULL: there is none */
    enum config_type type;
    const char *standard; /* the default when nobody says; NULL: from struct core_config */
    int64_t min, max;     /* of numbers */
    const char *choices;  /* of strings and list items: separated by '|', NULL: any */
    const char *built;    /* the only values that do something yet, as `choices`; NULL: all */
    const char *help;
};

/* All rows, sorted by name. */
const struct topic_config_row *topic_config_rows(size_t *count);
const struct topic_config_row *topic_config_find(const char *name); /* NULL: unknown */
/* The topic config whose default this broker config is; NULL: of none. */
const struct topic_config_row *topic_config_of_broker(const char *broker_name);

/* A value with where it comes from. */
struct config_value {
    const char *name, *value; /* as long as what it comes from stays as it is, or `scratch` */
    enum config_source source;
};
enum { CONFIG_VALUES_MAX = 5 };
struct config_values {
    struct config_value items[CONFIG_VALUES_MAX];
    size_t count;
    char scratch[24];
};

/* Everything that says something about this config, strongest first; the first is in force.
 * `topic_configs`: what the topic has set, NULL to ask for the broker's default. */
void topic_config_values(const struct core *core, const struct config_set *topic_configs,
                         const struct topic_config_row *row, struct config_values *out);

/* E_INVALID: unknown name (the nearest one is suggested) or value; E_UNSUPPORTED: a value that this
 * version cannot give effect to. */
must_use enum err topic_config_check(const char *name, const char *value);
/* The same for a row's value that is called `name` in messages. */
must_use enum err topic_config_check_value(const struct topic_config_row *row, const char *name,
                                           const char *value);
/* All that a topic sets, each alone and with one another. */
must_use enum err topic_config_check_all(const struct core *core, const struct config_set *configs);

/* The durability of a topic with these configs. */
enum log_level topic_config_level(const struct core *core, const struct config_set *configs);

/* Set the fields of the topic that configs decide, and tell its logs. All configs were checked. */
void topic_config_apply(const struct core *core, struct topic *topic);

#endif
