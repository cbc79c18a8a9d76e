/* Idempotent producers: the rules of one partition, its checkpoint, its memory, and a model. */
#include "tests/test.h"

#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/random.h"
#include "broker/core_internal.h"
#include "broker/producer.h"
#include "broker/producer_expiry.h"
#include "broker/test_core.h"

/* ---- one partition ---- */

struct world {
    struct producer_pool pool;
    struct producers *p;
    int64_t end, now_ms;
};

static void world_init(struct world *w)
{
    producer_pool_init(&w->pool, 1000);
    w->p = producers_new(&w->pool);
    w->end = 100;
    w->now_ms = 1000;
}

static struct batch batch_of(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    return (struct batch){.producer_id = id,
                          .producer_epoch = epoch,
                          .base_sequence = sequence,
                          .last_offset_delta = count - 1,
                          .record_count = count};
}

/* The offset it has now or had the first time; or the error, negative. */
static int64_t send(struct world *w, int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    struct batch b = batch_of(id, epoch, sequence, count);
    struct producer_batch first;
    enum err err = producers_check(w->p, &b, &first);
    if (err == E_EXISTS)
        return first.last_offset - first.offset_delta;
    if (err)
        return -(int64_t)err;
    producers_note(w->p, &b, w->end, INT64_C(7000) + sequence, w->now_ms);
    w->end += count;
    return w->end - count;
}

TEST(batches_that_follow_are_taken_and_repeated_ones_answered_as_before)
{
    struct world w;
    world_init(&w);
    expect_int(send(&w, 5, 0, 0, 3), 100);
    expect_int(send(&w, 5, 0, 3, 1), 103);
    expect_int(send(&w, 5, 0, 4, 2), 104);
    expect_int(send(&w, 5, 0, 3, 1), 103);
    expect_int(send(&w, 5, 0, 0, 3), 100);
    expect_int(send(&w, 5, 0, 0, 2), -E_PRECONDITION); /* not the same batch */
    expect_int(send(&w, 5, 0, 7, 1), -E_PRECONDITION); /* a gap */
    expect_int(send(&w, 5, 0, 5, 1), -E_PRECONDITION);
    expect_int(send(&w, 6, 0, 0, 3), 106); /* another producer's */
    expect_int(send(&w, 5, 0, 6, 1), 109);
    producers_free(w.p);
}

TEST(only_the_last_five_batches_are_known_again)
{
    struct world w;
    world_init(&w);
    for (int i = 0; i < 6; i++)
        expect_int(send(&w, 5, 0, i, 1), 100 + i);
    for (int i = 1; i < 6; i++)
        expect_int(send(&w, 5, 0, i, 1), 100 + i);
    expect_int(send(&w, 5, 0, 0, 1), -E_PRECONDITION);
    expect_int(w.end, 106);
    producers_free(w.p);
}

TEST(an_unknown_producer_may_begin_anywhere)
{
    struct world w;
    world_init(&w);
    expect_int(send(&w, 5, 3, 77, 2), 100);
    expect_int(send(&w, 5, 3, 78, 1), -E_PRECONDITION);
    expect_int(send(&w, 5, 3, 79, 1), 102);
    producers_free(w.p);
}

TEST(a_new_epoch_begins_with_sequence_zero_and_ends_the_old_one)
{
    struct world w;
    world_init(&w);
    expect_int(send(&w, 5, 1, 0, 1), 100);
    expect_int(send(&w, 5, 2, 1, 1), -E_PRECONDITION);
    expect_int(send(&w, 5, 2, 0, 1), 101);
    expect_int(send(&w, 5, 2, 0, 1), 101);
    expect_int(send(&w, 5, 1, 1, 1), -E_STALE);
    expect_int(send(&w, 5, 1, 0, 1), -E_STALE);
    expect_int(send(&w, 5, 2, 1, 1), 102);
    producers_free(w.p);
}

