/*
 * `pabal bench kafka`: the topic, the connections that produce and fetch, the command.
 */
#include "cli/bench_kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/kafka_group.h"
#include "io/clock.h"
#include "io/process.h"

/* ---- both ---- */

static enum err conn_take(struct bench_conn *base, struct bytes in, size_t *consumed)
{
    struct kafka_conn *c = kafka_conn_of(base);
    int32_t correlation_id;
    struct bytes body;
    int64_t size;
    enum err err = OK;

    while (!err && (size = kafka_client_take(in, &correlation_id, &body)) != 0) {
        if (size < 0)
            return err_set(E_MALFORMED, "the server does not answer in Kafka's protocol");
        err = base->is_sender ? kafka_producer_take(c, body)
                              : kafka_consumer_take(c, correlation_id, body);
        in = bytes_of(in.data + size, in.size - (size_t)size);
        *consumed += (size_t)size;
    }
    return err;
}

static bool conn_is_idle(const struct bench_conn *base)
{
    const struct kafka_conn *c = kafka_conn_of(base);

    return c->flight_first == c->flight_end;
}

/* ---- opening ---- */

static void conn_free(struct kafka_conn *c)
{
    if (c->base.stream)
        bench_conn_reset(&c->base);
    arena_reset(&c->arena);
    text_reset(&c->plain);
    text_reset(&c->packed);
    free(c->positions);
    free(c->sequences);
    free(c);
}

/* Where a connection stands among those of its kind: its partitions are every count-th one. */
struct place_of {
    int64_t place, count, group;
};

static void take_over(struct kafka_conn *c, struct bench *b, struct stream *stream)
{
    bool produces = c->template != NULL;

    bench_conn_init(&c->base, b, stream);
    c->base.is_sender = produces;
    c->base.hold_ns = c->options->linger_ns;
    c->base.fill = produces ? kafka_producer_fill : kafka_consumer_fill;
    c->base.take = conn_take;
    c->base.is_idle = conn_is_idle;
}

/* A producer, or without a template a consumer. */
static enum err conn_open(const struct kafka_bench_options *o, struct bench *b,
                          const struct batch_template *template, struct place_of at,
                          struct kafka_conn **out)
{
    struct kafka_client *client = NULL;
    struct kafka_conn *c = xzalloc(sizeof *c);

    c->options = o;
    c->template = template;
    arena_init(&c->arena, (size_t)512 * 1024 * 1024);
    c->partition_first = c->partition_next = at.place % o->partitions;
    c->partition_step = at.count;
    if (o->group && o->groups > 1)
        snprintf(c->group, sizeof c->group, "%s-%lld", o->group, (long long)at.group);
    else if (o->group)
        snprintf(c->group, sizeof c->group, "%s", o->group);
    enum err err = kafka_client_open(o->common.server, o->common.timeout_ns, &client);
    if (!err)
        err = template ? kafka_producer_prepare(c, client) : kafka_consumer_prepare(c, client);
    if (err) {
        kafka_client_close(client);
        conn_free(c);
        return err;
    }
    take_over(c, b, kafka_client_detach(client));
    *out = c;
    return OK;
}

/* The topic is there, and each of its partitions has a leader. */
static enum err look_at_topic(struct kafka_bench_options *o, struct kafka_client *client)
{
    struct kafka_metadata_response metadata;

    enum err err = kafka_client_metadata(client, o->topic, &metadata);
    if (err)
        return err;
    o->partitions = metadata.topics.items[0].partitions.count;
    struct kafka_place *places = xzalloc((size_t)o->partitions * sizeof *places);
    for (int32_t p = 0; p < o->partitions; p++)
        places[p] = (struct kafka_place){o->topic, p, KAFKA_TIMESTAMP_LATEST, -1};
    err = kafka_client_list_offsets(client, places, (size_t)o->partitions);
    free(places);
    return err;
}

static enum err create_topic(const struct kafka_bench_options *o, struct kafka_client *client)
{
    struct kafka_create_topics_request_config configs[FLAG_LIST_MAX];

    for (size_t i = 0; i < o->configs.count; i++) {
        const char *text = o->configs.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text)
            return err_set(E_INVALID, "--config %s: must be NAME=VALUE", text);
        configs[i].name = bytes_of(text, (size_t)(equals - text));
        configs[i].value = bytes_from_string(equals + 1);
    }
    return kafka_client_create_topic(
        client, &(struct kafka_topic_spec){.name = o->topic,
                                           .partitions = (int32_t)o->partitions,
                                           .replicas = -1,
                                           .configs = configs,
                                           .config_count = o->configs.count});
}

/* The topic, made if missing; its number of partitions counts, whatever was asked for. A new one
 * may take a moment until it is known and led everywhere: ask until it is. */
