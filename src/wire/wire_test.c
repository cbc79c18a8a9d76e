#include "wire/wire.h"

#include <stdlib.h>

#include "tests/test.h"
#include "wire/round_trip.h"
#include "wire/test_messages.h"

enum { LIMIT_BYTES = 1 << 20 };

#define HEX(s) BYTES_LITERAL(s)

static struct arena arena;

__attribute__((destructor)) static void free_arena(void)
{
    arena_reset(&arena);
}

static void fresh_arena(void)
{
    arena_reset(&arena);
    arena_init(&arena, LIMIT_BYTES);
}

static enum err decode(const struct wire_schema *schema, int version, struct bytes b, void *out)
{
    struct reader r = reader_of(b);
    fresh_arena();
    return wire_decode(schema, version, &r, &arena, out);
}

static void expect_encoded(const struct wire_schema *schema, int version, const void *in,
                           struct bytes wanted)
{
    struct text text = {0};
    expect_ok(wire_encode(schema, version, in, &text));
    expect_bytes(text_bytes(&text), wanted);
    text_reset(&text);
}

TEST(every_type_survives_a_round_trip_at_every_version)
{
    round_trip(&test_sample_request_schema, 300);
    round_trip(&test_sample_response_schema, 10);
    round_trip(&test_tagged_schema, 50);
    round_trip(&test_page_schema, 50);
    round_trip(&test_note_schema, 50);
}

/* Tagged fields (KIP-482). */

TEST(tagged_fields_are_written_in_order_and_only_when_not_default)
{
    struct test_tagged in;
    wire_init(&test_tagged_schema, &in);
    expect_int(in.third, 7);
    expect_encoded(&test_tagged_schema, 1, &in, HEX("\0"));
    in.third = 0;
    in.first = 258;
    in.second = BYTES_LITERAL("");
    /* count; tag, size, value: 0 is 258, 1 is the empty string, 2 is 0 */
    expect_encoded(&test_tagged_schema, 1, &in, HEX("\3\0\4\0\0\1\2\1\1\1\2\1\0"));
    expect_encoded(&test_tagged_schema, 0, &in, HEX(""));
}

TEST(unknown_tags_are_skipped_and_absent_ones_have_their_default)
{
    struct test_tagged out;
    expect_ok(decode(&test_tagged_schema, 1, HEX("\3\0\4\0\0\1\2\5\2xy\177\0"), &out));
    expect_int(out.first, 258);
    expect_null(out.second.data);
    expect_int(out.third, 7);
}

TEST(known_tags_must_fill_their_size)
{
    struct test_tagged out;
    expect_err(decode(&test_tagged_schema, 1, HEX("\1\0\5\0\0\1\2\0"), &out), E_MALFORMED);
    expect_err(decode(&test_tagged_schema, 1, HEX("\1\0\3\0\0\1\2"), &out), E_MALFORMED);
    expect_err(decode(&test_tagged_schema, 1, HEX("\1\0\5\0\0\1\2"), &out), E_MALFORMED);
    expect_err(decode(&test_tagged_schema, 1, HEX("\2\0\4\0\0\1\2"), &out), E_MALFORMED);
}

TEST(the_last_of_repeated_tags_counts)
{
    struct test_tagged out;
    expect_ok(decode(&test_tagged_schema, 1, HEX("\4\2\1\1\2\1\2\1\2\2a\1\1\0"), &out));
    expect_int(out.third, 2);
    expect_null(out.second.data);
}

TEST(a_tagged_struct_of_defaults_is_left_out_and_a_changed_one_is_not)
{
    struct test_sample_request in;
    struct test_sample_request out;
    struct text text = {0};
    size_t plain;
    wire_init(&test_sample_request_schema, &in);
    expect_int(in.origin.side, -1);
    expect_int(in.origin.at.x, 5);
    expect_ok(wire_size(&test_sample_request_schema, 2, &in, &plain));
    in.origin.at.y = 1;
    expect_ok(wire_encode(&test_sample_request_schema, 2, &in, &text));
    expect_int(text.size, plain + 2 + 11); /* tag, size; side, x, y and two empty tag counts */
    expect_ok(decode(&test_sample_request_schema, 2, text_bytes(&text), &out));
    expect_int(out.origin.side, -1);
    expect_int(out.origin.at.x, 5);
    expect_int(out.origin.at.y, 1);
    text_reset(&text);
}

/* Null and empty. */

