/*
 * Handing out: from a queue's ready records to its consumers, round robin among those with credit,
 * in slices that keep a turn short. It runs at the end of a turn, when the high watermark has
 * moved, when a consumer may take more, or when records came back.
 */
#include "base/check.h"
#include "base/metrics.h"
#include "base/say.h"
#include "broker/mutant.h"
#include "broker/queue_internal.h"
#include "broker/queue_rules.h"
#include "broker/session.h"

static void run_dispatch(struct deferred *work);

void queue_dispatch_init(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    list_init(&in->parked);
    list_init(&in->getters);
    in->dispatch.run = run_dispatch;
}

void queue_wake(struct queue *queue)
{
    if (!queue->deleted && !list_is_empty(&queue->consumers))
        core_defer(queue->internal->core, &queue->internal->dispatch);
}

void queue_run_later(struct queue *queue)
{
    if (!queue->deleted)
        core_defer(queue->internal->core, &queue->internal->dispatch);
}

void queue_wake_getters(struct queue *queue)
{
    struct list *node;
    while ((node = list_pop_front(&queue->internal->getters)))
        core_wait(queue->internal->core, container_of(node, struct wait, node), (struct ticket){0},
                  STAGE_WRITTEN);
}

/* ---- when the disk fails to give a message ---- */

static void forget_unread(struct core_internal *in)
{
    for (size_t i = 0; i < in->unread.count; i++) {
        in->unread.items[i]->internal->is_unread = false;
        queue_unref(in->unread.items[i]);
    }
    vec_clear(&in->unread);
}

static void read_again(struct timer *timer, int64_t now_ns)
{
    struct core_internal *in = container_of(timer, struct core_internal, unread_timer);
    (void)now_ns;
    for (size_t i = 0; i < in->unread.count; i++)
        if (!in->unread.items[i]->deleted)
            queue_run_later(in->unread.items[i]);
    forget_unread(in);
}

/* Nothing else may ever happen to the queue, and its consumers wait, or what is due. */
static void read_later(struct queue *queue)
{
    enum { PAUSE_NS = 1000000000 };
    struct core *core = queue->internal->core;
    struct core_internal *in = core->internal;
    if (queue->internal->is_unread)
        return;
    queue->internal->is_unread = true;
    queue_ref(queue);
    vec_push(&in->unread, queue);
    if (timer_is_running(&in->unread_timer))
        return;
    in->unread_timer.fire = read_again;
    timer_start(&core->timers, &in->unread_timer, core->now_ns + PAUSE_NS);
}

static bool is_failure(enum err err)
{
    return err && err != E_COLD && err != E_NOT_FOUND;
}

/* Once, however often it is asked for. */
static void tell_unread(struct queue *queue, bool oldest, enum err err)
{
    bool *told = &queue->internal->told_unread[oldest];
    const char *which = oldest ? "oldest" : "next";
    if (is_failure(err) && !*told)
        say_warn("queue", "the %s message cannot be read, it is asked for each second queue=%.*s",
                 which, BYTES_FORMAT(queue->name));
    if (!err && *told)
        say_info("queue", "the %s message can be read again queue=%.*s", which,
                 BYTES_FORMAT(queue->name));
    *told = is_failure(err);
}

void queues_unread_free(struct core *core)
{
    struct core_internal *in = core->internal;
    forget_unread(in);
    vec_reset(&in->unread);
    timer_stop(&core->timers, &in->unread_timer);
}

/* ---- the next message ---- */

static void feed_arrived(void *ctx)
{
    queue_wake_getters(ctx);
    queue_run_later(ctx);
}

static struct feed *feed_of(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    if (!in->feed)
        in->feed = feed_new(in->core->internal->feeds, queue->log, feed_arrived, queue);
    return in->feed;
}

