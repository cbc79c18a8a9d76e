/* The hub with real sockets on loopback, inline and with threads. */
#include "io/hub.h"

#include "base/random.h"
#include "base/say.h"
#include "io/clock.h"
#include "io/echo_internal.h"
#include "io/listener.h"
#include "io/process.h"
#include "io/reactor_internal.h"
#include "tests/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREAD_MODES = 3 }; /* 0, 1 and 2 threads */

static const int64_t second_ns = 1000000000;

struct world {
    struct hub *hub;
    struct echo echo;
    uint16_t port;
};

static void world_start(struct world *w, struct hub_config config)
{
    *w = (struct world){0};
    expect_ok(hub_new(&config, &w->echo, &w->hub));
    expect_ok(hub_listen(w->hub, "127.0.0.1:0", &echo_protocol, &w->port));
    expect_true(w->port > 0);
}

static struct hub_config config_with(int threads)
{
    return (struct hub_config){.threads = threads,
                               .max_connections = 10000,
                               .inflight_bytes = 1 << 20,
                               .memory_bytes = 256 << 20};
}

static void world_stop(struct world *w)
{
    hub_free(w->hub);
    expect_int(w->echo.open_count, w->echo.gone_count);
}

static void turn(struct world *w, int64_t wait_ns)
{
    hub_wait(w->hub, clock_now_ns() + wait_ns);
    hub_dispatch(w->hub, clock_now_ns());
    hub_flush(w->hub);
}

static void turns(struct world *w, int count)
{
    while (count-- > 0)
        turn(w, 1000000);
}

