/* Making journal files free: carrying forward, materialising, rows; and many small logs. */
#include "tests/test.h"

#include "log/store_internal.h"
#include "log/test_store.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static void open_with_journal(struct test_store *t, uint64_t max_bytes)
{
    test_store_init_small(t, max_bytes, 96 * KIB);
    t->config.carry_bytes = 8 * KIB;
    t->config.direct_append_bytes = 1 * MIB;
    t->config.direct_commit_bytes = 1 * MIB;
    expect_ok(test_store_open(t));
    test_store_settle(t);
}

static void open_small(struct test_store *t)
{
    open_with_journal(t, 256 * KIB);
}

static struct journal_file *oldest_file(const struct test_store *t)
{
    return container_of(t->store->journal.files.next, struct journal_file, node);
}

/* Go once round the journal: every file that is there now is renewed. */
static void go_round(struct test_store *t, struct log *log)
{
    uint64_t wanted = t->store->journal.generation + t->store->journal.file_count;
    for (uint64_t i = 0; t->store->journal.generation < wanted; i++) {
        struct ticket ticket;
        expect_ok(log_append(log, test_batch_sized((uint64_t)log->end, 9000), &ticket));
        test_store_settle(t);
        log_trim(log, log->hw, NULL);
        expect_true(i < 10000);
    }
}

static void settle_records(struct test_store *t, uint64_t log_id, int64_t from, int64_t to)
{
    vec_push(&t->settled, ((struct test_settled){log_id, from, to}));
}

/* ---- carrying forward ---- */

TEST(small_tails_are_carried_forward_and_make_no_file)
{
    struct test_store t;
    open_small(&t);
    struct log *small = store_log(t.store, 1, LEVEL_FSYNC);
    expect_ok(test_append(small, "a"));
    expect_ok(test_append(small, "b"));
    for (int i = 0; i < 3; i++)
        go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    expect_int(test_store_files(&t, "logs/1"), 0);
    expect_int(small->start, 0);
    expect_string(test_store_values(&t, small, 0), "a b");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    small = store_find(t.store, 1);
    expect_string(test_store_values(&t, small, 0), "a b");
    expect_int(log_state(small)->tail.count, 2);
    test_store_reset(&t);
}

TEST(a_batch_that_the_start_lies_in_is_carried_byte_for_byte)
{
    struct test_store t;
    open_small(&t);
    struct log *topic = store_log(t.store, 1, LEVEL_FSYNC);
    struct ticket ticket;
    struct batch b;
    const char *values[] = {"a", "b", "c"};
    expect_ok(log_append(topic, test_batch_of_producer(test_batch(values, 3, 0), 77), &ticket));
    test_store_settle(&t);
    log_trim(topic, 1, &ticket);
    go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    topic = store_find(t.store, 1);
    expect_int(topic->start, 1);
    struct log_read read = {.from = 1, .limit = 3, .max_bytes = 1000};
    test_store_read(&t, topic, &read);
    expect_int(read.count, 1);
    expect_ok(batch_parse(read.batches[0].raw, &b));
    expect_int(b.producer_id, 77);
    expect_int(b.record_count, 3);
    log_read_end(&read);
    test_store_reset(&t);
}

TEST(settled_records_are_not_carried_and_leave_holes)
{
    struct test_store t;
    open_small(&t);
    struct log *queue = store_log(t.store, 1, LEVEL_FSYNC);
    struct ticket ticket;
    const char *first[] = {"a", "b", "c"}, *second[] = {"d"}, *third[] = {"e", "f"};
    expect_ok(log_append(queue, test_batch(first, 3, 0), &ticket));
    expect_ok(log_append(queue, test_batch(second, 1, 0), &ticket));
    expect_ok(log_append(queue, test_batch(third, 2, 0), &ticket));
    test_store_settle(&t);
    settle_records(&t, 1, 1, 2); /* b */
    settle_records(&t, 1, 3, 4); /* d, the whole batch */
    settle_records(&t, 1, 5, 6); /* f */
    go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    expect_string(test_store_values(&t, queue, 0), "a c e");
    expect_int(queue->end, 6);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    queue = store_find(t.store, 1);
    expect_int(queue->end, 6);
    expect_string(test_store_values(&t, queue, 0), "a c e");
    expect_string(test_store_values(&t, queue, 3), "e"); /* from inside a hole */
    expect_ok(test_append(queue, "g"));
    test_store_settle(&t);
    expect_string(test_store_values(&t, queue, 5), "g");
    test_store_reset(&t);
}

TEST(a_queue_of_which_everything_is_settled_needs_nothing_but_its_end)
{
    struct test_store t;
    open_small(&t);
    struct log *queue = store_log(t.store, 1, LEVEL_FSYNC);
    for (int i = 0; i < 5; i++)
        expect_ok(test_append(queue, "x"));
    test_store_settle(&t);
    settle_records(&t, 1, 0, 5);
    go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    expect_int(log_state(queue)->tail.bytes, 0);
    expect_string(test_store_values(&t, queue, 0), "");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    queue = store_find(t.store, 1);
    expect_int(queue->end, 5);
    expect_int(log_state(queue)->tail.count, 0);
    test_store_reset(&t);
}

