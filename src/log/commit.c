/*
 * Commits. One commit of the journal and one round of the direct lane are under way at most; while
 * the disk works on it, the next one gathers. When one ends, the offsets of the logs in it advance
 * as far as everything before them is durable too, and their owner is told once for each log.
 */
#include "log/store_internal.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum { SYNC_WITHIN_NS = 1000000000, SYNC_STEP_BYTES = 1 * MIB, PAGE_BYTES = 4 * KIB };
/* To hand a larger write to the system takes the core too long. */
enum { WRITE_MAX_BYTES = 256 * KIB };

void log_pin(struct log_state *l)
{
    l->pins++;
}

void log_unpin(struct log_state *l)
{
    check(l->pins > 0);
    if (--l->pins == 0 && l->deleted)
        log_free(l);
}

void store_freeze(struct store *s, enum err err, const char *why)
{
    if (s->frozen)
        return;
    s->frozen = true;
    snprintf(s->frozen_why, sizeof s->frozen_why, "%s", why);
    say_error("log", "the disk failed, data is read-only until restart: %s error=%s", why,
              err_name(err));
    compact_stop(s);
    if (s->owner.frozen)
        s->owner.frozen(s->owner.ctx, s->frozen_why);
}

/* ---- how far a log has come ---- */

static bool piece_is(const struct store *s, const struct piece *p, bool synced)
{
    const struct lane_progress *lane = p->direct ? &s->direct_lane : &s->journal_lane;
    return p->number <= (synced ? lane->synced : lane->done);
}

/* The next sync that ends makes both durable, or neither. */
static bool are_synced_together(const struct store *s, const struct piece *a, const struct piece *b)
{
    bool parted =
        s->late_sync && a->number <= s->late_sync->number && s->late_sync->number < b->number;
    return a->direct == b->direct && (a->direct || !parted);
}

/* Those in [from, to) are written and not synced. At some thousand commits a second they would be as many
 * until the next sync, and every append and commit goes over them: what one sync makes durable is one. */
static void merge_pieces(struct log_state *l, uint32_t from, uint32_t to)
{
    struct piece *p = l->pieces.items;
    uint32_t kept = from;
    for (uint32_t i = from; i < l->pieces.count; i++) {
        if (i > from && i < to && are_synced_together(l->store, &p[kept - 1], &p[i]))
            kept--;
        p[kept++] = p[i];
    }
    l->pieces.count = kept;
}

/* Move written, durable and hw; tell the owner when hw moved. */
static void log_advance(struct log_state *l)
{
    struct store *s = l->store;
    uint32_t synced = 0, written;
    while (synced < l->pieces.count && piece_is(s, &l->pieces.items[synced], true))
        synced++;
    written = synced;
    while (written < l->pieces.count && piece_is(s, &l->pieces.items[written], false))
        written++;
    if (written > 0)
        l->log.written = l->pieces.items[written - 1].end;
    merge_pieces(l, synced, written);
    if (synced > 0) {
        l->log.durable = l->pieces.items[synced - 1].end;
        l->pieces.count -= synced;
        memmove(l->pieces.items, l->pieces.items + synced,
                l->pieces.count * sizeof *l->pieces.items);
    }
    int64_t old = l->log.hw;
    l->log.hw = l->log.level == LEVEL_FSYNC ? l->log.durable : l->log.written;
    check(l->log.hw >= old);
    if (l->log.hw > old && !l->deleted)
        s->owner.committed(s->owner.ctx, &l->log, old);
}

/* Nobody waits for what the page cache has been given, but the next sync of the file would be long, and
 * writes would wait for it. The block at the end, which more will be written to, stays. */
static void start_sync(struct file *file, uint64_t from, uint64_t to)
{
    from -= from % SYNC_STEP_BYTES;
    to -= to % SYNC_STEP_BYTES;
    if (from < to)
        file_start_sync(file, from, to);
}

/* ---- the journal's commit ---- */

/* Nothing is in a file that is not made yet, or not made anew. The journal passes it when a record is too large for it. */
static bool is_made(const struct journal_file *f)
{
    return f->state == JOURNAL_READY || f->state == JOURNAL_ACTIVE || f->state == JOURNAL_FULL;
}

