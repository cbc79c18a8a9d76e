#include "amqp/tx.h"

#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "amqp/method.h"
#include "amqp/publish.h"
#include "amqp/send.h"
#include "base/mem.h"

static void forget(struct tx *tx)
{
    arena_reset(&tx->memory);
    vec_reset(&tx->publishes);
    vec_reset(&tx->settles);
    for (size_t i = 0; i < tx->settled.count; i++)
        queue_unref(tx->settled.items[i]);
    vec_reset(&tx->settled);
    tx->ticket = (struct ticket){0};
}

void tx_free(struct tx *tx)
{
    if (tx)
        forget(tx);
    free(tx);
}

/* ---- keeping ---- */

void tx_keep_publish(struct channel *ch, const struct command_publish *publish)
{
    struct tx *tx = ch->tx;
    struct command_publish kept = *publish;
    struct message *m = &kept.message;
    struct bytes *parts[] = {&m->exchange, &m->routing_key, &m->properties, &m->body};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        *parts[i] = arena_copy(&tx->memory, *parts[i]);
    if (tx->memory.exhausted)
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "a transaction holds at most %d bytes",
                     TX_MAX_BYTES);
    else
        vec_push(&tx->publishes, kept);
}

void tx_keep_settle(struct channel *ch, const struct command_settle *settle)
{
    bool all = settle->multiple && settle->delivery_tag == 0;

    if (!all && !unacked_has(&ch->unacked, settle->delivery_tag))
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "unknown delivery tag %llu",
                     (unsigned long long)settle->delivery_tag);
    else
        vec_push(&ch->tx->settles, *settle);
}

/* ---- commit ---- */

/* Would every queue take its part of it? */
static enum err check_room(struct channel *ch)
{
    const struct tx *tx = ch->tx;
    enum err err = OK;

    for (size_t i = 0; i < tx->publishes.count && !err; i++) {
        const struct message *m = &tx->publishes.items[i].message;
        struct exchange *x = exchange_find(ch->conn->vhost, m->exchange);
        if (x)
            err =
                queue_can_publish(ch->conn->core, exchange_ask_route(x, m), tx->memory.used_bytes);
    }
    return err;
}

static void answer_commit(struct channel *ch)
{
    send_simple(ch->conn, ch->id, AMQP_TX_COMMIT_OK);
}

static void apply(struct channel *ch)
{
    struct tx *tx = ch->tx;
    struct ticket ticket;

    for (size_t i = 0; i < tx->publishes.count && ch->state == CHANNEL_OPEN; i++)
        publish_now(ch, &tx->publishes.items[i]);
    for (size_t i = 0; i < tx->settles.count && ch->state == CHANNEL_OPEN; i++)
        settle_now(ch, &tx->settles.items[i]);
    for (size_t i = 0; i < tx->settled.count; i++) {
        queue_log_changes(tx->settled.items[i], &ticket);
        ticket_join(&tx->ticket, ticket);
    }
}

void method_tx_commit(struct channel *ch, const void *arguments)
{
    struct tx *tx = ch->tx;

    (void)arguments;
    if (!tx) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "channel is not transactional");
        return;
    }
    if (check_room(ch)) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "partial tx completion: %s", err_text());
        return;
    }
    tx->committing = true;
    apply(ch);
    tx->committing = false;
    if (ch->state != CHANNEL_OPEN)
        return;
    struct ticket ticket = tx->ticket;
    forget(tx);
    channel_wait(ch, ticket, answer_commit);
}

/* ---- select, rollback ---- */

void method_tx_select(struct channel *ch, const void *arguments)
{
    (void)arguments;
    if (ch->confirming) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "cannot switch from confirm to tx mode");
        return;
    }
    if (!ch->tx) {
        ch->tx = xzalloc(sizeof *ch->tx);
        arena_init(&ch->tx->memory, TX_MAX_BYTES);
    }
    send_simple(ch->conn, ch->id, AMQP_TX_SELECT_OK);
}

void method_tx_rollback(struct channel *ch, const void *arguments)
{
    (void)arguments;
    if (!ch->tx) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "channel is not transactional");
        return;
    }
    forget(ch->tx);
    send_simple(ch->conn, ch->id, AMQP_TX_ROLLBACK_OK);
}
