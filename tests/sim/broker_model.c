#include "tests/sim/broker_model.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "broker/producer.h"
#include "log/batch.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- life of a model ---- */

struct model *model_new(enum log_level level)
{
    struct model *m = xzalloc(sizeof *m);
    m->level = level;
    m->told_producer = -1;
    m->version = m->acked_version = 1; /* 0 is no time to die at */
    struct model_exchange direct = {.name = MODEL_AMQ_DIRECT, .durable = true};
    vec_push(&m->exchanges, direct);
    return m;
}

#define clone_items(to, from)                                                                      \
    do {                                                                                           \
        memset((to), 0, sizeof *(to));                                                             \
        for (size_t n = 0; n < (from)->count; n++)                                                 \
            vec_push((to), (from)->items[n]);                                                      \
    } while (0)

static struct model_queue *clone_queue(const struct model_queue *q)
{
    struct model_queue *copy = xmemdup(q, sizeof *q);
    clone_items(&copy->entries, &q->entries);
    clone_items(&copy->returned, &q->returned);
    return copy;
}

static struct model_topic *clone_topic(const struct model_topic *t)
{
    struct model_topic *copy = xmemdup(t, sizeof *t);
    clone_items(&copy->partitions, &t->partitions);
    for (size_t i = 0; i < t->partitions.count; i++)
        clone_items(&copy->partitions.items[i].batches, &t->partitions.items[i].batches);
    return copy;
}

struct model *model_clone(const struct model *m)
{
    struct model *copy = xmemdup(m, sizeof *m);
    clone_items(&copy->exchanges, &m->exchanges);
    clone_items(&copy->bindings, &m->bindings);
    clone_items(&copy->publishes, &m->publishes);
    clone_items(&copy->producers, &m->producers);
    for (int i = 0; i < MODEL_GROUPS; i++)
        clone_items(&copy->groups[i].commits, &m->groups[i].commits);
    memset(&copy->queues, 0, sizeof copy->queues);
    for (size_t i = 0; i < m->queues.count; i++)
        vec_push(&copy->queues, clone_queue(m->queues.items[i]));
    memset(&copy->topics, 0, sizeof copy->topics);
    for (size_t i = 0; i < m->topics.count; i++)
        vec_push(&copy->topics, clone_topic(m->topics.items[i]));
    return copy;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->queues.count; i++) {
        vec_reset(&m->queues.items[i]->entries);
        vec_reset(&m->queues.items[i]->returned);
        free(m->queues.items[i]);
    }
    for (size_t i = 0; i < m->topics.count; i++) {
        struct model_topic *t = m->topics.items[i];
        for (size_t p = 0; p < t->partitions.count; p++)
            vec_reset(&t->partitions.items[p].batches);
        vec_reset(&t->partitions);
        free(t);
    }
    for (int i = 0; i < MODEL_GROUPS; i++)
        vec_reset(&m->groups[i].commits);
    vec_reset(&m->queues);
    vec_reset(&m->topics);
    vec_reset(&m->exchanges);
    vec_reset(&m->bindings);
    vec_reset(&m->publishes);
    vec_reset(&m->producers);
    free(m);
}

/* ---- names and contents ---- */

static struct bytes numbered(const char *word, unsigned i, char out[MODEL_NAME_MAX])
{
    snprintf(out, MODEL_NAME_MAX, "%s-%u", word, i);
    return bytes_from_string(out);
}

struct bytes model_queue_name(uint8_t i, char out[MODEL_NAME_MAX])
{
    return numbered("queue", i, out);
}

struct bytes model_exchange_name(uint8_t i, char out[MODEL_NAME_MAX])
{
    if (i == MODEL_DEFAULT_EXCHANGE)
        return bytes_of("", 0);
    return i == MODEL_AMQ_DIRECT ? BYTES_LITERAL("amq.direct") : numbered("exchange", i, out);
}

struct bytes model_topic_name(uint8_t i, char out[MODEL_NAME_MAX])
{
    return numbered("topic", i, out);
}