TEST(control_batches_are_carried_whole_and_replayed_again)
{
    struct test_store t;
    open_small(&t);
    struct log *queue = store_log(t.store, 1, LEVEL_FSYNC);
    const char *values[] = {"1", "2"};
    struct ticket ticket;
    expect_ok(log_append(queue, test_batch(values, 2, BATCH_CONTROL), &ticket));
    test_store_settle(&t);
    settle_records(&t, 1, 0, 1);
    go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(t.replayed.count, 2);
    expect_int(t.replayed.items[0], '1');
    expect_int(t.replayed.items[1], '2');
    test_store_reset(&t);
}

TEST(batches_that_memory_has_no_more_are_loaded_to_be_carried)
{
    struct test_store t;
    open_small(&t);
    struct log *logs[40];
    for (uint64_t i = 0; i < 40; i++) {
        logs[i] = store_log(t.store, 100 + i, LEVEL_FSYNC);
        expect_ok(test_append(logs[i], "one"));
        expect_ok(test_append(logs[i], "two"));
    }
    test_store_settle(&t);
    struct log *busy = store_log(t.store, 2, LEVEL_FSYNC);
    uint64_t reads = sim_disk_stats(t.disk)->calls[SIM_READ];
    uint64_t wanted = t.store->journal.generation + t.store->journal.file_count;
    for (uint64_t i = 0; t.store->journal.generation < wanted; i++) {
        struct ticket ticket;
        expect_ok(log_append(busy, test_batch_sized(i, 9000), &ticket));
        test_store_settle(&t);
        window_clear(&t.store->journal_window);
        log_trim(busy, busy->hw, NULL);
        expect_true(i < 10000);
    }
    reads = sim_disk_stats(t.disk)->calls[SIM_READ] - reads;
    expect_true(reads > 0 && reads < 40); /* 80 batches that lie close together */
    for (uint64_t i = 0; i < 40; i++)
        expect_string(test_store_values(&t, logs[i], 0), "one two");
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    for (uint64_t i = 0; i < 40; i++)
        expect_string(test_store_values(&t, store_find(t.store, 100 + i), 0), "one two");
    test_store_reset(&t);
}

/* More lives in small logs than the journal is meant to hold: it grows, and then there is rest. */
TEST(an_idle_store_with_much_in_small_logs_does_not_carry_for_ever)
{
    struct test_store t;
    open_small(&t);
    char value[301];
    memset(value, 'v', 300);
    value[300] = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        expect_ok(test_append(store_log(t.store, 100 + i, LEVEL_FSYNC), value));
        if (i % 20 == 0)
            test_store_settle(&t);
    }
    test_store_wait(&t, 3000);
    uint64_t written = sim_disk_stats(t.disk)->write_bytes;
    test_store_wait(&t, 5000);
    expect_int(sim_disk_stats(t.disk)->write_bytes, written);
    expect_true(t.store->journal.total_bytes < 4 * MIB);
    expect_int(test_store_files(&t, "logs"), 0);
    for (uint64_t i = 0; i < 200; i++) {
        expect_ok(test_append(store_find(t.store, 100 + i), "y"));
        test_store_settle(&t);
    }
    written = sim_disk_stats(t.disk)->write_bytes - written;
    expect_true(written < 200 * 20 * KIB);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    struct store_stats s;
    store_stats(t.store, &s);
    expect_int(s.logs, 2000);
    test_store_reset(&t);
}

TEST(small_logs_that_hold_more_than_the_journal_may_go_to_segments)
{
    enum { LOGS = 600, ROUNDS = 24, VALUE = 300, MOVED_FILES = 3 };
    struct test_store t;
    open_small(&t);
    uint64_t file_bytes = 64 * KIB, moved = 0;
    char value[VALUE + 1];
    memset(value, 'v', VALUE);
    value[VALUE] = 0;
    uint64_t before = 0;
    for (int round = 0; round < ROUNDS; round++) {
        if (round == ROUNDS / 2)
            before = sim_disk_stats(t.disk)->write_bytes;
        for (uint64_t i = 0; i < LOGS; i++) {
            expect_ok(test_append(store_log(t.store, 1000 + i, LEVEL_FSYNC), value));
            if (i % 20 == 0)
                test_store_settle(&t);
            if (t.store->recycle.moved_bytes > moved)
                moved = t.store->recycle.moved_bytes;
        }
    }
    /* not all of them in the turn of one file: who writes would wait for that */
    expect_true(moved >= MOVED_FILES * file_bytes && moved < (MOVED_FILES + 1) * file_bytes);
    uint64_t written = sim_disk_stats(t.disk)->write_bytes - before;
    expect_true(written < 6 * (uint64_t)(LOGS * VALUE * ROUNDS / 2));
    expect_true(t.store->journal.total_bytes <= 9 * t.config.journal_max_bytes);
    expect_true(test_store_files(&t, "logs") > LOGS / 2);
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    for (uint64_t i = 0; i < LOGS; i += 50) {
        struct log *log = store_find(t.store, 1000 + i);
        expect_int(log->hw, ROUNDS);
        expect_int(strlen(test_store_values(&t, log, 0)), ROUNDS * (VALUE + 1) - 1);
    }
    test_store_reset(&t);
}

