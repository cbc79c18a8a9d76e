#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/packer.h"
#include "broker/queue_internal.h"
#include "broker/test_core.h"

static enum err publish_to(struct test_core *t, struct queue *const *queues, size_t count,
                           struct bytes body, struct ticket *out)
{
    struct ticket ignored;
    struct message m = {
        .routing_key = BYTES_LITERAL("k"), .properties = BYTES_LITERAL("\0\0"), .body = body};
    return queue_publish(t->core, (struct route){queues, count}, &m, out ? out : &ignored);
}

static size_t batch_count(struct queue *q)
{
    struct log_batch batches[64];
    size_t count;
    expect_ok(log_peek(q->log, q->log->start, q->log->end, SIZE_MAX / 2, batches, 64, &count));
    return count;
}

TEST(publishes_of_a_turn_for_the_same_queues_are_one_batch_stored_once)
{
    struct test_core t;
    struct ticket first, second;
    test_core_init(&t);
    struct queue *set[] = {test_durable_queue(&t, "a"), test_durable_queue(&t, "b")};
    test_core_settle(&t);
    for (int i = 0; i < 100; i++)
        expect_ok(publish_to(&t, set, 2, BYTES_LITERAL("x"), i == 0 ? &first : &second));
    test_core_turn(&t);
    expect_int(batch_count(set[0]), 1);
    expect_int(batch_count(set[1]), 1);
    expect_int(first.journal, second.journal);
    struct log_batch a, b;
    size_t count;
    expect_ok(log_peek(set[0]->log, 0, 100, 1, &a, 1, &count));
    expect_ok(log_peek(set[1]->log, 0, 100, 1, &b, 1, &count));
    expect_true(a.raw.data == b.raw.data);
    test_core_end(&t);
}

TEST(a_full_pack_is_appended_and_a_large_body_is_alone)
{
    struct test_core t;
    uint8_t *body = xzalloc(100 << 10);
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    for (int i = 0; i < 9; i++)
        expect_ok(publish_to(&t, &q, 1, bytes_of(body, 50 << 10), NULL)); /* five in 256 KiB */
    expect_ok(publish_to(&t, &q, 1, bytes_of(body, 100 << 10), NULL));
    expect_ok(publish_to(&t, &q, 1, bytes_of(body, 100 << 10), NULL));
    test_core_turn(&t);
    expect_int(batch_count(q), 4);
    free(body);
    test_core_end(&t);
}

TEST(a_large_body_is_stored_before_its_owner_may_free_it)
{
    enum { SMALL = 100, LARGE = 70 << 10 };
    struct test_core t;
    struct test_wait again;
    struct delivery d;
    test_core_init(&t);
    struct queue *set[] = {test_durable_queue(&t, "a"), test_transient_queue(&t, "b")};
    for (int i = 0; i < 4; i++) {
        size_t size = i % 2 ? LARGE : SMALL;
        uint8_t *body = xmalloc(size);
        memset(body, 'a' + i, size);
        expect_ok(publish_to(&t, set, 2, bytes_of(body, size), NULL));
        memset(body, 'x', size);
        free(body);
    }
    test_core_settle(&t);
    for (int i = 0; i < 8; i++) {
        struct queue *q = set[i / 4];
        expect_ok(queue_get(q, true, &again.wait, &d));
        size_t size = i % 2 ? LARGE : SMALL;
        expect_int(d.message.body.size, size);
        expect_int(d.message.body.data[0], 'a' + i % 4);
        expect_int(d.message.body.data[size - 1], 'a' + i % 4);
        queue_finish(q, d.offset, d.number);
    }
    test_core_end(&t);
}

TEST(an_empty_body_is_not_null)
{
    struct test_core t;
    struct test_wait again;
    struct delivery d;
    test_core_init(&t);
    struct queue *q = test_durable_queue(&t, "q");
    expect_ok(publish_to(&t, &q, 1, BYTES_NULL, NULL));
    test_core_settle(&t);
    expect_ok(queue_get(q, true, &again.wait, &d));
    queue_finish(q, d.offset, d.number);
    expect_int(d.message.body.size, 0);
    expect_not_null(d.message.body.data);
    test_core_end(&t);
}

TEST(each_queue_keeps_the_order_of_publishing_whatever_the_sets)
{
    enum { QUEUES = 5, MESSAGES = 2000 };
    struct test_core t;
    struct queue *queues[QUEUES];
    struct test_consumer consumers[QUEUES] = {0};
    struct text wanted[QUEUES] = {0};
    char name[32];
    test_core_init(&t);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "q%d", i);
        queues[i] = i % 2 ? test_transient_queue(&t, name) : test_durable_queue(&t, name);
        test_consume(queues[i], &consumers[i], UINT32_MAX, true);
    }
    for (int i = 0; i < MESSAGES; i++) {
        struct queue *set[QUEUES];
        size_t count = 0;
        uint64_t mask = 1 + random_below(&t.random, (1 << QUEUES) - 1);
        snprintf(name, sizeof name, "%d", i);
        for (int q = 0; q < QUEUES; q++) {
            if (!(mask >> q & 1))
                continue;
            set[count++] = queues[q];
            if (wanted[q].size)
                text_append_string(&wanted[q], " ");
            text_append_string(&wanted[q], name);
        }
        expect_ok(publish_to(&t, set, count, bytes_from_string(name), NULL));
        if (random_below(&t.random, 50) == 0)
            test_core_turn(&t);
    }
    test_core_settle(&t);
    for (int i = 0; i < QUEUES; i++) {
        expect_string(text_string(&consumers[i].got), text_string(&wanted[i]));
        text_reset(&wanted[i]);
        test_consumer_reset(&consumers[i]);
    }
    test_core_end(&t);
}

TEST(transient_messages_beyond_their_budget_are_refused_and_none_of_the_accepted_is_lost)
{
    struct test_core t;
    uint8_t body[1000] = {0};
    int accepted = 0, alone = 0;
    test_core_init(&t);
    test_core_close(&t);
    t.config.store.memory_level_bytes = 1 << 20;
    expect_ok(test_core_open(&t));
    struct queue *set[] = {test_transient_queue(&t, "a"), test_durable_queue(&t, "b")};
    while (publish_to(&t, set, 2, bytes_of(body, sizeof body), NULL) == OK)
        accepted++;
    /* another set: what was packed is appended first, and takes less than it was reckoned for */
    while (publish_to(&t, set, 1, bytes_of(body, sizeof body), NULL) == OK)
        alone++;
    expect_ok(publish_to(&t, set + 1, 1, bytes_of(body, sizeof body), NULL));
    test_core_settle(&t);
    expect_true(accepted > 500 && accepted + alone < 1049);
    expect_int(queue_ready_count(set[0]), accepted + alone);
    expect_int(queue_ready_count(set[1]), accepted + 1);
    test_core_end(&t);
}

TEST(publishing_allocates_nothing_for_each_message_once_it_is_warm)
{
    struct test_core t;
    test_core_init(&t);
    struct queue *q = test_transient_queue(&t, "q");
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 100; i++)
            expect_ok(publish_to(&t, &q, 1, BYTES_LITERAL("hello"), NULL));
        expect_not_null(q->internal->pack);
        test_core_turn(&t);
        expect_null(q->internal->pack);
    }
    test_core_end(&t);
}
