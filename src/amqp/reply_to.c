#include "amqp/reply_to.h"

#include <stdlib.h>

#include "amqp/consume.h"
#include "amqp/send.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/secret.h"

static const char pseudo_queue[] = "amq.rabbitmq.reply-to";

enum { PENDING_MAX_BYTES = 16 << 20 }; /* waiting for the socket: further answers are dropped */

struct reply_consumer {
    struct channel *channel;
    struct bytes tag;     /* owned */
    struct bytes address; /* owned: the pseudo-queue's name, a dot, and letters by chance */
};

/* All of the core, by address. */
struct reply_consumers {
    struct attachment attachment;
    struct map by_address;
};

static void free_consumers(struct attachment *a)
{
    struct reply_consumers *all = container_of(a, struct reply_consumers, attachment);
    map_reset(&all->by_address);
    free(all);
}

static struct map *consumers_of(struct core *core)
{
    struct attachment *a = core_attachment(core, free_consumers);
    if (!a) {
        struct reply_consumers *all = xzalloc(sizeof *all);
        all->attachment.free = free_consumers;
        core_attach(core, &all->attachment);
        a = &all->attachment;
    }
    return &container_of(a, struct reply_consumers, attachment)->by_address;
}

bool reply_to_is_pseudo_queue(struct bytes name)
{
    return bytes_equal_string(name, pseudo_queue);
}

bool reply_to_is_address(struct bytes key)
{
    return bytes_has_prefix(key, "amq.rabbitmq.reply-to.");
}

/* ---- consuming ---- */

/* Whoever knows it can answer, so nobody may guess it. */
static struct bytes make_address(struct core *core)
{
    char name[SECRET_NAME_SIZE + 1];
    secret_name(core, name);
    return bytes_from_string(xasprintf("%s.%s", pseudo_queue, name));
}

static struct reply_consumer *consumer_new(struct channel *ch, struct bytes tag)
{
    struct reply_consumer *r = xzalloc(sizeof *r);
    struct core *core = ch->conn->core;

    r->channel = ch;
    r->tag = tag.size ? bytes_of(xmemdup(tag.data, tag.size), tag.size)
                      : bytes_from_string(consume_make_name(core, "amq.ctag"));
    r->address = make_address(core);
    map_put(consumers_of(core), r->address, r);
    return r;
}

void reply_to_free(struct reply_consumer *r)
{
    if (!r)
        return;
    map_remove(consumers_of(r->channel->conn->core), r->address);
    free((void *)r->tag.data);
    free((void *)r->address.data);
    free(r);
}

void reply_to_consume(struct channel *ch, const struct amqp_basic_consume *in)
{
    if (!in->no_ack) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "reply consumer cannot acknowledge");
        return;
    }
    if (ch->reply_consumer) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "reply consumer already set");
        return;
    }
    ch->reply_consumer = consumer_new(ch, in->consumer_tag);
    if (!in->nowait)
        send_method(ch->conn, ch->id, AMQP_BASIC_CONSUME_OK,
                    &(struct amqp_basic_consume_ok){.consumer_tag = ch->reply_consumer->tag});
}

bool reply_to_cancel(struct channel *ch, struct bytes tag)
{
    if (!ch->reply_consumer || !bytes_equal(ch->reply_consumer->tag, tag))
        return false;
    reply_to_free(ch->reply_consumer);
    ch->reply_consumer = NULL;
    return true;
}

/* ---- requests and answers ---- */

bool reply_to_put_properties(const struct channel *ch, const struct message *m, struct text *out)
{
    if (!ch->reply_consumer)
        return false;
    message_put_properties(m, PROPERTY_REPLY_TO, ch->reply_consumer->address, 0, out);
    return true;
}

static const struct reply_consumer *find(const struct vhost *vhost, struct bytes address)
{
    const struct reply_consumer *r = map_get(consumers_of(vhost->core), address);
    return r && r->channel->conn->vhost == vhost ? r : NULL;
}

bool reply_to_is_there(const struct vhost *vhost, struct bytes address)
{
    return find(vhost, address);
}

void reply_to_deliver(const struct vhost *vhost, const struct message *m)
{
    const struct reply_consumer *r = find(vhost, m->routing_key);

    if (!r || link_pending_bytes(r->channel->conn->link) >= PENDING_MAX_BYTES)
        return;
    struct channel *ch = r->channel;
    send_deliver(ch->conn, ch->id, r->tag, ++ch->last_delivery_tag,
                 &(struct delivery){.message = *m});
    counters_add(&ch->counters, COUNTER_deliver_no_ack, 1);
    metrics_add(METRIC_messages_delivered_no_ack, 1);
}
