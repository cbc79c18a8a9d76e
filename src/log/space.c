/*
 * Giving space back. A segment goes when a durable row says that the log starts behind it; a
 * deleted log's directory when its DELETE is durable. Freed in steps with pauses, because freeing
 * much at once makes every commit wait for the file system. Room on the disk and the memory in use
 * are looked at once a second, and more often the less there is above the reserve and the more is
 * written.
 */
#include "io/clock.h"
#include "io/process.h"
#include "log/store_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_EVERY_NS = 1000000000,
    IDLE_CACHE_BYTES = 1 * MIB,
    TRIM_GROWTH_BYTES = 16 * MIB, /* of the process, since memory was trimmed */
    JOURNAL_LEFT_FILES = 4,       /* of the first file's size: what frees space is written there */
    OPEN_FILES_MAX = 64,          /* of one removal; the space of more goes at once */
};
static const int64_t IDLE_NS = 3000000000;
static const int64_t TRIM_EVERY_NS = 60000000000;

struct removal {
    struct job job;
    struct store *store;
    struct log_state *log;
    bool at_once;       /* somebody may still read its segments */
    bool all;           /* a deleted log, else: */
    int64_t start;      /* segments that end at or below it, */
    int64_t sealed_to;  /* and begin below this */
    int64_t end;        /* where the last of them ends */
    int64_t first_left; /* the oldest segment that stayed; -1 none */
    uint64_t freed_bytes;
    unnamed_files files; /* their space is still to be given back */
    enum err err;
    char error[256];
};

/* ---- space of files without a name ---- */

struct giving {
    struct job job;
    struct store *store;
    unnamed_files files;
};

static void giving_run(struct job *job)
{
    struct giving *g = container_of(job, struct giving, job);
    for (size_t i = 0; i < g->files.count; i++)
        file_give_back(g->store->disk, &g->files.items[i]);
}

static void giving_done(struct job *job)
{
    struct giving *g = container_of(job, struct giving, job);
    g->store->helpers--;
    vec_reset(&g->files);
    free(g);
}

void space_give_back(struct store *s, unnamed_files *files)
{
    if (files->count == 0)
        return;
    struct giving *g = xzalloc(sizeof *g);
    g->job.run = giving_run;
    g->job.done = giving_done;
    g->store = s;
    g->files = *files;
    *files = (unnamed_files){0};
    s->helpers++;
    jobs_submit(s->jobs, LANE_SPACE, &g->job);
}

/* ---- removing ---- */

/* Its space goes in steps unless a reader may still want the bytes. */
static enum err remove_file(struct removal *r, const char *path)
{
    struct unnamed_file f;
    enum err err = disk_unname(r->store->disk, path, &f);
    r->freed_bytes += f.size;
    if (r->at_once || file_step_below(f.size) == 0 || r->files.count == OPEN_FILES_MAX)
        file_close(f.file);
    else
        vec_push(&r->files, f);
    return err;
}

static enum err remove_segment(struct removal *r, int64_t base)
{
    char path[64];
    segment_path(r->log->log.id, base, "log", path);
    enum err err = remove_file(r, path);
    segment_path(r->log->log.id, base, "index", path);
    return err ? err : disk_remove(r->store->disk, path);
}

static enum err remove_below(struct removal *r)
{
    segment_bases bases = {0};
    enum err err = segment_list(r->store->disk, r->log->log.id, &bases);
    r->first_left = -1;
    for (size_t i = 0; i < bases.count && !err; i++) {
        int64_t end = i + 1 < bases.count ? bases.items[i + 1] : r->end;
        if (end <= r->start && bases.items[i] < r->sealed_to)
            err = remove_segment(r, bases.items[i]);
        else if (r->first_left < 0)
            r->first_left = bases.items[i];
    }
    vec_reset(&bases);
    return err;
}

struct names {
    struct removal *removal;
    enum err err;
};

static void remove_name(void *ctx, const char *name)
{
    struct names *n = ctx;
    char path[320];
    snprintf(path, sizeof path, "logs/%llu/%s", (unsigned long long)n->removal->log->log.id, name);
    if (!n->err)
        n->err = remove_file(n->removal, path);
}