TEST(null_structs_are_one_signed_byte)
{
    struct test_point point = {7, 9};
    struct test_page in = {.cursor = NULL};
    struct test_page out;
    expect_encoded(&test_page_schema, 0, &in, HEX("\xff\0"));
    in.cursor = &point;
    expect_encoded(&test_page_schema, 0, &in, HEX("\1\0\0\0\7\0\0\0\11\0\0"));
    expect_ok(decode(&test_page_schema, 0, HEX("\xff\0"), &out));
    expect_null(out.cursor);
    expect_ok(decode(&test_page_schema, 0, HEX("\1\0\0\0\7\0\0\0\11\0\0"), &out));
    expect_int(out.cursor->y, 9);
}

static void expect_same_after_travel(struct test_sample_request *in, int version,
                                     struct test_sample_request *out, struct text *text)
{
    text->size = 0;
    expect_ok(wire_encode(&test_sample_request_schema, version, in, text));
    expect_ok(decode(&test_sample_request_schema, version, text_bytes(text), out));
}

TEST(null_and_empty_stay_apart_where_the_version_knows_null)
{
    struct test_sample_request in, out;
    struct text text = {0};
    int32_t number = 0;
    for (int version = 0; version <= 4; version++) {
        wire_init(&test_sample_request_schema, &in);
        expect_same_after_travel(&in, version, &out, &text);
        expect_int(out.note.data == NULL, version >= 1);
        expect_null(out.classic.data);
        expect_null(out.maybe.data);
        expect_null(out.words.items);
        expect_int(out.points.items == NULL, version >= 2);
        expect_not_null(out.blob.data);
        expect_not_null(out.numbers.items);

        in.note = in.classic = in.maybe = in.data = bytes_of(&number, 0);
        in.words.items = (struct bytes *)(void *)&number;
        in.points.items = (struct test_point *)(void *)&number;
        expect_same_after_travel(&in, version, &out, &text);
        expect_not_null(out.note.data);
        expect_not_null(out.classic.data);
        expect_not_null(out.maybe.data);
        expect_not_null(out.data.data);
        expect_not_null(out.words.items);
        expect_not_null(out.points.items);
    }
    text_reset(&text);
}

TEST(null_is_refused_where_the_version_has_none)
{
    struct test_note note;
    expect_err(decode(&test_note_schema, 0, HEX("\0\0"), &note), E_MALFORMED);
    expect_ok(decode(&test_note_schema, 0, HEX("\1\0"), &note));
    expect_int(note.text.size, 0);
}

TEST(compact_lengths_are_one_more_than_the_length)
{
    struct test_note note = {.text = BYTES_LITERAL("ab")};
    expect_encoded(&test_note_schema, 0, &note, HEX("\3ab\0"));
    char longer[200];
    memset(longer, 'x', sizeof longer);
    note.text = bytes_of(longer, sizeof longer);
    struct text text = {0};
    expect_ok(wire_encode(&test_note_schema, 0, &note, &text));
    expect_int(text.data[0], 0xc9); /* 201 in two bytes */
    expect_int(text.data[1], 0x01);
    expect_int(text.size, 2 + 200 + 1);
    text_reset(&text);
}

/* Versions and defaults. */

TEST(fields_of_other_versions_have_their_defaults)
{
    struct test_sample_request in, out;
    struct text text = {0};
    wire_init(&test_sample_request_schema, &in);
    in.huge = 77;
    in.limit = 200;
    in.place = (struct test_point){1, 2};
    expect_same_after_travel(&in, 0, &out, &text);
    expect_int(out.huge, -1);
    expect_int(out.limit, 100);
    expect_int(out.place.x, 5);
    expect_int(out.port, 9092);
    expect_int(out.origin.side, -1);
    expect_same_after_travel(&in, 3, &out, &text);
    expect_int(out.huge, 77);
    expect_int(out.limit, 200);
    expect_int(out.place.y, 2);
    expect_same_after_travel(&in, 4, &out, &text);
    expect_int(out.huge, -1);
    text_reset(&text);
}

TEST(unknown_versions_are_refused)
{
    struct test_note note = {.text = BYTES_NULL};
    struct text text = {0};
    size_t size = 99;
    expect_err(decode(&test_note_schema, 2, HEX("\1\0"), &note), E_UNSUPPORTED);
    expect_err_text("note has versions 0 to 1, not 2");
    expect_err(wire_encode(&test_note_schema, -1, &note, &text), E_UNSUPPORTED);
    expect_err(wire_size(&test_note_schema, 2, &note, &size), E_UNSUPPORTED);
    expect_int(size, 99);
}

TEST(new_items_begin_with_their_defaults)
{
    fresh_arena();
    struct test_point *points = wire_new(&test_point_schema, &arena, 3);
    for (int i = 0; i < 3; i++)
        expect_int(points[i].x, 5);
    expect_not_null(wire_new(&test_point_schema, &arena, 0));
    expect_null(wire_new(&test_point_schema, &arena, LIMIT_BYTES));
    arena_reset(&arena);
}

