#include "kafka/test_broker.h"

#include "kafka/errors.h"

static struct bytes batch_of(struct test_broker *b, const char *value)
{
    return make_batch(&b->arena, b->wall_ms, value, NULL);
}

static const struct kafka_produce_response_partition *
only_partition(const struct kafka_produce_response *reply)
{
    expect_not_null(reply);
    expect_int(reply->responses.count, 1);
    expect_int(reply->responses.items[0].partition_responses.count, 1);
    return &reply->responses.items[0].partition_responses.items[0];
}

TEST(produce_appends_and_tells_the_offset_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    for (int version = 3; version <= 13; version++) {
        struct kafka_produce_request *in = make_produce(
            &b.arena, "orders", 1, -1, make_batch(&b.arena, b.wall_ms, "one", "two", NULL));
        memcpy(&in->topic_data.items[0].topic_id, topic->id, sizeof topic->id);
        struct kafka_produce_response *reply = client_call(c, KAFKA_PRODUCE, version, in);
        const struct kafka_produce_response_partition *out = only_partition(reply);
        expect_int(out->index, 1);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->base_offset, (version - 3) * 2);
        expect_int(out->log_append_time_ms, -1);
        expect_int(out->log_start_offset, version >= 5 ? 0 : -1);
        expect_null(out->error_message.data);
    }
    expect_int(topic->partitions[1]->log->hw, 22);
    expect_int(topic->partitions[0]->log->end, 0);
    broker_close(&b);
}

/* How many steps of the disk until the answer to an acks=`acks` comes; -1 when it never does. */
static int steps_until_answer(int16_t acks, enum log_level *out_seen)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_PRODUCE, 9,
                             make_produce(&b.arena, "orders", 0, acks, batch_of(&b, "value")));
    broker_turn(&b);
    int steps = 0;
    bool answered = false;
    for (bool more = true; more && !answered; steps++) {
        more = broker_step(&b);
        answered = client_receive(c, KAFKA_PRODUCE, 9, id) != NULL;
    }
    const struct log *log = topic->partitions[0]->log;
    *out_seen = log->hw == 1 ? LEVEL_FSYNC : LEVEL_OS;
    broker_commit(&b);
    expect_int(log->hw, 1);
    broker_close(&b);
    return answered ? steps : -1;
}

TEST(produce_with_acks_all_is_answered_when_committed_and_with_acks_1_not_later)
{
    enum log_level all_seen, one_seen, none_seen;
    int all = steps_until_answer(-1, &all_seen);
    int one = steps_until_answer(1, &one_seen);
    expect_int(all_seen, LEVEL_FSYNC);
    expect_true(all > 0);
    expect_true(one > 0);
    expect_true(one <= all);
    expect_int(steps_until_answer(0, &none_seen), -1);
}

TEST(produce_is_not_answered_before_the_disk_has_worked)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t all = client_send(c, KAFKA_PRODUCE, 9,
                              make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value")));
    int32_t one = client_send(c, KAFKA_PRODUCE, 9,
                              make_produce(&b.arena, "orders", 0, 1, batch_of(&b, "value")));
    for (int i = 0; i < 5; i++)
        broker_turn(&b);
    expect_null(client_receive(c, KAFKA_PRODUCE, 9, all));
    broker_commit(&b);
    expect_int(only_partition(client_receive(c, KAFKA_PRODUCE, 9, all))->base_offset, 0);
    expect_int(only_partition(client_receive(c, KAFKA_PRODUCE, 9, one))->base_offset, 1);
    broker_close(&b);
}

TEST(produce_answers_leave_in_the_order_of_the_requests)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    int32_t first = client_send(c, KAFKA_PRODUCE, 9,
                                make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value")));
    int32_t second =
        client_send(c, KAFKA_API_VERSIONS, 3, &versions); /* could be answered at once */
    broker_turn(&b);
    expect_int(sim_link_output(c->link).size, 0);
    broker_commit(&b);
    expect_not_null(client_receive(c, KAFKA_PRODUCE, 9, first));
    expect_not_null(client_receive(c, KAFKA_API_VERSIONS, 3, second));
    broker_close(&b);
}

