#include "log/test_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/say.h"
#include "tests/test.h"

static struct batch_builder builder;
static struct text joined;

static void on_restore(void *ctx, uint64_t log_id, struct bytes state)
{
    struct test_store *t = ctx;
    text_printf(&t->restored, "%llu:%.*s ", (unsigned long long)log_id, BYTES_FORMAT(state));
}

static void on_replay(void *ctx, uint64_t log_id, const struct batch *control)
{
    struct test_store *t = ctx;
    struct record_reader reader;
    struct record r;
    (void)log_id;
    record_reader_init(
        &reader, control, control->base_offset,
        bytes_of(control->raw.data + BATCH_HEADER_BYTES, control->raw.size - BATCH_HEADER_BYTES));
    while (record_reader_next(&reader, &r))
        vec_push(&t->replayed, r.value.data[0]);
}

static void on_committed(void *ctx, struct log *log, int64_t old_hw)
{
    struct test_store *t = ctx;
    check(log->hw > old_hw);
    t->committed_calls++;
}

static void on_progressed(void *ctx)
{
    ((struct test_store *)ctx)->progressed_calls++;
}

static void on_checkpoint(void *ctx, struct log *log, struct text *out)
{
    const struct test_store *t = ctx;
    (void)log;
    if (t->state)
        text_append(out, bytes_from_string(t->state));
}

static void on_live(void *ctx, struct log *log, int64_t from, int64_t to, offset_ranges *out)
{
    const struct test_store *t = ctx;
    for (size_t i = 0; i < t->settled.count && from < to; i++) { /* ascending */
        const struct test_settled *s = &t->settled.items[i];
        if (s->log_id != log->id || s->to <= from || s->from >= to)
            continue;
        if (s->from > from)
            vec_push(out, ((struct offset_range){from, s->from}));
        from = s->to;
    }
    if (from < to)
        vec_push(out, ((struct offset_range){from, to}));
}

static void on_cut(void *ctx, uint64_t log_id, int64_t end)
{
    struct test_store *t = ctx;
    text_printf(&t->restored, "%llu<%lld ", (unsigned long long)log_id, (long long)end);
}

static void on_frozen(void *ctx, const char *why)
{
    (void)why;
    ((struct test_store *)ctx)->was_frozen = true;
}

static void on_trimmed(void *ctx, struct log *log, int64_t old_start)
{
    struct test_store *t = ctx;
    check(log->start > old_start);
    t->trimmed += log->start - old_start;
}

void test_store_init(struct test_store *t)
{
    memset(t, 0, sizeof *t);
    t->disk = sim_disk_new();
    store_config_default(&t->config);
    t->config.reserve_bytes = 0;
    random_init(&t->random, 1);
    t->now_ns = 1000000000;
}

void test_store_init_small(struct test_store *t, uint64_t journal_max_bytes, uint64_t segment_bytes)
{
    test_store_init(t);
    t->config.journal_first_bytes = t->config.journal_file_bytes = 64 << 10;
    t->config.journal_max_bytes = journal_max_bytes;
    t->config.carry_bytes = t->config.piece_bytes = 4 << 10;
    t->config.direct_append_bytes = 20 << 10;
    t->config.allocate_bytes = 64 << 10;
    t->config.segment_bytes = segment_bytes;
}

enum err test_store_open(struct test_store *t)
{
    struct store_owner owner = {.ctx = t,
                                .restore = on_restore,
                                .replay = on_replay,
                                .committed = on_committed,
                                .progressed = on_progressed,
                                .checkpoint = on_checkpoint,
                                .live = on_live,
                                .frozen = on_frozen,
                                .cut = on_cut,
                                .trimmed = on_trimmed};
    t->jobs = sim_jobs_new();
    t->replayed.count = 0;
    t->restored.size = 0;
    enum err err = store_open(&t->config, t->disk, t->jobs, &owner, &t->store);
    if (err) {
        sim_jobs_free(t->jobs);
        t->jobs = NULL;
        t->store = NULL;
    }
    return err;
}

int64_t test_store_wall_ms(const struct test_store *t)
{
    return t->wall_base_ms + t->now_ns / 1000000;
}

void test_store_turn(struct test_store *t, int steps)
{
    t->now_ns += 1000000;
    store_set_time(t->store, t->now_ns);
    if (t->wall_base_ms)
        store_set_wall_time(t->store, test_store_wall_ms(t));
    if (store_next_due(t->store) <= t->now_ns)
        store_tick(t->store, t->now_ns);
    store_flush(t->store);
    for (int i = 0; i < steps; i++)
        if (!sim_jobs_step(t->jobs, &t->random))
            return;
}

