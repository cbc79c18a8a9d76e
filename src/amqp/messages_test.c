/* All methods and the property list. */
#include "amqp/amqp_messages.h"
#include "tests/test.h"
#include "wire/round_trip.h"

enum { ROUNDS = 60 };

TEST(amqp_methods_survive_a_round_trip)
{
    for (int i = 0; i < AMQP_METHOD_COUNT; i++)
        round_trip_amqp(amqp_methods[i].schema, ROUNDS);
}

TEST(amqp_properties_survive_a_round_trip)
{
    round_trip_amqp(&amqp_basic_properties_schema, 500);
}

TEST(amqp_methods_are_found_by_id)
{
    for (int i = 0; i < AMQP_METHOD_COUNT; i++)
        expect_true(wire_method_find(amqp_methods, AMQP_METHOD_COUNT, amqp_methods[i].id) ==
                    &amqp_methods[i]);
    expect_null(wire_method_find(amqp_methods, AMQP_METHOD_COUNT, 0));
    expect_null(wire_method_find(amqp_methods, AMQP_METHOD_COUNT, 40u << 16 | 41));
    expect_null(wire_method_find(amqp_methods, AMQP_METHOD_COUNT, UINT32_MAX));
}

TEST(amqp_method_ids_are_those_of_the_protocol)
{
    expect_int(AMQP_METHOD_COUNT, 66);
    expect_int(AMQP_CONNECTION_START, 10 << 16 | 10);
    expect_int(AMQP_EXCHANGE_UNBIND_OK, 40 << 16 | 51);
    expect_int(AMQP_BASIC_NACK, 60 << 16 | 120);
    expect_int(AMQP_CONFIRM_SELECT, 85 << 16 | 10);
    expect_int(AMQP_TX_ROLLBACK_OK, 90 << 16 | 31);
}
