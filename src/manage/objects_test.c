/* Queues, exchanges, bindings, connections, channels, consumers, messages. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/counters.h"
#include "broker/session.h"
#include "io/link.h"
#include "manage/test_manage.h"
#include "tests/test.h"
#include "wire/amqp_table.h"

static struct test_manage t;

/* A request's status, and its body where it has one: "404 {...}". */
static const char *asked(const char *method, const char *target, const char *body)
{
    static struct text out;

    out.size = 0;
    test_call(&t, method, target, body);
    text_printf(&out, "%d %s", t.status, text_string(&t.body));
    return text_string(&out);
}

#define expect_answer(method, target, body, wanted)                                                \
    expect_string(asked(method, target, body), wanted)
#define expect_reason(method, target, body, wanted_status, wanted_reason)                          \
    do {                                                                                           \
        expect_int(test_call(&t, method, target, body), wanted_status);                            \
        expect_string(test_json_text(&t, "reason"), wanted_reason);                                \
    } while (0)

#define MISSING "404 {\"error\":\"Object Not Found\",\"reason\":\"Not Found\"}"
#define REFUSED "401 {\"error\":\"not_authorised\",\"reason\":\"Access refused.\"}"

/* ---- queues ---- */

TEST(names_in_paths_count_without_cr_and_lf)
{
    test_manage_init(&t);
    expect_answer("PUT", "/api/queues/%2F/the%0D%0Aqueue", "{\"durable\":true}", "201 ");
    expect_int(test_call(&t, "GET", "/api/queues/%2F/thequeue", NULL), 200);
    expect_int(test_call(&t, "GET", "/api/queues/%2F/the%0D%0Aqueue", NULL), 404);
    test_manage_end(&t);
}

TEST(a_queue_is_declared_once_and_told_apart_from_another)
{
    test_manage_init(&t);
    const char *q = "/api/queues/%2F/q", *spec = "{\"durable\":true,\"arguments\":"
                                                 "{\"x-max-length\":10}}";
    expect_answer("PUT", q, spec, "201 ");
    expect_answer("PUT", q, spec, "204 ");
    expect_reason("PUT", q, "{\"durable\":false}", 400,
                  "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but "
                  "current is 'true'");
    expect_answer("PUT", "/api/queues/%2F/amq.q", "{}", REFUSED);
    expect_answer("PUT", "/api/queues/%2F/e", "{\"durable\":\"maybe\"}",
                  "400 {\"error\":\"bad_request\",\"reason\":\"durable must be true or false\"}");
    expect_int(test_call(&t, "PUT", "/api/queues/%2F/e", "{\"arguments\":[1]}"), 400);
    expect_answer("PUT", "/api/queues/%2F/e", "{\"arguments\":[],\"auto_delete\":\"true\"}",
                  "201 ");
    expect_true(test_queue(&t.core, "e")->auto_delete);
    test_core_reopen(&t.core);
    test_manage_end(&t);
}

TEST(a_queue_is_shown_with_what_it_holds)
{
    test_manage_init(&t);
    test_call(&t, "PUT", "/api/queues/%2F/q", "{\"durable\":true,\"arguments\":{\"x-a\":\"b\"}}");
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q", NULL), 200);
    expect_null(json_object_get(t.json, "message_stats"));
    for (int i = 0; i < 3; i++)
        expect_ok(test_publish(&t.core, "q", "body", NULL));
    /* Not committed yet: the answer waits for it. */
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q", NULL), 200);
    expect_string(test_json_text(&t, "name"), "q");
    expect_string(test_json_text(&t, "vhost"), "/");
    expect_string(test_json_text(&t, "type"), "classic");
    expect_string(test_json_text(&t, "node"), "rabbit@test");
    expect_string(test_json_text(&t, "state"), "running");
    expect_string(test_json_text(&t, "arguments.x-a"), "b");
    expect_int(test_json_int(&t, "messages"), 3);
    expect_int(test_json_int(&t, "messages_ready"), 3);
    expect_int(test_json_int(&t, "message_stats.publish"), 3);
    expect_int(test_json_int(&t, "message_stats.deliver_get"), 0);
    expect_int(test_json_int(&t, "message_bytes"), 12);
    expect_int(json_array_size(test_json(&t, "consumer_details")), 0);
    t.core.now_ns += 6000 * 1000000LL;
    t.core.wall_ms += 6000;
    test_core_turn(&t.core);
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q?columns=name,idle_since", NULL), 200);
    expect_int(json_object_size(t.json), 2);
    expect_int(strlen(test_json_text(&t, "idle_since")), strlen("2024-11-21T09:46:32.123+00:00"));
    expect_answer("GET", "/api/queues/%2F/none", NULL, MISSING);
    expect_answer("GET", "/api/queues/none/q", NULL, MISSING);
    test_manage_end(&t);
}

TEST(a_rate_is_there_after_two_questions)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "x", NULL));
    test_call(&t, "GET", "/api/queues/%2F/q", NULL);
    for (int i = 0; i < 20; i++)
        expect_ok(test_publish(&t.core, "q", "x", NULL));
    test_core_settle(&t.core);
    t.core.wall_ms += 10000;
    test_core_turn(&t.core);
    test_call(&t, "GET", "/api/queues/%2F/q", NULL);
    double rate = json_number_value(test_json(&t, "message_stats.publish_details.rate"));
    expect_true(rate > 1.9 && rate < 2.1);
    rate = json_number_value(test_json(&t, "messages_details.rate"));
    expect_true(rate > 1.9 && rate < 2.1);
    test_manage_end(&t);
}