/* Turns until the condition holds; a test that waits 20 s has failed. */
#define turn_until(w, condition)                                                                   \
    do {                                                                                           \
        int64_t deadline_ns_ = clock_now_ns() + 20 * second_ns;                                    \
        while (!(condition)) {                                                                     \
            turn(w, 2000000);                                                                      \
            if (clock_now_ns() > deadline_ns_)                                                     \
                fail_msg("waited in vain: %s", #condition);                                        \
        }                                                                                          \
    } while (0)

/* ---- a client ---- */

static int client_connect(uint16_t port, int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect_true(fd >= 0);
    if (receive_buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    expect_int(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* What can be read at once goes to `in`; false when the server has closed. */
static bool client_read(int fd, struct text *in)
{
    for (;;) {
        ssize_t n = recv(fd, text_reserve(in, 65536), 65536, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        in->size += (size_t)n;
    }
}

/* How much of `b` the socket takes at once. */
static size_t client_write(int fd, struct bytes b)
{
    ssize_t n = send(fd, b.data, b.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n > 0 ? (size_t)n : 0;
}

/* A frame with this body. */
static void client_put(int fd, struct bytes body)
{
    struct text out = {0};
    echo_put(&out, body);
    expect_int(client_write(fd, text_bytes(&out)), out.size);
    text_reset(&out);
}

/* Send all of `out`, `step` bytes at most in one turn, until as much has come back. */
static void exchange(struct world *w, int fd, struct bytes out, size_t step, struct text *in)
{
    int64_t deadline_ns = clock_now_ns() + 20 * second_ns;
    size_t sent = 0, start = in->size;
    while (in->size - start < out.size) {
        size_t n = out.size - sent < step ? out.size - sent : step;
        if (n > 0)
            sent += client_write(fd, bytes_of(out.data + sent, n));
        turn(w, 1000000);
        expect_true(client_read(fd, in));
        expect_true(clock_now_ns() < deadline_ns);
    }
}

static void expect_echo(struct world *w, int fd, struct bytes out, size_t step)
{
    struct text in = {0};
    exchange(w, fd, out, step, &in);
    expect_bytes(text_bytes(&in), out);
    text_reset(&in);
}

/* None of them holds its input, which would deadlock with a budget smaller than a frame. */
static void put_frames(struct text *out, struct random *random, size_t count, size_t max_bytes)
{
    static const uint8_t letters[] = {'a', 'r'};
    for (size_t i = 0; i < count; i++) {
        size_t size = 1 + random_below(random, max_bytes);
        text_put_u32(out, (uint32_t)size);
        uint8_t *at = text_reserve(out, size);
        random_fill(random, at, size);
        at[0] = letters[random_below(random, sizeof letters)];
        out->size += size;
    }
}

/* ---- tests ---- */

TEST(frames_are_echoed_over_sockets)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 0);
        struct text out = {0};
        struct random random;
        random_init(&random, test_seed());
        put_frames(&out, &random, 2000, 300);
        expect_echo(&w, fd, text_bytes(&out), 100000);
        expect_int(w.echo.input_count, 2000);
        expect_int(hub_connection_count(w.hub), 1);
        turn_until(&w, w.echo.newest->bytes_out == out.size);
        expect_int(w.echo.newest->bytes_in, out.size);
        expect_true(w.echo.newest->receives > 0 && w.echo.newest->receives <= 2000);
        expect_true(w.echo.newest->sends > 0 && w.echo.newest->sends <= 2000);
        expect_string(w.echo.newest->peer.host, "127.0.0.1");
        expect_true(w.echo.newest->peer.loopback);
        expect_int(w.echo.newest->local.port, w.port);
        expect_true(w.echo.newest->last_input_ns > 0);
        expect_true(w.echo.newest->last_output_ns > 0);
        close(fd);
        turn_until(&w, w.echo.gone_count == 1);
        expect_int(hub_connection_count(w.hub), 0);
        world_stop(&w);
        text_reset(&out);
    }
}

TEST(frames_in_small_pieces_and_of_all_sizes_are_echoed)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        struct random random;
        random_init(&random, test_seed() + (uint64_t)threads);
        int fd = client_connect(w.port, 0);
        struct text out = {0};
        put_frames(&out, &random, 20, 60);
        expect_echo(&w, fd, text_bytes(&out), 7);
        put_frames(&out, &random, 100, 40000);
        expect_echo(&w, fd, text_bytes(&out), 5000);
        out.size = 0;
        put_frames(&out, &random, 5, ECHO_FRAME_MAX_BYTES - 100);
        expect_echo(&w, fd, text_bytes(&out), SIZE_MAX);
        close(fd);
        world_stop(&w);
        text_reset(&out);
    }
}

TEST(a_thousand_connections_are_served)
{
    enum { COUNT = 1000 };
    if (process_raise_file_limit() < 3 * COUNT)
        skip();
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        static int fds[COUNT];
        static struct text in[COUNT];
        struct text out = {0};
        struct random random;
        random_init(&random, test_seed());
        put_frames(&out, &random, 10, 500);
        for (int i = 0; i < COUNT; i++) {
            fds[i] = client_connect(w.port, 0);
            if (i % 100 == 99)
                turn(&w, 0);
        }
        turn_until(&w, hub_connection_count(w.hub) == COUNT);
        for (int i = 0; i < COUNT; i++)
            expect_int(client_write(fds[i], text_bytes(&out)), out.size);
        for (int i = 0; i < COUNT; i++) {
            turn_until(&w, (client_read(fds[i], &in[i]), in[i].size == out.size));
            expect_bytes(text_bytes(&in[i]), text_bytes(&out));
            text_reset(&in[i]);
        }
        for (int i = 0; i < COUNT; i++)
            close(fds[i]);
        turn_until(&w, w.echo.gone_count == COUNT);
        world_stop(&w);
        text_reset(&out);
    }
}

TEST(an_idle_connection_costs_less_than_a_kilobyte)
{
    expect_true(sizeof(struct conn) + 16 < 1024);
}

/* As much as the socket takes of frames that need no end. */
static void keep_busy(int fd, struct bytes frames, size_t *at, struct text *in)
{
    size_t n;
    do {
        n = client_write(fd, bytes_of(frames.data + *at, frames.size - *at));
        *at = (*at + n) % frames.size;
    } while (n > 0);
    expect_true(client_read(fd, in));
    in->size = 0;
}

