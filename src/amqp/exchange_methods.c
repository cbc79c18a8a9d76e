/* Class exchange: declare, delete, and bindings from exchange to exchange. */
#include "amqp/amqp_messages.h"
#include "amqp/method.h"
#include "amqp/send.h"

static void answer_declare(struct channel *ch)
{
    send_simple(ch->conn, ch->id, AMQP_EXCHANGE_DECLARE_OK);
}

static void answer_delete(struct channel *ch)
{
    send_simple(ch->conn, ch->id, AMQP_EXCHANGE_DELETE_OK);
}

struct exchange *channel_find_exchange(struct channel *ch, struct bytes name)
{
    struct exchange *x = NULL;
    enum err err = declare_find_exchange(ch->conn->vhost, name, &x);

    if (err)
        channel_fail_as(ch, err);
    return x;
}

/* It is done, or has failed. */
static void end_method(struct channel *ch, enum err err, bool nowait,
                       void (*answer)(struct channel *))
{
    if (err)
        channel_fail_as(ch, err);
    else if (!nowait)
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer);
}

/* ---- declare, delete ---- */

static enum err declare_passive(struct channel *ch, struct bytes name)
{
    struct exchange *x;
    enum err err = declare_not_default(name);

    return err ? err : declare_find_exchange(ch->conn->vhost, name, &x);
}

static enum err declare(struct channel *ch, const struct amqp_exchange_declare *in)
{
    struct exchange *x;
    struct declarer by = channel_declarer(ch);
    struct exchange_declaration declaration = {.name = in->exchange,
                                               .type = in->type,
                                               .durable = in->durable,
                                               .auto_delete = in->auto_delete,
                                               .internal = in->internal,
                                               .arguments = in->arguments};

    return declare_exchange(ch->conn->vhost, &declaration, &by, &x);
}

void method_exchange_declare(struct channel *ch, const void *arguments)
{
    const struct amqp_exchange_declare *in = arguments;
    end_method(ch,
               in->passive ? declare_passive(ch, channel_name(ch, in->exchange)) : declare(ch, in),
               in->nowait, answer_declare);
}

static void delete_exchange(struct channel *ch)
{
    const struct amqp_exchange_delete *in = ch->current->arguments;
    struct declarer by = channel_declarer(ch);
    enum err err = declare_delete_exchange(ch->conn->vhost, in->exchange, &by, in->if_unused);

    if (err == E_AGAIN)
        channel_yield(ch, delete_exchange);
    else
        end_method(ch, err, in->nowait, answer_delete);
}

void method_exchange_delete(struct channel *ch, const void *arguments)
{
    (void)arguments;
    delete_exchange(ch);
}

/* ---- bind, unbind ---- */

static void answer_bind(struct channel *ch)
{
    send_simple(ch->conn, ch->id, AMQP_EXCHANGE_BIND_OK);
}

static void answer_unbind(struct channel *ch)
{
    send_simple(ch->conn, ch->id, AMQP_EXCHANGE_UNBIND_OK);
}

void method_exchange_bind(struct channel *ch, const void *arguments)
{
    const struct amqp_exchange_bind *in = arguments;
    struct declarer by = channel_declarer(ch);
    struct binding_declaration declaration = {.source = in->source,
                                              .destination = in->destination,
                                              .to_exchange = true,
                                              .key = in->routing_key,
                                              .arguments = in->arguments};

    end_method(ch, declare_binding(ch->conn->vhost, &declaration, &by), in->nowait, answer_bind);
}

void method_exchange_unbind(struct channel *ch, const void *arguments)
{
    const struct amqp_exchange_unbind *in = arguments;
    struct declarer by = channel_declarer(ch);
    struct binding_declaration declaration = {.source = in->source,
                                              .destination = in->destination,
                                              .to_exchange = true,
                                              .key = in->routing_key,
                                              .arguments = in->arguments};

    end_method(ch, declare_unbinding(ch->conn->vhost, &declaration, &by), in->nowait,
               answer_unbind);
}
