/* From the protocol header to connection.open: who is it, and what has been agreed on. */
#ifndef AMQP_HANDSHAKE_H
#define AMQP_HANDSHAKE_H

#include "amqp/connection.h"

enum {
    HANDSHAKE_MAX_S = 10,
    CLIENT_PROPERTIES_MAX_BYTES = 16 << 10, /* larger ones are not kept */
};

/* Send connection.start. */
void handshake_start(struct connection *);

#endif
