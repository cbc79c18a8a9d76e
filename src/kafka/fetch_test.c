#include "kafka/test_broker.h"

#include "base/metrics.h"
#include "kafka/connection.h"
#include "kafka/errors.h"

/* A request for `count` partitions of one topic from offset 0 on: no waiting, no limits. */
static struct kafka_fetch_request *fetch_of(struct test_broker *b, const struct topic *topic,
                                            int32_t count)
{
    struct kafka_fetch_request *in = wire_new(&kafka_fetch_request_schema, &b->arena, 1);
    in->max_bytes = 50 << 20;
    in->session_epoch = -1;
    in->topics.items = wire_new(&kafka_fetch_request_topic_schema, &b->arena, 1);
    in->topics.count = 1;
    struct kafka_fetch_request_topic *asked = in->topics.items;
    asked->topic = topic->name;
    memcpy(&asked->topic_id, topic->id, sizeof topic->id);
    asked->partitions.items =
        wire_new(&kafka_fetch_request_partition_schema, &b->arena, (size_t)count);
    asked->partitions.count = count;
    for (int32_t i = 0; i < count; i++) {
        asked->partitions.items[i].partition = i;
        asked->partitions.items[i].partition_max_bytes = 1 << 20;
    }
    return in;
}

static struct kafka_fetch_request_partition *asked_partition(struct kafka_fetch_request *in, int i)
{
    return &in->topics.items[0].partitions.items[i];
}

static const struct kafka_fetch_response_partition *
answered_partition(const struct kafka_fetch_response *reply, int i)
{
    expect_not_null(reply);
    expect_int(reply->error_code, KAFKA_NONE);
    expect_int(reply->responses.count, 1);
    expect_true(i < reply->responses.items[0].partitions.count);
    return &reply->responses.items[0].partitions.items[i];
}

/* How many batches, all intact and in a row from `base_offset` on. */
static int count_batches(struct bytes records, int64_t base_offset)
{
    int count = 0;
    while (records.size > 0) {
        struct batch batch;
        expect_ok(batch_parse(records, &batch));
        expect_true(batch_is_intact(&batch));
        expect_int(batch.base_offset, base_offset);
        base_offset = batch_last_offset(&batch) + 1;
        records = bytes_of(records.data + batch.raw.size, records.size - batch.raw.size);
        count++;
    }
    return count;
}

/* A value that makes a batch of `size` bytes. */
static const char *value_for_batch_of(struct test_broker *b, size_t size)
{
    enum { AROUND_LONG_VALUE = BATCH_HEADER_BYTES + 10 };
    char *value = arena_alloc(&b->arena, size);
    memset(value, 'x', size - AROUND_LONG_VALUE);
    value[size - AROUND_LONG_VALUE] = 0;
    return value;
}

static size_t batch_size(struct partition *p, int64_t offset)
{
    struct log_batch batch;
    size_t count;
    expect_ok(log_peek(p->log, offset, p->log->hw, 1, &batch, 1, &count));
    expect_int(count, 1);
    return batch.raw.size;
}

/* ---- what is there ---- */

TEST(fetch_returns_what_was_produced_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    broker_append(&b, topic->partitions[1], "one");
    broker_append(&b, topic->partitions[1], "two");
    struct test_client *c = broker_client(&b);
    for (int version = 4; version <= 18; version++) {
        struct kafka_fetch_response *reply =
            client_call(c, KAFKA_FETCH, version, fetch_of(&b, topic, 2));
        const struct kafka_fetch_response_partition *out = answered_partition(reply, 0);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->high_watermark, 0);
        expect_int(out->records.size, 0);
        out = answered_partition(reply, 1);
        expect_int(out->partition_index, 1);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->high_watermark, 2);
        expect_int(out->last_stable_offset, 2);
        expect_int(out->log_start_offset, version >= 5 ? 0 : -1);
        expect_int(out->preferred_read_replica, -1);
        expect_int(count_batches(out->records, 0), 2);
        expect_int(get_u32(out->records.data + 12), store_epoch(b.core->store));
        expect_int(reply->session_id, 0);
    }
    broker_close(&b);
}

