/*
 * The log table: one row for each log, the durable summary that lets journal files be used again.
 *
 * File table/<number>.table, only the highest number counts. It is a sequence of blocks, appended and
 * synced one at a time, big-endian:
 *    0  u32 magic 0x50425442   4  u32 crc32c of bytes 8 to the end of the block
 *    8  u64 size of the block  16  rows, one behind the other
 * Row, version 2:
 *    0  u32 size of the row    4  u8 version   5  u8 level   6  u8 flags (ROW_DELETED, ROW_GONE)
 *    8  u64 log id
 *   16  i64 start             24  i64 end: what is known to be durable
 *   32  i64 stored_to         40  i64 segment that materialise appends to, -1 none
 *   48  u64 its valid bytes   56  i64 oldest segment, -1 none       64  u64 bytes in segments
 *   72  i64 direct_from, INT64_MAX not direct                       80  i64 direct segment
 *   88  u64 its valid bytes   96  i64 offset at these bytes        104  i64 direct_to, INT64_MAX open
 *  112  u64 redo: journal address; replay ignores this log's entries below it
 *  120  u64 journal address of the newest DIRECT entry
 *  128  i64 offset of the newest cut      136  u64 journal address of its TRUNCATE entry, 0 none
 *  144  i64 cleaned_to: compaction has been over everything below
 *  152  i64 the largest timestamp in the segment that materialise appends to
 *  160  i64 Unix time, ms, at which that segment was begun
 *  168  u32 count of epochs, then for each {i32 epoch, i64 start offset}
 *       u32 size of the derived state, then the state, which is its owner's
 *
 * A later row of a log replaces an earlier one; a GONE row removes it. A block that is torn ends the
 * file: its rows were not relied on, because a journal file is renewed only after the block is
 * synced. When the file has grown to more than twice its living rows, a helper writes these into a
 * file with the next number (name .new, synced, renamed, directory synced) and the old one goes.
 *
 * Changing the format: rows carry a version; a reader refuses a version above its own. Version 1 had
 * no bytes 144 to 167.
 */
#include "log/store_internal.h"

#include "base/crc32c.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BLOCK_MAGIC = 0x50425442,
    BLOCK_HEADER_BYTES = 16,
    ROW_VERSION = 2,
    ROW_SHORTEST_BYTES = 152, /* of version 1, without epochs and state */
    COMPACT_ABOVE_BYTES = 1 * MIB,
};

static void put_i64(struct text *t, int64_t v)
{
    text_put_u64(t, (uint64_t)v);
}

/* Everything that replay needs of this log lies at or above this journal address. */
static uint64_t redo_of(struct log_state *l)
{
    struct tail_search search;
    const struct tail_entry *e;
    tail_search_begin(&search, l, journal_end_address(l->store));
    while ((e = tail_search_next(&search)) != NULL)
        search.below = e->address;
    return search.below;
}

void row_encode(struct log_state *l, uint8_t flags, struct text *out)
{
    const struct direct *d = l->direct;
    size_t start = out->size;
    text_put_u32(out, 0);
    text_put_u8(out, ROW_VERSION);
    text_put_u8(out, (uint8_t)l->log.level);
    text_put_u8(out, flags);
    text_put_u8(out, 0);
    text_put_u64(out, l->log.id);
    put_i64(out, l->log.start);
    put_i64(out, d ? d->synced_offset : l->log.end);
    put_i64(out, l->stored_to);
    put_i64(out, l->parts->segment);
    text_put_u64(out, l->parts->position);
    put_i64(out, l->parts->first_segment);
    text_put_u64(out, l->parts->stored_bytes);
    put_i64(out, l->parts->direct_from);
    put_i64(out, d ? d->synced_segment : -1);
    text_put_u64(out, d ? d->synced_position : 0);
    put_i64(out, d ? d->synced_offset : 0);
    put_i64(out, l->parts->direct_to);
    text_put_u64(out, redo_of(l));
    text_put_u64(out, l->parts->direct_address);
    put_i64(out, l->parts->cut_offset);
    text_put_u64(out, l->parts->cut_address);
    put_i64(out, l->parts->cleaned_to);
    put_i64(out, l->parts->segment_max_timestamp);
    put_i64(out, l->parts->segment_since_ms);
    text_put_u32(out, (uint32_t)l->epochs.count);
    for (size_t i = 0; i < l->epochs.count; i++) {
        text_put_u32(out, (uint32_t)l->epochs.items[i].epoch);
        put_i64(out, l->epochs.items[i].offset);
    }
    size_t state_at = out->size;
    text_put_u32(out, 0);
    if (!flags)
        l->store->owner.checkpoint(l->store->owner.ctx, &l->log, out);
    put_u32(out->data + state_at, (uint32_t)(out->size - state_at - 4));
    put_u32(out->data + start, (uint32_t)(out->size - start));
}