/* The files up to `newest` that hold more than is synced. They are not used again meanwhile. */
static void take_unsynced(struct store *s, struct journal_file *newest, journal_files *files)
{
    for (struct list *n = &newest->node; n != &s->journal.files; n = n->prev) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->last_commit <= s->journal_lane.synced)
            break;
        if (!is_made(f))
            continue;
        f->readers++;
        vec_push(files, f);
    }
}

static void give_back_unsynced(journal_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        files->items[i]->readers--;
    vec_reset(files);
}

/* Sync what was written to the journal since the last sync. */
static enum err sync_written(struct journal *j, const journal_files *files)
{
    enum err err = OK;
    for (size_t i = 0; i < files->count && !err; i++)
        err = file_sync(files->items[i]->writer);
    if (!err)
        j->synced_sequence = j->sequence;
    return err;
}

/* The rest of the page in which the record ends, as zeros, if no record is in it yet. The system would read a page
 * that it is given a part of and does not have, and the read waits for whatever the disk is busy with. */
static void fill_page(struct staged *r, uint64_t at)
{
    static uint8_t zeros[PAGE_BYTES];
    uint64_t in_page = (at + r->size) % PAGE_BYTES;
    if (in_page > 0 && in_page <= r->size)
        vec_push(&r->parts, ((struct iovec){zeros, PAGE_BYTES - in_page}));
}

static bool is_whole_blocks(const struct store *s, const struct staged *r)
{
    return (r->address | r->size) % s->disk->block_bytes == 0;
}

/* What nobody waits to see on the disk goes by the page cache, which takes it while the disk is busy. */
static enum err write_record(struct store *s, struct staged *r, bool goes_on, bool synced)
{
    journal_seal_record(s, r, goes_on);
    bool cached = !synced || !is_whole_blocks(s, r);
    struct file *to = cached ? r->file->file : r->file->writer;
    uint64_t at = r->address - r->file->base;
    if (cached)
        fill_page(r, at);
    enum err err = journal_reach(r->file, at + r->size);
    if (!err)
        err = file_write(to, at, r->parts.items, (int)r->parts.count);
    if (!err && cached && !synced)
        start_sync(to, at, at + r->size);
    return err;
}

static void note_late_sync(const struct commit *c)
{
    struct journal *j = &c->store->journal;
    if (j->synced_sequence < c->known_synced)
        j->synced_sequence = c->known_synced;
}

static void commit_run(struct job *job)
{
    struct commit *c = container_of(job, struct commit, job);
    struct journal *j = &c->store->journal;
    enum err err = OK;
    note_late_sync(c);
    for (size_t i = 0; i < c->records.count && !err; i++) {
        err = write_record(c->store, &c->records.items[i], i + 1 < c->records.count, c->sync);
        c->wrote_bytes += (int64_t)c->records.items[i].size;
    }
    if (!err && c->sync)
        err = sync_written(j, &c->unsynced);
    c->err = err;
    if (err)
        snprintf(c->error, sizeof c->error, "%s", err_text());
}

void commit_free(struct commit *c)
{
    for (size_t i = 0; i < c->records.count; i++) {
        struct staged *r = &c->records.items[i];
        for (size_t k = 0; k < r->chunks.count; k++)
            chunk_unref(r->chunks.items[k]);
        vec_reset(&r->chunks);
        vec_reset(&r->parts);
    }
    vec_reset(&c->records);
    vec_reset(&c->logs);
    vec_reset(&c->unsynced);
    free(c);
}

/* The commit was written but not synced: its logs are looked at again after the next sync. */
static void remember_unsynced(struct store *s, const struct commit *c)
{
    if (s->unsynced.count == 0)
        s->unsynced_since_ns = s->now_ns;
    for (size_t i = 0; i < c->logs.count; i++) {
        struct log_state *l = c->logs.items[i];
        if (l->unsynced)
            continue;
        l->unsynced = true;
        log_pin(l);
        vec_push(&s->unsynced, l);
    }
    if (s->due_ns > s->now_ns + SYNC_WITHIN_NS)
        s->due_ns = s->now_ns + SYNC_WITHIN_NS;
}

