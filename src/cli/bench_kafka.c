/*
 * `pabal bench kafka`: producers send record batches, consumers fetch. A producer collects the
 * messages that are due until a batch is full or the oldest has lingered; a batch is the front of a
 * template, with times written into its values and its checksum made anew. Each request carries one
 * batch for one partition; partitions take turns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/bench.h"
#include "cli/codec.h"
#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/kafka_group.h"
#include "io/clock.h"
#include "io/process.h"
#include "log/batch.h"

enum {
    IN_FLIGHT_MAX = 1024,
    BATCH_RECORDS_MAX = 1000000,
    BATCH_LENGTH_AT = 8,
    BATCH_CRC_AT = 17,
    BATCH_LAST_DELTA_AT = 23,
    BATCH_BASE_TIMESTAMP_AT = 27,
    BATCH_MAX_TIMESTAMP_AT = 35,
    BATCH_COUNT_AT = 57,
    INFLATE_LIMIT_BYTES = 64 << 20,
};

struct kafka_bench_options {
    struct common common;
    struct bench_plan plan;
    const char *topic, *acks_text, *from;
    int64_t partitions, producers, consumers;
    int64_t batch_records, batch_bytes, linger_ns, in_flight;
    int64_t fetch_bytes, partition_bytes, fetch_wait_ns, fetch_min_bytes;
    int64_t commit_every_ns;
    const char *codec_name, *group;
    enum batch_codec codec;
    int16_t acks;
    bool remove;
};

/* A whole batch of batch_records messages; a shorter one is its front. */
struct batch_template {
    struct text bytes;
    size_t *value_at, *record_end; /* of each record, from the start of the batch */
    int64_t count;
};

struct flight {
    int64_t stamp_ns;
    double step_ns;
    uint64_t count;
};

struct kafka_conn {
    struct bench_conn base;
    const struct kafka_bench_options *options;
    int64_t partition_first, partition_step; /* which of the partitions are this connection's */
    int32_t correlation_id;
    /* a producer's */
    const struct batch_template *template;
    int64_t partition_next;
    struct flight flights[IN_FLIGHT_MAX];
    uint64_t flight_first, flight_end;
    /* a consumer's */
    struct kafka_fetch_request_partition *positions;
    int32_t position_count;
    bool is_fetching;
    int32_t commit_id; /* correlation id of a commit under way, 0: none */
    int64_t next_commit_ns;
    struct arena arena;
    struct text plain, packed; /* of a batch with a codec */
};

static struct kafka_conn *conn_of(const struct bench_conn *c)
{
    return (struct kafka_conn *)c;
}

/* ---- producing ---- */

/* As many records of the wanted size as go into a batch of the wanted size, at least one. */
static void template_make(struct batch_template *t, const struct kafka_bench_options *o)
{
    struct batch_builder builder = {0};
    struct text value = {0};
    struct batch batch;
    struct record_reader reader;
    struct record record;

    text_append_zeros(&value, (size_t)o->plan.size_bytes);
    batch_builder_begin(&builder, 0);
    do
        batch_builder_add(&builder, 0, BYTES_NULL, text_bytes(&value), BYTES_NULL, 0);
    while (++t->count < o->batch_records &&
           builder.text.size + value.size + 12 < (size_t)o->batch_bytes);
    text_append(&t->bytes, batch_builder_end(&builder));
    batch_builder_reset(&builder);
    text_reset(&value);

    t->value_at = xmalloc((size_t)t->count * sizeof *t->value_at);
    t->record_end = xmalloc((size_t)t->count * sizeof *t->record_end);
    enum err err = batch_parse(text_bytes(&t->bytes), &batch);
    check(err == OK);
    record_reader_init(
        &reader, &batch, 0,
        bytes_of(t->bytes.data + BATCH_HEADER_BYTES, t->bytes.size - BATCH_HEADER_BYTES));
    for (int64_t i = 0; i < t->count; i++) {
        bool is_there = record_reader_next(&reader, &record);
        check(is_there);
        t->value_at[i] = (size_t)(record.value.data - t->bytes.data);
        t->record_end[i] = (size_t)(reader.at - t->bytes.data);
    }
}

