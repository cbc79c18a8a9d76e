#include "kafka/fetch_session.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kafka/fetch.h"

#define STALE_NS (FETCH_SESSION_STALE_S * INT64_C(1000000000))

struct fetch_sessions {
    struct attachment attachment;
    struct core *core;
    struct idmap by_id;
    struct list used;    /* struct fetch_set, least recently used first */
    struct list orphans; /* their connections are gone; the first to go */
    size_t part_count;
};

static void free_all(struct attachment *a);
static void session_free(struct fetch_set *set);
static void part_free(struct fetch_part *p);

/* ---- sets and parts ---- */

void fetch_set_init(struct fetch_set *set, bool by_id, struct arena *arena)
{
    memset(set, 0, sizeof *set);
    list_init(&set->lively);
    set->by_id = by_id;
    set->arena = arena;
}

void fetch_part_ask(struct fetch_part *p, const struct kafka_fetch_request_partition *asked)
{
    p->index = asked->partition;
    p->offset = asked->fetch_offset;
    p->max_bytes = asked->partition_max_bytes > 0 ? asked->partition_max_bytes : 0;
    p->leader_epoch = asked->current_leader_epoch;
    p->last_epoch = asked->last_fetched_epoch;
    if (!list_is_linked(&p->node))
        list_push_back(&p->set->lively, &p->node);
}

/* What an id was called is remembered: a topic that has taken its place is told apart by it. */
static void learn_name(struct fetch_part *p, struct bytes name)
{
    if (p->topic->name.data)
        return;
    p->topic->name = p->set->arena ? arena_copy(p->set->arena, name)
                                   : bytes_of(xmemdup(name.data, name.size), name.size);
}

bool fetch_part_resolve(struct fetch_part *p, struct core *core)
{
    struct topic *topic = p->partition ? p->partition->topic : NULL;
    if (topic && !topic->deleted)
        return true;
    partition_unwatch(&p->watch);
    p->partition = NULL;
    topic =
        p->set->by_id ? topic_find_id(core, p->topic->id.data) : topic_find(core, p->topic->name);
    if (!topic)
        return false;
    learn_name(p, topic->name);
    p->partition = topic_partition(topic, p->index);
    return p->partition != NULL;
}

/* ---- the cache ---- */

static struct fetch_sessions *find_cache(const struct core *core)
{
    struct attachment *a = core_attachment(core, free_all);
    return a ? container_of(a, struct fetch_sessions, attachment) : NULL;
}

static struct fetch_sessions *cache_of(struct core *core)
{
    struct fetch_sessions *cache = find_cache(core);
    if (cache)
        return cache;
    cache = xzalloc(sizeof *cache);
    cache->core = core;
    cache->attachment.free = free_all;
    list_init(&cache->used);
    list_init(&cache->orphans);
    core_attach(core, &cache->attachment);
    return cache;
}

static void free_all(struct attachment *a)
{
    struct fetch_sessions *cache = container_of(a, struct fetch_sessions, attachment);
    size_t position = 0;
    struct fetch_set *set;
    while ((set = idmap_next(&cache->by_id, &position)))
        session_free(set);
    idmap_reset(&cache->by_id);
    free(cache);
}

size_t fetch_session_count(const struct core *core)
{
    const struct fetch_sessions *cache = find_cache(core);
    return cache ? cache->by_id.count : 0;
}

static struct fetch_set *oldest(const struct list *sets)
{
    return list_is_empty(sets) ? NULL : container_of(sets->next, struct fetch_set, node);
}

/* The smallest that is neither young nor as large as what wants its place. */
static struct fetch_set *smallest(const struct fetch_sessions *cache, size_t part_count)
{
    struct fetch_set *found = NULL;
    list_each (node, &cache->used) {
        struct fetch_set *set = container_of(node, struct fetch_set, node);
        bool is_young = cache->core->now_ns - set->opened_ns <= STALE_NS;
        if (!is_young && set->part_count < part_count) {
            found = set;
            part_count = set->part_count;
        }
    }
    return found;
}

static bool make_room(struct fetch_sessions *cache, size_t part_count, uint32_t slots)
{
    while (cache->by_id.count >= slots || cache->part_count + part_count > FETCH_SESSION_PARTS) {
        struct fetch_set *victim = oldest(&cache->orphans);
        if (!victim) {
            victim = oldest(&cache->used);
            if (victim && cache->core->now_ns - victim->used_ns <= STALE_NS)
                victim = smallest(cache, part_count);
        }
        if (!victim)
            return false;
        fetch_session_close(victim);
    }
    return true;
}

static int32_t new_id(struct fetch_sessions *cache)
{
    int32_t id;
    do
        id = 1 + (int32_t)random_below(&cache->core->random, INT32_MAX - 1);
    while (idmap_get(&cache->by_id, (uint64_t)id));
    return id;
}

