/* Links without sockets: the sim link, blocks, inputs. */
#include "io/echo_internal.h"
#include "io/rbuf.h"
#include "io/sim_link.h"
#include "tests/test.h"

#include "base/mem.h"

#include <stdlib.h>

TEST(a_frame_is_answered_however_it_is_split)
{
    struct text in = {0};
    struct text big = {0};
    text_append_zeros(&big, 30000);
    echo_put(&in, BYTES_LITERAL("one"));
    echo_put(&in, BYTES_LITERAL(""));
    echo_put(&in, text_bytes(&big));
    echo_put(&in, BYTES_LITERAL("ref"));
    echo_put(&in, BYTES_LITERAL("hold"));
    echo_put(&in, BYTES_LITERAL("last"));
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct echo echo = {0};
        struct random random;
        random_init(&random, test_seed() + seed);
        struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
        expect_true(sim_link_feed_split(s, text_bytes(&in), &random));
        expect_bytes(sim_link_output(s), text_bytes(&in));
        expect_int(echo.input_count, 6);
        expect_int(echo.release_count, 1);
        expect_int(sim_link_unfreed_count(s), 0);
        expect_int(sim_link_link(s)->bytes_in, in.size);
        expect_int(sim_link_link(s)->bytes_out, in.size);
        sim_link_free(s);
        expect_int(echo.gone_count, 1);
    }
    text_reset(&big);
    text_reset(&in);
}

TEST(a_broken_stream_delivers_what_came_before_and_ends)
{
    struct echo echo = {0};
    struct text in = {0};
    echo_put(&in, BYTES_LITERAL("fine"));
    size_t fine_bytes = in.size;
    echo_put(&in, BYTES_LITERAL("bad"));
    struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
    expect_true(sim_link_feed(s, text_bytes(&in)));
    expect_int(echo.input_count, 1);
    expect_int(echo.broken_code, E_MALFORMED);
    expect_string(echo.broken_text, "a frame that says so");
    expect_false(sim_link_feed(s, text_bytes(&in)));
    struct bytes out = sim_link_output(s);
    expect_bytes(bytes_of(out.data + fine_bytes, out.size - fine_bytes), BYTES_LITERAL("broken"));
    expect_true(sim_link_is_gone(s));
    sim_link_free(s);
    text_reset(&in);
}

TEST(a_frame_over_the_limit_is_refused)
{
    struct echo echo = {0};
    struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
    expect_true(sim_link_feed(s, BYTES_LITERAL("\x7f\xff\xff\xff")));
    expect_int(echo.broken_code, E_TOO_LARGE);
    sim_link_free(s);
}

TEST(closing_discards_what_is_written_later_and_releases_it)
{
    struct echo echo = {0};
    struct text in = {0};
    echo_put(&in, BYTES_LITERAL("close"));
    size_t close_bytes = in.size;
    echo_put(&in, BYTES_LITERAL("never"));
    struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
    expect_true(sim_link_feed(s, text_bytes(&in)));
    expect_int(echo.input_count, 1);
    struct link *link = sim_link_link(s);
    link_write(link, BYTES_LITERAL("too late"));
    memset(link_reserve(link, 100), 1, 100);
    link_shrink(link, 50);
    link_close(link);
    expect_int(link_pending_bytes(link), close_bytes);
    expect_bytes(sim_link_output(s), bytes_of(in.data, close_bytes));
    expect_true(sim_link_is_gone(s));
    expect_int(echo.gone_count, 1);
    sim_link_free(s);
    text_reset(&in);
}

TEST(the_peers_end_closes_after_what_was_written)
{
    struct echo echo = {0};
    struct text in = {0};
    echo_put(&in, BYTES_LITERAL("hello"));
    struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
    sim_link_set_now(s, 77);
    expect_true(sim_link_feed(s, text_bytes(&in)));
    expect_int(sim_link_link(s)->last_input_ns, 77);
    sim_link_end(s);
    expect_bytes(sim_link_output(s), text_bytes(&in));
    expect_int(echo.gone_count, 1);
    sim_link_free(s);
    text_reset(&in);
}