static void template_reset(struct batch_template *t)
{
    text_reset(&t->bytes);
    free(t->value_at);
    free(t->record_end);
}

/* Complete a batch of `count` records that was copied to `raw`. */
static void seal_batch(uint8_t *raw, size_t size, uint64_t count)
{
    uint64_t wall_ms = (uint64_t)clock_wall_ms();

    put_u32(raw + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_BYTES));
    put_u32(raw + BATCH_LAST_DELTA_AT, (uint32_t)(count - 1));
    put_u64(raw + BATCH_BASE_TIMESTAMP_AT, wall_ms);
    put_u64(raw + BATCH_MAX_TIMESTAMP_AT, wall_ms);
    put_u32(raw + BATCH_COUNT_AT, (uint32_t)count);
    put_u32(raw + BATCH_CRC_AT, crc32c(raw + BATCH_CRC_FROM, size - BATCH_CRC_FROM));
}

static void put_request(struct kafka_conn *c, size_t batch_size)
{
    const struct kafka_bench_options *o = c->options;
    struct kafka_produce_request_partition part = {
        .index = (int32_t)c->partition_next,
        .records = bytes_of(c->template->bytes.data, batch_size), /* only its size counts here */
    };
    struct kafka_produce_request_topic topic = {.name = bytes_from_string(o->topic),
                                                .partition_data = {&part, 1}};
    struct kafka_produce_request request = {.acks = o->acks,
                                            .timeout_ms = (int32_t)(o->common.timeout_ns / 1000000),
                                            .topic_data = {&topic, 1}};

    enum err err = kafka_client_put(&c->base.out, KAFKA_PRODUCE, KAFKA_CLIENT_PRODUCE_VERSION,
                                    ++c->correlation_id, &request, false);
    check(err == OK); /* no length that the version could not say */
    c->partition_next += c->partition_step;
    if (c->partition_next >= o->partitions)
        c->partition_next = c->partition_first;
}

/* The front of the template with the messages' own times. */
static void fill_batch(struct kafka_conn *c, uint8_t *raw, size_t size, uint64_t count)
{
    const struct batch_template *t = c->template;

    memcpy(raw, t->bytes.data, size);
    for (uint64_t i = 0; i < count; i++) {
        int64_t own_ns = bench_next_stamp(&c->base);
        if (c->options->plan.size_bytes >= BENCH_STAMP_BYTES)
            put_u64(raw + t->value_at[i], (uint64_t)own_ns);
    }
    seal_batch(raw, size, count);
}

static void put_packed(struct kafka_conn *c, size_t size, uint64_t count)
{
    struct bytes batch;

    c->plain.size = 0;
    fill_batch(c, text_reserve(&c->plain, size), size, count);
    text_advance(&c->plain, size);
    enum err err = codec_apply(c->options->codec, text_bytes(&c->plain), &c->packed, &batch);
    check(err == OK); /* it was tried when the options were read */
    put_request(c, batch.size);
    text_append(&c->base.out, batch);
}

static void put_batch(struct kafka_conn *c, uint64_t count)
{
    size_t size = c->template->record_end[count - 1];
    int64_t stamp_ns = bench_peek_stamp(&c->base);

    if (c->options->codec) {
        put_packed(c, size, count);
    } else {
        put_request(c, size);
        fill_batch(c, text_reserve(&c->base.out, size), size, count);
        text_advance(&c->base.out, size);
    }
    bench_count_sent(c->base.bench, count);
    if (c->options->acks)
        c->flights[c->flight_end++ % IN_FLIGHT_MAX] =
            (struct flight){stamp_ns, c->base.schedule.step_ns, count};
}

