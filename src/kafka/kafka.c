#include "kafka/kafka.h"

#include "base/list.h"
#include "kafka/connection.h"
#include "kafka/framing.h"

const struct protocol kafka_protocol = {
    .name = "kafka",
    .framing = &kafka_framing,
    .core = &connection_core_half,
    .buffer_max_bytes = FRAME_MAX_BYTES + 4,
};

void kafka_listener_init(struct kafka_listener *listener, const struct kafka_config *config)
{
    listener->protocol = kafka_protocol;
    listener->config = *config;
}

const struct kafka_config *kafka_config_of(const struct protocol *protocol)
{
    static const struct kafka_config none;
    if (protocol == &kafka_protocol)
        return &none;
    return &((const struct kafka_listener *)protocol)->config;
}
