/*
 * The part of a read that works on files, in a job: a run of the journal, or a stretch of a segment
 * that the segment's index helps to find.
 */
#include "log/read_internal.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

/* Batches of other logs lie between: to wait for each would take as many of the disk's answers. */
static enum err read_journal(struct log_read_internal *r)
{
    enum err err = OK;
    size_t total = 0, started = 0;
    uint64_t ahead = 0;
    for (size_t i = 0; i < r->entries.count; i++)
        total += r->entries.items[i].size;
    r->data = xmalloc(total);
    for (size_t i = 0; i < r->entries.count && !err; i++) {
        const struct tail_entry *e = &r->entries.items[i];
        for (; started < r->entries.count && ahead < READ_AHEAD_BYTES; started++) {
            const struct tail_entry *next = &r->entries.items[started];
            uint64_t at = next->address - r->file->base;
            file_start_read(r->file->file, at, at + next->size);
            ahead += ahead_bytes(next->size);
        }
        ahead -= ahead_bytes(e->size);
        uint8_t *p = r->data + r->size;
        err = file_read(r->file->file, e->address - r->file->base, p, e->size);
        if (!err)
            batch_stamp(p, e->base_offset, e->epoch);
        r->size += e->size;
    }
    return err;
}

/* ---- finding the position in a segment ---- */

enum {
    WINDOW_BYTES = 4 * KIB, /* of headers: many of small batches in one read */
    STRETCH_MIN_BYTES = 64 * KIB,
};

struct segment_view {
    struct file *file;
    bool is_known; /* the file is that of the read's known place */
    int64_t base;
    uint64_t size;
    const index_entries *index; /* in memory, or NULL: */
    struct file *index_file;    /* may be NULL too: walk from the start */
    uint64_t index_count;
    uint8_t header[BATCH_HEADER_BYTES]; /* looked at last; zeros where the file ends before */
    enum err err;                       /* of reading one: what follows is not known */
    uint64_t window_at;
    size_t window_bytes; /* of `window`; 0: nothing was read yet */
    uint8_t window[WINDOW_BYTES];
};

static void view_close(struct segment_view *v)
{
    if (!v->is_known)
        file_close(v->file);
    file_close(v->index_file);
}

static enum err open_file(struct log_read_internal *r, struct segment_view *v)
{
    char path[64];
    v->is_known = r->known.holder && r->known.segment == v->base;
    if (v->is_known) {
        v->file = r->known.holder->file;
        return OK;
    }
    segment_path(r->log->log.id, v->base, "log", path);
    return disk_open(r->store->disk, path, DISK_READ_ONLY, &v->file);
}

/* A missing index only makes the way longer. */
static void open_index(struct log_read_internal *r, struct segment_view *v)
{
    char path[64];
    uint64_t bytes = 0;
    segment_path(r->log->log.id, v->base, "index", path);
    if (disk_open(r->store->disk, path, DISK_READ_ONLY, &v->index_file) == OK &&
        file_size(v->index_file, &bytes) == OK)
        v->index_count = bytes / INDEX_ENTRY_BYTES;
    err_clear();
}

static enum err view_open(struct log_read_internal *r, int64_t base, struct segment_view *v)
{
    memset(v, 0, offsetof(struct segment_view, window));
    v->base = base;
    enum err err = open_file(r, v);
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
    if (!v->is_known)
        open_index(r, v);
    return OK;
}

static bool index_get(struct segment_view *v, uint64_t i, struct index_entry *out)
{
    uint8_t p[INDEX_ENTRY_BYTES];
    if (v->index) {
        *out = v->index->items[i];
        return true;
    }
    return file_read(v->index_file, i * INDEX_ENTRY_BYTES, p, sizeof p) == OK &&
           index_entry_get(p, out) && out->position < v->size && out->offset >= v->base;
}

static bool is_in_window(const struct segment_view *v, uint64_t position)
{
    return position >= v->window_at &&
           position + sizeof v->header <= v->window_at + v->window_bytes;
}

/* Have the header at `position` in the window. E_OUT_OF_RANGE: the file is shorter than it was. */
static enum err move_window(struct segment_view *v, uint64_t position)
{
    uint64_t left = v->size - position;
    size_t size = left < sizeof v->window ? (size_t)left : sizeof v->window;
    enum err err = file_read(v->file, position, v->window, size);
    if (err == E_OUT_OF_RANGE && size > sizeof v->header) {
        size = sizeof v->header;
        err = file_read(v->file, position, v->window, size);
    }
    v->window_at = position;
    v->window_bytes = err ? 0 : size;
    return err;
}

static bool batch_header_at(struct segment_view *v, uint64_t position, struct batch *b)
{
    enum err err = E_OUT_OF_RANGE;
    if (position + sizeof v->header <= v->size)
        err = is_in_window(v, position) ? OK : move_window(v, position);
    if (err)
        memset(v->header, 0, sizeof v->header);
    else
        memcpy(v->header, v->window + (position - v->window_at), sizeof v->header);
    if (err && err != E_OUT_OF_RANGE) /* that: sealed meanwhile, there was only room */
        v->err = err;
    return !err && batch_header_get(v->header, b) == OK && position + b->raw.size <= v->size;
}

