#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "tests/test.h"

static int64_t parsed;

static bool parses(const char *s)
{
    parsed = -77; /* what stays when nothing is written */
    return number_parse_i64(bytes_from_string(s), &parsed);
}

TEST(integers_survive_a_round_trip)
{
    struct random r;
    char s[32];

    random_init(&r, test_seed());
    for (int i = 0; i < 100000; i++) {
        int64_t v = (int64_t)random_u64(&r) >> random_below(&r, 64);
        snprintf(s, sizeof s, "%" PRId64, v);
        expect_true(parses(s));
        expect_true(parsed == v);
    }
    expect_true(parses("9223372036854775807") && parsed == INT64_MAX);
    expect_true(parses("-9223372036854775808") && parsed == INT64_MIN);
    expect_true(parses("007") && parsed == 7);
    expect_true(parses("-0") && parsed == 0);
}

TEST(integers_must_be_the_whole_text_and_fit)
{
    const char *bad[] = {"",
                         "-",
                         "+1",
                         " 1",
                         "1 ",
                         "1.0",
                         "0x10",
                         "--1",
                         "1-",
                         "abc",
                         "1e3",
                         "9223372036854775808",
                         "-9223372036854775809",
                         "99999999999999999999999"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_false(parses(bad[i]));
        expect_int(parsed, -77);
    }
    expect_false(number_parse_i64(BYTES_NULL, &parsed));
    expect_false(number_parse_i64(BYTES_LITERAL("1\0"), &parsed));
}

static bool parses_size(const char *s, int64_t wanted)
{
    parsed = -77;
    return number_parse_size(bytes_from_string(s), &parsed) && parsed == wanted;
}

TEST(sizes_have_units_of_1024_in_any_case)
{
    expect_true(parses_size("0", 0));
    expect_true(parses_size("123", 123));
    expect_true(parses_size("5b", 5));
    expect_true(parses_size("64k", 65536));
    expect_true(parses_size("64KB", 65536));
    expect_true(parses_size("4MiB", 4194304));
    expect_true(parses_size("1g", 1073741824));
    expect_true(parses_size("2TiB", INT64_C(2199023255552)));
    expect_true(parses_size("9223372036854775807", INT64_MAX));
    expect_true(parses_size("8388607t", INT64_C(8388607) << 40));
}

TEST(sizes_that_are_none_or_do_not_fit_are_refused)
{
    const char *bad[] = {"",
                         "k",
                         "-1",
                         "-1k",
                         "1 k",
                         "1kk",
                         "1x",
                         "1.",
                         "1k ",
                         "ki",
                         "1ki",
                         "8388608t",
                         "9223372036854775808"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        parsed = -77;
        expect_false(number_parse_size(bytes_from_string(bad[i]), &parsed));
        expect_int(parsed, -77);
    }
}

static bool parses_duration(const char *s, int64_t wanted)
{
    parsed = -77;
    return number_parse_duration(bytes_from_string(s), 1000000, &parsed) && parsed == wanted;
}

TEST(durations_have_units_and_a_bare_number_has_the_given_one)
{
    expect_true(parses_duration("0", 0));
    expect_true(parses_duration("5", 5000000));
    expect_true(parses_duration("7ns", 7));
    expect_true(parses_duration("7us", 7000));
    expect_true(parses_duration("100ms", 100000000));
    expect_true(parses_duration("30s", INT64_C(30000000000)));
    expect_true(parses_duration("5m", INT64_C(300000000000)));
    expect_true(parses_duration("1h", INT64_C(3600000000000)));
    expect_true(parses_duration("7D", INT64_C(604800000000000)));
    expect_true(parses_duration("106751d", INT64_C(106751) * 86400 * 1000000000));
}

TEST(durations_that_are_none_or_do_not_fit_are_refused)
{
    const char *bad[] = {
        "", "s", "-1", "1w", "1 s", "1ss", "1.5s", "106752d", "9223372036854775807"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_false(number_parse_duration(bytes_from_string(bad[i]), 1000000, &parsed));
}

TEST(sizes_are_written_for_humans)
{
    char s[NUMBER_SIZE_TEXT_BYTES];

    expect_string(number_format_size(0, s), "0 B");
    expect_string(number_format_size(1023, s), "1023 B");
    expect_string(number_format_size(1024, s), "1.0 KiB");
    expect_string(number_format_size(1258291, s), "1.2 MiB");
    expect_string(number_format_size(-2048, s), "-2.0 KiB");
    expect_string(number_format_size(INT64_MAX, s), "8.0 EiB");
    expect_string(number_format_size(INT64_MIN, s), "-8.0 EiB");
}
