/*
 * The property list of a content header of class basic: a 16-bit word of flags, then the properties
 * whose flag is set, in the order of the flags from bit 15 down (AMQP 0-9-1 s.4.2.6.1). It stays as
 * received; whoever looks into it walks it here, without allocation.
 */
#ifndef WIRE_AMQP_PROPERTIES_H
#define WIRE_AMQP_PROPERTIES_H

#include "wire/reader.h"

enum property_flag {
    PROPERTY_CONTENT_TYPE = 0x8000,
    PROPERTY_CONTENT_ENCODING = 0x4000,
    PROPERTY_HEADERS = 0x2000,
    PROPERTY_DELIVERY_MODE = 0x1000,
    PROPERTY_PRIORITY = 0x0800,
    PROPERTY_CORRELATION_ID = 0x0400,
    PROPERTY_REPLY_TO = 0x0200,
    PROPERTY_EXPIRATION = 0x0100,
    PROPERTY_MESSAGE_ID = 0x0080,
    PROPERTY_TIMESTAMP = 0x0040,
    PROPERTY_TYPE = 0x0020,
    PROPERTY_USER_ID = 0x0010,
    PROPERTY_APP_ID = 0x0008,
    PROPERTY_CLUSTER_ID = 0x0004,
    PROPERTY_FLAGS = 0xFFFC, /* all of them; the two bits below name no property */
};

struct amqp_properties {
    struct reader rest;
    uint16_t flags; /* as the list says */
    uint16_t left;  /* of them, those not walked over yet */
};

struct amqp_property {
    enum property_flag flag;
    struct bytes value; /* a string or table without its size, or the number's bytes */
    struct bytes raw;   /* with its size: as it stands in the list */
};

struct amqp_properties amqp_properties_of(struct bytes list);
/* The next one that is set. False at the end, or where the list ends too early: rest.bad then. */
bool amqp_properties_next(struct amqp_properties *p, struct amqp_property *out);
/* Append a property's value with its size, as it stands in a list. */
void amqp_property_put(struct text *t, enum property_flag flag, struct bytes value);

#endif
