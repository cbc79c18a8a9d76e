/* What compaction makes of one batch, for every codec. */
#include "tests/test.h"

#include "log/batch_compact.h"
#include "log/key_map.h"

#include <stdio.h>
#include <stdlib.h>

enum { NOW_MS = 1000000, RETENTION_MS = 5000 };

/* Keep the records whose offset's bit is set. */
static bool keep_bits(void *ctx, const struct record *r, bool may_go)
{
    const uint64_t *bits = ctx;
    return (*bits >> (r->offset - 100) & 1) && (r->value.data || !may_go);
}

static struct batch_rules rules_of(uint64_t *bits, bool keep_empty)
{
    return (struct batch_rules){.keep = keep_bits,
                                .ctx = bits,
                                .now_ms = NOW_MS,
                                .delete_retention_ms = RETENTION_MS,
                                .keep_empty = keep_empty,
                                .inflate_limit = 1 << 20};
}

/* A batch of ten records at offset 100, of a producer, compressed; record i has key "k<i>", time
 * 500 + i and, unless it is in `tombstones`, value "v<i>". */
static struct bytes make_batch(enum batch_codec codec, uint64_t tombstones, struct text *out)
{
    struct batch_builder builder = {0};
    struct batch b;
    char key[8], value[8];
    batch_builder_begin(&builder, 0);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "v%d", i);
        batch_builder_add(&builder, 500 + i, bytes_from_string(key),
                          tombstones >> i & 1 ? BYTES_NULL : bytes_from_string(value), BYTES_NULL,
                          0);
    }
    expect_ok(batch_parse(batch_builder_end(&builder), &b));
    out->size = 0;
    text_append_zeros(out, BATCH_HEADER_BYTES);
    expect_ok(batch_deflate(
        codec, bytes_of(b.raw.data + BATCH_HEADER_BYTES, b.raw.size - BATCH_HEADER_BYTES), out));
    b.raw = text_bytes(out);
    b.base_offset = 100;
    b.leader_epoch = 7;
    b.attributes = (uint16_t)codec;
    b.producer_id = 77;
    b.producer_epoch = 3;
    b.base_sequence = 12;
    batch_header_put(out->data, &b);
    batch_builder_reset(&builder);
    return b.raw;
}

static void expect_same_frame(const struct batch *b, const struct batch *want)
{
    expect_true(batch_is_intact(b));
    expect_int(b->base_offset, want->base_offset);
    expect_int(b->last_offset_delta, want->last_offset_delta);
    expect_int(b->leader_epoch, want->leader_epoch);
    expect_int(b->producer_id, want->producer_id);
    expect_int(b->producer_epoch, want->producer_epoch);
    expect_int(b->base_sequence, want->base_sequence);
}

/* The records are those of `bits`, with their keys, values and times. */
static void expect_records(const struct batch *b, uint64_t bits, uint64_t tombstones)
{
    struct text scratch = {0};
    struct bytes records;
    struct record_reader reader;
    struct record r;
    expect_ok(batch_inflate(b, 1 << 20, &scratch, &records));
    record_reader_init(&reader, b, b->base_offset, records);
    for (int i = 0; i < 10; i++) {
        if (!(bits >> i & 1))
            continue;
        char key[8], value[8];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "v%d", i);
        expect_true(record_reader_next(&reader, &r));
        expect_int(r.offset, 100 + i);
        expect_int(r.timestamp, 500 + i);
        expect_true(bytes_equal(r.key, bytes_from_string(key)));
        expect_int(r.value.data == NULL, tombstones >> i & 1);
        expect_true(!r.value.data || bytes_equal(r.value, bytes_from_string(value)));
    }
    expect_false(record_reader_next(&reader, &r));
    expect_int(reader.left, 0);
    text_reset(&scratch);
}