TEST(fetch_returns_large_batches_and_small_ones_mixed)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    for (int i = 0; i < 20; i++)
        broker_append(&b, topic->partitions[0], value_for_batch_of(&b, i % 3 ? 100 : 20000));
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, fetch_of(&b, topic, 1));
    expect_int(count_batches(answered_partition(reply, 0)->records, 0), 20);
    broker_close(&b);
}

TEST(fetch_from_inside_a_batch_returns_the_whole_batch)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    client_call(c, KAFKA_PRODUCE, 9,
                make_produce(&b.arena, "orders", 0, -1,
                             make_batch(&b.arena, b.wall_ms, "a", "b", "c", NULL)));
    struct topic *topic = topic_find(b.core, BYTES_LITERAL("orders"));
    struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
    asked_partition(in, 0)->fetch_offset = 2;
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_int(count_batches(answered_partition(reply, 0)->records, 0), 1);
    broker_close(&b);
}

TEST(fetch_reads_what_is_no_longer_in_memory)
{
    struct core_config config;
    broker_config(&config);
    config.store.cache_bytes = 1 << 20;
    struct test_broker b;
    broker_open_with(&b, &config);
    struct topic *topic = broker_topic(&b, "orders", 2);
    for (int i = 0; i < 120; i++)
        for (int32_t j = 0; j < 2; j++)
            broker_append(&b, topic->partitions[j], value_for_batch_of(&b, 60000));
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 2);
    for (int32_t i = 0; i < 2; i++)
        asked_partition(in, i)->partition_max_bytes = 10 << 20;
    uint64_t before = sim_disk_stats(b.disk)->calls[SIM_READ];
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_true(sim_disk_stats(b.disk)->calls[SIM_READ] > before);
    for (int32_t i = 0; i < 2; i++)
        expect_int(count_batches(answered_partition(reply, i)->records, 0), 120);
    broker_close(&b);
}

/* ---- sizes (KIP-74) ---- */

TEST(fetch_returns_the_first_batch_whatever_its_size)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    for (int32_t i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            broker_append(&b, topic->partitions[i], value_for_batch_of(&b, 1000));
    struct test_client *c = broker_client(&b);
    static const int32_t limits[][2] = {{1, 1 << 20}, {1 << 20, 1}, {0, 0}, {-1, -1}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct kafka_fetch_request *in = fetch_of(&b, topic, 2);
        in->max_bytes = limits[i][0];
        for (int j = 0; j < 2; j++)
            asked_partition(in, j)->partition_max_bytes = limits[i][1];
        struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
        expect_int(count_batches(answered_partition(reply, 0)->records, 0), 1);
        expect_int(answered_partition(reply, 1)->records.size, 0);
        expect_int(answered_partition(reply, 1)->high_watermark, 2);
    }
    broker_close(&b);
}

TEST(fetch_stops_at_whole_batches_within_the_limits)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 3);
    for (int32_t i = 0; i < 3; i++)
        for (int j = 0; j < 10; j++)
            broker_append(&b, topic->partitions[i], value_for_batch_of(&b, 1000));
    int32_t size = (int32_t)batch_size(topic->partitions[0], 0);
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 3);
    in->max_bytes = size * 5 + size / 2;
    for (int i = 0; i < 3; i++)
        asked_partition(in, i)->partition_max_bytes = size * 3 + size / 2;
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_int(count_batches(answered_partition(reply, 0)->records, 0), 3);
    expect_int(count_batches(answered_partition(reply, 1)->records, 0), 2);
    expect_int(answered_partition(reply, 2)->records.size, 0);
    broker_close(&b);
}

