/* Definitions: what is exported and imported, what is left out, what is refused. */
#include "manage/definitions.h"

#include "manage/test_manage.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/access.h"
#include "broker/declare.h"

/* As RabbitMQ 4.0 exports them, with something of each kind. */
static const char everything[] =
    "{\"rabbit_version\":\"4.0.5\",\"rabbitmq_version\":\"4.0.5\",\"product_name\":\"RabbitMQ\","
    "\"rabbitmq_definition_format\":\"cluster\","
    "\"users\":[{\"name\":\"worker\",\"password_hash\":"
    "\"sFaKbqrk3VQQHZkUe/GpnYtj+jDfe0WXgiVsxzuSSopJx4MH\",\"hashing_algorithm\":"
    "\"rabbit_password_hashing_sha256\",\"tags\":[\"monitoring\",\"policymaker\"],\"limits\":"
    "{\"max-channels\":20}},{\"name\":\"nobody\",\"password_hash\":\"\",\"hashing_algorithm\":"
    "\"rabbit_password_hashing_sha256\",\"tags\":\"\",\"limits\":{}}],"
    "\"vhosts\":[{\"name\":\"shop\",\"description\":\"the shop\",\"metadata\":{\"description\":"
    "\"the shop\",\"tags\":[\"eu\"],\"default_queue_type\":\"quorum\"},\"tags\":[\"eu\"],"
    "\"default_queue_type\":\"quorum\"}],"
    "\"permissions\":[{\"user\":\"worker\",\"vhost\":\"shop\",\"configure\":\"^w-\",\"write\":"
    "\".*\",\"read\":\"\"}],"
    "\"topic_permissions\":[{\"user\":\"worker\",\"vhost\":\"shop\",\"exchange\":\"events\","
    "\"write\":\"^w\\\\.{username}\",\"read\":\".*\"}],"
    "\"parameters\":[{\"value\":{\"pattern\":\".*\",\"definition\":{\"max-length\":500},"
    "\"priority\":1,\"apply-to\":\"queues\"},\"vhost\":\"shop\",\"component\":\"operator_policy\","
    "\"name\":\"cap\"},{\"value\":{\"max-connections\":50,\"max-queues\":100},\"vhost\":\"shop\","
    "\"component\":\"vhost-limits\",\"name\":\"limits\"}],"
    "\"global_parameters\":[{\"name\":\"mine\",\"value\":{\"a\":[1,2,{\"b\":null}]}},"
    "{\"name\":\"internal_cluster_id\",\"value\":\"rabbitmq-cluster-id-x\"}],"
    "\"policies\":[{\"vhost\":\"shop\",\"name\":\"ttl\",\"pattern\":\"^m\",\"apply-to\":"
    "\"classic_queues\",\"definition\":{\"message-ttl\":30000},\"priority\":3}],"
    "\"queues\":[{\"name\":\"mails\",\"vhost\":\"shop\",\"durable\":true,\"auto_delete\":false,"
    "\"arguments\":{\"x-max-length\":1000,\"x-queue-type\":\"classic\"}},{\"name\":\"odd/\\u00e9\","
    "\"vhost\":\"shop\",\"durable\":true,\"auto_delete\":true,\"arguments\":{}},"
    "{\"name\":\"orders\",\"vhost\":\"shop\",\"durable\":true,\"auto_delete\":false,\"arguments\":"
    "{\"x-delivery-limit\":5,\"x-queue-type\":\"quorum\"}}],"
    "\"exchanges\":[{\"name\":\"events\",\"vhost\":\"shop\",\"type\":\"topic\",\"durable\":true,"
    "\"auto_delete\":false,\"internal\":false,\"arguments\":{\"alternate-exchange\":\"lost\"}},"
    "{\"name\":\"lost\",\"vhost\":\"shop\",\"type\":\"fanout\",\"durable\":true,\"auto_delete\":"
    "false,\"internal\":true,\"arguments\":[]}],"
    "\"bindings\":[{\"source\":\"events\",\"vhost\":\"shop\",\"destination\":\"lost\","
    "\"destination_type\":\"exchange\",\"routing_key\":\"#.all\",\"arguments\":{}},"
    "{\"source\":\"amq.headers\",\"vhost\":\"shop\",\"destination\":\"mails\","
    "\"destination_type\":\"queue\",\"routing_key\":\"\",\"arguments\":{\"b\":true,\"f\":1.5,"
    "\"n\":5,\"x-match\":\"any\"}},"
    "{\"source\":\"events\",\"vhost\":\"shop\",\"destination\":\"orders\",\"destination_type\":"
    "\"queue\",\"routing_key\":\"order.#\",\"arguments\":{}}]}";

