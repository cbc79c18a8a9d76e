#include "tests/test.h"

#include <string.h>

#include "base/mem.h"
#include "cli/bench_amqp.h"
#include "cli/bench_kafka.h"
#include "log/batch.h"

static void begin(struct bench *b, int64_t rate, int64_t messages)
{
    struct bench_plan plan;

    bench_plan_init(&plan);
    plan.rate = rate;
    plan.message_count = messages;
    plan.goal = BENCH_CONFIRMED;
    bench_init(b, &plan);
    b->now_ns = b->start_ns = b->measure_ns = 1000;
    b->end_ns = 1000 + 10 * INT64_C(1000000000);
}

TEST(messages_are_due_by_the_schedule_not_by_the_answers)
{
    struct bench b;

    begin(&b, 1000, 0);
    struct bench_conn c = {.bench = &b, .schedule = {.start_ns = 1000, .step_ns = 1e6}};
    expect_int(bench_due(&c, 100), 1);
    expect_int(bench_next_stamp(&c), 1000);
    expect_int(bench_due(&c, 100), 0);
    b.now_ns +=
        5000000; /* nothing was sent for 5 ms: all of it is due, with the times it was due */
    expect_int(bench_due(&c, 100), 5);
    expect_int(bench_due(&c, 3), 3);
    expect_int(bench_next_stamp(&c), 1001000);
    expect_int(bench_next_stamp(&c), 2001000);
    b.is_sending = false;
    expect_int(bench_due(&c, 100), 0);
    bench_reset(&b);
}

TEST(without_a_rate_as_much_is_due_as_fits_but_no_more_than_the_count)
{
    struct bench b;

    begin(&b, 0, 10);
    struct bench_conn c = {.bench = &b};
    expect_int(bench_due(&c, 7), 7);
    expect_int(bench_next_stamp(&c), b.now_ns);
    bench_count_sent(&b, 7);
    expect_int(bench_due(&c, 7), 3);
    bench_reset(&b);
}

TEST(only_what_happens_in_the_measurement_is_measured)
{
    struct bench b;

    begin(&b, 0, 0);
    b.measure_ns = 2000;
    bench_count_confirmed(&b, 4, 900, 0);
    expect_int(b.all.confirmed, 4);
    expect_int(b.measured.confirmed, 0);
    b.now_ns = 5000;
    bench_count_confirmed(&b, 3, 1500, 400); /* stamps 1500, 1900, 2300 */
    expect_int(b.measured.confirmed, 3);
    expect_int(b.confirm_latency.total, 1);
    expect_int(b.confirm_latency.max, 2700);
    b.now_ns = b.end_ns + 1;
    bench_count_received(&b, 1, 0);
    expect_int(b.measured.received, 0);
    expect_int(b.receive_latency.total, 0);
    bench_reset(&b);
}

/* A producer that was prepared by hand: no server, no stream. */
static size_t produce_one_batch(struct kafka_bench_options *o, struct kafka_conn *c,
                                struct bench *b)
{
    static struct batch_template template;

    template = (struct batch_template){0};
    batch_template_make(&template, o);
    *c = (struct kafka_conn){.options = o,
                             .template = &template,
                             .partition_step = 1,
                             .producer_id = 77,
                             .producer_epoch = 3};
    c->base.bench = b;
    random_init(&c->random, 1);
    if (o->idempotent)
        c->sequences = xzalloc((size_t)o->partitions * sizeof *c->sequences);
    kafka_producer_fill(&c->base);
    size_t size = template.bytes.size;
    batch_template_reset(&template);
    return size;
}

static struct batch last_batch(const struct kafka_conn *c, size_t size)
{
    struct batch batch;

    expect_ok(batch_parse(bytes_of(c->base.out.data + c->base.out.size - size, size), &batch));
    return batch;
}

