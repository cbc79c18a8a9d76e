/*
 * `pabal bench amqp`: the queues, the connections that publish and consume, the command.
 */
#include "cli/bench_amqp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/commands.h"
#include "io/process.h"
#include "wire/amqp_table.h"

void bench_queue_name(const struct amqp_bench_options *o, int64_t number, char *out, size_t size)
{
    if (o->queues > 1)
        snprintf(out, size, "%s-%0*lld", o->queue, BENCH_QUEUE_DIGITS, (long long)number);
    else
        snprintf(out, size, "%s", o->queue);
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

    if (method == AMQP_BASIC_DELIVER)
        amqp_consumer_deliver(c, r);
    else if (method == AMQP_BASIC_ACK || method == AMQP_BASIC_NACK)
        return amqp_publisher_confirm(c, r, method == AMQP_BASIC_ACK);
    else if (method == AMQP_TX_COMMIT_OK)
        return amqp_publisher_committed(c);
    else if (method == AMQP_CHANNEL_CLOSE || method == AMQP_CONNECTION_CLOSE)
        return take_close(r);
    return OK; /* consume-ok, connection.blocked and the like */
}

static enum err take_frame(struct amqp_conn *c, const struct frame *frame)
{
    if (frame->type == FRAME_METHOD)
        return take_method(c, frame->payload);
    if (frame->type == FRAME_HEADER)
        return amqp_consumer_header(c, frame->payload);
    return frame->type == FRAME_BODY ? amqp_consumer_body(c, frame->payload) : OK;
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
        err = take_frame(amqp_conn_of(base), &frame);
    }
    *consumed = at;
    return err;
}

static bool conn_is_idle(const struct bench_conn *base)
{
    return amqp_conn_of(base)->unconfirmed_count == 0;
}

/* ---- opening ---- */

static enum err open_client(const struct amqp_bench_options *o, struct amqp_client **out)
{
    return amqp_client_open(o->common.server, &o->login, o->common.timeout_ns, out);
}

static void conn_free(struct amqp_conn *c)
{
    if (c->base.stream)
        bench_conn_reset(&c->base);
    text_reset(&c->template);
    free(c->stamps);
    free(c);
}

