#include "cli/properties.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "amqp/amqp.h"
#include "base/nearest.h"
#include "base/number.h"
#include "cli/format.h"
#include "wire/amqp_table.h"
#include "wire/amqp_wire.h"

enum { DEPTH_MAX = AMQP_TABLE_DEPTH_MAX, SHORT_MAX_BYTES = 255 };

/* ---- the names ---- */

struct property {
    const char *name;
    uint16_t flag;
    enum { SHORT, OCTET, SECONDS } type;
    size_t at;
};

#define PROPERTY(name, NAME, type)                                                                 \
    {                                                                                              \
#name, AMQP_BASIC_HAS_##NAME, type, offsetof(struct amqp_basic_properties, name)           \
    }

static const struct property properties[] = {
    PROPERTY(content_type, CONTENT_TYPE, SHORT),
    PROPERTY(content_encoding, CONTENT_ENCODING, SHORT),
    PROPERTY(delivery_mode, DELIVERY_MODE, OCTET),
    PROPERTY(priority, PRIORITY, OCTET),
    PROPERTY(correlation_id, CORRELATION_ID, SHORT),
    PROPERTY(reply_to, REPLY_TO, SHORT),
    PROPERTY(expiration, EXPIRATION, SHORT),
    PROPERTY(message_id, MESSAGE_ID, SHORT),
    PROPERTY(timestamp, TIMESTAMP, SECONDS),
    PROPERTY(type, TYPE, SHORT),
    PROPERTY(user_id, USER_ID, SHORT),
    PROPERTY(app_id, APP_ID, SHORT),
    PROPERTY(cluster_id, CLUSTER_ID, SHORT),
};
enum { PROPERTY_COUNT = sizeof properties / sizeof properties[0] };

static enum err unknown_property(const char *word)
{
    struct bytes wanted = bytes_of(word, strcspn(word, "="));
    struct nearest nearest = {0};

    for (size_t i = 0; i < PROPERTY_COUNT; i++)
        nearest_consider(&nearest, wanted, bytes_from_string(properties[i].name));
    if (nearest.name[0])
        return err_set(E_INVALID, "unknown property %.*s; did you mean %s?", BYTES_FORMAT(wanted),
                       nearest.name);
    return err_set(E_INVALID, "unknown property %.*s", BYTES_FORMAT(wanted));
}

/* ---- from words ---- */

static enum err set_property(const struct property *p, const char *value,
                             struct amqp_basic_properties *out)
{
    char *to = (char *)out + p->at;
    int64_t number = 0;

    if (p->type == SHORT) {
        struct bytes text = bytes_from_string(value);
        if (text.size > SHORT_MAX_BYTES)
            return err_set(E_INVALID, "%s has at most %d bytes", p->name, SHORT_MAX_BYTES);
        memcpy(to, &text, sizeof text);
    } else {
        int64_t most = p->type == OCTET ? UINT8_MAX : INT64_MAX;
        if (!number_parse_i64(bytes_from_string(value), &number) || number < 0 || number > most)
            return err_set(E_INVALID, "%s=%s: must be a number up to %lld", p->name, value,
                           (long long)most);
        if (p->type == OCTET)
            memcpy(to, &(uint8_t){(uint8_t)number}, sizeof(uint8_t));
        else
            memcpy(to, &(uint64_t){(uint64_t)number}, sizeof(uint64_t));
    }
    out->flags = (uint16_t)(out->flags | p->flag);
    return OK;
}

static enum err parse_property(const char *word, struct amqp_basic_properties *out)
{
    size_t size = strcspn(word, "=");

    if (!word[size])
        return err_set(E_INVALID, "--property %s: must be NAME=VALUE", word);
    for (size_t i = 0; i < PROPERTY_COUNT; i++)
        if (strlen(properties[i].name) == size && memcmp(word, properties[i].name, size) == 0)
            return set_property(&properties[i], word + size + 1, out);
    return unknown_property(word);
}

static void put_object(struct text *out, const json_t *object);

/* `inner` holds what the value is made of, where that is no borrowed string. */
static struct amqp_value value_of(const json_t *json, struct text *inner)
{
    size_t i;
    json_t *item;

    switch (json_typeof(json)) {
    case JSON_STRING:
        return (struct amqp_value){
            .tag = 'S', .bytes = bytes_of(json_string_value(json), json_string_length(json))};
    case JSON_INTEGER: {
        int64_t number = json_integer_value(json);
        return (struct amqp_value){.tag = number == (int32_t)number ? 'I' : 'l', .number = number};
    }
    case JSON_REAL: return (struct amqp_value){.tag = 'd', .real = json_real_value(json)};
    case JSON_TRUE:
    case JSON_FALSE: return (struct amqp_value){.tag = 't', .number = json_is_true(json)};
    case JSON_NULL: return (struct amqp_value){.tag = 'V'};
    case JSON_OBJECT:
        put_object(inner, json);
        return (struct amqp_value){.tag = 'F', .bytes = text_bytes(inner)};
    case JSON_ARRAY:
        json_array_foreach(json, i, item)
        {
            struct text deeper = {0};
            struct amqp_value value = value_of(item, &deeper);
            amqp_array_put(inner, &value);
            text_reset(&deeper);
        }
        return (struct amqp_value){.tag = 'A', .bytes = text_bytes(inner)};
    }
    return (struct amqp_value){.tag = 'V'};
}

