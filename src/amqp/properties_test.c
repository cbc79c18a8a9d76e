#include "amqp/properties.h"

#include <string.h>

#include "amqp/amqp_messages.h"
#include "amqp/reply.h"
#include "tests/test.h"
#include "wire/amqp_table.h"

TEST(properties_agree_with_the_schema_on_every_set_of_flags)
{
    struct random random;
    struct arena arena;

    random_init(&random, test_seed());
    for (int i = 0; i < 3000; i++) {
        struct amqp_basic_properties in;
        struct text list = {0};
        struct properties out;
        arena_init(&arena, 1 << 20);
        expect_true(amqp_wire_random(&amqp_basic_properties_schema, &random, &arena, &in));
        expect_ok(amqp_wire_encode(&amqp_basic_properties_schema, &in, &list));
        expect_true(properties_read(text_bytes(&list), &out));
        expect_int(out.flags, in.flags);
        if (in.flags & PROPERTY_DELIVERY_MODE)
            expect_int(out.delivery_mode, in.delivery_mode);
        if (in.flags & PROPERTY_HEADERS)
            expect_bytes(out.headers, in.headers);
        if (in.flags & PROPERTY_EXPIRATION)
            expect_bytes(out.expiration, in.expiration);
        if (in.flags & PROPERTY_USER_ID)
            expect_bytes(out.user_id, in.user_id);
        if (in.flags & PROPERTY_REPLY_TO)
            expect_bytes(out.reply_to, in.reply_to);
        for (size_t cut = 0; cut < list.size; cut++)
            expect_false(properties_read(bytes_of(list.data, cut), &out));
        text_put_u8(&list, 0);
        expect_false(properties_read(text_bytes(&list), &out));
        text_reset(&list);
        arena_reset(&arena);
    }
}

TEST(properties_with_flags_that_mean_nothing_are_refused)
{
    struct properties out;

    expect_true(properties_read(bytes_of("\0\0", 2), &out));
    expect_false(properties_read(bytes_of("\0\1", 2), &out));
    expect_false(properties_read(bytes_of("\0\2", 2), &out));
}

TEST(reply_texts_are_cut_between_characters)
{
    char text[REPLY_TEXT_MAX + 1], in[400];

    reply_text(REPLY_NOT_FOUND, "no queue", text);
    expect_string(text, "NOT_FOUND - no queue");
    /* "NOT_FOUND - " has 12 bytes, then two-byte characters: 121 of them are 254 bytes. */
    for (size_t i = 0; i < sizeof in; i += 2)
        memcpy(in + i, "\xc3\xa4", 2);
    in[sizeof in - 1] = '\0';
    reply_text(REPLY_NOT_FOUND, in, text);
    expect_int(strlen(text), 254);
    expect_true(bytes_are_utf8(bytes_from_string(text)));
}

TEST(every_error_has_a_reply_code)
{
    for (int err = OK; err <= E_SIMULATED_CRASH; err++) {
        enum reply_code code = reply_from_err((enum err)err);
        expect_true(strlen(reply_name(code)) > 0);
        expect_int(code == REPLY_SUCCESS, err == OK);
    }
    expect_false(reply_closes_connection(REPLY_PRECONDITION_FAILED));
    expect_true(reply_closes_connection(REPLY_NOT_IMPLEMENTED));
}
