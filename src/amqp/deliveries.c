#include "amqp/deliveries.h"

#include "amqp/consume.h"
#include "base/say.h"

enum { NS_IN_MS = 1000000 };
#define NS_IN_S INT64_C(1000000000)

static void look_for_late(struct timer *timer, int64_t now_ns);

void deliveries_init(struct channel *ch)
{
    ch->settle_timer.fire = look_for_late;
}

/* 0: they may stay for ever. */
static int64_t timeout_of(const struct queue *queue, const struct amqp_consumer *consumer)
{
    return consumer && consumer->timeout_ms >= 0 ? consumer->timeout_ms
                                                 : queue_consumer_timeout_ms(queue);
}

void deliveries_keep(struct channel *ch, uint64_t tag, const struct delivery *d,
                     struct amqp_consumer *consumer)
{
    struct core *core = ch->conn->core;
    int64_t timeout_ms = timeout_of(d->queue, consumer);
    struct unacked_delivery kept = {
        .queue = d->queue, .consumer = consumer, .offset = d->offset, .number = d->number};

    if (timeout_ms > 0) {
        kept.since_s = (uint32_t)(core->now_ns / NS_IN_S) + 1; /* never before its time */
        int64_t late_ns = kept.since_s * NS_IN_S + timeout_ms * NS_IN_MS;
        if (!timer_is_running(&ch->settle_timer) || ch->settle_timer.due_ns > late_ns)
            timer_start(&core->timers, &ch->settle_timer, late_ns);
    }
    unacked_add(&ch->unacked, tag, &kept);
}

void deliveries_forget_timeouts(struct channel *ch)
{
    timer_stop(&ch->conn->core->timers, &ch->settle_timer);
}

struct first_late {
    const struct unacked_run *run;
    int64_t late_ns, timeout_ms;
};

static void note_first_late(void *ctx, const struct unacked_run *run)
{
    struct first_late *first = ctx;
    int64_t timeout_ms = run->since_s ? timeout_of(run->queue, run->consumer) : 0;
    int64_t late_ns = run->since_s * NS_IN_S + timeout_ms * NS_IN_MS;

    if (timeout_ms > 0 && late_ns < first->late_ns)
        *first = (struct first_late){run, late_ns, timeout_ms};
}

static void look_for_late(struct timer *timer, int64_t now_ns)
{
    struct channel *ch = container_of(timer, struct channel, settle_timer);
    struct first_late first = {.late_ns = INT64_MAX};

    unacked_each_run(&ch->unacked, note_first_late, &first);
    if (!first.run)
        return;
    if (first.late_ns > now_ns) {
        timer_start(&ch->conn->core->timers, timer, first.late_ns);
        return;
    }
    say_warn("amqp", "a delivery was not settled in time channel=%u queue=%.*s timeout_ms=%lld",
             ch->id, BYTES_FORMAT(first.run->queue->name), (long long)first.timeout_ms);
    channel_fail(ch, REPLY_PRECONDITION_FAILED,
                 "delivery acknowledgement on channel %u timed out. Timeout value used: %lld ms. "
                 "This timeout value can be configured, see consumers doc guide to learn more",
                 ch->id, (long long)first.timeout_ms);
}
