#include "tests/test.h"

#include "base/fifo.h"
#include "base/random.h"

enum { STEPS = 50000 };

TEST(a_fifo_agrees_with_two_counters)
{
    FIFO(uint64_t) f = {0};
    uint64_t pushed = 0, dropped = 0;
    uint32_t most = 0;
    struct random r;

    random_init(&r, test_seed());
    for (int step = 0; step < STEPS; step++) {
        /* Waves: it grows far, and becomes empty again. */
        if (random_below(&r, 100) < (step / 5000 % 2 ? 30 : 70)) {
            fifo_push(&f, pushed);
            pushed++;
        } else if (f.count) {
            expect_int(*fifo_at(&f, 0), dropped);
            fifo_drop(&f);
            dropped++;
        }
        expect_int(f.count, pushed - dropped);
        if (f.count) {
            uint32_t i = (uint32_t)random_below(&r, f.count);
            expect_int(*fifo_at(&f, i), dropped + i);
            expect_int(*fifo_at(&f, f.count - 1), pushed - 1);
        }
        most = f.count > most ? f.count : most;
    }
    expect_true(most > 1000);
    fifo_reset(&f);
    expect_true(!f.items && !f.first && !f.count && !f.capacity);
}

TEST(a_fifo_of_few_needs_little_however_many_pass)
{
    FIFO(int) f = {0};

    fifo_push(&f, 0);
    for (int i = 1; i < 100000; i++) {
        fifo_push(&f, i);
        fifo_drop(&f);
    }
    expect_int(*fifo_at(&f, 0), 99999);
    expect_true(f.capacity <= 4);
    fifo_reset(&f);
}

TEST(a_large_fifo_gives_its_memory_back_when_it_is_empty)
{
    FIFO(int) f = {0};

    for (int i = 0; i < 64; i++)
        fifo_push(&f, i);
    while (f.count)
        fifo_drop(&f);
    expect_int(f.capacity, 64);
    expect_int(f.first, 0);
    for (int i = 0; i < 65; i++)
        fifo_push(&f, i);
    while (f.count)
        fifo_drop(&f);
    expect_int(f.capacity, 0);
    expect_true(!f.items);
}
