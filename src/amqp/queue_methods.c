/* Class queue: declare, bind, unbind, purge, delete. */
#include <stdlib.h>
#include <string.h>

#include "amqp/amqp_messages.h"
#include "amqp/arguments.h"
#include "amqp/consume.h"
#include "amqp/method.h"
#include "amqp/reply_to.h"
#include "amqp/send.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

/* ---- names ---- */

struct bytes channel_name(struct channel *ch, struct bytes name)
{
    size_t size = 0;

    if (!name.size || (!memchr(name.data, '\r', name.size) && !memchr(name.data, '\n', name.size)))
        return name;
    uint8_t *clean = arena_alloc(&ch->current->batch->input.arena, name.size);
    if (!clean)
        return name;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] != '\r' && name.data[i] != '\n')
            clean[size++] = name.data[i];
    return bytes_of(clean, size);
}

static void remember_queue(struct channel *ch, struct bytes name)
{
    free((void *)ch->last_queue.data);
    ch->last_queue = bytes_of(xmemdup(name.data, name.size), name.size);
}

/* Another connection's own queue is out of reach. `strict`: so is a shared one, as for a declare
 * that wants it exclusive. */
static bool is_in_reach(struct channel *ch, const struct queue *queue, bool exclusive, bool strict)
{
    bool is_own = queue->exclusive && queue->owner == &ch->conn->session;

    if (strict ? is_own == exclusive && (is_own || !queue->exclusive) : is_own || !queue->exclusive)
        return true;
    channel_fail(ch, REPLY_RESOURCE_LOCKED,
                 "cannot obtain exclusive access to locked queue '%.*s' in vhost '%.*s'. It could "
                 "be originally declared on another connection or the exclusive property value "
                 "does not match that of the original declaration.",
                 BYTES_FORMAT(queue->name), BYTES_FORMAT(ch->conn->vhost->name));
    return false;
}

static void fail_no_queue(struct channel *ch, struct bytes name)
{
    channel_fail(ch, REPLY_NOT_FOUND, "no queue '%.*s' in vhost '%.*s'", BYTES_FORMAT(name),
                 BYTES_FORMAT(ch->conn->vhost->name));
}

/* An empty name means the queue declared last on this channel. */
static bool name_or_last(struct channel *ch, struct bytes name, struct bytes *out)
{
    *out = name.size ? channel_name(ch, name) : ch->last_queue;
    if (out->size)
        return true;
    channel_fail(ch, REPLY_NOT_FOUND, "no previously declared queue");
    return false;
}

struct queue *channel_find_queue(struct channel *ch, struct bytes name)
{
    if (!name_or_last(ch, name, &name))
        return NULL;
    struct queue *queue = queue_find(ch->conn->vhost, name);
    if (!queue) {
        fail_no_queue(ch, name);
        return NULL;
    }
    return is_in_reach(ch, queue, false, false) ? queue : NULL;
}

/* ---- declare ---- */