/* Each of `count` logs from id `first` on gets a batch of 300 bytes. */
static void append_to_each(struct test_store *t, uint64_t first, uint64_t count)
{
    char value[301];
    memset(value, 'v', 300);
    value[300] = 0;
    for (uint64_t i = 0; i < count; i++)
        expect_ok(test_append(store_log(t->store, first + i, LEVEL_FSYNC), value));
    test_store_settle(t);
}

static uint32_t in_journal(const struct test_store *t, uint64_t id)
{
    return ((struct log_state *)store_find(t->store, id))->tail.count;
}

TEST(a_large_tail_that_nothing_is_appended_to_leaves_the_journal_and_is_written_no_more)
{
    enum { REST = 100, SMALL = 200, QUEUE = 300, COUNT = 3, BATCHES = 40 };
    struct test_store t;
    open_small(&t);
    struct log *stream = store_log(t.store, 2, LEVEL_FSYNC);
    for (uint64_t i = 0; i < COUNT; i++)
        log_stay_in_journal(store_log(t.store, QUEUE + i, LEVEL_FSYNC));
    for (int i = 0; i < BATCHES; i++) { /* a small part in each file */
        append_to_each(&t, REST, COUNT);
        append_to_each(&t, QUEUE, COUNT);
        if (i < BATCHES / 4)
            append_to_each(&t, SMALL, COUNT);
    }
    for (int i = 0; i < 4; i++)
        go_round(&t, stream);
    for (uint64_t i = 0; i < COUNT; i++) {
        expect_int(in_journal(&t, REST + i), 0);
        expect_int(in_journal(&t, SMALL + i), BATCHES / 4); /* no file for so little */
        expect_int(in_journal(&t, QUEUE + i), BATCHES);     /* its owner has asked for that */
    }
    expect_ok(test_append(store_find(t.store, REST), "y"));
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, REST)->hw, BATCHES + 1);
    expect_int(strlen(test_store_values(&t, store_find(t.store, REST), 0)), BATCHES * 301 + 1);
    test_store_reset(&t);
}

/* Logs from id 100 on with so many batches each, one in a turn, and the stream that will need their files. */
static struct log *open_with_tails(struct test_store *t, uint64_t journal_bytes,
                                   uint64_t file_bytes, uint64_t carry_bytes, uint64_t logs,
                                   int batches)
{
    test_store_init_small(t, journal_bytes, 96 * KIB);
    t->config.carry_bytes = carry_bytes;
    t->config.direct_append_bytes = t->config.direct_commit_bytes = 1 * MIB;
    t->config.journal_first_bytes = t->config.journal_file_bytes = file_bytes;
    expect_ok(test_store_open(t));
    for (int i = 0; i < batches; i++)
        append_to_each(t, 100, logs);
    return store_log(t->store, 2, LEVEL_FSYNC);
}

TEST(large_tails_of_logs_that_are_appended_to_are_carried)
{
    enum { LOGS = 10, ROUNDS = 120 };
    struct test_store t;
    struct log *stream = open_with_tails(&t, 2 * MIB, 256 * KIB, 8 * KIB, LOGS, 1);
    uint64_t before = t.store->journal.generation;
    for (int i = 0; i < ROUNDS; i++) {
        struct ticket ticket;
        append_to_each(&t, 100, LOGS);
        expect_ok(log_append(stream, test_batch_sized((uint64_t)stream->end, 30000), &ticket));
        test_store_settle(&t);
        log_trim(stream, stream->hw, NULL);
    }
    expect_true(t.store->journal.generation - before > 2 * t.store->journal.file_count);
    expect_int(test_store_files(&t, "logs"), 0);
    expect_int(in_journal(&t, 100), ROUNDS + 1);
    test_store_reset(&t);
}

TEST(few_of_many_large_tails_leave_the_journal_in_each_file_s_turn)
{
    enum { LOGS = 700, BATCHES = 30, MOVED_OUT_MAX = 256 };
    struct test_store t;
    struct log *stream = open_with_tails(&t, 16 * MIB, 512 * KIB, 8 * KIB, LOGS, BATCHES);
    int files = 0, most = 0;
    for (uint64_t i = 0; files < LOGS; i++) {
        struct journal_file *oldest = oldest_file(&t);
        struct ticket ticket;
        while (oldest_file(&t) == oldest) {
            expect_ok(log_append(stream, test_batch_sized((uint64_t)stream->end, 9000), &ticket));
            test_store_settle(&t);
            log_trim(stream, stream->hw, NULL);
        }
        int now = (int)test_store_files(&t, "logs");
        most = now - files > most ? now - files : most;
        files = now;
        expect_true(i < 200);
    }
    expect_true(most <= MOVED_OUT_MAX);
    test_store_reset(&t);
}

