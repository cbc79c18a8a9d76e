/*
 * Reading. log_peek() gives what is in memory. log_read() goes to files when it must: a job reads a
 * stretch of a segment, or a run of batches of the journal, into one chunk; the answer's batches
 * point into it. Where a stretch begins is found by the segment's index.
 */
#include "log/read_internal.h"

#include <stdlib.h>

/* ---- in memory ---- */

/* Where an offset was found. */
struct place {
    struct tail *tail;
    uint32_t i;
    struct window *window; /* NULL: a memory log, the address is a chunk */
};

/* The place of the batch that holds `offset` or is next above it, among what tails know. */
static bool find_place(struct log_state *l, int64_t offset, struct place *out)
{
    struct store *s = l->store;
    struct place p = {&l->tail, tail_find(&l->tail, offset), &s->journal_window};
    struct tail *recent = l->parts->recent ? &l->parts->recent->tail : NULL;
    if (recent && tail_find(recent, offset) < recent->count) {
        *out = (struct place){recent, tail_find(recent, offset), &s->journal_window};
        return true;
    }
    if (l->log.level == LEVEL_MEMORY)
        p.window = NULL;
    while (p.i < l->tail.count && tail_at(p.tail, p.i)->size == 0)
        p.i++; /* holes */
    if (p.i < l->tail.count) {
        *out = p;
        return true;
    }
    if (!l->direct)
        return false;
    p = (struct place){&l->direct->recent, tail_find(&l->direct->recent, offset),
                       &s->direct_window};
    *out = p;
    return p.i < p.tail->count;
}

static bool place_bytes(const struct place *p, struct log_batch *out)
{
    const struct tail_entry *e = tail_at(p->tail, p->i);
    struct chunk *c =
        p->window ? window_find(p->window, e->address) : (struct chunk *)(uintptr_t)e->address;
    if (!c)
        return false;
    out->base_offset = e->base_offset;
    out->epoch = e->epoch;
    out->chunk = c;
    out->raw = bytes_of(c->data + (p->window ? e->address - c->address : 0), e->size);
    return true;
}

/* Is the batch at this place the next one from `offset` on, or do segments hold something before
 * it? */
static bool place_is_next(const struct log_state *l, const struct place *p, int64_t offset)
{
    const struct tail_entry *e = tail_at(p->tail, p->i);
    if (e->base_offset <= offset)
        return true;
    if (p->tail != &l->tail)
        return false; /* older bytes are in files */
    if (offset < l->parts->direct_to && e->base_offset >= l->parts->direct_from)
        return false; /* so is the direct part between */
    return offset >= l->stored_to;
}

static enum err check_range(const struct log *log, int64_t from)
{
    if (from < log->start || from > log->end)
        return err_set(E_OUT_OF_RANGE, "offset %lld is outside %lld..%lld", (long long)from,
                       (long long)log->start, (long long)log->end);
    return OK;
}

enum err log_peek(struct log *log, int64_t from, int64_t limit, size_t max_bytes,
                  struct log_batch *out, size_t capacity, size_t *count)
{
    struct log_state *l = log_state(log);
    enum err err = check_range(log, from);
    if (err)
        return err;
    *count = 0;
    size_t bytes = 0;
    while (from < limit && *count < capacity) {
        struct place p;
        struct log_batch b;
        bool known = find_place(l, from, &p);
        if (!known && from >= l->stored_to && l->parts->direct_from == INT64_MAX)
            break; /* only holes up to the end */
        if (!known || !place_is_next(l, &p, from) || !place_bytes(&p, &b))
            return *count ? OK : E_COLD;
        const struct tail_entry *e = tail_at(p.tail, p.i);
        if (e->base_offset >= limit || (*count > 0 && bytes + e->size > max_bytes))
            break;
        out[(*count)++] = b;
        bytes += e->size;
        from = tail_entry_end(e);
    }
    return OK;
}

/* ---- from files ---- */

static void plan(struct log_read_internal *r);

/* What a job has left, before the next one or the answer. */
static void give_back(struct log_read_internal *r)
{
    if (r->file)
        r->file->readers--;
    r->file = NULL;
    if (r->uses_segments)
        log_parts(r->log)->segment_reads--;
    r->uses_segments = false;
    r->entries.count = 0;
}