static void import(struct test_manage *t, const char *target, const char *body, int status)
{
    expect_int(test_call(t, "POST", target, body), status);
}

static void expect_reason(struct test_manage *t, const char *body, const char *reason)
{
    import(t, "/api/definitions", body, 400);
    expect_not_null(strstr(test_json_text(t, "reason"), reason));
}

static char *export(struct test_manage *t, const char *target)
{
    expect_int(test_call(t, "GET", target, NULL), 200);
    return xstrdup(text_string(&t->body));
}

static struct vhost *shop(struct test_manage *t)
{
    return vhost_find(t->core.core, BYTES_LITERAL("shop"));
}

TEST(an_export_imported_by_another_broker_is_the_same_export)
{
    struct test_manage a, b;
    test_manage_init(&a);
    import(&a, "/api/definitions", everything, 204);
    char *first = export(&a, "/api/definitions");
    test_manage_init(&b);
    import(&b, "/api/definitions", first, 204);
    char *second = export(&b, "/api/definitions");
    expect_string(second, first);
    import(&b, "/api/definitions", second, 204); /* again changes nothing */
    char *third = export(&b, "/api/definitions");
    expect_string(third, first);
    free(first);
    free(second);
    free(third);
    test_manage_end(&a);
    test_manage_end(&b);
}

TEST(everything_that_is_imported_is_there_and_counts)
{
    struct test_manage t;
    test_manage_init(&t);
    import(&t, "/api/definitions", everything, 204);
    test_manage_crash(&t); /* it was durable before it was answered */
    struct vhost *vhost = shop(&t);
    expect_not_null(vhost);
    expect_bytes(vhost->description, BYTES_LITERAL("the shop"));
    expect_bytes(vhost->default_queue_type, BYTES_LITERAL("quorum"));
    expect_int(vhost->max_queues, 100);
    expect_int(vhost->max_connections, 50);
    struct user *user = user_find(t.core.core, BYTES_LITERAL("worker"));
    expect_true(password_matches(&user->password, BYTES_LITERAL("s3cret")));
    expect_true(user_may(user, USER_POLICYMAKER));
    expect_int(user->max_channels, 20);
    expect_false(password_matches(&user_find(t.core.core, BYTES_LITERAL("nobody"))->password,
                                  BYTES_LITERAL("")));
    expect_not_null(permission_find(user, vhost));
    expect_not_null(topic_permission_find(user, vhost, BYTES_LITERAL("events")));
    expect_not_null(policy_find(vhost, POLICY_OPERATOR, BYTES_LITERAL("cap")));
    struct queue *mails = queue_find(vhost, BYTES_LITERAL("mails"));
    expect_bytes(queue_policies(mails)->of[POLICY_USER]->name, BYTES_LITERAL("ttl"));
    expect_bytes(queue_policies(mails)->of[POLICY_OPERATOR]->name, BYTES_LITERAL("cap"));
    expect_not_null(queue_find(vhost, BYTES_LITERAL("odd/\xc3\xa9")));
    struct exchange *events = exchange_find(vhost, BYTES_LITERAL("events"));
    struct message m = {.routing_key = BYTES_LITERAL("order.new"), .body = BYTES_LITERAL("")};
    expect_int(exchange_route(events, &m).count, 1);
    expect_true(exchange_find(vhost, BYTES_LITERAL("lost"))->internal);
    expect_null(
        parameter_find(t.core.core, NULL, BYTES_NULL, BYTES_LITERAL("internal_cluster_id")));
    expect_not_null(parameter_find(t.core.core, NULL, BYTES_NULL, BYTES_LITERAL("mine")));
    test_manage_end(&t);
}