/* The stream brings so many batches when no commit is under way, and keeps none. */
static void stream_turn(struct test_store *t, struct log *stream, int batches, int steps)
{
    struct ticket ticket;
    for (int i = 0; i < batches && !t->store->in_flight; i++)
        expect_ok(log_append(stream, test_batch_sized((uint64_t)stream->end, 9000), &ticket));
    log_trim(stream, stream->hw, NULL);
    test_store_turn(t, steps);
}

TEST(what_a_file_s_turn_carries_is_spread_over_commits_since_clients_wait_for_them)
{
    enum { LOGS = 300, BATCHES = 8, STEP = 96 * KIB };
    struct test_store t;
    struct log *stream = open_with_tails(&t, 8 * MIB, 1 * MIB, 8 * KIB, LOGS, BATCHES);
    struct journal_file *oldest = oldest_file(&t);
    uint64_t generation = oldest->generation, most = 0, all = 0, seen = 0;
    while (oldest->generation == generation) {
        stream_turn(&t, stream, 1, 1);
        const struct commit *c = t.store->in_flight;
        if (c && c->number > seen) {
            most = c->carried_bytes > most ? c->carried_bytes : most;
            all += c->carried_bytes;
            seen = c->number;
        }
    }
    expect_true(all > (uint64_t)LOGS * BATCHES * 300);
    expect_true(most > STEP / 2);
    expect_true(most < STEP + 8 * KIB);
    test_store_reset(&t);
}

/* While an old file is made free, which takes as many commits as there is to carry, the newest fills. */
TEST(the_next_journal_file_is_made_before_a_commit_needs_it)
{
    enum { LOGS = 300, BATCHES = 30 };
    struct test_store t;
    struct log *stream = open_with_tails(&t, 4 * MIB, 1 * MIB, 64 * KIB, LOGS, BATCHES);
    int seen = 0;
    for (int i = 0; i < 2000; i++) {
        stream_turn(&t, stream, 20, 2);
        const struct journal_file *newest = journal_newest_file(t.store);
        bool filling = newest->used > newest->size * 3 / 4 && newest->used < newest->size * 7 / 8;
        if (filling) {
            expect_true(newest->node.next != &t.store->journal.files);
            seen++;
        }
    }
    expect_true(seen > 10);
    test_store_reset(&t);
}

/* Long tails that all have to leave at once: clients wait for a step as for any other. A turn has a few. */
TEST(a_turn_begins_to_move_few_of_many_long_tails)
{
    enum { LOGS = 100, BATCHES = 400, PER_STEP = 8192 / BATCHES };
    struct test_store t;
    struct log *stream = open_with_tails(&t, 16 * MIB, 4 * MIB, 1 * KIB, LOGS, BATCHES);
    uint64_t generation = oldest_file(&t)->generation;
    uint32_t most = 0, all = 0;
    bool moves[LOGS] = {0};
    while (oldest_file(&t)->generation == generation) {
        stream_turn(&t, stream, 1, 1);
        uint32_t begun = 0;
        for (uint64_t i = 0; i < LOGS; i++) {
            bool before = moves[i];
            moves[i] = log_state(store_find(t.store, 100 + i))->parts->materialising != NULL;
            begun += moves[i] && !before;
        }
        most = begun > most ? begun : most;
        all += begun;
    }
    expect_true(all >= LOGS - 10 && most <= 3 * PER_STEP);
    test_store_reset(&t);
}

/* The tails that leave lie in files that memory has no more of. What others write waits behind what the disk has to
 * read. */
TEST(little_is_read_ahead_of_what_leaves_the_journal)
{
    enum { LOGS = 100, BATCHES = 400 };
    const uint64_t carry_bytes[] = {1 * KIB, 1 * MIB}; /* all leave; all are carried */
    for (int i = 0; i < 2; i++) {
        struct test_store t;
        struct log *stream = open_with_tails(&t, 16 * MIB, 4 * MIB, carry_bytes[i], LOGS, BATCHES);
        t.store->config.cache_bytes = 0;
        uint64_t generation = oldest_file(&t)->generation;
        uint64_t before = sim_disk_stats(t.disk)->read_bytes;
        while (oldest_file(&t)->generation == generation)
            stream_turn(&t, stream, 1, 1);
        expect_true(sim_disk_stats(t.disk)->read_bytes > before + 1 * MIB);
        uint64_t most = sim_disk_stats(t.disk)->ahead_most;
        expect_true(most >= 256 * KIB && most <= 3 * READ_AHEAD_BYTES + 64 * KIB);
        test_store_reset(&t);
    }
}

/* What was read for a former turn may be gone from the system's cache: then each small batch would be waited for. */
TEST(files_are_read_ahead_again_in_each_turn)
{
    enum { LOGS = 100, BATCHES = 400 };
    struct test_store t;
    struct log *stream = open_with_tails(&t, 16 * MIB, 4 * MIB, 1 * KIB, LOGS, BATCHES);
    t.store->config.cache_bytes = 0;
    uint64_t generation = oldest_file(&t)->generation;
    list_each (n, &t.store->journal.files)
        container_of(n, struct journal_file, node)->is_read_ahead = true;
    while (oldest_file(&t)->generation == generation)
        stream_turn(&t, stream, 1, 1);
    expect_true(sim_disk_stats(t.disk)->ahead_most >= 512 * KIB);
    test_store_reset(&t);
}