struct bytes model_key(uint8_t i, char out[MODEL_NAME_MAX])
{
    return numbered("key", i, out);
}

struct bytes model_arguments(uint64_t tag, uint8_t out[MODEL_TAG_BYTES])
{
    memcpy(out, "\5x-tagl", 7);
    put_u64(out + 7, tag);
    return bytes_of(out, MODEL_TAG_BYTES);
}

static void fill(uint8_t *to, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(number * 31 + i);
}

struct message model_message(const struct model_entry *e)
{
    static uint8_t body[128 << 10], properties[16];
    check(e->size >= MODEL_BODY_MIN && e->size <= sizeof body);
    put_u64(body, e->number);
    fill(body + 8, e->size - 8, e->number);
    put_u16(properties, 0x8000); /* content-type */
    properties[2] = (uint8_t)(e->number % 13);
    fill(properties + 3, properties[2], e->number);
    return (struct message){.properties = bytes_of(properties, 3u + properties[2]),
                            .body = bytes_of(body, e->size),
                            .persistent = true};
}

uint64_t model_body_number(struct bytes body)
{
    return body.size >= MODEL_BODY_MIN ? get_u64(body.data) : 0;
}

bool model_is_message(const struct model_queue *q, const struct model_entry *e,
                      const struct message *m)
{
    char exchange[MODEL_NAME_MAX], key[MODEL_NAME_MAX];
    struct message want = model_message(e);
    want.exchange = model_exchange_name(e->exchange, exchange);
    want.routing_key = e->exchange == MODEL_DEFAULT_EXCHANGE ? model_queue_name(q->name, key)
                                                             : model_key(e->key, key);
    return bytes_equal(want.body, m->body) && bytes_equal(want.properties, m->properties) &&
           bytes_equal(want.exchange, m->exchange) && bytes_equal(want.routing_key, m->routing_key);
}

struct bytes model_group_id(uint8_t i, char out[MODEL_NAME_MAX])
{
    return numbered("group", i, out);
}

/* What the producer's fields are: bytes 43 to 56 of a batch, under its checksum. */
static void put_producer(uint8_t *raw, size_t size, const struct model_batch *b)
{
    enum { CRC_AT = 17, CRC_FROM = 21, PRODUCER_AT = 43 };
    put_u64(raw + PRODUCER_AT, (uint64_t)b->producer);
    put_u16(raw + PRODUCER_AT + 8, (uint16_t)b->epoch);
    put_u32(raw + PRODUCER_AT + 10, (uint32_t)b->sequence);
    put_u32(raw + CRC_AT, crc32c(raw + CRC_FROM, size - CRC_FROM));
}

struct bytes model_batch_bytes(const struct model_batch *b)
{
    static struct batch_builder builder;
    uint8_t *value = xzalloc(b->size + 8);
    put_u64(value, b->number);
    fill(value + 8, b->size, b->number);
    batch_builder_begin(&builder, 0);
    for (int32_t i = 0; i < b->span; i++)
        batch_builder_add(&builder, b->time_ms, BYTES_NULL, bytes_of(value, b->size + 8),
                          BYTES_NULL, 0);
    free(value);
    struct bytes raw = batch_builder_end(&builder);
    if (b->producer >= 0)
        put_producer((uint8_t *)raw.data, raw.size, b);
    return raw;
}

/* ---- lives ---- */

struct model_life model_born(struct model *m, bool kept)
{
    m->dirty |= kept;
    return (struct model_life){.born = m->version + 1};
}

/* What was made and removed in one turn never was. */
void model_died(struct model *m, struct model_life *life, bool kept)
{
    check(life->died == 0);
    m->dirty |= kept;
    life->died = m->version + 1;
}

int model_find_queue(const struct model *m, uint8_t name)
{
    for (size_t i = m->queues.count; i-- > 0;)
        if (m->queues.items[i]->name == name && model_lives(m->queues.items[i]->life))
            return (int)i;
    return -1;
}

