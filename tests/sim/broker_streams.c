/* What clients ask of topics: produces, also idempotent ones, DeleteRecords, offsets of groups. */
#include "tests/sim/broker_asks.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/catalog.h"
#include "broker/offsets.h"
#include "broker/producer.h"

enum { PRODUCERS_MAX = 4, OFFSET_METADATA_MAX = 4096 };

/* ---- producing ---- */

static void batch_answered(struct ask *a)
{
    model_confirm_batch(a->world->model, a->id, a->partition, a->number, a->wait.stage);
    ask_free(a);
}

static void wait_for_batch(struct world *w, uint32_t topic, int32_t partition, uint64_t number,
                           struct ticket ticket)
{
    for (int stage = STAGE_WRITTEN; stage <= STAGE_COMMITTED; stage++) {
        struct ask *a = ask_new(w, batch_answered);
        a->id = topic;
        a->partition = partition;
        a->number = number;
        ask_wait(a, ticket, (enum stage)stage);
    }
}

/* Choose a producer, mostly with what follows its last batch, sometimes with what does not. */
static void draw_producer(struct world *w, const struct model_partition *p, struct model_batch *b)
{
    if (p->vague || w->model->producers.count == 0 || draw(w, 2))
        return;
    b->producer = w->model->producers.items[draw(w, w->model->producers.count)];
    const struct model_batch *last = model_last_batch(p, b->producer);
    if (!last) { /* any will do */
        b->sequence = draw(w, 2) ? 0 : (int32_t)(INT32_MAX - draw(w, 6));
        return;
    }
    b->epoch = last->epoch;
    b->sequence = model_sequence(last->sequence, last->span);
    switch (draw(w, 10)) {
    case 0: b->sequence = model_sequence(b->sequence, 1 + (int32_t)draw(w, 3)); break;
    case 1: b->epoch++, b->sequence = (int32_t)draw(w, 2); break;
    case 2: b->epoch--; break;
    default: break;
    }
}

static void compare_duplicate(struct world *w, uint32_t topic, int32_t partition,
                              const struct model_batch *first, int64_t base, struct ticket ticket)
{
    if (base != first->base)
        world_complain(w, "topic %u: the duplicate of batch %llu at %lld is said to be at %lld",
                       w->model->topics.items[topic]->name, (unsigned long long)first->number,
                       (long long)first->base, (long long)base);
    wait_for_batch(w, topic, partition, first->number, ticket);
}

static void produce(struct world *w, uint32_t id, int32_t index, struct model_batch made)
{
    struct model_topic *t = w->model->topics.items[id];
    struct model_partition *p = &t->partitions.items[index];
    struct partition *partition = topic_partition(w->topics.items[id], index);
    const struct model_batch *first = NULL;
    struct batch b;
    struct ticket ticket;
    int64_t append_time, base, end = partition->log->end;
    check(batch_parse(model_batch_bytes(&made), &b) == OK);
    enum err want = model_judge(p, &made, &first);
    enum err err = partition_append(w->core, partition, &b, &base, &append_time, &ticket);
    if (err == E_FROZEN || err == E_NO_SPACE)
        return;
    if (err == E_OUT_OF_RANGE && made.time_ms != w->core->wall_ms)
        return; /* sent again so late that its time is too far away */
    if (err != (want == E_EXISTS ? OK : want)) {
        world_complain(w, "topic %u: a batch of producer %lld is answered with %s, not %s", t->name,
                       (long long)made.producer, err_name(err), err_name(want));
        return;
    }
    if (want == E_EXISTS)
        compare_duplicate(w, id, index, first, base, ticket);
    if (want)
        return;
    if (base != end)
        world_complain(w, "topic %u: a batch is at %lld, not %lld", t->name, (long long)base,
                       (long long)end);
    made.base = base;
    vec_push(&p->batches, made);
    wait_for_batch(w, id, index, made.number, ticket);
}

static int pick_topic(struct world *w)
{
    return model_find_topic(w->model, (uint8_t)draw(w, MODEL_TOPIC_NAMES));
}

