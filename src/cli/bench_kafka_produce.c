/*
 * The producers of `pabal bench kafka`. A producer collects the messages that are due until a batch
 * is full or the oldest has lingered; a batch is the front of a template, with times written into its
 * values, a key where there are some, and its checksum made anew. Each request carries one batch for
 * one partition: the key's, or the next in turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "cli/bench_kafka.h"
#include "io/clock.h"
#include "log/batch.h"

enum {
    BATCH_LENGTH_AT = 8,
    BATCH_CRC_AT = 17,
    BATCH_LAST_DELTA_AT = 23,
    BATCH_BASE_TIMESTAMP_AT = 27,
    BATCH_MAX_TIMESTAMP_AT = 35,
    BATCH_PRODUCER_ID_AT = 43,
    BATCH_PRODUCER_EPOCH_AT = 51,
    BATCH_BASE_SEQUENCE_AT = 53,
    BATCH_COUNT_AT = 57,
    INIT_PRODUCER_ID_VERSION = 1,
};

/* As many records of the wanted size as go into a batch of the wanted size, at least one. */
void batch_template_make(struct batch_template *t, const struct kafka_bench_options *o)
{
    struct batch_builder builder = {0};
    struct text value = {0}, key = {0};
    struct batch batch;
    struct record_reader reader;
    struct record record;

    text_append_zeros(&value, (size_t)o->plan.size_bytes);
    if (o->keys)
        text_append_zeros(&key, BENCH_KEY_BYTES);
    struct bytes its_key = o->keys ? text_bytes(&key) : BYTES_NULL;
    batch_builder_begin(&builder, 0);
    do
        batch_builder_add(&builder, 0, its_key, text_bytes(&value), BYTES_NULL, 0);
    while (++t->count < o->batch_records &&
           builder.text.size + value.size + key.size + 12 < (size_t)o->batch_bytes);
    text_append(&t->bytes, batch_builder_end(&builder));
    batch_builder_reset(&builder);
    text_reset(&value);
    text_reset(&key);

    t->key_at = xmalloc((size_t)t->count * sizeof *t->key_at);
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
        t->key_at[i] = o->keys ? (size_t)(record.key.data - t->bytes.data) : 0;
        t->value_at[i] = (size_t)(record.value.data - t->bytes.data);
        t->record_end[i] = (size_t)(reader.at - t->bytes.data);
    }
}

void batch_template_reset(struct batch_template *t)
{
    text_reset(&t->bytes);
    free(t->key_at);
    free(t->value_at);
    free(t->record_end);
}

enum err kafka_producer_prepare(struct kafka_conn *c, struct kafka_client *client)
{
    struct kafka_init_producer_id_request request;
    struct kafka_init_producer_id_response response;

    random_init(&c->random, (uint64_t)c->partition_first + 1);
    c->producer_id = -1;
    if (!c->options->idempotent)
        return OK;
    wire_init(&kafka_init_producer_id_request_schema, &request);
    int64_t start_ns = clock_now_ns();
    enum err err;
    do { /* the first one makes the server load its coordinator */
        err = kafka_client_ask(client, KAFKA_INIT_PRODUCER_ID, INIT_PRODUCER_ID_VERSION, &request,
                               &response);
        if (!err)
            err = kafka_client_error(response.error_code, BYTES_NULL, "producer id");
    } while (err == E_AGAIN && kafka_client_tries_again(client, start_ns));
    if (err)
        return err;
    c->producer_id = response.producer_id;
    c->producer_epoch = response.producer_epoch;
    c->sequences = xzalloc((size_t)c->options->partitions * sizeof *c->sequences);
    return OK;
}

