#include "kafka/fetch.h"

#include "base/check.h"
#include "kafka/connection.h"
#include "kafka/fetch_internal.h"
#include "kafka/handlers.h"

enum { FULL = 0, NO_SESSION = -1 }; /* session epochs */

static enum kafka_error open_set(struct fetch *f, const struct kafka_fetch_request *in);
static bool look(struct fetch *f);
static void wait_for_more(struct fetch *f);
static void part_moved(struct partition_watch *watch, struct partition *partition);
static bool has_enough(const struct fetch *f);

void fetch_start(struct request *r)
{
    const struct kafka_fetch_request *in = r->body;
    struct fetch *f = request_alloc(r, 1, sizeof *f);
    struct kafka_fetch_response *reply = request_new(r, &kafka_fetch_response_schema, 1);
    if (!f || !reply)
        return;
    f->request = r;
    list_init(&f->todo);
    list_init(&f->kept);
    list_init(&f->served);
    list_init(&f->unknown);
    r->work = f;
    r->reply = reply;

    enum kafka_error error = open_set(f, in);
    if (r->connection->is_failed)
        return;
    if (error) {
        reply->error_code = (int16_t)error;
        request_answer(r, reply);
        return;
    }
    int64_t max_bytes = in->max_bytes < FETCH_MAX_BYTES ? in->max_bytes : FETCH_MAX_BYTES;
    f->room = max_bytes;
    f->wanted_bytes = in->min_bytes < max_bytes ? in->min_bytes : max_bytes;
    bool can_wait = look(f) && in->max_wait_ms > 0;
    if (can_wait && !has_enough(f))
        wait_for_more(f);
    else
        fetch_gather(f);
}

/* A lively partition is looked up again when somebody asks; until then it may move or be deleted as
 * it likes. */
static void let_go_of_part(struct fetch_part *p)
{
    partition_unwatch(&p->watch);
    p->partition = NULL;
}

static void let_go_of_set(struct fetch *f)
{
    struct list *lists[] = {&f->todo, &f->unknown, &f->kept, &f->served};
    struct fetch_set *set = f->set;
    f->set = NULL;
    if (!set)
        return;
    if (set == &f->own) {
        for (size_t i = 0; i < set->part_count; i++)
            let_go_of_part(&f->own_parts[i]);
        return;
    }
    if (f->current)
        list_push_back(&set->lively, &f->current->node);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        while (!list_is_empty(lists[i]))
            list_push_back(&set->lively, list_pop_front(lists[i]));
    list_each (node, &set->lively)
        let_go_of_part(container_of(node, struct fetch_part, node));
    fetch_session_let_go(set);
}

static void stop(struct fetch *f)
{
    timer_stop(&request_core(f->request)->timers, &f->timer);
    core_defer_cancel(&f->finish);
    fetch_read_cancel(f);
    let_go_of_set(f);
}

void fetch_release(struct request *r)
{
    struct fetch *f = r->work;
    if (!f)
        return;
    stop(f);
    for (size_t i = 0; i < f->pieces.count; i++)
        fetch_piece_release(&f->pieces.items[i]);
    vec_reset(&f->pieces);
}

/* ---- what is asked for ---- */

static bool build_own_set(struct fetch *f, const struct kafka_fetch_request *in)
{
    struct request *r = f->request;
    size_t count = 0;
    for (int32_t i = 0; i < in->topics.count; i++)
        count += (size_t)in->topics.items[i].partitions.count;
    fetch_set_init(&f->own, r->version >= FETCH_IDS_SINCE, &r->arena);
    f->set = &f->own;
    f->own.fetch = f;
    f->own_parts = request_alloc(r, count, sizeof *f->own_parts);
    struct fetch_topic *topics = request_alloc(r, (size_t)in->topics.count, sizeof *topics);
    if (!f->own_parts || !topics)
        return false;
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_fetch_request_topic *asked = &in->topics.items[i];
        topics[i].id = asked->topic_id;
        if (!f->own.by_id)
            topics[i].name = asked->topic;
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            struct fetch_part *p = &f->own_parts[f->own.part_count++];
            p->set = &f->own;
            p->topic = &topics[i];
            fetch_part_ask(p, &asked->partitions.items[j]);
        }
    }
    return true;
}

