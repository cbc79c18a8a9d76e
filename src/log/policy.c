/*
 * When policies are looked after. A log with data and a policy has one timer, by wall time, for the
 * next moment at which time alone can make something due, and a count of bytes after which appends
 * can. Nothing else is ever walked: a hundred thousand logs of which nothing is due cost nothing.
 */
#include "log/store_internal.h"

#include <stdlib.h>

enum { LOOKS_PER_TICK = 256, SURVEYS_MAX = 16, NS_PER_MS = 1000000, LOOK_PAUSE_MS = 100 };

/* ---- timers ---- */

static void look_due(struct timer *timer, int64_t now_ns)
{
    struct upkeep *u = container_of(timer, struct upkeep, look);
    struct store *s = u->log->store;
    (void)now_ns;
    if (u->is_looking || u->log->deleted)
        return;
    u->appended_bytes = 0;
    u->look_at_bytes = UINT64_MAX;
    retain_look(s, u->log);
    if (u->log->policy->compact && u->log->log.level != LEVEL_MEMORY)
        compact_look(s, u->log);
}

static void note_due(struct store *s)
{
    if (s->frozen) /* nothing is looked at any more: it would be due for ever */
        return;
    int64_t due_ns = upkeep_next_due(s);
    if (due_ns < s->due_ns)
        s->due_ns = due_ns;
}

void upkeep_look_at(struct log_state *l, int64_t due_ms)
{
    struct upkeep *u = l->upkeep;
    if (!u || due_ms >= INT64_MAX / NS_PER_MS)
        return;
    if (timer_is_running(&u->look) && u->look.due_ns <= due_ms * NS_PER_MS)
        return;
    timer_start(&l->store->looks, &u->look, due_ms * NS_PER_MS);
    note_due(l->store);
}

void upkeep_look_after(struct log_state *l, uint64_t bytes)
{
    if (l->upkeep && bytes < l->upkeep->look_at_bytes)
        l->upkeep->look_at_bytes = bytes;
}

void upkeep_look_soon(struct log_state *l)
{
    if (l->policy)
        upkeep_look_at(l, l->store->wall_ms + LOOK_PAUSE_MS);
}

int64_t upkeep_next_due(const struct store *s)
{
    int64_t next = timers_next(&s->looks);
    if (s->wall_ms == 0 || next == INT64_MAX)
        return INT64_MAX;
    int64_t wait_ns = next - s->wall_ms * NS_PER_MS;
    return wait_ns > 0 ? s->now_ns + wait_ns : s->now_ns;
}

void upkeep_tick(struct store *s)
{
    if (s->wall_ms == 0 || s->stopping)
        return;
    for (int i = 0; i < LOOKS_PER_TICK && s->surveys < SURVEYS_MAX; i++)
        if (timers_run(&s->looks, s->wall_ms * NS_PER_MS, 1) == 0)
            break;
    if (s->surveys < SURVEYS_MAX) /* else the next one that ends makes room */
        note_due(s);
}

void store_set_wall_time(struct store *s, int64_t now_ms)
{
    s->wall_ms = now_ms;
    if (s->surveys < SURVEYS_MAX)
        note_due(s);
}

/* ---- which logs have one ---- */

static bool may_want_something(const struct log_policy *p)
{
    return p->compact || (p->drop && (p->retention_ms >= 0 || p->retention_bytes >= 0));
}

static void begin(struct log_state *l)
{
    struct upkeep *u = xzalloc(sizeof *u);
    u->log = l;
    u->look.fire = look_due;
    u->oldest_file_ms = INT64_MIN;
    u->active_since_ms =
        l->store->wall_ms == 0 || l->log.end > l->log.start ? 0 : l->store->wall_ms;
    u->dirty_due_ms = INT64_MAX;
    u->aged_ms = l->store->wall_ms + retain_pause_ms(l->policy);
    l->upkeep = u;
    upkeep_look_soon(l);
}

void upkeep_free(struct log_state *l)
{
    if (!l->upkeep)
        return;
    timer_stop(&l->store->looks, &l->upkeep->look);
    list_remove(&l->upkeep->compact_node);
    free(l->upkeep);
    l->upkeep = NULL;
}

void log_set_policy(struct log *log, const struct log_policy *policy)
{
    struct log_state *l = log_state(log);
    l->policy = policy;
    if (!policy || !may_want_something(policy)) {
        if (l->upkeep && !l->upkeep->is_looking)
            timer_stop(&l->store->looks, &l->upkeep->look);
    } else if (l->upkeep) {
        l->upkeep->aged_ms = 0; /* a policy that was changed counts at once */
        upkeep_look_soon(l);
    } else if (log->end > log->start) {
        begin(l);
    }
}

void upkeep_note_append(struct log_state *l, size_t size)
{
    if (!l->policy || (!l->upkeep && !may_want_something(l->policy)))
        return;
    if (!l->upkeep)
        begin(l);
    struct upkeep *u = l->upkeep;
    u->appended_bytes += size;
    if (u->active_since_ms == 0)
        u->active_since_ms = l->store->wall_ms;
    if (u->appended_bytes >= u->look_at_bytes)
        upkeep_look_soon(l);
}
