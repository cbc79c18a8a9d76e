/*
 * Making journal files free again, oldest first. A file may be renewed when nothing needs its bytes
 * any more, and something durable says so. The steps, each spread over turns:
 *
 * MOVE: Every log with batches in the file. Small tails are carried forward: written again at the head of
 * the journal, living records only, with their offsets. Large ones are materialised (materialise.c).
 * LOAD: a job reads what is to be carried and no longer cached.
 * WAIT: until the carried entries are synced and the helpers are back.
 * ROWS: Every log that changed since its last row, and did so in this file, gets a new row: offsets, places,
 * epochs, and the state its owner derives from the log.
 * SYNC: until everything those rows speak of is durable.
 * WRITE: A helper appends the rows to the log table and syncs it. Then the file is renewed, and segments
 * below the start offsets that the rows made durable are removed. The same rows make free what lies behind it
 * and is wanted by nobody.
 *
 * A mark is rows alone, for direct logs, so that recovery has little to read. Who writes to such logs waits for it,
 * so it goes beside MOVE, LOAD and WAIT of a file's turn.
 */
#include "log/store_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOAD_GAP_BYTES = 4 * KIB, /* read too, rather than by a call for each batch */
    LOAD_RUN_BYTES = 256 * KIB,
    ENTRIES_PER_STEP = 8192, /* about: a step shall not keep clients waiting */
    LOG_AS_ENTRIES = 16,     /* what a log costs without regard to its entries */
    ROWS_PER_STEP = 128,
    CARRY_STEP_BYTES = 96 * KIB,
    MATERIALISING_MAX = 6, /* jobs at once for a file: marks and late syncs go behind them */
    MOVED_OUT_MAX = 256,   /* logs, in one file's turn */
    MOVED_FILES_MAX = 3, /* files' bytes, ... when the journal is full of tails: who writes waits */
};

/* ---- carry forward ---- */

/* A batch of the file that is no longer cached. */
struct loaded_batch {
    uint64_t address;
    uint32_t size, at; /* at: in `bytes` */
};

/* What a job reads, in the order in which it will be carried. */
struct load {
    struct job job;
    struct store *store;
    struct journal_file *file;
    VEC(struct loaded_batch) batches;
    size_t next; /* the batches before it were carried, or need not be */
    struct text bytes;
    enum err err;
    char error[256];
};

static void load_free(struct load *load)
{
    if (!load)
        return;
    vec_reset(&load->batches);
    text_reset(&load->bytes);
    free(load);
}

static struct bytes loaded_bytes(struct load *load, const struct tail_entry *e)
{
    for (; load && load->next < load->batches.count; load->next++) {
        const struct loaded_batch *b = &load->batches.items[load->next];
        if (b->address == e->address)
            return bytes_of(load->bytes.data + b->at, b->size);
    }
    return BYTES_NULL;
}

/* The batch's bytes, from the chunk that still has them or as loaded; null: neither. */
static struct bytes entry_bytes(struct store *s, const struct tail_entry *e)
{
    struct chunk *c = window_find(&s->journal_window, e->address);
    if (c)
        return bytes_of(c->data + (e->address - c->address), e->size);
    return loaded_bytes(s->recycle.loaded, e);
}

/* Write one batch again at the head of the journal, without the records that nobody needs. */
static void carry_entry(struct store *s, struct log_state *l, struct tail_entry *e,
                        struct bytes raw, const offset_ranges *live, struct batch_builder *builder)
{
    struct batch b;
    struct bytes kept = raw;
    int64_t end = tail_entry_end(e);
    bool whole =
        live->count == 1 && live->items[0].from <= e->base_offset && live->items[0].to >= end;
    if (!whole && batch_parse(raw, &b) == OK && !batch_is_control(&b) &&
        batch_filter(&b, e->base_offset, live->items, live->count, builder, &kept) != OK)
        kept = raw; /* compressed: as a whole */
    l->tail.bytes -= e->size;
    stage_data_carried(s, l, kept, e);
    l->tail.bytes += e->size;
    s->recycle.carried_bytes += e->size;
    s->staging->carried_bytes += e->size;
}

/* Nothing in the batch is read again: it stays in the tail as a hole. */
static void make_hole(struct store *s, struct log_state *l, struct tail_entry *e)
{
    l->tail.bytes -= e->size;
    e->size = 0;
    e->address = journal_end_address(s);
}

