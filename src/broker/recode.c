#include "broker/recode.h"

#include "base/check.h"
#include "base/crc32c.h"

enum {
    INFLATE_MAX_BYTES = 128 << 20,
    NO_TIMESTAMP = -1,
    AT_LENGTH = 8,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
};

static int64_t add_bounded(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static bool is_out_of_bounds(const struct recode_rules *rules, int64_t timestamp)
{
    return timestamp != NO_TIMESTAMP &&
           (timestamp < rules->earliest_ms || timestamp > rules->latest_ms);
}

bool recode_is_needed(const struct core *core, const struct topic *topic, const struct batch *b,
                      struct recode_rules *out)
{
    int codec = b->attributes & BATCH_CODEC_MASK;
    *out = (struct recode_rules){
        .needs_keys = topic->policy.compact,
        .earliest_ms = add_bounded(core->wall_ms, -topic->timestamp_before_max_ms),
        .latest_ms = add_bounded(core->wall_ms, topic->timestamp_after_max_ms),
        .codec = topic->codec == codec ? CODEC_OF_PRODUCER : topic->codec,
        .level = topic->codec_level,
    };
    /* The header has the first timestamp and the largest. One that is too old may be in between. */
    out->bounds_times = !topic->log_append_time && (topic->timestamp_before_max_ms < INT64_MAX ||
                                                    is_out_of_bounds(out, b->base_timestamp) ||
                                                    is_out_of_bounds(out, b->max_timestamp));
    return out->needs_keys || out->bounds_times || out->codec != CODEC_OF_PRODUCER;
}

bool recode_is_small(const struct batch *b, const struct recode_rules *rules)
{
    return b->raw.size <= RECODE_INLINE_MAX_BYTES && rules->codec == CODEC_OF_PRODUCER &&
           (b->attributes & BATCH_CODEC_MASK) == CODEC_NONE;
}

/* ---- records ---- */

static void note_error(struct recoded *out, int32_t index, bool is_time)
{
    if (out->errors.count < RECODE_ERRORS_MAX)
        vec_push(&out->errors, ((struct record_error){index, is_time}));
}

static enum err check_records(const struct batch *b, const struct recode_rules *rules,
                              struct bytes records, struct recoded *out)
{
    struct record_reader reader;
    struct record record;
    bool any_time = false;
    int32_t total = 0;
    record_reader_init(&reader, b, 0, records);
    for (int32_t i = 0; record_reader_next(&reader, &record); i++) {
        bool has_no_key = rules->needs_keys && !record.key.data;
        bool is_time =
            !has_no_key && rules->bounds_times && is_out_of_bounds(rules, record.timestamp);
        any_time = any_time || is_time;
        if (!has_no_key && !is_time)
            continue;
        note_error(out, i, is_time);
        total++;
    }
    if (reader.left > 0)
        return err_set(E_MALFORMED, "record %d of the batch is damaged",
                       b->record_count - reader.left);
    if (any_time)
        return err_set(E_OUT_OF_RANGE,
                       "One or more records have been rejected due to invalid timestamp");
    if (total > 0)
        return err_set(E_MALFORMED,
                       "One or more records have been rejected: %d without a key, which a "
                       "compacted topic needs",
                       total);
    return OK;
}

/* ---- codec ---- */

static enum err write_batch(const struct batch *b, const struct recode_rules *rules,
                            struct bytes records, struct text *out)
{
    text_append(out, bytes_of(b->raw.data, BATCH_HEADER_BYTES));
    enum err err = batch_deflate_at((enum batch_codec)rules->codec, rules->level, records, out);
    if (err)
        return err;
    if (out->size - BATCH_PREFIX_BYTES > INT32_MAX)
        return err_set(E_TOO_LARGE, "the batch has %zu bytes when it is compressed anew",
                       out->size);
    unsigned attributes = b->attributes & ~(unsigned)BATCH_CODEC_MASK;
    uint8_t *p = out->data;
    put_u32(p + AT_LENGTH, (uint32_t)(out->size - BATCH_PREFIX_BYTES));
    put_u16(p + AT_ATTRIBUTES, (uint16_t)(attributes | (unsigned)rules->codec));
    put_u32(p + AT_CRC, crc32c(p + BATCH_CRC_FROM, out->size - BATCH_CRC_FROM));
    return OK;
}

enum err recode_batch(const struct batch *b, const struct recode_rules *rules, struct recoded *out)
{
    struct text scratch = {0};
    struct bytes records;
    check(out->raw.size == 0 && out->errors.count == 0);
    enum err err = batch_inflate(b, INFLATE_MAX_BYTES, &scratch, &records);
    if (!err)
        err = check_records(b, rules, records, out);
    if (!err && rules->codec != CODEC_OF_PRODUCER)
        err = write_batch(b, rules, records, &out->raw);
    text_reset(&scratch);
    return err;
}

void recoded_reset(struct recoded *r)
{
    text_reset(&r->raw);
    vec_reset(&r->errors);
}
