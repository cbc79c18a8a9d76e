#include "log/batch.h"

#include "base/check.h"
#include "base/crc32c.h"

enum {
    AT_LENGTH = 8,
    AT_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_DELTA = 23,
    AT_BASE_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_RECORD_COUNT = 57,
    BATCH_MAX_BYTES = 1 << 30,
};

enum err batch_header_get(const uint8_t *p, struct batch *out)
{
    if (p[AT_MAGIC] != 2)
        return err_set(E_UNSUPPORTED, "record batch of magic %d, only 2 is supported", p[AT_MAGIC]);
    uint32_t length = get_u32(p + AT_LENGTH);
    if (length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES || length > BATCH_MAX_BYTES)
        return err_set(E_MALFORMED, "batch length %u", length);
    struct batch b = {
        .raw = bytes_of(p, (size_t)length + BATCH_PREFIX_BYTES),
        .base_offset = (int64_t)get_u64(p),
        .leader_epoch = (int32_t)get_u32(p + AT_EPOCH),
        .crc = get_u32(p + AT_CRC),
        .attributes = get_u16(p + AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)get_u32(p + AT_LAST_DELTA),
        .base_timestamp = (int64_t)get_u64(p + AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)get_u64(p + AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)get_u64(p + AT_PRODUCER_ID),
        .producer_epoch = (int16_t)get_u16(p + AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)get_u32(p + AT_BASE_SEQUENCE),
        .record_count = (int32_t)get_u32(p + AT_RECORD_COUNT),
    };
    if (b.last_offset_delta < 0 || b.record_count < 0)
        return err_set(E_MALFORMED, "batch with last offset delta %d and %d records",
                       b.last_offset_delta, b.record_count);
    if (b.base_offset > INT64_MAX - INT32_MAX - 1)
        return err_set(E_MALFORMED, "batch with base offset %lld", (long long)b.base_offset);
    *out = b;
    return OK;
}

enum err batch_parse(struct bytes in, struct batch *out)
{
    struct batch b = {0};
    if (in.size < AT_MAGIC + 1)
        return err_set(E_OUT_OF_RANGE, "%zu bytes hold no batch header", in.size);
    if (in.size < BATCH_HEADER_BYTES && in.data[AT_MAGIC] == 2)
        return err_set(E_OUT_OF_RANGE, "%zu bytes hold no batch", in.size);
    enum err err = batch_header_get(in.data, &b);
    if (err)
        return err;
    if (b.raw.size > in.size)
        return err_set(E_OUT_OF_RANGE, "batch of %zu bytes, only %zu are there", b.raw.size,
                       in.size);
    *out = b;
    return OK;
}

bool batch_is_intact(const struct batch *b)
{
    return crc32c(b->raw.data + BATCH_CRC_FROM, b->raw.size - BATCH_CRC_FROM) == b->crc;
}

enum err batch_check_produced(const struct batch *b)
{
    if (!batch_is_intact(b))
        return err_set(E_CORRUPT, "record batch with a wrong checksum");
    if (b->record_count <= 0 || b->record_count - 1 != b->last_offset_delta)
        return err_set(E_MALFORMED, "batch says %d records but last offset delta %d",
                       b->record_count, b->last_offset_delta);
    if ((b->attributes & BATCH_CODEC_MASK) >= CODEC_COUNT)
        return err_set(E_MALFORMED, "unknown compression codec %d",
                       b->attributes & BATCH_CODEC_MASK);
    if (batch_is_control(b))
        return err_set(E_MALFORMED, "a client may not write control batches");
    return OK;
}

void batch_stamp(uint8_t *raw, int64_t base_offset, int32_t leader_epoch)
{
    put_u64(raw, (uint64_t)base_offset);
    put_u32(raw + AT_EPOCH, (uint32_t)leader_epoch);
}

void record_reader_init(struct record_reader *r, const struct batch *b, int64_t base_offset,
                        struct bytes records)
{
    r->at = records.data;
    r->end = records.size > 0 ? records.data + records.size : records.data;
    r->base_offset = base_offset;
    r->base_timestamp = b->base_timestamp;
    r->append_time = b->attributes & BATCH_LOG_APPEND_TIME ? b->max_timestamp : -1;
    r->left = b->record_count;
    r->last_delta = b->last_offset_delta;
    r->delta = -1;
}

static bool get_zigzag(struct record_reader *r, int64_t *out)
{
    uint64_t v;
    if (r->at < r->end && *r->at < 0x80) { /* most are one byte */
        *out = zigzag_decode(*r->at++);
        return true;
    }
    size_t n = varint_get(r->at, (size_t)(r->end - r->at), &v);
    if (n == 0)
        return false;
    r->at += n;
    *out = zigzag_decode(v);
    return true;
}

static bool get_sized(struct record_reader *r, struct bytes *out)
{
    int64_t size;
    if (!get_zigzag(r, &size) || size < -1 || size > r->end - r->at)
        return false;
    if (size < 0) {
        *out = BYTES_NULL;
        return true;
    }
    *out = bytes_of(r->at, (size_t)size);
    r->at += size;
    return true;
}

