/* InitProducerId, idempotent Produce and DescribeProducers. */
#include "kafka/test_broker.h"

#include "kafka/errors.h"

/* ---- ids ---- */

static const struct kafka_init_producer_id_response *call_init(struct test_client *c, int version,
                                                               const char *transactional_id,
                                                               int64_t id, int16_t epoch)
{
    struct kafka_init_producer_id_request in = {
        .transactional_id = transactional_id ? bytes_from_string(transactional_id) : BYTES_NULL,
        .transaction_timeout_ms = 1000,
        .producer_id = id,
        .producer_epoch = epoch,
    };
    return client_call(c, KAFKA_INIT_PRODUCER_ID, version, &in);
}

TEST(every_producer_gets_an_id_of_its_own_with_epoch_0_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (int version = 0; version <= 5; version++) {
        const struct kafka_init_producer_id_response *out = call_init(c, version, NULL, -1, -1);
        expect_int(out->error_code, KAFKA_NONE);
        expect_int(out->producer_id, version);
        expect_int(out->producer_epoch, 0);
    }
    expect_int(call_init(c, 3, NULL, 2, 0)->producer_id, 6); /* the client raises its own epoch */
    broker_close(&b);
}

TEST(a_producer_id_is_told_when_it_is_durable_as_used)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_init_producer_id_request in = {.producer_id = -1, .producer_epoch = -1};
    int32_t id = client_send(c, KAFKA_INIT_PRODUCER_ID, 4, &in);
    for (int i = 0; i < 5; i++)
        broker_turn(&b);
    expect_null(client_receive(c, KAFKA_INIT_PRODUCER_ID, 4, id));
    broker_commit(&b);
    expect_not_null(client_receive(c, KAFKA_INIT_PRODUCER_ID, 4, id));
    id = client_send(c, KAFKA_INIT_PRODUCER_ID, 4, &in); /* from the same block */
    broker_turn(&b);
    expect_not_null(client_receive(c, KAFKA_INIT_PRODUCER_ID, 4, id));
    broker_close(&b);
}

TEST(transactional_ids_and_half_of_an_identity_are_refused)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    const struct kafka_init_producer_id_response *out = call_init(c, 5, "payments", -1, -1);
    expect_int(out->error_code, KAFKA_INVALID_REQUEST);
    expect_int(out->producer_id, -1);
    expect_int(out->producer_epoch, -1);
    expect_int(call_init(c, 5, "", -1, -1)->error_code, KAFKA_INVALID_REQUEST);
    expect_int(call_init(c, 5, NULL, 7, -1)->error_code, KAFKA_INVALID_REQUEST);
    expect_int(call_init(c, 5, NULL, -1, 7)->error_code, KAFKA_INVALID_REQUEST);
    broker_close(&b);
}

TEST(no_producer_id_is_given_out_when_the_disk_has_failed)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    expect_int(call_init(c, 5, NULL, -1, -1)->error_code, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    const struct kafka_init_producer_id_response *out = call_init(c, 5, NULL, -1, -1);
    expect_int(out->error_code, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    expect_int(out->producer_id, -1);
    broker_close(&b);
}

/* ---- producing ---- */

static struct kafka_produce_request *batch_request(struct test_broker *b, int64_t id, int16_t epoch,
                                                   int32_t sequence)
{
    struct bytes batch = make_batch(&b->arena, b->wall_ms + sequence, "one", "two", NULL);
    batch_of_producer(batch, id, epoch, sequence);
    return make_produce(&b->arena, "orders", 0, -1, batch);
}

static const struct kafka_produce_response_partition *
only_partition(const struct kafka_produce_response *reply)
{
    expect_not_null(reply);
    return &reply->responses.items[0].partition_responses.items[0];
}

static const struct kafka_produce_response_partition *produce(struct test_client *c, int64_t id,
                                                              int16_t epoch, int32_t sequence)
{
    return only_partition(
        client_call(c, KAFKA_PRODUCE, 12, batch_request(c->broker, id, epoch, sequence)));
}

TEST(a_batch_that_is_sent_again_gets_its_first_answer)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    expect_int(produce(c, 5, 0, 0)->base_offset, 0);
    expect_int(produce(c, 5, 0, 2)->base_offset, 2);
    const struct kafka_produce_response_partition *again = produce(c, 5, 0, 0);
    expect_int(again->error_code, KAFKA_NONE);
    expect_int(again->base_offset, 0);
    expect_int(again->log_start_offset, 0);
    expect_int(again->log_append_time_ms, b.wall_ms);
    expect_int(topic->partitions[0]->log->end, 4);
    broker_close(&b);
}