/* Put what the request names into the session. False: it has become too large, and is closed. */
static bool change_session(struct fetch_set *set, const struct kafka_fetch_request *in)
{
    for (int32_t i = 0; i < in->topics.count; i++)
        for (int32_t j = 0; j < in->topics.items[i].partitions.count; j++) {
            const struct kafka_fetch_request_topic *topic = &in->topics.items[i];
            if (fetch_session_put(set, topic, &topic->partitions.items[j]))
                continue;
            fetch_session_close(set);
            return false;
        }
    for (int32_t i = 0; i < in->forgotten_topics_data.count; i++)
        fetch_session_forget(set, &in->forgotten_topics_data.items[i]);
    return true;
}

static void use_session(struct fetch *f, struct fetch_set *set)
{
    struct connection *c = f->request->connection;
    struct kafka_fetch_response *reply = f->request->reply;
    fetch_session_use(set, &c->fetch_sessions, c->core->now_ns);
    reply->session_id = set->id;
    set->fetch = f;
    f->set = set;
}

/* All partitions are named. The session that is named is over; a new one is made if asked for. */
static enum kafka_error open_full(struct fetch *f, const struct kafka_fetch_request *in)
{
    struct core *core = request_core(f->request);
    struct fetch_set *set = fetch_session_find(core, in->session_id);
    size_t count = 0;
    if (set)
        fetch_session_close(set);
    set = NULL;
    for (int32_t i = 0; i < in->topics.count; i++)
        count += (size_t)in->topics.items[i].partitions.count;
    if (in->session_epoch == FULL)
        set = fetch_session_open(core, f->request->version >= FETCH_IDS_SINCE, count,
                                 f->request->connection->config->fetch_session_slots);
    if (!set || !change_session(set, in))
        (void)build_own_set(f, in);
    else
        use_session(f, set);
    return KAFKA_NONE;
}

/* Another connection goes on with the session while a fetch waits: the fetch has lost it. */
static void take_over(struct fetch_set *set)
{
    struct fetch *loser = set->fetch;
    struct request *r = loser->request;
    struct kafka_fetch_response *reply = r->reply;
    reply->error_code = KAFKA_INVALID_FETCH_SESSION_EPOCH;
    reply->responses.count = 0;
    stop(loser);
    request_answer(r, reply);
}

static enum kafka_error open_set(struct fetch *f, const struct kafka_fetch_request *in)
{
    if (in->session_epoch == FULL || in->session_epoch == NO_SESSION)
        return open_full(f, in);

    struct fetch_set *set = fetch_session_find(request_core(f->request), in->session_id);
    if (!set)
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (set->epoch != in->session_epoch)
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    if (set->by_id != (f->request->version >= FETCH_IDS_SINCE))
        return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    if (set->fetch)
        take_over(set);
    if (!change_session(set, in))
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (set->part_count == 0) { /* nothing is left to be asked for */
        fetch_session_close(set);
        (void)build_own_set(f, in);
        return KAFKA_NONE;
    }
    set->epoch = set->epoch == INT32_MAX ? 1 : set->epoch + 1;
    f->is_incremental = true;
    use_session(f, set);
    return KAFKA_NONE;
}

/* ---- look ---- */

/* Add what is new below the high watermark, as far as it decides anything: up to what this
 * partition may contribute and to what is wanted. What is not in memory is old: there is plenty of
 * it. */
static void count_part(struct fetch *f, struct fetch_part *p)
{
    enum { PEEK_BATCHES = 16 };
    struct log_batch batches[PEEK_BATCHES];
    struct log *log = p->partition->log;
    int64_t limit = fetch_visible_end(f, p);
    while (p->counted_bytes < p->max_bytes && p->counted_to < limit && !has_enough(f)) {
        size_t count = 0;
        int64_t before = p->counted_bytes, room = p->max_bytes - before;
        int64_t need = f->wanted_bytes - f->counted_bytes;
        enum err err = log_peek(log, p->counted_to, limit, (size_t)(need < room ? need : room),
                                batches, PEEK_BATCHES, &count);
        if (err)
            p->counted_bytes = p->max_bytes; /* cold, or an error that gathering will find */
        for (size_t i = 0; i < count; i++)
            p->counted_bytes += (int64_t)batches[i].raw.size;
        p->counted_to = count > 0 ? log_batch_end(&batches[count - 1]) : limit;
        if (p->counted_bytes > p->max_bytes)
            p->counted_bytes = p->max_bytes;
        f->counted_bytes += p->counted_bytes - before;
    }
}