static void block_begin(struct text *t)
{
    t->size = 0;
    text_append_zeros(t, BLOCK_HEADER_BYTES);
}

static void block_end(struct text *t)
{
    put_u32(t->data, BLOCK_MAGIC);
    put_u64(t->data + 8, t->size);
    put_u32(t->data + 4, crc32c(t->data + 8, t->size - 8));
}

static void table_path(uint32_t number, const char *suffix, char out[40])
{
    snprintf(out, 40, "table/%010u.%s", number, suffix);
}

/* ---- reading ---- */

static int64_t get_i64(const uint8_t *p)
{
    return (int64_t)get_u64(p);
}

struct table_reader {
    struct text bytes;
    size_t at;    /* in bytes */
    size_t valid; /* bytes of whole blocks */
    size_t block_end;
};

static enum err reader_open(struct table_reader *r, struct file *f)
{
    uint64_t size;
    memset(r, 0, sizeof *r);
    enum err err = file_size(f, &size);
    if (err)
        return err;
    text_reserve(&r->bytes, size);
    if (size > 0)
        err = file_read(f, 0, r->bytes.data, size);
    r->bytes.size = size;
    return err;
}

/* The size of the whole block at `at`, 0: there is none. */
static size_t block_at(const struct text *t, size_t at)
{
    const uint8_t *p = t->data + at;
    size_t left = t->size - at;
    if (left < BLOCK_HEADER_BYTES || get_u32(p) != BLOCK_MAGIC)
        return 0;
    uint64_t size = get_u64(p + 8);
    bool whole = size >= BLOCK_HEADER_BYTES && size <= left;
    return whole && get_u32(p + 4) == crc32c(p + 8, size - 8) ? size : 0;
}

static bool next_block(struct table_reader *r)
{
    size_t size = block_at(&r->bytes, r->valid);
    r->at = r->valid + BLOCK_HEADER_BYTES;
    r->valid += size;
    r->block_end = r->valid;
    return size > 0;
}

/* Whole blocks end at r->valid. The table was made with its first block, and each block was synced
 * before the next was written, so only the last one may be torn. */
static enum err look_for_rot(const struct table_reader *r)
{
    bool rot = r->valid == 0;
    for (size_t at = r->valid + 1; !rot && at < r->bytes.size; at++)
        rot = block_at(&r->bytes, at) > 0;
    if (!rot)
        return OK;
    return err_set(E_CORRUPT,
                   "damaged at byte %zu, below what was synced; start with --accept-loss to go on "
                   "without what follows",
                   r->valid);
}

/* Where the row counts its epochs. */
static size_t epochs_at(const uint8_t *p)
{
    return p[4] == 1 ? 144 : 168;
}

