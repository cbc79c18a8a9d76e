#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "tests/test.h"

TEST(err_set_returns_its_code_and_keeps_its_text)
{
    expect_int(err_set(E_IO, "fdatasync: %s", "gone"), E_IO);
    expect_string(err_text(), "fdatasync: gone");
    err_clear();
    expect_string(err_text(), "");
}

TEST(err_wrap_puts_what_was_done_in_front)
{
    enum err err = err_set(E_IO, "fdatasync: gone");

    expect_int(err_wrap(err, "open segment %s/%s", "d", "0.log"), E_IO);
    expect_string(err_text(), "open segment d/0.log: fdatasync: gone");
}

TEST(err_wrap_leaves_success_alone)
{
    (void)err_set(E_IO, "old");
    expect_int(err_wrap(OK, "nothing"), OK);
    expect_string(err_text(), "old");
}

TEST(err_wrap_without_a_text_uses_the_words_of_the_code)
{
    err_clear();
    (void)err_wrap(E_NOT_FOUND, "topic %s", "a");
    expect_string(err_text(), "topic a: not found");
}

TEST(err_texts_can_be_made_from_the_text_before)
{
    (void)err_set(E_IO, "one");
    (void)err_set(E_IO, "%s, two", err_text());
    expect_string(err_text(), "one, two");
    (void)err_wrap(E_IO, "%s", err_text());
    expect_string(err_text(), "one, two: one, two");
}

TEST(err_texts_are_cut_at_511_bytes)
{
    char wanted[1200];
    char many[601] = "";

    memset(many, 'x', 600);
    (void)err_set(E_IO, "%s", many);
    expect_int(strlen(err_text()), 511);

    /* Every length of prefix, so that the cut falls at every place of the joined text. */
    for (int prefix = 0; prefix <= 600; prefix++) {
        (void)err_set(E_IO, "inner %.*s", prefix / 2, many);
        snprintf(wanted, sizeof wanted, "%.*s: %s", prefix < 511 ? prefix : 511, many, err_text());
        (void)err_wrap(E_IO, "%.*s", prefix, many);
        expect_int(strlen(err_text()), strlen(wanted) < 511 ? strlen(wanted) : 511);
        expect_int(strncmp(err_text(), wanted, strlen(err_text())), 0);
    }
    err_clear();
}

TEST(err_codes_have_words_and_a_retry_rule)
{
    expect_string(err_name(OK), "ok");
    expect_string(err_name(E_SIMULATED_CRASH), "simulated crash");
    expect_check_fails(err_name((enum err)(E_SIMULATED_CRASH + 1)));
}
