#include "broker/packer.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/core_internal.h"
#include "broker/delays.h"
#include "broker/mutant.h"
#include "broker/queue_expiry.h"
#include "broker/queue_internal.h"
#include "broker/queue_rules.h"

struct timed_message {
    int32_t index; /* in the pack */
    int64_t expires_ms,
        released_ms; /* in queues, and where delayed messages wait; INT64_MAX: never */
};

struct pack {
    struct list node; /* open ones in the order of opening; or free */
    struct packer *packer;
    struct batch_builder builder;
    VEC(struct queue *) queues;
    VEC(struct log *) logs;
    struct ticket ticket;
    VEC(uint8_t) priorities; /* of the messages, when any of the queues has an order by them */
    bool by_priority;
    bool has_delays;                 /* one of the queues is where delayed messages wait */
    VEC(struct timed_message) timed; /* those with a time of their own */
    struct log *on_disk, *in_memory; /* one of each kind, to ask whether an append would be taken */
    int64_t body_bytes;              /* of the messages */
    size_t promised;                 /* bytes that were said to fit and are not appended yet */
};

struct packer {
    struct core *core;
    struct list open, free;
    size_t free_count;
    size_t promised; /* of all open packs */
};

struct packer *packer_new(struct core *core)
{
    struct packer *packer = xzalloc(sizeof *packer);
    packer->core = core;
    list_init(&packer->open);
    list_init(&packer->free);
    return packer;
}

static void pack_free(struct pack *p)
{
    batch_builder_reset(&p->builder);
    vec_reset(&p->priorities);
    vec_reset(&p->timed);
    vec_reset(&p->queues);
    vec_reset(&p->logs);
    free(p);
}

void packer_free(struct packer *packer)
{
    struct list *node;
    while ((node = list_pop_front(&packer->open)) || (node = list_pop_front(&packer->free)))
        pack_free(container_of(node, struct pack, node));
    free(packer);
}

/* ---- appending ---- */

static void put_away(struct pack *p)
{
    struct packer *packer = p->packer;
    for (size_t i = 0; i < p->queues.count; i++)
        p->queues.items[i]->internal->pack = NULL;
    vec_clear(&p->queues);
    vec_clear(&p->logs);
    vec_clear(&p->priorities);
    vec_clear(&p->timed);
    packer->promised -= p->promised;
    p->promised = 0;
    list_remove(&p->node);
    if (packer->free_count == PACKS_KEPT) {
        pack_free(p);
        return;
    }
    packer->free_count++;
    list_push_front(&packer->free, &p->node); /* the next one finds warm memory */
}

static struct queue_priorities *priorities_of(const struct queue *queue)
{
    const struct queue_rules *r = queue->internal->rules;
    return r ? r->priorities : NULL;
}

/* They are in the logs: tell the queues which offsets have which priority. */
static void note_priorities(const struct pack *p)
{
    for (size_t i = 0; i < p->queues.count; i++) {
        struct queue_priorities *priorities = priorities_of(p->queues.items[i]);
        int64_t first = p->logs.items[i]->end - (int64_t)p->priorities.count;
        for (size_t k = 0; priorities && k < p->priorities.count; k++)
            queue_priorities_add(priorities, first + (int64_t)k, p->priorities.items[k]);
    }
}

static void note_times(const struct pack *p)
{
    for (size_t i = 0; i < p->queues.count; i++) {
        int64_t first = p->logs.items[i]->end - (int64_t)p->builder.count;
        for (size_t k = 0; k < p->timed.count; k++) {
            const struct timed_message *timed = &p->timed.items[k];
            int64_t due_ms =
                p->queues.items[i]->internal->delays_of ? timed->released_ms : timed->expires_ms;
            if (due_ms < INT64_MAX)
                queue_expiry_note(p->queues.items[i], first + timed->index, due_ms);
        }
    }
}

static void note_sizes(const struct pack *p)
{
    for (size_t i = 0; i < p->queues.count; i++)
        if (queue_counts_bytes(p->queues.items[i]->internal->rules))
            queue_sizes_append(&p->queues.items[i]->internal->rules->sizes, p->logs.items[i]->end,
                               p->body_bytes);
}

