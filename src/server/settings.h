/* From options to what the parts of the server take: sizes that are "auto" are decided here, from
 * the machine's memory, processors and limits. */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include "amqp/amqp.h"
#include "broker/core.h"
#include "io/hub.h"
#include "kafka/kafka.h"
#include "server/config.h"

struct machine {
    int cpu_count;
    uint64_t memory_bytes;
    uint64_t file_limit;
};

/* Raises the limit of open files on the way. */
struct machine machine_look(void);

struct settings {
    struct hub_config hub;
    struct core_config core;
    struct kafka_config kafka;
    struct amqp_config amqp;
    char advertised_host[256];
    uint64_t memory_limit_bytes, file_limit; /* to be told */
};

/* Strings in *out are borrowed from `config`. */
void settings_make(const struct config *config, const struct machine *machine,
                   struct settings *out);

#endif