TEST(who_asks_for_samples_gets_the_one_of_now)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "x", NULL));
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q?lengths_age=60&lengths_incr=5", NULL), 200);
    expect_int(test_json_int(&t, "messages_details.samples.0.sample"), 1);
    expect_int(test_json_int(&t, "messages_details.samples.0.timestamp"), t.core.wall_ms);
    expect_null(json_object_get(test_json(&t, "message_stats.publish_details"), "samples"));
    test_call(&t, "GET", "/api/queues/%2F/q?msg_rates_age=60&msg_rates_incr=5", NULL);
    expect_int(test_json_int(&t, "message_stats.publish_details.samples.0.sample"), 1);
    test_manage_end(&t);
}

TEST(a_quorum_queue_has_its_node_for_a_leader)
{
    test_manage_init(&t);
    expect_answer("PUT", "/api/queues/%2F/q",
                  "{\"durable\":true,\"arguments\":{\"x-queue-type\":\"quorum\"}}", "201 ");
    test_call(&t, "GET", "/api/queues/%2F/q", NULL);
    expect_string(test_json_text(&t, "type"), "quorum");
    expect_string(test_json_text(&t, "leader"), "rabbit@test");
    expect_string(test_json_text(&t, "members.0"), "rabbit@test");
    test_manage_end(&t);
}

TEST(queues_are_listed_by_vhost_page_and_name)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "a1");
    test_durable_queue(&t.core, "a2");
    test_transient_queue(&t.core, "b");
    expect_answer("GET", "/api/queues?columns=name", NULL,
                  "200 [{\"name\":\"a1\"},{\"name\":\"a2\"},{\"name\":\"b\"}]");
    expect_answer("GET", "/api/queues/%2F?columns=name,durable&sort=name&sort_reverse=true", NULL,
                  "200 [{\"name\":\"b\",\"durable\":false},{\"name\":\"a2\",\"durable\":true},"
                  "{\"name\":\"a1\",\"durable\":true}]");
    expect_int(test_call(&t, "GET",
                         "/api/queues/%2F?page=1&use_regex=true&pagination=false&name=%5Ea&"
                         "page_size=100",
                         NULL),
               200);
    expect_int(test_json_int(&t, "page_count"), 1);
    expect_int(test_json_int(&t, "items.1.messages"), 0);
    expect_int(json_array_size(test_json(&t, "items")), 2);
    expect_int(test_call(&t, "GET", "/api/queues?page=1&use_regex=true&name=%28", NULL), 400);
    expect_int(test_call(&t, "GET", "/api/queues/detailed", NULL), 200);
    expect_int(json_array_size(test_json(&t, "0.consumer_details")), 0);
    expect_answer("GET", "/api/queues/none", NULL, MISSING);
    test_manage_end(&t);
}

TEST(a_list_without_statistics_is_short)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "x", NULL));
    test_core_settle(&t.core);
    const char *path = "/api/queues?disable_stats=true&enable_queue_totals=true";
    expect_int(test_call(&t, "GET", path, NULL), 200);
    expect_int(test_json_int(&t, "0.messages"), 1);
    expect_string(test_json_text(&t, "0.type"), "classic");
    expect_null(json_object_get(json_array_get(t.json, 0), "message_stats"));
    test_call(&t, "GET", "/api/queues?disable_stats=true", NULL);
    expect_null(json_object_get(json_array_get(t.json, 0), "messages"));
    test_manage_end(&t);
}

TEST(a_queue_is_deleted_if_it_is_unused_and_empty)
{
    struct test_consumer c = {0};
    test_manage_init(&t);
    struct queue *q = test_durable_queue(&t.core, "q");
    test_consume(q, &c, 0, false);
    expect_ok(test_publish(&t.core, "q", "x", NULL));
    expect_reason("DELETE", "/api/queues/%2F/q?if-unused=true", NULL, 400,
                  "queue 'q' in vhost '/' in use");
    expect_reason("DELETE", "/api/queues/%2F/q?if-empty=true", NULL, 400,
                  "queue 'q' in vhost '/' not empty");
    expect_answer("DELETE", "/api/queues/%2F/q", NULL, "204 ");
    expect_true(c.was_cancelled);
    expect_answer("DELETE", "/api/queues/%2F/q", NULL, MISSING);
    test_consumer_reset(&c);
    test_manage_end(&t);
}

TEST(a_purge_leaves_nothing_that_was_published_before)
{
    test_manage_init(&t);
    struct queue *q = test_durable_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "x", NULL));
    expect_answer("DELETE", "/api/queues/%2F/q/contents", NULL, "204 ");
    expect_int(queue_ready_count(q), 0);
    expect_answer("DELETE", "/api/queues/%2F/none/contents", NULL, MISSING);
    expect_answer("POST", "/api/queues/%2F/q/actions", "{\"action\":\"other\"}",
                  "400 {\"error\":\"bad_request\",\"reason\":[\"unknown\",\"other\"]}");
    expect_reason("POST", "/api/queues/%2F/q/actions", "{}", 400, "[{key_missing,action}]");
    test_manage_end(&t);
}