static enum err prepare_topic(struct kafka_bench_options *o)
{
    struct kafka_client *client = NULL;
    int64_t start_ns = clock_now_ns();

    enum err err = kafka_client_open(o->common.server, o->common.timeout_ns, &client);
    if (!err)
        err = create_topic(o, client);
    if (!err || err == E_EXISTS)
        do
            err = look_at_topic(o, client);
        while ((err == E_NOT_FOUND || err == E_AGAIN) &&
               kafka_client_tries_again(client, start_ns));
    if (!err && o->group)
        err = kafka_group_ready(client, o->group);
    if (o->consumers > o->partitions)
        o->consumers = o->partitions; /* the others would have nothing to fetch */
    kafka_client_close(client);
    return err;
}

static enum err delete_topic(const struct kafka_bench_options *o)
{
    struct kafka_client *client = NULL;

    enum err err = kafka_client_open(o->common.server, o->common.timeout_ns, &client);
    if (!err)
        err = kafka_client_delete_topic(client, o->topic);
    kafka_client_close(client);
    return err;
}

/* ---- the command ---- */

typedef VEC(struct bench_conn *) conn_list;

static enum err open_one(const struct kafka_bench_options *o, struct bench *b,
                         const struct batch_template *template, struct place_of at,
                         conn_list *conns)
{
    struct kafka_conn *c;

    enum err err = conn_open(o, b, template, at, &c);
    if (!err)
        vec_push(conns, &c->base);
    return err;
}

/* Consumers first: they look for the end of the log. */
static enum err open_all(const struct kafka_bench_options *o, struct bench *b,
                         const struct batch_template *template, conn_list *conns)
{
    enum err err = OK;

    for (int64_t i = 0; i < o->consumers * o->groups && !err; i++)
        err = open_one(o, b, NULL,
                       (struct place_of){i % o->consumers, o->consumers, i / o->consumers}, conns);
    for (int64_t i = 0; i < o->producers && !err; i++)
        err = open_one(o, b, template, (struct place_of){i, o->producers, 0}, conns);
    return err;
}

static enum err run(struct kafka_bench_options *o)
{
    struct bench b;
    struct batch_template template = {0};
    conn_list conns = {0};

    bench_init(&b, &o->plan);
    batch_template_make(&template, o);
    enum err err = prepare_topic(o);
    if (!err)
        err = open_all(o, &b, &template, &conns);
    if (!err)
        err = bench_run(&b, conns.items, conns.count);
    for (size_t i = 0; i < conns.count; i++)
        conn_free(kafka_conn_of(conns.items[i]));
    vec_reset(&conns);
    batch_template_reset(&template);
    bench_reset(&b);
    if (!err && o->remove)
        err = delete_topic(o);
    if (!err)
        bench_report(&b, common_wants_json(&o->common));
    return err;
}

static enum err parse_acks(struct kafka_bench_options *o)
{
    if (strcmp(o->acks_text, "all") == 0 || strcmp(o->acks_text, "-1") == 0)
        o->acks = -1;
    else if (strcmp(o->acks_text, "1") == 0 || strcmp(o->acks_text, "0") == 0)
        o->acks = (int16_t)(o->acks_text[0] - '0');
    else
        return err_set(E_INVALID, "--acks %s: must be 0, 1 or all", o->acks_text);
    return OK;
}

static enum err choose_mode(struct kafka_bench_options *o, const char *mode)
{
    bool produces = strcmp(mode, "fetch") != 0, fetches = strcmp(mode, "produce") != 0;

    if (produces && fetches && strcmp(mode, "both") != 0)
        return err_set(E_INVALID, "%s: must be produce, fetch or both", mode);
    if (!produces)
        o->producers = 0;
    if (!fetches)
        o->consumers = 0;
    if (!o->from)
        o->from = produces ? "end" : "start";
    if (strcmp(o->from, "start") != 0 && strcmp(o->from, "end") != 0)
        return err_set(E_INVALID, "--from %s: must be start or end", o->from);
    if (o->partitions < 1 || o->in_flight < 1 || o->in_flight > BENCH_IN_FLIGHT_MAX ||
        o->batch_records < 1 || o->batch_records > BENCH_BATCH_RECORDS_MAX || o->groups < 1 ||
        o->keys > 99999999 || o->fetch_bytes > INT32_MAX || o->partition_bytes > INT32_MAX)
        return err_set(E_INVALID, "a number is out of range");
    if (o->group && strlen(o->group) > BENCH_GROUP_NAME_MAX - 21)
        return err_set(E_INVALID, "--group: the name is too long");
    o->plan.copies = o->groups;
    if (o->again)
        o->fetch_min_bytes = 0; /* the end is told at once */
    o->plan.goal = fetches ? BENCH_RECEIVED : BENCH_CONFIRMED;
    o->plan.scenario = fetches ? produces ? "kafka both" : "kafka fetch" : "kafka produce";
    enum err err = parse_acks(o);
    if (!err)
        err = codec_parse(o->codec_name, &o->codec);
    if (o->acks == 0 && !fetches)
        o->plan.goal = BENCH_SENT;
    return err;
}

