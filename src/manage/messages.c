/* Messages: get some from a queue, publish one to an exchange. For looking and trying, as in
 * RabbitMQ's API: clients of queues speak AMQP. */
#include "base/base64.h"
#include "broker/access.h"
#include "broker/extra_keys.h"
#include "manage/message_json.h"
#include "manage/objects.h"
#include "manage/routes.h"

enum {
    /* One answer has no more, also when more was asked for. */
    GET_MAX_COUNT = 1000,
    GET_MAX_BYTES = 16 << 20,
};

/* ---- get ---- */

enum ack_mode { ACK, ACK_REQUEUE, REJECT, REJECT_REQUEUE, ACK_MODES };

struct getting {
    int64_t count;
    enum ack_mode mode;
    bool always_base64;
    int64_t truncate;
};

static bool read_mode(struct bytes name, enum ack_mode *out)
{
    static const char *const names[ACK_MODES] = {"ack_requeue_false", "ack_requeue_true",
                                                 "reject_requeue_false", "reject_requeue_true"};

    for (int i = 0; i < ACK_MODES; i++) {
        *out = (enum ack_mode)i;
        if (bytes_equal_string(name, names[i]))
            return true;
    }
    return false;
}

/* false: the call has ended. */
static bool read_getting(struct manage_call *call, struct getting *out)
{
    static const char *const wanted[] = {"count", "ackmode", "encoding", NULL};
    struct bytes mode, encoding;

    if (!objects_body_has_all(call, wanted))
        return false;
    *out = (struct getting){.truncate = INT64_MAX};
    if (manage_body_int(call, "truncate", &out->truncate)) {
        objects_fail_pair(call, "not_integer", json_object_get(call->body, "truncate"));
        return false;
    }
    enum err err = manage_body_int(call, "count", &out->count);
    if (!err)
        err = manage_body_string(call, "ackmode", &mode);
    if (!err && !read_mode(mode, &out->mode))
        err = err_set(E_INVALID, "ackmode is not one of ack_requeue_true, ack_requeue_false, "
                                 "reject_requeue_true and reject_requeue_false");
    if (!err)
        err = manage_body_string(call, "encoding", &encoding);
    if (!err && !bytes_equal_string(encoding, "auto") && !bytes_equal_string(encoding, "base64"))
        err = err_set(E_INVALID, "Unsupported encoding. Please use auto or base64.");
    if (err) {
        manage_fail(call, err);
        return false;
    }
    out->always_base64 = bytes_equal_string(encoding, "base64");
    if (out->truncate < 0)
        out->truncate = 0;
    return true;
}

/* The queue of the path, if the user may read it; NULL: the call has ended. */
static struct queue *find_readable(struct manage_call *call)
{
    struct declarer by = objects_declarer(call);
    struct queue *queue = queue_find(call->vhost, manage_param(call, "name"));

    if (!queue) {
        manage_fail_as(call, 404, "not_found", "queue_not_found");
        return NULL;
    }
    enum err err = declare_find_queue(call->vhost, queue->name, &by, &queue);
    if (!err)
        err = access_check(call->user, call->vhost, ACCESS_READ, ACCESS_QUEUE, queue->name);
    if (!err && queue_is_single_active(queue))
        err = err_set(E_LOCKED,
                      "405 RESOURCE_LOCKED - cannot obtain access to locked queue '%.*s' in vhost "
                      "'%.*s'. basic.get operations are not supported by queues with single active "
                      "consumer",
                      BYTES_FORMAT(queue->name), BYTES_FORMAT(queue->vhost->name));
    if (!err)
        return queue;
    objects_fail(call, err);
    return NULL;
}

static json_t *json_of_delivery(const struct getting *g, const struct delivery *d)
{
    json_t *json = json_object();

    objects_put_count(json, "payload_bytes", d->message.body.size);
    json_object_set_new(json, "redelivered", json_boolean(d->redelivered));
    objects_put(json, "exchange", d->message.exchange);
    objects_put(json, "routing_key", d->message.routing_key);
    objects_put_count(json, "message_count", queue_ready_count(d->queue));
    json_object_set_new(json, "properties", message_properties_json(&d->message));
    message_put_payload(json, d->message.body, (size_t)g->truncate, g->always_base64);
    return json;
}

typedef VEC(struct delivery) delivery_list;