/* Carry the log's batches that lie below `below`. false: the bytes have to be read first. */
static bool carry_log(struct store *s, struct log_state *l, uint64_t below)
{
    offset_ranges live = {0};
    struct batch_builder builder = {0};
    bool there = true;
    struct tail_search search;
    struct tail_entry *e;
    tail_search_begin(&search, l, below);
    while (there && (e = tail_search_next(&search)) != NULL) {
        if (!log_range_is_live(s, l, e->base_offset, tail_entry_end(e), &live)) {
            make_hole(s, l, e);
            continue;
        }
        struct bytes raw = entry_bytes(s, e);
        there = raw.data != NULL;
        /* Again without regard to the log's start: a batch that it lies in stays as it is, unless
         * the owner says that its records are not needed. */
        live.count = 0;
        s->owner.live(s->owner.ctx, &l->log, e->base_offset, tail_entry_end(e), &live);
        if (there)
            carry_entry(s, l, e, raw, &live, &builder);
    }
    vec_reset(&live);
    batch_builder_reset(&builder);
    return there;
}

/* And the lowest address of the others, if it is below *lowest. */
static uint64_t bytes_below(struct log_state *l, uint64_t below, uint32_t *entries,
                            uint64_t *lowest)
{
    uint64_t bytes = 0;
    struct tail_search search;
    const struct tail_entry *e;
    *entries = 0;
    tail_search_begin(&search, l, below);
    while ((e = tail_search_next(&search)) != NULL) {
        bytes += e->size;
        ++*entries;
    }
    if (search.others < *lowest)
        *lowest = search.others;
    return bytes;
}

/* As much as a file holds was written since the log's newest batch: others write now. */
static bool is_quiet(const struct store *s, const struct log_state *l)
{
    uint64_t newest = tail_at(&l->tail, l->tail.count - 1)->address;
    return newest + s->recycle.file->size < journal_end_address(s);
}

/* The log's part in the file is small, and its tail is large: carried, it would be written again in each round, by
 * whoever writes. Some such logs leave in each file's turn, since the first segment of a log costs syncs of folders. */
static bool moves_out(const struct store *s, const struct log_state *l)
{
    return !l->stays_in_journal && l->tail.bytes > s->config.carry_bytes && is_quiet(s, l) &&
           s->recycle.moved_out < MOVED_OUT_MAX && !s->low_space && !s->no_space &&
           space_has_room(s, l->tail.bytes); /* to carry it takes no more */
}

/* The tails that left in this file's turn make room for it and others: all of a full journal would take seconds. */
static bool has_moved_enough(const struct store *s)
{
    return s->recycle.moved_bytes >= MOVED_FILES_MAX * s->recycle.file->size;
}

/* Is what the log has in the file, so many bytes, carried? Tails that hold a small part in each file are
 * no longer when the journal is full of them. */
static bool is_carried(const struct store *s, const struct log_state *l, uint64_t bytes)
{
    bool is_full = s->carry_bytes < s->config.carry_bytes && !has_moved_enough(s);
    return bytes <= s->config.carry_bytes && (!is_full || l->tail.bytes <= s->carry_bytes) &&
           !moves_out(s, l);
}

/* false: the file's bytes have to be read first. */
static bool move_log(struct store *s, struct log_state *l, uint64_t below)
{
    uint32_t entries;
    uint64_t bytes = bytes_below(l, below, &entries, &s->recycle.kept_from);
    s->recycle.step_entries += LOG_AS_ENTRIES + entries;
    if (entries == 0)
        return true;
    log_needs_row(l);
    if (is_carried(s, l, bytes))
        return carry_log(s, l, below);
    s->recycle.moved_out += bytes <= s->config.carry_bytes;
    s->recycle.moved++;
    s->recycle.moved_bytes += l->tail.bytes;
    s->recycle.step_entries += l->tail.count;
    materialise_log(s, l, false, below);
    s->recycle.again = true; /* one pass may take a part only: look again when it is done */
    materialise_count_in(s, l);
    return true;
}

/* ---- loading what is to be carried and no longer cached ---- */

/* The load's batches in the order in which they lie in the file. */
struct place {
    uint64_t address;
    uint32_t size, index;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->address > y->address) - (x->address < y->address);
}

