/* Retention by time and by size, wherever the batches lie; and that an idle store has nothing to do. */
#include "tests/test.h"

#include "log/store_internal.h"
#include "log/test_store.h"

enum { HOUR_MS = 3600 * 1000 };
static struct log_policy policy;

static void open_small(struct test_store *t)
{
    test_store_init_small(t, 256 * KIB, 64 * KIB);
    t->wall_base_ms = 1700000000000;
    expect_ok(test_store_open(t));
    test_store_settle(t);
    policy = test_policy();
    policy.drop = true;
}

static void append_at(struct test_store *t, struct log *log, size_t size, int64_t timestamp_ms)
{
    struct ticket ticket;
    struct batch_builder builder = {0};
    uint8_t *value = xzalloc(size);
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, timestamp_ms, BYTES_NULL, bytes_of(value, size), BYTES_NULL, 0);
    expect_ok(log_append(log, batch_builder_end(&builder), &ticket));
    batch_builder_reset(&builder);
    free(value);
    test_store_settle(t);
}

static void append_now(struct test_store *t, struct log *log, size_t size)
{
    append_at(t, log, size, test_store_wall_ms(t));
}

/* The clock jumps. */
static void pass(struct test_store *t, int64_t ms)
{
    t->wall_base_ms += ms;
    test_store_wait(t, 1000);
}

TEST(batches_in_the_journal_go_when_they_are_old_and_stay_gone)
{
    struct test_store t;
    open_small(&t);
    policy.retention_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    append_now(&t, log, 100);
    pass(&t, HOUR_MS / 2);
    append_now(&t, log, 100);
    pass(&t, HOUR_MS / 2 - 5000);
    expect_int(log->start, 0);
    pass(&t, 60000);
    expect_int(log->start, 1);
    expect_int(t.trimmed, 1);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    expect_int(log->start, 1);
    log_set_policy(log, &policy);
    pass(&t, HOUR_MS);
    expect_int(log->start, 2);
    expect_int(log->end, 2);
    append_now(&t, log, 100); /* a log that was emptied goes on */
    pass(&t, HOUR_MS / 2);
    expect_int(log->start, 2);
    pass(&t, HOUR_MS);
    expect_int(log->start, 3);
    test_store_reset(&t);
}

TEST(whole_segments_go_by_age_and_so_does_the_one_that_still_grows)
{
    struct test_store t;
    open_small(&t);
    policy.retention_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    for (int i = 0; i < 100; i++)
        append_now(&t, log, 5000);
    int64_t half = log->end;
    size_t files = test_store_files(&t, "logs/7");
    expect_true(files > 6);
    expect_true(log_state(log)->parts->segment > 0);
    pass(&t, HOUR_MS / 2);
    for (int i = 0; i < 100; i++)
        append_now(&t, log, 5000);
    expect_int(log->start, 0);
    pass(&t, HOUR_MS / 2);
    expect_true(log->start > half - 30 && log->start <= half);
    test_store_wait(&t, 2000);
    expect_true(test_store_files(&t, "logs/7") <= files + 4);
    pass(&t, HOUR_MS);
    expect_int(log->start, log->end);
    test_store_wait(&t, 2000);
    expect_int(test_store_files(&t, "logs/7"), 0);
    expect_true(log_size_bytes(log) < 10000);
    append_now(&t, log, 100);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 7);
    expect_int(log->start, 200);
    expect_int(log->end, 201);
    test_store_reset(&t);
}

TEST(a_direct_log_loses_old_segments_and_all_of_them_when_it_is_quiet)
{
    struct test_store t;
    open_small(&t);
    policy.retention_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    for (int i = 0; i < 20; i++)
        append_now(&t, log, 25000);
    expect_true(log_state(log)->direct != NULL);
    t.wall_base_ms += HOUR_MS / 2;
    for (int i = 0; i < 20; i++)
        append_now(&t, log, 25000);
    expect_true(log_state(log)->direct != NULL);
    t.wall_base_ms += HOUR_MS / 2;
    for (int i = 0; i < 4; i++) {
        append_now(&t, log, 25000);
        t.wall_base_ms += 60000;
    }
    test_store_wait(&t, 500);
    expect_true(log_state(log)->direct != NULL);
    expect_true(log->start >= 17 && log->start <= 21);
    test_store_wait(&t, 4000);
    expect_true(log_state(log)->direct == NULL);
    pass(&t, 2 * HOUR_MS);
    test_store_wait(&t, 70000);
    expect_int(log->start, 44);
    expect_int(test_store_files(&t, "logs/7"), 0);
    test_store_reset(&t);
}

/* What is left is never less than retention_bytes, and not much more. */
TEST(the_oldest_go_when_there_are_more_bytes_than_wanted)
{
    for (size_t size = 100; size <= 12800; size *= 2) {
        struct test_store t;
        open_small(&t);
        policy.retention_bytes = 200 * KIB;
        struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
        log_set_policy(log, &policy);
        for (size_t appended = 0; appended < 800 * KIB; appended += size) {
            struct ticket ticket;
            expect_ok(log_append(log, test_batch_sized(1, size), &ticket));
            if (appended % (8 * KIB) < size)
                test_store_settle(&t);
        }
        test_store_wait(&t, 3000);
        expect_true(log->start > 0);
        expect_true(log_size_bytes(log) >= 200 * KIB);
        expect_true(log_size_bytes(log) < 200 * KIB + 2 * 64 * KIB + 2 * size);
        test_store_reset(&t);
    }
}