/* Publisher `place` of `count`, or consumer: its queues are every count-th one. */
static enum err conn_open(const struct amqp_bench_options *o, struct bench *b, bool publishes,
                          int64_t place, int64_t count, struct amqp_conn **out)
{
    struct amqp_client *client = NULL;
    struct amqp_conn *c = xzalloc(sizeof *c);

    c->options = o;
    c->first_queue = c->next_queue = place % o->queues;
    c->queue_step = count;
    enum err err = open_client(o, &client);
    if (!err)
        err = publishes ? amqp_publisher_prepare(c, client) : amqp_consumer_prepare(c, client);
    if (err) {
        amqp_client_close(client);
        conn_free(c);
        return err;
    }
    bench_conn_init(&c->base, b, amqp_client_detach(client));
    c->base.fill = publishes ? amqp_publisher_fill : amqp_consumer_fill;
    c->base.is_sender = publishes;
    c->base.take = conn_take;
    c->base.is_idle = conn_is_idle;
    *out = c;
    return OK;
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

static enum err declare_queue(struct amqp_client *client, const struct amqp_bench_options *o,
                              const char *name)
{
    struct text arguments = {0};
    struct amqp_queue_declare declare = {.queue = bytes_from_string(name),
                                         .durable = !o->transient};
    struct amqp_queue_declare_ok ok;

    if (o->queue_type)
        amqp_table_put_string(&arguments, "x-queue-type", bytes_from_string(o->queue_type));
    declare.arguments = text_bytes(&arguments);
    enum err err =
        amqp_client_call(client, AMQP_QUEUE_DECLARE, &declare, AMQP_QUEUE_DECLARE_OK, &ok);
    text_reset(&arguments);
    return err;
}

static enum err bind_queue(struct amqp_client *client, const struct amqp_bench_options *o,
                           const char *name)
{
    struct amqp_queue_bind bind = {.queue = bytes_from_string(name),
                                   .exchange = bytes_from_string(o->exchange)};
    struct amqp_queue_bind_ok ok;

    return amqp_client_call(client, AMQP_QUEUE_BIND, &bind, AMQP_QUEUE_BIND_OK, &ok);
}

/* A queue that is there with other arguments is taken as it is, unless the user asks for a kind. The
 * server has closed the channel then. */
static enum err find_queue(struct amqp_client **client, const struct amqp_bench_options *o,
                           const char *name)
{
    enum err err = declare_queue(*client, o, name);

    if (err != E_PRECONDITION || o->queue_type || o->transient)
        return err;
    amqp_client_close(*client);
    *client = NULL;
    return open_client(o, client);
}

static enum err prepare_queue(struct amqp_client **client, const struct amqp_bench_options *o,
                              const char *name)
{
    enum err err = find_queue(client, o, name);

    if (!err && o->purge)
        err = purge_queue(*client, name);
    if (!err && o->fanout)
        err = bind_queue(*client, o, name);
    return err;
}

static enum err declare_fanout(struct amqp_client *client, const struct amqp_bench_options *o)
{
    struct amqp_exchange_declare declare = {.exchange = bytes_from_string(o->exchange),
                                            .type = bytes_from_string("fanout"),
                                            .durable = true};
    struct amqp_exchange_declare_ok ok;

    return amqp_client_call(client, AMQP_EXCHANGE_DECLARE, &declare, AMQP_EXCHANGE_DECLARE_OK, &ok);
}

static enum err delete_fanout(struct amqp_client *client, const struct amqp_bench_options *o)
{
    struct amqp_exchange_delete delete = {.exchange = bytes_from_string(o->exchange)};
    struct amqp_exchange_delete_ok ok;

    return amqp_client_call(client, AMQP_EXCHANGE_DELETE, &delete, AMQP_EXCHANGE_DELETE_OK, &ok);
}

static enum err each_queue(const struct amqp_bench_options *o, bool remove)
{
    struct amqp_client *client = NULL;
    char name[BENCH_QUEUE_NAME_MAX];

    enum err err = open_client(o, &client);
    if (!err && o->fanout)
        err = remove ? delete_fanout(client, o) : declare_fanout(client, o);
    for (int64_t q = 0; q < o->queues && !err; q++) {
        bench_queue_name(o, q, name, sizeof name);
        err = remove ? delete_queue(client, name) : prepare_queue(&client, o, name);
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
        conn_free(amqp_conn_of(conns.items[i]));
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
    if (o->confirm_window && o->transaction)
        return err_set(E_INVALID, "--confirm and --transaction: a channel has one of them");
    if (o->requeue && o->ack_batch == 0)
        return err_set(E_INVALID, "--requeue: there is nothing to requeue with --ack 0");
    if (o->fanout) {
        o->exchange = o->exchange ? o->exchange : "bench-fanout";
        o->key = o->key ? o->key : "";
        o->plan.copies = o->queues;
    }
    if (o->prefetch && o->ack_batch > o->prefetch)
        o->ack_batch = o->prefetch;
    o->plan.goal = consumes                              ? BENCH_RECEIVED
                   : o->confirm_window || o->transaction ? BENCH_CONFIRMED
                                                         : BENCH_SENT;
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
        {"transaction", FLAG_INT, "N", "messages in each; 0 none [0]", &o.transaction},
        {"persistent", FLAG_BOOL, "", "delivery mode 2", &o.persistent},
        {"prefetch", FLAG_INT, "N", "unacked messages a consumer; 0 no limit [200]", &o.prefetch},
        {"ack", FLAG_INT, "N", "ack every N messages; 0 automatic [1]", &o.ack_batch},
        {"requeue", FLAG_BOOL, "", "send each message back the first time it comes", &o.requeue},
        {"queue-type", FLAG_TEXT, "NAME", "classic or quorum [the server's default]",
         &o.queue_type},
        {"fanout", FLAG_BOOL, "", "publish to an exchange that copies to all the queues",
         &o.fanout},
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
