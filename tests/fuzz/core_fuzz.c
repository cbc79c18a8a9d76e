/*
 * Any bytes as what the broker keeps in its logs: catalog records, messages and control batches of
 * queues, producers' batches, records of groups, and the checkpoints in rows. Input: a first byte
 * (bit 0: rows are written before the core opens), then slices (enum kind) that are appended to the
 * logs of a store.
 *
 * The core either does not open, with an error that says why, or it hands every message of every
 * queue out and takes its settle, and after a stop in good order opens again with the same catalog.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/catalog_internal.h"
#include "broker/core_internal.h"
#include "broker/queue.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

enum kind {
    CATALOG_RAW, /* u16 key size, key, value: a record of the catalog */
    CATALOG_PUT, /* u8 kind, u8 version (0xff: no value), u8 parts, each u8 size and bytes, value */
    RECORD,      /* u8 log, u8 attributes, u16 key size, key, value: a batch of one record */
    BATCH,       /* u8 log, a batch; its length and checksum are filled in */
    CHECKPOINT,  /* u8 log, what its row keeps of derived state */
    KIND_COUNT,
};

enum { LOG_COUNT = 16, BATCHES_MAX = 512 };

struct built {
    struct store *store;
    struct batch_builder builder;
    int batches;
};

static struct text checkpoints[LOG_COUNT];

/* ---- filling a store ---- */

static void nothing(void *ctx)
{
    (void)ctx;
}

static void no_state(void *ctx, uint64_t log_id, struct bytes state)
{
    (void)ctx, (void)log_id, (void)state;
}

static void no_batch(void *ctx, uint64_t log_id, const struct batch *batch)
{
    (void)ctx, (void)log_id, (void)batch;
}

static void no_commit(void *ctx, struct log *log, int64_t old_hw)
{
    (void)ctx, (void)log, (void)old_hw;
}

static void put_checkpoint(void *ctx, struct log *log, struct text *out)
{
    (void)ctx;
    if (log->id < LOG_COUNT)
        text_append(out, text_bytes(&checkpoints[log->id]));
}

static void all_live(void *ctx, struct log *log, int64_t from, int64_t to, offset_ranges *out)
{
    (void)ctx, (void)log;
    vec_push(out, ((struct offset_range){from, to}));
}

static void no_disk_fails(void *ctx, const char *why)
{
    (void)ctx, (void)why;
    check(false);
}

static const struct store_owner filling = {.restore = no_state,
                                           .replay = no_batch,
                                           .committed = no_commit,
                                           .progressed = nothing,
                                           .checkpoint = put_checkpoint,
                                           .live = all_live,
                                           .frozen = no_disk_fails};

static void append(struct built *b, uint64_t log_id, struct bytes raw)
{
    struct ticket ticket;
    struct batch batch;
    if (b->batches++ >= BATCHES_MAX || batch_parse(raw, &batch) != OK || raw.size != batch.raw.size)
        return;
    check(log_append(store_log(b->store, log_id, LEVEL_FSYNC), raw, &ticket) == OK);
}

static void append_record(struct built *b, uint64_t log_id, uint16_t attributes, struct bytes key,
                          struct bytes value)
{
    batch_builder_begin(&b->builder, attributes);
    batch_builder_add(&b->builder, 1000, key, value, BYTES_NULL, 0);
    append(b, log_id, batch_builder_end(&b->builder));
}

/* The key as the catalog's writer would put it. */
static void append_catalog(struct built *b, struct slice *p)
{
    struct text key = {0}, value = {0};
    uint16_t kind = reader_u8(&p->in);
    uint8_t version = reader_u8(&p->in), parts = reader_u8(&p->in) % 8;
    text_put_u16(&key, 100);
    text_put_u16(&key, 0);
    text_put_u16(&key, kind);
    text_put_u8(&key, 0);
    text_put_varint(&key, parts + 1u);
    for (int i = 0; i < parts; i++) {
        struct bytes part = reader_bytes(&p->in, reader_u8(&p->in));
        text_put_varint(&key, part.size + 1);
        text_append(&key, part);
    }
    text_put_u8(&key, 0); /* no tagged fields */
    text_put_u16(&value, kind);
    text_put_u16(&value, version);
    text_append(&value, slice_rest(p));
    append_record(b, CATALOG_LOG_ID, BATCH_CONTROL, text_bytes(&key),
                  version == 0xff ? BYTES_NULL : text_bytes(&value));
    text_reset(&key);
    text_reset(&value);
}

static void append_batch(struct built *b, struct slice *p)
{
    struct text raw = {0};
    uint64_t log_id = reader_u8(&p->in) % LOG_COUNT;
    text_append(&raw, slice_rest(p));
    if (raw.size >= BATCH_HEADER_BYTES) {
        put_u32(raw.data + 8, (uint32_t)(raw.size - BATCH_PREFIX_BYTES));
        put_u32(raw.data + 17, crc32c(raw.data + BATCH_CRC_FROM, raw.size - BATCH_CRC_FROM));
        append(b, log_id, text_bytes(&raw));
    }
    text_reset(&raw);
}

static void fill_slice(struct built *b, struct slice *p)
{
    enum kind kind = p->kind % KIND_COUNT;
    if (kind == CATALOG_PUT) {
        append_catalog(b, p);
    } else if (kind == BATCH) {
        append_batch(b, p);
    } else if (kind == CHECKPOINT) {
        struct text *t = &checkpoints[reader_u8(&p->in) % LOG_COUNT];
        t->size = 0;
        text_append(t, slice_rest(p));
    } else {
        uint64_t log_id = kind == RECORD ? reader_u8(&p->in) % LOG_COUNT : CATALOG_LOG_ID;
        uint16_t attributes = kind == RECORD ? reader_u8(&p->in) & 0x78 : BATCH_CONTROL;
        size_t size = reader_u16(&p->in);
        struct bytes key = reader_bytes(&p->in, size < reader_left(&p->in) ? size : 0);
        append_record(b, log_id, attributes, key, slice_rest(p));
    }
}

