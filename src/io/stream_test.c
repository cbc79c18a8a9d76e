#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/clock.h"
#include "io/listener.h"
#include "io/stream.h"

static const int64_t SECOND_NS = 1000000000;

/* A listener and both ends of a connection to it. */
struct pair {
    int listener, peer;
    struct stream *stream;
};

static void connect_pair(struct pair *p, const char *address)
{
    uint16_t port;
    char to[64];

    expect_ok(listener_open(address, &p->listener, &port));
    snprintf(to, sizeof to, "127.0.0.1:%u", (unsigned)port);
    expect_ok(stream_dial(port ? to : address, SECOND_NS, &p->stream));
    p->peer = accept(p->listener, NULL, NULL);
    expect_true(p->peer >= 0);
}

static void close_pair(struct pair *p)
{
    stream_close(p->stream);
    close(p->peer);
    close(p->listener);
}

static void talk(struct pair *p)
{
    char got[16];
    size_t size = 0;

    expect_ok(stream_send(p->stream, BYTES_LITERAL("hello"), clock_now_ns() + SECOND_NS));
    expect_int(read(p->peer, got, sizeof got), 5);
    expect_int(write(p->peer, "you", 3), 3);
    expect_ok(stream_receive(p->stream, got, sizeof got, clock_now_ns() + SECOND_NS, &size));
    expect_bytes(bytes_of(got, size), BYTES_LITERAL("you"));
}

TEST(a_stream_sends_and_receives_over_tcp)
{
    struct pair p;

    connect_pair(&p, "127.0.0.1:0");
    talk(&p);
    close_pair(&p);
}

TEST(a_stream_and_a_listener_meet_at_a_path_of_any_length)
{
    char directory[] = "/tmp/stream_test.XXXXXX";
    struct pair p;
    struct stat stat_of;

    expect_not_null(mkdtemp(directory));
    char *deep = xasprintf("%s/%0100d", directory, 1);
    char *path = xasprintf("%s/socket", deep);
    expect_int(mkdir(deep, 0700), 0);
    connect_pair(&p, path);
    talk(&p);
    expect_int(stat(path, &stat_of), 0);
    expect_int(stat_of.st_mode & 0777, 0600);
    close_pair(&p);
    connect_pair(&p, path); /* what the first one left is replaced */
    close_pair(&p);
    expect_int(unlink(path), 0);
    expect_int(rmdir(deep), 0);
    expect_int(rmdir(directory), 0);
    free(path);
    free(deep);
}

TEST(a_stream_waits_no_longer_than_it_is_told)
{
    struct pair p;
    char got[16];
    size_t size;

    connect_pair(&p, "127.0.0.1:0");
    expect_err(stream_receive(p.stream, got, sizeof got, clock_now_ns() + SECOND_NS / 100, &size),
               E_TIMEOUT);
    expect_ok(stream_try_receive(p.stream, got, sizeof got, &size));
    expect_int(size, 0);
    static uint8_t much[4 << 20];
    enum err err = OK;
    for (int i = 0; i < 16 && !err; i++) /* until the socket's buffers are full */
        err = stream_send(p.stream, bytes_of(much, sizeof much), clock_now_ns() + SECOND_NS / 100);
    expect_int(err, E_TIMEOUT);
    close_pair(&p);
}

TEST(a_stream_tells_that_the_peer_has_closed)
{
    struct pair p;
    char got[16];
    size_t size;

    connect_pair(&p, "127.0.0.1:0");
    close(p.peer);
    p.peer = -1;
    expect_err(stream_receive(p.stream, got, sizeof got, clock_now_ns() + SECOND_NS, &size),
               E_CLOSED);
    close_pair(&p);
}

TEST(dialling_says_what_is_wrong)
{
    struct stream *stream;

    expect_err(stream_dial("127.0.0.1", SECOND_NS, &stream), E_INVALID);
    expect_err(stream_dial(":1", SECOND_NS, &stream), E_INVALID);
    expect_err(stream_dial("host.invalid:1", SECOND_NS, &stream), E_NOT_FOUND);
    expect_err(stream_dial("/nonexistent/socket", SECOND_NS, &stream), E_NOT_FOUND);
    expect_err(stream_dial("127.0.0.1:1", SECOND_NS, &stream), E_CLOSED);
    expect_err_text("127.0.0.1:1");
}

TEST(a_set_tells_who_is_readable_and_writable)
{
    struct pair p;
    struct stream_event event;
    struct stream_set *set = stream_set_new();
    int ctx;

    connect_pair(&p, "127.0.0.1:0");
    stream_set_add(set, p.stream, &ctx);
    expect_int(stream_set_wait(set, clock_now_ns() + SECOND_NS / 1000, &event, 1), 0);
    expect_int(write(p.peer, "x", 1), 1);
    expect_int(stream_set_wait(set, clock_now_ns() + SECOND_NS, &event, 1), 1);
    expect_true(event.ctx == &ctx);
    expect_true(event.readable);
    expect_false(event.writable);
    stream_set_watch(set, p.stream, false, true);
    expect_int(stream_set_wait(set, INT64_MAX, &event, 1), 1);
    expect_false(event.readable);
    expect_true(event.writable);
    stream_set_free(set);
    close_pair(&p);
}
