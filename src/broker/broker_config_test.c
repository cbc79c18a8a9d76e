/* Sets of configs, and the broker's own. */
#include "tests/test.h"

#include "broker/broker_config.h"
#include "broker/test_core.h"
#include "broker/topic_config.h"

static const struct broker_setting settings[] = {
    {"log.retention.ms", "1000", "kept so long", CONFIG_LONG, true},
    {"num.partitions", "3", "partitions", CONFIG_INT, false},
};

TEST(a_set_of_configs_is_sorted_and_has_each_name_once)
{
    static const char *const names[] = {"m", "c", "x", "a", "m", "z", "c"};
    struct config_set set = {0}, other = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        config_set_put(&set, names[i], i < 4 ? "old" : "new");
    expect_int(set.count, 5);
    for (size_t i = 1; i < set.count; i++)
        expect_true(strcmp(set.items[i - 1].name, set.items[i].name) < 0);
    expect_string(config_set_get(&set, "c"), "new");
    expect_string(config_set_get(&set, "a"), "old");
    expect_null(config_set_get(&set, "b"));
    config_set_remove(&set, "b");
    config_set_remove(&set, "m");
    expect_int(set.count, 4);
    config_set_put_all(&other, set.items, 2);
    config_set_move(&set, &other);
    expect_int(other.count, 0);
    expect_int(set.count, 2);
    expect_string(set.items[1].name, "c");
    config_set_reset(&set);
}

static enum err alter(struct test_core *t, enum broker_scope scope, const char *name,
                      const char *value)
{
    struct config_set set = {0};
    config_set_put_all(&set, broker_configs(t->core, scope)->items,
                       broker_configs(t->core, scope)->count);
    if (value)
        config_set_put(&set, name, value);
    else
        config_set_remove(&set, name);
    enum err err = broker_config_alter(t->core, scope, &set, false);
    config_set_reset(&set);
    return err;
}

static void open_with_settings(struct test_core *t)
{
    test_core_init(t);
    test_core_close(t);
    t->config.settings = settings;
    t->config.setting_count = sizeof settings / sizeof *settings;
    expect_ok(test_core_open(t));
}

static struct topic *make_topic(struct test_core *t, const char *name)
{
    struct topic_spec spec = {.name = bytes_from_string(name), .partition_count = 1};
    struct topic *topic;
    expect_ok(topic_create(t->core, &spec, &topic));
    return topic;
}

TEST(the_strongest_of_node_cluster_and_configuration_is_in_force_at_once)
{
    struct test_core t;
    open_with_settings(&t);
    struct topic *topic = make_topic(&t, "t");
    expect_int(topic->policy.retention_ms, 1000);
    expect_ok(alter(&t, BROKER_SCOPE_CLUSTER, "log.retention.ms", "2000"));
    expect_int(topic->policy.retention_ms, 2000);
    expect_ok(alter(&t, BROKER_SCOPE_NODE, "log.retention.ms", "3000"));
    expect_int(topic->policy.retention_ms, 3000);
    expect_int(make_topic(&t, "u")->policy.retention_ms, 3000);

    struct config_values values;
    topic_config_values(t.core, &topic->configs, topic_config_find("retention.ms"), &values);
    expect_int(values.count, 3);
    expect_int(values.items[0].source, CONFIG_OF_NODE);
    expect_int(values.items[1].source, CONFIG_OF_CLUSTER);
    expect_int(values.items[2].source, CONFIG_OF_FILE);
    expect_string(values.items[2].value, "1000");

    expect_ok(alter(&t, BROKER_SCOPE_NODE, "log.retention.ms", NULL));
    expect_int(topic->policy.retention_ms, 2000);
    expect_ok(alter(&t, BROKER_SCOPE_CLUSTER, "log.retention.ms", NULL));
    expect_int(topic->policy.retention_ms, 1000);
    test_core_end(&t);
}

TEST(broker_configs_are_there_again_after_a_crash)
{
    struct test_core t;
    open_with_settings(&t);
    make_topic(&t, "t");
    expect_ok(alter(&t, BROKER_SCOPE_CLUSTER, "log.retention.ms", "2000"));
    expect_ok(alter(&t, BROKER_SCOPE_NODE, "message.max.bytes", "5000"));
    test_core_settle(&t);
    test_core_crash(&t);
    struct topic *topic = topic_find(t.core, BYTES_LITERAL("t"));
    expect_int(topic->policy.retention_ms, 2000);
    expect_int(topic->message_max_bytes, 5000);
    expect_ok(alter(&t, BROKER_SCOPE_NODE, "message.max.bytes", NULL));
    test_core_settle(&t);
    test_core_crash(&t);
    expect_int(topic_find(t.core, BYTES_LITERAL("t"))->message_max_bytes, 1048588);
    expect_int(broker_configs(t.core, BROKER_SCOPE_NODE)->count, 0);
    test_core_end(&t);
}

TEST(a_broker_config_that_cannot_be_set_is_refused_and_changes_nothing)
{
    struct test_core t;
    open_with_settings(&t);
    struct topic *topic = make_topic(&t, "t");
    expect_err(alter(&t, BROKER_SCOPE_NODE, "num.partitions", "2"), E_REFUSED);
    expect_err_text("Cannot update these configs dynamically");
    expect_err(alter(&t, BROKER_SCOPE_NODE, "no.such", "2"), E_INVALID);
    expect_err_text("no.such");
    expect_err(alter(&t, BROKER_SCOPE_NODE, "log.retention.ms", "soon"), E_INVALID);
    expect_err_text("log.retention.ms");
    expect_err(alter(&t, BROKER_SCOPE_NODE, "compression.type", "brotli"), E_INVALID);
    expect_int(broker_configs(t.core, BROKER_SCOPE_NODE)->count, 0);

    struct config_set set = {0};
    config_set_put(&set, "log.retention.ms", "7");
    expect_ok(broker_config_alter(t.core, BROKER_SCOPE_NODE, &set, true));
    expect_int(topic->policy.retention_ms, 1000);
    config_set_reset(&set);
    test_core_end(&t);
}
