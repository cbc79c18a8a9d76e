/*
 * The part of compaction that works on files, in jobs of about a MiB each. What is read was checked
 * when it came, but disks rot: a batch that does not check or decode ends the pass.
 *
 * A group of neighbouring segments, first base B, becomes one: the successor is written to B.cleaned
 * and synced; renamed to B.log, and the folder synced; then the others of the group are unlinked from
 * the oldest to the newest, each durably before the next. At every moment a reader who takes the last
 * segment that begins at or below an offset finds every record there that compaction keeps: what is
 * left of a group after a crash are its newest old segments, of which each is complete. The next pass
 * meets them as segments that begin inside the one before, and drops them: the last batch of a group
 * stays, if need be without records, so that it is known how far its successor reaches.
 */
#include "log/compact_internal.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SLICE_BYTES = 1 * MIB,
    WINDOW_BYTES = 1 * MIB,
    WRITE_BYTES = 256 * KIB,
    GROUP_SEGMENTS = 16,
    INFLATE_MAX_BYTES = 64 * MIB,
    PRODUCERS_MAX = 65536,
};

/* ---- walking ---- */

static void walker_close(struct walker *w)
{
    file_close(w->file);
    w->file = NULL;
}

static enum err walker_open(struct compaction *c, int64_t base)
{
    char path[64];
    struct walker *w = &c->walker;
    segment_path(c->log->log.id, base, "log", path);
    walker_close(w);
    w->position = w->window_at = 0;
    w->window.size = 0;
    enum err err = disk_open(c->store->disk, path, DISK_READ_ONLY, &w->file);
    return err ? err : file_size(w->file, &w->size);
}

/* `size` bytes at the walker's position, in memory. */
static enum err walker_need(struct compaction *c, uint64_t size)
{
    struct walker *w = &c->walker;
    if (size > w->size - w->position)
        return err_set(E_CORRUPT, "the segment ends inside a batch");
    if (w->position + size <= w->window_at + w->window.size)
        return OK;
    uint64_t left = w->size - w->position;
    uint64_t wanted = size > WINDOW_BYTES ? size : left < WINDOW_BYTES ? left : WINDOW_BYTES;
    w->window.size = 0;
    uint8_t *p = text_reserve(&w->window, wanted);
    enum err err = file_read(w->file, w->position, p, wanted);
    if (err)
        return err;
    w->window.size = wanted;
    w->window_at = w->position;
    c->slice_bytes += wanted;
    metrics_add(METRIC_compaction_read_bytes, wanted);
    return OK;
}

/* Space that was preallocated and could not be given back when the segment was sealed. */
static bool is_unused(const uint8_t *p)
{
    static const uint8_t zeros[BATCH_HEADER_BYTES];
    return memcmp(p, zeros, sizeof zeros) == 0;
}

/* The batch at the walker's position, checked, and step over it; raw.data NULL where unused space
 * begins. */
static enum err walker_batch(struct compaction *c, struct batch *out)
{
    struct walker *w = &c->walker;
    enum err err = walker_need(c, BATCH_HEADER_BYTES);
    if (!err && is_unused(w->window.data + (w->position - w->window_at))) {
        w->position = w->size;
        *out = (struct batch){.last_offset_delta = -1};
        return OK;
    }
    if (!err)
        err = batch_header_get(w->window.data + (w->position - w->window_at), out);
    if (!err)
        err = walker_need(c, out->raw.size);
    if (!err)
        err = batch_header_get(w->window.data + (w->position - w->window_at), out);
    if (!err && !batch_is_intact(out))
        err = err_set(E_CORRUPT, "a batch has a wrong checksum");
    if (err)
        return err_wrap(E_CORRUPT, "segment position %llu", (unsigned long long)w->position);
    w->position += out->raw.size;
    return OK;
}

/* The next batch of the segments c->bases from next_base on; *found false at their end. Batches that
 * were met already are passed over. */
