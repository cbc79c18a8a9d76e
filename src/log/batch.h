/*
 * Kafka record batches, version 2: the unit that logs store, byte for byte as producers send them.
 *
 *   0  i64 base offset        (ours; outside the checksum)
 *   8  i32 length             bytes behind this field: total - 12
 *  12  i32 leader epoch       (ours; outside the checksum)
 *  16  i8  magic = 2
 *  17  u32 crc32c             of bytes 21 to the end
 *  21  i16 attributes         bits 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6
 * horizon 23  i32 last offset delta 27  i64 base timestamp 35  i64 max timestamp 43  i64 producer
 * id, 51 i16 producer epoch, 53 i32 base sequence (-1 when none) 57  i32 record count 61  records
 * (compressed as a whole when the codec is not 0)
 *
 * A record: varint length, i8 attributes, varlong timestamp delta, varint offset delta, varint key
 * size (-1 null), key, varint value size (-1 null), value, varint header count, and for each header
 * varint key size, key, varint value size (-1 null), value. All varints zigzag.
 * Source: Kafka's message format documentation (KIP-98). All pure; any thread.
 */
#ifndef LOG_BATCH_H
#define LOG_BATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    BATCH_HEADER_BYTES = 61,
    BATCH_PREFIX_BYTES = 12, /* base offset and length: what a reader needs to find the end */
    BATCH_CRC_FROM = 21,
    BATCH_STAMP_BYTES = 16, /* the part that batch_stamp() changes lies in these */
};

enum batch_attribute {
    BATCH_CODEC_MASK = 7,
    BATCH_LOG_APPEND_TIME = 8,
    BATCH_TRANSACTIONAL = 16,
    BATCH_CONTROL = 32,
    BATCH_DELETE_HORIZON = 64,
};

struct offset_range {
    int64_t from, to; /* [from, to) */
};

enum batch_codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };

struct batch {
    struct bytes raw; /* the whole batch, borrowed */
    int64_t base_offset;
    int32_t leader_epoch;
    uint32_t crc;
    uint16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp, max_timestamp; /* ms */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
};

/* Read the header of the batch at the front of `in`, which may hold more. Checks that it is whole
 * and its numbers are possible, not its checksum. E_MALFORMED; E_UNSUPPORTED for another magic;
 * E_OUT_OF_RANGE when `in` ends before the batch does. */
must_use enum err batch_parse(struct bytes in, struct batch *out);

/* The same from the header alone (BATCH_HEADER_BYTES at `p`): out->raw says how long the batch is. */
must_use enum err batch_header_get(const uint8_t *p, struct batch *out);

/* Is the checksum right? */
bool batch_is_intact(const struct batch *b);

/* What a producer's batch must be (kafka append rules): checksum, base offset 0 not required, count
 * equal to last offset delta + 1 and above 0, a known codec, no control bit, max timestamp not
 * below what its header says. E_CORRUPT for the checksum, E_MALFORMED for the rest. Does not
 * decompress. */
must_use enum err batch_check_produced(const struct batch *b);

static inline int64_t batch_last_offset(const struct batch *b)
{
    return b->base_offset + b->last_offset_delta;
}

static inline bool batch_is_control(const struct batch *b)
{
    return b->attributes & BATCH_CONTROL;
}

/* Write base offset and leader epoch into a batch that lies in memory of ours. */
void batch_stamp(uint8_t *raw, int64_t base_offset, int32_t leader_epoch);

struct record {
    int64_t offset;
    int64_t timestamp; /* ms */
    struct bytes key, value;
    struct bytes headers; /* undecoded */
    int32_t header_count;
};

/* Walks the records of an uncompressed batch, or of what batch_inflate() gave. `base_offset` comes
 * from the log, because a batch stored once for many logs has other numbers in its bytes. */
struct record_reader {
    const uint8_t *at, *end;
    int64_t base_offset, base_timestamp;
    int64_t append_time; /* -1, or the time of all records (LogAppendTime) */
    int32_t left;        /* records not read yet */
    int64_t last_delta;  /* no record lies above it, */
    int64_t delta;       /* nor at or below the one before; -1 at first */
};

void record_reader_init(struct record_reader *r, const struct batch *b, int64_t base_offset,
                        struct bytes records);
/* true and *out, or false at the end. Damage also ends it, with r->left > 0. */
bool record_reader_next(struct record_reader *r, struct record *out);

/* The records of `b`: its own bytes when not compressed, else inflated into `*scratch` (at most
 * `limit` bytes). E_CORRUPT, E_TOO_LARGE, E_UNSUPPORTED. */
must_use enum err batch_inflate(const struct batch *b, size_t limit, struct text *scratch,
                                struct bytes *out_records);

/* The other way: append `records`, compressed, to `out`. E_UNSUPPORTED, E_NO_MEMORY. */
must_use enum err batch_deflate(enum batch_codec codec, struct bytes records, struct text *out);
/* At the codec's own level, of those that have any. */
enum { BATCH_LEVEL_STANDARD = INT_MIN };
must_use enum err batch_deflate_at(enum batch_codec codec, int level, struct bytes records,
                                   struct text *out);
/* Write a header at `p`: what `b` says, of b->raw.size bytes in all; the rest lies there already.
 * With its checksum. */
void batch_header_put(uint8_t *p, const struct batch *b);

/* A whole batch that is to be appended: these bytes one behind the other, the header in the first. */
struct batch_parts {
    struct bytes front, lent, rest;
};

static inline struct batch_parts batch_whole(struct bytes raw)
{
    return (struct batch_parts){.front = raw};
}

static inline size_t batch_parts_size(const struct batch_parts *parts)
{
    return parts->front.size + parts->lent.size + parts->rest.size;
}

void batch_parts_put(uint8_t *to, const struct batch_parts *parts);

/* Builds an uncompressed batch, record by record. */
struct batch_builder {
    struct text text;  /* header room, then records */
    struct bytes lent; /* a value that is not copied here, */
    size_t lent_at;    /* and where it belongs */
    int64_t base_timestamp, max_timestamp;
    int32_t count;
    uint16_t attributes;
};

/* Start; keeps the memory of an earlier use. */
void batch_builder_begin(struct batch_builder *b, uint16_t attributes);
void batch_builder_reset(struct batch_builder *b); /* frees */
/* Null key or value: .data NULL. `headers` is already encoded, count records of it. */
void batch_builder_add(struct batch_builder *b, int64_t timestamp_ms, struct bytes key,
                       struct bytes value, struct bytes headers, int32_t header_count);
/* As above with a key given in parts. One value of a batch may be lent: it is not copied, so that a
 * large one is copied once in all, and has to stay until batch_builder_end_parts(). */
void batch_builder_add_parts(struct batch_builder *b, int64_t timestamp_ms,
                             const struct bytes *key_parts, int key_count, struct bytes value,
                             bool lend);
/* What is left of `b` when only the records with offsets in `keep` (ascending) stay: same offsets,
 * same base and last offset, holes between. E_UNSUPPORTED for compressed batches, E_MALFORMED. */
must_use enum err batch_filter(const struct batch *b, int64_t base_offset,
                               const struct offset_range *keep, size_t keep_count,
                               struct batch_builder *builder, struct bytes *out);
/* Complete header and checksum (base offset 0, epoch 0, no producer). Valid until the next begin.
 */
struct batch_parts batch_builder_end_parts(struct batch_builder *b);
/* The same for a batch in which nothing is lent. */
struct bytes batch_builder_end(struct batch_builder *b);

#endif
