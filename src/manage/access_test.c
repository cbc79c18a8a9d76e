/* Users, vhosts, permissions and limits through the API: RabbitMQ's statuses and reasons. */
#include "broker/access_internal.h"

#include "manage/test_manage.h"
#include "tests/test.h"

static struct test_manage t;

static void call(const char *method, const char *target, const char *body, int status)
{
    expect_int(test_call(&t, method, target, body), status);
}

static void expect_body(const char *target, const char *wanted)
{
    call("GET", target, NULL, 200);
    expect_string(text_string(&t.body), wanted);
}

/* 400, and why. */
static void expect_bad(const char *method, const char *target, const char *body, const char *reason)
{
    call(method, target, body, 400);
    expect_string(test_json_text(&t, "error"), "bad_request");
    expect_string(test_json_text(&t, "reason"), reason);
}

static bool logs_in(const char *user, const char *password)
{
    return test_log_in(&t.core, user, password, false) == OK;
}

/* ---- users ---- */

TEST(users_are_made_changed_told_and_deleted)
{
    test_manage_init(&t);
    call("PUT", "/api/users/a", "{\"password\":\"x\",\"tags\":\"management\"}", 201);
    call("PUT", "/api/users/a", "{\"password\":\"y\",\"tags\":[\"policymaker\",\"own\"]}", 204);
    expect_true(logs_in("a", "y"));
    call("PUT", "/api/users/a",
         "{\"password_hash\":\"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR\",\"tags\":"
         "[\"policymaker\",\"own\"],\"limits\":{\"max-channels\":-1}}",
         204);
    expect_true(logs_in("a", "test12"));
    expect_body("/api/users/a",
                "{\"name\":\"a\",\"password_hash\":"
                "\"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR\",\"hashing_algorithm\":"
                "\"rabbit_password_hashing_sha256\",\"tags\":[\"policymaker\",\"own\"],\"limits\":"
                "{\"max-channels\":-1}}");
    expect_body("/api/users?columns=name,tags",
                "[{\"name\":\"a\",\"tags\":[\"policymaker\",\"own\"]},{\"name\":\"guest\",\"tags\":"
                "[\"administrator\"]}]");
    call("DELETE", "/api/users/a", NULL, 204);
    call("DELETE", "/api/users/a", NULL, 404);
    call("GET", "/api/users/a", NULL, 404);
    test_manage_end(&t);
}

TEST(what_is_answered_as_made_is_there_after_a_crash)
{
    test_manage_init(&t);
    call("PUT", "/api/users/a", "{\"password\":\"x\",\"tags\":\"\"}", 201);
    call("PUT", "/api/vhosts/v", "{\"description\":\"d\"}", 201);
    call("PUT", "/api/permissions/v/a", "{\"configure\":\"^a\",\"write\":\"\",\"read\":\".*\"}",
         201);
    test_manage_crash(&t);
    struct user *user = user_find(t.core.core, BYTES_LITERAL("a"));
    struct vhost *vhost = vhost_find(t.core.core, BYTES_LITERAL("v"));
    expect_true(user && vhost && permission_find(user, vhost));
    test_manage_end(&t);
}

TEST(a_user_without_a_password_or_with_another_digest)
{
    test_manage_init(&t);
    call("PUT", "/api/users/a", "{\"tags\":\"\"}", 201);
    call("GET", "/api/users/a", NULL, 200);
    expect_string(test_json_text(&t, "password_hash"), "");
    expect_false(logs_in("a", ""));
    /* md5 of 01 02 03 04 and "secret" */
    call("PUT", "/api/users/a",
         "{\"password_hash\":\"AQIDBEtq6vX3JmgRvYMQMkBmGYM=\",\"hashing_algorithm\":"
         "\"rabbit_password_hashing_md5\",\"administrator\":\"true\"}",
         204);
    call("GET", "/api/users/a", NULL, 200);
    expect_string(test_json_text(&t, "hashing_algorithm"), "rabbit_password_hashing_md5");
    expect_string(test_json_text(&t, "tags.0"), "administrator");
    test_manage_end(&t);
}