TEST(an_import_changes_what_can_be_changed_and_leaves_the_rest)
{
    struct test_manage t;
    test_manage_init(&t);
    import(&t, "/api/definitions", everything, 204);
    import(&t, "/api/definitions",
           "{\"queues\":[{\"name\":\"mails\",\"vhost\":\"shop\",\"durable\":false,\"arguments\":"
           "{\"x-max-length\":5}}],\"exchanges\":[{\"name\":\"lost\",\"vhost\":\"shop\",\"type\":"
           "\"direct\",\"durable\":true,\"auto_delete\":false,\"internal\":false,\"arguments\":{}}"
           "],\"vhosts\":[{\"name\":\"shop\",\"description\":\"new\"}],\"policies\":[{\"vhost\":"
           "\"shop\",\"name\":\"ttl\",\"pattern\":\"^x\",\"definition\":{\"expires\":9}}]}",
           204);
    struct queue *mails = queue_find(shop(&t), BYTES_LITERAL("mails"));
    expect_true(mails->durable);
    expect_null(queue_policies(mails)->of[POLICY_USER]);
    expect_int(exchange_find(shop(&t), BYTES_LITERAL("lost"))->kind, EXCHANGE_FANOUT);
    expect_bytes(shop(&t)->description, BYTES_LITERAL("new"));
    expect_bytes(shop(&t)->default_queue_type, BYTES_LITERAL("quorum"));
    expect_int(shop(&t)->tags.count, 1);
    test_manage_end(&t);
}

TEST(nothing_is_nothing_to_import)
{
    struct test_manage t;
    test_manage_init(&t);
    import(&t, "/api/definitions", "{}", 204);
    import(&t, "/api/definitions", NULL, 204);
    import(&t, "/api/definitions", "{\"queues\":[],\"something\":[1]}", 204);
    test_manage_end(&t);
}

TEST(what_cannot_be_imported_is_told_with_its_place)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_reason(&t, "[]", "failed_to_parse_json");
    expect_reason(&t, "{\"queues\":[{\"name\":\"x\",\"vhost\":\"nope\"}]}",
                  "queues[0]: Please create virtual host \"nope\" prior to importing definitions.");
    expect_reason(&t, "{\"queues\":[{\"name\":\"x\"}]}", "Virtual host does not exist");
    expect_reason(&t, "{\"queues\":[{\"vhost\":\"/\"}]}", "name is missing");
    expect_reason(&t, "{\"queues\":[{\"name\":5,\"vhost\":\"/\"}]}", "name must be a string");
    expect_reason(&t, "{\"queues\":[7]}", "queues[0]: not an object");
    expect_reason(&t,
                  "{\"queues\":[{\"name\":\"ok\",\"vhost\":\"/\"},{\"name\":\"xa\",\"vhost\":\"/\","
                  "\"arguments\":{\"x-message-ttl\":-1}}]}",
                  "queues[1]: invalid arg 'x-message-ttl' for queue 'xa' in vhost '/': "
                  "{value_negative,-1}");
    expect_not_null(test_queue(&t.core, "ok")); /* those before it stay */
    expect_reason(&t, "{\"queues\":[{\"name\":\"s\",\"vhost\":\"/\",\"durable\":\"yes\"}]}",
                  "durable must be true or false");
    expect_reason(&t,
                  "{\"bindings\":[{\"source\":\"none\",\"vhost\":\"/\",\"destination\":\"ok\","
                  "\"destination_type\":\"queue\",\"routing_key\":\"k\",\"arguments\":{}}]}",
                  "no exchange 'none' in vhost '/'");
    expect_reason(
        &t,
        "{\"bindings\":[{\"source\":\"amq.direct\",\"vhost\":\"/\",\"destination\":\"ok\","
        "\"destination_type\":\"topic\"}]}",
        "destination_type must be queue or exchange");
    expect_reason(&t, "{\"exchanges\":[{\"name\":\"e\",\"vhost\":\"/\",\"type\":\"zzz\"}]}",
                  "unknown exchange type 'zzz'");
    expect_reason(&t,
                  "{\"policies\":[{\"name\":\"p\",\"vhost\":\"/\",\"pattern\":\"a\","
                  "\"definition\":{\"zz\":1}}]}",
                  "are not recognised policy settings");
    expect_reason(&t,
                  "{\"parameters\":[{\"name\":\"p\",\"vhost\":\"/\",\"component\":\"zz\","
                  "\"value\":1}]}",
                  "component zz not found");
    expect_reason(&t,
                  "{\"permissions\":[{\"user\":\"x\",\"vhost\":\"/\",\"configure\":\"\","
                  "\"write\":\"\",\"read\":\"\"}]}",
                  "user 'x' is not there");
    expect_reason(&t, "{\"users\":[{\"name\":\"u\",\"password_hash\":\"!\"}]}", "users[0]: ");
    expect_reason(&t,
                  "{\"users\":[{\"name\":\"u\",\"password_hash\":\"\",\"hashing_algorithm\":"
                  "\"rot13\"}]}",
                  "unknown hashing_algorithm 'rot13'");
    expect_reason(&t, "{\"users\":[{\"name\":\"u\",\"tags\":[5]}]}", "tags must be strings");
    expect_reason(&t, "{\"global_parameters\":[{\"name\":\"g\"}]}", "value is missing");
    test_manage_end(&t);
}

