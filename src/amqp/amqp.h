/*
 * AMQP 0-9-1 as RabbitMQ speaks it: a thin translation between frames and broker/.
 *
 * README.md says how the folder is made; docs/compatibility.md what is understood.
 */
#ifndef AMQP_AMQP_H
#define AMQP_AMQP_H

#include <stdint.h>

#include "io/link.h"

/* What the server says of itself and allows. Applies to connections accepted from then on. */
struct amqp_config {
    const char *product;
    const char *cluster_name; /* NULL: the cluster's id */
    /* Clients read this as RabbitMQ's version and choose features by it: keep it at X.Y.Z. */
    const char *version;
    const char *own_version;    /* of this program */
    uint64_t message_max_bytes; /* of a body; at most AMQP_BODY_MAX_BYTES */
    uint16_t channel_max;
    uint16_t heartbeat_s;
    /* Who logs in with the mechanism ANONYMOUS; NULL: it is not offered. */
    const char *anonymous_user, *anonymous_password;
};

enum {
    AMQP_FRAME_MAX_BYTES = 131072,           /* frame-max that is offered: 7 + payload + 1 */
    AMQP_FRAME_MIN_BYTES = 4096,             /* the smallest that is accepted */
    AMQP_BODY_MAX_BYTES = 512 * 1024 * 1024, /* larger is an error of framing */
};

void amqp_config_default(struct amqp_config *);
/* The strings must stay valid. Call before the first connection is accepted. */
void amqp_configure(const struct amqp_config *);
const struct amqp_config *amqp_configuration(void);

extern const struct protocol amqp_protocol;

#endif
