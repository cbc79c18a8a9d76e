#include "manage/test_manage.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "tests/test.h"

static void start_manage(struct test_manage *t)
{
    static const struct manage_listener listeners[] = {{"amqp", "127.0.0.1", 5672},
                                                       {"http", "127.0.0.1", 15672}};
    static const size_t listener_count = 2;
    struct manage_config config = {.core = t->core.core,
                                   .product = "Pabal",
                                   .version = "0.1.0",
                                   .rabbitmq_version = "4.2.0",
                                   .node = "rabbit@test",
                                   .data_dir = "/var/lib/pabal",
                                   .started_wall_ms = t->core.wall_ms,
                                   .max_connections = 1000,
                                   .listeners = listeners,
                                   .listener_count = &listener_count};
    t->manage = manage_new(&config);
}

void test_manage_init(struct test_manage *t)
{
    *t = (struct test_manage){0};
    test_core_init(&t->core);
    start_manage(t);
}

static void forget_call(struct test_manage *t)
{
    manage_call_free(t->call);
    t->call = NULL;
    json_decref(t->json);
    t->json = NULL;
    text_reset(&t->body);
}

void test_manage_crash(struct test_manage *t)
{
    forget_call(t);
    manage_free(t->manage);
    test_core_crash(&t->core);
    start_manage(t);
}

void test_manage_end(struct test_manage *t)
{
    forget_call(t);
    manage_free(t->manage);
    test_core_end(&t->core);
}

static void done(struct manage_call *call, void *ctx)
{
    struct test_manage *t = ctx;

    expect_false(t->is_done);
    expect_true(call == t->call);
    t->is_done = true;
    t->status = call->answer.status;
    manage_answer_body(call, &t->body);
    if (call->answer.json || call->answer.text_is_json) {
        t->json = json_loadb((const char *)t->body.data, t->body.size, JSON_DECODE_ANY, NULL);
        expect_not_null(t->json);
    }
}

void test_call_start(struct test_manage *t, const char *method, const char *target,
                     const char *body)
{
    struct manage_request request = {.method = bytes_from_string(method),
                                     .target = bytes_from_string(target),
                                     .body = bytes_from_string(body),
                                     .user = bytes_from_string(t->user),
                                     .password = bytes_from_string(t->password),
                                     .has_login = t->user != NULL,
                                     .peer_is_loopback = true,
                                     .is_trusted = t->user == NULL};

    forget_call(t);
    t->is_done = false;
    t->call = manage_call_new(&request);
    manage_call_start(t->manage, t->call, done, t);
}

void test_call_end(struct test_manage *t)
{
    for (int turns = 0; turns < 1000 && !t->is_done; turns++)
        test_core_settle(&t->core);
    expect_true(t->is_done);
}

int test_call(struct test_manage *t, const char *method, const char *target, const char *body)
{
    test_call_start(t, method, target, body);
    test_call_end(t);
    return t->status;
}

json_t *test_json(const struct test_manage *t, const char *path)
{
    json_t *value = t->json;

    while (*path) {
        const char *end = strchrnul(path, '.');
        struct bytes name = bytes_of(path, (size_t)(end - path));
        int64_t index;
        if (json_is_array(value) && number_parse_i64(name, &index))
            value = json_array_get(value, (size_t)index);
        else
            value = json_object_getn(value, path, name.size);
        if (!value)
            fail_msg("no %.*s in %s", BYTES_FORMAT(name), text_string(&t->body));
        path = *end ? end + 1 : end;
    }
    return value;
}

const char *test_json_text(const struct test_manage *t, const char *path)
{
    const json_t *value = test_json(t, path);

    if (!json_is_string(value))
        fail_msg("%s is no string in %s", path, text_string(&t->body));
    return json_string_value(value);
}

int64_t test_json_int(const struct test_manage *t, const char *path)
{
    const json_t *value = test_json(t, path);

    if (!json_is_integer(value))
        fail_msg("%s is no integer in %s", path, text_string(&t->body));
    return json_integer_value(value);
}

const char *test_header(const struct test_manage *t, const char *name)
{
    for (size_t i = 0; i < t->call->answer.header_count; i++)
        if (strcmp(t->call->answer.headers[i].name, name) == 0)
            return (const char *)t->call->answer.headers[i].value.data;
    return NULL;
}
