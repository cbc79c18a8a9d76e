/*
 * `pabal publish`: lines, files, or one message, to a topic (Kafka's protocol) or to a queue or
 * exchange (AMQP's). What is read goes into a sink; the sink sends whole batches, and what it has
 * when the input pauses. Everything is acknowledged before the command ends well.
 */
#include <stdio.h>
#include <string.h>

#include "cli/codec.h"
#include "cli/commands.h"
#include "cli/lines.h"
#include "cli/publish_internal.h"
#include "io/clock.h"
#include "io/process.h"
#include "io/stream.h"

enum { MESSAGE_MAX_BYTES = 1 << 30 };

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

/* Once a second, of those that are acknowledged. */
static void show_progress(const struct sink *sink)
{
    static int64_t next_ns, shown;
    int64_t now_ns = clock_now_ns();
    int64_t sent = (int64_t)(sink->count - sink->pending);

    if (!sink->options->shows_progress || now_ns < next_ns)
        return;
    if (next_ns)
        fprintf(stderr, "published %lld, %lld/s\n", (long long)sent, (long long)(sent - shown));
    shown = sent;
    next_ns = now_ns + INT64_C(1000000000);
}

static enum err put(struct sink *sink, struct bytes value)
{
    struct bytes key;

    show_progress(sink);

    split_key(sink->options->separator, &key, &value);
    sink->count++;
    sink->pending++;
    enum err err = sink->kind->put(sink, key, value);
    if (!err && sink->pending >= PUBLISH_FLUSH_MESSAGES) {
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

/* Each file is one message. */
static enum err put_files(struct sink *sink, struct stream_set *sleeper)
{
    const struct flag_list *files = &sink->options->message_files;
    int64_t start_ns = clock_now_ns();
    struct text content = {0};
    enum err err = OK;

    for (size_t i = 0; i < files->count && !err; i++) {
        content.size = 0;
        err = keep_rate(sink, sleeper, start_ns);
        if (!err)
            err = process_read_file(files->items[i], MESSAGE_MAX_BYTES, &content);
        if (!err)
            err = put(sink, content.data ? text_bytes(&content) : BYTES_LITERAL(""));
    }
    text_reset(&content);
    return err;
}

static enum err put_all(struct sink *sink, struct stream_set *sleeper)
{
    if (sink->options->message)
        return put_message(sink, sleeper);
    if (sink->options->message_files.count)
        return put_files(sink, sleeper);
    return put_lines(sink, sleeper);
}

static enum err run(const struct publish_options *o, uint64_t *out_count)
{
    struct stream_set *sleeper = stream_set_new();
    struct sink *sink;

    enum err err = o->topic ? publish_topic_open(o, &sink) : publish_queue_open(o, &sink);
    if (err)
        goto out;
    err_clear();
    err = put_all(sink, sleeper);
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
    if (is_amqp && (o->codec || o->partition >= 0))
        return err_set(E_INVALID, "--codec and --partition go with a topic");
    if (!is_amqp && (o->property_words.count || o->drops_unroutable || o->has_no_confirms))
        return err_set(E_INVALID, "--property, --drop-unroutable and --no-confirms go with AMQP");
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
    if (!!o->message + !!o->file + !!o->message_files.count > 1)
        return err_set(E_INVALID, "one of a message, --file and --message-file");
    return OK;
}

static int publish(struct publish_options *o, const char **positionals)
{
    uint64_t count = 0;

    enum err err = codec_parse(o->codec_name, &o->codec);
    if (!err)
        err = choose_target(o, positionals);
    if (!err && !o->topic)
        err = properties_parse(&o->property_words, &o->headers, &o->properties);
    if (err) {
        output_error(err);
        return EXIT_CODE_USAGE;
    }
    err = run(o, &count);
    if (err)
        return (int)output_error(err);
    if (common_wants_json(&o->common))
        output_object(json_pack("{s:I}", "published", (json_int_t)count), true);
    else
        fprintf(stderr, "published %llu\n", (unsigned long long)count);
    return EXIT_CODE_OK;
}

int publish_run(int argc, char **argv)
{
    struct publish_options o = {
        .login = {"guest", "guest", "/"}, .partition = -1, .acks = "all", .codec_name = "none"};
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"queue", FLAG_TEXT, "NAME", "publish to this queue, by AMQP", &o.queue},
        {"exchange", FLAG_TEXT, "NAME", "publish to this exchange, by AMQP", &o.exchange},
        {"key,k", FLAG_TEXT, "KEY", "of a topic's messages; with --exchange the routing key",
         &o.key},
        {"header,H", FLAG_LIST, "NAME=VALUE", "may be given many times; by AMQP 5 is a number",
         &o.headers},
        {"property", FLAG_LIST, "NAME=VALUE", "by AMQP: content_type, priority, expiration, ...",
         &o.property_words},
        {"file", FLAG_TEXT, "FILE", "read lines from here [standard input]", &o.file},
        {"message-file", FLAG_LIST, "FILE", "a file that is one message; may be given many times",
         &o.message_files},
        {"count,c", FLAG_INT, "N", "so many lines, or the message N times", &o.count},
        {"rate", FLAG_INT, "N", "messages a second [no limit]", &o.rate},
        {"key-separator,K", FLAG_TEXT, "TEXT", "lines are KEY<TEXT>VALUE", &o.separator},
        {"partition,p", FLAG_INT, "N", "of the topic [by key, or in turn]", &o.partition},
        {"acks", FLAG_TEXT, "0|1|all", "of the topic [all]", &o.acks},
        {"codec,z", FLAG_TEXT, "NAME", "of the topic: none, gzip, snappy, lz4, zstd [none]",
         &o.codec_name},
        {"progress", FLAG_BOOL, "", "say once a second how many are published", &o.shows_progress},
        {"transient", FLAG_BOOL, "", "by AMQP: delivery mode 1 instead of 2", &o.transient},
        {"drop-unroutable", FLAG_BOOL, "", "by AMQP: no error when no queue takes it",
         &o.drops_unroutable},
        {"no-confirms", FLAG_BOOL, "", "by AMQP: wait for no acknowledgement", &o.has_no_confirms},
        {"user", FLAG_TEXT, "NAME", "by AMQP [guest]", &o.login.user},
        {"password", FLAG_TEXT, "TEXT", "by AMQP [guest]", &o.login.password},
        {"vhost", FLAG_TEXT, "NAME", "by AMQP [/]", &o.login.vhost},
        SERVER_FLAG(o.common),
        CONTROL_FLAG(o.common),
        COMMON_FLAGS(o.common),
    };
    const struct arguments a = {
        .takes_bytes = true,
        .synopsis = "publish TOPIC|--queue NAME|--exchange NAME --key KEY [MESSAGE] [options]",
        .about =
            "Publish MESSAGE, or each line of the standard input, and wait until all of it is\n"
            "acknowledged.",
        .examples = "  pabal publish orders hello --key customer-7 --header trace=1\n"
                    "  seq 1000 | pabal publish --queue tasks\n"
                    "  pabal publish --exchange events --key order.new '{}' \\\n"
                    "      --property content_type=application/json --header retries=3\n"
                    "  pabal publish orders --file orders.txt --key-separator : --rate 100\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_most = 2,
    };

    common_init(&o.common);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    exit_code = publish(&o, positionals);
    properties_reset(&o.properties);
    return exit_code;
}
