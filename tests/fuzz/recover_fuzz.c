/*
 * Any bytes as what lies in a data directory: journal files, log table, segments, indexes. Input: a
 * first byte (bit 0: accept_loss), then slices that build the files (enum kind). Checksums, sizes and
 * the chain of records are made right by default, so that damage goes deeper than they do; raw
 * slices and patches go the other way.
 *
 * A store either does not open, with an error that says why, or it is consistent: offsets in order,
 * every log readable or telling of damage, appends accepted, and after a crash it opens again with
 * the same logs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/say.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "log/store_internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

enum kind {
    JOURNAL_FILE,  /* u8 slot, u8 generation, u8 size and u16 base in 4 KiB (base 0: behind the
                     * last file): the next slices go there */
    JOURNAL_ENTRY, /* type, flags, u16 count, the rest; its size is filled in */
    JOURNAL_DATA,  /* the same, and the batch's length and checksum */
    JOURNAL_SEAL,  /* u8 epoch, u8 synced (0: the record before): the record is complete */
    JOURNAL_RAW,   /* bytes at the end of the file */
    TABLE_ROW,     /* a row without its size */
    TABLE_SEAL,    /* the block is complete */
    TABLE_RAW,     /* bytes at the end of the table */
    SEGMENT,       /* u8 log, u64 base offset: the next slices go there */
    SEGMENT_BATCH, /* a batch; length and checksum are filled in */
    SEGMENT_RAW,   /* bytes at its end */
    SEGMENT_INDEX, /* the whole index */
    PATCH_JOURNAL, /* u24 position, bytes: in the journal file being written */
    PATCH_TABLE,   /* u24 position, bytes */
    KIND_COUNT,
};

enum {
    BLOCK_BYTES = 512,
    FILE_MAX_BYTES = 512 * KIB,
    LOGS_MAX = 256,
    BATCHES_MAX = 1000,
};

struct built { /* files under construction */
    struct disk *disk;
    struct text journal, record, table, block, segment;
    char journal_path[32], segment_path[64], index_path[64];
    uint64_t base, journal_size, generation, sequence;
    uint32_t crc, entries;
};

static const char table_path[] = "table/0000000001.table";

/* ---- laying files down ---- */

static void put_file(struct disk *disk, const char *path, struct bytes content, uint64_t size)
{
    struct file *f;
    check(disk_open(disk, path, DISK_CREATE, &f) == OK);
    if (content.size > 0)
        check(file_write_bytes(f, 0, content) == OK);
    if (size > content.size)
        check(file_allocate(f, content.size, size, true) == OK);
    check(file_sync(f) == OK);
    file_close(f);
}

static void end_journal(struct built *b)
{
    if (b->journal_path[0])
        put_file(b->disk, b->journal_path, text_bytes(&b->journal), b->journal_size);
    b->journal_path[0] = 0;
    b->journal.size = 0;
}

static void begin_journal(struct built *b, struct reader *in)
{
    end_journal(b);
    uint32_t slot = reader_u8(in) % 16;
    uint8_t header[48] = "PABALJNL";
    b->generation = reader_u8(in);
    b->base += b->journal_size ? b->journal_size : JOURNAL_FIRST_ADDRESS;
    b->journal_size = (uint64_t)reader_u8(in) % (FILE_MAX_BYTES / (4 * KIB)) * 4 * KIB;
    uint64_t base = (uint64_t)reader_u16(in) * 4 * KIB;
    b->base = base ? base : b->base;
    journal_path(slot, b->journal_path);
    put_u32(header + 8, 1);
    put_u64(header + 16, b->generation);
    put_u64(header + 24, b->base);
    put_u64(header + 32, b->journal_size);
    put_u32(header + 12, crc32c(header + 16, 32));
    text_append(&b->journal, bytes_of(header, sizeof header));
    text_append_zeros(&b->journal, JOURNAL_HEADER_BYTES - sizeof header);
}

/* The batch at `at` to the end of the text. */
static void repair_batch(struct text *t, size_t at)
{
    if (t->size < at + BATCH_HEADER_BYTES)
        return;
    uint8_t *p = t->data + at;
    size_t size = t->size - at;
    put_u32(p + 8, (uint32_t)(size - BATCH_PREFIX_BYTES));
    p[16] = 2;
    put_u32(p + 17, crc32c(p + BATCH_CRC_FROM, size - BATCH_CRC_FROM));
}

