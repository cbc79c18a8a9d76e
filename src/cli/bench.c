#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/clock.h"

enum {
    OUT_LIMIT_BYTES = 256 * 1024,
    IN_FIRST_BYTES = 64 * 1024,
    IN_READ_BYTES = 16 * 1024, /* room that a receive must have */
    EVENTS_MAX = 256,
    MANY_CONNS = 256,
};

static const int64_t SECOND_NS = 1000000000;
static const int64_t STALL_NS = 15 * INT64_C(1000000000);
static const int64_t TICK_FEW_NS = 20 * 1000;
static const int64_t TICK_MANY_NS = 1000 * 1000;

/* ---- plan and schedule ---- */

void bench_plan_init(struct bench_plan *plan)
{
    *plan = (struct bench_plan){
        .duration_ns = 10 * SECOND_NS,
        .warmup_ns = 2 * SECOND_NS,
        .drain_ns = 5 * SECOND_NS,
        .size_bytes = 100,
    };
}

void bench_init(struct bench *b, const struct bench_plan *plan)
{
    *b = (struct bench){.plan = *plan, .set = stream_set_new(), .is_sending = true};
    if (plan->message_count)
        b->plan.warmup_ns = 0;
    histogram_init(&b->confirm_latency);
    histogram_init(&b->receive_latency);
}

void bench_reset(struct bench *b)
{
    stream_set_free(b->set);
    b->set = NULL;
}

uint64_t bench_due(const struct bench_conn *c, uint64_t most)
{
    const struct bench *b = c->bench;

    if (!b->is_sending)
        return 0;
    if (b->plan.message_count) {
        uint64_t left = (uint64_t)b->plan.message_count - b->all.sent;
        most = left < most ? left : most;
    }
    if (c->schedule.step_ns == 0)
        return most;
    double passed_ns = (double)(b->now_ns - c->schedule.start_ns);
    uint64_t due = passed_ns < 0 ? 0 : (uint64_t)(passed_ns / c->schedule.step_ns) + 1;
    due = due > c->schedule.next ? due - c->schedule.next : 0;
    return due < most ? due : most;
}

static int64_t stamp_at(const struct schedule *s, uint64_t index)
{
    return s->start_ns + (int64_t)((double)index * s->step_ns);
}

int64_t bench_peek_stamp(const struct bench_conn *c)
{
    const struct schedule *s = &c->schedule;

    return s->step_ns == 0 ? c->bench->now_ns : stamp_at(s, s->next);
}

int64_t bench_next_stamp(struct bench_conn *c)
{
    int64_t stamp_ns = bench_peek_stamp(c);

    c->schedule.next++;
    return stamp_ns;
}

/* Messages are dealt to the senders in turn: each one's first is due a step of the whole later than
 * its neighbour's. */
static void make_schedules(struct bench *b, struct bench_conn **conns, size_t count)
{
    size_t senders = 0, place = 0;

    for (size_t i = 0; i < count; i++)
        senders += conns[i]->is_sender;
    if (b->plan.rate == 0 || senders == 0)
        return;
    double whole_ns = (double)SECOND_NS / (double)b->plan.rate;
    for (size_t i = 0; i < count; i++) {
        if (!conns[i]->is_sender)
            continue;
        conns[i]->schedule.start_ns = b->start_ns + (int64_t)(whole_ns * (double)place++);
        conns[i]->schedule.step_ns = whole_ns * (double)senders;
    }
}

/* ---- counting ---- */

static bool is_measured(const struct bench *b, int64_t at_ns)
{
    return at_ns >= b->measure_ns && at_ns < b->end_ns;
}

void bench_count_sent(struct bench *b, uint64_t n)
{
    b->all.sent += n;
    if (is_measured(b, b->now_ns))
        b->measured.sent += n;
    if (b->plan.goal == BENCH_SENT)
        b->last_ns = b->now_ns;
}

void bench_count_refused(struct bench *b, uint64_t n)
{
    b->all.refused += n;
    if (is_measured(b, b->now_ns))
        b->measured.refused += n;
}

