/*
 * A broker core over a simulated disk whose queues do things by themselves: expire, delay, move dead
 * letters, keep short, count deliveries; with clients that publish, settle, return, reject, commit
 * transactions and change policies. Beside it a ledger of letters.
 *
 * The ledger does not know where a letter is, only how many copies of it there are: each queue here passes
 * on what it does not keep, so a copy is in exactly one place until a client settles it. That, and what its
 * body says about times, is what must hold after any crash.
 *
 *   all ─> inner ─> work, timed          a fan-out through a second exchange
 *   later ─> work or plain               after a delay
 *   short (at most some) ─> work         wait (for a time) ─> work
 *   work (rejected, too many deliveries, own time to live) ─> dead        timed ─> dead
 */
#ifndef TESTS_SIM_RULES_WORLD_H
#define TESTS_SIM_RULES_WORLD_H

#include "base/random.h"
#include "base/vec.h"
#include "broker/core.h"
#include "broker/queue.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"

enum place { WORK, TIMED, SHORT, WAIT, PLAIN, DEAD, NAMED_PLACES, DELAYED = NAMED_PLACES, PLACES };

enum { TTL_MS = 150, WAIT_MS = 80, OWN_TTL_MAX_MS = 400, DELAY_MAX_MS = 500 };

struct letter {
    uint32_t copies; /* that were made */
    uint32_t acked;  /* of them, settled by clients */
    uint32_t acked_durably;
    bool confirmed;
    bool in_transaction; /* one that may not have been committed */
};

/* `sent` was published and `settled` settled in one transaction; both have one copy. */
struct transaction {
    uint32_t sent, settled;
};

struct out {
    struct queue *queue; /* a reference */
    uint32_t letter;
    int64_t offset;
    uint32_t number;
};

struct rules_world {
    struct random random;
    struct core_config config;
    struct disk *disk;
    struct jobs *sim;
    struct sim_stepper stepper; /* what the core has for its jobs */
    struct core *core;
    struct vhost *vhost;
    struct queue *places[PLACES];
    VEC(struct letter) letters;
    VEC(struct transaction) transactions;
    VEC(struct out) outs;
    VEC(struct sim_consumer *) consumers;
    struct list asks; /* what has not been answered */
    int64_t now_ns, wall_ms;
    char wrong[512];
};

void rules_complain(struct rules_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rules_init(struct rules_world *w, uint64_t seed, struct disk *disk);
/* Open the core and find the queues, if all of them are there; the first time, declare them. */
enum err rules_open(struct rules_world *w);
bool rules_are_declared(const struct rules_world *w);
void rules_declare(struct rules_world *w);
/* As a crash leaves things: memory is gone, the ledger stays. */
void rules_drop(struct rules_world *w);
/* The clients go: what they have comes back. */
void rules_leave(struct rules_world *w);
void rules_close(struct rules_world *w); /* in good order */
void rules_reset(struct rules_world *w);

/* A turn with some requests and some steps of the disk. */
void rules_turn(struct rules_world *w);
/* A turn without requests, after some ms. */
void rules_idle_turn(struct rules_world *w, int64_t ms);

/* What a body says: which letter it is of, and when it may be seen first (ms). */
struct letter_text {
    uint32_t letter;
    int64_t not_before_ms;
};
bool letter_read(struct bytes body, struct letter_text *out);

#endif