void queue_skip_damage(struct queue *queue, int64_t from, int64_t to)
{
    uint64_t count = subscription_settle_ready(queue->subscription, from, to);
    metrics_add(METRIC_records_undecodable, count);
    say_error("queue", "%llu messages cannot be read and are dropped offsets=%lld..%lld queue=%.*s",
              (unsigned long long)count, (long long)from, (long long)(to - 1),
              BYTES_FORMAT(queue->name));
    queue_changed(queue);
}

static void learn(struct queue *queue, const struct record *record)
{
    struct queue_rules *r = queue->internal->rules;
    struct message m;
    if (message_from_record(record->key, record->value, &m) != OK)
        return;
    if (r->priorities)
        queue_priorities_add(r->priorities, record->offset, message_priority(&m));
    if (subscription_is_ready(queue->subscription, record->offset))
        r->sizes.ready_bytes += (int64_t)m.body.size;
    else if (subscription_is_out(queue->subscription, record->offset))
        queue_sizes_note_out(&r->sizes, record->offset, m.body.size);
}

/* After a restart, or when a policy asks for it: read once what is there, when priorities or sizes
 * have to be known. OK: they are; E_COLD: later. */
static enum err learn_some(struct queue *queue, struct queue_rules *r)
{
    enum { SLICE = 4096 };
    struct record record;
    int64_t visible = queue->subscription->visible; /* the rest is not committed yet */
    int64_t end = r->learn_end < visible ? r->learn_end : visible;
    int64_t floor = queue->subscription->floor < end ? queue->subscription->floor : end;
    if (r->learn_at < floor)
        r->learn_at = floor; /* what was below is done meanwhile, and may be gone */
    for (int i = 0; i < SLICE && r->learn_at < end; i++) {
        enum err err = feed_at(feed_of(queue), r->learn_at, end, &record);
        if (!err)
            learn(queue, &record);
        if (err == E_NOT_FOUND)
            r->learn_at = end;
        else if (!err || err == E_CORRUPT || (err == E_COLD && BROKER_MUTANT != MUTANT_LEARN_AGAIN))
            r->learn_at = record.offset + !err; /* past a hole, also when it is cold */
        if (err && err != E_NOT_FOUND && err != E_CORRUPT)
            return err;
    }
    if (r->learn_at == end)
        return OK;
    queue_wake_getters(queue);
    queue_run_later(queue);
    return E_COLD;
}

/* The offset of the next message, or of the oldest one; E_NOT_FOUND: nothing is ready; or not known
 * yet. */
static enum err find_head(struct queue *queue, bool oldest, int64_t *out)
{
    struct queue_rules *r = queue->internal->rules;
    if (r && r->learn_at < r->learn_end) {
        enum err err = learn_some(queue, r);
        if (err)
            return err;
    }
    *out = r && r->priorities && !oldest ? queue_priorities_head(r->priorities, queue->subscription)
                                         : subscription_head(queue->subscription);
    return *out < 0 ? E_NOT_FOUND : OK;
}

static enum err read_head(struct queue *queue, bool oldest, struct delivery *out)
{
    struct subscription *s = queue->subscription;
    struct record record;
    for (;;) {
        int64_t offset;
        enum err err = find_head(queue, oldest, &offset);
        if (err)
            return err;
        err = feed_at(feed_of(queue), offset, s->visible, &record);
        if (err == E_CORRUPT) {
            queue_skip_damage(queue, offset, record.offset);
            continue;
        }
        if (err == E_NOT_FOUND)
            record.offset = s->visible;
        else if (err)
            return err;
        if (record.offset > offset) {
            queue_skip_damage(queue, offset, record.offset);
            continue;
        }
        if (message_from_record(record.key, record.value, &out->message) != OK) {
            queue_skip_damage(queue, offset, offset + 1);
            continue;
        }
        out->queue = queue;
        out->offset = offset;
        out->due_ms = queue_message_due(queue, record.timestamp, &out->message);
        if (out->due_ms < INT64_MAX)
            queue_rules_need(queue)->may_expire = true;
        out->chunk = feed_chunk(queue->internal->feed);
        return OK;
    }
}