/* Is what the row says of a living log possible at all? Its numbers are not negative. */
static bool row_is_possible(const uint8_t *p)
{
    int64_t start = get_i64(p + 16), end = get_i64(p + 24), stored_to = get_i64(p + 32);
    int64_t direct_from = get_i64(p + 72), segment = get_i64(p + 80), offset = get_i64(p + 96);
    int64_t direct_to = get_i64(p + 104);
    if (end > INT64_MAX - INT32_MAX || start > INT64_MAX - INT32_MAX || stored_to > end ||
        get_i64(p + 40) > end || get_i64(p + 56) > end)
        return false;
    if (direct_from == INT64_MAX)
        return direct_to == INT64_MAX && start <= end;
    if (stored_to > direct_from)
        return false;
    if (direct_to != INT64_MAX)
        return direct_from <= direct_to && direct_to <= end && start <= end;
    return direct_from <= segment && segment <= offset && offset == end;
}

/* Each {i32 epoch, i64 start}: epochs rise, starts do not fall. */
static bool epochs_are_possible(const uint8_t *p, uint32_t count)
{
    int32_t epoch = -1;
    int64_t start = 0;
    for (; count > 0; count--, p += 12) {
        if ((int32_t)get_u32(p) <= epoch || get_i64(p + 4) < start)
            return false;
        epoch = (int32_t)get_u32(p);
        start = get_i64(p + 4);
    }
    return true;
}

/* Does the row hold what it says? `left`: bytes of the block from the row's first on. */
static enum err row_check(const uint8_t *p, size_t left)
{
    if (left < ROW_SHORTEST_BYTES || get_u32(p) < ROW_SHORTEST_BYTES || get_u32(p) > left)
        return err_set(E_CORRUPT, "a row exceeds its block");
    if (p[4] > ROW_VERSION)
        return err_set(E_UNSUPPORTED, "a row of version %d was written by a newer release", p[4]);
    uint64_t state_at = epochs_at(p) + 4;
    bool fits = state_at + 4 <= get_u32(p);
    if (fits)
        state_at += 12ull * get_u32(p + epochs_at(p));
    fits = fits && state_at + 4 <= get_u32(p) && state_at + 4 + get_u32(p + state_at) == get_u32(p);
    bool possible = p[5] < LEVEL_MEMORY;
    static const int offsets_at[] = {16, 24, 32, 72, 96, 104, 128};
    for (size_t i = 0; i < sizeof offsets_at / sizeof offsets_at[0]; i++)
        possible = possible && get_i64(p + offsets_at[i]) >= 0;
    possible = possible && (p[4] == 1 || get_i64(p + 144) >= 0);
    possible = possible && (p[6] || row_is_possible(p));
    possible =
        possible && fits && epochs_are_possible(p + epochs_at(p) + 4, get_u32(p + epochs_at(p)));
    if (!fits || !possible)
        return err_set(E_CORRUPT, "a row of log %llu makes no sense",
                       (unsigned long long)get_u64(p + 8));
    return OK;
}

/* A later row replaces an earlier one. */
static void note_row(struct idmap *rows, const uint8_t *p, uint64_t *live_bytes)
{
    bool gone = p[6] & ROW_GONE;
    uint64_t id = get_u64(p + 8);
    const uint8_t *old = gone ? idmap_remove(rows, id) : idmap_put(rows, id, (void *)p);
    *live_bytes += gone ? 0 : get_u32(p);
    *live_bytes -= old ? get_u32(old) : 0;
}

/* The newest row of each log, as pointers into the reader's bytes. */
static enum err newest_rows(struct table_reader *r, struct idmap *rows, uint64_t *live_bytes)
{
    *live_bytes = 0;
    while (next_block(r)) {
        for (; r->at < r->block_end; r->at += get_u32(r->bytes.data + r->at)) {
            enum err err = row_check(r->bytes.data + r->at, r->block_end - r->at);
            if (err)
                return err;
            note_row(rows, r->bytes.data + r->at, live_bytes);
        }
    }
    return OK;
}

