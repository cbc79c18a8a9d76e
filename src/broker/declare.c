#include "broker/declare.h"

#include <string.h>

#include "base/check.h"
#include "broker/access.h"
#include "broker/arguments.h"
#include "wire/amqp_table.h"

struct bytes declare_name(struct bytes name, struct declare_name *room)
{
    size_t size = 0;
    if (!name.size || name.size > sizeof room->bytes ||
        (!memchr(name.data, '\r', name.size) && !memchr(name.data, '\n', name.size)))
        return name;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] != '\r' && name.data[i] != '\n')
            room->bytes[size++] = name.data[i];
    return bytes_of(room->bytes, size);
}

enum { UNBIND_SLICE = 500 }; /* about half a millisecond */

/* Names and keys are short strings in AMQP; other ways to declare could bring longer ones. */
static enum err check_short(const char *what, struct bytes text)
{
    return text.size > UINT8_MAX
               ? err_set(E_INVALID, "%s of %zu bytes is longer than 255", what, text.size)
               : OK;
}

/* ---- queues ---- */

static enum err no_queue(const struct vhost *vhost, struct bytes name)
{
    return err_set(E_NOT_FOUND, "no queue '%.*s' in vhost '%.*s'", BYTES_FORMAT(name),
                   BYTES_FORMAT(vhost->name));
}

static enum err locked(const struct queue *queue)
{
    return err_set(
        E_LOCKED,
        "cannot obtain exclusive access to locked queue '%.*s' in vhost '%.*s'. It could "
        "be originally declared on another connection or the exclusive property value "
        "does not match that of the original declaration.",
        BYTES_FORMAT(queue->name), BYTES_FORMAT(queue->vhost->name));
}

static bool is_own(const struct queue *queue, const struct declarer *by)
{
    return queue->exclusive && queue->owner == by->session;
}

/* Another session's own queue is out of reach. */
static enum err check_reach(const struct queue *queue, const struct declarer *by)
{
    return queue->exclusive && !is_own(queue, by) ? locked(queue) : OK;
}

enum err declare_find_queue(struct vhost *vhost, struct bytes name, const struct declarer *by,
                            struct queue **out)
{
    struct queue *queue = queue_find(vhost, name);
    if (!queue)
        return no_queue(vhost, name);
    enum err err = check_reach(queue, by);
    if (!err)
        *out = queue;
    return err;
}

static enum err same_queue(const struct queue *queue, const struct queue_declaration *in,
                           const struct declarer *by)
{
    const struct argument_subject subject = {"queue", queue->name, queue->vhost->name};
    if (is_own(queue, by) != in->exclusive || queue->exclusive != in->exclusive)
        return locked(queue);
    enum err err =
        arguments_same_flag(&subject, "durable", in->durable && !in->exclusive, queue->durable);
    if (!err)
        err = arguments_same_flag(&subject, "auto_delete", in->auto_delete, queue->auto_delete);
    return err ? err : arguments_same_queue(&subject, in->arguments, queue->arguments);
}

/* RabbitMQ's quorum queues are for data that stays. */
static enum err check_properties(const struct argument_subject *subject,
                                 const struct queue_declaration *in)
{
    const char *wrong = !in->durable      ? "non-durable"
                        : in->exclusive   ? "exclusive-owner"
                        : in->auto_delete ? "auto-delete"
                                          : NULL;
    struct amqp_value type;
    if (!wrong || !amqp_table_find(in->arguments, "x-queue-type", &type) ||
        !bytes_equal_string(type.bytes, "quorum"))
        return OK;
    return err_set(E_PRECONDITION, "invalid property '%s' for queue '%.*s' in vhost '%.*s'", wrong,
                   BYTES_FORMAT(subject->name), BYTES_FORMAT(subject->vhost));
}

static enum err check_spec(const struct argument_subject *subject, const struct queue_spec *spec)
{
    const char *argument;
    enum err err = queue_check(spec, &argument);
    return err ? err_set(err, "invalid arg '%s' for queue '%.*s' in vhost '%.*s': %s", argument,
                         BYTES_FORMAT(subject->name), BYTES_FORMAT(subject->vhost), err_text())
               : OK;
}

static enum err can_change(const struct vhost *vhost, const char *what)
{
    return err_wrap(core_catalog_can_change(vhost->core), "%s", what);
}

/* What has a place to go to when it is dead, or not routed, may be read by whoever declares it, and
 * that place written. */