/* A turn is short, however many logs want a row. */
TEST(rows_that_many_logs_want_are_taken_in_slices)
{
    enum { LOGS = 3000 };
    struct test_store t;
    test_store_init(&t);
    expect_ok(test_store_open(&t));
    for (uint64_t i = 1; i <= LOGS; i++)
        expect_ok(test_append(store_log(t.store, i, LEVEL_FSYNC), "a"));
    test_store_settle(&t);
    for (uint64_t i = 1; i <= LOGS; i++)
        log_wants_row(log_state(store_find(t.store, i)));
    size_t before = LOGS, turns = 0;
    for (; before > 0 && turns < 100; turns++) {
        store_tick(t.store, t.now_ns);
        size_t left = 0;
        list_each (n, &t.store->unmarked_logs)
            left++;
        expect_true(left < before && left + 600 >= before);
        before = left;
    }
    test_store_settle(&t);
    expect_true(log_state(store_find(t.store, LOGS))->has_row);
    expect_true(list_is_empty(&t.store->dirty));
    test_store_reset(&t);
}

/* Somebody waits for a row while a journal file is made free. */
TEST(a_mark_that_is_wanted_during_the_turn_of_a_file_follows_it)
{
    struct test_store t;
    struct ticket ticket;
    test_store_init(&t);
    t.config.journal_first_bytes = t.config.journal_file_bytes = 64 * KIB;
    t.config.journal_max_bytes = 256 * KIB;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC),
               *other = store_log(t.store, 8, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 1000 && t.store->recycle.phase == RECYCLE_IDLE; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 5000), &ticket));
        test_store_turn(&t, 2);
    }
    expect_true(t.store->recycle.file != NULL);
    expect_ok(test_append(other, "a"));
    log_wants_row(log_state(other));
    test_store_settle(&t);
    expect_true(log_state(other)->has_row);
    test_store_reset(&t);
}

/* Tails that leave take seconds, and who writes past the journal is not to wait for all of them. */
TEST(a_mark_that_others_wait_for_goes_beside_the_turn_of_a_file)
{
    enum { LOGS = 100, BATCHES = 400, DIRECT = 3 };
    struct test_store t;
    struct ticket ticket;
    struct log *stream = open_with_tails(&t, 16 * MIB, 4 * MIB, 1 * KIB, LOGS, BATCHES),
               *direct = store_log(t.store, DIRECT, LEVEL_FSYNC);
    t.store->config.unmarked_max_bytes = 2 * MIB;
    expect_ok(log_append(direct, test_batch_sized(0, 1100 * KIB), &ticket));
    while (direct->hw < 1 || !log_state(direct)->direct)
        test_store_turn(&t, 1);
    while (t.store->recycle.materialising == 0)
        stream_turn(&t, stream, 1, 1);
    const struct journal_file *file = t.store->recycle.file;
    for (int i = 0; i < 3; i++) { /* two of them together are too much */
        expect_ok(log_append(direct, test_batch_sized(1, 1100 * KIB), &ticket));
        while (direct->hw < direct->end && t.store->recycle.file)
            test_store_turn(&t, 2);
        expect_int(direct->hw, direct->end);
    }
    expect_true(t.store->recycle.file == file && t.store->recycle.phase == RECYCLE_MOVE);
    test_store_settle(&t);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, DIRECT)->hw, 4);
    test_store_reset(&t);
}

/* ---- materialising ---- */

static uint64_t writings_out(const struct test_store *t)
{
    return sim_disk_stats(t->disk)->calls[SIM_WRITE_OUT];
}

/* Otherwise it would be read as a part of the segment, which nothing is appended to any more. */
TEST(what_a_crash_left_behind_a_segment_s_end_goes_before_the_next_one_begins)
{
    struct test_store t;
    struct ticket ticket;
    char path[64];
    open_small(&t);
    struct log *log = store_log(t.store, 1, LEVEL_FSYNC);
    for (uint64_t i = 0; i < 7; i++)
        expect_ok(log_append(log, test_batch_sized(i, 9000), &ticket));
    test_store_settle(&t);
    go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    segment_path(1, 0, "log", path);
    struct text file = test_file_get(&t, path);
    size_t size = file.size;
    expect_true(size > 7 * 9000);
    text_append(&file, test_batch_sized(8, 300));
    test_file_put(&t, path, text_bytes(&file));
    text_reset(&file);

    log = store_find(t.store, 1);
    expect_ok(log_append(log, test_batch_sized(7, 60000), &ticket));
    test_store_settle(&t);
    go_round(&t, store_find(t.store, 2));
    file = test_file_get(&t, path);
    expect_int(file.size, size);
    expect_int(test_store_files(&t, "logs/1"), 4); /* two segments, each with its index */
    text_reset(&file);
    test_store_reset(&t);
}