TEST(a_young_batch_in_front_keeps_older_ones_behind_it)
{
    struct test_store t;
    open_small(&t);
    policy.retention_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    log_set_policy(log, &policy);
    int64_t now = test_store_wall_ms(&t);
    append_at(&t, log, 100, now + 10 * HOUR_MS);
    append_at(&t, log, 100, now - 10 * HOUR_MS);
    pass(&t, 2 * HOUR_MS);
    expect_int(log->start, 0);
    pass(&t, 9 * HOUR_MS);
    expect_int(log->start, 2);
    append_at(&t, log, 100, -1); /* without a time: goes with what follows it */
    append_at(&t, log, 100, now + 11 * HOUR_MS);
    pass(&t, 2 * HOUR_MS);
    expect_int(log->start, 4);
    test_store_reset(&t);
}

TEST(a_memory_log_follows_its_policy_too)
{
    struct test_store t;
    open_small(&t);
    policy.retention_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_MEMORY);
    log_set_policy(log, &policy);
    append_now(&t, log, 100);
    pass(&t, HOUR_MS + 60000);
    expect_int(log->start, 1);
    append_now(&t, log, 100);
    log_delete(log, NULL);
    pass(&t, 2 * HOUR_MS);
    test_store_reset(&t);
}

TEST(without_delete_or_without_a_policy_nothing_goes)
{
    struct test_store t;
    open_small(&t);
    struct log_policy compact_only = policy;
    compact_only.drop = false;
    compact_only.retention_ms = 1;
    compact_only.retention_bytes = 1;
    struct log *a = store_log(t.store, 7, LEVEL_FSYNC), *b = store_log(t.store, 8, LEVEL_FSYNC);
    struct log *c = store_log(t.store, 9, LEVEL_FSYNC);
    policy.retention_ms = HOUR_MS;
    log_set_policy(a, &compact_only);
    log_set_policy(c, &policy);
    append_now(&t, a, 100);
    append_now(&t, b, 100);
    append_now(&t, c, 100);
    log_set_policy(c, NULL);
    pass(&t, 10 * HOUR_MS);
    expect_int(a->start + b->start + c->start, 0);
    log_set_policy(c, &policy); /* given again, it counts for what is there */
    pass(&t, 1000);
    expect_int(c->start, 1);
    test_store_reset(&t);
}

TEST(logs_of_which_nothing_is_due_cost_nothing)
{
    enum { LOGS = 2000 };
    struct test_store t;
    open_small(&t);
    t.store->config.carry_bytes = 64 * KIB;
    policy.retention_ms = 24 * HOUR_MS;
    policy.retention_bytes = 1 << 20;
    for (uint64_t i = 0; i < LOGS; i++) {
        struct ticket ticket;
        struct log *log = store_log(t.store, 100 + i, LEVEL_FSYNC);
        log_set_policy(log, &policy);
        if (i % 2) /* the others are empty */
            expect_ok(log_append(log, test_batch_at("a", test_store_wall_ms(&t)), &ticket));
    }
    test_store_wait(&t, 10000);
    expect_int(t.store->looks.count, LOGS / 2);
    t.wall_base_ms += 23 * HOUR_MS;
    test_store_turn(&t, 0);
    expect_true(store_next_due(t.store) > t.now_ns + 50000000);
    expect_true(upkeep_next_due(t.store) > t.now_ns + (int64_t)HOUR_MS / 2 * 1000000);
    pass(&t, 2 * HOUR_MS);
    for (uint64_t i = 0; i < LOGS; i++)
        expect_int(store_find(t.store, 100 + i)->start, i % 2);
    expect_int(t.store->looks.count, 0);
    test_store_reset(&t);
}

/* A survey that fails costs nothing but time. */
TEST(a_segment_that_cannot_be_looked_at_is_tried_again)
{
    struct test_store t;
    open_small(&t);
    policy.retention_ms = HOUR_MS;
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    for (int i = 0; i < 100; i++)
        append_now(&t, log, 5000);
    log_set_policy(log, &policy);
    t.wall_base_ms += 2 * HOUR_MS;
    sim_disk_fail(t.disk, SIM_OPEN, 1, E_IO);
    test_store_wait(&t, 1000);
    expect_int(log->start, 0);
    expect_false(t.was_frozen);
    test_store_wait(&t, 70000);
    expect_int(log->start, log->end);
    test_store_reset(&t);
}

TEST(what_is_too_old_when_it_comes_stays_for_some_minutes)
{
    struct test_store t;
    open_small(&t);
    policy.retention_ms = 24 * HOUR_MS;
    for (int altered = 0; altered < 2; altered++) {
        struct log *log = store_log(t.store, (uint64_t)altered + 7, LEVEL_FSYNC);
        log_set_policy(log, &policy);
        append_at(&t, log, 100, t.wall_base_ms - 48 * HOUR_MS);
        test_store_wait(&t, 60000);
        expect_int(log->start, 0);
        if (altered)
            log_set_policy(log, &policy); /* as an owner does that changes it */
        test_store_wait(&t, altered ? 1000 : 250000);
        expect_int(log->start, 1);
    }
    test_store_reset(&t);
}