TEST(reserved_and_exclusive_objects_stay_where_they_are)
{
    struct test_manage t;
    struct queue *queue;
    test_manage_init(&t);
    import(&t, "/api/definitions",
           "{\"queues\":[{\"name\":\"amq.gen-x\",\"vhost\":\"/\"}],\"exchanges\":[{\"name\":"
           "\"amq.mine\",\"vhost\":\"/\",\"type\":\"direct\"},{\"name\":\"\",\"vhost\":\"/\","
           "\"type\":\"direct\"}],\"bindings\":[{\"source\":\"\",\"vhost\":\"/\",\"destination\":"
           "\"q\",\"destination_type\":\"queue\",\"routing_key\":\"q\"},{\"source\":\"amq.fanout\","
           "\"vhost\":\"/\",\"destination\":\"amq.gen-x\",\"destination_type\":\"queue\"}]}",
           204);
    expect_null(test_queue(&t.core, "amq.gen-x"));
    expect_null(exchange_find(test_vhost(&t.core), BYTES_LITERAL("amq.mine")));
    struct session session = {0};
    list_init(&session.exclusive_queues);
    struct declarer by = {.session = &session};
    struct queue_declaration q = {.name = BYTES_LITERAL("mine"), .exclusive = true};
    expect_ok(declare_queue(test_vhost(&t.core), &q, &by, &queue));
    test_transient_queue(&t.core, "transient");
    expect_int(test_call(&t, "GET", "/api/definitions", NULL), 200);
    expect_int(json_array_size(test_json(&t, "queues")), 1);
    expect_string(test_json_text(&t, "queues.0.name"), "transient");
    expect_int(json_array_size(test_json(&t, "exchanges")), 0);
    expect_int(json_array_size(test_json(&t, "bindings")), 0);
    queue_delete_exclusive(t.core.core, &session);
    test_manage_end(&t);
}

TEST(the_definitions_of_one_vhost_do_not_say_which)
{
    struct test_manage t;
    test_manage_init(&t);
    import(&t, "/api/definitions", everything, 204);
    char *of_shop = export(&t, "/api/definitions/shop");
    expect_null(strstr(of_shop, "\"vhost\""));
    expect_null(strstr(of_shop, "\"users\""));
    expect_string(test_json_text(&t, "rabbitmq_definition_format"), "single_virtual_host");
    expect_string(test_json_text(&t, "original_vhost_name"), "shop");
    expect_int(test_json_int(&t, "limits.max-queues"), 100);
    expect_string(test_json_text(&t, "parameters.0.component"), "operator_policy");
    expect_string(test_json_text(&t, "policies.0.name"), "ttl");
    import(&t, "/api/definitions/%2F", of_shop, 204);
    expect_not_null(test_queue(&t.core, "orders"));
    char *here = export(&t, "/api/definitions/%2F");
    expect_not_null(strstr(here, "order.#"));
    expect_int(json_array_size(test_json(&t, "bindings")), 3);
    import(&t, "/api/definitions/nope", of_shop, 404);
    expect_int(test_call(&t, "GET", "/api/definitions/nope", NULL), 404);
    free(of_shop);
    free(here);
    test_manage_end(&t);
}

TEST(a_name_for_the_file_is_taken_from_the_query)
{
    struct test_manage t;
    test_manage_init(&t);
    expect_int(test_call(&t, "GET", "/api/definitions?download=a%20b.json", NULL), 200);
    expect_string(test_header(&t, "Content-Disposition"), "attachment; filename=a_b.json");
    test_manage_end(&t);
}

