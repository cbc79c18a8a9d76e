/*
 * The property list of a content header: a 16-bit word of flags, then the properties whose flag is
 * set, in the order of the flags from bit 15 down (AMQP 0-9-1 s.4.2.6.1, class basic).
 *
 * The list is kept and sent on byte for byte. All that is done with it is one quick walk that
 * proves its shape, so that no publisher can hand consumers a list that breaks them, and that notes
 * the few properties the broker itself acts on. Pure; any thread.
 */
#ifndef AMQP_PROPERTIES_H
#define AMQP_PROPERTIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

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
};

/* What the broker looks at. Borrowed; NULL data where the property is not there. */
struct properties {
    uint16_t flags;
    uint8_t delivery_mode; /* 0 when not there */
    struct bytes headers;  /* table, without its size */
    struct bytes reply_to, expiration, user_id;
};

/* False: the flags and the bytes do not fit together exactly. */
bool properties_read(struct bytes list, struct properties *out);

#endif
