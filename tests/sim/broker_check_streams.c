#include "tests/sim/broker_check.h"

#include "base/check.h"
#include "broker/offsets.h"
#include "broker/producer.h"

enum { MS = 1000000, LOAD_TURNS_MAX = 100, SENT_AGAIN = 16 };

struct topic *check_find_topic(struct world *w, const struct model_topic *t)
{
    char name[MODEL_NAME_MAX];
    return topic_find(w->core, model_topic_name(t->name, name));
}

/* ---- what a partition holds ---- */

static bool read_ended;

static void on_read(struct log_read *r)
{
    (void)r;
    read_ended = true;
}

static uint64_t batch_number(const struct batch *b)
{
    struct record_reader reader;
    struct record r;
    record_reader_init(
        &reader, b, b->base_offset,
        bytes_of(b->raw.data + BATCH_HEADER_BYTES, b->raw.size - BATCH_HEADER_BYTES));
    return record_reader_next(&reader, &r) ? model_body_number(r.value) : 0;
}

static bool is_batch(const struct model_batch *want, int64_t base, const struct batch *is)
{
    return base == want->base && is->last_offset_delta + 1 == want->span &&
           batch_number(is) == want->number && is->producer_id == want->producer &&
           (want->producer < 0 ||
            (is->producer_epoch == want->epoch && is->base_sequence == want->sequence));
}

static void check_batch(struct world *w, const struct model_topic *t,
                        const struct model_batch *want, const struct log_batch *is)
{
    struct batch b;
    long long base = is->base_offset;
    if (batch_parse(is->raw, &b) != OK || !batch_is_intact(&b))
        world_complain(w, "topic %u: damaged batch at %lld", t->name, base);
    else if (!is_batch(want, is->base_offset, &b))
        world_complain(w, "topic %u: at %lld is batch %llu, not %llu", t->name, base,
                       (unsigned long long)batch_number(&b), (unsigned long long)want->number);
}

static int64_t end_of(const struct model_batch *b)
{
    return b->base + b->span;
}

static size_t first_batch_above(const struct model_partition *p, int64_t offset)
{
    size_t i = 0;
    while (i < p->batches.count && end_of(&p->batches.items[i]) <= offset)
        i++;
    return i;
}

/* Read everything. Returns the index behind the last batch that is there. */
static size_t check_content(struct world *w, const struct model_topic *t,
                            const struct model_partition *p, struct log *log)
{
    size_t next = first_batch_above(p, log->start);
    for (int64_t at = log->start; at < log->hw && !w->wrong[0];) {
        struct log_read r = {.from = at, .limit = log->hw, .max_bytes = 20000, .done = on_read};
        read_ended = false;
        log_read(log, &r);
        sim_jobs_drain(w->sim);
        if (!read_ended || r.err || r.count == 0)
            world_complain(w, "topic %u: cannot read at %lld of %lld: %s", t->name, (long long)at,
                           (long long)log->hw, r.err ? err_text() : "nothing there");
        for (size_t i = 0; i < r.count && !w->wrong[0]; i++) {
            if (next == p->batches.count) {
                world_complain(w, "topic %u: phantom at %lld", t->name, (long long)at);
                break;
            }
            check_batch(w, t, &p->batches.items[next], &r.batches[i]);
            at = end_of(&p->batches.items[next++]);
        }
        log_read_end(&r);
    }
    return next;
}

/* ---- what it knows about producers ---- */

/* A power cut may have taken what DeleteRecords had dropped, and who had sent it. */
static bool is_vague(const struct model_topic *t, const struct model_partition *p,
                     const struct log *log)
{
    return p->vague || (t->level == LEVEL_OS && log->start > 0 && log->start == log->end);
}

/* A batch is known as a duplicate exactly when the first one has survived. */
static void check_producers(struct world *w, const struct model_topic *t,
                            const struct model_partition *p, size_t there,
                            const struct partition *is)
{
    struct model_partition survived = *p;
    survived.batches.count = there;
    size_t from = there > SENT_AGAIN ? there - SENT_AGAIN : 0;
    for (size_t i = from; i < p->batches.count && !w->wrong[0]; i++) {
        const struct model_batch *sent = &p->batches.items[i], *first = NULL;
        struct producer_batch known;
        struct batch b;
        if (sent->producer < 0)
            continue;
        check(batch_parse(model_batch_bytes(sent), &b) == OK);
        enum err want = model_judge(&survived, sent, &first);
        enum err err = producers_check(is->producers, &b, &known);
        if (err != want)
            world_complain(w, "topic %u: batch %llu of producer %lld, sent again, gets %s, not %s",
                           t->name, (unsigned long long)sent->number, (long long)sent->producer,
                           err_name(err), err_name(want));
        else if (want == E_EXISTS && known.last_offset - known.offset_delta != first->base)
            world_complain(w, "topic %u: batch %llu, sent again, is said to be at %lld, not %lld",
                           t->name, (unsigned long long)sent->number,
                           (long long)(known.last_offset - known.offset_delta),
                           (long long)first->base);
    }
}

static void check_offsets_of(struct world *w, const struct model_topic *t,
                             const struct model_partition *p, const struct log *log)
{
    if (log->start < p->trim_acked || log->start > p->trim_asked)
        world_complain(w, "topic %u: begins at %lld; asked to at %lld, answered %lld", t->name,
                       (long long)log->start, (long long)p->trim_asked, (long long)p->trim_acked);
    if (log->hw != log->end)
        world_complain(w, "topic %u: start %lld hw %lld end %lld", t->name, (long long)log->start,
                       (long long)log->hw, (long long)log->end);
}

