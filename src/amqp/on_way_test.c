#include "amqp/on_way.h"

#include "amqp/test_peer.h"
#include "base/random.h"
#include "base/vec.h"

enum { QUEUES = 3, MESSAGES = 300 };

/* The naive model: one entry for each delivery. */
struct entry {
    size_t queue;
    uint64_t end;
};

struct model {
    struct test_broker b;
    struct queue *queues[QUEUES];
    struct on_way on_way;
    VEC(struct entry) entries;
    uint64_t position; /* what was written */
    struct random random;
};

static void begin(struct model *m, uint64_t seed)
{
    *m = (struct model){0};
    broker_open(&m->b);
    random_init(&m->random, seed);
    for (size_t i = 0; i < QUEUES; i++) {
        char name[2] = {(char)('a' + i), 0};
        m->queues[i] = queue_create(vhost_find(m->b.core, BYTES_LITERAL("/")),
                                    &(struct queue_spec){.name = bytes_of(name, 1)});
    }
    for (int i = 0; i < MESSAGES * QUEUES; i++) {
        struct message message = {.body = bytes_of("m", 1), .routing_key = bytes_of("k", 1)};
        struct ticket ignored;
        expect_ok(queue_publish(m->b.core, (struct route){&m->queues[i % QUEUES], 1}, &message,
                                &ignored));
    }
    commit(&m->b);
}

static void end(struct model *m)
{
    vec_reset(&m->entries);
    broker_close(&m->b);
}

static void nothing_more(struct wait *wait)
{
    (void)wait;
}

/* Some of one queue, mostly of one size and nothing between them. */
static void write_some(struct model *m)
{
    struct wait again = {.ready = nothing_more};
    size_t queue = random_below(&m->random, QUEUES), size = 1 + random_below(&m->random, 100);
    struct delivery d;

    for (uint64_t n = random_below(&m->random, 8); n > 0; n--) {
        if (queue_get(m->queues[queue], true, &again, &d) != OK)
            return;
        if (random_below(&m->random, 10) == 0)
            size = 1 + random_below(&m->random, 100);
        if (random_below(&m->random, 10) == 0)
            m->position += 7; /* something else */
        m->position += size;
        on_way_add(&m->on_way, &d, m->position);
        vec_push(&m->entries, ((struct entry){queue, m->position}));
        if (random_below(&m->random, 8) == 0) { /* somebody else takes one between */
            struct delivery other;
            if (queue_get(m->queues[queue], true, &again, &other) == OK)
                queue_finish(m->queues[queue], other.offset, other.number);
        }
    }
}

static void compare(struct model *m, uint64_t taken)
{
    uint64_t out[QUEUES] = {0};

    for (size_t i = 0; i < m->entries.count; i++)
        out[m->entries.items[i].queue] += m->entries.items[i].end > taken;
    for (size_t i = 0; i < QUEUES; i++)
        expect_int(queue_unacked_count(m->queues[i]), out[i]);
}

TEST(deliveries_on_their_way_equal_a_naive_list)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct model m;
        uint64_t taken = 0, ready = 0, left = 0;

        begin(&m, test_seed() + seed);
        for (int i = 0; i < 300; i++) {
            write_some(&m);
            taken += random_below(&m.random, m.position - taken + 1);
            on_way_settle(&m.on_way, taken);
            compare(&m, taken);
        }
        for (size_t i = 0; i < QUEUES; i++) {
            ready += queue_ready_count(m.queues[i]);
            left += queue_unacked_count(m.queues[i]);
        }
        on_way_return(&m.on_way);
        for (size_t i = 0; i < QUEUES; i++) {
            expect_int(queue_unacked_count(m.queues[i]), 0);
            ready -= queue_ready_count(m.queues[i]);
        }
        expect_int(ready + left, 0);
        end(&m);
    }
}

TEST(what_follows_one_another_in_even_steps_is_one_run)
{
    struct model m;
    struct wait again = {.ready = nothing_more};
    struct delivery d;

    begin(&m, 1);
    for (uint64_t i = 1; i <= 200; i++) {
        expect_ok(queue_get(m.queues[0], true, &again, &d));
        on_way_add(&m.on_way, &d, i * 50);
    }
    expect_int(m.on_way.count, 1);
    on_way_settle(&m.on_way, 49);
    expect_int(queue_unacked_count(m.queues[0]), 200);
    on_way_settle(&m.on_way, 150 * 50 + 49);
    expect_int(queue_unacked_count(m.queues[0]), 50);
    on_way_settle(&m.on_way, 200 * 50);
    expect_int(queue_unacked_count(m.queues[0]), 0);
    expect_true(on_way_is_empty(&m.on_way));
    on_way_return(&m.on_way);
    end(&m);
}