static void do_produce(struct world *w)
{
    int id = pick_topic(w);
    if (id < 0)
        return;
    const struct model_topic *t = w->model->topics.items[id];
    int32_t index = (int32_t)draw(w, t->partitions.count);
    const struct model_partition *p = &t->partitions.items[index];
    struct model_batch made = {.number = ++w->model->next_number,
                               .span = 1 + (int32_t)draw(w, 3),
                               .size = asks_draw_size(w),
                               .time_ms = w->core->wall_ms,
                               .producer = -1};
    draw_producer(w, p, &made);
    if (made.producer >= 0 && p->batches.count > 0 && draw(w, 4) == 0) { /* send one again */
        uint64_t back = 1 + draw(w, p->batches.count < 12 ? p->batches.count : 12);
        const struct model_batch *old = &p->batches.items[p->batches.count - back];
        if (old->producer == made.producer) {
            uint64_t number = made.number;
            made = *old;
            made.number = number;
            made.written = made.confirmed = made.synced = false;
        }
    }
    produce(w, (uint32_t)id, index, made);
}

static void producer_answered(struct ask *a)
{
    struct world *w = a->world;
    int64_t id = (int64_t)a->number;
    if (w->model->told_producer < id)
        w->model->told_producer = id;
    if (w->model->producers.count == PRODUCERS_MAX)
        vec_remove(&w->model->producers, 0);
    vec_push(&w->model->producers, id);
    ask_free(a);
}

static void do_new_producer(struct world *w)
{
    if (core_catalog_can_change(w->core) != OK)
        return;
    int64_t id = catalog_new_producer_id(w->core);
    if (id <= w->model->told_producer)
        world_complain(w, "producer id %lld is given out again", (long long)id);
    struct ask *a = ask_new(w, producer_answered);
    a->number = (uint64_t)id;
    ask_wait(a, core_catalog_ticket(w->core), STAGE_COMMITTED);
}

/* ---- DeleteRecords ---- */

static struct model_partition *partition_of(struct ask *a)
{
    return &a->world->model->topics.items[a->id]->partitions.items[a->partition];
}

static struct log *log_of(struct ask *a)
{
    struct topic *topic = a->world->topics.items[a->id];
    return topic ? topic_partition(topic, a->partition)->log : NULL;
}

static void trim_answered(struct ask *a)
{
    if (partition_of(a)->trim_acked < a->mark)
        partition_of(a)->trim_acked = a->mark;
    ask_free(a);
}

static void trim_may_begin(struct ask *a)
{
    struct model_partition *p = partition_of(a);
    struct log *log = log_of(a);
    struct ticket ticket;
    if (!log || log->hw == 0 || store_is_frozen(a->world->core->store)) {
        ask_free(a);
        return;
    }
    int64_t to = draw(a->world, 4) ? log->start + (int64_t)draw(a->world, 12) : log->hw;
    to = to < log->hw ? to : log->hw;
    log_trim(log, to, &ticket);
    a->mark = to;
    if (p->trim_asked < to)
        p->trim_asked = to;
    a->answered = trim_answered;
    ask_wait(a, ticket, STAGE_COMMITTED);
}

static void do_trim(struct world *w)
{
    int id = pick_topic(w);
    if (id < 0)
        return;
    struct ask *a = ask_new(w, trim_may_begin);
    a->id = (uint32_t)id;
    a->partition = (int32_t)draw(w, w->model->topics.items[id]->partitions.count);
    ask_wait(a, log_last_ticket(log_of(a)), STAGE_COMMITTED);
}

/* ---- groups' offsets ---- */

static void commit_answered(struct ask *a)
{
    model_confirm_commits(&a->world->model->groups[a->id], a->number);
    ask_free(a);
}

static void note_commit(struct world *w, uint8_t group, const struct model_commit *c,
                        struct ticket ticket)
{
    vec_push(&w->model->groups[group].commits, *c);
    struct ask *a = ask_new(w, commit_answered);
    a->id = group;
    a->number = c->number;
    ask_wait(a, ticket, STAGE_COMMITTED);
}

/* Some partitions of living topics, each once. */
static void draw_parts(struct world *w, struct model_commit *c)
{
    for (uint64_t n = 1 + draw(w, MODEL_COMMIT_PARTS); n > 0; n--) {
        int id = pick_topic(w);
        if (id < 0)
            continue;
        const struct model_topic *t = w->model->topics.items[id];
        struct model_place place = {(uint32_t)id, (int32_t)draw(w, t->partitions.count)};
        bool is_new = true;
        for (uint32_t i = 0; i < c->count; i++)
            is_new &= c->parts[i].topic != place.topic || c->parts[i].partition != place.partition;
        if (is_new)
            c->parts[c->count++] = place;
    }
}