/* Limits. */

TEST(counts_are_bounded_by_the_bytes_left)
{
    struct test_sample_request in;
    struct text text = {0};
    wire_init(&test_sample_request_schema, &in);
    expect_ok(wire_encode(&test_sample_request_schema, 0, &in, &text));
    /* numbers, words, points: the three counts at the end of version 0 */
    for (size_t place = text.size - 12; place < text.size; place += 4) {
        struct test_sample_request out;
        uint8_t kept[4];
        memcpy(kept, text.data + place, 4);
        put_u32(text.data + place, 0x7fffffff);
        expect_err(decode(&test_sample_request_schema, 0, text_bytes(&text), &out), E_MALFORMED);
        expect_false(arena.exhausted);
        memcpy(text.data + place, kept, 4);
    }
    text_reset(&text);
}

TEST(counts_are_bounded_by_the_arena)
{
    struct test_sample_request in, out;
    struct text text = {0};
    wire_init(&test_sample_request_schema, &in);
    fresh_arena();
    in.numbers.count = 1000;
    in.numbers.items = arena_zalloc(&arena, 1000, sizeof(int32_t));
    expect_ok(wire_encode(&test_sample_request_schema, 1, &in, &text));
    arena_reset(&arena);

    struct reader r = reader_of(text_bytes(&text));
    struct arena small;
    arena_init(&small, 2000);
    expect_err(wire_decode(&test_sample_request_schema, 1, &r, &small, &out), E_TOO_LARGE);
    expect_err_text("sample_request v1");
    arena_reset(&small);
    text_reset(&text);
}

TEST(a_pointer_over_the_arenas_limit_is_an_error)
{
    struct test_page out;
    struct reader r = reader_of(HEX("\1\0\0\0\7\0\0\0\11\0\0"));
    struct arena none;
    arena_init(&none, 0);
    expect_err(wire_decode(&test_page_schema, 0, &r, &none, &out), E_TOO_LARGE);
    arena_reset(&none);
}

TEST(strings_too_long_for_their_length_are_refused_when_encoding)
{
    static char big[40000];
    struct test_sample_request in;
    struct text text = {0};
    wire_init(&test_sample_request_schema, &in);
    in.name = bytes_of(big, INT16_MAX);
    expect_ok(wire_encode(&test_sample_request_schema, 1, &in, &text));
    in.name = bytes_of(big, INT16_MAX + 1);
    text.size = 5;
    expect_err(wire_encode(&test_sample_request_schema, 1, &in, &text), E_TOO_LARGE);
    expect_int(text.size, 5);
    expect_ok(wire_encode(&test_sample_request_schema, 2, &in, &text)); /* compact */
    in.name = BYTES_NULL;
    in.classic = bytes_of(big, INT16_MAX + 1);
    expect_err(wire_encode(&test_sample_request_schema, 2, &in, &text), E_TOO_LARGE);
    in.classic = BYTES_NULL;
    in.data = bytes_of(big, SIZE_MAX / 2);
    expect_err(wire_encode(&test_sample_request_schema, 2, &in, &text), E_TOO_LARGE);
    text_reset(&text);
}

TEST(the_error_names_message_version_and_position)
{
    struct test_tagged out;
    expect_err(decode(&test_tagged_schema, 1, HEX("\1\0\4\0\0"), &out), E_MALFORMED);
    expect_err_text("tagged v1 of 5 bytes is malformed at byte 3");
}

TEST(what_follows_the_message_is_left_to_the_caller)
{
    struct test_note note;
    struct reader r = reader_of(HEX("\2a\0rest"));
    fresh_arena();
    expect_ok(wire_decode(&test_note_schema, 0, &r, &arena, &note));
    expect_bytes(bytes_of(r.at, reader_left(&r)), BYTES_LITERAL("rest"));
}

/* Records left out. */

TEST(cuts_name_the_places_of_the_records)
{
    struct test_sample_request in;
    struct text whole = {0}, cut = {0};
    struct wire_cuts cuts;
    wire_init(&test_sample_request_schema, &in);
    in.data = BYTES_LITERAL("a batch of records");
    text_append_string(&cut, "head");
    fresh_arena();
    expect_ok(wire_encode(&test_sample_request_schema, 4, &in, &whole));
    expect_ok(wire_encode_cut(&test_sample_request_schema, 4, &in, &cut, &arena, &cuts));

    expect_int(cuts.count, 1);
    expect_true(cuts.items[0].records == &in.data);
    size_t position = cuts.items[0].position;
    expect_bytes(bytes_of(whole.data, position - 4), bytes_of(cut.data + 4, position - 4));
    expect_bytes(bytes_of(whole.data + position - 4, in.data.size), in.data);
    expect_bytes(bytes_of(whole.data + position - 4 + in.data.size,
                          whole.size - (position - 4) - in.data.size),
                 bytes_of(cut.data + position, cut.size - position));
    arena_reset(&arena);
    text_reset(&whole);
    text_reset(&cut);
}

