/* What management sees of connections, channels and consumers (broker/session.h). */
#ifndef AMQP_DESCRIBE_H
#define AMQP_DESCRIBE_H

#include "amqp/connection.h"
#include "broker/session.h"

extern const struct session_view amqp_session_view;

/* For struct consumer. */
void describe_consumer(const struct consumer *, struct consumer_description *out);

#endif