static enum err read_head_or_later(struct queue *queue, bool oldest, struct delivery *out)
{
    enum err err = read_head(queue, oldest, out);
    if (err != E_COLD)
        tell_unread(queue, oldest, err);
    if (is_failure(err) && BROKER_MUTANT != MUTANT_READ_ONCE)
        read_later(queue);
    return err;
}

enum err queue_next_message(struct queue *queue, struct delivery *out)
{
    return read_head_or_later(queue, false, out);
}

enum err queue_oldest_message(struct queue *queue, struct delivery *out)
{
    return read_head_or_later(queue, true, out);
}

/* RabbitMQ ext: a quorum queue tells how often the message was delivered before. What a crash has left
 * without a count was delivered once at least. */
static void put_delivery_count(struct core *core, struct delivery *d)
{
    struct text *properties = &core->internal->delivered_properties;
    struct amqp_value count = {.tag = 'l', .number = d->number > 1 ? d->number - 1 : 1};
    properties->size = 0;
    message_put_header(&d->message, "x-delivery-count", &count, properties);
    d->message.properties = text_bytes(properties);
}

static void take(struct queue *queue, struct delivery *d)
{
    const struct queue_rules *r = queue->internal->rules;
    struct taking taking = subscription_take(queue->subscription, d->offset);
    d->number = taking.number;
    d->redelivered = taking.redelivered;
    if (r && r->settings.is_quorum && d->redelivered)
        put_delivery_count(queue->internal->core, d);
    if (queue_counts_bytes(queue->internal->rules))
        queue_sizes_take(&queue->internal->rules->sizes, d->offset, d->message.body.size);
}

static void count_delivery(struct queue *queue, const struct delivery *d, enum counter how,
                           enum metric of_node)
{
    queue_count(queue, how, 1);
    metrics_add(of_node, 1);
    if (!d->redelivered)
        return;
    queue_count(queue, COUNTER_redeliver, 1);
    metrics_add(METRIC_messages_redelivered, 1);
}

/* ---- to consumers ---- */

/* Behind those of its priority and of higher ones. */
static void line_up(struct queue *queue, struct consumer *c)
{
    struct list *before = queue->consumers.prev;
    while (before != &queue->consumers &&
           container_of(before, struct consumer, node)->priority < c->priority)
        before = before->prev;
    list_push_front(before, &c->node);
}

/* The consumer whose turn it is; those without credit are parked. NULL: there is none. */
static struct consumer *next_consumer(struct queue *queue)
{
    while (!list_is_empty(&queue->consumers)) {
        struct consumer *c = container_of(queue->consumers.next, struct consumer, node);
        list_remove(&c->node);
        if (c->credit(c) > 0) {
            line_up(queue, c);
            return c;
        }
        c->parked = true;
        list_push_back(&queue->internal->parked, &c->node);
    }
    return NULL;
}

static void hand_over(struct queue *queue, struct consumer *c, struct delivery *d)
{
    struct core_internal *core = queue->internal->core->internal;
    bool no_ack = c->no_ack;
    take(queue, d);
    core->deliveries_left--;
    core->delivery_bytes_left -= (int64_t)(d->message.body.size + d->message.properties.size);
    count_delivery(queue, d, no_ack ? COUNTER_deliver_no_ack : COUNTER_deliver,
                   no_ack ? METRIC_messages_delivered_no_ack : METRIC_messages_delivered);
    if (BROKER_MUTANT == MUTANT_DELIVER_TWICE && d->offset % 64 == 0)
        c->deliver(c, d);
    c->deliver(c, d); /* may cancel consumers and delete the queue */
    if (!queue->deleted)
        queue_marked(queue);
}

