#include "tests/test.h"

#include "cli/place.h"

enum { NOW_MS = 1000000000 };

static void is_place(const char *text, enum place_kind kind, int64_t value)
{
    struct place place;

    expect_ok(place_parse("--from", text, NOW_MS, &place));
    expect_int(place.kind, kind);
    expect_int(place.value, value);
}

TEST(places_are_ends_offsets_counts_and_times)
{
    is_place("beginning", PLACE_BEGINNING, 0);
    is_place("earliest", PLACE_BEGINNING, 0);
    is_place("end", PLACE_END, 0);
    is_place("latest", PLACE_END, 0);
    is_place("0", PLACE_OFFSET, 0);
    is_place("4711", PLACE_OFFSET, 4711);
    is_place("-10", PLACE_BEFORE_END, 10);
    is_place("10m", PLACE_TIME, NOW_MS - 600000);
    is_place("100ms", PLACE_TIME, NOW_MS - 100);
}

TEST(times_are_of_the_calendar)
{
    is_place("1970-01-01", PLACE_TIME, 0);
    is_place("2000-02-29", PLACE_TIME, 951782400000);
    is_place("2000-03-01T00", PLACE_TIME, 951868800000);
    is_place("2023-11-14T22:13:20Z", PLACE_TIME, 1700000000000);
    is_place("2023-11-14 22:13:20.125", PLACE_TIME, 1700000000125);
    is_place("2023-11-15T07:13:20+09:00", PLACE_TIME, 1700000000000);
    is_place("2023-11-14T17:13:20-0500", PLACE_TIME, 1700000000000);
    is_place("2023-11-14T22:13", PLACE_TIME, 1699999980000);
}

TEST(what_is_no_place_is_told_what_would_be)
{
    static const char *const wrong[] = {"",           "start",      "2023-13-01x",
                                        "2023-13-01", "2023-01-32", "2023-01-01T24",
                                        "2023-1-1",   "10 minutes", "2023-01-01T10:00:00+9"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct place place;
        expect_err(place_parse("--from", wrong[i], NOW_MS, &place), E_INVALID);
        expect_true(bytes_has_prefix(bytes_from_string(err_text()), "--from "));
    }
}