static bool has_unsynced(const struct log_state *l)
{
    for (size_t i = 0; i < l->pieces.count; i++) {
        const struct piece *p = &l->pieces.items[i];
        if (!p->direct && piece_is(l->store, p, false) && !piece_is(l->store, p, true))
            return true;
    }
    return false;
}

/* Those that have written more meanwhile wait for the next sync too. */
static void advance_unsynced(struct store *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->unsynced.count; i++) {
        struct log_state *l = s->unsynced.items[i];
        log_advance(l);
        if (has_unsynced(l)) {
            s->unsynced.items[kept++] = l;
            continue;
        }
        l->unsynced = false;
        log_unpin(l);
    }
    s->unsynced.count = kept;
    s->unsynced_since_ns = s->now_ns;
}

static void commit_ended(struct store *s, const struct commit *c)
{
    s->journal_lane.done = c->number;
    if (c->records.count > 0) {
        const struct staged *last = &vec_last(&c->records);
        s->journal.written_to = last->address + last->size;
        s->journal.newest_written = last->file;
    }
    metrics_add(METRIC_commits, 1);
    metrics_add(METRIC_commit_bytes, (uint64_t)c->wrote_bytes);
    if (c->sync) {
        s->journal_lane.synced = c->number;
        advance_unsynced(s);
    } else {
        remember_unsynced(s, c);
    }
    for (size_t i = 0; i < c->logs.count; i++) {
        log_advance(c->logs.items[i]);
        materialise_ahead(c->logs.items[i]);
    }
}

/* false: it has failed. */
static bool take_back(struct store *s, struct commit *c)
{
    bool failed = c->err != OK;
    s->in_flight = NULL;
    s->journal.done_sequence = s->journal.sequence; /* the job is done, and no other one began */
    give_back_unsynced(&c->unsynced);
    if (failed)
        store_freeze(s, c->err, c->error);
    else
        commit_ended(s, c);
    for (size_t i = 0; i < c->logs.count; i++)
        log_unpin(c->logs.items[i]);
    commit_free(c);
    return !failed;
}

static void commit_done(struct job *job)
{
    struct commit *c = container_of(job, struct commit, job);
    struct store *s = c->store;
    if (!take_back(s, c))
        return;
    s->owner.progressed(s->owner.ctx);
    journal_prepare_more(s);
    recycle_step(s);
}

static void commit_written(struct job *job)
{
    struct commit *c = container_of(job, struct commit, write.job);
    struct journal *j = &c->store->journal;
    c->err = c->write.err;
    if (c->err)
        snprintf(c->error, sizeof c->error, "%s", c->write.error);
    else
        j->synced_sequence = j->sequence;
    commit_done(&c->job);
}

/* Nearly each commit of level fsync: one write past the page cache and its sync, and nothing before it waits to be
 * synced, nor does the file's header have to tell of it. */
static bool is_one_write(const struct commit *c)
{
    const struct lane_progress *lane = &c->store->journal_lane;
    if (!c->sync || c->records.count != 1 || lane->synced < lane->done)
        return false;
    const struct staged *r = &c->records.items[0];
    uint64_t at = r->address - r->file->base;
    return is_whole_blocks(c->store, r) && r->size <= WRITE_MAX_BYTES &&
           at + r->size <= r->file->records_below;
}

static void write_commit(struct store *s, struct commit *c)
{
    struct staged *r = &c->records.items[0];
    note_late_sync(c);
    journal_seal_record(s, r, false);
    c->wrote_bytes = (int64_t)r->size;
    c->write = (struct write_job){.job.done = commit_written,
                                  .file = r->file->writer,
                                  .position = r->address - r->file->base,
                                  .parts = r->parts.items,
                                  .count = (int)r->parts.count};
    jobs_write(s->jobs, LANE_JOURNAL, &c->write);
}

/* Are the files that the commit writes into there? */
static bool commit_has_files(const struct commit *c)
{
    for (size_t i = 0; i < c->records.count; i++)
        if (!is_made(c->records.items[i].file))
            return false;
    return true;
}

