/*
 * A broker core over a simulated disk whose queues do things by themselves: expire, delay, move dead
 * letters, keep short, count deliveries; with clients that publish, settle, return, reject, commit
 * transactions, purge, delete, declare again, and change policies. Beside it a ledger of letters.
 *
 * The ledger does not know where a letter is, only how many copies of it there are: each queue here passes
 * on what it does not keep, so a copy is in exactly one place until a client settles it, purges the queue
 * or deletes it. That, and what its body says about times, is what must hold after any crash.
 *
 *   all ─> inner ─> work, timed, box     a fan-out through a second exchange
 *   later ─> work or plain               after a delay
 *   short (at most some) ─> work         wait (for a time) ─> work
 *   work (rejected, too many deliveries, own time to live) ─> dead        timed ─> dead
 *   ranked (by priority) ─> dead         ruled (as policies say) ─> dead, work or plain
 *   guest, guests                        in a vhost that comes and goes: a queue and a delay
 */
#ifndef TESTS_SIM_RULES_WORLD_H
#define TESTS_SIM_RULES_WORLD_H

#include "base/random.h"
#include "base/vec.h"
#include "broker/core.h"
#include "broker/queue.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "tests/sim/rules_ledger.h"
#include "tests/sim/rules_removals.h"

enum place {
    WORK,
    TIMED,
    SHORT,
    WAIT,
    PLAIN,
    DEAD,
    BOX,
    RULED,
    RANKED,
    GUEST,
    NAMED_PLACES,
    DELAYED = NAMED_PLACES,
    GUESTS_DELAYED,
    PLACES
};

enum { TTL_MS = 150, WAIT_MS = 80, OWN_TTL_MAX_MS = 400, DELAY_MAX_MS = 500, RANKS = 3 };

struct out {
    struct queue *queue; /* a reference */
    uint32_t letter;
    int64_t offset;
    uint32_t number;
};

struct rules_world {
    struct random random;
    struct core_config config;
    int kind;      /* of request that this is about; -1: all are alike */
    bool alone;    /* nothing else is asked for */
    bool may_fail; /* reads */
    struct disk *disk;
    struct jobs *sim;
    struct sim_stepper stepper; /* what the core has for its jobs */
    struct core *core;
    struct vhost *vhost;
    struct vhost *guests;         /* NULL: deleted, or going to be */
    struct session guest;         /* on it */
    bool guest_is_out;            /* it was closed */
    struct queue *places[PLACES]; /* NULL: not there */
    uint32_t last_new[PLACES];    /* the letter that was delivered there last for the first time */
    struct ledger ledger;
    struct removal_wish wish; /* what is to be purged or deleted */
    VEC(struct out) outs;
    VEC(struct sim_consumer *) consumers;
    struct list asks; /* what has not been answered */
    int64_t now_ns, wall_ms;
    char wrong[512];
};

void rules_complain(struct rules_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rules_init(struct rules_world *w, uint64_t seed, struct disk *disk);
enum err rules_open(struct rules_world *w);
/* As a crash leaves things: memory is gone, the ledger stays. The disk has crashed, so nothing is done that
 * was under way. */
void rules_drop(struct rules_world *w);
/* The clients go: what they have comes back. */
void rules_leave(struct rules_world *w);
void rules_close(struct rules_world *w); /* in good order */
void rules_reset(struct rules_world *w);

/* A read has failed that the store cannot do without: it takes nothing any more. */
bool rules_is_frozen(const struct rules_world *w);
/* A turn with some requests and some steps of the disk. */
void rules_turn(struct rules_world *w);
/* A turn without requests, after some ms. True: the disk had something to do. */
bool rules_idle_turn(struct rules_world *w, int64_t ms);
/* Until it has nothing to do any more. */
void rules_rest(struct rules_world *w);

static inline uint64_t rules_draw(struct rules_world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

/* PLACES: none of them, or one that is being deleted. */
static inline enum place rules_place_of(const struct rules_world *w, const struct queue *queue)
{
    int place = 0;
    while (place < PLACES && w->places[place] != queue)
        place++;
    return (enum place)place;
}

#endif