/* An index that does not fit its segment is not believed. */
static bool index_fits(struct segment_view *v, const struct index_entry *e)
{
    struct batch b;
    return batch_header_at(v, e->position, &b) && b.base_offset == e->offset && b.crc == e->crc;
}

/* The last index entry for which the answer cannot lie before it; false when there is none. */
static bool find_entry(enum log_read_kind kind, int64_t from, int64_t timestamp,
                       struct segment_view *v, struct index_entry *out)
{
    uint64_t low = 0, high = v->index_count; /* entries below `low` are certainly before */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (!index_get(v, middle, out))
            return false;
        bool before = kind == READ_FROM ? out->offset <= from : out->max_timestamp < timestamp;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && index_get(v, low - 1, out) && index_fits(v, out);
}

static uint64_t start_position(struct log_read_internal *r, struct segment_view *v)
{
    struct index_entry e;
    if (v->is_known)
        return r->known.position;
    enum log_read_kind kind = r->kind == READ_FROM ? READ_FROM : READ_AT_TIME;
    return find_entry(kind, r->from, r->timestamp, v, &e) ? e.position : 0;
}

static bool is_asked_for(const struct log_read_internal *r, const struct batch *b)
{
    return batch_last_offset(b) >= r->from && b->base_offset < r->limit &&
           b->base_offset < r->stored_limit;
}

/* The largest timestamp of the batches in the view that may be an answer: the newest index entry's,
 * or of a batch behind it. */
static int64_t view_max_timestamp(const struct log_read_internal *r, struct segment_view *v)
{
    struct index_entry e;
    struct batch b;
    bool usable = v->index_count > 0 && v->base >= r->from &&
                  index_get(v, v->index_count - 1, &e) && index_fits(v, &e) &&
                  e.offset < r->limit && e.offset < r->stored_limit;
    if (!usable)
        e = (struct index_entry){.max_timestamp = INT64_MIN};
    for (uint64_t at = e.position; batch_header_at(v, at, &b); at += b.raw.size)
        if (is_asked_for(r, &b) && b.max_timestamp > e.max_timestamp)
            e.max_timestamp = b.max_timestamp;
    return e.max_timestamp;
}

/* The header that was read last: room that was allocated and never written, or the end. */
static bool is_blank(const struct segment_view *v)
{
    static const uint8_t blank[BATCH_HEADER_BYTES];
    return memcmp(v->header, blank, sizeof blank) == 0;
}

/* Walk to the first batch that is an answer. false: the segment has none, or v->err. */
static bool find_batch(struct log_read_internal *r, struct segment_view *v, uint64_t *position,
                       uint64_t *size)
{
    struct batch b;
    int64_t next = v->base;
    for (uint64_t at = start_position(r, v); batch_header_at(v, at, &b); at += b.raw.size) {
        next = batch_last_offset(&b) + 1;
        if (b.base_offset >= r->stored_limit || b.base_offset >= r->limit)
            return false;
        if (batch_last_offset(&b) < r->from ||
            (r->kind != READ_FROM && b.max_timestamp < r->timestamp))
            continue;
        *position = at;
        *size = b.raw.size;
        return true;
    }
    if (!v->err && next < r->limit && next < r->stored_limit && !is_blank(v))
        v->err = err_set(E_CORRUPT, "log %llu: no batch header where offset %lld should be",
                         (unsigned long long)r->log->log.id, (long long)next);
    return false;
}

/* READ_MAX_TIME: is there a later time in this segment than what is known so far? Of equal ones the
 * first counts. */
static bool is_later(struct log_read_internal *r, struct segment_view *v)
{
    struct log_read_internal probe = *r;
    uint64_t position, size;
    probe.timestamp = view_max_timestamp(r, v);
    if (probe.timestamp < r->timestamp || (r->found_time && probe.timestamp == r->timestamp) ||
        !find_batch(&probe, v, &position, &size))
        return false;
    r->timestamp = probe.timestamp;
    r->found_time = true;
    return true;
}

/* No more than a read can name the batches of, if they are about as large as the first. */
static uint64_t stretch_bytes(const struct log_read_internal *r, uint64_t first_size)
{
    if (r->kind != READ_FROM || r->max_bytes <= first_size)
        return first_size;
    uint64_t size = first_size * LOG_READ_BATCHES;
    if (size < STRETCH_MIN_BYTES)
        size = STRETCH_MIN_BYTES;
    return size < r->max_bytes ? size : r->max_bytes;
}