void test_store_open_uncached(struct test_store *t)
{
    test_store_init_small(t, 256 << 10, 256 << 10);
    t->config.direct_append_bytes = 60 << 10;
    t->config.cache_bytes = 0;
    expect_ok(test_store_open(t));
    test_store_settle(t);
}

void test_store_settle(struct test_store *t)
{
    for (int i = 0; i < 20; i++) {
        test_store_turn(t, 0);
        sim_jobs_drain(t->jobs);
    }
}

void test_store_wait(struct test_store *t, int64_t ms)
{
    for (int64_t i = 0; i < ms; i += 100) {
        t->now_ns += 100000000;
        test_store_settle(t);
    }
}

/* While the core waits for its jobs, they run. */
static bool run_and_poll(struct jobs *jobs)
{
    bool any = sim_jobs_waiting_count(jobs) + sim_jobs_ended_count(jobs) > 0;
    sim_jobs_drain(jobs);
    return any;
}

void test_store_stop(struct test_store *t)
{
    t->jobs->poll = run_and_poll;
    store_close(t->store);
    t->store = NULL;
    sim_jobs_free(t->jobs);
    t->jobs = NULL;
}

static void say_nothing(const char *line, uint32_t size)
{
    (void)line, (void)size;
}

/* The disk has crashed: jobs under way end with errors, which gives their memory back. */
static void close_all(struct test_store *t)
{
    bool was_frozen = t->was_frozen;
    say_set_sink(say_nothing);
    sim_jobs_free(t->jobs);
    say_set_sink(NULL);
    if (t->store)
        store_abandon(t->store);
    t->store = NULL;
    t->jobs = NULL;
    t->was_frozen = was_frozen;
}

enum err test_store_crash(struct test_store *t, enum sim_restart mode, uint64_t seed)
{
    sim_disk_crash(t->disk);
    close_all(t);
    sim_disk_restart(t->disk, mode, seed);
    return test_store_open(t);
}

void test_store_kill(struct test_store *t)
{
    struct disk *copy = sim_disk_clone(t->disk);
    sim_disk_crash(t->disk);
    close_all(t);
    disk_free(t->disk);
    t->disk = copy;
}

void test_store_reset(struct test_store *t)
{
    sim_disk_crash(t->disk);
    close_all(t);
    disk_free(t->disk);
    vec_reset(&t->replayed);
    vec_reset(&t->settled);
    text_reset(&t->restored);
}

struct log_policy test_policy(void)
{
    return (struct log_policy){
        .retention_ms = -1,
        .retention_bytes = -1,
        .segment_bytes = 1ll << 30,
        .segment_ms = 7ll * 24 * 3600 * 1000,
        .max_compaction_lag_ms = INT64_MAX,
        .delete_retention_ms = 24ll * 3600 * 1000,
        .min_dirty_ratio = 0.5,
    };
}

struct bytes test_batch(const char *const *values, size_t count, uint16_t attributes)
{
    batch_builder_begin(&builder, attributes);
    for (size_t i = 0; i < count; i++)
        batch_builder_add(&builder, 1000 + (int64_t)i, BYTES_NULL, bytes_from_string(values[i]),
                          BYTES_NULL, 0);
    return batch_builder_end(&builder);
}

struct bytes test_batch_of_producer(struct bytes batch, int64_t producer_id)
{
    enum { CRC_AT = 17, PRODUCER_AT = 43 };
    uint8_t *raw = builder.text.data + (batch.data - builder.text.data);
    put_u64(raw + PRODUCER_AT, (uint64_t)producer_id);
    put_u32(raw + CRC_AT, crc32c(raw + BATCH_CRC_FROM, batch.size - BATCH_CRC_FROM));
    return bytes_of(raw, batch.size);
}

struct bytes test_batch_one(const char *value)
{
    return test_batch(&value, 1, 0);
}

struct bytes test_batch_at(const char *value, int64_t timestamp_ms)
{
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, timestamp_ms, BYTES_NULL, bytes_from_string(value), BYTES_NULL, 0);
    return batch_builder_end(&builder);
}

void test_append_across_files(struct test_store *t)
{
    struct ticket ticket;
    expect_ok(log_append(store_log(t->store, 1, LEVEL_FSYNC), test_batch_sized(1, 40000), &ticket));
    expect_ok(log_append(store_log(t->store, 2, LEVEL_FSYNC), test_batch_sized(2, 40000), &ticket));
    store_flush(t->store);
}

