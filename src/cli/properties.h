/*
 * The properties and headers of an AMQP message: from the words of `pabal publish`, and as JSON for
 * `pabal consume`. A header's value is JSON where it can be read as JSON (so that 5000 is a number,
 * as x-delay wants it), else text.
 */
#ifndef CLI_PROPERTIES_H
#define CLI_PROPERTIES_H

#include <jansson.h>

#include "amqp/amqp_messages.h"
#include "cli/arguments.h"

struct properties {
    struct amqp_basic_properties list; /* strings are the words' own */
    struct text headers;
};

/* "content_type=text/plain" and "name=value"; E_INVALID names the nearest property. Reset it also on
 * failure. */
must_use enum err properties_parse(const struct flag_list *words, const struct flag_list *headers,
                                   struct properties *out);
void properties_reset(struct properties *p);

/* Those that a message has; an empty object where the list is damaged. What is no UTF-8 is
 * {"hex": "fffe"}. */
json_t *properties_json(struct bytes list);

#endif
