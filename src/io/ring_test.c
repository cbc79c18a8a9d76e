/* Rings and wakers between two threads, clocks and the process. */
#include "io/ring.h"

#include "io/clock.h"
#include "io/process.h"
#include "io/thread.h"
#include "io/waker.h"
#include "tests/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

TEST(a_ring_shows_what_was_published_and_is_full_at_its_capacity)
{
    struct ring r;
    ring_init(&r, 4, sizeof(int));
    for (int i = 0; i < 4; i++)
        *(int *)ring_put(&r) = i;
    expect_null(ring_put(&r));
    expect_null(ring_get(&r)); /* not published yet */
    ring_publish(&r);
    expect_int(*(int *)ring_get(&r), 0);
    expect_int(*(int *)ring_get(&r), 1);
    expect_null(ring_put(&r)); /* not released yet */
    ring_release(&r);
    *(int *)ring_put(&r) = 4;
    *(int *)ring_put(&r) = 5;
    expect_null(ring_put(&r));
    ring_publish(&r);
    for (int i = 2; i < 6; i++)
        expect_int(*(int *)ring_get(&r), i);
    expect_null(ring_get(&r));
    ring_reset(&r);
}

enum { PASSED_COUNT = 200000 };

struct pair { /* numbers pass through a small ring; both sides sleep when there is nothing to do */
    struct ring ring;
    struct waker reader, writer;
};

static void sleep_on(struct waker *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    uint64_t count;
    if (waker_sleep(w)) {
        poll(&p, 1, 10000); /* a lost wake-up would show as a very slow test */
        ssize_t n = read(w->fd, &count, sizeof count);
        (void)n;
    }
    waker_awake(w);
}

static void *put_numbers(void *ctx)
{
    struct pair *p = ctx;
    for (int i = 0; i < PASSED_COUNT;) {
        int *slot = ring_put(&p->ring);
        if (slot)
            *slot = i++;
        if (!slot || i % 3 == 0) {
            ring_publish(&p->ring);
            waker_wake(&p->reader);
        }
        if (!slot)
            sleep_on(&p->writer);
    }
    ring_publish(&p->ring);
    waker_wake(&p->reader);
    return NULL;
}

TEST(a_ring_between_sleeping_threads_loses_nothing)
{
    struct pair p;
    ring_init(&p.ring, 64, sizeof(int));
    expect_ok(waker_init(&p.reader));
    expect_ok(waker_init(&p.writer));
    int64_t start = clock_now_ns();
    pthread_t thread;
    thread_start(&thread, "putter", put_numbers, &p);
    for (int wanted = 0; wanted < PASSED_COUNT;) {
        int *slot = ring_get(&p.ring);
        if (slot) {
            expect_int(*slot, wanted);
            wanted++;
            continue;
        }
        ring_release(&p.ring);
        waker_wake(&p.writer);
        sleep_on(&p.reader);
    }
    pthread_join(thread, NULL);
    expect_true(clock_now_ns() - start < 8000000000);
    waker_reset(&p.reader);
    waker_reset(&p.writer);
    ring_reset(&p.ring);
}

TEST(a_waker_refuses_sleep_after_a_wake_and_writes_only_to_a_sleeper)
{
    struct waker w;
    expect_ok(waker_init(&w));
    struct pollfd p = {.fd = w.fd, .events = POLLIN};
    waker_wake(&w);
    expect_false(waker_sleep(&w));
    expect_int(poll(&p, 1, 0), 0);
    waker_awake(&w);
    expect_true(waker_sleep(&w));
    waker_wake(&w);
    waker_wake(&w);
    uint64_t count = 0;
    expect_int(read(w.fd, &count, sizeof count), sizeof count);
    expect_int(count, 1);
    waker_reset(&w);
}

TEST(clocks_go_forward_and_know_the_year)
{
    int64_t a = clock_now_ns();
    expect_true(clock_now_ns() >= a);
    expect_true(clock_wall_ms() > 1700000000000);
}

/* ---- process ---- */

TEST(the_process_knows_its_machine)
{
    expect_true(process_rss_bytes() > 100 * 1024);
    expect_true(process_total_memory_bytes() > process_rss_bytes());
    expect_true(process_cpu_count() >= 1);
    expect_true(process_raise_file_limit() >= 256);
    expect_int(process_id(), getpid());
}

TEST(random_bytes_differ)
{
    uint8_t a[16] = {0}, b[16] = {0};
    process_random(a, sizeof a);
    process_random(b, sizeof b);
    expect_true(memcmp(a, b, sizeof a) != 0);
}

TEST(a_small_file_is_read_whole_or_not_at_all)
{
    struct text text = {0};
    expect_ok(process_read_file("/proc/self/statm", 4096, &text));
    expect_true(text.size > 0);
    text_reset(&text);
    expect_ok(process_read_file("/dev/null", 10, &text));
    expect_string((const char *)text.data, "");
    text_reset(&text);
    expect_err(process_read_file("/proc/self/statm", 3, &text), E_TOO_LARGE);
    expect_err(process_read_file("/proc/nothing", 3, &text), E_NOT_FOUND);
    expect_err(process_read_file("/", 3, &text), E_INVALID);
    expect_null(text.data);
}

TEST(a_small_file_is_written_over_what_was_there)
{
    char path[] = "/tmp/pabal-process-XXXXXX";
    struct text text = {0};
    int fd = mkstemp(path);

    expect_true(fd >= 0);
    close(fd);
    expect_ok(process_write_file(path, BYTES_LITERAL("longer\n")));
    expect_ok(process_write_file(path, BYTES_LITERAL("new\n")));
    expect_ok(process_read_file(path, 100, &text));
    expect_string(text_string(&text), "new\n");
    text_reset(&text);
    unlink(path);
    expect_err(process_write_file("/nonexistent/file", BYTES_LITERAL("x")), E_NOT_FOUND);
    expect_err(process_write_file("/dev/full", BYTES_LITERAL("x")), E_NO_SPACE);
}

static void note_wake(void *ctx)
{
    (*(volatile int *)ctx)++;
}

TEST(a_signal_wakes_and_asks_to_stop)
{
    volatile int wakes = 0;
    process_catch_signals(note_wake, (void *)&wakes);
    expect_false(process_should_stop());
    raise(SIGTERM);
    expect_true(process_should_stop());
    expect_int(wakes, 1);
    process_catch_signals(NULL, NULL);
    raise(SIGINT);
    expect_int(wakes, 1);
}

TEST(the_service_manager_is_told)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int size = snprintf(name, sizeof name, "@pabal-notify-%d", getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)size - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size);
    expect_int(bind(fd, (struct sockaddr *)&address, address_size), 0);

    unsetenv("NOTIFY_SOCKET");
    process_notify("READY=1");
    setenv("NOTIFY_SOCKET", name, 1);
    process_notify("READY=1");
    char got[32] = "";
    expect_int(recv(fd, got, sizeof got, MSG_DONTWAIT), 7);
    expect_string(got, "READY=1");
    unsetenv("NOTIFY_SOCKET");
    close(fd);
}