TEST(a_large_tail_is_written_out_in_pieces_so_that_commits_need_not_wait_for_all_of_it)
{
    struct test_store t;
    test_store_init(&t);
    t.config.direct_append_bytes = 64 * MIB;
    t.config.direct_commit_bytes = 64 * MIB;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct ticket ticket;
    log_stay_in_journal(log); /* not before it is sealed */
    for (uint64_t i = 0; i < 12; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 1 * MIB), &ticket));
        test_store_settle(&t);
    }
    expect_true(log_seal(log_state(log)));
    test_store_settle(&t);
    expect_int(log_state(log)->stored_to, 12);
    expect_int(writings_out(&t), 11); /* all but the last, which is synced */
    expect_int(log_state(log)->parts->read_late_ns, 0);
    struct log_read r = {.kind = READ_FROM, .limit = log->hw, .max_bytes = 1};
    test_store_read(&t, log, &r);
    expect_ok(r.err);
    log_read_end(&r);
    expect_true(log_state(log)->parts->read_late_ns > 0);
    test_store_reset(&t);
}

TEST(a_long_tail_is_materialised_ahead_and_still_read_from_memory)
{
    struct test_store t;
    test_store_init(&t);
    t.config.materialise_bytes = 400 * KIB;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC),
               *queue = store_log(t.store, 8, LEVEL_FSYNC);
    struct log_batch batch;
    struct ticket ticket;
    size_t count;
    log_stay_in_journal(queue);
    for (uint64_t i = 0; i < 20; i++) {
        expect_ok(log_append(log, test_batch_sized(i, 100 * KIB), &ticket));
        expect_ok(log_append(queue, test_batch_sized(i, 8 * KIB), &ticket));
        test_store_settle(&t);
    }
    expect_true(log_state(log)->stored_to >= 16);
    expect_int(log_state(queue)->stored_to, 0);
    for (int64_t at = 0; at < 20; at++) {
        expect_ok(log_peek(log, at, log->hw, 1, &batch, 1, &count));
        expect_int(count, 1);
        expect_int(batch.base_offset, at);
    }
    store_evict_to(t.store, 0);
    expect_err(log_peek(log, 0, log->hw, 1, &batch, 1, &count), E_COLD);
    store_tick(t.store, t.now_ns);
    expect_true(tail_at(&log_state(log)->parts->recent->tail, 0)->base_offset > 0);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_int(store_find(t.store, 7)->hw, 20);
    test_store_reset(&t);
}

TEST(a_long_tail_is_materialised_in_parts_one_behind_the_other)
{
    struct test_store t;
    test_store_init(&t);
    t.config.materialise_bytes = 3 * MIB;
    t.config.part_bytes = 400 * KIB;
    t.config.direct_append_bytes = t.config.direct_commit_bytes = 64 * MIB;
    expect_ok(test_store_open(&t));
    test_store_settle(&t);
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    struct log_state *l = log_state(log);
    struct ticket ticket;
    int64_t stored_to = 0;
    int parts = 0;
    for (uint64_t i = 0; i < 31; i++)
        expect_ok(log_append(log, test_batch_sized(i, 100 * KIB), &ticket));
    for (int i = 0; i < 1000 && !l->parts->materialising; i++)
        test_store_turn(&t, 1);
    while (l->parts->materialising) {
        test_store_turn(&t, 1);
        parts += l->stored_to > stored_to;
        expect_true(l->stored_to <= stored_to + 4);
        stored_to = l->stored_to;
    }
    expect_int(stored_to, 31);
    expect_int(parts, 8);
    test_store_reset(&t);
}

TEST(what_is_held_beyond_the_windows_counts_as_cached)
{
    struct test_store t;
    test_store_init(&t);
    t.config.cache_bytes = 8 * MIB;
    t.config.direct_append_bytes = t.config.direct_commit_bytes = 64 * MIB;
    expect_ok(test_store_open(&t));
    struct log *queue = store_log(t.store, 7, LEVEL_FSYNC);
    struct chunk *held[8];
    log_stay_in_journal(queue);
    for (uint64_t i = 0; i < 40; i++) {
        struct ticket ticket;
        struct log_batch batch;
        size_t count;
        expect_ok(log_append(queue, test_batch_sized(i, 700 * KIB), &ticket));
        test_store_settle(&t);
        expect_ok(log_peek(queue, queue->hw - 1, queue->hw, 1, &batch, 1, &count));
        expect_int(count, 1);
        if (i < 8) {
            held[i] = batch.chunk;
            chunk_ref(held[i]);
        }
        /* Half of the budget is the window's, whatever is held. */
        expect_int(t.store->journal_window.bytes / MIB, i < 8 ? i + 1 : 4);
    }
    expect_int(t.store->strayed_bytes, 8 * MIB);
    expect_int(t.store->journal_window.bytes, 4 * MIB);
    for (int i = 0; i < 8; i++)
        chunk_unref(held[i]);
    expect_int(t.store->strayed_bytes, 0);
    for (uint64_t i = 0; i < 10; i++) {
        struct ticket ticket;
        expect_ok(log_append(queue, test_batch_sized(i, 700 * KIB), &ticket));
        test_store_settle(&t);
    }
    expect_int(t.store->journal_window.bytes / MIB, 8);
    test_store_reset(&t);
}

