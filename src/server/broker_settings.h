/*
 * What the server was configured with, as Kafka clients are told of it (DescribeConfigs of a broker):
 * by Kafka's name where there is one, in Kafka's units. And a few things that are as they are here,
 * which tools look for.
 */
#ifndef SERVER_BROKER_SETTINGS_H
#define SERVER_BROKER_SETTINGS_H

#include "broker/broker_config.h"
#include "server/config.h"

enum { BROKER_SETTINGS_MAX = OPTION_COUNT + 24 };

/* Refers to itself and to the configuration: neither moves. */
struct broker_settings {
    struct broker_setting items[BROKER_SETTINGS_MAX];
    size_t count;
    char texts[BROKER_SETTINGS_MAX][280]; /* values that are written otherwise than configured */
};

void broker_settings_make(const struct config *config, struct broker_settings *out);

#endif