static struct place *make_places(const struct load *load)
{
    size_t count = load->batches.count;
    struct place *places = xmalloc((count + 1) * sizeof *places);
    for (size_t i = 0; i < count; i++) {
        const struct loaded_batch *b = &load->batches.items[i];
        places[i] = (struct place){b->address, b->size, (uint32_t)i};
    }
    qsort(places, count, sizeof *places, compare_places);
    return places;
}

/* Behind the last of those, from `first` on, that one read takes: they lie close together. */
static size_t run_end(const struct place *p, size_t first, size_t count)
{
    size_t i = first + 1;
    while (i < count && p[i].address - (p[i - 1].address + p[i - 1].size) <= LOAD_GAP_BYTES &&
           p[i].address - p[first].address <= LOAD_RUN_BYTES)
        i++;
    return i;
}

static uint64_t run_to(const struct place *p, size_t end)
{
    return p[end - 1].address + p[end - 1].size;
}

/* One that waited for each would take a run's worth of the disk's answers one behind the other. */
static size_t start_run(const struct load *load, const struct place *p, size_t first, size_t count)
{
    size_t end = run_end(p, first, count);
    uint64_t base = load->file->base;
    file_start_read(load->file->file, p[first].address - base, run_to(p, end) - base);
    return end;
}

static void load_run(struct job *job)
{
    struct load *load = container_of(job, struct load, job);
    size_t count = load->batches.count, started = 0;
    uint64_t ahead = 0;
    struct place *p = make_places(load);
    struct text run = {0};
    for (size_t i = 0, end; i < count && !load->err; i = end) {
        while (started < count && ahead < READ_AHEAD_BYTES) {
            uint64_t at = p[started].address;
            started = start_run(load, p, started, count);
            ahead += ahead_bytes(run_to(p, started) - at);
        }
        uint64_t from = p[i].address;
        end = run_end(p, i, count);
        size_t size = (size_t)(run_to(p, end) - from);
        ahead -= ahead_bytes(size);
        load->err =
            file_read(load->file->file, from - load->file->base, text_reserve(&run, size), size);
        for (size_t k = i; k < end && !load->err; k++) {
            load->batches.items[p[k].index].at = (uint32_t)load->bytes.size;
            text_append(&load->bytes, bytes_of(run.data + (p[k].address - from), p[k].size));
        }
    }
    free(p);
    text_reset(&run);
    if (load->err)
        snprintf(load->error, sizeof load->error, "%s", err_text());
}

static void load_done(struct job *job)
{
    struct load *load = container_of(job, struct load, job);
    struct store *s = load->store;
    s->helpers--;
    load->file->readers--;
    if (load->err) {
        store_freeze(s, load->err, load->error);
        load_free(load);
    } else {
        s->recycle.loaded = load;
        s->recycle.phase = RECYCLE_MOVE;
    }
    recycle_step(s);
}

/* What the log will carry and memory has no more. */
static void want_loaded(struct store *s, struct log_state *l, uint64_t below, struct load *load)
{
    uint32_t entries;
    struct tail_search search;
    const struct tail_entry *e;
    bool carried = is_carried(s, l, bytes_below(l, below, &entries, &s->recycle.kept_from));
    s->recycle.step_entries += LOG_AS_ENTRIES + entries;
    if (!carried)
        return;
    tail_search_begin(&search, l, below);
    while ((e = tail_search_next(&search)) != NULL)
        if (e->size > 0 && !window_find(&s->journal_window, e->address))
            vec_push(&load->batches, ((struct loaded_batch){e->address, e->size, 0}));
}

/* Load for the log at the cursor and some behind it. */
static void start_load(struct store *s, uint64_t below)
{
    struct recycle *r = &s->recycle;
    struct load *load = xzalloc(sizeof *load);
    struct list *n = r->cursor;
    load_free(r->loaded);
    r->loaded = NULL;
    for (r->step_entries = 0; r->step_entries < ENTRIES_PER_STEP && n != &s->tailed; n = n->next)
        want_loaded(s, container_of(n, struct log_state, tailed), below, load);
    load->job.run = load_run;
    load->job.done = load_done;
    load->store = s;
    load->file = r->file;
    r->file->readers++;
    r->phase = RECYCLE_LOAD;
    s->helpers++;
    jobs_submit(s->jobs, LANE_READ, &load->job);
}

/* ---- rows ---- */

