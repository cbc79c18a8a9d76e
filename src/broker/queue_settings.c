#include "broker/queue_settings.h"

#include "wire/amqp_table.h"

enum { QUORUM_DELIVERY_LIMIT = 20 };             /* RabbitMQ 4's default */
static const int64_t TIME_MAX_MS = 315360000000; /* ten years (RabbitMQ) */

static enum err wrong_type(const struct amqp_value *v)
{
    return err_set(E_INVALID, "{unacceptable_type,%s}", amqp_type_name(v->tag));
}

/* An integer of any width from `min` to `max`; nothing changes when it is not there. */
static enum err read_integer(struct bytes table, const char *name, int64_t min, int64_t max,
                             int64_t *out)
{
    struct amqp_value v;
    int64_t value;
    if (!amqp_table_find(table, name, &v))
        return OK;
    if (!amqp_value_integer(&v, &value))
        return wrong_type(&v);
    if (value < min)
        return value == 0 ? err_set(E_INVALID, "{value_zero,0}")
                          : err_set(E_INVALID, "{value_negative,%lld}", (long long)value);
    if (value > max)
        return err_set(E_INVALID, "{max_value_exceeded,%lld}", (long long)value);
    *out = value;
    return OK;
}

static enum err read_string(struct bytes table, const char *name, struct bytes *out)
{
    struct amqp_value v;
    if (!amqp_table_find(table, name, &v))
        return OK;
    if (v.tag != 'S')
        return wrong_type(&v);
    *out = v.bytes;
    return OK;
}

static enum err read_bool(struct bytes table, const char *name, bool *out)
{
    struct amqp_value v;
    if (!amqp_table_find(table, name, &v))
        return OK;
    if (v.tag != 't')
        return wrong_type(&v);
    *out = v.number;
    return OK;
}

static enum err read_overflow(struct bytes table, enum queue_overflow *out)
{
    static const char *const names[] = {"drop-head", "reject-publish", "reject-publish-dlx"};
    struct bytes name = BYTES_NULL;
    enum err err = read_string(table, "x-overflow", &name);
    if (err || !name.data)
        return err;
    for (int i = 0; i < 3; i++) {
        if (bytes_equal_string(name, names[i])) {
            *out = (enum queue_overflow)i;
            return OK;
        }
    }
    return err_set(E_INVALID, "{invalid_overflow,<<\"%.*s\">>}", BYTES_FORMAT(name));
}

static enum err read_dead_letter_key(struct bytes table, struct queue_settings *out)
{
    enum err err = read_string(table, "x-dead-letter-routing-key", &out->dead_letter_key);
    if (!err && out->dead_letter_key.data && !out->dead_letter_exchange.data)
        err = err_set(E_INVALID, "routing_key_but_no_dlx_defined");
    return err;
}

/* RabbitMQ 4.0 takes any value, and only integers have an effect. */
static void read_consumer_timeout(struct bytes table, struct queue_settings *out)
{
    struct amqp_value v;
    int64_t timeout_ms;
    if (amqp_table_find(table, "x-consumer-timeout", &v) && amqp_value_integer(&v, &timeout_ms) &&
        timeout_ms >= 0 && timeout_ms <= TIME_MAX_MS)
        out->consumer_timeout_ms = timeout_ms;
}

enum err queue_settings_read(struct bytes arguments, struct queue_settings *out,
                             const char **out_argument)
{
    struct bytes type = BYTES_NULL;
    *out = (struct queue_settings){.message_ttl_ms = -1,
                                   .expires_ms = -1,
                                   .max_length = -1,
                                   .max_length_bytes = -1,
                                   .delivery_limit = -1,
                                   .max_priority = -1,
                                   .consumer_timeout_ms = -1};
    enum err err = read_string(arguments, *out_argument = "x-queue-type", &type);
    out->is_quorum = type.data && bytes_equal_string(type, "quorum");
    if (out->is_quorum)
        out->delivery_limit = QUORUM_DELIVERY_LIMIT;
    read_consumer_timeout(arguments, out);
    if (!err)
        err = read_integer(arguments, *out_argument = "x-message-ttl", 0, TIME_MAX_MS,
                           &out->message_ttl_ms);
    if (!err)
        err =
            read_integer(arguments, *out_argument = "x-expires", 1, TIME_MAX_MS, &out->expires_ms);
    if (!err)
        err =
            read_integer(arguments, *out_argument = "x-max-length", 0, INT64_MAX, &out->max_length);
    if (!err)
        err = read_integer(arguments, *out_argument = "x-max-length-bytes", 0, INT64_MAX,
                           &out->max_length_bytes);
    if (!err)
        err = read_integer(arguments, *out_argument = "x-delivery-limit", -1, INT32_MAX,
                           &out->delivery_limit);
    if (!err)
        err = read_integer(arguments, *out_argument = "x-max-priority", 0, 255, &out->max_priority);
    if (!err)
        err = read_overflow(arguments, (*out_argument = "x-overflow", &out->overflow));
    if (!err)
        err = read_string(arguments, *out_argument = "x-dead-letter-exchange",
                          &out->dead_letter_exchange);
    if (!err)
        err = read_dead_letter_key(arguments, (*out_argument = "x-dead-letter-routing-key", out));
    if (!err)
        err = read_bool(arguments, *out_argument = "x-single-active-consumer", &out->single_active);
    return err;
}