static void producer_fill(struct bench_conn *base)
{
    struct kafka_conn *c = conn_of(base);
    const struct kafka_bench_options *o = c->options;
    uint64_t most = (uint64_t)c->template->count;
    uint64_t in_flight = c->flight_end - c->flight_first;

    base->is_full = in_flight >= (uint64_t)o->in_flight;
    if (base->is_full)
        return;
    uint64_t count = bench_due(base, most);
    bool has_lingered = base->bench->now_ns >= bench_peek_stamp(base) + o->linger_ns;
    if (count && (count == most || has_lingered || o->plan.rate == 0))
        put_batch(c, count);
}

static enum err take_produced(struct kafka_conn *c, struct bytes body)
{
    struct kafka_produce_response response;
    struct reader r = reader_of(body);

    if (c->flight_first == c->flight_end)
        return err_set(E_MALFORMED, "an answer that nobody asked for");
    arena_reset(&c->arena);
    enum err err = wire_decode(&kafka_produce_response_schema, KAFKA_CLIENT_PRODUCE_VERSION, &r,
                               &c->arena, &response);
    if (err)
        return err;
    if (response.responses.count != 1 || response.responses.items[0].partition_responses.count != 1)
        return err_set(E_MALFORMED, "Produce answers something else than was asked");
    const struct kafka_produce_response_partition *part =
        &response.responses.items[0].partition_responses.items[0];
    const struct flight *flight = &c->flights[c->flight_first++ % IN_FLIGHT_MAX];
    if (part->error_code == 0)
        bench_count_confirmed(c->base.bench, flight->count, flight->stamp_ns, flight->step_ns);
    else
        bench_count_refused(c->base.bench, flight->count);
    return OK;
}

/* ---- consuming ---- */

static enum err put_fetch(struct kafka_conn *c)
{
    const struct kafka_bench_options *o = c->options;
    struct kafka_fetch_request request;
    struct kafka_fetch_request_topic topic;

    wire_init(&kafka_fetch_request_schema, &request);
    wire_init(&kafka_fetch_request_topic_schema, &topic);
    request.max_wait_ms = (int32_t)(o->fetch_wait_ns / 1000000);
    request.min_bytes = (int32_t)o->fetch_min_bytes;
    request.max_bytes = (int32_t)o->fetch_bytes;
    request.topics.items = &topic;
    request.topics.count = 1;
    topic.topic = bytes_from_string(o->topic);
    topic.partitions.items = c->positions;
    topic.partitions.count = c->position_count;
    c->is_fetching = true;
    return kafka_client_put(&c->base.out, KAFKA_FETCH, KAFKA_CLIENT_FETCH_VERSION,
                            ++c->correlation_id, &request, true);
}

/* As one who is no member: the partitions are this connection's already. */
static enum err put_commit(struct kafka_conn *c)
{
    const struct kafka_bench_options *o = c->options;
    struct kafka_offset_commit_request request;
    struct kafka_offset_commit_request_topic topic;

    wire_init(&kafka_offset_commit_request_schema, &request);
    wire_init(&kafka_offset_commit_request_topic_schema, &topic);
    arena_reset(&c->arena);
    topic.partitions.items = wire_new(&kafka_offset_commit_request_partition_schema, &c->arena,
                                      (size_t)c->position_count);
    check(topic.partitions.items);
    topic.partitions.count = c->position_count;
    for (int32_t i = 0; i < c->position_count; i++) {
        topic.partitions.items[i].partition_index = c->positions[i].partition;
        topic.partitions.items[i].committed_offset = c->positions[i].fetch_offset;
    }
    topic.name = bytes_from_string(o->topic);
    request.group_id = bytes_from_string(o->group);
    request.topics.items = &topic;
    request.topics.count = 1;
    c->commit_id = ++c->correlation_id;
    c->next_commit_ns = c->base.bench->now_ns + o->commit_every_ns;
    return kafka_client_put(&c->base.out, KAFKA_OFFSET_COMMIT, KAFKA_CLIENT_OFFSET_COMMIT_VERSION,
                            c->commit_id, &request, true);
}

