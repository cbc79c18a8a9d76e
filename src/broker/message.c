#include "broker/message.h"

#include <stdio.h>

#include "base/check.h"
#include "base/number.h"

enum { ENVELOPE_VERSION = 1 };

size_t message_put_envelope(const struct message *m, uint8_t out[MESSAGE_ENVELOPE_MAX])
{
    check(m->exchange.size <= UINT8_MAX);
    check(m->routing_key.size <= UINT8_MAX);
    uint8_t *at = out;
    *at++ = ENVELOPE_VERSION;
    *at++ = 0;
    *at++ = (uint8_t)m->exchange.size;
    if (m->exchange.size)
        memcpy(at, m->exchange.data, m->exchange.size);
    at += m->exchange.size;
    *at++ = (uint8_t)m->routing_key.size;
    if (m->routing_key.size)
        memcpy(at, m->routing_key.data, m->routing_key.size);
    at += m->routing_key.size;
    return (size_t)(at - out);
}

/* A string with its size in one byte in front; false when `in` ends before. */
static bool take_short(struct bytes *in, struct bytes *out)
{
    if (in->size < 1 || in->size - 1 < in->data[0])
        return false;
    *out = bytes_of(in->data + 1, in->data[0]);
    in->data += 1 + out->size;
    in->size -= 1 + out->size;
    return true;
}

enum err message_from_record(struct bytes key, struct bytes value, struct message *out)
{
    if (key.size < 2)
        return err_set(E_MALFORMED, "envelope of %zu bytes", key.size);
    if (key.data[0] != ENVELOPE_VERSION)
        return err_set(E_MALFORMED, "envelope version %d", key.data[0]);
    struct message m = {.body = value};
    struct bytes at = {key.data + 2, key.size - 2};
    if (!take_short(&at, &m.exchange) || !take_short(&at, &m.routing_key))
        return err_set(E_MALFORMED, "envelope ends in a name");
    m.properties = at;
    *out = m;
    return OK;
}

/* ---- properties ---- */

struct bytes message_property(const struct message *m, enum property_flag flag)
{
    struct amqp_properties all = amqp_properties_of(m->properties);
    struct amqp_property property;
    while (all.left & flag && amqp_properties_next(&all, &property))
        if (property.flag == flag)
            return property.value;
    return BYTES_NULL;
}

struct bytes message_headers(const struct message *m)
{
    return message_property(m, PROPERTY_HEADERS);
}

uint8_t message_priority(const struct message *m)
{
    struct bytes priority = message_property(m, PROPERTY_PRIORITY);
    return priority.size ? priority.data[0] : 0;
}

int64_t message_ttl_ms(const struct message *m)
{
    int64_t ttl_ms;
    struct bytes text = message_property(m, PROPERTY_EXPIRATION);
    return text.data && number_parse_i64(text, &ttl_ms) && ttl_ms >= 0 ? ttl_ms : -1;
}

bool message_expiration_is_wrong(struct bytes expiration, char *out, size_t size)
{
    const int64_t ten_years_ms = 315360000000;
    struct bytes digits = expiration, rest;
    int64_t value = 0;

    if (digits.size && (digits.data[0] == '-' || digits.data[0] == '+'))
        digits = bytes_of(digits.data + 1, digits.size - 1);
    for (rest = digits; rest.size && rest.data[0] >= '0' && rest.data[0] <= '9';
         rest = bytes_of(rest.data + 1, rest.size - 1))
        if (value <= ten_years_ms)
            value = value * 10 + (rest.data[0] - '0');
    if (rest.size == digits.size)
        snprintf(out, size, "no_integer");
    else if (rest.size)
        snprintf(out, size, "{leftover_string,\"%.*s\"}", BYTES_FORMAT(rest));
    else if (expiration.data[0] == '-' && value)
        snprintf(out, size, "{value_negative,-%.*s}", BYTES_FORMAT(digits));
    else if (value > ten_years_ms)
        snprintf(out, size, "{value_too_large,%.*s}", BYTES_FORMAT(digits));
    else
        return false;
    return true;
}

void message_put_properties(const struct message *m, enum property_flag replaced,
                            struct bytes value, unsigned dropped, struct text *out)
{
    struct amqp_properties all = amqp_properties_of(m->properties);
    struct amqp_property property;
    bool is_put = false;
    text_put_u16(out, (uint16_t)((all.flags | replaced) & ~dropped));
    while (amqp_properties_next(&all, &property)) {
        if (!is_put && property.flag <= replaced) { /* flags go down */
            amqp_property_put(out, replaced, value);
            is_put = true;
        }
        if (property.flag != replaced && !(property.flag & dropped))
            text_append(out, property.raw);
    }
    if (!is_put)
        amqp_property_put(out, replaced, value);
}

void message_put_header(const struct message *m, const char *name, const struct amqp_value *value,
                        struct text *out)
{
    struct text headers = {0};
    struct reader r = reader_of(message_headers(m));
    struct amqp_entry entry;
    bool is_put = false;
    while (amqp_table_next(&r, &entry)) {
        bool is_it = bytes_equal_string(entry.name, name);
        if (!is_it || !is_put)
            amqp_table_put_named(&headers, entry.name, is_it ? value : &entry.value);
        is_put = is_put || is_it;
    }
    if (!is_put)
        amqp_table_put(&headers, name, value);
    message_put_properties(m, PROPERTY_HEADERS, text_bytes(&headers), 0, out);
    text_reset(&headers);
}