static void drop_answer(struct log_read_internal *r)
{
    chunk_unref(r->chunk);
    r->chunk = NULL;
    r->data = NULL;
    r->size = 0;
    r->read->count = 0;
}

static void finish(struct log_read_internal *r)
{
    struct log_read *read = r->read;
    struct log_state *l = r->log;
    r->store->reads--;
    vec_reset(&r->entries);
    vec_reset(&r->active_index);
    if (l->deleted) {
        drop_answer(r);
        read->err = E_CLOSED;
    }
    log_unpin(l);
    read->done(read);
}

/* The read met files that go because the log starts behind them by now. */
static bool was_overtaken(const struct log_read_internal *r)
{
    return r->err && r->from < r->log->log.start;
}

static void read_done(struct job *job)
{
    struct log_read_internal *r = container_of(job, struct log_read_internal, job);
    struct log_state *l = r->log;
    bool from_segments = r->uses_segments;
    stretch_note(r);
    give_back(r);
    if (from_segments && l->parts->segment_reads == 0)
        compact_go_on(r->store, l);
    if (!l->deleted && was_overtaken(r)) {
        drop_answer(r);
        r->from = l->log.start;
        r->asked_segments = r->found_time = false;
        plan(r);
        return;
    }
    r->read->err = r->err;
    if (l->deleted) {
        finish(r);
    } else if (r->err) {
        say_error("log", "read failed: %s log=%llu offset=%lld", r->error,
                  (unsigned long long)l->log.id, (long long)r->from);
        finish(r);
    } else if (r->beyond && r->kind == READ_MAX_TIME) {
        plan(r);
    } else if (r->beyond && r->stored_limit < r->limit) {
        r->from = r->stored_limit; /* only holes in the segments, or none recent enough */
        plan(r);
    } else {
        finish(r);
    }
}

/* Such readers will want what comes next from the system's cache: see how_to_open() in materialise.c. */
static void note_late(struct log_read_internal *r)
{
    if (r->kind == READ_FROM)
        log_parts(r->log)->read_late_ns = r->store->now_ns;
}

static void submit(struct log_read_internal *r)
{
    r->job.run = read_file_run;
    r->job.done = read_done;
    jobs_submit(r->store->jobs, LANE_READ, &r->job);
}

static void submit_nothing(struct log_read_internal *r)
{
    r->nothing_to_do = true;
    r->beyond = false;
    submit(r);
}

/* A run of the tail's batches that lie in one journal file, from index `i` on. One that was carried
 * forward a moment ago is not in the file yet: where it will be are old bytes. */
static void plan_journal(struct log_read_internal *r, uint32_t i)
{
    struct tail *t = &r->log->tail;
    uint64_t bytes = 0;
    note_late(r);
    r->file = journal_file_at(r->store, tail_at(t, i)->address);
    check(r->file);
    r->file->readers++;
    for (; i < t->count && r->entries.count < LOG_READ_BATCHES; i++) {
        struct tail_entry *e = tail_at(t, i);
        if (e->size == 0)
            continue;
        bool here = e->address >= r->file->base && e->address < r->file->base + r->file->size &&
                    e->address < r->store->journal.written_to;
        bool enough = r->entries.count > 0 && bytes + e->size > r->max_bytes;
        bool across = r->entries.count > 0 && e->base_offset >= r->log->parts->direct_from &&
                      r->entries.items[0].base_offset < r->log->parts->direct_from;
        if (!here || enough || across || e->base_offset >= r->limit)
            break;
        bytes += e->size;
        vec_push(&r->entries, *e);
        if (r->kind != READ_FROM)
            break;
    }
    submit(r);
}

/* The batch at index `i` of the tail and what follows, from memory if it is there by now. */
static void plan_tail(struct log_read_internal *r, uint32_t i)
{
    bool memory = r->log->log.level == LEVEL_MEMORY;
    struct place p = {&r->log->tail, i, memory ? NULL : &r->store->journal_window};
    struct log_batch b;
    if (!place_bytes(&p, &b)) {
        plan_journal(r, i);
        return;
    }
    r->chunk = b.chunk;
    chunk_ref(b.chunk);
    r->read->batches[r->read->count++] = b;
    submit_nothing(r);
}

