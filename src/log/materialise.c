/*
 * Materialising: a log's durable tail is written into its segments by a helper, a part at a time, so that
 * the journal need not keep it. It happens when a journal file is to be made free (recycle.c), ahead of that
 * while memory still has the batches, and when a log's newest segment is to be sealed.
 */
#include "log/store_internal.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    GATHER_BATCHES = 512, /* two parts each, of 1,024 that one write takes */
    MANY_LOGS = 16,       /* of those that are moved in a turn: whole files are read for them */
};
#define LATE_NS INT64_C(60000000000) /* so long a reader of files is expected to come again */

enum ahead {
    AHEAD_BATCH,
    AHEAD_FILE,
    AHEAD_NOTHING, /* the whole file was already */
};

struct copied { /* one batch to be written into a segment */
    int64_t base_offset;
    uint32_t size;
    int32_t epoch;
    int64_t max_timestamp;
    struct chunk *chunk;       /* its bytes, or NULL: */
    struct journal_file *file; /* to be read from here */
    enum ahead ahead;          /* what is read ahead for it */
    uint64_t at;               /* position in either */
};

struct materialise {
    struct job job;
    struct store *store;
    struct log_state *log;
    VEC(struct copied) batches;
    size_t read_ahead; /* the reading of so many of them was begun, ... */
    uint64_t ahead;    /* ahead_bytes() of those that have not been used yet */
    int64_t segment, stored_from, stored_to;
    int64_t goal; /* jobs follow one another up to here */
    uint64_t position, bytes;
    int64_t first_written; /* base of the first segment made, -1 none */
    bool counted;          /* the recycling of a file waits for it */
    bool seals;            /* the last segment is rolled behind these batches */
    unsigned how;          /* the segment is opened */
    uint64_t written_out;  /* up to here the disk has the current segment, durable or not */
    index_entries index;   /* new entries of the current segment */
    uint64_t indexed;
    int64_t max_timestamp; /* of the current segment */
    uint64_t limit;        /* segments roll at this size */
    int64_t wall_ms;
    struct file *file;
    enum err err;
    char error[256];
};

/* ---- the job ---- */

/* Segments that begin where this job is going to write: an unfinished helper left them at a crash.
 * Those behind may be the direct part's, which has begun since the job was made. */
static enum err remove_stale(struct materialise *m)
{
    char dir[40];
    bool removed = false;
    segment_bases bases = {0};
    struct disk *d = m->store->disk;
    enum err err = segment_list(d, m->log->log.id, &bases);
    for (size_t i = 0; i < bases.count && !err; i++) {
        if (bases.items[i] < m->stored_from || bases.items[i] >= m->stored_to ||
            bases.items[i] == m->segment)
            continue;
        err = segment_remove(d, m->log->log.id, bases.items[i]);
        removed = true;
    }
    log_dir(m->log->log.id, dir);
    if (!err && removed) /* or it would be found again, in front of what is written now */
        err = disk_sync_dir(d, dir);
    vec_reset(&bases);
    return err;
}

static enum err open_segment(struct materialise *m, int64_t base)
{
    struct disk *d = m->store->disk;
    char dir[40], path[64];
    bool fresh = m->segment != base;
    log_dir(m->log->log.id, dir);
    segment_path(m->log->log.id, base, "log", path);
    enum err err = fresh ? disk_make_dir(d, dir) : OK;
    if (!err)
        err = disk_open(d, path, DISK_CREATE | m->how, &m->file);
    if (!err && fresh) {
        m->position = 0;
        m->max_timestamp = INT64_MIN;
    }
    uint64_t size = 0;
    if (!err)
        err = file_size(m->file, &size);
    if (!err && size < m->position)
        err = err_set(E_CORRUPT, "%s has %llu bytes, %llu were synced", path,
                      (unsigned long long)size, (unsigned long long)m->position);
    if (!err && size > m->position) /* what a helper wrote before a crash, and no row knows of */
        err = file_truncate(m->file, m->position);
    if (!err && fresh)
        err = disk_sync_dir(d, dir);
    if (!err && fresh)
        err = disk_sync_dir(d, "logs");
    if (!err && fresh && m->first_written < 0)
        m->first_written = base;
    m->segment = base;
    m->indexed = m->written_out = m->position;
    return err;
}

static enum err close_segment(struct materialise *m, bool sealed)
{
    if (!m->file)
        return OK;
    enum err err = file_sync(m->file);
    if (LOG_MUTANT != MUTANT_LEAVE_OPEN)
        file_close(m->file);
    m->file = NULL;
    if (!err)
        err = index_append(m->store->disk, m->log->log.id, m->segment, &m->index, sealed);
    vec_clear(&m->index);
    return err;
}

