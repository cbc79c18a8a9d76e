/*
 * What a subscription keeps on disk.
 *
 * Control batch, in the queue's own log: a v2 batch without producer, attribute bit 5 (control),
 * one record. Key: i16 version = 0, i16 type. Types below 0x5000 are Kafka's (transaction markers,
 * its controller's); ours are never shown to Kafka clients. Type 0x5000, subscription changes; all
 * numbers are varints, z: zigzag:
 *
 *   mark                     every record below it was delivered at least once or is done
 *   count, count * { z gap, size }          settled ranges, ascending, none overlap
 *   count, count * { z gap, size, number }  records that came back for the number-th time
 *
 * gap is the distance from the end of the run before (0 for the first) to the start of this one.
 * All offsets lie below the batch. Bytes that follow are ignored: a later version 0 may add fields.
 * Another version of type 0x5000 refuses the start; another type of ours too.
 *
 * Checkpoint, kept by the store with the log's row:
 *
 *   u8 version = 2, floor, mark, the done set (offset_set_put; what is below the floor means nothing),
 *   count, count * { z gap, size, number }  records that came back for the number-th time, from the floor on
 */
#include <stdlib.h>

#include "base/check.h"
#include "broker/mutant.h"
#include "broker/subscription.h"

enum {
    CONTROL_KEY_BYTES = 4,
    CONTROL_VERSION = 0,
    CONTROL_OURS = 0x5000, /* types from here on are ours */
    CONTROL_CHANGES = 0x5000,
    CHECKPOINT_VERSION = 2,
};

/* So far a log's end is above its floor at most: what a set of settled offsets can take of memory. */
static const int64_t SPAN_MAX = (int64_t)1 << 40;

/* ---- writing ---- */

static int compare_ranges(const void *left, const void *right)
{
    const struct offset_range *a = left, *b = right;
    return (a->from > b->from) - (a->from < b->from);
}

static int compare_runs(const void *left, const void *right)
{
    const struct return_run *a = left, *b = right;
    if (a->from != b->from)
        return a->from > b->from ? 1 : -1;
    return (a->number > b->number) - (a->number < b->number);
}

/* Sort, and join what touches or overlaps. */
static void merge_ranges(offset_ranges *ranges)
{
    if (ranges->count < 2)
        return;
    qsort(ranges->items, ranges->count, sizeof *ranges->items, compare_ranges);
    size_t last = 0;
    for (size_t i = 1; i < ranges->count; i++) {
        struct offset_range r = ranges->items[i];
        if (r.from > ranges->items[last].to)
            ranges->items[++last] = r;
        else if (r.to > ranges->items[last].to)
            ranges->items[last].to = r.to;
    }
    ranges->count = last + 1;
}

/* To log what was logged before does no harm. */
static void expand_spans(int64_t floor, struct subscription_sets *sets)
{
    for (size_t i = 0; i < sets->settled_spans.count; i++) {
        struct offset_range span = sets->settled_spans.items[i], done;
        int64_t at = span.from;
        if (at < floor) {
            at = floor < span.to ? floor : span.to;
            vec_push(&sets->settled_changes, ((struct offset_range){span.from, at}));
        }
        while (offset_set_next_range(&sets->done, at, span.to, &done)) {
            vec_push(&sets->settled_changes, done);
            at = done.to;
        }
    }
    vec_clear(&sets->settled_spans);
}

static void put_run(struct text *out, int64_t *at, int64_t from, int64_t to)
{
    text_put_varint(out, zigzag_encode(from - *at));
    text_put_varint(out, (uint64_t)(to - from));
    *at = to;
}

static uint64_t mark_to_write(const struct subscription *s)
{
    return BROKER_MUTANT == MUTANT_FORGET_MARK ? 0 : (uint64_t)s->delivered;
}

static void put_changes(struct subscription *s, struct text *out)
{
    struct subscription_sets *sets = subscription_sets(s);
    expand_spans(s->floor, sets);
    merge_ranges(&sets->settled_changes);
    if (sets->returned_changes.count > 1)
        qsort(sets->returned_changes.items, sets->returned_changes.count,
              sizeof *sets->returned_changes.items, compare_runs);

    text_put_varint(out, mark_to_write(s));
    text_put_varint(out, sets->settled_changes.count);
    int64_t at = 0;
    for (size_t i = 0; i < sets->settled_changes.count; i++)
        put_run(out, &at, sets->settled_changes.items[i].from, sets->settled_changes.items[i].to);

    text_put_varint(out, sets->returned_changes.count);
    at = 0;
    for (size_t i = 0; i < sets->returned_changes.count; i++) {
        const struct return_run *run = &sets->returned_changes.items[i];
        put_run(out, &at, run->from, run->to);
        text_put_varint(out, run->number);
    }
}

void subscription_put_changes(struct subscription *s, struct batch_builder *b, struct text *scratch,
                              int64_t now_ms)
{
    uint8_t key[CONTROL_KEY_BYTES];
    put_u16(key, CONTROL_VERSION);
    put_u16(key + 2, CONTROL_CHANGES);
    scratch->size = 0;
    put_changes(s, scratch);
    batch_builder_begin(b, BATCH_CONTROL);
    batch_builder_add(b, now_ms, bytes_of(key, sizeof key), text_bytes(scratch), BYTES_NULL, 0);
}

void subscription_changes_logged(struct subscription *s)
{
    if (subscription_has_changes(s)) {
        vec_clear(&subscription_sets(s)->settled_changes);
        vec_clear(&subscription_sets(s)->settled_spans);
        vec_clear(&subscription_sets(s)->returned_changes);
    }
    s->logged_mark = s->delivered;
}