TEST(a_queue_is_synced_when_what_was_published_is_durable)
{
    test_manage_init(&t);
    expect_answer("PUT", "/api/queues/%2F/q", "{\"durable\":true}", "201 ");
    expect_ok(test_publish(&t.core, "q", "body", NULL));
    expect_answer("POST", "/api/queues/%2F/q/actions", "{\"action\":\"sync\"}", "204 ");
    test_manage_crash(&t);
    expect_int(test_call(&t, "GET", "/api/queues/%2F/q", NULL), 200);
    expect_int(test_json_int(&t, "messages"), 1);
    expect_answer("POST", "/api/queues/%2F/none/actions", "{\"action\":\"sync\"}", MISSING);
    test_manage_end(&t);
}

/* In whatever order the disk does its work. */
TEST(a_queue_is_synced_when_what_was_rejected_is_among_the_dead_letters)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "dead");
    expect_answer("PUT", "/api/queues/%2F/q",
                  "{\"durable\":true,\"arguments\":{\"x-dead-letter-exchange\":\"\","
                  "\"x-dead-letter-routing-key\":\"dead\"}}",
                  "201 ");
    for (int round = 1; round <= 100; round++) {
        struct delivery d;
        expect_ok(test_publish(&t.core, "q", "body", NULL));
        test_core_settle(&t.core);
        test_manage_crash(&t); /* so that what is rejected has to be read */
        while (queue_get(test_queue(&t.core, "q"), false, NULL, &d) == E_COLD)
            test_core_settle(&t.core);
        queue_reject(d.queue, d.offset, d.number);
        test_call_start(&t, "POST", "/api/queues/%2F/q/actions", "{\"action\":\"sync\"}");
        for (int turns = 0; turns < 1000 && !t.is_done; turns++) {
            test_core_turn(&t.core);
            sim_jobs_step(t.core.sim, &t.core.random);
        }
        expect_int(t.status, 204);
        test_manage_crash(&t);
        expect_int(queue_ready_count(test_queue(&t.core, "q")), 0);
        expect_int(queue_ready_count(test_queue(&t.core, "dead")), round);
    }
    test_manage_end(&t);
}

/* ---- exchanges ---- */

TEST(an_exchange_is_declared_shown_and_deleted)
{
    test_manage_init(&t);
    const char *x = "/api/exchanges/%2F/x";
    expect_answer("PUT", x, "{\"type\":\"topic\",\"durable\":true}", "201 ");
    expect_answer("PUT", x, "{\"type\":\"topic\",\"durable\":true}", "204 ");
    expect_reason("PUT", x, "{\"type\":\"direct\",\"durable\":true}", 400,
                  "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'direct' but "
                  "current is 'topic'");
    expect_reason("PUT", "/api/exchanges/%2F/y", "{\"type\":\"nope\"}", 400,
                  "unknown exchange type 'nope'");
    expect_answer("PUT", "/api/exchanges/%2F/amq.x", "{}", REFUSED);
    expect_answer("PUT", "/api/exchanges/%2F/amq.default", "{}", REFUSED);
    expect_int(test_call(&t, "GET", x, NULL), 200);
    expect_string(test_json_text(&t, "type"), "topic");
    expect_true(json_is_true(test_json(&t, "durable")));
    expect_int(test_call(&t, "GET", "/api/exchanges/%2F/amq.default", NULL), 200);
    expect_string(test_json_text(&t, "name"), "");
    test_call(&t, "GET", "/api/exchanges/%2F?columns=name", NULL);
    expect_int(json_array_size(t.json), 8);
    test_call(&t, "GET", "/api/exchanges?page=1&page_size=2&name=x", NULL);
    expect_int(test_json_int(&t, "total_count"), 8);
    expect_answer("DELETE", "/api/exchanges/%2F/amq.topic", NULL, REFUSED);
    expect_answer("DELETE", "/api/exchanges/%2F/amq.default", NULL, REFUSED);
    test_call(&t, "POST", "/api/bindings/%2F/e/x/e/amq.fanout", "{}");
    expect_reason("DELETE", "/api/exchanges/%2F/x?if-unused=true", NULL, 400,
                  "exchange 'x' in vhost '/' in use");
    expect_answer("DELETE", x, NULL, "204 ");
    expect_answer("DELETE", x, NULL, MISSING);
    expect_answer("GET", x, NULL, MISSING);
    test_manage_end(&t);
}

TEST(an_exchange_that_delays_tells_how_many_messages_wait)
{
    test_manage_init(&t);
    const char *x = "/api/exchanges/%2F/x";
    expect_answer("PUT", x,
                  "{\"type\":\"x-delayed-message\",\"arguments\":{\"x-delayed-type\":\"direct\"}}",
                  "201 ");
    expect_int(test_call(&t, "GET", x, NULL), 200);
    expect_int(test_json_int(&t, "messages_delayed"), 0);
    expect_int(test_call(&t, "POST", "/api/exchanges/%2F/x/publish",
                         "{\"routing_key\":\"k\",\"payload\":\"m\",\"payload_encoding\":\"string\","
                         "\"properties\":{\"headers\":{\"x-delay\":60000}}}"),
               200);
    expect_true(json_is_true(test_json(&t, "routed")));
    expect_int(test_call(&t, "GET", x, NULL), 200);
    expect_int(test_json_int(&t, "messages_delayed"), 1);
    test_manage_end(&t);
}

