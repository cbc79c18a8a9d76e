#include "kafka/errors.h"

#include "tests/test.h"

TEST(every_error_has_a_code_for_clients)
{
#define EXPECT_CODE(name, text, retriable)                                                         \
    if (name == OK)                                                                                \
        expect_int(kafka_error_of(name), KAFKA_NONE);                                              \
    else                                                                                           \
        expect_true(kafka_error_of(name) != KAFKA_NONE);
    ERR_TABLE(EXPECT_CODE)
#undef EXPECT_CODE
}

TEST(what_a_producer_should_repeat_is_told_so)
{
    expect_int(kafka_error_of(E_NO_SPACE), KAFKA_STORAGE_ERROR);
    expect_int(kafka_error_of(E_FROZEN), KAFKA_STORAGE_ERROR);
    expect_int(kafka_error_of(E_CORRUPT), KAFKA_CORRUPT_MESSAGE);
    expect_int(kafka_error_of(E_TOO_LARGE), KAFKA_MESSAGE_TOO_LARGE);
    expect_int(kafka_error_of(E_MALFORMED), KAFKA_INVALID_RECORD);
}
