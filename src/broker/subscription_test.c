#include "tests/test.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "broker/subscription.h"

static struct subscription *started(int64_t end)
{
    struct subscription *s = subscription_new();
    subscription_start(s, 0, end, true);
    return s;
}

static int64_t take(struct subscription *s)
{
    int64_t offset = subscription_head(s);
    subscription_take(s, offset);
    return offset;
}

/* The changes as a batch that lies at `offset` in the log. */
static struct batch log_changes(struct subscription *s, struct batch_builder *b, int64_t offset)
{
    struct text scratch = {0};
    struct batch batch;
    subscription_put_changes(s, b, &scratch, 1000);
    expect_ok(batch_parse(batch_builder_end(b), &batch));
    batch.base_offset = offset;
    subscription_changes_logged(s);
    text_reset(&scratch);
    return batch;
}

TEST(records_are_taken_in_order_and_a_returned_one_comes_first_again)
{
    struct subscription *s = started(4);
    expect_int(take(s), 0);
    expect_int(take(s), 1);
    expect_int(take(s), 2);
    expect_true(subscription_return(s, 2, 1));
    expect_true(subscription_return(s, 1, 1));
    expect_int(subscription_ready_count(s), 3);
    expect_int(s->taken, 1);

    struct taking again = subscription_take(s, 1);
    expect_int(again.number, 2);
    expect_true(again.redelivered);
    expect_int(take(s), 2);
    expect_false(subscription_take(s, 3).redelivered);
    expect_int(subscription_head(s), -1);
    subscription_free(s);
}

TEST(a_late_settle_of_an_older_delivery_changes_nothing)
{
    struct subscription *s = started(2);
    take(s);
    expect_true(subscription_return(s, 0, 1));
    expect_false(subscription_settle(s, 0, 1)); /* ready again */
    take(s);
    expect_false(subscription_settle(s, 0, 1));
    expect_false(subscription_return(s, 0, 1));
    expect_false(subscription_settle(s, 0, 3));
    expect_true(subscription_settle(s, 0, 2));
    expect_false(subscription_settle(s, 0, 2));
    expect_false(subscription_settle(s, 1, 1)); /* not taken */
    expect_false(subscription_settle(s, 7, 1)); /* not there */
    expect_int(s->floor, 1);
    subscription_free(s);
}

TEST(settles_and_returns_commute)
{
    struct subscription *a = started(3), *b = started(3);
    for (int i = 0; i < 3; i++)
        take(a), take(b);
    subscription_settle(a, 0, 1), subscription_return(a, 1, 1), subscription_settle(a, 2, 1);
    subscription_settle(b, 2, 1), subscription_return(b, 1, 1), subscription_settle(b, 0, 1);
    expect_int(a->floor, b->floor);
    expect_int(subscription_head(a), subscription_head(b));
    expect_int(subscription_ready_count(a), 1);
    expect_int(subscription_ready_count(b), 1);
    subscription_free(a);
    subscription_free(b);
}

TEST(a_purge_settles_what_is_ready_and_leaves_what_is_taken)
{
    struct subscription *s = started(10);
    take(s), take(s), take(s);
    subscription_return(s, 1, 1);
    expect_int(subscription_settle_ready(s, 0, 10), 8);
    expect_int(subscription_ready_count(s), 0);
    expect_int(s->taken, 2);
    expect_true(subscription_settle(s, 2, 1));
    expect_true(subscription_settle(s, 0, 1));
    expect_int(s->floor, 10);
    subscription_free(s);
}

TEST(a_million_records_taken_and_settled_in_order_need_no_memory_for_each)
{
    struct subscription *s = started(1000000);
    s->keeps_log = false;
    for (int64_t i = 0; i < 1000000; i++) {
        expect_int(take(s), i);
        expect_true(subscription_settle(s, i, 1));
    }
    expect_int(s->floor, 1000000);
    struct subscription *other = subscription_new();
    expect_true(s->sets == other->sets); /* that of all that have none */
    subscription_free(other);
    subscription_free(s);
}

static void settle_many(struct subscription *s, int64_t first, int64_t stride, uint32_t count)
{
    expect_true(subscription_settle_all(s, first, stride, count, 1));
}

