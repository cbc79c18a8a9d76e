/*
 * The part of a read that works on files, in a job: a run of the journal, or a stretch of a segment
 * that the segment's index helps to find.
 */
#include "log/read_internal.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

static enum err read_journal(struct log_read_internal *r)
{
    enum err err = OK;
    size_t total = 0;
    for (size_t i = 0; i < r->entries.count; i++)
        total += r->entries.items[i].size;
    r->data = xmalloc(total);
    for (size_t i = 0; i < r->entries.count && !err; i++) {
        const struct tail_entry *e = &r->entries.items[i];
        uint8_t *p = r->data + r->size;
        err = file_read(r->file->file, e->address - r->file->base, p, e->size);
        if (!err)
            batch_stamp(p, e->base_offset, e->epoch);
        r->size += e->size;
    }
    return err;
}

/* ---- finding the position in a segment ---- */

struct segment_view {
    struct file *file;
    int64_t base;
    uint64_t size;
    const index_entries *index; /* in memory, or NULL: */
    struct file *index_file;    /* may be NULL too: walk from the start */
    uint64_t index_count;
};

static void view_close(struct segment_view *v)
{
    file_close(v->file);
    file_close(v->index_file);
}

static enum err view_open(struct log_read_internal *r, int64_t base, struct segment_view *v)
{
    char path[64];
    struct disk *d = r->store->disk;
    memset(v, 0, sizeof *v);
    v->base = base;
    segment_path(r->log->log.id, base, "log", path);
    enum err err = disk_open(d, path, DISK_READ_ONLY, &v->file);
    if (!err)
        err = file_size(v->file, &v->size);
    if (err)
        return err;
    if (base == r->active_segment) {
        v->index = &r->active_index;
        v->index_count = r->active_index.count;
        v->size = r->active_size < v->size ? r->active_size : v->size;
        return OK;
    }
    if (base == r->growing_segment && r->growing_size < v->size)
        v->size = r->growing_size; /* behind it lies what a helper writes, or left at a crash */
    uint64_t bytes = 0;
    segment_path(r->log->log.id, base, "index", path);
    if (disk_open(d, path, DISK_READ_ONLY, &v->index_file) == OK &&
        file_size(v->index_file, &bytes) == OK)
        v->index_count = bytes / INDEX_ENTRY_BYTES;
    err_clear();
    return OK;
}

static bool index_get(struct segment_view *v, uint64_t i, struct index_entry *out)
{
    uint8_t p[INDEX_ENTRY_BYTES];
    if (v->index) {
        *out = v->index->items[i];
        return true;
    }
    if (file_read(v->index_file, i * INDEX_ENTRY_BYTES, p, sizeof p) != OK)
        return false;
    out->offset = (int64_t)get_u64(p);
    out->position = (uint32_t)get_u64(p + 8);
    out->max_timestamp = (int64_t)get_u64(p + 16);
    return out->position < v->size && out->offset >= v->base;
}

/* The last index entry for which the answer cannot lie before it; position 0 when there is none. */
static uint64_t start_position(struct log_read_internal *r, struct segment_view *v)
{
    uint64_t low = 0, high = v->index_count; /* entries below `low` are certainly before */
    struct index_entry e;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (!index_get(v, middle, &e))
            return 0;
        bool before = r->kind == READ_FROM ? e.offset <= r->from : e.max_timestamp < r->timestamp;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || !index_get(v, low - 1, &e))
        return 0;
    uint8_t p[8]; /* an index that does not fit its segment is not believed */
    if (file_read(v->file, e.position, p, sizeof p) != OK || (int64_t)get_u64(p) != e.offset)
        return 0;
    return e.position;
}

static bool batch_header_at(struct segment_view *v, uint64_t position, struct batch *b,
                            uint8_t *header)
{
    if (position + BATCH_HEADER_BYTES > v->size ||
        file_read(v->file, position, header, BATCH_HEADER_BYTES) != OK || header[16] != 2)
        return false;
    b->base_offset = (int64_t)get_u64(header);
    b->raw.size = (size_t)get_u32(header + 8) + BATCH_PREFIX_BYTES;
    b->last_offset_delta = (int32_t)get_u32(header + 23);
    b->max_timestamp = (int64_t)get_u64(header + 35);
    return b->raw.size >= BATCH_HEADER_BYTES && position + b->raw.size <= v->size;
}

/* Walk to the first batch that is an answer. false: the segment has none. */
static bool find_batch(struct log_read_internal *r, struct segment_view *v, uint64_t *position,
                       uint64_t *size)
{
    uint8_t header[BATCH_HEADER_BYTES];
    struct batch b;
    uint64_t best = UINT64_MAX, at = r->kind == READ_MAX_TIME ? 0 : start_position(r, v);
    for (; batch_header_at(v, at, &b, header); at += b.raw.size) {
        if (b.base_offset >= r->stored_limit || b.base_offset >= r->limit)
            break;
        if (batch_last_offset(&b) < r->from)
            continue;
        if (r->kind == READ_MAX_TIME) {
            if (b.max_timestamp < r->timestamp)
                continue;
            r->timestamp = b.max_timestamp + 1; /* of equals, the first */
            best = at;
            *size = b.raw.size;
            continue;
        }
        if (r->kind == READ_AT_TIME && b.max_timestamp < r->timestamp)
            continue;
        *position = at;
        *size = b.raw.size;
        return true;
    }
    *position = best;
    return best != UINT64_MAX;
}

static enum err read_stretch(struct log_read_internal *r, struct segment_view *v, uint64_t position,
                             uint64_t first_size)
{
    uint64_t size = r->kind == READ_FROM && r->max_bytes > first_size ? r->max_bytes : first_size;
    if (size > v->size - position)
        size = v->size - position;
    free(r->data);
    r->data = xmalloc(size);
    r->size = size;
    return file_read(v->file, position, r->data, size);
}

static enum err read_segments(struct log_read_internal *r)
{
    segment_bases bases = {0};
    enum err err = segment_list(r->store->disk, r->log->log.id, &bases);
    bool found = false;
    size_t i = 0;
    while (r->kind == READ_FROM && i + 1 < bases.count && bases.items[i + 1] <= r->from)
        i++;
    for (; !err && i < bases.count; i++) {
        struct segment_view v;
        uint64_t position = 0, size = 0;
        err = view_open(r, bases.items[i], &v);
        if (!err && find_batch(r, &v, &position, &size)) {
            found = true;
            err = read_stretch(r, &v, position, size);
        }
        view_close(&v);
        if (found && r->kind != READ_MAX_TIME)
            break;
    }
    r->beyond = !found;
    vec_reset(&bases);
    return err;
}

void read_file_run(struct job *job)
{
    struct log_read_internal *r = container_of(job, struct log_read_internal, job);
    if (r->nothing_to_do)
        return;
    metrics_add(METRIC_read_jobs, 1);
    r->err = r->entries.count ? read_journal(r) : read_segments(r);
    if (r->err)
        snprintf(r->error, sizeof r->error, "%s", err_text());
}
