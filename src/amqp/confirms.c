#include "amqp/confirms.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

static struct confirm_group *group_at(const struct confirms *c, uint32_t i)
{
    return &c->groups[(c->head + i) & (c->capacity - 1)];
}

static void grow(struct confirms *c)
{
    uint32_t capacity = c->capacity ? c->capacity * 2 : 8;
    struct confirm_group *groups = xmalloc(capacity * sizeof *groups);

    for (uint32_t i = 0; i < c->count; i++)
        groups[i] = *group_at(c, i);
    free(c->groups);
    c->groups = groups;
    c->capacity = capacity;
    c->head = 0;
}

static bool group_is_like(const struct confirm_group *a, const struct confirm_group *b)
{
    return a->ticket.journal == b->ticket.journal && a->ticket.direct == b->ticket.direct &&
           a->ticket.level == b->ticket.level && a->stage == b->stage && a->refused == b->refused;
}

static void add(struct confirms *c, struct confirm_group group)
{
    group.last = ++c->last;
    if (c->count && group_is_like(group_at(c, c->count - 1), &group)) {
        group_at(c, c->count - 1)->last = group.last;
        return;
    }
    if (c->count == c->capacity)
        grow(c);
    *group_at(c, c->count++) = group;
}

void confirms_add(struct confirms *c, struct ticket ticket, enum stage stage)
{
    add(c, (struct confirm_group){.ticket = ticket, .stage = stage});
}

void confirms_refuse(struct confirms *c)
{
    add(c, (struct confirm_group){.refused = true});
}

/* Is the group resolved, and how? */
static bool group_is_resolved(const struct confirm_group *group, const struct store *store,
                              bool *out_refused)
{
    *out_refused = group->refused;
    if (group->refused || store_is_done(store, group->ticket, group->stage))
        return true;
    *out_refused = store_is_frozen(store);
    return *out_refused;
}

bool confirms_next(struct confirms *c, const struct store *store, uint64_t *out_first,
                   uint64_t *out_last, bool *out_refused)
{
    bool refused = false, refused_too;
    uint64_t last = c->answered;

    while (c->count && group_is_resolved(group_at(c, 0), store, &refused_too)) {
        if (last > c->answered && refused_too != refused)
            break;
        refused = refused_too;
        last = group_at(c, 0)->last;
        c->head = (c->head + 1) & (c->capacity - 1);
        c->count--;
    }
    if (last == c->answered)
        return false;
    check(last <= c->last);
    *out_first = c->answered + 1;
    *out_last = last;
    *out_refused = refused;
    c->answered = last;
    return true;
}

void confirms_reset(struct confirms *c)
{
    free(c->groups);
    *c = (struct confirms){0};
}