/* Whatever lies in the folder, also what a compaction may have left there. */
static enum err remove_folder(struct removal *r)
{
    char dir[40];
    struct names names = {.removal = r};
    log_dir(r->log->log.id, dir);
    enum err err = disk_list(r->store->disk, dir, remove_name, &names);
    if (err == E_NOT_FOUND)
        return OK;
    if (!err)
        err = names.err;
    return err ? err : disk_remove_dir(r->store->disk, dir);
}

static void removal_run(struct job *job)
{
    struct removal *r = container_of(job, struct removal, job);
    r->err = r->all ? remove_folder(r) : remove_below(r);
    if (r->err)
        snprintf(r->error, sizeof r->error, "%s", err_text());
}

/* A deleted log has nothing left on disk. If a row names it, another row must say that it is gone.
 */
static void unlinked(struct log_state *l)
{
    l->unlinked = true;
    if (l->has_row) {
        log_wants_row(l);
        return; /* space_after_row() ends it */
    }
    log_unpin(l);
}

static void removal_done(struct job *job)
{
    struct removal *r = container_of(job, struct removal, job);
    struct store *s = r->store;
    struct log_state *l = r->log;
    s->helpers--;
    l->trimming = false;
    space_give_back(s, &r->files);
    if (r->err)
        say_warn("log", "cannot remove old segments: %s log=%llu", r->error,
                 (unsigned long long)l->log.id);
    log_parts(l)->stored_bytes -=
        r->freed_bytes < l->parts->stored_bytes ? r->freed_bytes : l->parts->stored_bytes;
    if (r->all && !r->err) {
        unlinked(l);
    } else if (r->all) { /* the next run tries again */
        vec_push(&s->doomed, ((struct doomed){l, UINT64_MAX}));
    } else if (!r->err) {
        log_parts(l)->first_segment = r->first_left;
        if (r->first_left < 0 && l->parts->direct_from != INT64_MAX)
            log_parts(l)->first_segment =
                l->parts->direct_from; /* may have been made beside the removal */
        if (!l->deleted)
            log_mark_dirty(l, journal_end_address(s));
    }
    log_unpin(l);
    free(r);
}

static void start_removal(struct store *s, struct log_state *l, bool all)
{
    struct removal *r = xzalloc(sizeof *r);
    r->job.run = removal_run;
    r->job.done = removal_done;
    r->store = s;
    r->log = l;
    r->all = all;
    r->at_once = l->parts->lent > 0;
    r->start = l->parts->row_start;
    r->sealed_to = l->parts->row_sealed_to;
    r->end = l->parts->direct_from == INT64_MAX ? l->stored_to : INT64_MAX;
    l->trimming = true;
    stretch_forget(l, r->start);
    log_parts(l)->trimmed_to = r->start;
    log_pin(l);
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &r->job);
}

void space_after_row(struct store *s, struct log_state *l)
{
    if (l->deleted) {
        if (l->unlinked && !l->dirty_from)
            log_unpin(l); /* the row that says GONE is durable */
        return;
    }
    if (l->parts->first_segment >= 0 && l->parts->row_start > l->parts->trimmed_to &&
        !l->trimming && !compact_holds(l) && l->parts->row_sealed_to > l->parts->first_segment)
        start_removal(s, l, false);
}

static bool removal_may_start(const struct store *s, const struct doomed *d)
{
    /* one pin is the list's own; the others are commits, rounds, reads and jobs */
    return d->number <= s->journal_lane.synced && d->log->pins == 1 && !d->log->trimming &&
           d->log->parts->lent == 0;
}

static void remove_doomed(struct store *s)
{
    for (size_t i = s->doomed.count; i-- > 0;) {
        struct doomed d = s->doomed.items[i];
        if (!removal_may_start(s, &d))
            continue;
        s->doomed.items[i] = s->doomed.items[--s->doomed.count];
        direct_free(d.log->direct);
        d.log->direct = NULL;
        if (d.log->parts->first_segment >= 0)
            start_removal(s, d.log, true);
        else
            unlinked(d.log);
    }
}

/* ---- memory ---- */

/* After a burst the cached bytes are of little use to anybody: the page cache has them too. */
static void give_back_cache(struct store *s)
{
    if (s->journal_window.bytes + s->direct_window.bytes == 0)
        return;
    store_evict_to(s, IDLE_CACHE_BYTES);
    pool_free(s);
    process_trim_memory_by(s->jobs);
}