static uint32_t count_u32(uint64_t count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

static void answer_declare(struct channel *ch)
{
    const struct amqp_queue_declare *in = ch->current->arguments;
    struct queue *queue = queue_find(ch->conn->vhost, ch->last_queue);

    if (!queue)
        fail_no_queue(ch, ch->last_queue); /* deleted while this one waited */
    else if (!in->nowait)
        send_method(ch->conn, ch->id, AMQP_QUEUE_DECLARE_OK,
                    &(struct amqp_queue_declare_ok){
                        .queue = queue->name,
                        .message_count = count_u32(queue_ready_count(queue)),
                        .consumer_count = count_u32(queue->consumer_count),
                    });
}

/* The counts are those after everything published before, and the name is durable. */
static void answer_when_durable(struct channel *ch, struct queue *queue)
{
    const struct amqp_queue_declare *in = ch->current->arguments;
    struct ticket ticket = core_catalog_ticket(ch->conn->core);

    remember_queue(ch, queue->name);
    if (in->nowait)
        return;
    ticket_join(&ticket, queue_barrier(queue));
    channel_wait(ch, ticket, answer_declare);
}

static void declare_passive(struct channel *ch, struct bytes name)
{
    struct queue *queue = queue_find(ch->conn->vhost, name);

    if (!queue)
        fail_no_queue(ch, name);
    else if (is_in_reach(ch, queue, false, false))
        answer_when_durable(ch, queue);
}

static void declare_existing(struct channel *ch, const struct amqp_queue_declare *in,
                             struct queue *queue)
{
    struct argument_subject subject = {.kind = "queue", .name = queue->name};
    bool durable = in->durable && !in->exclusive;

    if (is_in_reach(ch, queue, in->exclusive, true) &&
        argument_flags_agree(ch, &subject, "durable", durable, queue->durable) &&
        argument_flags_agree(ch, &subject, "auto_delete", in->auto_delete, queue->auto_delete) &&
        arguments_agree_for_queue(ch, &subject, in->arguments, queue->arguments)) {
        queue_redeclared(queue);
        answer_when_durable(ch, queue);
    }
}

/* RabbitMQ's quorum queues are for data that stays. */
static bool property_fits(struct channel *ch, const struct amqp_queue_declare *in,
                          struct bytes name)
{
    const char *wrong = !in->durable      ? "non-durable"
                        : in->exclusive   ? "exclusive-owner"
                        : in->auto_delete ? "auto-delete"
                                          : NULL;
    struct amqp_value type;

    if (!wrong || !amqp_table_find(in->arguments, "x-queue-type", &type) ||
        !bytes_equal_string(type.bytes, "quorum"))
        return true;
    channel_fail(ch, REPLY_PRECONDITION_FAILED,
                 "invalid property '%s' for queue '%.*s' in vhost '%.*s'", wrong,
                 BYTES_FORMAT(name), BYTES_FORMAT(ch->conn->vhost->name));
    return false;
}

static bool spec_is_good(struct channel *ch, const struct queue_spec *spec)
{
    const char *argument;

    if (!queue_check(spec, &argument))
        return true;
    channel_fail(ch, REPLY_PRECONDITION_FAILED,
                 "invalid arg '%s' for queue '%.*s' in vhost '%.*s': %s", argument,
                 BYTES_FORMAT(spec->name), BYTES_FORMAT(ch->conn->vhost->name), err_text());
    return false;
}

static void declare_new(struct channel *ch, const struct amqp_queue_declare *in, struct bytes name)
{
    struct argument_subject subject = {.kind = "queue", .name = name};

    if (!arguments_are_built_for_queue(ch, &subject, in->arguments) || !property_fits(ch, in, name))
        return;
    enum err err = core_catalog_can_change(ch->conn->core);
    if (err) {
        channel_fail_err(ch, err, "cannot declare the queue");
        return;
    }
    struct queue_spec spec = {
        .name = name,
        .durable = in->durable && !in->exclusive, /* what dies with its connection is not durable */
        .auto_delete = in->auto_delete,
        .exclusive_owner = in->exclusive ? &ch->conn->session : NULL,
        .arguments = in->arguments,
    };
    if (spec_is_good(ch, &spec))
        answer_when_durable(ch, queue_create(ch->conn->vhost, &spec));
}

/* Clients look whether somebody waits for an answer (RabbitMQ). */
static void declare_reply_address(struct channel *ch, struct bytes name)
{
    if (reply_to_is_address(name) && !reply_to_is_there(ch->conn->core, name))
        fail_no_queue(ch, name);
    else
        send_method(ch->conn, ch->id, AMQP_QUEUE_DECLARE_OK,
                    &(struct amqp_queue_declare_ok){.queue = name, .consumer_count = 1});
}

static void declare_unnamed(struct channel *ch, const struct amqp_queue_declare *in)
{
    char *name = consume_make_name(ch->conn->core, "amq.gen", '-');

    declare_new(ch, in, bytes_from_string(name));
    free(name);
}

void method_queue_declare(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_declare *in = arguments;
    struct bytes name = channel_name(ch, in->queue);

    if (reply_to_is_pseudo_queue(name) || reply_to_is_address(name)) {
        declare_reply_address(ch, name);
        return;
    }
    if (in->passive) {
        declare_passive(ch, name);
        return;
    }
    if (!name.size) {
        declare_unnamed(ch, in);
        return;
    }
    struct queue *queue = queue_find(ch->conn->vhost, name);
    if (queue)
        declare_existing(ch, in, queue);
    else if (bytes_has_prefix(name, "amq."))
        channel_fail(ch, REPLY_ACCESS_REFUSED, "queue name '%.*s' contains reserved prefix 'amq.*'",
                     BYTES_FORMAT(name));
    else
        declare_new(ch, in, name);
}

/* ---- bind, unbind ---- */

static void answer_bind(struct channel *ch)
{
    send_simple(ch->conn, ch->id, AMQP_QUEUE_BIND_OK);
}

static void answer_unbind(struct channel *ch)
{
    send_simple(ch->conn, ch->id, AMQP_QUEUE_UNBIND_OK);
}

/* An empty queue with an empty key stands for its name as key too. */
static struct bytes binding_key(struct bytes asked_queue, struct bytes key, struct bytes queue_name)
{
    return !asked_queue.size && !key.size ? queue_name : key;
}

static void add_binding(struct channel *ch, const struct amqp_queue_bind *in, struct exchange *x,
                        struct queue *queue)
{
    struct bytes key = binding_key(in->queue, in->routing_key, queue->name);

    if (!channel_can_bind(ch, x, key, in->arguments))
        return;
    exchange_bind(x, queue, key, in->arguments);
    if (!in->nowait)
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_bind);
}