bool record_reader_next(struct record_reader *r, struct record *out)
{
    int64_t length, timestamp, delta, headers;
    if (r->left <= 0 || !get_zigzag(r, &length) || length < 1 || length > r->end - r->at)
        return false;
    struct record_reader one = *r; /* bounded by the record's own length */
    one.end = r->at + length;
    one.at++; /* attributes: unused */
    if (!get_zigzag(&one, &timestamp) || !get_zigzag(&one, &delta) || !get_sized(&one, &out->key) ||
        !get_sized(&one, &out->value) || !get_zigzag(&one, &headers) || headers < 0 ||
        headers > INT32_MAX)
        return false;
    if (delta <= r->delta || delta > r->last_delta)
        return false;
    int64_t time = (int64_t)((uint64_t)r->base_timestamp + (uint64_t)timestamp); /* may wrap */
    out->timestamp = r->append_time >= 0 ? r->append_time : time;
    out->offset = r->base_offset + delta;
    out->headers = bytes_of(one.at, (size_t)(one.end - one.at));
    out->header_count = (int32_t)headers;
    r->at = one.end;
    r->delta = delta;
    r->left--;
    return true;
}

/* ---- building ---- */

void batch_builder_begin(struct batch_builder *b, uint16_t attributes)
{
    b->text.size = 0;
    text_reserve(&b->text, BATCH_HEADER_BYTES);
    b->text.size = BATCH_HEADER_BYTES;
    b->base_timestamp = b->max_timestamp = -1;
    b->count = 0;
    b->attributes = attributes;
    b->lent = BYTES_NULL;
}

void batch_builder_reset(struct batch_builder *b)
{
    text_reset(&b->text);
    memset(b, 0, sizeof *b);
}

static uint8_t *put_zigzag(uint8_t *p, int64_t v)
{
    uint64_t z = zigzag_encode(v);
    if (z < 0x80) {
        *p = (uint8_t)z;
        return p + 1;
    }
    return p + varint_put(p, z);
}

static uint8_t *put_part(uint8_t *p, struct bytes part)
{
    if (part.size)
        memcpy(p, part.data, part.size);
    return p + part.size;
}

static size_t parts_size(const struct bytes *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].size;
    return size;
}

static void add_record(struct batch_builder *b, int64_t timestamp_ms, int32_t offset_delta,
                       const struct bytes *key, int key_count, struct bytes value, bool lend,
                       struct bytes headers, int32_t header_count)
{
    int64_t time_delta = (int64_t)((uint64_t)timestamp_ms - (uint64_t)b->base_timestamp); /* too */
    size_t key_bytes = parts_size(key, key_count);
    int64_t key_size = key_count == 1 && !key[0].data ? -1 : (int64_t)key_bytes;
    int64_t value_size = value.data ? (int64_t)value.size : -1;
    size_t length =
        1 + varint_size(zigzag_encode(time_delta)) + varint_size(zigzag_encode(offset_delta)) +
        varint_size(zigzag_encode(key_size)) + key_bytes + varint_size(zigzag_encode(value_size)) +
        value.size + varint_size(zigzag_encode(header_count)) + headers.size;
    size_t here = length - (lend ? value.size : 0);
    uint8_t *start = text_reserve(&b->text, here + VARINT_MAX_BYTES);
    uint8_t *p = put_zigzag(start, (int64_t)length);
    *p++ = 0;
    p = put_zigzag(p, time_delta);
    p = put_zigzag(p, offset_delta);
    p = put_zigzag(p, key_size);
    for (int i = 0; i < key_count; i++)
        p = put_part(p, key[i]);
    p = put_zigzag(p, value_size);
    if (lend) {
        check(b->lent.size == 0);
        b->lent = value;
        b->lent_at = (size_t)(p - b->text.data);
    } else {
        p = put_part(p, value);
    }
    p = put_zigzag(p, header_count);
    p = put_part(p, headers);
    b->text.size += (size_t)(p - start);
}

static void note_time(struct batch_builder *b, int64_t timestamp_ms)
{
    if (b->count == 0)
        b->base_timestamp = b->max_timestamp = timestamp_ms;
    if (timestamp_ms > b->max_timestamp)
        b->max_timestamp = timestamp_ms;
}

void batch_builder_add(struct batch_builder *b, int64_t timestamp_ms, struct bytes key,
                       struct bytes value, struct bytes headers, int32_t header_count)
{
    note_time(b, timestamp_ms);
    add_record(b, timestamp_ms, b->count, &key, 1, value, false, headers, header_count);
    b->count++;
}

void batch_builder_add_parts(struct batch_builder *b, int64_t timestamp_ms,
                             const struct bytes *key_parts, int key_count, struct bytes value,
                             bool lend)
{
    note_time(b, timestamp_ms);
    add_record(b, timestamp_ms, b->count, key_parts, key_count, value, lend, BYTES_NULL, 0);
    b->count++;
}

