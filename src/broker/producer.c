/*
 * The checkpoint of a partition's producers, kept by the store with the log's row. All numbers are
 * varints, z: zigzag:
 *
 *   u8 0x81              0x80: not a subscription's, 1: version
 *   covered              state of every batch below this offset is contained
 *   count, count * { id, z epoch, used ms, batches, batches * {
 *                    last sequence, offset delta, covered - last offset, z timestamp } }
 *
 * A version above its own refuses the start.
 */
#include "broker/producer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/vec.h"
#include "broker/mutant.h"

enum { CHECKPOINT_MARK = 0x80, CHECKPOINT_VERSION = 1 };

/* ---- sequence numbers: 0 to 2^31 - 1, then 0 again ---- */

static int32_t sequence_add(int32_t sequence, int32_t delta)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)delta) & INT32_MAX);
}

static int32_t sequence_subtract(int32_t sequence, int32_t delta)
{
    return (int32_t)(((uint32_t)sequence - (uint32_t)delta) & INT32_MAX);
}

static int32_t last_sequence_of(const struct batch *b)
{
    return sequence_add(b->base_sequence, b->last_offset_delta);
}

/* ---- the pool ---- */

void producer_pool_init(struct producer_pool *pool, size_t max)
{
    list_init(&pool->used);
    pool->count = 0;
    pool->max = max;
    pool->has_undated = false;
}

static struct producer *oldest(const struct producer_pool *pool)
{
    return list_is_empty(&pool->used) ? NULL : container_of(pool->used.next, struct producer, node);
}

static void forget(struct producer *producer)
{
    struct producers *p = producer->owner;
    idmap_remove(&p->by_id, (uint64_t)producer->id);
    if (p->by_id.count == 0)
        idmap_reset(&p->by_id);
    list_remove(&producer->node);
    p->pool->count--;
    free(producer);
}

static void keep_budget(struct producer_pool *pool)
{
    while (pool->count > pool->max) {
        forget(oldest(pool));
        metrics_add(METRIC_producers_forgotten, 1);
    }
}

static int64_t date_of(const struct producer *producer)
{
    return producer->used_ms > 0 ? producer->used_ms : INT64_MAX;
}

static int compare_use(const void *left, const void *right)
{
    const struct producer *a = *(struct producer *const *)left;
    const struct producer *b = *(struct producer *const *)right;
    int64_t x = date_of(a), y = date_of(b);
    return x != y ? (x > y) - (x < y) : (a->id > b->id) - (a->id < b->id);
}

void producer_pool_sort(struct producer_pool *pool)
{
    VEC(struct producer *) all = {0};
    struct list *node;
    while ((node = list_pop_front(&pool->used)))
        vec_push(&all, container_of(node, struct producer, node));
    if (all.count > 1)
        qsort(all.items, all.count, sizeof *all.items, compare_use);
    for (size_t i = 0; i < all.count; i++)
        list_push_back(&pool->used, &all.items[i]->node);
    vec_reset(&all);
    keep_budget(pool);
}

static void date_recovered(struct producer_pool *pool, int64_t now_ms)
{
    list_each (node, &pool->used) {
        struct producer *producer = container_of(node, struct producer, node);
        if (producer->used_ms == 0)
            producer->used_ms = now_ms;
    }
    pool->has_undated = false;
}

size_t producer_pool_expire(struct producer_pool *pool, int64_t before_ms, int64_t now_ms,
                            size_t limit)
{
    size_t gone = 0;
    struct producer *producer;
    if (pool->has_undated)
        date_recovered(pool, now_ms);
    while (gone < limit && (producer = oldest(pool)) && producer->used_ms <= before_ms) {
        forget(producer);
        gone++;
    }
    return gone;
}

int64_t producer_pool_oldest(const struct producer_pool *pool)
{
    const struct producer *producer = oldest(pool);
    return producer ? producer->used_ms : INT64_MAX;
}

/* ---- a partition's ---- */

struct producers *producers_new(struct producer_pool *pool)
{
    struct producers *p = xzalloc(sizeof *p);
    p->pool = pool;
    return p;
}

void producers_free(struct producers *p)
{
    if (!p)
        return;
    size_t position = 0;
    struct producer *producer;
    while ((producer = idmap_next(&p->by_id, &position))) {
        list_remove(&producer->node);
        p->pool->count--;
        free(producer);
    }
    idmap_reset(&p->by_id);
    free(p);
}

