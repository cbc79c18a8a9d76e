#include "base/arena.h"

#include "base/check.h"
#include "base/random.h"
#include "tests/test.h"

TEST(arena_takes_no_memory_before_the_first_allocation)
{
    struct arena a;

    arena_init(&a, 1000);
    expect_null(a.blocks);
    expect_int(a.used_bytes, 0);
    arena_reset(&a);
}

TEST(arena_pieces_are_aligned_and_do_not_overlap)
{
    enum { COUNT = 2000 };
    struct arena a;
    struct random r;
    uint8_t *pieces[COUNT];
    size_t sizes[COUNT];

    random_init(&r, test_seed());
    arena_init(&a, 1 << 30);
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = i % 100 ? random_below(&r, 100) : random_below(&r, 200000);
        pieces[i] = arena_alloc(&a, sizes[i]);
        expect_not_null(pieces[i]);
        expect_int((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            expect_int(pieces[i][j], i % 251);
    arena_reset(&a);
}

TEST(arena_gives_up_to_its_limit_and_not_a_byte_more)
{
    struct arena a;

    arena_init(&a, 160);
    for (int i = 0; i < 10; i++)
        expect_not_null(arena_alloc(&a, 16));
    expect_int(a.used_bytes, 160);
    expect_false(a.exhausted);
    expect_null(arena_alloc(&a, 1));
    expect_true(a.exhausted);
    arena_reset(&a);
    expect_false(a.exhausted);
    expect_not_null(arena_alloc(&a, 145));
    arena_reset(&a);
}

TEST(arena_counts_the_alignment_towards_its_limit)
{
    struct arena a;

    arena_init(&a, 100);
    expect_null(arena_alloc(&a, 97));
    expect_true(a.exhausted);
    expect_not_null(arena_alloc(&a, 96));
    arena_reset(&a);
}

TEST(arena_stays_exhausted_when_a_smaller_piece_still_fits)
{
    struct arena a;

    arena_init(&a, 64);
    expect_null(arena_alloc(&a, 65));
    expect_not_null(arena_alloc(&a, 64));
    expect_true(a.exhausted);
    arena_reset(&a);
}

TEST(arena_refuses_sizes_that_overflow)
{
    struct arena a;

    arena_init(&a, SIZE_MAX);
    expect_null(arena_alloc(&a, SIZE_MAX));
    expect_null(arena_alloc(&a, SIZE_MAX - 14));
    expect_true(a.exhausted);
    arena_reset(&a);
    expect_null(arena_zalloc(&a, SIZE_MAX / 2, 3));
    expect_true(a.exhausted);
    arena_reset(&a);
}

TEST(arena_zalloc_zeroes_reused_memory)
{
    struct arena a;

    arena_init(&a, 100000);
    memset(arena_alloc(&a, 5000), 0xff, 5000);
    arena_reset(&a);
    uint8_t *p = arena_zalloc(&a, 50, 100);
    for (int i = 0; i < 5000; i++)
        expect_int(p[i], 0);
    expect_null(arena_zalloc(&a, 1000, 1000));
    arena_reset(&a);
}

TEST(arena_copies_end_in_a_nul)
{
    struct arena a;

    arena_init(&a, 32);
    struct bytes copy = arena_copy(&a, BYTES_LITERAL("abc"));
    expect_bytes(copy, BYTES_LITERAL("abc"));
    expect_int(copy.data[3], 0);
    copy = arena_copy(&a, BYTES_NULL);
    expect_int(copy.size, 0);
    expect_not_null(copy.data);
    expect_null(arena_copy(&a, BYTES_LITERAL("x")).data);
    arena_reset(&a);
}

TEST(arena_printf_makes_the_whole_text_or_none)
{
    struct arena a;

    arena_init(&a, 16);
    expect_string(arena_printf(&a, "%s-%d", "queue", 7), "queue-7");
    expect_null(arena_printf(&a, "%0100d", 7));
    expect_true(a.exhausted);
    arena_reset(&a);
}

TEST(arena_after_arena_holds_what_it_was_given)
{
    enum { ARENAS = 2000, ROUNDS = 3 };
    static struct arena arenas[ARENAS];
    static uint8_t *pieces[ARENAS];

    for (int round = 0; round < ROUNDS; round++) { /* more at once than a thread keeps blocks */
        for (int i = 0; i < ARENAS; i++) {
            arena_init(&arenas[i], 1 << 20);
            pieces[i] = arena_zalloc(&arenas[i], 1, 800);
            expect_not_null(pieces[i]);
            for (int j = 0; j < 800; j++)
                check(pieces[i][j] == 0);
            memset(pieces[i], i % 251, 800);
        }
        for (int i = 0; i < ARENAS; i++)
            for (int j = 0; j < 800; j++)
                check(pieces[i][j] == i % 251);
        for (int i = 0; i < ARENAS; i++)
            arena_reset(&arenas[i]);
    }
}