TEST(what_several_holders_settle_in_steps_is_one_range_in_the_log)
{
    struct subscription *s = started(300);
    struct batch_builder b = {0};
    for (int i = 0; i < 300; i++)
        take(s);
    settle_many(s, 0, 3, 100);
    settle_many(s, 2, 3, 100);
    expect_int(s->floor, 1);
    settle_many(s, 1, 3, 100);
    expect_int(s->floor, 300);
    expect_int(s->taken, 0);
    expect_true(subscription_has_changes(s));
    (void)log_changes(s, &b, 300);
    expect_false(subscription_has_changes(s));
    expect_int(s->sets->settled_changes.capacity, 8); /* no range for each of them */
    batch_builder_reset(&b);
    subscription_free(s);
}

TEST(many_are_not_settled_in_one_go_when_some_have_come_back)
{
    struct subscription *s = started(100);
    for (int i = 0; i < 100; i++)
        take(s);
    expect_false(subscription_settle_all(s, 0, 1, 100, 2));
    expect_true(subscription_return(s, 50, 1));
    expect_false(subscription_settle_all(s, 20, 2, 20, 1));
    expect_int(s->taken, 99);
    expect_int(take(s), 50);
    expect_false(subscription_settle_all(s, 20, 2, 20, 1));
    settle_many(s, 0, 1, 50);
    expect_int(s->floor, 50);
    subscription_free(s);
}

TEST(in_order_settles_of_a_turn_are_one_range_in_the_log)
{
    struct subscription *s = started(1000);
    struct batch_builder b = {0};
    for (int64_t i = 0; i < 1000; i++)
        take(s), subscription_settle(s, i, 1);
    struct batch batch = log_changes(s, &b, 1000);
    expect_true(batch_is_control(&batch));
    expect_true(batch.raw.size < 100);
    expect_false(subscription_has_changes(s));
    batch_builder_reset(&b);
    subscription_free(s);
}

TEST(settles_of_a_turn_in_any_order_are_one_range_in_the_log)
{
    struct subscription *s = started(1000);
    struct batch_builder b = {0};
    for (int i = 0; i < 1000; i++)
        take(s);
    for (int64_t i = 999; i >= 0; i -= 2)
        subscription_settle(s, i, 1);
    for (int64_t i = 0; i < 1000; i += 2)
        subscription_settle(s, i, 1);
    expect_true(log_changes(s, &b, 1000).raw.size < 100);
    batch_builder_reset(&b);
    subscription_free(s);
}

TEST(after_recovery_what_was_delivered_before_is_redelivered)
{
    struct subscription *s = started(5), *r = subscription_new();
    struct batch_builder b = {0};
    take(s), take(s), take(s);
    subscription_settle(s, 1, 1);
    struct batch batch = log_changes(s, &b, 5);

    expect_ok(subscription_replay(r, &batch));
    subscription_start(r, 0, 6, true);
    expect_int(subscription_ready_count(r), 4);
    expect_true(subscription_take(r, 0).redelivered);
    expect_true(subscription_take(r, 2).redelivered);
    expect_false(subscription_take(r, 3).redelivered);
    batch_builder_reset(&b);
    subscription_free(s);
    subscription_free(r);
}

TEST(delivery_state_is_cut_to_the_log_s_end)
{
    struct subscription *s = started(10), *r = subscription_new();
    struct text checkpoint = {0};
    for (int64_t i = 0; i < 10; i++)
        take(s);
    for (int64_t i = 3; i < 10; i++)
        subscription_settle(s, i, 1);
    subscription_hole(s, 10, 11);
    subscription_put_checkpoint(s, &checkpoint);

    expect_ok(subscription_restore(r, text_bytes(&checkpoint)));
    subscription_start(r, 0, 5, true); /* the disk lost the rest */
    subscription_extend(r, 11);
    expect_int(subscription_ready_count(r), 3 + 6);
    take(r), take(r), take(r);
    struct taking fresh = subscription_take(r, 5);
    expect_false(fresh.redelivered);
    text_reset(&checkpoint);
    subscription_free(s);
    subscription_free(r);
}

TEST(kafka_s_own_control_batches_are_only_holes)
{
    struct subscription *r = subscription_new();
    struct batch_builder b = {0};
    uint8_t key[4] = {0, 0, 0, 1}, value[6] = {0};
    struct batch batch;
    batch_builder_begin(&b, BATCH_CONTROL);
    batch_builder_add(&b, 0, bytes_of(key, 4), bytes_of(value, 6), BYTES_NULL, 0);
    expect_ok(batch_parse(batch_builder_end(&b), &batch));
    expect_ok(subscription_replay(r, &batch));
    expect_int(r->floor, 1);
    batch_builder_reset(&b);
    subscription_free(r);
}

