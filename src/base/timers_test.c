/* The heap against an array of due times. */
#include "base/timers.h"

#include "base/list.h"
#include "base/random.h"
#include "tests/test.h"

enum { TIMERS = 200, STEPS = 50000 };

struct alarm {
    struct timer timer;
    int64_t wanted_ns; /* the model: -1 when not running */
    int fired;
};

static struct alarm alarms[TIMERS];
static int64_t last_due_ns;

static void alarm_fire(struct timer *timer, int64_t now_ns)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    expect_false(timer_is_running(timer));
    expect_int(timer->due_ns, alarm->wanted_ns);
    expect_true(timer->due_ns <= now_ns);
    expect_true(timer->due_ns >= last_due_ns);
    last_due_ns = timer->due_ns;
    alarm->wanted_ns = -1;
    alarm->fired++;
}

static void alarms_init(void)
{
    for (int i = 0; i < TIMERS; i++)
        alarms[i] = (struct alarm){.timer.fire = alarm_fire, .wanted_ns = -1};
}

static void timers_expect(const struct timers *t)
{
    int64_t next_ns = INT64_MAX;
    size_t running = 0;

    for (int i = 0; i < TIMERS; i++) {
        expect_int(timer_is_running(&alarms[i].timer), alarms[i].wanted_ns >= 0);
        if (alarms[i].wanted_ns < 0)
            continue;
        running++;
        if (alarms[i].wanted_ns < next_ns)
            next_ns = alarms[i].wanted_ns;
    }
    expect_int(t->count, running);
    expect_int(timers_next(t), next_ns);
}

static size_t due_count(int64_t now_ns)
{
    size_t count = 0;

    for (int i = 0; i < TIMERS; i++)
        count += alarms[i].wanted_ns >= 0 && alarms[i].wanted_ns <= now_ns;
    return count;
}

TEST(timers_agree_with_an_array)
{
    struct timers t = {0};
    struct random r;
    int64_t now_ns = 0;

    random_init(&r, test_seed());
    alarms_init();
    for (int step = 0; step < STEPS; step++) {
        struct alarm *alarm = &alarms[random_below(&r, TIMERS)];
        switch (random_below(&r, 8)) {
        case 0:
            timer_stop(&t, &alarm->timer);
            alarm->wanted_ns = -1;
            break;
        case 1:
            now_ns += (int64_t)random_below(&r, 100);
            last_due_ns = 0;
            size_t due = due_count(now_ns), limit = random_below(&r, 20);
            expect_int(timers_run(&t, now_ns, limit), due < limit ? due : limit);
            break;
        default: /* starts a timer or moves a running one */
            alarm->wanted_ns = now_ns + (int64_t)random_below(&r, 1000);
            timer_start(&t, &alarm->timer, alarm->wanted_ns);
        }
        timers_expect(&t);
    }
    timers_reset(&t);
    for (int i = 0; i < TIMERS; i++)
        expect_false(timer_is_running(&alarms[i].timer));
}

static struct timers again_timers;

static void fire_again(struct timer *timer, int64_t now_ns)
{
    timer_start(&again_timers, timer, now_ns);
}

TEST(timers_that_start_themselves_are_bounded_by_the_limit)
{
    struct timer timer = {.fire = fire_again};

    timer_start(&again_timers, &timer, 5);
    expect_int(timers_run(&again_timers, 4, 100), 0);
    expect_int(timers_run(&again_timers, 5, 100), 100);
    expect_true(timer_is_running(&timer));
    timers_reset(&again_timers);
}

static void fire_and_forget(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    memset(timer, 0xee, sizeof *timer); /* as if its memory were freed */
}

TEST(timers_can_end_the_object_they_lie_in)
{
    struct timers t = {0};
    struct timer some[3] = {
        {.fire = fire_and_forget}, {.fire = fire_and_forget}, {.fire = fire_and_forget}};

    for (int i = 0; i < 3; i++)
        timer_start(&t, &some[i], i);
    expect_int(timers_run(&t, 10, 10), 3);
    expect_int(timers_next(&t), INT64_MAX);
    timers_reset(&t);
}

TEST(timers_of_nothing_are_never_due)
{
    struct timers t = {0};
    struct timer timer = {0};

    expect_int(timers_next(&t), INT64_MAX);
    expect_int(timers_run(&t, INT64_MAX, 10), 0);
    timer_stop(&t, &timer);
    expect_check_fails(timer_start(&t, &timer, 1)); /* nothing to fire */
    timers_reset(&t);
}