/* The pass is over. A queue that has nothing to give needs no feed, nor what that has read. */
static void rest(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    if (!in->feed)
        return;
    feed_rest(in->feed);
    if (queue_ready_count(queue) == 0 && !feed_is_reading(in->feed)) {
        feed_free(in->feed);
        in->feed = NULL;
    }
}

static bool has_expired(const struct queue *queue, const struct delivery *d)
{
    const struct queue_internal *in = queue->internal;
    return d->due_ms <= in->core->wall_ms && d->offset < in->rules->fresh_from;
}

/* ---- the pass ---- */

static void dispatch(struct queue *queue)
{
    struct core *core = queue->internal->core;
    struct core_internal *in = core->internal;
    struct delivery d;
    enum err err = OK;
    queue_ref(queue);
    while (!queue->deleted && in->deliveries_left > 0 && in->delivery_bytes_left > 0) {
        if (queue_ready_count(queue) == 0)
            break;
        struct consumer *c = next_consumer(queue);
        if (!c)
            break;
        err = queue_next_message(queue, &d);
        if (err)
            break;
        if (!has_expired(queue, &d))
            hand_over(queue, c, &d);
        else if ((err = queue_drop(queue, &d, DEATH_EXPIRED)))
            break;
        else
            in->deliveries_left--;
    }
    if (!queue->deleted) {
        queue_trim(queue);
        rest(queue);
        if (!err && queue_ready_count(queue) > 0)
            queue_wake(queue); /* the slice is over: the next turn goes on */
    }
    queue_unref(queue);
}

static void run_dispatch(struct deferred *work)
{
    dispatch(container_of(work, struct queue_internal, dispatch)->self);
}

/* Records that are committed by now are ready; done before anything counts or takes them. */
static void follow_log(struct queue *queue)
{
    const struct log *log = queue->log;
    int64_t floor = queue->subscription->floor;
    uint64_t ready = queue_ready_count(queue);
    /* In memory what is appended is committed, although the store tells it at the turn's end. */
    subscription_extend(queue->subscription, log->level == LEVEL_MEMORY ? log->end : log->hw);
    if (queue->subscription->floor > floor)
        queue_changed(queue);
    if (queue_counts_bytes(queue->internal->rules))
        queue_sizes_extend(&queue->internal->rules->sizes, queue->subscription->visible);
    uint64_t came = queue_ready_count(queue) - ready;
    queue->internal->coming -= came < queue->internal->coming ? came : queue->internal->coming;
}

void queue_moved(struct log_owner *owner)
{
    struct queue *queue = queue_of_owner(owner);
    if (queue->internal->rules)
        queue->internal->rules->fresh_from = queue->subscription->visible;
    follow_log(queue);
    if (!list_is_empty(&queue->consumers) || queue_trims(queue))
        dispatch(queue);
}

void queue_catch_up(struct queue *queue)
{
    if (queue_trims(queue))
        queue_moved(&queue->internal->owner);
    else
        follow_log(queue);
}

/* ---- coming and going ---- */

/* With a single active consumer the others stand by. */
static void admit(struct queue *queue, struct consumer *c)
{
    c->standby = queue_is_single_active(queue) && queue->consumer_count > 1;
    if (c->standby)
        list_push_back(&queue->internal->rules->standby, &c->node);
    else
        line_up(queue, c);
}

enum err queue_consume(struct queue *queue, struct consumer *c)
{
    check(!queue->deleted);
    check(!list_is_linked(&c->node));
    if (queue->exclusive_consumer || (c->exclusive && queue->consumer_count > 0))
        return err_set(E_LOCKED, "queue '%.*s' in vhost '%.*s' in exclusive use",
                       BYTES_FORMAT(queue->name), BYTES_FORMAT(queue->vhost->name));
    if (c->exclusive)
        queue->exclusive_consumer = c;
    c->queue = queue;
    c->parked = false;
    queue->consumer_count++;
    admit(queue, c);
    queue_wake(queue);
    return OK;
}

