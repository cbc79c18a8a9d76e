#include "broker/subscription.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    /* Members of `done` below the floor are removed this many at a time, because a container of
     * the bitmap that comes and goes with each settle would cost an allocation each time. */
    SWEEP_OFFSETS = 8192,
};

struct subscription *subscription_new(void)
{
    return xzalloc(sizeof(struct subscription));
}

void subscription_free(struct subscription *s)
{
    if (!s)
        return;
    offset_set_reset(&s->done);
    offset_set_reset(&s->returned);
    idmap_reset(&s->returns);
    vec_reset(&s->settled_changes);
    vec_reset(&s->returned_changes);
    free(s);
}

static void check_state(const struct subscription *s)
{
    check(s->floor >= 0);
    check(s->floor <= s->next);
    check(s->next <= s->visible);
    check(s->done_ahead <= (uint64_t)(s->visible - s->next));
    check(s->returned_count + s->taken <= (uint64_t)(s->next - s->floor));
    check_slow(s->returned_count == offset_set_count(&s->returned));
    check_slow(s->done_ahead == offset_set_count_range(&s->done, s->next, s->visible));
    check_slow(s->taken + s->returned_count + offset_set_count_range(&s->done, s->floor, s->next) ==
               (uint64_t)(s->next - s->floor));
}

bool subscription_is_done(const struct subscription *s, int64_t offset)
{
    return offset < s->floor ||
           (!offset_set_is_empty(&s->done) && offset_set_has(&s->done, offset));
}

/* ---- following the log ---- */

/* The floor follows what is done, at most to `next`. */
static void raise_floor(struct subscription *s)
{
    if (s->floor < s->next && !offset_set_is_empty(&s->done) &&
        offset_set_has(&s->done, s->floor)) {
        int64_t absent = offset_set_next_absent(&s->done, s->floor);
        s->floor = absent < s->next ? absent : s->next;
    }
    if (s->floor - s->swept >= SWEEP_OFFSETS) {
        offset_set_remove_range(&s->done, s->swept, s->floor);
        s->swept = s->floor;
    }
}

/* Step over what is done at `next`. */
static void skip_done(struct subscription *s)
{
    if (s->done_ahead == 0 || !offset_set_has(&s->done, s->next))
        return;
    int64_t absent = offset_set_next_absent(&s->done, s->next);
    int64_t next = absent < s->visible ? absent : s->visible;
    s->done_ahead -= (uint64_t)(next - s->next);
    s->next = next;
    raise_floor(s);
}

/* Forget how often records came back that are done or lost. */
static void cut_returns(struct subscription *s, int64_t end)
{
    struct idmap kept = {0};
    for (size_t i = 0; i < s->returns.capacity; i++) {
        const struct idmap_slot *slot = &s->returns.slots[i];
        int64_t offset = (int64_t)slot->key;
        if (slot->value && offset < end && !subscription_is_done(s, offset))
            idmap_put(&kept, slot->key, slot->value);
    }
    idmap_reset(&s->returns);
    s->returns = kept;
}

void subscription_start(struct subscription *s, int64_t start, int64_t end, bool keeps_log)
{
    check(start <= end);
    check(s->visible == 0);
    s->keeps_log = keeps_log;
    s->floor = s->floor > start ? s->floor : start;
    s->floor = s->floor < end ? s->floor : end;
    s->delivered = s->delivered < end ? s->delivered : end;
    offset_set_remove_range(&s->done, 0, s->floor);
    offset_set_remove_range(&s->done, end, INT64_MAX);
    s->swept = s->next = s->floor;
    s->visible = end;
    cut_returns(s, end);
    s->logged_mark = s->redelivered_below = s->delivered;
    s->done_ahead = offset_set_count_range(&s->done, s->next, s->visible);
    skip_done(s);
    check_state(s);
}

void subscription_extend(struct subscription *s, int64_t visible)
{
    check(visible >= s->visible);
    s->done_ahead += offset_set_count_range(&s->done, s->visible, visible);
    s->visible = visible;
    skip_done(s);
    check_state(s);
}

void subscription_hole(struct subscription *s, int64_t from, int64_t to)
{
    check(from >= s->visible);
    offset_set_add_range(&s->done, from, to);
}

/* ---- taking and settling ---- */

int64_t subscription_head(const struct subscription *s)
{
    if (s->returned_count > 0)
        return offset_set_first(&s->returned);
    return s->next < s->visible ? s->next : -1;
}

