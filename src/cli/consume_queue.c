/* The messages of a queue, by AMQP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/consume_internal.h"
#include "cli/control_client.h"
#include "cli/properties.h"
#include "io/clock.h"

enum { PREFETCH_MAX = 1000 };

enum err consume_ack_parse(const char *text, enum ack_mode *out)
{
    static const char *const names[] = {"auto", "ack", "none", "reject", "requeue"};

    for (int i = 0; i <= ACK_REQUEUE; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum ack_mode)i;
            return OK;
        }
    return err_set(E_INVALID, "--ack %s: must be auto, ack, reject, requeue or none", text);
}

static enum err settle(struct amqp_client *client, enum ack_mode mode, uint64_t tag)
{
    struct amqp_basic_ack ack = {.delivery_tag = tag};
    struct amqp_basic_reject reject = {.delivery_tag = tag};

    if (mode == ACK_EACH)
        return amqp_client_send(client, AMQP_BASIC_ACK, &ack);
    if (mode == ACK_REJECT)
        return amqp_client_send(client, AMQP_BASIC_REJECT, &reject);
    return OK;
}

static enum err take_delivery(struct consume *c, struct amqp_client *client, struct reader *r,
                              enum ack_mode mode)
{
    struct amqp_basic_deliver deliver;
    struct bytes properties, body;

    enum err err = amqp_wire_decode(&amqp_basic_deliver_schema, r, &deliver);
    if (err)
        return err;
    json_t *object = json_object(); /* now: the method's bytes do not outlive the next frame */
    format_set_bytes(object, "exchange", "exchange_hex", deliver.exchange);
    format_set_bytes(object, "routing_key", "routing_key_hex", deliver.routing_key);
    json_object_set_new(object, "redelivered", json_boolean(deliver.redelivered));
    err = amqp_client_content(client, &properties, &body);
    if (err) {
        json_decref(object);
        return err;
    }
    if (common_wants_json(&c->options->common)) {
        json_object_set_new(object, "properties", properties_json(properties));
        format_set_bytes(object, "body", "body_hex", body.data ? body : BYTES_LITERAL(""));
        consume_print_json(c, object);
    } else {
        consume_print(c, body);
        json_decref(object);
    }
    fflush(stdout);
    return settle(client, mode, deliver.delivery_tag);
}

/* Those that were held back together, so that none comes again before the end. */
static enum err requeue(struct amqp_client *client)
{
    struct amqp_basic_nack all = {.delivery_tag = 0, .multiple = true, .requeue = true};

    return amqp_client_send(client, AMQP_BASIC_NACK, &all);
}

static enum err start_consuming(const struct consume_options *o, struct amqp_client *client,
                                enum ack_mode mode)
{
    int64_t most = o->prefetch ? o->prefetch : PREFETCH_MAX;
    bool are_held = mode == ACK_NONE || mode == ACK_REQUEUE;
    uint16_t prefetch = (uint16_t)(o->count && o->count < most ? o->count : most);

    if (are_held && !o->prefetch)
        prefetch = o->count > UINT16_MAX ? 0 : (uint16_t)o->count;
    enum err err = amqp_client_qos(client, prefetch);
    if (!err)
        err = amqp_client_consume(client, o->queue, mode == ACK_AUTO);
    return err;
}

/* How long to wait for the next message: for ever, but in steps. */
static int64_t next_wait_ns(const struct consume *c)
{
    int64_t wait_ns = CONSUME_WAIT_MS * INT64_C(1000000);
    int64_t left_ns = c->last_ns + c->options->idle_ns - clock_now_ns();

    return c->options->idle_ns && left_ns < wait_ns ? left_ns : wait_ns;
}

enum err consume_queue(struct consume *c)
{
    const struct consume_options *o = c->options;
    struct amqp_client *client = NULL;
    enum amqp_method_id method;
    struct reader r;

    enum err err = amqp_client_open(control_find_listener(&o->common, "amqp", "127.0.0.1:5672"),
                                    &o->login, o->common.timeout_ns, &client);
    if (!err)
        err = start_consuming(o, client, o->ack_mode);
    c->last_ns = clock_now_ns();
    while (!err && !consume_is_done(c)) {
        err = amqp_client_next(client, next_wait_ns(c), &method, &r);
        if (err == E_TIMEOUT)
            err = OK;
        else if (!err && method == AMQP_BASIC_DELIVER)
            err = take_delivery(c, client, &r, o->ack_mode);
        else if (!err && method == AMQP_BASIC_CANCEL)
            err = err_set(E_NOT_FOUND, "queue %s was deleted", o->queue);
    }
    if (!err && o->ack_mode == ACK_REQUEUE)
        err = requeue(client);
    char *reason = xstrdup(err_text());
    amqp_client_close(client);
    if (err)
        (void)err_set(err, "%s", reason);
    free(reason);
    return err;
}