/* What was looked at only comes back in one go, so that a request sees no message twice. */
static void end_all(const struct getting *g, const delivery_list *taken)
{
    for (size_t i = 0; i < taken->count; i++) {
        const struct delivery *d = &taken->items[i];
        if (g->mode == REJECT)
            queue_reject(d->queue, d->offset, d->number);
        else
            queue_return(d->queue, d->offset, d->number);
    }
}

/* All in this turn: nothing stays taken for a client that may have gone. */
static enum err get_some(struct queue *queue, const struct getting *g, json_t *out)
{
    delivery_list taken = {0};
    struct delivery d;
    size_t bytes = 0;
    enum err err = OK;

    for (int i = 0; i < g->count && i < GET_MAX_COUNT && bytes < GET_MAX_BYTES; i++) {
        err = queue_get(queue, g->mode == ACK, NULL, &d);
        if (err)
            break;
        json_array_append_new(out, json_of_delivery(g, &d));
        bytes += d.message.body.size;
        if (g->mode == ACK)
            queue_finish(queue, d.offset, d.number);
        else
            vec_push(&taken, d);
    }
    end_all(g, &taken);
    vec_reset(&taken);
    return json_array_size(out) || err == E_NOT_FOUND ? OK : err;
}

static void get_now(struct manage_call *call)
{
    struct queue *queue = find_readable(call);
    struct getting g;

    if (!queue || !read_getting(call, &g))
        return;
    json_t *out = json_array();
    enum err err = get_some(queue, &g, out);
    if (!err) {
        manage_answer(call, 200, out);
        return;
    }
    json_decref(out);
    if (err == E_COLD)
        queue_wait_read(queue, manage_again(call, get_now));
    else
        manage_fail(call, err);
}

static void get_messages(struct manage_call *call)
{
    struct queue *queue = find_readable(call);
    struct getting ignored;

    if (queue && read_getting(call, &ignored))
        manage_wait(call, queue_barrier(queue), get_now);
}

/* ---- publish ---- */

struct publishing {
    struct message message;
    struct text properties, body;
};

static void publishing_reset(struct publishing *p)
{
    text_reset(&p->properties);
    text_reset(&p->body);
}

/* Its payload as bytes; false: the call has ended. */
static bool read_body(struct manage_call *call, struct publishing *p)
{
    struct bytes payload, encoding;

    if (manage_body_string(call, "payload", &payload)) {
        manage_fail_as(call, 400, "bad_request", "payload_not_string");
        return false;
    }
    if (manage_body_string(call, "payload_encoding", &encoding))
        encoding = bytes_of("", 0);
    if (bytes_equal_string(encoding, "string"))
        text_append(&p->body, payload);
    else if (!bytes_equal_string(encoding, "base64")) {
        objects_fail_pair(call, "unsupported_encoding",
                          json_object_get(call->body, "payload_encoding"));
        return false;
    } else if (!base64_decode(&p->body, payload)) {
        objects_fail_pair(call, "not_base64", json_object_get(call->body, "payload"));
        return false;
    }
    p->message.body = text_bytes(&p->body);
    return true;
}

static bool read_properties(struct manage_call *call, struct publishing *p)
{
    json_t *object = json_object_get(call->body, "properties"), *wrong_name;
    const char *wrong;
    bool is_empty_array = json_is_array(object) && json_array_size(object) == 0;

    enum err err =
        message_properties_from_json(is_empty_array ? NULL : object, &p->properties, &wrong);
    p->message.properties = text_bytes(&p->properties);
    if (!err)
        return true;
    if (!wrong) {
        manage_fail(call, err);
        return false;
    }
    wrong_name = json_string(wrong);
    bool is_number = !json_is_integer(json_object_get(object, wrong)) &&
                     (strcmp(wrong, "delivery_mode") == 0 || strcmp(wrong, "priority") == 0 ||
                      strcmp(wrong, "timestamp") == 0);
    objects_fail_pair(call, is_number ? "not_int" : "bad_property", wrong_name);
    json_decref(wrong_name);
    return false;
}

/* What AMQP would close a channel for. */
static enum err check_message(const struct manage_call *call, const struct message *m)
{
    struct bytes expiration = message_property(m, PROPERTY_EXPIRATION);
    struct bytes user = message_property(m, PROPERTY_USER_ID);
    char why[300];