TEST(records_of_1_and_10_mb_go_in_and_out)
{
    static const size_t sizes[] = {1000000, 10000000};
    struct test_broker b;
    broker_open(&b);
    struct topic_config config = {"max.message.bytes", "20000000"};
    struct topic_spec spec = {.name = BYTES_LITERAL("large"),
                              .partition_count = 1,
                              .configs = &config,
                              .config_count = 1};
    struct topic *topic;
    expect_ok(topic_create(b.core, &spec, &topic));
    broker_commit(&b);
    struct test_client *c = broker_client(&b);
    for (int64_t i = 0; i < 2; i++) {
        struct bytes batch =
            make_batch(&b.arena, b.wall_ms, value_for_batch_of(&b, sizes[i]), NULL);
        struct kafka_produce_response *produced =
            client_call(c, KAFKA_PRODUCE, 9, make_produce(&b.arena, "large", 0, -1, batch));
        expect_int(produced->responses.items[0].partition_responses.items[0].error_code, 0);
        struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
        asked_partition(in, 0)->fetch_offset = i;
        struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 13, in);
        struct bytes records = answered_partition(reply, 0)->records;
        expect_int(count_batches(records, i), 1);
        expect_bytes(bytes_of(records.data + 61, records.size - 61),
                     bytes_of(batch.data + 61, batch.size - 61));
    }
    broker_close(&b);
}

/* ---- waiting ---- */

static struct kafka_fetch_request *waiting_fetch_of(struct test_broker *b, struct topic *topic,
                                                    int32_t count, int32_t min_bytes)
{
    struct kafka_fetch_request *in = fetch_of(b, topic, count);
    in->max_wait_ms = 500;
    in->min_bytes = min_bytes;
    return in;
}

TEST(fetch_waits_for_the_commit_and_not_for_the_append)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *consumer = broker_client(&b), *producer = broker_client(&b);
    int32_t id = client_send(consumer, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 1, 1));
    broker_commit(&b);
    expect_null(client_receive(consumer, KAFKA_FETCH, 12, id));

    client_send(producer, KAFKA_PRODUCE, 9,
                make_produce(&b.arena, "orders", 0, 0, make_batch(&b.arena, b.wall_ms, "a", NULL)));
    for (int i = 0; i < 3; i++)
        broker_turn(&b);
    expect_int(topic->partitions[0]->log->end, 1);
    expect_null(client_receive(consumer, KAFKA_FETCH, 12, id));
    broker_commit(&b);
    struct kafka_fetch_response *reply = client_receive(consumer, KAFKA_FETCH, 12, id);
    expect_int(count_batches(answered_partition(reply, 0)->records, 0), 1);
    broker_close(&b);
}

TEST(fetch_gives_up_after_max_wait_with_an_empty_answer)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 1, 1));
    broker_advance(&b, 499);
    expect_null(client_receive(c, KAFKA_FETCH, 12, id));
    broker_advance(&b, 1);
    struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, 12, id);
    expect_int(answered_partition(reply, 0)->records.size, 0);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_NONE);
    broker_close(&b);
}

TEST(fetch_waits_until_all_partitions_together_have_min_bytes)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 3);
    broker_append(&b, topic->partitions[0], value_for_batch_of(&b, 1000));
    int32_t size = (int32_t)batch_size(topic->partitions[0], 0);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 3, size * 3));
    broker_append(&b, topic->partitions[2], value_for_batch_of(&b, 1000));
    expect_null(client_receive(c, KAFKA_FETCH, 12, id));
    broker_append(&b, topic->partitions[2], value_for_batch_of(&b, 1000));
    struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, 12, id);
    expect_int(count_batches(answered_partition(reply, 0)->records, 0), 1);
    expect_int(answered_partition(reply, 1)->records.size, 0);
    expect_int(count_batches(answered_partition(reply, 2)->records, 0), 2);
    broker_close(&b);
}

TEST(fetch_counts_a_partition_only_up_to_its_own_limit)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = waiting_fetch_of(&b, topic, 2, 3000);
    asked_partition(in, 0)->partition_max_bytes = 1000;
    int32_t id = client_send(c, KAFKA_FETCH, 12, in);
    for (int i = 0; i < 5; i++)
        broker_append(&b, topic->partitions[0], value_for_batch_of(&b, 1000));
    expect_null(client_receive(c, KAFKA_FETCH, 12, id));
    broker_append(&b, topic->partitions[1], value_for_batch_of(&b, 2500));
    expect_not_null(client_receive(c, KAFKA_FETCH, 12, id));
    broker_close(&b);
}