void space_settle_when_idle(struct store *s)
{
    if (s->is_settled)
        return;
    if (s->appended_ns == 0)
        s->appended_ns = s->now_ns;
    int64_t due_ns = s->appended_ns + IDLE_NS;
    if (s->now_ns < due_ns) {
        if (s->due_ns > due_ns)
            s->due_ns = due_ns;
        return;
    }
    if (journal_tidy(s))
        return; /* what it still needs of the cache stays */
    give_back_cache(s);
    s->is_settled = true;
}

/* ---- room ---- */

/* What was appended may take its room twice: in the journal, and in a segment. */
static uint64_t unseen_bytes(const struct store *s)
{
    return s->unseen_bytes + s->preparing_bytes + 2 * stage_bytes(s);
}

/* Above the reserve, as seen last. */
static uint64_t left_bytes(const struct store *s)
{
    uint64_t reserve = s->config.reserve_bytes;
    if (s->free_bytes == UINT64_MAX)
        return UINT64_MAX; /* before the first look */
    return s->free_bytes > reserve ? s->free_bytes - reserve : 0;
}

static uint64_t smaller_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The journal has little room left, and another file of it would touch the reserve. */
static bool is_short_of_journal(struct store *s)
{
    return journal_free_bytes(s) < JOURNAL_LEFT_FILES * s->config.journal_first_bytes &&
           !space_has_room(s, journal_next_bytes(s));
}

/* Once low there must be some more than the reserve, so that it is not low again at once. */
static void note_low(struct store *s)
{
    uint64_t reserve = s->config.reserve_bytes;
    uint64_t wanted = s->low_space ? reserve + smaller_u64(reserve / 8, 64 * MIB) : reserve;
    bool low = s->free_bytes < wanted || is_short_of_journal(s);
    if (low != s->low_space)
        say_warn("log",
                 low ? "disk low, appends are refused until there is room free_bytes=%llu"
                     : "disk has room again free_bytes=%llu",
                 (unsigned long long)s->free_bytes);
    s->low_space = low;
}

static void note_taken(struct store *s, uint64_t bytes)
{
    s->unseen_bytes += bytes;
    if (s->config.reserve_bytes > 0 && unseen_bytes(s) > left_bytes(s) / 4) {
        s->look_now = true;
        s->due_ns = s->now_ns;
    }
}

void space_note_file(struct store *s, uint64_t bytes)
{
    note_taken(s, bytes);
}

bool space_has_room(const struct store *s, uint64_t bytes)
{
    return s->config.reserve_bytes == 0 || left_bytes(s) == UINT64_MAX ||
           unseen_bytes(s) + bytes <= left_bytes(s);
}

/* Between two looks at the disk as much is written as it takes. So what is appended is counted, and
 * when it may have used a part of what is left above the reserve it is looked again, while the store
 * counts as behind. */
void space_note_append(struct store *s, size_t bytes)
{
    s->appended_ns = s->now_ns;
    s->is_settled = false;
    if (s->due_ns > s->now_ns + LOOK_EVERY_NS)
        s->due_ns = s->now_ns + LOOK_EVERY_NS;
    note_taken(s, 2 * bytes);
}

/* Nobody knows whether there is room for more before it has been looked. */
bool space_is_uncertain(const struct store *s)
{
    bool is_known = s->free_bytes != UINT64_MAX && unseen_bytes(s) <= left_bytes(s) / 2;
    return (s->look_now || s->looking) && s->config.reserve_bytes > 0 && !is_known;
}

struct look {
    struct job job;
    struct store *store;
    uint64_t free_bytes;
    uint64_t seen_bytes; /* appended before: the look sees them, or they are still staged */
    uint64_t watermark_bytes, used_bytes; /* of memory */
    uint64_t trim_above_bytes;            /* it is trimmed then; UINT64_MAX: not again so soon */
    bool has_trimmed;
    enum err err;
};

bool store_is_low_on_disk(const struct store *s)
{
    return s->low_space || s->no_space;
}

bool store_is_low_on_memory(const struct store *s)
{
    return s->low_memory || s->over_watermark;
}

/* Once low a part must be free again, so that it is not low again at once. */
void space_note_memory(struct store *s)
{
    uint64_t eighth = s->config.memory_level_bytes / 8;
    s->low_memory = s->memory_bytes > eighth * (s->low_memory ? 6 : 7);
}

