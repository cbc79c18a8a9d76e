/*
 * A store on the simulated disk, for tests: steps it through turns, keeps what its owner was told,
 * and crashes it.
 */
#ifndef LOG_TEST_STORE_H
#define LOG_TEST_STORE_H

#include "base/random.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "log/store.h"

struct test_store {
    struct disk *disk;
    struct jobs *jobs;
    struct store *store;
    struct store_config config;
    struct random random;
    int64_t now_ns;
    uint64_t committed_calls, progressed_calls;
    bool was_frozen;
    VEC(uint8_t) replayed; /* first byte of the value of every control record that was replayed */
};

void test_store_init(struct test_store *t);
must_use enum err test_store_open(struct test_store *t);
/* One turn: tick, flush, and everything that the disk has to do. */
void test_store_settle(struct test_store *t);
/* One turn without: at most `steps` of the disk's work, drawn at random. */
void test_store_turn(struct test_store *t, int steps);
/* Crash and open again. */
must_use enum err test_store_crash(struct test_store *t, enum sim_restart mode, uint64_t seed);
void test_store_reset(struct test_store *t);

/* A batch with these values, one record each, without keys. Valid until the next call. */
struct bytes test_batch(const char *const *values, size_t count, uint16_t attributes);
struct bytes test_batch_one(const char *value);
/* One record of `size` bytes, the first eight of them `number`. */
struct bytes test_batch_sized(uint64_t number, size_t size);
/* The values from `from` to hw, joined by spaces, by peeks and reads; "?" and the error's name when
 * a read fails. Valid until the next call. */
const char *test_store_values(struct test_store *t, struct log *log, int64_t from);

#endif
