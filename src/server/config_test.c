#include "tests/test.h"

#include <stdio.h>

#include "server/config.h"

static void read_text(struct config *c, const char *text)
{
    expect_ok(config_read_text(c, "pabal.conf", bytes_from_string(text)));
}

static void refuses(const char *text, const char *reason)
{
    struct config c;

    config_init(&c);
    expect_err(config_read_text(&c, "pabal.conf", bytes_from_string(text)), E_INVALID);
    expect_err_text(reason);
    config_reset(&c);
}

TEST(a_file_sets_keys_and_says_where_they_come_from)
{
    struct config c;

    config_init(&c);
    read_text(&c, "# a comment\n\n  data.dir = /var/lib/pabal  \nnum.partitions=4 # four\n"
                  "amqp.product = Rabbit#MQ");
    expect_string(config_text(&c, OPT_DATA_DIR), "/var/lib/pabal");
    expect_string(c.items[OPT_DATA_DIR].origin, "pabal.conf:3");
    expect_int(config_number(&c, OPT_NUM_PARTITIONS), 4);
    expect_string(config_text(&c, OPT_AMQP_PRODUCT), "Rabbit#MQ");
    expect_string(c.items[OPT_NODE_ID].origin, "default");
    config_reset(&c);
}

TEST(a_wrong_line_is_refused_with_its_place)
{
    refuses("data.dri = x\n", "pabal.conf:1: unknown key \"data.dri\"; did you mean \"data.dir\"?");
    refuses("\n\nnum.partitions = 0\n", "pabal.conf:3: num.partitions = 0: must be 1 to 10000");
    refuses("data.dir\n", "pabal.conf:1: \"data.dir\" is not key = value");
    refuses("zookeeper.connect = a:1", "unknown key \"zookeeper.connect\"");
}

TEST(a_key_set_twice_is_refused_also_under_its_other_name)
{
    refuses("data.dir = a\nlog.dirs = b\n", "pabal.conf:2: data.dir is set already, at line 1");
}

TEST(the_environment_wins_over_the_file_and_set_over_both)
{
    char *environment[] = {"PATH=/bin", "PABAL_DATA_DIR=e", "PABAL_NUM_PARTITIONS=2",
                           "PABAL_AUTO_CREATE_TOPICS_ENABLE=false", NULL};
    struct config c;

    config_init(&c);
    read_text(&c, "data.dir = f\nnum.partitions = 3\nnode.id = 7\n");
    expect_ok(config_read_environment(&c, environment));
    expect_ok(config_set(&c, "num.partitions=5"));
    expect_string(config_text(&c, OPT_DATA_DIR), "e");
    expect_string(c.items[OPT_DATA_DIR].origin, "environment PABAL_DATA_DIR");
    expect_int(config_number(&c, OPT_NUM_PARTITIONS), 5);
    expect_string(c.items[OPT_NUM_PARTITIONS].origin, "--set");
    expect_int(config_number(&c, OPT_NODE_ID), 7);
    expect_int(config_number(&c, OPT_AUTO_CREATE_TOPICS), 0);
    config_reset(&c);
}

TEST(an_unknown_variable_is_refused_but_not_what_means_something_else)
{
    char *fine[] = {"PABAL_SERVER=a:1", "PABAL_PORT=tcp://10.0.0.1:9092",
                    "PABAL_SERVICE_HOST=10.0.0.1", "PABAL_CONFIG=/x", NULL};
    char *unknown[] = {"PABAL_DATA_DRI=x", NULL};
    char *wrong[] = {"PABAL_NODE_ID=one", NULL};
    struct config c;

    config_init(&c);
    expect_ok(config_read_environment(&c, fine));
    expect_err(config_read_environment(&c, unknown), E_INVALID);
    expect_err_text("environment PABAL_DATA_DRI: unknown key \"data.dri\"; did you mean");
    expect_err(config_read_environment(&c, wrong), E_INVALID);
    expect_err_text("environment PABAL_NODE_ID: node.id = one");
    config_reset(&c);
}

TEST(a_set_flag_is_checked_like_a_line)
{
    struct config c;

    config_init(&c);
    expect_err(config_set(&c, "data.dir"), E_INVALID);
    expect_err_text("--set data.dir: \"data.dir\" is not key = value");
    expect_err(config_set(&c, "nope=1"), E_INVALID);
    config_reset(&c);
}

TEST(a_missing_file_is_not_found)
{
    struct config c;

    config_init(&c);
    expect_err(config_read_file(&c, "/nonexistent/pabal.conf"), E_NOT_FOUND);
    expect_err_text("configuration /nonexistent/pabal.conf");
    config_reset(&c);
}

TEST(kafka_opens_to_strangers_only_when_that_is_said)
{
    struct config c;

    config_init(&c);
    expect_ok(config_check(&c));
    expect_ok(config_set(&c, "listener.kafka=0.0.0.0:9092"));
    expect_err(config_check(&c), E_REFUSED);
    expect_err_text("allow.anonymous = true");
    expect_ok(config_set(&c, "allow.anonymous=true"));
    expect_ok(config_check(&c));
    expect_ok(config_set(&c, "allow.anonymous=false"));
    expect_ok(config_set(&c, "listener.kafka=none"));
    expect_ok(config_check(&c));
    config_reset(&c);
}

TEST(loopback_is_told_by_the_address)
{
    expect_true(config_address_is_loopback("127.0.0.1:9092"));
    expect_true(config_address_is_loopback("127.1.2.3:1"));
    expect_true(config_address_is_loopback("localhost:9092"));
    expect_true(config_address_is_loopback("[::1]:9092"));
    expect_false(config_address_is_loopback("0.0.0.0:9092"));
    expect_false(config_address_is_loopback("[::]:9092"));
    expect_false(config_address_is_loopback("localhost.example.org:1"));
    expect_false(config_address_is_loopback("127.example.org:1"));
}

TEST(json_has_every_option_with_value_and_origin)
{
    struct config c;

    config_init(&c);
    json_t *all = config_json(&c);
    expect_int(json_object_size(all), OPTION_COUNT);
    json_t *option = json_object_get(all, "durability");
    expect_string(json_string_value(json_object_get(option, "value")), "fsync");
    expect_string(json_string_value(json_object_get(option, "origin")), "default");
    json_decref(all);
    config_reset(&c);
}

TEST(passwords_are_not_shown)
{
    struct config c;

    config_init(&c);
    expect_ok(config_set(&c, "default_pass=tiger"));
    expect_string(config_text(&c, OPT_DEFAULT_PASSWORD), "tiger");
    json_t *all = config_json(&c);
    json_t *option = json_object_get(all, "default.password");
    expect_string(json_string_value(json_object_get(option, "value")), "(not shown)");
    json_decref(all);
    char large[300];
    struct option_value value;
    memset(large, 'x', sizeof large);
    expect_err(option_parse(OPT_DEFAULT_PASSWORD, bytes_of(large, sizeof large), &value),
               E_INVALID);
    expect_null(strstr(err_text(), "xxx"));
    config_reset(&c);
}

/* OPTIONS_DOCUMENT is docs/options.md in the source tree. */
TEST(the_page_of_options_is_what_the_table_says)
{
    struct text wanted = {0}, found = {0};
    FILE *file = fopen(OPTIONS_DOCUMENT, "r");

    expect_not_null(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file))
        text_put_u8(&found, (uint8_t)c);
    fclose(file);
    config_document(&wanted);
    expect_string(text_string(&found),
                  text_string(&wanted)); /* `pabal config document` writes it */
    text_reset(&wanted);
    text_reset(&found);
}
