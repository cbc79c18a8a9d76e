#include "tests/test.h"

#include <stdlib.h>

#include "cli/format.h"

static const struct record record = {
    .offset = 7,
    .timestamp = 1700000000000,
    .key = {(const uint8_t *)"k", 1},
    .value = {(const uint8_t *)"value", 5},
    .headers = {(const uint8_t *)"\x02"
                                 "a"
                                 "\x04"
                                 "xy"
                                 "\x04"
                                 "bb"
                                 "\x01",
                9},
    .header_count = 2,
};
static const struct format_record whole = {"orders", 3, &record};

static void is_written(const char *format, const char *wanted)
{
    struct text out = {0};

    expect_ok(format_check(format));
    format_put(format, &whole, &out);
    expect_string(text_string(&out), wanted);
    text_reset(&out);
}

TEST(a_format_writes_every_field)
{
    is_written("%t %p %o %k %s\\n", "orders 3 7 k value\n");
    is_written("%K/%S %T", "1/5 1700000000000");
    is_written("%h", "a=xy,bb=NULL");
    is_written("100%% \\t\\x41\\\\", "100% \tA\\");
    is_written("", "");
}

TEST(a_format_writes_null_as_nothing_of_size_minus_1)
{
    struct record empty = {.offset = 1};
    struct format_record r = {"t", 0, &empty};
    struct text out = {0};

    format_put("[%k|%s] %K %S [%h]", &r, &out);
    expect_string(text_string(&out), "[|] -1 -1 []");
    text_reset(&out);
}

TEST(a_format_is_checked)
{
    expect_err(format_check("%q"), E_INVALID);
    expect_err(format_check("%"), E_INVALID);
    expect_err(format_check("\\q"), E_INVALID);
    expect_err(format_check("\\"), E_INVALID);
    expect_err(format_check("\\x4"), E_INVALID);
    expect_err(format_check("\\xzz"), E_INVALID);
}

TEST(a_record_as_json_has_its_headers_in_order)
{
    json_t *object = format_json(&whole);
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

    expect_string(text, "{\"headers\":[{\"name\":\"a\",\"value\":\"xy\"},{\"name\":\"bb\","
                        "\"value\":null}],\"key\":\"k\",\"offset\":7,\"partition\":3,"
                        "\"timestamp\":1700000000000,\"topic\":\"orders\",\"value\":\"value\"}");
    free(text);
    json_decref(object);
}

TEST(headers_that_are_cut_off_end_where_they_are)
{
    struct record cut = record;
    cut.headers.size = 6;
    struct format_record r = {"t", 0, &cut};
    struct text out = {0};

    format_put("%h", &r, &out);
    expect_string(text_string(&out), "a=xy");
    text_reset(&out);
}
