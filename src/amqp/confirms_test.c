#include "amqp/confirms.h"

#include "amqp/test_peer.h"

static const struct ticket done;

/* A ticket that is not done before commit(). */
static struct ticket pending(struct test_broker *b)
{
    struct log *log = store_log(b->core->store, 900, LEVEL_FSYNC);
    return log_next_ticket(log);
}

static void expect_next(struct confirms *c, struct test_broker *b, uint64_t first, uint64_t last,
                        bool refused)
{
    uint64_t out_first, out_last;
    bool out_refused;

    expect_true(confirms_next(c, b->core->store, &out_first, &out_last, &out_refused));
    expect_int(out_first, first);
    expect_int(out_last, last);
    expect_int(out_refused, refused);
}

static void expect_none(struct confirms *c, struct test_broker *b)
{
    uint64_t first, last;
    bool refused;

    expect_false(confirms_next(c, b->core->store, &first, &last, &refused));
}

TEST(confirms_of_one_ticket_are_one_group)
{
    struct test_broker b;
    struct confirms c = {0};

    broker_open(&b);
    struct ticket t = pending(&b);
    for (int i = 0; i < 1000; i++)
        confirms_add(&c, t, STAGE_COMMITTED);
    expect_int(c.count, 1);
    expect_none(&c, &b);
    commit(&b);
    expect_next(&c, &b, 1, 1000, false);
    expect_none(&c, &b);
    confirms_reset(&c);
    broker_close(&b);
}

TEST(confirms_wait_for_the_ones_in_front)
{
    struct test_broker b;
    struct confirms c = {0};

    broker_open(&b);
    confirms_add(&c, done, STAGE_WRITTEN);
    confirms_add(&c, pending(&b), STAGE_COMMITTED);
    confirms_add(&c, done, STAGE_WRITTEN);
    expect_next(&c, &b, 1, 1, false);
    expect_none(&c, &b);
    commit(&b);
    expect_next(&c, &b, 2, 3, false);
    confirms_reset(&c);
    broker_close(&b);
}

TEST(confirms_nack_what_was_refused_in_its_place)
{
    struct test_broker b;
    struct confirms c = {0};

    broker_open(&b);
    for (int round = 0; round < 20; round++) { /* over the ring's end */
        uint64_t base = (uint64_t)round * 5;
        confirms_add(&c, done, STAGE_WRITTEN);
        confirms_refuse(&c);
        confirms_refuse(&c);
        confirms_add(&c, done, STAGE_WRITTEN);
        confirms_add(&c, done, STAGE_COMMITTED);
        expect_next(&c, &b, base + 1, base + 1, false);
        expect_next(&c, &b, base + 2, base + 3, true);
        expect_next(&c, &b, base + 4, base + 5, false);
        expect_none(&c, &b);
    }
    confirms_reset(&c);
    broker_close(&b);
}

TEST(confirms_of_many_tickets_keep_their_order)
{
    struct test_broker b;
    struct confirms c = {0};

    broker_open(&b);
    for (int i = 0; i < 40; i++) {
        confirms_add(&c, pending(&b), i % 2 ? STAGE_COMMITTED : STAGE_WRITTEN);
        confirms_refuse(&c);
    }
    expect_int(c.count, 80);
    commit(&b);
    for (uint64_t i = 0; i < 40; i++) {
        expect_next(&c, &b, 2 * i + 1, 2 * i + 1, false);
        expect_next(&c, &b, 2 * i + 2, 2 * i + 2, true);
    }
    expect_true(confirms_is_empty(&c));
    confirms_reset(&c);
    broker_close(&b);
}