TEST(sequences_begin_again_at_zero_behind_the_largest_also_within_a_batch)
{
    struct world w;
    world_init(&w);
    expect_int(send(&w, 5, 0, INT32_MAX - 1, 2), 100);
    expect_int(send(&w, 5, 0, 0, 1), 102);
    expect_int(send(&w, 5, 0, INT32_MAX - 1, 2), 100);
    expect_int(send(&w, 6, 0, INT32_MAX - 1, 4), 103); /* its last sequence is 1 */
    expect_int(send(&w, 6, 0, INT32_MAX - 1, 4), 103);
    expect_int(send(&w, 6, 0, 1, 1), -E_PRECONDITION);
    expect_int(send(&w, 6, 0, 2, 1), 107);
    producers_free(w.p);
}

TEST(a_cut_takes_back_what_was_above_it)
{
    struct world w;
    world_init(&w);
    for (int i = 0; i < 3; i++)
        expect_int(send(&w, 5, 0, i, 1), 100 + i);
    expect_int(send(&w, 6, 0, 0, 1), 103);
    producers_cut(w.p, 104);
    expect_int(w.pool.count, 2);
    producers_cut(w.p, 102);
    w.end = 102;
    expect_int(w.pool.count, 1);
    expect_int(send(&w, 5, 0, 3, 1), -E_PRECONDITION);
    expect_int(send(&w, 5, 0, 2, 1), 102);
    expect_int(send(&w, 6, 0, 9, 1), 103); /* not known any more */
    producers_free(w.p);
}

/* ---- memory ---- */

TEST(beyond_the_budget_the_one_that_was_silent_for_longest_is_forgotten)
{
    struct world w;
    world_init(&w);
    w.pool.max = 3;
    struct producers *other = producers_new(&w.pool);
    for (int id = 1; id <= 3; id++)
        expect_true(send(&w, id, 0, 0, 1) > 0);
    expect_true(send(&w, 1, 0, 1, 1) > 0);
    struct batch b = batch_of(9, 0, 0, 1);
    producers_note(other, &b, 0, 0, 1000);
    expect_int(w.pool.count, 3);
    expect_int(send(&w, 1, 0, 9, 1), -E_PRECONDITION);
    expect_int(send(&w, 3, 0, 9, 1), -E_PRECONDITION);
    expect_true(send(&w, 2, 0, 9, 1) > 0); /* forgotten */
    producers_free(other);
    producers_free(w.p);
    expect_int(w.pool.count, 0);
}

TEST(producers_that_are_silent_expire_some_at_a_time)
{
    struct world w;
    world_init(&w);
    for (int id = 1; id <= 5; id++, w.now_ms += 10)
        expect_true(send(&w, id, 0, 0, 1) > 0);
    expect_int(producer_pool_oldest(&w.pool), 1000);
    expect_int(producer_pool_expire(&w.pool, 999, 5000, 10), 0);
    expect_int(producer_pool_expire(&w.pool, 1030, 5000, 3), 3);
    expect_int(producer_pool_expire(&w.pool, 1030, 5000, 3), 1);
    expect_int(w.pool.count, 1);
    expect_int(producer_pool_expire(&w.pool, 2000, 5000, 3), 1);
    expect_int(producer_pool_oldest(&w.pool), INT64_MAX);
    producers_free(w.p);
}

/* ---- checkpoints ---- */

static struct producers *read_back(struct world *w, struct producer_pool *pool)
{
    struct text saved = {0};
    producers_put_checkpoint(w->p, &saved);
    expect_true(producers_is_checkpoint(text_bytes(&saved)));
    producer_pool_init(pool, 1000);
    struct producers *p = producers_new(pool);
    expect_ok(producers_restore(p, text_bytes(&saved)));
    text_reset(&saved);
    return p;
}

TEST(a_checkpoint_has_everything_and_what_it_covers_changes_nothing_again)
{
    struct world w;
    struct producer_pool pool;
    world_init(&w);
    for (int i = 0; i < 7; i++)
        expect_true(send(&w, 5, 2, (int32_t)((INT32_MAX - 3 + INT64_C(2) * i) & INT32_MAX), 2) > 0);
    expect_true(send(&w, INT64_MAX, INT16_MAX, 0, 1000) > 0);
    expect_true(send(&w, 0, 0, 0, 1) > 0);
    struct producers *p = read_back(&w, &pool);
    producer_pool_sort(&pool);
    struct batch b = batch_of(0, 0, 0, 1);
    b.base_offset = w.end - 1;
    producers_replay(p, &b);
    expect_int(pool.count, w.pool.count);
    size_t position = 0;
    const struct producer *was;
    while ((was = idmap_next(&w.p->by_id, &position))) {
        const struct producer *is = idmap_get(&p->by_id, (uint64_t)was->id);
        expect_not_null(is);
        expect_int(is->epoch, was->epoch);
        expect_int(is->used_ms, was->used_ms);
        expect_int(is->count, was->count);
        expect_bytes(bytes_of(is->batches, is->count * sizeof *is->batches),
                     bytes_of(was->batches, was->count * sizeof *was->batches));
    }
    producers_free(p);
    producers_free(w.p);
}

