/*
 * Direct mode: a log with much to write puts its batches straight into its segments, so that they
 * are written once. It enters by a DIRECT entry in the journal: everything appended after it, from
 * the offset it names on, lies in segments that begin with that offset. No direct byte is written
 * before that entry is synced. It leaves, when it has been quiet, by a JOURNALED entry.
 *
 * What the journal held when the log entered stays there and is materialised in the usual way, in
 * segments of its own with smaller base offsets.
 *
 * Recovery reads direct segments from the position in the log's row on, so the bytes that no row
 * covers are limited for all logs of the disk together: see recycle_start_mark().
 */
#include "log/store_internal.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SECOND_NS = 1000000000,
};

void direct_free(struct direct *d)
{
    if (!d)
        return;
    list_remove(&d->node);
    d->log->store->direct_count--;
    file_close(d->open_file);
    tail_reset(&d->recent);
    vec_reset(&d->index);
    free(d);
}

static void enter(struct store *s, struct log_state *l)
{
    struct direct *d = xzalloc(sizeof *d);
    d->log = l;
    d->segment = d->synced_segment = d->synced_offset = l->log.end;
    d->file_segment = -1;
    d->max_timestamp = INT64_MIN;
    d->quiet_since_ns = s->now_ns;
    d->segment_since_ms = s->wall_ms;
    l->direct = d;
    l->row_has_part = true;
    log_parts(l)->direct_from = l->log.end;
    log_parts(l)->direct_to = INT64_MAX;
    if (l->parts->first_segment < 0)
        log_parts(l)->first_segment = l->log.end;
    list_push_back(&s->direct_logs, &d->node);
    s->direct_count++;
    log_parts(l)->direct_address = stage_control(s, ENTRY_DIRECT, l, l->log.end, 0);
    s->direct_needs_commit = s->staging->number;
    say_debug("log", "direct mode log=%llu offset=%lld", (unsigned long long)l->log.id,
              (long long)l->log.end);
}

void log_stay_in_journal(struct log *log)
{
    struct log_state *l = log_state(log);
    check(!l->direct);
    l->stays_in_journal = true;
}

void direct_review(struct store *s, struct log_state *l, size_t size)
{
    if (l->stays_in_journal)
        return;
    if (s->now_ns - l->rate_since_ns > SECOND_NS) {
        l->rate_since_ns = s->now_ns;
        l->rate_bytes = 0;
        l->rate_commits = 0;
        l->rate_commit = 0;
    }
    l->rate_bytes += size;
    if (l->rate_commit != (uint32_t)s->journal_lane.staging) {
        l->rate_commit = (uint32_t)s->journal_lane.staging;
        l->rate_commits++;
    }
    bool syncs = l->log.level == LEVEL_FSYNC;
    uint64_t enough = syncs ? s->config.direct_commit_bytes : s->config.direct_os_bytes;
    bool much = size >= s->config.direct_append_bytes ||
                (l->rate_commits >= 8 && l->rate_bytes / l->rate_commits > enough);
    if (!much || l->direct || l->row_has_part || l->wants_direct || s->no_space || s->low_space)
        return;
    l->wants_direct = true;
    log_pin(l);
    vec_push(&s->wants_direct, l);
}

void direct_enter_wanted(struct store *s)
{
    for (size_t i = 0; i < s->wants_direct.count; i++) {
        struct log_state *l = s->wants_direct.items[i];
        l->wants_direct = false;
        if (!l->deleted && !l->direct && !l->row_has_part && s->direct_count < DIRECT_LOGS_MAX)
            enter(s, l);
        log_unpin(l);
    }
    vec_clear(&s->wants_direct);
}

/* ---- staging ---- */

static struct round *staging_round(struct store *s)
{
    if (!s->direct_staging) {
        s->direct_staging = xzalloc(sizeof *s->direct_staging);
        s->direct_staging->store = s;
        s->direct_staging->number = s->direct_lane.staging;
    }
    return s->direct_staging;
}

static struct direct_write *staging_write(struct store *s, struct direct *d)
{
    struct round *r = staging_round(s);
    for (size_t i = r->writes.count; i-- > 0;) {
        struct direct_write *w = &r->writes.items[i];
        if (w->log == d->log)
            return w->segment == d->segment ? w : NULL;
    }
    return NULL;
}

static struct direct_write *new_write(struct store *s, struct direct *d)
{
    struct direct_write w = {.log = d->log, .segment = d->segment, .position = d->position};
    w.end_position = d->position;
    w.sync = d->log->log.level == LEVEL_FSYNC;
    vec_push(&s->direct_staging->writes, w);
    log_pin(d->log);
    return &vec_last(&s->direct_staging->writes);
}