TEST(what_is_kept_of_a_batch_keeps_its_offsets_times_codec_and_producer)
{
    struct text raw = {0};
    struct batch_compactor c = {0};
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        for (uint64_t bits = 1; bits < 1023; bits = bits * 3 + 1) {
            struct batch before, after;
            struct bytes out;
            struct batch_rules rules = rules_of(&bits, false);
            expect_ok(batch_parse(make_batch((enum batch_codec)codec, 0, &raw), &before));
            expect_ok(batch_compact(&before, &rules, &c, &out));
            expect_ok(batch_parse(out, &after));
            expect_same_frame(&after, &before);
            expect_int(after.attributes, codec);
            expect_int(after.record_count, __builtin_popcountll(bits));
            expect_int(after.max_timestamp, 500 + 63 - __builtin_clzll(bits));
            expect_records(&after, bits, 0);
        }
    }
    batch_compactor_reset(&c);
    text_reset(&raw);
}

TEST(a_batch_of_which_all_stays_is_not_touched_and_one_of_which_nothing_does_goes_or_is_empty)
{
    struct text raw = {0};
    struct batch_compactor c = {0};
    struct batch before, after;
    struct bytes out;
    uint64_t all = 1023, none = 0;
    expect_ok(batch_parse(make_batch(CODEC_ZSTD, 0, &raw), &before));
    struct batch_rules rules = rules_of(&all, false);
    expect_ok(batch_compact(&before, &rules, &c, &out));
    expect_true(out.data == before.raw.data);
    rules = rules_of(&none, false);
    expect_ok(batch_compact(&before, &rules, &c, &out));
    expect_true(out.data == NULL);
    rules = rules_of(&none, true);
    expect_ok(batch_compact(&before, &rules, &c, &out));
    expect_ok(batch_parse(out, &after));
    expect_same_frame(&after, &before);
    expect_int(after.raw.size, BATCH_HEADER_BYTES);
    expect_int(after.record_count, 0);
    expect_int(after.attributes, 0);
    struct batch empty = after;
    struct text copy = {0};
    text_append(&copy, after.raw);
    empty.raw = text_bytes(&copy);
    expect_ok(batch_compact(&empty, &rules, &c, &out)); /* stays as long as it is wanted */
    expect_true(out.data == empty.raw.data);
    rules = rules_of(&none, false);
    expect_ok(batch_compact(&empty, &rules, &c, &out));
    expect_true(out.data == NULL);
    text_reset(&copy);
    batch_compactor_reset(&c);
    text_reset(&raw);
}

TEST(tombstones_get_a_horizon_once_and_go_when_it_has_passed)
{
    struct text raw = {0}, copy = {0};
    struct batch_compactor c = {0};
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        uint64_t bits = 1023, tombstones = 0x14;
        struct batch before, after;
        struct bytes out;
        struct batch_rules rules = rules_of(&bits, false);
        expect_ok(batch_parse(make_batch((enum batch_codec)codec, tombstones, &raw), &before));
        expect_ok(batch_compact(&before, &rules, &c, &out));
        expect_ok(batch_parse(out, &after));
        expect_same_frame(&after, &before);
        expect_int(after.attributes, codec | BATCH_DELETE_HORIZON);
        expect_int(after.base_timestamp, NOW_MS + RETENTION_MS);
        expect_records(&after, 1023, tombstones);
        copy.size = 0;
        text_append(&copy, after.raw);
        expect_ok(batch_parse(text_bytes(&copy), &before));
        rules.now_ms = NOW_MS + RETENTION_MS - 1; /* later, but not yet */
        expect_ok(batch_compact(&before, &rules, &c, &out));
        expect_true(out.data == before.raw.data);
        rules.now_ms++;
        expect_ok(batch_compact(&before, &rules, &c, &out));
        expect_ok(batch_parse(out, &after));
        expect_same_frame(&after, &before);
        expect_int(after.base_timestamp, NOW_MS + RETENTION_MS);
        expect_records(&after, 1023 & ~tombstones, 0);
    }
    batch_compactor_reset(&c);
    text_reset(&copy);
    text_reset(&raw);
}

