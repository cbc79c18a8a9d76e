#include "wire/amqp_table.h"

#include "tests/test.h"

/* One of each type, as clients send them. */
static const char all_types[] = "\1at\1"
                                "\1bb\xff"
                                "\1cB\xff"
                                "\1ds\xff\xfe"
                                "\1eu\xff\xfe"
                                "\1fI\xff\xff\xff\xfd"
                                "\1gi\xff\xff\xff\xfd"
                                "\1hl\xff\xff\xff\xff\xff\xff\xff\xfc"
                                "\1iL\0\0\0\0\0\0\0\4"
                                "\1jT\0\0\0\0\0\0\0\5"
                                "\1kf\x3f\0\0\0"
                                "\1ld\x3f\xe0\0\0\0\0\0\0"
                                "\1mD\2\0\0\0\7"
                                "\1nS\0\0\0\2hi"
                                "\1ox\0\0\0\1\x9f"
                                "\1pV"
                                "\1qF\0\0\0\4\1zt\0"
                                "\1rA\0\0\0\3Vt\1";

#define ALL_TYPES bytes_of(all_types, sizeof all_types - 1)

TEST(a_table_of_all_types_is_valid_and_shows_every_value)
{
    struct text text = {0};
    expect_ok(amqp_table_validate(ALL_TYPES, AMQP_TABLE_DEPTH_MAX));
    amqp_table_dump(ALL_TYPES, &text);
    expect_string((char *)text.data,
                  "{a: t true, b: b -1, c: B 255, d: s -2, e: u 65534, f: I -3, g: i 4294967293, "
                  "h: l -4, i: L 4, j: T 5, k: f 0.5, l: d 0.5, m: D 7E-2, n: S \"hi\", "
                  "o: x 1 byte 9f, p: V, q: F {z: t false}, r: A [V, t true]}");
    text_reset(&text);
}

TEST(a_table_written_again_from_its_values_is_the_same)
{
    struct text text = {0};
    struct reader r = reader_of(ALL_TYPES);
    struct amqp_entry e;
    while (amqp_table_next(&r, &e))
        amqp_table_put_named(&text, e.name, &e.value);
    expect_false(r.bad);
    expect_bytes(text_bytes(&text), ALL_TYPES);
    text_reset(&text);
}

TEST(a_table_cut_short_is_refused_unless_between_entries)
{
    struct reader r = reader_of(ALL_TYPES);
    struct amqp_entry e;
    size_t good = 0; /* where the entry ends that was read last */
    for (size_t size = 0; size < ALL_TYPES.size; size++) {
        bool whole = size == good;
        expect_int(amqp_table_validate(bytes_of(all_types, size), 32), whole ? OK : E_MALFORMED);
        if (whole) {
            expect_true(amqp_table_next(&r, &e));
            good = ALL_TYPES.size - reader_left(&r);
        }
    }
}

TEST(unknown_types_are_refused)
{
    char entry[] = "\1a?\0\0\0\0\0\0\0\0";
    for (int tag = 0; tag < 256; tag++) {
        entry[2] = (char)tag;
        bool known = tag != 0 && strchr("tbBsuIilLTfdDSxVFA", tag);
        struct reader r = reader_of(bytes_of(entry, sizeof entry - 1));
        struct amqp_entry e;
        expect_int(amqp_table_next(&r, &e), known);
        expect_int(r.bad, !known);
    }
}

static void nest(struct text *t, int levels)
{
    for (int i = 0; i < levels; i++) {
        struct text inner = *t;
        *t = (struct text){0};
        if (i % 2)
            amqp_table_put_table(t, "t", text_bytes(&inner));
        else
            amqp_table_put(t, "a", &(struct amqp_value){.tag = 'F', .bytes = text_bytes(&inner)});
        text_reset(&inner);
    }
}

TEST(nesting_is_bounded)
{
    struct text t = {0};
    nest(&t, 4);
    expect_ok(amqp_table_validate(text_bytes(&t), 5));
    expect_err(amqp_table_validate(text_bytes(&t), 4), E_MALFORMED);
    expect_err_text("deeper than 4");
    nest(&t, 1000);
    expect_err(amqp_table_validate(text_bytes(&t), AMQP_TABLE_DEPTH_MAX), E_MALFORMED);
    struct text dump = {0};
    amqp_table_dump(text_bytes(&t), &dump); /* ends too */
    expect_not_null(strstr((char *)dump.data, "!too deep"));
    text_reset(&dump);
    text_reset(&t);
}

TEST(nested_damage_is_found)
{
    expect_err(amqp_table_validate(BYTES_LITERAL("\1qF\0\0\0\4\1z?\0"), 32), E_MALFORMED);
    expect_err(amqp_table_validate(BYTES_LITERAL("\1rA\0\0\0\2Vt"), 32), E_MALFORMED);
    struct text dump = {0};
    amqp_table_dump(BYTES_LITERAL("\1aV\1rA\0\0\0\2Vt"), &dump);
    expect_string((char *)dump.data, "{a: V, r: A [V, !malformed]}");
    text_reset(&dump);
}

TEST(an_empty_table_is_valid_and_so_is_none)
{
    expect_ok(amqp_table_validate(BYTES_NULL, 1));
    expect_ok(amqp_table_validate(BYTES_LITERAL(""), 1));
}

TEST(find_takes_the_first_of_a_name)
{
    struct amqp_value v = {.number = 42};
    struct bytes table = BYTES_LITERAL("\1at\1\1ab\7\1bb\11");
    expect_true(amqp_table_find(table, "a", &v));
    expect_int(v.tag, 't');
    expect_true(amqp_table_find(table, "b", &v));
    expect_int(v.number, 9);
    expect_false(amqp_table_find(table, "c", &v));
    expect_int(v.number, 9);
    expect_false(amqp_table_find(BYTES_LITERAL("\1a?\1bb\1"), "b", &v));
}

TEST(integers_of_all_widths_are_integers_and_nothing_else_is)
{
    struct reader r = reader_of(ALL_TYPES);
    struct amqp_entry e;
    int integers = 0;
    int64_t v;
    while (amqp_table_next(&r, &e))
        integers += amqp_value_integer(&e.value, &v);
    expect_int(integers, 8);
    expect_true(amqp_table_find(ALL_TYPES, "f", &e.value) && amqp_value_integer(&e.value, &v));
    expect_int(v, -3);
}

TEST(tables_are_built_entry_by_entry)
{
    struct text t = {0};
    amqp_table_put_bool(&t, "on", true);
    amqp_table_put_string(&t, "s", BYTES_LITERAL("x"));
    amqp_table_put_table(&t, "f", BYTES_LITERAL("\1at\1"));
    expect_bytes(text_bytes(&t), BYTES_LITERAL("\2ont\1"
                                               "\1sS\0\0\0\1x\1fF\0\0\0\4\1at\1"));
    text_reset(&t);
}

TEST(random_tables_are_valid)
{
    struct random random;
    random_init(&random, test_seed());
    for (int i = 0; i < 500; i++) {
        struct arena arena;
        arena_init(&arena, 1 << 20);
        expect_ok(amqp_table_validate(amqp_table_random(&random, &arena, 3), 3));
        arena_reset(&arena);
    }
}