/* ---- bindings ---- */

static const char *post(const char *path, const char *body)
{
    expect_int(test_call(&t, "POST", path, body), 201);
    return test_header(&t, "Location");
}

TEST(a_binding_is_made_and_found_by_its_properties_key)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    const char *path = "/api/bindings/%2F/e/amq.topic/q/q";
    expect_string(post(path, "{}"), "q/~");
    expect_string(post(path, "{\"routing_key\":\"a.b\"}"), "q/a.b");
    expect_string(post(path, "{\"routing_key\":\"k k/\xc3\xa9~*\"}"),
                  "q/k%2Bk%252F%25C3%25A9%257E%252A");
    char *hashed = xstrdup(post(path, "{\"routing_key\":\"a.b\",\"arguments\":{\"x\":1}}"));
    expect_int(strlen(hashed), strlen("q/a.b~00000000"));
    expect_string(post("/api/bindings/%2F/e/amq.topic/e/amq.fanout", "{\"routing_key\":\"r\"}"),
                  "amq.fanout/r");
    test_call(&t, "GET", path, NULL);
    expect_int(json_array_size(t.json), 4);
    expect_int(test_call(&t, "GET",
                         "/api/bindings/%2F/e/amq.topic/q/q/k+k%252F%25C3%25A9%257E%252A", NULL),
               200);
    expect_string(test_json_text(&t, "routing_key"), "k k/\xc3\xa9~*");
    char *one = xasprintf("/api/bindings/%%2F/e/amq.topic/q/%s", hashed);
    expect_int(test_call(&t, "GET", one, NULL), 200);
    expect_int(test_json_int(&t, "arguments.x"), 1);
    expect_answer("DELETE", one, NULL, "204 ");
    expect_answer("DELETE", one, NULL, MISSING);
    expect_answer("DELETE", "/api/bindings/%2F/e/amq.topic/e/amq.fanout/r", NULL, "204 ");
    test_call(&t, "GET", "/api/bindings/%2F/e/amq.topic/e/amq.fanout", NULL);
    expect_int(json_array_size(t.json), 0);
    test_call(&t, "GET", path, NULL);
    expect_int(json_array_size(t.json), 3);
    free(hashed);
    free(one);
    test_manage_end(&t);
}

TEST(bindings_are_listed_from_every_side)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    post("/api/bindings/%2F/e/amq.topic/q/q", "{\"routing_key\":\"a.*\",\"arguments\":{\"h\":1}}");
    post("/api/bindings/%2F/e/amq.topic/e/amq.fanout", "{}");
    const char *by_default =
        "{\"source\":\"\",\"vhost\":\"/\",\"destination\":\"q\",\"destination_type\":\"queue\","
        "\"routing_key\":\"q\",\"arguments\":{},\"properties_key\":\"q\"}";
    char *wanted = xasprintf("200 [%s]", by_default);
    expect_answer("GET", "/api/bindings/%2F/e/amq.default/q/q", NULL, wanted);
    expect_answer("GET", "/api/exchanges/%2F/amq.default/bindings/source", NULL, wanted);
    free(wanted);
    const char *const lists[] = {"/api/bindings", "/api/bindings/%2F", "/api/queues/%2F/q/bindings",
                                 "/api/exchanges/%2F/amq.topic/bindings/source",
                                 "/api/exchanges/%2F/amq.fanout/bindings/destination"};
    const size_t counts[] = {3, 3, 2, 2, 1};
    for (size_t i = 0; i < 5; i++) {
        expect_int(test_call(&t, "GET", lists[i], NULL), 200);
        expect_int(json_array_size(t.json), counts[i]);
    }
    test_call(&t, "GET", "/api/queues/%2F/q/bindings", NULL);
    expect_string(test_json_text(&t, "0.source"), "");
    expect_string(test_json_text(&t, "1.source"), "amq.topic");
    expect_int(test_json_int(&t, "1.arguments.h"), 1);
    expect_answer("GET", "/api/queues/%2F/none/bindings", NULL, MISSING);
    expect_answer("GET", "/api/exchanges/%2F/none/bindings/source", NULL, "200 []");
    expect_answer("GET", "/api/bindings/%2F/e/amq.topic/q/none", NULL, "200 []");
    expect_answer("GET", "/api/bindings/%2F/e/amq.topic/x/q", NULL, MISSING);
    test_manage_end(&t);
}

TEST(a_binding_that_cannot_be_is_refused_in_the_words_of_amqp)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    expect_answer("POST", "/api/bindings/%2F/e/amq.topic/q/none", "{}",
                  "404 {\"error\":\"not_found\",\"reason\":\"no queue 'none' in vhost '/'\"}");
    expect_answer("POST", "/api/bindings/%2F/e/none/q/q", "{}",
                  "404 {\"error\":\"not_found\",\"reason\":\"no exchange 'none' in vhost '/'\"}");
    expect_answer("POST", "/api/bindings/%2F/e/amq.default/q/q", "{}", REFUSED);
    expect_answer("DELETE", "/api/bindings/%2F/e/amq.default/q/q/q", NULL, REFUSED);
    expect_int(test_call(&t, "POST", "/api/bindings/%2F/e/amq.topic/q/q", "{\"routing_key\":5}"),
               400);
    expect_int(test_call(&t, "POST", "/api/bindings/%2F/e/amq.topic/z/q", "{}"), 404);
    test_manage_end(&t);
}

