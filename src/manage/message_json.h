/* A message's properties and body as RabbitMQ's API shows and takes them. */
#ifndef MANAGE_MESSAGE_JSON_H
#define MANAGE_MESSAGE_JSON_H

#include "broker/message.h"
#include "manage/manage.h"

/* {"delivery_mode": 2, "headers": {...}, ...}: those that are set. */
json_t *message_properties_json(const struct message *m);
/* The other way: a property list, appended; members that are no properties are left out. E_INVALID:
 * *out_wrong is the name of the property that has the wrong type, or NULL when the headers are no
 * table: err_text(). */
must_use enum err message_properties_from_json(const json_t *object, struct text *out,
                                               const char **out_wrong);

/* "payload" and "payload_encoding", of at most `truncate` bytes of the body; text only where it is
 * UTF-8. */
void message_put_payload(json_t *to, struct bytes body, size_t truncate, bool always_base64);

#endif