TEST(a_body_that_makes_no_user_is_refused)
{
    test_manage_init(&t);
    expect_bad("PUT", "/api/users/a", "{\"password\":\"x\"}", "tags_not_present");
    expect_bad("PUT", "/api/users/a", NULL, "tags_not_present");
    expect_bad("PUT", "/api/users/a", "{\"password\":\"x\",\"password_hash\":\"\",\"tags\":\"\"}",
               "both_password_and_password_hash_are_provided");
    expect_bad("PUT", "/api/users/a", "{\"password_hash\":\"!!\",\"tags\":\"\"}",
               "a password hash that is not base64");
    expect_bad("PUT", "/api/users/a",
               "{\"password_hash\":\"AAAA\",\"hashing_algorithm\":\"none\",\"tags\":\"\"}",
               "unknown hashing_algorithm 'none'");
    expect_bad("PUT", "/api/users/a", "{\"password\":1,\"tags\":\"\"}",
               "password must be a string");
    expect_bad("PUT", "/api/users/a", "{\"tags\":7}", "tags must be an array of strings");
    expect_bad("PUT", "/api/users/a", "{\"tags\":[7]}", "tags must be an array of strings");
    expect_bad("PUT", "/api/users/a", "{\"tags\":\"\",\"limits\":{\"max-channels\":\"1\"}}",
               "max-channels should be a number, actually was \"1\"");
    expect_bad("PUT", "/api/users/a", "{\"tags\":\"\",\"limits\":7}", "limits must be an object");
    call("GET", "/api/users/a", NULL, 404);
    test_manage_end(&t);
}

TEST(users_are_deleted_in_bulk)
{
    test_manage_init(&t);
    call("PUT", "/api/users/a", "{\"tags\":\"\"}", 201);
    call("PUT", "/api/users/b", "{\"tags\":\"\"}", 201);
    call("PUT", "/api/users/c", "{\"tags\":\"\"}", 201);
    call("POST", "/api/users/bulk-delete", "{\"users\":[\"a\",\"none\",\"b\",7]}", 204);
    expect_body("/api/users?columns=name", "[{\"name\":\"c\"},{\"name\":\"guest\"}]");
    expect_bad("POST", "/api/users/bulk-delete", "{}", "[{key_missing,users}]");
    expect_bad("POST", "/api/users/bulk-delete", "{\"users\":\"c\"}", "users must be an array");
    expect_body("/api/users/without-permissions?columns=name", "[{\"name\":\"c\"}]");
    test_manage_end(&t);
}

TEST(very_many_users_are_deleted_before_it_is_answered)
{
    struct text users = {0};
    char path[32];
    test_manage_init(&t);
    text_printf(&users, "{\"users\":[");
    for (int i = 0; i < 250; i++) {
        snprintf(path, sizeof path, "/api/users/u%d", i);
        call("PUT", path, "{\"tags\":\"\"}", 201);
        text_printf(&users, "%s\"u%d\"", i ? "," : "", i);
    }
    text_printf(&users, "]}");
    call("POST", "/api/users/bulk-delete", text_string(&users), 204);
    expect_body("/api/users?columns=name", "[{\"name\":\"guest\"}]");
    text_reset(&users);
    test_manage_end(&t);
}

TEST(limits_of_users_are_set_told_and_taken_back)
{
    test_manage_init(&t);
    call("PUT", "/api/users/a", "{\"tags\":\"\"}", 201);
    expect_body("/api/user-limits", "[]");
    call("PUT", "/api/user-limits/a/max-connections", "{\"value\":7}", 204);
    call("PUT", "/api/user-limits/a/max-channels", "{\"value\":-3}", 204);
    expect_body("/api/user-limits",
                "[{\"user\":\"a\",\"value\":{\"max-channels\":-3,\"max-connections\":7}}]");
    expect_body("/api/user-limits/guest", "[]");
    call("GET", "/api/user-limits/none", NULL, 404);
    expect_bad("PUT", "/api/user-limits/a/nonsense", "{\"value\":1}",
               "Unrecognised limit 'nonsense'");
    expect_bad("PUT", "/api/user-limits/a/max-channels", "{}", "[{key_missing,value}]");
    expect_bad("PUT", "/api/user-limits/none/max-channels", "{\"value\":1}", "no_such_user");
    call("DELETE", "/api/user-limits/a/max-channels", NULL, 204);
    call("DELETE", "/api/user-limits/a/nonsense", NULL, 204);
    call("DELETE", "/api/user-limits/none/max-channels", NULL, 404);
    expect_body("/api/user-limits/a", "[{\"user\":\"a\",\"value\":{\"max-connections\":7}}]");
    call("DELETE", "/api/user-limits/a/all", NULL, 204);
    expect_body("/api/user-limits/a", "[]");
    test_manage_end(&t);
}

/* ---- vhosts ---- */

