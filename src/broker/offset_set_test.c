#include "tests/test.h"

#include "base/random.h"
#include "broker/offset_set.h"

enum { MODEL = 3000 };
static const int64_t NEAR_2_32 = ((int64_t)1 << 32) - MODEL / 2;

TEST(an_empty_offset_set_holds_no_memory)
{
    struct offset_set s = {0};
    expect_true(offset_set_add(&s, 7));
    expect_false(offset_set_add(&s, 7));
    expect_true(offset_set_remove(&s, 7));
    expect_false(offset_set_remove(&s, 7));
    expect_true(offset_set_is_empty(&s));
    expect_null(s.parts.items);
}

TEST(an_offset_set_finds_the_end_of_a_run_of_millions_across_the_border_of_parts)
{
    struct offset_set s = {0};
    int64_t from = ((int64_t)1 << 32) - 5000000, to = ((int64_t)1 << 32) + 7000001;
    offset_set_add_range(&s, from, to);
    expect_int(offset_set_next_absent(&s, from + 3), to);
    expect_int(offset_set_count(&s), to - from);
    offset_set_remove(&s, from + 4000000);
    expect_int(offset_set_next_absent(&s, from), from + 4000000);
    offset_set_remove_range(&s, 0, INT64_MAX);
    expect_true(offset_set_is_empty(&s));
}

/* ---- against an array of bits ---- */

struct model {
    struct offset_set set;
    bool bits[MODEL];
    int64_t base;
};

static void check_whole(struct model *m)
{
    uint64_t count = 0;
    int64_t at = m->base, end = m->base + MODEL;
    struct offset_range r;
    for (int i = 0; i < MODEL; i++)
        count += m->bits[i];
    expect_int(offset_set_count(&m->set), count);
    while (offset_set_next_range(&m->set, at, end, &r)) {
        for (; at < r.from; at++)
            expect_false(m->bits[at - m->base]);
        expect_int(offset_set_next_absent(&m->set, r.from), r.to);
        for (; at < r.to; at++)
            expect_true(m->bits[at - m->base]);
    }
    for (; at < end; at++)
        expect_false(m->bits[at - m->base]);
}

static void change(struct model *m, struct random *random)
{
    int from = (int)random_below(random, MODEL);
    int to = from + (int)random_below(random, random_below(random, 4) ? 20 : MODEL);
    to = to < MODEL ? to : MODEL;
    bool on = random_below(random, 2);
    int stride = 1 + (int)random_below(random, 5);
    switch (random_below(random, 4)) {
    case 0:
        expect_int(offset_set_add(&m->set, m->base + from), !m->bits[from]);
        on = true;
        break;
    case 1:
        expect_int(offset_set_remove(&m->set, m->base + from), m->bits[from]);
        on = false;
        break;
    case 2:
        offset_set_add_steps(&m->set, m->base + from, stride, (uint32_t)((to - from) / stride));
        for (int i = 0; i < (to - from) / stride; i++)
            m->bits[from + i * stride] = true;
        return;
    default:
        if (on)
            offset_set_add_range(&m->set, m->base + from, m->base + to);
        else
            offset_set_remove_range(&m->set, m->base + from, m->base + to);
        memset(m->bits + from, on, (size_t)(to - from));
        return;
    }
    m->bits[from] = on;
}

static void check_point(struct model *m, struct random *random)
{
    int i = (int)random_below(random, MODEL), j = i + (int)random_below(random, 100);
    j = j < MODEL ? j : MODEL;
    uint64_t count = 0;
    for (int k = i; k < j; k++)
        count += m->bits[k];
    int next = i;
    while (next < MODEL && !m->bits[next])
        next++;
    expect_int(offset_set_next(&m->set, m->base + i), next < MODEL ? m->base + next : -1);
    struct offset_range r;
    expect_int(offset_set_next_range(&m->set, m->base + i, m->base + j, &r), next < j);
    if (next < j)
        expect_int(r.from, m->base + next);
    expect_int(offset_set_has(&m->set, m->base + i), m->bits[i]);
    expect_int(offset_set_count_range(&m->set, m->base + i, m->base + j), count);
}

static void run_model(int64_t base)
{
    struct random random;
    struct model m = {.base = base};
    random_init(&random, test_seed());
    for (int i = 0; i < 20000; i++) {
        change(&m, &random);
        check_point(&m, &random);
        if (i % 500 == 0)
            check_whole(&m);
    }
    struct text text = {0};
    struct offset_set read = {0};
    offset_set_put(&m.set, &text);
    struct bytes in = text_bytes(&text);
    expect_ok(offset_set_get(&read, &in));
    expect_int(in.size, 0);
    offset_set_reset(&m.set);
    m.set = read;
    check_whole(&m);
    offset_set_reset(&m.set);
    text_reset(&text);
}

TEST(an_offset_set_equals_an_array_of_bits)
{
    run_model(0);
}

TEST(an_offset_set_equals_an_array_of_bits_also_around_2_to_the_32)
{
    run_model(NEAR_2_32);
}