static void append(struct pack *p)
{
    struct ticket ticket;
    for (size_t i = 0; i < p->queues.count; i++) {
        p->queues.items[i]->internal->coming += (uint64_t)p->builder.count;
        queue_count(p->queues.items[i], COUNTER_publish, (uint64_t)p->builder.count);
        p->queues.items[i]->internal->counters->bytes += (uint64_t)p->body_bytes;
    }
    struct batch_parts batch = batch_builder_end_parts(&p->builder);
    enum err err = log_append_many(p->logs.items, p->logs.count, batch, &ticket);
    if (err) { /* frozen since: the tickets that were given out are never done */
        say_error("queue", "published messages cannot be stored: %s", err_text());
    } else {
        check(ticket.journal <= p->ticket.journal);
        check(ticket.direct <= p->ticket.direct);
        p->packer->core->internal->committing = true;
        if (p->by_priority)
            note_priorities(p);
        note_sizes(p);
        note_times(p);
    }
    put_away(p);
}

void packer_flush(struct packer *packer)
{
    while (!list_is_empty(&packer->open))
        append(container_of(packer->open.next, struct pack, node));
}

void packer_flush_queue(struct queue *queue)
{
    if (queue->internal->pack)
        append(queue->internal->pack);
}

uint64_t packer_open_count(const struct queue *queue)
{
    const struct pack *p = queue->internal->pack;
    return p ? (uint64_t)p->builder.count : 0;
}

int64_t packer_open_bytes(const struct queue *queue)
{
    const struct pack *p = queue->internal->pack;
    return p ? p->body_bytes : 0;
}

/* ---- packing ---- */

static bool is_for(const struct pack *p, struct route route)
{
    return p->queues.count == route.count &&
           memcmp(p->queues.items, route.queues, route.count * sizeof *route.queues) == 0;
}

/* Would this much more be taken? What was promised to others counts as taken. */
static enum err ask(const struct pack *p, size_t size)
{
    enum err err = OK;
    if (p->on_disk)
        err = log_can_append(p->on_disk, p->packer->promised + size);
    if (!err && p->in_memory)
        err = log_can_append(p->in_memory, p->packer->promised + size);
    return err;
}

static void pack_begin(struct packer *packer, struct pack *p, struct route route)
{
    p->packer = packer;
    p->ticket = (struct ticket){0};
    p->on_disk = p->in_memory = NULL;
    p->by_priority = p->has_delays = false;
    p->body_bytes = 0;
    for (size_t i = 0; i < route.count; i++) {
        struct queue *queue = route.queues[i];
        vec_push(&p->queues, queue);
        vec_push(&p->logs, queue->log);
        ticket_join(&p->ticket, log_next_ticket(queue->log));
        *(queue->log->level == LEVEL_MEMORY ? &p->in_memory : &p->on_disk) = queue->log;
        queue->internal->pack = p;
        p->has_delays = p->has_delays || queue->internal->delays_of;
        if (priorities_of(queue))
            p->by_priority = true;
    }
    batch_builder_begin(&p->builder, 0);
    list_push_back(&packer->open, &p->node);
}

static struct pack *pack_open(struct packer *packer, struct route route)
{
    struct list *node = list_pop_front(&packer->free);
    if (node)
        packer->free_count--;
    struct pack *p = node ? container_of(node, struct pack, node) : xzalloc(sizeof *p);
    pack_begin(packer, p, route);
    return p;
}

/* The open pack for this route; other packs of its queues are appended, so that order is kept. */
static struct pack *pack_for(struct packer *packer, struct route route, size_t size)
{
    struct pack *p = route.queues[0]->internal->pack;
    if (p && is_for(p, route)) {
        if (p->builder.text.size + size <= PACK_MAX_BYTES)
            return p;
        append(p);
    } else {
        for (size_t i = 0; i < route.count; i++)
            packer_flush_queue(route.queues[i]);
    }
    return pack_open(packer, route);
}