static const struct producer_batch *find_duplicate(const struct producer *producer,
                                                   const struct batch *b)
{
    for (int i = 0; i < producer->count; i++) {
        const struct producer_batch *known = &producer->batches[i];
        if (known->last_sequence == last_sequence_of(b) &&
            sequence_subtract(known->last_sequence, known->offset_delta) == b->base_sequence)
            return known;
    }
    return NULL;
}

enum err producers_check(const struct producers *p, const struct batch *b,
                         struct producer_batch *out)
{
    const struct producer *producer = p ? idmap_get(&p->by_id, (uint64_t)b->producer_id) : NULL;
    if (!producer || producer->epoch == PRODUCER_NO_EPOCH || BROKER_MUTANT == MUTANT_ANY_SEQUENCE)
        return OK;
    if (b->producer_epoch < producer->epoch)
        return err_set(E_STALE,
                       "Epoch of producer %lld is %d, which is smaller than the last seen "
                       "epoch %d",
                       (long long)b->producer_id, b->producer_epoch, producer->epoch);
    if (b->producer_epoch > producer->epoch) {
        if (b->base_sequence == 0)
            return OK;
        return err_set(E_PRECONDITION,
                       "Invalid sequence number for new epoch of producer %lld: %d (request "
                       "epoch), %d (seq. number), %d (current producer epoch)",
                       (long long)b->producer_id, b->producer_epoch, b->base_sequence,
                       producer->epoch);
    }
    const struct producer_batch *duplicate = find_duplicate(producer, b);
    if (duplicate) {
        *out = *duplicate;
        return E_EXISTS;
    }
    int32_t last = producer_last(producer)->last_sequence;
    if (b->base_sequence == sequence_add(last, 1))
        return OK;
    return err_set(E_PRECONDITION,
                   "Out of order sequence number for producer %lld: %d (incoming seq. number), %d "
                   "(current end sequence number)",
                   (long long)b->producer_id, b->base_sequence, last);
}

static void add_batch(struct producer *producer, const struct producer_batch *batch)
{
    if (producer->count == PRODUCER_BATCHES)
        memmove(producer->batches, producer->batches + 1,
                --producer->count * sizeof *producer->batches);
    producer->batches[producer->count++] = *batch;
}

/* The producer, made if need be, as the one used last. */
static struct producer *use(struct producers *p, int64_t id)
{
    struct producer *producer = idmap_get(&p->by_id, (uint64_t)id);
    if (!producer) {
        producer = xzalloc(sizeof *producer);
        producer->owner = p;
        producer->id = id;
        producer->epoch = PRODUCER_NO_EPOCH;
        idmap_put(&p->by_id, (uint64_t)id, producer);
        p->pool->count++;
    }
    list_remove(&producer->node);
    list_push_back(&p->pool->used, &producer->node);
    return producer;
}

void producers_note(struct producers *p, const struct batch *b, int64_t base_offset,
                    int64_t timestamp, int64_t now_ms)
{
    check(b->producer_id >= 0 && base_offset >= p->covered);
    struct producer *producer = use(p, b->producer_id);
    if (producer->epoch != b->producer_epoch)
        producer->count = 0;
    producer->epoch = b->producer_epoch;
    producer->used_ms = now_ms;
    if (now_ms == 0)
        p->pool->has_undated = true;
    p->covered = base_offset + b->last_offset_delta + 1;
    add_batch(producer, &(struct producer_batch){
                            .last_offset = p->covered - 1,
                            .timestamp = timestamp,
                            .last_sequence = last_sequence_of(b),
                            .offset_delta = b->last_offset_delta,
                        });
    keep_budget(p->pool);
}

void producers_cut(struct producers *p, int64_t end)
{
    if (p->covered <= end)
        return;
    p->covered = end;
    VEC(struct producer *) empty = {0};
    size_t position = 0;
    struct producer *producer;
    while ((producer = idmap_next(&p->by_id, &position))) {
        while (producer->count > 0 && producer_last(producer)->last_offset >= end)
            producer->count--;
        if (producer->count == 0)
            vec_push(&empty, producer);
    }
    for (size_t i = 0; i < empty.count; i++)
        forget(empty.items[i]);
    vec_reset(&empty);
}

/* ---- recovery ---- */

void producers_replay(struct producers *p, const struct batch *b)
{
    if (b->base_offset >= p->covered)
        producers_note(p, b, b->base_offset, b->max_timestamp, 0);
}

bool producers_is_checkpoint(struct bytes state)
{
    return state.size > 0 && state.data[0] & CHECKPOINT_MARK;
}

