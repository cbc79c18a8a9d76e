#include "tests/test.h"

#include <stdlib.h>

#include "cli/admin.h"
#include "cli/manage_client.h"

TEST(values_of_pairs_are_json_or_text)
{
    struct flag_list pairs = {{"a=1", "b=true", "c=text", "d=\"1\"", "e=", "f=x=y", "g={\"h\":2}"},
                              7};
    json_t *object = json_object();

    expect_ok(admin_put_pairs(object, "arg", &pairs));
    char *text = json_dumps(object, JSON_COMPACT);
    expect_string(text, "{\"a\":1,\"b\":true,\"c\":\"text\",\"d\":\"1\",\"e\":\"\",\"f\":\"x=y\","
                        "\"g\":{\"h\":2}}");
    free(text);
    json_decref(object);
}

TEST(pairs_need_a_name_and_text_that_is_utf_8)
{
    static const char *const wrong[] = {"novalue", "=1", "a=\xff"};
    json_t *object = json_object();

    for (size_t i = 0; i < 3; i++) {
        struct flag_list pairs = {{wrong[i]}, 1};
        expect_err(admin_put_pairs(object, "arg", &pairs), E_INVALID);
        expect_err_text("--arg ");
    }
    json_decref(object);
}

/* Nobody answers: the two ways say so alike. */
TEST(a_server_that_is_not_there_is_an_error)
{
    struct common common;
    json_t *out = NULL;

    common_init(&common);
    common.control = "/nonexistent/control";
    expect_err(manage_get(&common, &out, "GET overview"), E_CLOSED);
    expect_err_text("/nonexistent/control");
    common.control = NULL;
    common.url = "http://127.0.0.1:1";
    expect_err(manage_get(&common, &out, "GET overview"), E_CLOSED);
    expect_err_text("http://127.0.0.1:1/api/overview");
    common.url = "gopher://host";
    expect_err(manage_ask(&common, json_object(), NULL, "PUT vhosts/%s", "a"), E_INVALID);
    expect_null(out);
}