/* What was staged is on its way, and the next commit gathers. */
static struct commit *let_go(struct store *s)
{
    struct commit *c = s->staging;
    stage_close_record(s);
    for (size_t i = 0; i < c->records.count; i++)
        if (c->records.items[i].file->state == JOURNAL_READY)
            c->records.items[i].file->state = JOURNAL_ACTIVE;
    if (c->sync)
        take_unsynced(s, c->records.count ? vec_last(&c->records).file : s->journal.newest_written,
                      &c->unsynced);
    c->known_synced = s->journal.known_synced;
    s->in_flight = c;
    s->journal_lane.staging++;
    s->journal_lane.promised = s->journal_lane.promised_sync = false;
    s->journal_lane.staged_bytes = 0;
    s->staging = commit_new(s);
    return c;
}

enum err commit_at_once(struct store *s)
{
    struct commit *c = let_go(s);
    commit_run(&c->job);
    if (c->err) /* it goes with the store */
        return err_set(c->err, "%s", c->error);
    (void)take_back(s, c);
    return OK;
}

/* While another one is under way the record stays open: what the turns bring meanwhile is one write. */
static void start_commit(struct store *s)
{
    struct commit *c = s->staging;
    c->sync = c->sync || s->journal_lane.promised_sync;
    bool only_sync = c->sync && s->journal_lane.synced < s->journal_lane.done;
    if (s->in_flight || (c->records.count == 0 && !only_sync))
        return;
    if (!commit_has_files(c)) {
        journal_prepare_waiting(s);
        return;
    }
    c = let_go(s);
    if (is_one_write(c)) {
        write_commit(s, c);
        return;
    }
    c->job.run = commit_run;
    c->job.done = commit_done;
    jobs_submit(s->jobs, LANE_JOURNAL, &c->job);
}

/* ---- syncing what no client waits for ---- */

/* What logs of level os have written is on the disk within a second or so, and when a journal file is to
 * be renewed. A helper does it: in the journal's lane the commits behind it would wait for the disk,
 * which at that level they need not. */

static void late_sync_run(struct job *job)
{
    struct late_sync *l = container_of(job, struct late_sync, job);
    for (size_t i = 0; i < l->files.count && !l->err; i++)
        l->err = file_sync(l->files.items[i]->file);
    if (l->err)
        snprintf(l->error, sizeof l->error, "%s", err_text());
}

static void late_sync_done(struct job *job)
{
    struct late_sync *l = container_of(job, struct late_sync, job);
    struct store *s = l->store;
    s->late_sync = NULL;
    s->helpers--;
    give_back_unsynced(&l->files);
    if (l->err) {
        store_freeze(s, l->err, l->error);
    } else if (l->number > s->journal_lane.synced && !s->frozen) {
        s->journal.known_synced = l->sequence;
        s->journal_lane.synced = l->number;
        advance_unsynced(s);
        s->owner.progressed(s->owner.ctx);
    }
    recycle_step(s); /* it may have waited for a file to be read no more */
    free(l);
}

static void start_late_sync(struct store *s)
{
    struct lane_progress *lane = &s->journal_lane;
    bool is_due =
        lane->synced < s->sync_wanted || s->now_ns - s->unsynced_since_ns >= SYNC_WITHIN_NS;
    if (s->late_sync || lane->synced >= lane->done || !is_due)
        return;
    struct late_sync *l = s->late_sync = xzalloc(sizeof *l);
    l->store = s;
    take_unsynced(s, s->journal.newest_written, &l->files);
    l->number = lane->done;
    l->sequence = s->journal.done_sequence;
    l->job.run = late_sync_run;
    l->job.done = late_sync_done;
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &l->job);
}

/* ---- the direct lane's round ---- */

static enum err direct_open(struct store *s, struct direct_write *w)
{
    char dir[40], path[64];
    log_dir(w->log->log.id, dir);
    segment_path(w->log->log.id, w->segment, "log", path);
    enum err err = disk_make_dir(s->disk, dir);
    if (!err)
        err = disk_open(s->disk, path, DISK_CREATE, &w->file);
    if (!err)
        err = file_truncate(w->file, 0); /* never what an earlier run may have left there */
    if (!err)
        err = disk_sync_dir(s->disk, dir);
    if (!err)
        err = disk_sync_dir(s->disk, "logs");
    w->opened = true;
    return err_wrap(err, "create segment %s", path);
}