/* ---- messages ---- */

#define PUBLISH "/api/exchanges/%2F/amq.default/publish"

TEST(a_message_is_published_and_got_with_all_its_properties)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    const char *properties =
        "{\"content_type\":\"x/y\",\"content_encoding\":\"ce\",\"headers\":{\"h\":1,\"t\":{\"a\":"
        "[1]}},\"delivery_mode\":2,\"priority\":4,\"correlation_id\":\"c\",\"reply_to\":\"r\","
        "\"expiration\":\"600000\",\"message_id\":\"m\",\"timestamp\":1700000000,\"type\":\"t\","
        "\"user_id\":\"guest\",\"app_id\":\"a\",\"cluster_id\":\"cl\"}";
    char *body = xasprintf("{\"properties\":%s,\"routing_key\":\"q\",\"payload\":\"aGk=\","
                           "\"payload_encoding\":\"base64\"}",
                           properties);
    expect_answer("POST", PUBLISH, body, "200 {\"routed\":true}");
    char *wanted =
        xasprintf("200 [{\"payload_bytes\":2,\"redelivered\":false,\"exchange\":\"\","
                  "\"routing_key\":\"q\",\"message_count\":0,\"properties\":%s,\"payload\":\"hi\","
                  "\"payload_encoding\":\"string\"}]",
                  properties);
    expect_answer("POST", "/api/queues/%2F/q/get",
                  "{\"count\":5,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\"}", wanted);
    expect_int(queue_ready_count(test_queue(&t.core, "q")), 1);
    free(wanted);
    free(body);
    test_manage_end(&t);
}

static const char *payload_of(const char *request)
{
    static char out[200];
    expect_int(test_call(&t, "POST", "/api/queues/%2F/q/get", request), 200);
    if (json_array_size(t.json) == 0)
        return "";
    snprintf(out, sizeof out, "%zu %s %s%s", json_array_size(t.json),
             test_json_text(&t, "0.payload"), test_json_text(&t, "0.payload_encoding"),
             json_is_true(test_json(&t, "0.redelivered")) ? " again" : "");
    return out;
}

TEST(each_way_to_get_leaves_the_queue_as_it_says)
{
    test_manage_init(&t);
    struct queue *q = test_durable_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "one", NULL));
    expect_ok(test_publish(&t.core, "q", "two", NULL));
    expect_ok(test_publish(&t.core, "q", "\xff\x01", NULL));
    expect_string(payload_of("{\"count\":1,\"ackmode\":\"reject_requeue_true\",\"encoding\":"
                             "\"auto\",\"truncate\":2}"),
                  "1 on string");
    expect_string(
        payload_of("{\"count\":\"9\",\"ackmode\":\"ack_requeue_true\",\"encoding\":\"base64\"}"),
        "3 b25l base64 again");
    expect_int(queue_ready_count(q), 3);
    expect_string(
        payload_of("{\"count\":1,\"ackmode\":\"ack_requeue_false\",\"encoding\":\"auto\"}"),
        "1 one string again");
    expect_int(queue_ready_count(q), 2);
    expect_string(
        payload_of("{\"count\":1,\"ackmode\":\"reject_requeue_false\",\"encoding\":\"auto\"}"),
        "1 two string again");
    expect_string(
        payload_of("{\"count\":1,\"ackmode\":\"ack_requeue_false\",\"encoding\":\"auto\"}"),
        "1 /wE= base64 again");
    expect_string(
        payload_of("{\"count\":1,\"ackmode\":\"ack_requeue_false\",\"encoding\":\"auto\"}"), "");
    expect_int(queue_unacked_count(q), 0);
    expect_int(queue_counters(q)->count[COUNTER_get], 5);
    test_manage_end(&t);
}

TEST(a_get_that_is_wrong_says_how)
{
    test_manage_init(&t);
    test_durable_queue(&t.core, "q");
    const char *get = "/api/queues/%2F/q/get";
    expect_reason("POST", get, "{\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\"}", 400,
                  "[{key_missing,count}]");
    expect_reason("POST", get, "{\"count\":1,\"encoding\":\"auto\"}", 400,
                  "[{key_missing,ackmode}]");
    expect_int(
        test_call(&t, "POST", get, "{\"count\":1,\"ackmode\":\"nope\",\"encoding\":\"auto\"}"),
        400);
    expect_reason("POST", get,
                  "{\"count\":1,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"nope\"}", 400,
                  "Unsupported encoding. Please use auto or base64.");
    expect_answer("POST", get,
                  "{\"count\":1,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\","
                  "\"truncate\":\"x\"}",
                  "400 {\"error\":\"bad_request\",\"reason\":[\"not_integer\",\"x\"]}");
    expect_answer("POST", get,
                  "{\"count\":-1,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\"}",
                  "200 []");
    expect_answer("POST", "/api/queues/%2F/none/get", "{}",
                  "404 {\"error\":\"not_found\",\"reason\":\"queue_not_found\"}");
    test_manage_end(&t);
}

static const char *published(const char *body)
{
    return asked("POST", PUBLISH, body);
}

#define GOOD(properties, key)                                                                      \
    "{\"properties\":" properties ",\"routing_key\":\"" key                                        \
    "\",\"payload\":\"x\",\"payload_encoding\":\"string\"}"
