#include "tests/test.h"

#include "cli/output.h"

TEST(rows_are_aligned_with_numbers_to_the_right_and_no_trailing_spaces)
{
    json_t *rows = json_pack("[{s:s, s:i, s:s}, {s:s, s:i, s:n}]", "name", "orders", "count", 12,
                             "note", "x", "name", "t", "count", 3, "note");
    struct text text = {0};

    output_render(rows, "name count note", &text);
    expect_string(text_string(&text), "NAME    COUNT  NOTE\n"
                                      "orders     12  x\n"
                                      "t           3  \n");
    text_reset(&text);
    json_decref(rows);
}

TEST(a_key_that_a_row_lacks_is_an_empty_field)
{
    json_t *rows = json_pack("[{s:s}]", "name", "a");
    struct text text = {0};

    output_render(rows, "name other", &text);
    expect_string(text_string(&text), "NAME  OTHER\na     \n");
    text_reset(&text);
    json_decref(rows);
}

TEST(no_rows_are_a_header_only)
{
    json_t *rows = json_array();
    struct text text = {0};

    output_render(rows, "name", &text);
    expect_string(text_string(&text), "NAME\n");
    text_reset(&text);
    json_decref(rows);
}

TEST(errors_have_their_exit_codes)
{
    expect_int(exit_code_of(OK), 0);
    expect_int(exit_code_of(E_IO), 1);
    expect_int(exit_code_of(E_NOT_FOUND), 3);
    expect_int(exit_code_of(E_REFUSED), 4);
    expect_int(exit_code_of(E_EXISTS), 4);
    expect_int(exit_code_of(E_LOCKED), 4);
    expect_int(exit_code_of(E_TIMEOUT), 5);
}

TEST(columns_look_into_objects_and_have_titles_of_their_own)
{
    json_t *rows = json_pack("[{s:{s:s}, s:i, s:[s,s], s:[i]}]", "queue", "name", "tasks",
                             "messages_ready", 7, "tags", "a", "b", "mixed", 1);
    struct text text = {0};

    output_render(rows, "queue.name:queue queue.none messages_ready:ready tags mixed", &text);
    expect_string(text_string(&text), "QUEUE  QUEUE.NONE  READY  TAGS  MIXED\n"
                                      "tasks                  7  a,b   [1]\n");
    text_reset(&text);
    json_decref(rows);
}
