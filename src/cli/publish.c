/*
 * `pabal publish`: lines, or one message, to a topic (Kafka's protocol) or to a queue or exchange
 * (AMQP's). What is read goes into a sink; the sink sends whole batches, and what it has when the
 * input pauses. Everything is acknowledged before the command ends well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/amqp_client.h"
#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/kafka_client.h"
#include "cli/lines.h"
#include "io/clock.h"
#include "io/stream.h"
#include "log/batch.h"

enum { FLUSH_BYTES = 64 * 1024, FLUSH_MESSAGES = 1000 };

struct publish_options {
    struct common common;
    struct amqp_login login;
    const char *topic, *queue, *exchange, *key, *file, *message, *separator, *acks;
    int64_t partition; /* -1: by key, or in turn */
    int64_t count, rate;
    bool transient;
};

struct sink;

struct sink_kind {
    enum err (*put)(struct sink *, struct bytes key, struct bytes value);
    enum err (*flush)(struct sink *);
    void (*close)(struct sink *);
};

struct sink {
    const struct sink_kind *kind;
    const struct publish_options *options;
    uint64_t count;   /* taken */
    uint64_t pending; /* of them, not yet sent */
};

/* ---- a topic ---- */

struct kafka_sink {
    struct sink sink;
    struct kafka_client *client;
    struct batch_builder *builders; /* one for each partition */
    int32_t partition_count, next_partition;
    int16_t acks;
};

static enum err kafka_sink_flush_one(struct kafka_sink *s, int32_t partition)
{
    struct batch_builder *builder = &s->builders[partition];
    int64_t offset;

    if (builder->count == 0)
        return OK;
    enum err err = kafka_client_produce(s->client, s->sink.options->topic, partition, s->acks,
                                        batch_builder_end(builder), &offset);
    batch_builder_begin(builder, 0);
    return err;
}

static enum err kafka_sink_flush(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    enum err err = OK;

    for (int32_t p = 0; p < s->partition_count && !err; p++)
        err = kafka_sink_flush_one(s, p);
    s->next_partition = (s->next_partition + 1) % s->partition_count;
    return err;
}

static enum err kafka_sink_put(struct sink *sink, struct bytes key, struct bytes value)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    int32_t partition = s->next_partition;

    if (sink->options->partition >= 0)
        partition = (int32_t)sink->options->partition;
    else if (key.data)
        partition = kafka_client_partition_of(key, s->partition_count);
    struct batch_builder *builder = &s->builders[partition];
    batch_builder_add(builder, clock_wall_ms(), key, value, BYTES_NULL, 0);
    return builder->text.size >= FLUSH_BYTES ? kafka_sink_flush_one(s, partition) : OK;
}

static void kafka_sink_close(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;

    kafka_client_close(s->client);
    for (int32_t p = 0; p < s->partition_count; p++)
        batch_builder_reset(&s->builders[p]);
    free(s->builders);
    free(s);
}

static const struct sink_kind kafka_sink_kind = {kafka_sink_put, kafka_sink_flush,
                                                 kafka_sink_close};

static enum err parse_acks(const char *text, int16_t *out)
{
    bool is_all = strcmp(text, "all") == 0;

    if (!is_all && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return err_set(E_INVALID, "--acks %s: must be 0, 1 or all", text);
    *out = is_all ? -1 : (int16_t)(text[0] - '0');
    return OK;
}

static enum err kafka_sink_open(const struct publish_options *o, struct sink **out)
{
    struct kafka_metadata_response metadata;
    struct kafka_sink *s = xzalloc(sizeof *s);

    s->sink = (struct sink){&kafka_sink_kind, o, 0, 0};
    enum err err = parse_acks(o->acks, &s->acks);
    if (!err)
        err = kafka_client_open(o->common.server ? o->common.server : "127.0.0.1:9092",
                                o->common.timeout_ns, &s->client);
    if (!err)
        err = kafka_client_metadata(s->client, o->topic, &metadata);
    if (!err && o->partition >= metadata.topics.items[0].partitions.count)
        err = err_set(E_NOT_FOUND, "%s has no partition %lld", o->topic, (long long)o->partition);
    if (err) {
        kafka_sink_close(&s->sink);
        return err;
    }
    s->partition_count = metadata.topics.items[0].partitions.count;
    s->builders = xzalloc((size_t)s->partition_count * sizeof *s->builders);
    for (int32_t p = 0; p < s->partition_count; p++)
        batch_builder_begin(&s->builders[p], 0);
    *out = &s->sink;
    return OK;
}

/* ---- a queue or an exchange ---- */

struct amqp_sink {
    struct sink sink;
    struct amqp_client *client;
    uint64_t unconfirmed;
    bool was_returned;
};

static enum err take_confirm(struct amqp_sink *s, enum amqp_method_id method, struct reader *r)
{
    uint64_t tag = reader_u64(r);
    bool multiple = reader_u8(r) & 1;

