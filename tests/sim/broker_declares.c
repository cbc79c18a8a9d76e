/* What clients declare and delete: queues, exchanges, bindings, topics. */
#include "tests/sim/broker_asks.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { STORM_BINDINGS = 120, BINDINGS_KEPT = 400, PARTITIONS_MAX = 6 };

/* ---- queues ---- */

static void declare_queue(struct world *w, uint8_t name)
{
    char name_text[MODEL_NAME_MAX];
    uint8_t arguments[MODEL_TAG_BYTES];
    struct model *m = w->model;
    struct model_queue *q = xzalloc(sizeof *q);
    q->name = name;
    q->durable = draw(w, 4) > 0;
    q->exclusive = draw(w, 8) == 0;
    q->auto_delete = draw(w, 8) == 0;
    q->kept = q->durable && !q->exclusive;
    q->tag = ++m->next_tag;
    q->life = model_born(m, q->kept);
    vec_push(&m->queues, q);
    struct queue_spec spec = {.name = model_queue_name(name, name_text),
                              .durable = q->durable,
                              .auto_delete = q->auto_delete,
                              .exclusive_owner = q->exclusive ? &w->session : NULL,
                              .arguments = model_arguments(q->tag, arguments)};
    vec_push(&w->queues, queue_create(w->vhost, &spec));
    check(w->queues.count == m->queues.count);
}

static void do_queue(struct world *w)
{
    uint8_t name = (uint8_t)draw(w, MODEL_QUEUE_NAMES);
    int id = model_find_queue(w->model, name);
    if (id < 0) {
        declare_queue(w, name);
    } else if (draw(w, 6) == 0) { /* and at once again under the same name */
        asks_delete_queue(w, (uint32_t)id);
        declare_queue(w, name);
    }
}

/* ---- exchanges and bindings ---- */

static struct exchange *exchange_of(struct world *w, uint32_t id)
{
    char name[MODEL_NAME_MAX];
    struct exchange *x =
        exchange_find(w->vhost, model_exchange_name(w->model->exchanges.items[id].name, name));
    check(x);
    return x;
}

static void declare_exchange(struct world *w, uint8_t name)
{
    char name_text[MODEL_NAME_MAX];
    uint8_t arguments[MODEL_TAG_BYTES];
    struct model *m = w->model;
    struct model_exchange x = {.name = name, .tag = ++m->next_tag};
    x.durable = draw(w, 4) > 0;
    x.auto_delete = draw(w, 4) == 0;
    x.life = model_born(m, x.durable);
    vec_push(&m->exchanges, x);
    struct exchange_spec spec = {.name = model_exchange_name(name, name_text),
                                 .kind = EXCHANGE_DIRECT,
                                 .durable = x.durable,
                                 .auto_delete = x.auto_delete,
                                 .arguments = model_arguments(x.tag, arguments)};
    exchange_create(w->vhost, &spec);
}

static void do_exchange(struct world *w)
{
    uint8_t name = (uint8_t)(2 + draw(w, MODEL_EXCHANGE_NAMES - 2));
    int id = model_find_exchange(w->model, name);
    if (id < 0) {
        declare_exchange(w, name);
    } else if (draw(w, 4) == 0) {
        exchange_delete(exchange_of(w, (uint32_t)id));
        model_delete_exchange(w->model, (uint32_t)id);
    }
}

static void bind(struct world *w, uint32_t exchange, uint32_t queue, uint8_t key, uint64_t tag)
{
    char key_text[MODEL_NAME_MAX];
    uint8_t arguments[MODEL_TAG_BYTES];
    struct model *m = w->model;
    struct model_binding b = {.exchange = exchange, .queue = queue, .key = key, .tag = tag};
    b.kept = m->exchanges.items[exchange].durable && m->queues.items[queue]->kept;
    b.life = model_born(m, b.kept);
    vec_push(&m->bindings, b);
    exchange_bind(exchange_of(w, exchange), w->queues.items[queue], model_key(key, key_text),
                  model_arguments(tag, arguments));
}

static void unbind(struct world *w, uint32_t binding)
{
    char key_text[MODEL_NAME_MAX];
    uint8_t arguments[MODEL_TAG_BYTES];
    struct model_binding b = w->model->bindings.items[binding];
    struct exchange *x = exchange_of(w, b.exchange);
    model_unbind(w->model, binding);
    exchange_unbind(x, w->queues.items[b.queue], model_key(b.key, key_text),
                    model_arguments(b.tag, arguments));
}

static int pick_exchange(struct world *w)
{
    return model_find_exchange(w->model, (uint8_t)(1 + draw(w, MODEL_EXCHANGE_NAMES - 1)));
}

static void do_bind(struct world *w)
{
    int queue = asks_pick_queue(w), exchange = pick_exchange(w);
    if (queue >= 0 && exchange >= 0)
        bind(w, (uint32_t)exchange, (uint32_t)queue, (uint8_t)draw(w, MODEL_KEYS),
             ++w->model->next_tag);
}

static void do_unbind(struct world *w)
{
    if (w->model->bindings.count == 0)
        return;
    uint32_t i = (uint32_t)draw(w, w->model->bindings.count);
    if (model_lives(w->model->bindings.items[i].life))
        unbind(w, i);
}