static void detach(struct queue *queue, struct consumer *c)
{
    list_remove(&c->node);
    queue->consumer_count--;
    if (queue->exclusive_consumer == c)
        queue->exclusive_consumer = NULL;
}

/* The active one has gone: the one that stands by the longest, of the highest priority, follows. */
static void promote(struct queue *queue)
{
    struct list *standby = &queue->internal->rules->standby;
    struct consumer *best = NULL;
    list_each (node, standby) {
        struct consumer *c = container_of(node, struct consumer, node);
        if (!best || c->priority > best->priority)
            best = c;
    }
    if (!best)
        return;
    list_remove(&best->node);
    best->standby = false;
    line_up(queue, best);
    queue_wake(queue);
}

void queue_cancel(struct consumer *c)
{
    struct queue *queue = c->queue;
    if (!list_is_linked(&c->node))
        return; /* the queue was deleted */
    detach(queue, c);
    if (queue->auto_delete && queue->consumer_count == 0) {
        queue_delete(queue);
        return;
    }
    if (queue_is_single_active(queue) && !c->standby)
        promote(queue);
    queue_used(queue);
}

static void describe_all(const struct list *consumers, consumer_fn *each, void *ctx)
{
    list_each (node, consumers) {
        const struct consumer *c = container_of(node, struct consumer, node);
        struct consumer_description d;
        if (!c->describe)
            continue;
        c->describe(c, &d);
        each(ctx, &d);
    }
}

void queue_each_consumer(struct queue *queue, consumer_fn *each, void *ctx)
{
    const struct queue_internal *in = queue->internal;
    describe_all(&queue->consumers, each, ctx);
    describe_all(&in->parked, each, ctx);
    if (in->rules)
        describe_all(&in->rules->standby, each, ctx);
}

/* Any of them; NULL: none is left. */
static struct consumer *some_consumer(struct queue *queue)
{
    struct queue_internal *in = queue->internal;
    struct list *from = &queue->consumers;
    if (list_is_empty(from))
        from = &in->parked;
    if (list_is_empty(from) && in->rules)
        from = &in->rules->standby;
    return list_is_empty(from) ? NULL : container_of(from->next, struct consumer, node);
}

void queue_drop_consumers(struct queue *queue)
{
    struct consumer *c;
    while ((c = some_consumer(queue))) {
        detach(queue, c);
        c->cancelled(c);
    }
}

void queue_consumer_ready(struct consumer *c)
{
    if (!list_is_linked(&c->node))
        return;
    if (c->parked) {
        c->parked = false;
        list_remove(&c->node);
        line_up(c->queue, c);
    }
    queue_wake(c->queue);
}

void queue_wait_read(struct queue *queue, struct wait *again)
{
    list_push_back(&queue->internal->getters, &again->node);
}

enum err queue_get(struct queue *queue, bool no_ack, struct wait *again, struct delivery *out)
{
    if (queue->deleted)
        return E_NOT_FOUND;
    struct queue_internal *in = queue->internal;
    queue_used(queue);
    enum err err = queue_next_message(queue, out);
    while (!err && out->due_ms <= in->core->wall_ms)
        err = queue_drop(queue, out, DEATH_EXPIRED) ? E_NOT_FOUND : queue_next_message(queue, out);
    if (err == E_COLD && again)
        queue_wait_read(queue, again);
    if (err == E_NOT_FOUND) {
        queue_count(queue, COUNTER_get_empty, 1);
        metrics_add(METRIC_messages_get_empty, 1);
    }
    if (err)
        return err;
    take(queue, out);
    count_delivery(queue, out, no_ack ? COUNTER_get_no_ack : COUNTER_get,
                   no_ack ? METRIC_messages_got_no_ack : METRIC_messages_got);
    if (out->chunk)
        core_pin(in->core, out->chunk);
    queue_marked(queue);
    rest(queue);
    return OK;
}
