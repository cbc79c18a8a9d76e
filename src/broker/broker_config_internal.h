/* Broker configs, for the modules of this folder. */
#ifndef BROKER_BROKER_CONFIG_INTERNAL_H
#define BROKER_BROKER_CONFIG_INTERNAL_H

#include "broker/broker_config.h"
#include "broker/catalog.h"
#include "broker/topic_config.h"
#include "broker/topic_walk.h"

struct broker_config_scope {
    struct config_set set;
    struct catalog_entry entry;
    char node[12]; /* number of the node as text; empty: all nodes */
};

enum { BROKER_DEFAULTS_MAX = 64 };

struct broker_configs {
    struct broker_config_scope scopes[BROKER_SCOPES];
    /* The broker's default of each topic config, by its row, so that opening a topic looks none up. */
    struct config_values defaults[BROKER_DEFAULTS_MAX];
    struct topic_walk following; /* topics that a change of the defaults has not reached yet */
    struct deferred follow;
    struct core *core;
};

struct broker_configs *broker_configs_new(struct core *core);
void broker_configs_free(struct broker_configs *);

/* Find the defaults again: the catalog was read, or a scope has changed. */
void broker_configs_resolve(struct core *);

/* From the catalog; every config is checked. */
must_use enum err broker_configs_restore(struct core *, struct bytes node,
                                         const struct topic_config *, size_t count,
                                         struct catalog_entry **out);

#endif
