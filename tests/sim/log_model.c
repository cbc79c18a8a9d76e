#include "tests/sim/log_model.h"

#include "base/map.h"
#include "io/sim_jobs.h"

#include <stdio.h>
#include <stdlib.h>

static struct batch_builder builder;
static char complaint[512];

#define complain(...) (snprintf(complaint, sizeof complaint, __VA_ARGS__), complaint)

/* ---- the owner ---- */

static struct seen *seen_of(struct sim_owner *o, uint64_t log_id)
{
    struct seen *s = idmap_get(&o->seen, log_id);
    if (!s) {
        s = xzalloc(sizeof *s);
        idmap_put(&o->seen, log_id, s);
    }
    return s;
}

void sim_owner_note(struct sim_owner *o, uint64_t log_id, uint64_t number)
{
    struct seen *s = seen_of(o, log_id);
    size_t i = s->numbers.count;
    while (i > 0 && s->numbers.items[i - 1] >= number) {
        if (s->numbers.items[i - 1] == number)
            return; /* replayed twice: no change */
        i--;
    }
    vec_insert(&s->numbers, i, number);
}

void sim_owner_reset(struct sim_owner *o)
{
    size_t position = 0;
    struct seen *s;
    while ((s = idmap_next(&o->seen, &position)) != NULL) {
        vec_reset(&s->numbers);
        free(s);
    }
    idmap_reset(&o->seen);
}

static uint64_t first_value(const struct batch *b)
{
    struct record_reader reader;
    struct record r;
    record_reader_init(
        &reader, b, b->base_offset,
        bytes_of(b->raw.data + BATCH_HEADER_BYTES, b->raw.size - BATCH_HEADER_BYTES));
    return record_reader_next(&reader, &r) && r.value.size >= 8 ? get_u64(r.value.data) : 0;
}

static void on_restore(void *ctx, uint64_t log_id, struct bytes state)
{
    for (size_t i = 0; i + 8 <= state.size; i += 8)
        sim_owner_note(ctx, log_id, get_u64(state.data + i));
}

static void on_replay(void *ctx, uint64_t log_id, const struct batch *control)
{
    sim_owner_note(ctx, log_id, first_value(control));
}

static void on_checkpoint(void *ctx, struct log *log, struct text *out)
{
    struct seen *s = seen_of(ctx, log->id);
    for (size_t i = 0; i < s->numbers.count; i++)
        text_put_u64(out, s->numbers.items[i]);
}

static void on_live(void *ctx, struct log *log, int64_t from, int64_t to, offset_ranges *out)
{
    (void)ctx, (void)log;
    vec_push(out, ((struct offset_range){from, to}));
}

static void on_committed(void *ctx, struct log *log, int64_t old_hw)
{
    (void)ctx;
    check(log->hw > old_hw && log->hw <= log->end);
}

static void on_progressed(void *ctx)
{
    (void)ctx;
}

struct store_owner sim_owner_calls(struct sim_owner *o)
{
    return (struct store_owner){.ctx = o,
                                .restore = on_restore,
                                .replay = on_replay,
                                .committed = on_committed,
                                .progressed = on_progressed,
                                .checkpoint = on_checkpoint,
                                .live = on_live};
}

/* ---- the model ---- */

int64_t model_end(const struct model_log *l)
{
    if (l->batches.count == 0)
        return 0;
    const struct model_batch *b = &l->batches.items[l->batches.count - 1];
    return b->base + b->span;
}

void model_reset(struct model *m)
{
    for (size_t i = 0; i < m->logs.count; i++) {
        vec_reset(&m->logs.items[i]->batches);
        vec_reset(&m->logs.items[i]->before_cut);
        free(m->logs.items[i]);
    }
    vec_reset(&m->logs);
}

struct bytes model_make_batch(uint64_t number, int32_t span, size_t size, bool control)
{
    uint8_t *value = xzalloc(size + 8);
    put_u64(value, number);
    batch_builder_begin(&builder, control ? BATCH_CONTROL : 0);
    for (int32_t i = 0; i < span; i++)
        batch_builder_add(&builder, 1000, BYTES_NULL, bytes_of(value, size + 8), BYTES_NULL, 0);
    free(value);
    return batch_builder_end(&builder);
}

