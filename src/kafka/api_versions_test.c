#include "kafka/test_broker.h"

#include "kafka/api.h"
#include "kafka/errors.h"

static const struct kafka_api_versions_response_key *
find_key(const struct kafka_api_versions_response *reply, int key)
{
    for (int32_t i = 0; i < reply->api_keys.count; i++)
        if (reply->api_keys.items[i].api_key == key)
            return &reply->api_keys.items[i];
    return NULL;
}

static struct kafka_api_versions_request request_of(const char *name, const char *version)
{
    return (struct kafka_api_versions_request){bytes_from_string(name), bytes_from_string(version)};
}

TEST(api_versions_lists_what_is_served_in_every_version)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request in = request_of("apache-kafka-java", "4.1.0");
    for (int version = 0; version <= 4; version++) {
        struct kafka_api_versions_response *reply =
            client_call(c, KAFKA_API_VERSIONS, version, &in);
        expect_int(reply->error_code, KAFKA_NONE);
        for (int32_t i = 0; i < reply->api_keys.count; i++) {
            const struct wire_api *wire;
            expect_not_null(api_find(reply->api_keys.items[i].api_key, &wire));
            expect_int(reply->api_keys.items[i].max_version, wire->stable_max);
        }
        expect_int(find_key(reply, KAFKA_PRODUCE)->max_version, 13);
        expect_int(find_key(reply, KAFKA_FETCH)->min_version, 4);
        expect_int(find_key(reply, KAFKA_FETCH)->max_version, 18);
        expect_int(find_key(reply, KAFKA_API_VERSIONS)->max_version, 4);
        expect_int(reply->finalized_features_epoch, -1);
        expect_int(reply->supported_features.count, 0);
    }
    broker_close(&b);
}

TEST(api_versions_says_produce_0_for_clients_that_look_for_codecs_by_it)
{
    struct test_broker b;
    broker_open(&b);
    struct kafka_api_versions_request in = request_of("librdkafka", "2.0.2");
    struct kafka_api_versions_response *reply =
        client_call(broker_client(&b), KAFKA_API_VERSIONS, 3, &in);
    expect_int(find_key(reply, KAFKA_PRODUCE)->min_version, 0);
    broker_close(&b);
}

TEST(api_versions_of_an_unknown_version_is_answered_in_version_0)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct text frame = {0};
    put_frame(&frame, BYTES_LITERAL("\0\x12\0\x63\0\0\0\5\xff\xff\0\1\1\0"));
    expect_true(sim_link_feed(c->link, text_bytes(&frame)));
    text_reset(&frame);
    struct kafka_api_versions_response *reply = client_receive(c, KAFKA_API_VERSIONS, 0, 5);
    expect_int(reply->error_code, KAFKA_UNSUPPORTED_VERSION);
    expect_int(find_key(reply, KAFKA_API_VERSIONS)->max_version, 4);

    struct kafka_api_versions_request in = request_of("a", "1"); /* and the client can ask again */
    reply = client_call(c, KAFKA_API_VERSIONS, 4, &in);
    expect_int(reply->error_code, KAFKA_NONE);
    broker_close(&b);
}

TEST(api_versions_refuses_software_names_that_are_not_names)
{
    static const char *const names[][2] = {{"", "1"},    {"a", ""},    {"-a", "1"}, {"a", "1."},
                                           {"a b", "1"}, {"a", "1\n"}, {"a", "(1)"}};
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct kafka_api_versions_request in = request_of(names[i][0], names[i][1]);
        struct kafka_api_versions_response *reply = client_call(c, KAFKA_API_VERSIONS, 3, &in);
        expect_int(reply->error_code, KAFKA_INVALID_REQUEST);
        expect_int(reply->api_keys.count, 0);
    }
    broker_close(&b);
}

static void remember_client(void *ctx, struct session *session)
{
    *(const char **)ctx = session->client;
}

TEST(api_versions_names_the_client_in_the_table_of_sessions)
{
    struct test_broker b;
    broker_open(&b);
    struct kafka_api_versions_request in = request_of("librdkafka", "2.0.2");
    client_call(broker_client(&b), KAFKA_API_VERSIONS, 3, &in);
    const char *client = NULL;
    session_each(b.core, remember_client, &client);
    expect_string(client, "librdkafka 2.0.2");
    broker_close(&b);
}