static enum group_error commit_offsets(struct world *w, struct bytes group,
                                       const struct model_commit *c, struct ticket *out)
{
    char name[MODEL_NAME_MAX];
    struct offset_commit commit = {.group_id = group, .generation = -1, .retention_ms = -1};
    static const uint8_t metadata[OFFSET_METADATA_MAX];
    struct offset_value value = {.offset = (int64_t)c->number, .leader_epoch = -1};
    if (draw(w, 2)) /* much, so that the groups' logs change how they write */
        value.metadata = bytes_of(metadata, 1 + draw(w, OFFSET_METADATA_MAX));
    enum group_error error = offsets_begin(core_groups(w->core), &commit);
    if (error)
        return error;
    for (uint32_t i = 0; i < c->count && !error; i++)
        error = offsets_add(&commit,
                            model_topic_name(w->model->topics.items[c->parts[i].topic]->name, name),
                            c->parts[i].partition, &value);
    check(!error);
    return offsets_end(&commit, out);
}

static enum group_error remove_offsets(struct world *w, struct bytes group,
                                       const struct model_commit *c, struct ticket *out)
{
    char name[MODEL_NAME_MAX];
    struct offset_removal removal;
    enum group_error error = offsets_remove_begin(core_groups(w->core), group, &removal);
    if (error)
        return error;
    for (uint32_t i = 0; i < c->count && !error; i++)
        error = offsets_remove(
            &removal, model_topic_name(w->model->topics.items[c->parts[i].topic]->name, name),
            c->parts[i].partition);
    check(!error);
    return offsets_remove_end(&removal, out);
}

static void do_commit(struct world *w)
{
    char id[MODEL_NAME_MAX];
    uint8_t group = (uint8_t)draw(w, MODEL_GROUPS);
    struct model_commit c = {.number = ++w->model->next_number, .removal = draw(w, 10) == 0};
    struct ticket ticket;
    draw_parts(w, &c);
    if (c.count == 0 || core_catalog_can_change(w->core) != OK)
        return;
    enum group_error error = c.removal ? remove_offsets(w, model_group_id(group, id), &c, &ticket)
                                       : commit_offsets(w, model_group_id(group, id), &c, &ticket);
    if (!error)
        note_commit(w, group, &c, ticket);
    else if (error != GROUP_LOADING && error != GROUP_NOT_FOUND && error != GROUP_NOT_AVAILABLE)
        world_complain(w, "group %u cannot commit: error %d", group, error);
}

/* What is read is what was committed last before the question, or something newer. */
static void compare_offset(struct world *w, uint8_t group, struct model_place place, size_t before)
{
    char id[MODEL_NAME_MAX], name[MODEL_NAME_MAX];
    struct model_group *g = &w->model->groups[group];
    const struct group *is = group_find(core_groups(w->core), model_group_id(group, id));
    struct bytes topic = model_topic_name(w->model->topics.items[place.topic]->name, name);
    const struct offset_value *value = is ? offsets_find(is, topic, place.partition) : NULL;
    for (size_t count = before; count <= g->commits.count; count++) {
        const struct model_commit *want = model_find_commit(g, count, place);
        if (!want != !value || (want && (int64_t)want->number != value->offset))
            continue;
        if (want)
            model_confirm_commits(g, want->number);
        return;
    }
    world_complain(w, "group %u has committed %lld of topic %u, which is too old or never was",
                   group, value ? (long long)value->offset : -1LL,
                   w->model->topics.items[place.topic]->name);
}

static void offset_answered(struct ask *a)
{
    struct world *w = a->world;
    struct model_place place = {a->id, a->partition};
    char id[MODEL_NAME_MAX];
    uint8_t group = (uint8_t)a->mark;
    if (w->topics.items[a->id] &&
        groups_look(core_groups(w->core), model_group_id(group, id)) == GROUP_OK)
        compare_offset(w, group, place, a->number);
    ask_free(a);
}

static void do_read_offset(struct world *w)
{
    char id[MODEL_NAME_MAX];
    uint8_t group = (uint8_t)draw(w, MODEL_GROUPS);
    int topic = pick_topic(w);
    if (topic < 0)
        return;
    struct ask *a = ask_new(w, offset_answered);
    a->id = (uint32_t)topic;
    a->partition = (int32_t)draw(w, w->model->topics.items[topic]->partitions.count);
    a->mark = group;
    a->number = w->model->groups[group].commits.count;
    ask_wait(a, groups_barrier(core_groups(w->core), model_group_id(group, id)), STAGE_COMMITTED);
}

void asks_stream(struct world *w)
{
    uint64_t n = draw(w, 100);
    if (n < 60)
        do_produce(w);
    else if (n < 66)
        do_new_producer(w);
    else if (n < 72)
        do_trim(w);
    else if (n < 92)
        do_commit(w);
    else
        do_read_offset(w);
}