static enum err check_next_exchange(const struct vhost *vhost, const struct declarer *by,
                                    enum access_kind kind, struct bytes name,
                                    struct bytes arguments, const char *argument)
{
    struct amqp_value next;
    if (!amqp_table_find(arguments, argument, &next) || next.tag != 'S')
        return OK;
    enum err err = access_check(by->user, vhost, ACCESS_READ, kind, name);
    return err ? err : access_check(by->user, vhost, ACCESS_WRITE, ACCESS_EXCHANGE, next.bytes);
}

static enum err create_queue(struct vhost *vhost, const struct queue_declaration *in,
                             const struct declarer *by, struct queue **out)
{
    const struct argument_subject subject = {"queue", in->name, vhost->name};
    const struct queue_spec spec = {
        .name = in->name,
        .durable = in->durable && !in->exclusive, /* what dies with its session is not durable */
        .auto_delete = in->auto_delete,
        .exclusive_owner = in->exclusive ? by->session : NULL,
        .arguments = in->arguments,
    };
    check(!in->exclusive || by->session);
    enum err err = check_short("queue name", in->name);
    if (!err)
        err = arguments_check_queue(&subject, in->arguments);
    if (!err)
        err = check_properties(&subject, in);
    if (!err)
        err = check_next_exchange(vhost, by, ACCESS_QUEUE, in->name, in->arguments,
                                  "x-dead-letter-exchange");
    if (!err)
        err = can_change(vhost, "cannot declare the queue");
    if (!err)
        err = check_spec(&subject, &spec);
    if (!err)
        err = vhost_can_declare_queue(vhost, in->name);
    if (!err)
        *out = queue_create(vhost, &spec);
    return err;
}

static enum err declare_whole(struct vhost *vhost, const struct queue_declaration *in,
                              const struct declarer *by, struct queue **out)
{
    struct queue *queue = queue_find(vhost, in->name);
    if (!queue && !in->may_be_reserved && bytes_has_prefix(in->name, "amq."))
        return err_set(E_REFUSED, "queue name '%.*s' contains reserved prefix 'amq.*'",
                       BYTES_FORMAT(in->name));
    enum err err = access_check(by->user, vhost, ACCESS_CONFIGURE, ACCESS_QUEUE, in->name);
    if (err)
        return err;
    if (!queue)
        return create_queue(vhost, in, by, out);
    err = same_queue(queue, in, by);
    if (err)
        return err;
    queue_redeclared(queue);
    *out = queue;
    return OK;
}

/* Does the vhost say of which type it is? A queue that only a classic one can be is one. */
static bool takes_default_type(const struct vhost *vhost, const struct queue_declaration *in)
{
    struct amqp_value type;
    return vhost->default_queue_type.size > 0 &&
           !bytes_equal_string(vhost->default_queue_type, "classic") && in->durable &&
           !in->exclusive && !in->auto_delete &&
           !amqp_table_find(in->arguments, "x-queue-type", &type);
}

enum err declare_queue(struct vhost *vhost, const struct queue_declaration *in,
                       const struct declarer *by, struct queue **out)
{
    struct declare_name room;
    struct queue_declaration whole = *in;
    whole.name = declare_name(in->name, &room);
    if (!takes_default_type(vhost, in))
        return declare_whole(vhost, &whole, by, out);
    struct text arguments = {0};
    text_append(&arguments, in->arguments);
    amqp_table_put_string(&arguments, "x-queue-type", vhost->default_queue_type);
    whole.arguments = text_bytes(&arguments);
    enum err err = declare_whole(vhost, &whole, by, out);
    text_reset(&arguments);
    return err;
}

enum err declare_delete_queue(struct vhost *vhost, struct bytes name, const struct declarer *by,
                              bool if_unused, bool if_empty, uint64_t *out_count)
{
    struct declare_name room;
    name = declare_name(name, &room);
    struct queue *queue = queue_find(vhost, name);
    enum err err = access_check(by->user, vhost, ACCESS_CONFIGURE, ACCESS_QUEUE, name);
    if (!err && queue)
        err = check_reach(queue, by);
    if (err)
        return err;
    uint64_t count = queue ? queue_ready_count(queue) : 0;
    if (queue && if_unused && queue->consumer_count)
        return err_set(E_IN_USE, "queue '%.*s' in vhost '%.*s' in use", BYTES_FORMAT(name),
                       BYTES_FORMAT(vhost->name));
    if (queue && if_empty && count)
        return err_set(E_NOT_EMPTY, "queue '%.*s' in vhost '%.*s' not empty", BYTES_FORMAT(name),
                       BYTES_FORMAT(vhost->name));
    if (queue && exchange_unbind_some_of(queue, UNBIND_SLICE))
        return E_AGAIN;
    if (queue)
        queue_delete(queue);
    *out_count = count;
    return OK;
}

