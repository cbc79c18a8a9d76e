/*
 * How long the longest turn of the core takes when a client asks for very much at once:
 *
 *   turns_bench
 *
 * In memory, with 100,000 topics, with ten topics of 10,000 partitions, with 100,000 groups and with
 * 100,000 idempotent producers. Prints for each request its longest turn, the time of all, and how many
 * turns there were.
 */
#include "base/check.h"
#include "broker/producer.h"
#include "io/clock.h"
#include "kafka/test_broker.h"

#include <stdio.h>

enum { MANY = 100000, LARGE_TOPICS = 10, LARGE_PARTITIONS = 10000, TURNS_MAX = 100000 };

enum { METADATA_VERSION = 12, LOG_DIRS_VERSION = 4, FETCH_VERSION = 13, ALTER_VERSION = 1 };

struct times {
    int64_t longest_ns, all_ns;
    int turns;
};

static void add(struct times *t, int64_t start_ns)
{
    int64_t took_ns = clock_now_ns() - start_ns;
    t->all_ns += took_ns;
    t->turns += took_ns > 20000; /* else nothing was done */
    if (took_ns > t->longest_ns)
        t->longest_ns = took_ns;
}

static void run_turn(struct test_broker *b, struct times *t)
{
    sim_jobs_drain(b->jobs);
    int64_t start_ns = clock_now_ns();
    core_turn_end(b->core);
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    add(t, start_ns);
}

static void print(const char *what, const struct times *t)
{
    printf("%-44s longest turn %7.2f ms, all %8.2f ms in %d turns\n", what,
           (double)t->longest_ns / 1e6, (double)t->all_ns / 1e6, t->turns);
}

/* Send, and turn until the answer is there. */
static void measure(struct test_broker *b, const char *what, int key, int version, const void *body)
{
    struct times t = {0};
    struct test_client *c = broker_client(b);
    struct text frame = {0};
    put_request(&frame, key, version, 1, body);
    int64_t start_ns = clock_now_ns();
    sim_link_feed(c->link, text_bytes(&frame));
    add(&t, start_ns);
    text_reset(&frame);
    for (int i = 0; sim_link_output(c->link).size == 0; i++) {
        check(i < TURNS_MAX);
        run_turn(b, &t);
    }
    run_turn(b, &t);
    print(what, &t);
    sim_link_free(c->link);
    b->client_count--;
}

static void make_topics(struct test_broker *b, int count, int32_t partitions)
{
    char name[32];
    for (int i = 0; i < count; i++) {
        struct topic_spec spec = {.partition_count = partitions};
        struct topic *topic;
        snprintf(name, sizeof name, "topic-%d", i);
        spec.name = bytes_from_string(name);
        enum err err = topic_create(b->core, &spec, &topic);
        check(!err);
        if (i % 1000 == 0)
            broker_turn(b);
    }
    broker_commit(b);
}

static void measure_lists(struct test_broker *b, const char *kind)
{
    char what[64];
    struct kafka_metadata_request *metadata =
        wire_new(&kafka_metadata_request_schema, &b->arena, 1);
    metadata->topics.items = NULL;
    snprintf(what, sizeof what, "Metadata, %s", kind);
    measure(b, what, KAFKA_METADATA, METADATA_VERSION, metadata);
    struct kafka_describe_log_dirs_request *dirs =
        wire_new(&kafka_describe_log_dirs_request_schema, &b->arena, 1);
    dirs->topics.items = NULL;
    snprintf(what, sizeof what, "DescribeLogDirs, %s", kind);
    measure(b, what, KAFKA_DESCRIBE_LOG_DIRS, LOG_DIRS_VERSION, dirs);
}

static void measure_broker_default(struct test_broker *b)
{
    struct kafka_incremental_alter_configs_request *in =
        wire_new(&kafka_incremental_alter_configs_request_schema, &b->arena, 1);
    struct kafka_incremental_alter_configs_request_resource *resource =
        wire_new(&kafka_incremental_alter_configs_request_resource_schema, &b->arena, 1);
    struct kafka_incremental_alter_configs_request_config *config =
        wire_new(&kafka_incremental_alter_configs_request_config_schema, &b->arena, 1);
    in->resources.items = resource;
    in->resources.count = 1;
    resource->resource_type = 4;
    resource->resource_name = BYTES_LITERAL("");
    resource->configs.items = config;
    resource->configs.count = 1;
    config->name = BYTES_LITERAL("log.retention.ms");
    config->value = BYTES_LITERAL("1000000");
    measure(b, "a broker's default changed, 100,000 topics", KAFKA_INCREMENTAL_ALTER_CONFIGS,
            ALTER_VERSION, in);
}