static enum err replay_record(struct bytes key, struct bytes value, int64_t offset)
{
    struct subscription *r = subscription_new();
    struct batch_builder b = {0};
    struct batch batch;
    batch_builder_begin(&b, BATCH_CONTROL);
    batch_builder_add(&b, 0, key, value, BYTES_NULL, 0);
    expect_ok(batch_parse(batch_builder_end(&b), &batch));
    batch.base_offset = offset;
    enum err err = subscription_replay(r, &batch);
    batch_builder_reset(&b);
    subscription_free(r);
    return err;
}

TEST(control_records_of_a_newer_release_are_refused)
{
    struct bytes nothing = BYTES_LITERAL("\0\0\0");
    expect_ok(replay_record(BYTES_LITERAL("\0\0\x50\0"), nothing, 9));
    expect_err(replay_record(BYTES_LITERAL("\0\1\x50\0"), nothing, 9), E_UNSUPPORTED);
    expect_err(replay_record(BYTES_LITERAL("\0\0\x50\1"), nothing, 9), E_UNSUPPORTED);
    expect_err_text("type 0x5001, version 0");
}

TEST(damaged_control_records_are_refused)
{
    struct bytes key = BYTES_LITERAL("\0\0\x50\0");
    expect_err(replay_record(BYTES_LITERAL("\0\0\x50"), BYTES_LITERAL("\0\0\0"), 9), E_MALFORMED);
    expect_err(replay_record(key, BYTES_LITERAL("\0\0"), 9), E_MALFORMED);
    expect_err(replay_record(key, BYTES_LITERAL("\x0a\0\0"), 9), E_MALFORMED);       /* mark */
    expect_err(replay_record(key, BYTES_LITERAL("\0\1\x02\x09\0"), 9), E_MALFORMED); /* 1..10 */
    expect_err(replay_record(key, BYTES_LITERAL("\0\1\x01\x01\0"), 9), E_MALFORMED); /* -1 */
    expect_err(replay_record(key, BYTES_LITERAL("\0\1\x02\0\0"), 9), E_MALFORMED);   /* empty */
    expect_err(replay_record(key, BYTES_LITERAL("\0\0\1\x02\1"), 9), E_MALFORMED);   /* number */
    expect_err_text("at 9");
    struct bytes large = BYTES_LITERAL("\0\0\1\0\1\x80\x80\x80\x80\x08"); /* came back 2^31 times */
    expect_err(replay_record(key, large, 9), E_MALFORMED);
    struct bytes many = BYTES_LITERAL("\0\0\1\0\x80\x80\x80\x80\x10\1"); /* 2^32 records did */
    expect_err(replay_record(key, many, INT64_C(1) << 31), E_MALFORMED);
    expect_ok(replay_record(key, many, INT64_C(1) << 33));
    expect_err(replay_record(key, BYTES_LITERAL("\0\0\0"), INT64_C(1) << 41), E_MALFORMED);
    expect_err_text("unknown");
}

TEST(a_checkpoint_in_the_middle_of_recovery_leaves_out_what_is_done_since)
{
    struct subscription *s = subscription_new(), *read = subscription_new();
    struct text text = {0};
    subscription_recover_return(s, 0, 1, 1);
    subscription_recover_return(s, 5, 6, 1);
    subscription_recover_return(s, 6, 7, 2);
    subscription_recover_done(s, 0, 2); /* the floor passes the first */
    subscription_recover_done(s, 5, 6);
    subscription_put_checkpoint(s, &text);
    expect_ok(subscription_restore(read, text_bytes(&text)));
    expect_int(read->floor, 2);
    struct return_run run;
    expect_true(return_counts_next(&read->sets->returns, 0, INT64_MAX, &run));
    expect_true(run.from == 6 && run.to == 7 && run.number == 2);
    expect_false(return_counts_next(&read->sets->returns, 7, INT64_MAX, &run));
    text_reset(&text);
    subscription_free(s);
    subscription_free(read);
}

