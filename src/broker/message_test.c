#include "tests/test.h"

#include "broker/message.h"

TEST(a_message_comes_back_from_its_record_byte_for_byte)
{
    char long_name[255];
    memset(long_name, 'k', sizeof long_name);
    struct message in = {
        .exchange = BYTES_LITERAL("orders"),
        .routing_key = bytes_of(long_name, sizeof long_name),
        .properties = BYTES_LITERAL("\x80\x00\x0atext/plain"),
        .body = BYTES_LITERAL("hello"),
    };
    uint8_t key[MESSAGE_ENVELOPE_MAX + 64];
    size_t size = message_put_envelope(&in, key);
    memcpy(key + size, in.properties.data, in.properties.size);

    struct message out;
    expect_ok(message_from_record(bytes_of(key, size + in.properties.size), in.body, &out));
    expect_bytes(out.exchange, in.exchange);
    expect_bytes(out.routing_key, in.routing_key);
    expect_bytes(out.properties, in.properties);
    expect_bytes(out.body, in.body);
}

TEST(an_envelope_that_ends_early_is_refused)
{
    struct message in = {.exchange = BYTES_LITERAL("ex"), .routing_key = BYTES_LITERAL("key")};
    uint8_t key[MESSAGE_ENVELOPE_MAX];
    struct message out;
    size_t size = message_put_envelope(&in, key);
    for (size_t cut = 0; cut < size; cut++)
        expect_err(message_from_record(bytes_of(key, cut), BYTES_NULL, &out), E_MALFORMED);
    key[0] = 2;
    expect_err(message_from_record(bytes_of(key, size), BYTES_NULL, &out), E_MALFORMED);
    expect_err_text("version 2");
}

/* "flag=value " for each property. */
static const char *list_of(struct bytes properties)
{
    static struct text text;
    struct amqp_properties all = amqp_properties_of(properties);
    struct amqp_property property;
    text.size = 0;
    while (amqp_properties_next(&all, &property))
        text_printf(&text, "%04x=%.*s ", property.flag, BYTES_FORMAT(property.value));
    expect_false(all.rest.bad);
    expect_int(reader_left(&all.rest), 0);
    return text.size ? (const char *)text.data : "";
}

TEST(a_property_is_put_in_its_place_whether_it_was_there_or_not)
{
    static const struct {
        enum property_flag replaced;
        unsigned dropped;
        const char *want;
    } cases[] = {
        {PROPERTY_CONTENT_TYPE, 0, "8000=new 1000=2 0200=to 0100=50 "},
        {PROPERTY_HEADERS, 0, "8000=t 2000=new 1000=2 0200=to 0100=50 "},
        {PROPERTY_HEADERS, PROPERTY_EXPIRATION, "8000=t 2000=new 1000=2 0200=to "},
        {PROPERTY_REPLY_TO, 0, "8000=t 1000=2 0200=new 0100=50 "},
        {PROPERTY_APP_ID, 0, "8000=t 1000=2 0200=to 0100=50 0008=new "},
    };
    struct text list = {0}, out = {0};
    text_put_u16(&list, PROPERTY_CONTENT_TYPE | PROPERTY_DELIVERY_MODE | PROPERTY_REPLY_TO |
                            PROPERTY_EXPIRATION);
    amqp_property_put(&list, PROPERTY_CONTENT_TYPE, BYTES_LITERAL("t"));
    amqp_property_put(&list, PROPERTY_DELIVERY_MODE, BYTES_LITERAL("2"));
    amqp_property_put(&list, PROPERTY_REPLY_TO, BYTES_LITERAL("to"));
    amqp_property_put(&list, PROPERTY_EXPIRATION, BYTES_LITERAL("50"));
    struct message m = {.properties = text_bytes(&list)};
    expect_int(message_ttl_ms(&m), 50);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        out.size = 0;
        message_put_properties(&m, cases[i].replaced, BYTES_LITERAL("new"), cases[i].dropped, &out);
        expect_string(list_of(text_bytes(&out)), cases[i].want);
    }
    struct message none = {0};
    out.size = 0;
    message_put_properties(&none, PROPERTY_HEADERS, BYTES_LITERAL("new"), 0, &out);
    expect_string(list_of(text_bytes(&out)), "2000=new ");
    text_reset(&list);
    text_reset(&out);
}