    if (method == AMQP_BASIC_NACK)
        return err_set(E_FULL, "the server refused a message");
    s->unconfirmed = multiple ? s->sink.count - tag : s->unconfirmed - 1;
    return OK;
}

/* Send, then wait until all is confirmed. */
static enum err amqp_sink_flush(struct sink *sink)
{
    struct amqp_sink *s = (struct amqp_sink *)sink;
    struct bytes properties, body;
    enum amqp_method_id method;
    struct reader r;

    enum err err = amqp_client_flush(s->client);
    while (!err && s->unconfirmed) {
        err = amqp_client_next(s->client, sink->options->common.timeout_ns, &method, &r);
        if (err)
            return err;
        if (method == AMQP_BASIC_ACK || method == AMQP_BASIC_NACK)
            err = take_confirm(s, method, &r);
        if (method == AMQP_BASIC_RETURN) {
            s->was_returned = true;
            err = amqp_client_content(s->client, &properties, &body);
        }
    }
    if (!err && s->was_returned)
        err = err_set(E_NOT_FOUND, "no queue takes messages for exchange \"%s\" with key \"%s\"",
                      sink->options->exchange, sink->options->key);
    return err;
}

static enum err amqp_sink_put(struct sink *sink, struct bytes key, struct bytes value)
{
    struct amqp_sink *s = (struct amqp_sink *)sink;
    const struct publish_options *o = sink->options;
    char *own_key = key.data ? xasprintf("%.*s", BYTES_FORMAT(key)) : NULL;
    struct amqp_publish publish = {.exchange = o->exchange,
                                   .routing_key = own_key ? own_key : o->key,
                                   .mandatory = true,
                                   .persistent = !o->transient,
                                   .body = value};

    if (strlen(publish.routing_key) > UINT8_MAX) {
        free(own_key);
        return err_set(E_INVALID, "a routing key has at most %d bytes", UINT8_MAX);
    }
    size_t size = amqp_client_publish(s->client, &publish);
    free(own_key);
    s->unconfirmed++;
    return size >= FLUSH_BYTES ? amqp_sink_flush(sink) : OK;
}

static void amqp_sink_close(struct sink *sink)
{
    struct amqp_sink *s = (struct amqp_sink *)sink;

    amqp_client_close(s->client);
    free(s);
}

static const struct sink_kind amqp_sink_kind = {amqp_sink_put, amqp_sink_flush, amqp_sink_close};

static enum err amqp_sink_open(const struct publish_options *o, struct sink **out)
{
    struct amqp_sink *s = xzalloc(sizeof *s);

    s->sink = (struct sink){&amqp_sink_kind, o, 0, 0};
    enum err err = amqp_client_open(o->common.server ? o->common.server : "127.0.0.1:5672",
                                    &o->login, o->common.timeout_ns, &s->client);
    if (!err)
        err = amqp_client_confirm_select(s->client);
    if (err) {
        amqp_sink_close(&s->sink);
        return err;
    }
    *out = &s->sink;
    return OK;
}

/* ---- from the input to the sink ---- */

/* Split "key<separator>value". */
static void split_key(const char *separator, struct bytes *key, struct bytes *value)
{
    *key = BYTES_NULL;
    if (!separator || value->size == 0)
        return;
    const uint8_t *at = memmem(value->data, value->size, separator, strlen(separator));
    if (!at)
        return;
    size_t size = (size_t)(at - value->data);
    *key = bytes_of(value->data, size);
    *value = bytes_of(at + strlen(separator), value->size - size - strlen(separator));
}

/* With a rate, sleep until the message's time, sending what is there first. */
static enum err keep_rate(struct sink *sink, struct stream_set *sleeper, int64_t start_ns)
{
    struct stream_event event;
    int64_t rate = sink->options->rate;

    if (rate == 0)
        return OK;
    int64_t due_ns = start_ns + (int64_t)((double)sink->count * 1e9 / (double)rate);
    if (clock_now_ns() >= due_ns)
        return OK;
    enum err err = sink->kind->flush(sink);
    sink->pending = 0;
    stream_set_wait(sleeper, due_ns, &event, 1);
    return err;
}

static enum err put(struct sink *sink, struct bytes value)
{
    struct bytes key;

    split_key(sink->options->separator, &key, &value);
    sink->count++;
    sink->pending++;
    enum err err = sink->kind->put(sink, key, value);
    if (!err && sink->pending >= FLUSH_MESSAGES) {
        sink->pending = 0;
        err = sink->kind->flush(sink);
    }
    return err;
}

static enum err put_lines(struct sink *sink, struct stream_set *sleeper)
{
    struct lines lines;
    struct bytes line;
    int64_t start_ns = clock_now_ns();
    uint64_t limit = (uint64_t)sink->options->count;