void test_append_records(struct test_store *t, struct log *log, size_t size, int count,
                         int64_t timestamp_ms)
{
    struct ticket ticket;
    uint8_t *value = xzalloc(size);
    batch_builder_begin(&builder, 0);
    for (int i = 0; i < count; i++)
        batch_builder_add(&builder, timestamp_ms, BYTES_NULL, bytes_of(value, size / (size_t)count),
                          BYTES_NULL, 0);
    expect_ok(log_append(log, batch_builder_end(&builder), &ticket));
    free(value);
    test_store_settle(t);
}

struct bytes test_batch_sized(uint64_t number, size_t size)
{
    uint8_t *value = xzalloc(size);
    put_u64(value, number);
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, 1000, BYTES_NULL, bytes_of(value, size), BYTES_NULL, 0);
    free(value);
    return batch_builder_end(&builder);
}

/* ---- reading back ---- */

static int64_t join_batch(const struct log_batch *lb, int64_t from)
{
    struct batch b;
    struct record_reader reader;
    struct record r;
    enum err err = batch_parse(lb->raw, &b);
    check(!err && batch_is_intact(&b));
    record_reader_init(
        &reader, &b, lb->base_offset,
        bytes_of(lb->raw.data + BATCH_HEADER_BYTES, lb->raw.size - BATCH_HEADER_BYTES));
    while (!batch_is_control(&b) && record_reader_next(&reader, &r))
        if (r.offset >= from)
            text_printf(&joined, "%s%.*s", joined.size ? " " : "", BYTES_FORMAT(r.value));
    return lb->base_offset + b.last_offset_delta + 1;
}

static bool read_is_done;

static void read_done(struct log_read *read)
{
    (void)read;
    read_is_done = true;
}

void test_store_read(struct test_store *t, struct log *log, struct log_read *r)
{
    r->done = read_done;
    read_is_done = false;
    log_read(log, r);
    check(!read_is_done);
    for (int i = 0; !read_is_done && i < 1000; i++)
        sim_jobs_drain(t->jobs);
    check(read_is_done);
}

static int64_t join_read(struct test_store *t, struct log *log, int64_t from)
{
    struct log_read read = {
        .kind = READ_FROM, .from = from, .limit = log->hw, .max_bytes = 1 << 20};
    test_store_read(t, log, &read);
    int64_t next = read.count ? from : log->hw;
    if (read.err)
        text_printf(&joined, "?%s", err_name(read.err));
    for (size_t i = 0; i < read.count; i++)
        next = join_batch(&read.batches[i], from);
    log_read_end(&read);
    return next;
}

const char *test_store_values(struct test_store *t, struct log *log, int64_t from)
{
    joined.size = 0;
    text_append_zeros(&joined, 1);
    joined.size = 0;
    while (from < log->hw) {
        struct log_batch batches[16];
        size_t count = 0;
        enum err err = log_peek(log, from, log->hw, 4096, batches, 16, &count);
        if (err == E_COLD) {
            from = join_read(t, log, from);
        } else if (err) {
            text_printf(&joined, "?%s", err_name(err));
            break;
        } else if (count == 0) {
            break;
        } else {
            for (size_t i = 0; i < count; i++)
                from = join_batch(&batches[i], from);
        }
    }
    text_append_zeros(&joined, 1);
    joined.size--;
    return (const char *)joined.data;
}

/* ---- the rest ---- */

enum err test_append(struct log *log, const char *value)
{
    struct ticket ticket;
    return log_append(log, test_batch_one(value), &ticket);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(size_t *)ctx;
}

size_t test_store_files(const struct test_store *t, const char *dir)
{
    size_t count = 0;
    return disk_list(t->disk, dir, count_name, &count) == OK ? count : 0;
}

struct text test_file_get(const struct test_store *t, const char *path)
{
    struct text content = {0};
    struct file *f = NULL;
    uint64_t size = 0;
    if (disk_open(t->disk, path, DISK_READ_ONLY, &f) != OK)
        return content;
    enum err err = file_size(f, &size);
    text_reserve(&content, size + 1);
    if (!err && size > 0)
        err = file_read(f, 0, content.data, size);
    check(!err);
    content.size = size;
    file_close(f);
    return content;
}

void test_file_put(const struct test_store *t, const char *path, struct bytes content)
{
    struct file *f;
    enum err err = disk_open(t->disk, path, DISK_CREATE, &f);
    if (!err)
        err = file_truncate(f, 0);
    if (!err && content.size > 0)
        err = file_write_bytes(f, 0, content);
    if (!err)
        err = file_sync(f);
    check(!err);
    file_close(f);
}