static void add_latencies(const struct bench *b, struct histogram *h, uint64_t n, int64_t stamp_ns,
                          double step_ns)
{
    for (uint64_t i = 0; i < n && stamp_ns; i++) {
        int64_t at_ns = stamp_ns + (int64_t)((double)i * step_ns);
        if (is_measured(b, at_ns))
            histogram_add(h, b->now_ns - at_ns);
    }
}

void bench_count_confirmed(struct bench *b, uint64_t n, int64_t stamp_ns, double step_ns)
{
    b->all.confirmed += n;
    if (is_measured(b, b->now_ns))
        b->measured.confirmed += n;
    if (b->plan.goal == BENCH_CONFIRMED)
        b->last_ns = b->now_ns;
    add_latencies(b, &b->confirm_latency, n, stamp_ns, step_ns);
}

void bench_count_received(struct bench *b, uint64_t n, int64_t stamp_ns)
{
    b->all.received += n;
    if (is_measured(b, b->now_ns))
        b->measured.received += n;
    b->last_ns = b->now_ns;
    add_latencies(b, &b->receive_latency, n, stamp_ns, 0);
}

static uint64_t goal_of(const struct bench *b, const struct bench_stats *stats)
{
    switch (b->plan.goal) {
    case BENCH_SENT: return stats->sent;
    case BENCH_CONFIRMED: return stats->confirmed + stats->refused;
    case BENCH_RECEIVED: return stats->received;
    }
    check(false);
}

static bool has_reached_count(const struct bench *b)
{
    return b->plan.message_count && goal_of(b, &b->all) >= (uint64_t)b->plan.message_count;
}

/* ---- connections ---- */

void bench_conn_init(struct bench_conn *c, struct bench *b, struct stream *stream)
{
    *c = (struct bench_conn){.bench = b, .stream = stream, .in_capacity = IN_FIRST_BYTES};
    c->in = xmalloc(c->in_capacity);
}

void bench_conn_reset(struct bench_conn *c)
{
    stream_close(c->stream);
    text_reset(&c->out);
    free(c->in);
    *c = (struct bench_conn){0};
}

static size_t pending_bytes(const struct bench_conn *c)
{
    return c->out.size - c->out_at;
}

static enum err flush(struct bench_conn *c)
{
    while (pending_bytes(c)) {
        size_t sent = 0;
        struct bytes rest = bytes_of(c->out.data + c->out_at, pending_bytes(c));
        enum err err = stream_try_send(c->stream, rest, &sent);
        if (err)
            return err;
        if (sent == 0)
            break;
        c->out_at += sent;
    }
    if (pending_bytes(c) == 0)
        c->out.size = c->out_at = 0;
    stream_set_watch(c->bench->set, c->stream, true, pending_bytes(c) > 0);
    return OK;
}

static enum err fill_and_flush(struct bench_conn *c)
{
    if (pending_bytes(c) < OUT_LIMIT_BYTES)
        c->fill(c);
    c->is_hungry = false;
    if (pending_bytes(c) == 0)
        return OK;
    enum err err = flush(c);
    c->is_hungry = pending_bytes(c) == 0;
    return err;
}

/* Free room behind what was received: by moving it to the front, or with a larger buffer. */
static void make_room(struct bench_conn *c)
{
    if (c->in_at == c->in_size)
        c->in_at = c->in_size = 0;
    if (c->in_capacity - c->in_size >= IN_READ_BYTES)
        return;
    if (c->in_at < c->in_capacity / 2) {
        c->in_capacity *= 2;
        c->in = xrealloc(c->in, c->in_capacity);
    }
    memmove(c->in, c->in + c->in_at, c->in_size - c->in_at);
    c->in_size -= c->in_at;
    c->in_at = 0;
}

static enum err receive(struct bench_conn *c)
{
    size_t received = 0, consumed = 0;

    make_room(c);
    enum err err =
        stream_try_receive(c->stream, c->in + c->in_size, c->in_capacity - c->in_size, &received);
    if (err || received == 0)
        return err;
    c->in_size += received;
    err = c->take(c, bytes_of(c->in + c->in_at, c->in_size - c->in_at), &consumed);
    c->in_at += consumed;
    return err;
}

/* ---- the loop ---- */