struct fetch_set *fetch_session_open(struct core *core, bool by_id, size_t part_count,
                                     uint32_t slots)
{
    struct fetch_sessions *cache = cache_of(core);
    if (!make_room(cache, part_count, slots ? slots : FETCH_SESSION_SLOTS))
        return NULL;
    struct fetch_set *set = xmalloc(sizeof *set);
    fetch_set_init(set, by_id, NULL);
    set->sessions = cache;
    set->id = new_id(cache);
    set->epoch = 1;
    set->opened_ns = core->now_ns;
    idmap_put(&cache->by_id, (uint64_t)set->id, set);
    return set;
}

struct fetch_set *fetch_session_find(struct core *core, int32_t id)
{
    const struct fetch_sessions *cache = find_cache(core);
    return cache && id > 0 ? idmap_get(&cache->by_id, (uint64_t)id) : NULL;
}

void fetch_session_use(struct fetch_set *set, struct list *connection_sessions, int64_t now_ns)
{
    set->used_ns = now_ns;
    list_remove(&set->node);
    list_push_back(&set->sessions->used, &set->node);
    list_remove(&set->connection_node);
    list_push_back(connection_sessions, &set->connection_node);
}

void fetch_sessions_orphan(struct list *connection_sessions)
{
    struct list *node;
    while ((node = list_pop_front(connection_sessions))) {
        struct fetch_set *set = container_of(node, struct fetch_set, connection_node);
        list_remove(&set->node);
        list_push_back(&set->sessions->orphans, &set->node);
    }
}

void fetch_session_close(struct fetch_set *set)
{
    idmap_remove(&set->sessions->by_id, (uint64_t)set->id);
    set->id = 0;
    list_remove(&set->node);
    list_remove(&set->connection_node);
    if (!set->fetch)
        session_free(set);
}

void fetch_session_let_go(struct fetch_set *set)
{
    set->fetch = NULL;
    if (set->id == 0)
        session_free(set);
}

static void topic_free(struct fetch_topic *topic)
{
    size_t position = 0;
    struct fetch_part *p;
    while ((p = idmap_next(&topic->parts, &position)))
        part_free(p);
    idmap_reset(&topic->parts);
    free((void *)(uintptr_t)topic->name.data);
    free(topic);
}

static void session_free(struct fetch_set *set)
{
    size_t position = 0;
    struct fetch_topic *topic;
    while ((topic = map_next(&set->topics, &position)))
        topic_free(topic);
    map_reset(&set->topics);
    list_remove(&set->node);
    list_remove(&set->connection_node);
    set->sessions->part_count -= set->part_count;
    free(set);
}

/* ---- a session's partitions ---- */

static struct bytes topic_key(const struct fetch_set *set, struct bytes name, const struct uuid *id)
{
    return set->by_id ? bytes_of(id->data, sizeof id->data) : name;
}

static struct fetch_topic *add_topic(struct fetch_set *set,
                                     const struct kafka_fetch_request_topic *asked)
{
    struct fetch_topic *topic = xzalloc(sizeof *topic);
    if (set->by_id)
        topic->id = asked->topic_id;
    else
        topic->name = bytes_of(xmemdup(asked->topic.data, asked->topic.size), asked->topic.size);
    map_put(&set->topics, topic_key(set, topic->name, &topic->id), topic);
    return topic;
}

static struct fetch_part *add_part(struct fetch_set *set, struct fetch_topic *topic, int32_t index)
{
    struct fetch_part *p = xzalloc(sizeof *p);
    p->set = set;
    p->topic = topic;
    p->told_hw = -1;
    p->told_start = -1;
    idmap_put(&topic->parts, (uint32_t)index, p);
    set->part_count++;
    set->sessions->part_count++;
    return p;
}

bool fetch_session_put(struct fetch_set *set, const struct kafka_fetch_request_topic *asked_topic,
                       const struct kafka_fetch_request_partition *asked)
{
    struct bytes key = topic_key(set, asked_topic->topic, &asked_topic->topic_id);
    struct fetch_topic *topic = map_get(&set->topics, key);
    struct fetch_part *p = topic ? idmap_get(&topic->parts, (uint32_t)asked->partition) : NULL;
    if (!p && set->sessions->part_count >= FETCH_SESSION_PARTS)
        return false;
    if (!topic)
        topic = add_topic(set, asked_topic);
    if (!p)
        p = add_part(set, topic, asked->partition);
    fetch_part_ask(p, asked);
    return true;
}

static void part_free(struct fetch_part *p)
{
    partition_unwatch(&p->watch);
    list_remove(&p->node);
    free(p);
}

void fetch_session_forget(struct fetch_set *set,
                          const struct kafka_fetch_request_forgotten_topic *forgotten)
{
    struct bytes key = topic_key(set, forgotten->topic, &forgotten->topic_id);
    struct fetch_topic *topic = map_get(&set->topics, key);
    for (int32_t i = 0; topic && i < forgotten->partitions.count; i++) {
        struct fetch_part *p =
            idmap_remove(&topic->parts, (uint32_t)forgotten->partitions.items[i]);
        if (!p)
            continue;
        part_free(p);
        set->part_count--;
        set->sessions->part_count--;
    }
    if (topic && topic->parts.count == 0) {
        map_remove(&set->topics, key);
        topic_free(topic);
    }
}