/* Where a batch goes, and with which key (BENCH_KEY_BYTES) when there are some. */
static int32_t choose_partition(struct kafka_conn *c, char *key)
{
    const struct kafka_bench_options *o = c->options;
    int64_t chosen = c->partition_next;

    if (o->keys) {
        char text[BENCH_KEY_BYTES + 1];
        snprintf(text, sizeof text, "%0*u", BENCH_KEY_BYTES,
                 (uint32_t)random_below(&c->random, (uint64_t)o->keys));
        memcpy(key, text, BENCH_KEY_BYTES);
        return kafka_client_partition_of(bytes_of(text, BENCH_KEY_BYTES), (int32_t)o->partitions);
    }
    c->partition_next += c->partition_step;
    if (c->partition_next >= o->partitions)
        c->partition_next = c->partition_first;
    return (int32_t)chosen;
}

static void put_producer(struct kafka_conn *c, uint8_t *raw, int32_t partition, uint64_t count)
{
    put_u64(raw + BATCH_PRODUCER_ID_AT, (uint64_t)c->producer_id);
    put_u16(raw + BATCH_PRODUCER_EPOCH_AT, (uint16_t)c->producer_epoch);
    put_u32(raw + BATCH_BASE_SEQUENCE_AT, (uint32_t)c->sequences[partition]);
    c->sequences[partition] = (int32_t)(((uint64_t)c->sequences[partition] + count) & INT32_MAX);
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

/* The request up to its records, which are appended behind. */
static void put_request(struct kafka_conn *c, int32_t partition, size_t batch_size)
{
    const struct kafka_bench_options *o = c->options;
    struct kafka_produce_request_partition part = {
        .index = partition,
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
}

/* What a batch is made of: the front of the template with the messages' own times and key. */
struct filling {
    size_t size;
    uint64_t count;
    int32_t partition;
    char key[BENCH_KEY_BYTES];
};

static void fill_batch(struct kafka_conn *c, uint8_t *raw, const struct filling *f)
{
    const struct batch_template *t = c->template;

    memcpy(raw, t->bytes.data, f->size);
    for (uint64_t i = 0; i < f->count; i++) {
        int64_t own_ns = bench_next_stamp(&c->base);
        if (c->options->plan.size_bytes >= BENCH_STAMP_BYTES)
            put_u64(raw + t->value_at[i], (uint64_t)own_ns);
        if (c->options->keys)
            memcpy(raw + t->key_at[i], f->key, BENCH_KEY_BYTES);
    }
    if (c->sequences)
        put_producer(c, raw, f->partition, f->count);
    seal_batch(raw, f->size, f->count);
}

static void put_packed(struct kafka_conn *c, const struct filling *f)
{
    struct bytes batch;

    c->plain.size = 0;
    fill_batch(c, text_reserve(&c->plain, f->size), f);
    text_advance(&c->plain, f->size);
    enum err err = codec_apply(c->options->codec, text_bytes(&c->plain), &c->packed, &batch);
    check(err == OK); /* it was tried when the options were read */
    put_request(c, f->partition, batch.size);
    text_append(&c->base.out, batch);
}

static void put_batch(struct kafka_conn *c, uint64_t count)
{
    struct filling f = {.size = c->template->record_end[count - 1], .count = count};
    int64_t stamp_ns = bench_peek_stamp(&c->base);

    f.partition = choose_partition(c, f.key);
    if (c->options->codec) {
        put_packed(c, &f);
    } else {
        put_request(c, f.partition, f.size);
        fill_batch(c, text_reserve(&c->base.out, f.size), &f);
        text_advance(&c->base.out, f.size);
    }
    bench_count_sent(c->base.bench, count);
    if (c->options->acks)
        c->flights[c->flight_end++ % BENCH_IN_FLIGHT_MAX] =
            (struct flight){stamp_ns, c->base.schedule.step_ns, count};
}

void kafka_producer_fill(struct bench_conn *base)
{
    struct kafka_conn *c = kafka_conn_of(base);
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

enum err kafka_producer_take(struct kafka_conn *c, struct bytes body)
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
    const struct flight *flight = &c->flights[c->flight_first++ % BENCH_IN_FLIGHT_MAX];
    if (part->error_code == 0)
        bench_count_confirmed(c->base.bench, flight->count, flight->stamp_ns, flight->step_ns);
    else
        bench_count_refused(c->base.bench, flight->count);
    return OK;
}