static void plan_segments(struct log_read_internal *r, int64_t stored_limit)
{
    if (r->log->parts->swapping) { /* compact.c plans it again when it is done */
        list_push_back(r->log->parts->swapping, &r->waiting);
        return;
    }
    struct direct *d = r->log->direct;
    note_late(r);
    r->active_segment = -1;
    r->stored_limit = stored_limit;
    r->active_index.count = 0;
    r->growing_segment = r->log->parts->segment;
    r->growing_size = r->log->parts->position;
    r->uses_segments = true;
    log_parts(r->log)->segment_reads++;
    if (d && d->synced_position > 0 && d->synced_segment == d->segment) {
        r->active_segment = d->segment;
        r->active_size = d->synced_position;
        for (size_t i = 0; i < d->index.count; i++)
            vec_push(&r->active_index, d->index.items[i]);
    }
    stretch_known(r);
    submit(r);
}

static bool entry_answers(const struct log_read_internal *r, const struct tail_entry *e)
{
    if (e->size == 0 || tail_entry_end(e) <= r->from || e->base_offset >= r->limit)
        return false;
    return r->kind == READ_FROM || e->max_timestamp >= r->timestamp;
}

/* READ_MAX_TIME: the tail's best is known at once; segments are asked for a better or older one. */
static void plan_max_time(struct log_read_internal *r)
{
    struct tail *t = &r->log->tail;
    uint32_t best = t->count;
    r->timestamp = INT64_MIN;
    for (uint32_t i = tail_find(t, r->from); i < t->count; i++) {
        if (entry_answers(r, tail_at(t, i)) && tail_at(t, i)->max_timestamp > r->timestamp) {
            best = i;
            r->timestamp = tail_at(t, i)->max_timestamp;
        }
    }
    if (r->log->parts->first_segment >= 0 && !r->asked_segments) {
        r->asked_segments = true;
        plan_segments(r, INT64_MAX);
    } else if (best < t->count)
        plan_tail(r, best);
    else
        submit_nothing(r);
}

/* The first batch of the tail that answers, unless the direct part comes before it. */
static bool find_in_tail(const struct log_read_internal *r, uint32_t *out)
{
    const struct log_state *l = r->log;
    for (uint32_t i = tail_find(&l->tail, r->from); i < l->tail.count; i++) {
        if (!entry_answers(r, tail_at(&l->tail, i)))
            continue;
        *out = i;
        return r->from >= l->parts->direct_to ||
               tail_at(&l->tail, i)->base_offset < l->parts->direct_from;
    }
    return false;
}

/* Where to look next: segments below the tail, the tail, the direct part, the tail behind it. */
static void plan(struct log_read_internal *r)
{
    struct log_state *l = r->log;
    uint32_t i;
    r->beyond = false;
    if (r->kind == READ_MAX_TIME) {
        plan_max_time(r);
        return;
    }
    if (l->parts->first_segment >= 0 && r->from < l->stored_to) {
        plan_segments(r, l->direct && l->tail.count == 0 ? INT64_MAX : l->stored_to);
    } else if (find_in_tail(r, &i)) {
        plan_tail(r, i);
    } else if (l->parts->direct_from != INT64_MAX && r->from < l->parts->direct_to) {
        if (r->from < l->parts->direct_from)
            r->from = l->parts->direct_from;
        plan_segments(r, l->parts->direct_to);
    } else {
        submit_nothing(r);
    }
}

void read_plan_again(struct list *waiting)
{
    struct log_read_internal *r = container_of(waiting, struct log_read_internal, waiting);
    if (r->log->deleted) {
        submit_nothing(r);
        return;
    }
    if (r->from < r->log->log.start)
        r->from = r->log->log.start;
    r->asked_segments = r->found_time = false;
    plan(r);
}

void log_read(struct log *log, struct log_read *read)
{
    struct log_state *l = log_state(log);
    struct log_read_internal *r = xzalloc(sizeof *r);
    read->internal = r;
    read->count = 0;
    read->err = OK;
    r->read = read;
    r->store = l->store;
    r->log = l;
    r->kind = read->kind;
    r->from = read->from > log->start ? read->from : log->start;
    r->limit = read->limit;
    r->timestamp = read->timestamp;
    r->max_bytes = read->max_bytes;
    r->store->reads++;
    log_pin(l);
    plan(r);
}

void log_read_end(struct log_read *read)
{
    struct log_read_internal *r = read->internal;
    if (!r)
        return;
    chunk_unref(r->chunk);
    read->internal = NULL;
    free(r);
}
