/* Lists: what the query makes of them. */
#include <stdio.h>
#include <string.h>

#include "manage/test_manage.h"
#include "tests/test.h"

static struct test_manage t;

static void begin_with_queues(int count)
{
    char name[16];

    test_manage_init(&t);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%03d", i % 2 ? "Odd" : "even", i);
        test_transient_queue(&t.core, name);
    }
}

static size_t count_of(const char *path)
{
    return json_array_size(test_json(&t, path));
}

TEST(a_list_without_a_page_is_a_plain_array_in_the_order_of_names)
{
    begin_with_queues(4);
    expect_int(test_call(&t, "GET", "/api/queues", NULL), 200);
    expect_int(json_array_size(t.json), 4);
    expect_string(test_json_text(&t, "0.name"), "Odd001");
    expect_string(test_json_text(&t, "3.name"), "even002");
    test_manage_end(&t);
}

TEST(a_list_longer_than_a_slice_is_whole)
{
    begin_with_queues(350);
    test_call_start(&t, "GET", "/api/queues", NULL);
    expect_false(t.is_done);
    test_call_end(&t);
    expect_int(json_array_size(t.json), 350);
    test_manage_end(&t);
}

TEST(what_is_deleted_while_a_list_is_made_is_left_out)
{
    begin_with_queues(350);
    test_call_start(&t, "GET", "/api/queues", NULL);
    queue_delete(test_queue(&t.core, "even348"));
    test_call_end(&t);
    expect_int(json_array_size(t.json), 349);
    test_manage_end(&t);
}

TEST(a_page_says_how_many_there_are)
{
    begin_with_queues(25);
    expect_int(test_call(&t, "GET", "/api/queues?page=3&page_size=10", NULL), 200);
    expect_int(count_of("items"), 5);
    expect_int(test_json_int(&t, "total_count"), 25);
    expect_int(test_json_int(&t, "filtered_count"), 25);
    expect_int(test_json_int(&t, "item_count"), 5);
    expect_int(test_json_int(&t, "page"), 3);
    expect_int(test_json_int(&t, "page_size"), 10);
    expect_int(test_json_int(&t, "page_count"), 3);
    expect_string(test_json_text(&t, "items.4.name"), "even024");
    test_manage_end(&t);
}

TEST(pages_have_a_hundred_rows_when_nobody_says)
{
    begin_with_queues(120);
    expect_int(test_call(&t, "GET", "/api/queues?page=1", NULL), 200);
    expect_int(count_of("items"), 100);
    test_manage_end(&t);
}

TEST(a_page_that_cannot_be_is_refused_with_a_reason)
{
    static const char *const wrong[][2] = {
        {"/api/queues?page=3&page_size=10", "Page out of range, page: 3 page size: 10, len: 4"},
        {"/api/queues?page=x", "Pagination parameters are invalid"},
        {"/api/queues?page=1&page_size=", "Pagination parameters are invalid"},
        {"/api/queues?page=0", "Invalid pagination parameters: page number 0, page size 100"},
        {"/api/queues?page=-1", "Invalid pagination parameters: page number -1, page size 100"},
        {"/api/queues?page=1&page_size=501",
         "Invalid pagination parameters: page number 1, page size 501"},
    };
    begin_with_queues(4);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_int(test_call(&t, "GET", wrong[i][0], NULL), 400);
        expect_string(test_json_text(&t, "reason"), wrong[i][1]);
    }
    test_manage_end(&t);
}

TEST(an_empty_list_has_a_first_page)
{
    begin_with_queues(0);
    expect_int(test_call(&t, "GET", "/api/queues?page=1", NULL), 200);
    expect_int(count_of("items"), 0);
    expect_int(test_json_int(&t, "page_count"), 0);
    test_manage_end(&t);
}

TEST(names_are_filtered_in_any_case_by_a_part_or_a_regex)
{
    begin_with_queues(20);
    expect_int(test_call(&t, "GET", "/api/queues?page=1&name=oDD", NULL), 200);
    expect_int(test_json_int(&t, "filtered_count"), 10);
    expect_int(test_json_int(&t, "total_count"), 20);
    expect_int(
        test_call(&t, "GET", "/api/queues?page=1&name=%5Eodd00%5B1-3%5D&use_regex=true", NULL),
        200);
    expect_int(test_json_int(&t, "filtered_count"), 2);
    expect_int(test_call(&t, "GET", "/api/queues?page=1&name=%5Eodd", NULL), 200);
    expect_int(test_json_int(&t, "filtered_count"), 0);
    expect_int(test_call(&t, "GET", "/api/queues?name=odd", NULL), 200); /* without a page: all */
    expect_int(json_array_size(t.json), 20);
    test_manage_end(&t);
}

TEST(rows_are_sorted_by_a_column_and_stay_in_order_where_it_is_equal)
{
    struct ticket ticket;
    begin_with_queues(4); /* even000 Odd001 even002 Odd003 */
    expect_ok(test_publish(&t.core, "even002", "body", &ticket));
    test_core_settle(&t.core);
    expect_int(test_call(&t, "GET", "/api/queues?sort=messages", NULL), 200);
    expect_string(test_json_text(&t, "0.name"), "Odd001");
    expect_string(test_json_text(&t, "3.name"), "even002");
    expect_int(test_call(&t, "GET", "/api/queues?sort=messages&sort_reverse=true", NULL), 200);
    expect_string(test_json_text(&t, "0.name"), "even002");
    expect_int(
        test_call(&t, "GET", "/api/queues?sort=name&sort_reverse=true&page=1&page_size=1", NULL),
        200);
    expect_string(test_json_text(&t, "items.0.name"), "even002");
    expect_int(test_call(&t, "GET", "/api/queues?sort=no.such.column", NULL), 200);
    expect_string(test_json_text(&t, "0.name"), "Odd001");
    expect_int(test_call(&t, "GET", "/api/queues?sort_reverse=true", NULL), 200);
    expect_string(test_json_text(&t, "0.name"), "even002");
    test_manage_end(&t);
}