static void add_entry(struct built *b, struct bytes entry, bool is_data)
{
    if (entry.size < 4)
        return;
    if (b->record.size == 0)
        text_append_zeros(&b->record, RECORD_HEADER_BYTES);
    size_t at = b->record.size;
    text_append(&b->record, bytes_of(entry.data, 4));
    text_put_u32(&b->record, 0);
    text_append(&b->record, bytes_of(entry.data + 4, entry.size - 4));
    if (is_data)
        repair_batch(&b->record,
                     at + ENTRY_HEADER_BYTES + (size_t)get_u16(entry.data + 2) * ENTRY_LOG_BYTES);
    text_append_zeros(&b->record, -(b->record.size - at) & 7);
    put_u32(b->record.data + at + 4, (uint32_t)(b->record.size - at));
    b->entries++;
}

static void seal_record(struct built *b, struct reader *in)
{
    uint32_t epoch = reader_u8(in);
    uint8_t synced = reader_u8(in);
    if (b->record.size == 0)
        text_append_zeros(&b->record, RECORD_HEADER_BYTES);
    size_t at = b->record.size, pad = -at & (BLOCK_BYTES - 1);
    if (pad >= ENTRY_HEADER_BYTES) {
        text_append_zeros(&b->record, pad);
        put_u32(b->record.data + at + 4, (uint32_t)pad);
        b->entries++;
    }
    uint8_t *p = b->record.data;
    put_u32(p, 0x5042524a);
    put_u32(p + 8, b->crc);
    put_u32(p + 12, epoch);
    put_u64(p + 16, b->record.size);
    put_u64(p + 24, ++b->sequence);
    put_u64(p + 32, synced ? synced : b->sequence - 1);
    put_u64(p + 40, b->generation);
    put_u32(p + 48, b->entries);
    b->crc = crc32c(p + 8, b->record.size - 8);
    put_u32(p + 4, b->crc);
    text_append(&b->journal, text_bytes(&b->record));
    b->record.size = 0;
    b->entries = 0;
}

static void add_row(struct built *b, struct bytes row)
{
    if (b->block.size == 0)
        text_append_zeros(&b->block, 16);
    text_put_u32(&b->block, (uint32_t)row.size + 4);
    text_append(&b->block, row);
}

static void seal_block(struct built *b)
{
    if (b->block.size == 0)
        return;
    uint8_t *p = b->block.data;
    put_u32(p, 0x50425442);
    put_u64(p + 8, b->block.size);
    put_u32(p + 4, crc32c(p + 8, b->block.size - 8));
    text_append(&b->table, text_bytes(&b->block));
    b->block.size = 0;
}

static void end_segment(struct built *b)
{
    if (b->segment_path[0])
        put_file(b->disk, b->segment_path, text_bytes(&b->segment), b->segment.size + 100);
    b->segment_path[0] = 0;
    b->segment.size = 0;
}

static void begin_segment(struct built *b, struct reader *in)
{
    char dir[40];
    end_segment(b);
    uint8_t id = reader_u8(in);
    int64_t base = (int64_t)reader_u64(in);
    log_dir(id, dir);
    check(disk_make_dir(b->disk, dir) == OK);
    segment_path(id, base, "log", b->segment_path);
    segment_path(id, base, "index", b->index_path);
}

static void add_batch(struct built *b, struct bytes batch)
{
    size_t at = b->segment.size;
    text_append(&b->segment, batch);
    repair_batch(&b->segment, at);
}

static void patch(struct text *t, struct slice *p)
{
    size_t position = (size_t)reader_u8(&p->in) << 16;
    position |= reader_u16(&p->in);
    struct bytes bytes = slice_rest(p);
    if (bytes.size > 0 && position < t->size && bytes.size <= t->size - position)
        memcpy(t->data + position, bytes.data, bytes.size);
}

static void build_piece(struct built *b, struct slice *p)
{
    switch ((enum kind)(p->kind % KIND_COUNT)) {
    case JOURNAL_FILE: begin_journal(b, &p->in); break;
    case JOURNAL_ENTRY: add_entry(b, slice_rest(p), false); break;
    case JOURNAL_DATA: add_entry(b, slice_rest(p), true); break;
    case JOURNAL_SEAL: seal_record(b, &p->in); break;
    case JOURNAL_RAW: text_append(&b->journal, slice_rest(p)); break;
    case TABLE_ROW: add_row(b, slice_rest(p)); break;
    case TABLE_SEAL: seal_block(b); break;
    case TABLE_RAW: text_append(&b->table, slice_rest(p)); break;
    case SEGMENT: begin_segment(b, &p->in); break;
    case SEGMENT_BATCH: add_batch(b, slice_rest(p)); break;
    case SEGMENT_RAW: text_append(&b->segment, slice_rest(p)); break;
    case SEGMENT_INDEX:
        if (b->index_path[0])
            put_file(b->disk, b->index_path, slice_rest(p), 0);
        break;
    case PATCH_JOURNAL: patch(&b->journal, p); break;
    case PATCH_TABLE: patch(&b->table, p); break;
    case KIND_COUNT: break;
    }
}

