/* Policies and parameters over the API. */
#include "manage/test_manage.h"
#include "tests/test.h"

#include <stdio.h>

#include "broker/access.h"
#include "broker/policy.h"

static void expect_reason(struct test_manage *t, const char *target, const char *body,
                          const char *reason)
{
    expect_int(test_call(t, "PUT", target, body), 400);
    expect_string(test_json_text(t, "error"), "bad_request");
    expect_string(test_json_text(t, "reason"), reason);
}

static void expect_body(struct test_manage *t, const char *target, const char *body)
{
    expect_int(test_call(t, "GET", target, NULL), 200);
    expect_string(text_string(&t->body), body);
}

TEST(a_policy_is_set_told_changed_and_deleted)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p1",
                         "{\"pattern\":\"a\",\"definition\":{\"message-ttl\":1}}"),
               201);
    expect_body(&t, "/api/policies/%2F/p1",
                "{\"vhost\":\"/\",\"name\":\"p1\",\"pattern\":\"a\",\"apply-to\":\"all\","
                "\"definition\":{\"message-ttl\":1},\"priority\":0}");
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p2",
                         "{\"pattern\":\"a\",\"definition\":{\"max-length\":10},\"priority\":2,"
                         "\"apply-to\":\"queues\"}"),
               201);
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p1",
                         "{\"pattern\":\"b\",\"definition\":{\"expires\":5},\"foo\":5}"),
               204);
    expect_body(&t, "/api/policies",
                "[{\"vhost\":\"/\",\"name\":\"p1\",\"pattern\":\"b\",\"apply-to\":\"all\","
                "\"definition\":{\"expires\":5},\"priority\":0},"
                "{\"vhost\":\"/\",\"name\":\"p2\",\"pattern\":\"a\",\"apply-to\":\"queues\","
                "\"definition\":{\"max-length\":10},\"priority\":2}]");
    expect_int(test_call(&t, "DELETE", "/api/policies/%2F/p1", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/policies/%2F/p1", NULL), 404);
    expect_int(test_call(&t, "GET", "/api/policies/%2F/p1", NULL), 404);
    expect_int(test_call(&t, "GET", "/api/policies/nope", NULL), 404);
    test_manage_end(&t);
}

TEST(a_bad_policy_is_refused_in_rabbitmq_s_words)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_reason(&t, "/api/policies/%2F/p", "{\"pattern\":\"a\"}", "[{key_missing,definition}]");
    expect_reason(&t, "/api/policies/%2F/p", "{\"definition\":{\"expires\":1}}",
                  "[{key_missing,pattern}]");
    expect_reason(&t, "/api/policies/%2F/p", "{}",
                  "[{key_missing,pattern},{key_missing,definition}]");
    expect_reason(&t, "/api/policies/%2F/p", "{\"pattern\":\"a\",\"definition\":{}}",
                  "Validation failed\n\nno policy provided\n");
    expect_reason(&t, "/api/policies/%2F/p",
                  "{\"pattern\":\"a\",\"definition\":{\"message-ttl\":1.5}}",
                  "Validation failed\n\n1.5 is not a valid message TTL\n");
    expect_reason(&t, "/api/policies/%2F/p",
                  "{\"pattern\":\"a\",\"definition\":{\"nonsense\":1,\"other\":\"b\"}}",
                  "Validation failed\n\n[{<<\"nonsense\">>,1},{<<\"other\">>,<<\"b\">>}] are not "
                  "recognised policy settings\n");
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p",
                         "{\"pattern\":5,\"definition\":{\"expires\":1}}"),
               400);
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p", "{\"pattern\":\"a\",\"definition\":5}"),
               400);
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p",
                         "{\"pattern\":\"a\",\"definition\":{\"expires\":1},\"priority\":\"x\"}"),
               400);
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p", "[]"), 400);
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p", NULL), 400);
    expect_int(test_call(&t, "PUT", "/api/policies/nope/p",
                         "{\"pattern\":\"a\",\"definition\":{\"expires\":1}}"),
               404);
    test_manage_end(&t);
}

