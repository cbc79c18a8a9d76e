/*
 * Any bytes as what a queue keeps about deliveries: checkpoints and control batches. Input: slices
 * (enum kind). Whatever decodes leaves a subscription whose numbers fit, whose checkpoint gives the
 * same subscription again, and that takes every ready record once, settles it and logs that so that a
 * replay knows it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "broker/subscription.h"
#include "log/batch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

enum kind {
    CHECKPOINT, /* a checkpoint; only before anything else */
    CHANGES,    /* u8 gap to the batch before, then the value of a record of changes */
    RECORD,     /* u8 gap, u16 version, u16 type, then the value */
    RECORDS,    /* u8 gap, then what follows the header of a control batch with one record */
    KIND_COUNT,
};

enum {
    LOG_MAX_RECORDS = 1 << 16, /* as a log holds them: offsets of control batches are not made up */
    TAKEN_MAX = 256,
};

struct state {
    struct subscription *s;
    int64_t end; /* of the log */
    bool is_broken;
};

static struct batch_builder builder;
static struct text scratch;

static void replay(struct state *t, struct bytes raw)
{
    struct batch b;
    check(batch_parse(raw, &b) == OK);
    b.base_offset = t->end;
    t->end = batch_last_offset(&b) + 1;
    t->is_broken = subscription_replay(t->s, &b) != OK || t->end > LOG_MAX_RECORDS;
}

static void replay_record(struct state *t, uint16_t version, uint16_t type, struct bytes value)
{
    uint8_t key[4];
    put_u16(key, version);
    put_u16(key + 2, type);
    batch_builder_begin(&builder, BATCH_CONTROL);
    batch_builder_add(&builder, 1000, bytes_of(key, sizeof key), value, BYTES_NULL, 0);
    replay(t, batch_builder_end(&builder));
}

static void replay_raw(struct state *t, struct bytes records)
{
    batch_builder_begin(&builder, BATCH_CONTROL);
    batch_builder_add(&builder, 1000, BYTES_NULL, BYTES_NULL, BYTES_NULL, 0);
    struct text raw = {0};
    text_append(&raw, bytes_of(batch_builder_end(&builder).data, BATCH_HEADER_BYTES));
    text_append(&raw, records);
    put_u32(raw.data + 8, (uint32_t)(raw.size - BATCH_PREFIX_BYTES));
    replay(t, text_bytes(&raw));
    text_reset(&raw);
}

static void apply(struct state *t, struct slice *p)
{
    enum kind kind = p->kind % KIND_COUNT;
    if (kind == CHECKPOINT) {
        if (t->end == 0)
            t->is_broken = subscription_restore(t->s, slice_rest(p)) != OK;
        t->end = t->s->floor < LOG_MAX_RECORDS ? t->s->floor + 1 : 1;
        return;
    }
    t->end += reader_u8(&p->in);
    if (kind == CHANGES) {
        replay_record(t, 0, 0x5000, slice_rest(p));
    } else if (kind == RECORD) {
        uint16_t version = reader_u16(&p->in), type = reader_u16(&p->in);
        replay_record(t, version, type, slice_rest(p));
    } else {
        replay_raw(t, slice_rest(p));
    }
}

static void check_returns_equal(const struct subscription *a, const struct subscription *b)
{
    struct return_run left, right;
    bool any = true;
    for (int64_t at = a->floor; any; at = left.to) {
        any = return_counts_next(&a->sets->returns, at, INT64_MAX, &left);
        check(any == return_counts_next(&b->sets->returns, at, INT64_MAX, &right));
        check(left.from == right.from && left.to == right.to && left.number == right.number);
    }
}

static void check_equal(const struct subscription *a, const struct subscription *b)
{
    check(a->floor == b->floor);
    check(a->next == b->next);
    check(a->delivered == b->delivered);
    check(a->sets->done_ahead == b->sets->done_ahead);
    check_returns_equal(a, b);
    check(subscription_ready_count(a) == subscription_ready_count(b));
    check(subscription_head(a) == subscription_head(b));
}

/* The checkpoint of what was recovered says the same. */
static struct subscription *copy_of(const struct subscription *s)
{
    struct subscription *copy = subscription_new();
    scratch.size = 0;
    subscription_put_checkpoint(s, &scratch);
    check(subscription_restore(copy, text_bytes(&scratch)) == OK);
    return copy;
}

static void check_live(const struct subscription *s)
{
    offset_ranges live = {0};
    uint64_t count = 0;
    int64_t before = -1;
    subscription_live(s, s->next, s->visible, &live);
    for (size_t i = 0; i < live.count; i++) {
        check(live.items[i].from > before && live.items[i].from < live.items[i].to);
        before = live.items[i].to;
        count += (uint64_t)(live.items[i].to - live.items[i].from);
    }
    check(count == (uint64_t)(s->visible - s->next) - s->sets->done_ahead);
    vec_reset(&live);
}

/* Take what is ready, settle every other, return the rest, log it; `mirror` replays the log. */
static void work(struct subscription *s, struct subscription *mirror, int64_t end)
{
    int64_t offsets[TAKEN_MAX];
    uint32_t numbers[TAKEN_MAX];
    int count = 0;
    struct batch b;
    for (; count < TAKEN_MAX && subscription_ready_count(s) > 0; count++) {
        offsets[count] = subscription_head(s);
        check(offsets[count] >= 0 && (count == 0 || offsets[count] > offsets[count - 1]));
        numbers[count] = subscription_take(s, offsets[count]).number;
    }
    for (int i = 0; i < count; i++)
        check(i % 2 ? subscription_settle(s, offsets[i], numbers[i])
                    : subscription_return(s, offsets[i], numbers[i]));
    if (count == 0)
        return;
    check(subscription_has_changes(s));
    subscription_put_changes(s, &builder, &scratch, 1000);
    subscription_changes_logged(s);
    check(batch_parse(batch_builder_end(&builder), &b) == OK);
    b.base_offset = end;
    subscription_hole(s, end, end + 1);
    subscription_extend(s, end + 1);
    check(subscription_replay(mirror, &b) == OK);
    subscription_start(mirror, 0, end + 1, true);
    check(subscription_ready_count(mirror) == subscription_ready_count(s));
    check(subscription_head(mirror) == subscription_head(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(bytes_of(data, size));
    struct state t = {.s = subscription_new()};
    struct slice p;

    while (!t.is_broken && slice_next(&in, &p))
        apply(&t, &p);
    if (!t.is_broken) {
        struct subscription *copy = copy_of(t.s), *mirror = copy_of(t.s);
        int64_t start = t.s->floor < t.end ? t.s->floor : t.end;
        subscription_start(t.s, start, t.end, true);
        subscription_start(copy, start, t.end, true);
        check_equal(t.s, copy);
        check_live(t.s);
        work(t.s, mirror, t.end);
        subscription_free(copy);
        subscription_free(mirror);
    }
    subscription_free(t.s);
    return 0;
}