/* The active segment is full: its share of the round is its last, the next begins at `base`. */
static void roll(struct store *s, struct direct *d, int64_t base)
{
    struct direct_write *w = staging_write(s, d);
    if (!w)
        w = new_write(s, d); /* writes nothing, seals */
    w->seal = true;
    w->index = d->index;
    memset(&d->index, 0, sizeof d->index);
    d->segment = base;
    d->really_synced = 0;
    d->position = d->allocated = d->indexed = 0;
    d->max_timestamp = INT64_MIN;
    d->segment_since_ms = s->wall_ms;
}

static uint8_t *direct_room(struct store *s, size_t size, uint64_t *address)
{
    struct window *w = &s->direct_window;
    struct chunk *c =
        list_is_empty(&w->chunks) ? NULL : container_of(w->chunks.prev, struct chunk, node);
    if (!c || c->capacity - c->used < size) {
        c = chunk_new(s, size > CHUNK_BYTES ? size : CHUNK_BYTES);
        window_push(w, c, s->direct_address);
        s->direct_address += c->capacity;
    }
    struct round *r = staging_round(s);
    if (r->chunks.count == 0 || vec_last(&r->chunks) != c) {
        vec_push(&r->chunks, c);
        chunk_ref(c);
    }
    uint8_t *p = c->data + c->used;
    *address = c->address + c->used;
    c->used += (uint32_t)size;
    return p;
}

static void add_bytes(struct direct_write *w, uint8_t *p, size_t size)
{
    struct iovec *last = w->parts.count ? &vec_last(&w->parts) : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == p)
        last->iov_len += size;
    else
        vec_push(&w->parts, ((struct iovec){p, size}));
    w->end_position += size;
}

static void allocate_ahead(struct store *s, struct direct *d, struct direct_write *w)
{
    if (w->end_position <= d->allocated)
        return;
    uint64_t to =
        round_up(w->end_position + s->config.allocate_bytes / 2, s->config.allocate_bytes);
    uint64_t limit = log_segment_bytes(d->log);
    if (!space_has_room(s, to - d->allocated))
        to = round_up(w->end_position, 4 * KIB);
    if (to > limit)
        to = round_up(w->end_position > limit ? w->end_position : limit, 4 * KIB);
    if (w->allocate_to == 0)
        w->allocate_from = d->allocated;
    space_note_file(s, to - d->allocated);
    w->allocate_to = to;
    d->allocated = to;
}

void direct_append(struct log_state *l, const struct batch *b, const struct batch_parts *parts)
{
    struct store *s = l->store;
    struct direct *d = l->direct;
    int64_t base = l->log.end - b->last_offset_delta - 1;
    size_t size = b->raw.size;
    uint64_t address;
    bool is_full = d->position + size > log_segment_bytes(l);
    if (d->position > 0 && (is_full || log_segment_is_old(l, d->segment_since_ms)))
        roll(s, d, base);
    uint8_t *p = direct_room(s, size, &address);
    batch_parts_put(p, parts);
    batch_stamp(p, base, s->epoch);

    struct direct_write *w = staging_write(s, d);
    if (!w)
        w = new_write(s, d);
    add_bytes(w, p, size);
    w->end = l->log.end;
    allocate_ahead(s, d, w);
    if (b->max_timestamp > d->max_timestamp)
        d->max_timestamp = b->max_timestamp;
    index_note(&d->index, &d->indexed,
               (struct index_entry){base, (uint32_t)d->position, b->crc, d->max_timestamp});
    d->position += size;
    d->quiet_since_ns = s->now_ns;
    s->direct_lane.staged_bytes += size;
    log_mark_dirty(l, journal_end_address(s));
    tail_push(&d->recent, tail_entry_of(b, base, address, s->epoch));
    metrics_add(METRIC_direct_bytes, size);
}

/* ---- rounds ---- */

/* Just before the round starts: the file that earlier rounds have opened. */
void direct_prepare_write(struct direct_write *w)
{
    struct direct *d = w->log->direct;
    if (d->file_segment == w->segment)
        w->file = d->open_file;
}

struct seal {
    struct job job;
    struct store *store;
    struct log_state *log; /* pinned */
    struct file *file;
    uint64_t size;
    int64_t segment;
    index_entries index;
    enum err err;
    char error[256];
};

/* Give back what was preallocated and write the index: a failure costs space or a rebuild, no data.
 * But rows rely on the sync. */
static void seal_run(struct job *job)
{
    struct seal *seal = container_of(job, struct seal, job);
    enum err err = file_truncate(seal->file, seal->size);
    if (!err)
        err = index_write(seal->store->disk, seal->log->log.id, seal->segment, &seal->index);
    if (err)
        say_warn("log", "seal segment: %s log=%llu", err_text(),
                 (unsigned long long)seal->log->log.id);
    seal->err = file_sync(seal->file); /* of a log of level os, nobody has synced it so far */
    if (seal->err) {
        snprintf(seal->error, sizeof seal->error, "%s", err_text());
        seal->store->seal_err = seal->err;
    }
    file_close(seal->file);
}

