/* Overview, node, health, features, and what Prometheus scrapes. */
#include "manage/test_manage.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/metrics.h"
#include "broker/counters.h"
#include "broker/password.h"
#include "tests/test.h"

static struct test_manage t;

static void begin(void)
{
    metrics_join();
    test_manage_init(&t);
}

static void expect_get(const char *target, int status, const char *body)
{
    expect_int(test_call(&t, "GET", target, NULL), status);
    expect_string(text_string(&t.body), body);
}

static bool has_line(const char *line)
{
    const char *at = strstr(text_string(&t.body), line);

    return at && (at == text_string(&t.body) || at[-1] == '\n') && at[strlen(line)] == '\n';
}

TEST(the_overview_counts_what_there_is)
{
    struct ticket ticket;
    begin();
    test_transient_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "one", &ticket));
    expect_ok(test_publish(&t.core, "q", "two", &ticket));
    test_core_settle(&t.core);
    expect_int(test_call(&t, "GET", "/api/overview", NULL), 200);
    expect_int(test_json_int(&t, "queue_totals.messages"), 2);
    expect_int(test_json_int(&t, "queue_totals.messages_ready"), 2);
    expect_int(test_json_int(&t, "object_totals.queues"), 1);
    expect_int(test_json_int(&t, "object_totals.exchanges"), 7);
    expect_string(test_json_text(&t, "rabbitmq_version"), "4.2.0");
    expect_string(test_json_text(&t, "contexts.0.port"), "15672");
    expect_string(test_json_text(&t, "exchange_types.0.name"), "direct");
    test_manage_end(&t);
}

TEST(the_overview_tells_how_fast_things_go)
{
    begin();
    expect_int(test_call(&t, "GET", "/api/overview", NULL), 200);
    expect_true(json_number_value(test_json(&t, "message_stats.publish_details.rate")) == 0);
    metrics_add(METRIC_messages_received, 100);
    t.core.wall_ms += 10000;
    test_core_turn(&t.core);
    expect_int(test_call(&t, "GET", "/api/overview", NULL), 200);
    expect_true(json_number_value(test_json(&t, "message_stats.publish_details.rate")) == 10);
    test_manage_end(&t);
}

TEST(the_cluster_gets_a_name)
{
    begin();
    expect_get("/api/cluster-name", 200, "{\"name\":\"rabbit@test\"}");
    expect_int(test_call(&t, "PUT", "/api/cluster-name", "{}"), 400);
    expect_int(test_call(&t, "PUT", "/api/cluster-name", "{\"name\":\"north\"}"), 204);
    expect_get("/api/cluster-name", 200, "{\"name\":\"north\"}");
    expect_int(test_call(&t, "GET", "/api/overview", NULL), 200);
    expect_string(test_json_text(&t, "cluster_name"), "north");
    expect_int(test_call(&t, "GET", "/metrics", NULL), 200);
    expect_not_null(strstr(text_string(&t.body), "rabbitmq_cluster=\"north\""));
    test_manage_end(&t);
}

TEST(there_is_one_node)
{
    begin();
    expect_int(test_call(&t, "GET", "/api/nodes", NULL), 200);
    expect_int(json_array_size(t.json), 1);
    expect_int(test_call(&t, "GET", "/api/nodes/rabbit@test?columns=name,type,running", NULL), 200);
    expect_string(text_string(&t.body),
                  "{\"name\":\"rabbit@test\",\"type\":\"disc\",\"running\":true}");
    expect_int(test_call(&t, "GET", "/api/nodes/rabbit@test/memory", NULL), 200);
    expect_true(test_json_int(&t, "memory.total.rss") > 0);
    expect_int(test_call(&t, "GET", "/api/nodes/other", NULL), 404);
    expect_int(test_call(&t, "GET", "/api/nodes/other/memory", NULL), 404);
    test_manage_end(&t);
}