TEST(fetch_does_not_wait_when_a_partition_has_an_error)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = waiting_fetch_of(&b, topic, 2, 1);
    asked_partition(in, 1)->fetch_offset = 1;
    int32_t id = client_send(c, KAFKA_FETCH, 12, in);
    broker_turn(&b);
    struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, 12, id);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_NONE);
    expect_int(answered_partition(reply, 1)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    broker_close(&b);
}

TEST(fetch_waits_although_a_partition_is_unknown_but_not_when_all_are)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 2, 1));
    broker_turn(&b);
    expect_null(client_receive(c, KAFKA_FETCH, 12, id));
    broker_append(&b, topic->partitions[0], "a");
    struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, 12, id);
    expect_int(count_batches(answered_partition(reply, 0)->records, 0), 1);
    expect_int(answered_partition(reply, 1)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);

    struct kafka_fetch_request *in = waiting_fetch_of(&b, topic, 1, 1);
    asked_partition(in, 0)->partition = 8;
    id = client_send(c, KAFKA_FETCH, 12, in);
    broker_turn(&b);
    reply = client_receive(c, KAFKA_FETCH, 12, id);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    broker_close(&b);
}

TEST(fetch_does_not_serve_other_replicas)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
    in->replica_id = 3;
    in->replica_state.replica_id = 3;
    for (int version = 14; version <= 15; version++) {
        struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, version, in);
        expect_int(answered_partition(reply, 0)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
    broker_close(&b);
}

TEST(fetch_that_waits_is_told_when_its_topic_is_deleted)
{
    for (int version = 12; version <= 13; version++) {
        struct test_broker b;
        broker_open(&b);
        struct topic *topic = broker_topic(&b, "orders", 2);
        struct test_client *c = broker_client(&b);
        int32_t id = client_send(c, KAFKA_FETCH, version, waiting_fetch_of(&b, topic, 2, 1));
        topic_delete(b.core, topic);
        broker_commit(&b);
        struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, version, id);
        for (int i = 0; i < 2; i++)
            expect_int(answered_partition(reply, i)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        broker_close(&b);
    }
}

TEST(fetch_that_is_due_in_the_turn_that_deletes_its_topic_is_told_so)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 1, 1));
    broker_turn(&b);
    topic_delete(b.core, topic);
    b.core->now_ns += 500 * 1000000; /* timers run before watches are told */
    broker_turn(&b);
    struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, 12, id);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    broker_commit(&b);
    broker_close(&b);
}

TEST(fetch_that_waits_is_forgotten_with_its_connection)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 2, 1));
    broker_turn(&b);
    sim_link_end(c->link);
    broker_turn(&b);
    expect_int(sim_link_unfreed_count(c->link), 0);
    expect_true(list_is_empty(&topic->partitions[0]->watchers));
    broker_append(&b, topic->partitions[0], "a");
    broker_advance(&b, 1000);
    broker_close(&b);
}

TEST(fetch_that_reads_from_disk_is_forgotten_with_its_connection)
{
    struct core_config config;
    broker_config(&config);
    config.store.cache_bytes = 1 << 20;
    struct test_broker b;
    broker_open_with(&b, &config);
    struct topic *topic = broker_topic(&b, "orders", 1);
    for (int i = 0; i < 100; i++)
        broker_append(&b, topic->partitions[0], value_for_batch_of(&b, 60000));
    struct test_client *c = broker_client(&b);
    client_send(c, KAFKA_FETCH, 12, fetch_of(&b, topic, 1));
    broker_turn(&b);
    expect_true(sim_jobs_waiting_count(b.jobs) > 0);
    sim_link_end(c->link);
    broker_turn(&b);
    expect_int(sim_link_unfreed_count(c->link), 0);
    broker_commit(&b);
    broker_close(&b);
}

