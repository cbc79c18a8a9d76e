#include "tests/test.h"

#include <stdlib.h>

#include "cli/properties.h"
#include "wire/amqp_wire.h"

/* As words, over the wire, as JSON. */
static void expect_round(const struct flag_list *words, const struct flag_list *headers,
                         const char *wanted)
{
    struct properties p;
    uint8_t bytes[512];
    size_t size;

    expect_ok(properties_parse(words, headers, &p));
    expect_ok(amqp_wire_size(&amqp_basic_properties_schema, &p.list, &size));
    expect_true(size <= sizeof bytes);
    amqp_wire_put(&amqp_basic_properties_schema, &p.list, bytes);
    json_t *json = properties_json(bytes_of(bytes, size));
    char *text = json_dumps(json, JSON_COMPACT);
    expect_string(text, wanted);
    free(text);
    json_decref(json);
    properties_reset(&p);
}

TEST(properties_come_back_as_they_were_given)
{
    struct flag_list words = {{"content_type=text/plain", "priority=9", "timestamp=1700000000",
                               "expiration=5000", "correlation_id=a=b", "delivery_mode=1"},
                              6};

    expect_round(&words, &(struct flag_list){{NULL}, 0},
                 "{\"content_type\":\"text/plain\",\"delivery_mode\":1,\"priority\":9,"
                 "\"correlation_id\":\"a=b\",\"expiration\":\"5000\",\"timestamp\":1700000000}");
}

TEST(headers_have_the_types_of_json)
{
    struct flag_list headers = {{"n=5000", "big=5000000000", "t=true", "s=text", "e=", "d=1.5",
                                 "o={\"a\":[1,\"x\",null]}", "q=\"7\"", "raw=\xff"},
                                9};

    expect_round(&(struct flag_list){{NULL}, 0}, &headers,
                 "{\"headers\":{\"n\":5000,\"big\":5000000000,\"t\":true,\"s\":\"text\",\"e\":\"\","
                 "\"d\":1.5,\"o\":{\"a\":[1,\"x\",null]},\"q\":\"7\",\"raw\":{\"hex\":\"ff\"}}}");
}

static void expect_wrong(const char *property, const char *header, const char *text)
{
    struct flag_list words = {{property}, property ? 1 : 0}, headers = {{header}, header ? 1 : 0};
    struct properties p;

    expect_err(properties_parse(&words, &headers, &p), E_INVALID);
    expect_err_text(text);
    properties_reset(&p);
}

TEST(wrong_properties_and_headers_are_refused)
{
    char longest[400];

    expect_wrong("content-type=x", NULL,
                 "unknown property content-type; did you mean content_type?");
    expect_wrong("priority=high", NULL, "must be a number up to 255");
    expect_wrong("priority=256", NULL, "must be a number up to 255");
    expect_wrong("timestamp=-1", NULL, "must be a number");
    expect_wrong("priority", NULL, "must be NAME=VALUE");
    expect_wrong(NULL, "name", "must be NAME=VALUE");
    expect_wrong(NULL, "=value", "must be NAME=VALUE");
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "type=", 5);
    longest[sizeof longest - 1] = 0;
    expect_wrong(longest, NULL, "type has at most 255 bytes");
    longest[4] = 'a';
    longest[300] = '=';
    expect_wrong(NULL, longest, "must be NAME=VALUE");
}

TEST(a_damaged_list_is_shown_empty)
{
    json_t *json = properties_json(BYTES_LITERAL("\xff"));

    expect_int(json_object_size(json), 0);
    json_decref(json);
}