struct bytes model_make_keyed(uint64_t number, int key, size_t size)
{
    uint8_t *value = xzalloc(size + 8);
    uint8_t name[4];
    put_u32(name, (uint32_t)key);
    put_u64(value, number);
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, 1000, bytes_of(name, sizeof name), bytes_of(value, size + 8),
                      BYTES_NULL, 0);
    free(value);
    return batch_builder_end(&builder);
}

/* ---- verifying ---- */

static bool read_ended;

static void on_read(struct log_read *r)
{
    (void)r;
    read_ended = true;
}

struct check_log {
    const struct model_batch *batches;
    size_t count, next;
    int64_t end;
    bool *found; /* for each of the batches */
};

/* Is there a newer batch with the key of batch `i`? */
static bool is_superseded(const struct check_log *c, size_t i, int64_t hw)
{
    const struct model_batch *b = &c->batches[i];
    for (size_t k = i + 1; b->key >= 0 && k < c->count; k++)
        if (c->batches[k].key == b->key && c->batches[k].base + c->batches[k].span <= hw)
            return true;
    return false;
}

static const char *check_kept(const struct check_log *c, const struct model_log *l, struct log *log)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct model_batch *b = &c->batches[i];
        bool expected = b->base >= log->start && b->base + b->span <= log->hw;
        if (expected && !c->found[i] && !is_superseded(c, i, log->hw))
            return complain("log %llu: the newest batch of key %d at %lld is gone",
                            (unsigned long long)l->id, b->key, (long long)b->base);
    }
    return NULL;
}

static const char *check_batch(struct check_log *c, const struct model_log *l,
                               const struct log_batch *found)
{
    struct batch b;
    if (batch_parse(found->raw, &b) != OK || !batch_is_intact(&b))
        return complain("log %llu: damaged batch at %lld", (unsigned long long)l->id,
                        (long long)found->base_offset);
    b.base_offset = found->base_offset;
    while (c->next < c->count &&
           c->batches[c->next].base + c->batches[c->next].span <= b.base_offset)
        c->next++;
    const struct model_batch *want = c->next < c->count ? &c->batches[c->next] : NULL;
    if (!want || want->base != b.base_offset || want->span != b.last_offset_delta + 1)
        return complain("log %llu: phantom batch at %lld of %d records", (unsigned long long)l->id,
                        (long long)b.base_offset, b.last_offset_delta + 1);
    c->found[c->next] = b.record_count > 0;
    if (first_value(&b) != want->number && !(l->compacted && b.record_count == 0))
        return complain("log %llu: offset %lld holds batch %llu, not %llu",
                        (unsigned long long)l->id, (long long)b.base_offset,
                        (unsigned long long)first_value(&b), (unsigned long long)want->number);
    if (c->end >= 0 && c->end != b.base_offset && !l->compacted)
        return complain("log %llu: gap from %lld to %lld", (unsigned long long)l->id,
                        (long long)c->end, (long long)b.base_offset);
    c->end = b.base_offset + want->span;
    return NULL;
}

const char *model_check_answer(const struct model_log *l, int64_t start,
                               const struct log_read *answer)
{
    struct check_log c = {l->batches.items, l->batches.count, 0, -1, xzalloc(l->batches.count + 1)};
    const char *wrong = NULL;
    for (size_t i = 0; i < answer->count && !wrong; i++) {
        if (c.end < start)
            c.end = -1;
        wrong = check_batch(&c, l, &answer->batches[i]);
    }
    if (!wrong && c.end >= 0 && c.end <= answer->from)
        wrong = complain("log %llu: asked for %lld, got what ends at %lld",
                         (unsigned long long)l->id, (long long)answer->from, (long long)c.end);
    free(c.found);
    return wrong;
}

