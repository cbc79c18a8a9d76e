#include "tests/test.h"

#include "base/check.h"
#include "broker/recode.h"

enum { NOW_MS = 1000000, RECORDS = 500 };

struct work {
    struct core core;
    struct topic topic;
    struct batch_builder builder;
    struct text source; /* the batch, compressed as wanted */
    struct batch batch;
    struct recode_rules rules;
    struct recoded out;
};

static void work_init(struct work *w)
{
    memset(w, 0, sizeof *w);
    w->core.wall_ms = NOW_MS;
    w->topic.codec = CODEC_OF_PRODUCER;
    w->topic.codec_level = BATCH_LEVEL_STANDARD;
    w->topic.timestamp_before_max_ms = INT64_MAX;
    w->topic.timestamp_after_max_ms = 1000;
    batch_builder_begin(&w->builder, 0);
}

static void work_reset(struct work *w)
{
    batch_builder_reset(&w->builder);
    text_reset(&w->source);
    recoded_reset(&w->out);
}

static void add(struct work *w, int64_t timestamp, const char *key)
{
    batch_builder_add(&w->builder, timestamp, key ? bytes_from_string(key) : BYTES_NULL,
                      BYTES_LITERAL("a value that is like all the others"), BYTES_NULL, 0);
}

static void finish(struct work *w, enum batch_codec codec)
{
    expect_ok(batch_parse(batch_builder_end(&w->builder), &w->batch));
    if (codec == CODEC_NONE)
        return;
    struct recode_rules rules = {.codec = codec, .level = BATCH_LEVEL_STANDARD};
    expect_ok(recode_batch(&w->batch, &rules, &w->out));
    text_append(&w->source, text_bytes(&w->out.raw));
    recoded_reset(&w->out);
    memset(&w->out, 0, sizeof w->out);
    expect_ok(batch_parse(text_bytes(&w->source), &w->batch));
}

static bool is_needed(struct work *w)
{
    return recode_is_needed(&w->core, &w->topic, &w->batch, &w->rules);
}

static void expect_same_records(const struct batch *left, const struct batch *right)
{
    struct text a = {0}, b = {0};
    struct bytes x, y;
    expect_ok(batch_inflate(left, 64 << 20, &a, &x));
    expect_ok(batch_inflate(right, 64 << 20, &b, &y));
    expect_bytes(x, y);
    text_reset(&a);
    text_reset(&b);
}

TEST(every_codec_becomes_every_other_and_the_records_stay_as_they_are)
{
    static const int levels[] = {BATCH_LEVEL_STANDARD, 1, 9};
    for (int from = CODEC_NONE; from < CODEC_COUNT; from++) {
        for (int to = CODEC_NONE; to < CODEC_COUNT; to++) {
            struct work w;
            struct batch made;
            work_init(&w);
            for (int i = 0; i < RECORDS; i++)
                add(&w, NOW_MS + i % 7, i % 3 ? "key" : NULL);
            finish(&w, (enum batch_codec)from);
            w.topic.codec = to;
            w.topic.codec_level = levels[(from + to) % 3];
            expect_int(is_needed(&w), from != to);
            if (from != to) {
                expect_ok(recode_batch(&w.batch, &w.rules, &w.out));
                expect_ok(batch_parse(text_bytes(&w.out.raw), &made));
                expect_ok(batch_check_produced(&made));
                expect_int(made.attributes & BATCH_CODEC_MASK, to);
                expect_int(made.record_count, RECORDS);
                expect_int(made.max_timestamp, w.batch.max_timestamp);
                expect_true(to == CODEC_NONE || made.raw.size < 10000);
                expect_same_records(&w.batch, &made);
            }
            work_reset(&w);
        }
    }
}

TEST(producer_and_sequence_of_a_recompressed_batch_stay)
{
    struct work w;
    struct batch made;
    work_init(&w);
    add(&w, NOW_MS, NULL);
    finish(&w, CODEC_NONE);
    uint8_t *raw = w.builder.text.data;
    put_u64(raw + 43, 77);
    put_u16(raw + 51, 3);
    put_u32(raw + 53, 99);
    w.topic.codec = CODEC_LZ4;
    expect_true(is_needed(&w));
    expect_ok(recode_batch(&w.batch, &w.rules, &w.out));
    expect_ok(batch_parse(text_bytes(&w.out.raw), &made));
    expect_int(made.producer_id, 77);
    expect_int(made.producer_epoch, 3);
    expect_int(made.base_sequence, 99);
    work_reset(&w);
}

