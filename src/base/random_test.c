#include "base/random.h"

#include "tests/test.h"

TEST(random_numbers_are_those_of_xoshiro256_starstar)
{
    struct random r = {{1, 2, 3, 4}};
    const uint64_t wanted[] = {11520, 0, 1509978240, 1215971899390074240};

    for (int i = 0; i < 4; i++)
        expect_true(random_u64(&r) == wanted[i]);
}

TEST(random_numbers_repeat_with_the_seed_and_differ_without)
{
    struct random a, b, c;

    random_init(&a, 1);
    random_init(&b, 1);
    random_init(&c, 2);
    for (int i = 0; i < 100; i++) {
        uint64_t v = random_u64(&a);
        expect_true(v == random_u64(&b));
        expect_true(v != random_u64(&c));
    }
    random_init(&a, 0);
    expect_true(random_u64(&a) != 0);
}

TEST(random_below_reaches_everything_below_about_as_often)
{
    int seen[7] = {0};
    struct random r;

    random_init(&r, test_seed());
    for (int i = 0; i < 70000; i++)
        seen[random_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        expect_true(seen[i] > 9500 && seen[i] < 10500);
    expect_int(random_below(&r, 1), 0);
    /* Where every third result would come twice as often if no draw were thrown away. */
    int thirds = 0;
    for (int i = 0; i < 30000; i++)
        thirds += random_below(&r, UINT64_C(3) << 62) % 3 == 0;
    expect_true(thirds > 9500 && thirds < 10500);
    expect_check_fails(random_below(&r, 0));
}

TEST(random_fill_writes_each_byte_and_none_behind)
{
    uint8_t b[41], ever[40] = {0};
    struct random r;

    random_init(&r, test_seed());
    for (size_t size = 0; size <= 40; size++)
        for (int round = 0; round < 5; round++) {
            memset(b, 0, sizeof b);
            random_fill(&r, b, size);
            expect_int(b[size], 0);
            for (size_t i = 0; i < size; i++)
                ever[i] |= b[i];
        }
    for (size_t i = 0; i < 40; i++)
        expect_true(ever[i] != 0);
}