static void put_object(struct text *out, const json_t *object)
{
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)(uintptr_t)object, key, item)
    {
        struct text inner = {0};
        struct amqp_value value = value_of(item, &inner);
        amqp_table_put_named(out, bytes_of(key, strnlen(key, SHORT_MAX_BYTES)), &value);
        text_reset(&inner);
    }
}

static enum err parse_header(const char *word, struct text *out)
{
    size_t size = strcspn(word, "=");

    if (!word[size] || size == 0 || size > SHORT_MAX_BYTES)
        return err_set(E_INVALID, "--header %s: must be NAME=VALUE", word);
    json_t *json = json_loads(word + size + 1, JSON_DECODE_ANY, NULL);
    struct text inner = {0};
    struct amqp_value value =
        json ? value_of(json, &inner)
             : (struct amqp_value){.tag = 'S', .bytes = bytes_from_string(word + size + 1)};
    amqp_table_put_named(out, bytes_of(word, size), &value);
    text_reset(&inner);
    json_decref(json);
    return OK;
}

enum err properties_parse(const struct flag_list *words, const struct flag_list *headers,
                          struct properties *out)
{
    enum err err = OK;

    *out = (struct properties){0};
    for (size_t i = 0; i < words->count && !err; i++)
        err = parse_property(words->items[i], &out->list);
    for (size_t i = 0; i < headers->count && !err; i++)
        err = parse_header(headers->items[i], &out->headers);
    if (!err && out->headers.size) {
        err = amqp_table_validate(text_bytes(&out->headers), DEPTH_MAX);
        out->list.headers = text_bytes(&out->headers);
        out->list.flags |= AMQP_BASIC_HAS_HEADERS;
    }
    return err;
}

void properties_reset(struct properties *p)
{
    text_reset(&p->headers);
    *p = (struct properties){0};
}

/* ---- to JSON ---- */

static json_t *json_of_table(struct bytes table, int depth);
static json_t *json_of_array(struct bytes array, int depth);

/* {"hex": "fffe"} for what is no UTF-8. */
static json_t *json_of_text(struct bytes b)
{
    json_t *object = json_object();

    format_set_bytes(object, "text", "hex", b.data ? b : BYTES_LITERAL(""));
    json_t *text = json_incref(json_object_get(object, "text"));
    if (!text)
        return object;
    json_decref(object);
    return text;
}

static json_t *json_of_value(const struct amqp_value *value, int depth)
{
    int64_t number;

    if (amqp_value_integer(value, &number))
        return json_integer(number);
    switch (value->tag) {
    case 't': return json_boolean(value->number);
    case 'T': return json_integer(value->number);
    case 'd':
    case 'f': return json_real(value->real);
    case 'S':
    case 'x': return json_of_text(value->bytes);
    case 'F': return depth ? json_of_table(value->bytes, depth - 1) : json_null();
    case 'A': return depth ? json_of_array(value->bytes, depth - 1) : json_null();
    default: return json_null();
    }
}

static json_t *json_of_array(struct bytes array, int depth)
{
    struct reader r = reader_of(array);
    json_t *list = json_array();
    struct amqp_value value;

    while (amqp_array_next(&r, &value))
        json_array_append_new(list, json_of_value(&value, depth));
    return list;
}

static json_t *json_of_table(struct bytes table, int depth)
{
    struct reader r = reader_of(table);
    json_t *object = json_object();
    struct amqp_entry entry;

    while (amqp_table_next(&r, &entry)) {
        char name[SHORT_MAX_BYTES + 1];
        snprintf(name, sizeof name, "%.*s", BYTES_FORMAT(entry.name));
        json_object_set_new(object, name, json_of_value(&entry.value, depth));
    }
    return object;
}

static json_t *json_of_property(const struct property *p, const struct amqp_basic_properties *list)
{
    const char *from = (const char *)list + p->at;
    struct bytes text;
    uint64_t seconds;

    switch (p->type) {
    case OCTET: return json_integer(*(const uint8_t *)from);
    case SECONDS: memcpy(&seconds, from, sizeof seconds); return json_integer((json_int_t)seconds);
    case SHORT: break;
    }
    memcpy(&text, from, sizeof text);
    return json_of_text(text);
}

json_t *properties_json(struct bytes list)
{
    struct amqp_basic_properties decoded;
    struct reader r = reader_of(list);
    json_t *object = json_object();

    if (amqp_wire_decode(&amqp_basic_properties_schema, &r, &decoded) != OK)
        return object;
    for (size_t i = 0; i < PROPERTY_COUNT; i++)
        if (decoded.flags & properties[i].flag)
            json_object_set_new(object, properties[i].name,
                                json_of_property(&properties[i], &decoded));
    if (decoded.flags & AMQP_BASIC_HAS_HEADERS)
        json_object_set_new(object, "headers", json_of_table(decoded.headers, DEPTH_MAX));
    return object;
}
