/* Searching long tails by address, and chunks of a window, each against looking at everything. */
#include "tests/test.h"

#include "log/store_internal.h"
#include "log/test_store.h"

#include <stdlib.h>

/* A tail that is appended to, dropped from and carried as the journal does it. */
struct model {
    struct test_store t;
    struct log_state *log;
    int64_t next_offset;
    uint64_t next_address;
};

static void model_init(struct model *m)
{
    test_store_init(&m->t);
    expect_ok(test_store_open(&m->t));
    m->log = log_state(store_log(m->t.store, 7, LEVEL_FSYNC));
    m->next_offset = 0;
    m->next_address = 1000;
}

static void model_reset(struct model *m)
{
    tail_reset(&m->log->tail);
    test_store_reset(&m->t);
}

static uint64_t take_address(struct model *m)
{
    return m->next_address += 1 + random_below(&m->t.random, 3) * 64;
}

static void push(struct model *m, uint64_t count)
{
    while (count-- > 0) {
        uint32_t span = 1 + (uint32_t)random_below(&m->t.random, 3);
        tail_push(&m->log->tail, (struct tail_entry){.base_offset = m->next_offset,
                                                     .address = take_address(m),
                                                     .size = 10,
                                                     .span = span});
        m->next_offset += span + (int64_t)random_below(&m->t.random, 2);
    }
}

/* What a search gives and says of the others is what is there. */
static void expect_found(struct model *m, uint64_t below, bool carries)
{
    const struct tail *t = &m->log->tail;
    uint64_t others = UINT64_MAX;
    struct tail_search search;
    struct tail_entry *e;
    uint32_t i = 0;
    tail_search_begin(&search, m->log, below);
    do {
        e = tail_search_next(&search);
        for (; i < t->count && tail_at(t, i) != e; i++) {
            expect_true(tail_at(t, i)->address >= below);
            if (tail_at(t, i)->address < others)
                others = tail_at(t, i)->address;
        }
        if (e) {
            expect_true(e->address < below);
            expect_int(search.next, i + 1);
            i++;
        }
        if (e && carries)
            e->address = take_address(m);
    } while (e);
    expect_int(i, t->count);
    expect_true(search.others <= others);
    expect_int(search.others == UINT64_MAX, others == UINT64_MAX);
}

static uint64_t some_address(struct model *m)
{
    return 1000 + random_below(&m->t.random, m->next_address - 900);
}

TEST(a_search_finds_each_entry_below_an_address_however_the_tail_has_changed)
{
    struct model m;
    model_init(&m);
    for (int step = 0; step < 3000; step++) {
        struct tail *t = &m.log->tail;
        switch (random_below(&m.t.random, 5)) {
        case 0: push(&m, random_below(&m.t.random, t->count > 2000 ? 10 : 150)); break;
        case 1:
            tail_drop_below(t, m.next_offset - 4 * (int64_t)random_below(&m.t.random, 1500));
            break;
        case 2: expect_found(&m, some_address(&m), true); break;
        default: expect_found(&m, some_address(&m), false); break;
        }
    }
    model_reset(&m);
}

/* A row says where the log's lowest batch lies, so it searches the tail. */
static void append_and_write_row(struct test_store *t, struct log *log, int records, int count)
{
    for (int i = 0; i < count; i++)
        test_append_records(t, log, 100, records, 0);
    log_wants_row(log_state(log));
    test_store_settle(t);
    expect_true(log_state(log)->tail.count >= 2 * TAIL_BLOCK_ENTRIES);
    expect_true(log_state(log)->has_row);
}

TEST(a_tail_that_was_cut_and_has_grown_again_is_searched_anew)
{
    struct test_store t;
    struct ticket ticket;
    test_store_init(&t);
    expect_ok(test_store_open(&t));
    struct log *log = store_log(t.store, 7, LEVEL_FSYNC);
    append_and_write_row(&t, log, 1, 300);
    expect_ok(log_truncate(log, 70, store_epoch(t.store), &ticket));
    append_and_write_row(&t, log, 3, 200);
    test_store_reset(&t);
}

/* What lies high is passed over by blocks: a search looks at few entries of a long tail. */
TEST(a_search_passes_over_what_lies_high)
{
    struct model m;
    struct tail_search search;
    model_init(&m);
    push(&m, 100 * TAIL_BLOCK_ENTRIES);
    uint64_t below = tail_at(&m.log->tail, 5 * TAIL_BLOCK_ENTRIES)->address + 1;
    tail_search_begin(&search, m.log, 0);
    expect_true(tail_search_next(&search) == NULL);
    for (size_t i = 0; i < 10; i++) /* were one of them looked at, it would be found */
        tail_at(&m.log->tail, (uint32_t)(50 + i) * TAIL_BLOCK_ENTRIES + 3)->address = 1;
    size_t found = 0;
    tail_search_begin(&search, m.log, below);
    while (tail_search_next(&search))
        found++;
    expect_int(found, 5 * TAIL_BLOCK_ENTRIES + 1);
    model_reset(&m);
}

static struct chunk *find_in_all(const struct window *w, uint64_t address)
{
    list_each (n, &w->chunks) {
        struct chunk *c = container_of(n, struct chunk, node);
        if (address >= c->address + c->first && address < c->address + c->used)
            return c;
    }
    return NULL;
}

/* From front to back, from back to front, and anywhere; while chunks come and go. */
TEST(a_window_finds_the_chunk_of_each_address_in_any_order)
{
    struct model m;
    model_init(&m);
    struct window *w = &m.t.store->journal_window;
    uint64_t end = 1 << 20;
    for (int step = 0; step < 2000; step++) {
        if (random_below(&m.t.random, 4) == 0) {
            struct chunk *c = chunk_new(m.t.store, 4096);
            c->first = (uint32_t)random_below(&m.t.random, 100);
            c->used = 200 + (uint32_t)random_below(&m.t.random, 3000);
            window_push(w, c, end);
            end += c->used + random_below(&m.t.random, 2) * 50;
        }
        if (step % 300 == 299)
            window_clear(w);
        uint64_t address = (1 << 20) - 100 + random_below(&m.t.random, end - (1 << 20) + 200);
        int64_t stride = (int64_t)random_below(&m.t.random, 3000) - 1500;
        for (int i = 0; i < 20; i++, address += (uint64_t)stride)
            expect_true(window_find(w, address) == find_in_all(w, address));
    }
    model_reset(&m);
}
