/*
 * Messages: what is published to exchanges, and how a queue's log keeps one.
 *
 * In a queue's log a message is a record. Key: the envelope, version 1:
 *   u8 version = 1, u8 flags (0), u8 size + exchange name, u8 size + routing key,
 *   then the AMQP content header's property flags and property list, byte for byte.
 * Value: the body, byte for byte. Timestamp: arrival, ms. No record headers.
 * A private queue's log is never read by Kafka clients; what crosses protocols is projected.
 */
#ifndef BROKER_MESSAGE_H
#define BROKER_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct message {
    struct bytes exchange, routing_key;
    struct bytes
        properties; /* property flags and list, as in the content header after the body size */
    struct bytes body;
    bool persistent; /* delivery-mode 2: decides when the publisher is answered, not what is stored
                      */
};

enum { MESSAGE_ENVELOPE_MAX = 2 + 256 + 256 }; /* without properties */

/* The envelope in front of the properties; returns its size. */
size_t message_put_envelope(const struct message *m, uint8_t out[MESSAGE_ENVELOPE_MAX]);
/* Read a record's key and value back; borrows. `persistent` is not stored. E_MALFORMED. */
must_use enum err message_from_record(struct bytes key, struct bytes value, struct message *out);

/* ---- properties (AMQP 0-9-1 s.4.2.6.1), all checked when they came in ---- */

enum message_property_flag {
    MESSAGE_HEADERS = 0x2000,
    MESSAGE_REPLY_TO = 0x0200,
    MESSAGE_EXPIRATION = 0x0100,
};

/* The headers table, without its size; empty when there is none. */
struct bytes message_headers(const struct message *m);
/* By name with '_'; NULL data when it is not there. A timestamp is 8 bytes, a priority 1. */
struct bytes message_property(const struct message *m, struct bytes name);
uint8_t message_priority(const struct message *m); /* 0 when it says none */
/* The `expiration` in ms; -1: none. */
int64_t message_ttl_ms(const struct message *m);
/* Append the property list with `value` for the property with this flag (a string, or a table without
 * its size), and without the properties whose flags are in `drop`. */
void message_put_properties(const struct message *m, enum message_property_flag replaced,
                            struct bytes value, unsigned drop, struct text *out);

#endif