static enum err next_batch(struct compaction *c, struct batch *out, bool *found)
{
    struct walker *w = &c->walker;
    enum err err = OK;
    *found = false;
    while (!err && !*found) {
        if (w->file && w->position < w->size) {
            err = walker_batch(c, out);
            *found = !err && out->raw.data && batch_last_offset(out) >= c->next_offset;
            c->is_changed = c->is_changed || !*found;
        } else if (c->next_base < c->bases.count) {
            err = walker_open(c, c->bases.items[c->next_base++]);
        } else {
            break;
        }
    }
    if (*found)
        c->next_offset = batch_last_offset(out) + 1;
    return err;
}

/* ---- the plan ---- */

struct leftovers {
    struct compaction *c;
    enum err err;
};

static void remove_leftover(void *ctx, const char *name)
{
    struct leftovers *l = ctx;
    char path[320];
    size_t size = strlen(name);
    if (l->err || size < 8 || strcmp(name + size - 8, ".cleaned") != 0)
        return;
    snprintf(path, sizeof path, "logs/%llu/%s", (unsigned long long)l->c->log->log.id, name);
    l->err = disk_remove(l->c->store->disk, path);
}

/* What a pass that was cut has left. */
static enum err remove_leftovers(struct compaction *c)
{
    char dir[40];
    struct leftovers l = {.c = c};
    log_dir(c->log->log.id, dir);
    enum err err = disk_list(c->store->disk, dir, remove_leftover, &l);
    return err ? err : l.err;
}

static enum err first_time(struct compaction *c, int64_t base, int64_t *out)
{
    struct batch b;
    enum err err = walker_open(c, base);
    if (!err && c->walker.size > 0) {
        err = walker_batch(c, &b);
        if (!err && b.raw.data)
            *out = b.max_timestamp;
    }
    walker_close(&c->walker);
    return err;
}

/* Is it time, by the bytes that are dirty or by the age of the first? */
static void decide(struct compaction *c, uint64_t dirty, int64_t first_ms)
{
    const struct log_policy *p = &c->policy;
    uint64_t all = c->stored_bytes > dirty ? c->stored_bytes : dirty;
    bool by_age = false;
    if (dirty == 0)
        return;
    if (first_ms >= 0 && p->max_compaction_lag_ms < INT64_MAX - first_ms) {
        int64_t due_ms = first_ms + p->max_compaction_lag_ms + 1;
        by_age = due_ms <= c->now_ms;
        c->due_ms = due_ms < c->due_ms ? due_ms : c->due_ms;
    }
    c->is_wanted = by_age || (double)dirty > p->min_dirty_ratio * (double)all;
}

static enum err plan(struct compaction *c)
{
    uint64_t dirty = 0;
    int64_t first_ms = -1;
    enum err err = remove_leftovers(c);
    if (!err)
        err = segment_list(c->store->disk, c->log->log.id, &c->bases);
    c->due_ms = INT64_MAX;
    c->to = c->cleaned_to;
    for (size_t i = 0; i < c->bases.count && !err && c->bases.items[i] < c->sealed_to; i++) {
        int64_t end = i + 1 < c->bases.count ? c->bases.items[i + 1] : c->sealed_to;
        uint64_t size;
        int64_t newest_ms, lag_ms = c->policy.min_compaction_lag_ms;
        if (end <= c->start || end <= c->cleaned_to)
            continue;
        if (end > c->sealed_to)
            end = c->sealed_to;
        err = segment_summary(c->store, c->log, c->bases.items[i], &size, &newest_ms);
        if (!err && lag_ms > 0 && newest_ms >= 0 && newest_ms > c->now_ms - lag_ms) {
            c->due_ms = newest_ms < INT64_MAX - lag_ms ? newest_ms + lag_ms : INT64_MAX;
            break;
        }
        if (!err && first_ms < 0)
            err = first_time(c, c->bases.items[i], &first_ms);
        dirty += err ? 0 : size;
        c->to = end;
    }
    if (!err)
        decide(c, dirty, first_ms);
    c->is_done = true;
    return err;
}

/* ---- the map ---- */