TEST(a_policy_is_answered_when_it_counts_and_is_durable)
{
    enum { QUEUES = 3000 };
    struct test_manage t;
    char name[16];
    test_manage_init(&t);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "q%d", i);
        test_durable_queue(&t.core, name);
    }
    test_core_settle(&t.core);
    test_call_start(&t, "PUT", "/api/policies/%2F/p",
                    "{\"pattern\":\"^q\",\"definition\":{\"max-length\":5}}");
    expect_false(t.is_done);
    test_call_end(&t);
    expect_int(t.status, 201);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "q%d", i);
        expect_not_null(queue_policies(test_queue(&t.core, name))->of[POLICY_USER]);
    }
    test_manage_crash(&t);
    expect_not_null(policy_find(test_vhost(&t.core), POLICY_USER, bytes_from_string("p")));
    test_manage_end(&t);
}

TEST(queues_and_exchanges_tell_their_policies)
{
    struct test_manage t;
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q", NULL), 200);
    expect_true(json_is_null(test_json(&t, "policy")));
    test_call(&t, "PUT", "/api/policies/%2F/p",
              "{\"pattern\":\"\",\"definition\":{\"max-length-bytes\":5}}");
    test_call(&t, "PUT", "/api/operator-policies/%2F/o",
              "{\"pattern\":\"\",\"definition\":{\"expires\":7,\"max-length-bytes\":3}}");
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q", NULL), 200);
    expect_string(test_json_text(&t, "policy"), "p");
    expect_string(test_json_text(&t, "operator_policy"), "o");
    expect_int(test_json_int(&t, "effective_policy_definition.max-length-bytes"), 3);
    expect_int(test_json_int(&t, "effective_policy_definition.expires"), 7);
    expect_int(test_call(&t, "GET", "/api/exchanges/%2F/amq.direct", NULL), 200);
    expect_string(test_json_text(&t, "policy"), "p");
    test_manage_end(&t);
}

/* ---- parameters ---- */

TEST(limits_and_operator_policies_are_parameters)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(test_call(&t, "PUT", "/api/parameters/vhost-limits/%2F/limits",
                         "{\"value\":{\"max-queues\":100}}"),
               201);
    expect_int(test_call(&t, "PUT", "/api/parameters/operator_policy/%2F/lx",
                         "{\"value\":{\"pattern\":\"z\",\"definition\":{\"max-length\":7},"
                         "\"priority\":0}}"),
               201);
    expect_int(test_call(&t, "PUT", "/api/parameters/shovel/%2F/s", "{\"value\":[1,null]}"), 201);
    expect_int(test_call(&t, "PUT", "/api/parameters/shovel/%2F/s", "{\"value\":\"x\"}"), 204);
    expect_body(&t, "/api/parameters",
                "[{\"value\":{\"max-queues\":100},\"vhost\":\"/\",\"component\":\"vhost-limits\","
                "\"name\":\"limits\"},"
                "{\"value\":{\"pattern\":\"z\",\"apply-to\":\"all\",\"definition\":{\"max-length\":"
                "7},\"priority\":0},\"vhost\":\"/\",\"component\":\"operator_policy\",\"name\":"
                "\"lx\"},"
                "{\"value\":\"x\",\"vhost\":\"/\",\"component\":\"shovel\",\"name\":\"s\"}]");
    expect_body(&t, "/api/parameters/shovel/%2F/s",
                "{\"value\":\"x\",\"vhost\":\"/\",\"component\":\"shovel\",\"name\":\"s\"}");
    expect_body(&t, "/api/parameters/federation", "[]");
    expect_int(test_call(&t, "GET", "/api/parameters/shovel/%2F/none", NULL), 404);
    expect_int(test_call(&t, "GET", "/api/operator-policies/%2F/lx", NULL), 200);
    expect_int(test_vhost(&t.core)->max_queues, 100);
    expect_int(test_call(&t, "DELETE", "/api/parameters/vhost-limits/%2F/limits", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/parameters/operator_policy/%2F/lx", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/parameters/shovel/%2F/s", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/parameters/shovel/%2F/s", NULL), 404);
    expect_body(&t, "/api/parameters", "[]");
    test_manage_end(&t);
}

TEST(parameters_of_unknown_components_are_refused)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_reason(&t, "/api/parameters/foo/%2F/x", "{\"value\":1}",
                  "Validation failed\n\ncomponent foo not found\n");
    expect_reason(&t, "/api/parameters/policy/%2F/x", "{\"value\":1}",
                  "policies may not be set using this method");
    expect_reason(&t, "/api/parameters/shovel/%2F/x", "{\"val\":1}", "[{key_missing,value}]");
    expect_int(test_call(&t, "PUT", "/api/parameters/vhost-limits/%2F/limits", "{\"value\":5}"),
               400);
    expect_int(test_call(&t, "PUT", "/api/parameters/vhost-limits/%2F/limits",
                         "{\"value\":{\"max-queues\":\"x\"}}"),
               400);
    test_manage_end(&t);
}

