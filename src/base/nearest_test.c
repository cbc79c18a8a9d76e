#include "tests/test.h"

#include "base/nearest.h"
#include "base/random.h"

/* The name that is suggested for `wanted`, of two; empty: none. */
static const char *suggested(const char *wanted, const char *one, const char *other)
{
    static struct nearest n;

    n = (struct nearest){0};
    nearest_consider(&n, bytes_from_string(wanted), bytes_from_string(one));
    nearest_consider(&n, bytes_from_string(wanted), bytes_from_string(other));
    return n.name;
}

TEST(the_name_with_the_fewest_edits_is_suggested_and_of_equals_the_first)
{
    expect_string(suggested("order", "border", "ordre2"), "border");
    expect_string(suggested("order", "ordre2", "border"), "border");
    expect_string(suggested("order", "orders", "border"), "orders");
    expect_string(suggested("order", "order", "orders"), "order");
}

TEST(what_is_not_near_is_not_suggested)
{
    expect_string(suggested("durabl", "url", ""), "");
    expect_string(suggested("durabl", "durable", ""), "durable");
    expect_string(suggested("h", "g", ""), "g");
    expect_string(suggested("h", "gg", ""), "");
    expect_string(suggested("", "a", ""), "");
    expect_string(suggested("retention.bytes", "retention.loyal", ""), "");
    expect_string(suggested("twelve chars", "twelve", ""), "");
    expect_string(suggested("twelve characters", "twelve charac", ""), "twelve charac");
    expect_string(suggested("twelve characters", "twelve chara", ""), "");
}

TEST(a_name_that_is_too_long_is_not_suggested)
{
    char wanted[NEAREST_NAME_BYTES + 2];

    memset(wanted, 'x', sizeof wanted);
    for (size_t size = NEAREST_NAME_BYTES - 2; size < sizeof wanted; size++) {
        struct nearest n = {0};
        struct bytes name = bytes_of(wanted, size);
        nearest_consider(&n, name, name);
        expect_int(strlen(n.name), size < NEAREST_NAME_BYTES ? size : 0);
    }
}

/* The definition, without a table. */
static size_t naive_distance(const char *a, const char *b)
{
    if (!*a || !*b)
        return strlen(a) + strlen(b);
    size_t change = naive_distance(a + 1, b + 1) + (*a != *b);
    size_t remove = naive_distance(a + 1, b) + 1, insert = naive_distance(a, b + 1) + 1;
    size_t least = change < remove ? change : remove;
    return least < insert ? least : insert;
}

static void draw(struct random *r, char *out, size_t least)
{
    size_t size = least + random_below(r, 4);

    for (size_t i = 0; i < size; i++)
        out[i] = (char)('a' + random_below(r, 3));
    out[size] = 0;
}

TEST(edits_agree_with_their_definition)
{
    struct random r;
    char wanted[8], name[8];
    int near = 0;

    random_init(&r, test_seed());
    for (int i = 0; i < 500; i++) {
        struct nearest n = {0};
        draw(&r, wanted, 4);
        draw(&r, name, 3);
        size_t edits = naive_distance(wanted, name), most = (strlen(wanted) + 2) / 3;
        nearest_consider(&n, bytes_from_string(wanted), bytes_from_string(name));
        expect_string(n.name, edits <= most ? name : "");
        if (edits <= most)
            expect_int(n.edits, edits);
        near += edits <= most;
    }
    expect_true(near > 50);
}
