#include "manage/test_manage.h"
#include "tests/test.h"

static void expect_error(const struct test_manage *t, int status, const char *error,
                         const char *reason)
{
    expect_int(t->status, status);
    expect_string(test_json_text(t, "error"), error);
    expect_string(test_json_text(t, "reason"), reason);
}

TEST(a_call_is_answered_as_json)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(test_call(&t, "GET", "/api/whoami", NULL), 200);
    expect_string(text_string(&t.body),
                  "{\"name\":\"\",\"tags\":[\"administrator\"],\"is_internal_user\":true}");
    test_manage_end(&t);
}

TEST(a_slash_at_the_end_of_the_path_makes_no_difference)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(test_call(&t, "GET", "/api/whoami/", NULL), 200);
    test_manage_end(&t);
}

TEST(an_unknown_path_is_not_found)
{
    static const char *const paths[] = {"/api/nonsense", "/api/whoami/more", "/whoami", "/", "/api",
                                        "/api/"};
    struct test_manage t;
    test_manage_init(&t);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        test_call(&t, "GET", paths[i], NULL);
        expect_error(&t, 404, "Object Not Found", "Not Found");
    }
    test_manage_end(&t);
}

TEST(a_method_that_the_path_does_not_have_is_told_which_there_are)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(test_call(&t, "DELETE", "/api/whoami", NULL), 405);
    expect_string(test_header(&t, "Allow"), "HEAD, GET, OPTIONS");
    expect_int(test_call(&t, "BREW", "/api/whoami", NULL), 405);
    expect_int(test_call(&t, "OPTIONS", "/api/whoami", NULL), 200);
    expect_string(test_header(&t, "Allow"), "HEAD, GET, OPTIONS");
    test_manage_end(&t);
}

TEST(who_does_not_log_in_is_told_nothing)
{
    struct test_manage t;
    test_manage_init(&t);
    t.user = "guest";
    t.password = "wrong";
    test_call(&t, "GET", "/api/whoami", NULL);
    expect_error(&t, 401, "not_authorized", "Not_Authorized");
    t.user = "nobody";
    test_call(&t, "GET", "/api/whoami", NULL);
    expect_error(&t, 401, "not_authorized", "Not_Authorized");
    t.user = "guest";
    t.password = "guest";
    expect_int(test_call(&t, "GET", "/api/whoami", NULL), 200);
    expect_string(test_json_text(&t, "name"), "guest");
    test_manage_end(&t);
}

TEST(a_request_that_is_broken_is_answered_behind_the_log_in)
{
    struct test_manage t;
    test_manage_init(&t);
    test_call(&t, "GET", "/api/whoami?a=%zz", NULL);
    expect_error(&t, 400, "bad_request", "bad query");
    test_call(&t, "GET", "/api/whoami", "{");
    expect_error(&t, 400, "bad_request", "not_json");
    test_call(&t, "GET", "/api/%2", NULL);
    expect_int(t.status, 404);
    t.user = "guest";
    t.password = "wrong";
    expect_int(test_call(&t, "GET", "/api/whoami", "{"), 401);
    test_manage_end(&t);
}

/* `depth` lists inside one another, as the value of a parameter: two levels more than that. */
static int put_nested(struct test_manage *t, int depth)
{
    struct text body = {0};
    text_append_string(&body, "{\"value\":{\"[\":");
    for (int i = 0; i < depth; i++)
        text_append_string(&body, "[");
    text_append_string(&body, "\"[\\\"[\"");
    for (int i = 0; i < depth; i++)
        text_append_string(&body, "]");
    text_append_string(&body, "}}");
    int status = test_call(t, "PUT", "/api/global-parameters/deep", text_string(&body));
    text_reset(&body);
    return status;
}

TEST(a_body_nests_only_so_deep_that_every_stack_can_hold_it)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(put_nested(&t, 98), 201);
    expect_int(test_call(&t, "GET", "/api/global-parameters/deep", NULL), 200);
    expect_int(put_nested(&t, 99), 400);
    expect_error(&t, 400, "bad_request", "not_json");
    expect_int(test_call(&t, "PUT", "/api/global-parameters/x", "[[[[\"]\""), 400);
    test_manage_end(&t);
}

/* A call that waits for the disk, which fails then; and all that come behind it. */
TEST(a_call_whose_wait_the_disk_ends_is_answered)
{
    static const char *const calls[][2] = {
        {"PUT", "/api/queues/%2F/new"},
        {"PUT", "/api/vhosts/new"},
        {"DELETE", "/api/vhosts/v"},
        {"DELETE", "/api/queues/%2F/q"},
        {"DELETE", "/api/queues/%2F/q/contents"},
        {"GET", "/api/queues/%2F/q"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct test_manage t;
        test_manage_init(&t);
        expect_int(test_call(&t, "PUT", "/api/vhosts/v", NULL), 201);
        test_durable_queue(&t.core, "q");
        test_core_settle(&t.core);
        sim_disk_fail(t.core.disk, SIM_SYNC, 1, E_IO);
        expect_ok(test_publish(&t.core, "q", "lost", NULL));
        expect_int(test_call(&t, calls[i][0], calls[i][1], "{\"durable\":true}"), 503);
        expect_int(test_call(&t, "PUT", "/api/vhosts/v", NULL), 503);
        expect_int(test_call(&t, "GET", "/api/queues", NULL), 200);
        test_manage_end(&t);
    }
}
