#include "kafka/connection.h"

#include "broker/session.h"
#include "kafka/api.h"
#include "kafka/test_broker.h"

TEST(a_broken_stream_closes_the_connection)
{
    static const struct bytes streams[] = {
        BYTES_LITERAL("GET / HTTP/1.1\r\n\r\n"),
        BYTES_LITERAL("\x16\x03\x01\x02\x00\x01\x00"),
        BYTES_LITERAL("AMQP\x00\x00\x09\x01"),
        BYTES_LITERAL("\xff\xff\xff\xff"),
        BYTES_LITERAL("\0\0\0\x0a\0\x0b\0\0\0\0\0\1\xff\xff"), /* a key that is not served */
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        struct test_broker b;
        broker_open(&b);
        struct test_client *c = broker_client(&b);
        sim_link_feed(c->link, streams[i]);
        expect_true(client_is_closed(c));
        expect_int(sim_link_output(c->link).size, 0);
        broker_close(&b);
    }
}

TEST(what_was_answered_before_a_broken_frame_still_leaves)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    int32_t id = client_send(c, KAFKA_API_VERSIONS, 3, &versions);
    sim_link_feed(c->link, BYTES_LITERAL("\0\0\0\0"));
    expect_true(client_is_closed(c));
    expect_not_null(client_receive(c, KAFKA_API_VERSIONS, 3, id));
    broker_close(&b);
}

TEST(an_idle_connection_is_closed_and_a_busy_one_is_not)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *idle = broker_client(&b), *busy = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    for (int i = 0; i < 2; i++) {
        sim_link_set_now(busy->link, b.now_ns);
        client_call(busy, KAFKA_API_VERSIONS, 3, &versions);
        expect_false(sim_link_is_gone(idle->link));
        broker_advance(&b, CONNECTION_IDLE_MS - 1000);
    }
    expect_true(sim_link_is_gone(idle->link));
    expect_false(sim_link_is_gone(busy->link));
    broker_advance(&b, CONNECTION_IDLE_MS);
    expect_true(sim_link_is_gone(busy->link));
    broker_close(&b);
}

static void check_description(void *ctx, struct session *session)
{
    struct session_description d;
    (void)ctx;
    session_describe(session, &d);
    expect_string(d.protocol, "Kafka");
    expect_string(session_state_name(d.state), "running");
    session_each_channel(session, NULL, NULL);
    session_each_consumer(session, 1, NULL, NULL);
}

TEST(a_connection_is_a_session_without_channels)
{
    struct test_broker b;
    broker_open(&b);
    broker_client(&b);
    session_each(b.core, check_description, NULL);
    broker_close(&b);
}

static void remember_client(void *ctx, struct session *session)
{
    *(const char **)ctx = session->client;
}

TEST(a_client_that_does_not_name_its_software_is_called_by_its_client_id)
{
    struct test_broker b;
    broker_open(&b);
    struct kafka_metadata_request *in = wire_new(&kafka_metadata_request_schema, &b.arena, 1);
    client_call(broker_client(&b), KAFKA_METADATA, 1, in);
    const char *client = NULL;
    session_each(b.core, remember_client, &client);
    expect_string(client, "test");
    broker_close(&b);
}

TEST(what_is_committed_is_still_served_when_the_disk_has_failed)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    broker_append(&b, topic->partitions[0], "kept");
    struct test_client *producer = broker_client(&b), *consumer = broker_client(&b);
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    client_send(
        producer, KAFKA_PRODUCE, 9,
        make_produce(&b.arena, "orders", 0, -1, make_batch(&b.arena, b.wall_ms, "lost", NULL)));
    broker_commit(&b);
    expect_true(store_is_frozen(b.core->store));

    struct kafka_metadata_request *metadata = wire_new(&kafka_metadata_request_schema, &b.arena, 1);
    struct kafka_metadata_response *named = client_call(consumer, KAFKA_METADATA, 1, metadata);
    expect_int(named->topics.count, 1);
    struct kafka_fetch_request *in = wire_new(&kafka_fetch_request_schema, &b.arena, 1);
    in->max_bytes = 1 << 20;
    in->topics.items = wire_new(&kafka_fetch_request_topic_schema, &b.arena, 1);
    in->topics.count = 1;
    in->topics.items[0].topic = topic->name;
    in->topics.items[0].partitions.items =
        wire_new(&kafka_fetch_request_partition_schema, &b.arena, 1);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].partition_max_bytes = 1 << 20;
    struct kafka_fetch_response *reply = client_call(consumer, KAFKA_FETCH, 12, in);
    const struct kafka_fetch_response_partition *out =
        &reply->responses.items[0].partitions.items[0];
    expect_int(out->error_code, 0);
    expect_int(out->high_watermark, 1);
    expect_true(out->records.size > 0);
    broker_close(&b);
}

