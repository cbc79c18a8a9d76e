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