TEST(a_broker_that_serves_is_healthy)
{
    static const char *const checks[] = {
        "alarms",
        "local-alarms",
        "virtual-hosts",
        "is-in-service",
        "ready-to-serve-clients",
        "below-node-connection-limit",
        "reached-target-cluster-size",
        "metadata-store/initialized",
        "metadata-store/initialized/with-data",
        "certificate-expiration/2/weeks",
        "quorum-queues-without-elected-leaders/all-vhosts/",
        "quorum-queues-without-elected-leaders/all-vhosts/pattern/.*",
        "quorum-queues-without-elected-leaders/vhost/%2F/",
        "quorum-queues-without-elected-leaders/vhost/%2F/pattern/.*"};
    begin();
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        char target[128];
        snprintf(target, sizeof target, "/api/health/checks/%s", checks[i]);
        expect_get(target, 200, "{\"status\":\"ok\"}");
    }
    expect_get("/api/aliveness-test/%2F", 200, "{\"status\":\"ok\"}");
    expect_int(test_call(&t, "GET", "/api/aliveness-test/none", NULL), 404);
    expect_get("/api/healthchecks/node", 200, "{\"status\":\"ok\"}");
    expect_get("/api/healthchecks/node/rabbit@test", 200, "{\"status\":\"ok\"}");
    expect_int(test_call(&t, "GET", "/api/healthchecks/node/other", NULL), 404);
    expect_get("/api/health/checks/node-is-quorum-critical", 200,
               "{\"status\":\"ok\",\"reason\":\"single node cluster\"}");
    expect_int(test_call(&t, "GET", "/api/health/checks/certificate-expiration/x/weeks", NULL),
               400);
    expect_int(test_call(&t, "GET", "/api/health/checks/certificate-expiration/1/hours", NULL),
               400);
    test_manage_end(&t);
}

TEST(a_listener_that_is_not_open_fails_its_check)
{
    begin();
    expect_get("/api/health/checks/port-listener/5672", 200, "{\"status\":\"ok\",\"port\":5672}");
    expect_get("/api/health/checks/port-listener/1", 503,
               "{\"status\":\"failed\",\"reason\":\"No active listener\",\"missing\":1,"
               "\"ports\":[5672,15672]}");
    expect_int(test_call(&t, "GET", "/api/health/checks/port-listener/x", NULL), 400);
    expect_get("/api/health/checks/protocol-listener/AMQP091,http", 200,
               "{\"status\":\"ok\",\"protocols\":[\"amqp\",\"http\"]}");
    expect_get("/api/health/checks/protocol-listener/mqtt,amqp", 503,
               "{\"status\":\"failed\",\"reason\":\"No active listener\",\"missing\":[\"mqtt\"],"
               "\"protocols\":[\"amqp\",\"http\"]}");
    test_manage_end(&t);
}

TEST(a_full_disk_is_an_alarm)
{
    begin();
    sim_disk_set_capacity(t.core.disk, 1);
    expect_int(test_call(&t, "GET", "/api/health/checks/local-alarms", NULL), 503);
    expect_string(test_json_text(&t, "alarms.0.resource"), "disk");
    expect_int(test_call(&t, "GET", "/api/health/checks/alarms", NULL), 503);
    expect_string(test_json_text(&t, "reason"), "There are alarms in effect in the cluster");
    test_manage_end(&t);
}

TEST(every_feature_is_on)
{
    begin();
    expect_int(test_call(&t, "GET", "/api/feature-flags", NULL), 200);
    expect_string(test_json_text(&t, "0.state"), "enabled");
    expect_int(test_call(&t, "PUT", "/api/feature-flags/quorum_queue/enable", "{}"), 204);
    expect_int(test_call(&t, "PUT", "/api/feature-flags/none/enable", "{}"), 400);
    expect_int(test_call(&t, "GET", "/api/deprecated-features", NULL), 200);
    expect_get("/api/deprecated-features/used", 200, "[]");
    expect_get("/api/extensions", 200, "[]");
    expect_get("/api/auth", 200, "{\"oauth_enabled\":false}");
    expect_int(test_call(&t, "POST", "/api/rebalance/queues", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/reset", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/reset/rabbit@test", NULL), 204);
    expect_int(test_call(&t, "DELETE", "/api/reset/other", NULL), 404);
    test_manage_end(&t);
}

TEST(a_password_is_hashed_as_it_is_stored)
{
    struct text bytes = {0};
    struct password_hash hash;
    begin();
    expect_int(test_call(&t, "GET", "/api/auth/hash_password/se%20cret", NULL), 200);
    expect_true(base64_decode(&bytes, bytes_from_string(test_json_text(&t, "ok"))));
    expect_ok(password_hash_take(PASSWORD_SHA256, text_bytes(&bytes), &hash));
    expect_true(password_matches(&hash, BYTES_LITERAL("se cret")));
    text_reset(&bytes);
    test_manage_end(&t);
}

