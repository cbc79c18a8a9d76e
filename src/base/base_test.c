#include "tests/test.h"
TEST(varint_survives_a_round_trip)
{
    uint8_t b[VARINT_MAX_BYTES];
    uint64_t v;
    expect_int(varint_put(b, 300), 2);
    expect_int(varint_get(b, 2, &v), 2);
    expect_int(v, 300);
}