/* Everything that may need new space: if there is none, nothing was written yet and the whole round
 * can be tried again. */
static enum err direct_make_room(struct store *s, struct direct_write *w)
{
    enum err err = w->file ? OK : direct_open(s, w);
    if (!err && w->allocate_to > 0)
        err = file_allocate(w->file, w->allocate_from, w->allocate_to, false);
    if (!err)
        w->allocate_to = 0;
    return err;
}

static void round_run(struct job *job)
{
    struct round *r = container_of(job, struct round, job);
    enum err err = OK;
    for (size_t i = 0; i < r->writes.count && !err; i++)
        err = direct_make_room(r->store, &r->writes.items[i]);
    r->stalled = err == E_NO_SPACE;
    for (size_t i = 0; i < r->writes.count && !err; i++) {
        struct direct_write *w = &r->writes.items[i];
        if (w->parts.count > 0)
            err = file_write(w->file, w->position, w->parts.items, (int)w->parts.count);
    }
    for (size_t i = 0; i < r->writes.count && !err; i++) {
        if (r->writes.items[i].sync)
            err = file_sync(r->writes.items[i].file);
        else
            start_sync(r->writes.items[i].file, r->writes.items[i].position,
                       r->writes.items[i].end_position);
    }
    r->err = err;
    if (err)
        snprintf(r->error, sizeof r->error, "%s", err_text());
}

void round_free(struct round *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->writes.count; i++) {
        struct direct_write *w = &r->writes.items[i];
        if (w->opened) /* and direct_wrote() has not taken it */
            file_close(w->file);
        vec_reset(&w->parts);
        vec_reset(&w->index);
    }
    for (size_t i = 0; i < r->chunks.count; i++)
        chunk_unref(r->chunks.items[i]);
    vec_reset(&r->chunks);
    vec_reset(&r->writes);
    free(r);
}

static void round_done(struct job *job)
{
    struct round *r = container_of(job, struct round, job);
    struct store *s = r->store;
    s->direct_in_flight = NULL;
    if (r->stalled) {
        if (!s->low_space)
            say_warn("log", "disk full, waiting for space: %s", r->error);
        s->low_space = true;
        s->direct_stalled = r;
        return;
    }
    if (r->err) {
        store_freeze(s, r->err, r->error);
    } else {
        s->direct_lane.done = s->direct_lane.synced = r->number;
        for (size_t i = 0; i < r->writes.count; i++)
            direct_wrote(s, &r->writes.items[i]);
        for (size_t i = 0; i < r->writes.count; i++)
            log_advance(r->writes.items[i].log);
    }
    for (size_t i = 0; i < r->writes.count; i++)
        log_unpin(r->writes.items[i].log);
    bool failed = r->err != OK;
    round_free(r);
    if (!failed) {
        s->owner.progressed(s->owner.ctx);
        recycle_step(s);
    }
}

void round_resume(struct store *s)
{
    struct round *r = s->direct_stalled;
    if (!r || s->frozen)
        return;
    s->direct_stalled = NULL;
    s->direct_in_flight = r;
    jobs_submit(s->jobs, LANE_DIRECT, &r->job);
}

/* Recovery would have to read too much: rows first, unless it is this round that they wait for. */
static bool waits_for_rows(struct store *s, const struct round *r)
{
    bool too_much = s->unmarked_bytes >= s->config.unmarked_max_bytes &&
                    r->number > s->recycle.rows_wait_for_round;
    if (too_much)
        recycle_start_mark(s);
    return too_much;
}

/* A round may only be written when every DIRECT entry that it depends on is durable: see direct.c.
 */
static void start_round(struct store *s)
{
    struct round *r = s->direct_staging;
    if (s->direct_in_flight || s->direct_stalled || !r || r->writes.count == 0 ||
        s->journal_lane.synced < s->direct_needs_commit || waits_for_rows(s, r))
        return;
    for (size_t i = 0; i < r->writes.count; i++)
        direct_prepare_write(&r->writes.items[i]);
    s->direct_in_flight = r;
    s->direct_staging = NULL;
    s->direct_lane.staging++;
    s->direct_lane.promised = false;
    s->direct_lane.staged_bytes = 0;
    r->job.run = round_run;
    r->job.done = round_done;
    jobs_submit(s->jobs, LANE_DIRECT, &r->job);
}

