/* Pieces of files on their way to a socket: by a real hub from real and simulated files, and by the
 * simulated link. */
#include "io/clock.h"
#include "io/echo_internal.h"
#include "io/hub.h"
#include "io/sim_disk.h"
#include "io/sim_link.h"
#include "io/test_dir.h"
#include "tests/test.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILE_BYTES = 9 << 20, THREAD_MODES = 3 }; /* more than sockets take at once */

struct world {
    struct hub *hub;
    struct echo echo;
    int fd; /* the client */
    char *dir;
    struct disk *disk;
    struct file *file;
    struct text content; /* of the file */
    int release_count;
};

static void count_release(void *ctx)
{
    ++*(int *)ctx;
}

static void turn(struct world *w)
{
    hub_wait(w->hub, clock_now_ns() + 1000000);
    hub_dispatch(w->hub, clock_now_ns());
    hub_flush(w->hub);
}

#define turn_until(w, condition)                                                                   \
    do {                                                                                           \
        int64_t deadline_ns_ = clock_now_ns() + 20 * INT64_C(1000000000);                          \
        while (!(condition)) {                                                                     \
            turn(w);                                                                               \
            if (clock_now_ns() > deadline_ns_)                                                     \
                fail_msg("waited in vain: %s", #condition);                                        \
        }                                                                                          \
    } while (0)

static void make_file(struct world *w, bool is_real)
{
    struct random random;
    random_init(&random, test_seed());
    w->dir = is_real ? test_dir_new() : NULL;
    if (is_real)
        expect_ok(disk_real_new(w->dir, &w->disk));
    else
        w->disk = sim_disk_new();
    random_fill(&random, text_reserve(&w->content, FILE_BYTES), FILE_BYTES);
    w->content.size = FILE_BYTES;
    expect_ok(disk_open(w->disk, "f", DISK_CREATE, &w->file));
    expect_ok(file_write_bytes(w->file, 0, text_bytes(&w->content)));
    expect_int(file_descriptor(w->file) >= 0, is_real);
}

static void world_start(struct world *w, bool is_real, int threads)
{
    struct hub_config config = {.threads = threads,
                                .max_connections = 10,
                                .inflight_bytes = 1 << 20,
                                .memory_bytes = 64 << 20};
    uint16_t port;
    *w = (struct world){0};
    signal(SIGPIPE, SIG_IGN);
    make_file(w, is_real);
    expect_ok(hub_new(&config, &w->echo, &w->hub));
    expect_ok(hub_listen(w->hub, "127.0.0.1:0", &echo_protocol, &port));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int small = 16384;
    setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    expect_int(connect(w->fd, (struct sockaddr *)&address, sizeof address), 0);
    turn_until(w, w->echo.open_count == 1);
}

static void world_stop(struct world *w)
{
    hub_free(w->hub);
    if (w->fd >= 0)
        close(w->fd);
    file_close(w->file);
    disk_free(w->disk);
    if (w->dir)
        test_dir_remove(w->dir);
    text_reset(&w->content);
}

static void write_file(struct world *w, uint64_t position, size_t size)
{
    link_write_file(w->echo.newest, w->file, position, size, count_release, &w->release_count);
}

/* What can be read at once goes to `in`; false at the end. */
static bool client_read(struct world *w, struct text *in)
{
    ssize_t n = recv(w->fd, text_reserve(in, 65536), 65536, MSG_DONTWAIT);
    if (n > 0)
        in->size += (size_t)n;
    return n > 0 || (n < 0 && errno == EAGAIN);
}

/* ---- over sockets ---- */

static void expect_pieces_in_order(bool is_real, int threads)
{
    struct world w;
    world_start(&w, is_real, threads);
    struct text in = {0}, wanted = {0};
    const uint8_t *content = w.content.data;
    link_write(w.echo.newest, BYTES_LITERAL("head"));
    write_file(&w, 1, FILE_BYTES - 1);
    link_write(w.echo.newest, BYTES_LITERAL("between"));
    write_file(&w, 4095, 3);
    write_file(&w, 77, 0);
    write_file(&w, 0, 70000);
    link_write(w.echo.newest, BYTES_LITERAL("tail"));
    text_append(&wanted, BYTES_LITERAL("head"));
    text_append(&wanted, bytes_of(content + 1, FILE_BYTES - 1));
    text_append(&wanted, BYTES_LITERAL("between"));
    text_append(&wanted, bytes_of(content + 4095, 3));
    text_append(&wanted, bytes_of(content, 70000));
    text_append(&wanted, BYTES_LITERAL("tail"));
    for (int i = 0; i < 5; i++)
        turn(&w);
    expect_int(w.release_count, 0); /* the socket did not take it all */
    turn_until(&w, (client_read(&w, &in), in.size >= wanted.size));
    expect_bytes(text_bytes(&in), text_bytes(&wanted));
    turn_until(&w, w.release_count == 4);
    turn_until(&w, w.echo.newest->bytes_out == wanted.size);
    world_stop(&w);
    expect_int(w.release_count, 4);
    text_reset(&in);
    text_reset(&wanted);
}

TEST(pieces_of_a_file_and_of_memory_leave_in_order_however_little_the_socket_takes)
{
    for (int threads = 0; threads < THREAD_MODES; threads++)
        expect_pieces_in_order(true, threads);
    expect_pieces_in_order(false, 0);
}

static atomic_int said_count;

static void count_lines(const char *line, uint32_t size)
{
    said_count += size > 0 && strstr(line, "a file cannot be sent") != NULL;
}

static void expect_short_file_ends_connection(bool is_real, int threads)
{
    struct world w;
    world_start(&w, is_real, threads);
    struct text in = {0};
    write_file(&w, FILE_BYTES - 1000, 1001);
    link_write(w.echo.newest, BYTES_LITERAL("nothing can follow"));
    said_count = 0;
    say_set_sink(count_lines);
    turn_until(&w, !client_read(&w, &in));
    turn_until(&w, w.echo.gone_count == 1);
    say_set_sink(NULL);
    expect_int(said_count, 1);
    expect_true(in.size <= 1000);
    expect_bytes(text_bytes(&in), bytes_of(w.content.data + FILE_BYTES - 1000, in.size));
    turn_until(&w, w.echo.gone_count == 1 && w.release_count == 1);
    world_stop(&w);
    expect_int(w.release_count, 1);
    text_reset(&in);
}

TEST(a_file_that_is_shorter_than_said_ends_the_connection)
{
    for (int threads = 0; threads < THREAD_MODES; threads++)
        expect_short_file_ends_connection(true, threads);
    expect_short_file_ends_connection(false, 0);
}

TEST(a_file_is_released_once_when_the_peer_goes_in_the_middle_of_it)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        struct text in = {0};
        world_start(&w, true, threads);
        write_file(&w, 0, FILE_BYTES);
        write_file(&w, 0, FILE_BYTES);
        turn_until(&w, (client_read(&w, &in), in.size > 0));
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(w.fd);
        w.fd = -1;
        turn_until(&w, w.echo.gone_count == 1 && w.release_count == 2);
        world_stop(&w);
        expect_int(w.release_count, 2);
        text_reset(&in);
    }
}