#define BAD "400 {\"error\":\"bad_request\",\"reason\":"

TEST(a_publish_that_is_wrong_says_how)
{
    test_manage_init(&t);
    expect_string(published("{\"routing_key\":\"q\",\"payload\":\"x\",\"payload_encoding\":"
                            "\"string\"}"),
                  BAD "\"[{key_missing,properties}]\"}");
    expect_string(published("{\"properties\":{},\"routing_key\":\"q\",\"payload\":\"x\","
                            "\"payload_encoding\":\"nope\"}"),
                  BAD "[\"unsupported_encoding\",\"nope\"]}");
    expect_string(published("{\"properties\":{},\"routing_key\":\"q\",\"payload\":\"!!\","
                            "\"payload_encoding\":\"base64\"}"),
                  BAD "[\"not_base64\",\"!!\"]}");
    expect_string(published("{\"properties\":{},\"routing_key\":\"q\",\"payload\":5,"
                            "\"payload_encoding\":\"string\"}"),
                  BAD "\"payload_not_string\"}");
    expect_string(published("{\"properties\":{\"delivery_mode\":\"two\"},\"routing_key\":\"q\","
                            "\"payload\":\"x\",\"payload_encoding\":\"string\"}"),
                  BAD "[\"not_int\",\"delivery_mode\"]}");
    expect_string(published("{\"properties\":{\"expiration\":\"x\"},\"routing_key\":\"q\","
                            "\"payload\":\"x\",\"payload_encoding\":\"string\"}"),
                  BAD "\"406 PRECONDITION_FAILED - invalid expiration 'x': no_integer\"}");
    expect_string(published("{\"properties\":[],\"routing_key\":\"none\",\"payload\":\"x\","
                            "\"payload_encoding\":\"string\"}"),
                  "200 {\"routed\":false}");
    expect_answer("POST", "/api/exchanges/%2F/none/publish", "{}",
                  "404 {\"error\":\"not_found\",\"reason\":\"exchange_not_found\"}");
    expect_int(test_call(&t, "PUT", "/api/permissions/%2F/guest",
                         "{\"configure\":\".*\",\"write\":\"^amq.topic\",\"read\":\"\"}"),
               204);
    expect_int(test_call(&t, "PUT", "/api/topic-permissions/%2F/guest",
                         "{\"exchange\":\"amq.topic\",\"write\":\"^a\",\"read\":\".*\"}"),
               201);
    t.user = t.password = "guest";
    const char *topic = "/api/exchanges/%2F/amq.topic/publish";
    expect_answer("POST", topic, GOOD("{}", "a.b"), "200 {\"routed\":false}");
    expect_answer("POST", topic, GOOD("{}", "b"), REFUSED);
    expect_answer("POST", topic, GOOD("{\"headers\":{\"CC\":[\"b\"]}}", "a"), REFUSED);
    expect_answer("POST", PUBLISH, GOOD("{}", "a"), REFUSED);
    test_durable_queue(&t.core, "q");
    expect_answer("DELETE", "/api/queues/%2F/q/contents", NULL, REFUSED);
    expect_answer("POST", "/api/queues/%2F/q/get", "{}", REFUSED);
    expect_answer("POST", "/api/bindings/%2F/e/amq.topic/q/q", "{}", REFUSED);
    t.user = t.password = NULL;
    test_call(&t, "PUT", "/api/exchanges/%2F/in", "{\"internal\":true}");
    expect_answer("POST", "/api/exchanges/%2F/in/publish",
                  "{\"properties\":{},\"routing_key\":\"q\",\"payload\":\"x\","
                  "\"payload_encoding\":\"string\"}",
                  REFUSED);
    test_manage_end(&t);
}

TEST(a_queue_that_refuses_is_as_good_as_none)
{
    test_manage_init(&t);
    test_call(&t, "PUT", "/api/queues/%2F/q",
              "{\"arguments\":{\"x-max-length\":1,\"x-overflow\":\"reject-publish\"}}");
    const char *body = "{\"properties\":{},\"routing_key\":\"q\",\"payload\":\"x\","
                       "\"payload_encoding\":\"string\"}";
    expect_string(published(body), "200 {\"routed\":true}");
    expect_string(published(body), "200 {\"routed\":false}");
    test_manage_end(&t);
}

/* ---- connections, channels, consumers: of a protocol that the test plays ---- */

/* io keeps more of a link behind what others see; all zero, as when nothing waits to be sent. */
struct test_link {
    struct link link;
    uint8_t rest[1024];
};

static struct test_link the_test_link;
#define the_link the_test_link.link
static struct session the_session;
static struct counters *channel_counters;
static char closed_because[100];
static struct queue *consumed;

static void describe(const struct session *session, struct session_description *out)
{
    static const uint8_t client[] = "\x0f"
                                    "connection_nameS\0\0\0\4mine";
    (void)session;
    out->protocol = "AMQP 0-9-1";
    out->mechanism = "PLAIN";
    out->client_properties = bytes_of(client, sizeof client - 1);
    out->frame_max_bytes = 131072;
    out->channel_max = 2047;
    out->heartbeat_s = 60;
    out->channel_count = 1;
}

