/*
 * What the logs of a simulated store must contain: everything that was asked of the store, and which
 * of it was acknowledged. model_verify() holds a recovered store against it.
 */
#ifndef TESTS_SIM_LOG_MODEL_H
#define TESTS_SIM_LOG_MODEL_H

#include "base/map.h"
#include "base/random.h"
#include "base/vec.h"
#include "io/sim_disk.h"
#include "log/store.h"

struct model_batch {
    int64_t base;
    int32_t span;
    uint64_t number; /* in the first record's value; never used twice */
    bool control;
    int key; /* of a compacted log: its record's, -1 none */
};

struct model_log {
    uint64_t id;
    enum log_level level;
    VEC(struct model_batch) batches;
    VEC(struct model_batch) before_cut; /* while a truncation is not acknowledged */
    bool cutting;
    int64_t acked; /* records below it were acknowledged as committed */
    int64_t trim_acked, trim_asked;
    bool delete_asked, delete_acked;
    bool compacted; /* a batch may be missing when a later one has its key */
    bool retained;  /* its policy moves the start */
};

struct model {
    VEC(struct model_log *) logs;
    uint64_t next_number;
};

/* What an owner derives from a log's control batches: which of them it has seen. */
struct seen {
    VEC(uint64_t) numbers; /* ascending */
};

/* The owner's side of a store: `seen` for each log. */
struct sim_owner {
    struct idmap seen;
};

void sim_owner_reset(struct sim_owner *o);
struct store_owner sim_owner_calls(struct sim_owner *o);
void sim_owner_note(struct sim_owner *o, uint64_t log_id, uint64_t number);

int64_t model_end(const struct model_log *l);
void model_reset(struct model *m);

struct bytes model_make_batch(uint64_t number, int32_t span, size_t size, bool control);
/* One record with a key. */
struct bytes model_make_keyed(uint64_t number, int key, size_t size);

/* What a reader was given: NULL, or what is wrong. Below `start`, where the log starts by now, anything may be missing. */
const char *model_check_answer(const struct model_log *l, int64_t start,
                               const struct log_read *answer);

/* NULL, or what is wrong; `power_cut`: unsynced bytes may be gone. The text is valid until the next
 * call. */
const char *model_verify(const struct model *m, struct store *s, struct jobs *jobs,
                         struct sim_owner *owner, bool power_cut);

#endif