static void check_partition(struct world *w, const struct model_topic *t, int32_t index,
                            bool power_cut)
{
    const struct model_partition *p = &t->partitions.items[index];
    const struct partition *is = topic_partition(check_find_topic(w, t), index);
    bool strong = t->level == LEVEL_FSYNC || !power_cut;
    check_offsets_of(w, t, p, is->log);
    size_t there = check_content(w, t, p, is->log);
    for (size_t i = there; i < p->batches.count && !w->wrong[0]; i++) {
        const struct model_batch *b = &p->batches.items[i];
        if (b->synced || (b->confirmed && strong) || (b->written && !power_cut))
            world_complain(w, "topic %u: batch %llu at %lld is lost, end %lld", t->name,
                           (unsigned long long)b->number, (long long)b->base,
                           (long long)is->log->end);
    }
    if (!is_vague(t, p, is->log))
        check_producers(w, t, p, there, is);
}

static void check_topics(struct world *w, const struct model *m, uint64_t version, bool power_cut)
{
    core_turn_begin(w->core, w->now_ns, w->wall_ms);
    for (size_t i = 0; i < m->topics.count && !w->wrong[0]; i++) {
        const struct model_topic *t = m->topics.items[i];
        if (!model_lived_at(t->life, version))
            continue;
        for (int32_t index = 0; index < model_partition_count(t, version); index++)
            check_partition(w, t, index, power_cut);
    }
    core_turn_end(w->core);
}

/* ---- what groups have committed ---- */

static void load_groups(struct world *w)
{
    for (int i = 0; i < LOAD_TURNS_MAX && !groups_are_loaded(core_groups(w->core)); i++) {
        w->now_ns += MS;
        core_turn_begin(w->core, w->now_ns, w->wall_ms);
        while (sim_jobs_step(w->sim, &w->random))
            ;
        core_turn_end(w->core);
    }
    if (!groups_are_loaded(core_groups(w->core)))
        world_complain(w, "the groups are never loaded");
}

/* Is the group as it was after its first `count` commits? */
static bool group_matches(struct world *w, const struct model *m, uint8_t group, uint64_t version,
                          size_t count)
{
    char id[MODEL_NAME_MAX], name[MODEL_NAME_MAX];
    const struct group *is = group_find(core_groups(w->core), model_group_id(group, id));
    for (uint32_t i = 0; i < m->topics.count; i++) {
        const struct model_topic *t = m->topics.items[i];
        if (!model_lived_at(t->life, version))
            continue;
        /* Also those that this version has not yet: a commit for one of them is there or is not. */
        for (int32_t p = 0; p < (int32_t)t->partitions.count; p++) {
            const struct model_commit *want =
                model_find_commit(&m->groups[group], count, (struct model_place){i, p});
            const struct offset_value *value =
                is ? offsets_find(is, model_topic_name(t->name, name), p) : NULL;
            if (!want != !value || (want && (int64_t)want->number != value->offset))
                return false;
        }
    }
    return true;
}

/* Commits are all or nothing, and none is there without those before it. */
static void check_group(struct world *w, const struct model *m, uint8_t group, bool power_cut,
                        struct found *found)
{
    const struct model_group *g = &m->groups[group];
    bool strong = m->level == LEVEL_FSYNC || !power_cut;
    size_t least = 0;
    for (size_t i = 0; i < g->commits.count; i++) {
        const struct model_commit *c = &g->commits.items[i];
        if (c->synced || (c->confirmed && strong))
            least = i + 1;
    }
    for (size_t count = g->commits.count + 1; count-- > least;)
        if (group_matches(w, m, group, found->version, count)) {
            found->commits[group] = count;
            return;
        }
    world_complain(w, "group %u has offsets of no time since its commit %llu was answered", group,
                   least ? (unsigned long long)g->commits.items[least - 1].number : 0ULL);
}

void check_streams(struct world *w, const struct model *m, bool power_cut, struct found *found)
{
    check_topics(w, m, found->version, power_cut);
    load_groups(w);
    for (uint8_t i = 0; i < MODEL_GROUPS && !w->wrong[0]; i++)
        check_group(w, m, i, power_cut, found);
}

/* ---- what was found is true from now on ---- */

static void adopt_partition(const struct model_topic *t, struct model_partition *p,
                            const struct log *log)
{
    p->vague = is_vague(t, p, log);
    p->trim_asked = p->trim_acked = log->start;
    /* Also one that the log's start lies in: of it only the start may have survived. */
    while (p->batches.count > 0 && end_of(&vec_last(&p->batches)) > log->end)
        p->batches.count--;
    for (size_t i = 0; i < p->batches.count; i++)
        p->batches.items[i].written = p->batches.items[i].confirmed = p->batches.items[i].synced =
            true;
}

static void adopt_topic(struct world *w, struct model_topic *t, uint64_t version)
{
    int32_t count = model_partition_count(t, version);
    check_adopt_life(&t->life, true, version);
    vec_push(&w->topics, model_lives(t->life) ? check_find_topic(w, t) : NULL);
    if (!model_lives(t->life))
        return;
    for (; t->partitions.count > (size_t)count; t->partitions.count--)
        vec_reset(&vec_last(&t->partitions).batches);
    for (int32_t i = 0; i < count; i++)
        adopt_partition(t, &t->partitions.items[i], topic_partition(vec_last(&w->topics), i)->log);
}

void check_adopt_streams(struct world *w, const struct found *found)
{
    for (size_t i = 0; i < w->model->topics.count; i++)
        adopt_topic(w, w->model->topics.items[i], found->version);
    for (int i = 0; i < MODEL_GROUPS; i++) {
        struct model_group *g = &w->model->groups[i];
        g->commits.count = found->commits[i];
        for (size_t k = 0; k < g->commits.count; k++) {
            struct model_commit *c = &g->commits.items[k];
            c->written = c->confirmed = c->synced = true;
        }
    }
}
