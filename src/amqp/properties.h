/*
 * The property list of a content header (wire/amqp_properties.h), as the framing half looks at it.
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
#include "wire/amqp_properties.h"

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