static void say_progress(struct bench *b)
{
    if (b->plan.interval_ns == 0 || b->now_ns < b->progress_ns)
        return;
    double seconds = (double)b->plan.interval_ns / (double)SECOND_NS;
    fprintf(stderr, "%6.1f s  sent %.0f/s  confirmed %.0f/s  received %.0f/s\n",
            (double)(b->now_ns - b->start_ns) / (double)SECOND_NS,
            (double)(b->all.sent - b->progress.sent) / seconds,
            (double)(b->all.confirmed - b->progress.confirmed) / seconds,
            (double)(b->all.received - b->progress.received) / seconds);
    b->progress = b->all;
    b->progress_ns += b->plan.interval_ns;
}

static uint64_t copies_of(const struct bench *b)
{
    return b->plan.copies ? (uint64_t)b->plan.copies : 1;
}

static bool has_drained(const struct bench *b, struct bench_conn **conns, size_t count)
{
    if (b->now_ns >= b->drain_end_ns)
        return true;
    if (b->plan.goal == BENCH_RECEIVED && b->all.sent * copies_of(b) > b->all.received)
        return false;
    for (size_t i = 0; i < count; i++)
        if (pending_bytes(conns[i]) || !conns[i]->is_idle(conns[i]))
            return false;
    return true;
}

static bool is_over(struct bench *b, struct bench_conn **conns, size_t count)
{
    bool all_sent = b->plan.goal != BENCH_RECEIVED && b->plan.message_count &&
                    b->all.sent >= (uint64_t)b->plan.message_count;

    if (b->is_sending && (b->now_ns >= b->end_ns || all_sent)) {
        b->is_sending = false;
        b->drain_end_ns = b->now_ns + b->plan.drain_ns;
    }
    if (has_reached_count(b) && b->plan.goal != BENCH_SENT)
        return true;
    return !b->is_sending && has_drained(b, conns, count);
}

/* When the loop must turn again without an event. */
static int64_t next_turn_ns(const struct bench *b, struct bench_conn **conns, size_t count)
{
    int64_t at_ns = b->now_ns + SECOND_NS / 10;

    if (count > MANY_CONNS)
        return b->next_pass_ns;
    for (size_t i = 0; i < count; i++) {
        if (conns[i]->is_hungry)
            return b->now_ns;
        if (!conns[i]->is_sender || conns[i]->is_full || b->plan.rate == 0)
            continue;
        int64_t due_ns = bench_peek_stamp(conns[i]) + conns[i]->hold_ns;
        at_ns = due_ns < at_ns ? due_ns : at_ns;
    }
    return at_ns < b->now_ns + TICK_FEW_NS ? b->now_ns + TICK_FEW_NS : at_ns;
}

static enum err look_at_all(struct bench *b, struct bench_conn **conns, size_t count)
{
    enum err err = OK;

    if (count > MANY_CONNS && b->now_ns < b->next_pass_ns)
        return OK;
    b->next_pass_ns = b->now_ns + TICK_MANY_NS;
    for (size_t i = 0; i < count && !err; i++)
        err = fill_and_flush(conns[i]);
    return err;
}

static enum err turn(struct bench *b, struct bench_conn **conns, size_t count)
{
    struct stream_event events[EVENTS_MAX];

    enum err err = look_at_all(b, conns, count);
    if (err)
        return err;
    size_t ready = stream_set_wait(b->set, next_turn_ns(b, conns, count), events, EVENTS_MAX);
    b->now_ns = clock_now_ns();
    for (size_t i = 0; i < ready && !err; i++) {
        if (events[i].readable)
            err = receive(events[i].ctx);
        if (!err && count > MANY_CONNS)
            err = fill_and_flush(events[i].ctx);
    }
    return err;
}

/* Nothing is sent, and nothing is waited for: the connections are only there. */
static void settle(struct bench *b, size_t count)
{
    struct stream_event none[1];

    if (b->plan.says_marks)
        fprintf(stderr, "open %zu\n", count);
    if (b->plan.settle_ns)
        (void)stream_set_wait(b->set, clock_now_ns() + b->plan.settle_ns, none, 1);
}

