/*
 * `pabal bench amqp`: publishers and consumers, each with a connection and a channel of its own. A
 * message is a copy of a template of frames with its time written into the body, and, with many
 * queues, the queue's number into the routing key.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/amqp_client.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "io/process.h"

enum {
    FILL_BYTES = 64 * 1024, /* appended at a time, so that receiving has its turn */
    QUEUE_DIGITS = 5,       /* of a queue's number, when there are many */
    SPAN_FACTOR = 4,        /* confirms may come out of order within this many windows */
};

struct amqp_bench_options {
    struct common common;
    struct bench_plan plan;
    struct amqp_login login;
    const char *queue, *exchange, *key;
    int64_t queues, publishers, consumers;
    int64_t confirm_window, prefetch, ack_batch;
    bool persistent, transient, purge, remove;
};

struct amqp_conn {
    struct bench_conn base;
    const struct amqp_bench_options *options;
    int64_t first_queue, queue_step; /* which of the queues are this connection's */
    /* a publisher's */
    struct text template;
    size_t stamp_at, key_at; /* positions in the template; key_at 0: one queue only */
    int64_t next_queue;
    int64_t *stamps; /* of unconfirmed tags, by tag & stamps_mask; 0: confirmed */
    uint64_t stamps_mask, next_tag, oldest_tag, unconfirmed_count;
    /* a consumer's */
    uint64_t delivery_tag, body_left, unacked_count;
    uint64_t complete_tag; /* of the newest message that is here with its body */
    int64_t stamp_ns;
    bool is_first_body;
};

static struct amqp_conn *conn_of(const struct bench_conn *c)
{
    return (struct amqp_conn *)c;
}

/* ---- publishing ---- */

static void queue_name(const struct amqp_bench_options *o, int64_t number, char *out, size_t size)
{
    if (o->queues > 1)
        snprintf(out, size, "%s-%0*lld", o->queue, QUEUE_DIGITS, (long long)number);
    else
        snprintf(out, size, "%s", o->queue);
}

static void make_template(struct amqp_conn *c, uint32_t frame_max)
{
    const struct amqp_bench_options *o = c->options;
    struct text body = {0};
    char name[256];

    queue_name(o, c->first_queue, name, sizeof name);
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
        c->key_at = (size_t)(key - c->template.data) + strlen(name) - QUEUE_DIGITS;
    }
}

static void put_queue_number(struct amqp_conn *c, uint8_t *at)
{
    int64_t number = c->next_queue;

    c->next_queue += c->queue_step;
    if (c->next_queue >= c->options->queues)
        c->next_queue = c->first_queue;
    for (int i = QUEUE_DIGITS - 1; i >= 0; i--, number /= 10)
        at[i] = (uint8_t)('0' + number % 10);
}

/* How many messages the confirm window and the piece of one fill allow. */
static uint64_t publish_room(const struct amqp_conn *c)
{
    uint64_t most = FILL_BYTES / c->template.size + 1;
    uint64_t window = (uint64_t)c->options->confirm_window;

    if (window == 0)
        return most;
    uint64_t room = window - c->unconfirmed_count;
    uint64_t span = c->next_tag - c->oldest_tag;
    if (room > c->stamps_mask + 1 - span)
        room = c->stamps_mask + 1 - span;
    return room < most ? room : most;
}

