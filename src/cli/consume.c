/*
 * `pabal consume`: the messages of a topic (Kafka's protocol) or of a queue (AMQP's), one a line:
 * the value alone, or with --output json all there is to know of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/amqp_client.h"
#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/kafka_client.h"
#include "io/clock.h"
#include "log/batch.h"

enum {
    PARTITION_BYTES = 1024 * 1024,
    INFLATE_LIMIT_BYTES = 64 * 1024 * 1024,
    WAIT_MS = 500,
    PREFETCH_MAX = 1000,
};

struct consume_options {
    struct common common;
    struct amqp_login login;
    const char *topic, *queue, *ack;
    int64_t count, idle_ns; /* 0: no limit */
    int64_t offset, partition;
    bool from_beginning;
};

struct consume {
    const struct consume_options *options;
    uint64_t count;
    int64_t last_ns; /* when the last message came */
};

static bool is_done(const struct consume *c)
{
    const struct consume_options *o = c->options;

    if (o->count && c->count >= (uint64_t)o->count)
        return true;
    return o->idle_ns && clock_now_ns() >= c->last_ns + o->idle_ns;
}

/* ---- printing ---- */

/* As text, or in hexadecimal when it is no UTF-8, under another key. */
static void set_bytes(json_t *object, const char *key, const char *hex_key, struct bytes b)
{
    struct text hex = {0};

    if (!b.data || bytes_are_utf8(b)) {
        json_object_set_new(object, key,
                            b.data ? json_stringn((const char *)b.data, b.size) : json_null());
        return;
    }
    for (size_t i = 0; i < b.size; i++)
        text_printf(&hex, "%02x", b.data[i]);
    json_object_set_new(object, hex_key, json_string(text_string(&hex)));
    text_reset(&hex);
}

static void print_line(struct consume *c, struct bytes value)
{
    fwrite(value.data, 1, value.size, stdout);
    putchar('\n');
    c->count++;
    c->last_ns = clock_now_ns();
}

static void print_object(struct consume *c, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);

    print_line(c, bytes_from_string(text));
    free(text);
    json_decref(object);
}

static void print_record(struct consume *c, int32_t partition, const struct record *record)
{
    if (!common_wants_json(&c->options->common)) {
        print_line(c, record->value);
        return;
    }
    json_t *object =
        json_pack("{s:i, s:I, s:I}", "partition", (int)partition, "offset",
                  (json_int_t)record->offset, "timestamp", (json_int_t)record->timestamp);
    set_bytes(object, "key", "key_hex", record->key);
    set_bytes(object, "value", "value_hex", record->value);
    print_object(c, object);
}

/* ---- a topic ---- */

static enum err take_batch(struct consume *c, struct kafka_fetch_request_partition *position,
                           const struct batch *batch, struct text *scratch)
{
    struct record_reader reader;
    struct record record;
    struct bytes records;

    enum err err = batch_inflate(batch, INFLATE_LIMIT_BYTES, scratch, &records);
    if (err)
        return err;
    record_reader_init(&reader, batch, batch->base_offset, records);
    while (!is_done(c) && record_reader_next(&reader, &record))
        if (record.offset >= position->fetch_offset)
            print_record(c, position->partition, &record);
    return OK;
}

static enum err take_partition(struct consume *c, struct kafka_fetch_request_partition *position,
                               const struct kafka_fetch_response_partition *part)
{
    struct text scratch = {0};
    struct bytes rest = part->records;
    struct batch batch;
    enum err err = kafka_client_error(part->error_code, BYTES_NULL, c->options->topic);

    while (!err && rest.size && !is_done(c)) {
        err = batch_parse(rest, &batch);
        if (err)
            break;
        if (!batch_is_control(&batch))
            err = take_batch(c, position, &batch, &scratch);
        position->fetch_offset = batch_last_offset(&batch) + 1;
        rest = bytes_of(rest.data + batch.raw.size, rest.size - batch.raw.size);
    }
    text_reset(&scratch);
    return err == E_OUT_OF_RANGE && part->error_code == 0 ? OK : err; /* the last one is cut off */
}

static enum err take_answer(struct consume *c, const struct kafka_fetch_response *answer,
                            struct kafka_fetch_request_partition *positions, size_t count)
{
    for (int32_t t = 0; t < answer->responses.count; t++) {
        const struct kafka_fetch_response_topic *topic = &answer->responses.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            size_t i = 0;
            while (i < count &&
                   positions[i].partition != topic->partitions.items[p].partition_index)
                i++;
            enum err err =
                i < count ? take_partition(c, &positions[i], &topic->partitions.items[p]) : OK;
            if (err)
                return err;
        }
    }
    return OK;
}

