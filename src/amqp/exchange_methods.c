/* Class exchange: declare, delete, and bindings from exchange to exchange. */
#include "amqp/amqp_messages.h"
#include "amqp/arguments.h"
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
    struct exchange *x = exchange_find(ch->conn->vhost, name);

    if (!x)
        channel_fail(ch, REPLY_NOT_FOUND, "no exchange '%.*s' in vhost '%.*s'", BYTES_FORMAT(name),
                     BYTES_FORMAT(ch->conn->vhost->name));
    return x;
}

bool channel_may_change_exchange(struct channel *ch, struct bytes name)
{
    if (name.size)
        return true;
    channel_fail(ch, REPLY_ACCESS_REFUSED, "operation not permitted on the default exchange");
    return false;
}

/* ---- declare ---- */

static bool parse_kind(struct channel *ch, struct bytes type, enum exchange_kind *out)
{
    if (exchange_kind_parse(type, out))
        return true;
    channel_fail(ch, REPLY_PRECONDITION_FAILED, "unknown exchange type '%.*s'", BYTES_FORMAT(type));
    return false;
}

static bool is_equivalent(struct channel *ch, const struct amqp_exchange_declare *in,
                          enum exchange_kind kind, const struct exchange *x)
{
    struct argument_subject subject = {.kind = "exchange", .name = x->name};

    return argument_words_agree(ch, &subject, "type", exchange_kind_name(kind),
                                exchange_kind_name(x->kind)) &&
           argument_flags_agree(ch, &subject, "durable", in->durable, x->durable) &&
           argument_flags_agree(ch, &subject, "auto_delete", in->auto_delete, x->auto_delete) &&
           argument_flags_agree(ch, &subject, "internal", in->internal, x->internal) &&
           arguments_agree_for_exchange(ch, &subject, in->arguments, x->arguments);
}

static bool create(struct channel *ch, const struct amqp_exchange_declare *in, struct bytes name,
                   enum exchange_kind kind)
{
    struct exchange_spec spec = {.name = name,
                                 .kind = kind,
                                 .durable = in->durable,
                                 .auto_delete = in->auto_delete,
                                 .internal = in->internal,
                                 .arguments = in->arguments};

    if (bytes_has_prefix(name, "amq.")) {
        channel_fail(ch, REPLY_ACCESS_REFUSED,
                     "exchange name '%.*s' contains reserved prefix 'amq.*'", BYTES_FORMAT(name));
        return false;
    }
    if (exchange_check(&spec)) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED,
                     "invalid arg for exchange '%.*s' in vhost '%.*s': %s", BYTES_FORMAT(name),
                     BYTES_FORMAT(ch->conn->vhost->name), err_text());
        return false;
    }
    enum err err = core_catalog_can_change(ch->conn->core);
    if (err) {
        channel_fail_err(ch, err, "cannot declare the exchange");
        return false;
    }
    exchange_create(ch->conn->vhost, &spec);
    return true;
}

static bool declare_passive(struct channel *ch, struct bytes name)
{
    return channel_may_change_exchange(ch, name) && channel_find_exchange(ch, name);
}

static bool declare(struct channel *ch, const struct amqp_exchange_declare *in, struct bytes name)
{
    enum exchange_kind kind;

    if (!parse_kind(ch, in->type, &kind) || !channel_may_change_exchange(ch, name))
        return false;
    struct exchange *x = exchange_find(ch->conn->vhost, name);
    return x ? is_equivalent(ch, in, kind, x) : create(ch, in, name, kind);
}

void method_exchange_declare(struct channel *ch, const void *arguments)
{
    const struct amqp_exchange_declare *in = arguments;
    struct bytes name = channel_name(ch, in->exchange);

    if ((in->passive ? declare_passive(ch, name) : declare(ch, in, name)) && !in->nowait)
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_declare);
}

/* ---- delete ---- */

void method_exchange_delete(struct channel *ch, const void *arguments)
{
    const struct amqp_exchange_delete *in = arguments;
    struct bytes name = channel_name(ch, in->exchange), vhost = ch->conn->vhost->name;

    if (!channel_may_change_exchange(ch, name))
        return;
    if (bytes_has_prefix(name, "amq.")) {
        channel_fail(ch, REPLY_ACCESS_REFUSED,
                     "deletion of system exchange '%.*s' in vhost '%.*s' not allowed",
                     BYTES_FORMAT(name), BYTES_FORMAT(vhost));
        return;
    }
    struct exchange *x = exchange_find(ch->conn->vhost, name);
    if (x && in->if_unused && exchange_has_bindings(x)) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "exchange '%.*s' in vhost '%.*s' in use",
                     BYTES_FORMAT(name), BYTES_FORMAT(vhost));
        return;
    }
    if (x)
        exchange_delete(x); /* one that is not there is as good as deleted (RabbitMQ) */
    if (!in->nowait)
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_delete);
}

/* ---- bind, unbind ---- */

bool channel_can_bind(struct channel *ch, const struct exchange *x, struct bytes key,
                      struct bytes arguments)
{
    if (exchange_check_binding(x, key, arguments)) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "%s", err_text());
        return false;
    }
    enum err err = core_catalog_can_change(ch->conn->core);
    if (err)
        channel_fail_err(ch, err, "cannot bind");
    return !err;
}

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
    struct bytes from = channel_name(ch, in->source), to = channel_name(ch, in->destination);

    if (!channel_may_change_exchange(ch, from) || !channel_may_change_exchange(ch, to))
        return;
    struct exchange *source = channel_find_exchange(ch, from);
    struct exchange *target = source ? channel_find_exchange(ch, to) : NULL;
    if (!target || !channel_can_bind(ch, source, in->routing_key, in->arguments))
        return;
    exchange_bind_exchange(source, target, in->routing_key, in->arguments);
    if (!in->nowait)
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_bind);
}

/* What is not there is not bound (RabbitMQ). */
void method_exchange_unbind(struct channel *ch, const void *arguments)
{
    const struct amqp_exchange_unbind *in = arguments;
    struct bytes from = channel_name(ch, in->source), to = channel_name(ch, in->destination);

    if (!channel_may_change_exchange(ch, from) || !channel_may_change_exchange(ch, to))
        return;
    struct exchange *source = exchange_find(ch->conn->vhost, from);
    struct exchange *target = exchange_find(ch->conn->vhost, to);
    if (source && target)
        exchange_unbind_exchange(source, target, in->routing_key, in->arguments);
    if (!in->nowait)
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_unbind);
}