    if (expiration.data && message_expiration_is_wrong(expiration, why, sizeof why))
        return err_set(E_INVALID, "406 PRECONDITION_FAILED - invalid expiration '%.*s': %s",
                       BYTES_FORMAT(expiration), why);
    if (user.data && call->user && !bytes_equal(user, call->user->name))
        return err_set(E_INVALID,
                       "406 PRECONDITION_FAILED - user_id property set to '%.*s' but authenticated "
                       "user was '%.*s'",
                       BYTES_FORMAT(user), BYTES_FORMAT(call->user->name));
    if (m->routing_key.size > UINT8_MAX)
        return err_set(E_INVALID, "routing_key is longer than 255 bytes");
    if (m->body.size > (size_t)call->core->config.message_max_bytes)
        return err_set(E_INVALID,
                       "406 PRECONDITION_FAILED - message size %zu is larger than configured max "
                       "size %lld",
                       m->body.size, (long long)call->core->config.message_max_bytes);
    return OK;
}

static enum err check_exchange(const struct manage_call *call, const struct exchange *x,
                               struct bytes key)
{
    enum err err = access_check(call->user, call->vhost, ACCESS_WRITE, ACCESS_EXCHANGE, x->name);

    if (!err && x->kind == EXCHANGE_TOPIC)
        err = access_check_topic(call->user, call->vhost, ACCESS_WRITE, x->name, key);
    if (!err && x->internal)
        err = err_set(E_REFUSED, "cannot publish to internal exchange '%.*s' in vhost '%.*s'",
                      BYTES_FORMAT(x->name), BYTES_FORMAT(call->vhost->name));
    return err;
}

static void answer_routed(struct manage_call *call)
{
    manage_answer(call, 200, json_pack("{s:b}", "routed", 1));
}

static void answer_unrouted(struct manage_call *call)
{
    manage_answer(call, 200, json_pack("{s:b}", "routed", 0));
}

/* As a mandatory message on a channel with confirms: who asks is told when it is safe. */
static void store(struct manage_call *call, struct exchange *x, const struct message *m,
                  struct route route)
{
    struct ticket ticket;

    exchange_count(x, route.count);
    counters_add_message(m->body.size);
    counters_add(&call->vhost->counters, COUNTER_publish, 1);
    if (route.count == 0) {
        counters_add(&call->vhost->counters, COUNTER_return_unroutable, 1);
        answer_unrouted(call);
        return;
    }
    enum err err = queue_publish(call->core, route, m, &ticket);
    if (err == E_FULL)
        answer_unrouted(call);
    else if (err)
        manage_fail(call, err);
    else
        manage_wait(call, ticket, answer_routed);
}

/* CC and BCC are keys too. */
static enum err check_extra_keys(const struct manage_call *call, const struct exchange *x,
                                 const struct extra_keys *extra)
{
    enum err err = OK;

    for (size_t i = 0; i < extra->keys.count && x->kind == EXCHANGE_TOPIC && !err; i++)
        err = access_check_topic(call->user, call->vhost, ACCESS_WRITE, x->name,
                                 extra->keys.items[i]);
    return err;
}

static void publish(struct manage_call *call, struct exchange *x, struct message *m)
{
    struct extra_keys extra = {0};
    enum err err = check_message(call, m);

    if (!err)
        err = extra_keys_read(m, &extra);
    if (!err)
        err = check_extra_keys(call, x, &extra);
    if (err) {
        objects_fail(call, err);
    } else {
        struct route route = exchange_route_keys(x, m, extra.keys.items, extra.keys.count);
        if (extra.properties.size)
            m->properties = text_bytes(&extra.properties);
        store(call, x, m, route);
    }
    extra_keys_reset(&extra);
}

static void publish_message(struct manage_call *call)
{
    static const char *const wanted[] = {"properties", "routing_key", "payload", "payload_encoding",
                                         NULL};
    struct exchange *x = exchange_find(call->vhost, objects_exchange_name(call, "name"));
    struct publishing p = {0};

    if (!x) {
        manage_fail_as(call, 404, "not_found", "exchange_not_found");
        return;
    }
    if (!objects_body_has_all(call, wanted))
        return;
    p.message.exchange = x->name;
    enum err err = manage_body_string(call, "routing_key", &p.message.routing_key);
    if (!err)
        err = check_exchange(call, x, p.message.routing_key);
    if (err)
        objects_fail(call, err);
    else if (read_body(call, &p) && read_properties(call, &p))
        publish(call, x, &p.message);
    publishing_reset(&p);
}

static const struct manage_route routes[] = {
    {MANAGE_POST, "queues/:vhost/:name/get", MANAGE_LOGIN, get_messages},
    {MANAGE_POST, "exchanges/:vhost/:name/publish", MANAGE_LOGIN, publish_message},
};

const struct manage_routes manage_message_routes = {routes, sizeof routes / sizeof routes[0]};