    enum err err = lines_open(&lines, sink->options->file);
    if (err)
        return err;
    while (!err && !(limit && sink->count >= limit)) {
        if (sink->pending && lines_must_wait(&lines)) {
            err = sink->kind->flush(sink);
            sink->pending = 0;
        }
        if (!err)
            err = keep_rate(sink, sleeper, start_ns);
        if (!err)
            err = lines_next(&lines, &line);
        if (!err)
            err = put(sink, line);
    }
    lines_close(&lines);
    return err == E_NOT_FOUND && !*err_text() ? OK : err;
}

static enum err put_message(struct sink *sink, struct stream_set *sleeper)
{
    int64_t start_ns = clock_now_ns();
    uint64_t count = sink->options->count ? (uint64_t)sink->options->count : 1;
    enum err err = OK;

    while (!err && sink->count < count) {
        err = keep_rate(sink, sleeper, start_ns);
        if (!err)
            err = put(sink, bytes_from_string(sink->options->message));
    }
    return err;
}

static enum err run(const struct publish_options *o, uint64_t *out_count)
{
    struct stream_set *sleeper = stream_set_new();
    struct sink *sink;

    enum err err = o->topic ? kafka_sink_open(o, &sink) : amqp_sink_open(o, &sink);
    if (err)
        goto out;
    err_clear();
    err = o->message ? put_message(sink, sleeper) : put_lines(sink, sleeper);
    if (!err)
        err = sink->kind->flush(sink);
    *out_count = sink->count;
    sink->kind->close(sink);

out:
    stream_set_free(sleeper);
    return err;
}

/* What the positional arguments are depends on the flags: TOPIC [MESSAGE], or [MESSAGE]. */
static enum err choose_target(struct publish_options *o, const char **positionals)
{
    bool is_amqp = o->queue || o->exchange;

    if (o->queue && (o->exchange || o->key))
        return err_set(E_INVALID, "--queue goes without --exchange and --key");
    if (!is_amqp && !positionals[0])
        return err_set(E_INVALID, "where to? TOPIC, --queue NAME, or --exchange NAME --key KEY");
    if (is_amqp && positionals[1])
        return err_set(E_INVALID, "unexpected argument %s", positionals[1]);
    o->topic = is_amqp ? NULL : positionals[0];
    o->message = positionals[is_amqp ? 0 : 1];
    if (o->queue)
        o->key = o->queue;
    if (!o->exchange)
        o->exchange = "";
    if (!o->key)
        o->key = "";
    if (strlen(o->exchange) > UINT8_MAX)
        return err_set(E_INVALID, "an exchange's name has at most %d bytes", UINT8_MAX);
    if (o->message && o->file)
        return err_set(E_INVALID, "a message or --file, not both");
    return OK;
}

int publish_run(int argc, char **argv)
{
    struct publish_options o = {.login = {"guest", "guest", "/"}, .partition = -1, .acks = "all"};
    const char *positionals[POSITIONALS_MAX];
    uint64_t count = 0;
    int exit_code;
    const struct flag flags[] = {
        {"queue", FLAG_TEXT, "NAME", "publish to this queue, by AMQP", &o.queue},
        {"exchange", FLAG_TEXT, "NAME", "publish to this exchange, by AMQP", &o.exchange},
        {"key", FLAG_TEXT, "KEY", "routing key, with --exchange", &o.key},
        {"file", FLAG_TEXT, "FILE", "read lines from here [standard input]", &o.file},
        {"count", FLAG_INT, "N", "so many lines, or the message N times", &o.count},
        {"rate", FLAG_INT, "N", "messages a second [no limit]", &o.rate},
        {"key-separator", FLAG_TEXT, "TEXT", "lines are KEY<TEXT>VALUE", &o.separator},
        {"partition", FLAG_INT, "N", "of the topic [by key, or in turn]", &o.partition},
        {"acks", FLAG_TEXT, "0|1|all", "of the topic [all]", &o.acks},
        {"transient", FLAG_BOOL, "", "by AMQP: delivery mode 1 instead of 2", &o.transient},
        {"user", FLAG_TEXT, "NAME", "by AMQP [guest]", &o.login.user},
        {"password", FLAG_TEXT, "TEXT", "by AMQP [guest]", &o.login.password},
        {"vhost", FLAG_TEXT, "NAME", "by AMQP [/]", &o.login.vhost},
        SERVER_FLAG(o.common),
        COMMON_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "publish TOPIC|--queue NAME|--exchange NAME --key KEY [MESSAGE] [options]",
        .about =
            "Publish MESSAGE, or each line of the standard input, and wait until all of it is\n"
            "acknowledged.",
        .examples = "  pabal publish orders hello\n"
                    "  seq 1000 | pabal publish --queue tasks\n"
                    "  pabal publish orders --file orders.txt --key-separator : --rate 100\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_most = 2,
    };

    common_init(&o.common);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    enum err err = choose_target(&o, positionals);
    if (err) {
        output_error(err);
        return EXIT_CODE_USAGE;
    }
    err = run(&o, &count);
    if (err)
        return (int)output_error(err);
    if (common_wants_json(&o.common))
        output_object(json_pack("{s:I}", "published", (json_int_t)count), true);
    else
        fprintf(stderr, "published %llu\n", (unsigned long long)count);
    return EXIT_CODE_OK;
}