static enum err take_commit(struct kafka_conn *c, struct bytes body)
{
    struct kafka_offset_commit_response response;
    struct reader r = reader_of(body);

    c->commit_id = 0;
    arena_reset(&c->arena);
    enum err err = wire_decode(&kafka_offset_commit_response_schema,
                               KAFKA_CLIENT_OFFSET_COMMIT_VERSION, &r, &c->arena, &response);
    for (int32_t t = 0; !err && t < response.topics.count; t++)
        for (int32_t p = 0; !err && p < response.topics.items[t].partitions.count; p++)
            err = kafka_client_error(response.topics.items[t].partitions.items[p].error_code,
                                     BYTES_NULL, c->options->group);
    return err;
}

static void consumer_fill(struct bench_conn *base)
{
    struct kafka_conn *c = conn_of(base);
    enum err err = OK;

    if (c->is_fetching)
        return;
    if (c->options->group && !c->commit_id && base->bench->now_ns >= c->next_commit_ns)
        err = put_commit(c);
    if (!err)
        err = put_fetch(c);
    check(err == OK);
}

static enum err take_records(struct kafka_conn *c, const struct batch *batch, int64_t from)
{
    struct record_reader reader;
    struct record record;
    struct bytes records;

    enum err err = batch_inflate(batch, INFLATE_LIMIT_BYTES, &c->plain, &records);
    if (err)
        return err;
    record_reader_init(&reader, batch, batch->base_offset, records);
    while (record_reader_next(&reader, &record)) {
        if (record.offset < from)
            continue;
        bool has_stamp = record.value.size >= BENCH_STAMP_BYTES;
        bench_count_received(c->base.bench, 1, has_stamp ? (int64_t)get_u64(record.value.data) : 0);
    }
    return OK;
}

/* The last batch may be cut off: Kafka sends bytes, not batches. */
static enum err take_batches(struct kafka_conn *c, struct kafka_fetch_request_partition *position,
                             struct bytes records)
{
    struct batch batch;

    while (records.size) {
        enum err err = batch_parse(records, &batch);
        if (err == E_OUT_OF_RANGE)
            return OK;
        if (err)
            return err_wrap(err, "partition %d at offset %lld", position->partition,
                            (long long)position->fetch_offset);
        if (!batch_is_intact(&batch))
            return err_set(E_CORRUPT, "partition %d at offset %lld: checksum", position->partition,
                           (long long)batch.base_offset);
        if (!batch_is_control(&batch))
            err = take_records(c, &batch, position->fetch_offset);
        if (err)
            return err;
        position->fetch_offset = batch_last_offset(&batch) + 1;
        records = bytes_of(records.data + batch.raw.size, records.size - batch.raw.size);
    }
    return OK;
}

static struct kafka_fetch_request_partition *find_position(struct kafka_conn *c, int32_t partition)
{
    int64_t i = (partition - c->partition_first) / c->partition_step;

    if (i < 0 || i >= c->position_count || c->positions[i].partition != partition)
        return NULL;
    return &c->positions[i];
}

static enum err take_partition(struct kafka_conn *c,
                               const struct kafka_fetch_response_partition *part)
{
    struct kafka_fetch_request_partition *position = find_position(c, part->partition_index);

    if (!position)
        return err_set(E_MALFORMED, "records of partition %d, which was not asked for",
                       part->partition_index);
    enum err err = kafka_client_error(part->error_code, BYTES_NULL, c->options->topic);
    return err ? err : take_batches(c, position, part->records);
}

static enum err take_fetched(struct kafka_conn *c, struct bytes body)
{
    struct kafka_fetch_response response;
    struct reader r = reader_of(body);

    c->is_fetching = false;
    arena_reset(&c->arena);
    enum err err = wire_decode(&kafka_fetch_response_schema, KAFKA_CLIENT_FETCH_VERSION, &r,
                               &c->arena, &response);
    if (!err)
        err = kafka_client_error(response.error_code, BYTES_NULL, c->options->topic);
    for (int32_t t = 0; !err && t < response.responses.count; t++)
        for (int32_t p = 0; !err && p < response.responses.items[t].partitions.count; p++)
            err = take_partition(c, &response.responses.items[t].partitions.items[p]);
    return err;
}