TEST(only_the_columns_that_are_asked_for_are_there)
{
    begin_with_queues(1);
    expect_int(test_call(&t, "GET", "/api/queues?columns=name,vhost,none", NULL), 200);
    expect_string(text_string(&t.body), "[{\"name\":\"even000\",\"vhost\":\"/\"}]");
    expect_int(test_call(&t, "GET", "/api/queues?columns=name&columns=vhost", NULL), 200);
    expect_string(text_string(&t.body), "[{\"name\":\"even000\",\"vhost\":\"/\"}]");
    expect_int(test_call(&t, "GET", "/api/queues/%2F/even000?columns=name", NULL), 200);
    expect_string(text_string(&t.body), "{\"name\":\"even000\"}");
    expect_int(test_call(&t, "GET", "/api/overview?columns=queue_totals.messages,node", NULL), 200);
    expect_string(text_string(&t.body),
                  "{\"queue_totals\":{\"messages\":0},\"node\":\"rabbit@test\"}");
    test_manage_end(&t);
}

TEST(rows_that_are_there_already_are_paged_too)
{
    begin_with_queues(0);
    expect_int(test_call(&t, "GET",
                         "/api/feature-flags?page=1&page_size=2&name=QUEUE_NON&sort=name", NULL),
               200);
    expect_int(count_of("items"), 1);
    expect_string(test_json_text(&t, "items.0.name"), "quorum_queue_non_voters");
    expect_int(test_call(&t, "GET", "/api/feature-flags?page=9", NULL), 400);
    test_manage_end(&t);
}

TEST(a_walk_over_many_queues_takes_turns_and_names_none_twice)
{
    char name[16];

    begin_with_queues(0);
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "q%04d", i);
        test_transient_queue(&t.core, name);
    }
    test_call_start(&t, "GET", "/api/queues?columns=name", NULL);
    expect_false(t.is_done);
    for (int i = 0; i < 9000; i++) { /* the map grows */
        snprintf(name, sizeof name, "z%04d", i);
        test_transient_queue(&t.core, name);
    }
    for (int turns = 0; turns < 100000 && !t.is_done; turns++)
        test_core_turn(&t.core);
    expect_true(t.is_done);
    expect_true(json_array_size(t.json) >= 4000);
    for (size_t i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "q%04zu", i);
        expect_string(json_string_value(json_object_get(json_array_get(t.json, i), "name")), name);
    }
    test_manage_end(&t);
}

TEST(what_is_sorted_by_a_column_is_cut_and_made_again)
{
    begin_with_queues(200);
    for (int i = 0; i < 200; i += 50) {
        char name[16];
        snprintf(name, sizeof name, "even%03d", i);
        for (int k = 0; k <= i; k++)
            expect_ok(test_publish(&t.core, name, "x", NULL));
    }
    test_core_settle(&t.core);
    const char *path = "/api/queues?page=1&page_size=3&sort=messages&sort_reverse=true";
    expect_int(test_call(&t, "GET", path, NULL), 200);
    expect_string(test_json_text(&t, "items.0.name"), "even150");
    expect_int(test_json_int(&t, "items.1.messages"), 101);
    expect_int(count_of("items"), 3);
    expect_int(test_json_int(&t, "filtered_count"), 200);
    expect_int(test_json_int(&t, "page_count"), 67);
    test_manage_end(&t);
}

/* "^(a+)+$", of a name that nearly matches. */
#define HOSTILE "%5E(a%2B)%2B%24"
#define NEARLY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"

TEST(a_regex_that_takes_too_long_is_refused)
{
    begin_with_queues(3);
    test_transient_queue(&t.core, NEARLY);
    expect_int(test_call(&t, "GET", "/api/queues?page=1&use_regex=true&name=" HOSTILE, NULL), 400);
    expect_not_null(strstr(test_json_text(&t, "reason"), "takes too long"));
    expect_int(
        test_call(&t, "GET", "/metrics/detailed?family=queue_coarse_metrics&queue=" HOSTILE, NULL),
        400);
    test_manage_end(&t);
}

TEST(names_are_searched_some_in_each_turn)
{
    begin_with_queues(120);
    test_call_start(&t, "GET", "/api/queues?page=2&page_size=50&use_regex=true&name=even", NULL);
    test_core_turn(&t.core);
    expect_false(t.is_done);
    test_call_end(&t);
    expect_int(test_json_int(&t, "filtered_count"), 60);
    expect_int(test_json_int(&t, "total_count"), 120);
    expect_int(count_of("items"), 10);
    expect_string(test_json_text(&t, "items.9.name"), "even118");
    expect_int(
        test_call(&t, "GET", "/api/feature-flags?page=1&use_regex=true&name=%5EQUORUM", NULL), 200);
    expect_int(count_of("items"), 2);
    expect_string(test_json_text(&t, "items.1.name"), "quorum_queue_non_voters");
    test_manage_end(&t);
}
