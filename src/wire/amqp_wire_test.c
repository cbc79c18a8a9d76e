#include "wire/amqp_wire.h"

#include "tests/test.h"
#include "wire/round_trip.h"
#include "wire/test_messages.h"

static void expect_encoded(const struct wire_schema *schema, const void *in, struct bytes wanted)
{
    struct text text = {0};
    size_t size;
    expect_ok(amqp_wire_encode(schema, in, &text));
    expect_bytes(text_bytes(&text), wanted);
    expect_ok(amqp_wire_size(schema, in, &size));
    expect_int(size, wanted.size);
    text_reset(&text);
}

static enum err decode(const struct wire_schema *schema, struct bytes b, void *out)
{
    struct reader r = reader_of(b);
    return amqp_wire_decode(schema, &r, out);
}

TEST(all_amqp_types_survive_a_round_trip)
{
    round_trip_amqp(&test_sample_bits_schema, 200);
    round_trip_amqp(&test_sample_types_schema, 200);
    round_trip_amqp(&test_sample_nothing_schema, 2);
    round_trip_amqp(&test_sample_properties_schema, 300);
}

TEST(neighbouring_bits_share_octets_lowest_first)
{
    struct test_sample_bits in = {.a1 = true, .a3 = true, .a9 = true, .middle = 7, .b2 = true};
    struct test_sample_bits out;
    expect_encoded(&test_sample_bits_schema, &in, BYTES_LITERAL("\x05\x01\x07\x02"));
    expect_ok(decode(&test_sample_bits_schema, BYTES_LITERAL("\x81\xff\x07\xfd"), &out));
    expect_true(out.a1 && out.a8 && out.a9 && out.b1);
    expect_false(out.a2 || out.a3 || out.b2);
    expect_int(out.middle, 7);
}

TEST(properties_are_there_when_their_flag_is_set)
{
    struct test_sample_properties in = {.kind = BYTES_LITERAL("text"), .mode = 2, .when = 1};
    struct test_sample_properties out;
    expect_encoded(&test_sample_properties_schema, &in, BYTES_LITERAL("\0\0"));
    in.flags = TEST_SAMPLE_HAS_KIND | TEST_SAMPLE_HAS_MODE;
    expect_encoded(&test_sample_properties_schema, &in, BYTES_LITERAL("\xa0\x00\4text\2"));
    expect_ok(decode(&test_sample_properties_schema, BYTES_LITERAL("\xa0\x00\4text\2"), &out));
    expect_int(out.flags, in.flags);
    expect_bytes(out.kind, in.kind);
    expect_int(out.mode, 2);
    expect_int(out.when, 0);
    expect_null(out.headers.data);
}

TEST(unknown_property_flags_are_refused)
{
    struct test_sample_properties out;
    expect_err(decode(&test_sample_properties_schema, BYTES_LITERAL("\x08\x00"), &out),
               E_MALFORMED);
    expect_err(decode(&test_sample_properties_schema, BYTES_LITERAL("\x00\x01\0\0"), &out),
               E_MALFORMED); /* a second flags word */
    expect_err(decode(&test_sample_properties_schema, BYTES_LITERAL("\x80"), &out), E_MALFORMED);
}

TEST(long_strings_are_refused_when_encoding)
{
    static char big[256];
    struct text text = {0};
    size_t size = 7;
    struct test_sample_types in = {.name = bytes_of(big, 255)};
    expect_ok(amqp_wire_encode(&test_sample_types_schema, &in, &text));
    in.name = bytes_of(big, 256);
    text.size = 3;
    expect_err(amqp_wire_encode(&test_sample_types_schema, &in, &text), E_TOO_LARGE);
    expect_int(text.size, 3);
    in.name = BYTES_NULL;
    in.args = bytes_of(big, SIZE_MAX / 2);
    expect_err(amqp_wire_size(&test_sample_types_schema, &in, &size), E_TOO_LARGE);
    expect_int(size, 7);
    text_reset(&text);
}

TEST(lengths_beyond_the_end_are_refused)
{
    struct test_sample_types out;
    char data[32] = {0};
    data[23] = 9; /* the shortstr: 8 bytes are left */
    expect_err(decode(&test_sample_types_schema, bytes_of(data, sizeof data), &out), E_MALFORMED);
    expect_err_text("sample.types of 32 bytes is malformed at byte 24");
    data[23] = 0;
    memcpy(data + 24, "\xff\xff\xff\xff", 4);
    expect_err(decode(&test_sample_types_schema, bytes_of(data, sizeof data), &out), E_MALFORMED);
    memset(data + 24, 0, 4);
    expect_ok(decode(&test_sample_types_schema, bytes_of(data, sizeof data), &out));
}

TEST(amqp_dumps_show_every_argument)
{
    struct test_sample_types in = {
        .one = 255, .eight = 5, .name = BYTES_LITERAL("q\1"), .args = BYTES_LITERAL("\1at\1")};
    struct text text = {0};
    amqp_wire_dump(&test_sample_types_schema, &in, &text);
    expect_string((char *)text.data, "sample.types\n"
                                     "  one: 255\n"
                                     "  two: 0\n"
                                     "  four: 0\n"
                                     "  eight: 5\n"
                                     "  when: 0\n"
                                     "  name: \"q\\x01\"\n"
                                     "  text: \"\"\n"
                                     "  args: {a: t true}\n");
    text_reset(&text);
}

TEST(amqp_rows_hold_what_the_schema_says)
{
    const struct wire_method *bits = wire_method_find(test_methods, TEST_METHOD_COUNT, 1 << 16 | 2);
    expect_string(bits->name, "sample.bits");
    expect_int(bits->from, WIRE_FROM_CLIENT | WIRE_FROM_SERVER);
    expect_true(bits->is_synchronous && bits->has_content);
    const struct wire_method *types =
        wire_method_find(test_methods, TEST_METHOD_COUNT, TEST_SAMPLE_TYPES);
    expect_int(types->from, WIRE_FROM_CLIENT);
    expect_false(types->is_synchronous || types->has_content);
    expect_null(wire_method_find(test_methods, TEST_METHOD_COUNT, 5));
}