static const char about[] =
    "Load a Kafka listener (any broker's) and measure. Latency is from the time at which a "
    "message\n"
    "should have been sent to its arrival at a consumer, or to the producer's answer.";

static const struct kafka_bench_options defaults = {.topic = "bench",
                                                    .acks_text = "all",
                                                    .partitions = 1,
                                                    .producers = 1,
                                                    .consumers = 1,
                                                    .groups = 1,
                                                    .batch_records = 10000,
                                                    .batch_bytes = 16384,
                                                    .in_flight = 5,
                                                    .fetch_bytes = 50 * 1024 * 1024,
                                                    .partition_bytes = 1024 * 1024,
                                                    .fetch_min_bytes = 1,
                                                    .codec_name = "none",
                                                    .commit_every_ns = INT64_C(1000000000),
                                                    .fetch_wait_ns = 500 * INT64_C(1000000)};

int bench_kafka_run(int argc, char **argv)
{
    struct kafka_bench_options o = defaults;
    const struct flag flags[] = {
        BENCH_FLAGS(o.plan),
        {"producers", FLAG_INT, "N", "connections that produce [1]", &o.producers},
        {"consumers", FLAG_INT, "N", "connections that fetch [1]", &o.consumers},
        {"topic", FLAG_TEXT, "NAME", "made if missing [bench]", &o.topic},
        {"partitions", FLAG_INT, "N", "of a topic that is made [1]", &o.partitions},
        {"config", FLAG_LIST, "NAME=VALUE", "of a topic that is made", &o.configs},
        {"keys", FLAG_INT, "N", "so many different keys, which choose partitions; 0 none [0]",
         &o.keys},
        {"idempotent", FLAG_BOOL, "", "with producer ids and sequences", &o.idempotent},
        {"batch-records", FLAG_INT, "N", "records in a batch at most [10000]", &o.batch_records},
        {"batch-bytes", FLAG_SIZE, "BYTES", "of a batch at most [16KiB]", &o.batch_bytes},
        {"linger", FLAG_DURATION, "TIME", "with a rate: wait for a full batch [0]", &o.linger_ns},
        {"in-flight", FLAG_INT, "N", "unanswered requests a connection [5]", &o.in_flight},
        {"acks", FLAG_TEXT, "0|1|all", "[all]", &o.acks_text},
        {"from", FLAG_TEXT, "start|end", "fetch from here [start; end with producers]", &o.from},
        {"again", FLAG_BOOL, "", "at the end of a partition begin anew", &o.again},
        {"groups", FLAG_INT, "N", "so many times as many consumers; each group fetches all [1]",
         &o.groups},
        {"fetch-bytes", FLAG_SIZE, "BYTES", "of an answer [50MiB]", &o.fetch_bytes},
        {"partition-bytes", FLAG_SIZE, "BYTES", "of a partition in an answer [1MiB]",
         &o.partition_bytes},
        {"fetch-min", FLAG_SIZE, "BYTES", "wait for so many [1]", &o.fetch_min_bytes},
        {"fetch-wait", FLAG_DURATION, "TIME", "but no longer [500ms]", &o.fetch_wait_ns},
        {"codec", FLAG_TEXT, "NAME", "none, gzip, snappy, lz4, zstd [none]", &o.codec_name},
        {"group", FLAG_TEXT, "NAME", "commit what was fetched", &o.group},
        {"commit-every", FLAG_DURATION, "TIME", "with --group; 0: each answer [1s]",
         &o.commit_every_ns},
        {"delete", FLAG_BOOL, "", "delete the topic afterwards", &o.remove},
        SERVER_FLAG(o.common),
        CONTROL_FLAG(o.common),
        COMMON_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "bench kafka produce|fetch|both [options]",
        .about = about,
        .examples = "  pabal bench kafka produce --batch-bytes 64k\n"
                    "  pabal bench kafka both --rate 100000 --linger 1ms --partitions 4\n",
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
    o.common.server = control_find_listener(&o.common, "kafka", "127.0.0.1:9092");
    (void)process_raise_file_limit();
    enum err err = choose_mode(&o, positionals[0]);
    if (err) {
        output_error(err);
        return EXIT_CODE_USAGE;
    }
    err = run(&o);
    return err ? (int)output_error(err) : EXIT_CODE_OK;
}
