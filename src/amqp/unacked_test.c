#include "amqp/unacked.h"

#include <stdlib.h>

#include "amqp/test_peer.h"
#include "base/random.h"
#include "base/vec.h"
#include "broker/queue.h"

/* The naive model: one entry for each delivery. */
struct entry {
    uint64_t tag;
    int64_t offset;
    size_t queue;
    bool open;
};

struct model {
    VEC(struct entry) entries;
    struct queue *queues[3];
    VEC(struct entry) taken;
};

static void take_one(void *ctx, const struct unacked_delivery *d)
{
    struct model *m = ctx;
    struct entry e = {.offset = d->offset};

    while (m->queues[e.queue] != d->queue)
        e.queue++;
    vec_push(&m->taken, e);
}

static void make_queues(struct test_broker *b, struct model *m)
{
    for (size_t i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), 0};
        m->queues[i] = queue_create(vhost_find(b->core, BYTES_LITERAL("/")),
                                    &(struct queue_spec){.name = bytes_of(name, 1)});
    }
}

/* Taking [first, last] from the model must give what was handed out, in order. */
static void expect_taken(struct model *m, size_t first, size_t last)
{
    size_t at = 0;

    for (size_t i = first; i <= last && i < m->entries.count; i++) {
        struct entry *e = &m->entries.items[i];
        if (!e->open)
            continue;
        expect_true(at < m->taken.count);
        expect_int(m->taken.items[at].offset, e->offset);
        expect_int(m->taken.items[at].queue, e->queue);
        at++;
        e->open = false;
    }
    expect_int(at, m->taken.count);
    vec_clear(&m->taken);
}

static uint64_t open_count(const struct model *m)
{
    uint64_t count = 0;

    for (size_t i = 0; i < m->entries.count; i++)
        count += m->entries.items[i].open;
    return count;
}

static void add(struct unacked *u, struct model *m, struct random *random)
{
    uint64_t last = m->entries.count ? m->entries.items[m->entries.count - 1].tag : 0;
    struct entry e = {.tag = last + 1 + (random_below(random, 20) == 0),
                      .offset = (int64_t)m->entries.count * 2,
                      .queue = random_below(random, 12) == 0 ? random_below(random, 3) : 0,
                      .open = true};

    if (random_below(random, 10) == 0)
        e.offset += 1;
    vec_push(&m->entries, e);
    unacked_add(
        u, e.tag,
        &(struct unacked_delivery){.queue = m->queues[e.queue], .offset = e.offset, .number = 1});
}

static void settle(struct unacked *u, struct model *m, struct random *random)
{
    size_t i = random_below(random, m->entries.count);
    struct entry e = m->entries.items[i];

    if (random_below(random, 8) == 0) {
        expect_int(unacked_take_through(u, e.tag, take_one, m), e.open);
        if (e.open)
            expect_taken(m, 0, i);
    } else {
        expect_int(unacked_take(u, e.tag, take_one, m), e.open);
        if (e.open)
            expect_taken(m, i, i);
    }
    expect_int(m->taken.count, 0);
}

TEST(unacked_deliveries_are_what_a_list_of_them_says)
{
    struct test_broker b;
    struct model m = {0};
    struct unacked u = {0};
    struct random random;

    broker_open(&b);
    make_queues(&b, &m);
    random_init(&random, test_seed());
    for (int i = 0; i < 20000; i++) {
        if (m.entries.count == 0 || random_below(&random, 100) < 60)
            add(&u, &m, &random);
        else
            settle(&u, &m, &random);
        expect_int(u.open_count, open_count(&m));
        if (m.entries.count == 400) { /* begin again, so that the model stays small */
            unacked_take_all(&u, take_one, &m);
            expect_taken(&m, 0, m.entries.count);
            struct entry last = vec_last(&m.entries);
            vec_clear(&m.entries);
            vec_push(&m.entries, last);
        }
    }
    unacked_reset(&u);
    vec_reset(&m.entries);
    vec_reset(&m.taken);
    broker_close(&b);
}

TEST(unacked_neighbours_share_a_run)
{
    struct test_broker b;
    struct model m = {0};
    struct unacked u = {0};

    broker_open(&b);
    make_queues(&b, &m);
    for (uint64_t tag = 1; tag <= 128; tag++)
        unacked_add(&u, tag,
                    &(struct unacked_delivery){
                        .queue = m.queues[0], .offset = (int64_t)tag * 3, .number = 1});
    expect_int(u.count, 2);
    expect_true(unacked_take_through(&u, 64, take_one, &m));
    expect_int(u.count, 1);
    expect_int(m.taken.count, 64);
    expect_int(m.taken.items[63].offset, 192);
    unacked_reset(&u);
    vec_reset(&m.taken);
    broker_close(&b);
}

TEST(unacked_tags_that_are_not_there_change_nothing)
{
    struct test_broker b;
    struct model m = {0};
    struct unacked u = {0};

    broker_open(&b);
    make_queues(&b, &m);
    expect_false(unacked_take(&u, 1, take_one, &m));
    unacked_add(&u, 5, &(struct unacked_delivery){.queue = m.queues[0], .number = 1});
    expect_false(unacked_take(&u, 4, take_one, &m));
    expect_false(unacked_take_through(&u, 6, take_one, &m));
    expect_false(unacked_take(&u, 0, take_one, &m));
    expect_int(u.open_count, 1);
    unacked_reset(&u);
    broker_close(&b);
}