static uint32_t parts_crc(const struct batch_parts *parts)
{
    uint32_t crc = crc32c(parts->front.data + BATCH_CRC_FROM, parts->front.size - BATCH_CRC_FROM);
    crc = crc32c_extend(crc, parts->lent.data, parts->lent.size);
    return crc32c_extend(crc, parts->rest.data, parts->rest.size);
}

/* At `p`, where `parts` begin. */
static void put_header(uint8_t *p, const struct batch *b, const struct batch_parts *parts)
{
    check(b->raw.size >= BATCH_HEADER_BYTES && b->raw.size - BATCH_PREFIX_BYTES <= BATCH_MAX_BYTES);
    put_u64(p, (uint64_t)b->base_offset);
    put_u32(p + AT_LENGTH, (uint32_t)(b->raw.size - BATCH_PREFIX_BYTES));
    put_u32(p + AT_EPOCH, (uint32_t)b->leader_epoch);
    p[AT_MAGIC] = 2;
    put_u16(p + AT_ATTRIBUTES, b->attributes);
    put_u32(p + AT_LAST_DELTA, (uint32_t)b->last_offset_delta);
    put_u64(p + AT_BASE_TIMESTAMP, (uint64_t)b->base_timestamp);
    put_u64(p + AT_MAX_TIMESTAMP, (uint64_t)b->max_timestamp);
    put_u64(p + AT_PRODUCER_ID, (uint64_t)b->producer_id);
    put_u16(p + AT_PRODUCER_EPOCH, (uint16_t)b->producer_epoch);
    put_u32(p + AT_BASE_SEQUENCE, (uint32_t)b->base_sequence);
    put_u32(p + AT_RECORD_COUNT, (uint32_t)b->record_count);
    put_u32(p + AT_CRC, parts_crc(parts));
}

void batch_header_put(uint8_t *p, const struct batch *b)
{
    struct batch_parts whole = batch_whole(bytes_of(p, b->raw.size));
    put_header(p, b, &whole);
}

void batch_parts_put(uint8_t *to, const struct batch_parts *parts)
{
    to = put_part(to, parts->front);
    to = put_part(to, parts->lent);
    put_part(to, parts->rest);
}

static struct batch_parts text_parts(const struct batch_builder *b)
{
    struct bytes all = text_bytes(&b->text);
    if (b->lent.size == 0)
        return batch_whole(all);
    return (struct batch_parts){
        .front = bytes_of(all.data, b->lent_at),
        .lent = b->lent,
        .rest = bytes_of(all.data + b->lent_at, all.size - b->lent_at),
    };
}

/* Fill in the header. `last_delta` may exceed the count where records were left out. */
static struct batch_parts finish(struct batch_builder *b, int32_t last_delta)
{
    struct batch_parts parts = text_parts(b);
    struct batch header = {
        .raw = bytes_of(b->text.data, batch_parts_size(&parts)),
        .attributes = b->attributes,
        .last_offset_delta = last_delta,
        .base_timestamp = b->base_timestamp,
        .max_timestamp = b->max_timestamp,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .record_count = b->count,
    };
    put_header(b->text.data, &header, &parts);
    return parts;
}

struct batch_parts batch_builder_end_parts(struct batch_builder *b)
{
    check(b->count > 0);
    return finish(b, b->count - 1);
}

struct bytes batch_builder_end(struct batch_builder *b)
{
    check(b->lent.size == 0);
    return batch_builder_end_parts(b).front;
}

enum err batch_filter(const struct batch *b, int64_t base_offset, const struct offset_range *keep,
                      size_t keep_count, struct batch_builder *builder, struct bytes *out)
{
    if (b->attributes & BATCH_CODEC_MASK)
        return err_set(E_UNSUPPORTED, "compressed batches are kept whole");
    struct record_reader reader;
    struct record r;
    struct bytes records =
        bytes_of(b->raw.data + BATCH_HEADER_BYTES, b->raw.size - BATCH_HEADER_BYTES);
    record_reader_init(&reader, b, base_offset, records);
    batch_builder_begin(builder, b->attributes);
    builder->base_timestamp = b->base_timestamp;
    builder->max_timestamp = b->max_timestamp;
    size_t i = 0;
    while (record_reader_next(&reader, &r)) {
        while (i < keep_count && keep[i].to <= r.offset)
            i++;
        if (i == keep_count || r.offset < keep[i].from)
            continue;
        add_record(builder, r.timestamp, (int32_t)(r.offset - base_offset), &r.key, 1, r.value,
                   false, r.headers, r.header_count);
        builder->count++;
    }
    if (reader.left > 0)
        return err_set(E_MALFORMED, "batch at offset %lld ends before its records do",
                       (long long)base_offset);
    *out = finish(builder, b->last_offset_delta).front;
    return OK;
}