TEST(vhosts_are_made_changed_told_and_deleted)
{
    test_manage_init(&t);
    call("PUT", "/api/vhosts/v",
         "{\"description\":\"d\",\"tags\":\"t1,t2\",\"default_queue_type\":\"quorum\"}", 201);
    call("GET", "/api/vhosts/v", NULL, 200);
    expect_string(test_json_text(&t, "description"), "d");
    expect_string(test_json_text(&t, "tags.1"), "t2");
    expect_string(test_json_text(&t, "metadata.tags.0"), "t1");
    expect_string(test_json_text(&t, "default_queue_type"), "quorum");
    call("PUT", "/api/vhosts/v", "{\"tags\":[\"x\"]}", 204);
    call("GET", "/api/vhosts/v", NULL, 200);
    expect_string(test_json_text(&t, "description"), "");
    expect_string(test_json_text(&t, "tags.0"), "x");
    expect_string(test_json_text(&t, "metadata.default_queue_type"), "quorum"); /* it stays */
    call("PUT", "/api/vhosts/a%2Fb", NULL, 201);
    expect_body("/api/vhosts?columns=name,default_queue_type",
                "[{\"name\":\"/\",\"default_queue_type\":\"classic\"},{\"name\":\"a/b\","
                "\"default_queue_type\":\"classic\"},{\"name\":\"v\",\"default_queue_type\":"
                "\"quorum\"}]");
    call("DELETE", "/api/vhosts/v", NULL, 204);
    call("DELETE", "/api/vhosts/v", NULL, 404);
    call("GET", "/api/vhosts/v", NULL, 404);
    expect_bad("PUT", "/api/vhosts/w", "{\"default_queue_type\":\"mirrored\"}",
               "Unsupported default queue type: 'mirrored'");
    call("GET", "/api/vhosts/w", NULL, 404);
    test_manage_end(&t);
}

TEST(a_deletion_is_answered_when_everything_is_gone)
{
    test_manage_init(&t);
    call("PUT", "/api/vhosts/v", NULL, 201);
    struct vhost *vhost = vhost_find(t.core.core, BYTES_LITERAL("v"));
    char name[16];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "q%d", i);
        queue_create(vhost, &(struct queue_spec){.name = bytes_from_string(name), .durable = true});
        if (i % 50 == 0)
            test_core_settle(&t.core);
    }
    test_call_start(&t, "DELETE", "/api/vhosts/v", NULL);
    for (int i = 0; i < 3; i++)
        test_core_turn(&t.core);
    expect_false(t.is_done);
    expect_not_null(vhost_lookup(t.core.core, BYTES_LITERAL("v")));
    test_call_end(&t);
    expect_int(t.status, 204);
    expect_null(vhost_lookup(t.core.core, BYTES_LITERAL("v")));
    test_manage_end(&t);
}

TEST(who_makes_a_vhost_anew_waits_until_the_old_one_is_gone)
{
    test_manage_init(&t);
    call("PUT", "/api/vhosts/v", NULL, 201);
    expect_ok(vhost_delete(vhost_find(t.core.core, BYTES_LITERAL("v"))));
    expect_true(vhost_is_doomed(t.core.core, BYTES_LITERAL("v")));
    call("PUT", "/api/vhosts/v", "{\"description\":\"new\"}", 201);
    call("GET", "/api/vhosts/v", NULL, 200);
    expect_string(test_json_text(&t, "description"), "new");
    test_manage_end(&t);
}

TEST(a_vhost_tells_how_many_messages_are_in_its_queues)
{
    struct ticket ticket;
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "a", &ticket));
    expect_ok(test_publish(&t.core, "q", "b", &ticket));
    test_core_settle(&t.core);
    call("GET", "/api/vhosts/%2F", NULL, 200);
    expect_int(test_json_int(&t, "messages"), 2);
    expect_int(test_json_int(&t, "messages_ready"), 2);
    expect_int(test_json_int(&t, "messages_unacknowledged"), 0);
    call("GET", "/api/vhosts/%2F?disable_stats=true", NULL, 200);
    expect_null(json_object_get(t.json, "messages"));
    test_manage_end(&t);
}

TEST(a_protected_vhost_is_deleted_when_it_is_protected_no_more)
{
    test_manage_init(&t);
    call("PUT", "/api/vhosts/v", NULL, 201);
    call("POST", "/api/vhosts/v/deletion/protection", NULL, 204);
    call("DELETE", "/api/vhosts/v", NULL, 412);
    expect_string(test_json_text(&t, "reason"), "Refusing to delete virtual host 'v' because it is "
                                                "protected from deletion");
    call("PUT", "/api/vhosts/v", "{\"description\":\"still\"}", 204);
    call("DELETE", "/api/vhosts/v", NULL, 412);
    call("DELETE", "/api/vhosts/v/deletion/protection", NULL, 204);
    call("DELETE", "/api/vhosts/v", NULL, 204);
    call("POST", "/api/vhosts/v/deletion/protection", NULL, 404);
    test_manage_end(&t);
}