/* A row that is being written, and what it says. */
struct captured {
    struct log_state *log; /* pinned */
    int64_t start, sealed_to;
    bool has_part;
};

struct write_rows {
    struct job job;
    struct store *store;
    struct text rows;
    VEC(struct captured) logs;
    VEC(struct file *) sync_first; /* direct segments of level os that the rows speak of */
    enum err err;
    char error[256];
};

static void rows_run(struct job *job)
{
    struct write_rows *w = container_of(job, struct write_rows, job);
    w->err = w->store->seal_err; /* the rows may speak of bytes that this sync did not reach */
    for (size_t i = 0; i < w->sync_first.count && !w->err; i++)
        w->err = file_sync(w->sync_first.items[i]);
    if (!w->err)
        w->err = table_append(w->store, &w->rows);
    if (w->err)
        snprintf(w->error, sizeof w->error, "%s", err_text());
}

static void rows_free(struct write_rows *w)
{
    if (!w)
        return;
    text_reset(&w->rows);
    vec_reset(&w->logs);
    vec_reset(&w->sync_first);
    free(w);
}

static void capture_row(struct store *s, struct log_state *l)
{
    struct write_rows *w = s->recycle.rows;
    uint8_t flags = l->deleted ? (l->unlinked ? ROW_GONE : ROW_DELETED) : 0;
    row_encode(l, flags, &w->rows);
    l->has_row = true;
    l->dirty_from = 0;
    list_remove(&l->dirty);
    s->unmarked_bytes -= l->parts->unmarked;
    if (l->parts->unmarked > 0)
        log_parts(l)->unmarked = 0;
    if (list_is_linked(&l->parts->marking))
        list_remove(&log_parts(l)->marking);
    bool has_part = l->parts->direct_from != INT64_MAX;
    vec_push(&w->logs, ((struct captured){l, l->log.start, log_sealed_to(l), has_part}));
    log_pin(l);
}

static void want_rows_again(struct write_rows *w)
{
    for (size_t i = 0; i < w->logs.count; i++)
        log_needs_row(w->logs.items[i].log);
}

/* One after the other: were one not renewed or removed, and the next one were, a file would be missing between
 * them at the next start. */
static void release_next(struct store *s)
{
    struct recycle *r = &s->recycle;
    struct journal_file *f = container_of(s->journal.files.next, struct journal_file, node);
    if (s->frozen || s->closing || r->is_releasing || f->base >= r->free_to || f->readers > 0)
        return;
    r->is_releasing = true;
    journal_release(s, f);
}

void recycle_released(struct store *s)
{
    s->recycle.is_releasing = false;
    release_next(s);
}

static void end_turn(struct store *s)
{
    s->recycle.phase = RECYCLE_IDLE;
    s->recycle.file = NULL;
}

static void rows_done(struct job *job)
{
    struct write_rows *w = container_of(job, struct write_rows, job);
    struct store *s = w->store;
    struct recycle *r = &s->recycle;
    bool of_file = r->rows_of_file;
    s->helpers--;
    if (w->err == E_NO_SPACE)
        s->low_space = r->failed = true;
    else if (w->err)
        store_freeze(s, w->err, w->error);
    if (w->err)
        want_rows_again(w);
    for (size_t i = 0; i < w->logs.count; i++) {
        const struct captured *c = &w->logs.items[i];
        struct log_state *l = c->log;
        if (!w->err) {
            l->row_has_part = c->has_part || l->direct;
            if (log_has_parts(l)) {
                log_parts(l)->row_start = c->start;
                log_parts(l)->row_sealed_to = c->sealed_to;
            }
            compact_note_row(l);
            space_after_row(s, l);
        }
        log_unpin(l);
    }
    bool ok = !w->err;
    rows_free(w);
    r->rows_phase = ROWS_IDLE;
    if (ok && of_file)
        r->free_to = r->file->base + r->file->size;
    if (of_file)
        end_turn(s);
    if (!ok)
        r->free_below = 0;
    if (r->mark_wanted || r->free_below > 0 || r->phase == RECYCLE_ROWS)
        s->due_ns = s->now_ns;
    release_next(s);
    if (ok)
        journal_prepare_more(s);
}