static bool describe_channel(struct session *session, uint16_t number,
                             struct channel_description *out)
{
    *out = (struct channel_description){.session = session,
                                        .number = number,
                                        .state = SESSION_RUNNING,
                                        .confirms = true,
                                        .prefetch = 7,
                                        .consumer_count = 1,
                                        .unacked = 2,
                                        .counters = channel_counters};
    return number == 1;
}

static void each_channel(struct session *session, channel_fn *each, void *ctx)
{
    struct channel_description d;
    if (describe_channel(session, 1, &d))
        each(ctx, &d);
}

static void each_consumer(struct session *session, uint16_t channel, consumer_fn *each, void *ctx)
{
    each(ctx, &(struct consumer_description){.session = session,
                                             .channel = channel,
                                             .tag = BYTES_LITERAL("tag"),
                                             .arguments = BYTES_LITERAL(""),
                                             .queue = consumed,
                                             .prefetch = 7,
                                             .timeout_ms = 1000,
                                             .acks = true,
                                             .is_active = true});
}

static void closed(struct session *session, const char *reason)
{
    (void)session;
    snprintf(closed_because, sizeof closed_because, "%s", reason);
}

#define NAME "127.0.0.1:50000 -> 127.0.0.1:5672"
#define PATH "127.0.0.1%3A50000%20-%3E%20127.0.0.1%3A5672"

static void connect(void)
{
    static const struct session_view view = {.describe = describe,
                                             .each_channel = each_channel,
                                             .describe_channel = describe_channel,
                                             .each_consumer = each_consumer};
    test_manage_init(&t);
    consumed = test_durable_queue(&t.core, "q");
    the_link = (struct link){.id = 7,
                             .local = {.host = "127.0.0.1", .port = 5672},
                             .peer = {.host = "127.0.0.1", .port = 50000},
                             .bytes_in = 100,
                             .bytes_out = 200,
                             .receives = 3,
                             .sends = 4};
    the_session = (struct session){.link = &the_link,
                                   .protocol = "amqp",
                                   .user = xstrdup("guest"),
                                   .vhost = xstrdup("/"),
                                   .close = closed,
                                   .view = &view};
    session_add(t.core.core, &the_session);
}

static void disconnect(void)
{
    session_remove(&the_session);
    counters_free(channel_counters);
    channel_counters = NULL;
    test_manage_end(&t);
}

TEST(a_connection_is_listed_and_shown)
{
    connect();
    expect_int(test_call(&t, "GET", "/api/connections", NULL), 200);
    expect_int(json_array_size(t.json), 1);
    expect_int(test_call(&t, "GET", "/api/connections/" PATH, NULL), 200);
    expect_string(test_json_text(&t, "name"), NAME);
    expect_string(test_json_text(&t, "user_provided_name"), "mine");
    expect_string(test_json_text(&t, "client_properties.connection_name"), "mine");
    expect_string(test_json_text(&t, "protocol"), "AMQP 0-9-1");
    expect_string(test_json_text(&t, "auth_mechanism"), "PLAIN");
    expect_string(test_json_text(&t, "state"), "running");
    expect_string(test_json_text(&t, "peer_host"), "127.0.0.1");
    expect_int(test_json_int(&t, "peer_port"), 50000);
    expect_int(test_json_int(&t, "frame_max"), 131072);
    expect_int(test_json_int(&t, "timeout"), 60);
    expect_int(test_json_int(&t, "recv_oct"), 100);
    expect_int(test_json_int(&t, "send_cnt"), 4);
    expect_int(test_json_int(&t, "connected_at"), the_session.opened_wall_ms);
    expect_answer("GET", "/api/connections/nope", NULL, MISSING);
    const char *const lists[] = {"/api/vhosts/%2F/connections", "/api/connections/username/guest",
                                 "/api/connections/username/nobody"};
    for (size_t i = 0; i < 3; i++) {
        expect_int(test_call(&t, "GET", lists[i], NULL), 200);
        expect_int(json_array_size(t.json), i < 2);
    }
    disconnect();
}

TEST(many_connections_are_named_over_some_turns)
{
    enum { MANY = 2000 };
    struct test_link *links = xzalloc(MANY * sizeof *links);
    struct session *sessions = xzalloc(MANY * sizeof *sessions);
    test_manage_init(&t);
    for (int i = 0; i < MANY; i++) {
        links[i].link.id = (uint64_t)i + 1;
        snprintf(links[i].link.peer.host, sizeof links[i].link.peer.host, "10.0.0.1");
        links[i].link.peer.port = (uint16_t)(i + 1000);
        sessions[i].link = &links[i].link;
        session_add(t.core.core, &sessions[i]);
    }
    test_call_start(&t, "GET", "/api/connections?columns=name", NULL);
    expect_false(t.is_done);
    for (int i = 100; i < 900; i++)
        session_remove(&sessions[i]);
    test_call_end(&t);
    expect_int(json_array_size(t.json), MANY - 800);
    for (int i = 0; i < MANY; i++)
        if (list_is_linked(&sessions[i].node))
            session_remove(&sessions[i]);
    free(links);
    free(sessions);
    test_manage_end(&t);
}

TEST(a_connection_is_closed_with_a_reason)
{
    connect();
    expect_answer("DELETE", "/api/connections/nope", NULL, MISSING);
    expect_answer("DELETE", "/api/connections/" PATH, NULL, "204 ");
    expect_string(closed_because, "Closed via management plugin");
    closed_because[0] = 0;
    expect_answer("DELETE", "/api/connections/username/nobody", NULL, "204 ");
    expect_string(closed_because, "");
    expect_answer("DELETE", "/api/connections/username/guest", NULL, "204 ");
    expect_string(closed_because, "Closed via management plugin");
    disconnect();
}

