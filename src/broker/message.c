#include "broker/message.h"

#include "base/check.h"
#include "base/number.h"
#include "wire/reader.h"

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

/* ---- properties, in the order of their flags from bit 15 down ---- */

enum property_form { SHORT_STRING, TABLE, OCTET, TIMESTAMP };

static const struct {
    const char *name;
    enum property_form form;
} properties[] = {
    {"content_type", SHORT_STRING},
    {"content_encoding", SHORT_STRING},
    {"headers", TABLE},
    {"delivery_mode", OCTET},
    {"priority", OCTET},
    {"correlation_id", SHORT_STRING},
    {"reply_to", SHORT_STRING},
    {"expiration", SHORT_STRING},
    {"message_id", SHORT_STRING},
    {"timestamp", TIMESTAMP},
    {"type", SHORT_STRING},
    {"user_id", SHORT_STRING},
    {"app_id", SHORT_STRING},
    {"cluster_id", SHORT_STRING},
};

enum { PROPERTY_COUNT = sizeof properties / sizeof *properties };

static unsigned flag_of(size_t i)
{
    return 0x8000u >> i;
}

static size_t value_size(struct reader *r, enum property_form form)
{
    switch (form) {
    case SHORT_STRING: return reader_u8(r);
    case TABLE: return reader_u32(r);
    case OCTET: return 1;
    case TIMESTAMP: return 8;
    }
    return 0;
}

struct bytes message_property(const struct message *m, struct bytes name)
{
    struct reader r = reader_of(m->properties);
    unsigned flags = reader_u16(&r);
    for (size_t i = 0; i < PROPERTY_COUNT && !r.bad; i++) {
        if (!(flags & flag_of(i)))
            continue;
        struct bytes value = reader_bytes(&r, value_size(&r, properties[i].form));
        if (bytes_equal_string(name, properties[i].name))
            return value;
    }
    return BYTES_NULL;
}

struct bytes message_headers(const struct message *m)
{
    return message_property(m, BYTES_LITERAL("headers"));
}

uint8_t message_priority(const struct message *m)
{
    struct bytes priority = message_property(m, BYTES_LITERAL("priority"));
    return priority.size ? priority.data[0] : 0;
}

int64_t message_ttl_ms(const struct message *m)
{
    int64_t ttl_ms;
    if (m->properties.size < 2 || !(get_u16(m->properties.data) & MESSAGE_EXPIRATION))
        return -1;
    struct bytes text = message_property(m, BYTES_LITERAL("expiration"));
    return number_parse_i64(text, &ttl_ms) && ttl_ms >= 0 ? ttl_ms : -1;
}

static void put_value(enum property_form form, struct bytes value, struct text *out)
{
    if (form == TABLE)
        text_put_u32(out, (uint32_t)value.size);
    else
        text_put_u8(out, (uint8_t)value.size);
    text_append(out, value);
}

void message_put_properties(const struct message *m, enum message_property_flag replaced,
                            struct bytes value, unsigned drop, struct text *out)
{
    struct reader r = reader_of(m->properties);
    unsigned had = m->properties.size >= 2 ? reader_u16(&r) : 0;
    text_put_u16(out, (uint16_t)((had | replaced) & ~drop));
    for (size_t i = 0; i < PROPERTY_COUNT; i++) {
        const uint8_t *from = r.at;
        if (had & flag_of(i))
            reader_bytes(&r, value_size(&r, properties[i].form));
        if (drop & flag_of(i))
            continue;
        if (flag_of(i) == replaced)
            put_value(properties[i].form, value, out);
        else
            text_append(out, bytes_of(from, (size_t)(r.at - from)));
    }
}