static void put_returns(const struct subscription *s, struct text *out)
{
    const struct return_counts *c = &s->sets->returns;
    struct return_run run;
    uint64_t count = 0;
    for (int64_t at = s->floor; return_counts_next(c, at, INT64_MAX, &run); at = run.to)
        count++;
    text_put_varint(out, count);
    int64_t written = 0;
    for (int64_t at = s->floor; return_counts_next(c, at, INT64_MAX, &run); at = run.to) {
        put_run(out, &written, run.from, run.to);
        text_put_varint(out, run.number);
    }
}

void subscription_put_checkpoint(const struct subscription *s, struct text *out)
{
    text_put_u8(out, CHECKPOINT_VERSION);
    text_put_varint(out, (uint64_t)s->floor);
    text_put_varint(out, mark_to_write(s));
    offset_set_put(&s->sets->done, out);
    put_returns(s, out);
}

/* ---- reading ---- */

struct varints {
    struct bytes in;
    bool bad;
};

static uint64_t take_varint(struct varints *v)
{
    uint64_t value = 0;
    size_t size = v->bad ? 0 : varint_get(v->in.data, v->in.size, &value);
    if (size == 0) {
        v->bad = true;
        return 0;
    }
    v->in.data += size;
    v->in.size -= size;
    return value;
}

/* The next run, which must lie within [0, limit). */
static struct offset_range take_run(struct varints *v, int64_t at, int64_t limit)
{
    int64_t gap = zigzag_decode(take_varint(v));
    uint64_t size = take_varint(v);
    if (gap < -at || gap > limit - at || size < 1 || size > (uint64_t)(limit - at - gap))
        v->bad = true;
    if (v->bad)
        return (struct offset_range){0, 0};
    return (struct offset_range){at + gap, at + gap + (int64_t)size};
}

static void take_returns(struct subscription *s, struct varints *v, int64_t limit)
{
    uint64_t count = take_varint(v);
    int64_t at = 0;
    for (uint64_t i = 0; i < count && !v->bad; i++) {
        struct offset_range r = take_run(v, at, limit);
        uint64_t number = take_varint(v);
        v->bad = v->bad || number > DELIVERY_NUMBER_MAX;
        if (!v->bad)
            subscription_recover_return(s, r.from, r.to, (uint32_t)number);
        at = r.to;
    }
}

static enum err replay_changes(struct subscription *s, struct bytes value, int64_t limit)
{
    struct varints v = {value, false};
    uint64_t mark = take_varint(&v);
    uint64_t count = take_varint(&v);
    int64_t at = 0;
    for (uint64_t i = 0; i < count && !v.bad; i++) {
        struct offset_range r = take_run(&v, at, limit);
        subscription_recover_done(s, r.from, r.to);
        at = r.to;
    }
    take_returns(s, &v, limit);
    if (v.bad || mark > (uint64_t)limit)
        return err_set(E_MALFORMED, "control batch at %lld is damaged", (long long)limit);
    if ((int64_t)mark > s->delivered)
        s->delivered = (int64_t)mark;
    return OK;
}

enum err subscription_replay(struct subscription *s, const struct batch *control)
{
    struct record_reader reader;
    struct record record;
    int64_t base = control->base_offset;
    record_reader_init(
        &reader, control, base,
        bytes_of(control->raw.data + BATCH_HEADER_BYTES, control->raw.size - BATCH_HEADER_BYTES));
    enum err err = OK;
    if (base - s->floor > SPAN_MAX)
        return err_set(E_MALFORMED, "control batch at %lld, where all below %lld is unknown",
                       (long long)base, (long long)s->floor);
    while (!err && record_reader_next(&reader, &record)) {
        if (record.key.size < CONTROL_KEY_BYTES)
            return err_set(E_MALFORMED, "control batch at %lld has no type", (long long)base);
        unsigned version = get_u16(record.key.data), type = get_u16(record.key.data + 2);
        if (type < CONTROL_OURS)
            continue;
        if (type != CONTROL_CHANGES || version != CONTROL_VERSION)
            return err_set(E_UNSUPPORTED, "control record of type 0x%x, version %u", type, version);
        err = replay_changes(s, record.value, base);
    }
    if (!err && reader.left > 0)
        err = err_set(E_MALFORMED, "control batch at %lld is damaged", (long long)base);
    if (!err)
        subscription_recover_done(s, base, batch_last_offset(control) + 1);
    return err;
}

static enum err restore(struct subscription *s, struct varints *v)
{
    uint64_t floor = take_varint(v), mark = take_varint(v);
    if (v->bad || floor > INT64_MAX || mark > INT64_MAX)
        return err_set(E_MALFORMED, "checkpoint ends in its head");
    struct subscription_sets *sets = subscription_sets(s);
    s->floor = sets->swept = (int64_t)floor;
    s->delivered = (int64_t)mark;
    enum err err = offset_set_get(&sets->done, &v->in);
    if (err)
        return err;
    take_returns(s, v, s->floor < INT64_MAX - SPAN_MAX ? s->floor + SPAN_MAX : INT64_MAX);
    return v->bad ? err_set(E_MALFORMED, "checkpoint is damaged") : OK;
}

enum err subscription_restore(struct subscription *s, struct bytes checkpoint)
{
    check(s->floor == 0 && s->visible == 0);
    if (checkpoint.size < 1)
        return err_set(E_MALFORMED, "empty checkpoint");
    if (checkpoint.data[0] != CHECKPOINT_VERSION)
        return err_set(E_UNSUPPORTED, "checkpoint version %d", checkpoint.data[0]);
    struct varints v = {{checkpoint.data + 1, checkpoint.size - 1}, false};
    return restore(s, &v);
}