static enum err read_stretch(struct log_read_internal *r, struct segment_view *v, uint64_t position,
                             uint64_t first_size)
{
    uint64_t size = stretch_bytes(r, first_size);
    if (size > v->size - position)
        size = v->size - position;
    free(r->data);
    r->data = xmalloc(size);
    r->size = size;
    enum err err = file_read(v->file, position, r->data, size);
    if (err != E_OUT_OF_RANGE)
        return err;
    /* Sealed meanwhile: the room that had been allocated behind its batches is gone. */
    err = file_size(v->file, &v->size);
    if (!err && v->size > position && v->size - position < size)
        r->size = v->size - position;
    return err ? err : file_read(v->file, position, r->data, r->size);
}

static enum err read_segment(struct log_read_internal *r, int64_t base, bool *found)
{
    struct segment_view v;
    uint64_t position = 0, size = 0;
    enum err err = view_open(r, base, &v);
    *found = !err && (r->kind != READ_MAX_TIME || is_later(r, &v)) &&
             find_batch(r, &v, &position, &size);
    if (!err)
        err = v.err;
    if (*found && !err)
        err = read_stretch(r, &v, position, size);
    if (*found && !err && r->read->may_come_again && r->kind == READ_FROM) {
        r->segment = base;
        r->position = position;
        if (!v.is_known) {
            r->segment_file = v.file;
            v.file = NULL;
        }
    }
    view_close(&v);
    return err;
}

static enum err read_segments(struct log_read_internal *r)
{
    bool found = false;
    r->beyond = false;
    if (r->known.holder) {
        enum err err = read_segment(r, r->known.segment, &found);
        if (err || found)
            return err;
    }
    segment_bases bases = {0};
    enum err err = segment_list(r->store->disk, r->log->log.id, &bases);
    size_t i = 0;
    r->beyond = true;
    while (i + 1 < bases.count && bases.items[i + 1] <= r->from)
        i++; /* what lies below may be on its way to be removed */
    for (; !err && i < bases.count; i++) {
        err = read_segment(r, bases.items[i], &found);
        r->beyond = r->beyond && !found;
        if (found && r->kind != READ_MAX_TIME)
            break;
    }
    vec_reset(&bases);
    return err;
}

/* Cut what was read into batches. The last one may be incomplete; damage ends it with an error. */
static enum err split(struct log_read_internal *r)
{
    size_t at = 0;
    int64_t next = INT64_MIN;
    while (at < r->size && r->read->count < LOG_READ_BATCHES) {
        struct batch b;
        enum err err = batch_parse(bytes_of(r->data + at, r->size - at), &b);
        bool is_first = r->read->count == 0;
        if (err == E_OUT_OF_RANGE || (err && !is_first))
            break; /* the end of the stretch or of what is valid; a read that begins here will tell */
        if (err)
            return err_wrap(E_CORRUPT, "log %llu near offset %lld",
                            (unsigned long long)r->log->log.id, (long long)r->from);
        if (b.base_offset < next || b.base_offset >= r->limit ||
            (r->uses_segments && b.base_offset >= r->stored_limit))
            break;
        if (!batch_is_intact(&b) && !is_first)
            break;
        if (!batch_is_intact(&b))
            return err_set(E_CORRUPT, "log %llu: batch at offset %lld has a wrong checksum",
                           (unsigned long long)r->log->log.id, (long long)b.base_offset);
        r->read->batches[r->read->count++] =
            (struct log_batch){b.base_offset, b.leader_epoch, b.raw, r->chunk};
        at += b.raw.size;
        next = batch_last_offset(&b) + 1;
        if (r->kind != READ_FROM)
            break;
    }
    return OK;
}

static struct chunk *wrap(struct store *s, uint8_t *data, size_t size)
{
    struct chunk *c = xzalloc(sizeof *c);
    c->store = s;
    c->refs = 1;
    c->data = c->block = data;
    c->used = (uint32_t)size;
    return c;
}

void read_file_run(struct job *job)
{
    struct log_read_internal *r = container_of(job, struct log_read_internal, job);
    if (r->nothing_to_do)
        return;
    metrics_add(METRIC_read_jobs, 1);
    r->err = r->entries.count ? read_journal(r) : read_segments(r);
    if (r->err == E_OUT_OF_RANGE) /* of a file: to who asked that would say that the offset is */
        r->err = err_wrap(E_IO, "log %llu", (unsigned long long)r->log->log.id);
    if (r->data)
        r->chunk = wrap(r->store, r->data, r->size);
    if (!r->err && r->data)
        r->err = split(r);
    if (r->err)
        snprintf(r->error, sizeof r->error, "%s", err_text());
}

enum err segment_summary(struct store *s, struct log_state *l, int64_t base, uint64_t *size,
                         int64_t *max_timestamp)
{
    struct segment_view v;
    struct log_read_internal all = {.store = s,
                                    .log = l,
                                    .from = INT64_MIN,
                                    .limit = INT64_MAX,
                                    .active_segment = -1,
                                    .growing_segment = -1,
                                    .stored_limit = INT64_MAX};
    enum err err = view_open(&all, base, &v);
    if (!err) {
        *size = v.size;
        *max_timestamp = view_max_timestamp(&all, &v);
        err = v.err;
    }
    view_close(&v);
    return err;
}
