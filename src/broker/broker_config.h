/*
 * The broker's own configs, by Kafka's names. Two kinds:
 *
 * - Defaults of topic configs (log.retention.ms is retention.ms of topics that do not say). They can
 *   be changed while the broker runs, for this node and for all nodes of the cluster; what was set so
 *   is in the catalog and wins over the configuration file. The table is topic_config.c's.
 * - Everything else comes from the server's configuration when it starts and is only told here.
 *
 * Where a value comes from, strongest first: the topic, this node, the cluster, the configuration,
 * the default. Lives in the core.
 */
#ifndef BROKER_BROKER_CONFIG_H
#define BROKER_BROKER_CONFIG_H

#include "broker/config_set.h"
#include "broker/core.h"

/* The numbers are those of Kafka's protocol. */
enum config_source {
    CONFIG_OF_TOPIC = 1,
    CONFIG_OF_NODE = 2,
    CONFIG_OF_CLUSTER = 3,
    CONFIG_OF_FILE = 4, /* or environment, or command line */
    CONFIG_OF_DEFAULT = 5,
    CONFIG_OF_LOGGER = 6,
};

/* The numbers are those of Kafka's protocol. */
enum config_type {
    CONFIG_BOOL = 1,
    CONFIG_STRING = 2,
    CONFIG_INT = 3,
    CONFIG_LONG = 5,
    CONFIG_DOUBLE = 6,
    CONFIG_LIST = 7,
};

/* One value of the server's configuration, by Kafka's name if it has one. */
struct broker_setting {
    const char *name, *value;
    const char *help;
    enum config_type type;
    bool is_given; /* by somebody; else it is the default */
};

/* For whom a broker config is set. */
enum broker_scope { BROKER_SCOPE_NODE, BROKER_SCOPE_CLUSTER };
enum { BROKER_SCOPES = 2 };

/* What was set while the broker ran. */
const struct config_set *broker_configs(const struct core *, enum broker_scope);

/* Is this a name and a value that can be set while the broker runs? E_INVALID: no such config, or no
 * such value; E_REFUSED: it can be set in the configuration only; E_UNSUPPORTED: this version cannot
 * give effect to the value. */
must_use enum err broker_config_check(const struct core *, const char *name, const char *value);

/* The scope's configs are these from now on, durable when core_catalog_ticket() is done; topics
 * follow, many of them in later turns, until broker_config_is_in_force(). `configs` is empty then. With `validate_only`, or on an error,
 * nothing changes. As broker_config_check(), E_FROZEN, E_NO_SPACE. */
must_use enum err broker_config_alter(struct core *, enum broker_scope, struct config_set *configs,
                                      bool validate_only);

bool broker_config_is_in_force(const struct core *); /* of all topics, whatever was changed */

/* The setting with this name; NULL: there is none. */
const struct broker_setting *broker_setting_find(const struct core *, const char *name);

#endif