/* ---- exchanges ---- */

enum err declare_not_default(struct bytes exchange_name)
{
    return exchange_name.size
               ? OK
               : err_set(E_REFUSED, "operation not permitted on the default exchange");
}

enum err declare_find_exchange(struct vhost *vhost, struct bytes name, struct exchange **out)
{
    struct exchange *x = exchange_find(vhost, name);
    if (!x)
        return err_set(E_NOT_FOUND, "no exchange '%.*s' in vhost '%.*s'", BYTES_FORMAT(name),
                       BYTES_FORMAT(vhost->name));
    *out = x;
    return OK;
}

static enum err same_exchange(const struct exchange *x, const struct exchange_declaration *in,
                              enum exchange_kind kind)
{
    const struct argument_subject subject = {"exchange", x->name, x->vhost->name};
    enum err err = arguments_same_word(&subject, "type", exchange_kind_name(kind),
                                       exchange_kind_name(x->kind));
    if (!err)
        err = arguments_same_flag(&subject, "durable", in->durable, x->durable);
    if (!err)
        err = arguments_same_flag(&subject, "auto_delete", in->auto_delete, x->auto_delete);
    if (!err)
        err = arguments_same_flag(&subject, "internal", in->internal, x->internal);
    return err ? err : arguments_same_exchange(&subject, in->arguments, x->arguments);
}

static enum err create_exchange(struct vhost *vhost, const struct exchange_declaration *in,
                                const struct declarer *by, enum exchange_kind kind,
                                struct exchange **out)
{
    const struct exchange_spec spec = {.name = in->name,
                                       .kind = kind,
                                       .durable = in->durable,
                                       .auto_delete = in->auto_delete,
                                       .internal = in->internal,
                                       .arguments = in->arguments};
    if (!in->may_be_reserved && bytes_has_prefix(in->name, "amq."))
        return err_set(E_REFUSED, "exchange name '%.*s' contains reserved prefix 'amq.*'",
                       BYTES_FORMAT(in->name));
    struct amqp_value alternate;
    if (amqp_table_find(in->arguments, "alternate-exchange", &alternate) && alternate.tag != 'S')
        return err_set(E_INVALID,
                       "invalid type '%s' for arg 'alternate-exchange' in exchange '%.*s' in vhost "
                       "'%.*s'",
                       amqp_type_name(alternate.tag), BYTES_FORMAT(in->name),
                       BYTES_FORMAT(vhost->name));
    enum err err = check_short("exchange name", in->name);
    if (!err)
        err = check_next_exchange(vhost, by, ACCESS_EXCHANGE, in->name, in->arguments,
                                  "alternate-exchange");
    if (err)
        return err;
    err = exchange_check(&spec);
    if (err)
        return err_set(err, "invalid arg for exchange '%.*s' in vhost '%.*s': %s",
                       BYTES_FORMAT(in->name), BYTES_FORMAT(vhost->name), err_text());
    err = can_change(vhost, "cannot declare the exchange");
    if (!err)
        *out = exchange_create(vhost, &spec);
    return err;
}

static enum err declare_whole_exchange(struct vhost *vhost, const struct exchange_declaration *in,
                                       const struct declarer *by, struct exchange **out)
{
    enum exchange_kind kind;
    if (!exchange_kind_parse(in->type, &kind))
        return err_set(E_INVALID, "%s exchange type '%.*s'", in->type.size ? "unknown" : "invalid",
                       BYTES_FORMAT(in->type));
    enum err err = declare_not_default(in->name);
    if (!err)
        err = access_check(by->user, vhost, ACCESS_CONFIGURE, ACCESS_EXCHANGE, in->name);
    if (err)
        return err;
    struct exchange *x = exchange_find(vhost, in->name);
    if (!x)
        return create_exchange(vhost, in, by, kind, out);
    err = same_exchange(x, in, kind);
    if (!err)
        *out = x;
    return err;
}

enum err declare_exchange(struct vhost *vhost, const struct exchange_declaration *in,
                          const struct declarer *by, struct exchange **out)
{
    struct declare_name room;
    struct exchange_declaration whole = *in;
    whole.name = declare_name(in->name, &room);
    return declare_whole_exchange(vhost, &whole, by, out);
}

