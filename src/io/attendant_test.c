#include "io/attendant.h"

#include <stdio.h>

#include "io/clock.h"
#include "io/listener.h"
#include "io/stream.h"
#include "tests/test.h"

/* What attends in these tests: it counts, and ends the thread at `limit`. */
struct counter {
    int count, limit;
    struct attendant_wait next;
};

static struct attendant_wait count(void *ctx, int64_t now_ns)
{
    struct counter *c = ctx;
    struct attendant_wait next = c->next;

    if (next.until_ns != INT64_MAX)
        next.until_ns += now_ns;
    if (__atomic_add_fetch(&c->count, 1, __ATOMIC_SEQ_CST) == c->limit)
        next.fd = -1;
    return next;
}

static void wait_for(struct counter *c, int wanted)
{
    int64_t deadline_ns = clock_now_ns() + INT64_C(5000000000);

    while (__atomic_load_n(&c->count, __ATOMIC_SEQ_CST) < wanted && clock_now_ns() < deadline_ns)
        clock_pause_ms(1);
}

static struct stream *dial(uint16_t port)
{
    char address[32];
    struct stream *stream;

    snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)port);
    expect_ok(stream_dial(address, INT64_C(1000000000), &stream));
    return stream;
}

TEST(an_attendant_is_woken_by_who_connects_and_leaves_the_connection_to_be_accepted)
{
    int fd;
    uint16_t port;
    struct attendant *a;
    struct endpoint local, peer;
    struct counter counter = {.limit = 1};

    expect_ok(listener_open("127.0.0.1:0", &fd, &port));
    expect_ok(attendant_new((struct attendant_wait){fd, INT64_MAX}, count, &counter, &a));
    struct stream *first = dial(port), *second = dial(port);
    wait_for(&counter, 1);
    attendant_free(a);
    expect_int(counter.count, 1);
    for (int i = 0; i < 2; i++) {
        int accepted = listener_accept(fd, &local, &peer);
        expect_true(accepted >= 0);
        listener_close(accepted);
    }
    stream_close(first);
    stream_close(second);
    listener_close(fd);
}

TEST(an_attendant_that_nothing_wakes_is_stopped)
{
    int fd;
    uint16_t port;
    struct attendant *a;
    struct counter counter = {0};

    expect_ok(listener_open("127.0.0.1:0", &fd, &port));
    expect_ok(attendant_new((struct attendant_wait){fd, INT64_MAX}, count, &counter, &a));
    attendant_free(a);
    attendant_free(NULL);
    expect_int(counter.count, 0);
    listener_close(fd);
}

TEST(an_attendant_is_woken_when_its_time_has_come_and_not_before)
{
    int fd;
    uint16_t port;
    struct attendant *a;
    const int64_t step_ns = 20000000;

    expect_ok(listener_open("127.0.0.1:0", &fd, &port));
    struct counter counter = {.limit = 3, .next = {fd, step_ns}};
    int64_t begun_ns = clock_now_ns();
    expect_ok(attendant_new((struct attendant_wait){fd, begun_ns + step_ns}, count, &counter, &a));
    wait_for(&counter, 3);
    expect_true(clock_now_ns() - begun_ns >= 3 * step_ns);
    attendant_free(a);
    expect_int(counter.count, 3);
    listener_close(fd);
}

TEST(an_attendant_is_woken_by_hand)
{
    int fd;
    uint16_t port;
    struct attendant *a;

    expect_ok(listener_open("127.0.0.1:0", &fd, &port));
    struct counter counter = {.next = {fd, INT64_MAX}};
    expect_ok(attendant_new((struct attendant_wait){fd, INT64_MAX}, count, &counter, &a));
    attendant_wake(NULL);
    for (int i = 1; i <= 3; i++) {
        attendant_wake(a);
        wait_for(&counter, i);
        expect_int(__atomic_load_n(&counter.count, __ATOMIC_SEQ_CST), i);
    }
    attendant_free(a);
    listener_close(fd);
}