TEST(damaged_checkpoints_are_refused)
{
    struct world w;
    struct producer_pool pool;
    struct text saved = {0};
    world_init(&w);
    expect_true(send(&w, 5, 2, 0, 2) > 0);
    expect_true(send(&w, 6, 2, 0, 2) > 0);
    producers_put_checkpoint(w.p, &saved);
    producer_pool_init(&pool, 1000);
    for (size_t size = 1; size < saved.size; size++) {
        struct producers *p = producers_new(&pool);
        expect_err(producers_restore(p, bytes_of(saved.data, size)), E_MALFORMED);
        producers_free(p);
    }
    for (size_t at = 0; at < saved.size; at++) { /* refused or read, whatever a byte is */
        struct producers *p = producers_new(&pool);
        saved.data[at] ^= 0xff;
        if (at > 0)
            (void)!producers_restore(p, text_bytes(&saved));
        saved.data[at] ^= 0xff;
        producers_free(p);
    }
    saved.data[0]++;
    struct producers *p = producers_new(&pool);
    expect_err(producers_restore(p, text_bytes(&saved)), E_UNSUPPORTED);
    producers_free(p);
    text_reset(&saved);
    producers_free(w.p);
}

TEST(what_was_replayed_is_dated_when_the_time_is_known)
{
    struct world w;
    world_init(&w);
    struct batch b = batch_of(5, 0, 0, 1);
    b.base_offset = 3;
    producers_replay(w.p, &b);
    w.end = 200;
    expect_true(send(&w, 6, 0, 0, 1) > 0);
    producer_pool_sort(&w.pool);
    expect_int(producer_pool_expire(&w.pool, 1000, 5000, 10), 1); /* 6 */
    expect_int(w.pool.count, 1);
    expect_int(producer_pool_oldest(&w.pool), 5000);
    producers_free(w.p);
}

/* ---- in the broker ---- */

enum { LARGE_BYTES = 6000 };

/* A batch of `count` records; some are so large that the log takes them straight to its segment. */
static struct bytes encode(struct batch_builder *builder, int64_t id, int16_t epoch,
                           int32_t sequence, int32_t count)
{
    static const uint8_t value[LARGE_BYTES];
    size_t size = sequence % 17 == 0 && sequence > 0 ? LARGE_BYTES : 8;
    batch_builder_begin(builder, 0);
    for (int32_t i = 0; i < count; i++)
        batch_builder_add(builder, 1700000000000 + sequence, BYTES_NULL, bytes_of(value, size),
                          BYTES_NULL, 0);
    struct bytes raw = batch_builder_end(builder);
    uint8_t *p = builder->text.data + (raw.data - builder->text.data);
    put_u64(p + 43, (uint64_t)id);
    put_u16(p + 51, (uint16_t)epoch);
    put_u32(p + 53, (uint32_t)sequence);
    put_u32(p + 17, crc32c(p + BATCH_CRC_FROM, raw.size - BATCH_CRC_FROM));
    return raw;
}

struct sent {
    int64_t offset, append_time;
    struct ticket ticket;
};

static enum err produce(struct test_core *t, struct partition *p, int64_t id, int32_t sequence,
                        int32_t count, struct sent *out)
{
    struct batch_builder builder = {0};
    struct batch b;
    expect_ok(batch_parse(encode(&builder, id, 0, sequence, count), &b));
    enum err err = partition_append(t->core, p, &b, &out->offset, &out->append_time, &out->ticket);
    batch_builder_reset(&builder);
    return err;
}

static struct partition *partition_of(struct test_core *t)
{
    return topic_partition(topic_find(t->core, BYTES_LITERAL("t")), 0);
}