/* What was freed and not given back counts as used, so that is done before it is an alarm; and now and then,
 * or what lies free between what is not would become more and more. */
static void look_at_memory(struct look *look)
{
    uint64_t watermark = look->watermark_bytes ? look->watermark_bytes : UINT64_MAX;
    look->used_bytes = process_rss_bytes();
    look->has_trimmed = look->used_bytes > look->trim_above_bytes || look->used_bytes > watermark;
    if (!look->has_trimmed)
        return;
    process_trim_memory();
    look->used_bytes = process_rss_bytes();
}

static void look_run(struct job *job)
{
    struct look *look = container_of(job, struct look, job);
    look->err = disk_free_bytes(look->store->disk, &look->free_bytes);
    look_at_memory(look);
}

static void note_trimmed(struct store *s, const struct look *look)
{
    if (look->has_trimmed || s->trimmed_ns == INT64_MIN)
        s->trimmed_ns = s->now_ns;
    if (look->has_trimmed || look->used_bytes < s->trimmed_bytes)
        s->trimmed_bytes = look->used_bytes;
}

static void note_used_memory(struct store *s, uint64_t used_bytes)
{
    uint64_t watermark = s->config.watermark_bytes;
    bool over = watermark > 0 && used_bytes > watermark;
    if (over != s->over_watermark)
        say_warn("log",
                 over ? "memory over its watermark, publishers are held back used_bytes=%llu "
                        "watermark_bytes=%llu"
                      : "memory below its watermark again used_bytes=%llu watermark_bytes=%llu",
                 (unsigned long long)used_bytes, (unsigned long long)watermark);
    s->over_watermark = over;
}

static void look_done(struct job *job)
{
    struct look *look = container_of(job, struct look, job);
    struct store *s = look->store;
    s->helpers--;
    s->looking = false;
    s->unseen_bytes -= look->seen_bytes;
    s->free_bytes = look->err ? 0 : look->free_bytes;
    note_low(s);
    note_trimmed(s, look);
    if (look->watermark_bytes == s->config.watermark_bytes) /* otherwise the next look knows */
        note_used_memory(s, look->used_bytes);
    if ((s->low_space || s->over_watermark) && s->due_ns > s->now_ns + LOOK_EVERY_NS)
        s->due_ns = s->now_ns + LOOK_EVERY_NS; /* nobody else may ask for a turn */
    if (!s->low_space) {
        s->no_space = false;
        round_resume(s);
    }
    free(look);
}

void space_tick(struct store *s)
{
    remove_doomed(s);
    if (!s->low_space)
        note_low(s);
    bool is_time =
        s->space_checked_ns == INT64_MIN || s->now_ns - s->space_checked_ns >= LOOK_EVERY_NS;
    if (s->looking || (!is_time && !s->look_now))
        return;
    s->space_checked_ns = s->now_ns;
    s->look_now = false;
    s->looking = true;
    struct look *look = xzalloc(sizeof *look);
    look->seen_bytes = s->unseen_bytes;
    look->watermark_bytes = s->config.watermark_bytes;
    bool may_trim = s->trimmed_ns != INT64_MIN && s->now_ns - s->trimmed_ns >= TRIM_EVERY_NS;
    look->trim_above_bytes = may_trim ? s->trimmed_bytes + TRIM_GROWTH_BYTES : UINT64_MAX;
    look->job.run = look_run;
    look->job.done = look_done;
    look->store = s;
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &look->job);
}

/* ---- other limits ---- */

static void look_soon(struct store *s)
{
    s->look_now = true;
    s->due_ns = s->now_ns;
}

void store_set_reserve(struct store *s, uint64_t bytes)
{
    s->config.reserve_bytes = bytes;
    if (s->free_bytes < bytes)
        note_low(s);
    look_soon(s);
}

void store_set_watermark(struct store *s, uint64_t bytes, uint64_t used_bytes)
{
    s->config.watermark_bytes = bytes;
    note_used_memory(s, used_bytes);
    look_soon(s);
}

uint64_t store_reserve_bytes(const struct store *s)
{
    return s->config.reserve_bytes;
}

uint64_t store_watermark_bytes(const struct store *s)
{
    return s->config.watermark_bytes;
}
