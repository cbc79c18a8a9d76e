#include "tests/sim/rules_removals.h"

#include "base/check.h"
#include "broker/queue_internal.h"
#include "tests/sim/rules_asks.h"
#include "tests/sim/rules_catalog.h"

static void start(struct rules_world *w, enum removal_kind kind, struct queue *queue,
                  struct queue *another)
{
    struct queue *const queues[WISH_QUEUES] = {queue, another};
    if (w->wish.kind != REMOVE_NOTHING)
        return;
    w->wish.kind = kind;
    for (int i = 0; i < WISH_QUEUES; i++) {
        w->wish.of[i].queue = queues[i];
        if (queues[i])
            queue_ref(queues[i]);
        w->wish.of[i].at = 0;
    }
    removals_go_on(w);
}

void removals_forget(struct rules_world *w)
{
    for (int i = 0; i < WISH_QUEUES; i++) {
        struct census *c = &w->wish.of[i];
        feed_free(c->feed);
        if (c->queue)
            queue_unref(c->queue);
        c->feed = NULL;
        c->queue = NULL;
        vec_reset(&c->known);
    }
    w->wish.kind = REMOVE_NOTHING;
}

void ask_purge(struct rules_world *w)
{
    struct queue *queue = w->places[rules_draw(w, NAMED_PLACES)];
    if (queue)
        start(w, REMOVE_READY, queue, NULL);
}

void ask_delete(struct rules_world *w)
{
    enum place place = (enum place)rules_draw(w, NAMED_PLACES);
    if (place_comes_and_goes(place) && w->places[place])
        start(w, REMOVE_QUEUE, w->places[place], NULL);
}

void ask_vhost(struct rules_world *w)
{
    if (w->guests)
        start(w, REMOVE_VHOST, w->places[GUEST], w->places[GUESTS_DELAYED]);
    else if (!vhost_is_doomed(w->core, BYTES_LITERAL("guests")) &&
             !fact_is_full(&w->ledger.facts[FACT_PLACE + GUEST]) &&
             core_catalog_can_change(w->core) == OK)
        rules_make_guests(w);
}

/* ---- reading ---- */

static void has_arrived(void *ctx)
{
    (void)ctx; /* we ask again each turn */
}

/* True: everything that was ever appended is known. */
static bool read_on(struct rules_world *w, struct census *c)
{
    struct record record;
    struct message m;
    struct letter_text text;
    enum err err = OK;
    if (!c->feed)
        c->feed = feed_new(w->core->internal->feeds, c->queue->log, has_arrived, c);
    if (c->at < c->queue->subscription->floor)
        c->at = c->queue->subscription->floor;
    while (!(err = feed_at(c->feed, c->at, c->queue->log->end, &record))) {
        c->at = record.offset + 1;
        if (message_from_record(record.key, record.value, &m) != OK ||
            !letter_read(m.body, &text) || text.letter >= w->ledger.letters.count)
            rules_complain(w, "a letter that nobody has sent");
        else
            vec_push(&c->known, ((struct known_letter){record.offset, text.letter}));
    }
    feed_rest(c->feed);
    if (err == E_COLD)
        c->at = record.offset;
    else if (err != E_NOT_FOUND && !w->may_fail)
        rules_complain(w, "place %d cannot be read: %s", (int)rules_place_of(w, c->queue),
                       err_text());
    return err == E_NOT_FOUND;
}

/* ---- removing ---- */

typedef VEC(uint32_t) letter_numbers;

/* What is there, or of that what is ready. */
static void gather(const struct census *c, bool ready, letter_numbers *out)
{
    const struct subscription *s = c->queue->subscription;
    for (size_t i = 0; i < c->known.count; i++) {
        int64_t offset = c->known.items[i].offset;
        if (ready ? subscription_is_ready(s, offset) : !subscription_is_done(s, offset))
            vec_push(out, c->known.items[i].letter);
    }
}

static void purge(struct rules_world *w, const letter_numbers *gone)
{
    struct ticket ticket;
    uint64_t count = queue_purge(w->wish.of[0].queue, &ticket);
    if (count != gone->count)
        rules_complain(w, "a purge of %zu letters says %llu", gone->count,
                       (unsigned long long)count);
    rules_wait(w, ticket, ANSWER_REMOVAL, ledger_remove(&w->ledger, gone->items, gone->count, -1));
}

static void delete_queue(struct rules_world *w, const letter_numbers *gone)
{
    struct queue *queue = w->wish.of[0].queue;
    enum place place = rules_place_of(w, queue);
    uint32_t removal = ledger_remove(&w->ledger, gone->items, gone->count, FACT_PLACE + (int)place);
    w->places[place] = NULL;
    queue_delete(queue);
    rules_wait(w, core_catalog_ticket(w->core), ANSWER_REMOVAL, removal);
    if (place_is_bound(w, place))
        rules_change(w, FACT_BINDING + (int)place, 0);
    rules_change(w, FACT_PLACE + (int)place, 0);
    if (rules_draw(w, 3) == 0)
        rules_declare_place(w, place);
}

static void delete_guests(struct rules_world *w, const letter_numbers *gone)
{
    uint32_t removal = ledger_remove(&w->ledger, gone->items, gone->count, FACT_PLACE + GUEST);
    enum err err = vhost_delete(w->guests);
    check(!err);
    fact_change(&w->ledger.facts[FACT_PLACE + GUEST], 0); /* answered when the guest is out */
    vhost_wait_gone(w->core, w->guests->name, rules_new_wait(w, ANSWER_REMOVAL, removal));
    w->guests = NULL;
    w->places[GUEST] = w->places[GUESTS_DELAYED] = NULL;
}

static void remove_now(struct rules_world *w)
{
    enum { ROOM = 2 }; /* a queue may be deleted and made again */
    struct removal_wish *wish = &w->wish;
    letter_numbers gone = {0};
    enum place place = rules_place_of(w, wish->of[0].queue);
    bool is_crowded = w->ledger.facts[FACT_PLACE + place].count + ROOM > FACT_VALUES ||
                      w->ledger.facts[FACT_BINDING + place].count + ROOM > FACT_VALUES;
    for (int i = 0; i < WISH_QUEUES; i++)
        if (wish->of[i].queue)
            gather(&wish->of[i], wish->kind == REMOVE_READY, &gone);
    if (core_catalog_can_change(w->core) == OK && !is_crowded)
        (wish->kind == REMOVE_READY   ? purge
         : wish->kind == REMOVE_QUEUE ? delete_queue
                                      : delete_guests)(w, &gone);
    vec_reset(&gone);
    removals_forget(w);
}

void removals_go_on(struct rules_world *w)
{
    bool all_known = w->wish.kind != REMOVE_NOTHING;
    for (int i = WISH_QUEUES; i-- > 0;) /* what was published in this turn is appended */
        if (w->wish.of[i].queue)
            (void)queue_barrier(w->wish.of[i].queue);
    for (int i = 0; i < WISH_QUEUES; i++)
        if (w->wish.of[i].queue)
            all_known = read_on(w, &w->wish.of[i]) && all_known;
    if (all_known)
        remove_now(w);
}