TEST(a_duplicate_waits_for_the_commit_of_the_first_one)
{
    struct test_core t;
    struct sent first, again;
    test_core_init(&t);
    struct partition *p = topic_partition(test_topic(&t, "t", 1), 0);
    test_core_settle(&t);
    expect_ok(produce(&t, p, 5, 0, 2, &first));
    expect_ok(produce(&t, p, 5, 2, 1, &again));
    expect_ok(produce(&t, p, 5, 0, 2, &again)); /* in the same turn */
    expect_int(again.offset, first.offset);
    expect_int(first.append_time, -1);
    expect_int(again.append_time, 1700000000000);
    expect_false(store_is_done(t.core->store, again.ticket, STAGE_COMMITTED));
    test_core_settle(&t);
    expect_true(store_is_done(t.core->store, again.ticket, STAGE_COMMITTED));
    expect_int(p->log->hw, 3);
    expect_ok(produce(&t, p, 5, 0, 2, &again));
    expect_true(store_is_done(t.core->store, again.ticket, STAGE_COMMITTED));
    expect_int(p->log->end, 3);
    test_core_end(&t);
}

/* A client that is told "out of sequence" begins a new epoch, and sends once more what it has had no
 * answer for: also the batch whose sync failed, which may be there. */
TEST(behind_a_batch_whose_sync_failed_nothing_is_out_of_sequence)
{
    struct test_core t;
    struct sent s;
    test_core_init(&t);
    struct partition *p = topic_partition(test_topic(&t, "t", 1), 0);
    test_core_settle(&t);
    expect_ok(produce(&t, p, 5, 0, 1, &s));
    expect_err(produce(&t, p, 5, 2, 1, &s), E_PRECONDITION);
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO);
    test_core_settle(&t);
    expect_err(produce(&t, p, 5, 1, 1, &s), E_FROZEN);
    expect_err(produce(&t, p, 5, 2, 1, &s), E_FROZEN);
    expect_ok(produce(&t, p, 5, 0, 1, &s)); /* and waits, for ever */
    expect_false(store_is_done(t.core->store, s.ticket, STAGE_COMMITTED));
    test_core_end(&t);
}

TEST(what_the_log_refuses_is_not_remembered)
{
    struct test_core t;
    struct sent s;
    test_core_init(&t);
    struct partition *p = topic_partition(test_topic(&t, "t", 1), 0);
    test_core_settle(&t);
    expect_ok(produce(&t, p, 5, 0, 1, &s));
    test_core_settle(&t);
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO);
    expect_ok(produce(&t, p, 5, 1, 1, &s));
    test_core_settle(&t);
    expect_err(produce(&t, p, 5, 2, 1, &s), E_FROZEN);
    expect_err(produce(&t, p, 5, 2, 1, &s), E_FROZEN); /* not a duplicate */
    expect_ok(produce(&t, p, 5, 1, 1, &s));            /* of one that will never be committed */
    expect_false(store_is_done(t.core->store, s.ticket, STAGE_COMMITTED));
    test_core_crash(&t);
    p = partition_of(&t);
    expect_int(p->log->end, 1);
    expect_err(produce(&t, p, 5, 2, 1, &s), E_PRECONDITION);
    expect_ok(produce(&t, p, 5, 1, 1, &s));
    expect_int(s.offset, 1);
    test_core_end(&t);
}

TEST(producers_are_known_after_a_stop_a_crash_and_a_trim_and_gone_with_the_topic)
{
    struct test_core t;
    struct sent s;
    struct ticket trimmed;
    test_core_init(&t);
    struct partition *p = topic_partition(test_topic(&t, "t", 1), 0);
    for (int i = 0; i < 8; i++)
        expect_ok(produce(&t, p, 5, i, 1, &s));
    test_core_settle(&t);
    test_core_reopen(&t);
    p = partition_of(&t);
    expect_ok(produce(&t, p, 5, 7, 1, &s));
    expect_int(s.offset, 7);
    log_trim(p->log, 8, &trimmed);
    test_core_settle(&t);
    test_core_crash(&t);
    p = partition_of(&t);
    expect_int(p->log->start, 8);
    expect_ok(produce(&t, p, 5, 4, 1, &s));
    expect_int(s.offset, 4);
    expect_err(produce(&t, p, 5, 9, 1, &s), E_PRECONDITION);
    expect_int(producer_expiry_pool(t.core)->count, 1);
    topic_delete(t.core, p->topic);
    expect_int(producer_expiry_pool(t.core)->count, 0);
    test_core_end(&t);
}

