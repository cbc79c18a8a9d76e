/* The clocks of the operating system. */
#include "io/clock.h"

#include "base/check.h"

#include <time.h>

static int64_t read_clock(clockid_t clock, int64_t unit_ns)
{
    struct timespec t;
    int failed = clock_gettime(clock, &t);
    check(!failed);
    return (int64_t)t.tv_sec * (1000000000 / unit_ns) + t.tv_nsec / unit_ns;
}

int64_t clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC, 1);
}

int64_t clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000000);
}

void clock_pause_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}
