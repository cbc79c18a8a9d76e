/*
 * Kafka's protocol on the broker: what a Kafka 4.1 client needs to find, create, write and read
 * topics. Groups, transactions and administration follow; what is not built is not advertised.
 *
 * The framing half (framing.c) runs on the I/O side: it splits and decodes requests and checks the
 * record batches of Produce. The core half (connection.c) executes them and answers in order.
 */
#ifndef KAFKA_KAFKA_H
#define KAFKA_KAFKA_H

#include "io/link.h"

/* What one listener tells its clients. */
struct kafka_config {
    const char *advertised_host;  /* NULL: the address that the client has reached */
    uint16_t advertised_port;     /* 0: the port that the client has reached */
    uint32_t fetch_session_slots; /* of all listeners together; 0: as many as Kafka's default */
};

/* A listener with a configuration: hub_listen(hub, address, &listener->protocol, &port). It must
 * outlive the hub. The `core` given to hub_new() is a struct core. */
struct kafka_listener {
    struct protocol protocol; /* first: a link's protocol leads to its listener */
    struct kafka_config config;
};

void kafka_listener_init(struct kafka_listener *, const struct kafka_config *);

/* With the default configuration. */
extern const struct protocol kafka_protocol;

#endif