/* What a compaction, this one or one that was cut, leaves beside the table. */
static enum err remove_leftovers(struct store *s)
{
    char path[40];
    table_path(s->table_number - 1, "table", path);
    enum err err = disk_remove(s->disk, path);
    table_path(s->table_number + 1, "new", path);
    return err ? err : disk_remove(s->disk, path);
}

static enum err write_new_table(struct store *s, struct text *block, uint32_t number)
{
    char path[40], temporary[40];
    struct file *f = NULL;
    table_path(number, "table", path);
    table_path(number, "new", temporary);
    enum err err = disk_open(s->disk, temporary, DISK_CREATE, &f);
    if (!err)
        err = file_truncate(f, 0);
    if (!err)
        err = file_write_bytes(f, 0, text_bytes(block));
    if (!err)
        err = file_sync(f);
    if (!err)
        err = disk_rename(s->disk, temporary, path);
    if (!err)
        err = disk_sync_dir(s->disk, "table");
    if (err) {
        file_close(f);
        if (err == E_NO_SPACE && disk_remove(s->disk, temporary) != OK)
            say_warn("log", "cannot remove %s: %s", temporary, err_text());
        return err_wrap(err, "write %s", path);
    }
    file_close(s->table);
    s->table = f;
    s->table_number = number;
    s->table_size = block->size;
    return remove_leftovers(s);
}

static enum err table_compact(struct store *s)
{
    struct table_reader r;
    struct idmap rows = {0};
    struct text block = {0};
    enum err err = reader_open(&r, s->table);
    if (!err)
        err = newest_rows(&r, &rows, &s->table_live_bytes);
    if (!err) {
        block_begin(&block);
        size_t position = 0;
        const uint8_t *row;
        while ((row = idmap_next(&rows, &position)) != NULL)
            text_append(&block, bytes_of(row, get_u32(row)));
        block_end(&block);
        err = write_new_table(s, &block, s->table_number + 1);
    }
    text_reset(&block);
    idmap_reset(&rows);
    text_reset(&r.bytes);
    return err;
}

static enum err append_block(struct store *s, const struct text *block)
{
    enum err err = file_write_bytes(s->table, s->table_size, text_bytes(block));
    if (!err)
        err = file_sync(s->table);
    if (!err)
        s->table_size += block->size;
    return err;
}

enum err table_append(struct store *s, struct text *rows)
{
    struct text block = {0};
    block_begin(&block);
    text_append(&block, text_bytes(rows));
    block_end(&block);
    enum err err = s->table ? append_block(s, &block) : write_new_table(s, &block, 1);
    bool appended = !err;
    text_reset(&block);
    if (!err && s->table_size > COMPACT_ABOVE_BYTES && s->table_size > 2 * s->table_live_bytes)
        err = table_compact(s);
    if (err == E_NO_SPACE && appended) {
        err_clear();
        err = OK; /* the rows are durable, it is only not compact */
    }
    return err_wrap(err, "write rows of the log table");
}

/* Do the fields say more than that there is nothing? */
static bool row_has_parts(const uint8_t *p)
{
    bool has_segments = get_i64(p + 40) >= 0 || get_i64(p + 56) >= 0 || get_u64(p + 64) > 0;
    bool has_direct = get_i64(p + 72) != INT64_MAX || get_u64(p + 120) > 0;
    bool was_cut = get_u64(p + 136) > 0;
    return has_segments || has_direct || was_cut || (p[4] > 1 && get_i64(p + 144) > 0);
}