/* Where to begin in every partition, or in the one that was asked for. */
static enum err find_positions(const struct consume_options *o, struct kafka_client *client,
                               struct kafka_fetch_request_partition **out, size_t *out_count)
{
    struct kafka_metadata_response metadata;
    int64_t when = o->from_beginning ? KAFKA_TIMESTAMP_EARLIEST : KAFKA_TIMESTAMP_LATEST;

    enum err err = kafka_client_metadata(client, o->topic, &metadata);
    if (err)
        return err;
    int32_t partition_count = metadata.topics.items[0].partitions.count;
    if (o->partition >= partition_count)
        return err_set(E_NOT_FOUND, "%s has no partition %lld", o->topic, (long long)o->partition);
    size_t count = o->partition >= 0 ? 1 : (size_t)partition_count;
    struct kafka_fetch_request_partition *positions =
        kafka_client_positions(count, PARTITION_BYTES);
    if (o->partition >= 0)
        positions[0].partition = (int32_t)o->partition;
    for (size_t i = 0; i < count && !err; i++) {
        positions[i].fetch_offset = o->offset;
        if (o->offset < 0)
            err = kafka_client_list_offset(client, o->topic, positions[i].partition, when,
                                           &positions[i].fetch_offset);
    }
    if (err) {
        free(positions);
        return err;
    }
    *out = positions;
    *out_count = count;
    return OK;
}

static enum err consume_topic(struct consume *c)
{
    const struct consume_options *o = c->options;
    struct kafka_client *client = NULL;
    struct kafka_fetch_request_partition *positions = NULL;
    struct kafka_fetch_response answer;
    size_t count = 0;

    enum err err = kafka_client_open(o->common.server ? o->common.server : "127.0.0.1:9092",
                                     o->common.timeout_ns, &client);
    if (!err)
        err = find_positions(o, client, &positions, &count);
    c->last_ns = clock_now_ns();
    while (!err && !is_done(c)) {
        err = kafka_client_fetch(client, o->topic, positions, count, WAIT_MS, &answer);
        if (!err)
            err = take_answer(c, &answer, positions, count);
        fflush(stdout);
    }
    free(positions);
    kafka_client_close(client);
    return err;
}

/* ---- a queue ---- */

enum ack_mode { ACK_AUTO, ACK_EACH, ACK_NONE, ACK_REJECT };

static enum err parse_ack(const char *text, enum ack_mode *out)
{
    static const char *const names[] = {"auto", "ack", "none", "reject"};

    for (int i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum ack_mode)i;
            return OK;
        }
    return err_set(E_INVALID, "--ack %s: must be auto, ack, none or reject", text);
}

static enum err settle(struct amqp_client *client, enum ack_mode mode, uint64_t tag)
{
    struct amqp_basic_ack ack = {.delivery_tag = tag};
    struct amqp_basic_reject reject = {.delivery_tag = tag};

    if (mode == ACK_EACH)
        return amqp_client_send(client, AMQP_BASIC_ACK, &ack);
    if (mode == ACK_REJECT)
        return amqp_client_send(client, AMQP_BASIC_REJECT, &reject);
    return OK;
}

static enum err take_delivery(struct consume *c, struct amqp_client *client, struct reader *r,
                              enum ack_mode mode)
{
    struct amqp_basic_deliver deliver;
    struct bytes properties, body;

    enum err err = amqp_wire_decode(&amqp_basic_deliver_schema, r, &deliver);
    if (err)
        return err;
    json_t *object = json_object(); /* now: the method's bytes do not outlive the next frame */
    set_bytes(object, "exchange", "exchange_hex", deliver.exchange);
    set_bytes(object, "routing_key", "routing_key_hex", deliver.routing_key);
    json_object_set_new(object, "redelivered", json_boolean(deliver.redelivered));
    err = amqp_client_content(client, &properties, &body);
    if (err) {
        json_decref(object);
        return err;
    }
    if (common_wants_json(&c->options->common)) {
        set_bytes(object, "body", "body_hex", body.data ? body : BYTES_LITERAL(""));
        print_object(c, object);
    } else {
        print_line(c, body);
        json_decref(object);
    }
    fflush(stdout);
    return settle(client, mode, deliver.delivery_tag);
}