/* ---- many ---- */

static char *many(int queues, int bindings)
{
    struct text out = {0};
    text_append_string(&out, "{\"queues\":[");
    for (int i = 0; i < queues; i++)
        text_printf(&out, "%s{\"name\":\"q%d\",\"vhost\":\"/\",\"durable\":true}", i ? "," : "", i);
    text_append_string(&out, "],\"bindings\":[");
    for (int i = 0; i < bindings; i++)
        text_printf(&out,
                    "%s{\"source\":\"amq.topic\",\"vhost\":\"/\",\"destination\":\"q%d\","
                    "\"destination_type\":\"queue\",\"routing_key\":\"k.%d\",\"arguments\":{}}",
                    i ? "," : "", i % queues, i);
    text_append_string(&out, "]}");
    text_put_u8(&out, 0);
    return (char *)out.data;
}

TEST(an_import_goes_on_over_many_turns_and_so_does_an_export)
{
    struct test_manage t;
    char *body = many(1000, 2000);
    test_manage_init(&t);
    test_call_start(&t, "POST", "/api/definitions", body);
    expect_false(t.is_done);
    test_core_turn(&t.core);
    expect_not_null(test_queue(&t.core, "q0"));
    expect_null(test_queue(&t.core, "q999"));
    test_call_end(&t);
    expect_int(t.status, 204);
    test_call_start(&t, "GET", "/api/definitions", NULL);
    queue_delete(test_queue(&t.core, "q500"));
    expect_false(t.is_done);
    test_call_end(&t);
    expect_int(t.status, 200);
    expect_int(json_array_size(test_json(&t, "queues")), 999);
    expect_int(json_array_size(test_json(&t, "bindings")), 1998);
    free(body);
    test_manage_end(&t);
}

static void expect_bindings(struct test_manage *t, int from, int to)
{
    expect_int(t->status, 200);
    expect_int(json_array_size(test_json(t, "bindings")), to - from);
    for (int i = from; i < to; i++) {
        char path[40], key[16];
        snprintf(path, sizeof path, "bindings.%d.routing_key", i - from);
        snprintf(key, sizeof key, "k.%d", i);
        expect_string(test_json_text(t, path), key);
    }
}

TEST(one_queue_s_bindings_are_exported_over_many_turns_though_some_go)
{
    enum { BINDINGS = 2000 };
    struct test_manage t;
    char *body = many(1, BINDINGS), key[16];
    test_manage_init(&t);
    import(&t, "/api/definitions", body, 204);
    test_call_start(&t, "GET", "/api/definitions", NULL);
    for (int turns = 0; turns < 3; turns++)
        test_core_turn(&t.core);
    expect_false(t.is_done);
    test_call_end(&t);
    expect_bindings(&t, 0, BINDINGS);
    struct exchange *x = exchange_find(test_vhost(&t.core), BYTES_LITERAL("amq.topic"));
    struct queue *q = test_queue(&t.core, "q0");
    test_call_start(&t, "GET", "/api/definitions", NULL);
    for (int i = 0; i < 40 && !t.is_done;
         i++) { /* in each turn one of those that are written goes */
        snprintf(key, sizeof key, "k.%d", i);
        if (i < 12)
            exchange_unbind(x, q, bytes_from_string(key), BYTES_NULL);
        test_core_turn(&t.core);
    }
    test_call_end(&t);
    expect_bindings(&t, 12, BINDINGS);
    free(body);
    test_manage_end(&t);
}

/* ---- in a form ---- */

static void expect_file(const char *content_type, const char *body, const char *file)
{
    struct bytes found = multipart_file(bytes_from_string(content_type), bytes_from_string(body));
    expect_int(found.data != NULL, file != NULL);
    if (file)
        expect_bytes(found, bytes_from_string(file));
}