uint64_t store_want_sync(struct store *s)
{
    s->journal_lane.promised = true;
    s->sync_wanted = s->journal_lane.staging;
    return s->sync_wanted;
}

/* ---- the turn's end ---- */

/* A number was given out by log_next_ticket() but nothing came to be staged under it: it is done as
 * soon as what is in front of it is. */
static bool keep_promise(struct lane_progress *lane)
{
    bool clean = lane->synced == lane->done;
    if (!lane->promised || (lane->promised_sync && !clean))
        return false;
    lane->promised = lane->promised_sync = false;
    lane->done = lane->staging++;
    if (clean)
        lane->synced = lane->done;
    return true;
}

static bool keep_promises(struct store *s)
{
    bool kept = false;
    if (!s->in_flight && s->staging->records.count == 0 && keep_promise(&s->journal_lane)) {
        s->staging->number = s->journal_lane.staging;
        s->staging->sync = false;
        kept = true;
    }
    if (!s->direct_in_flight && !s->direct_stalled && !s->direct_staging)
        kept = keep_promise(&s->direct_lane) || kept;
    return kept;
}

static void tell_memory_logs(struct store *s)
{
    for (size_t i = 0; i < s->memory_moved.count; i++) {
        struct log_state *l = s->memory_moved.items[i];
        int64_t old = l->log.hw;
        l->moved = false;
        l->log.hw = l->log.end;
        if (!l->deleted && l->log.hw > old)
            s->owner.committed(s->owner.ctx, &l->log, old);
        log_unpin(l);
    }
    vec_clear(&s->memory_moved);
}

void store_flush(struct store *s)
{
    tell_memory_logs(s);
    if (s->frozen)
        return;
    direct_enter_wanted(s);
    start_commit(s);
    start_round(s);
    if (keep_promises(s)) {
        s->owner.progressed(s->owner.ctx);
        recycle_step(s); /* it may be among those who waited */
    }
    start_late_sync(s);
    store_evict_to(s, s->config.cache_bytes);
}

bool store_is_done(const struct store *s, struct ticket t, enum stage stage)
{
    bool synced = stage == STAGE_COMMITTED && t.level == LEVEL_FSYNC;
    return t.journal <= (synced ? s->journal_lane.synced : s->journal_lane.done) &&
           t.direct <= (synced ? s->direct_lane.synced : s->direct_lane.done);
}

void ticket_join(struct ticket *a, struct ticket b)
{
    bool was_empty = a->journal == 0 && a->direct == 0;
    if (b.journal > a->journal)
        a->journal = b.journal;
    if (b.direct > a->direct)
        a->direct = b.direct;
    if (was_empty || ((b.journal || b.direct) && b.level < a->level))
        a->level = b.level;
}

struct ticket log_next_ticket(struct log *log)
{
    struct log_state *l = log_state(log);
    struct store *s = l->store;
    struct ticket t = {.level = (uint8_t)log->level};
    if (log->level == LEVEL_MEMORY)
        return t;
    t = log_last_ticket(log);
    if (l->direct) {
        t.direct = s->direct_lane.staging;
        s->direct_lane.promised = true;
    } else {
        t.journal = s->journal_lane.staging;
        s->journal_lane.promised = true;
        if (log->level == LEVEL_FSYNC)
            s->journal_lane.promised_sync = true;
    }
    return t;
}

struct ticket log_last_ticket(const struct log *log)
{
    const struct log_state *l = (const struct log_state *)log;
    struct ticket t = {.level = (uint8_t)log->level};
    for (size_t i = 0; i < l->pieces.count; i++) {
        if (l->pieces.items[i].direct)
            t.direct = l->pieces.items[i].number;
        else
            t.journal = l->pieces.items[i].number;
    }
    return t;
}

bool store_is_behind(const struct store *s)
{
    return stage_bytes(s) > s->config.backlog_bytes || space_is_uncertain(s);
}

bool store_is_frozen(const struct store *s)
{
    return s->frozen;
}