TEST(produce_with_acks_0_takes_no_place_in_the_order)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    client_send(c, KAFKA_PRODUCE, 9, make_produce(&b.arena, "orders", 0, 0, batch_of(&b, "value")));
    int32_t second = client_send(c, KAFKA_API_VERSIONS, 3, &versions);
    broker_turn(&b);
    expect_not_null(client_receive(c, KAFKA_API_VERSIONS, 3, second));
    expect_int(sim_link_unfreed_count(c->link), 0);
    broker_commit(&b);
    expect_int(topic->partitions[0]->log->hw, 1);
    broker_close(&b);
}

TEST(produce_with_acks_0_that_fails_closes_the_connection)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    client_send(c, KAFKA_PRODUCE, 9, make_produce(&b.arena, "nobody", 0, 0, batch_of(&b, "value")));
    expect_true(client_is_closed(c));
    broker_close(&b);
}

TEST(produce_fails_partition_by_partition)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    struct kafka_produce_request *in =
        make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value"));
    struct kafka_produce_request_topic *data = in->topic_data.items;
    data->partition_data.items = wire_new(&kafka_produce_request_partition_schema, &b.arena, 3);
    data->partition_data.count = 3;
    for (int32_t i = 0; i < 3; i++) { /* the last one is not there */
        data->partition_data.items[i].index = i;
        data->partition_data.items[i].records = batch_of(&b, "value");
    }
    ((uint8_t *)(uintptr_t)data->partition_data.items[0].records.data)[30] ^= 1;
    struct kafka_produce_response *reply = client_call(c, KAFKA_PRODUCE, 9, in);
    const struct kafka_produce_response_topic *out = &reply->responses.items[0];
    expect_int(out->partition_responses.items[0].error_code, KAFKA_CORRUPT_MESSAGE);
    expect_int(out->partition_responses.items[0].base_offset, -1);
    expect_int(out->partition_responses.items[1].error_code, KAFKA_NONE);
    expect_int(out->partition_responses.items[2].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_int(topic->partitions[0]->log->end, 0);
    expect_int(topic->partitions[1]->log->hw, 1);
    broker_close(&b);
}

static enum kafka_error error_of(struct test_client *c, int version,
                                 const struct kafka_produce_request *in)
{
    return only_partition(client_call(c, KAFKA_PRODUCE, version, in))->error_code;
}

TEST(produce_tells_what_is_wrong)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_produce_request *in;

    in = make_produce(&b.arena, "nobody", 0, -1, batch_of(&b, "value"));
    expect_int(error_of(c, 12, in), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_int(error_of(c, 13, in), KAFKA_UNKNOWN_TOPIC_ID);
    in = make_produce(&b.arena, "orders", -1, -1, batch_of(&b, "value"));
    expect_int(error_of(c, 12, in), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    in = make_produce(&b.arena, "orders", 0, 2, batch_of(&b, "value"));
    expect_int(error_of(c, 12, in), KAFKA_INVALID_REQUIRED_ACKS);
    in = make_produce(&b.arena, "orders", 0, -2, batch_of(&b, "value"));
    expect_int(error_of(c, 12, in), KAFKA_INVALID_REQUIRED_ACKS);
    in = make_produce(&b.arena, "orders", 0, -1, BYTES_NULL);
    expect_int(error_of(c, 12, in), KAFKA_INVALID_RECORD);
    in = make_produce(&b.arena, "orders", 0, -1,
                      make_batch(&b.arena, b.wall_ms + 2 * 3600 * 1000, "future", NULL));
    expect_int(error_of(c, 12, in), KAFKA_INVALID_TIMESTAMP);
    topic->message_max_bytes = 70;
    in = make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "much too large a value"));
    expect_int(error_of(c, 12, in), KAFKA_MESSAGE_TOO_LARGE);
    expect_int(topic->partitions[0]->log->end, 0);
    broker_close(&b);
}

TEST(produce_in_a_transaction_is_refused_with_a_message)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_produce_request *in =
        make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value"));
    in->transactional_id = BYTES_LITERAL("tx");
    const struct kafka_produce_response_partition *out =
        only_partition(client_call(c, KAFKA_PRODUCE, 9, in));
    expect_int(out->error_code, KAFKA_INVALID_REQUEST);
    expect_true(
        bytes_equal_string(out->error_message, "transactions are not available on this broker"));
    expect_int(topic->partitions[0]->log->end, 0);
    broker_close(&b);
}