TEST(what_a_lost_consumer_had_is_one_run_in_the_log_and_in_checkpoints)
{
    enum { MANY = 200000 };
    struct subscription *s = started(MANY), *read = subscription_new();
    struct batch_builder b = {0};
    struct text text = {0};
    for (int64_t i = 0; i < MANY; i++)
        take(s);
    for (int64_t i = 0; i < MANY; i++)
        expect_true(subscription_return(s, i, 1));
    subscription_put_checkpoint(s, &text);
    expect_true(text.size < 20);
    expect_true(log_changes(s, &b, MANY).raw.size < 100);
    expect_ok(subscription_restore(read, text_bytes(&text)));
    subscription_start(read, 0, MANY, true);
    struct taking taking = subscription_take(read, 0);
    expect_true(taking.number == 2 && taking.redelivered);
    batch_builder_reset(&b);
    text_reset(&text);
    subscription_free(s);
    subscription_free(read);
}

TEST(the_number_of_a_delivery_stops_at_its_largest)
{
    struct subscription *s = subscription_new();
    subscription_recover_return(s, 0, 1, DELIVERY_NUMBER_MAX - 1);
    subscription_start(s, 0, 1, true);
    for (int i = 0; i < 3; i++) {
        struct taking taking = subscription_take(s, 0);
        expect_int(taking.number, DELIVERY_NUMBER_MAX);
        expect_true(subscription_return(s, 0, taking.number));
    }
    subscription_take(s, 0);
    expect_true(subscription_settle(s, 0, DELIVERY_NUMBER_MAX));
    subscription_free(s);
}

TEST(any_bytes_in_a_control_record_are_read_or_refused)
{
    struct random random;
    random_init(&random, test_seed());
    for (int i = 0; i < 50000; i++) {
        uint8_t value[24];
        size_t size = random_below(&random, sizeof value);
        random_fill(&random, value, size);
        for (size_t j = 0; j < size; j++)
            if (random_below(&random, 4) > 0)
                value[j] &= 0x07; /* small numbers get further */
        enum err err = replay_record(BYTES_LITERAL("\0\0\x50\0"), bytes_of(value, size), 100000);
        expect_true(err == OK || err == E_MALFORMED);
    }
}

TEST(a_checkpoint_cut_at_any_byte_is_refused)
{
    struct subscription *s = started(100);
    struct text text = {0};
    for (int i = 0; i < 50; i++)
        take(s);
    for (int64_t i = 0; i < 40; i += 3)
        subscription_settle(s, i, 1);
    for (int64_t i = 1; i < 40; i += 3)
        subscription_return(s, i, 1);
    subscription_put_checkpoint(s, &text);
    for (size_t size = 0; size < text.size; size++) {
        struct subscription *r = subscription_new();
        expect_err(subscription_restore(r, bytes_of(text.data, size)), E_MALFORMED);
        subscription_free(r);
    }
    struct subscription *r = subscription_new();
    text.data[0] = 9;
    expect_err(subscription_restore(r, text_bytes(&text)), E_UNSUPPORTED);
    subscription_free(r);
    text_reset(&text);
    subscription_free(s);
}

/* ---- against a naive list ---- */

enum { LOG_MAX = 600 };

static int many_count, returned_many_count; /* of settles and returns of many at once */
enum state { ABSENT, HOLE, WAITING, READY, TAKEN, DONE };

/* What a control batch or a checkpoint tells. */
struct told {
    bool done[LOG_MAX];
    uint32_t returns[LOG_MAX];
    int64_t mark;
};

struct model {
    struct subscription *s;
    struct random random;
    bool never_returns;
    int64_t hw, end;
    enum state state[LOG_MAX];
    uint32_t returns[LOG_MAX];
    bool redelivered[LOG_MAX]; /* from before the last start */
    int64_t mark;
    struct text control[LOG_MAX]; /* the batch at this offset */
    struct told *control_told[LOG_MAX];
    struct text checkpoint;
    struct told *checkpoint_told;
};

static struct told *tell(const struct model *m)
{
    struct told *t = xzalloc(sizeof *t);
    for (int i = 0; i < LOG_MAX; i++) {
        t->done[i] = m->state[i] == DONE;
        t->returns[i] = m->returns[i];
    }
    t->mark = m->mark;
    return t;
}

static void model_append(struct model *m)
{
    uint64_t many = random_below(&m->random, 8) ? 20 : 100;
    for (uint64_t n = random_below(&m->random, many); n > 0 && m->end < LOG_MAX; n--)
        m->state[m->end++] = WAITING;
}

static void model_commit(struct model *m)
{
    m->hw += (int64_t)random_below(&m->random, (uint64_t)(m->end - m->hw) + 1);
    for (int64_t i = 0; i < m->hw; i++)
        if (m->state[i] == WAITING)
            m->state[i] = READY;
    subscription_extend(m->s, m->hw);
}