/* A topic whose history is in segments: batches of all sizes, of which nothing is in memory. */
static struct topic *old_topic(struct test_broker *b, struct random *random)
{
    struct core_config config;
    broker_config(&config);
    config.store.journal_first_bytes = config.store.journal_file_bytes = 256 << 10;
    config.store.journal_max_bytes = 1 << 20;
    config.store.carry_bytes = 4 << 10;
    config.store.segment_bytes = 512 << 10;
    config.store.cache_bytes = 0;
    broker_open_with(b, &config);
    struct topic *topic = broker_topic(b, "orders", 2);
    for (int i = 0; i < 150; i++)
        for (int32_t j = 0; j < 2; j++) {
            size_t most = i % 7 ? 3000 : 40000;
            broker_append(b, topic->partitions[j],
                          value_for_batch_of(b, 100 + random_below(random, most)));
        }
    return topic;
}

static struct kafka_fetch_request *random_fetch(struct test_broker *b, struct topic *topic,
                                                struct random *random)
{
    struct kafka_fetch_request *in = fetch_of(b, topic, 2);
    in->max_bytes = (int32_t)random_below(random, 1 << random_below(random, 20));
    for (int i = 0; i < 2; i++) {
        asked_partition(in, i)->fetch_offset = (int64_t)random_below(random, 150);
        asked_partition(in, i)->partition_max_bytes =
            (int32_t)random_below(random, 1 << random_below(random, 19));
    }
    return in;
}

TEST(fetch_answers_the_same_bytes_by_reading_them_and_by_sending_files)
{
    metrics_join();
    struct test_broker b;
    struct random random;
    random_init(&random, test_seed());
    struct topic *topic = old_topic(&b, &random);
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *all = fetch_of(&b, topic, 2);
    for (int i = 0; i < 2; i++)
        asked_partition(all, i)->partition_max_bytes = 50 << 20;
    client_call(c, KAFKA_FETCH, 12, all); /* which checks it */
    uint64_t reads[2] = {0};
    for (int round = 0; round < 400; round++) {
        struct kafka_fetch_request *in = random_fetch(&b, topic, &random);
        struct bytes records[2][2];
        for (int way = 0; way < 2; way++) {
            sim_disk_set_cold(b.disk, way == 0);
            uint64_t before = metrics_sum(METRIC_read_jobs);
            struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
            reads[way] += metrics_sum(METRIC_read_jobs) - before;
            for (int i = 0; i < 2; i++)
                records[way][i] = arena_copy(&b.arena, answered_partition(reply, i)->records);
        }
        for (int i = 0; i < 2; i++)
            expect_bytes(records[1][i], records[0][i]);
    }
    expect_true(reads[1] < reads[0] / 4);
    broker_close(&b);
}

TEST(fetch_that_sends_a_file_ends_with_its_connection_and_with_the_broker)
{
    struct test_broker b;
    struct random random;
    random_init(&random, test_seed());
    struct topic *topic = old_topic(&b, &random);
    struct test_client *c = broker_client(&b), *other = broker_client(&b);
    client_call(c, KAFKA_FETCH, 12, fetch_of(&b, topic, 2));
    sim_link_block(c->link, true);
    sim_link_block(other->link, true);
    client_send(c, KAFKA_FETCH, 12, fetch_of(&b, topic, 2));
    client_send(other, KAFKA_FETCH, 12, fetch_of(&b, topic, 2));
    broker_commit(&b);
    expect_true(link_pending_bytes(sim_link_link(c->link)) > 100000);
    sim_link_break(c->link);
    broker_turn(&b);
    broker_close(&b);
}

/* ---- errors ---- */

TEST(fetch_tells_offsets_out_of_range)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    broker_append(&b, topic->partitions[0], "a");
    broker_append(&b, topic->partitions[0], "b");
    struct ticket ticket;
    log_trim(topic->partitions[0]->log, 1, &ticket);
    broker_commit(&b);
    struct test_client *c = broker_client(&b);
    static const struct {
        int64_t offset;
        enum kafka_error error;
    } cases[] = {{0, KAFKA_OFFSET_OUT_OF_RANGE},
                 {1, KAFKA_NONE},
                 {2, KAFKA_NONE},
                 {3, KAFKA_OFFSET_OUT_OF_RANGE},
                 {-1, KAFKA_OFFSET_OUT_OF_RANGE},
                 {INT64_MAX, KAFKA_OFFSET_OUT_OF_RANGE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
        asked_partition(in, 0)->fetch_offset = cases[i].offset;
        struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
        expect_int(answered_partition(reply, 0)->error_code, cases[i].error);
    }
    broker_close(&b);
}

