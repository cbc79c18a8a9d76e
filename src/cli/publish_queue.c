/* Messages to a queue or an exchange, by AMQP with publisher confirms. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/control_client.h"
#include "cli/publish_internal.h"

struct amqp_sink {
    struct sink sink;
    struct amqp_client *client;
    uint64_t unconfirmed;
    bool is_persistent, was_returned;
};

static enum err take_confirm(struct amqp_sink *s, enum amqp_method_id method, struct reader *r)
{
    uint64_t tag = reader_u64(r);
    bool multiple = reader_u8(r) & 1;

    if (method == AMQP_BASIC_NACK)
        return err_set(E_FULL, "the server refused a message");
    s->unconfirmed = multiple ? s->sink.count - tag : s->unconfirmed - 1;
    return OK;
}

/* Send, then wait until all is confirmed. */
static enum err amqp_sink_flush(struct sink *sink)
{
    struct amqp_sink *s = (struct amqp_sink *)sink;
    struct bytes properties, body;
    enum amqp_method_id method;
    struct reader r;

    enum err err = amqp_client_flush(s->client);
    while (!err && s->unconfirmed) {
        err = amqp_client_next(s->client, sink->options->common.timeout_ns, &method, &r);
        if (err)
            return err;
        if (method == AMQP_BASIC_ACK || method == AMQP_BASIC_NACK)
            err = take_confirm(s, method, &r);
        if (method == AMQP_BASIC_RETURN) {
            s->was_returned = true;
            err = amqp_client_content(s->client, &properties, &body);
        }
    }
    if (!err && s->was_returned)
        err = err_set(E_NOT_FOUND, "no queue takes messages for exchange \"%s\" with key \"%s\"",
                      sink->options->exchange, sink->options->key);
    return err;
}

static enum err amqp_sink_put(struct sink *sink, struct bytes key, struct bytes value)
{
    struct amqp_sink *s = (struct amqp_sink *)sink;
    const struct publish_options *o = sink->options;
    char *own_key = key.data ? xasprintf("%.*s", BYTES_FORMAT(key)) : NULL;
    struct amqp_publish publish = {.exchange = o->exchange,
                                   .routing_key = own_key ? own_key : o->key,
                                   .mandatory = !o->drops_unroutable && !o->has_no_confirms,
                                   .persistent = s->is_persistent,
                                   .properties = &o->properties.list,
                                   .body = value};

    if (strlen(publish.routing_key) > UINT8_MAX) {
        free(own_key);
        return err_set(E_INVALID, "a routing key has at most %d bytes", UINT8_MAX);
    }
    size_t size = amqp_client_publish(s->client, &publish);
    free(own_key);
    s->unconfirmed += !o->has_no_confirms;
    return size >= PUBLISH_FLUSH_BYTES ? amqp_sink_flush(sink) : OK;
}

static void amqp_sink_close(struct sink *sink)
{
    struct amqp_sink *s = (struct amqp_sink *)sink;

    amqp_client_close(s->client);
    free(s);
}

static const struct sink_kind amqp_sink_kind = {amqp_sink_put, amqp_sink_flush, amqp_sink_close};

enum err publish_queue_open(const struct publish_options *o, struct sink **out)
{
    struct amqp_sink *s = xzalloc(sizeof *s);

    s->sink = (struct sink){&amqp_sink_kind, o, 0, 0};
    s->is_persistent = !o->transient && !(o->properties.list.flags & AMQP_BASIC_HAS_DELIVERY_MODE);
    enum err err = amqp_client_open(control_find_listener(&o->common, "amqp", "127.0.0.1:5672"),
                                    &o->login, o->common.timeout_ns, &s->client);
    if (!err && !o->has_no_confirms)
        err = amqp_client_confirm_select(s->client);
    if (err) {
        amqp_sink_close(&s->sink);
        return err;
    }
    *out = &s->sink;
    return OK;
}