static void model_take(struct model *m)
{
    int64_t head = 0;
    while (head < LOG_MAX && m->state[head] != READY)
        head++;
    if (head == LOG_MAX) {
        expect_int(subscription_head(m->s), -1);
        return;
    }
    expect_int(subscription_head(m->s), head);
    struct taking t = subscription_take(m->s, head);
    expect_int(t.number, m->returns[head] + 1);
    expect_int(t.redelivered, m->returns[head] > 0 || m->redelivered[head]);
    m->state[head] = TAKEN;
    if (head >= m->mark)
        m->mark = head + 1;
}

static void model_end_delivery(struct model *m)
{
    if (m->end == 0)
        return;
    int64_t i = (int64_t)random_below(&m->random, (uint64_t)m->end);
    uint32_t number = m->returns[i] + 1;
    if (random_below(&m->random, 10) == 0)
        number += (uint32_t)random_below(&m->random, 3) - 1;
    bool is_out = m->state[i] == TAKEN && number == m->returns[i] + 1;
    if (m->never_returns || random_below(&m->random, 3) > 0) {
        expect_int(subscription_settle(m->s, i, number), is_out);
        if (is_out)
            m->state[i] = DONE, m->returns[i] = 0;
    } else {
        expect_int(subscription_return(m->s, i, number), is_out);
        if (is_out)
            m->state[i] = READY, m->returns[i]++;
    }
}

/* As many at even steps as are out for the first time, from the lowest one on or from anywhere. */
static void model_end_many(struct model *m)
{
    int64_t stride = 1 + (int64_t)random_below(&m->random, 3), first = 0;
    uint32_t count = 0;
    if (m->end == 0)
        return;
    if (random_below(&m->random, 2))
        first = (int64_t)random_below(&m->random, (uint64_t)m->end);
    while (first < m->end && (m->state[first] != TAKEN || m->returns[first] > 0))
        first++;
    for (int64_t i = first; i < m->end && m->state[i] == TAKEN && !m->returns[i]; i += stride)
        count++;
    if (count == 0 || !subscription_settle_all(m->s, first, stride, count, 1))
        return;
    for (uint32_t i = 0; i < count; i++)
        m->state[first + stride * i] = DONE;
    many_count++;
}

/* Neighbours that are out as the delivery of the same number; sometimes one more, or another number. */
static void model_return_many(struct model *m)
{
    if (m->end == 0 || m->never_returns)
        return;
    int64_t from = (int64_t)random_below(&m->random, (uint64_t)m->end), to = from;
    while (to < m->end && m->state[to] == TAKEN && m->returns[to] == m->returns[from])
        to++;
    int64_t end = to + (random_below(&m->random, 4) == 0);
    uint32_t number = m->returns[from] + 1 + (random_below(&m->random, 4) == 0);
    bool are_out = end == to && number == m->returns[from] + 1;
    if (end == from)
        return;
    expect_int(subscription_return_all(m->s, from, end, number), are_out);
    for (int64_t i = from; i < to && are_out; i++)
        m->state[i] = READY, m->returns[i]++;
    returned_many_count += are_out && to - from > 1;
}

static void model_purge(struct model *m)
{
    int64_t from = (int64_t)random_below(&m->random, LOG_MAX);
    int64_t to = from + (int64_t)random_below(&m->random, 30);
    uint64_t count = 0;
    for (int64_t i = from; i < to && i < LOG_MAX; i++)
        if (m->state[i] == READY)
            m->state[i] = DONE, m->returns[i] = 0, count++;
    expect_int(subscription_settle_ready(m->s, from, to), count);
}

static void model_log(struct model *m)
{
    bool wanted = subscription_has_changes(m->s) || subscription_mark_is_behind(m->s);
    if (m->end == LOG_MAX || !wanted)
        return;
    struct batch_builder b = {0};
    struct batch batch = log_changes(m->s, &b, m->end);
    m->control[m->end].size = 0;
    text_append(&m->control[m->end], batch.raw);
    free(m->control_told[m->end]);
    m->control_told[m->end] = tell(m);
    m->state[m->end] = HOLE;
    subscription_hole(m->s, m->end, m->end + 1);
    m->end++;
    batch_builder_reset(&b);
}

static void model_checkpoint(struct model *m)
{
    free(m->checkpoint_told);
    m->checkpoint_told = tell(m);
    m->checkpoint.size = 0;
    subscription_put_checkpoint(m->s, &m->checkpoint);
}