int model_find_exchange(const struct model *m, uint8_t name)
{
    for (size_t i = m->exchanges.count; i-- > 0;)
        if (m->exchanges.items[i].name == name && model_lives(m->exchanges.items[i].life))
            return (int)i;
    return -1;
}

int model_find_topic(const struct model *m, uint8_t name)
{
    for (size_t i = m->topics.count; i-- > 0;)
        if (m->topics.items[i]->name == name && model_lives(m->topics.items[i]->life))
            return (int)i;
    return -1;
}

int32_t model_partition_count(const struct model_topic *t, uint64_t version)
{
    int32_t count = 0;
    while ((size_t)count < t->partitions.count && t->partitions.items[count].born <= version)
        count++;
    return count;
}

static bool has_bindings(const struct model *m, uint32_t exchange)
{
    for (size_t i = 0; i < m->bindings.count; i++)
        if (m->bindings.items[i].exchange == exchange && model_lives(m->bindings.items[i].life))
            return true;
    return false;
}

void model_unbind(struct model *m, uint32_t binding)
{
    struct model_binding *b = &m->bindings.items[binding];
    struct model_exchange *x = &m->exchanges.items[b->exchange];
    model_died(m, &b->life, b->kept);
    if (x->auto_delete && !has_bindings(m, b->exchange))
        model_died(m, &x->life, x->durable);
}

void model_delete_exchange(struct model *m, uint32_t exchange)
{
    struct model_exchange *x = &m->exchanges.items[exchange];
    model_died(m, &x->life, x->durable);
    for (size_t i = 0; i < m->bindings.count; i++) {
        struct model_binding *b = &m->bindings.items[i];
        if (b->exchange == exchange && model_lives(b->life))
            model_died(m, &b->life, b->kept);
    }
}

void model_delete_queue(struct model *m, uint32_t queue)
{
    struct model_queue *q = m->queues.items[queue];
    model_died(m, &q->life, q->kept);
    for (uint32_t i = 0; i < m->bindings.count; i++) {
        struct model_binding *b = &m->bindings.items[i];
        if (b->queue == queue && model_lives(b->life))
            model_unbind(m, i);
    }
}

/* ---- messages ---- */

struct model_entry *model_find_entry(const struct model_queue *q, uint64_t number)
{
    size_t low = 0, high = q->entries.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (q->entries.items[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < q->entries.count && q->entries.items[low].number == number;
    return found ? &q->entries.items[low] : NULL;
}

void model_confirm_life(struct model *m, struct model_life life)
{
    if (m->acked_version < life.born)
        m->acked_version = life.born;
}

void model_confirm(struct model *m, uint64_t number, const uint32_t *queues, size_t count,
                   enum stage stage)
{
    for (size_t i = 0; i < count; i++) {
        struct model_queue *q = m->queues.items[queues[i]];
        struct model_entry *e = model_find_entry(q, number);
        check(e);
        e->written = true;
        if (stage == STAGE_WRITTEN)
            continue;
        e->confirmed = true;
        if (q->kept && m->level == LEVEL_FSYNC)
            model_confirm_life(m, q->life);
    }
    for (size_t i = 0; i < m->publishes.count && stage == STAGE_COMMITTED; i++)
        if (m->publishes.items[i].number == number) {
            vec_remove(&m->publishes, i);
            return;
        }
}

void model_confirm_batch(struct model *m, uint32_t topic, int32_t partition, uint64_t number,
                         enum stage stage)
{
    struct model_topic *t = m->topics.items[topic];
    struct model_partition *p = &t->partitions.items[partition];
    for (size_t i = p->batches.count; i-- > 0;) {
        struct model_batch *b = &p->batches.items[i];
        if (b->number != number)
            continue;
        b->written = true;
        b->confirmed |= stage == STAGE_COMMITTED;
    }
    if (stage == STAGE_COMMITTED && t->level == LEVEL_FSYNC)
        model_confirm_life(m, (struct model_life){.born = p->born});
}

int32_t model_sequence(int32_t sequence, int32_t delta)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)delta) & INT32_MAX);
}