TEST(a_compacted_topic_names_the_records_without_a_key)
{
    for (int codec = CODEC_NONE; codec <= CODEC_GZIP; codec++) {
        struct work w;
        work_init(&w);
        w.topic.policy.compact = true;
        add(&w, NOW_MS, "key");
        add(&w, NOW_MS, NULL);
        add(&w, NOW_MS, "");
        add(&w, NOW_MS, NULL);
        finish(&w, (enum batch_codec)codec);
        expect_true(is_needed(&w));
        expect_int(recode_is_small(&w.batch, &w.rules), codec == CODEC_NONE);
        expect_err(recode_batch(&w.batch, &w.rules, &w.out), E_MALFORMED);
        expect_int(w.out.errors.count, 2);
        expect_int(w.out.errors.items[0].index, 1);
        expect_int(w.out.errors.items[1].index, 3);
        expect_false(w.out.errors.items[0].is_time);
        work_reset(&w);
    }
}

TEST(timestamps_out_of_bounds_are_named)
{
    struct work w;
    work_init(&w);
    add(&w, NOW_MS, "key");
    add(&w, NOW_MS + 1001, "key");
    add(&w, NOW_MS + 1000, "key");
    add(&w, -1, "key");
    finish(&w, CODEC_NONE);
    expect_true(is_needed(&w));
    expect_err(recode_batch(&w.batch, &w.rules, &w.out), E_OUT_OF_RANGE);
    expect_int(w.out.errors.count, 1);
    expect_int(w.out.errors.items[0].index, 1);
    expect_true(w.out.errors.items[0].is_time);
    work_reset(&w);

    work_init(&w);
    w.topic.timestamp_before_max_ms = 10;
    add(&w, NOW_MS, "key");
    add(&w, NOW_MS - 11, "key"); /* the header does not show it */
    add(&w, NOW_MS - 10, "key");
    finish(&w, CODEC_NONE);
    expect_true(is_needed(&w));
    expect_err(recode_batch(&w.batch, &w.rules, &w.out), E_OUT_OF_RANGE);
    expect_int(w.out.errors.count, 1);
    w.topic.log_append_time = true;
    expect_false(is_needed(&w));
    work_reset(&w);
}

TEST(what_the_topic_does_not_ask_for_is_not_looked_at)
{
    struct work w;
    work_init(&w);
    add(&w, NOW_MS + 1000, NULL);
    finish(&w, CODEC_ZSTD);
    expect_false(is_needed(&w));
    w.topic.codec = CODEC_ZSTD;
    expect_false(is_needed(&w));
    w.topic.codec = CODEC_NONE;
    expect_true(is_needed(&w));
    work_reset(&w);
}

TEST(no_more_than_a_thousand_records_are_named_and_damage_is_refused)
{
    struct work w;
    work_init(&w);
    w.topic.policy.compact = true;
    for (int i = 0; i < 2 * RECODE_ERRORS_MAX; i++)
        add(&w, NOW_MS, NULL);
    finish(&w, CODEC_NONE);
    expect_true(is_needed(&w));
    expect_err(recode_batch(&w.batch, &w.rules, &w.out), E_MALFORMED);
    expect_int(w.out.errors.count, RECODE_ERRORS_MAX);
    work_reset(&w);

    work_init(&w);
    w.topic.policy.compact = true;
    for (int i = 0; i < 5; i++)
        add(&w, NOW_MS, "key");
    finish(&w, CODEC_NONE);
    expect_true(is_needed(&w));
    w.batch.record_count = 6;
    expect_err(recode_batch(&w.batch, &w.rules, &w.out), E_MALFORMED);
    expect_int(w.out.errors.count, 0);
    w.batch.record_count = 5;
    w.batch.attributes |= CODEC_LZ4; /* it is not */
    expect_err(recode_batch(&w.batch, &w.rules, &w.out), E_CORRUPT);
    work_reset(&w);
}
