/*
 * Retention: what a policy lets go at the front of a log. A log is a row of units, oldest first: its
 * sealed segments, which a job looks into, the segment that grows by materialising, and the batches
 * that are only in the journal. Units go as long as each is too old, or the rest is large enough
 * without it; then the start moves by a logged entry, and the files go as after every trim.
 */
#include "log/store_internal.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 300000, /* as Kafka's log.retention.check.interval.ms */
    RETRY_MS = 60000,
    SLACK_MIN_BYTES = 4 * KIB, /* of bytes over retention_bytes that do not matter yet */
    SLACK_MAX_BYTES = 16 * MIB,
    UNITS_PER_LOOK = 100000,
};

/* What may go, and how far that has come. */
struct quota {
    int64_t expired_ms; /* a unit whose largest timestamp is below it is too old */
    uint64_t excess_bytes;
    int64_t trim_to;
};

struct survey {
    struct job job;
    struct store *store;
    struct log_state *log; /* pinned */
    int64_t start, sealed_to, end;
    struct quota quota;
    bool all_go;       /* every sealed segment does */
    int64_t oldest_ms; /* else: the largest timestamp of the first that stays */
    enum err err;
    char error[256];
};

static struct quota quota_of(const struct store *s, struct log_state *l)
{
    const struct log_policy *p = l->policy;
    struct quota q = {INT64_MIN, 0, l->log.start};
    uint64_t size = log_size_bytes(&l->log);
    if (!p->drop)
        return q;
    if (p->retention_ms >= 0 && p->retention_ms < s->wall_ms && s->wall_ms >= l->upkeep->aged_ms)
        q.expired_ms = s->wall_ms - p->retention_ms;
    if (p->retention_bytes >= 0 && size > (uint64_t)p->retention_bytes)
        q.excess_bytes = size - (uint64_t)p->retention_bytes;
    return q;
}

/* May this unit go? A unit without a timestamp goes by age only with what follows it. */
static bool unit_goes(struct quota *q, int64_t end, uint64_t size, int64_t max_timestamp)
{
    bool expired = max_timestamp < q->expired_ms;
    bool surplus = size <= q->excess_bytes && q->excess_bytes > 0;
    if (!expired && !surplus)
        return false;
    q->excess_bytes -= size < q->excess_bytes ? size : q->excess_bytes;
    if (surplus || max_timestamp >= 0)
        q->trim_to = end;
    return true;
}

/* ---- sealed segments ---- */

static enum err survey_segments(struct survey *v)
{
    segment_bases bases = {0};
    enum err err = segment_list(v->store->disk, v->log->log.id, &bases);
    v->all_go = true;
    for (size_t i = 0; i < bases.count && !err && v->all_go; i++) {
        int64_t end = i + 1 < bases.count ? bases.items[i + 1] : v->end;
        uint64_t size = 0;
        if (bases.items[i] >= v->sealed_to)
            break;
        if (end <= v->start)
            continue; /* on its way out */
        err = segment_summary(v->store, v->log, bases.items[i], &size, &v->oldest_ms);
        if (!err)
            v->all_go = unit_goes(&v->quota, end, size, v->oldest_ms);
    }
    vec_reset(&bases);
    return err;
}

static void survey_run(struct job *job)
{
    struct survey *v = container_of(job, struct survey, job);
    v->err = survey_segments(v);
    if (v->err)
        snprintf(v->error, sizeof v->error, "%s", err_text());
}

/* ---- the rest ---- */

static bool growing_goes(struct log_state *l, struct quota *q)
{
    if (l->parts->segment < 0)
        return true;
    return !l->parts->materialising && l->stored_to <= l->log.hw &&
           unit_goes(q, l->stored_to, l->parts->position, l->parts->segment_max_timestamp);
}

/* Batches in the journal, up to the direct part; memory's. false: one stays, or it comes to that. */
static bool tail_goes(struct log_state *l, struct quota *q)
{
    for (uint32_t i = 0; i < l->tail.count; i++) {
        const struct tail_entry *e = tail_at(&l->tail, i);
        int64_t end = tail_entry_end(e);
        bool in_order = end <= l->log.hw && e->base_offset < l->parts->direct_from;
        if (!in_order || i == UNITS_PER_LOOK || !unit_goes(q, end, e->size, e->max_timestamp))
            return false;
    }
    return true;
}

int64_t retain_pause_ms(const struct log_policy *p)
{
    int64_t ms = p->retention_ms < 0 ? PAUSE_MAX_MS : p->retention_ms / 64;
    return ms < PAUSE_MIN_MS ? PAUSE_MIN_MS : ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
}

static uint64_t slack_bytes(const struct log_policy *p)
{
    uint64_t slack = (uint64_t)p->retention_bytes / 16;
    return slack < SLACK_MIN_BYTES   ? SLACK_MIN_BYTES
           : slack > SLACK_MAX_BYTES ? SLACK_MAX_BYTES
                                     : slack;
}