TEST(a_batch_has_one_key_and_the_numbers_of_its_producer)
{
    struct kafka_bench_options o = {.topic = "t",
                                    .partitions = 8,
                                    .batch_records = 3,
                                    .batch_bytes = 10000,
                                    .in_flight = 5,
                                    .keys = 100,
                                    .idempotent = true,
                                    .acks = -1};
    struct kafka_conn c;
    struct record_reader reader;
    struct record record;
    struct bench b;
    char first_key[BENCH_KEY_BYTES];

    begin(&b, 0, 0);
    o.plan = b.plan;
    size_t size = produce_one_batch(&o, &c, &b);
    struct batch batch = last_batch(&c, size);
    expect_ok(batch_check_produced(&batch));
    expect_int(batch.producer_id, 77);
    expect_int(batch.producer_epoch, 3);
    expect_int(batch.base_sequence, 0);
    record_reader_init(
        &reader, &batch, 0,
        bytes_of(batch.raw.data + BATCH_HEADER_BYTES, batch.raw.size - BATCH_HEADER_BYTES));
    for (int i = 0; i < 3; i++) {
        expect_true(record_reader_next(&reader, &record));
        expect_int(record.key.size, BENCH_KEY_BYTES);
        if (i == 0)
            memcpy(first_key, record.key.data, sizeof first_key);
        expect_int(memcmp(record.key.data, first_key, sizeof first_key), 0);
        expect_int(get_u64(record.value.data), 1000); /* when it was due */
    }
    int32_t partition = kafka_client_partition_of(bytes_of(first_key, sizeof first_key), 8);
    expect_int(c.sequences[partition], 3);
    expect_int(b.all.sent, 3);
    free(c.sequences);
    text_reset(&c.base.out);
    bench_reset(&b);
}

TEST(a_transaction_is_committed_when_it_is_whole_and_confirms_all_its_messages)
{
    struct amqp_bench_options o = {.transaction = 4};
    struct bench b;

    begin(&b, 0, 6);
    o.plan = b.plan;
    struct amqp_conn c = {.options = &o, .next_tag = 1, .oldest_tag = 1, .stamps_mask = 15};
    c.base.bench = &b;
    c.stamps = xzalloc(16 * sizeof *c.stamps);
    text_append_zeros(&c.template, 200);
    amqp_publisher_fill(&c.base);
    expect_int(b.all.sent, 4);
    expect_true(c.is_committing);
    amqp_publisher_fill(&c.base); /* nothing more before the answer */
    expect_int(b.all.sent, 4);
    expect_ok(amqp_publisher_committed(&c));
    expect_int(b.all.confirmed, 4);
    amqp_publisher_fill(&c.base);
    expect_int(b.all.sent, 6);
    expect_false(c.is_committing); /* two are left, and more may come */
    b.is_sending = false;
    amqp_publisher_fill(&c.base);
    expect_true(c.is_committing);
    expect_ok(amqp_publisher_committed(&c));
    expect_int(b.all.confirmed, 6);
    expect_int(amqp_publisher_committed(&c), E_MALFORMED);
    free(c.stamps);
    text_reset(&c.template);
    text_reset(&c.base.out);
    bench_reset(&b);
}

TEST(a_message_is_sent_back_the_first_time_and_counted_the_second)
{
    static const uint8_t deliver[] = {1, 'c', 0, 0, 0, 0, 0, 0, 0, 9, 0};
    static const uint8_t again[] = {1, 'c', 0, 0, 0, 0, 0, 0, 0, 10, 1};
    static const uint8_t empty[14] = {0};
    struct amqp_bench_options o = {.requeue = true, .ack_batch = 1};
    struct amqp_conn c = {.options = &o};
    struct bench b;

    begin(&b, 0, 0);
    c.base.bench = &b;
    amqp_consumer_deliver(&c, reader_of(bytes_of(deliver, sizeof deliver)));
    expect_ok(amqp_consumer_header(&c, bytes_of(empty, sizeof empty)));
    expect_int(b.all.received, 0);
    expect_int(get_u32(c.base.out.data + FRAME_HEAD_BYTES), AMQP_BASIC_REJECT);
    c.base.out.size = 0;
    amqp_consumer_deliver(&c, reader_of(bytes_of(again, sizeof again)));
    expect_ok(amqp_consumer_header(&c, bytes_of(empty, sizeof empty)));
    expect_int(b.all.received, 1);
    expect_int(get_u32(c.base.out.data + FRAME_HEAD_BYTES), AMQP_BASIC_ACK);
    text_reset(&c.base.out);
    bench_reset(&b);
}
