#include "amqp/on_way.h"

#include "base/fifo.h"

/* Can the delivery continue the run? The second one chooses the steps. */
static bool run_takes(struct on_way_run *run, const struct delivery *d, uint64_t end)
{
    if (run->queue != d->queue || run->number != d->number || run->count == UINT32_MAX)
        return false;
    if (run->count == 1) {
        if (end - run->first_end > UINT32_MAX)
            return false;
        run->stride = d->offset - run->first_offset;
        run->size = (uint32_t)(end - run->first_end);
    }
    return d->offset == run->first_offset + run->stride * run->count &&
           end == run->first_end + (uint64_t)run->size * run->count;
}

void on_way_add(struct on_way *w, const struct delivery *d, uint64_t end)
{
    struct on_way_run *last = w->count ? fifo_at(w, w->count - 1) : NULL;

    if (last && run_takes(last, d, end)) {
        last->count++;
        return;
    }
    fifo_push(w, (struct on_way_run){.queue = d->queue,
                                     .first_offset = d->offset,
                                     .first_end = end,
                                     .count = 1,
                                     .number = d->number});
    queue_ref(d->queue);
}

/* How many of the run end at or below the position. */
static uint32_t count_below(const struct on_way_run *run, uint64_t position)
{
    if (run->first_end > position)
        return 0;
    if (run->count == 1)
        return 1;
    uint64_t below = (position - run->first_end) / run->size + 1;
    return below < run->count ? (uint32_t)below : run->count;
}

/* The first run's first ones are done with: true when it has gone. */
static bool settle_first(struct on_way *w, uint32_t count)
{
    struct on_way_run *run = fifo_at(w, 0);

    queue_finish_all(run->queue, run->first_offset, run->stride, count, run->number);
    run->first_offset += run->stride * count;
    run->first_end += (uint64_t)run->size * count;
    run->count -= count;
    if (run->count)
        return false;
    queue_unref(run->queue);
    fifo_drop(w);
    return true;
}

void on_way_settle(struct on_way *w, uint64_t position)
{
    uint32_t below;

    while (w->count && (below = count_below(fifo_at(w, 0), position)) > 0)
        if (!settle_first(w, below))
            break;
}

void on_way_return(struct on_way *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const struct on_way_run *run = fifo_at(w, i);
        for (uint32_t n = 0; n < run->count; n++)
            queue_return(run->queue, run->first_offset + run->stride * n, run->number);
        queue_unref(run->queue);
    }
    fifo_reset(w);
}
