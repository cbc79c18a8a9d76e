#include "broker/delays.h"

#include "base/number.h"
#include "broker/extra_keys.h"
#include "broker/queue_internal.h"
#include "wire/amqp_table.h"

enum err delays_check_arguments(struct bytes arguments)
{
    struct amqp_value type;
    enum exchange_kind kind;
    if (!amqp_table_find(arguments, "x-delayed-type", &type) || type.tag != 'S')
        return err_set(E_INVALID,
                       "Invalid argument, 'x-delayed-type' must be an existing exchange type");
    if (!exchange_kind_parse(type.bytes, &kind))
        return err_set(E_INVALID, "unknown exchange type '%.*s'", BYTES_FORMAT(type.bytes));
    if (kind == EXCHANGE_DELAYED)
        return err_set(E_INVALID,
                       "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'");
    return exchange_check(&(struct exchange_spec){.kind = kind, .arguments = arguments});
}

enum exchange_kind delays_matching(struct bytes arguments)
{
    struct amqp_value type;
    enum exchange_kind kind = EXCHANGE_DIRECT;
    if (amqp_table_find(arguments, "x-delayed-type", &type))
        (void)exchange_kind_parse(type.bytes, &kind);
    return kind;
}

/* An integer of any width, as a text too, or what is left of a real number. */
static int64_t delay_in(const struct amqp_value *v)
{
    int64_t delay_ms;
    if (amqp_value_integer(v, &delay_ms))
        return delay_ms;
    if (v->tag == 'S' || v->tag == 'x')
        return number_parse_i64(v->bytes, &delay_ms) ? delay_ms : 0;
    bool is_real = (v->tag == 'd' || v->tag == 'f') && v->real > -1e15 && v->real < 1e15;
    return is_real ? (int64_t)v->real : 0;
}

int64_t delays_of_message(const struct message *m)
{
    const int64_t delay_max_ms = UINT32_MAX; /* more is no delay (the plugin) */
    struct amqp_value v;
    if (!amqp_table_find(message_headers(m), "x-delay", &v))
        return 0;
    int64_t delay_ms = delay_in(&v);
    return delay_ms > 0 && delay_ms <= delay_max_ms ? delay_ms : 0;
}

/* In 32 bits if possible: some clients take those of 64 for unsigned. */
static void put_delay_passed(const struct message *m, struct text *properties)
{
    struct amqp_value v = {.tag = 'I', .number = -delays_of_message(m)};
    if (v.number < INT32_MIN)
        v.tag = 'l';
    message_put_header(m, "x-delay", &v, properties);
}

enum err delays_release(struct exchange *x, const struct message *delayed)
{
    struct core *core = x->vhost->core;
    struct message m = *delayed;
    struct text properties = {0};
    struct extra_keys extra = {0};
    struct ticket ignored;
    put_delay_passed(&m, &properties);
    m.properties = text_bytes(&properties);
    if (extra_keys_read(&m, &extra)) /* they were good when it was published */
        vec_clear(&extra.keys);
    struct route route = exchange_route_keys(x, &m, extra.keys.items, extra.keys.count);
    if (extra.properties.size)
        m.properties = text_bytes(&extra.properties);
    enum err err = route.count > 0 ? queue_publish(core, route, &m, &ignored) : OK;
    extra_keys_reset(&extra);
    text_reset(&properties);
    return err == E_FULL ? OK : err;
}
