/* The core's sleep. */
#include "io/hub.h"

#include "io/clock.h"
#include "tests/test.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { THREAD_MODES = 2 };

static struct hub *hub_with(int threads)
{
    struct hub *hub;
    struct hub_config config = {.threads = threads,
                                .max_connections = 10,
                                .inflight_bytes = 1 << 20,
                                .memory_bytes = 256 << 20};
    expect_ok(hub_new(&config, NULL, &hub));
    hub_wait(hub, 0); /* what the start itself woke */
    return hub;
}

/* It does not come back before. */
static void expect_sleep_ms(struct hub *hub, int ms)
{
    int64_t start = clock_now_ns();
    hub_wait(hub, start + ms * 1000000);
    expect_true(clock_now_ns() - start >= ms * 1000000);
}

static void *wake_later(void *hub)
{
    poll(NULL, 0, 50);
    hub_wake(hub);
    return NULL;
}

TEST(a_sleeping_hub_is_woken_and_a_deadline_ends_its_sleep)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub *hub = hub_with(threads);
        pthread_t thread;
        pthread_create(&thread, NULL, wake_later, hub);
        int64_t start = clock_now_ns();
        hub_wait(hub, INT64_MAX);
        expect_true(clock_now_ns() - start > 10000000);
        pthread_join(thread, NULL);
        hub_wake(hub); /* before the sleep */
        hub_wait(hub, INT64_MAX);
        expect_sleep_ms(hub, 20);
        hub_free(hub);
    }
}

TEST(a_watched_descriptor_wakes_the_hub_as_long_as_it_can_be_read)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub *hub = hub_with(threads);
        uint64_t count = 1;
        int fd = eventfd(0, EFD_NONBLOCK);
        expect_ok(hub_watch(hub, fd));
        expect_sleep_ms(hub, 20);
        expect_int(write(fd, &count, sizeof count), sizeof count);
        hub_wait(hub, INT64_MAX);
        hub_wait(hub, INT64_MAX);
        expect_int(read(fd, &count, sizeof count), sizeof count);
        expect_sleep_ms(hub, 20);
        hub_free(hub);
        close(fd);
    }
}

TEST(a_hub_that_hardly_sleeps_is_busy)
{
    for (int threads = 0; threads < THREAD_MODES; threads++) {
        struct hub *hub = hub_with(threads);
        expect_false(hub_is_busy(hub));
        expect_sleep_ms(hub, 50);
        expect_false(hub_is_busy(hub));
        int64_t start = clock_now_ns();
        while (clock_now_ns() < start + 50000000)
            hub_wait(hub, 0);
        expect_true(hub_is_busy(hub));
        expect_sleep_ms(hub, 50);
        expect_false(hub_is_busy(hub));
        hub_free(hub);
    }
}