TEST(who_sends_without_end_does_not_keep_others_from_being_read)
{
    enum { BUSY = 3, TURNS = 30, WARM = 300, BUFFER = 4 << 20 };
    struct world w;
    struct random random;
    struct text frames = {0}, in = {0}, one = {0}, answer = {0};
    int busy[BUSY], buffer = BUFFER;
    size_t at[BUSY] = {0};
    random_init(&random, 5);
    put_frames(&frames, &random, 200, 50000);
    put_frames(&one, &random, 1, 10);
    world_start(&w, config_with(0));
    for (int i = 0; i < BUSY; i++) {
        busy[i] = client_connect(w.port, buffer);
        setsockopt(busy[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    }
    int fd = client_connect(w.port, 0);
    expect_echo(&w, fd, text_bytes(&one), 100);
    for (int k = 0; k < WARM; k++) { /* the kernel gives room to those who use it */
        for (int i = 0; i < BUSY; i++)
            keep_busy(busy[i], text_bytes(&frames), &at[i], &in);
        turn(&w, 1000000);
    }
    for (int k = 0; k < 10; k++) {
        int turns = 0;
        answer.size = 0;
        expect_int(client_write(fd, text_bytes(&one)), one.size);
        for (; answer.size < one.size && turns < TURNS; turns++) {
            for (int i = 0; i < BUSY; i++)
                keep_busy(busy[i], text_bytes(&frames), &at[i], &in);
            turn(&w, 1000000);
            expect_true(client_read(fd, &answer));
        }
        expect_bytes(text_bytes(&answer), text_bytes(&one));
    }
    for (int i = 0; i < BUSY; i++)
        close(busy[i]);
    close(fd);
    world_stop(&w);
    text_reset(&frames);
    text_reset(&in);
    text_reset(&one);
    text_reset(&answer);
}

TEST(who_is_sent_much_does_not_keep_others_from_being_answered)
{
    enum { MANY = 4, MUCH = 8 << 20, TURN_BYTES = 256 << 10, READ_BYTES = 100000 };
    static uint32_t much[MUCH / 4];
    struct world w;
    struct text in = {0};
    struct link *links[MANY + 1];
    int fds[MANY + 1];
    size_t sent = (size_t)MANY * MUCH;
    for (uint32_t i = 0; i < MUCH / 4; i++)
        much[i] = 'n' + i; /* as input: no answer */
    world_start(&w, config_with(0));
    for (int i = 0; i <= MANY; i++) {
        fds[i] = client_connect(w.port, 4 << 20);
        expect_echo(&w, fds[i], BYTES_LITERAL("\0\0\0\3one"), 100);
        links[i] = w.echo.newest;
    }
    for (int i = 0; i <= MANY; i++)
        link_write(links[i], i < MANY ? bytes_of(much, MUCH) : BYTES_LITERAL("little"));
    client_put(fds[MANY], bytes_of(much, READ_BYTES));
    turn(&w, second_ns);
    for (int i = 0; i < MANY; i++)
        sent -= ((const struct conn *)links[i])->queue_bytes;
    expect_true(sent > TURN_BYTES && sent <= TURN_BYTES + READ_BYTES + 4);
    expect_true(client_read(fds[MANY], &in));
    expect_bytes(text_bytes(&in), BYTES_LITERAL("little"));
    close(fds[MANY]);
    for (int i = 0; i < MANY; i++) {
        in.size = 0;
        turn_until(&w, (client_read(fds[i], &in), in.size >= MUCH));
        expect_bytes(text_bytes(&in), bytes_of(much, MUCH));
        close(fds[i]);
    }
    world_stop(&w);
    text_reset(&in);
}

TEST(a_slow_reader_stops_its_writer_and_goes_on)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 16384);
        struct text in = {0};
        client_put(fd, BYTES_LITERAL("g\0\x80\0\0")); /* 8 MiB */
        turn_until(&w, w.echo.input_count == 1);
        turns(&w, 100);
        size_t pending = link_pending_bytes(w.echo.newest);
        expect_true(pending > LINK_LOW_WATER_BYTES);
        expect_true(pending < LINK_LOW_WATER_BYTES + 6000);
        turn_until(&w, (client_read(fd, &in), in.size >= 8 << 20));
        expect_int(in.size, 8 << 20);
        expect_true(w.echo.drained_count > 10);
        turn_until(&w, link_pending_bytes(w.echo.newest) == 0);
        close(fd);
        world_stop(&w);
        text_reset(&in);
    }
}