TEST(prometheus_needs_no_log_in)
{
    begin();
    t.user = "nobody";
    t.password = "";
    test_transient_queue(&t.core, "q");
    expect_int(test_call(&t, "GET", "/metrics", NULL), 200);
    expect_string(t.call->answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    expect_true(has_line("rabbitmq_queues 1"));
    expect_true(has_line("# TYPE rabbitmq_queue_messages_ready gauge"));
    expect_true(has_line("# TYPE rabbitmq_global_messages_received_total counter"));
    expect_not_null(
        strstr(text_string(&t.body), "rabbitmq_identity_info{rabbitmq_node=\"rabbit@test\","));
    expect_not_null(strstr(text_string(&t.body), "\npabal_commits_total "));
    expect_null(strstr(text_string(&t.body), "queue=\""));
    test_manage_end(&t);
}

static double line_value(const char *line)
{
    const char *at = strstr(text_string(&t.body), line);

    expect_not_null(at);
    return strtod(at + strlen(line), NULL);
}

TEST(the_sizes_of_messages_are_a_histogram)
{
    begin();
    test_call(&t, "GET", "/metrics", NULL);
#define BUCKET(le) "rabbitmq_message_size_bytes_bucket{protocol=\"amqp091\",le=\"" le "\"} "
    double to_100 = line_value(BUCKET("100")), to_1000 = line_value(BUCKET("1000"));
    double all = line_value(BUCKET("+Inf"));
    counters_add_message(100);
    counters_add_message(101);
    counters_add_message(200000000);
    test_call(&t, "GET", "/metrics", NULL);
    expect_true(line_value(BUCKET("100")) == to_100 + 1);
    expect_true(line_value(BUCKET("1000")) == to_1000 + 2);
    expect_true(line_value(BUCKET("100000000")) == line_value(BUCKET("1000")));
    expect_true(line_value(BUCKET("+Inf")) == all + 3);
    expect_true(line_value("rabbitmq_message_size_bytes_count{protocol=\"amqp091\"} ") == all + 3);
    expect_true(line_value("rabbitmq_message_size_bytes_sum{protocol=\"amqp091\"} ") >= 200000201);
    test_manage_end(&t);
}

TEST(each_object_has_lines_of_its_own_when_they_are_asked_for)
{
    struct ticket ticket;
    begin();
    test_transient_queue(&t.core, "a\"b\\c\nd");
    test_transient_queue(&t.core, "q");
    expect_ok(test_publish(&t.core, "q", "one", &ticket));
    test_core_settle(&t.core);
    expect_int(test_call(&t, "GET", "/metrics/per-object", NULL), 200);
    expect_true(has_line("rabbitmq_queue_messages_ready{vhost=\"/\",queue=\"q\"} 1"));
    expect_true(has_line("rabbitmq_queue_messages{vhost=\"/\",queue=\"a\\\"b\\\\c\\nd\"} 0"));
    expect_true(has_line("rabbitmq_cluster_vhost_status{vhost=\"/\"} 1"));
    test_manage_end(&t);
}

TEST(the_families_of_a_detailed_scrape_are_named)
{
    begin();
    test_transient_queue(&t.core, "q1");
    test_transient_queue(&t.core, "other");
    expect_get("/metrics/detailed", 200, "");
    expect_get("/metrics/detailed?family=none", 200, "");
    expect_int(test_call(&t, "GET",
                         "/metrics/detailed?family=queue_consumer_count&family=vhost_status"
                         "&vhost=%2F&queue=%5Eq",
                         NULL),
               200);
    expect_string(text_string(&t.body),
                  "# HELP rabbitmq_detailed_queue_consumers Consumers of the queue\n"
                  "# TYPE rabbitmq_detailed_queue_consumers gauge\n"
                  "rabbitmq_detailed_queue_consumers{vhost=\"/\",queue=\"q1\"} 0\n"
                  "# HELP rabbitmq_cluster_vhost_status 1: the vhost is there\n"
                  "# TYPE rabbitmq_cluster_vhost_status gauge\n"
                  "rabbitmq_cluster_vhost_status{vhost=\"/\"} 1\n");
    expect_get("/metrics/detailed?family=queue_coarse_metrics,vhost_status&vhost=none", 200, "");
    expect_int(test_call(&t, "GET", "/metrics/detailed?queue=%28", NULL), 400);
    test_manage_end(&t);
}
