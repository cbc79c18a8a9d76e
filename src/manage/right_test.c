/* Who may do what. */
#include "broker/access.h"
#include "manage/test_manage.h"
#include "tests/test.h"

static struct test_manage t;

static struct user *as(const char *name, const char *tags)
{
    struct user *user = test_user(&t.core, name, "secret", tags);

    t.user = name;
    t.password = "secret";
    return user;
}

static void allow(struct user *user)
{
    bool created;

    expect_ok(permission_put(user, test_vhost(&t.core), BYTES_LITERAL(".*"), BYTES_LITERAL(".*"),
                             BYTES_LITERAL(".*"), &created));
}

static void expect_refused(const char *method, const char *target, const char *reason)
{
    expect_int(test_call(&t, method, target, NULL), 401);
    expect_string(test_json_text(&t, "error"), "not_authorised");
    expect_string(test_json_text(&t, "reason"), reason);
}

TEST(who_has_no_tag_may_not_use_the_api)
{
    test_manage_init(&t);
    as("plain", "");
    expect_refused("GET", "/api/whoami", "Not management user");
    as("other", "impersonator");
    expect_refused("GET", "/api/whoami", "Not management user");
    test_manage_end(&t);
}

TEST(each_tag_may_do_what_it_is_for)
{
    static const struct {
        const char *tags;
        int whoami, nodes, features;
    } rights[] = {
        {"management", 200, 401, 401},
        {"policymaker", 200, 401, 401},
        {"monitoring", 200, 200, 401},
        {"administrator", 200, 200, 200},
    };
    test_manage_init(&t);
    for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++) {
        as("user", rights[i].tags);
        expect_int(test_call(&t, "GET", "/api/whoami", NULL), rights[i].whoami);
        expect_int(test_call(&t, "GET", "/api/nodes", NULL), rights[i].nodes);
        expect_int(test_call(&t, "GET", "/api/feature-flags", NULL), rights[i].features);
    }
    as("user", "management");
    expect_refused("GET", "/api/nodes", "Not monitor user");
    expect_refused("GET", "/api/feature-flags", "Not administrator user");
    test_manage_end(&t);
}

TEST(a_vhost_without_permissions_is_closed_to_a_management_user)
{
    test_manage_init(&t);
    test_transient_queue(&t.core, "q");
    struct user *user = as("user", "management");
    expect_refused("GET", "/api/queues/%2F", "User not authorised to access virtual host");
    expect_int(test_call(&t, "GET", "/api/queues", NULL), 200);
    expect_int(json_array_size(t.json), 0);
    expect_int(test_call(&t, "GET", "/api/queues/none", NULL), 404);
    allow(user);
    expect_int(test_call(&t, "GET", "/api/queues/%2F", NULL), 200);
    expect_int(test_call(&t, "GET", "/api/queues", NULL), 200);
    expect_int(json_array_size(t.json), 1);
    test_manage_end(&t);
}

TEST(who_monitors_sees_every_vhost_and_changes_none)
{
    test_manage_init(&t);
    test_transient_queue(&t.core, "q");
    as("user", "monitoring");
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q", NULL), 200);
    expect_refused("DELETE", "/api/queues/%2F/q", "User not authorised to access virtual host");
    expect_not_null(test_queue(&t.core, "q"));
    test_manage_end(&t);
}

TEST(the_totals_are_those_of_the_vhosts_that_one_may_see)
{
    test_manage_init(&t);
    test_transient_queue(&t.core, "q");
    struct user *user = as("user", "management");
    expect_int(test_call(&t, "GET", "/api/overview", NULL), 200);
    expect_int(test_json_int(&t, "object_totals.queues"), 0);
    expect_null(json_object_get(t.json, "listeners"));
    allow(user);
    expect_int(test_call(&t, "GET", "/api/overview", NULL), 200);
    expect_int(test_json_int(&t, "object_totals.queues"), 1);
    as("user2", "monitoring");
    expect_int(test_call(&t, "GET", "/api/overview", NULL), 200);
    expect_int(test_json_int(&t, "object_totals.queues"), 1);
    expect_string(test_json_text(&t, "listeners.0.protocol"), "amqp");
    test_manage_end(&t);
}

TEST(a_user_that_is_deleted_while_a_call_waits_gets_no_answer_from_it)
{
    char name[16];
    test_manage_init(&t);
    struct user *user = as("user", "administrator");
    for (int i = 0; i < 350; i++) {
        snprintf(name, sizeof name, "q%d", i);
        test_transient_queue(&t.core, name);
    }
    test_call_start(&t, "GET", "/api/queues", NULL);
    expect_ok(user_delete(user));
    test_call_end(&t);
    expect_int(t.status, 401);
    test_manage_end(&t);
}

TEST(the_form_of_the_login_page_is_taken)
{
    test_manage_init(&t);
    as("user", "management");
    t.user = NULL;
    expect_int(test_call(&t, "POST", "/api/login", "username=user&password=se%63ret"), 200);
    expect_string(text_string(&t.body), "\"ok\"");
    expect_int(test_call(&t, "POST", "/api/login", "username=user&password=wrong"), 401);
    expect_int(test_call(&t, "POST", "/api/login", NULL), 401);
    expect_int(test_call(&t, "POST", "/api/login", "username=%&password="), 400);
    as("plain", "");
    t.user = NULL;
    expect_int(test_call(&t, "POST", "/api/login", "username=plain&password=secret"), 401);
    expect_string(test_json_text(&t, "reason"), "Not management user");
    test_manage_end(&t);
}
