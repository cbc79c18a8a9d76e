/* What Kafka clients are told of the configuration. */
#include "tests/test.h"

#include "broker/broker_config.h"
#include "broker/topic_config.h"
#include "server/broker_settings.h"

static const struct broker_setting *find(const struct broker_settings *b, const char *name)
{
    const struct broker_setting *found = NULL;
    for (size_t i = 0; i < b->count; i++) {
        if (strcmp(b->items[i].name, name) != 0)
            continue;
        expect_null(found); /* each name once */
        found = &b->items[i];
    }
    expect_not_null(found);
    return found;
}

static void make(const char *const *assignments, struct config *c, struct broker_settings *out)
{
    config_init(c);
    for (; *assignments; assignments++)
        expect_ok(config_set(c, *assignments));
    broker_settings_make(c, out);
}

TEST(options_are_told_by_kafka_s_names_and_in_its_units)
{
    static const char *const assignments[] = {"data.dir=/d", "segment.bytes=16MiB",
                                              "listener.kafka=:9", NULL};
    struct config c;
    struct broker_settings b;
    make(assignments, &c, &b);
    expect_string(find(&b, "log.dirs")->value, "/d");
    expect_true(find(&b, "log.dirs")->is_given);
    expect_string(find(&b, "log.segment.bytes")->value, "16777216");
    expect_string(find(&b, "listeners")->value, "PLAINTEXT://0.0.0.0:9");
    expect_string(find(&b, "message.max.bytes")->value, "1048588");
    expect_false(find(&b, "message.max.bytes")->is_given);
    expect_string(find(&b, "num.partitions")->value, "1");
    expect_int(find(&b, "num.partitions")->type, CONFIG_INT);
    expect_string(find(&b, "broker.id")->value, find(&b, "node.id")->value);
    for (size_t i = 0; i < b.count; i++) {
        expect_true(b.items[i].help[0] != 0 && b.items[i].value != NULL);
        expect_null(strstr(b.items[i].name, "password")); /* they are nobody's business */
    }
    config_reset(&c);
}

TEST(every_default_of_a_topic_config_is_legal_and_kafka_s_own)
{
    static const char *const none[] = {NULL};
    struct config c;
    struct broker_settings b;
    make(none, &c, &b);
    for (size_t i = 0; i < b.count; i++) {
        const struct topic_config_row *row = topic_config_of_broker(b.items[i].name);
        if (!row)
            continue;
        expect_ok(topic_config_check(row->name, b.items[i].value));
        if (row->standard)
            expect_string(b.items[i].value, row->standard);
    }
    config_reset(&c);
}

TEST(the_finest_unit_of_a_time_wins)
{
    static const char *const hours[] = {"log.retention.hours=2", "log.roll.hours=3", NULL};
    static const char *const minutes[] = {"log.retention.hours=2", "log.retention.minutes=5", NULL};
    static const char *const ms[] = {"log.retention.minutes=5", "log.retention.ms=7", NULL};
    static const char *const ever[] = {"log.retention.hours=-1", NULL};
    struct config c;
    struct broker_settings b;
    make(hours, &c, &b);
    expect_string(find(&b, "log.retention.ms")->value, "7200000");
    expect_string(find(&b, "log.roll.ms")->value, "10800000");
    expect_true(find(&b, "log.roll.ms")->is_given);
    config_reset(&c);
    make(minutes, &c, &b);
    expect_string(find(&b, "log.retention.ms")->value, "300000");
    config_reset(&c);
    make(ms, &c, &b);
    expect_string(find(&b, "log.retention.ms")->value, "7");
    config_reset(&c);
    make(ever, &c, &b);
    expect_string(find(&b, "log.retention.ms")->value, "-1");
    config_reset(&c);
}

TEST(a_default_of_a_topic_config_is_checked_as_one)
{
    struct config c;
    config_init(&c);
    expect_ok(config_set(&c, "log.cleanup.policy=compact,delete"));
    expect_err(config_set(&c, "log.cleanup.policy=squash"), E_INVALID);
    expect_err_text("compact");
    expect_err(config_set(&c, "log.retention.ms=-2"), E_INVALID);
    expect_err_text("-1 or more");
    expect_err(config_set(&c, "log.cleaner.min.cleanable.ratio=2"), E_INVALID);
    expect_err_text("0 to 1");
    config_reset(&c);
}