/* As varint_put(), without a call for each of millions. */
static inline uint8_t *put(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

/* Room is asked for once: there may be many producers, and the core waits. */
static void put_producer(const struct producer *producer, int64_t covered, struct text *out)
{
    enum { NUMBERS_MAX = 4 + 4 * PRODUCER_BATCHES };
    uint8_t *start = text_reserve(out, NUMBERS_MAX * VARINT_MAX_BYTES), *p = start;
    p = put(p, (uint64_t)producer->id);
    p = put(p, zigzag_encode(producer->epoch));
    p = put(p, (uint64_t)producer->used_ms);
    p = put(p, producer->count);
    for (int i = 0; i < producer->count; i++) {
        const struct producer_batch *b = &producer->batches[i];
        p = put(p, (uint64_t)b->last_sequence);
        p = put(p, (uint64_t)b->offset_delta);
        p = put(p, (uint64_t)(covered - b->last_offset));
        p = put(p, zigzag_encode(b->timestamp));
    }
    out->size += (size_t)(p - start);
}

/* The next ones, already on their way into the cache: they lie anywhere, and waiting for one after the
 * other is most of the work. */
static size_t next_producers(const struct producers *p, size_t *position,
                             const struct producer **out, size_t max)
{
    enum { LINE_BYTES = 64 };
    size_t count = 0;
    const struct producer *producer;
    while (count < max && (producer = idmap_next(&p->by_id, position))) {
        for (size_t at = 0; at < sizeof *producer; at += LINE_BYTES)
            __builtin_prefetch((const char *)producer + at);
        out[count++] = producer;
    }
    return count;
}

void producers_put_checkpoint(const struct producers *p, struct text *out)
{
    text_put_u8(out, CHECKPOINT_MARK | CHECKPOINT_VERSION);
    text_put_varint(out, (uint64_t)p->covered);
    text_put_varint(out, p->by_id.count);
    const struct producer *some[16];
    size_t position = 0, count;
    while ((count = next_producers(p, &position, some, 16)) > 0)
        for (size_t i = 0; i < count; i++)
            put_producer(some[i], p->covered, out);
}

struct varints {
    struct bytes in;
    bool bad;
};

/* A number of at most `max`. */
static uint64_t take(struct varints *v, uint64_t max)
{
    uint64_t value = 0;
    size_t size = v->bad ? 0 : varint_get(v->in.data, v->in.size, &value);
    if (size == 0 || value > max) {
        v->bad = true;
        return 0;
    }
    v->in.data += size;
    v->in.size -= size;
    return value;
}

static struct producer_batch take_batch(struct varints *v, int64_t covered)
{
    struct producer_batch b = {
        .last_sequence = (int32_t)take(v, INT32_MAX),
        .offset_delta = (int32_t)take(v, INT32_MAX),
    };
    b.last_offset = covered - (int64_t)take(v, (uint64_t)covered);
    b.timestamp = zigzag_decode(take(v, UINT64_MAX));
    if (b.offset_delta > b.last_offset || b.last_offset >= covered)
        v->bad = true;
    return b;
}

static void take_producer(struct producers *p, struct varints *v)
{
    uint64_t id = take(v, INT64_MAX);
    int64_t epoch = zigzag_decode(take(v, UINT16_MAX));
    int64_t used_ms = (int64_t)take(v, INT64_MAX);
    uint64_t count = take(v, PRODUCER_BATCHES);
    if (v->bad || count == 0 || idmap_get(&p->by_id, id)) {
        v->bad = true;
        return;
    }
    struct producer *producer = use(p, (int64_t)id);
    producer->epoch = (int16_t)epoch;
    producer->used_ms = used_ms;
    if (used_ms == 0)
        p->pool->has_undated = true;
    for (int64_t end = 0; count > 0; count--) {
        struct producer_batch b = take_batch(v, p->covered);
        if (b.last_offset - b.offset_delta < end)
            v->bad = true; /* not in order */
        end = b.last_offset + 1;
        add_batch(producer, &b);
    }
}

enum err producers_restore(struct producers *p, struct bytes state)
{
    check(p->by_id.count == 0 && producers_is_checkpoint(state));
    if (state.data[0] != (CHECKPOINT_MARK | CHECKPOINT_VERSION))
        return err_set(E_UNSUPPORTED, "state of producers has version %d: start a newer release",
                       state.data[0] & ~CHECKPOINT_MARK);
    struct varints v = {{state.data + 1, state.size - 1}, false};
    p->covered = (int64_t)take(&v, INT64_MAX);
    uint64_t count = take(&v, INT64_MAX);
    for (uint64_t i = 0; i < count && !v.bad; i++)
        take_producer(p, &v);
    return v.bad ? err_set(E_MALFORMED, "state of producers is damaged") : OK;
}