TEST(bytes_count_as_taken_when_the_socket_took_them_and_never_when_it_was_lost_before)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 4096);
        struct text in = {0};
        client_put(fd, BYTES_LITERAL("g\0\x20\0\0")); /* 2 MiB */
        turn_until(&w, (client_read(fd, &in), in.size >= 2 << 20));
        turn_until(&w, link_pending_bytes(w.echo.newest) == 0);
        expect_int(w.echo.newest->bytes_out, 2 << 20);
        expect_int(w.echo.sent_to, 2 << 20);
        client_put(fd, BYTES_LITERAL("g\x04\0\0\0")); /* 64 MiB */
        turn_until(&w, w.echo.input_count == 2);
        turns(&w, 100);
        expect_true(w.echo.newest->bytes_written > w.echo.newest->bytes_out);
        uint64_t written = w.echo.newest->bytes_written;
        close(fd);
        turn_until(&w, w.echo.gone_count == 1);
        expect_true(w.echo.sent_to > 2 << 20);
        expect_true(w.echo.sent_to < written);
        expect_int(w.echo.gone_at, w.echo.sent_to);
        world_stop(&w);
        text_reset(&in);
    }
}

TEST(who_was_above_the_low_water_mark_within_a_turn_alone_is_told_of_draining_too)
{
    static const char bytes[LINK_LOW_WATER_BYTES];
    struct world w;
    world_start(&w, config_with(0));
    int fd = client_connect(w.port, 0);
    turn_until(&w, w.echo.open_count == 1);
    link_write(w.echo.newest, bytes_of(bytes, sizeof bytes));
    hub_flush(w.hub); /* sent, but not dispatched */
    link_write(w.echo.newest, bytes_of(bytes, 100));
    expect_int(link_pending_bytes(w.echo.newest), LINK_LOW_WATER_BYTES + 100);
    hub_dispatch(w.hub, clock_now_ns());
    expect_int(link_pending_bytes(w.echo.newest), 100);
    expect_int(w.echo.drained_count, 1);
    close(fd);
    world_stop(&w);
}

TEST(small_writes_to_a_slow_reader_share_blocks)
{
    struct world w;
    world_start(&w, config_with(0));
    int fd = client_connect(w.port, 4096);
    struct text in = {0};
    client_put(fd, BYTES_LITERAL("g\0\x40\0\0")); /* fills the socket */
    turn_until(&w, w.echo.input_count == 1);
    turns(&w, 100);
    expect_true(link_pending_bytes(w.echo.newest) > LINK_LOW_WATER_BYTES);
    for (int i = 0; i < 20000; i++) {
        link_write(w.echo.newest, BYTES_LITERAL("0123456789"));
        hub_dispatch(w.hub, clock_now_ns());
        hub_flush(w.hub);
    }
    const struct conn *c = (const struct conn *)w.echo.newest;
    size_t block_count = 0;
    for (const struct block *b = c->queue.first; b; b = b->next)
        block_count++;
    expect_true(block_count < 200); /* not 20,000 */
    turn_until(&w, (client_read(fd, &in), in.size >= (4 << 20) + 200000));
    const uint8_t *at = memchr(in.data, '0', in.size); /* the rest of the x comes behind them */
    for (int i = 0; i < 20000; i++)
        expect_bytes(bytes_of(at + i * 10, 10), BYTES_LITERAL("0123456789"));
    close(fd);
    world_stop(&w);
    text_reset(&in);
}

TEST(references_are_released_also_when_the_peer_is_gone)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub_config config = config_with(threads);
        config.inflight_bytes = 16 << 20;
        struct world w;
        world_start(&w, config);
        int fd = client_connect(w.port, 4096);
        struct text out = {0};
        text_put_u32(&out, 1 << 20);
        text_append_string(&out, "r");
        text_append_zeros(&out, (1 << 20) - 1);
        struct text all = {0};
        for (int i = 0; i < 8; i++)
            text_append(&all, text_bytes(&out));
        size_t sent = 0;
        turn_until(&w, (sent += client_write(fd, bytes_of(all.data + sent, all.size - sent)),
                        w.echo.input_count >= 6));
        expect_true(w.echo.release_count < w.echo.input_count);
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        turn_until(&w, w.echo.gone_count == 1);
        turn_until(&w, w.echo.release_count == w.echo.input_count);
        world_stop(&w);
        text_reset(&out);
        text_reset(&all);
    }
}

TEST(freeing_the_hub_releases_everything)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        struct text out = {0};
        text_put_u32(&out, 100000);
        text_append_string(&out, "r");
        text_append_zeros(&out, 99999);
        echo_put(&out, BYTES_LITERAL("hold this"));
        int fds[20];
        for (int i = 0; i < 20; i++) {
            fds[i] = client_connect(w.port, 4096);
            client_write(fds[i], text_bytes(&out));
        }
        turn_until(&w, w.echo.input_count > 10);
        link_write(w.echo.newest, BYTES_LITERAL("never sent"));
        world_stop(&w);
        expect_true(w.echo.release_count > 5);
        for (int i = 0; i < 20; i++)
            close(fds[i]);
        text_reset(&out);
    }
}