static void row_apply_parts(struct log_state *l, const uint8_t *p)
{
    struct log_parts *parts = log_parts(l);
    parts->segment = get_i64(p + 40);
    parts->position = get_u64(p + 48);
    parts->first_segment = get_i64(p + 56);
    parts->stored_bytes = get_u64(p + 64);
    parts->direct_from = get_i64(p + 72);
    parts->recovered_segment = get_i64(p + 80);
    parts->recovered_position = get_u64(p + 88);
    parts->recovered_offset = get_i64(p + 96);
    parts->direct_to = get_i64(p + 104);
    parts->direct_address = get_u64(p + 120);
    parts->cut_offset = get_i64(p + 128);
    parts->cut_address = get_u64(p + 136);
    if (LOG_MUTANT == MUTANT_IGNORE_REDO)
        parts->direct_address = parts->cut_address = 0;
    if (p[4] > 1) {
        parts->cleaned_to = get_i64(p + 144);
        parts->segment_max_timestamp = get_i64(p + 152);
        parts->segment_since_ms = get_i64(p + 160);
    } else {
        parts->segment = -1; /* its largest timestamp is unknown */
    }
}

/* What the row that has just been read says of it. */
static int64_t row_sealed_to(const struct log_state *l)
{
    const struct log_parts *parts = l->parts;
    bool is_direct = l->row_has_part && parts->direct_to == INT64_MAX;
    if (parts->segment >= 0)
        return parts->segment;
    return is_direct && l->stored_to == parts->direct_from ? parts->recovered_segment
                                                           : l->stored_to;
}

static void row_apply(struct store *s, const uint8_t *p)
{
    struct log_state *l = log_state(store_log(s, get_u64(p + 8), p[5]));
    l->has_row = true;
    l->deleted = p[6] & ROW_DELETED;
    l->log.start = get_i64(p + 16);
    l->log.end = get_i64(p + 24);
    l->stored_to = get_i64(p + 32);
    l->redo = LOG_MUTANT == MUTANT_IGNORE_REDO ? 0 : get_u64(p + 112);
    if (log_has_parts(l) || row_has_parts(p))
        row_apply_parts(l, p);
    l->row_has_part = l->parts->direct_from != INT64_MAX;
    if (log_has_parts(l))
        log_parts(l)->row_sealed_to = row_sealed_to(l);
    uint32_t epochs = get_u32(p + epochs_at(p));
    const uint8_t *at = p + epochs_at(p) + 4;
    for (uint32_t i = 0; i < epochs; i++, at += 12)
        log_note_epoch(l, (int32_t)get_u32(at), get_i64(at + 4));
    struct bytes state = bytes_of(at + 4, get_u32(at));
    if (state.size > 0 && !l->deleted)
        s->owner.restore(s->owner.ctx, l->log.id, state);
}

static void note_number(void *ctx, const char *name)
{
    struct store *s = ctx;
    struct bytes text = bytes_from_string(name);
    int64_t number;
    if (text.size > 6 && strcmp(name + text.size - 6, ".table") == 0 &&
        number_parse_i64(bytes_of(name, text.size - 6), &number) && number > s->table_number &&
        number < UINT32_MAX)
        s->table_number = (uint32_t)number;
}

enum err table_load(struct store *s)
{
    enum err err = disk_list(s->disk, "table", note_number, s);
    if (err || s->table_number == 0)
        return err; /* the first rows make it */
    char path[40];
    struct table_reader r = {0};
    struct idmap rows = {0};
    table_path(s->table_number, "table", path);
    err = disk_open(s->disk, path, 0, &s->table);
    if (!err)
        err = reader_open(&r, s->table);
    if (!err)
        err = newest_rows(&r, &rows, &s->table_live_bytes);
    if (!err && r.valid < r.bytes.size && !s->config.accept_loss)
        err = look_for_rot(&r);
    if (!err)
        err = file_sync(s->table); /* a killed process may not have come to it */
    if (!err)
        err = remove_leftovers(s);
    s->table_size = r.valid;
    size_t position = 0;
    const uint8_t *row;
    while (!err && (row = idmap_next(&rows, &position)) != NULL)
        row_apply(s, row);
    idmap_reset(&rows);
    text_reset(&r.bytes);
    return err_wrap(err, "read %s", path);
}