/* Batches gathered for one write: their stamped heads, and where the rest lies. */
struct gathered {
    struct iovec parts[2 * GATHER_BATCHES];
    uint8_t heads[GATHER_BATCHES][BATCH_STAMP_BYTES];
    int count;
    size_t size;
    struct text read; /* what had to be read from the journal; never moves while gathered */
};

/* Commits wait behind what the disk is given at once. */
static enum err write_gathered(struct materialise *m, struct gathered *g)
{
    enum err err = OK;
    if (g->count == 0)
        return OK;
    if (m->position + g->size - m->written_out > m->store->config.piece_bytes) {
        err = file_write_out(m->file, m->written_out, m->position);
        m->written_out = m->position;
    }
    if (!err)
        err = file_write(m->file, m->position, g->parts, 2 * g->count);
    m->position += g->size;
    g->count = 0;
    g->size = 0;
    g->read.size = 0;
    return err;
}

/* The batch's bytes; NULL with an error. */
static const uint8_t *source_bytes(const struct copied *c, struct gathered *g, enum err *err)
{
    if (c->chunk)
        return c->chunk->data + c->at;
    uint8_t *p = text_reserve(&g->read, c->size);
    *err = file_read(c->file->file, c->at, p, c->size);
    g->read.size += c->size;
    return *err ? NULL : p;
}

static enum err gather_batch(struct materialise *m, struct gathered *g, const struct copied *c)
{
    enum err err = OK;
    bool moves = !c->chunk && g->read.size + c->size > g->read.capacity;
    if (g->count == GATHER_BATCHES || g->size > m->store->config.piece_bytes || moves)
        err = write_gathered(m, g);
    const uint8_t *p = err ? NULL : source_bytes(c, g, &err);
    if (!p)
        return err;
    uint8_t *head = g->heads[g->count];
    memcpy(head, p, BATCH_STAMP_BYTES);
    batch_stamp(head, c->base_offset, c->epoch);
    g->parts[2 * g->count] = (struct iovec){head, BATCH_STAMP_BYTES};
    g->parts[2 * g->count + 1] =
        (struct iovec){(uint8_t *)(uintptr_t)p + BATCH_STAMP_BYTES, c->size - BATCH_STAMP_BYTES};
    if (c->max_timestamp > m->max_timestamp)
        m->max_timestamp = c->max_timestamp;
    index_note(&m->index, &m->indexed,
               (struct index_entry){c->base_offset, (uint32_t)(m->position + g->size),
                                    get_u32(p + BATCH_CRC_FROM - 4), m->max_timestamp});
    g->count++;
    g->size += c->size;
    return OK;
}

/* Small batches lie in as many blocks, between those of other logs: to wait for each would take a log's worth of
 * the disk's answers one behind the other. When those other logs are to be moved too, files are read as a whole. */
static enum err read_ahead(struct materialise *m)
{
    enum err err = OK;
    for (; m->read_ahead < m->batches.count && m->ahead < READ_AHEAD_BYTES && !err;
         m->read_ahead++) {
        const struct copied *c = &m->batches.items[m->read_ahead];
        m->ahead += c->file ? ahead_bytes(c->size) : 0;
        if (c->file && c->ahead == AHEAD_FILE)
            err = file_read_in(c->file->file, c->file->size);
        else if (c->file && c->ahead == AHEAD_BATCH)
            file_start_read(c->file->file, c->at, c->at + c->size);
    }
    return err;
}

static enum err write_batches(struct materialise *m, struct gathered *g)
{
    enum err err = OK;
    for (size_t i = 0; i < m->batches.count && !err; i++) {
        struct copied *c = &m->batches.items[i];
        err = read_ahead(m);
        m->ahead -= c->file ? ahead_bytes(c->size) : 0;
        uint64_t position = m->position + g->size;
        bool full = position > 0 && position + c->size > m->limit;
        if (!err && full && !m->file && m->segment >= 0)
            err = open_segment(m, m->segment); /* cuts what a crash has left behind its end */
        if (!err && full)
            err = write_gathered(m, g);
        if (!err && full)
            err = close_segment(m, true);
        if (!err && !m->file)
            err = open_segment(m, full || m->segment < 0 ? c->base_offset : m->segment);
        if (!err)
            err = gather_batch(m, g, c);
    }
    return err ? err : write_gathered(m, g);
}

static void materialise_run(struct job *job)
{
    struct materialise *m = container_of(job, struct materialise, job);
    struct gathered *g = xzalloc(sizeof *g);
    text_reserve(&g->read, m->store->config.piece_bytes);
    enum err err = remove_stale(m);
    if (!err)
        err = write_batches(m, g);
    if (!err && m->seals && !m->file && m->segment >= 0)
        err = open_segment(m, m->segment); /* cuts what a crash has left behind its end */
    if (!err)
        err = close_segment(m, m->seals);
    if (m->seals) {
        m->segment = -1;
        m->position = 0;
    }
    file_close(m->file);
    text_reset(&g->read);
    free(g);
    m->err = err;
    if (err)
        snprintf(m->error, sizeof m->error, "%s", err_text());
}