TEST(a_close_sends_what_was_written_and_ends_the_connection)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 0);
        struct text out = {0}, in = {0};
        echo_put(&out, BYTES_LITERAL("close"));
        size_t answered = out.size;
        echo_put(&out, BYTES_LITERAL("what follows is not read"));
        client_write(fd, text_bytes(&out));
        turn_until(&w, !client_read(fd, &in)); /* an orderly end, although bytes were unread */
        expect_bytes(text_bytes(&in), bytes_of(out.data, answered));
        turn_until(&w, w.echo.gone_count == 1);
        expect_int(w.echo.input_count, 1);
        expect_int(hub_connection_count(w.hub), 0);
        close(fd);
        turn(&w, 0);
        world_stop(&w);
        text_reset(&out);
        text_reset(&in);
    }
}

TEST(a_close_waits_for_a_slow_reader_no_longer_than_its_grace)
{
    for (int threads = 0; threads < 1; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 4096);
        struct text out = {0};
        text_put_u32(&out, 3 << 20);
        text_append_string(&out, "c");
        text_append_zeros(&out, (3 << 20) - 1);
        size_t sent = 0;
        turn_until(&w, (sent += client_write(fd, bytes_of(out.data + sent, out.size - sent)),
                        w.echo.input_count == 1));
        int64_t start = clock_now_ns();
        hub_wait(w.hub, start + 100000000);
        hub_dispatch(w.hub, clock_now_ns());
        expect_int(w.echo.gone_count, 0);
        turn_until(&w, w.echo.gone_count == 1);
        int64_t took = clock_now_ns() - start;
        expect_true(took > 2 * second_ns);
        expect_true(took < 5 * second_ns);
        close(fd);
        world_stop(&w);
        text_reset(&out);
    }
}

TEST(the_end_of_a_stream_comes_after_its_inputs_and_their_answers)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 0);
        struct text out = {0}, in = {0};
        echo_put(&out, BYTES_LITERAL("last words"));
        client_write(fd, text_bytes(&out));
        shutdown(fd, SHUT_WR);
        turn_until(&w, !client_read(fd, &in));
        expect_bytes(text_bytes(&in), text_bytes(&out));
        turn_until(&w, w.echo.gone_count == 1);
        close(fd);
        world_stop(&w);
        text_reset(&out);
        text_reset(&in);
    }
}

TEST(a_broken_stream_is_answered_and_closed)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 0);
        struct text in = {0};
        client_put(fd, BYTES_LITERAL("bad"));
        turn_until(&w, !client_read(fd, &in));
        expect_bytes(text_bytes(&in), BYTES_LITERAL("broken"));
        expect_int(w.echo.broken_code, E_MALFORMED);
        expect_string(w.echo.broken_text, "a frame that says so");
        close(fd);

        fd = client_connect(w.port, 0);
        client_write(fd, BYTES_LITERAL("\xff\xff\xff\xff"));
        turn_until(&w, w.echo.broken_count == 2);
        expect_int(w.echo.broken_code, E_TOO_LARGE);
        close(fd);
        world_stop(&w);
        text_reset(&in);
    }
}

TEST(a_paused_connection_is_not_read_until_it_goes_on)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 0);
        struct text out = {0}, in = {0};
        echo_put(&out, BYTES_LITERAL("pause"));
        client_write(fd, text_bytes(&out));
        turn_until(&w, (client_read(fd, &in), in.size == out.size));
        client_write(fd, text_bytes(&out));
        turns(&w, 20);
        expect_int(w.echo.input_count, 1);
        link_pause_input(w.echo.newest, false);
        turn_until(&w, w.echo.input_count == 2);
        close(fd);
        world_stop(&w);
        text_reset(&out);
        text_reset(&in);
    }
}