static void measure_deletion(struct test_broker *b, const char *what, const char *topic)
{
    struct times t = {0};
    int64_t start_ns = clock_now_ns();
    topic_delete(b->core, topic_find(b->core, bytes_from_string(topic)));
    add(&t, start_ns);
    for (int i = 0; i < 8; i++)
        run_turn(b, &t);
    print(what, &t);
}

TEST(many_topics)
{
    struct test_broker b;
    broker_open(&b);
    make_topics(&b, MANY, 1);
    measure_lists(&b, "100,000 topics");
    measure_broker_default(&b);
    broker_close(&b);
}

static void measure_fetch(struct test_broker *b)
{
    struct kafka_fetch_request *in = wire_new(&kafka_fetch_request_schema, &b->arena, 1);
    struct topic *topic = topic_find(b->core, BYTES_LITERAL("topic-0"));
    struct batch batch;
    expect_ok(batch_parse(make_batch(&b->arena, b->wall_ms, "value", NULL), &batch));
    in->max_bytes = 50 << 20;
    in->session_epoch = 0;
    in->topics.items = wire_new(&kafka_fetch_request_topic_schema, &b->arena, 1);
    in->topics.count = 1;
    memcpy(&in->topics.items[0].topic_id, topic->id, sizeof topic->id);
    in->topics.items[0].partitions.items =
        wire_new(&kafka_fetch_request_partition_schema, &b->arena, LARGE_PARTITIONS);
    in->topics.items[0].partitions.count = LARGE_PARTITIONS;
    for (int32_t i = 0; i < LARGE_PARTITIONS; i++) {
        int64_t base_offset, append_time;
        struct ticket ticket;
        in->topics.items[0].partitions.items[i].partition = i;
        in->topics.items[0].partitions.items[i].partition_max_bytes = 1 << 20;
        expect_ok(partition_append(b->core, topic->partitions[i], &batch, &base_offset,
                                   &append_time, &ticket));
    }
    broker_commit(b);
    measure(b, "Fetch, full, 10,000 partitions with records", KAFKA_FETCH, FETCH_VERSION, in);
}

TEST(large_topics)
{
    struct test_broker b;
    broker_open(&b);
    make_topics(&b, LARGE_TOPICS, LARGE_PARTITIONS);
    measure_lists(&b, "100,000 partitions");
    measure_fetch(&b);
    measure_deletion(&b, "a topic of 10,000 partitions deleted", "topic-0");
    broker_close(&b);
}

/* Each has committed one partition of "topic-0", of which nobody knows when it is deleted. */
TEST(many_groups)
{
    struct test_broker b;
    broker_open(&b);
    make_topics(&b, 2, 1);
    struct test_client *c = broker_client(&b);
    struct kafka_offset_commit_request *in =
        wire_new(&kafka_offset_commit_request_schema, &b.arena, 1);
    in->topics.items = wire_new(&kafka_offset_commit_request_topic_schema, &b.arena, 1);
    in->topics.count = 1;
    in->topics.items[0].name = BYTES_LITERAL("topic-0");
    in->topics.items[0].partitions.items =
        wire_new(&kafka_offset_commit_request_partition_schema, &b.arena, 1);
    in->topics.items[0].partitions.count = 1;
    char id[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "group-%d", i);
        in->group_id = bytes_from_string(id);
        client_send(c, KAFKA_OFFSET_COMMIT, 7, in);
        if (i % 1000 == 0) {
            broker_commit(&b);
            sim_link_clear(c->link);
        }
    }
    broker_commit(&b);
    measure_deletion(&b, "a topic deleted, 100,000 groups of another", "topic-1");
    broker_close(&b);
}

TEST(many_producers)
{
    struct producer_pool pool;
    struct text out = {0};
    struct arena arena;
    struct batch batch;
    arena_init(&arena, 1 << 20);
    producer_pool_init(&pool, MANY);
    struct producers *p = producers_new(&pool);
    struct bytes raw = make_batch(&arena, 1, "value", NULL);
    for (int sequence = 0; sequence < PRODUCER_BATCHES; sequence++)
        for (int i = 0; i < MANY; i++) {
            batch_of_producer(raw, i, 0, sequence);
            expect_ok(batch_parse(raw, &batch));
            producers_note(p, &batch, p->covered, 1700000000000, 1700000000000);
        }
    struct times t = {0};
    for (int i = 0; i < 3; i++) {
        out.size = 0;
        int64_t start_ns = clock_now_ns();
        producers_put_checkpoint(p, &out);
        add(&t, start_ns);
    }
    print("a checkpoint of 100,000 producers (3 times)", &t);
    printf("%-44s %zu bytes\n", "", out.size);
    producers_free(p);
    text_reset(&out);
    arena_reset(&arena);
}