static void apply_told(struct model *m, const struct told *t)
{
    for (int i = 0; t && i < LOG_MAX; i++) {
        if (t->done[i])
            m->state[i] = DONE, m->returns[i] = 0;
        else if (t->returns[i] > m->returns[i] && m->state[i] != DONE)
            m->returns[i] = t->returns[i];
    }
    if (t && t->mark > m->mark)
        m->mark = t->mark;
}

/* Everything above a random point that was not committed is lost. Some control batches that the
 * checkpoint knows are replayed again, some are not; some are replayed twice. */
static void model_crash(struct model *m)
{
    int64_t end = m->hw + (int64_t)random_below(&m->random, (uint64_t)(m->end - m->hw) + 1);
    subscription_free(m->s);
    m->s = subscription_new();
    m->mark = 0;
    for (int i = 0; i < LOG_MAX; i++) {
        m->returns[i] = 0;
        m->state[i] = i >= end ? ABSENT : m->state[i] == HOLE ? HOLE : READY;
    }
    if (m->checkpoint_told)
        expect_ok(subscription_restore(m->s, text_bytes(&m->checkpoint)));
    apply_told(m, m->checkpoint_told);
    for (int64_t i = 0; i < end; i++) {
        if (m->state[i] != HOLE)
            continue;
        struct batch batch;
        expect_ok(batch_parse(text_bytes(&m->control[i]), &batch));
        batch.base_offset = i;
        for (uint64_t n = 1 + random_below(&m->random, 2); n > 0; n--)
            expect_ok(subscription_replay(m->s, &batch));
        apply_told(m, m->control_told[i]);
    }
    for (int64_t i = 0; i < LOG_MAX; i++) {
        if (i >= end)
            m->state[i] = ABSENT, m->returns[i] = 0;
        m->redelivered[i] = i < m->mark && i < end;
    }
    m->mark = m->mark < end ? m->mark : end;
    m->hw = m->end = end;
    subscription_start(m->s, 0, end, true);
    free(m->checkpoint_told); /* a start writes new rows; the old one said what is gone */
    m->checkpoint_told = NULL;
    model_checkpoint(m);
}

static void model_compare(struct model *m)
{
    uint64_t ready = 0, taken = 0;
    offset_ranges live = {0};
    for (int i = 0; i < LOG_MAX; i++) {
        ready += m->state[i] == READY;
        taken += m->state[i] == TAKEN;
    }
    expect_int(subscription_ready_count(m->s), ready);
    expect_int(m->s->taken, taken);

    subscription_live(m->s, 0, m->end, &live);
    size_t at = 0;
    for (int64_t i = 0; i < m->end; i++) {
        while (at < live.count && live.items[at].to <= i)
            at++;
        bool is_live = at < live.count && live.items[at].from <= i;
        expect_int(is_live, m->state[i] != DONE && m->state[i] != HOLE);
    }
    vec_reset(&live);
}

static void model_step(struct model *m)
{
    switch (random_below(&m->random, 40)) {
    case 0: model_append(m); break;
    case 1:
    case 2: model_commit(m); break;
    case 3: model_purge(m); break;
    case 4:
    case 5: model_log(m); break;
    case 6: model_checkpoint(m); break;
    case 8:
        for (int n = 0; n < 100; n++)
            model_take(m);
        model_end_many(m);
        model_return_many(m);
        break;
    case 7:
        if (random_below(&m->random, 5) == 0)
            model_crash(m);
        break;
    default:
        if (random_below(&m->random, 2))
            model_take(m);
        else
            model_end_delivery(m);
    }
}

static void run_model(uint64_t seed)
{
    struct model *m = xzalloc(sizeof *m);
    random_init(&m->random, seed);
    m->never_returns = random_below(&m->random, 2);
    m->s = started(0);
    for (int i = 0; i < 2500; i++) {
        model_step(m);
        if (i % 10 == 0)
            model_compare(m);
    }
    for (int i = 0; i < LOG_MAX; i++) {
        free(m->control_told[i]);
        text_reset(&m->control[i]);
    }
    free(m->checkpoint_told);
    text_reset(&m->checkpoint);
    subscription_free(m->s);
    free(m);
}

TEST(a_subscription_equals_a_naive_list_through_crashes)
{
    for (uint64_t i = 0; i < 150; i++)
        run_model(test_seed() + i);
    expect_true(many_count > 20 && returned_many_count > 20);
}
