/*
 * Any bytes as what a partition keeps about its producers. Input: slices (enum kind). Whatever decodes
 * gives the same checkpoint's state again, is cut to any end without knowing more than lies below it,
 * and takes batches as an honest one does: an answer is either an append or a batch that was there.
 */
#include <stdlib.h>

#include "base/check.h"
#include "broker/producer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

enum kind {
    CHECKPOINT, /* a checkpoint; only before anything else */
    REPLAY,     /* a batch from the log: u8 id, u8 epoch, u32 sequence, u16 count, u8 gap */
    PRODUCE,    /* a batch from a client, likewise, without the gap */
    CUT,        /* u16 how far below the end */
    KIND_COUNT,
};

enum { BUDGET = 50 };

struct state {
    struct producer_pool pool;
    struct producers *p;
    int64_t end; /* of the log */
};

static struct batch read_batch(struct reader *in)
{
    struct batch b = {.producer_id = reader_u8(in) % 64, .producer_epoch = (int16_t)reader_u8(in)};
    b.base_sequence = (int32_t)(reader_u32(in) & INT32_MAX);
    b.last_offset_delta = reader_u16(in);
    b.record_count = b.last_offset_delta + 1;
    b.max_timestamp = b.base_sequence;
    return b;
}

/* What is saved is read back, and saved again with the same size. */
static void check_saved(const struct producers *p)
{
    struct producer_pool pool;
    struct text saved = {0}, again = {0};
    producer_pool_init(&pool, 1 << 20);
    struct producers *copy = producers_new(&pool);
    producers_put_checkpoint(p, &saved);
    check(producers_is_checkpoint(text_bytes(&saved)));
    check(producers_restore(copy, text_bytes(&saved)) == OK);
    check(copy->by_id.count == p->by_id.count && copy->covered == p->covered);
    producers_put_checkpoint(copy, &again);
    check(again.size == saved.size);
    producers_free(copy);
    check(pool.count == 0);
    text_reset(&saved);
    text_reset(&again);
}

static void cut(struct state *t, int64_t end)
{
    size_t position = 0;
    const struct producer *producer;
    producers_cut(t->p, end);
    t->end = end;
    check(t->p->covered <= end);
    while ((producer = idmap_next(&t->p->by_id, &position)))
        check(producer->count > 0 && producer_last(producer)->last_offset < end);
}

static void produce(struct state *t, struct batch *b)
{
    struct producer_batch first;
    enum err err = producers_check(t->p, b, &first);
    check(err != E_EXISTS || first.last_offset < t->end);
    if (err)
        return;
    b->base_offset = t->end;
    t->end += b->last_offset_delta + 1;
    producers_note(t->p, b, b->base_offset, b->max_timestamp, 1000);
    err = producers_check(t->p, b, &first);
    check(err == E_EXISTS || b->producer_epoch == PRODUCER_NO_EPOCH);
}

static void apply(struct state *t, struct slice *s)
{
    struct batch b;
    switch (s->kind % KIND_COUNT) {
    case REPLAY:
        b = read_batch(&s->in);
        b.base_offset = t->end - reader_u8(&s->in) % 100;
        if (b.base_offset < 0)
            return;
        producers_replay(t->p, &b);
        if (batch_last_offset(&b) >= t->end)
            t->end = batch_last_offset(&b) + 1;
        return;
    case PRODUCE:
        b = read_batch(&s->in);
        produce(t, &b);
        return;
    case CUT: cut(t, t->end - reader_u16(&s->in) % (t->end + 1)); return;
    default: return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = reader_of(bytes_of(data, size));
    struct state t = {.end = 1000};
    struct slice s;
    producer_pool_init(&t.pool, BUDGET);
    t.p = producers_new(&t.pool);
    bool more = slice_next(&input, &s), is_refused = false;
    if (more && s.kind % KIND_COUNT == CHECKPOINT) {
        struct bytes checkpoint = slice_rest(&s);
        is_refused =
            producers_is_checkpoint(checkpoint) && producers_restore(t.p, checkpoint) != OK;
        producer_pool_sort(&t.pool);
        if (!is_refused)
            cut(&t, t.end); /* as a partition does that finds its log shorter */
        more = slice_next(&input, &s);
    }
    for (; more && !is_refused; more = slice_next(&input, &s))
        apply(&t, &s);
    check(t.pool.count == t.p->by_id.count && t.pool.count <= BUDGET);
    if (!is_refused)
        check_saved(t.p);
    (void)producer_pool_expire(&t.pool, INT64_MAX, 1, 10);
    producers_free(t.p);
    check(t.pool.count == 0);
    return 0;
}