static void build(struct disk *disk, struct reader *in)
{
    struct built b = {.disk = disk};
    struct slice p;
    static const char *const dirs[] = {"journal", "table", "logs"};
    for (int i = 0; i < 3; i++)
        check(disk_make_dir(disk, dirs[i]) == OK);
    while (slice_next(in, &p))
        build_piece(&b, &p);
    end_journal(&b);
    end_segment(&b);
    seal_block(&b);
    if (b.table.size > 0)
        put_file(disk, table_path, text_bytes(&b.table), 0);
    text_reset(&b.journal);
    text_reset(&b.record);
    text_reset(&b.table);
    text_reset(&b.block);
    text_reset(&b.segment);
    sim_disk_restart(disk, SIM_KEEP, 1);
}

/* ---- an owner that believes what it is told ---- */

static void on_restore(void *ctx, uint64_t log_id, struct bytes state)
{
    (void)ctx, (void)log_id;
    check(state.size > 0 && state.data);
}

static void on_replay(void *ctx, uint64_t log_id, const struct batch *batch)
{
    (void)ctx, (void)log_id;
    check(batch->base_offset >= 0);
    check(batch_last_offset(batch) >= batch->base_offset);
}

static void on_committed(void *ctx, struct log *log, int64_t old_hw)
{
    (void)ctx;
    check(log->hw > old_hw);
}

static void on_progressed(void *ctx)
{
    (void)ctx;
}

static void on_checkpoint(void *ctx, struct log *log, struct text *out)
{
    (void)ctx, (void)log;
    text_append_string(out, "state");
}

static void on_live(void *ctx, struct log *log, int64_t from, int64_t to, offset_ranges *out)
{
    (void)ctx, (void)log;
    vec_push(out, ((struct offset_range){from, to}));
}

static void on_frozen(void *ctx, const char *why)
{
    *(bool *)ctx = true;
    check(*why);
}

static void on_cut(void *ctx, uint64_t log_id, int64_t end)
{
    (void)ctx, (void)log_id;
    check(end >= 0);
}

/* ---- what must hold ---- */

struct world {
    struct disk *disk;
    struct jobs *jobs;
    struct store *store;
    struct store_config config;
    bool is_frozen;
    int64_t now_ns;
};

static enum err open_store(struct world *w)
{
    struct store_owner owner = {.ctx = &w->is_frozen,
                                .restore = on_restore,
                                .replay = on_replay,
                                .committed = on_committed,
                                .progressed = on_progressed,
                                .checkpoint = on_checkpoint,
                                .live = on_live,
                                .frozen = on_frozen,
                                .cut = on_cut};
    w->jobs = sim_jobs_new();
    err_clear();
    enum err err = store_open(&w->config, w->disk, w->jobs, &owner, &w->store);
    if (err) {
        check(*err_text());
        if (err != E_CORRUPT && err != E_UNSUPPORTED)
            fprintf(stderr, "%s: %s\n", err_name(err), err_text());
        check(err == E_CORRUPT || err == E_UNSUPPORTED);
        sim_jobs_free(w->jobs);
    }
    return err;
}

static void settle(struct world *w)
{
    for (int i = 0; i < 4; i++) {
        w->now_ns += 10000000;
        store_set_time(w->store, w->now_ns);
        if (store_next_due(w->store) <= w->now_ns)
            store_tick(w->store, w->now_ns);
        store_flush(w->store);
        sim_jobs_drain(w->jobs);
    }
}

struct log_list {
    struct log *items[LOGS_MAX];
    size_t count;
};

static void note_log(void *ctx, struct log *log)
{
    struct log_list *list = ctx;
    check(log->start >= 0);
    check(log->start <= log->hw);
    check(log->hw <= log->durable);
    check(log->durable <= log->written);
    check(log->written <= log->end);
    if (list->count < LOGS_MAX)
        list->items[list->count++] = log;
}

