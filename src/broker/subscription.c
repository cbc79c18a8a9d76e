#include "broker/subscription.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/mutant.h"

enum {
    /* Members of `done` below the floor are removed this many at a time, because a container of
     * the bitmap that comes and goes with each settle would cost an allocation each time. */
    SWEEP_OFFSETS = 8192,
};

static const struct subscription_sets no_sets;

struct subscription *subscription_new(void)
{
    struct subscription *s = xzalloc(sizeof *s);
    s->sets = &no_sets;
    return s;
}

struct subscription_sets *subscription_sets(struct subscription *s)
{
    if (s->sets == &no_sets)
        s->sets = xzalloc(sizeof *s->sets);
    return (struct subscription_sets *)(uintptr_t)s->sets;
}

static void free_sets(struct subscription_sets *sets)
{
    offset_set_reset(&sets->done);
    offset_set_reset(&sets->returned);
    return_counts_reset(&sets->returns);
    vec_reset(&sets->settled_changes);
    vec_reset(&sets->settled_spans);
    vec_reset(&sets->returned_changes);
    free(sets);
}

void subscription_free(struct subscription *s)
{
    if (!s)
        return;
    if (s->sets != &no_sets)
        free_sets(subscription_sets(s));
    free(s);
}

static void check_state(const struct subscription *s)
{
    check(s->floor >= 0);
    check(s->floor <= s->next);
    check(s->next <= s->visible);
    check(s->sets->done_ahead <= (uint64_t)(s->visible - s->next));
    check(s->sets->returned_count + s->taken <= (uint64_t)(s->next - s->floor));
    check_slow(s->sets->returned_count == offset_set_count(&s->sets->returned));
    check_slow(s->sets->done_ahead == offset_set_count_range(&s->sets->done, s->next, s->visible));
    check_slow(s->taken + s->sets->returned_count +
                   offset_set_count_range(&s->sets->done, s->floor, s->next) ==
               (uint64_t)(s->next - s->floor));
}

bool subscription_is_done(const struct subscription *s, int64_t offset)
{
    return offset < s->floor ||
           (!offset_set_is_empty(&s->sets->done) && offset_set_has(&s->sets->done, offset));
}

/* ---- following the log ---- */

static void sweep(struct subscription *s)
{
    struct subscription_sets *sets = subscription_sets(s);
    if (s->floor - sets->swept < SWEEP_OFFSETS)
        return;
    offset_set_remove_range(&sets->done, sets->swept, s->floor);
    sets->swept = s->floor;
}

/* The floor follows what is done, at most to `next`. */
static void raise_floor(struct subscription *s)
{
    if (offset_set_is_empty(&s->sets->done))
        return;
    if (s->floor < s->next && offset_set_has(&s->sets->done, s->floor)) {
        int64_t absent = offset_set_next_absent(&s->sets->done, s->floor);
        s->floor = absent < s->next ? absent : s->next;
    }
    sweep(s);
}

/* Step over what is done at `next`. */
static void skip_done(struct subscription *s)
{
    if (s->sets->done_ahead == 0 || !offset_set_has(&s->sets->done, s->next))
        return;
    int64_t absent = offset_set_next_absent(&s->sets->done, s->next);
    int64_t next = absent < s->visible ? absent : s->visible;
    subscription_sets(s)->done_ahead -= (uint64_t)(next - s->next);
    s->next = next;
    raise_floor(s);
}

/* Of what recovery put in, what lies in the log. */
static void cut_sets(struct subscription *s, int64_t end)
{
    struct subscription_sets *sets = subscription_sets(s);
    offset_set_remove_range(&sets->done, 0, s->floor);
    offset_set_remove_range(&sets->done, end, INT64_MAX);
    sets->swept = s->floor;
    return_counts_remove(&sets->returns, 0, s->floor);
    return_counts_remove(&sets->returns, end, INT64_MAX);
    sets->done_ahead = offset_set_count_range(&sets->done, s->floor, end);
}

void subscription_start(struct subscription *s, int64_t start, int64_t end, bool keeps_log)
{
    check(start <= end);
    check(s->visible == 0);
    s->keeps_log = keeps_log;
    s->floor = s->floor > start ? s->floor : start;
    s->floor = s->floor < end ? s->floor : end;
    s->delivered = s->delivered < end ? s->delivered : end;
    s->next = s->floor;
    s->visible = end;
    s->logged_mark = s->redelivered_below = s->delivered;
    if (s->sets != &no_sets)
        cut_sets(s, end);
    skip_done(s);
    check_state(s);
}

void subscription_extend(struct subscription *s, int64_t visible)
{
    check(visible >= s->visible);
    if (!offset_set_is_empty(&s->sets->done))
        subscription_sets(s)->done_ahead +=
            offset_set_count_range(&s->sets->done, s->visible, visible);
    s->visible = visible;
    skip_done(s);
    check_state(s);
}

