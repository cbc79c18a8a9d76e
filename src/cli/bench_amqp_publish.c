/*
 * The publishers of `pabal bench amqp`. A message is a copy of a template of frames with its time
 * written into the body, and, with many queues, the queue's number into the routing key. A
 * transaction is a window of confirms that one commit-ok confirms.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/bench_amqp.h"

enum {
    FILL_BYTES = 64 * 1024, /* appended at a time, so that receiving has its turn */
    SPAN_FACTOR = 4,        /* confirms may come out of order within this many windows */
};

static void make_template(struct amqp_conn *c, uint32_t frame_max)
{
    const struct amqp_bench_options *o = c->options;
    struct text body = {0};
    char name[BENCH_QUEUE_NAME_MAX];

    bench_queue_name(o, c->first_queue, name, sizeof name);
    struct amqp_publish publish = {.exchange = o->exchange ? o->exchange : "",
                                   .routing_key = o->key ? o->key : name,
                                   .persistent = o->persistent};
    amqp_client_put_publish(&c->template, AMQP_CLIENT_CHANNEL, &publish, frame_max);
    c->stamp_at = c->template.size + FRAME_HEAD_BYTES;
    c->template.size = 0;
    text_append_zeros(&body, (size_t)o->plan.size_bytes);
    publish.body = text_bytes(&body);
    amqp_client_put_publish(&c->template, AMQP_CLIENT_CHANNEL, &publish, frame_max);
    text_reset(&body);
    if (o->queues > 1 && !o->key) {
        const uint8_t *key = memmem(c->template.data, c->template.size, name, strlen(name));
        check(key);
        c->key_at = (size_t)(key - c->template.data) + strlen(name) - BENCH_QUEUE_DIGITS;
    }
}

static void put_queue_number(struct amqp_conn *c, uint8_t *at)
{
    int64_t number = c->next_queue;

    c->next_queue += c->queue_step;
    if (c->next_queue >= c->options->queues)
        c->next_queue = c->first_queue;
    for (int i = BENCH_QUEUE_DIGITS - 1; i >= 0; i--, number /= 10)
        at[i] = (uint8_t)('0' + number % 10);
}

static uint64_t window_of(const struct amqp_bench_options *o)
{
    return (uint64_t)(o->transaction ? o->transaction : o->confirm_window);
}

/* How many messages the confirm window and the piece of one fill allow. */
static uint64_t publish_room(const struct amqp_conn *c)
{
    uint64_t most = FILL_BYTES / c->template.size + 1;
    uint64_t window = window_of(c->options);

    if (window == 0)
        return most;
    if (c->is_committing)
        return 0;
    uint64_t room = window - c->unconfirmed_count;
    uint64_t span = c->next_tag - c->oldest_tag;
    if (room > c->stamps_mask + 1 - span)
        room = c->stamps_mask + 1 - span;
    return room < most ? room : most;
}

/* When a transaction is whole, or no more will come for it. */
static void maybe_commit(struct amqp_conn *c)
{
    const struct amqp_tx_commit commit = {0};
    bool is_whole = c->unconfirmed_count == window_of(c->options);

    if (!c->options->transaction || c->is_committing || c->unconfirmed_count == 0)
        return;
    if (!is_whole && c->base.bench->is_sending)
        return;
    amqp_client_put(&c->base.out, AMQP_CLIENT_CHANNEL, AMQP_TX_COMMIT, &commit);
    c->is_committing = true;
}

void amqp_publisher_fill(struct bench_conn *base)
{
    struct amqp_conn *c = amqp_conn_of(base);
    uint64_t room = publish_room(c), count = bench_due(base, room);
    size_t size = c->template.size;

    base->is_full = room == 0;
    if (count == 0) {
        maybe_commit(c);
        return;
    }
    uint8_t *at = text_reserve(&base->out, count * size);
    for (uint64_t i = 0; i < count; i++, at += size) {
        int64_t stamp_ns = bench_next_stamp(base);
        memcpy(at, c->template.data, size);
        if (c->options->plan.size_bytes >= BENCH_STAMP_BYTES)
            put_u64(at + c->stamp_at, (uint64_t)stamp_ns);
        if (c->key_at)
            put_queue_number(c, at + c->key_at);
        if (c->stamps)
            c->stamps[c->next_tag++ & c->stamps_mask] = stamp_ns;
    }
    if (c->stamps)
        c->unconfirmed_count += count;
    text_advance(&base->out, count * size);
    bench_count_sent(base->bench, count);
    maybe_commit(c);
}

static void confirm_one(struct amqp_conn *c, uint64_t tag, bool is_ack)
{
    int64_t *stamp = &c->stamps[tag & c->stamps_mask];

    if (*stamp == 0)
        return;
    if (is_ack)
        bench_count_confirmed(c->base.bench, 1, *stamp, 0);
    else
        bench_count_refused(c->base.bench, 1);
    *stamp = 0;
    c->unconfirmed_count--;
}

enum err amqp_publisher_confirm(struct amqp_conn *c, struct reader r, bool is_ack)
{
    uint64_t tag = reader_u64(&r);
    bool multiple = reader_u8(&r) & 1;

    if (r.bad || !c->stamps || tag < c->oldest_tag || tag >= c->next_tag)
        return err_set(E_MALFORMED, "confirm of unknown tag %llu", (unsigned long long)tag);
    for (uint64_t at = multiple ? c->oldest_tag : tag; at <= tag; at++)
        confirm_one(c, at, is_ack);
    while (c->oldest_tag < c->next_tag && c->stamps[c->oldest_tag & c->stamps_mask] == 0)
        c->oldest_tag++;
    return OK;
}

enum err amqp_publisher_committed(struct amqp_conn *c)
{
    if (!c->is_committing)
        return err_set(E_MALFORMED, "tx.commit-ok that nobody asked for");
    while (c->oldest_tag < c->next_tag)
        confirm_one(c, c->oldest_tag++, true);
    c->is_committing = false;
    return OK;
}

enum err amqp_publisher_prepare(struct amqp_conn *c, struct amqp_client *client)
{
    const struct amqp_tx_select select = {0};
    struct amqp_tx_select_ok ok;
    uint64_t window = window_of(c->options), capacity = 1;

    make_template(c, amqp_client_frame_max(client));
    if (window == 0)
        return OK;
    while (capacity < window * SPAN_FACTOR)
        capacity *= 2;
    c->stamps = xzalloc(capacity * sizeof *c->stamps);
    c->stamps_mask = capacity - 1;
    c->next_tag = c->oldest_tag = 1;
    if (c->options->transaction)
        return amqp_client_call(client, AMQP_TX_SELECT, &select, AMQP_TX_SELECT_OK, &ok);
    return amqp_client_confirm_select(client);
}