static void seal_done(struct job *job)
{
    struct seal *seal = container_of(job, struct seal, job);
    seal->store->helpers--;
    if (seal->err)
        store_freeze(seal->store, seal->err, seal->error);
    if (seal->log->direct)
        seal->log->direct->seals--;
    log_unpin(seal->log);
    vec_reset(&seal->index);
    free(seal);
}

static void start_seal(struct store *s, struct log_state *l, struct file *file, int64_t segment,
                       uint64_t size, index_entries index)
{
    struct seal *seal = xzalloc(sizeof *seal);
    seal->job.run = seal_run;
    seal->job.done = seal_done;
    seal->store = s;
    seal->file = file;
    seal->log = l;
    log_pin(l);
    if (l->direct)
        l->direct->seals++;
    seal->segment = segment;
    seal->size = size;
    seal->index = index;
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &seal->job);
}

void direct_wrote(struct store *s, struct direct_write *w)
{
    struct direct *d = w->log->direct;
    check(d);
    if (w->opened) {
        d->open_file = w->file;
        d->file_segment = w->segment;
        w->opened = false;
    }
    uint64_t wrote = w->end_position - w->position;
    log_parts(w->log)->stored_bytes += wrote;
    if (wrote > 0) {
        d->synced_offset = w->end;
        d->synced_segment = w->segment;
        d->synced_position = w->end_position;
    }
    if (w->sync && w->segment == d->segment)
        d->really_synced = w->end_position;
    log_parts(w->log)->unmarked += wrote;
    s->unmarked_bytes += wrote;
    if (wrote > 0 && !list_is_linked(&w->log->parts->marking))
        list_push_back(&s->unmarked_logs, &log_parts(w->log)->marking);
    if (w->seal) {
        start_seal(s, w->log, w->file, w->segment, w->end_position, w->index);
        memset(&w->index, 0, sizeof w->index);
        d->open_file = NULL;
        d->file_segment = -1;
    }
    if (s->unmarked_bytes > s->config.unmarked_max_bytes / 2)
        recycle_start_mark(s);
}

/* ---- leaving ---- */

void log_close_direct_part(struct log_state *l, int64_t to)
{
    log_parts(l)->direct_to = to;
    log_join_direct_part(l);
}

void log_join_direct_part(struct log_state *l)
{
    bool tail_below =
        l->tail.count > 0 && tail_at(&l->tail, 0)->base_offset < l->parts->direct_from;
    if (l->parts->direct_from == INT64_MAX || tail_below)
        return;
    if (l->parts->materialising) /* grows a segment: a row must not say yet that none grows */
        return;
    log_parts(l)->segment = -1;
    if (l->parts->direct_to == INT64_MAX) {
        l->stored_to = l->parts->direct_from;
    } else {
        l->stored_to = l->parts->direct_to;
        log_parts(l)->direct_from = log_parts(l)->direct_to = INT64_MAX;
        if (l->store->epoch > 0) /* not in recovery. It may become direct again only when a row says
                                  * that this part is over: recovery knows one part of a log */
            log_wants_row(l);
    }
}

static void leave(struct store *s, struct log_state *l)
{
    struct direct *d = l->direct;
    stage_control(s, ENTRY_JOURNALED, l, l->log.end, d->position);
    log_close_direct_part(l, l->log.end);
    l->direct = NULL;
    if (d->open_file)
        start_seal(s, l, d->open_file, d->segment, d->position, d->index);
    d->open_file = NULL;
    memset(&d->index, 0, sizeof d->index);
    direct_free(d);
    upkeep_look_soon(l);
}

/* Of a log of level os nothing was synced so far, and JOURNALED says that all of it is there. */
static bool is_synced(struct store *s, struct log_state *l)
{
    struct direct *d = l->direct;
    if (l->log.level == LEVEL_FSYNC || d->really_synced == d->position)
        return true;
    if (!staging_write(s, d)) {
        staging_round(s);
        new_write(s, d)->sync = true;
    }
    return false;
}

void direct_tick(struct store *s)
{
    list_each_safe (n, &s->direct_logs) {
        struct direct *d = container_of(n, struct direct, node);
        struct log_state *l = d->log;
        while (d->recent.count > 0 &&
               !window_find(&s->direct_window, tail_at(&d->recent, 0)->address))
            tail_pop_front(&d->recent);
        bool quiet = s->now_ns - d->quiet_since_ns > 2ll * SECOND_NS;
        if (quiet && l->pieces.count == 0 && l->pins == 0 && d->seals == 0 && is_synced(s, l))
            leave(s, l);
    }
}