static enum err start_consuming(const struct consume_options *o, struct amqp_client *client,
                                enum ack_mode mode)
{
    uint16_t prefetch =
        o->count && o->count < PREFETCH_MAX ? (uint16_t)o->count : (uint16_t)PREFETCH_MAX;

    if (mode == ACK_NONE && !o->count)
        prefetch = 0;
    enum err err = amqp_client_qos(client, prefetch);
    if (!err)
        err = amqp_client_consume(client, o->queue, mode == ACK_AUTO);
    return err;
}

/* How long to wait for the next message: for ever, but in steps. */
static int64_t next_wait_ns(const struct consume *c)
{
    int64_t wait_ns = WAIT_MS * INT64_C(1000000);
    int64_t left_ns = c->last_ns + c->options->idle_ns - clock_now_ns();

    return c->options->idle_ns && left_ns < wait_ns ? left_ns : wait_ns;
}

static enum err consume_queue(struct consume *c)
{
    const struct consume_options *o = c->options;
    struct amqp_client *client = NULL;
    enum amqp_method_id method;
    enum ack_mode mode = ACK_AUTO;
    struct reader r;

    enum err err = parse_ack(o->ack, &mode);
    if (!err)
        err = amqp_client_open(o->common.server ? o->common.server : "127.0.0.1:5672", &o->login,
                               o->common.timeout_ns, &client);
    if (!err)
        err = start_consuming(o, client, mode);
    c->last_ns = clock_now_ns();
    while (!err && !is_done(c)) {
        err = amqp_client_next(client, next_wait_ns(c), &method, &r);
        if (err == E_TIMEOUT)
            err = OK;
        else if (!err && method == AMQP_BASIC_DELIVER)
            err = take_delivery(c, client, &r, mode);
        else if (!err && method == AMQP_BASIC_CANCEL)
            err = err_set(E_NOT_FOUND, "queue %s was deleted", o->queue);
    }
    char *reason = xstrdup(err_text());
    amqp_client_close(client);
    if (err)
        (void)err_set(err, "%s", reason);
    free(reason);
    return err;
}

/* ---- the command ---- */

static enum err choose_source(struct consume_options *o, const char *topic)
{
    o->topic = topic;
    if (!topic == !o->queue)
        return err_set(E_INVALID, "what? TOPIC or --queue NAME");
    if (o->queue && strlen(o->queue) > UINT8_MAX)
        return err_set(E_INVALID, "a queue's name has at most %d bytes", UINT8_MAX);
    if (o->from_beginning && o->offset >= 0)
        return err_set(E_INVALID, "--from-beginning or --offset, not both");
    return OK;
}

int consume_run(int argc, char **argv)
{
    struct consume_options o = {
        .login = {"guest", "guest", "/"}, .ack = "ack", .offset = -1, .partition = -1};
    struct consume c = {.options = &o};
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"from-beginning", FLAG_BOOL, "", "of the topic [what comes from now on]",
         &o.from_beginning},
        {"offset", FLAG_INT, "N", "begin here, in every partition", &o.offset},
        {"partition", FLAG_INT, "N", "this one only", &o.partition},
        {"queue", FLAG_TEXT, "NAME", "consume this queue, by AMQP", &o.queue},
        {"ack", FLAG_TEXT, "MODE", "auto, ack, reject, or none: they come back [ack]", &o.ack},
        {"count", FLAG_INT, "N", "stop after N messages", &o.count},
        {"idle", FLAG_DURATION, "TIME", "stop when nothing has come for so long", &o.idle_ns},
        {"user", FLAG_TEXT, "NAME", "by AMQP [guest]", &o.login.user},
        {"password", FLAG_TEXT, "TEXT", "by AMQP [guest]", &o.login.password},
        {"vhost", FLAG_TEXT, "NAME", "by AMQP [/]", &o.login.vhost},
        SERVER_FLAG(o.common),
        COMMON_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "consume TOPIC|--queue NAME [options]",
        .about = "Print messages, one a line, until interrupted, or --count or --idle says so.",
        .examples = "  pabal consume orders --from-beginning --idle 1s\n"
                    "  pabal consume --queue tasks --count 1\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_most = 1,
    };

    common_init(&o.common);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    enum err err = choose_source(&o, positionals[0]);
    if (err) {
        output_error(err);
        return EXIT_CODE_USAGE;
    }
    err = o.queue ? consume_queue(&c) : consume_topic(&c);
    return err ? (int)output_error(err) : EXIT_CODE_OK;
}