TEST(a_file_that_was_never_sent_is_released_with_the_hub)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct world w;
        world_start(&w, true, threads);
        write_file(&w, 0, FILE_BYTES);
        turn(&w);
        write_file(&w, 0, FILE_BYTES);
        world_stop(&w);
        expect_int(w.release_count, 2);
    }
}

/* ---- by the simulated link ---- */

TEST(a_simulated_link_reads_the_file)
{
    struct world w = {0};
    make_file(&w, false);
    struct sim_link *s = sim_link_new(&echo_protocol, &w.echo, NULL);
    w.echo.newest = sim_link_link(s);
    link_write(w.echo.newest, BYTES_LITERAL("<"));
    write_file(&w, 100, 5000);
    link_write(w.echo.newest, BYTES_LITERAL(">"));
    struct bytes out = sim_link_output(s);
    expect_int(out.size, 5002);
    expect_bytes(bytes_of(out.data + 1, 5000), bytes_of(w.content.data + 100, 5000));
    expect_int(out.data[5001], '>');
    expect_int(w.release_count, 1);
    sim_link_clear(s);

    write_file(&w, FILE_BYTES - 10, 11); /* one more than there is */
    expect_int(sim_link_output(s).size, 0);
    expect_true(sim_link_is_gone(s));
    expect_int(w.release_count, 2);
    sim_link_free(s);
    file_close(w.file);
    disk_free(w.disk);
    text_reset(&w.content);
}

