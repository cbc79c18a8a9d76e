#include "base/mem.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/vec.h"
#include "tests/test.h"

TEST(mem_gives_usable_memory_for_every_size)
{
    void *none = xmalloc(0);
    uint8_t *zeros = xzalloc(100);
    uint8_t *copy = xmemdup("abc", 4);

    expect_not_null(none);
    for (int i = 0; i < 100; i++)
        expect_int(zeros[i], 0);
    expect_string((char *)copy, "abc");
    copy = xrealloc(copy, 1000);
    expect_string((char *)copy, "abc");
    free(none);
    free(zeros);
    free(copy);
    free(xmemdup(NULL, 0));
}

TEST(mem_makes_strings)
{
    char *a = xstrdup("segment"), *b = xasprintf("%s-%03d", a, 7);

    expect_string(a, "segment");
    expect_string(b, "segment-007");
    free(a);
    free(b);
}

TEST(mem_rounds_up_to_a_power_of_two)
{
    expect_int(round_up(0, 16), 0);
    expect_int(round_up(1, 16), 16);
    expect_int(round_up(16, 16), 16);
    expect_int(round_up(4097, 4096), 8192);
}

TEST(vec_grows_and_keeps_its_items)
{
    VEC(int) v = {0};

    for (int i = 0; i < 1000; i++)
        vec_push(&v, i);
    expect_int(v.count, 1000);
    for (int i = 0; i < 1000; i++)
        expect_int(v.items[i], i);
    expect_int(vec_last(&v), 999);
    expect_int(vec_pop(&v), 999);
    expect_int(v.count, 999);
    vec_clear(&v);
    expect_int(v.count, 0);
    expect_true(v.capacity >= 1000);
    vec_reset(&v);
    expect_null(v.items);
}

TEST(a_small_vec_begins_with_room_for_one)
{
    VEC_SMALL(int) v = {0};

    expect_int(sizeof v, 16);
    vec_push(&v, 0);
    expect_int(v.capacity, 1);
    for (int i = 1; i < 1000; i++)
        vec_push(&v, i);
    expect_int(v.count, 1000);
    expect_int(v.capacity, 1024);
    for (int i = 0; i < 1000; i++)
        expect_int(v.items[i], i);
    vec_remove(&v, 1);
    vec_insert(&v, 1, 7);
    expect_int(v.items[1], 7);
    expect_int(v.items[2], 2);
    vec_reset(&v);
    expect_null(v.items);
}

TEST(vec_inserts_and_removes_in_order)
{
    VEC(int) v = {0};

    for (int i = 0; i < 20; i++)
        vec_insert(&v, v.count / 2, i); /* 1 3 5 ... 4 2 0 */
    for (int i = 0; i < 10; i++) {
        expect_int(v.items[i], 2 * i + 1);
        expect_int(v.items[19 - i], 2 * i);
    }
    vec_remove(&v, 0);
    vec_remove(&v, v.count - 1);
    expect_int(v.items[0], 3);
    expect_int(vec_last(&v), 2);
    vec_insert(&v, v.count, 77);
    expect_int(vec_last(&v), 77);
    vec_reset(&v);
}

TEST(vec_reserves_room_for_many_at_once)
{
    VEC(uint64_t) v = {0};

    vec_reserve(&v, 5000);
    uint64_t *items = v.items;
    for (uint64_t i = 0; i < 5000; i++)
        vec_push(&v, i);
    expect_true(v.items == items);
    vec_reset(&v);
}

TEST(vec_checks_its_bounds)
{
    VEC(int) v = {0};

    expect_check_fails((void)vec_pop(&v));
    expect_check_fails(vec_last(&v) = 1);
    expect_check_fails(vec_remove(&v, 0));
    expect_check_fails(vec_insert(&v, 1, 5));
    expect_check_fails(vec_reserve(&v, SIZE_MAX / 2));
}

struct item {
    int value;
    struct list node;
};

static int list_sum(struct list *l)
{
    int sum = 0;

    list_each (node, l) /* digits, first to last */
        sum = sum * 10 + container_of(node, struct item, node)->value;
    return sum;
}

TEST(list_keeps_the_order_of_pushes)
{
    struct item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
    struct list l;

    list_init(&l);
    expect_true(list_is_empty(&l));
    expect_null(list_pop_front(&l));
    list_push_back(&l, &items[1].node);
    list_push_back(&l, &items[2].node);
    list_push_front(&l, &items[0].node);
    list_insert_before(&items[2].node, &items[3].node);
    expect_int(list_sum(&l), 1243);
    expect_true(list_pop_front(&l) == &items[0].node);
    expect_false(list_is_linked(&items[0].node));
    expect_true(list_is_linked(&items[1].node));
    expect_int(list_sum(&l), 243);
}

TEST(list_nodes_can_leave_twice_and_during_a_walk)
{
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    struct list l;

    list_init(&l);
    for (int i = 0; i < 3; i++)
        list_push_back(&l, &items[i].node);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    expect_int(list_sum(&l), 13);
    list_each_safe (node, &l)
        list_remove(node);
    expect_true(list_is_empty(&l));
}