static enum err begin_map(struct compaction *c)
{
    segment_bases all = {0};
    enum err err = segment_list(c->store->disk, c->log->log.id, &all);
    c->bases.count = c->next_base = 0;
    for (size_t i = 0; i < all.count; i++) {
        int64_t end = i + 1 < all.count ? all.items[i + 1] : c->to;
        if (end > c->cleaned_to && all.items[i] < c->to)
            vec_push(&c->bases, all.items[i]);
    }
    vec_reset(&all);
    walker_close(&c->walker);
    c->next_offset = c->cleaned_to;
    c->is_mapped = true;
    return err;
}

/* Batches whose records are neither superseded nor supersede: what is in a transaction may be aborted
 * yet, and control batches are its marks. */
static bool is_kept_whole(const struct batch *b)
{
    return batch_is_control(b) || b->attributes & BATCH_TRANSACTIONAL;
}

static void note_producer(struct compaction *c, const struct batch *b)
{
    if (b->producer_id < 0)
        return;
    uint64_t id = (uint64_t)b->producer_id;
    if (c->producers.count < PRODUCERS_MAX || idmap_get(&c->producers, id))
        idmap_put(&c->producers, id, (void *)(uintptr_t)(b->base_offset + 1));
}

/* *map_to: where it ended, when the map is full. */
static enum err map_batch(struct compaction *c, const struct batch *b, int64_t *map_to)
{
    struct bytes records;
    struct record_reader reader;
    struct record r;
    note_producer(c, b);
    if (is_kept_whole(b) || b->record_count == 0)
        return OK;
    enum err err = batch_inflate(b, INFLATE_MAX_BYTES, &c->compactor.inflated, &records);
    if (err)
        return err_wrap(E_CORRUPT, "batch at offset %lld", (long long)b->base_offset);
    record_reader_init(&reader, b, b->base_offset, records);
    while (record_reader_next(&reader, &r)) {
        if (!r.key.data || r.offset < c->cleaned_to)
            continue;
        if (!key_map_put(&c->keys, r.key, r.offset)) {
            *map_to = r.offset;
            return OK;
        }
    }
    return reader.left == 0 ? OK
                            : err_set(E_CORRUPT, "batch at offset %lld ends before its records do",
                                      (long long)b->base_offset);
}

static enum err map_slice(struct compaction *c)
{
    enum err err = c->is_mapped ? OK : begin_map(c);
    while (!err && !c->is_done && c->slice_bytes < SLICE_BYTES) {
        struct batch b;
        bool found;
        int64_t full_at = -1;
        err = next_batch(c, &b, &found);
        if (!err && found)
            err = map_batch(c, &b, &full_at);
        c->map_to = full_at >= 0 ? full_at : c->to;
        c->is_done = !found || full_at >= 0;
    }
    return err;
}

/* ---- rewriting ---- */

static enum err choose_group(struct compaction *c)
{
    segment_bases all = {0};
    enum err err = segment_list(c->store->disk, c->log->log.id, &all);
    c->bases.count = c->next_base = 0;
    c->group_bytes = 0;
    for (size_t i = 0; i < all.count && !err && c->bases.count < GROUP_SEGMENTS; i++) {
        int64_t base = all.items[i], end = i + 1 < all.count ? all.items[i + 1] : c->sealed_to;
        uint64_t size = 0;
        if (base < c->group_from || end <= c->start)
            continue;
        if (base >= c->map_to || base >= c->sealed_to)
            break;
        err = walker_open(c, base);
        size = err ? 0 : c->walker.size;
        if (c->bases.count > 0 && c->group_bytes + size > c->segment_bytes)
            break;
        vec_push(&c->bases, base);
        c->group_bytes += size;
        c->group_end = end;
    }
    walker_close(&c->walker);
    vec_reset(&all);
    return err;
}

static void cleaned_path(const struct compaction *c, char out[64])
{
    segment_path(c->log->log.id, c->group_base, "cleaned", out);
}

static enum err begin_group(struct compaction *c)
{
    char path[64];
    enum err err = choose_group(c);
    if (err || c->bases.count == 0)
        return err;
    c->group_base = c->bases.items[0];
    c->last_is_dropped = false;
    c->out_bytes = c->indexed = 0;
    c->pending.size = 0;
    c->index.count = 0;
    c->max_timestamp = INT64_MIN;
    c->is_changed = c->bases.count > 1;
    cleaned_path(c, path);
    err = disk_open(c->store->disk, path, DISK_CREATE, &c->out);
    return err ? err : file_truncate(c->out, 0);
}

