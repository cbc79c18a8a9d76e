#include "kafka/test_broker.h"

#include "kafka/errors.h"

static struct kafka_metadata_request *ask(struct test_broker *b, const char *name)
{
    struct kafka_metadata_request *in = wire_new(&kafka_metadata_request_schema, &b->arena, 1);
    in->topics.items = wire_new(&kafka_metadata_request_topic_schema, &b->arena, 1);
    if (name) {
        in->topics.count = 1;
        in->topics.items[0].name = bytes_from_string(name);
    }
    in->allow_auto_topic_creation = true;
    return in;
}

TEST(metadata_names_this_node_and_its_topics_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 3);
    struct test_client *c = broker_client(&b);
    for (int version = 0; version <= 13; version++) {
        struct kafka_metadata_response *reply =
            client_call(c, KAFKA_METADATA, version, ask(&b, "orders"));
        expect_int(reply->brokers.count, 1);
        expect_int(reply->brokers.items[0].node_id, 7);
        expect_true(bytes_equal_string(reply->brokers.items[0].host, "127.0.0.1"));
        expect_int(reply->brokers.items[0].port, 1);
        if (version >= 1)
            expect_int(reply->controller_id, 7);
        if (version >= 2)
            expect_true(bytes_equal_string(reply->cluster_id, b.core->config.cluster_id));
        expect_int(reply->topics.count, 1);
        const struct kafka_metadata_response_topic *out = &reply->topics.items[0];
        expect_int(out->error_code, KAFKA_NONE);
        expect_true(bytes_equal_string(out->name, "orders"));
        if (version >= 10)
            expect_true(memcmp(&out->topic_id, topic->id, sizeof topic->id) == 0);
        expect_int(out->topic_authorized_operations, INT32_MIN);
        expect_int(out->partitions.count, 3);
        for (int32_t i = 0; i < 3; i++) {
            expect_int(out->partitions.items[i].partition_index, i);
            expect_int(out->partitions.items[i].leader_id, 7);
            if (version >= 7)
                expect_int(out->partitions.items[i].leader_epoch, store_epoch(b.core->store));
            expect_int(out->partitions.items[i].replica_nodes.items[0], 7);
            expect_int(out->partitions.items[i].isr_nodes.count, 1);
            expect_int(out->partitions.items[i].offline_replicas.count, 0);
        }
    }
    broker_close(&b);
}

TEST(metadata_tells_all_topics_by_empty_in_version_0_and_by_null_later)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "a", 1);
    broker_topic(&b, "b", 1);
    struct test_client *c = broker_client(&b);
    for (int version = 0; version <= 13; version++) {
        struct kafka_metadata_request *in = ask(&b, NULL);
        struct kafka_metadata_response *reply = client_call(c, KAFKA_METADATA, version, in);
        expect_int(reply->topics.count, version == 0 ? 2 : 0);
        if (version == 0)
            continue;
        in->topics.items = NULL;
        reply = client_call(c, KAFKA_METADATA, version, in);
        expect_int(reply->topics.count, 2);
    }
    broker_close(&b);
}

TEST(metadata_creates_a_topic_and_answers_when_it_is_durable)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_METADATA, 12, ask(&b, "new"));
    broker_turn(&b);
    expect_not_null(topic_find(b.core, BYTES_LITERAL("new")));
    expect_null(client_receive(c, KAFKA_METADATA, 12, id));
    broker_commit(&b);
    struct kafka_metadata_response *reply = client_receive(c, KAFKA_METADATA, 12, id);
    expect_int(reply->topics.items[0].error_code, KAFKA_NONE);
    expect_int(reply->topics.items[0].partitions.count, 1);
    broker_close(&b);
}

TEST(metadata_does_not_tell_of_a_topic_that_another_client_has_just_created)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *first = broker_client(&b), *second = broker_client(&b);
    client_send(first, KAFKA_METADATA, 12, ask(&b, "new"));
    int32_t id = client_send(second, KAFKA_METADATA, 12, ask(&b, "new"));
    broker_turn(&b);
    expect_null(client_receive(second, KAFKA_METADATA, 12, id));
    broker_commit(&b);
    expect_not_null(client_receive(second, KAFKA_METADATA, 12, id));
    broker_close(&b);
}

