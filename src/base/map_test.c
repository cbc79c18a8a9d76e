/* The maps against arrays that are indexed by the key. */
#include "base/map.h"

#include <stdio.h>

#include "base/random.h"
#include "tests/test.h"

enum { KEYS = 500, STEPS = 200000 };

struct entry {
    char name[8];
    uint64_t id;
    int other; /* a second object with the same key, to see replacement */
};

static struct entry entries[KEYS];

static void entries_init(struct random *r)
{
    random_init(r, test_seed());
    for (int i = 0; i < KEYS; i++) {
        snprintf(entries[i].name, sizeof entries[i].name, "k%d", i);
        /* Ids as they come: counted, aligned, and any. */
        entries[i].id = i % 3 == 0   ? (uint64_t)i
                        : i % 3 == 1 ? (uint64_t)i << 32
                                     : (uint64_t)i * 0x123456789abcdef;
    }
}

static void map_expect(const struct map *m, void *model[KEYS])
{
    size_t count = 0, found = 0, position = 0;

    for (int i = 0; i < KEYS; i++) {
        expect_true(map_get(m, bytes_from_string(entries[i].name)) == model[i]);
        count += model[i] != NULL;
    }
    while (map_next(m, &position))
        found++;
    expect_int(m->count, count);
    expect_int(found, count);
    expect_true(m->count <= m->capacity - m->capacity / 4);
}

TEST(map_agrees_with_an_array)
{
    void *model[KEYS] = {0};
    struct map m = {0};
    struct random r;

    entries_init(&r);
    for (int step = 0; step < STEPS; step++) {
        size_t i = random_below(&r, KEYS);
        struct bytes key = bytes_from_string(entries[i].name);
        /* Waves: mostly puts, then mostly removals, so that it grows and shrinks. */
        if (random_below(&r, 100) < (step / 5000 % 2 ? 10 : 90)) {
            void *value = random_below(&r, 2) ? (void *)&entries[i] : &entries[i].other;
            expect_true(map_put(&m, key, value) == model[i]);
            model[i] = value;
        } else {
            expect_true(map_remove(&m, key) == model[i]);
            model[i] = NULL;
        }
        if (step % 499 == 0)
            map_expect(&m, model);
    }
    map_expect(&m, model);
    map_reset(&m);
    expect_int(m.capacity, 0);
}

static void idmap_expect(const struct idmap *m, void *model[KEYS])
{
    size_t count = 0, found = 0, position = 0;

    for (int i = 0; i < KEYS; i++) {
        expect_true(idmap_get(m, entries[i].id) == model[i]);
        count += model[i] != NULL;
    }
    while (idmap_next(m, &position))
        found++;
    expect_int(m->count, count);
    expect_int(found, count);
    expect_true(m->count <= m->capacity - m->capacity / 4);
}

TEST(idmap_agrees_with_an_array)
{
    void *model[KEYS] = {0};
    struct idmap m = {0};
    struct random r;

    entries_init(&r);
    entries[0].id = UINT64_MAX;
    for (int step = 0; step < STEPS; step++) {
        size_t i = random_below(&r, KEYS);
        if (random_below(&r, 100) < (step / 5000 % 2 ? 10 : 90)) {
            void *value = random_below(&r, 2) ? (void *)&entries[i] : &entries[i].other;
            expect_true(idmap_put(&m, entries[i].id, value) == model[i]);
            model[i] = value;
        } else {
            expect_true(idmap_remove(&m, entries[i].id) == model[i]);
            model[i] = NULL;
        }
        if (step % 499 == 0)
            idmap_expect(&m, model);
    }
    idmap_reset(&m);
}

TEST(empty_maps_answer_without_memory)
{
    struct idmap ids = {0};
    struct map m = {0};
    size_t position = 0;

    expect_null(map_get(&m, BYTES_LITERAL("a")));
    expect_null(map_remove(&m, BYTES_LITERAL("a")));
    expect_null(map_next(&m, &position));
    expect_null(idmap_get(&ids, 1));
    expect_null(idmap_remove(&ids, 1));
    expect_null(idmap_next(&ids, &position));
    expect_null(m.slots);
    expect_null(ids.slots);
}

TEST(map_shrinks_when_it_is_emptied)
{
    static struct entry many[10000];
    struct idmap m = {0};

    for (uint64_t i = 0; i < 10000; i++)
        idmap_put(&m, i, &many[i]);
    size_t full = m.capacity;
    expect_true(full <= 16384);
    for (uint64_t i = 0; i < 10000; i++)
        expect_true(idmap_remove(&m, i) == &many[i]);
    expect_int(m.count, 0);
    expect_true(m.capacity <= 16);
    idmap_reset(&m);
}

TEST(map_replaces_the_borrowed_key_with_the_value)
{
    char first[] = "name", second[] = "name";
    int a, b;
    struct map m = {0};

    map_put(&m, bytes_from_string(first), &a);
    expect_true(map_put(&m, bytes_from_string(second), &b) == &a);
    first[0] = 'X'; /* the first key's owner is gone */
    expect_true(map_get(&m, BYTES_LITERAL("name")) == &b);
    expect_int(m.count, 1);
    map_reset(&m);
}

TEST(maps_hold_no_null_values)
{
    struct idmap ids = {0};
    struct map m = {0};

    expect_check_fails(map_put(&m, BYTES_LITERAL("a"), NULL));
    expect_check_fails(idmap_put(&ids, 1, NULL));
}

TEST(map_walks_in_the_same_order_with_the_same_seed)
{
    void *walks[2][KEYS];
    struct random r;

    entries_init(&r);
    for (int walk = 0; walk < 2; walk++) {
        struct map m = {0};
        size_t position = 0;
        bytes_hash_set_seed(7);
        for (int i = 0; i < KEYS; i++)
            map_put(&m, bytes_from_string(entries[i].name), &entries[i]);
        for (int i = 0; i < KEYS; i++)
            walks[walk][i] = map_next(&m, &position);
        map_reset(&m);
    }
    expect_int(memcmp(walks[0], walks[1], sizeof walks[0]), 0);
}