enum err declare_delete_exchange(struct vhost *vhost, struct bytes name, const struct declarer *by,
                                 bool if_unused)
{
    struct declare_name room;
    name = declare_name(name, &room);
    enum err err = declare_not_default(name);
    if (!err && bytes_has_prefix(name, "amq."))
        err = err_set(E_REFUSED, "deletion of system exchange '%.*s' in vhost '%.*s' not allowed",
                      BYTES_FORMAT(name), BYTES_FORMAT(vhost->name));
    if (!err)
        err = access_check(by->user, vhost, ACCESS_CONFIGURE, ACCESS_EXCHANGE, name);
    if (err)
        return err;
    struct exchange *x = exchange_find(vhost, name);
    if (x && if_unused && exchange_has_bindings(x))
        return err_set(E_IN_USE, "exchange '%.*s' in vhost '%.*s' in use", BYTES_FORMAT(name),
                       BYTES_FORMAT(vhost->name));
    if (x && exchange_unbind_some(x, UNBIND_SLICE))
        return E_AGAIN;
    if (x)
        exchange_delete(x); /* one that is not there is as good as deleted (RabbitMQ) */
    return OK;
}

/* ---- bindings ---- */

/* The two ends of a binding; NULL: not there. */
struct binding_ends {
    struct exchange *source, *target;
    struct queue *queue;
};

/* Names, and what the declarer may do with them: what is bound is written to, from what is read. */
static enum err check_ends(struct vhost *vhost, const struct binding_declaration *in,
                           const struct declarer *by)
{
    enum access_kind kind = in->to_exchange ? ACCESS_EXCHANGE : ACCESS_QUEUE;
    enum err err = check_short("routing key", in->key);
    if (!err)
        err = access_check(by->user, vhost, ACCESS_WRITE, kind, in->destination);
    if (!err && in->to_exchange)
        err = declare_not_default(in->destination);
    if (!err)
        err = declare_not_default(in->source);
    if (!err)
        err = access_check(by->user, vhost, ACCESS_READ, ACCESS_EXCHANGE, in->source);
    if (err)
        return err;
    const struct exchange *source = exchange_find(vhost, in->source);
    return source && source->kind == EXCHANGE_TOPIC
               ? access_check_topic(by->user, vhost, ACCESS_READ, in->source, in->key)
               : OK;
}

static enum err find_ends(struct vhost *vhost, const struct binding_declaration *in,
                          const struct declarer *by, struct binding_ends *out)
{
    *out = (struct binding_ends){0};
    enum err err = declare_find_exchange(vhost, in->source, &out->source);
    if (err)
        return err;
    return in->to_exchange ? declare_find_exchange(vhost, in->destination, &out->target)
                           : declare_find_queue(vhost, in->destination, by, &out->queue);
}

static enum err bind_ends(struct vhost *vhost, const struct binding_declaration *in,
                          const struct declarer *by)
{
    struct binding_ends ends;
    enum err err = check_ends(vhost, in, by);
    if (!err)
        err = find_ends(vhost, in, by, &ends);
    if (!err)
        err = exchange_check_binding(ends.source, in->key, in->arguments);
    if (!err)
        err = can_change(vhost, "cannot bind");
    if (err)
        return err;
    if (ends.target)
        exchange_bind_exchange(ends.source, ends.target, in->key, in->arguments);
    else
        exchange_bind(ends.source, ends.queue, in->key, in->arguments);
    return OK;
}

static enum err unbind_ends(struct vhost *vhost, const struct binding_declaration *in,
                            const struct declarer *by)
{
    enum err err = check_ends(vhost, in, by);
    if (err)
        return err;
    struct exchange *source = exchange_find(vhost, in->source);
    struct exchange *target = in->to_exchange ? exchange_find(vhost, in->destination) : NULL;
    struct queue *queue = in->to_exchange ? NULL : queue_find(vhost, in->destination);
    err = queue ? check_reach(queue, by) : OK;
    if (err)
        return err;
    if (source && target)
        exchange_unbind_exchange(source, target, in->key, in->arguments);
    else if (source && queue)
        exchange_unbind(source, queue, in->key, in->arguments);
    return OK;
}

/* With the names of both ends as they are kept; those that change are in `rooms`. */
static struct binding_declaration with_names(const struct binding_declaration *in,
                                             struct declare_name rooms[2])
{
    struct binding_declaration whole = *in;
    whole.source = declare_name(in->source, &rooms[0]);
    whole.destination = declare_name(in->destination, &rooms[1]);
    return whole;
}

enum err declare_binding(struct vhost *vhost, const struct binding_declaration *in,
                         const struct declarer *by)
{
    struct declare_name rooms[2];
    struct binding_declaration whole = with_names(in, rooms);
    return bind_ends(vhost, &whole, by);
}

enum err declare_unbinding(struct vhost *vhost, const struct binding_declaration *in,
                           const struct declarer *by)
{
    struct declare_name rooms[2];
    struct binding_declaration whole = with_names(in, rooms);
    return unbind_ends(vhost, &whole, by);
}