/* The held input stays in flight until the next one comes, so the budget never empties. */
TEST(over_its_budget_a_connection_is_not_read)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub_config config = config_with(threads);
        config.inflight_bytes = 50000;
        struct world w;
        world_start(&w, config);
        int fd = client_connect(w.port, 0);
        struct text held = {0}, more = {0};
        text_put_u32(&held, 60000);
        text_append_string(&held, "h");
        text_append_zeros(&held, 59999);
        echo_put(&more, BYTES_LITERAL("more"));
        client_write(fd, text_bytes(&held));
        turn_until(&w, w.echo.input_count == 1);
        client_write(fd, text_bytes(&more));
        turns(&w, 20);
        expect_int(w.echo.input_count, 1);
        close(fd);
        world_stop(&w);
        text_reset(&held);
        text_reset(&more);
    }
}

/* Many small inputs through a small budget: freed bytes must always bring the reading back. */
TEST(a_small_budget_slows_and_never_stops)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub_config config = config_with(threads);
        config.inflight_bytes = 1000;
        struct world w;
        world_start(&w, config);
        int fd = client_connect(w.port, 0);
        struct text out = {0};
        struct random random;
        random_init(&random, test_seed());
        put_frames(&out, &random, 3000, 3000);
        expect_echo(&w, fd, text_bytes(&out), SIZE_MAX);
        close(fd);
        world_stop(&w);
        text_reset(&out);
    }
}

static void close_link(void *ctx, struct link *link)
{
    (void)ctx;
    link_close(link);
}

static void expect_input_since(void *ns, struct link *link)
{
    expect_true(link->last_input_ns >= *(int64_t *)ns);
}

TEST(without_memory_nobody_is_read_until_some_is_given_back)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub_config config = config_with(threads);
        config.memory_bytes = 1 << 20;
        config.inflight_bytes = 16 << 20;
        struct world w;
        world_start(&w, config);
        int holder = client_connect(w.port, 0), other = client_connect(w.port, 0);
        struct text held = {0}, more = {0}, in = {0};
        text_put_u32(&held, 3 << 19);
        text_append_string(&held, "h");
        text_append_zeros(&held, (3 << 19) - 1);
        size_t sent = 0;
        turn_until(&w, (sent += client_write(holder, bytes_of(held.data + sent, held.size - sent)),
                        client_read(holder, &in), in.size == held.size));
        echo_put(&more, BYTES_LITERAL("more"));
        client_write(other, text_bytes(&more));
        turns(&w, 20);
        expect_int(w.echo.input_count, 1);
        hub_each_link(w.hub, close_link, NULL);
        turn_until(&w, w.echo.gone_count == 2);
        close(holder);
        close(other);
        other = client_connect(w.port, 0);
        expect_echo(&w, other, text_bytes(&more), SIZE_MAX);
        close(other);
        world_stop(&w);
        text_reset(&held);
        text_reset(&more);
        text_reset(&in);
    }
}

TEST(behind_a_shut_gate_writers_are_not_read_others_are_and_nobody_seems_silent)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 0);
        struct text out = {0}, in = {0};
        echo_put(&out, BYTES_LITERAL("waits"));
        turn_until(&w, hub_connection_count(w.hub) == 1);
        link_gate_input(w.echo.newest);
        int others[2]; /* so that each thread has one, and has heard of the gate when it echoes */
        for (size_t i = 0; i < 2; i++) {
            others[i] = client_connect(w.port, 0);
            turn_until(&w, hub_connection_count(w.hub) == 2 + i);
        }
        hub_gate_input(w.hub, true);
        for (size_t i = 0; i < 2; i++) {
            client_write(others[i], text_bytes(&out));
            turn_until(&w, (client_read(others[i], &in), in.size == out.size));
            in.size = 0;
        }
        client_write(fd, text_bytes(&out));
        turns(&w, 20);
        expect_true(client_read(fd, &in));
        expect_int(in.size, 0);
        int64_t before_ns = clock_now_ns();
        hub_gate_input(w.hub, false);
        hub_each_link(w.hub, expect_input_since, &before_ns);
        turn_until(&w, (client_read(fd, &in), in.size == out.size));
        close(fd);
        close(others[0]);
        close(others[1]);
        world_stop(&w);
        text_reset(&out);
        text_reset(&in);
    }
}

TEST(a_frame_far_over_the_memory_is_broken_off)
{
    struct hub_config config = config_with(0);
    config.memory_bytes = 1 << 20;
    struct world w;
    world_start(&w, config);
    int fd = client_connect(w.port, 0);
    struct text out = {0};
    text_put_u32(&out, 7 << 19);
    text_append_zeros(&out, 7 << 19);
    size_t sent = 0;
    turn_until(&w, (sent += client_write(fd, bytes_of(out.data + sent, out.size - sent)),
                    w.echo.broken_count == 1));
    expect_int(w.echo.broken_code, E_NO_MEMORY);
    close(fd);
    world_stop(&w);
    text_reset(&out);
}