/* ---- what readers that keep up find in memory ---- */

void recent_free(struct recent *r)
{
    if (!r)
        return;
    log_parts(r->log)->recent = NULL;
    list_remove(&r->node);
    tail_reset(&r->tail);
    free(r);
}

void recents_tick(struct store *s)
{
    list_each_safe (n, &s->recents) {
        struct recent *r = container_of(n, struct recent, node);
        while (r->tail.count > 0 && !window_find(&s->journal_window, tail_at(&r->tail, 0)->address))
            tail_pop_front(&r->tail);
        if (r->tail.count == 0)
            recent_free(r);
    }
}

/* The tail up to `stored_to` is in segments; readers that keep up still find it in memory. */
static void pass_to_segments(struct log_state *l)
{
    struct recent *r = l->parts->recent;
    if (!r) {
        r = log_parts(l)->recent = xzalloc(sizeof *r);
        r->log = l;
        list_push_back(&l->store->recents, &r->node);
    }
    while (l->tail.count > 0 && tail_entry_end(tail_at(&l->tail, 0)) <= l->stored_to) {
        if (tail_at(&l->tail, 0)->size > 0)
            tail_push(&r->tail, *tail_at(&l->tail, 0));
        tail_pop_front(&l->tail);
    }
    log_tail_changed(l);
}

/* ---- jobs that follow one another ---- */

static void materialise_to(struct store *s, struct log_state *l, int64_t goal, bool seals,
                           uint64_t below);

void materialise_count_in(struct store *s, struct log_state *l)
{
    struct materialise *m = l->parts->materialising;
    if (m && !m->counted)
        s->recycle.materialising++;
    if (m)
        m->counted = true;
}

/* Who waits for this job waits for what follows it. */
static void materialise_more(struct store *s, struct log_state *l, const struct materialise *done)
{
    if (done->err || done->stored_to >= done->goal || s->frozen || s->closing)
        return;
    materialise_to(s, l, done->goal, false, 0);
    if (done->counted)
        materialise_count_in(s, l);
}

static void materialise_done(struct job *job)
{
    struct materialise *m = container_of(job, struct materialise, job);
    struct store *s = m->store;
    struct log_state *l = m->log;
    s->helpers--;
    log_parts(l)->materialising = NULL;
    if (m->counted)
        s->recycle.materialising--;
    for (size_t i = 0; i < m->batches.count; i++) {
        chunk_unref(m->batches.items[i].chunk);
        if (m->batches.items[i].file)
            m->batches.items[i].file->readers--;
    }
    if (!m->err) {
        if (l->parts->segment != m->segment)
            log_parts(l)->segment_since_ms = m->wall_ms;
        log_parts(l)->segment = m->segment;
        log_parts(l)->position = m->position;
        l->stored_to = m->stored_to;
        log_parts(l)->segment_max_timestamp = m->max_timestamp;
        log_parts(l)->stored_bytes += m->bytes;
        if (l->parts->first_segment < 0 ||
            (m->first_written >= 0 && m->first_written < l->parts->first_segment))
            log_parts(l)->first_segment = m->first_written;
        metrics_add(METRIC_materialised_bytes, m->bytes);
        pass_to_segments(l);
        if (!l->deleted)
            log_needs_row(l); /* the newest one relies on the journal for these batches */
        if (m->first_written >= 0 || m->seals)
            compact_note_rolled(l);
    } else if (m->err == E_NO_SPACE) {
        if (!s->low_space)
            say_warn("log", "disk full, the journal is not emptied: %s", m->error);
        s->low_space = true;
        s->recycle.failed = true;
    } else {
        store_freeze(s, m->err, m->error);
    }
    log_join_direct_part(l);
    materialise_more(s, l, m);
    vec_reset(&m->batches);
    vec_reset(&m->index);
    free(m);
    log_unpin(l);
    recycle_step(s);
}

/* The journal's file with that address: often that of the batch before. */
static struct journal_file *file_of(struct store *s, const struct materialise *m, uint64_t address)
{
    struct journal_file *f = m->batches.count > 0 ? vec_last(&m->batches).file : NULL;
    if (!f || address < f->base || address >= f->base + f->size)
        f = journal_file_at(s, address);
    check(f);
    return f;
}

/* Whole files once, by the first of many logs that have batches there. */
static enum ahead what_to_read_ahead(struct store *s, struct journal_file *f)
{
    if (f->is_read_ahead)
        return AHEAD_NOTHING;
    f->is_read_ahead = f->state == JOURNAL_FULL && s->recycle.moved >= MANY_LOGS;
    return f->is_read_ahead ? AHEAD_FILE : AHEAD_BATCH;
}