static enum err write_pending(struct compaction *c)
{
    enum err err = OK;
    if (c->pending.size > 0)
        err = file_write_bytes(c->out, c->out_bytes - c->pending.size, text_bytes(&c->pending));
    c->slice_bytes += c->pending.size;
    metrics_add(METRIC_compaction_write_bytes, c->pending.size);
    c->pending.size = 0;
    return err;
}

static bool keep_record(void *ctx, const struct record *r, bool may_go)
{
    const struct compaction *c = ctx;
    if (r->offset >= c->map_to || !r->key.data)
        return true;
    bool is_newest = r->offset >= key_map_get(&c->keys, r->key);
    return is_newest && (r->value.data || !may_go);
}

static bool is_newest_of_producer(const struct compaction *c, const struct batch *b)
{
    if (b->producer_id < 0)
        return false;
    uintptr_t newest = (uintptr_t)idmap_get(&c->producers, (uint64_t)b->producer_id);
    return newest == 0 || newest == (uintptr_t)(b->base_offset + 1); /* 0: there were too many */
}

static bool is_last_of_group(const struct compaction *c)
{
    return c->walker.position == c->walker.size && c->next_base == c->bases.count;
}

static enum err put_batch(struct compaction *c, struct bytes raw)
{
    struct batch b;
    enum err err = batch_parse(raw, &b);
    if (err)
        return err;
    if (b.max_timestamp > c->max_timestamp)
        c->max_timestamp = b.max_timestamp;
    index_note(
        &c->index, &c->indexed,
        (struct index_entry){b.base_offset, (uint32_t)c->out_bytes, b.crc, c->max_timestamp});
    text_append(&c->pending, raw);
    c->out_bytes += raw.size;
    return c->pending.size >= WRITE_BYTES ? write_pending(c) : OK;
}

static enum err rewrite_batch(struct compaction *c, const struct batch *b)
{
    struct bytes out = b->raw;
    struct batch_rules rules = {
        .keep = keep_record,
        .ctx = c,
        .now_ms = c->now_ms,
        .delete_retention_ms = c->policy.delete_retention_ms,
        .keep_empty = is_newest_of_producer(c, b) || is_last_of_group(c),
        .inflate_limit = INFLATE_MAX_BYTES,
    };
    enum err err = OK;
    if (!is_kept_whole(b) && b->base_offset < c->map_to)
        err = batch_compact(b, &rules, &c->compactor, &out);
    if (err)
        return err_wrap(E_CORRUPT, "batch at offset %lld", (long long)b->base_offset);
    c->is_changed = c->is_changed || out.data != b->raw.data;
    c->last_is_dropped = !out.data;
    c->last = *b;
    return out.data ? put_batch(c, out) : OK;
}

/* Segments behind the group that begin inside it: what a crash has left of a group that was compacted
 * before. They go with it. */
static enum err add_covered(struct compaction *c)
{
    segment_bases all = {0};
    enum err err = segment_list(c->store->disk, c->log->log.id, &all);
    for (size_t i = 0; i < all.count && !err; i++) {
        int64_t base = all.items[i];
        if (base <= vec_last(&c->bases) || base >= c->next_offset)
            continue;
        vec_push(&c->bases, base);
        err = walker_open(c, base);
        c->group_bytes += err ? 0 : c->walker.size;
        c->group_end = i + 1 < all.count ? all.items[i + 1] : c->sealed_to;
        c->is_changed = true;
    }
    vec_reset(&all);
    return err;
}

/* The group is copied. If it is as it was, its successor goes again. */
static enum err end_group(struct compaction *c)
{
    char path[64];
    enum err err = add_covered(c);
    if (!err && c->last_is_dropped) /* the new file shows how far it reaches, see above */
        err = put_batch(c, batch_make_empty(&c->last, &c->compactor.out));
    if (!err)
        err = write_pending(c);
    walker_close(&c->walker);
    if (!err && c->is_changed)
        err = file_sync(c->out);
    file_close(c->out);
    c->out = NULL;
    c->is_done = true;
    cleaned_path(c, path);
    return err || c->is_changed ? err : disk_remove(c->store->disk, path);
}

