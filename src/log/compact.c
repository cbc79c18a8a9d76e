/*
 * Compaction: of each key only the newest record stays. One log at a time in one pass after the
 * other, each in slices that helpers work on with pauses between them:
 *
 *   PLAN     How much of the sealed segments was never compacted, and is it time?
 *   MAP      Read these: the newest offset of each key, as far as the map has room.
 *   REWRITE  Copy a group of segments, oldest first, without what the map supersedes.
 *   WAIT     Reads that work on the log's segments end; new ones wait.
 *   SWAP     The copy takes the group's place (compact_file.c says how a crash meets it). The space of what lost
 *            its name is given back as that of other files. Then the next group.
 *
 * Only segments that a durable row calls sealed are touched: recovery appends to, or walks, no others.
 * Where a pass ended is in the log's next row; should that be lost, the work is done again.
 *
 * What waits in the journal and in the segment that still grows is the active part. It is sealed when
 * it is large or old enough, so that also a log with few bytes is compacted some day.
 */
#include "log/compact_internal.h"

#include <stdlib.h>

enum { RETRY_MS = 60000, SEAL_AFTER_MS = 1000, PAUSE_NS = 100000000 };

/* ---- when ---- */

static int64_t add_ms(int64_t at_ms, int64_t ms)
{
    return ms < INT64_MAX - at_ms ? at_ms + ms : INT64_MAX;
}

/* The direct part rolls by itself, unless something in front of it waits to be materialised. */
static bool has_active_part(const struct log_state *l)
{
    bool is_joined = l->direct && l->stored_to == l->parts->direct_from;
    return !is_joined && (l->parts->segment >= 0 || l->tail.count > 0);
}

/* As far as is known after a start: since when is there something behind the last rolled segment? */
static int64_t active_since(const struct log_state *l)
{
    int64_t since = l->store->wall_ms;
    const struct tail_entry *first = l->tail.count ? tail_at(&l->tail, 0) : NULL;
    if (first && first->max_timestamp >= 0 && first->max_timestamp < since)
        since = first->max_timestamp;
    if (l->parts->segment >= 0 && l->parts->segment_since_ms > 0 &&
        l->parts->segment_since_ms < since)
        since = l->parts->segment_since_ms;
    return since;
}

/* Seal what is active when its time or size has come; else say when. */
static void review_active(struct store *s, struct log_state *l)
{
    struct upkeep *u = l->upkeep;
    const struct log_policy *p = l->policy;
    uint64_t limit = log_segment_bytes(l);
    if (!has_active_part(l)) {
        u->active_since_ms = 0;
        upkeep_look_after(l, l->direct ? limit / 4 : 1);
        return;
    }
    if (u->active_since_ms == 0)
        u->active_since_ms = active_since(l);
    int64_t age_ms =
        p->segment_ms < p->max_compaction_lag_ms ? p->segment_ms : p->max_compaction_lag_ms;
    int64_t due_ms = add_ms(u->active_since_ms, age_ms < SEAL_AFTER_MS ? SEAL_AFTER_MS : age_ms);
    uint64_t bytes = (l->parts->segment >= 0 ? l->parts->position : 0) + l->tail.bytes;
    if (s->wall_ms < due_ms && bytes < limit) {
        upkeep_look_at(l, due_ms);
        upkeep_look_after(l, limit - bytes);
    } else if (log_seal(l)) {
        upkeep_look_at(l, s->wall_ms + RETRY_MS); /* should it fail for want of space */
    } else {
        upkeep_look_soon(l);
    }
}

static bool is_queued(const struct log_state *l)
{
    const struct compaction *c = l->store->compaction;
    return list_is_linked(&l->upkeep->compact_node) || (c && c->log == l);
}

void compact_look(struct store *s, struct log_state *l)
{
    struct upkeep *u = l->upkeep;
    int64_t sealed_to = log_sealed_to(l);
    review_active(s, l);
    if (u->compact_failed || is_queued(l))
        return;
    if (sealed_to > l->parts->row_sealed_to && sealed_to > l->log.start)
        log_wants_row(l); /* compact_note_row() goes on */
    bool is_new = l->parts->row_sealed_to > u->planned_to || s->wall_ms >= u->dirty_due_ms;
    if (l->parts->row_sealed_to > l->parts->cleaned_to && l->parts->row_sealed_to > l->log.start &&
        is_new) {
        list_push_back(&s->compact_queue, &u->compact_node);
        s->due_ns = s->now_ns;
    } else if (l->parts->row_sealed_to > l->parts->cleaned_to) {
        upkeep_look_at(l, u->dirty_due_ms);
    }
}

