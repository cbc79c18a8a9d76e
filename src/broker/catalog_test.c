#include "tests/test.h"

#include <stdio.h>

#include "broker/catalog_internal.h"
#include "broker/core_internal.h"
#include "broker/exchange_internal.h"
#include "broker/test_core.h"
#include "broker/user.h"

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

static struct exchange *
make_exchange(struct test_core *t, const char *name)
{
    struct exchange_spec spec = {
        .name = B(name), .kind = EXCHANGE_DIRECT, .durable = true, .arguments = B("\1a")};
    return exchange_create(test_vhost(t), &spec);
}

static size_t route_count(struct test_core *t, const char *exchange, const char *key)
{
    struct message m = {.routing_key = B(key)};
    return exchange_route(exchange_find(test_vhost(t), B(exchange)), &m).count;
}

static void make_everything(struct test_core *t)
{
    struct topic_config configs[] = {{(char *)"retention.ms", (char *)"1000"},
                                     {(char *)"durability", (char *)"os"}};
    struct topic_spec spec = {
        .name = B("orders"), .partition_count = 5, .configs = configs, .config_count = 2};
    struct topic *topic;
    struct queue_spec queue = {
        .name = B("q"), .durable = true, .auto_delete = true, .arguments = B("\1b")};
    expect_ok(topic_create(t->core, &spec, &topic));
    struct queue *q = queue_create(test_vhost(t), &queue);
    exchange_bind(make_exchange(t, "x"), q, B("key"), BYTES_LITERAL(""));
    exchange_bind(exchange_find(test_vhost(t), B("amq.direct")), q, B("key2"), B("\2c"));
    test_user(t, "alice", "secret", "monitoring");
}

static void expect_everything(struct test_core *t, const uint8_t topic_id[16])
{
    struct topic *topic = topic_find(t->core, B("orders"));
    expect_not_null(topic);
    expect_true(topic_find_id(t->core, topic_id) == topic);
    expect_int(topic->partition_count, 5);
    expect_int(topic->level, LEVEL_OS);
    expect_string(topic->configs.items[1].name, "retention.ms");
    expect_not_null(topic->partitions[4]->log);

    struct queue *q = test_queue(t, "q");
    expect_not_null(q);
    expect_true(q->durable && q->auto_delete && !q->exclusive);
    expect_bytes(q->arguments, B("\1b"));
    struct exchange *x = exchange_find(test_vhost(t), B("x"));
    expect_not_null(x);
    expect_bytes(x->arguments, B("\1a"));
    expect_int(route_count(t, "x", "key"), 1);
    expect_int(route_count(t, "amq.direct", "key2"), 1);
    expect_int(route_count(t, "x", "key2"), 0);
    expect_ok(test_log_in(t, "alice", "secret", false));
}

TEST(everything_declared_is_there_again_after_a_restart_and_after_a_crash)
{
    struct test_core t;
    test_core_init(&t);
    make_everything(&t);
    uint8_t id[16];
    memcpy(id, topic_find(t.core, B("orders"))->id, 16);
    test_core_settle(&t);
    test_core_crash(&t);
    expect_everything(&t, id);
    test_core_reopen(&t);
    expect_everything(&t, id);
    test_core_end(&t);
}

TEST(changes_whose_ticket_was_not_done_are_gone_after_a_crash_as_a_whole)
{
    struct test_core t;
    test_core_init(&t);
    test_core_settle(&t);
    make_everything(&t);
    test_core_turn(&t); /* handed to the disk, which does nothing */
    test_core_crash(&t);
    expect_null(topic_find(t.core, B("orders")));
    expect_null(test_queue(&t, "q"));
    expect_null(exchange_find(test_vhost(&t), B("x")));
    expect_err(test_log_in(&t, "alice", "secret", false), E_REFUSED);
    test_core_end(&t);
}

TEST(what_is_deleted_stays_deleted_and_its_logs_go)
{
    struct test_core t;
    struct store_stats stats;
    test_core_init(&t);
    make_everything(&t);
    test_core_settle(&t);
    queue_delete(test_queue(&t, "q"));
    exchange_delete(exchange_find(test_vhost(&t), B("x")));
    topic_delete(t.core, topic_find(t.core, B("orders")));
    test_core_settle(&t);
    test_core_crash(&t);
    expect_null(topic_find(t.core, B("orders")));
    expect_null(test_queue(&t, "q"));
    expect_null(exchange_find(test_vhost(&t), B("x")));
    expect_int(route_count(&t, "amq.direct", "key2"), 0);
    store_stats(t.core->store, &stats);
    expect_int(stats.logs, 1);
    test_core_end(&t);
}

TEST(a_name_deleted_and_declared_again_in_one_turn_is_the_new_object)
{
    struct test_core t;
    test_core_init(&t);
    uint64_t first = test_durable_queue(&t, "q")->log->id;
    test_core_settle(&t);
    queue_delete(test_queue(&t, "q"));
    test_durable_queue(&t, "q");
    queue_delete(test_queue(&t, "q"));
    uint64_t third = test_durable_queue(&t, "q")->log->id;
    test_core_settle(&t);
    test_core_crash(&t);
    expect_int(test_queue(&t, "q")->log->id, third);
    expect_true(third > first);
    test_core_end(&t);
}