static void begin(struct bench *b, struct bench_conn **conns, size_t count)
{
    b->now_ns = b->start_ns = clock_now_ns();
    b->measure_ns = b->start_ns + b->plan.warmup_ns;
    b->end_ns = b->plan.message_count ? INT64_MAX : b->measure_ns + b->plan.duration_ns;
    b->progress_ns = b->start_ns + b->plan.interval_ns;
    make_schedules(b, conns, count);
    for (size_t i = 0; i < count; i++)
        stream_set_add(b->set, conns[i]->stream, conns[i]);
}

/* A run by count ends only when all have come back: not for ever, when no more come. */
static enum err check_stall(struct bench *b)
{
    uint64_t count = b->all.sent + b->all.confirmed + b->all.received + b->all.refused;

    if (count != b->seen_count || b->seen_ns == 0) {
        b->seen_count = count;
        b->seen_ns = b->now_ns;
    }
    if (!b->plan.message_count || b->now_ns < b->seen_ns + STALL_NS)
        return OK;
    return err_set(E_TIMEOUT,
                   "nothing has come for %lld s; sent %llu, confirmed %llu, received %llu",
                   (long long)(STALL_NS / SECOND_NS), (unsigned long long)b->all.sent,
                   (unsigned long long)b->all.confirmed, (unsigned long long)b->all.received);
}

enum err bench_run(struct bench *b, struct bench_conn **conns, size_t count)
{
    settle(b, count);
    begin(b, conns, count);
    while (!is_over(b, conns, count)) {
        enum err err = turn(b, conns, count);
        if (!err)
            err = check_stall(b);
        if (err)
            return err;
        say_progress(b);
    }
    if (b->plan.says_marks)
        fprintf(stderr, "done\n");
    return OK;
}

/* ---- the report ---- */

static double measured_seconds(const struct bench *b)
{
    int64_t ns = b->plan.message_count ? b->last_ns - b->start_ns : b->end_ns - b->measure_ns;

    return ns > 0 ? (double)ns / (double)SECOND_NS : 1;
}

static void put_latency(json_t *row, const char *prefix, const struct histogram *h)
{
    static const struct {
        const char *name;
        double quantile;
    } columns[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

    for (size_t i = 0; i < sizeof columns / sizeof columns[0] && h->total; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s%s_us", prefix, columns[i].name);
        int64_t ns = columns[i].quantile == 1 ? h->max : histogram_quantile(h, columns[i].quantile);
        json_object_set_new(row, key, json_real((double)(ns / 100) / 10));
    }
}

void bench_report(const struct bench *b, bool as_json)
{
    double seconds = measured_seconds(b);
    double rate = (double)goal_of(b, &b->measured) / seconds;
    const struct histogram *latency =
        b->receive_latency.total ? &b->receive_latency : &b->confirm_latency;
    json_t *row = json_pack("{s:s, s:I, s:I, s:I, s:f}", "scenario", b->plan.scenario, "size",
                            (json_int_t)b->plan.size_bytes, "messages",
                            (json_int_t)goal_of(b, &b->measured), "msg/s", (json_int_t)rate, "MB/s",
                            (double)(int64_t)(rate * (double)b->plan.size_bytes / 1e5) / 10);

    if (b->all.refused)
        json_object_set_new(row, "refused", json_integer((json_int_t)b->all.refused));
    put_latency(row, "", latency);
    if (b->receive_latency.total && b->confirm_latency.total)
        put_latency(row, "confirm_", &b->confirm_latency);
    if (as_json) {
        json_object_set_new(row, "mean_us", json_real(histogram_mean(latency) / 1e3));
        json_object_set_new(row, "seconds", json_real(seconds));
        json_object_set_new(row, "sent", json_integer((json_int_t)b->all.sent));
        json_object_set_new(row, "confirmed", json_integer((json_int_t)b->all.confirmed));
        json_object_set_new(row, "received", json_integer((json_int_t)b->all.received));
        output_object(row, true);
        return;
    }
    json_t *rows = json_array();
    json_array_append_new(rows, row);
    output_rows(rows, "scenario size messages msg/s MB/s refused p50_us p99_us p99.9_us max_us",
                false);
}