void compact_note_rolled(struct log_state *l)
{
    if (!l->policy || !l->policy->compact || !l->upkeep)
        return;
    l->upkeep->active_since_ms = has_active_part(l) ? l->store->wall_ms : 0;
    upkeep_look_soon(l);
}

void compact_note_row(struct log_state *l)
{
    if (l->policy && l->policy->compact && l->upkeep &&
        l->parts->row_sealed_to > l->upkeep->planned_to)
        upkeep_look_soon(l);
}

/* ---- one pass ---- */

static void compact_done(struct job *job);

static bool must_stop(const struct store *s)
{
    return s->frozen || s->stopping || s->closing;
}

bool compact_holds(const struct log_state *l)
{
    const struct compaction *c = l->store->compaction;
    return c && c->log == l && c->holds_files;
}

static void run_slice(struct compaction *c)
{
    struct store *s = c->store;
    c->is_running = c->holds_files = true;
    c->job.run = compact_run;
    c->job.done = compact_done;
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &c->job);
}

static void begin(struct store *s, struct log_state *l)
{
    struct compaction *c = xzalloc(sizeof *c);
    c->store = s;
    c->log = l;
    c->policy = *l->policy;
    c->now_ms = s->wall_ms;
    c->start = l->log.start;
    c->sealed_to = l->parts->row_sealed_to;
    c->cleaned_to = l->parts->cleaned_to > l->log.start ? l->parts->cleaned_to : l->log.start;
    c->segment_bytes = log_segment_bytes(l);
    uint64_t active = l->direct                ? l->direct->position
                      : l->parts->segment >= 0 ? l->parts->position
                                               : 0;
    c->stored_bytes = l->parts->stored_bytes > active ? l->parts->stored_bytes - active : 0;
    key_map_init(&c->keys, s->config.compact_map_bytes);
    log_pin(l);
    s->compaction = c;
}

/* Reads that waited for the swap. */
static void let_reads_go(struct log_state *l)
{
    struct list *waiting = l->parts->swapping;
    log_parts(l)->swapping = NULL;
    while (waiting && !list_is_empty(waiting))
        read_plan_again(list_pop_front(waiting));
}

static void end(struct store *s)
{
    struct compaction *c = s->compaction;
    struct log_state *l = c->log;
    s->compaction = NULL;
    let_reads_go(l);
    if (!l->deleted && !must_stop(s)) {
        space_after_row(s, l); /* what was held up */
        if (l->policy && l->policy->compact)
            upkeep_look_soon(l);
    }
    compaction_free(c);
    log_unpin(l);
    compact_tick(s);
}

/* The pass is over. */
static void note_cleaned(struct compaction *c)
{
    struct log_state *l = c->log;
    if (c->map_to > l->parts->cleaned_to && !l->deleted) {
        log_parts(l)->cleaned_to = c->map_to;
        log_mark_dirty(l, journal_end_address(c->store));
    }
    if (c->map_to < c->to) /* the map was full: there is more to do */
        l->upkeep->planned_to = 0;
}

static void give_up(struct compaction *c)
{
    struct upkeep *u = c->log->upkeep;
    if (c->err == E_NO_SPACE) {
        say_warn("log", "no room to compact: %s log=%llu", c->error,
                 (unsigned long long)c->log->log.id);
        u->planned_to = c->sealed_to;
        u->dirty_due_ms = c->store->wall_ms + RETRY_MS;
    } else {
        say_error("log", "not compacted until the next start: %s log=%llu", c->error,
                  (unsigned long long)c->log->log.id);
        u->compact_failed = true;
    }
}

static void swapped(struct compaction *c)
{
    struct log_state *l = c->log;
    let_reads_go(l);
    recent_free(l->parts->recent); /* as it was */
    stretch_forget(l, INT64_MAX);
    if (l->parts->lent > 0) /* they may still be read: see stretch.c */
        for (size_t i = 0; i < c->old.count; i++)
            c->old.items[i].size = 0;
    space_give_back(c->store, &c->old);
    log_parts(l)->stored_bytes -=
        c->group_bytes < l->parts->stored_bytes ? c->group_bytes : l->parts->stored_bytes;
    log_parts(l)->stored_bytes += c->out_bytes;
    log_mark_dirty(l, journal_end_address(c->store));
}

