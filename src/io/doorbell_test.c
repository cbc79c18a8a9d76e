#include "io/doorbell.h"

#include <stdio.h>

#include "io/clock.h"
#include "io/listener.h"
#include "io/stream.h"
#include "tests/test.h"

static void count(void *ctx)
{
    __atomic_add_fetch((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

static struct stream *dial(uint16_t port)
{
    char address[32];
    struct stream *stream;
    snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)port);
    expect_ok(stream_dial(address, INT64_C(1000000000), &stream));
    return stream;
}

TEST(a_doorbell_rings_once_and_leaves_the_connection_to_be_accepted)
{
    int fd, rung = 0;
    uint16_t port;
    struct doorbell *d;
    struct endpoint local, peer;
    expect_ok(listener_open("127.0.0.1:0", &fd, &port));
    expect_ok(doorbell_new(fd, count, &rung, &d));
    struct stream *first = dial(port), *second = dial(port);
    int64_t deadline_ns = clock_now_ns() + INT64_C(5000000000);
    while (!__atomic_load_n(&rung, __ATOMIC_SEQ_CST) && clock_now_ns() < deadline_ns)
        ;
    doorbell_free(d);
    expect_int(rung, 1);
    for (int i = 0; i < 2; i++) {
        int accepted = listener_accept(fd, &local, &peer);
        expect_true(accepted >= 0);
        listener_close(accepted);
    }
    stream_close(first);
    stream_close(second);
    listener_close(fd);
}

TEST(a_doorbell_that_nobody_rings_is_taken_down)
{
    int fd, rung = 0;
    uint16_t port;
    struct doorbell *d;
    expect_ok(listener_open("127.0.0.1:0", &fd, &port));
    expect_ok(doorbell_new(fd, count, &rung, &d));
    doorbell_free(d);
    doorbell_free(NULL);
    expect_int(rung, 0);
    listener_close(fd);
}
