#include "amqp/tracing.h"

#include "amqp/amqp.h"
#include "broker/session.h"
#include "broker/trace.h"
#include "broker/user.h"

/* `connection` has room for the connection's name, which the source borrows. */
static struct trace_source source_of(const struct channel *ch, char *connection)
{
    const struct connection *c = ch->conn;
    const char *node = amqp_configuration()->cluster_name; /* that is the node's */

    session_put_name(&c->session, connection);
    return (struct trace_source){.vhost = c->vhost,
                                 .node = node ? node : c->core->config.cluster_id,
                                 .connection = connection,
                                 .user = bytes_from_string(c->session.user),
                                 .channel = ch->id};
}

void tracing_published(const struct channel *ch, const struct message *m,
                       const struct bytes *queues, size_t count)
{
    char connection[SESSION_NAME_MAX];
    struct trace_source source = source_of(ch, connection);

    trace_published(&source, m, queues, count);
}

void tracing_delivered(const struct channel *ch, const struct delivery *d)
{
    char connection[SESSION_NAME_MAX];
    struct trace_source source = source_of(ch, connection);

    trace_delivered(&source, d);
}
