/* Class queue: declare, bind, unbind, purge, delete. */
#include <stdlib.h>
#include <string.h>

#include "amqp/amqp_messages.h"
#include "amqp/consume.h"
#include "amqp/method.h"
#include "amqp/reply_to.h"
#include "amqp/send.h"
#include "base/mem.h"

/* ---- names ---- */

struct bytes channel_name(struct channel *ch, struct bytes name)
{
    struct declare_name room;
    struct bytes clean = declare_name(name, &room);

    if (clean.data == name.data)
        return name;
    void *kept = arena_alloc(&ch->current->batch->input.arena, sizeof room);
    return kept ? bytes_of(memcpy(kept, clean.data, clean.size), clean.size) : name;
}

static void remember_queue(struct channel *ch, struct bytes name)
{
    free((void *)ch->last_queue.data);
    ch->last_queue = bytes_of(xmemdup(name.data, name.size), name.size);
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
    struct declarer by = channel_declarer(ch);
    struct queue *queue = NULL;

    if (!name_or_last(ch, name, &name))
        return NULL;
    enum err err = declare_find_queue(ch->conn->vhost, name, &by, &queue);
    if (err)
        channel_fail_as(ch, err);
    return queue;
}

struct queue *channel_find_readable_queue(struct channel *ch, struct bytes name)
{
    return name_or_last(ch, name, &name) && channel_may(ch, ACCESS_READ, ACCESS_QUEUE, name)
               ? channel_find_queue(ch, name)
               : NULL;
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
    struct declarer by = channel_declarer(ch);
    struct queue *queue;
    enum err err = declare_find_queue(ch->conn->vhost, name, &by, &queue);

    if (err)
        channel_fail_as(ch, err);
    else
        answer_when_durable(ch, queue);
}

static void declare(struct channel *ch, const struct amqp_queue_declare *in, struct bytes name,
                    bool is_made_here)
{
    struct queue *queue;
    struct declarer by = channel_declarer(ch);
    struct queue_declaration declaration = {
        .name = name,
        .durable = in->durable,
        .auto_delete = in->auto_delete,
        .exclusive = in->exclusive,
        .may_be_reserved = is_made_here,
        .arguments = in->arguments,
    };
    enum err err = declare_queue(ch->conn->vhost, &declaration, &by, &queue);

    if (err)
        channel_fail_as(ch, err);
    else
        answer_when_durable(ch, queue);
}

/* Clients look whether somebody waits for an answer (RabbitMQ). */
static void declare_reply_address(struct channel *ch, struct bytes name)
{
    if (reply_to_is_address(name) && !reply_to_is_there(ch->conn->vhost, name))
        fail_no_queue(ch, name);
    else
        send_method(ch->conn, ch->id, AMQP_QUEUE_DECLARE_OK,
                    &(struct amqp_queue_declare_ok){.queue = name, .consumer_count = 1});
}

static void declare_unnamed(struct channel *ch, const struct amqp_queue_declare *in)
{
    char *name = consume_make_name(ch->conn->core, "amq.gen");

    declare(ch, in, bytes_from_string(name), true);
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
    if (in->passive)
        declare_passive(ch, name);
    else if (!name.size)
        declare_unnamed(ch, in);
    else
        declare(ch, in, name, false);
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

static struct binding_declaration binding_of(struct bytes asked_queue, struct bytes queue,
                                             struct bytes exchange, struct bytes key,
                                             struct bytes arguments)
{
    return (struct binding_declaration){
        .source = exchange,
        .destination = queue,
        .key = binding_key(asked_queue, key, queue),
        .arguments = arguments,
    };
}

void method_queue_bind(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_bind *in = arguments;
    struct declarer by = channel_declarer(ch);
    struct bytes queue;

    if (!name_or_last(ch, in->queue, &queue))
        return;
    struct binding_declaration declaration =
        binding_of(in->queue, queue, in->exchange, in->routing_key, in->arguments);
    enum err err = declare_binding(ch->conn->vhost, &declaration, &by);
    if (err)
        channel_fail_as(ch, err);
    else if (!in->nowait)
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_bind);
}

void method_queue_unbind(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_unbind *in = arguments;
    struct declarer by = channel_declarer(ch);
    struct bytes queue;

    if (!name_or_last(ch, in->queue, &queue))
        return;
    struct binding_declaration declaration =
        binding_of(in->queue, queue, in->exchange, in->routing_key, in->arguments);
    enum err err = declare_unbinding(ch->conn->vhost, &declaration, &by);
    if (err)
        channel_fail_as(ch, err);
    else
        channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_unbind);
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
    struct queue *queue = channel_find_readable_queue(ch, in->queue);

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

static void delete_queue(struct channel *ch)
{
    const struct amqp_queue_delete *in = ch->current->arguments;
    struct declarer by = channel_declarer(ch);
    struct bytes name;
    uint64_t count;

    if (!name_or_last(ch, in->queue, &name))
        return;
    enum err err =
        declare_delete_queue(ch->conn->vhost, name, &by, in->if_unused, in->if_empty, &count);
    if (err == E_AGAIN) {
        channel_yield(ch, delete_queue);
        return;
    }
    if (err) {
        channel_fail_as(ch, err);
        return;
    }
    ch->step_count = count;
    channel_wait(ch, core_catalog_ticket(ch->conn->core), answer_delete);
}

void method_queue_delete(struct channel *ch, const void *arguments)
{
    const struct amqp_queue_delete *in = arguments;
    struct declarer by = channel_declarer(ch);
    struct queue *queue;
    struct bytes name;

    if (!name_or_last(ch, in->queue, &name) ||
        !channel_may(ch, ACCESS_CONFIGURE, ACCESS_QUEUE, name))
        return;
    enum err err = declare_find_queue(ch->conn->vhost, name, &by, &queue);
    if (!err)
        channel_wait(ch, queue_barrier(queue), delete_queue);
    else if (err == E_NOT_FOUND) /* as good as deleted (RabbitMQ) */
        delete_queue(ch);
    else
        channel_fail_as(ch, err);
}