TEST(too_many_connections_are_refused)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub_config config = config_with(threads);
        config.max_connections = 2;
        struct world w;
        world_start(&w, config);
        int fds[4];
        for (int i = 0; i < 4; i++) {
            fds[i] = client_connect(w.port, 0);
            turn(&w, 5000000);
        }
        struct text in = {0};
        turn_until(&w, !client_read(fds[2], &in));
        turn_until(&w, !client_read(fds[3], &in));
        expect_int(hub_connection_count(w.hub), 2);
        close(fds[0]);
        turn_until(&w, hub_connection_count(w.hub) == 1);
        struct text out = {0};
        echo_put(&out, BYTES_LITERAL("still served"));
        expect_echo(&w, fds[1], text_bytes(&out), SIZE_MAX);
        int fd = client_connect(w.port, 0);
        expect_echo(&w, fd, text_bytes(&out), SIZE_MAX);
        close(fd);
        for (int i = 1; i < 4; i++)
            close(fds[i]);
        world_stop(&w);
        text_reset(&in);
        text_reset(&out);
    }
}

TEST(without_descriptors_connections_are_refused_and_then_served_again)
{
    struct world w;
    world_start(&w, config_with(0));
    int clients[3], spare;
    for (int i = 0; i < 3; i++)
        clients[i] = client_connect(w.port, 0);
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    spare = dup(0);
    none = (struct rlimit){(rlim_t)spare, before.rlim_max}; /* not one more */
    close(spare);
    setrlimit(RLIMIT_NOFILE, &none);
    struct text in = {0}, out = {0};
    turn(&w, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < 3; i++) {
        turn_until(&w, !client_read(clients[i], &in));
        close(clients[i]);
    }
    expect_int(w.echo.open_count, 0);
    echo_put(&out, BYTES_LITERAL("served"));
    int fd = client_connect(w.port, 0);
    expect_echo(&w, fd, text_bytes(&out), SIZE_MAX);
    close(fd);
    world_stop(&w);
    text_reset(&in);
    text_reset(&out);
}

TEST(listeners_stop_while_connections_live_on)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, config_with(threads));
        int fd = client_connect(w.port, 0);
        turn_until(&w, hub_connection_count(w.hub) == 1);
        hub_stop_listening(w.hub);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(w.port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int refused = 0, late;
        turn_until(&w, (late = socket(AF_INET, SOCK_STREAM, 0),
                        refused = connect(late, (struct sockaddr *)&address, sizeof address),
                        close(late), refused != 0));
        struct text out = {0};
        echo_put(&out, BYTES_LITERAL("still here"));
        expect_echo(&w, fd, text_bytes(&out), SIZE_MAX);
        close(fd);
        world_stop(&w);
        text_reset(&out);
    }
}

TEST(addresses_are_understood_or_refused)
{
    struct world w;
    world_start(&w, config_with(0));
    uint16_t port = 0;
    expect_err(hub_listen(w.hub, "127.0.0.1", &echo_protocol, &port), E_INVALID);
    expect_err(hub_listen(w.hub, ":80", &echo_protocol, &port), E_INVALID);
    expect_err(hub_listen(w.hub, "127.0.0.1:x", &echo_protocol, &port), E_INVALID);
    expect_err(hub_listen(w.hub, "127.0.0.1:65536", &echo_protocol, &port), E_INVALID);
    expect_err(hub_listen(w.hub, "::1:80", &echo_protocol, &port), E_INVALID);
    expect_err(hub_listen(w.hub, "no such host.invalid:80", &echo_protocol, &port), E_INVALID);
    expect_err(hub_listen(w.hub, "192.0.2.1:0", &echo_protocol, &port), E_INVALID); /* not ours */
    expect_err_text("listen on 192.0.2.1:0: bind");
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", w.port);
    expect_err(hub_listen(w.hub, taken, &echo_protocol, &port), E_IN_USE);
    expect_int(port, 0);
    world_stop(&w);
}