TEST(an_offset_set_cut_at_any_byte_is_refused)
{
    struct offset_set s = {0};
    struct text text = {0};
    offset_set_add_range(&s, 5, 100);
    offset_set_add(&s, (int64_t)1 << 40);
    offset_set_put(&s, &text);
    for (size_t size = 0; size < text.size; size++) {
        struct offset_set read = {0};
        struct bytes in = bytes_of(text.data, size);
        expect_err(offset_set_get(&read, &in), E_MALFORMED);
        expect_true(offset_set_is_empty(&read));
    }
    text_reset(&text);
    offset_set_reset(&s);
}

TEST(an_offset_set_with_parts_out_of_order_is_refused)
{
    struct offset_set s = {0}, read = {0};
    struct text text = {0};
    offset_set_add(&s, 5);
    offset_set_add(&s, (int64_t)1 << 40);
    offset_set_put(&s, &text);
    put_u32(text.data + 1, 1 << 9);
    struct bytes in = text_bytes(&text);
    expect_err(offset_set_get(&read, &in), E_MALFORMED);
    expect_err_text("out of order");
    text_reset(&text);
    offset_set_reset(&s);
}

/* What CRoaring would believe: little-endian, one container each. */
static void expect_no_bitmap(struct bytes bitmap)
{
    struct offset_set read = {0};
    struct text text = {0};
    text_put_varint(&text, 1);
    text_put_u32(&text, 0);
    text_put_u32(&text, (uint32_t)bitmap.size);
    text_append(&text, bitmap);
    struct bytes in = text_bytes(&text);
    expect_err(offset_set_get(&read, &in), E_MALFORMED);
    expect_err_text("no bitmap");
    text_reset(&text);
}

TEST(a_bitmap_that_contradicts_itself_is_refused)
{
#define PLAIN "\x3a\x30\0\0\1\0\0\0"  /* one container, an array */
#define RUNS "\x3b\x30\0\0\1\0\0\1\0" /* one container, runs */
    struct offset_set s = {0};
    struct text text = {0};
    text_append(&text, BYTES_LITERAL("\1\0\0\0\0\0\0\0\x14" PLAIN "\0\0\1\0\x10\0\0\0\5\0\7\0"));
    struct bytes in = text_bytes(&text);
    expect_ok(offset_set_get(&s, &in)); /* as a bitmap should be: 5, 7 */
    expect_int(offset_set_count(&s), 2);
    offset_set_reset(&s);
    text_reset(&text);
    expect_no_bitmap(BYTES_LITERAL(PLAIN "\0\0\1\0\x10\0\0\0\7\0\5\0"));
    expect_no_bitmap(BYTES_LITERAL(PLAIN "\0\0\1\0\x10\0\0\0\5\0\5\0"));
    expect_no_bitmap(BYTES_LITERAL(PLAIN "\0\0\1\0\x10\0\0\0\5\0\7\0\0"));
    expect_no_bitmap(BYTES_LITERAL(RUNS "\0\0\0\0"));                        /* no run */
    expect_no_bitmap(BYTES_LITERAL(RUNS "\1\0\xff\xff\1\0"));                /* over the end */
    expect_no_bitmap(BYTES_LITERAL(RUNS "\2\0\5\0\5\0\6\0\1\0"));            /* overlap */
    expect_no_bitmap(BYTES_LITERAL("\x39\x30\0\0\1\0\0\0\0\0\0\0\0\0\0\0")); /* cookie */
    text_append(&text, BYTES_LITERAL(PLAIN "\0\0\xff\xff\x10\0\0\0"));
    text_append_zeros(&text, 8192); /* 65536 members, and no bit is set */
    expect_no_bitmap(text_bytes(&text));
    text_reset(&text);
}

TEST(a_part_at_the_end_of_all_offsets_is_refused)
{
    struct offset_set s = {0}, read = {0};
    struct text text = {0};
    offset_set_add(&s, 5);
    offset_set_put(&s, &text);
    put_u32(text.data + 1, INT32_MAX);
    struct bytes in = text_bytes(&text);
    expect_err(offset_set_get(&read, &in), E_MALFORMED);
    text_reset(&text);
    offset_set_reset(&s);
}

TEST(bitmaps_of_every_kind_of_container_are_read_back)
{
    struct offset_set s = {0}, read = {0};
    struct text text = {0};
    offset_set_add_range(&s, 0, 200000);
    for (int64_t i = 0; i < 65536; i += 2)
        offset_set_add(&s, 262144 + i);
    for (int64_t i = 0; i < 100; i += 7)
        offset_set_add(&s, 1 << 20 | i);
    for (int64_t i = 0; i < 6; i++)
        offset_set_add(&s, ((int64_t)1 << 32) + (i << 16));
    offset_set_put(&s, &text);
    struct bytes in = text_bytes(&text);
    expect_ok(offset_set_get(&read, &in));
    expect_int(in.size, 0);
    expect_int(offset_set_count(&read), offset_set_count(&s));
    offset_set_reset(&s);
    offset_set_reset(&read);
    text_reset(&text);
}