/* ---- both ---- */

static enum err conn_take(struct bench_conn *base, struct bytes in, size_t *consumed)
{
    struct kafka_conn *c = conn_of(base);
    int32_t correlation_id;
    struct bytes body;
    int64_t size;
    enum err err = OK;

    while (!err && (size = kafka_client_take(in, &correlation_id, &body)) != 0) {
        if (size < 0)
            return err_set(E_MALFORMED, "the server does not answer in Kafka's protocol");
        err = base->is_sender                  ? take_produced(c, body)
              : correlation_id == c->commit_id ? take_commit(c, body)
                                               : take_fetched(c, body);
        in = bytes_of(in.data + size, in.size - (size_t)size);
        *consumed += (size_t)size;
    }
    return err;
}

static bool conn_is_idle(const struct bench_conn *base)
{
    return conn_of(base)->flight_first == conn_of(base)->flight_end;
}

/* ---- opening ---- */

static enum err find_positions(struct kafka_conn *c, struct kafka_client *client)
{
    const struct kafka_bench_options *o = c->options;
    bool from_start = strcmp(o->from, "start") == 0;
    enum err err = OK;

    c->positions = kafka_client_positions((size_t)o->partitions, (int32_t)o->partition_bytes);
    for (int64_t p = c->partition_first; p < o->partitions && !err; p += c->partition_step) {
        struct kafka_fetch_request_partition *position = &c->positions[c->position_count++];
        position->partition = (int32_t)p;
        err =
            kafka_client_list_offset(client, o->topic, (int32_t)p,
                                     from_start ? KAFKA_TIMESTAMP_EARLIEST : KAFKA_TIMESTAMP_LATEST,
                                     &position->fetch_offset);
    }
    return err;
}

static void conn_free(struct kafka_conn *c)
{
    bench_conn_reset(&c->base);
    arena_reset(&c->arena);
    text_reset(&c->plain);
    text_reset(&c->packed);
    free(c->positions);
    free(c);
}

/* Producer or consumer `place` of `count`: its partitions are every count-th one. */
static enum err conn_open(const struct kafka_bench_options *o, struct bench *b,
                          const struct batch_template *template, int64_t place, int64_t count,
                          struct kafka_conn **out)
{
    struct kafka_client *client = NULL;
    struct kafka_conn *c = xzalloc(sizeof *c);

    c->options = o;
    arena_init(&c->arena, (size_t)512 * 1024 * 1024);
    c->partition_first = c->partition_next = place % o->partitions;
    c->partition_step = count;
    enum err err = kafka_client_open(o->common.server, o->common.timeout_ns, &client);
    if (!err && !template)
        err = find_positions(c, client);
    if (err) {
        kafka_client_close(client);
        arena_reset(&c->arena);
        free(c->positions);
        free(c);
        return err;
    }
    bench_conn_init(&c->base, b, kafka_client_detach(client));
    c->template = template;
    c->base.is_sender = template != NULL;
    c->base.hold_ns = o->linger_ns;
    c->base.fill = template ? producer_fill : consumer_fill;
    c->base.take = conn_take;
    c->base.is_idle = conn_is_idle;
    *out = c;
    return OK;
}

static enum err look_at_topic(struct kafka_bench_options *o, struct kafka_client *client)
{
    struct kafka_metadata_response metadata;
    int64_t end;

    enum err err = kafka_client_metadata(client, o->topic, &metadata);
    if (!err)
        o->partitions = metadata.topics.items[0].partitions.count;
    for (int32_t p = 0; !err && p < o->partitions; p++)
        err = kafka_client_list_offset(client, o->topic, p, KAFKA_TIMESTAMP_LATEST, &end);
    return err;
}

/* The topic, made if missing; its number of partitions counts, whatever was asked for. A new one
 * may take a moment until it is known and led everywhere: ask until it is. */