void fetch_part_arm(struct fetch_part *p)
{
    p->watch.moved = part_moved;
    if (!list_is_linked(&p->watch.node))
        partition_watch(p->partition, &p->watch);
}

/* True when nothing is to be told of it before it moves. */
static bool is_quiet(const struct fetch *f, const struct fetch_part *p)
{
    const struct log *log = p->partition->log;
    return f->set != &f->own && p->told_hw == log->hw && p->told_start == log->start &&
           p->offset >= fetch_visible_end(f, p);
}

/* One lively partition. */
static void look_at(struct fetch *f, struct fetch_part *p, struct fetch_verdict verdict)
{
    p->counted_to = p->offset;
    p->counted_bytes = 0;
    if (fetch_verdict_is_bad(&verdict)) {
        f->ends_wait = true;
    } else if (is_quiet(f, p)) {
        list_remove(&p->node);
        fetch_part_arm(p);
    } else {
        count_part(f, p);
    }
}

/* False when no partition is there to wait for. */
static bool look(struct fetch *f)
{
    size_t known = f->set->part_count;
    list_each_safe (node, &f->set->lively) {
        struct fetch_part *p = container_of(node, struct fetch_part, node);
        if (fetch_part_resolve(p, request_core(f->request)))
            look_at(f, p, fetch_judge(f, p));
        else
            known--;
    }
    return known > 0;
}

/* ---- wait ---- */

static bool has_enough(const struct fetch *f)
{
    return f->ends_wait || f->counted_bytes >= f->wanted_bytes;
}

static void stop_waiting(struct fetch *f)
{
    timer_stop(&request_core(f->request)->timers, &f->timer);
    core_defer_cancel(&f->finish);
    f->is_waiting = false;
    fetch_gather(f);
}

static void time_is_up(struct timer *timer, int64_t now_ns)
{
    (void)now_ns;
    stop_waiting(container_of(timer, struct fetch, timer));
}

static void finish(struct deferred *d)
{
    stop_waiting(container_of(d, struct fetch, finish));
}

/* Gathering comes later in the turn: then all that moved in it is in the answer. */
static void count_moved(struct fetch *f, struct fetch_part *p, bool is_new)
{
    if (is_new) {
        p->counted_to = p->offset;
        p->counted_bytes = 0;
    }
    struct fetch_verdict verdict = {.diverging_epoch = -1};
    if (p->partition)
        verdict = fetch_judge(f, p); /* its start may have moved beyond the offset */
    if (!p->partition || fetch_verdict_is_bad(&verdict))
        f->ends_wait = true;
    else
        count_part(f, p);
    if (has_enough(f))
        core_defer(request_core(f->request), &f->finish);
}

/* A broker may answer before max_wait_ms. Kafka does not, and whoever asks for offsets while a fetch of the same
 * connection waits, waits half a second. */
void fetch_give_way(struct request *r)
{
    struct fetch *f = r->work;
    if (f->is_waiting)
        core_defer(request_core(r), &f->finish);
}

static void part_moved(struct partition_watch *watch, struct partition *partition)
{
    struct fetch_part *p = container_of(watch, struct fetch_part, watch);
    struct fetch *f = p->set->fetch;
    bool is_new = !list_is_linked(&p->node) && !(f && f->current == p);
    bool is_waited_for = f && f->is_waiting;
    if (is_new)
        list_push_back(f && f->is_gathering ? &f->kept : &p->set->lively, &p->node);
    if (partition->topic->deleted || !is_waited_for) /* being lively is enough */
        let_go_of_part(p);
    if (is_waited_for)
        count_moved(f, p, is_new);
}

static void wait_for_more(struct fetch *f)
{
    const struct kafka_fetch_request *in = f->request->body;
    struct core *core = request_core(f->request);
    list_each (node, &f->set->lively) {
        struct fetch_part *p = container_of(node, struct fetch_part, node);
        if (p->partition)
            fetch_part_arm(p);
    }
    f->is_waiting = true;
    f->finish.run = finish;
    f->timer.fire = time_is_up;
    timer_start(&core->timers, &f->timer, core->now_ns + (int64_t)in->max_wait_ms * 1000000);
}
