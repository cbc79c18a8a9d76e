/*
 * Topic configs: one table of all that Kafka 4.1 knows for a topic, and our own. Name, type,
 * default, bounds; what a topic sets is kept as text and checked here.
 */
#ifndef BROKER_TOPIC_CONFIG_H
#define BROKER_TOPIC_CONFIG_H

#include "broker/topic.h"

enum topic_config_type {
    TOPIC_CONFIG_BOOL,
    TOPIC_CONFIG_INT,
    TOPIC_CONFIG_LONG,
    TOPIC_CONFIG_DOUBLE,
    TOPIC_CONFIG_STRING,
    TOPIC_CONFIG_LIST,
};

struct topic_config_row {
    const char *name;
    enum topic_config_type type;
    const char *standard; /* the default; NULL: one of the broker's, see topic_config_default() */
    int64_t min, max;     /* of numbers */
    const char *choices;  /* of strings and list items: separated by '|', NULL: any */
    const char *built;    /* the only values that do something yet, as `choices`; NULL: all */
    const char *help;
};

/* All rows, sorted by name. */
const struct topic_config_row *topic_config_rows(size_t *count);

/* The value in force when the topic does not say; lives as long as the core, or `scratch`. */
const char *topic_config_default(const struct core *core, const struct topic_config_row *row,
                                 char scratch[32]);

/* E_INVALID: unknown name (the nearest one is suggested) or value; E_UNSUPPORTED: a value that this
 * version cannot give effect to. */
must_use enum err topic_config_check(const char *name, const char *value);

/* Set the fields of the topic that configs decide. All configs were checked. */
void topic_config_apply(const struct core *core, struct topic *topic);

#endif