static void publisher_fill(struct bench_conn *base)
{
    struct amqp_conn *c = conn_of(base);
    uint64_t room = publish_room(c), count = bench_due(base, room);
    size_t size = c->template.size;

    base->is_full = room == 0;
    if (count == 0)
        return;
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

static enum err confirm(struct amqp_conn *c, struct reader r, bool is_ack)
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

/* ---- consuming ---- */

static void put_ack(struct amqp_conn *c)
{
    struct amqp_basic_ack ack = {.delivery_tag = c->complete_tag, .multiple = c->unacked_count > 1};

    amqp_client_put(&c->base.out, AMQP_CLIENT_CHANNEL, AMQP_BASIC_ACK, &ack);
    c->unacked_count = 0;
}

static void message_is_complete(struct amqp_conn *c)
{
    bench_count_received(c->base.bench, 1, c->stamp_ns);
    c->complete_tag = c->delivery_tag;
    if (c->options->ack_batch && ++c->unacked_count >= (uint64_t)c->options->ack_batch)
        put_ack(c);
}

static enum err take_header(struct amqp_conn *c, struct bytes payload)
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

static enum err take_body(struct amqp_conn *c, struct bytes payload)
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

/* ---- both ---- */

static enum err take_close(struct reader r)
{
    struct amqp_connection_close close;

    enum err err = amqp_wire_decode(&amqp_connection_close_schema, &r, &close);
    if (err)
        return err;
    return err_set(E_CLOSED, "closed by the server: %u %.*s", (unsigned)close.reply_code,
                   BYTES_FORMAT(close.reply_text));
}

static enum err take_method(struct amqp_conn *c, struct bytes payload)
{
    struct reader r = reader_of(payload);
    uint32_t method = reader_u32(&r);

    if (method == AMQP_BASIC_DELIVER) { /* by hand: the only one for each message */
        (void)reader_bytes(&r, reader_u8(&r));
        c->delivery_tag = reader_u64(&r);
    } else if (method == AMQP_BASIC_ACK || method == AMQP_BASIC_NACK) {
        return confirm(c, r, method == AMQP_BASIC_ACK);
    } else if (method == AMQP_CHANNEL_CLOSE || method == AMQP_CONNECTION_CLOSE) {
        return take_close(r);
    }
    return OK; /* consume-ok, connection.blocked and the like */
}

static enum err take_frame(struct amqp_conn *c, const struct frame *frame)
{
    if (frame->type == FRAME_METHOD)
        return take_method(c, frame->payload);
    if (frame->type == FRAME_HEADER)
        return take_header(c, frame->payload);
    return frame->type == FRAME_BODY ? take_body(c, frame->payload) : OK;
}

static enum err conn_take(struct bench_conn *base, struct bytes in, size_t *consumed)
{
    struct frame frame;
    size_t at = 0;
    enum err err = OK;

    while (!err) {
        int64_t size = amqp_client_frame(bytes_of(in.data + at, in.size - at), &frame);
        if (size == 0)
            break;
        if (size < 0)
            return err_set(E_MALFORMED, "broken frame");
        at += (size_t)size;
        err = take_frame(conn_of(base), &frame);
    }
    *consumed = at;
    return err;
}

static bool conn_is_idle(const struct bench_conn *base)
{
    return conn_of(base)->unconfirmed_count == 0;
}

static void consumer_fill(struct bench_conn *base)
{
    struct amqp_conn *c = conn_of(base);

    if (c->unacked_count && !base->bench->is_sending)
        put_ack(c); /* the last batch is not full */
}

/* ---- opening ---- */

static enum err open_publisher(struct amqp_conn *c, struct amqp_client *client)
{
    uint64_t window = (uint64_t)c->options->confirm_window, capacity = 1;

    make_template(c, amqp_client_frame_max(client));
    c->base.fill = publisher_fill;
    c->base.is_sender = true;
    if (window == 0)
        return OK;
    while (capacity < window * SPAN_FACTOR)
        capacity *= 2;
    c->stamps = xzalloc(capacity * sizeof *c->stamps);
    c->stamps_mask = capacity - 1;
    c->next_tag = c->oldest_tag = 1;
    return amqp_client_confirm_select(client);
}

static enum err open_consumer(struct amqp_conn *c, struct amqp_client *client)
{
    const struct amqp_bench_options *o = c->options;
    char name[256];
    enum err err = OK;

    c->base.fill = consumer_fill;
    if (o->prefetch)
        err = amqp_client_qos(client, (uint16_t)o->prefetch);
    for (int64_t q = c->first_queue; q < o->queues && !err; q += c->queue_step) {
        queue_name(o, q, name, sizeof name);
        err = amqp_client_consume(client, name, o->ack_batch == 0);
    }
    return err;
}

/* Publisher `place` of `count`, or consumer: its queues are every count-th one. */
static enum err conn_open(const struct amqp_bench_options *o, struct bench *b, bool publishes,
                          int64_t place, int64_t count, struct amqp_conn **out)
{
    struct amqp_client *client = NULL;
    struct amqp_conn *c = xzalloc(sizeof *c);

    c->options = o;
    enum err err = amqp_client_open(o->common.server, &o->login, o->common.timeout_ns, &client);
    if (err)
        goto fail;
    c->first_queue = c->next_queue = place % o->queues;
    c->queue_step = count;
    err = publishes ? open_publisher(c, client) : open_consumer(c, client);
    if (err)
        goto fail;
    struct bench_conn prepared = c->base;
    bench_conn_init(&c->base, b, amqp_client_detach(client));
    c->base.fill = prepared.fill;
    c->base.is_sender = prepared.is_sender;
    c->base.take = conn_take;
    c->base.is_idle = conn_is_idle;
    *out = c;
    return OK;

fail:
    amqp_client_close(client);
    text_reset(&c->template);
    free(c->stamps);
    free(c);
    return err;
}

static void conn_free(struct amqp_conn *c)
{
    bench_conn_reset(&c->base);
    text_reset(&c->template);
    free(c->stamps);
    free(c);
}

/* ---- the queues ---- */

static enum err purge_queue(struct amqp_client *client, const char *name)
{
    struct amqp_queue_purge purge = {.queue = bytes_from_string(name)};
    struct amqp_queue_purge_ok ok;

    return amqp_client_call(client, AMQP_QUEUE_PURGE, &purge, AMQP_QUEUE_PURGE_OK, &ok);
}

static enum err delete_queue(struct amqp_client *client, const char *name)
{
    struct amqp_queue_delete delete = {.queue = bytes_from_string(name)};
    struct amqp_queue_delete_ok ok;

    return amqp_client_call(client, AMQP_QUEUE_DELETE, &delete, AMQP_QUEUE_DELETE_OK, &ok);
}

static enum err prepare_queue(struct amqp_client *client, const struct amqp_bench_options *o,
                              const char *name)
{
    struct amqp_queue_declare_ok ok;

    enum err err = amqp_client_declare(client, name, false, !o->transient, &ok);
    if (!err && o->purge)
        err = purge_queue(client, name);
    return err;
}

static enum err each_queue(const struct amqp_bench_options *o, bool remove)
{
    struct amqp_client *client = NULL;
    char name[256];

    enum err err = amqp_client_open(o->common.server, &o->login, o->common.timeout_ns, &client);
    for (int64_t q = 0; q < o->queues && !err; q++) {
        queue_name(o, q, name, sizeof name);
        err = remove ? delete_queue(client, name) : prepare_queue(client, o, name);
    }
    amqp_client_close(client);
    return err;
}

/* ---- the command ---- */

typedef VEC(struct bench_conn *) conn_list;

static enum err open_all(const struct amqp_bench_options *o, struct bench *b, conn_list *conns)
{
    for (int64_t i = 0; i < o->consumers + o->publishers; i++) {
        struct amqp_conn *c;
        bool publishes = i >= o->consumers; /* consumers first: they find the queue empty */
        enum err err = conn_open(o, b, publishes, publishes ? i - o->consumers : i,
                                 publishes ? o->publishers : o->consumers, &c);
        if (err)
            return err;
        vec_push(conns, &c->base);
    }
    return OK;
}

static enum err run(const struct amqp_bench_options *o)
{
    struct bench b;
    conn_list conns = {0};

    bench_init(&b, &o->plan);
    enum err err = each_queue(o, false);
    if (!err)
        err = open_all(o, &b, &conns);
    if (!err)
        err = bench_run(&b, conns.items, conns.count);
    for (size_t i = 0; i < conns.count; i++)
        conn_free(conn_of(conns.items[i]));
    vec_reset(&conns);
    bench_reset(&b);
    if (!err && o->remove)
        err = each_queue(o, true);
    if (!err)
        bench_report(&b, common_wants_json(&o->common));
    return err;
}

static enum err choose_mode(struct amqp_bench_options *o, const char *mode)
{
    bool publishes = strcmp(mode, "consume") != 0, consumes = strcmp(mode, "publish") != 0;

    if (publishes && consumes && strcmp(mode, "both") != 0)
        return err_set(E_INVALID, "%s: must be publish, consume or both", mode);
    if (!publishes)
        o->publishers = 0;
    if (!consumes)
        o->consumers = 0;
    if (strlen(o->queue) > 240 || (o->key && strlen(o->key) > UINT8_MAX) ||
        (o->exchange && strlen(o->exchange) > UINT8_MAX))
        return err_set(E_INVALID, "a name is too long");
    if (o->queues < 1 || o->queues > 99999 || o->prefetch > UINT16_MAX || o->plan.size_bytes < 0)
        return err_set(E_INVALID, "--queues, --prefetch or --size is out of range");
    if (o->prefetch && o->ack_batch > o->prefetch)
        o->ack_batch = o->prefetch;
    o->plan.goal = consumes ? BENCH_RECEIVED : o->confirm_window ? BENCH_CONFIRMED : BENCH_SENT;
    o->plan.scenario = consumes ? publishes ? "amqp both" : "amqp consume" : "amqp publish";
    return OK;
}

int bench_amqp_run(int argc, char **argv)
{
    struct amqp_bench_options o = {.login = {"guest", "guest", "/"},
                                   .queue = "bench",
                                   .queues = 1,
                                   .publishers = 1,
                                   .consumers = 1,
                                   .ack_batch = 1,
                                   .prefetch = 200};
    const struct flag flags[] = {
        BENCH_FLAGS(o.plan),
        {"publishers", FLAG_INT, "N", "connections that publish [1]", &o.publishers},
        {"consumers", FLAG_INT, "N", "connections that consume [1]", &o.consumers},
        {"queue", FLAG_TEXT, "NAME", "declared if missing [bench]", &o.queue},
        {"queues", FLAG_INT, "N", "so many, NAME-00000 and on [1]", &o.queues},
        {"exchange", FLAG_TEXT, "NAME", "publish here [the default exchange]", &o.exchange},
        {"key", FLAG_TEXT, "KEY", "routing key [the queue's name]", &o.key},
        {"confirm", FLAG_INT, "N", "unconfirmed messages a connection; 0 no confirms [0]",
         &o.confirm_window},
        {"persistent", FLAG_BOOL, "", "delivery mode 2", &o.persistent},
        {"prefetch", FLAG_INT, "N", "unacked messages a consumer; 0 no limit [200]", &o.prefetch},
        {"ack", FLAG_INT, "N", "ack every N messages; 0 automatic [1]", &o.ack_batch},
        {"transient", FLAG_BOOL, "", "declare queues that are not durable", &o.transient},
        {"purge", FLAG_BOOL, "", "empty the queues first", &o.purge},
        {"delete", FLAG_BOOL, "", "delete the queues afterwards", &o.remove},
        {"user", FLAG_TEXT, "NAME", "[guest]", &o.login.user},
        {"password", FLAG_TEXT, "TEXT", "[guest]", &o.login.password},
        {"vhost", FLAG_TEXT, "NAME", "[/]", &o.login.vhost},
        SERVER_FLAG(o.common),
        COMMON_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "bench amqp publish|consume|both [options]",
        .about =
            "Load an AMQP 0-9-1 listener (any broker's) and measure. Latency is from the time\n"
            "at which a message should have been sent to its delivery, or its confirm.",
        .examples = "  pabal bench amqp both --rate 50000 --confirm 1000 --persistent\n"
                    "  pabal bench amqp publish --messages 1000000\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    const char *positionals[POSITIONALS_MAX];
    int exit_code;

    common_init(&o.common);
    bench_plan_init(&o.plan);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    if (!o.common.server)
        o.common.server = "127.0.0.1:5672";
    (void)process_raise_file_limit();
    enum err err = choose_mode(&o, positionals[0]);
    if (err) {
        output_error(err);
        return EXIT_CODE_USAGE;
    }
    err = run(&o);
    return err ? (int)output_error(err) : EXIT_CODE_OK;
}