void method_queue_bind(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_bind *in = arguments;
    struct bytes queue_name, exchange_name = channel_name(ch, in->exchange);

    if (!name_or_last(ch, in->queue, &queue_name) ||
        !channel_may_change_exchange(ch, exchange_name))
        return;
    struct exchange *x = channel_find_exchange(ch, exchange_name);
    if (!x)
        return;
    struct queue *queue = channel_find_queue(ch, queue_name);
    if (queue)
        add_binding(ch, in, x, queue);
}

/* What is not there cannot be bound, so a missing exchange, queue or binding is no error (RabbitMQ). */
static void remove_binding(struct channel *ch, const struct amqp_queue_unbind *in,
                           struct bytes queue_name, struct bytes exchange_name)
{
    struct exchange *x = exchange_find(ch->conn->vhost, exchange_name);
    struct queue *queue = queue_find(ch->conn->vhost, queue_name);

    if (queue && !is_in_reach(ch, queue, false, false))
        return;
    if (x && queue)
        exchange_unbind(x, queue, binding_key(in->queue, in->routing_key, queue_name),
                        in->arguments);
    channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_unbind);
}

void method_queue_unbind(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_unbind *in = arguments;
    struct bytes queue_name, exchange_name = channel_name(ch, in->exchange);

    if (name_or_last(ch, in->queue, &queue_name) && channel_may_change_exchange(ch, exchange_name))
        remove_binding(ch, in, queue_name, exchange_name);
}

/* ---- purge ---- */

static void answer_purge(struct channel *ch)
{
    const struct amqp_queue_purge *in = ch->current->arguments;

    if (!in->nowait)
        send_method(ch->conn, ch->id, AMQP_QUEUE_PURGE_OK,
                    &(struct amqp_queue_purge_ok){.message_count = count_u32(ch->step_count)});
}

static void purge(struct channel *ch)
{
    const struct amqp_queue_purge *in = ch->current->arguments;
    struct queue *queue = channel_find_queue(ch, in->queue);
    struct ticket ticket;

    if (!queue)
        return;
    ch->step_count = queue_purge(queue, &ticket);
    channel_wait(ch, ticket, answer_purge);
}

void method_queue_purge(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_purge *in = arguments;
    struct queue *queue = channel_find_queue(ch, in->queue);

    if (queue)
        channel_wait(ch, queue_barrier(queue), purge);
}

/* ---- delete ---- */

static void answer_delete(struct channel *ch)
{
    const struct amqp_queue_delete *in = ch->current->arguments;

    if (!in->nowait)
        send_method(ch->conn, ch->id, AMQP_QUEUE_DELETE_OK,
                    &(struct amqp_queue_delete_ok){.message_count = count_u32(ch->step_count)});
}

/* A queue that is not there is as good as deleted (RabbitMQ). False: it failed. */
static bool find_deletable(struct channel *ch, struct bytes name, struct queue **out)
{
    if (!name_or_last(ch, name, &name))
        return false;
    *out = queue_find(ch->conn->vhost, name);
    return !*out || is_in_reach(ch, *out, false, false);
}

static void delete_queue(struct channel *ch)
{
    const struct amqp_queue_delete *in = ch->current->arguments;
    struct bytes vhost = ch->conn->vhost->name;
    struct queue *queue;

    if (!find_deletable(ch, in->queue, &queue))
        return;
    ch->step_count = queue ? queue_ready_count(queue) : 0;
    if (queue && in->if_unused && queue->consumer_count) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "queue '%.*s' in vhost '%.*s' in use",
                     BYTES_FORMAT(queue->name), BYTES_FORMAT(vhost));
        return;
    }
    if (queue && in->if_empty && ch->step_count) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "queue '%.*s' in vhost '%.*s' not empty",
                     BYTES_FORMAT(queue->name), BYTES_FORMAT(vhost));
        return;
    }
    if (queue)
        queue_delete(queue);
    channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_delete);
}

void method_queue_delete(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_delete *in = arguments;
    struct queue *queue;

    if (!find_deletable(ch, in->queue, &queue))
        return;
    if (queue)
        channel_wait(ch, queue_barrier(queue), delete_queue);
    else
        delete_queue(ch);
}
