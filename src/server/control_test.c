#include "tests/test.h"

#include <jansson.h>

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
    control_listener_init(&f->server.control, &f->server);
    f->link = sim_link_new(&f->server.control.protocol, f->core.core, NULL);
}

static void end(struct fixture *f)
{
    sim_link_free(f->link);
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

TEST(a_topic_is_made_listed_shown_and_deleted)
{
    struct fixture f;

    begin(&f);
    asks(&f, "{\"command\":\"topic.create\",\"name\":\"orders\",\"partitions\":2}",
         "{\"ok\":true,\"result\":{\"name\":\"orders\",\"partitions\":2}}\n");
    asks(&f, "{\"command\":\"topic.create\",\"name\":\"orders\"}",
         "{\"ok\":false,\"error\":\"already exists\",\"text\":\"Topic 'orders' already "
         "exists.\"}\n");
    asks(&f, "{\"command\":\"topic.list\"}",
         "{\"ok\":true,\"result\":[{\"name\":\"orders\",\"partitions\":2,\"messages\":0,"
         "\"bytes\":0}]}\n");
    asks(&f, "{\"command\":\"topic.show\",\"name\":\"orders\"}",
         "{\"ok\":true,\"result\":[{\"partition\":0,\"start\":0,\"end\":0,\"bytes\":0},"
         "{\"partition\":1,\"start\":0,\"end\":0,\"bytes\":0}]}\n");
    asks(&f, "{\"command\":\"topic.delete\",\"name\":\"orders\"}", "{\"ok\":true,\"result\":{}}\n");
    asks(&f, "{\"command\":\"topic.show\",\"name\":\"orders\"}",
         "{\"ok\":false,\"error\":\"not found\",\"text\":\"there is no topic orders\"}\n");
    end(&f);
}

TEST(an_answer_waits_until_the_change_is_durable)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "{\"command\":\"topic.create\",\"name\":\"t\"}");
    expect_int(sim_link_output(f.link).size, 0);
    test_core_settle(&f.core);
    expect_true(sim_link_output(f.link).size > 0);
    test_core_crash(&f.core);
    expect_not_null(topic_find(f.core.core, BYTES_LITERAL("t")));
    f.server.core = f.core.core;
    end(&f);
}

TEST(topic_configs_are_given_and_checked)
{
    struct fixture f;

    begin(&f);
    asks(&f,
         "{\"command\":\"topic.create\",\"name\":\"t\",\"configs\":{\"max.message.bytes\":\"2048\"}"
         "}",
         "{\"ok\":true,\"result\":{\"name\":\"t\",\"partitions\":3}}\n");
    expect_int(topic_find(f.core.core, BYTES_LITERAL("t"))->message_max_bytes, 2048);
    send_line(&f, "{\"command\":\"topic.create\",\"name\":\"u\",\"configs\":{\"nope\":\"1\"}}");
    expect_not_null(strstr(answers(&f), "\"error\":\"invalid argument\""));
    send_line(&f, "{\"command\":\"topic.create\",\"name\":\"u\",\"configs\":{\"a\":1}}");
    expect_not_null(strstr(answers(&f), "config a: the value must be a string"));
    end(&f);
}

TEST(a_queue_is_made_purged_and_deleted)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "{\"command\":\"queue.create\",\"name\":\"q\"}");
    expect_not_null(strstr(answers(&f), "\"durable\":true"));
    struct ticket ticket;
    expect_ok(test_publish(&f.core, "q", "one", &ticket));
    asks(&f, "{\"command\":\"queue.purge\",\"name\":\"q\"}",
         "{\"ok\":true,\"result\":{\"messages\":1}}\n");
    expect_ok(test_publish(&f.core, "q", "two", &ticket));
    asks(&f, "{\"command\":\"queue.delete\",\"name\":\"q\",\"if_empty\":true}",
         "{\"ok\":false,\"error\":\"not empty\",\"text\":\"queue q has 1 messages\"}\n");
    asks(&f, "{\"command\":\"queue.delete\",\"name\":\"q\"}",
         "{\"ok\":true,\"result\":{\"messages\":1}}\n");
    expect_null(test_queue(&f.core, "q"));
    end(&f);
}

TEST(a_queue_with_consumers_is_not_deleted_when_that_was_asked)
{
    struct fixture f;
    struct test_consumer consumer = {0};

    begin(&f);
    test_consume(test_transient_queue(&f.core, "q"), &consumer, 1, true);
    asks(&f, "{\"command\":\"queue.delete\",\"name\":\"q\",\"if_unused\":true}",
         "{\"ok\":false,\"error\":\"in use\",\"text\":\"queue q has 1 consumers\"}\n");
    send_line(&f, "{\"command\":\"queue.show\",\"name\":\"q\"}");
    expect_not_null(strstr(answers(&f), "\"consumers\":1"));
    queue_cancel(&consumer.consumer);
    text_reset(&consumer.got);
    end(&f);
}

TEST(queue_names_are_checked)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "{\"command\":\"queue.create\",\"name\":\"\"}");
    expect_not_null(strstr(answers(&f), "1 to 255 bytes"));
    send_line(&f, "{\"command\":\"queue.create\",\"name\":\"amq.x\"}");
    expect_not_null(strstr(answers(&f), "does not begin with amq."));
    send_line(&f, "{\"command\":\"queue.create\",\"name\":\"q\",\"vhost\":\"nope\"}");
    expect_not_null(strstr(answers(&f), "there is no vhost nope"));
    send_line(&f, "{\"command\":\"queue.create\"}");
    expect_not_null(strstr(answers(&f), "queue.create: \\\"name\\\" is missing"));
    send_line(&f, "{\"command\":\"queue.create\",\"name\":\"q\"}");
    send_line(&f, "{\"command\":\"queue.create\",\"name\":\"q\"}");
    expect_not_null(strstr(answers(&f), "queue q exists already"));
    end(&f);
}

TEST(requests_sent_at_once_are_answered_in_order)
{
    struct fixture f;

    begin(&f);
    asks(&f,
         "{\"command\":\"topic.create\",\"name\":\"a\"}\n"
         "{\"command\":\"nope\"}\n"
         "{\"command\":\"topic.delete\",\"name\":\"a\"}",
         "{\"ok\":true,\"result\":{\"name\":\"a\",\"partitions\":3}}\n"
         "{\"ok\":false,\"error\":\"not supported\",\"text\":\"unknown command nope\"}\n"
         "{\"ok\":true,\"result\":{}}\n");
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
    end(&f);
}

TEST(a_client_that_leaves_while_it_waits_is_forgotten)
{
    struct fixture f;

    begin(&f);
    send_line(&f, "{\"command\":\"topic.create\",\"name\":\"a\"}");
    send_line(&f, "{\"command\":\"topic.create\",\"name\":\"b\"}");
    sim_link_end(f.link);
    sim_link_turn(f.link);
    expect_true(sim_link_is_gone(f.link));
    test_core_settle(&f.core);
    expect_not_null(topic_find(f.core.core, BYTES_LITERAL("a")));
    expect_null(topic_find(f.core.core, BYTES_LITERAL("b")));
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
