#include "broker/pattern.h"

#include <stdlib.h>
#include <time.h>

#include "tests/test.h"

#include "base/mem.h"

static bool matches(const char *text, const char *name)
{
    struct pattern p = {0};
    expect_ok(pattern_init(&p, bytes_from_string(text)));
    bool found = pattern_matches(&p, bytes_from_string(name));
    pattern_reset(&p);
    return found;
}

TEST(a_pattern_matches_when_it_is_found_anywhere)
{
    expect_true(matches("orders", "my-orders-1"));
    expect_false(matches("^orders", "my-orders-1"));
    expect_true(matches("^orders$", "orders"));
    expect_true(matches("^(a|b)\\.[0-9]+$", "b.17"));
    expect_false(matches("^(a|b)\\.[0-9]+$", "c.17"));
    expect_true(matches("(?i)ORDERS", "orders"));
    expect_true(matches("^amq\\.(?!gen)", "amq.direct"));
    expect_false(matches("^amq\\.(?!gen)", "amq.gen-x"));
}

TEST(the_usual_pattern_for_everything_needs_no_search)
{
    static const char *const spellings[] = {".*", "^.*", ""};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct pattern p = {0};
        expect_ok(pattern_init(&p, bytes_from_string(spellings[i])));
        expect_int(p.kind, PATTERN_ALL);
        expect_true(pattern_matches(&p, BYTES_LITERAL("a\nb")));
        expect_true(pattern_matches(&p, BYTES_LITERAL("")));
        pattern_reset(&p);
    }
    expect_false(matches("^.*$", "a\nb")); /* a dot does not match a line's end */
}

TEST(an_empty_permission_is_for_the_empty_name_only)
{
    static const char *const spellings[] = {"", "^$"};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct pattern p = {0};
        expect_ok(pattern_init_permission(&p, bytes_from_string(spellings[i])));
        expect_bytes(p.text, bytes_from_string(spellings[i]));
        expect_true(pattern_matches(&p, BYTES_LITERAL("")));
        expect_false(pattern_matches(&p, BYTES_LITERAL("a")));
        pattern_reset(&p);
    }
    struct pattern all = {0};
    expect_ok(pattern_init_permission(&all, BYTES_LITERAL(".*")));
    expect_true(pattern_matches(&all, BYTES_LITERAL("a")));
    pattern_reset(&all);
}

TEST(nothing_matches_no_pattern)
{
    struct pattern p = {0};
    expect_false(pattern_matches(&p, BYTES_LITERAL("")));
    pattern_reset(&p);
}

TEST(what_is_no_pattern_is_refused_with_its_place)
{
    static const char *const wrong[] = {"(",   "a)", "[",      "*",  "a{2,1}",
                                        "(?<", "\\", "(?P>x)", "\\C"};
    struct pattern p = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_err(pattern_init(&p, bytes_from_string(wrong[i])), E_INVALID);
    expect_err(pattern_init(&p, BYTES_LITERAL("ab(cd")), E_INVALID);
    expect_err_text("at position 5");
    expect_int(p.kind, PATTERN_NOTHING);
}

TEST(a_pattern_that_is_cut_off_is_not_read_beyond_its_end)
{
    struct pattern p = {0};
    struct bytes whole = BYTES_LITERAL("(*LIMIT_MATCH=10)a");
    for (size_t size = 1; size < 17; size++)
        expect_err(pattern_init(&p, bytes_of(whole.data, size)), E_INVALID);
    expect_ok(pattern_init(&p, whole));
    pattern_reset(&p);
}

TEST(a_pattern_that_is_too_large_or_nested_too_deep_is_refused)
{
    struct pattern p = {0};
    uint8_t *large = xzalloc(PATTERN_MAX_BYTES + 1);
    memset(large, 'a', PATTERN_MAX_BYTES + 1);
    expect_err(pattern_init(&p, bytes_of(large, PATTERN_MAX_BYTES + 1)), E_INVALID);
    memset(large, '(', 100);
    memset(large + 100, ')', 100);
    expect_err(pattern_init(&p, bytes_of(large, 200)), E_INVALID);
    free(large);
    expect_err(pattern_init(&p, BYTES_LITERAL("((a{1000}){1000}){1000}")), E_INVALID);
}

/* Patterns that take exponential time on names that nearly match. */
TEST(a_search_that_takes_too_long_ends_without_a_match)
{
    static const char *const hostile[] = {"^(a+)+$", "^(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$",
                                          "(x+x+)+y|^(a|a?)+$", "^(a?){60}a{60}$"};
    char name[256];
    memset(name, 'a', 254);
    name[254] = '!';
    name[255] = '\0';
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        clock_t start = clock();
        expect_false(matches(hostile[i], name));
        expect_true(clock() - start <
                    CLOCKS_PER_SEC / 20); /* some ms; machines are slow at times */
    }
}

/* It would match in the end, but nobody waits for that. */
TEST(the_limit_fails_closed)
{
    char name[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    expect_false(matches("^(a+)+$|b$", name));
    expect_true(matches("b$", name));
}

TEST(recursion_without_end_ends)
{
    expect_false(matches("^(a(?1)?b?)*c$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}