TEST(global_parameters_are_kept)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(test_call(&t, "PUT", "/api/global-parameters/foo", "{\"value\":{\"a\":[1,2]}}"),
               201);
    expect_body(&t, "/api/global-parameters/foo", "{\"name\":\"foo\",\"value\":{\"a\":[1,2]}}");
    expect_int(test_call(&t, "GET", "/api/global-parameters", NULL), 200);
    expect_string(test_json_text(&t, "0.name"), "foo");
    expect_string(test_json_text(&t, "1.name"), "internal_cluster_id");
    expect_reason(&t, "/api/global-parameters/foo", "{\"val\":1}", "[{key_missing,value}]");
    expect_int(test_call(&t, "PUT", "/api/global-parameters/internal_cluster_id", "{\"value\":1}"),
               400);
    expect_int(test_call(&t, "DELETE", "/api/global-parameters/foo", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/global-parameters/foo", NULL), 404);
    test_manage_end(&t);
}

/* ---- who may ---- */

static void make_user(struct test_manage *t, const char *name, const char *tag)
{
    struct user *user;
    bool created;
    struct bytes tags[] = {bytes_from_string(tag)}, all = BYTES_LITERAL(".*");
    struct user_spec spec = {.tags = tags,
                             .tag_count = 1,
                             .password = password_hash_of(&t->core.random, BYTES_LITERAL("x"))};
    expect_ok(user_put(t->core.core, bytes_from_string(name), &spec, &user, &created));
    expect_ok(permission_put(user, test_vhost(&t->core), all, all, all, &created));
}

TEST(policymakers_make_policies_and_administrators_limits)
{
    static const char *const body = "{\"pattern\":\"a\",\"definition\":{\"max-length\":1}}";
    static const char *const value =
        "{\"value\":{\"pattern\":\"a\",\"definition\":{\"max-length\":1},\"priority\":0}}";
    struct test_manage t;
    test_manage_init(&t);
    make_user(&t, "manager", "management");
    make_user(&t, "maker", "policymaker");
    t.user = "manager";
    t.password = "x";
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p", body), 401);
    expect_int(test_call(&t, "GET", "/api/policies/%2F", NULL), 200);
    expect_int(test_call(&t, "GET", "/api/parameters", NULL), 401);
    t.user = "maker";
    expect_int(test_call(&t, "PUT", "/api/policies/%2F/p", body), 201);
    expect_int(test_call(&t, "PUT", "/api/operator-policies/%2F/p", body), 401);
    expect_int(test_call(&t, "PUT", "/api/parameters/operator_policy/%2F/p", value), 401);
    expect_int(test_call(&t, "DELETE", "/api/parameters/operator_policy/%2F/p", NULL), 401);
    expect_int(test_call(&t, "PUT", "/api/parameters/vhost-limits/%2F/limits",
                         "{\"value\":{\"max-queues\":-1}}"),
               401);
    expect_int(test_call(&t, "GET", "/api/definitions", NULL), 401);
    expect_int(test_call(&t, "POST", "/api/definitions", "{}"), 401);
    t.user = NULL;
    expect_int(test_call(&t, "PUT", "/api/operator-policies/%2F/p", body), 201);
    test_manage_end(&t);
}