static void start_write(struct store *s)
{
    if (LOG_MUTANT == MUTANT_RENEW_EARLY && s->recycle.rows_of_file) {
        journal_release(s, s->recycle.file);
        s->recycle.rows_of_file = false;
        end_turn(s);
    }
    struct write_rows *w = s->recycle.rows;
    s->recycle.rows = NULL;
    s->recycle.rows_phase = ROWS_WRITE;
    for (size_t i = 0; i < w->logs.count; i++) { /* what was sealed since, helpers sync before */
        struct log_state *l = w->logs.items[i].log;
        if (l->log.level == LEVEL_OS && l->direct && l->direct->open_file)
            vec_push(&w->sync_first, l->direct->open_file);
    }
    w->job.run = rows_run;
    w->job.done = rows_done;
    w->store = s;
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &w->job);
}

/* ---- the steps ---- */

static bool wants_file(struct store *s)
{
    struct journal_file *f = list_is_empty(&s->journal.files)
                                 ? NULL
                                 : container_of(s->journal.files.next, struct journal_file, node);
    if (!f || f->base >= s->recycle.free_below)
        s->recycle.free_below = 0;
    if (!f || f->state != JOURNAL_FULL || f->readers > 0 || !journal_wants_free_file(s))
        return false;
    if (f->base < s->recycle.free_to) { /* by a former pass */
        release_next(s);
        return false;
    }
    if (f->last_commit > s->journal_lane.synced) {
        store_want_sync(s);
        return false;
    }
    return true;
}

/* What is staged from now on lies in the newest file or behind it. */
static void begin_pass(struct store *s)
{
    const struct journal_file *newest = journal_newest_file(s);
    s->recycle.cursor = s->tailed.next;
    s->recycle.kept_from = newest ? newest->base : 0;
}

static void begin(struct store *s)
{
    struct recycle *r = &s->recycle;
    if (!wants_file(s))
        return;
    r->file = container_of(s->journal.files.next, struct journal_file, node);
    /* What former turns read may be gone from the system's cache. */
    list_each (n, &s->journal.files)
        container_of(n, struct journal_file, node)->is_read_ahead = false;
    r->failed = r->again = false;
    r->carried_bytes = 0;
    r->moved = r->moved_out = 0;
    r->moved_bytes = 0;
    begin_pass(s);
    r->phase = RECYCLE_MOVE;
}

/* Clients wait for the commit that their batches share with what is carried. So that is little, or no more
 * than what they brought: whoever brings much needs files as fast. */
static bool is_carrying_enough(const struct store *s)
{
    uint64_t carried = s->staging->carried_bytes;
    return carried >= CARRY_STEP_BYTES && 2 * carried >= stage_bytes(s);
}

/* Nothing is moved before a job or a commit is done, which is told. */
static bool move_waits(const struct store *s)
{
    return s->recycle.materialising >= MATERIALISING_MAX || is_carrying_enough(s);
}

static void step_move(struct store *s)
{
    struct recycle *r = &s->recycle;
    uint64_t below = r->file->base + r->file->size;
    r->step_entries = 0;
    while (r->step_entries < ENTRIES_PER_STEP && r->cursor != &s->tailed && !move_waits(s)) {
        struct log_state *l = container_of(r->cursor, struct log_state, tailed);
        if (!move_log(s, l, below)) {
            start_load(s, below);
            return;
        }
        r->cursor = r->cursor->next;
    }
    if (r->cursor != &s->tailed)
        return;
    load_free(r->loaded);
    r->loaded = NULL;
    r->phase = RECYCLE_WAIT;
    r->wait_for = store_want_sync(s);
}

static bool can_go(const struct store *s, const struct journal_file *f)
{
    return f->state == JOURNAL_FULL && f->readers == 0 && f->last_commit <= s->journal_lane.synced;
}

/* Files behind this one in which no batch is wanted any more become free with it, by the same rows: who takes
 * and settles much would outrun what makes one at a time free. */
static void take_more_files(struct store *s)
{
    struct recycle *r = &s->recycle;
    for (struct list *n = r->file->node.next; n != &s->journal.files; n = n->next) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (!can_go(s, f) || f->base + f->size > r->kept_from)
            return;
        journal_note_carried(s, f, 0);
        r->file = f;
    }
}