/* ---- when nobody writes ---- */

static void append_sized(struct test_store *t, struct log *log, int count)
{
    for (int i = 0; i < count; i++) {
        struct ticket ticket;
        expect_ok(log_append(log, test_batch_sized((uint64_t)log->end, 9000), &ticket));
        test_store_settle(t);
    }
}

/* Log 1 with `a`, and log 2, the other one, of which the journal holds much that nobody wants. */
static struct log *open_with_unwanted(struct test_store *t)
{
    open_small(t);
    expect_ok(test_append(store_log(t->store, 1, LEVEL_FSYNC), "a"));
    struct log *large = store_log(t->store, 2, LEVEL_FSYNC);
    append_sized(t, large, 15);
    log_trim(large, large->hw, NULL);
    test_store_settle(t);
    return large;
}

TEST(a_journal_of_what_nobody_wants_is_made_free_when_nobody_writes_and_the_next_start_reads_little)
{
    struct test_store t;
    open_with_unwanted(&t);
    expect_true(journal_newest_file(t.store) != oldest_file(&t));
    test_store_wait(&t, 4500);
    expect_true(journal_newest_file(t.store) == oldest_file(&t));
    expect_int(oldest_file(&t)->used,
               12 * KIB); /* the header, that a run goes on, what is carried */
    uint64_t generation = t.store->journal.generation;
    test_store_wait(&t, 10000); /* once */
    expect_int(t.store->journal.generation, generation);
    test_store_kill(&t);
    uint64_t read_bytes = sim_disk_stats(t.disk)->read_bytes;
    expect_ok(test_store_open(&t));
    read_bytes = sim_disk_stats(t.disk)->read_bytes - read_bytes;
    expect_true(read_bytes < 64 * KIB);
    test_store_settle(&t);
    expect_string(test_store_values(&t, store_find(t.store, 1), 0), "a");
    test_store_reset(&t);
}

TEST(a_journal_that_is_being_made_free_while_nobody_writes_is_whole_in_every_state_of_the_disk)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct test_store t;
        struct log *large = open_with_unwanted(&t);
        int32_t epoch = t.store->epoch;
        test_store_wait(&t, 2900);
        for (uint64_t i = 0; i < seed; i++) { /* somewhere on the way */
            t.now_ns += 10000000;
            test_store_turn(&t, 1);
        }
        int64_t start = large->start;
        expect_ok(test_store_crash(&t, SIM_LOSE + (seed % 3), seed));
        expect_string(test_store_values(&t, store_find(t.store, 1), 0), "a");
        expect_int(store_find(t.store, 2)->start, start);
        expect_true(t.store->epoch > epoch);
        expect_ok(test_append(store_find(t.store, 1), "b"));
        test_store_settle(&t);
        expect_ok(test_store_crash(&t, SIM_LOSE, seed));
        expect_string(test_store_values(&t, store_find(t.store, 1), 0), "a b");
        test_store_reset(&t);
    }
}

TEST(a_journal_of_what_is_wanted_stays_as_it_is_when_nobody_writes)
{
    struct test_store t;
    open_small(&t);
    append_sized(&t, store_log(t.store, 2, LEVEL_FSYNC), 15);
    struct journal_file *oldest = oldest_file(&t);
    uint64_t generation = oldest->generation;
    test_store_wait(&t, 10000);
    expect_true(oldest_file(&t) == oldest);
    expect_int(oldest->generation, generation);
    test_store_reset(&t);
}

TEST(what_a_full_disk_keeps_from_being_made_free_is_left_until_more_was_written)
{
    struct test_store t;
    open_with_journal(&t, 1 * MIB);
    struct log *large = store_log(t.store, 2, LEVEL_FSYNC);
    append_sized(&t, large, 20);
    append_sized(&t, store_log(t.store, 3, LEVEL_FSYNC), 3); /* they would need a segment */
    append_sized(&t, large, 10);
    log_trim(large, large->hw, NULL);
    test_store_settle(&t);
    struct journal_file *oldest = oldest_file(&t);
    sim_disk_set_capacity(t.disk, 0);
    test_store_wait(&t, 10000);
    expect_true(oldest_file(&t) == oldest);
    expect_int(t.store->recycle.free_below, 0);
    sim_disk_set_capacity(t.disk, UINT64_MAX);
    test_store_wait(&t, 2000);
    append_sized(&t, large, 1);
    log_trim(large, large->hw, NULL);
    test_store_wait(&t, 4500);
    expect_true(journal_newest_file(t.store) == oldest_file(&t));
    test_store_reset(&t);
}