TEST(what_is_made_and_deleted_in_one_turn_is_never_written)
{
    struct test_core t;
    test_core_init(&t);
    test_core_settle(&t);
    catalog_new_log_id(t.core); /* so that no reservation is due below */
    test_core_settle(&t);
    int64_t end = t.core->catalog->log->end;
    queue_delete(test_durable_queue(&t, "q"));
    test_transient_queue(&t, "transient");
    test_core_settle(&t);
    expect_int(t.core->catalog->log->end, end);
    test_core_end(&t);
}

TEST(all_changes_of_one_turn_are_one_record)
{
    struct test_core t;
    test_core_init(&t);
    test_core_settle(&t);
    int64_t end = t.core->catalog->log->end;
    make_everything(&t);
    test_core_settle(&t);
    struct log_batch batch;
    struct batch b;
    size_t count;
    expect_ok(
        log_peek(t.core->catalog->log, end, t.core->catalog->log->end, 1 << 20, &batch, 1, &count));
    expect_ok(batch_parse(batch.raw, &b));
    expect_int(batch_last_offset(&b) + 1 + batch.base_offset - b.base_offset,
               t.core->catalog->log->end);
    expect_int(b.record_count, 7); /* meta, topic, queue, exchange, two bindings, user */
    test_core_end(&t);
}

TEST(log_ids_are_never_used_again)
{
    struct test_core t;
    uint64_t last = 0;
    test_core_init(&t);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 700; i++) {
            uint64_t id = catalog_new_log_id(t.core);
            expect_true(id > last);
            last = id;
        }
        test_core_settle(&t);
        test_core_crash(&t);
    }
    test_core_end(&t);
}

TEST(producer_ids_are_never_used_again)
{
    struct test_core t;
    test_core_init(&t);
    int64_t newest = -1;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3 * CATALOG_PRODUCER_IDS_RESERVED / 2; i++) {
            int64_t id = catalog_new_producer_id(t.core);
            expect_true(id > newest);
            newest = id;
            if (i % 100 == 0)
                test_core_settle(&t); /* from here on it may have been told */
        }
        test_core_settle(&t);
        if (round % 2)
            test_core_reopen(&t);
        else
            test_core_crash(&t);
    }
    t.core->catalog->next_producer_id = t.core->catalog->reserved_producer_id = INT64_MAX - 7;
    expect_int(catalog_new_producer_id(t.core), -1);
    test_core_end(&t);
}

TEST(the_catalog_cleans_itself_and_loses_nothing)
{
    struct test_core t;
    char name[32];
    test_core_init(&t);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "kept-%d", i);
        test_durable_queue(&t, name);
    }
    for (int i = 0; i < 3000; i++) {
        queue_delete(test_durable_queue(&t, "comes-and-goes"));
        test_durable_queue(&t, "comes-and-goes");
        test_core_turn(&t);
        if (i % 7 == 0)
            test_core_settle(&t);
        queue_delete(test_queue(&t, "comes-and-goes"));
        if (i % 500 == 0) {
            test_core_settle(&t);
            test_core_crash(&t);
        }
    }
    test_core_settle(&t);
    const struct log *log = t.core->catalog->log;
    expect_true(log->start > 0);
    expect_true(log->end - log->start < 3000);
    test_core_crash(&t);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "kept-%d", i);
        expect_not_null(test_queue(&t, name));
    }
    expect_null(test_queue(&t, "comes-and-goes"));
    expect_ok(test_log_in(&t, "guest", "guest", true));
    test_core_end(&t);
}

/* ---- records of other releases ---- */

static void append_record(struct test_core *t, const char *key, size_t key_size, struct bytes value)
{
    struct batch_builder b = {0};
    struct ticket ticket;
    batch_builder_begin(&b, BATCH_CONTROL);
    batch_builder_add(&b, 0, bytes_of(key, key_size), value, BYTES_NULL, 0);
    expect_ok(log_append(t->core->catalog->log, batch_builder_end(&b), &ticket));
    batch_builder_reset(&b);
}

TEST(large_changes_of_the_catalog_are_committed_in_order_with_everything_else)
{
    struct test_core t;
    struct store_stats stats;
    char name[16];
    test_core_init(&t);
    t.config.store.direct_append_bytes = 4096;
    test_core_reopen(&t);
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "q%d", i);
        test_durable_queue(&t, name);
        if (i % 200 == 199)
            test_core_settle(&t);
    }
    store_stats(t.core->store, &stats);
    expect_int(stats.direct_logs, 0);
    test_core_end(&t);
}

/* A key: id 100, version 0, kind, may be ignored, no parts, no tags. */
#define KEY(kind, ignored) "\0\x64\0\0\0" kind ignored "\1\0"