static bool is_traced(void)
{
    call("GET", "/api/vhosts/v?columns=tracing", NULL, 200);
    return json_is_true(json_object_get(t.json, "tracing"));
}

TEST(a_vhost_is_traced_until_it_is_told_otherwise_or_the_next_start)
{
    test_manage_init(&t);
    call("PUT", "/api/vhosts/v", "{\"tracing\":true,\"description\":\"d\"}", 201);
    expect_true(is_traced());
    call("PUT", "/api/vhosts/v", "{}", 204);
    expect_true(is_traced());
    call("PUT", "/api/vhosts/v", "{\"tracing\":false}", 204);
    expect_false(is_traced());
    call("PUT", "/api/vhosts/v", "{\"description\":\"d\"}", 204);
    call("POST", "/api/vhosts/v/tracing", NULL, 204);
    expect_true(is_traced());
    call("GET", "/api/vhosts/v", NULL, 200);
    expect_string(test_json_text(&t, "description"), "d");
    call("DELETE", "/api/vhosts/v/tracing", NULL, 204);
    expect_false(is_traced());
    call("POST", "/api/vhosts/v/tracing", NULL, 204);
    call("POST", "/api/vhosts/w/tracing", NULL, 404);
    test_manage_crash(&t);
    expect_false(is_traced());
    test_manage_end(&t);
}

TEST(limits_of_vhosts_are_set_told_and_taken_back)
{
    test_manage_init(&t);
    call("PUT", "/api/vhosts/v", NULL, 201);
    call("PUT", "/api/vhost-limits/v/max-connections", "{\"value\":7}", 204);
    call("PUT", "/api/vhost-limits/v/max-queues", "{\"value\":0}", 204);
    expect_body("/api/vhost-limits",
                "[{\"vhost\":\"v\",\"value\":{\"max-connections\":7,\"max-queues\":0}}]");
    call("DELETE", "/api/vhost-limits/v/max-queues", NULL, 204);
    call("DELETE", "/api/vhost-limits/v/max-queues", NULL, 204);
    expect_body("/api/vhost-limits/v", "[{\"vhost\":\"v\",\"value\":{\"max-connections\":7}}]");
    expect_body("/api/vhost-limits/%2F", "[]");
    call("GET", "/api/vhost-limits/none", NULL, 404);
    call("PUT", "/api/vhost-limits/none/max-queues", "{\"value\":7}", 404);
    expect_string(test_json_text(&t, "reason"), "vhost_not_found");
    call("DELETE", "/api/vhost-limits/none/max-queues", NULL, 404);
    expect_bad("PUT", "/api/vhost-limits/v/max-queues", "{\"value\":\"7\"}",
               "max-queues should be a number, actually was \"7\"");
    expect_bad("PUT", "/api/vhost-limits/v/max-queues", "{}", "[{key_missing,value}]");
    test_manage_end(&t);
}

/* ---- permissions ---- */

static void begin_with_user_and_vhost(void)
{
    test_manage_init(&t);
    call("PUT", "/api/users/a", "{\"password\":\"x\",\"tags\":\"management\"}", 201);
    call("PUT", "/api/vhosts/v", NULL, 201);
}

TEST(permissions_are_set_told_and_taken_back)
{
    begin_with_user_and_vhost();
    const char *body = "{\"configure\":\"^a\",\"write\":\"\",\"read\":\".*\"}";
    const char *told =
        "{\"user\":\"a\",\"vhost\":\"v\",\"configure\":\"^a\",\"write\":\"\",\"read\":\".*\"}";
    char list[300];
    snprintf(list, sizeof list, "[%s]", told);
    call("PUT", "/api/permissions/v/a", body, 201);
    call("PUT", "/api/permissions/v/a", body, 204);
    expect_body("/api/permissions/v/a", told);
    expect_body("/api/users/a/permissions", list);
    expect_body("/api/vhosts/v/permissions", list);
    expect_body("/api/permissions?columns=user,vhost",
                "[{\"user\":\"guest\",\"vhost\":\"/\"},{\"user\":\"a\",\"vhost\":\"v\"}]");
    call("GET", "/api/permissions/v/guest", NULL, 404);
    call("GET", "/api/permissions/none/a", NULL, 404);
    call("GET", "/api/users/none/permissions", NULL, 404);
    call("GET", "/api/vhosts/none/permissions", NULL, 404);
    expect_bad("PUT", "/api/permissions/v/a", "{\"configure\":\"(\",\"write\":\"\",\"read\":\"\"}",
               "configure pattern '(': missing closing parenthesis at position 1");
    expect_bad("PUT", "/api/permissions/v/a", "{\"configure\":\"a\"}",
               "[{key_missing,write},{key_missing,read}]");
    expect_bad("PUT", "/api/permissions/v/none", body, "vhost_or_user_not_found");
    expect_bad("PUT", "/api/permissions/none/a", body, "vhost_or_user_not_found");
    expect_body("/api/permissions/v/a", told);
    call("DELETE", "/api/permissions/v/a", NULL, 204);
    call("DELETE", "/api/permissions/v/a", NULL, 404);
    test_manage_end(&t);
}

