#include "tests/test.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/test_core.h"

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

TEST(topic_names_follow_kafka_s_rule)
{
    char name[251];
    memset(name, 'a', sizeof name);
    expect_true(topic_name_is_legal(B("a.B_c-9")));
    expect_true(topic_name_is_legal(bytes_of(name, 249)));
    expect_false(topic_name_is_legal(bytes_of(name, 250)));
    expect_false(topic_name_is_legal(B("")));
    expect_false(topic_name_is_legal(B(".")));
    expect_false(topic_name_is_legal(B("..")));
    expect_true(topic_name_is_legal(B("...")));
    expect_false(topic_name_is_legal(B("a/b")));
    expect_false(topic_name_is_legal(B("\xc3\xa9")));
}

static enum err create(struct test_core *t, const char *name, int32_t partitions,
                       const char *config, const char *value, bool validate_only)
{
    struct topic *topic = NULL;
    struct topic_config configs[] = {{(char *)config, (char *)value}};
    struct topic_spec spec = {.name = B(name),
                              .partition_count = partitions,
                              .configs = configs,
                              .config_count = config ? 1 : 0,
                              .validate_only = validate_only};
    return topic_create(t->core, &spec, &topic);
}

TEST(a_topic_that_cannot_be_is_refused_with_a_reason)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(create(&t, "t", 1, NULL, NULL, false));
    expect_err(create(&t, "t", 1, NULL, NULL, false), E_EXISTS);
    expect_err(create(&t, "a b", 1, NULL, NULL, false), E_REFUSED);
    expect_err_text("'a b'");
    expect_err(create(&t, "u", 0, NULL, NULL, false), E_OUT_OF_RANGE);
    expect_err(create(&t, "u", -2, NULL, NULL, false), E_OUT_OF_RANGE);
    expect_err(create(&t, "u", TOPIC_PARTITIONS_MAX + 1, NULL, NULL, false), E_TOO_LARGE);
    expect_err(create(&t, "u", 1, "no.such", "1", false), E_INVALID);
    expect_err_text("no.such");
    expect_err(create(&t, "u", 1, "remote.storage.enable", "true", false), E_UNSUPPORTED);
    expect_null(topic_find(t.core, B("u")));
    test_core_end(&t);
}

TEST(a_topic_that_is_only_validated_is_not_made)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(create(&t, "t", 3, "retention.ms", "5", true));
    expect_null(topic_find(t.core, B("t")));
    expect_err(create(&t, "t", 3, "retention.ms", "x", true), E_INVALID);
    test_core_end(&t);
}

TEST(a_topic_has_what_it_does_not_say_from_the_broker)
{
    struct test_core t;
    test_core_init(&t);
    expect_ok(create(&t, "t", -1, "max.message.bytes", "1000", false));
    struct topic *topic = topic_find(t.core, B("t"));
    expect_int(topic->partition_count, 3);
    expect_int(topic->message_max_bytes, 1000);
    expect_int(topic->level, LEVEL_FSYNC);
    expect_int(topic->timestamp_after_max_ms, 3600000);
    expect_null(topic_partition(topic, 3));
    expect_null(topic_partition(topic, -1));
    test_core_end(&t);
}

/* ---- appending ---- */

struct produced {
    struct batch_builder builder;
    struct batch batch;
    int64_t base_offset, append_time;
    struct ticket ticket;
};

static enum err produce(struct test_core *t, struct partition *p, int64_t timestamp, size_t size,
                        struct produced *out)
{
    uint8_t *value = xzalloc(size);
    batch_builder_begin(&out->builder, 0);
    batch_builder_add(&out->builder, timestamp, BYTES_NULL, bytes_of(value, size), BYTES_NULL, 0);
    expect_ok(batch_parse(batch_builder_end(&out->builder), &out->batch));
    free(value);
    return partition_append(t->core, p, &out->batch, &out->base_offset, &out->append_time,
                            &out->ticket);
}

TEST(queues_and_topics_that_move_while_the_core_is_closed_are_forgotten)
{
    struct test_core t;
    struct produced p = {0};
    struct ticket ticket;
    test_core_init(&t);
    test_durable_queue(&t, "q");
    struct topic *topic = test_topic(&t, "t", 1);
    test_core_settle(&t);
    expect_ok(test_publish(&t, "q", "a", &ticket));
    expect_ok(produce(&t, topic_partition(topic, 0), t.wall_ms, 10, &p));
    test_core_end(&t);
    batch_builder_reset(&p.builder);
}