TEST(who_does_not_monitor_sees_and_closes_his_own_connections)
{
    connect();
    test_call(&t, "PUT", "/api/users/other", "{\"password\":\"p\",\"tags\":\"management\"}");
    test_call(&t, "PUT", "/api/permissions/%2F/other",
              "{\"configure\":\"\",\"write\":\"\",\"read\":\"\"}");
    t.user = "other";
    t.password = "p";
    static const char *const lists[] = {"/api/connections", "/api/channels", "/api/consumers",
                                        "/api/vhosts/%2F/connections",
                                        "/api/connections/" PATH "/channels"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        expect_answer("GET", lists[i], NULL, "200 []");
    expect_reason("GET", "/api/connections/" PATH, NULL, 401,
                  "User not authorised to access object");
    expect_reason("DELETE", "/api/connections/" PATH, NULL, 401,
                  "User not authorised to access object");
    expect_answer("GET", "/api/channels/" PATH "%20(1)", NULL, MISSING);
    expect_int(test_call(&t, "GET", "/api/connections/username/guest", NULL), 401);
    expect_int(test_call(&t, "DELETE", "/api/connections/username/guest", NULL), 401);
    free(the_session.user);
    the_session.user = xstrdup("other");
    expect_int(test_call(&t, "GET", "/api/connections/" PATH, NULL), 200);
    expect_answer("DELETE", "/api/connections/" PATH, NULL, "204 ");
    t.user = t.password = NULL;
    disconnect();
}

TEST(an_ipv6_address_stands_in_brackets)
{
    connect();
    snprintf(the_link.peer.host, sizeof the_link.peer.host, "::1");
    snprintf(the_link.local.host, sizeof the_link.local.host, "::1");
    expect_int(
        test_call(&t, "GET", "/api/connections/%5B::1%5D:50000%20-%3E%20%5B::1%5D:5672", NULL),
        200);
    expect_string(test_json_text(&t, "name"), "[::1]:50000 -> [::1]:5672");
    expect_string(test_json_text(&t, "peer_host"), "::1");
    disconnect();
}

TEST(channels_and_consumers_are_listed_and_shown)
{
    connect();
    expect_int(test_call(&t, "GET", "/api/channels", NULL), 200);
    expect_string(test_json_text(&t, "0.name"), NAME " (1)");
    expect_null(json_object_get(json_array_get(t.json, 0), "message_stats"));
    counters_add(&channel_counters, COUNTER_deliver, 5);
    counters_add(&channel_counters, COUNTER_get, 1);
    expect_int(test_call(&t, "GET", "/api/channels/" PATH "%20(1)", NULL), 200);
    expect_int(test_json_int(&t, "message_stats.deliver_get"), 6);
    expect_int(test_json_int(&t, "message_stats.confirm"), 0);
    expect_int(test_json_int(&t, "prefetch_count"), 7);
    expect_int(test_json_int(&t, "messages_unacknowledged"), 2);
    expect_string(test_json_text(&t, "connection_details.name"), NAME);
    expect_string(test_json_text(&t, "consumer_details.0.consumer_tag"), "tag");
    const char *const missing[] = {"nope",        "nope%20(1)",      PATH "%20(2)",
                                   PATH "%20(x)", PATH "%20(70000)", "(1)"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        char *path = xasprintf("/api/channels/%s", missing[i]);
        expect_answer("GET", path, NULL, MISSING);
        free(path);
    }
    const char *const lists[] = {"/api/vhosts/%2F/channels", "/api/connections/" PATH "/channels",
                                 "/api/consumers", "/api/consumers/%2F"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        expect_int(test_call(&t, "GET", lists[i], NULL), 200);
        expect_int(json_array_size(t.json), 1);
    }
    expect_string(test_json_text(&t, "0.queue.name"), "q");
    expect_string(test_json_text(&t, "0.channel_details.name"), NAME " (1)");
    expect_string(test_json_text(&t, "0.activity_status"), "up");
    expect_int(test_json_int(&t, "0.consumer_timeout"), 1000);
    expect_answer("GET", "/api/connections/nope/channels", NULL, MISSING);
    disconnect();
}

TEST(a_vhost_sums_its_channels_those_that_are_gone_too)
{
    connect();
    expect_int(test_call(&t, "GET", "/api/vhosts/%2F", NULL), 200);
    expect_null(json_object_get(t.json, "message_stats"));
    counters_add(&channel_counters, COUNTER_deliver, 5);
    test_call(&t, "GET", "/api/vhosts/%2F", NULL);
    expect_int(test_json_int(&t, "message_stats.deliver_get"), 5);
    counters_add(&test_vhost(&t.core)->counters, COUNTER_deliver, 10);
    t.core.wall_ms += 10000;
    test_core_turn(&t.core);
    test_call(&t, "GET", "/api/vhosts/%2F", NULL);
    expect_int(test_json_int(&t, "message_stats.deliver"), 15);
    double rate = json_number_value(test_json(&t, "message_stats.deliver_details.rate"));
    expect_true(rate > 0.9 && rate < 1.1);
    disconnect();
}