static const char *check_content(struct check_log *c, const struct model_log *l, struct log *log,
                                 struct jobs *jobs)
{
    int64_t at = log->start;
    while (at < log->hw) {
        struct log_read r = {.from = at, .limit = log->hw, .max_bytes = 20000, .done = on_read};
        const char *wrong = NULL;
        read_ended = false;
        log_read(log, &r);
        sim_jobs_drain(jobs);
        if (!read_ended || r.err || (r.count == 0 && !l->compacted))
            wrong = complain("log %llu: cannot read at %lld of %lld..%lld: %s",
                             (unsigned long long)l->id, (long long)at, (long long)log->start,
                             (long long)log->hw, r.err ? err_text() : "nothing there");
        for (size_t i = 0; i < r.count && !wrong; i++)
            wrong = check_batch(c, l, &r.batches[i]);
        at = r.count > 0 ? c->end : log->hw;
        log_read_end(&r);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static bool has_seen(const struct seen *s, uint64_t number)
{
    for (size_t i = 0; i < s->numbers.count; i++)
        if (s->numbers.items[i] == number)
            return true;
    return false;
}

/* The owner was told of every control batch that the log keeps, and of none that it has not. */
static const char *check_seen(const struct check_log *c, const struct model_log *l, struct log *log,
                              struct sim_owner *owner)
{
    struct seen *s = seen_of(owner, l->id);
    size_t known = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct model_batch *b = &c->batches[i];
        if (!b->control || b->base + b->span > log->end)
            continue;
        if (has_seen(s, b->number))
            known++;
        else if (b->base >= log->start)
            return complain("log %llu: the owner was not told control batch %llu at %lld of "
                            "%lld..%lld",
                            (unsigned long long)l->id, (unsigned long long)b->number,
                            (long long)b->base, (long long)log->start, (long long)log->end);
    }
    if (known != s->numbers.count && !l->cutting)
        return complain("log %llu: the owner was told a control batch that is not in the log",
                        (unsigned long long)l->id);
    return NULL;
}

static const char *check_version(const struct model_log *l, const struct model_batch *batches,
                                 size_t count, struct log *log, struct jobs *jobs,
                                 struct sim_owner *owner)
{
    struct check_log c = {batches, count, 0, -1, xzalloc(count + 1)};
    const char *wrong = check_content(&c, l, log, jobs);
    if (!wrong && l->compacted)
        wrong = check_kept(&c, l, log);
    free(c.found);
    return wrong ? wrong : check_seen(&c, l, log, owner);
}

static const char *verify_log(const struct model_log *l, struct store *s, struct jobs *jobs,
                              struct sim_owner *owner, bool power_cut)
{
    struct log *log = store_find(s, l->id);
    bool must = l->level == LEVEL_FSYNC || !power_cut;
    unsigned long long id = l->id;
    if (l->delete_acked)
        return log ? complain("log %llu is back after its deletion", id) : NULL;
    if (!log)
        return must && l->acked > 0 && !l->delete_asked ? complain("log %llu is lost", id) : NULL;
    if (must && log->end < l->acked)
        return complain("log %llu: end %lld, acknowledged %lld", id, (long long)log->end,
                        (long long)l->acked);
    if (log->hw != log->end)
        return complain("log %llu: hw %lld, end %lld", id, (long long)log->hw, (long long)log->end);
    if (must && (log->start < l->trim_acked || log->start > l->trim_asked))
        return complain("log %llu: start %lld, trimmed %lld..%lld", id, (long long)log->start,
                        (long long)l->trim_acked, (long long)l->trim_asked);
    const char *wrong = check_version(l, l->batches.items, l->batches.count, log, jobs, owner);
    if (wrong && l->cutting)
        wrong = check_version(l, l->before_cut.items, l->before_cut.count, log, jobs, owner);
    return wrong;
}

const char *model_verify(const struct model *m, struct store *s, struct jobs *jobs,
                         struct sim_owner *owner, bool power_cut)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < m->logs.count && !wrong; i++)
        wrong = verify_log(m->logs.items[i], s, jobs, owner, power_cut);
    return wrong;
}