TEST(batches_out_of_order_and_of_old_epochs_are_refused)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    expect_int(produce(c, 5, 1, 0)->error_code, KAFKA_NONE);
    const struct kafka_produce_response_partition *out = produce(c, 5, 1, 4);
    expect_int(out->error_code, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_int(out->base_offset, -1);
    expect_not_null(out->error_message.data);
    expect_int(produce(c, 5, 2, 2)->error_code, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_int(produce(c, 5, 0, 2)->error_code, KAFKA_INVALID_PRODUCER_EPOCH);
    expect_int(produce(c, 5, 1, -1)->error_code, KAFKA_INVALID_RECORD);
    expect_int(produce(c, 5, 1, 2)->base_offset, 2);
    broker_close(&b);
}

TEST(five_batches_in_flight_of_one_connection_are_taken_in_one_turn)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t ids[7];
    for (int i = 0; i < 5; i++)
        ids[i] = client_send(c, KAFKA_PRODUCE, 12, batch_request(&b, 5, 0, 2 * i));
    ids[5] = client_send(c, KAFKA_PRODUCE, 12, batch_request(&b, 5, 0, 0));  /* again */
    ids[6] = client_send(c, KAFKA_PRODUCE, 12, batch_request(&b, 5, 0, 12)); /* one is missing */
    expect_int(topic->partitions[0]->log->end, 10);
    broker_turn(&b);
    expect_null(client_receive(c, KAFKA_PRODUCE, 12, ids[0]));
    broker_commit(&b);
    for (int i = 0; i < 5; i++)
        expect_int(only_partition(client_receive(c, KAFKA_PRODUCE, 12, ids[i]))->base_offset,
                   2 * i);
    expect_int(only_partition(client_receive(c, KAFKA_PRODUCE, 12, ids[5]))->base_offset, 0);
    expect_int(only_partition(client_receive(c, KAFKA_PRODUCE, 12, ids[6]))->error_code,
               KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    broker_close(&b);
}

TEST(a_repeated_request_waits_for_and_gets_the_first_one_s_committed_answer)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b), *other = broker_client(&b);
    int32_t first = client_send(c, KAFKA_PRODUCE, 12, batch_request(&b, 5, 0, 0));
    int32_t again = client_send(other, KAFKA_PRODUCE, 12, batch_request(&b, 5, 0, 0));
    for (int i = 0; i < 5; i++)
        broker_turn(&b);
    expect_null(client_receive(other, KAFKA_PRODUCE, 12, again));
    broker_commit(&b);
    expect_int(only_partition(client_receive(other, KAFKA_PRODUCE, 12, again))->base_offset, 0);
    expect_not_null(client_receive(c, KAFKA_PRODUCE, 12, first));
    broker_close(&b);
}

TEST(a_produce_that_waits_while_its_topic_is_deleted_is_told_so)
{
    struct test_broker b;
    broker_open(&b);
    for (int version = 12; version <= 13; version++) {
        struct topic *topic = broker_topic(&b, "orders", 1);
        struct test_client *c = broker_client(&b);
        struct kafka_produce_request *in = batch_request(&b, -1, -1, -1);
        memcpy(&in->topic_data.items[0].topic_id, topic->id, sizeof topic->id);
        int32_t id = client_send(c, KAFKA_PRODUCE, version, in);
        broker_turn(&b);
        topic_delete(b.core, topic);
        topic = broker_topic(&b, "orders", 1); /* another one */
        const struct kafka_produce_response_partition *out =
            only_partition(client_receive(c, KAFKA_PRODUCE, version, id));
        expect_int(out->error_code,
                   version == 13 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        expect_int(out->base_offset, -1);
        expect_int(topic->partitions[0]->log->end, 0);
        topic_delete(b.core, topic);
        broker_commit(&b);
    }
    broker_close(&b);
}

/* ---- describing ---- */

static const struct kafka_describe_producers_response_partition *
describe(struct test_client *c, const char *name, int32_t partition)
{
    struct kafka_describe_producers_request_topic topic = {.name = bytes_from_string(name)};
    struct kafka_describe_producers_request in = {.topics = {.items = &topic, .count = 1}};
    topic.partition_indexes.items = &partition;
    topic.partition_indexes.count = 1;
    const struct kafka_describe_producers_response *reply =
        client_call(c, KAFKA_DESCRIBE_PRODUCERS, 0, &in);
    expect_int(reply->topics.count, 1);
    expect_int(reply->topics.items[0].partitions.count, 1);
    return &reply->topics.items[0].partitions.items[0];
}

TEST(the_producers_of_a_partition_are_described)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b);
    expect_int(describe(c, "orders", 0)->active_producers.count, 0);
    expect_int(produce(c, 5, 3, 0)->error_code, KAFKA_NONE);
    expect_int(produce(c, 5, 3, 2)->error_code, KAFKA_NONE);
    const struct kafka_describe_producers_response_partition *out = describe(c, "orders", 0);
    expect_int(out->error_code, KAFKA_NONE);
    expect_int(out->active_producers.count, 1);
    expect_int(out->active_producers.items[0].producer_id, 5);
    expect_int(out->active_producers.items[0].producer_epoch, 3);
    expect_int(out->active_producers.items[0].last_sequence, 3);
    expect_int(out->active_producers.items[0].last_timestamp, b.wall_ms + 2);
    expect_int(out->active_producers.items[0].coordinator_epoch, -1);
    expect_int(out->active_producers.items[0].current_txn_start_offset, -1);
    expect_int(describe(c, "orders", 1)->active_producers.count, 0);
    expect_int(describe(c, "orders", 2)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_int(describe(c, "nobody", 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_int(describe(c, "no body", 0)->error_code, KAFKA_INVALID_TOPIC);
    broker_close(&b);
}