TEST(topic_permissions_are_set_told_and_taken_back)
{
    begin_with_user_and_vhost();
    call("PUT", "/api/topic-permissions/v/a",
         "{\"exchange\":\"amq.topic\",\"write\":\"^a\",\"read\":\".*\"}", 201);
    call("PUT", "/api/topic-permissions/v/a",
         "{\"exchange\":\"amq.topic\",\"write\":\"^b\",\"read\":\".*\"}", 204);
    const char *told = "[{\"user\":\"a\",\"vhost\":\"v\",\"exchange\":\"amq.topic\",\"write\":"
                       "\"^b\",\"read\":\".*\"}]";
    expect_body("/api/topic-permissions/v/a", told);
    expect_body("/api/topic-permissions", told);
    expect_body("/api/users/a/topic-permissions", told);
    expect_body("/api/vhosts/v/topic-permissions", told);
    call("PUT", "/api/topic-permissions/v/a", "{\"exchange\":\"t2\",\"write\":\"\",\"read\":\"\"}",
         204);
    call("GET", "/api/topic-permissions/v/a", NULL, 200);
    expect_int(json_array_size(t.json), 2);
    call("DELETE", "/api/topic-permissions/v/a/t2", NULL, 204);
    expect_body("/api/topic-permissions/v/a", told);
    expect_bad("PUT", "/api/topic-permissions/v/a", "{\"exchange\":\"t2\",\"write\":\"\"}",
               "[{key_missing,read}]");
    call("GET", "/api/topic-permissions/v/guest", NULL, 404);
    call("DELETE", "/api/topic-permissions/v/a", NULL, 204);
    call("DELETE", "/api/topic-permissions/v/a", NULL, 404);
    test_manage_end(&t);
}

TEST(who_makes_a_vhost_may_do_everything_in_it)
{
    test_manage_init(&t);
    t.user = t.password = "guest";
    call("PUT", "/api/vhosts/v", NULL, 201);
    expect_body("/api/permissions/v/guest",
                "{\"user\":\"guest\",\"vhost\":\"v\",\"configure\":\".*\",\"write\":\".*\","
                "\"read\":\".*\"}");
    test_manage_end(&t);
}

TEST(who_is_no_administrator_sees_little_and_changes_nothing)
{
    static const char *const closed[] = {
        "users",       "users/a",         "users/without-permissions", "users/a/permissions",
        "permissions", "permissions/v/a", "vhosts/v/permissions",      "topic-permissions",
        "vhosts/v",    "vhosts/%2F",      "topic-permissions/v/a",
    };
    char target[64];
    begin_with_user_and_vhost();
    call("PUT", "/api/vhost-limits/v/max-queues", "{\"value\":9}", 204);
    call("PUT", "/api/vhost-limits/%2F/max-queues", "{\"value\":9}", 204);
    t.user = "a";
    t.password = "x";
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        snprintf(target, sizeof target, "/api/%s", closed[i]);
        call("GET", target, NULL, 401);
        expect_string(test_json_text(&t, "reason"), "Not administrator user");
    }
    call("PUT", "/api/vhosts/mine", NULL, 401);
    call("DELETE", "/api/vhosts/v", NULL, 401);
    call("PUT", "/api/users/a", "{\"tags\":\"administrator\"}", 401);
    call("PUT", "/api/permissions/v/a", "{\"configure\":\"\",\"write\":\"\",\"read\":\"\"}", 401);
    expect_body("/api/vhosts?columns=name", "[]");
    expect_body("/api/vhost-limits", "[]");
    t.user = NULL;
    call("PUT", "/api/permissions/v/a", "{\"configure\":\"\",\"write\":\"\",\"read\":\"\"}", 201);
    t.user = "a";
    expect_body("/api/vhosts?columns=name", "[{\"name\":\"v\"}]");
    expect_body("/api/vhost-limits", "[{\"vhost\":\"v\",\"value\":{\"max-queues\":9}}]");
    test_manage_end(&t);
}