TEST(a_v6_listener_takes_both_families)
{
    struct world w;
    world_start(&w, config_with(0));
    uint16_t port;
    if (hub_listen(w.hub, "[::]:0", &echo_protocol, &port)) {
        world_stop(&w);
        skip(); /* no v6 here */
    }
    int fd = client_connect(port, 0);
    turn_until(&w, w.echo.open_count == 1);
    expect_string(w.echo.newest->peer.host, "127.0.0.1");
    expect_true(w.echo.newest->peer.loopback);
    close(fd);
    world_stop(&w);
}

/* As the hub accepts it, from this host. */
static int accept_one(int *client)
{
    int fd;
    uint16_t port;
    struct endpoint local, peer;
    expect_ok(listener_open("127.0.0.1:0", &fd, &port));
    *client = client_connect(port, 0);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    poll(&ready, 1, 1000);
    int accepted = listener_accept(fd, &local, &peer);
    close(fd);
    return accepted;
}

TEST(accepted_sockets_do_not_delay_and_are_not_paced_between_two_of_one_host)
{
    char name[16] = "";
    int client, on = 0, accepted = accept_one(&client);
    expect_int(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, &(socklen_t){sizeof on}), 0);
    expect_true(on != 0);
    expect_int(getsockopt(accepted, IPPROTO_TCP, TCP_CONGESTION, name, &(socklen_t){sizeof name}),
               0);
    expect_string(name, "reno");
    close(accepted);
    close(client);
}

/* ---- everything at once ---- */

struct client {
    int fd; /* -1: not connected */
    struct text out, in;
    size_t sent;
    bool ends; /* the server may close it at any time */
};

static void client_reset(struct client *c, struct random *random)
{
    if (c->fd >= 0 && random_below(random, 3) == 0) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    if (c->fd >= 0)
        close(c->fd);
    text_reset(&c->out);
    text_reset(&c->in);
    *c = (struct client){.fd = -1};
}

static void client_start(struct client *c, struct random *random, uint16_t port)
{
    c->fd = client_connect(port, random_below(random, 3) ? 0 : 4096);
    put_frames(&c->out, random, 1 + random_below(random, 30),
               random_below(random, 10) ? 2000 : 200000);
    c->ends = random_below(random, 4) == 0;
    if (c->ends)
        echo_put(&c->out, random_below(random, 2) ? BYTES_LITERAL("close") : BYTES_LITERAL("bad"));
}

/* What came back is what was sent, as far as it came. */
static void client_step(struct client *c, struct random *random)
{
    size_t left = c->out.size - c->sent;
    size_t n = left > 0 ? 1 + random_below(random, left) : 0;
    c->sent += client_write(c->fd, bytes_of(c->out.data + c->sent, n));
    bool open = random_below(random, 3) == 0 || client_read(c->fd, &c->in);
    expect_true(open || c->ends);
    size_t compared = c->in.size < c->out.size ? c->in.size : c->out.size;
    if (!c->ends)
        expect_bytes(bytes_of(c->in.data, compared), bytes_of(c->out.data, compared));
    bool done = !open || (!c->ends && c->in.size == c->out.size);
    if (done || random_below(random, 40) == 0)
        client_reset(c, random);
}

static void run_chaos(int threads, uint64_t seed, int steps)
{
    enum { CLIENTS = 20 };
    struct hub_config config = config_with(threads);
    config.inflight_bytes = 100000;
    config.memory_bytes = 4 << 20;
    struct world w;
    world_start(&w, config);
    struct random random;
    random_init(&random, seed);
    struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){.fd = -1};
    for (int step = 0; step < steps; step++) {
        struct client *c = &clients[random_below(&random, CLIENTS)];
        if (c->fd < 0)
            client_start(c, &random, w.port);
        else
            client_step(c, &random);
        turn(&w, step % 8 ? 0 : 1000000); /* threads need some time of their own */
        if (w.echo.newest && random_below(&random, 200) == 0)
            link_pause_input(w.echo.newest, random_below(&random, 4) == 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        client_reset(&clients[i], &random);
    expect_true(w.echo.open_count > steps / 200);
    world_stop(&w);
}

TEST(connections_that_come_go_and_break_at_random_are_served)
{
    say_set_level(SAY_ERROR);
    for (int threads = 0; threads < THREAD_MODES; threads++)
        for (uint64_t seed = 0; seed < 4; seed++)
            run_chaos(threads, test_seed() + seed, 3000);
    say_set_level(SAY_INFO);
}