/* The largest timestamp of the oldest unit; INT64_MIN: not known. */
static int64_t oldest_ms(const struct log_state *l)
{
    bool has_files = l->parts->first_segment >= 0 &&
                     (l->log.start < l->stored_to || l->parts->direct_from != INT64_MAX);
    int64_t sealed_to = log_sealed_to(l);
    if (!has_files)
        return l->tail.count ? tail_at(&l->tail, 0)->max_timestamp : INT64_MIN;
    if (l->parts->first_segment < sealed_to && l->log.start < sealed_to)
        return l->upkeep->oldest_file_ms;
    if (l->parts->segment >= 0)
        return l->parts->segment_max_timestamp;
    return l->direct ? l->direct->max_timestamp : INT64_MIN;
}

static int64_t oldest_expires_ms(const struct log_state *l)
{
    int64_t keep_ms = l->policy->retention_ms, ms = oldest_ms(l);
    if (keep_ms < 0 || l->log.start == l->log.end || ms >= INT64_MAX - keep_ms)
        return INT64_MAX;
    int64_t due_ms = ms + keep_ms + 1;
    return due_ms > l->upkeep->aged_ms ? due_ms : l->upkeep->aged_ms;
}

static void plan_next_look(struct store *s, struct log_state *l)
{
    const struct log_policy *p = l->policy;
    if (!p || !p->drop)
        return;
    if (l->log.start == l->log.end)
        upkeep_look_after(l, 1);
    int64_t due_ms = oldest_expires_ms(l), earliest_ms = s->wall_ms + retain_pause_ms(p);
    upkeep_look_at(l, due_ms > earliest_ms ? due_ms : earliest_ms);
    if (p->retention_bytes < 0)
        return;
    uint64_t size = log_size_bytes(&l->log);
    uint64_t wanted = (uint64_t)p->retention_bytes + slack_bytes(p);
    upkeep_look_after(l, size < wanted ? wanted - size : slack_bytes(p));
}

static void trim(struct store *s, struct log_state *l, int64_t to)
{
    int64_t old_start = l->log.start;
    struct ticket ticket;
    if (to > l->log.hw)
        to = l->log.hw;
    if (to <= old_start)
        return;
    log_trim(&l->log, to, &ticket);
    metrics_add(METRIC_retention_records, (uint64_t)(to - old_start));
    if (l->parts->first_segment >= 0 && l->parts->first_segment < to)
        log_wants_row(l); /* the files go when it is durable */
    if (s->owner.trimmed)
        s->owner.trimmed(s->owner.ctx, &l->log, old_start);
}

/* The sealed segments are known; now the rest. */
static void apply(struct store *s, struct log_state *l, struct quota *q, bool segments_go)
{
    bool direct_follows =
        l->parts->direct_from != INT64_MAX && l->stored_to == l->parts->direct_from;
    if (segments_go && growing_goes(l, q) && !direct_follows)
        (void)tail_goes(l, q);
    trim(s, l, q->trim_to);
    plan_next_look(s, l);
}

static void survey_done(struct job *job)
{
    struct survey *v = container_of(job, struct survey, job);
    struct store *s = v->store;
    struct log_state *l = v->log;
    s->helpers--;
    s->surveys--;
    l->upkeep->is_looking = false;
    l->upkeep->oldest_file_ms = v->all_go ? INT64_MIN : v->oldest_ms;
    bool overtaken = l->log.start > v->start; /* files went beside it */
    if (v->err && !overtaken)
        say_warn("log", "cannot look at old segments: %s log=%llu", v->error,
                 (unsigned long long)l->log.id);
    if (v->err && l->policy)
        upkeep_look_at(l, s->wall_ms + RETRY_MS);
    else if (l->policy && l->policy->drop && !l->deleted && !s->frozen)
        apply(s, l, &v->quota, v->all_go);
    log_unpin(l);
    free(v);
    upkeep_tick(s);
}

static void start_survey(struct store *s, struct log_state *l, const struct quota *q)
{
    struct survey *v = xzalloc(sizeof *v);
    v->job.run = survey_run;
    v->job.done = survey_done;
    v->store = s;
    v->log = l;
    v->start = l->log.start;
    v->sealed_to = log_sealed_to(l);
    v->end = v->sealed_to;
    v->quota = *q;
    l->upkeep->is_looking = true;
    log_pin(l);
    s->surveys++;
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &v->job);
}

void retain_look(struct store *s, struct log_state *l)
{
    struct quota q = quota_of(s, l);
    bool wanted = q.excess_bytes > 0 || oldest_expires_ms(l) <= s->wall_ms;
    if (!l->policy->drop)
        return;
    if (wanted && l->parts->first_segment >= 0 && l->parts->first_segment < log_sealed_to(l))
        start_survey(s, l, &q);
    else
        apply(s, l, &q, true);
}