TEST(a_produced_batch_is_in_the_log_when_its_ticket_is_done_also_after_a_crash)
{
    struct test_core t;
    struct produced p = {0};
    struct test_wait w;
    test_core_init(&t);
    struct partition *partition = topic_partition(test_topic(&t, "t", 2), 1);
    expect_ok(produce(&t, partition, t.wall_ms, 10, &p));
    expect_int(p.base_offset, 0);
    expect_int(p.append_time, -1);
    expect_ok(produce(&t, partition, t.wall_ms, 10, &p));
    expect_int(p.base_offset, 1);
    test_wait(&t, &w, p.ticket);
    test_core_settle(&t);
    expect_true(w.is_done);
    test_core_crash(&t);
    partition = topic_partition(topic_find(t.core, B("t")), 1);
    expect_int(partition->log->hw, 2);
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

TEST(a_batch_over_the_topic_s_limit_is_refused)
{
    struct test_core t;
    struct produced p = {0};
    test_core_init(&t);
    expect_ok(create(&t, "t", 1, "max.message.bytes", "200", false));
    struct partition *partition = topic_partition(topic_find(t.core, B("t")), 0);
    expect_ok(produce(&t, partition, t.wall_ms, 100, &p));
    expect_err(produce(&t, partition, t.wall_ms, 200, &p), E_TOO_LARGE);
    expect_int(partition->log->end, 1);
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

TEST(timestamps_far_from_the_clock_are_refused)
{
    struct test_core t;
    struct produced p = {0};
    test_core_init(&t);
    expect_ok(create(&t, "t", 1, "message.timestamp.before.max.ms", "1000", false));
    struct partition *partition = topic_partition(topic_find(t.core, B("t")), 0);
    expect_ok(produce(&t, partition, t.wall_ms + 3600000, 1, &p));
    expect_err(produce(&t, partition, t.wall_ms + 3600001, 1, &p), E_OUT_OF_RANGE);
    expect_ok(produce(&t, partition, t.wall_ms - 1000, 1, &p));
    expect_err(produce(&t, partition, t.wall_ms - 1001, 1, &p), E_OUT_OF_RANGE);
    expect_ok(produce(&t, partition, -1, 1, &p)); /* none */
    expect_err(produce(&t, partition, INT64_MIN, 1, &p), E_OUT_OF_RANGE);
    expect_err(produce(&t, partition, INT64_MAX, 1, &p), E_OUT_OF_RANGE);
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

static struct batch stored(struct partition *p, int64_t offset)
{
    struct log_batch lb;
    struct batch b;
    size_t count;
    expect_ok(log_peek(p->log, offset, p->log->end, 1 << 20, &lb, 1, &count));
    expect_int(count, 1);
    expect_ok(batch_parse(lb.raw, &b));
    return b;
}

TEST(log_append_time_is_stamped_with_a_right_checksum)
{
    struct test_core t;
    struct produced p = {0};
    test_core_init(&t);
    expect_ok(create(&t, "t", 1, "message.timestamp.type", "LogAppendTime", false));
    struct partition *partition = topic_partition(topic_find(t.core, B("t")), 0);
    expect_ok(produce(&t, partition, 5, 10, &p));
    expect_int(p.append_time, t.wall_ms);
    struct batch b = stored(partition, 0);
    expect_true(b.attributes & BATCH_LOG_APPEND_TIME);
    expect_int(b.max_timestamp, t.wall_ms);
    expect_int(b.base_timestamp, 5);
    expect_true(batch_is_intact(&b));
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

TEST(the_bit_of_log_append_time_is_cleared_when_the_topic_has_create_time)
{
    struct test_core t;
    struct produced p = {0};
    test_core_init(&t);
    struct partition *partition = topic_partition(test_topic(&t, "t", 1), 0);
    batch_builder_begin(&p.builder, BATCH_LOG_APPEND_TIME);
    batch_builder_add(&p.builder, t.wall_ms, BYTES_NULL, B("v"), BYTES_NULL, 0);
    expect_ok(batch_parse(batch_builder_end(&p.builder), &p.batch));
    expect_ok(
        partition_append(t.core, partition, &p.batch, &p.base_offset, &p.append_time, &p.ticket));
    struct batch b = stored(partition, 0);
    expect_false(b.attributes & BATCH_LOG_APPEND_TIME);
    expect_true(batch_is_intact(&b));
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

TEST(a_client_s_control_batch_is_refused)
{
    struct test_core t;
    struct produced p = {0};
    test_core_init(&t);
    struct partition *partition = topic_partition(test_topic(&t, "t", 1), 0);
    batch_builder_begin(&p.builder, BATCH_CONTROL);
    batch_builder_add(&p.builder, t.wall_ms, B("\0\0\0\0"), B("v"), BYTES_NULL, 0);
    expect_ok(batch_parse(batch_builder_end(&p.builder), &p.batch));
    expect_err(
        partition_append(t.core, partition, &p.batch, &p.base_offset, &p.append_time, &p.ticket),
        E_MALFORMED);
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

TEST(a_topic_in_memory_is_empty_after_a_restart)
{
    struct test_core t;
    struct produced p = {0};
    test_core_init(&t);
    expect_ok(create(&t, "t", 1, "durability", "memory", false));
    struct partition *partition = topic_partition(topic_find(t.core, B("t")), 0);
    expect_ok(produce(&t, partition, t.wall_ms, 10, &p));
    test_core_settle(&t);
    expect_int(partition->log->hw, 1);
    test_core_reopen(&t);
    expect_int(topic_partition(topic_find(t.core, B("t")), 0)->log->end, 0);
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

/* ---- watching ---- */

struct watcher {
    struct partition_watch watch;
    int told;
    bool saw_deleted, leaves, comes_back;
};

static void watched(struct partition_watch *watch, struct partition *p)
{
    struct watcher *w = container_of(watch, struct watcher, watch);
    w->told++;
    w->saw_deleted = p->topic->deleted;
    if (w->leaves || w->saw_deleted)
        partition_unwatch(watch);
    if (w->comes_back && !w->saw_deleted) {
        partition_unwatch(watch);
        partition_watch(p, watch);
    }
}

TEST(watches_are_told_once_when_the_high_watermark_moves_and_when_the_topic_goes)
{
    struct test_core t;
    struct produced p = {0};
    struct watcher a = {.watch = {.moved = watched}, .leaves = true};
    struct watcher b = {.watch = {.moved = watched}, .comes_back = true};
    test_core_init(&t);
    struct topic *topic = test_topic(&t, "t", 1);
    struct partition *partition = topic_partition(topic, 0);
    test_core_settle(&t);
    partition_watch(partition, &a.watch);
    partition_watch(partition, &b.watch);
    expect_ok(produce(&t, partition, t.wall_ms, 10, &p));
    test_core_turn(&t);
    expect_int(b.told, 0); /* not committed */
    test_core_settle(&t);
    expect_int(a.told, 1);
    expect_int(b.told, 1);
    topic_delete(t.core, topic);
    expect_null(topic_find(t.core, B("t")));
    expect_null(partition->log);
    test_core_settle(&t);
    expect_int(a.told, 1);
    expect_int(b.told, 2);
    expect_true(b.saw_deleted);
    batch_builder_reset(&p.builder);
    test_core_end(&t);
}

static void count_topic(void *ctx, struct topic *topic)
{
    (void)topic;
    (*(int *)ctx)++;
}

TEST(topic_ids_are_never_used_again)
{
    struct test_core t;
    uint8_t id[16];
    int count = 0;
    test_core_init(&t);
    memcpy(id, test_topic(&t, "t", 1)->id, 16);
    expect_int(id[6] >> 4, 4); /* a random uuid, never all zero */
    expect_int(id[8] >> 6, 2);
    test_core_settle(&t);
    topic_delete(t.core, topic_find(t.core, B("t")));
    struct topic *again = test_topic(&t, "t", 2);
    expect_true(memcmp(id, again->id, 16) != 0);
    expect_null(topic_find_id(t.core, id));
    test_core_settle(&t);
    test_core_crash(&t);
    expect_int(topic_find(t.core, B("t"))->partition_count, 2);
    topic_each(t.core, count_topic, &count);
    expect_int(count, 1);
    test_core_end(&t);
}