TEST(producers_expire_a_day_after_their_last_batch_also_across_a_restart)
{
    enum { HOUR_MS = 3600000 };
    struct test_core t;
    struct sent s;
    test_core_init(&t);
    struct partition *p = topic_partition(test_topic(&t, "t", 1), 0);
    expect_ok(produce(&t, p, 5, 0, 1, &s));
    for (int i = 0; i < 24; i++) {
        test_core_settle(&t);
        expect_int(producer_expiry_pool(t.core)->count, 1);
        if (i == 12)
            test_core_reopen(&t);
        t.now_ns += (int64_t)HOUR_MS * 1000000;
        t.wall_ms += HOUR_MS;
    }
    test_core_settle(&t);
    expect_int(producer_expiry_pool(t.core)->count, 0);
    expect_ok(produce(&t, partition_of(&t), 5, 9, 1, &s));
    test_core_end(&t);
}

TEST(producer_state_is_never_ahead_of_the_log_as_recovered)
{
    struct test_core t;
    struct sent s;
    struct ticket cut;
    test_core_init(&t);
    struct partition *p = topic_partition(test_topic(&t, "t", 1), 0);
    for (int i = 0; i < 4; i++)
        expect_ok(produce(&t, p, 5, i, 1, &s));
    test_core_settle(&t);
    expect_ok(log_truncate(p->log, 2, store_epoch(t.core->store), &cut));
    expect_err(produce(&t, p, 5, 4, 1, &s), E_PRECONDITION);
    test_core_settle(&t);
    test_core_crash(&t);
    p = partition_of(&t);
    expect_err(produce(&t, p, 5, 4, 1, &s), E_PRECONDITION);
    expect_ok(produce(&t, p, 5, 2, 1, &s));
    expect_int(s.offset, 2);
    test_core_end(&t);
}

/* ---- against a model ---- */

enum { CLIENTS = 4, IN_FLIGHT = 5, BATCHES_MAX = 4000 };

/* A producer as clients are: it keeps up to five batches in flight and sends again, in order, what
 * was not answered. What it believes is what the log must hold. */
struct client {
    int64_t id;
    int32_t acked, sent; /* batches; number n has the sequences [first[n], first[n + 1]) */
    int32_t first[BATCHES_MAX];
    int64_t offset[BATCHES_MAX]; /* -1: never appended, or lost */
    struct ticket ticket[BATCHES_MAX];
};

struct model {
    struct test_core t;
    struct random random;
    struct client clients[CLIENTS];
};

static uint64_t draw(struct model *m, uint64_t bound)
{
    return random_below(&m->random, bound);
}

static enum err send_number(struct model *m, struct client *c, int32_t n, struct sent *out)
{
    return produce(&m->t, partition_of(&m->t), c->id, c->first[n], c->first[n + 1] - c->first[n],
                   out);
}

static void send_next(struct model *m, struct client *c)
{
    struct sent s;
    int32_t n = c->sent;
    int64_t end = partition_of(&m->t)->log->end;
    if (n - c->acked >= IN_FLIGHT || n + 1 >= BATCHES_MAX)
        return;
    if (c->first[n + 1] == 0) /* never made before */
        c->first[n + 1] = c->first[n] + 1 + (int32_t)draw(m, 3);
    bool is_there = c->offset[n] >= 0; /* the answer was lost, the batch was not */
    expect_ok(send_number(m, c, n, &s));
    expect_int(s.offset, is_there ? c->offset[n] : end);
    c->offset[n] = s.offset;
    c->ticket[n] = s.ticket;
    c->sent++;
}

static void send_again(struct model *m, struct client *c)
{
    struct sent s;
    int32_t last = c->sent;
    while (last + 1 < BATCHES_MAX && c->first[last + 1] > 0 && c->offset[last] >= 0)
        last++; /* there, although the client does not know */
    int32_t back = 1 + (int32_t)draw(m, IN_FLIGHT);
    if (last < back)
        return;
    expect_ok(send_number(m, c, last - back, &s));
    expect_int(s.offset, c->offset[last - back]);
}