static void close_session(void *ctx, struct session *session)
{
    (void)ctx;
    session->close(session, "asked by the operator");
}

TEST(management_can_close_a_connection)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    session_each(b.core, close_session, NULL);
    expect_true(client_is_closed(c));
    broker_close(&b);
}

TEST(an_answer_beyond_the_limit_closes_the_connection)
{
    struct test_broker b;
    broker_open(&b);
    enum { COUNT = 40000 };
    struct test_client *c = broker_client(&b);
    struct kafka_describe_configs_request in = {.include_synonyms = true};
    in.resources.items = wire_new(&kafka_describe_configs_request_resource_schema, &b.arena, COUNT);
    in.resources.count = COUNT;
    for (int i = 0; i < COUNT; i++) {
        in.resources.items[i].resource_type = 4;
        in.resources.items[i].resource_name = BYTES_LITERAL("7");
    }
    client_send(c, KAFKA_DESCRIBE_CONFIGS, 4, &in);
    expect_false(client_is_closed(c));
    bool is_closed = false; /* the answer is made in slices, a slice each turn */
    for (int turn = 0; turn < COUNT && !is_closed; turn++)
        is_closed = client_is_closed(c);
    expect_true(is_closed);
    broker_close(&b);
}

/* Name things that exist, now and then, so that not every answer is an error. */
static void aim(int key, void *body, struct topic *topic)
{
    if (key == KAFKA_PRODUCE) {
        struct kafka_produce_request *in = body;
        in->acks = in->acks > 0 ? 1 : -1; /* an error with acks=0 ends the conversation */
        for (int32_t i = 0; i < in->topic_data.count; i++) {
            in->topic_data.items[i].name = topic->name;
            memcpy(&in->topic_data.items[i].topic_id, topic->id, sizeof topic->id);
        }
    }
    if (key == KAFKA_FETCH) {
        struct kafka_fetch_request *in = body;
        in->session_epoch = -1;
        for (int32_t i = 0; i < in->topics.count; i++) {
            in->topics.items[i].topic = topic->name;
            memcpy(&in->topics.items[i].topic_id, topic->id, sizeof topic->id);
            for (int32_t j = 0; j < in->topics.items[i].partitions.count; j++)
                in->topics.items[i].partitions.items[j].partition &= 1;
        }
    }
    if (key == KAFKA_LIST_OFFSETS) {
        struct kafka_list_offsets_request *in = body;
        for (int32_t i = 0; i < in->topics.count; i++)
            in->topics.items[i].name = topic->name;
    }
}

/* Valid requests with random content, in pieces and pipelined, must neither break the broker nor
 * leave anything behind. Returns how many were answered. */
static int converse(struct random *random)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "a-name-that-is-not-drawn", 2);
    broker_append(&b, topic->partitions[0], "value");
    struct test_client *c = broker_client(&b);
    struct text in = {0};
    for (int round = 0; round < 60; round++) {
        int key;
        const struct wire_api *wire;
        do
            key = (int)random_below(random, KAFKA_OFFSET_DELETE + 1);
        while (!api_find((int16_t)key, &wire));
        int version =
            wire->min + (int)random_below(random, (uint64_t)(wire->stable_max - wire->min + 1));
        void *body = wire_new(wire->request, &b.arena, 1);
        expect_true(wire_random(wire->request, version, random, &b.arena, body));
        aim(key, body, topic);
        in.size = 0;
        put_request(&in, key, version, round, body);
        expect_true(sim_link_feed_split(c->link, text_bytes(&in), random));
        if (random_below(random, 4) == 0)
            broker_commit(&b);
        if (random_below(random, 4) == 0)
            broker_advance(&b, (int64_t)random_below(random, 400));
    }
    text_reset(&in);
    struct bytes output = sim_link_output(c->link);
    int answers = 0;
    for (size_t at = 0; at < output.size; at += 4 + get_u32(output.data + at))
        answers++;
    sim_link_end(c->link);
    broker_turn(&b);
    expect_int(sim_link_unfreed_count(c->link), 0);
    broker_commit(&b);
    broker_close(&b);
    return answers;
}

TEST(random_conversations_leave_nothing_behind)
{
    struct random random;
    random_init(&random, test_seed());
    int answers = 0;
    for (int i = 0; i < 60; i++)
        answers += converse(&random);
    expect_true(answers > 60 * 10);
}