TEST(fetch_tells_unknown_topics_by_name_and_by_id)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
    in->topics.items[0].topic = BYTES_LITERAL("nobody");
    in->topics.items[0].topic_id.data[3] ^= 1;
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_int(answered_partition(reply, 0)->high_watermark, -1);
    reply = client_call(c, KAFKA_FETCH, 13, in);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    expect_true(uuid_equal(reply->responses.items[0].topic_id, in->topics.items[0].topic_id));
    broker_close(&b);
}

TEST(fetch_fences_leader_epochs_that_are_not_ours)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t epoch = store_epoch(b.core->store);
    for (int32_t d = -1; d <= 1; d++) {
        struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
        asked_partition(in, 0)->current_leader_epoch = epoch + d;
        struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 16, in);
        const struct kafka_fetch_response_partition *out = answered_partition(reply, 0);
        expect_int(out->error_code, d < 0 ? (epoch + d < 0 ? KAFKA_NONE : KAFKA_FENCED_LEADER_EPOCH)
                                    : d == 0 ? KAFKA_NONE
                                             : KAFKA_UNKNOWN_LEADER_EPOCH);
        bool is_told = out->error_code == KAFKA_FENCED_LEADER_EPOCH;
        expect_int(out->current_leader.leader_epoch, is_told ? epoch : -1);
        expect_int(out->current_leader.leader_id, is_told ? 7 : -1);
        expect_int(reply->node_endpoints.count, is_told);
        if (is_told) {
            expect_int(reply->node_endpoints.items[0].node_id, 7);
            expect_bytes(reply->node_endpoints.items[0].host, BYTES_LITERAL("127.0.0.1"));
        }
    }
    broker_close(&b);
}

TEST(fetch_does_not_tell_old_clients_who_leads)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
    asked_partition(in, 0)->current_leader_epoch = store_epoch(b.core->store) - 1;
    struct kafka_fetch_response *reply = client_call(broker_client(&b), KAFKA_FETCH, 15, in);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_FENCED_LEADER_EPOCH);
    expect_int(answered_partition(reply, 0)->current_leader.leader_id, -1);
    broker_close(&b);
}

TEST(fetch_tells_where_histories_diverge)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    broker_append(&b, topic->partitions[0], "a");
    struct test_client *c = broker_client(&b);
    int32_t epoch = store_epoch(b.core->store);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
    asked_partition(in, 0)->fetch_offset = 1;
    asked_partition(in, 0)->last_fetched_epoch = epoch;
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_int(answered_partition(reply, 0)->diverging_epoch.end_offset, -1);

    asked_partition(in, 0)->fetch_offset = 5; /* it has read what we never had */
    reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_NONE);
    expect_int(answered_partition(reply, 0)->diverging_epoch.epoch, epoch);
    expect_int(answered_partition(reply, 0)->diverging_epoch.end_offset, 1);
    expect_int(answered_partition(reply, 0)->records.size, 0);

    asked_partition(in, 0)->last_fetched_epoch = epoch - 1; /* older than all that is kept */
    reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_int(answered_partition(reply, 0)->diverging_epoch.epoch, epoch - 1);
    expect_int(answered_partition(reply, 0)->diverging_epoch.end_offset, 0);

    asked_partition(in, 0)->last_fetched_epoch = epoch + 1; /* and one that is not known yet */
    reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_int(answered_partition(reply, 0)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    broker_close(&b);
}

TEST(fetch_has_an_empty_list_of_aborted_transactions_for_read_committed)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
    struct kafka_fetch_response *reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_null(answered_partition(reply, 0)->aborted_transactions.items);
    in->isolation_level = 1;
    reply = client_call(c, KAFKA_FETCH, 12, in);
    expect_not_null(answered_partition(reply, 0)->aborted_transactions.items);
    expect_int(answered_partition(reply, 0)->aborted_transactions.count, 0);
    broker_close(&b);
}