void subscription_hole(struct subscription *s, int64_t from, int64_t to)
{
    check(from >= s->visible);
    offset_set_add_range(&subscription_sets(s)->done, from, to);
}

/* ---- taking and settling ---- */

int64_t subscription_head(const struct subscription *s)
{
    if (s->sets->returned_count > 0 &&
        (BROKER_MUTANT != MUTANT_FRESH_FIRST || s->next >= s->visible))
        return offset_set_first(&s->sets->returned);
    return s->next < s->visible ? s->next : -1;
}

static uint32_t returns_of(const struct subscription *s, int64_t offset)
{
    return return_counts_get(&s->sets->returns, offset);
}

static uint32_t number_after(uint32_t returns)
{
    return returns < DELIVERY_NUMBER_MAX ? returns + 1 : DELIVERY_NUMBER_MAX;
}

bool subscription_is_ready(const struct subscription *s, int64_t offset)
{
    if (offset < s->floor || offset >= s->visible)
        return false;
    if (offset < s->next)
        return s->sets->returned_count > 0 && offset_set_has(&s->sets->returned, offset);
    return !subscription_is_done(s, offset);
}

bool subscription_is_out(const struct subscription *s, int64_t offset)
{
    return offset >= s->floor && offset < s->next && !subscription_is_done(s, offset) &&
           !subscription_is_ready(s, offset);
}

/* What is ready in [next, offset) stays so, below a `next` that is now `offset`. */
static void pass_over(struct subscription *s, int64_t offset)
{
    struct subscription_sets *sets = subscription_sets(s);
    int64_t at = s->next;
    struct offset_range done;
    while (at < offset) {
        bool any = offset_set_next_range(&sets->done, at, offset, &done);
        int64_t end = any ? done.from : offset;
        offset_set_add_range(&sets->returned, at, end);
        sets->returned_count += (uint64_t)(end - at);
        sets->done_ahead -= any ? (uint64_t)(done.to - done.from) : 0;
        at = any ? done.to : offset;
    }
    s->next = offset;
}

struct taking subscription_take(struct subscription *s, int64_t offset)
{
    uint32_t returns = returns_of(s, offset);
    if (offset > s->next)
        pass_over(s, offset);
    if (offset < s->next) {
        struct subscription_sets *sets = subscription_sets(s);
        bool was_returned = offset_set_remove(&sets->returned, offset);
        check(was_returned);
        sets->returned_count--;
    } else {
        check(offset == s->next && offset < s->visible);
        s->next++;
        skip_done(s);
        if (offset >= s->delivered)
            s->delivered = offset + 1;
    }
    s->taken++;
    return (struct taking){number_after(returns), returns > 0 || offset < s->redelivered_below};
}

bool subscription_is_taken(const struct subscription *s, int64_t offset, uint32_t number)
{
    if (offset < s->floor || offset >= s->next)
        return false;
    if (offset > s->floor && subscription_is_done(s, offset)) /* the floor itself never is */
        return false;
    if (s->sets->returned_count > 0 && offset_set_has(&s->sets->returned, offset))
        return false;
    return number_after(returns_of(s, offset)) == number;
}

static void gather_settled(struct subscription *s, int64_t from, int64_t to)
{
    if (!s->keeps_log)
        return;
    struct subscription_sets *sets = subscription_sets(s);
    if (sets->settled_changes.count > 0 && vec_last(&sets->settled_changes).to == from)
        vec_last(&sets->settled_changes).to = to;
    else
        vec_push(&sets->settled_changes, ((struct offset_range){from, to}));
}

bool subscription_settle(struct subscription *s, int64_t offset, uint32_t number)
{
    if (!subscription_is_taken(s, offset, number))
        return false;
    if (number > 1)
        return_counts_remove(&subscription_sets(s)->returns, offset, offset + 1);
    if (offset == s->floor)
        s->floor++;
    else
        offset_set_add(&subscription_sets(s)->done, offset);
    s->taken--;
    gather_settled(s, offset, offset + 1);
    raise_floor(s);
    return true;
}

/* Worth it for some, and where nothing has come back. */
bool subscription_settle_all(struct subscription *s, int64_t first, int64_t stride, uint32_t count,
                             uint32_t number)
{
    enum { WORTH_COUNT = 16 };
    struct return_run came_back;
    if (count < WORTH_COUNT || stride < 1 || number != 1)
        return false;
    int64_t end = first + stride * (count - 1) + 1;
    if (return_counts_next(&s->sets->returns, first, end, &came_back))
        return false;
    check(first >= s->floor);
    check(end <= s->next);
    uint64_t done = offset_set_count_range(&s->sets->done, first, end);
    if (stride == 1 && first == s->floor) {
        check(done == 0);
        s->floor = end;
    } else {
        offset_set_add_steps(&subscription_sets(s)->done, first, stride, count);
        check(offset_set_count_range(&s->sets->done, first, end) == done + count);
    }
    s->taken -= count;
    if (stride == 1)
        gather_settled(s, first, end);
    else if (s->keeps_log) /* what lies between is often settled before it is logged */
        vec_push(&subscription_sets(s)->settled_spans, ((struct offset_range){first, end}));
    raise_floor(s);
    return true;
}