TEST(a_horizon_beyond_all_time_is_never_reached)
{
    struct text raw = {0}, copy = {0};
    struct batch_compactor c = {0};
    uint64_t bits = 1023;
    struct batch before, after;
    struct bytes out;
    struct batch_rules rules = rules_of(&bits, false);
    rules.delete_retention_ms = INT64_MAX;
    expect_ok(batch_parse(make_batch(CODEC_NONE, 1, &raw), &before));
    expect_ok(batch_compact(&before, &rules, &c, &out));
    expect_ok(batch_parse(out, &after));
    expect_int(after.base_timestamp, INT64_MAX);
    text_append(&copy, after.raw);
    expect_ok(batch_parse(text_bytes(&copy), &before));
    expect_records(&before, 1023, 1);
    expect_ok(batch_compact(&before, &rules, &c, &out));
    expect_true(out.data == before.raw.data);
    batch_compactor_reset(&c);
    text_reset(&copy);
    text_reset(&raw);
}

TEST(a_batch_that_cannot_be_decoded_is_not_compacted)
{
    struct text raw = {0};
    struct batch_compactor c = {0};
    uint64_t bits = 1;
    struct bytes out = {0};
    struct batch_rules rules = rules_of(&bits, false);
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct batch b;
        make_batch((enum batch_codec)codec, 0, &raw);
        raw.size -= 9;
        expect_ok(batch_parse(make_batch((enum batch_codec)codec, 0, &raw), &b));
        b.raw.size -= 9;
        enum err err = batch_compact(&b, &rules, &c, &out);
        expect_true(err != OK);
        expect_true(out.data == NULL);
    }
    struct batch b;
    expect_ok(batch_parse(make_batch(CODEC_GZIP, 0, &raw), &b));
    rules.inflate_limit = 50;
    expect_err(batch_compact(&b, &rules, &c, &out), E_TOO_LARGE);
    b.attributes = 7;
    expect_err(batch_compact(&b, &rules, &c, &out), E_UNSUPPORTED);
    batch_compactor_reset(&c);
    text_reset(&raw);
}

TEST(large_records_survive_every_codec)
{
    struct text records = {0}, packed = {0}, unpacked = {0};
    for (uint32_t i = 0; i < 100000; i++)
        text_put_u32(&records, i * i);
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct bytes out;
        packed.size = 0;
        text_append_zeros(&packed, BATCH_HEADER_BYTES);
        expect_ok(batch_deflate((enum batch_codec)codec, text_bytes(&records), &packed));
        struct batch b = {.raw = text_bytes(&packed), .attributes = (uint16_t)codec};
        expect_ok(batch_inflate(&b, 1 << 20, &unpacked, &out));
        expect_true(bytes_equal(out, text_bytes(&records)));
    }
    expect_err(batch_deflate(CODEC_COUNT, text_bytes(&records), &packed), E_UNSUPPORTED);
    text_reset(&records);
    text_reset(&packed);
    text_reset(&unpacked);
}

/* ---- the key map ---- */

TEST(keys_are_hashed_as_siphash_says)
{
    struct key_map m;
    key_map_init(&m, 1 << 16);
    expect_true(key_map_put(&m, bytes_from_string(""), 5));
    for (size_t i = 0; i < m.capacity; i++) {
        if (m.slots[i].offset < 0)
            continue;
        expect_true(m.slots[i].hash[0] == 0xe6a825ba047f81a3); /* of the reference's vectors */
        expect_true(m.slots[i].hash[1] == 0x930255c71472f66d);
    }
    key_map_reset(&m);
}

TEST(a_key_map_knows_the_newest_offset_of_each_key_until_it_is_full)
{
    struct key_map m;
    char key[32];
    int64_t n = 0;
    key_map_init(&m, 1 << 16);
    expect_int(key_map_get(&m, bytes_from_string("a")), -1);
    for (;; n++) {
        snprintf(key, sizeof key, "key number %lld", (long long)n);
        if (!key_map_put(&m, bytes_from_string(key), n))
            break;
    }
    expect_true(n > 1500 && m.capacity * sizeof *m.slots <= 1 << 16);
    for (int64_t i = 0; i < n; i += 2) { /* known keys still move */
        snprintf(key, sizeof key, "key number %lld", (long long)i);
        expect_true(key_map_put(&m, bytes_from_string(key), n + i));
    }
    for (int64_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key number %lld", (long long)i);
        expect_int(key_map_get(&m, bytes_from_string(key)), i % 2 ? i : n + i);
    }
    expect_int(key_map_get(&m, bytes_from_string("another")), -1);
    key_map_reset(&m);
}