TEST(metadata_creates_only_what_client_and_broker_allow)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_metadata_request *in = ask(&b, "new");
    in->allow_auto_topic_creation = false;
    struct kafka_metadata_response *reply = client_call(c, KAFKA_METADATA, 4, in);
    expect_int(reply->topics.items[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_null(topic_find(b.core, BYTES_LITERAL("new")));

    b.core->config.auto_create_topics = false;
    in->allow_auto_topic_creation = true;
    reply = client_call(c, KAFKA_METADATA, 4, in);
    expect_int(reply->topics.items[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    reply = client_call(c, KAFKA_METADATA, 0, in);
    expect_int(reply->topics.items[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_null(topic_find(b.core, BYTES_LITERAL("new")));
    broker_close(&b);
}

TEST(metadata_refuses_illegal_names)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_metadata_response *reply =
        client_call(c, KAFKA_METADATA, 12, ask(&b, "no spaces"));
    expect_int(reply->topics.items[0].error_code, KAFKA_INVALID_TOPIC);
    expect_true(bytes_equal_string(reply->topics.items[0].name, "no spaces"));
    broker_close(&b);
}

TEST(metadata_does_not_create_what_is_too_near_to_another_topic)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "near.by", 1);
    struct kafka_metadata_request in = {.allow_auto_topic_creation = true};
    struct kafka_metadata_request_topic asked = {.name = BYTES_LITERAL("near_by")};
    in.topics.items = &asked;
    in.topics.count = 1;
    struct kafka_metadata_response *reply = client_call(broker_client(&b), KAFKA_METADATA, 9, &in);
    expect_int(reply->topics.items[0].error_code, KAFKA_INVALID_TOPIC);
    expect_null(topic_find(b.core, BYTES_LITERAL("near_by")));
    broker_close(&b);
}

TEST(metadata_finds_topics_by_id)
{
    struct test_broker b;
    broker_open(&b);
    struct topic *topic = broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    struct kafka_metadata_request *in = ask(&b, NULL);
    in->topics.count = 1;
    memcpy(&in->topics.items[0].topic_id, topic->id, sizeof topic->id);
    struct kafka_metadata_response *reply = client_call(c, KAFKA_METADATA, 12, in);
    expect_true(bytes_equal_string(reply->topics.items[0].name, "orders"));

    in->topics.items[0].topic_id.data[0] ^= 1;
    reply = client_call(c, KAFKA_METADATA, 12, in);
    expect_int(reply->topics.items[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    expect_int(reply->topics.items[0].partitions.count, 0);
    broker_close(&b);
}

TEST(metadata_answers_a_repeated_name_once)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1000);
    struct kafka_metadata_request *in = ask(&b, NULL);
    in->topics.count = 10000;
    in->topics.items = wire_new(&kafka_metadata_request_topic_schema, &b.arena, 10000);
    for (int i = 0; i < 10000; i++)
        in->topics.items[i].name = BYTES_LITERAL("orders");
    struct kafka_metadata_response *reply = client_call(broker_client(&b), KAFKA_METADATA, 12, in);
    expect_int(reply->topics.count, 1);
    broker_close(&b);
}

/* ---- very many ---- */

enum { MANY = 3000 }; /* some slices */

static void make_topics(struct test_broker *b, int count)
{
    for (int i = 0; i < count; i++) {
        struct topic_spec spec = {
            .name =
                arena_copy(&b->arena, bytes_from_string(arena_printf(&b->arena, "topic-%d", i))),
            .partition_count = 2};
        struct topic *topic;
        expect_ok(topic_create(b->core, &spec, &topic));
    }
    broker_commit(b);
}

static int32_t ask_for_all(struct test_client *c)
{
    struct kafka_metadata_request *in = ask(c->broker, NULL);
    in->topics.items = NULL;
    return client_send(c, KAFKA_METADATA, 12, in);
}

static void delete_topics(struct test_broker *b, int from, int to)
{
    for (int i = from; i < to; i++)
        topic_delete(b->core, topic_find(b->core, bytes_from_string(
                                                      arena_printf(&b->arena, "topic-%d", i))));
}

TEST(metadata_of_very_many_topics_tells_those_of_the_first_slice_whole)
{
    struct test_broker b;
    struct topic *late;
    struct topic_spec spec = {.name = BYTES_LITERAL("late"), .partition_count = 1};
    broker_open(&b);
    make_topics(&b, MANY);
    struct test_client *c = broker_client(&b);
    int32_t id = ask_for_all(c);
    broker_turn(&b);
    delete_topics(&b, 0, MANY); /* among them some that are told already, and some that are not */
    expect_ok(topic_create(b.core, &spec, &late));
    broker_turn(&b);
    expect_null(client_receive(c, KAFKA_METADATA, 12, id)); /* it takes more than these turns */
    broker_commit(&b);
    struct kafka_metadata_response *reply = client_receive(c, KAFKA_METADATA, 12, id);
    expect_int(reply->topics.count, MANY);
    for (int i = 0; i < MANY; i++) {
        expect_int(reply->topics.items[i].error_code, KAFKA_NONE);
        expect_int(reply->topics.items[i].partitions.count, 2);
        expect_false(bytes_equal(reply->topics.items[i].name, spec.name));
    }
    broker_close(&b);
}

TEST(metadata_of_a_client_that_goes_in_the_middle_of_it_is_forgotten)
{
    struct test_broker b;
    broker_open(&b);
    make_topics(&b, MANY);
    for (int turns = 0; turns < 12; turns++) { /* in slices, and while a large answer is encoded */
        struct test_client *c = broker_client(&b);
        ask_for_all(c);
        for (int i = 0; i < turns; i++)
            broker_turn(&b);
        sim_link_free(c->link);
        b.client_count--;
        sim_jobs_drain(b.jobs);
    }
    delete_topics(&b, 0, MANY); /* nobody keeps them */
    broker_commit(&b);
    struct kafka_metadata_request *in = ask(&b, NULL);
    in->topics.items = NULL;
    struct kafka_metadata_response *reply = client_call(broker_client(&b), KAFKA_METADATA, 12, in);
    expect_int(reply->topics.count, 0);
    broker_close(&b);
}

TEST(metadata_of_many_names_creates_them_in_slices)
{
    struct test_broker b;
    broker_open(&b);
    struct kafka_metadata_request *in = ask(&b, NULL);
    in->topics.count = MANY;
    in->topics.items = wire_new(&kafka_metadata_request_topic_schema, &b.arena, MANY);
    for (int i = 0; i < MANY; i++)
        in->topics.items[i].name = bytes_from_string(arena_printf(&b.arena, "new-%d", i));
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_METADATA, 12, in);
    broker_turn(&b);
    expect_null(topic_find(b.core, in->topics.items[MANY - 1].name));
    broker_commit(&b);
    struct kafka_metadata_response *reply = client_receive(c, KAFKA_METADATA, 12, id);
    expect_int(reply->topics.count, MANY);
    for (int i = 0; i < MANY; i++)
        expect_int(reply->topics.items[i].partitions.count, 1);
    broker_close(&b);
}

TEST(metadata_tells_operations_when_asked)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct kafka_metadata_request *in = ask(&b, "orders");
    in->include_topic_authorized_operations = true;
    in->include_cluster_authorized_operations = true;
    struct kafka_metadata_response *reply = client_call(broker_client(&b), KAFKA_METADATA, 8, in);
    expect_int(reply->topics.items[0].topic_authorized_operations, 3576);
    expect_true(reply->cluster_authorized_operations > 0);
    broker_close(&b);
}

TEST(metadata_tells_the_advertised_address_of_its_listener)
{
    struct test_broker b;
    broker_open(&b);
    struct kafka_listener listener;
    struct kafka_config config = {.advertised_host = "broker.example", .advertised_port = 19092};
    kafka_listener_init(&listener, &config);
    struct test_client *c = broker_client_of(&b, &listener.protocol);
    struct kafka_metadata_response *reply = client_call(c, KAFKA_METADATA, 1, ask(&b, NULL));
    expect_true(bytes_equal_string(reply->brokers.items[0].host, "broker.example"));
    expect_int(reply->brokers.items[0].port, 19092);
    broker_close(&b);
}