TEST(a_peer_that_does_not_read_stops_the_writer_at_the_low_water_mark)
{
    struct echo echo = {0};
    struct text in = {0};
    echo_put(&in, BYTES_LITERAL("g\0\x10\0\0")); /* 1 MiB */
    struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
    sim_link_block(s, true);
    expect_true(sim_link_feed(s, text_bytes(&in)));
    sim_link_turn(s);
    size_t pending = link_pending_bytes(sim_link_link(s));
    expect_true(pending > LINK_LOW_WATER_BYTES);
    expect_true(pending < LINK_LOW_WATER_BYTES + 6000);
    sim_link_turn(s);
    expect_int(link_pending_bytes(sim_link_link(s)), pending);
    sim_link_block(s, false);
    for (int i = 0; i < 20; i++)
        sim_link_turn(s);
    expect_int(sim_link_output(s).size, 1 << 20);
    expect_true(echo.drained_count > 10);
    sim_link_clear(s);
    expect_int(sim_link_output(s).size, 0);
    sim_link_free(s);
    text_reset(&in);
}

TEST(a_paused_link_takes_nothing)
{
    struct echo echo = {0};
    struct text in = {0};
    echo_put(&in, BYTES_LITERAL("pause"));
    struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
    expect_true(sim_link_feed(s, text_bytes(&in)));
    expect_false(sim_link_feed(s, text_bytes(&in)));
    link_pause_input(sim_link_link(s), false);
    expect_true(sim_link_feed(s, text_bytes(&in)));
    expect_int(echo.input_count, 2);
    sim_link_free(s);
    text_reset(&in);
}

/* Writes of all sizes come out whole and in order, by whatever blocks they went. */
TEST(writes_and_references_leave_in_order)
{
    struct echo echo = {0};
    struct random random;
    random_init(&random, test_seed());
    static uint8_t source[100000];
    random_fill(&random, source, sizeof source);
    struct text wanted = {0};
    struct sim_link *s = sim_link_new(&echo_protocol, &echo, NULL);
    for (int i = 0; i < 2000; i++) {
        size_t size = random_below(&random, random_below(&random, 10) ? 300 : 40000);
        struct bytes b = bytes_of(source + random_below(&random, 50000), size);
        switch (random_below(&random, 3)) {
        case 0: link_write(sim_link_link(s), b); break;
        case 1: link_write_ref(sim_link_link(s), b, NULL, NULL); break;
        case 2:
            memcpy(link_reserve(sim_link_link(s), size + 7), b.data, size);
            link_shrink(sim_link_link(s), 7);
            break;
        }
        text_append(&wanted, b);
        if (random_below(&random, 50) == 0)
            sim_link_turn(s);
    }
    expect_int(link_pending_bytes(sim_link_link(s)) + sim_link_link(s)->bytes_out, wanted.size);
    expect_bytes(sim_link_output(s), text_bytes(&wanted));
    sim_link_free(s);
    text_reset(&wanted);
}

TEST(an_input_over_its_arena_is_refused)
{
    expect_null(input_new(sizeof(struct input), 8));
    struct input *input = input_new(sizeof *input, 1024);
    expect_not_null(input);
    input_free(input);
    input_free(NULL);
}

TEST(receive_buffers_are_counted_until_the_last_release)
{
    struct rbuf_pool *pool = rbuf_pool_new();
    struct rbuf *b = rbuf_new(pool, 1000);
    expect_int(rbuf_pool_bytes(pool), 0);
    rbuf_add_used(b, 900);
    expect_int(rbuf_pool_bytes(pool), 900);
    b = rbuf_grow(b, 5000);
    expect_int(rbuf_pool_bytes(pool), 900);
    rbuf_add_used(b, 4100);
    expect_int(rbuf_pool_bytes(pool), 5000);
    rbuf_ref(b);
    expect_true(rbuf_is_shared(b));
    rbuf_unref(b);
    expect_int(rbuf_pool_bytes(pool), 5000);
    rbuf_unref(b);
    expect_int(rbuf_pool_bytes(pool), 0);
    struct rbuf *usual[20];
    for (int i = 0; i < 20; i++)
        usual[i] = rbuf_new(pool, RBUF_USUAL_BYTES);
    for (int i = 0; i < 19; i++)
        rbuf_unref(usual[i]);
    expect_int(rbuf_pool_bytes(pool), RBUF_USUAL_BYTES);
    rbuf_pool_free(pool); /* lives on with its last buffer */
    rbuf_unref(usual[19]);
    rbuf_unref(NULL);
}
