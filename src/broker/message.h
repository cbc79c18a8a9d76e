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
#include "wire/amqp_properties.h"
#include "wire/amqp_table.h"

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

/* ---- properties, all checked when they came in ---- */

/* The headers table, without its size; empty when there is none. */
struct bytes message_headers(const struct message *m);
/* Its value, see struct amqp_property; NULL data when it is not there. */
struct bytes message_property(const struct message *m, enum property_flag flag);
uint8_t message_priority(const struct message *m); /* 0 when it says none */
/* The `expiration` in ms; -1: none. */
int64_t message_ttl_ms(const struct message *m);
/* What is wrong with an `expiration`, as RabbitMQ words it; false: nothing. */
bool message_expiration_is_wrong(struct bytes expiration, char *out, size_t size);
/* Append the property list with `value` for this property, there before or not, and without the one
 * that is `dropped` (0: none is). */
void message_put_properties(const struct message *m, enum property_flag replaced,
                            struct bytes value, unsigned dropped, struct text *out);
/* Append the property list with this header, in the place of one of that name or behind the others. */
void message_put_header(const struct message *m, const char *name, const struct amqp_value *value,
                        struct text *out);

#endif