static void step_wait(struct store *s)
{
    struct recycle *r = &s->recycle;
    if (r->materialising > 0 || s->journal_lane.synced < r->wait_for)
        return;
    if (r->again && !r->failed) { /* logs whose older tail was being materialised */
        r->again = false;
        begin_pass(s);
        r->phase = RECYCLE_MOVE;
        return;
    }
    if (!has_moved_enough(s)) /* else as many leave in the next turn */
        journal_note_carried(s, r->file, r->carried_bytes);
    if (r->failed) {
        end_turn(s);
        r->free_below = 0;
        return;
    }
    take_more_files(s);
    r->phase = RECYCLE_ROWS;
}

static void begin_rows(struct store *s)
{
    struct recycle *r = &s->recycle;
    r->rows_of_file = r->phase == RECYCLE_ROWS;
    if (!r->rows_of_file && !r->mark_wanted)
        return;
    if (!r->rows_of_file)
        r->mark_wanted = false;
    r->rows = xzalloc(sizeof *r->rows);
    r->rows_phase = ROWS_CAPTURE;
}

static void step_rows(struct store *s)
{
    struct recycle *r = &s->recycle;
    uint64_t below = r->rows_of_file ? r->file->base + r->file->size : 0;
    int i = 0;
    while (!r->rows_of_file && !list_is_empty(&s->unmarked_logs) && i++ < ROWS_PER_STEP)
        capture_row(s, container_of(s->unmarked_logs.next, struct log_parts, marking)->log);
    while (!list_is_empty(&s->dirty) && i++ < ROWS_PER_STEP) {
        struct log_state *l = container_of(s->dirty.next, struct log_state, dirty);
        if (l->dirty_from >= below)
            break;
        capture_row(s, l);
    }
    if (i > ROWS_PER_STEP)
        return;
    r->rows_phase = ROWS_SYNC;
    r->rows_wait_for = store_want_sync(s);
    bool staged = s->direct_staging || s->direct_stalled || s->direct_in_flight;
    r->rows_wait_for_round = s->direct_lane.staging - (s->direct_staging ? 0 : 1);
    if (!staged)
        r->rows_wait_for_round = 0;
}

void recycle_step(struct store *s)
{
    struct recycle *r = &s->recycle;
    if (s->frozen || s->closing)
        return;
    if (r->phase == RECYCLE_IDLE)
        begin(s);
    if (r->phase == RECYCLE_MOVE)
        step_move(s);
    if (r->phase == RECYCLE_WAIT)
        step_wait(s);
    if (r->rows_phase == ROWS_IDLE)
        begin_rows(s);
    if (r->rows_phase == ROWS_CAPTURE)
        step_rows(s);
    if (r->rows_phase == ROWS_SYNC && s->journal_lane.synced >= r->rows_wait_for &&
        s->direct_lane.synced >= r->rows_wait_for_round)
        start_write(s);
    bool moves = r->phase == RECYCLE_MOVE && !move_waits(s);
    if (moves || r->rows_phase == ROWS_CAPTURE)
        s->due_ns = s->now_ns; /* another slice; the other phases wait for jobs and commits */
}

void recycle_start_mark(struct store *s)
{
    if (s->recycle.mark_wanted)
        return;
    s->recycle.mark_wanted = true;
    s->due_ns = s->now_ns;
}

void log_wants_row(struct log_state *l)
{
    log_mark_dirty(l, journal_end_address(l->store));
    if (!list_is_linked(&l->parts->marking))
        list_push_back(&l->store->unmarked_logs, &log_parts(l)->marking);
    recycle_start_mark(l->store);
}

void recycle_free(struct store *s)
{
    if (s->recycle.rows)
        want_rows_again(s->recycle.rows);
    rows_free(s->recycle.rows);
    load_free(s->recycle.loaded);
    s->recycle.rows = NULL;
    s->recycle.loaded = NULL;
}

enum err recycle_everything(struct store *s)
{
    struct text rows = {0};
    enum err err = OK;
    recycle_free(s); /* logs whose rows were about to be written are among the changed ones again */
    list_each (n, &s->dirty) {
        struct log_state *l = container_of(n, struct log_state, dirty);
        row_encode(l, l->deleted ? (l->unlinked ? ROW_GONE : ROW_DELETED) : 0, &rows);
        struct direct *d = l->direct;
        if (!err && d && l->log.level == LEVEL_OS && d->open_file)
            err = file_sync(d->open_file);
    }
    if (!err && rows.size > 0)
        err = table_append(s, &rows);
    text_reset(&rows);
    return err;
}