static void note_time(const struct core *core, struct pack *p, const struct message *m)
{
    int64_t ttl_ms = message_ttl_ms(m), delay_ms = p->has_delays ? delays_of_message(m) : 0;
    struct timed_message timed = {p->builder.count - 1, INT64_MAX, INT64_MAX};
    if (ttl_ms >= 0 && ttl_ms < INT64_MAX - core->wall_ms)
        timed.expires_ms = core->wall_ms + ttl_ms;
    if (delay_ms > 0)
        timed.released_ms =
            core->wall_ms + delay_ms / (BROKER_MUTANT == MUTANT_RELEASE_EARLY ? 2 : 1);
    if (timed.expires_ms < INT64_MAX || timed.released_ms < INT64_MAX)
        vec_push(&p->timed, timed);
}

static bool is_alone(const struct message *m)
{
    return m->body.size >= PACK_ALONE_BYTES;
}

static void add(struct core *core, struct pack *p, const struct message *m)
{
    uint8_t envelope[MESSAGE_ENVELOPE_MAX];
    struct bytes key[2] = {bytes_of(envelope, message_put_envelope(m, envelope)), m->properties};
    struct bytes value = m->body.data ? m->body : bytes_of("", 0);
    batch_builder_add_parts(&p->builder, core->wall_ms, key, 2, value, is_alone(m));
    p->body_bytes += (int64_t)m->body.size;
    note_time(core, p, m);
    if (p->by_priority)
        vec_push(&p->priorities, message_priority(m));
}

static enum err publish(struct core *core, struct route route, const struct message *m,
                        struct ticket *out)
{
    enum { RECORD_OVERHEAD = BATCH_HEADER_BYTES + MESSAGE_ENVELOPE_MAX + 40 };
    struct packer *packer = core->internal->packer;
    size_t size = RECORD_OVERHEAD + m->properties.size + m->body.size;
    struct pack *p = pack_for(packer, route, size);
    enum err err = ask(p, size);
    if (err) {
        if (p->builder.count == 0)
            put_away(p);
        return err;
    }
    p->promised += size;
    packer->promised += size;
    add(core, p, m);
    *out = p->ticket;
    if (is_alone(m)) /* while its body, which the batch borrows, is there */
        append(p);
    return OK;
}

/* Some of the queues refuse it; the others get it. */
static enum err publish_to_open(struct core *core, struct route route, const struct message *m,
                                struct ticket *out)
{
    VEC(struct queue *) open = {0};
    bool refused = false;
    for (size_t i = 0; i < route.count; i++) {
        struct queue *queue = route.queues[i];
        if (queue_is_full(queue)) {
            refused = true;
            queue_refuse(queue, m);
        } else {
            vec_push(&open, queue);
        }
    }
    *out = (struct ticket){0};
    enum err err = OK;
    if (open.count > 0)
        err = publish(core, (struct route){open.items, open.count}, m, out);
    vec_reset(&open);
    if (!err && refused)
        err = err_set(E_FULL, "a queue is full and refuses what is published");
    return err;
}

static bool any_is_full(struct route route)
{
    for (size_t i = 0; i < route.count; i++)
        if (route.queues[i]->internal->rules && queue_is_full(route.queues[i]))
            return true;
    return false;
}

enum err queue_publish(struct core *core, struct route route, const struct message *m,
                       struct ticket *out)
{
    check(route.count > 0);
    if (message_ttl_ms(m) >= 0)
        for (size_t i = 0; i < route.count; i++)
            queue_expiry_expect(route.queues[i]);
    if (any_is_full(route))
        return publish_to_open(core, route, m, out);
    return publish(core, route, m, out);
}

enum err queue_can_publish(struct core *core, struct route route, size_t size_bytes)
{
    enum err err = OK;
    for (size_t i = 0; i < route.count && !err; i++) {
        if (queue_is_full(route.queues[i]))
            return err_set(E_FULL, "queue '%.*s' is full", BYTES_FORMAT(route.queues[i]->name));
        err = log_can_append(route.queues[i]->log, core->internal->packer->promised + size_bytes);
    }
    return err;
}