/* The phase behind the one that has ended. */
static void next_phase(struct compaction *c)
{
    switch (c->phase) {
    case COMPACT_PLAN:
        c->log->upkeep->planned_to = c->sealed_to;
        c->log->upkeep->dirty_due_ms = c->due_ms;
        c->phase = c->is_wanted ? COMPACT_MAP : COMPACT_END;
        return;
    case COMPACT_MAP:
        c->phase = COMPACT_REWRITE;
        c->next_offset = 0;
        if (c->keys.count == 0) { /* no key can supersede another */
            note_cleaned(c);
            c->phase = COMPACT_END;
        }
        return;
    case COMPACT_REWRITE:
        if (c->bases.count == 0) {
            note_cleaned(c);
            c->phase = COMPACT_END;
            return;
        }
        c->group_from = c->group_end;
        if (c->is_changed)
            c->phase = COMPACT_WAIT;
        return;
    case COMPACT_WAIT: c->phase = COMPACT_SWAP; return;
    case COMPACT_SWAP:
        swapped(c);
        c->phase = COMPACT_REWRITE;
        return;
    case COMPACT_END: return;
    }
}

/* Between two groups nothing of the log's files is in use: a removal that waits goes first. */
static bool removal_comes_first(struct compaction *c)
{
    bool is_between = (c->phase == COMPACT_REWRITE && !c->out) || c->phase == COMPACT_PLAN;
    if (!is_between)
        return false;
    c->holds_files = false;
    if (c->phase == COMPACT_REWRITE)
        space_after_row(c->store, c->log);
    return c->log->trimming;
}

static void go_on(struct store *s)
{
    struct compaction *c = s->compaction;
    if (c->is_running)
        return;
    if (c->log->deleted || c->phase == COMPACT_END || must_stop(s)) {
        end(s);
    } else if (s->now_ns < s->compact_due_ns) {
        return;
    } else if (c->phase == COMPACT_WAIT) {
        if (!c->log->parts->swapping) {
            list_init(&c->waiting_reads);
            log_parts(c->log)->swapping = &c->waiting_reads;
        }
        if (c->log->parts->segment_reads == 0) {
            next_phase(c);
            run_slice(c);
        }
    } else if (removal_comes_first(c)) {
        s->compact_due_ns = s->now_ns + PAUSE_NS;
    } else {
        run_slice(c);
    }
}

static void compact_done(struct job *job)
{
    struct compaction *c = container_of(job, struct compaction, job);
    struct store *s = c->store;
    s->helpers--;
    c->is_running = false;
    s->compact_due_ns =
        s->now_ns + (int64_t)(c->slice_bytes * 1000000000ull / s->config.compact_bytes_per_s);
    if (c->err && !c->log->deleted)
        give_up(c);
    if (c->err)
        c->phase = COMPACT_END;
    else if (c->is_done)
        next_phase(c);
    compact_tick(s);
}

void compact_tick(struct store *s)
{
    if (!s->compaction && !list_is_empty(&s->compact_queue) && !must_stop(s)) {
        struct list *n = list_pop_front(&s->compact_queue);
        struct log_state *l = container_of(n, struct upkeep, compact_node)->log;
        if (!l->deleted && l->policy && l->policy->compact)
            begin(s, l);
    }
    if (s->compaction)
        go_on(s);
    const struct compaction *c = s->compaction; /* what runs, or waits for reads, ends by itself */
    bool waits = c ? !c->is_running && !c->log->parts->swapping : !list_is_empty(&s->compact_queue);
    int64_t due_ns = s->compact_due_ns > s->now_ns ? s->compact_due_ns : s->now_ns;
    if (waits && due_ns < s->due_ns)
        s->due_ns = due_ns;
}

void compact_stop(struct store *s)
{
    if (s->compaction && !s->compaction->is_running)
        end(s);
}

void compact_go_on(struct store *s, struct log_state *l)
{
    if (s->compaction && s->compaction->log == l && s->compaction->phase == COMPACT_WAIT)
        compact_tick(s);
}

void compact_free(struct store *s)
{
    struct compaction *c = s->compaction;
    s->compaction = NULL;
    if (c) {
        log_parts(c->log)->swapping = NULL;
        compaction_free(c);
    }
}