/* ---- what is cached ---- */

/* The system may drop any page at any time. */
static bool is_cached_when_read(struct world *w)
{
    for (int tries = 0; tries < 100; tries++) {
        expect_ok(file_read(w->file, 0, w->content.data, FILE_BYTES));
        if (file_is_cached(w->file, 0, FILE_BYTES))
            return true;
    }
    return false;
}

TEST(what_was_written_is_cached_until_the_system_drops_it)
{
    struct world w = {0};
    make_file(&w, true);
    bool knows = file_is_cached(w.file, 0, 1); /* a system that cannot tell says no */
    expect_int(file_is_cached(w.file, 0, FILE_BYTES), knows);
    expect_int(file_is_cached(w.file, 5000, 70000), knows);
    expect_int(file_is_cached(w.file, FILE_BYTES - 1, 1), knows);
    expect_false(file_is_cached(w.file, FILE_BYTES + 8192, 1));
    expect_false(file_is_cached(w.file, 0, FILE_BYTES + 8192));
    expect_ok(file_sync(w.file));
    expect_int(posix_fadvise(file_descriptor(w.file), 0, 0, POSIX_FADV_DONTNEED), 0);
    expect_false(file_is_cached(w.file, 0, FILE_BYTES));
    expect_int(is_cached_when_read(&w), knows);
    file_close(w.file);
    disk_free(w.disk);
    test_dir_remove(w.dir);
    text_reset(&w.content);
}

/* What the system has been told to read is in its cache at once, and there to be read a while later. Who
 * takes the one for the other waits for the disk. */
TEST(what_the_system_still_reads_is_not_cached)
{
    enum { BIG = 8 << 20, STEP = 64 << 10 };
    struct world w = {0};
    make_file(&w, true);
    uint8_t *bytes = xmalloc(BIG);
    memset(bytes, 'x', BIG);
    expect_ok(file_write_bytes(w.file, 0, bytes_of(bytes, BIG)));
    for (int round = 0; round < 10; round++) {
        int fd = file_descriptor(w.file);
        expect_ok(file_sync(w.file));
        expect_int(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        file_start_read(w.file, 0, BIG);
        for (int64_t at = 0; at < BIG;) {
            struct iovec part = {bytes, STEP};
            if (!file_is_cached(w.file, (uint64_t)at, STEP)) {
                expect_ok(file_read(w.file, (uint64_t)at, bytes, 1));
                at += STEP;
                continue;
            }
            ssize_t n = preadv2(fd, &part, 1, at, RWF_NOWAIT);
            if (n < 0 && errno == EOPNOTSUPP)
                n = STEP;                                   /* a file system that cannot say so */
            if (file_is_cached(w.file, (uint64_t)at, STEP)) /* it was not dropped just then */
                expect_int(n, STEP);
            at += STEP;
        }
    }
    free(bytes);
    file_close(w.file);
    disk_free(w.disk);
    test_dir_remove(w.dir);
    text_reset(&w.content);
}
