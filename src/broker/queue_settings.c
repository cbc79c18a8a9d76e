#include "broker/queue_settings.h"

#include "broker/policy.h"
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
        return err_set(E_INVALID, "\"expected integer, got %s\"", amqp_type_name(v.tag));
    if (value < min)
        return value == 0 ? err_set(E_INVALID, "{value_zero,0}")
                          : err_set(E_INVALID, "{value_negative,%lld}", (long long)value);
    if (value > max)
        return err_set(E_INVALID, "{%s,%lld}",
                       max == TIME_MAX_MS ? "value_too_large" : "max_value_exceeded",
                       (long long)value);
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

static bool parse_overflow(struct bytes name, enum queue_overflow *out)
{
    static const char *const names[] = {"drop-head", "reject-publish", "reject-publish-dlx"};
    for (int i = 0; i < 3; i++) {
        if (bytes_equal_string(name, names[i])) {
            *out = (enum queue_overflow)i;
            return true;
        }
    }
    return false;
}

static enum err read_overflow(struct bytes table, enum queue_overflow *out)
{
    struct bytes name = BYTES_NULL;
    enum err err = read_string(table, "x-overflow", &name);
    if (err || !name.data || parse_overflow(name, out))
        return err;
    return err_set(E_INVALID, "invalid_overflow");
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

static void parse_retry_type(struct bytes name, enum queue_retry_type *out)
{
    static const char *const names[] = {"disabled", "all", "failed", "returned"};
    for (int i = 0; i < 4; i++)
        if (bytes_equal_string(name, names[i]))
            *out = (enum queue_retry_type)i;
}

/* Likewise here: what makes no sense is no delay. */
static void read_retries(struct bytes table, struct queue_settings *out)
{
    struct amqp_value v;
    int64_t ms;
    if (amqp_table_find(table, "x-delayed-retry-type", &v) && v.tag == 'S')
        parse_retry_type(v.bytes, &out->retry_type);
    if (amqp_table_find(table, "x-delayed-retry-min", &v) && amqp_value_integer(&v, &ms) &&
        ms > 0 && ms <= TIME_MAX_MS)
        out->retry_min_ms = ms;
    if (amqp_table_find(table, "x-delayed-retry-max", &v) && amqp_value_integer(&v, &ms) &&
        ms > 0 && ms <= TIME_MAX_MS)
        out->retry_max_ms = ms;
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
                                   .consumer_timeout_ms = -1,
                                   .retry_min_ms = -1,
                                   .retry_max_ms = -1};
    enum err err = read_string(arguments, *out_argument = "x-queue-type", &type);
    out->is_quorum = type.data && bytes_equal_string(type, "quorum");
    if (out->is_quorum)
        out->delivery_limit = QUORUM_DELIVERY_LIMIT;
    read_consumer_timeout(arguments, out);
    if (out->is_quorum)
        read_retries(arguments, out);
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

/* ---- policies ---- */

/* The least of both; negative is none. */
static void apply_least(const struct policy_pair *policies, const char *key, int64_t max,
                        int64_t *setting)
{
    struct amqp_value v;
    int64_t value;
    if (!policy_value(policies, key, &v) || !amqp_value_integer(&v, &value))
        return;
    if (value > max)
        value = max;
    if (*setting < 0 || value < *setting)
        *setting = value;
}

static void apply_string(const struct policy_pair *policies, const char *key, struct bytes *setting)
{
    struct amqp_value v;
    if (!setting->data && policy_value(policies, key, &v))
        *setting = v.bytes;
}

/* Negative is no limit, and the greater of the two then. */
static void apply_delivery_limit(const struct policy_pair *policies, struct bytes arguments,
                                 struct queue_settings *s)
{
    struct amqp_value v;
    int64_t limit;
    if (!s->is_quorum || !policy_value(policies, "delivery-limit", &v) ||
        !amqp_value_integer(&v, &limit))
        return;
    if (limit > INT32_MAX)
        limit = INT32_MAX;
    if (limit < 0)
        limit = -1;
    bool take_greater = limit < 0 || s->delivery_limit < 0;
    if (!amqp_table_find(arguments, "x-delivery-limit", &v) ||
        (limit > s->delivery_limit) == take_greater)
        s->delivery_limit = limit;
}

static void apply_overflow(const struct policy_pair *policies, struct bytes arguments,
                           struct queue_settings *s)
{
    struct amqp_value v;
    bool is_declared = amqp_table_find(arguments, "x-overflow", &v);
    if ((!is_declared || s->is_quorum) && policy_value(policies, "overflow", &v))
        (void)parse_overflow(v.bytes, &s->overflow);
}

/* The policy's type has precedence (RabbitMQ). */
static void apply_retries(const struct policy_pair *policies, struct queue_settings *s)
{
    struct amqp_value type;
    if (policy_value(policies, "delayed-retry-type", &type))
        parse_retry_type(type.bytes, &s->retry_type);
    apply_least(policies, "delayed-retry-min", TIME_MAX_MS, &s->retry_min_ms);
    apply_least(policies, "delayed-retry-max", TIME_MAX_MS, &s->retry_max_ms);
}

void queue_settings_apply(struct queue_settings *s, struct bytes arguments,
                          const struct policy_pair *policies)
{
    apply_least(policies, "message-ttl", TIME_MAX_MS, &s->message_ttl_ms);
    apply_least(policies, "expires", TIME_MAX_MS, &s->expires_ms);
    apply_least(policies, "consumer-timeout", TIME_MAX_MS, &s->consumer_timeout_ms);
    apply_least(policies, "max-length", INT64_MAX, &s->max_length);
    apply_least(policies, "max-length-bytes", INT64_MAX, &s->max_length_bytes);
    apply_delivery_limit(policies, arguments, s);
    if (s->is_quorum)
        apply_retries(policies, s);
    apply_overflow(policies, arguments, s);
    apply_string(policies, "dead-letter-exchange", &s->dead_letter_exchange);
    apply_string(policies, "dead-letter-routing-key", &s->dead_letter_key);
    if (!s->dead_letter_exchange.data)
        s->dead_letter_key = BYTES_NULL;
}