TEST(a_record_of_an_unknown_kind_refuses_the_start)
{
    struct test_core t;
    test_core_init(&t);
    append_record(&t, KEY("\x63", "\0"), 9, BYTES_LITERAL("?"));
    test_core_close(&t);
    expect_err(test_core_open(&t), E_UNSUPPORTED);
    expect_err_text("record of kind 99 is from a newer release");
    test_core_end(&t);
}

TEST(a_record_of_an_unknown_kind_that_may_be_ignored_is_ignored)
{
    struct test_core t;
    test_core_init(&t);
    append_record(&t, KEY("\x63", "\1"), 9, BYTES_LITERAL("?"));
    test_core_reopen(&t);
    test_core_end(&t);
}

TEST(a_record_of_a_newer_version_refuses_the_start)
{
    struct test_core t;
    test_core_init(&t);
    test_core_settle(&t);
    append_record(&t, KEY("\1", "\0"), 9, BYTES_LITERAL("\0\1\0\x07"));
    test_core_close(&t);
    expect_err(test_core_open(&t), E_UNSUPPORTED);
    expect_err_text("Meta record of version 7 is from a newer release");
    test_core_end(&t);
}

/* A queue's record: log id, not auto-delete, no arguments, leader, epoch, replicas, isr. */
#define QUEUE_ON_LOG(id) BYTES_LITERAL("\0\6\0\0\0\0\0\0\0\0" id "\0\1\0\0\0\1\0\0\0\0\1\1\0")

TEST(a_damaged_catalog_record_refuses_the_start)
{
    static const struct {
        const char *key;
        size_t size;
        struct bytes value;
        const char *text;
    } cases[] = {
        {"\0\x64\0\0\0\1", 6, BYTES_LITERAL("\0\1\0\0"), "key v0"},
        {"\0\x65\0\0\0\1\0\1\0", 9, BYTES_LITERAL("\0\1\0\0"), "id 101"},
        {KEY("\1", "\0"), 9, BYTES_LITERAL("\0\2\0\0"), "record id 2 where 1"},
        {KEY("\1", "\0"), 9, BYTES_LITERAL("\0\1\0\0\x05"), "meta v0"},
        {KEY("\2", "\0"), 9, BYTES_LITERAL("\0\2\0\0\0"), "key of kind 2 with 0 parts"},
        {"\0\x64\0\0\0\2\0\x82\0\2/\0", 12, BYTES_LITERAL("\0\2\0\0\0"), "no release writes"},
        {"\0\x64\0\0\0\6\0\3\2/\2q\0", 13, QUEUE_ON_LOG("\0\1"), "log 1 was never given out"},
        {"\0\x64\0\0\0\6\0\3\2/\2q\0", 13, QUEUE_ON_LOG("\x7f\0"), "log 32512"},
        {"\0\x64\0\0\0\6\0\3\2/\2q\0", 13, QUEUE_ON_LOG("\0\2"), "belongs to two objects"},
        {"\0\x64\0\0\0\5\0\3\2/\013amq.direct\0", 22, BYTES_LITERAL("\0\5\0\0\7direct\1\0\0\1\0"),
         "every vhost has"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_core t;
        test_core_init(&t);
        test_durable_queue(&t, "first"); /* on log 2 */
        test_core_settle(&t);
        append_record(&t, cases[i].key, cases[i].size, cases[i].value);
        test_core_close(&t);
        expect_err(test_core_open(&t), E_MALFORMED);
        expect_err_text(cases[i].text);
        test_core_end(&t);
    }
}

/* ---- logs without an owner ---- */

TEST(logs_that_nobody_names_any_more_are_removed_at_the_start)
{
    struct test_core t;
    struct store_stats stats;
    test_core_init(&t);
    struct log *orphan = store_log(t.core->store, catalog_new_log_id(t.core), LEVEL_FSYNC);
    struct batch_builder b = {0};
    struct ticket ticket;
    batch_builder_begin(&b, 0);
    batch_builder_add(&b, 0, BYTES_NULL, B("x"), BYTES_NULL, 0);
    expect_ok(log_append(orphan, batch_builder_end(&b), &ticket));
    batch_builder_reset(&b);
    test_core_reopen(&t);
    test_core_settle(&t);
    store_stats(t.core->store, &stats);
    expect_int(stats.logs, 1);
    test_core_end(&t);
}

TEST(a_log_that_the_catalog_never_gave_out_refuses_the_start)
{
    struct test_core t;
    test_core_init(&t);
    struct log *foreign = store_log(t.core->store, 123456, LEVEL_FSYNC);
    struct batch_builder b = {0};
    struct ticket ticket;
    batch_builder_begin(&b, 0);
    batch_builder_add(&b, 0, BYTES_NULL, B("x"), BYTES_NULL, 0);
    expect_ok(log_append(foreign, batch_builder_end(&b), &ticket));
    batch_builder_reset(&b);
    test_core_close(&t);
    expect_err(test_core_open(&t), E_CORRUPT);
    expect_err_text("log 123456 was never given out");
    test_core_end(&t);
}