TEST(without_room_above_the_reserve_what_lies_behind_a_carried_front_leaves_too)
{
    struct test_store t;
    test_store_init_small(&t, 1 * MIB, 96 * KIB);
    t.config.carry_bytes = 8 * KIB;
    t.config.journal_first_bytes = 8 * KIB;
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 1, LEVEL_FSYNC);
    struct log *other = store_log(t.store, 2, LEVEL_FSYNC);
    struct ticket ticket;
    expect_ok(log_append(log, test_batch_sized(0, 6000), &ticket));
    append_sized(&t, other, 7);
    append_sized(&t, log, 2); /* in another file, too much to be carried */
    append_sized(&t, other, 20);
    log_trim(other, other->hw, NULL);
    test_store_settle(&t);
    uint64_t free_bytes;
    expect_ok(disk_free_bytes(t.disk, &free_bytes));
    store_set_reserve(t.store, free_bytes - 4 * KIB);
    test_store_wait(&t, 6000);
    expect_int(log_state(log)->stored_to, 3);
    expect_true(journal_newest_file(t.store) == oldest_file(&t));
    test_store_reset(&t);
}

/* The journal grows while much of each file is carried, to what all that takes. */
static void grow(struct test_store *t)
{
    enum { LOGS = 100, ROUNDS = 12 };
    char value[301];
    memset(value, 'v', 300);
    value[300] = 0;
    for (int i = 0; i < LOGS * ROUNDS; i++) {
        expect_ok(
            test_append(store_log(t->store, 1000 + (uint64_t)(i % LOGS), LEVEL_FSYNC), value));
        if (i % 20 == 0)
            test_store_settle(t);
    }
    test_store_settle(t);
    expect_true(t->store->journal.total_bytes > 2 * t->config.journal_max_bytes);
}

static void trim_all(struct test_store *t)
{
    for (uint64_t id = 1000; store_find(t->store, id); id++)
        log_trim(store_find(t->store, id), store_find(t->store, id)->end, NULL);
}

TEST(a_journal_that_has_grown_shrinks_when_nobody_writes_in_every_state_of_the_disk)
{
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct test_store t;
        open_small(&t);
        expect_ok(test_append(store_log(t.store, 1, LEVEL_FSYNC), "a"));
        grow(&t);
        trim_all(&t);
        for (uint64_t i = 0; i < seed; i++) { /* somewhere on the way */
            t.now_ns += 10000000;
            test_store_turn(&t, 2);
        }
        if (seed % 2)
            test_store_wait(&t, 6000);
        if (seed % 2)
            expect_true(t.store->journal.total_bytes <= 2 * t.config.journal_max_bytes);
        expect_ok(test_store_crash(&t, SIM_LOSE + (seed % 3), seed));
        expect_string(test_store_values(&t, store_find(t.store, 1), 0), "a");
        test_store_reset(&t);
    }
}

TEST(a_journal_a_little_beyond_its_size_is_left_alone_while_somebody_writes)
{
    struct test_store t;
    open_with_journal(&t, 1 * MIB);
    struct log *log = store_log(t.store, 2, LEVEL_FSYNC);
    append_sized(&t, log, 15);
    t.store->journal.max_bytes = t.store->journal.total_bytes * 3 / 4;
    uint64_t generation = oldest_file(&t)->generation;
    append_sized(&t, log, 1);
    expect_int(oldest_file(&t)->generation, generation);
    test_store_reset(&t);
}

TEST(a_journal_far_beyond_its_size_shrinks_beside_who_writes)
{
    struct test_store t;
    open_small(&t);
    grow(&t);
    trim_all(&t);
    for (int i = 0; i < 3; i++)
        go_round(&t, store_log(t.store, 2, LEVEL_FSYNC));
    expect_true(t.store->journal.total_bytes <= 3 * t.config.journal_max_bytes);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    test_store_reset(&t);
}

/* Eight files in which no batch is wanted any more: each is written once, and the rows and what goes with them
 * once for all. */
TEST(files_that_nobody_wants_become_free_by_the_same_rows)
{
    struct test_store t;
    open_small(&t);
    struct log *log = store_log(t.store, 1, LEVEL_FSYNC);
    struct journal_file *oldest = oldest_file(&t);
    oldest->readers++; /* keeps those behind it too */
    while (t.store->journal.file_count < 9) {
        append_sized(&t, log, 1);
        log_trim(log, log->hw, NULL);
    }
    test_store_settle(&t);
    uint64_t writes = sim_disk_stats(t.disk)->calls[SIM_WRITE];
    oldest->readers--;
    recycle_step(t.store);
    test_store_settle(&t);
    expect_true(oldest_file(&t) == journal_newest_file(t.store));
    expect_true(sim_disk_stats(t.disk)->calls[SIM_WRITE] - writes < 8 + 4);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    log = store_find(t.store, 1);
    expect_int(log->end - log->start, 0);
    expect_ok(test_append(log, "a"));
    test_store_reset(&t);
}

TEST(a_failed_removal_of_a_journal_file_freezes_the_store)
{
    struct test_store t;
    open_small(&t);
    expect_ok(test_append(store_log(t.store, 1, LEVEL_FSYNC), "a"));
    grow(&t);
    sim_disk_fail(t.disk, SIM_REMOVE, 1, E_IO);
    trim_all(&t);
    test_store_wait(&t, 6000);
    expect_true(t.store->frozen);
    expect_ok(test_store_crash(&t, SIM_LOSE, 1));
    expect_string(test_store_values(&t, store_find(t.store, 1), 0), "a");
    test_store_reset(&t);
}