/* A later batch before its turn: refused, whatever has happened before. */
static void send_early(struct model *m, struct client *c)
{
    struct sent s;
    if (c->sent == 0 || c->offset[c->sent - 1] < 0)
        return;
    int32_t gap = c->first[c->sent] + 50;
    expect_err(produce(&m->t, partition_of(&m->t), c->id, gap, 1, &s), E_PRECONDITION);
}

static void take_acks(struct model *m, struct client *c)
{
    while (c->acked < c->sent &&
           store_is_done(m->t.core->store, c->ticket[c->acked], STAGE_COMMITTED))
        c->acked++;
}

/* What the log lost was not answered. Clients connect again and begin behind what they know of. */
static void restart(struct model *m, bool crash)
{
    if (crash)
        test_core_crash(&m->t);
    else
        test_core_reopen(&m->t);
    int64_t end = partition_of(&m->t)->log->end;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &m->clients[i];
        for (int32_t n = 0; n + 1 < BATCHES_MAX && c->first[n + 1] > 0; n++) {
            if (c->offset[n] < end)
                continue;
            expect_true(n >= c->acked);
            c->offset[n] = -1;
        }
        c->sent = c->acked;
    }
}

static void act(struct model *m)
{
    struct client *c = &m->clients[draw(m, CLIENTS)];
    switch (draw(m, 8)) {
    case 0: send_again(m, c); break;
    case 1: send_early(m, c); break;
    default: send_next(m, c); break;
    }
}

static void turn(struct model *m)
{
    test_core_turn(&m->t);
    for (uint64_t n = draw(m, 4); n > 0; n--)
        sim_jobs_step(m->t.sim, &m->random);
    m->t.now_ns += 1000000 << draw(m, 12); /* seconds make a direct log quiet */
    for (int i = 0; i < CLIENTS; i++)
        take_acks(m, &m->clients[i]);
}

TEST(no_batch_is_lost_repeated_or_out_of_order_whatever_is_sent_and_crashes)
{
    struct model *m = xzalloc(sizeof *m);
    test_core_init(&m->t);
    random_init(&m->random, test_seed());
    m->t.config.store.journal_first_bytes = m->t.config.store.journal_file_bytes = 32 << 10;
    m->t.config.store.journal_max_bytes = 128 << 10;
    m->t.config.store.carry_bytes = 8 << 10;
    m->t.config.store.direct_append_bytes = 4 << 10;
    m->t.config.store.allocate_bytes = m->t.config.store.segment_bytes = 64 << 10;
    m->t.config.store.unmarked_max_bytes = 64 << 10;
    test_topic(&m->t, "t", 1);
    test_core_settle(&m->t);
    for (int i = 0; i < CLIENTS; i++) {
        m->clients[i].id = i;
        memset(m->clients[i].offset, -1, sizeof m->clients[i].offset);
    }
    int64_t trimmed = 0;
    uint64_t direct_turns = 0;
    for (int step = 0; step < 3000; step++) {
        struct log *log = partition_of(&m->t)->log;
        for (uint64_t n = draw(m, 6); n > 0; n--)
            act(m);
        turn(m);
        struct store_stats stats;
        store_stats(m->t.core->store, &stats);
        direct_turns += stats.direct_logs;
        if (draw(m, 60) == 0)
            restart(m, draw(m, 3) > 0);
        else if (draw(m, 200) == 0 && log->hw > log->start) {
            struct ticket ignored;
            log_trim(log, trimmed = log->hw, &ignored);
        }
    }
    int64_t expected = 0, answered = 0;
    test_core_settle(&m->t);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &m->clients[i];
        take_acks(m, c);
        int64_t before = -1;
        for (int32_t n = 0; n + 1 < BATCHES_MAX && c->first[n + 1] > 0 && c->offset[n] >= 0; n++) {
            expect_true(c->offset[n] > before);
            before = c->offset[n];
            expected += c->first[n + 1] - c->first[n];
        }
        answered += c->acked;
    }
    expect_int(partition_of(&m->t)->log->end, expected); /* nothing is there twice */
    expect_true(answered > 1000 && trimmed > 0);
    expect_true(direct_turns > 100 && direct_turns < 2900);
    test_core_end(&m->t);
    free(m);
}