const struct model_batch *model_last_batch(const struct model_partition *p, int64_t producer)
{
    for (size_t i = p->batches.count; i-- > 0;)
        if (p->batches.items[i].producer == producer)
            return &p->batches.items[i];
    return NULL;
}

/* The one that `b` repeats, if it is among those that a broker knows. */
static const struct model_batch *find_duplicate(const struct model_partition *p,
                                                const struct model_batch *b)
{
    int known = 0;
    for (size_t i = p->batches.count; i-- > 0 && known < PRODUCER_BATCHES;) {
        const struct model_batch *old = &p->batches.items[i];
        if (old->producer != b->producer)
            continue;
        if (old->epoch != b->epoch)
            return NULL;
        if (old->sequence == b->sequence && old->span == b->span)
            return old;
        known++;
    }
    return NULL;
}

enum err model_judge(const struct model_partition *p, const struct model_batch *b,
                     const struct model_batch **out)
{
    const struct model_batch *last = b->producer < 0 ? NULL : model_last_batch(p, b->producer);
    if (!last)
        return OK;
    if (b->epoch != last->epoch)
        return b->epoch < last->epoch ? E_STALE : b->sequence == 0 ? OK : E_PRECONDITION;
    if ((*out = find_duplicate(p, b)))
        return E_EXISTS;
    return b->sequence == model_sequence(last->sequence, last->span) ? OK : E_PRECONDITION;
}

void model_confirm_commits(struct model_group *g, uint64_t number)
{
    for (size_t i = 0; i < g->commits.count && g->commits.items[i].number <= number; i++)
        g->commits.items[i].written = g->commits.items[i].confirmed = true;
}

const struct model_commit *model_find_commit(const struct model_group *g, size_t count,
                                             struct model_place place)
{
    for (size_t i = count; i-- > 0;) {
        const struct model_commit *c = &g->commits.items[i];
        for (uint32_t k = 0; k < c->count; k++)
            if (c->parts[k].topic == place.topic && c->parts[k].partition == place.partition)
                return c->removal ? NULL : c;
    }
    return NULL;
}

void model_settle(struct model *m, struct model_queue *q, struct model_entry *e)
{
    check(!e->settled);
    e->settled = true;
    e->out = false;
    e->settle_turn = m->turn;
    q->changed = true;
    while (q->first_live < q->entries.count && q->entries.items[q->first_live].settled)
        q->first_live++;
}

void model_return(struct model_queue *q, struct model_entry *e)
{
    check(e->out);
    e->out = false;
    e->returns++;
    q->changed = true;
    vec_push(&q->returned, ((struct model_returned){e->number, e->returns}));
}

static void queue_all_durable(struct model_queue *q)
{
    for (size_t i = 0; i < q->entries.count; i++) {
        struct model_entry *e = &q->entries.items[i];
        e->written = e->confirmed = e->synced = true;
        e->settle_durable = e->settled;
        e->returns_durable = e->returns;
        e->redelivered |= e->taken;
    }
}

static void partition_all_durable(struct model_partition *p)
{
    p->trim_acked = p->trim_asked;
    for (size_t i = 0; i < p->batches.count; i++)
        p->batches.items[i].written = p->batches.items[i].confirmed = p->batches.items[i].synced =
            true;
}

void model_all_durable(struct model *m)
{
    check(!m->dirty);
    m->acked_version = m->version;
    vec_clear(&m->publishes);
    for (size_t i = 0; i < m->queues.count; i++)
        queue_all_durable(m->queues.items[i]);
    for (size_t i = 0; i < m->topics.count; i++)
        for (size_t n = 0; n < m->topics.items[i]->partitions.count; n++)
            partition_all_durable(&m->topics.items[i]->partitions.items[n]);
    for (int i = 0; i < MODEL_GROUPS; i++)
        for (size_t k = 0; k < m->groups[i].commits.count; k++) {
            struct model_commit *c = &m->groups[i].commits.items[k];
            c->written = c->confirmed = c->synced = true;
        }
}