/* ---- the world ---- */

struct world {
    struct disk *disk;
    struct jobs *jobs;
    struct core *core;
    struct core_config config;
    int64_t now_ns;
};

static bool run_and_poll(struct jobs *jobs)
{
    bool any = sim_jobs_waiting_count(jobs) + sim_jobs_ended_count(jobs) > 0;
    sim_jobs_drain(jobs);
    return any;
}

static struct jobs *new_jobs(void)
{
    struct jobs *jobs = sim_jobs_new();
    jobs->poll = run_and_poll;
    return jobs;
}

static void fill(struct world *w, struct reader *in)
{
    struct built b = {0};
    struct slice p;
    bool writes_rows = reader_u8(in) & 1;
    struct jobs *jobs = new_jobs();
    check(store_open(&w->config.store, w->disk, jobs, &filling, &b.store) == OK);
    while (slice_next(in, &p))
        fill_slice(&b, &p);
    store_flush(b.store);
    sim_jobs_drain(jobs);
    store_flush(b.store);
    sim_jobs_drain(jobs);
    if (writes_rows)
        store_close(b.store);
    else
        store_abandon(b.store);
    sim_jobs_free(jobs);
    batch_builder_reset(&b.builder);
    for (int i = 0; i < LOG_COUNT; i++)
        text_reset(&checkpoints[i]);
}

static enum err open_core(struct world *w)
{
    w->jobs = new_jobs();
    err_clear();
    enum err err = core_open(&w->config, w->disk, w->jobs, &w->core);
    if (err) {
        check(*err_text());
        sim_jobs_free(w->jobs);
        return err;
    }
    core_turn_begin(w->core, w->now_ns, 1700000000000);
    return OK;
}

static void turn(struct world *w)
{
    core_turn_end(w->core);
    sim_jobs_drain(w->jobs);
    w->now_ns += 10 * 1000000;
    core_turn_begin(w->core, w->now_ns, 1700000000000);
}

static void close_core(struct world *w)
{
    core_turn_end(w->core);
    core_close(w->core);
    sim_jobs_free(w->jobs);
}

/* ---- using it ---- */

static uint32_t has_credit(struct consumer *c)
{
    (void)c;
    return 100;
}

/* One in three comes back once, so that returns are logged too. */
static void deliver(struct consumer *c, const struct delivery *d)
{
    (void)c;
    check(d->message.exchange.size <= UINT8_MAX);
    if (d->offset % 3 == 0 && !d->redelivered)
        queue_return(d->queue, d->offset, d->number);
    else
        queue_settle(d->queue, d->offset, d->number);
}

static void cancelled(struct consumer *c)
{
    (void)c;
}

static void consume(void *ctx, struct queue *queue)
{
    struct consumer *c = xzalloc(sizeof *c);
    c->credit = has_credit;
    c->deliver = deliver;
    c->cancelled = cancelled;
    if (queue_consume(queue, c) == OK) {
        turn(ctx);
        turn(ctx);
        queue_cancel(c);
    }
    free(c);
}

static void use(struct world *w)
{
    struct queue *queues[8], *queue;
    struct queue_walk walk = {0};
    size_t count = 0;
    turn(w);
    while (count < 8 && (queue = queue_walk_next(w->core, &walk)))
        if (!queue->auto_delete)
            queues[count++] = queue;
    for (size_t i = 0; i < count; i++)
        consume(w, queues[i]);
    turn(w);
    turn(w);
}

/* Every entry's key and value, as the sum of their checksums: the order may change. */
static uint64_t catalog_sum(struct core *core, size_t *count)
{
    struct text text = {0};
    uint64_t sum = 0;
    *count = 0;
    list_each (node, &core->catalog->entries) {
        struct catalog_entry *entry = container_of(node, struct catalog_entry, node);
        if (entry->kind == CATALOG_META)
            continue; /* what is reserved goes up */
        text.size = 0;
        catalog_encode_key(entry, &text);
        text_put_u32(&text, (uint32_t)text.size);
        catalog_encode_value(core, entry, &text);
        sum += crc32c(text.data, text.size);
        ++*count;
    }
    text_reset(&text);
    return sum;
}

static void say_nothing(const char *line, uint32_t size)
{
    (void)line, (void)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(bytes_of(data, size));
    struct world w = {.disk = sim_disk_new(), .now_ns = 1000};

    say_set_sink(say_nothing);
    w.config = (struct core_config){.default_partitions = 1,
                                    .topic_message_max_bytes = 1048588,
                                    .message_max_bytes = 1 << 20,
                                    .random_seed = 1,
                                    .node_id = 1};
    store_config_default(&w.config.store);
    w.config.store.journal_first_bytes = 64 * 1024;
    w.config.store.reserve_bytes = 0;
    fill(&w, &in);
    if (open_core(&w) == OK) {
        size_t count, again;
        use(&w);
        uint64_t sum = catalog_sum(w.core, &count);
        close_core(&w);
        enum err err = open_core(&w);
        if (err)
            fprintf(stderr, "does not open again: %s\n", err_text());
        check(!err);
        check(catalog_sum(w.core, &again) == sum && again == count);
        close_core(&w);
    }
    disk_free(w.disk);
    return 0;
}
