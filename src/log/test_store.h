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

/* Records that the owner needs no more: a range of one log. */
struct test_settled {
    uint64_t log_id;
    int64_t from, to;
};

struct test_store {
    struct disk *disk;
    struct jobs *jobs;
    struct store *store;
    struct store_config config;
    struct random random;
    int64_t now_ns;
    int64_t wall_base_ms; /* 0: the store is told no wall time */
    int64_t trimmed;      /* offsets that its policies dropped */
    uint64_t committed_calls, progressed_calls;
    bool was_frozen;
    VEC(uint8_t) replayed; /* first byte of the value of every record that was replayed */
    const char *state;     /* what the owner writes as derived state of any log; NULL: nothing */
    struct text restored;  /* what it was given back: "<log id>:<state> " and "<log id><<end> " */
    VEC(struct test_settled) settled;
};

void test_store_init(struct test_store *t);
/* So small that little fills it: 64 KiB in a file of the journal, 20 KiB go straight to a segment. */
void test_store_init_small(struct test_store *t, uint64_t journal_max_bytes,
                           uint64_t segment_bytes);
must_use enum err test_store_open(struct test_store *t);
/* A small store that caches nothing, opened and settled: what was written is read from files. */
void test_store_open_uncached(struct test_store *t);
/* One turn: tick, flush, and everything that the disk has to do. */
void test_store_settle(struct test_store *t);
/* One turn without: at most `steps` of the disk's work, drawn at random. */
void test_store_turn(struct test_store *t, int steps);
/* The clock goes on by that much, in steps of a tenth of a second, each settled. */
void test_store_wait(struct test_store *t, int64_t ms);
int64_t test_store_wall_ms(const struct test_store *t);
/* Stop in good order. */
void test_store_stop(struct test_store *t);
/* The process dies: what it wrote stays visible, but is no more durable than it was. */
void test_store_kill(struct test_store *t);
/* Crash and open again. */
must_use enum err test_store_crash(struct test_store *t, enum sim_restart mode, uint64_t seed);
void test_store_reset(struct test_store *t);

/* Keeps everything, in segments of any size and a week. */
struct log_policy test_policy(void);

/* A batch with these values, one record each, without keys. Valid until the next call. */
struct bytes test_batch(const char *const *values, size_t count, uint16_t attributes);
struct bytes test_batch_one(const char *value);
/* The batch, which one of these has made, as one of this producer. */
struct bytes test_batch_of_producer(struct bytes batch, int64_t producer_id);
struct bytes test_batch_at(const char *value, int64_t timestamp_ms);
/* One record of `size` bytes, the first eight of them `number`. */
struct bytes test_batch_sized(uint64_t number, size_t size);
/* The values from `from` to hw, joined by spaces, by peeks and reads; "?" and the error's name when
 * a read fails. Valid until the next call. */
const char *test_store_values(struct test_store *t, struct log *log, int64_t from);
/* One read to its end; sets r->done. Give the answer back with log_read_end(). */
void test_store_read(struct test_store *t, struct log *log, struct log_read *r);
/* Append one record; the ticket is not needed. */
must_use enum err test_append(struct log *log, const char *value);
/* One turn fills two of the journal's files of 64 KiB: logs 1 and 2 get a batch each, in records of their own. */
void test_append_across_files(struct test_store *t);
/* Append one batch of `count` records, about `size` bytes in all, and settle. */
void test_append_records(struct test_store *t, struct log *log, size_t size, int count,
                         int64_t timestamp_ms);
/* The names in a directory of the disk; 0 also when it is missing. */
size_t test_store_files(const struct test_store *t, const char *dir);
/* The disk's whole file, to be changed and put back; null when it is missing. */
struct text test_file_get(const struct test_store *t, const char *path);
void test_file_put(const struct test_store *t, const char *path, struct bytes content);

#endif
