#include "tests/test.h"

#include <jansson.h>

#include "broker/hold.h"
#include "broker/test_core.h"
#include "io/sim_link.h"
#include "server/control_internal.h"

struct fixture {
    struct test_core core;
    struct config config;
    struct server server;
    struct sim_link *link;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    test_core_init(&f->core);
    config_init(&f->config);
    f->server.config = &f->config;
    f->server.core = f->core.core;
    f->server.management.manage =
        manage_new(&(struct manage_config){.core = f->core.core,
                                           .product = "",
                                           .version = "",
                                           .rabbitmq_version = "",
                                           .node = "",
                                           .data_dir = "",
                                           .listener_count = &f->server.management.listener_count});
    control_listener_init(&f->server.control, &f->server);
    f->link = sim_link_new(&f->server.control.protocol, f->core.core, NULL);
}

static void end(struct fixture *f)
{
    sim_link_free(f->link);
    manage_free(f->server.management.manage);
    config_reset(&f->config);
    test_core_end(&f->core);
}

static void send_line(struct fixture *f, const char *line)
{
    expect_true(sim_link_feed(f->link, bytes_from_string(line)));
    expect_true(sim_link_feed(f->link, BYTES_LITERAL("\n")));
}

/* The answers so far, as text. */
static const char *answers(struct fixture *f)
{
    static struct text text;

    test_core_settle(&f->core);
    text.size = 0;
    text_append(&text, sim_link_output(f->link));
    sim_link_clear(f->link);
    return text_string(&text);
}

static void asks(struct fixture *f, const char *request, const char *answer)
{
    send_line(f, request);
    expect_string(answers(f), answer);
}

#define PUT_VHOST(name) "{\"command\":\"api\",\"method\":\"PUT\",\"path\":\"/api/vhosts/" name "\"}"

TEST(the_api_is_asked_with_method_path_and_body)
{
    struct fixture f;

    begin(&f);
    asks(&f,
         "{\"command\":\"api\",\"method\":\"PUT\",\"path\":\"/api/queues/%2F/q\",\"body\":"
         "{\"durable\":true}}",
         "{\"ok\":true,\"result\":{\"status\":201}}\n");
    expect_true(test_queue(&f.core, "q")->durable);
    send_line(&f, "{\"command\":\"api\",\"method\":\"GET\",\"path\":"
                  "\"/api/queues/%2F/q?columns=name,durable\",\"body\":null}");
    expect_not_null(strstr(answers(&f), "{\"ok\":true,\"result\":{\"status\":200,\"body\":{"));
    send_line(&f, "{\"command\":\"api\",\"method\":\"GET\",\"path\":\"/api/queues/%2F/none\"}");
    expect_not_null(strstr(answers(&f), "\"status\":404"));
    end(&f);
}

TEST(an_api_request_needs_a_method_and_a_path)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "{\"command\":\"api\",\"path\":\"/api/overview\"}");
    expect_not_null(strstr(answers(&f), "api: \\\"method\\\" is missing"));
    send_line(&f, "{\"command\":\"api\",\"method\":\"GET\"}");
    expect_not_null(strstr(answers(&f), "api: \\\"path\\\" is missing"));
    send_line(&f, "{\"command\":\"api\",\"method\":\"GET\",\"path\":\"/api\",\"reason\":1}");
    expect_not_null(strstr(answers(&f), "api: \\\"reason\\\" is missing"));
    end(&f);
}

TEST(an_answer_waits_until_the_change_is_durable)
{
    struct fixture f;

    begin(&f);
    send_line(&f, PUT_VHOST("v"));
    expect_int(sim_link_output(f.link).size, 0);
    test_core_settle(&f.core);
    expect_true(sim_link_output(f.link).size > 0);
    end(&f);
}

TEST(requests_sent_at_once_are_answered_in_order)
{
    struct fixture f;

    begin(&f);
    asks(&f, PUT_VHOST("v") "\n{\"command\":\"nope\"}\n" PUT_VHOST("v"),
         "{\"ok\":true,\"result\":{\"status\":201}}\n"
         "{\"ok\":false,\"error\":\"not supported\",\"text\":\"unknown command nope\"}\n"
         "{\"ok\":true,\"result\":{\"status\":204}}\n");
    end(&f);
}

TEST(what_is_no_request_is_answered_with_an_error)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "hello");
    expect_not_null(strstr(answers(&f), "\"text\":\"not JSON:"));
    asks(&f, "[]",
         "{\"ok\":false,\"error\":\"not supported\",\"text\":\"unknown command (none)\"}\n");
    send_line(&f, "{\"mo\\\xc6\xa1"); /* the parser's words repeat it, cut within the character */
    expect_not_null(strstr(answers(&f), "\"text\":\"not JSON:"));
    end(&f);
}

TEST(a_client_that_leaves_while_it_waits_is_forgotten)
{
    struct fixture f;

    begin(&f);
    send_line(&f, PUT_VHOST("a"));
    send_line(&f, PUT_VHOST("b"));
    sim_link_end(f.link);
    sim_link_turn(f.link);
    expect_true(sim_link_is_gone(f.link));
    test_core_settle(&f.core);
    expect_not_null(vhost_find(f.core.core, BYTES_LITERAL("a")));
    expect_null(vhost_find(f.core.core, BYTES_LITERAL("b")));
    end(&f);
}

TEST(the_counters_are_shown)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "{\"command\":\"metrics\"}");
    expect_not_null(strstr(answers(&f), "\"name\":\"commits\",\"value\":"));
    end(&f);
}

TEST(the_configuration_of_the_server_is_shown)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "{\"command\":\"config.show\"}");
    expect_not_null(strstr(answers(&f), "\"node.id\":{\"value\":\"1\",\"origin\":\"default\"}"));
    end(&f);
}

TEST(other_limits_are_in_force_at_once)
{
    struct fixture f;

    begin(&f);
    asks(&f, "{\"command\":\"memory.watermark.set\",\"bytes\":1}",
         "{\"ok\":true,\"result\":{\"bytes\":1}}\n");
    expect_int(core_holds(f.core.core), HOLD_MEMORY);
    asks(&f, "{\"command\":\"memory.watermark.set\",\"fraction\":0}",
         "{\"ok\":true,\"result\":{\"bytes\":0}}\n");
    expect_int(core_holds(f.core.core), HOLD_MEMORY);
    send_line(&f, "{\"command\":\"memory.watermark.set\",\"fraction\":1.0}");
    answers(&f);
    expect_int(core_holds(f.core.core), 0);
    asks(&f, "{\"command\":\"disk.reserve.set\",\"bytes\":9223372036854775807}",
         "{\"ok\":true,\"result\":{\"bytes\":9223372036854775807}}\n");
    expect_int(core_holds(f.core.core), HOLD_DISK);
    asks(&f, "{\"command\":\"disk.reserve.set\",\"bytes\":-1}",
         "{\"ok\":false,\"error\":\"invalid argument\",\"text\":\"bytes or fraction is missing, or "
         "no such "
         "number\"}\n");
    end(&f);
}