TEST(cuts_over_the_arenas_limit_are_an_error_and_append_nothing)
{
    struct test_sample_request in;
    struct text text = {0};
    struct wire_cuts cuts;
    struct arena none;
    wire_init(&test_sample_request_schema, &in);
    arena_init(&none, 0);
    expect_err(wire_encode_cut(&test_sample_request_schema, 4, &in, &text, &none, &cuts),
               E_TOO_LARGE);
    expect_int(text.size, 0);
    expect_err(wire_encode_cut(&test_sample_request_schema, 5, &in, &text, &none, &cuts),
               E_UNSUPPORTED);
    arena_reset(&none);
}

TEST(put_writes_what_encode_appends)
{
    struct test_note note = {.text = BYTES_LITERAL("ab")};
    uint8_t out[4];
    expect_true(wire_put(&test_note_schema, 0, &note, out) == out + sizeof out);
    expect_bytes(bytes_of(out, sizeof out), HEX("\3ab\0"));
}

/* Text. */

TEST(a_dump_shows_what_is_on_the_wire)
{
    struct test_sample_request in;
    struct text text = {0};
    struct test_point points[] = {{1, 2}, {3, 4}};
    struct bytes words[] = {BYTES_LITERAL("x"), BYTES_LITERAL("a\"\n")};
    static const uint8_t blob[40] = {0xab};
    wire_init(&test_sample_request_schema, &in);
    in.name = BYTES_LITERAL("orders");
    in.real = 0.5;
    in.blob = bytes_of(blob, sizeof blob);
    in.maybe = bytes_of(blob, 1);
    in.points.items = points;
    in.points.count = 2;
    in.words.items = words;
    in.words.count = 2;
    in.on = true;
    in.far = &points[0];
    wire_dump(&test_sample_request_schema, 3, &in, &text);
    expect_string((char *)text.data,
                  "sample_request v3\n"
                  "  flag: false\n"
                  "  tiny: 0\n"
                  "  small: 0\n"
                  "  port: 9092\n"
                  "  number: 0\n"
                  "  big: 0\n"
                  "  huge: -1\n"
                  "  real: 0.5\n"
                  "  id: 00000000-0000-0000-0000-000000000000\n"
                  "  name: \"orders\"\n"
                  "  note: null\n"
                  "  classic: null\n"
                  "  blob: 40 bytes "
                  "ab00000000000000000000000000000000000000000000000000000000000000...\n"
                  "  maybe: 1 byte ab\n"
                  "  data: null\n"
                  "  numbers: []\n"
                  "  words: [\"x\", \"a\\\"\\x0a\"]\n"
                  "  points: 2 items\n"
                  "    - x: 1\n"
                  "      y: 2\n"
                  "    - x: 3\n"
                  "      y: 4\n"
                  "  place:\n"
                  "    x: 5\n"
                  "    y: 0\n"
                  "  where: null\n"
                  "  far:\n"
                  "    x: 1\n"
                  "    y: 2\n"
                  "  on: true\n");
    text_reset(&text);
}

TEST(random_messages_over_the_arenas_limit_are_refused)
{
    struct test_sample_request out;
    struct random random;
    struct arena small;
    int refused = 0;
    random_init(&random, test_seed());
    for (int i = 0; i < 50; i++) {
        arena_init(&small, 64);
        refused += !wire_random(&test_sample_request_schema, 4, &random, &small, &out);
        arena_reset(&small);
    }
    expect_true(refused > 40);
}

/* Tables. */

TEST(records_are_found_by_id)
{
    expect_true(wire_record_find(test_records, TEST_RECORD_COUNT, 3)->schema == &test_note_schema);
    expect_null(wire_record_find(test_records, TEST_RECORD_COUNT, 2));
    expect_null(wire_record_find(test_records, TEST_RECORD_COUNT, 4));
    expect_int(TEST_RECORD_NOTE, 3);
}

TEST(api_rows_hold_what_the_schema_says)
{
    const struct wire_api *api = wire_api_find(test_apis, TEST_API_COUNT, TEST_SAMPLE);
    expect_string(api->name, "Sample");
    expect_int(api->min, 0);
    expect_int(api->max, 4);
    expect_int(api->stable_max, 3);
    expect_int(api->flexible_since, 2);
    expect_true(api->plain_response_header);
    expect_int(wire_request_header_version(api, 1), 1);
    expect_int(wire_request_header_version(api, 2), 2);
    expect_int(wire_response_header_version(api, 2), 0);
}