static uint32_t returns_of(const struct subscription *s, int64_t offset)
{
    return s->returns.count ? (uint32_t)(uintptr_t)idmap_get(&s->returns, (uint64_t)offset) : 0;
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
        return s->returned_count > 0 && offset_set_has(&s->returned, offset);
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
    int64_t at = s->next;
    struct offset_range done;
    while (at < offset) {
        bool any = offset_set_next_range(&s->done, at, offset, &done);
        int64_t end = any ? done.from : offset;
        offset_set_add_range(&s->returned, at, end);
        s->returned_count += (uint64_t)(end - at);
        at = any ? done.to : offset;
    }
    s->done_ahead -= offset_set_count_range(&s->done, s->next, offset);
    s->next = offset;
}

struct taking subscription_take(struct subscription *s, int64_t offset)
{
    uint32_t returns = returns_of(s, offset);
    if (offset > s->next)
        pass_over(s, offset);
    if (offset < s->next) {
        bool was_returned = offset_set_remove(&s->returned, offset);
        check(was_returned);
        s->returned_count--;
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
    if (s->returned_count > 0 && offset_set_has(&s->returned, offset))
        return false;
    return number_after(returns_of(s, offset)) == number;
}

static void gather_settled(struct subscription *s, int64_t from, int64_t to)
{
    if (!s->keeps_log)
        return;
    if (s->settled_changes.count > 0 && vec_last(&s->settled_changes).to == from)
        vec_last(&s->settled_changes).to = to;
    else
        vec_push(&s->settled_changes, ((struct offset_range){from, to}));
}

bool subscription_settle(struct subscription *s, int64_t offset, uint32_t number)
{
    if (!subscription_is_taken(s, offset, number))
        return false;
    if (number > 1)
        idmap_remove(&s->returns, (uint64_t)offset);
    if (offset == s->floor)
        s->floor++;
    else
        offset_set_add(&s->done, offset);
    s->taken--;
    gather_settled(s, offset, offset + 1);
    raise_floor(s);
    return true;
}

static void gather_returned(struct subscription *s, int64_t offset, uint32_t number)
{
    if (!s->keeps_log)
        return;
    struct return_run *last =
        s->returned_changes.count > 0 ? &vec_last(&s->returned_changes) : NULL;
    if (last && last->to == offset && last->number == number)
        last->to++;
    else
        vec_push(&s->returned_changes, ((struct return_run){offset, offset + 1, number}));
}

bool subscription_return(struct subscription *s, int64_t offset, uint32_t number)
{
    if (!subscription_is_taken(s, offset, number))
        return false;
    idmap_put(&s->returns, (uint64_t)offset, (void *)(uintptr_t)number);
    offset_set_add(&s->returned, offset);
    s->returned_count++;
    s->taken--;
    gather_returned(s, offset, number);
    return true;
}

static uint64_t settle_returned(struct subscription *s, int64_t from, int64_t to)
{
    struct offset_range r;
    uint64_t count = 0;
    while (s->returned_count > 0 && offset_set_next_range(&s->returned, from, to, &r)) {
        offset_set_remove_range(&s->returned, r.from, r.to);
        offset_set_add_range(&s->done, r.from, r.to);
        gather_settled(s, r.from, r.to);
        s->returned_count -= (uint64_t)(r.to - r.from);
        count += (uint64_t)(r.to - r.from);
    }
    return count;
}

uint64_t subscription_settle_ready(struct subscription *s, int64_t from, int64_t to)
{
    uint64_t count = settle_returned(s, from, to);
    int64_t first = from > s->next ? from : s->next, end = to < s->visible ? to : s->visible;
    if (first < end) {
        uint64_t done = offset_set_count_range(&s->done, first, end);
        uint64_t settled = (uint64_t)(end - first) - done;
        offset_set_add_range(&s->done, first, end);
        s->done_ahead += settled;
        count += settled;
        gather_settled(s, first, end);
    }
    if (count > 0 && s->returns.count > 0)
        cut_returns(s, INT64_MAX);
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
        if (!offset_set_next_range(&s->done, at, to, &done)) {
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
    offset_set_add_range(&s->done, from, to);
    s->floor = offset_set_next_absent(&s->done, s->floor);
    if (s->floor - s->swept >= SWEEP_OFFSETS) {
        offset_set_remove_range(&s->done, s->swept, s->floor);
        s->swept = s->floor;
    }
}

void subscription_recover_return(struct subscription *s, int64_t offset, uint32_t number)
{
    if (number > returns_of(s, offset) && !subscription_is_done(s, offset))
        idmap_put(&s->returns, (uint64_t)offset, (void *)(uintptr_t)number);
}