TEST(the_file_of_a_form_is_found)
{
    static const char *const form =
        "--XX\r\nContent-Disposition: form-data; name=\"auth\"\r\n\r\nabc\r\n"
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n"
        "Content-Type: application/json\r\n\r\n{\"a\":1}\r\n--XX--\r\n";
    expect_file("multipart/form-data; boundary=XX", form, "{\"a\":1}");
    expect_file("multipart/form-data; boundary=\"XX\"; charset=x", form, "{\"a\":1}");
    expect_file("multipart/form-data; boundary=YY", form, NULL);
    expect_file("multipart/form-data", form, NULL);
    expect_file("multipart/form-data; boundary=", form, NULL);
    expect_file("application/json; boundary=XX", form, NULL);
    expect_file("multipart/form-data; boundary=XX", "", NULL);
    expect_file("multipart/form-data; boundary=XX", "--XX\r\nname=\"file\"\r\n\r\nno end", NULL);
    expect_file("multipart/form-data; boundary=XX", "--XX--\r\n", NULL);
    expect_file("multipart/form-data; boundary=XX",
                "--XX\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nabc\r\n--XX--",
                NULL);
}

static void note_status(struct manage_call *call, void *ctx)
{
    *(int *)ctx = call->answer.status;
}

TEST(definitions_come_as_an_upload_too)
{
    static const char *const form =
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n\r\n"
        "{\"queues\":[{\"name\":\"q\",\"vhost\":\"/\"}]}\r\n--XX--\r\n";
    struct test_manage t;
    int status = 0;
    test_manage_init(&t);
    struct manage_request request = {.method = BYTES_LITERAL("POST"),
                                     .target = BYTES_LITERAL("/api/definitions"),
                                     .body = bytes_from_string(form),
                                     .content_type =
                                         BYTES_LITERAL("multipart/form-data; boundary=XX"),
                                     .is_trusted = true};
    struct manage_call *call = manage_call_new(&request);
    manage_call_start(t.manage, call, note_status, &status);
    test_core_settle(&t.core);
    expect_int(status, 204);
    expect_not_null(test_queue(&t.core, "q"));
    manage_call_free(call);
    test_manage_end(&t);
}

/* ---- from a file ---- */

TEST(a_file_s_content_is_imported_or_told_where_it_is_wrong)
{
    struct test_core t;
    struct definitions_import *in;
    bool done = false;
    test_core_init(&t);
    expect_ok(definitions_import_read(t.core, bytes_from_string(everything), &in));
    while (!done)
        expect_ok(definitions_import_some(in, NULL, &done));
    definitions_import_free(in);
    expect_not_null(vhost_find(t.core, BYTES_LITERAL("shop")));
    expect_err(definitions_import_read(t.core, BYTES_LITERAL("{\n\"a\":}"), &in), E_MALFORMED);
    expect_err_text("line 2");
    expect_ok(definitions_import_read(t.core, BYTES_LITERAL("\xef\xbb\xbf{}"), &in));
    expect_ok(definitions_import_some(in, NULL, &done));
    definitions_import_free(in);
    expect_err(definitions_import_read(t.core, BYTES_LITERAL(""), &in), E_MALFORMED);
    expect_ok(definitions_import_read(t.core, BYTES_LITERAL("{\"queues\":[{}]}"), &in));
    expect_err(definitions_import_some(in, NULL, &done), E_INVALID);
    definitions_import_free(in);
    test_core_end(&t);
}

TEST(many_users_and_permissions_are_exported_over_many_turns_in_order)
{
    struct test_manage t;
    char name[16];
    size_t i;
    json_t *row;
    test_manage_init(&t);
    for (int n = 0; n < 700; n++) {
        snprintf(name, sizeof name, "u%03d", (n * 37) % 700);
        test_permit(test_user(&t.core, name, "x", ""), test_vhost(&t.core), "", "", "");
    }
    test_call_start(&t, "GET", "/api/definitions", NULL);
    for (int turns = 0; turns < 3; turns++)
        test_core_turn(&t.core);
    expect_false(t.is_done);
    test_call_end(&t);
    json_t *users = test_json(&t, "users"), *permissions = test_json(&t, "permissions");
    expect_int(json_array_size(users), 701);
    expect_int(json_array_size(permissions), 701);
    expect_string(test_json_text(&t, "users.0.name"), "guest");
    json_array_foreach(users, i, row)
    {
        snprintf(name, sizeof name, "u%03zu", i - 1);
        if (i == 0)
            continue;
        expect_string(json_string_value(json_object_get(row, "name")), name);
        expect_string(json_string_value(json_object_get(json_array_get(permissions, i), "user")),
                      name);
    }
    test_manage_end(&t);
}
