/* Every message of every schema at every version. */
#include "kafka/kafka_messages.h"
#include "tests/test.h"
#include "wire/round_trip.h"

enum { ROUNDS = 12 };

TEST(kafka_requests_survive_a_round_trip_at_every_version)
{
    for (int i = 0; i < KAFKA_API_COUNT; i++)
        round_trip(kafka_apis[i].request, ROUNDS);
}

TEST(kafka_responses_survive_a_round_trip_at_every_version)
{
    for (int i = 0; i < KAFKA_API_COUNT; i++)
        round_trip(kafka_apis[i].response, ROUNDS);
}

TEST(kafka_headers_survive_a_round_trip_at_every_version)
{
    round_trip(&kafka_request_header_schema, ROUNDS);
    round_trip(&kafka_response_header_schema, ROUNDS);
}

TEST(kafka_apis_are_found_by_key_and_sorted)
{
    for (int i = 0; i < KAFKA_API_COUNT; i++) {
        const struct wire_api *api = &kafka_apis[i];
        expect_true(i == 0 || kafka_apis[i - 1].key < api->key);
        expect_true(wire_api_find(kafka_apis, KAFKA_API_COUNT, api->key) == api);
        expect_true(api->request->min == api->min && api->response->max == api->max);
        expect_true(api->advertise_min <= api->min && api->stable_max <= api->max);
    }
    expect_null(wire_api_find(kafka_apis, KAFKA_API_COUNT, -1));
    expect_null(wire_api_find(kafka_apis, KAFKA_API_COUNT, 4));
    expect_null(wire_api_find(kafka_apis, KAFKA_API_COUNT, INT16_MAX));
}

TEST(produce_is_advertised_from_version_0_although_3_is_the_first)
{
    const struct wire_api *produce = wire_api_find(kafka_apis, KAFKA_API_COUNT, KAFKA_PRODUCE);
    expect_int(produce->min, 3);
    expect_int(produce->advertise_min, 0);
}

TEST(header_versions_follow_flexibility_except_for_the_response_of_api_versions)
{
    const struct wire_api *fetch = wire_api_find(kafka_apis, KAFKA_API_COUNT, KAFKA_FETCH);
    expect_int(wire_request_header_version(fetch, 11), 1);
    expect_int(wire_response_header_version(fetch, 11), 0);
    expect_int(wire_request_header_version(fetch, 12), 2);
    expect_int(wire_response_header_version(fetch, 12), 1);
    const struct wire_api *versions =
        wire_api_find(kafka_apis, KAFKA_API_COUNT, KAFKA_API_VERSIONS);
    expect_int(wire_request_header_version(versions, 4), 2);
    expect_int(wire_response_header_version(versions, 4), 0);
}