TEST(produce_to_a_topic_in_memory_needs_no_disk_and_wakes_its_fetch)
{
    struct test_broker b;
    broker_open(&b);
    struct topic_config config = {.name = (char[]){"durability"}, .value = (char[]){"memory"}};
    struct topic_spec spec = {.name = BYTES_LITERAL("orders"),
                              .partition_count = 1,
                              .configs = &config,
                              .config_count = 1};
    struct topic *topic;
    expect_ok(topic_create(b.core, &spec, &topic));
    broker_commit(&b);
    struct test_client *consumer = broker_client(&b), *producer = broker_client(&b);
    struct kafka_fetch_request *in = wire_new(&kafka_fetch_request_schema, &b.arena, 1);
    struct kafka_fetch_request_topic asked = {.topic = topic->name};
    struct kafka_fetch_request_partition part = {
        .current_leader_epoch = -1, .last_fetched_epoch = -1, .partition_max_bytes = 1000};
    asked.partitions.items = &part;
    asked.partitions.count = in->topics.count = 1;
    in->topics.items = &asked;
    in->max_wait_ms = 500;
    in->min_bytes = 1;
    int32_t fetched = client_send(consumer, KAFKA_FETCH, 11, in);
    int32_t produced = client_send(producer, KAFKA_PRODUCE, 9,
                                   make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value")));
    for (int i = 0; i < 3; i++)
        broker_turn(&b);
    expect_int(only_partition(client_receive(producer, KAFKA_PRODUCE, 9, produced))->error_code,
               KAFKA_NONE);
    struct kafka_fetch_response *reply = client_receive(consumer, KAFKA_FETCH, 11, fetched);
    expect_not_null(reply);
    expect_int(reply->responses.items[0].partitions.items[0].high_watermark, 1);
    broker_close(&b);
}

TEST(produce_stores_append_time_where_the_topic_says_so)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    topic->log_append_time = true;
    struct test_client *c = broker_client(&b);
    struct kafka_produce_request *in =
        make_produce(&b.arena, "orders", 0, -1, make_batch(&b.arena, 5, "value", NULL));
    const struct kafka_produce_response_partition *out =
        only_partition(client_call(c, KAFKA_PRODUCE, 9, in));
    expect_int(out->log_append_time_ms, b.wall_ms);
    broker_close(&b);
}

TEST(produce_is_answered_with_an_error_when_the_disk_is_too_slow_and_stays)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_produce_request *in =
        make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value"));
    in->timeout_ms = 500;
    int32_t id = client_send(c, KAFKA_PRODUCE, 9, in);
    broker_advance(&b, 499);
    expect_null(client_receive(c, KAFKA_PRODUCE, 9, id));
    broker_advance(&b, 1);
    const struct kafka_produce_response_partition *out =
        only_partition(client_receive(c, KAFKA_PRODUCE, 9, id));
    expect_int(out->error_code, KAFKA_REQUEST_TIMED_OUT);
    expect_int(out->base_offset, -1);
    broker_commit(&b);
    expect_int(topic->partitions[0]->log->hw, 1);
    broker_close(&b);
}

TEST(produce_is_refused_when_the_disk_has_failed)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    struct kafka_produce_request *in =
        make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value"));
    in->timeout_ms = 30000;
    int32_t id = client_send(c, KAFKA_PRODUCE, 9, in);
    broker_commit(&b);
    expect_true(store_is_frozen(b.core->store));
    broker_turn(&b); /* long before the time is up */
    expect_int(only_partition(client_receive(c, KAFKA_PRODUCE, 9, id))->error_code,
               KAFKA_STORAGE_ERROR);
    expect_int(error_of(c, 9, in), KAFKA_STORAGE_ERROR); /* at once */
    broker_close(&b);
}

TEST(produce_that_waits_is_forgotten_with_its_connection)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    client_send(c, KAFKA_PRODUCE, 9,
                make_produce(&b.arena, "orders", 0, -1, batch_of(&b, "value")));
    sim_link_end(c->link);
    broker_turn(&b);
    expect_int(sim_link_unfreed_count(c->link), 0);
    broker_commit(&b);
    expect_int(topic->partitions[0]->log->hw, 1);
    broker_close(&b);
}