static enum err prepare_topic(struct kafka_bench_options *o)
{
    struct kafka_client *client = NULL;
    int64_t deadline_ns = clock_now_ns() + o->common.timeout_ns;

    enum err err = kafka_client_open(o->common.server, o->common.timeout_ns, &client);
    if (!err)
        err = kafka_client_create_topic(
            client, &(struct kafka_topic_spec){
                        .name = o->topic, .partitions = (int32_t)o->partitions, .replicas = -1});
    if (!err || err == E_EXISTS)
        do
            err = look_at_topic(o, client);
        while ((err == E_NOT_FOUND || err == E_AGAIN) && clock_now_ns() < deadline_ns);
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

static enum err open_all(const struct kafka_bench_options *o, struct bench *b,
                         const struct batch_template *template, conn_list *conns)
{
    for (int64_t i = 0; i < o->consumers + o->producers; i++) {
        struct kafka_conn *c;
        bool produces = i >= o->consumers; /* consumers first: they look for the end of the log */
        enum err err = produces ? conn_open(o, b, template, i - o->consumers, o->producers, &c)
                                : conn_open(o, b, NULL, i, o->consumers, &c);
        if (err)
            return err;
        vec_push(conns, &c->base);
    }
    return OK;
}

static enum err run(struct kafka_bench_options *o)
{
    struct bench b;
    struct batch_template template = {0};
    conn_list conns = {0};

    bench_init(&b, &o->plan);
    template_make(&template, o);
    enum err err = prepare_topic(o);
    if (!err)
        err = open_all(o, &b, &template, &conns);
    if (!err)
        err = bench_run(&b, conns.items, conns.count);
    for (size_t i = 0; i < conns.count; i++)
        conn_free(conn_of(conns.items[i]));
    vec_reset(&conns);
    template_reset(&template);
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
    if (o->partitions < 1 || o->in_flight < 1 || o->in_flight > IN_FLIGHT_MAX ||
        o->batch_records < 1 || o->batch_records > BATCH_RECORDS_MAX ||
        o->fetch_bytes > INT32_MAX || o->partition_bytes > INT32_MAX)
        return err_set(E_INVALID, "a number is out of range");
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

int bench_kafka_run(int argc, char **argv)
{
    struct kafka_bench_options o = {.topic = "bench",
                                    .acks_text = "all",
                                    .partitions = 1,
                                    .producers = 1,
                                    .consumers = 1,
                                    .batch_records = 10000,
                                    .batch_bytes = 16384,
                                    .in_flight = 5,
                                    .fetch_bytes = 50 * 1024 * 1024,
                                    .partition_bytes = 1024 * 1024,
                                    .fetch_min_bytes = 1,
                                    .codec_name = "none",
                                    .commit_every_ns = INT64_C(1000000000),
                                    .fetch_wait_ns = 500 * INT64_C(1000000)};
    const struct flag flags[] = {
        BENCH_FLAGS(o.plan),
        {"producers", FLAG_INT, "N", "connections that produce [1]", &o.producers},
        {"consumers", FLAG_INT, "N", "connections that fetch [1]", &o.consumers},
        {"topic", FLAG_TEXT, "NAME", "made if missing [bench]", &o.topic},
        {"partitions", FLAG_INT, "N", "of a topic that is made [1]", &o.partitions},
        {"batch-records", FLAG_INT, "N", "records in a batch at most [10000]", &o.batch_records},
        {"batch-bytes", FLAG_SIZE, "BYTES", "of a batch at most [16KiB]", &o.batch_bytes},
        {"linger", FLAG_DURATION, "TIME", "with a rate: wait for a full batch [0]", &o.linger_ns},
        {"in-flight", FLAG_INT, "N", "unanswered requests a connection [5]", &o.in_flight},
        {"acks", FLAG_TEXT, "0|1|all", "[all]", &o.acks_text},
        {"from", FLAG_TEXT, "start|end", "fetch from here [start; end with producers]", &o.from},
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