static bool read_has_ended;

static void read_done(struct log_read *read)
{
    (void)read;
    read_has_ended = true;
}

static void read_log(struct world *w, struct log *log, enum log_read_kind kind)
{
    int64_t from = log->start;
    for (int i = 0; from < log->hw && i < BATCHES_MAX; i++) {
        struct log_read *read = xzalloc(sizeof *read);
        read->kind = kind;
        read->from = from;
        read->limit = log->hw;
        read->timestamp = 1000;
        read->max_bytes = 4096;
        read->done = read_done;
        read_has_ended = false;
        log_read(log, read);
        while (!read_has_ended)
            sim_jobs_drain(w->jobs);
        for (size_t k = 0; k < read->count && !read->err; k++) {
            struct batch b;
            const struct log_batch *lb = &read->batches[k];
            check(batch_parse(lb->raw, &b) == OK);
            int64_t end = lb->base_offset + b.last_offset_delta + 1;
            check(lb->base_offset < log->hw);
            check(end > from);
            from = end;
        }
        bool goes_on = read->count > 0 && !read->err && kind == READ_FROM;
        check(!read->err || read->err == E_CORRUPT || read->err == E_NOT_FOUND ||
              read->err == E_OUT_OF_RANGE || read->err == E_IO);
        log_read_end(read);
        free(read);
        if (!goes_on)
            break;
    }
}

static void append_one(struct world *w, struct log *log)
{
    struct batch_builder builder = {0};
    struct ticket ticket;
    int64_t end = log->end;
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, 1000, BYTES_NULL, BYTES_LITERAL("new"), BYTES_NULL, 0);
    enum err err = log_append(log, batch_builder_end(&builder), &ticket);
    check(!err || w->is_frozen);
    check(err || log->end == end + 1);
    batch_builder_reset(&builder);
}

struct offsets {
    uint64_t id;
    int64_t start, end;
};

/* After a crash the logs are what they were. */
static void open_again(struct world *w, const struct log_list *list)
{
    struct offsets *before = xzalloc((list->count + 1) * sizeof *before);
    for (size_t i = 0; i < list->count; i++)
        before[i] = (struct offsets){list->items[i]->id, list->items[i]->start, list->items[i]->hw};
    bool was_frozen = w->is_frozen;
    sim_disk_crash(w->disk);
    sim_jobs_free(w->jobs);
    store_abandon(w->store);
    sim_disk_restart(w->disk, SIM_LOSE, 1);
    w->is_frozen = false;
    enum err err = open_store(w);
    if (err && !was_frozen)
        fprintf(stderr, "does not open again: %s\n", err_text());
    check(!err || was_frozen);
    for (size_t i = 0; i < list->count && !err && !was_frozen; i++) {
        struct log *log = store_find(w->store, before[i].id);
        check(log || before[i].end == 0);
        check(!log || log->end == before[i].end);
        check(!log || log->start == before[i].start);
        if (log)
            read_log(w, log, READ_FROM);
    }
    free(before);
    if (err)
        return;
    sim_disk_crash(w->disk);
    sim_jobs_free(w->jobs);
    store_abandon(w->store);
}

static void say_nothing(const char *line, uint32_t size)
{
    (void)line, (void)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(bytes_of(data, size));
    struct world w = {.disk = sim_disk_new(), .now_ns = 1};
    struct log_list list = {.count = 0};

    say_set_sink(say_nothing);
    store_config_default(&w.config);
    w.config.reserve_bytes = 0;
    w.config.journal_first_bytes = 64 * KIB;
    w.config.journal_file_bytes = 128 * KIB;
    w.config.journal_max_bytes = 1 * MIB;
    w.config.accept_loss = reader_u8(&in) & 1;
    w.disk->block_bytes = BLOCK_BYTES;
    build(w.disk, &in);
    if (open_store(&w) == OK) {
        store_each(w.store, note_log, &list);
        for (size_t i = 0; i < list.count; i++)
            for (int kind = READ_FROM; kind <= READ_MAX_TIME; kind++)
                read_log(&w, list.items[i], (enum log_read_kind)kind);
        settle(&w);
        for (size_t i = 0; i < list.count && i < 4; i++)
            append_one(&w, list.items[i]);
        settle(&w);
        for (size_t i = 0; i < list.count; i++)
            read_log(&w, list.items[i], READ_FROM);
        open_again(&w, &list);
    }
    disk_free(w.disk);
    return 0;
}
