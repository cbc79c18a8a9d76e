#include "tests/test.h"

#include "broker/test_core.h"
#include "broker/topic_config.h"

TEST(the_table_of_topic_configs_is_sorted_and_its_defaults_are_legal)
{
    struct test_core t;
    test_core_init(&t);
    size_t count;
    const struct topic_config_row *rows = topic_config_rows(&count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            expect_true(strcmp(rows[i - 1].name, rows[i].name) < 0);
        struct config_values values;
        topic_config_values(t.core, NULL, &rows[i], &values);
        expect_int(values.count, 1);
        expect_int(values.items[0].source, CONFIG_OF_DEFAULT);
        expect_ok(topic_config_check(rows[i].name, values.items[0].value));
        expect_true(rows[i].help[0] != 0);
        expect_true(topic_config_find(rows[i].name) == &rows[i]);
        if (rows[i].broker_name)
            expect_true(topic_config_of_broker(rows[i].broker_name) == &rows[i]);
    }
    test_core_end(&t);
}

TEST(an_unknown_topic_config_is_refused_by_name_with_the_nearest_one)
{
    expect_err(topic_config_check("retention.msec", "1"), E_INVALID);
    expect_err_text("retention.msec");
    expect_err_text("retention.ms");
    expect_err(topic_config_check("no.such.config.at.all", "1"), E_INVALID);
    expect_err_text("Unknown topic config name: no.such.config.at.all");
}

TEST(values_of_topic_configs_are_checked)
{
    static const struct {
        const char *name, *value;
        enum err err;
    } cases[] = {
        {"retention.ms", "-1", OK},
        {"retention.ms", "-2", E_INVALID},
        {"retention.ms", "1h", E_INVALID},
        {"retention.ms", NULL, E_INVALID},
        {"max.message.bytes", "2147483647", OK},
        {"max.message.bytes", "2147483648", E_INVALID},
        {"segment.bytes", "1048575", E_INVALID},
        {"message.timestamp.type", "LogAppendTime", OK},
        {"message.timestamp.type", "logappendtime", E_INVALID},
        {"min.cleanable.dirty.ratio", "0.25", OK},
        {"min.cleanable.dirty.ratio", "1.5", E_INVALID},
        {"min.cleanable.dirty.ratio", "half", E_INVALID},
        {"preallocate", "yes", E_INVALID},
        {"durability", "os", OK},
        {"durability", "none", E_INVALID},
        {"cleanup.policy", "delete", OK},
        {"cleanup.policy", "compact, delete", OK},
        {"cleanup.policy", "squash", E_INVALID},
        {"compression.type", "zstd", OK},
        {"compression.type", "uncompressed", OK},
        {"compression.type", "brotli", E_INVALID},
        {"remote.storage.enable", "true", E_UNSUPPORTED},
        {"min.insync.replicas", "2", OK},
        {"min.insync.replicas", "0", E_INVALID},
        {"local.retention.ms", "5", E_UNSUPPORTED},
        {"retention.ms", " 5 ", OK},
        {"leader.replication.throttled.replicas", "0:1,1:2", OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_err(topic_config_check(cases[i].name, cases[i].value), cases[i].err);
}