static void gather_returned(struct subscription *s, int64_t from, int64_t to, uint32_t number)
{
    if (!s->keeps_log)
        return;
    struct subscription_sets *sets = subscription_sets(s);
    struct return_run *last =
        sets->returned_changes.count > 0 ? &vec_last(&sets->returned_changes) : NULL;
    if (last && last->to == from && last->number == number)
        last->to = to;
    else
        vec_push(&sets->returned_changes, ((struct return_run){from, to, number}));
}

static void put_back(struct subscription *s, int64_t from, int64_t to, uint32_t number)
{
    struct subscription_sets *sets = subscription_sets(s);
    return_counts_put(&sets->returns, from, to, number);
    offset_set_add_range(&sets->returned, from, to);
    sets->returned_count += (uint64_t)(to - from);
    s->taken -= (uint64_t)(to - from);
    gather_returned(s, from, to, number);
}

bool subscription_return(struct subscription *s, int64_t offset, uint32_t number)
{
    if (!subscription_is_taken(s, offset, number))
        return false;
    put_back(s, offset, offset + 1, number);
    return true;
}

static bool all_came_back(const struct subscription *s, int64_t from, int64_t to, uint32_t times)
{
    struct return_run run;
    if (!return_counts_next(&s->sets->returns, from, to, &run))
        return times == 0;
    return run.from == from && run.to == to && run.number == times;
}

bool subscription_return_all(struct subscription *s, int64_t from, int64_t to, uint32_t number)
{
    if (number >= DELIVERY_NUMBER_MAX || from < s->floor || to > s->next ||
        offset_set_count_range(&s->sets->done, from, to) > 0 ||
        offset_set_count_range(&s->sets->returned, from, to) > 0 ||
        !all_came_back(s, from, to, number - 1))
        return false;
    put_back(s, from, to, number);
    return true;
}

static uint64_t settle_returned(struct subscription *s, int64_t from, int64_t to)
{
    struct subscription_sets *sets = subscription_sets(s);
    struct offset_range r;
    uint64_t count = 0;
    while (sets->returned_count > 0 && offset_set_next_range(&sets->returned, from, to, &r)) {
        offset_set_remove_range(&sets->returned, r.from, r.to);
        offset_set_add_range(&sets->done, r.from, r.to);
        return_counts_remove(&sets->returns, r.from, r.to);
        gather_settled(s, r.from, r.to);
        sets->returned_count -= (uint64_t)(r.to - r.from);
        count += (uint64_t)(r.to - r.from);
    }
    return count;
}

uint64_t subscription_settle_ready(struct subscription *s, int64_t from, int64_t to)
{
    uint64_t count = settle_returned(s, from, to);
    int64_t first = from > s->next ? from : s->next, end = to < s->visible ? to : s->visible;
    if (first < end) {
        struct subscription_sets *sets = subscription_sets(s);
        uint64_t done = offset_set_count_range(&sets->done, first, end);
        uint64_t settled = (uint64_t)(end - first) - done;
        offset_set_add_range(&sets->done, first, end);
        return_counts_remove(&sets->returns, first, end);
        sets->done_ahead += settled;
        count += settled;
        gather_settled(s, first, end);
    }
    skip_done(s);
    raise_floor(s);
    check_state(s);
    return count;
}

void subscription_live(const struct subscription *s, int64_t from, int64_t to, offset_ranges *out)
{
    int64_t at = from > s->floor ? from : s->floor;
    while (at < to) {
        struct offset_range done;
        if (!offset_set_next_range(&s->sets->done, at, to, &done)) {
            vec_push(out, ((struct offset_range){at, to}));
            return;
        }
        if (done.from > at)
            vec_push(out, ((struct offset_range){at, done.from}));
        at = done.to;
    }
}

/* ---- recovery ---- */

void subscription_recover_done(struct subscription *s, int64_t from, int64_t to)
{
    if (from < s->floor)
        from = s->floor;
    if (from >= to)
        return;
    struct subscription_sets *sets = subscription_sets(s);
    offset_set_add_range(&sets->done, from, to);
    return_counts_remove(&sets->returns, from, to);
    s->floor = offset_set_next_absent(&sets->done, s->floor);
    sweep(s);
}

void subscription_recover_return(struct subscription *s, int64_t from, int64_t to, uint32_t number)
{
    struct subscription_sets *sets = subscription_sets(s);
    struct offset_range done;
    int64_t at = from > s->floor ? from : s->floor;
    while (at < to) {
        bool any = offset_set_next_range(&sets->done, at, to, &done);
        return_counts_raise(&sets->returns, at, any ? done.from : to, number);
        at = any ? done.to : to;
    }
}