/* Very many changes in a turn: the catalog's log takes them by its direct mode, and cleans itself. */
static void do_storm(struct world *w)
{
    struct model *m = w->model;
    int queue = asks_pick_queue(w), exchange = pick_exchange(w);
    size_t count = m->bindings.count, living = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct model_binding b = m->bindings.items[i];
        if (!model_lives(b.life))
            continue;
        living++;
        unbind(w, i);
        if (model_lives(m->exchanges.items[b.exchange].life))
            bind(w, b.exchange, b.queue, b.key, b.tag);
    }
    if (living < STORM_BINDINGS && queue >= 0 && exchange >= 0 &&
        model_lives(m->exchanges.items[exchange].life))
        for (int i = 0; i < STORM_BINDINGS; i++)
            bind(w, (uint32_t)exchange, (uint32_t)queue, (uint8_t)draw(w, MODEL_KEYS),
                 ++m->next_tag);
}

/* Those that no recovery can bring back. */
static void forget_bindings(struct model *m)
{
    size_t left = 0;
    for (size_t i = 0; i < m->bindings.count; i++)
        if (model_lives(m->bindings.items[i].life) ||
            m->bindings.items[i].life.died > m->acked_version)
            m->bindings.items[left++] = m->bindings.items[i];
    m->bindings.count = left;
}

/* ---- topics ---- */

static void declare_topic(struct world *w, uint8_t name)
{
    char name_text[MODEL_NAME_MAX], tag[24];
    struct model *m = w->model;
    struct model_topic *t = xzalloc(sizeof *t);
    t->name = name;
    for (uint64_t n = 1 + draw(w, 3); n > 0; n--)
        vec_push(&t->partitions, (struct model_partition){.born = m->version + 1});
    t->level = draw(w, 4) ? LEVEL_FSYNC : LEVEL_OS;
    t->append_time = draw(w, 4) == 0;
    t->tag = 1000000 + ++m->next_tag;
    snprintf(tag, sizeof tag, "%llu", (unsigned long long)t->tag);
    struct topic_config configs[] = {
        {(char *)"durability", (char *)(t->level == LEVEL_OS ? "os" : "fsync")},
        {(char *)"max.message.bytes", tag},
        {(char *)"message.timestamp.type",
         (char *)(t->append_time ? "LogAppendTime" : "CreateTime")},
    };
    struct topic_spec spec = {.name = model_topic_name(name, name_text),
                              .partition_count = (int32_t)t->partitions.count,
                              .configs = configs,
                              .config_count = sizeof configs / sizeof *configs};
    struct topic *topic;
    if (topic_create(w->core, &spec, &topic) != OK) {
        world_complain(w, "create topic %u: %s", name, err_text());
        vec_reset(&t->partitions);
        free(t);
        return;
    }
    t->life = model_born(m, true);
    vec_push(&m->topics, t);
    vec_push(&w->topics, topic);
}

static void grow_topic(struct world *w, uint32_t id)
{
    struct model_topic *t = w->model->topics.items[id];
    if (t->partitions.count >= PARTITIONS_MAX)
        return;
    vec_push(&t->partitions, (struct model_partition){.born = model_born(w->model, true).born});
    if (topic_grow(w->core, w->topics.items[id], (int32_t)t->partitions.count, false) != OK)
        world_complain(w, "grow topic %u: %s", t->name, err_text());
}

static void do_topic(struct world *w)
{
    uint8_t name = (uint8_t)draw(w, MODEL_TOPIC_NAMES);
    int id = model_find_topic(w->model, name);
    uint64_t n = draw(w, 12);
    if (id >= 0 && n < 3)
        grow_topic(w, (uint32_t)id);
    if (id >= 0 && n < 10)
        return;
    if (id >= 0) {
        topic_delete(w->core, w->topics.items[id]);
        w->topics.items[id] = NULL;
        model_died(w->model, &w->model->topics.items[id]->life, true);
    }
    if (id < 0 || draw(w, 2))
        declare_topic(w, name);
}

/* ---- what is there, at any time ---- */

void asks_compare_names(struct world *w)
{
    char name[MODEL_NAME_MAX];
    for (uint8_t i = 0; i < MODEL_QUEUE_NAMES; i++) {
        int id = model_find_queue(w->model, i);
        struct queue *want = id < 0 ? NULL : w->queues.items[id];
        if (queue_find(w->vhost, model_queue_name(i, name)) != want)
            world_complain(w, "queue %u is not what was declared", i);
    }
    for (uint8_t i = 1; i < MODEL_EXCHANGE_NAMES; i++)
        if (!exchange_find(w->vhost, model_exchange_name(i, name)) !=
            (model_find_exchange(w->model, i) < 0))
            world_complain(w, "exchange %u is there, or is not, against what was declared", i);
    for (uint8_t i = 0; i < MODEL_TOPIC_NAMES; i++) {
        int id = model_find_topic(w->model, i);
        struct topic *want = id < 0 ? NULL : w->topics.items[id];
        if (topic_find(w->core, model_topic_name(i, name)) != want)
            world_complain(w, "topic %u is not what was declared", i);
    }
}

void asks_declare(struct world *w)
{
    if (core_catalog_can_change(w->core) != OK)
        return;
    uint64_t n = draw(w, 100);
    if (n < 32)
        do_queue(w);
    else if (n < 48)
        do_exchange(w);
    else if (n < 70)
        do_bind(w);
    else if (n < 80)
        do_unbind(w);
    else if (n < 93)
        do_topic(w);
    else if (n < 95)
        asks_end_session(w);
    else if (n < 98 && w->stormy)
        do_storm(w);
    if (w->model->bindings.count > BINDINGS_KEPT)
        forget_bindings(w->model);
}
