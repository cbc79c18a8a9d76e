#include "tests/test.h"

#include "cli/bench.h"

static void begin(struct bench *b, int64_t rate, int64_t messages)
{
    struct bench_plan plan;

    bench_plan_init(&plan);
    plan.rate = rate;
    plan.message_count = messages;
    plan.goal = BENCH_CONFIRMED;
    bench_init(b, &plan);
    b->now_ns = b->start_ns = b->measure_ns = 1000;
    b->end_ns = 1000 + 10 * INT64_C(1000000000);
}

TEST(messages_are_due_by_the_schedule_not_by_the_answers)
{
    struct bench b;

    begin(&b, 1000, 0);
    struct bench_conn c = {.bench = &b, .schedule = {.start_ns = 1000, .step_ns = 1e6}};
    expect_int(bench_due(&c, 100), 1);
    expect_int(bench_next_stamp(&c), 1000);
    expect_int(bench_due(&c, 100), 0);
    b.now_ns +=
        5000000; /* nothing was sent for 5 ms: all of it is due, with the times it was due */
    expect_int(bench_due(&c, 100), 5);
    expect_int(bench_due(&c, 3), 3);
    expect_int(bench_next_stamp(&c), 1001000);
    expect_int(bench_next_stamp(&c), 2001000);
    b.is_sending = false;
    expect_int(bench_due(&c, 100), 0);
    bench_reset(&b);
}

TEST(without_a_rate_as_much_is_due_as_fits_but_no_more_than_the_count)
{
    struct bench b;

    begin(&b, 0, 10);
    struct bench_conn c = {.bench = &b};
    expect_int(bench_due(&c, 7), 7);
    expect_int(bench_next_stamp(&c), b.now_ns);
    bench_count_sent(&b, 7);
    expect_int(bench_due(&c, 7), 3);
    bench_reset(&b);
}

TEST(only_what_happens_in_the_measurement_is_measured)
{
    struct bench b;

    begin(&b, 0, 0);
    b.measure_ns = 2000;
    bench_count_confirmed(&b, 4, 900, 0);
    expect_int(b.all.confirmed, 4);
    expect_int(b.measured.confirmed, 0);
    b.now_ns = 5000;
    bench_count_confirmed(&b, 3, 1500, 400); /* stamps 1500, 1900, 2300 */
    expect_int(b.measured.confirmed, 3);
    expect_int(b.confirm_latency.total, 1);
    expect_int(b.confirm_latency.max, 2700);
    b.now_ns = b.end_ns + 1;
    bench_count_received(&b, 1, 0);
    expect_int(b.measured.received, 0);
    expect_int(b.receive_latency.total, 0);
    bench_reset(&b);
}
