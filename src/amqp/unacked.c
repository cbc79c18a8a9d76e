#include "amqp/unacked.h"

#include "base/fifo.h"
#include "broker/queue.h"

enum { RUN_MAX = 64, COMPACT_MIN = 32 };

/* Can the delivery continue the run? The second tag of a run chooses its stride. */
static bool run_takes(struct unacked_run *run, uint64_t tag, const struct unacked_delivery *d)
{
    if (run->span == RUN_MAX || tag != run->first_tag + run->span || run->queue != d->queue ||
        run->consumer != d->consumer || run->number != d->number || run->since_s != d->since_s)
        return false;
    if (run->span == 1)
        run->stride = d->offset - run->first_offset;
    return d->offset == run->first_offset + run->stride * run->span;
}

void unacked_add(struct unacked *u, uint64_t tag, const struct unacked_delivery *d)
{
    struct unacked_run *last = u->count ? fifo_at(u, u->count - 1) : NULL;

    check(!last || tag >= last->first_tag + last->span);
    u->open_count++;
    if (last && last->open && run_takes(last, tag, d)) {
        last->open |= (uint64_t)1 << last->span++;
        return;
    }
    fifo_push(u, (struct unacked_run){.first_tag = tag,
                                      .open = 1,
                                      .first_offset = d->offset,
                                      .queue = d->queue,
                                      .consumer = d->consumer,
                                      .number = d->number,
                                      .since_s = d->since_s,
                                      .span = 1});
    queue_ref(d->queue);
}

void unacked_each_run(const struct unacked *u, void (*each)(void *ctx, const struct unacked_run *),
                      void *ctx)
{
    for (uint32_t i = 0; i < u->count; i++)
        if (fifo_at(u, i)->open)
            each(ctx, fifo_at(u, i));
}

/* The place of the last run that begins at or below `tag`; -1 when none does. */
static int64_t find_run(const struct unacked *u, uint64_t tag)
{
    uint32_t low = 0, high = u->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (fifo_at(u, middle)->first_tag <= tag)
            low = middle + 1;
        else
            high = middle;
    }
    return (int64_t)low - 1;
}

static bool run_has(const struct unacked_run *run, uint64_t tag)
{
    uint64_t i = tag - run->first_tag;
    return i < run->span && (run->open >> i & 1);
}

/* Hand out the deliveries of `mask`, lowest tag first. The last open one takes the queue's
 * reference with it, so that is given back after the call. */
static void take_mask(struct unacked *u, struct unacked_run *run, uint64_t mask, unacked_fn *each,
                      void *ctx)
{
    struct unacked_run copy = *run; /* `each` may cause an add, which moves runs */

    run->open &= ~mask;
    if (mask && !run->open)
        u->empty_count++;
    u->open_count -= (uint64_t)__builtin_popcountll(mask);
    for (uint64_t left = mask; left; left &= left - 1) {
        int64_t i = __builtin_ctzll(left);
        each(ctx, &(struct unacked_delivery){.queue = copy.queue,
                                             .consumer = copy.consumer,
                                             .offset = copy.first_offset + copy.stride * i,
                                             .number = copy.number});
    }
    if (mask && copy.open == mask)
        queue_unref(copy.queue);
}

static void drop_empty(struct unacked *u)
{
    while (u->count && !fifo_at(u, 0)->open) {
        fifo_drop(u);
        u->empty_count--;
    }
    if (u->empty_count < COMPACT_MIN || u->empty_count < u->count / 2)
        return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < u->count; i++)
        if (fifo_at(u, i)->open)
            *fifo_at(u, kept++) = *fifo_at(u, i);
    u->count = kept;
    u->empty_count = 0;
}

bool unacked_has(const struct unacked *u, uint64_t tag)
{
    int64_t place = find_run(u, tag);
    return place >= 0 && run_has(fifo_at(u, (uint32_t)place), tag);
}

bool unacked_take(struct unacked *u, uint64_t tag, unacked_fn *each, void *ctx)
{
    int64_t place = find_run(u, tag);

    if (place < 0 || !run_has(fifo_at(u, (uint32_t)place), tag))
        return false;
    struct unacked_run *run = fifo_at(u, (uint32_t)place);
    take_mask(u, run, (uint64_t)1 << (tag - run->first_tag), each, ctx);
    drop_empty(u);
    return true;
}

bool unacked_take_through(struct unacked *u, uint64_t tag, unacked_fn *each, void *ctx)
{
    int64_t place = find_run(u, tag);

    if (place < 0 || !run_has(fifo_at(u, (uint32_t)place), tag))
        return false;
    for (uint32_t i = 0; i < (uint32_t)place; i++)
        take_mask(u, fifo_at(u, i), fifo_at(u, i)->open, each, ctx);
    struct unacked_run *run = fifo_at(u, (uint32_t)place);
    uint64_t through = UINT64_MAX >> (63 - (tag - run->first_tag));
    take_mask(u, run, run->open & through, each, ctx);
    drop_empty(u);
    return true;
}

void unacked_take_all(struct unacked *u, unacked_fn *each, void *ctx)
{
    for (uint32_t i = 0; i < u->count; i++)
        take_mask(u, fifo_at(u, i), fifo_at(u, i)->open, each, ctx);
    drop_empty(u);
}

void unacked_forget_consumer(struct unacked *u, const struct amqp_consumer *consumer)
{
    for (uint32_t i = 0; i < u->count; i++)
        if (fifo_at(u, i)->consumer == consumer)
            fifo_at(u, i)->consumer = NULL;
}

void unacked_reset(struct unacked *u)
{
    for (uint32_t i = 0; i < u->count; i++)
        if (fifo_at(u, i)->open)
            queue_unref(fifo_at(u, i)->queue);
    fifo_reset(u);
    u->empty_count = 0;
    u->open_count = 0;
}