/* ---- order and memory ---- */

TEST(a_fetch_behind_a_waiting_fetch_waits_for_it)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    int32_t first = client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 1, 1));
    int32_t second = client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 1, 1));
    int32_t third = client_send(c, KAFKA_API_VERSIONS, 3, &versions);
    broker_commit(&b);
    expect_int(sim_link_output(c->link).size, 0);
    broker_append(&b, topic->partitions[0], "a");
    expect_not_null(client_receive(c, KAFKA_FETCH, 12, first));
    expect_not_null(client_receive(c, KAFKA_FETCH, 12, second)); /* offset 0 again */
    expect_not_null(client_receive(c, KAFKA_API_VERSIONS, 3, third));
    broker_close(&b);
}

/* Whether the answer is ready at once, later, or is to be worked out in its turn. */
TEST(a_waiting_fetch_gives_way_to_what_else_is_asked_for)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b), *other = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    struct kafka_heartbeat_request *heartbeat =
        wire_new(&kafka_heartbeat_request_schema, &b.arena, 1);
    struct bytes batch = make_batch(&b.arena, b.wall_ms, "a", NULL);
    const struct {
        int key, version;
        const void *body;
        bool takes_a_commit;
    } asked[] = {{KAFKA_API_VERSIONS, 3, &versions, false},
                 {KAFKA_HEARTBEAT, 4, heartbeat, false},
                 {KAFKA_PRODUCE, 9, make_produce(&b.arena, "orders", 1, -1, batch), true}};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        int32_t first = client_send(c, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 1, 1));
        broker_commit(&b);
        int32_t second = client_send(c, asked[i].key, asked[i].version, asked[i].body);
        for (int turns = 0; turns < 3; turns++)
            broker_turn(&b);
        if (asked[i].takes_a_commit) {
            expect_null(client_receive(c, KAFKA_FETCH, 12, first));
            broker_commit(&b);
        }
        struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, 12, first);
        expect_int(answered_partition(reply, 0)->records.size, 0);
        expect_int(answered_partition(reply, 0)->error_code, KAFKA_NONE);
        expect_not_null(client_receive(c, asked[i].key, asked[i].version, second));
    }
    int32_t alone = client_send(other, KAFKA_FETCH, 12, waiting_fetch_of(&b, topic, 1, 1));
    client_send(c, KAFKA_API_VERSIONS, 3, &versions);
    broker_commit(&b);
    expect_null(client_receive(other, KAFKA_FETCH, 12, alone)); /* of another connection */
    broker_close(&b);
}

TEST(a_slow_reader_holds_some_answers_and_not_all_it_asked_for)
{
    enum { FETCHES = 20, BATCHES = 3, BATCH_BYTES = 900000 };
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    for (int i = 0; i < BATCHES; i++)
        broker_append(&b, topic->partitions[0], value_for_batch_of(&b, BATCH_BYTES));
    struct test_client *c = broker_client(&b);
    struct kafka_fetch_request *in = fetch_of(&b, topic, 1);
    asked_partition(in, 0)->partition_max_bytes = BATCH_BYTES + 4096;
    sim_link_block(c->link, true);
    int32_t first = c->correlation_id + 1;
    for (int i = 0; i < FETCHES; i++)
        client_send(c, KAFKA_FETCH, 12, in);
    broker_commit(&b);
    expect_true(link_pending_bytes(sim_link_link(c->link)) >= CONNECTION_PENDING_MAX);
    expect_true(link_pending_bytes(sim_link_link(c->link)) <
                CONNECTION_PENDING_MAX + BATCH_BYTES + 4096);
    expect_int(sim_link_unfreed_count(c->link), FETCHES - 3);

    sim_link_block(c->link, false);
    for (int i = 0; i < FETCHES; i++) {
        broker_commit(&b);
        struct kafka_fetch_response *reply = client_receive(c, KAFKA_FETCH, 12, first + i);
        expect_int(count_batches(answered_partition(reply, 0)->records, 0), 1);
    }
    broker_close(&b);
}
