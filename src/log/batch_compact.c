#include "log/batch_compact.h"

#include "base/number.h"

void batch_compactor_reset(struct batch_compactor *c)
{
    text_reset(&c->inflated);
    text_reset(&c->kept);
    text_reset(&c->out);
}

/* What the walk over a batch's records has found. */
struct survivors {
    int32_t count;
    int64_t max_timestamp;
    bool has_tombstones;
};

/* The record's bytes again, with its time relative to another base. */
static void put_rebased(struct text *out, struct bytes record, int64_t timestamp, int64_t base)
{
    uint64_t skip;
    uint8_t delta[VARINT_MAX_BYTES];
    size_t at = varint_get(record.data, record.size, &skip) + 1; /* length, attributes */
    uint8_t attributes = record.data[at - 1];
    at += varint_get(record.data + at, record.size - at, &skip);
    size_t n = varint_put(delta, zigzag_encode((int64_t)((uint64_t)timestamp - (uint64_t)base)));
    text_put_varint(out, zigzag_encode((int64_t)(1 + n + record.size - at)));
    text_put_u8(out, attributes);
    text_append(out, bytes_of(delta, n));
    text_append(out, bytes_of(record.data + at, record.size - at));
}

/* Copy what stays, with times relative to `base_timestamp`, to c->kept. */
static enum err copy_survivors(const struct batch *b, struct bytes records,
                               const struct batch_rules *rules, int64_t base_timestamp,
                               struct batch_compactor *c, struct survivors *out)
{
    struct record_reader reader;
    struct record r;
    bool may_go = b->attributes & BATCH_DELETE_HORIZON && rules->now_ms >= b->base_timestamp;
    *out = (struct survivors){.max_timestamp = INT64_MIN};
    c->kept.size = 0;
    record_reader_init(&reader, b, b->base_offset, records);
    for (const uint8_t *start = reader.at; record_reader_next(&reader, &r); start = reader.at) {
        if (!rules->keep(rules->ctx, &r, may_go))
            continue;
        struct bytes record = bytes_of(start, (size_t)(reader.at - start));
        if (base_timestamp == b->base_timestamp)
            text_append(&c->kept, record);
        else
            put_rebased(&c->kept, record, r.timestamp, base_timestamp);
        out->count++;
        out->has_tombstones = out->has_tombstones || !r.value.data;
        if (r.timestamp > out->max_timestamp)
            out->max_timestamp = r.timestamp;
    }
    if (reader.left > 0)
        return err_set(E_MALFORMED, "batch at offset %lld ends before its records do",
                       (long long)b->base_offset);
    return OK;
}

static void finish(struct batch *b, struct text *out)
{
    b->raw = text_bytes(out);
    batch_header_put(out->data, b);
}

struct bytes batch_make_empty(const struct batch *b, struct text *out)
{
    struct batch empty = *b;
    empty.attributes &= (uint16_t) ~(BATCH_CODEC_MASK | BATCH_DELETE_HORIZON);
    empty.base_timestamp = -1;
    empty.record_count = 0;
    out->size = 0;
    text_append_zeros(out, BATCH_HEADER_BYTES);
    finish(&empty, out);
    return empty.raw;
}

/* For ever, when it is more than time has. */
static int64_t horizon_of(const struct batch_rules *rules)
{
    bool fits = rules->delete_retention_ms < INT64_MAX - rules->now_ms;
    return fits ? rules->now_ms + rules->delete_retention_ms : INT64_MAX;
}

static enum err make_smaller(const struct batch *b, const struct survivors *left,
                             int64_t base_timestamp, struct batch_compactor *c, struct bytes *out)
{
    struct batch smaller = *b;
    smaller.record_count = left->count;
    smaller.base_timestamp = base_timestamp;
    if (base_timestamp != b->base_timestamp)
        smaller.attributes |= BATCH_DELETE_HORIZON;
    if (!(b->attributes & BATCH_LOG_APPEND_TIME))
        smaller.max_timestamp = left->max_timestamp;
    c->out.size = 0;
    text_append_zeros(&c->out, BATCH_HEADER_BYTES);
    enum err err = batch_deflate((enum batch_codec)(b->attributes & BATCH_CODEC_MASK),
                                 text_bytes(&c->kept), &c->out);
    if (err)
        return err;
    finish(&smaller, &c->out);
    *out = smaller.raw;
    return OK;
}

enum err batch_compact(const struct batch *b, const struct batch_rules *rules,
                       struct batch_compactor *c, struct bytes *out)
{
    struct bytes records;
    struct survivors left;
    if (b->record_count == 0) { /* was emptied before */
        *out = rules->keep_empty ? b->raw : BYTES_NULL;
        return OK;
    }
    enum err err = batch_inflate(b, rules->inflate_limit, &c->inflated, &records);
    if (!err)
        err = copy_survivors(b, records, rules, b->base_timestamp, c, &left);
    if (err)
        return err;
    if (left.count == 0) {
        *out = rules->keep_empty ? batch_make_empty(b, &c->out) : BYTES_NULL;
        return OK;
    }
    int64_t base_timestamp = b->base_timestamp;
    if (left.has_tombstones && !(b->attributes & BATCH_DELETE_HORIZON)) {
        base_timestamp = horizon_of(rules);
        err = copy_survivors(b, records, rules, base_timestamp, c, &left);
        if (err)
            return err;
    } else if (left.count == b->record_count) {
        *out = b->raw;
        return OK;
    }
    return make_smaller(b, &left, base_timestamp, c, out);
}