static enum err rewrite_slice(struct compaction *c)
{
    enum err err = c->out ? OK : begin_group(c);
    if (!err && c->bases.count == 0) {
        c->is_done = true; /* that was all */
        return OK;
    }
    while (!err && !c->is_done && c->slice_bytes < SLICE_BYTES) {
        struct batch b;
        bool found;
        err = next_batch(c, &b, &found);
        if (!err)
            err = found ? rewrite_batch(c, &b) : end_group(c);
    }
    return err;
}

/* ---- the swap ---- */

/* Held open, so that the space of what loses its name is given back in steps. */
static enum err hold_old(struct compaction *c, int64_t base)
{
    char path[64];
    struct unnamed_file old = {0};
    segment_path(c->log->log.id, base, "log", path);
    enum err err = disk_open(c->store->disk, path, 0, &old.file);
    if (!err)
        err = file_size(old.file, &old.size);
    if (err)
        file_close(old.file);
    else
        vec_push(&c->old, old);
    return err;
}

static enum err unlink_rest(struct compaction *c, const char *dir)
{
    enum err err = OK;
    for (size_t i = 1; i < c->bases.count && !err; i++) {
        err = segment_remove(c->store->disk, c->log->log.id, c->bases.items[i]);
        if (!err)
            err = disk_sync_dir(c->store->disk, dir);
    }
    return err;
}

static enum err swap(struct compaction *c)
{
    char dir[40], from[64], to[64];
    struct disk *d = c->store->disk;
    enum err err = OK;
    log_dir(c->log->log.id, dir);
    cleaned_path(c, from);
    segment_path(c->log->log.id, c->group_base, "log", to);
    for (size_t i = 0; i < c->bases.count && !err; i++)
        err = hold_old(c, c->bases.items[i]);
    if (!err && LOG_MUTANT == MUTANT_UNLINK_EARLY)
        err = unlink_rest(c, dir);
    if (!err)
        err = disk_rename(d, from, to);
    if (!err)
        err = disk_sync_dir(d, dir);
    if (!err)
        err = index_write(d, c->log->log.id, c->group_base, &c->index);
    if (!err)
        err = unlink_rest(c, dir);
    c->is_done = true;
    return err;
}

/* ---- all of it ---- */

/* The pass ends with an error: what was written so far only takes space. */
static void drop_successor(struct compaction *c)
{
    char path[64];
    file_close(c->out);
    c->out = NULL;
    cleaned_path(c, path);
    if (disk_remove(c->store->disk, path) != OK)
        say_warn("log", "cannot remove %s: %s", path, err_text());
}

void compact_run(struct job *job)
{
    struct compaction *c = container_of(job, struct compaction, job);
    c->slice_bytes = 0;
    c->is_done = false;
    switch (c->phase) {
    case COMPACT_PLAN: c->err = plan(c); break;
    case COMPACT_MAP: c->err = map_slice(c); break;
    case COMPACT_REWRITE: c->err = rewrite_slice(c); break;
    case COMPACT_SWAP: c->err = swap(c); break;
    case COMPACT_WAIT:
    case COMPACT_END: check(false);
    }
    if (c->err) {
        snprintf(c->error, sizeof c->error, "%s", err_text());
        drop_successor(c);
    }
}

void compaction_free(struct compaction *c)
{
    walker_close(&c->walker);
    file_close(c->out);
    for (size_t i = 0; i < c->old.count; i++)
        file_close(c->old.items[i].file);
    text_reset(&c->walker.window);
    text_reset(&c->pending);
    batch_compactor_reset(&c->compactor);
    key_map_reset(&c->keys);
    idmap_reset(&c->producers);
    vec_reset(&c->bases);
    vec_reset(&c->index);
    vec_reset(&c->old);
    free(c);
}