static void add_copied(struct store *s, struct materialise *m, const struct tail_entry *e)
{
    struct copied c = {.base_offset = e->base_offset,
                       .size = e->size,
                       .epoch = e->epoch,
                       .max_timestamp = e->max_timestamp};
    c.chunk = window_find(&s->journal_window, e->address);
    if (c.chunk) {
        chunk_ref(c.chunk);
        c.at = e->address - c.chunk->address;
    } else {
        c.file = file_of(s, m, e->address);
        c.ahead = what_to_read_ahead(s, c.file);
        c.file->readers++;
        c.at = e->address - c.file->base;
    }
    m->bytes += e->size;
    vec_push(&m->batches, c);
}

bool log_range_is_live(struct store *s, struct log_state *l, int64_t from, int64_t to,
                       offset_ranges *scratch)
{
    scratch->count = 0;
    if (from < l->log.start)
        from = l->log.start;
    if (from < to)
        s->owner.live(s->owner.ctx, &l->log, from, to, scratch);
    return scratch->count > 0;
}

/* Readers that keep up read memory. Only with others is it worth its price to leave in the system's
 * cache what is written. */
static unsigned how_to_open(const struct log_state *l)
{
    bool read_late = l->parts->read_late_ns && l->store->now_ns - l->parts->read_late_ns < LATE_NS;
    return read_late ? 0 : DISK_UNCACHED;
}

/* A job holds the chunks that its batches lie in. What is sealed is sealed by one job. */
static bool is_whole_part(const struct materialise *m)
{
    return m->bytes >= m->store->config.part_bytes && !m->seals;
}

/* Up to the last entry that lies below `below`. What was carried lies in front of what has not been yet. */
static uint32_t entries_up_to(const struct log_state *l, uint64_t below)
{
    uint32_t count = l->tail.count;
    while (count > 0 && tail_at(&l->tail, count - 1)->address >= below)
        count--;
    return count;
}

/* Start writing the log's durable tail up to the offset `goal` into its segment, a part of it first. What
 * lies below `below` has to be; the rest only where it does not touch the reserve. */
static void materialise_to(struct store *s, struct log_state *l, int64_t goal, bool seals,
                           uint64_t below)
{
    if (l->parts->materialising || l->deleted || (l->tail.count == 0 && !seals))
        return;
    struct materialise *m = xzalloc(sizeof *m);
    offset_ranges ranges = {0};
    m->job.run = materialise_run;
    m->job.done = materialise_done;
    m->store = s;
    m->log = l;
    m->goal = goal;
    m->seals =
        seals || (l->parts->segment >= 0 && log_segment_is_old(l, l->parts->segment_since_ms));
    m->segment = l->parts->segment;
    m->position = l->parts->position;
    m->first_written = -1;
    m->max_timestamp = l->parts->segment_max_timestamp;
    m->limit = log_segment_bytes(l);
    m->how = how_to_open(l);
    m->wall_ms = s->wall_ms;
    m->stored_from = m->stored_to = l->stored_to;
    uint32_t wanted = entries_up_to(l, below);
    for (uint32_t i = 0; i < l->tail.count && !is_whole_part(m); i++) {
        struct tail_entry *e = tail_at(&l->tail, i);
        int64_t end = tail_entry_end(e);
        if (end > goal || e->base_offset >= l->parts->direct_to)
            break; /* on its way into the journal still, or behind the direct part */
        if (i >= wanted && !space_has_room(s, m->bytes + e->size))
            break;
        if (log_range_is_live(s, l, e->base_offset, end, &ranges))
            add_copied(s, m, e);
        m->stored_to = end;
    }
    if (!is_whole_part(m))
        m->goal = m->stored_to; /* there is no more that can be taken now */
    vec_reset(&ranges);
    space_note_file(s, m->bytes);
    log_parts(l)->materialising = m;
    log_pin(l);
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &m->job);
}

void materialise_log(struct store *s, struct log_state *l, bool seals, uint64_t below)
{
    materialise_to(s, l, l->log.durable, seals, below);
}

/* Not only when the journal is full: while memory still has the batches they need not be read, and
 * little is synced at once. Where short-lived records are the rule the journal is asked to keep them. */
void materialise_ahead(struct log_state *l)
{
    struct store *s = l->store;
    bool enough = l->tail.bytes >= s->config.materialise_bytes;
    if (enough && !l->stays_in_journal && !s->low_space && !s->stopping &&
        space_has_room(s, l->tail.bytes))
        materialise_log(s, l, false, 0);
}

bool log_seal(struct log_state *l)
{
    if (l->parts->materialising)
        return false;
    materialise_log(l->store, l, true, UINT64_MAX);
    return true;
}
