#include "broker/trace.h"

#include "broker/extra_keys.h"
#include "broker/hold.h"
#include "broker/vhost.h"

static const char exchange_name[] = "amq.rabbitmq.trace";

/* ---- the headers, as RabbitMQ writes them, in their order there ---- */

static void put_int(struct text *out, const char *name, int64_t number)
{
    amqp_table_put(out, name, &(struct amqp_value){.tag = 'I', .number = (int32_t)number});
}

static int64_t big_endian(struct bytes digits)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits.size; i++)
        number = number << 8 | digits.data[i];
    return (int64_t)number;
}

static const char *property_name(enum property_flag flag)
{
    switch (flag) {
    case PROPERTY_CONTENT_TYPE: return "content_type";
    case PROPERTY_CONTENT_ENCODING: return "content_encoding";
    case PROPERTY_HEADERS: return "headers";
    case PROPERTY_DELIVERY_MODE: return "delivery_mode";
    case PROPERTY_PRIORITY: return "priority";
    case PROPERTY_CORRELATION_ID: return "correlation_id";
    case PROPERTY_REPLY_TO: return "reply_to";
    case PROPERTY_EXPIRATION: return "expiration";
    case PROPERTY_MESSAGE_ID: return "message_id";
    case PROPERTY_TIMESTAMP: return "timestamp";
    case PROPERTY_TYPE: return "type";
    case PROPERTY_USER_ID: return "user_id";
    case PROPERTY_APP_ID: return "app_id";
    case PROPERTY_CLUSTER_ID: return "cluster_id";
    case PROPERTY_FLAGS: break;
    }
    return "";
}

static void put_property(struct text *out, const struct amqp_property *p)
{
    const enum property_flag numbers =
        PROPERTY_DELIVERY_MODE | PROPERTY_PRIORITY | PROPERTY_TIMESTAMP;
    const char *name = property_name(p->flag);
    if (p->flag == PROPERTY_HEADERS)
        amqp_table_put_table(out, name, p->value);
    else if (p->flag & numbers)
        put_int(out, name, big_endian(p->value)); /* a time is cut, as it is there */
    else
        amqp_table_put_string(out, name, p->value);
}

/* The last one first, as there. */
static void put_properties(struct text *out, struct bytes list)
{
    enum { PROPERTIES_MAX = 14 };
    struct amqp_property all[PROPERTIES_MAX];
    struct amqp_properties properties = amqp_properties_of(list);
    struct text table = {0};
    int count = 0;
    while (count < PROPERTIES_MAX && amqp_properties_next(&properties, &all[count]))
        count++;
    while (count-- > 0)
        put_property(&table, &all[count]);
    amqp_table_put_table(out, "properties", text_bytes(&table));
    text_reset(&table);
}

static void put_strings(struct text *out, const char *name, struct bytes first,
                        const struct bytes *more, size_t count)
{
    struct text array = {0};
    if (first.data)
        amqp_array_put(&array, &(struct amqp_value){.tag = 'S', .bytes = first});
    for (size_t i = 0; i < count; i++)
        amqp_array_put(&array, &(struct amqp_value){.tag = 'S', .bytes = more[i]});
    amqp_table_put(out, name, &(struct amqp_value){.tag = 'A', .bytes = text_bytes(&array)});
    text_reset(&array);
}

/* Before what only a message published, or only one delivered has. */
static void put_head(struct text *out, const struct trace_source *source, const struct message *m,
                     struct bytes properties)
{
    put_int(out, "channel", source->channel);
    amqp_table_put_string(out, "connection", bytes_from_string(source->connection));
    amqp_table_put_string(out, "exchange_name", m->exchange);
    amqp_table_put_string(out, "node", bytes_from_string(source->node));
    put_properties(out, properties);
}

static void put_tail(struct text *out, const struct trace_source *source, const struct message *m,
                     const struct extra_keys *extra)
{
    struct bytes key = m->routing_key.data ? m->routing_key : bytes_of("", 0);
    put_strings(out, "routing_keys", key, extra->keys.items, extra->keys.count);
    amqp_table_put_string(out, "user", source->user);
    amqp_table_put_string(out, "vhost", source->vhost->name);
}

/* ---- the copy ---- */

static void publish(struct vhost *vhost, const char *prefix, struct bytes suffix,
                    struct bytes headers, struct bytes body)
{
    struct exchange *exchange = exchange_find(vhost, bytes_from_string(exchange_name));
    struct text key = {0}, properties = {0};
    struct ticket ignored;
    if (!exchange)
        return;
    text_printf(&key, "%s.%.*s", prefix, BYTES_FORMAT(suffix));
    text_put_u16(&properties, PROPERTY_HEADERS);
    amqp_property_put(&properties, PROPERTY_HEADERS, headers);
    struct message copy = {.exchange = bytes_from_string(exchange_name),
                           .routing_key = text_bytes(&key),
                           .properties = text_bytes(&properties),
                           .body = body};
    if (copy.routing_key.size > UINT8_MAX)
        copy.routing_key.size = UINT8_MAX;
    struct route route = exchange_route(exchange, &copy);
    if (route.count > 0)
        (void)!queue_publish(vhost->core, route, &copy, &ignored);
    text_reset(&key);
    text_reset(&properties);
}

static bool is_left_out(const struct trace_source *source, const struct message *m)
{
    return bytes_equal_string(m->exchange, exchange_name) ||
           core_holds(source->vhost->core) & HOLD_ALARMS;
}

/* BCC is in no copy, but its keys are. */
static struct bytes read_keys(const struct message *m, struct extra_keys *out)
{
    if (extra_keys_read(m, out)) /* it was good when it was published */
        vec_clear(&out->keys);
    return out->properties.size ? text_bytes(&out->properties) : m->properties;
}

void trace_published(const struct trace_source *source, const struct message *m,
                     const struct bytes *queues, size_t count)
{
    struct text headers = {0};
    struct extra_keys extra = {0};
    if (is_left_out(source, m))
        return;
    put_head(&headers, source, m, read_keys(m, &extra));
    put_strings(&headers, "routed_queues", BYTES_NULL, queues, count);
    put_tail(&headers, source, m, &extra);
    publish(source->vhost, "publish", m->exchange, text_bytes(&headers), m->body);
    extra_keys_reset(&extra);
    text_reset(&headers);
}

void trace_delivered(const struct trace_source *source, const struct delivery *d)
{
    struct text headers = {0};
    struct extra_keys extra = {0};
    if (is_left_out(source, &d->message))
        return;
    put_head(&headers, source, &d->message, read_keys(&d->message, &extra));
    put_int(&headers, "redelivered", d->redelivered);
    put_tail(&headers, source, &d->message, &extra);
    publish(source->vhost, "deliver", d->queue->name, text_bytes(&headers), d->message.body);
    extra_keys_reset(&extra);
    text_reset(&headers);
}
