#include "manage/message_json.h"

#include "base/base64.h"
#include "manage/json.h"

enum property_type { TEXT, NUMBER, SECONDS, TABLE };

/* In the order of the list. */
static const struct property {
    enum property_flag flag;
    const char *name;
    enum property_type type;
} properties[] = {
    {PROPERTY_CONTENT_TYPE, "content_type", TEXT},
    {PROPERTY_CONTENT_ENCODING, "content_encoding", TEXT},
    {PROPERTY_HEADERS, "headers", TABLE},
    {PROPERTY_DELIVERY_MODE, "delivery_mode", NUMBER},
    {PROPERTY_PRIORITY, "priority", NUMBER},
    {PROPERTY_CORRELATION_ID, "correlation_id", TEXT},
    {PROPERTY_REPLY_TO, "reply_to", TEXT},
    {PROPERTY_EXPIRATION, "expiration", TEXT},
    {PROPERTY_MESSAGE_ID, "message_id", TEXT},
    {PROPERTY_TIMESTAMP, "timestamp", SECONDS},
    {PROPERTY_TYPE, "type", TEXT},
    {PROPERTY_USER_ID, "user_id", TEXT},
    {PROPERTY_APP_ID, "app_id", TEXT},
    {PROPERTY_CLUSTER_ID, "cluster_id", TEXT},
};

enum { PROPERTY_COUNT = sizeof properties / sizeof *properties };

static json_t *json_of(enum property_type type, struct bytes value)
{
    switch (type) {
    case TEXT: return manage_json(value);
    case NUMBER: return json_integer(value.data[0]);
    case SECONDS: return json_integer((json_int_t)get_u64(value.data));
    case TABLE: return manage_json_table(value);
    }
    return json_null();
}

json_t *message_properties_json(const struct message *m)
{
    json_t *json = json_object();

    for (int i = 0; i < PROPERTY_COUNT; i++) {
        struct bytes value = message_property(m, properties[i].flag);
        if (value.data)
            json_object_set_new(json, properties[i].name, json_of(properties[i].type, value));
    }
    return json;
}

static bool fits(const struct property *p, const json_t *value)
{
    switch (p->type) {
    case TEXT: return json_is_string(value) && json_string_length(value) <= UINT8_MAX;
    case NUMBER:
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               json_integer_value(value) <= UINT8_MAX;
    case SECONDS: return json_is_integer(value) && json_integer_value(value) >= 0;
    case TABLE: return json_is_object(value);
    }
    return false;
}

static enum err put_property(const struct property *p, const json_t *value, struct text *out)
{
    struct text table = {0};
    uint8_t number[8];
    enum err err = OK;

    switch (p->type) {
    case TEXT: amqp_property_put(out, p->flag, manage_bytes_of(value)); break;
    case NUMBER:
        number[0] = (uint8_t)json_integer_value(value);
        amqp_property_put(out, p->flag, bytes_of(number, 1));
        break;
    case SECONDS:
        put_u64(number, (uint64_t)json_integer_value(value));
        amqp_property_put(out, p->flag, bytes_of(number, sizeof number));
        break;
    case TABLE:
        err = manage_table_from_json(value, &table);
        if (!err)
            amqp_property_put(out, p->flag, text_bytes(&table));
        text_reset(&table);
        break;
    }
    return err;
}

/* Absent and null are the same. */
static const json_t *value_of(const json_t *object, const struct property *p)
{
    const json_t *value = json_object_get(object, p->name);

    return json_is_null(value) ? NULL : value;
}

enum err message_properties_from_json(const json_t *object, struct text *out,
                                      const char **out_wrong)
{
    unsigned flags = 0;

    for (int i = 0; i < PROPERTY_COUNT; i++) {
        const json_t *value = value_of(object, &properties[i]);
        if (value && !fits(&properties[i], value)) {
            *out_wrong = properties[i].name;
            return err_set(E_INVALID, "property %s has the wrong type", properties[i].name);
        }
        if (value)
            flags |= (unsigned)properties[i].flag;
    }
    *out_wrong = NULL;
    text_put_u16(out, (uint16_t)flags);
    for (int i = 0; i < PROPERTY_COUNT; i++) {
        const json_t *value = value_of(object, &properties[i]);
        enum err err = value ? put_property(&properties[i], value, out) : OK;
        if (err)
            return err;
    }
    return OK;
}

void message_put_payload(json_t *to, struct bytes body, size_t truncate, bool always_base64)
{
    struct bytes shown = bytes_of(body.data, body.size < truncate ? body.size : truncate);
    struct text encoded = {0};
    bool is_text = !always_base64 && bytes_are_utf8(shown);

    if (!is_text) {
        base64_encode(&encoded, shown);
        shown = text_bytes(&encoded);
    }
    json_object_set_new(to, "payload", manage_json(shown));
    json_object_set_new(to, "payload_encoding", json_string(is_text ? "string" : "base64"));
    text_reset(&encoded);
}
