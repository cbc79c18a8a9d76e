/* Topics that change: more partitions, other configs, names that are too near. */
#include "tests/test.h"

#include "broker/core_internal.h"
#include "broker/test_core.h"
#include "broker/topic_config.h"

static enum err create(struct test_core *t, const char *name, int32_t partitions)
{
    struct topic_spec spec = {.name = bytes_from_string(name), .partition_count = partitions};
    struct topic *topic;
    return topic_create(t->core, &spec, &topic);
}

static struct topic *find(struct test_core *t, const char *name)
{
    return topic_find(t->core, bytes_from_string(name));
}

static enum err alter(struct test_core *t, const char *name, const char *value, bool validate_only)
{
    struct topic *topic = find(t, "t");
    struct config_set set = {0};
    config_set_put_all(&set, topic->configs.items, topic->configs.count);
    config_set_put(&set, name, value);
    enum err err = topic_alter(t->core, topic, &set, validate_only);
    config_set_reset(&set);
    return err;
}

TEST(altered_configs_are_in_force_at_once_and_after_a_crash)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(create(&t, "t", 2));
    expect_ok(alter(&t, "retention.ms", "5", true));
    expect_int(find(&t, "t")->policy.retention_ms, 604800000);
    expect_ok(alter(&t, "retention.ms", "5", false));
    expect_ok(alter(&t, "segment.ms", "6", false));
    expect_ok(alter(&t, "min.insync.replicas", "2", false));
    for (int i = 0; i < 2; i++) {
        struct topic *topic = find(&t, "t");
        expect_int(topic->configs.count, 3);
        expect_int(topic->policy.retention_ms, 5);
        expect_int(topic->policy.segment_ms, 6);
        expect_true(topic->policy.drop && !topic->policy.compact);
        test_core_settle(&t);
        test_core_crash(&t);
    }
    struct config_set none = {0};
    expect_ok(topic_alter(t.core, find(&t, "t"), &none, false));
    expect_int(find(&t, "t")->policy.retention_ms, 604800000);
    test_core_end(&t);
}

TEST(configs_that_cannot_be_are_refused_and_change_nothing)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(create(&t, "t", 1));
    expect_err(alter(&t, "retention.ms", "x", false), E_INVALID);
    expect_err(alter(&t, "no.such", "1", false), E_INVALID);
    expect_err(alter(&t, "durability", "os", false), E_UNSUPPORTED);
    expect_ok(alter(&t, "durability", "fsync", false)); /* what it is */
    expect_ok(alter(&t, "max.compaction.lag.ms", "10", false));
    expect_err(alter(&t, "min.compaction.lag.ms", "11", false), E_INVALID);
    expect_err_text("conflict topic config setting");
    expect_int(find(&t, "t")->configs.count, 2);
    test_core_end(&t);
}

TEST(a_topic_gets_more_partitions_and_its_old_ones_stay_where_they_are)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(create(&t, "t", 2));
    struct topic *topic = find(&t, "t");
    struct partition *second = topic_partition(topic, 1);
    uint64_t second_log = second->log_id;
    expect_err(topic_grow(t.core, topic, 2, false), E_OUT_OF_RANGE);
    expect_err_text("currently has 2 partition(s); 2 would not be an increase");
    expect_err(topic_grow(t.core, topic, TOPIC_PARTITIONS_MAX + 1, false), E_TOO_LARGE);
    expect_ok(topic_grow(t.core, topic, 5, true));
    expect_int(topic->partition_count, 2);
    expect_ok(topic_grow(t.core, topic, 5, false));
    expect_int(topic->partition_count, 5);
    expect_true(topic_partition(topic, 1) == second);
    expect_int(topic_partition(topic, 4)->index, 4);
    expect_not_null(topic_partition(topic, 4)->log);
    expect_int(t.core->internal->partition_count, 5);
    test_core_settle(&t);
    test_core_crash(&t);
    topic = find(&t, "t");
    expect_int(topic->partition_count, 5);
    expect_int(topic_partition(topic, 1)->log_id, second_log);
    expect_int(t.core->internal->partition_count, 5);
    topic_delete(t.core, topic);
    expect_int(t.core->internal->partition_count, 0);
    test_core_end(&t);
}

TEST(two_topics_whose_names_differ_in_dots_and_underscores_cannot_be)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(create(&t, "a.b_c", 1));
    expect_err(create(&t, "a_b.c", 1), E_REFUSED);
    expect_err_text("Topic 'a_b.c' collides with existing topic: a.b_c");
    expect_err(create(&t, "a.b_c", 1), E_EXISTS);
    expect_ok(create(&t, "a-b-c", 1));
    test_core_settle(&t);
    test_core_crash(&t);
    expect_err(create(&t, "a_b_c", 1), E_REFUSED);
    topic_delete(t.core, find(&t, "a.b_c"));
    expect_ok(create(&t, "a_b_c", 1));
    test_core_end(&t);
}

TEST(a_broker_has_only_so_many_partitions)
{
    struct test_core t;
    test_core_init(&t);
    t.core->internal->partition_count += TOPICS_PARTITIONS_MAX - 3;
    expect_err(create(&t, "t", 4), E_TOO_LARGE);
    expect_ok(create(&t, "t", 2));
    expect_err(topic_grow(t.core, find(&t, "t"), 4, false), E_TOO_LARGE);
    expect_ok(topic_grow(t.core, find(&t, "t"), 3, false));
    test_core_end(&t);
}
