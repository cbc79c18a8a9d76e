/*
 * What the requests about configs share: which object a resource of a request names, and what its
 * configs are. Topics, brokers (this one, or "" for the defaults of all), and the one logger of this
 * broker.
 */
#ifndef KAFKA_CONFIGS_H
#define KAFKA_CONFIGS_H

#include "broker/broker_config.h"
#include "broker/topic_config.h"
#include "kafka/request.h"

/* Kafka's numbers. */
enum resource_type {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    RESOURCE_LOGGER = 8,
    RESOURCE_CLIENT_METRICS = 16,
    RESOURCE_GROUP = 32,
};

struct resource {
    enum resource_type type;
    struct topic *topic;     /* of RESOURCE_TOPIC */
    enum broker_scope scope; /* of RESOURCE_BROKER */
};

/* With an error, *out_message says more and lives as long as the request. */
enum kafka_error resource_find(struct request *, int8_t type, struct bytes name,
                               struct resource *out, struct bytes *out_message);

/* What is set on it, of a topic or a broker. */
const struct config_set *resource_configs(const struct request *, const struct resource *);

/* The row of a config of the resource; NULL: there is none that can be set. */
const struct topic_config_row *resource_row(const struct resource *, const char *name);

/* Could this be set on it? As topic_config_check() and broker_config_check(). */
must_use enum err resource_check(const struct request *, const struct resource *, const char *name,
                                 const char *value);

/* The one logger: all log lines have one level. */
#define LOGGER_NAME "root"
const char *logger_level(void);
bool logger_has_level(const char *name);
bool logger_set_level(const char *name); /* false: no such level */

/* What a client is told when a config of the resource is refused. */
enum kafka_error config_error(const struct resource *, enum err);

#endif
