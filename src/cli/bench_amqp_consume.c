/*
 * The consumers of `pabal bench amqp`: what was delivered is counted and acked, or, in a storm of
 * requeues, sent back the first time.
 */
#include "base/check.h"
#include "cli/bench_amqp.h"

static void put_ack(struct amqp_conn *c)
{
    struct amqp_basic_ack ack = {.delivery_tag = c->complete_tag, .multiple = c->unacked_count > 1};

    amqp_client_put(&c->base.out, AMQP_CLIENT_CHANNEL, AMQP_BASIC_ACK, &ack);
    c->unacked_count = 0;
}

static void put_back(struct amqp_conn *c)
{
    struct amqp_basic_reject reject = {.delivery_tag = c->delivery_tag, .requeue = true};

    amqp_client_put(&c->base.out, AMQP_CLIENT_CHANNEL, AMQP_BASIC_REJECT, &reject);
}

static void message_is_complete(struct amqp_conn *c)
{
    if (c->options->requeue && !c->is_redelivered) {
        put_back(c);
        return;
    }
    bench_count_received(c->base.bench, 1, c->stamp_ns);
    c->complete_tag = c->delivery_tag;
    if (c->options->ack_batch && ++c->unacked_count >= (uint64_t)c->options->ack_batch)
        put_ack(c);
}

/* By hand: the only method that comes for each message. */
void amqp_consumer_deliver(struct amqp_conn *c, struct reader r)
{
    (void)reader_bytes(&r, reader_u8(&r)); /* consumer tag */
    c->delivery_tag = reader_u64(&r);
    c->is_redelivered = reader_u8(&r) & 1;
}

enum err amqp_consumer_header(struct amqp_conn *c, struct bytes payload)
{
    if (payload.size < FRAME_CONTENT_HEAD_BYTES + 2)
        return err_set(E_MALFORMED, "content header of %zu bytes", payload.size);
    c->body_left = get_u64(payload.data + 4);
    c->is_first_body = true;
    c->stamp_ns = 0;
    if (c->body_left == 0)
        message_is_complete(c);
    return OK;
}

enum err amqp_consumer_body(struct amqp_conn *c, struct bytes payload)
{
    if (payload.size > c->body_left)
        return err_set(E_MALFORMED, "body longer than announced");
    if (c->is_first_body && payload.size >= BENCH_STAMP_BYTES)
        c->stamp_ns = (int64_t)get_u64(payload.data);
    c->is_first_body = false;
    c->body_left -= payload.size;
    if (c->body_left == 0)
        message_is_complete(c);
    return OK;
}

void amqp_consumer_fill(struct bench_conn *base)
{
    struct amqp_conn *c = amqp_conn_of(base);

    if (c->unacked_count && !base->bench->is_sending)
        put_ack(c); /* the last batch is not full */
}

enum err amqp_consumer_prepare(struct amqp_conn *c, struct amqp_client *client)
{
    const struct amqp_bench_options *o = c->options;
    char name[BENCH_QUEUE_NAME_MAX];
    enum err err = OK;

    if (o->prefetch)
        err = amqp_client_qos(client, (uint16_t)o->prefetch);
    for (int64_t q = c->first_queue; q < o->queues && !err; q += c->queue_step) {
        bench_queue_name(o, q, name, sizeof name);
        err = amqp_client_consume(client, name, o->ack_batch == 0);
    }
    return err;
}
